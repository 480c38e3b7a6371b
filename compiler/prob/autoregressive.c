/* Draws of autoregressive sites.
 *
 * In:  a site whose arguments name its own variable, coordinate i only coordinates before i (the checker has made sure).
 * Out: the draw.
 *
 * With its noise held fixed, coordinate i of the draw is a function of those before it: h = s(h).  The graph draws from a guess
 * of h, and again from what that gave, until nothing changes (ops/settle.c): that is the draw one would get coordinate by
 * coordinate, for the counters of the noise are the same.  A coordinate is a row along the first event axis.
 *
 * A draw that is to move with its parameters (pathwise, straight_through, darn, ...) is drawn once more from what the repetition
 * gave, with the gradient of one draw; through the coordinates it depends on itself the gradient goes by the implicit function
 * theorem (OP_implicit). */
#include "lower.h"
#include <math.h>

double start_of(const Site *site) {
  Range r = site->range;
  if (r.form == FORM_SIMPLEX) return 1. / site->shape->dim[site->shape->rank - 1];
  if (r.lo < 0 && r.hi > 0) return 0;
  if (r.lo == 0 && !r.lo_open) return 0;
  if (isinf(r.hi)) return r.whole || !r.lo_open ? r.lo : r.lo + 1;
  if (isinf(r.lo)) return r.whole || !r.hi_open ? r.hi : r.hi - 1;
  return r.whole ? r.lo : (r.lo + r.hi) / 2;
}

/* What of the rows a draw takes in one go must not reach other rows. */
static bool mixes_rows(Lower *l, const Site *site, Val guess, Val next) {
  const Graph *g = l->g;
  const bool *sees = seeing(l, guess, next);
  for (Val v = guess + 1; v <= next; v++) {
    const Node *n = node_of(g, v);
    if (!sees[v - guess]) continue;
    bool other = n->op == OP_settle || rows_among(g, n->shape->axes) != rows_among(g, shape_of(g, guess)->axes);
    if (!other && !takes_rows_together(g, n)) continue;
    if (!l->objective.end) {                                 /* samples are shown where they can be */
      l->missing = site->name;
      return true;
    }
    DiagItem *d = diag_at(l->p->t->diag, E0590, site->dist.span, "drawing the autoregressive `%s`, whose arguments reach from one row to others, is not built yet", site->name);
    diag_label(d, site->span, "drawn row by row");
    if (n->span.end) diag_label(d, n->span, "rows come together here");
    diag_help(d, "leave the rows apart: normalise what does not depend on `%s`", site->name);
    return true;
  }
  return false;
}

static Val drawn(Lower *l, Env *e, Site *site, Val variable, uint32_t draw, Via via) {
  Drawn as = {site, VIA_COUNT, draw, variable, NO_VAL, -1, NO_VAL};
  vec_push(l->p->t->arena, &e->drawn, as);
  Val v = draw_site(l, e, site, draw, via).value;
  e->drawn.n--;
  return v;
}

Drawn autoregressive_draw(Lower *l, Env *e, Site *site, uint32_t draw, Via via) {
  Graph *g = l->g;
  Drawn out = {site, via, draw, NO_VAL, NO_VAL, -1, NO_VAL};
  const Shape *event = graph_shape(g, 0, site->shape->rank, site->shape->dim);
  uint32_t turns = event->rank ? event->dim[0] : 1;
  g->span = site->span;
  Val start = graph_spread(g, graph_const(g, start_of(site)), event);
  if (via == VIA_ENUMERATE) {                               /* all outcomes need no draw */
    Drawn as = {site, VIA_COUNT, draw, start, NO_VAL, -1, NO_VAL};
    vec_push(l->p->t->arena, &e->drawn, as);
    out = draw_site(l, e, site, draw, via);
    e->drawn.n--;
    return out;
  }
  /* once to see which axes the arguments bring */
  AxisSet axes = shape_of(g, drawn(l, e, site, start, draw, VIA_COUNT))->axes;
  g->span = site->span;
  Val guess = graph_guess(g, graph_expand_axes(g, start, axes), site->name);
  Val next = graph_expand_axes(g, drawn(l, e, site, graph_assume(g, guess, site->range), draw, VIA_COUNT), axes);
  out.value = next;
  if (next < guess || mixes_rows(l, site, guess, next)) return out;
  g->span = site->span;
  Val v = graph_stop(g, graph_settle(g, next, guess, turns));
  if (l->purpose == FOR_STEP && draw_moves(via)) {
    Val at = graph_hook(g, v, false);
    Val again = graph_expand_axes(g, drawn(l, e, site, at, draw, via), axes);
    v = graph_assume(g, graph_implicit(g, at, again, turns), site->range);
  }
  out.value = graph_label(g, v, g->draws.at[draw].name, site->span);
  return out;
}
