/* Loops: one entry as phases of fused loop nests and calls over planned buffers.
 *
 * In:  an Entry: a graph and its roots (scalars, row outputs, gradients, state updates).
 * Out: a LoopProgram, and the SviEntry that describes it to the runtime (phases, arenas, reductions, outputs).
 *
 * Phases.  A reduction over rows of the chunked plate is complete only when all chunks are done, so it ends a phase.  Values
 * without rows are computed by serial phases in between.  Within a chunked phase everything is local to a chunk: buffers of a
 * DOMAIN (a set of run-time axes: {image}, {image, particle}) live in that domain's arena, so many bytes an element.
 *
 * Particles.  When nothing with particles depends on a reduction over them (evaluation), the steps between first and last
 * use of particles are a STREAM: run for one block of particles after the other, reductions carried from block to block.
 *
 * Products over the rows, such as gradients of weights, stand in a phase of their own after the phase that computes what they are made
 * of: see note [shared products] in svi.h.
 *
 * Repetitions (OP_guess, OP_settle) lie within a phase: the body's steps stand together, each chunk repeats them as often as it
 * needs.
 *
 * Read: loops.h, phases.c (which phase a value belongs to), fuse.c (values to nests), plan.c (buffers to offsets), print.c. */
#ifndef SVIC_LOOPS_H
#define SVIC_LOOPS_H
#include "../graph/graph.h"
#include "../../runtime/svi.h"

/* ---- what comes in */
typedef struct { int32_t param; Val value; } EntryParam;
typedef struct { Name name; Val value; } EntryRoot;
typedef struct Entry {
  Name   name;                       /* "step:main", "report:nll", ... */
  Graph *graph;                      /* leaves: param/input/option ids index the model's tables */
  int32_t axis;                      /* batch plate, or -1 */
  VEC(EntryRoot)  scalars;           /* no axes, scalar event; [0] is a step's objective */
  VEC(EntryRoot)  outs;              /* row outputs: axes within {batch plate} */
  VEC(EntryParam) grads;             /* of the objective to be minimised; the parameter's shape (with its plate, if per row) */
  VEC(EntryParam) updates;           /* new values of states */
} Entry;

/* ---- buffers */
typedef uint32_t Buf;
#define NO_BUF UINT32_MAX
typedef enum {
  BUF_PARAM,        /* SviCall.param  + offset                          */
  BUF_GLOBAL,       /* SviCall.global + offset                          */
  BUF_LANE,         /* SviChunk.lane  + offset: accumulated over chunks */
  BUF_CHUNK,        /* SviChunk.scratch[domain] + offset bytes * elements the domain is laid out for */
  BUF_BATCH,        /* SviCall.batch[offset]: kept between phases; indexed by row of the batch */
  BUF_OUT           /* SviCall.out[offset]: row output; indexed by row of the batch */
} BufKind;
typedef struct {
  BufKind      kind;
  const Shape *shape;                /* layout: axes by rising number, then dims, row-major, no padding */
  uint64_t     offset;
  uint32_t     domain;               /* BUF_CHUNK: index into LoopPhase.domain */
  bool         window;               /* BUF_BATCH: of a stretch of rows, between a phase and the one after it */
  Val          value;                /* whose value, for printing */
} Buffer;

/* ---- a loop nest */
typedef enum {
  LOOP_ROWS,        /* rows of the chunk: 0 .. SviChunk.rows */
  LOOP_AXIS,        /* a run-time axis: particles of the block (streamed) or all of size[axis] */
  LOOP_SIZE         /* 0 .. size, a constant */
} LoopKind;
typedef struct { LoopKind kind; uint32_t axis; uint32_t size; } Loop;
enum { LOOP_DEPTH_MAX = 10 };

/* One coordinate of a buffer: a loop's index plus a constant (`plus`), a constant (`plus`), or a computed index (instruction `value`). */
typedef enum { IX_LOOP, IX_CONST, IX_VALUE } IndexKind;
typedef struct { IndexKind kind; uint32_t loop; int32_t plus; uint32_t value; } Index;
typedef struct { uint32_t n; Index at[AXIS_MAX < 12 ? AXIS_MAX : 12]; } Access;    /* one Index for each axis (rising), then for each dim */

typedef enum {
  LI_CONST,         /* number */
  LI_OPTION,        /* option id */
  LI_COUNT,         /* size of axis, present or total */
  LI_IOTA,          /* index of loop `at.at[0]`, as a number (particles: counted over all blocks; rows: over the batch); kind2: of that place of plate `id`, the row of the data set */
  LI_LOAD,          /* buf at access; when `guard`, a computed index outside the buffer is clamped, and outside by a loop's or a constant index it is 0 */
  LI_OP,            /* elementwise op on earlier instructions */
  LI_RANDOM,        /* random draw; `at` are the value's own coordinates, `shape` its shape (see note [counter keys] in svi.h) */
  LI_INSIDE,        /* 1 when lo <= index of at.at[0] < hi, else 0 (pad, concat) */
  LI_STORE,         /* buf at access = arg 0 */
  LI_REDUCE         /* buf at access (+)= arg 0, over the loops it does not index; `from`: see below */
} LoopInstrKind;
/* Where a reduction starts: at its identity; carried from chunk to chunk of a lane (unless fresh) or from block to block of a stream
 * (unless the first); or always at what earlier steps left in the buffer (a sum of several reductions; scatter, which alone has an
 * IX_VALUE in the access of a reduction: then every element is a load, an addition and a store). */
typedef enum { FROM_IDENTITY, FROM_LANE, FROM_BLOCK, FROM_BEFORE } ReduceFrom;
typedef struct {
  LoopInstrKind kind;
  uint32_t  depth;                   /* how many loops it stands inside: it uses no index of a deeper one */
  OpKind    op;
  uint32_t  nargs, arg[3];           /* earlier instructions of the nest */
  double    number;
  uint32_t  id;                      /* option, axis, draw, random kind in `kind2` */
  uint8_t   kind2;                   /* ReduceKind, RandomKind, or total (LI_COUNT) */
  Buf       buf;
  Access    at;
  bool      guard;
  int32_t   lo, hi;
  ReduceFrom from;
  const Shape *shape;                /* LI_RANDOM */
  Span      span;
  Name      label;
} LoopInstr;
typedef struct { uint32_t nloop; Loop loop[LOOP_DEPTH_MAX]; VEC(LoopInstr) instr; } Nest;

/* ---- calls */
/* A size known when run: a constant times sizes of run-time axes (the chunk's rows for the chunked axis, the block for streamed particles). */
typedef struct { uint64_t constant; AxisSet axes; } Extent;
typedef enum { TRIANGLE_NONE, TRIANGLE_OPERAND, TRIANGLE_RESULT } Triangle;       /* see note [triangles] */
typedef enum { CALL_GEMM, CALL_LOAD_ROWS, CALL_CHOLESKY, CALL_SOLVE_TRI, CALL_RUNNING } CallKind;
typedef struct {
  CallKind   kind;
  Extent     batch;                  /* how many times; the three strides say how far each operand moves (elements) */
  Extent     m, n, k;                /* gemm: C[m,n] += A[m,k] B[k,n]; cholesky, solve, running: n, m columns */
  bool       ta, tb, lower, trans;
  bool       bits;                   /* gemm: A is zeros and ones */
  Triangle   triangle;               /* gemm: of B, as it lies in memory, or of C only this is not 0: row < column + shift */
  int32_t    shift;
  Buf        a, b, c;
  Extent     lda, ldb, ldc, stride_a, stride_b, stride_c;
  ReduceFrom from;                   /* gemm into c: FROM_IDENTITY overwrites */
  bool       add;                    /* gemm: adds to what an earlier step left in c, always */
  int32_t    column;                 /* load_rows: column, or -1 - parameter */
  Span       span;
  Name       label;
} Call;

typedef struct { bool is_call; bool streamed; uint32_t repeat; bool behind; Nest nest; Call call; } Step;   /* repeat: 1 + its number in the phase; 0: once */

/* Steps that are run again and again: after each turn what is in `next` goes to `guess`, until that changes nothing (OP_settle).
 * With `by`, the turns go along the plate `along`, from its first step (by 1) or its last (-1), and a turn computes one step alone: the
 * steps that lie `behind` (values that are shifted on their way) that of the turn before.  Whole turns give the same. */
typedef struct { Buf next, guess; Extent size; Extent turns; int32_t along; int32_t by; } Repeat;

typedef struct { AxisSet axes; uint64_t bytes; } Domain;       /* run-time axes of the arena (with the chunked one) and its size */
typedef struct {
  int32_t  axis;                     /* chunked plate, -1: serial */
  int32_t  particles;                /* particle axis its chunks hold, -1 */
  bool     stream;
  bool     after;                    /* products of the rows of the phase before; they start FROM_LANE: anew with the first stretch of rows */
  VEC(Step) steps;                   /* streamed ones are consecutive, and so are those of one repeat */
  VEC(Repeat) repeats;
  uint32_t ndomain; Domain domain[SVI_DOMAINS];
} LoopPhase;

typedef struct {
  const Entry *entry;
  uint32_t     real_bytes;
  VEC(Buffer)    buffers;
  VEC(LoopPhase) phases;
} LoopProgram;

/* Lowers an entry.  `out` gets everything but the functions' addresses (SviPhase.run), the graph text and the name. */
/* The product of one step of the plate alone: extents without the plate, and how far the operands of step t lie behind those of step 0,
 * t times `a`, `b`, `c`.  False: it cannot be cut so. */
bool         call_of_step(const Call *c, uint32_t axis, Call *out, Extent *a, Extent *b, Extent *by_c);
LoopProgram *loops_lower (Arena *arena, const Entry *entry, const SviModel *model, uint32_t real_bytes, SviEntry *out);
void         loops_print (const LoopProgram *p, FILE *out);
bool         loops_verify(const LoopProgram *p, FILE *why);
#endif
