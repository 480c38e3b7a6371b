/* The derivative of a gamma sample with respect to its shape, for implicit reparameterisation, in double precision.
 * (In single precision, by straight-line code: kernels_f32.c.)
 *
 * In:  alpha = a and a sample x of the standard gamma law.
 * Out: v = dx/da along a fixed value F of the cdf, -(dF(x; a)/da) / pdf(x; a).
 *
 * (Figurnov, Mohamed, Mnih, "Implicit reparameterization gradients", 2018.)  Three ways, each a sum of
 * terms of one sign or nearly so, so that nothing cancels:
 *
 * x below a:  F = x^a e^-x S / Gamma(a+1), S = sum of t_n = x^n / ((a+1)...(a+n)), hence
 *     v = (x/a) (S (digamma(a+1) - log x) + sum t_n H_n),   H_n = 1/(a+1) + ... + 1/(a+n).
 *
 * x above a:  1 - F = pdf(x) I, I = integral over u > 0 of e^-u (1 + u/x)^(a-1), hence
 *     v = I (log x - digamma(a)) + I',   I' the same integral with a factor log(1 + u/x).
 *   The integrals by the trapezoid rule in t after u = s exp(t - exp(-t)), s the integrand's width.
 *
 * a large, x/a neither large nor small:  v solves dv/dx + v ((a-1)/x - 1) = digamma(a) - log x, since F is
 *   carried along.  With s = log(x/a) this has a solution v0 + v1/a + v2/a^2 + ...,
 *     v0 = s / (1 - e^-s),   v_k = (dv_{k-1}/ds - v_{k-1} - c_k e^s) / (e^s - 1),
 *   c_k the coefficients of digamma(a) - log a in 1/a.  Each v_k is regular at s = 0 (its nearest poles
 *   are +-2 pi i) and is a polynomial below. */
#include <math.h>
#include "kernels.h"

/* From fit.py; |log(x/a)| <= 2; absolute errors 2e-10, 3e-9, 7e-8, 7e-7 */
static const double grad_v1[] = {
  -7.7755194625366775e-10, -2.1922357946970863e-9, 3.2667665151368752e-8, 9.9857291417501629e-8,
  -9.3370546034820980e-7, -3.2964293875993883e-6, 2.3140320076715324e-5, 9.9194438708959893e-5,
  -0.00049602662218109267, -0.0027777719134474636, 0.0083333320689332989, 0.083333332504671467,
  0.16666666671777658,
};
static const double grad_v2[] = {
  -1.8646500303360497e-9, 2.9526350479544340e-8, 7.0530725541151648e-8, -9.4100141961719620e-7,
  -1.7923357579141762e-6, 1.8784794957515873e-5, 3.9669600244478886e-5, -0.00029747858870786907,
  -0.00079364444643462444, 0.0035713814033305055, 0.016666665772130697, 0.016666669248845641,
};
static const double grad_v3[] = {
  -4.6839074026635286e-8, -6.1206406230953973e-7, 1.2356964786419671e-6, 1.4393864551975552e-5,
  -1.8734993245290361e-5, -0.00019197138632135339, 0.00019827162893645901, 0.0017847819659101735,
  -0.0011904486102263046, -0.0095237366650241222,
};
static const double grad_v4[] = {
  2.4928473976727220e-6, 1.7629544230723293e-6, -4.7769167862076754e-5, -1.8290990392523176e-5,
  0.00048120520034917780, 1.4231782507674453e-5, -0.0035697528409234227, -0.0035709765155017711,
};

/* u and du/dt times the step of t, for t = -3, -2.75, ..., 3 and s = 1; from fit.py */
#define NODES 25
static const double node[NODES][2] = {
  { 9.420603004412964e-11, 4.9659618122060557e-10 },
  { 1.0284459328196163e-8, 4.2790117681768482e-8 },
  { 4.2021726546172e-7, 1.384877891033113e-6 },
  { 7.9866765463919651e-6, 2.0940538457249789e-5 },
  { 8.3634361555399192e-5, 0.00017540333772162317 },
  { 0.00055054455145324945, 0.00092967742512662333 },
  { 0.0025245585320371542, 0.0034597112281241943 },
  { 0.0087356497154178448, 0.0098065157946200146 },
  { 0.024275641750774681, 0.022565919399021804 },
  { 0.056869277815341887, 0.044315384973792868 },
  { 0.11663320475407389, 0.077232212575509704 },
  { 0.21566577304540412, 0.12314652678632826 },
  { 0.36787944117144232, 0.18393972058572116 },
  { 0.58931125813414099, 0.2620668318604512 },
  { 0.89894748626711223, 0.36104667453992932 },
  { 1.3200022580740631, 0.48588179358271587 },
  { 1.8815963875316455, 0.64344925377174795 },
  { 2.6208408545627749, 0.84293108280054244 },
  { 3.5853992686249738, 1.0963524954073319 },
  { 4.836668012815505, 1.4192887216407708 },
  { 6.4537716817429816, 1.8317986750590246 },
  { 8.5386317252494675, 2.3596492219775238 },
  { 11.222436140814079, 3.0359074489973988 },
  { 14.673925434280316, 3.902999525700141 },
  { 19.110022423304084, 5.0153636040511343 },
};

enum { LARGE = 12 };                         /* from this a on the expansion in 1/a is used */

static double grad_series(double a, double x) {
  double t = 1, S = 1, H = 0, SH = 0;
  for (double n = a + 1; t > 1e-11 * S || n < x; n += 1) {
    double r = 1 / n;
    H += r;
    t *= x * r;
    S += t;
    SH += t * H;
  }
  return x / a * (S * (svi_digamma_f64(a + 1) - log(x)) + SH);
}

static double grad_integral(double a, double x) {
  double lean = a > 1 ? (a - 1) / x : 0;      /* log of the integrand: -(1 - lean) u - lean u^2 / 2x + ... */
  double s = 1 / (1 - lean + sqrt(0.5 * lean / x));
  double I = 0, J = 0;
  for (int i = 0; i < NODES; i++) {
    double u = s * node[i][0], l = log1p(u / x), g = exp((a - 1) * l - u) * node[i][1];
    I += g;
    J += g * l;
  }
  return s * (I * (log(x) - svi_digamma_f64(a)) + J);
}

static double horner(const double *c, int n, double x) {
  double s = c[0];
  for (int i = 1; i < n; i++) s = s * x + c[i];
  return s;
}

static double grad_expansion(double a, double s) {
  double v0 = s != 0 ? s / -expm1(-s) : 1, e = 1 / a;
  return v0 + e * (horner(grad_v1, 13, s) + e * (horner(grad_v2, 12, s)
            + e * (horner(grad_v3, 10, s) + e * horner(grad_v4, 8, s))));
}

double svi_gamma_grad_f64(double a, double x) {
  if (!(a > 0 && x >= 0) || isinf(a) || isinf(x)) return NAN;
  if (x == 0) return 0;
  if (a >= LARGE) {
    double s = log(x / a);
    if (fabs(s) <= 2) return grad_expansion(a, s);
  }
  double edge = a + 0.5;
  return x < (edge > 1 ? edge : 1) ? grad_series(a, x) : grad_integral(a, x);
}
