/* What the tests of llvm/ share: a World, words to build a loop program with, an interpreter, and a way to run both.
 *
 * A World is the memory a phase sees: parameters, accumulators, scratch, outputs.  A test builds a program, runs it
 * compiled in one world and by the interpreter in its copy, and compares all of the memory: what should have been written
 * and what should not.  Some tests check against loops written out, so that the interpreter is checked too. */
#ifndef CHECK_LLVM_H
#define CHECK_LLVM_H
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>
#include "../../compiler/llvm/llvm.h"
#include "../../runtime/kernels/random.h"

/* ---- a world */
enum { USER, IMAGE, K, CLASS, AXES };                    /* plate, chunked plate, particles, index axis of 3 */
enum {
  PARAMS = 4096,
  GLOBALS = 4096,
  LANE = 4096,
  SCRATCH = 1 << 17,
  KEPT = 1 << 16,
  NKEPT = 4,
  NSCRATCH = 4,
  NKEYS = 4
};
enum { USERS = 7, IMAGES = 23, PARTICLES = 10, CLASSES = 3, TOTAL = 100 };

typedef struct {
  uint32_t  real_bytes;
  SviCall   call;
  SviChunk  chunk;
  char     *bytes;                                       /* all blocks, one after the other */
  size_t    size;
  void     *batch[NKEPT], *out[NKEPT];
  uint32_t  key[NKEYS][2], rows[AXES][64];
  double    option[4];
} World;

double real_at (const World *w, const void *p, size_t i);
World *world_new (uint32_t real_bytes);
World *world_copy(const World *w);
void   world_free(World *w);
void   worlds_agree(const World *a, const World *b, double tolerance);

/* ---- the program being built */
extern Arena       *arena;
extern Graph        graph;
extern Entry        entry;
extern LoopProgram *program;
extern LoopPhase   *phase;
extern Nest        *nest;
extern Sources     *sources;
extern const char  *processor;          /* that program_agrees() compiles for; NULL: this machine's */

extern unsigned     forks;              /* calls of svi_fork */

void setup(void);
void teardown(void);
void program_new(uint32_t real_bytes);
const Shape *shape_n(AxisSet axes, uint32_t rank, const uint32_t *dim);
Buf      buffer(BufKind kind, uint64_t offset, AxisSet axes, uint32_t rank, const uint32_t *dim);
Nest    *nest_new(bool streamed);
uint32_t add(LoopInstr i);              /* at the least depth its arguments and indices allow */
#define DIMS(...) (uint32_t)LEN(((uint32_t[]){__VA_ARGS__})), (uint32_t[]){__VA_ARGS__}
#define NO_DIMS 0, (uint32_t[]){0}
#define AXIS(a) (1ull << (a))

static inline uint32_t loop_rows(void) {
  nest->loop[nest->nloop] = (Loop){LOOP_ROWS, 0, 0};
  return nest->nloop++;
}
static inline uint32_t loop_axis(uint32_t axis) {
  nest->loop[nest->nloop] = (Loop){LOOP_AXIS, axis, 0};
  return nest->nloop++;
}
static inline uint32_t loop_size(uint32_t n) {
  nest->loop[nest->nloop] = (Loop){LOOP_SIZE, 0, n};
  return nest->nloop++;
}
static inline Index at_loop (uint32_t l)         { return (Index){.kind = IX_LOOP, .loop = l}; }
static inline Index at_plus(uint32_t l, int32_t plus) {
  return (Index){.kind = IX_LOOP, .loop = l, .plus = plus};
}
static inline Index at_const(int32_t x)          { return (Index){.kind = IX_CONST, .plus = x}; }
static inline Index at_value(uint32_t v)         { return (Index){.kind = IX_VALUE, .value = v}; }
static inline Access access_n(uint32_t n, const Index *at) {
  Access a = {.n = n};
  memcpy(a.at, at, n * sizeof *at);
  return a;
}
#define AT(...) access_n((uint32_t)LEN(((Index[]){__VA_ARGS__})), (Index[]){__VA_ARGS__})
#define AT_NOTHING ((Access){.n = 0})

static inline uint32_t number(double x)            { return add((LoopInstr){.kind = LI_CONST, .number = x}); }
static inline uint32_t load(Buf b, Access at) {
  return add((LoopInstr){.kind = LI_LOAD, .buf = b, .at = at});
}
static inline uint32_t op1(OpKind op, uint32_t a) {
  return add((LoopInstr){.kind = LI_OP, .op = op, .nargs = 1, .arg = {a}});
}
static inline uint32_t op2(OpKind op, uint32_t a, uint32_t b) {
  return add((LoopInstr){.kind = LI_OP, .op = op, .nargs = 2, .arg = {a, b}});
}
static inline uint32_t op3(OpKind op, uint32_t a, uint32_t b, uint32_t c) {
  return add((LoopInstr){.kind = LI_OP, .op = op, .nargs = 3, .arg = {a, b, c}});
}
static inline void store(Buf b, Access at, uint32_t v) {
  add((LoopInstr){.kind = LI_STORE, .buf = b, .at = at, .nargs = 1, .arg = {v}, .depth = nest->nloop});
}
static inline void reduce(ReduceKind k, ReduceFrom from, Buf b, Access at, uint32_t v) {
  add((LoopInstr){.kind = LI_REDUCE,
                  .kind2 = (uint8_t)k,
                  .from = from,
                  .buf = b,
                  .at = at,
                  .nargs = 1,
                  .arg = {v},
                  .depth = nest->nloop});
}

/* ---- running */
double forward(OpKind op, double a, double b, double c);         /* an elementwise op, as its row says */
void   interpret(World *w);

typedef struct { void *library; const SviModel *model; char *object; } Compiled;
extern char folder[];                   /* for files of the test */
const SviModel *model_for(uint32_t real_bytes);
Compiled compile(int level, const char *cpu);
Compiled compile_model(const SviModel *m, LoopProgram *const *programs, int level, const char *cpu);
void     compiled_free(Compiled *c);
void     run_in(const Compiled *c, World *w);
void program_agrees(const World *start,
                    double tolerance); /* both ways from one start, without and with optimisation */
double   tolerance_of(uint32_t real_bytes);
static const uint32_t widths[] = {4, 8};

/* What the stand-ins of runtime functions were given last. */
typedef struct { const SviCall *call; int32_t column; uint64_t first, rows; void *out; } Loaded;
typedef struct { uint64_t batch, n, m; bool lower, trans; const void *a, *b, *c; } Solved;
extern Loaded loaded;
extern Solved solved;

TCase *module_cases(void);              /* check_llvm_module.c */
#endif
