/* Matrix products and factorisations for generated code: the one place that knows BLAS and LAPACK.
 *
 * All matrices of the runtime are row-major; LAPACK's are column-major, so a row-major matrix is its own transpose there and
 * "lower" is called "upper". */
#include <cblas.h>
#include <math.h>
#include <string.h>
#include "svi.h"

/* Parallelism is ours: products run inside the chunks of our threads.  Weak: another BLAS may have no such call. */
extern void openblas_set_num_threads(int n) __attribute__((weak));
__attribute__((constructor)) static void one_blas_thread(void) {
  if (openblas_set_num_threads) openblas_set_num_threads(1);
}

extern void spotrf_(const char *uplo, const int *n, float  *a, const int *lda, int *info);
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

void svi_gemm_f32(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb, bool add, float *c, uint64_t ldc) {
  cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k,
              1, a, (int)lda, b, (int)ldb, add ? 1 : 0, c, (int)ldc);
}

void svi_gemm_f64(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const double *a, uint64_t lda, const double *b, uint64_t ldb, bool add, double *c, uint64_t ldc) {
  cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k,
              1, a, (int)lda, b, (int)ldb, add ? 1 : 0, c, (int)ldc);
}

void svi_cholesky_f32(uint64_t batch, uint64_t n, const float *a, float *l) {
  int order = (int)n, info;
  for (uint64_t i = 0; i < batch; i++, a += n * n, l += n * n) {
    memmove(l, a, n * n * sizeof *l);
    spotrf_("U", &order, l, &order, &info);
    for (uint64_t r = 0; r < n; r++)
      for (uint64_t c = 0; c < n; c++) if (info != 0) l[r * n + c] = NAN; else if (c > r) l[r * n + c] = 0;
  }
}

void svi_cholesky_f64(uint64_t batch, uint64_t n, const double *a, double *l) {
  int order = (int)n, info;
  for (uint64_t i = 0; i < batch; i++, a += n * n, l += n * n) {
    memmove(l, a, n * n * sizeof *l);
    dpotrf_("U", &order, l, &order, &info);
    for (uint64_t r = 0; r < n; r++)
      for (uint64_t c = 0; c < n; c++) if (info != 0) l[r * n + c] = NAN; else if (c > r) l[r * n + c] = 0;
  }
}

void svi_running_f32(uint64_t batch, uint64_t n, uint64_t m, bool after, const float *restrict a, float *restrict y) {
  for (uint64_t b = 0; b < batch; b++, a += n * m, y += n * m) {
    if (n) memset(y + (after ? (n - 1) * m : 0), 0, m * sizeof *y);
    for (uint64_t k = 1; k < n; k++) {
      uint64_t to = after ? n - 1 - k : k, from = after ? to + 1 : to - 1;
      for (uint64_t c = 0; c < m; c++) y[to * m + c] = y[from * m + c] + a[from * m + c];
    }
  }
}

void svi_running_f64(uint64_t batch, uint64_t n, uint64_t m, bool after, const double *restrict a, double *restrict y) {
  for (uint64_t b = 0; b < batch; b++, a += n * m, y += n * m) {
    if (n) memset(y + (after ? (n - 1) * m : 0), 0, m * sizeof *y);
    for (uint64_t k = 1; k < n; k++) {
      uint64_t to = after ? n - 1 - k : k, from = after ? to + 1 : to - 1;
      for (uint64_t c = 0; c < m; c++) y[to * m + c] = y[from * m + c] + a[from * m + c];
    }
  }
}

int32_t svi_settle_f32(uint64_t n, const float *next, float *guess) {
  if (memcmp(next, guess, n * sizeof *next) == 0) return 0;
  for (uint64_t i = 0; i < n; i++) if (isfinite(next[i])) guess[i] = next[i];
  return 1;
}

int32_t svi_settle_f64(uint64_t n, const double *next, double *guess) {
  if (memcmp(next, guess, n * sizeof *next) == 0) return 0;
  for (uint64_t i = 0; i < n; i++) if (isfinite(next[i])) guess[i] = next[i];
  return 1;
}

/* x = op(t)^-1 b with t[n, n], b and x [n, m]. */
void svi_solve_tri_f32(uint64_t batch, uint64_t n, uint64_t m, bool lower, bool trans, const float *t, const float *b, float *x) {
  for (uint64_t i = 0; i < batch; i++, t += n * n, b += n * m, x += n * m) {
    memmove(x, b, n * m * sizeof *x);
    cblas_strsm(CblasRowMajor, CblasLeft, lower ? CblasLower : CblasUpper, trans ? CblasTrans : CblasNoTrans, CblasNonUnit,
                (int)n, (int)m, 1, t, (int)n, x, (int)m);
  }
}

void svi_solve_tri_f64(uint64_t batch, uint64_t n, uint64_t m, bool lower, bool trans, const double *t, const double *b, double *x) {
  for (uint64_t i = 0; i < batch; i++, t += n * n, b += n * m, x += n * m) {
    memmove(x, b, n * m * sizeof *x);
    cblas_dtrsm(CblasRowMajor, CblasLeft, lower ? CblasLower : CblasUpper, trans ? CblasTrans : CblasNoTrans, CblasNonUnit,
                (int)n, (int)m, 1, t, (int)n, x, (int)m);
  }
}
