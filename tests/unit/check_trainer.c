/* The trainer, run as its user runs it: commands in child processes, on models written by hand (trainer_models.c). */
#include "../../runtime/trainer.h"
#include "trainer_models.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 1000 };
static char place[64];
static float  mixed_y[ROWS];
static double linear_x[ROWS * 5], linear_y[ROWS];
static uint8_t mixed_x[ROWS * 6];

/* ---- helpers */
typedef struct { int code; char out[60000], err[60000]; } Ran;

static size_t slurp(const char *path, char *text, size_t room) {
  FILE *f = fopen(path, "r");
  size_t n = f ? fread(text, 1, room - 1, f) : 0;
  text[n] = 0;
  if (f) fclose(f);
  return n;
}

static pid_t start(const SviModel *m, const char *line, rlim_t file_limit) {
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child > 0) return child;
  static char words[2000];
  char *argv[64] = { (char *)(uintptr_t)m->name };
  int argc = 1;
  snprintf(words, sizeof words, "%s", line);
  for (char *w = strtok(words, " "); w; w = strtok(NULL, " ")) argv[argc++] = w;
  if (!freopen("out.txt", "w", stdout) || !freopen("err.txt", "w", stderr)) _exit(99);
  if (file_limit) setrlimit(RLIMIT_FSIZE, &(struct rlimit){ file_limit, file_limit });
  exit(trainer_main(m, argc, argv));
}

static Ran *finish(pid_t child) {
  static Ran ran[4];
  static int next;
  Ran *r = &ran[next++ % 4];
  int status;
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  r->code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  slurp("out.txt", r->out, sizeof r->out);
  slurp("err.txt", r->err, sizeof r->err);
  return r;
}

static Ran *run_line(const SviModel *m, const char *line) { return finish(start(m, line, 0)); }

static Ran *run_expect(const SviModel *m, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static Ran *run_expect(const SviModel *m, int code, const char *format, ...) {
  char line[2000];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  Ran *r = run_line(m, line);
  ck_assert_msg(r->code == code, "%s: exit %d, not %d: %s", line, r->code, code, r->err);
  return r;
}

static void expect_text(const char *text, const char *part) { ck_assert_msg(strstr(text, part) != NULL, "`%s` is not in: %s", part, text); }

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static uint64_t saved_step(const SviModel *m, const char *path) {
  Checkpoint c;
  SviError e;
  ck_assert_msg(checkpoint_open(&c, m, path, &e), "%s", e.text);
  uint64_t step = c.step;
  checkpoint_close(&c);
  return step;
}

static void make_data(void) {
  SviError e;
  uint64_t r = 1;
  for (int i = 0; i < ROWS; i++) {
    for (int k = 0; k < 6; k++) mixed_x[i * 6 + k] = (uint8_t)((r = hash_mix(r)) % 10 < 3);
    mixed_y[i] = (float)((double)(r = hash_mix(r)) / 0x1p63 - 1);
    if (i == 7) mixed_y[i] = -1;
    linear_y[i] = 0.5;
    for (int k = 0; k < 5; k++) {
      linear_x[i * 5 + k] = (double)(r = hash_mix(r)) / 0x1p63 - 1;
      linear_y[i] += linear_x[i * 5 + k] * (k - 2);
    }
  }
  SviArray mixed[]  = { { .name = "x", .type = SVI_U8,  .rank = 3, .dim = { ROWS, 2, 3 }, .bytes = mixed_x  }, { .name = "y", .type = SVI_F32, .rank = 1, .dim = { ROWS }, .bytes = mixed_y } };
  SviArray linear[] = { { .name = "x", .type = SVI_F64, .rank = 2, .dim = { ROWS, 5 },    .bytes = linear_x }, { .name = "y", .type = SVI_F64, .rank = 1, .dim = { ROWS }, .bytes = linear_y } };
  ck_assert(svi_npz_write("mixed.npz", mixed, 2, &e));
  ck_assert(svi_npz_write("linear.npz", linear, 2, &e));
}

static void setup(void) {
  snprintf(place, sizeof place, "/tmp/svi-trainer-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(place));
  ck_assert_int_eq(chdir(place), 0);
  make_data();
}

static void teardown(void) {
  char line[200];
  ck_assert_int_eq(chdir("/"), 0);
  snprintf(line, sizeof line, "rm -rf %s", place);
  ck_assert_int_eq(system(line), 0);
}

/* ---- same bits */
START_TEST(threads_do_not_change_a_bit) {
  static const int batches[] = { 1, 7, 64, 150, 333, 999, 1000, 5000 };
  for (size_t b = 0; b < LENGTH(batches); b++) {
    char one[64] = "";
    for (int t = 1; t <= 5; t += t == 3 ? 2 : 1) {
      Ran *r = run_expect(&mixed_model, 0, "train --data mixed.npz --steps 40 --batch %d --threads %d --no-save --print-hash -q", batches[b], t);
      if (t == 1) snprintf(one, sizeof one, "%.63s", r->out);
      ck_assert_uint_eq(strlen(r->out), 17);
      ck_assert_str_eq(r->out, one);
      ck_assert_str_eq(r->err, "");
    }
  }
  char one[64] = "";
  for (int t = 1; t <= 3; t++) {
    Ran *r = run_expect(&linear_model, 0, "train --data linear.npz --epochs 2 --batch 333 --threads %d --no-save --print-hash -q", t);
    if (t == 1) snprintf(one, sizeof one, "%.63s", r->out);
    ck_assert_str_eq(r->out, one);
  }
}
END_TEST

START_TEST(seeds_change_the_bits) {
  char one[64];
  snprintf(one, sizeof one, "%.63s", run_expect(&mixed_model, 0, "train -d mixed.npz --steps 1 --no-save --print-hash -q")->out);
  ck_assert_str_ne(one, run_expect(&mixed_model, 0, "train -d mixed.npz --steps 1 --no-save --print-hash -q --seed 1")->out);
}
END_TEST

START_TEST(resuming_continues_bit_for_bit) {
  static const struct { const SviModel *m; const char *data; } each[] = { { &mixed_model, "mixed.npz --batch 48 --k 2 --set ramp=3" }, { &linear_model, "linear.npz" } };
  for (int i = 0; i < 2; i++) {
    char whole[64];
    snprintf(whole, sizeof whole, "%.63s", run_expect(each[i].m, 0, "train --data %s --steps 300 --seed 5 -o whole -q --print-hash", each[i].data)->out);
    run_expect(each[i].m, 0, "train --data %s --steps 150 --seed 5 -o half -q -t 2", each[i].data);
    /* batch, k, seed and options come from the checkpoint */
    Ran *r = run_expect(each[i].m, 0, "train --data %s --steps 300 -o half --resume -q --print-hash -t 1", i == 0 ? "mixed.npz" : "linear.npz");
    ck_assert_str_eq(r->out, whole);
    char a[60000], b[60000];
    size_t size = slurp("whole/last.safetensors", a, sizeof a);
    ck_assert_uint_gt(size, 500);
    ck_assert_uint_eq(slurp("half/last.safetensors", b, sizeof b), size);
    ck_assert_mem_eq(a, b, size);
    /* The metrics hold each line's step once, rising. */
    slurp("half/metrics.jsonl", a, sizeof a);
    uint64_t last = 0;
    for (char *at = a; (at = strstr(at, "\"step\": ")); at++) {
      uint64_t step = strtoull(at + 8, NULL, 10);
      ck_assert_uint_gt(step, last);
      last = step;
    }
    ck_assert_uint_eq(last, 300);
  }
}
END_TEST

START_TEST(another_model_is_not_resumed) {
  run_expect(&mixed_model, 0, "train -d mixed.npz --steps 3 -o r -q");
  Ran *r = run_expect(&linear_model, 1, "train -d linear.npz --steps 6 -o r --resume -q");
  expect_text(r->err, "is of another model: `w` is not in the file");
  SviModel changed = mixed_model;
  changed.hash = "3333";
  r = run_expect(&changed, 1, "train -d mixed.npz --steps 6 -o r --resume -q");
  expect_text(r->err, "another version of the model");
  run_expect(&changed, 0, "train -d mixed.npz --steps 6 -o r2 --params r/last.safetensors -q");
  run_expect(&changed, 0, "eval -d mixed.npz -o r -q");
}
END_TEST

/* ---- being stopped */
static void wait_for_step(const char *folder, uint64_t least) {
  char path[200], text[60000];
  snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
  for (int i = 0; i < 20000; i++) {
    slurp(path, text, sizeof text);
    uint64_t step = 0;
    for (char *at = text; (at = strstr(at, "\"step\": ")); at++) step = strtoull(at + 8, NULL, 10);
    if (step >= least) return;
    usleep(1000);
  }
  ck_abort_msg("no step %d", (int)least);
}

static void stopped_by(int sign, int code) {
  pid_t child = start(&mixed_model, "train -d mixed.npz --steps 900000000 -o r", 0);
  wait_for_step("r", 50);
  kill(child, sign);
  Ran *r = finish(child);
  ck_assert_int_eq(r->code, code);
  expect_text(r->err, "--resume");
  uint64_t step = saved_step(&mixed_model, "r/last.safetensors");
  ck_assert_uint_ge(step, 50);
  char on[64];
  snprintf(on, sizeof on, "%.63s", run_expect(&mixed_model, 0, "train -d mixed.npz --steps %" PRIu64 " -o r --resume -q --print-hash", step + 20)->out);
  ck_assert_str_eq(on, run_expect(&mixed_model, 0, "train -d mixed.npz --steps %" PRIu64 " --no-save -q --print-hash", step + 20)->out);
}
START_TEST(interrupting_saves) { stopped_by(SIGINT, 130); }
END_TEST
START_TEST(terminating_saves) { stopped_by(SIGTERM, 143); }
END_TEST

START_TEST(killing_while_saving_keeps_a_checkpoint) {
  run_expect(&mixed_model, 0, "train -d mixed.npz --steps 5 -o r -q");
  uint64_t last = 5;
  for (int i = 0; i < 25; i++) {
    pid_t child = start(&mixed_model, "train -d mixed.npz --steps 900000000 -o r --resume --save-every 1 -q", 0);
    usleep((useconds_t)(5000 + 3000 * (i % 9)));
    kill(child, SIGKILL);
    ck_assert_int_eq(finish(child)->code, 1000 + SIGKILL);
    uint64_t step = saved_step(&mixed_model, "r/last.safetensors");
    ck_assert_uint_ge(step, last);
    last = step;
  }
  ck_assert_uint_gt(last, 5);
  run_expect(&mixed_model, 0, "train -d mixed.npz --steps %" PRIu64 " -o r --resume -q", last + 1);
  ck_assert_int_ne(system("ls r/.svi-*.tmp >/dev/null 2>&1"), 0);      /* what killed processes left is cleared */
}
END_TEST

START_TEST(a_full_disk_keeps_the_last_good_checkpoint) {
  run_expect(&mixed_model, 0, "train -d mixed.npz --steps 5 -o r -q");
  Ran *r = finish(start(&mixed_model, "train -d mixed.npz --steps 10 -o r --resume -q", 20000));
  ck_assert_int_eq(r->code, 1);
  expect_text(r->err, "last.safetensors: cannot write: File too large; the old file is kept");
  ck_assert_uint_eq(saved_step(&mixed_model, "r/last.safetensors"), 5);
}
END_TEST

START_TEST(an_impossible_run_directory_is_told_before_training) {
  Ran *r = run_expect(&mixed_model, 1, "train -d mixed.npz --steps 5 -o mixed.npz");
  expect_text(r->err, "cannot make the run directory mixed.npz");
  ck_assert(!strstr(r->err, "epoch"));
  run_expect(&mixed_model, 1, "train -d mixed.npz --steps 5 -o /proc/nowhere");
  run_expect(&mixed_model, 0, "train -d mixed.npz --steps 5 -o deep/er/run -q");
  ck_assert(exists("deep/er/run/last.safetensors"));
}
END_TEST

/* ---- not finite */
START_TEST(nan_stops_and_keeps_what_was) {
  for (int poison = 1; poison <= 2; poison++) {
    run_expect(&mixed_model, 0, "train -d mixed.npz --steps 3 --batch 1000 -o r%d -q", poison);
    Ran *r = run_expect(&mixed_model, 4, "train -d mixed.npz --steps 9 -o r%d --resume --set poison=%d", poison, poison);
    expect_text(r->err, poison == 1 ? "the objective is not finite in step 4" : "a gradient is not finite in step 4");
    expect_text(r->err, "first: `log` in `p.score` is -inf, row 7 of row");
    expect_text(r->err, "of `one more` = 0");
    expect_text(r->err, "mixed.svm:3:11\n     3 | model p { log(y + 1) }\n       |           ^^^^^^^^^^\n");
    char last[100], bad[100];
    snprintf(last, sizeof last, "r%d/last.safetensors", poison);
    snprintf(bad, sizeof bad, "r%d/nan-4.safetensors", poison);
    ck_assert_uint_eq(saved_step(&mixed_model, last), 3);
    SviTensors a, b;
    SviError e;
    ck_assert(svi_safetensors_open(last, &a, &e) && svi_safetensors_open(bad, &b, &e));
    const SviArray *rows = svi_safetensors_find(&b, "rows:");
    ck_assert_uint_eq(rows->dim[0], ROWS);
    static const char *const names[] = { "p.W", "p.b", "p.mean", "q.a" };      /* p.c was moved by the first step of the pair */
    for (size_t n = 0; n < LENGTH(names); n++) {
      const SviArray *x = svi_safetensors_find(&a, names[n]), *y = svi_safetensors_find(&b, names[n]);
      for (uint64_t i = 0; i < svi_array_count(x); i++) ck_assert_double_eq_tol(svi_array_get(x, i), svi_array_get(y, i), 1e-6);
    }
    svi_safetensors_close(&a);
    svi_safetensors_close(&b);
  }
}
END_TEST

/* ---- what the user gets wrong */
START_TEST(usage_errors) {
  static const struct { const char *line, *says; } wrong[] = {
    { "trian",                                     "did you mean `train`" },
    { "train --batchs 3",                          "did you mean --batch?" },
    { "train --json",                              "it is an option of time, eval" },
    { "train --batch",                             "--batch needs N" },
    { "train --batch 0 -d mixed.npz",              "--batch needs a whole number" },
    { "train --batch 2.5 -d mixed.npz",            "--batch needs a whole number" },
    { "train --lr much -d mixed.npz",              "--lr needs a number" },
    { "train --quiet=3",                           "--quiet takes no value" },
    { "train mixed.npz",                           "--data mixed.npz" },
    { "train --steps 3",                           "give --data FILE (columns: `x`, ...)" },
    { "train -d mixed.npz --set rammp=3",          "did you mean `ramp`?" },
    { "train -d mixed.npz --set ramp",             "--set needs NAME=VALUE" },
    { "train -d mixed.npz --steps 3 --epochs 3",   "exclude each other" },
    { "train -d mixed.npz --valid mixed.npz",      "parameter `q.a` exists once for each row" },
    { "train -d mixed.npz --save-every soon",      "--save-every needs a length" },
    { "eval -d mixed.npz --only nnl",              "did you mean `nll`?" },
    { "train",                                     "mixed train [options]" },
  };
  for (size_t i = 0; i < LENGTH(wrong); i++) expect_text(run_expect(&mixed_model, 2, "%s", wrong[i].line)->err, wrong[i].says);
  for (size_t i = 0; i < ncommands; i++) expect_text(run_expect(&mixed_model, 0, "%s --help", commands[i].name)->out, commands[i].help);
  expect_text(run_expect(&mixed_model, 1, "eval -d mixed.npz -o none")->err, "train first");
}
END_TEST

static void write_mixed(const char *path, const char *xname, uint64_t nx, uint64_t width, const float *x, uint64_t ny) {
  SviError e;
  SviArray a[] = { { .name = (char *)(uintptr_t)xname, .type = SVI_F32, .rank = 2, .dim = { nx, width }, .bytes = x }, { .name = (char *)(uintptr_t)"y", .type = SVI_F32, .rank = 1, .dim = { ny }, .bytes = mixed_y } };
  ck_assert(svi_npz_write(path, a, 2, &e));
}

START_TEST(data_errors) {
  float x[60] = {0};
  write_mixed("name.npz", "xx", 10, 6, x, 10);
  write_mixed("size.npz", "x", 10, 5, x, 10);
  write_mixed("rows.npz", "x", 10, 6, x, 9);
  x[33] = 2;
  write_mixed("range.npz", "x", 10, 6, x, 10);
  x[33] = NAN;
  write_mixed("nan.npz", "x", 10, 6, x, 10);
  x[33] = 0.5f;
  write_mixed("half.npz", "x", 10, 6, x, 10);
  static const struct { const char *line, *says; } wrong[] = {
    { "train --steps 2 --no-save -d none.npz",   "none.npz" },
    { "train --steps 2 --no-save -d name.npz",   "there is no column `x`, did you mean `xx`?; it holds `xx` f32 [10,6], `y` f32 [10]" },
    { "train --steps 2 --no-save -d size.npz",   "column `x` is f32 [10,5], but the model (line 4) needs [row, 6]" },
    { "train --steps 2 --no-save -d rows.npz",   "`x` and `y` are both for each row, but one has 10 rows and the other 9" },
    { "train --steps 2 --no-save -d range.npz",  "column `x`, row 5, element 3 (counted from 0) is 2; bit needs 0 or 1" },
    { "train --steps 2 --no-save -d nan.npz",    "row 5, element 3 (counted from 0) is nan" },
    { "train --steps 2 --no-save -d half.npz",   "is 0.5; bit needs 0 or 1" },
    { "train --steps 2 --no-save -d mixed.npz -d mixed.npz", "column `x` is in mixed.npz and in mixed.npz" },
    { "check-data -d range.npz",                 "row 5, element 3" },
  };
  for (size_t i = 0; i < LENGTH(wrong); i++) expect_text(run_expect(&mixed_model, 3, "%s", wrong[i].line)->err, wrong[i].says);
  x[33] = 1;
  write_mixed("ten.npz", "x", 10, 6, x, 10);
  run_expect(&mixed_model, 0, "train --steps 2 -o r -q -d ten.npz");
  expect_text(run_expect(&mixed_model, 1, "eval -o r -d mixed.npz")->err, "`q.a` is f32 [10,4] in the file and f32 [1000,4] in the model");
  expect_text(run_expect(&mixed_model, 0, "check-data -d mixed.npz")->out, "plate row: 1000 rows");
}
END_TEST

/* ---- evaluation */
static double json_value(const char *text, const char *name, const char *field) {
  char key[64];
  snprintf(key, sizeof key, "\"%s\": {", name);
  const char *at = strstr(text, key);
  ck_assert_msg(at != NULL, "no %s in %s", name, text);
  snprintf(key, sizeof key, "\"%s\": ", field);
  at = strstr(at, key);
  ck_assert_ptr_nonnull(at);
  return strtod(at + strlen(key), NULL);
}

START_TEST(reports_are_means_with_standard_errors) {
  run_expect(&linear_model, 0, "train -d linear.npz --steps 10 -o r -q");
  Checkpoint c;
  SviError e;
  State s = { .training = false };
  uint64_t total[SVI_AXES] = {0};
  ck_assert(checkpoint_open(&c, &linear_model, "r/last.safetensors", &e));
  params_new(&s.params, &linear_model, total);
  ck_assert(checkpoint_load(&c, &s, LOAD_USE, &e));
  const double *w = s.params.value;
  double sum = 0, squares = 0;
  for (int i = 0; i < ROWS; i++) {
    double d = w[5] - linear_y[i];
    for (int k = 0; k < 5; k++) d += w[k] * linear_x[i * 5 + k];
    sum += d * d;
    squares += d * d * d * d;
  }
  double mean = sum / ROWS, se = sqrt((squares / ROWS - mean * mean) / (ROWS - 1));
  for (int batch = 1; batch <= 1000; batch *= 10) {
    Ran *r = run_expect(&linear_model, 0, "eval -d linear.npz -o r --json -q --batch %d -t %d", batch, 1 + batch % 3);
    ck_assert_double_eq_tol(json_value(r->out, "error", "value"), mean, 1e-9 * mean);
    ck_assert_double_eq_tol(json_value(r->out, "error", "se"), se, 1e-9 * se);
    ck_assert_double_eq(json_value(r->out, "error", "n"), ROWS);
  }
  params_free(&s.params);
  checkpoint_close(&c);
}
END_TEST

START_TEST(lanes_are_combined_and_particles_streamed) {
  run_expect(&mixed_model, 0, "train -d mixed.npz --steps 10 -o r -q");
  double most = -INFINITY, sum = 0;
  for (int i = 0; i < ROWS; i++) { if (mixed_y[i] > most) most = mixed_y[i]; sum += exp((double)mixed_y[i]); }
  Ran *r = run_expect(&mixed_model, 0, "eval -d mixed.npz -o r --json -q --batch 1000");
  ck_assert_double_eq_tol(json_value(r->out, "most", "value"), most, 1e-6);
  ck_assert_double_eq_tol(json_value(r->out, "lse", "value"), log(sum), 1e-5);
  /* The mean over many particles hardly depends on which; its value per row must not depend on batch or threads at all. */
  char one[60000];
  snprintf(one, sizeof one, "%s", run_expect(&mixed_model, 0, "score -d mixed.npz -o r -q --k 1003 --batch 1000 -t 1")->out);
  ck_assert_str_eq(one, run_expect(&mixed_model, 0, "score -d mixed.npz -o r -q --k 1003 --batch 37 -t 3")->out);
  r = run_expect(&mixed_model, 0, "eval -d mixed.npz -o r --json -q --only nll --rows 100 --k 4000");
  double many = json_value(r->out, "nll", "value");
  r = run_expect(&mixed_model, 0, "eval -d mixed.npz -o r --json -q --only nll --rows 100 --k 160");
  ck_assert_double_eq_tol(json_value(r->out, "nll", "value"), many, 0.02);
  ck_assert_double_eq(json_value(r->out, "nll", "n"), 100);
}
END_TEST

START_TEST(outputs_are_written) {
  run_expect(&mixed_model, 0, "train -d mixed.npz --steps 10 -o r -q");
  run_expect(&mixed_model, 0, "sample -o r -c 30 --png s.png --shape 2x3 --to s.npz -q");
  run_expect(&mixed_model, 0, "encode -d mixed.npz -o r --to z.csv -q");
  run_expect(&mixed_model, 0, "encode -d mixed.npz -o r --to z.npz -q");
  run_expect(&mixed_model, 0, "reconstruct -d mixed.npz -o r -c 10 --png r.png --shape 2x3 --to x.npz -q");
  expect_text(run_expect(&mixed_model, 1, "sample -o r --png s.png -q")->err, "give --shape HxW");
  SviFile f;
  SviError e;
  ck_assert(svi_file_open("z.npz", &f, &e));
  const SviArray *z = svi_file_find(&f, "q.t");
  ck_assert(z && z->rank == 2 && z->dim[0] == ROWS && z->dim[1] == 4);
  svi_file_close(&f);
  ck_assert(svi_file_open("x.npz", &f, &e));
  const SviArray *x = svi_file_find(&f, "p.x");
  ck_assert(x && x->dim[0] == 10);
  for (uint64_t i = 0; i < 60; i++) ck_assert_double_eq(svi_array_get(x, i), mixed_x[i]);
  svi_file_close(&f);
  ck_assert(exists("s.png") && exists("r.png") && exists("z.csv"));
  expect_text(run_expect(&mixed_model, 2, "encode -d mixed.npz -o r --to z.txt -q")->err, "the name must end in .npz");
  expect_text(run_expect(&mixed_model, 1, "encode -d mixed.npz -o r --to nowhere/z.npz -q")->err, "nowhere/z.npz: cannot write");
}
END_TEST

START_TEST(validation_keeps_the_best) {
  SviModel m = linear_model;
  run_expect(&m, 0, "train -d linear.npz --valid linear.npz --epochs 4 -o r -q");
  ck_assert(exists("r/best.safetensors"));
  char text[60000];
  slurp("r/metrics.jsonl", text, sizeof text);
  expect_text(text, "\"valid\": ");
  Ran *r = run_expect(&m, 0, "eval -d linear.npz -o r");
  expect_text(r->err, "using r/best.safetensors");
}
END_TEST

START_TEST(gradients_fit_differences) {
  Ran *r = run_expect(&mixed_model, 0, "grad-check -d mixed.npz --points 8");
  expect_text(r->out, "p.W");
  ck_assert(!strstr(r->out, "differs"));
  run_expect(&linear_model, 0, "grad-check -d linear.npz");
  /* A gradient that is wrong is found: the one of b taken for that of w. */
  SviModel  m = linear_model;
  SviEntry  entries[2] = { linear_model.entry[0], linear_model.entry[1] };
  SviGrad   grads[] = { { 0, SVI_IN_LANES, 2, 0, 0 }, { 1, SVI_IN_LANES, 6, 0, 0 } };
  entries[0].grad = grads;
  m.entry = entries;
  expect_text(run_expect(&m, 1, "grad-check -d linear.npz")->out, "differs");
}
END_TEST

START_TEST(plates_point_at_plates_and_hold_plates) {
  enum { USERS = 70, ITEMS = 5, RATINGS = 100, TIMES = 3 };
  int32_t  user[RATINGS], item[RATINGS];
  uint16_t value[RATINGS];
  double   walk[USERS * TIMES];
  for (int i = 0; i < RATINGS; i++) { user[i] = i % USERS; item[i] = i % ITEMS; value[i] = (uint16_t)i; }
  for (int i = 0; i < USERS * TIMES; i++) walk[i] = i;
  SviError e;
  SviArray a[] = { { .name = (char *)(uintptr_t)"user",  .type = SVI_I32, .rank = 1, .dim = { RATINGS }, .bytes = user }, { .name = (char *)(uintptr_t)"item", .type = SVI_I32, .rank = 1, .dim = { RATINGS }, .bytes = item },
                   { .name = (char *)(uintptr_t)"value", .type = SVI_U16, .rank = 1, .dim = { RATINGS }, .bytes = value }, { .name = (char *)(uintptr_t)"walk", .type = SVI_F64, .rank = 2, .dim = { USERS, TIMES }, .bytes = walk } };
  ck_assert(svi_npz_write("plates.npz", a, 4, &e));
  Ran *r = run_expect(&plates_model, 0, "check-data -d plates.npz");
  expect_text(r->out, "plate user: 70 rows");
  expect_text(r->out, "plate item: 5 rows");
  expect_text(r->out, "plate rating: 100 rows");
  expect_text(r->out, "plate time: 3 rows");
  run_expect(&plates_model, 0, "grad-check -d plates.npz");
  char one[64];
  snprintf(one, sizeof one, "%.63s", run_expect(&plates_model, 0, "train -d plates.npz --steps 20000 --lr 0.05 -o r -q --print-hash -t 1")->out);
  ck_assert_str_eq(one, run_expect(&plates_model, 0, "train -d plates.npz --steps 20000 --lr 0.05 --no-save -q --print-hash -t 3")->out);
  SviTensors t;
  ck_assert(svi_safetensors_open("r/last.safetensors", &t, &e));
  const SviArray *u = svi_safetensors_find(&t, "u"), *v = svi_safetensors_find(&t, "average:v");
  ck_assert(u && u->dim[0] == USERS && u->dim[1] == 2 && v && v->dim[0] == ITEMS);
  for (uint64_t i = 0; i < USERS; i++) ck_assert_double_eq_tol(svi_array_get(u, i * 2 + 1), 3 * (double)i + 1, 1e-2);
  for (uint64_t i = 0; i < ITEMS; i++) ck_assert_double_eq_tol(svi_array_get(v, i), (double)i, 1e-2);
  svi_safetensors_close(&t);
  user[3] = USERS;      /* nobody has that number */
  ck_assert(svi_npz_write("plates.npz", a, 4, &e));
  expect_text(run_expect(&plates_model, 3, "check-data -d plates.npz")->err, "column `user`, row 3 (counted from 0) is 70; user needs whole numbers from 0 to 69");
}
END_TEST

/* ---- parts */
static _Atomic int calls[64];
static void count_call(void *context, unsigned index, unsigned thread) {
  ck_assert_uint_lt(thread, *(unsigned *)context);
  calls[index]++;
}
START_TEST(the_pool_does_each_index_once) {
  for (unsigned threads = 1; threads <= 4; threads++) {
    Pool *p = pool_new(threads);
    for (int round = 0; round < 20000; round++) {
      unsigned n = (unsigned)round % 9;
      pool_run(p, n, count_call, &threads);
      for (unsigned i = 0; i < 64; i++) ck_assert_int_eq(calls[i], i < n);
      memset((void *)calls, 0, sizeof calls);
      if (round % 5000 == 0) usleep(2000);      /* let them fall asleep */
    }
    pool_free(p);
  }
}
END_TEST

START_TEST(an_epoch_visits_every_row_once) {
  for (uint64_t batch = 1; batch <= 130; batch += 43) {
    Batches b, c;
    batches_new(&b, 3, 0, 101, batch);
    batches_new(&c, 3, 0, 101, batch);
    int moved = 0;
    for (int epoch = 0; epoch < 3; epoch++) {
      int seen[101] = {0};
      for (uint64_t i = 0; i < b.count; i++) {
        const uint32_t *rows, *again;
        uint64_t n = batches_at(&b, (uint64_t)epoch * b.count + i, &rows);
        for (uint64_t k = 0; k < n; k++) { seen[rows[k]]++; moved += rows[k] != i * b.batch + k; }
        /* out of order gives the same */
        batches_at(&c, 7 * b.count, &again);
        ck_assert_uint_eq(batches_at(&c, (uint64_t)epoch * b.count + i, &again), n);
        ck_assert_mem_eq(rows, again, n * sizeof *rows);
      }
      for (int i = 0; i < 101; i++) ck_assert_int_eq(seen[i], 1);
    }
    ck_assert_int_gt(moved, 200);
    batches_free(&b);
    batches_free(&c);
  }
}
END_TEST

START_TEST(schedules_go_through_their_points) {
  double at[] = { 0, 10, 20 }, value[] = { 1, 3, 0 };
  SviSchedule s = { SVI_CURVE_LINEAR, SVI_STEPS, 3, at, value, 0 };
  ck_assert_double_eq(schedule_at(&s, 0, 99), 1);
  ck_assert_double_eq(schedule_at(&s, 5, 99), 2);
  ck_assert_double_eq(schedule_at(&s, 15, 99), 1.5);
  ck_assert_double_eq(schedule_at(&s, 500, 99), 0);
  s.curve = SVI_CURVE_HOLD;
  ck_assert_double_eq(schedule_at(&s, 9.9, 99), 1);
  ck_assert_double_eq(schedule_at(&s, 10, 99), 3);
  s.curve = SVI_CURVE_COSINE;
  ck_assert_double_eq_tol(schedule_at(&s, 5, 99), 2, 1e-12);
  ck_assert_double_eq_tol(schedule_at(&s, 2.5, 99), 2 - cos(acos(-1) / 4), 1e-12);
  s.unit = SVI_EPOCHS;
  s.curve = SVI_CURVE_LINEAR;
  s.period = 20;
  ck_assert_double_eq(schedule_at(&s, 0, 45), 2);
  ck_assert(!schedule_rests(&s, 0, 45));
  s.period = 0;
  ck_assert(schedule_rests(&s, 0, 20) && !schedule_rests(&s, 99, 19.9));
  s.unit = SVI_STEPS;
  ck_assert(schedule_rests(&s, 20, 0) && !schedule_rests(&s, 19, 99));
  s.n = 1;
  ck_assert(schedule_rests(&s, 0, 0));
}
END_TEST

/* Quantiles of a Pareto distribution of shape k, exp(k e) with e exponential; the prior draws k towards 1/2 by ten parts of the tail's
 * and ten.  Scaling all weights, or their order, changes nothing. */
START_TEST(tails_are_fitted) {
  enum { N = 20000, TAIL = 425 };
  static double w[N], u[N];
  for (double k = -0.75; k < 1.3; k += 0.25) {
    if (k == 0) continue;
    for (int i = 0; i < N; i++) {      /* below 0: 1 - exp(k e), of bounded weights */
      double e = -log((i * 7919 % N + 0.5) / N);
      w[i] = k > 0 ? k * e : log1p(-exp(k * e));
      u[i] = w[i] - 700;
    }
    double fit = pareto_khat(w, N, 1e-16);
    ck_assert_double_eq_tol(fit, (TAIL * k + 5) / (TAIL + 10), 0.03);
    ck_assert_double_eq_tol(pareto_khat(u, N, 1e-16), fit, 1e-9);
    for (int i = 1; i < N - TAIL; i++) ck_assert_double_ge(w[i], w[i - 1]);
  }
  double same[100], two[100], none[100];
  for (int i = 0; i < 100; i++) { same[i] = 3 + 4e-16 * (i % 3); two[i] = i % 2; none[i] = -INFINITY; }
  ck_assert(pareto_khat(same, 100, 1e-16) == -INFINITY);
  ck_assert(isnan(pareto_khat(two, 100, 1e-16)));
  ck_assert(pareto_khat(none, 100, 1e-16) == INFINITY);
}
END_TEST

/* One element by the book. */
static void by_the_book(const SviOptimizer *h, double lr, int t, double *x, double *m, double *v, double g) {
  *x *= 1 - lr * h->decay;
  switch (h->kind) {
  case SVI_ADAM:
    *m = h->beta1 * *m + (1 - h->beta1) * g;
    *v = h->beta2 * *v + (1 - h->beta2) * g * g;
    *x -= lr * (*m / (1 - pow(h->beta1, t))) / (sqrt(*v / (1 - pow(h->beta2, t))) + h->eps);
    return;
  case SVI_SGD:     *m = h->momentum * *m + g; *x -= lr * *m; return;
  case SVI_ADAMAX:
    *m = h->beta1 * *m + (1 - h->beta1) * g;
    *v = fmax(h->beta2 * *v, fabs(g));
    *x -= lr / (1 - pow(h->beta1, t)) * *m / (*v + h->eps);
    return;
  case SVI_RMSPROP: *v = h->beta2 * *v + (1 - h->beta2) * g * g; *m = h->momentum * *m + g / (sqrt(*v) + h->eps); *x -= lr * *m; return;
  case SVI_ADAGRAD: *v += g * g; *x -= lr * g / (sqrt(*v) + h->eps); return;
  case SVI_LBFGS: return;
  }
}

START_TEST(optimisers_are_by_the_book) {
  for (int kind = 0; kind <= SVI_ADAGRAD; kind++) for (int clip = 0; clip <= 1; clip++) {
    SviModel m = linear_model;
    m.train.optimizer = (SviOptimizer){ .kind = (SviOptimizerKind)kind, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .momentum = 0.7, .decay = 0.01, .clip = clip ? 0.3 : 0, .average = 0.5 };
    SviError e;
    Data     d;
    Params   p;
    Moments  s;
    Pool    *pool = pool_new(2);
    const char *path = "linear.npz";
    ck_assert(data_open(&d, &m, &path, 1, (BindHow){0}, &e) && data_sized(&d, &e));
    params_new(&p, &m, d.total);
    ck_assert(params_init(&p, &d, pool, 4, &e));
    moments_new(&s, &m, &p);
    Run   *run = run_new(&m, 0, pool, &d, &p, 500, 0);
    Optim *o = optim_new(&m, &m.train.step[0], pool, &p, &s);
    double *x = p.value, shadow[6], m1[6] = {0}, v1[6] = {0}, before[6];
    memcpy(shadow, x, sizeof shadow);
    for (int t = 1; t <= 6; t++) {
      run_entry(run, d.identity, 500, 1, (uint64_t)t, NULL);
      double g[6] = {0}, norm = 0;
      for (unsigned l = 0; l < run_lanes(run); l++) for (int i = 0; i < 6; i++) g[i] += ((const double *)run_lane(run, l))[1 + i];
      for (int i = 0; i < 6; i++) norm += g[i] * g[i];
      norm = sqrt(norm);
      for (int i = 0; i < 6 && clip && norm > 0.3; i++) g[i] *= 0.3 / norm;
      memcpy(before, x, sizeof before);
      OptimStep step = { .lr = 0.05, .t = (uint64_t)t };
      optim_step(o, run, &step);
      ck_assert(step.finite);
      for (int i = 0; i < 6; i++) {
        by_the_book(&m.train.optimizer, 0.05, t, &shadow[i], &m1[i], &v1[i], g[i]);
        ck_assert_double_eq_tol(x[i], shadow[i], 1e-12);
      }
    }
    OptimStep step = { .lr = 0.05, .t = 6, .norm = 1 };
    if (clip) {      /* undoing needs the norm that the step found; the gradients are still there */
      double norm = 0, g[6] = {0};
      for (unsigned l = 0; l < run_lanes(run); l++) for (int i = 0; i < 6; i++) g[i] += ((const double *)run_lane(run, l))[1 + i];
      for (int i = 0; i < 6; i++) norm += g[i] * g[i];
      step.norm = sqrt(norm);
    }
    optim_undo(o, run, &step);
    for (int i = 0; i < 6; i++) ck_assert_double_eq_tol(x[i], before[i], 1e-12);
    optim_free(o);
    run_free(run);
    moments_free(&s);
    params_free(&p);
    data_close(&d);
    pool_free(pool);
  }
}
END_TEST

START_TEST(factors_and_solves_are_row_major) {
  static const double l[] = { 2, 0, 0, 1, 3, 0, -1, 0.5, 1.5 };
  double a[18], got[18], x[12], b[12] = { 1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1 };
  float  af[9], lf[9];
  for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++) {
    a[i * 3 + j] = 0;
    for (int k = 0; k < 3; k++) a[i * 3 + j] += l[i * 3 + k] * l[j * 3 + k];
    a[9 + i * 3 + j] = 4 * a[i * 3 + j];
    af[i * 3 + j] = (float)a[i * 3 + j];
  }
  svi_cholesky_f64(2, 3, a, got);
  svi_cholesky_f32(1, 3, af, lf);
  for (int i = 0; i < 9; i++) {
    ck_assert_double_eq_tol(got[i], l[i], 1e-12);
    ck_assert_double_eq_tol(got[9 + i], 2 * l[i], 1e-12);
    ck_assert_double_eq_tol((double)lf[i], l[i], 1e-5);
  }
  for (int trans = 0; trans <= 1; trans++) {
    svi_solve_tri_f64(2, 3, 2, true, trans, got, b, x);
    for (int m = 0; m < 2; m++) for (int i = 0; i < 3; i++) for (int j = 0; j < 2; j++) {
      double back = 0;
      for (int k = 0; k < 3; k++) back += got[m * 9 + (trans ? k * 3 + i : i * 3 + k)] * x[m * 6 + k * 2 + j];
      ck_assert_double_eq_tol(back, b[m * 6 + i * 2 + j], 1e-12);
    }
  }
  a[0] = -1;
  svi_cholesky_f64(1, 3, a, got);
  for (int i = 0; i < 9; i++) ck_assert(isnan(got[i]));
}
END_TEST

/* As chunks call them. */
enum { SIDE = 96 };
static float product[8][SIDE * SIDE], factor[SIDE * SIDE];
static void multiply(void *context, unsigned index, unsigned thread) {
  (void)context, (void)thread;
  svi_gemm_f32(index & 1, false, SIDE, SIDE, SIDE, factor, SIDE, factor, SIDE, false, product[index], SIDE);
}
START_TEST(products_may_run_at_once) {
  for (int i = 0; i < SIDE * SIDE; i++) factor[i] = (float)(i * 37 % 101) / 50 - 1;
  float first[2][SIDE * SIDE];
  Pool *p = pool_new(4);
  for (int round = 0; round < 300; round++) {
    pool_run(p, 8, multiply, NULL);
    if (round == 0) memcpy(first, product, sizeof first);
    for (int i = 0; i < 8; i++) ck_assert_mem_eq(product[i], first[i & 1], sizeof first[0]);
  }
  double sum = 0;
  for (int k = 0; k < SIDE; k++) sum += (double)factor[k * SIDE + 3] * (double)factor[k * SIDE + 5];
  ck_assert_double_eq_tol((double)first[1][3 * SIDE + 5], sum, 1e-4);
  pool_free(p);
}
END_TEST

static void shrink(void *context, unsigned index, unsigned thread) {
  (void)thread;
  volatile float  x = 1e-30f;
  volatile double y = 1e-300;
  ((double *)context)[index] = (double)(x * 1e-10f) + y * 1e-10;
}
START_TEST(numbers_below_full_precision_are_zero) {
  enum { MANY = 2000 };
  static double left[MANY];
  for (int i = 0; i < MANY; i++) left[i] = 1;
  Pool *p = pool_new(4);
  pool_run(p, MANY, shrink, left);
  for (int i = 0; i < MANY; i++) ck_assert(left[i] == 0);
  pool_free(p);
}
END_TEST

START_TEST(near_names_are_found) {
  static const char *const names[] = { "batch", "epochs", "x", "image", "labels" };
  ck_assert_str_eq(text_nearest("bacth", names, LENGTH(names)), "batch");
  ck_assert_str_eq(text_nearest("imges", names, LENGTH(names)), "image");
  ck_assert_ptr_null(text_nearest("qqqqqq", names, LENGTH(names)));
}
END_TEST

int main(void) {
  Suite *s = suite_create("trainer");
  TCase *t = tcase_create("commands");
  tcase_add_checked_fixture(t, setup, teardown);
  tcase_set_timeout(t, 300);
  tcase_add_test(t, threads_do_not_change_a_bit);
  tcase_add_test(t, seeds_change_the_bits);
  tcase_add_test(t, resuming_continues_bit_for_bit);
  tcase_add_test(t, another_model_is_not_resumed);
  tcase_add_test(t, interrupting_saves);
  tcase_add_test(t, terminating_saves);
  tcase_add_test(t, killing_while_saving_keeps_a_checkpoint);
  tcase_add_test(t, a_full_disk_keeps_the_last_good_checkpoint);
  tcase_add_test(t, an_impossible_run_directory_is_told_before_training);
  tcase_add_test(t, nan_stops_and_keeps_what_was);
  tcase_add_test(t, usage_errors);
  tcase_add_test(t, data_errors);
  tcase_add_test(t, reports_are_means_with_standard_errors);
  tcase_add_test(t, lanes_are_combined_and_particles_streamed);
  tcase_add_test(t, outputs_are_written);
  tcase_add_test(t, validation_keeps_the_best);
  tcase_add_test(t, gradients_fit_differences);
  tcase_add_test(t, plates_point_at_plates_and_hold_plates);
  tcase_add_test(t, optimisers_are_by_the_book);
  suite_add_tcase(s, t);
  TCase *p = tcase_create("parts");
  tcase_set_timeout(p, 300);
  tcase_add_test(p, the_pool_does_each_index_once);
  tcase_add_test(p, numbers_below_full_precision_are_zero);
  tcase_add_test(p, an_epoch_visits_every_row_once);
  tcase_add_test(p, schedules_go_through_their_points);
  tcase_add_test(p, tails_are_fitted);
  tcase_add_test(p, factors_and_solves_are_row_major);
  tcase_add_test(p, products_may_run_at_once);
  tcase_add_test(p, near_names_are_found);
  suite_add_tcase(s, p);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
