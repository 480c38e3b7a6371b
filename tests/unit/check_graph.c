/* The tensor graph: sharing, simplification, text, copies, gradients of whole graphs.  Single ops are in
 * table/check_ops.c. */
#include "../table/random_graph.h"
#include "../../compiler/ops/op.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

static Arena *arena;
static Graph *g;
static uint32_t image, k, index3;
enum { SEEDS = 300 };

static void start(void) {
  arena = arena_new();
  g = graph_new(arena);
  image = graph_axis(g, (Axis){.name = name_of("image"), .kind = AXIS_PLATE, .parent = -1});
  k = graph_axis(g, (Axis){.name = name_of("k"), .kind = AXIS_PARTICLE, .parent = -1});
  index3 = graph_axis(g, (Axis){.name = name_of("i"), .kind = AXIS_INDEX, .size = 3, .parent = -1});
}
static void finish(void) { arena_free(arena); }

/* A leaf with dims (0: none) and axes. */
static Val leaf(const char *name, AxisSet axes, uint32_t d0, uint32_t d1, Range r) {
  uint32_t dim[] = {d0, d1};
  return graph_leaf(g, OP_param, name_of(name), 0, graph_shape(g, axes, d1 ? 2 : d0 ? 1 : 0, dim), r);
}
static Val scalar(const char *name) { return leaf(name, 0, 0, 0, RANGE_REAL); }
static Val lit(double x) { return graph_const(g, x); }
#define op1(op, x)     graph_op1(g, OP_##op, x)
#define op2(op, x, y)  graph_op2(g, OP_##op, x, y)
#define is(v, w)       ck_assert_uint_eq(v, w)

/* ---- nodes and shapes */
START_TEST(equal_expressions_are_one_value) {
  Val x = scalar("x"), y = scalar("y");
  is(op2(mul, x, y), op2(mul, x, y));
  is(op2(mul, x, y), op2(mul, y, x));
  ck_assert_uint_ne(op2(sub, x, y), op2(sub, y, x));
  ck_assert_uint_ne(op2(mul, x, y), op2(add, x, y));
  for (int i = 0; i < 1000; i++) op2(add, op2(mul, x, lit(i + .5)), y);      /* tables grow */
  is(op2(mul, x, y), op2(mul, x, y));
  ck_assert(graph_verify(g, stderr));
}
END_TEST

START_TEST(shapes_join_by_name) {
  const Shape *a = graph_shape(g, 1, 1, (uint32_t[]){4}), *b = graph_shape(g, 2, 0, NULL),
      *c = graph_shape(g, 0, 1, (uint32_t[]){5});
  ck_assert_ptr_eq(shape_join(g, a, b), graph_shape(g, 3, 1, (uint32_t[]){4}));
  ck_assert_ptr_eq(shape_join(g, b, a), shape_join(g, a, b));
  ck_assert_ptr_null(shape_join(g, a, c));
  char text[100] = "";
  FILE *out = fmemopen(text, sizeof text, "w");
  shape_print(g, shape_join(g, a, b), out);
  fclose(out);
  ck_assert_str_eq(text, "[4] each image, k");
}
END_TEST

START_TEST(axes_and_draws_are_shared_by_name) {
  is(graph_axis(g, (Axis){.name = name_of("i"), .kind = AXIS_INDEX, .size = 3, .parent = -1}), index3);
  ck_assert_uint_ne(graph_axis(g, (Axis){.name = name_of("i"), .kind = AXIS_INDEX, .size = 4, .parent = -1}),
                    index3);
  is(graph_draw(g, (Draw){.name = name_of("z")}), graph_draw(g, (Draw){.name = name_of("z")}));
}
END_TEST

/* ---- simplification */
START_TEST(elementwise_rules) {
  Val x = scalar("x"), y = scalar("y"), p = leaf("p", 0, 0, 0, RANGE_POSITIVE),
      n = leaf("n", 0, 0, 0, RANGE_COUNT);
  is(op2(add, lit(2), lit(3)), lit(5));
  is(op2(add, x, lit(0)), x);
  is(op2(add, lit(0), x), x);
  is(op2(mul, lit(1), x), x);
  is(op2(mul, lit(0), x), lit(0));
  is(op1(neg, op1(neg, x)), x);
  is(op2(add, x, op1(neg, y)), op2(sub, x, y));
  is(op2(sub, x, op1(neg, y)), op2(add, x, y));
  is(op1(neg, op2(sub, x, y)), op2(sub, y, x));
  is(op2(mul, op2(mul, lit(2), x), lit(3)), op2(mul, x, lit(6)));
  is(op2(div, op2(mul, lit(2), x), lit(4)), op2(mul, x, lit(.5)));
  is(op2(add, op2(add, x, lit(2)), lit(3)), op2(add, x, lit(5)));
  is(op2(mul, op2(mul, x, lit(2)), op2(mul, y, lit(3))), op2(mul, op2(mul, x, y), lit(6)));
  is(op1(exp, op1(log, x)), x);
  is(op1(log, op1(exp, x)), x);
  is(op1(log, op1(sigmoid, x)), op1(neg, op1(softplus, op1(neg, x))));
  is(op1(log1p, op1(neg, op1(sigmoid, x))), op1(neg, op1(softplus, x)));
  is(op1(log, op2(sub, lit(1), op1(sigmoid, x))), op1(neg, op1(softplus, x)));
  is(op1(sigmoid, op2(sub, op1(log, p), op1(log1p, op1(neg, p)))), p);
  is(op1(sigmoid, op2(sub, op1(log, p), op1(log, op2(sub, lit(1), p)))), p);
  is(op2(mul, x, x), op1(square, x));
  is(op2(pow, x, lit(2)), op1(square, x));
  is(op2(pow, x, lit(1)), x);
  is(op2(pow, p, lit(.5)), op1(sqrt, p));
  is(op2(pow, p, lit(-1)), op1(recip, p));
  is(op2(mul, x, op1(recip, p)), op2(div, x, p));
  is(op1(abs, p), p);
  is(op1(floor, n), n);
  is(op2(max, p, lit(0)), p);
  is(graph_op3(g, OP_select, lit(1), x, y), x);
  is(graph_op3(g, OP_select, lit(0), x, y), y);
  is(op2(xlogy, lit(0), x), lit(0));
  ck_assert_uint_ne(op2(sub, x, x), lit(0));            /* NaN - NaN, inf - inf */
  ck_assert(node_of(g, op1(log, lit(-1)))->op == OP_log);      /* a NaN is left to the run */
}
END_TEST

/* Expressions built twice, as they are and simplified, have one value.  Not compared: what came through
 * infinity, or through a number so near to 0 that rounding decides its sign. */
static bool give_scalar(void *context, const Graph *of, Val v, double *out, uint64_t n) {
  (void)n;
  out[0] = ((double *)context)[node_of(of, v)->attr.leaf.id];
  return true;
}
START_TEST(rules_keep_the_value) {
  static const double consts[] = {0, 1, -1, 2, .5, 3, -.25};
  enum { POOL = 60 };
  Val plain[POOL], simple[POOL];
  double x[3];
  uint32_t n = 0, fewer = 0, compared = 0;
  bool wild[POOL] = {false};
  uint32_t from[POOL][3] = {{0}};
  srand((unsigned)_i);
  for (uint32_t i = 0; i < 3; i++)
    x[i] = (rand() % 4000 - 1500) / 1000. + .0123,
        plain[n] = simple[n] = graph_leaf(g, OP_param, name_of("x"), i, graph_shape(g, 0, 0, NULL),
                                          RANGE_REAL), n++;
  for (size_t i = 0; i < LEN(consts); i++) plain[n] = simple[n] = lit(consts[i]), n++;
  while (n < POOL) {
    OpKind op = (OpKind)(rand() % OP_COUNT);
    if (!elementwise_of(op) || op == OP_floor || op == OP_sign || op == OP_lt || op == OP_le || op == OP_eq ||
        op == OP_ne || op == OP_gamma_grad || op == OP_vonmises_grad) continue;
    if (rand() % 2) op = rand() % 2 ? OP_neg : rand() % 2 ? OP_mul : OP_add;
    Val p[3], q[3];
    for (uint32_t i = 0; i < (uint32_t)op_of(op)->nargs; i++) {
      uint32_t j = from[n][i] = op == OP_select && i == 0 ? 3 + (uint32_t)rand() % 2 : (uint32_t)rand() % n;
      p[i] = plain[j], q[i] = simple[j];
    }
    plain[n] = graph_add(g, op, (uint32_t)op_of(op)->nargs, p, attr_none(), NULL);
    simple[n] = graph_elementwise(g, op, q);
    fewer += plain[n] != simple[n];
    n++;
  }
  ck_assert_uint_gt(fewer, 0);
  EvalInput in = {.leaf = give_scalar, .context = x};
  EvalResult a, c;
  char error[256];
  ck_assert(graph_eval(arena, g, plain, n, &in, &a, error) &&
            graph_eval(arena, g, simple, n, &in, &c, error));
  for (uint32_t i = 0; i < n; i++) {
    double want = a.value[plain[i]][0], have = c.value[simple[i]][0];
    wild[i] = !isfinite(want) || fabs(want) > 1e9 || (want != 0 && fabs(want) < 1e-9) || wild[from[i][0]] ||
        wild[from[i][1]] || wild[from[i][2]];
    if (wild[i]) continue;
    compared++;
    ck_assert_msg(fabs(want - have) <= 1e-6 * (1 + fabs(want)),
                  "seed %d, value %u (%s): %.17g, simplified %.17g", _i, i, op_name(node_of(g, plain[i])->op),
                      want, have);
  }
  ck_assert_uint_gt(compared, 10);
}
END_TEST

START_TEST(constants_are_scalars) {
  Val x = leaf("x", 0, 4, 0, RANGE_REAL), s = scalar("s");
  const Shape *four = shape_of(g, x);
  Val ones = graph_spread(g, lit(1), four);
  is(op2(mul, x, ones), x);
  is(op2(mul, s, ones), graph_spread(g, s, four));
  is(op2(mul, x, lit(0)), graph_spread(g, lit(0), four));
  is(op2(mul, x, graph_spread(g, s, four)), op2(mul, x, s));
  is(op1(exp, graph_spread(g, s, four)), graph_spread(g, op1(exp, s), four));
  is(graph_sum_all(g, graph_spread(g, lit(3), four)), lit(12));
  is(graph_sum_all(g, graph_spread(g, s, four)), op2(mul, s, lit(4)));
}
END_TEST

START_TEST(reductions_over_what_is_not_there) {
  Val s = scalar("s"), x = leaf("x", 1, 0, 0, RANGE_REAL), rows = graph_count(g, image, false);
  AxisSet over = 1;
  is(graph_reduce(g, REDUCE_SUM, s, over, 0), op2(mul, s, rows));
  is(graph_reduce(g, REDUCE_MAX, s, over, 0), s);
  is(graph_reduce(g, REDUCE_LOGSUMEXP, s, over, 0), op2(add, s, op1(log, rows)));
  is(graph_reduce(g, REDUCE_SUM, s, (AxisSet)1 << index3, 0), op2(mul, s, lit(3)));
  is(graph_reduce(g, REDUCE_SUM, op1(neg, x), over, 0), op1(neg, graph_reduce(g, REDUCE_SUM, x, over, 0)));
  is(graph_reduce(g, REDUCE_SUM, op2(mul, x, lit(.5)), over, 0),
     op2(mul, graph_reduce(g, REDUCE_SUM, x, over, 0), lit(.5)));
}
END_TEST

START_TEST(views_of_views) {
  Val a = leaf("a", 0, 3, 4, RANGE_REAL), s = scalar("s"), t = scalar("t"), dims[3];
  is(graph_transpose(g, graph_transpose(g, a)), a);
  is(graph_to_dim(g, graph_to_axis(g, a, 0, index3), index3, 0), a);
  is(graph_to_dim(g, graph_to_axis(g, a, 0, index3), index3, 1), graph_transpose(g, a));
  is(graph_reduce(g, REDUCE_SUM, graph_to_axis(g, a, 0, index3), (AxisSet)1 << index3, 0),
     graph_reduce(g, REDUCE_SUM, a, 0, 1));
  is(graph_slice(g, graph_slice(g, a, 1, 1, 3), 1, 1, 2), graph_slice(g, a, 1, 2, 2));
  is(graph_slice(g, graph_pad(g, a, 0, 2, 9), 0, 2, 3), a);
  is(graph_reshape(g, graph_reshape(g, a, 1, (uint32_t[]){12}), 2, (uint32_t[]){3, 4}), a);
  for (int i = 0; i < 3; i++) dims[i] = graph_expand(g, i == 1 ? t : s, 1, 1, (uint32_t[]){1});
  Val v = graph_concat(g, dims, 3, 0);
  is(graph_index(g, v, 0, 1), t);
  is(graph_gather(g, a, lit(2), 0, NO_VAL), graph_index(g, a, 0, 2));
  is(graph_gather(g, a, graph_iota_axis(g, index3), 0, NO_VAL), graph_to_axis(g, a, 0, index3));
  is(graph_index(g, graph_iota(g, 7), 0, 4), lit(4));
  is(graph_transpose(g, graph_matmul(g, a, graph_transpose(g, a))),
     graph_dot(g, graph_transpose(g, a), a, 0, 1, (uint8_t[]){0}, (uint8_t[]){1}));
}
END_TEST

/* sum over rows of an outer product is one contraction */
START_TEST(sums_of_products_contract) {
  Val x = leaf("x", 1, 4, 0, RANGE_REAL), y = leaf("y", 1, 3, 0, RANGE_REAL);
  Val v = graph_reduce(g, REDUCE_SUM, graph_dot(g, x, y, 0, 0, NULL, NULL), 1, 0);
  ck_assert(node_of(g, v)->op == OP_dot);
  ck_assert_uint_eq(node_of(g, v)->attr.dot.axes, 1);
  Val w = leaf("w", 0, 4, 3, RANGE_REAL),
      loss = graph_reduce(g, REDUCE_SUM, graph_sum_all(g, op1(tanh, graph_matmul(g, x, w))), 1, 0), dw;
  graph_grad(g, loss, &w, 1, &dw);
  ck_assert(node_of(g, dw)->op == OP_dot);
  ck_assert_ptr_eq(shape_of(g, dw), shape_of(g, w));
}
END_TEST

START_TEST(ranges_are_inferred) {
  Val x = leaf("x", 1, 4, 0, RANGE_REAL), c = leaf("c", 0, 0, 0, RANGE_COUNT);
  const Range *r = &node_of(g, op1(softplus, x))->range;
  ck_assert(range_within(*r, RANGE_POSITIVE));
  ck_assert(range_within(node_of(g, op1(exp, x))->range, RANGE_POSITIVE));
  ck_assert(range_within(node_of(g, op1(square, x))->range, RANGE_NONNEG));
  ck_assert(!range_within(node_of(g, op1(square, x))->range, RANGE_POSITIVE));
  ck_assert(range_within(node_of(g, op2(add, op1(square, x), lit(1)))->range, RANGE_POSITIVE));
  ck_assert(range_within(node_of(g, graph_sum_all(g, op1(exp, x)))->range, RANGE_POSITIVE));
  Val e = op1(exp, x);
  ck_assert(range_within(node_of(g,
                                 graph_dot(g, e, op1(exp, leaf("w", 0, 4, 2, RANGE_REAL)), 0, 1,
                                           (uint8_t[]){0}, (uint8_t[]){0}))->range, RANGE_POSITIVE));
  ck_assert(range_within(node_of(g, op1(sigmoid, x))->range, RANGE_UNIT));
  ck_assert(range_within(node_of(g, op2(div, e, op2(add, e, lit(1))))->range, RANGE_POSITIVE));
  ck_assert(range_within(node_of(g, op2(add, c, lit(1)))->range, RANGE_COUNT));
  ck_assert(!range_within(node_of(g, op2(mul, c, lit(.5)))->range, RANGE_COUNT));
  ck_assert(!range_within(node_of(g, x)->range, RANGE_POSITIVE));
  ck_assert(range_within(node_of(g, graph_assume(g, x, RANGE_POSITIVE))->range, RANGE_POSITIVE));
}
END_TEST

/* ---- whole graphs */
static char *text_of(const Graph *of, Val root) {
  char *text;
  size_t size;
  Name name = name_of("loss");
  FILE *out = open_memstream(&text, &size);
  graph_print(of, &root, &name, 1, out);
  fclose(out);
  return text;
}

static double value_of(const RandomGraph *r, const Graph *of, Val root, RandomShift *shift) {
  EvalInput in = random_graph_input(r, shift);
  EvalResult out;
  char error[256] = "";
  Arena *scratch = arena_new();
  ck_assert_msg(graph_eval(scratch, of, &root, 1, &in, &out, error), "%s", error);
  uint64_t element;
  Val bad = graph_first_nonfinite(of, &out, &root, 1, &element);
  ck_assert_msg(bad == NO_VAL, "seed %llu: %%%u (%s) is not finite", (unsigned long long)r->seed, bad,
                bad == NO_VAL ? "" : op_name(node_of(of, bad)->op));
  double v = out.value[root][0];
  arena_free(scratch);
  return v;
}

START_TEST(text_reads_back_as_it_was) {
  RandomGraph r = random_graph(arena, (uint64_t)_i, 0);
  ck_assert(graph_verify(r.g, stderr));
  char *text = text_of(r.g, r.root), error[256];
  Graph *back = graph_new(arena);
  Val root;
  Name name;
  uint32_t n;
  ck_assert_msg(graph_read(back, text, strlen(text), &root, &name, 1, &n, error), "%s\n%s", error, text);
  ck_assert_uint_eq(n, 1);
  ck_assert_str_eq(name, "loss");
  ck_assert(graph_verify(back, stderr));
  char *again = text_of(back, root);
  ck_assert_str_eq(text, again);
  RandomShift a = {0}, b = {0};
  ck_assert_double_eq(value_of(&r, r.g, r.root, &a), value_of(&r, back, root, &b));
  free(text), free(again);
}
END_TEST

START_TEST(text_that_is_wrong_is_refused) {
  static const char *const wrong[] = {
    "", "graph 2\n", "graph 1\n%1 = const 1 scalar\n", "graph 1\n%0 = exp %0 scalar\n",
        "graph 1\n%0 = frob scalar\n",
    "graph 1\n%0 = const 1 [3]\n", "graph 1\n%0 = const scalar\n", "graph 1\n%0 = const 1 scalar junk\n",
        "graph 1\nroot \"a\" %0\n",
    "graph 1\n%0 = param \"p 0 scalar\n", "graph 1\n%0 = count of image scalar\n",
        "graph 1\naxis 1 plate a\n", "graph 1\naxis 0 plane a\n",
    "graph 1\n%0 = param \"p\" 0 [2]\n%1 = param \"q\" 1 [3]\n%2 = add %0 %1 [2]\n",
        "graph 1\n%0 = param \"p\" 0 [2]\n%1 = sum %0 over dim 1 [2]\n",
    "graph 1\n%0 = random normal\n", "graph 1\n%0 = normal draw 0 scalar\n"};
  for (size_t i = 0; i < LEN(wrong); i++) {
    Val root[4];
    uint32_t n;
    char error[256] = "";
    ck_assert_msg(!graph_read(graph_new(arena), wrong[i], strlen(wrong[i]), root, NULL, 4, &n, error),
                  "accepted: %s", wrong[i]);
    ck_assert_msg(error[0], "no message for: %s", wrong[i]);
  }
}
END_TEST

START_TEST(names_survive_text) {
  Val v = graph_leaf(g, OP_param, name_of("a \"quoted\\name\" of μ\n"), 7, graph_shape(g, 0, 0, NULL),
                     range_make(0, .1, true, false, false));
  char *text = text_of(g, v), error[256];
  Graph *back = graph_new(arena);
  Val root;
  uint32_t n;
  ck_assert_msg(graph_read(back, text, strlen(text), &root, NULL, 1, &n, error), "%s\n%s", error, text);
  ck_assert_ptr_eq(node_of(back, root)->attr.leaf.name, node_of(g, v)->attr.leaf.name);
  ck_assert(node_of(back, root)->range.hi == .1 && node_of(back, root)->range.lo_open);
  free(text);
}
END_TEST

/* Values at the rows of another axis over the same rows: back and forth is nothing, and so is the adjoint. */
START_TEST(rows_have_two_axes) {
  uint32_t m = graph_axis(g, (Axis){.name = name_of("image.m"), .kind = AXIS_PLATE, .parent = -1, .again = image + 1});
  Val x = leaf("x", 1, 0, 0, RANGE_UNIT), at = graph_rows(g, x, image, m), w = graph_leaf(g, OP_param, name_of("w"), 9, shape_of(g, x), RANGE_REAL);
  ck_assert_uint_eq(axis_rows(g, m), image);
  ck_assert(shape_of(g, at)->axes == (AxisSet)1 << m);
  is(graph_rows(g, at, m, image), x);
  is(graph_rows(g, lit(3), image, m), lit(3));
  Val pairs = graph_op2(g, OP_mul, graph_rows(g, w, image, m), graph_op1(g, OP_exp, x)), sum, root, grad;
  sum = graph_reduce(g, REDUCE_SUM, pairs, (AxisSet)1 << m | (AxisSet)1 << image, 0);
  graph_grad(g, sum, &w, 1, &grad);
  is(grad, graph_expand_axes(g, graph_reduce(g, REDUCE_SUM, graph_op1(g, OP_exp, x), (AxisSet)1 << image, 0), (AxisSet)1 << image));
  char *text = text_of(g, pairs), error[256];
  Graph *back = graph_new(arena);
  uint32_t n;
  ck_assert_msg(graph_read(back, text, strlen(text), &root, NULL, 1, &n, error), "%s", error);
  ck_assert_uint_eq(back->axis.at[m].again, image + 1);
  char *again = text_of(back, root);
  ck_assert_str_eq(text, again);
  free(text), free(again);
}
END_TEST

/* A mean over rows is only marked where it is written, and becomes a sum and a count where it is copied to. */
START_TEST(a_mean_over_rows_is_resolved_by_copying) {
  Val x = leaf("x", 1, 0, 0, RANGE_UNIT), mean = graph_reduce_rows(g, REDUCE_SUM, true, x), root, copy;
  ck_assert(range_within(node_of(g, mean)->range, RANGE_UNIT));
  char *text = text_of(g, mean), error[256];
  Graph *back = graph_new(arena), *to = graph_new(arena);
  uint32_t n;
  ck_assert_msg(graph_read(back, text, strlen(text), &root, NULL, 1, &n, error), "%s", error);
  char *again = text_of(back, root);
  ck_assert_str_eq(text, again);
  graph_copy(to, back, &root, 1, &copy, NULL, NULL);
  ck_assert(node_of(to, copy)->op == OP_div);
  ck_assert(node_of(to, arg_of(to, copy, 1))->op == OP_count);
  free(text), free(again);
}
END_TEST

START_TEST(a_copy_has_the_same_value) {
  RandomGraph r = random_graph(arena, (uint64_t)_i, 0);
  Graph *to = graph_new(arena);
  Val root;
  graph_copy(to, r.g, &r.root, 1, &root, NULL, NULL);
  ck_assert(graph_verify(to, stderr));
  RandomShift a = {0}, b = {0};
  ck_assert_double_eq_tol(value_of(&r, r.g, r.root, &a), value_of(&r, to, root, &b), 1e-9);
}
END_TEST

/* Every parameter becomes a value with particles as well, equal for each of them: what the objective sums
 * then counts more often, so means over the new axis are compared. */
typedef struct { const RandomGraph *r; uint32_t particle; } Widen;
static Val widen(void *context, Graph *to, const Graph *from, Val v) {
  const Widen *w = context;
  const Node *n = node_of(from, v);
  if (n->op != OP_param) return NO_VAL;
  Val copy = graph_leaf(to, OP_param, n->attr.leaf.name, n->attr.leaf.id,
                        graph_shape(to, n->shape->axes, n->shape->rank, n->shape->dim), n->range);
  Val many = graph_op2(to, OP_mul, graph_iota_axis(to, w->particle), graph_const(to, 1e-30));
  return graph_op2(to, OP_add, copy, many);
}

START_TEST(a_copy_may_have_more_axes) {
  RandomGraph r = random_graph(arena, (uint64_t)_i, GRAPH_SMOOTH);
  Graph *to = graph_new(arena);
  /* no draws along the new axis: they would differ between its elements */
  for (Val v = 0; v < r.g->node.n; v++) if (op_is_random(node_of(r.g, v)->op)) return;
  Widen w = {&r, 0};
  for (uint32_t i = 0; i < r.g->axis.n; i++) graph_axis(to, r.g->axis.at[i]);
  w.particle = graph_axis(to, (Axis){.name = name_of("new"), .kind = AXIS_INDEX, .size = 2, .parent = -1});
  Val root;
  graph_copy(to, r.g, &r.root, 1, &root, widen, &w);
  ck_assert(graph_verify(to, stderr));
  Val mean = graph_op2(to, OP_mul, graph_reduce(to, REDUCE_SUM, root, (AxisSet)1 << w.particle, 0),
                       graph_const(to, .5));
  RandomShift a = {0}, b = {0};
  ck_assert_double_eq_tol(value_of(&r, r.g, r.root, &a), value_of(&r, to, mean, &b), 1e-9);
}
END_TEST

/* ---- gradients of whole graphs, against differences */
static void check_gradient(const RandomGraph *r, Val root, double tolerance) {
  Val d[RANDOM_LEAVES], culprit;
  ck_assert_ptr_null(graph_no_gradient(r->g, root, r->param, r->nparam, &culprit));
  graph_grad(r->g, root, r->param, r->nparam, d);
  ck_assert(graph_verify(r->g, stderr));
  for (uint32_t i = 0; i < r->nparam; i++) {
    Val p = r->param[i];
    if (d[i] != NO_VAL) ck_assert_ptr_eq(shape_of(r->g, d[i]), shape_of(r->g, p));
    RandomShift at = {.leaf = p};
    EvalInput in = random_graph_input(r, &at);
    EvalResult out;
    char error[256];
    Val roots[] = {d[i] == NO_VAL ? p : d[i], p};
    ck_assert_msg(graph_eval(arena, r->g, roots, 2, &in, &out, error), "%s", error);
    for (uint64_t e = 0; e < out.size[p]; e += 1 + e % 3) {
      double analytic = d[i] == NO_VAL ? 0 : out.value[d[i]][e], h = 1e-5;
      at.element = e;
      at.by = h;
      double up = value_of(r, r->g, root, &at);
      at.by = -h;
      double down = value_of(r, r->g, root, &at), numeric = (up - down) / (2 * h);
      ck_assert_msg(fabs(analytic - numeric) <= tolerance * (1 + fabs(numeric)),
                    "seed %llu, leaf %u[%llu]: gradient %.10g, differences %.10g",
                    (unsigned long long)r->seed, node_of(r->g, p)->attr.leaf.id, (unsigned long long)e,
                        analytic, numeric);
    }
  }
}

START_TEST(gradients_agree_with_differences) {
  RandomGraph r = random_graph(arena, (uint64_t)_i, GRAPH_SMOOTH);
  check_gradient(&r, r.root, 1e-5);
}
END_TEST

START_TEST(second_derivatives_agree_with_differences) {
  RandomGraph r = random_graph(arena, (uint64_t)_i, GRAPH_SMOOTH | GRAPH_TWICE);
  Val d[RANDOM_LEAVES], sum = graph_const(r.g, 0);
  graph_grad(r.g, r.root, r.param, r.nparam, d);
  for (uint32_t i = 0; i < r.nparam; i++) {
    if (d[i] == NO_VAL) continue;
    Val all = graph_sum_all(r.g, graph_op1(r.g, OP_square, d[i]));
    sum = graph_op2(r.g, OP_add, sum, graph_reduce(r.g, REDUCE_SUM, all, axes_of(r.g, all), 0));
  }
  check_gradient(&r, sum, 1e-4);
}
END_TEST

START_TEST(gradient_nodes_have_names_and_places) {
  g->span = (Span){10, 20};
  Val w = scalar("w"), h = graph_label(g, op1(tanh, op2(mul, w, lit(3))), name_of("p.h"), NO_SPAN), dw;
  Val loss = op1(square, op2(sub, h, scalar("t")));
  g->span = NO_SPAN;
  graph_grad(g, loss, &w, 1, &dw);
  ck_assert_str_eq(node_of(g, dw)->label, "grad of w");
  ck_assert_uint_eq(node_of(g, dw)->span.at, 10);
  bool found = false;
  for (Val v = 0; v < g->node.n; v++)
    found |= node_of(g, v)->label && !strcmp(node_of(g, v)->label, "grad of p.h");
  ck_assert(found);
}
END_TEST

START_TEST(what_has_no_gradient_says_so) {
  Val a = leaf("a", 0, 0, 0, RANGE_POSITIVE), culprit, da;
  const Shape *s = shape_of(g, a);
  uint32_t draw = graph_draw(g, (Draw){.name = name_of("z")});
  Val count = graph_random(g, RANDOM_POISSON, draw, s, a), loss = op1(square, count);
  ck_assert_ptr_nonnull(strstr(graph_no_gradient(g, loss, &a, 1, &culprit), "Poisson"));
  ck_assert_uint_eq(culprit, count);
  ck_assert_ptr_null(graph_no_gradient(g, op2(add, a, graph_stop(g, loss)), &a, 1, &culprit));
  Val z = graph_random(g, RANDOM_GAMMA, draw, s, a);
  ck_assert_ptr_null(graph_no_gradient(g, op1(square, z), &a, 1, &culprit));
  graph_grad(g, op1(square, z), &a, 1, &da);
  ck_assert_ptr_nonnull(graph_no_gradient(g, da, &a, 1, &culprit));
  ck_assert(node_of(g, culprit)->op == OP_gamma_grad);
  graph_grad(g, graph_stop(g, op1(exp, a)), &a, 1, &da);
  ck_assert_uint_eq(da, NO_VAL);
}
END_TEST

START_TEST(adjoints_have_the_shape_of_the_leaf) {
  Val w = leaf("w", 1, 4, 0, RANGE_REAL), dw;           /* one a row */
  graph_grad(g, graph_reduce(g, REDUCE_SUM, graph_sum_all(g, w), 1, 0), &w, 1, &dw);
  ck_assert_ptr_eq(shape_of(g, dw), shape_of(g, w));
}
END_TEST

START_TEST(the_first_bad_value_is_found) {
  RandomGraph r = random_graph(arena, 1, 0);
  Val p = r.param[1], bad = graph_op1(r.g, OP_log, graph_op2(r.g, OP_add, p, graph_const(r.g, -1.5)));
  Val root = graph_sum_all(r.g, graph_op1(r.g, OP_tanh, bad));
  RandomShift shift = {0};
  EvalInput in = random_graph_input(&r, &shift);
  EvalResult out;
  char error[256];
  uint64_t element;
  ck_assert(graph_eval(arena, r.g, &root, 1, &in, &out, error));
  ck_assert_uint_eq(graph_first_nonfinite(r.g, &out, &root, 1, &element), bad);
  ck_assert_uint_eq(element, 0);
}
END_TEST

/* A value rounded to float is within rounding of the one in double. */
START_TEST(single_precision_is_near) {
  RandomGraph r = random_graph(arena, (uint64_t)_i, GRAPH_SMOOTH | GRAPH_NO_DRAWS);
  RandomShift shift = {0};
  EvalInput in = random_graph_input(&r, &shift);
  EvalResult out;
  char error[256];
  in.single = true;
  ck_assert_msg(graph_eval(arena, r.g, &r.root, 1, &in, &out, error), "%s", error);
  double wide = value_of(&r, r.g, r.root, &shift), narrow = out.value[r.root][0];
  ck_assert_double_eq(narrow, (double)(float)narrow);
  ck_assert_double_eq_tol(wide, narrow, 1e-3 * (1 + fabs(wide)));
}
END_TEST

int main(void) {
  Suite *s = suite_create("graph");
  TCase *c = tcase_create("nodes");
  tcase_add_checked_fixture(c, start, finish);
  tcase_add_test(c, equal_expressions_are_one_value);
  tcase_add_test(c, shapes_join_by_name);
  tcase_add_test(c, axes_and_draws_are_shared_by_name);
  tcase_add_test(c, elementwise_rules);
  tcase_add_test(c, constants_are_scalars);
  tcase_add_test(c, reductions_over_what_is_not_there);
  tcase_add_test(c, views_of_views);
  tcase_add_test(c, sums_of_products_contract);
  tcase_add_test(c, ranges_are_inferred);
  tcase_add_test(c, text_that_is_wrong_is_refused);
  tcase_add_test(c, names_survive_text);
  tcase_add_test(c, rows_have_two_axes);
  tcase_add_test(c, a_mean_over_rows_is_resolved_by_copying);
  tcase_add_test(c, gradient_nodes_have_names_and_places);
  tcase_add_test(c, what_has_no_gradient_says_so);
  tcase_add_test(c, adjoints_have_the_shape_of_the_leaf);
  tcase_add_test(c, the_first_bad_value_is_found);
  suite_add_tcase(s, c);
  c = tcase_create("random graphs");
  tcase_set_timeout(c, 60);
  tcase_add_checked_fixture(c, start, finish);
  tcase_add_loop_test(c, rules_keep_the_value, 0, SEEDS);
  tcase_add_loop_test(c, text_reads_back_as_it_was, 0, SEEDS);
  tcase_add_loop_test(c, a_copy_has_the_same_value, 0, SEEDS);
  tcase_add_loop_test(c, a_copy_may_have_more_axes, 0, SEEDS);
  tcase_add_loop_test(c, gradients_agree_with_differences, 0, SEEDS);
  tcase_add_loop_test(c, second_derivatives_agree_with_differences, 0, SEEDS / 3);
  tcase_add_loop_test(c, single_precision_is_near, 0, SEEDS);
  suite_add_tcase(s, c);
  SRunner *run = srunner_create(s);
  srunner_set_fork_status(run, getenv("CK_FORK") ? CK_FORK : CK_NOFORK);
  srunner_run_all(run, CK_NORMAL);
  int failed = srunner_ntests_failed(run);
  srunner_free(run);
  return failed != 0;
}
