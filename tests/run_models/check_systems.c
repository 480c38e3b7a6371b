/* Small cases of the systems' mathematics of which everything is known, through compiled trainers: models of this folder.
 *
 * What can be computed without sampling (divergences in closed form, sums over outcomes, log p - log q under the exact posterior, the
 * estimator of one draw that is known) must agree to rounding; what is estimated from draws within four standard errors, which
 * must be small themselves.  Numbers with ten digits are of closed forms or quadratures.  All in double and in single precision. */
#include "cases.h"

enum { ROWS = 50000 };
const Width widths[WIDTHS] = {{"--precision f64", 1e-9}, {"", 2e-5}};

/* ---- data */
typedef struct { const char *name; const double *row; int size; } Column;      /* size > 1: a vector for each row */
/* `rows` rows; with `each` the columns hold one value for every row, else they are repeated from the first. */
static void put(const Column *c, int n, uint64_t rows, bool each) {
  SviArray a[4] = {0};
  for (int i = 0; i < n; i++) {
    uint64_t size = (uint64_t)c[i].size, all = rows * size;
    double *x = calloc(all, sizeof *x);
    for (uint64_t k = 0; k < all; k++) x[k] = c[i].row[each ? k : k % size];
    a[i] = (SviArray){.name = (char *)(uintptr_t)c[i].name, .type = SVI_F64, .rank = c[i].size > 1 ? 2 : 1, .dim = {rows, size}, .bytes = x};
  }
  data_put("d.npz", a, (size_t)n);
  for (int i = 0; i < n; i++) free((void *)(uintptr_t)a[i].bytes);
}

static double value(const char *report) { return eval(report, "").value; }
/* One number for each row. */
static Numbers score(const char *report) {
  work_run("./m score --data d.npz --quiet --only %s --to s.npz", report);
  return work_read("s.npz", report);
}
/* An element of a gradient in g.npz, with its standard error. */
static Report gradient(const char *name, int element) {
  char se[100];
  snprintf(se, sizeof se, "%s.se", name);
  return (Report){.value = work_read("g.npz", name).at[element], .se = work_read("g.npz", se).at[element]};
}
static void gradients(int count, int seed) { work_run("./m gradients --data d.npz --quiet --count %d --seed %d --to g.npz", count, seed); }

static void is_for_each(const char *report, double want) {
  Numbers each = score(report);
  ck_assert_uint_gt(each.n, 0);
  for (uint64_t i = 0; i < each.n; i++) is_exactly(each.at[i], want, report);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double log_normal(double x, double m, double v) { return -0.5 * ((x - m) * (x - m) / v + log(2 * M_PI * v)); }

/* ---- precision D + u u': the factor R = D^-1/2 - alpha D^-1 u u' D^-1/2, alpha = (1 - sqrt(eta)) / s, eta = 1 / (1 + s), s = u' D^-1 u */
static const double diagonal[3] = {2, 1, 0.5}, direction[3] = {1, -1, 2}, centre[3] = {0.3, -0.2, 0.1};
static void rank_one_factor(const double *d, const double *u, double R[3][3]) {
  double s = 0;
  for (int i = 0; i < 3; i++) s += u[i] * u[i] / d[i];
  double alpha = (1 - sqrt(1 / (1 + s))) / s;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) R[i][j] = (i == j) / sqrt(d[i]) - alpha * u[i] / d[i] * u[j] / sqrt(d[j]);
}
static void solve3(double A[3][3], const double *b, double *x) {       /* by Cramer's rule */
  double det[4];
  for (int k = 0; k < 4; k++) {
    double M[3][3];
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 3; j++) M[i][j] = j == k - 1 ? b[i] : A[i][j];
    det[k] = M[0][0] * (M[1][1] * M[2][2] - M[1][2] * M[2][1]) - M[0][1] * (M[1][0] * M[2][2] - M[1][2] * M[2][0]) +
             M[0][2] * (M[1][0] * M[2][1] - M[1][1] * M[2][0]);
  }
  for (int k = 0; k < 3; k++) x[k] = det[k + 1] / det[0];
}
/* 1/2 |m + R noise|^2 */
static double half_square(const double *logd, const double *u, const double *noise) {
  double d[3], R[3][3], t = 0;
  for (int i = 0; i < 3; i++) d[i] = exp(logd[i]);
  rank_one_factor(d, u, R);
  for (int i = 0; i < 3; i++) {
    double x = centre[i];
    for (int j = 0; j < 3; j++) x += R[i][j] * noise[j];
    t += 0.5 * x * x;
  }
  return t;
}

START_TEST(a_rank_one_covariance) {
  static const double points[][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 1, 0}, {1, 0, -1}, {-2, 0.5, 3}}, y[7] = {0};
  put((Column[]){{"x", points[0], 3}, {"y", y, 1}}, 2, 7, true);
  start("rank_one", _i);
  is_exactly(value("kl"), 0.6742590572, "KL(N(mu, C) || N(0, I))");
  is_exactly(value("log_det"), -2.351375257, "log |C|");
  is_exactly(value("entropy"), 0.5 * (-2.351375257 + 3 * (log(2 * M_PI) + 1)), "the entropy");
  is_exactly(value("c11"), 0.4761904762, "C11");
  is_exactly(value("c22"), 0.9047619048, "C22");
  is_exactly(value("c33"), 0.4761904762, "C33");
  Numbers rank_one = score("density"), dense = score("density_dense");
  for (int k = 0; k < 7; k++) {                 /* seven points tell the centre, the precision and the constant */
    double q = 0, along = 0;
    for (int i = 0; i < 3; i++) q += diagonal[i] * pow(points[k][i] - centre[i], 2), along += direction[i] * (points[k][i] - centre[i]);
    is_exactly(rank_one.at[k], -0.5 * (q + along * along - 2.351375257 + 3 * log(2 * M_PI)), "the density");
    is_exactly(dense.at[k], rank_one.at[k], "the density by a Cholesky factor");
  }
}
END_TEST

START_TEST(draws_of_a_rank_one_covariance) {
  static const struct { const char *report; double value; } C[] = {
    {"s11", .4761904762}, {"s22", .9047619048}, {"s33", .4761904762}, {"s12", .0476190476}, {"s13", -.1904761905}, {"s23", .3809523810},
  };
  static const double zeros[3] = {0};
  put((Column[]){{"x", zeros, 3}, {"y", zeros, 1}}, 2, ROWS, false);
  start("rank_one", _i);
  for (size_t i = 0; i < sizeof C / sizeof *C; i++) is_about(eval(C[i].report, ""), C[i].value, 0.006, C[i].report);
  Numbers apart = score("apart");
  for (uint64_t i = 0; i < apart.n; i++) is_exactly(apart.at[i], 0, "log q at its draws, by rank one less by a Cholesky factor");
}
END_TEST

/* The gradient of 1/2 |xi|^2 by the mean is the draw xi = m + R noise, which gives the noise; the gradients by u and log d then
 * follow from R, and from no other factor of C. */
START_TEST(the_factor_of_a_rank_one_covariance) {
  static const double printed[3][3] = {{.6813757869, .0363891211, -.1029239770}, {.0514619885, .9272217579, .2058479541}, {-.2058479541, .2911129685, .5908217460}};
  static const double zeros[3] = {0};
  double R[3][3], logd[3], u[3], off[3], noise[3];
  put((Column[]){{"x", zeros, 3}, {"y", zeros, 1}}, 2, 1, false);
  start("rank_one", _i);
  rank_one_factor(diagonal, direction, R);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) is_near(R[i][j], printed[i][j], 1e-9, "an element of R");
  for (int seed = 0; seed < 3; seed++) {
    gradients(1, seed);
    for (int i = 0; i < 3; i++) logd[i] = log(diagonal[i]), u[i] = direction[i], off[i] = gradient("draw:moving.m", i).value - centre[i];
    solve3(R, off, noise);
    for (int i = 0; i < 6; i++) {
      const double step = 1e-5;
      double *at = i < 3 ? &u[i] : &logd[i - 3], was = *at;
      *at = was + step;
      double up = half_square(logd, u, noise);
      *at = was - step;
      double down = half_square(logd, u, noise);
      *at = was;
      is_near(gradient(i < 3 ? "draw:moving.u" : "draw:moving.logd", i % 3).value, (up - down) / (2 * step), 1e-8 + 5 * width->exact, "a gradient through the draw");
    }
  }
}
END_TEST

/* Posterior precision 1 + u u': rank one leaves no gap, the best diagonal one 1/2 (sum log(1 + u_i^2) - log(1 + |u|^2)). */
START_TEST(the_gap_of_a_diagonal_covariance) {
  static const double zeros[3] = {0}, y = 0.7;
  const double evidence = log_normal(y, 0, 7);
  put((Column[]){{"x", zeros, 3}, {"y", &y, 1}}, 2, ROWS, false);
  start("rank_one", _i);
  is_exactly(value("gap"), 0.5249110622, "the gap of the best diagonal");
  is_about(eval("bound", ""), evidence - 0.5249110622, 0.006, "the bound of the best diagonal");
  is_for_each("evidence", evidence);
  Numbers none = score("no_gap");
  for (uint64_t i = 0; i < none.n; i++) is_exactly(none.at[i], 0, "log q less the posterior's");
  gradients(1, 0);
  for (int i = 0; i < 3; i++) {
    ck_assert(fabs(gradient("best:diagonal.logd", i).value) < width->exact);
    ck_assert(fabs(gradient("best:diagonal.shift", i).value) < width->exact);
  }
}
END_TEST

/* ---- E exp(a'xi): with f = exp, slope and curvature are a f and a a' f at every draw */
START_TEST(gaussian_backpropagation) {
  static const double a[2] = {1, -0.5}, E = 1.473292954;
  static const double by_c[3] = {0.7366464768, 2 * -0.3683232384, 0.1841616192};      /* c[2] stands twice in the covariance */
  put_constant("x", 0, 20);
  start("price", _i);
  for (int seed = 0; seed < 2; seed++) {
    gradients(1, seed);
    double f = gradient("price:objective", 0).value, g = gradient("scalar:objective", 0).value;
    for (int i = 0; i < 2; i++) is_exactly(gradient("price:price.m", i).value / f, a[i], "the slope over f");
    for (int i = 0; i < 3; i++) {
      is_exactly(gradient("price:price.c", i).value / f, by_c[i] / E, "half the curvature over f");
      is_exactly(gradient("square:price.c", i).value, by_c[i] / E * 2, "half the curvature of a square");
    }
    is_exactly(gradient("scalar:scalar.m", 0).value / g, 1, "the slope of one number");
    is_exactly(gradient("scalar:scalar.v", 0).value / g, 0.25, "half its curvature, times the variance of 0.5");
  }
  gradients(3000, 0);
  static const char *const ways[] = {"price", "path"};
  for (int k = 0; k < 2; k++) {
    char name[64];
    snprintf(name, sizeof name, "%s:objective", ways[k]);
    is_about(gradient(name, 0), E, 0.01, name);
    snprintf(name, sizeof name, "%s:%s.m", ways[k], ways[k]);
    for (int i = 0; i < 2; i++) is_about(gradient(name, i), a[i] * E, 0.01, name);
    snprintf(name, sizeof name, "%s:%s.c", ways[k], ways[k]);
    for (int i = 0; i < 3; i++) is_about(gradient(name, i), by_c[i], 0.02, name);
  }
}
END_TEST

/* ---- one bit h of logit 0.4: each row gives q'(1) / (2 q(h)) f'(h), so the gradient follows from the share of ones */
static void from_two_seeds(const char *objective, const char *by, double zero, double one, double of[2]) {
  double share[2], g[2];
  for (int seed = 0; seed < 2; seed++) {
    gradients(1, seed);
    share[seed] = (gradient(objective, 0).value - zero) / (one - zero), g[seed] = gradient(by, 0).value;
  }
  ck_assert_msg(fabs(share[0] - share[1]) > 0.01, "both seeds have %g ones", share[0]);
  double slope = (g[1] - g[0]) / (share[1] - share[0]);
  of[0] = g[0] - share[0] * slope, of[1] = of[0] + slope;
}
START_TEST(the_estimator_of_darn) {
  const double q = sigmoid(0.4), dq = q * (1 - q);
  const struct { const char *name; double f0, f1, slope0, slope1, truth, mean; } rows[] = {
    {"quadratic", 1, 0, -3, 1, -.2402607457, -.2402607457},
    {"cubic", 0, 1, 0, 3, .2402607457, .3603911186},
    {"exp", 1, M_E, 1, M_E, .4128356735, .4466785825},
    {"linear", 0, 1, 1, 1, .2402607457, .2402607457},
  };
  put_constant("x", 0, 60);
  start("darn_unit", _i);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char name[64];
    double of[2];
    snprintf(name, sizeof name, "%s:objective", rows[i].name);
    char by[64];
    snprintf(by, sizeof by, "%s:q.l", rows[i].name);
    from_two_seeds(name, by, rows[i].f0, rows[i].f1, of);
    double error = 20 * width->exact;           /* two numbers from two sums */
    is_near(of[0], dq / (2 * (1 - q)) * rows[i].slope0, error, "the estimate at a draw of 0");
    is_near(of[1], dq / (2 * q) * rows[i].slope1, error, "the estimate at a draw of 1");
    is_near((1 - q) * of[0] + q * of[1], rows[i].mean, error, rows[i].name);
    if (i < 3) {
      snprintf(name, sizeof name, "true_%s:exact.l", rows[i].name);
      is_exactly(gradient(name, 0).value, rows[i].truth, name);
    }
  }
  /* the same by hand, for a linear function: with the probability of one above the line, and, wrongly, with that of the draw */
  double of[2];
  from_two_seeds("right:objective", "right:q.l", 0.5 * q / (1 - q), 1.5, of);
  is_near((1 - q) * of[0] + q * of[1], .2402607457, 20 * width->exact, "the right numerator");
  from_two_seeds("literal:objective", "literal:q.l", 0.5, 1.5, of);
  ck_assert_msg(fabs((1 - q) * of[0] + q * of[1]) < 20 * width->exact && fabs(of[1]) > 0.1, "the wrong numerator gives %g at 0, %g at 1", of[0], of[1]);
  gradients(1500, 0);
  is_about(gradient("cubic:q.l", 0), .3603911186, 0.002, "the mean of many draws");
}
END_TEST

/* ---- z ~ Gamma(2, 0.5), x_n ~ Poisson(w_n z): the posterior is Gamma(9, 4) */
START_TEST(a_conjugate_rate) {
  static const double x[3] = {3, 4, 0}, w[3] = {1, 2, 0.5}, y[9] = {3, 4, 0, 3, 4, 0, 3, 4, 0};
  put((Column[]){{"x", x, 1}, {"w", w, 1}, {"y", y, 3}}, 3, 3, true);
  start("conjugate", _i);
  for (int seed = 0; seed < 5; seed++) {        /* a draw for all rows: log p - log q is the same whatever it is */
    char more[32];
    snprintf(more, sizeof more, "--seed %d", seed);
    is_exactly(3 * eval("evidence", more).value, -5.455565286, "log p at a draw of the posterior");
    is_exactly(3 * eval("bayes", more).value, -5.455565286, "log p at another draw");
  }
  is_exactly(value("gap"), 5.749495752 - 5.455565286, "KL(Gamma(4, 2) || Gamma(9, 4))");
  const double psi4 = 1 + 1. / 2 + 1. / 3 - 0.5772156649015329, slope4 = M_PI * M_PI / 6 - 1 - 1. / 4 - 1. / 9;      /* digamma(4) and its derivative */
  is_exactly(value("rate"), 2 * psi4 - log(6) + 2 * log(2 / 0.5) + 4 * (0.5 - 2) / 2, "KL(Gamma(4, 2) || Gamma(2, 0.5))");
  gradients(6000, 0);
  const double by_a = 4 * (-5 * slope4 + 1), by_b = 2 * (9. / 2 - 4);
  is_exactly(gradient("gap:q.a", 0).value, by_a, "the gap's gradient by log shape");
  is_exactly(gradient("gap:q.b", 0).value, by_b, "the gap's gradient by log rate");
  is_about(gradient("bound:q.a", 0), -by_a / 3, 0.025, "the bound's gradient by log shape");
  is_about(gradient("bound:q.b", 0), -by_b / 3, 0.02, "the bound's gradient by log rate");
}
END_TEST

START_TEST(the_bound_of_a_conjugate_rate) {
  static const double x = 0, y[3] = {3, 4, 0};
  const double w = 1;
  put((Column[]){{"x", &x, 1}, {"w", &w, 1}, {"y", y, 3}}, 3, ROWS, false);
  start("conjugate", _i);
  is_about(eval("bound", ""), -5.749495752, 0.01, "the bound of Gamma(4, 2)");
}
END_TEST

/* ---- sigmoid belief net, all states summed over */
static void put_all_bits(void) {
  double x[24];
  for (int i = 0; i < 24; i++) x[i] = i / 3 >> i % 3 & 1;
  put(&(Column){"x", x, 3}, 1, 8, true);
}
START_TEST(a_belief_net_enumerated) {
  put_all_bits();
  start("sbn", _i);
  Numbers evidence = score("evidence"), bound = score("bound"), sampled = score("sampled");
  double sum = 0;
  for (int i = 0; i < 8; i++) {
    sum += exp(evidence.at[i]);
    is_exactly(sampled.at[i], bound.at[i], "the bound without a divergence in closed form");
    ck_assert(bound.at[i] < evidence.at[i]);
  }
  is_exactly(sum, 1, "the sum over x");
  is_exactly(evidence.at[5], -2.553419538, "log p(1, 0, 1)");
  is_exactly(evidence.at[0], -2.561943012, "log p(0, 0, 0)");
  is_exactly(evidence.at[7], -2.306184979, "log p(1, 1, 1)");
  is_exactly(bound.at[5], -2.948685588, "the bound of (1, 0, 1), q uniform");
}
END_TEST

/* Weights of no special values: lower bound <= log p <= upper bound on every row, and the sum over x is 1. */
START_TEST(bounds_are_on_their_sides) {
  put_all_bits();
  start("sbn", _i);
  for (int seed = 0; seed < 4; seed++) {
    work_run("./m train --data d.npz --steps %d --quiet --seed %d --out r%d", seed % 2 * 200, seed, seed);
    work_run("./m score --data d.npz --quiet --only any_evidence,any_bound,any_sampled,any_above --out r%d --to s.npz", seed);
    Numbers p = work_read("s.npz", "any_evidence"), low = work_read("s.npz", "any_bound"), draws = work_read("s.npz", "any_sampled"), high = work_read("s.npz", "any_above");
    double sum = 0;
    for (uint64_t i = 0; i < p.n; i++) {
      sum += exp(p.at[i]);
      is_exactly(draws.at[i], low.at[i], "the bound without a divergence in closed form");
      ck_assert_msg(low.at[i] < p.at[i] && p.at[i] < high.at[i], "%g < %g < %g", low.at[i], p.at[i], high.at[i]);
    }
    is_exactly(sum, 1, "the sum over x");
  }
}
END_TEST

/* ---- a fair bit through a channel that flips one in ten */
START_TEST(rate_distortion_and_information) {
  static const double x[4] = {0, 1, 1, 0};
  put(&(Column){"x", x, 1}, 1, 4, true);
  start("bit_rate", _i);
  const double H = M_LN2, I = value("I"), R = value("R_other"), D = value("D_other");
  is_exactly(I, 0.3680642072, "the information");
  is_exactly(value("R"), I, "the rate by the best marginal");
  is_exactly(H - value("D"), I, "H - D by the best decoder");
  is_exactly(R, 0.4552409007, "the rate by (0.7, 0.3)");
  is_exactly(D, 0.3617729874, "the distortion by a decoder that flips one in five");
  is_exactly(H - D, 0.3313741931, "H - D by that decoder");
  ck_assert(H - D < I && I < R);
}
END_TEST

/* ---- E k(z, z') = sqrt(l^2 / (l^2 + v + v')) exp(-(m - m')^2 / (2 (l^2 + v + v'))) */
START_TEST(the_maximum_mean_discrepancy) {
  put_constant("x", 0, ROWS);
  start("mmd", _i);
  is_about(eval("kqq", ""), .8164965809, 0.002, "E k(q, q)");
  is_about(eval("kpp", ""), .5773502692, 0.002, "E k(p, p)");
  is_about(eval("kqp", ""), .6306396459, 0.002, "E k(q, p)");
  is_about(eval("mmd", ""), .1325675582, 0.004, "the discrepancy");
  is_about(eval("library", ""), sqrt(2 / 2.5) * sqrt(2 / 4.), 0.002, "the library's kernel of width 2 in two dimensions");
  is_about(eval("features", ""), exp(-(0.7 * 0.7 + 0.6 * 0.6) / (2 * 1.5 * 1.5)), 0.002, "products of random features");
  gradients(50, 0);
  const double v = 0.25, m = 0.5, cross = .6306396459;
  is_about(gradient("q.m", 0), 2 * m / (2 + v) * cross, 0.002, "the gradient by the mean");
  is_about(gradient("q.logs", 0), -2 * v * pow(1 + 2 * v, -1.5) + 2 * cross * (v / (2 + v) - m * m * v / ((2 + v) * (2 + v))), 0.002, "the gradient by log sd");
}
END_TEST

/* ---- linear normal models */
static void put_two(double x, double y, uint64_t rows) { put((Column[]){{"x", &x, 1}, {"y", &y, 1}}, 2, rows, false); }
START_TEST(two_views) {
  put_two(0.8, -0.3, ROWS);
  start("two_views", _i);
  is_for_each("evidence", -3.077829979);
  is_for_each("bayes", -3.077829979);
  is_exactly(value("gap"), .7766685301, "KL(p(z | x) || p(z | x, y))");
  is_about(eval("bound", ""), -3.854498509, 0.02, "the bound of one view");
}
END_TEST

/* q(a | x) q(b | a) against p(b) p(a | b): given b, a is not distributed as q(a | x) says, so their divergence has no closed form here. */
START_TEST(a_guide_against_the_order_of_the_model) {
  put_two(1.3, 0, ROWS);
  start("two_views", _i);
  is_for_each("chain_evidence", log_normal(1.3, 0, 3));
  is_about(eval("chain_bound", ""), log_normal(1.3, 0, 3), 0.01, "the bound at the posterior");
}
END_TEST

/* The density of both views on a grid that holds all but 1e-12 of it. */
START_TEST(a_density_integrates_to_one) {
  enum { NX = 80, NY = 100 };
  const double dx = 0.25, dy = 0.35;
  double *x = calloc(NX * NY, sizeof *x), *y = calloc(NX * NY, sizeof *y), sum = 0;
  for (int i = 0; i < NX * NY; i++) x[i] = dx * (i / NY - NX / 2), y[i] = dy * (i % NY - NY / 2);
  put((Column[]){{"x", x, 1}, {"y", y, 1}}, 2, NX * NY, true);
  free(x), free(y);
  start("two_views", _i);
  Numbers each = score("evidence");
  for (uint64_t i = 0; i < each.n; i++) sum += exp(each.at[i]) * dx * dy;
  is_exactly(sum, 1, "the integral");
}
END_TEST

START_TEST(information_of_a_code) {
  put_two(0, 0, ROWS);
  start("two_views", _i);
  is_about(eval("information_exact", ""), .8606539041, 0.005, "the information by the exact posterior");
  is_about(eval("information_loose", ""), .7936530688, 0.005, "its bound by another reader");
  is_exactly(value("total_correlation"), .5928118328, "the total correlation of three variables of one factor");
  is_exactly(value("of_z"), 1.198947636, "their information of the factor");
}
END_TEST

/* ---- a guide with a variable of its own, over two bits */
START_TEST(a_hierarchical_guide) {
  static const double table[2][2] = {{-1, -3}, {-3.5, -1.2}};
  put_constant("x", 0, 3);
  start("hvm_toy", _i);
  const double evidence = value("evidence"), exact = value("hvm_exact"), loose = value("hvm_ahead");
  is_exactly(evidence, -.2889387219, "the evidence");
  is_exactly(value("marginal"), -.5000667186, "the bound of the guide's marginal");
  is_exactly(exact, -.5000667186, "the bound with the exact posterior of the guide's own variable");
  is_exactly(loose, -.8321038254, "the bound with the prior in its place");
  /* the best of its family, by fixed-point iteration */
  double a = .1775, b = .225, bound = 0;
  for (int i = 0; i < 1000; i++) {
    a = sigmoid(b * (table[1][1] - table[0][1]) + (1 - b) * (table[1][0] - table[0][0]));
    b = sigmoid(a * (table[1][1] - table[1][0]) + (1 - a) * (table[0][1] - table[0][0]));
  }
  for (int i = 0; i < 4; i++) {
    double p = (i / 2 ? a : 1 - a) * (i % 2 ? b : 1 - b);
    bound += p * (table[i / 2][i % 2] - log(p));
  }
  is_near(bound, -.7212735, 1e-7, "the best mean field by hand");
  work_run("./m train --data d.npz --quiet --steps 2000");
  is_exactly(value("mean_field"), bound, "the best mean field");
  ck_assert(evidence > exact && exact > bound && bound > loose);
}
END_TEST

/* ---- K = 1, mu = 1.2, sigma = 0.4, logits (2 z, -z), class 0 */
START_TEST(an_information_bottleneck) {
  put_constant("y", 0, ROWS);
  start("vib_toy", _i);
  is_about(eval("cross_entropy", ""), .0513726728, 0.0005, "the cross entropy");
  is_exactly(value("divergence"), 1.216290732, "the divergence");
  is_about(eval("J", ""), .0525889636, 0.0005, "J in nats");
  is_about(eval("J_bits", ""), .0758698369, 0.0007, "J in bits");
  is_about(eval("J", "--set beta=0"), .0513726728, 0.0005, "J at beta = 0");
  double slope = 0;                             /* E d/dz log(1 + exp(-3 z)), by the trapezoid rule */
  for (int i = -400; i <= 400; i++) slope += 0.02 * exp(log_normal(0.02 * i, 0, 1)) * -3 * sigmoid(-3 * (1.2 + 0.4 * 0.02 * i));
  gradients(50, 0);
  is_about(gradient("q.m", 0), slope + 1e-3 * 1.2, 0.0005, "J's gradient by the mean");
}
END_TEST

/* ---- D(R) = 100 exp(-R / 20), of slope -1 at R = 20 log 5: a weight of 1 does not hold a rate below that */
START_TEST(target_rates) {
  static const struct { double sigma, weight, rate; } rows[] = {{10, 1, 32.188758248682}, {10, 6, 10}, {50, 1, 50}, {50, 6, 50}};
  put_constant("x", 0, 1);
  start("target_rate", _i);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    work_run("./m train --data d.npz --quiet --steps 3000 --out r --set sigma=%g --set weight=%g", rows[i].sigma, rows[i].weight);
    double R = eval("R", "--out r").value;
    ck_assert_msg(fabs(R - rows[i].rate) < 0.01, "sigma %g, weight %g: the rate is %g and should be %g", rows[i].sigma, rows[i].weight, R, rows[i].rate);
    is_exactly(eval("D", "--out r").value, 100 * exp(-R / 20), "the distortion");
  }
}
END_TEST

/* ---- three classes and one bit */
START_TEST(two_forms_of_infovae) {
  static const struct { const char *options; double value; } rows[] = {
    {"--set alpha=0 --set lambda=1", -.0943813565}, {"--set alpha=0.5 --set lambda=2", -.0589940064},
    {"--set alpha=1 --set lambda=10", -.4309275940}, {"--set alpha=-3 --set lambda=4", -.8304038051},
  };
  static const double x[10] = {0, 0, 0, 0, 0, 1, 1, 1, 2, 2};
  put(&(Column){"x", x, 1}, 1, 10, true);
  start("info_toy", _i);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    is_exactly(eval("first",  rows[i].options).value, rows[i].value, "the form by divergences");
    is_exactly(eval("second", rows[i].options).value, rows[i].value, "the library's form");
  }
  const double H = -0.5 * log(0.5) - 0.3 * log(0.3) - 0.2 * log(0.2);
  is_exactly(value("bound") + H, -.0943813565, "the bound");
  gradients(1, 0);                              /* alpha = 0, lambda = 1: the bound, bit for bit */
  for (int i = 0; i < 3; i++) {
    double g = gradient("info:one.a", i).value;
    ck_assert(g == gradient("elbo:one.a", i).value && g != 0);
  }
}
END_TEST

/* ---- eight stages of 3^i epochs, at 1e-3 10^(-i/7): with a gradient of 1 and one step an epoch the parameter is their sum */
START_TEST(stages_of_the_learning_rate) {
  double sum = 0, epochs = 0, stage = 1;
  put_constant("x", 0, 1);
  start("schedule", _i);
  for (int i = 0; i < 8; i++, stage *= 3) {
    epochs += stage, sum += stage * 1e-3 * pow(10, -i / 7.);
    if (i == 5 || i == 6) continue;
    work_run("./m train --data d.npz --quiet --epochs %g --out r", epochs);
    is_exactly(eval("total", "--out r").value, sum, "the sum of the learning rates");
  }
  put_constant("x", 0, 50000);
  is_exactly(value("log_rows"), 10.81977828, "log 50000");
}
END_TEST

/* ---- the oracle */
START_TEST(generated_code_agrees_with_the_evaluator) {
  static const double vector[3] = {1, 0, 2}, one = 1;
  const struct { const char *model; Column c[3]; int n; } rows[] = {
    {"rank_one", {{"x", vector, 3}, {"y", &one, 1}}, 2}, {"price", {{"x", &one, 1}}, 1}, {"darn_unit", {{"x", &one, 1}}, 1},
    {"conjugate", {{"x", &one, 1}, {"w", &one, 1}, {"y", vector, 3}}, 3}, {"bit_rate", {{"x", &one, 1}}, 1}, {"mmd", {{"x", &one, 1}}, 1},
    {"two_views", {{"x", &one, 1}, {"y", &one, 1}}, 2}, {"hvm_toy", {{"x", &one, 1}}, 1}, {"vib_toy", {{"y", &one, 1}}, 1},
    {"info_toy", {{"x", &one, 1}}, 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    put(rows[i].c, rows[i].n, 40, false);
    start(rows[i].model, _i);
    work_run("./m self-check --data d.npz --rows 40");
  }
  put_all_bits();
  start("sbn", _i);
  work_run("./m self-check --data d.npz");
}
END_TEST

static void add(TCase *t) {
  tcase_add_loop_test(t, a_rank_one_covariance, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, draws_of_a_rank_one_covariance, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, the_factor_of_a_rank_one_covariance, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, the_gap_of_a_diagonal_covariance, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, gaussian_backpropagation, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, the_estimator_of_darn, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_conjugate_rate, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, the_bound_of_a_conjugate_rate, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_belief_net_enumerated, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, bounds_are_on_their_sides, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, rate_distortion_and_information, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, the_maximum_mean_discrepancy, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, two_views, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_guide_against_the_order_of_the_model, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_density_integrates_to_one, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, information_of_a_code, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_hierarchical_guide, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, an_information_bottleneck, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, target_rates, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, two_forms_of_infovae, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, stages_of_the_learning_rate, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, generated_code_agrees_with_the_evaluator, FIRST_WIDTH, WIDTHS);
}

int main(void) { return run_cases("systems", add); }
