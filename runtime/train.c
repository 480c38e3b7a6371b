/* Training: steps over batches until the end, a signal, or a number that is not finite.
 *
 * In:  the model, data, options.  Out: a run directory with checkpoints and metrics; progress on stderr.
 *
 * Step i (from 0) is a pure function of the State before it and of (seed, i): its batch, its draws (keyed by i + 1) and its
 * schedules know nothing else.  So a resumed run gives bit for bit what an unbroken one gives. */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "trainer.h"

typedef struct { Run *run, *valid; Optim *optim; Lbfgs *lbfgs; double sum; } StepRun;        /* optim or lbfgs */
typedef struct {
  const SviModel *model;
  const Options  *o;
  Pool    *pool;
  Data     data, valid;
  bool     has_valid, writes;           /* writes: checkpoints and metrics */
  State    state;
  Batches  batches[SVI_AXES];
  StepRun *step;
  int      main;                        /* the step whose objective is shown and kept the best of: the last */
  uint64_t steps, epoch_steps, batch_rows;
  double  *option;                      /* of the step that runs */
  double   lr, norm, epoch;             /* norm: of the gradient, L-BFGS only */
  /* since the last line */
  uint64_t count, rows; double since;
  uint64_t next_step, next_epoch;
  double   start, last_save, last_valid;
  uint64_t last_save_step;
  bool     save_failed;
  Progress progress;
  RunDir   dir;
} Train;

static volatile sig_atomic_t interrupted, terminated;
static void on_interrupt(int signal) {
  (void)signal;
  if (interrupted) _exit(EXIT_INTERRUPT);
  interrupted = 1;
}
static void on_terminate(int signal) { (void)signal; terminated = 1; }

static void signals_catch(void) {
  struct sigaction a = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };
  interrupted = terminated = 0;
  sigaction(SIGINT, &a, NULL);
  a.sa_handler = on_terminate;
  sigaction(SIGTERM, &a, NULL);
}

/* ---- saving */
static bool saves(const Train *t) { return t->writes; }

static bool train_save(Train *t, const char *name) {
  if (!saves(t)) return true;
  char path[4096];
  SviError e;
  path_join(path, sizeof path, t->dir.folder, name);
  bool ok = checkpoint_save(&t->state, path, &e);
  progress_end(&t->progress);
  if (!ok) complain("%s", e.text);
  t->save_failed = !ok;
  return ok;
}

static bool save_is_due(const Train *t) {
  const OptionValue *v = &t->o->at[OPT_save_every];
  double every = v->given ? v->number : 60;
  switch (v->given ? v->unit : 's') {
  case 's': return time_now() - t->last_save >= every;
  case 'e': every *= (double)t->epoch_steps; break;
  }
  return (double)(t->state.step - t->last_save_step) >= every;
}

static void save_last(Train *t) {
  train_save(t, "last.safetensors");
  t->last_save = time_now();
  t->last_save_step = t->state.step;
}

/* ---- one step */
static int train_nonfinite(Train *t, const StepRun *s, const char *what) {
  char path[4096], name[64];
  uint64_t at = t->state.step + 1;
  SviError e;
  progress_end(&t->progress);
  complain("%s is not finite in step %" PRIu64 " (%s)", what, at, run_of(s->run)->name);
  replay_explain(s->run, t->state.seed, s->lbfgs ? LBFGS_DRAWS : at, stderr);
  if (!saves(t)) return EXIT_NONFINITE;
  snprintf(name, sizeof name, "nan-%" PRIu64 ".safetensors", at);
  path_join(path, sizeof path, t->dir.folder, name);
  if (replay_save(s->run, &t->state, at, path, &e)) fprintf(stderr, "  the parameters and rows of that step are in %s\n", path);
  else complain("%s", e.text);
  return EXIT_NONFINITE;
}

static void train_update_states(Train *t, const StepRun *s) {
  const SviEntry *e = run_of(s->run);
  uint32_t bytes = t->model->real_bytes;
  for (int i = 0; i < e->nupdate; i++) {
    const SviParam *p = &t->model->param[e->update[i].param];
    const char *from = (const char *)run_call(s->run)->global + e->update[i].global * bytes;
    memcpy((char *)t->state.params.value + p->offset * bytes, from, p->size * bytes);
    if (t->state.moments.averaging) memcpy((char *)t->state.moments.average.value + p->offset * bytes, from, p->size * bytes);
  }
}

/* One step of L-BFGS, on all rows in order. */
static int train_lbfgs(Train *t, StepRun *s) {
  int axis = run_of(s->run)->axis;
  LbfgsStep step;
  LbfgsEnd  end = lbfgs_step(s->lbfgs, s->run, axis < 0 ? NULL : t->data.identity, axis < 0 ? 0 : t->data.total[axis], t->state.seed, t->option,
                             t->model->train.nstep == 1, &step);
  if (end == LBFGS_BAD_OBJECTIVE) return train_nonfinite(t, s, "the objective");
  if (end == LBFGS_BAD_GRADIENT)  return train_nonfinite(t, s, "a gradient");
  if (end == LBFGS_MOVED) train_update_states(t, s);
  t->lr = step.far;
  t->norm = step.norm;
  s->sum += step.objective;
  if (s == &t->step[t->main]) t->rows += axis < 0 ? 0 : t->data.total[axis];
  return EXIT_OK;
}

/* No step has gained anything twice in a row, and no option will change any more. */
static bool train_converged(const Train *t) {
  const SviModel *m = t->model;
  if (m->train.optimizer.kind != SVI_LBFGS) return false;
  for (int k = 0; k < t->state.moments.nlbfgs; k++) if (t->state.moments.lbfgs[k].small < 2) return false;
  double i = (double)t->state.step - 1;      /* the options of the last step */
  for (int k = 0; k < m->noption; k++) if (!t->state.set[k] && !schedule_rests(&m->option[k].schedule, i, i / (double)t->epoch_steps)) return false;
  return true;
}

static int train_step(Train *t) {
  const SviModel *m = t->model;
  uint64_t i = t->state.step;
  t->epoch = (double)i / (double)t->epoch_steps;
  options_at(m, t->state.option, t->state.set, (double)i, t->epoch, t->option);
  t->lr = isnan(t->state.lr) ? schedule_at(&m->train.optimizer.lr, (double)i, t->epoch) : t->state.lr;
  for (int k = 0; k < m->train.nstep; k++) {
    StepRun *s = &t->step[k];
    if (s->lbfgs) {
      int code = train_lbfgs(t, s);
      if (code != EXIT_OK) return code;
      continue;
    }
    const uint32_t *rows = NULL;
    int axis = run_of(s->run)->axis;
    uint64_t n = axis < 0 ? 0 : batches_at(&t->batches[axis], i, &rows);
    run_entry(s->run, rows, n, t->state.seed, i + 1, t->option);
    double objective = run_scalar(s->run, 0);
    if (!isfinite(objective)) return train_nonfinite(t, s, "the objective");
    OptimStep step = { .lr = t->lr, .t = i + 1 };
    optim_step(s->optim, s->run, &step);
    if (!step.finite) {
      optim_undo(s->optim, s->run, &step);
      return train_nonfinite(t, s, "a gradient");
    }
    train_update_states(t, s);
    s->sum += objective;
    if (k == t->main) t->rows += n;
  }
  t->state.step++;
  t->count++;
  return EXIT_OK;
}

/* ---- telling */
/* The objective of the main step on the held-out data, with the same draws every time. */
static double train_validate(Train *t) {
  StepRun *s = &t->step[t->main];
  int axis = run_of(s->valid)->axis;
  if (axis < 0) {
    run_entry(s->valid, NULL, 0, t->state.seed, 0, t->option);
    return run_scalar(s->valid, 0);
  }
  double   sum = 0;
  uint64_t all = t->valid.total[axis];
  for (uint64_t first = 0; first < all; first += t->state.batch) {
    uint64_t n = all - first < t->state.batch ? all - first : t->state.batch;
    run_entry(s->valid, t->valid.identity + first, n, t->state.seed, 0, t->option);
    sum += run_scalar(s->valid, 0) * (double)n;
  }
  return sum / (double)all;
}

static void train_metrics(Train *t, const ProgressLine *l, bool validated) {
  const SviModel *m = t->model;
  char  *text = NULL;
  size_t size = 0;
  FILE  *f = open_memstream(&text, &size);
  if (!f) return;
  fprintf(f, "{\"v\": 1, \"step\": %" PRIu64 ", \"epoch\": ", l->step);
  json_number(f, (double)l->step / (double)t->epoch_steps);
  fprintf(f, ", \"time\": %.3f, \"objective\": ", time_now() - t->start);
  json_number(f, l->objective);
  if (m->train.nstep > 1) {
    fputs(", \"objectives\": {", f);
    for (int k = 0; k < m->train.nstep; k++) {
      if (k) fputs(", ", f);
      json_text(f, m->train.step[k].name);
      fputs(": ", f);
      json_number(f, t->step[k].sum / (double)t->count);
    }
    fputc('}', f);
  }
  fputs(", \"lr\": ", f);
  json_number(f, l->lr);
  fputs(", \"options\": {", f);
  for (int i = 0; i < m->noption; i++) {
    if (i) fputs(", ", f);
    json_text(f, m->option[i].name);
    fputs(": ", f);
    json_number(f, t->option[i]);
  }
  fprintf(f, "}, \"rows_per_s\": %.1f", l->rate);
  if (validated) { fputs(", \"valid\": ", f); json_number(f, l->valid); }
  fputc('}', f);
  if (fclose(f) == 0) rundir_line(&t->dir, text);
  free(text);
}

static ProgressLine train_line(const Train *t) {
  double spent = time_now() - t->since;
  return (ProgressLine){ .step = t->state.step, .objective = t->count ? t->step[t->main].sum / (double)t->count : NAN, .lr = t->lr,
                         .rate = spent > 0 ? (double)(t->rows ? t->rows : t->count) / spent : 0, .valid = t->last_valid, .has_valid = !isnan(t->last_valid) };
}

/* After a step: measures, tells, saves what is due. */
static void train_report(Train *t) {
  bool epoch_ends = t->state.step % t->epoch_steps == 0, last = t->state.step == t->steps;
  bool validates = t->has_valid && (epoch_ends || last);
  if (validates) {
    double rate_before = time_now();
    t->last_valid = train_validate(t);
    t->since += time_now() - rate_before;      /* the rate is of training */
    bool maximize = t->model->train.step[t->main].maximize;
    double sign = maximize ? 1 : -1;
    if (isfinite(t->last_valid) && (isnan(t->state.best) || sign * t->last_valid > sign * t->state.best)) {
      t->state.best = t->last_valid;
      t->state.best_step = t->state.step;
      train_save(t, "best.safetensors");
    }
  }
  ProgressLine l = train_line(t);
  uint64_t epoch = t->state.step / t->epoch_steps;
  bool tells = last, writes = last || validates || (epoch_ends && t->epoch_steps >= 10);
  if (t->state.step >= t->next_step) { t->next_step = 2 * t->state.step; tells = writes = true; }
  if (epoch_ends && epoch >= t->next_epoch) { t->next_epoch = epoch + (epoch < 50 ? 1 : epoch / 50); tells = writes = true; }
  if (tells) progress_line(&t->progress, &l); else progress_draw(&t->progress, &l);
  if (writes) {
    train_metrics(t, &l, validates);
    for (int k = 0; k < t->model->train.nstep; k++) t->step[k].sum = 0;
    t->count = t->rows = 0;
    t->since = time_now();
  }
  if (!last && saves(t) && save_is_due(t)) save_last(t);
}

static int train_stop(Train *t, int code, const char *why) {
  progress_end(&t->progress);
  if (!saves(t)) { note("%s at step %" PRIu64 "; nothing was saved (--no-save)", why, t->state.step); return code; }
  if (train_save(t, "last.safetensors"))
    note("%s at step %" PRIu64 " of %" PRIu64 "; saved. To go on: the same command with --resume", why, t->state.step, t->steps);
  return code;
}

static void train_settle(Train *t) {
  progress_end(&t->progress);
  char norm[64] = "";
  if (!isnan(t->norm)) snprintf(norm, sizeof norm, "; the norm of the gradient is %.2g", t->norm);
  note("converged after step %" PRIu64 ": the last steps gained no more than the objective is rounded by%s", t->state.step, norm);
  t->steps = t->state.step;
  if (t->count) train_report(t);
}

static int train_loop(Train *t) {
  t->start = t->since = t->last_save = time_now();
  t->last_save_step = t->state.step;
  t->next_step  = t->state.step + 1;
  t->next_epoch = t->state.step / t->epoch_steps + 1;
  while (t->state.step < t->steps) {
    if (train_converged(t)) { train_settle(t); break; }
    int code = train_step(t);
    if (code != EXIT_OK) return code;
    train_report(t);
    if (interrupted) return train_stop(t, EXIT_INTERRUPT, "interrupted");
    if (terminated)  return train_stop(t, EXIT_TERMINATE, "terminated");
  }
  progress_end(&t->progress);
  if (!saves(t)) return EXIT_OK;
  if (!train_save(t, "last.safetensors")) return EXIT_RUN;
  note("saved %s/last.safetensors%s (%.1f s)", t->dir.folder, t->has_valid && !isnan(t->state.best) ? " and best.safetensors" : "", time_now() - t->start);
  return EXIT_OK;
}

/* ---- before the first step */
static int fail(int code, const SviError *e) { complain("%s", e->text); return code; }

static int train_data(Train *t) {
  const SviModel *m = t->model;
  const OptionValue *v = &t->o->at[OPT_data], *held = &t->o->at[OPT_valid];
  BindHow  how = { .strict = t->o->at[OPT_strict].given, .quiet = notes_off };
  SviError e;
  if (m->ncolumn > 0 && v->n == 0) {
    complain("the model reads data: give --data FILE (columns: `%s`%s)", m->column[0].name, m->ncolumn > 1 ? ", ..." : "");
    return EXIT_USAGE;
  }
  if (!data_open(&t->data, m, v->many, v->n, how, &e) || !data_sized(&t->data, &e) || !data_check(&t->data, t->pool, &e)) return fail(EXIT_DATA, &e);
  if (held->n == 0) return EXIT_OK;
  int axis = m->entry[m->train.step[t->main].entry].axis;
  for (int i = 0; i < m->nparam; i++)
    if (m->param[i].axis >= 0 && axis_root(m, m->param[i].axis) == axis) {
      complain("--valid cannot be used: parameter `%s` exists once for each %s, and held-out rows have none", m->param[i].name, m->axis[axis].name);
      return EXIT_USAGE;
    }
  if (!data_open(&t->valid, m, held->many, held->n, how, &e)) return fail(EXIT_DATA, &e);
  for (int a = 0; a < m->naxis; a++)        /* plates that only indices tell are those of the training data */
    if (m->axis[a].kind == 0 && t->valid.total[a] == 0) t->valid.total[a] = t->data.total[a];
  for (int i = 0; i < m->nparam; i++) {
    int a = m->param[i].axis;
    if (a >= 0 && t->valid.total[a] != t->data.total[a]) {
      complain("--valid has %" PRIu64 " rows of %s and --data %" PRIu64 ", but `%s` exists once for each", t->valid.total[a], m->axis[a].name, t->data.total[a], m->param[i].name);
      return EXIT_DATA;
    }
  }
  if (!data_sized(&t->valid, &e) || !data_check(&t->valid, t->pool, &e)) return fail(EXIT_DATA, &e);
  t->has_valid = true;
  return EXIT_OK;
}

/* `batch: all`: every row of the plates that steps are cut along. */
static uint64_t rows_of_batch(const Train *t) {
  uint64_t rows = 1;
  for (int k = 0; k < t->model->train.nstep; k++) {
    int axis = t->model->entry[t->model->train.step[k].entry].axis;
    if (axis >= 0 && t->data.total[axis] > rows) rows = t->data.total[axis];
  }
  return rows;
}

/* Settings: the flag, else the checkpoint's, else the model's, else the default. */
static void train_settings(Train *t, const Checkpoint *c) {
  const Options *o = t->o;
  State *s = &t->state;
  s->total = t->data.total;
  s->rows  = o->at[OPT_rows].given  ? (uint64_t)o->at[OPT_rows].number  : c ? c->rows  : 0;
  for (int k = 0; k < t->model->train.nstep && s->rows > 0; k++) data_first(&t->data, t->model->entry[t->model->train.step[k].entry].axis, s->rows);
  s->seed  = o->at[OPT_seed].given  ? (uint64_t)o->at[OPT_seed].number  : c ? c->seed  : 0;
  s->batch = o->at[OPT_batch].given ? (uint64_t)o->at[OPT_batch].number : c ? c->batch : t->model->train.batch > 0 ? (uint64_t)t->model->train.batch : rows_of_batch(t);
  if (t->model->train.optimizer.kind == SVI_LBFGS && !o->at[OPT_batch].given) s->batch = rows_of_batch(t);
  s->k     = o->at[OPT_k].given     ? (uint64_t)o->at[OPT_k].number     : c ? c->k     : 0;
  s->lr    = o->at[OPT_lr].given    ? o->at[OPT_lr].number              : c ? c->lr    : NAN;
  if (!c) return;
  if (s->seed != c->seed || s->rows != c->rows || s->batch != c->batch || s->k != c->k || (o->at[OPT_lr].given && s->lr != c->lr))
    note("note: settings differ from those of %s: it goes on from there, but not as an unbroken run would", c->path);
}

static int train_params(Train *t) {
  const Options  *o = t->o;
  const SviModel *m = t->model;
  State   *s = &t->state;
  SviError e;
  char     path[4096] = "";
  Checkpoint c;
  bool resume = o->at[OPT_resume].given;
  if (resume && o->at[OPT_params].given) { complain("--resume and --params exclude each other: one goes on, the other starts afresh from parameters"); return EXIT_USAGE; }
  if (resume && o->at[OPT_resume].text) snprintf(path, sizeof path, "%s", o->at[OPT_resume].text);
  else if (resume) path_join(path, sizeof path, o->at[OPT_out].given ? o->at[OPT_out].text : "run", "last.safetensors");
  else if (o->at[OPT_params].given) snprintf(path, sizeof path, "%s", o->at[OPT_params].text);
  if (path[0] && !checkpoint_open(&c, m, path, &e)) return fail(EXIT_RUN, &e);
  train_settings(t, resume ? &c : NULL);
  s->best = NAN;
  s->option = memory_new((size_t)m->noption, sizeof *s->option, "options");
  s->set    = memory_new((size_t)m->noption, sizeof *s->set,    "options");
  t->option = memory_new((size_t)m->noption, sizeof *t->option, "options");
  if (resume) checkpoint_set(&c, m, s->option, s->set);
  int code = EXIT_OK;
  if (!options_set(m, o, s->option, s->set, &e)) code = fail(EXIT_USAGE, &e);
  params_new(&s->params, m, t->data.total);
  if (code == EXIT_OK && !resume && !params_init(&s->params, &t->data, t->pool, s->seed, &e)) code = fail(EXIT_DATA, &e);
  if (code == EXIT_OK && path[0] && !resume && !checkpoint_load(&c, s, LOAD_WARM, &e)) code = fail(EXIT_RUN, &e);
  moments_new(&s->moments, m, &s->params);
  s->training = true;
  uint64_t seed = s->seed;
  if (code == EXIT_OK && resume && !checkpoint_load(&c, s, LOAD_RESUME, &e)) code = fail(EXIT_RUN, &e);
  s->seed = seed;
  if (path[0]) checkpoint_close(&c);
  return code;
}

/* L-BFGS compares values of the objective, and finds how far to go by itself. */
static bool lbfgs_allowed(const Train *t) {
  if (t->model->train.optimizer.kind != SVI_LBFGS) return true;
  if (t->o->at[OPT_lr].given) { complain("--lr means nothing to lbfgs: a line search finds how far each step goes"); return false; }
  uint64_t rows = rows_of_batch(t);
  if (t->state.batch >= rows) return true;
  complain("--batch %" PRIu64 ": lbfgs compares values of one objective, so every step needs all %" PRIu64 " rows; leave --batch out, or choose another optimiser for minibatches",
           t->state.batch, rows);
  return false;
}

static int train_plan(Train *t) {
  const SviModel *m = t->model;
  const Options  *o = t->o;
  const Params   *measured = t->state.moments.averaging ? &t->state.moments.average : &t->state.params;
  int epoch_axis = -1;
  for (int k = 0; k < m->train.nstep; k++) {
    const SviStep *s = &m->train.step[k];
    int axis = m->entry[s->entry].axis;
    if (axis >= 0 && (epoch_axis < 0 || k == t->main)) epoch_axis = axis;
    if (axis >= 0 && !t->batches[axis].order) batches_new(&t->batches[axis], t->state.seed, axis, t->data.total[axis], t->state.batch);
    t->step[k].run   = run_new(m, s->entry, t->pool, &t->data, &t->state.params, t->state.batch, t->state.k);
    if (t->state.moments.nlbfgs) t->step[k].lbfgs = lbfgs_new(m, s, &t->state.params, &t->state.moments.lbfgs[k]);
    else t->step[k].optim = optim_new(m, s, t->pool, &t->state.params, &t->state.moments);
    if (t->has_valid && k == t->main) t->step[k].valid = run_new(m, s->entry, t->pool, &t->valid, measured, t->state.batch, t->state.k);
  }
  t->epoch_steps = epoch_axis >= 0 ? t->batches[epoch_axis].count : 1;
  double epochs = o->at[OPT_epochs].given ? o->at[OPT_epochs].number : m->train.epochs > 0 ? m->train.epochs : 10;
  if (o->at[OPT_steps].given && o->at[OPT_epochs].given) { complain("--steps and --epochs exclude each other"); return EXIT_USAGE; }
  t->steps = o->at[OPT_steps].given ? (uint64_t)o->at[OPT_steps].number : (uint64_t)ceil(epochs * (double)t->epoch_steps - 1e-9);
  return EXIT_OK;
}

static uint64_t train_values(const Train *t) {
  uint64_t values = 0, n;
  for (int i = 0; i < t->model->nparam; i++) { params_at(&t->state.params, i, &n); values += n; }
  return values;
}

/* Memory of parameters, optimiser and buffers. */
static double train_bytes(const Train *t) {
  double bytes = (double)(train_values(t) * t->model->real_bytes * 3);
  for (int k = 0; k < t->model->train.nstep; k++) bytes += (double)run_bytes(t->step[k].run);
  return bytes;
}

static void train_banner(const Train *t) {
  const SviModel *m = t->model;
  char *plates = text_new("%s", "");
  for (int a = 0; a < m->naxis; a++) {
    if (m->axis[a].kind != 0 || axis_own(m, a) != a) continue;
    char *more = text_new("%s, %" PRIu64 " rows of %s", plates, t->data.total[a], m->axis[a].name);
    free(plates);
    plates = more;
  }
  note("%s: %" PRIu64 " parameters%s, batch %" PRIu64 ", seed %" PRIu64 ", %u thread%s, f%u, %.0f MB", m->name, train_values(t), plates, t->state.batch, t->state.seed,
       pool_size(t->pool), pool_size(t->pool) == 1 ? "" : "s", m->real_bytes * 8, train_bytes(t) / 1e6);
  free(plates);
  if (t->state.step > 0) note("going on after step %" PRIu64, t->state.step);
}

static int train_prepare(Train *t) {
  const SviModel *m = t->model;
  const Options  *o = t->o;
  SviError e;
  if (m->train.nstep == 0) { complain("the model has nothing to train: it has no `maximize`, `minimize` or `train`"); return EXIT_USAGE; }
  int code = train_data(t);
  if (code == EXIT_OK) code = train_params(t);
  if (code == EXIT_OK && !lbfgs_allowed(t)) code = EXIT_USAGE;
  if (code == EXIT_OK) code = train_plan(t);
  if (code != EXIT_OK) return code;
  if (!saves(t)) return EXIT_OK;
  const char *out = o->at[OPT_out].given ? o->at[OPT_out].text : "run";
  if (!rundir_open(&t->dir, m, out, t->state.step > 0, t->state.step, &e) ||
      !rundir_config(&t->dir, m, &commands[0], o, &t->state, pool_size(t->pool), &e)) return fail(EXIT_RUN, &e);
  return EXIT_OK;
}

static void train_free(Train *t) {
  for (int k = 0; k < t->model->train.nstep; k++) {
    run_free(t->step[k].run);
    run_free(t->step[k].valid);
    optim_free(t->step[k].optim);
    lbfgs_free(t->step[k].lbfgs);
  }
  memory_free(t->step);
  for (int a = 0; a < SVI_AXES; a++) batches_free(&t->batches[a]);
  moments_free(&t->state.moments);
  params_free(&t->state.params);
  memory_free(t->state.option);
  memory_free(t->state.set);
  memory_free(t->option);
  if (t->data.model)  data_close(&t->data);
  if (t->valid.model) data_close(&t->valid);
  rundir_close(&t->dir);
  pool_free(t->pool);
  memory_free(t);
}

static Train *train_new(const SviModel *m, const Options *o, bool writes) {
  Train *t = memory_new(1, sizeof *t, "training");
  t->model  = m;
  t->o      = o;
  t->writes = writes;
  t->pool   = pool_new(pool_threads_wanted(o));
  t->step   = memory_new((size_t)m->train.nstep, sizeof *t->step, "training");
  t->main   = m->train.nstep - 1;
  t->last_valid = t->norm = NAN;
  return t;
}

int command_train(const SviModel *m, const Options *o) {
  Train *t = train_new(m, o, !o->at[OPT_no_save].given);
  int code = train_prepare(t);
  if (code == EXIT_OK && t->state.step >= t->steps) {
    note("nothing to do: %" PRIu64 " steps are done of %" PRIu64 " (--epochs or --steps for more)", t->state.step, t->steps);
    if (!saves(t) || t->state.step > 0) goto done;
    code = train_save(t, "last.safetensors") ? EXIT_OK : EXIT_RUN;
    goto done;
  }
  if (code == EXIT_OK) {
    train_banner(t);
    signals_catch();
    progress_start(&t->progress, m, t->state.step, t->steps, t->epoch_steps, notes_off);
    code = train_loop(t);
  }
done:
  if (code == EXIT_OK && o->at[OPT_print_hash].given) printf("%016" PRIx64 "\n", params_hash(&t->state.params));
  train_free(t);
  return code;
}

/* ---- time: how long a step takes */
enum { TIME_BLOCKS = 10, TIME_STEPS = 200 };

static int by_number(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Steps in ten blocks, behind a first one: median and spread of the blocks, which tell a busy machine; nothing is written. */
int command_time(const SviModel *m, const Options *o) {
  double begin = time_now();
  Train *t = train_new(m, o, false);
  int code = train_prepare(t);
  if (code == EXIT_OK) code = train_step(t);
  double first = time_now() - begin, ms[TIME_BLOCKS], sorted[TIME_BLOCKS], objective[TIME_BLOCKS] = {0};
  uint64_t steps = o->at[OPT_steps].given ? (uint64_t)o->at[OPT_steps].number : TIME_STEPS, each = steps ? (steps + TIME_BLOCKS - 1) / TIME_BLOCKS : 1;
  for (int b = 0; b < TIME_BLOCKS && code == EXIT_OK; b++) {
    for (int k = 0; k < m->train.nstep; k++) t->step[k].sum = 0;
    double start = time_now();
    for (uint64_t i = 0; i < each && code == EXIT_OK; i++) code = train_step(t);
    sorted[b] = ms[b] = 1e3 * (time_now() - start) / (double)each;
    objective[b] = t->step[t->main].sum / (double)each;
  }
  if (code == EXIT_OK) {
    qsort(sorted, TIME_BLOCKS, sizeof *sorted, by_number);
    double median = (sorted[TIME_BLOCKS / 2 - 1] + sorted[TIME_BLOCKS / 2]) / 2;
    if (o->at[OPT_json].given) {
      printf("{\"steps\": %" PRIu64 ", \"batch\": %" PRIu64 ", \"threads\": %u, \"ms\": %.6g, \"ms_min\": %.6g, \"ms_max\": %.6g, \"first_ms\": %.6g, \"bytes\": %.0f, \"objective\": [",
             each * TIME_BLOCKS, t->state.batch, pool_size(t->pool), median, sorted[0], sorted[TIME_BLOCKS - 1], 1e3 * first, train_bytes(t));
      for (int b = 0; b < TIME_BLOCKS; b++) { if (b) fputs(", ", stdout); json_number(stdout, objective[b]); }
      puts("]}");
    } else {
      printf("%.4g ms a step (%.4g to %.4g), %.4g steps/s; %.4g ms to the end of the first step; %.1f MB planned\n",
             median, sorted[0], sorted[TIME_BLOCKS - 1], 1e3 / median, 1e3 * first, train_bytes(t) / 1e6);
    }
  }
  train_free(t);
  return code;
}
