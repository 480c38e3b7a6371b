/* cholesky and solve_tri: the last word on a matrix [n, n], one for each element of the axes; running sums.
 *
 * cholesky reads the lower triangle of its argument only, so its adjoint is lower triangular: what belongs to
 * a[j, i] is given to a[i, j].  solve_tri reads one triangle of t.  Sources: Murray, "Differentiation of the
 * Cholesky decomposition" (2016); Giles, "Collected matrix derivative results" (2008). */
#include "op.h"
#include <math.h>

static const char *differentiable(const Node *n, uint32_t i) {
  (void)n, (void)i;
  return NULL;
}
static bool is_square(const Shape *s) { return s->rank == 2 && s->dim[0] == s->dim[1]; }

/* 1 on one side of the diagonal and `diagonal` on it, [n, n] */
static Val triangle(Graph *g, uint32_t n, bool lower, double diagonal) {
  uint32_t dim[] = {n, n};
  Val row = graph_expand(g, graph_iota(g, n), 2, 2, dim), col = graph_expand(g, graph_iota(g, n), 1, 2, dim);
  Val strict = lower ? graph_op2(g, OP_lt, col, row) : graph_op2(g, OP_lt, row, col);
  return graph_op2(g, OP_add, strict,
                   graph_op2(g, OP_mul, graph_op2(g, OP_eq, row, col), graph_const(g, diagonal)));
}

/* ---- cholesky: a = l l', l lower */
Val graph_cholesky(Graph *g, Val a) { return graph_add(g, OP_cholesky, 1, &a, attr_none(), NULL); }

static const Shape *cholesky_shape(Graph *g, const Node *n) {
  const Shape *a = shape_of_arg(g, n, 0);
  return is_square(a) ? a : NULL;
}
static Range cholesky_range(const Graph *g, const Node *n) {
  (void)g, (void)n;
  Range r = RANGE_REAL;
  r.form = FORM_CHOLESKY;
  return r;
}
static Val cholesky_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from, (void)n;
  return graph_cholesky(to, arg[0]);
}
/* With p = half(l' dl), half: the lower triangle, its diagonal halved; s = l^-T p l^-1; da = half(s + s').
 * The strictly upper part of dl, which belongs to zeros of l, does not reach the lower triangle of l' dl. */
static void cholesky_grad(Graph *g, Val l, Val dl, Val *d) {
  uint32_t n = shape_of(g, l)->dim[0];
  Val half = triangle(g, n, true, .5);
  Val p = graph_op2(g, OP_mul, graph_matmul(g, graph_transpose(g, l), dl), half);
  /* s' */
  Val s = graph_solve_tri(g, l, graph_transpose(g, graph_solve_tri(g, l, p, true, true)), true, true);
  d[0] = graph_op2(g, OP_mul, graph_op2(g, OP_add, s, graph_transpose(g, s)), half);
}
static bool cholesky_eval(Eval *e, Val y) {
  const Node *node = node_of(e->g, y);
  uint64_t n = node->shape->dim[0], batch = e->out->size[y] / (n * n);
  for (uint64_t b = 0; b < batch; b++) {
    const double *a = eval_value(e, node->arg[0]) + b * n * n;
    double *l = eval_value(e, y) + b * n * n;
    for (uint64_t i = 0; i < n; i++)
      for (uint64_t j = 0; j <= i; j++) {
        double s = a[i * n + j];
        for (uint64_t k = 0; k < j; k++) s -= l[i * n + k] * l[j * n + k];
        l[i * n + j] = i == j ? sqrt(s) : s / l[j * n + j];
      }
  }
  return true;
}
const Op op_cholesky = {
  .name = "cholesky", .nargs = 1, .joins_axes = true, .shape = cholesky_shape, .range = cholesky_range,
  .copy = cholesky_copy, .grad = cholesky_grad, .obstacle = differentiable, .eval = cholesky_eval };

/* ---- solve_tri: op(t) x = b, with op(t) = t or t' */
Val graph_solve_tri(Graph *g, Val t, Val b, bool lower, bool trans) {
  if (graph_is(g, b, 0)) return b;
  Attr at = attr_none();
  at.linalg.lower = lower;
  at.linalg.trans = trans;
  return graph_add(g, OP_solve_tri, 2, (Val[]){t, b}, at, NULL);
}
static const Shape *solve_shape(Graph *g, const Node *n) {
  const Shape *t = shape_of_arg(g, n, 0), *b = shape_of_arg(g, n, 1);
  if (!is_square(t) || b->rank < 1 || b->rank > 2 || b->dim[0] != t->dim[0]) return NULL;
  return shape_with(g, b, t->axes | b->axes);
}
static Range solve_range(const Graph *g, const Node *n) {
  (void)g, (void)n;
  return RANGE_REAL;
}
static Val solve_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_solve_tri(to, arg[0], arg[1], n->attr.linalg.lower, n->attr.linalg.trans);
}
/* db = op(t)^-T dx;  d op(t) = -db x', of which the triangle that is read counts. */
static void solve_grad(Graph *g, Val x, Val dx, Val *d) {
  Node n = *node_of(g, x);
  bool lower = n.attr.linalg.lower, trans = n.attr.linalg.trans;
  Val db = graph_solve_tri(g, n.arg[0], dx, lower, !trans);
  uint32_t pairs = n.shape->rank - 1;
  uint8_t one[] = {1};
  Val outer = trans ? graph_dot(g, x, db, 0, pairs, one, one) : graph_dot(g, db, x, 0, pairs, one, one);
  d[0] = graph_op1(g, OP_neg, graph_op2(g, OP_mul, outer, triangle(g, n.shape->dim[0], lower, 1)));
  d[1] = db;
}

/* One matrix t [n, n] and m right sides, x [n, m] in place. */
static void solve_one(const double *t, double *x, uint64_t n, uint64_t m, bool lower, bool trans) {
  bool forward = lower != trans;
  for (uint64_t k = 0; k < n; k++) {
    uint64_t i = forward ? k : n - 1 - k;
    for (uint64_t c = 0; c < m; c++) {
      double s = x[i * m + c];
      for (uint64_t q = 0; q < k; q++) {
        uint64_t j = forward ? q : n - 1 - q;
        s -= (trans ? t[j * n + i] : t[i * n + j]) * x[j * m + c];
      }
      x[i * m + c] = s / t[i * n + i];
    }
  }
}
static bool solve_eval(Eval *e, Val y) {
  const Node *node = node_of(e->g, y);
  const Shape *s = node->shape, *ts = shape_of_arg(e->g, node, 0), *bs = shape_of_arg(e->g, node, 1);
  uint64_t n = ts->dim[0], size = shape_event_size(s);
  Loop l = {0};
  loop_axes(&l, e, s->axes, s, ts, bs, NULL);
  for (loop_start(&l); l.more; loop_next(&l)) {
    double *x = eval_value(e, y) + l.at[0];
    memcpy(x, eval_value(e, node->arg[1]) + l.at[2], size * sizeof *x);
    solve_one(eval_value(e, node->arg[0]) + l.at[1], x, n, size / n, node->attr.linalg.lower,
              node->attr.linalg.trans);
  }
  return true;
}
static void solve_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fprintf(out, " %s%s", n->attr.linalg.lower ? "lower" : "upper", n->attr.linalg.trans ? " transposed" : "");
}
static bool solve_read(TextIn *in, Node *n) {
  n->attr.linalg.lower = text_word(in, "lower");
  if (!n->attr.linalg.lower && !text_word(in, "upper")) return text_fail(in, "`lower` or `upper` is missing");
  n->attr.linalg.trans = text_word(in, "transposed");
  return true;
}
const Op op_solve_tri = {
  .name = "solve_tri", .nargs = 2, .joins_axes = true, .shape = solve_shape, .range = solve_range,
  .copy = solve_copy, .grad = solve_grad, .obstacle = differentiable, .eval = solve_eval,
      .print = solve_print, .read = solve_read };

/* ---- running: y[i] = sum of a[k] over k < i, or k > i (trans: after), along the first dim */
Val graph_running(Graph *g, Val a, bool after) {
  if (graph_is(g, a, 0)) return a;
  Attr at = attr_none();
  at.linalg.trans = after;
  return graph_add(g, OP_running, 1, &a, at, NULL);
}
static const Shape *running_shape(Graph *g, const Node *n) { return shape_of_arg(g, n, 0)->rank ? shape_of_arg(g, n, 0) : NULL; }
static Range running_range(const Graph *g, const Node *n) { return range_scale(range_of_arg(g, n, 0), 0, n->shape->dim[0] - 1.); }
static Val running_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  (void)from;
  return graph_running(to, arg[0], n->attr.linalg.trans);
}
static void running_grad(Graph *g, Val y, Val dy, Val *d) { d[0] = graph_running(g, dy, !node_of(g, y)->attr.linalg.trans); }
static bool running_eval(Eval *e, Val y) {
  const Node *node = node_of(e->g, y);
  uint64_t n = node->shape->dim[0], m = shape_event_size(node->shape) / n, batch = m ? e->out->size[y] / (n * m) : 0;
  for (uint64_t b = 0; b < batch; b++)
    for (uint64_t c = 0; c < m; c++) {
      const double *a = eval_value(e, node->arg[0]) + b * n * m + c;
      double *out = eval_value(e, y) + b * n * m + c, s = 0;
      for (uint64_t k = 0; k < n; k++) {
        uint64_t i = node->attr.linalg.trans ? n - 1 - k : k;
        out[i * m] = s;
        s += a[i * m];
      }
    }
  return true;
}
static void running_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fputs(n->attr.linalg.trans ? " after" : " before", out);
}
static bool running_read(TextIn *in, Node *n) {
  n->attr.linalg.trans = text_word(in, "after");
  return n->attr.linalg.trans || text_word(in, "before") || text_fail(in, "`before` or `after` is missing");
}
const Op op_running = {
  .name = "running", .nargs = 1, .shape = running_shape, .range = running_range, .copy = running_copy, .grad = running_grad,
  .obstacle = differentiable, .eval = running_eval, .print = running_print, .read = running_read };
