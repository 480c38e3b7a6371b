/* dot: sum of products of two values over pairs of event dims and over axes that both have.
 *
 * Result dims are the free dims of a in order, then those of b.  An axis that both have and that is not
 * summed is a batch; one that a single side has is kept.  With no pairs it is the outer product.
 *
 * Adjoints are products again, brought to the argument's own order of dims; the driver's sum over axes that
 * only the other side had turns into one more contraction (see reduce.c), so a weight's gradient is one
 * product over rows. */
#include "op.h"
#include <math.h>

static uint32_t bits(uint32_t n, const uint8_t *dim) {
  uint32_t set = 0;
  for (uint32_t i = 0; i < n; i++) set |= 1u << dim[i];
  return set;
}

static const Shape *dot_dims(Graph *g, const Shape *a, const Shape *b, AxisSet axes, uint32_t n,
                             const uint8_t *da, const uint8_t *db) {
  uint32_t dim[2 * DIM_MAX], rank = 0, sa = bits(n, da), sb = bits(n, db);
  for (uint32_t i = 0; i < a->rank; i++) if (!(sa >> i & 1)) dim[rank++] = a->dim[i];
  for (uint32_t i = 0; i < b->rank; i++) if (!(sb >> i & 1)) dim[rank++] = b->dim[i];
  return rank > DIM_MAX ? NULL : graph_shape(g, (a->axes | b->axes) & ~axes, rank, dim);
}

static bool same_dims(uint32_t n, const uint8_t *da, const uint8_t *db) {
  return n == 0 || !memcmp(da, db, n);
}

Val graph_dot(Graph *g, Val a, Val b, AxisSet axes, uint32_t n, const uint8_t *da, const uint8_t *db) {
  const Shape *s = shape_of(g, a), *t = shape_of(g, b);
  const Shape *y = dot_dims(g, s, t, axes, n, da, db);
  if (!y) BUG("dot: a result of more than %d dims", DIM_MAX);
  AxisSet neither = axes & ~(s->axes | t->axes), only_a = axes & s->axes & ~t->axes,
      only_b = axes & t->axes & ~s->axes;
  if (neither) {                                        /* the same all along them */
    Val v = graph_dot(g, a, b, axes & ~neither, n, da, db);
    return graph_reduce(g, REDUCE_SUM, v, neither, 0);
  }
  if (only_a | only_b)
    return graph_dot(g, graph_reduce(g, REDUCE_SUM, a, only_a, 0), graph_reduce(g, REDUCE_SUM, b, only_b, 0),
                     axes & ~(only_a | only_b), n, da, db);
  if (graph_is(g, a, 0) || graph_is(g, b, 0)) return graph_spread(g, graph_const(g, 0), y);
  if (n == 0 && axes == 0 && (s->rank == 0 || t->rank == 0)) return graph_op2(g, OP_mul, a, b);
  /* no side has anything of its own */
  if (n == s->rank && n == t->rank && s->axes == t->axes && same_dims(n, da, db))
    return graph_reduce(g, REDUCE_SUM, graph_op2(g, OP_mul, a, b), axes, all_dims(n));
  Attr at = attr_none();
  at.dot.axes = axes;
  at.dot.n = (uint8_t)n;
  for (uint32_t i = 0; i < n; i++) at.dot.da[i] = da[i], at.dot.db[i] = db[i];
  return graph_add(g, OP_dot, 2, (Val[]){a, b}, at, NULL);
}

Val graph_matmul(Graph *g, Val a, Val b) {
  if (rank_of(g, a) == 0 || rank_of(g, b) == 0) BUG("matmul of a scalar");
  return graph_dot(g, a, b, 0, 1, (uint8_t[]){(uint8_t)(rank_of(g, a) - 1)}, (uint8_t[]){0});
}

static const Shape *dot_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0), *b = shape_of_arg(g, n, 1);
  uint32_t pairs = n->attr.dot.n, seen_a = 0, seen_b = 0;
  if (pairs > DIM_MAX || n->attr.dot.axes & ~(a->axes & b->axes)) return NULL;
  for (uint32_t i = 0; i < pairs; i++) {
    uint32_t p = n->attr.dot.da[i], q = n->attr.dot.db[i];
    if (p >= a->rank || q >= b->rank || a->dim[p] != b->dim[q] || seen_a >> p & 1 || seen_b >> q & 1)
      return NULL;
    seen_a |= 1u << p, seen_b |= 1u << q;
  }
  return dot_dims(g, a, b, n->attr.dot.axes, pairs, n->attr.dot.da, n->attr.dot.db);
}

/* Shares of vectors that are simplexes make one: th @ topic. */
static bool mixes_simplexes(const Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0), *b = shape_of_arg(g, n, 1);
  return n->attr.dot.n == 1 && n->attr.dot.axes == 0 && range_of_arg(g, n, 0).form == FORM_SIMPLEX && range_of_arg(g, n, 1).form == FORM_SIMPLEX &&
      n->attr.dot.da[0] == a->rank - 1 && n->attr.dot.db[0] != b->rank - 1;
}
static Range dot_range(const Graph *g, const Node *n) {
  double least = 1, most;
  for (uint32_t i = 0; i < n->attr.dot.n; i++) least *= shape_of_arg(g, n, 0)->dim[n->attr.dot.da[i]];
  most = least;
  for (uint32_t i = 0; i < g->axis.n; i++) {
    if (!(n->attr.dot.axes >> i & 1)) continue;
    if (g->axis.at[i].kind == AXIS_INDEX) least *= g->axis.at[i].size, most *= g->axis.at[i].size;
    else most = INFINITY;
  }
  Range r = range_scale(range_mul(range_of_arg(g, n, 0), range_of_arg(g, n, 1)), least, most);
  if (mixes_simplexes(g, n)) r.hi = 1, r.hi_open = false, r.form = FORM_SIMPLEX;
  return r;
}

static Val dot_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_dot(to, arg[0], arg[1], n->attr.dot.axes, n->attr.dot.n, n->attr.dot.da, n->attr.dot.db);
}

/* The adjoint of one side.  t = dy contracted with the other side over the other's free dims has first (for
 * a; last for b) this side's free dims, then the other's contracted dims in the other's order; `order` puts
 * them where they were. */
static Val side_grad(Graph *g, const Node *n, unsigned side, Val dy) {
  const Shape *own = shape_of(g, n->arg[side]), *far = shape_of(g, n->arg[!side]);
  const uint8_t *mine = side ? n->attr.dot.db : n->attr.dot.da,
      *theirs = side ? n->attr.dot.da : n->attr.dot.db;
  uint32_t pairs = n->attr.dot.n, free_own = own->rank - pairs, free_far = far->rank - pairs,
      gone = bits(pairs, theirs), k = 0;
  uint8_t dy_dim[DIM_MAX], far_dim[DIM_MAX], order[DIM_MAX];
  for (uint32_t i = 0; i < far->rank; i++) {
    if (gone >> i & 1) continue;
    dy_dim[k] = (uint8_t)(side ? k : free_own + k);     /* y has a's free dims before b's */
    far_dim[k++] = (uint8_t)i;
  }
  /* For a: t = dot(dy, b), dims [free of a, contracted of b].  For b: t = dot(a, dy), dims [contracted of a, free of b]. */
  Val t = side ? graph_dot(g, n->arg[0], dy, 0, free_far, far_dim, dy_dim)
      : graph_dot(g, dy, n->arg[1], 0, free_far, dy_dim, far_dim);
  uint32_t free_at = side ? pairs : 0, pair_at = side ? 0 : free_own;
  for (uint32_t i = 0; i < own->rank; i++) {
    int32_t pair = -1;
    for (uint32_t j = 0; j < pairs; j++) if (mine[j] == i) pair = (int32_t)j;
    if (pair < 0) { order[i] = (uint8_t)free_at++; continue; }
    uint32_t below = gone & ((1u << theirs[pair]) - 1);
    order[i] = (uint8_t)(pair_at + (uint32_t)__builtin_popcount(below));
  }
  return graph_permute(g, t, order);
}

static void dot_grad(Graph *g, Val y, Val dy, Val *d) {
  Node n = *node_of(g, y);
  d[0] = side_grad(g, &n, 0, dy);
  d[1] = side_grad(g, &n, 1, dy);
}

static const char *differentiable(const Node *n, uint32_t i) {
  (void)n, (void)i;
  return NULL;
}

static bool dot_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  const Shape *s = n->shape, *a = shape_of_arg(e->g, n, 0), *b = shape_of_arg(e->g, n, 1);
  uint32_t gone_a = bits(n->attr.dot.n, n->attr.dot.da), gone_b = bits(n->attr.dot.n, n->attr.dot.db), k = 0;
  Loop l = {0};
  loop_axes(&l, e, a->axes | b->axes, s, a, b, NULL);
  for (uint32_t i = 0; i < a->rank; i++)
    if (!(gone_a >> i & 1)) loop_dim(&l, a->dim[i], dim_step(e, s, k++), dim_step(e, a, i), 0, 0);
  for (uint32_t i = 0; i < b->rank; i++)
    if (!(gone_b >> i & 1)) loop_dim(&l, b->dim[i], dim_step(e, s, k++), 0, dim_step(e, b, i), 0);
  for (uint32_t i = 0; i < n->attr.dot.n; i++)
    loop_dim(&l, a->dim[n->attr.dot.da[i]], 0, dim_step(e, a, n->attr.dot.da[i]),
             dim_step(e, b, n->attr.dot.db[i]), 0);
  const double *x = eval_value(e, n->arg[0]), *z = eval_value(e, n->arg[1]);
  double *out = eval_value(e, y);
  for (loop_start(&l); l.more; loop_next(&l)) out[l.at[0]] += x[l.at[1]] * z[l.at[2]];
  return true;
}

static void dot_print(const Graph *g, const Node *n, FILE *out) {
  fputs(" over", out);
  for (uint32_t i = 0; i < n->attr.dot.n; i++)
    fprintf(out, " dims %u %u", n->attr.dot.da[i], n->attr.dot.db[i]);
  for (uint32_t i = 0; i < g->axis.n; i++) {
    if (!(n->attr.dot.axes >> i & 1)) continue;
    fputs(" axis ", out);
    print_axis(g, i, out);
  }
}

static bool dot_read(TextIn *in, Node *n) {
  uint32_t i, j;
  if (!text_word(in, "over")) return text_fail(in, "`over` is missing");
  while (text_word(in, "dims")) {
    if (!text_uint(in, &i) || !text_uint(in, &j) || i >= DIM_MAX || j >= DIM_MAX || n->attr.dot.n == DIM_MAX)
      return text_fail(in, "a pair of dims is missing");
    n->attr.dot.da[n->attr.dot.n] = (uint8_t)i;
    n->attr.dot.db[n->attr.dot.n++] = (uint8_t)j;
  }
  while (text_word(in, "axis")) {
    if (!text_axis(in, &i)) return false;
    n->attr.dot.axes |= (AxisSet)1 << i;
  }
  return true;
}

const Op op_dot = {
  .name = "dot", .nargs = 2, .joins_axes = true, .shape = dot_shape, .range = dot_range, .copy = dot_copy,
  .grad = dot_grad, .obstacle = differentiable, .eval = dot_eval, .print = dot_print, .read = dot_read };
