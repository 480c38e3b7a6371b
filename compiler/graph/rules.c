/* Simplification of elementwise values as they are built: one rule a row of the table below.
 *
 * In:  an op and its arguments.
 * Out: a simpler value, or NO_VAL.  Commutative arguments are put in order first: constants second, then by
 * number.
 *
 * Rules hold in real arithmetic on the domain of the op.  Three points are given up knowingly: 0 * x is 0
 * also where x is infinite or NaN, exp(log x) is x also where x < 0, and 0 / x is 0 also where x is 0.
 * Nothing else that is NaN becomes a number, and x - x is left alone. */
#include "../ops/op.h"
#include <math.h>

#define op1(op, x)     graph_op1(g, OP_##op, x)
#define op2(op, x, y)  graph_op2(g, OP_##op, x, y)
#define lit(x)         graph_const(g, x)

/* v is op(x) or op(x, y): gives its arguments */
static bool is1(const Graph *g, Val v, OpKind op, Val *x) {
  if (node_of(g, v)->op != op) return false;
  *x = arg_of(g, v, 0);
  return true;
}
static bool is2(const Graph *g, Val v, OpKind op, Val *x, Val *y) {
  if (node_of(g, v)->op != op) return false;
  *x = arg_of(g, v, 0), *y = arg_of(g, v, 1);
  return true;
}
static bool is_number(const Graph *g, Val v, double *x) { return graph_is_const(g, v, x); }
static bool is_at_least_0(const Graph *g, Val v) { return node_of(g, v)->range.lo >= 0; }

/* v is x + k, x * k */
static bool is_with(const Graph *g, Val v, OpKind op, Val *x, double *k) {
  Val c;
  return is2(g, v, op, x, &c) && is_number(g, c, k);
}

#define RULE(name) static Val name(Graph *g, Val a, Val b, Val c)
#define ARGS       Val x, y; double k, m; (void)g, (void)a, (void)b, (void)c, (void)x, (void)y, (void)k, (void)m
#define WHEN(cond, result) { ARGS; return (cond) ? (result) : NO_VAL; }

/* ---- neg, recip, square, abs, floor */
RULE(neg_neg)        WHEN(is1(g, a, OP_neg, &x), x)
RULE(neg_sub)        WHEN(is2(g, a, OP_sub, &x, &y), op2(sub, y, x))
RULE(neg_scaled)     WHEN(is_with(g, a, OP_mul, &x, &k), op2(mul, x, lit(-k)))
RULE(recip_recip)    WHEN(is1(g, a, OP_recip, &x), x)
RULE(recip_exp)      WHEN(is1(g, a, OP_exp, &x), op1(exp, op1(neg, x)))
RULE(square_neg)     WHEN(is1(g, a, OP_neg, &x) || is1(g, a, OP_abs, &x), op1(square, x))
RULE(square_sqrt)    WHEN(is1(g, a, OP_sqrt, &x), x)
RULE(abs_neg)        WHEN(is1(g, a, OP_neg, &x), op1(abs, x))
RULE(abs_same)       WHEN(is_at_least_0(g, a), a)
RULE(floor_same)     WHEN(node_of(g, a)->range.whole, a)
RULE(sqrt_square)    WHEN(is1(g, a, OP_square, &x), op1(abs, x))

/* ---- exp, log and their like */
RULE(exp_log)        WHEN(is1(g, a, OP_log, &x), x)
RULE(exp_nsoftplus)  WHEN(is1(g, a, OP_neg, &x) && is1(g, x, OP_softplus, &y), op1(sigmoid, op1(neg, y)))
RULE(expm1_log1p)    WHEN(is1(g, a, OP_log1p, &x), x)
RULE(log_exp)        WHEN(is1(g, a, OP_exp, &x), x)
RULE(log_recip)      WHEN(is1(g, a, OP_recip, &x), op1(neg, op1(log, x)))
RULE(log_sigmoid)    WHEN(is1(g, a, OP_sigmoid, &x), op1(neg, op1(softplus, op1(neg, x))))
RULE(log_1_sigmoid)  WHEN(is2(g, a, OP_sub, &x, &y) && graph_is(g, x, 1) && is1(g, y, OP_sigmoid, &x), op1(neg, op1(softplus, x)))
RULE(log_1_minus)    WHEN(is2(g, a, OP_sub, &x, &y) && graph_is(g, x, 1), op1(log1p, op1(neg, y)))
RULE(log_1_plus)     WHEN(is_with(g, a, OP_add, &x, &k) && k == 1, op1(log1p, x))
RULE(log1p_nsigmoid) WHEN(is1(g, a, OP_neg, &x) && is1(g, x, OP_sigmoid, &y), op1(neg, op1(softplus, y)))
RULE(log1p_expm1)    WHEN(is1(g, a, OP_expm1, &x), x)
RULE(log1p_exp)      WHEN(is1(g, a, OP_exp, &x), op1(softplus, x))
/* sigmoid(log p - log1p(-p)), in any of the forms the rules above and below leave it in */
RULE(sigmoid_logit)  WHEN(is2(g, a, OP_sub, &x, &y) && is1(g, x, OP_log, &x) && is1(g, y, OP_log1p, &y) && y == op1(neg, x), x)

/* ---- add, sub */
RULE(add_0)          WHEN(graph_is(g, b, 0), a)
RULE(add_self)       WHEN(a == b, op2(mul, a, lit(2)))
RULE(add_neg)        WHEN(is1(g, b, OP_neg, &x), op2(sub, a, x))
RULE(neg_add)        WHEN(is1(g, a, OP_neg, &x), op2(sub, b, x))
RULE(add_add)        WHEN(is_number(g, b, &k) && is_with(g, a, OP_add, &x, &m), op2(add, x, lit(k + m)))
RULE(add_sub)        WHEN(is_number(g, b, &k) && is2(g, a, OP_sub, &x, &y) && is_number(g, x, &m), op2(sub, lit(k + m), y))
RULE(sub_const)      WHEN(is_number(g, b, &k), op2(add, a, lit(-k)))
RULE(sub_from_0)     WHEN(graph_is(g, a, 0), op1(neg, b))
RULE(sub_neg)        WHEN(is1(g, b, OP_neg, &x), op2(add, a, x))
RULE(sub_from)       WHEN(is_number(g, a, &k) && is_with(g, b, OP_add, &x, &m), op2(sub, lit(k - m), x))
RULE(sub_from_sub)   WHEN(is_number(g, a, &k) && is2(g, b, OP_sub, &x, &y) && is_number(g, x, &m), op2(add, y, lit(k - m)))

/* ---- mul, div */
RULE(mul_0)          WHEN(graph_is(g, b, 0), lit(0))
RULE(mul_1)          WHEN(graph_is(g, b, 1), a)
RULE(mul_minus_1)    WHEN(graph_is(g, b, -1), op1(neg, a))
RULE(mul_mul)        WHEN(is_number(g, b, &k) && is_with(g, a, OP_mul, &x, &m), op2(mul, x, lit(k * m)))
RULE(mul_neg_const)  WHEN(is_number(g, b, &k) && is1(g, a, OP_neg, &x), op2(mul, x, lit(-k)))
RULE(mul_self)       WHEN(a == b, op1(square, a))
RULE(mul_neg)        WHEN(is1(g, b, OP_neg, &x), op1(neg, op2(mul, a, x)))
RULE(neg_mul)        WHEN(is1(g, a, OP_neg, &x), op1(neg, op2(mul, x, b)))
RULE(mul_recip)      WHEN(is1(g, b, OP_recip, &x), op2(div, a, x))
RULE(recip_mul)      WHEN(is1(g, a, OP_recip, &x), op2(div, b, x))
/* (x k) y = (x y) k: constants meet on the outside; not where x y would be a larger value than x k */
RULE(scaled_mul)     WHEN(is_with(g, a, OP_mul, &x, &k) && shape_of(g, a) == shape_of(g, b), op2(mul, op2(mul, x, b), lit(k)))
RULE(mul_scaled)     WHEN(is_with(g, b, OP_mul, &x, &k) && shape_of(g, a) == shape_of(g, b), op2(mul, op2(mul, a, x), lit(k)))
RULE(div_1)          WHEN(graph_is(g, b, 1), a)
RULE(div_const)      WHEN(is_number(g, b, &k) && isnormal(k) && isnormal(1 / k), op2(mul, a, lit(1 / k)))
RULE(div_of_0)       WHEN(graph_is(g, a, 0), lit(0))
RULE(div_of_1)       WHEN(graph_is(g, a, 1), op1(recip, b))
RULE(div_neg)        WHEN(is1(g, b, OP_neg, &x), op1(neg, op2(div, a, x)))
RULE(neg_div)        WHEN(is1(g, a, OP_neg, &x), op1(neg, op2(div, x, b)))
RULE(div_recip)      WHEN(is1(g, b, OP_recip, &x), op2(mul, a, x))

/* ---- max, min, pow, xlogy, select */
RULE(max_same)       WHEN(a == b || (is_number(g, b, &k) && node_of(g, a)->range.lo >= k), a)
RULE(min_same)       WHEN(a == b || (is_number(g, b, &k) && node_of(g, a)->range.hi <= k), a)
RULE(pow_0)          WHEN(graph_is(g, b, 0) || graph_is(g, a, 1), lit(1))
RULE(pow_1)          WHEN(graph_is(g, b, 1), a)
RULE(pow_2)          WHEN(graph_is(g, b, 2), op1(square, a))
RULE(pow_half)       WHEN(graph_is(g, b, .5), op1(sqrt, a))
RULE(pow_minus_1)    WHEN(graph_is(g, b, -1), op1(recip, a))
RULE(xlogy_0)        WHEN(graph_is(g, a, 0) || graph_is(g, b, 1), lit(0))
RULE(xlogy_const)    WHEN(is_number(g, a, &k) && k != 0, op2(mul, op1(log, b), lit(k)))
RULE(select_const)   WHEN(is_number(g, a, &k), k != 0 ? b : c)
RULE(select_same)    WHEN(b == c, b)

static const struct { OpKind op; const char *says; Val (*rule)(Graph *g, Val a, Val b, Val c); } rules[] = {
  {OP_neg,     "-(-x) = x",                              neg_neg},
  {OP_neg,     "-(x - y) = y - x",                       neg_sub},
  {OP_neg,     "-(x k) = x (-k)",                        neg_scaled},
  {OP_recip,   "1 / (1 / x) = x",                        recip_recip},
  {OP_recip,   "1 / exp(x) = exp(-x)",                   recip_exp},
  {OP_square,  "(-x)^2 = |x|^2 = x^2",                   square_neg},
  {OP_square,  "sqrt(x)^2 = x",                          square_sqrt},
  {OP_abs,     "|-x| = |x|",                             abs_neg},
  {OP_abs,     "|x| = x, x >= 0",                        abs_same},
  {OP_floor,   "floor(x) = x, x whole",                  floor_same},
  {OP_sqrt,    "sqrt(x^2) = |x|",                        sqrt_square},
  {OP_exp,     "exp(log x) = x",                         exp_log},
  {OP_exp,     "exp(-softplus(x)) = sigmoid(-x)",        exp_nsoftplus},
  {OP_expm1,   "expm1(log1p x) = x",                     expm1_log1p},
  {OP_log,     "log(exp x) = x",                         log_exp},
  {OP_log,     "log(1 / x) = -log x",                    log_recip},
  {OP_log,     "log(sigmoid x) = -softplus(-x)",         log_sigmoid},
  {OP_log,     "log(1 - sigmoid x) = -softplus(x)",      log_1_sigmoid},
  {OP_log,     "log(1 - x) = log1p(-x)",                 log_1_minus},
  {OP_log,     "log(x + 1) = log1p(x)",                  log_1_plus},
  {OP_log1p,   "log1p(-sigmoid x) = -softplus(x)",       log1p_nsigmoid},
  {OP_log1p,   "log1p(expm1 x) = x",                     log1p_expm1},
  {OP_log1p,   "log1p(exp x) = softplus(x)",             log1p_exp},
  {OP_sigmoid, "sigmoid(log p - log1p(-p)) = p",         sigmoid_logit},
  {OP_add,     "x + 0 = x",                              add_0},
  {OP_add,     "x + x = x 2",                            add_self},
  {OP_add,     "x + (-y) = x - y",                       add_neg},
  {OP_add,     "(-x) + y = y - x",                       neg_add},
  {OP_add,     "(x + k) + m = x + (k + m)",              add_add},
  {OP_add,     "(k - x) + m = (k + m) - x",              add_sub},
  {OP_sub,     "x - k = x + (-k)",                       sub_const},
  {OP_sub,     "0 - x = -x",                             sub_from_0},
  {OP_sub,     "x - (-y) = x + y",                       sub_neg},
  {OP_sub,     "k - (x + m) = (k - m) - x",              sub_from},
  {OP_sub,     "k - (m - x) = x + (k - m)",              sub_from_sub},
  {OP_mul,     "x 0 = 0",                                mul_0},
  {OP_mul,     "x 1 = x",                                mul_1},
  {OP_mul,     "x (-1) = -x",                            mul_minus_1},
  {OP_mul,     "(x k) m = x (k m)",                      mul_mul},
  {OP_mul,     "(-x) k = x (-k)",                        mul_neg_const},
  {OP_mul,     "x x = x^2",                              mul_self},
  {OP_mul,     "x (-y) = -(x y)",                        mul_neg},
  {OP_mul,     "(-x) y = -(x y)",                        neg_mul},
  {OP_mul,     "x (1 / y) = x / y",                      mul_recip},
  {OP_mul,     "(1 / x) y = y / x",                      recip_mul},
  {OP_mul,     "(x k) y = (x y) k",                      scaled_mul},
  {OP_mul,     "x (y k) = (x y) k",                      mul_scaled},
  {OP_div,     "x / 1 = x",                              div_1},
  {OP_div,     "x / k = x (1 / k)",                      div_const},
  {OP_div,     "0 / x = 0",                              div_of_0},
  {OP_div,     "1 / x = recip(x)",                       div_of_1},
  {OP_div,     "x / (-y) = -(x / y)",                    div_neg},
  {OP_div,     "(-x) / y = -(x / y)",                    neg_div},
  {OP_div,     "x / (1 / y) = x y",                      div_recip},
  {OP_max,     "max(x, k) = x, x >= k",                  max_same},
  {OP_min,     "min(x, k) = x, x <= k",                  min_same},
  {OP_pow,     "x^0 = 1^x = 1",                          pow_0},
  {OP_pow,     "x^1 = x",                                pow_1},
  {OP_pow,     "x^2",                                    pow_2},
  {OP_pow,     "x^(1/2) = sqrt(x)",                      pow_half},
  {OP_pow,     "x^(-1) = 1 / x",                         pow_minus_1},
  {OP_xlogy,   "xlogy(0, y) = xlogy(x, 1) = 0",          xlogy_0},
  {OP_xlogy,   "xlogy(k, y) = log(y) k, k not 0",        xlogy_const},
  {OP_select,  "select(k, x, y)",                        select_const},
  {OP_select,  "select(c, x, x) = x",                    select_same},
};

static void put_in_order(const Graph *g, Val *arg) {
  double x;
  bool first = is_number(g, arg[0], &x), second = is_number(g, arg[1], &x);
  if (second || (!first && arg[0] <= arg[1])) return;
  Val v = arg[0];
  arg[0] = arg[1], arg[1] = v;
}

Val rules_apply(Graph *g, OpKind op, Val *arg) {
  int n = op_of(op)->nargs;
  if (op_commutes(op)) put_in_order(g, arg);
  for (size_t i = 0; i < LEN(rules); i++) {
    if (rules[i].op != op) continue;
    Val v = rules[i].rule(g, arg[0], n > 1 ? arg[1] : NO_VAL, n > 2 ? arg[2] : NO_VAL);
    if (v != NO_VAL) return v;
  }
  return NO_VAL;
}
