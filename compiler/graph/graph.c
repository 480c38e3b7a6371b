/* Building the tensor graph: shapes, nodes, elementwise values, copies.
 *
 * In:  calls of builders, arguments first.
 * Out: nodes, each once: shapes and nodes are looked up in hash tables by content before they are added.
 *
 * An elementwise value goes through four steps: values spread over dims are taken scalar, so that constants
 * are always scalars; constants are folded; the rules of rules.c are tried; what is left becomes a node.
 * Builders of structural ops are in ../ops, beside the op's stanza. */
#include "../ops/op.h"
#include <math.h>

struct GraphTables {
  /* Val + 1; open addressing, capacity a power of two */
  uint32_t     *node;  uint32_t node_cap;
  const Shape **shape; uint32_t shape_cap, nshapes;
};

Graph *graph_new(Arena *arena) {
  Graph *g = NEW(arena, Graph);
  g->arena = arena;
  g->tables = NEW(arena, struct GraphTables);
  g->tables->node_cap = g->tables->shape_cap = 64;
  g->tables->node = arena_alloc(arena, 64 * sizeof *g->tables->node);
  g->tables->shape = arena_alloc(arena, 64 * sizeof *g->tables->shape);
  return g;
}

static uint64_t hash_more(uint64_t h, const void *data, size_t n) {
  const unsigned char *p = data;
  for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
  return h;
}
static uint32_t hash_end(uint64_t h) { return (uint32_t)(h ^ (h >> 32)); }
enum { HASH_START = 0x811c9dc5 };

/* ---- axes, draws */
uint32_t graph_axis(Graph *g, Axis a) {
  if (a.kind == AXIS_INDEX)
    for (uint32_t i = 0; i < g->axis.n; i++)
      if (g->axis.at[i].kind == AXIS_INDEX && g->axis.at[i].name == a.name && g->axis.at[i].size == a.size)
        return i;
  if (g->axis.n == AXIS_MAX) BUG("more than %d axes", AXIS_MAX);
  vec_push(g->arena, &g->axis, a);
  return g->axis.n - 1;
}

/* Draws of one name are one: their values depend on the name alone. */
uint32_t graph_draw(Graph *g, Draw d) {
  for (uint32_t i = 0; i < g->draws.n; i++)
    if (g->draws.at[i].name == d.name && g->draws.at[i].once == d.once) return i;
  vec_push(g->arena, &g->draws, d);
  return g->draws.n - 1;
}

/* ---- shapes */
static uint32_t hash_shape(const Shape *s) {
  return hash_end(hash_more(hash_more(HASH_START, &s->axes, sizeof s->axes), s->dim,
                            s->rank * sizeof *s->dim));
}

static bool shape_equal(const Shape *a, const Shape *b) {
  return a->axes == b->axes && a->rank == b->rank && !memcmp(a->dim, b->dim, a->rank * sizeof *a->dim);
}

static const Shape **shape_slot(struct GraphTables *t, const Shape *s) {
  uint32_t i = hash_shape(s) & (t->shape_cap - 1);
  while (t->shape[i] && !shape_equal(t->shape[i], s)) i = (i + 1) & (t->shape_cap - 1);
  return &t->shape[i];
}

const Shape *graph_shape(Graph *g, AxisSet axes, uint32_t rank, const uint32_t *dim) {
  if (rank > DIM_MAX) BUG("a value of %u dims", rank);
  Shape s = {.axes = axes, .rank = rank};
  for (uint32_t i = 0; i < rank; i++) s.dim[i] = dim[i];
  struct GraphTables *t = g->tables;
  const Shape **slot = shape_slot(t, &s);
  if (*slot) return *slot;
  if (2 * ++t->nshapes > t->shape_cap) {
    const Shape **old = t->shape;
    uint32_t n = t->shape_cap;
    t->shape_cap *= 2;
    t->shape = arena_alloc(g->arena, t->shape_cap * sizeof *t->shape);
    for (uint32_t i = 0; i < n; i++) if (old[i]) *shape_slot(t, old[i]) = old[i];
    slot = shape_slot(t, &s);
  }
  Shape *kept = NEW(g->arena, Shape);
  *kept = s;
  return *slot = kept;
}

const Shape *shape_with(Graph *g, const Shape *s,
                        AxisSet axes) { return graph_shape(g, axes, s->rank, s->dim); }

const Shape *shape_without(Graph *g, const Shape *s, AxisSet axes, uint32_t dims) {
  uint32_t dim[DIM_MAX], n = 0;
  for (uint32_t i = 0; i < s->rank; i++) if (!(dims >> i & 1)) dim[n++] = s->dim[i];
  return graph_shape(g, s->axes & ~axes, n, dim);
}

const Shape *shape_join(Graph *g, const Shape *a, const Shape *b) {
  if (a == b) return a;
  const Shape *event = a->rank == 0 ? b : a;
  if (a->rank && b->rank && (a->rank != b->rank || memcmp(a->dim, b->dim, a->rank * sizeof *a->dim)))
    return NULL;
  return shape_with(g, event, a->axes | b->axes);
}

uint64_t shape_event_size(const Shape *s) {
  uint64_t n = 1;
  for (uint32_t i = 0; i < s->rank; i++) n *= s->dim[i];
  return n;
}

void shape_print(const Graph *g, const Shape *s, FILE *out) {
  if (s->rank == 0) fputs("scalar", out);
  for (uint32_t i = 0; i < s->rank; i++) fprintf(out, "%s%u", i ? ", " : "[", s->dim[i]);
  if (s->rank) fputc(']', out);
  const char *before = " each ";
  for (uint32_t i = 0; i < g->axis.n; i++) {
    if (!(s->axes >> i & 1)) continue;
    fputs(before, out);
    print_axis(g, i, out);
    before = ", ";
  }
}

/* ---- nodes */
static uint32_t hash_node(const Node *n) {
  uint64_t h = hash_more(HASH_START, &n->op, sizeof n->op);
  h = hash_more(h, n->arg, n->nargs * sizeof *n->arg);
  h = hash_more(h, &n->shape, sizeof n->shape);
  return hash_end(hash_more(h, &n->attr, sizeof n->attr));
}

static bool node_equal(const Node *a, const Node *b) {
  return a->op == b->op && a->nargs == b->nargs && a->shape == b->shape &&
      !memcmp(&a->attr, &b->attr, sizeof a->attr) &&
         (a->nargs == 0 || !memcmp(a->arg, b->arg, a->nargs * sizeof *a->arg));
}

static uint32_t *node_slot(const Graph *g, const Node *n) {
  struct GraphTables *t = g->tables;
  uint32_t i = hash_node(n) & (t->node_cap - 1);
  while (t->node[i] && !node_equal(&g->node.at[t->node[i] - 1], n)) i = (i + 1) & (t->node_cap - 1);
  return &t->node[i];
}

static void nodes_grow(Graph *g) {
  struct GraphTables *t = g->tables;
  t->node_cap *= 2;
  t->node = arena_alloc(g->arena, t->node_cap * sizeof *t->node);
  for (Val v = 0; v < g->node.n; v++) *node_slot(g, &g->node.at[v]) = v + 1;
}

Val graph_node(Graph *g, OpKind op, uint32_t nargs, const Val *arg, Attr attr, const Shape *asked) {
  const Op *o = op_of(op);
  if (o->nargs >= 0 ? nargs != (uint32_t)o->nargs : o->nargs == -1 ? nargs < 1 : nargs > 1) return NO_VAL;
  for (uint32_t i = 0; i < nargs; i++) if (arg[i] >= g->node.n) return NO_VAL;
  Node n = {.op = op, .nargs = nargs, .arg = arg, .shape = asked, .attr = attr, .span = g->span};
  n.shape = o->shape(g, &n);
  if (!n.shape) return NO_VAL;
  uint32_t *slot = node_slot(g, &n);
  if (*slot) return *slot - 1;
  n.range = o->range(g, &n);
  Val *kept = nargs ? arena_alloc(g->arena, nargs * sizeof *kept) : NULL;
  for (uint32_t i = 0; i < nargs; i++) kept[i] = arg[i];
  n.arg = kept;
  vec_push(g->arena, &g->node, n);
  *slot = g->node.n;
  if (2 * g->node.n > g->tables->node_cap) nodes_grow(g);
  return g->node.n - 1;
}

Val graph_add(Graph *g, OpKind op, uint32_t nargs, const Val *arg, Attr attr, const Shape *asked) {
  Val v = graph_node(g, op, nargs, arg, attr, asked);
  if (v == NO_VAL) BUG("`%s` of arguments that do not fit", op_name(op));
  return v;
}

/* ---- elementwise */
bool graph_is_const(const Graph *g, Val v, double *x) {
  const Node *n = node_of(g, v);
  if (n->op == OP_expand && n->attr.expand.axes == 0) n = node_of(g, n->arg[0]);
  if (n->op != OP_const) return false;
  *x = n->attr.number;
  return true;
}

bool graph_is(const Graph *g, Val v, double x) {
  double is;
  return graph_is_const(g, v, &is) && is == x;
}

/* A NaN is left to be computed when run: there the check for finite values can say where it comes from. */
static Val fold(Graph *g, OpKind op, const Val *arg, uint32_t n) {
  double x[3] = {0};
  for (uint32_t i = 0; i < n; i++) if (!graph_is_const(g, arg[i], &x[i])) return NO_VAL;
  double y = op_forward(op, x[0], x[1], x[2]);
  return isnan(y) ? NO_VAL : graph_const(g, y);
}

static bool is_spread(const Graph *g, Val v) {
  const Node *n = node_of(g, v);
  return n->op == OP_expand && n->attr.expand.axes == 0 && shape_of(g, n->arg[0])->rank == 0;
}

Val graph_elementwise(Graph *g, OpKind op, const Val *arg) {
  uint32_t n = (uint32_t)op_of(op)->nargs;
  Val a[3];
  const Shape *s = shape_of(g, arg[0]);
  bool wide = false;                                    /* an argument has dims of its own */
  for (uint32_t i = 0; i < n; i++) {
    const Shape *joined = shape_join(g, s, shape_of(g, arg[i]));
    if (!joined) BUG("`%s` of values whose event dims do not agree", op_name(op));
    s = joined;
    a[i] = is_spread(g, arg[i]) ? arg_of(g, arg[i], 0) : arg[i];
    wide |= shape_of(g, a[i])->rank > 0;
  }
  if (s->rank && !wide) return graph_spread(g, graph_elementwise(g, op, a), s);
  Val v = fold(g, op, a, n);
  if (v == NO_VAL) v = rules_apply(g, op, a);
  if (v == NO_VAL) v = graph_add(g, op, n, a, attr_none(), NULL);
  return graph_spread(g, v, s);
}

Val graph_op1(Graph *g, OpKind op, Val a)               { return graph_elementwise(g, op, &a); }
Val graph_op2(Graph *g, OpKind op, Val a, Val b)        { return graph_elementwise(g, op, (Val[]){a, b}); }
Val graph_op3(Graph *g, OpKind op, Val a, Val b, Val c) { return graph_elementwise(g, op, (Val[]){a, b, c}); }

Val graph_label(Graph *g, Val v, Name label, Span span) {
  Node *n = &g->node.at[v];
  if (n->label) return v;
  n->label = label;
  if (span.end) n->span = span;
  return v;
}

/* ---- copies */
static void copy_tables(Graph *to, const Graph *from) {
  for (uint32_t i = 0; i < from->axis.n; i++) {
    if (i == to->axis.n) vec_push(to->arena, &to->axis, from->axis.at[i]);
    if (to->axis.at[i].name != from->axis.at[i].name || to->axis.at[i].kind != from->axis.at[i].kind)
      BUG("graphs of different axes: %u is `%s` and `%s`", i, to->axis.at[i].name, from->axis.at[i].name);
  }
}

void graph_copy(Graph *to, const Graph *from, const Val *roots, uint32_t n, Val *out, GraphReplace replace,
                void *context) {
  copy_tables(to, from);
  uint32_t size = 0;
  for (uint32_t i = 0; i < n; i++) if (roots[i] >= size) size = roots[i] + 1;
  Arena *scratch = arena_new();
  bool *needed = arena_alloc(scratch, size + 1);
  Val  *made = arena_alloc(scratch, (size + 1) * sizeof *made);
  for (uint32_t i = 0; i < n; i++) needed[roots[i]] = true;
  for (Val v = size; v-- > 0;) {
    if (!needed[v]) continue;
    const Node *node = node_of(from, v);
    for (uint32_t i = 0; i < node->nargs; i++) needed[node->arg[i]] = true;
  }
  Span span = to->span;
  for (Val v = 0; v < size; v++) {
    if (!needed[v]) continue;
    /* a copy: `to` may be the same graph, and its array move */
    Node node = from->node.at[v];
    Val *arg = arena_alloc(scratch, (node.nargs + 1) * sizeof *arg);
    for (uint32_t i = 0; i < node.nargs; i++) arg[i] = made[node.arg[i]];
    to->span = node.span;
    Val w = NO_VAL;
    if (op_class(node.op) == CLASS_LEAF && replace) w = replace(context, to, from, v);
    if (w == NO_VAL) w = graph_label(to, op_of(node.op)->copy(to, from, &node, arg), node.label, node.span);
    made[v] = w;
  }
  to->span = span;
  for (uint32_t i = 0; i < n; i++) out[i] = made[roots[i]];
  arena_free(scratch);
}

typedef struct { Graph *g; Val (*replace)(void *, Val); void *context; Arena *scratch; Val *made; } Rebuild;

static Val rebuild(Rebuild *r, Val v) {
  if (r->made[v] != NO_VAL) return r->made[v];
  Val w = r->replace(r->context, v);
  Node n = *node_of(r->g, v);
  if (w == NO_VAL) {
    Val *arg = arena_alloc(r->scratch, (n.nargs + 1) * sizeof *arg);
    for (uint32_t i = 0; i < n.nargs; i++) arg[i] = rebuild(r, n.arg[i]);
    r->g->span = n.span;
    w = op_of(n.op)->copy(r->g, r->g, &n, arg);
  }
  return r->made[v] = w;
}
Val graph_rebuild(Graph *g, Val v, Val (*replace)(void *context, Val v), void *context) {
  Rebuild r = {g, replace, context, arena_new(), NULL};
  Span span = g->span;
  r.made = arena_alloc(r.scratch, (v + 1) * sizeof *r.made);
  for (Val i = 0; i <= v; i++) r.made[i] = NO_VAL;
  Val w = rebuild(&r, v);
  arena_free(r.scratch);
  g->span = span;
  return w;
}
