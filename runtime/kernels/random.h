/* Random numbers as pure functions of a key and a counter; nothing is stored.
 *
 * The key (k0, k1) says which seed, site and step is meant, the counter (c0, c1) which row, particle and
 * coordinate; the compiler chooses the packing.  Equal arguments give equal draws, whatever the fusion
 * and the number of threads.  Callers must keep to one distribution per (key, counter): a uniform and a
 * normal at the same place are made of the same bits.
 *
 * Inlined kernels, bodies in kernels_f32.c and kernels_f64.c: threefry, uniform, normal, and standard_gamma in single precision.
 * Out of line, in samplers.c: standard_gamma, poisson, vonmises, which need several words a draw.
 * See note [words of a draw] there for how these are kept apart: words of the STREAM. */
#ifndef SVI_RANDOM_H
#define SVI_RANDOM_H

#include <stdint.h>
#include "kernels.h"

#define STREAM 0xffffffffu

/* Threefry-2x32 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * The result's low half is the first word.  13 rounds are the fewest that pass BigCrush; 20 are the
 * authors' default, with the known answers to test against. */
static inline __attribute__((always_inline)) uint32_t threefry_turn(uint32_t x, int by) {
  return x << by | x >> (32 - by);
}

static inline __attribute__((always_inline)) uint64_t threefry_2x32(int rounds, uint32_t k0, uint32_t k1,
                                                                    uint32_t c0, uint32_t c1) {
  const uint32_t k2 = 0x1BD11BDAu ^ k0 ^ k1;
  uint32_t x0 = c0 + k0, x1 = c1 + k1;
#define ROUND(n, by) if (rounds > (n)) { x0 += x1; x1 = threefry_turn(x1, by) ^ x0; }
#define INJECT(n, a, b) if (rounds >= 4 * (n)) { x0 += (a); x1 += (b) + (n); }
  ROUND( 0, 13) ROUND( 1, 15) ROUND( 2, 26) ROUND( 3,  6) INJECT(1, k1, k2)
  ROUND( 4, 17) ROUND( 5, 29) ROUND( 6, 16) ROUND( 7, 24) INJECT(2, k2, k0)
  ROUND( 8, 13) ROUND( 9, 15) ROUND(10, 26) ROUND(11,  6) INJECT(3, k0, k1)
  ROUND(12, 17) ROUND(13, 29) ROUND(14, 16) ROUND(15, 24) INJECT(4, k1, k2)
  ROUND(16, 13) ROUND(17, 15) ROUND(18, 26) ROUND(19,  6) INJECT(5, k2, k0)
#undef ROUND
#undef INJECT
  return (uint64_t)x1 << 32 | x0;
}

SVI_CONST uint64_t svi_threefry   (uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1);  /* 13 rounds */
SVI_CONST uint64_t svi_threefry_20(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1);

/* Uniform on the open interval: odd multiples of 2^-24 (f32) and of 2^-53 (f64), never 0 or 1. */
SVI_CONST float  svi_uniform_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1);
SVI_CONST double svi_uniform_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1);

/* Standard normal, within +-6.77. */
SVI_CONST float  svi_normal_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1);
SVI_CONST double svi_normal_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1);

/* Gamma with shape alpha and scale 1.  Never below the smallest normal number of the width, so that its
 * logarithm is finite; NaN where alpha is not positive. */
SVI_CONST float  svi_standard_gamma_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, float alpha);
SVI_CONST double svi_standard_gamma_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, double alpha);

/* x, or where that is below 0 a standard gamma draw.  Out of line; vectors of them, of the instruction sets that a compiled model
 * may be made for, are in settle_avx2.c and settle_avx512.c. */
SVI_CONST float  svi_gamma_settle_f32(float x, uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, float alpha);

/* Poisson counts, as a number of the width; NaN where the rate is negative, infinite or NaN. */
SVI_CONST float  svi_poisson_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, float rate);
SVI_CONST double svi_poisson_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, double rate);

/* Angles of the von Mises law with mean 0, |x| <= pi; NaN where the concentration is negative, infinite or NaN. */
SVI_CONST float  svi_vonmises_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, float concentration);
SVI_CONST double svi_vonmises_f64(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, double concentration);

#endif
