/* Adjoints of elementwise ops: the rules of elementwise.def, where every word builds a node.
 *
 * A rule sees Vals only, never a Node *, since building may move the array of nodes. */
#include "op.h"

#define lit(x)          graph_const(g, x)
#define neg(x)          graph_op1(g, OP_neg, x)
#define square(x)       graph_op1(g, OP_square, x)
#define sign(x)         graph_op1(g, OP_sign, x)
#define exp(x)          graph_op1(g, OP_exp, x)
#define log(x)          graph_op1(g, OP_log, x)
#define sigmoid(x)      graph_op1(g, OP_sigmoid, x)
#define sin(x)          graph_op1(g, OP_sin, x)
#define cos(x)          graph_op1(g, OP_cos, x)
#define digamma(x)      graph_op1(g, OP_digamma, x)
#define trigamma(x)     graph_op1(g, OP_trigamma, x)
#define recip(x)        graph_op1(g, OP_recip, x)
#define bessel_gap(x)   graph_op1(g, OP_bessel_gap, x)
#define bessel_slope(x) graph_op1(g, OP_bessel_slope, x)
#define log_ndtr_grad(x) graph_op1(g, OP_log_ndtr_grad, x)
#define add(x, y)       graph_op2(g, OP_add, x, y)
#define sub(x, y)       graph_op2(g, OP_sub, x, y)
#define mul(x, y)       graph_op2(g, OP_mul, x, y)
#define div(x, y)       graph_op2(g, OP_div, x, y)
#define min(x, y)       graph_op2(g, OP_min, x, y)
#define pow(x, y)       graph_op2(g, OP_pow, x, y)
#define xlogy(x, y)     graph_op2(g, OP_xlogy, x, y)
#define lt(x, y)        graph_op2(g, OP_lt, x, y)
#define eq(x, y)        graph_op2(g, OP_eq, x, y)
#define select(c, x, y) graph_op3(g, OP_select, c, x, y)
#define ZERO            NO_VAL
#define NO_GRADIENT(m)  (BUG("%s", m), NO_VAL)        /* graph_no_gradient() was not asked */

typedef Val (*Adjoint)(Graph *g, unsigned i, Val a, Val b, Val c, Val y, Val dy);

#define RULE(name)     static Val adjoint_##name(Graph *g, unsigned i, Val a, Val b, Val c, Val y, Val dy)
#define UNUSED         (void)g, (void)i, (void)a, (void)b, (void)c, (void)y, (void)dy
#define UNARY(name, f, da, ...)           RULE(name) { UNUSED; return da; }
#define BINARY(name, f, da, db, ...)      RULE(name) { UNUSED; return i == 0 ? da : db; }
#define TERNARY(name, f, da, db, dc, ...) RULE(name) { UNUSED; return i == 0 ? da : i == 1 ? db : dc; }
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY

static const Adjoint rule[OP_COUNT] = {
#define UNARY(name, ...)   [OP_##name] = adjoint_##name,
#define BINARY(name, ...)  [OP_##name] = adjoint_##name,
#define TERNARY(name, ...) [OP_##name] = adjoint_##name,
#include "elementwise.def"
};

Val elementwise_adjoint(Graph *g, OpKind op, unsigned i, const Val *arg, Val y, Val dy) {
  unsigned n = (unsigned)op_of(op)->nargs;
  return rule[op](g, i, arg[0], n > 1 ? arg[1] : NO_VAL, n > 2 ? arg[2] : NO_VAL, y, dy);
}
