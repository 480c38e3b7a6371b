/* Elementwise mathematics, in two widths.
 *
 * Read kernels.def first: the table of what there is, over which domain and how well.  kernels_f32.c and
 * kernels_f64.c hold the bodies.  They are compiled twice: natively, for the runtime and the tests, and
 * to LLVM bitcode, which the compiler embeds, links into a model and inlines.
 *
 * f32 kernels are branch-free scalar code without calls, loops or tables in memory, so that a loop around
 * one is vectorised as a whole.  They are strict IEEE arithmetic up to contraction, which clang decides
 * in the source (-ffp-contract=on): a value has the same bits in the body and in the tail of a loop.
 * Rounding to the nearest is assumed.  f64 kernels call libm where libm has the function.
 *
 * No kernel has state, none sets errno.  Derivatives are the business of the compiler's table of ops. */
#ifndef SVI_KERNELS_H
#define SVI_KERNELS_H

#define SVI_CONST __attribute__((const))

#define SVI_ARGS_1(T) T
#define SVI_ARGS_2(T) T, T
#define KERNEL(name, arity, lo, hi, max_error, remark)           \
  SVI_CONST float  svi_##name##_f32(SVI_ARGS_##arity(float));    \
  SVI_CONST double svi_##name##_f64(SVI_ARGS_##arity(double));
#include "kernels.def"
#undef KERNEL

/* dx/dalpha of a standard gamma sample x whose cdf value is held fixed (gamma.c).  alpha in [1e-3, 1e4],
 * x > 0; relative error 1e-4 (f32) and 1e-7 (f64).  The f64 one is not inlined: it loops and branches. */
SVI_CONST float  svi_gamma_grad_f32(float alpha, float x);
SVI_CONST double svi_gamma_grad_f64(double alpha, double x);
/* dx/dkappa of a von Mises sample x of mean 0 whose cdf value is held fixed (vonmises.c).  kappa in [0, 1e8], |x| <= pi;
 * relative error 1e-6 (f32) and 1e-9 (f64).  Not inlined. */
SVI_CONST float  svi_vonmises_grad_f32(float kappa, float x);
SVI_CONST double svi_vonmises_grad_f64(double kappa, double x);

#endif
