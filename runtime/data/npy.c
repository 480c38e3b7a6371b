/* npy: one array, as NumPy keeps it.
 *
 * In:  magic, version, the length of a header, the header (a Python dictionary with descr, fortran_order
 *      and shape), the numbers.  Versions 1, 2 and 3 differ in the length's width and the text's encoding.
 * Out: an array that points into the input, or a copy where the numbers are in the other byte order, in
 *      Fortran order, or half precision (which becomes f32).
 *
 * The format: numpy.lib.format, https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#include "inside.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the header ---- */

typedef struct {
  SviType  type;
  size_t   each;                       /* bytes of an element in the file */
  bool     half, swapped, fortran;
  int      rank;
  uint64_t dim[SVI_MAX_RANK];
  bool     has_type, has_order, has_shape;
} Header;

/* The text being read.  Places in messages count from the start of the array's bytes. */
typedef struct {
  const char *p, *end, *base;
  const char *where;
  SviError   *error;
} Text;

static bool fail_at(const Text *t, const char *needed) {
  return svi_fail(t->error, "%s: npy header, byte %zu: needed %s", t->where, (size_t)(t->p - t->base),
                  needed);
}

static void skip_space(Text *t) {
  while (t->p < t->end && (*t->p == ' ' || *t->p == '\n' || *t->p == '\t' || *t->p == '\r')) t->p++;
}

static bool take(Text *t, char c) {
  skip_space(t);
  if (t->p == t->end || *t->p != c) return false;
  t->p++;
  return true;
}

static bool take_word(Text *t, const char *word) {
  size_t n = strlen(word);
  skip_space(t);
  if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n)) return false;
  t->p += n;
  return true;
}

static bool take_string(Text *t, const char **from, size_t *length) {
  skip_space(t);
  if (t->p == t->end || (*t->p != '\'' && *t->p != '"')) return false;
  const char *close = memchr(t->p + 1, *t->p, (size_t)(t->end - t->p - 1));
  if (!close) return false;
  *from = t->p + 1;
  *length = (size_t)(close - *from);
  t->p = close + 1;
  return true;
}

static const struct { char kind; size_t size; SviType type; const char *descr; } dtype_table[] = {
  /* kind  size  type      as written */
  { 'b',   1,    SVI_BOOL, "|b1" },
  { 'u',   1,    SVI_U8,   "|u1" },
  { 'i',   1,    SVI_I8,   "|i1" },
  { 'u',   2,    SVI_U16,  "<u2" },
  { 'i',   2,    SVI_I16,  "<i2" },
  { 'u',   4,    SVI_U32,  "<u4" },
  { 'i',   4,    SVI_I32,  "<i4" },
  { 'u',   8,    SVI_U64,  "<u8" },
  { 'i',   8,    SVI_I64,  "<i8" },
  { 'f',   4,    SVI_F32,  "<f4" },
  { 'f',   8,    SVI_F64,  "<f8" },
};
#define DTYPES (sizeof dtype_table / sizeof dtype_table[0])

static const char *what_kind(char kind) {
  switch (kind) {
  case 'c': return " (complex numbers)";
  case 'O': return " (Python objects)";
  case 'U': case 'S': case 'a': return " (text)";
  case 'M': case 'm': return " (times)";
  case 'V': return " (raw bytes)";
  case 'f': return " (floats of a rare width)";
  }
  return "";
}

static bool read_descr(Text *t, Header *h) {
  const char *s;
  size_t n;
  skip_space(t);
  if (t->p < t->end && *t->p == '[')
    return svi_fail(t->error, "%s: an array of records, needed plain numbers; save each field as its own "
                    "array", t->where);
  if (!take_string(t, &s, &n)) return fail_at(t, "a type such as '<f4'");
  const char *all = s;
  size_t length = n;
  if (n && strchr("<>|=", *s) && *s) { h->swapped = *s == '>'; s++; n--; }
  for (size_t i = 0; n == 2 && i < DTYPES; i++) {
    if (s[0] != dtype_table[i].kind || s[1] != (char)('0' + dtype_table[i].size)) continue;
    h->type = dtype_table[i].type;
    h->each = dtype_table[i].size;
    return h->has_type = true;
  }
  if (n == 2 && s[0] == 'f' && s[1] == '2') {
    h->type = SVI_F32;
    h->each = 2;
    h->half = true;
    return h->has_type = true;
  }
  return svi_fail(t->error, "%s: elements of type '%.*s'%s, needed integers, floats or bool; convert them "
                  "with .astype", t->where, length > 20 ? 20 : (int)length, all, n ? what_kind(*s) : "");
}

static bool read_order(Text *t, Header *h) {
  if (take_word(t, "True")) h->fortran = true;
  else if (!take_word(t, "False")) return fail_at(t, "True or False");
  return h->has_order = true;
}

static bool read_dim(Text *t, uint64_t *dim) {
  skip_space(t);
  if (t->p == t->end || *t->p < '0' || *t->p > '9') return fail_at(t, "a shape such as (60000, 28, 28)");
  for (*dim = 0; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++)
    if (__builtin_mul_overflow(*dim, 10, dim) || __builtin_add_overflow(*dim, (uint64_t)(*t->p - '0'), dim))
      return fail_at(t, "a dimension below 2^64");
  if (t->p < t->end && *t->p == 'L') t->p++;               /* Python 2 */
  return true;
}

static bool read_shape(Text *t, Header *h) {
  if (!take(t, '(')) return fail_at(t, "a shape such as (60000, 28, 28)");
  while (!take(t, ')')) {
    if (h->rank == SVI_MAX_RANK)
      return svi_fail(t->error, "%s: more than %d dimensions, the most that is read", t->where, SVI_MAX_RANK);
    if (!read_dim(t, &h->dim[h->rank])) return false;
    h->rank++;
    if (take(t, ',')) continue;
    if (!take(t, ')')) return fail_at(t, "`,` or `)`");
    break;
  }
  return h->has_shape = true;
}

static bool read_entry(Text *t, Header *h) {
  const char *key;
  size_t n;
  if (!take_string(t, &key, &n)) return fail_at(t, "'descr', 'fortran_order' or 'shape'");
  if (!take(t, ':')) return fail_at(t, "`:`");
  if (n == 5 && !memcmp(key, "descr", n) && !h->has_type) return read_descr(t, h);
  if (n == 13 && !memcmp(key, "fortran_order", n) && !h->has_order) return read_order(t, h);
  if (n == 5 && !memcmp(key, "shape", n) && !h->has_shape) return read_shape(t, h);
  return fail_at(t, "'descr', 'fortran_order' and 'shape', each once");
}

static bool read_header(Text *t, Header *h) {
  if (!take(t, '{')) return fail_at(t, "`{`");
  while (!take(t, '}')) {
    if (!read_entry(t, h)) return false;
    if (take(t, ',')) continue;
    if (!take(t, '}')) return fail_at(t, "`,` or `}`");
    break;
  }
  skip_space(t);
  if (t->p != t->end) return fail_at(t, "nothing after `}`");
  if (!h->has_type)  return svi_fail(t->error, "%s: the npy header has no 'descr'", t->where);
  if (!h->has_order) return svi_fail(t->error, "%s: the npy header has no 'fortran_order'", t->where);
  if (!h->has_shape) return svi_fail(t->error, "%s: the npy header has no 'shape'", t->where);
  return true;
}

/* ---- the numbers ---- */

/* out in C order from in in Fortran order: the first index is the fastest of the input. */
static void copy_fortran(uint8_t *out, const uint8_t *in, const Header *h, uint64_t count) {
  uint64_t stride[SVI_MAX_RANK], index[SVI_MAX_RANK] = { 0 }, at = 0, step = 1;
  for (int i = 0; i < h->rank; i++) { stride[i] = step; step *= h->dim[i]; }
  for (uint64_t k = 0; k < count; k++) {
    memcpy(out + k * h->each, in + at * h->each, h->each);
    for (int i = h->rank - 1; i >= 0; i--) {
      at += stride[i];
      if (++index[i] < h->dim[i]) break;
      at -= stride[i] * h->dim[i];
      index[i] = 0;
    }
  }
}

static float half_value(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  float size = exponent == 31 ? (fraction ? NAN : INFINITY)
             : exponent == 0  ? ldexpf((float)fraction, -24)
             : ldexpf((float)(fraction + 1024), exponent - 25);
  return bits & 0x8000 ? -size : size;
}

static float *widen_half(const uint8_t *in, uint64_t count, SviFile *f, const char *where, SviError *error) {
  float *out = svi_file_alloc(f, count * sizeof *out, where, error);
  for (uint64_t i = 0; out && i < count; i++) out[i] = half_value(svi_le16(in + 2 * i));
  return out;
}

static bool read_numbers(const Header *h, const uint8_t *data, uint64_t bytes, SviArray *a, SviFile *f,
                         const char *where, SviError *error) {
  uint64_t count = bytes / h->each;
  bool fortran = h->fortran && h->rank > 1, swap = h->swapped && h->each > 1;
  if (count && (fortran || swap)) {
    uint8_t *copy = svi_file_alloc(f, bytes, where, error);
    if (!copy) return false;
    if (fortran) copy_fortran(copy, data, h, count);
    else memcpy(copy, data, bytes);
    if (swap) svi_bytes_swap(copy, count, h->each);
    data = copy;
  }
  a->bytes = h->half ? (const void *)widen_half(data, count, f, where, error) : data;
  return a->bytes != NULL;
}

bool svi_npy_read(SviBytes in, const char *where, const char *name, size_t length, SviFile *f,
                  SviError *error) {
  if (!svi_is_npy(in))
    return svi_fail(error, "%s: not an npy file: it does not begin with \\x93NUMPY", where);
  if (in.size < 10)
    return svi_fail(error, "%s: truncated: %zu bytes, an npy header has more", where, in.size);
  int version = in.at[6];
  if (version < 1 || version > 3)
    return svi_fail(error, "%s: npy version %d.%d, needed 1, 2 or 3", where, version, in.at[7]);
  if (version > 1 && in.size < 12)
    return svi_fail(error, "%s: truncated: %zu bytes, an npy header has more", where, in.size);
  size_t begin = version == 1 ? 10 : 12;
  size_t size = version == 1 ? svi_le16(in.at + 8) : svi_le32(in.at + 8);
  if (size > in.size - begin)
    return svi_fail(error, "%s: truncated: an npy header of %zu bytes, the file holds %zu", where, size,
                    in.size - begin);
  const char *base = (const char *)in.at;
  Text t = { base + begin, base + begin + size, base, where, error };
  Header h = { 0 };
  if (!read_header(&t, &h)) return false;
  uint64_t bytes, held = in.size - begin - size, wide;
  if (!svi_dims_size(h.dim, h.rank, h.each, &bytes) || __builtin_mul_overflow(bytes, 2u, &wide))
    return svi_fail(error, "%s: the header's shape has more elements than any file", where);
  if (bytes > held)
    return svi_fail(error, "%s: truncated: the header promises %" PRIu64 " bytes, the file holds %" PRIu64,
                    where, bytes, held);
  if (bytes < held)
    return svi_fail(error, "%s: %" PRIu64 " bytes follow the %" PRIu64 " that the header promises; save one "
                    "array a file, or use np.savez", where, held - bytes, bytes);
  SviArray *a = svi_file_add(f, name, length, where, error);
  if (!a) return false;
  a->type = h.type;
  a->rank = h.rank;
  memcpy(a->dim, h.dim, sizeof a->dim);
  return read_numbers(&h, in.at + begin + size, bytes, a, f, where, error);
}

/* ---- writing ---- */

size_t svi_npy_header(const SviArray *a, char *text) {
  const char *descr = "";
  for (size_t i = 0; i < DTYPES; i++) if (dtype_table[i].type == a->type) descr = dtype_table[i].descr;
  memcpy(text, "\x93NUMPY\1\0", 8);
  size_t n = 10;
  n += (size_t)sprintf(text + n, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (int i = 0; i < a->rank; i++)
    n += (size_t)sprintf(text + n, "%s%" PRIu64, i ? ", " : "", a->dim[i]);
  n += (size_t)sprintf(text + n, "%s), }", a->rank == 1 ? "," : "");
  while ((n + 1) % 64) text[n++] = ' ';
  text[n++] = '\n';
  uint16_t length = (uint16_t)(n - 10);
  memcpy(text + 8, &length, sizeof length);
  return n;
}

bool svi_npy_write(const char *path, const SviArray *a, SviError *error) {
  uint64_t bytes;
  if (!svi_save_check(path, a, &bytes, error)) return false;
  char header[SVI_NPY_HEADER_ROOM];
  size_t n = svi_npy_header(a, header);
  SviSave s;
  if (!svi_save_open(&s, path, error)) return false;
  svi_save_bytes(&s, header, n);
  svi_save_bytes(&s, a->bytes, bytes);
  return svi_save_done(&s);
}
