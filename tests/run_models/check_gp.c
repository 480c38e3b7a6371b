/* The library's Gaussian processes (stdlib/gp.svm): kernels, psi statistics, bounds and predictions of exact and sparse processes. */
#include "cases.h"

const Width widths[WIDTHS] = {{"--precision f64", 1e-9}, {"", 3e-5}};

static void put_points(void) {
  double m[] = {0.1, 0.4, -1.0, 0.3, 0.5, 0.5, 2.0, -0.7, -0.4, 1.5, 1.1, 1.2};
  double S[] = {0.1, 0.2, 0.3, 0.1, 0.05, 0.5, 0.2, 0.2, 0.4, 0.1, 0.1, 0.3};
  double y[6];
  for (int i = 0; i < 6; i++) y[i] = sin(2 * m[2 * i]) + m[2 * i + 1];
  const SviArray a[] = {
    {.name = (char *)(uintptr_t)"m", .type = SVI_F64, .rank = 2, .dim = {6, 2}, .bytes = m},
    {.name = (char *)(uintptr_t)"S", .type = SVI_F64, .rank = 2, .dim = {6, 2}, .bytes = S},
    {.name = (char *)(uintptr_t)"y", .type = SVI_F64, .rank = 2, .dim = {6, 1}, .bytes = y},
    {.name = (char *)(uintptr_t)"targets", .type = SVI_F64, .rank = 1, .dim = {6}, .bytes = y},
  };
  data_put("d.npz", a, 4);
}
static double value(const char *report) { return eval(report, "").value; }

/* a = (0.3, -1), b = (1, 0.5), weights 2 and 0.5 */
START_TEST(kernels_are_as_defined) {
  put_points();
  start("gp", _i);
  double d2 = 2 * 0.49 + 0.5 * 2.25, d = sqrt(d2), three = sqrt(3) * d, five = sqrt(5) * d;
  is_exactly(value("rbf"), exp(-d2 / 2), "the RBF kernel");
  is_exactly(value("matern12"), exp(-d), "the Matern kernel 1/2");
  is_exactly(value("matern32"), (1 + three) * exp(-three), "the Matern kernel 3/2");
  is_exactly(value("matern52"), (1 + five + 5 * d2 / 3) * exp(-five), "the Matern kernel 5/2");
  is_exactly(value("linear"), 2 * 0.3 - 0.5 * 0.5, "the linear kernel");
  is_exactly(value("white"), 10, "the white kernel: 0 for different points, 1 for the same");
  is_exactly(value("same"), 4, "kernels of a point with itself");
  double d1 = sqrt(3 * (0.49 + 2.25));
  is_exactly(value("sums"), exp(-0.5 * (0.49 + 2.25)) + 0.5 * (1 + d1) * exp(-d1) * 0.3 * (0.3 - 0.5), "a sum with a product");
  is_exactly(value("diagonal"), 0, "the diagonal");
}
END_TEST

START_TEST(kernels_are_positive_definite) {
  static const char *const dets[] = {"det_rbf", "det_12", "det_32", "det_52", "det_lin", "det_sum", "det_psi2"};
  put_points();
  start("gp", _i);
  for (size_t k = 0; k < sizeof dets / sizeof *dets; k++) ck_assert_msg(isfinite(value(dets[k])), "%s is not finite", dets[k]);
  is_near(value("asymmetry"), 0, 1e-6, "psi2 minus its transpose");
}
END_TEST

/* Sums over a grid of +- 10 standard deviations. */
START_TEST(psi_statistics_are_expectations) {
  const double m[] = {0.3, -1}, S[] = {0.7, 0.2}, w[] = {2, 0.5}, third[] = {0.5, 0.5}, fifth[] = {-0.4, 1.5};
  double one = 1, two = 1;
  put_points();
  start("gp", _i);
  for (int q = 0; q < 2; q++) {
    double a = 0, b = 0;
    for (int i = -2000; i <= 2000; i++) {
      double t = i / 200., x = m[q] + sqrt(S[q]) * t, share = exp(-t * t / 2) / sqrt(2 * M_PI) / 200;
      double k3 = exp(-w[q] * (x - third[q]) * (x - third[q]) / 2), k5 = exp(-w[q] * (x - fifth[q]) * (x - fifth[q]) / 2);
      a += share * k3, b += share * k3 * k5;
    }
    one *= a, two *= b;
  }
  is_exactly(value("psi1"), one, "psi1");
  is_exactly(value("psi2"), two, "psi2");
}
END_TEST

START_TEST(a_sparse_process_with_all_inputs_is_the_exact_one) {
  put_points();
  start("gp", _i);
  double error = _i ? 1e-4 : 1e-6;              /* the little on the diagonal is in it */
  is_near(value("bound_full"), 2 * value("evidence"), error, "the bound of two equal columns");
  is_near(value("mean_full"), value("mean_exact"), error, "the prediction");
  is_near(value("var_full"), value("var_exact") + 0.05, error, "its variance, noise included");
  ck_assert(value("bound_few") < value("bound_full") - 1);
}
END_TEST

START_TEST(predictions_at_uncertain_inputs_are_averages) {
  put_points();
  start("gp", _i);
  is_near(value("mean_soft"), value("mean_grid"), 1e-4, "the mean");
  is_near(value("var_soft"), value("var_grid"), 1e-4, "the variance");
}
END_TEST

START_TEST(gradients_are_those_of_differences) {
  put_points();
  start("gp", _i);
  if (_i == 0) work_run("./m grad-check --data d.npz");      /* differences of single precision show nothing */
  work_run("./m self-check --data d.npz");
}
END_TEST

static void add(TCase *t) {
  tcase_add_loop_test(t, kernels_are_as_defined, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, kernels_are_positive_definite, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, psi_statistics_are_expectations, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_sparse_process_with_all_inputs_is_the_exact_one, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, predictions_at_uncertain_inputs_are_averages, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, gradients_are_those_of_differences, FIRST_WIDTH, WIDTHS);
}

int main(void) { return run_cases("gp", add); }
