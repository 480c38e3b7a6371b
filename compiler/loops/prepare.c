/* prepare: changes of the graph that make better phases and calls.
 *
 *   gradients -(sum of x)              become sums of -x, and stay in the lanes
 *   sums over rows and particles       take the particles first, where they can be streamed
 *   sums of pads side by side          (the adjoint of slices) become a concat
 *   matrices of batched solves         are repeated for every batch element
 *   masked matrices                    are left to the products: triangle.c */
#include "lower.h"

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
    if (sum->op != OP_reduce || sum->attr.reduce.kind != REDUCE_SUM || l->v.at[r].uses != 1 ||
        sum->shape != n->shape) continue;
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

/* Where nothing with particles depends on a reduction over them, particles can be streamed, if every
 * reduction over rows and particles has done with the particles first. */
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
  AxisSet all = ~(AxisSet)0, particles = axes_of_kind(l, all >> (64 - (l->g->axis.n ? l->g->axis.n : 1)),
                                                      AXIS_PARTICLE);
  if (!particles || !could_stream(l, particles)) return;
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    Node n = *lnode(l, v);
    if (n.op != OP_reduce || !(n.attr.reduce.axes & particles) ||
        !axes_of_kind(l, n.attr.reduce.axes, AXIS_PLATE)) continue;
    Attr inner = n.attr, outer = n.attr;
    inner.reduce.axes &= particles;
    outer.reduce.axes &= ~particles;
    outer.reduce.dims = 0;
    const Shape *s = graph_shape(l->g, lshape(l, n.arg[0])->axes & ~inner.reduce.axes, n.shape->rank,
                                 n.shape->dim);
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
      arg[i] = value_add(l, OP_expand, 1, &n.arg[i], a, graph_shape(l->g, n.shape->axes, s->rank, s->dim), v,
                         -1);
    }
    l->v.at[v].node.arg = arg;
  }
}

/* ---- pads */
enum { PARTS = 16 };
typedef struct { uint32_t n; Val pad[PARTS]; } Parts;

static bool gather_pads(const Lower *l, Val v, const Shape *s, Parts *out) {
  const Node *n = lnode(l, v);
  if (n->op == OP_add && n->shape == s && (l->v.at[v].uses == 1 || out->n == 0))
    return gather_pads(l, n->arg[0], s, out) && gather_pads(l, n->arg[1], s, out);
  if (n->op != OP_pad || out->n == PARTS) return false;
  out->pad[out->n++] = v;
  return true;
}

static uint32_t pad_start(const Lower *l, Val v) { return lnode(l, v)->attr.slice.start; }
static uint32_t pad_width(const Lower *l, Val v) { return lshape(l,
                                                                 lnode(l, v)->arg[0])->dim[lnode(l,
                                                                     v)->attr.slice.dim]; }

/* Zeros of v's shape, `width` wide along `dim`. */
static Val zeros_like(Lower *l, Val v, uint32_t dim, uint32_t width) {
  const Shape *s = lshape(l, v);
  uint32_t size[DIM_MAX];
  memcpy(size, s->dim, sizeof size);
  size[dim] = width;
  Attr a;
  memset(&a, 0, sizeof a);
  Val zero = value_add(l, OP_const, 0, NULL, a, graph_shape(l->g, 0, 0, NULL), v, -3);
  a.expand.added = (1u << s->rank) - 1;
  return value_add(l, OP_expand, 1, &zero, a, graph_shape(l->g, 0, s->rank, size), v, -2);
}

/* Pads along one dim that do not overlap: their arguments in order, with zeros between, are a concat. */
static void join_pads(Lower *l) {
  for (uint32_t k = l->order.n; k-- > 0;) {
    Val v = l->order.at[k], *arg;
    Parts p = {0};
    if (lnode(l, v)->op != OP_add || !gather_pads(l, v, lshape(l, v), &p)) continue;
    for (uint32_t i = 1; i < p.n; i++) {
      Val x = p.pad[i];
      uint32_t j = i;
      for (; j > 0 && pad_start(l, p.pad[j - 1]) > pad_start(l, x); j--) p.pad[j] = p.pad[j - 1];
      p.pad[j] = x;
    }
    uint8_t dim = lnode(l, p.pad[0])->attr.slice.dim;
    uint32_t end = 0, full = lshape(l, v)->dim[dim], n = 0;
    bool apart = true;
    for (uint32_t i = 0; i < p.n; i++) {
      apart &= lnode(l, p.pad[i])->attr.slice.dim == dim && pad_start(l, p.pad[i]) >= end;
      end = pad_start(l, p.pad[i]) + pad_width(l, p.pad[i]);
    }
    if (!apart) continue;
    arg = arena_alloc(l->arena, (2 * p.n + 1) * sizeof *arg);
    end = 0;
    for (uint32_t i = 0; i <= p.n; i++) {
      uint32_t start = i < p.n ? pad_start(l, p.pad[i]) : full;
      if (start > end) arg[n++] = zeros_like(l, v, dim, start - end);
      if (i == p.n) break;
      arg[n++] = lnode(l, p.pad[i])->arg[0];
      end = start + pad_width(l, p.pad[i]);
    }
    Node *node = &l->v.at[v].node;
    memset(&node->attr, 0, sizeof node->attr);
    node->op = OP_concat;
    node->attr.concat.dim = dim;
    node->arg = arg, node->nargs = n;
  }
}

void values_prepare(Lower *l) {
  values_order(l);
  factor_inside(l);
  values_order(l);
  triangles_find(l);
  values_order(l);
  join_pads(l);
  values_order(l);
  split_reductions(l);
  spread_solves(l);
}
