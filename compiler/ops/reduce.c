/* reduce: sum, product, greatest, least, log of the sum of exponentials, over any axes and dims.
 *
 * The builder leaves a node only where there is something to do: along axes and dims on which the value is
 * the same, a sum is a product with the count, a greatest is the value itself; nested reductions of one kind
 * are one; signs and constant factors go outside; a sum over axes of a product of matrices is that product,
 * contracted over them too. */
#include "op.h"
#include <math.h>

static const char *const words[] = {"sum", "prod", "greatest", "least", "logsumexp", NULL};

/* k over `count` equal values */
static Val repeated(Graph *g, ReduceKind k, Val a, Val count) {
  switch (k) {
    case REDUCE_SUM:       return graph_op2(g, OP_mul, a, count);
    case REDUCE_PROD:      return graph_op2(g, OP_pow, a, count);
    case REDUCE_LOGSUMEXP: return graph_op2(g, OP_add, a, graph_op1(g, OP_log, count));
    case REDUCE_MAX:
    case REDUCE_MIN:       return a;
  }
  return a;
}

static Val count_of_axes(Graph *g, AxisSet axes) {
  Val n = graph_const(g, 1);
  for (uint32_t i = 0; i < g->axis.n; i++)
    if (axes >> i & 1) n = graph_op2(g, OP_mul, n, graph_count(g, i, false));
  return n;
}

/* dims of the result of a reduction (bits of `outer`) as dims of its argument, of which `gone` went */
static uint32_t dims_inside(uint32_t outer, uint32_t gone, uint32_t rank) {
  uint32_t dims = 0;
  for (uint32_t i = 0, j = 0; i < rank; i++)
    if (!(gone >> i & 1) && (outer >> j++ & 1)) dims |= 1u << i;
  return dims;
}

static Val reduce_expand(Graph *g, ReduceKind k, Val a, AxisSet axes, uint32_t dims) {
  Node n = *node_of(g, a);
  uint32_t same = dims & n.attr.expand.added, inner_dims = 0, size = 1, left[DIM_MAX], rank = 0, added = 0;
  AxisSet same_axes = axes & n.attr.expand.axes;
  for (uint32_t i = 0, j = 0; i < n.shape->rank; i++) {
    bool isnew = n.attr.expand.added >> i & 1;
    if (!isnew && (dims >> i & 1)) inner_dims |= 1u << j;
    j += !isnew;
    if (same >> i & 1) size *= n.shape->dim[i];
    if (dims >> i & 1) continue;
    if (isnew) added |= 1u << rank;
    left[rank++] = n.shape->dim[i];
  }
  Val v = graph_reduce(g, k, n.arg[0], axes & ~same_axes, inner_dims);
  v = repeated(g, k, v, graph_op2(g, OP_mul, graph_const(g, size), count_of_axes(g, same_axes)));
  return graph_expand_axes(g, graph_expand(g, v, added, rank, left), n.attr.expand.axes & ~axes);
}

/* The reduction moved inside its argument, or NO_VAL. */
static Val reduce_through(Graph *g, ReduceKind k, Val a, AxisSet axes, uint32_t dims) {
  Node n = *node_of(g, a);
  double x;
  if (n.op == OP_expand &&
      ((dims & n.attr.expand.added) || (axes & n.attr.expand.axes) ||
       rank_of(g, n.arg[0]) == 0)) return reduce_expand(g, k, a, axes, dims);
  if (n.op == OP_reduce && n.attr.reduce.kind == k && !n.attr.reduce.rows) {
    uint32_t gone = n.attr.reduce.dims;
    return graph_reduce(g, k, n.arg[0], axes | n.attr.reduce.axes,
                        gone | dims_inside(dims, gone, rank_of(g, n.arg[0])));
  }
  /* over the axis: over the dim it was */
  if (n.op == OP_to_axis && axes >> n.attr.convert.axis & 1) {
    uint32_t at = 1u << n.attr.convert.dim, wide = rank_of(g, n.arg[0]);
    return graph_reduce(g, k, n.arg[0], axes & ~((AxisSet)1 << n.attr.convert.axis),
                        at | dims_inside(dims, at, wide));
  }
  if (n.op == OP_to_dim && dims >> n.attr.convert.dim & 1) {
    uint32_t at = n.attr.convert.dim, rest = (dims & ((1u << at) - 1)) | (dims >> (at + 1) << at);
    return graph_reduce(g, k, n.arg[0], axes | (AxisSet)1 << n.attr.convert.axis, rest);
  }
  if (k != REDUCE_SUM) return NO_VAL;
  if (n.op == OP_neg) return graph_op1(g, OP_neg, graph_reduce(g, k, n.arg[0], axes, dims));
  if (n.op == OP_mul && graph_is_const(g, n.arg[1], &x))
    return graph_op2(g, OP_mul, graph_reduce(g, k, n.arg[0], axes, dims), n.arg[1]);
  /* axes of both factors only: a sum over the rows of x @ W would become sum(x) @ W, which loses the matrix product */
  if (n.op == OP_dot && dims == 0 && !(axes & ~(axes_of(g, n.arg[0]) & axes_of(g, n.arg[1]))))
    return graph_dot(g, n.arg[0], n.arg[1], n.attr.dot.axes | axes, n.attr.dot.n, n.attr.dot.da,
                     n.attr.dot.db);
  return NO_VAL;
}

Val graph_reduce(Graph *g, ReduceKind k, Val a, AxisSet axes, uint32_t dims) {
  const Shape *s = shape_of(g, a);
  if (dims >> s->rank) BUG("reduce over a dim that is not there");
  AxisSet same = axes & ~s->axes;
  if (same) return repeated(g, k, graph_reduce(g, k, a, axes & s->axes, dims), count_of_axes(g, same));
  if (axes == 0 && dims == 0) return a;
  /* dims of size 1 */
  if (shape_event_size(s) == shape_event_size(shape_without(g, s, 0, dims)) && dims) {
    const Shape *left = shape_without(g, s, 0, dims);
    return graph_reduce(g, k, graph_reshape(g, a, left->rank, left->dim), axes, 0);
  }
  Val v = reduce_through(g, k, a, axes, dims);
  if (v != NO_VAL) return v;
  Attr at = attr_none();
  at.reduce.axes = axes;
  at.reduce.dims = dims;
  at.reduce.kind = (uint8_t)k;
  return graph_add(g, OP_reduce, 1, &a, at, NULL);
}

/* Plates and particles; the rows that a variable runs over (`m in image`) are an index. */
static bool is_rows(const Graph *g, uint32_t axis) { return g->axis.at[axis].kind != AXIS_INDEX && !g->axis.at[axis].again; }

/* The rows of a template's value are not known until it is copied (a guide's value may gain particles), so
 * this keeps the wish. */
Val graph_reduce_rows(Graph *g, ReduceKind k, bool mean, Val a) {
  Attr at = attr_none();
  for (uint32_t i = 0; i < g->axis.n; i++)
    if (is_rows(g, i)) at.reduce.axes |= axes_of(g, a) & (AxisSet)1 << i;
  at.reduce.kind = (uint8_t)k, at.reduce.rows = true, at.reduce.mean = mean;
  return graph_add(g, OP_reduce, 1, &a, at, NULL);
}
static Val rows_resolved(Graph *g, const Node *n, Val a) {
  AxisSet axes = 0;
  for (uint32_t i = 0; i < g->axis.n; i++)
    if (is_rows(g, i)) axes |= axes_of(g, a) & (AxisSet)1 << i;
  Val v = graph_reduce(g, (ReduceKind)n->attr.reduce.kind, a, axes, 0);
  for (uint32_t i = 0; i < g->axis.n && !n->attr.reduce.mean && n->attr.reduce.kind == REDUCE_SUM; i++)      /* of a minibatch: N / B of the rows there are */
    if ((axes >> i & 1) && g->axis.at[i].kind == AXIS_PLATE)
      v = graph_op2(g, OP_mul, v, graph_op2(g, OP_div, graph_count(g, i, true), graph_count(g, i, false)));
  if (!n->attr.reduce.mean || !axes) return v;
  Val count = count_of_axes(g, axes);
  return n->attr.reduce.kind == REDUCE_LOGSUMEXP ? graph_op2(g, OP_sub, v, graph_op1(g, OP_log, count))
      : graph_op2(g, OP_div, v, count);
}

Val graph_sum_all(Graph *g, Val a) { return graph_reduce(g, REDUCE_SUM, a, 0, all_dims(rank_of(g, a))); }

static const Shape *reduce_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0);
  if ((n->attr.reduce.axes & ~a->axes) || n->attr.reduce.dims >> a->rank ||
      n->attr.reduce.kind > REDUCE_LOGSUMEXP) return NULL;
  return shape_without(g, a, n->attr.reduce.axes, n->attr.reduce.dims);
}

/* How many elements go into one: a range, since plates are known when run only. */
static void reduce_count(const Graph *g, const Node *n, double *least, double *most) {
  const Shape *a = shape_of_arg(g, n, 0);
  *least = 1, *most = 1;
  for (uint32_t i = 0; i < a->rank; i++)
    if (n->attr.reduce.dims >> i & 1) *least *= a->dim[i], *most *= a->dim[i];
  for (uint32_t i = 0; i < g->axis.n; i++) {
    if (!(n->attr.reduce.axes >> i & 1)) continue;
    if (g->axis.at[i].kind == AXIS_INDEX) *least *= g->axis.at[i].size, *most *= g->axis.at[i].size;
    else *most = INFINITY;
  }
}

static Range prod_range(Range r, double least, double most) {
  double a = fmax(fabs(r.lo), fabs(r.hi));
  if (r.lo < 0)
    return a <= 1 ? range_make(-1, 1, false, false, r.whole)
        : range_make(-INFINITY, INFINITY, true, true, r.whole);
  double lo = r.lo >= 1 ? pow(r.lo, least) : r.lo == 0 ? 0 : pow(r.lo, most);
  double hi = r.hi <= 1 ? pow(r.hi, least) : pow(r.hi, most);
  return range_make(lo, hi, r.lo_open || (isinf(most) && r.lo > 0 && r.lo < 1), r.hi_open || isinf(hi),
                    r.whole);
}

static Range reduce_range(const Graph *g, const Node *n) {
  Range r = range_plain(range_of_arg(g, n, 0));
  double least, most;
  reduce_count(g, n, &least, &most);
  if (n->attr.reduce.mean) return range_make(r.lo, r.hi, r.lo_open, r.hi_open, false);
  switch ((ReduceKind)n->attr.reduce.kind) {
    case REDUCE_SUM:       return range_scale(r, least, most);
    case REDUCE_PROD:      return prod_range(r, least, most);
    case REDUCE_MAX:
    case REDUCE_MIN:       return r;
    case REDUCE_LOGSUMEXP: return range_make(r.lo + log(least), r.hi + log(most), r.lo_open, r.hi_open ||
                                             isinf(most), false);
  }
  return RANGE_REAL;
}

static Val reduce_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  if (n->attr.reduce.rows) return rows_resolved(to, n, arg[0]);
  return graph_reduce(to, (ReduceKind)n->attr.reduce.kind, arg[0], n->attr.reduce.axes, n->attr.reduce.dims);
}

/* A value of the result's shape, the same along the dims that were reduced away. */
static Val back(Graph *g, Val v, const Shape *wide, uint32_t dims) {
  return graph_expand(g, v, dims, wide->rank, wide->dim);
}

/* Product: dy y / a, and where there are zeros the product of the others. */
static Val prod_grad(Graph *g, Val a, Val y, Val dy, Attr at) {
  const Shape *wide = shape_of(g, a);
  uint32_t dims = at.reduce.dims;
  Range r = node_of(g, a)->range;
  if (r.lo > 0 || (r.lo == 0 && r.lo_open))
    return graph_op2(g, OP_mul, back(g, dy, wide, dims), graph_op2(g, OP_div, back(g, y, wide, dims), a));
  Val zero = graph_const(g, 0), one = graph_const(g, 1), is_zero = graph_op2(g, OP_eq, a, zero);
  Val others = graph_op3(g, OP_select, is_zero, one, a);
  Val p = back(g, graph_reduce(g, REDUCE_PROD, others, at.reduce.axes, dims), wide, dims);
  Val zeros = back(g, graph_reduce(g, REDUCE_SUM, is_zero, at.reduce.axes, dims), wide, dims);
  Val here = graph_op3(g, OP_select, graph_op2(g, OP_eq, zeros, one), p, zero);
  Val there = graph_op3(g, OP_select, graph_op2(g, OP_eq, zeros, zero), graph_op2(g, OP_div, p, others),
                        zero);
  return graph_op2(g, OP_mul, back(g, dy, wide, dims), graph_op3(g, OP_select, is_zero, here, there));
}

static void reduce_grad(Graph *g, Val y, Val dy, Val *d) {
  Node n = *node_of(g, y);
  Val a = n.arg[0], spread = back(g, dy, shape_of(g, a), n.attr.reduce.dims),
      at_a = back(g, y, shape_of(g, a), n.attr.reduce.dims);
  switch ((ReduceKind)n.attr.reduce.kind) {
    case REDUCE_SUM:
      d[0] = spread;
      return;
    case REDUCE_PROD:
      d[0] = prod_grad(g, a, y, dy, n.attr);
      return;
    case REDUCE_MAX:
    case REDUCE_MIN: {                                  /* to the elements that attain it, in equal shares */
      Val attains = graph_op2(g, OP_eq, a, at_a);
      Val ties = graph_reduce(g, REDUCE_SUM, attains, n.attr.reduce.axes, n.attr.reduce.dims);
      Val share = back(g, graph_op2(g, OP_div, dy, ties), shape_of(g, a), n.attr.reduce.dims);
      d[0] = graph_op3(g, OP_select, attains, share, graph_const(g, 0));
      return;
    }
    case REDUCE_LOGSUMEXP:
      d[0] = graph_op2(g, OP_mul, spread, graph_op1(g, OP_exp, graph_op2(g, OP_sub, a, at_a)));
      return;
  }
}

static const char *differentiable(const Node *n, uint32_t i) {
  (void)n, (void)i;
  return NULL;
}

static Loop reduce_loop(Eval *e, const Node *n) {
  const Shape *a = shape_of_arg(e->g, n, 0);
  Loop l = {0};
  loop_axes(&l, e, a->axes, a, n->shape, NULL, NULL);
  for (uint32_t i = 0, j = 0; i < a->rank; i++)
    loop_dim(&l, a->dim[i], dim_step(e, a, i), n->attr.reduce.dims >> i & 1 ? 0 : dim_step(e, n->shape, j++),
             0, 0);
  return l;
}

static bool reduce_eval(Eval *e, Val y) {
  static const double start[] = {[REDUCE_SUM] = 0, [REDUCE_PROD] = 1, [REDUCE_MAX] = -INFINITY,
                                 [REDUCE_MIN] = INFINITY, [REDUCE_LOGSUMEXP] = -INFINITY};
  const Node *n = node_of(e->g, y);
  const double *x = eval_value(e, n->arg[0]);
  double *out = eval_value(e, y);
  uint64_t size = e->out->size[y];
  ReduceKind k = (ReduceKind)n->attr.reduce.kind;
  for (uint64_t i = 0; i < size; i++) out[i] = start[k];
  Loop l = reduce_loop(e, n);
  for (loop_start(&l); l.more; loop_next(&l)) {
    double v = x[l.at[0]], *o = &out[l.at[1]];
    switch (k) {
      case REDUCE_SUM:       *o += v; break;
      case REDUCE_PROD:      *o *= v; break;
      case REDUCE_MAX:
      case REDUCE_LOGSUMEXP: *o = op_forward(OP_max, *o, v, 0); break;      /* a NaN stays */
      case REDUCE_MIN:       *o = op_forward(OP_min, *o, v, 0); break;
    }
  }
  if (k != REDUCE_LOGSUMEXP) return true;
  /* out holds the greatest: m + log sum exp(x - m) */
  double *sum = arena_alloc(e->arena, (size + 1) * sizeof *sum);
  for (loop_start(&l); l.more; loop_next(&l))
    if (isfinite(out[l.at[1]])) sum[l.at[1]] += exp(x[l.at[0]] - out[l.at[1]]);
  for (uint64_t i = 0; i < size; i++) if (isfinite(out[i])) out[i] += log(sum[i]);
  return true;
}

static void reduce_print(const Graph *g, const Node *n, FILE *out) {
  if (n->attr.reduce.rows) fputs(n->attr.reduce.mean ? " mean-of-rows" : " rows", out);
  fputs(" over", out);
  for (uint32_t i = 0; i < DIM_MAX; i++) if (n->attr.reduce.dims >> i & 1) fprintf(out, " dim %u", i);
  for (uint32_t i = 0; i < g->axis.n; i++) {
    if (!(n->attr.reduce.axes >> i & 1)) continue;
    fputs(" axis ", out);
    print_axis(g, i, out);
  }
}

static bool reduce_read(TextIn *in, Node *n) {
  uint32_t i;
  n->attr.reduce.mean = text_word(in, "mean-of-rows");
  n->attr.reduce.rows = n->attr.reduce.mean || text_word(in, "rows");
  if (!text_word(in, "over")) return text_fail(in, "`over` is missing");
  while (text_word(in, "dim")) {
    if (!text_uint(in, &i) || i >= DIM_MAX) return text_fail(in, "a dim is missing");
    n->attr.reduce.dims |= 1u << i;
  }
  while (text_word(in, "axis")) {
    if (!text_axis(in, &i)) return false;
    n->attr.reduce.axes |= (AxisSet)1 << i;
  }
  return true;
}

const Op op_reduce = {
  .name = "reduce", .nargs = 1, .words = words, .joins_axes = true, .shape = reduce_shape,
      .range = reduce_range,
  .copy = reduce_copy, .grad = reduce_grad, .obstacle = differentiable, .eval = reduce_eval,
      .print = reduce_print, .read = reduce_read };
