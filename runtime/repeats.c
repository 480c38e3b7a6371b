/* For generated code whose steps are run again and again (OP_guess, OP_settle), and sums that run along a dimension (OP_running).
 * Apart from linalg.c, so that a trainer that has no factorisations loads no BLAS. */
#include <math.h>
#include <string.h>
#include "svi.h"

#define REAL float
#define NAME(x) x##_f32
#include "repeats_body.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "repeats_body.h"
