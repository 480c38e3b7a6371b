/* print: the tree as canonical source text, which parses back to an equal tree (--emit=ast).
 *
 * Each kind of expression has a level, that of its production in the grammar; an operand below the level its place
 * wants gets brackets.  Prefix forms that reach far (not, sum over a binder, if) have low levels, so as operands they
 * are always bracketed: `a + (not b)`, `2 * (sum(i in M) e)`. */
#include "build.h"
#include <math.h>
#include <stdlib.h>

typedef enum {
  LEVEL_BARS, LEVEL_PIPE, LEVEL_GREEDY, LEVEL_OR, LEVEL_AND, LEVEL_NOT, LEVEL_COMPARE, LEVEL_RANGE, LEVEL_DURATION, LEVEL_SUM, LEVEL_BODY,
  LEVEL_PRODUCT, LEVEL_NEGATION, LEVEL_POWER, LEVEL_PREFIX, LEVEL_POSTFIX
} Level;

static const struct { const char *text; Level level; } op_rows[] = {
  [OP_NEG]    = {"-",   LEVEL_NEGATION}, [OP_NOT] = {"not", LEVEL_NOT},
  [OP_ADD]    = {"+",   LEVEL_SUM},      [OP_SUB] = {"-",   LEVEL_SUM},
  [OP_MUL]    = {"*",   LEVEL_PRODUCT},  [OP_DIV] = {"/",   LEVEL_PRODUCT},
  [OP_MATMUL] = {"@",   LEVEL_PRODUCT},  [OP_POW] = {"^",   LEVEL_POWER},
  [OP_LT]     = {"<",   LEVEL_COMPARE},  [OP_LE]  = {"<=",  LEVEL_COMPARE},
  [OP_GT]     = {">",   LEVEL_COMPARE},  [OP_GE]  = {">=",  LEVEL_COMPARE},
  [OP_EQ]     = {"==",  LEVEL_COMPARE},  [OP_NE]  = {"!=",  LEVEL_COMPARE},
  [OP_AND]    = {"and", LEVEL_AND},      [OP_OR]  = {"or",  LEVEL_OR},
  [OP_PIPE]   = {"|>",  LEVEL_PIPE},     [OP_BARS] = {"||", LEVEL_BARS},
};

const char *ast_op_text(AstOp op) { return op_rows[op].text; }

static Level level_of(const Expr *e) {
  switch (e->kind) {
    case EX_NUMBER:        return e->as.number.value < 0 ? LEVEL_NEGATION : LEVEL_POSTFIX;
    case EX_STRING: case EX_NAME: case EX_FIELD: case EX_CALL: case EX_INDEX: case EX_LIST: case EX_INSTANCE: case EX_BAD:
      return LEVEL_POSTFIX;
    case EX_OP:            return op_rows[e->as.op.op].level;
    case EX_RANGE:         return LEVEL_RANGE;
    case EX_DURATION:      return LEVEL_DURATION;
    case EX_COMPREHENSION: return LEVEL_GREEDY;
    case EX_REDUCE:        return e->as.reduce.binders.n ? LEVEL_BODY : LEVEL_POSTFIX;
    case EX_LOG_DENSITY:   return LEVEL_PREFIX;
    case EX_DRAW:          return LEVEL_PREFIX;
    case EX_CHOICE:        return LEVEL_GREEDY;
  }
  BUG("expression of kind %d", (int)e->kind);
}

static void print_at(const Expr *e, Level least, FILE *out);

/* The shortest digits that read back as the same number. */
static void print_number(const Expr *e, FILE *out) {
  double value = e->as.number.value;
  char text[40];
  if (e->as.number.whole && fabs(value) <= 9007199254740992.0) snprintf(text, sizeof text, "%.0f", value);
  else {
    for (int digits = 1; digits <= 17; digits++) {
      snprintf(text, sizeof text, "%.*g", digits, value);
      if (strtod(text, NULL) == value) break;
    }
    if (!strpbrk(text, ".en")) strcat(text, ".0");
  }
  fputs(text, out);
}

static void print_exprs(Exprs list, FILE *out) {
  for (uint32_t i = 0; i < list.n; i++) {
    if (i) fputs(", ", out);
    print_at(list.at[i], LEVEL_PIPE, out);
  }
}

static void print_args(Args args, FILE *out) {
  for (uint32_t i = 0; i < args.n; i++) {
    if (i) fputs(", ", out);
    if (args.at[i].name) fprintf(out, "%s: ", args.at[i].name);
    print_at(args.at[i].value, args.at[i].name ? LEVEL_PIPE : LEVEL_BARS, out);
  }
}

static void print_binders(Binders binders, FILE *out) {
  for (uint32_t i = 0; i < binders.n; i++) {
    const Binder *b = &binders.at[i];
    if (i) fputs(", ", out);
    fprintf(out, b->each ? "each %s" : "%s in ", b->name);
    if (!b->each) print_at(b->range, LEVEL_PIPE, out);
  }
}

static void print_op(const Expr *e, FILE *out) {
  AstOp op = e->as.op.op;
  Level level = op_rows[op].level;
  if (!e->as.op.b) {
    fputs(op == OP_NEG ? "-" : "not ", out);
    print_at(e->as.op.a, level, out);
    return;
  }
  bool chains = level != LEVEL_COMPARE && level != LEVEL_BARS, rightward = op == OP_POW;
  print_at(e->as.op.a, chains && !rightward ? level : level + 1, out);
  fprintf(out, rightward ? "%s" : " %s ", op_rows[op].text);
  print_at(e->as.op.b, rightward ? level : level + 1, out);
}

static void print_bare(const Expr *e, FILE *out) {
  switch (e->kind) {
    case EX_NUMBER:
      print_number(e, out);
      return;
    case EX_DURATION:
      print_at(e->as.duration.amount, LEVEL_SUM, out);
      fprintf(out, " %s", e->as.duration.unit);
      return;
    case EX_STRING:
      fprintf(out, "\"%s\"", e->as.string.text);
      return;
    case EX_NAME:
      fputs(e->as.name, out);
      return;
    case EX_FIELD:
      print_at(e->as.field.base, LEVEL_POSTFIX, out);
      /* a number swallows the point */
      fprintf(out, e->as.field.base->kind == EX_NUMBER ? " .%s" : ".%s", e->as.field.member);
      return;
    case EX_CALL:
      print_at(e->as.call.callee, LEVEL_POSTFIX, out);
      fputc('(', out);
      print_args(e->as.call.args, out);
      fputc(')', out);
      return;
    case EX_INDEX:
      print_at(e->as.index.base, LEVEL_POSTFIX, out);
      fputc('[', out);
      print_args(e->as.index.args, out);
      fputc(']', out);
      return;
    case EX_LIST:
      fputc('[', out);
      print_exprs(e->as.list, out);
      fputc(']', out);
      return;
    case EX_OP:
      print_op(e, out);
      return;
    case EX_RANGE:
      print_at(e->as.range.first, LEVEL_SUM, out);
      fputs("..", out);
      print_at(e->as.range.last, LEVEL_SUM, out);
      if (!e->as.range.by) return;
      fputs(" by ", out);
      print_at(e->as.range.by, LEVEL_SUM, out);
      return;
    case EX_COMPREHENSION:
      fputc('[', out);
      print_binders(e->as.comprehension.binders, out);
      fputs("] ", out);
      print_at(e->as.comprehension.body, LEVEL_GREEDY, out);
      return;
    case EX_REDUCE:
      fprintf(out, "%s(", e->as.reduce.reducer);
      if (e->as.reduce.binders.n) {
        print_binders(e->as.reduce.binders, out);
        fputs(") ", out);
        print_at(e->as.reduce.body, LEVEL_BODY, out);
      } else {
        print_at(e->as.reduce.body, LEVEL_BARS, out);
        fputc(')', out);
      }
      return;
    case EX_LOG_DENSITY:
      fputs("log ", out);
      print_at(e->as.log_density.target, LEVEL_POSTFIX, out);
      return;
    case EX_DRAW:
      fputs(e->as.draw.once ? "draw once " : "draw ", out);
      print_at(e->as.draw.dist, LEVEL_POSTFIX, out);
      return;
    case EX_INSTANCE:
      fputs("net ", out);
      print_at(e->as.instance.callee, LEVEL_POSTFIX, out);
      fputc('(', out);
      print_args(e->as.instance.args, out);
      fputc(')', out);
      return;
    case EX_CHOICE:
      fputs("if ", out);
      print_at(e->as.choice.condition, LEVEL_PIPE, out);
      fputs(" then ", out);
      print_at(e->as.choice.yes, LEVEL_PIPE, out);
      fputs(" else ", out);
      print_at(e->as.choice.no, LEVEL_GREEDY, out);
      return;
    case EX_BAD:
      fputs("<unreadable>", out);
      return;
  }
}

static void print_at(const Expr *e, Level least, FILE *out) {
  bool brackets = level_of(e) < least;
  if (brackets) fputc('(', out);
  print_bare(e, out);
  if (brackets) fputc(')', out);
}

void ast_print_expr(const Expr *e, FILE *out) { print_at(e, LEVEL_BARS, out); }

/* ---- types and lists of parameters */

static void print_type(const Type *t, FILE *out) {
  fputs(t->element, out);
  if (t->params.n) {
    fputc('(', out);
    print_exprs(t->params, out);
    fputc(')', out);
  }
  for (uint32_t i = 0; i < t->sizes.n; i++) {
    fputc('[', out);
    print_exprs(t->sizes.at[i], out);
    fputc(']', out);
  }
}

static void print_params(Params params, FILE *out) {
  fputc('(', out);
  for (uint32_t i = 0; i < params.n; i++) {
    const Param *p = &params.at[i];
    if (i) fputs(", ", out);
    fputs(p->name, out);
    if (p->type) {
      fputs(": ", out);
      print_type(p->type, out);
    }
    if (p->fallback) {
      fputs(" = ", out);
      print_at(p->fallback, LEVEL_PIPE, out);
    }
  }
  fputc(')', out);
}

/* ` = e`, or nothing. */
static void print_optional(const char *before, const Expr *e, FILE *out) {
  if (!e) return;
  fputs(before, out);
  print_at(e, LEVEL_PIPE, out);
}

/* ---- statements */

static void print_stmts(Stmts body, int indent, FILE *out);

static void print_block(Stmts body, int indent, FILE *out) {
  fputs(" {\n", out);
  print_stmts(body, indent + 2, out);
  fprintf(out, "%*s}", indent, "");
}

static void print_target(Target t, FILE *out) {
  fputs(t.name, out);
  if (t.index.n == 0) return;
  fputc('[', out);
  print_exprs(t.index, out);
  fputc(']', out);
}

static void print_stmt(const Stmt *s, int indent, FILE *out) {
  switch (s->kind) {
    case ST_LET:
      print_target(s->as.let.target, out);
      print_optional(" = ", s->as.let.value, out);
      return;
    case ST_SITE:
      print_target(s->as.site.target, out);
      fputs(s->as.site.autoregressive ? " ~ autoregressive " : " ~ ", out);
      print_at(s->as.site.dist, LEVEL_PIPE, out);
      print_optional(" via ", s->as.site.via, out);
      return;
    case ST_FOR:
      fprintf(out, "for %s in ", s->as.loop.name);
      print_at(s->as.loop.range, LEVEL_PIPE, out);
      print_block(s->as.loop.body, indent, out);
      return;
    case ST_EACH:
      fprintf(out, "for each %s", s->as.each.plate);
      print_block(s->as.each.body, indent, out);
      return;
    case ST_IF:
      fputs("if ", out);
      print_at(s->as.branch.condition, LEVEL_PIPE, out);
      print_block(s->as.branch.yes, indent, out);
      if (s->as.branch.no.n == 0) return;
      fputs(" else", out);
      if (s->as.branch.no.n == 1 && s->as.branch.no.at[0]->kind == ST_IF) {
        fputc(' ', out);
        print_stmt(s->as.branch.no.at[0], indent, out);
        return;
      }
      print_block(s->as.branch.no, indent, out);
      return;
    case ST_PARAM:
    case ST_STATE:
      fprintf(out, "%s %s: ", s->kind == ST_PARAM ? "param" : "state", s->as.param.name);
      print_type(s->as.param.type, out);
      if (s->as.param.plate) fprintf(out, " for each %s", s->as.param.plate);
      print_optional(" = ", s->as.param.init, out);
      print_optional(" ~ ", s->as.param.prior, out);
      return;
    case ST_PRIOR:
      print_optional("param ~ ", s->as.ret.value, out);
      return;
    case ST_UPDATE:
      fprintf(out, "update %s", s->as.update.name);
      print_optional(" = ", s->as.update.value, out);
      return;
    case ST_RETURN:
      print_optional("return ", s->as.ret.value, out);
      return;
  }
}

static void print_stmts(Stmts body, int indent, FILE *out) {
  for (uint32_t i = 0; i < body.n; i++) {
    fprintf(out, "%*s", indent, "");
    print_stmt(body.at[i], indent, out);
    fputc('\n', out);
  }
}

/* ---- declarations */

static void print_members(Members members, int indent, FILE *out) {
  for (uint32_t i = 0; i < members.n; i++) {
    const Member *m = &members.at[i];
    fprintf(out, "%*s%s", indent, "", m->name);
    if (m->params.n) {
      fputc('(', out);
      print_exprs(m->params, out);
      fputc(')', out);
    }
    print_optional(" = ", m->body, out);
    fputc('\n', out);
  }
}

static void print_dist(const Decl *d, FILE *out) {
  fprintf(out, "dist %s", d->name);
  print_params(d->as.dist.params, out);
  fputs(" on ", out);
  print_type(d->as.dist.support, out);
  fputs(" {\n", out);
  for (uint32_t i = 0; i < d->as.dist.forms.n; i++) {
    const Form *f = &d->as.dist.forms.at[i];
    fprintf(out, "  also %s", f->name);
    print_params(f->params, out);
    print_optional(" = ", f->canonical, out);
    if (f->members.n) {
      fputs(" {\n", out);
      print_members(f->members, 4, out);
      fputs("  }", out);
    }
    fputc('\n', out);
  }
  print_members(d->as.dist.members, 2, out);
  for (uint32_t i = 0; i < d->as.dist.checks.n; i++) {
    const Check *c = &d->as.dist.checks.at[i];
    fprintf(out, "  check %s(", c->member);
    print_args(c->at, out);
    if (c->at.n) fputs("; ", out);
    print_args(c->args, out);
    fputc(')', out);
    print_optional(" = ", c->value, out);
    fputc('\n', out);
  }
  fputc('}', out);
}

static void print_goal(const StepDecl *s, FILE *out) {
  print_optional(s->maximize ? "maximize " : "minimize ", s->objective, out);
  if (s->over.n == 0) return;
  fputs(" over ", out);
  print_exprs(s->over, out);
}

static void print_train(const Decl *d, FILE *out) {
  fputs("train {\n", out);
  for (uint32_t i = 0; i < d->as.train.settings.n; i++) {
    fprintf(out, "  %s: ", d->as.train.settings.at[i].name);
    print_at(d->as.train.settings.at[i].value, LEVEL_PIPE, out);
    fputc('\n', out);
  }
  for (uint32_t i = 0; i < d->as.train.steps.n; i++) {
    fprintf(out, "  step %s: ", d->as.train.steps.at[i].name);
    print_goal(&d->as.train.steps.at[i], out);
    fputc('\n', out);
  }
  fputc('}', out);
}

static void print_named_value(const char *word, const Decl *d, FILE *out) {
  fprintf(out, "%s %s", word, d->name);
  print_optional(" = ", d->as.value.value, out);
}

static void print_plate(const Decl *d, FILE *out) {
  fprintf(out, "plate %s", d->name);
  uint32_t n = d->as.plate.of.n;
  for (uint32_t i = 0; i < n; i++)
    fprintf(out, "%s%s%s", i ? ", " : n > 1 ? " of (" : " of ", d->as.plate.of.at[i], n > 1 && i + 1 == n ? ")" : "");
  if (d->as.plate.ordered) fputs(", ordered", out);
}

static void print_decl(const Decl *d, FILE *out) {
  switch (d->kind) {
    case DE_IMPORT:
      fprintf(out, d->as.import.quoted ? "import \"%s\"" : "import %s", d->as.import.path);
      if (d->as.import.quoted || d->as.import.alias != d->as.import.path) fprintf(out, " as %s", d->as.import.alias);
      return;
    case DE_CONST:     print_named_value("const", d, out); return;
    case DE_OPTION:    print_named_value("option", d, out); return;
    case DE_INSTANCE:  print_named_value("net", d, out); return;
    case DE_REPORT:    print_named_value("report", d, out); return;
    case DE_AUTOGUIDE: print_named_value("guide", d, out); return;
    case DE_PLATE:     print_plate(d, out); return;
    case DE_DATA:
      fprintf(out, "data %s: ", d->name);
      print_type(d->as.data.type, out);
      if (d->as.data.plate) fprintf(out, " for each %s", d->as.data.plate);
      print_optional(" = ", d->as.data.prepare, out);
      return;
    case DE_NET:
      fprintf(out, "net %s", d->name);
      print_params(d->as.net.params, out);
      if (d->as.net.result) {
        fputs(" -> ", out);
        print_type(d->as.net.result, out);
      }
      print_block(d->as.net.body, 0, out);
      return;
    case DE_FUN:
    case DE_OBJECTIVE:
      fprintf(out, "%s %s", d->kind == DE_FUN ? "fun" : "objective", d->name);
      print_params(d->as.fun.params, out);
      print_optional(" = ", d->as.fun.body, out);
      return;
    case DE_PROGRAM:
      fprintf(out, "%s %s", d->as.program.guide ? "guide" : "model", d->name);
      if (d->as.program.plate) fprintf(out, " for each %s", d->as.program.plate);
      print_block(d->as.program.body, 0, out);
      return;
    case DE_DIST:  print_dist(d, out); return;
    case DE_GOAL:  print_goal(&d->as.goal, out); return;
    case DE_TRAIN: print_train(d, out); return;
  }
}

void ast_print(const Ast *ast, FILE *out) {
  for (uint32_t i = 0; i < ast->decls.n; i++) {
    print_decl(ast->decls.at[i], out);
    fputc('\n', out);
  }
}
