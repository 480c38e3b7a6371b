/* All that the library says of its distributions, against sums over grids, differences, and draws.
 *
 * For each row of dists.def, in double precision by the reference evaluator (generated code is compared with that elsewhere):
 *   the density integrates to one; draws have that density and lie in the support; mean, variance, entropy and every divergence
 *   known (from any other row) are those of the density; gradients of all of these are those of differences; the pathwise gradient
 *   of an expectation, or for what has none the score function's, is that of differences of the sum; tails have no NaN, and
 *   single precision agrees as far as it can, and never draws what has no finite density.
 * Keys are fixed: a row passes or fails once and for all. */
#include "dists.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
enum { DRAWS = 25000 };                                   /* for its memory, not for its numbers */
#else
enum { DRAWS = 100000 };
#endif
#define CLEARLY (0.05 * sqrt(100000.0 / DRAWS))           /* how small a standard error must be, against a gross error */
enum { POINTS = 12, TOLD = 12 };

static Arena *arena;
static Typed *typed;
static Dist *d;
static Val path[ARGS];
static char *told;
static uint32_t ntold, nclaims, npairs;
static bool verbose;

/* ---- claims: all of a row are tried, and what failed is told together */
__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...) {
  if (ntold++ >= TOLD) return;
  va_list args;
  va_start(args, format);
  char line[400];
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  told = arena_printf(arena, "%s\n    %s: %s", told, d->row->text, line);
}
static void near(const char *member, double got, double want, double allowed) {
  nclaims++;
  if (got == want || fabs(got - want) <= allowed) return;
  wrong("%s is %.12g, should be %.12g, within %.2g", member, got, want, allowed);
}
static void holds(bool good, const char *what) {
  nclaims++;
  if (!good) wrong("%s", what);
}
/* Within four standard errors.  A gross error must show: `large` is the size of one, and the standard error must be well below it. */
static void near_mean(const char *member, double sum, double squares, uint64_t n, double want, double exact, double large) {
  double mean = sum / (double)n, se = sqrt(fmax(0, squares / (double)n - mean * mean) / (double)n);
  nclaims++;
  if (se > CLEARLY * large + exact) wrong("%s: the standard error %.2g of its draws is too large to see an error of %.2g", member, se, large);
  if (!(fabs(mean - want) <= 4 * se + exact)) wrong("%s is %.9g +- %.2g, should be %.9g", member, mean, se, want);
}

/* ---- expectations on a grid */
typedef struct { double value, error; bool diverges; } Mean;
/* Of f, every `step`-th number.  `diverges`: its terms do not fall towards an end of the grid, or are infinite. */
static Mean mean_of(const Grid *g, const double *f, uint32_t step) {
  Mean m = {0};
  double all = 0, most = 0, highest = 0, ends[2] = {0};
  bool line = g->shape[0] && !g->shape[1], seen = false;
  for (uint64_t i = 0; i < g->n; i++) {
    if (!(g->p[i] > 0)) continue;
    double size = g->p[i] * fabs(f[i * step]);
    if (!isfinite(size)) return (Mean){.value = size, .diverges = true};
    m.value += g->p[i] * f[i * step], all += size, m.error += size * g->slack[i];
    most = fmax(most, size), highest = fmax(highest, g->p[i]);
    if (!seen) ends[0] = size, seen = true;
    ends[1] = size;
  }
  if (line && g->missing > 1e-12) m.error += 10 * g->missing * fmax(1, most / highest);      /* x cannot come nearer to an end */
  else if (line) m.diverges = ends[0] + ends[1] > 1e-3 * most, m.error += 3000 * (ends[0] + ends[1]);
  m.error += 2e-7 * all;
  return m;
}

static Mean smooth_mean(const Grid *g) {
  double *f = arena_alloc(d->arena, (g->n + 1) * sizeof *f);
  for (uint64_t i = 0; i < g->n; i++) f[i] = dist_smooth(d, g->x + i * d->size);
  return mean_of(g, f, 1);
}

static void density_is_one(const Grid *g) {
  double *one = arena_alloc(d->arena, (g->n + 1) * sizeof *one);
  for (uint64_t i = 0; i < g->n; i++) one[i] = 1;
  Mean m = mean_of(g, one, 1);
  near(d->kind != CONTINUOUS ? "the sum of exp(logpdf)" : "the integral of exp(logpdf)", m.value, 1, m.error);
  holds(m.error < 1e-4, "the grid does not see the density well enough: too much of it lies where rounding reaches an end of the support");
}

/* ---- draws */
static bool inside(const Dist *dist, const double *x) {
  Range r = dist->range;
  double sum = 0;
  for (uint32_t e = 0; e < dist->size; e++) {
    if (!(x[e] >= r.lo && x[e] <= r.hi) || (r.lo_open && x[e] == r.lo) || (r.hi_open && x[e] == r.hi)) return false;
    if (r.whole && x[e] != floor(x[e])) return false;
    sum += x[e];
  }
  if (r.form == FORM_SIMPLEX) return fabs(sum - 1) < 1e-5;
  return true;
}
static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
/* Kolmogorov and Smirnov's distance, along each coordinate of the grid; 2.3 / sqrt(n) is passed once in 20000. */
static void draws_follow(const Grid *g) {
  double *v = arena_alloc(d->arena, d->draws * d->coordinates * sizeof *v), *one = arena_alloc(d->arena, d->draws * sizeof *one);
  for (uint64_t i = 0; i < d->draws; i++) dist_coordinates(d, d->draw + i * d->size, v + i * d->coordinates);
  for (uint32_t k = 0; k < d->coordinates; k++) {
    for (uint64_t i = 0; i < d->draws; i++) one[i] = v[i * d->coordinates + k];
    qsort(one, d->draws, sizeof *one, by_size);
    double *mass = arena_alloc(d->arena, g->shape[k] * sizeof *mass);
    uint64_t inner = 1;
    for (uint32_t j = k + 1; j < d->coordinates; j++) inner *= g->shape[j];
    for (uint64_t i = 0; i < g->n; i++) mass[i / inner % g->shape[k]] += g->p[i];
    double below = 0, furthest = 0, h = (d->to[k] - d->from[k]) / (g->shape[k] - 1);
    uint64_t count = 0;
    for (uint32_t i = 0; i < g->shape[k]; i++) {
      while (count < d->draws && one[count] <= d->from[k] + h * i) count++;
      furthest = fmax(furthest, fabs((double)count / (double)d->draws - below - mass[i] / 2));
      below += mass[i];
    }
    near("the distance of its draws' distribution from the density's", furthest, 0, 2.3 / sqrt((double)d->draws) + 1e-4 * (h > 0.01) + 10 * g->missing);
  }
}
/* Chi-squared over bins of at least ten expected, as a normal deviate (Wilson, Hilferty 1931). */
static void draws_are_counted(const Grid *g) {
  double *count = arena_alloc(d->arena, g->n * sizeof *count);
  bool same = true;
  for (uint64_t i = 0; i < d->draws; i++) {
    uint64_t at = 0;
    const double *x = d->draw + i * d->size;
    same = same && x[0] == g->x[0];
    if (d->kind == POINT) continue;
    if (d->kind == INDICATOR) while (at + 1 < d->size && x[at] != 1) at++;
    else at = (uint64_t)(x[0] - d->range.lo);
    count[at < g->n ? at : g->n - 1]++;
  }
  if (d->kind == POINT) { holds(same, "a draw is not the value of all probability"); return; }
  double chi = 0, observed = 0, expected = 0, rest = 1;
  int bins = 0;
  for (uint64_t i = 0; i < g->n; i++) {
    observed += count[i], expected += g->p[i] * (double)d->draws, rest -= g->p[i];
    if (i + 1 < g->n && (expected < 10 || rest * (double)d->draws < 10)) continue;
    if (expected > 0) chi += (observed - expected) * (observed - expected) / expected, bins++;
    else holds(observed == 0, "it draws what has no probability");
    observed = expected = 0;
  }
  double df = bins - 1;
  if (df < 1) return;
  near("chi-squared of its draws, as a normal deviate", fmax(0, (cbrt(chi / df) - (1 - 2 / (9 * df))) / sqrt(2 / (9 * df))), 0, 4);
}
static void draws_agree(const Grid *g) {
  dist_reset(d);
  double *log_p = dist_eval1(d, d->draws, d->logpdf, false);
  uint64_t out = 0, infinite = 0;
  for (uint64_t i = 0; i < d->draws; i++) {
    out += !inside(d, d->draw + i * d->size);
    infinite += !isfinite(log_p[i]);
  }
  near("the number of draws outside the support", (double)out, 0, 0);
  near("the number of draws without a finite density", (double)infinite, 0, 0);
  if (out || infinite) return;
  if (d->kind != CONTINUOUS) draws_are_counted(g);
  else draws_follow(g);
  /* moments of bounded functions, which see how the elements of a vector hang together; and of the density itself */
  uint32_t n = d->size, pairs = n * (n + 1) / 2;
  for (uint32_t q = 0, a = 0, b = 0; q <= pairs && n <= 9; q++, b++) {
    if (b == n) b = ++a;
    double sum = 0, squares = 0;
    double *f = arena_alloc(d->arena, (g->n + 1) * sizeof *f);
    for (int from_grid = 0; from_grid < 2; from_grid++)
      for (uint64_t i = 0; i < (from_grid ? g->n : d->draws); i++) {
        const double *x = (from_grid ? g->x : d->draw) + i * n;
        double value;
        if (q == pairs) value = from_grid ? g->log_p[i] : log_p[i];
        else value = tanh(d->slope[a] * (x[a] - d->centre[a]) + 0.5) * tanh(d->slope[b] * (x[b] - d->centre[b]) + 0.5);
        if (from_grid) f[i] = value;
        else sum += value, squares += value * value;
      }
    Mean want = mean_of(g, f, 1);
    near_mean(q == pairs ? "the mean of logpdf of its draws" : "a moment of its draws", sum, squares, d->draws, want.value, want.error + 1e-9, q == pairs ? 2 : 0.2);
  }
}

/* D(...)[2]: two draws of the same law that know nothing of one another, scored together. */
static void copies_are_independent(const Grid *g) {
  if (d->kind == POINT || d->value.mixture) return;        /* copies of a mixture are refused */
  DistValue two = d->value;
  const Shape *s = d->site->shape;
  uint32_t dim[DIM_MAX] = {2};
  memcpy(dim + 1, s->dim, s->rank * sizeof *dim);
  two.copies_rank = 1, two.copies[0] = 2;
  const Shape *event = graph_shape(d->g, (AxisSet)1 << d->axis, s->rank + 1, dim);
  Val x = graph_leaf(d->g, OP_input, name_of("x of two"), LEAF_X, event, d->range);
  Val both = dist_member(typed, d->g, &two, "logpdf", x, NULL, 0);
  Val sample = dist_member(typed, d->g, &two, "sample", NO_VAL, event, graph_draw(d->g, (Draw){.name = name_of("two")}));
  if (both == NO_VAL || sample == NO_VAL || shape_of(d->g, sample) != event) { wrong("two copies cannot be scored or drawn"); return; }
  dist_reset(d);
  uint64_t n = d->draws / 2;
  double *one = dist_eval1(d, 2 * n, d->logpdf, false), *sum = dist_eval1(d, n, graph_sum_all(d->g, both), false), furthest = 0;
  for (uint64_t i = 0; i < n; i++) furthest = fmax(furthest, fabs(sum[i] - one[2 * i] - one[2 * i + 1]) / (1 + fabs(sum[i])));
  near("the difference of the density of two copies from that of each", furthest, 0, 1e-11);
  double *draw = dist_eval1(d, n, sample, false), a1 = 0, b1 = 0, a2 = 0, b2 = 0, ab = 0;
  Mean want = smooth_mean(g);
  for (uint64_t i = 0; i < n; i++) {
    double a = dist_smooth(d, draw + 2 * i * d->size) - want.value, b = dist_smooth(d, draw + (2 * i + 1) * d->size) - want.value;
    a1 += a, b1 += b, a2 += a * a, b2 += b * b, ab += a * b;
  }
  near_mean("the mean of the first of two copies, from that of one,", a1, a2, n, 0, want.error + 1e-9, 1);
  near_mean("the mean of the second of two copies, from that of one,", b1, b2, n, 0, want.error + 1e-9, 1);
  if (a2 > 1e-3 && b2 > 1e-3) near("the correlation of two copies, in standard errors,", ab / sqrt(a2 * b2) * sqrt((double)n), 0, 4);
}

/* ---- members without arguments */
static Val part(const char *member) {
  Val v = dist_member(typed, d->g, &d->value, member, NO_VAL, NULL, 0);
  if (v != NO_VAL && shape_of(d->g, v)->rank == 0 && d->site->shape->rank && strcmp(member, "entropy") != 0)
    v = graph_spread(d->g, v, graph_shape(d->g, shape_of(d->g, v)->axes, d->site->shape->rank, d->site->shape->dim));
  return v;
}
static void member_is(const char *member, const double *got, const Grid *g, const double *f, uint32_t e) {
  Mean want = mean_of(g, f + e, d->size);
  char name[100];
  snprintf(name, sizeof name, d->size > 1 ? "%s, element %u" : "%s", member, e + 1);
  if (want.diverges) { nclaims++; if (isfinite(got[e])) wrong("%s is %.9g, and there is none", name, got[e]); }
  else near(name, got[e], want.value, want.error + 1e-12);
}
static void moments_agree(const Grid *g) {
  double *f = arena_alloc(d->arena, (g->n * d->size + 1) * sizeof *f);
  dist_reset(d);
  Val mean = part("mean"), variance = part("variance"), entropy = part("entropy");
  if (d->row->circle && mean != NO_VAL) {                /* the direction of the mean, of which whole turns do not matter */
    double wave[2];
    for (int i = 0; i < 2; i++) {
      for (uint64_t k = 0; k < g->n; k++) f[k] = i ? cos(g->x[k]) : sin(g->x[k]);
      wave[i] = mean_of(g, f, 1).value;
    }
    near("mean, in turns", remainder(dist_eval1(d, 1, mean, false)[0] - atan2(wave[0], wave[1]), 2 * M_PI), 0, 1e-6);
    mean = NO_VAL;
  }
  for (uint32_t e = 0; mean != NO_VAL && e < d->size; e++) member_is("mean", dist_eval1(d, 1, mean, false), g, g->x, e);
  for (uint32_t e = 0; variance != NO_VAL && e < d->size; e++) {
    Mean m = mean_of(g, g->x + e, d->size);
    for (uint64_t i = 0; i < g->n; i++) f[i * d->size + e] = (g->x[i * d->size + e] - m.value) * (g->x[i * d->size + e] - m.value);
    member_is("variance", dist_eval1(d, 1, variance, false), g, f, e);
  }
  if (entropy == NO_VAL) return;
  for (uint64_t i = 0; i < g->n; i++) f[i] = -g->log_p[i];
  Mean want = mean_of(g, f, 1);
  near("entropy", dist_eval1(d, 1, graph_sum_all(d->g, entropy), false)[0], want.value, want.error + 1e-12);
}

/* ---- gradients against differences of fourth order */
static const double offset[4] = {-2, -1, 1, 2};
static void difference_is(const char *what, double got, const double f[4], double h) {
  double near_by = (f[2] - f[1]) / (2 * h), wide = (f[3] - f[0]) / (4 * h), want = (4 * near_by - wide) / 3;
  double size = 1 + fabs(f[0]) + fabs(f[3]);
  if (d->row->corner && fabs(near_by - wide) > 1e-3 * (fabs(near_by) + fabs(wide))) return;      /* across it */
  if (!isfinite(want)) return;                            /* the value itself is looked at elsewhere */
  near(what, got, want, 1e-5 * fabs(want) + 0.01 * fabs(want - near_by) + 1e-10 * size / h);
}
/* v at `count` rows of x, at the parameters of `of` moved to the four places; h is made smaller until v is smooth over them. */
static double *around(Val v, const Dist *of, const Direction *way, uint64_t count, const double *x, double *h) {
  Leaf *leaf = &d->leaf[of->first_leaf + way->k], saved = *leaf;
  uint32_t one = of->ntheta[way->k];
  double *theta = arena_alloc(d->arena, 4 * count * one * sizeof *theta), *f = NULL;
  d->leaf[LEAF_X].at = x;
  *leaf = (Leaf){theta, true};
  for (int turn = 0; turn < 5; turn++, *h /= 4) {
    for (uint64_t i = 0; i < 4 * count; i++) {
      memcpy(theta + i * one, of->theta[way->k], one * sizeof *theta);
      theta[i * one + way->i] += offset[i / count] * *h;
      if (way->j >= 0) theta[i * one + (uint32_t)way->j] -= offset[i / count] * *h;
    }
    f = dist_eval1(d, 4 * count, v, false);
    bool smooth = true;
    for (uint64_t i = 0; i < count; i++) {
      double near_by = (f[2 * count + i] - f[count + i]) / 2, wide = (f[3 * count + i] - f[i]) / 4;
      smooth = smooth && !(fabs(near_by - wide) > 1e-3 * fabs(near_by) + 1e-9 * (1 + fabs(f[i])));
    }
    if (smooth || turn == 4) break;
  }
  *leaf = saved;
  d->leaf[LEAF_X].at = d->draw;
  return f;
}
/* Of v, which is along the rows, at `count` rows of x, by the parameters of `of`. */
static void gradient_is(const char *member, Val v, Dist *of, uint64_t count) {
  Val wrt[ARGS], grad[ARGS];
  uint32_t n = 0, place[ARGS];
  for (uint32_t k = 0; k < ARGS; k++) if (of->ntheta[k]) place[k] = n, wrt[n++] = of->param[k];
  Val root = dist_over_rows(d, v), culprit;
  if (n == 0 || graph_no_gradient(d->g, root, wrt, n, &culprit)) return;      /* a model that asks for it is refused */
  graph_grad(d->g, root, wrt, n, grad);
  double *x = arena_alloc(d->arena, (4 * count * d->size + 1) * sizeof *x);
  for (uint64_t i = 0; i < 4 * count * d->size; i++) x[i] = d->draw[i % (count * d->size)];
  for (uint32_t w = 0; w < of->ndirection; w++) {
    const Direction *way = &of->direction[w];
    Val dv = grad[place[way->k]];
    uint32_t one = of->ntheta[way->k];
    double h = 0.25 * way->step, *g = dv == NO_VAL ? NULL : dist_eval1(d, count, dv, false), *f = around(v, of, way, count, x, &h);
    char name[200];
    snprintf(name, sizeof name, "the gradient of %s by %s", member, node_of(d->g, of->param[way->k])->attr.leaf.name);
    for (uint64_t i = 0; i < count; i++) {
      double got = !g ? 0 : g[i * one + way->i] - (way->j >= 0 ? g[i * one + (uint32_t)way->j] : 0);
      difference_is(name, got, (double[]){f[i], f[count + i], f[2 * count + i], f[3 * count + i]}, h);
    }
  }
}
static void gradient_by_x(uint64_t count) {
  if (d->kind != CONTINUOUS || d->score_x == NO_VAL) return;
  double *g = dist_eval1(d, count, d->score_x, false), *x = arena_alloc(d->arena, 4 * count * d->size * sizeof *x);
  double *h = arena_alloc(d->arena, count * sizeof *h);
  for (uint32_t e = 0; e < d->size; e++) {
    Range r = d->range;
    if (r.form == FORM_CORR_CHOLESKY && e % d->site->shape->dim[0] > e / d->site->shape->dim[0]) continue;
    for (uint64_t i = 0; i < count; i++) {
      const double *at = d->draw + i * d->size;
      double room = fmin(at[e] - r.lo, r.hi - at[e]);
      h[i] = 1e-3 * fmin(fmax(1 / d->slope[e], fabs(at[e] - d->centre[e])), 5 * room);
      for (int o = 0; o < 4; o++) {
        double *moved = x + ((uint64_t)o * count + i) * d->size;
        memcpy(moved, at, d->size * sizeof *x);
        moved[e] += offset[o] * h[i];
      }
    }
    d->leaf[LEAF_X].at = x;
    double *f = dist_eval1(d, 4 * count, d->logpdf, false);
    d->leaf[LEAF_X].at = d->draw;
    for (uint64_t i = 0; i < count; i++)
      if (h[i] > 0) difference_is("the gradient of logpdf by x", g[i * d->size + e], (double[]){f[i], f[count + i], f[2 * count + i], f[3 * count + i]}, h[i]);
  }
}
static void gradients_agree(void) {
  static const char *const members[] = {"mean", "variance", "entropy"};
  dist_reset(d);
  gradient_is("logpdf", d->logpdf, d, POINTS);
  gradient_by_x(POINTS);
  for (size_t i = 0; i < LEN(members); i++) {
    Val v = part(members[i]);
    if (v == NO_VAL) continue;
    gradient_is(members[i], graph_expand_axes(d->g, graph_sum_all(d->g, v), (AxisSet)1 << d->axis & ~shape_of(d->g, v)->axes), d, 1);
  }
}

/* ---- gradients of expectations */
static double slope_along(const Direction *way, const double *g) { return g[way->i] - (way->j >= 0 ? g[way->j] : 0); }

static void expectations_have_gradients(const Grid *g) {
  Val wrt[ARGS], grad[ARGS];
  uint32_t n = 0;
  for (uint32_t k = 0; k < ARGS; k++) if (d->ntheta[k]) wrt[n++] = d->param[k];
  if (n == 0) return;
  dist_reset(d);
  Val culprit;
  const char *why = graph_no_gradient(d->g, d->smooth, wrt, n, &culprit);
  bool jumps = d->kind == WHOLE || d->kind == INDICATOR || d->value.mixture;
  holds(!why || jumps, "its draws have no pathwise gradient");
  bool pathwise = !why && !jumps;
  for (uint32_t k = 0; k < ARGS; k++) path[k] = NO_VAL;
  if (pathwise) graph_grad(d->g, dist_over_rows(d, d->smooth), wrt, n, grad);
  for (uint32_t k = 0, i = 0; k < ARGS && pathwise; k++) if (d->ntheta[k]) path[k] = grad[i++];
  double *f = arena_alloc(d->arena, (g->n + 1) * sizeof *f), *s2 = arena_alloc(d->arena, (g->n + 1) * sizeof *f);
  for (uint32_t w = 0; w < d->ndirection; w++) {
    const Direction *way = &d->direction[w];
    Name name = node_of(d->g, d->param[way->k])->attr.leaf.name;
    char what[200];
    double h = way->step, near_by, wide, want, error;
    for (int turn = 0;; turn++, h /= 4) {
      Direction step = *way;
      double e[4];
      step.step = h, error = 0;
      for (int o = 0; o < 4; o++) {
        double *theta[ARGS];
        dist_move(d, &step, offset[o], theta);
        Mean m = smooth_mean(grid_new(d, theta));
        e[o] = m.value, error = fmax(error, m.error);
      }
      near_by = (e[2] - e[1]) / (2 * h), wide = (e[3] - e[0]) / (4 * h), want = (4 * near_by - wide) / 3;
      if (turn == 3 || fabs(near_by - wide) < 0.01 * fabs(near_by) + 1e-8 / h) break;
    }
    /* what the grid leaves out is nearly the same on all four */
    double exact = 1e-5 * fabs(want) + 0.01 * fabs(want - near_by) + (1e-9 + 1e-3 * error) / h;
    if (pathwise) {
      dist_reset(d);
      double sum = 0, squares = 0, *p = path[way->k] == NO_VAL ? NULL : dist_eval1(d, d->draws, path[way->k], false);
      for (uint64_t i = 0; p && i < d->draws; i++) {
        double s = slope_along(way, p + i * d->ntheta[way->k]);
        sum += s, squares += s * s;
      }
      snprintf(what, sizeof what, "the pathwise gradient of E[f(x)] by %s", name);
      near_mean(what, sum, squares, d->draws, want, exact, fmax(fabs(want), 0.1 * sqrt(squares / (double)d->draws)));
      if (verbose) printf("%s: %s: %.6g, should be %.6g, exact %.2g rms %.3g\n", d->row->text, what, sum / (double)d->draws, want, exact, sqrt(squares / (double)d->draws));
    }
    if (d->kind == POINT || dist_moves(d, way) || d->score[way->k] == NO_VAL) continue;
    dist_reset(d);
    d->leaf[LEAF_X].at = g->x;
    double *s = dist_eval1(d, g->n, d->score[way->k], false);
    for (uint64_t i = 0; i < g->n; i++) f[i] = slope_along(way, s + i * d->ntheta[way->k]), s2[i] = f[i] * f[i];
    double size = sqrt(mean_of(g, s2, 1).value);
    Mean zero = mean_of(g, f, 1);
    snprintf(what, sizeof what, "E[gradient of logpdf by %s]", name);
    near(what, zero.value, 0, (d->row->corner ? 5e-4 : 1e-6) * size + 10 * zero.error);
    for (uint64_t i = 0; i < g->n; i++) f[i] *= dist_smooth(d, g->x + i * d->size);
    Mean score = mean_of(g, f, 1);
    snprintf(what, sizeof what, "E[f(x) gradient of logpdf by %s]", name);
    near(what, score.value, want, exact + (d->row->corner ? 5e-4 : 1e-6) * size + 10 * score.error);
  }
  dist_reset(d);
}

/* ---- divergences */
static void divergences_agree(const Grid *g) {
  double *f = arena_alloc(d->arena, (g->n + 1) * sizeof *f);
  for (uint32_t b = 0; b < row_count; b++) {
    const Site *site = typed->programs.at[0]->sites.at[b];
    if (!dist_has_kl(&d->site->dist, &site->dist) || site->shape != d->site->shape) continue;
    dist_reset(d);
    Dist *other = dist_beside(d, b);
    const Shape *event = graph_shape(d->g, (AxisSet)1 << d->axis, d->site->shape->rank, d->site->shape->dim);
    Val kl = dist_kl(typed, d->g, &d->value, &other->value, event);
    bool holds_it = !d->range.whole || range_within(d->range, other->range);      /* else it is infinite: more trials than the other has */
    Val theirs = holds_it ? dist_member(typed, d->g, &other->value, "logpdf", d->x, NULL, 0) : d->logpdf;
    if (kl == NO_VAL || theirs == NO_VAL) { wrong("its divergence from %s cannot be built", other->row->text); continue; }
    kl = graph_sum_all(d->g, kl);
    d->leaf[LEAF_X].at = g->x;
    double *log_q = dist_eval1(d, g->n, graph_sum_all(d->g, theirs), false);
    for (uint64_t i = 0; i < g->n; i++) f[i] = holds_it && inside(other, g->x + i * d->size) ? g->log_p[i] - log_q[i] : INFINITY;
    dist_reset(d);
    for (uint32_t k = 0; k < ARGS; k++) d->leaf[LEAF_OTHER + k] = (Leaf){other->theta[k], false};
    double got = dist_eval1(d, 1, kl, false)[0];
    Mean want = mean_of(g, f, 1);
    char name[300];
    npairs++;
    snprintf(name, sizeof name, "kl(%s)", other->row->text);
    if (want.diverges) { nclaims++; if (isfinite(got)) wrong("%s is %.9g, and there is none", name, got); continue; }
    near(name, got, want.value, want.error + 1e-10);
    gradient_is(name, kl, d, 1);
    gradient_is(name, kl, other, 1);
  }
  dist_reset(d);
}

/* ---- far points, single precision */
static void far_points(void) {
  if (d->size > 1 || d->kind == POINT) return;
  Range r = d->range;
  enum { MAX = 64 };
  double x[MAX], s = 1 / d->slope[0], c = d->centre[0];
  int from[4] = {0}, n = 0;                               /* up, down, towards the low end, towards the high end */
  static const double up[] = {1e2, 1e3, 1e4, 1e6, 1e8, 1e12, 1e18}, near_end[] = {1e-4, 1e-8, 1e-12, 1e-20, 1e-30, 1e-37};
  for (size_t i = 0; i < LEN(up) && isinf(r.hi); i++) x[n++] = r.whole ? floor(c + s * up[i]) : c + s * up[i];
  from[1] = n;
  for (size_t i = 0; i < LEN(up) && isinf(r.lo); i++) x[n++] = c - s * up[i];
  from[2] = n;
  for (size_t i = 0; i < LEN(near_end) && isfinite(r.lo) && !r.whole; i++) x[n++] = r.lo + near_end[i] * (isinf(r.hi) ? s : r.hi - r.lo);
  from[3] = n;
  for (size_t i = 0; i < 3 && isfinite(r.hi) && !r.whole; i++) x[n++] = r.hi - near_end[i] * (isinf(r.lo) ? s : r.hi - r.lo);
  int ends = n;
  if (isfinite(r.lo) && !r.lo_open) x[n++] = r.lo;
  if (isfinite(r.hi) && !r.hi_open) x[n++] = r.hi;
  for (int width = 0; width < 2; width++) {               /* double; single against double at the rounded place */
    double at[MAX], *theta[ARGS];
    dist_reset(d);
    for (int i = 0; i < n; i++) at[i] = width ? (double)(float)x[i] : x[i];
    for (uint32_t k = 0; k < ARGS; k++) {
      theta[k] = arena_alloc(d->arena, (d->ntheta[k] + 1) * sizeof(double));
      for (uint32_t i = 0; i < d->ntheta[k]; i++) theta[k][i] = width ? (double)(float)d->theta[k][i] : d->theta[k][i];
      d->leaf[LEAF_PARAM + k].at = theta[k];
    }
    d->leaf[LEAF_X].at = at;
    Val root[ARGS + 2] = {d->logpdf};
    uint32_t roots = 1;
    for (uint32_t k = 0; k < ARGS; k++) if (d->ntheta[k] && d->score[k] != NO_VAL) root[roots++] = d->score[k];
    if (d->kind == CONTINUOUS && d->score_x != NO_VAL) root[roots++] = d->score_x;
    double *single[ARGS + 2], *exact[ARGS + 2];
    dist_eval(d, (uint64_t)n, root, roots, single, width);
    dist_eval(d, (uint64_t)n, root, roots, exact, false);
    for (int i = 0; i < n; i++) {
      double got = single[0][i], want = exact[0][i];
      bool end = at[i] == r.lo || at[i] == r.hi;
      char where[100];
      snprintf(where, sizeof where, "logpdf(%.9g)%s", at[i], width ? " in single precision" : "");
      nclaims++;
      if (isnan(got) || (got == INFINITY && !end)) wrong("%s is %g", where, got);
      if (end || i >= ends) continue;
      if (width) {
        if (!(want < -1e30) && !(fabs(got - want) <= 0.02 + 1e-4 * fabs(want))) wrong("%s is %.9g, should be %.9g", where, got, want);
      }
      for (int t = 0; t < 2; t++) if (i > from[t] && i < from[t + 1] && got > single[0][i - 1] + 1e-9 * fabs(got)) wrong("%s rises in the tail", where);
      uint32_t elements = 0;
      for (uint32_t k = 1; k < roots; k++) {
        elements = (uint32_t)shape_event_size(shape_of(d->g, root[k]));
        for (uint32_t j = 0; j < elements && isfinite(got) && fabs(want) < 1e15; j++)
          if (isnan(single[k][(uint32_t)i * elements + j])) { wrong("a gradient of %s is NaN", where); break; }
      }
    }
  }
  dist_reset(d);
}

/* Draws in single precision: in the support, with density and gradients that are numbers. */
static void single_draws(void) {
  enum { SOME = 20000 };
  dist_reset(d);
  Val root[2 * ARGS + 1];
  double *out[2 * ARGS + 1];
  uint32_t n = 0;
  double *x = dist_eval1(d, SOME, d->sample, true);
  for (uint32_t k = 0; k < ARGS; k++) if (d->ntheta[k] && path[k] != NO_VAL) root[n++] = path[k];
  uint32_t paths = n;
  root[n++] = d->logpdf;
  for (uint32_t k = 0; k < ARGS; k++) if (d->ntheta[k] && d->score[k] != NO_VAL) root[n++] = d->score[k];
  if (d->kind == CONTINUOUS && d->score_x != NO_VAL) root[n++] = d->score_x;
  dist_eval(d, SOME, root, paths, out, true);
  d->leaf[LEAF_X].at = x;
  dist_eval(d, SOME, root + paths, n - paths, out + paths, true);
  uint64_t outside = 0, bad[3] = {0};
  for (uint64_t i = 0; i < SOME; i++) outside += !inside(d, x + i * d->size);
  for (uint32_t k = 0; k < n; k++) {
    uint64_t elements = shape_event_size(shape_of(d->g, root[k]));
    for (uint64_t i = 0; i < SOME * elements; i++) bad[k < paths ? 0 : k == paths ? 1 : 2] += !isfinite(out[k][i]);
  }
  near("the number of single draws outside the support", (double)outside, 0, 0);
  near("the number of single draws without a finite density", (double)bad[1], 0, 0);
  near("the number of gradients of logpdf at single draws that are not finite", (double)bad[2], 0, 0);
  near("the number of pathwise gradients at single draws that are not finite", (double)bad[0], 0, 0);
  dist_reset(d);
}

/* ---- tests */
START_TEST(a_row) {
  told = arena_printf(arena, "%s", "");
  ntold = 0;
  d = dist_open(typed, (uint32_t)_i, DRAWS);
  Grid *g = grid_new(d, NULL);
  density_is_one(g);
  draws_agree(g);
  copies_are_independent(g);
  moments_agree(g);
  gradients_agree();
  expectations_have_gradients(g);
  divergences_agree(g);
  far_points();
  single_draws();
  dist_close(d);
  if (ntold > TOLD) told = arena_printf(arena, "%s\n    and %u more", told, ntold - TOLD);
  ck_assert_msg(ntold == 0, "%u claims do not hold%s", ntold, told);
}
END_TEST

/* A new file of stdlib/dist, or a new form, is not tested without a row: so this fails. */
START_TEST(every_form_has_a_row) {
  const char *name;
  for (size_t i = 0; (name = library_file(i)); i++) {
    if (strncmp(name, "dist/", 5) != 0) continue;
    Module *m = NULL;
    const Decl *decl = library_dist(typed->check, name_of(name + 5), &m);
    ck_assert_msg(decl, "stdlib/%s.svm declares no `dist %s`", name, name + 5);
    for (int form = -1; form < (int)decl->as.dist.forms.n; form++) {
      uint32_t found = 0;
      for (uint32_t r = 0; r < row_count; r++) {
        const DistValue *v = &typed->programs.at[0]->sites.at[r]->dist;
        found += v->decl == decl && v->form == form && !v->mixture && !v->flow;
      }
      const Params *p = form < 0 ? &decl->as.dist.params : &decl->as.dist.forms.at[form].params;
      Name words = name_of("");
      for (uint32_t k = 0; k < p->n; k++) words = name_printf("%s%s%s", words, k ? ", " : "", p->at[k].name);
      ck_assert_msg(found, "stdlib/%s.svm: no row of tests/table/dists.def is a `%s(%s)`", name, name + 5, words);
    }
  }
}
END_TEST

static void print_count(void) { printf("%u distributions, %u claims, %u pairs with a known divergence\n", row_count, nclaims, npairs); }

int main(int argc, char **argv) {
  arena = arena_new();
  typed = dists_check(arena);
  if (!typed) return 1;
  verbose = getenv("VERBOSE") != NULL;
  int first = 0, last = (int)row_count;
  for (int i = 0; argc > 1 && i < (int)row_count; i++)     /* check_dists Gamma: only these */
    if (strncmp(rows[i].text, argv[1], strlen(argv[1])) == 0) { if (!first) first = i; last = i + 1; }
  Suite *s = suite_create("dists");
  TCase *c = tcase_create("dists");
  tcase_set_timeout(c, 0);
  tcase_add_test(c, every_form_has_a_row);
  tcase_add_loop_test(c, a_row, first, last);
  suite_add_tcase(s, c);
  SRunner *run = srunner_create(s);
  srunner_set_fork_status(run, CK_NOFORK);
  srunner_run_all(run, CK_NORMAL);
  int failed = srunner_ntests_failed(run);
  srunner_free(run);
  print_count();
  arena_free(arena);
  return failed != 0;
}
