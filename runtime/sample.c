/* sample, traverse, reconstruct, encode: entries whose row outputs are what is wanted, written as numbers (--to) or pictures (--png).
 *
 * An output is one array [rows, dim..]; its rows are gathered over batches.  Latents that are given instead of drawn are columns
 * of the entry `sample` (svi.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

typedef struct { SviArray *at; size_t n; uint64_t rows; } Outputs;

static void outputs_free(Outputs *o) {
  for (size_t i = 0; i < o->n; i++) memory_free((void *)(uintptr_t)o->at[i].bytes);
  memory_free(o->at);
}

static Outputs outputs_new(const SviEntry *e, uint64_t rows) { return (Outputs){ memory_new((size_t)e->nout, sizeof(SviArray), e->name), (size_t)e->nout, rows }; }

/* What the entry has just made of n rows becomes rows first, ... of the outputs. */
static void outputs_take(Outputs *o, const SviModel *m, const SviEntry *e, const Run *run, uint64_t first, uint64_t n) {
  size_t width = m->real_bytes;
  for (size_t i = 0; i < o->n; i++) {
    uint64_t count, each;
    const void *from = run_out(run, (int)i, &count);
    SviArray *a = &o->at[i];
    each = count / n * e->out[i].size;
    if (!a->bytes) {
      *a = (SviArray){ .name = (char *)(uintptr_t)e->out[i].name, .type = width == 8 ? SVI_F64 : SVI_F32, .rank = 1, .dim = { o->rows } };
      a->bytes = memory_new(o->rows * each, width, e->out[i].name);
      if (count / n > 1) a->dim[a->rank++] = count / n;
      for (int d = 0; d < e->out[i].rank && a->rank < SVI_MAX_RANK; d++) a->dim[a->rank++] = e->out[i].dim[d];
    }
    memcpy((char *)(uintptr_t)a->bytes + first * each * width, from, n * each * width);
  }
}

/* Runs an entry over `rows` rows (without a plate: as many times) and keeps all its outputs. */
static Outputs outputs_of(Session *s, int entry, uint64_t rows, uint64_t batch, uint64_t k) {
  const SviModel *m = s->model;
  const SviEntry *e = &m->entry[entry];
  Outputs o = outputs_new(e, rows);
  if (e->axis < 0) batch = 1;
  Run *run = run_new(m, entry, s->pool, &s->data, &s->state.params, batch, k);
  for (uint64_t first = 0; first < rows; first += batch) {
    uint64_t n = rows - first < batch ? rows - first : batch;
    /* Without rows to tell the draws apart, the step does. */
    run_entry(run, e->axis < 0 ? NULL : s->data.identity + first, n, s->seed, e->axis < 0 ? first : 0, s->option);
    outputs_take(&o, m, e, run, first, n);
  }
  run_free(run);
  return o;
}

static uint64_t event_size(const SviArray *a) { return a->dim[0] ? svi_array_count(a) / a->dim[0] : 0; }

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), k = strlen(end);
  return n >= k && strcmp(s + n - k, end) == 0;
}

/* ---- pictures */
/* "x" is the last part of "p.x". */
static const char *last_part(const char *name) { return strrchr(name, '.') ? strrchr(name, '.') + 1 : name; }

static const SviArray *picture_find(const SviModel *m, const Options *o, const Outputs *out, SviError *e) {
  const char *name = o->at[OPT_image].text;
  if (name) {
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; i < out->n; i++) {
      if (strcmp(out->at[i].name, name) == 0) return &out->at[i];
      if (n < LENGTH(names)) names[n++] = out->at[i].name;
    }
    const char *near = text_nearest(name, names, n);
    error_set(e, "--image: there is no output `%s`%s%s%s", name, near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    return NULL;
  }
  for (size_t i = 0; i < out->n; i++)                    /* means look smoother than draws */
    for (int c = 0; c < m->ncolumn; c++) if (ends_with(out->at[i].name, ".mean") && m->column[c].size == event_size(&out->at[i]) && m->column[c].size > 1) return &out->at[i];
  for (size_t i = 0; i < out->n; i++)
    for (int c = 0; c < m->ncolumn; c++) if (strcmp(last_part(out->at[i].name), m->column[c].name) == 0 && event_size(&out->at[i]) > 1) return &out->at[i];
  for (size_t i = 0; i < out->n; i++)
    for (int c = 0; c < m->ncolumn; c++) if (m->column[c].size == event_size(&out->at[i]) && m->column[c].size > 1) return &out->at[i];
  if (out->n > 0) return &out->at[0];
  error_set(e, "there is no output to make a picture of");
  return NULL;
}

static bool picture_shape(const Options *o, const SviArray *a, uint32_t *h, uint32_t *w, SviError *e) {
  uint64_t size = event_size(a);
  const char *text = o->at[OPT_shape].text;
  char *end;
  if (text) {
    *h = (uint32_t)strtoul(text, &end, 10);
    if (*end != 'x' || (*w = (uint32_t)strtoul(end + 1, &end, 10), *end) || (uint64_t)*h * *w != size)
      return error_set(e, "--shape %s: `%s` has %llu elements; give HEIGHTxWIDTH", text, a->name, (unsigned long long)size);
    return true;
  }
  *h = *w = (uint32_t)lround(sqrt((double)size));
  if ((uint64_t)*h * *w == size) return true;
  if (a->rank == 3) { *h = (uint32_t)a->dim[1]; *w = (uint32_t)a->dim[2]; return true; }
  return error_set(e, "`%s` has %llu elements, which is not a square; give --shape HxW", a->name, (unsigned long long)size);
}

/* Shades from 0 to 1: as they are when they fit, of 255 when they are bytes, else stretched. */
static void picture_scale(float *x, uint64_t n) {
  float lo = INFINITY, hi = -INFINITY;
  for (uint64_t i = 0; i < n; i++) {
    if (x[i] < lo) lo = x[i];
    if (x[i] > hi) hi = x[i];
  }
  if (!(lo < hi) || (lo >= 0 && hi <= 1)) return;
  if (lo >= 0 && hi > 2 && hi <= 255) { lo = 0; hi = 255; }
  for (uint64_t i = 0; i < n; i++) x[i] = (x[i] - lo) / (hi - lo);
}

/* The grid, `across` pictures a row (0: as a square): `a` alone, or rows of `top` (what was) above rows of `a` (what the model makes of it). */
static bool picture_write(const Options *o, const SviArray *a, const SviArray *top, uint64_t n, uint64_t across, SviError *e) {
  uint32_t h = 0, w = 0;
  if (!picture_shape(o, a, &h, &w, e)) return false;
  uint64_t size = (uint64_t)h * w, columns = across ? across : (uint64_t)ceil(sqrt((double)n)), bands = (n + columns - 1) / columns, shown = top ? 2 * bands * columns : n;
  float *x = memory_new(shown * size, sizeof *x, "a picture"), *from = memory_new(n * size, sizeof *from, "a picture");
  for (int pass = 0; pass < (top ? 2 : 1); pass++) {
    for (uint64_t i = 0; i < n * size; i++) from[i] = (float)svi_array_get(pass ? top : a, i);
    picture_scale(from, n * size);
    for (uint64_t i = 0; i < n; i++) {
      uint64_t at = top ? (i / columns * 2 + !pass) * columns + i % columns : i;
      memcpy(x + at * size, from + i * size, size * sizeof *x);
    }
  }
  memory_free(from);
  bool ok = svi_png_grid(o->at[OPT_png].text, x, shown, h, w, (SviGrid){ .columns = (uint32_t)columns, .gutter = 2, .magnify = 1 }, e);
  memory_free(x);
  return ok;
}

/* What an output reconstructs: of `x.mean` the output `x`, the data as the model saw it; else a column of its size, or NULL. */
static const SviArray *picture_original(const Session *s, const Outputs *out, const SviArray *a) {
  const SviModel *m = s->model;
  for (size_t i = 0; i < out->n; i++) {
    size_t n = strlen(out->at[i].name);
    if (strncmp(a->name, out->at[i].name, n) == 0 && strcmp(a->name + n, ".mean") == 0) return &out->at[i];
  }
  for (int c = 0; c < m->ncolumn; c++)
    if (s->data.column[c] && strcmp(last_part(a->name), m->column[c].name) == 0 && m->column[c].size == event_size(a)) return s->data.column[c];
  for (int c = 0; c < m->ncolumn; c++) if (s->data.column[c] && m->column[c].size == event_size(a)) return s->data.column[c];
  return NULL;
}

static void outputs_print(const Outputs *o) {
  for (size_t i = 0; i < o->n; i++) {
    char text[120];
    printf("%-16s %s\n", o->at[i].name, svi_array_describe(&o->at[i], text, sizeof text));
  }
}

/* `across`: pictures a row, 0: as a square; `most`: how many. */
static int outputs_give(Session *s, const Options *o, const Outputs *out, bool beside, uint64_t across, uint64_t most) {
  SviError e;
  bool ok = true;
  const char *png = o->at[OPT_png].text, *to = o->at[OPT_to].text;
  if (to) ok = svi_file_write(to, out->at, out->n, &e);
  if (ok && png) {
    const SviArray *a = picture_find(s->model, o, out, &e);
    ok = a && picture_write(o, a, beside ? picture_original(s, out, a) : NULL, most < out->rows ? most : out->rows, across, &e);
  }
  if (!ok) complain("%s", e.text);
  if (!png && !to) { outputs_print(out); note("(--to FILE.npz writes them%s)", beside ? ", --png FILE shows them" : ""); }
  return ok ? EXIT_OK : EXIT_RUN;
}

static int entry_wanted(const SviModel *m, const char *name) {
  int entry = entry_find(m, name);
  if (entry < 0) complain("this model was compiled without `%s`", name);
  return entry;
}

/* ---- latents that are given */
static const char *latents_text(const SviModel *m, char *text, size_t room) {
  size_t at = 0;
  text[0] = 0;
  for (int i = 0; i < m->nlatent && at + 1 < room; i++) at += (size_t)snprintf(text + at, room - at, "%s`%s`", i ? ", " : "", m->latent[i].name);
  return m->nlatent ? text : "none";
}

/* NaN: not given. */
static bool latent_convert(const SviColumn *c, const SviArray *from, SviArray *to, const char *path, SviError *e) {
  uint64_t n = svi_array_count(from);
  double  *x = memory_new(n, sizeof *x, c->name);
  *to = (SviArray){ .name = from->name, .type = SVI_F64, .rank = 2, .dim = { from->dim[0], c->size }, .bytes = x };
  for (uint64_t i = 0; i < n; i++) {
    x[i] = svi_array_get(from, i);
    if (isnan(x[i])) { x[i] = SVI_NOT_GIVEN; continue; }
    SviRange r = c->range;
    if (!(x[i] >= r.lo && x[i] <= r.hi) || (r.lo_open && x[i] == r.lo) || (r.hi_open && x[i] == r.hi) || (r.whole && x[i] != floor(x[i])) || fabs(x[i]) >= SVI_NOT_GIVEN / 2)
      return error_set(e, "%s: `%s`, row %llu (counted from 0) is %g, which `%s` (line %u) cannot be", path, c->name, (unsigned long long)(i / c->size), x[i], c->name, c->place.line);
  }
  return true;
}

/* The latents of a file; `rows`: how many it has. */
static bool latents_read(const SviModel *m, const char *path, SviArray *given, uint64_t *rows, SviError *e) {
  SviFile f;
  char text[400], shape[100];
  if (!svi_file_open(path, &f, e)) return false;
  bool ok = true, any = false;
  for (int i = 0; i < m->nlatent && ok; i++) {
    const SviColumn *c = &m->latent[i];
    const SviArray  *a = svi_file_find(&f, c->name);
    if (!a) continue;
    if (a->rank < 1 || a->dim[0] == 0 || svi_array_count(a) != a->dim[0] * c->size)
      ok = error_set(e, "%s: `%s` is %s, but the model (line %u) has %llu number%s a row", path, c->name, svi_array_describe(a, shape, sizeof shape), c->place.line, (unsigned long long)c->size, c->size == 1 ? "" : "s");
    else if (any && a->dim[0] != *rows) ok = error_set(e, "%s: `%s` has %llu rows, others %llu", path, c->name, (unsigned long long)a->dim[0], (unsigned long long)*rows);
    else ok = latent_convert(c, a, &given[i], path, e);
    *rows = a->dim[0], any = true;
  }
  if (ok && !any) ok = error_set(e, "%s: it has none of the latents that can be given: %s", path, latents_text(m, text, sizeof text));
  for (size_t k = 0; k < f.n && ok; k++) {
    bool known = false;
    for (int i = 0; i < m->nlatent; i++) known |= strcmp(m->latent[i].name, f.at[k].name) == 0;
    if (!known) note("note: %s: `%s` is not a latent that can be given", path, f.at[k].name);
  }
  svi_file_close(&f);
  return ok;
}

static void latents_free(const SviModel *m, SviArray *given) {
  for (int i = 0; i < m->nlatent; i++) memory_free((void *)(uintptr_t)given[i].bytes);
  memory_free(given);
}

static void latents_bind(Session *s, const SviArray *given) {
  for (int i = 0; i < s->model->nlatent; i++) if (given[i].bytes) s->data.column[s->model->ncolumn + i] = &given[i];
}

static int run_outputs(const SviModel *m, const Options *o, const char *name, bool counted, bool beside) {
  Session s;
  SviError error;
  int entry = entry_wanted(m, name);
  if (entry < 0) return EXIT_RUN;
  const SviEntry *e = &m->entry[entry];
  uint64_t count = (uint64_t)o->at[OPT_count].number, k = o->at[OPT_k].given ? (uint64_t)o->at[OPT_k].number : 0, have = 0;
  const char *from = o->at[OPT_given].text;
  SviArray *given = memory_new((size_t)m->nlatent, sizeof *given, "given latents");
  int code = EXIT_OK;
  if (from && !latents_read(m, from, given, &have, &error)) {
    complain("%s", error.text);
    code = EXIT_DATA;
  }
  if (from && (!o->at[OPT_count].given || count > have)) count = have;
  bool data = e->needs_data || !counted || o->at[OPT_data].n > 0;
  if (code == EXIT_OK) code = session_open(&s, m, o, data, e->axis, count);
  if (code != EXIT_OK) { latents_free(m, given); return code; }
  latents_bind(&s, given);
  uint64_t rows = count, batch = o->at[OPT_batch].given ? (uint64_t)o->at[OPT_batch].number : 500;
  if (!counted) rows = o->at[OPT_rows].given ? (uint64_t)o->at[OPT_rows].number : UINT64_MAX;
  if (e->axis >= 0 && rows > s.data.total[e->axis]) rows = s.data.total[e->axis];
  if (e->axis < 0 && !counted) rows = 1;
  Outputs out = outputs_of(&s, entry, rows, batch, k);
  code = outputs_give(&s, o, &out, beside, 0, from ? rows : (uint64_t)o->at[OPT_count].number);
  outputs_free(&out);
  session_close(&s);
  latents_free(m, given);
  return code;
}

/* ---- traverse: one latent goes from end to end of what the model draws, all else is drawn once and held
 *
 * A latent of two elements: a plane of pictures.  Any other: a line of them for each element.  The ends are the quantiles TAIL and
 * 1 - TAIL of the model's own draws.  A line is not one run: rows have draws of their own, so each picture is row 0 of a run. */
enum { TRAVERSE_DRAWS = 1000, TRAVERSE_LINES = 20 };
static const double traverse_tail = 0.02;

static int number_order(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The ends of each element: end[2 i], end[2 i + 1]. */
static bool traverse_ends(Session *s, int entry, const SviColumn *c, double *end) {
  Outputs out = outputs_of(s, entry, TRAVERSE_DRAWS, 500, 0);
  const SviArray *a = NULL;
  for (size_t i = 0; i < out.n; i++) if (strcmp(out.at[i].name, c->name) == 0) a = &out.at[i];
  double x[TRAVERSE_DRAWS];
  for (uint64_t i = 0; a && i < c->size; i++) {
    for (uint64_t r = 0; r < TRAVERSE_DRAWS; r++) x[r] = svi_array_get(a, r * c->size + i);
    qsort(x, TRAVERSE_DRAWS, sizeof *x, number_order);
    end[2 * i] = x[(int)(traverse_tail * TRAVERSE_DRAWS)], end[2 * i + 1] = x[TRAVERSE_DRAWS - 1 - (int)(traverse_tail * TRAVERSE_DRAWS)];
  }
  outputs_free(&out);
  return a != NULL;
}

static int traverse_latent(const SviModel *m, const Options *o) {
  const char *site = o->at[OPT_site].text;
  char text[400];
  if (m->nlatent == 0) { complain("the model has no latent for each row that could be given a value"); return -1; }
  if (!site && m->nlatent == 1) return 0;
  if (!site) { complain("which latent? --site with one of %s", latents_text(m, text, sizeof text)); return -1; }
  for (int i = 0; i < m->nlatent; i++) if (strcmp(m->latent[i].name, site) == 0) return i;
  complain("--site %s: the latents are %s", site, latents_text(m, text, sizeof text));
  return -1;
}

int command_traverse(const SviModel *m, const Options *o) {
  int entry = entry_wanted(m, "sample"), latent = entry < 0 ? -1 : traverse_latent(m, o);
  if (latent < 0) return entry < 0 ? EXIT_RUN : EXIT_USAGE;
  const SviEntry  *e = &m->entry[entry];
  const SviColumn *c = &m->latent[latent];
  Session s;
  int code = session_open(&s, m, o, e->needs_data, e->axis, TRAVERSE_DRAWS);
  if (code != EXIT_OK) return code;
  uint64_t steps = (uint64_t)o->at[OPT_count].number, size = c->size;
  uint64_t lines = size == 2 ? steps : size < TRAVERSE_LINES ? size : TRAVERSE_LINES;
  if (lines < size && size != 2) note("the first %d of %llu elements of `%s`", TRAVERSE_LINES, (unsigned long long)size, c->name);
  double *end = memory_new(2 * size, sizeof *end, "a traversal"), *x = memory_new(size, sizeof *x, "a traversal");
  if (!traverse_ends(&s, entry, c, end)) { complain("`%s` is not among what the model draws", c->name); code = EXIT_RUN; }
  SviArray given = { .name = (char *)(uintptr_t)c->name, .type = SVI_F64, .rank = 2, .dim = { 1, size }, .bytes = x };
  s.data.column[m->ncolumn + latent] = &given;
  Outputs out = outputs_new(e, lines * steps);
  Run *run = run_new(m, entry, s.pool, &s.data, &s.state.params, 1, 0);
  for (uint64_t i = 0; i < lines * steps && code == EXIT_OK; i++) {
    for (uint64_t k = 0; k < size; k++) x[k] = SVI_NOT_GIVEN;
    for (uint64_t k = 0; k < size; k++) {
      if (size != 2 && k != i / steps) continue;
      uint64_t step = size == 2 && k == 0 ? i / steps : i % steps;      /* the first element of two goes down, the second across */
      x[k] = end[2 * k] + (end[2 * k + 1] - end[2 * k]) * (steps == 1 ? 0.5 : (double)step / (double)(steps - 1));
      if (c->range.whole) x[k] = round(x[k]);
    }
    run_entry(run, s.data.identity, 1, s.seed, 0, s.option);
    outputs_take(&out, m, e, run, i, 1);
  }
  run_free(run);
  if (code == EXIT_OK) code = outputs_give(&s, o, &out, false, steps, lines * steps);
  outputs_free(&out);
  session_close(&s);
  memory_free(end);
  memory_free(x);
  return code;
}

int command_sample     (const SviModel *m, const Options *o) { return run_outputs(m, o, "sample",      true,  false); }
int command_reconstruct(const SviModel *m, const Options *o) { return run_outputs(m, o, "reconstruct", true,  true);  }
int command_encode     (const SviModel *m, const Options *o) { return run_outputs(m, o, "encode",      false, false); }
