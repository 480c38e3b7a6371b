/* pairs: which rows of a draw a term depends on.
 *
 * In:  a term for each rating, a draw for each user, the log density of the draw for each user.
 * Out: the log density at each rating's user, where the term sees the draw only there; else as it was.
 *
 * The score function multiplies a term by the log densities of all draws it depends on.  A rating's term depends on one user's,
 * so the others have no part in it: they would add noise and nothing else (static Rao-Blackwellisation). */
#include "lower.h"

typedef struct { const Graph *g; Val draw; uint32_t axis; Val index; bool fails; uint8_t *seen; } Trace;

enum { SEEN_NOT = 1, SEEN_DEPENDS = 2 };

/* Whether v depends on the draw.  Outside of gathers it must not at all; inside of one (`table`) every value between must vary over
 * the draw's rows, and so belong to the same row. */
static bool traced(Trace *t, Val v, bool table) {
  const Node *n = node_of(t->g, v);
  if (v == t->draw) {
    t->fails |= !table;
    return true;
  }
  uint8_t *seen = &t->seen[2 * v + table];
  if (v < t->draw || *seen) return *seen == SEEN_DEPENDS;            /* arguments come first */
  *seen = SEEN_NOT;
  bool depends = false;
  bool fetch = !table && n->op == OP_gather && n->attr.gather.axis == t->axis;
  for (uint32_t i = 0; i < n->nargs; i++) depends |= traced(t, n->arg[i], table || (fetch && i == 0));
  if (!depends) return false;
  *seen = SEEN_DEPENDS;
  if (table && (!(n->shape->axes >> t->axis & 1) || (n->op == OP_gather && n->attr.gather.axis != NO_VAL))) t->fails = true;
  if (fetch) {
    t->fails |= t->index != NO_VAL && t->index != n->arg[1];
    t->index = n->arg[1];
  }
  return true;
}

bool sees_rows_by_index(Lower *l, Val v, Val draw, uint32_t plate) {
  Trace trace = {l->g, draw, plate, NO_VAL, false, arena_alloc(l->p->t->arena, 2 * (l->g->node.n + 1))};
  traced(&trace, v, false);
  return trace.index != NO_VAL;
}

Val score_at_rows(Lower *l, Val t, Val draw, Val log_q, Val *index, uint32_t *axis) {
  Graph *g = l->g;
  *index = NO_VAL;
  AxisSet extra = shape_of(g, log_q)->axes & ~shape_of(g, t)->axes;
  for (uint32_t a = 0; a < g->axis.n; a++) {
    if (!(extra >> a & 1) || g->axis.at[a].kind != AXIS_PLATE) continue;
    Trace trace = {g, draw, a, NO_VAL, false, arena_alloc(l->p->t->arena, 2 * (g->node.n + 1))};
    traced(&trace, t, false);
    if (trace.fails || trace.index == NO_VAL || (shape_of(g, trace.index)->axes & ~shape_of(g, t)->axes)) continue;
    log_q = graph_gather(g, log_q, trace.index, 0, a);
    *index = trace.index, *axis = a;
  }
  return log_q;
}
