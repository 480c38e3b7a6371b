/* homes: where a value is computed, and what must lie in memory for it.
 *
 * In:  values in order, roots.
 * Out: for each needed value its home, whether it is clear, whether it is a copy; roots that are views or
 * have rows are copies.
 *
 * The home of a value is the first plate of the loops that compute it; without one it is serial.  A
 * reduction over its home's rows goes to the lanes, unless its result has run-time sizes. */
#include "lower.h"

const Shape *space_of(const Lower *l, Val v) {
  const Node *n = lnode(l, v);
  switch (n->op) {
    case OP_reduce: return lshape(l, n->arg[0]);
    case OP_scatter: {
      const Shape *dy = lshape(l, n->arg[0]), *index = lshape(l, n->arg[1]);
      AxisSet over = n->attr.gather.axis == NO_VAL ? 0 : AXIS_BIT(n->attr.gather.axis);
      return graph_shape(l->g, dy->axes | index->axes | (n->shape->axes & ~over), dy->rank, dy->dim);
    }
    case OP_dot: {
      const Shape *a = lshape(l, n->arg[0]), *b = lshape(l, n->arg[1]);
      uint32_t dim[2 * DIM_MAX], rank = n->shape->rank;
      memcpy(dim, n->shape->dim, rank * sizeof *dim);
      for (uint32_t i = 0; i < n->attr.dot.n && rank < DIM_MAX; i++) dim[rank++] = a->dim[n->attr.dot.da[i]];
      return graph_shape(l->g, a->axes | b->axes, rank, dim);
    }
    default: return n->shape;
  }
}

static int32_t first_axis(AxisSet a) { return a ? __builtin_ctzll(a) : -1; }

/* A contraction over its home's rows goes to the lanes, where sizes are constants and joining is a sum, a
 * maximum or a log-sum-exp.  Others are done by a serial phase, over values kept for the batch. */
static bool lanes_can(const Lower *l, Val v) {
  const Node *n = lnode(l, v);
  if (run_axes(l, n->shape->axes)) return false;
  if (n->op == OP_scatter) return n->attr.gather.axis == NO_VAL;
  return n->op != OP_reduce || (n->attr.reduce.kind != REDUCE_PROD && n->attr.reduce.kind != REDUCE_MIN);
}

/* Pairs of rows of one plate, summed over one of the two: by chunks of the other. */
static int32_t other_home(const Lower *l, Val v, int32_t home) {
  AxisSet left = lnode(l, v)->op == OP_reduce ? axes_of_kind(l, lshape(l, v)->axes, AXIS_PLATE) : 0;
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if ((left >> a & 1) && axis_rows(l->g, a) == axis_rows(l->g, (uint32_t)home)) return (int32_t)a;
  return -1;
}

static void find_home(Lower *l, Val v) {
  Value *x = &l->v.at[v];
  x->space = space_of(l, v);
  x->lane = false;
  x->home = first_axis(axes_of_kind(l, x->space->axes, AXIS_PLATE));
  if (x->home < 0) return;
  if (x->node.op == OP_scatter && x->node.attr.gather.axis != NO_VAL) x->home = -1;
  else if (is_contraction(x->node.op) && !(x->node.shape->axes >> x->home & 1)) {
    x->lane = lanes_can(l, v);
    if (!x->lane) x->home = other_home(l, v, x->home);
  }
}

/* Operations and loads to compute a serial value from what is in memory. */
static double weight(const Lower *l, Val v, uint32_t *loads, uint32_t deep) {
  const Node *n = lnode(l, v);
  double w = is_elementwise(l, v) ? op_cost(l, v) : 0;
  if (deep > 16) return 1000;
  if (!l->v.at[v].clear || n->op == OP_param) {
    *loads += n->shape->rank > 0 || n->shape->axes;
    return 0;
  }
  for (uint32_t i = 0; i < n->nargs; i++) w += weight(l, n->arg[i], loads, deep + 1);
  return w;
}

static bool has_lane(const Lower *l, Val v) {
  if (l->v.at[v].lane) return true;
  if (!is_view(l, v)) return false;
  return has_lane(l, lnode(l, v)->arg[0]);
}

/* see note [clear] */
static bool is_clear(Lower *l, Val v) {
  const Node *n = lnode(l, v);
  if (is_view(l, v)) return true;
  switch (n->op) {
    case OP_const: case OP_option: case OP_count: case OP_iota: return true;
    case OP_param: case OP_input: case OP_random: return n->op == OP_param || reloads(l, v);
    default: break;
  }
  if (!is_elementwise(l, v) || n->shape->axes) return false;
  double w = op_cost(l, v);
  uint32_t loads = 0;
  for (uint32_t i = 0; i < n->nargs; i++) {
    /* may be a gradient left in the lanes */
    if (n->shape->rank && has_lane(l, n->arg[i])) return false;
    w += weight(l, n->arg[i], &loads, 0);
  }
  return n->shape->rank ? w <= 2 && loads <= 2 : w <= 200;
}

/* What a call or a reshape reads must lie in memory. */
static bool must_copy(Lower *l, Val v) {
  Value *x = &l->v.at[v];
  if (is_view(l, v)) return x->copy = true;
  if (x->node.op == OP_param || reloads(l, v)) {
    if (x->node.op != OP_random || !x->clear) return false;
  }
  if (!x->clear) return false;
  x->clear = false;
  return true;
}

static void need_memory(Lower *l, Val v) {
  const Node *n = lnode(l, v);
  if (n->op == OP_dot) {
    Gemm m;
    if (!gemm_match(l, v, &m)) return;
    must_copy(l, m.a);
    must_copy(l, m.b);
  } else if (is_call_op(n->op)) {
    for (uint32_t i = 0; i < n->nargs; i++) {
      Strides s;
      strides_of(l, n->arg[i], &s);
      must_copy(l, strides_plain(l, n->arg[i]) ? s.base : n->arg[i]);
    }
  } else if (n->op == OP_settle) {
    must_copy(l, n->arg[0]);
  } else if (n->op == OP_reshape && is_view(l, v) && reshape_is_alias(l, v)) {
    must_copy(l, through_views(l, n->arg[0]));
  }
}

bool reshape_is_alias(const Lower *l, Val v) {
  const Shape *y = lshape(l, v), *x = lshape(l, lnode(l, v)->arg[0]);
  for (uint32_t i = 0, j = 0;; i++, j++) {
    while (i < y->rank && y->dim[i] == 1) i++;
    while (j < x->rank && x->dim[j] == 1) j++;
    if (i >= y->rank || j >= x->rank) return i < y->rank || j < x->rank;
    if (y->dim[i] != x->dim[j]) return true;
  }
}

/* A clear column or draw must be a value of its phase when another home reads it, or when rows are fetched
 * from anywhere. */
static void cross(Lower *l, Val v, int32_t home, bool anywhere) {
  Value *x = &l->v.at[v];
  if (x->clear && x->node.nargs) {
    for (uint32_t i = 0; i < x->node.nargs; i++) cross(l, x->node.arg[i], home, anywhere);
    return;
  }
  if (reloads(l, v) && (x->home != home || anywhere)) x->clear = false;
  x->fetched |= anywhere;
}

bool fetches_rows(const Lower *l, Val v, uint32_t arg) {
  const Node *n = lnode(l, v);
  return n->op == OP_gather && arg == 0 && n->attr.gather.axis != NO_VAL;
}

/* A product that is only wanted permuted is computed in that order.  see note [into] */
static void find_targets(Lower *l) {
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val p = l->order.at[k], d = lnode(l, p)->op == OP_permute ? lnode(l, p)->arg[0] : NO_VAL;
    if (d == NO_VAL || lnode(l, d)->op != OP_dot || l->v.at[d].uses != 1) continue;
    l->v.at[p].copy = l->v.at[p].target = true;
    l->v.at[d].into = p;
    for (uint8_t i = 0; i < lshape(l, p)->rank; i++) l->v.at[d].via[lnode(l, p)->attr.permute.order[i]] = i;
  }
}

static void classify(Lower *l) {
  values_order(l);
  find_targets(l);
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    find_home(l, v);
    if (l->v.at[v].target) {
      const Value *into_it = &l->v.at[lnode(l, v)->arg[0]];
      l->v.at[v].lane = into_it->lane, l->v.at[v].home = into_it->home;
    }
    l->v.at[v].clear = is_clear(l, v);
    l->v.at[v].fetched = false;
  }
  for (uint32_t k = 0; k < l->order.n; k++) need_memory(l, l->order.at[k]);
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    if (l->v.at[v].clear) continue;
    for (uint32_t i = 0; i < lnode(l, v)->nargs; i++)
      cross(l, lnode(l, v)->arg[i], l->v.at[v].home, fetches_rows(l, v, i));
  }
}

/* ---- roots: those that are clear or have rows become copies */
static bool settle_roots(Lower *l) {
  bool changed = false;
  for (uint32_t i = 0; i < l->roots.n; i++) {
    Root *r = &l->roots.at[i];
    Val x = through_views(l, r->value);
    if (l->v.at[x].out >= 0) continue;
    bool rows = r->kind == ROOT_OUT || axes_of_kind(l, lshape(l, r->value)->axes, AXIS_PLATE);
    if (!rows && !l->v.at[x].clear) {
      changed |= r->value != x;
      r->value = x;
      continue;
    }
    changed = true;
    r->value = value_copy(l, r->value);
    if (rows) {
      l->v.at[r->value].out = (int32_t)r->index;
      if (r->kind == ROOT_GRAD) {
        int32_t param = l->entry->grads.at[r->index].param;
        OutPlan o = {name_printf("grad of %s", l->model->param[param].name), lshape(l, r->value)};
        l->v.at[r->value].out = (int32_t)l->outs.n;
        vec_push(l->arena, &l->outs, o);
      }
    }
  }
  return changed;
}

void homes_find(Lower *l) {
  classify(l);
  /* what is used how often has changed, and so what is clear */
  while (settle_roots(l)) classify(l);
}
