/* A workplace for tests of compiled models: a new folder, commands run in it, and what they said and wrote.
 *
 * Everything fails loudly: a command that should succeed and does not ends the test with what it said.  The compiler is
 * SVIC, given by the build; models are files of this folder (or text), data is written by svi_npz_write. */
#ifndef WORK_H
#define WORK_H
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "../../runtime/data/data.h"

typedef struct { int code; char *out, *err; } Ran;      /* code: exit status, or 128 + signal */

void work_begin(const char *name);              /* makes the folder and enters it */
void work_end  (void);                          /* removes it, and what was said */
_Noreturn void work_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void (*work_on_fail)(const char *text);         /* how a test framework ends a test; NULL: exit(1) */

/* Words are separated by blanks; a word in 'quotes' is kept whole.  The result lives until work_end. */
Ran  work_try (const char *format, ...) __attribute__((format(printf, 1, 2)));
Ran  work_run (const char *format, ...) __attribute__((format(printf, 1, 2)));      /* must exit 0 */

/* Compiles run_models/NAME.svm to ./OUT. */
void work_compile(const char *name, const char *out, const char *options);

/* The number of one report of `eval --json`: value, standard error. */
typedef struct { double value, se; uint64_t n; } Report;
Report report_of(const cJSON *eval, const char *name);
cJSON *work_eval(const char *arguments);        /* runs `ARGUMENTS`, e.g. "./m eval --json --data d.npz"; lives until work_end */

/* One array of a file, as doubles; lives until work_end. */
typedef struct { double *at; uint64_t n; } Numbers;
Numbers work_read(const char *path, const char *array);
bool    work_has (const char *path, const char *array);
bool    work_has_file(const char *path);

void data_put(const char *path, const SviArray *a, size_t n);
#endif
