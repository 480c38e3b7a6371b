/* Recurrences along an ordered plate.
 *
 * In:  a variable that stands for other steps of a name (types/steps.c): h' in h = f(prev(h), x).
 * Out: its value.
 *
 * Of a site that has been drawn, or of data, it is that.  Otherwise the name is one of a GROUP of names, each defined by other steps of
 * them all: h = f(prev(h), prev(z)), z ~ Normal(g(h), 1).  The values of the whole group, side by side in one vector for each step, are
 * the fixed point of one turn: guess them, compute definitions and draws from the guess, put the result in its place.  After t turns the
 * first t steps (for `next`: the last) are right, so as many turns as there are steps do; that is OP_settle, and OP_implicit is its
 * gradient.  The noise of a draw belongs to its step, so a draw in a turn is the draw that is made for good afterwards. */
#include "lower.h"

enum { MEMBERS = 32 };
typedef struct {
  Lower *l;
  Env   *env;
  const Env *drawing;                 /* the environment whose sites are being drawn, if the names are of its program */
  uint32_t n, nsite;
  const Recurrent *at[MEMBERS];       /* recurrences that were reached */
  Site *site[MEMBERS];                /* sites still to be drawn */
} Reach;

const Recurrent *recurrent_of(const Typed *t, Name variable) {
  for (uint32_t i = 0; i < t->programs.n; i++) {
    const Program *p = t->programs.at[i];
    for (uint32_t k = 0; k < p->recurrents.n; k++)
      if (p->recurrents.at[k]->variable == variable) return p->recurrents.at[k];
  }
  return NULL;
}

/* ---- what a value needs */
static void reach(Reach *r, Val v, bool *seen);
static bool has_value(const Reach *r, Name name) {
  for (const Env *e = r->env; e; e = e->outer) {
    if (e->given == name) return true;
    for (uint32_t i = 0; i < e->drawn.n; i++)
      if (e->drawn.at[i].site->name == name) return true;
  }
  return false;
}
static void reach_site(Reach *r, Site *site, bool *seen) {
  for (uint32_t i = 0; i < r->nsite; i++)
    if (r->site[i] == site) return;
  if (r->nsite == MEMBERS) return;
  r->site[r->nsite++] = site;
  Val part[DIST_VALUES];
  for (uint32_t i = 0, n = dist_values(&site->dist, part); i < n; i++) reach(r, part[i], seen);
}
static void reach_variable(Reach *r, Name name, bool *seen) {
  if (has_value(r, name)) return;
  const Recurrent *o = recurrent_of(r->l->p->t, name);
  if (o) {
    if (o->site && has_value(r, o->site->name)) return;
    if (o->site && !(r->drawing && r->drawing->path->program == o->program)) return;      /* data */
    for (uint32_t i = 0; i < r->n; i++)
      if (r->at[i] == o) return;
    if (r->n == MEMBERS) return;
    r->at[r->n++] = o;
    if (o->site) reach_site(r, o->site, seen);
    else if (o->value != NO_VAL) reach(r, o->value, seen);
    return;
  }
  Program *p = r->drawing ? r->drawing->path->program : NULL;
  for (uint32_t i = 0; p && i < p->sites.n; i++)
    if (p->sites.at[i]->name == name) reach_site(r, p->sites.at[i], seen);
}
static void reach(Reach *r, Val v, bool *seen) {
  const Graph *g = r->l->p->t->graph;
  if (seen[v]) return;
  seen[v] = true;
  const Node *n = node_of(g, v);
  if (n->op == OP_input && n->attr.leaf.id == 0) reach_variable(r, n->attr.leaf.name, seen);
  for (uint32_t i = 0; i < n->nargs; i++) reach(r, n->arg[i], seen);
}
static Reach reach_of(Lower *l, Env *env, const Env *drawing, const Recurrent *from) {
  Reach r = {.l = l, .env = env, .drawing = drawing};
  bool *seen = arena_alloc(l->p->t->arena, l->p->t->graph->node.n + 1);
  if (from->site) reach_site(&r, from->site, seen);
  else if (from->value != NO_VAL) reach(&r, from->value, seen);
  return r;
}
static bool among(const Recurrent *const *at, uint32_t n, const Recurrent *x) {
  for (uint32_t i = 0; i < n; i++)
    if (at[i] == x) return true;
  return false;
}

/* ---- a group */
typedef struct {
  Env     *env;                       /* what is around */
  const Env *drawing;
  uint32_t n, nsite;
  const Recurrent *at[MEMBERS];
  Site    *site[MEMBERS];             /* drawn in a turn, in the program's order */
  uint32_t axis;
  int      by;
} Group;

static bool group_find(Lower *l, Env *env, const Recurrent *want, Group *g) {
  const Env *drawing = env;
  while (drawing && !(drawing->path && drawing->path->program == want->program && !drawing->inside)) drawing = drawing->outer;
  *g = (Group){.env = env, .drawing = drawing, .axis = want->axis, .by = want->by};
  Reach all = reach_of(l, env, drawing, want);
  g->at[g->n++] = want;
  for (uint32_t i = 0; i < all.n; i++) {                     /* those that need it in turn */
    if (all.at[i] == want) continue;
    Reach back = reach_of(l, env, drawing, all.at[i]);
    if (among(back.at, back.n, want)) g->at[g->n++] = all.at[i];
  }
  for (uint32_t k = 0; drawing && k < want->program->sites.n; k++)
    for (uint32_t i = 0; i < all.nsite; i++)
      if (all.site[i] == want->program->sites.at[k]) g->site[g->nsite++] = all.site[i];
  if (all.n == MEMBERS || all.nsite == MEMBERS) {
    diag_at(l->p->t->diag, E0304, want->span, "a recurrence of more than %d names", MEMBERS - 1);
    return false;
  }
  for (uint32_t i = 1; i < g->n; i++)
    if (g->at[i]->by != g->by || g->at[i]->axis != g->axis) {
      DiagItem *d = diag_at(l->p->t->diag, E0408, want->span, "`%s` and `%s` need one another, one step before and one step after", want->name, g->at[i]->name);
      diag_label(d, g->at[i]->span, "the other way here");
      diag_note(d, "a recurrence runs one way, so that its steps can be taken in turn");
      return false;
    }
  for (uint32_t i = 0; i < g->nsite; i++)
    if (g->site[i]->autoregressive) {
      DiagItem *d = diag_at(l->p->t->diag, E0590, g->site[i]->span, "`%s` is autoregressive inside a recurrence along a plate: not built yet", g->site[i]->name);
      diag_label(d, want->span, "the recurrence");
      return false;
    }
  return true;
}

static Range range_of_member(const Lower *l, const Recurrent *r) { return node_of(l->p->t->graph, r->leaf)->range; }

/* What the members become when they are computed from `at`. */
static void turn(Lower *l, const Group *g, const Val *at, bool moving, Val *next) {
  Arena *arena = l->p->t->arena;
  Env *e = g->env;
  for (uint32_t i = 0; i < g->n; i++) {
    Env *given = NEW(arena, Env);
    *given = (Env){.outer = e, .path = e ? e->path : NULL, .inside = true, .given = g->at[i]->variable, .given_value = graph_assume(l->g, at[i], range_of_member(l, g->at[i]))};
    e = given;
  }
  Env *inner = NEW(arena, Env);
  *inner = (Env){.outer = e, .path = g->drawing ? g->drawing->path : e->path, .inside = true};
  for (uint32_t i = 0; i < g->nsite; i++) {
    uint32_t k = 0;
    while (g->drawing->path->program->sites.at[k] != g->site[i]) k++;
    Drawn d = draw_site(l, inner, g->site[i], g->drawing->draw[k], moving ? draw_via(l, g->drawing, g->site[i]) : VIA_COUNT);
    vec_push(arena, &inner->drawn, d);
  }
  for (uint32_t i = 0; i < g->n; i++) {
    next[i] = NO_VAL;
    for (uint32_t k = 0; g->at[i]->site && k < inner->drawn.n; k++)
      if (inner->drawn.at[k].site == g->at[i]->site) next[i] = inner->drawn.at[k].value;
    if (!g->at[i]->site) next[i] = lower_copy(l, inner, g->at[i]->value);
    if (next[i] == NO_VAL) BUG("a recurrence without its definition");
  }
}

static Val side_by_side(Lower *l, const Group *g, const Val *v, AxisSet axes) {
  Val flat[MEMBERS];
  for (uint32_t i = 0; i < g->n; i++) {
    uint32_t size = (uint32_t)shape_event_size(shape_of(l->g, v[i]));
    flat[i] = graph_expand_axes(l->g, g->n == 1 ? v[i] : graph_reshape(l->g, v[i], 1, &size), axes & ~shape_of(l->g, v[i])->axes);
  }
  return g->n == 1 ? flat[0] : graph_concat(l->g, flat, g->n, 0);
}
static void taken_apart(Lower *l, const Group *g, Val all, Val *v) {
  for (uint32_t i = 0, from = 0; i < g->n; i++) {
    const Shape *s = shape_of(l->p->t->graph, g->at[i]->leaf);
    uint32_t size = (uint32_t)shape_event_size(s);
    v[i] = g->n == 1 ? all : graph_reshape(l->g, graph_slice(l->g, all, 0, from, size), s->rank, s->dim);
    from += size;
  }
}

/* A step may see those before it through shifts of the group's own kind, and nothing else along a plate. */
static bool runs_one_way(Lower *l, const Group *g, Val guess, Val next) {
  const bool *sees = seeing(l, guess, next);
  for (Val v = guess + 1; v <= next; v++) {
    const Node *n = node_of(l->g, v);
    if (!sees[v - guess]) continue;
    bool back = n->op == OP_shift && (n->attr.shift.axis != g->axis || (n->attr.shift.by > 0) != (g->by > 0)), over = takes_rows_together(l->g, n);
    if (!back && !over && n->op != OP_settle) continue;
    DiagItem *d = diag_at(l->p->t->diag, over ? E0590 : E0408, g->at[0]->span, over ? "the recurrence of `%s` takes rows or steps together: not built yet" : "the recurrence of `%s` needs steps that come later", g->at[0]->name);
    if (n->span.end) diag_label(d, n->span, over ? "together here" : "needed here");
    diag_help(d, over ? "sums and means over a plate, batch normalisation among them, stay outside of what is defined by its own steps" : "use `prev` alone or `next` alone in what is defined by its own steps");
    return false;
  }
  return true;
}

Val steps_value(Lower *l, Env *env, const Recurrent *want) {
  Env *key = env;
  while (key && (key->given || key->inside)) key = key->outer;
  for (uint32_t i = 0; i < l->found.n; i++)
    if (l->found.at[i].env == key && l->found.at[i].of == want) return l->found.at[i].value;
  Group g;
  Val at[MEMBERS] = {0}, next[MEMBERS];
  AxisSet axes = shape_of(l->p->t->graph, want->leaf)->axes;
  Span before = l->g->span;
  if (!group_find(l, env, want, &g)) return graph_spread(l->g, graph_const(l->g, 0), lower_shape(l, shape_of(l->p->t->graph, want->leaf)));
  l->g->span = want->span;
  /* once or twice to see which axes the definitions bring */
  for (bool more = true; more;) {
    more = false;
    for (uint32_t i = 0; i < g.n; i++) {
      const Shape *s = shape_of(l->p->t->graph, g.at[i]->leaf);
      Val start = graph_spread(l->g, graph_const(l->g, g.at[i]->site ? start_of(g.at[i]->site) : 0), graph_shape(l->g, 0, s->rank, s->dim));
      at[i] = graph_expand_axes(l->g, start, axes);
    }
    turn(l, &g, at, false, next);
    for (uint32_t i = 0; i < g.n; i++) more |= (shape_of(l->g, next[i])->axes & ~axes) != 0, axes |= shape_of(l->g, next[i])->axes;
  }
  l->g->span = want->span;
  Val guess = graph_guess(l->g, side_by_side(l, &g, at, axes), want->name);
  taken_apart(l, &g, guess, at);
  turn(l, &g, at, false, next);
  Val all = side_by_side(l, &g, next, axes), v = all;
  if (runs_one_way(l, &g, guess, all)) v = graph_stop(l->g, graph_settle_along(l->g, all, guess, g.axis));
  if (v != all && l->purpose == FOR_STEP) {
    Val held = graph_hook(l->g, v, false);
    taken_apart(l, &g, held, at);
    turn(l, &g, at, true, next);
    v = graph_implicit_along(l->g, held, side_by_side(l, &g, next, axes), g.axis);
  }
  taken_apart(l, &g, v, at);
  Val out = NO_VAL;
  for (uint32_t i = 0; i < g.n; i++) {
    Found f = {key, g.at[i], graph_label(l->g, graph_assume(l->g, at[i], range_of_member(l, g.at[i])), g.at[i]->name, g.at[i]->span)};
    vec_push(l->p->t->arena, &l->found, f);
    if (g.at[i] == want) out = f.value;
  }
  l->g->span = before;
  return out;
}

/* ---- what may be drawn step by step */
static bool shifts_along(const Typed *t, uint32_t axis) {
  for (Val v = 0; v < t->graph->node.n; v++)
    if (node_of(t->graph, v)->op == OP_shift && node_of(t->graph, v)->attr.shift.axis == axis) return true;
  return false;
}
/* The draw of a step may be a function of those before it; but a score function multiplies the score of a step by the terms of that step
 * alone, and later steps depend on it, too. */
bool steps_allow(const Typed *t, const Site *site, Via via) {
  for (uint32_t a = 0; a < t->graph->axis.n; a++)
    if ((site->shape->axes >> a & 1) && t->graph->axis.at[a].ordered && !draw_moves(via) && shifts_along(t, a)) return false;
  return true;
}

/* Does v see a draw of a later step?  Then KL(q.z || p.z) step by step is not the divergence: what p says of a step given the one before may
 * depend on what q draws from it. */
static bool is_drawn(const Typed *t, Name name) {
  for (uint32_t i = 0; i < t->data.n; i++)
    if (t->data.at[i].name == name) return false;
  for (uint32_t i = 0; i < t->programs.n; i++)
    for (uint32_t k = 0; k < t->programs.at[i]->sites.n; k++)
      if (t->programs.at[i]->sites.at[k]->name == name) return true;
  return false;
}
static bool looks_ahead(const Typed *t, Val v, bool ahead, uint8_t *seen) {
  if (seen[v] >> ahead & 1) return false;
  seen[v] |= (uint8_t)(1 << ahead);
  const Node *n = node_of(t->graph, v);
  if (n->op == OP_shift && n->attr.shift.by < 0) ahead = true;
  if (n->op == OP_input && n->attr.leaf.id == 0) {
    const Recurrent *r = recurrent_of(t, n->attr.leaf.name);
    if (!r) return ahead && is_drawn(t, n->attr.leaf.name);
    return r->site ? ahead && is_drawn(t, r->name) : r->value != NO_VAL && looks_ahead(t, r->value, ahead, seen);
  }
  for (uint32_t i = 0; i < n->nargs; i++)
    if (looks_ahead(t, n->arg[i], ahead, seen)) return true;
  return false;
}
bool steps_look_ahead(const Typed *t, const DistValue *d) {
  Arena *scratch = arena_new();
  uint8_t *seen = arena_alloc(scratch, t->graph->node.n + 1);
  Val part[DIST_VALUES];
  bool yes = false;
  for (uint32_t i = 0, n = dist_values(d, part); i < n; i++) yes |= looks_ahead(t, part[i], false, seen);
  arena_free(scratch);
  return yes;
}
