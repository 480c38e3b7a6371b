/* lower: an entry, from graph to loop program and to what the runtime is told of it. */
#include "lower.h"

static void add_root(Lower *l, RootKind kind, uint32_t index, Val v) {
  Root r = {kind, index, v};
  if (v != NO_VAL) vec_push(l->arena, &l->roots, r);
}

static void add_roots(Lower *l) {
  const Entry *e = l->entry;
  for (uint32_t i = 0; i < e->scalars.n; i++) add_root(l, ROOT_SCALAR, i, e->scalars.at[i].value);
  for (uint32_t i = 0; i < e->outs.n; i++) {
    OutPlan o = {e->outs.at[i].name, shape_of(e->graph, e->outs.at[i].value)};
    vec_push(l->arena, &l->outs, o);
    add_root(l, ROOT_OUT, i, e->outs.at[i].value);
  }
  for (uint32_t i = 0; i < e->grads.n; i++) add_root(l, ROOT_GRAD, i, e->grads.at[i].value);
  for (uint32_t i = 0; i < e->updates.n; i++) add_root(l, ROOT_UPDATE, i, e->updates.at[i].value);
}

/* ---- what the runtime is told */
static uint64_t row_size(const Lower *l, const Shape *s) {
  uint64_t n = shape_event_size(s);
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if (s->axes >> a & 1 && l->g->axis.at[a].kind == AXIS_INDEX) n *= l->g->axis.at[a].size;
  return n;
}

static SviRows rows_of(const Lower *l, Name name, const Shape *s) {
  return (SviRows){name, run_axes(l, s->axes), row_size(l, s), (int32_t)s->rank, s->dim, false};
}

static SviCombine combine_of(const Lower *l, Val v) {
  const Node *n = lnode(l, v);
  if (n->op != OP_reduce) return SVI_COMBINE_SUM;
  switch ((ReduceKind)n->attr.reduce.kind) {
    case REDUCE_SUM:       return SVI_COMBINE_SUM;
    case REDUCE_MAX:       return SVI_COMBINE_MAX;
    case REDUCE_LOGSUMEXP: return SVI_COMBINE_LOGSUMEXP;
    case REDUCE_PROD: case REDUCE_MIN: break;
  }
  BUG("lanes cannot be joined by a reduction of kind %d", n->attr.reduce.kind);
}

static void describe_phase(Lower *l, uint32_t number, SviPhase *out) {
  const LoopPhase *p = &l->p->phases.at[number];
  *out = (SviPhase){.axis = p->axis, .particles = p->particles, .stream = p->stream, .after = p->after,
                    .ndomain = (int32_t)p->ndomain};
  for (uint32_t i = 0; i < p->ndomain; i++)
    out->domain[i].axes = p->domain[i].axes, out->domain[i].bytes = p->domain[i].bytes;
  VEC(SviReduction) some = {0};
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    const Value *x = &l->v.at[v];
    if (x->clear || x->phase != (int32_t)number || x->lane_buf == NO_BUF || x->buf == NO_BUF) continue;
    SviReduction r = {l->p->buffers.at[x->lane_buf].offset, l->p->buffers.at[x->buf].offset,
                      row_size(l, x->node.shape), combine_of(l, v)};
    vec_push(l->arena, &some, r);
  }
  out->reduction = some.at;
  out->nreduction = (int32_t)some.n;
}

static void describe_roots(Lower *l, SviEntry *out) {
  const Entry *e = l->entry;
  SviScalar *scalar = arena_alloc(l->arena, (e->scalars.n + 1) * sizeof *scalar);
  SviGrad   *grad   = arena_alloc(l->arena, (e->grads.n + 1) * sizeof *grad);
  SviUpdate *update = arena_alloc(l->arena, (e->updates.n + 1) * sizeof *update);
  for (uint32_t i = 0; i < l->roots.n; i++) {
    const Root *r = &l->roots.at[i];
    const Value *x = &l->v.at[r->value];
    uint64_t at = x->buf == NO_BUF ? 0 : l->p->buffers.at[x->buf].offset;
    switch (r->kind) {
      case ROOT_OUT: break;
      case ROOT_SCALAR: scalar[out->nscalar++] = (SviScalar){e->scalars.at[r->index].name, at}; break;
      case ROOT_UPDATE: update[out->nupdate++] = (SviUpdate){e->updates.at[r->index].param, at}; break;
      case ROOT_GRAD: {
        int32_t param = e->grads.at[r->index].param;
        SviGrad g = {.param = param, .where = SVI_IN_GLOBAL, .offset = at};
        if (x->out >= 0) g.where = SVI_IN_OUT, g.offset = (uint64_t)x->out;
        else if (x->buf == NO_BUF) g.where = SVI_IN_LANES, g.offset = l->p->buffers.at[x->lane_buf].offset;
        if (x->triangle == TRIANGLE_RESULT) g.columns = x->node.shape->dim[1], g.shift = x->shift;
        grad[out->ngrad++] = g;
        break;
      }
    }
  }
  out->scalar = scalar, out->grad = grad, out->update = update;
}

static void describe_rows(Lower *l, SviEntry *out) {
  SviRows *rows = arena_alloc(l->arena, (l->outs.n + 1) * sizeof *rows);
  for (uint32_t i = 0; i < l->outs.n; i++) rows[i] = rows_of(l, l->outs.at[i].name, l->outs.at[i].shape);
  out->out = rows, out->nout = (int32_t)l->outs.n;
  VEC(SviRows) kept = {0};
  for (Buf b = 0; b < l->p->buffers.n; b++) {
    const Buffer *x = &l->p->buffers.at[b];
    if (x->kind != BUF_BATCH) continue;
    Name label = lnode(l, x->value)->label;
    SviRows r = rows_of(l, label ? label : "", x->shape), none = {0};
    r.window = x->window;
    while (kept.n <= x->offset) vec_push(l->arena, &kept, none);
    SviRows *place = &kept.at[x->offset];                         /* of one value after another */
    if (!place->name) *place = r;
    else if (r.size > place->size) place->size = r.size;
  }
  out->batch = kept.at, out->nbatch = (int32_t)kept.n;
}

/* ---- a rough count of operations: once, and for each row of the batch */
static double extent_size(const Lower *l, Extent e, double *rows) {
  double n = (double)e.constant;
  for (uint32_t a = 0; a < l->g->axis.n; a++) {
    if (!(e.axes >> a & 1)) continue;
    uint64_t k = l->model->naxis > (int32_t)a ? l->model->axis[a].fallback : 0;
    if ((int32_t)a == l->entry->axis) *rows = 1;
    else n *= l->g->axis.at[a].kind == AXIS_PARTICLE && k ? (double)k : axis_guess(l, a);
  }
  return n;
}

static double instr_flops(const LoopInstr *i) {
  Lower none = {0};
  Value v = {.node = {.op = i->op}};
  none.v.at = &v;
  switch (i->kind) {
    case LI_OP:     return op_cost(&none, 0);
    case LI_RANDOM: v.node.op = OP_random; v.node.attr.random.kind = i->kind2; return op_cost(&none, 0);
    case LI_REDUCE: return i->kind2 == REDUCE_LOGSUMEXP ? 20 : 1;
    case LI_CONST: case LI_OPTION: case LI_COUNT: case LI_IOTA: case LI_INSIDE: return 0;
    case LI_LOAD: case LI_STORE: return 0;
  }
  return 0;
}

static void count_flops(const Lower *l, SviEntry *out) {
  for (uint32_t k = 0; k < l->p->phases.n; k++) {
    for (uint32_t s = 0; s < l->p->phases.at[k].steps.n; s++) {
      const Step *step = &l->p->phases.at[k].steps.at[s];
      if (step->is_call) {
        const Call *c = &step->call;
        double rows = 0, n = 1;
        Extent sizes[] = {c->batch, c->m, c->n, c->k};
        for (size_t i = 0; i < LEN(sizes); i++) n *= extent_size(l, sizes[i], &rows);
        if (c->kind == CALL_LOAD_ROWS) continue;
        if (c->kind == CALL_GEMM) n *= 2;
        if (c->kind == CALL_CHOLESKY || c->kind == CALL_SOLVE_TRI) n *= (double)c->n.constant;
        *(rows > 0 ? &out->flops_row : &out->flops_once) += n;
        continue;
      }
      const Nest *nest = &step->nest;
      for (uint32_t i = 0; i < nest->instr.n; i++) {
        double rows = 0, n = instr_flops(&nest->instr.at[i]);
        for (uint32_t d = 0; d < nest->instr.at[i].depth; d++) {
          const Loop *loop = &nest->loop[d];
          bool fixed = loop->kind == LOOP_SIZE;
          Extent turns = fixed ? (Extent){loop->size, 0} : (Extent){1, AXIS_BIT(loop->axis)};
          n *= extent_size(l, turns, &rows);
        }
        *(rows > 0 ? &out->flops_row : &out->flops_once) += n;
      }
    }
  }
}

static bool reads_columns(const Lower *l) {
  for (uint32_t k = 0; k < l->order.n; k++) if (lnode(l, l->order.at[k])->op == OP_input && (int32_t)lnode(l, l->order.at[k])->attr.leaf.id < l->model->ncolumn) return true;
  return false;
}

LoopProgram *loops_lower(Arena *arena, const Entry *entry, const SviModel *model, uint32_t real_bytes,
                         SviEntry *out) {
  Lower *l = NEW(arena, Lower);
  *l = (Lower){.arena = arena, .entry = entry, .g = entry->graph, .model = model, .real_bytes = real_bytes,
               .p = NEW(arena, LoopProgram)};
  l->p->entry = entry;
  l->p->real_bytes = real_bytes;
  values_read(l);
  values_bodies(l);
  add_roots(l);
  values_prepare(l);
  homes_find(l);
  phases_find(l);
  for (uint32_t i = 0; i < l->phase.n; i++) {
    LoopPhase p = {.particles = -1};
    phase_fuse(l, i, &p);
    vec_push(arena, &l->p->phases, p);
  }
  plan_buffers(l, out);

  SviPhase *phase = arena_alloc(arena, (l->phase.n + 1) * sizeof *phase);
  for (uint32_t i = 0; i < l->phase.n; i++) describe_phase(l, i, &phase[i]);
  out->phase = phase, out->nphase = (int32_t)l->phase.n;
  out->axis = entry->axis;
  out->needs_data = reads_columns(l);
  describe_roots(l, out);
  describe_rows(l, out);
  count_flops(l, out);
  return l->p;
}
