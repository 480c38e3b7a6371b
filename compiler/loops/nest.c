/* nest: the instructions of one nest.
 *
 * In:  the sinks of a step, and the values it stores for later steps.
 * Out: loops and instructions.
 *
 * A value is asked for at an ACCESS: an index for each of its axes and dims.  Views turn the access to them
 * into one to their argument; what lies in memory is loaded there; all else is computed, once for each
 * access.  An instruction stands as deep as the deepest loop it names or its arguments stand.  Loads behind
 * a pad, a concat or a shift may be asked for outside of their buffer: those are guarded.
 *
 * Stores and reductions come last, after every load: so the plan may let a value take the place of one that
 * dies here. */
#include "lower.h"

typedef struct Known { Val v; bool guard; Access at; uint32_t instr; struct Known *next; } Known;
typedef struct {
  Fuse        *f;
  Lower       *l;
  uint32_t     step;
  Nest        *nest;
  const Shape *space;
  Known      **known;             /* by Val */
  VEC(Val)     knows;             /* those that have some */
  VEC(LoopInstr) last;            /* stores and reductions */
  Val          about;             /* whose span and label instructions bear */
} Maker;

static uint32_t ask(Maker *m, Val v, const Access *at, bool guard);

/* ---- accesses */
static uint32_t axis_place(const Shape *s, uint32_t axis) {
  return (uint32_t)__builtin_popcountll(s->axes & (AXIS_BIT(axis) - 1));
}
static uint32_t dims_place(const Shape *s) { return (uint32_t)__builtin_popcountll(s->axes); }
static Index loop_index(uint32_t loop) { return (Index){.kind = IX_LOOP, .loop = loop}; }
static Index const_index(int32_t at) { return (Index){.kind = IX_CONST, .plus = at}; }

static bool same_access(const Access *a, const Access *b) {
  if (a->n != b->n) return false;
  for (uint32_t i = 0; i < a->n; i++) {
    const Index *p = &a->at[i], *q = &b->at[i];
    if (p->kind != q->kind || p->plus != q->plus || p->loop != q->loop || p->value != q->value) return false;
  }
  return true;
}

/* The access to `to` at the same axes, with these dims (of `to`). */
static Access with_dims(const Shape *from, const Access *at, const Shape *to, const Index *dim) {
  Access a = {0};
  for (uint32_t x = 0; x < AXIS_MAX; x++) {
    if (!(to->axes >> x & 1)) continue;
    a.at[a.n++] = from->axes >> x & 1 ? at->at[axis_place(from, x)] : const_index(0);
  }
  for (uint32_t i = 0; i < to->rank; i++) a.at[a.n++] = dim[i];
  return a;
}

static Access joined(const Shape *from, const Access *at, const Shape *to) {
  return with_dims(from, at, to, &at->at[dims_place(from)]);
}

/* The access to a value of shape s at the nest's own indices. */
static Access own_access(const Maker *m, const Shape *s) {
  Access all = {0};
  all.n = m->nest->nloop;
  for (uint32_t i = 0; i < all.n; i++) all.at[i] = loop_index(i);
  return joined(m->space, &all, s);
}

/* ---- instructions */
static uint32_t index_depth(const Maker *m, const Index *ix) {
  switch (ix->kind) {
    case IX_LOOP:  return ix->loop + 1;
    case IX_CONST: return 0;
    case IX_VALUE: return m->nest->instr.at[ix->value].depth;
  }
  BUG("index of kind %d", (int)ix->kind);
}

static void set_depth(const Maker *m, LoopInstr *i) {
  for (uint32_t k = 0; k < i->nargs; k++) {
    uint32_t d = m->nest->instr.at[i->arg[k]].depth;
    if (d > i->depth) i->depth = d;
  }
  for (uint32_t k = 0; k < i->at.n; k++) {
    uint32_t d = index_depth(m, &i->at.at[k]);
    if (d > i->depth) i->depth = d;
  }
}

static uint32_t add(Maker *m, LoopInstr i) {
  const Node *n = lnode(m->l, m->about);
  i.span = n->span, i.label = n->label;
  set_depth(m, &i);
  vec_push(m->l->arena, &m->nest->instr, i);
  return m->nest->instr.n - 1;
}

static uint32_t number(Maker *m, double x) { return add(m, (LoopInstr){.kind = LI_CONST, .number = x}); }
static uint32_t op2(Maker *m, OpKind op, uint32_t a, uint32_t b) {
  return add(m, (LoopInstr){.kind = LI_OP, .op = op, .nargs = 2, .arg = {a, b}});
}
static uint32_t load(Maker *m, Buf b, const Access *at, bool guard) {
  return add(m, (LoopInstr){.kind = LI_LOAD, .buf = b, .at = *at, .guard = guard});
}

/* The index as a number. */
static uint32_t index_value(Maker *m, const Index *ix) {
  if (ix->kind == IX_CONST) return number(m, ix->plus);
  uint32_t v = ix->value;
  if (ix->kind == IX_LOOP) {
    LoopInstr iota = {.kind = LI_IOTA};
    iota.at.n = 1;
    iota.at.at[0] = loop_index(ix->loop);
    v = add(m, iota);
  }
  return ix->plus ? op2(m, OP_add, v, number(m, ix->plus)) : v;
}

/* Along a plate an index is a place among the rows present, and the number asked for may be the row of the data set there. */
static uint32_t iota_value(Maker *m, const Node *n, const Index *ix) {
  int32_t axis = n->attr.along.axis;
  if (axis < 0 || n->attr.along.dim == ALONG_PLACE || m->l->g->axis.at[axis].kind != AXIS_PLATE) return index_value(m, ix);
  if (ix->kind != IX_LOOP) BUG("the row of the data set is asked for at another index than a loop's");
  LoopInstr row = {.kind = LI_IOTA, .id = (uint32_t)axis, .kind2 = 1};
  row.at.n = 1;
  row.at.at[0] = *ix;
  return add(m, row);
}

static Index shifted(Maker *m, Index ix, int32_t by) {
  if (ix.kind != IX_VALUE) {
    ix.plus += by;
    return ix;
  }
  if (by) ix.value = op2(m, OP_add, ix.value, number(m, by));
  return ix;
}

/* 1 where lo <= index < hi; a constant index is settled at once (-1: not known) */
static int inside_known(const Index *ix, int32_t lo, int32_t hi) {
  return ix->kind == IX_CONST ? ix->plus >= lo && ix->plus < hi : -1;
}
static uint32_t inside(Maker *m, const Index *ix, int32_t lo, int32_t hi) {
  if (ix->kind == IX_VALUE) {
    uint32_t above = op2(m, OP_le, number(m, lo), ix->value);
    return op2(m, OP_mul, above, op2(m, OP_lt, ix->value, number(m, hi)));
  }
  LoopInstr i = {.kind = LI_INSIDE, .lo = lo - ix->plus, .hi = hi - ix->plus};
  i.at.n = 1;
  i.at.at[0] = loop_index(ix->loop);
  return add(m, i);
}

static uint32_t choose(Maker *m, uint32_t yes, uint32_t a, uint32_t b) {
  return add(m, (LoopInstr){.kind = LI_OP, .op = OP_select, .nargs = 3, .arg = {yes, a, b}});
}

/* ---- views */
static Access reshaped(const Shape *y, const Access *at, const Shape *x) {
  Index dim[DIM_MAX];
  uint32_t from = dims_place(y), i = 0;
  for (uint32_t j = 0; j < x->rank; j++) {
    if (x->dim[j] == 1) {
      dim[j] = const_index(0);
      continue;
    }
    while (y->dim[i] == 1) i++;
    dim[j] = at->at[from + i++];
  }
  return with_dims(y, at, x, dim);
}

static uint32_t ask_pad(Maker *m, const Node *n, const Access *at, bool guard) {
  const Shape *s = lshape(m->l, n->arg[0]);
  uint32_t d = dims_place(n->shape) + n->attr.slice.dim;
  int32_t lo = (int32_t)n->attr.slice.start, hi = lo + (int32_t)s->dim[n->attr.slice.dim];
  int known = inside_known(&at->at[d], lo, hi);
  if (known == 0) return number(m, 0);
  uint32_t yes = known < 0 ? inside(m, &at->at[d], lo, hi) : 0;
  Access in = *at;
  in.at[d] = shifted(m, in.at[d], -lo);
  uint32_t v = ask(m, n->arg[0], &in, guard || known < 0);
  return known > 0 ? v : choose(m, yes, v, number(m, 0));
}

/* Along a plate the end is known when run. */
static uint32_t ask_shift(Maker *m, const Node *n, const Access *at) {
  uint32_t d = axis_place(n->shape, n->attr.shift.axis);
  int32_t by = n->attr.shift.by;
  uint32_t yes;
  if (by > 0 && at->at[d].kind == IX_LOOP) yes = inside(m, &at->at[d], by, 1 << 30);
  else if (by > 0) yes = op2(m, OP_le, number(m, by), index_value(m, &at->at[d]));
  else {
    uint32_t size = add(m, (LoopInstr){.kind = LI_COUNT, .id = n->attr.shift.axis});
    yes = op2(m, OP_lt, index_value(m, &at->at[d]), op2(m, OP_add, size, number(m, by)));
  }
  Access in = *at;
  in.at[d] = shifted(m, in.at[d], -by);
  uint32_t v = ask(m, n->arg[0], &in, true);
  return choose(m, yes, v, number(m, 0));
}

static uint32_t ask_concat(Maker *m, const Node *n, const Access *at, bool guard) {
  uint32_t d = dims_place(n->shape) + n->attr.concat.dim, result = UINT32_MAX;
  int32_t end = (int32_t)n->shape->dim[n->attr.concat.dim];
  for (uint32_t i = n->nargs; i-- > 0;) {
    const Shape *s = lshape(m->l, n->arg[i]);
    int32_t start = end - (int32_t)s->dim[n->attr.concat.dim];
    int known = inside_known(&at->at[d], start, end);
    if (known != 0) {
      Index dim[DIM_MAX];
      for (uint32_t k = 0; k < s->rank; k++) dim[k] = at->at[dims_place(n->shape) + k];
      dim[n->attr.concat.dim] = shifted(m, at->at[d], -start);
      Access in = with_dims(n->shape, at, s, dim);
      uint32_t v = ask(m, n->arg[i], &in, guard || known < 0);
      result = result == UINT32_MAX ? v : choose(m, inside(m, &at->at[d], start, end), v, result);
    }
    end = start;
  }
  return result;
}

static uint32_t ask_view(Maker *m, Val v, const Access *at, bool guard) {
  const Node *n = lnode(m->l, v);
  const Shape *y = n->shape, *x = lshape(m->l, n->arg[0]);
  const Index *own = &at->at[dims_place(y)];
  Index dim[DIM_MAX];
  Access in;
  switch (n->op) {
    case OP_pad:    return ask_pad(m, n, at, guard);
    case OP_concat: return ask_concat(m, n, at, guard);
    case OP_shift:  return ask_shift(m, n, at);
    case OP_expand:
      for (uint32_t i = 0, j = 0; i < y->rank; i++) if (!(n->attr.expand.added >> i & 1)) dim[j++] = own[i];
      in = with_dims(y, at, x, dim);
      break;
    case OP_permute:
      for (uint32_t i = 0; i < y->rank; i++) dim[n->attr.permute.order[i]] = own[i];
      in = with_dims(y, at, x, dim);
      break;
    case OP_to_axis:
      for (uint32_t i = 0, j = 0; i < x->rank; i++)
        dim[i] = i == n->attr.convert.dim ? at->at[axis_place(y, n->attr.convert.axis)] : own[j++];
      in = with_dims(y, at, x, dim);
      break;
    case OP_to_dim:
      for (uint32_t i = 0, j = 0; i < y->rank; i++) if (i != n->attr.convert.dim) dim[j++] = own[i];
      in = with_dims(y, at, x, dim);
      in.at[axis_place(x, n->attr.convert.axis)] = own[n->attr.convert.dim];
      break;
    case OP_slice:
      in = *at;
      in.at[dims_place(y) + n->attr.slice.dim] = shifted(m, own[n->attr.slice.dim],
                                                         (int32_t)n->attr.slice.start);
      break;
    case OP_reshape:
      in = reshaped(y, at, x);
      break;
    default: in = *at;                                  /* stop, assume, copies of values */
  }
  return ask(m, n->arg[0], &in, guard);
}

/* ---- other values */
static uint32_t ask_leaf(Maker *m, const Node *n, const Access *at) {
  switch (n->op) {
    case OP_const:  return number(m, n->attr.number);
    case OP_option: return add(m, (LoopInstr){.kind = LI_OPTION, .id = n->attr.leaf.id});
    case OP_count:  return add(m, (LoopInstr){.kind = LI_COUNT, .id = n->attr.count.axis,
                                              .kind2 = n->attr.count.total});
    case OP_iota:   return iota_value(m, n, &at->at[0]);
    default: BUG("`%s` is no leaf of a nest", op_name(n->op));
  }
}

static uint32_t ask_gather(Maker *m, const Node *n, const Access *at, bool guard) {
  const Shape *y = n->shape, *t = lshape(m->l, n->arg[0]);
  Access where = joined(y, at, lshape(m->l, n->arg[1])), in;
  const Node *index = lnode(m->l, n->arg[1]);
  bool in_order = n->attr.gather.axis != NO_VAL && index->op == OP_iota && index->attr.along.dim == ALONG_PLACE;     /* the loop's own index */
  Index found = in_order ? where.at[0] : (Index){.kind = IX_VALUE}, dim[DIM_MAX];
  if (!in_order) found.value = ask(m, n->arg[1], &where, guard);
  const Index *own = &at->at[dims_place(y)];
  if (n->attr.gather.axis != NO_VAL) {
    in = with_dims(y, at, t, own);
    in.at[axis_place(t, n->attr.gather.axis)] = found;
  } else {
    for (uint32_t i = 0, j = 0; i < t->rank; i++) dim[i] = i == n->attr.gather.dim ? found : own[j++];
    in = with_dims(y, at, t, dim);
  }
  return ask(m, n->arg[0], &in, guard || !in_order);
}

/* The two factors of a dot, where its result's free dims are at `at` and the sum is over the dims `over`. */
static uint32_t ask_factors(Maker *m, const Node *n, const Shape *axes_of, const Access *axes_at,
                            const Index *free_dim, const Index *over, bool guard) {
  uint32_t factor[2], k = 0;
  for (uint32_t side = 0; side < 2; side++) {
    const Shape *s = lshape(m->l, n->arg[side]);
    const uint8_t *pair = side ? n->attr.dot.db : n->attr.dot.da;
    Index dim[DIM_MAX];
    for (uint32_t i = 0; i < s->rank; i++) {
      uint32_t j = 0;
      while (j < n->attr.dot.n && pair[j] != i) j++;
      dim[i] = j < n->attr.dot.n ? over[j] : free_dim[k++];
    }
    Access in = with_dims(axes_of, axes_at, s, dim);
    factor[side] = ask(m, n->arg[side], &in, guard);
  }
  return op2(m, OP_mul, factor[0], factor[1]);
}

static uint32_t compute(Maker *m, Val v, const Access *at, bool guard) {
  const Node *n = lnode(m->l, v);
  if (is_view(m->l, v) || m->l->v.at[v].copy) return ask_view(m, v, at, guard);
  switch (op_class(n->op)) {
    case CLASS_LEAF: return ask_leaf(m, n, at);
    case CLASS_ELEMENTWISE: {
      LoopInstr i = {.kind = LI_OP, .op = n->op, .nargs = n->nargs};
      for (uint32_t k = 0; k < n->nargs; k++) {
        Access in = joined(n->shape, at, lshape(m->l, n->arg[k]));
        i.arg[k] = ask(m, n->arg[k], &in, guard);
      }
      m->about = v;
      return add(m, i);
    }
    case CLASS_RANDOM: {
      LoopInstr i = {.kind = LI_RANDOM, .nargs = n->nargs, .id = n->attr.random.draw,
                     .kind2 = n->attr.random.kind, .at = *at, .shape = n->shape};
      if (n->nargs) {
        Access in = joined(n->shape, at, lshape(m->l, n->arg[0]));
        i.arg[0] = ask(m, n->arg[0], &in, guard);
      }
      m->about = v;
      return add(m, i);
    }
    case CLASS_OPAQUE:
      if (n->op == OP_gather) return ask_gather(m, n, at, guard);
      break;
    case CLASS_CONTRACT:
      if (!m->f->at[v].product) break;
      return ask_factors(m, n, n->shape, at, &at->at[dims_place(n->shape)], NULL, guard);
    case CLASS_REDUCE: case CLASS_VIEW: break;
  }
  BUG("`%s` is not computed in a nest that wants its elements", op_name(n->op));
}

static void store(Maker *m, Val v, uint32_t value, const Access *at) {
  const Node *n = lnode(m->l, v);
  LoopInstr i = {.kind = LI_STORE, .nargs = 1, .arg = {value}, .buf = buffer_of(m->f, v), .at = *at,
                 .span = n->span, .label = n->label};
  set_depth(m, &i);
  vec_push(m->l->arena, &m->last, i);
}

static bool in_memory(const Maker *m, Val v) {
  const Lower *l = m->l;
  if (is_view(l, v)) return lnode(l, v)->op == OP_reshape && reshape_is_alias(l, v);
  return stored_before(m->f, v, m->step);
}

static uint32_t ask(Maker *m, Val v, const Access *at, bool guard) {
  for (const Known *k = m->known[v]; k; k = k->next)
    if (k->guard == guard && same_access(&k->at, at)) return k->instr;
  m->about = v;
  uint32_t i;
  if (in_memory(m, v)) {
    i = load(m, buffer_of(m->f, v), at, guard);
  } else {
    i = compute(m, v, at, guard);
    Access own = own_access(m, lshape(m->l, v));
    const Local *x = &m->f->at[v];
    if (x->keep == KEEP_HERE && x->step == m->step && !guard && same_access(&own, at)) store(m, v, i, at);
  }
  Known *k = NEW(m->l->arena, Known);
  *k = (Known){v, guard, *at, i, m->known[v]};
  if (!m->known[v]) vec_push(m->l->arena, &m->knows, v);
  m->known[v] = k;
  return i;
}

/* ---- sinks */
static Access permuted(const Shape *s, const Access *at, const Shape *to, const uint8_t *via) {
  Index dim[DIM_MAX];
  for (uint32_t i = 0; i < s->rank; i++) dim[via[i]] = at->at[dims_place(s) + i];
  return with_dims(s, at, to, dim);
}

static void reduce_into(Maker *m, Val v, uint32_t value, Access at, ReduceKind kind, ReduceFrom from,
                        uint32_t depth) {
  const Node *n = lnode(m->l, v);
  uint8_t via[DIM_MAX];
  Val t = target_of(m->l, v, via);
  LoopInstr i = {.kind = LI_REDUCE, .depth = depth, .nargs = 1, .arg = {value}, .buf = buffer_of(m->f, v),
                 .kind2 = (uint8_t)kind, .from = from, .span = n->span, .label = n->label};
  i.at = permuted(n->shape, &at, lshape(m->l, t), via);
  set_depth(m, &i);
  vec_push(m->l->arena, &m->last, i);
}

static void emit_reduce(Maker *m, const Sink *s) {
  const Node *n = lnode(m->l, s->v);
  Access all = own_access(m, m->space);
  Index dim[DIM_MAX];
  if (n->op == OP_dot) {
    const Index *dims = &all.at[dims_place(m->space)];
    uint32_t value = ask_factors(m, n, m->space, &all, dims, dims + n->shape->rank, false);
    reduce_into(m, s->v, value, with_dims(m->space, &all, n->shape, dims), REDUCE_SUM, s->from,
                m->nest->nloop);
    return;
  }
  for (uint32_t i = 0, j = 0; i < m->space->rank; i++)
    if (!(n->attr.reduce.dims >> i & 1)) dim[j++] = all.at[dims_place(m->space) + i];
  Access at = with_dims(m->space, &all, n->shape, dim);
  reduce_into(m, s->v, ask(m, n->arg[0], &all, false), at, (ReduceKind)n->attr.reduce.kind, s->from,
              m->nest->nloop);
}

static void emit_scatter(Maker *m, const Sink *s) {
  const Node *n = lnode(m->l, s->v);
  Access all = own_access(m, m->space);
  Access where = joined(m->space, &all, lshape(m->l, n->arg[1])), at;
  Access from = joined(m->space, &all, lshape(m->l, n->arg[0]));
  Index found = {.kind = IX_VALUE, .value = ask(m, n->arg[1], &where, false)}, dim[DIM_MAX];
  const Index *own = &all.at[dims_place(m->space)];
  uint32_t value = ask(m, n->arg[0], &from, false);
  if (n->attr.gather.axis != NO_VAL) {
    at = with_dims(m->space, &all, n->shape, own);
    at.at[axis_place(n->shape, n->attr.gather.axis)] = found;
  } else {
    for (uint32_t i = 0, j = 0; i < n->shape->rank; i++) dim[i] = i == n->attr.gather.dim ? found : own[j++];
    at = with_dims(m->space, &all, n->shape, dim);
  }
  reduce_into(m, s->v, value, at, REDUCE_SUM, FROM_BEFORE, m->nest->nloop);
}

static void emit_sink(Maker *m, const Sink *s) {
  m->about = s->v;
  Access own = own_access(m, lshape(m->l, s->v));
  switch (s->kind) {
    case SINK_STORE:
      store(m, s->v, ask(m, s->v, &own, false), &own);
      return;
    case SINK_PART: {
      const Node *n = lnode(m->l, s->v);
      uint32_t start = 0, d = dims_place(n->shape) + n->attr.concat.dim;
      for (uint32_t i = 0; i < s->part; i++) start += lshape(m->l, n->arg[i])->dim[n->attr.concat.dim];
      Access all = own_access(m, m->space), from = joined(m->space, &all, lshape(m->l, n->arg[s->part]));
      uint32_t value = ask(m, n->arg[s->part], &from, false);
      all.at[d].plus = (int32_t)start;
      store(m, s->v, value, &all);
      return;
    }
    case SINK_ZERO:
      if (s->from == FROM_IDENTITY) store(m, s->v, number(m, 0), &own);
      else reduce_into(m, s->v, number(m, 0), own, REDUCE_SUM, s->from, m->nest->nloop);
      return;
    case SINK_REDUCE: emit_reduce(m, s); return;
    case SINK_SCATTER: emit_scatter(m, s); return;
  }
}

static void add_loop(Maker *m, Loop loop) {
  if (m->nest->nloop == LOOP_DEPTH_MAX) BUG("a nest of more than %d loops", LOOP_DEPTH_MAX);
  m->nest->loop[m->nest->nloop++] = loop;
}

void nest_build(Fuse *f, uint32_t step, Nest *out) {
  Lower *l = f->l;
  const StepPlan *s = &f->steps.at[step];
  Maker m = {.f = f, .l = l, .step = step, .nest = out, .space = s->space};
  if (!f->known) f->known = arena_alloc(l->arena, (l->v.n + 1) * sizeof *f->known);
  m.known = f->known;
  for (uint32_t a = 0; a < l->g->axis.n; a++) {
    if (!(s->space->axes >> a & 1)) continue;
    LoopKind kind = l->g->axis.at[a].kind == AXIS_INDEX ? LOOP_SIZE : LOOP_AXIS;
    if ((int32_t)a == f->axis) kind = LOOP_ROWS;
    add_loop(&m, (Loop){kind, a, l->g->axis.at[a].size});
  }
  for (uint32_t i = 0; i < s->space->rank; i++) add_loop(&m, (Loop){LOOP_SIZE, 0, s->space->dim[i]});
  for (uint32_t i = 0; i < s->sink.n; i++) emit_sink(&m, &s->sink.at[i]);
  for (uint32_t i = 0; i < s->here.n; i++) {
    Access own = own_access(&m, lshape(l, s->here.at[i]));
    ask(&m, s->here.at[i], &own, false);
  }
  for (uint32_t i = 0; i < m.last.n; i++) vec_push(l->arena, &out->instr, m.last.at[i]);
  for (uint32_t i = 0; i < m.knows.n; i++) m.known[m.knows.at[i]] = NULL;
}
