/* build: what the grammar's actions call.
 *
 * In:  parts already built, and their spans.    Out: a node in the compilation's arena.
 *
 * Constructors check nothing that needs names or types.  What they do watch: depth (note [depth]), and the slips the
 * grammar reads on purpose to answer them well (`=` for `:`, `for image` for `for each image`). */
#include "build.h"

/* note [depth]  Later passes walk expressions by recursion.  A chain a + a + a + ... is flat for the parser but deep as
 * a tree, so each expression carries its height, in front of what the header shows. */
typedef struct { uint32_t height; Expr expr; } Counted;

static Counted *counted(Expr *e) { return (Counted *)(void *)((char *)e - offsetof(Counted, expr)); }

static Expr *expr_new(Build *b, ExprKind kind, Span at) {
  Counted *c = NEW(b->arena, Counted);
  c->height = 1;
  c->expr.kind = kind;
  c->expr.span = at;
  return &c->expr;
}

/* Tells that `child` stands below `e`; gives e, or what replaces it when that would be too deep. */
static Expr *grown(Build *b, Expr *e, const Expr *child) {
  if (!child || e->kind == EX_BAD) return e;
  uint32_t height = counted((Expr *)(uintptr_t)child)->height + 1;
  if (height <= counted(e)->height) return e;
  counted(e)->height = height;
  if (height <= DEEPEST_EXPR) return e;
  DiagItem *i = diag_at(b->diag, E0105, (Span){e->span.at, e->span.at}, "this expression has more than %d levels", DEEPEST_EXPR);
  diag_help(i, "name an inner part of it and use the name");
  return build_bad(b, e->span);
}

static Expr *grown_args(Build *b, Expr *e, Args args) {
  for (uint32_t i = 0; i < args.n; i++) e = grown(b, e, args.at[i].value);
  return e;
}

static Expr *grown_binders(Build *b, Expr *e, Binders binders) {
  for (uint32_t i = 0; i < binders.n; i++) e = grown(b, e, binders.at[i].range);
  return e;
}

/* ---- lists */

Exprs   exprs_add  (Build *b, Exprs list, Expr *e)          { vec_push(b->arena, &list, e); return list; }
Args    args_add   (Build *b, Args list, Arg arg)           { vec_push(b->arena, &list, arg); return list; }
Params  params_add (Build *b, Params list, Param param)     { vec_push(b->arena, &list, param); return list; }
Binders binders_add(Build *b, Binders list, Binder binder)  { vec_push(b->arena, &list, binder); return list; }
Members members_add(Build *b, Members list, Member m)       { vec_push(b->arena, &list, m); return list; }

Stmts stmts_add(Build *b, Stmts list, Stmt *s) {
  if (s) vec_push(b->arena, &list, s);
  return list;
}

Words words_add(Build *b, Words list, Name name, Span at) {
  Word w = {name, at};
  vec_push(b->arena, &list, w);
  return list;
}

void decls_add(Build *b, Decl *d) {
  if (d) vec_push(b->arena, &b->ast->decls, d);
}

/* ---- parts */

Arg build_arg(Name name, Expr *value, Span at) { return (Arg){name, value, at}; }

Arg build_arg_slip(Build *b, Name name, Expr *value, Span at, Span equals) {
  DiagItem *i = diag_at(b->diag, E0101, equals, "a named argument is written with `:`");
  diag_mark(i, "`=` defines a name, as a statement of its own");
  diag_fix(i, (Span){at.at, value->span.at}, arena_printf(b->arena, "%s: ", name), "write `%s: ...`", name);
  return (Arg){name, value, at};
}

Arg build_arg_bars(Build *b, Expr *x, Expr *y, Span at, Span bars) {
  return (Arg){NULL, build_op(b, OP_BARS, x, y, at, bars), at};
}

Param  build_param (Name name, Type *type, Expr *fallback, Span at)           { return (Param){name, type, fallback, at}; }
Binder build_binder(Name name, Span name_span, Expr *range, Span at)          { return (Binder){name, name_span, range, false, at}; }
Binder build_binder_each(Name plate, Span plate_span, Span at)                { return (Binder){plate, plate_span, NULL, true, at}; }
Target build_target(Name name, Exprs index, Span at)                          { return (Target){name, index, at}; }

/* ---- expressions */

bool ast_is_reducer(Name name) {
  static const char *const reducers[] = {"sum", "mean", "prod", "max", "min", "log_sum_exp", "log_mean_exp"};
  for (size_t i = 0; i < LEN(reducers); i++)
    if (strcmp(name, reducers[i]) == 0) return true;
  return false;
}

Expr *build_bad(Build *b, Span at) { return expr_new(b, EX_BAD, at); }

Expr *build_number(Build *b, Number n, Span at) {
  Expr *e = expr_new(b, EX_NUMBER, at);
  e->as.number.value = n.value;
  e->as.number.whole = n.whole;
  return e;
}

Expr *build_duration(Build *b, Expr *amount, Name unit, Span at) {
  Expr *e = expr_new(b, EX_DURATION, at);
  e->as.duration.amount = amount;
  e->as.duration.unit = unit;
  return grown(b, e, amount);
}

Expr *build_string(Build *b, Name text, Span at) {
  Expr *e = expr_new(b, EX_STRING, at);
  e->as.string.text = text;
  return e;
}

Expr *build_name(Build *b, Name name, Span at) {
  Expr *e = expr_new(b, EX_NAME, at);
  e->as.name = name;
  return e;
}

Expr *build_field(Build *b, Expr *base, Name member, Span member_span, Span at) {
  Expr *e = expr_new(b, EX_FIELD, at);
  e->as.field.base = base;
  e->as.field.member = member;
  e->as.field.member_span = member_span;
  return grown(b, e, base);
}

Expr *build_call(Build *b, Expr *callee, Args args, Span at) {
  if (callee->kind == EX_NAME && ast_is_reducer(callee->as.name) && args.n == 1 && !args.at[0].name)
    return build_reduce(b, callee->as.name, (Binders){0}, args.at[0].value, at);
  Expr *e = expr_new(b, EX_CALL, at);
  e->as.call.callee = callee;
  e->as.call.args = args;
  return grown_args(b, grown(b, e, callee), args);
}

Expr *build_call_named(Build *b, Name name, Span name_span, Args args, Span at) {
  return build_call(b, build_name(b, name, name_span), args, at);
}

Expr *build_index(Build *b, Expr *base, Args args, Span at) {
  Expr *e = expr_new(b, EX_INDEX, at);
  e->as.index.base = base;
  e->as.index.args = args;
  return grown_args(b, grown(b, e, base), args);
}

Expr *build_list(Build *b, Exprs list, Span at) {
  Expr *e = expr_new(b, EX_LIST, at);
  e->as.list = list;
  for (uint32_t i = 0; i < list.n; i++) e = grown(b, e, list.at[i]);
  return e;
}

Expr *build_op(Build *b, AstOp op, Expr *x, Expr *y, Span at, Span op_span) {
  Expr *e = expr_new(b, EX_OP, at);
  e->as.op.op = op;
  e->as.op.a = x;
  e->as.op.b = y;
  e->as.op.op_span = op_span;
  return grown(b, grown(b, e, x), y);
}

Expr *build_unary(Build *b, AstOp op, Expr *x, Span at, Span op_span) { return build_op(b, op, x, NULL, at, op_span); }

Expr *build_range(Build *b, Expr *first, Expr *last, Expr *by, Span at) {
  Expr *e = expr_new(b, EX_RANGE, at);
  e->as.range.first = first;
  e->as.range.last = last;
  e->as.range.by = by;
  return grown(b, grown(b, grown(b, e, first), last), by);
}

Expr *build_comprehension(Build *b, Binders binders, Expr *body, Span at) {
  Expr *e = expr_new(b, EX_COMPREHENSION, at);
  e->as.comprehension.binders = binders;
  e->as.comprehension.body = body;
  return grown_binders(b, grown(b, e, body), binders);
}

Expr *build_reduce(Build *b, Name reducer, Binders binders, Expr *body, Span at) {
  Expr *e = expr_new(b, EX_REDUCE, at);
  e->as.reduce.reducer = reducer;
  e->as.reduce.binders = binders;
  e->as.reduce.body = body;
  return grown_binders(b, grown(b, e, body), binders);
}

Expr *build_log_density(Build *b, Expr *target, Span at) {
  Expr *e = expr_new(b, EX_LOG_DENSITY, at);
  e->as.log_density.target = target;
  return grown(b, e, target);
}

Expr *build_draw(Build *b, bool once, Expr *dist, Span at) {
  Expr *e = expr_new(b, EX_DRAW, at);
  e->as.draw.dist = dist;
  e->as.draw.once = once;
  return grown(b, e, dist);
}

Expr *build_instance(Build *b, Expr *callee, Args args, Span at) {
  Expr *e = expr_new(b, EX_INSTANCE, at);
  e->as.instance.callee = callee;
  e->as.instance.args = args;
  return grown_args(b, grown(b, e, callee), args);
}

Expr *build_choice(Build *b, Expr *condition, Expr *yes, Expr *no, Span at) {
  Expr *e = expr_new(b, EX_CHOICE, at);
  e->as.choice.condition = condition;
  e->as.choice.yes = yes;
  e->as.choice.no = no;
  return grown(b, grown(b, grown(b, e, condition), yes), no);
}

Expr *build_group(Expr *inner, Span at) {
  inner->span = at;
  return inner;
}

/* ---- types */

Type *build_type(Build *b, Name element, Span element_span, Exprs params, Span at) {
  Type *t = NEW(b->arena, Type);
  t->element = element;
  t->element_span = element_span;
  t->params = params;
  t->span = at;
  return t;
}

Type *build_type_sized(Build *b, Type *type, Exprs sizes, Span at) {
  vec_push(b->arena, &type->sizes, sizes);
  type->span = at;
  return type;
}

/* ---- statements */

static Stmt *stmt_new(Build *b, StmtKind kind, Span at) {
  Stmt *s = NEW(b->arena, Stmt);
  s->kind = kind;
  s->span = at;
  return s;
}

Stmt *build_let(Build *b, Target target, Expr *value, Span at) {
  Stmt *s = stmt_new(b, ST_LET, at);
  s->as.let.target = target;
  s->as.let.value = value;
  return s;
}

Stmt *build_site(Build *b, Target target, bool autoregressive, Expr *dist, Expr *via, Span tilde, Span at) {
  Stmt *s = stmt_new(b, ST_SITE, at);
  s->as.site.target = target;
  s->as.site.dist = dist;
  s->as.site.autoregressive = autoregressive;
  s->as.site.via = via;
  s->as.site.tilde = tilde;
  return s;
}

Stmt *build_loop(Build *b, Word name, Expr *range, Stmts body, Span at) {
  Stmt *s = stmt_new(b, ST_FOR, at);
  s->as.loop.name = name.name;
  s->as.loop.name_span = name.span;
  s->as.loop.range = range;
  s->as.loop.body = body;
  return s;
}

Stmt *build_each(Build *b, Word plate, Stmts body, Span at) {
  Stmt *s = stmt_new(b, ST_EACH, at);
  s->as.each.plate = plate.name;
  s->as.each.plate_span = plate.span;
  s->as.each.body = body;
  return s;
}

Stmt *build_each_slip(Build *b, Word plate, Stmts body, Span at) {
  DiagItem *i = diag_at(b->diag, E0101, plate.span, "`for %s` needs `each`, or a range", plate.name);
  diag_fix(i, plate.span, arena_printf(b->arena, "each %s", plate.name), "for the rows of a plate write `for each %s`", plate.name);
  diag_help(i, "for a loop write `for %s in 1..L`", plate.name);
  return build_each(b, plate, body, at);
}

Stmt *build_each_in_slip(Build *b, Word name, Expr *range, Stmts body, Span at, Span header) {
  DiagItem *i = diag_at(b->diag, E0101, header, "`for each` names a plate and has no index");
  if (range->kind == EX_NAME) {
    const char *edit = arena_printf(b->arena, "each %s", range->as.name);
    diag_fix(i, header, edit, "for the rows of plate `%s` write `for each %s`", range->as.name, range->as.name);
    return build_each(b, (Word){range->as.name, range->span}, body, at);
  }
  diag_fix(i, (Span){header.at, name.span.at}, "", "for a loop write `for %s in ...`", name.name);
  return build_loop(b, name, range, body, at);
}

Stmt *build_branch(Build *b, Expr *condition, Stmts yes, Stmts no, Span at) {
  Stmt *s = stmt_new(b, ST_IF, at);
  s->as.branch.condition = condition;
  s->as.branch.yes = yes;
  s->as.branch.no = no;
  return s;
}

Stmt *build_param_stmt(Build *b, bool state, Word name, Type *type, EachOf each, Expr *init, Expr *prior, Span at) {
  Stmt *s = stmt_new(b, state ? ST_STATE : ST_PARAM, at);
  s->as.param.name = name.name;
  s->as.param.name_span = name.span;
  s->as.param.type = type;
  s->as.param.init = init;
  s->as.param.prior = prior;
  s->as.param.plate = each.plate;
  s->as.param.plate_span = each.span;
  return s;
}

Stmt *build_update(Build *b, Word name, Expr *value, Span at) {
  Stmt *s = stmt_new(b, ST_UPDATE, at);
  s->as.update.name = name.name;
  s->as.update.name_span = name.span;
  s->as.update.value = value;
  return s;
}

Stmt *build_prior(Build *b, Expr *dist, Span at) {
  Stmt *s = stmt_new(b, ST_PRIOR, at);
  s->as.ret.value = dist;
  return s;
}

Stmt *build_return(Build *b, Expr *value, Span at) {
  Stmt *s = stmt_new(b, ST_RETURN, at);
  s->as.ret.value = value;
  return s;
}

/* ---- declarations */

EachOf build_each_of(Name plate, Span at) { return (EachOf){plate, at}; }

EachOf build_each_of_slip(Build *b, Word plate, Span at) {
  DiagItem *i = diag_at(b->diag, E0101, at, "a plate is named by `for each`");
  diag_fix(i, at, arena_printf(b->arena, "for each %s", plate.name), "write `for each %s`", plate.name);
  return (EachOf){plate.name, plate.span};
}

static Decl *decl_new(Build *b, DeclKind kind, Word name, Span at) {
  Decl *d = NEW(b->arena, Decl);
  d->kind = kind;
  d->span = at;
  d->name = name.name;
  d->name_span = name.span;
  return d;
}

/* What `import "parts/decoder"` is called when no `as` says so: the file's name without folders and extension, where
 * that is a name. */
static Name name_of_path(Name path) {
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
  size_t n = strlen(base);
  if (n > 4 && strcmp(base + n - 4, ".svm") == 0) n -= 4;
  bool fits = n > 0 && !(base[0] >= '0' && base[0] <= '9');
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)base[i];
    fits = fits && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80);
  }
  return fits ? name_of_n(base, n) : NULL;
}

Decl *build_import(Build *b, Name path, Span path_span, bool quoted, Word alias, Span at) {
  if (!alias.name) {
    alias = (Word){quoted ? name_of_path(path) : path, path_span};
    if (!alias.name) {
      DiagItem *i = diag_at(b->diag, E0101, path_span, "this file's name cannot be the name of a module");
      diag_help(i, "say what it is called here: import \"%s\" as part", path);
      alias.name = name_of("_");
    }
  }
  Decl *d = decl_new(b, DE_IMPORT, alias, at);
  d->as.import.path = path;
  d->as.import.quoted = quoted;
  d->as.import.alias = alias.name;
  return d;
}

Decl *build_value(Build *b, DeclKind kind, Word name, Expr *value, Span at) {
  Decl *d = decl_new(b, kind, name, at);
  d->as.value.value = value;
  return d;
}

Decl *build_plate(Build *b, Word name, PlateOf of, Span at) {
  Decl *d = decl_new(b, DE_PLATE, name, at);
  for (uint32_t i = 0; i < of.of.n; i++) {
    vec_push(b->arena, &d->as.plate.of, of.of.at[i].name);
    vec_push(b->arena, &d->as.plate.of_span, of.of.at[i].span);
  }
  d->as.plate.ordered = of.ordered;
  return d;
}

Decl *build_data(Build *b, Word name, Type *type, EachOf each, Expr *prepare, Span at) {
  Decl *d = decl_new(b, DE_DATA, name, at);
  d->as.data.type = type;
  d->as.data.plate = each.plate;
  d->as.data.plate_span = each.span;
  d->as.data.prepare = prepare;
  return d;
}

Decl *build_net(Build *b, Word name, Params params, Type *result, Stmts body, Span at) {
  Decl *d = decl_new(b, DE_NET, name, at);
  d->as.net.params = params;
  d->as.net.result = result;
  d->as.net.body = body;
  return d;
}

Decl *build_fun(Build *b, DeclKind kind, Word name, Params params, Expr *body, Span at) {
  Decl *d = decl_new(b, kind, name, at);
  d->as.fun.params = params;
  d->as.fun.body = body;
  return d;
}

Decl *build_program(Build *b, bool guide, Word name, EachOf each, Stmts body, Span at) {
  Decl *d = decl_new(b, DE_PROGRAM, name, at);
  d->as.program.guide = guide;
  d->as.program.plate = each.plate;
  d->as.program.plate_span = each.span;
  d->as.program.body = body;
  return d;
}

Decl *build_dist(Build *b, Word name, Params params, Type *support, DistItems items, Span at) {
  Decl *d = decl_new(b, DE_DIST, name, at);
  d->as.dist.params = params;
  d->as.dist.support = support;
  d->as.dist.members = items.members;
  for (uint32_t i = 0; i < items.forms.n; i++) {
    const Form *f = &items.forms.at[i];
    if (f->name != name.name) {
      DiagItem *item = diag_at(b->diag, E0101, f->name_span, "`also` adds a form of `%s`, not of `%s`", name.name, f->name);
      diag_label(item, name.span, "the distribution declared here");
      diag_fix(item, f->name_span, name.name, "write `also %s(...)`", name.name);
    }
    vec_push(b->arena, &d->as.dist.forms, *f);
  }
  for (uint32_t i = 0; i < items.checks.n; i++) vec_push(b->arena, &d->as.dist.checks, items.checks.at[i]);
  return d;
}

Goal build_goal_of(bool maximize, Expr *objective, Exprs over) { return (Goal){objective, over, maximize}; }

StepDecl build_step(Word name, Goal goal, Span at) {
  return (StepDecl){name.name, name.span, goal.maximize, goal.objective, goal.over, at};
}

Decl *build_goal(Build *b, Goal goal, Span at) {
  Decl *d = decl_new(b, DE_GOAL, (Word){NULL, NO_SPAN}, at);
  d->as.goal = build_step((Word){NULL, NO_SPAN}, goal, at);
  return d;
}

Decl *build_train(Build *b, TrainItems items, Span at) {
  Decl *d = decl_new(b, DE_TRAIN, (Word){NULL, NO_SPAN}, at);
  d->as.train.settings = items.settings;
  for (uint32_t i = 0; i < items.steps.n; i++) vec_push(b->arena, &d->as.train.steps, items.steps.at[i]);
  return d;
}

TrainItems train_add(Build *b, TrainItems items, Arg setting) {
  vec_push(b->arena, &items.settings, setting);
  return items;
}

TrainItems train_add_step(Build *b, TrainItems items, StepDecl step) {
  vec_push(b->arena, &items.steps, step);
  return items;
}

Member build_member(Word name, Exprs params, Expr *body, Span at) { return (Member){name.name, name.span, params, body, at}; }

Form build_form(Word name, Params params, Expr *canonical, Members members, Span at) {
  return (Form){name.name, name.span, params, canonical, members, at};
}

Check build_check(Name member, Args at_args, Args args, Expr *value, Span at) {
  return (Check){member, at_args, args, value, at};
}

DistItems dist_add(Build *b, DistItems items, Member m) {
  vec_push(b->arena, &items.members, m);
  return items;
}

DistItems dist_add_form(Build *b, DistItems items, Form f) {
  vec_push(b->arena, &items.forms, f);
  return items;
}

DistItems dist_add_check(Build *b, DistItems items, Check c) {
  vec_push(b->arena, &items.checks, c);
  return items;
}
