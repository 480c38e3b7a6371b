/* fuse: the steps of a phase.
 *
 * In:  the values a phase must have in memory at its end.
 * Out: its steps in order: nests and calls.
 *
 * SINKS are the values that go to memory in any case: what the phase must leave behind, reductions,
 * operands and results of calls.  They are taken in order; a sink joins the earliest nest over the same
 * loops that comes after everything it reads, or opens one at the end.  A value stored by that very nest at
 * the same place is read from a register.
 *
 * All other values are computed in the nests that want them.  One that several nests want is either
 * computed in each, or stored by the first and loaded by the others, or made a sink: by the cheapest count
 * of operations, loads and stores (cost.c).  A new sink may change the nests, so the steps are found again
 * until nothing changes.
 *
 * Repetitions are steps of their own: see note [stages].
 *
 * Streams: values without particles come first, then the nests and calls with particles, then what is
 * reduced from them. */
#include "lower.h"

static bool in_param(const Lower *l, Val v) { return lnode(l, v)->op == OP_param && !reloads(l, v); }

bool in_parts(const Fuse *f, Val v) { return f->l->v.at[v].copy && lnode(f->l, v)->op == OP_concat; }

/* Written by a nest, element by element, as it is computed. */
static bool stores(const Fuse *f, Val v) {
  const Local *x = &f->at[v];
  return x->keep == KEEP_SINK && !x->call && !f->l->v.at[v].target && !in_parts(f, v) &&
      (x->product || !is_contraction(lnode(f->l, v)->op));
}

bool stored_before(const Fuse *f, Val v, uint32_t step) {
  const Local *x = &f->at[v];
  if (in_param(f->l, v)) return true;
  if (!x->local) return true;
  return x->keep != KEEP_NOT && x->step < step;
}

/* ---- which values, which of them sinks */
static void visit(Fuse *f, Val v) {
  Lower *l = f->l;
  Local *x = &f->at[v];
  const Value *value = &l->v.at[v];
  if (x->local || in_param(l, v)) return;
  if (!value->clear && value->phase != f->phase && (l->phase.at[f->phase].after || !recomputed(l, v, f->axis))) {
    if (value->buf == NO_BUF) BUG("value %u is read by phase %d and not kept", v, f->phase);
    return;
  }
  x->local = true;
  for (uint32_t i = 0; i < value->node.nargs; i++) visit(f, value->node.arg[i]);
  vec_push(l->arena, &f->order, v);
}

static void need(Fuse *f, Val v) {
  if (!f->at[v].local) return;
  if (is_view(f->l, v)) BUG("view %u is to lie in memory", v);
  f->at[v].keep = KEEP_SINK;
}

static void classify(Fuse *f) {
  Lower *l = f->l;
  for (uint32_t k = 0; k < f->order.n; k++) {
    Val v = f->order.at[k];
    Local *x = &f->at[v];
    const Value *value = &l->v.at[v];
    const Node *n = &value->node;
    if (x->wanted || value->copy || value->target || value->into != NO_VAL) x->keep = KEEP_SINK;
    if (n->op == OP_input || n->op == OP_param) x->keep = KEEP_SINK, x->call = true;
    if (n->op == OP_reduce || n->op == OP_scatter) x->keep = KEEP_SINK;
    if (is_view(l, v) && n->op == OP_reshape && reshape_is_alias(l, v)) need(f, through_views(l, n->arg[0]));
    if (is_call_op(n->op)) {
      x->keep = KEEP_SINK, x->call = true;
      for (uint32_t i = 0; i < n->nargs; i++) {
        Strides s;
        strides_of(l, n->arg[i], &s);
        need(f, s.base);
      }
    }
    if (n->op == OP_settle) need(f, n->arg[0]);
    if (n->op != OP_dot) continue;
    Gemm m;
    if (value->triangle && !gemm_match(l, v, &m)) BUG("a product of a triangle that is no call");
    if (gemm_match(l, v, &m)) {
      x->gemm = NEW(l->arena, Gemm);
      *x->gemm = m;
      x->keep = KEEP_SINK, x->call = true;
      need(f, m.a), need(f, m.b);
    } else if (value->space == n->shape && value->into == NO_VAL) {
      x->product = true;
    } else {
      x->keep = KEEP_SINK;
    }
  }
}

/* ---- streams */

/* Chunks may take particles a block at a time when no value with them depends on a reduction over them, and
 * none of them is kept beyond the phase. */
static bool can_stream(Fuse *f, AxisSet particle) {
  Lower *l = f->l;
  bool *after = arena_alloc(l->arena, l->v.n + 1);
  for (uint32_t k = 0; k < f->order.n; k++) {
    Val v = f->order.at[k];
    const Value *x = &l->v.at[v];
    for (uint32_t i = 0; i < x->node.nargs; i++) {
      Val a = x->node.arg[i];
      after[v] |= after[a];
      if (!f->at[a].local && lshape(l, a)->axes & particle) return false;
    }
    bool has = x->space->axes & particle, had = has && !(x->node.shape->axes & particle);
    if (has && (after[v] || (had && x->lane) || (f->at[v].wanted && !had))) return false;
    if (had && x->into != NO_VAL) return false;
    if (f->at[v].call && has && x->node.nargs == 0) return false;
    after[v] |= had;
  }
  return true;
}

static void find_stream(Fuse *f) {
  Lower *l = f->l;
  AxisSet some = 0;
  for (uint32_t k = 0; k < f->order.n; k++)
    some |= axes_of_kind(l, l->v.at[f->order.at[k]].space->axes, AXIS_PARTICLE);
  f->out->particles = some ? __builtin_ctzll(some) : -1;
  f->stream = -1;
  if (!some || f->axis < 0 || !can_stream(f, some & -some)) return;
  f->stream = f->out->particles;
  f->out->stream = true;
  for (uint32_t k = 0; k < f->order.n; k++) {
    Val v = f->order.at[k];
    const Value *x = &l->v.at[v];
    uint8_t group = 0;
    for (uint32_t i = 0; i < x->node.nargs; i++) {
      Val a = x->node.arg[i];
      uint8_t g = f->at[a].group;
      if (g == 1 && !(lshape(l, a)->axes >> f->stream & 1)) g = 2;
      if (g > group) group = g;
    }
    f->at[v].group = x->space->axes >> f->stream & 1 ? 1 : group;
  }
}

/* ---- stages: see note [stages] */
static uint32_t find_stages(Fuse *f) {
  const Lower *l = f->l;
  uint32_t most = 0;
  for (uint32_t k = f->order.n; k-- > 0;) {             /* a body is of one group: that of its last value */
    Val v = f->order.at[k];
    if (lnode(l, v)->op != OP_settle) continue;
    const Node *n = lnode(l, v);
    uint32_t body = l->v.at[n->arg[1]].body;
    for (uint32_t i = 0; i < k; i++) if (l->v.at[f->order.at[i]].body == body) f->at[f->order.at[i]].group = f->at[n->arg[0]].group;
  }
  for (uint32_t k = 0; k < f->order.n; k++) {
    Val v = f->order.at[k];
    const Node *n = lnode(l, v);
    uint32_t stage = 0, body = l->v.at[v].body;
    for (uint32_t i = 0; i < n->nargs; i++) if (f->at[n->arg[i]].stage > stage) stage = f->at[n->arg[i]].stage;
    if (n->op == OP_guess) stage = 3 * body - 3;
    else if (n->op == OP_settle) stage = 3 * l->v.at[n->arg[1]].body;
    else if (body) {
      f->at[v].shifts = n->op == OP_shift;
      for (uint32_t i = 0; i < n->nargs; i++)
        if (l->v.at[n->arg[i]].body == body && f->at[n->arg[i]].shifts + (n->op == OP_shift) > f->at[v].shifts) f->at[v].shifts = f->at[n->arg[i]].shifts + (n->op == OP_shift);
      stage = f->at[v].shifts ? 3 * body - 1 : 3 * body - 2;
    }
    f->at[v].stage = stage;
    if (stage > most) most = stage;
  }
  return most;
}

/* Whether a sink sums over the particles of the block only. */
static bool over_blocks(const Fuse *f, Val v) {
  const Value *x = &f->l->v.at[v];
  return f->stream >= 0 && is_contraction(x->node.op) &&
      (x->space->axes & ~x->node.shape->axes) >> f->stream & 1;
}

/* ---- places */

/* An argument is aligned when, wherever its user is computed at the indices of the nest, so is it (or at
 * those of them that it has). */
bool keeps_place(const Lower *l, Val v, uint32_t i) {
  const Node *n = lnode(l, v);
  const Shape *a = lshape(l, n->arg[i]);
  switch (n->op) {
    case OP_stop: case OP_assume: case OP_reduce: case OP_random: case OP_guess: case OP_settle: return true;
    case OP_expand: return a->rank == 0 || n->attr.expand.added == 0;
    case OP_scatter: return true;
    case OP_gather: return i == 1;
    default: return is_elementwise(l, v);
  }
}

/* The earliest step in which all is there that a nest reads for v. */
static uint32_t earliest(Fuse *f, Val v, bool aligned, const Shape *space) {
  Local *x = &f->at[v];
  const Lower *l = f->l;
  if (!x->local) return 0;
  if (x->stamp[aligned] == f->stamp) return 0;
  x->stamp[aligned] = f->stamp;
  if (x->keep == KEEP_SINK) {
    if (!x->scheduled) BUG("value %u is used before its step", v);
    return x->step + !(aligned && stores(f, v) && lshape(l, v) == space);
  }
  uint32_t step = 0;
  for (uint32_t i = 0; i < lnode(l, v)->nargs; i++) {
    uint32_t s = earliest(f, lnode(l, v)->arg[i], aligned && keeps_place(l, v, i), space);
    if (s > step) step = s;
  }
  return step;
}

static uint32_t step_add(Fuse *f, bool call, const Shape *space, Val v, const Local *x) {
  StepPlan s = {.call = call, .space = space, .v = v, .group = x->group, .stage = x->stage};
  vec_push(f->l->arena, &f->steps, s);
  return f->steps.n - 1;
}

static uint32_t nest_for(Fuse *f, const Shape *space, const Local *x, uint32_t from) {
  for (uint32_t i = from; i < f->steps.n; i++) {
    const StepPlan *s = &f->steps.at[i];
    if (!s->call && s->space == space && s->group == x->group && s->stage == x->stage) return i;
  }
  return step_add(f, false, space, NO_VAL, x);
}

static void sink_add(Fuse *f, uint32_t step, SinkKind kind, Val v, ReduceFrom from) {
  Sink s = {kind, v, from, 0};
  vec_push(f->l->arena, &f->steps.at[step].sink, s);
}

static void done(Fuse *f, Val v, uint32_t step) {
  for (;; v = f->l->v.at[v].into) {
    Local *x = &f->at[v];
    if (!x->scheduled || step > x->step) x->step = step;
    x->scheduled = true;
    if (f->l->v.at[v].into == NO_VAL) return;
  }
}

/* The nests that write a concat: one for each argument. */
static void schedule_parts(Fuse *f, Val v) {
  Lower *l = f->l;
  const Node *n = lnode(l, v);
  uint32_t last = 0;
  for (uint32_t i = 0; i < n->nargs; i++) {
    const Shape *a = lshape(l, n->arg[i]), *space = graph_shape(l->g, n->shape->axes, a->rank, a->dim);
    f->stamp++;
    uint32_t step = nest_for(f, space, &f->at[v], earliest(f, n->arg[i], true, space));
    sink_add(f, step, SINK_PART, v, FROM_IDENTITY);
    StepPlan *s = &f->steps.at[step];
    s->sink.at[s->sink.n - 1].part = i;
    if (step > last) last = step;
  }
  done(f, v, last);
}

/* How a sum into v's buffer begins: the first of several into one buffer begins it. */
static ReduceFrom begin(Fuse *f, Val v, uint32_t *after) {
  const Lower *l = f->l;
  uint8_t via[DIM_MAX];
  Val t = target_of(l, v, via);
  *after = 0;
  if (t != v && f->at[t].scheduled) {
    *after = f->at[t].step + 1;
    return FROM_BEFORE;
  }
  return l->v.at[v].lane || l->v.at[v].shared ? FROM_LANE : over_blocks(f, v) ? FROM_BLOCK : FROM_IDENTITY;
}

static void schedule_sink(Fuse *f, Val v) {
  Lower *l = f->l;
  Local *x = &f->at[v];
  const Value *value = &l->v.at[v];
  uint32_t after = 0, step;
  if (value->target) return;                            /* complete with the last of those that go into it */
  if (x->call) {
    ReduceFrom from = value->node.op == OP_dot ? begin(f, v, &after) : FROM_IDENTITY;
    step = step_add(f, true, NULL, v, x);
    f->steps.at[step].from = from;
    done(f, v, step);
    return;
  }
  if (in_parts(f, v)) {
    schedule_parts(f, v);
    return;
  }
  uint32_t from_step = 0;
  f->stamp++;
  for (uint32_t i = 0; i < value->node.nargs; i++) {
    bool aligned = stores(f, v) ? keeps_place(l, v, i) : value->node.op != OP_dot && keeps_place(l, v, i);
    uint32_t s = earliest(f, value->node.arg[i], aligned, value->space);
    if (s > from_step) from_step = s;
  }
  if (stores(f, v)) {
    step = nest_for(f, value->space, x, from_step);
    sink_add(f, step, SINK_STORE, v, FROM_IDENTITY);
  } else {
    ReduceFrom from = begin(f, v, &after);
    if (after > from_step) from_step = after;
    bool scatter = value->node.op == OP_scatter;
    if (scatter && from != FROM_BEFORE) {
      step = nest_for(f, value->node.shape, x, after);
      sink_add(f, step, SINK_ZERO, v, from);
      if (step + 1 > from_step) from_step = step + 1;
    }
    step = nest_for(f, value->space, x, from_step);
    sink_add(f, step, scatter ? SINK_SCATTER : SINK_REDUCE, v, scatter ? FROM_BEFORE : from);
  }
  done(f, v, step);
}

static void schedule(Fuse *f) {
  f->steps.n = 0;
  for (Val v = 0; v < f->l->v.n; v++) {
    Local *x = &f->at[v];
    x->scheduled = false;
    x->demand.n = 0;
    if (x->keep == KEEP_HERE) x->keep = KEEP_NOT;
  }
  for (uint32_t part = 0; part < 3 * (f->stages + 1); part++) {
    uint32_t group = part / (f->stages + 1), stage = part % (f->stages + 1);
    for (int loads = 1; loads >= 0; loads--) {          /* columns of data first: nothing comes before them */
      for (uint32_t k = 0; k < f->order.n; k++) {
        Val v = f->order.at[k];
        const Local *x = &f->at[v];
        bool load = x->call && lnode(f->l, v)->nargs == 0;
        if (x->keep == KEEP_SINK && x->group == group && x->stage == stage && load == loads) schedule_sink(f, v);
      }
    }
  }
}

/* ---- merging: a nest whose results nobody wants before a later one over the same loops, and which reads
 * what that one reads, goes there.  (Sinks join the earliest nest they can, so this finds the halves of
 * work that could have waited.) */

static void may_read(Fuse *f, Val v, bool aligned, const Shape *space, uint32_t step) {
  const Lower *l = f->l;
  Local *x = &f->at[v];
  if (x->stamp[aligned] == f->stamp) return;
  x->stamp[aligned] = f->stamp;
  if (!x->local || x->keep == KEEP_SINK) {
    uint32_t limit = aligned && x->local && stores(f, v) && lshape(l, v) == space ? step : step - 1;
    if (x->local && limit < x->limit) x->limit = limit;
    vec_push(l->arena, &f->steps.at[step].reads, v);
    return;
  }
  for (uint32_t i = 0; i < lnode(l, v)->nargs; i++)
    may_read(f, lnode(l, v)->arg[i], aligned && keeps_place(l, v, i), space, step);
}

static void find_limits(Fuse *f) {
  const Lower *l = f->l;
  for (Val v = 0; v < l->v.n; v++) f->at[v].limit = UINT32_MAX;
  for (uint32_t s = 0; s < f->steps.n; s++) {
    const StepPlan *step = &f->steps.at[s];
    f->stamp++;
    if (step->call) {
      for (uint32_t i = 0; i < lnode(l, step->v)->nargs; i++)
        may_read(f, lnode(l, step->v)->arg[i], false, NULL, s);
      continue;
    }
    for (uint32_t k = 0; k < step->sink.n; k++) {
      const Sink *sink = &step->sink.at[k];
      const Node *n = lnode(l, sink->v);
      for (uint32_t i = 0; i < n->nargs && sink->kind != SINK_ZERO; i++) {
        if (sink->kind == SINK_PART && i != sink->part) continue;
        bool aligned = sink->kind == SINK_PART || (n->op != OP_dot && keeps_place(l, sink->v, i));
        may_read(f, n->arg[i], aligned, step->space, s);
      }
    }
  }
}

static bool shares_a_read(const Fuse *f, const StepPlan *a, const StepPlan *b) {
  for (uint32_t i = 0; i < a->reads.n; i++)
    for (uint32_t j = 0; j < b->reads.n; j++)
      if (a->reads.at[i] == b->reads.at[j] && lshape(f->l, a->reads.at[i]) == a->space) return true;
  return false;
}

/* The last step in which the nest could stand. */
static uint32_t nest_limit(const Fuse *f, const StepPlan *s) {
  uint32_t limit = f->steps.n - 1;
  for (uint32_t k = 0; k < s->sink.n; k++) {
    const Sink *sink = &s->sink.at[k];
    /* others depend on its place */
    if (f->l->v.at[sink->v].into != NO_VAL || sink->kind == SINK_ZERO || sink->kind == SINK_PART) return 0;
    if (f->at[sink->v].limit < limit) limit = f->at[sink->v].limit;
  }
  return limit;
}

static void move_sinks(Fuse *f, uint32_t from, uint32_t to) {
  StepPlan *a = &f->steps.at[from], *b = &f->steps.at[to], both = *a;
  for (uint32_t k = 0; k < b->sink.n; k++) vec_push(f->l->arena, &both.sink, b->sink.at[k]);
  for (uint32_t k = 0; k < b->reads.n; k++) vec_push(f->l->arena, &both.reads, b->reads.at[k]);
  for (uint32_t k = 0; k < a->sink.n; k++) f->at[a->sink.at[k].v].step = to;
  *b = both;
  a->sink.n = 0;
}

static void merge_nests(Fuse *f) {
  find_limits(f);
  for (uint32_t i = f->steps.n; i-- > 0;) {
    StepPlan *s = &f->steps.at[i];
    uint32_t limit = s->call ? 0 : nest_limit(f, s);
    for (uint32_t j = i + 1; j <= limit; j++) {
      const StepPlan *t = &f->steps.at[j];
      if (t->call || t->sink.n == 0 || t->space != s->space || t->group != s->group || t->stage != s->stage ||
          !shares_a_read(f, s, t)) continue;
      move_sinks(f, i, j);
      break;
    }
  }
  uint32_t n = 0, *now = arena_alloc(f->l->arena, (f->steps.n + 1) * sizeof *now);
  for (uint32_t i = 0; i < f->steps.n; i++) {
    now[i] = n;
    if (f->steps.at[i].call || f->steps.at[i].sink.n) f->steps.at[n++] = f->steps.at[i];
  }
  f->steps.n = n;
  for (Val v = 0; v < f->l->v.n; v++) if (f->at[v].scheduled) f->at[v].step = now[f->at[v].step];
}

/* ---- buffers */
Buf buffer_of(Fuse *f, Val v) {
  Lower *l = f->l;
  uint8_t via[DIM_MAX];
  v = target_of(l, v, via);
  Value *x = &l->v.at[v];
  Local *local = &f->at[v];
  if (in_param(l, v)) {
    if (x->buf == NO_BUF) {
      x->buf = buffer_add(l, BUF_PARAM, x->node.shape, v);
      l->p->buffers.at[x->buf].offset = l->model->param[x->node.attr.leaf.id].offset;
    }
    return x->buf;
  }
  /* a reshape: its argument's buffer under another shape */
  if (is_view(l, v)) {
    if (local->buf != NO_BUF) return local->buf;
    Buf of = buffer_of(f, through_views(l, v));
    local->buf = buffer_add(l, l->p->buffers.at[of].kind, x->node.shape, v);
    l->alias.at[local->buf] = of;
    return local->buf;
  }
  if (x->lane && x->phase == f->phase) return x->lane_buf;
  if (x->buf != NO_BUF && (!local->local || x->phase == f->phase)) return x->buf;
  if (!local->local) BUG("value %u has no buffer", v);
  if (local->buf != NO_BUF) return local->buf;
  AxisSet run = run_axes(l, x->node.shape->axes);
  if (f->axis >= 0 && !(run >> f->axis & 1)) BUG("value %u of a chunk has no rows", v);
  BufKind kind = f->axis >= 0 ? BUF_CHUNK : run ? BUF_BATCH : BUF_GLOBAL;
  return local->buf = buffer_add(l, kind, x->node.shape, v);
}

/* ---- calls */
static Extent rows_of(const Lower *l, const Shape *s, uint32_t keep_dims) {
  Extent e = {1, run_axes(l, s->axes)};
  for (uint32_t i = 0; i < l->g->axis.n; i++)
    if (s->axes >> i & 1 && l->g->axis.at[i].kind == AXIS_INDEX) e.constant *= l->g->axis.at[i].size;
  for (uint32_t i = 0; i + keep_dims < s->rank; i++) e.constant *= s->dim[i];
  return e;
}

/* The buffer of an operand that lies as a value of v's shape does. */
static Buf operand(Fuse *f, Val v) {
  Strides s;
  strides_of(f->l, v, &s);
  return buffer_of(f, s.base);
}

static Call call_build(Fuse *f, const StepPlan *s) {
  Lower *l = f->l;
  Val v = s->v;
  const Node *n = lnode(l, v);
  Call c = {.batch = {1, 0}, .m = {1, 0}, .n = {1, 0}, .k = {1, 0}, .a = NO_BUF, .b = NO_BUF, .span = n->span,
            .label = n->label};
  switch (n->op) {
    case OP_dot: {
      const Gemm *m = f->at[v].gemm;
      c = m->call;
      c.a = buffer_of(f, m->a), c.b = buffer_of(f, m->b);
      c.from = s->from, c.add = s->from == FROM_BEFORE;
      break;
    }
    case OP_input: case OP_param:
      c.kind = CALL_LOAD_ROWS;
      c.m = (Extent){1, axes_of_kind(l, n->shape->axes, AXIS_PLATE)};
      c.m.axes &= -c.m.axes;                            /* rows of the outermost plate, whole */
      c.column = n->op == OP_input ? (int32_t)n->attr.leaf.id : -1 - (int32_t)n->attr.leaf.id;
      break;
    case OP_cholesky:
      c.kind = CALL_CHOLESKY;
      c.batch = rows_of(l, n->shape, 2);
      c.n = (Extent){n->shape->dim[n->shape->rank - 1], 0};
      c.a = operand(f, n->arg[0]);
      break;
    case OP_solve_tri: {
      const Shape *t = lshape(l, n->arg[0]), *b = lshape(l, n->arg[1]);
      c.kind = CALL_SOLVE_TRI;
      c.batch = rows_of(l, t, 2);
      c.n = (Extent){t->dim[t->rank - 1], 0};
      c.m = (Extent){b->rank > t->rank - 1 ? b->dim[b->rank - 1] : 1, 0};
      c.lower = n->attr.linalg.lower, c.trans = n->attr.linalg.trans;
      c.a = operand(f, n->arg[0]), c.b = operand(f, n->arg[1]);
      break;
    }
    case OP_running:
      c.kind = CALL_RUNNING;
      c.batch = rows_of(l, n->shape, n->shape->rank);
      c.n = (Extent){n->shape->dim[0], 0};
      c.m = (Extent){shape_event_size(n->shape) / n->shape->dim[0], 0};
      c.trans = n->attr.linalg.trans;
      c.a = operand(f, n->arg[0]);
      break;
    default: BUG("`%s` is no call", op_name(n->op));
  }
  c.c = buffer_of(f, v);
  return c;
}

/* ---- repetitions */

/* The way along the plate in which a body can be computed step by step: 1, -1, or 0: it cannot.  Between the guess and the result there must be one
 * shift, the same way for all: values before it are wanted of the step behind, values after it of the step at hand. */
static int32_t one_way(const Fuse *f, Val settle) {
  const Lower *l = f->l;
  const Node *s = lnode(l, settle);
  uint32_t body = l->v.at[s->arg[1]].body, axis = s->attr.settle.along - 1;
  int32_t by = 0;
  if (!s->attr.settle.along || f->at[s->arg[0]].shifts != 1) return 0;
  for (uint32_t k = 0; k < f->order.n; k++) {
    Val v = f->order.at[k];
    const Node *n = lnode(l, v);
    if (l->v.at[v].body != body || n->op == OP_settle) continue;
    if (n->op == OP_shift) {
      if (n->attr.shift.axis != axis || (n->attr.shift.by != 1 && n->attr.shift.by != -1) || (by && by != n->attr.shift.by)) return 0;
      by = n->attr.shift.by;
    }
    if (f->at[v].shifts > 1) return 0;
    for (uint32_t i = 0; i < n->nargs && n->op != OP_shift; i++)
      if (l->v.at[n->arg[i]].body == body && f->at[n->arg[i]].shifts != f->at[v].shifts) return 0;
  }
  for (uint32_t i = 0; i < f->out->steps.n; i++) {
    const Step *step = &f->out->steps.at[i];
    Call cut;
    Extent a, b, c;
    if (step->repeat == f->out->repeats.n + 1 && step->is_call && !call_of_step(&step->call, axis, &cut, &a, &b, &c)) return 0;
  }
  return by;
}

static void add_repeat(Fuse *f, Val settle) {
  const Lower *l = f->l;
  const Node *n = lnode(l, settle);
  uint32_t body = l->v.at[n->arg[1]].body;
  Repeat r = {.next = buffer_of(f, n->arg[0]), .guess = buffer_of(f, n->arg[1]), .size = rows_of(l, n->shape, 0), .turns = {1, 0}};
  if (n->attr.settle.along) r.turns.axes = AXIS_BIT(n->attr.settle.along - 1);
  else r.turns.constant = n->attr.settle.turns;
  for (uint32_t i = 0; i < f->out->steps.n; i++) {
    uint32_t stage = f->steps.at[i].stage;
    if (stage <= 3 * body - 3 || stage >= 3 * body || f->steps.at[i].group != f->at[n->arg[0]].group) continue;
    f->out->steps.at[i].repeat = f->out->repeats.n + 1;
    f->out->steps.at[i].behind = stage == 3 * body - 2;
  }
  r.along = (int32_t)n->attr.settle.along - 1;
  r.by = one_way(f, settle);
  vec_push(l->arena, &f->out->repeats, r);
}

void phase_fuse(Lower *l, uint32_t phase, LoopPhase *out) {
  const PhasePlan *p = &l->phase.at[phase];
  Fuse f = {.l = l, .phase = (int32_t)phase, .axis = p->axis, .stream = -1, .out = out};
  f.at = arena_alloc(l->arena, (l->v.n + 1) * sizeof *f.at);
  for (Val v = 0; v < l->v.n; v++) f.at[v].buf = NO_BUF;
  out->axis = p->axis, out->after = p->after;
  for (uint32_t i = 0; i < p->wants.n; i++) visit(&f, p->wants.at[i]);
  for (uint32_t i = 0; i < p->wants.n; i++) f.at[p->wants.at[i]].wanted = true;
  values_sort(l, f.order.at, f.order.n);
  classify(&f);
  find_stream(&f);
  f.stages = find_stages(&f);
  do {
    schedule(&f);
    merge_nests(&f);
  } while (!demands_settle(&f));
  for (uint32_t k = 0; k < f.order.n; k++) {
    Val v = f.order.at[k];
    if (f.at[v].keep == KEEP_HERE) vec_push(l->arena, &f.steps.at[f.at[v].step].here, v);
  }
  for (uint32_t i = 0; i < f.steps.n; i++) {
    Step s = {.is_call = f.steps.at[i].call, .streamed = f.stream >= 0 && f.steps.at[i].group == 1};
    if (s.is_call) s.call = call_build(&f, &f.steps.at[i]);
    else nest_build(&f, i, &s.nest);
    vec_push(l->arena, &out->steps, s);
  }
  for (uint32_t k = 0; k < f.order.n; k++)
    if (lnode(l, f.order.at[k])->op == OP_settle) add_repeat(&f, f.order.at[k]);
}
