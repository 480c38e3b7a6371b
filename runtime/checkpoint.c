/* Checkpoints: a State as one safetensors file, replaced at once or not at all.
 *
 * Tensors: every parameter under its name (one of a plate has its rows first); the optimiser's moments as m:NAME and v:NAME,
 * averages as average:NAME, updates of each row as count:NAME; of L-BFGS the pairs of each step as moves:STEP and
 * changes:STEP, and lbfgs:STEP, where it is in them.  Metadata: what else resuming needs, as strings; numbers are
 * written so that they read back the same. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "trainer.h"

#define FORMAT "svic checkpoint 1"

/* Which moments an optimiser keeps. */
static const struct { bool m, v; } kept[] = {
  [SVI_ADAM] = { true, true }, [SVI_SGD] = { true, false }, [SVI_ADAMAX] = { true, true }, [SVI_RMSPROP] = { true, true }, [SVI_ADAGRAD] = { false, true },
  [SVI_LBFGS] = { false, false },
};

static SviArray tensor_of(const Params *p, int i, const char *prefix) {
  const SviModel *m = p->model;
  const SviParam *q = &m->param[i];
  uint64_t count;
  SviArray a = { .name = text_new("%s%s", prefix, q->name), .type = m->real_bytes == 8 ? SVI_F64 : SVI_F32, .bytes = params_at(p, i, &count) };
  if (q->axis >= 0) a.dim[a.rank++] = p->rows[i];
  for (int k = 0; k < q->rank; k++) a.dim[a.rank++] = q->dim[k];
  return a;
}

/* pairs, next and small lie one after another */
enum { LBFGS_TENSORS = 3 };
static void lbfgs_tensors(const LbfgsMemory *l, const char *step, SviArray a[LBFGS_TENSORS]) {
  a[0] = (SviArray){ .name = text_new("lbfgs:%s",   step), .type = SVI_U32, .rank = 1, .dim = { 3 }, .bytes = &l->pairs };
  a[1] = (SviArray){ .name = text_new("moves:%s",   step), .type = SVI_F64, .rank = 2, .dim = { l->history, l->n }, .bytes = l->moves };
  a[2] = (SviArray){ .name = text_new("changes:%s", step), .type = SVI_F64, .rank = 2, .dim = { l->history, l->n }, .bytes = l->changes };
}

/* ---- notes */
enum { NOTES = 300 };
typedef struct { SviNote at[NOTES]; size_t n; } Notes;
static void notes_add(Notes *n, char *key, char *value) { if (n->n < NOTES) n->at[n->n++] = (SviNote){ key, value }; }
static void notes_number(Notes *n, const char *key, uint64_t x) { notes_add(n, text_new("%s", key), text_new("%" PRIu64, x)); }
static void notes_real  (Notes *n, const char *key, double x)   { notes_add(n, text_new("%s", key), text_new("%.17g", x)); }
static void notes_text  (Notes *n, const char *key, const char *x) { notes_add(n, text_new("%s", key), text_new("%s", x ? x : "")); }

bool checkpoint_save(const State *s, const char *path, SviError *e) {
  const SviModel *m = s->params.model;
  size_t n = 0;
  SviArray *a = memory_new((size_t)m->nparam * 5 + (size_t)s->moments.nlbfgs * LBFGS_TENSORS, sizeof *a, "a checkpoint");
  SviOptimizerKind kind = m->train.optimizer.kind;
  for (int i = 0; i < m->nparam; i++) {
    a[n++] = tensor_of(&s->params, i, "");
    if (!s->training) continue;
    if (s->moments.averaging) a[n++] = tensor_of(&s->moments.average, i, "average:");
    if (m->param[i].state) continue;
    if (kept[kind].m) a[n++] = tensor_of(&s->moments.m, i, "m:");
    if (kept[kind].v) a[n++] = tensor_of(&s->moments.v, i, "v:");
    if (m->param[i].axis >= 0)
      a[n++] = (SviArray){ .name = text_new("count:%s", m->param[i].name), .type = SVI_U32, .rank = 1, .dim = { s->params.rows[i] }, .bytes = s->moments.count[i] };
  }
  for (int k = 0; k < s->moments.nlbfgs && s->training; k++, n += LBFGS_TENSORS) lbfgs_tensors(&s->moments.lbfgs[k], m->train.step[k].name, a + n);
  Notes *notes = memory_new(1, sizeof *notes, "a checkpoint");
  notes_text  (notes, "format",  FORMAT);
  notes_text  (notes, "model",   m->name);
  notes_text  (notes, "hash",    m->hash);
  notes_text  (notes, "version", m->version);
  notes_number(notes, "step",    s->step);
  notes_number(notes, "seed",    s->seed);
  notes_number(notes, "batch",   s->batch);
  notes_number(notes, "k",       s->k);
  if (s->rows > 0) notes_number(notes, "rows", s->rows);
  for (int i = 0; i < m->naxis && s->total; i++)
    if (m->axis[i].kind == 0 && m->axis[i].parent >= 0) notes_add(notes, text_new("size.%s", m->axis[i].name), text_new("%" PRIu64, s->total[i]));
  if (!isnan(s->lr)) notes_real(notes, "lr", s->lr);
  if (!isnan(s->best)) { notes_real(notes, "best", s->best); notes_number(notes, "best_step", s->best_step); }
  for (int i = 0; i < m->noption; i++)
    if (s->set && s->set[i]) notes_add(notes, text_new("option.%s", m->option[i].name), text_new("%.17g", s->option[i]));
  bool ok = svi_safetensors_write(path, a, n, notes->at, notes->n, e);
  for (size_t i = 0; i < n; i++) free(a[i].name);
  for (size_t i = 0; i < notes->n; i++) { free((char *)(uintptr_t)notes->at[i].key); free((char *)(uintptr_t)notes->at[i].value); }
  memory_free(a);
  memory_free(notes);
  return ok;
}

/* ---- reading */
static double note_real(const SviTensors *t, const char *key) {
  const char *text = svi_safetensors_note(t, key);
  return text ? strtod(text, NULL) : NAN;
}

static uint64_t note_number(const SviTensors *t, const char *key) {
  const char *text = svi_safetensors_note(t, key);
  return text ? strtoull(text, NULL, 10) : 0;
}

bool checkpoint_open(Checkpoint *c, const SviModel *m, const char *path, SviError *e) {
  *c = (Checkpoint){ .path = path };
  if (!svi_safetensors_open(path, &c->file, e)) return false;
  const char *format = svi_safetensors_note(&c->file, "format"), *hash = svi_safetensors_note(&c->file, "hash");
  if (!format || strcmp(format, FORMAT) != 0) {
    error_set(e, "%s is not a checkpoint of a trainer (its metadata has no format `%s`)", path, FORMAT);
    checkpoint_close(c);
    return false;
  }
  c->same_model = hash && m->hash && strcmp(hash, m->hash) == 0;
  c->step  = note_number(&c->file, "step");
  c->seed  = note_number(&c->file, "seed");
  c->batch = note_number(&c->file, "batch");
  c->k     = note_number(&c->file, "k");
  c->rows  = note_number(&c->file, "rows");
  c->best  = note_real  (&c->file, "best");
  c->lr    = note_real  (&c->file, "lr");
  c->best_step = note_number(&c->file, "best_step");
  return true;
}

void checkpoint_close(Checkpoint *c) { svi_safetensors_close(&c->file); }

void checkpoint_set(const Checkpoint *c, const SviModel *m, double *value, bool *set) {
  for (int i = 0; i < m->noption; i++) {
    char *key = text_new("option.%s", m->option[i].name);
    const char *text = svi_safetensors_note(&c->file, key);
    if (text) { value[i] = strtod(text, NULL); set[i] = true; }
    free(key);
  }
}

void checkpoint_rows(const Checkpoint *c, const SviModel *m, Data *d) {
  for (int i = 0; i < m->nparam; i++) {
    int axis = m->param[i].axis;
    if (axis < 0 || m->axis[axis].parent >= 0) continue;
    const SviArray *a = svi_safetensors_find(&c->file, m->param[i].name);
    uint64_t rows = a && a->rank > 0 && a->dim[0] <= UINT32_MAX ? a->dim[0] : 0;
    if (d->total[axis] == 0 && rows > 0) d->total[axis] = rows;
    if (rows > 0 && rows == c->rows && d->total[axis] > rows) {      /* train --rows: the others have no parameters */
      note("note: `%s` was trained for the first %" PRIu64 " rows: they are looked at, and no others", m->param[i].name, rows);
      data_first(d, axis, rows);
    }
  }
  for (int a = 0; a < m->naxis; a++) {
    if (m->axis[a].kind != 0 || m->axis[a].parent < 0 || d->total[a] != 0) continue;
    char *key = text_new("size.%s", m->axis[a].name);
    d->total[a] = note_number(&c->file, key);
    free(key);
  }
}

/* Finds the tensor of a parameter; NULL with what is wrong in `why`. */
static const SviArray *tensor_find(const Checkpoint *c, const Params *p, int i, const char *prefix, char why[400]) {
  SviArray want = tensor_of(p, i, prefix);
  const SviArray *a = svi_safetensors_find(&c->file, want.name);
  char here[120], there[120];
  bool same = a && a->type == want.type && a->rank == want.rank;
  for (int k = 0; same && k < want.rank; k++) same = a->dim[k] == want.dim[k];
  why[0] = 0;
  if (!a) snprintf(why, 400, "`%.100s` is not in the file", want.name);
  else if (!same) snprintf(why, 400, "`%.100s` is %s in the file and %s in the model", want.name, svi_array_describe(a, there, sizeof there), svi_array_describe(&want, here, sizeof here));
  free(want.name);
  return same ? a : NULL;
}

static void tensor_load(const SviArray *a, const Params *p, int i) {
  uint64_t count;
  void *to = params_at(p, i, &count);
  memcpy(to, a->bytes, count * p->model->real_bytes);
}

/* What differs between a checkpoint's parameters and the model's, as a sentence; how many do. */
static int checkpoint_differences(const Checkpoint *c, const Params *p, char *text, size_t room) {
  int    n = 0;
  size_t at = 0;
  char   why[400];
  text[0] = 0;
  for (int i = 0; i < p->model->nparam; i++) {
    if (tensor_find(c, p, i, "", why)) continue;
    if (n++ < 4 && at < room) at += (size_t)snprintf(text + at, room - at, "%s%s", n > 1 ? "; " : "", why);
  }
  for (size_t k = 0; k < c->file.file.n; k++) {
    const char *name = c->file.file.at[k].name;
    bool known = strchr(name, ':') != NULL;
    for (int i = 0; i < p->model->nparam && !known; i++) known = strcmp(p->model->param[i].name, name) == 0;
    if (!known && n++ < 4 && at < room) at += (size_t)snprintf(text + at, room - at, "%s`%.100s` is not in the model", n > 1 ? "; " : "", name);
  }
  if (n > 4 && at < room) snprintf(text + at, room - at, "; and %d more", n - 4);
  return n;
}

static bool lbfgs_load(const Checkpoint *c, LbfgsMemory *l, const char *step, SviError *e) {
  SviArray want[LBFGS_TENSORS];
  bool fits = true;
  lbfgs_tensors(l, step, want);
  for (int i = 0; i < LBFGS_TENSORS; i++) {
    const SviArray *a = svi_safetensors_find(&c->file, want[i].name);
    fits &= a && a->type == want[i].type && a->rank == want[i].rank && a->dim[0] == want[i].dim[0] && (a->rank < 2 || a->dim[1] == want[i].dim[1]);
    if (fits) memcpy((void *)(uintptr_t)want[i].bytes, a->bytes, svi_array_count(a) * (i == 0 ? sizeof(uint32_t) : sizeof(double)));
    free(want[i].name);
  }
  fits &= l->pairs <= l->history && l->next < l->history;
  return fits || error_set(e, "%s cannot be resumed: what L-BFGS remembers of step `%s` is not in the file or has another size", c->path, step);
}

static bool load_resume(const Checkpoint *c, State *s, SviError *e) {
  const SviModel *m = s->params.model;
  char why[400];
  SviOptimizerKind kind = m->train.optimizer.kind;
  for (int i = 0; i < m->nparam; i++) {
    struct { const Params *to; const char *prefix; bool wanted; } part[] = {
      { &s->params,          "",         true },
      { &s->moments.average, "average:", s->moments.averaging },
      { &s->moments.m,       "m:",       kept[kind].m && !m->param[i].state },
      { &s->moments.v,       "v:",       kept[kind].v && !m->param[i].state },
    };
    for (size_t k = 0; k < LENGTH(part); k++) {
      if (!part[k].wanted) continue;
      const SviArray *a = tensor_find(c, part[k].to, i, part[k].prefix, why);
      if (!a) return error_set(e, "%s cannot be resumed: %s", c->path, why);
      tensor_load(a, part[k].to, i);
    }
    if (m->param[i].axis < 0 || m->param[i].state) continue;
    char *name = text_new("count:%s", m->param[i].name);
    const SviArray *a = svi_safetensors_find(&c->file, name);
    bool fits = a && a->type == SVI_U32 && a->rank == 1 && a->dim[0] == s->params.rows[i];
    if (fits) memcpy(s->moments.count[i], a->bytes, s->params.rows[i] * sizeof(uint32_t));
    else error_set(e, "%s cannot be resumed: `%s` is not in the file or has another size", c->path, name);
    free(name);
    if (!fits) return false;
  }
  for (int k = 0; k < s->moments.nlbfgs; k++) if (!lbfgs_load(c, &s->moments.lbfgs[k], m->train.step[k].name, e)) return false;
  return true;
}

/* Running means of the estimators' signals: no part of what was learned, and another estimator has none. */
static bool is_baseline(const SviParam *p) { return p->state && strncmp(p->name, "baseline.", 9) == 0; }

bool checkpoint_load(const Checkpoint *c, State *s, LoadHow how, SviError *e) {
  const SviModel *m = s->params.model;
  char differs[360], why[400];
  int  n = checkpoint_differences(c, &s->params, differs, sizeof differs);
  switch (how) {
  case LOAD_RESUME:
    if (n > 0) return error_set(e, "%s is of another model: %s", c->path, differs);
    if (!c->same_model)
      return error_set(e, "%s was made by another version of the model (its hash is %s, this one's %s); the parameters are the same: "
                          "--params=%s starts from them with a fresh optimiser", c->path, svi_safetensors_note(&c->file, "hash"), m->hash, c->path);
    if (!load_resume(c, s, e)) return false;
    s->step = c->step;
    s->seed = c->seed;
    s->best = c->best;
    s->best_step = c->best_step;
    return true;
  case LOAD_USE: {
    bool averaged = true;
    for (int i = 0; i < m->nparam; i++) {
      if (is_baseline(&m->param[i])) continue;
      const SviArray *a = tensor_find(c, &s->params, i, "", why);
      if (!a) return error_set(e, "%s is of another model: %s", c->path, differs);
      averaged &= tensor_find(c, &s->params, i, "average:", why) != NULL;
    }
    for (int i = 0; i < m->nparam; i++) {
      const SviArray *a = tensor_find(c, &s->params, i, averaged ? "average:" : "", why);
      if (a) tensor_load(a, &s->params, i);                /* all but baselines are there */
    }
    s->step = c->step;
    return true;
  }
  case LOAD_WARM:
    for (int i = 0; i < m->nparam; i++) {
      const SviArray *a = tensor_find(c, &s->params, i, "", why);
      if (a) tensor_load(a, &s->params, i);
      else if (!is_baseline(&m->param[i])) note("note: %s: %s; it starts afresh", c->path, why);
    }
    return true;
  }
  return false;
}

bool checkpoint_find(const Options *o, char path[4096], SviError *e) {
  if (o->at[OPT_params].given) {
    snprintf(path, 4096, "%s", o->at[OPT_params].text);
    return true;
  }
  const char *out = o->at[OPT_out].text;
  if (!out) out = "run";
  path_join(path, 4096, out, "best.safetensors");
  if (access(path, R_OK) == 0) { note("using %s (--params FILE for another)", path); return true; }
  path_join(path, 4096, out, "last.safetensors");
  if (access(path, R_OK) == 0) { note("using %s (--params FILE for another)", path); return true; }
  return error_set(e, "there are no parameters: neither best.safetensors nor last.safetensors in %s/ (train first, or give --params FILE)", out);
}
