/* csv: tables of numbers as text.
 *
 * Reading.  In: lines of fields, the first line the names of the columns, unless all its fields are
 * numbers.  Out: each column an f64 array; columns name[0], name[1], ... or name.0, name.1, ... together
 * one array of rank 2.  A byte order mark, CR before LF, quotes, and spaces around fields are understood;
 * nan and inf are numbers; anything else that is no number is an error with its line and column.
 *
 * One pass: how many rows there can be is bounded by the lines and by the bytes (a field takes two), so the
 * arrays are laid out before the first row is read and rows are written where they belong.
 *
 * Writing.  The same table back; every number in the fewest digits that read back as the same number. */
#define _GNU_SOURCE 1          /* strtod_l */
#include "inside.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- numbers ---- */

/* The "C" locale, so that a program's decimal comma does not change what a file means. */
static locale_t plain_locale(void) { return newlocale(LC_ALL_MASK, "C", (locale_t)0); }

static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

static bool is_word(const char *p, size_t n, const char *word) {
  if (n != strlen(word)) return false;
  for (size_t i = 0; i < n; i++) if (tolower((unsigned char)p[i]) != word[i]) return false;
  return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool read_word(const char *p, size_t n, double sign, double *value) {
  if (is_word(p, n, "nan")) return *value = NAN, true;
  if (is_word(p, n, "inf") || is_word(p, n, "infinity")) return *value = sign * INFINITY, true;
  return false;
}

typedef enum { NUMBER, NOT_NUMBER, TOO_LARGE } Reading;

/* The long way, for the numbers that one product does not round rightly. */
static Reading read_slowly(const char *p, size_t n, locale_t locale, double *value) {
  char text[1100];
  if (n >= sizeof text) return NOT_NUMBER;
  memcpy(text, p, n);
  text[n] = 0;
  *value = strtod_l(text, NULL, locale);
  return isinf(*value) ? TOO_LARGE : NUMBER;
}

/* m 10^e with m below 2^53 and |e| <= 22 is one exactly rounded operation on two exact numbers (Clinger,
 * "How to read floating point numbers accurately", 1990). */
static Reading read_number(const char *p, size_t n, locale_t locale, double *value) {
  const char *from = p, *end = p + n;
  double sign = 1;
  if (p < end && (*p == '-' || *p == '+')) sign = *p++ == '-' ? -1 : 1;
  if (p < end && isalpha((unsigned char)*p))
    return read_word(p, (size_t)(end - p), sign, value) ? NUMBER : NOT_NUMBER;
  uint64_t m = 0;
  int digits = 0, exponent = 0, written = 0;
  bool any = false, point = false, many = false;
  for (; p < end && (is_digit(*p) || (*p == '.' && !point)); p++) {
    if (*p == '.') { point = true; continue; }
    any = true;
    if (digits || *p != '0') digits++;
    if (digits <= 19) { m = 10 * m + (uint64_t)(*p - '0'); exponent -= point; }
    else many = true;
  }
  if (!any) return NOT_NUMBER;
  if (p < end && (*p == 'e' || *p == 'E')) {
    bool minus = false;
    if (++p < end && (*p == '-' || *p == '+')) minus = *p++ == '-';
    if (p == end) return NOT_NUMBER;
    for (; p < end && is_digit(*p); p++) if (written < 100000) written = 10 * written + (*p - '0');
    exponent += minus ? -written : written;
  }
  if (p != end) return NOT_NUMBER;
  if (many || m > 1ull << 53 || exponent < -22 || exponent > 22) return read_slowly(from, n, locale, value);
  *value = sign * (exponent < 0 ? (double)m / tens[-exponent] : (double)m * tens[exponent]);
  return NUMBER;
}

/* ---- lines and fields ---- */

typedef struct {
  char    *name;               /* of the array */
  char    *whole;              /* as the header has it */
  uint32_t index;              /* name[index] or name.index */
  char     mark;               /* '[', '.', or 0: a column of its own */
  uint32_t leader;             /* the first column of its array in the file */
  uint32_t width;              /* how many columns its array has */
  double  *base;               /* of the leader: the array */
  double  *at;                 /* its first row */
} Column;

typedef struct {
  const char *p, *end;         /* what is left of the file */
  const char *next, *stop;     /* what is left of the line; next is NULL when no field is left */
  uint64_t    line;
  char        delimiter;
  const char *where;
  SviError   *error;
  locale_t    locale;
  Column     *column;
  uint32_t    ncolumns;
  bool        header;
} Csv;

typedef struct { const char *p; size_t n; bool quoted; } Field;

static bool next_line(Csv *c) {
  if (c->p >= c->end) return false;
  const char *stop = memchr(c->p, '\n', (size_t)(c->end - c->p));
  c->next = c->p;
  c->stop = stop ? stop : c->end;
  c->p = stop ? stop + 1 : c->end;
  if (c->stop > c->next && c->stop[-1] == '\r') c->stop--;
  c->line++;
  return true;
}

static bool is_blank(const Csv *c, char ch) { return ch == ' ' || (ch == '\t' && c->delimiter != '\t'); }

/* `index` counts from 0 and is for the message. */
static bool next_field(Csv *c, uint32_t index, Field *f) {
  const char *p = c->next, *stop = c->stop;
  while (p < stop && is_blank(c, *p)) p++;
  if (p < stop && *p == '"') {
    const char *close = ++p;
    while (close < stop && !(*close == '"' && (close + 1 == stop || close[1] != '"')))
      close += *close == '"' ? 2 : 1;
    if (close >= stop)
      return svi_fail(c->error, "%s:%" PRIu64 ": column %u: a quote that does not close on its line",
                      c->where, c->line, index + 1);
    *f = (Field){ p, (size_t)(close - p), true };
    for (p = close + 1; p < stop && is_blank(c, *p); p++) { }
    if (p < stop && *p != c->delimiter)
      return svi_fail(c->error, "%s:%" PRIu64 ": column %u: text after the closing quote", c->where, c->line,
                      index + 1);
    c->next = p < stop ? p + 1 : NULL;
    return true;
  }
  const char *close = memchr(p, c->delimiter, (size_t)(stop - p));
  c->next = close ? close + 1 : NULL;
  if (!close) close = stop;
  while (close > p && is_blank(c, close[-1])) close--;
  *f = (Field){ p, (size_t)(close - p), false };
  return true;
}

/* ---- the header ---- */

#define MOST_COLUMNS 1000000u

/* name[12] or name.12 becomes the name, cut in place, and the index. */
static void split_name(Column *c) {
  size_t n = strlen(c->name), end = n;
  bool bracket = n && c->name[n - 1] == ']';
  if (bracket) end--;
  size_t first = end;
  while (first > 0 && is_digit(c->name[first - 1])) first--;
  if (first == end || end - first > 8 || first < 2 || c->name[first - 1] != (bracket ? '[' : '.')) return;
  if (end - first > 1 && c->name[first] == '0') return;
  c->index = (uint32_t)strtoul(c->name + first, NULL, 10);
  c->mark = c->name[first - 1];
  c->name[first - 1] = 0;
}

static char *copy_name(Field f) {
  char *copy = malloc(f.n + 1);
  if (!copy) return NULL;
  size_t n = 0;
  for (size_t i = 0; i < f.n; i++) {
    copy[n++] = f.p[i];
    if (f.quoted && f.p[i] == '"') i++;
  }
  copy[n] = 0;
  return copy;
}

static bool add_column(Csv *c, uint32_t *room, Field f) {
  if (c->ncolumns == MOST_COLUMNS)
    return svi_fail(c->error, "%s:%" PRIu64 ": more than %u columns", c->where, c->line, MOST_COLUMNS);
  if (c->ncolumns == *room) {
    uint32_t more = *room ? 2 * *room : 16;
    Column *column = realloc(c->column, more * sizeof *column);
    if (!column) return svi_fail(c->error, "%s: out of memory for %u columns", c->where, more);
    c->column = column;
    *room = more;
  }
  Column *k = &c->column[c->ncolumns];
  *k = (Column){ .leader = c->ncolumns, .width = 1 };
  k->whole = copy_name(f);
  k->name = k->whole ? strdup(k->whole) : NULL;
  c->ncolumns++;
  return k->name ? true : svi_fail(c->error, "%s: out of memory", c->where);
}

/* One column only: perhaps the table is separated by something else. */
static bool check_separator(const Csv *c, const char *from) {
  if (c->ncolumns > 1 || c->delimiter != ',' || from == c->stop || *from == '"') return true;
  size_t n = (size_t)(c->stop - from);
  if (memchr(from, '\t', n))
    return svi_fail(c->error, "%s:%" PRIu64 ": fields are separated by tabs, needed commas; call the file "
                    ".tsv", c->where, c->line);
  if (memchr(from, ';', n))
    return svi_fail(c->error, "%s:%" PRIu64 ": fields are separated by semicolons, needed commas, and a "
                    "point in numbers", c->where, c->line);
  return true;
}

static int by_group(const void *a, const void *b) {
  const Column *x = *(Column *const *)a, *y = *(Column *const *)b;
  int names = strcmp(x->name, y->name);
  if (names) return names;
  if (x->mark != y->mark) return x->mark < y->mark ? -1 : 1;
  if (x->index != y->index) return x->index < y->index ? -1 : 1;
  return x < y ? -1 : x > y;
}

/* A run of columns of one name and mark, sorted by index. */
static bool join_run(Csv *c, Column **run, uint32_t n) {
  uint32_t good = 0, leader = (uint32_t)(run[0] - c->column);
  while (good < n && run[good]->index == good) good++;
  if (good < n && run[0]->mark == '[') {
    bool twice = good > 0 && run[good]->index == good - 1;
    return svi_fail(c->error, "%s:%" PRIu64 ": column %s[%u] is %s; needed %s[0], %s[1], ... each once",
                    c->where, c->line, run[0]->name, twice ? good - 1 : good,
                    twice ? "there twice" : "missing", run[0]->name, run[0]->name);
  }
  if (good < n) {                                /* x.1 without x.0 is a name like another */
    for (uint32_t i = 0; i < n; i++) { run[i]->mark = 0; strcpy(run[i]->name, run[i]->whole); }
    return true;
  }
  for (uint32_t i = 0; i < n; i++) if (run[i] - c->column < leader) leader = (uint32_t)(run[i] - c->column);
  for (uint32_t i = 0; i < n; i++) { run[i]->leader = leader; run[i]->width = n; }
  return true;
}

static bool is_one_group(const Column *a, const Column *b) {
  return a->mark == b->mark && !strcmp(a->name, b->name);
}

static bool join_columns(Csv *c) {
  Column **order = malloc(c->ncolumns * sizeof *order);
  if (!order) return svi_fail(c->error, "%s: out of memory", c->where);
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->ncolumns; i++) {
    split_name(&c->column[i]);
    if (c->column[i].mark) order[n++] = &c->column[i];
  }
  qsort(order, n, sizeof *order, by_group);
  bool ok = true;
  for (uint32_t i = 0, k; ok && i < n; i = k) {
    for (k = i + 1; k < n && is_one_group(order[k], order[i]); ) k++;
    ok = join_run(c, order + i, k - i);
  }
  free(order);
  return ok;
}

/* The first line was numbers: the columns are c1, c2, ..., and it is read once more as a row. */
static bool name_columns(Csv *c) {
  for (uint32_t i = 0; i < c->ncolumns; i++) {
    char *name = malloc(16);
    if (!name) return svi_fail(c->error, "%s: out of memory", c->where);
    snprintf(name, 16, "c%u", i + 1);
    free(c->column[i].name);
    c->column[i].name = name;
  }
  return true;
}

static bool read_header(Csv *c) {
  const char *begin = c->p;
  uint32_t room = 0, unnamed = 0;
  next_line(c);
  const char *from = c->next;
  while (c->next) {
    Field f = { 0 };
    double value;
    if (!next_field(c, c->ncolumns, &f) || !add_column(c, &room, f)) return false;
    if (f.n == 0 && !unnamed) unnamed = c->ncolumns;
    if (read_number(f.p, f.n, c->locale, &value) != NUMBER) c->header = true;
    if (memchr(f.p, 0, f.n))
      return svi_fail(c->error, "%s:%" PRIu64 ": column %u: a zero byte, needed text", c->where, c->line,
                      c->ncolumns);
  }
  if (!check_separator(c, from)) return false;
  if (!c->header) {
    c->p = begin;
    c->line--;
    return name_columns(c);
  }
  if (unnamed && c->ncolumns == 1)
    return svi_fail(c->error, "%s:%" PRIu64 ": an empty line, needed the names of the columns", c->where,
                    c->line);
  if (unnamed)
    return svi_fail(c->error, "%s:%" PRIu64 ": column %u has no name; name it, or write the table without "
                    "an index", c->where, c->line, unnamed);
  return join_columns(c);
}

/* ---- the rows ---- */

static bool fail_field(const Csv *c, uint32_t i, Field f, Reading reading) {
  char column[160];
  if (c->header) snprintf(column, sizeof column, "column %u (%.100s)", i + 1, c->column[i].whole);
  else snprintf(column, sizeof column, "column %u", i + 1);
  if (f.n == 0)
    return svi_fail(c->error, "%s:%" PRIu64 ": %s: an empty field, needed a number (nan where none is "
                    "known)", c->where, c->line, column);
  return svi_fail(c->error, "%s:%" PRIu64 ": %s: \"%.*s\" is %s", c->where, c->line, column,
                  f.n > 40 ? 40 : (int)f.n, f.p,
                  reading == TOO_LARGE ? "too large for a number" : "not a number");
}

static bool fail_count(const Csv *c, uint32_t found) {
  return svi_fail(c->error, "%s:%" PRIu64 ": %u field%s, the %s has %u", c->where, c->line, found,
                  found == 1 ? "" : "s", c->header ? "header" : "first line", c->ncolumns);
}

static bool read_row(Csv *c, uint64_t row) {
  if (c->next == c->stop && c->ncolumns > 1)
    return svi_fail(c->error, "%s:%" PRIu64 ": an empty line, needed %u fields", c->where, c->line,
                    c->ncolumns);
  uint32_t i = 0;
  for (; c->next; i++) {
    Field f = { 0 };
    if (!next_field(c, i, &f)) return false;
    if (i >= c->ncolumns) continue;              /* counted for the message */
    Column *k = &c->column[i];
    Reading reading = read_number(f.p, f.n, c->locale, &k->at[row * k->width]);
    if (reading != NUMBER) return fail_field(c, i, f, reading);
  }
  return i == c->ncolumns ? true : fail_count(c, i);
}

/* At most this many rows can follow.  A field that is no error takes a character and a separator, so before
 * row number `bound` the bytes or the lines are at an end, or an error was. */
static uint64_t rows_bound(const Csv *c) {
  uint64_t lines = 1, most = (uint64_t)(c->end - c->p) / (2 * (uint64_t)c->ncolumns) + 1;
  for (const char *p = c->p; lines < most && (p = memchr(p, '\n', (size_t)(c->end - p))); p++) lines++;
  return lines < most ? lines : most;
}

static bool read_rows(Csv *c, SviFile *f) {
  uint64_t bound = rows_bound(c), row = 0;
  double *base = svi_file_alloc(f, bound * c->ncolumns * sizeof *base, c->where, c->error);
  if (!base) return false;
  for (uint32_t i = 0; i < c->ncolumns; i++) {
    Column *k = &c->column[i];
    if (k->leader != i) continue;
    k->base = base;
    base += bound * k->width;
  }
  for (uint32_t i = 0; i < c->ncolumns; i++)
    c->column[i].at = c->column[c->column[i].leader].base + (c->column[i].mark ? c->column[i].index : 0);
  while (next_line(c)) {
    assert(row < bound);                         /* see rows_bound */
    if (!read_row(c, row++)) return false;
  }
  if (row == 0) return svi_fail(c->error, "%s: a header and no rows", c->where);
  for (uint32_t i = 0; i < c->ncolumns; i++) {
    const Column *k = &c->column[i];
    if (k->leader != i) continue;
    SviArray *a = svi_file_add(f, k->name, strlen(k->name), c->where, c->error);
    if (!a) return false;
    a->type = SVI_F64;
    a->rank = k->mark ? 2 : 1;
    a->dim[0] = row;
    a->dim[1] = k->mark ? k->width : 0;
    a->bytes = k->base;
  }
  return true;
}

static bool read_table(Csv *c, SviFile *f) {
  while (c->end > c->p && (c->end[-1] == '\n' || c->end[-1] == '\r' || c->end[-1] == ' ')) c->end--;
  if (c->p == c->end) return svi_fail(c->error, "%s: the file has no text", c->where);
  return read_header(c) && read_rows(c, f);
}

bool svi_csv_read(SviBytes in, const char *where, char delimiter, SviFile *f, SviError *error) {
  if (in.size >= 2 && (!memcmp(in.at, "\xff\xfe", 2) || !memcmp(in.at, "\xfe\xff", 2)))
    return svi_fail(error, "%s: text in UTF-16, needed UTF-8", where);
  size_t mark = in.size >= 3 && !memcmp(in.at, "\xef\xbb\xbf", 3) ? 3 : 0;
  Csv c = { .p = (const char *)in.at + mark, .end = (const char *)in.at + in.size, .delimiter = delimiter,
            .where = where, .error = error, .locale = plain_locale() };
  if (!c.locale) return svi_fail(error, "%s: out of memory", where);
  bool ok = read_table(&c, f);
  for (uint32_t i = 0; i < c.ncolumns; i++) { free(c.column[i].name); free(c.column[i].whole); }
  free(c.column);
  freelocale(c.locale);
  return ok;
}

/* ---- writing ---- */

static size_t print_f64(char *text, size_t room, double v, locale_t locale) {
  int n = 0;
  for (int digits = 15; digits <= 17; digits++) {
    n = snprintf(text, room, "%.*g", digits, v);
    if (strtod_l(text, NULL, locale) == v) break;
  }
  return (size_t)n;
}

static size_t print_f32(char *text, size_t room, float v, locale_t locale) {
  int n = 0;
  for (int digits = 6; digits <= 9; digits++) {
    n = snprintf(text, room, "%.*g", digits, (double)v);
    if (strtof_l(text, NULL, locale) == v) break;
  }
  return (size_t)n;
}

static size_t print_element(char *text, size_t room, const SviArray *a, uint64_t i, locale_t locale) {
  const char *p = (const char *)a->bytes + i * svi_type_size(a->type);
  double v = svi_array_get(a, i);
  int64_t wide;
  memcpy(&wide, p, a->type == SVI_I64 || a->type == SVI_U64 ? sizeof wide : 0);
  switch (a->type) {
  case SVI_F32:
  case SVI_F64:
    if (isnan(v)) return (size_t)snprintf(text, room, "nan");
    if (isinf(v)) return (size_t)snprintf(text, room, v < 0 ? "-inf" : "inf");
    return a->type == SVI_F32 ? print_f32(text, room, (float)v, locale) : print_f64(text, room, v, locale);
  case SVI_I64: return (size_t)snprintf(text, room, "%" PRId64, wide);
  case SVI_U64: return (size_t)snprintf(text, room, "%" PRIu64, (uint64_t)wide);
  case SVI_U8: case SVI_I8: case SVI_U16: case SVI_I16: case SVI_I32: case SVI_U32: case SVI_BOOL:
    return (size_t)snprintf(text, room, "%.0f", v);
  }
  return 0;
}

/* Columns of an array: one, or as many as a row has elements, in their order. */
static uint64_t table_width(const SviArray *a) {
  uint64_t width = 1;
  for (int i = 1; i < a->rank; i++) width *= a->dim[i];
  return width;
}

/* A name as the header shows it: quoted where it has what separates. */
static void save_name(SviSave *s, const SviArray *a, uint64_t k) {
  char index[32] = "";
  if (a->rank >= 2) snprintf(index, sizeof index, "[%" PRIu64 "]", k);
  bool quote = strpbrk(a->name, ",\"\t") || a->name[0] == ' ' || a->name[strlen(a->name) - 1] == ' ';
  if (quote) svi_save_bytes(s, "\"", 1);
  for (const char *p = a->name; *p; p++) {
    svi_save_bytes(s, p, 1);
    if (*p == '"') svi_save_bytes(s, p, 1);
  }
  svi_save_bytes(s, index, strlen(index));
  if (quote) svi_save_bytes(s, "\"", 1);
}

static void save_element(SviSave *s, const SviArray *a, uint64_t i, locale_t locale) {
  char text[64];
  svi_save_bytes(s, text, print_element(text, sizeof text, a, i, locale));
}

static void save_table(SviSave *s, const SviArray *arrays, size_t n, locale_t locale) {
  for (uint64_t row = 0; row <= arrays[0].dim[0]; row++) {       /* row 0 is the header */
    for (size_t i = 0; i < n; i++) {
      uint64_t width = table_width(&arrays[i]);
      for (uint64_t k = 0; k < width; k++) {
        if (i || k) svi_save_bytes(s, ",", 1);
        if (row == 0) save_name(s, &arrays[i], k);
        else save_element(s, &arrays[i], (row - 1) * width + k, locale);
      }
    }
    if (!svi_save_bytes(s, "\n", 1)) return;
  }
}

static bool check_table(const char *path, const SviArray *arrays, size_t n, locale_t locale,
                        SviError *error) {
  SviShown shown = svi_path_shown(path);
  uint64_t bytes;
  double value;
  bool named = false;
  if (n == 0) return svi_fail(error, "%s: no arrays to write", shown.text);
  for (size_t i = 0; i < n; i++) {
    const SviArray *a = &arrays[i];
    if (!svi_save_check(path, a, &bytes, error)) return false;
    if (a->rank < 1) return svi_fail(error, "%s: `%.100s` has no rows, and a table is made of rows; write an .npz", shown.text, a->name);
    if (a->dim[0] != arrays[0].dim[0])
      return svi_fail(error, "%s: `%.100s` has %" PRIu64 " rows, `%.100s` has %" PRIu64, shown.text, a->name,
                      a->dim[0], arrays[0].name, arrays[0].dim[0]);
    if (table_width(a) == 0)
      return svi_fail(error, "%s: `%.100s` has no columns", shown.text, a->name);
    if (strpbrk(a->name, "\n\r"))
      return svi_fail(error, "%s: the name `%.100s` has a line break", shown.text, a->name);
    if (a->rank >= 2 || read_number(a->name, strlen(a->name), locale, &value) != NUMBER) named = true;
  }
  if (!named) return svi_fail(error, "%s: all names are numbers, they would be read as a row", shown.text);
  SviFile all = { .at = (SviArray *)arrays, .n = n };
  return svi_file_names(&all, shown.text, error);
}

bool svi_csv_write(const char *path, const SviArray *arrays, size_t n, SviError *error) {
  locale_t locale = plain_locale();
  if (!locale) return svi_fail(error, "%s: out of memory", svi_path_shown(path).text);
  SviSave s;
  bool ok = check_table(path, arrays, n, locale, error) && svi_save_open(&s, path, error);
  if (ok) {
    locale_t before = uselocale(locale);         /* this thread's only */
    save_table(&s, arrays, n, locale);
    uselocale(before);
    ok = svi_save_done(&s);
  }
  freelocale(locale);
  return ok;
}
