/* Indices, comprehensions and reductions: the expressions that add and remove axes.
 *
 * An index variable is 1 + iota over an index axis of its own; a comprehension turns those axes into event axes, a reduction
 * takes them away.  Plates can only be reduced. */
#include "value.h"
#include <math.h>
#include <stdlib.h>

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
  /* an index variable of a comprehension: its axis' index + the first of its range */
  if (n->op == OP_add && node_of(c->g, n->arg[1])->op == OP_const && node_of(c->g, n->arg[0])->op == OP_iota && node_of(c->g, n->arg[0])->attr.along.axis >= 0) {
    uint32_t axis = (uint32_t)node_of(c->g, n->arg[0])->attr.along.axis, run = c->g->axis.at[axis].size;
    double first = node_of(c->g, n->arg[1])->attr.number;
    if (c->g->axis.at[axis].kind == AXIS_INDEX && first >= 1 && first == floor(first) && first - 1 + run <= size && !(sh->axes >> axis & 1))
      return graph_to_axis(c->g, run == size ? v : graph_slice(c->g, v, dim, (uint32_t)first - 1, run), dim, axis);
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
  uint32_t rows = 0;                                    /* indices that are row variables: they take no event axis */
  for (uint32_t i = 0; i < index->n; i++) rows += row_variable(c, s, index->at[i].value) >= 0;
  if (index->n - rows > shape_of(c->g, n)->rank) {
    uint32_t rank = shape_of(c->g, n)->rank + rows;
    DiagItem *i = rank ? diag_at(c->diag, E0305, index->at[rank].span, "an index too many: `%s` has %u ax%s", source_words(c, where), rank, rank == 1 ? "is" : "es")
                       : diag_at(c->diag, E0305, index->at[0].span, "`%s` is a scalar and cannot be indexed", source_words(c, where));
    diag_label(i, where, "%s", shape_text(c, shape_of(c->g, n)));
    return v_bad(at);
  }
  uint32_t dim = 0;
  for (uint32_t i = 0; i < index->n && n != NO_VAL; i++) {
    bool gone;
    int row = row_variable(c, s, index->at[i].value);
    if (row >= 0) { n = row_value(c, n, (uint32_t)row, where, index->at[i].span); continue; }
    n = index_one(c, s, n, dim, &index->at[i], &gone);
    if (!gone) dim++;
  }
  return v_node(n, at);
}

Value eval_index(Checker *c, Scope *s, const Expr *e) {
  const Expr *base = e->as.index.base;
  if (base->kind == EX_NAME && base->as.name == name_of("E") && !scope_find(s, base->as.name)) {
    diag_at(c->diag, E0501, e->span, "an expectation needs its body: `E[q](...)`");
    return v_bad(e->span);
  }
  Value v = eval(c, s, base);
  const Args *index = &e->as.index.args;
  for (uint32_t i = 0; i < index->n; i++)
    if (index->at[i].name) { diag_at(c->diag, E0305, index->at[i].span, "an index has no name"); return v_bad(e->span); }
  int row = index->n == 1 ? row_variable(c, s, index->at[0].value) : -1;
  switch (v.kind) {
    case V_BAD: return v;
    case V_FAMILY: return family_member(c, s, v.as.family, name_printf("%s", source_words(c, base->span)), index, e->span);
    case V_SITES: {
      if (row >= 0 && !v.row && (v.as.sites.key || program_site(v.as.sites.program, v.as.sites.base))) {
        v.row = 1 + (uint32_t)row, v.span = e->span;
        return v;
      }
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
      if (row >= 0) {
        DistValue *of = row_dist(c, v.as.dist, (uint32_t)row, base->span, e->span);
        return of ? (Value){.kind = V_DIST, .span = e->span, .as.dist = of} : v_bad(e->span);
      }
      DistValue *d = NEW(c->arena, DistValue);
      *d = *v.as.dist;
      if (d->flow || d->mixture) {
        diag_help(diag_at(c->diag, E0302, base->span, "copies of a %s distribution are made inside it", d->flow ? "transformed" : "mixture"), d->flow ? "`transformed(Normal(0, 1)[n], f)`" : "`mixture(w, D)` with arguments of one row a component");
        return v_bad(e->span);
      }
      if (d->copies_rank + index->n > DIM_MAX) { diag_at(c->diag, E0304, e->span, "a value may have at most %d event axes", DIM_MAX); return v_bad(e->span); }
      for (uint32_t i = 0; i < index->n; i++)
        if (!want_size(c, s, index->at[i].value, &d->copies[d->copies_rank++])) return v_bad(e->span);
      d->span = e->span;
      uint32_t rank, dim[DIM_MAX];
      if (!dist_event(c, d, e->span, &rank, dim)) return v_bad(e->span);
      return (Value){.kind = V_DIST, .span = e->span, .as.dist = d};
    }
    case V_NODE: return index_node(c, s, v.as.node, index, base->span, e->span);
    case V_PROGRAM:
      if (row < 0 || v.row) break;
      v.row = 1 + (uint32_t)row, v.span = e->span;
      return v;
    case V_FUNCTION: case V_MODULE: case V_RANGE: case V_DURATION: case V_SCHEDULE: case V_INIT: break;
  }
  diag_at(c->diag, E0302, base->span, "%s cannot be indexed", value_kind_text(v));
  return v_bad(e->span);
}

/* ---- comprehensions and reductions */
int plate_axis(Checker *c, Name name) {
  for (uint32_t i = 0; i < c->g->axis.n; i++)
    if (c->g->axis.at[i].kind == AXIS_PLATE && c->g->axis.at[i].name == name) return (int)i;
  return -1;
}

static Name level_name(Name name, uint32_t level) { return level ? name_printf("%s_%u", name, level) : name; }
/* Is it the axis of a comprehension or reduction around? */
static bool is_index(const Checker *c, Name name) {
  for (uint32_t a = 0; a < c->g->axis.n; a++)
    if (c->indices >> a & 1 && c->g->axis.at[a].name == name) return true;
  return false;
}

/* An end of a range: a number, or a whole value whose least and greatest are known (`1..j-1`). */
static bool range_end(Checker *c, Scope *s, const Expr *e, bool first, bool known, int32_t *out, Val *value) {
  *value = NO_VAL;
  if (known) return want_whole(c, s, e, out);
  Val v = eval_node(c, s, e);
  if (v == NO_VAL) return false;
  const Node *n = node_of(c->g, v);
  double end = first ? n->range.lo : n->range.hi;
  if (n->shape->rank || !n->range.whole) {
    diag_mark(diag_at(c->diag, E0303, e->span, "a whole number is wanted here"), n->shape->rank ? "%s" : "may be a fraction", shape_text(c, n->shape));
    return false;
  }
  if (fabs(end) > 1e9) {
    DiagItem *d = diag_mark(diag_at(c->diag, E0303, e->span, "how far this range may reach is not known when compiled"), "range %s", range_text(c, n->range));
    diag_help(d, "bound it: `min(%s, 50)`, or declare the data as `class[K]`", source_words(c, e->span));
    return false;
  }
  *out = (int32_t)end, *value = v;
  return true;
}

/* `i in M`: binds i to 1 + iota over a fresh index axis of size M; `m in image`: see rows.c.  A range whose ends depend on other
 * values becomes the longest it may be, and `mask` (1 inside) leaves out what is beyond; without room for a mask that is an error. */
static bool bind_index(Checker *c, Scope *inner, const Binder *b, uint32_t *axis, Val *mask) {
  int32_t first = 1, last;
  Val from = NO_VAL, to = NO_VAL;
  bool failed;
  int plate = rows_plate(c, inner, b->range, &failed);
  if (failed) return false;
  if (plate >= 0 && !mask) {
    DiagItem *item = diag_at(c->diag, E0407, b->span, "a plate cannot become an axis of an array: its size is not known when compiled");
    diag_help(item, "reduce over it: `sum(%s in %s) ...`, `log_sum_exp(%s in %s) ...`", b->name, source_words(c, b->range->span), b->name, source_words(c, b->range->span));
    return false;
  }
  if (plate >= 0) {
    if (!bind_rows(c, inner, b, (uint32_t)plate, axis)) return false;
    c->bound |= (AxisSet)1 << *axis;
    return true;
  }
  if (b->range->kind == EX_RANGE) {
    const Expr *e1 = b->range->as.range.first, *e2 = b->range->as.range.last;
    bool known1 = number_known(c, inner, e1), known2 = number_known(c, inner, e2);
    if (!mask && !(known1 && known2)) {
      DiagItem *d = diag_at(c->diag, E0303, b->range->span, "the size of this array depends on another value");
      diag_help(d, "a reduction may run to another index: `sum(%s in %s) ...`", b->name, source_words(c, b->range->span));
      return false;
    }
    if (!range_end(c, inner, e1, true, known1, &first, &from) || !range_end(c, inner, e2, false, known2, &last, &to)) return false;
    if (b->range->as.range.by) { diag_at(c->diag, E0303, b->range->span, "an index runs by steps of 1 here"); return false; }
  } else {
    uint32_t size;
    if (!want_size(c, inner, b->range, &size)) return false;
    last = (int32_t)size;
  }
  if (last < first) { diag_at(c->diag, E0303, b->range->span, "this range is empty: %d..%d", first, last); return false; }
  uint32_t level = 0;                                   /* an axis of its own for each enclosing use of the same name */
  for (Scope *p = inner; p; p = p->parent)
    for (uint32_t i = 0; i < p->bindings.n; i++) level += p->bindings.at[i].name == b->name;
  Name name = level_name(b->name, level);
  while (is_index(c, name)) name = level_name(b->name, ++level);      /* in the body that called this one */
  if (!axis_room(c, name, (uint32_t)(last - first + 1), b->span)) return false;
  *axis = graph_axis(c->g, (Axis){.name = name, .kind = AXIS_INDEX, .size = (uint32_t)(last - first + 1), .parent = -1});
  Val at = graph_op2(c->g, OP_add, graph_iota_axis(c->g, *axis), graph_const(c->g, first));
  scope_bind(c, inner, b->name, v_node(at, b->name_span), b->name_span);
  c->g->span = b->range->span;
  if (from != NO_VAL) *mask = graph_op2(c->g, OP_mul, *mask, graph_op2(c->g, OP_le, from, at));
  if (to   != NO_VAL) *mask = graph_op2(c->g, OP_mul, *mask, graph_op2(c->g, OP_le, at, to));
  return true;
}

Value eval_comprehension(Checker *c, Scope *s, const Expr *e) {
  const Binders *bs = &e->as.comprehension.binders;
  Scope *inner = scope_new(c, s, NULL);
  uint32_t axis[DIM_MAX];
  AxisSet outer = c->indices, bound = c->bound;
  if (bs->n > DIM_MAX) { diag_at(c->diag, E0304, e->span, "a value may have at most %d event axes", DIM_MAX); return v_bad(e->span); }
  for (uint32_t i = 0; i < bs->n; i++) {
    if (bs->at[i].each) {
      DiagItem *item = diag_at(c->diag, E0407, bs->at[i].span, "a plate cannot become an axis of an array: its size is not known when compiled");
      diag_help(item, "reduce over it: `sum(each %s) ...`, `mean(each %s) ...`", bs->at[i].name, bs->at[i].name);
      return v_bad(e->span);
    }
    if (!bind_index(c, inner, &bs->at[i], &axis[i], NULL)) { c->bound = bound; return v_bad(e->span); }
  }
  for (uint32_t i = 0; i < bs->n; i++) c->indices |= (AxisSet)1 << axis[i];
  Val v = eval_node(c, inner, e->as.comprehension.body);
  c->indices = outer, c->bound = bound;
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

static double identity_of(ReduceKind k) {
  switch (k) {
    case REDUCE_SUM:       return 0;
    case REDUCE_PROD:      return 1;
    case REDUCE_MIN:       return INFINITY;
    case REDUCE_MAX: case REDUCE_LOGSUMEXP: return -INFINITY;
  }
  return 0;
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

Value eval_reduce(Checker *c, Scope *s, const Expr *e) {
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
  AxisSet axes = 0, outer = c->indices, bound = c->bound, open = c->open;
  Val mask = graph_const(c->g, 1);
  bool all = false;
  for (uint32_t i = 0; i < bs->n; i++) {
    uint32_t axis;
    if (!bs->at[i].each) {
      if (!bind_index(c, inner, &bs->at[i], &axis, &mask)) { c->bound = bound; return v_bad(e->span); }
      axes |= (AxisSet)1 << axis;
    } else if (bs->at[i].name == name_of("plate")) {
      all = true;
    } else {
      int p = plate_axis(c, bs->at[i].name);
      if (p < 0) {
        c->bound = bound;
        DiagItem *d = diag_at(c->diag, E0202, bs->at[i].name_span, "there is no plate `%s`", bs->at[i].name);
        diag_help(d, "declare it: `plate %s`", bs->at[i].name);
        return v_bad(e->span);
      }
      axes |= (AxisSet)1 << p;
      c->open |= (AxisSet)1 << p;
    }
  }
  for (uint32_t a = 0; a < c->g->axis.n; a++)
    if ((axes >> a & 1) && c->g->axis.at[a].kind == AXIS_INDEX) c->indices |= (AxisSet)1 << a;
  Val v = eval_node(c, inner, e->as.reduce.body);
  c->indices = outer, c->bound = bound, c->open = open;
  if (v == NO_VAL) return v_bad(e->span);
  for (uint32_t a = 0; a < c->g->axis.n && c->objective; a++)
    if ((axes & ~shape_of(c->g, v)->axes) >> a & 1 && c->g->axis.at[a].ordered) {
      DiagItem *d = diag_at(c->diag, E0402, e->as.reduce.body->span, "this does not differ from one %s to another", c->g->axis.at[a].name);
      diag_note(d, "densities, divergences and entropies of an ordered plate are of a whole %s: its steps are summed", c->g->axis.at[a].parent >= 0 ? c->g->axis.at[c->g->axis.at[a].parent].name : "sequence");
      diag_help(d, "leave the reduction out: `%s`", source_words(c, e->as.reduce.body->span));
      return v_bad(e->span);
    }
  Range of = node_of(c->g, v)->range;
  c->g->span = e->span;
  if (all) return v_node(graph_reduce_rows(c->g, k, mean, v), e->span);
  bool masked = node_of(c->g, mask)->op != OP_const;
  if (masked) v = graph_op3(c->g, OP_select, mask, v, graph_const(c->g, identity_of(k)));
  v = graph_reduce(c->g, k, v, axes, 0);
  if (masked && mean) {                                 /* an empty range counts as one element that is nothing */
    Val count = graph_op2(c->g, OP_max, graph_reduce(c->g, REDUCE_SUM, mask, axes, 0), graph_const(c->g, 1));
    return v_node(by_count(c, k, v, count), e->span);
  }
  for (uint32_t a = 0; a < c->g->axis.n; a++) {
    if (!(axes >> a & 1)) continue;
    if (mean) v = by_count(c, k, v, graph_count(c->g, a, false));
    else if (k == REDUCE_SUM && c->g->axis.at[a].kind == AXIS_PLATE)      /* of a minibatch: N / B of the rows there are */
      v = graph_op2(c->g, OP_mul, v, graph_op2(c->g, OP_div, graph_count(c->g, a, true), graph_count(c->g, a, false)));
  }
  return v_node(mean_range(c, k, mean, v, of), e->span);
}
