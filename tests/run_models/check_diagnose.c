/* What a trainer says of its guide and its gradients, on models where the answer is known by analysis. */
#include "cases.h"

const Width widths[WIDTHS] = {{"--precision f64", 1e-12}, {"", 2e-6}};
static const double log_2pi = 1.8378770664093453;

static void put(const char *name, const double *x, uint64_t rows, uint64_t columns) {
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)name, .type = SVI_F64, .rank = columns ? 2 : 1, .dim = {rows, columns}, .bytes = x}, 1);
}
static double number(const cJSON *j, const char *group, const char *name) {
  const cJSON *x = cJSON_GetObjectItemCaseSensitive(group ? cJSON_GetObjectItemCaseSensitive(j, group) : j, name);
  if (!cJSON_IsNumber(x)) work_fail("there is no number %s of %s", name, group ? group : "the whole");
  return x->valuedouble;
}
static void is_within(double got, double want, double allowed, const char *what) {
  ck_assert_msg(fabs(got - want) <= allowed, "%s is %.9g and should be %.9g, give or take %.2g", what, got, want, allowed);
}
static const char *verdict(const cJSON *j) { return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "verdict")); }

/* ---- the guide */
enum { POINTS = 60 };
static double points[POINTS * 2], log_p[POINTS];
static void put_points(void) {
  for (int i = 0; i < POINTS * 2; i++) points[i] = 2 * sin(1.7 * i);
  for (int i = 0; i < POINTS; i++) log_p[i] = -log_2pi - log(2) - (points[2 * i] * points[2 * i] + points[2 * i + 1] * points[2 * i + 1]) / 4;
  put("x", points, POINTS, 2);
}

START_TEST(the_posterior_itself_has_equal_weights) {
  put_points();
  start(_i < WIDTHS ? "narrow" : "narrow_matrix", _i % WIDTHS);
  cJSON *j = work_eval("./m diagnose --data d.npz --quiet --json --to o.npz");
  double exact = width->exact;
  ck_assert_str_eq(verdict(j), "good");
  is_within(number(j, NULL, "rows"), POINTS, 0, "the number of rows");
  is_within(number(j, NULL, "draws"), 1000, 0, "the number of draws");
  is_within(number(j, "ess", "least"), 1, exact, "the least share");
  is_within(number(j, "bound", "value"), number(j, "log_p", "value"), exact, "the bound");
  Numbers k = work_read("o.npz", "k_hat"), p = work_read("o.npz", "log_p"), se = work_read("o.npz", "log_p.se");
  for (int i = 0; i < POINTS; i++) {
    ck_assert_msg(isinf(k.at[i]) && k.at[i] < 0, "k-hat of row %d is %g", i, k.at[i]);
    is_within(p.at[i], log_p[i], 4 * exact, "log p of a row");
    is_within(se.at[i], 0, exact, "its error");
  }
}
END_TEST

/* With 4000 draws k-hat is (190 k + 5) / 200, the prior included, and varies by (1 + k) / sqrt(190) from row to row. */
START_TEST(tails_have_the_shape_they_should) {
  static const struct { double k; const char *verdict; } rows[] = {{-1, "good"}, {0.2, "good"}, {0.5, "acceptable"}, {0.9, "bad"}};
  put_points();
  start("narrow", _i);
  for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
    char line[300];
    double k = rows[r].k, sum = 0, squares = 0, below = 0, p = 0, apart = 0, se = 0;
    snprintf(line, sizeof line, "./m diagnose --data d.npz --quiet --json --count 4000 --set narrow=%.17g --to o.npz", log(1 - k) / 2);
    cJSON *j = work_eval(line);
    Numbers hat = work_read("o.npz", "k_hat"), share = work_read("o.npz", "ess"), logp = work_read("o.npz", "log_p"), error = work_read("o.npz", "log_p.se");
    for (int i = 0; i < POINTS; i++) {
      sum += hat.at[i], squares += hat.at[i] * hat.at[i], below += hat.at[i] <= 0.7;
      p += share.at[i] / POINTS, apart += (logp.at[i] - log_p[i]) / POINTS, se += error.at[i] * error.at[i] / POINTS / POINTS;
    }
    double mean = sum / POINTS, sd = sqrt(squares / POINTS - mean * mean);
    ck_assert_str_eq(verdict(j), rows[r].verdict);
    is_within(number(j, "k_hat", "above_0.7"), 1 - below / POINTS, 1e-9, "the share of rows above 0.7");
    if (k > 0) {
      is_within(mean, (190 * k + 5) / 200, 4 * sd / sqrt(POINTS), "the mean k-hat");
      is_within(sd, (1 + k) / sqrt(190), 0.4 * (1 + k) / sqrt(190), "its spread");      /* four errors of a standard deviation of 60 */
    } else ck_assert_msg(mean < -0.7 && mean > -1.1, "bounded weights have k-hat %g", mean);
    if (k < 0.5) {      /* E[w]^2 / E[w^2]; the error of the mean share is below a hundredth */
      is_within(p, (1 - 2 * k) / (1 - k) / (1 - k), 0.01, "the effective share");
      is_within(apart, 0, 4 * sqrt(se), "log p");
      ck_assert_msg(sqrt(se) < 0.005, "the error of log p is %g", sqrt(se));
      snprintf(line, sizeof line, "./m eval --data d.npz --quiet --json --only share --set narrow=%.17g", log(1 - k) / 2);
      is_within(report_of(work_eval(line), "share").value, (1 - 2 * k) / (1 - k) / (1 - k), 0.02, "the report of the effective share");
    }
  }
}
END_TEST

/* log p(x = 1) = log 0.41; (E w)^2 / E w^2 under q(1) = 0.6, with p(z, x = 1) = 0.25 and 0.16 for z = 1 and 0 */
START_TEST(discrete_latents_have_weights_too) {
  double ones[30];
  for (int i = 0; i < 30; i++) ones[i] = 1;
  put("x", ones, 30, 0);
  start("binary_latent", _i);
  cJSON *j = work_eval("./m diagnose --data d.npz --quiet --json --count 2000");
  is_within(number(j, "log_p", "value"), -0.8915981193, 4 * number(j, "log_p", "drawing_se"), "log p");
  ck_assert(number(j, "log_p", "drawing_se") < 1e-3);
  is_within(number(j, "bound", "value"), -0.8990334675, 4 * number(j, "bound", "se"), "the bound");
  is_within(number(j, "k_hat", "rows"), 0, 0, "rows with a tail");
  ck_assert_str_eq(verdict(j), "good");
}
END_TEST

START_TEST(batches_and_threads_change_nothing) {
  put_points();
  start("narrow", _i);
  char *one = work_run("./m diagnose --data d.npz --quiet --json --set narrow=-0.3 --threads 1").out;
  ck_assert_str_eq(one, work_run("./m diagnose --data d.npz --quiet --json --set narrow=-0.3 --threads 3 --batch 7").out);
  ck_assert_str_ne(one, work_run("./m diagnose --data d.npz --quiet --json --set narrow=-0.3 --seed 2").out);
}
END_TEST

/* ---- who has no weights */
START_TEST(there_is_nothing_to_diagnose) {
  static const struct { const char *programs, *says; } rows[] = {
    {"model p { w ~ Normal(0, 1)\n for each row { x ~ Normal(w, 1) } }\nguide q { w ~ Normal(0, 1) }\nmaximize elbo(p, q)\n", "`p.w` exists once for all rows"},
    {"model p for each row { param a: real\n x ~ Normal(a, 1) }\nmaximize log p\n", "`p` has no latents"},
    {"model p for each row { z ~ Normal(0, 1)\n x ~ Normal(z, 1) }\nreport a = E[p](p.z)\nmaximize E[p](p.z)\n", "no guide draws every latent of `p`"},
    {"model p for each row { z ~ Normal(0, 1)\n x ~ Normal(z, 1) }\nguide q for each row { l ~ Normal(x, 1)\n z ~ Normal(l, 1) }\n"
     "guide r for each row { l ~ Normal(z, 1) }\nmaximize hvm(p, q, r)\n", "`q` draws `l`, which `p` does not have"},
  };
  double x[3] = {1, 2, 3};
  put("x", x, 3, 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    FILE *f = fopen("text.svm", "w");
    if (!f || fprintf(f, "plate row\ndata x: real for each row\n%s", rows[i].programs) < 0 || fclose(f) != 0) work_fail("text.svm");
    work_run("%s text.svm -o m", SVIC);
    Ran r = work_try("./m diagnose --data d.npz");
    ck_assert_int_eq(r.code, 2);
    ck_assert_msg(strstr(r.err, "there is nothing to diagnose: ") && strstr(r.err, rows[i].says), "%s", r.err);
  }
  put_points();
  start("narrow", 0);
  ck_assert_int_eq(work_try("./m diagnose --data d.npz --count 24").code, 2);
  ck_assert_int_eq(work_try("./m diagnose --data d.npz --count 25").code, 0);
  ck_assert_int_eq(work_try("./m diagnose --data d.npz --to nowhere/o.npz").code, 1);
}
END_TEST

/* ---- gradients: z ~ N(0.5, 0.09), x ~ N(2 z + 1, 1/4), x = 3.  Of a row, d log p / dz = 8 (2 - 2 z) has mean 8 and variance 256 * 0.09;
 * the divergence takes 0.5 off the mean. */
START_TEST(a_signal_has_its_noise) {
  enum { N = 500, DRAWS = 1600 };
  double x[N], ratio = 7.5 / sqrt(256 * 0.09 / N), allowed = 4 * ratio / sqrt(2 * DRAWS);
  for (int i = 0; i < N; i++) x[i] = 3;
  put("x", x, N, 0);
  start("linear_gaussian", _i);
  work_run("./m gradients --data d.npz --quiet --count %d --to g.npz", DRAWS);
  is_within(work_read("g.npz", "path:a.m.snr").at[0], ratio, allowed, "signal to noise");
  char line[200];
  snprintf(line, sizeof line, "./m gradients --data d.npz --quiet --count %d --json", DRAWS);
  cJSON *path = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(work_eval(line), "steps"), "path");
  double m = number(path, "a.m", "norm"), s = number(path, "a.ls", "norm"), m_se = number(path, "a.m", "norm_se"), s_se = number(path, "a.ls", "norm_se");
  is_within(number(path, "a.m", "signal_to_noise"), ratio, allowed, "signal to noise");
  is_within(m, 7.5, 4 * m_se, "the norm of the mean");
  is_within(number(path, "a", "norm"), sqrt(m * m + s * s), 1e-9, "the norm for the whole program");
  is_within(number(path, "a", "signal_to_noise"), sqrt((m * m + s * s - m_se * m_se - s_se * s_se) / (m_se * m_se + s_se * s_se) / DRAWS), 1e-9, "its signal to noise");
  is_within(number(path, "a", "elements"), 2, 0, "its elements");
  Ran r = work_run("./m gradients --data d.npz --quiet --count 10");
  ck_assert_msg(strstr(r.out, "signal/sd") && strstr(r.out, "\n  a.m "), "%s", r.out);
}
END_TEST

/* ---- units */
START_TEST(units_are_counted_both_ways) {
  double x[8] = {1, 1, -1, 1, 1, -1, -1, -1};
  put("x", x, 4, 2);
  start("units", _i);
  cJSON *j = work_eval("./m eval --data d.npz --quiet --json");
  double exact = _i ? 1e-5 : 1e-9, kl = 0.5 + 0.5 * 0.0025 + log(2) + 0.125 - 0.5;
  is_within(report_of(j, "units").value, 1, 0, "units whose mean follows the data");
  is_within(report_of(j, "units_kl").value, 2, 0, "units that cost something");
  is_within(report_of(j, "sent").value, kl, exact, "the rate");
  is_within(report_of(j, "kl_z").value, kl, exact, "the divergence of z");
  /* E[-log p(x | z)] = sum_i (log 2 pi + E (x_i - z_i)^2) / 2, from one draw a row */
  double sum = 0, squares = 0;
  for (int seed = 1; seed <= 60; seed++) {
    char line[200];
    snprintf(line, sizeof line, "./m eval --data d.npz --quiet --json --only lost --seed %d", seed);
    double v = report_of(work_eval(line), "lost").value;
    sum += v / 60, squares += v * v / 60;
  }
  is_within(sum, log_2pi + (1 + 1 + 0.95 * 0.95) / 2, 4 * sqrt((squares - sum * sum) / 59), "the distortion");
  /* p(x) = N(0, 2) for each of the two */
  is_within(report_of(j, "nll").value, log_2pi + log(2) + 2. / 4, 0.1, "-log p");
}
END_TEST

static void add(TCase *t) {
  tcase_add_loop_test(t, the_posterior_itself_has_equal_weights, 0, 2 * WIDTHS);
  tcase_add_loop_test(t, tails_have_the_shape_they_should, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, discrete_latents_have_weights_too, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, batches_and_threads_change_nothing, FIRST_WIDTH, WIDTHS);
  tcase_add_test(t, there_is_nothing_to_diagnose);
  tcase_add_loop_test(t, a_signal_has_its_noise, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, units_are_counted_both_ways, FIRST_WIDTH, WIDTHS);
}

int main(void) { return run_cases("diagnose", add); }
