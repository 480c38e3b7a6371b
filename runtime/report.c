/* eval and score: the model's reports on data.
 *
 * A report is an entry with one row output (its value for each row) or one scalar (a value for each batch).  Rows are taken
 * in order, in batches; mean and standard error are over the rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

typedef struct { const char *name; double mean, se; uint64_t n; } Result;

/* Running mean and sum of squares about it (Welford). */
typedef struct { uint64_t n; double mean, squares; } Moment;
static void moment_add(Moment *m, double x, uint64_t weight) {
  m->n += weight;
  double d = x - m->mean;
  m->mean += d * (double)weight / (double)m->n;
  m->squares += d * (x - m->mean) * (double)weight;
}

static bool report_wanted(const Options *o, const char *name) {
  const char *only = o->at[OPT_only].text;
  size_t n = strlen(name);
  if (!only) return true;
  for (const char *at = only; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
    if (strncmp(at, name, n) == 0 && (at[n] == 0 || at[n] == ',')) return true;
  return false;
}

/* Every name of --only must be a report. */
static bool reports_known(const SviModel *m, const Options *o) {
  if (m->nreport == 0) { complain("the model has no reports; declare some, as in `report nll = -elbo(p, q)`"); return false; }
  const char *names[256];
  size_t n = 0;
  for (int i = 0; i < m->nreport && n < LENGTH(names); i++) names[n++] = m->report[i].name;
  for (const char *at = o->at[OPT_only].text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ","), at);
    bool found = false;
    for (size_t i = 0; i < n; i++) found |= strcmp(names[i], name) == 0;
    if (found) continue;
    const char *near = text_nearest(name, names, n);
    if (near) complain("the model has no report `%s`; did you mean `%s`?", name, near);
    else complain("the model has no report `%s`; it has `%s`%s", name, names[0], n > 1 ? ", ..." : "");
    return false;
  }
  return true;
}

static bool report_per_row(const SviEntry *e) { return e->nout > 0 && e->axis >= 0 && (e->out[0].axes >> e->axis & 1); }

/* Is its value of a row as meant in any batch?  Not when it looks at the other rows. */
static bool report_apart(const SviEntry *e) { return report_per_row(e) && !e->whole; }

/* Rows of an evaluation: all, or the first --rows. */
static uint64_t rows_wanted(const Session *s, const Options *o, int axis) {
  uint64_t all = axis < 0 ? 1 : s->data.total[axis];
  const OptionValue *v = &o->at[OPT_rows];
  return v->given && v->number < (double)all ? (uint64_t)v->number : all;
}

static uint64_t batch_wanted(const Options *o) { return o->at[OPT_batch].given ? (uint64_t)o->at[OPT_batch].number : 500; }

/* Runs a report; values of its rows into `each` (one a row: the mean over a row's elements) when not NULL. */
static Result report_run(Session *s, const Options *o, const SviReport *report, double *each) {
  const SviModel *m = s->model;
  const SviEntry *e = &m->entry[report->entry];
  uint32_t width = m->real_bytes;
  uint64_t rows = rows_wanted(s, o, e->axis), k = o->at[OPT_k].given ? (uint64_t)o->at[OPT_k].number : 0;
  /* a value of all rows together needs all in one batch, unless the user wants less */
  uint64_t batch = report_apart(e) || o->at[OPT_batch].given || rows == 0 ? batch_wanted(o) : rows;
  Moment   mean = {0};
  Run     *run = run_new(m, report->entry, s->pool, &s->data, &s->state.params, batch, k);
  for (uint64_t first = 0; first < rows; first += batch) {
    uint64_t n = rows - first < batch ? rows - first : batch;
    run_entry(run, e->axis < 0 ? NULL : s->data.identity + first, n, s->seed, 0, s->option);
    if (!report_per_row(e)) {
      uint64_t count;
      const void *out = e->nout > 0 ? run_out(run, 0, &count) : NULL;
      moment_add(&mean, out ? real_get(width, out, 0) : run_scalar(run, 0), n);
      continue;
    }
    uint64_t count, inner;
    const void *out = run_out(run, 0, &count);
    inner = count / n * e->out[0].size;      /* further plates and dims of a row */
    for (uint64_t r = 0; r < n; r++) {
      double sum = 0;
      for (uint64_t i = 0; i < inner; i++) sum += real_get(width, out, r * inner + i);
      if (each) each[first + r] = sum / (double)inner;
      moment_add(&mean, sum / (double)inner, 1);
    }
  }
  run_free(run);
  double se = report_per_row(e) && mean.n > 1 ? sqrt(mean.squares / (double)(mean.n - 1) / (double)mean.n) : NAN;
  return (Result){ report->name, mean.mean, se, mean.n };
}

/* The same report of other parameters on the same rows with the same draws: mean and standard error of the differences. */
static Result difference(const double *a, const double *b, uint64_t n) {
  Moment d = {0};
  for (uint64_t i = 0; i < n; i++) moment_add(&d, a[i] - b[i], 1);
  return (Result){ NULL, d.mean, d.n > 1 ? sqrt(d.squares / (double)(d.n - 1) / (double)d.n) : NAN, d.n };
}

int command_eval(const SviModel *m, const Options *o) {
  Session s;
  if (!reports_known(m, o)) return EXIT_USAGE;
  int code = session_open(&s, m, o, true, -1, 0);
  if (code != EXIT_OK) return code;
  bool json = o->at[OPT_json].given, first = true;
  Session other;
  const char *against = o->at[OPT_against].text;
  if (against) {
    Options *o2 = memory_new(1, sizeof *o2, "options");
    *o2 = *o;
    o2->at[OPT_params].given = true, o2->at[OPT_params].text = against;
    code = session_open(&other, m, o2, true, -1, 0);
    memory_free(o2);
    if (code != EXIT_OK) { session_close(&s); return code; }
  }
  if (json) fputs("{", stdout);
  for (int i = 0; i < m->nreport; i++) {
    if (!report_wanted(o, m->report[i].name)) continue;
    const SviEntry *entry = &m->entry[m->report[i].entry];
    uint64_t rows = rows_wanted(&s, o, entry->axis);
    double *each = against && report_per_row(entry) ? memory_new(2 * rows, sizeof *each, "differences") : NULL;
    Result r = report_run(&s, o, &m->report[i], each), d = {0};
    if (each) {
      report_run(&other, o, &m->report[i], each + rows);
      d = difference(each, each + rows, rows);
      memory_free(each);
    }
    if (!isfinite(r.mean)) {
      note("warning: report `%s` is not finite", r.name);
      code = EXIT_NONFINITE;
    }
    if (json) {
      if (!first) fputs(", ", stdout);
      json_text(stdout, r.name);
      fputs(": {\"value\": ", stdout);
      json_number(stdout, r.mean);
      fputs(", \"se\": ", stdout);
      json_number(stdout, r.se);
      fprintf(stdout, ", \"n\": %llu", (unsigned long long)r.n);
      if (each) {
        fputs(", \"minus\": {\"value\": ", stdout);
        json_number(stdout, d.mean);
        fputs(", \"se\": ", stdout);
        json_number(stdout, d.se);
        fputs("}", stdout);
      }
      fputs("}", stdout);
    } else {
      printf("%-16s %.6g", r.name, r.mean);
      if (!isnan(r.se)) printf(" +- %.2g", r.se);
      printf("  (%llu rows)", (unsigned long long)r.n);
      if (each) printf("   minus %s: %.4g +- %.2g", against, d.mean, d.se);
      putchar('\n');
    }
    first = false;
  }
  if (json) fputs("}\n", stdout);
  if (against) session_close(&other);
  session_close(&s);
  return code;
}

int command_score(const SviModel *m, const Options *o) {
  Session  s;
  SviError e;
  if (!reports_known(m, o)) return EXIT_USAGE;
  int code = session_open(&s, m, o, true, -1, 0);
  if (code != EXIT_OK) return code;
  SviArray *a = memory_new((size_t)m->nreport, sizeof *a, "scores");
  size_t    n = 0;
  for (int i = 0; i < m->nreport; i++) {
    const SviEntry *entry = &m->entry[m->report[i].entry];
    if (!report_wanted(o, m->report[i].name)) continue;
    if (!report_per_row(entry)) { note("note: report `%s` has no value for each row", m->report[i].name); continue; }
    uint64_t rows = rows_wanted(&s, o, entry->axis);
    double  *each = memory_new(rows, sizeof *each, "scores");
    report_run(&s, o, &m->report[i], each);
    a[n++] = (SviArray){ .name = (char *)(uintptr_t)m->report[i].name, .type = SVI_F64, .rank = 1, .dim = { rows }, .bytes = each };
  }
  const char *to = o->at[OPT_to].text;
  if (n == 0) { complain("there is nothing to score: no report has a value for each row"); code = EXIT_RUN; }
  else if (!to) {
    for (size_t i = 0; i < n; i++) printf("%s%s", i ? "," : "", a[i].name);
    putchar('\n');
    for (uint64_t r = 0; r < a[0].dim[0]; r++)
      for (size_t i = 0; i < n; i++) printf("%.9g%c", r < a[i].dim[0] ? ((const double *)a[i].bytes)[r] : NAN, i + 1 < n ? ',' : '\n');
  } else if (!svi_file_write(to, a, n, &e)) {
    complain("%s", e.text);
    code = EXIT_RUN;
  }
  for (size_t i = 0; i < n; i++) memory_free((void *)(uintptr_t)a[i].bytes);
  memory_free(a);
  session_close(&s);
  return code;
}
