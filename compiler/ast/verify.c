/* verify: what the grammar must leave behind.
 *
 * In:  a tree.    Out: true, or a line that says which node lacks what.
 *
 * Every pointer the header does not call optional is set; every name that must be there is; every span lies in the
 * source and, where a node stands below another, within that one's span. */
#include "build.h"

typedef struct { const Source *source; FILE *why; bool fine; } Verify;

static void fault(Verify *c, Span at, const char *node, const char *what) {
  if (c->fine && c->why) fprintf(c->why, "%s:+%u: %s: %s\n", c->source->path, at.at - c->source->base, node, what);
  c->fine = false;
}

static void want(Verify *c, const void *p, Span at, const char *node, const char *what) {
  if (!p) fault(c, at, node, what);
}

static void within(Verify *c, Span at, Span whole, const char *node) {
  if (at.at > at.end) fault(c, at, node, "its span ends before it starts");
  else if (at.at < whole.at || at.end > whole.end) fault(c, at, node, "its span reaches out of what holds it");
}

static void verify_expr(Verify *c, const Expr *e, Span whole, const char *holder);

static void verify_exprs(Verify *c, Exprs list, Span whole, const char *holder) {
  for (uint32_t i = 0; i < list.n; i++) verify_expr(c, list.at[i], whole, holder);
}

static void verify_args(Verify *c, Args args, Span whole, const char *holder) {
  for (uint32_t i = 0; i < args.n; i++) {
    within(c, args.at[i].span, whole, "argument");
    verify_expr(c, args.at[i].value, args.at[i].span, holder);
  }
}

static void verify_binders(Verify *c, Binders binders, Span whole) {
  for (uint32_t i = 0; i < binders.n; i++) {
    const Binder *b = &binders.at[i];
    within(c, b->span, whole, "binder");
    want(c, b->name, b->span, "binder", "no name");
    if (b->each && b->range) fault(c, b->span, "binder", "`each` with a range");
    if (!b->each) verify_expr(c, b->range, b->span, "binder");
  }
}

static void verify_expr(Verify *c, const Expr *e, Span whole, const char *holder) {
  static const char *const names[] = {
#define EXPR(kind, name) name,
#include "ast.def"
#undef EXPR
  };
  if (!e) {
    fault(c, whole, holder, "an expression is missing");
    return;
  }
  if ((unsigned)e->kind >= LEN(names)) {
    fault(c, e->span, holder, "no such kind of expression");
    return;
  }
  const char *name = names[e->kind];
  within(c, e->span, whole, name);
  switch (e->kind) {
    case EX_NUMBER:
      if (!(e->as.number.value >= 0)) fault(c, e->span, name, "negative or no number");
      return;
    case EX_DURATION:
      want(c, e->as.duration.unit, e->span, name, "no unit");
      verify_expr(c, e->as.duration.amount, e->span, name);
      return;
    case EX_STRING:
      want(c, e->as.string.text, e->span, name, "no text");
      return;
    case EX_NAME:
      want(c, e->as.name, e->span, name, "no name");
      return;
    case EX_FIELD:
      want(c, e->as.field.member, e->span, name, "no member");
      verify_expr(c, e->as.field.base, e->span, name);
      return;
    case EX_CALL:
      verify_expr(c, e->as.call.callee, e->span, name);
      verify_args(c, e->as.call.args, e->span, name);
      return;
    case EX_INDEX:
      verify_expr(c, e->as.index.base, e->span, name);
      verify_args(c, e->as.index.args, e->span, name);
      if (e->as.index.args.n == 0) fault(c, e->span, name, "no index");
      return;
    case EX_LIST:
      verify_exprs(c, e->as.list, e->span, name);
      return;
    case EX_OP:
      verify_expr(c, e->as.op.a, e->span, name);
      if ((e->as.op.op == OP_NEG || e->as.op.op == OP_NOT) != (e->as.op.b == NULL)) fault(c, e->span, name, "wrong number of operands");
      if (e->as.op.b) verify_expr(c, e->as.op.b, e->span, name);
      within(c, e->as.op.op_span, e->span, name);
      return;
    case EX_RANGE:
      verify_expr(c, e->as.range.first, e->span, name);
      verify_expr(c, e->as.range.last, e->span, name);
      if (e->as.range.by) verify_expr(c, e->as.range.by, e->span, name);
      return;
    case EX_COMPREHENSION:
      verify_binders(c, e->as.comprehension.binders, e->span);
      if (e->as.comprehension.binders.n == 0) fault(c, e->span, name, "no binder");
      verify_expr(c, e->as.comprehension.body, e->span, name);
      return;
    case EX_REDUCE:
      want(c, e->as.reduce.reducer, e->span, name, "no reducer");
      verify_binders(c, e->as.reduce.binders, e->span);
      verify_expr(c, e->as.reduce.body, e->span, name);
      return;
    case EX_LOG_DENSITY:
      verify_expr(c, e->as.log_density.target, e->span, name);
      return;
    case EX_DRAW:
      verify_expr(c, e->as.draw.dist, e->span, name);
      return;
    case EX_INSTANCE:
      verify_expr(c, e->as.instance.callee, e->span, name);
      verify_args(c, e->as.instance.args, e->span, name);
      return;
    case EX_CHOICE:
      verify_expr(c, e->as.choice.condition, e->span, name);
      verify_expr(c, e->as.choice.yes, e->span, name);
      verify_expr(c, e->as.choice.no, e->span, name);
      return;
    case EX_BAD:
      return;
  }
}

static void verify_type(Verify *c, const Type *t, Span whole) {
  if (!t) {
    fault(c, whole, "type", "missing");
    return;
  }
  within(c, t->span, whole, "type");
  want(c, t->element, t->span, "type", "no element");
  verify_exprs(c, t->params, t->span, "type");
  for (uint32_t i = 0; i < t->sizes.n; i++) {
    verify_exprs(c, t->sizes.at[i], t->span, "type");
    if (t->sizes.at[i].n == 0) fault(c, t->span, "type", "empty sizes");
  }
}

static void verify_params(Verify *c, Params params, Span whole) {
  for (uint32_t i = 0; i < params.n; i++) {
    const Param *p = &params.at[i];
    within(c, p->span, whole, "parameter");
    want(c, p->name, p->span, "parameter", "no name");
    if (p->type) verify_type(c, p->type, p->span);
    if (p->fallback) verify_expr(c, p->fallback, p->span, "parameter");
  }
}

static void verify_stmts(Verify *c, Stmts body, Span whole);

static void verify_target(Verify *c, Target t, Span whole, const char *name) {
  within(c, t.span, whole, name);
  want(c, t.name, t.span, name, "no target");
  verify_exprs(c, t.index, t.span, name);
}

static void verify_stmt(Verify *c, const Stmt *s, Span whole) {
  static const char *const names[] = {
#define STMT(kind, name) name,
#include "ast.def"
#undef STMT
  };
  if (!s || (unsigned)s->kind >= LEN(names)) {
    fault(c, whole, "statement", "missing or of no known kind");
    return;
  }
  const char *name = names[s->kind];
  within(c, s->span, whole, name);
  switch (s->kind) {
    case ST_LET:
      verify_target(c, s->as.let.target, s->span, name);
      verify_expr(c, s->as.let.value, s->span, name);
      return;
    case ST_SITE:
      verify_target(c, s->as.site.target, s->span, name);
      within(c, s->as.site.tilde, s->span, name);
      verify_expr(c, s->as.site.dist, s->span, name);
      if (s->as.site.via) verify_expr(c, s->as.site.via, s->span, name);
      return;
    case ST_FOR:
      want(c, s->as.loop.name, s->span, name, "no name");
      verify_expr(c, s->as.loop.range, s->span, name);
      verify_stmts(c, s->as.loop.body, s->span);
      return;
    case ST_EACH:
      want(c, s->as.each.plate, s->span, name, "no plate");
      verify_stmts(c, s->as.each.body, s->span);
      return;
    case ST_IF:
      verify_expr(c, s->as.branch.condition, s->span, name);
      verify_stmts(c, s->as.branch.yes, s->span);
      verify_stmts(c, s->as.branch.no, s->span);
      return;
    case ST_PARAM:
    case ST_STATE:
      want(c, s->as.param.name, s->span, name, "no name");
      within(c, s->as.param.name_span, s->span, name);
      verify_type(c, s->as.param.type, s->span);
      if (s->as.param.init) verify_expr(c, s->as.param.init, s->span, name);
      if (s->as.param.prior) verify_expr(c, s->as.param.prior, s->span, name);
      if (s->as.param.init && s->as.param.prior) fault(c, s->span, name, "both an initial value and a prior");
      return;
    case ST_UPDATE:
      want(c, s->as.update.name, s->span, name, "no name");
      verify_expr(c, s->as.update.value, s->span, name);
      return;
    case ST_PRIOR:
    case ST_RETURN:
      verify_expr(c, s->as.ret.value, s->span, name);
      return;
  }
}

static void verify_stmts(Verify *c, Stmts body, Span whole) {
  for (uint32_t i = 0; i < body.n; i++) verify_stmt(c, body.at[i], whole);
}

static void verify_members(Verify *c, Members members, Span whole) {
  for (uint32_t i = 0; i < members.n; i++) {
    const Member *m = &members.at[i];
    within(c, m->span, whole, "member");
    want(c, m->name, m->span, "member", "no name");
    verify_exprs(c, m->params, m->span, "member");
    verify_expr(c, m->body, m->span, "member");
  }
}

static void verify_dist(Verify *c, const Decl *d) {
  verify_params(c, d->as.dist.params, d->span);
  verify_type(c, d->as.dist.support, d->span);
  for (uint32_t i = 0; i < d->as.dist.forms.n; i++) {
    const Form *f = &d->as.dist.forms.at[i];
    within(c, f->span, d->span, "form");
    want(c, f->name, f->span, "form", "no name");
    verify_params(c, f->params, f->span);
    verify_expr(c, f->canonical, f->span, "form");
    verify_members(c, f->members, f->span);
  }
  verify_members(c, d->as.dist.members, d->span);
  for (uint32_t i = 0; i < d->as.dist.checks.n; i++) {
    const Check *k = &d->as.dist.checks.at[i];
    within(c, k->span, d->span, "check");
    want(c, k->member, k->span, "check", "no member");
    verify_args(c, k->at, k->span, "check");
    verify_args(c, k->args, k->span, "check");
    verify_expr(c, k->value, k->span, "check");
  }
}

static void verify_step(Verify *c, const StepDecl *s, Span whole) {
  within(c, s->span, whole, "step");
  verify_expr(c, s->objective, s->span, "step");
  verify_exprs(c, s->over, s->span, "step");
}

static void verify_decl(Verify *c, const Decl *d) {
  static const char *const names[] = {
#define DECL(kind, name) name,
#include "ast.def"
#undef DECL
  };
  Span file = {c->source->base, c->source->base + c->source->size};
  if (!d || (unsigned)d->kind >= LEN(names)) {
    fault(c, file, "declaration", "missing or of no known kind");
    return;
  }
  const char *name = names[d->kind];
  within(c, d->span, file, name);
  bool nameless = d->kind == DE_GOAL || d->kind == DE_TRAIN;
  if (nameless != (d->name == NULL)) fault(c, d->span, name, "a name too few or too many");
  if (d->name) within(c, d->name_span, d->span, name);
  switch (d->kind) {
    case DE_IMPORT:
      want(c, d->as.import.path, d->span, name, "no path");
      if (d->as.import.alias != d->name) fault(c, d->span, name, "two names");
      return;
    case DE_CONST: case DE_OPTION: case DE_INSTANCE: case DE_REPORT: case DE_AUTOGUIDE:
      verify_expr(c, d->as.value.value, d->span, name);
      return;
    case DE_PLATE:
      if (d->as.plate.of.n != d->as.plate.of_span.n) fault(c, d->span, name, "names and spans differ in number");
      return;
    case DE_DATA:
      verify_type(c, d->as.data.type, d->span);
      if (d->as.data.prepare) verify_expr(c, d->as.data.prepare, d->span, name);
      return;
    case DE_NET:
      verify_params(c, d->as.net.params, d->span);
      if (d->as.net.result) verify_type(c, d->as.net.result, d->span);
      verify_stmts(c, d->as.net.body, d->span);
      return;
    case DE_FUN: case DE_OBJECTIVE:
      verify_params(c, d->as.fun.params, d->span);
      verify_expr(c, d->as.fun.body, d->span, name);
      return;
    case DE_PROGRAM:
      verify_stmts(c, d->as.program.body, d->span);
      return;
    case DE_DIST:
      verify_dist(c, d);
      return;
    case DE_GOAL:
      verify_step(c, &d->as.goal, d->span);
      return;
    case DE_TRAIN:
      verify_args(c, d->as.train.settings, d->span, name);
      for (uint32_t i = 0; i < d->as.train.steps.n; i++) {
        want(c, d->as.train.steps.at[i].name, d->span, name, "a step without a name");
        verify_step(c, &d->as.train.steps.at[i], d->span);
      }
      return;
  }
}

bool ast_verify(const Ast *ast, FILE *why) {
  Verify c = {ast->source, why, true};
  if (!ast->source) return false;
  for (uint32_t i = 0; i < ast->decls.n; i++) verify_decl(&c, ast->decls.at[i]);
  return c.fine;
}
