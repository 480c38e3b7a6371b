/* The kernels of one instruction set, for both widths.  In: ISA, BYTES of a vector, ROWS, VECTORS. */
#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif
#include "gemm.h"
#define INLINE static inline __attribute__((always_inline))
/* before a short loop of known length over registers: written out in time, or they would be memory */
#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif
/* rows of B between two visits to C; where rows are added up, so many of B, of C listed together, and ones of a list at most; vectors of a panel */
enum { DEPTH = 128, DEEP = 104, LISTED = 32, BITS = 1024, BIT_VECTORS = 7 };
/* blocks of ROWS of a transposed A that are packed together; blocks that make good for packing B; panels that make good for packing A */
enum { GROUP = 128 / ROWS, MANY_BLOCKS = 64 / ROWS, MANY_PANELS = 5 };
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

#define REAL float
#define LANES (BYTES / 4)
#define NAME(x) x##_f32
#include "gemm_hooks.h"
#include "gemm_body.h"
#undef REAL
#undef LANES
#undef NAME

#define REAL double
#define LANES (BYTES / 8)
#define NAME(x) x##_f64
#define WIDE
#include "gemm_hooks.h"
#include "gemm_body.h"

const GemmKernels JOIN(gemm_, ISA) = {
  .f32 = { dense_f32, bits_f32, bits_transposed_f32 },
  .f64 = { dense_f64, bits_f64, bits_transposed_f64 },
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
  .name = TEXT(ISA),
};
