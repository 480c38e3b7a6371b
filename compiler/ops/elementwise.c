/* Elementwise ops: what the rows of elementwise.def say, as C.
 *
 * In:  the rows.
 * Out: an Op each, the forward function, the range rule.  Adjoints are in adjoint.c. */
#include "op.h"
#include "../../runtime/kernels/kernels.h"
#include <math.h>

/* ---- forward */
#define UNARY(name, f, ...)   static double forward_##name(double a, double b, double c) { (void)b, (void)c; return f; }
#define BINARY(name, f, ...)  static double forward_##name(double a, double b, double c) { (void)c; return f; }
#define TERNARY(name, f, ...) static double forward_##name(double a, double b, double c) { return f; }
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY

typedef double (*Forward)(double a, double b, double c);

static const Forward forward[OP_COUNT] = {
#define UNARY(name, ...)   [OP_##name] = forward_##name,
#define BINARY(name, ...)  [OP_##name] = forward_##name,
#define TERNARY(name, ...) [OP_##name] = forward_##name,
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
};

double op_forward(OpKind op, double a, double b, double c) { return forward[op](a, b, c); }

/* ---- ranges of results */
static Range negated(Range a) { return range_make(-a.hi, -a.lo, a.hi_open, a.lo_open, a.whole); }

static Range range_rises(Forward f, Range a) {
  return range_make(f(a.lo, 0, 0), f(a.hi, 0, 0), a.lo_open, a.hi_open, false);
}

static Range by_recip(const Range *r) {
  Range a = *r;
  if (a.lo >= 0) return range_make(1 / a.hi, 1 / fabs(a.lo), a.hi_open, a.lo_open, false);
  if (a.hi < 0 || (a.hi == 0 && a.hi_open))
    return range_make(-1 / fabs(a.hi), 1 / a.lo, a.hi_open, a.lo_open, false);
  return range_make(-INFINITY, INFINITY, false, false, false);
}

static Range by_abs(const Range *r) {
  Range a = range_plain(*r);
  if (a.lo >= 0) return a;
  if (a.hi <= 0) return negated(a);
  if (-a.lo == a.hi) return range_make(0, a.hi, false, a.lo_open && a.hi_open, a.whole);
  return -a.lo > a.hi ? range_make(0, -a.lo, false, a.lo_open, a.whole)
      : range_make(0, a.hi, false, a.hi_open, a.whole);
}

static Range by_square(const Range *r) {
  Range a = by_abs(r);
  return range_make(a.lo * a.lo, a.hi * a.hi, a.lo_open, a.hi_open, a.whole);
}

static Range by_sign(const Range *a) {
  double lo = a->lo > 0 || (a->lo == 0 && a->lo_open) ? 1 : a->lo == 0 ? 0 : -1;
  double hi = a->hi < 0 || (a->hi == 0 && a->hi_open) ? -1 : a->hi == 0 ? 0 : 1;
  return range_make(lo, hi, false, false, true);
}

static Range by_floor(const Range *a) {
  double hi = floor(a->hi);
  if (a->hi_open && isfinite(hi) && hi == a->hi) hi -= 1;
  return range_make(floor(a->lo), hi, a->lo_open && isinf(a->lo), a->hi_open && isinf(hi), true);
}

static Range by_sqrt(const Range *a) {
  if (a->lo < 0) return range_make(0, sqrt(a->hi), false, a->hi_open, false);
  return range_make(sqrt(a->lo), sqrt(a->hi), a->lo_open, a->hi_open, false);
}

static Range by_lgamma(const Range *a) {
  enum { RISES_FROM = 2 };                              /* the least value, at 1.4616, is -0.12149 */
  if (a->lo >= RISES_FROM) return range_rises(forward_lgamma, *a);
  if (a->lo < 0) return range_make(-INFINITY, INFINITY, true, false, false);
  double lo = lgamma(a->lo), hi = lgamma(a->hi);
  return range_make(-0.12148629053584962, fmax(lo, hi), false,
                    lo > hi ? a->lo_open : lo < hi ? a->hi_open : a->lo_open && a->hi_open, false);
}

static Range by_digamma(const Range *a) {
  if (a->lo < 0) return range_make(-INFINITY, INFINITY, false, false, false);
  return range_make(a->lo == 0 ? -INFINITY : svi_digamma_f64(a->lo),
                    isinf(a->hi) ? INFINITY : svi_digamma_f64(a->hi), a->lo_open, a->hi_open, false);
}

static Range by_trigamma(const Range *a) {
  if (a->lo < 0) return range_make(0, INFINITY, true, false, false);
  return range_make(isinf(a->hi) ? 0 : svi_trigamma_f64(a->hi),
                    a->lo == 0 ? INFINITY : svi_trigamma_f64(a->lo), a->hi_open, a->lo_open, false);
}

/* these three fall on a >= 0; elsewhere they are NaN */
static Range range_falls(Forward f, Range a) {
  return range_make(f(a.hi, 0, 0), f(fmax(a.lo, 0), 0, 0), a.hi_open, a.lo >= 0 && a.lo_open, false);
}
static Range by_log_i0e(const Range *a) {
  return a->hi < 0 ? range_make(-INFINITY, 0, false, false, false) : range_falls(forward_log_i0e, *a);
}
static Range by_bessel_gap(const Range *a) {
  return a->hi < 0 ? range_make(0, 1, true, false, false) : range_falls(forward_bessel_gap, *a);
}
static Range by_bessel_slope(const Range *a) {
  return a->hi < 0 ? range_make(0, .5, true, false, false) : range_falls(forward_bessel_slope, *a);
}
static Range by_log_ndtr_grad(const Range *a) {
  return range_make(forward_log_ndtr_grad(a->hi, 0, 0), forward_log_ndtr_grad(a->lo, 0, 0), a->hi_open, a->lo_open, false);
}

static Range by_neg(const Range *r)    { return negated(r[0]); }
static Range by_sub(const Range *r)    { return range_add(r[0], negated(r[1])); }
static Range by_div(const Range *r)    { return range_mul(r[0], by_recip(&r[1])); }
static Range by_select(const Range *r) { return range_union(r[1], r[2]); }

/* The greater of two: its low end is the higher one, attained only if both can stay at or below it. */
static Range by_max(const Range *r) {
  Range a = r[0], b = r[1];
  bool lo_open = a.lo == b.lo ? a.lo_open || b.lo_open : a.lo > b.lo ? a.lo_open : b.lo_open;
  bool hi_open = a.hi == b.hi ? a.hi_open && b.hi_open : a.hi > b.hi ? a.hi_open : b.hi_open;
  return range_make(fmax(a.lo, b.lo), fmax(a.hi, b.hi), lo_open, hi_open, a.whole && b.whole);
}

static Range by_min(const Range *r) {
  Range n[] = {negated(r[0]), negated(r[1])};
  return negated(by_max(n));
}

/* a^b = exp(b log a), for a >= 0 */
static Range by_pow(const Range *r) {
  if (r[0].lo < 0)
    return range_make(-INFINITY, INFINITY, false, false, r[0].whole && r[1].whole && r[1].lo >= 0);
  Range s = range_rises(forward_exp, range_mul(r[1], range_rises(forward_log, r[0])));
  s.whole = r[0].whole && r[1].whole && r[1].lo >= 0;
  return s;
}

static Range by_xlogy(const Range *r) { return range_mul(r[0], range_rises(forward_log, r[1])); }
static Range by_add(const Range *r)   { return range_add(r[0], r[1]); }
static Range by_mul(const Range *r)   { return range_mul(r[0], r[1]); }

/* ---- the table */
typedef struct {
  enum { RULE_RISES, RULE_INSIDE, RULE_BY } kind;
  Range   inside;
  Range (*by)(const Range *arg);
} RangeRule;
typedef struct { Elementwise row; RangeRule range; } Row;

#define RISES             {RULE_RISES, {0}, NULL}
#define INSIDE(lo, hi, lo_open, hi_open, whole) {RULE_INSIDE, {lo, hi, lo_open, hi_open, whole, FORM_PLAIN}, NULL}
#define BY(f)             {RULE_BY, {0}, by_##f}

static const Row rows[OP_COUNT] = {
#define UNARY(name, f, da, low, range, lo, hi, flops) [OP_##name] = {{#f, {#da}, #low, {{lo, hi}}, flops}, range},
#define BINARY(name, f, da, db, low, range, alo, ahi, blo, bhi, flops) \
  [OP_##name] = {{#f, {#da, #db}, #low, {{alo, ahi}, {blo, bhi}}, flops}, range},
#define TERNARY(name, f, da, db, dc, low, range, alo, ahi, blo, bhi, clo, chi, flops) \
  [OP_##name] = {{#f, {#da, #db, #dc}, #low, {{alo, ahi}, {blo, bhi}, {clo, chi}}, flops}, range},
#include "elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
};

const Elementwise *elementwise_of(OpKind op) { return forward[op] ? &rows[op].row : NULL; }

bool op_commutes(OpKind op) {
  return op == OP_add || op == OP_mul || op == OP_max || op == OP_min || op == OP_eq || op == OP_ne;
}

/* ---- the Op of every row */
static const Shape *elementwise_shape(Graph *g, const Node *n) {
  const Shape *s = shape_of_arg(g, n, 0);
  for (unsigned i = 1; s && i < n->nargs; i++) s = shape_join(g, s, shape_of_arg(g, n, i));
  return s;
}

/* exp(x - log_sum_exp(x)) of a vector: a simplex */
static bool is_softmax(const Graph *g, const Node *n) {
  const Node *sub = node_of(g, n->arg[0]), *sum = sub->op == OP_sub ? node_of(g, sub->arg[1]) : sub;
  return n->op == OP_exp && sum->op == OP_reduce && sum->attr.reduce.kind == REDUCE_LOGSUMEXP && sum->arg[0] == sub->arg[0] &&
         rank_of(g, sub->arg[0]) == 1 && sum->attr.reduce.dims && !sum->attr.reduce.axes;
}

static Range elementwise_range(const Graph *g, const Node *n) {
  if (is_softmax(g, n)) return (Range){.lo = 0, .hi = 1, .lo_open = true, .form = FORM_SIMPLEX};
  Range r[3] = {{0}};
  for (unsigned i = 0; i < n->nargs; i++) r[i] = range_plain(range_of_arg(g, n, i));
  const RangeRule *rule = &rows[n->op].range;
  switch (rule->kind) {
    case RULE_RISES:  return range_rises(forward[n->op], r[0]);
    case RULE_INSIDE: return rule->inside;
    case RULE_BY:     return rule->by(r);
  }
  return RANGE_REAL;
}

static Val elementwise_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_elementwise(to, n->op, arg);
}

static void elementwise_grad(Graph *g, Val y, Val dy, Val *d) {
  Node n = *node_of(g, y);                      /* a copy: building may move the array */
  for (unsigned i = 0; i < n.nargs; i++) d[i] = elementwise_adjoint(g, n.op, i, n.arg, y, dy);
}

static const char *elementwise_obstacle(const Node *n, uint32_t i) {
  const char *text = rows[n->op].row.adjoint[i], *open = strchr(text, '"');
  if (!strcmp(text, "ZERO")) return OP_CONSTANT;
  if (!open || strncmp(text, "NO_GRADIENT(", 12)) return NULL;
  return name_of_n(open + 1, (size_t)(strrchr(text, '"') - open - 1));
}

static bool elementwise_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  const Shape *s = n->shape, *of[3] = {NULL};
  const double *x[3] = {NULL};
  double *out = eval_value(e, y);
  for (unsigned i = 0; i < n->nargs; i++) of[i] = shape_of(e->g, n->arg[i]), x[i] = eval_value(e, n->arg[i]);
  Loop l = {0};
  loop_axes(&l, e, s->axes, s, of[0], of[1], of[2]);
  for (uint32_t d = 0; d < s->rank; d++) {
    uint64_t step[3] = {0};
    for (unsigned i = 0; i < n->nargs; i++) step[i] = of[i]->rank ? dim_step(e, of[i], d) : 0;
    loop_dim(&l, s->dim[d], dim_step(e, s, d), step[0], step[1], step[2]);
  }
  for (loop_start(&l); l.more; loop_next(&l))
    out[l.at[0]] = forward[n->op](x[0][l.at[1]], x[1] ? x[1][l.at[2]] : 0, x[2] ? x[2][l.at[3]] : 0);
  return true;
}

#define ROW(opname, arity) \
  const Op op_##opname = { \
    .name = #opname, .nargs = arity, .joins_axes = true, .shape = elementwise_shape, \
    .range = elementwise_range, .copy = elementwise_copy, .grad = elementwise_grad, \
    .obstacle = elementwise_obstacle, .eval = elementwise_eval };
#define UNARY(name, ...)   ROW(name, 1)
#define BINARY(name, ...)  ROW(name, 2)
#define TERNARY(name, ...) ROW(name, 3)
#include "elementwise.def"
