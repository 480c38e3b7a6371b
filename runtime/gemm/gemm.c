/* svi_gemm: matrix products by the kernels of this processor. */
#include <stddef.h>
#include <string.h>
#include "../svi.h"
#include "gemm.h"

const GemmKernels *gemm_kernels_at(unsigned i) {
  const GemmKernels *can[3];
  unsigned n = 0;
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) can[n++] = &gemm_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) can[n++] = &gemm_avx2;
#endif
  can[n++] = &gemm_plain;
  return i < n ? can[i] : NULL;
}

static const GemmKernels *kernels = &gemm_plain;
__attribute__((constructor)) static void choose_kernels(void) { kernels = gemm_kernels_at(0); }
const GemmKernels *gemm_kernels(void) { return kernels; }

/* Below this share of ones it is faster to add rows than to multiply matrices. */
#define FEW_ONES 0.3
enum { ROWS_LOOKED_AT = 4, FEW_COLUMNS = 96 };           /* and for fewer columns than that it is not */
/* Triangles are done so many rows or columns at a time: where they meet the diagonal, half of a square is in vain. */
enum { SQUARE = 96 };
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b)  { return a > b ? a : b; }

#define REAL float
#define NAME(x) x##_f32
#define WIDTH f32
#include "gemm_call.h"
#undef REAL
#undef NAME
#undef WIDTH
#define REAL double
#define NAME(x) x##_f64
#define WIDTH f64
#include "gemm_call.h"
