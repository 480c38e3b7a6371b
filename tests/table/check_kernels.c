/* The kernels of runtime/kernels against references: every row of kernels.def over its domain in both
 * widths, special values, the generator's known answers, and the samplers' distributions.
 *
 * References are libm in long double and, for what libm lacks, kernel_points.h.  Where that table holds
 * only a few dozen points, f32 is checked densely against f64, which is checked by the table.
 * Seeds are fixed: a statistical check passes or fails once and for all.
 * VERBOSE=1 prints the worst error of each row.  Long because it is one table's test: references, special
 * values, then the laws of what is drawn. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels.h"
#include "random.h"
#include "kernel_points.h"

#define SIZE(a) ((int)(sizeof(a) / sizeof *(a)))
#define POINTS 200000

/* --- references -------------------------------------------------------------------------------------- */

static long double ref_lgamma(long double x) { int sign; return lgammal_r(x, &sign); }
static long double ref_sigmoid(long double x) { return 1 / (1 + expl(-x)); }
static long double ref_softplus(long double x) { return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x)); }
static long double ref_xlogy(long double x, long double y) { return x == 0 ? 0 : x * logl(y); }

typedef long double Ref1(long double);
typedef long double Ref2(long double, long double);

/* In the order of kernels.def; NULL where long double libm has no such function. */
static const struct { const char *name; Ref1 *ref1; Ref2 *ref2; } reference[] = {
  { "bessel_gap",    NULL,    NULL      },
  { "bessel_slope",  NULL,    NULL      },
  { "cos",      cosl,         NULL      },
  { "digamma",  NULL,         NULL      },
  { "erf",      erfl,         NULL      },
  { "erfinv",   NULL,         NULL      },
  { "exp",      expl,         NULL      },
  { "expm1",    expm1l,       NULL      },
  { "lgamma",   ref_lgamma,   NULL      },
  { "log",      logl,         NULL      },
  { "log1p",    log1pl,       NULL      },
  { "log_i0e",       NULL,    NULL      },
  { "log_ndtr",      NULL,    NULL      },
  { "log_ndtr_grad", NULL,    NULL      },
  { "log_ndtri",     NULL,    NULL      },
  { "ndtri",    NULL,         NULL      },
  { "pow",      NULL,         powl      },
  { "sigmoid",  ref_sigmoid,  NULL      },
  { "sin",      sinl,         NULL      },
  { "softplus", ref_softplus, NULL      },
  { "tanh",     tanhl,        NULL      },
  { "trigamma", NULL,         NULL      },
  { "xlogy",    NULL,         ref_xlogy },
};

/* --- the table --------------------------------------------------------------------------------------- */

typedef float  F32_1(float);
typedef float  F32_2(float, float);
typedef double F64_1(double);
typedef double F64_2(double, double);

typedef struct {
  const char *name;
  int arity;
  double lo, hi, max_error;
  void (*f32)(void);         /* a F32_1 or F32_2 by arity */
  void (*f64)(void);
} Row;

static const Row row[] = {
#define KERNEL(name, arity, lo, hi, max_error, remark) \
  { #name, arity, lo, hi, max_error, (void (*)(void))svi_##name##_f32, (void (*)(void))svi_##name##_f64 },
#include "kernels.def"
#undef KERNEL
};

/* Distance from want in units in the last place, p bits, smallest normal exponent e_min. */
static double ulps(long double got, long double want, int p, int e_min) {
  if (got == want || (isnan(got) && isnan(want))) return 0;
  int e;
  frexpl(want, &e);
  if (e < e_min) e = e_min;
  double d = (double)ldexpl(fabsl(got - want), p - e);
  return isnan(d) ? HUGE_VAL : d;
}

static double ulps_f32(float got, long double want) {
  if (fabsl(want) > FLT_MAX) return isinf(got) && (got < 0) == (want < 0) ? 0 : HUGE_VAL;
  return ulps(got, want, FLT_MANT_DIG, FLT_MIN_EXP);
}

static double ulps_f64(double got, long double want) {
  if (fabsl(want) > DBL_MAX) return isinf(got) && (got < 0) == (want < 0) ? 0 : HUGE_VAL;
  return ulps(got, want, DBL_MANT_DIG, DBL_MIN_EXP);
}

/* The i-th test point in [lo, hi]: in turn even, of even logarithm from either end's side, and near
 * the small numbers where functions have their zeros. */
static double test_point(double lo, double hi, uint32_t i) {
  double u = svi_uniform_f64(1, 2, 3, i), span = hi - lo, x = 0;
  switch (i % 4) {
  case 0: x = lo + u * span; break;
  case 1: x = lo + span * exp(-80 * u); break;
  case 2: x = hi - span * exp(-18 * u); break;
  case 3: x = (i & 4 ? 1 : -1) * exp(10 * (u - 0.7)); break;
  }
  return x < lo || x > hi ? lo + u * span : x;
}

typedef struct { double error, at, and; } Worst;

static void worst_add(Worst *w, double error, double x, double y) {
  if (error > w->error) *w = (Worst){ error, x, y };
}

static void worst_check(const Worst *w, const Row *r, int width) {
  if (getenv("VERBOSE")) printf("%-9s f%d  %5.2f ulp of %4.1f at %.9g, %.9g\n",
                                r->name, width, w->error, r->max_error, w->at, w->and);
  ck_assert_msg(w->error <= r->max_error, "%s f%d: %.2f ulp, not %.1f, at %.9g (%a), %.9g",
                r->name, width, w->error, r->max_error, w->at, w->at, w->and);
}

START_TEST(every_row_has_its_reference_line) {
  ck_assert_int_eq(SIZE(row), SIZE(reference));
  for (int i = 0; i < SIZE(row); i++) ck_assert_str_eq(row[i].name, reference[i].name);
}
END_TEST

START_TEST(unary_kernel_keeps_its_error) {
  const Row *r = &row[_i];
  if (r->arity != 1) return;
  F32_1 *f32 = (F32_1 *)r->f32;
  F64_1 *f64 = (F64_1 *)r->f64;
  Ref1 *ref = reference[_i].ref1;
  Worst w32 = { 0, 0, 0 }, w64 = { 0, 0, 0 };
  for (uint32_t i = 0; i < POINTS; i++) {
    double x64 = test_point(r->lo, r->hi, i);
    float x = (float)x64;
    worst_add(&w32, ulps_f32(f32(x), ref ? ref(x) : (long double)f64(x)), x, 0);
    if (ref) worst_add(&w64, ulps_f64(f64(x64), ref(x64)), x64, 0);
  }
  worst_check(&w32, r, 32);
  worst_check(&w64, r, 64);
}
END_TEST

static void check_points(const char *name, const Point *point, int n) {
  for (int i = 0; i < SIZE(row); i++) {
    if (strcmp(row[i].name, name)) continue;
    Worst w32 = { 0, 0, 0 }, w64 = { 0, 0, 0 };
    for (int k = 0; k < n; k++) {
      float x = point[k].x;
      worst_add(&w32, ulps_f32(((F32_1 *)row[i].f32)(x), point[k].y), x, 0);
      worst_add(&w64, ulps_f64(((F64_1 *)row[i].f64)(x), point[k].y), x, 0);
    }
    worst_check(&w32, &row[i], 32);
    worst_check(&w64, &row[i], 64);
    return;
  }
  ck_abort_msg("no row %s", name);
}

START_TEST(kernels_agree_with_the_committed_points) {
  check_points("lgamma",   lgamma_points,   SIZE(lgamma_points));
  check_points("digamma",  digamma_points,  SIZE(digamma_points));
  check_points("trigamma", trigamma_points, SIZE(trigamma_points));
  check_points("erfinv",   erfinv_points,   SIZE(erfinv_points));
  check_points("ndtri",    ndtri_points,    SIZE(ndtri_points));
  check_points("log_i0e",       log_i0e_points,       SIZE(log_i0e_points));
  check_points("bessel_gap",    bessel_gap_points,    SIZE(bessel_gap_points));
  check_points("bessel_slope",  bessel_slope_points,  SIZE(bessel_slope_points));
  check_points("log_ndtr",      log_ndtr_points,      SIZE(log_ndtr_points));
  check_points("log_ndtr_grad", log_ndtr_grad_points, SIZE(log_ndtr_grad_points));
  check_points("log_ndtri",     log_ndtri_points,     SIZE(log_ndtri_points));
}
END_TEST

/* Close to a zero the absolute error is nothing and the relative one everything. */
START_TEST(relative_error_holds_at_the_zeros) {
  const struct { const char *name; double zero; } at[] = {
    { "lgamma", 1 }, { "lgamma", 2 }, { "digamma", 1.4616321449683623 }, { "log", 1 },
    { "log1p", 0 }, { "expm1", 0 }, { "tanh", 0 }, { "erf", 0 }, { "sin", 0 }, { "erfinv", 0 },
    { "ndtri", 0.5 }, { "log_ndtri", -0.69314718055994531 }, { "log_i0e", 0 }, { "sin", 355 }, { "cos", 11 }, { "sin", 1e8 },
  };
  for (int k = 0; k < SIZE(at); k++) for (int i = 0; i < SIZE(row); i++) {
    if (strcmp(row[i].name, at[k].name)) continue;
    Worst w = { 0, 0, 0 };
    for (int j = -2000; j <= 2000; j++) {
      float x = (float)(at[k].zero + (j / 7) * exp(j % 7 * 2 - 16));
      long double want = reference[i].ref1 ? reference[i].ref1(x) : (long double)((F64_1 *)row[i].f64)(x);
      worst_add(&w, ulps_f32(((F32_1 *)row[i].f32)(x), want), x, 0);
    }
    worst_check(&w, &row[i], 32);
  }
}
END_TEST

static const Row *row_of(const char *name) {
  for (int i = 0; i < SIZE(row); i++) if (!strcmp(row[i].name, name)) return &row[i];
  ck_abort_msg("no row %s", name);
  return NULL;
}

START_TEST(pow_keeps_its_error) {
  const Row *r = row_of("pow");
  Worst w32 = { 0, 0, 0 }, w64 = { 0, 0, 0 };
  for (uint32_t i = 0; i < POINTS; i++) {
    double u = svi_uniform_f64(1, 2, 4, i), v = svi_uniform_f64(1, 2, 5, i);
    float x = (float)(i % 3 == 0 ? u * 4 : i % 3 == 1 ? exp(160 * u - 80) : 1 + (u - 0.5) * 1e-3);
    float y = (float)(i % 5 == 0 ? floor(v * 20) - 10 : v * 80 - 40);
    if (y == floorf(y) && i % 2) x = -x;
    worst_add(&w32, ulps_f32(svi_pow_f32(x, y), powl(x, y)), x, y);
    worst_add(&w64, ulps_f64(svi_pow_f64(x, y), powl(x, y)), x, y);
  }
  worst_check(&w32, r, 32);
  worst_check(&w64, r, 64);
}
END_TEST

START_TEST(xlogy_keeps_its_error) {
  const Row *r = row_of("xlogy");
  Worst w32 = { 0, 0, 0 }, w64 = { 0, 0, 0 };
  for (uint32_t i = 0; i < POINTS; i++) {
    float x = (float)test_point(r->lo, r->hi, i), y = (float)exp(80 * svi_uniform_f64(1, 2, 4, i) - 40);
    worst_add(&w32, ulps_f32(svi_xlogy_f32(x, y), ref_xlogy(x, y)), x, y);
    worst_add(&w64, ulps_f64(svi_xlogy_f64(x, y), ref_xlogy(x, y)), x, y);
  }
  worst_check(&w32, r, 32);
  worst_check(&w64, r, 64);
}
END_TEST

/* --- special values ---------------------------------------------------------------------------------- */

#define INF INFINITY

/* What both widths give exactly, signs of zeros included. */
static const struct { const char *name; double x, y; } special1[] = {
  { "bessel_gap", 0, 1 }, { "bessel_gap", INF, 0 }, { "bessel_gap", -1, NAN },
  { "bessel_slope", 0, 0.5 }, { "bessel_slope", INF, 0 }, { "bessel_slope", -1, NAN },
  { "cos", 0, 1 }, { "cos", -INF, NAN }, { "cos", INF, NAN },
  { "digamma", 0, -INF }, { "digamma", INF, INF }, { "digamma", -1.5, NAN }, { "digamma", -INF, NAN },
  { "erf", 0, 0 }, { "erf", -0.0, -0.0 }, { "erf", INF, 1 }, { "erf", -INF, -1 }, { "erf", 30, 1 },
  { "erfinv", 0, 0 }, { "erfinv", -0.0, -0.0 }, { "erfinv", 1, INF }, { "erfinv", -1, -INF },
  { "erfinv", 1.5, NAN }, { "erfinv", -INF, NAN },
  { "exp", 0, 1 }, { "exp", -0.0, 1 }, { "exp", INF, INF }, { "exp", -INF, 0 }, { "exp", 1e30, INF },
  { "exp", -1e30, 0 },
  { "expm1", 0, 0 }, { "expm1", -0.0, -0.0 }, { "expm1", INF, INF }, { "expm1", -INF, -1 },
  { "expm1", 1e30, INF },
  { "lgamma", 0, INF }, { "lgamma", 1, 0 }, { "lgamma", 2, 0 }, { "lgamma", INF, INF },
  { "lgamma", -0.5, NAN }, { "lgamma", -3, NAN }, { "lgamma", -INF, NAN },
  { "log", 0, -INF }, { "log", -0.0, -INF }, { "log", 1, 0 }, { "log", INF, INF }, { "log", -1, NAN },
  { "log", -INF, NAN },
  { "log1p", 0, 0 }, { "log1p", -0.0, -0.0 }, { "log1p", -1, -INF }, { "log1p", -2, NAN },
  { "log1p", INF, INF }, { "log1p", -INF, NAN },
  { "log_i0e", 0, 0 }, { "log_i0e", INF, -INF }, { "log_i0e", -1, NAN },
  { "log_ndtr", -INF, -INF }, { "log_ndtr", INF, -0.0 }, { "log_ndtr_grad", -INF, INF }, { "log_ndtr_grad", INF, 0 },
  { "log_ndtri", 0, INF }, { "log_ndtri", -INF, -INF }, { "log_ndtri", 1, NAN }, { "log_ndtri", INF, NAN },
  { "ndtri", 0, -INF }, { "ndtri", 1, INF }, { "ndtri", 0.5, 0 }, { "ndtri", -0.5, NAN },
  { "ndtri", 2, NAN }, { "ndtri", INF, NAN }, { "ndtri", -INF, NAN },
  { "sigmoid", 0, 0.5 }, { "sigmoid", INF, 1 }, { "sigmoid", -INF, 0 },
  { "sin", 0, 0 }, { "sin", -0.0, -0.0 }, { "sin", INF, NAN }, { "sin", -INF, NAN },
  { "softplus", INF, INF }, { "softplus", -INF, 0 }, { "softplus", 64, 64 },
  { "tanh", 0, 0 }, { "tanh", -0.0, -0.0 }, { "tanh", INF, 1 }, { "tanh", -INF, -1 }, { "tanh", 50, 1 },
  { "trigamma", 0, INF }, { "trigamma", INF, 0 }, { "trigamma", -1, NAN }, { "trigamma", -INF, NAN },
};

static const struct { const char *name; double x, y, z; } special2[] = {
  { "pow", 0, 0, 1 }, { "pow", NAN, 0, 1 }, { "pow", 1, NAN, 1 }, { "pow", 1, INF, 1 },
  { "pow", 2, NAN, NAN },
  { "pow", NAN, 2, NAN }, { "pow", -1, NAN, NAN }, { "pow", -1, INF, 1 }, { "pow", -1, -INF, 1 },
  { "pow", 0, 3, 0 }, { "pow", -0.0, 3, -0.0 }, { "pow", -0.0, 2, 0 }, { "pow", -0.0, 2.5, 0 },
  { "pow", 0, -1, INF }, { "pow", -0.0, -1, -INF }, { "pow", -0.0, -2, INF }, { "pow", 0, -2.5, INF },
  { "pow", 0.5, INF, 0 }, { "pow", 2, INF, INF }, { "pow", 0.5, -INF, INF }, { "pow", 2, -INF, 0 },
  { "pow", -2, 3, -8 }, { "pow", -2, 2, 4 }, { "pow", -2, -1, -0.5 }, { "pow", -2, 0.5, NAN },
  { "pow", -8, 1.0 / 3, NAN }, { "pow", INF, 2, INF }, { "pow", INF, -2, 0 }, { "pow", -INF, 3, -INF },
  { "pow", -INF, 2, INF }, { "pow", -INF, -3, -0.0 }, { "pow", -INF, 0.5, INF }, { "pow", -1, 16777216, 1 },
  { "pow", -1, 16777215, -1 }, { "pow", 10, 500, INF }, { "pow", 10, -500, 0 }, { "pow", 3, 1, 3 },
  { "xlogy", 0, 0, 0 }, { "xlogy", 0, INF, 0 }, { "xlogy", 0, -1, 0 }, { "xlogy", 0, NAN, NAN },
  { "xlogy", 2, 0, -INF }, { "xlogy", 2, -1, NAN }, { "xlogy", 2, 1, 0 }, { "xlogy", NAN, 2, NAN },
  { "xlogy", NAN, 1, NAN }, { "xlogy", -2, 0, INF },
};

static int is_same(double a, double b) { return isnan(b) ? isnan(a) : a == b && !signbit(a) == !signbit(b); }

START_TEST(special_values_are_exact) {
  for (int k = 0; k < SIZE(special1); k++) {
    const Row *r = row_of(special1[k].name);
    double x = special1[k].x, want = special1[k].y;
    double z32 = ((F32_1 *)r->f32)((float)x), z64 = ((F64_1 *)r->f64)((float)x);
    ck_assert_msg(is_same(z32, want), "%s f32 (%g) = %g, not %g", r->name, x, z32, want);
    ck_assert_msg(is_same(z64, want), "%s f64 (%g) = %g, not %g", r->name, x, z64, want);
  }
  for (int k = 0; k < SIZE(special2); k++) {
    const Row *r = row_of(special2[k].name);
    double x = special2[k].x, y = special2[k].y, want = special2[k].z;
    double z32 = ((F32_2 *)r->f32)((float)x, (float)y), z64 = ((F64_2 *)r->f64)(x, y);
    ck_assert_msg(is_same(z32, want), "%s f32 (%g, %g) = %g, not %g", r->name, x, y, z32, want);
    ck_assert_msg(is_same(z64, want), "%s f64 (%g, %g) = %g, not %g", r->name, x, y, z64, want);
  }
}
END_TEST

START_TEST(nan_propagates) {
  for (int i = 0; i < SIZE(row); i++) {
    if (row[i].arity != 1) continue;
    ck_assert_msg(isnan(((F32_1 *)row[i].f32)(NAN)), "%s f32", row[i].name);
    ck_assert_msg(isnan(((F64_1 *)row[i].f64)(NAN)), "%s f64", row[i].name);
    ck_assert_msg(isnan(((F32_1 *)row[i].f32)(-NAN)), "%s f32 of -nan", row[i].name);
  }
}
END_TEST

START_TEST(the_ends_of_the_range_are_gradual) {
  ck_assert(svi_exp_f32(89) == INF);
  ck_assert(svi_exp_f32(88.7f) < FLT_MAX);
  ck_assert(svi_exp_f32(-104) == 0);
  for (float x = -103; x < -87; x += 0.37f)
    ck_assert_msg(fabsl(svi_exp_f32(x) - expl(x)) <= 1.0L * FLT_TRUE_MIN, "exp(%g) = %a", x, svi_exp_f32(x));
  for (float x = FLT_TRUE_MIN; x < FLT_MIN; x *= 3) {
    ck_assert(ulps_f32(svi_log_f32(x), logl(x)) <= 1.5);
    ck_assert(ulps_f32(svi_lgamma_f32(x), ref_lgamma(x)) <= 2);
    ck_assert(svi_tanh_f32(x) == x && svi_expm1_f32(-x) == -x);
    ck_assert(svi_log1p_f32(x) == x && svi_sin_f32(-x) == -x);
    ck_assert(fabsl(svi_erf_f32(x) - erfl(x)) <= 1.0L * FLT_TRUE_MIN);
    ck_assert(svi_digamma_f32(x) < -1e37f);
  }
  ck_assert(isnan(svi_sin_f32(0x1p28f)) && isnan(svi_cos_f32(-0x1p28f)));     /* as the table says */
  ck_assert(svi_lgamma_f32(5e36f) == INF && svi_trigamma_f32(1e-25f) == INF);
  double z = svi_ndtri_f64(5e-324);
  ck_assert_msg(fabs(z + 38.467405617144344) < 1e-12, "%.17g", z);
}
END_TEST

/* --- the derivative of gamma samples ----------------------------------------------------------------- */

START_TEST(gamma_grad_agrees_with_the_committed_points) {
  for (int k = 0; k < SIZE(gamma_grad_points); k++) {
    GradPoint p = gamma_grad_points[k];
    double e32 = (double)fabsl(svi_gamma_grad_f32(p.alpha, p.x) / p.y - 1);
    double e64 = (double)fabsl(svi_gamma_grad_f64(p.alpha, p.x) / p.y - 1);
    if (fabsl(p.y) > 1e-30L) ck_assert_msg(e32 < 1e-4, "f32: %g at %g, %g", e32, p.alpha, p.x);
    ck_assert_msg(e64 < 1e-7, "f64: %g at %g, %g", e64, p.alpha, p.x);
  }
  ck_assert(isnan(svi_gamma_grad_f64(-1, 1)) && isnan(svi_gamma_grad_f64(1, -1)));
  ck_assert(isnan(svi_gamma_grad_f32(NAN, 1)));
  ck_assert(svi_gamma_grad_f64(2, 0) == 0);
}
END_TEST

/* E x = alpha, so that the mean of dx/dalpha is 1. */
START_TEST(gamma_grad_has_mean_one) {
  const double alpha[] = { 0.05, 0.6, 1, 2.5, 9, 300 };
  const int n = 20000;
  for (int k = 0; k < SIZE(alpha); k++) {
    double s = 0, ss = 0;
    for (int i = 0; i < n; i++) {
      double x = svi_standard_gamma_f64(7, 8, (uint32_t)k, (uint32_t)i, alpha[k]);
      double g = svi_gamma_grad_f64(alpha[k], x);
      s += g;
      ss += g * g;
    }
    double mean = s / n, se = sqrt((ss / n - mean * mean) / n);
    ck_assert_msg(fabs(mean - 1) < 4 * se, "alpha %g: %g +- %g", alpha[k], mean, se);
  }
}
END_TEST

/* --- the derivative of von Mises samples -------------------------------------------------------------- */

START_TEST(vonmises_grad_agrees_with_the_committed_points) {
  for (int k = 0; k < SIZE(vonmises_grad_points); k++) {
    GradPoint p = vonmises_grad_points[k];
    double e32 = (double)fabsl(svi_vonmises_grad_f32(p.alpha, p.x) / p.y - 1);
    double e64 = (double)fabsl(svi_vonmises_grad_f64(p.alpha, p.x) / p.y - 1);
    ck_assert_msg(e32 < 1e-6, "f32: %g at %g, %g", e32, p.alpha, p.x);
    ck_assert_msg(e64 < 1e-9, "f64: %g at %g, %g", e64, p.alpha, p.x);
  }
  ck_assert(svi_vonmises_grad_f64(2, 0) == 0 && svi_vonmises_grad_f64(2, M_PI) == 0);
  ck_assert(isnan(svi_vonmises_grad_f64(-1, 1)) && isnan(svi_vonmises_grad_f32(NAN, 1)));
  ck_assert(isnan(svi_vonmises_grad_f32(1, NAN)) && isnan(svi_vonmises_grad_f64(INFINITY, 1)));
}
END_TEST

/* E cos x = I1/I0, so that the mean of -sin(x) dx/dkappa is its derivative. */
START_TEST(vonmises_grad_moves_the_mean_cosine) {
  const double kappa[] = { 1e-3, 0.4, 2, 9, 300 };
  const int n = 20000;
  for (int k = 0; k < SIZE(kappa); k++) {
    double s = 0, ss = 0;
    for (int i = 0; i < n; i++) {
      double x = svi_vonmises_f64(7, 9, (uint32_t)k, (uint32_t)i, kappa[k]);
      double g = -sin(x) * svi_vonmises_grad_f64(kappa[k], x);
      s += g;
      ss += g * g;
    }
    double mean = s / n, se = sqrt((ss / n - mean * mean) / n), want = svi_bessel_slope_f64(kappa[k]);
    ck_assert_msg(fabs(mean - want) < 4 * se, "kappa %g: %g +- %g, not %g", kappa[k], mean, se, want);
    ck_assert_msg(se < 0.02 * want, "kappa %g: the error %g sees nothing", kappa[k], se);
  }
}
END_TEST

/* --- the generator ----------------------------------------------------------------------------------- */

/* Threefry-2x32 once more, as the paper's figure has it: a table of rotations, the key after every four. */
static uint64_t threefry_plain(int rounds, uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) {
  const int turn[8] = { 13, 15, 26, 6, 17, 29, 16, 24 };
  const uint32_t key[3] = { k0, k1, 0x1BD11BDAu ^ k0 ^ k1 };
  uint32_t x0 = c0 + k0, x1 = c1 + k1;
  for (int i = 0; i < rounds; i++) {
    x0 += x1;
    x1 = (x1 << turn[i % 8] | x1 >> (32 - turn[i % 8])) ^ x0;
    if (i % 4 == 3) {
      uint32_t j = (uint32_t)i / 4 + 1;
      x0 += key[j % 3];
      x1 += key[(j + 1) % 3] + j;
    }
  }
  return (uint64_t)x1 << 32 | x0;
}

START_TEST(threefry_gives_the_known_answers) {
  ck_assert_uint_eq(svi_threefry_20(0, 0, 0, 0), 0x99ba4efe6b200159u);
  ck_assert_uint_eq(svi_threefry_20(~0u, ~0u, ~0u, ~0u), 0xbb002be71cb996fcu);
  ck_assert_uint_eq(svi_threefry_20(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3), 0x483df7a0c4923a9cu);
  for (uint32_t i = 0; i < 1000; i++) {
    uint64_t a = threefry_plain(20, i, ~i, 7 * i, 3), b = threefry_plain(20, 5, i, i << 20, ~i);
    uint32_t k0 = (uint32_t)a, k1 = (uint32_t)(a >> 32), c0 = (uint32_t)b, c1 = (uint32_t)(b >> 32);
    ck_assert_uint_eq(svi_threefry(k0, k1, c0, c1), threefry_plain(13, k0, k1, c0, c1));
    ck_assert_uint_eq(svi_threefry_20(k0, k1, c0, c1), threefry_plain(20, k0, k1, c0, c1));
  }
}
END_TEST

/* Each bit of each input word turns over half of the output bits. */
START_TEST(every_input_bit_reaches_the_output) {
  for (int bit = 0; bit < 128; bit++) {
    double flips = 0;
    const int n = 2000;
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
      uint32_t in[4] = { 11, 22, 33, i };
      uint64_t a = svi_threefry(in[0], in[1], in[2], in[3]);
      in[bit / 32] ^= 1u << bit % 32;
      flips += __builtin_popcountll(a ^ svi_threefry(in[0], in[1], in[2], in[3]));
    }
    double z = (flips / n - 32) / (4 / sqrt(n));
    ck_assert_msg(fabs(z) < 4.5, "bit %d: %g of 64, z = %g", bit, flips / n, z);
  }
}
END_TEST

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* sqrt(n) times the Kolmogorov-Smirnov distance of x[n] from the cdf; sorts x.  Values not above `floor`
 * are an atom, the law's mass up to there. */
static double kolmogorov(double *x, int n, double (*cdf)(double x, double p), double p, double floor) {
  double d = 0;
  qsort(x, (size_t)n, sizeof *x, compare);
  for (int i = 0; i < n; i++) {
    double f = cdf(x[i], p);
    if (i == n - 1 || x[i + 1] > x[i]) d = fmax(d, fabs((i + 1.0) / n - f));
    if (x[i] > floor) d = fmax(d, fabs((double)i / n - f));
  }
  return d * sqrt(n);
}

/* P(sqrt(n) D > 1.95) is 1e-3. */
#define KS_LIMIT 1.95

static double uniform_cdf(double x, double p) { (void)p; return x; }
static double normal_cdf(double x, double p) { (void)p; return 0.5 * erfc(-x * M_SQRT1_2); }

typedef enum { UNIFORM_F32, UNIFORM_F64, NORMAL_F32, NORMAL_F64, GENERATORS } Generator;

static double draw(Generator g, uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) {
  switch (g) {
  case UNIFORM_F32: return (svi_uniform_f32(k0, k1, c0, c1));
  case UNIFORM_F64: return (svi_uniform_f64(k0, k1, c0, c1));
  case NORMAL_F32:  return (svi_normal_f32(k0, k1, c0, c1));
  case NORMAL_F64:  return (svi_normal_f64(k0, k1, c0, c1));
  case GENERATORS:  break;
  }
  return NAN;
}

START_TEST(uniforms_and_normals_have_their_law) {
  const int n = 1 << 20;
  double *x = malloc((size_t)n * sizeof *x);
  Generator g = (Generator)_i;
  int is_normal = g == NORMAL_F32 || g == NORMAL_F64;
  double m[5] = { 0 }, far = 0;
  int outside = 0;
  for (int i = 0; i < n; i++) {
    x[i] = draw(g, 1, 2, 3, (uint32_t)i);
    double y = is_normal ? x[i] : (x[i] - 0.5) * sqrt(12);
    for (int k = 1; k < 5; k++) m[k] += pow(y, k) / n;
    far += fabs(x[i]) > 4;
    outside += !is_normal && !(x[i] > 0 && x[i] < 1);
  }
  ck_assert_int_eq(outside, 0);
  double kurtosis = is_normal ? 3 : 1.8, v2 = kurtosis - 1, v4 = is_normal ? 96 : 81.0 / 9 - 1.8 * 1.8;
  double v3 = is_normal ? 15 : 27.0 / 7;
  ck_assert_msg(fabs(m[1]) < 4 / sqrt(n), "mean %g", m[1]);
  ck_assert_msg(fabs(m[2] - 1) < 4 * sqrt(v2 / n), "variance %g", m[2]);
  ck_assert_msg(fabs(m[3]) < 4 * sqrt(v3 / n), "third moment %g", m[3]);
  ck_assert_msg(fabs(m[4] - kurtosis) < 4 * sqrt(v4 / n), "fourth moment %g", m[4]);
  if (is_normal) {
    double want = n * erfc(4 * M_SQRT1_2);
    ck_assert_msg(fabs(far - want) < 4 * sqrt(want), "%g beyond 4, not %g", far, want);
  }
  double ks = kolmogorov(x, n, is_normal ? normal_cdf : uniform_cdf, 0, -INF);
  ck_assert_msg(ks < KS_LIMIT, "Kolmogorov-Smirnov %g", ks);
  free(x);
}
END_TEST

/* The widths share their bits and differ in rounding only: by most where u is near 1 and the radius small. */
START_TEST(both_widths_make_the_same_draw) {
  const int n = 100000;
  double square = 0, most = 0;
  for (uint32_t i = 0; i < (uint32_t)n; i++) {
    double d = fabs(svi_normal_f32(2, 4, 6, i) - svi_normal_f64(2, 4, 6, i));
    square += d * d / n;
    most = fmax(most, d);
  }
  ck_assert_msg(sqrt(square) < 3e-7 && most < 1e-4, "root mean square %g, most %g", sqrt(square), most);
}
END_TEST

/* Draws whose keys or counters differ by one, in any of the four words, are uncorrelated, and so are
 * their squares. */
START_TEST(neighbours_are_independent) {
  const int n = 1 << 18;
  Generator g = (Generator)_i;
  double centre = g == UNIFORM_F32 || g == UNIFORM_F64 ? 0.5 : 0;
  for (int word = 0; word < 4; word++) for (int power = 1; power <= 2; power++) {
    double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
      uint32_t at[4] = { 5, 6, 7, 8 };
      at[word] += 2 * i;
      double x = draw(g, at[0], at[1], at[2], at[3]) - centre;
      at[word] += 1;
      double y = draw(g, at[0], at[1], at[2], at[3]) - centre;
      if (power == 2) { x *= x; y *= y; }
      sx += x; sy += y; sxx += x * x; syy += y * y; sxy += x * y;
    }
    double r = (sxy - sx * sy / n) / sqrt((sxx - sx * sx / n) * (syy - sy * sy / n));
    ck_assert_msg(fabs(r) * sqrt(n) < 4, "word %d, power %d: correlation %g", word, power, r);
  }
}
END_TEST

/* Over 2^24 counters the ends are come near to and not reached. */
START_TEST(no_counter_gives_an_end_point) {
  float lo = 1, hi = 0, far = 0;
  for (uint32_t i = 0; i < 1u << 24; i++) {
    float u = svi_uniform_f32(3, 1, 4, i), z = fabsf(svi_normal_f32(3, 1, 5, i));
    lo = fminf(lo, u);
    hi = fmaxf(hi, u);
    far = z > far ? z : far;
  }
  ck_assert_msg(lo > 0 && lo < 0x1p-21f, "%a", lo);
  ck_assert_msg(hi < 1 && 1 - hi < 0x1p-21f, "%a", hi);
  ck_assert_msg(far > 4.9f && far < 6.77f, "%g", far);
}
END_TEST

/* --- the samplers ------------------------------------------------------------------------------------ */

/* P(a, x), by the power series below a + 1 and by Lentz's continued fraction above. */
static double gamma_cdf(double x, double a) {
  double front = a * log(x) - x;
  if (x < a + 1) {
    double t = 1, s = 1;
    for (double k = a + 1; t > 1e-16 * s; k += 1) s += t *= x / k;
    return exp(front - lgamma(a + 1)) * s;
  }
  double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
  for (int i = 1; i < 10000; i++) {
    double p = -i * (i - a);
    b += 2;
    d = 1 / (p * d + b);
    c = b + p / c;
    h *= c * d;
    if (fabs(c * d - 1) < 1e-15) break;
  }
  return 1 - exp(front - lgamma(a)) * h;
}

START_TEST(gamma_samples_have_their_law) {
  const double alpha[] = { 0.01, 0.1, 0.5, 0.99, 1, 2.5, 10, 1000 };
  const int n = 100000;
  double a = alpha[_i], *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
  double m = 0, v = 0, twin = 0, before = 0;
  int outside = 0;
  for (int i = 0; i < n; i++) {
    x[i] = svi_standard_gamma_f64(9, 10, 11, (uint32_t)i, a);
    y[i] = svi_standard_gamma_f32(9, 10, 12, (uint32_t)i, (float)a);
    outside += !(x[i] >= DBL_MIN && x[i] <= DBL_MAX && y[i] >= FLT_MIN && y[i] <= FLT_MAX);
    m += x[i] / n;
    v += (x[i] - a) * (x[i] - a) / n;
    double u = gamma_cdf(x[i], a) - 0.5;
    if (i % 2) twin += 12 * u * before / (n / 2);
    before = u;
  }
  ck_assert_int_eq(outside, 0);
  ck_assert_msg(fabs(m - a) < 4 * sqrt(a / n), "mean %g", m);
  ck_assert_msg(fabs(v - a) < 4 * sqrt((2 * a * a + 6 * a) / n), "variance %g", v);
  ck_assert_msg(fabs(twin) < 4 / sqrt(n / 2), "neighbours correlate: %g", twin);
  double ks64 = kolmogorov(x, n, gamma_cdf, a, DBL_MIN);
  double ks32 = kolmogorov(y, n, gamma_cdf, (float)a, FLT_MIN);
  ck_assert_msg(ks64 < KS_LIMIT && ks32 < KS_LIMIT, "Kolmogorov-Smirnov %g, %g", ks64, ks32);
  free(x);
  free(y);
}
END_TEST

START_TEST(tiny_shapes_do_not_underflow) {
  const double alpha[] = { 1e-30, 1e-6, 1e-3, 1e-2 };
  for (int k = 0; k < SIZE(alpha); k++) for (uint32_t i = 0; i < 1000; i++) {
    ck_assert(svi_standard_gamma_f32(1, 1, (uint32_t)k, i, (float)alpha[k]) >= FLT_MIN);
    ck_assert(svi_standard_gamma_f64(1, 1, (uint32_t)k, i, alpha[k]) >= DBL_MIN);
  }
  ck_assert(isnan(svi_standard_gamma_f32(1, 1, 1, 1, 0)) && isnan(svi_standard_gamma_f64(1, 1, 1, 1, -1)));
  ck_assert(isnan(svi_standard_gamma_f32(1, 1, 1, 1, NAN)));
}
END_TEST

/* Pearson's statistic over the counts with at least ten expected, the rest pooled; as a normal deviate by
 * Wilson and Hilferty. */
START_TEST(poisson_samples_have_their_law) {
  const double rates[] = { 0.01, 0.5, 3, 9.99, 10, 11.5, 37.2, 250, 1e5 };
  enum { BINS = 4000 };
  const int n = 200000;
  double rate = rates[_i], sd = sqrt(rate), m = 0, v = 0, twin = 0, before = 0;
  double first = fmax(0, floor(rate - 6 * sd)), width = rate > 1e4 ? 16 : 1;
  double *count = calloc(BINS, sizeof *count);
  int outside = 0;
  for (int i = 0; i < n; i++) {
    double k = _i % 2 ? svi_poisson_f32(4, 3, 2, (uint32_t)i, (float)rate)
                      : svi_poisson_f64(4, 3, 2, (uint32_t)i, rate);
    outside += !(k >= 0 && k == floor(k));
    m += k / n;
    v += (k - rate) * (k - rate) / n;
    if (i % 2) twin += (k - rate) * (before - rate) / rate / (n / 2);
    before = k;
    double bin = floor((k - first) / width);
    if (bin >= 0 && bin < BINS) count[(int)bin] += 1;
  }
  ck_assert_int_eq(outside, 0);
  ck_assert_msg(fabs(m - rate) < 4 * sd / sqrt(n), "mean %g", m);
  ck_assert_msg(fabs(v - rate) < 4 * sqrt((rate + 2 * rate * rate) / n), "variance %g", v);
  ck_assert_msg(fabs(twin) < 4 / sqrt(n / 2), "neighbours correlate: %g", twin);

  double chi = 0, left = n, left_p = 1;
  int degrees = 0;
  for (int b = 0; b < BINS; b++) {
    double p = 0;
    for (double k = first + b * width; k < first + (b + 1) * width; k += 1)
      p += exp(k * log(rate) - rate - lgamma(k + 1));
    if (p * n < 10) continue;
    chi += (count[b] - p * n) * (count[b] - p * n) / (p * n);
    degrees += 1;
    left -= count[b];
    left_p -= p;
  }
  if (left_p * n > 5) chi += (left - left_p * n) * (left - left_p * n) / (left_p * n);
  else degrees -= 1;
  if (degrees > 0) {
    double h = 2.0 / (9 * degrees), z = (cbrt(chi / degrees) - (1 - h)) / sqrt(h);
    ck_assert_msg(z < 3.5, "chi-square %g on %d degrees", chi, degrees);
  }
  free(count);
}
END_TEST

START_TEST(poisson_minds_its_edges) {
  ck_assert(svi_poisson_f32(1, 2, 3, 4, 0) == 0 && svi_poisson_f64(1, 2, 3, 4, 0) == 0);
  ck_assert(isnan(svi_poisson_f32(1, 2, 3, 4, -1)) && isnan(svi_poisson_f64(1, 2, 3, 4, NAN)));
  ck_assert(isnan(svi_poisson_f64(1, 2, 3, 4, INFINITY)));
  double m = 0, v = 0, rate = 1e12;
  for (uint32_t i = 0; i < 10000; i++) {
    double z = (svi_poisson_f64(1, 2, 3, i, rate) - rate) / sqrt(rate);
    m += z / 10000;
    v += z * z / 10000;
  }
  ck_assert_msg(fabs(m) < 0.04 && fabs(v - 1) < 0.06, "%g %g", m, v);
}
END_TEST

/* By the midpoint rule over [-pi, x], in steps too short to miss the peak. */
static double vonmises_cdf(double x, double k) {
  double from = fmax(-M_PI, -12 / sqrt(k)), sum = 0, peak = exp(svi_log_i0e_f64(k)) * 2 * M_PI;
  const int n = 400;
  if (x <= from) return 0;
  for (int i = 0; i < n; i++) {
    double s = sin(0.5 * (from + (x - from) * (i + 0.5) / n));
    sum += exp(-2 * k * s * s);
  }
  return sum * (x - from) / n / peak;
}

START_TEST(vonmises_samples_have_their_law) {
  const double kappa[] = { 0, 1e-10, 1e-4, 0.5, 2, 30, 1e4, 1e12 };
  const int n = 20000;
  double k = kappa[_i], *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
  double c = 0, s = 0, twin = 0, before = 0;
  for (int i = 0; i < n; i++) {
    x[i] = svi_vonmises_f64(9, 10, 13, (uint32_t)i, k);
    y[i] = svi_vonmises_f32(9, 10, 14, (uint32_t)i, (float)k);
    ck_assert(fabs(x[i]) <= M_PI && fabs(y[i]) <= M_PI);
    double t = sin(0.5 * x[i]);
    c += 2 * t * t / n;
    s += sin(x[i]) / n;
    double u = vonmises_cdf(x[i], k) - 0.5;
    if (i % 2) twin += 12 * u * before / (n / 2);
    before = u;
  }
  /* 1 - cos has mean gap and variance slope; sin has mean 0 and variance (1 - gap) / k */
  double gap = svi_bessel_gap_f64(k), slope = svi_bessel_slope_f64(k);
  ck_assert_msg(fabs(c - gap) < 4 * sqrt(slope / n), "mean of 1 - cos: %g, not %g", c, gap);
  ck_assert_msg(fabs(s) < 4 * sqrt((k > 0 ? (1 - gap) / k : 0.5) / n), "mean sine %g", s);
  ck_assert_msg(fabs(twin) < 4 / sqrt(n / 2), "neighbours correlate: %g", twin);
  double ks64 = kolmogorov(x, n, vonmises_cdf, k, -4), ks32 = kolmogorov(y, n, vonmises_cdf, (float)k, -4);
  ck_assert_msg(ks64 < KS_LIMIT && ks32 < KS_LIMIT, "Kolmogorov-Smirnov %g, %g", ks64, ks32);
  free(x);
  free(y);
}
END_TEST

START_TEST(vonmises_minds_its_edges) {
  ck_assert(isnan(svi_vonmises_f32(1, 2, 3, 4, -1)) && isnan(svi_vonmises_f64(1, 2, 3, 4, NAN)));
  ck_assert(isnan(svi_vonmises_f64(1, 2, 3, 4, INFINITY)));
  ck_assert(fabs(svi_vonmises_f64(1, 2, 3, 4, 1e200)) < 1e-70);
  for (uint32_t i = 0; i < 100000; i++) ck_assert(fabs((double)svi_vonmises_f32(1, 2, 3, i, 0)) <= M_PI);
}
END_TEST

int main(void) {
  Suite *s = suite_create("kernels");
  TCase *table = tcase_create("table"), *random = tcase_create("random");
  tcase_set_timeout(table, 120);
  tcase_set_timeout(random, 120);
  tcase_add_test(table, every_row_has_its_reference_line);
  tcase_add_loop_test(table, unary_kernel_keeps_its_error, 0, SIZE(row));
  tcase_add_test(table, kernels_agree_with_the_committed_points);
  tcase_add_test(table, relative_error_holds_at_the_zeros);
  tcase_add_test(table, pow_keeps_its_error);
  tcase_add_test(table, xlogy_keeps_its_error);
  tcase_add_test(table, special_values_are_exact);
  tcase_add_test(table, nan_propagates);
  tcase_add_test(table, the_ends_of_the_range_are_gradual);
  tcase_add_test(table, gamma_grad_agrees_with_the_committed_points);
  tcase_add_test(table, gamma_grad_has_mean_one);
  tcase_add_test(table, vonmises_grad_agrees_with_the_committed_points);
  tcase_add_test(table, vonmises_grad_moves_the_mean_cosine);
  tcase_add_test(random, threefry_gives_the_known_answers);
  tcase_add_test(random, every_input_bit_reaches_the_output);
  tcase_add_loop_test(random, uniforms_and_normals_have_their_law, 0, GENERATORS);
  tcase_add_test(random, both_widths_make_the_same_draw);
  tcase_add_loop_test(random, neighbours_are_independent, 0, GENERATORS);
  tcase_add_test(random, no_counter_gives_an_end_point);
  tcase_add_loop_test(random, gamma_samples_have_their_law, 0, 8);
  tcase_add_test(random, tiny_shapes_do_not_underflow);
  tcase_add_loop_test(random, poisson_samples_have_their_law, 0, 9);
  tcase_add_test(random, poisson_minds_its_edges);
  tcase_add_loop_test(random, vonmises_samples_have_their_law, 0, 8);
  tcase_add_test(random, vonmises_minds_its_edges);
  suite_add_tcase(s, table);
  suite_add_tcase(s, random);
  SRunner *run = srunner_create(s);
  srunner_run_all(run, CK_ENV);
  int failed = srunner_ntests_failed(run);
  srunner_free(run);
  return failed != 0;
}
