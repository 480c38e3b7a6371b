/* Parts and joints along an event dim: slice and pad, each the other's adjoint, and concat.  Along a plate: shift. */
#include "op.h"
#include <math.h>
#include <stdlib.h>

static const char *differentiable(const Node *n, uint32_t i) {
  (void)n, (void)i;
  return NULL;
}
static const Shape *with_dim(Graph *g, const Shape *s, uint32_t dim, uint32_t size) {
  uint32_t d[DIM_MAX];
  memcpy(d, s->dim, sizeof d);
  d[dim] = size;
  return graph_shape(g, s->axes, s->rank, d);
}
static Attr slice_attr(uint32_t dim, uint32_t start, uint32_t size) {
  Attr at = attr_none();
  at.slice.dim = (uint8_t)dim;
  at.slice.start = start;
  at.slice.size = size;
  return at;
}
/* Copies a stretch of `size` along dim from x (at element `from`) to y (at `to`); the other dims agree. */
static void copy_stretch(Eval *e, const Shape *s, const Shape *ys, double *y, uint64_t to, const Shape *xs,
                         const double *x, uint64_t from, uint32_t dim, uint32_t size) {
  Loop l = {0};
  loop_axes(&l, e, s->axes, ys, xs, NULL, NULL);
  for (uint32_t i = 0; i < s->rank; i++)
    loop_dim(&l, i == dim ? size : s->dim[i], dim_step(e, ys, i), dim_step(e, xs, i), 0, 0);
  y += to * dim_step(e, ys, dim), x += from * dim_step(e, xs, dim);
  for (loop_start(&l); l.more; loop_next(&l)) y[l.at[0]] = x[l.at[1]];
}
static void slice_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fprintf(out, " dim %u from %u size %u", n->attr.slice.dim, n->attr.slice.start, n->attr.slice.size);
}
static bool slice_read(TextIn *in, Node *n) {
  uint32_t dim, start, size;
  if (!text_word(in, "dim") || !text_uint(in, &dim) || dim >= DIM_MAX || !text_word(in, "from") ||
      !text_uint(in, &start) ||
      !text_word(in, "size") || !text_uint(in, &size)) return text_fail(in, "dim, from and size are missing");
  n->attr = slice_attr(dim, start, size);
  return true;
}

/* ---- slice */
static Val slice_of_expand(Graph *g, Val a, uint32_t dim, uint32_t start, uint32_t size) {
  Node n = *node_of(g, a);
  const Shape *s = with_dim(g, n.shape, dim, size);
  Val in = n.arg[0];
  if (!(n.attr.expand.added >> dim & 1)) {
    uint32_t below = (1u << dim) - 1;
    in = graph_slice(g, in, (uint32_t)__builtin_popcount(below & ~n.attr.expand.added), start, size);
  }
  return graph_expand_axes(g, graph_expand(g, in, n.attr.expand.added, s->rank, s->dim), n.attr.expand.axes);
}
/* The part of a concat that holds all of the slice; or NO_VAL. */
static Val slice_of_concat(Graph *g, Val a, uint32_t dim, uint32_t start, uint32_t size) {
  const Node *n = node_of(g, a);
  uint32_t at = 0;
  for (uint32_t i = 0; i < n->nargs; i++) {
    uint32_t here = shape_of(g, n->arg[i])->dim[dim];
    if (start >= at && start + size <= at + here) return graph_slice(g, n->arg[i], dim, start - at, size);
    at += here;
  }
  return NO_VAL;
}
static Val slice_of_pad(Graph *g, Val a, uint32_t dim, uint32_t start, uint32_t size) {
  Node n = *node_of(g, a);
  uint32_t from = n.attr.slice.start, to = from + shape_of(g, n.arg[0])->dim[dim];
  if (start >= from && start + size <= to) return graph_slice(g, n.arg[0], dim, start - from, size);
  if (start + size <= from || start >= to)
    return graph_spread(g, graph_const(g, 0), with_dim(g, n.shape, dim, size));
  return NO_VAL;
}
Val graph_slice(Graph *g, Val a, uint32_t dim, uint32_t start, uint32_t size) {
  const Node *in = node_of(g, a);
  Val v = NO_VAL;
  if (dim >= in->shape->rank || start + size > in->shape->dim[dim]) BUG("slice outside its argument");
  if (size == in->shape->dim[dim]) return a;
  if (in->op == OP_slice && in->attr.slice.dim == dim)
    return graph_slice(g, in->arg[0], dim, in->attr.slice.start + start, size);
  if (in->op == OP_iota) return graph_op2(g, OP_add, graph_iota(g, size), graph_const(g, start));
  if (in->op == OP_expand) return slice_of_expand(g, a, dim, start, size);
  if (in->op == OP_concat && in->attr.concat.dim == dim) v = slice_of_concat(g, a, dim, start, size);
  if (in->op == OP_pad && in->attr.slice.dim == dim) v = slice_of_pad(g, a, dim, start, size);
  return v != NO_VAL ? v : graph_add(g, OP_slice, 1, &a, slice_attr(dim, start, size), NULL);
}
Val graph_index(Graph *g, Val a, uint32_t dim, uint32_t at) {
  const Shape *s = shape_of(g, a);
  if (node_of(g, a)->op == OP_iota) return graph_const(g, at);
  return graph_reshape(g, graph_slice(g, a, dim, at, 1), s->rank - 1, shape_without(g, s, 0, 1u << dim)->dim);
}
static const Shape *slice_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0);
  uint32_t dim = n->attr.slice.dim, start = n->attr.slice.start, size = n->attr.slice.size;
  return dim < a->rank && start <= a->dim[dim] &&
      size <= a->dim[dim] - start ? with_dim(g, a, dim, size) : NULL;
}
static Range slice_range(const Graph *g, const Node *n) {
  Range r = range_of_arg(g, n, 0);
  uint32_t held = r.form == FORM_CHOLESKY || r.form == FORM_CORR_CHOLESKY ? 2 : 1;
  return n->attr.slice.dim + held < n->shape->rank ? r : range_plain(r);
}
static Val slice_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_slice(to, arg[0], n->attr.slice.dim, n->attr.slice.start, n->attr.slice.size);
}
static void slice_grad(Graph *g, Val y, Val dy, Val *d) {
  Attr at = node_of(g, y)->attr;
  d[0] = graph_pad(g, dy, at.slice.dim, at.slice.start, shape_of(g, arg_of(g, y, 0))->dim[at.slice.dim]);
}
static bool slice_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  copy_stretch(e, n->shape, n->shape, eval_value(e, y), 0, shape_of_arg(e->g, n, 0), eval_value(e, n->arg[0]),
               n->attr.slice.start,
               n->attr.slice.dim, n->attr.slice.size);
  return true;
}
const Op op_slice = {
  .name = "slice", .nargs = 1, .joins_axes = true, .shape = slice_shape, .range = slice_range,
      .copy = slice_copy,
  .grad = slice_grad, .obstacle = differentiable, .eval = slice_eval, .print = slice_print,
      .read = slice_read };

/* ---- pad: zeros around */
Val graph_pad(Graph *g, Val a, uint32_t dim, uint32_t start, uint32_t full) {
  const Node *in = node_of(g, a);
  uint32_t here = in->shape->dim[dim];
  if (start == 0 && full == here) return a;
  if (graph_is(g, a, 0)) return graph_spread(g, graph_const(g, 0), with_dim(g, in->shape, dim, full));
  if (in->op == OP_pad && in->attr.slice.dim == dim)
    return graph_pad(g, in->arg[0], dim, start + in->attr.slice.start, full);
  return graph_add(g, OP_pad, 1, &a, slice_attr(dim, start, full), NULL);
}
static const Shape *pad_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0);
  uint32_t dim = n->attr.slice.dim, start = n->attr.slice.start, full = n->attr.slice.size;
  return dim < a->rank && start <= full && a->dim[dim] <= full - start ? with_dim(g, a, dim, full) : NULL;
}
static Range pad_range(const Graph *g, const Node *n) {
  return range_union(range_plain(range_of_arg(g, n, 0)), range_of_const(0));
}
static Val pad_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_pad(to, arg[0], n->attr.slice.dim, n->attr.slice.start, n->attr.slice.size);
}
static void pad_grad(Graph *g, Val y, Val dy, Val *d) {
  Attr at = node_of(g, y)->attr;
  d[0] = graph_slice(g, dy, at.slice.dim, at.slice.start, shape_of(g, arg_of(g, y, 0))->dim[at.slice.dim]);
}
static bool pad_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  const Shape *a = shape_of_arg(e->g, n, 0);
  copy_stretch(e, a, n->shape, eval_value(e, y), n->attr.slice.start, a, eval_value(e, n->arg[0]), 0,
               n->attr.slice.dim, a->dim[n->attr.slice.dim]);
  return true;
}
const Op op_pad = {
  .name = "pad", .nargs = 1, .joins_axes = true, .shape = pad_shape, .range = pad_range, .copy = pad_copy,
  .grad = pad_grad, .obstacle = differentiable, .eval = pad_eval, .print = slice_print, .read = slice_read };

/* ---- concat */
Val graph_concat(Graph *g, const Val *a, uint32_t n, uint32_t dim) {
  if (n == 1) return a[0];
  bool same = true;                                     /* one scalar all over */
  uint32_t size = 0;
  for (uint32_t i = 0; i < n; i++) {
    const Node *in = node_of(g, a[i]), *first = node_of(g, a[0]);
    size += in->shape->dim[dim];
    same = same && in->op == OP_expand && in->attr.expand.axes == 0 && rank_of(g, in->arg[0]) == 0 &&
        first->op == OP_expand && in->arg[0] == first->arg[0];
  }
  if (same) return graph_spread(g, arg_of(g, a[0], 0), with_dim(g, shape_of(g, a[0]), dim, size));
  Attr at = attr_none();
  at.concat.dim = (uint8_t)dim;
  return graph_add(g, OP_concat, n, a, at, NULL);
}
static const Shape *concat_shape(Graph *g, const Node *n) {
  uint32_t dim = n->attr.concat.dim, size = 0;
  const Shape *s = shape_of_arg(g, n, 0);
  AxisSet axes = 0;
  for (uint32_t i = 0; i < n->nargs; i++) {
    const Shape *a = shape_of_arg(g, n, i);
    if (dim >= a->rank ||
        with_dim(g, shape_with(g, a, 0), dim, 1) != with_dim(g, shape_with(g, s, 0), dim, 1)) return NULL;
    size += a->dim[dim];
    axes |= a->axes;
  }
  return with_dim(g, shape_with(g, s, axes), dim, size);
}
static Range concat_range(const Graph *g, const Node *n) {
  Range r = range_of_arg(g, n, 0);
  for (uint32_t i = 1; i < n->nargs; i++) r = range_union(r, range_of_arg(g, n, i));
  return n->attr.concat.dim + 1u < n->shape->rank &&
      (r.form == FORM_SIMPLEX || r.form == FORM_ORDERED) ? r : range_plain(r);
}
static Val concat_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_concat(to, arg, n->nargs, n->attr.concat.dim);
}
static void concat_grad(Graph *g, Val y, Val dy, Val *d) {
  Node n = *node_of(g, y);
  uint32_t dim = n.attr.concat.dim, at = 0;
  for (uint32_t i = 0; i < n.nargs; i++) {
    uint32_t here = shape_of(g, n.arg[i])->dim[dim];
    d[i] = graph_slice(g, dy, dim, at, here);
    at += here;
  }
}
static bool concat_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  uint32_t dim = n->attr.concat.dim, at = 0;
  for (uint32_t i = 0; i < n->nargs; i++) {
    const Shape *a = shape_of_arg(e->g, n, i);
    copy_stretch(e, n->shape, n->shape, eval_value(e, y), at, a, eval_value(e, n->arg[i]), 0, dim,
                 a->dim[dim]);
    at += a->dim[dim];
  }
  return true;
}
static void concat_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fprintf(out, " dim %u", n->attr.concat.dim);
}
static bool concat_read(TextIn *in, Node *n) {
  uint32_t dim;
  if (!text_word(in, "dim") || !text_uint(in, &dim) || dim >= DIM_MAX)
    return text_fail(in, "a dim is missing");
  n->attr.concat.dim = (uint8_t)dim;
  return true;
}
const Op op_concat = {
  .name = "concat", .nargs = -1, .joins_axes = true, .shape = concat_shape, .range = concat_range,
      .copy = concat_copy,
  .grad = concat_grad, .obstacle = differentiable, .eval = concat_eval, .print = concat_print,
      .read = concat_read };

/* ---- shift: a sequence moved along its steps, with zeros where nothing comes in.  Its adjoint is the shift back.  A value is computed by
 * chunks of its first plate, so the plate must lie inside another that the value has, too. */
Val graph_shift(Graph *g, Val a, uint32_t axis, int32_t by) {
  AxisSet need = (AxisSet)1 << axis;
  for (int p = g->axis.at[axis].parent; p >= 0; p = g->axis.at[p].parent) need |= (AxisSet)1 << p;
  if (graph_is(g, a, 0)) return a;
  Attr at = attr_none();
  at.shift.axis = axis, at.shift.by = by;
  a = graph_expand_axes(g, a, need & ~axes_of(g, a));
  return graph_add(g, OP_shift, 1, &a, at, NULL);
}
static const Shape *shift_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0);
  return n->attr.shift.axis < g->axis.n && (a->axes >> n->attr.shift.axis & 1) && n->attr.shift.by ? a : NULL;
}
static Val shift_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_shift(to, arg[0], n->attr.shift.axis, n->attr.shift.by);
}
static void shift_grad(Graph *g, Val y, Val dy, Val *d) {
  Attr at = node_of(g, y)->attr;
  d[0] = graph_shift(g, dy, at.shift.axis, -at.shift.by);
}
static bool shift_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  const Shape *s = n->shape;
  uint64_t size = eval_axis_size(e, n->attr.shift.axis), step = axis_step(e, s, n->attr.shift.axis),
           by = (uint64_t)(n->attr.shift.by < 0 ? -n->attr.shift.by : n->attr.shift.by);
  double *out = eval_value(e, y);
  const double *x = eval_value(e, n->arg[0]);
  for (uint64_t i = 0; i < e->out->size[y]; i++) out[i] = 0;
  if (by >= size) return true;
  Loop l = {0};
  for (uint32_t a = 0; a < e->g->axis.n; a++)
    if (s->axes >> a & 1) loop_dim(&l, a == n->attr.shift.axis ? size - by : eval_axis_size(e, a), axis_step(e, s, a), 0, 0, 0);
  for (uint32_t i = 0; i < s->rank; i++) loop_dim(&l, s->dim[i], dim_step(e, s, i), 0, 0, 0);
  uint64_t to = n->attr.shift.by > 0 ? by * step : 0, from = n->attr.shift.by > 0 ? 0 : by * step;
  for (loop_start(&l); l.more; loop_next(&l)) out[to + l.at[0]] = x[from + l.at[0]];
  return true;
}
static void shift_print(const Graph *g, const Node *n, FILE *out) {
  fputs(" axis ", out);
  print_axis(g, n->attr.shift.axis, out);
  fprintf(out, n->attr.shift.by < 0 ? " back %d" : " by %d", abs(n->attr.shift.by));
}
static bool shift_read(TextIn *in, Node *n) {
  uint32_t axis, by;
  if (!text_word(in, "axis") || !text_axis(in, &axis)) return text_fail(in, "an axis is missing");
  bool back = text_word(in, "back");
  if ((!back && !text_word(in, "by")) || !text_uint(in, &by) || by == 0 || by > 1000) return text_fail(in, "`by` or `back` and a number are missing");
  n->attr.shift.axis = axis, n->attr.shift.by = back ? -(int32_t)by : (int32_t)by;
  return true;
}
const Op op_shift = {
  .name = "shift", .nargs = 1, .shape = shift_shape, .range = pad_range, .copy = shift_copy,
  .grad = shift_grad, .obstacle = differentiable, .eval = shift_eval, .print = shift_print, .read = shift_read };
