/* The families of the matrix: text and densities.
 *
 * In the text a and b are the two parameters, real numbers; the C functions write out the same density with the same links.
 * g(z) is chosen so that its square has moments, and so that the likelihood is not flat. */
#include "matrix.h"
#include <math.h>
#include <stddef.h>

#define LOG_2PI 1.8378770664093454836
static double sigma(double x) { return 1 / (1 + exp(-x)); }
static double normal(double z, double m, double s) { double y = (z - m) / s; return -0.5 * y * y - log(s) - 0.5 * LOG_2PI; }
static double log_beta(double a, double b) { return lgamma(a) + lgamma(b) - lgamma(a + b); }
static double gamma_rate(double z, double shape, double rate) { return shape * log(rate) - lgamma(shape) + (shape - 1) * log(z) - rate * z; }
static double beta_ab(double z, double a, double b) { return (a - 1) * log(z) + (b - 1) * log1p(-z) - log_beta(a, b); }
static double student(double z, double df, double m, double s) {
  double y = (z - m) / s;
  return -0.5 * (df + 1) * log1p(y * y / df) - log(s) - 0.5 * log(df) - log_beta(0.5, 0.5 * df);
}
static double coin(double z, double logit) { return z * logit - log1p(exp(logit)); }
static double three(double la, double lb) { return log(exp(la) + exp(lb) + 1); }      /* of logits la, lb, 0 */

/* ---- densities */
static double d_normal(const double *z, double a, double b) { return normal(z[0], a, exp(b)); }
static double d_normal_variance(const double *z, double a, double b) { return normal(z[0], a, exp(0.5 * b)); }
static double d_normal_two(const double *z, double a, double b) { return normal(z[0], a, exp(b)) + normal(z[1], a, exp(b)); }
static double d_multivariate(const double *z, double a, double b) {      /* covariance [[e^b, 0.3], [0.3, 0.9]], mean [a, 0.2] */
  double v = exp(b), det = 0.9 * v - 0.09, x = z[0] - a, y = z[1] - 0.2;
  return -0.5 * (0.9 * x * x - 0.6 * x * y + v * y * y) / det - 0.5 * log(det) - LOG_2PI;
}
static double d_rank_one(const double *z, double a, double b) {      /* precision diag(e^b, 1.1) + u u', u = [0.5, -0.4], mean [a, 0.2] */
  double d = exp(b), x = z[0] - a, y = z[1] - 0.2, t = 0.5 * x - 0.4 * y, det = d * 1.1 * (1 + 0.25 / d + 0.16 / 1.1);
  return -0.5 * (d * x * x + 1.1 * y * y + t * t) + 0.5 * log(det) - LOG_2PI;
}
static double d_von_mises(const double *z, double a, double b) {
  double k = exp(b), term = 1, sum = 1;                              /* I0 by its series */
  for (int i = 1; i < 60; i++) term *= 0.25 * k * k / i / i, sum += term;
  return k * cos(z[0] - a) - log(sum) - LOG_2PI;
}
static double d_truncated(const double *z, double a, double b) {       /* to [0, 1] */
  double s = exp(b);
  return normal(z[0], a, s) - log(0.5 * (erf((1 - a) / s * M_SQRT1_2) - erf(-a / s * M_SQRT1_2)));
}
static double d_correlation(const double *z, double a, double b) {     /* (1 - r^2)^(c - 1) for the r of two, L = [[1, 0], [r, sqrt(1 - r^2)]] */
  double c = exp(a);
  (void)b;
  return (c - 1) * log1p(-z[0] * z[0]) - (2 * c - 1) * log(2) - log_beta(c, c);
}
static double d_log_normal(const double *z, double a, double b) { return normal(log(z[0]), a, exp(b)) - log(z[0]); }
static double d_student(const double *z, double a, double b) { return student(z[0], 4, a, exp(b)); }
static double d_student_df(const double *z, double a, double b) { return student(z[0], 1 + exp(a), 0.2, exp(b)); }
static double d_cauchy(const double *z, double a, double b) { return student(z[0], 1, a, exp(b)); }
static double d_half_cauchy(const double *z, double a, double b) { (void)b; return log(2) + student(z[0], 1, 0, exp(a)); }
static double d_half_normal(const double *z, double a, double b) { (void)b; return log(2) + normal(z[0], 0, exp(a)); }
static double d_laplace(const double *z, double a, double b) { return -fabs(z[0] - a) / exp(b) - log(2) - b; }
static double d_logistic(const double *z, double a, double b) {
  double y = fabs(z[0] - a) / exp(b);
  return -y - 2 * log1p(exp(-y)) - b;
}
static double d_gumbel(const double *z, double a, double b) {
  double y = (z[0] - a) / exp(b);
  return -y - exp(-y) - b;
}
static double d_exponential(const double *z, double a, double b) { (void)b; return a - exp(a) * z[0]; }
static double d_exponential_mean(const double *z, double a, double b) { (void)b; return -a - exp(-a) * z[0]; }
static double d_gamma(const double *z, double a, double b) { return gamma_rate(z[0], exp(a), exp(b)); }
static double d_gamma_mean(const double *z, double a, double b) { return gamma_rate(z[0], exp(a), exp(a - b)); }
static double d_inverse_gamma(const double *z, double a, double b) { return gamma_rate(1 / z[0], exp(a), exp(b)) - 2 * log(z[0]); }
static double d_weibull(const double *z, double a, double b) {
  double k = exp(a), y = log(z[0]) - b;
  return a - b + (k - 1) * y - exp(k * y);
}
static double d_beta(const double *z, double a, double b) { return beta_ab(z[0], exp(a), exp(b)); }
static double d_beta_mean(const double *z, double a, double b) { return beta_ab(z[0], sigma(a) * exp(b), sigma(-a) * exp(b)); }
static double d_kumaraswamy(const double *z, double a, double b) {
  double c = exp(a);
  return a + b + (c - 1) * log(z[0]) + (exp(b) - 1) * log1p(-pow(z[0], c));
}
static double d_uniform(const double *z, double a, double b) { (void)z, (void)a; return -b; }
static double d_dirichlet(const double *z, double a, double b) {
  const double c[3] = {exp(a), exp(b), 1.4};
  double sum = lgamma(c[0] + c[1] + c[2]);
  for (int k = 0; k < 3; k++) sum += (c[k] - 1) * log(z[k]) - lgamma(c[k]);
  return sum;
}
static double d_relaxed_coin(const double *z, double a, double b) {      /* logit z = (a + logistic noise) / temperature */
  double l = log(z[0]) - log1p(-z[0]), y = fabs(exp(b) * l - a);
  return b - y - 2 * log1p(exp(-y)) - log(z[0]) - log1p(-z[0]);
}
static double d_concrete(const double *z, double a, double b) {
  const double temperature = 0.8, logit[3] = {a, b, 0};
  double sum = lgamma(3) + 2 * log(temperature), total = 0;
  for (int k = 0; k < 3; k++) {
    double y = logit[k] - temperature * log(z[k]);
    sum += y - log(z[k]), total += exp(y);
  }
  return sum - 3 * log(total);
}
static double d_delta(const double *z, double a, double b) { (void)z, (void)a, (void)b; return 0; }
static double d_coin_prob(const double *z, double a, double b) { (void)b; return z[0] * log(sigma(a)) + (1 - z[0]) * log(sigma(-a)); }
static double d_coin(const double *z, double a, double b) { (void)b; return coin(z[0], a); }
static double d_coins(const double *z, double a, double b) { return coin(z[0], a) + coin(z[1], b); }
static double d_binomial(const double *z, double a, double b) { (void)b; return -log(6) - log_beta(z[0] + 1, 6 - z[0]) + z[0] * a - 5 * log1p(exp(a)); }
static double d_binomial_two(const double *z, double a, double b) {
  (void)b;
  return -2 * log(3) - log_beta(z[0] + 1, 3 - z[0]) - log_beta(z[1] + 1, 3 - z[1]) + (z[0] + z[1]) * a - 4 * log1p(exp(a));
}
static double negative_binomial(double x, double shape, double prob) {
  return lgamma(x + shape) - lgamma(shape) - lgamma(x + 1) + shape * log(prob) + x * log1p(-prob);
}
static double d_negative_binomial(const double *z, double a, double b) { return negative_binomial(z[0], exp(a), sigma(b)); }
static double d_negative_binomial_mean(const double *z, double a, double b) { return negative_binomial(z[0], exp(a), 1 / (1 + exp(b - a))); }
static double d_geometric(const double *z, double a, double b) { (void)b; return log(sigma(a)) + z[0] * log(sigma(-a)); }
static double d_poisson(const double *z, double a, double b) { (void)b; return z[0] * a - exp(a) - lgamma(z[0] + 1); }
static double d_class(const double *z, double a, double b) { return (const double[]){a, b, 0}[(int)z[0]] - three(a, b); }
static double d_one_hot(const double *z, double a, double b) { return z[0] * a + z[1] * b - three(a, b); }

/* ---- what is observed */
static double v_same(const double *z) { return z[0]; }
static double v_curved(const double *z) { return z[0] + z[0] * z[0]; }      /* a symmetric family's gradients are not 0 */
static double v_sine(const double *z) { return sin(z[0]); }
static double v_twice(const double *z) { return 2 * z[0]; }
static double v_tanh(const double *z) { return tanh(z[0]); }
static double v_log(const double *z) { return log(z[0]); }
static double v_share(const double *z) { return z[0] / (1 + z[0]); }
static double v_root(const double *z) { return sqrt(1 + z[0]); }
static double v_two(const double *z) { return z[0] - 0.5 * z[1]; }
static double v_product(const double *z) { return 1.6 * z[0] - 0.4 * z[0] * z[1]; }
static double v_bits(const double *z) { return 1.5 * z[0] - z[1] + 0.8 * z[0] * z[1]; }
static double v_class(const double *z) { return (z[0] - 0.8) * (z[0] - 0.8); }
static double v_shares(const double *z) { return 2 * z[0] - 1.2 * z[2]; }

/* priors that are of another family */
static const Family standard = {.draw = "Normal(a, exp(b))", .log_density = d_normal};

#define COIN (DISCRETE | FINITE | BIT | MEAN | RELAXED)
#define JUMPS (DISCRETE | MEAN)
const Family families[] = {
  /* name              draw                                                            value                 traits             support   size start          prior          density                   value */
  {"Normal",           "Normal(a, exp(b))",                                            "z",                  GAUSSIAN,          REAL,      0, {0.4, -0.4},   {-0.1, 0.1},   d_normal,                 v_same,   NULL},
  {"Normal, variance", "Normal(a, variance: exp(b))",                                  "z",                  GAUSSIAN,          REAL,      0, {0.4, -0.4},   {-0.1, 0.1},   d_normal_variance,        v_same,   NULL},
  {"Normal[2]",        "Normal(a, exp(b))[2]",                                         "z[1] - 0.5 * z[2]",  GAUSSIAN,          PLANE,     0, {0.4, -0.4},   {-0.1, 0.1},   d_normal_two,             v_two,    NULL},
  {"MultivariateNormal", "MultivariateNormal([a, 0.2], cholesky([[exp(b), 0.3], [0.3, 0.9]]))", "z[1] - 0.5 * z[2]", GAUSSIAN,   PLANE,     0, {0.4, -0.4},   {-0.1, 0.1},   d_multivariate,           v_two,    NULL},
  {"RankOneNormal",    "RankOneNormal([a, 0.2], [exp(b), 1.1], [0.5, -0.4])",          "z[1] - 0.5 * z[2]",  GAUSSIAN,          PLANE,     0, {0.4, 0.2},    {-0.1, -0.1},  d_rank_one,               v_two,    NULL},
  {"LogNormal",        "LogNormal(a, exp(b))",                                         "log(z)",             0,                 POSITIVE,  0, {0.4, -0.4},   {-0.1, 0.1},   d_log_normal,             v_log,    NULL},
  {"StudentT",         "StudentT(4, a, exp(b))",                                       "tanh(z)",            0,                 REAL,      0, {0.4, -0.4},   {-0.3, 0.1},   d_student,                v_tanh,   NULL},
  {"StudentT, df",     "StudentT(1 + exp(a), 0.2, exp(b))",                            "tanh(z)",            0,                 REAL,      0, {0.4, -0.3},   {1.2, 0.2},    d_student_df,             v_tanh,   NULL},
  {"Cauchy",           "Cauchy(a, exp(b))",                                            "tanh(z)",            0,                 REAL,      0, {0.4, -0.4},   {-0.3, 0.2},   d_cauchy,                 v_tanh,   NULL},
  {"HalfCauchy",       "HalfCauchy(exp(a))",                                           "z / (1 + z)",        LONE,              POSITIVE,  0, {-0.5, 0},     {0.4, 0},      d_half_cauchy,            v_share,  NULL},
  {"HalfNormal",       "HalfNormal(exp(a))",                                           "z",                  LONE,              POSITIVE,  0, {-0.4, 0},     {0.2, 0},      d_half_normal,            v_same,   NULL},
  {"Laplace",          "Laplace(a, exp(b))",                                           "z",                  0,                 KINKS,     0, {0.4, -0.6},   {-0.1, -0.2},  d_laplace,                v_same,   NULL},
  {"Logistic",         "Logistic(a, exp(b))",                                          "z",                  0,                 REAL,      0, {0.4, -0.8},   {-0.1, -0.4},  d_logistic,               v_same,   NULL},
  {"Gumbel",           "Gumbel(a, exp(b))",                                            "z",                  0,                 REAL,      0, {0.4, -0.7},   {-0.1, -0.4},  d_gumbel,                 v_same,   NULL},
  {"Exponential",      "Exponential(exp(a))",                                          "sqrt(1 + z)",        LONE,              POSITIVE,  0, {0.5, 0},      {-0.1, 0},     d_exponential,            v_root,   NULL},
  {"Exponential, mean", "Exponential(mean: exp(a))",                                   "sqrt(1 + z)",        LONE,              POSITIVE,  0, {-0.5, 0},     {0.2, 0},      d_exponential_mean,       v_root,   NULL},
  {"Gamma",            "Gamma(exp(a), exp(b))",                                        "log(z)",             0,                 POSITIVE,  0, {0.7, 0.3},    {0.4, -0.1},   d_gamma,                  v_log,    NULL},
  {"Gamma, shape < 1", "Gamma(exp(a), exp(b))",                                        "sqrt(1 + z)",        0,                 POSITIVE,  0, {-0.7, 0.4},   {-0.4, -0.2},  d_gamma,                  v_root,   NULL},
  {"Gamma, mean",      "Gamma(exp(a), mean: exp(b))",                                  "log(z)",             0,                 POSITIVE,  0, {0.7, 0.4},    {0.4, -0.1},   d_gamma_mean,             v_log,    NULL},
  {"InverseGamma",     "InverseGamma(exp(a), exp(b))",                                 "log(z)",             0,                 POSITIVE,  0, {0.9, 0.4},    {0.6, 0.1},    d_inverse_gamma,          v_log,    NULL},
  {"Weibull",          "Weibull(exp(a), exp(b))",                                      "log(z)",             0,                 POSITIVE,  0, {0.5, 0.4},    {0.3, 0},      d_weibull,                v_log,    NULL},
  {"Beta",             "Beta(exp(a), exp(b))",                                         "2 * z",              0,                 UNIT,      0, {0.7, 0.2},    {0.3, 0.5},    d_beta,                   v_twice,  NULL},
  {"Beta, mean",       "Beta(mean: sigmoid(a), concentration: exp(b))",                "2 * z",              0,                 UNIT,      0, {0.5, 1.2},    {-0.1, 0.9},   d_beta_mean,              v_twice,  NULL},
  {"Kumaraswamy",      "Kumaraswamy(exp(a), exp(b))",                                  "2 * z",              0,                 UNIT,      0, {0.7, 0.2},    {0.3, 0.5},    d_kumaraswamy,            v_twice,  NULL},
  {"Uniform",          "Uniform(a, a + exp(b))",                                       "z",                  MOVES,             ENDS,      0, {-0.5, 0.6},   {0.1, 0.2},    d_uniform,                v_same,   &standard},
  {"TruncatedNormal",  "TruncatedNormal(a, exp(b), 0, 1)",                             "2 * z",              0,                 UNIT,      0, {0.4, -0.6},   {0.7, -0.2},   d_truncated,              v_twice,  NULL},
  {"VonMises",         "VonMises(a, exp(b))",                                          "sin(z)",             0,                 CIRCLE,    0, {0.4, 0.5},    {-0.3, 0.1},   d_von_mises,              v_sine,   NULL},
  {"LKJCholesky",      "LKJCholesky(2, exp(a))",                                       "z[2, 1] + square(z[2, 1])", LONE,              CORRELATION, 0, {0.7, 0},    {0.3, 0},      d_correlation,            v_curved,  NULL},
  {"Dirichlet",        "Dirichlet([exp(a), exp(b), 1.4])",                             "2 * z[1] - 1.2 * z[3]", 0,              TRIANGLE,  0, {0.8, 0.2},    {0.3, 0.5},    d_dirichlet,              v_shares, NULL},
  {"RelaxedBernoulli", "RelaxedBernoulli(exp(b), a)",                                  "2 * z",              0,                 UNIT,      0, {0.5, -0.2},   {-0.1, 0.2},   d_relaxed_coin,           v_twice,  NULL},
  {"Concrete",         "Concrete(0.8, logit: [a, b, 0])",                              "2 * z[1] - 1.2 * z[3]", 0,              TRIANGLE,  0, {0.6, -0.3},   {-0.1, 0.2},   d_concrete,               v_shares, NULL},
  {"Delta",            "Delta(a)",                                                     "z",                  MOVES | LONE,      ONE_POINT, 0, {0.4, 0},      {0, 0},        d_delta,                  v_same,   &standard},
  {"Bernoulli",        "Bernoulli(sigmoid(a))",                                        "z",                  COIN | LONE,       BITS,      1, {0.6, 0},      {-0.3, 0},     d_coin_prob,              v_same,   NULL},
  {"Bernoulli, logit", "Bernoulli(logit: a)",                                          "z",                  COIN | LONE,       BITS,      1, {0.6, 0},      {-0.3, 0},     d_coin,                   v_same,   NULL},
  {"Bernoulli[2]",     "Bernoulli(logit: [a, b])",                                     "1.5 * z[1] - z[2] + 0.8 * z[1] * z[2]", COIN, BITS,   2, {0.6, -0.4},   {-0.3, 0.2},   d_coins,                  v_bits,   NULL},
  {"Binomial",         "Binomial(5, sigmoid(a))",                                      "tanh(z)",            JUMPS | FINITE | LONE, CLASS, 6, {-0.6, 0},  {-1, 0},       d_binomial,               v_tanh,   NULL},
  {"Binomial[2]",      "Binomial(2, sigmoid(a))[2]",                                   "1.6 * z[1] - 0.4 * z[1] * z[2]", JUMPS | FINITE | LONE, SQUARE, 3, {-0.3, 0}, {-0.8, 0},   d_binomial_two,           v_product, NULL},
  {"NegativeBinomial", "NegativeBinomial(exp(a), sigmoid(b))",                         "tanh(z)",            JUMPS,             COUNT,    90, {0.7, 0.3},    {0.1, 0.6},    d_negative_binomial,      v_tanh,   NULL},
  {"NegativeBinomial, mean", "NegativeBinomial(exp(a), mean: exp(b))",                 "tanh(z)",            JUMPS,             COUNT,    90, {0.5, -0.1},   {0.2, 0.3},    d_negative_binomial_mean, v_tanh,   NULL},
  {"Geometric",        "Geometric(sigmoid(a))",                                        "tanh(z)",            JUMPS | LONE,   COUNT,    90, {0.4, 0},      {0, 0},        d_geometric,              v_tanh,   NULL},
  {"Poisson",          "Poisson(exp(a))",                                              "tanh(z)",            JUMPS | LONE,   COUNT,    60, {0.1, 0},      {0.5, 0},      d_poisson,                v_tanh,   NULL},
  {"Poisson, log",     "Poisson(log_rate: a)",                                         "tanh(z)",            JUMPS | LONE,   COUNT,    60, {0.1, 0},      {0.5, 0},      d_poisson,                v_tanh,   NULL},
  {"Categorical", "Categorical(logit: [a, b, 0])",                              "square(z - 0.8)",    DISCRETE | FINITE, CLASS,     3, {0.6, -0.4},   {-0.3, 0.2},   d_class,                  v_class,  NULL},
  {"OneHot",    "OneHot(logit: [a, b, 0])",                                     "2 * z[1] - 1.2 * z[3]", JUMPS | FINITE | RELAXED, ONE_HOT, 0, {0.6, -0.4},  {-0.3, 0.2},   d_one_hot,                v_shares, NULL},
};
const int nfamilies = sizeof families / sizeof *families;
