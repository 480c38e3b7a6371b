/* Test cases of compiled models: each in a workplace of its own, for each of `widths`. */
#ifndef CASES_H
#define CASES_H
#include "work.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const char *options; double exact; } Width;      /* of svic; how near what is known exactly must come, relative to 1 + it */
/* Sanitised, for its memory and not for its numbers, a case is run in single precision only. */
#ifdef __SANITIZE_ADDRESS__
enum { FIRST_WIDTH = 1, WIDTHS = 2 };
#else
enum { FIRST_WIDTH = 0, WIDTHS = 2 };
#endif
extern const Width widths[WIDTHS];              /* each file's own: double, single */
extern const Width *width;                      /* of the case: set by compile */

int  run_cases(const char *name, void (*add)(TCase *));      /* main */

void compile(const char *model, int i);         /* MODEL.svm of this folder to ./m, as widths[i] has it */
void start  (const char *model, int i);         /* ... and the first values of its parameters to run/last.safetensors, by d.npz */
void put_constant(const char *name, double value, uint64_t rows);      /* d.npz of one column */
Report eval(const char *report, const char *more);      /* of ./m on d.npz */

void is_near   (double got, double want, double error, const char *what);         /* relative to 1 + want */
void is_exactly(double got, double want, const char *what);
/* Within four standard errors, of which the largest allowed is told. */
void is_about  (Report got, double want, double largest_se, const char *what);
#endif
