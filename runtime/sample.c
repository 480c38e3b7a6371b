/* sample, reconstruct, encode: entries whose row outputs are what is wanted, written as numbers (--to) or pictures (--png).
 *
 * An output is one array [rows, dim..]; its rows are gathered over batches. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

typedef struct { SviArray *at; size_t n; uint64_t rows; } Outputs;

static void outputs_free(Outputs *o) {
  for (size_t i = 0; i < o->n; i++) memory_free((void *)(uintptr_t)o->at[i].bytes);
  memory_free(o->at);
}

/* Runs an entry over `rows` rows (without a plate: as many times) and keeps all its outputs. */
static Outputs outputs_of(Session *s, int entry, uint64_t rows, uint64_t batch, uint64_t k) {
  const SviModel *m = s->model;
  const SviEntry *e = &m->entry[entry];
  size_t  width = m->real_bytes;
  Outputs o = { memory_new((size_t)e->nout, sizeof(SviArray), e->name), (size_t)e->nout, rows };
  if (e->axis < 0) batch = 1;
  Run *run = run_new(m, entry, s->pool, &s->data, &s->state.params, batch, k);
  for (uint64_t first = 0; first < rows; first += batch) {
    uint64_t n = rows - first < batch ? rows - first : batch;
    /* Without rows to tell the draws apart, the step does. */
    run_entry(run, e->axis < 0 ? NULL : s->data.identity + first, n, s->seed, e->axis < 0 ? first : 0, s->option);
    for (size_t i = 0; i < o.n; i++) {
      uint64_t count, each;
      const void *from = run_out(run, (int)i, &count);
      SviArray *a = &o.at[i];
      each = count / n * e->out[i].size;
      if (!a->bytes) {
        *a = (SviArray){ .name = (char *)(uintptr_t)e->out[i].name, .type = width == 8 ? SVI_F64 : SVI_F32, .rank = 1, .dim = { rows } };
        a->bytes = memory_new(rows * each, width, e->out[i].name);
        if (count / n > 1) a->dim[a->rank++] = count / n;
        for (int d = 0; d < e->out[i].rank && a->rank < SVI_MAX_RANK; d++) a->dim[a->rank++] = e->out[i].dim[d];
      }
      memcpy((char *)(uintptr_t)a->bytes + first * each * width, from, n * each * width);
    }
  }
  run_free(run);
  return o;
}

static uint64_t event_size(const SviArray *a) { return a->dim[0] ? svi_array_count(a) / a->dim[0] : 0; }

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), k = strlen(end);
  return n >= k && strcmp(s + n - k, end) == 0;
}

static bool outputs_write(const Outputs *o, const char *to, SviError *e) {
  if (ends_with(to, ".csv")) return svi_csv_write(to, o->at, o->n, e);
  if (ends_with(to, ".npz")) return svi_npz_write(to, o->at, o->n, e);
  if (ends_with(to, ".safetensors")) return svi_safetensors_write(to, o->at, o->n, NULL, 0, e);
  if (ends_with(to, ".npy") && o->n == 1) return svi_npy_write(to, o->at, e);
  return error_set(e, "--to %s: the name must end in .npz, .csv or .safetensors%s", to, o->n == 1 ? ", or .npy" : "");
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

/* The grid: `top` alone, or rows of it (what was) above rows of `a` (what the model makes of it). */
static bool picture_write(const Options *o, const SviArray *a, const SviArray *top, uint64_t n, SviError *e) {
  uint32_t h = 0, w = 0;
  if (!picture_shape(o, a, &h, &w, e)) return false;
  uint64_t size = (uint64_t)h * w, columns = (uint64_t)ceil(sqrt((double)n)), bands = (n + columns - 1) / columns, shown = top ? 2 * bands * columns : n;
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

static int outputs_give(Session *s, const Options *o, const Outputs *out, bool beside) {
  SviError e;
  bool ok = true;
  const char *png = o->at[OPT_png].text, *to = o->at[OPT_to].text;
  if (to) ok = outputs_write(out, to, &e);
  if (ok && png) {
    const SviArray *a = picture_find(s->model, o, out, &e);
    uint64_t n = (uint64_t)o->at[OPT_count].number;
    ok = a && picture_write(o, a, beside ? picture_original(s, out, a) : NULL, n < out->rows ? n : out->rows, &e);
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

static int run_outputs(const SviModel *m, const Options *o, const char *name, bool counted, bool beside) {
  Session s;
  int entry = entry_wanted(m, name);
  if (entry < 0) return EXIT_RUN;
  const SviEntry *e = &m->entry[entry];
  uint64_t count = (uint64_t)o->at[OPT_count].number, k = o->at[OPT_k].given ? (uint64_t)o->at[OPT_k].number : 0;
  bool data = e->needs_data || !counted || o->at[OPT_data].n > 0;
  int code = session_open(&s, m, o, data, e->axis, count);
  if (code != EXIT_OK) return code;
  uint64_t rows = count, batch = o->at[OPT_batch].given ? (uint64_t)o->at[OPT_batch].number : 500;
  if (!counted) rows = o->at[OPT_rows].given ? (uint64_t)o->at[OPT_rows].number : UINT64_MAX;
  if (e->axis >= 0 && rows > s.data.total[e->axis]) rows = s.data.total[e->axis];
  if (e->axis < 0 && !counted) rows = 1;
  Outputs out = outputs_of(&s, entry, rows, batch, k);
  code = outputs_give(&s, o, &out, beside);
  outputs_free(&out);
  session_close(&s);
  return code;
}

int command_sample     (const SviModel *m, const Options *o) { return run_outputs(m, o, "sample",      true,  false); }
int command_reconstruct(const SviModel *m, const Options *o) { return run_outputs(m, o, "reconstruct", true,  true);  }
int command_encode     (const SviModel *m, const Options *o) { return run_outputs(m, o, "encode",      false, false); }
