/* What the files of this folder share while an entry is lowered.  Private to loops/.
 *
 * A Value stands beside each node of the graph (same number), and beside nodes added here.  Its fields are found in this
 * order:
 *
 *   values.c   order of computation, uses, costs
 *   prepare.c  changes of the graph that make better phases and calls
 *   triangle.c ... and better products
 *   homes.c    home (chunked plate or serial), what is clear, what must lie in memory
 *   phases.c   phase, what is kept between phases
 *   fuse.c     within a phase: the steps (nests and calls), and what they must store
 *   cost.c     ... what else they store, because computing it again would cost more
 *   nest.c     the instructions of a nest
 *   gemm.c     which dots are matrix products, with which strides
 *   plan.c     storage: writing in place, arenas, offsets
 *   lower.c    the whole, and the SviEntry
 *
 * note [clear]   A clear value belongs to no phase: it is computed again wherever it is wanted, in registers.  Constants,
 * views, columns of data and draws without arguments (loads and draws cost little), scalars of few operations.
 *
 * note [copies]  A view is a change of index, and has no memory.  Where its elements must lie in memory in their own order
 * (a root, an operand of a call with strides BLAS does not take) the view becomes a value of its own: `copy`.
 *
 * note [stages]  Within a phase (and within or beside its stream) what comes before the n-th repetition is stage 3n - 3 or less, its body
 * stages 3n - 2 (values whose way to the result leads through a shift along a plate) and 3n - 1, what needs its result stage 3n or more.  Steps are of one stage; a guess is stored in the stage before, settle
 * copies the body's last value in the stage after.
 *
 * note [into]    A value may be computed straight into another's buffer: a product whose only use is to be permuted, the
 * addends of a sum of products.  The target then has no step of its own. */
#ifndef SVIC_LOWER_H
#define SVIC_LOWER_H
#include "loops.h"

typedef struct {
  Node         node;              /* as in the graph, or with other arguments */
  uint64_t     order;             /* place in the order of computation */
  const Shape *space;             /* the loops that compute it: its own shape, or its argument's for a reduction */
  int32_t      home;              /* plate whose chunks compute it; -1: serial */
  int32_t      phase;             /* -1: none yet, or clear */
  uint32_t     uses;              /* by needed values, and by roots */
  bool         needed;
  bool         clear;             /* see note [clear] */
  bool         copy;              /* see note [copies] */
  bool         fetched;           /* rows of it are read from anywhere: it lies in memory before that phase, and is not computed again there */
  uint32_t     body;              /* of which repetition (from 1, by order of their settle); 0: of none */
  bool         lane;              /* sums over its home's rows: whole only after the phase */
  bool         shared;            /* a product over its home's rows in a phase of its own */
  bool         target;            /* others are computed into its buffer */
  bool         kept;              /* read by a later phase, or a root that is not left in the lanes */
  bool         root;
  int32_t      out;               /* copy to this row output; -1 */
  Val          into;              /* see note [into]; NO_VAL: its own buffer */
  uint8_t      via[DIM_MAX];      /* ... its dim i is dim via[i] there */
  Triangle     triangle;          /* of a dot: see note [triangles] */
  int32_t      shift;
  Buf          buf;               /* where later phases find it */
  Buf          lane_buf;
} Value;

typedef enum { ROOT_SCALAR, ROOT_OUT, ROOT_GRAD, ROOT_UPDATE } RootKind;
typedef struct { RootKind kind; uint32_t index; Val value; } Root;

typedef struct { int32_t axis; bool after; VEC(Val) wants; } PhasePlan;      /* wants: to be in memory when the phase ends, in order; after: of shared products */
typedef struct { Name name; const Shape *shape; } OutPlan;

typedef struct Lower {
  Arena          *arena;
  const Entry    *entry;
  Graph          *g;
  const SviModel *model;
  uint32_t        real_bytes;
  VEC(Value)      v;              /* by Val */
  VEC(Val)        order;          /* needed values, arguments first */
  VEC(Root)       roots;
  uint32_t        bodies;         /* repetitions */
  VEC(OutPlan)    outs;           /* row outputs, then gradients of parameters with a plate */
  VEC(PhasePlan)  phase;
  VEC(Buf)        alias;          /* by Buf: the buffer it is another shape of, or NO_BUF */
  LoopProgram    *p;
} Lower;

static inline const Node *lnode(const Lower *l, Val v) { return &l->v.at[v].node; }
static inline const Shape *lshape(const Lower *l, Val v) { return l->v.at[v].node.shape; }
#define AXIS_BIT(a) ((AxisSet)1 << (a))

/* ---- values.c */
void    values_read (Lower *l);
void    values_bodies(Lower *l);                             /* which values are repeated; they come together, just before their settle */
void    values_order(Lower *l);                              /* needed, uses, order; again when nodes were added */
void    values_sort (const Lower *l, Val *at, uint32_t n);
Val     value_add   (Lower *l, OpKind op, uint32_t nargs, const Val *arg, Attr attr, const Shape *shape, Val like, int beside);
Val     value_copy  (Lower *l, Val of);
AxisSet run_axes    (const Lower *l, AxisSet a);             /* plates and particles among them */
AxisSet axes_of_kind(const Lower *l, AxisSet a, AxisKind k);
double  axis_guess  (const Lower *l, uint32_t axis);         /* a likely size, for costs */
double  volume      (const Lower *l, const Shape *s);        /* elements, with likely sizes */
double  op_cost     (const Lower *l, Val v);                 /* of one element */
bool    is_view     (const Lower *l, Val v);
bool    is_elementwise(const Lower *l, Val v);
bool    is_contraction(OpKind op);                           /* reduce, dot, scatter */
bool    is_call_op  (OpKind op);
bool    reloads     (const Lower *l, Val v);                 /* column of data, row of a parameter, draw without arguments */
Val     through_views(const Lower *l, Val v);                /* below stop, assume and reshape: the same elements in the same order */
Val     target_of   (const Lower *l, Val v, uint8_t via[DIM_MAX]);
Buf     buffer_add  (Lower *l, BufKind kind, const Shape *s, Val v);

/* ---- prepare.c */
void values_prepare(Lower *l);

/* ---- triangle.c */
void triangles_find(Lower *l);

/* ---- homes.c */
void homes_find(Lower *l);
bool reshape_is_alias(const Lower *l, Val v);                /* needs its argument in memory; otherwise dims of size 1 come and go */
const Shape *space_of(const Lower *l, Val v);
bool fetches_rows(const Lower *l, Val v, uint32_t arg);      /* of a plate, from anywhere */

/* ---- phases.c */
void phases_find(Lower *l);
bool recomputed (const Lower *l, Val v, int32_t axis);       /* in a later phase of that plate, rather than kept */

/* ---- gemm.c */
typedef struct { Val base; Extent axis[AXIS_MAX], dim[DIM_MAX]; } Strides;      /* base: what lies in memory; 0 along what it lacks */
void strides_of(const Lower *l, Val v, Strides *out);        /* through views; of v itself where they are in the way */
bool strides_plain(const Lower *l, Val v);                   /* strides_of(v) is v's own layout */
typedef struct { Call call; Val a, b; } Gemm;                /* operands' bases; buffers are filled in later */
bool gemm_match(const Lower *l, Val dot, Gemm *out);

/* ---- fuse.c: the steps of one phase */
typedef enum { KEEP_NOT, KEEP_SINK, KEEP_HERE } Keep;        /* SINK: has a place of its own; HERE: stored by the nest that first wants it */
typedef struct { uint32_t step; bool aligned; double ratio; } Demand;
typedef struct {
  bool       local;               /* computed in this phase */
  bool       wanted;              /* must be in memory when the phase ends */
  Keep       keep;
  bool       call, product;       /* a call; a dot without sums: elementwise */
  uint8_t    group;               /* streams: 0 before, 1 streamed, 2 after */
  uint32_t   stage;               /* see note [stages] */
  uint32_t   shifts;              /* in a body: on the way from the guess */
  bool       scheduled;
  uint32_t   step;                /* in which it is complete (SINK) or stored (HERE) */
  Gemm      *gemm;
  Buf        buf;                 /* of a view: the alias */
  VEC(Demand) demand;
  uint32_t   limit;               /* last step in which it may be complete */
  uint32_t   stamp[2];
} Local;
typedef enum { SINK_STORE, SINK_PART, SINK_REDUCE, SINK_ZERO, SINK_SCATTER } SinkKind;      /* PART: one argument of a concat */
typedef struct { SinkKind kind; Val v; ReduceFrom from; uint32_t part; } Sink;
typedef struct { bool call; uint8_t group; uint32_t stage; const Shape *space; VEC(Sink) sink; VEC(Val) here, reads; Val v; ReduceFrom from; } StepPlan;
typedef struct Fuse {
  Lower        *l;
  int32_t       phase, axis, stream;      /* stream: the particle axis, or -1 */
  Local        *at;                       /* by Val */
  VEC(Val)      order;                    /* local values */
  VEC(StepPlan) steps;
  uint32_t      stamp, stages;            /* stages: the last one */
  struct Known **known;                   /* by Val, for nest.c: empty between nests */
  LoopPhase    *out;
} Fuse;
void phase_fuse(Lower *l, uint32_t phase, LoopPhase *out);
bool keeps_place(const Lower *l, Val v, uint32_t i);         /* see fuse.c */
bool in_parts(const Fuse *f, Val v);                         /* a concat stored part by part */
Buf  buffer_of(Fuse *f, Val v);                              /* where a stored value is read, or a sink writes */
bool stored_before(const Fuse *f, Val v, uint32_t step);     /* may be loaded in that step */

/* ---- cost.c: values that no sink stores */
bool demands_settle(Fuse *f);                                /* false: some became sinks, and the steps are to be found again */

/* ---- nest.c */
void nest_build(Fuse *f, uint32_t step, Nest *out);

/* ---- plan.c */
void plan_buffers(Lower *l, SviEntry *out);
#endif
