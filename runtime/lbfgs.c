/* L-BFGS: a step is a direction, made from what the last moves did to the gradient, and a line search along it.
 *
 * In:  a Run of a step's entry over all rows, the parameters, what is remembered of the steps before.
 * Out: parameters at a lower point, one more remembered pair.
 *
 * The direction is the two-loop recursion of Nocedal (1980), Hessian scaled by the newest pair.  The line search asks for
 * the strong Wolfe conditions (Nocedal and Wright 2006, section 3.5); where the objective moves by no more than its
 * rounding, for the approximate ones of Hager and Zhang (2005), which look at slopes.  A trial that is not finite, such as a
 * factor of a matrix that is no longer positive definite, is only too far: the search shrinks.
 *
 * note [fixed draws]  A line search compares values, so the objective must be one function: every evaluation of a run uses
 * the draws of step 1, whatever the step, and all rows in the file's order.  What is optimised is the sample average at
 * those draws (sample average approximation; Shapiro 2003).
 *
 * All parameters of the step are one vector of doubles here; a point is rounded to the model's width before it is evaluated,
 * and a pair is the difference of rounded points.  Sums are in order: no result depends on the threads. */
#include <math.h>
#include <string.h>
#include "trainer.h"

enum { TRIALS = 40 };                     /* evaluations of one line search */
static const double enough_lower = 1e-4, enough_flat = 0.9;      /* the constants of the Wolfe conditions */

typedef struct { int param; uint64_t at, count; } Stretch;      /* of the vector */
struct Lbfgs {
  const SviModel *model;
  const SviEntry *entry;
  bool     maximize;
  Params  *params;
  LbfgsMemory *memory;
  Stretch *stretch; int nstretch;
  uint64_t n;
  double   rounding;                      /* of the objective, relative */
  double  *from, *from_gradient;          /* where the step starts */
  double  *direction, *gradient;          /* of the last trial */
  double  *scale, *weight;                /* of the pairs: 1 / (s y); of the recursion */
  /* of the step that runs */
  Run     *run;
  const uint32_t *rows; uint64_t nrows, seed;
  const double *option;
  /* the last trial, when it may be used again */
  bool     known; double value, *known_option;
};

uint64_t lbfgs_size(const SviModel *m, const SviStep *s, const Params *p) {
  uint64_t n = 0, count;
  for (int i = 0; i < s->nparam; i++) {
    if (m->param[s->param[i]].state) continue;
    params_at(p, s->param[i], &count);
    n += count;
  }
  return n;
}

/* ---- vectors */
static double dot(const double *a, const double *b, uint64_t n) {
  double sum[8] = {0};
  for (uint64_t i = 0; i < n; i++) sum[i % 8] += a[i] * b[i];
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}
static void add(double *a, double k, const double *b, uint64_t n) { for (uint64_t i = 0; i < n; i++) a[i] += k * b[i]; }

/* The i-th pair, the oldest first. */
static uint64_t pair_at(const LbfgsMemory *m, uint32_t i) { return (uint64_t)((m->next + m->history - m->pairs + i) % m->history); }

static double pair_scale(const LbfgsMemory *m, uint64_t slot) { return 1 / dot(m->moves + slot * m->n, m->changes + slot * m->n, m->n); }

Lbfgs *lbfgs_new(const SviModel *m, const SviStep *s, Params *p, LbfgsMemory *memory) {
  Lbfgs *l = memory_new(1, sizeof *l, "L-BFGS");
  *l = (Lbfgs){ .model = m, .entry = &m->entry[s->entry], .maximize = s->maximize, .params = p, .memory = memory, .n = memory->n };
  l->rounding = 2 * (m->real_bytes == 8 ? 0x1p-52 : 0x1p-23);
  l->stretch = memory_new((size_t)s->nparam, sizeof *l->stretch, "L-BFGS");
  uint64_t at = 0;
  for (int i = 0; i < s->nparam; i++) {
    Stretch t = { s->param[i], at, 0 };
    if (m->param[t.param].state) continue;
    params_at(p, t.param, &t.count);
    at += t.count;
    l->stretch[l->nstretch++] = t;
  }
  double **vector[] = { &l->from, &l->from_gradient, &l->direction, &l->gradient };
  for (size_t i = 0; i < LENGTH(vector); i++) *vector[i] = memory_new(l->n, sizeof(double), "L-BFGS");
  l->scale  = memory_new(memory->history, sizeof(double), "L-BFGS");
  l->weight = memory_new(memory->history, sizeof(double), "L-BFGS");
  l->known_option = memory_new((size_t)m->noption, sizeof(double), "L-BFGS");
  for (uint32_t i = 0; i < memory->pairs; i++) l->scale[pair_at(memory, i)] = pair_scale(memory, pair_at(memory, i));
  return l;
}

void lbfgs_free(Lbfgs *l) {
  if (!l) return;
  memory_free(l->stretch);
  memory_free(l->from);
  memory_free(l->from_gradient);
  memory_free(l->direction);
  memory_free(l->gradient);
  memory_free(l->scale);
  memory_free(l->weight);
  memory_free(l->known_option);
  memory_free(l);
}

/* ---- the objective, to be minimised */
static void params_get(const Lbfgs *l, double *x) {
  for (int i = 0; i < l->nstretch; i++) {
    uint64_t count;
    const void *from = params_at(l->params, l->stretch[i].param, &count);
    for (uint64_t k = 0; k < count; k++) x[l->stretch[i].at + k] = real_get(l->model->real_bytes, from, k);
  }
}

/* Moves the parameters to `far` along the direction. */
static void params_move(const Lbfgs *l, double far) {
  for (int i = 0; i < l->nstretch; i++) {
    uint64_t count, at = l->stretch[i].at;
    void *to = params_at(l->params, l->stretch[i].param, &count);
    for (uint64_t k = 0; k < count; k++) real_set(l->model->real_bytes, to, k, l->from[at + k] + far * l->direction[at + k]);
  }
}

static void gradient_add(const Lbfgs *l, double *to, const void *from, uint64_t offset, uint64_t n) {
  for (uint64_t k = 0; k < n; k++) to[k] += real_get(l->model->real_bytes, from, offset + k);
}

/* Rows are in order and all there, so row outputs lie as the parameters' rows do. */
static void gradient_get(const Lbfgs *l, double *g) {
  memset(g, 0, l->n * sizeof *g);
  for (int i = 0; i < l->nstretch; i++)
    for (int k = 0; k < l->entry->ngrad; k++) {
      const SviGrad *grad = &l->entry->grad[k];
      uint64_t rows, size = l->model->param[grad->param].size;
      double  *to = g + l->stretch[i].at;
      if (grad->param != l->stretch[i].param) continue;
      switch (grad->where) {
      case SVI_IN_LANES:  for (unsigned lane = 0; lane < run_lanes(l->run); lane++) gradient_add(l, to, run_lane(l->run, lane), grad->offset, size); break;
      case SVI_IN_GLOBAL: gradient_add(l, to, run_call(l->run)->global, grad->offset, size); break;
      case SVI_IN_OUT: {
        const void *out = run_out(l->run, (int)grad->offset, &rows);
        gradient_add(l, to, out, 0, rows * size);
        break;
      }
      }
    }
}

typedef struct { double far, value, slope; } Trial;

/* Evaluates at the parameters; a value or gradient that is not finite counts as infinitely high. */
static Trial trial_here(Lbfgs *l, double far) {
  run_entry(l->run, l->rows, l->nrows, l->seed, LBFGS_DRAWS, l->option);
  double f = run_scalar(l->run, 0);
  Trial t = { far, l->maximize ? -f : f, NAN };
  gradient_get(l, l->gradient);
  t.slope = dot(l->gradient, l->direction, l->n);
  l->value = t.value;
  l->known = true;
  if (!isfinite(t.value) || !isfinite(dot(l->gradient, l->gradient, l->n)) || isnan(t.slope)) t.value = INFINITY;
  return t;
}
static Trial trial_at(Lbfgs *l, double far) { params_move(l, far); return trial_here(l, far); }

/* ---- the direction */
static void direction_find(Lbfgs *l) {
  LbfgsMemory *m = l->memory;
  double *d = l->direction;
  for (uint64_t i = 0; i < l->n; i++) d[i] = -l->from_gradient[i];
  if (m->pairs == 0) return;
  for (uint32_t i = m->pairs; i-- > 0;) {
    uint64_t slot = pair_at(m, i);
    l->weight[slot] = l->scale[slot] * dot(m->moves + slot * l->n, d, l->n);
    add(d, -l->weight[slot], m->changes + slot * l->n, l->n);
  }
  uint64_t newest = pair_at(m, m->pairs - 1);
  const double *y = m->changes + newest * l->n;
  double first = 1 / (l->scale[newest] * dot(y, y, l->n));
  for (uint64_t i = 0; i < l->n; i++) d[i] *= first;
  for (uint32_t i = 0; i < m->pairs; i++) {
    uint64_t slot = pair_at(m, i);
    double back = l->scale[slot] * dot(m->changes + slot * l->n, d, l->n);
    add(d, l->weight[slot] - back, m->moves + slot * l->n, l->n);
  }
}

/* Keeps the move to the last trial, if the objective curves upwards along it. */
static void pair_keep(Lbfgs *l) {
  LbfgsMemory *m = l->memory;
  double *s = m->moves + m->next * l->n, *y = m->changes + m->next * l->n;
  params_get(l, s);
  for (uint64_t i = 0; i < l->n; i++) {
    s[i] -= l->from[i];
    y[i]  = l->gradient[i] - l->from_gradient[i];
  }
  double curve = dot(s, y, l->n);
  if (!(curve > 0x1p-52 * dot(y, y, l->n)) || !isfinite(1 / curve)) {        /* the slot held the oldest pair: it is gone */
    if (m->pairs == m->history) m->pairs--;
    return;
  }
  l->scale[m->next] = 1 / curve;
  m->next = (m->next + 1) % m->history;
  if (m->pairs < m->history) m->pairs++;
}

/* ---- the line search */
/* Least point of the cubic with these values and slopes at both ends, kept away from the ends. */
static double cubic_least(Trial lo, Trial hi) {
  double width = hi.far - lo.far, part = 0.25;
  if (isfinite(hi.value)) {
    double a = lo.slope + hi.slope - 3 * (hi.value - lo.value) / width, b2 = a * a - lo.slope * hi.slope;
    double b = b2 > 0 ? copysign(sqrt(b2), width) : 0, least = 1 - (hi.slope + b - a) / (hi.slope - lo.slope + 2 * b);
    part = b2 >= 0 && isfinite(least) ? fmin(fmax(least, 0.1), 0.9) : 0.5;
  }
  return lo.far + part * width;
}

/* How far to go when the objective still falls at `now`: to where the slope would end, if it goes on changing like this. */
static double farther(Trial before, Trial now) {
  double end = now.far - now.slope * (now.far - before.far) / (now.slope - before.slope);
  return isfinite(end) && end > now.far ? fmin(fmax(end, 2 * now.far), 10 * now.far) : 10 * now.far;
}

/* From `start` along the direction.  True: the parameters and the gradient are at `end`, which is lower, or as low up to rounding with a
 * flatter slope. */
static bool search(Lbfgs *l, Trial start, double first, Trial *end) {
  Trial  lo = start, hi = { .far = INFINITY };
  double noise = l->rounding * fmax(fabs(start.value), 1), far = first;
  for (int i = 0; i < TRIALS; i++) {
    Trial  t = trial_at(l, far), before = lo;
    double line = start.value + enough_lower * far * start.slope;
    bool flat  = fabs(t.slope) <= -enough_flat * start.slope;
    bool close = fabs(t.value - start.value) <= noise && t.slope >= enough_flat * start.slope && t.slope <= (2 * enough_lower - 1) * start.slope;
    if ((t.value <= line && flat) || close) { *end = t; return true; }
    bool higher = t.value > line || t.value >= lo.value;
    if (higher && !(fabs(t.value - lo.value) <= noise)) hi = t;
    else {
      if (t.slope * (hi.far - lo.far) >= 0) hi = lo;
      lo = t;
    }
    far = isinf(hi.far) ? farther(before, lo) : cubic_least(lo, hi);
    if (far == lo.far || far == hi.far || !isfinite(far)) break;
  }
  bool lower = lo.far > 0 && lo.value < start.value;
  *end = trial_at(l, lower ? lo.far : 0);
  return lower;
}

/* ---- a step */
LbfgsEnd lbfgs_step(Lbfgs *l, Run *run, const uint32_t *rows, uint64_t nrows, uint64_t seed, const double *option, bool alone, LbfgsStep *out) {
  LbfgsMemory *m = l->memory;
  size_t options = (size_t)l->model->noption * sizeof *option;
  bool same = alone && l->known && l->entry->nupdate == 0 && memcmp(option, l->known_option, options) == 0;
  l->run = run, l->rows = rows, l->nrows = nrows, l->seed = seed, l->option = option;
  memcpy(l->known_option, option, options);
  params_get(l, l->from);
  memset(l->direction, 0, l->n * sizeof(double));
  if (!same) trial_here(l, 0);
  memcpy(l->from_gradient, l->gradient, l->n * sizeof(double));
  double norm = sqrt(dot(l->gradient, l->gradient, l->n)), sign = l->maximize ? -1 : 1;
  Trial  start = { 0, l->value, 0 }, end = start;
  *out = (LbfgsStep){ .objective = sign * l->value, .norm = norm };
  if (!isfinite(l->value)) return LBFGS_BAD_OBJECTIVE;
  if (!isfinite(norm)) return LBFGS_BAD_GRADIENT;
  double gain = l->rounding * fmax(fabs(start.value), 1);
  bool found = false;
  for (int i = 0; i < 2 && !found && norm > 0; i++) {
    direction_find(l);
    start.slope = dot(l->from_gradient, l->direction, l->n);
    if (m->pairs > 0 && !(start.slope < 0)) { m->pairs = 0; continue; }        /* rounding made the pairs useless */
    if (m->pairs > 0 && -0.5 * start.slope <= 0.01 * gain) break;                /* all that the quadratic model promises */
    found = search(l, start, m->pairs > 0 ? 1 : 1 / norm, &end);
    if (m->pairs == 0) break;
    if (!found) m->pairs = 0;                                                    /* once more, along the gradient */
  }
  if (!found) { m->small = 2; return LBFGS_STAYED; }
  pair_keep(l);
  m->small = start.value - end.value <= gain ? m->small + 1 : 0;
  *out = (LbfgsStep){ .objective = sign * end.value, .norm = sqrt(dot(l->gradient, l->gradient, l->n)), .far = end.far };
  return LBFGS_MOVED;
}
