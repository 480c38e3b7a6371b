/* Ordered plates: values of the step before and after, recurrences, and what is drawn along them. */
#include "cases.h"

const Width widths[WIDTHS] = {{"--precision f64", 1e-10}, {"", 3e-5}};
enum { SEQUENCES = 23, TIMES = 12, DRAWN = 20000 };

static uint64_t state = 12345;
static double noise(void) {                              /* about normal */
  double sum = -6;
  for (int i = 0; i < 12; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    sum += (double)(state >> 11) * 0x1p-53;
  }
  return sum;
}
static double *put_series(const char *path, uint64_t rows, uint64_t times, uint64_t size) {
  double *x = calloc(rows * times * size, sizeof *x);
  for (uint64_t i = 0; i < rows * times * size; i++) x[i] = noise();
  data_put(path, &(SviArray){.name = (char *)(uintptr_t)"x", .type = SVI_F64, .rank = size > 1 ? 3 : 2, .dim = {rows, times, size}, .bytes = x}, 1);
  return x;
}

/* log p(x) of kalman.svm */
static double kalman(const double *x, int n) {
  double a = 0.9, q = 0.25, c = 2, r = 0.5, m = 0.3, v = 0, sum = 0;
  for (int t = 0; t < n; t++) {
    m = a * m, v = a * a * v + q;
    double s = c * c * v + r, k = v * c / s;
    sum -= 0.5 * (log(2 * M_PI * s) + (x[t] - c * m) * (x[t] - c * m) / s);
    m += k * (x[t] - c * m), v *= 1 - k * c;
  }
  return sum;
}

START_TEST(an_exact_posterior_gives_the_evidence_at_every_draw) {
  double *x = put_series("d.npz", SEQUENCES, TIMES, 1);
  start("kalman", _i);
  for (int seed = 1; seed < 4; seed++) {
    work_run("./m score --data d.npz --quiet --seed %d --to s.npz", seed);
    Numbers sampled = work_read("s.npz", "sampled"), iw = work_read("s.npz", "iw");
    ck_assert_uint_eq(sampled.n, SEQUENCES);             /* a weight is of a whole sequence */
    for (int n = 0; n < SEQUENCES; n++) {
      is_exactly(sampled.at[n], kalman(x + n * TIMES, TIMES), "log p - log q");
      is_exactly(iw.at[n], kalman(x + n * TIMES, TIMES), "the importance-weighted bound");
    }
  }
  free(x);
  x = put_series("one.npz", 3, 1, 1);                    /* one step has none before or after */
  work_run("./m score --data one.npz --quiet --to s.npz");
  for (int n = 0; n < 3; n++) is_exactly(work_read("s.npz", "sampled").at[n], kalman(x + n, 1), "log p(x) of one step");
  free(x);
  work_run("./m self-check --data d.npz --rows 5");
}
END_TEST

START_TEST(draws_follow_one_another) {
  free(put_series("d.npz", SEQUENCES, TIMES, 1));
  start("kalman", _i);
  work_run("./m sample --quiet --count %d --size time=6 --to draws.npz", DRAWN);
  Numbers z = work_read("draws.npz", "z"), mean = work_read("draws.npz", "z.mean"), x = work_read("draws.npz", "x");
  ck_assert_uint_eq(z.n, DRAWN * 6);
  for (int t = 0; t < 6; t++) {
    double m = 0.3 * pow(0.9, t + 1), v = 0.25 * (1 - pow(0.81, t + 1)) / (1 - 0.81), sum = 0, squares = 0, along = 0;
    for (int n = 0; n < DRAWN; n++) {
      double d = z.at[n * 6 + t] - m;
      sum += d, squares += d * d, along += d * (x.at[n * 6 + t] - 2 * m);
      is_exactly(mean.at[n * 6 + t], 0.9 * (t ? z.at[n * 6 + t - 1] : 0.3), "the mean of a step given the one before");
    }
    double se = sqrt(v / DRAWN);
    ck_assert_double_lt(fabs(sum / DRAWN), 5 * se);
    ck_assert_double_lt(fabs(squares / DRAWN - v), 5 * v * sqrt(2. / DRAWN));
    ck_assert_double_lt(fabs(along / DRAWN - 2 * v), 5 * 2 * v * sqrt(3. / DRAWN));
  }
  work_run("./m sample --quiet --count 501 --size time=9 --threads 1 --to a.npz");
  work_run("./m sample --quiet --count 501 --size time=9 --threads 3 --to b.npz");
  Numbers a = work_read("a.npz", "x"), b = work_read("b.npz", "x");
  ck_assert_mem_eq(a.at, b.at, a.n * sizeof *a.at);
  ck_assert_uint_eq(work_read("draws.npz", "x").n, DRAWN * 6);
  work_run("./m encode --data d.npz --quiet --to codes.npz");
  ck_assert_uint_eq(work_read("codes.npz", "z").n, SEQUENCES * TIMES);
  work_run("./m sample --quiet --count 2 --to as_long.npz");
  ck_assert_uint_eq(work_read("as_long.npz", "z").n, 2 * TIMES);      /* as in training */
}
END_TEST

START_TEST(state_is_carried_with_its_gradient) {
  free(put_series("d.npz", SEQUENCES, TIMES, 2));
  start("recurrent", _i);
  work_run("./m self-check --data d.npz --rows 4");
  if (_i == 0) work_run("./m grad-check --data d.npz --rows 5");      /* differences of single precision show nothing */
  Report first = eval("bound", "");
  work_run("./m train --data d.npz --quiet --epochs 60 --out trained");
  work_run("./m self-check --data d.npz --rows 4 --out trained");
  if (_i == 0) work_run("./m grad-check --data d.npz --rows 5 --out trained");
  Report last = report_of(work_eval("./m eval --json --quiet --data d.npz --out trained"), "bound");
  ck_assert_double_gt(last.value, first.value + 10);
  const char *hash = NULL;
  for (int threads = 1; threads < 4; threads++) {
    char line[200];
    snprintf(line, sizeof line, "./m train --data d.npz --quiet --print-hash --no-save --threads %d", threads);
    Ran r = work_run("%s", line);
    if (hash) ck_assert_str_eq(r.out, hash);
    hash = r.out;
  }
}
END_TEST

static void add(TCase *t) {
  tcase_add_loop_test(t, an_exact_posterior_gives_the_evidence_at_every_draw, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, draws_follow_one_another, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, state_is_carried_with_its_gradient, FIRST_WIDTH, WIDTHS);
}

int main(void) { return run_cases("sequences", add); }
