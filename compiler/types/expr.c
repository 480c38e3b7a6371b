/* Expressions to values.
 *
 * In:  an expression, the scope it stands in.
 * Out: a Value; tensors become nodes of c->g with shapes joined and ranges inferred.  After a message the value is V_BAD,
 *      which every operation passes on in silence, so one mistake is told once. */
#include "value.h"
#include <math.h>
#include <stdlib.h>

Value v_node(Val v, Span at) { return v == NO_VAL ? v_bad(at) : (Value){.kind = V_NODE, .span = at, .as.node = v}; }
Value v_bad(Span at)         { return (Value){.kind = V_BAD, .span = at}; }

/* ---- numbers known when compiled */
Val value_node(Checker *c, Value v) {
  switch (v.kind) {
    case V_NODE: return at_open_rows(c, v.as.node);
    case V_BAD:  return NO_VAL;
    case V_SITES: {
      Site *site = sites_one(c, v);
      Value drawn = site ? drawn_value(c, site->program, site->name, v.span) : v_bad(v.span);
      if (v.row && drawn.kind == V_NODE) drawn = v_node(row_value(c, drawn.as.node, v.row - 1, v.span, v.span), v.span);
      return value_node(c, drawn);
    }
    case V_LIST: {                                     /* [a, b, c]: a vector; [[a, b], [c, d]]: a matrix by rows */
      uint32_t n = v.as.list->n;
      if (n == 0) break;
      Val *at = arena_alloc(c->arena, n * sizeof *at);
      const Shape *first = NULL;
      for (uint32_t i = 0; i < n; i++) {
        Val a = value_node(c, v.as.list->at[i]);
        if (a == NO_VAL) return NO_VAL;
        const Shape *sh = shape_of(c->g, a);
        if (!first) first = sh;
        if (sh->rank + 1 > DIM_MAX || sh->rank != first->rank || memcmp(sh->dim, first->dim, sh->rank * sizeof *sh->dim) != 0) {
          DiagItem *d = diag_mark(diag_at(c->diag, E0302, v.as.list->at[i].span, "the elements of a vector must have one shape"), "%s", shape_text(c, sh));
          diag_label(d, v.as.list->at[0].span, "%s", shape_text(c, first));
          return NO_VAL;
        }
        uint32_t dim[DIM_MAX] = {1};
        memcpy(dim + 1, sh->dim, sh->rank * sizeof *dim);
        at[i] = graph_expand(c->g, a, 1, sh->rank + 1, dim);
      }
      return n == 1 ? at[0] : graph_concat(c->g, at, n, 0);
    }
    case V_FUNCTION: case V_DIST: case V_PROGRAM: case V_MODULE: case V_FAMILY: case V_RANGE: case V_DURATION: case V_SCHEDULE: case V_INIT: break;
  }
  DiagItem *i = diag_at(c->diag, E0302, v.span, "a number or tensor is wanted here, and this is %s", value_kind_text(v));
  const char *words = source_words(c, v.span);
  if (v.kind == V_DIST) diag_help(i, "draw from it: `name ~ %s` in a program, or `draw %s`", words, words);
  if (v.kind == V_FUNCTION) diag_help(i, "call it: `%s(...)`", words);
  if (v.kind == V_PROGRAM) diag_help(i, "name one of its values, `%s.z`, or its density, `log %s`", v.as.program->name, v.as.program->name);
  if (v.kind == V_FAMILY) diag_help(i, "name one of its members: `%s[1]`", words);
  return NO_VAL;
}
Val eval_node(Checker *c, Scope *s, const Expr *e) { return value_node(c, eval(c, s, e)); }

/* A number computed from constants alone, `sum(l in 3) units[l]`, becomes one. */
Val known_number(Checker *c, Val v) {
  const Shape *sh = shape_of(c->g, v);
  EvalInput in = {0};
  EvalResult r;
  char error[256];
  if (node_of(c->g, v)->op == OP_const || sh->rank || sh->axes || c->g != c->t->graph || !is_known(c, v)) return v;
  return graph_eval(c->arena, c->g, &v, 1, &in, &r, error) ? graph_const(c->g, r.value[v][0]) : v;
}

bool want_number(Checker *c, Scope *s, const Expr *e, double *out) {
  Val v = eval_node(c, s, e);
  if (v == NO_VAL) return false;
  v = known_number(c, v);
  if (node_of(c->g, v)->op != OP_const) {
    const Shape *sh = shape_of(c->g, v);
    DiagItem *i = sh->rank ? diag_mark(diag_at(c->diag, E0302, e->span, "one number is wanted here"), "%s", shape_text(c, sh))
                           : diag_at(c->diag, E0303, e->span, "a number known when compiled is wanted here");
    tell_not_known(c, i, v);
    return false;
  }
  *out = node_of(c->g, v)->attr.number;
  return true;
}
bool want_whole(Checker *c, Scope *s, const Expr *e, int32_t *out) {
  double x;
  if (!want_number(c, s, e, &x)) return false;
  if (x != floor(x) || fabs(x) > 1e9) {
    diag_mark(diag_at(c->diag, E0303, e->span, "a whole number is wanted here"), "%g", x);
    return false;
  }
  *out = (int32_t)x;
  return true;
}
bool want_size(Checker *c, Scope *s, const Expr *e, uint32_t *out) {
  int32_t x;
  if (!want_whole(c, s, e, &x)) return false;
  if (x < 1) {
    diag_mark(diag_at(c->diag, E0303, e->span, "a size must be at least 1"), "%d", x);
    return false;
  }
  *out = (uint32_t)x;
  return true;
}

/* ---- operators */
static void label_operand(Checker *c, DiagItem *i, Val v, Span at) {
  const Node *n = node_of(c->g, v);
  diag_label(i, at, "%s", shape_text(c, n->shape));
  bool leaf = n->op == OP_param || (n->op == OP_input && n->attr.leaf.id == 0);
  if (!n->span.end || (!leaf && !n->label) || (n->span.at < at.end && at.at < n->span.end)) return;
  if (source_place(c->t->sources, n->span.at).source->library) return;
  diag_label(i, n->span, "`%s` is declared here", n->op == OP_input ? n->attr.leaf.name : n->label);
}
static void tell_clash(Checker *c, Span at, Val a, Val b, Span sa, Span sb) {
  DiagItem *i = diag_at(c->diag, E0301, at, "these two shapes do not match: %s and %s", shape_text(c, shape_of(c->g, a)), shape_text(c, shape_of(c->g, b)));
  label_operand(c, i, a, sa);
  label_operand(c, i, b, sb);
  diag_note(i, "values combine element by element when their shapes are equal or one is a scalar; nothing is broadcast");
}

Val join_op(Checker *c, OpKind op, Val a, Val b, Span at, Span sa, Span sb) {
  if (a == NO_VAL || b == NO_VAL) return NO_VAL;
  c->g->span = at;
  if (!shape_join(c->g, shape_of(c->g, a), shape_of(c->g, b))) {
    tell_clash(c, at, a, b, sa, sb);
    return NO_VAL;
  }
  return graph_op2(c->g, op, a, b);
}

static Value eval_matmul(Checker *c, Scope *s, const Expr *e) {
  Val a = eval_node(c, s, e->as.op.a), b = eval_node(c, s, e->as.op.b);
  if (a == NO_VAL || b == NO_VAL) return v_bad(e->span);
  const Shape *sa = shape_of(c->g, a), *sb = shape_of(c->g, b);
  if (sa->rank == 0 || sb->rank == 0 || sa->dim[sa->rank - 1] != sb->dim[0]) {
    DiagItem *i = diag_at(c->diag, E0301, e->as.op.op_span, "these two shapes do not match in `@`: %s and %s", shape_text(c, sa), shape_text(c, sb));
    label_operand(c, i, a, e->as.op.a->span);
    label_operand(c, i, b, e->as.op.b->span);
    diag_note(i, "`a @ b` sums over the last axis of a and the first of b, which must have one size");
    const char *ta = source_words(c, e->as.op.a->span), *tb = source_words(c, e->as.op.b->span);
    if (sa->rank == 2 && sb->rank && sa->dim[0] == sb->dim[0]) diag_help(i, "transpose it: `transpose(%s) @ %s`", ta, tb);
    else if (sb->rank == 2 && sa->rank && sa->dim[sa->rank - 1] == sb->dim[1]) diag_help(i, "transpose it: `%s @ transpose(%s)`", ta, tb);
    else if (sa->rank == 0 || sb->rank == 0) diag_help(i, "a scalar is multiplied with `*`");
    return v_bad(e->span);
  }
  if (sa->rank + sb->rank - 1 > DIM_MAX) {                /* those of the result and the one that is summed */
    DiagItem *i = diag_at(c->diag, E0304, e->as.op.op_span, "a product may run over at most %d event axes", DIM_MAX);
    label_operand(c, i, a, e->as.op.a->span);
    label_operand(c, i, b, e->as.op.b->span);
    return v_bad(e->span);
  }
  c->g->span = e->span;
  return v_node(graph_matmul(c->g, a, b), e->span);
}

static Value eval_op(Checker *c, Scope *s, const Expr *e) {
  const Expr *ea = e->as.op.a, *eb = e->as.op.b;
  OpKind op = OP_add;
  switch (e->as.op.op) {
    case OP_PIPE: {
      Value first = eval(c, s, ea);
      if (eb->kind == EX_CALL) {
        Value f = eval(c, s, eb->as.call.callee);
        return apply(c, s, f, eb->as.call.args, &first, e->span);
      }
      Value f = eval(c, s, eb);
      return apply(c, s, f, (Args){0}, &first, e->span);
    }
    case OP_MATMUL: return eval_matmul(c, s, e);
    case OP_BARS:
      diag_at(c->diag, E0501, e->span, "`||` stands between the two arguments of KL: `KL(q.z || p.z)`");
      return v_bad(e->span);
    case OP_NEG: {
      Val a = eval_node(c, s, ea);
      c->g->span = e->span;
      return a == NO_VAL ? v_bad(e->span) : v_node(graph_op1(c->g, OP_neg, a), e->span);
    }
    case OP_NOT: {
      Val a = eval_node(c, s, ea);
      c->g->span = e->span;
      return a == NO_VAL ? v_bad(e->span) : v_node(graph_op2(c->g, OP_sub, graph_const(c->g, 1), a), e->span);
    }
    case OP_ADD: op = OP_add; break;
    case OP_SUB: op = OP_sub; break;
    case OP_MUL: op = OP_mul; break;
    case OP_DIV: op = OP_div; break;
    case OP_POW: op = OP_pow; break;
    case OP_LT:  op = OP_lt;  break;
    case OP_LE:  op = OP_le;  break;
    case OP_GT:  op = OP_lt;  { const Expr *x = ea; ea = eb; eb = x; } break;
    case OP_GE:  op = OP_le;  { const Expr *x = ea; ea = eb; eb = x; } break;
    case OP_EQ:  op = OP_eq;  break;
    case OP_NE:  op = OP_ne;  break;
    case OP_AND: op = OP_mul; break;
    case OP_OR:  op = OP_max; break;
  }
  Val a = eval_node(c, s, ea), b = eval_node(c, s, eb);
  if (a != NO_VAL && b != NO_VAL && !shape_join(c->g, shape_of(c->g, a), shape_of(c->g, b))) {
    tell_clash(c, e->as.op.op_span, a, b, ea->span, eb->span);
    return v_bad(e->span);
  }
  return v_node(join_op(c, op, a, b, e->span, ea->span, eb->span), e->span);
}

/* p.h, q[m].h; p.g where g[1], g[2] are values of p: a family of those. */
static Value one_local(Checker *c, Value base, Name name, Span at) {
  Value local = drawn_value(c, base.as.program, name, at);
  return base.row && local.kind == V_NODE ? v_node(row_value(c, local.as.node, base.row - 1, at, at), at) : local;
}
static Value local_of(Checker *c, Value base, Name name, Span at) {
  const Program *p = base.as.program;
  Family *f = NEW(c->arena, Family);
  for (uint32_t i = 0; i < p->locals.n; i++) {
    const Local *l = &p->locals.at[i];
    if (l->base != name || l->key.n == 0) continue;
    Value v = one_local(c, base, l->name, at);
    vec_push(c->arena, &f->key, l->key);
    vec_push(c->arena, &f->value, v);
    vec_push(c->arena, &f->span, l->span);
  }
  return f->key.n ? (Value){.kind = V_FAMILY, .span = at, .as.family = f} : one_local(c, base, name, at);
}

/* ---- members: module names, programs' sites, arguments of a distribution */
static Value field_of(Checker *c, Value base, const Expr *e) {
  Name member = e->as.field.member;
  switch (base.kind) {
    case V_BAD: return base;
    case V_MODULE: {
      const Decl *d = module_decl(base.as.module, member);
      if (d) {
        Value v = decl_value(c, base.as.module, d, e->span);
        v.span = e->span;
        return v;
      }
      DiagItem *i = diag_at(c->diag, E0203, e->as.field.member_span, "module `%s` has no `%s`", base.as.module->name, member);
      Name *names = arena_alloc(c->arena, (base.as.module->ast->decls.n + 1) * sizeof *names);
      uint32_t n = 0;
      for (uint32_t k = 0; k < base.as.module->ast->decls.n; k++)
        if (base.as.module->ast->decls.at[k]->name) names[n++] = base.as.module->ast->decls.at[k]->name;
      Name near = name_meant(member, names, n);
      if (near) diag_fix(i, e->as.field.member_span, near, "did you mean `%s`?", near);
      else {
        Name all = NULL;
        for (uint32_t k = 0; k < n && k < 12; k++) all = name_printf("%s%s`%s`", all ? all : "", all ? ", " : "", names[k]);
        if (all) diag_note(i, "it has %s%s", all, n > 12 ? ", ..." : "");
      }
      return v_bad(e->span);
    }
    case V_PROGRAM:
      program_check(c, base.as.program);
      if (member == name_of("observed") || member == name_of("latent")) return (Value){.kind = V_SITES, .span = e->span, .as.sites = {base.as.program, member, NULL}};
      for (uint32_t i = 0; i < base.as.program->sites.n; i++)
        if (base.as.program->sites.at[i]->base == member || program_failed(base.as.program, member))
          return (Value){.kind = V_SITES, .row = base.row, .span = e->span, .as.sites = {base.as.program, member, NULL}};
      return local_of(c, base, member, e->span);
    case V_DIST: return dist_field(c, base.as.dist, member, e->as.field.member_span);
    case V_SITES: {                                     /* p.z.mean: of the model's conditional */
      const DistValue *d = sites_dist(c, base);
      return d ? dist_field(c, d, member, e->as.field.member_span) : v_bad(e->span);
    }
    case V_INIT: case V_NODE: case V_LIST: case V_FUNCTION: case V_FAMILY: case V_RANGE: case V_DURATION: case V_SCHEDULE: break;
  }
  DiagItem *none = diag_at(c->diag, E0203, e->as.field.member_span, "%s has no members", value_kind_text(base));
  const Builtin *function = builtin_find(member);
  if (base.kind == V_NODE && (function || member == name_of("mean") || member == name_of("sum"))) diag_help(none, "a function is applied to a value: `%s(%s)`", member, source_words(c, base.span));
  else if (base.kind == V_NODE) diag_note(none, "after a point stands something of a module, a program or a distribution");
  return v_bad(e->span);
}

static Value eval_field(Checker *c, Scope *s, const Expr *e) { return field_of(c, eval(c, s, e->as.field.base), e); }

/* d.logpdf(x), p.z.kl(q.z): a member with an argument; anything else after a point is called as usual. */
static Value eval_member_call(Checker *c, Scope *s, const Expr *e) {
  const Expr *callee = e->as.call.callee;
  Value base = eval(c, s, callee->as.field.base);
  const DistValue *d = base.kind == V_DIST ? base.as.dist : NULL;
  if (base.kind == V_SITES) {
    if (!(d = sites_dist(c, base))) return v_bad(e->span);
  }
  if (!d || !dist_has_function(d, callee->as.field.member)) return apply(c, s, field_of(c, base, callee), e->as.call.args, NULL, e->span);
  const Args *args = &e->as.call.args;
  if (args->n != 1 || args->at[0].name) {
    diag_at(c->diag, E0206, e->span, "`%s` of a distribution takes one argument", callee->as.field.member);
    return v_bad(e->span);
  }
  return dist_call(c, d, callee->as.field.member, eval(c, s, args->at[0].value), e->span);
}

static Value eval_choice(Checker *c, Scope *s, const Expr *e) {
  Val cond = eval_node(c, s, e->as.choice.condition);
  if (cond == NO_VAL) return v_bad(e->span);
  const Node *n = node_of(c->g, cond);
  if (n->op == OP_const) return eval(c, s, n->attr.number != 0 ? e->as.choice.yes : e->as.choice.no);
  if (n->shape->rank || n->shape->axes) {
    DiagItem *i = diag_at(c->diag, E0303, e->as.choice.condition->span, "the condition of `if` must be known when compiled, or be `training`");
    diag_help(i, "to choose element by element, write `select(c, a, b)`");
    return v_bad(e->span);
  }
  Val yes = eval_node(c, s, e->as.choice.yes), no = eval_node(c, s, e->as.choice.no);
  if (yes == NO_VAL || no == NO_VAL) return v_bad(e->span);
  if (!shape_join(c->g, shape_of(c->g, yes), shape_of(c->g, no))) {
    DiagItem *i = diag_at(c->diag, E0301, e->span, "the two branches have different shapes: %s and %s", shape_text(c, shape_of(c->g, yes)), shape_text(c, shape_of(c->g, no)));
    label_operand(c, i, yes, e->as.choice.yes->span);
    label_operand(c, i, no, e->as.choice.no->span);
    return v_bad(e->span);
  }
  c->g->span = e->span;
  return v_node(graph_op3(c->g, OP_select, cond, yes, no), e->span);
}

static Value eval_draw(Checker *c, Scope *s, const Expr *e) {
  Value d = eval(c, s, e->as.draw.dist);
  if (d.kind == V_BAD) return d;
  AxisSet plates = c->plates;
  if (d.kind == V_SITES) {                               /* draw p.z: as the site is drawn, but no part of the program's draws */
    Site *site = sites_one(c, d);
    if (!site) return v_bad(e->span);
    if (d.row) { diag_help(diag_at(c->diag, E0501, d.span, "a draw of another row's distribution is not a value of this row"), "draw `%s` and index the draw", source_words(c, d.span)); return v_bad(e->span); }
    if (site->autoregressive) {
      DiagItem *i = diag_at(c->diag, E0590, e->span, "`draw` of the autoregressive `%s` is not built yet", site->name);
      diag_label(i, site->span, "drawn coordinate by coordinate");
      diag_help(i, "draw it as a site, under an expectation: `E[%s](...)`", site->program->name);
      return v_bad(e->span);
    }
    d = (Value){.kind = V_DIST, .span = d.span, .as.dist = &site->dist};
    plates |= site->shape->axes;
  }
  if (d.kind != V_DIST) {
    diag_at(c->diag, E0302, e->as.draw.dist->span, "`draw` needs a distribution, and this is %s", value_kind_text(d));
    return v_bad(e->span);
  }
  Name base = name_printf("%s.draw", c->path ? c->path : c->objective ? "objective" : "data");
  AxisSet outer = c->plates;
  c->plates = plates;
  Val v = dist_draw(c, d.as.dist, path_child(c, base, NULL), e->as.draw.once, e->span);
  c->plates = outer;
  return v_node(v, e->span);
}

/* init.glorot, init.normal(sd), init.logit_mean(column): how a parameter starts. */
static bool is_init(Scope *s, const Expr *e) {
  return e->kind == EX_FIELD && e->as.field.base->kind == EX_NAME && e->as.field.base->as.name == name_of("init") && !scope_find(s, e->as.field.base->as.name);
}
static Value eval_init(Checker *c, Scope *s, const Expr *e, const Args *args, Span at) {
  static const struct { const char *name; uint32_t arguments; } inits[] = {{"glorot", 0}, {"glorot_normal", 0}, {"he", 0}, {"normal", 1}, {"uniform", 2}, {"logit_mean", 1}};
  Name word = e->as.field.member, names[LEN(inits)];
  size_t k = LEN(inits);
  for (size_t i = 0; i < LEN(inits); i++)
    if ((names[i] = name_of(inits[i].name)) == word) k = i;
  if (k == LEN(inits)) {
    DiagItem *d = diag_at(c->diag, E0203, e->as.field.member_span, "there is no initialiser `%s`", word);
    Name near = name_meant(word, names, LEN(names));
    if (near) diag_fix(d, e->as.field.member_span, near, "did you mean `%s`?", near);
    else diag_note(d, "initialisers: glorot, glorot_normal, he, normal(sd), uniform(a, b), logit_mean(column)");
    return v_bad(at);
  }
  if ((args ? args->n : 0) != inits[k].arguments) {
    static const char *const forms[] = {"init.glorot", "init.glorot_normal", "init.he", "init.normal(sd)", "init.uniform(a, b)", "init.logit_mean(column)"};
    diag_help(diag_at(c->diag, E0206, at, "`init.%s` takes %u argument%s", word, inits[k].arguments, inits[k].arguments == 1 ? "" : "s"), "write `%s`", forms[k]);
    return v_bad(at);
  }
  Value v = {.kind = V_INIT, .span = at};
  v.as.init.glorot = k == 0, v.as.init.glorot_normal = k == 1, v.as.init.he = k == 2;
  if (k == 3) v.as.init.kind = SVI_INIT_NORMAL;
  if (k == 4) v.as.init.kind = SVI_INIT_UNIFORM;
  if (k == 3 && !want_number(c, s, args->at[0].value, &v.as.init.b)) return v_bad(at);
  if (k == 4 && (!want_number(c, s, args->at[0].value, &v.as.init.a) || !want_number(c, s, args->at[1].value, &v.as.init.b))) return v_bad(at);
  if (k == 5) {
    v.as.init.kind = SVI_INIT_LOGIT_MEAN;
    Val n = eval_node(c, s, args->at[0].value);
    if (n == NO_VAL) return v_bad(at);
    const Node *node = node_of(c->g, n);
    uint32_t d = 0;
    while (d < c->t->data.n && !(node->op == OP_input && c->t->data.at[d].name == node->attr.leaf.name)) d++;
    if (d == c->t->data.n) { diag_at(c->diag, E0302, args->at[0].span, "`init.logit_mean` takes a data column"); return v_bad(at); }
    v.as.init.data = (int32_t)d;
  }
  return v;
}

static Value eval_call(Checker *c, Scope *s, const Expr *e) {
  const Expr *callee = e->as.call.callee;
  if (is_init(s, callee)) return eval_init(c, s, callee, &e->as.call.args, e->span);
  if (callee->kind == EX_INDEX && callee->as.index.base->kind == EX_NAME && callee->as.index.base->as.name == name_of("E"))
    return eval_expectation(c, s, callee, e);
  if (callee->kind == EX_NAME && !scope_find(s, callee->as.name)) {
    if (callee->as.name == name_of("KL")) return eval_kl(c, s, e);
    if (callee->as.name == name_of("H")) return eval_entropy(c, s, e);
    if (callee->as.name == name_of("prev") || callee->as.name == name_of("next")) return eval_step(c, s, e);
    if (callee->as.name == name_of("E")) {
      DiagItem *i = diag_at(c->diag, E0501, e->span, "an expectation says under which program: `E[q](...)`");
      diag_help(i, "write `E[q](...)` with q the program that draws");
      return v_bad(e->span);
    }
  }
  if (callee->kind == EX_FIELD) return eval_member_call(c, s, e);
  bool total = callee->kind == EX_NAME && callee->as.name == name_of("plate_size");
  if (callee->kind == EX_NAME && (total || callee->as.name == name_of("batch_size")) && e->as.call.args.n == 1 && e->as.call.args.at[0].value->kind == EX_NAME) {
    int axis = plate_axis(c, e->as.call.args.at[0].value->as.name);
    if (axis >= 0) return v_node(graph_count(c->g, (uint32_t)axis, total), e->span);
  }
  Value f = eval(c, s, callee);
  return apply(c, s, f, e->as.call.args, NULL, e->span);
}

static Value eval_duration(Checker *c, Scope *s, const Expr *e) {
  double amount;
  if (!want_number(c, s, e->as.duration.amount, &amount)) return v_bad(e->span);
  if (!(amount >= 0)) {
    diag_mark(diag_at(c->diag, E0602, e->span, "a duration is not negative"), "%g %s", amount, e->as.duration.unit);
    return v_bad(e->span);
  }
  return (Value){.kind = V_DURATION, .span = e->span, .as.duration = {amount, e->as.duration.unit == name_of("epochs") ? SVI_EPOCHS : SVI_STEPS}};
}

Value eval(Checker *c, Scope *s, const Expr *e) {
  c->g->span = e->span;
  switch (e->kind) {
    case EX_BAD: case EX_STRING: return v_bad(e->span);
    case EX_NUMBER:        return v_node(graph_const(c->g, e->as.number.value), e->span);
    case EX_DURATION:      return eval_duration(c, s, e);
    case EX_NAME:          return lookup(c, s, e->as.name, e->span);
    case EX_FIELD:         return is_init(s, e) ? eval_init(c, s, e, NULL, e->span) : eval_field(c, s, e);
    case EX_CALL:          return eval_call(c, s, e);
    case EX_INDEX:         return eval_index(c, s, e);
    case EX_LIST: {
      Values *list = NEW(c->arena, Values);
      for (uint32_t i = 0; i < e->as.list.n; i++) {
        Value v = eval(c, s, e->as.list.at[i]);
        if (v.kind == V_BAD) return v_bad(e->span);
        vec_push(c->arena, list, v);
      }
      return (Value){.kind = V_LIST, .span = e->span, .as.list = list};
    }
    case EX_OP:            return eval_op(c, s, e);
    case EX_RANGE: {
      int32_t first, last, by = 1;
      if (!want_whole(c, s, e->as.range.first, &first) || !want_whole(c, s, e->as.range.last, &last)) return v_bad(e->span);
      if (e->as.range.by && !want_whole(c, s, e->as.range.by, &by)) return v_bad(e->span);
      if (by == 0) { diag_at(c->diag, E0303, e->as.range.by->span, "a range cannot step by 0"); return v_bad(e->span); }
      return (Value){.kind = V_RANGE, .span = e->span, .as.range = {first, last, by}};
    }
    case EX_COMPREHENSION: return eval_comprehension(c, s, e);
    case EX_REDUCE:        return eval_reduce(c, s, e);
    case EX_LOG_DENSITY:   return eval_log_density(c, s, e);
    case EX_DRAW:          return eval_draw(c, s, e);
    case EX_INSTANCE: {
      Value f = eval(c, s, e->as.instance.callee);
      if (f.kind == V_BAD) return f;
      if (f.kind != V_FUNCTION || !f.as.function->decl || f.as.function->decl->kind != DE_NET) {
        DiagItem *i = diag_at(c->diag, E0302, e->as.instance.callee->span, "`net` makes an instance of a net, and this is %s", value_kind_text(f));
        if (f.kind == V_FUNCTION) diag_help(i, "it has no parameters to share: call it as it is, `%s(...)`", source_words(c, e->as.instance.callee->span));
        return v_bad(e->span);
      }
      Function *made = NEW(c->arena, Function);
      *made = *f.as.function;
      made->bound = e->as.instance.args, made->bound_scope = s;
      made->path = path_child(c, c->path, made->decl->name);
      return (Value){.kind = V_FUNCTION, .span = e->span, .as.function = made};
    }
    case EX_CHOICE:        return eval_choice(c, s, e);
  }
  return v_bad(e->span);
}

Val sum_event(Checker *c, Val v) { return graph_sum_all(c->g, v); }
