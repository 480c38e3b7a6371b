/* What the files of this folder share.  Private to llvm/: the rest of the compiler sees llvm.h.
 *
 * An Emit is one module being built; an LlvmModule owns it.  While a function is built the Emit also holds the loop
 * program, the phase and the step it is in, and the values every step of the function may use (fields of SviCall and
 * SviChunk, loaded once in the entry block when first asked for).
 *
 * Read: module.c (the whole), function.c (a phase), outline.c (a nest as a function), fork.c (on all threads), nest.c (loops), access.c (addresses), reduce.c, scalar.c (ops),
 * call.c (matrix products and the like), kernels.c (bitcode), tables.c (svi_model), debug.c, target.c, link.c. */
#ifndef SVIC_LLVM_EMIT_H
#define SVIC_LLVM_EMIT_H
#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include "llvm.h"

/* ---- sizes.  A product of a constant and run-time sizes: `here` as laid out in a chunk's arena (rows of the chunk,
 * particles of the block), `whole` as in buffers of the batch. */
typedef struct { uint64_t constant; AxisSet here, whole; } Amount;
#define ONE_OF_IT ((Amount){1, 0, 0})

/* How an access moves with the loops of its nest. */
typedef struct {
  uint32_t nloop;
  bool     uses  [LOOP_DEPTH_MAX];      /* a coordinate names the loop */
  bool     alone [LOOP_DEPTH_MAX];  /* the loop's own index is wanted: it cannot be merged with its neighbours */
  Amount   step  [LOOP_DEPTH_MAX];      /* elements from one index to the next */
} Steps;

/* Runtime functions: rows of runtime.def. */
typedef enum {
#define RUNTIME(name, wide, result, arguments, pure) RUNTIME_##name,
#include "runtime.def"
#undef RUNTIME
  RUNTIME_COUNT
} RuntimeKind;

typedef struct { LLVMMetadataRef scope; const Source *source; } BlockFile;

/* What a nest needs from outside, beside the call and the chunk: see note [nests are functions] in outline.c. */
typedef VEC(uint32_t) Ids;
typedef struct {
  Ids bases;                                                              /* a buffer of each storage */
  Ids options, draws;
} Needs;
enum { NEST_FIXED = 5 };                            /* call, chunk, start, count, step; then bases, options, keys */
typedef struct { const char *key; size_t size; LLVMValueRef fn; } NestFunction;

/* The function being built. */
typedef struct {
  LLVMValueRef         fn, call, chunk;
  LLVMBasicBlockRef    entry;                                  /* fields are loaded here, before its branch */
  LLVMMetadataRef      scopes, tables;                /* alias domain of the function; scope of SviCall.row */
  uint32_t             nests;                                             /* so far, to tell scopes apart */
  LLVMValueRef         size[AXIS_MAX], total[AXIS_MAX], row[AXIS_MAX];
  LLVMValueRef         first, rows, capacity, lane, fresh, global, param, block, option, key, batch, out;
  LLVMValueRef         scratch[SVI_DOMAINS], scratch_size[SVI_DOMAINS];
  LLVMValueRef        *base;                                              /* by Buf */
  bool                 streamed;                                          /* inside the stream of a phase: */
  LLVMValueRef         start, count, first_block;         /* particles of the block, [start, start + count) */
  int32_t              along;                                             /* 1 + the plate of which one step is computed, 0: none */
  LLVMValueRef         step;                                              /* ... which */
  const Needs         *needs;                              /* of a nest's function: what its parameters are */
  LLVMValueRef         from, to, partial;                 /* of a forked nest's: the turns it does, where its reductions go */
  LLVMMetadataRef      di_function;
  VEC(BlockFile)       di_blocks;
} Frame;

typedef struct Emit {
  /* the module */
  Arena               *arena;
  LLVMContextRef       c;
  LLVMModuleRef        m;
  LLVMBuilderRef       b;
  LLVMTargetMachineRef machine;
  LLVMTargetDataRef    layout;
  const LlvmOptions   *options;
  const SviModel      *model;
  const Sources       *sources;
  char                *cpu, *features;
  uint32_t             real_bytes, lanes;      /* lanes: reals in a vector register, 1 when not vectorising */
  LLVMTypeRef          void_, i1, i8, i32, i64, ptr, f64, real, run;      /* run: the type of a phase */
  LLVMValueRef         runtime[RUNTIME_COUNT];
  unsigned             md_scope, md_noalias, md_loop, md_align;
  VEC(Name)            kernels;                                           /* those used */
  VEC(NestFunction)    outlined;

  /* debug lines */
  LLVMDIBuilderRef     di;
  LLVMMetadataRef      di_unit, di_type;
  VEC(BlockFile)       di_files;

  /* the phase, and the function: its own or a nest's */
  const LoopProgram   *p;
  const LoopPhase     *phase;
  Frame                f;
} Emit;

/* ---- function.c */
/* Begins a function and stands in the block after its entry block; ends it. */
void         function_open (Emit *e, const char *name, LLVMTypeRef type, Span at);
void         function_close(Emit *e);
LLVMValueRef phase_emit(Emit *e, const LoopProgram *p, uint32_t phase, const char *name);
/* A value made in the entry block; use as  LLVMBasicBlockRef at = entry_open(e); ...; entry_close(e, at). */
LLVMBasicBlockRef entry_open (Emit *e);
void              entry_close(Emit *e, LLVMBasicBlockRef at);
LLVMValueRef emit_local(Emit *e, LLVMTypeRef type, const char *name);     /* alloca in the entry block */
LLVMValueRef call_size (Emit *e, uint32_t axis);
LLVMValueRef call_total(Emit *e, uint32_t axis);
LLVMValueRef call_row  (Emit *e, uint32_t axis);                          /* const uint32_t * */
LLVMValueRef call_option(Emit *e, uint32_t id);                           /* as real */
LLVMValueRef call_key  (Emit *e, uint32_t draw, unsigned word);
LLVMValueRef chunk_first(Emit *e);
LLVMValueRef chunk_rows (Emit *e);
LLVMValueRef chunk_fresh(Emit *e);                                        /* i1 */
LLVMValueRef buffer_base(Emit *e, Buf buf);
LLVMValueRef nest_base  (Emit *e, uint32_t place);                        /* in a nest's function: its parameter */
bool         same_storage(const Buffer *a, const Buffer *b);
bool         storage_overlaps(const Emit *e, const Buffer *a, const Buffer *b);
/* Whether a reduction starts anew (i1): NULL when it always does, constant when it never does. */
LLVMValueRef starts_anew(Emit *e, ReduceFrom from);

/* ---- small emission, constants folded */
LLVMValueRef emit_index(Emit *e, uint64_t x);
LLVMValueRef emit_real (Emit *e, double x);
LLVMValueRef emit_add  (Emit *e, LLVMValueRef a, LLVMValueRef b);         /* i64; either may be NULL: zero */
LLVMValueRef emit_mul  (Emit *e, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_load (Emit *e, LLVMTypeRef type, LLVMValueRef base, uint64_t offset, const char *name);
void         emit_if   (Emit *e, LLVMValueRef yes, LLVMBasicBlockRef *join);  /* opens the block taken when `yes` */
/* Loops from 0 to n: the builder stands in the body between open and close. */
typedef struct { LLVMBasicBlockRef body, exit; LLVMValueRef index, n; } OpenLoop;
typedef struct { uint32_t interleave; bool masked; } LoopHint;  /* for the vectoriser; 0, false: as it likes */
OpenLoop     loop_open (Emit *e, LLVMValueRef n, LLVMValueRef none /* n is 0; or NULL */, const char *name);
void         loop_close(Emit *e, const OpenLoop *l, LoopHint h);

/* ---- nest.c */
typedef struct {
  LLVMMetadataRef scope, others;      /* alias scope of the buffer's storage; those of the rest of the nest */
} Aliases;
typedef struct NestPlan {
  const Nest   *nest;
  Steps        *steps;                 /* by instruction */
  LLVMValueRef *value;                 /* by instruction */
  LLVMValueRef *bit;                   /* by instruction: comparisons as i1, or NULL */
  Aliases      *aliases;               /* by instruction */
  LLVMValueRef *accumulator;           /* by instruction: of a reduction in registers */
  LLVMValueRef *top;                   /* by instruction: the maximum of a logsumexp, known before its sum */
  bool          for_top;               /* this pass is for maxima only: nothing is stored */
  uint32_t     *level;                 /* by instruction: merged loops it stands in */
  uint32_t      nlevel;                /* merged loops */
  uint32_t      last[LOOP_DEPTH_MAX];  /* by level: the innermost loop merged into it (its steps are the level's) */
  uint32_t      at[LOOP_DEPTH_MAX];    /* by loop: its level, or NO_LEVEL when its only index is 0 */
  LLVMValueRef  index[LOOP_DEPTH_MAX]; /* by level, while inside */
} NestPlan;
#define NO_LEVEL UINT32_MAX
void nest_emit(Emit *e, const Nest *nest);
LLVMValueRef nest_turns(Emit *e, const Nest *nest, bool *innermost);      /* of the outermost level; whether there is no other */

/* ---- outline.c */
void nest_call(Emit *e, const Nest *nest);       /* the nest as a function of its own, shared by equal ones */
LLVMValueRef nest_index(Emit *e, const NestPlan *p, const Index *ix, bool local);  /* i64; local: within the chunk and block */

/* ---- fork.c */
bool fork_pays(const Emit *e, const Nest *nest);                          /* large enough, and its turns do not meet */
void fork_call(Emit *e, const Nest *nest, LLVMValueRef fn, uint32_t n, LLVMValueRef *needs);

/* ---- access.c */
Amount       amount_of_axis(const Emit *e, uint32_t axis, bool here);
Amount       amount_of_loop(const Emit *e, const Loop *l);
static inline bool loop_is_step(const Emit *e, const Loop *l) { return l->kind == LOOP_AXIS && (int32_t)l->axis + 1 == e->f.along; }
bool         amount_mul(Amount a, Amount b, Amount *out);               /* false: an axis would occur twice */
static inline bool amount_equal(Amount a, Amount b) {
  return a.constant == b.constant && a.here == b.here && a.whole == b.whole;
}
LLVMValueRef amount_emit(Emit *e, Amount a);
/* The sizes of a buffer's coordinates (axes, then dims), and the elements between neighbours along each. */
uint32_t     buffer_layout(const Emit *e, Buf buf, Amount *size, Amount *step, int32_t *axis);
void         steps_of_instr(const Emit *e, const Nest *nest, const LoopInstr *i, Steps *out);
LLVMValueRef access_address(Emit *e, const NestPlan *p, uint32_t instr);
LLVMValueRef row_load  (Emit *e, uint32_t axis, LLVMValueRef place);                         /* u32: row of the data set */
LLVMValueRef random_counter(Emit *e, const NestPlan *p, uint32_t instr, LLVMValueRef *row);  /* counter 1, and counter 0 */
LLVMValueRef access_load (Emit *e, const NestPlan *p, uint32_t instr, LLVMValueRef address);
LLVMValueRef access_load_guarded(Emit *e, const NestPlan *p, uint32_t instr);  /* 0 where a loop's index is outside */
void         access_store(Emit *e, const NestPlan *p, uint32_t instr, LLVMValueRef value, LLVMValueRef address);
void         aliases_find(Emit *e, NestPlan *p);
bool         buffer_is_chunked(const Emit *e, Buf buf);  /* laid out for the chunk and block, not for the batch */

/* ---- reduce.c */
void reduce_prepare(Emit *e, const Nest *nest);                  /* before the nest: accumulators in memory */
bool reduce_wants_top(const NestPlan *p, uint32_t level);               /* a logsumexp begins at this level */
void reduce_enter  (Emit *e, NestPlan *p, uint32_t level);      /* before the loop of this level: registers */
void reduce_top    (Emit *e, NestPlan *p, uint32_t level);                /* after a pass for maxima */
void reduce_step   (Emit *e, NestPlan *p, uint32_t instr);
void reduce_leave  (Emit *e, NestPlan *p, uint32_t level);                /* after it */
bool reduce_is_whole(const Nest *nest, const LoopInstr *i);               /* over all loops, in a register */
bool reduce_needs_memory(const Nest *nest, const LoopInstr *i);           /* or over outer loops around inner ones that are kept, or scattered */
void reduce_join   (Emit *e, const LoopInstr *i, LLVMValueRef partial, uint32_t stride);  /* a whole reduction of the parts of a fork */

/* ---- scalar.c */
LLVMValueRef scalar_op(Emit *e, OpKind op, const LLVMValueRef *arg, const LLVMValueRef *bit, LLVMValueRef *out_bit);
bool         scalar_is_kernel(OpKind op);
LLVMValueRef scalar_kernel(Emit *e, const char *name, uint32_t n, const LLVMValueRef *arg);  /* svi_NAME_f32 or _f64 */
LLVMValueRef scalar_intrinsic(Emit *e, const char *name, uint32_t n, const LLVMValueRef *arg); /* llvm.NAME */
LLVMValueRef scalar_random(Emit *e, RandomKind kind, LLVMValueRef k0, LLVMValueRef k1, LLVMValueRef c0, LLVMValueRef c1,
                           LLVMValueRef argument);
LLVMValueRef scalar_bit(Emit *e, LLVMValueRef bit);                       /* i1 to 0 or 1 */
enum { FAST_PLAIN = LLVMFastMathAllowContract | LLVMFastMathNoSignedZeros | LLVMFastMathAllowReciprocal,
       FAST_SUM   = FAST_PLAIN | LLVMFastMathAllowReassoc };
LLVMValueRef fast(LLVMValueRef v, unsigned flags);

/* ---- call.c */
void call_emit(Emit *e, const Call *c);
LLVMValueRef repeat_turns(Emit *e, const Repeat *r);
void         step_emit_copy(Emit *e, const Repeat *r);                    /* the step at hand goes from `next` to `guess` */
LLVMValueRef settle_emit(Emit *e, const Repeat *r);                       /* a turn is over: whether there is to be another (i1) */
LLVMValueRef runtime_call(Emit *e, RuntimeKind f, uint32_t n, LLVMValueRef *arg);

/* ---- kernels.c */
void kernels_link(Emit *e);

/* ---- tables.c */
void tables_emit(Emit *e, const SviModel *model, LLVMValueRef *const *run);   /* run[entry][phase] */

/* ---- debug.c */
void debug_open    (Emit *e);
void debug_function(Emit *e, LLVMValueRef fn, const char *name, Span at);
void debug_at      (Emit *e, Span at);
void debug_close   (Emit *e);

/* ---- target.c */
void target_open (Emit *e);
void target_close(Emit *e);
void target_mark (Emit *e, LLVMValueRef fn);                             /* attributes every function needs */
void attribute_add(Emit *e, LLVMValueRef fn, const char *name, uint64_t value);
#endif
