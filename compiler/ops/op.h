/* What the graph knows of one op.  An op is a row of elementwise.def or a stanza (`const Op op_NAME`) in a
 * file of this folder; graph.c, grad.c, eval.c, print.c, read.c and verify.c ask the op and know none by
 * name.
 *
 * Read: ops.def, elementwise.def, this, then any stanza; reduce.c is a good first. */
#ifndef SVIC_OP_H
#define SVIC_OP_H
#include "../graph/graph.h"

typedef struct Eval   Eval;      /* below */
typedef struct TextIn TextIn;

/* An answer of Op.obstacle that is no message. */
extern const char op_constant[];
#define OP_CONSTANT op_constant                  /* the derivative is zero everywhere */

typedef struct {
  const char *name;
  int         nargs;             /* -1: one or more;  -2: none or one */
  const char *const *words;      /* what stands for the name in text, by attr's kind; or NULL */
  /* the result has its arguments' axes together, and the driver of gradients undoes that */
  bool        joins_axes;

  /* The shape the node must have, or NULL when it is not well formed.  n->shape is what was asked for, where the op
   * leaves that open (leaves, expand, reshape, random, pad, scatter), and may be NULL elsewhere. */
  const Shape *(*shape)(Graph *g, const Node *n);
  Range        (*range)(const Graph *g, const Node *n);
  /* The same node over other arguments, built in `to`, where they may have more axes. */
  Val          (*copy)(Graph *to, const Graph *from, const Node *n, const Val *arg);
  /* d[i] = adjoint of argument i, or NO_VAL.  dy has the event dims of y, and may lack axes of y (it is then the same along
   * them).  d[i] is as if nothing were broadcast: the driver sums it to its argument's shape. */
  void         (*grad)(Graph *g, Val y, Val dy, Val *d);
  /* NULL when argument i has a derivative; OP_CONSTANT; or why it has none. */
  const char  *(*obstacle)(const Node *n, uint32_t i);
  bool         (*eval)(Eval *e, Val y);
  /* attributes, each after a space; may be NULL */
  void         (*print)(const Graph *g, const Node *n, FILE *out);
  bool         (*read)(TextIn *in, Node *n);
} Op;

const Op *op_of(OpKind op);

/* ---- building, for stanzas and rules */
/* Attributes are compared byte by byte: start from this, and set fields one by one. */
static inline Attr attr_none(void) { Attr a; memset(&a, 0, sizeof a); return a; }
/* The node itself, without simplification.  NO_VAL when its shape is wrong. */
Val graph_node(Graph *g, OpKind op, uint32_t nargs, const Val *arg, Attr attr, const Shape *asked);
/* ... a BUG then */
Val graph_add (Graph *g, OpKind op, uint32_t nargs, const Val *arg, Attr attr, const Shape *asked);
Val graph_transpose(Graph *g, Val a);                         /* swaps the dims of a matrix */
Val graph_elementwise(Graph *g, OpKind op, const Val *arg);
/* rules.c: something simpler, or NO_VAL; may reorder arg */
Val rules_apply(Graph *g, OpKind op, Val *arg);
bool graph_is_const(const Graph *g, Val v, double *x);        /* a constant, or one spread over dims */
bool graph_is(const Graph *g, Val v, double x);
const Shape *shape_with(Graph *g, const Shape *s, AxisSet axes);       /* the same dims over other axes */
const Shape *shape_without(Graph *g, const Shape *s, AxisSet axes, uint32_t dims);
static inline AxisSet axes_of(const Graph *g, Val v) { return shape_of(g, v)->axes; }
static inline uint32_t rank_of(const Graph *g, Val v) { return shape_of(g, v)->rank; }
static inline uint32_t all_dims(uint32_t rank) { return (1u << rank) - 1; }
static inline const Shape *shape_of_arg(const Graph *g, const Node *n, unsigned i) {
  return shape_of(g, n->arg[i]);
}
static inline Range range_of_arg(const Graph *g, const Node *n, unsigned i) {
  return g->node.at[n->arg[i]].range;
}

/* ---- ranges: interval arithmetic.  An end at infinity may be closed: infinity itself may then occur. */
Range range_of_const(double x);
Range range_make (double lo, double hi, bool lo_open, bool hi_open, bool whole);
Range range_union(Range a, Range b);
/* sum of between `least` and `most` elements of r */
Range range_scale(Range r, double least, double most);
Range range_add  (Range a, Range b);
Range range_mul  (Range a, Range b);
Range range_plain(Range r);                                   /* without its form */

/* ---- elementwise rows */
typedef struct {
  const char *forward, *adjoint[3], *lowering;                /* as written in the row */
  double      domain[3][2];                                   /* of each argument, for tests */
  double      flops;                                          /* rough */
} Elementwise;
const Elementwise *elementwise_of(OpKind op);                 /* NULL for other ops */
bool   op_commutes(OpKind op);                                /* op(a, b) = op(b, a) */
double op_forward(OpKind op, double a, double b, double c);
/* grad_rules.c: the adjoint of argument i as more graph */
Val    elementwise_adjoint(Graph *g, OpKind op, unsigned i, const Val *arg, Val y, Val dy);

/* ---- evaluation */
struct Eval {
  Arena           *arena;
  const Graph     *g;
  const EvalInput *in;
  EvalResult      *out;
  char            *error;        /* 256 characters */
};
/* returns false */
/* Evaluates again what lies between guess and settle and depends on guess. */
bool eval_body(Eval *e, Val guess, Val settle);
bool eval_fail(Eval *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline double *eval_value(const Eval *e, Val v) { return e->out->value[v]; }
uint64_t eval_axis_size(const Eval *e, uint32_t axis);
uint64_t eval_size(const Eval *e, const Shape *s);
/* data-set row of the i-th row present */
uint64_t eval_row (const Eval *e, uint32_t axis, uint64_t i);
/* elements from one index to the next; 0 without the axis */
uint64_t axis_step(const Eval *e, const Shape *s, uint32_t axis);
uint64_t dim_step (const Eval *e, const Shape *s, uint32_t dim);

/* A loop nest over up to four arrays at once: for each dimension its size and the step it makes in each.
 *   Loop l = {0};  loop_dim(&l, 10, 1, 0, 1, 0);  for (loop_start(&l); l.more; loop_next(&l)) y[l.at[2]] += a[l.at[0]] * b[l.at[1]]; */
enum { LOOP_ARRAYS = 4, LOOP_DIMS = AXIS_MAX + 2 * DIM_MAX };
typedef struct {
  uint32_t n;
  bool     more;
  uint64_t size[LOOP_DIMS], index[LOOP_DIMS], step[LOOP_DIMS][LOOP_ARRAYS], at[LOOP_ARRAYS];
} Loop;
void loop_dim  (Loop *l, uint64_t size, uint64_t s0, uint64_t s1, uint64_t s2, uint64_t s3);
/* shapes may be NULL */
void loop_axes (Loop *l, const Eval *e, AxisSet axes, const Shape *s0, const Shape *s1, const Shape *s2,
                const Shape *s3);
void loop_start(Loop *l);
void loop_next (Loop *l);

/* ---- text */
struct TextIn {
  const char *p, *end, *line_start;
  Graph      *g;
  uint32_t    line;
  char       *error;             /* 256 characters */
};
/* returns false */
bool text_fail  (TextIn *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool text_word  (TextIn *in, const char *word);               /* takes it if it is next */
bool text_mark  (TextIn *in, char c);
bool text_number(TextIn *in, double *x);
bool text_uint  (TextIn *in, uint32_t *x);
bool text_name  (TextIn *in, Name *name);                     /* quoted */
bool text_axis  (TextIn *in, uint32_t *axis);
bool text_range (TextIn *in, Range *r);
void print_name (Name name, FILE *out);
void print_axis (const Graph *g, uint32_t axis, FILE *out);
void print_number(double x, FILE *out);
#endif
