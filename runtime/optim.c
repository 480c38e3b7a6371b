/* Optimisers: from the gradients that a run left behind to new parameters.
 *
 * In:  lanes, global block and row outputs of a Run.  Out: parameters, moments, averages, changed in place.
 *
 * One pass: a thread takes a fixed range of elements, sums their gradient over the lanes in lane order into a block that
 * stays in the first cache, and moves the parameters there and then.  Everything is elementwise, so ranges and threads do
 * not matter to the result.  Of a triangle of weights (nn.causal) only that is visited, for the rest has neither gradient nor
 * moments.  Clipping by the global norm reads the gradients once more, before.  Parameters that exist once per row of a plate are
 * touched only in the rows of the batch, each with its own count of updates for Adam's corrections; where the step visits all rows,
 * as of users whose ratings are the batch, only in those that have a gradient.
 *
 * A gradient that is not finite counts as zero and is reported; optim_undo then takes the step back, for the replay. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

enum { RANGE = 8192, SUM = 512, ALONE = 32768 };        /* elements of a task; of a block; of parameters not worth waking anyone for */
/* Sanitizers start after the loader has chosen among clones, so they get none. */
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__ || !defined __x86_64__
#define CLONES
#elif defined __has_feature
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define CLONES
#endif
#endif
#ifndef CLONES
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#endif

typedef struct { SviWhere where; uint64_t offset; } Source;
enum { SOURCES = 8 };
typedef struct { uint64_t param, size; int nsource; Source source[SOURCES]; uint64_t columns; int64_t shift; } Segment;      /* columns, shift: as of an SviGrad */
typedef struct { const Segment *segment; uint64_t first, n; } Task;
typedef struct { int param, out; bool all_rows; } RowParam;      /* all_rows: of a plate that each step visits whole */

/* What a step is to do, in numbers. */
typedef struct {
  SviOptimizerKind kind;
  bool   undo;
  double lr, momentum, beta1, beta2, eps, decay, correct1, correct2, scale, keep;
} Rule;

struct Optim {
  const SviModel *model;
  const SviEntry *entry;
  SviOptimizer    how;
  Pool    *pool;
  Params  *params;
  Moments *state;
  Segment *segment; int nsegment;
  Task    *task;    unsigned ntask; uint64_t elements;
  RowParam *row;    int nrow;
  /* of the step that runs */
  const Run *run;
  Rule      rule;
  uint64_t  t;
  double   *norm; unsigned nnorm;
  atomic_bool bad;
};

/* ---- tasks: ranges of the parameters that exist once, then stretches of rows */
static uint64_t row_count(const Optim *o, const RowParam *q) {
  uint64_t rows;
  run_out(o->run, q->out, &rows);
  return rows;
}

static uint64_t row_stretch(const Optim *o, const RowParam *q) {
  uint64_t size = o->model->param[q->param].size;
  return size >= RANGE ? 1 : RANGE / size;
}

static unsigned optim_tasks(const Optim *o) {
  uint64_t n = o->ntask;
  for (int i = 0; i < o->nrow; i++) n += (row_count(o, &o->row[i]) + row_stretch(o, &o->row[i]) - 1) / row_stretch(o, &o->row[i]);
  return (unsigned)n;
}

static bool optim_row_task(const Optim *o, unsigned index, RowParam *q, uint64_t *first, uint64_t *n) {
  uint64_t at = index - o->ntask;
  for (int i = 0; i < o->nrow; i++) {
    uint64_t rows = row_count(o, &o->row[i]), stretch = row_stretch(o, &o->row[i]), tasks = (rows + stretch - 1) / stretch;
    if (at < tasks) {
      *q = o->row[i];
      *first = at * stretch;
      *n = rows - *first < stretch ? rows - *first : stretch;
      return true;
    }
    at -= tasks;
  }
  return false;
}

/* Element of the parameter's table that the i-th row of a row output belongs to. */
static uint64_t row_index(const Optim *o, int param, uint64_t i) {
  const SviCall *c = run_call(o->run);
  int axis = o->model->param[param].axis;
  uint64_t inner = axis_inner(o->model, c->size, axis);
  return c->row[axis_root(o->model, axis)][i / inner] * inner + i % inner;
}

/* Adam's corrections for the t-th update, 1 / (1 - beta^t). */
static void rule_correct(Rule *r, uint64_t t) {
  r->correct1 = 1 / (1 - pow(r->beta1, (double)t));
  r->correct2 = 1 / (1 - pow(r->beta2, (double)t));
}

#define REAL float
#define FLAG int32_t
#define NAME(x) x##_f32
#define FABS fabsf
#define SQRT sqrtf
#define MOST 3.40282347e+38f
#include "optim_body.h"
#undef REAL
#undef FLAG
#undef NAME
#undef FABS
#undef SQRT
#undef MOST
#define REAL double
#define FLAG int64_t
#define NAME(x) x##_f64
#define FABS fabs
#define SQRT sqrt
#define MOST 1.7976931348623157e+308
#include "optim_body.h"

/* ---- memory */
void moments_new(Moments *s, const SviModel *m, const Params *p) {
  *s = (Moments){ .averaging = m->train.optimizer.average > 0 };
  Params *each[] = { &s->m, &s->v, &s->average };
  for (int k = 0; k < (s->averaging ? 3 : 2); k++) {
    *each[k] = (Params){ .model = m };
    each[k]->value = memory_new(m->param_size, m->real_bytes, "the optimiser");
    each[k]->row   = memory_new((size_t)m->nparam, sizeof(void *), "the optimiser");
    each[k]->rows  = memory_new((size_t)m->nparam, sizeof(uint64_t), "the optimiser");
    for (int i = 0; i < m->nparam; i++) {
      if (m->param[i].axis < 0) continue;
      each[k]->rows[i] = p->rows[i];
      each[k]->row[i]  = memory_new(p->rows[i] * m->param[i].size, m->real_bytes, "the optimiser");
    }
  }
  s->count = memory_new((size_t)m->nparam, sizeof *s->count, "the optimiser");
  for (int i = 0; i < m->nparam; i++)
    if (m->param[i].axis >= 0) s->count[i] = memory_new(p->rows[i], sizeof **s->count, "the optimiser");
  if (s->averaging) params_copy(&s->average, p);
  if (m->train.optimizer.kind != SVI_LBFGS) return;
  s->nlbfgs = m->train.nstep;
  s->lbfgs  = memory_new((size_t)s->nlbfgs, sizeof *s->lbfgs, "L-BFGS");
  for (int k = 0; k < s->nlbfgs; k++) {
    LbfgsMemory *l = &s->lbfgs[k];
    *l = (LbfgsMemory){ .n = lbfgs_size(m, &m->train.step[k], p), .history = (uint32_t)m->train.optimizer.history };
    l->moves   = memory_new(l->history * l->n, sizeof *l->moves,   "what L-BFGS remembers");
    l->changes = memory_new(l->history * l->n, sizeof *l->changes, "what L-BFGS remembers");
  }
}

void moments_free(Moments *s) {
  const SviModel *m = s->m.model;
  if (!m) return;
  for (int i = 0; i < m->nparam; i++) memory_free(s->count[i]);
  memory_free(s->count);
  for (int k = 0; k < s->nlbfgs; k++) { memory_free(s->lbfgs[k].moves); memory_free(s->lbfgs[k].changes); }
  memory_free(s->lbfgs);
  params_free(&s->m);
  params_free(&s->v);
  params_free(&s->average);
  *s = (Moments){0};
}

static bool segment_follows(const Segment *a, const Segment *b) {
  if (a->param + a->size != b->param || a->nsource != b->nsource || a->columns || b->columns) return false;
  for (int i = 0; i < a->nsource; i++)
    if (a->source[i].where != b->source[i].where || a->source[i].offset + a->size != b->source[i].offset) return false;
  return true;
}

/* In the order in which products leave gradients behind: the thread that made one is likely to have it in its cache. */
static int by_source(const void *a, const void *b) {
  const Source *x = ((const Segment *)a)->source, *y = ((const Segment *)b)->source;
  if (x->where != y->where) return x->where < y->where ? -1 : 1;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Elements of a task; whole rows of a triangle. */
static uint64_t task_size(const Segment *s) {
  if (!s->columns) return RANGE;
  return s->columns >= RANGE ? s->columns : RANGE / s->columns * s->columns;
}

Optim *optim_new(const SviModel *m, const SviStep *s, Pool *pool, Params *p, Moments *state) {
  Optim *o = memory_new(1, sizeof *o, "the optimiser");
  const SviEntry *e = &m->entry[s->entry];
  *o = (Optim){ .model = m, .entry = e, .how = m->train.optimizer, .pool = pool, .params = p, .state = state };
  o->segment = memory_new((size_t)s->nparam, sizeof *o->segment, "the optimiser");
  o->row     = memory_new((size_t)e->ngrad,  sizeof *o->row,     "the optimiser");
  for (int i = 0; i < s->nparam; i++) {
    const SviParam *q = &m->param[s->param[i]];
    Segment g = { .param = q->offset, .size = q->size };
    for (int k = 0; k < e->ngrad; k++) {
      if (e->grad[k].param != s->param[i]) continue;
      if (q->axis >= 0) o->row[o->nrow++] = (RowParam){ s->param[i], (int)e->grad[k].offset, e->axis < 0 || axis_root(m, q->axis) != axis_root(m, e->axis) };      /* the compiler gives one */
      else if (g.nsource < SOURCES) {
        bool alone = g.nsource == 0 && o->how.decay == 0;       /* zeros that stay as they are need no visit */
        g.columns = alone ? e->grad[k].columns : 0, g.shift = e->grad[k].shift;
        g.source[g.nsource++] = (Source){ e->grad[k].where, e->grad[k].offset };
      } else { complain("parameter `%s` has more than %d gradients", q->name, SOURCES); __builtin_trap(); }
    }
    if (q->axis >= 0 || q->state || g.nsource == 0) continue;
    if (o->nsegment > 0 && segment_follows(&o->segment[o->nsegment - 1], &g)) o->segment[o->nsegment - 1].size += g.size;
    else o->segment[o->nsegment++] = g;
  }
  qsort(o->segment, (size_t)o->nsegment, sizeof *o->segment, by_source);
  for (int i = 0; i < o->nsegment; i++) o->elements += o->segment[i].size;
  for (int i = 0; i < o->nsegment; i++) o->ntask += (unsigned)((o->segment[i].size + task_size(&o->segment[i]) - 1) / task_size(&o->segment[i]));
  o->task = memory_new(o->ntask, sizeof *o->task, "the optimiser");
  unsigned at = 0;
  for (int i = 0; i < o->nsegment; i++)
    for (uint64_t first = 0, size = task_size(&o->segment[i]); first < o->segment[i].size; first += size) {
      uint64_t left = o->segment[i].size - first;
      o->task[at++] = (Task){ &o->segment[i], first, left < size ? left : size };
    }
  return o;
}

void optim_free(Optim *o) {
  if (!o) return;
  memory_free(o->segment);
  memory_free(o->row);
  memory_free(o->task);
  memory_free(o->norm);
  memory_free(o);
}

/* ---- a step */
static void optim_part(void *context, unsigned index, unsigned thread) {
  (void)thread;
  Optim *o = context;
  if (o->model->real_bytes == 8) optim_part_f64(o, index); else optim_part_f32(o, index);
}

static void optim_run(Optim *o, unsigned tasks, PoolTask part) {
  if (o->nrow || o->elements > ALONE) { pool_run(o->pool, tasks, part, o); return; }
  for (unsigned i = 0; i < tasks; i++) part(o, i, 0);
}

static void optim_norm_part(void *context, unsigned index, unsigned thread) {
  (void)thread;
  Optim *o = context;
  o->norm[index] = o->model->real_bytes == 8 ? optim_square_f64(o, index) : optim_square_f32(o, index);
}

static void optim_rule(Optim *o, const Run *run, const OptimStep *s, bool undo) {
  const SviOptimizer *h = &o->how;
  o->run  = run;
  o->t    = s->t;
  o->rule = (Rule){ .kind = h->kind, .undo = undo, .lr = s->lr, .momentum = h->momentum, .beta1 = h->beta1, .beta2 = h->beta2, .eps = h->eps, .decay = h->decay, .scale = 1 };
  rule_correct(&o->rule, s->t);
  if (o->state->averaging) {      /* young averages forget faster */
    double young = (1 + (double)s->t) / (10 + (double)s->t);
    o->rule.keep = young < h->average ? young : h->average;
  }
  atomic_store(&o->bad, false);
}

static double optim_norm(Optim *o, unsigned tasks) {
  if (tasks > o->nnorm) {
    memory_free(o->norm);
    o->norm  = memory_new(tasks, sizeof *o->norm, "the gradient's norm");
    o->nnorm = tasks;
  }
  optim_run(o, tasks, optim_norm_part);
  double sum = 0;
  for (unsigned i = 0; i < tasks; i++) sum += o->norm[i];
  return sqrt(sum);
}

void optim_step(Optim *o, const Run *run, OptimStep *s) {
  optim_rule(o, run, s, false);
  unsigned tasks = optim_tasks(o);
  s->norm = NAN;
  if (o->how.clip > 0) {
    s->norm = optim_norm(o, tasks);
    if (s->norm > o->how.clip) o->rule.scale = o->how.clip / s->norm;
    if (!isfinite(s->norm)) o->rule.scale = 1;
  }
  optim_run(o, tasks, optim_part);
  s->finite = !atomic_load(&o->bad);
}

void optim_undo(Optim *o, const Run *run, const OptimStep *s) {
  optim_rule(o, run, s, true);
  if (o->how.clip > 0 && s->norm > o->how.clip && isfinite(s->norm)) o->rule.scale = o->how.clip / s->norm;
  optim_run(o, optim_tasks(o), optim_part);
}
