/* values: what is known of each value before phases: order, uses, cost, and what the roots ask for. */
#include "lower.h"

/* ---- cost of one element, in rough flops of a vector unit.  A load from the second-level cache costs
 * about 8 of them, a store 10: limits of the machine, not of the op. */
static const double flops[OP_COUNT] = {
#define UNARY(name, forward, da, lowering, range, l1, h1, cost) [OP_##name] = cost,
#define BINARY(name, forward, da, db, lowering, range, l1, h1, l2, h2, cost) [OP_##name] = cost,
#define TERNARY(name, forward, da, db, dc, lowering, range, l1, h1, l2, h2, l3, h3, cost) [OP_##name] = cost,
#include "../ops/elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
};

/* ---- kinds of ops */
bool is_view(const Lower *l, Val v) {
  if (l->v.at[v].copy) return false;
  switch (lnode(l, v)->op) {
    case OP_stop: case OP_assume: case OP_expand: case OP_permute: case OP_reshape: case OP_to_axis:
    case OP_to_dim:
    case OP_slice: case OP_pad: case OP_concat: case OP_shift: return true;
    default: return false;
  }
}
bool is_contraction(OpKind op) { return op == OP_reduce || op == OP_dot || op == OP_scatter; }
bool is_elementwise(const Lower *l, Val v) { return flops[lnode(l, v)->op] > 0; }
bool is_call_op(OpKind op) { return op == OP_cholesky || op == OP_solve_tri || op == OP_running; }

bool reloads(const Lower *l, Val v) {
  const Node *n = lnode(l, v);
  if (n->op == OP_input) return true;
  if (n->op == OP_param) return axes_of_kind(l, n->shape->axes, AXIS_PLATE) != 0;
  return n->op == OP_random && n->nargs == 0;
}

Val through_views(const Lower *l, Val v) {
  for (;;) {
    OpKind op = lnode(l, v)->op;
    if (l->v.at[v].copy || (op != OP_stop && op != OP_assume && op != OP_reshape)) return v;
    v = lnode(l, v)->arg[0];
  }
}

/* ---- axes, sizes */
AxisSet axes_of_kind(const Lower *l, AxisSet a, AxisKind k) {
  AxisSet some = 0;
  for (uint32_t i = 0; i < l->g->axis.n; i++)
    if (a >> i & 1 && l->g->axis.at[i].kind == k) some |= AXIS_BIT(i);
  return some;
}
AxisSet run_axes(const Lower *l, AxisSet a) { return a & ~axes_of_kind(l, a, AXIS_INDEX); }

double axis_guess(const Lower *l, uint32_t axis) {
  switch (l->g->axis.at[axis].kind) {
    case AXIS_PLATE:    return 100;
    case AXIS_PARTICLE: return 16;
    case AXIS_INDEX:    return l->g->axis.at[axis].size;
  }
  BUG("axis of kind %d", (int)l->g->axis.at[axis].kind);
}

double volume(const Lower *l, const Shape *s) {
  double n = 1;
  for (uint32_t i = 0; i < l->g->axis.n; i++) if (s->axes >> i & 1) n *= axis_guess(l, i);
  for (uint32_t i = 0; i < s->rank; i++) n *= s->dim[i];
  return n;
}

double op_cost(const Lower *l, Val v) {
  const Node *n = lnode(l, v);
  if (n->op == OP_gather) return 20;
  if (n->op == OP_dot) return 1;
  if (n->op != OP_random) return flops[n->op];
  switch ((RandomKind)n->attr.random.kind) {
    case RANDOM_UNIFORM: return 45;
    case RANDOM_NORMAL:  return 60;
    case RANDOM_GAMMA: case RANDOM_POISSON: case RANDOM_VONMISES: return 400;
  }
  BUG("random of kind %d", n->attr.random.kind);
}

/* ---- values added here: in order just before (-1) or after (1) the value `like`, whose name they bear */
Val value_add(Lower *l, OpKind op, uint32_t nargs, const Val *arg, Attr attr, const Shape *shape, Val like,
              int beside) {
  Value v = {.phase = -1, .home = -1, .out = -1, .into = NO_VAL, .buf = NO_BUF, .lane_buf = NO_BUF};
  Val *kept = arena_alloc(l->arena, (nargs + 1) * sizeof *kept);
  for (uint32_t i = 0; i < nargs; i++) {
    kept[i] = arg[i];
    if (l->v.at[arg[i]].body) v.body = l->v.at[arg[i]].body;
  }
  const Node *n = lnode(l, like);
  v.node = (Node){.op = op, .nargs = nargs, .arg = kept, .shape = shape, .attr = attr, .range = n->range,
                  .span = n->span, .label = n->label};
  v.order = l->v.at[like].order + (uint64_t)(int64_t)beside;
  vec_push(l->arena, &l->v, v);
  return l->v.n - 1;
}

/* A view that is a value of its own: what it shows is copied to memory. */
Val value_copy(Lower *l, Val of) {
  Attr none;
  memset(&none, 0, sizeof none);
  Val v = value_add(l, OP_stop, 1, &of, none, lshape(l, of), of, 1);
  l->v.at[v].copy = true;
  return v;
}

void values_read(Lower *l) {
  for (Val v = 0; v < l->g->node.n; v++) {
    Value x = {.node = *node_of(l->g, v), .order = 8 * ((uint64_t)v + 1), .phase = -1, .home = -1, .out = -1,
               .into = NO_VAL, .buf = NO_BUF, .lane_buf = NO_BUF};
    vec_push(l->arena, &l->v, x);
  }
}

/* ---- repetitions */
void values_bodies(Lower *l) {
  uint64_t *order = arena_alloc(l->arena, (l->v.n + 1) * sizeof *order), next = 0;
  for (Val v = 0; v < l->v.n; v++) {
    const Node *n = lnode(l, v);
    if (n->op != OP_settle) continue;
    uint32_t number = ++l->bodies;
    l->v.at[v].copy = l->v.at[n->arg[1]].copy = true;
    l->v.at[n->arg[1]].body = number;
    for (Val u = n->arg[1] + 1; u < v; u++)
      for (uint32_t i = 0; i < lnode(l, u)->nargs; i++)
        if (l->v.at[lnode(l, u)->arg[i]].body == number && lnode(l, u)->op != OP_settle) l->v.at[u].body = number;
  }
  for (Val v = 0; v < l->v.n; v++) {
    if (l->v.at[v].body) continue;
    const Node *n = lnode(l, v);
    for (Val u = n->op == OP_settle ? n->arg[1] : v; u < v; u++)
      if (l->v.at[u].body == l->v.at[n->arg[1]].body) order[u] = ++next;
    order[v] = ++next;
  }
  for (Val v = 0; v < l->v.n; v++) l->v.at[v].order = 8 * order[v];
}

/* ---- order of computation, and uses */
static void want(Lower *l, Val v) {
  l->v.at[v].uses++;
  if (l->v.at[v].needed) return;
  l->v.at[v].needed = true;
  for (uint32_t i = 0; i < lnode(l, v)->nargs; i++) want(l, lnode(l, v)->arg[i]);
}

/* By insertion: values come nearly in order. */
void values_sort(const Lower *l, Val *at, uint32_t n) {
  for (uint32_t i = 1; i < n; i++) {
    Val v = at[i];
    uint64_t key = l->v.at[v].order;
    uint32_t k = i;
    for (; k > 0; k--) {
      uint64_t before = l->v.at[at[k - 1]].order;
      if (before < key || (before == key && at[k - 1] < v)) break;
      at[k] = at[k - 1];
    }
    at[k] = v;
  }
}

void values_order(Lower *l) {
  for (Val v = 0; v < l->v.n; v++) l->v.at[v].uses = 0, l->v.at[v].needed = false;
  for (uint32_t i = 0; i < l->roots.n; i++) want(l, l->roots.at[i].value);
  l->order.n = 0;
  for (Val v = 0; v < l->v.n; v++) if (l->v.at[v].needed) vec_push(l->arena, &l->order, v);
  values_sort(l, l->order.at, l->order.n);
}

/* ---- the value whose buffer v is computed into, and where v's dims are there */
Val target_of(const Lower *l, Val v, uint8_t via[DIM_MAX]) {
  for (uint8_t i = 0; i < DIM_MAX; i++) via[i] = i;
  while (l->v.at[v].into != NO_VAL) {
    for (uint32_t i = 0; i < lshape(l, v)->rank; i++) via[i] = l->v.at[v].via[via[i]];
    v = l->v.at[v].into;
  }
  return v;
}

/* ---- buffers */
Buf buffer_add(Lower *l, BufKind kind, const Shape *s, Val v) {
  Buffer b = {.kind = kind, .shape = s, .value = v};
  vec_push(l->arena, &l->p->buffers, b);
  vec_push(l->arena, &l->alias, NO_BUF);
  return l->p->buffers.n - 1;
}
