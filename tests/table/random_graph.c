/* See random_graph.h.  A pool of values grows step by step; each step picks one of the moves below and values
 * to apply it to. */
#include "random_graph.h"
#include "../../compiler/ops/op.h"
#include <math.h>

typedef struct {
  RandomGraph r;
  uint64_t    state;
  unsigned    flags;
  uint32_t    npool;
  Val         pool[64];
  uint32_t    draw;
} Make;

static uint64_t mix(uint64_t x) {                       /* splitmix64 */
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
static uint32_t below(Make *m, uint32_t n) { return (uint32_t)((m->state = mix(m->state)) >> 33) % n; }
static AxisSet bit(uint32_t axis) { return (AxisSet)1 << axis; }

/* ---- leaves */
static Val add_leaf(Make *m, OpKind op, AxisSet axes, uint32_t rank, uint32_t d0, uint32_t d1, Range range) {
  RandomGraph *r = &m->r;
  Val v = graph_leaf(r->g, op, name_printf("leaf%u", r->nleaf), r->nleaf,
                     graph_shape(r->g, axes, rank, (uint32_t[]){d0, d1}), range);
  if (op == OP_param) r->param[r->nparam++] = v;
  return r->leaf[r->nleaf++] = v;
}

double random_leaf_value(const RandomGraph *r, Val leaf, uint64_t element) {
  const Node *n = node_of(r->g, leaf);
  double u = (double)(mix(mix(r->seed + n->attr.leaf.id * 1000003u) + element) >> 11) * 0x1p-53;
  double x = n->range.lo + (n->range.hi - n->range.lo) * u;
  return n->range.whole ? floor(n->range.lo + (n->range.hi + 1 - n->range.lo) * u) : (double)(float)x;
}

static bool give_leaf(void *context, const Graph *g, Val v, double *out, uint64_t n) {
  const RandomShift *s = context;
  uint32_t id = node_of(g, v)->attr.leaf.id;
  for (uint64_t i = 0; i < n; i++) out[i] = random_leaf_value(s->r, s->r->leaf[id], i);
  if (s->by != 0 && node_of(s->r->g, s->leaf)->attr.leaf.id == id && s->element < n) out[s->element] += s->by;
  return true;
}

static void give_key(void *context, const Graph *g, uint32_t draw, uint32_t key[2]) {
  const RandomShift *s = context;
  uint64_t k = mix(s->r->seed);
  /* by name: a copy numbers its draws anew */
  for (Name c = g->draws.at[draw].name; *c; c++) k = mix(k ^ (unsigned char)*c);
  key[0] = (uint32_t)k, key[1] = (uint32_t)(k >> 32);
}

EvalInput random_graph_input(const RandomGraph *r, RandomShift *shift) {
  EvalInput in = {.leaf = give_leaf, .key = give_key, .context = shift};
  static const uint32_t rows[] = {7, 2, 11, 5, 3, 0, 9};
  shift->r = r;
  in.size[r->row] = 3 + r->seed % 4, in.total[r->row] = 100;
  in.size[r->item] = in.total[r->item] = 5;
  in.size[r->particle] = in.total[r->particle] = 2;
  in.row[r->row] = rows;
  return in;
}

/* ---- keeping values tame */
static Val tame(Make *m, Val v) {
  Range range = node_of(m->r.g, v)->range;
  return range.lo >= -50 && range.hi <= 50 ? v : graph_op1(m->r.g, OP_tanh, v);
}
static Val into(Make *m, Val v, double lo, double hi) {
  Graph *g = m->r.g;
  Range range = node_of(g, v)->range;
  if (range.lo >= lo && range.hi <= hi) return v;
  return graph_op2(g, OP_add, graph_op2(g, OP_mul, graph_op1(g, OP_sigmoid, v), graph_const(g, hi - lo)),
                   graph_const(g, lo));
}
static Val pick(Make *m) { return m->pool[m->npool - 1 - below(m, m->npool < 24 ? m->npool : 24)]; }
/* A value that goes with a elementwise. */
static Val pick_like(Make *m, Val a) {
  for (int tries = 0; tries < 20; tries++) {
    Val b = pick(m);
    if (shape_join(m->r.g, shape_of(m->r.g, a), shape_of(m->r.g, b))) return b;
  }
  return graph_const(m->r.g, .25 + below(m, 8) * .25);
}

/* ---- moves; NO_VAL where one does not apply */
static bool is_allowed(const Make *m, OpKind op) {
  const Elementwise *row = elementwise_of(op);
  if (!row) return false;
  bool steps = !strcmp(row->adjoint[0], "ZERO") && op != OP_select;
  if (m->flags & GRAPH_SMOOTH && (steps || op == OP_abs || !strncmp(row->adjoint[0], "NO_GRADIENT", 11)))
    return false;
  return !(m->flags & GRAPH_TWICE && (op == OP_digamma || op == OP_bessel_gap));
}
static Val move_elementwise(Make *m) {
  Graph *g = m->r.g;
  OpKind op;
  do op = (OpKind)below(m, OP_COUNT); while (!is_allowed(m, op));
  const Elementwise *row = elementwise_of(op);
  uint32_t n = (uint32_t)op_of(op)->nargs;
  bool free_domain = op == OP_max || op == OP_min || op == OP_add || op == OP_sub || op == OP_mul ||
      op == OP_neg;
  Val a = pick(m), arg[3] = {a};
  for (uint32_t i = 1; i < n; i++) arg[i] = pick_like(m, a);
  for (uint32_t i = 0; i < n; i++)
    if (!free_domain) arg[i] = into(m, arg[i], row->domain[i][0], row->domain[i][1]);
  if (op == OP_select) arg[0] = graph_op2(g, OP_lt, graph_iota_axis(g, m->r.index), graph_const(g, 2));
  const Shape *s = shape_of(g, arg[0]);
  for (uint32_t i = 1; i < n; i++) if (!(s = shape_join(g, s, shape_of(g, arg[i])))) return NO_VAL;
  return graph_elementwise(g, op, arg);
}
static Val move_reduce(Make *m) {
  Graph *g = m->r.g;
  Val a = pick(m);
  ReduceKind k = (ReduceKind)below(m, 5);
  AxisSet axes = below(m, 2) ? bit(below(m, g->axis.n)) : 0;
  uint32_t dims = below(m, 1u << rank_of(g, a));
  if (m->flags & GRAPH_SMOOTH && (k == REDUCE_MAX || k == REDUCE_MIN) && node_of(g, a)->op == OP_expand)
    k = REDUCE_SUM;
  if (k == REDUCE_PROD) a = into(m, a, .6, 1.4);
  return graph_reduce(g, k, a, axes & ~bit(m->r.item), dims);
}
static Val move_dot(Make *m) {
  Graph *g = m->r.g;
  Val a = pick(m), b = pick(m);
  const Shape *s = shape_of(g, a), *t = shape_of(g, b);
  uint8_t da[DIM_MAX], db[DIM_MAX];
  uint32_t n = 0, taken = 0;
  for (uint32_t i = 0; i < s->rank; i++)
    for (uint32_t j = 0; j < t->rank; j++) {
      if (s->dim[i] != t->dim[j] || taken >> j & 1 || below(m, 3) == 0) continue;
      taken |= 1u << j;
      da[n] = (uint8_t)i, db[n++] = (uint8_t)j;
      break;
    }
  if (s->rank + t->rank - 2 * n > 2) return NO_VAL;
  AxisSet axes = below(m, 3) == 0 ? s->axes & t->axes & bit(m->r.row) : 0;
  return graph_dot(g, a, b, axes, n, da, db);
}
static Val move_view(Make *m) {
  Graph *g = m->r.g;
  Val a = pick(m);
  const Shape *s = shape_of(g, a);
  uint32_t dim = s->rank ? below(m, s->rank) : 0, size = s->rank ? s->dim[dim] : 0;
  AxisSet both = bit(m->r.row) | bit(m->r.item);
  switch (below(m, 11)) {
    case 9: case 10: {                                    /* items as if they were inside rows */
      if (s->rank) return NO_VAL;
      Val steps = graph_op1(g, OP_sin, graph_op2(g, OP_add, a, graph_place(g, m->r.item)));
      Val there = graph_shift(g, graph_expand_axes(g, steps, both), m->r.item, below(m, 2) ? 1 : -1);
      return graph_reduce(g, REDUCE_SUM, graph_op2(g, OP_mul, there, steps), bit(m->r.item), 0);
    }
    case 0: return s->rank ? graph_slice(g, a, dim, below(m, size), 1) : NO_VAL;
    case 1: return s->rank && size > 1 ? graph_slice(g, a, dim, 1, size - 1) : NO_VAL;
    case 2: return s->rank ? graph_index(g, a, dim, below(m, size)) : NO_VAL;
    case 3: return s->rank && size < 5 ? graph_pad(g, a, dim, 1, size + 1) : NO_VAL;
    case 4: return s->rank &&
        size < 3 ? graph_concat(g, (Val[]){a, graph_op1(g, OP_tanh, a)}, 2, dim) : NO_VAL;
    case 5: return s->rank == 2 ? graph_transpose(g, a) : NO_VAL;
    case 6: return s->rank == 2 ? graph_reshape(g, a, 1, (uint32_t[]){s->dim[0] * s->dim[1]}) : NO_VAL;
    case 7: return s->rank == 1 ? graph_expand(g, a, 1, 2, (uint32_t[]){2, s->dim[0]}) : NO_VAL;
    default: return s->rank == 0 ? graph_spread(g, a, graph_shape(g, 0, 1, (uint32_t[]){3})) : NO_VAL;
  }
}
static Val move_convert(Make *m) {
  Graph *g = m->r.g;
  Val a = pick(m);
  for (int tries = 0; tries < 8 && below(m, 3) && !(axes_of(g, a) >> m->r.index & 1); tries++) a = pick(m);
  const Shape *s = shape_of(g, a);
  if (s->axes >> m->r.index & 1)
    return s->rank < 2 ? graph_to_dim(g, a, m->r.index, below(m, s->rank + 1)) : NO_VAL;
  for (uint32_t i = 0; i < s->rank; i++) if (s->dim[i] == 3) return graph_to_axis(g, a, i, m->r.index);
  return NO_VAL;
}
static Val move_mark(Make *m) {
  Val a = pick(m);
  if (below(m, 2)) return graph_assume(m->r.g, a, range_make(-49.5, 50, false, false, false));
  return m->flags & GRAPH_SMOOTH ? NO_VAL : graph_stop(m->r.g, a);
}
static Val move_gather(Make *m) {
  Graph *g = m->r.g;
  Val a = pick(m), class = m->r.leaf[0], item = m->r.leaf[1];
  const Shape *s = shape_of(g, a);
  if (s->axes >> m->r.item & 1) return graph_gather(g, a, item, 0, m->r.item);
  for (uint32_t i = 0; i < s->rank; i++) if (s->dim[i] == 3) return graph_gather(g, a, class, i, NO_VAL);
  return NO_VAL;
}
static Val move_draw(Make *m) {
  Graph *g = m->r.g;
  if (m->flags & GRAPH_NO_DRAWS) return NO_VAL;
  uint32_t draw = graph_draw(g, (Draw){.name = name_printf("site%u", m->draw++)});
  Val a = pick(m);
  /* a Poisson draw would make a step of rounding errors */
  RandomKind k = (RandomKind)below(m, 3);
  Val argument = k == RANDOM_GAMMA && !(m->flags & GRAPH_SMOOTH) ? into(m, a, .5, 3) : NO_VAL;
  if (argument == NO_VAL) k = RANDOM_NORMAL;
  return graph_random(g, k, draw, shape_of(g, a), argument);
}
static Val move_linalg(Make *m) {
  Graph *g = m->r.g;
  Val a = pick(m), b = pick(m);
  const Shape *s = shape_of(g, a), *t = shape_of(g, b);
  if (s->rank != 2 || node_of(g, a)->range.lo < -50 || node_of(g, a)->range.hi > 50) return NO_VAL;
  uint32_t n = s->dim[0];
  a = graph_op1(g, OP_tanh, a);
  Val row = graph_expand(g, graph_iota(g, n), 2, 2, (uint32_t[]){n, n}), col = graph_transpose(g, row);
  Val eye = graph_op2(g, OP_mul, graph_op2(g, OP_eq, row, col), graph_const(g, 1 + s->dim[1]));
  Val l = graph_cholesky(g,
                         graph_op2(g, OP_add, graph_dot(g, a, a, 0, 1, (uint8_t[]){1}, (uint8_t[]){1}), eye));
  if (t->rank == 0 || t->dim[0] != n) return l;
  return graph_solve_tri(g, l, b, true, below(m, 2));
}

static void step(Make *m) {
  static Val (*const moves[])(Make *) = {move_elementwise, move_elementwise, move_elementwise,
                                         move_elementwise, move_reduce, move_reduce,
                                         move_dot, move_dot, move_view, move_view, move_convert, move_convert,
                                             move_gather, move_draw, move_linalg, move_mark};
  Val v = moves[below(m, LEN(moves))](m);
  if (v == NO_VAL || shape_event_size(shape_of(m->r.g, v)) > 64) return;
  v = tame(m, v);
  if (below(m, 4) == 0) graph_label(m->r.g, v, name_printf("v%u", m->npool), (Span){m->npool, m->npool + 3});
  m->pool[m->npool++] = v;
}

RandomGraph random_graph(Arena *arena, uint64_t seed, unsigned flags) {
  Make m = {.state = mix(seed), .flags = flags};
  Graph *g = m.r.g = graph_new(arena);
  m.r.seed = seed;
  m.r.row = graph_axis(g, (Axis){.name = name_of("row"), .kind = AXIS_PLATE, .parent = -1});
  m.r.item = graph_axis(g, (Axis){.name = name_of("item"), .kind = AXIS_PLATE, .parent = -1});
  m.r.particle = graph_axis(g, (Axis){.name = name_of("k"), .kind = AXIS_PARTICLE, .parent = -1});
  m.r.index = graph_axis(g, (Axis){.name = name_of("i"), .kind = AXIS_INDEX, .size = 3, .parent = -1});
  add_leaf(&m, OP_input, bit(m.r.row), 0, 0, 0, range_make(0, 2, false, false, true));        /* 0: a class */
  /* 1: a row of item */
  add_leaf(&m, OP_input, bit(m.r.row), 0, 0, 0, range_make(0, 4, false, false, true));
  Range unit = range_make(-1, 1, false, false, false);
  static const uint32_t shapes[][4] = {{0, 0, 0}, {0, 1, 3}, {0, 2, 3, 4}, {0, 2, 3, 3}, {1, 1, 3}, {2, 1, 4},
                                       {3, 2, 2, 3}};
  for (uint32_t i = 0; i < LEN(shapes); i++) {
    AxisSet axes[] = {0, bit(m.r.row), bit(m.r.item), bit(m.r.row) | bit(m.r.particle)};
    m.pool[m.npool++] = add_leaf(&m, i < 4 || i == 5 ? OP_param : OP_input, axes[shapes[i][0]], shapes[i][1],
                                 shapes[i][2], shapes[i][3], unit);
  }
  for (int i = 0; i < 30; i++) step(&m);
  /* the mean of each of the last values, squashed */
  Val sum = graph_const(g, 0);
  for (uint32_t i = m.npool > 12 ? m.npool - 12 : 0; i < m.npool; i++) {
    Val v = graph_op1(g, OP_tanh, graph_op2(g, OP_mul, m.pool[i], graph_const(g, .5)));
    v = graph_reduce(g, REDUCE_SUM, graph_sum_all(g, v), axes_of(g, v), 0);
    sum = graph_op2(g, OP_add, sum, graph_op2(g, OP_mul, v, graph_const(g, 1. / (1 + i))));
  }
  m.r.root = graph_label(g, sum, name_of("objective"), NO_SPAN);
  return m.r;
}
