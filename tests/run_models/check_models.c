/* Models of this folder, compiled by svic and run by their trainers, against numbers that are known by analysis.
 *
 * Bounds and gradients that are estimated from draws must agree within four of their own standard errors, which must be
 * small themselves; what is analytic must agree to rounding.  Every case is run in double and in single precision.  Seeds
 * are fixed: a case passes or fails once and for all. */
#include "cases.h"

enum { ROWS = 100000 };
const Width widths[WIDTHS] = {{"--precision f64", 1e-9}, {"", 2e-5}};

/* ---- data */
static void put_bits(uint64_t rows, uint64_t columns) {
  uint8_t *x = calloc(rows * columns, 1);
  uint64_t s = 88172645463325252u;
  for (uint64_t r = 0; r < rows; r++) {
    uint64_t kind = (s ^= s << 13, s ^= s >> 7, s ^= s << 17) >> 62;
    for (uint64_t c = 0; c < columns; c++) {
      s ^= s << 13, s ^= s >> 7, s ^= s << 17;
      x[r * columns + c] = (s >> 40) % 100 < (c % 4 == kind ? 90 : 15);
    }
  }
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)"x", .type = SVI_U8, .rank = 2, .dim = {rows, columns}, .bytes = x}, 1);
  free(x);
}


/* ---- z ~ N(0, 1), x ~ N(2 z + 1, 1/4), x = 3 */
START_TEST(bounds_of_a_linear_gaussian) {
  put_constant("x", 3, ROWS);
  start("linear_gaussian", _i);
  is_about(eval("bound",   ""), -3.819764157, 0.01, "the bound, its divergence in closed form");
  is_about(eval("sampled", ""), -3.819764157, 0.01, "the bound from draws");
  is_about(eval("two",     ""), -3.052103702, 0.01, "L_2");
  is_exactly(eval("kl", "").value, 0.8739728043, "KL(N(0.5, 0.09) || N(0, 1))");
  is_exactly(eval("gap", "").value, 1.706777897, "the gap: the divergence from the posterior");
  is_about(eval("bound", "--set centre=0 --set logsd=0"), -16.22579135, 0.1, "the bound of the prior as guide");
}
END_TEST

/* log p(x, z) - log q(z) is log p(x) for every z. */
START_TEST(the_exact_posterior_has_no_gap) {
  put_constant("x", 3, 2000);
  start("linear_gaussian", _i);
  work_run("./m score --data d.npz --quiet --only sampled,two --set centre=0.9411764705882353 --set logsd=-1.4166066720281080 --to s.npz");
  for (int k = 0; k < 2; k++) {
    Numbers each = work_read("s.npz", k ? "two" : "sampled");
    ck_assert_uint_eq(each.n, 2000);
    for (uint64_t i = 0; i < each.n; i++) is_exactly(each.at[i], -2.112986260, "log p at a draw of the posterior");
  }
}
END_TEST

START_TEST(a_weight_of_one_is_the_bound_itself) {
  put_constant("x", 3, 1000);
  start("linear_gaussian", _i);
  ck_assert(eval("beta", "").value == eval("bound", "").value);
  ck_assert(eval("beta", "--set weight=1.5").value != eval("bound", "").value);
}
END_TEST

/* d/dm ELBO = (x - b - w m) w / s^2 - m = 7.5;  d/d(log sd) = -w^2 v / s^2 - v + 1 = -0.53 */
START_TEST(estimators_agree_with_the_gradient) {
  static const char *const steps[] = {"path", "score", "draws", "one"};
  put_constant("x", 3, 500);
  start("linear_gaussian", _i);
  work_run("./m gradients --data d.npz --quiet --count 400 --to g.npz");
  for (int k = 0; k < 4; k++) {
    const double want[] = {7.5, -0.53};
    for (int p = 0; p < 2; p++) {
      char name[64];
      snprintf(name, sizeof name, "%s:%s.%s", steps[k], k == 1 ? "b" : "a", p ? "ls" : "m");
      Report r = {.value = work_read("g.npz", name).at[0]};
      strcat(name, ".se");
      r.se = work_read("g.npz", name).at[0];
      is_about(r, want[p], k == 1 ? 0.2 : 0.02, name);
    }
  }
}
END_TEST

START_TEST(one_particle_is_the_bound_from_draws) {
  put_constant("x", 3, 500);
  start("linear_gaussian", _i);
  work_run("./m gradients --data d.npz --quiet --count 1 --to g.npz");
  is_exactly(work_read("g.npz", "one:objective").at[0], work_read("g.npz", "draws:objective").at[0], "the objective");
  is_exactly(work_read("g.npz", "one:a.m").at[0],  work_read("g.npz", "draws:a.m").at[0],  "the gradient of m");
  is_exactly(work_read("g.npz", "one:a.ls").at[0], work_read("g.npz", "draws:a.ls").at[0], "the gradient of log sd");
}
END_TEST

/* ---- one bit behind one bit */
START_TEST(importance_weighted_bounds_of_a_bit) {
  put_constant("x", 1, ROWS);
  start("binary_latent", _i);
  static const struct { const char *report; double value, se; } rows[] = {
    {"l1", -0.8990334675, 1e-3}, {"l2", -0.8952538619, 1e-3}, {"l5", -0.8930406714, 1e-3}, {"l50", -0.8917410449, 1e-4}, {"l500", -0.8916123980, 1e-4},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) is_about(eval(rows[i].report, ""), rows[i].value, rows[i].se, rows[i].report);
  is_about(eval("l500", "--k 5"), -0.8930406714, 1e-3, "l500 with --k 5");
  /* k (log p - L_k) -> Var(w) / (2 p^2) = 0.0071386080 */
  if (_i) return;                                          /* the gap is a difference that single precision does not hold */
  is_about(eval("gap50", ""), -0.8915981193 + 0.8917410449, 2e-6, "log p - L_50");
  Report gap = eval("gap5000", "--rows 10000");
  is_about(gap, -0.8915981193 + 0.8915995470, 3e-8, "log p - L_5000");
  ck_assert_msg(fabs(5000 * gap.value - 0.0071386080) < 4 * 5000 * gap.se, "5000 times the gap is %g", 5000 * gap.value);
}
END_TEST

/* d/da of L_1 = sum_z q(z) (log w(z)) (z - q): q (1 - q) log(w1 / w0) at q = 0.6 */
START_TEST(the_score_function_of_a_bit) {
  put_constant("x", 1, 500);
  start("binary_latent", _i);
  work_run("./m gradients --data d.npz --quiet --count 2000 --k 1 --to g.npz");
  Report r = {.value = work_read("g.npz", "q.a").at[0], .se = work_read("g.npz", "q.a.se").at[0]};
  is_about(r, 0.6 * 0.4 * log(0.45 / 0.35), 0.01, "the gradient of the logit");
}
END_TEST

/* ---- closed forms */
START_TEST(divergences_are_known) {
  put_constant("y", 0.7, 20000);
  start("divergences", _i);
  const struct { const char *report; double value; } rows[] = {
    {"kl_a", 0.8739728043}, {"kl_b", 6.460279229}, {"kl_c", 0.4225142566}, {"kl_d", 0.0072131775}, {"kl_e", 0.3807684241}, {"kl_f", 0.1837868974},
    {"all", 0.8739728043 + 6.460279229 + 0.4225142566 + 0.0072131775 + 0.3807684241 + 0.1837868974 + 3 * log(2 / 1.5)}, {"entropy", -4.032934521}, {"density", -2.266278430},
    /* densities that do not depend on the value still count once for each element */
    {"uniform_p", -3 * M_LN2}, {"uniform_q", -3 * log(1.5)}, {"uniform_kl", 3 * log(2 / 1.5)},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) is_exactly(eval(rows[i].report, "").value, rows[i].value, rows[i].report);
  is_about(eval("sampled", ""), 0.8739728043 + 6.460279229 + 0.4225142566 + 0.3807684241 + 0.1837868974, 0.1, "the divergences from draws");
}
END_TEST

/* N(1, 0.5) N(-1, 2) ~ N(0.6, 0.4) */
START_TEST(draws_of_vectors_and_copies) {
  put_constant("y", 0.7, ROWS);
  start("draws", _i);
  const struct { const char *report; double value, se; } rows[] = {
    {"share", 2 / 4.2, 2e-3}, {"heads", 3, 0.01}, {"apart", 0, 0.01}, {"within", 1.2 * 0.4, 0.01}, {"across", 0, 0.01}, {"beta", 0, 0.02}, {"kumar", 0, 0.01},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) is_about(eval(rows[i].report, ""), rows[i].value, rows[i].se, rows[i].report);
  ck_assert_msg(isfinite(eval("relaxed", "").value), "a draw of Concrete has no finite density");
}
END_TEST

START_TEST(a_ladder_merges_by_precision) {
  put_constant("x", 0, ROWS);
  start("ladder", _i);
  ck_assert(fabs(eval("apart", "").value) < width->exact);
  is_exactly(eval("merged_mean", "").value, 0.6, "the mean");
  is_exactly(eval("merged_variance", "").value, 0.4, "the variance");
  is_exactly(eval("wrong", "").value, 0.5 * (0.4 / 0.16 - 1 - log(0.4 / 0.16)), "the divergence from the one with the variance squared");
  work_run("./m score --data d.npz --quiet --rows 500 --only evidence --to s.npz");
  Numbers each = work_read("s.npz", "evidence");
  for (uint64_t i = 0; i < each.n; i++) is_exactly(each.at[i], -0.5 * (1 / 3. + log(2 * M_PI * 3)), "log p at a draw of the data's likelihood merged with the prior");
  is_exactly(eval("prior", "").value, 0.5 * (0.4 / 2 + 1.6 * 1.6 / 2 - 1 - log(0.4 / 2)), "KL(N(0.6, 0.4) || N(-1, 2))");
  is_about(eval("mean", ""), 0.6, 0.01, "the merged mean");
  is_about(eval("square", ""), 0.76, 0.01, "the merged second moment");
}
END_TEST

START_TEST(the_rate_is_the_average_divergence) {
  static const double m[] = {-1, 0, 2}, v[] = {0.25, 0.5, 0.1};
  data_put("d.npz", (SviArray[]){{.name = (char *)(uintptr_t)"m", .type = SVI_F64, .rank = 1, .dim = {3}, .bytes = m},
                                 {.name = (char *)(uintptr_t)"v", .type = SVI_F64, .rank = 1, .dim = {3}, .bytes = v}}, 2);
  start("surgery", _i);
  Report r = eval("rate", "");
  is_exactly(r.value, 1.205337772, "the average divergence");
  ck_assert_uint_eq(r.n, 3);
}
END_TEST

/* ---- a distribution sums to one */
START_TEST(probabilities_sum_to_one) {
  uint8_t x[24];
  for (int i = 0; i < 24; i++) x[i] = (uint8_t)(i / 3 >> i % 3 & 1);
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)"x", .type = SVI_U8, .rank = 2, .dim = {8, 3}, .bytes = x}, 1);
  start("counts", _i);
  for (int seed = 0; seed < 3; seed++) {
    work_run("./m train --data d.npz --steps 0 --quiet --seed %d --out r%d", seed, seed);
    work_run("./m score --data d.npz --quiet --only density --out r%d --to s.npz", seed);
    Numbers each = work_read("s.npz", "density");
    double sum = 0, least = 1, most = 0;
    for (uint64_t i = 0; i < each.n; i++) {
      double p = exp(each.at[i]);
      sum += p, least = fmin(least, p), most = fmax(most, p);
    }
    is_exactly(sum, 1, "the sum over all rows");
    ck_assert(least < most / 2);                /* not merely a uniform one */
  }
}
END_TEST

/* ---- one step of an optimiser: x = 3, a = 0.5, so the loss has gradient -2.5, then what it is after */
static double parameter(const char *run) {
  char path[200];
  snprintf(path, sizeof path, "%s/last.safetensors", run);
  return work_read(path, "p.a").at[0];
}
START_TEST(steps_are_by_hand) {
  put_constant("x", 3, 4);
  start("one_step", _i);
  double a = 0.5, m = 0, v = 0;
  for (int t = 1; t <= 3; t++) {
    double g = a - 3;
    m = 0.8 * m + 0.2 * g, v = 0.9 * v + 0.1 * g * g;
    a -= 0.1 * (m / (1 - pow(0.8, t))) / (sqrt(v / (1 - pow(0.9, t))) + 1e-4);
    work_run("./m train --data d.npz --steps %d --quiet --out r%d", t, t);
    char run[16];
    snprintf(run, sizeof run, "r%d", t);
    is_exactly(parameter(run), a, "the parameter by Adam");
  }
  start("one_step_rmsprop", _i);
  work_run("./m train --data d.npz --steps 1 --quiet --out r");
  is_exactly(parameter("r"), 0.5 + 0.1 * 2.5 / (sqrt((1 - 0.9) * 2.5 * 2.5) + 1e-8), "the parameter by RMSprop");
}
END_TEST

/* ---- sum(each row) in a minibatch stands for the sum over all rows */
static double bound_after_training(const char *model) {
  work_compile(model, "m", width->options);
  work_run("./m train --data d.npz --steps 40 --batch 64 --quiet --out s");
  return report_of(work_eval("./m eval --data d.npz --quiet --json --only bound --params s/last.safetensors"), "bound").value;
}
START_TEST(a_sum_over_rows_is_scaled) {
  put_bits(1000, 30);
  width = &widths[_i];
  double implied = bound_after_training("bits"), written = bound_after_training("bits_summed");
  is_exactly(written, implied, "the bound");
}
END_TEST

/* ---- the same bits, whatever the threads, and resumed */
static char *hash_of(const char *more) {
  char line[300];
  static char text[4][200];
  static int at;
  snprintf(line, sizeof line, "./m train --data d.npz --quiet --print-hash %s", more);
  char *to = text[at++ % 4];
  snprintf(to, 200, "%s", work_run("%s", line).out);
  ck_assert_uint_gt(strlen(to), 8);
  return to;
}
START_TEST(threads_and_resuming_change_nothing) {
  put_bits(1000, 30);
  width = &widths[_i];
  work_compile("bits", "m", width->options);
  char *one = hash_of("--steps 300 --threads 1 --out a");
  ck_assert_str_eq(one, hash_of("--steps 300 --threads 2 --out b"));
  ck_assert_str_eq(one, hash_of("--steps 300 --threads 3 --out c"));
  ck_assert_str_ne(one, hash_of("--steps 150 --threads 2 --out d"));
  ck_assert_str_eq(one, hash_of("--steps 300 --threads 3 --out d --resume"));
  ck_assert_str_ne(one, hash_of("--steps 300 --threads 2 --out e --seed 1"));
  /* and it learns: from about 30 log 2 */
  double bound = report_of(work_eval("./m eval --data d.npz --quiet --json --only bound --out a"), "bound").value;
  double nll   = report_of(work_eval("./m eval --data d.npz --quiet --json --only nll --out a"), "nll").value;
  ck_assert_msg(bound > -17 && bound <= -nll, "after 300 steps the bound is %g, -log p %g", bound, nll);
}
END_TEST

/* ---- -O0 and -O2 in double precision */
START_TEST(optimisation_changes_only_rounding) {
  static const char *const names[] = {"p.mlp.dense.W", "p.mlp.dense.b", "p.dense.W", "p.dense.b", "q.mlp.dense.W", "q.dense.W", "q.dense_2.W", "q.dense_2.b"};
  put_bits(200, 30);
  for (int level = 0; level <= 2; level += 2) {
    char options[64];
    snprintf(options, sizeof options, "--precision f64 -O%d", level);
    work_compile("bits", level ? "m2" : "m0", options);
    work_run("./m%d train --data d.npz --steps 20 --quiet --out o%d", level, level);
  }
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    Numbers a = work_read("o0/last.safetensors", names[i]), b = work_read("o2/last.safetensors", names[i]);
    ck_assert_uint_eq(a.n, b.n);
    for (uint64_t k = 0; k < a.n; k++) ck_assert_msg(fabs(a.at[k] - b.at[k]) < 1e-9, "%s[%llu]: %.17g and %.17g", names[i], (unsigned long long)k, a.at[k], b.at[k]);
  }
}
END_TEST

/* ---- a function whose index has the name and size of the index around its call: two axes */
START_TEST(an_index_is_not_that_of_the_caller) {
  put_constant("y", 0, 5);
  start("index_called", _i);
  is_exactly(eval("called", "").value, 1 * (1 + 2 * 2 + 3 * 3) + 10 * (1 + 2 * 2 + 3 * 3) + 100 * (1 + 2 * 2 + 3 * 3), "sum of M[i, j] j, by a function");
  is_exactly(eval("summed", "").value, 1 * (1 + 2 * 2 + 3 * 3) + 10 * (1 + 2 * 2 + 3 * 3) + 100 * (1 + 2 * 2 + 3 * 3), "... by a sum inside a sum");
}
END_TEST

/* ---- moments of families, and gradients through their draws */
START_TEST(families_have_their_moments) {
  put_constant("y", 0.7, 20000);
  start("families", _i);
  static const struct { const char *report; double value, se; } rows[] = {
    {"cosine", 0.6977746579640080, 6e-3}, {"sine", 0, 6e-3},                   /* I1/I0 at 2 */
    {"tail", 8.121188992979797, 2e-3}, {"half", 2.927107958832808, 0.02}, {"half_2", 9.817769897082, 0.1},
    {"diag", -0.359813847226612, 0.01},
    {"r_21", 1. / 6, 3e-3}, {"r_31", 1. / 6, 3e-3}, {"r_32", 1. / 6, 3e-3},   /* 1 / (2 concentration + size - 1) */
    {"c_11", 0.4761904762, 0.01}, {"c_13", -0.1904761905, 0.01}, {"c_23", 0.3809523810, 0.01},
    {"count_2", 40.2, 0.5}, {"share", 1.5 / 4.2, 3e-3}, {"share_2", 1.5 * 2 / (4.2 * 5.2), 2e-3}, {"apart", 2.25 / (4.2 * 4.2), 3e-3},
    {"reach", exp(0.7) / 2 - 0.7, 0.01},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) is_about(eval(rows[i].report, ""), rows[i].value, rows[i].se, rows[i].report);
  is_exactly(eval("inside", "").value, 1, "angles within a turn");
  is_exactly(eval("inside", "--set kappa=0").value, 1, "angles of no direction within a turn");
  is_about(eval("cosine", "--set kappa=0"), 0, 6e-3, "cosine of no direction");
  is_exactly(eval("unit", "").value, 3, "the diagonal of correlations");
  double e = log1p(exp(0.7));
  is_exactly(eval("point", "").value, log(e) - e, "the density at a point estimate");
}
END_TEST

START_TEST(draws_have_their_gradients) {
  put_constant("y", 0.7, 500);
  start("families", _i);
  work_run("./m gradients --data d.npz --quiet --count 200 --to g.npz");
  const struct { const char *name; double value, se; } rows[] = {
    {"angle:v.m", 0.6977746579640080 * sin(0.5), 5e-3}, {"angle:v.lk", 2 * 0.1642231977212077 * cos(0.5), 5e-3},
    {"tail:t.m", 0.01414854278274811, 1e-4}, {"tail:t.ls", 0.2329248879433683, 2e-3},
    {"half:h.m", 0.3124522236049133, 2e-3}, {"half:h.ls", 1.583334070635264, 0.01}, {"rows:l.lc", 0.3454236892520084, 0.01},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char name[64];
    Report r = {.value = work_read("g.npz", rows[i].name).at[0]};
    snprintf(name, sizeof name, "%s.se", rows[i].name);
    r.se = work_read("g.npz", name).at[0];
    is_about(r, rows[i].value, rows[i].se, rows[i].name);
  }
}
END_TEST

/* ---- doubly reparameterised draws, given others; see dreg.svm */
START_TEST(particles_are_one_draw) {
  static const struct { const char *plain, *twice; } pairs[] = {
    {"a:a.m", "A:A.m"}, {"a:a.m", "B:B.m"}, {"b:a.m", "C:A.m"}, {"b:a.m", "D:B.m"}, {"c:o.m", "E:O.m"}};
  double x[200];
  for (int i = 0; i < 200; i++) x[i] = 2 * sin(1.7 * i);
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)"x", .type = SVI_F64, .rank = 2, .dim = {100, 2}, .bytes = x}, 1);
  start("dreg", _i);
  work_run("./m gradients --data d.npz --quiet --count 2000 --to g.npz");
  for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
    Report r[2];
    for (int i = 0; i < 2; i++) {
      char name[32];
      const char *of = i ? pairs[k].twice : pairs[k].plain;
      snprintf(name, sizeof name, "%s.se", of);
      r[i] = (Report){.value = work_read("g.npz", of).at[0], .se = work_read("g.npz", name).at[0]};
    }
    r[1].se = hypot(r[0].se, r[1].se);
    is_about(r[1], r[0].value, 4e-3, pairs[k].twice);
  }
}
END_TEST

/* ---- the oracle, for the models of this folder */
START_TEST(generated_code_agrees_with_the_evaluator) {
  static const struct { const char *model, *column; double value; } rows[] = {
    {"linear_gaussian", "x", 3}, {"binary_latent", "x", 1}, {"divergences", "y", 0.7}, {"draws", "y", 0.7}, {"ladder", "x", 0.3}, {"one_step", "x", 3}, {"families", "y", 0.7},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    put_constant(rows[i].column, rows[i].value, 300);
    start(rows[i].model, _i);
    work_run("./m self-check --data d.npz --rows 150");
    work_run("./m self-check --data d.npz --rows 5 --k 330");
  }
  put_bits(300, 30);
  start("bits", _i);
  work_run("./m self-check --data d.npz --rows 200");
  work_run("./m self-check --data d.npz --rows 3 --k 500");
}
END_TEST

/* ---- softmax(l) and l */
START_TEST(a_softmax_is_a_simplex) {
  static const char *const apart[] = {"a", "b", "c", "d", "e"};
  put_constant("x", 0.7, 10);
  start("softmax", _i);
  for (size_t i = 0; i < sizeof apart / sizeof *apart; i++) is_exactly(eval(apart[i], "").value, 0, apart[i]);
}
END_TEST

/* z[1] ~ N(1/2, 1) and q.z[2].mean is twice that: an average of draws within a function is taken before it. */
START_TEST(fields_are_averaged_over_draws) {
  put_constant("x", 0.7, 50);
  start("each_plate", _i);
  is_near(eval("field_squared", "").value, 1, 0.05, "(E q.z[2].mean)^2");
  is_near(eval("model_squared", "").value, 1, 0.05, "(E p.x.mean)^2");
  is_near(eval("field_times", "").value, -1.625 - 0.5 * log(2 * M_PI), 0.05, "E q.z[2].mean log p.z[1]");      /* E z^3 = 1.625 */
  is_exactly(eval("family_local", "").value, 0, "members of a family of values");
  is_near(eval("field_weights", "").value, eval("local_weights", "").value, width->exact, "log mean exp of a field");
}
END_TEST
START_TEST(each_plate_is_each_row) {
  static const char *const what[] = {"mean_density", "mean_kl", "mean_within", "sum_density"};
  put_constant("x", 0.7, 50);
  start("each_plate", _i);
  for (size_t i = 0; i < sizeof what / sizeof *what; i++)
    for (int small = 0; small < 2; small++) {
      char row[64], plate[64];
      snprintf(row, sizeof row, "%s_of_row", what[i]);
      snprintf(plate, sizeof plate, "%s_of_plate", what[i]);
      is_exactly(eval(plate, small ? "--batch 20" : "").value, eval(row, small ? "--batch 20" : "").value, plate);
    }
}
END_TEST

/* Gradients of weights by stretches of rows, with the rows of a window standing for others in each, and by any number of threads. */
START_TEST(stretches_of_rows_make_one_gradient) {
  enum { MANY = 2300, WIDE = 80 };
  double *x = calloc(MANY * WIDE, sizeof *x);
  for (int i = 0; i < MANY * WIDE; i++) x[i] = sin(0.37 * i) + (i / WIDE) % 7 * 0.2;
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)"x", .type = SVI_F64, .rank = 2, .dim = {MANY, WIDE}, .bytes = x}, 1);
  free(x);
  start("stretches", _i);
  work_run("./m self-check --data d.npz --rows %d", MANY);
  Ran one = work_run("./m train --data d.npz --quiet --print-hash --threads 1 --out one");
  ck_assert_str_eq(work_run("./m train --data d.npz --quiet --print-hash --threads 3 --out three").out, one.out);
}
END_TEST

/* Batch normalisation trains to the parameters of the formula it stands for. */
START_TEST(batch_normalisation_is_its_formula) {
  enum { MANY = 200, WIDE = 80 };
  double *x = calloc(MANY * WIDE, sizeof *x);
  for (int i = 0; i < MANY * WIDE; i++) x[i] = sin(0.37 * i) + (i / WIDE) % 7 * 0.2;
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)"x", .type = SVI_F64, .rank = 2, .dim = {MANY, WIDE}, .bytes = x}, 1);
  free(x);
  work_compile("normalised", "library", "--precision f64");
  work_compile("normalised", "plain", "--precision f64 -D plain=1");
  work_run("./library train --data d.npz --quiet --seed 1 --out library-run");
  work_run("./plain train --data d.npz --quiet --seed 1 --out plain-run");
  Numbers a = work_read("library-run/last.safetensors", "q.linear.W"), b = work_read("plain-run/last.safetensors", "q.linear.W");
  ck_assert_uint_eq(a.n, 80 * 16);
  ck_assert_uint_eq(b.n, a.n);
  for (uint64_t i = 0; i < a.n; i++) ck_assert_double_eq_tol(a.at[i], b.at[i], 1e-9);
}
END_TEST

static void add(TCase *t) {
  tcase_add_test(t, batch_normalisation_is_its_formula);
  tcase_add_loop_test(t, stretches_of_rows_make_one_gradient, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, bounds_of_a_linear_gaussian, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, the_exact_posterior_has_no_gap, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_weight_of_one_is_the_bound_itself, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, estimators_agree_with_the_gradient, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, one_particle_is_the_bound_from_draws, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, importance_weighted_bounds_of_a_bit, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, the_score_function_of_a_bit, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, divergences_are_known, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, draws_of_vectors_and_copies, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_ladder_merges_by_precision, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, the_rate_is_the_average_divergence, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, probabilities_sum_to_one, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, steps_are_by_hand, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_sum_over_rows_is_scaled, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, an_index_is_not_that_of_the_caller, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, threads_and_resuming_change_nothing, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, families_have_their_moments, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, draws_have_their_gradients, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, particles_are_one_draw, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_softmax_is_a_simplex, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, fields_are_averaged_over_draws, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, each_plate_is_each_row, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, generated_code_agrees_with_the_evaluator, FIRST_WIDTH, WIDTHS);
  tcase_add_test(t, optimisation_changes_only_rounding);
}

int main(void) { return run_cases("models", add); }
