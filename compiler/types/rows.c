/* Rows of plates: pairs that point to rows of others, and variables that run over rows.
 *
 * `plate rating of (user, item)`: each rating has a user and an item, told by two index columns of the data file that are named
 * like the plates.  Where `rating` is open and `user` is not, a value for each user is read at the rating's user: a gather along
 * the plate, put in where a value is wanted as a tensor (value_node), so that distributions, functions and nets need not know.
 *
 * `sum(m in image) ... z[m]`: m runs over the rows of a plate beside the row that is open.  No value has one plate twice, so m
 * has an axis of its own over the same rows (Axis.again), and z[m] is z with the one axis in place of the other. */
#include "value.h"

/* ---- pairs */
void links_declare(Checker *c, const Decl *d, uint32_t plate) {
  const Decls *ds = &c->main->ast->decls;
  for (uint32_t k = 0; k < d->as.plate.of.n; k++) {
    Name of = d->as.plate.of.at[k];
    Span at = d->as.plate.of_span.at[k];
    int axis = plate_axis(c, of);
    if (axis < 0) continue;                             /* told */
    bool twice = false;
    for (uint32_t j = 0; j < k; j++) twice |= d->as.plate.of.at[j] == of;
    if (twice) {
      DiagItem *i = diag_at(c->diag, E0407, at, "`%s` is of `%s` twice", d->name, of);
      diag_note(i, "inside `for each %s` a value of `%s` could be that of the one or of the other", d->name, of);
      diag_help(i, "declare a plate for each role, and give both the same data");
      continue;
    }
    if (c->g->axis.at[axis].parent >= 0) {
      DiagItem *i = diag_at(c->diag, E0590, at, "a pair with a plate that lies inside another is not built yet");
      diag_note(i, "a row of `%s` is told by two numbers, that of its `%s` and its own", of, c->g->axis.at[c->g->axis.at[axis].parent].name);
      continue;
    }
    uint32_t pairs = 0;
    for (uint32_t i = 0; i < ds->n; i++)
      for (uint32_t j = 0; ds->at[i]->kind == DE_PLATE && ds->at[i]->as.plate.of.n > 1 && j < ds->at[i]->as.plate.of.n; j++)
        pairs += ds->at[i]->as.plate.of.at[j] == of;
    const Shape *shape = graph_shape(c->g, (AxisSet)1 << plate, 0, NULL);
    DataVar v = {.name = pairs > 1 ? name_printf("%s.%s", d->name, of) : of, .shape = shape, .range = RANGE_COUNT, .type = name_printf("index of %s", of),
                 .prepared = NO_VAL, .column = (int32_t)c->t->data.n, .points = axis + 1, .used = true, .span = at};
    vec_push(c->arena, &c->t->data, v);
    c->g->span = at;
    PlateLink link = {plate, (uint32_t)axis, graph_leaf(c->g, OP_input, v.name, 0, shape, v.range), at};
    vec_push(c->arena, &c->t->links, link);
  }
}

void links_label(Checker *c, DiagItem *i, AxisSet plates) {
  for (uint32_t k = 0; k < c->t->links.n; k++) {
    const PlateLink *l = &c->t->links.at[k];
    if (plates >> l->plate & 1) diag_label(i, l->span, "each %s has one %s", c->g->axis.at[l->plate].name, c->g->axis.at[l->of].name);
  }
}

bool links_open(Checker *c, uint32_t plate, Span at) {
  for (uint32_t i = 0; i < c->t->links.n; i++) {
    const PlateLink *l = &c->t->links.at[i];
    bool inside = l->plate == plate && (c->plates >> l->of & 1), around = l->of == plate && (c->plates >> l->plate & 1);
    if (!inside && !around) continue;
    Name pair = c->g->axis.at[l->plate].name, of = c->g->axis.at[l->of].name;
    DiagItem *d = diag_at(c->diag, E0407, at, "`%s` and `%s` cannot be open together: `%s` is of `%s`", pair, of, pair, of);
    diag_label(d, l->span, "each %s has one %s", pair, of);
    if (inside) diag_help(d, "write `for each %s { ... }` outside: a value for each %s is read there at the %s's own", pair, of, pair);
    else diag_help(d, "leave `for each %s` out: a value for each %s is read here at the %s's own", of, of, pair);
    return false;
  }
  return true;
}

static bool is_reached(const Checker *c, AxisSet open, uint32_t plate) {
  if (open >> plate & 1) return true;
  for (uint32_t i = 0; i < c->t->links.n; i++)          /* plates are declared after those they point to */
    if (c->t->links.at[i].of == plate && is_reached(c, open, c->t->links.at[i].plate)) return true;
  return false;
}
/* The pair by which a plate that is not open is reached; NULL when there is none, or more than one. */
static const PlateLink *link_to(const Checker *c, AxisSet open, uint32_t plate) {
  const PlateLink *found = NULL;
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->t->links.n; i++) {
    const PlateLink *l = &c->t->links.at[i];
    if (l->of == plate && is_reached(c, open, l->plate)) found = l, n++;
  }
  return n == 1 ? found : NULL;
}

Val at_open_rows(Checker *c, Val v) {
  AxisSet open = c->plates | c->open;
  if (!c->t->links.n || !open || c->g != c->t->graph) return v;
  for (bool moved = true; moved;) {
    moved = false;
    AxisSet far = shape_of(c->g, v)->axes & ~open;
    for (uint32_t a = 0; a < c->g->axis.n && !moved; a++) {
      const PlateLink *l = far >> a & 1 ? link_to(c, open, a) : NULL;
      if (!l) continue;
      v = graph_gather(c->g, v, l->index, 0, a);
      moved = true;
    }
  }
  return v;
}

/* ---- what says of which row: in objectives */
static const PlateLink *mixed(const Typed *t, AxisSet axes) {
  for (uint32_t i = 0; i < t->links.n; i++)
    if ((axes >> t->links.at[i].plate & 1) && (axes >> t->links.at[i].of & 1)) return &t->links.at[i];
  return NULL;
}
static Val first_mixed(const Typed *t, Val v, bool *seen) {
  const Node *n = node_of(t->graph, v);
  if (seen[v]) return NO_VAL;
  seen[v] = true;
  for (uint32_t i = 0; i < n->nargs; i++) {
    Val found = first_mixed(t, n->arg[i], seen);
    if (found != NO_VAL) return found;
  }
  bool term = n->op == OP_input && n->attr.leaf.id && n->attr.leaf.id != UINT32_MAX;
  const Term *of = term ? &t->terms.at[n->attr.leaf.id - 1] : NULL;
  if (of && (of->kind == TERM_EXPECT || of->kind == TERM_DRAWN)) return first_mixed(t, of->body, seen);
  return mixed(t, n->shape->axes) ? v : NO_VAL;
}
bool types_pairs_apart(const Typed *t, Val v, AxisSet beside, Span at) {
  if (!t->links.n) return true;
  Val culprit = v == NO_VAL ? NO_VAL : first_mixed(t, v, arena_alloc(t->arena, t->graph->node.n + 1));
  AxisSet axes = culprit != NO_VAL ? shape_of(t->graph, culprit)->axes : beside;
  const PlateLink *l = mixed(t, axes);
  if (!l) return true;
  Span where = culprit != NO_VAL ? node_of(t->graph, culprit)->span : NO_SPAN;
  if (!where.end || source_place(t->sources, where.at).source->library) where = at;
  Name pair = t->graph->axis.at[l->plate].name, of = t->graph->axis.at[l->of].name;
  DiagItem *d = diag_at(t->diag, E0402, where, "a value for each %s meets one for each %s, and nothing says of which %s", pair, of, of);
  diag_label(d, l->span, "each %s has one %s", pair, of);
  diag_help(d, "inside `sum(each %s) ...` or `mean(each %s) ...` a value for each %s is read at the %s's own", pair, pair, of, pair);
  return false;
}

/* ---- variables that run over rows */
int rows_plate(Checker *c, Scope *s, const Expr *e, bool *failed) {
  *failed = false;
  if (e->kind != EX_NAME) return -1;
  Binding *b = scope_find(s, e->as.name);
  const Program *p = NULL;
  if (b) p = b->value.kind == V_PROGRAM ? b->value.as.program : NULL;
  else if (plate_axis(c, e->as.name) >= 0) return plate_axis(c, e->as.name);
  else p = program_find(c, e->as.name);
  if (!p) return -1;
  if (p->axis >= 0) return p->axis;
  DiagItem *d = diag_at(c->diag, E0407, e->span, "`%s` has no rows of its own: its plates are opened inside", p->name);
  diag_label(d, p->span, "declared without `for each`");
  diag_help(d, "name the plate, `in PLATE`, or declare `%s %s for each PLATE`", p->guide ? "guide" : "model", p->name);
  *failed = true;
  return -1;
}

bool bind_rows(Checker *c, Scope *inner, const Binder *b, uint32_t plate, uint32_t *axis) {
  for (uint32_t level = 0;; level++) {
    Name name = level ? name_printf("%s.%s_%u", c->g->axis.at[plate].name, b->name, level) : name_printf("%s.%s", c->g->axis.at[plate].name, b->name);
    *axis = c->g->axis.n;
    for (uint32_t a = 0; a < c->g->axis.n; a++)
      if (c->g->axis.at[a].again == plate + 1 && c->g->axis.at[a].name == name) *axis = a;
    if (*axis < c->g->axis.n && (c->bound >> *axis & 1)) continue;       /* of an enclosing use of the same name */
    if (*axis < c->g->axis.n) break;
    if (!axis_room(c, NULL, 0, b->span)) return false;
    graph_axis(c->g, (Axis){.name = name, .kind = AXIS_PLATE, .parent = -1, .again = plate + 1});
    break;
  }
  Val at = graph_op2(c->g, OP_add, graph_iota_axis(c->g, *axis), graph_const(c->g, 1));
  scope_bind(c, inner, b->name, v_node(at, b->name_span), b->name_span);
  return true;
}

int row_variable(Checker *c, Scope *s, const Expr *e) {
  Binding *b = e->kind == EX_NAME ? scope_find(s, e->as.name) : NULL;
  if (!b || b->value.kind != V_NODE) return -1;
  const Node *n = node_of(c->g, b->value.as.node);
  if (n->op != OP_add || node_of(c->g, n->arg[0])->op != OP_iota || node_of(c->g, n->arg[1])->op != OP_const) return -1;
  int32_t axis = node_of(c->g, n->arg[0])->attr.along.axis;
  return axis >= 0 && c->g->axis.at[axis].again ? axis : -1;
}

static void tell_same(Checker *c, uint32_t row, Span where, Span at, AxisSet axes) {
  uint32_t plate = axis_rows(c->g, row);
  DiagItem *d = diag_at(c->diag, E0305, at, "`%s` does not differ from one %s to another", source_words(c, where), c->g->axis.at[plate].name);
  bool other = false;
  for (uint32_t a = 0; a < c->g->axis.n; a++) other |= (axes >> a & 1) && axis_rows(c->g, a) == plate;
  if (other) diag_note(d, "it was indexed by a row variable already");
  else diag_help(d, "a variable that runs over the rows of `%s` indexes values that exist for each %s", c->g->axis.at[plate].name, c->g->axis.at[plate].name);
}
Val row_value(Checker *c, Val v, uint32_t row, Span where, Span at) {
  uint32_t from = axis_rows(c->g, row);
  AxisSet axes = shape_of(c->g, v)->axes;
  if (!(axes >> from & 1)) { tell_same(c, row, where, at, axes); return NO_VAL; }
  c->g->span = at;
  return graph_rows(c->g, v, from, row);
}
/* What a flow does to a draw is a graph of its own, made for the row it stands in. */
static bool is_flow(Checker *c, const DistValue *d, Span at) {
  if (!d->flow) return false;
  diag_label(diag_at(c->diag, E0590, at, "a transformed distribution of another row is not built yet"), d->span, "transformed here");
  return true;
}
DistValue *row_dist(Checker *c, const DistValue *d, uint32_t row, Span where, Span at) {
  uint32_t from = axis_rows(c->g, row);
  DistValue *out = NEW(c->arena, DistValue);
  *out = *d;
  AxisSet axes = 0;
  if (is_flow(c, d, at)) return NULL;
  c->g->span = at;
  for (uint32_t k = 0; k < d->nargs; k++) {
    axes |= shape_of(c->g, d->arg[k])->axes;
    out->arg[k] = graph_rows(c->g, d->arg[k], from, row);
  }
  if (d->mixture && d->log_weight != NO_VAL) {
    axes |= shape_of(c->g, d->log_weight)->axes;
    out->log_weight = graph_rows(c->g, d->log_weight, from, row);
  }
  if (axes >> from & 1) return out;
  tell_same(c, row, where, at, axes);
  return NULL;
}
const DistValue *sites_dist(Checker *c, Value v) {
  Site *site = sites_one(c, v);
  if (!site) return NULL;
  const DistValue *d = v.row ? row_dist(c, &site->dist, v.row - 1, v.span, v.span) : &site->dist;
  return d ? dist_at_draws(c, d, site->program) : NULL;
}

/* ---- log q[m]: the density that row m's data gives the values drawn for this row.  What in the arguments does not depend on a
 * draw of q is that of row m; what does is computed again, from the data of row m and the draws of this row. */
typedef struct { Checker *c; const Program *p; uint32_t from, row; } AtRow;

static bool needs_draw(Checker *c, const Program *p, Val v) {
  for (uint32_t i = 0; i < p->sites.n; i++)
    if (reads_variable(c, v, p->sites.at[i]->name)) return true;
  return false;
}
static Val at_row(void *context, Val v) {
  AtRow *r = context;
  Graph *g = r->c->g;
  if (!(shape_of(g, v)->axes >> r->from & 1)) return v;
  if (!needs_draw(r->c, r->p, v)) return graph_rows(g, v, r->from, r->row);
  return op_class(node_of(g, v)->op) == CLASS_LEAF ? v : NO_VAL;
}

static bool lies_inside(const Graph *g, uint32_t plate, uint32_t outer) {
  for (int a = (int)plate; a >= 0; a = g->axis.at[a].parent)
    if (a == (int)outer) return true;
  return false;
}
Value row_density(Checker *c, Program *p, Site *const *sites, uint32_t n, uint32_t row, Span at) {
  AtRow r = {c, p, axis_rows(c->g, row), row};
  Val sum = NO_VAL;
  for (uint32_t i = 0; i < n; i++) {
    const Site *site = sites[i];
    Value x = drawn_value(c, p, site->name, at);
    if (x.kind != V_NODE) return v_bad(at);
    if (!(site->shape->axes >> r.from & 1)) {
      DiagItem *d = diag_at(c->diag, E0305, at, "`%s` of `%s` is not drawn for each %s", site->name, p->name, c->g->axis.at[r.from].name);
      diag_label(d, site->span, "drawn %s", each_text(c, site->shape->axes));
      if (n > 1) diag_help(d, "name the sites that are: `log %s.z[m]`", p->name);
      return v_bad(at);
    }
    DistValue d = site->dist;
    if (is_flow(c, &d, at)) return v_bad(at);
    if (d.mixture && d.log_weight != NO_VAL) d.log_weight = graph_rebuild(c->g, d.log_weight, at_row, &r);
    c->g->span = at;
    for (uint32_t k = 0; k < d.nargs; k++) d.arg[k] = graph_rebuild(c->g, d.arg[k], at_row, &r);
    Val lp = dist_member(c->t, c->g, &d, "logpdf", x.as.node, NULL, 0);
    if (lp == NO_VAL) return v_bad(at);
    lp = sum_event(c, lp);
    for (uint32_t a = 0; a < c->g->axis.n; a++)        /* rows inside the row are part of it */
      if (a != r.from && (site->shape->axes >> a & 1) && lies_inside(c->g, a, r.from)) lp = graph_reduce(c->g, REDUCE_SUM, lp, (AxisSet)1 << a, 0);
    sum = sum == NO_VAL ? lp : graph_op2(c->g, OP_add, sum, lp);
  }
  return v_node(sum, at);
}
