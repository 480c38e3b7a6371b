/* Every op: the row or stanza against plain arithmetic, differences, and samples.
 *
 * Elementwise rows are tested as they stand: forward over broadcast shapes, adjoints against central
 * differences over the row's domain, second derivatives by differentiating the gradient, ranges by sampling.
 * A row whose adjoint says NO_GRADIENT must be refused.  Structural ops have cases below, each with the
 * answer written out in plain C; an op without a case fails `every_op_has_a_case`. */
#include "../../compiler/ops/op.h"
#include "../../runtime/kernels/random.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { ROWS = 3, ITEMS = 4, PARTICLES = 2, INDICES = 3, LEAVES = 8 };
enum { ROW, ITEM, K, I };                               /* axis numbers */
#define EACH_ROW  ((AxisSet)1 << ROW)
#define EACH_ITEM ((AxisSet)1 << ITEM)
#define EACH_K    ((AxisSet)1 << K)
#define EACH_I    ((AxisSet)1 << I)

/* ---- a graph with leaves and their values */
typedef struct {
  Graph   *g;
  uint32_t n;
  Val      leaf[LEAVES + 1];
  double  *x[LEAVES + 1];
  uint64_t size[LEAVES + 1];
} Bench;

static Arena *arena;
static Bench b;
static uint64_t state;
static const uint32_t data_row[] = {5, 0, 9};

static double uniform(double lo, double hi) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return lo + (hi - lo) * (double)(state >> 11) * 0x1p-53;
}

static void start(void) {
  arena = arena_new();
  b = (Bench){.g = graph_new(arena)};
  state = 42;
  graph_axis(b.g, (Axis){.name = name_of("row"), .kind = AXIS_PLATE, .parent = -1});
  graph_axis(b.g, (Axis){.name = name_of("item"), .kind = AXIS_PLATE, .parent = -1});
  graph_axis(b.g, (Axis){.name = name_of("k"), .kind = AXIS_PARTICLE, .parent = -1});
  graph_axis(b.g, (Axis){.name = name_of("i"), .kind = AXIS_INDEX, .size = INDICES, .parent = -1});
}
static void finish(void) { arena_free(arena); }

static uint64_t size_of(const Shape *s) {
  static const uint64_t sizes[] = {ROWS, ITEMS, PARTICLES, INDICES};
  uint64_t n = shape_event_size(s);
  for (uint32_t i = 0; i < 4; i++) if (s->axes >> i & 1) n *= sizes[i];
  return n;
}

static Val leaf(AxisSet axes, uint32_t rank, uint32_t d0, uint32_t d1, uint32_t d2, double lo, double hi) {
  const Shape *s = graph_shape(b.g, axes, rank, (uint32_t[]){d0, d1, d2});
  Val v = graph_leaf(b.g, OP_param, name_printf("x%u", b.n), b.n, s, range_make(lo, hi, false, false, false));
  b.size[b.n] = size_of(s);
  b.x[b.n] = arena_alloc(arena, b.size[b.n] * sizeof(double));
  for (uint64_t i = 0; i < b.size[b.n]; i++) b.x[b.n][i] = uniform(lo, hi);
  return b.leaf[b.n++] = v;
}
static Val scalar(double lo, double hi)                            { return leaf(0, 0, 0, 0, 0, lo, hi); }
static Val vector(AxisSet axes, uint32_t n)                        { return leaf(axes, 1, n, 0, 0, -1, 1); }
static Val matrix(AxisSet axes, uint32_t n, uint32_t m)            { return leaf(axes, 2, n, m, 0, -1, 1); }
/* A whole-valued leaf: an index. */
static Val index_leaf(AxisSet axes, uint32_t below) {
  Val v = leaf(axes, 0, 0, 0, 0, 0, below - 1);
  b.g->node.at[v].range.whole = true;
  for (uint64_t i = 0; i < b.size[b.n - 1]; i++) b.x[b.n - 1][i] = floor(uniform(0, below));
  return v;
}

static bool give_leaf(void *context, const Graph *g, Val v, double *out, uint64_t n) {
  (void)context;
  memcpy(out, b.x[node_of(g, v)->attr.leaf.id], n * sizeof *out);
  return true;
}
static void give_key(void *context, const Graph *g, uint32_t draw, uint32_t key[2]) {
  (void)context, (void)g;
  key[0] = 11 + draw, key[1] = 22;
}
static EvalInput input(void) {
  EvalInput in = {.leaf = give_leaf, .key = give_key};
  in.size[ROW] = ROWS, in.size[ITEM] = ITEMS, in.size[K] = PARTICLES;
  in.total[ROW] = 50, in.total[ITEM] = ITEMS;
  in.row[ROW] = data_row;
  return in;
}
static const double *value(Val v, uint64_t *n) {
  EvalInput in = input();
  EvalResult out;
  char error[256];
  ck_assert_msg(graph_eval(arena, b.g, &v, 1, &in, &out, error), "%s", error);
  if (n) *n = out.size[v];
  return out.value[v];
}

/* ---- adjoints against differences */
/* A scalar that depends on every element of v differently. */
static Val weighted(Val v, uint32_t salt) {
  Graph *g = b.g;
  const Shape *s = shape_of(g, v);
  Val w = graph_const(g, .7 + .1 * salt);
  uint32_t size = (uint32_t)shape_event_size(s);
  if (s->rank)
    w = graph_op2(g, OP_add, w,
                  graph_op1(g, OP_sin,
                            graph_reshape(g, graph_op2(g, OP_mul, graph_iota(g, size), graph_const(g, 1.3)),
                                          s->rank, s->dim)));
  for (uint32_t i = 0; i < 4; i++) {
    if (!(s->axes >> i & 1)) continue;
    w = graph_op2(g, OP_add, w,
                  graph_op1(g, OP_cos,
                            graph_op2(g, OP_mul, graph_iota_axis(g, i), graph_const(g, .9 + .3 * i))));
  }
  return graph_reduce(g, REDUCE_SUM, graph_sum_all(g, graph_op2(g, OP_mul, v, w)), s->axes, 0);
}

static double difference(Val root, uint32_t l, uint64_t i, double h) {
  double x = b.x[l][i];
  b.x[l][i] = x + h;
  double up = *value(root, NULL);
  b.x[l][i] = x - h;
  double down = *value(root, NULL);
  b.x[l][i] = x;
  return (up - down) / (2 * h);
}

static void check_gradient(const char *what, Val root, const Val *d, double tolerance) {
  for (uint32_t l = 0; l < b.n; l++) {
    if (node_of(b.g, b.leaf[l])->range.whole) continue;        /* an index */
    if (d[l] != NO_VAL)
      ck_assert_msg(shape_of(b.g, d[l]) == shape_of(b.g, b.leaf[l]),
                    "%s: shape of the adjoint of argument %u", what, l);
    const double *analytic = d[l] != NO_VAL ? value(d[l], NULL) : NULL;
    for (uint64_t i = 0; i < b.size[l]; i++) {
      double a = analytic ? analytic[i] : 0, n = difference(root, l, i, 1e-5);
      ck_assert_msg(fabs(a - n) <= tolerance * (1 + fabs(n)),
                    "%s: derivative by x%u[%d]: rule %.10g, differences %.10g", what, l, (int)i, a, n);
    }
  }
}

typedef enum { SECOND_AGREES, SECOND_REFUSED, SECOND_UNTRIED } Second;
static void check_derivatives(const char *what, Val y, Second second) {
  Val loss = weighted(y, 0), culprit, d[LEAVES], dd[LEAVES], sum = graph_const(b.g, 0);
  ck_assert_msg(graph_no_gradient(b.g, loss, b.leaf, b.n, &culprit) == NULL, "%s has no gradient", what);
  graph_grad(b.g, loss, b.leaf, b.n, d);
  ck_assert(graph_verify(b.g, stderr));
  check_gradient(what, loss, d, 1e-6);
  if (second == SECOND_UNTRIED) return;
  for (uint32_t l = 0; l < b.n; l++)
    if (d[l] != NO_VAL) sum = graph_op2(b.g, OP_add, sum, weighted(d[l], l + 1));
  const char *why = graph_no_gradient(b.g, sum, b.leaf, b.n, &culprit);
  ck_assert_msg(second != (why ? SECOND_AGREES : SECOND_REFUSED), "%s: second derivative: %s", what,
                why ? why : "should not be there");
  if (why) return;
  graph_grad(b.g, sum, b.leaf, b.n, dd);
  ck_assert(graph_verify(b.g, stderr));
  check_gradient(name_printf("%s, second", what), sum, dd, 1e-5);
}

/* ---- elementwise rows */
/* The shapes of two or three arguments; {axes, size of one dim or 0}. */
typedef struct { AxisSet axes; uint32_t dim; } Arg;
static const Arg variants[][3] = {
  {{0, 0}, {0, 0}, {0, 0}},
  {{EACH_ROW, 2}, {EACH_ROW, 2}, {EACH_ROW, 2}},
  {{EACH_ROW, 2}, {0, 0}, {0, 2}},                      /* scalar event, missing axes */
  {{0, 2}, {EACH_ROW | EACH_K, 0}, {EACH_K, 2}},
  {{EACH_K, 0}, {EACH_ROW, 2}, {0, 0}},
};

static bool says(const char *text, const char *word) { return !strncmp(text, word, strlen(word)); }
static OpKind elementwise_number(int i) {
  for (int op = 0; op < OP_COUNT; op++) if (elementwise_of((OpKind)op) && i-- == 0) return (OpKind)op;
  return OP_COUNT;
}
static int elementwise_count(void) {
  int n = 0;
  for (int op = 0; op < OP_COUNT; op++) n += elementwise_of((OpKind)op) != NULL;
  return n;
}

/* Element (row, k, dim) of an argument of shape `a`. */
static double element(const double *x, Arg a, uint64_t row, uint64_t k, uint64_t dim) {
  uint64_t i = 0;
  if (a.axes & EACH_ROW) i = row;
  if (a.axes & EACH_K) i = i * PARTICLES + k;
  if (a.dim) i = i * a.dim + dim;
  return x[i];
}

START_TEST(elementwise_row) {
  OpKind op = elementwise_number(_i);
  const Elementwise *row = elementwise_of(op);
  uint32_t n = (uint32_t)op_of(op)->nargs;
  for (size_t v = 0; v < LEN(variants); v++) {
    finish(), start();
    const Arg *arg = variants[v];
    AxisSet axes = 0;
    uint32_t dim = 0;
    for (uint32_t i = 0; i < n; i++) {
      leaf(arg[i].axes, arg[i].dim > 0, arg[i].dim, 0, 0, row->domain[i][0], row->domain[i][1]);
      axes |= arg[i].axes;
      if (arg[i].dim) dim = arg[i].dim;
    }
    Val y = graph_elementwise(b.g, op, b.leaf);
    ck_assert_msg(node_of(b.g, y)->op == op, "`%s` was simplified away", op_name(op));
    ck_assert_ptr_eq(shape_of(b.g, y), graph_shape(b.g, axes, dim > 0, &dim));
    uint64_t size, at = 0;
    const double *out = value(y, &size);
    for (uint64_t r = 0; r < (axes & EACH_ROW ? ROWS : 1); r++)
      for (uint64_t k = 0; k < (axes & EACH_K ? PARTICLES : 1); k++)
        for (uint64_t d = 0; d < (dim ? dim : 1); d++) {
          double x[3] = {0};
          for (uint32_t i = 0; i < n; i++) x[i] = element(b.x[i], arg[i], r, k, d);
          ck_assert_double_eq(out[at++], op_forward(op, x[0], x[1], x[2]));
        }
    ck_assert_uint_eq(at, size);
    Val culprit;
    if (says(row->adjoint[0], "NO_GRADIENT")) {
      const char *why = graph_no_gradient(b.g, weighted(y, 0), b.leaf, b.n, &culprit);
      ck_assert_ptr_nonnull(why);
      ck_assert_msg(strlen(why) > 20 && !strchr(why, '"'), "message: %s", why);
      continue;
    }
    /* trigamma and bessel_slope have no rule */
    check_derivatives(op_name(op), y, op == OP_digamma || op == OP_bessel_gap ? SECOND_REFUSED : SECOND_AGREES);
  }
}
END_TEST

/* Ranges of arguments from which values are drawn.  An infinite end is reached as far as exp(6). */
static const struct { double lo, hi; bool lo_open, hi_open, whole; } spans[] = {
  {-INFINITY, INFINITY, true, true, false}, {0, INFINITY, true, true, false},
      {0, INFINITY, false, true, false}, {0, 1, false, false, false},
  {-1, 1, true, true, false}, {-INFINITY, 0, true, true, false}, {-2, -1, false, false, false},
      {1, 3, false, true, false},
  {0, INFINITY, false, true, true}, {0, 1, false, false, true}, {-4, 5, false, false, true},
      {2, 2, false, false, true}, {.5, 6, true, false, false}};

static double sample(size_t s) {
  double lo = spans[s].lo, hi = spans[s].hi, u = uniform(-6, 6), x;
  if (isinf(lo) && isinf(hi)) x = u > 0 ? exp(u) - 1 : 1 - exp(-u);
  else if (isinf(hi)) x = lo + exp(u);
  else if (isinf(lo)) x = hi - exp(u);
  else x = lo + (hi - lo) * uniform(0, 1);
  if (spans[s].whole) x = fmin(floor(x), hi);
  if (u > 5 && !spans[s].lo_open) x = lo;
  if (u < -5 && !spans[s].hi_open) x = hi;
  return x;
}

static void check_within(const char *what, Range r, double y, double slack) {
  if (isnan(y)) return;                                 /* outside the op's domain */
  double tolerance = slack * (1 + fabs(y));
  bool inside = isinf(y) ? (y < 0 ? r.lo == y && !r.lo_open : r.hi == y && !r.hi_open)
      : y >= r.lo - tolerance && y <= r.hi + tolerance;
  ck_assert_msg(inside, "%s: %.17g is outside the range %g .. %g", what, y, r.lo, r.hi);
  ck_assert_msg(!r.whole || isinf(y) || y == floor(y), "%s: %.17g is not whole", what, y);
}

START_TEST(elementwise_range) {
  OpKind op = elementwise_number(_i);
  uint32_t n = (uint32_t)op_of(op)->nargs;
  for (int trial = 0; trial < 200; trial++) {
    finish(), start();
    state = (uint64_t)trial * 7919 + 1;
    size_t s[3] = {0};
    Val arg[3];
    for (uint32_t i = 0; i < n; i++) {
      s[i] = (size_t)uniform(0, LEN(spans));
      Range r = range_make(spans[s[i]].lo, spans[s[i]].hi, spans[s[i]].lo_open, spans[s[i]].hi_open,
                           spans[s[i]].whole);
      arg[i] = graph_leaf(b.g, OP_param, name_printf("x%u", i), i, graph_shape(b.g, 0, 0, NULL), r);
    }
    Node node = {.op = op, .nargs = n, .arg = arg, .attr = attr_none()};
    Range range = op_of(op)->range(b.g, &node);         /* the rule itself: no simplification */
    ck_assert(range.lo <= range.hi);
    for (int i = 0; i < 60; i++) {
      double x[3] = {sample(s[0]), sample(s[1]), sample(s[2])};
      double y = op_forward(op, x[0], x[1], x[2]);
      if (isinf(y) && fabs(x[0]) + fabs(x[1]) > 100) continue;         /* overflow, not infinity */
      check_within(name_printf("%s(%g, %g, %g)", op_name(op), x[0], x[1], x[2]), range, y, 1e-12);
    }
  }
}
END_TEST

/* ---- structural ops: build, and the answer in plain C */
typedef struct {
  OpKind op;
  const char *name;
  Val  (*build)(void);
  void (*expect)(double *y);
  enum { TWICE, ONCE, NO_ADJOINT } derivatives;          /* which are compared with differences */
} Case;

#define X(l, i) (b.x[l][i])
#define FOR(i, n) for (uint64_t i = 0; i < (n); i++)
static const uint8_t D0[] = {0}, D1[] = {1};

/* leaves */
static Val  const_build(void)      { return graph_const(b.g, 2.5); }
static void const_expect(double *y) { y[0] = 2.5; }
static Val  param_build(void)      { return matrix(EACH_ROW, 2, 3); }
static void param_expect(double *y) { FOR(i, ROWS * 6) y[i] = X(0, i); }
static Val  input_build(void) {
  vector(0, 3);
  return graph_leaf(b.g, OP_input, name_of("in"), 0, graph_shape(b.g, 0, 1, (uint32_t[]){3}), RANGE_REAL);
}
static Val  option_build(void) {
  scalar(0, 1);
  return graph_leaf(b.g, OP_option, name_of("opt"), 0, graph_shape(b.g, 0, 0, NULL), RANGE_REAL);
}
static void first_expect(double *y) { FOR(i, b.size[0]) y[i] = X(0, i); }
static Val  count_build(void)      { return graph_count(b.g, ROW, false); }
static void count_expect(double *y) { y[0] = ROWS; }
static Val  total_build(void)      { return graph_count(b.g, ROW, true); }
static void total_expect(double *y) { y[0] = 50; }
static Val  iota_build(void)       { return graph_iota(b.g, 4); }
static void iota_expect(double *y) { FOR(i, 4) y[i] = (double)i; }
static Val  rows_build(void)       { return graph_iota_axis(b.g, ROW); }
static void rows_expect(double *y) { FOR(i, ROWS) y[i] = data_row[i]; }
static Val  place_build(void)      { return graph_place(b.g, ROW); }
static void place_expect(double *y) { FOR(i, ROWS) y[i] = (double)i; }
static Val  indices_build(void)    { return graph_iota_axis(b.g, I); }
static void indices_expect(double *y) { FOR(i, INDICES) y[i] = (double)i; }

/* views */
static Val  stop_build(void)       { return graph_stop(b.g, vector(EACH_ROW, 2)); }
static Val  assume_build(void) {
  return graph_assume(b.g, vector(EACH_ROW, 2), range_make(-1, .999, false, false, false));
}
static Val  expand_build(void) {
  return graph_expand(b.g, vector(EACH_ROW, 2), 5, 3, (uint32_t[]){3, 2, 2});
}
static void expand_expect(double *y) { FOR(r, ROWS) FOR(i, 3) FOR(j, 2) FOR(k, 2) *y++ = X(0, r * 2 + j); }
static Val  expand_axes_build(void) { return graph_expand_axes(b.g, vector(EACH_K, 2), EACH_ROW | EACH_I); }
static void expand_axes_expect(double *y) {
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(i, INDICES) FOR(d, 2) *y++ = X(0, k * 2 + d);
}
static Val  permute_build(void) {
  return graph_permute(b.g, leaf(EACH_K, 3, 2, 3, 4, -1, 1), (uint8_t[]){2, 0, 1});
}
static void permute_expect(double *y) {
  FOR(k, PARTICLES) FOR(c, 4) FOR(a, 2) FOR(d, 3) *y++ = X(0, k * 24 + a * 12 + d * 4 + c);
}
static Val  reshape_build(void) {
  return graph_reshape(b.g, matrix(EACH_ROW, 2, 3), 3, (uint32_t[]){3, 1, 2});
}
static Val  to_axis_build(void)    { return graph_to_axis(b.g, matrix(EACH_ROW, 2, INDICES), 1, I); }
static void to_axis_expect(double *y) {
  FOR(r, ROWS) FOR(i, INDICES) FOR(d, 2) *y++ = X(0, r * 2 * INDICES + d * INDICES + i);
}
static Val  to_dim_build(void)     { return graph_to_dim(b.g, vector(EACH_ROW | EACH_I, 2), I, 1); }
static void to_dim_expect(double *y) {
  FOR(r, ROWS) FOR(d, 2) FOR(i, INDICES) *y++ = X(0, r * INDICES * 2 + i * 2 + d);
}
static Val  slice_build(void)      { return graph_slice(b.g, matrix(EACH_ROW, 2, 5), 1, 1, 3); }
static void slice_expect(double *y) { FOR(r, ROWS) FOR(i, 2) FOR(j, 3) *y++ = X(0, r * 10 + i * 5 + j + 1); }
static Val  index_build(void)      { return graph_index(b.g, matrix(EACH_ROW, 2, 5), 1, 3); }
static void index_expect(double *y) { FOR(r, ROWS) FOR(i, 2) *y++ = X(0, r * 10 + i * 5 + 3); }
/* items inside rows */
static Val  shift_build(void)      { return graph_shift(b.g, vector(EACH_ROW | EACH_ITEM, 2), ITEM, 1); }
static void shift_expect(double *y) {
  FOR(r, ROWS) FOR(i, ITEMS) FOR(j, 2) *y++ = i < 1 ? 0 : X(0, (r * ITEMS + i - 1) * 2 + j);
}
static Val  shift_back_build(void) { return graph_shift(b.g, vector(EACH_ROW | EACH_ITEM | EACH_K, 1), ITEM, -2); }
static void shift_back_expect(double *y) {
  FOR(r, ROWS) FOR(i, ITEMS) FOR(k, PARTICLES) *y++ = i + 2 >= ITEMS ? 0 : X(0, (r * ITEMS + i + 2) * PARTICLES + k);
}
static Val  pad_build(void)        { return graph_pad(b.g, matrix(EACH_K, 2, 3), 1, 2, 6); }
static void pad_expect(double *y) {
  FOR(k, PARTICLES) FOR(i, 2) FOR(j, 6) *y++ = j >= 2 && j < 5 ? X(0, k * 6 + i * 3 + j - 2) : 0;
}
static Val  concat_build(void) {
  Val a = matrix(EACH_ROW, 2, 3), c = matrix(0, 2, 1), d = matrix(EACH_K, 2, 2);
  return graph_concat(b.g, (Val[]){a, c, d}, 3, 1);
}
static void concat_expect(double *y) {
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(i, 2) FOR(j, 6) *y++ = j < 3 ? X(0, r * 6 + i * 3 + j) : j < 4 ? X(1, i)
      : X(2, k * 4 + i * 2 + j - 4);
}

/* reductions over row (outer) and the second dim of x [row][k][2][3] */
static Val reduced(ReduceKind k, double lo, double hi) {
  return graph_reduce(b.g, k, leaf(EACH_ROW | EACH_K, 2, 2, 3, 0, lo, hi), EACH_ROW, 2);
}
static Val sum_build(void)       { return reduced(REDUCE_SUM, -1, 1); }
static Val prod_build(void)      { return reduced(REDUCE_PROD, -1.5, 1.5); }
static Val prod_plus_build(void) { return reduced(REDUCE_PROD, .5, 1.5); }
static Val prod_zero_build(void) {
  Val v = reduced(REDUCE_PROD, -1.5, 1.5);
  X(0, 4) = 0;
  X(0, 9) = 0;
  X(0, 11) = 0;
  return v;
}
static Val max_build(void)       { return reduced(REDUCE_MAX, -1, 1); }
static Val min_build(void)       { return reduced(REDUCE_MIN, -1, 1); }
static Val lse_build(void)       { return reduced(REDUCE_LOGSUMEXP, -3, 3); }
static Val dim_sum_build(void) {
  return graph_reduce(b.g, REDUCE_SUM, leaf(EACH_K, 3, 2, 3, 2, -1, 1), 0, 5);
}
static void dim_sum_expect(double *y) {
  FOR(k, PARTICLES) FOR(j,
                        3) { y[k * 3 + j] = 0; FOR(i, 2) FOR(c, 2) y[k * 3 + j] += X(0,
                            k * 12 + i * 6 + j * 2 + c); }
}
static void fold_expect(double *y, ReduceKind how) {
  FOR(k, PARTICLES) FOR(i, 2) {
    double s = how == REDUCE_PROD ? 1 : how == REDUCE_MAX ? -INFINITY : how == REDUCE_MIN ? INFINITY : 0;
    FOR(r, ROWS) FOR(j, 3) {
      double x = X(0, r * PARTICLES * 6 + k * 6 + i * 3 + j);
      s = how == REDUCE_SUM ? s + x : how == REDUCE_PROD ? s * x : how == REDUCE_MAX ? fmax(s, x)
          : how == REDUCE_MIN ? fmin(s, x) : s + exp(x);
    }
    *y++ = how == REDUCE_LOGSUMEXP ? log(s) : s;
  }
}
static void sum_expect(double *y)  { fold_expect(y, REDUCE_SUM); }
static void prod_expect(double *y) { fold_expect(y, REDUCE_PROD); }
static void max_expect(double *y)  { fold_expect(y, REDUCE_MAX); }
static void min_expect(double *y)  { fold_expect(y, REDUCE_MIN); }
static void lse_expect(double *y)  { fold_expect(y, REDUCE_LOGSUMEXP); }

/* products */
static Val  matmul_build(void) {
  Val x = vector(EACH_ROW, 4), w = matrix(0, 4, 3);
  return graph_matmul(b.g, x, w);
}
static void matmul_expect(double *y) {
  FOR(r, ROWS) FOR(j, 3) { *y = 0; FOR(i, 4) *y += X(0, r * 4 + i) * X(1, i * 3 + j); y++; }
}
static Val  outer_build(void) {
  Val x = vector(EACH_ROW, 2), z = vector(EACH_K, 3);
  return graph_dot(b.g, x, z, 0, 0, NULL, NULL);
}
static void outer_expect(double *y) {
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(i, 2) FOR(j, 3) *y++ = X(0, r * 2 + i) * X(1, k * 3 + j);
}
static Val  rows_dot_build(void) {
  Val x = vector(EACH_ROW | EACH_K, 2), z = vector(EACH_ROW, 3);
  return graph_dot(b.g, x, z, EACH_ROW, 0, NULL, NULL);
}
static void rows_dot_expect(double *y) {
  FOR(k, PARTICLES) FOR(i, 2) FOR(j,
                                  3) { *y = 0; FOR(r, ROWS) *y += X(0, (r * PARTICLES + k) * 2 + i) * X(1,
                                      r * 3 + j); y++; }
}
/* two pairs, crossed, dims of each side in odd places: x [2, 3, 4], z [4, 5, 2] over (0, 2) and (2, 0),
 * batched over rows */
static Val  crossed_build(void) {
  Val x = leaf(EACH_ROW, 3, 2, 3, 4, -1, 1), z = leaf(EACH_ROW, 3, 4, 5, 2, -1, 1);
  return graph_dot(b.g, x, z, 0, 2, (uint8_t[]){0, 2}, (uint8_t[]){2, 0});
}
static void crossed_expect(double *y) {
  FOR(r, ROWS) FOR(j, 3) FOR(m,
                             5) { *y = 0; FOR(i, 2) FOR(k, 4) *y += X(0, r * 24 + i * 12 + j * 4 + k) * X(1,
                                 r * 40 + k * 10 + m * 2 + i); y++; }
}
static Val  transposed_build(void) {
  Val w = matrix(0, 3, 4), x = matrix(EACH_ROW, 2, 3);
  return graph_dot(b.g, w, x, 0, 1, D0, D1);
}
static void transposed_expect(double *y) {
  FOR(r, ROWS) FOR(j, 4) FOR(i, 2) { *y = 0; FOR(k, 3) *y += X(0, k * 4 + j) * X(1, r * 6 + i * 3 + k); y++; }
}
static Val  inner_build(void) {
  Val w = vector(0, 4), x = vector(EACH_ROW, 4);
  return graph_dot(b.g, w, x, 0, 1, D0, D0);
}
static void inner_expect(double *y) {
  FOR(r, ROWS) { *y = 0; FOR(i, 4) *y += X(0, i) * X(1, r * 4 + i); y++; }
}
static Val  square_build(void) {
  Val w = matrix(EACH_ROW, 2, 2);
  return graph_dot(b.g, w, w, 0, 1, D0, D1);
}
static void square_expect(double *y) {
  FOR(r, ROWS) FOR(j, 2) FOR(i,
                             2) { *y = 0; FOR(k, 2) *y += X(0, r * 4 + k * 2 + j) * X(0,
                                 r * 4 + i * 2 + k); y++; }
}

/* gather, scatter */
static Val  gather_dim_build(void) {
  Val t = matrix(EACH_K, 4, 2), i = index_leaf(EACH_ROW, 4);
  return graph_gather(b.g, t, i, 0, NO_VAL);
}
static void gather_dim_expect(double *y) {
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(j, 2) *y++ = X(0, k * 8 + (uint64_t)X(1, r) * 2 + j);
}
static Val  gather_axis_build(void) {
  Val t = vector(EACH_ITEM | EACH_K, 2), i = index_leaf(EACH_ROW, ITEMS);
  return graph_gather(b.g, t, i, 0, ITEM);
}
static void gather_axis_expect(double *y) {
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(j, 2) *y++ = X(0, (uint64_t)X(1, r) * PARTICLES * 2 + k * 2 + j);
}
static Val  diagonal_build(void) {
  return graph_to_axis(b.g, graph_to_axis(b.g, matrix(EACH_ROW, INDICES, INDICES), 0, I), 0, I);
}
static void diagonal_expect(double *y) { FOR(r, ROWS) FOR(i, INDICES) *y++ = X(0, r * 9 + i * 3 + i); }
static Val  scatter_dim_build(void) {
  Val x = vector(EACH_ROW | EACH_K, 2), i = index_leaf(EACH_ROW, 4);
  return graph_scatter(b.g, x, i, 0, NO_VAL, graph_shape(b.g, EACH_K, 2, (uint32_t[]){4, 2}));
}
static void scatter_dim_expect(double *y) {
  FOR(i, PARTICLES * 8) y[i] = 0;
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(j, 2) y[k * 8 + (uint64_t)X(1, r) * 2 + j] += X(0,
      (r * PARTICLES + k) * 2 + j);
}
static Val  scatter_same_build(void) {                  /* x is the same for all particles of the result */
  Val x = vector(EACH_ROW, 2), i = index_leaf(0, 4);
  return graph_scatter(b.g, x, i, 0, NO_VAL, graph_shape(b.g, EACH_K, 2, (uint32_t[]){4, 2}));
}
static void scatter_same_expect(double *y) {
  FOR(i, PARTICLES * 8) y[i] = 0;
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(j, 2) y[k * 8 + (uint64_t)X(1, 0) * 2 + j] += X(0, r * 2 + j);
}
static Val  scatter_axis_build(void) {
  Val x = vector(EACH_K, 2), i = index_leaf(EACH_ROW, ITEMS);       /* x is the same for every row */
  return graph_scatter(b.g, x, i, 0, ITEM, graph_shape(b.g, EACH_ITEM, 1, (uint32_t[]){2}));
}
static void scatter_axis_expect(double *y) {
  FOR(i, ITEMS * 2) y[i] = 0;
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(j, 2) y[(uint64_t)X(1, r) * 2 + j] += X(0, k * 2 + j);
}

/* draws: the kernel at the counters that note [counter keys] gives */
static uint32_t a_draw(void) { return graph_draw(b.g, (Draw){.name = name_of("p.z")}); }
static Val  normal_build(void) {
  return graph_random(b.g, RANDOM_NORMAL, a_draw(), graph_shape(b.g, EACH_ROW | EACH_K, 1, (uint32_t[]){3}),
                      NO_VAL);
}
static void normal_expect(double *y) {
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(d, 3) *y++ = svi_normal_f64(11, 22, data_row[r], (uint32_t)(k * 3 + d));
}
static Val  uniform_build(void) {
  return graph_random(b.g, RANDOM_UNIFORM, a_draw(), graph_shape(b.g, EACH_K | EACH_I, 0, NULL), NO_VAL);
}
static void uniform_expect(double *y) {
  FOR(i, PARTICLES * INDICES) y[i] = svi_uniform_f64(11, 22, 0, (uint32_t)i);
}
static Val  poisson_build(void) {
  return graph_random(b.g, RANDOM_POISSON, a_draw(), graph_shape(b.g, EACH_ROW | EACH_ITEM, 0, NULL),
                      leaf(EACH_ROW, 0, 0, 0, 0, .5, 20));
}
static void poisson_expect(double *y) {
  FOR(r, ROWS) FOR(i, ITEMS) *y++ = svi_poisson_f64(11, 22, data_row[r], (uint32_t)i, X(0, r));
}
static Val  gamma_build(void) {
  return graph_random(b.g, RANDOM_GAMMA, a_draw(), graph_shape(b.g, EACH_ROW, 1, (uint32_t[]){2}),
                      leaf(EACH_ROW, 0, 0, 0, 0, .5, 6));
}
static Val  vonmises_build(void) {
  return graph_random(b.g, RANDOM_VONMISES, a_draw(), graph_shape(b.g, EACH_ROW, 1, (uint32_t[]){2}),
                      leaf(EACH_ROW, 0, 0, 0, 0, .5, 3));
}
static void vonmises_expect(double *y) {
  FOR(r, ROWS) FOR(d, 2) *y++ = svi_vonmises_f64(11, 22, data_row[r], (uint32_t)d, X(0, r));
}
static void gamma_expect(double *y) {
  FOR(r, ROWS) FOR(d, 2) *y++ = svi_standard_gamma_f64(11, 22, data_row[r], (uint32_t)d, X(0, r));
}

/* matrices: a = m m' + 3 is positive definite; only its lower triangle counts */
static Val positive_definite(AxisSet axes) {
  Val m = matrix(axes, 3, 3);
  Val row = graph_expand(b.g, graph_iota(b.g, 3), 2, 2, (uint32_t[]){3, 3});
  Val eye = graph_op2(b.g, OP_mul, graph_op2(b.g, OP_eq, row, graph_transpose(b.g, row)),
                      graph_const(b.g, 3));
  /* not even symmetric */
  return graph_op2(b.g, OP_add, graph_op2(b.g, OP_mul, m, graph_const(b.g, .4)), eye);
}
static double lower_of(uint64_t r, uint64_t i, uint64_t j) {
  return .4 * X(0, r * 9 + i * 3 + j) + (i == j ? 3 : 0);
}
static Val  cholesky_build(void) { return graph_cholesky(b.g, positive_definite(EACH_ROW)); }
static void cholesky_expect(double *y) {              /* written out for 3 x 3 */
  FOR(r, ROWS) {
    double a = lower_of(r, 0, 0), d = lower_of(r, 1, 0), c = lower_of(r, 1, 1), e = lower_of(r, 2, 0),
        f = lower_of(r, 2, 1), h = lower_of(r, 2, 2);
    double l00 = sqrt(a), l10 = d / l00, l11 = sqrt(c - l10 * l10), l20 = e / l00,
        l21 = (f - l20 * l10) / l11, l22 = sqrt(h - l20 * l20 - l21 * l21);
    memcpy(y, (double[]){l00, 0, 0, l10, l11, 0, l20, l21, l22}, 9 * sizeof *y);
    y += 9;
  }
}
static Val solve(bool lower, bool trans, bool one, AxisSet t_axes, AxisSet b_axes) {
  Val t = positive_definite(t_axes), rhs = one ? vector(b_axes, 3) : matrix(b_axes, 3, 2);
  return graph_solve_tri(b.g, t, rhs, lower, trans);
}
static Val solve_lower_build(void)       { return solve(true, false, false, EACH_ROW, 0); }
static Val solve_lower_trans_build(void) { return solve(true, true, true, 0, EACH_ROW); }
static Val solve_upper_build(void)       { return solve(false, false, true, EACH_ROW, EACH_ROW); }
static Val solve_upper_trans_build(void) { return solve(false, true, false, 0, EACH_K); }
/* The answer of a solve is checked by its equation: op(t) x = b. */
static void check_solution(const double *x, bool lower, bool trans, uint64_t m, uint64_t batch,
                           bool t_batched, bool b_batched) {
  FOR(r, batch) FOR(i, 3) FOR(c, m) {
    double s = 0;
    FOR(j, 3) {
      uint64_t p = trans ? j : i, q = trans ? i : j;
      if (lower ? q <= p : q >= p) s += lower_of(t_batched ? r : 0, p, q) * x[r * 3 * m + j * m + c];
    }
    ck_assert_double_eq_tol(s, X(1, (b_batched ? r : 0) * 3 * m + i * m + c), 1e-12);
  }
}

static Val running_build(void) { return graph_running(b.g, leaf(EACH_ROW, 2, 4, 3, 0, -1, 1), false); }
static Val after_build(void) { return graph_running(b.g, vector(EACH_K, 4), true); }
static void running_expect(double *y) {
  FOR(r, ROWS) FOR(i, 4) FOR(j, 3) { *y = 0; FOR(k, i) *y += X(0, r * 12 + k * 3 + j); y++; }
}
static void after_expect(double *y) {
  FOR(r, PARTICLES) FOR(i, 4) { *y = 0; for (uint64_t k = i + 1; k < 4; k++) *y += X(0, r * 4 + k); y++; }
}

/* h = c + 0.8 tanh(h) M with M strictly upper triangular, c [4] for each row */
static Val triangular_map(Val h) {
  uint32_t dim[] = {4, 4};
  Val i = graph_expand(b.g, graph_iota(b.g, 4), 2, 2, dim), j = graph_expand(b.g, graph_iota(b.g, 4), 1, 2, dim);
  Val m = graph_op2(b.g, OP_mul, graph_op2(b.g, OP_lt, i, j), b.leaf[1]);
  Val t = graph_op2(b.g, OP_mul, graph_op1(b.g, OP_tanh, h), graph_const(b.g, .8));
  return graph_op2(b.g, OP_add, b.leaf[0], graph_matmul(b.g, t, m));
}
static Val settle_build(void) {
  Val c = vector(EACH_ROW, 4), guess;
  matrix(0, 4, 4);
  guess = graph_guess(b.g, graph_expand_axes(b.g, graph_spread(b.g, graph_const(b.g, 0), shape_of(b.g, vector(0, 4))), shape_of(b.g, c)->axes), name_of("h"));
  return graph_settle(b.g, triangular_map(guess), guess, 4);
}
static Val implicit_build(void) {
  Val h = graph_hook(b.g, settle_build(), false);
  return graph_implicit(b.g, h, triangular_map(h), 4);
}
static void settle_expect(double *y) {
  FOR(r, ROWS) FOR(j, 4) {
    y[4 * r + j] = X(0, 4 * r + j);
    for (uint64_t i = 0; i < j; i++) y[4 * r + j] += .8 * tanh(y[4 * r + i]) * X(1, 4 * i + j);
  }
}

static const Case cases[] = {
  {OP_const,     "const",              const_build,             const_expect,       TWICE},
  {OP_param,     "param",              param_build,             param_expect,       TWICE},
  {OP_input,     "input",              input_build,             first_expect,       NO_ADJOINT},
  {OP_option,    "option",             option_build,            first_expect,       NO_ADJOINT},
  {OP_count,     "count of",           count_build,             count_expect,       TWICE},
  {OP_count,     "count all",          total_build,             total_expect,       TWICE},
  {OP_iota,      "iota dim",           iota_build,              iota_expect,        TWICE},
  {OP_iota,      "iota plate",         rows_build,              rows_expect,        TWICE},
  {OP_iota,      "iota place",         place_build,             place_expect,       TWICE},
  {OP_iota,      "iota index",         indices_build,           indices_expect,     TWICE},
  {OP_stop,      "stop",               stop_build,              first_expect,       NO_ADJOINT},
  {OP_assume,    "assume",             assume_build,            first_expect,       TWICE},
  {OP_expand,    "expand",             expand_build,            expand_expect,      TWICE},
  {OP_expand,    "expand axes",        expand_axes_build,       expand_axes_expect, TWICE},
  {OP_permute,   "permute",            permute_build,           permute_expect,     TWICE},
  {OP_reshape,   "reshape",            reshape_build,           first_expect,       TWICE},
  {OP_to_axis,   "to_axis",            to_axis_build,           to_axis_expect,     TWICE},
  {OP_to_dim,    "to_dim",             to_dim_build,            to_dim_expect,      TWICE},
  {OP_slice,     "slice",              slice_build,             slice_expect,       TWICE},
  {OP_slice,     "index",              index_build,             index_expect,       TWICE},
  {OP_pad,       "pad",                pad_build,               pad_expect,         TWICE},
  {OP_shift,     "shift by",           shift_build,             shift_expect,       TWICE},
  {OP_shift,     "shift back",         shift_back_build,        shift_back_expect,  TWICE},
  {OP_concat,    "concat",             concat_build,            concat_expect,      TWICE},
  {OP_reduce,    "sum",                sum_build,               sum_expect,         TWICE},
  {OP_reduce,    "sum of dims",        dim_sum_build,           dim_sum_expect,     TWICE},
  {OP_reduce,    "prod",               prod_build,              prod_expect,        TWICE},
  {OP_reduce,    "prod of positives",  prod_plus_build,         prod_expect,        TWICE},
  {OP_reduce,    "prod with zeros",    prod_zero_build,         prod_expect,        ONCE},
  {OP_reduce,    "greatest",           max_build,               max_expect,         TWICE},
  {OP_reduce,    "least",              min_build,               min_expect,         TWICE},
  {OP_reduce,    "logsumexp",          lse_build,               lse_expect,         TWICE},
  {OP_dot,       "matmul",             matmul_build,            matmul_expect,      TWICE},
  {OP_dot,       "outer",              outer_build,             outer_expect,       TWICE},
  {OP_dot,       "dot over rows",      rows_dot_build,          rows_dot_expect,    TWICE},
  {OP_dot,       "dot crossed",        crossed_build,           crossed_expect,     TWICE},
  {OP_dot,       "dot transposed",     transposed_build,        transposed_expect,  TWICE},
  {OP_dot,       "dot to scalar",      inner_build,             inner_expect,       TWICE},
  {OP_dot,       "dot with itself",    square_build,            square_expect,      TWICE},
  {OP_gather,    "gather dim",         gather_dim_build,        gather_dim_expect,  TWICE},
  {OP_gather,    "gather plate",       gather_axis_build,       gather_axis_expect, TWICE},
  {OP_gather,    "gather diagonal",    diagonal_build,          diagonal_expect,    TWICE},
  {OP_scatter,   "scatter dim",        scatter_dim_build,       scatter_dim_expect, TWICE},
  {OP_scatter,   "scatter the same",   scatter_same_build,      scatter_same_expect, TWICE},
  {OP_scatter,   "scatter plate",      scatter_axis_build,      scatter_axis_expect, TWICE},
  {OP_random,    "normal",             normal_build,            normal_expect,      TWICE},
  {OP_random,    "uniform",            uniform_build,           uniform_expect,     TWICE},
  {OP_random,    "poisson",            poisson_build,           poisson_expect,     NO_ADJOINT},
  {OP_random,    "gamma",              gamma_build,             gamma_expect,       NO_ADJOINT},
  {OP_random,    "vonmises",           vonmises_build,          vonmises_expect,    NO_ADJOINT},
  {OP_cholesky,  "cholesky",           cholesky_build,          cholesky_expect,    TWICE},
  {OP_solve_tri, "solve lower",        solve_lower_build,       NULL,               TWICE},
  {OP_solve_tri, "solve lower trans",  solve_lower_trans_build, NULL,               TWICE},
  {OP_solve_tri, "solve upper",        solve_upper_build,       NULL,               TWICE},
  {OP_solve_tri, "solve upper trans",  solve_upper_trans_build, NULL,               TWICE},
  {OP_running,   "sums before",        running_build,           running_expect,     TWICE},
  {OP_running,   "sums after",         after_build,             after_expect,       TWICE},
  {OP_guess,     "guess",              settle_build,            settle_expect,      NO_ADJOINT},
  {OP_settle,    "settle",             settle_build,            settle_expect,      NO_ADJOINT},
  {OP_implicit,  "implicit",           implicit_build,          settle_expect,      ONCE},
};

START_TEST(every_op_has_a_case) {
  for (int op = 0; op < OP_COUNT; op++) {
    bool found = elementwise_of((OpKind)op) != NULL;
    for (size_t i = 0; i < LEN(cases); i++) found |= cases[i].op == (OpKind)op;
    ck_assert_msg(found, "`%s` has no case in check_ops.c", op_name((OpKind)op));
  }
}
END_TEST

START_TEST(structural_op) {
  const Case *c = &cases[_i];
  Val y = c->build();
  bool there = false;
  for (Val v = 0; v <= y; v++) there |= node_of(b.g, v)->op == c->op;
  ck_assert_msg(there, "%s: the op was simplified away", c->name);
  ck_assert(graph_verify(b.g, stderr));
  uint64_t n;
  const double *out = value(y, &n);
  ck_assert_uint_eq(n, size_of(shape_of(b.g, y)));
  for (uint64_t i = 0; i < n; i++) check_within(c->name, node_of(b.g, y)->range, out[i], 1e-12);
  if (c->expect) {
    double *expected = arena_alloc(arena, n * sizeof *expected);
    c->expect(expected);
    for (uint64_t i = 0; i < n; i++)
      ck_assert_msg(fabs(out[i] - expected[i]) <= 1e-12 * (1 + fabs(expected[i])),
                    "%s[%d]: %.17g, expected %.17g", c->name, (int)i, out[i], expected[i]);
  }
  if (c->derivatives != NO_ADJOINT)
    check_derivatives(c->name, y, c->derivatives == TWICE ? SECOND_AGREES : SECOND_UNTRIED);
}
END_TEST

START_TEST(solutions_solve) {
  check_solution(value(solve_lower_build(), NULL), true, false, 2, ROWS, true, false);
  finish(), start();
  check_solution(value(solve_lower_trans_build(), NULL), true, true, 1, ROWS, false, true);
  finish(), start();
  check_solution(value(solve_upper_build(), NULL), false, false, 1, ROWS, true, true);
  finish(), start();
  check_solution(value(solve_upper_trans_build(), NULL), false, true, 2, PARTICLES, false, true);
}
END_TEST

/* The draw is not differentiable step by step (it rejects): its derivative is the implicit one. */
START_TEST(a_draw_that_rejects_has_the_implicit_gradient) {
  Val y = _i ? vonmises_build() : gamma_build(), d[LEAVES];
  Val loss = graph_reduce(b.g, REDUCE_SUM, graph_sum_all(b.g, y), EACH_ROW, 0);
  graph_grad(b.g, loss, b.leaf, b.n, d);
  const double *da = value(d[0], NULL), *z = value(y, NULL);
  double (*grad)(double, double) = _i ? svi_vonmises_grad_f64 : svi_gamma_grad_f64;
  FOR(r, ROWS) ck_assert_double_eq_tol(da[r], grad(X(0, r), z[2 * r]) + grad(X(0, r), z[2 * r + 1]), 1e-12);
}
END_TEST

START_TEST(stop_and_poisson_have_no_gradient) {
  Val d[LEAVES], culprit, loss = weighted(stop_build(), 0);
  graph_grad(b.g, loss, b.leaf, b.n, d);
  ck_assert_uint_eq(d[0], NO_VAL);
  finish(), start();
  loss = weighted(poisson_build(), 0);
  ck_assert_ptr_nonnull(graph_no_gradient(b.g, loss, b.leaf, b.n, &culprit));
}
END_TEST

START_TEST(ties_share_the_gradient) {
  Val x = vector(0, 4), d;
  memcpy(b.x[0], (double[]){1, 3, 3, 2}, 4 * sizeof(double));
  graph_grad(b.g, graph_reduce(b.g, REDUCE_MAX, x, 0, 1), &x, 1, &d);
  const double *dx = value(d, NULL);
  ck_assert(dx[0] == 0 && dx[1] == .5 && dx[2] == .5 && dx[3] == 0);
  Val relu = graph_op2(b.g, OP_max, x, graph_const(b.g, 0));
  memcpy(b.x[0], (double[]){-1, 0, 2, -0.}, 4 * sizeof(double));
  graph_grad(b.g, graph_sum_all(b.g, relu), &x, 1, &d);
  dx = value(d, NULL);
  ck_assert(dx[0] == 0 && dx[1] == 0 && dx[2] == 1 && dx[3] == 0);
}
END_TEST

/* Exactly one zero: the derivative by it is the product of the others; several zeros: none. */
START_TEST(a_product_with_zeros_has_its_gradient) {
  Val x = vector(0, 4), d;
  memcpy(b.x[0], (double[]){2, 0, 5, -1}, 4 * sizeof(double));
  graph_grad(b.g, graph_reduce(b.g, REDUCE_PROD, x, 0, 1), &x, 1, &d);
  const double *dx = value(d, NULL);
  ck_assert(dx[0] == 0 && dx[1] == -10 && dx[2] == 0 && dx[3] == 0);
  b.x[0][2] = 0;
  dx = value(d, NULL);
  ck_assert(dx[0] == 0 && dx[1] == 0 && dx[2] == 0 && dx[3] == 0);
}
END_TEST

START_TEST(an_index_outside_is_refused) {
  Val y = gather_dim_build();
  b.x[1][1] = 4;
  EvalInput in = input();
  EvalResult out;
  char error[256] = "";
  ck_assert(!graph_eval(arena, b.g, &y, 1, &in, &out, error));
  ck_assert_ptr_nonnull(strstr(error, "index 4"));
}
END_TEST

START_TEST(logsumexp_is_stable) {
  Val x = vector(0, 3), y = graph_reduce(b.g, REDUCE_LOGSUMEXP, x, 0, 1);
  memcpy(b.x[0], (double[]){1000, 1000, -INFINITY}, 3 * sizeof(double));
  ck_assert_double_eq_tol(*value(y, NULL), 1000 + log(2), 1e-12);
  memcpy(b.x[0], (double[]){-INFINITY, -INFINITY, -INFINITY}, 3 * sizeof(double));
  ck_assert(*value(y, NULL) == -INFINITY);
}
END_TEST

/* ---- builders that look through their arguments: the same over an argument they cannot look through */
static uint32_t below(uint32_t n) { return (uint32_t)uniform(0, n); }
static uint32_t dim_of(Val v)      { return below(rank_of(b.g, v)); }

/* A value of one or two dims of size 3, in one of the forms that builders know. */
static Val produced(uint32_t which) {
  Graph *g = b.g;
  Val v = vector(EACH_ROW, 3), m = matrix(EACH_K, 3, 3), s = leaf(EACH_ROW, 0, 0, 0, 0, -1, 1);
  switch (which) {
    case 0: return graph_expand(g, v, 1, 2, (uint32_t[]){3, 3});
    case 1: return graph_expand(g, v, 2, 2, (uint32_t[]){3, 3});
    case 2: return graph_expand(g, s, 3, 2, (uint32_t[]){3, 3});
    case 3: return graph_expand_axes(g, v, EACH_K | EACH_I);
    case 4: return graph_expand_axes(g, graph_expand(g, v, 1, 2, (uint32_t[]){3, 3}), EACH_I);
    case 5: return graph_transpose(g, m);
    case 6: return graph_permute(g, leaf(0, 3, 3, 3, 3, -1, 1), (uint8_t[]){2, 0, 1});
    case 7: return graph_reshape(g, leaf(EACH_K, 1, 9, 0, 0, -1, 1), 2, (uint32_t[]){3, 3});
    case 8: return graph_slice(g, matrix(EACH_K, 3, 5), 1, 1, 3);
    case 9: return graph_pad(g, matrix(EACH_K, 1, 3), 0, 1, 3);
    case 10: return graph_pad(g, matrix(EACH_K, 3, 2), 1, 0, 3);
    case 11: return graph_concat(g, (Val[]){matrix(0, 3, 1), matrix(EACH_K, 3, 2)}, 2, 1);
    case 12: return graph_to_dim(g, vector(EACH_I | EACH_ROW, 3), I, 1);
    case 13: return graph_to_axis(g, leaf(EACH_ROW, 3, 3, 3, 3, -1, 1), 1, I);
    case 14: return graph_to_axis(g, m, 0, I);
    case 15: return graph_dot(g, m, matrix(EACH_ROW, 3, 3), 0, 1, (uint8_t[]){1}, (uint8_t[]){0});
    case 16: return graph_dot(g, v, vector(EACH_ROW | EACH_K, 3), 0, 0, NULL, NULL);
    case 17: return graph_dot(g, matrix(EACH_ROW | EACH_K, 3, 3), v, EACH_ROW, 1, (uint8_t[]){0},
                              (uint8_t[]){0});
    case 18: return graph_reduce(g, REDUCE_SUM, leaf(EACH_ROW, 3, 3, 2, 3, -1, 1), EACH_ROW, 2);
    case 19: return graph_reduce(g, REDUCE_LOGSUMEXP, leaf(EACH_ROW, 3, 2, 3, 3, -1, 1), 0, 1);
    case 20: return graph_op1(g, OP_neg, m);
    case 21: return graph_op2(g, OP_mul, m, graph_const(g, .3));
    case 22: return graph_iota(g, 3);
    case 23: return graph_expand(g, m, 2, 3, (uint32_t[]){3, 3, 3});
    default: return graph_reduce(g, REDUCE_PROD, leaf(EACH_ROW, 3, 3, 2, 3, .5, 1.5), EACH_ROW, 2);
  }
}
enum { PRODUCERS = 25, CONSUMERS = 16 };

static Val consumed(uint32_t which, Val v, uint64_t seed) {
  static const AxisSet some_axes[] = {0, EACH_ROW, EACH_K, EACH_I, EACH_ROW | EACH_I, EACH_K | EACH_ROW,
                                      EACH_ITEM};
  Graph *g = b.g;
  state = seed;                                         /* the same choices for both */
  uniform(0, 1);
  uint32_t rank = rank_of(g, v), dims = below(1u << rank), d = dim_of(v);
  AxisSet axes = some_axes[below(LEN(some_axes))];
  switch (which) {
    case 0: return graph_reduce(g, REDUCE_SUM, v, axes, dims);
    case 1: return graph_reduce(g, REDUCE_PROD, graph_assume(g, v, RANGE_REAL), axes, dims);
    case 2: return graph_reduce(g, REDUCE_MAX, v, axes, dims);
    case 3: return graph_reduce(g, REDUCE_LOGSUMEXP, v, axes, dims);
    case 4: return graph_slice(g, v, d, below(2), 2);
    case 5: return graph_index(g, v, d, below(3));
    case 6: return graph_pad(g, v, d, below(3), 5);
    case 7: return rank == 2 ? graph_transpose(g, v) : rank == 3 ? graph_permute(g, v, (uint8_t[]){1, 2, 0})
        : v;
    case 8: return graph_reshape(g, v, 2, (uint32_t[]){rank == 3 ? 9 : 1, rank == 1 ? 3 : rank == 2 ? 9 : 3});
    case 9: return graph_to_axis(g, v, d, I);
    case 10: return graph_to_dim(g, v, I, below(rank + 1));
    case 11: return graph_gather(g, v, index_leaf(EACH_ITEM, 3), d, NO_VAL);
    case 12: return graph_expand(g, v, 1, rank + 1, (uint32_t[]){2, 3, 3, 3});
    case 13: return rank == 3 ? v
        : graph_dot(g, v, matrix(EACH_ITEM, 3, 2), axes, 1, (uint8_t[]){(uint8_t)d}, D0);
    case 14: return graph_concat(g, (Val[]){v, v}, 2, d);
    default: return graph_gather(g, v, index_leaf(EACH_ITEM, ROWS), 0, ROW);
  }
}

START_TEST(views_are_looked_through) {
  for (uint32_t c = 0; c < CONSUMERS; c++)
    for (uint64_t seed = 0; seed < 12; seed++) {
      finish(), start();
      state = seed + 99;
      Val v = produced((uint32_t)_i), hidden = graph_add(b.g, OP_stop, 1, &v, attr_none(), NULL);
      uint32_t leaves = b.n;
      Val through = consumed(c, v, seed);
      uint32_t after = b.n;
      b.n = leaves;                                     /* the second may ask for the same leaf again */
      Val over = consumed(c, hidden, seed);
      b.n = after > b.n ? after : b.n;
      ck_assert(graph_verify(b.g, stderr));
      Val roots[] = {through, over};
      const char *what = name_printf("%s of %s, choice %d", op_name(node_of(b.g, over)->op),
                                     op_name(node_of(b.g, v)->op), (int)seed);
      ck_assert_msg(!memcmp(shape_of(b.g, through)->dim, shape_of(b.g, over)->dim,
                            sizeof shape_of(b.g, over)->dim), "%s: dims", what);
      /* the simpler one may lack axes along which it is the same */
      Val difference_ = graph_add(b.g, OP_sub, 2, roots, attr_none(), NULL);
      ck_assert_ptr_eq(shape_of(b.g, difference_), shape_of(b.g, over));
      uint64_t n;
      const double *d = value(difference_, &n);
      for (uint64_t i = 0; i < n; i++)
        ck_assert_msg(fabs(d[i]) < 1e-12, "%s: element %d differs by %g", what, (int)i, d[i]);
    }
}
END_TEST

/* With `single`, draws are the float generator's. */
START_TEST(single_draws_are_those_of_the_float_generator) {
  Val y = normal_build();
  EvalInput in = input();
  EvalResult out;
  char error[256];
  in.single = true;
  ck_assert(graph_eval(arena, b.g, &y, 1, &in, &out, error));
  FOR(r, ROWS) FOR(k, PARTICLES) FOR(d, 3)
    ck_assert_double_eq(out.value[y][(r * PARTICLES + k) * 3 + d],
                        (double)svi_normal_f32(11, 22, data_row[r], (uint32_t)(k * 3 + d)));
}
END_TEST

int main(void) {
  Suite *s = suite_create("ops");
  TCase *c = tcase_create("elementwise");
  tcase_add_checked_fixture(c, start, finish);
  tcase_add_loop_test(c, elementwise_row, 0, elementwise_count());
  tcase_add_loop_test(c, elementwise_range, 0, elementwise_count());
  suite_add_tcase(s, c);
  c = tcase_create("structural");
  tcase_add_checked_fixture(c, start, finish);
  tcase_add_test(c, every_op_has_a_case);
  tcase_add_loop_test(c, structural_op, 0, (int)LEN(cases));
  tcase_add_loop_test(c, views_are_looked_through, 0, PRODUCERS);
  tcase_add_test(c, solutions_solve);
  tcase_add_loop_test(c, a_draw_that_rejects_has_the_implicit_gradient, 0, 2);
  tcase_add_test(c, stop_and_poisson_have_no_gradient);
  tcase_add_test(c, ties_share_the_gradient);
  tcase_add_test(c, a_product_with_zeros_has_its_gradient);
  tcase_add_test(c, an_index_outside_is_refused);
  tcase_add_test(c, logsumexp_is_stable);
  tcase_add_test(c, single_draws_are_those_of_the_float_generator);
  suite_add_tcase(s, c);
  SRunner *run = srunner_create(s);
  srunner_set_fork_status(run, getenv("CK_FORK") ? CK_FORK : CK_NOFORK);
  srunner_run_all(run, CK_NORMAL);
  int failed = srunner_ntests_failed(run);
  srunner_free(run);
  return failed != 0;
}
