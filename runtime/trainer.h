/* The inside of the trainer: what its files know of each other.  Generated code sees svi.h only.
 *
 * A Data is what the data files hold, bound to the model's columns.  A Params is one set of parameter values.  A Run is
 * the memory and the plan for running one entry on one Data with one Params; an Optim moves a Params along the gradients
 * that a Run left behind.  A State is all that a checkpoint holds.  A Pool is the threads; every result is independent of
 * their number.
 *
 * Memory is taken before the first step and lives to the end of the command; running out of it ends the program with a
 * sentence.  Functions that can fail for the user's reasons return bool and write one into an SviError.
 *
 * Read: svi.h, this, pool.c, run.c, bind.c, params.c, batches.c, schedule.c, optim.c, lbfgs.c, checkpoint.c, train.c, then the other
 * commands: session.c, report.c, sample.c, check.c, self_check.c, gradients.c, diagnose.c, and what tells the user: options.c, progress.c, rundir.c, replay.c, main.c. */
#ifndef SVI_TRAINER_H
#define SVI_TRAINER_H
#include <stdio.h>
#include "svi.h"
#include "data/data.h"

#define LENGTH(a) (sizeof(a) / sizeof *(a))

enum {
  EXIT_OK = 0, EXIT_RUN = 1, EXIT_USAGE = 2, EXIT_DATA = 3, EXIT_NONFINITE = 4, EXIT_INTERRUPT = 130, EXIT_TERMINATE = 143
};

/* ---- text.c: memory, messages, small text */
void *memory_new  (size_t count, size_t size, const char *what);     /* zeroed, 64-byte aligned; ends the program when there is none */
void  memory_free (void *p);
char *text_new    (const char *format, ...) __attribute__((format(printf, 1, 2)));      /* free() it */
bool  error_set   (SviError *e, const char *format, ...) __attribute__((format(printf, 2, 3)));   /* returns false */
const char *text_nearest(const char *wrong, const char *const *candidates, size_t n);  /* by edit distance; NULL: none is near */
void  note        (const char *format, ...) __attribute__((format(printf, 1, 2)));      /* one line on stderr, unless quiet */
void  complain    (const char *format, ...) __attribute__((format(printf, 1, 2)));      /* "error: ..." on stderr */
extern bool notes_off;
double time_now(void);                                               /* seconds, monotonic */
uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n);
uint64_t hash_mix  (uint64_t x);                                     /* a bijection of 64 bits that scatters well */
void json_text  (FILE *out, const char *s);
void json_number(FILE *out, double x);                               /* shortest that reads back the same; null when not finite */
void path_join  (char *out, size_t room, const char *folder, const char *name);

/* One value of the model's width. */
static inline double real_get(uint32_t bytes, const void *p, uint64_t i) { return bytes == 8 ? ((const double *)p)[i] : (double)((const float *)p)[i]; }
static inline void   real_set(uint32_t bytes, void *p, uint64_t i, double x) { if (bytes == 8) ((double *)p)[i] = x; else ((float *)p)[i] = (float)x; }

/* ---- options.c: the command line, read by one table */
typedef enum { TAKES_NOTHING, TAKES_TEXT, TAKES_MAYBE, TAKES_MANY, TAKES_COUNT, TAKES_REAL, TAKES_EVERY } OptionKind;
typedef enum {
#define OPTION(id, ...) OPT_##id,
#include "options.def"
#undef OPTION
  OPT_COUNT
} OptionId;
enum { OPTION_MANY = 64 };
typedef struct {
  bool        given;
  const char *text;                     /* the last one given, or NULL */
  double      number;                   /* TAKES_COUNT, TAKES_REAL, TAKES_EVERY */
  char        unit;                     /* TAKES_EVERY: 's' seconds, 'e' epochs, 'n' steps */
  const char *many[OPTION_MANY]; int n;
} OptionValue;
typedef struct { OptionValue at[OPT_COUNT]; const char *word[OPTION_MANY]; int nword; } Options;
typedef struct Command {
  const char *name;
  int       (*run)(const SviModel *, const Options *);
  uint64_t    takes;                    /* bit of each OptionId */
  unsigned    count;                    /* --count when it is not given */
  const char *words;                    /* what follows the options, or NULL */
  bool        bare;                     /* does something without any option */
  const char *help;
} Command;
#define TAKES(id) (UINT64_C(1) << OPT_##id)
int  options_read(const SviModel *m, const Command *c, int argc, char **argv, Options *out);    /* EXIT_OK or EXIT_USAGE, told */
void options_help(const SviModel *m, const Command *c, FILE *out);
const char *option_name(OptionId id);
/* The default as the user would write it, with the model's own value where the model has one. */
void option_fallback(const SviModel *m, OptionId id, char text[64]);
/* --set NAME=VALUE into value[], set[] by option index. */
bool options_set(const SviModel *m, const Options *o, double *value, bool *set, SviError *e);

/* ---- pool.c */
typedef struct Pool Pool;
typedef void (*PoolTask)(void *context, unsigned index, unsigned thread);
unsigned pool_threads_wanted(const Options *o);          /* --threads, SVIC_THREADS, else the processors this process may use */
Pool    *pool_new (unsigned threads);
void     pool_free(Pool *p);
unsigned pool_size(const Pool *p);
/* Calls task(context, 0 .. n-1, thread), each once, on any threads (0 is the caller), and returns when all are done.
 * One caller at a time, and not from inside a task. */
void     pool_run (Pool *p, unsigned n, PoolTask task, void *context);

/* ---- bind.c */
typedef struct {
  const SviModel  *model;
  SviFile         *file; const char **path; int nfile;
  const SviArray **column;              /* by column; NULL: not bound */
  uint64_t         total[SVI_AXES];     /* rows of each plate; 0: not known yet */
  const char      *from [SVI_AXES];     /* what told it, for messages */
  uint32_t        *identity; uint64_t nidentity;     /* 0, 1, 2, ... */
} Data;
typedef struct { bool strict, quiet; uint64_t rows; } BindHow;
bool data_open (Data *d, const SviModel *m, const char *const *paths, int n, BindHow how, SviError *e);
const SviColumn *column_of(const SviModel *m, int column);           /* of the data, or a latent */
bool data_check(const Data *d, Pool *pool, SviError *e);             /* every value within its column's range */
void data_empty(Data *d, const SviModel *m);                         /* nothing bound: plate sizes are set by the caller */
bool data_sized(Data *d, SviError *e);                               /* all plates known; makes the identity */
void data_first(Data *d, int axis, uint64_t rows);                   /* only the first rows of a plate */
void data_close(Data *d);
int      axis_own  (const SviModel *m, int axis);                    /* the plate whose rows it runs over: itself, or another once more */
int      axis_root (const SviModel *m, int axis);                    /* the plate whose rows hold this one's */
uint64_t axis_inner(const SviModel *m, const uint64_t *size, int axis);   /* elements of this plate in one row of its root */

/* ---- params.c */
typedef struct {
  const SviModel *model;
  void           *value;                /* real[param_size] */
  void          **row;                  /* by parameter: real[rows][size], or NULL */
  uint64_t       *rows;
} Params;
void     params_new  (Params *p, const SviModel *m, const uint64_t *total);
bool     params_init (Params *p, const Data *d, Pool *pool, uint64_t seed, SviError *e);
void     params_copy (Params *to, const Params *from);
void     params_free (Params *p);
uint64_t params_hash (const Params *p);
void    *params_at   (const Params *p, int param, uint64_t *count);  /* all elements of one parameter */

/* ---- batches.c: batch number `i` (from 0) of a plate, as a pure function of (seed, axis, i) */
typedef struct { uint64_t seed, rows, batch, count, epoch; int axis; uint32_t *order; } Batches;
void     batches_new (Batches *b, uint64_t seed, int axis, uint64_t rows, uint64_t batch);
uint64_t batches_at  (Batches *b, uint64_t i, const uint32_t **rows);       /* how many rows */
void     batches_free(Batches *b);

/* ---- schedule.c */
double schedule_at(const SviSchedule *s, double step, double epoch);
bool   schedule_rests(const SviSchedule *s, double step, double epoch);     /* from then on it is constant */

/* ---- run.c */
typedef struct Products Products;
struct SviTrainer { const SviModel *model; const Data *data; const Params *params; Pool *pool; Products *products; };
/* products.c: what svi_gemm_shared remembers */
Products *products_new (Pool *pool, uint32_t real_bytes);
void      products_free(Products *p);
void      products_run (Products *p);

enum { LANES = 8 };
typedef struct Run Run;
void     svi_key  (uint64_t seed, const char *draw, uint64_t step, uint32_t key[2]);
/* For up to `rows` rows of the entry's plate (other plates are whole), and `k` particles (0: as the model says). */
Run     *run_new  (const SviModel *m, int entry, Pool *pool, const Data *d, const Params *p, uint64_t rows, uint64_t k);
void     run_free (Run *r);
void     run_entry(Run *r, const uint32_t *rows, uint64_t n, uint64_t seed, uint64_t step, const double *option);
double   run_scalar(const Run *r, int scalar);
const void    *run_out    (const Run *r, int out, uint64_t *rows);   /* real[rows][size] of that output */
const SviCall *run_call   (const Run *r);
const SviEntry*run_of     (const Run *r);
unsigned       run_lanes  (const Run *r);
const void    *run_lane   (const Run *r, unsigned lane);
size_t         run_bytes  (const Run *r);
double         run_gradient(const Run *r, int param, uint64_t element);      /* as the optimiser sums it; rows of the batch come first */

/* ---- optim.c */
/* What L-BFGS remembers of one step: a ring of `history` moves and changes of the gradient, n elements each, the next one to be written;
 * small: how many steps in a row gained nothing to speak of. */
typedef struct { uint64_t n; uint32_t history, pairs, next, small; double *moves, *changes; } LbfgsMemory;
typedef struct { Params m, v, average; uint32_t **count; bool averaging; LbfgsMemory *lbfgs; int nlbfgs; } Moments;   /* count: updates of each row, by parameter; lbfgs: by step */
void moments_new (Moments *s, const SviModel *m, const Params *p);
void moments_free(Moments *s);
typedef struct Optim Optim;
typedef struct { double lr; uint64_t t; double norm; bool finite; } OptimStep;        /* in: lr, t from 1; out: norm (when clipping), finite */
Optim *optim_new  (const SviModel *m, const SviStep *s, Pool *pool, Params *p, Moments *state);
void   optim_free (Optim *o);
void   optim_step (Optim *o, const Run *r, OptimStep *s);
void   optim_undo (Optim *o, const Run *r, const OptimStep *s);      /* parameters (not moments) as before that step, up to a rounding */

/* ---- lbfgs.c */
enum { LBFGS_DRAWS = 1 };               /* the step whose draws all its evaluations use: see note [fixed draws] */
typedef struct Lbfgs Lbfgs;
typedef enum { LBFGS_MOVED, LBFGS_STAYED, LBFGS_BAD_OBJECTIVE, LBFGS_BAD_GRADIENT } LbfgsEnd;      /* STAYED: there is no lower point to be found */
typedef struct { double objective, norm, far; } LbfgsStep;              /* after the step: value, norm of the gradient; how far along the direction */
uint64_t lbfgs_size(const SviModel *m, const SviStep *s, const Params *p);
Lbfgs   *lbfgs_new (const SviModel *m, const SviStep *s, Params *p, LbfgsMemory *memory);
void     lbfgs_free(Lbfgs *l);
/* alone: nobody else has moved the parameters since the last step */
LbfgsEnd lbfgs_step(Lbfgs *l, Run *run, const uint32_t *rows, uint64_t nrows, uint64_t seed, const double *option, bool alone, LbfgsStep *out);

/* ---- checkpoint.c */
typedef struct {
  Params   params;
  Moments  moments;
  bool     training;                    /* moments are there */
  uint64_t step, seed, batch, k;
  const uint64_t *total;                /* rows of each plate in training, or NULL */
  uint64_t rows;                        /* --rows: only the first so many are trained on; 0: all */
  double   best; uint64_t best_step;    /* of validation; NaN: none yet */
  double  *option; bool *set;           /* --set, by option */
  double   lr;                          /* --lr; NaN: the model's */
} State;
bool checkpoint_save(const State *s, const char *path, SviError *e);
/* What a checkpoint says before its tensors are read: rows of plates, seed, step, ... */
typedef struct { SviTensors file; const char *path; bool same_model; uint64_t step, seed, batch, k, rows, best_step; double best, lr; } Checkpoint;
bool checkpoint_open (Checkpoint *c, const SviModel *m, const char *path, SviError *e);
void checkpoint_rows (const Checkpoint *c, const SviModel *m, Data *d);                /* plates whose size only parameters tell, and those inside others */
/* RESUME: everything, of the same model.  USE: the parameters, averaged if they were averaged.  WARM: those that are there. */
typedef enum { LOAD_RESUME, LOAD_USE, LOAD_WARM } LoadHow;
bool checkpoint_load (const Checkpoint *c, State *s, LoadHow how, SviError *e);
void checkpoint_set  (const Checkpoint *c, const SviModel *m, double *value, bool *set);
void checkpoint_close(Checkpoint *c);
/* --params, else best, else last of the run directory; told on stderr. */
bool checkpoint_find (const Options *o, char path[4096], SviError *e);

/* ---- session.c: a loaded model, what every command but train begins with */
typedef struct {
  const SviModel *model; Pool *pool; Data data; State state; uint64_t seed; double *option; char path[4096];
} Session;
/* EXIT_OK, or the error was told.  rows > 0: without data, that many rows of `axis`. */
int  session_open (Session *s, const SviModel *m, const Options *o, bool wants_data, int axis, uint64_t rows);
void session_close(Session *s);
/* The parameters of --params, or first values when none is named: what a model is looked at with before it is trained. */
int  session_first(Session *s, const SviModel *m, const Options *o);
void options_at   (const SviModel *m, const double *value, const bool *set, double step, double epoch, double *out);
int  entry_find   (const SviModel *m, const char *name);             /* -1: none */

/* ---- progress.c */
typedef struct {
  bool terminal, quiet, drawn; double start, last_draw; uint64_t first_step, steps, epoch_steps; double epochs;
} Progress;
typedef struct { uint64_t step; double objective, lr, rate, valid; bool has_valid; } ProgressLine;
void progress_start(Progress *p, const SviModel *m, uint64_t first, uint64_t steps, uint64_t epoch_steps, bool quiet);
void progress_draw (Progress *p, const ProgressLine *l);             /* redraws, at most ten times a second */
void progress_line (Progress *p, const ProgressLine *l);             /* a line that stays */
void progress_end  (Progress *p);

/* ---- rundir.c */
typedef struct { char folder[3000]; FILE *metrics; bool broken; } RunDir;
bool rundir_open (RunDir *r, const SviModel *m, const char *folder, bool resume, uint64_t step, SviError *e);
bool rundir_config(RunDir *r, const SviModel *m, const Command *c, const Options *o, const State *s, unsigned threads, SviError *e);
void rundir_line (RunDir *r, const char *json);
void rundir_close(RunDir *r);

/* ---- replay.c: who was the first to be not finite */
bool replay_graph  (const Run *r, uint64_t seed, uint64_t step, FILE *out);     /* replay_graph.c: by the compiler's evaluator; false: not found */
/* The entry's roots by the compiler's evaluator: scalars, outputs, "grad:PARAM" and "update:PARAM".  SINGLE: every value rounded to
 * float, else in double precision. */
typedef struct { uint32_t n; const char **name; double **value; uint64_t *size; void *memory; } ReplayRoots;
bool replay_roots(const Run *r, uint64_t seed, uint64_t step, bool single, ReplayRoots *out, char error[256]);
double replay_bytes_of(const Run *r);                 /* memory that replay_roots takes, about */
void replay_roots_free(ReplayRoots *r);
void replay_explain(const Run *r, uint64_t seed, uint64_t step, FILE *out);
bool replay_save   (const Run *r, const State *s, uint64_t step, const char *path, SviError *e);

/* ---- pareto.c: the tail of importance weights */
/* Shape of the tail of n log weights, which it sorts: see note [k-hat].  -INFINITY: the weights do not vary; NaN: they take too few values
 * to tell; INFINITY: all weights are zero.  rounding: relative error of the log weights. */
int    by_size(const void *a, const void *b);                    /* for qsort of doubles */
double pareto_khat(double *log_weight, uint64_t n, double rounding);
enum { PARETO_LEAST = 25 };             /* weights that a tail needs */

/* ---- commands */
int command_train       (const SviModel *m, const Options *o);
int command_time        (const SviModel *m, const Options *o);
int command_eval        (const SviModel *m, const Options *o);
int command_traverse   (const SviModel *m, const Options *o);
int command_sample      (const SviModel *m, const Options *o);
int command_reconstruct (const SviModel *m, const Options *o);
int command_encode      (const SviModel *m, const Options *o);
int command_score       (const SviModel *m, const Options *o);
int command_check_data  (const SviModel *m, const Options *o);
int command_grad_check  (const SviModel *m, const Options *o);
int command_diagnose    (const SviModel *m, const Options *o);
int command_gradients   (const SviModel *m, const Options *o);
int command_self_check  (const SviModel *m, const Options *o);
int command_info        (const SviModel *m, const Options *o);
extern const Command commands[];
extern const size_t  ncommands;
int trainer_main(const SviModel *m, int argc, char **argv);
#endif
