/* Models for the trainer's tests, written by hand as the compiler would emit them. */
#ifndef TRAINER_MODELS_H
#define TRAINER_MODELS_H
#include "../../runtime/svi.h"
/* Least squares in double precision: one phase, gradients in lanes; momentum, clipping, averaged parameters. */
extern const SviModel linear_model;
/* In single precision, with everything a step can have: particles, values kept between phases, a serial phase, a batch mean,
 * a parameter for each row, a state, a gradient in two places, a second step without rows, reports, sample, encode.
 * Option `poison`: 1 makes the objective of data row 7 NaN, 2 only its gradient; `poison_at` is the step it starts at. */
extern const SviModel mixed_model;
/* Plates: ratings that point at users and items by their columns, users and items without columns of their own, and a plate
 * inside another (time of user).  Parameters of users and items move to 1 and to the number of the item. */
extern const SviModel plates_model;
#endif
