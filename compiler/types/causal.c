/* Causality: may coordinate j of an autoregressive site's arguments depend on coordinates before j only?
 *
 * In:  a site whose arguments name its own variable x, in the template graph.
 * Out: nothing, or a message.  A coordinate is an index along the first event axis of x.
 *
 * Every value has PLACES: its event dims and its index axes.  For each value is found
 *   what it sees: a union of SIGHTS.  A sight is a set of coordinates c of x given by bounds that all hold,
 *     c <= (index at a place) + bound, and c <= most;
 *   where it is not 0: LIMITS (index at p) <= (index at q) + by, which must hold where it is not 0.  They come from comparisons
 *     of indices, which is how triangular matrices are written, [i in n, j in n] (i < j) * W[i, j], and from what is constant.
 * For an index there may stand what a constant vector of whole numbers, a NUMBERING, has at that index: hidden units that are numbered
 * by the coordinates they see, (i <= number[k]) and (number[k] < j).
 * A product is 0 where a factor is, and sees nothing there: a sight of the other factor that is bounded at p is bounded at q too.
 * A reduction takes a place away, and with it the bounds there.  So x @ M, with M[i, j] = 0 unless i <= j - 1, sees c <= i at
 * (i, j), there c <= j - 1, and when i has been summed over c <= j - 1.
 *
 * Sights are never too small.  They may be too large: a sight that went through an op which is not followed here is not `sure`. */
#include "value.h"
#include "../ops/op.h"
#include <math.h>

enum { SIGHTS = 8, BOUNDS = 4, LIMITS = 8, PLACE_AXIS = DIM_MAX, PLACE_SUM = PLACE_AXIS + AXIS_MAX, PLACES = PLACE_SUM + DIM_MAX, NOWHERE = PLACES };
typedef struct { uint32_t at, by; } Spot;               /* by: 0, or 1 + a numbering: what that has at the index */
typedef struct { Spot place; int32_t by; } Bound;
typedef struct { uint32_t n; Bound at[BOUNDS]; int32_t most; bool sure; Val lost; } Sight;      /* lost: where its last bound went, or NO_VAL */
typedef struct { Spot p, q; int32_t by; } Limit;                                                /* q may be NOWHERE: p <= by */
typedef struct { uint32_t n; int32_t most, *at; } Numbering;
typedef struct {
  uint32_t nsight; Sight sight[SIGHTS];
  uint32_t nlimit; Limit limit[LIMITS];
  bool     known, zero;                /* a constant; 0 everywhere */
  bool     index; Spot place; int32_t plus;        /* it is the index at `place` (NOWHERE: 0), from 0, plus this */
} Seen;
typedef struct { Checker *c; const Graph *g; Name name; int32_t size; Seen **seen; Val now; VEC(Numbering) numberings; } Causal;

static Spot plain(uint32_t place) { return (Spot){place, 0}; }
static bool same(Spot a, Spot b) { return a.at == b.at && (a.at == NOWHERE || a.by == b.by); }

/* ---- sights */
static Bound *bound_at(Sight *s, Spot place) {
  for (uint32_t i = 0; i < s->n; i++)
    if (same(s->at[i].place, place)) return &s->at[i];
  return NULL;
}
static void bound_add(Sight *s, Spot place, int32_t by) {
  Bound *b = bound_at(s, place);
  if (b) { if (by < b->by) b->by = by; }
  else if (s->n < BOUNDS) s->at[s->n++] = (Bound){place, by};
}
/* The smallest sight of this form that has both. */
static Sight sight_both(Sight a, Sight b) {
  Sight s = {.most = a.most > b.most ? a.most : b.most, .sure = a.sure && b.sure, .lost = a.lost != NO_VAL ? a.lost : b.lost};
  for (uint32_t i = 0; i < a.n; i++) {
    const Bound *o = bound_at(&b, a.at[i].place);
    if (o) s.at[s.n++] = (Bound){o->place, o->by > a.at[i].by ? o->by : a.at[i].by};
  }
  return s;
}
static bool same_places(Sight *a, Sight *b) {
  if (a->n != b->n || a->sure != b->sure) return false;
  for (uint32_t i = 0; i < a->n; i++)
    if (!bound_at(b, a->at[i].place)) return false;
  return true;
}
static void sight_add(Seen *v, Sight s) {
  if (s.most < 0) return;                                   /* sees nothing */
  for (uint32_t i = 0; i < v->nsight; i++)
    if (same_places(&v->sight[i], &s)) { v->sight[i] = sight_both(v->sight[i], s); return; }
  if (v->nsight < SIGHTS) v->sight[v->nsight++] = s;
  else v->sight[SIGHTS - 1] = sight_both(v->sight[SIGHTS - 1], s);
}
static void sight_lose(Causal *k, Sight *s, uint32_t place, uint32_t size) {
  for (uint32_t i = 0; i < s->n;) {
    Spot p = s->at[i].place;
    if (p.at != place) { i++; continue; }
    int32_t most = (p.by ? k->numberings.at[p.by - 1].most : (int32_t)size - 1) + s->at[i].by;
    if (most < s->most) s->most = most;
    s->at[i] = s->at[--s->n];
    if (s->n == 0 && s->lost == NO_VAL) s->lost = k->now;
  }
}
/* Where a factor is 0 nothing is seen. */
static Sight sight_limited(Sight s, const Seen *by) {
  for (uint32_t turn = 0; turn < 2; turn++)                 /* twice: a limit may start where another ends */
    for (uint32_t i = 0; i < by->nlimit; i++) {
      const Bound *b = bound_at(&s, by->limit[i].p);
      if (!b) continue;
      int32_t most = b->by + by->limit[i].by;
      if (by->limit[i].q.at != NOWHERE) bound_add(&s, by->limit[i].q, most);
      else if (most < s.most) s.most = most;
    }
  return s;
}

/* ---- limits */
static void limit_add(Seen *v, Limit x) {
  for (uint32_t i = 0; i < v->nlimit; i++)
    if (same(v->limit[i].p, x.p) && same(v->limit[i].q, x.q)) {
      if (x.by < v->limit[i].by) v->limit[i].by = x.by;
      return;
    }
  if (v->nlimit < LIMITS) v->limit[v->nlimit++] = x;
}
static void limits_of(Seen *out, const Seen *a) {
  for (uint32_t i = 0; i < a->nlimit; i++) limit_add(out, a->limit[i]);
}
/* Limits that both have: 0 only where both are. */
static void limits_meet(Seen *v, const Seen *a) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < v->nlimit; i++)
    for (uint32_t j = 0; j < a->nlimit; j++) {
      if (!same(v->limit[i].p, a->limit[j].p) || !same(v->limit[i].q, a->limit[j].q)) continue;
      Limit x = v->limit[i];
      if (a->limit[j].by > x.by) x.by = a->limit[j].by;
      v->limit[n++] = x;
      break;
    }
  v->nlimit = n;
}

/* ---- moving places: `to` says where each place goes (NOWHERE: see lose), `plus` what its index here is more than there */
typedef struct { uint32_t to[PLACES]; int32_t plus[PLACES]; } Move;
static Move move_none(void) {
  Move m = {0};
  for (uint32_t i = 0; i < PLACES; i++) m.to[i] = i;
  return m;
}
/* A numbering is of the index itself: it does not shift. */
static bool moves_to(const Move *m, Spot from, Spot *to) {
  *to = (Spot){from.at == NOWHERE ? NOWHERE : m->to[from.at], from.by};
  return from.at == NOWHERE || (to->at != NOWHERE && !(from.by && m->plus[from.at]));
}
static int32_t plus_at(const Move *m, Spot p) { return p.at == NOWHERE || p.by ? 0 : m->plus[p.at]; }
/* A bound c <= i + by with i = j + plus is c <= j + by + plus. */
static Seen moved(Causal *k, const Seen *a, const Move *m) {
  Seen out = {.zero = a->zero};
  for (uint32_t i = 0; i < a->nsight; i++) {
    Sight s = a->sight[i], t = s;
    t.n = 0;
    Spot to;
    for (uint32_t j = 0; j < s.n; j++)
      if (moves_to(m, s.at[j].place, &to)) bound_add(&t, to, s.at[j].by + plus_at(m, s.at[j].place));
    if (t.n < s.n) t.sure = false;
    if (t.n == 0 && s.n && t.lost == NO_VAL) t.lost = k->now;
    sight_add(&out, t);
  }
  for (uint32_t i = 0; i < a->nlimit; i++) {
    Limit x = a->limit[i], y = x;
    if (!moves_to(m, x.p, &y.p) || !moves_to(m, x.q, &y.q)) continue;
    y.by += plus_at(m, x.q) - plus_at(m, x.p);
    limit_add(&out, y);
  }
  if (a->index && moves_to(m, a->place, &out.place)) out.index = true, out.plus = a->plus + plus_at(m, a->place);
  return out;
}

/* A reduction over a place.  Limits that meet there become one. */
static void reduce_place(Causal *k, Seen *v, uint32_t place, uint32_t size) {
  Seen out = {0};
  for (uint32_t i = 0; i < v->nsight; i++) {
    Sight s = v->sight[i];
    sight_lose(k, &s, place, size);
    sight_add(&out, s);
  }
  for (uint32_t i = 0; i < v->nlimit; i++)
    for (uint32_t j = 0; j < v->nlimit; j++)
      if (v->limit[i].q.at == place && same(v->limit[i].q, v->limit[j].p) && !same(v->limit[i].p, v->limit[j].q))
        limit_add(&out, (Limit){v->limit[i].p, v->limit[j].q, v->limit[i].by + v->limit[j].by});
  for (uint32_t i = 0; i < v->nlimit; i++)
    if (v->limit[i].p.at != place && v->limit[i].q.at != place) limit_add(&out, v->limit[i]);
  *v = out;
}

/* ---- ops */
static void see_all(Seen *out, const Seen *a) {
  for (uint32_t i = 0; i < a->nsight; i++) sight_add(out, a->sight[i]);
}
static void see_limited(Seen *out, const Seen *a, const Seen *by) {
  for (uint32_t i = 0; i < a->nsight; i++) sight_add(out, sight_limited(a->sight[i], by));
}
static void multiply(Seen *out, const Seen *a, const Seen *b) {
  see_limited(out, a, b);
  see_limited(out, b, a);
  limits_of(out, a);
  limits_of(out, b);
  out->zero = a->zero || b->zero;
}

/* (index at p) + a < (index at q) + b, and the like. */
static void compare(Seen *out, OpKind op, const Seen *a, const Seen *b) {
  int32_t by = b->plus - a->plus;
  Spot p = a->place, q = b->place;
  if (same(p, q)) return;
  if (p.at != NOWHERE) limit_add(out, (Limit){p, q, op == OP_lt ? by - 1 : by});
  if (op == OP_eq && q.at != NOWHERE) limit_add(out, (Limit){q, p, -by});
}

/* Limits where a comparison of indices is 0: p + a < q + b there where q + b <= p + a is not. */
static Seen otherwise(const Causal *k, Val v) {
  Seen out = {0};
  const Node *n = node_of(k->g, v);
  if (n->op != OP_lt && n->op != OP_le) return out;
  const Seen *a = k->seen[n->arg[0]], *b = k->seen[n->arg[1]];
  if (a->index && b->index) compare(&out, n->op == OP_lt ? OP_le : OP_lt, b, a);
  return out;
}

static Seen elementwise(Causal *k, const Node *n) {
  const Seen *a = k->seen[n->arg[0]], *b = n->nargs > 1 ? k->seen[n->arg[1]] : NULL, *c = n->nargs > 2 ? k->seen[n->arg[2]] : NULL;
  Seen out = {0};
  if (n->op == OP_mul) {
    multiply(&out, a, b);
    return out;
  }
  if (n->op == OP_select) {                                 /* where the condition is 0, the last */
    Seen no = otherwise(k, n->arg[0]);
    see_all(&out, a);
    see_limited(&out, b, a);
    see_limited(&out, c, &no);
    if (c->zero) limits_of(&out, a), limits_of(&out, b);
    if (b->zero) limits_of(&out, &no), limits_of(&out, c);
    out.zero = b->zero && c->zero;
    return out;
  }
  for (uint32_t i = 0; i < n->nargs; i++) see_all(&out, k->seen[n->arg[i]]);
  if ((n->op == OP_sub && a->index && a->place.at == NOWHERE && a->plus == 1) || (n->op == OP_eq && b->zero)) {      /* not */
    Seen no = otherwise(k, n->arg[n->op == OP_sub]);
    limits_of(&out, &no);
  } else if (n->op == OP_div) {
    limits_of(&out, a);
  } else if (b && a->index && b->index && (n->op == OP_lt || n->op == OP_le || n->op == OP_eq)) {
    compare(&out, n->op, a, b);
  } else if (op_forward(n->op, 0, 0, 0) == 0) {
    bool first = true;
    out.zero = true;
    for (uint32_t i = 0; i < n->nargs; i++) {
      const Seen *x = k->seen[n->arg[i]];
      if (x->zero) continue;
      out.zero = false;
      if (first) limits_of(&out, x);
      else limits_meet(&out, x);
      first = false;
    }
  }
  if (b && a->index && b->index && (n->op == OP_add || n->op == OP_sub) && (b->place.at == NOWHERE || (n->op == OP_add && a->place.at == NOWHERE)))
    out.index = true, out.place = b->place.at == NOWHERE ? a->place : b->place, out.plus = n->op == OP_add ? a->plus + b->plus : a->plus - b->plus;
  return out;
}

static Seen dot(Causal *k, const Node *n) {
  Seen side[2];
  uint32_t next = 0;
  for (uint32_t i = 0; i < 2; i++) {
    const uint8_t *pair = i ? n->attr.dot.db : n->attr.dot.da;
    Move m = move_none();
    for (uint32_t d = 0; d < shape_of(k->g, n->arg[i])->rank; d++) {
      uint32_t j = 0;
      while (j < n->attr.dot.n && pair[j] != d) j++;
      m.to[d] = j < n->attr.dot.n ? PLACE_SUM + j : next++;
    }
    side[i] = moved(k, k->seen[n->arg[i]], &m);
  }
  Seen out = {0};
  multiply(&out, &side[0], &side[1]);
  for (uint32_t j = 0; j < n->attr.dot.n; j++) reduce_place(k, &out, PLACE_SUM + j, shape_of(k->g, n->arg[0])->dim[n->attr.dot.da[j]]);
  for (uint32_t a = 0; a < k->g->axis.n; a++)
    if (n->attr.dot.axes >> a & 1) reduce_place(k, &out, PLACE_AXIS + a, k->g->axis.at[a].size);
  return out;
}

static Seen reduce(Causal *k, const Node *n) {
  const Shape *s = shape_of(k->g, n->arg[0]);
  Seen out = *k->seen[n->arg[0]];
  Move m = move_none();
  for (uint32_t a = 0; a < k->g->axis.n; a++)
    if (n->attr.reduce.axes >> a & 1) reduce_place(k, &out, PLACE_AXIS + a, k->g->axis.at[a].size);
  for (uint32_t d = 0, next = 0; d < s->rank; d++) {
    if (n->attr.reduce.dims >> d & 1) reduce_place(k, &out, d, s->dim[d]);
    else m.to[d] = next++;
  }
  if (n->attr.reduce.kind != REDUCE_SUM) out.nlimit = 0;
  out.index = false;
  return moved(k, &out, &m);
}

static Seen concat(Causal *k, const Node *n) {
  Seen out = {.zero = true};
  int32_t start = 0;
  bool first = true;
  for (uint32_t i = 0; i < n->nargs; i++) {
    Move m = move_none();
    m.plus[n->attr.concat.dim] = -start;
    Seen part = moved(k, k->seen[n->arg[i]], &m);
    for (uint32_t j = 0; j < part.nsight; j++) {            /* c <= most is c <= i + most - start at i >= start */
      Sight s = part.sight[j];
      bound_add(&s, plain(n->attr.concat.dim), s.most - start);
      sight_add(&out, s);
    }
    if (!part.zero) {
      out.zero = false;
      if (first) limits_of(&out, &part);
      else limits_meet(&out, &part);
      first = false;
    }
    start += (int32_t)shape_of(k->g, n->arg[i])->dim[n->attr.concat.dim];
  }
  return out;
}

/* By an index of a comprehension, perhaps shifted, the dim becomes that index's place; by anything else it is not known which
 * element is taken. */
static Seen gather(Causal *k, const Node *n) {
  const Seen *by = k->seen[n->arg[1]];
  Move m = move_none();
  uint32_t d = n->attr.gather.dim, rank = shape_of(k->g, n->arg[0])->rank;
  bool known = n->attr.gather.axis == NO_VAL && by->index && by->place.at != NOWHERE && !by->place.by && shape_of(k->g, n->arg[1])->rank == 0;
  if (n->attr.gather.axis == NO_VAL) {
    m.to[d] = known ? by->place.at : NOWHERE, m.plus[d] = known ? by->plus : 0;
    for (uint32_t i = d + 1; i < rank; i++) m.to[i] = i - 1;
  }
  Seen out = moved(k, k->seen[n->arg[0]], &m);
  see_all(&out, by);
  if (!known) out.nlimit = 0;
  return out;
}

static Seen view(Causal *k, const Node *n) {
  Move m = move_none();
  const Shape *x = shape_of(k->g, n->arg[0]), *y = n->shape;
  Seen in = *k->seen[n->arg[0]];
  switch (n->op) {
    case OP_expand:
      for (uint32_t i = 0, j = 0; i < y->rank; i++) if (!(n->attr.expand.added >> i & 1)) m.to[j++] = i;
      break;
    case OP_permute:
      for (uint32_t i = 0; i < y->rank; i++) m.to[n->attr.permute.order[i]] = i;
      break;
    case OP_to_axis:
      m.to[n->attr.convert.dim] = PLACE_AXIS + n->attr.convert.axis;
      for (uint32_t i = n->attr.convert.dim + 1u; i < x->rank; i++) m.to[i] = i - 1;
      break;
    case OP_to_dim:
      for (uint32_t i = n->attr.convert.dim; i < x->rank; i++) m.to[i] = i + 1;
      m.to[PLACE_AXIS + n->attr.convert.axis] = n->attr.convert.dim;
      break;
    case OP_slice: m.plus[n->attr.slice.dim] = (int32_t)n->attr.slice.start; break;
    case OP_pad:   m.plus[n->attr.slice.dim] = -(int32_t)n->attr.slice.start; break;
    case OP_concat: return concat(k, n);
    case OP_reshape: {                                      /* dims of size 1 come and go; otherwise places are lost */
      uint32_t i = 0;
      for (uint32_t j = 0; j < x->rank; j++) {
        m.to[j] = NOWHERE;
        if (x->dim[j] == 1) { reduce_place(k, &in, j, 1); continue; }
        while (i < y->rank && y->dim[i] == 1) i++;
        if (i < y->rank && y->dim[i] == x->dim[j]) m.to[j] = i++;
        else i = y->rank;
      }
      break;
    }
    default: break;
  }
  Seen out = moved(k, &in, &m);
  if (n->op == OP_pad) out.index = false;
  return out;
}

/* An op that is not followed: each element may see what any element of an argument does. */
static Seen unknown(Causal *k, const Node *n) {
  Seen out = {0};
  Move m = move_none();
  for (uint32_t d = 0; d < DIM_MAX; d++) m.to[d] = NOWHERE;
  for (uint32_t i = 0; i < n->nargs; i++) {
    Seen a = moved(k, k->seen[n->arg[i]], &m);
    for (uint32_t j = 0; j < a.nsight; j++) a.sight[j].sure = false;
    see_all(&out, &a);
  }
  return out;
}

static Seen leaf(Causal *k, const Node *n) {
  Seen out = {0};
  if (n->op == OP_const) {
    double x = n->attr.number;
    out.zero = x == 0;
    if (x > -1e6 && x < 1e6 && x == (int32_t)x) out.index = true, out.place = plain(NOWHERE), out.plus = (int32_t)x;
  } else if (n->op == OP_iota) {
    bool plate = n->attr.along.axis >= 0 && k->g->axis.at[n->attr.along.axis].kind != AXIS_INDEX;
    if (!plate) out.index = true, out.place = plain(n->attr.along.axis < 0 ? 0 : PLACE_AXIS + (uint32_t)n->attr.along.axis);
  } else if (n->op == OP_input && n->attr.leaf.id == 0 && n->attr.leaf.name == k->name) {
    Sight s = {.most = k->size - 1, .sure = true, .lost = NO_VAL};
    if (n->shape->rank) bound_add(&s, plain(0), 0);
    sight_add(&out, s);
  }
  return out;
}

static Seen look(Causal *k, Val v) {
  const Node *n = node_of(k->g, v);
  k->now = v;
  switch (op_class(n->op)) {
    case CLASS_LEAF:        return leaf(k, n);
    case CLASS_ELEMENTWISE: return elementwise(k, n);
    case CLASS_REDUCE:      return reduce(k, n);
    case CLASS_VIEW:        return view(k, n);
    case CLASS_RANDOM: {
      Seen out = {0};
      if (n->nargs) see_all(&out, k->seen[n->arg[0]]);
      return out;
    }
    case CLASS_CONTRACT:    return dot(k, n);
    case CLASS_OPAQUE:
      if (n->op == OP_running && !n->attr.linalg.trans) {   /* what is at i was at k <= i - 1 */
        Move m = move_none();
        m.plus[0] = -1;
        Seen out = moved(k, k->seen[n->arg[0]], &m);
        out.nlimit = 0, out.index = false;
        return out;
      }
      return n->op == OP_gather ? gather(k, n) : unknown(k, n);
  }
  return unknown(k, n);
}

/* ---- constants: by looking at the elements, where there are not too many */
enum { LOOKED_AT = 1 << 16 };

/* A vector of whole numbers is a numbering; equal ones are the same. */
static void number_by_value(Causal *k, const double *x, uint32_t place, uint32_t size, Seen *out) {
  Numbering now = {size, INT32_MIN, arena_alloc(k->c->arena, size * sizeof *now.at)};
  for (uint32_t i = 0; i < size; i++) {
    if (!(fabs(x[i]) < 1e6) || x[i] != (int32_t)x[i]) return;
    now.at[i] = (int32_t)x[i];
    if (now.at[i] > now.most) now.most = now.at[i];
  }
  uint32_t id = 0;
  while (id < k->numberings.n && (k->numberings.at[id].n != size || memcmp(k->numberings.at[id].at, now.at, size * sizeof *now.at) != 0)) id++;
  if (id == k->numberings.n) vec_push(k->c->arena, &k->numberings, now);
  out->index = true, out->place = (Spot){place, id + 1}, out->plus = 0;
}
static void limits_by_value(Causal *k, Val v, Seen *out) {
  const Shape *s = shape_of(k->g, v);
  uint32_t place[LIMITS], size[LIMITS], n = 0;
  uint64_t all = 1;
  for (uint32_t p = 0; p < AXIS_MAX + s->rank; p++) {
    if (p < AXIS_MAX && !(s->axes >> p & 1)) continue;
    if (n == LIMITS) return;
    place[n] = p < AXIS_MAX ? PLACE_AXIS + p : p - AXIS_MAX;
    all *= size[n++] = p < AXIS_MAX ? k->g->axis.at[p].size : s->dim[p - AXIS_MAX];
  }
  if (n == 0 || all > LOOKED_AT) return;
  EvalInput in = {0};
  EvalResult r;
  char error[256];
  if (!graph_eval(k->c->arena, k->g, &v, 1, &in, &r, error)) return;
  if (n == 1) { number_by_value(k, r.value[v], place[0], size[0], out); return; }
  int32_t by[LIMITS][LIMITS], at[LIMITS];
  for (uint32_t i = 0; i < n; i++) for (uint32_t j = 0; j < n; j++) by[i][j] = -(int32_t)all;
  out->zero = true;
  for (uint64_t e = 0; e < all; e++) {
    if (r.value[v][e] == 0) continue;
    out->zero = false;
    uint64_t rest = e;
    for (uint32_t i = n; i-- > 0; rest /= size[i]) at[i] = (int32_t)(rest % size[i]);
    for (uint32_t i = 0; i < n; i++) for (uint32_t j = 0; j < n; j++) if (at[i] - at[j] > by[i][j]) by[i][j] = at[i] - at[j];
  }
  for (uint32_t i = 0; i < n && !out->zero; i++)
    for (uint32_t j = 0; j < n; j++)
      if (i != j && by[i][j] < (int32_t)size[i] - 1) limit_add(out, (Limit){plain(place[i]), plain(place[j]), by[i][j]});
}

static bool is_constant(const Causal *k, const Node *n) {
  if (n->op == OP_iota) return n->attr.along.axis < 0 || k->g->axis.at[n->attr.along.axis].kind == AXIS_INDEX;
  if (op_class(n->op) == CLASS_LEAF) return n->op == OP_const;
  for (uint32_t i = 0; i < n->nargs; i++) if (!k->seen[n->arg[i]]->known) return false;
  return op_class(n->op) != CLASS_RANDOM;
}
static const Seen *seen_by(Causal *k, Val v) {
  uint8_t *needed = arena_alloc(k->c->arena, v + 1);
  needed[v] = 1;
  for (Val u = v + 1; u-- > 0;)
    for (uint32_t i = 0; needed[u] && i < node_of(k->g, u)->nargs; i++) needed[arg_of(k->g, u, i)] = 1;
  for (Val u = 0; u <= v; u++) {
    if (!needed[u] || k->seen[u]) continue;
    Seen s = look(k, u), *kept = NEW(k->c->arena, Seen);
    s.known = is_constant(k, node_of(k->g, u));
    if (s.known && s.nlimit == 0 && !s.index) limits_by_value(k, u, &s);
    *kept = s;
    k->seen[u] = kept;
  }
  return k->seen[v];
}

/* ---- the site */
static bool in_model(Checker *c, Span at) { return at.end && source_place(c->t->sources, at.at).source == c->t->source; }

static void tell(Causal *k, const Site *site, Span at, Sight s, uint32_t place) {
  Checker *c = k->c;
  Bound *b = bound_at(&s, plain(place));
  DiagItem *d;
  const char *name = site->name;
  if (!s.sure) {
    d = diag_at(c->diag, E0410, at, "it is not clear that this sees only the coordinates of `%s` before the one it is for", name);
    if (s.lost != NO_VAL && in_model(c, node_of(k->g, s.lost)->span)) diag_label(d, node_of(k->g, s.lost)->span, "from here on it may be any of them");
  } else if (site->shape->rank == 0) {
    d = diag_at(c->diag, E0410, at, "`%s` needs its own value", name);
    diag_mark(d, "`%s` is one number: nothing comes before it", name);
  } else if (b) {
    d = diag_at(c->diag, E0410, at, "coordinate j of `%s` sees coordinate j%s%.0d", name, b->by ? "+" : "", b->by);
    diag_mark(d, b->by ? "needs a coordinate that comes later" : "needs the coordinate itself");
  } else if (s.most < k->size - 1) {
    d = diag_at(c->diag, E0410, at, "every coordinate of `%s` sees coordinate%s 1%s%.0d", name, s.most ? "s" : "", s.most ? ".." : "", s.most ? s.most + 1 : 0);
  } else {
    d = diag_at(c->diag, E0410, at, "every coordinate of `%s` sees all of `%s`", name, name);
    if (s.lost != NO_VAL && in_model(c, node_of(k->g, s.lost)->span)) diag_label(d, node_of(k->g, s.lost)->span, "here they come together");
  }
  if (site->shape->rank == 0) { diag_label(d, site->span, "drawn here"); return; }
  diag_label(d, site->span, "drawn coordinate by coordinate%s", site->shape->rank > 1 ? ", along its first axis" : "");
  diag_note(d, "coordinate j is drawn given coordinates 1..j-1: only then do the densities multiply to one of `%s`", name);
  if (site->shape->rank == 1) diag_help(d, "`nn.causal(%s)` sees the earlier coordinates only; a matrix does with a mask: `%s @ ([i in %u, j in %u] (i < j) * W[i, j])`", name, name, site->shape->dim[0], site->shape->dim[0]);
  else diag_help(d, "mask what is later: `[j in %u] sum(i in %u) (i < j) * ...`", site->shape->dim[0], site->shape->dim[0]);
}

/* A value of which coordinate j of the site needs what is at j along `place` (NOWHERE: all of it). */
static bool argument_check(Causal *k, const Site *site, Val v, uint32_t place, Span at) {
  const Seen *s = seen_by(k, v);
  if (s->nsight && site->shape->rank && (site->dist.flow || dist_own_rank(&site->dist) == site->shape->rank)) {
    DiagItem *d = diag_at(k->c->diag, E0410, site->dist.span, "%s draws all of `%s` at once", site->dist.flow ? "a transformed distribution" : name_printf("`%s`", site->dist.decl->name), site->name);
    diag_label(d, site->span, "drawn coordinate by coordinate");
    diag_help(d, "an autoregressive site has a distribution for each coordinate, as `Normal(m, s)` of vectors");
    return false;
  }
  for (uint32_t j = 0; j < s->nsight; j++) {
    Sight x = s->sight[j];
    const Bound *b = bound_at(&x, plain(place));
    if (b && b->by < 0) continue;
    tell(k, site, at, x, place);
    return false;
  }
  return true;
}

bool causal_check(Checker *c, const Site *site, Span at) {
  Causal k = {.c = c, .g = c->t->graph, .name = site->name, .size = site->shape->rank ? (int32_t)site->shape->dim[0] : 1};
  k.seen = arena_alloc(c->arena, k.g->node.n * sizeof *k.seen);
  const DistValue *d = &site->dist;
  for (uint32_t i = 0; i < d->nargs; i++) {
    /* an argument has the coordinates' axis when it has more than its own, behind that of a mixture's components; but copies of
     * the distribution stand before */
    uint32_t lead = dist_lead_rank(d, i, shape_of(k.g, d->arg[i]));
    uint32_t place = d->copies_rank == 0 && lead > d->mixture ? d->mixture : NOWHERE;
    if (!argument_check(&k, site, d->arg[i], place, d->where[i].end ? d->where[i] : at)) return false;
  }
  if (d->flow && !argument_check(&k, site, d->flow->out, NOWHERE, at)) return false;
  return !d->mixture || argument_check(&k, site, d->log_weight, NOWHERE, at);
}
