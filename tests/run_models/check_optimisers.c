/* Optimisers and schedules of compiled models, against steps worked out by hand and minima known by analysis. */
#include "cases.h"

const Width widths[WIDTHS] = {{"--precision f64", 1e-9}, {"", 3e-6}};

static void column(const char *path, const char *name, const double *x, uint64_t rows, uint64_t columns) {
  data_put(path, &(SviArray){.name = (char *)(uintptr_t)name, .type = SVI_F64, .rank = columns ? 2 : 1, .dim = {rows, columns}, .bytes = x}, 1);
}

/* Compiles a text. */
static void compile_text(const char *text, const char *options) {
  FILE *f = fopen("text.svm", "w");
  if (!f || fputs(text, f) < 0 || fclose(f) != 0) work_fail("text.svm cannot be written");
  work_run("%s text.svm -o m %s", SVIC, options);
}

static double parameter(const char *run, const char *name) {
  char path[200];
  snprintf(path, sizeof path, "%s/last.safetensors", run);
  return work_read(path, name).at[0];
}

/* ---- x = 3 and a begins at 0.5: the loss (x - a)^2 / 2 has gradient a - 3 */
START_TEST(steps_are_by_hand) {
  static const struct { const char *optimizer; double after[3], average; } rows[] = {
    /* optimiser                                                 a after one, two, three steps                    their average */
    {"sgd(lr: 0.1)",                                             {0.75, 0.975, 1.1775},                           NAN},
    {"sgd(lr: 0.1, momentum: 0.9)",                              {0.75, 1.2, 1.785},                              NAN},
    {"sgd(lr: 0.1, momentum: 0.5, decay: 0.2)",                  {0.74, 1.0762, 1.422556},                        NAN},
    {"sgd(lr: 0.1, clip: 2)",                                    {0.7, 0.9, 1.1},                                 NAN},
    {"sgd(lr: 0.1, average: 0.2)",                               {0.75, 0.975, 1.1775},                           1.12618181818},
    {"adam(lr: 0.1, beta1: 0.8, beta2: 0.9, eps: 1e-4)",         {0.59999600016, 0.69985167285, 0.799466641082},  NAN},
    {"adam(lr: 0.1)",                                            {0.5999999996, 0.699872811216, 0.799526065527},  NAN},
    {"adamax(lr: 0.1)",                                          {0.5999999996, 0.697992728788, 0.793933699224},  NAN},
    {"adamax(lr: 0.1, beta1: 0.5, beta2: 0.6)",                  {0.5999999996, 0.701388888061, 0.803900756399},  NAN},
    {"rmsprop(lr: 0.1)",                                         {0.816227762017, 1.03042747279, 1.2016383999},   NAN},
    {"rmsprop(lr: 0.05, momentum: 0.9, beta2: 0.8, eps: 0.01)",  {0.610812263856, 0.791618708285, 1.02127622964}, NAN},
    {"adagrad(lr: 0.5)",                                         {0.999999998, 1.31234752099, 1.5455041129},      NAN},
    {"adagrad(lr: 0.5, clip: 1, average: 0.999)",                {0.999999995, 1.35355338309, 1.64222851602},     1.51921597681},
  };
  put_constant("x", 3, 4);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[600];
    snprintf(text, sizeof text,
             "plate row\ndata x: real for each row\nmodel p for each row { param a: real = 0.5\n x ~ Normal(a, 1) }\n"
             "maximize log p\ntrain { optimizer: %s, batch: 4 }\n", rows[i].optimizer);
    compile_text(text, widths[_i].options);
    for (int t = 1; t <= 3; t++) {
      work_run("./m train --data d.npz --steps %d --quiet --out r", t);
      is_near(parameter("r", "p.a"), rows[i].after[t - 1], widths[_i].exact, rows[i].optimizer);
    }
    ck_assert(work_has("r/last.safetensors", "average:p.a") == !isnan(rows[i].average));
    if (!isnan(rows[i].average)) is_near(parameter("r", "average:p.a"), rows[i].average, widths[_i].exact, rows[i].optimizer);
  }
}
END_TEST

/* ---- a gradient of 1, times the schedule, at rate 1: after ten steps -a is the sum of the schedule's values.  Four steps are an epoch. */
START_TEST(schedules_are_by_hand) {
  static const struct { const char *schedule; double sum; } rows[] = {
    {"warmup(4 steps)",                             0 + 0.25 + 0.5 + 0.75 + 6 * 1},
    {"warmup(1 epochs)",                            0 + 0.25 + 0.5 + 0.75 + 6 * 1},
    {"linear(2, 1, 5 steps)",                       2 + 1.8 + 1.6 + 1.4 + 1.2 + 5 * 1},
    {"linear(0.5, 2.5, 2 epochs)",                  0.5 + 0.75 + 1 + 1.25 + 1.5 + 1.75 + 2 + 2.25 + 2 * 2.5},
    {"cosine(1, 0, 4 steps)",                       1 + 0.85355339059327 + 0.5 + 0.14644660940673},
    {"cyclical(4 steps)",                           2 * (0 + 0.5 + 1 + 1) + 0 + 0.5},
    {"cyclical(2 epochs)",                          0 + 0.25 + 0.5 + 0.75 + 4 * 1 + 0 + 0.25},
    {"stages([1, 2, 3], steps: [2, 3, 5])",         2 * 1 + 3 * 2 + 5 * 3},
    {"stages([1, 2, 3], epochs: [1, 1, 1])",        4 * 1 + 4 * 2 + 2 * 3},
    {"decay(1, 0.5, every: 3 steps)",               3 * 1 + 3 * 0.5 + 3 * 0.25 + 0.125},
    {"decay(8, 0.25, every: 1 epochs)",             4 * 8 + 4 * 2 + 2 * 0.5},
  };
  put_constant("x", 0, 8);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int of_rate = 0; of_rate <= 1; of_rate++) {
      char text[600];
      snprintf(text, sizeof text,
               "plate row\ndata x: real for each row\noption w = %s\nmodel p for each row { param a: real = 0\n h = a\n x ~ Normal(0, 1) }\n"
               "minimize w * E[p](p.h)\ntrain { optimizer: sgd(lr: %s), batch: 2 }\n", of_rate ? "1" : rows[i].schedule, of_rate ? rows[i].schedule : "1");
      compile_text(text, widths[_i].options);
      work_run("./m train --data d.npz --steps 10 --quiet --out r");
      is_near(-parameter("r", "p.a"), rows[i].sum, widths[_i].exact, rows[i].schedule);
    }
}
END_TEST

/* ---- L-BFGS */
/* (1 - a)^2 + 100 (b - a^2)^2 of Rosenbrock (1960), from (-1.2, 1) */
static const char rosenbrock[] =
  "plate row\ndata x: real for each row\nmodel p for each row {\n  param a: real = -1.2\n  param b: real = 1\n"
  "  x ~ Normal(sqrt(2) * a, 1)\n  y ~ Normal(sqrt(200) * (b - square(a)), 1)\n}\ndata y: real for each row\n"
  "maximize log p\ntrain { optimizer: lbfgs(history: %d), epochs: 500 }\n";
START_TEST(a_curved_valley_is_followed) {
  double x[4] = {sqrt(2), sqrt(2), sqrt(2), sqrt(2)}, y[4] = {0};
  SviArray both[] = {{.name = (char *)(uintptr_t)"x", .type = SVI_F64, .rank = 1, .dim = {4}, .bytes = x}, {.name = (char *)(uintptr_t)"y", .type = SVI_F64, .rank = 1, .dim = {4}, .bytes = y}};
  static const struct { int history, most; } rows[] = {{10, 60}, {3, 80}, {1, 200}};
  data_put("d.npz", both, 2);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[600];
    snprintf(text, sizeof text, rosenbrock, rows[i].history);
    compile_text(text, widths[_i].options);
    Ran r = work_run("./m train --data d.npz --out r");
    ck_assert_msg(strstr(r.err, "converged after step") != NULL, "%s", r.err);
    is_near(parameter("r", "p.a"), 1, _i ? 1e-2 : 1e-8, "a");
    is_near(parameter("r", "p.b"), 1, _i ? 2e-2 : 2e-8, "b");
    int steps = atoi(strstr(r.err, "converged after step") + 20);
    ck_assert_msg(steps > 5 && steps <= rows[i].most, "%d steps with a history of %d", steps, rows[i].history);
  }
}
END_TEST

/* Bit for bit the same: in one go, in two, by any number of threads; and when it has converged, there is no more to do. */
START_TEST(history_is_resumed) {
  double x[4] = {sqrt(2), sqrt(2), sqrt(2), sqrt(2)}, y[4] = {0};
  SviArray both[] = {{.name = (char *)(uintptr_t)"x", .type = SVI_F64, .rank = 1, .dim = {4}, .bytes = x}, {.name = (char *)(uintptr_t)"y", .type = SVI_F64, .rank = 1, .dim = {4}, .bytes = y}};
  data_put("d.npz", both, 2);
  char text[600], whole[100];
  snprintf(text, sizeof text, rosenbrock, 4);
  compile_text(text, widths[_i].options);
  static const int breaks[] = {1, 3, 9, 20};
  snprintf(whole, sizeof whole, "%.90s", work_run("./m train --data d.npz --steps 24 --quiet --print-hash --threads 1 --out w").out);
  for (size_t i = 0; i < 4; i++) {
    work_run("./m train --data d.npz --steps %d --quiet --out h%d", breaks[i], breaks[i]);
    ck_assert_str_eq(work_run("./m train --data d.npz --steps 24 --quiet --print-hash --threads 3 --out h%d --resume", breaks[i]).out, whole);
  }
  snprintf(whole, sizeof whole, "%.90s", work_run("./m train --data d.npz --quiet --print-hash --out w").out);
  ck_assert_str_eq(work_run("./m train --data d.npz --quiet --print-hash --out h9 --resume").out, whole);
  Ran again = work_run("./m train --data d.npz --print-hash --out h9 --resume");
  ck_assert_str_eq(again.out, whole);
  ck_assert_msg(strstr(again.err, "converged after step") != NULL, "%s", again.err);
}
END_TEST

/* A parameter for each row: the mode of z ~ N(0, 1), x ~ N(2 z + 1, 1/4) is 2 (x - 1) / (4 + 1/4); their common scale of the prior too. */
START_TEST(rows_take_part) {
  enum { N = 700 };
  double x[N];
  for (int i = 0; i < N; i++) x[i] = sin(i) * 3;
  column("d.npz", "x", x, N, 0);
  compile_text("plate row\ndata x: real for each row\nmodel p for each row {\n  param z: real for each row = 0.3\n  s = z\n  x ~ Normal(2 * z + 1, 0.5)\n}\n"
               "maximize log p.x - 0.5 * E[p](square(p.s))\ntrain { optimizer: lbfgs, batch: all, epochs: 100 }\n", widths[_i].options);
  Ran r = work_run("./m train --data d.npz --out r");
  ck_assert_msg(strstr(r.err, "converged after step") != NULL, "%s", r.err);
  Numbers z = work_read("r/last.safetensors", "p.z");
  ck_assert_uint_eq(z.n, N);
  for (int i = 0; i < N; i++) is_near(z.at[i], 2 * (x[i] - 1) / 4.25, _i ? 1e-2 : 1e-5, "the mode of a row");
}
END_TEST

/* The draws stay as they are, so the minimum is that of a function: at the draws of step 1 the gradient vanishes there, and nowhere near
 * at others. */
START_TEST(draws_are_held_fixed) {
  put_constant("x", 3, 50);
  compile_text("plate row\ndata x: real for each row\nmodel p for each row {\n  z ~ Normal(0, 1)\n  x ~ Normal(2 * z + 1, 0.5)\n}\n"
               "guide q for each row {\n  param m: real = 0\n  param s: positive = 1\n  z ~ Normal(m, s)\n}\n"
               "maximize sampled_elbo(p, q)\ntrain { optimizer: lbfgs, epochs: 100 }\n", widths[_i].options);
  Ran r = work_run("./m train --data d.npz --out r");
  ck_assert_msg(strstr(r.err, "converged after step") != NULL, "%s", r.err);
  work_run("./m gradients --data d.npz --quiet --params r/last.safetensors --count 1 --to one.npz");
  work_run("./m gradients --data d.npz --quiet --params r/last.safetensors --count 50 --to many.npz");
  for (int p = 0; p < 2; p++) {
    const char *name = p ? "q.s" : "q.m";
    double allowed = _i ? 1e-2 : 1e-7, here = fabs(work_read("one.npz", name).at[0]), noise = work_read("many.npz", p ? "q.s.se" : "q.m.se").at[0] * sqrt(50);
    ck_assert_msg(here < allowed, "the gradient of %s at the same draws is %g", name, here);
    ck_assert_msg(noise > 10 * allowed, "the gradient of %s has noise of only %g", name, noise);
  }
}
END_TEST

/* Two numbers of variance 1, correlation r: where |r| >= 1 the factor does not exist.  The first trial, one away from 0, is there. */
START_TEST(a_search_shrinks_from_what_is_not_finite) {
  double x[8] = {1, 0.9, -1, -0.9, 1.1, 1.1, -1.1, -1.1};
  column("d.npz", "x", x, 4, 2);
  compile_text("plate row\ndata x: real[2] for each row\nmodel p for each row {\n  param r: real = 0\n"
               "  L = cholesky([i in 2, j in 2] select(i == j, 1, r))\n  u = solve_lower(L, x)\n  half = log_det_factor(L) / 2\n  y ~ Normal(u[1], 1)\n  v ~ Normal(u[2], 1)\n}\n"
               "data y: real for each row = 0 * x[1]\ndata v: real for each row = 0 * x[2]\n"
               "maximize log p - E[p](p.half)\ntrain { optimizer: lbfgs, epochs: 100 }\n", widths[_i].options);
  Ran r = work_run("./m train --data d.npz --out r");
  ck_assert_msg(strstr(r.err, "converged after step") != NULL, "%s", r.err);
  /* where d/dr of log|S| / 2 + x' S^-1 x / 2 vanishes, with second moments a, b and c */
  double a = (1 + 1 + 1.21 + 1.21) / 4, b = (0.81 + 0.81 + 1.21 + 1.21) / 4, c = (0.9 + 0.9 + 1.21 + 1.21) / 4, lo = 0, hi = 1;
  for (int i = 0; i < 100; i++) {
    double m = (lo + hi) / 2, slope = m * (a + b) - m * (1 - m * m) - (1 + m * m) * c;
    *(slope > 0 ? &hi : &lo) = m;
  }
  is_near(parameter("r", "p.r"), lo, _i ? 1e-3 : 1e-6, "the correlation");
}
END_TEST

/* Steps that take turns: each has its own history, and the end is where none has anything to gain.  (a - b)^2 + (a - 1)^2 + (b + 1)^2 is
 * least at a = 1/3, b = -1/3. */
START_TEST(steps_take_turns) {
  put_constant("x", 0, 4);
  compile_text("plate row\ndata x: real for each row\nmodel p for each row { param a: real = 5\n h = a\n x ~ Normal(0, 1) }\n"
               "guide q for each row { param b: real = 7\n h = b\n w ~ Normal(0, 1) }\n"
               "train {\n  optimizer: lbfgs, epochs: 200\n"
               "  step first:  minimize E[p](E[q](square(p.h - q.h) + square(p.h - 1) + square(q.h + 1))) over p\n"
               "  step second: minimize E[p](E[q](square(p.h - q.h) + square(p.h - 1) + square(q.h + 1))) over q\n}\n", widths[_i].options);
  Ran r = work_run("./m train --data d.npz --print-hash --out r");
  ck_assert_msg(strstr(r.err, "converged after step") != NULL, "%s", r.err);
  is_near(parameter("r", "p.a"),  1. / 3, _i ? 1e-3 : 1e-7, "a");
  is_near(parameter("r", "q.b"), -1. / 3, _i ? 1e-3 : 1e-7, "b");
  work_run("./m train --data d.npz --steps 4 --quiet --out h");
  ck_assert_str_eq(work_run("./m train --data d.npz --quiet --print-hash --out h --resume").out, r.out);
}
END_TEST

START_TEST(a_schedule_is_waited_for) {
  put_constant("x", 2, 4);
  compile_text("plate row\ndata x: real for each row\noption w = stages([0, 1], steps: [30, 1])\nmodel p for each row { param a: real = 0\n x ~ Normal(w * a, 1) }\n"
               "maximize log p\ntrain { optimizer: lbfgs, epochs: 100 }\n", widths[_i].options);
  Ran r = work_run("./m train --data d.npz --out r");
  ck_assert_msg(strstr(r.err, "converged after step 3") != NULL, "%s", r.err);
  is_near(parameter("r", "p.a"), 2, _i ? 1e-3 : 1e-8, "a");
}
END_TEST

/* ---- a triangle of weights: a decay of next to nothing makes the optimiser visit all of the matrix, and changes nothing */
START_TEST(zeros_of_triangles_need_no_visit) {
  enum { ROWS = 40, SIDE = 80, STEPS = 4 };
  static const char *const optimizer[] = {"adam(lr: 0.02", "adamax(lr: 0.02", "sgd(lr: 0.1, momentum: 0.9", "rmsprop(lr: 0.02", "adagrad(lr: 0.1, average: 0.5, clip: 1"};
  double x[ROWS * SIDE];
  for (int i = 0; i < ROWS * SIDE; i++) x[i] = i * i % 7 % 3 == 1;
  column("d.npz", "x", x, ROWS, SIDE);
  for (size_t i = 0; i < sizeof optimizer / sizeof *optimizer; i++) {
    Numbers w[3];
    for (int k = 0; k < 3; k++) {                          /* the triangle, all, and the triangle after one step */
      char text[600];
      snprintf(text, sizeof text,
               "import nn\nplate row\ndata x: bit[%d] for each row\nmodel p for each row { x ~ autoregressive Bernoulli(logit: nn.causal(x)) }\n"
               "maximize log p\ntrain { optimizer: %s%s), batch: %d }\n", SIDE, optimizer[i], k == 1 ? ", decay: 1e-30" : "", ROWS);
      compile_text(text, widths[_i].options);
      work_run("./m train --data d.npz --steps %d --quiet --out r", k == 2 ? 1 : STEPS);
      w[k] = work_read("r/last.safetensors", "p.causal.W");
      ck_assert_uint_eq(w[k].n, SIDE * SIDE);
    }
    for (int r = 0; r < SIDE; r++)
      for (int c = 0; c < SIDE; c++) {
        ck_assert(w[0].at[r * SIDE + c] == w[1].at[r * SIDE + c]);
        ck_assert((w[0].at[r * SIDE + c] != w[2].at[r * SIDE + c]) == (r < c));
      }
  }
}
END_TEST

START_TEST(what_lbfgs_cannot_take_is_told) {
  put_constant("x", 3, 10);
  compile_text("plate row\ndata x: real for each row\nmodel p for each row { param a: real = 0\n param s: real = 1\n x ~ Normal(a, exp(-exp(s))) }\n"
               "maximize log p\ntrain { optimizer: lbfgs }\n", "");
  static const struct { const char *more, *says; int code; } rows[] = {
    {"--batch 5", "every step needs all 10 rows", 2}, {"--lr 0.1", "--lr means nothing to lbfgs", 2},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Ran r = work_try("./m train --data d.npz --out r %s", rows[i].more);
    ck_assert_int_eq(r.code, rows[i].code);
    ck_assert_msg(strstr(r.err, rows[i].says) != NULL, "%s", r.err);
  }
  work_run("./m train --data d.npz --out r --quiet --batch 10 --steps 3");
  put_constant("x", 1e30, 10);
  Ran r = work_try("./m train --data d.npz --out r");
  ck_assert_int_eq(r.code, 4);
  ck_assert_msg(strstr(r.err, "the objective is not finite in step 1") != NULL, "%s", r.err);
}
END_TEST

static void add(TCase *t) {
  tcase_add_loop_test(t, steps_are_by_hand, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, schedules_are_by_hand, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_curved_valley_is_followed, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, history_is_resumed, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, rows_take_part, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, draws_are_held_fixed, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_search_shrinks_from_what_is_not_finite, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, steps_take_turns, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_schedule_is_waited_for, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, zeros_of_triangles_need_no_visit, FIRST_WIDTH, WIDTHS);
  tcase_add_test(t, what_lbfgs_cannot_take_is_told);
}

int main(void) { return run_cases("optimisers", add); }
