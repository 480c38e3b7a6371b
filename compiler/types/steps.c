/* prev and next: values one step before and after, along an ordered plate.
 *
 * `prev(h, start)` inside `for each time { ... }`, where `plate time of sequence, ordered`, is h of the step before, and `start` at the first
 * step; `next(h, end)` is h of the step after.  Of a value that is there already this is a shift of it.  A name that its body defines
 * only here or further down makes a recurrence: what stands for its earlier steps is a variable of its own (Recurrent), and lowering
 * (prob/steps.c) finds the value that agrees with its own shift. */
#include "value.h"

/* ---- the plate */
static int ordered_plate(Checker *c, Span at, Name word) {
  int found = -1;
  for (uint32_t a = 0; a < c->g->axis.n; a++)
    if (((c->plates | c->open) >> a & 1) && c->g->axis.at[a].ordered) found = (int)a;
  if (found >= 0) return found;
  DiagItem *d = diag_at(c->diag, E0408, at, "`%s` of which plate? no ordered plate is open here", word);
  int inner = -1;
  for (uint32_t a = 0; a < c->g->axis.n; a++)
    if ((c->plates >> a & 1) && c->g->axis.at[a].parent >= 0) inner = (int)a;
  if (inner >= 0) diag_help(d, "declare it so: `plate %s of %s, ordered`", c->g->axis.at[inner].name, c->g->axis.at[c->g->axis.at[inner].parent].name);
  else diag_help(d, "declare steps inside a plate of sequences, `plate time of sequence, ordered`, and open both: `for each time { ... }`");
  return -1;
}

static Value shifted(Checker *c, Val v, Val edge, uint32_t axis, int by, Span at) {
  Graph *g = c->g;
  g->span = at;
  Val place = graph_place(g, axis);
  Val first = by > 0 ? graph_op2(g, OP_lt, place, graph_const(g, 0.5))
                     : graph_op2(g, OP_lt, graph_op2(g, OP_sub, graph_count(g, axis, false), graph_const(g, 1.5)), place);
  return v_node(graph_op3(g, OP_select, first, edge, graph_shift(g, v, axis, by)), at);
}

/* ---- names that are not defined yet */
static Scope *top_of(Scope *s) {
  while (s->parent) s = s->parent;
  return s;
}
static const Stmt *site_statement(const Stmts *body, Name name) {
  for (uint32_t i = 0; i < body->n; i++) {
    const Stmt *st = body->at[i], *found = NULL;
    if (st->kind == ST_SITE && st->as.site.target.name == name) return st;
    if (st->kind == ST_FOR) found = site_statement(&st->as.loop.body, name);
    else if (st->kind == ST_EACH) found = site_statement(&st->as.each.body, name);
    else if (st->kind == ST_IF && !(found = site_statement(&st->as.branch.yes, name))) found = site_statement(&st->as.branch.no, name);
    if (found) return found;
  }
  return NULL;
}

/* The name, or member of a family, that the expression is, if the body defines it later or here; NULL otherwise. */
static Name defined_later(Checker *c, Scope *s, const Expr *e, const Stmts **body) {
  *body = top_of(s)->body;
  const Expr *base = e->kind == EX_INDEX ? e->as.index.base : e;
  if (!*body || base->kind != EX_NAME) return NULL;
  bool inside;
  if (!defined_at(*body, base->as.name, &inside).end) return NULL;
  Binding *b = scope_find(s, base->as.name);
  if (e->kind == EX_NAME) return b ? NULL : base->as.name;
  if (b && b->value.kind != V_FAMILY) return NULL;
  Key key = {.n = e->as.index.args.n};
  if (key.n > 4) return NULL;
  for (uint32_t i = 0; i < key.n; i++)
    if (!want_whole(c, s, e->as.index.args.at[i].value, &key.at[i])) return NULL;
  for (uint32_t i = 0; b && i < b->value.as.family->key.n; i++) {
    const Key *k = &b->value.as.family->key.at[i];
    if (k->n == key.n && memcmp(k->at, key.at, key.n * sizeof *key.at) == 0) return NULL;
  }
  return member_name(base->as.name, &key);
}

static const DataVar *data_of(const Checker *c, Name name) {
  for (uint32_t i = 0; i < c->t->data.n; i++)
    if (c->t->data.at[i].name == name && !c->t->data.at[i].points && !c->t->data.at[i].failed) return &c->t->data.at[i];
  return NULL;
}

static Recurrent *recurrent_find(const Checker *c, Scope *s, Name name) {
  for (uint32_t i = 0; c->program && i < c->program->recurrents.n; i++) {
    Recurrent *r = c->program->recurrents.at[i];
    if (r->scope == top_of(s) && r->name == name) return r;
  }
  return NULL;
}

/* The variable that stands for the steps before (after) of a name still to be defined, with the shape of its edge. */
static Val recurrent_leaf(Checker *c, Scope *s, Name name, const Stmts *body, Val edge, uint32_t axis, int by, Span at) {
  Recurrent *r = recurrent_find(c, s, name);
  const DataVar *data = s->program == c->program ? data_of(c, name) : NULL;      /* a site that is observed has its shape */
  const Shape *e = data ? data->shape : shape_of(c->g, edge), *shape = graph_shape(c->g, c->plates, e->rank, e->dim);
  if (r && (r->by != by || r->axis != axis)) {
    DiagItem *d = diag_at(c->diag, E0408, at, "`%s` is wanted of the step before and of the step after, and is defined by itself", name);
    diag_label(d, r->span, "here of the step %s", r->by > 0 ? "before" : "after");
    diag_note(d, "a recurrence runs one way");
    return NO_VAL;
  }
  if (r) {
    if (shape_of(c->g, r->leaf) == shape) return r->leaf;
    DiagItem *d = diag_at(c->diag, E0301, at, "`%s` begins with two shapes: %s and %s", name, shape_text(c, shape), shape_text(c, shape_of(c->g, r->leaf)));
    diag_label(d, r->span, "%s", shape_text(c, shape_of(c->g, r->leaf)));
    return NO_VAL;
  }
  r = NEW(c->arena, Recurrent);
  *r = (Recurrent){.name = name, .scope = top_of(s), .program = c->program, .axis = axis, .by = by, .value = NO_VAL, .span = at};
  const Stmt *site = s->program == c->program ? site_statement(body, name) : NULL;
  Range range = RANGE_REAL;
  if (data) range = data->range;
  else if (site && !site_range_ahead(c, s, site->as.site.dist, &range)) return NO_VAL;
  c->g->span = at;
  r->variable = name_printf("%s.%s'%u", c->path, name, c->program->recurrents.n);       /* a name that cannot be written */
  r->leaf = graph_leaf(c->g, OP_input, r->variable, 0, shape, range);
  vec_push(c->arena, &c->program->recurrents, r);
  return r->leaf;
}

/* `name` has been defined: by a value, or as a site. */
void steps_defined(Checker *c, Scope *s, Name name, Val v, Site *site, Span at) {
  Recurrent *r = recurrent_find(c, s, name);
  if (!r || r->value != NO_VAL) return;
  const Shape *want = shape_of(c->g, r->leaf), *have = shape_of(c->g, v);
  if (want->rank != have->rank || memcmp(want->dim, have->dim, want->rank * sizeof *want->dim) != 0) {
    DiagItem *d = diag_at(c->diag, E0301, at, "`%s` does not have the shape of its first step: %s and %s", name, shape_text(c, have), shape_text(c, want));
    diag_mark(d, "%s", shape_text(c, have));
    diag_label(d, r->span, "%s", shape_text(c, want));
    if (want->rank == 0) diag_help(d, "write its shape: `%s(%s, zeros(%u))`", r->by > 0 ? "prev" : "next", name, have->dim[0]);
    return;
  }
  r->value = v, r->site = site;
}

/* ---- prev(v, start), next(v, end) */
Value eval_step(Checker *c, Scope *s, const Expr *e) {
  Name word = e->as.call.callee->as.name;
  int by = word == name_of("prev") ? 1 : -1;
  const Args *args = &e->as.call.args;
  if (args->n != 2) {
    diag_help(diag_at(c->diag, E0206, e->span, "`%s` takes 2 arguments, not %u", word, args->n), by > 0 ? "a value, and what it is before the first step: `prev(h, zeros(20))`" : "a value, and what it is after the last step: `next(h, zeros(20))`");
    return v_bad(e->span);
  }
  int axis = ordered_plate(c, e->span, word);
  if (axis < 0) return v_bad(e->span);
  const Expr *of = args->at[0].value, *with = args->at[1].value;
  Val edge = eval_node(c, s, with);
  if (edge == NO_VAL) return v_bad(e->span);
  if (shape_of(c->g, edge)->axes >> axis & 1) {
    DiagItem *d = diag_at(c->diag, E0402, with->span, "what `%s` begins with differs from one %s to another", word, c->g->axis.at[axis].name);
    diag_note(d, "it is one value for each %s", c->g->axis.at[c->g->axis.at[axis].parent].name);
    return v_bad(e->span);
  }
  const Stmts *body;
  Name later = defined_later(c, s, of, &body);
  if (later && !c->program) {
    diag_at(c->diag, E0408, e->span, "`%s` is defined by its own steps, and no program is around this", later);
    return v_bad(e->span);
  }
  Val v = later ? recurrent_leaf(c, s, later, body, edge, (uint32_t)axis, by, e->span) : eval_node(c, s, of);
  if (v == NO_VAL) return v_bad(e->span);
  const Shape *have = shape_of(c->g, v), *start = shape_of(c->g, edge);
  if (have->rank && start->rank == 0) edge = graph_spread(c->g, edge, have), start = shape_of(c->g, edge);
  if (have->rank != start->rank || memcmp(have->dim, start->dim, have->rank * sizeof *have->dim) != 0) {
    DiagItem *d = diag_at(c->diag, E0301, e->span, "these two shapes of a step do not match: %s and %s", shape_text(c, have), shape_text(c, start));
    diag_label(d, of->span, "%s", shape_text(c, have));
    diag_label(d, with->span, "%s", shape_text(c, start));
    return v_bad(e->span);
  }
  return shifted(c, v, edge, (uint32_t)axis, by, e->span);
}
