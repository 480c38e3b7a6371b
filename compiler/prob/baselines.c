/* Baselines of score-function draws.
 *
 * note [baselines]  The draws of a site are multiplied by the sum of its signals: all terms of the objective that depend on it, with
 * their factors, per row.  E grad log q = 0, so from that sum anything may be taken that does not depend on the draw: here the
 * signal's running mean, element by element where the signal is (Ranganath, Gerrish, Blei 2014), or what the site says itself,
 * `via score(baseline: net)`, which is trained to be near the signal (Mnih, Gregor 2014).  One term a site,
 *     - b (log q - stop(log q)),
 * zero in value, is added to the objective.
 *
 * A running mean is two states of the model, the decayed sum of means and of their weights: the first steps are not pulled to 0. */
#include "lower.h"

static const double KEEP = 0.95;                           /* of the past, a step */

static int32_t state_add(Lower *l, Name name, const Shape *s, Val *leaf) {
  Typed *t = l->p->t;
  int32_t id = (int32_t)t->params.n;
  static const double zero = 0;
  ParamInfo info = {.shape = s, .prior = NO_VAL, .leaf = NO_VAL, .used = true};
  info.svi = (SviParam){.name = name, .axis = -1, .rank = (int32_t)s->rank, .dim = s->dim, .size = shape_event_size(s), .state = true, .support = "real",
                        .init = {.kind = SVI_INIT_VALUES, .nvalue = 1, .value = &zero}};
  vec_push(t->arena, &t->params, info);
  *leaf = graph_leaf(l->g, OP_param, name, (uint32_t)id, s, RANGE_REAL);
  return id;
}
static void update(Lower *l, Entry *e, int32_t state, Val v) {
  EntryParam u = {state, v};
  vec_push(l->p->t->arena, &e->updates, u);
}
static Val running_mean(Lower *l, Entry *e, const Goal *goal, const Site *site, Val signal) {
  Graph *g = l->g;
  AxisSet axes = shape_of(g, signal)->axes;
  Val mean = axes ? graph_reduce(g, REDUCE_SUM, signal, axes, 0) : signal;
  for (uint32_t a = 0; a < g->axis.n; a++)
    if (axes >> a & 1) mean = op2(l, OP_div, mean, graph_count(g, a, false));
  Val sum, weight, keep = graph_const(g, KEEP), take = graph_const(g, 1 - KEEP);
  Name name = name_printf("baseline.%s.%s.%s", goal->name, site->program->name, site->name);
  int32_t a = state_add(l, name, shape_of(g, mean), &sum), b = state_add(l, name_printf("%s.weight", name), graph_shape(g, 0, 0, NULL), &weight);
  update(l, e, a, op2(l, OP_add, op2(l, OP_mul, keep, sum), op2(l, OP_mul, take, mean)));
  update(l, e, b, op2(l, OP_add, op2(l, OP_mul, keep, weight), take));
  return op2(l, OP_div, sum, op2(l, OP_max, weight, graph_const(g, 1e-6)));
}

/* A signal in the units of the objective as `site`'s rows see it; see note [scale] in entries.c. */
static Val as_seen(Lower *l, const Goal *goal, const Signal *s, const ScaledPart *part) {
  Graph *g = l->g;
  const Drawn *d = &s->env->drawn.at[s->draw];
  AxisSet own = shape_of(g, d->value)->axes | d->site->shape->axes, batch = goal->axis >= 0 ? (AxisSet)1 << goal->axis : 0;
  Val v = graph_stop(g, op2(l, OP_mul, s->value, s->factor));
  for (uint32_t a = 0; a < g->axis.n; a++) {
    if (g->axis.at[a].kind != AXIS_PARTICLE || !(shape_of(g, v)->axes >> a & 1)) continue;
    if (!(own >> a & 1)) v = graph_reduce(g, REDUCE_SUM, v, (AxisSet)1 << a, 0);
    v = op2(l, OP_div, v, graph_count(g, a, false));
  }
  if (s->index != NO_VAL) {                                 /* each user's: the sum over its ratings */
    AxisSet at = shape_of(g, s->index)->axes;
    const Shape *shape = shape_of(g, v);
    v = graph_scatter(g, v, s->index, 0, s->axis, graph_shape(g, (shape->axes & ~at) | (AxisSet)1 << s->axis, shape->rank, shape->dim));
    if (at & batch) v = op2(l, OP_div, v, graph_count(g, (uint32_t)goal->axis, false));
  }
  AxisSet beyond = shape_of(g, v)->axes & ~own & ~batch;
  if (beyond) v = graph_reduce(g, REDUCE_SUM, v, beyond, 0);
  bool rows = shape_of(g, v)->axes & batch;
  if (part->plates & batch) {
    if (rows && !(own & batch)) v = op2(l, OP_div, graph_reduce(g, REDUCE_SUM, v, batch, 0), graph_count(g, (uint32_t)goal->axis, false));
    return v;
  }
  if (batch && !part->whole) v = op2(l, OP_div, v, graph_count(g, (uint32_t)goal->axis, true));
  return own & batch ? op2(l, OP_mul, v, graph_count(g, (uint32_t)goal->axis, false)) : v;
}

static Val one_site(Lower *l, Entry *e, const Goal *goal, Env *env, uint32_t draw, Val signal) {
  Graph *g = l->g;
  const Drawn *d = &env->drawn.at[draw];
  Val lq = d->log_q, b;
  Val trained = NO_VAL;
  if (d->site->baseline != NO_VAL) {
    Val own = lower_copy(l, env, d->site->baseline);
    if (lower_depends(l, own, d->value)) {
      DiagItem *i = diag_at(l->p->t->diag, E0511, d->site->via_span, "the baseline of `%s` depends on its draw", d->site->name);
      if (l->objective.end) diag_label(i, l->objective, "here what it reads is drawn after `%s`", d->site->name);
      diag_note(i, "E b grad log q is zero for a b that is known before the draw, and else a bias");
      diag_help(i, "leave it out: `via score` keeps a running mean");
      own = graph_const(g, 0);
    }
    if (shape_of(g, signal)->rank) {                        /* one number for all elements: their mean */
      double n = (double)shape_event_size(shape_of(g, signal));
      signal = op2(l, OP_div, graph_sum_all(g, signal), graph_const(g, n));
    }
    Val miss = graph_op1(g, OP_square, op2(l, OP_sub, signal, own));
    trained = op2(l, OP_mul, zero_of(l, miss), graph_const(g, goal->maximize ? -0.5 : 0.5));
    b = graph_stop(g, own);
  } else b = running_mean(l, e, goal, d->site, signal);
  if (shape_of(g, b)->rank == 0 || shape_of(g, lq)->rank != shape_of(g, b)->rank) lq = graph_sum_all(g, lq);
  Val v = graph_sum_all(g, op2(l, OP_mul, graph_op1(g, OP_neg, b), zero_of(l, lq)));
  if (trained != NO_VAL) v = op2(l, OP_add, v, trained);
  AxisSet batch = goal->axis >= 0 ? (AxisSet)1 << goal->axis : 0, rows = shape_of(g, v)->axes & batch, others = shape_of(g, v)->axes & ~batch;
  if (others) v = graph_reduce(g, REDUCE_SUM, v, others, 0);
  if (rows) v = op2(l, OP_div, graph_reduce(g, REDUCE_SUM, v, batch, 0), graph_count(g, (uint32_t)goal->axis, false));
  return v;
}

/* After sites that are enumerated or drawn in pairs there is a log q for each of their outcomes: no baseline there. */
static bool has_index_axes(const Graph *g, Val v) {
  for (uint32_t a = 0; a < g->axis.n; a++)
    if (g->axis.at[a].kind == AXIS_INDEX && (shape_of(g, v)->axes >> a & 1)) return true;
  return false;
}

Val lower_baselines(Lower *l, Entry *e, const Goal *goal, const Signals *signals, const ScaledPart *part) {
  Val sum = NO_VAL;
  for (uint32_t i = 0; i < signals->n; i++) {
    const Signal *s = &signals->at[i];
    uint32_t key = s->env->drawn.at[s->draw].draw;
    bool seen = false;
    for (uint32_t k = 0; k < i; k++) seen |= signals->at[k].env->drawn.at[signals->at[k].draw].draw == key;
    if (seen || has_index_axes(l->g, s->env->drawn.at[s->draw].log_q)) continue;
    Val all = NO_VAL;
    for (uint32_t k = i; k < signals->n; k++) {
      const Signal *other = &signals->at[k];
      if (other->env->drawn.at[other->draw].draw != key) continue;
      Val v = as_seen(l, goal, other, &part[other->part]);
      if (all != NO_VAL && shape_of(l->g, all)->rank != shape_of(l->g, v)->rank) {      /* a scalar goes to each element */
        if (shape_of(l->g, all)->rank == 0) all = graph_spread(l->g, all, shape_of(l->g, v));
        else v = graph_spread(l->g, v, shape_of(l->g, all));
      }
      all = all == NO_VAL ? v : op2(l, OP_add, all, v);
    }
    Val v = one_site(l, e, goal, s->env, s->draw, all);
    sum = sum == NO_VAL ? v : op2(l, OP_add, sum, v);
  }
  return sum;
}
