/* The derivative of a von Mises sample with respect to its concentration, for implicit reparameterisation.
 *
 * In:  kappa and an angle x of the von Mises law with mean 0, -pi <= x <= pi.
 * Out: v = dx/dkappa along a fixed value F of the cdf, -(dF(x; kappa)/dkappa) / pdf(x; kappa).
 *
 * (Figurnov, Mohamed, Mnih, "Implicit reparameterization gradients", 2018.)  The density is exp(kappa cos t) / (2 pi I0), and
 * with r = I1/I0, its logarithmic derivative by kappa is cos t - r.  Hence, for x > 0 (v is odd in x),
 *     v = -integral over (0, x) of (cos t - r) exp(kappa (cos t - cos x)) dt
 *       =  integral over (x, pi) of the same,
 * since that over (0, pi) is 0.  Below the angle where cos t = r the first integrand has one sign, above it the second:
 * nothing cancels.  By Gauss and Legendre's rule; the second only as far as its exponent is above -reach. */
#include <math.h>
#include "kernels.h"

/* 16 nodes on (0, 1) and their weights; from fit.py */
static const double node[][2] = {
  { 0.0052995325041750337, 0.013576229705877047 }, { 0.027712488463383712, 0.031126761969323946 },
  { 0.067184398806084128, 0.047579255841246392 }, { 0.12229779582249848, 0.062314485627766936 },
  { 0.19106187779867813, 0.074797994408288366 }, { 0.27099161117138631, 0.084578259697501269 },
  { 0.35919822461037054, 0.091301707522461794 }, { 0.45249374508118128, 0.094725305227534248 },
  { 0.54750625491881872, 0.094725305227534248 }, { 0.64080177538962946, 0.091301707522461794 },
  { 0.72900838882861369, 0.084578259697501269 }, { 0.80893812220132187, 0.074797994408288366 },
  { 0.87770220417750152, 0.062314485627766936 }, { 0.93281560119391587, 0.047579255841246392 },
  { 0.97228751153661629, 0.031126761969323946 }, { 0.99470046749582497, 0.013576229705877047 },
};

/* The integral from a to b, where gap is 1 - r, and cos t - r = gap - 2 sin(t/2)^2. */
static double integral(double kappa, double gap, double x, double a, double b) {
  double sum = 0;
  for (int i = 0; i < 16; i++) {
    double t = a + (b - a) * node[i][0], s = sin(0.5 * t);
    sum += node[i][1] * (gap - 2 * s * s) * exp(2 * kappa * sin(0.5 * (x + t)) * sin(0.5 * (x - t)));
  }
  return (b - a) * sum;
}

static double grad(double kappa, double x, double reach, int parts) {
  double y = fabs(x), s = sin(0.5 * y);
  if (!(kappa >= 0) || isinf(kappa) || !(y <= 3.2)) return NAN;
  double gap = svi_bessel_gap_f64(kappa), v = 0;
  if (2 * s * s < gap) v = -integral(kappa, gap, y, 0, y);
  else if (y < M_PI) {
    double far = s * s + 0.5 * reach / kappa, end = far < 1 ? 2 * asin(sqrt(far)) : M_PI;
    for (int k = 0; k < parts; k++)
      v += integral(kappa, gap, y, y + (end - y) * k / parts, y + (end - y) * (k + 1) / parts);
  }
  return copysign(v, -x);
}

float svi_vonmises_grad_f32(float kappa, float x) { return (float)grad(kappa, x, 20, 1); }
double svi_vonmises_grad_f64(double kappa, double x) { return grad(kappa, x, 40, 3); }
