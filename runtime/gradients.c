/* gradients: a step's gradient, averaged over many draws.
 *
 * In:  a step, parameters, rows.  Out: for each parameter the mean of its gradient's elements, their standard errors, and the
 * signal-to-noise ratio of one estimate.
 *
 * Estimators may be compared by their means, which must agree, and by their noise, which is why one prefers one to the other.
 *
 * note [signal to noise]  Of many elements together: the root mean square of the means over that of the standard deviations.
 * The square of a mean of n draws is too large by a standard deviation's square over n; that is taken off.  Elements count by
 * their size, so that those without any gradient do not matter.  A parameter's path is `program.net.name`, and what
 * several parameters begin with has a line of its own. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

/* Mean and sum of squares about it (Welford), then standard error, of each element of a parameter's gradient; param < 0: of the objective. */
typedef struct { int param; uint64_t count, rows; double *mean, *squares; char *name; } GradMoments;
typedef struct { const SviStep *step; GradMoments *at; size_t n; } StepGradients;      /* at[0] is the objective's */

static void moments_take(GradMoments *g, const Run *r, uint64_t draw, double sign) {
  for (uint64_t i = 0; i < g->count; i++) {
    double x = g->param < 0 ? run_scalar(r, 0) : sign * run_gradient(r, g->param, i), d = x - g->mean[i];
    g->mean[i]    += d / (double)draw;
    g->squares[i] += d * (x - g->mean[i]);
  }
}

static StepGradients step_gradients(Session *s, const SviStep *step, uint64_t first, uint64_t rows, uint64_t draws, uint64_t k) {
  const SviModel *m = s->model;
  const SviEntry *e = &m->entry[step->entry];
  StepGradients out = { step, memory_new((size_t)step->nparam + 1, sizeof *out.at, "gradients"), (size_t)step->nparam + 1 };
  GradMoments *g = out.at;
  uint64_t total = e->axis < 0 ? 1 : s->data.total[e->axis], n = rows && rows < total ? rows : total;
  if (first + n > total) first = total - n;
  Run *run = run_new(m, step->entry, s->pool, &s->data, &s->state.params, n, k);
  for (int i = 0; i <= step->nparam; i++) {
    const SviParam *p = i ? &m->param[step->param[i - 1]] : NULL;
    g[i].param = i ? step->param[i - 1] : -1;
    for (int j = 0; p && p->axis >= 0 && j < e->ngrad; j++) if (e->grad[j].param == g[i].param) run_out(run, (int)e->grad[j].offset, &g[i].rows);
    g[i].count = !p ? 1 : p->size * (g[i].rows ? g[i].rows : 1);
    g[i].name  = text_new("%s%s%s", m->train.nstep > 1 ? step->name : "", m->train.nstep > 1 ? ":" : "", p ? p->name : "objective");
    g[i].mean    = memory_new(g[i].count, sizeof(double), "gradients");
    g[i].squares = memory_new(g[i].count, sizeof(double), "gradients");
  }
  for (uint64_t d = 1; d <= draws; d++) {
    run_entry(run, e->axis < 0 ? NULL : s->data.identity + first, n, s->seed, d, s->option);
    for (int i = 0; i <= step->nparam; i++) moments_take(&g[i], run, d, step->maximize ? -1 : 1);      /* generated: of what is minimised */
  }
  for (int i = 0; i <= step->nparam; i++)
    for (uint64_t j = 0; j < g[i].count; j++) g[i].squares[j] = draws > 1 ? sqrt(g[i].squares[j] / (double)(draws - 1) / (double)draws) : NAN;
  run_free(run);
  return out;
}

/* ---- signal and noise */
typedef struct { uint64_t elements; double mean, se; } Norms;      /* sums of squares */
static void norms_add(Norms *to, const GradMoments *g) {
  to->elements += g->count;
  for (uint64_t j = 0; j < g->count; j++) to->mean += g->mean[j] * g->mean[j], to->se += g->squares[j] * g->squares[j];
}

/* See note [signal to noise]; infinite where nothing is random, NaN where nothing is anything. */
static double norms_ratio(Norms n, uint64_t draws) {
  double signal = n.mean - n.se;
  return signal > 0 ? sqrt(signal / (n.se * (double)draws)) : isnan(signal) || n.mean == 0 ? NAN : 0;
}

/* How many bytes of a name lie before its part-th point; 0: it has none. */
static size_t path_part(const char *name, int part) {
  const char *at = name;
  for (int i = 0; i <= part; i++) {
    at = strchr(at + (i > 0), '.');
    if (!at) return 0;
  }
  return (size_t)(at - name);
}
static bool begins_with(const char *name, const char *with, size_t n) { return strncmp(name, with, n) == 0 && name[n] == '.'; }

/* Calls `tell` for each parameter, and before them for what several of their paths begin with. */
typedef void Tell(const char *name, size_t length, int depth, Norms norms, uint64_t draws);
static void gradients_tell(const SviModel *m, StepGradients g, uint64_t draws, Tell *tell) {
  for (size_t i = 1; i < g.n; i++) {
    const char *name = m->param[g.at[i].param].name, *before = i > 1 ? m->param[g.at[i - 1].param].name : "";
    int depth = 0;
    size_t n;
    for (int part = 0; (n = path_part(name, part)) > 0; part++) {
      if (begins_with(before, name, n)) { depth++; continue; }
      Norms all = {0};
      size_t end = i, longer = path_part(name, part + 1);
      for (; end < g.n && begins_with(m->param[g.at[end].param].name, name, n); end++) norms_add(&all, &g.at[end]);
      bool same = longer > 0 && begins_with(m->param[g.at[end - 1].param].name, name, longer);      /* all begin with more */
      if (end > i + 1 && !same) tell(name, n, depth++, all, draws);
    }
    Norms own = {0};
    norms_add(&own, &g.at[i]);
    tell(name, strlen(name), depth, own, draws);
  }
}

static void tell_line(const char *name, size_t length, int depth, Norms n, uint64_t draws) {
  printf("%*s%-*.*s %10" PRIu64 " %14.6g %14.6g %10.3g\n", 2 * depth, "", 40 - 2 * depth, (int)length, name, n.elements, sqrt(n.mean), sqrt(n.se), norms_ratio(n, draws));
}

static void tell_json(const char *name, size_t length, int depth, Norms n, uint64_t draws) {
  char *text = text_new("%.*s", (int)length, name);
  (void)depth;
  fputs(", ", stdout);
  json_text(stdout, text);
  printf(": {\"elements\": %" PRIu64 ", \"norm\": ", n.elements);
  json_number(stdout, sqrt(n.mean));
  fputs(", \"norm_se\": ", stdout);
  json_number(stdout, sqrt(n.se));
  fputs(", \"signal_to_noise\": ", stdout);
  json_number(stdout, norms_ratio(n, draws));
  fputs("}", stdout);
  free(text);
}

static void gradients_print(const SviModel *m, StepGradients g, uint64_t draws) {
  printf("%-40s %10s %14s %14s %10s\n", "gradient of", "elements", "norm of mean", "norm of se", "signal/sd");
  printf("%-40s %10s %14.6g %14.6g\n", g.at[0].name, "(value)", g.at[0].mean[0], g.at[0].squares[0]);
  gradients_tell(m, g, draws, tell_line);
}

static void gradients_json(const SviModel *m, StepGradients g, uint64_t draws) {
  json_text(stdout, g.step->name);
  fputs(": {\"objective\": {\"value\": ", stdout);
  json_number(stdout, g.at[0].mean[0]);
  fputs(", \"se\": ", stdout);
  json_number(stdout, g.at[0].squares[0]);
  fputs("}", stdout);
  gradients_tell(m, g, draws, tell_json);
  fputs("}", stdout);
}

/* Means, standard errors and signal-to-noise ratios as arrays NAME, NAME.se and NAME.snr. */
static bool gradients_write(const SviModel *m, const StepGradients *g, uint64_t draws, const char *to, SviError *e) {
  size_t n = 0, at = 0;
  for (int i = 0; i < m->train.nstep; i++) n += 3 * g[i].n;
  SviArray *a = memory_new(n, sizeof *a, "gradients");
  double   *ratio = memory_new(n, sizeof *ratio, "gradients");
  for (int i = 0; i < m->train.nstep; i++)
    for (size_t k = 0; k < g[i].n; k++) {
      const GradMoments *from = &g[i].at[k];
      const SviParam    *p = from->param < 0 ? NULL : &m->param[from->param];
      Norms norms = {0};
      norms_add(&norms, from);
      SviArray each = { .type = SVI_F64 };
      if (from->rows) each.dim[each.rank++] = from->rows;
      for (int d = 0; p && d < p->rank; d++) each.dim[each.rank++] = p->dim[d];
      a[at] = each;
      a[at].name = text_new("%s", from->name), a[at++].bytes = from->mean;
      a[at] = each;
      a[at].name = text_new("%s.se", from->name), a[at++].bytes = from->squares;
      if (!p) continue;
      ratio[at] = norms_ratio(norms, draws);
      a[at] = (SviArray){ .name = text_new("%s.snr", from->name), .type = SVI_F64, .bytes = &ratio[at] };
      at++;
    }
  bool ok = svi_file_write(to, a, at, e);
  for (size_t i = 0; i < at; i++) free(a[i].name);
  memory_free(a);
  memory_free(ratio);
  return ok;
}

int command_gradients(const SviModel *m, const Options *o) {
  Session  s;
  SviError e;
  if (m->train.nstep == 0) { complain("the model has nothing to train, so there are no gradients: it has no `maximize`, `minimize` or `train`"); return EXIT_USAGE; }
  int code = session_first(&s, m, o);
  if (code != EXIT_OK) return code;
  uint64_t rows = o->at[OPT_rows].given ? (uint64_t)o->at[OPT_rows].number : 0, k = o->at[OPT_k].given ? (uint64_t)o->at[OPT_k].number : 0;
  uint64_t draws = (uint64_t)o->at[OPT_count].number;
  bool json = o->at[OPT_json].given;
  StepGradients *g = memory_new((size_t)m->train.nstep, sizeof *g, "gradients");
  if (json) printf("{\"count\": %" PRIu64 ", \"steps\": {", draws);
  for (int i = 0; i < m->train.nstep; i++) {
    g[i] = step_gradients(&s, &m->train.step[i], o->at[OPT_first].given ? (uint64_t)o->at[OPT_first].number : 0, rows, draws, k);
    if (json) {
      if (i) fputs(", ", stdout);
      gradients_json(m, g[i], draws);
    } else if (!o->at[OPT_to].given) gradients_print(m, g[i], draws);
  }
  if (json) fputs("}}\n", stdout);
  if (o->at[OPT_to].given && !gradients_write(m, g, draws, o->at[OPT_to].text, &e)) { complain("%s", e.text); code = EXIT_RUN; }
  for (int i = 0; i < m->train.nstep; i++) {
    for (size_t j = 0; j < g[i].n; j++) { memory_free(g[i].at[j].mean); memory_free(g[i].at[j].squares); free(g[i].at[j].name); }
    memory_free(g[i].at);
  }
  memory_free(g);
  session_close(&s);
  return code;
}
