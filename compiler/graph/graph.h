/* The tensor graph: every value of a computation, in the order it can be computed.
 *
 * A Val is an index into Graph.node.  Equal nodes are one node (hash-consed), so equality of values is ==.
 * Arguments come before their users.  Shapes are interned too.  A graph lives in its arena and is never freed by itself.
 *
 * A shape has named axes and event dims.  Axes are plates (rows of data), particles, and index axes of comprehensions;
 * they are never positions: a set of bits.  Event dims are sizes known when compiled, in order.
 * In memory a value is laid out axes first, by rising axis number, then dims, row-major.
 *
 * Elementwise ops join axes by union (a value without an axis is the same along it); event dims must be equal, or one side
 * a scalar event.  Everything else that changes a shape is an op of its own.
 *
 * The graph is closed under differentiation: grad.c adds nodes, by each op's rule; the sum that undoes broadcasting is
 * there and nowhere else.  eval.c is the reference: plain loops in double precision, the oracle of generated code.
 *
 * Read: graph.h, ../ops/elementwise.def, ../ops/ops.def, graph.c (building), grad.c, eval.c. */
#ifndef SVIC_GRAPH_H
#define SVIC_GRAPH_H
#include "../base/base.h"

typedef uint32_t Val;
#define NO_VAL UINT32_MAX

/* ---- axes and shapes */
typedef enum { AXIS_PLATE, AXIS_PARTICLE, AXIS_INDEX } AxisKind;
typedef uint64_t AxisSet;
enum { AXIS_MAX = 64, DIM_MAX = 6 };
enum { ALONG_ROW = -1, ALONG_PLACE = -2 };             /* see Attr.along */
typedef struct {
  Name     name;
  AxisKind kind;
  uint32_t size;       /* AXIS_INDEX: its size; otherwise 0: known when run */
  int      parent;     /* AXIS_PLATE of another plate (time of sequence), or -1 */
  uint32_t again;      /* AXIS_PLATE: 1 + the plate whose rows it runs over once more (`m in image`), or 0 */
  bool     ordered;
} Axis;
typedef struct { AxisSet axes; uint32_t rank; uint32_t dim[DIM_MAX]; } Shape;      /* interned: compare by pointer */

/* ---- what is known of a value's elements */
typedef enum { FORM_PLAIN, FORM_SIMPLEX, FORM_ORDERED, FORM_CHOLESKY, FORM_CORR_CHOLESKY } Form_;
typedef struct { double lo, hi; bool lo_open, hi_open, whole; Form_ form; } Range;
extern const Range RANGE_REAL, RANGE_POSITIVE, RANGE_NONNEG, RANGE_UNIT, RANGE_BIT, RANGE_COUNT;
bool range_within(Range inner, Range outer);
void range_print (Range r, FILE *out);                 /* "(0, inf)", "whole [0, 9]" */

/* ---- ops */
typedef enum {
#define OP(name, class) OP_##name,
#include "../ops/ops.def"
#undef OP
  OP_COUNT
} OpKind;
typedef enum { CLASS_LEAF, CLASS_ELEMENTWISE, CLASS_REDUCE, CLASS_VIEW, CLASS_RANDOM, CLASS_CONTRACT, CLASS_OPAQUE } OpClass;
typedef enum { REDUCE_SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN, REDUCE_LOGSUMEXP } ReduceKind;
typedef enum { RANDOM_UNIFORM, RANDOM_NORMAL, RANDOM_GAMMA, RANDOM_POISSON, RANDOM_VONMISES } RandomKind;   /* gamma(shape), poisson(rate), vonmises(concentration) take one argument */

/* What a node carries beside its arguments; which field is meant follows from the op. */
typedef union {
  double   number;                                        /* const */
  struct { Name name; uint32_t id; } leaf;                /* param, input, option: a name and its index in the owner's table */
  struct { uint32_t axis; bool total; } count;            /* count: run-time size of an axis: rows in the batch, or of the data set */
  struct { int32_t axis; int32_t dim; } along;            /* iota: index (from 0) along an event dim (axis -1) or an axis; of a plate its row of the data set (dim ALONG_ROW) or its place among the rows present (ALONG_PLACE) */
  struct { AxisSet axes; uint32_t dims; uint8_t kind; bool rows, mean; } reduce;   /* dims: bit i = event dim i goes; rows: see graph_reduce_rows */
  struct { AxisSet axes; uint8_t n; uint8_t da[DIM_MAX], db[DIM_MAX]; } dot;  /* sums over axes and over pairs (dim da[i] of a, dim db[i] of b) */
  struct { AxisSet axes; uint32_t added; } expand;        /* bit i: dim i of the result is new; axes: new ones (only gradients add any) */
  struct { uint8_t order[DIM_MAX]; } permute;             /* result dim i is argument dim order[i] */
  struct { uint8_t dim; uint32_t axis; } convert;         /* to_axis: dim becomes index axis; to_dim: index axis becomes dim at this place */
  struct { uint8_t dim; uint32_t start, size; } slice;    /* slice, pad (its adjoint: size is the full one) */
  struct { uint8_t dim; } concat;
  struct { uint32_t axis; int32_t by; } shift;            /* element t is the argument's element t - by */
  struct { uint8_t dim; uint32_t axis; } gather;          /* gather: arg0 indexed along dim (axis == NO_VAL) or along plate `axis` by arg1; scatter: its adjoint */
  struct { uint8_t kind; uint32_t draw; } random;         /* draw: index into Graph.draws: who draws */
  struct { Range range; } assume;
  struct { uint32_t id; bool live; } hook;                /* stop: 0, or one of a kind: see graph_hook */
  struct { uint32_t lower; uint32_t trans; } linalg;
  struct { uint32_t turns, along; } settle;               /* along: 1 + the plate that has as many steps as there are turns; 0: `turns`.  guess has a leaf's name and number */
} Attr;

typedef struct {
  OpKind       op;
  uint32_t     nargs;
  const Val   *arg;
  const Shape *shape;
  Attr         attr;
  Range        range;
  Span         span;      /* where the user wrote it (not part of equality) */
  Name         label;     /* what a reader would call it, or NULL: "p.h", "grad of p.dense.W" */
} Node;

/* A source of randomness.  The draw of one element is a pure function of (seed, name, step, row, coordinates): see runtime/svi.h,
 * note [counter keys]. */
typedef struct { Name name; Span span; bool once; } Draw;   /* once: the same at every step */

typedef struct Graph {
  Arena *arena;
  VEC(Node) node;
  VEC(Axis) axis;
  VEC(Draw) draws;
  struct GraphTables *tables;          /* hash tables of nodes and shapes */
  Span  span;                          /* given to nodes built now */
  VEC(Val) hooks;                      /* by hook - 1: what the adjoint is multiplied by; NO_VAL: not said yet */
  bool  forward;                       /* gradients have been taken: a stop is the identity here, and leaves no node */
} Graph;

Graph *graph_new(Arena *arena);
static inline const Node  *node_of (const Graph *g, Val v) { return &g->node.at[v]; }
static inline const Shape *shape_of(const Graph *g, Val v) { return g->node.at[v].shape; }
static inline Val          arg_of  (const Graph *g, Val v, unsigned i) { return g->node.at[v].arg[i]; }

uint32_t     graph_axis (Graph *g, Axis a);                                    /* adds one; index axes of equal name and size are shared */
uint32_t     graph_draw (Graph *g, Draw d);
const Shape *graph_shape(Graph *g, AxisSet axes, uint32_t rank, const uint32_t *dim);
const Shape *shape_join (Graph *g, const Shape *a, const Shape *b);            /* elementwise; NULL when the event dims do not agree */
uint64_t     shape_event_size(const Shape *s);                                 /* product of dims */
void         shape_print(const Graph *g, const Shape *s, FILE *out);           /* "[784] each image, particle" */

/* ---- building.  All fold constants, drop identities (x+0, x*1, neg neg, exp of log, ...) and share equal nodes.
 * Shapes must agree already (the checker says so to the user); here a disagreement is a BUG. */
Val graph_const  (Graph *g, double x);
Val graph_leaf   (Graph *g, OpKind op, Name name, uint32_t id, const Shape *s, Range r);   /* OP_param, OP_input, OP_option */
Val graph_count  (Graph *g, uint32_t axis, bool total);
Val graph_iota   (Graph *g, uint32_t size);                                    /* [size]: 0, 1, ... */
Val graph_iota_axis(Graph *g, uint32_t axis);
Val graph_place(Graph *g, uint32_t axis);                                      /* along a plate: the place among the rows present */
Val graph_rows (Graph *g, Val a, uint32_t from, uint32_t to);                  /* the value at the rows of another axis over the same rows */
uint32_t axis_rows(const Graph *g, uint32_t axis);                             /* the plate whose rows it has */
Val graph_op1    (Graph *g, OpKind op, Val a);                                 /* elementwise */
Val graph_op2    (Graph *g, OpKind op, Val a, Val b);
Val graph_op3    (Graph *g, OpKind op, Val a, Val b, Val c);                   /* select */
Val graph_reduce (Graph *g, ReduceKind k, Val a, AxisSet axes, uint32_t dims);
/* Over every plate and particle the value has where it is copied to; in the graph it is built in it only marks that. */
Val graph_reduce_rows(Graph *g, ReduceKind k, bool mean, Val a);
Val graph_sum_all(Graph *g, Val a);                                            /* over every event dim */
Val graph_dot    (Graph *g, Val a, Val b, AxisSet axes, uint32_t n, const uint8_t *da, const uint8_t *db);
Val graph_matmul (Graph *g, Val a, Val b);                                     /* last dim of a with first of b */
Val graph_expand (Graph *g, Val a, uint32_t added, uint32_t rank, const uint32_t *dim);
Val graph_expand_axes(Graph *g, Val a, AxisSet axes);                         /* the same along further axes */
Val graph_spread (Graph *g, Val a, const Shape *s);                            /* scalar event to the dims of s (axes unchanged) */
Val graph_permute(Graph *g, Val a, const uint8_t *order);
Val graph_to_axis(Graph *g, Val a, uint32_t dim, uint32_t axis);
Val graph_to_dim (Graph *g, Val a, uint32_t axis, uint32_t dim);
Val graph_slice  (Graph *g, Val a, uint32_t dim, uint32_t start, uint32_t size);
Val graph_index  (Graph *g, Val a, uint32_t dim, uint32_t at);                 /* one element: the dim goes */
Val graph_pad    (Graph *g, Val a, uint32_t dim, uint32_t start, uint32_t full);
Val graph_concat (Graph *g, const Val *a, uint32_t n, uint32_t dim);
Val graph_shift  (Graph *g, Val a, uint32_t axis, int32_t by);                 /* along a plate inside another: see ops/part.c */
Val graph_reshape(Graph *g, Val a, uint32_t rank, const uint32_t *dim);        /* same event size, row-major */
Val graph_gather (Graph *g, Val table, Val index, uint32_t dim, uint32_t axis);
Val graph_scatter(Graph *g, Val dy, Val index, uint32_t dim, uint32_t axis, const Shape *s);   /* its adjoint, of a table of shape s */
Val graph_cholesky (Graph *g, Val a);                                          /* lower factor; reads the lower triangle of a [n, n] only */
Val graph_solve_tri(Graph *g, Val t, Val b, bool lower, bool trans);           /* op(t) x = b: t [n, n], of which one triangle is read; b [n] or [n, m] */
Val graph_random (Graph *g, RandomKind k, uint32_t draw, const Shape *s, Val argument /* or NO_VAL */);
Val graph_running(Graph *g, Val a, bool after);                                /* along the first dim: the sum of all before (after) each */
/* Repetition: guess starts at `start`; settle is what `next`, which is computed from guess, becomes when it is put in guess's place
 * again and again until it changes no more, at most `turns` times.  See ops/settle.c. */
Val graph_guess  (Graph *g, Val start, Name name);
Val graph_settle (Graph *g, Val next, Val guess, uint32_t turns);
Val graph_settle_along(Graph *g, Val next, Val guess, uint32_t plate);         /* as many turns as the plate has steps */
/* `at`, a hook, with its gradient as the fixed point of `again`, which is computed from it. */
Val graph_implicit(Graph *g, Val at, Val again, uint32_t turns);
Val graph_implicit_along(Graph *g, Val at, Val again, uint32_t plate);
Val graph_stop   (Graph *g, Val a);                                            /* the value without its gradient */
/* The value as a node of its own, equal to no other: something to differentiate by.  No gradient goes on to `a`; or, when
 * live, what graph_hook_scale says times it, which may need values that depend on this one. */
Val graph_hook   (Graph *g, Val a, bool live);
void graph_hook_scale(Graph *g, Val hook, Val scale);
Val graph_assume (Graph *g, Val a, Range r);                                   /* the value, with a range the builder could not see */
Val graph_label  (Graph *g, Val v, Name label, Span span);                     /* names it unless it has a name; returns v */

/* Copies the nodes that `roots` need from one graph into another (same axes), replacing leaves by what `leaf` returns
 * (NO_VAL: copy the leaf itself).  Shapes are found anew, so a replacement may have more axes. */
typedef Val (*GraphReplace)(void *context, Graph *to, const Graph *from, Val leaf);
void graph_copy(Graph *to, const Graph *from, const Val *roots, uint32_t n, Val *out, GraphReplace replace, void *context);

/* v anew, with what `replace` returns in place of a value and of all that is made from it; NO_VAL: that value from its arguments anew. */
Val graph_rebuild(Graph *g, Val v, Val (*replace)(void *context, Val v), void *context);

/* ---- passes */
/* NULL when graph_grad may be asked for this; otherwise why not, in words for the user, and the node that is in the way. */
const char *graph_no_gradient(const Graph *g, Val root, const Val *wrt, uint32_t n, Val *culprit);
/* Does the root depend on `by`, and only through comparisons, indices and the like, so that its derivative is 0 almost everywhere and says nothing? */
bool graph_only_steps(const Graph *g, Val root, Val by);
void graph_grad  (Graph *g, Val root, const Val *wrt, uint32_t n, Val *out);   /* adjoints; root is a scalar without axes; NO_VAL where it does not depend */
void graph_print (const Graph *g, const Val *roots, const Name *names, uint32_t n, FILE *out);  /* only what the roots need; text that graph_read takes */
bool graph_read  (Graph *g, const char *text, size_t size, Val *roots, Name *names, uint32_t max, uint32_t *n, char error[256]);
bool graph_verify(const Graph *g, FILE *why);
const char *op_name(OpKind op);
OpClass     op_class(OpKind op);
bool        op_is_random(OpKind op);

/* ---- reference evaluation, in double precision */
typedef struct {
  uint64_t size[AXIS_MAX];              /* rows present, particles */
  uint64_t total[AXIS_MAX];             /* rows of the data set */
  const uint32_t *row[AXIS_MAX];        /* data-set row of each row present; NULL: 0, 1, ... */
  /* fills a leaf (param, input, option): its whole value, axes first */
  bool (*leaf)(void *context, const Graph *g, Val v, double *out, uint64_t n);
  void (*key)(void *context, const Graph *g, uint32_t draw, uint32_t key[2]);
  bool single;                          /* round every value to float, as the generated code does */
  void *context;
} EvalInput;
typedef struct { double **value; uint64_t *size; } EvalResult;    /* by Val; NULL where not needed by the roots */
bool graph_eval(Arena *arena, const Graph *g, const Val *roots, uint32_t n, const EvalInput *in, EvalResult *out, char error[256]);
/* First node, in order, that holds a NaN or infinity none of its arguments hold; NO_VAL if all is finite. */
Val  graph_first_nonfinite(const Graph *g, const EvalResult *r, const Val *roots, uint32_t n, uint64_t *element);
#endif
