/* Any processor: vectors of 16 bytes, which every compiler can make something of. */
#define ISA         plain
#define BYTES       16
#define ROWS        4
#define VECTORS     3
#include "gemm_isa.h"
