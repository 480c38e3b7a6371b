/* Samplers that reject, and so need an unknown number of words a draw.
 *
 * In:  a key, a counter and the law's parameter; see random.h.
 * Out: svi_standard_gamma_W, svi_poisson_W, svi_vonmises_W.
 *
 * note [words of a draw].  The j-th word pair of the draw at counter (c0, c1) under the key (k0, k1) is
 *     threefry(l0 + j, l1, c0, c1),   (l0, l1) = threefry(k0, k1, STREAM, STREAM).
 * The counter keeps its place, and for one key threefry is a permutation of the counters: two draws of one
 * (seed, site, step) never meet, whatever j either has reached.  Two sites meet only where 64-bit keys
 * made by the generator itself come within a few j of each other.  No draw of one word pair may sit at
 * the counter (STREAM, STREAM).
 *
 * Everything is computed in double; the f32 results are the f64 ones rounded, but for the gamma law, whose f32 draws are made of
 * the same words in single precision (kernels_f32.c), so that a loop of them is vectorised. */
#include <float.h>
#include <math.h>
#include "random.h"

typedef struct { uint32_t l0, l1, c0, c1, j; } Words;

static Words words_new(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1) {
  uint64_t l = threefry_2x32(13, k0, k1, STREAM, STREAM);
  return (Words){ (uint32_t)l, (uint32_t)(l >> 32), c0, c1, 0 };
}

static double words_uniform(Words *w) { return svi_uniform_f64(w->l0 + w->j++, w->l1, w->c0, w->c1); }

/* --- gamma ------------------------------------------------------------------------------------------- */

/* As fine_uniform in kernels_f32.c. */
static double gamma_boost(const Words *w) {
  uint64_t words = threefry_2x32(13, w->l0, w->l1, w->c0, w->c1);
  return (double)(uint32_t)(words >> 32) * 0x1p-32 + ((double)(uint32_t)words + 0.5) * 0x1p-64;
}

/* log of a gamma sample.  Marsaglia and Tsang, "A simple method for generating gamma variables", ACM
 * TOMS 26 (2000); below shape 1 a sample of shape a + 1 times u^(1/a), in logarithms since that soon
 * underflows.  Word pair 0 is this u, then three pairs serve two tries: a normal, two uniforms of a word each, a normal. */
static double log_gamma_sample(const Words *w, double a) {
  double boost = 0;
  if (a < 1) {
    boost = log(gamma_boost(w)) / a;
    a += 1;
  }
  double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (uint32_t t = 0;; t++) {
    uint32_t j = 1 + t / 2 * 3, second = t % 2;
    double z = svi_normal_f64(w->l0 + j + 2 * second, w->l1, w->c0, w->c1), root = 1 + c * z;
    if (root <= 0) continue;
    uint64_t uniforms = threefry_2x32(13, w->l0 + j + 1, w->l1, w->c0, w->c1);
    double v = root * root * root, u = ((double)(uint32_t)(uniforms >> 32 * second) + 0.5) * 0x1p-32;
    if (u < 1 - 0.0331 * (z * z) * (z * z) || log(u) < 0.5 * z * z + d * (1 - v + log(v)))
      return log(d * v) + boost;
  }
}

double svi_standard_gamma_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, double alpha) {
  if (!(alpha > 0)) return NAN;
  Words w = words_new(k0, k1, c0, c1);
  return fmin(fmax(exp(log_gamma_sample(&w, alpha)), DBL_MIN), DBL_MAX);
}

float svi_gamma_settle_f32(float x, uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, float alpha) {
  if (x >= 0) return x;
  double y = svi_standard_gamma_f64(k0, k1, c0, c1, alpha);
  return y < (double)FLT_MIN ? FLT_MIN : y > (double)FLT_MAX ? FLT_MAX : (float)y;
}

/* --- poisson ----------------------------------------------------------------------------------------- */

/* One uniform against the running sum of the probabilities.  The bound is past what a uniform of 53 bits
 * can ask for at rates up to 10, and ends the search where rounding has left the sum short of it. */
static double poisson_search(Words *w, double rate) {
  double u = words_uniform(w), p = exp(-rate), sum = p, k = 0;
  while (u > sum && k < 100) {
    k += 1;
    p *= rate / k;
    sum += p;
  }
  return k;
}

/* log of the Poisson probability of k.  With k = rate (1 + d) the large terms are gathered as
 * -rate ((1 + d) log(1 + d) - d), whose rounding error is as small as k - rate is. */
static double poisson_log_mass(double k, double rate) {
  if (k == 0) return -rate;
  double d = (k - rate) / rate, r = 1 / k, t = r * r;
  double stirling = r * (1.0/12 - t * (1.0/360 - t * (1.0/1260 - t * (1.0/1680 - t * (1.0/1188)))));
  if (k < 8) {
    int sign;
    stirling = lgamma_r(k + 1, &sign) - ((k + 0.5) * log(k) - k + 0.5 * log(2 * M_PI));
  }
  return -(rate * ((1 + d) * log1p(d) - d)) - 0.5 * log(2 * M_PI * k) - stirling;
}

/* Transformed rejection with a squeeze: algorithm PTRS of W. Hoermann, "The transformed rejection method
 * for generating Poisson random variables", Insurance: Mathematics and Economics 12 (1993). */
static double poisson_reject(Words *w, double rate) {
  double b = 0.931 + 2.53 * sqrt(rate), a = -0.059 + 0.02483 * b;
  double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), inside = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    double u = words_uniform(w) - 0.5, v = words_uniform(w), us = 0.5 - fabs(u);
    double k = floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= inside) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    if (log(v * inverse_alpha / (a / (us * us) + b)) <= poisson_log_mass(k, rate)) return k;
  }
}

double svi_poisson_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, double rate) {
  if (!(rate >= 0) || isinf(rate)) return NAN;
  Words w = words_new(k0, k1, c0, c1);
  return rate < 10 ? poisson_search(&w, rate) : poisson_reject(&w, rate);
}

float svi_poisson_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, float rate) {
  return (float)svi_poisson_f64(k0, k1, c0, c1, rate);
}

/* --- von Mises --------------------------------------------------------------------------------------- */

/* Rejection from a wrapped Cauchy law: D. J. Best and N. I. Fisher, "Efficient simulation of the von Mises distribution",
 * Applied Statistics 28 (1979).  Theirs are rho = (tau - sqrt(2 tau)) / 2k, s = (1 + rho^2) / 2 rho and the angle's cosine
 * f = (1 + s z) / (s + z), z = cos(pi u); here s - 1 and 1 - f, which keep their digits when k is large, and so does the
 * angle as 2 asin(sqrt((1 - f) / 2)). */
static double vonmises_reject(Words *w, double k) {
  double root = sqrt(1 + 4 * k * k), tau = 1 + root, sum = tau + sqrt(2 * tau), rho = 2 * k / sum;
  double from_1 = (1 + sqrt(2 * tau) + 1 / (root + 2 * k)) / sum;      /* 1 - rho */
  double s1 = from_1 * from_1 / (2 * rho);
  for (;;) {
    double half = 0.5 * M_PI * words_uniform(w), sine = sin(half), cosine = cos(half), v = words_uniform(w);
    double f1 = s1 * 2 * sine * sine / (s1 + 2 * cosine * cosine);     /* 1 - f = (s - 1) (1 - z) / (s + z) */
    double c = k * (s1 + f1);
    if (c * (2 - c) > v || log(c / v) + 1 >= c)
      return copysign(2 * asin(fmin(sqrt(0.5 * f1), 1)), words_uniform(w) - 0.5);
  }
}

double svi_vonmises_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, double concentration) {
  if (!(concentration >= 0) || isinf(concentration)) return NAN;
  Words w = words_new(k0, k1, c0, c1);
  if (concentration < 1e-9) return M_PI * (2 * words_uniform(&w) - 1);
  return vonmises_reject(&w, fmin(concentration, 1e150));
}

float svi_vonmises_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, float concentration) {
  const float pi = 3.14159250f;              /* the float below it */
  float x = (float)svi_vonmises_f64(k0, k1, c0, c1, concentration);
  return x > pi ? pi : x < -pi ? -pi : x;
}
