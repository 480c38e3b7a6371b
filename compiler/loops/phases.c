/* phases: which phase a value belongs to.
 *
 * In:  values in order, roots.
 * Out: for each needed value its home and its phase (or that it is clear), for each phase what must be in memory at its end.
 *
 * The home of a value is the first plate of the loops that compute it; without one it is serial.  Phases are found greedily:
 * all serial values that can be computed, and what follows from them; then those of the plate that has most; and so on.  A
 * reduction over its home's rows is whole after the phase only.  At last serial values sink to the latest serial phase
 * that still comes before their users, so that few serial phases are left.
 *
 * A value of a chunk that is wanted by a later phase is kept for the whole batch, unless it is nearly free to have again. */
#include "lower.h"

/* ---- what kind of value */
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

/* A contraction over its home's rows goes to the lanes, where sizes are constants and joining is a sum, a maximum or a
 * log-sum-exp.  Others are done by a serial phase, over values kept for the batch. */
static bool lanes_can(const Lower *l, Val v) {
  const Node *n = lnode(l, v);
  if (run_axes(l, n->shape->axes)) return false;
  if (n->op == OP_scatter) return n->attr.gather.axis == NO_VAL;
  return n->op != OP_reduce || (n->attr.reduce.kind != REDUCE_PROD && n->attr.reduce.kind != REDUCE_MIN);
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
    if (!x->lane) x->home = -1;
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
    if (n->shape->rank && has_lane(l, n->arg[i])) return false;       /* may be a gradient left in the lanes */
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

/* A clear column or draw must be a value of its phase when another home reads it, or when rows are fetched from anywhere. */
static void cross(Lower *l, Val v, int32_t home, bool anywhere) {
  Value *x = &l->v.at[v];
  if (x->clear && x->node.nargs) {
    for (uint32_t i = 0; i < x->node.nargs; i++) cross(l, x->node.arg[i], home, anywhere);
  } else if (reloads(l, v) && (x->home != home || anywhere)) {
    x->clear = false;
  }
}

static bool fetches_rows(const Lower *l, Val v, uint32_t arg) {
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
    if (l->v.at[v].target) l->v.at[v].lane = l->v.at[lnode(l, v)->arg[0]].lane, l->v.at[v].home = l->v.at[lnode(l, v)->arg[0]].home;
    l->v.at[v].clear = is_clear(l, v);
  }
  for (uint32_t k = 0; k < l->order.n; k++) need_memory(l, l->order.at[k]);
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    if (l->v.at[v].clear) continue;
    for (uint32_t i = 0; i < lnode(l, v)->nargs; i++) cross(l, lnode(l, v)->arg[i], l->v.at[v].home, fetches_rows(l, v, i));
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

/* ---- phases */
typedef struct { Lower *l; bool *ready; int32_t now; } Greedy;

static bool is_ready(const Greedy *g, Val user, Val u) {
  const Value *x = &g->l->v.at[u];
  if (x->clear) return g->ready[u];
  if (x->phase < 0) return false;
  return x->phase < g->now || !x->lane || x->into == user;
}

/* Rows fetched from anywhere must be there before the phase begins. */
static bool all_before(const Greedy *g, Val u) {
  const Value *x = &g->l->v.at[u];
  if (!x->clear) return x->phase >= 0 && x->phase < g->now;
  for (uint32_t i = 0; i < x->node.nargs; i++) if (!all_before(g, x->node.arg[i])) return false;
  return true;
}

/* Gives phase `now` to all that can be computed there; how many. */
static uint32_t fill_phase(Greedy *g, int32_t home) {
  Lower *l = g->l;
  uint32_t count = 0;
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    Value *x = &l->v.at[v];
    bool ready = true;
    for (uint32_t i = 0; i < x->node.nargs && ready; i++) {
      ready = is_ready(g, v, x->node.arg[i]);
      if (ready && home >= 0 && fetches_rows(l, v, i)) ready = all_before(g, x->node.arg[i]);
    }
    g->ready[v] = ready;
    if (x->clear || x->phase >= 0 || x->home != home || !ready) continue;
    x->phase = g->now;
    count++;
  }
  return count;
}

static void undo_phase(Greedy *g) {
  for (uint32_t k = 0; k < g->l->order.n; k++) {
    Value *x = &g->l->v.at[g->l->order.at[k]];
    if (x->phase == g->now) x->phase = -1;
  }
}

static void add_phase(Greedy *g, int32_t home) {
  PhasePlan p = {.axis = home};
  vec_push(g->l->arena, &g->l->phase, p);
  g->now++;
}

static void find_phases(Lower *l) {
  Greedy g = {l, arena_alloc(l->arena, l->v.n + 1), 0};
  uint32_t left = 0;
  for (uint32_t k = 0; k < l->order.n; k++) left += !l->v.at[l->order.at[k]].clear;
  while (left) {
    uint32_t n = fill_phase(&g, -1), most = 0;
    if (n) add_phase(&g, -1);
    left -= n;
    int32_t best = -1;
    for (uint32_t a = 0; a < l->g->axis.n; a++) {
      if (l->g->axis.at[a].kind != AXIS_PLATE) continue;
      uint32_t m = fill_phase(&g, (int32_t)a);
      undo_phase(&g);
      if (m > most) most = m, best = (int32_t)a;
    }
    if (best >= 0) {
      fill_phase(&g, best);
      add_phase(&g, best);
    }
    left -= most;
    if (n == 0 && most == 0) BUG("%u values of entry `%s` wait for each other", left, l->entry->name);
  }
}

/* The last phase of the kind that is no later than `limit`. */
static int32_t serial_until(const Lower *l, int32_t limit) {
  while (limit >= 0 && l->phase.at[limit].axis >= 0) limit--;
  return limit;
}

static void sink_serial(Lower *l) {
  int32_t last = (int32_t)l->phase.n - 1;
  int32_t *limit = arena_alloc(l->arena, (l->v.n + 1) * sizeof *limit);
  for (Val v = 0; v < l->v.n; v++) limit[v] = last;
  for (uint32_t k = l->order.n; k-- > 0;) {
    Val v = l->order.at[k];
    Value *x = &l->v.at[v];
    if (!x->clear && x->home < 0) x->phase = serial_until(l, limit[v]);
    int32_t by = x->clear ? limit[v] : x->home < 0 ? x->phase : x->phase - 1;
    for (uint32_t i = 0; i < x->node.nargs; i++) if (by < limit[x->node.arg[i]]) limit[x->node.arg[i]] = by;
  }
}

/* ---- sums of products, and of lanes: see note [into] */
static bool is_sum(const Lower *l, Val v) {
  const Value *x = &l->v.at[v];
  if (x->target) return true;
  return x->node.op == OP_dot || (x->lane && (x->node.op == OP_scatter || (x->node.op == OP_reduce && x->node.attr.reduce.kind == REDUCE_SUM)));
}

/* A product of the chunk's own must be a call, which can add to what is there. */
static bool calls_only(const Lower *l, Val v) {
  const Value *x = &l->v.at[v];
  Gemm m;
  if (!x->target) return !axes_of_kind(l, x->node.attr.dot.axes, AXIS_PARTICLE) && gemm_match(l, v, &m);
  for (uint32_t i = 0; i < x->node.nargs; i++) if (!calls_only(l, x->node.arg[i])) return false;
  return true;
}

static void join_sums(Lower *l) {
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    Value *x = &l->v.at[v];
    if (x->node.op != OP_add || x->clear) continue;
    Val a = x->node.arg[0], b = x->node.arg[1];
    const Value *p = &l->v.at[a], *q = &l->v.at[b];
    if (a == b || p->uses != 1 || q->uses != 1 || p->clear || q->clear || p->phase != q->phase || p->lane != q->lane) continue;
    if (p->node.shape != x->node.shape || q->node.shape != x->node.shape || !is_sum(l, a) || !is_sum(l, b)) continue;
    if (!p->lane && (p->home < 0 || x->phase != p->phase || !calls_only(l, a) || !calls_only(l, b))) continue;
    x->target = true;
    x->lane = p->lane, x->home = p->home, x->phase = p->phase;
    l->v.at[a].into = l->v.at[b].into = v;
    for (uint8_t i = 0; i < DIM_MAX; i++) l->v.at[a].via[i] = l->v.at[b].via[i] = i;
  }
}

/* ---- what is kept */

/* Cheap, of at most one value that would have to be kept in its stead and is no larger. */
static bool nearly_free(const Lower *l, Val v, uint32_t *rows, double *size) {
  const Value *x = &l->v.at[v];
  if (x->clear && !is_view(l, v)) return true;
  if (x->home < 0 || x->lane || reloads(l, v)) return true;
  if (is_view(l, v) || (is_elementwise(l, v) && !x->target && op_cost(l, v) <= 2)) {
    for (uint32_t i = 0; i < x->node.nargs; i++) if (!nearly_free(l, x->node.arg[i], rows, size)) return false;
    return true;
  }
  *size += volume(l, x->node.shape);
  return ++*rows <= 1;
}

bool recomputed(const Lower *l, Val v, int32_t axis) {
  const Value *x = &l->v.at[v];
  if (x->clear) return true;
  if (axis < 0 || x->home != axis || x->lane) return false;
  if (reloads(l, v)) return true;
  if (!is_elementwise(l, v) || x->target || op_cost(l, v) > 2) return false;
  uint32_t rows = 0;
  double size = 0;
  return nearly_free(l, v, &rows, &size) && size <= volume(l, x->node.shape);
}

static void want_in_memory(Lower *l, Val v) { l->v.at[v].kept = true; }

static void visit(Lower *l, Val v, int32_t phase, uint32_t *seen) {
  if (seen[v] == (uint32_t)phase + 1) return;
  seen[v] = (uint32_t)phase + 1;
  const Value *x = &l->v.at[v];
  if (!x->clear && x->phase != phase && !recomputed(l, v, l->phase.at[phase].axis)) {
    want_in_memory(l, v);
    return;
  }
  for (uint32_t i = 0; i < x->node.nargs; i++) visit(l, x->node.arg[i], phase, seen);
}

static void find_kept(Lower *l) {
  uint32_t *seen = arena_alloc(l->arena, (l->v.n + 1) * sizeof *seen);
  for (uint32_t i = 0; i < l->roots.n; i++) {
    Value *x = &l->v.at[l->roots.at[i].value];
    x->root = true;
    /* gradients stay in the lanes of the batch's chunks; another plate may have fewer chunks than there are lanes */
    if (l->roots.at[i].kind != ROOT_GRAD || !x->lane || x->home != l->entry->axis) x->kept = true;
  }
  for (int32_t phase = (int32_t)l->phase.n; phase-- > 0;) {
    for (uint32_t k = l->order.n; k-- > 0;) {
      Val v = l->order.at[k];
      const Value *x = &l->v.at[v];
      if (x->clear || x->phase != phase || !(x->kept || x->root)) continue;
      vec_push(l->arena, &l->phase.at[phase].wants, v);
      visit(l, v, phase, seen);
    }
    values_sort(l, l->phase.at[phase].wants.at, l->phase.at[phase].wants.n);
  }
}

/* Phases in which nothing is wanted are dropped. */
static void drop_empty(Lower *l) {
  uint32_t n = 0;
  int32_t *now = arena_alloc(l->arena, (l->phase.n + 1) * sizeof *now);
  for (uint32_t i = 0; i < l->phase.n; i++) {
    now[i] = (int32_t)n;
    if (l->phase.at[i].wants.n) l->phase.at[n++] = l->phase.at[i];
  }
  l->phase.n = n;
  for (Val v = 0; v < l->v.n; v++) if (l->v.at[v].phase >= 0) l->v.at[v].phase = now[l->v.at[v].phase];
}

static void kept_buffers(Lower *l) {
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    Value *x = &l->v.at[v];
    if (x->clear || !(x->kept || x->root)) continue;
    const Shape *s = x->node.shape;
    if (x->lane) {
      x->lane_buf = buffer_add(l, BUF_LANE, s, v);
      if (x->kept) x->buf = buffer_add(l, BUF_GLOBAL, s, v);
    } else if (x->out >= 0) {
      x->buf = buffer_add(l, BUF_OUT, s, v);
      l->p->buffers.at[x->buf].offset = (uint64_t)x->out;
    } else {
      x->buf = buffer_add(l, run_axes(l, s->axes) ? BUF_BATCH : BUF_GLOBAL, s, v);
    }
  }
}

/* ---- changes of the graph that make better phases */

static Val find_value(const Lower *l, OpKind op, Val a, Val b) {
  for (Val v = 0; v < l->v.n; v++) {
    const Node *n = lnode(l, v);
    if (n->op == op && !l->v.at[v].copy && n->arg[0] == a && (n->nargs < 2 || n->arg[1] == b)) return v;
  }
  return NO_VAL;
}

/* A gradient -(sum over rows of x), or k times one, is the sum of -x: so it can stay in the lanes. */
static void factor_inside(Lower *l) {
  for (uint32_t i = 0; i < l->roots.n; i++) {
    Val v = l->roots.at[i].value, r;
    if (l->roots.at[i].kind != ROOT_GRAD) continue;
    const Node *n = lnode(l, v);
    if (n->op != OP_neg && !(n->op == OP_mul && lnode(l, n->arg[1])->op == OP_const)) continue;
    r = n->arg[0];
    const Node *sum = lnode(l, r);
    if (sum->op != OP_reduce || sum->attr.reduce.kind != REDUCE_SUM || l->v.at[r].uses != 1 || sum->shape != n->shape) continue;
    if (!axes_of_kind(l, sum->attr.reduce.axes, AXIS_PLATE)) continue;
    Attr attr = sum->attr, none;
    memset(&none, 0, sizeof none);
    Val x = sum->arg[0], k = n->nargs > 1 ? n->arg[1] : NO_VAL;
    OpKind op = n->op;                                  /* adding values moves nodes */
    uint32_t nargs = n->nargs;
    Val scaled = find_value(l, op, x, k);
    if (scaled == NO_VAL) scaled = value_add(l, op, nargs, (Val[]){x, k}, none, lshape(l, x), v, -2);
    l->roots.at[i].value = value_add(l, OP_reduce, 1, &scaled, attr, lshape(l, v), v, -1);
  }
}

/* Where nothing with particles depends on a reduction over them, particles can be streamed, if every reduction over rows and
 * particles has done with the particles first. */
static bool could_stream(const Lower *l, AxisSet particles) {
  bool *after = arena_alloc(l->arena, l->v.n + 1);
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    const Node *n = lnode(l, v);
    AxisSet space = space_of(l, v)->axes;
    for (uint32_t i = 0; i < n->nargs; i++) after[v] |= after[n->arg[i]];
    if (after[v] && space & particles) return false;
    if (is_contraction(n->op) && space & particles & ~n->shape->axes) {
      if (n->op != OP_reduce && axes_of_kind(l, space & ~n->shape->axes, AXIS_PLATE)) return false;
      after[v] = true;
    }
  }
  return true;
}

static void split_reductions(Lower *l) {
  AxisSet all = ~(AxisSet)0, particles = axes_of_kind(l, all >> (64 - (l->g->axis.n ? l->g->axis.n : 1)), AXIS_PARTICLE);
  if (!particles || !could_stream(l, particles)) return;
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    Node n = *lnode(l, v);
    if (n.op != OP_reduce || !(n.attr.reduce.axes & particles) || !axes_of_kind(l, n.attr.reduce.axes, AXIS_PLATE)) continue;
    Attr inner = n.attr, outer = n.attr;
    inner.reduce.axes &= particles;
    outer.reduce.axes &= ~particles;
    outer.reduce.dims = 0;
    const Shape *s = graph_shape(l->g, lshape(l, n.arg[0])->axes & ~inner.reduce.axes, n.shape->rank, n.shape->dim);
    Val part = value_add(l, OP_reduce, 1, n.arg, inner, s, v, -1);
    Val *arg = arena_alloc(l->arena, sizeof *arg);
    *arg = part;
    l->v.at[v].node.arg = arg;
    l->v.at[v].node.attr = outer;
  }
}

/* Batched solves want their matrices once a batch element. */
static void spread_solves(Lower *l) {
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    Node n = *lnode(l, v);
    if (n.op != OP_solve_tri) continue;
    Val *arg = arena_alloc(l->arena, 2 * sizeof *arg);
    for (uint32_t i = 0; i < 2; i++) {
      const Shape *s = lshape(l, n.arg[i]);
      arg[i] = n.arg[i];
      if (s->axes == n.shape->axes) continue;
      Attr a;
      memset(&a, 0, sizeof a);
      a.expand.axes = n.shape->axes & ~s->axes;
      arg[i] = value_add(l, OP_expand, 1, &n.arg[i], a, graph_shape(l->g, n.shape->axes, s->rank, s->dim), v, -1);
    }
    l->v.at[v].node.arg = arg;
  }
}

void phases_find(Lower *l) {
  values_order(l);
  factor_inside(l);
  values_order(l);
  split_reductions(l);
  spread_solves(l);
  classify(l);
  while (settle_roots(l)) classify(l);                  /* what is used how often has changed, and so what is clear */
  for (uint32_t k = 0; k < l->order.n; k++) {
    AxisSet a = lshape(l, l->order.at[k])->axes;
    for (uint32_t i = 0; i < l->g->axis.n; i++)
      if (a >> i & 1 && l->g->axis.at[i].ordered) BUG("plate `%s` is ordered: not yet", l->g->axis.at[i].name);
  }
  find_phases(l);
  sink_serial(l);
  join_sums(l);
  find_kept(l);
  drop_empty(l);
  kept_buffers(l);
}
