/* What the fuzz targets of the readers share: a reader's promises, checked after each input.
 *
 * On success every element of every array can be read; on failure there is one clean sentence. */
#ifndef FUZZ_DATA_H
#define FUZZ_DATA_H

#include "../../runtime/data/inside.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_expect(bool ok) { if (!ok) abort(); }

static inline void fuzz_text(const char *text) {
  fuzz_expect(*text && svi_text_is_utf8(text));
  for (; *text; text++) fuzz_expect((unsigned char)*text >= 0x20 && *text != 0x7f);
}

/* The two ways to read a number agree as far as a float can. */
static inline bool fuzz_agree(double v, float got) {
  if (isnan(v)) return isnan(got);
  return fabs(v - (double)got) <= 1e-6 * fabs(v) || fabs(v) > 3e38 || fabs(v) < 1e-36;
}

static inline void fuzz_arrays(const SviFile *f) {
  for (size_t i = 0; i < f->n; i++) {
    const SviArray *a = &f->at[i];
    uint64_t n = svi_array_count(a);
    fuzz_expect(a->name && a->rank >= 0 && a->rank <= SVI_MAX_RANK && svi_type_size(a->type) > 0);
    uint32_t row = 0;
    float *out = malloc(n * sizeof *out + 1);
    fuzz_expect(out != NULL);
    if (n) svi_array_rows_f32(a, &row, 1, n, out);
    for (uint64_t k = 0; k < n; k++) fuzz_expect(fuzz_agree(svi_array_get(a, k), out[k]));
    free(out);
  }
}

static inline int fuzz_done(SviFile *f, bool ok, const SviError *error) {
  if (ok) fuzz_arrays(f);
  else fuzz_text(error->text);
  svi_file_close(f);
  return 0;
}

#endif
