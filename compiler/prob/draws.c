/* Draws: a site's value in an entry's graph, as its estimator wants it.
 *
 * In:  a path of expectations, sites with their estimators.
 * Out: environments: for every site of the path's program its draw.
 *
 *   pathwise, stl, dreg   the sample, a differentiable function of its parameters
 *   score, muprop, ...    the sample without its gradient: estimators.c gives it one
 *   enumerate             all outcomes, along an index axis
 *   disarm                two antithetic samples, along an index axis (Dong, Mnih, Tucker 2020)
 *   straight_through      the sample, with the gradient of the mean (Bengio, Leonard, Courville 2013)
 *   concrete              the sample, with the gradient of its relaxation from the same noise (Jang, Gu, Poole 2017)
 *   darn                  the sample, with the gradient of the mean over twice the probability of what was drawn: exact when
 *                         the cost is quadratic in each bit (Gregor et al. 2014) */
#include "lower.h"
#include <math.h>

enum { OUTCOMES_MOST = 4096, AXES_SPARE = 8 };

/* value with the gradient of `smooth` */
static Val with_gradient_of(Lower *l, Val value, Val smooth) {
  return op2(l, OP_add, graph_stop(l->g, value), op2(l, OP_sub, smooth, graph_stop(l->g, smooth)));
}

Via draw_via(const Lower *l, const Env *e, const Site *site) {
  const Estimate *estimate = estimate_of(l->p, site);
  Via via = estimate ? estimate->via : VIA_PATHWISE;
  if (e->path->detached) return VIA_COUNT;
  switch (l->purpose) {
    case FOR_STEP:   return via;
    case FOR_REPORT: return via == VIA_ENUMERATE && e->path->particles < 0 ? via : VIA_PATHWISE;
    case FOR_SHOW:   break;
  }
  return VIA_PATHWISE;
}

bool draw_moves(Via via) {
  switch (via) {
    case VIA_AUTO: case VIA_PATHWISE: case VIA_STL: case VIA_DREG: case VIA_STRAIGHT_THROUGH: case VIA_CONCRETE: case VIA_DARN: return true;
    case VIA_SCORE: case VIA_REINFORCE: case VIA_MUPROP: case VIA_VIMCO: case VIA_PRICE: case VIA_ENUMERATE: case VIA_DISARM: case VIA_COUNT: break;
  }
  return false;
}

/* ---- a turn */
AxisSet rows_among(const Graph *g, AxisSet axes) {
  AxisSet out = 0;
  for (uint32_t a = 0; a < g->axis.n; a++)
    if ((axes >> a & 1) && g->axis.at[a].kind != AXIS_INDEX) out |= (AxisSet)1 << a;
  return out;
}
bool *seeing(Lower *l, Val guess, Val last) {
  bool *sees = arena_alloc(l->p->t->arena, last - guess + 1);
  sees[0] = true;
  for (Val v = guess + 1; v <= last; v++) {
    const Node *n = node_of(l->g, v);
    for (uint32_t i = 0; i < n->nargs; i++) sees[v - guess] |= n->arg[i] >= guess && sees[n->arg[i] - guess];
  }
  return sees;
}
bool takes_rows_together(const Graph *g, const Node *n) {
  if (n->op == OP_reduce) return rows_among(g, n->attr.reduce.axes) != 0;
  if (n->op == OP_dot)    return rows_among(g, n->attr.dot.axes) != 0;
  return (n->op == OP_gather || n->op == OP_scatter) && n->attr.gather.axis != NO_VAL;
}

static int32_t new_axis(Lower *l, const char *what, const Site *site, uint32_t size) {
  if (l->g->axis.n + AXES_SPARE > AXIS_MAX) {
    diag_at(l->p->t->diag, E0304, site->span, "too many sites are drawn `via %s`: each needs an axis of its own", what);
    return -1;
  }
  return (int32_t)graph_axis(l->g, (Axis){.name = name_printf("%s_%s_%u", what, site->name, l->g->axis.n), .kind = AXIS_INDEX, .size = size, .parent = -1});
}

/* ---- enumerate: outcome c of n elements of K values each has digit (c / K^j) mod K at element j */
double outcomes_of(const Site *site, uint32_t *digits, uint32_t *base) {
  uint32_t n = (uint32_t)shape_event_size(site->shape);
  if (!site->range.whole || !isfinite(site->range.hi - site->range.lo)) return INFINITY;
  if (site->range.form == FORM_SIMPLEX) {
    uint32_t K = site->shape->dim[site->shape->rank - 1];
    *digits = n / K, *base = K;
  } else *digits = n, *base = (uint32_t)(site->range.hi - site->range.lo + 1);
  return pow(*base, *digits);
}
bool outcomes_few(const Site *site) {
  uint32_t digits, base;
  return outcomes_of(site, &digits, &base) <= OUTCOMES_MOST;
}
/* Plates that pairs or row variables point to: values there are fetched by row. */
static AxisSet pointed_to(const Lower *l, AxisSet plates) {
  AxisSet out = 0;
  for (uint32_t i = 0; i < l->p->t->links.n; i++) out |= plates & (AxisSet)1 << l->p->t->links.at[i].of;
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if (l->g->axis.at[a].again) out |= plates & (AxisSet)1 << (l->g->axis.at[a].again - 1);
  return out;
}
static Val all_outcomes(Lower *l, const Site *site, int32_t *axis) {
  Graph *g = l->g;
  uint32_t digits, base;
  double count = outcomes_of(site, &digits, &base);
  *axis = new_axis(l, "enumerate", site, (uint32_t)count);
  if (*axis < 0) return constant(l, 0);
  Val c = graph_iota_axis(g, (uint32_t)*axis);
  const Shape *s = lower_shape(l, site->shape);
  bool one_hot = site->range.form == FORM_SIMPLEX;
  uint32_t rank = s->rank - one_hot;
  Val place = constant(l, 0);                              /* which digit */
  if (rank) {
    uint32_t n = digits;
    place = graph_reshape(g, graph_iota(g, n), rank, s->dim);
  }
  Val power = graph_op1(g, OP_exp, op2(l, OP_mul, place, constant(l, log(base))));
  Val above = graph_op1(g, OP_floor, op2(l, OP_div, op2(l, OP_add, c, constant(l, 0.5)), op2(l, OP_mul, power, constant(l, base))));
  Val here  = graph_op1(g, OP_floor, op2(l, OP_div, op2(l, OP_add, c, constant(l, 0.5)), power));
  Val digit = op2(l, OP_sub, here, op2(l, OP_mul, above, constant(l, base)));
  if (one_hot) {
    Val wide = graph_expand(g, digit, 1u << rank, s->rank, s->dim);
    return op2(l, OP_eq, graph_expand(g, graph_iota(g, base), (1u << rank) - 1, s->rank, s->dim), wide);
  }
  return op2(l, OP_add, digit, constant(l, site->range.lo));
}

/* ---- one site */
static Val sample_of(Lower *l, const Site *site, const DistValue *of, uint32_t draw, const Shape *event) {
  Typed *t = l->p->t;
  unsigned errors = diag_errors(t->diag);
  DistValue d = *of;
  d.flow = NULL;
  Val v = dist_member(t, l->g, &d, "sample", NO_VAL, event, draw);
  if (v == NO_VAL && diag_errors(t->diag) == errors) {
    DiagItem *item = diag_at(t->diag, E0503, site->dist.span, "`%s` cannot be drawn from", site->dist.decl->name);
    diag_label(item, site->dist.decl->name_span, "it says no `sample`");
    diag_help(item, "add `sample = ...` to it, from standard_uniform(), standard_normal(), standard_gamma(a), poisson_draw(rate) or vonmises_draw(k)");
  }
  if (v == NO_VAL) return constant(l, 0);
  return shape_of(l->g, v)->rank < event->rank ? graph_spread(l->g, v, event) : v;
}

static Val antithetic(Lower *l, const Site *site, const DistValue *d, uint32_t draw, const Shape *event, int32_t *axis) {
  *axis = new_axis(l, "disarm", site, 2);
  if (*axis < 0) return constant(l, 0);
  Val prob = dist_member(l->p->t, l->g, d, "mean", NO_VAL, event, draw);
  Val u = graph_random(l->g, RANDOM_UNIFORM, draw, event, NO_VAL);
  Val other = op2(l, OP_sub, constant(l, 1), u);
  return op2(l, OP_lt, graph_op3(l->g, OP_select, graph_iota_axis(l->g, (uint32_t)*axis), u, other), prob);
}

Drawn draw_site(Lower *l, Env *e, Site *site, uint32_t draw, Via via) {
  Graph *g = l->g;
  Drawn out = {site, via, draw, NO_VAL, NO_VAL, -1, NO_VAL};
  DistValue d = lower_dist(l, e, &site->dist, false);
  const Shape *event = lower_noise(l, e, site, &d);
  Name name = g->draws.at[draw].name;
  g->span = site->span;
  Val v = NO_VAL, mean;
  switch (via) {
    case VIA_ENUMERATE:
      if (e->path->particles >= 0) {
        DiagItem *i = diag_at(l->p->t->diag, E0511, site->span, "`%s` cannot be enumerated under several particles", site->name);
        diag_note(i, "the outcomes would be the same for every particle");
        diag_help(i, "draw it: `via score`, `via vimco`; or take one draw: `E[%s](...)`", e->path->program->name);
      }
      v = all_outcomes(l, site, &out.axis);
      v = graph_expand_axes(g, v, pointed_to(l, site->shape->axes));
      break;
    case VIA_DISARM: v = antithetic(l, site, &d, draw, event, &out.axis); break;
    case VIA_STRAIGHT_THROUGH:
      v = sample_of(l, site, &d, draw, event);
      v = with_gradient_of(l, v, dist_member(l->p->t, g, &d, "mean", NO_VAL, event, draw));
      break;
    case VIA_CONCRETE:
      v = sample_of(l, site, &d, draw, event);
      v = with_gradient_of(l, v, dist_member(l->p->t, g, &d, "relaxed", lower_copy(l, e, site->temperature), event, draw));
      break;
    case VIA_DARN:
      v = graph_stop(g, sample_of(l, site, &d, draw, event));
      mean = dist_member(l->p->t, g, &d, "mean", NO_VAL, event, draw);
      mean = op2(l, OP_div, op2(l, OP_sub, mean, graph_stop(g, mean)),
                 graph_stop(g, op2(l, OP_mul, constant(l, 2), graph_op3(g, OP_select, v, mean, op2(l, OP_sub, constant(l, 1), mean)))));
      v = op2(l, OP_add, v, mean);
      break;
    case VIA_SCORE: case VIA_REINFORCE: case VIA_MUPROP: case VIA_VIMCO: case VIA_PRICE: case VIA_COUNT:
      v = graph_stop(g, sample_of(l, site, &d, draw, event));
      break;
    case VIA_AUTO: case VIA_PATHWISE: case VIA_STL: case VIA_DREG:
      v = sample_of(l, site, &d, draw, event);
      break;
  }
  if (d.flow) {
    Env before = {.outer = e, .given = d.flow->in_name, .given_value = v};
    out.base = v;
    v = lower_copy(l, &before, d.flow->out);
  }
  out.value = graph_label(g, graph_assume(g, v, site->range), name, site->span);
  return out;
}

/* ---- environments */
static Drawn draw_any(Lower *l, Env *e, Site *site, uint32_t draw, Via via) {
  return (site->autoregressive ? autoregressive_draw : draw_site)(l, e, site, draw, via);
}
bool env_has(const Env *env, Via via) {
  for (; env; env = env->outer)
    for (uint32_t i = 0; i < env->drawn.n; i++)
      if (env->drawn.at[i].via == via) return true;
  return false;
}

Env *env_new(Lower *l, Env *outer, const Path *path) {
  Typed *t = l->p->t;
  Env *e = NEW(t->arena, Env);
  e->outer = outer, e->path = path;
  Program *p = path->program;
  uint32_t *draw = arena_alloc(t->arena, (p->sites.n + 1) * sizeof *draw);
  e->draw = draw;
  for (uint32_t i = 0; i < p->sites.n; i++) {
    Name name = name_printf("%s.%s", p->name, p->sites.at[i]->name);
    if (path->copy) name = name_printf("%s#%u", name, path->copy);
    draw[i] = graph_draw(l->g, (Draw){name, p->sites.at[i]->span, false});
  }
  for (uint32_t i = 0; i < p->sites.n; i++) {
    Site *site = p->sites.at[i];
    Drawn made = draw_any(l, e, site, draw[i], draw_via(l, e, site));
    made.value = lower_given(l, site, made.value);
    vec_push(t->arena, &e->drawn, made);
  }
  return e;
}

/* What a later draw is in a replay: a differentiable function of the one that changed, where it can be. */
static Via replayed(Via via) { return via == VIA_PRICE ? VIA_PATHWISE : via; }

Env *env_replay(Lower *l, Env *leaf, Env *at, uint32_t i, Val value) {
  Typed *t = l->p->t;
  Env *e = NEW(t->arena, Env);
  *e = (Env){.outer = leaf == at ? leaf->outer : env_replay(l, leaf->outer, at, i, value), .path = leaf->path, .draw = leaf->draw};
  for (uint32_t k = 0; k < leaf->drawn.n; k++) {
    Drawn d = leaf->drawn.at[k];
    if (leaf == at && k == i) d.value = value, d.via = VIA_COUNT;
    else if (leaf != at || k > i) {
      bool mean = leaf == at && at->drawn.at[i].via == VIA_MUPROP && d.via == VIA_MUPROP;      /* mean field from here on */
      d = draw_any(l, e, d.site, d.draw, replayed(d.via));
      if (mean) d.value = lower_member(l, e, d.site, "mean"), d.via = VIA_COUNT;
    }
    d.log_q = NO_VAL;
    vec_push(t->arena, &e->drawn, d);
  }
  return e;
}

Env *env_hooked(Lower *l, Env *leaf) {
  if (!leaf) return NULL;
  Env *e = NEW(l->p->t->arena, Env);
  *e = (Env){.outer = env_hooked(l, leaf->outer), .path = leaf->path, .draw = leaf->draw};
  for (uint32_t k = 0; k < leaf->drawn.n; k++) {
    Drawn d = leaf->drawn.at[k];
    d.log_q = NO_VAL;
    if (d.via == VIA_DREG) d.value = graph_hook(l->g, d.value, true);
    vec_push(l->p->t->arena, &e->drawn, d);
  }
  return e;
}
