/* The tail of importance weights.
 *
 * note [k-hat]  A generalised Pareto distribution of shape k is fitted to the excesses of the largest min(n / 5, 3 sqrt(n))
 * of n weights over the next one (Vehtari, Simpson, Gelman, Yao, Gabry 2024).  The weights have as many moments as 1 / k:
 * from k = 1/2 on their variance is infinite, from k = 1 on their mean, and near 0.7 the number of draws needed is out of
 * reach.  The fit is the posterior mean over the profile likelihood of Zhang and Stephens (2009), who write -k for k, with
 * ten observations' worth of prior at k = 1/2. */
#include <math.h>
#include <stdlib.h>
#include "trainer.h"

int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Shape when 1 - theta x is what the likelihood is a function of; theta < 1 / most. */
static double shape_at(double theta, const double *x, uint64_t n) {
  double sum = 0;
  for (uint64_t i = 0; i < n; i++) sum += log1p(-theta * x[i]);
  return sum / (double)n;
}

/* x rises; its first quartile is positive. */
static double pareto_shape(const double *x, uint64_t n) {
  enum { GRID = 2000 };
  uint64_t m = 30 + (uint64_t)sqrt((double)n);
  if (m > GRID) m = GRID;
  double theta[GRID], fit[GRID], quartile = x[(uint64_t)((double)n / 4 + 0.5) - 1], most = -INFINITY, sum = 0, mean = 0;
  for (uint64_t j = 0; j < m; j++) {
    theta[j] = 1 / x[n - 1] + (1 - sqrt((double)m / ((double)j + 0.5))) / (3 * quartile);
    double k = shape_at(theta[j], x, n);
    fit[j] = (double)n * (log(-theta[j] / k) - k - 1);
    if (!isfinite(fit[j])) fit[j] = -INFINITY;      /* theta = 0, of no weight among the others */
    if (fit[j] > most) most = fit[j];
  }
  for (uint64_t j = 0; j < m; j++) {
    double w = exp(fit[j] - most);
    sum  += w;
    mean += w * theta[j];
  }
  return shape_at(mean / sum, x, n);
}

double pareto_khat(double *log_weight, uint64_t n, double rounding) {
  qsort(log_weight, n, sizeof *log_weight, by_size);
  double tail_wanted = fmin((double)n / 5, ceil(3 * sqrt((double)n))), most = log_weight[n - 1];
  uint64_t tail = (uint64_t)tail_wanted;
  double *x = log_weight + n - tail, cut = log_weight[n - tail - 1];
  if (isinf(most)) return INFINITY;
  if (most - cut <= 16 * rounding * (1 + fabs(most))) return most - log_weight[0] <= 16 * rounding * (1 + fabs(most)) ? -INFINITY : NAN;
  for (uint64_t i = 0; i < tail; i++) x[i] = exp(x[i] - most) - exp(cut - most);
  if (!(x[(uint64_t)((double)tail / 4 + 0.5) - 1] > 0)) return NAN;
  double k = pareto_shape(x, tail);
  return ((double)tail * k + 10 * 0.5) / ((double)tail + 10);
}
