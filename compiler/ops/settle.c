/* guess, settle, implicit: the fixed point of a triangular map, by repetition, and its gradient.
 *
 * A value whose element i is a function of its own elements before i (a draw of an autoregressive site, with its noise held
 * fixed) is computed all at once from a guess of itself; the result becomes the next guess.  After t turns the first t
 * elements are right and stay so: after as many turns as there are elements all are, usually far earlier, and then nothing
 * changes any more.  (Jacobi iteration of a triangular system is exact; for sampling: Song, Meng, Liao, Ermon, Accelerating
 * feedforward computation via parallel nonlinear equation solving, ICML 2021.)
 *
 * Elements are rows of the first event dim, `turns` of them, or the steps of an ordered plate, as many as it has when run.
 *
 * guess stands for the value of the turn, settle for the last turn's.  Between them lies the BODY: the nodes that depend on
 * guess; only settle may use one of them from outside.  Bodies do not nest.  What is not finite in an early turn must not
 * reach later elements through a product with 0: there the guess stays as it was. */
#include "op.h"
#include <math.h>

static const char *no_derivative(const Node *n, uint32_t i) {
  return i == 0 && n->op == OP_settle ? "what is found by repetition has no derivative here" : OP_CONSTANT;
}
static void no_grad(Graph *g, Val y, Val dy, Val *d) {
  (void)g, (void)dy;
  for (uint32_t i = 0; i < node_of(g, y)->nargs; i++) d[i] = NO_VAL;
}
static const Shape *first_shape(Graph *g, const Node *n) { return shape_of_arg(g, n, 0); }
static Range first_range(const Graph *g, const Node *n) { return range_of_arg(g, n, 0); }

/* ---- guess */
static Val guess_add(Graph *g, Val start, Name name, uint32_t id) {
  Attr at = attr_none();
  at.leaf.name = name, at.leaf.id = id;
  return graph_add(g, OP_guess, 1, &start, at, NULL);
}
/* Two guesses are never one value, though they start alike. */
Val graph_guess(Graph *g, Val start, Name name) { return guess_add(g, start, name, g->node.n); }

static Range guess_range(const Graph *g, const Node *n) {
  (void)g, (void)n;
  return RANGE_REAL;                                    /* that of later turns is not known yet */
}
static Val guess_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return guess_add(to, arg[0], n->attr.leaf.name, n->attr.leaf.id);
}
static bool guess_eval(Eval *e, Val y) {
  memcpy(eval_value(e, y), eval_value(e, arg_of(e->g, y, 0)), e->out->size[y] * sizeof(double));
  return true;
}
static void guess_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fputc(' ', out);
  print_name(n->attr.leaf.name, out);
  fprintf(out, " %u", n->attr.leaf.id);
}
static bool guess_read(TextIn *in, Node *n) {
  return (text_name(in, &n->attr.leaf.name) && text_uint(in, &n->attr.leaf.id)) ||
      text_fail(in, "a guess needs a name and a number");
}
const Op op_guess = {
  .name = "guess", .nargs = 1, .shape = first_shape, .range = guess_range, .copy = guess_copy, .grad = no_grad,
  .obstacle = no_derivative, .eval = guess_eval, .print = guess_print, .read = guess_read };

/* ---- settle */
static bool depends(const Graph *g, Val v, Val on) {
  bool *seen = arena_alloc(g->arena, v + 1);
  seen[v] = true;
  for (; v > on; v--) {
    if (!seen[v]) continue;
    for (uint32_t i = 0; i < node_of(g, v)->nargs; i++) seen[arg_of(g, v, i)] = true;
  }
  return v == on && seen[on];
}
static Val settle_add(Graph *g, Val next, Val guess, Attr at) {
  return depends(g, next, guess) ? graph_add(g, OP_settle, 2, (Val[]){next, guess}, at, NULL) : next;
}
static Attr turns_attr(uint32_t turns, uint32_t along) {
  Attr at = attr_none();
  at.settle.turns = turns, at.settle.along = along;
  return at;
}
Val graph_settle(Graph *g, Val next, Val guess, uint32_t turns)       { return settle_add(g, next, guess, turns_attr(turns, 0)); }
Val graph_settle_along(Graph *g, Val next, Val guess, uint32_t plate) { return settle_add(g, next, guess, turns_attr(0, 1 + plate)); }
static const Shape *settle_shape(Graph *g, const Node *n) {
  const Shape *s = shape_of_arg(g, n, 0);
  return node_of(g, n->arg[1])->op == OP_guess && s == shape_of_arg(g, n, 1) &&
         (n->attr.settle.along ? n->attr.settle.along <= g->axis.n && (s->axes >> (n->attr.settle.along - 1) & 1) : n->attr.settle.turns > 0) ? s : NULL;
}
static Val settle_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return settle_add(to, arg[0], arg[1], n->attr);
}
/* The body has been evaluated once when this is reached. */
static bool settle_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  double *next = eval_value(e, n->arg[0]), *guess = eval_value(e, n->arg[1]);
  uint64_t turns = n->attr.settle.along ? eval_axis_size(e, n->attr.settle.along - 1) : n->attr.settle.turns;
  for (uint64_t turn = 1; turn < turns; turn++) {
    if (memcmp(next, guess, e->out->size[y] * sizeof *next) == 0) break;
    for (uint64_t i = 0; i < e->out->size[y]; i++) if (isfinite(next[i])) guess[i] = next[i];
    if (!eval_body(e, n->arg[1], y)) return false;
  }
  memcpy(eval_value(e, y), next, e->out->size[y] * sizeof *next);
  return true;
}
static void settle_print(const Graph *g, const Node *n, FILE *out) {
  if (n->attr.settle.along) {
    fputs(" along ", out);
    print_axis(g, n->attr.settle.along - 1, out);
    return;
  }
  fprintf(out, " turns %u", n->attr.settle.turns);
}
static bool settle_read(TextIn *in, Node *n) {
  if (text_word(in, "along")) {
    if (!text_axis(in, &n->attr.settle.along)) return text_fail(in, "a plate is missing");
    n->attr.settle.along++;
    return true;
  }
  return (text_word(in, "turns") && text_uint(in, &n->attr.settle.turns)) || text_fail(in, "`turns` and a number are missing");
}
const Op op_settle = {
  .name = "settle", .nargs = 2, .shape = settle_shape, .range = first_range, .copy = settle_copy, .grad = no_grad,
  .obstacle = no_derivative, .eval = settle_eval, .print = settle_print, .read = settle_read };

/* ---- implicit: h = s(h, p), with `at` the h that was found and `again` s(h, p) made of it
 *
 * dh = ds/dh dh + ds/dp dp.  An adjoint y of h gives `again` the adjoint u with u = y + (ds/dh)' u: triangular the other way, so it
 * is found by repetition too (the implicit function theorem; Christianson, Reverse accumulation and attractive fixed points,
 * 1994). */
static Val implicit_add(Graph *g, Val at, Val again, Attr attr) { return graph_add(g, OP_implicit, 2, (Val[]){at, again}, attr, NULL); }
Val graph_implicit(Graph *g, Val at, Val again, uint32_t turns)       { return implicit_add(g, at, again, turns_attr(turns, 0)); }
Val graph_implicit_along(Graph *g, Val at, Val again, uint32_t plate) { return implicit_add(g, at, again, turns_attr(0, 1 + plate)); }
static const Shape *implicit_shape(Graph *g, const Node *n) {
  return shape_of_arg(g, n, 0) == shape_of_arg(g, n, 1) ? shape_of_arg(g, n, 0) : NULL;
}
/* When gradients have been taken, it is what was found. */
static Val implicit_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return to->forward ? arg[0] : implicit_add(to, arg[0], arg[1], n->attr);
}
static void implicit_grad(Graph *g, Val y, Val dy, Val *d) {
  Node n = *node_of(g, y);
  Val zero = graph_expand_axes(g, graph_spread(g, graph_const(g, 0), n.shape), n.shape->axes), out;
  Val u = graph_guess(g, zero, name_of("adjoint"));
  Val whole = graph_sum_all(g, graph_op2(g, OP_mul, n.arg[1], u));
  if (n.shape->axes) whole = graph_reduce(g, REDUCE_SUM, whole, n.shape->axes, 0);
  graph_grad(g, whole, &n.arg[0], 1, &out);
  d[0] = NO_VAL;
  d[1] = out == NO_VAL ? dy : settle_add(g, graph_op2(g, OP_add, graph_expand_axes(g, dy, n.shape->axes), out), u, n.attr);
}
static const char *implicit_obstacle(const Node *n, uint32_t i) {
  (void)n;
  return i == 0 ? OP_CONSTANT : NULL;
}
const Op op_implicit = {
  .name = "implicit", .nargs = 2, .shape = implicit_shape, .range = first_range, .copy = implicit_copy, .grad = implicit_grad,
  .obstacle = implicit_obstacle, .eval = guess_eval, .print = settle_print, .read = settle_read };
