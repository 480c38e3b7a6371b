/* diagnose: is the guide good enough?
 *
 * In:  the entry `weight`, which gives log w = log p - log q of each row at one draw of the guide.
 * Out: for each row, from --count draws: the bound (the mean of log w), log p(x) (the log of the mean of w) with its standard
 * error, the effective sample size (sum w)^2 / sum w^2 as a share of the draws, and Pareto k-hat (pareto.c); over the rows
 * means, spread and a verdict.
 *
 * Draws are told apart by the step that keys them. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

typedef enum { BOUND, LOG_P, LOG_P_SE, ESS, K_HAT, COLUMNS } Column;
static const char *const column_names[COLUMNS] = { "bound", "log_p", "log_p.se", "ess", "k_hat" };
typedef struct { uint64_t rows, draws; double *at[COLUMNS]; double *sorted; } Diagnosis;

enum { TAKEN_ROWS = 100 };                /* when --rows does not say */
static const double few_weights = 0.1;    /* where weights take too few values for a k-hat: effective share that is good enough */

static void row_measure(Diagnosis *d, uint64_t row, double *log_weight, double rounding) {
  double most = -INFINITY, sum = 0, squares = 0, mean = 0, n = (double)d->draws;
  for (uint64_t i = 0; i < d->draws; i++) {
    if (log_weight[i] > most) most = log_weight[i];
    mean += log_weight[i] / n;
  }
  for (uint64_t i = 0; i < d->draws && most > -INFINITY; i++) {
    double w = exp(log_weight[i] - most);
    sum += w;
    squares += w * w;
  }
  double share = squares > 0 ? sum * sum / squares / n : 0;
  d->at[BOUND][row]    = mean;
  d->at[LOG_P][row]    = squares > 0 ? most + log(sum / n) : -INFINITY;
  d->at[LOG_P_SE][row] = share > 0 ? sqrt(fmax(1 / share - 1, 0) / (n - 1)) : NAN;
  d->at[ESS][row]      = share;
  d->at[K_HAT][row]    = pareto_khat(log_weight, d->draws, rounding);
}

/* How a row counts in the verdict. */
static double row_k(const Diagnosis *d, uint64_t row) {
  double k = d->at[K_HAT][row];
  return isnan(k) ? d->at[ESS][row] >= few_weights ? 0 : INFINITY : k;
}

static bool diagnose_rows(Session *s, int entry, uint64_t batch, Diagnosis *d) {
  const SviModel *m = s->model;
  uint32_t width = m->real_bytes;
  double  *log_weight = memory_new(batch * d->draws, sizeof *log_weight, "log weights");
  Run     *run = run_new(m, entry, s->pool, &s->data, &s->state.params, batch, 0);
  bool     good = true;
  for (uint64_t first = 0; first < d->rows && good; first += batch) {
    uint64_t n = d->rows - first < batch ? d->rows - first : batch, count;
    for (uint64_t draw = 0; draw < d->draws && good; draw++) {
      run_entry(run, s->data.identity + first, n, s->seed, draw + 1, s->option);
      const void *out = run_out(run, 0, &count);
      for (uint64_t r = 0; r < n && good; r++) {
        double x = log_weight[r * d->draws + draw] = real_get(width, out, r);
        good = x < INFINITY;
        if (!good) complain("log p - log q of row %" PRIu64 " is %g at draw %" PRIu64 " of the guide", first + r, x, draw + 1);
      }
    }
    for (uint64_t r = 0; r < n && good; r++) row_measure(d, first + r, log_weight + r * d->draws, width == 8 ? 0x1p-52 : 0x1p-23);
  }
  run_free(run);
  memory_free(log_weight);
  return good;
}

/* ---- over the rows */
typedef struct { double mean, se; } Mean;
static Mean mean_of(const double *x, uint64_t n) {
  Mean m = { 0, 0 };
  for (uint64_t i = 0; i < n; i++) m.mean += x[i] / (double)n;
  for (uint64_t i = 0; i < n; i++) m.se += (x[i] - m.mean) * (x[i] - m.mean);
  m.se = n > 1 ? sqrt(m.se / (double)(n - 1) / (double)n) : NAN;
  return m;
}

/* Of what comes from drawing, not from the choice of the rows. */
static double drawing_error(const Diagnosis *d) {
  double sum = 0;
  for (uint64_t i = 0; i < d->rows; i++) sum += d->at[LOG_P_SE][i] * d->at[LOG_P_SE][i];
  return sqrt(sum) / (double)d->rows;
}

typedef struct { double least, median, most; uint64_t n; } Spread;      /* of those that are numbers */
static Spread spread_of(const Diagnosis *d, Column c) {
  Spread s = { NAN, NAN, NAN, 0 };
  for (uint64_t i = 0; i < d->rows; i++) if (!isnan(d->at[c][i])) d->sorted[s.n++] = d->at[c][i];
  if (s.n == 0) return s;
  qsort(d->sorted, s.n, sizeof *d->sorted, by_size);
  s.least = d->sorted[0], s.most = d->sorted[s.n - 1];
  s.median = s.n % 2 ? d->sorted[s.n / 2] : d->sorted[s.n / 2 - 1] == d->sorted[s.n / 2] ? d->sorted[s.n / 2] : 0.5 * (d->sorted[s.n / 2 - 1] + d->sorted[s.n / 2]);
  return s;
}

static uint64_t rows_above(const Diagnosis *d, double limit) {
  uint64_t n = 0;
  for (uint64_t i = 0; i < d->rows; i++) n += row_k(d, i) > limit;
  return n;
}

/* By the worst tenth of the rows: k-hat is itself an estimate, and of many rows some are unlucky. */
static const struct { double limit; const char *word, *says; } verdicts[] = {
  { 0.5,      "good",       "the weights have light tails: the bound and importance-weighted estimates are what they say" },
  { 0.7,      "acceptable", "k-hat between 0.5 and 0.7: the guide is somewhat narrow; importance-weighted estimates converge slowly, give them many draws" },
  { INFINITY, "bad",        "k-hat above 0.7: the guide misses mass of the posterior or has lighter tails; the bound and importance-weighted estimates "
                            "are not to be relied on for these rows, nor are their standard errors" },
};
static size_t verdict_of(const Diagnosis *d) {
  size_t i = 0;
  while (i + 1 < LENGTH(verdicts) && (double)rows_above(d, verdicts[i].limit) > 0.1 * (double)d->rows) i++;
  return i;
}

/* ---- telling */
static void diagnosis_print(const Diagnosis *d) {
  static const struct { Column c; const char *name; } spreads[] = { { ESS, "effective share of the draws" }, { K_HAT, "Pareto k-hat" } };
  Mean bound = mean_of(d->at[BOUND], d->rows), log_p = mean_of(d->at[LOG_P], d->rows);
  printf("%" PRIu64 " rows, %" PRIu64 " draws of the guide for each\n\n", d->rows, d->draws);
  printf("%-34s %12s %12s\n", "mean over the rows", "", "+-");
  printf("%-34s %12.6g %12.2g\n", "bound, log p - log q", bound.mean, bound.se);
  printf("%-34s %12.6g %12.2g  (%.2g of it from drawing)\n", "log p(x), importance weighted", log_p.mean, log_p.se, drawing_error(d));
  printf("%-34s %12.6g\n\n", "what the bound lacks", log_p.mean - bound.mean);
  printf("%-34s %12s %12s %12s\n", "over the rows", "least", "median", "most");
  for (size_t i = 0; i < LENGTH(spreads); i++) {
    Spread s = spread_of(d, spreads[i].c);
    printf("%-34s %12.3g %12.3g %12.3g", spreads[i].name, s.least, s.median, s.most);
    if (s.n < d->rows) printf("  (%" PRIu64 " rows have too few different weights)", d->rows - s.n);
    putchar('\n');
  }
  printf("%-34s %12" PRIu64 "\n%-34s %12" PRIu64 "\n\n", "rows with k-hat > 0.5", rows_above(d, 0.5), "rows with k-hat > 0.7", rows_above(d, 0.7));
  size_t v = verdict_of(d);
  printf("%s: %s\n", verdicts[v].word, verdicts[v].says);
}

static void json_field(const char *before, const char *name, double x) {
  printf("%s\"%s\": ", before, name);
  json_number(stdout, x);
}

static void diagnosis_json(const Diagnosis *d) {
  Mean bound = mean_of(d->at[BOUND], d->rows), log_p = mean_of(d->at[LOG_P], d->rows);
  printf("{\"rows\": %" PRIu64 ", \"draws\": %" PRIu64, d->rows, d->draws);
  json_field(", \"bound\": {", "value", bound.mean);
  json_field(", ", "se", bound.se);
  json_field("}, \"log_p\": {", "value", log_p.mean);
  json_field(", ", "se", log_p.se);
  json_field(", ", "drawing_se", drawing_error(d));
  for (Column c = ESS; c <= K_HAT; c++) {
    Spread s = spread_of(d, c);
    printf("}, \"%s\": {\"rows\": %" PRIu64, column_names[c], s.n);
    json_field(", ", "least", s.least);
    json_field(", ", "median", s.median);
    json_field(", ", "most", s.most);
  }
  json_field(", ", "above_0.5", (double)rows_above(d, 0.5) / (double)d->rows);
  json_field(", ", "above_0.7", (double)rows_above(d, 0.7) / (double)d->rows);
  printf("}, \"verdict\": \"%s\"}\n", verdicts[verdict_of(d)].word);
}

static bool diagnosis_write(const Diagnosis *d, const char *to, SviError *e) {
  SviArray a[COLUMNS];
  for (int c = 0; c < COLUMNS; c++)
    a[c] = (SviArray){ .name = (char *)(uintptr_t)column_names[c], .type = SVI_F64, .rank = 1, .dim = { d->rows }, .bytes = d->at[c] };
  return svi_file_write(to, a, COLUMNS, e);
}

int command_diagnose(const SviModel *m, const Options *o) {
  Session   s;
  SviError  e;
  Diagnosis d = { .draws = (uint64_t)o->at[OPT_count].number };
  int entry = entry_find(m, "weight");
  if (entry < 0) {
    complain("there is nothing to diagnose: %s; needed is a guide that draws every latent of the model, each of them for every row",
             m->no_weight ? m->no_weight : "this model was compiled without weights");
    return EXIT_USAGE;
  }
  if (d.draws < PARETO_LEAST) { complain("--count %" PRIu64 ": a tail needs at least %d draws", d.draws, PARETO_LEAST); return EXIT_USAGE; }
  int code = session_open(&s, m, o, true, -1, 0);
  if (code != EXIT_OK) return code;
  uint64_t all = s.data.total[m->entry[entry].axis], batch = o->at[OPT_batch].given ? (uint64_t)o->at[OPT_batch].number : 500;
  d.rows = o->at[OPT_rows].given ? (uint64_t)o->at[OPT_rows].number : TAKEN_ROWS;
  if (d.rows > all) d.rows = all;
  for (int c = 0; c < COLUMNS; c++) d.at[c] = memory_new(d.rows, sizeof(double), "a diagnosis");
  d.sorted = memory_new(d.rows, sizeof(double), "a diagnosis");
  if (!diagnose_rows(&s, entry, batch < d.rows ? batch : d.rows, &d)) code = EXIT_NONFINITE;
  if (code == EXIT_OK && o->at[OPT_to].given && !diagnosis_write(&d, o->at[OPT_to].text, &e)) { complain("%s", e.text); code = EXIT_RUN; }
  if (code == EXIT_OK && o->at[OPT_json].given) diagnosis_json(&d);
  else if (code == EXIT_OK) diagnosis_print(&d);
  for (int c = 0; c < COLUMNS; c++) memory_free(d.at[c]);
  memory_free(d.sorted);
  session_close(&s);
  return code;
}
