/* The invariants of a graph, checked.  Reads as the definition in graph.h: arguments before users, each shape
 * as the op's rule has it, ranges in order, equal nodes one node. */
#include "../ops/op.h"
#include <math.h>

static const char *node_fault(Graph *g, Val v) {
  Node n = *node_of(g, v);
  if (n.op >= OP_COUNT) return "no such op";
  int wants = op_of(n.op)->nargs;
  if (wants >= 0 ? n.nargs != (uint32_t)wants : wants == -1 ? n.nargs < 1 : n.nargs > 1)
    return "wrong number of arguments";
  for (uint32_t i = 0; i < n.nargs; i++) if (n.arg[i] >= v) return "an argument that is not above";
  if (n.shape->rank > DIM_MAX) return "too many dims";
  if (g->axis.n < AXIS_MAX && n.shape->axes >> g->axis.n) return "an axis that does not exist";
  if (graph_shape(g, n.shape->axes, n.shape->rank, n.shape->dim) != n.shape)
    return "a shape that is not interned";
  if (op_of(n.op)->shape(g, &n) != n.shape) return "a shape its arguments do not give";
  if (!(n.range.lo <= n.range.hi)) return "an empty range";
  if (graph_node(g, n.op, n.nargs, n.arg, n.attr, n.shape) != v) return "a node that is there twice";
  return NULL;
}

bool graph_verify(const Graph *g, FILE *why) {
  /* rules look shapes up, which may intern one; nodes stay as they are */
  Graph *tables = (Graph *)g;
  for (Val v = 0; v < g->node.n; v++) {
    const char *fault = node_fault(tables, v);
    if (!fault) continue;
    if (why)
      fprintf(why, "graph: %%%u, `%s`: %s\n", v,
              g->node.at[v].op < OP_COUNT ? op_name(g->node.at[v].op) : "?", fault);
    return false;
  }
  return true;
}
