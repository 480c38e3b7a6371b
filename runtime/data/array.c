/* Arrays: the table of types, one element, many rows.
 *
 * In:  arrays as a reader left them, perhaps unaligned.
 * Out: floats or doubles.  A minibatch is gathered here, so each type has its own loop with nothing in it
 *      but a load, a conversion and a store; the compiler makes vectors of it. */
#include "inside.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Numbers that may lie anywhere. */
typedef uint16_t LooseU16 __attribute__((aligned(1), may_alias));
typedef int16_t  LooseI16 __attribute__((aligned(1), may_alias));
typedef uint32_t LooseU32 __attribute__((aligned(1), may_alias));
typedef int32_t  LooseI32 __attribute__((aligned(1), may_alias));
typedef uint64_t LooseU64 __attribute__((aligned(1), may_alias));
typedef int64_t  LooseI64 __attribute__((aligned(1), may_alias));
typedef float    LooseF32 __attribute__((aligned(1), may_alias));
typedef double   LooseF64 __attribute__((aligned(1), may_alias));

static const struct { const char *name; size_t size; } type_table[] = {
  [SVI_U8]   = { "u8",   1 },
  [SVI_I8]   = { "i8",   1 },
  [SVI_U16]  = { "u16",  2 },
  [SVI_I16]  = { "i16",  2 },
  [SVI_I32]  = { "i32",  4 },
  [SVI_U32]  = { "u32",  4 },
  [SVI_I64]  = { "i64",  8 },
  [SVI_U64]  = { "u64",  8 },
  [SVI_F32]  = { "f32",  4 },
  [SVI_F64]  = { "f64",  8 },
  [SVI_BOOL] = { "bool", 1 },
};

size_t      svi_type_size(SviType type) { return type_table[type].size; }
const char *svi_type_name(SviType type) { return type_table[type].name; }

uint64_t svi_array_count(const SviArray *a) {
  uint64_t n = 1;
  for (int i = 0; i < a->rank; i++) n *= a->dim[i];
  return n;
}

bool svi_dims_size(const uint64_t *dim, int rank, size_t each, uint64_t *bytes) {
  uint64_t n = each;
  bool empty = false;
  for (int i = 0; i < rank; i++) {
    if (dim[i] == 0) empty = true;
    else if (__builtin_mul_overflow(n, dim[i], &n)) return false;
  }
  *bytes = empty ? 0 : n;
  return n <= INT64_MAX;
}

char *svi_array_describe(const SviArray *a, char *text, size_t room) {
  size_t used = (size_t)snprintf(text, room, "%s [", svi_type_name(a->type));
  for (int i = 0; i < a->rank && used < room; i++)
    used += (size_t)snprintf(text + used, room - used, "%s%" PRIu64, i ? "," : "", a->dim[i]);
  if (used < room) snprintf(text + used, room - used, "]");
  return text;
}

void svi_bytes_swap(void *at, uint64_t count, size_t each) {
  LooseU16 *h = at;
  LooseU32 *w = at;
  LooseU64 *d = at;
  if (each == 2) for (uint64_t i = 0; i < count; i++) h[i] = __builtin_bswap16(h[i]);
  if (each == 4) for (uint64_t i = 0; i < count; i++) w[i] = __builtin_bswap32(w[i]);
  if (each == 8) for (uint64_t i = 0; i < count; i++) d[i] = __builtin_bswap64(d[i]);
}

double svi_array_get(const SviArray *a, uint64_t i) {
  if (i >= svi_array_count(a)) return NAN;
  switch (a->type) {
  case SVI_U8:   return ((const uint8_t  *)a->bytes)[i];
  case SVI_I8:   return ((const int8_t   *)a->bytes)[i];
  case SVI_U16:  return ((const LooseU16 *)a->bytes)[i];
  case SVI_I16:  return ((const LooseI16 *)a->bytes)[i];
  case SVI_I32:  return ((const LooseI32 *)a->bytes)[i];
  case SVI_U32:  return ((const LooseU32 *)a->bytes)[i];
  case SVI_I64:  return (double)((const LooseI64 *)a->bytes)[i];
  case SVI_U64:  return (double)((const LooseU64 *)a->bytes)[i];
  case SVI_F32:  return ((const LooseF32 *)a->bytes)[i];
  case SVI_F64:  return ((const LooseF64 *)a->bytes)[i];
  case SVI_BOOL: return ((const uint8_t  *)a->bytes)[i] != 0;
  }
  return NAN;
}

/* y[n] = x[n], x of the given type. */
static void row_f32(float *restrict y, const void *restrict x, SviType type, size_t n) {
  switch (type) {
  case SVI_U8:   for (size_t i = 0; i < n; i++) y[i] = ((const uint8_t  *)x)[i];        return;
  case SVI_I8:   for (size_t i = 0; i < n; i++) y[i] = ((const int8_t   *)x)[i];        return;
  case SVI_U16:  for (size_t i = 0; i < n; i++) y[i] = ((const LooseU16 *)x)[i];        return;
  case SVI_I16:  for (size_t i = 0; i < n; i++) y[i] = ((const LooseI16 *)x)[i];        return;
  case SVI_I32:  for (size_t i = 0; i < n; i++) y[i] = (float)((const LooseI32 *)x)[i]; return;
  case SVI_U32:  for (size_t i = 0; i < n; i++) y[i] = (float)((const LooseU32 *)x)[i]; return;
  case SVI_I64:  for (size_t i = 0; i < n; i++) y[i] = (float)((const LooseI64 *)x)[i]; return;
  case SVI_U64:  for (size_t i = 0; i < n; i++) y[i] = (float)((const LooseU64 *)x)[i]; return;
  case SVI_F32:  memcpy(y, x, n * sizeof *y);                                           return;
  case SVI_F64:  for (size_t i = 0; i < n; i++) y[i] = (float)((const LooseF64 *)x)[i]; return;
  case SVI_BOOL: for (size_t i = 0; i < n; i++) y[i] = ((const uint8_t  *)x)[i] != 0;   return;
  }
}

static void row_f64(double *restrict y, const void *restrict x, SviType type, size_t n) {
  switch (type) {
  case SVI_U8:   for (size_t i = 0; i < n; i++) y[i] = ((const uint8_t  *)x)[i];         return;
  case SVI_I8:   for (size_t i = 0; i < n; i++) y[i] = ((const int8_t   *)x)[i];         return;
  case SVI_U16:  for (size_t i = 0; i < n; i++) y[i] = ((const LooseU16 *)x)[i];         return;
  case SVI_I16:  for (size_t i = 0; i < n; i++) y[i] = ((const LooseI16 *)x)[i];         return;
  case SVI_I32:  for (size_t i = 0; i < n; i++) y[i] = ((const LooseI32 *)x)[i];         return;
  case SVI_U32:  for (size_t i = 0; i < n; i++) y[i] = ((const LooseU32 *)x)[i];         return;
  case SVI_I64:  for (size_t i = 0; i < n; i++) y[i] = (double)((const LooseI64 *)x)[i]; return;
  case SVI_U64:  for (size_t i = 0; i < n; i++) y[i] = (double)((const LooseU64 *)x)[i]; return;
  case SVI_F32:  for (size_t i = 0; i < n; i++) y[i] = ((const LooseF32 *)x)[i];         return;
  case SVI_F64:  memcpy(y, x, n * sizeof *y);                                            return;
  case SVI_BOOL: for (size_t i = 0; i < n; i++) y[i] = ((const uint8_t  *)x)[i] != 0;    return;
  }
}

/* Rows of a batch lie anywhere, so no processor sees the next one come: its first lines are asked for some rows before. */
enum { AHEAD = 4, LINE = 64, MOST_LINES = 16 };
static void fetch_ahead(const char *base, const uint32_t *rows, size_t r, size_t nrows, size_t stride) {
  if (r + AHEAD >= nrows) return;
  const char *next = base + rows[r + AHEAD] * stride;
  for (size_t i = 0; i < stride && i < LINE * MOST_LINES; i += LINE) __builtin_prefetch(next + i);
}

void svi_array_rows_f32(const SviArray *a, const uint32_t *rows, size_t nrows, size_t row_size, float *out) {
  const char *base = a->bytes;
  size_t stride = row_size * svi_type_size(a->type);
  for (size_t r = 0; r < nrows; r++) {
    fetch_ahead(base, rows, r, nrows, stride);
    row_f32(out + r * row_size, base + rows[r] * stride, a->type, row_size);
  }
}

void svi_array_rows_f64(const SviArray *a, const uint32_t *rows, size_t nrows, size_t row_size, double *out) {
  const char *base = a->bytes;
  size_t stride = row_size * svi_type_size(a->type);
  for (size_t r = 0; r < nrows; r++) {
    fetch_ahead(base, rows, r, nrows, stride);
    row_f64(out + r * row_size, base + rows[r] * stride, a->type, row_size);
  }
}

/* Bytes add up in whole numbers of 16 bits, as many rows as surely fit, sixteen numbers an instruction. */
static void sum_bytes(const uint8_t *x, uint64_t rows, size_t size, double *sum) {
  enum { FIT = UINT16_MAX / UINT8_MAX, WIDE = 512 };
  for (size_t i = 0; i < size; i += WIDE) {
    size_t n = size - i < WIDE ? size - i : WIDE;
    for (uint64_t r = 0; r < rows; r += FIT) {
      uint16_t part[WIDE] = {0};
      uint64_t end = rows - r < FIT ? rows : r + FIT;
      for (uint64_t q = r; q < end; q++)
        for (size_t k = 0; k < n; k++) part[k] = (uint16_t)(part[k] + x[q * size + i + k]);
      for (size_t k = 0; k < n; k++) sum[i + k] += part[k];
    }
  }
}

void svi_array_sum_rows(const SviArray *a, uint64_t first, uint64_t rows, size_t row_size, double *sum) {
  const char *base = (const char *)a->bytes + first * row_size * svi_type_size(a->type);
  if (a->type == SVI_U8) { sum_bytes((const uint8_t *)base, rows, row_size, sum); return; }
  enum { WIDE = 512 };
  double x[WIDE];
  size_t each = svi_type_size(a->type);
  for (uint64_t r = 0; r < rows; r++)
    for (size_t i = 0; i < row_size; i += WIDE) {
      size_t n = row_size - i < WIDE ? row_size - i : WIDE;
      row_f64(x, base + (r * row_size + i) * each, a->type, n);
      for (size_t k = 0; k < n; k++) sum[i + k] += x[k];
    }
}
