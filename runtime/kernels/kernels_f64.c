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

/* The upper quantile of a tail probability of at most 1/4, given its logarithm, by Halley's rule on log Q, which is
 * nearly a parabola: three steps from the asymptote are the rule. */
static double tail_quantile(double aim) {
  double z = sqrt(-2 * aim), h;
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
  return a < 0.5 ? erfinv_middle(x) : copysign(M_SQRT1_2 * tail_quantile(log(0.5 * (1 - a))), x);
}

double svi_ndtri_f64(double p) {
  double y = p - 0.5, q = p < 0.5 ? p : 1 - p;
  if (!(q >= 0)) return NAN;
  if (q == 0) return copysign(HUGE_VAL, y);
  return fabs(y) < 0.25 ? M_SQRT2 * erfinv_middle(2 * y) : copysign(tail_quantile(log(q)), y);
}

/* --- the logarithm of the normal distribution function ------------------------------------------------ */

/* Of the Mills ratio Q(t) / phi(t) = sqrt(2/pi) integral over s > 0 of exp(-s^2/2) t / (t^2 + s^2), by the midpoint rule:
 * s^2 and the weight of exp(-s^2/2).  The error is exp(-2 pi t / 0.3). */
static const double mills_node[][2] = {
  { 0.0225, 0.23668759854473334 }, { 0.2025, 0.21631617747698876 },
  { 0.5625, 0.18068245929288264 }, { 1.1025, 0.13792928441053981 },
  { 1.8225, 0.096229996405151754 }, { 2.7225, 0.061358954738386802 },
  { 3.8025, 0.035756823641289641 }, { 5.0625, 0.019043791101400449 },
  { 6.5025, 0.009269608280637102 }, { 8.1225, 0.0041236600143683834 },
  { 9.9225, 0.0016765550489276677 }, { 11.9025, 0.00062296877739684667 },
  { 14.0625, 0.00021155740942046723 }, { 16.4025, 6.5660426063880318e-5 },
  { 18.9225, 1.8624844234710121e-5 }, { 21.6225, 4.8283094738953816e-6 },
  { 24.5025, 1.1439605418736872e-6 }, { 27.5625, 2.477082593177999e-7 },
  { 30.8025, 4.9021142271259275e-8 }, { 34.2225, 8.8662477518880171e-9 },
  { 37.8225, 1.4655808960842303e-9 }, { 41.6025, 2.2140795696747392e-10 },
  { 45.5625, 3.05696277530621e-11 }, { 49.7025, 3.8574523744521883e-12 },
  { 54.0225, 4.448611619822603e-13 }, { 58.5225, 4.6888021510620159e-14 },
  { 63.2025, 4.5166123734185935e-15 }, { 68.0625, 3.9762824735812509e-16 },
  { 73.1025, 3.1993012414940554e-17 },
};

static double mills(double t) {
  if (t < 2) return 0.5 * erfc(t * M_SQRT1_2) * exp(0.5 * t * t) * 2.5066282746310005;
  double sum = 0;
  for (int i = 28; i >= 0; i--) sum += mills_node[i][1] / (t + mills_node[i][0] / t);
  return sum;
}

/* The normal density; t^2 is taken apart as h^2, exact, and (t - h) (t + h). */
static double density(double t) {
  if (t > 40) return 0;
  double h = (float)t;
  return 0.3989422804014327 * exp(-0.5 * h * h) * exp(-0.5 * (t - h) * (t + h));
}

double svi_log_ndtr_f64(double x) {
  if (x < -1e154) return -0.5 * x * x;
  return x < 0 ? (log(mills(-x)) - 0.91893853320467274) - 0.5 * x * x : log1p(-density(x) * mills(x));
}

double svi_log_ndtr_grad_f64(double x) {
  if (x < 0) return 1 / mills(-x);
  double d = density(x);
  return d / (1 - d * mills(x));
}

double svi_log_ndtri_f64(double y) {
  if (!(y <= 0)) return NAN;
  if (y == 0 || isinf(y)) return y == 0 ? HUGE_VAL : y;
  double middle = expm1((y + 0.69314718055994529) + 2.3190468138462996e-17);   /* 2 p - 1 */
  if (fabs(middle) < 0.5) return M_SQRT2 * erfinv_middle(middle);
  return middle < 0 ? -tail_quantile(y) : tail_quantile(log(-expm1(y)));
}

/* --- Bessel functions -------------------------------------------------------------------------------- */

/* I0(x) exp(-x) is the mean of exp(-x d) over a circle, d = 1 - cos; I1/I0 the mean of cos with that weight, and its
 * derivative the variance: sums of one sign.  The midpoint rule on 56 arcs is exact to 1e-19 for x < 30.  From there the
 * asymptotic series in 1/x. */
static const double bessel_node[] = {
  0.0015731849821834379, 0.014128981481764126, 0.039082678054900457, 0.076120467488713244,
  0.1247765780912463, 0.18443913104073983, 0.25435783511683439, 0.33365342204799605,
  0.42132870382019426, 0.51628111289476021, 0.61731656763491023, 0.72316448857515061,
  0.83249377669526359, 0.94392955276280821, 1.0560704472371918, 1.1675062233047364,
  1.2768355114248494, 1.3826834323650898, 1.4837188871052398, 1.5786712961798057,
  1.6663465779520039, 1.7456421648831656, 1.8155608689592602, 1.8752234219087537,
  1.9238795325112868, 1.9609173219450995, 1.9858710185182359, 1.9984268150178166,
};
static const double gap_c[] = {
  71816112232.68328, 7546911569.3669949, 836956449.77997616, 98252781.815467834,
  12251067.63286615, 1628749.4532470703, 231884.63595631719, 35528.87744140625,
  5892.0457146167755, 1064.67822265625, 211.27614974975586, 46.478515625,
  11.466461181640625, 3.21875, 1.0478515625, 0.40625,
  0.1953125, 0.125, 0.125, 0.5,
};
static const double log_i0e_c[] = {
  3779795380.667541, 419272864.96483305, 49232732.339998597, 6140798.8634667397,
  816737.84219107668, 116339.24666050502, 17837.279688947476, 2960.7397867838542,
  535.64051951061596, 106.467822265625, 23.475127749972873, 5.809814453125,
  1.6380658830915179, 0.53645833333333333, 0.2095703125, 0.1015625,
  0.065104166666666667, 0.0625, 0.125,
};

typedef struct { double mass, excess, gap, slope; } Circle;    /* excess: mass - 1 */

static Circle circle(double x) {
  enum { N = sizeof bessel_node / sizeof *bessel_node };
  Circle s = { 0, 0, 0, 0 };
  for (int i = N - 1; i >= 0; i--) {
    double d = bessel_node[i], e = expm1(-x * d), w = x < 1 ? 1 + e : exp(-x * d);
    s.mass += w / N;
    s.excess += e / N;
    s.gap += w * d / N;
  }
  s.gap /= s.mass;
  for (int i = N - 1; i >= 0; i--) {
    double d = bessel_node[i];
    s.slope += exp(-x * d) * (d - s.gap) * (d - s.gap) / N;
  }
  s.slope /= s.mass;
  return s;
}

double svi_log_i0e_f64(double x) {
  if (!(x >= 0)) return NAN;
  if (x < 1) return log1p(circle(x).excess);
  if (x < 30) return log(circle(x).mass);
  double s = 0, r = 1 / x;
  for (int i = 0; i < 19; i++) s = (s + log_i0e_c[i]) * r;
  return s - 0.91893853320467274 - 0.5 * log(x);
}

double svi_bessel_gap_f64(double x) {
  if (!(x > 0)) return x == 0 ? 1 : NAN;
  if (x < 30) return circle(x).gap;
  double s = 0, r = 1 / x;
  for (int i = 0; i < 20; i++) s = (s + gap_c[i]) * r;
  return s;
}

double svi_bessel_slope_f64(double x) {
  if (!(x > 0)) return x == 0 ? 0.5 : NAN;
  if (x < 30) return circle(x).slope;
  double s = 0, r = 1 / x;
  for (int i = 0; i < 20; i++) s = (s + (20 - i) * gap_c[i]) * r;
  return s * r;
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
