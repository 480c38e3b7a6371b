/* Factorisations and solves for generated code: the one place that knows BLAS and LAPACK.  (Products are our own: gemm/.)
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

#define REAL float
#define NAME(x) x##_f32
#define BLAS(x) cblas_s##x
#define POTRF spotrf_
#include "linalg_body.h"
#undef REAL
#undef NAME
#undef BLAS
#undef POTRF
#define REAL double
#define NAME(x) x##_f64
#define BLAS(x) cblas_d##x
#define POTRF dpotrf_
#include "linalg_body.h"
