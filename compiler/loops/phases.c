/* phases: which phase a value belongs to.
 *
 * In:  values with their homes, roots.
 * Out: for each needed value its phase (or that it is clear), for each phase what must be in memory at its
 * end.
 *
 * Phases are found greedily: all serial values that can be computed, and what follows from them; then those
 * of the plate that has most; and so on.  A reduction over its home's rows is whole after the phase only.
 * At last serial values sink to the latest serial phase that still comes before their users, so that few
 * serial phases are left.
 *
 * Products over the rows go to phases of their own, each after the one that has what they are made of.
 *
 * A value of a chunk that is wanted by a later phase is kept for the whole batch, unless it is nearly free
 * to have again. */
#include "lower.h"

typedef struct { Lower *l; bool *ready; int32_t now; } Greedy;

static bool is_ready(const Greedy *g, Val user, Val u) {
  const Value *x = &g->l->v.at[u];
  if (x->clear) return g->ready[u];
  if (x->phase < 0) return false;
  return x->phase < g->now || !x->lane || x->into == user;
}

/* Rows fetched from anywhere must be there before the phase begins. */
static bool all_before(const Greedy *g, Val u) {
  const Value *x = &g->l->v.at[u];
  if (!x->clear) return x->phase >= 0 && x->phase < g->now;
  for (uint32_t i = 0; i < x->node.nargs; i++) if (!all_before(g, x->node.arg[i])) return false;
  return true;
}

/* A body is computed in one phase: that in which all is there that it needs from outside. */
static bool body_ready(const Greedy *g, Val guess) {
  const Lower *l = g->l;
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    const Value *x = &l->v.at[v];
    if (v == guess || x->body != l->v.at[guess].body) continue;
    for (uint32_t i = 0; i < x->node.nargs; i++)
      if (l->v.at[x->node.arg[i]].body != x->body &&
          (!is_ready(g, v, x->node.arg[i]) || (fetches_rows(l, v, i) && !all_before(g, x->node.arg[i])))) return false;
  }
  return true;
}

/* Gives phase `now` to all that can be computed there; how many. */
static uint32_t fill_phase(Greedy *g, int32_t home) {
  Lower *l = g->l;
  uint32_t count = 0;
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    Value *x = &l->v.at[v];
    bool ready = true;
    for (uint32_t i = 0; i < x->node.nargs && ready; i++) {
      ready = is_ready(g, v, x->node.arg[i]);
      if (ready && home >= 0 && fetches_rows(l, v, i)) ready = all_before(g, x->node.arg[i]);
    }
    if (ready && x->node.op == OP_guess) ready = body_ready(g, v);
    g->ready[v] = ready;
    if (x->clear || x->phase >= 0 || x->home != home || !ready) continue;
    x->phase = g->now;
    count++;
  }
  return count;
}

static void undo_phase(Greedy *g) {
  for (uint32_t k = 0; k < g->l->order.n; k++) {
    Value *x = &g->l->v.at[g->l->order.at[k]];
    if (x->phase == g->now) x->phase = -1;
  }
}

static void add_phase(Greedy *g, int32_t home) {
  PhasePlan p = {.axis = home};
  vec_push(g->l->arena, &g->l->phase, p);
  g->now++;
}

static void find_phases(Lower *l) {
  Greedy g = {l, arena_alloc(l->arena, l->v.n + 1), 0};
  uint32_t left = 0;
  for (uint32_t k = 0; k < l->order.n; k++) left += !l->v.at[l->order.at[k]].clear;
  while (left) {
    uint32_t n = fill_phase(&g, -1), most = 0;
    if (n) add_phase(&g, -1);
    left -= n;
    int32_t best = -1;
    for (uint32_t a = 0; a < l->g->axis.n; a++) {
      if (l->g->axis.at[a].kind != AXIS_PLATE) continue;
      uint32_t m = fill_phase(&g, (int32_t)a);
      undo_phase(&g);
      if (m > most) most = m, best = (int32_t)a;
    }
    if (best >= 0) {
      fill_phase(&g, best);
      add_phase(&g, best);
    }
    left -= most;
    if (n == 0 && most == 0) BUG("%u values of entry `%s` wait for each other", left, l->entry->name);
  }
}

/* The last phase of the kind that is no later than `limit`. */
static int32_t serial_until(const Lower *l, int32_t limit) {
  while (limit >= 0 && l->phase.at[limit].axis >= 0) limit--;
  return limit;
}

static void sink_serial(Lower *l) {
  int32_t last = (int32_t)l->phase.n - 1;
  int32_t *limit = arena_alloc(l->arena, (l->v.n + 1) * sizeof *limit);
  for (Val v = 0; v < l->v.n; v++) limit[v] = last;
  for (uint32_t k = l->order.n; k-- > 0;) {
    Val v = l->order.at[k];
    Value *x = &l->v.at[v];
    if (!x->clear && x->home < 0) x->phase = serial_until(l, limit[v]);
    int32_t by = x->clear ? limit[v] : x->home < 0 ? x->phase : x->phase - 1;
    for (uint32_t i = 0; i < x->node.nargs; i++) if (by < limit[x->node.arg[i]]) limit[x->node.arg[i]] = by;
  }
}

/* ---- sums of products, and of lanes: see note [into] */
static bool is_sum(const Lower *l, Val v) {
  const Value *x = &l->v.at[v];
  if (x->target) return true;
  if (x->node.op == OP_dot || !x->lane) return x->node.op == OP_dot;
  return x->node.op == OP_scatter || (x->node.op == OP_reduce && x->node.attr.reduce.kind == REDUCE_SUM);
}

/* A product of the chunk's own must be a call, which can add to what is there. */
static bool calls_only(const Lower *l, Val v) {
  const Value *x = &l->v.at[v];
  Gemm m;
  if (!x->target) return !axes_of_kind(l, x->node.attr.dot.axes, AXIS_PARTICLE) && gemm_match(l, v, &m);
  for (uint32_t i = 0; i < x->node.nargs; i++) if (!calls_only(l, x->node.arg[i])) return false;
  return true;
}

static void join_sums(Lower *l) {
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    Value *x = &l->v.at[v];
    if (x->node.op != OP_add || x->clear) continue;
    Val a = x->node.arg[0], b = x->node.arg[1];
    const Value *p = &l->v.at[a], *q = &l->v.at[b];
    if (p->body != x->body || q->body != x->body) continue;
    if (a == b || p->uses != 1 || q->uses != 1 || p->clear || q->clear || p->phase != q->phase ||
        p->lane != q->lane) continue;
    if (p->node.shape != x->node.shape || q->node.shape != x->node.shape || !is_sum(l, a) || !is_sum(l, b))
      continue;
    if (!p->lane && (p->home < 0 || x->phase != p->phase || !calls_only(l, a) || !calls_only(l, b))) continue;
    x->target = true;
    x->lane = p->lane, x->home = p->home, x->phase = p->phase;
    l->v.at[a].into = l->v.at[b].into = v;
    for (uint8_t i = 0; i < DIM_MAX; i++) l->v.at[a].via[i] = l->v.at[b].via[i] = i;
  }
}

/* ---- shared products: see note [shared products] in svi.h */
enum { SHARED_LEAST = 4096 };      /* elements of the result: below, adding up the lanes costs nothing */

/* An operand that the phase before has, or could have, in memory. */
static bool can_be_kept(const Lower *l, Val b, int32_t phase) {
  const Value *x = &l->v.at[b];
  if (x->home != l->entry->axis || x->lane || x->body || x->into != NO_VAL) return false;
  return x->clear ? reloads(l, b) : x->phase <= phase;
}
static bool is_shared(const Lower *l, Val v, Gemm *m) {
  const Value *x = &l->v.at[v];
  if (x->clear || x->node.op != OP_dot || !x->lane || x->body || x->into != NO_VAL || x->target || x->home != l->entry->axis) return false;
  if (shape_event_size(x->node.shape) < SHARED_LEAST || !gemm_match(l, v, m)) return false;
  return can_be_kept(l, m->a, x->phase) && can_be_kept(l, m->b, x->phase);
}
static void share_products(Lower *l) {
  uint32_t added = 0;
  int32_t *now = arena_alloc(l->arena, (l->phase.n + 1) * sizeof *now);
  bool *some = arena_alloc(l->arena, l->phase.n + 1);
  for (uint32_t k = 0; k < l->order.n && l->entry->grads.n; k++) {
    Val v = l->order.at[k];
    Value *x = &l->v.at[v];
    Gemm m;
    if (!is_shared(l, v, &m)) continue;
    x->shared = some[x->phase] = true;
    for (int i = 0; i < 2; i++) {                           /* a column is loaded where it is kept */
      Value *y = &l->v.at[i ? m.b : m.a];
      if (y->clear) y->clear = false, y->phase = x->phase;
    }
  }
  VEC(PhasePlan) all = {0};
  for (uint32_t i = 0; i < l->phase.n; i++) {
    PhasePlan after = {.axis = l->phase.at[i].axis, .after = true};
    now[i] = (int32_t)(i + added);
    vec_push(l->arena, &all, l->phase.at[i]);
    if (some[i]) { vec_push(l->arena, &all, after); added++; }
  }
  l->phase.at = all.at, l->phase.n = all.n, l->phase.cap = all.cap;
  for (Val v = 0; v < l->v.n; v++) {
    Value *x = &l->v.at[v];
    if (x->phase >= 0) x->phase = now[x->phase] + x->shared;
    if (x->shared) x->lane = false;
  }
}

/* ---- what is kept */

/* Cheap, of at most one value that would have to be kept in its stead and is no larger. */
static bool nearly_free(const Lower *l, Val v, uint32_t *rows, double *size) {
  const Value *x = &l->v.at[v];
  if (x->clear && !is_view(l, v)) return true;
  if (x->home < 0 || x->lane || reloads(l, v)) return true;
  if (is_view(l, v) || (is_elementwise(l, v) && !x->target && op_cost(l, v) <= 2)) {
    for (uint32_t i = 0; i < x->node.nargs; i++)
      if (!nearly_free(l, x->node.arg[i], rows, size)) return false;
    return true;
  }
  *size += volume(l, x->node.shape);
  return ++*rows <= 1;
}

bool recomputed(const Lower *l, Val v, int32_t axis) {
  const Value *x = &l->v.at[v];
  if (x->clear) return true;
  if (axis < 0 || x->home != axis || x->lane || x->fetched) return false;
  if (reloads(l, v)) return true;
  if (!is_elementwise(l, v) || x->target || op_cost(l, v) > 2) return false;
  uint32_t rows = 0;
  double size = 0;
  return nearly_free(l, v, &rows, &size) && size <= volume(l, x->node.shape);
}

static void want_in_memory(Lower *l, Val v) { l->v.at[v].kept = true; }

static void visit(Lower *l, Val v, int32_t phase, uint32_t *seen) {
  if (seen[v] == (uint32_t)phase + 1) return;
  seen[v] = (uint32_t)phase + 1;
  const Value *x = &l->v.at[v];
  if (!x->clear && x->phase != phase && (l->phase.at[phase].after || !recomputed(l, v, l->phase.at[phase].axis))) {
    want_in_memory(l, v);
    return;
  }
  for (uint32_t i = 0; i < x->node.nargs; i++) visit(l, x->node.arg[i], phase, seen);
}

static void find_kept(Lower *l) {
  uint32_t *seen = arena_alloc(l->arena, (l->v.n + 1) * sizeof *seen);
  for (uint32_t i = 0; i < l->roots.n; i++) {
    Value *x = &l->v.at[l->roots.at[i].value];
    x->root = true;
    /* gradients stay in the lanes of the batch's chunks; another plate may have fewer chunks than there are
     * lanes */
    if (l->roots.at[i].kind != ROOT_GRAD || !x->lane || x->home != l->entry->axis) x->kept = true;
  }
  for (int32_t phase = (int32_t)l->phase.n; phase-- > 0;) {
    for (uint32_t k = l->order.n; k-- > 0;) {
      Val v = l->order.at[k];
      const Value *x = &l->v.at[v];
      if (x->clear || x->phase != phase || !(x->kept || x->root)) continue;
      vec_push(l->arena, &l->phase.at[phase].wants, v);
      visit(l, v, phase, seen);
    }
    values_sort(l, l->phase.at[phase].wants.at, l->phase.at[phase].wants.n);
  }
}

static void check_bodies(const Lower *l) {
  for (uint32_t k = 0; k < l->order.n; k++) {
    const Value *x = &l->v.at[l->order.at[k]];
    if (x->node.op != OP_settle) continue;
    for (uint32_t i = 0; i < l->order.n; i++) {
      const Value *y = &l->v.at[l->order.at[i]];
      if (y->body == l->v.at[x->node.arg[1]].body && !y->clear && (y->phase != x->phase || y->lane))
        BUG("a repetition of entry `%s` in two phases", l->entry->name);
    }
  }
}

/* Phases in which nothing is wanted are dropped. */
static void drop_empty(Lower *l) {
  uint32_t n = 0;
  int32_t *now = arena_alloc(l->arena, (l->phase.n + 1) * sizeof *now);
  for (uint32_t i = 0; i < l->phase.n; i++) {
    now[i] = (int32_t)n;
    if (l->phase.at[i].wants.n) l->phase.at[n++] = l->phase.at[i];
  }
  l->phase.n = n;
  for (Val v = 0; v < l->v.n; v++) if (l->v.at[v].phase >= 0) l->v.at[v].phase = now[l->v.at[v].phase];
}

static void kept_buffers(Lower *l) {
  for (uint32_t k = 0; k < l->order.n; k++) {
    Val v = l->order.at[k];
    Value *x = &l->v.at[v];
    if (x->clear || !(x->kept || x->root)) continue;
    const Shape *s = x->node.shape;
    if (x->lane) {
      x->lane_buf = buffer_add(l, BUF_LANE, s, v);
      if (x->kept) x->buf = buffer_add(l, BUF_GLOBAL, s, v);
    } else if (x->out >= 0) {
      x->buf = buffer_add(l, BUF_OUT, s, v);
      l->p->buffers.at[x->buf].offset = (uint64_t)x->out;
    } else {
      x->buf = buffer_add(l, run_axes(l, s->axes) ? BUF_BATCH : BUF_GLOBAL, s, v);
    }
  }
}

void phases_find(Lower *l) {
  find_phases(l);
  sink_serial(l);
  check_bodies(l);
  join_sums(l);
  share_products(l);
  find_kept(l);
  drop_empty(l);
  kept_buffers(l);
}
