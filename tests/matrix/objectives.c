/* The objectives of the matrix, and their exact gradients.
 *
 * In:  a family, and values of the parameters.
 * Out: the objective, averaged over the values of x, as sums over points; its gradient by central differences, of which two
 *      steps are extrapolated (Richardson). */
#include "matrix.h"
#include <math.h>
#include <stdlib.h>

const double row_value[ROW_VALUES] = {0.9, -0.6};
#define NOISE 0.9
#define LOG_2PI 1.8378770664093454836

/* The support with everything that an objective is made of, for one x; points of no mass are left out. */
typedef struct Cell { double mass, log_q, log_p, log_x, g; const double *z; } Cell;
typedef struct { Point point[POINTS]; Cell cell[POINTS]; int n; } Grid;

static double normal(double z, double m, double s) { double y = (z - m) / s; return -0.5 * y * y - log(s) - 0.5 * LOG_2PI; }

static void fill(Grid *grid, const Family *f, double a, double b, double w, double x) {
  const Family *p = family_prior(f);
  int n = points_of(grid->point, f->support, f->size, a, b, f->prior[0]);
  grid->n = 0;
  for (int i = 0; i < n; i++) {
    const double *z = grid->point[i].z, log_q = f->log_density(z, a, b), mass = grid->point[i].weight * exp(log_q);
    if (!(mass > 1e-14)) continue;
    double g = f->value_of(z);
    grid->cell[grid->n++] = (Cell){mass, log_q, p->log_density(z, f->prior[0], f->prior[1]), normal(x, w * g, NOISE), g, z};
  }
}

/* ---- expectations of one draw: a function of a cell, averaged over the rows */
static double expectation(const Family *f, const double *at, Body *body) {
  static Grid grid;
  double sum = 0;
  for (int r = 0; r < ROW_VALUES; r++) {
    fill(&grid, f, at[S], at[T], at[W], row_value[r]);
    for (int i = 0; i < grid.n; i++) sum += grid.cell[i].mass * body(&grid.cell[i], at[W]);
  }
  return sum / ROW_VALUES;
}
static double b_one(const Cell *c, double w) { (void)c, (void)w; return 1; }
static double b_elbo(const Cell *c, double w) { (void)w; return c->log_x + c->log_p - c->log_q; }
static double b_likelihood(const Cell *c, double w) { (void)w; return c->log_x; }
static double b_divergence(const Cell *c, double w) { (void)w; return c->log_q - c->log_p; }
static double b_prior(const Cell *c, double w) { (void)w; return c->log_p; }
static double b_value(const Cell *c, double w) { (void)w; return c->g; }
static double b_value_square(const Cell *c, double w) { (void)w; return c->g * c->g; }
/* E (x - 0.4)^2 g over x ~ N(w g, NOISE^2) */
static double b_drawn(const Cell *c, double w) { double d = w * c->g - 0.4; return c->g * (d * d + NOISE * NOISE); }

static double elbo(const Family *f, const double *at) { return expectation(f, at, b_elbo); }
static double beta(const Family *f, const double *at) { return expectation(f, at, b_likelihood) - 0.6 * expectation(f, at, b_divergence); }
static double nats_to_bits(const Family *f, const double *at) { return -elbo(f, at) / M_LN2; }
static double square_of_mean(const Family *f, const double *at) { double m = expectation(f, at, b_value) - 0.5; return m * m; }
static double abs_of_mean(const Family *f, const double *at) { return fabs(expectation(f, at, b_value) - 9); }
static double infovae(const Family *f, const double *at) {
  return expectation(f, at, b_likelihood) - 0.7 * expectation(f, at, b_divergence) - 1.3 * square_of_mean(f, at);
}
static double target(const Family *f, const double *at) { return -expectation(f, at, b_likelihood) + 0.7 * fabs(5 - expectation(f, at, b_divergence)); }
static double likelihood(const Family *f, const double *at) { return expectation(f, at, b_likelihood); }
static double cross(const Family *f, const double *at) { return expectation(f, at, b_prior); }
static double drawn(const Family *f, const double *at) { return expectation(f, at, b_drawn); }

/* ---- k draws: sums over ordered k-tuples i1 <= i2 <= ..., with their multiplicities */
static double particles(const Family *f, const double *at, int k, double power) {
  static Grid   grid;
  static double weight[POINTS], mass[POINTS];
  double sum = 0;
  for (int r = 0; r < ROW_VALUES; r++) {
    fill(&grid, f, at[S], at[T], at[W], row_value[r]);
    int n = 0;
    for (int i = 0; i < grid.n; i++) {
      const Cell *c = &grid.cell[i];
      if (c->mass < 1e-10) continue;
      weight[n] = exp(power * (c->log_x + c->log_p - c->log_q)), mass[n++] = c->mass;
    }
    for (int i = 0; i < n; i++)
      for (int j = i; j < n; j++) {
        if (k == 2) { sum += (i == j ? 1 : 2) * mass[i] * mass[j] * log((weight[i] + weight[j]) / 2); continue; }
        for (int h = j; h < n; h++) {
          int same = (i == j) + (j == h);
          sum += (same == 2 ? 1 : same == 1 ? 3 : 6) * mass[i] * mass[j] * mass[h] * log((weight[i] + weight[j] + weight[h]) / 3);
        }
      }
  }
  return sum / ROW_VALUES / power;
}
static double iwae_two(const Family *f, const double *at) { return particles(f, at, 2, 1); }
static double iwae_three(const Family *f, const double *at) { return particles(f, at, 3, 1); }
static double renyi(const Family *f, const double *at) { return particles(f, at, 2, 0.5); }
static double chi(const Family *f, const double *at) { return particles(f, at, 2, 2); }

/* log q of two draws, by their shares of the weight; draws and weights stay those of the start. */
static double reweighted(const Family *f, const double *at) {
  static Grid   grid;
  static double moved[POINTS];
  double start[PARAMETERS], sum = 0;
  matrix_start(f, start);
  for (int r = 0; r < ROW_VALUES; r++) {
    fill(&grid, f, start[S], start[T], at[W], row_value[r]);
    int n = 0;
    for (int i = 0; i < grid.n; i++)
      if (grid.cell[i].mass >= 1e-10) moved[n] = f->log_density(grid.cell[i].z, at[S], at[T]), grid.cell[n++] = grid.cell[i];
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) {
        const Cell *a = &grid.cell[i], *b = &grid.cell[j];
        double share = 1 / (1 + exp(b->log_x + b->log_p - b->log_q - a->log_x - a->log_p + a->log_q));
        sum += a->mass * b->mass * (share * moved[i] + (1 - share) * moved[j]);
      }
  }
  return sum / ROW_VALUES;
}

/* ---- two guide variables: u ~ N(0.1, 0.8), a = s + 0.3 tanh u, z ~ FAMILY(a, t); r says u ~ N(v g(z), 1) */
static double auxiliary(const Family *f, const double *at) {
  static Grid grid;
  double sum = 0;
  for (int r = 0; r < ROW_VALUES; r++)
    for (double e = -6; e <= 6.2; e += 0.4) {
      double u = 0.1 + 0.8 * e, log_u = normal(u, 0.1, 0.8);
      fill(&grid, f, at[S] + 0.3 * tanh(u), at[T], at[W], row_value[r]);
      for (int i = 0; i < grid.n; i++) {
        const Cell *c = &grid.cell[i];
        sum += 0.8 * 0.4 * exp(log_u) * c->mass * (c->log_x + c->log_p + normal(u, at[V] * c->g, 1) - log_u - c->log_q);
      }
    }
  return sum / ROW_VALUES;
}

/* ---- draws of the model: z ~ FAMILY(s, t), x ~ N(w g(z), NOISE); the guide says z ~ FAMILY(v + 0.2 tanh x, its own) */
static double sleep_phase(const Family *f, const double *at) {
  static Grid grid;
  double sum = 0;
  fill(&grid, f, at[S], at[T], at[W], 0);
  for (double e = -6; e <= 6.2; e += 0.4)
    for (int i = 0; i < grid.n; i++) {
      const Cell *c = &grid.cell[i];
      double x = at[W] * c->g + NOISE * e;
      const Family *p = family_prior(f);
      sum += 0.4 * exp(normal(e, 0, 1)) * c->mass * p->log_density(c->z, at[V] + 0.2 * tanh(x), f->prior[1]);
    }
  return sum;
}

#define MEAN "mean(each row) E[$]($.g)"
const Objective objectives[] = {
  /* name         for the manual                          text                                             site in       over       traits                      value, body */
  {"elbo",        "elbo(p, q)",                           "elbo(p, $)",                                    GUIDE,        "p, $",    0,                   false, elbo, NULL},
  {"sampled",     "sampled_elbo(p, q)",                   "sampled_elbo(p, $)",                            GUIDE,        "p, $",    0,                   false, elbo, b_elbo},
  {"beta",        "beta_elbo(p, q, 0.6)",                 "beta_elbo(p, $, 0.6)",                          GUIDE,        "p, $",    0,                   false, beta, NULL},
  {"bits",        "description_length(p, q)",             "description_length(p, $)",                      GUIDE,        "p, $",    0,                   true,  nats_to_bits, NULL},
  {"iwae 2",      "iwae(p, q, k: 2)",                     "iwae(p, $, k: 2)",                              GUIDE,        "p, $",    PARTICLES | CURVED,  false, iwae_two, NULL},
  {"iwae 3",      "iwae(p, q, k: 3)",                     "iwae(p, $, k: 3)",                              GUIDE,        "p, $",    PARTICLES | CURVED,  false, iwae_three, NULL},
  {"renyi",       "renyi(p, q, 0.5, 2)",                  "renyi(p, $, 0.5, 2)",                           GUIDE,        "p, $",    PARTICLES | CURVED,  false, renyi, NULL},
  {"chi",         "chi(p, q, 2, 2)",                      "chi(p, $, 2, 2)",                               GUIDE,        "p, $",    PARTICLES | CURVED,  true,  chi, NULL},
  {"wake",        "wake_weighted(p, q, 2)",               "wake_weighted(p, $, 2)",                        GUIDE,        "p",       PARTICLES | STOPS,   false, iwae_two, NULL},
  {"reweighted",  "reweighted(p, q, 2)",                  "reweighted(p, $, 2)",                           GUIDE,        "$",       PARTICLES | STOPS,   false, reweighted, NULL},
  {"target rate", "target_rate(p, q, 5, 0.7)",            "target_rate(p, $, 5, 0.7)",                     GUIDE,        "p, $",    0,                   true,  target, NULL},
  {"free bits",   "free_bits(p, q, 5)",                   "free_bits(p, $, 5)",                            GUIDE,        "p, $",    0,                   false, likelihood, NULL},
  {"hvm",         "hvm(p, q, r)",                         "hvm(p, $, r)",                                  GUIDE_OF_TWO, "p, $, r", 0,                   false, auxiliary, NULL},
  {"square",      "square(mean(each row) E[q](q.g) - 0.5)", "square(" MEAN " - 0.5)",                      GUIDE,        "$",       PLUG_IN,             true,  square_of_mean, NULL},
  {"abs",         "abs(mean(each row) E[q](q.g) - 9)",    "abs(" MEAN " - 9)",                             GUIDE,        "$",       0,                   true,  abs_of_mean, NULL},
  {"infovae",     "infovae(p, q, 0.3, 2, square(...))",   "infovae(p, $, 0.3, 2, square(" MEAN " - 0.5))", GUIDE,        "p, $",    PLUG_IN,             false, infovae, NULL},
  {"model",       "E[m](log p.z)",                        "E[$](log p.z)",                                 MODEL,        "$",       DRAWS_X,             false, cross, b_prior},
  {"model, x",    "E[m](square(m.x - 0.4) * m.g)",        "E[$](square($.x - 0.4) * $.g)",                 MODEL,        "$",       DRAWS_X | CURVED,    false, drawn, b_drawn},
  {"sleep",       "E[m](log c.z)",                        "E[$](log c.z)",                                 MODEL,        "$, c",    DRAWS_X | CURVED,    false, sleep_phase, NULL},
};
const int nobjectives = sizeof objectives / sizeof *objectives;

/* ---- gradients */
void matrix_start(const Family *f, double *at) {
  at[S] = f->start[0], at[T] = f->start[1], at[W] = 0.8, at[V] = 0.3;
}
static double derivative(double (*value)(const Family *, const double *), const Family *f, int param) {
  double at[PARAMETERS], slope[2];
  matrix_start(f, at);
  for (int i = 0; i < 2; i++) {
    double h = i ? 4e-3 : 8e-3, here = at[param];
    at[param] = here + h;
    double up = value(f, at);
    at[param] = here - h;
    slope[i] = (up - value(f, at)) / (2 * h);
    at[param] = here;
  }
  return (4 * slope[1] - slope[0]) / 3;
}
void exact_gradient(const Objective *o, const Family *f, double *gradient) {
  for (int i = 0; i < PARAMETERS; i++) gradient[i] = derivative(o->value, f, i);
}

/* Straight-through estimators take a draw to move as its mean does; that of Gregor et al. moves bit i by half the change of its mean over the
 * probability of what was drawn.  The expectation of either is the gradient of the body at moved draws of the start's q. */
static void mean_of(const Family *f, const double *at, double *mean) {
  static Grid grid;
  fill(&grid, f, at[S], at[T], at[W], 0);
  for (int k = 0; k < 3; k++) mean[k] = 0;
  for (int i = 0; i < grid.n; i++)
    for (int k = 0; k < 3; k++) mean[k] += grid.cell[i].mass * grid.cell[i].z[k];
}
static double moved_value(const Objective *o, const Family *f, Move move, const double *at) {
  static Grid   grid;
  const Family *p = family_prior(f);
  double start[PARAMETERS], here[3], there[3], sum = 0;
  matrix_start(f, start);
  mean_of(f, start, here);
  mean_of(f, at, there);
  for (int r = 0; r < ROW_VALUES; r++) {
    fill(&grid, f, start[S], start[T], at[W], row_value[r]);
    for (int i = 0; i < grid.n; i++) {
      Cell  *c = &grid.cell[i];
      double z[3];
      for (int k = 0; k < 3; k++) z[k] = c->z[k] + (there[k] - here[k]) / (move == BY_MEAN ? 1 : 2 * (c->z[k] == 1 ? here[k] : 1 - here[k]));
      double g = f->value_of(z);
      Cell   to = {c->mass, f->log_density(z, at[S], at[T]), p->log_density(z, f->prior[0], f->prior[1]), normal(row_value[r], at[W] * g, NOISE), g, z};
      sum += c->mass * o->body(&to, at[W]);
    }
  }
  return sum / ROW_VALUES;
}
void moved_gradient(const Objective *o, const Family *f, Move move, double *gradient) {
  for (int i = S; i <= T; i++) {
    double at[PARAMETERS], h = 1e-4;
    matrix_start(f, at);
    at[i] += h;
    gradient[i] = moved_value(o, f, move, at);
    at[i] -= 2 * h;
    gradient[i] = (gradient[i] - moved_value(o, f, move, at)) / (2 * h);
  }
}

/* The estimate of (E g - c)^2 by a mean over n rows has expectation (E g - c)^2 + Var g / n; its gradient by the score function,
 * differentiated as a whole, differs by as much.  What multiplies 1 / n is below this. */
static double value_square(const Family *f, const double *at) { return expectation(f, at, b_value_square); }
static double mean_square(const Family *f, const double *at) { double m = expectation(f, at, b_value); return m * m; }
static double mean_alone(const Family *f, const double *at) { return expectation(f, at, b_value); }
double exact_plug_in(const Objective *o, const Family *f, int param) {
  if (!(o->traits & PLUG_IN)) return 0;
  return 1.3 * (2 * fabs(derivative(value_square, f, param)) + 2 * fabs(derivative(mean_square, f, param)) + fabs(derivative(mean_alone, f, param)));
}
double exact_mass(const Family *f) {
  double at[PARAMETERS];
  matrix_start(f, at);
  return expectation(f, at, b_one);
}
