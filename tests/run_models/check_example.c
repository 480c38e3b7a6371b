/* One model against the reference evaluator:  check_example MODEL.svm ['OPTIONS OF SVIC' ['OPTIONS OF SELF-CHECK']].
 *
 * The model is compiled in double and in single precision; data that fits what it declares is made up; then its trainer
 * checks itself (`self-check`): every entry's every result by generated code against the compiler's evaluator.  A few
 * training steps must give the same bits for one thread and for three, and again when resumed half way.  Trained parameters are checked as well as first ones: biases that are all
 * zero could hide a mistake. */
#include "work.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 90, STEPS = 7 };                  /* STEPS: of a plate inside another */

static uint64_t state = 88172645463325252u;
static double uniform(void) {                   /* xorshift64 */
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (double)(state >> 11) * 0x1p-53;
}

/* A value of a declared type: bit, count, class[10], real, positive, nonneg, unit, interval(a, b). */
static double value_of(const char *type, int element, int size) {
  double lo, hi;
  if (strncmp(type, "bit", 3) == 0) return uniform() < 0.3;
  if (strncmp(type, "count", 5) == 0) return floor(uniform() * uniform() * 6);
  if (strncmp(type, "class[", 6) == 0) return floor(uniform() * atof(type + 6));
  if (sscanf(type, "interval(%lf , %lf)", &lo, &hi) == 2) return uniform() < 0.7 ? lo : lo + (hi - lo) * uniform();      /* like pictures: mostly empty */
  if (strncmp(type, "simplex", 7) == 0) return 1.0 / size;
  if (strncmp(type, "ordered", 7) == 0) return element + uniform();
  if (strncmp(type, "unit", 4) == 0) return 0.05 + 0.9 * uniform();
  if (strncmp(type, "positive", 8) == 0 || strncmp(type, "nonneg", 6) == 0) return 0.1 + 2 * uniform();
  if (strncmp(type, "real", 4) == 0) return 2 * uniform() + uniform() - 1.5;
  work_fail("data of type `%s` cannot be made up yet", type);
}

static bool has_points(const cJSON *column) { return cJSON_IsString(cJSON_GetObjectItem(column, "points")); }

static void make_data(const cJSON *info) {
  SviArray a[64];
  size_t n = 0;
  const cJSON *column;
  cJSON_ArrayForEach(column, cJSON_GetObjectItem(info, "columns")) {
    if (n == 64) work_fail("too many columns");
    const char *type = cJSON_GetObjectItem(column, "type")->valuestring;
    uint64_t size = (uint64_t)cJSON_GetObjectItem(column, "size")->valuedouble;
    bool rows = cJSON_IsString(cJSON_GetObjectItem(column, "plate"));
    bool inside = cJSON_IsString(cJSON_GetObjectItem(column, "inside"));
    uint64_t count = size * (rows ? ROWS : 1) * (inside ? STEPS : 1);
    double *x = calloc(count, sizeof *x);
    for (uint64_t i = 0; i < count; i++) x[i] = has_points(column) ? floor(uniform() * 12) : value_of(type, (int)(i % size), (int)size);
    a[n] = (SviArray){.name = cJSON_GetObjectItem(column, "name")->valuestring, .type = SVI_F64, .bytes = x};
    if (rows) a[n].dim[a[n].rank++] = ROWS;
    if (inside) a[n].dim[a[n].rank++] = STEPS;
    if (size > 1 || !rows) a[n].dim[a[n].rank++] = size;
    n++;
  }
  if (n) data_put("d.npz", a, n);
  for (size_t i = 0; i < n; i++) free((void *)(uintptr_t)a[i].bytes);
}

static const char *data_words = "", *check_words = "";

static void self_check(const char *trainer, const char *more) {
  Ran r = work_try("./%s self-check %s --seed 5 --threads 2 %s %s", trainer, data_words, more, check_words);
  if (r.code == 0) return;
  char *differs = strstr(r.out, "<- differs");
  char *line = differs;
  while (line && line > r.out && line[-1] != '\n') line--;
  work_fail("%s self-check %s: status %d\n%s%.3000s", trainer, more, r.code, r.err, line ? line : r.out);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  char path[4096], options[2000] = "";
  if (!realpath(argv[1], path)) { perror(argv[1]); return 2; }
  if (argc > 2) snprintf(options, sizeof options, "%s", argv[2]);
  if (argc > 3) check_words = argv[3];
  work_begin("example");
  Ran r = work_try("%s '%s' -o m64 --precision f64 %s", SVIC, path, options);
  if (r.code != 0) work_fail("svic: status %d\n%s", r.code, r.err);
  cJSON *info = work_eval("./m64 info --json");
  bool trains = cJSON_GetArraySize(cJSON_GetObjectItem(info, "steps")) > 0;
  const char *batch = cJSON_IsTrue(cJSON_GetObjectItem(info, "whole_batch")) ? "" : "--batch 40";
  make_data(info);
  data_words = work_has_file("d.npz") ? "--data d.npz" : "--quiet";
  self_check("m64", "");
  self_check("m64", "--rows 3 --k 330");        /* particles streamed in blocks of several sizes */
  self_check("m64", "--rows 1 --k 1");
  work_run("%s '%s' -o m32 %s", SVIC, path, options);
  self_check("m32", "");
  if (!trains) {                                /* a simulator, or a module */
    work_end();
    return 0;
  }
  const char *m = "m32";                        /* made-up data may be too much for single precision: then in double */
  Ran first = work_try("./%s train %s --steps 6 %s --k 3 --print-hash --quiet --threads 1 --out one", m, data_words, batch);
  if (first.code == 4) first = work_run("./%s train %s --steps 6 %s --k 3 --print-hash --quiet --threads 1 --out one", m = "m64", data_words, batch);
  if (first.code != 0) work_fail("%s train: status %d\n%s", m, first.code, first.err);
  Ran three = work_run("./%s train %s --steps 6 %s --k 3 --print-hash --quiet --threads 3 --out three", m, data_words, batch);
  if (strcmp(first.out, three.out) != 0) work_fail("one thread: %sthree threads: %s", first.out, three.out);
  self_check(m, "--params one/last.safetensors");
  work_run("./%s train %s --steps 3 %s --k 3 --quiet --threads 2 --out half", m, data_words, batch);
  Ran resumed = work_run("./%s train %s --steps 6 %s --k 3 --print-hash --quiet --threads 2 --out half --resume", m, data_words, batch);
  if (strcmp(first.out, resumed.out) != 0) work_fail("unbroken: %sresumed: %s", first.out, resumed.out);
  work_end();
  return 0;
}
