/* Vectors of 32 bytes, 16 registers. */
#define ISA         avx2
#define BYTES       32
#define ROWS        4
#define VECTORS     3
#include "gemm_isa.h"
