/* Runs a loop program in plain C and double precision, as the runtime runs generated code: chunks dealt to lanes, particles
 * in blocks, lanes joined in order.  All memory is NaN before it is written, so that what is read too early shows.
 * An access outside of its buffer ends the test. */
#ifndef LOOPS_INTERP_H
#define LOOPS_INTERP_H
#include "../../compiler/loops/loops.h"

typedef struct {
  const LoopProgram *p;
  const SviEntry    *entry;
  const EvalInput   *in;               /* sizes, rows, keys, and values of leaves (asked for whole) */
  uint64_t           chunk, lanes, block;
} InterpInput;

typedef struct Interp Interp;
Interp *interp_run   (Arena *arena, const InterpInput *in);
double  interp_scalar(const Interp *r, uint32_t i);
/* The whole gradient or update of the entry's i-th, or row output; its size in *n. */
const double *interp_grad  (Interp *r, uint32_t i, uint64_t *n);
const double *interp_update(Interp *r, uint32_t i, uint64_t *n);
const double *interp_out   (Interp *r, uint32_t i, uint64_t *n);
#endif
