/* The elementwise kernels in double precision, and the generator's double results.
 *
 * In:  kernels.def, random.h, libm.
 * Out: every svi_NAME_f64 of the table; svi_uniform_f64, svi_normal_f64.
 *
 * Plain scalar code: libm where it has the function, else the methods of the comments below.  Loops and
 * branches are allowed here; a double model pays libm's price anyway. */
#include <math.h>
#include <stdint.h>
#include "kernels.h"
#include "random.h"

double svi_cos_f64   (double x) { return cos(x); }
double svi_erf_f64   (double x) { return erf(x); }
double svi_exp_f64   (double x) { return exp(x); }
double svi_expm1_f64 (double x) { return expm1(x); }
double svi_log_f64   (double x) { return log(x); }
double svi_log1p_f64 (double x) { return log1p(x); }
double svi_pow_f64   (double x, double y) { return pow(x, y); }
double svi_sin_f64   (double x) { return sin(x); }
double svi_tanh_f64  (double x) { return tanh(x); }

double svi_sigmoid_f64(double x) {
  double t = exp(-fabs(x));
  return (x >= 0 ? 1 : t) / (1 + t);
}

double svi_softplus_f64(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }

double svi_xlogy_f64(double x, double y) { return x == 0 && y == y ? 0 : x * log(y); }

/* --- the normal quantile ----------------------------------------------------------------------------- */

/* log Q(z) of the upper tail, and in *h its derivative with the sign changed, phi(z)/Q(z).  Where Q would
 * be subnormal, by the first terms of Laplace's continued fraction for Q/phi. */
static double log_tail(double z, double *h) {
  double log_phi = -0.5 * z * z - 0.91893853320467274;
  if (z < 30) {
    double log_q = log(0.5 * erfc(z * M_SQRT1_2));
    *h = exp(log_phi - log_q);
    return log_q;
  }
  *h = z + 1 / (z + 2 / (z + 3 / (z + 4 / (z + 5 / z))));
  return log_phi - log(*h);
}

/* The upper quantile of the tail probability q, 0 < q <= 1/4, by Halley's rule on log Q, which is nearly a
 * parabola: three steps from the asymptote are the rule. */
static double tail_quantile(double q) {
  double aim = log(q), z = sqrt(-2 * aim), h;
  for (int i = 0; i < 8; i++) {
    double d = log_tail(z, &h) - aim;
    d /= h;
    double step = d / (1 + 0.5 * d * (h - z));
    z += step;
    if (fabs(step) <= 1e-7 * z) break;      /* cubic: the next step would be nothing */
  }
  return z;
}

/* y with erf(y) = x for |x| <= 1/2, by Halley's rule from the first terms of the series. */
static double erfinv_middle(double x) {
  double z = x / M_2_SQRTPI * (1 + x * x * (M_PI / 12));
  for (int i = 0; i < 8; i++) {
    double d = (erf(z) - x) * exp(z * z) / M_2_SQRTPI;
    double step = d / (1 + z * d);
    z -= step;
    if (fabs(step) <= 1e-7 * fabs(z)) break;
  }
  return z;
}

double svi_erfinv_f64(double x) {
  double a = fabs(x);
  if (!(a <= 1)) return NAN;
  if (a == 1) return copysign(HUGE_VAL, x);
  return a < 0.5 ? erfinv_middle(x) : copysign(M_SQRT1_2 * tail_quantile(0.5 * (1 - a)), x);
}

double svi_ndtri_f64(double p) {
  double y = p - 0.5, q = p < 0.5 ? p : 1 - p;
  if (!(q >= 0)) return NAN;
  if (q == 0) return copysign(HUGE_VAL, y);
  return fabs(y) < 0.25 ? M_SQRT2 * erfinv_middle(2 * y) : copysign(tail_quantile(q), y);
}

/* --- the gamma family -------------------------------------------------------------------------------- */

double svi_lgamma_f64(double x) {
  int sign;
  return x < 0 ? NAN : lgamma_r(x, &sign);
}

/* digamma(3/2+w) / (3/2 + w - x0), |w| <= 1/2, x0 the zero: error 7e-17; from fit.py */
static const double digamma_c[] = {
  -0.00017404752601197043, 0.00026254875827213939, -0.00015026803195283524, 0.00022347435236190336,
  -0.00048288665599451036, 0.00072544088465210509, -0.0010374199764236806, 0.0015559661794823365,
  -0.0023453098278881273, 0.0035191348578962620, -0.0052799596958805206, 0.0079269289920903575,
  -0.011908218400533906, 0.017907253635129884, -0.026975796737598815, 0.040760833757525997,
  -0.061922133273540757, 0.094988724456326445, -0.14840492305390318, 0.24054248424075819,
  -0.42362742128146053, 0.95105587603183295,
};

/* digamma for 1 <= u <= 2, with u = 1 + z where `z` keeps the digits that 1 + z may lose */
static double digamma_strip(double z) {
  double w = z - 0.5, s = digamma_c[0];
  for (int i = 1; i < 22; i++) s = s * w + digamma_c[i];
  return ((z - 0.46163214496836236) + 1.5522348162858677e-17) * s;
}

/* Above 10 the asymptotic series with the Bernoulli numbers B_2k/2k; from there down the recurrence to
 * the strip [1, 2]; below 1 one step of it up. */
double svi_digamma_f64(double x) {
  if (x < 0) return NAN;
  if (x < 1) return digamma_strip(x) - 1 / x;
  if (x < 10) {
    double s = 0;
    for (; x > 2; s += 1 / x) x -= 1;
    return digamma_strip(x - 1) + s;
  }
  double t = 1 / x / x;
  double b = 1.0/12 - t*(1.0/120 - t*(1.0/252 - t*(1.0/240 - t*(1.0/132 - t*(691.0/32760 - t*(1.0/12
             - t*(3617.0/8160)))))));
  return log(x) - 0.5 / x - t * b;
}

/* The series with B_2k from 12 on, and below it the recurrence down from there: all terms are positive and
 * the largest comes last. */
double svi_trigamma_f64(double x) {
  if (x < 0) return NAN;
  int steps = x < 12 ? (int)ceil(12 - x) : 0;
  double r = 1 / (x + steps), t = r * r;
  double b = 1.0/6 - t*(1.0/30 - t*(1.0/42 - t*(1.0/30 - t*(5.0/66 - t*(691.0/2730 - t*(7.0/6))))));
  double s = r + t * (0.5 + r * b);
  while (steps-- > 0) s += 1 / ((x + steps) * (x + steps));
  return s;
}

/* --- random numbers ---------------------------------------------------------------------------------- */

double svi_uniform_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) {
  return ((double)(threefry_2x32(13, k0, k1, c0, c1) >> 12) + 0.5) * 0x1p-52;
}

/* As svi_normal_f32, 32 bits for the radius and 32 for the angle. */
double svi_normal_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) {
  uint64_t words = threefry_2x32(13, k0, k1, c0, c1);
  double u = ((double)(uint32_t)words + 0.5) * 0x1p-32;
  double v = (double)(int32_t)(uint32_t)(words >> 32) * 0x1p-32;
  return sqrt(-2 * log(u)) * sin(M_PI * v);
}
