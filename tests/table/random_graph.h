/* Graphs made from a seed, to compare two ways of computing one.
 *
 * A graph has two plates (the second one is pointed into by an index of the first), particles, an index axis,
 * parameters of several shapes, data, draws, and a chain of elementwise ops, reductions, products, views and
 * draws over them.  Its root is a scalar.  All values are finite by construction: before an op with a domain
 * its argument is squashed into the domain, and a value whose inferred range leaves [-50, 50] is squashed as
 * well. */
#ifndef SVIC_RANDOM_GRAPH_H
#define SVIC_RANDOM_GRAPH_H
#include "../../compiler/graph/graph.h"

/* no floor, sign, comparisons, ties: rounding and differences are harmless */
enum { GRAPH_SMOOTH = 1,
       GRAPH_NO_DRAWS = 2,
       GRAPH_TWICE = 4 };        /* only what can be differentiated twice */
enum { RANDOM_LEAVES = 12 };
typedef struct {
  Graph   *g;
  uint64_t seed;
  Val      root;
  uint32_t nparam; Val param[RANDOM_LEAVES];
  uint32_t nleaf;  Val leaf[RANDOM_LEAVES];      /* parameters and data, by leaf id */
  uint32_t row, item, particle, index;           /* its axes */
} RandomGraph;

RandomGraph random_graph(Arena *arena, uint64_t seed, unsigned flags);
/* Sizes, leaf values and keys for a run of it; `shift` may be NULL, or adds to one element of one leaf. */
typedef struct { const RandomGraph *r; Val leaf; uint64_t element; double by; } RandomShift;
EvalInput   random_graph_input(const RandomGraph *r, RandomShift *shift);
double      random_leaf_value(const RandomGraph *r, Val leaf, uint64_t element);
#endif
