/* See cases.h. */
#include "cases.h"

const Width *width;
static const char *suite;

static void failed(const char *text) { ck_abort_msg("%s", text); }
static void set_up(void) {
  work_on_fail = failed;
  work_begin(suite);
}
static void tear_down(void) { work_end(); }

int run_cases(const char *name, void (*add)(TCase *)) {
  Suite *s = suite_create(suite = name);
  TCase *t = tcase_create("compiled");
  tcase_add_checked_fixture(t, set_up, tear_down);
  tcase_set_timeout(t, 400);
  add(t);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_ENV);
  int bad = srunner_ntests_failed(r);
  srunner_free(r);
  return bad != 0;
}

void compile(const char *model, int i) {
  width = &widths[i];
  work_compile(model, "m", width->options);
}

void start(const char *model, int i) {
  compile(model, i);
  work_run("./m train --data d.npz --steps 0 --quiet");
}

void put_constant(const char *name, double value, uint64_t rows) {
  double *x = calloc(rows, sizeof *x);
  for (uint64_t i = 0; i < rows; i++) x[i] = value;
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)name, .type = SVI_F64, .rank = 1, .dim = {rows}, .bytes = x}, 1);
  free(x);
}

Report eval(const char *report, const char *more) {
  char line[500];
  snprintf(line, sizeof line, "./m eval --data d.npz --quiet --json --only %s %s", report, more);
  return report_of(work_eval(line), report);
}

void is_near(double got, double want, double error, const char *what) {
  ck_assert_msg(fabs(got - want) <= error * (1 + fabs(want)), "%s is %.12g and should be %.12g", what, got, want);
}

void is_exactly(double got, double want, const char *what) { is_near(got, want, width->exact, what); }

void is_about(Report got, double want, double largest_se, const char *what) {
  ck_assert_msg(got.se > 0 && got.se <= largest_se, "%s: the standard error is %g, of %g allowed", what, got.se, largest_se);
  ck_assert_msg(fabs(got.value - want) <= 4 * got.se + width->exact, "%s is %.9g +- %.2g and should be %.9g", what, got.value, got.se, want);
}
