/* Models with several plates, compiled by svic and run by their trainers: pairs that point to rows of others, plates inside and
 * beside one another, variables that run over rows, ranges that depend on an index.
 *
 * Known answers come from analysis (conjugate cases) or from sums written out here.  A minibatch is unbiased: with draws that do
 * not depend on the batch the mean of its gradients over all minibatches is the gradient of all rows, to rounding. */
#include "cases.h"

const Width widths[WIDTHS] = {{"--precision f64", 1e-9}, {"", 3e-5}};

/* An objective's mean over draws, as `gradients` gives it. */
static Report objective(const char *name) {
  char se[100];
  snprintf(se, sizeof se, "%s.se", name);
  return (Report){.value = work_read("g.npz", name).at[0], .se = work_read("g.npz", se).at[0]};
}

/* ---- data: uniform and about normal numbers, the same on every machine */
static uint64_t state;
static double uniform(void) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return ((double)(state >> 11) + 0.5) / 9007199254740992.0;
}
static double normal(void) {
  double s = -6;
  for (int i = 0; i < 12; i++) s += uniform();
  return s;
}
enum { COLUMNS = 12 };
static struct { SviArray at[COLUMNS]; size_t n; } file;
static double *column(const char *name, uint64_t rows, uint64_t inner, uint64_t dim) {
  SviArray a = {.name = (char *)(uintptr_t)name, .type = SVI_F64, .rank = 1, .dim = {rows}};
  if (inner > 1) a.dim[a.rank++] = inner;
  if (dim > 1) a.dim[a.rank++] = dim;
  double *x = calloc(rows * inner * dim, sizeof *x);
  a.bytes = x;
  file.at[file.n++] = a;
  return x;
}
static void put(void) {
  data_put("d.npz", file.at, file.n);
  for (size_t i = 0; i < file.n; i++) free((void *)(uintptr_t)file.at[i].bytes);
  file.n = 0;
}
static void begin(void) { state = 88172645463325252u; }

/* ---- the mean over all minibatches */
static void minibatches_agree(const char *const *roots, size_t n, uint64_t rows, uint64_t batch) {
  double *mean[40] = {0};
  uint64_t size[40], batches = rows / batch;
  ck_assert(rows % batch == 0 && n <= 40);
  for (uint64_t b = 0; b < batches; b++) {
    work_run("./m gradients --data d.npz --quiet --count 1 --first %llu --rows %llu --to g.npz", (unsigned long long)(b * batch), (unsigned long long)batch);
    for (size_t i = 0; i < n; i++) {
      bool per_row = roots[i][0] == '*';               /* of the batch's rows only: laid end to end they are the gradient of all, times batches */
      Numbers g = work_read("g.npz", roots[i] + per_row);
      if (!mean[i]) size[i] = per_row ? g.n * batches : g.n, mean[i] = calloc(size[i], sizeof **mean);
      for (uint64_t k = 0; k < g.n; k++) mean[i][(per_row ? b * g.n : 0) + k] += g.at[k] / (double)batches;
    }
  }
  work_run("./m gradients --data d.npz --quiet --count 1 --to g.npz");
  for (size_t i = 0; i < n; i++) {
    Numbers g = work_read("g.npz", roots[i] + (roots[i][0] == '*'));
    ck_assert_uint_eq(g.n, size[i]);
    double most = 0;
    for (uint64_t k = 0; k < g.n; k++) {
      ck_assert_msg(fabs(g.at[k] - mean[i][k]) <= width->exact * (1 + fabs(g.at[k])), "%s[%llu] is %.12g on average, and of all rows %.12g", roots[i], (unsigned long long)k, mean[i][k], g.at[k]);
      most = fmax(most, fabs(g.at[k]));
    }
    ck_assert_msg(most > 1e-6, "%s is nothing", roots[i]);
    free(mean[i]);
  }
}

/* The same parameters, whatever the threads; and generated code against the evaluator, on some of the rows and on few. */
static void threads_agree(void) {
  char first[100];
  snprintf(first, sizeof first, "%s", work_run("./m train --data d.npz --quiet --print-hash --threads 1 --out t1").out);
  ck_assert_uint_gt(strlen(first), 8);
  ck_assert_str_eq(first, work_run("./m train --data d.npz --quiet --print-hash --threads 3 --out t3").out);
}
static void evaluator_agrees(void) {
  work_run("./m self-check --data d.npz --rows 3");
  work_run("./m self-check --data d.npz --rows 90");
}

/* ---- one latent for all rows */
START_TEST(one_latent_for_all_rows) {
  static const double w[] = {1, 2, 0.5}, x[] = {3, 4, 0};
  const double log_p = -5.455565286, bound = -5.749495752;
  memcpy(column("w", 3, 1, 1), w, sizeof w), memcpy(column("x", 3, 1, 1), x, sizeof x);
  put();
  start("gamma_poisson", _i);
  work_run("./m gradients --data d.npz --quiet --count 20000 --to g.npz");
  is_about(objective("objective"), bound / 3, 4e-3, "the bound of Gamma(4, 2), per row");
  /* log p(x, z) - log q(z) is the evidence at every draw of the posterior, Gamma(9, 4) */
  for (int seed = 0; seed < 3; seed++) {
    char more[200];
    snprintf(more, sizeof more, "--seed %d --set log_shape=2.1972245773362196 --set log_rate=1.3862943611198906", seed);
    is_exactly(eval("sampled", more).value, log_p / 3, "the evidence, per row");
  }
}
END_TEST

/* ---- pairs */
enum { USERS = 9, ITEMS = 5, RATINGS = 64 };
static struct { double r[RATINGS], um[USERS], uv[USERS], vm[ITEMS], vv[ITEMS]; int user[RATINGS], item[RATINGS]; } pairs;
/* `posterior`: users' means and variances are their posteriors when items are left out. */
static void put_pairs(bool posterior) {
  begin();
  for (int i = 0; i < RATINGS; i++) {
    pairs.user[i] = i < USERS ? USERS - 1 - i : (int)(uniform() * USERS), pairs.item[i] = i < ITEMS ? i : (int)(uniform() * ITEMS);
    pairs.r[i] = normal() + 0.1 * pairs.user[i];
  }
  for (int i = 0; i < USERS; i++) pairs.um[i] = normal(), pairs.uv[i] = 0.3 + uniform();
  for (int i = 0; i < ITEMS; i++) pairs.vm[i] = normal(), pairs.vv[i] = 0.3 + uniform();
  for (int u = 0; u < USERS && posterior; u++) {
    double n = 0, sum = 0;
    for (int i = 0; i < RATINGS; i++) if (pairs.user[i] == u) n++, sum += pairs.r[i];
    pairs.um[u] = sum / (1 + n), pairs.uv[u] = 1 / (1 + n);
  }
  for (int i = 0; i < ITEMS && posterior; i++) pairs.vm[i] = 0, pairs.vv[i] = 4;
  double *user = column("user", RATINGS, 1, 1), *item = column("item", RATINGS, 1, 1);
  for (int i = 0; i < RATINGS; i++) user[i] = pairs.user[i], item[i] = pairs.item[i];
  memcpy(column("r", RATINGS, 1, 1), pairs.r, sizeof pairs.r);
  memcpy(column("um", USERS, 1, 1), pairs.um, sizeof pairs.um), memcpy(column("uv", USERS, 1, 1), pairs.uv, sizeof pairs.uv);
  memcpy(column("vm", ITEMS, 1, 1), pairs.vm, sizeof pairs.vm), memcpy(column("vv", ITEMS, 1, 1), pairs.vv, sizeof pairs.vv);
  put();
}
static double kl_normal(double m, double v, double v0) { return 0.5 * (v / v0 + m * m / v0 - 1 - log(v / v0)); }

START_TEST(bound_of_pairs) {
  put_pairs(false);
  start("pairs_gaussian", _i);
  double bound = 0, squares = 0, ages = 0;
  for (int i = 0; i < RATINGS; i++) {
    int u = pairs.user[i], v = pairs.item[i];
    double d = pairs.r[i] - pairs.um[u] - pairs.vm[v];
    bound -= 0.5 * (log(2 * M_PI) + d * d + pairs.uv[u] + pairs.vv[v]);
    squares += d * d / RATINGS, ages += pairs.um[u] / RATINGS;
  }
  for (int i = 0; i < USERS; i++) bound -= kl_normal(pairs.um[i], pairs.uv[i], 1);
  for (int i = 0; i < ITEMS; i++) bound -= kl_normal(pairs.vm[i], pairs.vv[i], 4);
  is_exactly(eval("squares", "").value, squares, "the mean square at the ratings' users and items");
  is_exactly(eval("ages", "").value, ages, "the users' data, read at the ratings");
  work_run("./m gradients --data d.npz --quiet --count 20000 --to g.npz");
  is_about(objective("objective"), bound / RATINGS, 0.01, "the bound per rating");
  const char *const roots[] = {"objective", "q.shift"};
  minibatches_agree(roots, 2, RATINGS, 16);
  evaluator_agrees();
}
END_TEST

/* Adam would go on moving a user by the moments of the step before. */
START_TEST(embeddings_without_a_rating_rest) {
  begin();
  double *user = column("user", 4, 1, 1), *item = column("item", 4, 1, 1), *r = column("r", 4, 1, 1), *bias = column("bias", 2, 1, 1);
  for (int i = 0; i < 4; i++) user[i] = 3 - i, item[i] = i == 2, r[i] = i + 1;
  bias[1] = 1;
  put();
  compile("embeddings", _i);
  Numbers e[4];
  for (int steps = 1; steps < 4; steps++) {
    work_run("./m train --data d.npz --steps %d --quiet --out run", steps);
    e[steps] = work_read("run/last.safetensors", "p.e");
  }
  int moved = 0;
  for (int u = 0; u < 4; u++) {
    bool second = e[2].at[2 * u] != e[1].at[2 * u], third = e[3].at[2 * u] != e[2].at[2 * u];
    ck_assert(!(second && third));                       /* each user has one rating, and an epoch is four steps */
    moved += second + third;
  }
  ck_assert_int_eq(moved, 2);
}
END_TEST

START_TEST(evidence_of_pairs) {
  put_pairs(true);
  start("pairs_gaussian", _i);
  double log_p = 0;
  for (int u = 0; u < USERS; u++) {                     /* of a user's n ratings: N(0, I + 1 1^T) */
    double n = 0, sum = 0, squares = 0;
    for (int i = 0; i < RATINGS; i++) if (pairs.user[i] == u) n++, sum += pairs.r[i], squares += pairs.r[i] * pairs.r[i];
    log_p -= 0.5 * (n * log(2 * M_PI) + log(1 + n) + squares - sum * sum / (1 + n));
  }
  for (int seed = 0; seed < 3; seed++) {
    char more[100];
    snprintf(more, sizeof more, "--set items=0 --seed %d", seed);
    is_exactly(eval("sampled", more).value, log_p / RATINGS, "the evidence per rating");
  }
}
END_TEST

static void put_counts(void) {
  begin();
  double *user = column("user", RATINGS, 1, 1), *item = column("item", RATINGS, 1, 1), *r = column("r", RATINGS, 1, 1), *held = column("held", RATINGS, 1, 1);
  for (int i = 0; i < RATINGS; i++) {
    user[i] = i < USERS ? i : (int)(uniform() * USERS), item[i] = i < ITEMS ? ITEMS - 1 - i : (int)(uniform() * ITEMS);
    r[i] = floor(8 * uniform() * uniform()), held[i] = i % 4 == 3;
  }
  put();
}
START_TEST(pairs_of_gammas) {
  const char *const roots[] = {"all:objective", "kept:objective", "all:q.Wa", "all:q.Wm", "all:q.ua", "all:q.ua_2", "all:q.um", "all:q.um_2", "all:q.logit", "all:q.va", "all:q.vm",
                               "kept:q.Wm", "kept:q.um_2", "kept:q.logit", "kept:q.vm"};
  put_counts();
  start("pairs_gamma", _i);
  minibatches_agree(roots, sizeof roots / sizeof *roots, RATINGS, 16);
  evaluator_agrees();
  threads_agree();
  double before = eval("bound", "").value, after = eval("bound", "--out t1").value;
  ck_assert_msg(after > before + 0.05, "training took the bound from %g to %g", before, after);
}
END_TEST

/* d/d(logit) of a user's part of the bound: q (1 - q) (f(1) - f(0)), f the log density of its own ratings and of its bit. */
START_TEST(scores_of_pairs_see_their_own_rows) {
  begin();
  double *user = column("user", RATINGS, 1, 1), *item = column("item", RATINGS, 1, 1), *r = column("r", RATINGS, 1, 1), want[USERS] = {0};
  for (int i = 0; i < RATINGS; i++) {
    int u = i < USERS ? i : (int)(uniform() * USERS);
    user[i] = u, item[i] = i % ITEMS, r[i] = floor(5 * uniform());
    want[u] += r[i] * log(3) - 2;                     /* of rates 3 and 1 */
  }
  put();
  start("pairs_bits", _i);
  work_run("./m gradients --data d.npz --quiet --count 4000 --to g.npz");
  Numbers g = work_read("g.npz", "drawn:q.a"), se = work_read("g.npz", "drawn:q.a.se"), exact = work_read("g.npz", "exact:e.a");
  double q = 1 / (1 + exp(-0.3)), prior = log(0.4 / 0.6);
  for (int u = 0; u < USERS; u++) {
    Report at = {.value = g.at[u], .se = se.at[u]};
    double right = q * (1 - q) * (want[u] + prior - log(q / (1 - q))) / RATINGS;
    is_about(at, right, 3e-3, "the gradient of a user's logit");
    is_exactly(exact.at[u], right, "... by its outcomes");
  }
  const char *const roots[] = {"drawn:objective", "drawn:q.a", "exact:objective", "exact:e.a"};
  minibatches_agree(roots, 4, RATINGS, 16);
  evaluator_agrees();
}
END_TEST

START_TEST(indices_are_checked) {
  static const struct { const char *column; int row; double value; const char *says; } wrong[] = {
    {"user", 7, -1, "column `user`, row 7 (counted from 0) is -1"},
    {"item", 9, 1.5, "column `item`, row 9 (counted from 0) is 1.5"},
    {"user", 11, USERS, "column `user`, row 11 (counted from 0) is 9; index of user needs whole numbers from 0 to 8"},
    {NULL, 0, 0, "no column `item`, which tells the item of each rating"},
  };
  width = &widths[0];
  work_compile("pairs_gaussian", "m", "");
  for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
    put_pairs(false);
    Numbers user = work_read("d.npz", "user"), item = work_read("d.npz", "item");
    static const char *const others[] = {"r", "um", "uv", "vm", "vv"};
    if (wrong[k].column) (strcmp(wrong[k].column, "user") == 0 ? user : item).at[wrong[k].row] = wrong[k].value;
    memcpy(column("user", RATINGS, 1, 1), user.at, sizeof(double) * RATINGS);
    if (wrong[k].column) memcpy(column("item", RATINGS, 1, 1), item.at, sizeof(double) * RATINGS);
    for (int i = 0; i < 5; i++) {
      Numbers x = work_read("d.npz", others[i]);
      memcpy(column(others[i], x.n, 1, 1), x.at, sizeof(double) * x.n);
    }
    put();
    Ran r = work_try("./m train --data d.npz --steps 1 --quiet --no-save");
    ck_assert_int_eq(r.code, 3);
    ck_assert_msg(strstr(r.err, wrong[k].says) != NULL, "case %zu says: %s", k, r.err);
  }
}
END_TEST

/* ---- inside and beside one another: x_t ~ N(z_t, 1), z_t ~ N(a, 1), a ~ N(g, 1), g ~ N(w, 1), w ~ N(0, 1), y ~ N(w, 1) */
START_TEST(plates_inside_and_beside) {
  enum { GROUPS = 9, SEQUENCES = 4, TIMES = 5, OTHERS = 7 };
  begin();
  double *x = column("x", GROUPS, SEQUENCES, TIMES), *y = column("y", OTHERS, 2, 1), bound = 0;
  const double w = 0.3, wv = 0.49, g = 0.2, gv = 0.25, a = 0.1, av = 0.36, z = -0.1, zv = 0.64;
  for (int i = 0; i < GROUPS * SEQUENCES * TIMES; i++) {
    x[i] = normal();
    bound += -0.5 * (log(2 * M_PI) + (x[i] - z) * (x[i] - z) + zv) - 0.5 * (zv + (z - a) * (z - a) + av - 1 - log(zv));
  }
  for (int i = 0; i < OTHERS * 2; i++) {
    y[i] = normal();
    bound -= 0.5 * (log(2 * M_PI) + (y[i] - w) * (y[i] - w) + wv);
  }
  bound -= GROUPS * SEQUENCES * 0.5 * (av + (a - g) * (a - g) + gv - 1 - log(av));
  bound -= GROUPS * 0.5 * (gv + (g - w) * (g - w) + wv - 1 - log(gv)) + kl_normal(w, wv, 1);
  put();
  start("plates", _i);
  work_run("./m gradients --data d.npz --quiet --count 4000 --to g.npz");
  is_about(objective("objective"), bound / GROUPS, 0.05, "the bound per group");
  ck_assert(fabs(eval("apart", "").value) < 10 * width->exact);          /* times that are the same: nothing for each of them */
  const char *const roots[] = {"objective", "q.m", "q.s", "*q.gm", "*q.am", "*q.zm"};
  minibatches_agree(roots, sizeof roots / sizeof *roots, GROUPS, 3);
  evaluator_agrees();
  threads_agree();
  double before = eval("bound", "").value, after = eval("bound", "--out t1").value;
  ck_assert_msg(after > before + 1, "training took the bound from %g to %g", before, after);
}
END_TEST

/* ---- variables that run over rows */
static void put_rows(uint64_t rows) {
  begin();
  static const struct { const char *name; uint64_t dim; } columns[] = {{"x", 3}, {"a", 2}, {"b", 2}};
  for (int k = 0; k < 3; k++) {
    double *x = column(columns[k].name, rows, 1, columns[k].dim);
    for (uint64_t i = 0; i < rows * columns[k].dim; i++) x[i] = normal() + 0.3 * k;
  }
  put();
}
static double rbf(const double *a, const double *b) {
  double d = 0;
  for (int k = 0; k < 2; k++) d += (a[k] - b[k]) * (a[k] - b[k]);
  return exp(-d / 4);
}
START_TEST(variables_run_over_rows) {
  enum { ROWS = 300 };
  put_rows(ROWS);
  start("rows", _i);
  Numbers a = work_read("d.npz", "a"), b = work_read("d.npz", "b");
  double mmd = 0, same = 0, weight = 0;
  for (int i = 0; i < ROWS; i++) weight += a.at[2 * i] / ROWS;
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < ROWS; j++) {
      mmd += (rbf(a.at + 2 * i, a.at + 2 * j) + rbf(b.at + 2 * i, b.at + 2 * j) - 2 * rbf(a.at + 2 * i, b.at + 2 * j)) / ROWS / ROWS;
      if (i == j) same += (a.at[2 * i] * b.at[2 * j] + a.at[2 * i + 1] * b.at[2 * j + 1]) / ROWS;
    }
  is_exactly(eval("discrepancy", "").value, mmd, "the discrepancy of two columns");
  is_exactly(eval("same", "").value, same, "a sum over i == j");
  is_exactly(eval("weighed", "").value, weight * 0.5 * log(2 * M_PI * M_E), "entropies of rows, with a weight of each");
  is_exactly(eval("numbers", "").value, (ROWS + 1) / 2.0, "the mean of the rows' numbers");
  is_exactly(eval("by_layer", "").value, eval("joint", "").value, "densities of a row, layer by layer");
  is_exactly(eval("by_hand", "").value, eval("joint", "").value, "densities of a row, written out");
  evaluator_agrees();
  work_run("./m self-check --data d.npz --rows 300");
  threads_agree();
}
END_TEST

/* Mean and standard error of a report over seeds. */
static Report over_seeds(const char *report, int n) {
  double sum = 0, squares = 0;
  for (int seed = 0; seed < n; seed++) {
    char more[50];
    snprintf(more, sizeof more, "--seed %d", seed);
    double x = eval(report, more).value;
    sum += x, squares += x * x;
  }
  return (Report){.value = sum / n, .se = sqrt((squares / n - sum / n * sum / n) / (n - 1))};
}
/* Kernel exp(-(x - y)^2 / 2) of N(0.5, 0.25) and N(0, 1): papers of the maximum mean discrepancy, by integration. */
START_TEST(kernels_of_draws) {
  put_rows(1500);
  start("rows", _i);
  is_about(over_seeds("to_self", 8), 0.8164965809, 2e-3, "of draws of the guide");
  is_about(over_seeds("of_prior", 8), 0.5773502692, 6e-3, "of draws of the prior");
  is_about(over_seeds("across", 8), 0.6306396459, 5e-3, "of one and the other");
}
END_TEST

static void put_surgery(double m1, double v1, double m2, double v2, double m3, double v3) {
  double *m = column("m", 3, 1, 1), *v = column("v", 3, 1, 1);
  m[0] = m1, m[1] = m2, m[2] = m3, v[0] = v1, v[1] = v2, v[2] = v3;
  put();
}
START_TEST(average_divergence_is_marginal_and_information) {
  put_surgery(-1, 0.25, 0, 0.5, 2, 0.1);
  start("surgery", _i);
  is_exactly(eval("rate", "").value, 1.205337772, "the average divergence");
  work_run("./m gradients --data d.npz --quiet --count 600 --to g.npz");
  is_about(objective("told:objective"), 0.7658545948, 3e-3, "the information");
  is_about(objective("apart:objective"), 0.4394831777, 4e-3, "the marginal divergence");
  is_exactly(eval("information", "").value + eval("excess", "").value, eval("information", "--batch 3").value + eval("excess", "--batch 3").value, "the same rows in one batch");
  put_surgery(0.7, 0.3, 0.7, 0.3, 0.7, 0.3);
  ck_assert(fabs(eval("information", "").value) < width->exact);           /* rows that are the same tell nothing */
  put_surgery(-200, 0.3, 0, 0.5, 200, 0.1);
  is_exactly(eval("information", "").value, log(3), "rows far apart tell which they are");
  /* more rows than eval takes at a time otherwise: all are looked at */
  double *m = column("m", 900, 1, 1), *v = column("v", 900, 1, 1);
  for (int i = 0; i < 900; i++) m[i] = 100. * i, v[i] = 0.5;
  put();
  is_exactly(eval("information", "").value, log(900), "900 rows far apart");
  is_exactly(eval("information", "--batch 300").value, log(300), "... in batches of 300");
}
END_TEST

/* ---- ranges that depend on an index, or on data */
START_TEST(ranges_depend_on_an_index) {
  enum { ROWS = 90, M = 4 };
  begin();
  double *x = column("x", ROWS, 1, M), *n = column("n", ROWS, 1, 1), ends = 0, most = 0, mean_of = 0, products = 0, middle = 0, before = 0;
  for (int r = 0; r < ROWS; r++) {
    double *y = x + r * M, sum = 0, product = 1;
    n[r] = r % 5;
    for (int i = 0; i < M; i++) y[i] = normal();
    for (int j = 0; j < M; j++) {
      double top = -INFINITY;
      sum += exp(y[j]);
      for (int i = j; i < M; i++) top = fmax(top, y[i]);
      if (j) product *= y[j];
      ends += log(sum) / ROWS, most += top / ROWS, products += product / ROWS;
      if (j == 1) before += log(sum) / ROWS;
    }
    for (int i = 0; i < n[r]; i++) mean_of += y[i] / n[r] / ROWS;
    middle += (y[1] + y[2]) / ROWS;
  }
  put();
  start("ranges", _i);
  is_exactly(eval("ends", "").value, ends, "log_sum_exp(i in 1..j)");
  is_exactly(eval("most", "").value, most, "max(i in j..M)");
  is_exactly(eval("mean_of", "").value, mean_of, "mean(i in 1..n) of data");
  is_exactly(eval("products", "").value, products, "prod(i in 2..j)");
  is_exactly(eval("middle", "").value, middle, "sum(i in 2..3)");
  is_exactly(eval("before", "").value, before, "log_sum_exp(i in 1..j-1) at 3");
  is_exactly(eval("called", "").value, 4444, "a function's own index of the same name");
  is_exactly(eval("weighed", "").value, 43210, "... and its caller's");
  is_exactly(eval("triangle", "").value, 10, "j in i..M");
  evaluator_agrees();
}
END_TEST

static void add(TCase *t) {
  tcase_add_loop_test(t, one_latent_for_all_rows, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, bound_of_pairs, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, evidence_of_pairs, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, embeddings_without_a_rating_rest, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, pairs_of_gammas, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, scores_of_pairs_see_their_own_rows, FIRST_WIDTH, WIDTHS);
  tcase_add_test(t, indices_are_checked);
  tcase_add_loop_test(t, plates_inside_and_beside, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, variables_run_over_rows, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, kernels_of_draws, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, average_divergence_is_marginal_and_information, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, ranges_depend_on_an_index, FIRST_WIDTH, WIDTHS);
}

int main(void) { return run_cases("plates", add); }
