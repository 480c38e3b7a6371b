/* Vectors of 64 bytes, 32 registers. */
#define ISA         avx512
#define BYTES       64
#define ROWS        8
#define VECTORS     3
#include "gemm_isa.h"
