/* Matrix products against the definition, exactly: small whole numbers have no rounding.
 *
 * Every set of kernels this processor can run, every way to transpose, sizes around those of tiles, panels and blocks, rows
 * that are longer than needed (what lies between is not touched), buffers without a byte to spare (for the sanitizer). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../runtime/svi.h"
#include "../../runtime/gemm/gemm.h"

typedef enum { DENSE, BITS, BITS_TRANSPOSED } How;
static const uint64_t sizes[] = {1, 3, 7, 8, 9, 15, 16, 17, 33, 50, 65, 97};
enum { SIZES = sizeof sizes / sizeof *sizes, MARK = 77 };

static int next_number(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return (int)(*state >> 24);
}

#define REAL float
#define NAME(x) x##_f32
#define WIDTH f32
#include "check_gemm_body.h"
#undef REAL
#undef NAME
#undef WIDTH
#define REAL double
#define NAME(x) x##_f64
#define WIDTH f64
#include "check_gemm_body.h"

START_TEST(products_are_as_defined) {
  const GemmKernels *k = gemm_kernels_at((unsigned)_i);
  if (!k) return;
  uint32_t seed = 1;
  for (unsigned i = 0; i < SIZES; i++)
    for (unsigned j = 0; j < SIZES; j++)
      for (unsigned l = 0; l < SIZES; l += 3)
        for (unsigned how = 0; how < 4; how++) {
          bool ta = how & 1, tb = how >> 1, add = (i + j + l) & 1;
          try_f32(k, DENSE, ta, tb, add, sizes[i], sizes[j], sizes[l], &seed);
          try_f64(k, DENSE, ta, tb, add, sizes[i], sizes[j], sizes[l], &seed);
          if (tb) continue;
          try_f32(k, ta ? BITS_TRANSPOSED : BITS, ta, tb, add, sizes[i], sizes[j], sizes[l], &seed);
          try_f64(k, ta ? BITS_TRANSPOSED : BITS, ta, tb, add, sizes[i], sizes[j], sizes[l], &seed);
        }
}
END_TEST

START_TEST(long_sums_and_wide_rows) {
  const GemmKernels *k = gemm_kernels_at((unsigned)_i);
  if (!k) return;
  static const uint64_t shape[][3] = {{3, 5, 0}, {0, 5, 3}, {3, 0, 5}, {9, 200, 784}, {784, 20, 66}, {5, 300, 257}, {2, 17, 1100}, {70, 3, 600}, {300, 230, 300}};
  uint32_t seed = 2;
  for (size_t s = 0; s < sizeof shape / sizeof *shape; s++)
    for (unsigned how = 0; how < 8; how++) {
      bool ta = how & 1, tb = how >> 1 & 1, add = how >> 2;
      try_f32(k, DENSE, ta, tb, add, shape[s][0], shape[s][1], shape[s][2], &seed);
      try_f64(k, DENSE, ta, tb, add, shape[s][0], shape[s][1], shape[s][2], &seed);
      if (tb) continue;
      try_f32(k, ta ? BITS_TRANSPOSED : BITS, ta, tb, add, shape[s][0], shape[s][1], shape[s][2], &seed);
      try_f64(k, ta ? BITS_TRANSPOSED : BITS, ta, tb, add, shape[s][0], shape[s][1], shape[s][2], &seed);
    }
}
END_TEST

/* Few ones, or many: the same sums. */
START_TEST(bits_are_products) {
  enum { M = 20, N = 130, K = 100 };
  static float a[M * K], b[K * N], c[M * N], d[M * N];
  uint32_t seed = 3;
  for (int share = 0; share <= 10; share++) {
    for (int i = 0; i < M * K; i++) a[i] = next_number(&seed) % 10 < share;
    for (int i = 0; i < K * N; i++) b[i] = (float)(next_number(&seed) % 9 - 4);
    svi_gemm_f32(false, false, M, N, K, a, K, b, N, false, c, N);
    svi_gemm_bits_f32(false, false, M, N, K, a, K, b, N, false, d, N);
    ck_assert_mem_eq(c, d, sizeof c);
    svi_gemm_f32(true, false, M, N, K, a, M, b, N, true, c, N);
    svi_gemm_bits_f32(true, false, M, N, K, a, M, b, N, true, d, N);
    ck_assert_mem_eq(c, d, sizeof c);
  }
}
END_TEST

START_TEST(triangles_are_left_out) {
  static const uint64_t side[] = {1, 30, 96, 197, 250};
  static const int32_t shift[] = {0, 1, -40, 40, 1000, -1000};
  uint32_t seed = 4;
  for (unsigned way = 0; way < 32; way++) {
    bool of_result = way & 1, bits = way & 2, ta = way & 4, tb = way & 8, add = way & 16;
    for (size_t s = 0; s < sizeof shift / sizeof *shift; s++)
      for (unsigned i = 0; i < 5; i++)
        for (unsigned j = 0; j < 5; j += 1 + (i > 2)) {
          uint64_t few = 3 + 15 * (way & 3), m = of_result ? side[i] : few, k = of_result ? few : side[i];
          try_triangle_f32(of_result, bits, shift[s], ta, tb, add, m, side[j], k, &seed);
          if (s < 2) try_triangle_f64(of_result, bits, shift[s], ta, tb, add, m, side[j], k, &seed);
        }
  }
}
END_TEST

int main(void) {
  Suite *s = suite_create("gemm");
  TCase *t = tcase_create("products");
  tcase_add_loop_test(t, products_are_as_defined, 0, 3);
  tcase_add_loop_test(t, long_sums_and_wide_rows, 0, 3);
  tcase_add_test(t, bits_are_products);
  tcase_add_test(t, triangles_are_left_out);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
