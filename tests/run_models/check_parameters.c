/* Parameters of every support, through compiled code.
 *
 * A model is written here with parameters of each row of compiler/types/support.def: with a start, without one, several at once,
 * and one for each row of the data.  They start where the model says, keep their constraints while they are trained, train to the
 * same bits when resumed, and the generated code agrees with the evaluator and with differences.  What a row needs for that stands
 * in `kinds`; a row that is not there fails. */
#include "cases.h"
#include <stdarg.h>

enum { DATA_ROWS = 40 };
static const struct { const char *name; int own, stored; } rows[] = {      /* stored: of K = 3 */
#define SUPPORT(name, own, ends, size, ...) {#name, own, size},
#define DISCRETE(...)
#define K 3
#include "../../compiler/types/support.def"
#undef K
#undef SUPPORT
#undef DISCRETE
};
enum { ROWS = sizeof rows / sizeof *rows };

/* type; a start; the sum of its elements times 1, 2, ...; what the constraint makes of a value `v`, and what that is; the stored
 * first number of the start, by hand. */
static const struct { const char *name, *type, *start; double sum; const char *law; double is, first; } kinds[] = {
  {"real",          "real",            "-0.7",                                                  -0.7,  "v - v",                         0, -0.7},
  {"positive",      "positive",        "2.5",                                                   2.5,   "v > 0",                         1, 2.4143495163},
  {"nonneg",        "nonneg",          "1e-3",                                                  1e-3,  "v >= 0",                        1, -6.9072552373},
  {"unit",          "unit",            "0.8",                                                   0.8,   "(v > 0) * (v < 1)",             1, 1.3862943611},
  {"above",         "interval(3, inf)",  "5",                                                   5,     "v >= 3",                        1, 1.8545865209},
  {"below",         "interval(-inf, 3)", "2.5",                                                 2.5,   "v <= 3",                        1, -0.4327521296},
  {"interval",      "interval(-1, 3)", "0",                                                     0,     "(v >= -1) * (v <= 3)",          1, -1.0986122887},
  {"simplex",       "simplex[3]",      "[0.2, 0.3, 0.5]",                                       2.3,   "sum(v)",                        1, -0.6931471806},
  {"ordered",       "ordered[3]",      "[-1, 0.5, 0.6]",                                        1.8,   "(v[2] > v[1]) * (v[3] > v[2])", 1, -1},
  {"cholesky",      "cholesky[3]",     "[[2, 0, 0], [0.5, 1, 0], [-0.3, 0.2, 0.7]]",            14.8,  "v[1, 3] + v[1, 2] + v[2, 3] + (v[1, 1] > 0) * (v[2, 2] > 0) * (v[3, 3] > 0)", 1, 1.3132616875},
  {"corr_cholesky", "corr_cholesky[3]", "[[1, 0, 0], [0.6, 0.8, 0], [0, -0.6, 0.8]]",           9.8,   "sum(square(v))",                3, 0.6931471806},
};
enum { KINDS = sizeof kinds / sizeof *kinds };
static int kind_of(int row) {
  for (int k = 0; k < KINDS; k++) if (strcmp(kinds[k].name, rows[row].name) == 0) return k;
  ck_abort_msg("support `%s` is in support.def and not in the table of this test", rows[row].name);
}

const Width widths[WIDTHS] = {{"--precision f64", 1e-8}, {"", 2e-5}};

static void put_data(void) {
  double y[DATA_ROWS];
  for (int i = 0; i < DATA_ROWS; i++) y[i] = sin(i * 0.7) * 2;
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)"y", .type = SVI_F64, .rank = 1, .dim = {DATA_ROWS}, .bytes = y}, 1);
}

/* sum of an array's elements times 1, 2, ... */
static const char *weigh(const char *v, int own, bool several) {
  static char text[400];
  if (several) snprintf(text, sizeof text, own == 0 ? "sum(%s * [1, 2])" : own == 1 ? "sum([g in 2, i in 3] (%s[g, i] * (i + g)))" : "sum([g in 2, i in 3, j in 3] (%s[g, i, j] * (g + 3 * i + j)))", v);
  else snprintf(text, sizeof text, own == 0 ? "%s" : own == 1 ? "sum(%s * [1, 2, 3])" : "sum(%s * [[1, 2, 3], [4, 5, 6], [7, 8, 9]])", v);
  return text;
}
static const char *several_of(int row) {
  static char text[100];
  const char *type = kinds[kind_of(row)].type, *size = strrchr(type, '[');
  if (rows[row].own) snprintf(text, sizeof text, "%.*s[2]%s", (int)(size - type), type, size);
  else snprintf(text, sizeof text, "%s[2]", type);
  return text;
}

static void write_model(void) {
  FILE *f = fopen("all.svm", "w");
  ck_assert(f != NULL);
  fputs("plate row\ndata y: real for each row\nmodel p for each row {\n", f);
  for (int r = 0; r < ROWS; r++) {
    int k = kind_of(r);
    const char *n = kinds[k].name;
    fprintf(f, "  param %s_start: %s = %s\n  param %s_plain: %s\n  param %s_two: %s\n  param %s_rows: %s for each row\n", n, kinds[k].type, kinds[k].start, n, kinds[k].type, n, several_of(r), n, kinds[k].type);
    for (int q = 0; q < 4; q++) {
      char name[64];
      static const char *const ends[] = {"start", "plain", "two", "rows"};
      snprintf(name, sizeof name, "%s_%s", n, ends[q]);
      fprintf(f, "  %s_sum = %s\n", name, weigh(name, rows[r].own, q == 2));
    }
    for (const char *q = "start", *v = kinds[k].law; q; q = strcmp(q, "start") == 0 ? "rows" : NULL) {
      fprintf(f, "  %s_%s_law = ", n, q);
      for (const char *at = v; *at; at++)
        if (*at == 'v') fprintf(f, "%s_%s", n, q); else fputc(*at, f);
      fputc('\n', f);
    }
  }
  fputs("  y ~ Normal(0.1 * (0", f);
  for (int r = 0; r < ROWS; r++) fprintf(f, " + %s_start_sum + %s_plain_sum + %s_two_sum + %s_rows_sum", rows[r].name, rows[r].name, rows[r].name, rows[r].name);
  fputs("), 1)\n}\ntrain { optimizer: adam(lr: 0.03), batch: 10, epochs: 20 }\nmaximize log p\n", f);
  for (int r = 0; r < ROWS; r++) {
    const char *n = rows[r].name;
    fprintf(f, "report %s_sum = E[p](p.%s_start_sum)\nreport %s_law = E[p](p.%s_start_law)\nreport %s_law_rows = E[p](p.%s_rows_law)\n", n, n, n, n, n, n);
  }
  fclose(f);
}

static double report(const char *eval, const char *name, const char *end) {
  char all[100];
  snprintf(all, sizeof all, "%s_%s", name, end);
  return report_of(work_eval(eval), all).value;
}

START_TEST(all_supports_train) {
  const Width *w = &widths[_i];
  put_data();
  write_model();
  work_run("%s all.svm -o m %s", SVIC, w->options);
  work_run("./m train --data d.npz --steps 0 --quiet");
  for (int r = 0; r < ROWS; r++) {
    int k = kind_of(r);
    char name[100];
    double sum = report("./m eval --data d.npz --json --quiet", rows[r].name, "sum");
    ck_assert_msg(fabs(sum - kinds[k].sum) < w->exact * (1 + fabs(kinds[k].sum)), "%s starts at a sum of %.10g, not %.10g", rows[r].name, sum, kinds[k].sum);
    snprintf(name, sizeof name, "p.%s_start", rows[r].name);
    Numbers u = work_read("run/last.safetensors", name);
    ck_assert_msg(u.n == (unsigned)rows[r].stored, "%s is stored in %d numbers, not %d", name, (int)u.n, rows[r].stored);
    ck_assert_msg(fabs(u.at[0] - kinds[k].first) < w->exact * 10, "%s is stored from %.10g on, not %.10g", name, u.at[0], kinds[k].first);
    snprintf(name, sizeof name, "p.%s_two", rows[r].name);
    ck_assert_uint_eq(work_read("run/last.safetensors", name).n, 2 * (unsigned)rows[r].stored);
    snprintf(name, sizeof name, "p.%s_rows", rows[r].name);
    ck_assert_uint_eq(work_read("run/last.safetensors", name).n, DATA_ROWS * (unsigned)rows[r].stored);
  }
  work_run("./m self-check --data d.npz --rows 30");
  if (_i == 0) work_run("./m grad-check --data d.npz");
  Ran whole = work_run("./m train --data d.npz --steps 60 --quiet --print-hash --threads 1 --out a");
  work_run("./m train --data d.npz --steps 25 --quiet --threads 2 --out b");
  Ran resumed = work_run("./m train --data d.npz --steps 60 --quiet --print-hash --threads 2 --out b --resume");
  ck_assert_uint_gt(strlen(whole.out), 8);
  ck_assert_str_eq(whole.out, resumed.out);
  work_run("./m self-check --data d.npz --rows 30 --params a/last.safetensors");
  for (int r = 0; r < ROWS; r++) {
    int k = kind_of(r);
    static const char *const ends[] = {"law", "law_rows"};
    char name[100];
    snprintf(name, sizeof name, "p.%s_start", rows[r].name);
    for (int e = 0; e < 2; e++) {
      double is = report("./m eval --data d.npz --json --quiet --params a/last.safetensors", rows[r].name, ends[e]);
      ck_assert_msg(fabs(is - kinds[k].is) < w->exact, "%s (%s) has left its constraint: %.9g and not %g", rows[r].name, ends[e], is, kinds[k].is);
    }
    ck_assert_msg(work_read("run/last.safetensors", name).at[0] != work_read("a/last.safetensors", name).at[0], "%s has not moved", name);
  }
  cJSON *info = work_eval("./m info --json");
  bool found = false;
  for (const cJSON *p = cJSON_GetObjectItem(info, "parameters")->child; p; p = p->next)
    if (strcmp(cJSON_GetObjectItem(p, "name")->valuestring, "p.simplex_two") == 0) {
      ck_assert_str_eq(cJSON_GetObjectItem(p, "support")->valuestring, "simplex[2][3]");
      found = true;
    }
  ck_assert(found);
}
END_TEST

/* ---- the built-in functions, in compiled code: from_S(to_S(u)) is u, along leading axes and inside a comprehension alike */
START_TEST(transforms_in_a_model) {
  static const char *const ends[] = {", 3", ", 3", ", -1, 3"};
  FILE *f = fopen("t.svm", "w");
  ck_assert(f != NULL);
  fputs("plate row\ndata y: real for each row\nmodel p for each row {\n  param w: real = 0\n", f);
  for (int r = 0, end = 0; r < ROWS; r++) {
    const char *n = rows[r].name, *e = strcmp(n, "above") == 0 || strcmp(n, "below") == 0 || strcmp(n, "interval") == 0 ? ends[end++] : "";
    if (rows[r].own) {
      fprintf(f, "  u_%s = [g in 2, i in %d] (w + 0.3 * g - 0.2 * i)\n", n, rows[r].stored);
      fprintf(f, "  back_%s = sum(square(from_%s(to_%s(u_%s)) - u_%s))\n", n, n, n, n, n);
      fprintf(f, "  apart_%s = sum(square(to_%s(u_%s) - [g in 2] to_%s(u_%s[g]))) + sum(square(log_det_%s(u_%s) - [i in 2] log_det_%s(u_%s[i])))\n", n, n, n, n, n, n, n, n, n);
    } else {
      fprintf(f, "  u_%s = [0.4, w - 1]\n", n);
      fprintf(f, "  back_%s = sum(square(from_%s(to_%s(u_%s%s)%s) - u_%s))\n", n, n, n, n, e, e, n);
      fprintf(f, "  apart_%s = sum(square(log_det_%s(u_%s%s) - [i in 2] log_det_%s(u_%s[i]%s)))\n", n, n, n, e, n, n, e);
    }
  }
  fputs("  y ~ Normal(w, 1)\n}\nmaximize log p\n", f);
  for (int r = 0; r < ROWS; r++) fprintf(f, "report back_%s = E[p](p.back_%s)\nreport apart_%s = E[p](p.apart_%s)\n", rows[r].name, rows[r].name, rows[r].name, rows[r].name);
  fclose(f);
  put_data();
  work_run("%s t.svm -o t %s", SVIC, widths[_i].options);
  work_run("./t train --data d.npz --steps 0 --quiet");
  work_run("./t self-check --data d.npz --rows 20");
  for (int r = 0; r < ROWS; r++)
    for (int q = 0; q < 2; q++) {
      char name[100];
      snprintf(name, sizeof name, "%s_%s", q ? "apart" : "back", rows[r].name);
      double x = report_of(work_eval("./t eval --data d.npz --json --quiet"), name).value;
      ck_assert_msg(fabs(x) < widths[_i].exact * widths[_i].exact * 100, "%s is %g", name, x);
    }
}
END_TEST

/* ---- a prior's density is of the parameter itself: the optimum is its mode, without a Jacobian */
START_TEST(a_prior_alone_ends_at_its_mode) {
  FILE *f = fopen("map.svm", "w");
  ck_assert(f != NULL);
  fputs("plate row\ndata y: real for each row\nmodel p for each row {\n"
        "  param s: simplex[3] ~ Dirichlet([3, 2, 5])\n  param a: positive ~ Gamma(3, 2)\n  param u: unit ~ Beta(3, 2)\n"
        "  s1 = s[1]\n  s2 = s[2]\n  a1 = a + 0\n  u1 = u + 0\n"
        "  y ~ Normal(0 * (s1 + a1 + u1), 1)\n}\n"
        "train { optimizer: adam(lr: 0.05), epochs: 1500, batch: all }\nmaximize log p\n"
        "report s1 = E[p](p.s1)\nreport s2 = E[p](p.s2)\nreport a1 = E[p](p.a1)\nreport u1 = E[p](p.u1)\n", f);
  fclose(f);
  put_data();
  work_run("%s map.svm -o map %s", SVIC, widths[_i].options);
  work_run("./map train --data d.npz --quiet");
  static const struct { const char *name; double mode; } want[] = {{"s1", 2 / 7.}, {"s2", 1 / 7.}, {"a1", 1}, {"u1", 2 / 3.}};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    double x = report_of(work_eval("./map eval --data d.npz --json --quiet"), want[i].name).value;
    ck_assert_msg(fabs(x - want[i].mode) < 1e-4, "%s is %.9g, and the mode %.9g", want[i].name, x, want[i].mode);
  }
}
END_TEST

static void add(TCase *t) {
  tcase_add_loop_test(t, all_supports_train, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, transforms_in_a_model, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_prior_alone_ends_at_its_mode, FIRST_WIDTH, WIDTHS);
}

int main(void) { return run_cases("parameters", add); }
