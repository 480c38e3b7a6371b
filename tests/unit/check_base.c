/* The ground floor: arenas, names, places in sources, and what messages look like to the letter. */
#include "../../compiler/base/base.h"
#include <check.h>
#include <stdlib.h>

static Arena   *arena;
static Sources *sources;
static Diag    *diag;

static void set_up(void) {
  arena = arena_new();
  sources = sources_new(arena);
  diag = diag_new(arena, sources);
}
static void tear_down(void) { arena_free(arena); }

static const Source *add(const char *path, const char *text) { return source_add(sources, path, text, strlen(text), false); }

/* The span of the n-th place (from 0) where the word stands. */
static Span nth(const Source *s, const char *word, int n) {
  const char *at = strstr(s->text, word);
  while (n-- > 0) at = strstr(at + 1, word);
  ck_assert_ptr_nonnull(at);
  uint32_t from = s->base + (uint32_t)(at - s->text);
  return (Span){from, from + (uint32_t)strlen(word)};
}
static Span first(const Source *s, const char *word) { return nth(s, word, 0); }

static const char *printed(DiagFormat format, bool colour) {
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  diag_print(diag, f, format, colour);
  fclose(f);
  const char *kept = arena_copy(arena, text, size);
  free(text);
  return kept;
}

/* ---- arena, vec */

START_TEST(arena_memory_is_zero_and_aligned) {
  for (size_t size = 1; size < 300000; size = size * 3 + 1) {
    unsigned char *p = arena_alloc(arena, size);
    ck_assert_uint_eq((uintptr_t)p % 16, 0);
    for (size_t i = 0; i < size; i++) ck_assert_uint_eq(p[i], 0);
    memset(p, 0xAB, size);
  }
}
END_TEST

START_TEST(arena_counts_what_was_asked_for) {
  size_t before = arena_bytes(arena);
  arena_alloc(arena, 100);
  arena_alloc(arena, 1 << 20);
  ck_assert_uint_eq(arena_bytes(arena) - before, 100 + (1 << 20));
}
END_TEST

START_TEST(a_big_block_leaves_the_current_chunk_in_use) {
  char *a = arena_copy(arena, "abc", 3);
  char *big = arena_alloc(arena, 1 << 20);
  char *b = arena_copy(arena, "def", 3);
  memset(big, 'x', 1 << 20);
  ck_assert_str_eq(a, "abc");
  ck_assert_str_eq(b, "def");
}
END_TEST

START_TEST(arena_prints_and_copies) {
  ck_assert_str_eq(arena_printf(arena, "%s-%d", "x", 7), "x-7");
  ck_assert_str_eq(arena_copy(arena, "hello", 3), "hel");
  ck_assert_str_eq(arena_copy(arena, NULL, 0), "");
}
END_TEST

START_TEST(a_vec_grows_and_keeps_its_members) {
  VEC(int) v = {0};
  for (int i = 0; i < 1000; i++) vec_push(arena, &v, i * i);
  ck_assert_uint_eq(v.n, 1000);
  for (int i = 0; i < 1000; i++) ck_assert_int_eq(v.at[i], i * i);
}
END_TEST

/* ---- names */

START_TEST(equal_names_are_one_pointer) {
  char text[] = "sigma";
  ck_assert_ptr_eq(name_of("sigma"), name_of(text));
  ck_assert_ptr_eq(name_of("sig"), name_of_n("sigma", 3));
  ck_assert_ptr_eq(name_printf("z%d", 2), name_of("z2"));
  ck_assert_ptr_ne(name_of("a"), name_of("b"));
  ck_assert_str_eq(name_of_n("", 0), "");
}
END_TEST

START_TEST(many_names_stay_apart) {
  Name names[5000];
  for (int i = 0; i < 5000; i++) names[i] = name_printf("name_%d", i);
  for (int i = 0; i < 5000; i++) {
    ck_assert_ptr_eq(names[i], name_printf("name_%d", i));
    ck_assert_str_eq(names[i], arena_printf(arena, "name_%d", i));
  }
}
END_TEST

START_TEST(a_long_name_is_interned_whole) {
  char text[2001] = {0};
  memset(text, 'q', 2000);
  ck_assert_str_eq(name_printf("%s", text), text);
}
END_TEST

static const struct { const char *wrong, *candidates[6], *nearest; } nearest_rows[] = {
  {"Bernouli",   {"Normal", "Bernoulli", "Beta"},        "Bernoulli"},
  {"Noraml",     {"Normal", "LogNormal"},                "Normal"},       /* swapped letters are one edit */
  {"zz2",        {"z1", "z2", "z3"},                     "z2"},
  {"z4",         {"z1", "z2"},                           "z1"},           /* ties: the first */
  {"x",          {"z", "y"},                             NULL},           /* nothing of the name would be left */
  {"X",          {"z", "x"},                             "x"},            /* but case is near */
  {"normal",     {"formal", "Normal"},                   "Normal"},       /* nearer than a letter */
  {"width",      {"height"},                             NULL},
  {"sigma",      {"sigma"},                              NULL},           /* itself is no suggestion */
  {"\u03C3\u03BC", {"\u03C3\u03BD"},                     "\u03C3\u03BD"}, /* letters, not bytes */
  {"",           {"a"},                                  NULL},
};

START_TEST(the_nearest_name) {
  Name candidates[6];
  size_t n = 0;
  while (n < 6 && nearest_rows[_i].candidates[n]) {
    candidates[n] = name_of(nearest_rows[_i].candidates[n]);
    n++;
  }
  Name found = name_nearest(name_of(nearest_rows[_i].wrong), candidates, n);
  if (nearest_rows[_i].nearest) ck_assert_ptr_eq(found, name_of(nearest_rows[_i].nearest));
  else ck_assert_ptr_null(found);
}
END_TEST

/* ---- places */

START_TEST(places_count_lines_and_scalars) {
  const Source *a = add("a", "one\ntwo");
  const Source *b = add("b", "\xCF\x86 = \xE5\x8D\x98x\r\n\xF0\x9F\x98\x80y\n");
  static const struct { uint32_t offset, line, column; } rows[] = {
    {0, 1, 1}, {2, 1, 2}, {5, 1, 5}, {8, 1, 6}, {9, 1, 7}, {11, 2, 1}, {15, 2, 2}, {17, 3, 1},
  };
  for (size_t i = 0; i < LEN(rows); i++) {
    Place p = source_place(sources, b->base + rows[i].offset);
    ck_assert_ptr_eq(p.source, b);
    ck_assert_uint_eq(p.line, rows[i].line);
    ck_assert_uint_eq(p.column, rows[i].column);
  }
  Place end = source_place(sources, a->base + a->size);
  ck_assert_ptr_eq(end.source, a);
  ck_assert_uint_eq(end.line, 2);
  ck_assert_uint_eq(end.column, 4);
}
END_TEST

START_TEST(no_span_has_no_place) {
  add("a", "text");
  ck_assert_ptr_null(source_place(sources, NO_SPAN.at).source);
  ck_assert_ptr_null(source_place(sources, 4000).source);
}
END_TEST

START_TEST(a_byte_order_mark_is_no_column) {
  const Source *s = add("a", "\xEF\xBB\xBFx y");
  ck_assert_uint_eq(source_place(sources, s->base + 3).column, 1);
  ck_assert_uint_eq(source_place(sources, s->base + 5).column, 3);
}
END_TEST

START_TEST(spans_join) {
  Span s = span_join((Span){3, 5}, (Span){9, 12});
  ck_assert_uint_eq(s.at, 3);
  ck_assert_uint_eq(s.end, 12);
  ck_assert_uint_eq(span_join(NO_SPAN, s).at, 3);
  ck_assert_uint_eq(span_join(s, NO_SPAN).end, 12);
}
END_TEST

/* ---- messages as text */

START_TEST(one_mark_and_feet) {
  const Source *s = add("vae.svm", "model p {\n  z ~ Normal(0, m)\n}\n");
  DiagItem *i = diag_at(diag, E0101, first(s, "m)"), "the scale of %s must be positive", "Normal");
  i = diag_at(diag, E0102, first(s, "m)"), "another");
  diag_mark(i, "range (-inf, inf)");
  diag_note(i, "a scale is positive");
  diag_help(i, "wrap it: %s", "softplus(m)");
  ck_assert_str_eq(printed(DIAG_TEXT, false),
    "error[E0101]: the scale of Normal must be positive\n"
    " --> vae.svm:2:17\n"
    "  |\n"
    "2 |   z ~ Normal(0, m)\n"
    "  |                 ^^\n"
    "\n"
    "error[E0102]: another\n"
    " --> vae.svm:2:17\n"
    "  |\n"
    "2 |   z ~ Normal(0, m)\n"
    "  |                 ^^ range (-inf, inf)\n"
    "  |\n"
    "  = note: a scale is positive\n"
    "  = help: wrap it: softplus(m)\n"
    "\n");
}
END_TEST

START_TEST(labels_on_one_line_hang) {
  const Source *s = add("a.svm", "x = W @ h + b\n");
  DiagItem *i = diag_at(diag, E0101, first(s, "+"), "these two shapes do not match");
  diag_label(i, first(s, "W @ h"), "[500]");
  diag_label(i, first(s, "b"), "[784]");
  ck_assert_str_eq(printed(DIAG_TEXT, false),
    "error[E0101]: these two shapes do not match\n"
    " --> a.svm:1:11\n"
    "  |\n"
    "1 | x = W @ h + b\n"
    "  |     ----- ^ - [784]\n"
    "  |     |\n"
    "  |     [500]\n"
    "\n");
}
END_TEST

START_TEST(three_labels_hang_from_right_to_left) {
  const Source *s = add("a.svm", "abc def ghi\n");
  DiagItem *i = diag_at(diag, E0101, first(s, "abc"), "m");
  diag_mark(i, "one");
  diag_label(i, first(s, "def"), "two");
  diag_label(i, first(s, "ghi"), "three");
  ck_assert_str_eq(printed(DIAG_TEXT, false),
    "error[E0101]: m\n"
    " --> a.svm:1:1\n"
    "  |\n"
    "1 | abc def ghi\n"
    "  | ^^^ --- --- three\n"
    "  | |   |\n"
    "  | |   two\n"
    "  | one\n"
    "\n");
}
END_TEST

START_TEST(labels_on_other_lines_and_files) {
  const Source *lib = add("lib/nn.svm", "net dense(x)\n");
  const Source *s = add("a.svm", "l1\nl2\nl3\nl4\nl5\nl6\nl7\nl8\nl9 here\nl10\nl11 there\n");
  DiagItem *i = diag_at(diag, E0101, first(s, "here"), "m");
  diag_label(i, first(s, "l1"), "far");
  diag_label(i, first(s, "there"), "two below");
  diag_label(i, first(lib, "dense"), "declared here");
  diag_label(i, NO_SPAN, "built in");
  ck_assert_str_eq(printed(DIAG_TEXT, false),
    "error[E0101]: m\n"
    "  --> a.svm:9:4\n"
    "   |\n"
    " 1 | l1\n"
    "   | -- far\n"
    "...\n"
    " 9 | l9 here\n"
    "   |    ^^^^\n"
    "10 | l10\n"
    "11 | l11 there\n"
    "   |     ----- two below\n"
    "  ::: lib/nn.svm:1:5\n"
    "   |\n"
    " 1 | net dense(x)\n"
    "   |     ----- declared here\n"
    "   = note: built in\n"
    "\n");
}
END_TEST

START_TEST(carets_stand_below_wide_letters_tabs_and_marks) {
  const Source *s = add("a.svm", "\t\xE5\x8D\x98\xE5\x8D\x98 = x\xCC\x82 + bad\r\n");
  diag_mark(diag_at(diag, E0101, first(s, "bad"), "m"), "here");
  diag_at(diag, E0102, first(s, "\xE5\x8D\x98\xE5\x8D\x98"), "m");
  ck_assert_str_eq(printed(DIAG_TEXT, false),
    "error[E0102]: m\n"
    " --> a.svm:1:2\n"
    "  |\n"
    "1 |     \xE5\x8D\x98\xE5\x8D\x98 = x\xCC\x82 + bad\n"
    "  |     ^^^^\n"
    "\n"
    "error[E0101]: m\n"
    " --> a.svm:1:12\n"
    "  |\n"
    "1 |     \xE5\x8D\x98\xE5\x8D\x98 = x\xCC\x82 + bad\n"
    "  |                ^^^ here\n"
    "\n");
}
END_TEST

START_TEST(the_end_of_a_file_has_a_caret) {
  const Source *s = add("a.svm", "const K =");
  diag_at(diag, E0101, (Span){s->base + 9, s->base + 9}, "m");
  ck_assert_str_eq(printed(DIAG_TEXT, false),
    "error[E0101]: m\n"
    " --> a.svm:1:10\n"
    "  |\n"
    "1 | const K =\n"
    "  |          ^\n"
    "\n");
}
END_TEST

START_TEST(an_empty_file_can_be_wrong) {
  const Source *s = add("a.svm", "");
  diag_at(diag, E0101, (Span){s->base, s->base}, "m");
  ck_assert_str_eq(printed(DIAG_TEXT, false), "error[E0101]: m\n --> a.svm:1:1\n  |\n1 |\n  | ^\n\n");
}
END_TEST

START_TEST(several_lines_say_where_they_end) {
  const Source *s = add("a.svm", "x = f(a,\n  b,\n  c)\n");
  DiagItem *i = diag_at(diag, E0101, first(s, "f(a,\n  b,\n  c)"), "m");
  diag_mark(i, "this call");
  ck_assert_str_eq(printed(DIAG_TEXT, false),
    "error[E0101]: m\n"
    " --> a.svm:1:5\n"
    "  |\n"
    "1 | x = f(a,\n"
    "  |     ^^^^ this call (goes on to line 3)\n"
    "\n");
}
END_TEST

START_TEST(a_fix_shows_the_line_after_it) {
  const Source *s = add("a.svm", "z ~ Normal(0, sd = 1)\n");
  DiagItem *i = diag_at(diag, E0101, first(s, "="), "m");
  diag_fix(i, first(s, "sd = "), "sd: ", "write `%s`", "sd: 1");
  ck_assert_str_eq(printed(DIAG_TEXT, false),
    "error[E0101]: m\n"
    " --> a.svm:1:18\n"
    "  |\n"
    "1 | z ~ Normal(0, sd = 1)\n"
    "  |                  ^\n"
    "  |\n"
    "  = help: write `sd: 1`\n"
    "1 + z ~ Normal(0, sd: 1)\n"
    "\n");
}
END_TEST

START_TEST(a_long_line_is_cropped_around_the_mark) {
  char text[1000];
  memset(text, 'a', sizeof text);
  memcpy(text + 500, "BAD", 3);
  text[999] = 0;
  const Source *s = add("a.svm", text);
  diag_mark(diag_at(diag, E0101, first(s, "BAD"), "m"), "here");
  const char *out = printed(DIAG_TEXT, false);
  const char *line = strstr(out, "1 | "), *marks = strstr(line, "\n") + 1;
  ck_assert_uint_lt((size_t)(marks - line), 180);
  ck_assert_int_eq((int)(strstr(line, "BAD") - line), (int)(strchr(marks, '^') - marks));
  ck_assert_ptr_nonnull(strstr(marks, "^^^ here\n"));
}
END_TEST

START_TEST(what_a_terminal_might_obey_is_replaced) {
  const Source *s = add("a.svm", "a \033[2J b \xFF c\n");
  diag_at(diag, E0101, first(s, "c"), "found \033[0m");
  ck_assert_str_eq(printed(DIAG_TEXT, false),
    "error[E0101]: found \xEF\xBF\xBD[0m\n"
    " --> a.svm:1:12\n"
    "  |\n"
    "1 | a \xEF\xBF\xBD[2J b \xEF\xBF\xBD c\n"
    "  |            ^\n"
    "\n");
}
END_TEST

START_TEST(a_message_without_a_place) {
  diag_help(diag_at(diag, E0101, NO_SPAN, "no model"), "write one");
  ck_assert_str_eq(printed(DIAG_TEXT, false), "error[E0101]: no model\n  = help: write one\n\n");
}
END_TEST

START_TEST(colour_only_when_asked) {
  const Source *s = add("a.svm", "x\n");
  diag_mark(diag_at(diag, E0101, first(s, "x"), "m"), "here");
  ck_assert_ptr_null(strchr(printed(DIAG_TEXT, false), '\033'));
  ck_assert_ptr_nonnull(strstr(printed(DIAG_TEXT, true), "\033[1;31merror[E0101]\033[0m"));
}
END_TEST

/* ---- which messages */

START_TEST(messages_are_sorted_and_said_once) {
  const Source *s = add("a.svm", "one two\n");
  diag_at(diag, E0101, first(s, "two"), "second");
  diag_at(diag, E0101, first(s, "one"), "first");
  DiagItem *again = diag_at(diag, E0101, first(s, "two"), "again");
  diag_mark(again, "never shown");
  diag_label(again, first(s, "one"), "never shown");
  diag_note(again, "never shown");
  diag_help(again, "never shown");
  diag_fix(again, first(s, "one"), "never", "shown");
  ck_assert_uint_eq(diag_errors(diag), 2);
  const char *out = printed(DIAG_TEXT, false);
  ck_assert_ptr_nonnull(strstr(out, "first"));
  ck_assert(strstr(out, "first") < strstr(out, "second"));
  ck_assert_ptr_null(strstr(out, "again"));
  ck_assert_ptr_null(strstr(out, "never"));
}
END_TEST

START_TEST(twenty_errors_and_a_count) {
  const Source *s = add("a.svm", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
  for (uint32_t i = 0; i < 23; i++) {
    DiagItem *item = diag_at(diag, E0101, (Span){s->base + i, s->base + i + 1}, "number %u", i);
    diag_note(item, "note");
    diag_at(diag, E0101, (Span){s->base + i, s->base + i + 1}, "number %u", i);
  }
  ck_assert_uint_eq(diag_errors(diag), 23);
  const char *out = printed(DIAG_TEXT, false);
  ck_assert_ptr_nonnull(strstr(out, "number 19"));
  ck_assert_ptr_null(strstr(out, "number 20"));
  ck_assert_ptr_nonnull(strstr(out, "\n3 more errors\n"));
  ck_assert_ptr_nonnull(strstr(printed(DIAG_JSON, false), "\"more\":3}"));
}
END_TEST

START_TEST(nothing_to_say_prints_nothing) {
  ck_assert_str_eq(printed(DIAG_TEXT, false), "");
  ck_assert_str_eq(printed(DIAG_JSON, false), "");
  ck_assert_uint_eq(diag_errors(diag), 0);
}
END_TEST

START_TEST(json_is_one_object_a_line) {
  const Source *s = add("a\"b.svm", "\xF0\x9F\x98\x80 x = \"\ny\n");
  DiagItem *i = diag_at(diag, E0101, first(s, "x"), "say \"%s\"\n\xFF", "it\\");
  diag_mark(i, "mark");
  diag_label(i, first(s, "y"), "label");
  diag_note(i, "note");
  diag_help(i, "help");
  diag_fix(i, first(s, "y"), "z\t", "fix");
  diag_at(diag, E0102, NO_SPAN, "nowhere");
  ck_assert_str_eq(printed(DIAG_JSON, false),
    "{\"schema\":1,\"code\":\"E0102\",\"name\":\"character\",\"severity\":\"error\",\"message\":\"nowhere\",\"file\":null,"
    "\"spans\":[{\"primary\":true,\"file\":null,\"label\":null}],\"notes\":[],\"helps\":[],\"fixes\":[]}\n"
    "{\"schema\":1,\"code\":\"E0101\",\"name\":\"syntax\",\"severity\":\"error\",\"message\":\"say \\\"it\\\\\\\"\\n\\ufffd\","
    "\"file\":\"a\\\"b.svm\",\"spans\":["
    "{\"primary\":true,\"file\":\"a\\\"b.svm\",\"start\":{\"line\":1,\"column\":3,\"byte\":5,\"utf16\":3},"
    "\"end\":{\"line\":1,\"column\":4,\"byte\":6,\"utf16\":4},\"label\":\"mark\"},"
    "{\"primary\":false,\"file\":\"a\\\"b.svm\",\"start\":{\"line\":2,\"column\":1,\"byte\":11,\"utf16\":0},"
    "\"end\":{\"line\":2,\"column\":2,\"byte\":12,\"utf16\":1},\"label\":\"label\"}],"
    "\"notes\":[\"note\"],\"helps\":[\"help\"],"
    "\"fixes\":[{\"text\":\"fix\",\"file\":\"a\\\"b.svm\",\"start\":{\"line\":2,\"column\":1,\"byte\":11,\"utf16\":0},"
    "\"end\":{\"line\":2,\"column\":2,\"byte\":12,\"utf16\":1},\"replacement\":\"z\\u0009\"}]}\n");
}
END_TEST

START_TEST(codes_are_explained) {
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  ck_assert(diag_explain("e0101", f));
  ck_assert(diag_explain("bracket", f));
  ck_assert(!diag_explain("E9999", f));
  ck_assert(!diag_explain("", f));
  fclose(f);
  ck_assert_ptr_eq(strstr(text, "E0101 (syntax): the text does not follow the grammar\n\n"), text);
  ck_assert_ptr_nonnull(strstr(text, "E0104 (bracket): "));
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) ck_assert_uint_le(strlen(line), 80);
  free(text);
}
END_TEST

START_TEST(every_code_has_a_name_a_title_and_an_explanation) {
  static const struct { const char *code, *name, *title, *text; } rows[] = {
#define CODE(code, name, title, text) {#code, name, title, text},
#include "../../compiler/base/diag.def"
#undef CODE
  };
  for (size_t i = 0; i < LEN(rows); i++) {
    ck_assert_msg(rows[i].code[0] == 'E' || rows[i].code[0] == 'W', "%s", rows[i].code);
    ck_assert_msg(strlen(rows[i].code) == 5 && strspn(rows[i].code + 1, "0123456789") == 4, "%s", rows[i].code);
    ck_assert_msg(*rows[i].name && *rows[i].title && strlen(rows[i].text) > 20, "%s", rows[i].code);
    for (size_t k = 0; k < i; k++) {
      ck_assert_str_ne(rows[k].code, rows[i].code);
      ck_assert_msg(strcmp(rows[k].name, rows[i].name) != 0, "%s and %s have one name", rows[k].code, rows[i].code);
    }
  }
}
END_TEST

START_TEST(a_bug_exits_with_70) { BUG("told on purpose by a test"); }
END_TEST

int main(void) {
  Suite *s = suite_create("base");
  TCase *t = tcase_create("base");
  tcase_add_checked_fixture(t, set_up, tear_down);
  tcase_add_test(t, arena_memory_is_zero_and_aligned);
  tcase_add_test(t, arena_counts_what_was_asked_for);
  tcase_add_test(t, a_big_block_leaves_the_current_chunk_in_use);
  tcase_add_test(t, arena_prints_and_copies);
  tcase_add_test(t, a_vec_grows_and_keeps_its_members);
  tcase_add_test(t, equal_names_are_one_pointer);
  tcase_add_test(t, many_names_stay_apart);
  tcase_add_test(t, a_long_name_is_interned_whole);
  tcase_add_loop_test(t, the_nearest_name, 0, (int)LEN(nearest_rows));
  tcase_add_test(t, places_count_lines_and_scalars);
  tcase_add_test(t, no_span_has_no_place);
  tcase_add_test(t, a_byte_order_mark_is_no_column);
  tcase_add_test(t, spans_join);
  tcase_add_test(t, one_mark_and_feet);
  tcase_add_test(t, labels_on_one_line_hang);
  tcase_add_test(t, three_labels_hang_from_right_to_left);
  tcase_add_test(t, labels_on_other_lines_and_files);
  tcase_add_test(t, carets_stand_below_wide_letters_tabs_and_marks);
  tcase_add_test(t, the_end_of_a_file_has_a_caret);
  tcase_add_test(t, an_empty_file_can_be_wrong);
  tcase_add_test(t, several_lines_say_where_they_end);
  tcase_add_test(t, a_fix_shows_the_line_after_it);
  tcase_add_test(t, a_long_line_is_cropped_around_the_mark);
  tcase_add_test(t, what_a_terminal_might_obey_is_replaced);
  tcase_add_test(t, a_message_without_a_place);
  tcase_add_test(t, colour_only_when_asked);
  tcase_add_test(t, messages_are_sorted_and_said_once);
  tcase_add_test(t, twenty_errors_and_a_count);
  tcase_add_test(t, nothing_to_say_prints_nothing);
  tcase_add_test(t, json_is_one_object_a_line);
  tcase_add_test(t, codes_are_explained);
  tcase_add_test(t, every_code_has_a_name_a_title_and_an_explanation);
  tcase_add_exit_test(t, a_bug_exits_with_70, 70);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
