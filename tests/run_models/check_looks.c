/* What a trainer draws and shows: given latents, traversals, first parameters, and training on the first rows. */
#include "cases.h"

const Width widths[WIDTHS] = {{"--precision f64", 1e-12}, {"", 2e-6}};
enum { ROWS = 90, FIRST = 30 };

static void put_rows(const char *path, const uint8_t *x, uint64_t rows) {
  data_put(path, &(SviArray){.name = (char *)(uintptr_t)"x", .type = SVI_U8, .rank = 2, .dim = {rows, 4}, .bytes = x}, 1);
}
static void put_latents(const char *path, const double *z, const double *k, uint64_t rows) {
  SviArray a[] = {{.name = (char *)(uintptr_t)"z", .type = SVI_F64, .rank = 2, .dim = {rows, 2}, .bytes = z},
                  {.name = (char *)(uintptr_t)"k", .type = SVI_F64, .rank = 1, .dim = {rows}, .bytes = k}};
  data_put(path, a, k ? 2 : 1);
}

static void begin(int width_at) {
  uint8_t x[ROWS * 4];
  for (int i = 0; i < ROWS * 4; i++) x[i] = (uint8_t)(i * 7 % 5 < 2 + i % 3 - 1);
  put_rows("d.npz", x, ROWS);
  put_rows("first.npz", x, FIRST);
  compile("given", width_at);
}

START_TEST(given_latents_are_held_and_others_drawn_as_before) {
  begin(_i);
  work_run("./m train --data d.npz --quiet");
  work_run("./m sample --quiet --count 4 --seed 5 --to free.npz");
  const double z[8] = {0.5, NAN, NAN, -2, 1.25, 0.75, NAN, NAN}, k[4] = {2, NAN, 0, NAN};
  put_latents("given.npz", z, k, 4);
  work_run("./m sample --quiet --seed 5 --given given.npz --to held.npz");
  Numbers z0 = work_read("free.npz", "z"), z1 = work_read("held.npz", "z"), k0 = work_read("free.npz", "k"), k1 = work_read("held.npz", "k"), w = work_read("held.npz", "w.mean");
  ck_assert_uint_eq(z1.n, 8);                              /* as many rows as are given */
  for (int i = 0; i < 8; i++) ck_assert_double_eq(z1.at[i], isnan(z[i]) ? z0.at[i] : z[i]);
  for (int i = 0; i < 4; i++) {
    ck_assert_double_eq(k1.at[i], isnan(k[i]) ? k0.at[i] : k[i]);
    is_exactly(w.at[i], 3 * z1.at[2 * i] + k1.at[i], "w.mean");      /* what follows sees what was given */
  }
  work_run("./m sample --quiet --seed 5 --count 2 --given given.npz --to two.npz");
  ck_assert_uint_eq(work_read("two.npz", "z").n, 4);
  work_run("./m self-check --data d.npz");
}
END_TEST

START_TEST(a_traversal_goes_from_end_to_end_and_holds_the_rest) {
  begin(_i);
  work_run("./m train --data d.npz --quiet");
  work_run("./m sample --quiet --count 1000 --to many.npz");
  work_run("./m traverse --quiet --site z --count 5 --to plane.npz");
  Numbers z = work_read("plane.npz", "z"), k = work_read("plane.npz", "k"), w = work_read("plane.npz", "w"), mean = work_read("plane.npz", "w.mean");
  ck_assert_uint_eq(z.n, 50);
  for (int i = 0; i < 25; i++) {
    ck_assert_double_eq(z.at[2 * i], z.at[2 * (i / 5 * 5)]);                  /* the first element down, the second across */
    ck_assert_double_eq(z.at[2 * i + 1], z.at[2 * (i % 5) + 1]);
    ck_assert_double_eq(k.at[i], k.at[0]);
    is_near(w.at[i] - mean.at[i], w.at[0] - mean.at[0], 4 * width->exact, "the noise of w");      /* the same noise everywhere */
    is_exactly(mean.at[i], 3 * z.at[2 * i] + k.at[i], "w.mean");
  }
  Numbers many = work_read("many.npz", "z");
  int below = 0, above = 0;
  for (int r = 0; r < 1000; r++) below += many.at[2 * r] < z.at[0], above += many.at[2 * r] > z.at[48];
  ck_assert_int_eq(below, 20);
  ck_assert_int_eq(above, 20);
  work_run("./m traverse --quiet --site k --count 3 --to line.npz");
  Numbers classes = work_read("line.npz", "k");
  for (int i = 0; i < 3; i++) ck_assert_double_eq(classes.at[i], i);
}
END_TEST

START_TEST(what_cannot_be_given_is_told) {
  begin(_i);
  work_run("./m train --data d.npz --quiet");
  const double z[4] = {0, 1, 2, 3}, k[2] = {1.5, 0};
  put_latents("half.npz", z, k, 2);
  const struct { const char *arguments; int code; const char *says; } wrong[] = {
    {"sample --given half.npz",  3, "half.npz: `k`, row 0 (counted from 0) is 1.5, which `k` (line 7) cannot be"},
    {"sample --given d.npz",     3, "d.npz: it has none of the latents that can be given: `z`, `k`, `w`"},
    {"sample --given none.npz",  3, "none.npz"},
    {"traverse --site y --png t.png", 2, "--site y: the latents are `z`, `k`, `w`"},
    {"traverse --png t.png",     2, "which latent? --site with one of `z`, `k`, `w`"},
    {"sample --untrained --params run/last.safetensors", 2, "give one"},
    {"sample --untrained",       1, "starts at the mean of a column, but there is no data"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    Ran r = work_try("./m %s --quiet", wrong[i].arguments);
    ck_assert_msg(r.code == wrong[i].code && strstr(r.err, wrong[i].says), "%s: status %d, %s", wrong[i].arguments, r.code, r.err);
  }
}
END_TEST

START_TEST(first_parameters_are_those_that_training_starts_from) {
  begin(_i);
  work_run("./m train --data d.npz --quiet --steps 0 --seed 7 --out zero");
  cJSON *trained = work_eval("./m eval --json --data d.npz --quiet --out zero"), *first = work_eval("./m eval --json --data d.npz --quiet --untrained --seed 7");
  ck_assert_double_eq(report_of(trained, "bound").value, report_of(first, "bound").value);
}
END_TEST

START_TEST(training_on_the_first_rows_is_training_on_a_file_of_them) {
  begin(_i);
  Ran cut = work_run("./m train --data first.npz --quiet --print-hash --out a");
  Ran rows = work_run("./m train --data d.npz --rows %d --quiet --print-hash --out b", FIRST);
  ck_assert_str_eq(cut.out, rows.out);
  work_run("./m train --data d.npz --rows %d --quiet --epochs 1 --out c", FIRST);
  ck_assert_str_eq(work_run("./m train --data d.npz --quiet --resume --print-hash --out c").out, cut.out);       /* as many when resumed */
}
END_TEST

START_TEST(rows_without_numbers_of_their_own_are_left_out) {
  put_constant("x", 3, 50);
  compile("row_numbers", _i);
  work_run("./m train --data d.npz --rows 20 --quiet");
  Ran all = work_run("./m eval --data d.npz"), first = work_run("./m eval --data d.npz --rows 20");
  ck_assert_msg(strstr(all.out, "(20 rows)") && strcmp(all.out, first.out) == 0, "%s and %s", all.out, first.out);
  ck_assert_msg(strstr(all.err, "`q.m` was trained for the first 20 rows"), "%s", all.err);
}
END_TEST

START_TEST(a_guide_without_a_model_is_encoded) {
  put_constant("y", 3, 4);
  start("guide_alone", _i);
  work_run("./m encode --data d.npz --quiet --to codes.npz");
  Numbers mean = work_read("codes.npz", "z.mean");
  ck_assert_uint_eq(mean.n, 4);
  for (int i = 0; i < 4; i++) is_exactly(mean.at[i], 6.5, "the mean of z");
}
END_TEST

static void add(TCase *t) {
  tcase_add_loop_test(t, rows_without_numbers_of_their_own_are_left_out, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_guide_without_a_model_is_encoded, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, given_latents_are_held_and_others_drawn_as_before, FIRST_WIDTH, WIDTHS);
  tcase_add_loop_test(t, a_traversal_goes_from_end_to_end_and_holds_the_rest, FIRST_WIDTH, WIDTHS);
  tcase_add_test(t, what_cannot_be_given_is_told);
  tcase_add_test(t, first_parameters_are_those_that_training_starts_from);
  tcase_add_test(t, training_on_the_first_rows_is_training_on_a_file_of_them);
}

int main(void) { return run_cases("looks", add); }
