/* Matrix products: what the kernels of one instruction set offer.
 *
 * C[m,n] (+)= op(A) op(B), all row-major, op(A)[i,p] = a[i * si + p * sp]: (lda, 1), or (1, lda) when A is transposed.
 *
 * Read: gemm.c (which kernels, and when bits are counted), gemm_body.h (the kernels), avx512.c, avx2.c, plain.c (the same body,
 * compiled for each instruction set). */
#ifndef SVI_GEMM_H
#define SVI_GEMM_H
#include <stdbool.h>
#include <stdint.h>

#define GEMM_KERNELS(T)                                                                                                  \
  /* any product */                                                                                                      \
  void (*dense)(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const T *a, uint64_t lda, const T *b, uint64_t ldb, bool add, T *c, uint64_t ldc); \
  /* A of zeros and ones: rows of B are added up, of each what is right of column row - shift (ALL: all of it) */         \
  void (*bits)(int64_t shift, uint64_t m, uint64_t n, uint64_t k, const T *a, uint64_t lda, const T *b, uint64_t ldb, bool add, T *c, uint64_t ldc);  \
  /* ... and A transposed; of each row of C what is right of column row - shift */                                       \
  void (*bits_transposed)(int64_t shift, uint64_t m, uint64_t n, uint64_t k, const T *a, uint64_t lda, const T *b, uint64_t ldb, bool add, T *c, uint64_t ldc)
#define GEMM_ALL INT64_C(0x7fffffff)
typedef struct { GEMM_KERNELS(float);  } GemmKernels_f32;
typedef struct { GEMM_KERNELS(double); } GemmKernels_f64;
typedef struct { const char *name; GemmKernels_f32 f32; GemmKernels_f64 f64; } GemmKernels;

extern const GemmKernels gemm_plain;
#ifdef __x86_64__
extern const GemmKernels gemm_avx2, gemm_avx512;
#endif
/* The best kernels for this processor; the i-th that it can run, NULL behind the last (for tests). */
const GemmKernels *gemm_kernels(void);
const GemmKernels *gemm_kernels_at(unsigned i);
#endif
