/* Views: the same elements in another place.  stop, assume, expand, permute, reshape, to_axis, to_dim.
 * Those that take or join parts (slice, pad, concat) are in part.c.
 *
 * A builder first looks through what it is given: views of views become one, and a view of a spread scalar a
 * spread scalar. */
#include "op.h"
#include <math.h>

static const Shape *same_shape(Graph *g, const Node *n) { return shape_of_arg(g, n, 0); }
static Range same_range(const Graph *g, const Node *n) { return range_of_arg(g, n, 0); }
static Range plain_range(const Graph *g, const Node *n) { return range_plain(range_of_arg(g, n, 0)); }
static bool same_eval(Eval *e, Val y) {
  memcpy(eval_value(e, y), eval_value(e, arg_of(e->g, y, 0)), e->out->size[y] * sizeof(double));
  return true;
}
static const char *differentiable(const Node *n, uint32_t i) {
  (void)n, (void)i;
  return NULL;
}
static bool read_nothing(TextIn *in, Node *n) {
  (void)in, (void)n;
  return true;
}

/* ---- stop: the value without its gradient; a hook is one with a number */
Val graph_stop(Graph *g, Val a) {
  OpKind op = node_of(g, a)->op;
  bool stopped = op == OP_stop && !node_of(g, a)->attr.hook.live;
  if (g->forward || stopped || op == OP_const || op == OP_input || op == OP_option || op == OP_count || op == OP_iota)
    return a;
  return graph_add(g, OP_stop, 1, &a, attr_none(), NULL);
}
Val graph_hook(Graph *g, Val a, bool live) {
  Val none = NO_VAL;
  vec_push(g->arena, &g->hooks, none);
  Attr attr = attr_none();
  attr.hook.id = g->hooks.n, attr.hook.live = live;
  return graph_add(g, OP_stop, 1, &a, attr, NULL);
}
void graph_hook_scale(Graph *g, Val hook, Val scale) { g->hooks.at[node_of(g, hook)->attr.hook.id - 1] = scale; }

static Val stop_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  if (n->attr.hook.id && !to->forward) BUG("a hook belongs to its graph");
  return graph_stop(to, arg[0]);
}
static void stop_grad(Graph *g, Val y, Val dy, Val *d) {
  Attr attr = node_of(g, y)->attr;
  d[0] = NO_VAL;
  if (!attr.hook.live) return;
  Val scale = g->hooks.at[attr.hook.id - 1];
  if (scale == NO_VAL) BUG("a live hook without its scale");
  d[0] = graph_op2(g, OP_mul, dy, scale);
}
static const char *stop_obstacle(const Node *n, uint32_t i) {
  (void)i;
  return n->attr.hook.live ? NULL : OP_CONSTANT;
}
static void stop_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  if (n->attr.hook.id) fprintf(out, " hook %u", n->attr.hook.id);
}
const Op op_stop = {
  .name = "stop", .nargs = 1, .shape = same_shape, .range = same_range, .copy = stop_copy,
  .grad = stop_grad, .obstacle = stop_obstacle, .eval = same_eval, .print = stop_print, .read = read_nothing };

/* ---- assume: the value, with a range the builder could not see */
Val graph_assume(Graph *g, Val a, Range r) {
  Range known = node_of(g, a)->range;
  if (range_within(known, r)) return a;
  Attr at = attr_none();
  at.assume.range.lo = r.lo, at.assume.range.lo_open = r.lo_open;
  at.assume.range.hi = r.hi, at.assume.range.hi_open = r.hi_open;
  at.assume.range.whole = r.whole, at.assume.range.form = r.form;
  return graph_add(g, OP_assume, 1, &a, at, NULL);
}
static Range assume_range(const Graph *g, const Node *n) {
  (void)g;
  return n->attr.assume.range;
}
static Val assume_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_assume(to, arg[0], n->attr.assume.range);
}
static void assume_grad(Graph *g, Val y, Val dy, Val *d) {
  (void)g, (void)y;
  d[0] = dy;
}
static void assume_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fputs(" in ", out);
  range_print(n->attr.assume.range, out);
}
static bool assume_read(TextIn *in, Node *n) {
  Range r;
  if (!text_word(in, "in") || !text_range(in, &r)) return text_fail(in, "`in` and a range are missing");
  n->attr.assume.range.lo = r.lo, n->attr.assume.range.lo_open = r.lo_open;
  n->attr.assume.range.hi = r.hi, n->attr.assume.range.hi_open = r.hi_open;
  n->attr.assume.range.whole = r.whole, n->attr.assume.range.form = r.form;
  return true;
}
const Op op_assume = {
  .name = "assume", .nargs = 1, .shape = same_shape, .range = assume_range, .copy = assume_copy,
  .grad = assume_grad, .obstacle = differentiable, .eval = same_eval, .print = assume_print,
      .read = assume_read };

/* ---- expand: new dims (and axes), along which the value is the same.  Its adjoint is a sum. */
static Val expand_add(Graph *g, Val a, AxisSet axes, uint32_t added, uint32_t rank, const uint32_t *dim) {
  axes &= ~axes_of(g, a);
  if (added == 0 && axes == 0) return a;
  const Node *in = node_of(g, a);
  Attr at = attr_none();
  /* which of the dims taken over are new in the inner one? */
  if (in->op == OP_expand) {
    uint32_t j = 0, inner = in->attr.expand.added;
    for (uint32_t i = 0; i < rank; i++)
      if (!(added >> i & 1) && (inner >> j++ & 1)) added |= 1u << i;
    axes |= in->attr.expand.axes;
    a = in->arg[0];
  }
  at.expand.added = added;
  at.expand.axes = axes;
  return graph_add(g, OP_expand, 1, &a, at, graph_shape(g, axes_of(g, a) | axes, rank, dim));
}
Val graph_expand(Graph *g, Val a, uint32_t added, uint32_t rank, const uint32_t *dim) {
  if (rank != rank_of(g, a) + (uint32_t)__builtin_popcount(added))
    BUG("expand: %u dims from %u", rank, rank_of(g, a));
  return expand_add(g, a, 0, added, rank, dim);
}
Val graph_expand_axes(Graph *g, Val a, AxisSet axes) {
  const Shape *s = shape_of(g, a);
  return expand_add(g, a, axes, 0, s->rank, s->dim);
}
Val graph_spread(Graph *g, Val a, const Shape *s) {
  if (rank_of(g, a) > 0 || s->rank == 0) {
    if (rank_of(g, a) != s->rank || memcmp(shape_of(g, a)->dim, s->dim, s->rank * sizeof *s->dim))
      BUG("spread: not a scalar event");
    return a;
  }
  return expand_add(g, a, 0, all_dims(s->rank), s->rank, s->dim);
}
static const Shape *expand_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0), *s = n->shape;
  uint32_t j = 0;
  if (!s || (n->attr.expand.axes & a->axes) || s->axes != (a->axes | n->attr.expand.axes)) return NULL;
  for (uint32_t i = 0; i < s->rank; i++)
    if (!(n->attr.expand.added >> i & 1) && (j >= a->rank || s->dim[i] != a->dim[j++])) return NULL;
  return j == a->rank && n->attr.expand.added >> s->rank == 0 ? s : NULL;
}
static Range expand_range(const Graph *g, const Node *n) {
  Range r = range_of_arg(g, n, 0);
  if (r.form != FORM_PLAIN && n->attr.expand.added >> (n->shape->rank - 1) & 1) r.form = FORM_PLAIN;
  return r;
}
static Val expand_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return expand_add(to, arg[0], n->attr.expand.axes, n->attr.expand.added, n->shape->rank, n->shape->dim);
}
static void expand_grad(Graph *g, Val y, Val dy, Val *d) {
  /* new axes: the driver's sum */
  d[0] = graph_reduce(g, REDUCE_SUM, dy, 0, node_of(g, y)->attr.expand.added);
}
static bool expand_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  const Shape *s = n->shape, *a = shape_of_arg(e->g, n, 0);
  Loop l = {0};
  loop_axes(&l, e, s->axes, s, a, NULL, NULL);
  for (uint32_t i = 0, j = 0; i < s->rank; i++)
    loop_dim(&l, s->dim[i], dim_step(e, s, i), n->attr.expand.added >> i & 1 ? 0 : dim_step(e, a, j++), 0, 0);
  const double *x = eval_value(e, n->arg[0]);
  double *out = eval_value(e, y);
  for (loop_start(&l); l.more; loop_next(&l)) out[l.at[0]] = x[l.at[1]];
  return true;
}
static void expand_print(const Graph *g, const Node *n, FILE *out) {
  fputs(" new", out);
  for (uint32_t i = 0; i < n->shape->rank; i++) if (n->attr.expand.added >> i & 1) fprintf(out, " %u", i);
  for (uint32_t i = 0; i < g->axis.n; i++) {
    if (!(n->attr.expand.axes >> i & 1)) continue;
    fputs(" axis ", out);
    print_axis(g, i, out);
  }
}
static bool expand_read(TextIn *in, Node *n) {
  uint32_t i;
  if (!text_word(in, "new")) return text_fail(in, "`new` is missing");
  while (text_uint(in, &i)) {
    if (i >= DIM_MAX) return text_fail(in, "no dim %u", i);
    n->attr.expand.added |= 1u << i;
  }
  while (text_word(in, "axis")) {
    if (!text_axis(in, &i)) return false;
    n->attr.expand.axes |= (AxisSet)1 << i;
  }
  return true;
}
const Op op_expand = {
  .name = "expand", .nargs = 1, .joins_axes = true, .shape = expand_shape, .range = expand_range,
      .copy = expand_copy,
  .grad = expand_grad, .obstacle = differentiable, .eval = expand_eval, .print = expand_print,
      .read = expand_read };

/* ---- permute: result dim i is argument dim order[i] */
static Val permute_expanded(Graph *g, Val a, const uint8_t *order) {
  const Node *n = node_of(g, a);
  const Shape *s = n->shape;
  Val  in = n->arg[0];
  uint32_t added = 0, place[DIM_MAX], dim[DIM_MAX], k = 0;
  uint8_t  inner[DIM_MAX];
  AxisSet  axes = n->attr.expand.axes;
  for (uint32_t i = 0, j = 0; i < s->rank; i++) if (!(n->attr.expand.added >> i & 1)) place[i] = j++;
  for (uint32_t i = 0; i < s->rank; i++) {
    dim[i] = s->dim[order[i]];
    if (n->attr.expand.added >> order[i] & 1) added |= 1u << i;
    else inner[k++] = (uint8_t)place[order[i]];
  }
  return expand_add(g, graph_permute(g, in, inner), axes, added, s->rank, dim);
}

/* Swapping the two sides' dims of a product is the product the other way round. */
static Val permute_dot(Graph *g, Val a, const uint8_t *order) {
  Node n = *node_of(g, a);
  uint32_t from_a = rank_of(g, n.arg[0]) - n.attr.dot.n, rank = n.shape->rank;
  for (uint32_t i = 0; i < rank; i++) if (order[i] != (i + from_a) % rank) return NO_VAL;
  return graph_dot(g, n.arg[1], n.arg[0], n.attr.dot.axes, n.attr.dot.n, n.attr.dot.db, n.attr.dot.da);
}

Val graph_permute(Graph *g, Val a, const uint8_t *order) {
  uint32_t rank = rank_of(g, a);
  Attr at = attr_none();
  bool same = true;
  for (uint32_t i = 0; i < rank; i++) at.permute.order[i] = order[i], same &= order[i] == i;
  if (same) return a;
  const Node *in = node_of(g, a);
  if (in->op == OP_expand) return permute_expanded(g, a, order);
  if (in->op == OP_permute) {
    uint8_t both[DIM_MAX];
    for (uint32_t i = 0; i < rank; i++) both[i] = in->attr.permute.order[order[i]];
    return graph_permute(g, in->arg[0], both);
  }
  Val swapped = in->op == OP_dot ? permute_dot(g, a, order) : NO_VAL;
  return swapped != NO_VAL ? swapped : graph_add(g, OP_permute, 1, &a, at, NULL);
}
Val graph_transpose(Graph *g, Val a) { return graph_permute(g, a, (uint8_t[]){1, 0}); }

static const Shape *permute_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0);
  uint32_t dim[DIM_MAX], seen = 0;
  for (uint32_t i = 0; i < a->rank; i++) {
    uint32_t j = n->attr.permute.order[i];
    if (j >= a->rank || seen >> j & 1) return NULL;
    seen |= 1u << j;
    dim[i] = a->dim[j];
  }
  return graph_shape(g, a->axes, a->rank, dim);
}
static Val permute_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_permute(to, arg[0], n->attr.permute.order);
}
static void permute_grad(Graph *g, Val y, Val dy, Val *d) {
  Attr at = node_of(g, y)->attr;
  uint8_t back[DIM_MAX];
  for (uint32_t i = 0; i < rank_of(g, y); i++) back[at.permute.order[i]] = (uint8_t)i;
  d[0] = graph_permute(g, dy, back);
}
static bool permute_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  const Shape *s = n->shape, *a = shape_of_arg(e->g, n, 0);
  Loop l = {0};
  loop_axes(&l, e, s->axes, s, a, NULL, NULL);
  for (uint32_t i = 0; i < s->rank; i++)
    loop_dim(&l, s->dim[i], dim_step(e, s, i), dim_step(e, a, n->attr.permute.order[i]), 0, 0);
  const double *x = eval_value(e, n->arg[0]);
  double *out = eval_value(e, y);
  for (loop_start(&l); l.more; loop_next(&l)) out[l.at[0]] = x[l.at[1]];
  return true;
}
static void permute_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fputs(" order", out);
  for (uint32_t i = 0; i < n->shape->rank; i++) fprintf(out, " %u", n->attr.permute.order[i]);
}
static bool permute_read(TextIn *in, Node *n) {
  uint32_t i, k = 0;
  if (!text_word(in, "order")) return text_fail(in, "`order` is missing");
  while (text_uint(in, &i)) {
    if (k == DIM_MAX || i >= DIM_MAX) return text_fail(in, "not an order of dims");
    n->attr.permute.order[k++] = (uint8_t)i;
  }
  return true;
}
const Op op_permute = {
  .name = "permute", .nargs = 1, .joins_axes = true, .shape = permute_shape, .range = plain_range,
      .copy = permute_copy,
  .grad = permute_grad, .obstacle = differentiable, .eval = permute_eval, .print = permute_print,
      .read = permute_read };

/* ---- reshape: the same elements, row-major, in other dims */
Val graph_reshape(Graph *g, Val a, uint32_t rank, const uint32_t *dim) {
  const Node *in = node_of(g, a);
  const Shape *s = graph_shape(g, in->shape->axes, rank, dim);
  if (s == in->shape) return a;
  if (in->op == OP_reshape) return graph_reshape(g, in->arg[0], rank, dim);
  if (in->op == OP_expand && rank_of(g, in->arg[0]) == 0)
    return expand_add(g, in->arg[0], in->attr.expand.axes, all_dims(rank), rank, dim);
  return graph_add(g, OP_reshape, 1, &a, attr_none(), s);
}
static const Shape *reshape_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0);
  return n->shape && n->shape->axes == a->axes &&
      shape_event_size(n->shape) == shape_event_size(a) ? n->shape : NULL;
}
/* A simplex or an ordered vector stays one while its last dim stays. */
static Range reshape_range(const Graph *g, const Node *n) {
  Range r = range_of_arg(g, n, 0);
  const Shape *a = shape_of_arg(g, n, 0), *s = n->shape;
  bool vector = r.form == FORM_SIMPLEX || r.form == FORM_ORDERED;
  return vector && s->rank && a->dim[a->rank - 1] == s->dim[s->rank - 1] ? r : range_plain(r);
}
static Val reshape_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_reshape(to, arg[0], n->shape->rank, n->shape->dim);
}
static void reshape_grad(Graph *g, Val y, Val dy, Val *d) {
  const Shape *a = shape_of(g, arg_of(g, y, 0));
  d[0] = graph_reshape(g, dy, a->rank, a->dim);
}
const Op op_reshape = {
  .name = "reshape", .nargs = 1, .joins_axes = true, .shape = reshape_shape, .range = reshape_range,
      .copy = reshape_copy,
  .grad = reshape_grad, .obstacle = differentiable, .eval = same_eval, .read = read_nothing };

/* ---- to_axis, to_dim: an event dim to an index axis, and back; each other's adjoints */
static uint32_t dims_with(const Shape *s, uint32_t at, uint32_t size, uint32_t *dim) {
  for (uint32_t i = 0, j = 0; i <= s->rank; i++) dim[i] = i == at ? size : s->dim[j++];
  return s->rank + 1;
}
static uint32_t dims_without(const Shape *s, uint32_t at, uint32_t *dim) {
  for (uint32_t i = 0, j = 0; i < s->rank; i++) if (i != at) dim[j++] = s->dim[i];
  return s->rank - 1;
}
static uint32_t added_without(uint32_t added, uint32_t at) {
  return (added & ((1u << at) - 1)) | (added >> (at + 1) << at);
}

Val graph_to_axis(Graph *g, Val a, uint32_t dim, uint32_t axis) {
  Node in = *node_of(g, a);
  /* [i] a[i, i] */
  if (in.shape->axes >> axis & 1) return graph_gather(g, a, graph_iota_axis(g, axis), dim, NO_VAL);
  if (in.op == OP_to_dim && in.attr.convert.dim == dim && in.attr.convert.axis == axis) return in.arg[0];
  if (in.op == OP_expand && in.attr.expand.added >> dim & 1) {
    uint32_t left[DIM_MAX], rank = dims_without(in.shape, dim, left);
    return expand_add(g, in.arg[0], in.attr.expand.axes, added_without(in.attr.expand.added, dim), rank,
                      left);
  }
  Attr at = attr_none();
  at.convert.dim = (uint8_t)dim;
  at.convert.axis = axis;
  return graph_add(g, OP_to_axis, 1, &a, at, NULL);
}
Val graph_to_dim(Graph *g, Val a, uint32_t axis, uint32_t dim) {
  Node in = *node_of(g, a);
  const Axis *x = &g->axis.at[axis];
  if (x->kind != AXIS_INDEX || dim > in.shape->rank)
    BUG("to_dim: axis `%s` to dim %u of %u", x->name, dim, in.shape->rank);
  uint32_t size = x->size, more[DIM_MAX + 1], rank = dims_with(in.shape, dim, size, more);
  if (!(in.shape->axes >> axis & 1)) return graph_expand(g, a, 1u << dim, rank, more);
  if (in.op == OP_expand && in.attr.expand.axes >> axis & 1) {
    uint32_t below = in.attr.expand.added & ((1u << dim) - 1),
        above = in.attr.expand.added >> dim << (dim + 1);
    return expand_add(g, in.arg[0], in.attr.expand.axes & ~((AxisSet)1 << axis), below | 1u << dim | above,
                      rank, more);
  }
  if (in.op == OP_iota && in.attr.along.axis == (int32_t)axis) return graph_iota(g, size);
  if (in.op == OP_to_axis && in.attr.convert.axis == axis) {             /* back, perhaps to another place */
    uint8_t order[DIM_MAX];
    uint32_t was = in.attr.convert.dim;
    for (uint32_t i = 0, j = 0; i < rank; i++) {
      if (i == dim) { order[i] = (uint8_t)was; continue; }
      order[i] = (uint8_t)(j < was ? j : j + 1);
      j++;
    }
    return graph_permute(g, in.arg[0], order);
  }
  Attr at = attr_none();
  at.convert.dim = (uint8_t)dim;
  at.convert.axis = axis;
  return graph_add(g, OP_to_dim, 1, &a, at, NULL);
}

static const Shape *to_axis_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0);
  uint32_t dim[DIM_MAX], axis = n->attr.convert.axis, at = n->attr.convert.dim;
  if (axis >= g->axis.n || g->axis.at[axis].kind != AXIS_INDEX || a->axes >> axis & 1) return NULL;
  if (at >= a->rank || g->axis.at[axis].size != a->dim[at]) return NULL;
  uint32_t rank = dims_without(a, at, dim);
  return graph_shape(g, a->axes | (AxisSet)1 << axis, rank, dim);
}
static const Shape *to_dim_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0);
  uint32_t dim[DIM_MAX + 1], axis = n->attr.convert.axis, at = n->attr.convert.dim;
  if (axis >= g->axis.n || g->axis.at[axis].kind != AXIS_INDEX || !(a->axes >> axis & 1) || at > a->rank ||
      a->rank == DIM_MAX) return NULL;
  uint32_t rank = dims_with(a, at, g->axis.at[axis].size, dim);
  return graph_shape(g, a->axes & ~((AxisSet)1 << axis), rank, dim);
}
/* A leading dim may go and come without harm to what the last one holds. */
static Range convert_range(const Graph *g, const Node *n) {
  Range r = range_of_arg(g, n, 0);
  uint32_t wide = n->op == OP_to_axis ? rank_of(g, n->arg[0]) : n->shape->rank;
  uint32_t held = r.form == FORM_CHOLESKY || r.form == FORM_CORR_CHOLESKY ? 2 : 1;
  return n->attr.convert.dim + held < wide ? r : range_plain(r);
}
static Val to_axis_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_to_axis(to, arg[0], n->attr.convert.dim, n->attr.convert.axis);
}
static Val to_dim_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_to_dim(to, arg[0], n->attr.convert.axis, n->attr.convert.dim);
}
static void to_axis_grad(Graph *g, Val y, Val dy, Val *d) {
  Attr at = node_of(g, y)->attr;
  d[0] = graph_to_dim(g, dy, at.convert.axis, at.convert.dim);
}
static void to_dim_grad(Graph *g, Val y, Val dy, Val *d) {
  Attr at = node_of(g, y)->attr;
  d[0] = graph_to_axis(g, dy, at.convert.dim, at.convert.axis);
}
static bool convert_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  bool to_axis = n->op == OP_to_axis;
  const Shape *s = n->shape, *a = shape_of_arg(e->g, n, 0);
  /* the side that has the dim, the side that has the axis */
  const Shape *wide = to_axis ? a : s, *narrow = to_axis ? s : a;
  Loop l = {0};
  loop_axes(&l, e, wide->axes, wide, narrow, NULL, NULL);
  for (uint32_t i = 0, j = 0; i < wide->rank; i++)
    loop_dim(&l, wide->dim[i], dim_step(e, wide, i),
             i == n->attr.convert.dim ? axis_step(e, narrow, n->attr.convert.axis) : dim_step(e, narrow, j++),
                 0, 0);
  const double *x = eval_value(e, n->arg[0]);
  double *out = eval_value(e, y);
  for (loop_start(&l); l.more; loop_next(&l)) {
    if (to_axis) out[l.at[1]] = x[l.at[0]];
    else         out[l.at[0]] = x[l.at[1]];
  }
  return true;
}
static void convert_print(const Graph *g, const Node *n, FILE *out) {
  fprintf(out, " dim %u axis ", n->attr.convert.dim);
  print_axis(g, n->attr.convert.axis, out);
}
static bool convert_read(TextIn *in, Node *n) {
  uint32_t dim;
  if (!text_word(in, "dim") || !text_uint(in, &dim) || dim >= DIM_MAX || !text_word(in, "axis"))
    return text_fail(in, "a dim and an axis are missing");
  n->attr.convert.dim = (uint8_t)dim;
  return text_axis(in, &n->attr.convert.axis);
}
const Op op_to_axis = {
  .name = "to_axis", .nargs = 1, .shape = to_axis_shape, .range = convert_range, .copy = to_axis_copy,
  .grad = to_axis_grad, .obstacle = differentiable, .eval = convert_eval, .print = convert_print,
      .read = convert_read };
const Op op_to_dim = {
  .name = "to_dim", .nargs = 1, .shape = to_dim_shape, .range = convert_range, .copy = to_dim_copy,
  .grad = to_dim_grad, .obstacle = differentiable, .eval = convert_eval, .print = convert_print,
      .read = convert_read };
