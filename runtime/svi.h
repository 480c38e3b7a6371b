/* What a compiled model and the runtime know of each other.
 *
 * The compiler emits one constant, `svi_model`, of the type below, and the functions it points at; the runtime
 * (libsvirt.a) holds main() and everything else.  The compiler includes this header for the layout, so it is told once.
 *
 * Words: a PLATE has rows; a batch is a set of rows of one plate (the batch plate); a step or a report is an ENTRY, made of
 * PHASES.  A CHUNKED phase runs over chunks of a plate's rows, on any thread in any order; a SERIAL one runs once, between
 * them.  Chunks are a function of the batch alone, and are dealt in order to LANES (lane = chunk mod lanes); each lane adds
 * up its chunks in order in its own accumulators, and lanes are combined in order: so no result depends on the threads.
 *
 * note [counter keys]  A random element is threefry(key, counter): key = the two words of svi_key(seed, draw name, step);
 * counter 0 = data-set row along the value's first plate (0 without one), counter 1 = row-major index over its remaining
 * axes and event dims.  Nothing is stored, so any fusion, thread count, batch order or resumed run draws the same.
 *
 * note [shared products]  A weight's gradient is a product over all rows of the batch.  Were it left to the lanes, each would have
 * gradients of all weights, to be added up later.  Instead what it is made of is kept, and a phase that comes `after` computes it, once:
 * the chunks of a stretch of rows run, then that phase with the stretch as its chunk, and so on, so that memory does not grow with the
 * batch.  Its products are shared out among the threads by rows of the result (svi_gemm_shared).
 *
 * note [width]  `real` is float, or double when real_bytes is 8; buffers are void * here. */
#ifndef SVI_H
#define SVI_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SVI_AXES = 64, SVI_DOMAINS = 16, SVI_ABI = 1 };

/* ---- what generated code is given */

/* One run of an entry; shared by all threads, read-only but for the buffers it points at. */
typedef struct {
  uint64_t        size [SVI_AXES];      /* rows present along each axis (plates: of the batch; particles: k) */
  uint64_t        total[SVI_AXES];      /* rows of the data set */
  const uint32_t *row  [SVI_AXES];      /* plate: data-set row of each row present; never NULL for a plate that is present */
  uint64_t        block;                /* particles of one pass of a streaming phase */
  const void     *param;                /* real[]: all parameters that exist once, and states; unconstrained */
  const double   *option;               /* by option index, schedules applied */
  const uint32_t (*key)[2];             /* by draw index */
  void           *global;               /* real[]: serial values and combined reductions of this entry */
  void          **batch;                /* values kept between phases, one buffer each, [rows of its axes][size] */
  void          **out;                  /* row outputs, [rows][size] */
  const struct SviTrainer *trainer;     /* for svi_load_rows */
} SviCall;

/* One chunk of a chunked phase. */
typedef struct {
  uint64_t first, rows;                 /* rows [first, first + rows) of the batch */
  uint64_t capacity;                    /* rows the scratch is laid out for (>= rows, the same for all chunks) */
  void    *scratch[SVI_DOMAINS];        /* by domain of the phase: base of its arena */
  void    *lane;                        /* real[]: this lane's accumulators */
  bool     fresh;                       /* first chunk of its lane: accumulators are to be set, not added to */
} SviChunk;

typedef void (*SviRun)(const SviCall *, const SviChunk *);    /* the chunk is NULL for a serial phase */

/* ---- what the runtime offers to generated code */
/* Copies rows of column (or per-row parameter: index -1 - parameter) as real into out[rows][size]. */
void svi_load_rows(const SviCall *call, int32_t column, uint64_t first, uint64_t rows, void *out);
/* C[m,n] (+)= op(A) op(B), row-major; lda.. are row strides in elements. */
void svi_gemm_f32(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb, bool add, float *c, uint64_t ldc);
void svi_gemm_f64(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const double *a, uint64_t lda, const double *b, uint64_t ldb, bool add, double *c, uint64_t ldc);
/* The same where A is zeros and ones, which is faster when few are ones. */
void svi_gemm_bits_f32(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb, bool add, float *c, uint64_t ldc);
void svi_gemm_bits_f64(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const double *a, uint64_t lda, const double *b, uint64_t ldb, bool add, double *c, uint64_t ldc);
/* The same with a triangle, the elements where row < column + shift: of B as it lies in memory, where all others count as zero, or
 * of the result, whose others are zero.  (bits: A is zeros and ones.) */
void svi_gemm_triangle_f32(bool of_result, bool bits, int32_t shift, bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb, bool add, float *c, uint64_t ldc);
void svi_gemm_triangle_f64(bool of_result, bool bits, int32_t shift, bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const double *a, uint64_t lda, const double *b, uint64_t ldb, bool add, double *c, uint64_t ldc);
/* Remembers such a product (triangle 0: none, 1: of B, 2: of the result) until the phase's function is back; all are then done together, on all threads. */
void svi_gemm_shared_f32(const SviCall *call, int32_t triangle, bool bits, int32_t shift, bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb, bool add, float *c, uint64_t ldc);
void svi_gemm_shared_f64(const SviCall *call, int32_t triangle, bool bits, int32_t shift, bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const double *a, uint64_t lda, const double *b, uint64_t ldb, bool add, double *c, uint64_t ldc);
/* Batched lower Cholesky and triangular solves of row-major n x n matrices (LAPACK/BLAS behind).  A matrix that is not positive definite
 * gives NaN, which the finite check reports. */
void svi_cholesky_f32 (uint64_t batch, uint64_t n, const float *a, float *l);
void svi_cholesky_f64 (uint64_t batch, uint64_t n, const double *a, double *l);
void svi_solve_tri_f32(uint64_t batch, uint64_t n, uint64_t m, bool lower, bool trans, const float *t, const float *b, float *x);
void svi_solve_tri_f64(uint64_t batch, uint64_t n, uint64_t m, bool lower, bool trans, const double *t, const double *b, double *x);
/* y[i] = the sum of a's rows before i (after: behind it), of `batch` arrays [n, m]; y is not a. */
void svi_running_f32(uint64_t batch, uint64_t n, uint64_t m, bool after, const float *a, float *y);
void svi_running_f64(uint64_t batch, uint64_t n, uint64_t m, bool after, const double *a, double *y);
/* `rows` stretches of n elements, `apart` elements from one to the next. */
void    svi_copy_step_f32(uint64_t rows, uint64_t apart, uint64_t n, const float *next, float *guess);
void    svi_copy_step_f64(uint64_t rows, uint64_t apart, uint64_t n, const double *next, double *guess);
/* The end of a turn of a repetition: next goes to guess, but for what is not finite.  Whether they differed. */
int32_t svi_settle_f32(uint64_t n, const float *next, float *guess);
int32_t svi_settle_f64(uint64_t n, const double *next, double *guess);
/* A nest of a serial phase on all threads: fn does the turns [from, to) of its outermost loop.  The parts are SVI_PARTS whatever
 * the threads are, all but the last a multiple of `unit` turns; part i leaves what it has reduced at partial + i * stride bytes. */
enum { SVI_PARTS = 16 };
void svi_fork(const SviCall *call, void (*fn)(const SviCall *call, const void *needs, uint64_t from, uint64_t to, void *partial),
              const void *needs, uint64_t turns, uint64_t unit, void *partial, uint64_t stride);
/* kernels out of line (gamma, Poisson and von Mises draws, implicit gradients): kernels/kernels.h */

/* ---- the model */
typedef struct { uint32_t line, column; } SviPlace;           /* in the model's source; 0: in a library */

typedef enum { SVI_CURVE_HOLD, SVI_CURVE_LINEAR, SVI_CURVE_COSINE } SviCurve;
typedef enum { SVI_STEPS, SVI_EPOCHS } SviUnit;
/* A value that may change while training: through points (at[i], value[i]); before the first, the first; after the last, the last. */
typedef struct { SviCurve curve; SviUnit unit; int32_t n; const double *at, *value; double period; /* > 0: repeats */ } SviSchedule;

typedef struct { const char *name; int32_t parent; bool ordered; uint8_t kind; /* 0 plate, 1 particle */ uint64_t fallback; /* particle: k of the model */
  int32_t again;                        /* plate: 1 + the plate whose rows it runs over once more (`m in image`); 0: rows of its own */
} SviAxis;
typedef struct { double lo, hi; bool lo_open, hi_open, whole; } SviRange;
/* A column of the data file.  A column of a plate inside another (time of sequence) has the file's dims [sequence, time, dim..]. */
typedef struct { const char *name, *type; int32_t axis; /* -1: one value */ int32_t rank; const uint32_t *dim; uint64_t size; SviRange range; SviPlace place;
  int32_t points;                       /* 1 + the plate whose rows its values number from 0 (`plate rating of (user, item)`); 0: none */
} SviColumn;

#define SVI_NOT_GIVEN 1e30              /* of an element of a latent */

typedef enum { SVI_INIT_VALUES, SVI_INIT_NORMAL, SVI_INIT_UNIFORM, SVI_INIT_LOGIT_MEAN } SviInitKind;
typedef struct {
  const char *name;                     /* path: "p.mlp.dense_2.W" */
  int32_t     axis;                     /* -1: exists once; otherwise once per row of this plate */
  int32_t     rank; const uint32_t *dim;
  uint64_t    size;                     /* elements of one copy */
  uint64_t    offset;                   /* in SviCall.param (axis == -1) */
  bool        state;                    /* no gradient; "baseline.STEP.SITE" is the estimators' own */
  const char *support;                  /* "real", "positive", ...: how the stored value relates to the model's (exp, softplus, ...) */
  struct { SviInitKind kind; double a, b; int32_t nvalue; const double *value; int32_t column; } init;  /* VALUES: 1 or size of them; NORMAL: mean a, sd b; UNIFORM: [a, b); LOGIT_MEAN: of the column times a (0: 1) */
  SviPlace    place;
} SviParam;
typedef struct { const char *name; SviSchedule schedule; SviPlace place; } SviOption;
typedef struct { const char *name; bool once; SviPlace place; } SviDraw;

/* ---- entries */
typedef enum { SVI_COMBINE_SUM, SVI_COMBINE_MAX, SVI_COMBINE_LOGSUMEXP } SviCombine;
/* lanes' accumulators [lane, +size) go to global [global, +size) when the phase ends; not for gradients left in the lanes */
typedef struct { uint64_t lane, global, size; SviCombine how; } SviReduction;
typedef struct {
  SviRun   run;
  int32_t  axis;                        /* chunked over this plate; -1: serial */
  int32_t  particles;                   /* axis whose particles a chunk holds (rows * particles are its lines), or -1 */
  bool     stream;                      /* particles may be done `block` at a time */
  bool     after;                       /* products over the rows of the phase before: see note [shared products] */
  int32_t  ndomain;
  struct { uint64_t axes; uint64_t bytes; } domain[SVI_DOMAINS];   /* arena of a domain: bytes for each element of (chunk row x axes); axes without the phase's own plate; particles of a stream count `block` */
  int32_t  nreduction; const SviReduction *reduction;
  SviPlace place;
} SviPhase;
typedef struct { const char *name; uint64_t axes; uint64_t size; int32_t rank; const uint32_t *dim; bool window; /* of a stretch of rows only */ } SviRows;   /* a row output or kept buffer */
typedef enum { SVI_IN_LANES, SVI_IN_GLOBAL, SVI_IN_OUT } SviWhere;                /* OUT: row output `offset`, for per-row parameters */
/* columns: of a matrix, where only what is right of column row - shift can be other than zero; 0: anything can */
typedef struct { int32_t param; SviWhere where; uint64_t offset; uint32_t columns; int32_t shift; } SviGrad;
typedef struct { int32_t param; uint64_t global; } SviUpdate;                     /* state <- global values, after the step */
typedef struct { const char *name; uint64_t global; } SviScalar;
typedef struct {
  const char *name;                     /* "step:main", "report:nll", "sample", "reconstruct", "encode", ... */
  int32_t  nphase;  const SviPhase  *phase;
  int32_t  nscalar; const SviScalar *scalar;     /* [0] is the objective of a step, as the user wrote it, per row */
  int32_t  nout;    const SviRows   *out;
  int32_t  nbatch;  const SviRows   *batch;
  int32_t  ngrad;   const SviGrad   *grad;       /* of the objective to be MINIMISED, as scalar[0] is scaled; a parameter listed twice gets the sum */
  int32_t  nupdate; const SviUpdate *update;
  uint64_t lane_size, global_size;               /* elements */
  int32_t  axis;                                 /* the batch plate, -1 when there is none */
  bool     needs_data;
  bool     whole;                                /* a value of one row needs the others: it is as meant when the batch is all rows */
  const char *graph;                             /* text of the graph, for replay (compiler/graph) */
  double   flops_row, flops_once;                /* a rough count, for `info` */
} SviEntry;

typedef enum { SVI_ADAM, SVI_SGD, SVI_ADAMAX, SVI_RMSPROP, SVI_ADAGRAD, SVI_LBFGS } SviOptimizerKind;
/* adam, adamax: beta1, beta2; rmsprop: beta2 is the average of squares, momentum; sgd: momentum.  decay: of weights, decoupled (x -= lr decay x);
 * clip: of the global norm, 0: none; average: weight of the past in the averaged parameters that are evaluated, 0: none;
 * lbfgs: history, the pairs it remembers, and nothing else. */
typedef struct { SviOptimizerKind kind; SviSchedule lr; double momentum, beta1, beta2, eps, decay, clip, average, history; } SviOptimizer;
typedef struct { const char *name; int32_t entry; bool maximize; int32_t nparam; const int32_t *param; } SviStep;
typedef struct { SviOptimizer optimizer; int32_t batch; double epochs; int32_t nstep; const SviStep *step; } SviTrain;
typedef struct { const char *name; int32_t entry; } SviReport;                    /* entry has one row output (or one scalar) */

typedef struct {
  uint32_t abi, real_bytes;
  const char *name, *path, *source, *version, *hash;     /* source: the model's text */
  int32_t naxis;   const SviAxis   *axis;
  int32_t ncolumn; const SviColumn *column;
  int32_t nlatent; const SviColumn *latent;              /* columns ncolumn, ...: latents that `sample` takes as given; SVI_NOT_GIVEN: to be drawn */
  int32_t nparam;  const SviParam  *param;
  int32_t noption; const SviOption *option;
  int32_t ndraw;   const SviDraw   *draw;
  int32_t nentry;  const SviEntry  *entry;
  int32_t nreport; const SviReport *report;
  SviTrain train;
  uint64_t param_size;                                   /* elements of SviCall.param */
  const char *info;                                      /* what `svic info` prints, as text */
  const char *no_weight;                                 /* why there is no entry "weight" (log p - log q of each row, for `diagnose`), or NULL */
} SviModel;
extern const SviModel svi_model;
#endif
