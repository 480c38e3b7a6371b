/* Points and weights for sums and integrals over a support.
 *
 * In:  a support.
 * Out: points such that the sum of weight * density * f is the expectation of f to seven digits or more.
 *
 * Intervals, finite or not, are by the double exponential rule (Takahasi, Mori 1974): the trapezoid rule after a change of
 * variable that makes every end, be it singular or heavy, decay doubly exponentially.  A plane is by the plain trapezoid rule
 * (its densities are normal), a triangle by two nested intervals. */
#include "matrix.h"
#include <math.h>

static int interval(Point *out, double low, double high, double step) {
  int n = 0;
  bool left = isinf(low), right = isinf(high);
  double reach = left == right && !left ? 3.1 : 4.2;
  for (double t = -reach; t <= reach; t += step) {
    double y = M_PI_2 * sinh(t), dy = M_PI_2 * cosh(t) * step;
    Point *p = &out[n++];
    if (left && right) p->z[0] = sinh(y), p->weight = cosh(y) * dy;
    else if (right)    p->z[0] = low + exp(y), p->weight = exp(y) * dy;
    else if (left)     p->z[0] = high - exp(y), p->weight = exp(y) * dy;
    else {
      double share = 1 / (1 + exp(-2 * y));
      p->z[0] = low + (high - low) * share, p->weight = 2 * (high - low) * share * (1 - share) * dy;
      if (p->z[0] <= low || p->z[0] >= high) n--;
    }
  }
  return n;
}
static int parts(Point *out, const double *ends, int nends) {
  int n = 0;
  for (int i = 0; i + 1 < nends; i++) n += interval(out + n, ends[i], ends[i + 1], 0.1);
  return n;
}

/* a, a + exp(b): the ends of ENDS; a and `kink`: where a KINKS family and its prior are not smooth. */
int points_of(Point *out, Support support, int size, double a, double b, double kink) {
  int n = 0;
  switch (support) {
    case REAL:     return interval(out, -INFINITY, INFINITY, 0.08);
    case POSITIVE: return interval(out, 0, INFINITY, 0.08);
    case UNIT:     return interval(out, 0, 1, 0.07);
    case CIRCLE:   return interval(out, -M_PI, M_PI, 0.07);
    case CORRELATION: return interval(out, -1, 1, 0.07);
    case ENDS:     return interval(out, a, a + exp(b), 0.07);
    case KINKS:    return parts(out, (double[]){-INFINITY, fmin(a, kink), fmax(a, kink), INFINITY}, 4);
    case COUNT: case CLASS:
      for (; n < size; n++) out[n] = (Point){{n}, 1};
      return n;
    case SQUARE:
      for (; n < size * size; n++) out[n] = (Point){{n / size, n % size}, 1};
      return n;
    case BITS:
      for (; n < 1 << size; n++) out[n] = (Point){{n & 1, n >> 1 & 1, n >> 2 & 1}, 1};
      return n;
    case ONE_HOT:
      for (; n < 3; n++) out[n] = (Point){{n == 0, n == 1, n == 2}, 1};
      return n;
    case PLANE:
      for (double x = -7; x <= 7.6; x += 0.45)
        for (double y = -7; y <= 7.6; y += 0.45) out[n++] = (Point){{x, y}, 0.45 * 0.45};
      return n;
    case TRIANGLE: {
      Point line[100];
      int   m = interval(line, 0, 1, 0.16);
      for (int i = 0; i < m; i++)
        for (int j = 0; j < m; j++) {
          double u = line[i].z[0], v = line[j].z[0];
          out[n++] = (Point){{u, (1 - u) * v, (1 - u) * (1 - v)}, line[i].weight * line[j].weight * (1 - u)};
        }
      return n;
    }
    case ONE_POINT:
      out[0] = (Point){{a}, 1};
      return 1;
  }
  return 0;
}
