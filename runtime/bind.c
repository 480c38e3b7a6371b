/* From data files to columns, strictly by name.
 *
 * In:  the files of --data.  Out: for each column of the model the array that holds it, and the rows of every plate.
 *
 * A column for each row of a plate has the file's dims [rows, dim..]; of a plate inside another, [rows, inner rows, dim..].
 * What follows the rows may be cut up otherwise than in the model ([28, 28] binds to [784]): only the size counts.  Arrays
 * keep the file's type, mapped where they can be, and are converted row by row when loaded. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

const SviColumn *column_of(const SviModel *m, int column) { return column < m->ncolumn ? &m->column[column] : &m->latent[column - m->ncolumn]; }

int axis_own(const SviModel *m, int axis) { return m->axis[axis].again > 0 ? m->axis[axis].again - 1 : axis; }

int axis_root(const SviModel *m, int axis) {
  while (m->axis[axis].parent >= 0) axis = m->axis[axis].parent;
  return axis;
}

uint64_t axis_inner(const SviModel *m, const uint64_t *size, int axis) {
  uint64_t n = 1;
  for (; m->axis[axis].parent >= 0; axis = m->axis[axis].parent) n *= size[axis];
  return n;
}

static const char *data_from(const Data *d, int column) {
  for (int f = 0; f < d->nfile; f++)
    if (d->column[column] >= d->file[f].at && d->column[column] < d->file[f].at + d->file[f].n) return d->path[f];
  return "the data";
}

static const char *column_wants(const SviModel *m, const SviColumn *c, char text[200]) {
  size_t at = 0;
  text[0] = 0;
  const char *plate[SVI_AXES];
  int depth = 0;
  for (int a = c->axis; a >= 0; a = m->axis[a].parent) plate[depth++] = m->axis[a].name;
  while (depth > 0 && at < 150) at += (size_t)snprintf(text + at, 200 - at, "%s%s", at ? ", " : "", plate[--depth]);
  for (int i = 0; i < c->rank && at < 180; i++) at += (size_t)snprintf(text + at, 200 - at, "%s%u", at ? ", " : "", c->dim[i]);
  return text;
}

static void data_holds(const Data *d, char *text, size_t room) {
  size_t at = 0;
  text[0] = 0;
  for (int f = 0; f < d->nfile; f++)
    for (size_t i = 0; i < d->file[f].n && at + 1 < room; i++) {
      char shape[100];
      int n = snprintf(text + at, room - at, "%s`%s` %s", at ? ", " : "", d->file[f].at[i].name,
                       svi_array_describe(&d->file[f].at[i], shape, sizeof shape));
      at += (size_t)n < room - at ? (size_t)n : room - at - 1;
    }
}

static bool data_total(Data *d, int axis, uint64_t rows, const char *from, SviError *e) {
  if (rows == 0) return error_set(e, "`%s` has no rows", from);
  if (rows > UINT32_MAX) return error_set(e, "`%s` has %llu rows; at most %u can be used", from, (unsigned long long)rows, UINT32_MAX);
  if (d->total[axis] != 0 && d->total[axis] != rows)
    return error_set(e, "`%s` and `%s` are both for each %s, but one has %llu rows and the other %llu", d->from[axis], from,
                     d->model->axis[axis].name, (unsigned long long)d->total[axis], (unsigned long long)rows);
  d->total[axis] = rows;
  d->from[axis] = from;
  return true;
}

static bool data_bind(Data *d, int column, SviError *e) {
  const SviModel  *m = d->model;
  const SviColumn *c = &m->column[column];
  const SviArray  *a = NULL;
  const char      *path = NULL;
  for (int f = 0; f < d->nfile; f++) {
    const SviArray *found = svi_file_find(&d->file[f], c->name);
    if (found && a) return error_set(e, "column `%s` is in %s and in %s", c->name, path, d->path[f]);
    if (found) { a = found; path = d->path[f]; }
  }
  if (!a) {
    char holds[300];
    data_holds(d, holds, sizeof holds);
    const char *names[256];
    size_t n = 0;
    for (int f = 0; f < d->nfile; f++)
      for (size_t i = 0; i < d->file[f].n && n < LENGTH(names); i++) names[n++] = d->file[f].at[i].name;
    const char *near = text_nearest(c->name, names, n);
    if (c->points > 0)
      return error_set(e, "%s: there is no column `%s`, which tells the %s of each %s (line %u), counted from 0; it holds %s", d->path[0], c->name,
                       m->axis[c->points - 1].name, m->axis[c->axis].name, c->place.line, holds[0] ? holds : "nothing");
    return error_set(e, "%s: there is no column `%s`%s%s%s; it holds %s", d->path[0], c->name, near ? ", did you mean `" : "", near ? near : "",
                     near ? "`?" : "", holds[0] ? holds : "nothing");
  }
  int chain[SVI_AXES], depth = 0;
  for (int x = c->axis; x >= 0; x = m->axis[x].parent) chain[depth++] = x;
  char shape[100], wants[200];
  svi_array_describe(a, shape, sizeof shape);
  uint64_t rest = 1;
  for (int i = depth; i < a->rank; i++) rest *= a->dim[i];
  if (a->rank < depth || rest != c->size)
    return error_set(e, "%s: column `%s` is %s, but the model (line %u) needs [%s]", path, c->name, shape, c->place.line, column_wants(m, c, wants));
  d->column[column] = a;
  for (int i = 0; i < depth; i++) if (!data_total(d, chain[depth - 1 - i], a->dim[i], c->name, e)) return false;
  return true;
}

static bool data_unused(const Data *d, BindHow how, SviError *e) {
  for (int f = 0; f < d->nfile; f++)
    for (size_t i = 0; i < d->file[f].n; i++) {
      const char *name = d->file[f].at[i].name;
      bool used = false;
      for (int c = 0; c < d->model->ncolumn; c++) used |= strcmp(d->model->column[c].name, name) == 0;
      if (used) continue;
      if (how.strict) return error_set(e, "%s: the model has no column `%s` (--strict)", d->path[f], name);
      if (!how.quiet) note("note: %s: `%s` is not used by the model", d->path[f], name);
    }
  return true;
}

void data_empty(Data *d, const SviModel *m) {
  *d = (Data){ .model = m };
  d->column = memory_new((size_t)(m->ncolumn + m->nlatent), sizeof *d->column, "the columns");
}

bool data_open(Data *d, const SviModel *m, const char *const *paths, int n, BindHow how, SviError *e) {
  data_empty(d, m);
  d->file = memory_new((size_t)n, sizeof *d->file, "the data files");
  d->path = memory_new((size_t)n, sizeof *d->path, "the data files");
  for (int i = 0; i < n; i++) {
    d->path[i] = paths[i];
    if (!svi_file_open(paths[i], &d->file[i], e)) { data_close(d); return false; }
    d->nfile = i + 1;
  }
  for (int c = 0; c < m->ncolumn; c++) if (!data_bind(d, c, e)) { data_close(d); return false; }
  if (!data_unused(d, how, e)) { data_close(d); return false; }
  return true;
}

/* ---- values */
enum { BLOCK = 4096 };          /* elements looked at at once */
typedef struct { const SviArray *array; SviRange range; uint64_t count, parts; _Atomic uint64_t bad; } Scan;

static bool value_fits(SviRange r, double x) {
  return (r.lo_open ? x > r.lo : x >= r.lo) && (r.hi_open ? x < r.hi : x <= r.hi) && (!r.whole || x == floor(x)) && isfinite(x);
}

static bool block_fits(SviRange r, const double *x, uint64_t n) {
  int bad = 0;
  for (uint64_t i = 0; i < n; i++) bad |= !(x[i] >= r.lo) | !(x[i] <= r.hi) | !(x[i] - x[i] == 0);
  if (r.whole)   for (uint64_t i = 0; i < n; i++) bad |= x[i] != floor(x[i]);
  if (r.lo_open) for (uint64_t i = 0; i < n; i++) bad |= x[i] == r.lo;
  if (r.hi_open) for (uint64_t i = 0; i < n; i++) bad |= x[i] == r.hi;
  return !bad;
}

/* Most data is bytes: their least and most tell. */
static bool bytes_fit(SviRange r, const uint8_t *x, uint64_t n) {
  uint8_t lo = 255, hi = 0;
  for (uint64_t i = 0; i < n; i++) {
    lo = x[i] < lo ? x[i] : lo;
    hi = x[i] > hi ? x[i] : hi;
  }
  return lo >= r.lo && hi <= r.hi;
}

static void least(_Atomic uint64_t *at, uint64_t x) {
  uint64_t old = atomic_load(at);
  while (x < old && !atomic_compare_exchange_weak(at, &old, x)) {}
}

static void scan_part(void *context, unsigned part, unsigned thread) {
  (void)thread;
  Scan  *s = context;
  double x[BLOCK];
  bool   bytes = (s->array->type == SVI_U8 || s->array->type == SVI_BOOL) && !s->range.lo_open && !s->range.hi_open;
  uint64_t blocks = (s->count + BLOCK - 1) / BLOCK;
  for (uint64_t b = blocks * part / s->parts; b < blocks * (part + 1) / s->parts; b++) {
    uint64_t first = b * BLOCK, n = s->count - first < BLOCK ? s->count - first : BLOCK;
    uint32_t row = (uint32_t)b;
    if (bytes && bytes_fit(s->range, (const uint8_t *)s->array->bytes + first, n)) continue;
    if (n == BLOCK) svi_array_rows_f64(s->array, &row, 1, BLOCK, x);
    else for (uint64_t i = 0; i < n; i++) x[i] = svi_array_get(s->array, first + i);
    if (block_fits(s->range, x, n)) continue;
    for (uint64_t i = 0; i < n; i++) if (!value_fits(s->range, x[i])) { least(&s->bad, first + i); break; }
    return;
  }
}

static void range_text(SviRange r, char text[120]) {
  const char *what = r.whole ? "whole numbers" : "numbers";
  if (isinf(r.lo) && isinf(r.hi)) snprintf(text, 120, "finite %s", what);
  else if (isinf(r.hi)) snprintf(text, 120, "%s %s %g", what, r.lo_open ? "above" : "from", r.lo);
  else if (isinf(r.lo)) snprintf(text, 120, "%s %s %g", what, r.hi_open ? "below" : "up to", r.hi);
  else if (r.whole && r.lo == 0 && r.hi == 1) snprintf(text, 120, "0 or 1");
  else snprintf(text, 120, "%s %s %g %s %g", what, r.lo_open ? "above" : "from", r.lo, r.hi_open ? "and below" : "to", r.hi);
}

bool data_check(const Data *d, Pool *pool, SviError *e) {
  for (int c = 0; c < d->model->ncolumn; c++) {
    const SviColumn *column = &d->model->column[c];
    const SviArray  *a = d->column[c];
    if (!a) continue;
    Scan s = { .array = a, .range = column->range, .count = svi_array_count(a) };
    if (column->points > 0) s.range = (SviRange){ .hi = (double)d->total[column->points - 1] - 1, .whole = true };
    bool byte = a->type == SVI_U8 || a->type == SVI_BOOL;
    if (byte && s.range.lo <= 0 && !s.range.lo_open && s.range.hi >= 255) continue;
    atomic_store(&s.bad, UINT64_MAX);
    s.parts = s.count < 64 * BLOCK ? 1 : 32;
    pool_run(pool, (unsigned)s.parts, scan_part, &s);
    uint64_t bad = atomic_load(&s.bad);
    if (bad == UINT64_MAX) continue;
    char   needs[120], where[120];
    double x = svi_array_get(a, bad);
    uint64_t inner = column->axis < 0 ? s.count : axis_inner(d->model, d->total, column->axis) * column->size;
    range_text(s.range, needs);
    if (column->axis < 0)  snprintf(where, sizeof where, "element %llu", (unsigned long long)bad);
    else if (inner == 1)   snprintf(where, sizeof where, "row %llu", (unsigned long long)bad);
    else snprintf(where, sizeof where, "row %llu, element %llu", (unsigned long long)(bad / inner), (unsigned long long)(bad % inner));
    bool grey = s.range.hi == 1 && x > 1 && x <= 255;
    return error_set(e, "%s: column `%s`, %s (counted from 0) is %g; %s needs %s%s", data_from(d, c), column->name, where, x, column->type, needs,
                     grey ? " (bytes 0 to 255 are declared as `= file.NAME / 255`)" : "");
  }
  return true;
}

static double array_max(const SviArray *a) {
  double most = -1;
  uint64_t n = svi_array_count(a);
  for (uint64_t i = 0; i < n; i++) { double x = svi_array_get(a, i); if (x > most) most = x; }
  return most;
}

bool data_sized(Data *d, SviError *e) {
  const SviModel *m = d->model;
  for (int c = 0; c < m->ncolumn; c++) {
    int plate = m->column[c].points - 1;
    if (plate < 0 || !d->column[c] || (d->total[plate] != 0 && d->from[plate] == NULL)) continue;
    double most = array_max(d->column[c]);
    if (!(most >= 0 && most < 4e9)) return error_set(e, "column `%s` numbers the rows of plate `%s`, but its largest value is %g", m->column[c].name, m->axis[plate].name, most);
    bool by_column = false;      /* a column of the plate, or of one inside it, has the last word; data_check compares */
    for (int i = 0; i < m->ncolumn; i++)
      for (int a = m->column[i].axis; a >= 0; a = m->axis[a].parent) by_column |= a == plate && d->column[i];
    if (!by_column && (uint64_t)most + 1 > d->total[plate]) { d->total[plate] = (uint64_t)most + 1; d->from[plate] = m->column[c].name; }
  }
  uint64_t most = 1;
  for (int a = 0; a < m->naxis; a++) {
    if (m->axis[a].kind != 0) continue;
    if (axis_own(m, a) != a) d->total[a] = d->total[axis_own(m, a)];
    if (d->total[a] == 0 && d->nfile == 0 && m->axis[a].parent >= 0) return error_set(e, "the rows of plate `%s` are not known: say --size %s=N", m->axis[a].name, m->axis[a].name);
    if (d->total[a] == 0) return error_set(e, "the rows of plate `%s` are not known: no column of the data is for each %s", m->axis[a].name, m->axis[a].name);
    if (d->total[a] > most) most = d->total[a];
  }
  memory_free(d->identity);
  d->identity = memory_new(most, sizeof *d->identity, "row numbers");
  d->nidentity = most;
  for (uint64_t i = 0; i < most; i++) d->identity[i] = (uint32_t)i;
  return true;
}

void data_first(Data *d, int axis, uint64_t rows) {
  if (axis < 0 || d->total[axis] <= rows) return;
  d->total[axis] = rows;
  for (int a = 0; a < d->model->naxis; a++)
    if (d->model->axis[a].kind == 0 && axis_own(d->model, a) == axis) d->total[a] = rows;
}

void data_close(Data *d) {
  for (int i = 0; i < d->nfile; i++) svi_file_close(&d->file[i]);
  memory_free(d->file);
  memory_free(d->path);
  memory_free(d->column);
  memory_free(d->identity);
  *d = (Data){0};
}

/* ---- loading, from generated code */
void svi_load_rows(const SviCall *call, int32_t column, uint64_t first, uint64_t rows, void *out) {
  const struct SviTrainer *t = call->trainer;
  const SviModel *m = t->model;
  bool wide = m->real_bytes == 8;
  int      axis = column < 0 ? m->param[-1 - column].axis : column_of(m, column)->axis;
  uint64_t size = column < 0 ? m->param[-1 - column].size : column_of(m, column)->size;
  static const uint32_t only = 0;
  const uint32_t *row = &only;
  if (axis >= 0) {
    row   = call->row[axis_root(m, axis)] + first;
    size *= axis_inner(m, call->size, axis);
  } else rows = 1;
  if (column < 0) {
    const char *from = t->params->row[-1 - column];
    size_t bytes = size * m->real_bytes;
    for (uint64_t i = 0; i < rows; i++) memcpy((char *)out + i * bytes, from + row[i] * bytes, bytes);
    return;
  }
  const SviArray *a = t->data->column[column];
  if (!a && column >= m->ncolumn) for (uint64_t i = 0; i < rows * size; i++) real_set(m->real_bytes, out, i, SVI_NOT_GIVEN);
  else if (!a) memset(out, 0, rows * size * m->real_bytes);      /* only entries that say needs_data read columns */
  else if (wide) svi_array_rows_f64(a, row, rows, size, out);
  else           svi_array_rows_f32(a, row, rows, size, out);
}
