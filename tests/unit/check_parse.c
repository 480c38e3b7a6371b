/* Reading: what the grammar understands, how it prints, and what it says of text it does not understand.
 *
 * Beside the small cases here: every tests/golden/NAME.svm with a NAME.ast prints as that file says; every model of
 * tests/golden, stdlib and examples prints to a text that prints as itself; every tests/errors/syntax/NAME.svm is
 * answered by NAME.err to the letter.  With SVIC_BLESS=1 in the environment the expected files are written instead.
 * The tests' folder is found beside this source, or by the environment variable SVI_TESTS. */
#include "../../compiler/ast/ast.h"
#include <check.h>
#include <dirent.h>
#include <stdlib.h>

static Arena   *arena;
static Sources *sources;
static Diag    *diag;
static char     tests[4096];

static void set_up(void) {
  arena = arena_new();
  sources = sources_new(arena);
  diag = diag_new(arena, sources);
}
static void tear_down(void) { arena_free(arena); }

static const Ast *parse_as(const char *path, const char *text, size_t size) {
  const Ast *ast = ast_parse(arena, source_add(sources, path, text, size, false), diag);
  char *why = NULL;
  size_t n = 0;
  FILE *f = open_memstream(&why, &n);
  bool fine = ast_verify(ast, f);
  fclose(f);
  ck_assert_msg(fine, "%s", why);
  free(why);
  return ast;
}
static const Ast *parse(const char *text) { return parse_as("test.svm", text, strlen(text)); }

static const char *messages(void) {
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  diag_print(diag, f, DIAG_TEXT, false);
  fclose(f);
  const char *kept = arena_copy(arena, text, size);
  free(text);
  return kept;
}

static const Ast *parse_well(const char *text) {
  const Ast *ast = parse(text);
  ck_assert_msg(diag_errors(diag) == 0, "%s", messages());
  return ast;
}

static const char *print(const Ast *ast) {
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  ast_print(ast, f);
  fclose(f);
  const char *kept = arena_copy(arena, text, size);
  free(text);
  return kept;
}

static const Expr *expr_of(const char *text) {
  const Ast *ast = parse_well(arena_printf(arena, "const it = %s\n", text));
  ck_assert_uint_eq(ast->decls.n, 1);
  return ast->decls.at[0]->as.value.value;
}

static const char *print_expr(const Expr *e) {
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  ast_print_expr(e, f);
  fclose(f);
  const char *kept = arena_copy(arena, text, size);
  free(text);
  return kept;
}

/* Every operator in brackets and every chain told apart, so that two readings never look the same. */
static const char *shape(const Expr *e) {
  switch (e->kind) {
    case EX_OP:
      if (!e->as.op.b) return arena_printf(arena, "(%s %s)", ast_op_text(e->as.op.op), shape(e->as.op.a));
      return arena_printf(arena, "(%s %s %s)", shape(e->as.op.a), ast_op_text(e->as.op.op), shape(e->as.op.b));
    case EX_RANGE:
      return e->as.range.by ? arena_printf(arena, "(%s .. %s by %s)", shape(e->as.range.first), shape(e->as.range.last), shape(e->as.range.by))
                            : arena_printf(arena, "(%s .. %s)", shape(e->as.range.first), shape(e->as.range.last));
    case EX_DURATION:
      return arena_printf(arena, "(%s %s)", shape(e->as.duration.amount), e->as.duration.unit);
    case EX_REDUCE:
      return arena_printf(arena, "<%s/%u %s>", e->as.reduce.reducer, e->as.reduce.binders.n, shape(e->as.reduce.body));
    case EX_COMPREHENSION:
      return arena_printf(arena, "<[%u] %s>", e->as.comprehension.binders.n, shape(e->as.comprehension.body));
    case EX_CHOICE:
      return arena_printf(arena, "<if %s %s %s>", shape(e->as.choice.condition), shape(e->as.choice.yes), shape(e->as.choice.no));
    case EX_DRAW:
      return arena_printf(arena, e->as.draw.once ? "<draw once %s>" : "<draw %s>", shape(e->as.draw.dist));
    case EX_LOG_DENSITY:
      return arena_printf(arena, "<log %s>", shape(e->as.log_density.target));
    case EX_INSTANCE:
      return arena_printf(arena, "<net %s/%u>", shape(e->as.instance.callee), e->as.instance.args.n);
    case EX_CALL:
      return arena_printf(arena, "%s(/%u)", shape(e->as.call.callee), e->as.call.args.n);
    case EX_INDEX:
      return arena_printf(arena, "%s[/%u]", shape(e->as.index.base), e->as.index.args.n);
    case EX_LIST:
      return arena_printf(arena, "[/%u]", e->as.list.n);
    case EX_FIELD:
      return arena_printf(arena, "%s.%s", shape(e->as.field.base), e->as.field.member);
    case EX_NUMBER: case EX_STRING: case EX_NAME: case EX_BAD:
      return print_expr(e);
  }
  return "?";
}

/* ---- precedence */

static const struct { const char *text, *shape; } shape_rows[] = {
  {"-2^2",                         "(- (2 ^ 2))"},
  {"2^-1",                         "(2 ^ (- 1))"},
  {"2^3^4",                        "(2 ^ (3 ^ 4))"},
  {"-a * b",                       "((- a) * b)"},
  {"a * -b",                       "(a * (- b))"},
  {"a - b - c",                    "((a - b) - c)"},
  {"a / b * c @ d",                "(((a / b) * c) @ d)"},
  {"a + b * c",                    "(a + (b * c))"},
  {"L-1..1",                       "((L - 1) .. 1)"},
  {"1..L",                         "(1 .. L)"},
  {"1..2",                         "(1 .. 2)"},
  {"1.5..2.5",                     "(1.5 .. 2.5)"},
  {"L..1 by -1",                   "(L .. 1 by (- 1))"},
  {"1..n+1 by 2*k",                "(1 .. (n + 1) by (2 * k))"},
  {"a < b + 1",                    "(a < (b + 1))"},
  {"not a == b",                   "(not (a == b))"},
  {"not a and b or c",             "(((not a) and b) or c)"},
  {"a or b and c",                 "(a or (b and c))"},
  {"a |> f(b) |> g",               "((a |> f(/1)) |> g)"},
  {"a or b |> f",                  "((a or b) |> f)"},
  {"sum(q in Q) a*b + c",          "(<sum/1 (a * b)> + c)"},
  {"sum(q in Q) a / b @ c - d",    "(<sum/1 ((a / b) @ c)> - d)"},
  {"2 * sum(q in Q) a * b",        "(2 * <sum/1 (a * b)>)"},
  {"-sum(q in Q) a * b",           "(- <sum/1 (a * b)>)"},
  {"sum(q in Q) -a * b",           "<sum/1 ((- a) * b)>"},
  {"sum(i in M, each doc) e",      "<sum/2 e>"},
  {"mean(each plate) sum(j in 1..N) e * f", "<mean/1 <sum/1 (e * f)>>"},
  {"sum(a) * b",                   "(<sum/0 a> * b)"},
  {"sum(a)[1]",                    "<sum/0 a>[/1]"},
  {"max(a, b)",                    "max(/2)"},
  {"max(a)",                       "<max/0 a>"},
  {"log_mean_exp(log p - log q)",  "<log_mean_exp/0 (<log p> - <log q>)>"},
  {"[i in M] a + b",               "<[1] (a + b)>"},
  {"[i in M, j in N] a or b |> f", "(<[2] (a or b)> |> f)"},
  {"[a, b, c]",                    "[/3]"},
  {"[]",                           "[/0]"},
  {"if a then b else c + d",       "<if a b (c + d)>"},
  {"if a then if b then c else d else e", "<if a <if b c d> e>"},
  {"if a then b else c |> f",      "(<if a b c> |> f)"},
  {"log p.x - log q",              "(<log p.x> - <log q>)"},
  {"log p.z[1] * 2",               "(<log p.z[/1]> * 2)"},
  {"log(p.x) + log",               "(log(/1) + log)"},
  {"E[q, k: 50](f)",               "E[/2](/1)"},
  {"KL(q.z || p.z)",               "KL(/1)"},
  {"draw Normal(0, 1)[3] * 2",     "(<draw Normal(/2)[/1]> * 2)"},
  {"draw once file.image",         "<draw once file.image>"},
  {"net nn.mlp([200], tanh)",      "<net nn.mlp/2>"},
  {"p.data.for.log.sum",           "p.data.for.log.sum"},
  {"a.b(c)[d].e",                  "a.b(/1)[/1].e"},
  {"(a + b) * c",                  "((a + b) * c)"},
  {"true and not false",           "(true and (not false))"},
  {"200 epochs",                   "(200 epochs)"},
  {"1 epoch",                      "(1 epochs)"},
  {"500 step",                     "(500 steps)"},
  {"n epochs",                     "(n epochs)"},
  {"f(a)[2] steps",                "(f(/1)[/1] steps)"},
  {"2 * n + 1 epochs",             "(((2 * n) + 1) epochs)"},
  {"1 .. n steps",                 "(1 .. (n steps))"},
  {"(a .. b) steps",               "((a .. b) steps)"},
  {"if a then n epochs else 3 steps", "<if a (n epochs) (3 steps)>"},
  {"f(over: 1, mean: 2, step: 3)", "f(/3)"},
};

START_TEST(precedence) { ck_assert_str_eq(shape(expr_of(shape_rows[_i].text)), shape_rows[_i].shape); }
END_TEST

START_TEST(printing_keeps_the_reading) {
  const Expr *e = expr_of(shape_rows[_i].text), *again = expr_of(print_expr(e));
  ck_assert_str_eq(shape(again), shape(e));
  ck_assert_str_eq(print_expr(again), print_expr(e));
}
END_TEST

/* Brackets the printer must not drop. */
static const char *const bracketed[] = {
  "(-2)^2", "(a^b)^c", "a - (b - c)", "(a + b) * c", "a * (b / c)", "-(a + b)", "(not a) == b", "a + (not b)", "(a |> f)[1]",
  "2 * (sum(q in Q) a) * b", "sum(q in Q) (a + b)", "(sum(q in Q) a)^2", "([i in M] a)[1]", "([i in M] a) + b", "(if a then b else c) + d",
  "[i in M] (a |> f)", "(1..3)..4", "(a < b) < c", "a |> (b |> f)", "(draw D).x", "(log p)(x)", "(1..2)[1]", "(-a).b", "f(a: (b |> c))",
  "(a = b)",
};

START_TEST(brackets_that_matter_survive) {
  if (strchr(bracketed[_i], '=') && !strstr(bracketed[_i], "==")) {      /* the last row: not an expression at all */
    parse(arena_printf(arena, "const it = %s\n", bracketed[_i]));
    ck_assert_uint_eq(diag_errors(diag), 1);
    return;
  }
  const Expr *e = expr_of(bracketed[_i]);
  ck_assert_str_eq(shape(expr_of(print_expr(e))), shape(e));
}
END_TEST

START_TEST(numbers_print_as_they_read) {
  static const char *const rows[] = {"0", "3", "9007199254740992", "0.5", "1e-3", "1e22", "3.0", "0.1", "-1.306852819440055", "1e300", "5e-324", "123456789.125"};
  for (size_t i = 0; i < LEN(rows); i++) {
    const Expr *e = expr_of(rows[i]), *again = expr_of(print_expr(e));
    const Expr *x = e->kind == EX_OP ? e->as.op.a : e, *y = again->kind == EX_OP ? again->as.op.a : again;
    ck_assert(x->as.number.value == y->as.number.value);
    ck_assert_int_eq(x->as.number.whole, y->as.number.whole);
  }
  ck_assert(expr_of("3")->as.number.whole);
  ck_assert(!expr_of("3.0")->as.number.whole);
  ck_assert(!expr_of("3e0")->as.number.whole);
}
END_TEST

/* ---- lines */

/* Rows of two texts that must be read as the same. */
static const struct { const char *a, *b; } line_rows[] = {
  {"model p {\n  a = 1\n  b = 2\n}\n",              "model p { a = 1\n b = 2 }"},
  {"model p {\n\n\n  a = 1   # c\n\n# d\n  b = 2\n\n}\n\n", "model p { a = 1\n b = 2 }"},
  {"model p\n\n{\n  a = 1 }\n",                     "model p { a = 1 }"},
  {"const a = f(1,\n  2\n)\n",                      "const a = f(1, 2)"},
  {"const a = [1\n,\n2\n]\n",                       "const a = [1, 2]"},
  {"const a = 1 +\n  2 *\n\n  3\n",                 "const a = 1 + 2 * 3"},
  {"const a =\n  3\n",                              "const a = 3"},
  {"const a = x |>\n  f |>  # why\n  g",            "const a = x |> f |> g"},
  {"const a = 1\r\nconst b = 2\r\n",                "const a = 1\nconst b = 2"},
  {"const a = if t then\n 1 else\n 2",              "const a = if t then 1 else 2"},
  {"net f(x) {\n if a { b = 1 }\n else { b = 2 }\n return b }", "net f(x) { if a { b = 1 } else { b = 2 }\n return b }"},
  {"net f(x) {\n if a { b = 1 }\n\n else if c { b = 2 }\n return b }", "net f(x) { if a { b = 1 } else if c { b = 2 }\n return b }"},
  {"model p { for each u { a = 1 } for each v { b = 2 } }", "model p { for each u { a = 1 }\n for each v { b = 2 } }"},
  {"train { batch: 1, epochs: 2 }",                 "train {\n batch: 1\n epochs: 2\n}"},
  {"train { batch: 1,\n epochs: 2,\n }",            "train {\n batch: 1\n epochs: 2\n}"},
  {"train { batch: 5 steps\n step a: maximize f }", "train {\n batch: 5 steps\n step a: maximize f\n}"},
  {"train { batch: 5\n step a: maximize f }",       "train {\n batch: 5,\n step a: maximize f\n}"},
  {"\xEF\xBB\xBF" "const a = 1",                    "const a = 1"},
  {"const \xC2\xB5 = 1",                            "const \xCE\xBC = 1"},      /* micro sign, Greek mu */
  {"model p { a[1] = z |>\n  f\n  b ~\n D }",       "model p { a[1] = z |> f\n b ~ D }"},
  {"import \"a/dec.svm\"",                          "import \"a/dec.svm\" as dec"},
};

START_TEST(lines_end_where_statements_do) {
  const char *a = print(parse_well(line_rows[_i].a)), *b = print(parse_well(line_rows[_i].b));
  ck_assert_str_eq(a, b);
}
END_TEST

START_TEST(spans_cover_the_construct) {
  const char *text = "model p for each image {\n  z ~ Normal(0, (1))[3]   # why\n}\nconst a = (1 + 2)\n";
  const Ast *ast = parse_well(text);
  uint32_t base = ast->source->base;
  const Decl *p = ast->decls.at[0], *a = ast->decls.at[1];
  ck_assert_uint_eq(p->span.at - base, 0);
  ck_assert_uint_eq(p->span.end - base, (uint32_t)(strchr(text, '}') - text) + 1);
  const Stmt *z = p->as.program.body.at[0];
  ck_assert_uint_eq(z->span.at - base, (uint32_t)(strstr(text, "z ~") - text));
  ck_assert_uint_eq(z->span.end - base, (uint32_t)(strstr(text, "   #") - text));
  ck_assert_uint_eq(z->as.site.tilde.at - base, (uint32_t)(strchr(text, '~') - text));
  ck_assert_uint_eq(p->as.program.plate_span.at - base, (uint32_t)(strstr(text, "image") - text));
  ck_assert_uint_eq(a->as.value.value->span.at - base, (uint32_t)(strstr(text, "(1 +") - text));
  ck_assert_uint_eq(a->span.end - base, (uint32_t)strlen(text) - 1);
}
END_TEST

START_TEST(declarations_hold_their_parts) {
  const Ast *ast = parse_well("import nn\nimport \"a/b\" as c\nplate r of (u, v), ordered\ndata x: bit[3] for each r = draw once D\n"
                              "guide q for each r {}\nguide s = meanfield(p)\nnet f = g(1)\nminimize a over p, q\n"
                              "train { step s: maximize b over q }\n");
  Decl **d = ast->decls.at;
  ck_assert_uint_eq(ast->decls.n, 9);
  ck_assert(!d[0]->as.import.quoted && d[0]->name == name_of("nn") && d[0]->as.import.path == d[0]->name);
  ck_assert(d[1]->as.import.quoted && d[1]->name == name_of("c") && d[1]->as.import.path == name_of("a/b"));
  ck_assert(d[2]->as.plate.of.n == 2 && d[2]->as.plate.of.at[1] == name_of("v") && d[2]->as.plate.ordered);
  ck_assert(d[3]->as.data.plate == name_of("r") && d[3]->as.data.prepare->as.draw.once && d[3]->as.data.type->sizes.n == 1);
  ck_assert(d[4]->kind == DE_PROGRAM && d[4]->as.program.guide && d[4]->as.program.body.n == 0);
  ck_assert(d[5]->kind == DE_AUTOGUIDE && d[6]->kind == DE_INSTANCE);
  ck_assert(d[7]->kind == DE_GOAL && !d[7]->as.goal.maximize && d[7]->as.goal.over.n == 2 && !d[7]->name);
  ck_assert(d[8]->as.train.steps.n == 1 && d[8]->as.train.steps.at[0].maximize && d[8]->as.train.steps.at[0].name == name_of("s"));
}
END_TEST

START_TEST(a_dist_holds_its_parts) {
  const Ast *ast = parse_well("dist G(a: positive, mean: real = 1) on interval(0, 1) {\n also G(b: real) = G(b, 1) { mean = b }\n"
                              " mean = a\n kl(G(c, d)) = c\n check logpdf(2, 3; a: 1) = -1\n check mean(a: 2) = 2\n}\n");
  const Decl *d = ast->decls.at[0];
  ck_assert(d->as.dist.params.n == 2 && d->as.dist.params.at[1].fallback && d->as.dist.support->params.n == 2);
  ck_assert(d->as.dist.forms.n == 1 && d->as.dist.forms.at[0].members.n == 1 && d->as.dist.forms.at[0].params.at[0].name == name_of("b"));
  ck_assert(d->as.dist.members.n == 2 && d->as.dist.members.at[1].params.n == 1);
  ck_assert(d->as.dist.checks.n == 2 && d->as.dist.checks.at[0].at.n == 2 && d->as.dist.checks.at[0].args.n == 1);
  ck_assert(d->as.dist.checks.at[1].at.n == 0 && d->as.dist.checks.at[1].args.n == 1);
}
END_TEST

/* ---- errors */

START_TEST(what_can_be_read_is_kept) {
  const Ast *ast = parse("const a = )\nconst b = 2\nmodel p fr each x {\n  z ~ ~ 3\n  y = (1 + ) * 2\n  w ~ D\n}\nconst c = 3\n");
  ck_assert_uint_eq(diag_errors(diag), 4);
  ck_assert_uint_eq(ast->decls.n, 3);                         /* a, poisoned; b; c */
  ck_assert_int_eq(ast->decls.at[0]->as.value.value->kind, EX_BAD);
  ck_assert_ptr_eq(ast->decls.at[2]->name, name_of("c"));
}
END_TEST

START_TEST(a_slip_still_gives_a_whole_tree) {
  const Ast *ast = parse("model p for image { z ~ Normal(0, sd = 1) }\n");
  ck_assert_uint_eq(diag_errors(diag), 2);
  ck_assert_str_eq(print(ast), "model p for each image {\n  z ~ Normal(0, sd: 1)\n}\n");
}
END_TEST

/* Texts that would overflow a stack if anything recursed without a bound. */
static const struct { const char *before, *again, *middle, *after; } deep_rows[] = {
  {"const a = ", "(", "1", ")"},         {"const a = ", "[", "1", "]"},         {"const a = ", "f(", "1", ")"},
  {"const a = ", "-", "1", ""},          {"const a = ", "not ", "b", ""},       {"const a = 1", "+1", "", ""},
  {"const a = 1", "^1", "", ""},         {"const a = b", ".b", "", ""},         {"const a = b", "(1)", "", ""},
  {"const a = ", "if b then ", "c", " else d"}, {"const a = ", "if b then c else ", "d", ""}, {"const a = ", "sum(i in M) ", "1", ""},
  {"const a = ", "[i in M] ", "1", ""},  {"const a = ", "draw (", "1", ")"},    {"model p ", "{ for each a ", "{ b = 1 }", "}"},
  {"model p { ", "if a { } else ", "{ }", " }"}, {"data x: real", "[1]", "", ""}, {"const a = 1", "|> f", "", ""},
  {"const a = log p", "[1]", "", ""},    {"const a = ", "{", "", "}"},          {"const a = ", ")", "", ""},
  {"const a = ", "f(b: ", "1", ")"},     {"maximize a over ", "[b, ", "c", "]"}, {"", "model p {", "", ""},
};

START_TEST(hostile_nesting_is_answered) {
  enum { TIMES = 100000 };
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  fputs(deep_rows[_i].before, f);
  for (int i = 0; i < TIMES; i++) fputs(deep_rows[_i].again, f);
  fputs(deep_rows[_i].middle, f);
  for (int i = 0; i < TIMES; i++) fputs(deep_rows[_i].after, f);
  fclose(f);
  const Ast *ast = parse_as("deep.svm", text, size);
  free(text);
  bool flat = strcmp(deep_rows[_i].again, "[1]") == 0 && deep_rows[_i].before[0] == 'd';      /* sizes are a list */
  if (!flat) ck_assert_uint_gt(diag_errors(diag), 0);
  print(ast);
  messages();
}
END_TEST

/* Cutting a good model anywhere, or dropping or doubling a line of it, must neither crash nor cascade. */
static const char *const whole =
  "import nn\nconst K = [1, 2]\ndata x: bit[784] for each image\nnet f(x: real[n], m: size) -> real[m] {\n  param W: real[n, m] = 0\n"
  "  return x @ W\n}\nmodel p for each image {\n  z ~ Normal(0, 1)[3]\n  for l in 1..3 { d[l] = f(z, sum(i in M) z[i]) }\n"
  "  x ~ Bernoulli(logit: f(z, 784)) via score\n}\ndist D(a: real) on real {\n  also D(b: real) = D(b) { mean = b }\n  logpdf(x) = x\n"
  "  check logpdf(1; a: 2) = 3\n}\nmaximize E[q](log p.x) - KL(q || p)\ntrain {\n  batch: 3, step: 4\n  step a: maximize e over p\n}\n";

START_TEST(a_model_cut_anywhere_is_answered) {
  for (size_t size = 0; size <= strlen(whole); size++) {
    tear_down();
    set_up();
    parse_as("cut.svm", whole, size);
    ck_assert_msg(diag_errors(diag) <= 4, "cut at %zu:\n%s", size, messages());
    messages();
  }
}
END_TEST

START_TEST(a_model_without_one_letter_is_answered) {
  char text[2000];
  for (size_t i = 0; i < strlen(whole); i++) {
    tear_down();
    set_up();
    snprintf(text, sizeof text, "%.*s%s", (int)i, whole, whole + i + 1);
    parse(text);
    ck_assert_msg(diag_errors(diag) <= 4, "without letter %zu:\n%s", i, messages());
  }
}
END_TEST

START_TEST(a_stray_letter_anywhere_is_answered) {
  static const char letters[] = "()[]{},;:=~.\"'^|%@ \n#3a";
  char text[2000];
  for (size_t i = 0; i <= strlen(whole); i++)
    for (const char *c = letters; *c; c++) {
      tear_down();
      set_up();
      snprintf(text, sizeof text, "%.*s%c%s", (int)i, whole, *c, whole + i);
      parse(text);
      /* a stray brace really does cut a block in two */
      ck_assert_msg(diag_errors(diag) <= (strchr("{}", *c) ? 8 : 6), "`%c` at %zu:\n%s", *c, i, messages());
    }
}
END_TEST

/* ---- files */

static char *read_whole(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  char *text = NULL;
  FILE *copy = open_memstream(&text, size);
  char piece[4096];
  for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0; ) fwrite(piece, 1, n, copy);
  fclose(f);
  fclose(copy);
  return text;
}

static bool ends_with(const char *name, const char *ending) {
  size_t n = strlen(name), m = strlen(ending);
  return n > m && strcmp(name + n - m, ending) == 0;
}

/* Compares with the expected file, or writes it. */
static void expect_file(const char *path, const char *text) {
  if (getenv("SVIC_BLESS")) {
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
    return;
  }
  size_t size;
  char *expected = read_whole(path, &size);
  ck_assert_msg(expected != NULL, "%s is missing", path);
  ck_assert_msg(strcmp(expected, text) == 0, "%s: expected\n%s\nfound\n%s", path, expected, text);
  free(expected);
}

static void check_golden(const char *folder, const char *name) {
  const char *path = arena_printf(arena, "%s/%s", folder, name);
  size_t size;
  char *text = read_whole(path, &size);
  ck_assert_msg(text != NULL, "%s cannot be read", path);
  const Ast *ast = parse_as(name, text, size);
  free(text);
  ck_assert_msg(diag_errors(diag) == 0, "%s", messages());
  const char *once = print(ast), *twice = print(parse_as(name, once, strlen(once)));
  ck_assert_msg(diag_errors(diag) == 0, "%s, printed:\n%s", path, messages());
  ck_assert_msg(strcmp(once, twice) == 0, "%s, printed once\n%s\nand again\n%s", path, once, twice);
  const char *expected = arena_printf(arena, "%s/%.*s.ast", folder, (int)strlen(name) - 4, name);
  FILE *f = fopen(expected, "rb");
  if (!f) return;
  fclose(f);
  expect_file(expected, once);
}

static void check_errors(const char *folder, const char *name) {
  const char *path = arena_printf(arena, "%s/%s", folder, name);
  size_t size;
  char *text = read_whole(path, &size);
  ck_assert_msg(text != NULL, "%s cannot be read", path);
  parse_as(name, text, size);
  free(text);
  ck_assert_msg(diag_errors(diag) > 0, "%s has no error", path);
  expect_file(arena_printf(arena, "%s/%.*s.err", folder, (int)strlen(name) - 4, name), messages());
}

/* Every .svm below the folder.  Gives how many there were. */
static unsigned each_model(const char *folder, void check(const char *folder, const char *name)) {
  DIR *d = opendir(folder);
  unsigned n = 0;
  if (!d) return 0;
  for (struct dirent *entry; (entry = readdir(d)); ) {
    char inner[8192];
    snprintf(inner, sizeof inner, "%s/%s", folder, entry->d_name);
    if (entry->d_name[0] != '.' && entry->d_type == DT_DIR) n += each_model(inner, check);
    if (!ends_with(entry->d_name, ".svm")) continue;
    tear_down();
    set_up();
    check(folder, entry->d_name);
    n++;
  }
  closedir(d);
  return n;
}

static const char *below_tests(const char *folder) {
  static char path[8192];
  snprintf(path, sizeof path, "%s/%s", tests, folder);
  return path;
}

START_TEST(golden_models_print_as_expected) { ck_assert_uint_ge(each_model(below_tests("golden"), check_golden), 5); }
END_TEST
START_TEST(library_models_print_to_themselves) { ck_assert_uint_ge(each_model(below_tests("../stdlib"), check_golden), 1); }
END_TEST
START_TEST(example_models_print_to_themselves) { ck_assert_uint_ge(each_model(below_tests("../examples"), check_golden), 1); }
END_TEST
START_TEST(syntax_errors_are_answered_as_expected) { ck_assert_uint_ge(each_model(below_tests("errors/syntax"), check_errors), 20); }
END_TEST

static void find_tests(void) {
  const char *told = getenv("SVI_TESTS");
  snprintf(tests, sizeof tests, "%s", told ? told : __FILE__);
  if (told) return;
  for (int up = 0; up < 2; up++) {
    char *slash = strrchr(tests, '/');
    if (slash) *slash = 0;
  }
}

int main(void) {
  find_tests();
  Suite *s = suite_create("parse");
  TCase *t = tcase_create("parse");
  tcase_set_timeout(t, 120);
  tcase_add_checked_fixture(t, set_up, tear_down);
  tcase_add_loop_test(t, precedence, 0, (int)LEN(shape_rows));
  tcase_add_loop_test(t, printing_keeps_the_reading, 0, (int)LEN(shape_rows));
  tcase_add_loop_test(t, brackets_that_matter_survive, 0, (int)LEN(bracketed));
  tcase_add_test(t, numbers_print_as_they_read);
  tcase_add_loop_test(t, lines_end_where_statements_do, 0, (int)LEN(line_rows));
  tcase_add_test(t, spans_cover_the_construct);
  tcase_add_test(t, declarations_hold_their_parts);
  tcase_add_test(t, a_dist_holds_its_parts);
  tcase_add_test(t, what_can_be_read_is_kept);
  tcase_add_test(t, a_slip_still_gives_a_whole_tree);
  tcase_add_loop_test(t, hostile_nesting_is_answered, 0, (int)LEN(deep_rows));
  tcase_add_test(t, a_model_cut_anywhere_is_answered);
  tcase_add_test(t, a_model_without_one_letter_is_answered);
  tcase_add_test(t, a_stray_letter_anywhere_is_answered);
  tcase_add_test(t, golden_models_print_as_expected);
  tcase_add_test(t, library_models_print_to_themselves);
  tcase_add_test(t, example_models_print_to_themselves);
  tcase_add_test(t, syntax_errors_are_answered_as_expected);
  suite_add_tcase(s, t);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_NORMAL);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
