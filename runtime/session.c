/* A trained model ready for use: threads, data, parameters, options.  What every command but train begins with. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

void options_at(const SviModel *m, const double *value, const bool *set, double step, double epoch, double *out) {
  for (int i = 0; i < m->noption; i++) out[i] = set[i] ? value[i] : schedule_at(&m->option[i].schedule, step, epoch);
}

int entry_find(const SviModel *m, const char *name) {
  for (int i = 0; i < m->nentry; i++) if (strcmp(m->entry[i].name, name) == 0) return i;
  return -1;
}

static int session_fail(Session *s, int code, const SviError *e) {
  complain("%s", e->text);
  session_close(s);
  return code;
}

/* Options that follow a schedule are as after the step that the checkpoint is of. */
static bool session_options(Session *s, const Options *o, const Checkpoint *c, SviError *e) {
  const SviModel *m = s->model;
  size_t n = (size_t)m->noption;
  double *value = memory_new(n, sizeof *value, "options");
  bool   *set   = memory_new(n, sizeof *set,   "options");
  s->option = memory_new(n, sizeof *s->option, "options");
  if (c) checkpoint_set(c, m, value, set);
  bool ok = options_set(m, o, value, set, e);
  int      first = m->train.nstep > 0 ? m->entry[m->train.step[0].entry].axis : -1;
  uint64_t batch = c && c->batch ? c->batch : 1, total = first >= 0 ? s->data.total[first] : 1;
  double   step = c ? (double)c->step : 0, epoch = step / ceil((double)total / (double)(batch < total ? batch : total ? total : 1));
  options_at(m, value, set, step, epoch, s->option);
  memory_free(value);
  memory_free(set);
  return ok;
}

/* --size PLATE=N */
static bool session_sizes(Session *s, const Options *o, SviError *e) {
  const SviModel *m = s->model;
  for (int i = 0; i < o->at[OPT_size].n; i++) {
    const char *text = o->at[OPT_size].many[i], *is = strchr(text, '=');
    char *end = NULL;
    unsigned long long n = is ? strtoull(is + 1, &end, 10) : 0;
    int axis = -1;
    for (int a = 0; is && a < m->naxis; a++)
      if (m->axis[a].kind == 0 && m->axis[a].parent >= 0 && strlen(m->axis[a].name) == (size_t)(is - text) && strncmp(m->axis[a].name, text, (size_t)(is - text)) == 0) axis = a;
    if (axis < 0) return error_set(e, "--size %s: %s", text, is ? "the model has no plate of that name inside another" : "write PLATE=N");
    if (!end || *end || n == 0 || n > UINT32_MAX) return error_set(e, "--size %s: a number of rows from 1 is missing", text);
    s->data.total[axis] = n;
  }
  return true;
}

int session_open(Session *s, const SviModel *m, const Options *o, bool wants_data, int axis, uint64_t rows) {
  SviError e = {{0}};
  Checkpoint c;
  *s = (Session){ .model = m };
  const OptionValue *data = &o->at[OPT_data];
  bool trained = !o->at[OPT_untrained].given;
  if (wants_data && m->ncolumn > 0 && data->n == 0) {
    complain("this needs data: give --data FILE");
    return EXIT_USAGE;
  }
  if (!trained && o->at[OPT_params].given) {
    complain("--untrained and --params FILE are two sets of parameters: give one");
    return EXIT_USAGE;
  }
  if (trained && !checkpoint_find(o, s->path, &e)) return session_fail(s, EXIT_RUN, &e);
  if (trained && !checkpoint_open(&c, m, s->path, &e)) return session_fail(s, EXIT_RUN, &e);
  s->pool = pool_new(pool_threads_wanted(o));
  s->seed = o->at[OPT_seed].given || !trained ? (uint64_t)o->at[OPT_seed].number : c.seed;
  int code = EXIT_DATA;
  bool ok = true;
  if (wants_data) ok = data_open(&s->data, m, data->many, data->n, (BindHow){ .strict = o->at[OPT_strict].given, .quiet = notes_off }, &e);
  else data_empty(&s->data, m);
  if (ok && o->at[OPT_size].n > 0 && !session_sizes(s, o, &e)) ok = false, code = EXIT_USAGE;
  if (ok) {
    if (trained) checkpoint_rows(&c, m, &s->data);      /* rows that have parameters of their own are those of training */
    if (!wants_data && axis >= 0 && s->data.total[axis] == 0) s->data.total[axis] = rows;
    ok = data_sized(&s->data, &e) && data_check(&s->data, s->pool, &e);
  }
  if (ok) {
    params_new(&s->state.params, m, s->data.total);
    code = EXIT_RUN;
    ok = trained ? checkpoint_load(&c, &s->state, LOAD_USE, &e) : params_init(&s->state.params, &s->data, s->pool, s->seed, &e);
  }
  if (ok) {
    code = EXIT_USAGE;
    ok = session_options(s, o, trained ? &c : NULL, &e);
  }
  if (trained) checkpoint_close(&c);
  return ok ? EXIT_OK : session_fail(s, code, &e);
}

int session_first(Session *s, const SviModel *m, const Options *o) {
  SviError e = {{0}};
  Checkpoint c;
  const OptionValue *data = &o->at[OPT_data];
  size_t n = (size_t)m->noption;
  *s = (Session){ .model = m, .seed = (uint64_t)o->at[OPT_seed].number };
  s->pool   = pool_new(pool_threads_wanted(o));
  s->option = memory_new(n, sizeof *s->option, "options");
  double *value = memory_new(n, sizeof *value, "options");
  bool   *set   = memory_new(n, sizeof *set,   "options");
  bool ok = options_set(m, o, value, set, &e);
  if (ok) options_at(m, value, set, 0, 0, s->option);
  memory_free(value);
  memory_free(set);
  if (!ok) return session_fail(s, EXIT_USAGE, &e);
  if (!data_open(&s->data, m, data->many, data->n, (BindHow){ .strict = o->at[OPT_strict].given, .quiet = notes_off }, &e)) return session_fail(s, EXIT_DATA, &e);
  for (int a = 0; a < m->naxis && m->ncolumn == 0; a++)      /* what reads no data has as many rows as one likes */
    if (m->axis[a].kind == 0) s->data.total[a] = m->axis[a].parent < 0 ? 100 : 7;
  if (!data_sized(&s->data, &e) || !data_check(&s->data, s->pool, &e)) return session_fail(s, EXIT_DATA, &e);
  params_new(&s->state.params, m, s->data.total);
  if (!params_init(&s->state.params, &s->data, s->pool, s->seed, &e)) return session_fail(s, EXIT_DATA, &e);
  if (!o->at[OPT_params].given) return EXIT_OK;
  if (!checkpoint_open(&c, m, o->at[OPT_params].text, &e)) return session_fail(s, EXIT_RUN, &e);
  ok = checkpoint_load(&c, &s->state, LOAD_USE, &e);
  checkpoint_close(&c);
  return ok ? EXIT_OK : session_fail(s, EXIT_RUN, &e);
}

void session_close(Session *s) {
  params_free(&s->state.params);
  memory_free(s->option);
  if (s->data.model) data_close(&s->data);
  pool_free(s->pool);
  *s = (Session){0};
}
