/* Leaves: constants, parameters, inputs, options, run-time sizes, indices. */
#include "op.h"
#include <math.h>

static const Shape *scalar_shape(Graph *g, const Node *n) {
  (void)n;
  return graph_shape(g, 0, 0, NULL);
}
static const char *no_arguments(const Node *n, uint32_t i) {
  (void)n, (void)i;
  return OP_CONSTANT;
}
static void no_grad(Graph *g, Val y, Val dy, Val *d) { (void)g, (void)y, (void)dy, (void)d; }

/* ---- const */
Val graph_const(Graph *g, double x) {
  Attr at = attr_none();
  at.number = x;
  return graph_add(g, OP_const, 0, NULL, at, NULL);
}
static Range const_range(const Graph *g, const Node *n) {
  (void)g;
  return range_of_const(n->attr.number);
}
static Val const_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from, (void)arg;
  return graph_const(to, n->attr.number);
}
static bool const_eval(Eval *e, Val y) {
  *eval_value(e, y) = node_of(e->g, y)->attr.number;
  return true;
}
static void const_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fputc(' ', out);
  print_number(n->attr.number, out);
}
static bool const_read(TextIn *in, Node *n) {
  return text_number(in, &n->attr.number) || text_fail(in, "a number is missing");
}

const Op op_const = {
  .name = "const", .nargs = 0, .shape = scalar_shape, .range = const_range, .copy = const_copy,
  .grad = no_grad, .obstacle = no_arguments, .eval = const_eval, .print = const_print, .read = const_read };

/* ---- param, input, option: the owner says their shape and range, and gives their values */
Val graph_leaf(Graph *g, OpKind op, Name name, uint32_t id, const Shape *s, Range r) {
  Attr at = attr_none();
  at.leaf.name = name;
  at.leaf.id = id;
  uint32_t before = g->node.n;
  Val v = graph_add(g, op, 0, NULL, at, s);
  if (g->node.n > before) g->node.at[v].range = r;
  return v;
}
static const Shape *leaf_shape(Graph *g, const Node *n) {
  (void)g;
  return n->shape;
}
static Range leaf_range(const Graph *g, const Node *n) {
  (void)g, (void)n;
  return RANGE_REAL;
}
static Val leaf_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from, (void)arg;
  return graph_leaf(to, n->op, n->attr.leaf.name, n->attr.leaf.id,
                    graph_shape(to, n->shape->axes, n->shape->rank, n->shape->dim), n->range);
}
static bool leaf_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  if (e->in->leaf && e->in->leaf(e->in->context, e->g, y, eval_value(e, y), e->out->size[y])) return true;
  return eval_fail(e, "no value for %s `%s`", op_name(n->op), n->attr.leaf.name);
}
static void leaf_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fputc(' ', out);
  print_name(n->attr.leaf.name, out);
  fprintf(out, " %u", n->attr.leaf.id);
  if (n->range.lo == RANGE_REAL.lo && n->range.hi == RANGE_REAL.hi && !n->range.whole &&
      n->range.form == FORM_PLAIN) return;
  fputs(" in ", out);
  range_print(n->range, out);
}
static bool leaf_read(TextIn *in, Node *n) {
  if (!text_name(in, &n->attr.leaf.name) || !text_uint(in, &n->attr.leaf.id))
    return text_fail(in, "a leaf needs a name and a number");
  n->range = RANGE_REAL;
  return !text_word(in, "in") || text_range(in, &n->range);
}

#define LEAF(opname) \
  const Op op_##opname = { \
    .name = #opname, .nargs = 0, .shape = leaf_shape, .range = leaf_range, .copy = leaf_copy, .grad = no_grad, \
    .obstacle = no_arguments, .eval = leaf_eval, .print = leaf_print, .read = leaf_read };
LEAF(param)
LEAF(input)
LEAF(option)

/* ---- count: rows present along an axis, or rows of the data set */
Val graph_count(Graph *g, uint32_t axis, bool total) {
  if (g->axis.at[axis].kind == AXIS_INDEX) return graph_const(g, g->axis.at[axis].size);
  Attr at = attr_none();
  at.count.axis = axis;
  at.count.total = total;
  return graph_add(g, OP_count, 0, NULL, at, NULL);
}
static const Shape *count_shape(Graph *g, const Node *n) {
  return n->attr.count.axis < g->axis.n ? graph_shape(g, 0, 0, NULL) : NULL;
}
static Range count_range(const Graph *g, const Node *n) {
  (void)g, (void)n;
  return range_make(1, INFINITY, false, true, true);
}
static Val count_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from, (void)arg;
  return graph_count(to, n->attr.count.axis, n->attr.count.total);
}
static bool count_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  *eval_value(e, y) = (double)(n->attr.count.total ? e->in->total : e->in->size)[n->attr.count.axis];
  return true;
}
static void count_print(const Graph *g, const Node *n, FILE *out) {
  fputs(n->attr.count.total ? " all " : " of ", out);
  print_axis(g, n->attr.count.axis, out);
}
static bool count_read(TextIn *in, Node *n) {
  n->attr.count.total = text_word(in, "all");
  if (!n->attr.count.total && !text_word(in, "of")) return text_fail(in, "`of` or `all` is missing");
  return text_axis(in, &n->attr.count.axis);
}
const Op op_count = {
  .name = "count", .nargs = 0, .shape = count_shape, .range = count_range, .copy = count_copy,
  .grad = no_grad, .obstacle = no_arguments, .eval = count_eval, .print = count_print, .read = count_read };

/* ---- iota: 0, 1, ... along a dim; along an axis the index, which for a plate is the row of the data set, or its place among the rows
 * present (what a gather along the plate takes) */
Val graph_iota(Graph *g, uint32_t size) {
  Attr at = attr_none();
  at.along.axis = -1;
  return graph_add(g, OP_iota, 0, NULL, at, graph_shape(g, 0, 1, &size));
}
Val graph_iota_axis(Graph *g, uint32_t axis) {
  Attr at = attr_none();
  at.along.axis = (int32_t)axis;
  at.along.dim = ALONG_ROW;
  return graph_add(g, OP_iota, 0, NULL, at, NULL);
}
Val graph_place(Graph *g, uint32_t axis) {
  Attr at = attr_none();
  at.along.axis = (int32_t)axis;
  at.along.dim = g->axis.at[axis].kind == AXIS_PLATE ? ALONG_PLACE : ALONG_ROW;
  return graph_add(g, OP_iota, 0, NULL, at, NULL);
}
static const Shape *iota_shape(Graph *g, const Node *n) {
  int32_t axis = n->attr.along.axis;
  if (axis < 0)
    return n->attr.along.dim == 0 && n->shape && n->shape->axes == 0 && n->shape->rank == 1 ? n->shape : NULL;
  return (uint32_t)axis < g->axis.n ? graph_shape(g, (AxisSet)1 << axis, 0, NULL) : NULL;
}
static Range iota_range(const Graph *g, const Node *n) {
  int32_t axis = n->attr.along.axis;
  if (axis < 0) return range_make(0, n->shape->dim[0] - 1., false, false, true);
  if (g->axis.at[axis].kind == AXIS_INDEX)
    return range_make(0, g->axis.at[axis].size - 1., false, false, true);
  return RANGE_COUNT;
}
static Val iota_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from, (void)arg;
  if (n->attr.along.axis < 0) return graph_iota(to, n->shape->dim[0]);
  return n->attr.along.dim == ALONG_PLACE ? graph_place(to, (uint32_t)n->attr.along.axis) : graph_iota_axis(to, (uint32_t)n->attr.along.axis);
}
static bool iota_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  double *out = eval_value(e, y);
  for (uint64_t i = 0; i < e->out->size[y]; i++)
    out[i] = (double)(n->attr.along.axis < 0 || n->attr.along.dim == ALONG_PLACE ? i : eval_row(e, (uint32_t)n->attr.along.axis, i));
  return true;
}
static void iota_print(const Graph *g, const Node *n, FILE *out) {
  if (n->attr.along.axis < 0) return;
  fputs(n->attr.along.dim == ALONG_PLACE ? " place " : " along ", out);
  print_axis(g, (uint32_t)n->attr.along.axis, out);
}
static bool iota_read(TextIn *in, Node *n) {
  uint32_t axis;
  n->attr.along.axis = -1;
  bool place = text_word(in, "place");
  if (!place && !text_word(in, "along")) return true;
  if (!text_axis(in, &axis)) return false;
  n->attr.along.axis = (int32_t)axis;
  n->attr.along.dim = place ? ALONG_PLACE : ALONG_ROW;
  return true;
}
const Op op_iota = {
  .name = "iota", .nargs = 0, .shape = iota_shape, .range = iota_range, .copy = iota_copy,
  .grad = no_grad, .obstacle = no_arguments, .eval = iota_eval, .print = iota_print, .read = iota_read };
