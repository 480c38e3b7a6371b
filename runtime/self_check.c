/* self-check: is this trainer right?
 *
 * Every entry is run once by generated code and once by the compiler's reference evaluator, from the graph's text that the
 * entry carries, at the same parameters, rows and draws; how far apart each result is, is printed. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

static const double memory_most = 3e8;         /* bytes */

/* `rounded`: the same by the evaluator with every value rounded to float.  How far that is from `exact` says how much of a
 * difference is rounding: for a model in single precision it is always asked for, else where more than rounding is seen. */
typedef struct { const Run *run; ReplayRoots exact, rounded; bool has_rounded; uint64_t seed, step; uint32_t wrong; } SelfCheck;

static const double *rounded_root(SelfCheck *s, uint32_t root) {
  char error[256];
  if (!s->has_rounded) s->has_rounded = replay_roots(s->run, s->seed, s->step, true, &s->rounded, error);
  return s->has_rounded ? s->rounded.value[root] : NULL;
}

/* How far rounding to float moves a root. */
static double rounding_of(SelfCheck *s, uint32_t root) {
  const double *want = s->exact.value[root], *rounded = rounded_root(s, root);
  double most = 0;
  for (uint64_t i = 0; rounded && i < s->exact.size[root]; i++) {
    double apart = fabs(rounded[i] - want[i]);
    if (!(apart <= most)) most = isfinite(apart) ? apart : INFINITY;
  }
  return most;
}

/* Element `i` of a root by generated code. */
typedef enum { ROOT_SCALAR, ROOT_OUT, ROOT_GRAD, ROOT_UPDATE } RootKind;
static double root_value(const Run *r, RootKind kind, int index, uint64_t i) {
  const SviEntry *e = run_of(r);
  uint32_t width = run_call(r)->trainer->model->real_bytes;
  uint64_t rows;
  switch (kind) {
  case ROOT_SCALAR: return run_scalar(r, index);
  case ROOT_OUT:    return real_get(width, run_out(r, index, &rows), i);
  case ROOT_GRAD:   return run_gradient(r, index, i);
  case ROOT_UPDATE: return real_get(width, run_call(r)->global, e->update[index].global + i);
  }
  return NAN;
}

/* Differences are told relative to the largest element: what cancels to nearly nothing is compared as what it is made of. */
static void check_root(SelfCheck *s, const char *name, RootKind kind, int index, uint32_t root) {
  const double *want = s->exact.value[root];
  bool     single = run_call(s->run)->trainer->model->real_bytes == 4;
  uint64_t n = s->exact.size[root], at = 0;
  double   apart = 0, largest = 0, rounding = 0;
  for (uint64_t i = 0; i < n; i++) {
    double x = root_value(s->run, kind, index, i);
    if (fabs(want[i]) > largest) largest = fabs(want[i]);
    if (isnan(x) != isnan(want[i])) { apart = NAN; at = i; break; }
    if (x != want[i] && fabs(x - want[i]) > apart) { apart = fabs(x - want[i]); at = i; }
  }
  double scale = largest > 0 ? largest : 1, objective = s->exact.n > 0 && s->exact.size[0] == 1 ? fabs(s->exact.value[0][0]) : 0;
  double least = (single ? 1e-8 : 1e-14) * (1 + objective);      /* what cancels to nothing altogether */
  bool   fits  = apart <= (single ? 2e-3 : 1e-9) * scale + least;        /* false for a NaN */
  if (!fits) {
    rounding = rounding_of(s, root);
    bool hopeless = rounding > 1e-2 * scale;                     /* badly conditioned: float has no digit right */
    if (single) fits = apart <= 30 * rounding || hopeless;
    else        fits = apart <= 1e-5 * scale && hopeless;
  }
  printf("%-20s %-32s %9" PRIu64 " %12.5g %10.2g", run_of(s->run)->name, name, n, largest, apart / scale);
  if (rounding > 0) printf("  (float rounds by %.2g)", rounding / scale);
  if (!fits) printf("  <- differs at %" PRIu64, at);
  putchar('\n');
  s->wrong += !fits;
}

static void roots_add(const ReplayRoots *r, uint32_t to, uint32_t from) {
  for (uint64_t j = 0; r->n && j < r->size[to]; j++) r->value[to][j] += r->value[from][j];
}

/* The graph's roots come in the order of run_loops in the compiler: scalars, outputs, gradients, updates.  A parameter with
 * several gradients is compared by their sum. */
static bool check_roots(SelfCheck *s) {
  const SviEntry *e = run_of(s->run);
  const SviModel *m = run_call(s->run)->trainer->model;
  const ReplayRoots *g = &s->exact;
  uint32_t at = 0;
  int nout = e->nout;
  for (int i = 0; i < e->ngrad; i++) nout -= e->grad[i].where == SVI_IN_OUT;      /* gradients of rows are described as outputs, too */
  if (g->n != (uint32_t)(e->nscalar + nout + e->ngrad + e->nupdate)) {
    printf("%-20s the graph has %u roots, the entry %d\n", e->name, g->n, e->nscalar + nout + e->ngrad + e->nupdate);
    return false;
  }
  for (int i = 0; i < e->nscalar; i++, at++) check_root(s, g->name[at], ROOT_SCALAR, i, at);
  for (int i = 0; i < nout;       i++, at++) check_root(s, g->name[at], ROOT_OUT,    i, at);
  for (int i = 0; i < e->ngrad;   i++, at++) {
    int  param = e->grad[i].param;
    bool before = false;
    for (int k = 0; k < i; k++) before |= e->grad[k].param == param;
    if (before) continue;
    for (int k = i + 1; k < e->ngrad; k++) {
      if (e->grad[k].param != param) continue;
      roots_add(&s->exact, at, at + (uint32_t)(k - i));
      if (rounded_root(s, at)) roots_add(&s->rounded, at, at + (uint32_t)(k - i));
    }
    check_root(s, m->param[param].name, ROOT_GRAD, param, at);
  }
  for (int i = 0; i < e->nupdate; i++, at++) check_root(s, g->name[at], ROOT_UPDATE, i, at);
  return true;
}

static bool check_entry(Session *s, int entry, uint64_t rows, uint64_t k, uint32_t *wrong) {
  const SviModel *m = s->model;
  const SviEntry *e = &m->entry[entry];
  uint64_t total = e->axis < 0 ? 1 : s->data.total[e->axis];
  const uint32_t *row = NULL;
  Batches  b;
  char     error[256] = "";
  batches_new(&b, s->seed, e->axis, total, rows);
  uint64_t n = batches_at(&b, 0, &row), step = 3;
  Run *run = run_new(m, entry, s->pool, &s->data, &s->state.params, n, k);
  run_entry(run, e->axis < 0 ? NULL : row, n, s->seed, step, s->option);
  /* the evaluator keeps every value: fewer rows, then fewer particles, when they are large */
  for (double bytes; (bytes = replay_bytes_of(run)) > memory_most && (n > 1 || k > 1);) {
    uint64_t *less = n > 1 ? &n : &k;
    *less = (uint64_t)((double)(*less - 1) * memory_most / bytes) + 1;
    run_free(run);
    run = run_new(m, entry, s->pool, &s->data, &s->state.params, n, k);
    run_entry(run, e->axis < 0 ? NULL : row, n, s->seed, step, s->option);
  }
  SelfCheck c = { .run = run, .seed = s->seed, .step = step };
  bool good = replay_roots(run, s->seed, step, false, &c.exact, error);
  if (!good) printf("%-20s cannot be evaluated: %s\n", e->name, error);
  else good = check_roots(&c);
  *wrong += c.wrong;
  replay_roots_free(&c.exact);
  if (c.rounded.memory) replay_roots_free(&c.rounded);
  run_free(run);
  batches_free(&b);
  return good;
}

int command_self_check(const SviModel *m, const Options *o) {
  Session  s;
  uint32_t wrong = 0;
  bool     good = true;
  int code = session_first(&s, m, o);
  if (code != EXIT_OK) return code;
  uint64_t rows = o->at[OPT_rows].given ? (uint64_t)o->at[OPT_rows].number : 70, k = o->at[OPT_k].given ? (uint64_t)o->at[OPT_k].number : 3;
  printf("%-20s %-32s %9s %12s %10s\n", "entry", "result", "elements", "largest", "apart");
  for (int i = 0; i < m->nentry; i++) if (m->entry[i].graph) good &= check_entry(&s, i, rows, k, &wrong);
  session_close(&s);
  if (wrong > 0) note("%u results differ from the reference evaluator's", wrong);
  return wrong > 0 || !good ? EXIT_RUN : EXIT_OK;
}
