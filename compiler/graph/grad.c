/* Adjoints of a scalar with respect to given values, as more graph.
 *
 * In:  a root, a scalar without axes, and the values wanted.
 * Out: for each its adjoint, of its own shape; NO_VAL where the root does not depend on it.
 *
 * Values are visited from the root back.  When one is reached all its users have been, so its adjoint is
 * complete and the op's rule may be asked for those of its arguments.  Rules write as if nothing were
 * broadcast; the sum that undoes broadcasting is here, in give(), and nowhere else.
 *
 * An adjoint always has its value's event dims, but may lack some of its axes: it is then the same along
 * them.  A sum over such an axis is a product with its size, which graph_reduce sees to. */
#include "../ops/op.h"

typedef struct {
  Graph *g;
  Arena *scratch;
  bool  *depends;         /* on a value wanted, through differentiable arguments */
  Val   *adjoint;         /* by Val, up to the root; NO_VAL: none yet */
  Val    first;           /* nodes from here on are the gradient's */
} Grad;

/* Which values up to the root depend on those wanted? */
static bool *find_dependents(const Graph *g, Arena *scratch, Val root, const Val *wrt, uint32_t n) {
  bool *depends = arena_alloc(scratch, root + 1);
  for (uint32_t i = 0; i < n; i++) if (wrt[i] <= root) depends[wrt[i]] = true;
  for (Val v = 0; v <= root; v++) {
    const Node *node = node_of(g, v);
    for (uint32_t i = 0; i < node->nargs && !depends[v]; i++)
      depends[v] = depends[node->arg[i]] && op_of(node->op)->obstacle(node, i) != OP_CONSTANT;
  }
  return depends;
}

const char *graph_no_gradient(const Graph *g, Val root, const Val *wrt, uint32_t n, Val *culprit) {
  Arena *scratch = arena_new();
  bool *depends = find_dependents(g, scratch, root, wrt, n), *reached = arena_alloc(scratch, root + 1);
  const char *why = NULL;
  reached[root] = true;
  for (Val v = root + 1; v-- > 0 && !why;) {
    const Node *node = node_of(g, v);
    for (uint32_t i = 0; reached[v] && i < node->nargs && !why; i++) {
      if (!depends[node->arg[i]]) continue;
      const char *obstacle = op_of(node->op)->obstacle(node, i);
      if (obstacle == NULL) reached[node->arg[i]] = true;
      else if (obstacle != OP_CONSTANT) why = obstacle, *culprit = v;
    }
  }
  arena_free(scratch);
  return why;
}

bool graph_only_steps(const Graph *g, Val root, Val by) {
  if (by > root) return false;
  Arena *scratch = arena_new();
  bool *smooth = arena_alloc(scratch, root + 1), *any = arena_alloc(scratch, root + 1);
  smooth[by] = any[by] = true;
  for (Val v = by + 1; v <= root; v++) {
    const Node *n = node_of(g, v);
    if (n->op == OP_stop) continue;                        /* left out on purpose */
    for (uint32_t i = 0; i < n->nargs; i++) {
      any[v] |= any[n->arg[i]];
      smooth[v] |= smooth[n->arg[i]] && op_of(n->op)->obstacle(n, i) == NULL;
    }
  }
  bool yes = any[root] && !smooth[root];
  arena_free(scratch);
  return yes;
}

/* dv, which is as y is, summed to the shape of y's argument a. */
static Val sum_to(Graph *g, Val dv, Val y, Val a) {
  const Shape *s = shape_of(g, a), *whole = shape_of(g, y);
  AxisSet lost = op_of(node_of(g, y)->op)->joins_axes ? whole->axes & ~s->axes : 0;
  uint32_t dims = 0;
  OpClass class = op_class(node_of(g, y)->op);
  /* their scalar arguments go with any event */
  if (class == CLASS_ELEMENTWISE || class == CLASS_RANDOM) {
    dv = graph_spread(g, dv, whole);
    if (s->rank == 0) dims = all_dims(whole->rank);
  }
  return graph_spread(g, graph_reduce(g, REDUCE_SUM, dv, lost, dims), s);
}

static void give(Grad *d, Val y, Val to, Val dv) {
  Val sum = sum_to(d->g, dv, y, to);
  if (axes_of(d->g, sum) & ~axes_of(d->g, to))
    BUG("the adjoint of an argument of `%s` has axes of its own", op_name(node_of(d->g, y)->op));
  if (d->adjoint[to] != NO_VAL) sum = graph_op2(d->g, OP_add, d->adjoint[to], sum);
  d->adjoint[to] = sum;
}

static void name_adjoint(Grad *d, Val y) {
  Node n = *node_of(d->g, y);
  Name name = n.label ? n.label : op_class(n.op) == CLASS_LEAF && n.op != OP_const && n.op != OP_count &&
      n.op != OP_iota ? n.attr.leaf.name : NULL;
  if (name && d->adjoint[y] >= d->first)
    graph_label(d->g, d->adjoint[y], name_printf("grad of %s", name), n.span);
}

void graph_grad(Graph *g, Val root, const Val *wrt, uint32_t n, Val *out) {
  if (shape_of(g, root)->rank || shape_of(g, root)->axes) BUG("gradient of what is not a scalar");
  Grad d = {.g = g, .scratch = arena_new(), .first = g->node.n};
  Span span = g->span;
  d.depends = find_dependents(g, d.scratch, root, wrt, n);
  d.adjoint = arena_alloc(d.scratch, (root + 1) * sizeof *d.adjoint);
  for (Val v = 0; v <= root; v++) d.adjoint[v] = NO_VAL;
  if (d.depends[root]) d.adjoint[root] = graph_const(g, 1);
  for (Val y = root + 1; y-- > 0;) {
    if (d.adjoint[y] == NO_VAL || !d.depends[y]) continue;
    Node node = *node_of(g, y);
    g->span = node.span;
    name_adjoint(&d, y);
    bool any = false;
    for (uint32_t i = 0; i < node.nargs; i++) any |= d.depends[node.arg[i]];
    if (!any) continue;
    Val *to = arena_alloc(d.scratch, node.nargs * sizeof *to);
    op_of(node.op)->grad(g, y, d.adjoint[y], to);
    for (uint32_t i = 0; i < node.nargs; i++)
      if (to[i] != NO_VAL && d.depends[node.arg[i]]) give(&d, y, node.arg[i], to[i]);
  }
  g->span = span;
  for (uint32_t i = 0; i < n; i++) {
    out[i] = wrt[i] <= root ? d.adjoint[wrt[i]] : NO_VAL;
    if (out[i] != NO_VAL) out[i] = graph_expand_axes(g, out[i], axes_of(g, wrt[i]));
  }
  arena_free(d.scratch);
}
