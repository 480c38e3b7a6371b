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

const char *value_kind_text(Value v) {
  switch (v.kind) {
    case V_BAD:      return "nothing";
    case V_NODE:     return "a value";
    case V_LIST:     return "a list";
    case V_FUNCTION: return "a function";
    case V_DIST:     return "a distribution";
    case V_PROGRAM:  return "a program";
    case V_SITES:    return "a program's site";
    case V_MODULE:   return "a module";
    case V_FAMILY:   return "a family of values";
    case V_RANGE:    return "a range";
    case V_DURATION: return "a duration";
    case V_SCHEDULE: return "a schedule";
    case V_INIT:     return "an initialiser";
  }
  return "?";
}

const char *shape_text(Checker *c, const Shape *s) {
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  if (s->rank == 0) fputs("scalar", f);
  else {
    fputc('[', f);
    for (uint32_t i = 0; i < s->rank; i++) fprintf(f, "%s%u", i ? ", " : "", s->dim[i]);
    fputc(']', f);
  }
  fclose(f);
  const char *kept = arena_copy(c->arena, text, size);
  free(text);
  return kept;
}

/* ---- scopes */
Scope *scope_new(Checker *c, Scope *parent, Module *module) {
  Scope *s = NEW(c->arena, Scope);
  s->parent = parent, s->module = module ? module : parent ? parent->module : NULL;
  s->program = parent ? parent->program : NULL;
  return s;
}
Binding *scope_find(Scope *s, Name name) {
  for (; s; s = s->parent)
    for (uint32_t i = s->bindings.n; i-- > 0;)
      if (s->bindings.at[i].name == name) return &s->bindings.at[i];
  return NULL;
}
void scope_bind(Checker *c, Scope *s, Name name, Value v, Span at) {
  Binding b = {name, v, at, false};
  vec_push(c->arena, &s->bindings, b);
}

/* A variable leaf: the value of a site or data column by that name, whatever its source will be. */
static Value variable(Checker *c, Name name, const Shape *shape, Range range, Span declared, Span at) {
  c->g->span = declared;
  Val v = graph_leaf(c->g, OP_input, name, 0, shape, range);
  c->g->span = at;
  return v_node(v, at);
}
static DataVar *data_find(Checker *c, Name name) {
  for (uint32_t i = 0; i < c->t->data.n; i++)
    if (c->t->data.at[i].name == name) return &c->t->data.at[i];
  return NULL;
}
/* A site of that name in another program: what a guide of r(lambda | z) means by `z`. */
static Site *site_elsewhere(Checker *c, Name name, Family **family) {
  Site *found = NULL;
  *family = NULL;
  for (int guides = 0; guides < 2 && !found && !*family; guides++)
    for (uint32_t i = 0; i < c->t->programs.n && !found; i++) {
      Program *p = c->t->programs.at[i];
      if (p == c->program || p->guide != (bool)guides || p->state == PROGRAM_BUSY || !program_draws(p, name)) continue;
      program_check(c, p);
      for (uint32_t k = 0; k < p->sites.n; k++) {
        Site *site = p->sites.at[k];
        if (site->name == name) { found = site; break; }
        if (site->base != name) continue;
        if (!*family) *family = NEW(c->arena, Family);
        Key key = {0};
        for (const char *q = strchr(site->name, '['); q && key.n < 4; q = strchr(q + 1, ',')) key.at[key.n++] = atoi(q + 1);
        vec_push(c->arena, &(*family)->key, key);
        Value v = v_node(site->var, site->span);
        vec_push(c->arena, &(*family)->value, v);
        vec_push(c->arena, &(*family)->span, site->span);
      }
    }
  return found;
}

/* prelude.svm, objective.svm, aggregate.svm: in scope without an import. */
static Module *unnamed_module(Checker *c, Name name, const Decl **d) {
  for (uint32_t i = 1; i < c->modules.n; i++)
    if (c->modules.at[i]->name == NULL && (*d = module_decl(c->modules.at[i], name))) return c->modules.at[i];
  return NULL;
}

Value lookup(Checker *c, Scope *s, Name name, Span at) {
  if (++c->depth > 400) { c->depth--; diag_at(c->diag, E0205, at, "this expands without end"); return v_bad(at); }
  Value v = v_bad(at);
  Binding *b = scope_find(s, name);
  const Decl *d;
  Module *m = s ? s->module : c->main;
  Family *family;
  DataVar *data;
  Site *site;
  const Builtin *builtin;
  if (b) {
    b->used = true;
    v = b->value;
  } else if (s && s->program && (data = data_find(c, name))) {
    data->used = true;
    if (data->failed) { c->depth--; return v_bad(at); }
    v = variable(c, name, data->shape, data->range, data->span, at);
  } else if (s && s->program && program_draws(s->program, name)) {
    c->depth--;
    if (!program_failed(s->program, name))
      tell_early(c, s->program, name, at);
    return v_bad(at);
  } else if (s && s->program && (site = site_elsewhere(c, name, &family))) {
    v = variable(c, name, site->shape, site->range, site->span, at);
  } else if (s && s->program && family) {
    v = (Value){.kind = V_FAMILY, .as.family = family};
  } else if ((d = module_decl(m, name)) && d->kind != DE_REPORT) {
    v = decl_value(c, m, d, at);
  } else if ((builtin = builtin_find(name))) {
    Function *f = NEW(c->arena, Function);
    f->builtin = builtin;
    v = (Value){.kind = V_FUNCTION, .as.function = f};
  } else if ((d = library_dist(c, name, &m))) {
    v = decl_value(c, m, d, at);
  } else if (name == name_of("inf") || name == name_of("pi")) {
    v = v_node(graph_const(c->g, name == name_of("pi") ? M_PI : INFINITY), at);
  } else if (name == name_of("training")) {
    v = v_node(c->t->training, at);
  } else if ((m = unnamed_module(c, name, &d))) {
    v = decl_value(c, m, d, at);
  } else {
    c->depth--;
    for (uint32_t i = 0; s && s->program && i < c->t->programs.n; i++)
      if (program_failed(c->t->programs.at[i], name)) return v_bad(at);      /* its statement failed and was told of */
    if ((d = module_decl(s ? s->module : c->main, name))) return decl_value(c, c->main, d, at);   /* a report: not a value */
    return unknown_name(c, s, name, at);
  }
  c->depth--;
  v.span = at;
  return v;
}

/* The one site that `p.z` or `p.z[2]` names; NULL after a message. */
Site *sites_one(Checker *c, Value v) {
  Program *p = v.as.sites.program;
  Name name = v.as.sites.key ? member_name(v.as.sites.base, v.as.sites.key) : v.as.sites.base;
  Site *site = program_site(p, name);
  if (site) return site;
  if (program_failed(p, v.as.sites.base)) return NULL;
  DiagItem *i = v.as.sites.key ? diag_at(c->diag, E0204, v.span, "`%s` has no site `%s`", p->name, name)
                               : diag_at(c->diag, E0302, v.span, "`%s.%s` is a family of sites, not one value", p->name, name);
  if (!v.as.sites.key) diag_help(i, "index it: `%s.%s[1]`", p->name, name);
  return NULL;
}
/* "z[2]", "z[1,3]": the name of a family's member */
Name member_name(Name base, const Key *key) {
  Name name = name_printf("%s[%d", base, key->at[0]);
  for (uint32_t i = 1; i < key->n; i++) name = name_printf("%s,%d", name, key->at[i]);
  return name_printf("%s]", name);
}

/* ---- numbers known when compiled */
Val value_node(Checker *c, Value v) {
  switch (v.kind) {
    case V_NODE: return v.as.node;
    case V_BAD:  return NO_VAL;
    case V_SITES: {
      Site *site = sites_one(c, v);
      return site ? value_node(c, drawn_value(c, site->program, site->name, v.span)) : NO_VAL;
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

bool want_number(Checker *c, Scope *s, const Expr *e, double *out) {
  Val v = eval_node(c, s, e);
  if (v == NO_VAL) return false;
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

/* ---- indexing */
static Value family_member(Checker *c, Scope *s, Family *f, Name name, const Args *index, Span at) {
  Key key = {.n = index->n};
  if (index->n > 4) { diag_at(c->diag, E0204, at, "a family has at most 4 indices"); return v_bad(at); }
  for (uint32_t i = 0; i < index->n; i++)
    if (!want_whole(c, s, index->at[i].value, &key.at[i])) return v_bad(at);
  for (uint32_t i = 0; i < f->key.n; i++)
    if (f->key.at[i].n == key.n && memcmp(f->key.at[i].at, key.at, key.n * sizeof *key.at) == 0) {
      Value v = f->value.at[i];
      v.span = at;
      return v;
    }
  if (c->program && program_failed(c->program, name)) return v_bad(at);
  DiagItem *i = diag_at(c->diag, E0204, at, "`%s` is not defined", member_name(name, &key));
  Name have = NULL;
  for (uint32_t k = 0; k < f->key.n && k < 6; k++) have = name_printf("%s%s`%s`", have ? have : "", have ? ", " : "", member_name(name, &f->key.at[k]));
  if (f->key.n) {
    diag_mark(i, "defined so far: %s%s", have, f->key.n > 6 ? ", ..." : "");
    diag_label(i, f->span.at[0], "first defined here");
  }
  diag_note(i, "a member must be defined before it is used; loops run in the order written");
  return v_bad(at);
}

/* One index of a tensor.  The dim is always the first not yet consumed. */
static Val index_one(Checker *c, Scope *s, Val v, uint32_t dim, const Arg *a, bool *gone) {
  const Shape *sh = shape_of(c->g, v);
  uint32_t size = sh->dim[dim];
  *gone = true;
  c->g->span = a->span;
  if (a->value->kind == EX_RANGE) {
    int32_t first, last;
    if (!want_whole(c, s, a->value->as.range.first, &first) || !want_whole(c, s, a->value->as.range.last, &last)) return NO_VAL;
    if (first < 1 || last > (int32_t)size || first > last) {
      diag_mark(diag_at(c->diag, E0305, a->span, "the range %d..%d is outside 1..%u", first, last, size), "this axis has size %u", size);
      return NO_VAL;
    }
    *gone = false;
    return graph_slice(c->g, v, dim, (uint32_t)first - 1, (uint32_t)(last - first + 1));
  }
  Val at = eval_node(c, s, a->value);
  if (at == NO_VAL) return NO_VAL;
  const Node *n = node_of(c->g, at);
  if (n->op == OP_const) {
    double x = n->attr.number;
    if (x != floor(x) || x < 1 || x > size) {
      diag_mark(diag_at(c->diag, E0305, a->span, "index %g is outside 1..%u", x, size), "this axis has size %u", size);
      return NO_VAL;
    }
    return graph_index(c->g, v, dim, (uint32_t)x - 1);
  }
  if (n->shape->rank > 0) {
    diag_mark(diag_at(c->diag, E0305, a->span, "an index must be a scalar"), "%s", shape_text(c, n->shape));
    return NO_VAL;
  }
  /* an index variable of a comprehension, perhaps shifted: (iota over its axis) + 1 */
  if (n->op == OP_add && node_of(c->g, n->arg[1])->op == OP_const && node_of(c->g, n->arg[0])->op == OP_iota && node_of(c->g, n->arg[0])->attr.along.axis >= 0) {
    uint32_t axis = (uint32_t)node_of(c->g, n->arg[0])->attr.along.axis;
    if (c->g->axis.at[axis].kind == AXIS_INDEX && c->g->axis.at[axis].size == size && node_of(c->g, n->arg[1])->attr.number == 1 && !(sh->axes >> axis & 1))
      return graph_to_axis(c->g, v, dim, axis);
  }
  Range r = n->range;
  if (!r.whole) {
    DiagItem *i = diag_mark(diag_at(c->diag, E0305, a->span, "an index must be a whole number, a class or an index variable"), "may be a fraction");
    if (n->op == OP_input && n->attr.leaf.id == 0) diag_help(i, "if it numbers classes, declare `%s` as `class[%u]`", n->attr.leaf.name, size);
    return NO_VAL;
  }
  Val zero_based = r.lo == 0 ? at : graph_op2(c->g, OP_sub, at, graph_const(c->g, 1));   /* classes count from 0, as in data files */
  if (r.hi - (r.lo == 0 ? 0 : 1) > size - 1) {
    DiagItem *i = diag_at(c->diag, E0305, a->span, r.lo == 0 ? "this index may be too large: the axis has %u elements" : "this index may be beyond 1..%u", size);
    if (isinf(r.hi)) diag_mark(i, "without an upper end");
    else if (r.lo == 0) diag_mark(i, "one of %g classes", r.hi + 1);
    else diag_mark(i, "up to %g", r.hi);
    return NO_VAL;
  }
  return graph_gather(c->g, v, zero_based, dim, NO_VAL);
}

/* False only for a value that is known not to be a constant; what is wrong otherwise is told where it is used. */
static bool number_known(Checker *c, Scope *s, const Expr *e) {
  if (e->kind == EX_NUMBER) return true;
  Value v = eval(c, s, e);
  return v.kind != V_NODE || node_of(c->g, v.as.node)->op == OP_const;
}

static Value index_node(Checker *c, Scope *s, Val n, const Args *index, Span where, Span at) {
  if (index->n > shape_of(c->g, n)->rank) {
    uint32_t rank = shape_of(c->g, n)->rank;
    DiagItem *i = rank ? diag_at(c->diag, E0305, index->at[rank].span, "an index too many: `%s` has %u ax%s", source_words(c, where), rank, rank == 1 ? "is" : "es")
                       : diag_at(c->diag, E0305, index->at[0].span, "`%s` is a scalar and cannot be indexed", source_words(c, where));
    diag_label(i, where, "%s", shape_text(c, shape_of(c->g, n)));
    return v_bad(at);
  }
  uint32_t dim = 0;
  for (uint32_t i = 0; i < index->n && n != NO_VAL; i++) {
    bool gone;
    n = index_one(c, s, n, dim, &index->at[i], &gone);
    if (!gone) dim++;
  }
  return v_node(n, at);
}

static Value eval_index(Checker *c, Scope *s, const Expr *e) {
  const Expr *base = e->as.index.base;
  if (base->kind == EX_NAME && base->as.name == name_of("E") && !scope_find(s, base->as.name)) {
    diag_at(c->diag, E0501, e->span, "an expectation needs its body: `E[q](...)`");
    return v_bad(e->span);
  }
  Value v = eval(c, s, base);
  const Args *index = &e->as.index.args;
  for (uint32_t i = 0; i < index->n; i++)
    if (index->at[i].name) { diag_at(c->diag, E0305, index->at[i].span, "an index has no name"); return v_bad(e->span); }
  switch (v.kind) {
    case V_BAD: return v;
    case V_FAMILY: return family_member(c, s, v.as.family, base->kind == EX_NAME ? base->as.name : "this family", index, e->span);
    case V_SITES: {
      if (v.as.sites.key || program_site(v.as.sites.program, v.as.sites.base)) {      /* one site: its value is indexed */
        Val n = value_node(c, v);
        return n == NO_VAL ? v_bad(e->span) : index_node(c, s, n, index, base->span, e->span);
      }
      Key *key = NEW(c->arena, Key);
      for (uint32_t i = 0; i < index->n && i < 4; i++, key->n++)
        if (!want_whole(c, s, index->at[i].value, &key->at[i])) return v_bad(e->span);
      v.as.sites.key = key;
      v.span = e->span;
      return v;
    }
    case V_LIST: {
      int32_t at;
      if (index->n != 1 || !number_known(c, s, index->at[0].value)) {      /* by a variable or several: as the vector or matrix it is */
        Val n = value_node(c, v);
        return n == NO_VAL ? v_bad(e->span) : index_node(c, s, n, index, base->span, e->span);
      }
      if (index->n != 1 || !want_whole(c, s, index->at[0].value, &at)) return v_bad(e->span);
      if (at < 1 || at > (int32_t)v.as.list->n) {
        DiagItem *i = diag_at(c->diag, E0305, index->at[0].span, "index %d is outside 1..%u", at, v.as.list->n);
        diag_mark(i, "this list has %u element%s", v.as.list->n, v.as.list->n == 1 ? "" : "s");
        diag_note(i, "lists count from 1");
        return v_bad(e->span);
      }
      Value member = v.as.list->at[at - 1];
      member.span = e->span;
      return member;
    }
    case V_DIST: {                                      /* Normal(0, 1)[50]: independent copies */
      DistValue *d = NEW(c->arena, DistValue);
      *d = *v.as.dist;
      if (d->copies_rank + index->n > DIM_MAX) { diag_at(c->diag, E0304, e->span, "a value may have at most %d event axes", DIM_MAX); return v_bad(e->span); }
      for (uint32_t i = 0; i < index->n; i++)
        if (!want_size(c, s, index->at[i].value, &d->copies[d->copies_rank++])) return v_bad(e->span);
      d->span = e->span;
      uint32_t rank, dim[DIM_MAX];
      if (!dist_event(c, d, e->span, &rank, dim)) return v_bad(e->span);
      return (Value){.kind = V_DIST, .span = e->span, .as.dist = d};
    }
    case V_NODE: return index_node(c, s, v.as.node, index, base->span, e->span);
    case V_FUNCTION: case V_PROGRAM: case V_MODULE: case V_RANGE: case V_DURATION: case V_SCHEDULE: case V_INIT: break;
  }
  diag_at(c->diag, E0302, base->span, "%s cannot be indexed", value_kind_text(v));
  return v_bad(e->span);
}

/* ---- comprehensions and reductions */
static int plate_axis(Checker *c, Name name) {
  for (uint32_t i = 0; i < c->g->axis.n; i++)
    if (c->g->axis.at[i].kind == AXIS_PLATE && c->g->axis.at[i].name == name) return (int)i;
  return -1;
}

/* `i in M`: binds i to 1 + iota over a fresh index axis of size M. */
static bool bind_index(Checker *c, Scope *s, Scope *inner, const Binder *b, uint32_t *axis) {
  int32_t first = 1, last;
  if (b->range->kind == EX_NAME && !scope_find(s, b->range->as.name) && plate_axis(c, b->range->as.name) >= 0) {
    DiagItem *d = diag_at(c->diag, E0590, b->span, "an index that runs over the rows of a plate is not built yet");
    diag_help(d, "`sum(each %s) ...` sums over the rows", b->range->as.name);
    return false;
  }
  if (b->range->kind == EX_RANGE && !(number_known(c, s, b->range->as.range.first) && number_known(c, s, b->range->as.range.last))) {
    DiagItem *d = diag_at(c->diag, E0590, b->range->span, "a range that depends on another index is not built yet");
    diag_help(d, "run over the whole axis and leave out what is beyond: `sum(i in n) (i < j) * ...`");
    return false;
  }
  if (b->range->kind == EX_RANGE) {
    if (!want_whole(c, s, b->range->as.range.first, &first) || !want_whole(c, s, b->range->as.range.last, &last)) return false;
    if (b->range->as.range.by) { diag_at(c->diag, E0303, b->range->span, "an index runs by steps of 1 here"); return false; }
  } else {
    uint32_t size;
    if (!want_size(c, s, b->range, &size)) return false;
    last = (int32_t)size;
  }
  if (last < first) { diag_at(c->diag, E0303, b->range->span, "this range is empty: %d..%d", first, last); return false; }
  uint32_t level = 0;                                   /* an axis of its own for each enclosing use of the same name */
  Name name = b->name;
  for (Scope *p = inner; p; p = p->parent)
    for (uint32_t i = 0; i < p->bindings.n; i++) level += p->bindings.at[i].name == b->name;
  if (level) name = name_printf("%s_%u", b->name, level);
  if (!axis_room(c, name, (uint32_t)(last - first + 1), b->span)) return false;
  *axis = graph_axis(c->g, (Axis){.name = name, .kind = AXIS_INDEX, .size = (uint32_t)(last - first + 1), .parent = -1});
  Val at = graph_op2(c->g, OP_add, graph_iota_axis(c->g, *axis), graph_const(c->g, first));
  scope_bind(c, inner, b->name, v_node(at, b->name_span), b->name_span);
  return true;
}

static Value eval_comprehension(Checker *c, Scope *s, const Expr *e) {
  const Binders *bs = &e->as.comprehension.binders;
  Scope *inner = scope_new(c, s, NULL);
  uint32_t axis[DIM_MAX];
  AxisSet outer = c->indices;
  if (bs->n > DIM_MAX) { diag_at(c->diag, E0304, e->span, "a value may have at most %d event axes", DIM_MAX); return v_bad(e->span); }
  for (uint32_t i = 0; i < bs->n; i++) {
    if (bs->at[i].each) {
      DiagItem *item = diag_at(c->diag, E0407, bs->at[i].span, "a plate cannot become an axis of an array: its size is not known when compiled");
      diag_help(item, "reduce over it: `sum(each %s) ...`, `mean(each %s) ...`", bs->at[i].name, bs->at[i].name);
      return v_bad(e->span);
    }
    if (!bind_index(c, s, inner, &bs->at[i], &axis[i])) return v_bad(e->span);
  }
  for (uint32_t i = 0; i < bs->n; i++) c->indices |= (AxisSet)1 << axis[i];
  Val v = eval_node(c, inner, e->as.comprehension.body);
  c->indices = outer;
  if (v == NO_VAL) return v_bad(e->span);
  if (shape_of(c->g, v)->rank + bs->n > DIM_MAX) { diag_at(c->diag, E0304, e->span, "a value may have at most %d event axes", DIM_MAX); return v_bad(e->span); }
  c->g->span = e->span;
  for (uint32_t i = bs->n; i-- > 0;) v = graph_to_dim(c->g, v, axis[i], 0);
  return v_node(v, e->span);
}

static ReduceKind reduce_kind(Name reducer, bool *mean) {
  *mean = reducer == name_of("mean") || reducer == name_of("log_mean_exp");
  if (reducer == name_of("prod")) return REDUCE_PROD;
  if (reducer == name_of("max")) return REDUCE_MAX;
  if (reducer == name_of("min")) return REDUCE_MIN;
  if (reducer == name_of("log_sum_exp") || reducer == name_of("log_mean_exp")) return REDUCE_LOGSUMEXP;
  return REDUCE_SUM;
}

/* Divides a sum (or shifts a log sum) by how many there were. */
static Val by_count(Checker *c, ReduceKind k, Val v, Val count) {
  return k == REDUCE_LOGSUMEXP ? graph_op2(c->g, OP_sub, v, graph_op1(c->g, OP_log, count)) : graph_op2(c->g, OP_div, v, count);
}

/* A mean lies where the values lie. */
static Val mean_range(Checker *c, ReduceKind k, bool mean, Val v, Range of) {
  if (!mean || k != REDUCE_SUM || (of.lo == -INFINITY && of.hi == INFINITY)) return v;
  return graph_assume(c->g, v, (Range){of.lo, of.hi, of.lo_open, of.hi_open, false, FORM_PLAIN});
}

static Value eval_reduce(Checker *c, Scope *s, const Expr *e) {
  bool mean;
  ReduceKind k = reduce_kind(e->as.reduce.reducer, &mean);
  const Binders *bs = &e->as.reduce.binders;
  if (bs->n == 0) {                                     /* over the event shape, or the particles of the enclosing expectation */
    Val v = eval_node(c, s, e->as.reduce.body);
    if (v == NO_VAL) return v_bad(e->span);
    c->g->span = e->span;
    const Shape *sh = shape_of(c->g, v);
    if (sh->rank > 0) {
      double n = (double)shape_event_size(sh);
      Range of = node_of(c->g, v)->range;
      v = graph_reduce(c->g, k, v, 0, (1u << sh->rank) - 1);
      return v_node(mean_range(c, k, mean, mean ? by_count(c, k, v, graph_const(c->g, n)) : v, of), e->span);
    }
    for (uint32_t i = c->within.n; i-- > 0;)
      if (c->within.at[i].particles >= 0 && (k == REDUCE_LOGSUMEXP || mean)) {
        uint32_t axis = (uint32_t)c->within.at[i].particles;
        v = graph_reduce(c->g, k, v, (AxisSet)1 << axis, 0);
        return v_node(mean ? by_count(c, k, v, graph_count(c->g, axis, false)) : v, e->span);
      }
    if (k == REDUCE_LOGSUMEXP) {
      DiagItem *i = diag_at(c->diag, E0306, e->span, "there is nothing to reduce: this is a scalar, and no expectation with particles is around it");
      diag_help(i, "draw several particles: `E[q, k: 50](%s(...))`", e->as.reduce.reducer);
      return v_bad(e->span);
    }
    return v_node(v, e->span);                          /* sum of a scalar is itself */
  }
  Scope *inner = scope_new(c, s, NULL);
  AxisSet axes = 0;
  bool all = false;
  for (uint32_t i = 0; i < bs->n; i++) {
    uint32_t axis;
    if (!bs->at[i].each) {
      if (!bind_index(c, s, inner, &bs->at[i], &axis)) return v_bad(e->span);
      axes |= (AxisSet)1 << axis;
    } else if (bs->at[i].name == name_of("plate")) {
      all = true;
    } else {
      int p = plate_axis(c, bs->at[i].name);
      if (p < 0) {
        DiagItem *d = diag_at(c->diag, E0202, bs->at[i].name_span, "there is no plate `%s`", bs->at[i].name);
        diag_help(d, "declare it: `plate %s`", bs->at[i].name);
        return v_bad(e->span);
      }
      axes |= (AxisSet)1 << p;
    }
  }
  AxisSet outer = c->indices;
  for (uint32_t a = 0; a < c->g->axis.n; a++)
    if ((axes >> a & 1) && c->g->axis.at[a].kind == AXIS_INDEX) c->indices |= (AxisSet)1 << a;
  Val v = eval_node(c, inner, e->as.reduce.body);
  c->indices = outer;
  if (v == NO_VAL) return v_bad(e->span);
  Range of = node_of(c->g, v)->range;
  c->g->span = e->span;
  if (all) return v_node(graph_reduce_rows(c->g, k, mean, v), e->span);
  v = graph_reduce(c->g, k, v, axes, 0);
  for (uint32_t a = 0; a < c->g->axis.n; a++) {
    if (!(axes >> a & 1)) continue;
    if (mean) v = by_count(c, k, v, graph_count(c->g, a, false));
    else if (k == REDUCE_SUM && c->g->axis.at[a].kind == AXIS_PLATE)      /* of a minibatch: N / B of the rows there are */
      v = graph_op2(c->g, OP_mul, v, graph_op2(c->g, OP_div, graph_count(c->g, a, true), graph_count(c->g, a, false)));
  }
  return v_node(mean_range(c, k, mean, v, of), e->span);
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
          return (Value){.kind = V_SITES, .span = e->span, .as.sites = {base.as.program, member, NULL}};
      return drawn_value(c, base.as.program, member, e->span);
    case V_DIST: return dist_field(c, base.as.dist, member, e->as.field.member_span);
    case V_SITES: {                                     /* p.z.mean: of the model's conditional */
      Site *site = sites_one(c, base);
      return site ? dist_field(c, &site->dist, member, e->as.field.member_span) : v_bad(e->span);
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
    Site *site = sites_one(c, base);
    if (!site) return v_bad(e->span);
    d = &site->dist;
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

Value eval(Checker *c, Scope *s, const Expr *e) {
  c->g->span = e->span;
  switch (e->kind) {
    case EX_BAD: case EX_STRING: return v_bad(e->span);
    case EX_NUMBER:
      if (e->as.number.unit) {
        bool epochs = strncmp(e->as.number.unit, "epoch", 5) == 0;
        return (Value){.kind = V_DURATION, .span = e->span, .as.duration = {e->as.number.value, epochs ? SVI_EPOCHS : SVI_STEPS}};
      }
      return v_node(graph_const(c->g, e->as.number.value), e->span);
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
