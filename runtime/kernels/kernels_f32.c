/* The elementwise kernels in single precision, and the generator.
 *
 * In:  kernels.def, random.h.
 * Out: every svi_NAME_f32 of the table; svi_threefry, svi_uniform_f32, svi_normal_f32, svi_standard_gamma_f32, svi_gamma_grad_f32.
 *
 * Every body is straight-line code without calls (but for one call in standard_gamma): all branches of a function are computed and selects choose.  Roundings
 * to an integer add and take away a large constant, so that no conversion can overflow, whatever comes
 * in.  A clamp is written `x > hi ? hi : x`, which lets NaN through.  Splittings such as ln2 = HI + LO are
 * short enough to be exact without fma too; kernels must not rely on contraction.
 * The polynomials come from fit.py, which says how; constant arrays are folded away when the loop of
 * horner() is unrolled. */
#include <stdint.h>
#include <string.h>
#include "kernels.h"
#include "random.h"

#define INLINE static inline __attribute__((always_inline))
/* A loop of known length, written out. */
#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif
#define SIZE(c) ((int)(sizeof(c) / sizeof *(c)))
#define INF __builtin_inff()
#define NOT_A_NUMBER __builtin_nanf("")
#define TINY 1.17549435e-38f                 /* the smallest normal number */
#define HUGEST 3.40282347e+38f
#define SHIFT 12582912.0f                    /* 1.5 * 2^23: adding it rounds to an integer */
#define SHIFT64 6755399441055744.0           /* 1.5 * 2^52 */
#define LOG2_E 1.44269504f
#define LN2_HI 0.693359375f                  /* ten bits */
#define LN2_LO -2.12194440e-4f
#define SQRT_HALF_BITS 0x3f3504f3u

INLINE uint32_t bits_of(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }
INLINE float    of_bits(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }
INLINE uint64_t bits_of64(double x) { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
INLINE double   of_bits64(uint64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }
INLINE float    abs_of(float x) { return __builtin_fabsf(x); }

/* c[0] x^(n-1) + ... + c[n-1] */
INLINE float horner(const float *c, int n, float x) {
  float s = c[0];
  for (int i = 1; i < n; i++) s = s * x + c[i];
  return s;
}

INLINE double horner64(const double *c, int n, double x) {
  double s = c[0];
  for (int i = 1; i < n; i++) s = s * x + c[i];
  return s;
}

#define POLY(c, x) horner(c, SIZE(c), x)

/* --- exp and its family ------------------------------------------------------------------------------ */

/* x = k ln2 + r, |r| <= ln2/2.  k is a whole number as an int, modulo 2^32 where x is no sane argument. */
typedef struct { float r; uint32_t k; } Reduced;

INLINE Reduced exp_reduce(float x) {
  float t = x * LOG2_E + SHIFT, n = t - SHIFT;
  return (Reduced){ (x - n * LN2_HI) - n * LN2_LO, bits_of(t) - bits_of(SHIFT) };
}

/* 2^k for -126 <= k <= 127 */
INLINE float two_to(uint32_t k) { return of_bits((k + 127u) << 23); }

/* (exp(r) - 1 - r) / r^2 on +-ln2/2, weighted by r^2: error 3.3e-9 */
static const float exp_c[] = {
  0.00139357580f, 0.00836908910f, 0.0416664556f, 0.166665167f, 0.500000000f,
};

INLINE float exp_poly(float r) { return 1.0f + (r + r * r * POLY(exp_c, r)); }

/* exp(x) for -87 <= x <= 88 */
INLINE float exp_mid(float x) {
  Reduced e = exp_reduce(x);
  return exp_poly(e.r) * two_to(e.k);
}

/* The power of two is applied in halves: the first product is exact, and the second rounds once to
 * infinity, to a subnormal number or to 0. */
float svi_exp_f32(float x) {
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  Reduced e = exp_reduce(x);
  uint32_t half = (uint32_t)((int32_t)e.k >> 1);
  return exp_poly(e.r) * two_to(half) * two_to(e.k - half);
}

/* (exp(r) - 1 - r) / r^2 on +-ln2/2, relative to expm1(r): error 4.8e-10 */
static const float expm1_c[] = {
  0.000199593283f, 0.00139336905f, 0.00833319128f, 0.0416664779f, 0.166666672f, 0.500000000f,
};

INLINE float expm1_poly(float r) { return r + r * r * POLY(expm1_c, r); }

/* 2^k p + (2^k - 1), with half the power of two, which k = 128 would overflow. */
float svi_expm1_f32(float x) {
  float a = x > 89.0f ? 89.0f : x;
  a = a < -30.0f ? -30.0f : a;
  Reduced e = exp_reduce(a);
  float h = two_to(e.k - 1), y = 2.0f * (h * expm1_poly(e.r) + (h - 0.5f));
  return abs_of(x) < 1.5e-8f ? x : y;
}

/* With t = exp(-|x|) neither tail loses digits. */
float svi_sigmoid_f32(float x) {
  float t = svi_exp_f32(-abs_of(x));
  return (x >= 0.0f ? 1.0f : t) / (1.0f + t);
}

/* p / (p + 2), p = expm1(2|x|); 1 to single precision from 10 on. */
float svi_tanh_f32(float x) {
  float a = abs_of(x);
  a = a > 10.0f ? 10.0f : a;
  Reduced e = exp_reduce(2.0f * a);
  float s = two_to(e.k), p = s * expm1_poly(e.r) + (s - 1.0f);
  return __builtin_copysignf(p / (p + 2.0f), x);
}

/* --- log and its family ------------------------------------------------------------------------------ */

/* (log(1+f) - f + f^2/2) / f^3, sqrt(1/2) <= 1+f <= sqrt(2), weighted by f^2: error 8.1e-10 */
static const float log_c[] = {
  0.0680491775f, -0.117258288f, 0.118885927f, -0.123964213f, 0.142181218f,
  -0.166685268f, 0.200022265f, -0.250000000f, 0.333333105f,
};

/* k ln2 + log(1+f) + shift; `shift` is a small integer, so that k LN2_HI + shift is exact. */
INLINE float log_sum(float k, float f, float shift) {
  float z = f * f, y = f * z * POLY(log_c, f) + k * LN2_LO;
  return (f + (y - 0.5f * z)) + (k * LN2_HI + shift);
}

/* x = 2^k m, sqrt(1/2) <= m < sqrt(2); x positive and normal */
typedef struct { float m; int32_t k; } Parts;

INLINE Parts split(float x) {
  uint32_t u = bits_of(x) - SQRT_HALF_BITS;
  return (Parts){ of_bits((u & 0x7fffffu) + SQRT_HALF_BITS), (int32_t)u >> 23 };
}

/* log(x) + shift for 0 < x < inf */
INLINE float log_shifted(float x, float shift) {
  int is_small = x < TINY;
  Parts p = split(is_small ? x * 8388608.0f : x);
  return log_sum((float)p.k - (is_small ? 23.0f : 0.0f), p.m - 1.0f, shift);
}

/* y for 0 < x < inf; inf and NaN as they are, -inf at 0, NaN below */
INLINE float log_edges(float x, float y) {
  y = x < INF ? y : x;
  y = x == 0.0f ? -INF : y;
  return x < 0.0f ? NOT_A_NUMBER : y;
}

float svi_log_f32(float x) { return log_edges(x, log_shifted(x, 0.0f)); }

/* 1 + x = 2^k m to within rounding; f = m - 1 is taken as 2^-k x + (2^-k - 1), which keeps what the sum
 * 1 + x has lost.  From 2^30 on the 1 does not matter. */
float svi_log1p_f32(float x) {
  float u = 1.0f + x;
  Parts p = split(u);
  float s = of_bits(0x3f800000u - ((uint32_t)p.k << 23)), near = x * s + (s - 1.0f);
  float y = log_edges(u, log_sum((float)p.k, p.k < 30 ? near : p.m - 1.0f, 0.0f));
  return abs_of(x) < 2.9e-8f ? x : y;
}

float svi_softplus_f32(float x) {
  float t = svi_exp_f32(-abs_of(x));
  int over = t > 0.41421356f;
  float y = log_sum(over ? 1.0f : 0.0f, over ? 0.5f * t - 0.5f : t, 0.0f);
  return (x > 0.0f ? x : 0.0f) + y;
}

float svi_xlogy_f32(float x, float y) {
  float p = x * svi_log_f32(y);
  return x == 0.0f && y == y ? 0.0f : p;
}

/* In double: a power needs y times the digits of a logarithm that its result has.
 * log2(m)/s in s^2, s = (m-1)/(m+1): error 2.6e-14;  2^r on +-1/2: error 4.1e-11 */
static const double log2_c[] = {
  0.28288820846240703, 0.31990656595258660, 0.41220923032893303, 0.57707794259170531,
  0.96179669411254076, 2.8853900817778504,
};
static const double exp2_c[] = {
  1.5195577512815697e-5, 0.00015469236481716273, 0.0013333950083508023, 0.0096180274579668011,
  0.055504103194879195, 0.24022651196252842, 0.69314718073883197, 0.99999999996194355,
};

float svi_pow_f32(float x, float y) {
  float a = abs_of(x);
  int is_small = a < TINY;
  Parts p = split(is_small ? a * 8388608.0f : a);
  double m = p.m, s = (m - 1.0) / (m + 1.0), yd = y;
  double l = (double)(p.k - (is_small ? 23 : 0)) + s * horner64(log2_c, SIZE(log2_c), s * s);
  l = a < INF ? l : (double)a;
  l = a == 0.0f ? -(double)INF : l;

  double t = yd * l;
  t = t > 130.0 ? 130.0 : t;
  t = t < -160.0 ? -160.0 : t;
  double n = t + SHIFT64;
  double scale = of_bits64((bits_of64(n) - bits_of64(SHIFT64) + 1023u) << 52);
  float  z = (float)(horner64(exp2_c, SIZE(exp2_c), t - (n - SHIFT64)) * scale);
  z = (a == 1.0f && y == y) ? 1.0f : z;

  int is_huge = abs_of(y) >= 16777216.0f;    /* then y is an even integer, or NaN or infinite */
  double w = (is_huge ? 0.0 : yd) + SHIFT64;
  int is_whole = is_huge || w - SHIFT64 == yd;
  uint32_t sign = is_whole ? (uint32_t)bits_of64(w) << 31 & bits_of(x) : 0;
  z = of_bits(bits_of(z) ^ (sign & 0x80000000u));
  z = x < 0.0f && x > -INF && !is_whole && y == y ? NOT_A_NUMBER : z;
  return x == 1.0f || y == 0.0f ? 1.0f : z;
}

/* --- sine and cosine --------------------------------------------------------------------------------- */

/* (sin(r)/r - 1) / r^2 in r^2, |r| <= pi/4: error 3.7e-9;  (cos(r) - 1 + r^2/2) / r^4: error 1.1e-10 */
static const float sin_c[] = { -0.000195187909f, 0.00833219197f, -0.166666552f };
static const float cos_c[] = { 2.44329713e-5f, -0.00138873130f, 0.0416666456f };

/* sin(x + quarter pi/2).  The reduction is in double with pi/2 in three parts: for |x| < 2^28 the first
 * two products and differences are exact, and what is left is good to 2^-74. */
INLINE float sine(float x, uint32_t quarter) {
  double t = (double)x * 0.63661977236758134 + SHIFT64, n = t - SHIFT64;
  double r64 = ((double)x - n * 0x1.921fb4p+0) - n * 0x1.4442dp-24;
  float  r = (float)(r64 - n * 0x1.8469898cc5170p-48);
  uint32_t q = (uint32_t)bits_of64(t) + quarter;
  float z = r * r;
  float odd  = r + r * (z * POLY(sin_c, z));
  float even = 1.0f + z * (z * POLY(cos_c, z) - 0.5f);
  float y = of_bits(bits_of(q & 1u ? even : odd) ^ (q & 2u) << 30);
  return abs_of(x) < 268435456.0f ? y : NOT_A_NUMBER;
}

float svi_sin_f32(float x) {
  float y = sine(x, 0);
  return abs_of(x) < 1e-4f ? x : y;
}

float svi_cos_f32(float x) { return sine(x, 1); }

/* --- the error function and its inverse -------------------------------------------------------------- */

/* erf(x)/x - 1 in x^2, |x| <= 1: error 1.5e-9;  -log(erfc x) on [1, 4], weighted by erfc: error 1.2e-9 */
static const float erf_small[] = {
  7.84228832e-5f, -0.000800679321f, 0.00518796267f, -0.0268536434f,
  0.112835824f, -0.376126260f, 0.128379166f,
};
static const float erf_large[] = {
  -0.000187381011f, 0.00295717479f, -0.0218749586f, 0.103181526f,
  0.638061225f, 1.12713814f, 0.000329790695f,
};

float svi_erf_f32(float x) {
  float a = abs_of(x), c = a > 4.0f ? 4.0f : a;
  float small = x + x * POLY(erf_small, x * x);
  float large = __builtin_copysignf(1.0f - exp_mid(-POLY(erf_large, c)), x);
  return a < 1.0f ? small : large;
}

/* With w = -log(4q(1-q)):  quantile/y in w - 2.5, w in [0, 5]: error 1.9e-8;
 * quantile in sqrt(w) - 4, w in [5, 106]: error 9.6e-8 */
static const float ndtri_near[] = {
  1.71499570e-9f, -2.49702090e-8f, 3.77154308e-8f, 1.32019034e-6f, -9.63030743e-6f, -1.40476614e-5f,
  0.000617162092f, -0.00354326842f, -0.0118150320f, 0.697604060f, 4.24662685f,
};
static const float ndtri_far[] = {
  6.18586432e-11f, -1.97472017e-9f, 2.60607322e-8f, -1.78787474e-7f, 6.19212813e-7f,
  -3.85601453e-7f, -6.09262224e-6f, 3.35669356e-5f, -0.000122954516f, 0.000414109149f,
  -0.00120283430f, 0.00177411619f, 1.42763984f, 5.43027401f,
};

/* The normal quantile at probability 1/2 + y, given y and the smaller tail q = 1/2 - |y| by themselves,
 * since each may have digits the other has lost.  w is the variable of M. Giles, "Approximating the erfinv
 * function" (GPU Computing Gems, 2011). */
INLINE float quantile(float y, float q) {
  float w = -svi_log_f32(4.0f * q * (1.0f - q));
  float near = y * POLY(ndtri_near, w - 2.5f);
  float far  = __builtin_copysignf(POLY(ndtri_far, __builtin_sqrtf(w) - 4.0f), y);
  float x = w < 5.0f ? near : far;
  return q == 0.0f ? __builtin_copysignf(INF, y) : x;
}

float svi_ndtri_f32(float p) { return quantile(p - 0.5f, p < 0.5f ? p : 1.0f - p); }

float svi_erfinv_f32(float x) {
  return 0.707106781f * quantile(0.5f * x, 0.5f * (1.0f - abs_of(x)));
}

/* --- Bessel functions -------------------------------------------------------------------------------- */

/* In double, since what is left of a difference must have the digits of a float.  Up to 8 by I0 and I1 themselves,
 * in q = x^2/4: errors 5.1e-15, 3.2e-14; above in 1/x: errors 1.3e-9, 3.3e-9, 6.6e-9 */
static const double i0_c[] = {
  4.2292160810728459e-20, 3.5944610418807697e-18, 6.4727374902064396e-16, 7.5621539096560946e-14,
  7.5974943154140222e-12, 6.1509370965680636e-10, 3.9367721753007452e-8, 1.9290119479675169e-6,
  6.9444445255938071e-5, 0.0017361111101460798, 0.027777777778359585, 0.24999999999986622,
  1.0000000000000049,
};
static const double i1_c[] = {
  5.6325650386976206e-19, 4.2006059041197296e-17, 7.1608854408840223e-15, 7.5537464708752463e-13,
  6.8388261639646005e-11, 4.9206592995336451e-9, 2.7557454692280968e-7, 1.1574069943396201e-5,
  0.00034722223008416738, 0.0069444444358268418, 0.083333333338052346, 0.49999999999903166,
  1.0000000000000311,
};
static const double log_i0e_far[] = {
  4.3805946357279266, -0.74104957744066291, 0.19804517982367659, 0.060432491013809923,
  0.062603801834269321, 0.12499915336233533, -0.91893853209220111,
};
static const double gap_far[] = {
  -1030.8463154531605, 628.91644808478748, -120.05577797609529, 13.149262751092808,
  -0.23203184445324312, 0.21323199778950416, 0.12475676291071189, 0.12500124008323871,
  0.49999999897799302,
};
static const double slope_far[] = {
  -339358.32249345374, 164745.30007686553, -31805.507730831774, 3316.6582910926581,
  -190.62365714958790, 8.9164527324800478, 0.64646951701965605, 0.37631685481024746,
  0.24999506970531546, 0.50000000301878378,
};

/* (I0 - 1), and I1 over x/2 */
INLINE double i0_less_1(double q) { return q * horner64(i0_c, SIZE(i0_c), q); }
INLINE double i1_share(double q)  { return horner64(i1_c, SIZE(i1_c), q); }

float svi_log_i0e_f32(float x) {
  double low = x > 8.0f ? 8.0 : (double)x, r = 1.0 / (x > 8.0f ? (double)x : 8.0);
  float near = svi_log1p_f32((float)i0_less_1(0.25 * low * low)) - (float)low;
  float far = (float)horner64(log_i0e_far, SIZE(log_i0e_far), r) - 0.5f * svi_log_f32(x);
  float y = x > 8.0f ? far : near;
  return x < 0.0f ? NOT_A_NUMBER : y;
}

float svi_bessel_gap_f32(float x) {
  double low = x > 8.0f ? 8.0 : (double)x, r = 1.0 / (x > 8.0f ? (double)x : 8.0), q = 0.25 * low * low;
  double i0 = 1.0 + i0_less_1(q), near = (i0 - 0.5 * low * i1_share(q)) / i0;
  double far = r * horner64(gap_far, SIZE(gap_far), r);
  float y = (float)(x > 8.0f ? far : near);
  return x < 0.0f ? NOT_A_NUMBER : y;
}

/* r' = 1 - r/x - r^2 */
float svi_bessel_slope_f32(float x) {
  double low = x > 8.0f ? 8.0 : (double)x, r = 1.0 / (x > 8.0f ? (double)x : 8.0), q = 0.25 * low * low;
  double share = 0.5 * i1_share(q) / (1.0 + i0_less_1(q));
  double near = 1.0 - share - (low * share) * (low * share), far = r * r * horner64(slope_far, SIZE(slope_far), r);
  float y = (float)(x > 8.0f ? far : near);
  return x < 0.0f ? NOT_A_NUMBER : y;
}

/* --- the logarithm of the normal distribution function ------------------------------------------------ */

#define HALF_LOG_2PI 0.918938533f

/* The Mills ratio Q(t) / phi(t) over z, z = 1 / (1 + t/3): error 4.3e-10 */
static const double mills_far[] = {
  -0.011778593871657733, 0.042095643421904722, 0.012662230288334247, -0.28695643232660584,
  0.56061032039251435, -0.43736175714603387, 0.13326983782339169, -0.10287279709947968,
  0.036351994007687335, 0.12200666071782375, 0.22232796685272660, 0.29629233979786401,
  0.33333339080067764, 0.33333333319678193,
};

INLINE float mills(float t) {
  double z = 1.0 / (1.0 + (double)t / 3.0);
  return (float)(z * horner64(mills_far, SIZE(mills_far), z));
}

/* The normal density.  exp of t^2/2, which is rounded, times exp of what the rounding took. */
INLINE float density(float t) {
  double s = t > 16.0f ? 128.0 : 0.5 * (double)t * (double)t;
  float hi = (float)s, lo = (float)(s - (double)hi);
  return 0.398942280f * (svi_exp_f32(-hi) * (1.0f - lo));
}

float svi_log_ndtr_f32(float x) {
  float t = abs_of(x), r = mills(t);
  float below = (svi_log_f32(r) - HALF_LOG_2PI) - 0.5f * (x * x), above = svi_log1p_f32(-density(t) * r);
  below = x == -INF ? x : below;
  return x < 0.0f ? below : above;
}

float svi_log_ndtr_grad_f32(float x) {
  float t = abs_of(x), r = mills(t), d = density(t), below = 1.0f / r, above = d / (1.0f - d * r);
  return x < 0.0f ? below : above;
}

/* Down to probabilities of exp(-80) by quantile(); below, with w the square of the result, the fixed point of
 * w = -2y - log(2 pi) - log w - 2/w + 5/w^2, an asymptotic series of the logarithm. */
float svi_log_ndtri_f32(float y) {
  float u = y < -80.0f ? -80.0f : y, p = svi_exp_f32(u), over = -svi_expm1_f32(u);
  float centred = 0.5f * svi_expm1_f32((float)((double)u + 0.69314718055994531));
  float near = quantile(centred, p < 0.5f ? p : over);
  float v = y < -80.0f ? -2.0f * y : 160.0f, a = v - 1.83787707f, w = a - svi_log_f32(v);
  float e = 1.0f / w;
  w = a - svi_log_f32(w) - 2.0f * e;
  e = 1.0f / w;
  w = a - svi_log_f32(w) - e * (2.0f - 5.0f * e);
  float far = -__builtin_sqrtf(v < INF ? w : v);
  float z = y < -80.0f ? far : near;
  return y > 0.0f ? NOT_A_NUMBER : z;
}

/* --- the gamma family -------------------------------------------------------------------------------- */

/* All three: on [1, 3] a polynomial in w = x - 2; below 1 the same at x + 1 and the recurrence; above 3
 * Stirling's series, economised in 1/x^2.  z is x, or x + 1, minus 1, without rounding. */

/* lgamma(2+w) / (w (1+w)): error 2.7e-8;  Stirling's correction times x, in 1/x^2: error 2.5e-9 */
static const float lgamma_mid[] = {
  -3.62112842e-5f, 7.77151654e-5f, -5.93278128e-5f, 0.000131819412f,
  -0.000418698532f, 0.000943207880f, -0.00210504979f, 0.00499198260f,
  -0.0123844454f, 0.0329655632f, -0.100317299f, 0.422784328f,
};
static const float lgamma_far[] = { -0.000475834153f, 0.000788863865f, -0.00277781510f, 0.0833333358f };

/* Above 3, (x - 1/2)(log x - 1) + (log(2 pi) - 1)/2 + ...: every term is positive. */
float svi_lgamma_f32(float x) {
  int is_low = x < 1.0f, is_high = x > 3.0f;
  float l = log_shifted(x, is_high ? -1.0f : 0.0f);
  float z = is_low ? x : x - 1.0f, w = z - 1.0f;
  float mid = z * w * POLY(lgamma_mid, w) + (is_low ? -l : 0.0f);
  float r = 1.0f / x;
  float far = (x - 0.5f) * l + (0.418938533f + r * POLY(lgamma_far, r * r));
  float y = is_high ? far : mid;
  y = x == 0.0f ? INF : y;
  return x < 0.0f ? NOT_A_NUMBER : y;
}

/* digamma(2+w) / (w - w0), its zero at 2 + w0: error 1.7e-8;
 * (log x - 1/2x - digamma x) x^2 in 1/x^2: error 5.1e-9 */
static const float digamma_mid[] = {
  -0.000103600280f, 0.000213820764f, -7.75839289e-5f, 0.000134919421f, -0.000731356267f,
  0.00149634457f, -0.00272505987f, 0.00550769130f, -0.0113390945f, 0.0234531164f,
  -0.0495512560f, 0.108999811f, -0.260738939f, 0.785307527f,
};
static const float digamma_far[] = { -0.00297399936f, 0.00389484270f, -0.00833180267f, 0.0833333284f };

float svi_digamma_f32(float x) {
  int is_low = x < 1.0f;
  float r = 1.0f / x, z = is_low ? x : x - 1.0f, w = z - 1.0f;
  float mid = ((w + 0.538367867f) - 1.24381501e-8f) * POLY(digamma_mid, w) - (is_low ? r : 0.0f);
  float far = svi_log_f32(x) - r * (0.5f + r * POLY(digamma_far, r * r));
  float y = x > 3.0f ? far : mid;
  return x < 0.0f ? NOT_A_NUMBER : y;
}

/* trigamma(2+w): error 1.4e-8;  (trigamma x - 1/x - 1/2x^2) x^3 in 1/x^2: error 9.9e-9 */
static const float trigamma_mid[] = {
  -0.000385010993f, 0.000797910907f, 2.83161589e-5f, -0.000329989620f,
  -0.00181883527f, 0.00374797476f, -0.00482443813f, 0.00844036695f,
  -0.0160767548f, 0.0286748987f, -0.0500990711f, 0.0866982862f,
  -0.147710368f, 0.246970549f, -0.404113829f, 0.644934058f,
};
static const float trigamma_far[] = {
  0.0358500406f, -0.0299915317f, 0.0236747786f, -0.0333310924f, 0.166666657f,
};

float svi_trigamma_f32(float x) {
  int is_low = x < 1.0f;
  float r = 1.0f / x, z = is_low ? x : x - 1.0f;
  float mid = POLY(trigamma_mid, z - 1.0f) + (is_low ? r * r : 0.0f);
  float far = r + r * r * (0.5f + r * POLY(trigamma_far, r * r));
  float y = x > 3.0f ? far : mid;
  return x < 0.0f ? NOT_A_NUMBER : y;
}

/* The derivative of a gamma sample by its shape: see gamma.c for v, I and the expansion in 1/a.  All three ways are taken:
 *
 * from 2.5 on, |s| <= 2:  the expansion at a.
 * x small:   the expansion at a + 4, carried down four times by  v(a) = x/a (v(a+1) + digamma(a+1) - log x),  which follows from
 *   F(x; a) = F(x; a+1) + pdf(x; a+1).  The smaller x, the less of the expansion is left, and so of its error beyond |s| = 2.
 * x large:   I = B/A of the continued fraction of Legendre for 1 - F, whose k-th step is
 *   A_k = (1 + (2k+1-a)/x) A_{k-1} - k(k-a)/x^2 A_{k-2},  B_k likewise, and its derivative by a. */
static const float grad_v1[] = {
  -7.77551946e-10f, -2.19223569e-9f, 3.26676652e-8f, 9.98572914e-8f, -9.33705460e-7f, -3.29642940e-6f, 2.31403201e-5f,
  9.91944387e-5f, -0.000496026622f, -0.00277777191f, 0.00833333207f, 0.0833333325f, 0.166666667f,
};
static const float grad_v2[] = {
  -1.86465003e-9f, 2.95263505e-8f, 7.05307255e-8f, -9.41001420e-7f, -1.79233576e-6f, 1.87847950e-5f, 3.96699600e-5f,
  -0.000297478589f, -0.000793644446f, 0.00357138140f, 0.0166666658f, 0.0166666692f,
};
static const float grad_v3[] = {
  -4.68390740e-8f, -6.12064062e-7f, 1.23569648e-6f, 1.43933945e-5f, -1.87349932e-5f, -0.000191971386f, 0.000198271629f,
  0.00178478197f, -0.00119044861f, -0.00952373667f,
};
static const float grad_v4[] = {
  2.49284740e-6f, 1.76295443e-6f, -4.77691679e-5f, -1.82909904e-5f, 0.000481205200f, 1.42317825e-5f, -0.00356975284f, -0.00357097652f,
};
enum { LIFTS = 4, FRACTION = 7 };

float svi_gamma_grad_f32(float a, float x) {
  float near_one = a + 0.5f < 1.5f ? 1.5f : a + 0.5f, low = 0.13533528f * a;            /* s < -2 */
  int expands = (a >= 2.5f) & (x >= low) & (x <= 7.3890562f * a), lifts = (x < near_one) | (x < low);

  float top = expands ? a : a + (float)LIFTS, r = 1.0f / top, s = svi_log_f32(x) - svi_log_f32(top);
  float c = s < -2.0f ? -2.0f : s > 2.0f ? 2.0f : s, gone = -svi_expm1_f32(-s);
  float v = gone != 0.0f ? s / gone : 1.0f;
  v = v + r * (POLY(grad_v1, c) + r * (POLY(grad_v2, c) + r * (POLY(grad_v3, c) + r * POLY(grad_v4, c))));

  float lifted = v, gap = -s - r * (0.5f + r * POLY(digamma_far, r * r));      /* digamma(top) - log x */
  UNROLLED for (int j = LIFTS - 1; j >= 0; j--) {
    float q = 1.0f / (a + (float)j);
    lifted = x * q * (lifted + gap);
    gap -= q;                                              /* at last digamma(a) - log x */
  }

  float y = 1.0f / x, A0 = 1.0f, A1 = 1.0f + (1.0f - a) * y, dA0 = 0.0f, dA1 = -y, B0 = 0.0f, B1 = 1.0f, dB0 = 0.0f, dB1 = 0.0f;
  UNROLLED for (int k = 1; k <= FRACTION; k++) {
    float b = 1.0f + ((float)(2 * k + 1) - a) * y, e = (float)k * y * y, d = e * ((float)k - a);
    float dA = b * dA1 - y * A1 - d * dA0 + e * A0, dB = b * dB1 - y * B1 - d * dB0 + e * B0;
    float A = b * A1 - d * A0, B = b * B1 - d * B0;
    A0 = A1, A1 = A, B0 = B1, B1 = B, dA0 = dA1, dA1 = dA, dB0 = dB1, dB1 = dB;
  }
  float q = 1.0f / A1, I = B1 * q, beyond = (dB1 - I * dA1) * q - I * gap;

  float g = lifts ? lifted : beyond;
  g = expands ? v : g;
  g = x == 0.0f ? 0.0f : g;
  int inside = (a > 0.0f) & (a < INF) & (x >= 0.0f) & (x < INF);
  return inside ? g : NOT_A_NUMBER;
}

/* --- random numbers ---------------------------------------------------------------------------------- */

uint64_t svi_threefry(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) {
  return threefry_2x32(13, k0, k1, c0, c1);
}

uint64_t svi_threefry_20(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) {
  return threefry_2x32(20, k0, k1, c0, c1);
}

float svi_uniform_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) {
  uint32_t word = (uint32_t)threefry_2x32(13, k0, k1, c0, c1);
  return ((float)(int32_t)(word >> 9) + 0.5f) * 0x1p-23f;
}

/* sin(pi v)/v in v^2, |v| <= 1/2: error 2.8e-8 */
static const float sinpi_c[] = {
  -0.0140226334f, 0.0869548395f, -0.600508749f, 2.55030513f, -5.16771936f, 3.14159274f,
};

/* Box and Muller's normal is sqrt(-2 log u) cos(2 pi t), t uniform.  The cosine of a uniform angle is
 * distributed as the sine of an angle uniform on (-pi/2, pi/2), for which one short odd polynomial is
 * enough.  u is in (0, 1], so the root is at most sqrt(66 ln2) = 6.764. */
INLINE float normal_of(uint64_t words) {
  float u = (float)(uint32_t)words * 0x1p-32f + 0x1p-33f;
  float v = (float)(int32_t)(uint32_t)(words >> 32) * 0x1p-32f;
  Parts p = split(u);
  return __builtin_sqrtf(-2.0f * log_sum((float)p.k, p.m - 1.0f, 0.0f)) * (v * POLY(sinpi_c, v * v));
}

float svi_normal_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) { return normal_of(threefry_2x32(13, k0, k1, c0, c1)); }

/* The uniform of a pair of words with the digits of a float wherever it lies in (0, 1]. */
INLINE float fine_uniform(uint64_t words) { return (float)(uint32_t)(words >> 32) * 0x1p-32f + ((float)(uint32_t)words + 0.5f) * 0x1p-64f; }

/* As svi_standard_gamma_f64 in samplers.c, of the same words.  One draw in four hundred is still rejected after two tries: it is
 * below 0 then, and svi_gamma_settle_f32 draws it.  That is called for all, so that there is no branch. */
enum { GAMMA_TRIES = 2 };
float svi_standard_gamma_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, float alpha) {
  uint64_t l = threefry_2x32(13, k0, k1, STREAM, STREAM);
  uint32_t l0 = (uint32_t)l, l1 = (uint32_t)(l >> 32);
  int is_low = alpha < 1.0f, done = 0;
  float a = is_low ? alpha + 1.0f : alpha, d = a - 0.333333333f, c = 1.0f / __builtin_sqrtf(9.0f * d), x = 0.0f;
  uint64_t uniforms = threefry_2x32(13, l0 + 2, l1, c0, c1);
  UNROLLED for (uint32_t t = 0; t < GAMMA_TRIES; t++) {
    float z = normal_of(threefry_2x32(13, l0 + 1 + 2 * t, l1, c0, c1)), y = c * z, root = 1.0f + y;
    float log_u = svi_log_f32((float)(uint32_t)(uniforms >> 32 * t) * 0x1p-32f + 0x1p-33f);
    float edge = 0.5f * z * z + d * (3.0f * (svi_log1p_f32(y) - y) - y * y * (3.0f + y));
    int accepted = (root > 0.0f) & (log_u < edge);
    x = done ? x : d * (root * root * root);               /* the last one, if none is accepted */
    done |= accepted;
  }
  float boost = svi_exp_f32(svi_log_f32(fine_uniform(threefry_2x32(13, l0, l1, c0, c1))) / alpha);
  x *= is_low ? boost : 1.0f;
  x = x < TINY ? TINY : x;
  x = x > HUGEST ? HUGEST : x;
  done &= alpha > 0.0f;
  x = done ? x : -1.0f;
  return svi_gamma_settle_f32(x, k0, k1, c0, c1, alpha);
}
