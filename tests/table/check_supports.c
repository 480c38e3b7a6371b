/* Every row of compiler/types/support.def, one element and several, in double and in single precision:
 *
 *   shapes; u -> x -> u and x -> u -> x; x keeps its constraint; log |det| against the determinant of the numerically differenced
 *   Jacobian; gradients of the three functions against differences; extremes finite.
 *
 * A row is tested because it is in the table.  What a row needs beside (ends, how far out rounding leaves a value inside) is in
 * `kinds` below, by its name, and a row without an entry fails. */
#include "../../compiler/types/value.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { MOST = 1000 };
static Arena   *arena;
static Checker *c;
static uint32_t row_axis;

/* ---- the rows */
static const struct { const char *name; uint32_t own; Range range; } rows[] = {
#define SUPPORT(name, own, ends, size, ...) {#name, own, {__VA_ARGS__}},
#define DISCRETE(...)
#include "../../compiler/types/support.def"
#undef SUPPORT
#undef DISCRETE
};
/* ends; `far`: the largest |u| whose x is checked to lie strictly inside: steps of 1e-6 beside 100 still show in double precision;
 * far32 likewise in single. */
static const struct { const char *name; double lo, hi, far, far32; } kinds[] = {
  {"real",          0, 0,      1e4, 1e4},
  {"positive",      0, 0,      1e4, 1e4},
  {"nonneg",        0, 0,      1e4, 1e4},
  {"unit",          0, 0,      1e4, 1e4},
  {"above",        -1.5, 0,    1e4, 1e4},
  {"below",         0, 4,      1e4, 1e4},
  {"interval",      0.1, 0.3,  1e4, 1e4},
  {"simplex",       0, 0,      1e4, 1e4},
  {"ordered",       0, 0,      12,  3},
  {"cholesky",      0, 0,      1e4, 1e4},
  {"corr_cholesky", 0, 0,      1e4, 1e4},
};
enum { ROWS = LEN(rows) };

typedef struct { const char *name; uint32_t own; Range range; double far, far32; } Row;
static Row row_of(int i) {
  Row r = {rows[i].name, rows[i].own, rows[i].range, 0, 0};
  for (size_t k = 0; k < LEN(kinds); k++) {
    if (strcmp(kinds[k].name, r.name) != 0) continue;
    if (isnan(r.range.lo)) r.range.lo = kinds[k].lo;
    if (isnan(r.range.hi)) r.range.hi = kinds[k].hi;
    r.far = kinds[k].far, r.far32 = kinds[k].far32;
    return r;
  }
  ck_abort_msg("support `%s` is in support.def and not in the table of this test", r.name);
}

/* ---- a checker without a model, values of leaves */
static void set_up(void) {
  arena = arena_new();
  Sources *sources = sources_new(arena);
  Diag *diag = diag_new(arena, sources);
  const char *text = "plate row\n";
  c = types_check(arena, diag, sources, ast_parse(arena, source_add(sources, "none.svm", text, strlen(text), false), diag), NULL, 0, NULL, 0)->check;
  row_axis = (uint32_t)plate_axis(c, name_of("row"));
}
static void tear_down(void) { arena_free(arena); }

static const double *given;                    /* of the leaf */
static uint64_t ngiven;
static bool give_leaf(void *context, const Graph *g, Val v, double *out, uint64_t n) {
  (void)context, (void)g, (void)v;
  ck_assert_uint_eq(n, ngiven);
  for (uint64_t i = 0; i < n; i++) out[i] = given[i];
  return true;
}
enum { PLATE_ROWS = 2 };
static uint64_t evaluate(Val root, const double *leaf, uint64_t n, bool single, double *out) {
  EvalInput in = {.leaf = give_leaf, .single = single};
  EvalResult r;
  char error[256];
  given = leaf, ngiven = n;
  in.size[row_axis] = in.total[row_axis] = PLATE_ROWS;
  Arena *scratch = arena_new();
  if (!graph_eval(scratch, c->g, &root, 1, &in, &r, error)) ck_abort_msg("%s", error);
  uint64_t size = r.size[root];
  ck_assert_uint_le(size, MOST);
  memcpy(out, r.value[root], size * sizeof *out);
  arena_free(scratch);
  return size;
}

static uint64_t state;
static double uniform(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return ((double)(state >> 11) + 0.5) * 0x1p-53;
}

/* ---- a support at a size: leaves u and x, and what is made of them */
typedef struct {
  Row row;
  uint32_t K, urank, udim[DIM_MAX], rank, dim[DIM_MAX];
  uint64_t nu, nx;                     /* elements, with those of the plate */
  Val u, x, to, from, det;
  const char *text;
} Case;

typedef struct { uint32_t n, lead[2]; bool plate; } Lead;
static const Lead leads[] = {{0, {0}, false}, {1, {3}, false}, {2, {2, 2}, false}, {1, {2}, true}, {0, {0}, true}};

static bool make(Case *k, int i, uint32_t K, Lead lead) {
  *k = (Case){.row = row_of(i), .K = K};
  for (uint32_t d = 0; d < lead.n; d++) k->dim[k->rank++] = lead.lead[d];
  for (uint32_t d = 0; d < k->row.own; d++) k->dim[k->rank++] = K;
  k->text = name_printf("%s, K = %u, %u axes before%s", k->row.name, K, lead.n, lead.plate ? ", of a plate" : "");
  ck_assert_msg(support_unconstrained(k->row.range, k->rank, k->dim, &k->urank, k->udim), "%s", k->text);
  AxisSet axes = lead.plate ? (AxisSet)1 << row_axis : 0;
  const Shape *su = graph_shape(c->g, axes, k->urank, k->udim), *sx = graph_shape(c->g, axes, k->rank, k->dim);
  uint64_t copies = lead.plate ? PLATE_ROWS : 1;
  k->nu = shape_event_size(su) * copies, k->nx = shape_event_size(sx) * copies;
  if (k->nu == 0) return false;                               /* one value, stored in nothing */
  k->u = graph_leaf(c->g, OP_param, name_printf("u%s", k->text), 0, su, RANGE_REAL);
  k->x = graph_leaf(c->g, OP_param, name_printf("x%s", k->text), 0, sx, RANGE_REAL);
  k->to = support_constrain(c, k->u, k->row.range);
  k->from = support_unconstrain(c, k->x, k->row.range);
  k->det = support_log_det(c, k->u, k->row.range);
  ck_assert_msg(shape_of(c->g, k->to) == sx, "%s: to_ has another shape", k->text);
  ck_assert_msg(shape_of(c->g, k->from) == su, "%s: from_ has another shape", k->text);
  ck_assert_msg(range_within(node_of(c->g, k->to)->range, k->row.range), "%s: the range of to_", k->text);
  const Shape *sd = shape_of(c->g, k->det);
  ck_assert_msg(sd->rank == k->rank - k->row.own && memcmp(sd->dim, k->dim, sd->rank * sizeof *sd->dim) == 0, "%s: log_det_ has another shape", k->text);
  return true;
}
#define EACH_CASE(k, i) \
  for (uint32_t K = 1; K <= 7; K += K < 4 ? 1 : 3) \
    for (size_t lead_ = 0; lead_ < LEN(leads); lead_++) \
      if ((rows[i].own || K == 1) && make(&k, i, K, leads[lead_]))

static void fill(double *u, uint64_t n, double scale) {
  for (uint64_t i = 0; i < n; i++) u[i] = scale * (2 * uniform() - 1);
}

/* ---- tests */
START_TEST(a_row_is_found_by_its_range) {
  double end[2];
  Row r = row_of(_i);
  ck_assert_str_eq(support_text("to", r.range, "u") ? support_text("to", r.range, "u") : "none",
                   strcmp(r.name, "above") == 0 ? "to_above(u, -1.5)" : strcmp(r.name, "below") == 0 ? "to_below(u, 4)"
                   : strcmp(r.name, "interval") == 0 ? "to_interval(u, 0.10000000000000001, 0.29999999999999999)" : name_printf("to_%s(u)", r.name));
  ck_assert(support_of(r.range, end) != NULL);
}
END_TEST

START_TEST(whole_values_have_none) {
  static const Range whole[] = {
#define SUPPORT(...)
#define DISCRETE(name, own, ...) {__VA_ARGS__},
#include "../../compiler/types/support.def"
#undef SUPPORT
#undef DISCRETE
    {0, 9, false, false, true, FORM_PLAIN}};
  double end[2];
  for (size_t i = 0; i < LEN(whole); i++) ck_assert(support_of(whole[i], end) == NULL && support_text("to", whole[i], "u") == NULL);
}
END_TEST

START_TEST(there_and_back) {
  Case k;
  double u[MOST], x[MOST], back[MOST], again[MOST];
  state = 1;
  EACH_CASE(k, _i)
    for (int turn = 0; turn < 6; turn++) {
      fill(u, k.nu, turn < 3 ? 2 : 8);
      ck_assert_uint_eq(evaluate(k.to, u, k.nu, false, x), k.nx);
      ck_assert_uint_eq(evaluate(k.from, x, k.nx, false, back), k.nu);
      for (uint64_t i = 0; i < k.nu; i++) ck_assert_msg(fabs(back[i] - u[i]) < 1e-8, "%s: u[%d] = %.15g comes back as %.15g", k.text, (int)i, u[i], back[i]);
      evaluate(k.to, back, k.nu, false, again);
      for (uint64_t i = 0; i < k.nx; i++) ck_assert_msg(fabs(again[i] - x[i]) <= 1e-10 * (1 + fabs(x[i])), "%s: x[%d] = %.15g comes back as %.15g", k.text, (int)i, x[i], again[i]);
    }
}
END_TEST

START_TEST(extremes_come_back_as_values) {
  Case k;
  double u[MOST], x[MOST], back[MOST], again[MOST];
  state = 2;
  EACH_CASE(k, _i)
    for (double far = 15; far <= 35; far += 10) {
      for (uint64_t i = 0; i < k.nu; i++) u[i] = uniform() < 0.5 ? -far : far;
      evaluate(k.to, u, k.nu, false, x);
      evaluate(k.from, x, k.nx, false, back);
      if (strcmp(k.row.name, "ordered") == 0) continue;                        /* steps that were rounded away */
      evaluate(k.to, back, k.nu, false, again);
      for (uint64_t i = 0; i < k.nx; i++) ck_assert_msg(fabs(again[i] - x[i]) <= 1e-10 * (1e-6 + fabs(x[i])) + 1e-15, "%s: x[%d] = %.15g comes back as %.15g", k.text, (int)i, x[i], again[i]);
    }
}
END_TEST

START_TEST(values_keep_their_constraint) {
  static const double sizes[] = {0, 0.5, 3, 12, 40, 100, 1000, 1e4};
  Case k;
  double u[MOST], x[MOST];
  state = 3;
  EACH_CASE(k, _i)
    for (int single = 0; single < 2; single++)
      for (size_t s = 0; s < LEN(sizes) && sizes[s] <= (single ? k.row.far32 : k.row.far); s++)
        for (int turn = 0; turn < 4; turn++) {
          fill(u, k.nu, sizes[s]);
          if (turn > 1) for (uint64_t i = 0; i < k.nu; i++) u[i] = u[i] < 0 ? -sizes[s] : sizes[s];
          evaluate(k.to, u, k.nu, single, x);
          Range r = k.row.range;
          if (single && isfinite(r.hi)) r.hi = (float)r.hi;                    /* 0.3 is a little more in single precision */
          const Shape *one = graph_shape(c->g, 0, k.rank, k.dim);
          for (uint64_t at = 0; at < k.nx; at += shape_event_size(one)) {
            const char *fault = support_fault(r, one, x + at);
            ck_assert_msg(fault == NULL, "%s, |u| up to %g, %s precision: %s", k.text, sizes[s], single ? "single" : "double", fault);
          }
        }
}
END_TEST

/* What is made of a value next: logarithms, squares and reciprocals of what is positive. */
START_TEST(extremes_are_finite_in_single_precision) {
  static const double sizes[] = {30, 90, 150, 1000, 1e4};
  Case k;
  double u[MOST], y[MOST];
  state = 4;
  EACH_CASE(k, _i) {
    Val weighed = graph_sum_all(c->g, graph_op2(c->g, OP_mul, k.to, graph_const(c->g, 1.7)));
    Val roots[4] = {k.to, k.det, weighed, graph_sum_all(c->g, k.det)};
    if (shape_of(c->g, weighed)->axes) for (int q = 2; q < 4; q++) roots[q] = graph_reduce(c->g, REDUCE_SUM, roots[q], (AxisSet)1 << row_axis, 0);
    for (int q = 2; q < 4; q++) {
      graph_grad(c->g, roots[q], &k.u, 1, &roots[q]);
      ck_assert_msg(roots[q] != NO_VAL || (q == 3 && strcmp(k.row.name, "real") == 0) || (q == 3 && K == 1 && strcmp(k.row.name, "ordered") == 0), "%s: no gradient", k.text);
    }
    for (size_t s = 0; s < LEN(sizes); s++)
      for (int turn = 0; turn < 4; turn++) {
        for (uint64_t i = 0; i < k.nu; i++) u[i] = turn == 0 ? sizes[s] : turn == 1 ? -sizes[s] : uniform() < 0.5 ? sizes[s] : -sizes[s];
        for (int q = 0; q < 4; q++) {
          if (roots[q] == NO_VAL) continue;
          uint64_t n = evaluate(roots[q], u, k.nu, true, y);
          for (uint64_t i = 0; i < n; i++) ck_assert_msg(isfinite(y[i]), "%s, |u| = %g: element %d of %d is %g", k.text, sizes[s], (int)i, q, y[i]);
        }
        uint64_t n = evaluate(k.to, u, k.nu, true, y);
        Form_ form = k.row.range.form;
        bool positive = k.row.range.lo == 0 && k.row.range.lo_open, factor = form == FORM_CHOLESKY || form == FORM_CORR_CHOLESKY;
        for (uint64_t i = 0; i < n; i++) {
          if (factor && i % K != i / K % K) continue;                          /* the diagonal alone */
          if (!positive && !factor && form != FORM_SIMPLEX) continue;
          float v = (float)y[i];
          ck_assert_msg(v > 0 && isfinite(logf(v)) && isfinite(1 / v), "%s, |u| = %g: %g is too near 0", k.text, sizes[s], y[i]);
          if (form != FORM_SIMPLEX) ck_assert_msg(isfinite(1 / (v * v)) && v * v > 0, "%s, |u| = %g: the square of %g", k.text, sizes[s], y[i]);
        }
      }
  }
}
END_TEST

/* ---- the Jacobian */
/* Which elements of x are its coordinates. */
static uint32_t coordinates(const Case *k, uint32_t *at) {
  uint32_t n = 0;
  if (k->row.own == 0) at[n++] = 0;
  if (k->row.own == 1) for (uint32_t i = 0; i + (k->row.range.form == FORM_SIMPLEX) < k->K; i++) at[n++] = i;
  for (uint32_t i = 0; k->row.own == 2 && i < k->K; i++)
    for (uint32_t j = 0; j + (k->row.range.form == FORM_CORR_CHOLESKY) <= i; j++) at[n++] = i * k->K + j;
  return n;
}
static double log_abs_det(double *a, uint32_t n) {
  double sum = 0;
  for (uint32_t p = 0; p < n; p++) {
    uint32_t best = p;
    for (uint32_t i = p; i < n; i++) if (fabs(a[i * n + p]) > fabs(a[best * n + p])) best = i;
    for (uint32_t j = 0; j < n; j++) { double t = a[p * n + j]; a[p * n + j] = a[best * n + j], a[best * n + j] = t; }
    sum += log(fabs(a[p * n + p]));
    for (uint32_t i = p + 1; i < n; i++) {
      double f = a[i * n + p] / a[p * n + p];
      for (uint32_t j = p; j < n; j++) a[i * n + j] -= f * a[p * n + j];
    }
  }
  return sum;
}
static double differenced(Val root, double *at, uint64_t n, uint64_t i, uint64_t element) {     /* error h^4 */
  const double h = 1e-3, x = at[i];
  static const struct { double step, weight; } points[] = {{1, 8}, {-1, -8}, {2, -1}, {-2, 1}};
  double y[MOST], sum = 0;
  for (int p = 0; p < 4; p++) {
    at[i] = x + points[p].step * h;
    evaluate(root, at, n, false, y);
    sum += points[p].weight * y[element];
  }
  at[i] = x;
  return sum / (12 * h);
}

START_TEST(log_det_is_that_of_the_jacobian) {
  Case k;
  double u[MOST], det[MOST], jacobian[MOST], y[MOST];
  uint32_t at[MOST];
  state = 5;
  EACH_CASE(k, _i) {
    if (leads[lead_].n == 2) continue;
    uint64_t each = k.row.own ? k.udim[k.urank - 1] : 1, elements = k.nu / each, width = k.nx / elements;
    for (int turn = 0; turn < 3; turn++) {
      fill(u, k.nu, turn < 2 ? 2 : 4);
      ck_assert_uint_le(evaluate(k.det, u, k.nu, false, det), elements);
      uint32_t n = coordinates(&k, at);
      ck_assert_msg(n == each, "%s: %u coordinates are stored in %d numbers", k.text, n, (int)each);
      for (uint64_t e = 0; e < elements; e++) {
        for (uint32_t i = 0; i < n; i++) for (uint32_t j = 0; j < n; j++) jacobian[i * n + j] = differenced(k.to, u, k.nu, e * each + j, e * width + at[i]);
        double want = log_abs_det(jacobian, n), got = evaluate(k.det, u, k.nu, false, y) == elements ? y[e] : y[e % shape_event_size(shape_of(c->g, k.det))];
        ck_assert_msg(fabs(got - want) < 1e-7 * (1 + fabs(want)), "%s: log |det| of element %d is %.12g and should be %.12g", k.text, (int)e, got, want);
      }
    }
  }
}
END_TEST

static void gradient_holds(const Case *k, Val y, Val leaf, double *at, uint64_t n, const char *what) {
  const Shape *s = shape_of(c->g, y);
  Val weight = graph_const(c->g, 0);                            /* sum of cos(1 + i) y[i], different for every element */
  Val flat = graph_reshape(c->g, y, 1, (uint32_t[]){(uint32_t)shape_event_size(s)});
  weight = graph_op1(c->g, OP_cos, graph_op2(c->g, OP_add, graph_iota(c->g, (uint32_t)shape_event_size(s)), graph_const(c->g, 1)));
  Val root = graph_sum_all(c->g, graph_op2(c->g, OP_mul, flat, weight)), grad;
  if (s->axes) root = graph_reduce(c->g, REDUCE_SUM, root, s->axes, 0);
  graph_grad(c->g, root, &leaf, 1, &grad);
  double got[MOST];
  for (uint64_t i = 0; i < n; i++) got[i] = 0;
  if (grad != NO_VAL) ck_assert_uint_eq(evaluate(grad, at, n, false, got), n);
  for (uint64_t i = 0; i < n; i++) {
    double want = differenced(root, at, n, i, 0);
    ck_assert_msg(fabs(got[i] - want) < 1e-6 * (1 + fabs(want)), "%s, %s: derivative by element %d is %.10g and should be %.10g", k->text, what, (int)i, got[i], want);
  }
}
START_TEST(gradients_agree_with_differences) {
  Case k;
  double u[MOST], x[MOST];
  state = 6;
  EACH_CASE(k, _i) {
    if (K == 7 && k.row.own == 2 && lead_) continue;
    fill(u, k.nu, 1.5);
    gradient_holds(&k, k.to, k.u, u, k.nu, "to");
    gradient_holds(&k, k.det, k.u, u, k.nu, "log_det");
    evaluate(k.to, u, k.nu, false, x);
    if (strcmp(k.row.name, "interval") == 0) for (uint64_t i = 0; i < k.nx; i++) x[i] = 0.17 + 0.06 * uniform();   /* room for the differences */
    if (strcmp(k.row.name, "simplex") == 0) for (uint64_t i = 0; i < k.nx; i++) x[i] = 0.2 + x[i];
    gradient_holds(&k, k.from, k.x, x, k.nx, "from");
  }
}
END_TEST

/* ---- where 0 goes */
START_TEST(zero_is_in_the_middle) {
  Case k;
  double u[MOST] = {0}, x[MOST];
  EACH_CASE(k, _i) {
    evaluate(k.to, u, k.nu, false, x);
    for (uint64_t i = 0; i < k.nx; i++) {
      bool diagonal = i % K == i / K % K;
      double want = k.row.range.form == FORM_SIMPLEX ? 1.0 / K : k.row.range.form == FORM_ORDERED ? (double)(i % K) * log(2)
                  : k.row.own == 2 ? diagonal : strcmp(k.row.name, "unit") == 0 ? 0.5 : strcmp(k.row.name, "interval") == 0 ? 0.2
                  : strcmp(k.row.name, "real") == 0 ? 0 : strcmp(k.row.name, "above") == 0 ? -1.5 + log(2) : strcmp(k.row.name, "below") == 0 ? 4 - log(2) : log(2);
      ck_assert_msg(fabs(x[i] - want) < 1e-14, "%s: element %d of to_(0) is %.16g and not %.16g", k.text, (int)i, x[i], want);
    }
  }
}
END_TEST

START_TEST(long_vectors) {
  Row r = row_of(_i);
  uint32_t K = r.own == 2 ? 40 : 3000, dim[2] = {K, K}, urank, udim[2];
  if (r.own == 0) return;
  support_unconstrained(r.range, r.own, dim, &urank, udim);
  Val leaf = graph_leaf(c->g, OP_param, name_of("u"), 0, graph_shape(c->g, 0, urank, udim), RANGE_REAL);
  Val to = support_constrain(c, leaf, r.range), roots[2] = {to, support_unconstrain(c, to, r.range)};
  double *u = arena_alloc(arena, udim[0] * sizeof *u);
  state = 7;
  fill(u, udim[0], 1);
  given = u, ngiven = udim[0];
  EvalInput in = {.leaf = give_leaf};
  EvalResult out;
  char error[256];
  ck_assert_msg(graph_eval(arena, c->g, roots, 2, &in, &out, error), "%s", error);
  const char *fault = support_fault(r.range, shape_of(c->g, to), out.value[to]);
  ck_assert_msg(fault == NULL, "%s: %s", r.name, fault);
  for (uint32_t i = 0; i < udim[0]; i++) ck_assert_msg(fabs(out.value[roots[1]][i] - u[i]) < 1e-7, "%s: u[%u] = %.12g comes back as %.12g", r.name, i, u[i], out.value[roots[1]][i]);
}
END_TEST

int main(void) {
  Suite *s = suite_create("supports");
  TCase *t = tcase_create("rows");
  tcase_add_checked_fixture(t, set_up, tear_down);
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, a_row_is_found_by_its_range, 0, ROWS);
  tcase_add_test(t, whole_values_have_none);
  tcase_add_loop_test(t, there_and_back, 0, ROWS);
  tcase_add_loop_test(t, extremes_come_back_as_values, 0, ROWS);
  tcase_add_loop_test(t, values_keep_their_constraint, 0, ROWS);
  tcase_add_loop_test(t, extremes_are_finite_in_single_precision, 0, ROWS);
  tcase_add_loop_test(t, log_det_is_that_of_the_jacobian, 0, ROWS);
  tcase_add_loop_test(t, gradients_agree_with_differences, 0, ROWS);
  tcase_add_loop_test(t, zero_is_in_the_middle, 0, ROWS);
  tcase_add_loop_test(t, long_vectors, 0, ROWS);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
