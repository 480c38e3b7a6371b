/* svi_gamma_settle_f32 of LANES elements, as the compiler's vectoriser calls it: vectors in, a vector out.  Nearly always there is
 * nothing to do. */
#include "random.h"
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
typedef float    Floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words  __attribute__((vector_size(4 * LANES)));

Floats JOIN(svi_gamma_settle_f32x, LANES)(Floats x, Words k0, Words k1, Words c0, Words c1, Floats alpha);
Floats JOIN(svi_gamma_settle_f32x, LANES)(Floats x, Words k0, Words k1, Words c0, Words c1, Floats alpha) {
  float least = x[0];
  for (int i = 1; i < LANES; i++) least = least < x[i] ? least : x[i];
  if (least >= 0) return x;
  for (int i = 0; i < LANES; i++) x[i] = svi_gamma_settle_f32(x[i], k0[i], k1[i], c0[i], c1[i], alpha[i]);
  return x;
}
