/* cost: what to do with a value that no sink stores.
 *
 * In:  the steps of a phase.
 * Out: for each such value whether the nests that want it compute it each, or the first stores it for the
 *      others, or it becomes a sink itself.
 *
 * note [cost]  Such a value is wanted by some nests, at the nest's own indices or (behind a view) at others.
 * With c the cost of one element and its arguments, and r how often a nest computes it for each of its
 * elements:
 *   computed in each:        sum of r c
 *   stored by the first:     c + STORE + LOAD for each other  (when the first wants it at its own indices)
 *   a sink:                  c + STORE + LOAD sum of r
 * Arguments that the nest has anyway cost nothing. */
#include "lower.h"

enum { LOAD = 8, STORE = 10 };                          /* as flops, see values.c */

static double argument_cost(const Fuse *f, Val v, uint32_t step, uint32_t deep);

static double element_cost(const Fuse *f, Val v, uint32_t step, uint32_t deep) {
  const Node *n = lnode(f->l, v);
  double c = is_view(f->l, v) ? 0 : op_cost(f->l, v);
  for (uint32_t i = 0; i < n->nargs; i++) {
    double share = volume(f->l, lshape(f->l, n->arg[i])) / volume(f->l, n->shape);
    c += argument_cost(f, n->arg[i], step, deep + 1) * (share < 1 ? share : 1);
  }
  return c;
}

static double argument_cost(const Fuse *f, Val v, uint32_t step, uint32_t deep) {
  const Local *x = &f->at[v];
  for (uint32_t i = 0; i < x->demand.n; i++) if (x->demand.at[i].step == step) return 0;
  if (lnode(f->l, v)->nargs == 0 && x->local && x->keep == KEEP_NOT && lnode(f->l, v)->op != OP_random)
    return 0;
  if (!x->local || x->keep == KEEP_SINK) return LOAD;
  double c = deep > 8 ? LOAD + STORE : element_cost(f, v, step, deep);
  return c < LOAD + STORE ? c : LOAD + STORE;
}

/* How often a nest computes v for each of its elements: at other indices in every turn, at the nest's own
 * in those of the loops down to the deepest one that v has. */
static double turns(const Fuse *f, uint32_t step, Val v, bool aligned) {
  const Lower *l = f->l;
  const Shape *s = lshape(l, v), *space = f->steps.at[step].space;
  double all = 1, deep = 1;
  if (!aligned) return volume(l, space) / volume(l, s);
  for (uint32_t a = 0; a < l->g->axis.n; a++) {
    if (space->axes >> a & 1) all *= axis_guess(l, a);
    if (s->axes >> a & 1) deep = all;
  }
  return (s->rank ? volume(l, space) : deep) / volume(l, s);
}

static void ask(Fuse *f, Val v, Demand d) {
  Local *x = &f->at[v];
  d.ratio = turns(f, d.step, v, d.aligned);
  for (uint32_t i = 0; i < x->demand.n; i++) {
    Demand *was = &x->demand.at[i];
    if (was->step != d.step || was->aligned != d.aligned) continue;
    if (!d.aligned) was->ratio += d.ratio;
    return;
  }
  vec_push(f->l->arena, &x->demand, d);
}

/* Outside of the innermost loop there are no vectors: a kernel costs its full price. */
static double one_by_one(const Fuse *f, Val v, uint32_t step) {
  const Shape *s = lshape(f->l, v), *space = f->steps.at[step].space;
  bool innermost = space->rank ? s->rank > 0 : space->axes == 0 ||
      s->axes >> (63 - __builtin_clzll(space->axes)) & 1;
  return innermost ? 0 : 7 * op_cost(f->l, v);
}

static Keep decide(Fuse *f, Val v) {
  const Lower *l = f->l;
  Local *x = &f->at[v];
  if (is_view(l, v) || (l->v.at[v].clear && lnode(l, v)->op != OP_random) || x->demand.n == 0)
    return KEEP_NOT;
  Demand first = x->demand.at[0];
  double each = 0, loads = 0, c1 = 0, most = 0;
  bool mixed = false;
  for (uint32_t i = 0; i < x->demand.n; i++) {
    Demand d = x->demand.at[i];
    if (d.step < first.step) first = d;
  }
  for (uint32_t i = 0; i < x->demand.n; i++) {
    Demand d = x->demand.at[i];
    double c = element_cost(f, v, d.step, 0);
    if (c > most) most = c;
    if (d.step == first.step) {
      c1 = c;
      if (!d.aligned || d.ratio > 1) mixed = true;      /* not once for each element */
    }
    each += d.ratio * c + (d.aligned ? one_by_one(f, v, d.step) : 0);
    loads += d.ratio * LOAD;
  }
  double here = mixed ? 1e30 : c1 + STORE + loads - LOAD + one_by_one(f, v, first.step);
  double sink = most + STORE + loads;
  if (!l->v.at[v].body && f->steps.at[first.step].stage % 3) here = 1e30;      /* a body is done in turns, which may be of one step each */
  if (each <= here && each <= sink) return KEEP_NOT;
  return here <= sink ? KEEP_HERE : KEEP_SINK;
}

static void ask_parts(Fuse *f, Val v) {
  for (uint32_t s = 0; s < f->steps.n; s++)
    for (uint32_t i = 0; i < f->steps.at[s].sink.n; i++) {
      const Sink *sink = &f->steps.at[s].sink.at[i];
      if (sink->v == v) ask(f, lnode(f->l, v)->arg[sink->part], (Demand){s, true, 1});
    }
}

bool demands_settle(Fuse *f) {
  Lower *l = f->l;
  bool changed = false;
  for (uint32_t k = f->order.n; k-- > 0;) {
    Val v = f->order.at[k];
    Local *x = &f->at[v];
    const Node *n = lnode(l, v);
    if (x->keep == KEEP_SINK) {
      if (x->call || l->v.at[v].target) continue;
      if (in_parts(f, v)) {
        ask_parts(f, v);
        continue;
      }
      for (uint32_t i = 0; i < n->nargs; i++) {
        bool same = n->op != OP_dot && keeps_place(l, v, i);
        ask(f, n->arg[i], (Demand){x->step, same, 1});
      }
      continue;
    }
    Keep keep = decide(f, v);
    if (keep == KEEP_SINK) {
      x->keep = KEEP_SINK;
      changed = true;
      continue;
    }
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < x->demand.n; i++) if (x->demand.at[i].step < first) first = x->demand.at[i].step;
    if (keep == KEEP_HERE) {
      x->keep = KEEP_HERE;
      x->step = first;
    }
    for (uint32_t i = 0; i < x->demand.n; i++) {
      Demand d = x->demand.at[i];
      if (keep == KEEP_HERE && d.step != first) continue;
      for (uint32_t j = 0; j < n->nargs; j++)
        ask(f, n->arg[j], (Demand){d.step, d.aligned && keeps_place(l, v, j), 1});
    }
  }
  return !changed;
}

