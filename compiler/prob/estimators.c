/* Estimators: an expectation over draws, with a gradient.
 *
 * In:  a body (what stands under the expectations) and the environments around it, with their draws.
 * Out: the body's value whose gradient is an unbiased estimate of the expectation's, unless a site asked for a biased one.
 *
 * Draws are taken from the last to the first, so that each is met when the expectation over those after it has been taken.
 * `elem` is the body, element by element of its event where it has one; `rest` is zero in value and carries gradients.
 *
 * note [surrogate]  A score-function draw s adds
 *     stop(t) * (log q(s) - stop(log q(s)))
 * whose value is 0 and whose gradient is the score-function estimate (Schulman et al. 2015).  t are the terms that depend on
 * the draw, and no others (Ranganath et al. 2014): each part of the objective comes here alone, rows are named axes, and where
 * element j of t depends on element j of the draw only, they are paired element by element (but not for an autoregressive draw,
 * whose element j moves with the parameters of those before it).  It is made inside the expectation, so functions
 * of expectations are differentiated through it by the chain rule (Foerster et al. 2018).
 *
 * note [mean units]  Where the body has rows that the draw lacks (weights of all rows under one row's sum), an estimate made from
 * their sum is divided by their number: adding it to the body spreads it over the rows again. */
#include "lower.h"

static Val total(Lower *l, Val v) { return graph_sum_all(l->g, v); }
static void add_to(Lower *l, Val *rest, Val v) { *rest = *rest == NO_VAL ? v : op2(l, OP_add, *rest, v); }

/* ---- what depends on what */
static bool depends_on(const Graph *g, Val v, Val on, uint8_t *seen) {
  if (v == on) return true;
  if (v < on) return false;                                /* arguments come first */
  if (seen[v]) return seen[v] == 2;
  seen[v] = 1;
  const Node *n = node_of(g, v);
  for (uint32_t i = 0; i < n->nargs; i++)
    if (depends_on(g, n->arg[i], on, seen)) { seen[v] = 2; return true; }
  return false;
}
bool lower_depends(Lower *l, Val v, Val on) {
  Arena *scratch = arena_new();
  bool yes = depends_on(l->g, v, on, arena_alloc(scratch, l->g->node.n + 1));
  arena_free(scratch);
  return yes;
}

/* Does element j of v depend on element j of `on` alone? */
typedef enum { UNKNOWN, NOT_AT_ALL, POINT, MIXED } Relation;
static Relation relation(const Graph *g, Val v, Val on, uint8_t *memo) {
  if (v == on) return POINT;
  if (v < on) return NOT_AT_ALL;
  if (memo[v]) return (Relation)memo[v];
  const Node *n = node_of(g, v);
  Relation r = NOT_AT_ALL;
  for (uint32_t i = 0; i < n->nargs && r != MIXED; i++) {
    Relation a = relation(g, n->arg[i], on, memo);
    if (a > r) r = a;
  }
  if (r == POINT) {
    const Shape *s = n->shape, *o = shape_of(g, on);
    bool same = s->rank == o->rank && memcmp(s->dim, o->dim, s->rank * sizeof *s->dim) == 0;
    bool each = op_class(n->op) == CLASS_ELEMENTWISE || n->op == OP_stop || n->op == OP_assume || (n->op == OP_expand && n->attr.expand.added == 0);
    if (!same || !each) r = MIXED;
  }
  memo[v] = (uint8_t)r;
  return r;
}
static bool pointwise(Lower *l, Val v, Val on) {
  if (shape_of(l->g, on)->rank == 0) return false;         /* nothing to pair */
  Arena *scratch = arena_new();
  Relation r = relation(l->g, v, on, arena_alloc(scratch, l->g->node.n + 1));
  arena_free(scratch);
  return r == POINT;
}

/* ---- axes */
static AxisSet axes_of(const Lower *l, Val v) { return shape_of(l->g, v)->axes; }
/* v, summed over rows and particles that `like` does not have */
static Val sum_beyond(Lower *l, Val v, AxisSet like) {
  AxisSet extra = rows_among(l->g, axes_of(l, v) & ~like);
  return extra ? graph_reduce(l->g, REDUCE_SUM, v, extra, 0) : v;
}
static Val sum_everywhere(Lower *l, Val v) {
  v = total(l, v);
  return axes_of(l, v) ? graph_reduce(l->g, REDUCE_SUM, v, axes_of(l, v), 0) : v;
}
static Val over_count(Lower *l, Val v, AxisSet axes) {      /* see note [mean units] */
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if (axes >> a & 1) v = op2(l, OP_div, v, graph_count(l->g, a, false));
  return v;
}
static Val over_axis(Lower *l, Val v, int32_t axis, Val weight, double factor) {
  v = graph_reduce(l->g, REDUCE_SUM, weight == NO_VAL ? v : op2(l, OP_mul, v, weight), (AxisSet)1 << axis, 0);
  return factor == 1 ? v : op2(l, OP_mul, v, constant(l, factor));
}
static bool has_axis(const Lower *l, Val v, int32_t axis) { return v != NO_VAL && (axes_of(l, v) >> axis & 1); }

/* log_sum_exp over the particles of e: what it is of, or NO_VAL */
static Val weights_of(const Lower *l, const Env *e, Val elem) {
  const Node *n = node_of(l->g, elem);
  bool is = e->path->particles >= 0 && n->op == OP_reduce && n->attr.reduce.kind == REDUCE_LOGSUMEXP && n->attr.reduce.dims == 0 &&
            n->attr.reduce.axes == (AxisSet)1 << e->path->particles;
  return is ? n->arg[0] : NO_VAL;
}

static Val log_q(Lower *l, Env *e, uint32_t i) {
  Drawn *d = &e->drawn.at[i];
  if (d->log_q == NO_VAL) {
    Val v = lower_log_density_elements(l, e, d->site, d->value);
    e->drawn.at[i].log_q = v;
  }
  return e->drawn.at[i].log_q;
}

static Val gradient(Lower *l, const Site *site, Val root, Val by) {
  Val culprit, out;
  const char *why = graph_no_gradient(l->g, root, &by, 1, &culprit);
  if (why) {
    DiagItem *i = diag_at(l->p->t->diag, E0511, site->span, "`via %s` differentiates what depends on `%s`, and cannot", via_name(site->via), site->name);
    if (node_of(l->g, culprit)->span.end) diag_label(i, node_of(l->g, culprit)->span, "%s", why);
    else diag_note(i, "%s", why);
    diag_help(i, site->discrete ? "`via score` needs no derivative" : "leave `via` out");
    return NO_VAL;
  }
  graph_grad(l->g, root, &by, 1, &out);
  return out;
}

/* ---- the estimators */
typedef struct { Lower *l; Env *leaf; Body body; Signals *signals; } Work;
/* What a scalar estimate multiplies: the sum of the body's elements, or the vector it is. */
static Val whole(Work *w, Val elem) { return w->body.vector ? elem : total(w->l, elem); }
static Val value_after(Work *w, Env *leaf, const Env *at, uint32_t i);

static bool scalar_body(Work *w, const Site *site, Val elem) {
  if (!w->body.vector || shape_of(w->l->g, elem)->rank == 0) return true;
  DiagItem *i = diag_at(w->l->p->t->diag, E0511, site->span, "`via %s` needs an expectation of one number, and one of a vector depends on `%s`", via_name(site->via), site->name);
  if (w->l->objective.end) diag_label(i, w->l->objective, "here");
  diag_help(i, "write `via score`");
  return false;
}

static void note_signal(Work *w, Env *e, uint32_t i, Val value, Val index, uint32_t axis) {
  if (!w->signals) return;
  Signal s = {e, i, value, NO_VAL, 0, index, axis};
  vec_push(w->l->p->t->arena, w->signals, s);
}
static void by_score(Work *w, Env *e, uint32_t i, Val elem, Val *rest) {
  Lower *l = w->l;
  Via via = e->drawn.at[i].via;
  Val z = e->drawn.at[i].value, lq = log_q(l, e, i);
  bool moved = lower_depends(l, elem, z);
  if (via != VIA_REINFORCE && !moved) return;
  bool each = via != VIA_REINFORCE && !e->drawn.at[i].site->autoregressive && !w->body.vector && pointwise(l, elem, z) && shape_of(l->g, lq)->rank == shape_of(l->g, elem)->rank;
  Val t = stop(l, each ? elem : whole(w, elem));
  if (!each) lq = total(l, lq);
  Val index = NO_VAL;
  uint32_t axis = 0;
  if (via != VIA_REINFORCE) lq = score_at_rows(l, elem, z, lq, &index, &axis);
  Val score = sum_beyond(l, zero_of(l, lq), axes_of(l, t));
  if (!moved) score = over_count(l, score, rows_among(l->g, axes_of(l, lq) & ~axes_of(l, t)));      /* a constant belongs to each row once */
  add_to(l, rest, whole(w, op2(l, OP_mul, t, score)));
  if (via != VIA_REINFORCE) note_signal(w, e, i, t, index, axis);
}

/* Leave-one-out baselines for log_sum_exp over K weights u_k (Mnih, Rezende 2016): for each k the value with u_k replaced by the mean of
 * the others, log(sum_{j != k} exp u_j + exp(mean_{j != k} u_j)). */
static void by_vimco(Work *w, Env *e, uint32_t i, Val elem, Val *rest) {
  Lower *l = w->l;
  Val u = weights_of(l, e, elem);
  if (u == NO_VAL) { by_score(w, e, i, elem, rest); return; }
  AxisSet particles = (AxisSet)1 << e->path->particles;
  Val others = op2(l, OP_max, op2(l, OP_sub, graph_count(l->g, (uint32_t)e->path->particles, false), constant(l, 1)), constant(l, 1));
  Val mean = op2(l, OP_div, op2(l, OP_sub, graph_reduce(l->g, REDUCE_SUM, u, particles, 0), u), others);
  Val share = op2(l, OP_min, graph_op1(l->g, OP_exp, op2(l, OP_sub, u, elem)), constant(l, 1 - 1e-6));
  Val without = op2(l, OP_add, elem, graph_op1(l->g, OP_log1p, graph_op1(l->g, OP_neg, share)));
  Val left_out = op2(l, OP_add, mean, graph_op1(l->g, OP_softplus, op2(l, OP_sub, without, mean)));
  Val t = stop(l, op2(l, OP_sub, elem, left_out));
  Val score = op2(l, OP_mul, t, zero_of(l, total(l, log_q(l, e, i))));
  add_to(l, rest, sum_beyond(l, score, axes_of(l, elem)));
}

/* First-order Taylor expansion around the mean m as control variate (Gu, Levine, Sutskever, Mnih 2016):
 *   (t(z) - t(m) - t'(m) (z - m)) grad log q(z) + t'(m) grad m
 * with later sites of the same kind at their means, too. */
static void by_muprop(Work *w, Env *e, uint32_t i, Val elem, Val *rest) {
  Lower *l = w->l;
  const Drawn d = e->drawn.at[i];
  if (!lower_depends(l, elem, d.value) || !scalar_body(w, d.site, elem)) return;
  Val m = lower_member(l, e, d.site, "mean");
  Val at = graph_hook(l->g, graph_expand_axes(l->g, m, axes_of(l, d.value) & ~axes_of(l, m)), false);      /* a slope for each row and particle */
  Env *leaf = env_replay(l, w->leaf, e, i, at);
  const Env *there = leaf;
  for (const Env *k = w->leaf; k != e; k = k->outer) there = there->outer;
  Val t = total(l, elem), taylor = total(l, value_after(w, leaf, there, i));
  Val g = gradient(l, d.site, sum_everywhere(l, taylor), at);
  AxisSet beyond = rows_among(l->g, axes_of(l, t) & ~axes_of(l, d.value));
  Val signal = op2(l, OP_sub, t, taylor);
  if (beyond) signal = graph_reduce(l->g, REDUCE_SUM, signal, beyond, 0);
  if (g != NO_VAL) {
    Val line = total(l, op2(l, OP_mul, g, op2(l, OP_sub, d.value, m)));
    signal = op2(l, OP_sub, signal, sum_beyond(l, line, axes_of(l, signal)));
    Val path = total(l, op2(l, OP_mul, stop(l, g), zero_of(l, m)));
    add_to(l, rest, over_count(l, sum_beyond(l, path, axes_of(l, t)), beyond));
  }
  signal = stop(l, over_count(l, signal, beyond));
  Val lq = total(l, log_q(l, e, i));
  add_to(l, rest, op2(l, OP_mul, signal, sum_beyond(l, zero_of(l, lq), axes_of(l, signal))));
  note_signal(w, e, i, signal, NO_VAL, 0);
}

/* Antithetic pair (b1, b0) of a Bernoulli with log odds a (Dong, Mnih, Tucker 2020): 1/2 (t(b1) - t(b0)) (b1 - b0) sigmoid(|a|) grad a */
static void by_pair(Work *w, Env *e, uint32_t i, Val *elem, Val *rest) {
  Lower *l = w->l;
  const Drawn d = e->drawn.at[i];
  bool here = has_axis(l, *elem, d.axis);
  if (here) {
    Val sign = op2(l, OP_sub, op2(l, OP_mul, constant(l, 2), graph_iota_axis(l->g, (uint32_t)d.axis)), constant(l, 1));
    bool each = !w->body.vector && pointwise(l, *elem, d.value);
    Val apart = over_axis(l, each ? *elem : whole(w, *elem), d.axis, sign, 0.5);
    Val which = over_axis(l, d.value, d.axis, sign, 1);
    Val a = lower_member(l, e, d.site, "log_odds");
    Val weight = op2(l, OP_mul, which, graph_op1(l->g, OP_sigmoid, graph_op1(l->g, OP_abs, a)));
    Val score = op2(l, OP_mul, stop(l, weight), zero_of(l, a));
    if (!each) score = total(l, score);
    score = sum_beyond(l, score, axes_of(l, apart));
    *elem = over_axis(l, *elem, d.axis, NO_VAL, 0.5);
    if (has_axis(l, *rest, d.axis)) *rest = over_axis(l, *rest, d.axis, NO_VAL, 0.5);
    add_to(l, rest, whole(w, op2(l, OP_mul, stop(l, apart), score)));
  } else if (has_axis(l, *rest, d.axis)) *rest = over_axis(l, *rest, d.axis, NO_VAL, 0.5);
}

/* Rows of a draw that come together in one value of v, which sees more than one of them. */
static AxisSet rows_met(Lower *l, Val v, Val draw, AxisSet beyond) {
  Val index;
  uint32_t axis;
  return axes_of(l, score_at_rows(l, v, draw, draw, &index, &axis)) & beyond;
}
static void tell_met(Lower *l, const Site *site, const char *help) {
  DiagItem *item = diag_at(l->p->t->diag, E0511, site->span, "`via %s` needs an objective that is a sum over the draws of `%s`", via_name(site->via), site->name);
  if (l->objective.end) diag_label(item, l->objective, "here draws meet in one non-linear function");
  diag_help(item, "%s", help);
}

/* Each row has its own outcomes, and they stand on one axis: a body of several rows' draws would see the same outcome in all of them. */
static void by_outcomes(Work *w, Env *e, uint32_t i, Val *elem, Val *rest) {
  Lower *l = w->l;
  const Drawn d = e->drawn.at[i];
  if (!has_axis(l, *elem, d.axis) && !has_axis(l, *rest, d.axis)) return;
  Val weight = graph_op1(l->g, OP_exp, total(l, log_q(l, e, i))), index;
  AxisSet beyond = rows_among(l->g, d.site->shape->axes & ~w->body.rows);
  uint32_t axis;
  for (int k = 0; k < 2; k++) {
    Val *v = k ? rest : elem;
    if (!has_axis(l, *v, d.axis)) continue;
    bool met = beyond & ~axes_of(l, d.value) || rows_met(l, *v, d.value, beyond);
    for (uint32_t a = 0; a < l->g->axis.n; a++)                         /* q.z[m] of other rows beside the row's own */
      if ((d.site->shape->axes & w->body.rows) >> a & 1) met |= sees_rows_by_index(l, *v, d.value, a);
    if (met) tell_met(l, d.site, "leave `via` out, or write `via score`");
    *v = over_axis(l, *v, d.axis, met ? NO_VAL : score_at_rows(l, *v, d.value, weight, &index, &axis), 1);
  }
}

/* Bonnet 1964 and Price 1958 (Rezende, Mohamed, Wierstra 2014): d/dm E f = E f', d/dC E f = 1/2 E f''.
 * The Hessian's rows come from copies of the draw along an index axis, each differentiated by another element. */
static void by_price(Work *w, Env *e, uint32_t i, Val elem, Val *rest) {
  Lower *l = w->l;
  const Drawn d = e->drawn.at[i];
  if (!lower_depends(l, elem, d.value) || !scalar_body(w, d.site, elem)) return;
  Graph *g = l->g;
  const Shape *s = shape_of(g, d.value);
  if (s->rank > 1) {
    diag_help(diag_at(l->p->t->diag, E0511, d.site->span, "`via price` is for scalars and vectors"), "leave `via` out: the draw is differentiated through");
    return;
  }
  for (const Env *k = w->leaf; k; k = k->outer)            /* its later draws must follow smoothly */
    for (uint32_t j = k == e ? i + 1 : 0; j < k->drawn.n; j++) {
      const Drawn *later = &k->drawn.at[j];
      if (!later->site->discrete || later->via == VIA_COUNT || !lower_depends(l, later->value, d.value)) continue;
      DiagItem *item = diag_at(l->p->t->diag, E0511, d.site->span, "`via price` needs second derivatives, and `%s` is drawn from what follows `%s`", later->site->name, d.site->name);
      diag_label(item, later->site->span, "takes whole values");
      diag_help(item, "leave `via` out: the draw is differentiated through");
      return;
    }
  if (rows_met(l, elem, d.value, rows_among(l->g, s->axes & ~axes_of(l, elem)))) {      /* the Hessian would be one of all rows or particles together */
    tell_met(l, d.site, "leave `via` out, or write `via dreg`: the draw is differentiated through");
    return;
  }
  uint32_t n = s->rank ? s->dim[0] : 1;
  AxisSet copies = 0;
  Val z = d.value;
  if (s->rank) {
    uint32_t axis = graph_axis(g, (Axis){.name = name_printf("price_%s_%u", d.site->name, g->axis.n), .kind = AXIS_INDEX, .size = n, .parent = -1});
    copies = (AxisSet)1 << axis;
    z = graph_expand_axes(g, z, copies);
  }
  Val at = graph_hook(g, z, false);
  Env *leaf = env_replay(l, w->leaf, e, i, at);
  const Env *there = leaf;
  for (const Env *k = w->leaf; k != e; k = k->outer) there = there->outer;
  Val slope = gradient(l, d.site, sum_everywhere(l, value_after(w, leaf, there, i)), at);
  if (slope == NO_VAL) return;
  Val own = NO_VAL;                                         /* 1 where copy = element */
  if (copies) {
    uint32_t axis = 0;
    while (!(copies >> axis & 1)) axis++;
    own = op2(l, OP_eq, graph_iota(g, n), graph_iota_axis(g, axis));
  }
  Val curve = gradient(l, d.site, sum_everywhere(l, copies ? op2(l, OP_mul, slope, own) : slope), at);
  if (copies) slope = graph_reduce(g, REDUCE_SUM, op2(l, OP_mul, slope, own), copies, 0);
  AxisSet t = axes_of(l, elem), beyond = rows_among(l->g, t & ~s->axes);
  Val m = lower_member(l, e, d.site, "mean");
  Val first = total(l, op2(l, OP_mul, stop(l, slope), zero_of(l, m)));
  add_to(l, rest, over_count(l, sum_beyond(l, first, t), beyond));
  if (curve == NO_VAL) return;
  Val C = lower_member(l, e, d.site, "covariance"), second;
  if (C != NO_VAL) {                                        /* a vector's: all of the Hessian */
    uint32_t axis = 0;
    while (!(copies >> axis & 1)) axis++;
    second = op2(l, OP_mul, stop(l, graph_to_dim(g, curve, axis, 0)), zero_of(l, C));
  } else {
    if (copies) curve = graph_reduce(g, REDUCE_SUM, op2(l, OP_mul, curve, own), copies, 0);
    second = op2(l, OP_mul, stop(l, curve), zero_of(l, lower_member(l, e, d.site, "variance")));
  }
  second = op2(l, OP_mul, total(l, second), constant(l, 0.5));
  add_to(l, rest, over_count(l, sum_beyond(l, second, t), beyond));
}

static void over_draw(Work *w, Env *e, uint32_t i, Val *elem, Val *rest, bool value_only) {
  switch (e->drawn.at[i].via) {
    case VIA_ENUMERATE: by_outcomes(w, e, i, elem, rest); return;
    case VIA_DISARM:
      if (value_only && has_axis(w->l, *elem, e->drawn.at[i].axis)) *elem = over_axis(w->l, *elem, e->drawn.at[i].axis, NO_VAL, 0.5);
      else if (!value_only) by_pair(w, e, i, elem, rest);
      return;
    case VIA_SCORE: case VIA_REINFORCE: if (!value_only) by_score(w, e, i, *elem, rest); return;
    case VIA_VIMCO:  if (!value_only) by_vimco(w, e, i, *elem, rest); return;
    case VIA_MUPROP: if (!value_only) by_muprop(w, e, i, *elem, rest); return;
    case VIA_PRICE:  if (!value_only) by_price(w, e, i, *elem, rest); return;
    case VIA_AUTO: case VIA_PATHWISE: case VIA_STL: case VIA_DREG: case VIA_DARN: case VIA_STRAIGHT_THROUGH: case VIA_CONCRETE: case VIA_COUNT: return;
  }
}

/* The body in a replay, with the expectation over the draws after draw i of `at` taken. */
static Val value_after(Work *w, Env *leaf, const Env *at, uint32_t i) {
  Val elem = w->body.make(w->l, leaf, w->body.of), rest = NO_VAL;
  for (Env *e = leaf;; e = e->outer) {
    for (uint32_t k = e->drawn.n; k-- > (e == at ? i + 1 : 0);) over_draw(w, e, k, &elem, &rest, true);
    if (e == at) break;
  }
  return elem;
}

/* note [dreg]  Doubly reparameterised gradients (Tucker, Lawson, Gu, Maddison 2019; for Renyi bounds the same derivation).  For
 * F = log_sum_exp_k u_k with weights w_k, the direct derivative by what the draw is given is left out, and the one through draw k is multiplied
 * by 1 - c (1 - w_k), where -c = du/dlog q.  Without such weights c = 0.  What a draw is given are parameters, and other draws: those of the
 * same particle whose densities are in the weight, too, make one joint draw with it, and stay in its density; others are as parameters are. */
static bool is_weight(Lower *l, Env *e, uint32_t i, Val u) { return lower_depends(l, u, total(l, log_q(l, e, i))); }
/* Draws beside weights that they have no part in are plain ones: are there such? */
static bool set_apart(Lower *l, Env *leaf, Val elem) {
  bool some = false;
  for (Env *e = leaf; e; e = e->outer) {
    Val u = weights_of(l, e, elem);
    for (uint32_t i = 0; u != NO_VAL && i < e->drawn.n; i++) {
      if (e->drawn.at[i].via != VIA_DREG || is_weight(l, e, i, u)) continue;
      graph_hook_scale(l->g, e->drawn.at[i].value, constant(l, 1));
      e->drawn.at[i].via = VIA_PATHWISE, some = true;
    }
    for (uint32_t i = 0; some && i < e->drawn.n; i++) e->drawn.at[i].log_q = NO_VAL;
  }
  return some;
}
static void given_it(Lower *l, const Env *e, uint32_t i, Val u) {
  const Drawn *d = &e->drawn.at[i];
  for (uint32_t k = i + 1; k < e->drawn.n; k++) {
    const Drawn *later = &e->drawn.at[k];
    if (later->via == VIA_DREG || !lower_depends(l, later->value, node_of(l->g, d->value)->arg[0]) || !lower_depends(l, u, later->value)) continue;
    DiagItem *item = diag_at(l->p->t->diag, E0511, d->site->span, "`via dreg` needs the same of what is drawn given `%s`: `%s`", d->site->name, later->site->name);
    diag_label(item, later->site->span, later->site->discrete ? "takes whole values" : "drawn by other means");
    if (later->site->discrete) diag_help(item, "leave `via` out for `%s`: the draw is differentiated through", d->site->name);
    else diag_help(item, "write `via dreg` for `%s`, too: a particle is one draw", later->site->name);
    return;
  }
}
static void scale_hooks(Lower *l, Env *leaf, Val elem) {
  for (Env *e = leaf; e; e = e->outer)
    for (uint32_t i = 0; i < e->drawn.n; i++) {
      if (e->drawn.at[i].via != VIA_DREG) continue;
      Val u = weights_of(l, e, elem), scale = constant(l, 1);
      if (u != NO_VAL) {
        Val by = total(l, log_q(l, e, i)), c;
        graph_grad(l->g, sum_everywhere(l, u), &by, 1, &c);
        Val share = graph_op1(l->g, OP_exp, op2(l, OP_sub, u, elem));
        given_it(l, e, i, u);
        if (c != NO_VAL) scale = stop(l, op2(l, OP_add, scale, op2(l, OP_mul, c, op2(l, OP_sub, constant(l, 1), share))));
      }
      graph_hook_scale(l->g, e->drawn.at[i].value, scale);
    }
}

Val expect(Lower *l, Env *env, const Env *last, Body body, Signals *signals) {
  uint32_t levels = 0;
  for (const Env *e = env; e; e = e->outer) {
    levels++;
    if (e == last) break;
  }
  bool hooked = env_has(env, VIA_DREG);
  Env *leaf = hooked ? env_hooked(l, env) : env;
  Work w = {l, leaf, body, signals};
  Val elem = body.make(l, leaf, body.of), rest = NO_VAL;
  if (hooked && set_apart(l, leaf, elem)) elem = body.make(l, leaf, body.of);
  if (hooked) scale_hooks(l, leaf, elem);
  for (Env *e = leaf; e && levels; e = e->outer, levels--)
    for (uint32_t i = e->drawn.n; i-- > 0;) over_draw(&w, e, i, &elem, &rest, false);
  elem = whole(&w, elem);
  return rest == NO_VAL ? elem : op2(l, OP_add, elem, rest);
}
