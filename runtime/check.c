/* check-data, grad-check, info: looking before running. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

static int fail(int code, const SviError *e) { complain("%s", e->text); return code; }

int command_check_data(const SviModel *m, const Options *o) {
  Data     d;
  SviError e;
  const OptionValue *v = &o->at[OPT_data];
  if (!data_open(&d, m, v->many, v->n, (BindHow){ .strict = o->at[OPT_strict].given, .quiet = notes_off }, &e)) return fail(EXIT_DATA, &e);
  Pool *pool = pool_new(pool_threads_wanted(o));
  int code = data_sized(&d, &e) && data_check(&d, pool, &e) ? EXIT_OK : fail(EXIT_DATA, &e);
  if (code == EXIT_OK) printf("%-16s %-14s %-22s %12s %12s %12s\n", "column", "declared", "in the file", "least", "mean", "most");
  for (int c = 0; c < m->ncolumn && code == EXIT_OK; c++) {
    const SviArray *a = d.column[c];
    uint64_t n = svi_array_count(a);
    double   lo = INFINITY, hi = -INFINITY, sum = 0;
    char     shape[100];
    for (uint64_t i = 0; i < n; i++) {
      double x = svi_array_get(a, i);
      sum += x;
      if (x < lo) lo = x;
      if (x > hi) hi = x;
    }
    printf("%-16s %-14s %-22s %12.6g %12.6g %12.6g\n", m->column[c].name, m->column[c].type, svi_array_describe(a, shape, sizeof shape), lo, sum / (double)n, hi);
  }
  for (int a = 0; a < m->naxis && code == EXIT_OK; a++)
    if (m->axis[a].kind == 0 && axis_own(m, a) == a) printf("plate %s: %" PRIu64 " rows\n", m->axis[a].name, d.total[a]);
  pool_free(pool);
  data_close(&d);
  return code;
}

/* ---- gradients */
typedef struct {
  const SviModel *model; const SviStep *step; Run *run; State state; const uint32_t *rows; uint64_t n; double *option; uint64_t seed;
} GradCheck;

static double objective_at(GradCheck *g) {
  run_entry(g->run, g->rows, g->n, g->seed, 1, g->option);
  return run_scalar(g->run, 0);
}

/* Central differences: two sizes of step, so that rounding and curvature can be told from a wrong gradient. */
static int grad_check_param(GradCheck *g, int param, int points) {
  const SviParam *p = &g->model->param[param];
  uint32_t width = g->model->real_bytes;
  uint64_t count, random = hash_mix(g->seed + (uint64_t)param);
  void    *at = params_at(&g->state.params, param, &count);
  double   sign = g->step->maximize ? -1 : 1;
  int      wrong = 0;
  if (p->axis >= 0 && g->n * p->size < count) count = g->n * p->size;      /* rows of the batch are the first ones */
  for (int i = 0; i < points && (uint64_t)i < count; i++) {
    uint64_t element = count <= (uint64_t)points ? (uint64_t)i : (random = hash_mix(random)) % count;
    double   old = real_get(width, at, element), value[2], best = INFINITY, shown = NAN, noise = NAN;
    double   middle = objective_at(g), exact = run_gradient(g->run, param, element);
    double   epsilon = width == 8 ? 2e-16 : 6e-8;
    for (int k = 0; k < 3; k++) {
      double step = (width == 8 ? 1e-4 : 3e-3) * (k == 0 ? 1 : k == 1 ? 8 : 0.125) * (1 + fabs(old)), moved[2];
      for (int side = 0; side < 2; side++) {
        real_set(width, at, element, old + (side ? step : -step));
        moved[side] = real_get(width, at, element);
        value[side] = objective_at(g);
      }
      real_set(width, at, element, old);
      double estimate = sign * (value[1] - value[0]) / (moved[1] - moved[0]);
      if (fabs(estimate - exact) < best) { best = fabs(estimate - exact); shown = estimate; noise = 30 * epsilon * (fabs(middle) + 1) / step; }
    }
    bool fits = best <= noise + (width == 8 ? 1e-5 : 2e-2) * (fabs(exact) + fabs(shown));
    printf("%-32s %10" PRIu64 " %14.6g %14.6g %10.2g %s\n", p->name, element, exact, shown, best, fits ? "" : "  <- differs");
    wrong += !fits;
  }
  return wrong;
}

int command_grad_check(const SviModel *m, const Options *o) {
  Session s;
  int wrong = 0, points = o->at[OPT_points].given ? (int)o->at[OPT_points].number : 5, code = session_first(&s, m, o);
  if (code != EXIT_OK) return code;
  printf("%-32s %10s %14s %14s %10s\n", "parameter", "element", "gradient", "differences", "apart");
  for (int k = 0; k < m->train.nstep; k++) {
    const SviStep *step = &m->train.step[k];
    int axis = m->entry[step->entry].axis;
    uint64_t rows = axis < 0 ? 1 : s.data.total[axis], want = o->at[OPT_rows].given ? (uint64_t)o->at[OPT_rows].number : 20;
    GradCheck g = { .model = m, .step = step, .state = s.state, .rows = axis < 0 ? NULL : s.data.identity, .n = rows < want ? rows : want, .option = s.option, .seed = s.seed };
    g.run = run_new(m, step->entry, s.pool, &s.data, &s.state.params, g.n, o->at[OPT_k].given ? (uint64_t)o->at[OPT_k].number : 0);
    if (m->train.nstep > 1) printf("step %s\n", step->name);
    for (int i = 0; i < step->nparam; i++) if (!m->param[step->param[i]].state) wrong += grad_check_param(&g, step->param[i], points);
    run_free(g.run);
  }
  session_close(&s);
  if (wrong == 0) return EXIT_OK;
  note("%d gradients differ from the differences of the objective at the same draws. Expected for sites with a score-function or another "
       "surrogate gradient (see info), which only agree on average (see gradients)", wrong);
  return EXIT_RUN;
}

/* ---- info */
static void shape_text(const SviParam *p, const SviModel *m, char text[128]) {
  size_t at = (size_t)snprintf(text, 128, "[");
  for (int i = 0; i < p->rank && at < 100; i++) at += (size_t)snprintf(text + at, 128 - at, "%s%u", i ? ", " : "", p->dim[i]);
  snprintf(text + at, 128 - at, "]%s%s", p->axis >= 0 ? " for each " : "", p->axis >= 0 ? m->axis[p->axis].name : "");
}

static int info_params(const SviModel *m, const Options *o) {
  SviError   e;
  Checkpoint c;
  Data       d;
  State      s = {0};
  if (!checkpoint_open(&c, m, o->at[OPT_params].text, &e)) return fail(EXIT_RUN, &e);
  data_empty(&d, m);
  checkpoint_rows(&c, m, &d);
  params_new(&s.params, m, d.total);
  bool ok = checkpoint_load(&c, &s, LOAD_WARM, &e);
  if (ok) printf("\n%s: step %" PRIu64 ", seed %" PRIu64 ", %s\nparameters %016" PRIx64 "\n", c.path, c.step, c.seed,
                 c.same_model ? "of this model" : "of another version of this model", params_hash(&s.params));
  params_free(&s.params);
  data_close(&d);
  checkpoint_close(&c);
  return ok ? EXIT_OK : fail(EXIT_RUN, &e);
}

static void info_json(const SviModel *m) {
  fputs("{\"model\": ", stdout);
  json_text(stdout, m->name);
  fputs(", \"hash\": ", stdout);
  json_text(stdout, m->hash ? m->hash : "");
  printf(", \"real_bytes\": %u, \"columns\": [", m->real_bytes);
  for (int i = 0; i < m->ncolumn; i++) {
    fputs(i ? ", {\"name\": " : "{\"name\": ", stdout);
    json_text(stdout, m->column[i].name);
    fputs(", \"type\": ", stdout);
    json_text(stdout, m->column[i].type);
    fputs(", \"plate\": ", stdout);
    if (m->column[i].axis < 0) fputs("null", stdout); else json_text(stdout, m->axis[m->column[i].axis].name);
    int outer = m->column[i].axis < 0 ? -1 : m->axis[m->column[i].axis].parent;
    if (outer >= 0) { fputs(", \"inside\": ", stdout); json_text(stdout, m->axis[outer].name); }
    printf(", \"size\": %" PRIu64, m->column[i].size);
    if (m->column[i].points > 0) { fputs(", \"points\": ", stdout); json_text(stdout, m->axis[m->column[i].points - 1].name); }
    fputc('}', stdout);
  }
  fputs("], \"parameters\": [", stdout);
  for (int i = 0; i < m->nparam; i++) {
    fputs(i ? ", {\"name\": " : "{\"name\": ", stdout);
    json_text(stdout, m->param[i].name);
    printf(", \"size\": %" PRIu64 ", \"state\": %s, \"support\": ", m->param[i].size, m->param[i].state ? "true" : "false");
    json_text(stdout, m->param[i].support ? m->param[i].support : "");
    fputs(", \"plate\": ", stdout);
    if (m->param[i].axis < 0) fputs("null}", stdout); else { json_text(stdout, m->axis[m->param[i].axis].name); fputc('}', stdout); }
  }
  printf("], \"whole_batch\": %s, \"steps\": [", m->train.batch == 0 || m->train.optimizer.kind == SVI_LBFGS ? "true" : "false");
  for (int i = 0; i < m->train.nstep; i++) { if (i) fputs(", ", stdout); json_text(stdout, m->train.step[i].name); }
  fputs("], \"reports\": [", stdout);
  for (int i = 0; i < m->nreport; i++) { if (i) fputs(", ", stdout); json_text(stdout, m->report[i].name); }
  fputs("]}\n", stdout);
}

int command_info(const SviModel *m, const Options *o) {
  if (o->at[OPT_json].given) { info_json(m); return EXIT_OK; }
  printf("%s (%s), compiled by svic %s, f%u, hash %s\n", m->name, m->path ? m->path : "", m->version ? m->version : "", m->real_bytes * 8, m->hash ? m->hash : "");
  if (m->info && m->info[0]) printf("\n%s\n", m->info);
  uint64_t all = 0;
  puts("\nparameters, as they are stored (without constraints)");
  for (int i = 0; i < m->nparam; i++) {
    char shape[128];
    shape_text(&m->param[i], m, shape);
    printf("  %-32s %-20s %-18s %s\n", m->param[i].name, shape, m->param[i].support ? m->param[i].support : "", m->param[i].state ? "state" : "");
    if (m->param[i].axis < 0) all += m->param[i].size;
  }
  printf("  %" PRIu64 " values that exist once\n\nentries\n", all);
  for (int i = 0; i < m->nentry; i++) {
    const SviEntry *e = &m->entry[i];
    printf("  %-24s %d phase%s, about %.3g operations a row%s%s\n", e->name, e->nphase, e->nphase == 1 ? "" : "s", e->flops_row,
           e->axis >= 0 ? ", for each " : "", e->axis >= 0 ? m->axis[e->axis].name : "");
  }
  return o->at[OPT_params].given ? info_params(m, o) : EXIT_OK;
}
