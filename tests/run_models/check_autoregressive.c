/* Autoregressive sites in compiled models: densities against enumeration, draws against densities, gradients against
 * analysis.
 *
 * Draws are counted: the chi-square of N counts with d degrees of freedom must be within four of its standard deviations,
 * sqrt(2 d).  A draw from 0 alone, or one turn too few, is far outside. */
#include "cases.h"

enum { DRAWS = 60000 };
const Width widths[WIDTHS] = {{"--precision f64", 1e-9}, {"", 2e-5}};

static void is_estimated(double got, double se, double want, double largest_se, const char *what) {
  ck_assert_msg(se > 0 && se <= largest_se, "%s: the standard error is %g, of %g allowed", what, se, largest_se);
  ck_assert_msg(fabs(got - want) <= 4 * se, "%s is %.9g +- %.2g and should be %.9g", what, got, se, want);
}

/* Counts against probabilities; outcomes expected less than five times count together. */
static void fits(const uint64_t *count, const double *p, uint32_t n, uint64_t draws, const char *what) {
  double chi = 0, rest = 0, rest_count = 0, sum = 0;
  uint32_t cells = 0;
  for (uint32_t i = 0; i < n; i++) {
    double expected = p[i] * (double)draws;
    sum += p[i];
    if (expected < 5) rest += expected, rest_count += (double)count[i];
    else chi += ((double)count[i] - expected) * ((double)count[i] - expected) / expected, cells++;
  }
  is_exactly(sum, 1, what);
  if (rest >= 5) chi += (rest_count - rest) * (rest_count - rest) / rest, cells++;
  double d = cells - 1.;
  ck_assert_msg(cells >= 4 && fabs(chi - d) <= 4 * sqrt(2 * d), "%s: chi-square %g with %g degrees of freedom", what, chi, d);
}

/* All outcomes of n digits of `base` values each, in their order, as a column of d.npz. */
static SviArray outcomes(const char *name, uint64_t n, uint64_t base, uint64_t rows, uint64_t d0, uint64_t d1) {
  uint8_t *x = malloc(rows * n);
  for (uint64_t r = 0; r < rows; r++)
    for (uint64_t j = 0, rest = r; j < n; j++, rest /= base) x[r * n + j] = (uint8_t)(rest % base);
  return (SviArray){.name = (char *)(uintptr_t)name, .type = SVI_U8, .rank = d1 ? 3 : 2, .dim = {rows, d0, d1}, .bytes = x};
}

/* ---- T8: priors (.3, -.7) and the layers' logits; see sbn_inside.svm */
static double log_bit(double logit, int bit) { return -log1p(exp(bit ? -logit : logit)); }
static double joint(const int *a, const int *b, const int *x, double inside) {
  double s = log_bit(0.3, a[0]) + log_bit(-0.7 + inside * 1.5 * a[0], a[1]);
  s += log_bit(-0.5 + a[0] - a[1], b[0]) + log_bit(0.25 + 0.5 * a[0] + 2 * a[1] - 2 * inside * b[0], b[1]);
  s += log_bit(0.1 + b[0] - 2 * b[1], x[0]);
  s += log_bit(-0.3 + 0.5 * b[0] + 0.5 * b[1] + inside * 3 * (x[0] - 0.3), x[1]);
  return s + log_bit(0.2 - b[0] + 1.5 * b[1] + inside * (4 * (x[0] - 0.3) + 5 * (x[1] - 0.3)), x[2]);
}
static void digits(uint32_t number, int *bit, int n) {
  for (int i = 0; i < n; i++) bit[i] = number >> i & 1;
}

START_TEST(a_belief_network_is_what_enumeration_says) {
  SviArray x = outcomes("x", 3, 2, 8, 3, 0);
  data_put("d.npz", &x, 1);
  free((void *)(uintptr_t)x.bytes);
  start("sbn_inside", _i);
  for (int inside = 0; inside < 2; inside++) {
    double p[128], evidence[8] = {0}, mean = 0;
    for (uint32_t k = 0; k < 128; k++) {
      int bit[7];
      digits(k, bit, 7);
      p[k] = exp(joint(bit, bit + 2, bit + 4, inside));
      evidence[k >> 4] += p[k];
      mean += p[k] * (k >> 4);
    }
    work_run("./m score --data d.npz --quiet --set inside=%d --to s.npz", inside);
    Numbers log_p = work_read("s.npz", "evidence"), bound = work_read("s.npz", "bound");
    double sum = 0;
    for (int k = 0; k < 8; k++) {
      is_exactly(log_p.at[k], log(evidence[k]), "log p(x)");
      sum += exp(log_p.at[k]);
    }
    is_exactly(sum, 1, "the sum over all x");
    if (!inside) {
      is_exactly(log_p.at[5], -2.553419538, "log p(1, 0, 1)");
      is_exactly(log_p.at[0], -2.561943012, "log p(0, 0, 0)");
      is_exactly(log_p.at[7], -2.306184979, "log p(1, 1, 1)");
      is_exactly(bound.at[5], -2.948685588, "the bound of a uniform guide");
    }
    work_run("./m sample --quiet --count %d --set inside=%d --to draws.npz", DRAWS, inside);
    Numbers a = work_read("draws.npz", "h[2]"), b = work_read("draws.npz", "h[1]"), c = work_read("draws.npz", "x");
    uint64_t count[128] = {0};
    for (int r = 0; r < DRAWS; r++) {
      uint32_t k = 0;
      for (int j = 0; j < 2; j++) k |= (uint32_t)a.at[2 * r + j] << j | (uint32_t)b.at[2 * r + j] << (2 + j);
      for (int j = 0; j < 3; j++) k |= (uint32_t)c.at[3 * r + j] << (4 + j);
      count[k]++;
    }
    fits(count, p, 128, DRAWS, "a, b, x");
    /* an expectation over the whole model's draws */
    uint8_t *bits = calloc(20000, 3);
    data_put("many.npz", &(SviArray){.name = (char *)(uintptr_t)"x", .type = SVI_U8, .rank = 2, .dim = {20000, 3}, .bytes = bits}, 1);
    free(bits);
    Report drawn = report_of(work_eval(inside ? "./m eval --data many.npz --quiet --json --only drawn --set inside=1" : "./m eval --data many.npz --quiet --json --only drawn"), "drawn");
    is_estimated(drawn.value, drawn.se, mean, 0.03, "the mean of x as a number");
  }
}
END_TEST

/* ---- draws against the model's own densities */
typedef struct { const char *name; uint32_t n, base, outcomes, d0, d1; } Column;
static const Column columns[] = {{"v", 4, 2, 16, 4, 0}, {"w", 4, 2, 16, 4, 0}, {"x", 4, 2, 16, 4, 0}, {"y", 4, 2, 16, 4, 0},
                                 {"t", 3, 3, 27, 3, 0}, {"u", 6, 2, 64, 3, 2}, {"k", 3, 3, 27, 3, 0}, {"m", 4, 2, 16, 4, 0}};
enum { COLUMNS = sizeof columns / sizeof *columns, OUTCOMES = 64 };

START_TEST(draws_are_as_likely_as_their_densities_say) {
  SviArray data[COLUMNS];
  for (int k = 0; k < COLUMNS; k++) data[k] = outcomes(columns[k].name, columns[k].n, columns[k].base, OUTCOMES, columns[k].d0, columns[k].d1);
  data_put("d.npz", data, COLUMNS);
  for (int k = 0; k < COLUMNS; k++) free((void *)(uintptr_t)data[k].bytes);
  start("autoregressive", _i);
  for (int seed = 0; seed < 2; seed++) {
    work_run("./m train --data d.npz --steps 0 --quiet --seed %d --out r%d", seed, seed);
    work_run("./m score --data d.npz --quiet --out r%d --to s.npz", seed);
    work_run("./m sample --quiet --count %d --out r%d --seed %d --to draws.npz", DRAWS, seed, seed);
    for (int k = 0; k < COLUMNS; k++) {
      const Column *c = &columns[k];
      char name[16];
      snprintf(name, sizeof name, "log_%s", c->name);
      Numbers density = work_read("s.npz", name), draws = work_read("draws.npz", c->name);
      double p[OUTCOMES];
      uint64_t count[OUTCOMES] = {0};
      ck_assert_uint_eq(draws.n, (uint64_t)DRAWS * c->n);
      for (uint32_t i = 0; i < c->outcomes; i++) p[i] = exp(density.at[i]);
      for (int r = 0; r < DRAWS; r++) {
        uint32_t which = 0;
        for (uint32_t j = c->n; j-- > 0;) which = which * c->base + (uint32_t)draws.at[(uint64_t)r * c->n + j];
        ck_assert_uint_lt(which, c->outcomes);
        count[which]++;
      }
      fits(count, p, c->outcomes, DRAWS, c->name);
    }
    /* how many threads share the work, and so how rows lie in chunks, changes no bit */
    for (int threads = 1; threads < 6; threads += 2) {
      work_run("./m sample --quiet --count 3001 --out r%d --seed %d --threads %d --to t%d.npz", seed, seed, threads, threads);
      for (int k = 0; k < COLUMNS && threads > 1; k++) {
        char file[16];
        snprintf(file, sizeof file, "t%d.npz", threads);
        Numbers one = work_read("t1.npz", columns[k].name), more = work_read(file, columns[k].name);
        ck_assert_mem_eq(one.at, more.at, one.n * sizeof *one.at);
      }
    }
  }
  work_run("./m self-check --data d.npz");
}
END_TEST

/* ---- gradients; see autoregressive_guide.svm */
/* E -1/2 sum z^2 with z_j = m + w z_{j-1} + s e_j: means and variances by recursion. */
static double chain_value(const double *p) {
  double mean = 0, variance = 0, sum = 0;
  for (int j = 0; j < 4; j++) {
    mean = p[0] + (j ? p[1] * mean : 0);
    variance = p[2] * p[2] + (j ? p[1] * p[1] * variance : 0);
    sum -= 0.5 * (mean * mean + variance);
  }
  return sum;
}
static double bits_value(const double *p) {                /* b, then W by rows */
  double sum = 0;
  for (uint32_t k = 0; k < 8; k++) {
    int h[3];
    digits(k, h, 3);
    double log_q = 0;
    for (int j = 0; j < 3; j++) {
      double logit = p[j];
      for (int i = 0; i < j; i++) logit += p[3 + 3 * i + j] * h[i];
      log_q += log_bit(logit, h[j]);
    }
    sum += exp(log_q) * ((h[0] - 0.3) * (2 * h[1] + 0.5) - 3 * h[1] * h[2] + h[0] * h[2] + 0.8 * h[2]);
  }
  return sum;
}
static double slope(double (*f)(const double *), const double *at, int i) {
  double p[12], h = 1e-5;
  memcpy(p, at, sizeof p);
  p[i] = at[i] + h;
  double up = f(p);
  p[i] = at[i] - h;
  return (up - f(p)) / (2 * h);
}
/* The trainer's are of what is minimised. */
static double mean_gradient(const char *step, const char *param, int i, double *se) {
  char name[64];
  snprintf(name, sizeof name, "%s:%s", step, param);
  double g = work_read("g.npz", name).at[i];
  strcat(name, ".se");
  *se = work_read("g.npz", name).at[i];
  return g;
}

START_TEST(gradients_pass_through_the_draws) {
  double y[400] = {0}, se;
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)"y", .type = SVI_F64, .rank = 1, .dim = {400}, .bytes = y}, 1);
  start("autoregressive_guide", _i);
  work_run("./m gradients --data d.npz --quiet --count 400 --to g.npz");
  /* s is stored by softplus: 0.5 is log(exp(0.5) - 1), where d softplus = 1 - exp(-0.5) */
  const double chain[12] = {0.4, 0.6, 0.5}, by[3] = {1, 1, 1 - exp(-0.5)};
  static const char *const names[] = {"m", "w", "s"};
  for (int k = 0; k < 3; k++) {
    char name[32];
    double want = slope(chain_value, chain, k) * by[k];
    snprintf(name, sizeof name, "chain.%s", names[k]);
    double got = mean_gradient("path", name, 0, &se);
    is_estimated(got, se, want, 0.02, "through the draws of a chain");
    snprintf(name, sizeof name, "scored.%s", names[k]);
    got = mean_gradient("score", name, 0, &se);
    is_estimated(got, se, want, 0.2, "by the scores of a chain");
  }
  const double bits[12] = {0.2, -0.4, 0.1, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7};
  for (int k = 0; k < 12; k++) {
    double want = slope(bits_value, bits, k);
    double got = mean_gradient("exact", k < 3 ? "bits.b" : "bits.W", k < 3 ? k : k - 3, &se);
    ck_assert_msg(fabs(got - want) < 1e-5, "enumerated: element %d is %.9g and should be %.9g", k, got, want);
    if (k >= 3 && (k - 3) / 3 >= (k - 3) % 3) continue;      /* masked */
    got = mean_gradient("draws", k < 3 ? "drawn.b" : "drawn.W", k < 3 ? k : k - 3, &se);
    is_estimated(got, se, want, 0.01, "by the scores of bits");
    got = mean_gradient("darn", k < 3 ? "bent.b" : "bent.W", k < 3 ? k : k - 3, &se);
    ck_assert_msg(fabs(got - want) < 0.2, "darn: element %d is %.9g, and the exact one %.9g", k, got, want);
  }
  is_about(eval("counted", ""), 5, 0.2, "counts that are rates of later counts");
  work_run("./m self-check --data d.npz --rows 50");
}
END_TEST

static void add(TCase *t) {
  tcase_add_loop_test(t, a_belief_network_is_what_enumeration_says, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, draws_are_as_likely_as_their_densities_say, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, gradients_pass_through_the_draws, FIRST_WIDTH, WIDTHS);
}

int main(void) { return run_cases("autoregressive", add); }
