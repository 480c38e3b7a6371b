/* views: two views of each digit.
 *
 *     views IN.npz FIRST COUNT SEED OUT.npz
 *
 * In:  columns `grey`, square pictures of 0 to 255, and `label`; of them the rows FIRST, counted from 1, to FIRST + COUNT - 1.
 * Out: columns `rotated` (the picture, turned about its middle by an angle of U[-45, 45] degrees, bilinear), `noisy` (a picture of
 *      the same label, drawn from the same rows, plus noise of U[0, 255] for each pixel, cut off at 255) and `label`.
 *
 * The same arguments give the same bytes. */
#include "data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state;

/* Uniform on [0, 1): splitmix64. */
static double uniform(void) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static _Noreturn void fail(const char *text) {
  fprintf(stderr, "views: %s\n", text);
  exit(1);
}

static void *room(size_t size) {
  void *p = malloc(size);
  if (!p) fail("out of memory");
  return p;
}

static uint8_t rounded(double v) { return (uint8_t)(fmin(fmax(v, 0), 255) + 0.5); }

/* What lies outside of the picture is black. */
static double pixel(const float *from, int side, int i, int j) {
  return i < 0 || j < 0 || i >= side || j >= side ? 0 : from[i * side + j];
}

static void rotate(const float *from, int side, double angle, uint8_t *to) {
  double c = cos(angle), s = sin(angle), middle = (side - 1) / 2.0;
  for (int i = 0; i < side; i++) for (int j = 0; j < side; j++) {
    double y = middle + c * (i - middle) - s * (j - middle), x = middle + s * (i - middle) + c * (j - middle);
    int    a = (int)floor(y), b = (int)floor(x);
    double v = y - a, u = x - b;
    to[i * side + j] = rounded((1 - v) * ((1 - u) * pixel(from, side, a, b)     + u * pixel(from, side, a, b + 1)) +
                               v       * ((1 - u) * pixel(from, side, a + 1, b) + u * pixel(from, side, a + 1, b + 1)));
  }
}

int main(int argc, char **argv) {
  if (argc != 6) fail("usage: views IN.npz FIRST COUNT SEED OUT.npz");
  SviFile  file;
  SviError error;
  if (!svi_file_open(argv[1], &file, &error)) fail(error.text);
  const SviArray *grey = svi_file_find(&file, "grey"), *label = svi_file_find(&file, "label");
  uint64_t first = strtoull(argv[2], NULL, 10) - 1, n = strtoull(argv[3], NULL, 10);
  if (!grey || !label || grey->rank < 2 || first > grey->dim[0] || n > grey->dim[0] - first || svi_array_count(label) != grey->dim[0])
    fail("columns `grey` and `label` with so many rows are needed");
  state = strtoull(argv[4], NULL, 10);

  size_t   size = (size_t)(svi_array_count(grey) / grey->dim[0]);
  int      side = (int)lround(sqrt((double)size));
  uint8_t *rotated = room(n * size), *noisy = room(n * size), *kind = room(n);
  uint32_t *rows = room(n * sizeof *rows);
  float   *pictures = room(n * size * sizeof *pictures);
  for (uint64_t r = 0; r < n; r++) {
    rows[r] = (uint32_t)(first + r);
    kind[r] = (uint8_t)svi_array_get(label, first + r);
  }
  svi_array_rows_f32(grey, rows, n, size, pictures);

  for (uint64_t r = 0; r < n; r++) {
    rotate(pictures + r * size, side, (uniform() - 0.5) * acos(0), rotated + r * size);
    uint64_t other;
    do other = (uint64_t)(uniform() * (double)n); while (kind[other] != kind[r]);
    for (size_t i = 0; i < size; i++) noisy[r * size + i] = rounded(pictures[other * size + i] + 255 * uniform());
  }

  SviArray out[] = { { "rotated", SVI_U8, 2, { n, size }, rotated }, { "noisy", SVI_U8, 2, { n, size }, noisy },
                     { "label", SVI_U8, 1, { n }, kind } };
  if (!svi_npz_write(argv[5], out, sizeof out / sizeof *out, &error)) fail(error.text);
  return 0;
}
