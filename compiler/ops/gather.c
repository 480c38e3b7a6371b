/* gather: elements of a table chosen by a value.  scatter: its adjoint.
 *
 * Along an event dim (axis == NO_VAL): y = table[..., index, ...]; the dim goes, and y has the index's axes
 * as well.  Along a plate: y at (axes of index) = table at row `index` of the plate; y does not vary over the
 * plate, unless the index does.  The index is a scalar event: the position of the row among those present, so
 * a plate that others point into is present as a whole.
 *
 * Read at the place of each row of another axis over the same rows (`m in image`), a gather only gives the axis another
 * name, and so does its adjoint.
 *
 * scatter adds dy to where gather would have read: its result has the table's shape, and is summed over every
 * axis of dy and index that the table lacks. */
#include "op.h"
#include <math.h>

static bool along_axis(const Node *n) { return n->attr.gather.axis != NO_VAL; }
static AxisSet axis_bit(const Node *n) { return along_axis(n) ? (AxisSet)1 << n->attr.gather.axis : 0; }

static Attr gather_attr(uint32_t dim, uint32_t axis) {
  Attr at = attr_none();
  at.gather.dim = axis == NO_VAL ? (uint8_t)dim : 0;
  at.gather.axis = axis;
  return at;
}

/* A table that is the same all along the dim it is indexed by. */
static Val gather_of_expand(Graph *g, const Node *t, uint32_t dim) {
  uint32_t added = t->attr.expand.added, rest = (added & ((1u << dim) - 1)) | (added >> (dim + 1) << dim);
  const Shape *left = shape_without(g, t->shape, 0, 1u << dim);
  return graph_expand_axes(g, graph_expand(g, t->arg[0], rest, left->rank, left->dim), t->attr.expand.axes);
}

uint32_t axis_rows(const Graph *g, uint32_t axis) {
  return g->axis.at[axis].again ? g->axis.at[axis].again - 1 : axis;
}
Val graph_rows(Graph *g, Val a, uint32_t from, uint32_t to) { return graph_gather(g, a, graph_place(g, to), 0, from); }

/* The axis of the same rows that a gather reads at in order; NO_VAL when it is none. */
static uint32_t gather_renames(const Graph *g, const Node *n) {
  const Node *i = node_of(g, n->arg[1]);
  if (!along_axis(n) || i->op != OP_iota || i->attr.along.axis < 0 || i->attr.along.dim != ALONG_PLACE) return NO_VAL;
  uint32_t to = (uint32_t)i->attr.along.axis;
  return axis_rows(g, to) == axis_rows(g, n->attr.gather.axis) ? to : NO_VAL;
}

Val graph_gather(Graph *g, Val table, Val index, uint32_t dim, uint32_t axis) {
  Node t = *node_of(g, table), i = *node_of(g, index);
  double k;
  if (i.shape->rank) BUG("gather by an index that is not a scalar event");
  if (axis != NO_VAL && !(t.shape->axes >> axis & 1)) return table;
  if (axis != NO_VAL && t.op == OP_gather) {            /* to another axis over the same rows, and back */
    uint32_t to = gather_renames(g, &t);
    Node back = {.nargs = 2, .arg = (Val[]){table, index}, .attr = gather_attr(dim, axis)};
    if (to == axis && gather_renames(g, &back) == t.attr.gather.axis) return t.arg[0];
  }
  if (axis == NO_VAL) {
    if (dim >= t.shape->rank) BUG("gather along a dim that is not there");
    if (graph_is_const(g, index, &k) && k >= 0 && k < t.shape->dim[dim] && k == floor(k))
      return graph_index(g, table, dim, (uint32_t)k);
    if (t.op == OP_expand && t.attr.expand.added >> dim & 1) return gather_of_expand(g, &t, dim);
    int32_t along = i.op == OP_iota ? i.attr.along.axis : -1;
    if (along >= 0 && !(t.shape->axes >> along & 1) && g->axis.at[along].kind == AXIS_INDEX &&
        g->axis.at[along].size == t.shape->dim[dim])
      return graph_to_axis(g, table, dim, (uint32_t)along);
  }
  return graph_add(g, OP_gather, 2, (Val[]){table, index}, gather_attr(dim, axis), NULL);
}

Val graph_scatter(Graph *g, Val dy, Val index, uint32_t dim, uint32_t axis, const Shape *s) {
  if (graph_is(g, dy, 0)) return graph_spread(g, graph_const(g, 0), s);
  return graph_add(g, OP_scatter, 2, (Val[]){dy, index}, gather_attr(dim, axis), s);
}

static const Shape *gather_shape(Graph *g, const Node *n) {
  const Shape *t = shape_of_arg(g, n, 0), *i = shape_of_arg(g, n, 1);
  if (i->rank) return NULL;
  if (along_axis(n))
    return t->axes & axis_bit(n) ? shape_with(g, t, (t->axes & ~axis_bit(n)) | i->axes) : NULL;
  if (n->attr.gather.dim >= t->rank) return NULL;
  return shape_with(g, shape_without(g, t, 0, 1u << n->attr.gather.dim), t->axes | i->axes);
}

/* The dims of dy are those a gather from the result would have. */
static const Shape *scatter_shape(Graph *g, const Node *n) {
  const Shape *dy = shape_of_arg(g, n, 0), *i = shape_of_arg(g, n, 1), *s = n->shape;
  if (!s || i->rank || (along_axis(n) && !(s->axes & axis_bit(n)))) return NULL;
  if (!along_axis(n) && n->attr.gather.dim >= s->rank) return NULL;
  const Shape *from = along_axis(n) ? s : shape_without(g, s, 0, 1u << n->attr.gather.dim);
  return shape_with(g, from, 0) == shape_with(g, dy, 0) ? s : NULL;
}

static Range gather_range(const Graph *g, const Node *n) {
  Range r = range_of_arg(g, n, 0);
  uint32_t held = r.form == FORM_CHOLESKY || r.form == FORM_CORR_CHOLESKY ? 2 : 1;
  return along_axis(n) || n->attr.gather.dim + held < rank_of(g, n->arg[0]) ? r : range_plain(r);
}
static Range scatter_range(const Graph *g, const Node *n) {
  Range r = range_of_arg(g, n, 0);
  return range_make(r.lo < 0 ? -INFINITY : 0, r.hi > 0 ? INFINITY : 0, r.lo < 0, r.hi > 0, r.whole);
}

static Val gather_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_gather(to, arg[0], arg[1], n->attr.gather.dim, n->attr.gather.axis);
}
static Val scatter_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  AxisSet had = shape_of(from, n->arg[0])->axes | shape_of(from, n->arg[1])->axes,
      has = axes_of(to, arg[0]) | axes_of(to, arg[1]);
  const Shape *s = graph_shape(to, n->shape->axes | (has & ~had), n->shape->rank, n->shape->dim);
  return graph_scatter(to, arg[0], arg[1], n->attr.gather.dim, n->attr.gather.axis, s);
}

static void gather_grad(Graph *g, Val y, Val dy, Val *d) {
  Node n = *node_of(g, y);
  uint32_t to = gather_renames(g, &n);
  d[1] = NO_VAL;
  if (to != NO_VAL && !(shape_of(g, n.arg[0])->axes >> to & 1)) {
    d[0] = graph_rows(g, dy, to, n.attr.gather.axis);
    return;
  }
  d[0] = graph_scatter(g, dy, n.arg[1], n.attr.gather.dim, n.attr.gather.axis, shape_of(g, n.arg[0]));
}

/* dt at every place that was added, summed over the axes along which dy was the same. */
static void scatter_grad(Graph *g, Val y, Val dt, Val *d) {
  Node n = *node_of(g, y);
  AxisSet over = (axes_of(g, n.arg[1]) | (n.shape->axes & ~axis_bit(&n))) & ~axes_of(g, n.arg[0]);
  d[0] = graph_reduce(g, REDUCE_SUM, graph_gather(g, dt, n.arg[1], n.attr.gather.dim, n.attr.gather.axis),
                      over, 0);
  d[1] = NO_VAL;
}

static const char *not_by_index(const Node *n, uint32_t i) {
  (void)n;
  return i == 0 ? NULL : OP_CONSTANT;
}

/* One loop for both: `table` is the side with the dim or plate, `flat` the side without. */
static bool gather_run(Eval *e, Val y, bool scatter) {
  const Node *n = node_of(e->g, y);
  Val index = n->arg[1];
  const Shape *table = scatter ? n->shape : shape_of_arg(e->g, n, 0),
      *flat = scatter ? shape_of_arg(e->g, n, 0) : n->shape;
  uint64_t size = along_axis(n) ? eval_axis_size(e, n->attr.gather.axis) : table->dim[n->attr.gather.dim];
  uint64_t step = along_axis(n) ? axis_step(e, table, n->attr.gather.axis)
      : dim_step(e, table, n->attr.gather.dim);
  Loop l = {0};
  AxisSet axes = flat->axes | shape_of(e->g, index)->axes | (table->axes & ~axis_bit(n));
  for (uint32_t a = 0; a < e->g->axis.n; a++) {
    if (!(axes >> a & 1)) continue;
    uint64_t in_table = along_axis(n) && a == n->attr.gather.axis ? 0 : axis_step(e, table, a);
    loop_dim(&l, eval_axis_size(e, a), in_table, axis_step(e, flat, a),
             axis_step(e, shape_of(e->g, index), a), 0);
  }
  for (uint32_t i = 0, j = 0; i < table->rank; i++) {
    if (!along_axis(n) && i == n->attr.gather.dim) continue;
    loop_dim(&l, table->dim[i], dim_step(e, table, i), dim_step(e, flat, j++), 0, 0);
  }
  const double *x = eval_value(e, n->arg[0]), *at = eval_value(e, index);
  double *out = eval_value(e, y);
  for (loop_start(&l); l.more; loop_next(&l)) {
    double k = at[l.at[2]];
    if (!(k >= 0 && k < (double)size && k == floor(k)))
      return eval_fail(e, "index %g is outside 0 .. %g", k, (double)size - 1);
    uint64_t here = l.at[0] + (uint64_t)k * step;
    if (scatter) out[here] += x[l.at[1]];
    else         out[l.at[1]] = x[here];
  }
  return true;
}
static bool gather_eval(Eval *e, Val y)  { return gather_run(e, y, false); }
static bool scatter_eval(Eval *e, Val y) { return gather_run(e, y, true); }

static void gather_print(const Graph *g, const Node *n, FILE *out) {
  if (!along_axis(n)) { fprintf(out, " dim %u", n->attr.gather.dim); return; }
  fputs(" axis ", out);
  print_axis(g, n->attr.gather.axis, out);
}
static bool gather_read(TextIn *in, Node *n) {
  uint32_t i;
  if (text_word(in, "axis")) {
    if (!text_axis(in, &i)) return false;
    n->attr = gather_attr(0, i);
    return true;
  }
  if (!text_word(in, "dim") || !text_uint(in, &i) || i >= DIM_MAX)
    return text_fail(in, "a dim or an axis is missing");
  n->attr = gather_attr(i, NO_VAL);
  return true;
}

const Op op_gather = {
  .name = "gather", .nargs = 2, .shape = gather_shape, .range = gather_range, .copy = gather_copy,
  .grad = gather_grad, .obstacle = not_by_index, .eval = gather_eval, .print = gather_print,
      .read = gather_read };
const Op op_scatter = {
  .name = "scatter", .nargs = 2, .shape = scatter_shape, .range = scatter_range, .copy = scatter_copy,
  .grad = scatter_grad, .obstacle = not_by_index, .eval = scatter_eval, .print = gather_print,
      .read = gather_read };
