/* See loops_interp.h. */
#include "loops_interp.h"
#include "../../runtime/kernels/random.h"
#include <math.h>
#include <stdlib.h>

/* compiler/ops/op.h, whose Loop is another one */
double op_forward(OpKind op, double a, double b, double c);

struct Interp {
  Arena       *arena;
  InterpInput  x;
  const Graph *g;
  double     **batch, **out, *global, **lane;
  bool        *lane_used;
  /* of the chunk being run */
  const LoopPhase *phase;
  double   *scratch[SVI_DOMAINS], *my_lane;
  uint64_t  scratch_size[SVI_DOMAINS], domain_elements[SVI_DOMAINS], first, rows, start, count;
  bool      fresh, streamed;
};

static uint64_t axis_size(const Interp *r, uint32_t a) {
  const Axis *x = &r->g->axis.at[a];
  return x->kind == AXIS_INDEX ? x->size : r->x.in->size[a];
}

static double *poisoned(Arena *a, uint64_t n) {
  double *x = arena_alloc(a, (n + 1) * sizeof *x);
  for (uint64_t i = 0; i < n; i++) x[i] = NAN;
  return x;
}

static uint64_t rows_of(const Interp *r, AxisSet axes) {
  uint64_t n = 1;
  for (uint32_t a = 0; a < r->g->axis.n; a++) if (axes >> a & 1) n *= axis_size(r, a);
  return n;
}

/* ---- buffers: base, and size, first index and step of each coordinate */
typedef struct { double *base; uint64_t limit; uint32_t n; uint64_t size[12], from[12], step[12]; } View;

static uint64_t size_here(const Interp *r, uint32_t a) {
  if ((int32_t)a == r->phase->axis) return r->rows;
  if (r->streamed && (int32_t)a == r->phase->particles) return r->count;
  return axis_size(r, a);
}

static View view_of(const Interp *r, const Shape *s, bool chunk) {
  View v = {0};
  for (uint32_t a = 0; a < r->g->axis.n; a++) {
    if (!(s->axes >> a & 1)) continue;
    v.size[v.n] = chunk ? size_here(r, a) : axis_size(r, a);
    if (!chunk && (int32_t)a == r->phase->axis) v.from[v.n] = r->first;
    if (!chunk && r->streamed && (int32_t)a == r->phase->particles) v.from[v.n] = r->start;
    v.n++;
  }
  for (uint32_t i = 0; i < s->rank; i++) v.size[v.n++] = s->dim[i];
  v.limit = 1;
  for (uint32_t i = v.n; i-- > 0;) {
    v.step[i] = v.limit;
    v.limit *= v.size[i];
  }
  return v;
}

static double *parameters(const Interp *r, const Buffer *b) {
  const Graph *g = r->g;
  for (Val v = b->value;; v = arg_of(g, v, 0)) {          /* the buffer may be a reshaped one */
    if (node_of(g, v)->op != OP_param) continue;
    uint64_t n = shape_event_size(shape_of(g, v)) * rows_of(r, shape_of(g, v)->axes);
    double *x = poisoned(r->arena, n);
    if (!r->x.in->leaf(r->x.in->context, g, v, x, n)) abort();
    return x;
  }
}

static View buffer_view(const Interp *r, Buf buf) {
  const Buffer *b = &r->x.p->buffers.at[buf];
  View v = view_of(r, b->shape, b->kind == BUF_CHUNK);
  uint64_t bytes = r->x.p->real_bytes;
  switch (b->kind) {
    case BUF_PARAM:  v.base = parameters(r, b); break;
    case BUF_GLOBAL: v.base = r->global + b->offset; break;
    case BUF_LANE:   v.base = r->my_lane + b->offset; break;
    case BUF_BATCH:  v.base = r->batch[b->offset]; break;
    case BUF_OUT:    v.base = r->out[b->offset]; break;
    case BUF_CHUNK:
      v.base = r->scratch[b->domain] + b->offset / bytes * r->domain_elements[b->domain];
      if (b->offset / bytes * r->domain_elements[b->domain] + v.limit > r->scratch_size[b->domain]) abort();
      break;
  }
  return v;
}

/* ---- reductions */
static double identity(ReduceKind k) {
  switch (k) {
    case REDUCE_SUM:  return 0;
    case REDUCE_PROD: return 1;
    case REDUCE_MAX:  case REDUCE_LOGSUMEXP: return -INFINITY;
    case REDUCE_MIN:  return INFINITY;
  }
  abort();
}
static double join(ReduceKind k, double a, double b) {
  switch (k) {
    case REDUCE_SUM:  return a + b;
    case REDUCE_PROD: return a * b;
    case REDUCE_MAX:  return a > b ? a : b;
    case REDUCE_MIN:  return a < b ? a : b;
    case REDUCE_LOGSUMEXP: return a == -INFINITY ? b : b == -INFINITY ? a
        : fmax(a, b) + log1p(exp(-fabs(a - b)));
  }
  abort();
}
static bool anew(const Interp *r, ReduceFrom from) {
  switch (from) {
    case FROM_IDENTITY: return true;
    case FROM_LANE:     return r->fresh && (!r->streamed || r->start == 0);
    case FROM_BLOCK:    return !r->streamed || r->start == 0;
    case FROM_BEFORE:   return false;
  }
  abort();
}

/* ---- nests */
typedef struct {
  Interp     *r;
  const Nest *n;
  uint64_t    index[LOOP_DEPTH_MAX];
  double     *value;                   /* by instruction */
  View       *view;
  bool        filling;                 /* reductions are being set to their identities */
} Run;

static uint64_t turns(const Interp *r, const Loop *l) {
  switch (l->kind) {
    case LOOP_ROWS: return r->rows;
    case LOOP_AXIS: return size_here(r, l->axis);
    case LOOP_SIZE: return l->size;
  }
  abort();
}

static int64_t index_at(const Run *x, const Index *ix) {
  switch (ix->kind) {
    case IX_LOOP:  return (int64_t)x->index[ix->loop] + ix->plus;
    case IX_CONST: return ix->plus;
    case IX_VALUE: return (int64_t)x->value[ix->value];
  }
  abort();
}

/* NULL: a guarded load outside of its buffer by a loop's or a constant index, which gives 0. */
static double *element(const Run *x, uint32_t number) {
  const LoopInstr *i = &x->n->instr.at[number];
  const View *v = &x->view[number];
  uint64_t at = 0;
  if (v->n != i->at.n) abort();
  for (uint32_t k = 0; k < v->n; k++) {
    int64_t here = index_at(x, &i->at.at[k]);
    bool walks = i->at.at[k].kind == IX_LOOP && x->n->loop[i->at.at[k].loop].kind != LOOP_SIZE;
    if (walks) here += (int64_t)v->from[k];
    bool outside = here < 0 || here >= (int64_t)v->size[k];
    if (i->guard && outside && i->at.at[k].kind != IX_VALUE) return NULL;
    if (i->guard && outside) here = here < 0 ? 0 : (int64_t)v->size[k] - 1;
    if (here < 0 || here >= (int64_t)v->size[k]) {
      fprintf(stderr, "%%%u: index %lld of %llu in coordinate %u of b%u\n", number, (long long)here,
              (unsigned long long)v->size[k], k, i->buf);
      abort();
    }
    at += (uint64_t)here * v->step[k];
  }
  return v->base + at;
}

static double draw(const Run *x, uint32_t number) {
  const LoopInstr *i = &x->n->instr.at[number];
  const Interp *r = x->r;
  View v = view_of(r, i->shape, false);
  uint32_t row = UINT32_MAX, k = 0, c0 = 0, key[2];
  uint64_t c1 = 0;
  for (uint32_t a = 0; a < r->g->axis.n && row == UINT32_MAX; a++) {
    if (!(i->shape->axes >> a & 1)) continue;
    if (r->g->axis.at[a].kind == AXIS_PLATE) row = k;
    if (row == k) {
      uint64_t at = (uint64_t)index_at(x, &i->at.at[k]) + v.from[k];
      c0 = r->x.in->row[a] ? r->x.in->row[a][at] : (uint32_t)at;
    }
    k++;
  }
  for (k = 0; k < v.n; k++) if (k != row)
    c1 = c1 * v.size[k] + (uint64_t)index_at(x, &i->at.at[k]) + v.from[k];
  r->x.in->key(r->x.in->context, r->g, i->id, key);
  switch ((RandomKind)i->kind2) {
    case RANDOM_UNIFORM: return svi_uniform_f64(key[0], key[1], c0, (uint32_t)c1);
    case RANDOM_NORMAL:  return svi_normal_f64(key[0], key[1], c0, (uint32_t)c1);
    case RANDOM_GAMMA:   return svi_standard_gamma_f64(key[0], key[1], c0, (uint32_t)c1, x->value[i->arg[0]]);
    case RANDOM_POISSON: return svi_poisson_f64(key[0], key[1], c0, (uint32_t)c1, x->value[i->arg[0]]);
    case RANDOM_VONMISES: return svi_vonmises_f64(key[0], key[1], c0, (uint32_t)c1, x->value[i->arg[0]]);
  }
  abort();
}

static double option_value(const Run *x, uint32_t id) {
  const Graph *g = x->r->g;
  for (Val v = 0; v < g->node.n; v++) {
    double y;
    if (node_of(g, v)->op != OP_option || node_of(g, v)->attr.leaf.id != id) continue;
    if (x->r->x.in->leaf(x->r->x.in->context, g, v, &y, 1)) return y;
  }
  abort();
}

static void execute(Run *x, uint32_t number) {
  const LoopInstr *i = &x->n->instr.at[number];
  const Interp *r = x->r;
  double a[3] = {0}, *y = &x->value[number];
  if (x->filling) {
    if (i->kind == LI_REDUCE && anew(r, i->from)) *element(x, number) = identity((ReduceKind)i->kind2);
    return;
  }
  for (uint32_t k = 0; k < i->nargs; k++) a[k] = x->value[i->arg[k]];
  switch (i->kind) {
    case LI_CONST:  *y = i->number; return;
    case LI_OPTION: *y = option_value(x, i->id); return;
    case LI_COUNT:  *y = (double)(i->kind2 ? r->x.in->total[i->id] : axis_size(r, i->id)); return;
    case LI_IOTA: {
      const Loop *l = &x->n->loop[i->at.at[0].loop];
      *y = (double)index_at(x, &i->at.at[0]);
      if (l->kind == LOOP_ROWS) *y += (double)r->first;
      if (l->kind == LOOP_AXIS && r->streamed &&
          (int32_t)l->axis == r->phase->particles) *y += (double)r->start;
      if (i->kind2 && r->x.in->row[i->id]) *y = (double)r->x.in->row[i->id][(uint64_t)*y];
      return;
    }
    case LI_LOAD: {
      const double *from = element(x, number);
      *y = from ? *from : 0;
      return;
    }
    case LI_OP:     *y = op_forward(i->op, a[0], a[1], a[2]); return;
    case LI_RANDOM: *y = draw(x, number); return;
    case LI_INSIDE: {
      int64_t at = index_at(x, &i->at.at[0]);
      *y = at >= i->lo && at < i->hi;
      return;
    }
    case LI_STORE:  *element(x, number) = a[0]; return;
    case LI_REDUCE: {
      double *to = element(x, number);
      *to = join((ReduceKind)i->kind2, *to, a[0]);
      return;
    }
  }
}

static void run_level(Run *x, uint32_t level) {
  for (uint32_t k = 0; k < x->n->instr.n; k++) if (x->n->instr.at[k].depth == level) execute(x, k);
  if (level == x->n->nloop) return;
  for (uint64_t i = 0, n = turns(x->r, &x->n->loop[level]); i < n; i++) {
    x->index[level] = i;
    run_level(x, level + 1);
  }
}

static void run_nest(Interp *r, const Nest *n) {
  Run x = {.r = r, .n = n};
  x.value = arena_alloc(r->arena, (n->instr.n + 1) * sizeof *x.value);
  x.view = arena_alloc(r->arena, (n->instr.n + 1) * sizeof *x.view);
  bool scatters = false;
  for (uint32_t k = 0; k < n->instr.n; k++) {
    const LoopInstr *i = &n->instr.at[k];
    x.value[k] = NAN;
    if (i->kind == LI_LOAD || i->kind == LI_STORE || i->kind == LI_REDUCE) x.view[k] = buffer_view(r, i->buf);
    scatters |= i->kind == LI_REDUCE;
  }
  x.filling = true;
  if (scatters) run_level(&x, 0);
  x.filling = false;
  memset(x.index, 0, sizeof x.index);
  run_level(&x, 0);
}

/* ---- calls */
static uint64_t extent(const Interp *r, Extent e, bool here) {
  uint64_t n = e.constant;
  for (uint32_t a = 0; a < r->g->axis.n; a++)
    if (e.axes >> a & 1) n *= here ? size_here(r, a) : axis_size(r, a);
  return n;
}

typedef struct { double *at, *end; uint64_t ld, stride; } Operand;

static Operand operand(const Interp *r, Buf b, Extent ld, Extent stride) {
  bool chunk = r->x.p->buffers.at[b].kind == BUF_CHUNK;
  View v = buffer_view(r, b);
  Operand o = {v.base, v.base + v.limit, extent(r, ld, chunk), extent(r, stride, chunk)};
  for (uint32_t i = 0; i < v.n; i++) o.at += v.from[i] * v.step[i];
  return o;
}

static double *cell(const Operand *o, uint64_t batch, uint64_t i, uint64_t j) {
  double *x = o->at + batch * o->stride + i * o->ld + j;
  if (x >= o->end) abort();
  return x;
}

static void run_gemm(Interp *r, const Call *c) {
  Operand a = operand(r, c->a, c->lda, c->stride_a), b = operand(r, c->b, c->ldb, c->stride_b),
      out = operand(r, c->c, c->ldc, c->stride_c);
  uint64_t m = extent(r, c->m, true), n = extent(r, c->n, true), k = extent(r, c->k, true);
  if (c->add != (c->from == FROM_BEFORE)) abort();
  for (uint64_t z = 0; z < extent(r, c->batch, true); z++) {
    for (uint64_t i = 0; i < m; i++) {
      for (uint64_t j = 0; j < n; j++) {
        double s = anew(r, c->from) ? 0 : *cell(&out, z, i, j);
        for (uint64_t q = 0; q < k; q++) {
          bool result = c->triangle == TRIANGLE_RESULT;
          int64_t row = (int64_t)(result ? i : c->tb ? j : q), column = (int64_t)(result ? j : c->tb ? q : j);
          if (c->triangle && row >= column + c->shift) continue;
          s += *(c->ta ? cell(&a, z, q, i) : cell(&a, z, i, q)) * *(c->tb ? cell(&b, z, j, q)
                                                                    : cell(&b, z, q, j));
        }
        *cell(&out, z, i, j) = s;
      }
    }
  }
}

static void run_load(Interp *r, const Call *c) {
  const Graph *g = r->g;
  Val leaf = 0;                                          /* not the buffer's value, which may be what is written over it */
  while (leaf < g->node.n && !(node_of(g, leaf)->op == (c->column >= 0 ? OP_input : OP_param) &&
                               (int32_t)node_of(g, leaf)->attr.leaf.id == (c->column >= 0 ? c->column : -1 - c->column))) leaf++;
  if (leaf == g->node.n) abort();
  const Node *n = node_of(g, leaf);
  uint64_t row = shape_event_size(n->shape), all = row * rows_of(r, n->shape->axes);
  double *whole = poisoned(r->arena, all);
  if (!r->x.in->leaf(r->x.in->context, g, leaf, whole, all)) abort();
  Operand to = operand(r, c->c, (Extent){0, 0}, (Extent){0, 0});
  bool chunked = r->phase->axis >= 0 && c->m.axes >> r->phase->axis & 1;
  uint64_t per_row = chunked ? all / axis_size(r, (uint32_t)r->phase->axis) : all, from = chunked ? r->first
      : 0, count = chunked ? r->rows : 1;
  if (to.at + count * per_row > to.end) abort();
  memcpy(to.at, whole + from * per_row, count * per_row * sizeof *whole);
}

static void run_cholesky(Interp *r, const Call *c) {
  uint64_t n = c->n.constant;
  Operand a = operand(r, c->a, c->n, (Extent){n * n, 0}), l = operand(r, c->c, c->n, (Extent){n * n, 0});
  for (uint64_t z = 0; z < extent(r, c->batch, true); z++) {
    for (uint64_t i = 0; i < n; i++) {
      for (uint64_t j = 0; j < n; j++) {
        if (j > i) { *cell(&l, z, i, j) = 0; continue; }
        double s = *cell(&a, z, i, j);
        for (uint64_t k = 0; k < j; k++) s -= *cell(&l, z, i, k) * *cell(&l, z, j, k);
        *cell(&l, z, i, j) = i == j ? sqrt(s) : s / *cell(&l, z, j, j);
      }
    }
  }
}

static void run_solve(Interp *r, const Call *c) {
  uint64_t n = c->n.constant, m = c->m.constant;
  Operand t = operand(r, c->a, c->n, (Extent){n * n, 0}), b = operand(r, c->b, c->m, (Extent){n * m, 0}),
      x = operand(r, c->c, c->m, (Extent){n * m, 0});
  bool forward = c->lower != c->trans;
  for (uint64_t z = 0; z < extent(r, c->batch, true); z++) {
    for (uint64_t k = 0; k < n; k++) {
      uint64_t i = forward ? k : n - 1 - k;
      for (uint64_t col = 0; col < m; col++) {
        double s = *cell(&b, z, i, col);
        for (uint64_t q = 0; q < k; q++) {
          uint64_t j = forward ? q : n - 1 - q;
          s -= *(c->trans ? cell(&t, z, j, i) : cell(&t, z, i, j)) * *cell(&x, z, j, col);
        }
        *cell(&x, z, i, col) = s / *cell(&t, z, i, i);
      }
    }
  }
}

static void run_running(Interp *r, const Call *c) {
  uint64_t n = c->n.constant, m = c->m.constant;
  Operand a = operand(r, c->a, c->m, (Extent){n * m, 0}), y = operand(r, c->c, c->m, (Extent){n * m, 0});
  for (uint64_t z = 0; z < extent(r, c->batch, true); z++)
    for (uint64_t i = 0; i < n; i++)
      for (uint64_t j = 0; j < m; j++) {
        double s = 0;
        for (uint64_t k = 0; k < n; k++) if (c->trans ? k > i : k < i) s += *cell(&a, z, k, j);
        *cell(&y, z, i, j) = s;
      }
}

static void run_step(Interp *r, const Step *s) {
  if (!s->is_call) {
    run_nest(r, &s->nest);
    return;
  }
  switch (s->call.kind) {
    case CALL_GEMM:      run_gemm(r, &s->call); return;
    case CALL_LOAD_ROWS: run_load(r, &s->call); return;
    case CALL_CHOLESKY:  run_cholesky(r, &s->call); return;
    case CALL_SOLVE_TRI: run_solve(r, &s->call); return;
    case CALL_RUNNING:   run_running(r, &s->call); return;
  }
}

/* ---- phases */
static double *chunk_part(const View *v) {
  uint64_t at = 0;
  for (uint32_t i = 0; i < v->n; i++) at += v->from[i] * v->step[i];
  return v->base + at;
}
static bool settled(Interp *r, const Repeat *x) {
  View next = buffer_view(r, x->next), guess = buffer_view(r, x->guess);
  double *a = chunk_part(&next), *b = chunk_part(&guess);
  uint64_t n = extent(r, x->size, true);
  if (memcmp(a, b, n * sizeof *a) == 0) return true;
  for (uint64_t i = 0; i < n; i++) if (isfinite(a[i])) b[i] = a[i];
  return false;
}
static void run_once(Interp *r, const Step *s, uint32_t n) {
  for (uint32_t i = 0, end; i < n; i = end) {
    for (end = i + 1; s[i].repeat && end < n && s[end].repeat == s[i].repeat;) end++;
    const Repeat *x = s[i].repeat ? &r->phase->repeats.at[s[i].repeat - 1] : NULL;
    for (uint32_t turn = 0; turn < (x ? extent(r, x->turns, true) : 1); turn++) {
      for (uint32_t k = i; k < end; k++) run_step(r, &s[k]);
      if (x && settled(r, x)) break;
    }
  }
}
static void run_steps(Interp *r) {
  const LoopPhase *p = r->phase;
  for (uint32_t i = 0, end; i < p->steps.n; i = end) {
    for (end = i + 1; end < p->steps.n && p->steps.at[end].streamed == p->steps.at[i].streamed;) end++;
    if (!p->steps.at[i].streamed) {
      run_once(r, &p->steps.at[i], end - i);
      continue;
    }
    uint64_t all = axis_size(r, (uint32_t)p->particles);
    r->streamed = true;
    for (r->start = 0; r->start < all; r->start += r->count) {
      r->count = all - r->start < r->x.block ? all - r->start : r->x.block;
      run_once(r, &p->steps.at[i], end - i);
    }
    r->streamed = false;
    r->start = r->count = 0;
  }
}

/* Chunk `number`, or for the products after a phase the rows of as many chunks. */
static void run_chunk(Interp *r, uint64_t number, uint64_t chunks) {
  const LoopPhase *p = r->phase;
  const SviPhase *described = &r->x.entry->phase[p - r->x.p->phases.at];
  uint64_t lane = number % r->x.lanes, all = axis_size(r, (uint32_t)p->axis),
      capacity = (r->x.chunk + 15) / 16 * 16;
  r->first = number * r->x.chunk;
  r->rows = all - r->first < chunks * r->x.chunk ? all - r->first : chunks * r->x.chunk;
  r->fresh = p->after ? number == 0 : number < r->x.lanes;
  r->my_lane = r->lane[lane];
  r->lane_used[lane] = true;
  if (described->ndomain != (int32_t)p->ndomain || described->axis != p->axis ||
      described->stream != p->stream || described->after != p->after) abort();
  for (uint32_t d = 0; d < p->ndomain; d++) {
    uint64_t n = capacity;
    for (uint32_t a = 0; a < r->g->axis.n; a++) {
      if (!(p->domain[d].axes >> a & 1) || (int32_t)a == p->axis) continue;
      n *= p->stream && (int32_t)a == p->particles ? r->x.block : axis_size(r, a);
    }
    if (described->domain[d].axes != p->domain[d].axes || described->domain[d].bytes != p->domain[d].bytes)
      abort();
    r->domain_elements[d] = n;
    r->scratch_size[d] = p->domain[d].bytes / r->x.p->real_bytes * n;
    r->scratch[d] = poisoned(r->arena, r->scratch_size[d]);
  }
  run_steps(r);
}

static void poison_windows(Interp *r) {
  const SviEntry *e = r->x.entry;
  for (int32_t i = 0; i < e->nbatch; i++)
    for (uint64_t k = 0; e->batch[i].window && k < rows_of(r, e->batch[i].axes) * e->batch[i].size; k++) r->batch[i][k] = NAN;
}

/* The phase after it, too, where there is one; how many phases. */
static uint32_t run_phase(Interp *r, uint32_t number) {
  enum { STRETCH = 2 };
  r->phase = &r->x.p->phases.at[number];
  if (r->phase->axis < 0) {
    r->first = r->rows = 0;
    run_steps(r);
    return 1;
  }
  bool both = !r->phase->after && number + 1 < r->x.p->phases.n && r->phase[1].after && r->phase[1].axis == r->phase->axis;
  uint64_t all = axis_size(r, (uint32_t)r->phase->axis), n = (all + r->x.chunk - 1) / r->x.chunk;
  memset(r->lane_used, 0, r->x.lanes);
  for (uint64_t i = 0; i < n; i += STRETCH) {
    for (uint64_t k = i; k < n && k < i + STRETCH && !r->phase->after; k++) run_chunk(r, k, 1);
    r->phase += both;
    if (r->phase->after) run_chunk(r, i, STRETCH);
    r->phase -= both;
    if (both) poison_windows(r);
  }
  const SviPhase *p = &r->x.entry->phase[number];
  static const ReduceKind how[] = {[SVI_COMBINE_SUM] = REDUCE_SUM, [SVI_COMBINE_MAX] = REDUCE_MAX,
                                   [SVI_COMBINE_LOGSUMEXP] = REDUCE_LOGSUMEXP};
  for (int32_t k = 0; k < p->nreduction; k++) {
    const SviReduction *red = &p->reduction[k];
    for (uint64_t i = 0; i < red->size; i++) {
      double y = identity(how[red->how]);
      for (uint64_t l = 0; l < r->x.lanes; l++)
        if (r->lane_used[l]) y = join(how[red->how], y, r->lane[l][red->lane + i]);
      r->global[red->global + i] = y;
    }
  }
  return 1 + both;
}

Interp *interp_run(Arena *arena, const InterpInput *in) {
  Interp *r = NEW(arena, Interp);
  const SviEntry *e = in->entry;
  *r = (Interp){.arena = arena, .x = *in, .g = in->p->entry->graph};
  r->global = poisoned(arena, e->global_size);
  r->lane = arena_alloc(arena, (in->lanes + 1) * sizeof *r->lane);
  r->lane_used = arena_alloc(arena, in->lanes + 1);
  r->batch = arena_alloc(arena, ((size_t)e->nbatch + 1) * sizeof *r->batch);
  r->out = arena_alloc(arena, ((size_t)e->nout + 1) * sizeof *r->out);
  for (uint64_t i = 0; i < in->lanes; i++) r->lane[i] = poisoned(arena, e->lane_size);
  for (int32_t i = 0; i < e->nbatch; i++)
    r->batch[i] = poisoned(arena, rows_of(r, e->batch[i].axes) * e->batch[i].size);
  for (int32_t i = 0; i < e->nout; i++)
    r->out[i] = poisoned(arena, rows_of(r, e->out[i].axes) * e->out[i].size);
  for (uint32_t i = 0; i < in->p->phases.n;) i += run_phase(r, i);
  return r;
}

/* ---- results */
double interp_scalar(const Interp *r, uint32_t i) { return r->global[r->x.entry->scalar[i].global]; }

static uint64_t value_size(const Interp *r, Val v) { return shape_event_size(shape_of(r->g, v)) * rows_of(r,
    shape_of(r->g, v)->axes); }

const double *interp_grad(Interp *r, uint32_t i, uint64_t *n) {
  const SviGrad *g = &r->x.entry->grad[i];
  const Entry *e = r->x.p->entry;
  uint32_t k = 0;
  while (e->grads.at[k].param != g->param) k++;
  *n = value_size(r, e->grads.at[k].value);
  switch (g->where) {
    case SVI_IN_GLOBAL: return r->global + g->offset;
    case SVI_IN_OUT:    return r->out[g->offset];
    case SVI_IN_LANES: {
      double *sum = arena_alloc(r->arena, (*n + 1) * sizeof *sum);
      uint64_t chunks = (axis_size(r, (uint32_t)e->axis) + r->x.chunk - 1) / r->x.chunk;
      for (uint64_t l = 0; l < r->x.lanes && l < chunks; l++)
        for (uint64_t j = 0; j < *n; j++) sum[j] += r->lane[l][g->offset + j];
      return sum;
    }
  }
  abort();
}

const double *interp_update(Interp *r, uint32_t i, uint64_t *n) {
  *n = value_size(r, r->x.p->entry->updates.at[i].value);
  return r->global + r->x.entry->update[i].global;
}

const double *interp_out(Interp *r, uint32_t i, uint64_t *n) {
  *n = rows_of(r, r->x.entry->out[i].axes) * r->x.entry->out[i].size;
  return r->out[i];
}
