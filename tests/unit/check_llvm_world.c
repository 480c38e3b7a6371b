/* The world, the program builder and the interpreter of check_llvm.h; stand-ins for the runtime. */
#include <dlfcn.h>
#include "check_llvm.h"

double real_at(const World *w, const void *p, size_t i) {
  return w->real_bytes == 4 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}
static void real_set(const World *w, void *p, size_t i, double x) {
  if (w->real_bytes == 4) ((float *)p)[i] = (float)x;
  else ((double *)p)[i] = x;
}

static void world_point(World *w) {
  char *at = w->bytes;
  w->call.param = at;   at += PARAMS  * w->real_bytes;
  w->call.global = at;  at += GLOBALS * w->real_bytes;
  w->chunk.lane = at;   at += LANE    * w->real_bytes;
  for (int i = 0; i < NSCRATCH; i++, at += SCRATCH * w->real_bytes) w->chunk.scratch[i] = at;
  for (int i = 0; i < NKEPT; i++, at += KEPT * w->real_bytes) w->batch[i] = at;
  for (int i = 0; i < NKEPT; i++, at += KEPT * w->real_bytes) w->out[i] = at;
  w->call.batch = w->batch;
  w->call.out = w->out;
  w->call.key = (const uint32_t (*)[2])w->key;
  w->call.option = w->option;
  for (int a = 0; a < AXES; a++) w->call.row[a] = w->rows[a];
  w->size = (size_t)(at - w->bytes);
}

World *world_new(uint32_t real_bytes) {
  World *w = calloc(1, sizeof *w);
  w->real_bytes = real_bytes;
  size_t all = (PARAMS + GLOBALS + LANE + (size_t)NSCRATCH * SCRATCH + 2 * (size_t)NKEPT * KEPT) * real_bytes;
  w->bytes = aligned_alloc(64, all);
  world_point(w);
  ck_assert_uint_eq(w->size, all);
  uint64_t seed = 12345;
  for (size_t i = 0; i < all / real_bytes; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    real_set(w, w->bytes, i, 0.1 + 0.8 * (double)(seed >> 40) / (1 << 24));
  }
  w->call.size[USER] = USERS;
  w->call.size[IMAGE] = IMAGES;
  w->call.size[K] = PARTICLES;
  w->call.total[USER] = 50;
  w->call.total[IMAGE] = TOTAL;
  w->call.total[K] = PARTICLES;
  w->call.block = 4;
  for (uint32_t a = 0; a < AXES; a++)
    for (uint32_t i = 0; i < 64; i++) w->rows[a][i] = (i * 37 + a * 11 + 5) % TOTAL;
  for (uint32_t i = 0; i < NKEYS; i++) w->key[i][0] = 0x9E3779B9u * (i + 1), w->key[i][1] = 0x85EBCA6Bu ^ i;
  for (int i = 0; i < 4; i++) w->option[i] = 0.25 + i;
  w->chunk.first = 5;
  w->chunk.rows = 9;
  w->chunk.capacity = 12;
  w->chunk.fresh = true;
  return w;
}

World *world_copy(const World *w) {
  World *c = malloc(sizeof *c);
  *c = *w;
  c->bytes = aligned_alloc(64, w->size);
  memcpy(c->bytes, w->bytes, w->size);
  world_point(c);
  return c;
}

void world_free(World *w) {
  free(w->bytes);
  free(w);
}

void worlds_agree(const World *a, const World *b, double tolerance) {
  for (size_t i = 0; i < a->size / a->real_bytes; i++) {
    double x = real_at(a, a->bytes, i), y = real_at(b, b->bytes, i);
    bool same = x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * (1 + fabs(y));
    if (!same) ck_abort_msg("element %zu of the memory: compiled %.9g, expected %.9g", i, x, y);
  }
}

/* ---- building programs */
Arena *arena;
Graph graph;
Entry entry;
LoopProgram *program;
LoopPhase *phase;
Nest *nest;
Sources *sources;
const char *processor;

void setup(void) {
  arena = arena_new();
  memset(&graph, 0, sizeof graph);
  memset(&entry, 0, sizeof entry);
  graph.arena = arena;
  Axis axes[AXES] = {
    [USER]  = {"user",  AXIS_PLATE,    0, -1, false}, [IMAGE] = {"image", AXIS_PLATE, 0, -1, false},
    [K]     = {"k",     AXIS_PARTICLE, 0, -1, false}, [CLASS] = {"class", AXIS_INDEX, CLASSES, -1, false},
  };
  for (int i = 0; i < AXES; i++) vec_push(arena, &graph.axis, axes[i]);
  entry.name = "step:test";
  entry.graph = &graph;
  entry.axis = IMAGE;
  sources = sources_new(arena);
}

void teardown(void) { arena_free(arena); }

void program_new(uint32_t real_bytes) {
  program = NEW(arena, LoopProgram);
  program->entry = &entry;
  program->real_bytes = real_bytes;
  LoopPhase p = {.axis = IMAGE, .particles = K, .ndomain = 3};
  p.domain[0] = (Domain){1ull << IMAGE, 4096};
  p.domain[1] = (Domain){1ull << IMAGE | 1ull << K, 512};
  p.domain[2] = (Domain){1ull << USER | 1ull << IMAGE, 512};
  vec_push(arena, &program->phases, p);
  phase = &program->phases.at[0];
}

const Shape *shape_n(AxisSet axes, uint32_t rank, const uint32_t *dim) {
  Shape *s = NEW(arena, Shape);
  s->axes = axes;
  s->rank = rank;
  memcpy(s->dim, dim, rank * sizeof *dim);
  return s;
}

Buf buffer(BufKind kind, uint64_t offset, AxisSet axes, uint32_t rank, const uint32_t *dim) {
  Buffer b = {.kind = kind, .shape = shape_n(axes, rank, dim), .offset = offset};
  if (kind == BUF_CHUNK) b.domain = axes & AXIS(USER) ? 2 : axes & AXIS(K) ? 1 : 0;
  vec_push(arena, &program->buffers, b);
  return program->buffers.n - 1;
}

Nest *nest_new(bool streamed) {
  Step s = {.streamed = streamed};
  vec_push(arena, &phase->steps, s);
  return nest = &phase->steps.at[phase->steps.n - 1].nest;
}


uint32_t add(LoopInstr i) {
  for (uint32_t k = 0; k < i.nargs; k++)
    if (nest->instr.at[i.arg[k]].depth > i.depth) i.depth = nest->instr.at[i.arg[k]].depth;
  for (uint32_t k = 0; k < i.at.n; k++) {
    const Index *x = &i.at.at[k];
    if (x->kind == IX_LOOP && x->loop + 1 > i.depth) i.depth = x->loop + 1;
    if (x->kind == IX_VALUE && nest->instr.at[x->value].depth > i.depth)
      i.depth = nest->instr.at[x->value].depth;
  }
  vec_push(arena, &nest->instr, i);
  return nest->instr.n - 1;
}

/* ---- the interpreter: every loop, every instruction, in doubles */
typedef struct {
  World *w;
  uint64_t start, count;                                /* block of particles */
  bool streamed, serial;
  uint64_t index[LOOP_DEPTH_MAX];
  double value[256];
} Run;

double forward(OpKind op, double a, double b, double c) {
  (void)b, (void)c;
  switch ((int)op) {
#define UNARY(name, f, ...)   case OP_##name: return f;
#define BINARY(name, f, ...)  case OP_##name: return f;
#define TERNARY(name, f, ...) case OP_##name: return f;
#include "../../compiler/ops/elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
  }
  ck_abort_msg("op %d", (int)op);
  return 0;
}

static uint64_t axis_size(const Run *r, uint32_t axis, bool here) {
  if (axis == CLASS) return CLASSES;
  if (here && axis == IMAGE && !r->serial) return r->w->chunk.rows;
  if (here && axis == K && r->streamed) return r->count;
  return r->w->call.size[axis];
}
static uint64_t turns(const Run *r, const Loop *l) {
  return l->kind == LOOP_ROWS ? r->w->chunk.rows : l->kind == LOOP_AXIS ? axis_size(r, l->axis, true) : l->size;
}

static int64_t index_of(const Run *r, const Nest *n, const Index *ix, bool here) {
  if (ix->kind == IX_CONST) return ix->plus;
  if (ix->kind == IX_VALUE) return (int64_t)r->value[ix->value] + ix->plus;
  const Loop *l = &n->loop[ix->loop];
  int64_t v = (int64_t)r->index[ix->loop] + ix->plus;
  if (!here && l->kind == LOOP_ROWS) v += (int64_t)r->w->chunk.first;
  if (!here && l->kind == LOOP_AXIS && l->axis == K && r->streamed) v += (int64_t)r->start;
  return v;
}

static void *base_of(const Run *r, const Buffer *b) {
  World *w = r->w;
  size_t bytes = b->offset * w->real_bytes;
  switch (b->kind) {
    case BUF_PARAM:  return (char *)w->call.param + bytes;
    case BUF_GLOBAL: return (char *)w->call.global + bytes;
    case BUF_LANE:   return (char *)w->chunk.lane + bytes;
    case BUF_BATCH:  return w->batch[b->offset];
    case BUF_OUT:    return w->out[b->offset];
    case BUF_CHUNK: {
      uint64_t elements = w->chunk.capacity;
      if (phase->domain[b->domain].axes & AXIS(USER)) elements *= USERS;
      if (phase->domain[b->domain].axes & AXIS(K)) elements *= phase->stream ? w->call.block : w->call.size[K];
      return (char *)w->chunk.scratch[b->domain] + b->offset * elements;
    }
  }
  return NULL;
}

/* The place of an access among the elements of a shape; `skip`: a coordinate left out; `outside`: by a loop or constant. */
static uint64_t place(const Run *r, const Nest *n, const LoopInstr *i, const Shape *s, bool here, int skip,
                      bool *outside) {
  uint64_t sum = 0;
  uint32_t k = 0;
  *outside = false;
  for (uint32_t c = 0; c < AXES + s->rank; c++) {
    if (c < AXES && !(s->axes >> c & 1)) continue;
    uint64_t size = c < AXES ? axis_size(r, c, here) : s->dim[c - AXES];
    int64_t v = index_of(r, n, &i->at.at[k], here);
    if (i->guard && i->at.at[k].kind == IX_VALUE) v = v < 0 ? 0 : v >= (int64_t)size ? (int64_t)size - 1 : v;
    if (v < 0 || v >= (int64_t)size) *outside = true;
    if ((int)k++ != skip) sum = sum * size + (uint64_t)v;
  }
  return sum;
}

static double identity(int kind) {
  return kind == REDUCE_SUM ? 0 : kind == REDUCE_PROD ? 1 : kind == REDUCE_MIN ? INFINITY : -INFINITY;
}
static double join(int kind, double a, double b) {
  switch ((ReduceKind)kind) {
    case REDUCE_SUM:  return a + b;
    case REDUCE_PROD: return a * b;
    case REDUCE_MAX:  return isnan(a) || a > b ? a : b;
    case REDUCE_MIN:  return isnan(a) || a < b ? a : b;
    case REDUCE_LOGSUMEXP: break;
  }
  if (isnan(a) || isnan(b)) return NAN;
  return a == b ? a + log(2) : (a > b ? a : b) + log1p(exp(-fabs(a - b)));
}

/* Reductions are summed in doubles, aside, and rounded once when the nest is done. */
typedef struct { double *sum; bool *seen; } Tally;

static void interpret_instr(Run *r, const Nest *n, uint32_t at, Tally *tally) {
  const LoopInstr *i = &n->instr.at[at];
  const double *v = r->value;
  double a = i->nargs > 0 ? v[i->arg[0]] : 0, b = i->nargs > 1 ? v[i->arg[1]] : 0,
         c = i->nargs > 2 ? v[i->arg[2]] : 0;
  const Buffer *buf = &program->buffers.at[i->buf];
  bool here = buf->kind == BUF_CHUNK;
  World *w = r->w;
  bool outside;
  switch (i->kind) {
    case LI_CONST:  r->value[at] = i->number; return;
    case LI_OPTION: r->value[at] = w->option[i->id]; return;
    case LI_COUNT:
      r->value[at] = i->id == CLASS ? CLASSES : (double)(i->kind2 ? w->call.total : w->call.size)[i->id];
      return;
    case LI_IOTA:
      r->value[at] = (double)index_of(r, n, &i->at.at[0], false);
      if (i->kind2) r->value[at] = w->call.row[i->id][(uint64_t)r->value[at]];
      return;
    case LI_INSIDE:
      r->value[at] =
          index_of(r, n, &i->at.at[0], false) >= i->lo && index_of(r, n, &i->at.at[0], false) < i->hi;
      return;
    case LI_OP:     r->value[at] = forward(i->op, a, b, c); return;
    case LI_LOAD: {
      uint64_t p = place(r, n, i, buf->shape, here, -1, &outside);
      ck_assert(i->guard || !outside);
      r->value[at] = outside ? 0 : real_at(w, base_of(r, buf), p);
      return;
    }
    case LI_STORE:
      real_set(w, base_of(r, buf), place(r, n, i, buf->shape, here, -1, &outside), a);
      ck_assert(!outside);
      return;
    case LI_RANDOM: {
      int skip = -1;
      uint32_t row = 0, k = 0;
      for (uint32_t x = 0; x < AXES && skip < 0; x++) {
        if (!(i->shape->axes >> x & 1)) continue;
        if (graph.axis.at[x].kind == AXIS_PLATE)
          skip = (int)k, row = w->rows[x][index_of(r, n, &i->at.at[k], false)];
        k++;
      }
      uint32_t counter = (uint32_t)place(r, n, i, i->shape, false, skip, &outside);
      const uint32_t *key = w->key[i->id];
      if (w->real_bytes == 4)
        r->value[at] = i->kind2 == RANDOM_UNIFORM ? svi_uniform_f32(key[0], key[1], row, counter)
                                                  : svi_normal_f32(key[0], key[1], row, counter);
      else
        r->value[at] = i->kind2 == RANDOM_UNIFORM ? svi_uniform_f64(key[0], key[1], row, counter)
                                                  : svi_normal_f64(key[0], key[1], row, counter);
      return;
    }
    case LI_REDUCE: {
      uint64_t p = place(r, n, i, buf->shape, here, -1, &outside);
      void *base = base_of(r, buf);
      if (!tally[at].sum) {
        tally[at].sum = calloc(SCRATCH, sizeof(double));
        tally[at].seen = calloc(SCRATCH, 1);
      }
      bool first = !r->streamed || r->start == 0;
      bool carried = i->from == FROM_BEFORE || (i->from == FROM_LANE && !(w->chunk.fresh && first)) ||
                     (i->from == FROM_BLOCK && !first);
      if (!tally[at].seen[p]) {
        tally[at].seen[p] = true;
        tally[at].sum[p] = carried ? real_at(w, base, p) : identity(i->kind2);
      }
      tally[at].sum[p] = join(i->kind2, tally[at].sum[p], a);
      return;
    }
  }
}

static void interpret_level(Run *r, const Nest *n, uint32_t depth, Tally *tally) {
  for (uint32_t i = 0; i < n->instr.n; i++) if (n->instr.at[i].depth == depth) interpret_instr(r, n, i, tally);
  if (depth == n->nloop) return;
  uint64_t count = turns(r, &n->loop[depth]);
  for (uint64_t x = 0; x < count; x++) {
    r->index[depth] = x;
    interpret_level(r, n, depth + 1, tally);
  }
}

static void interpret_nest(Run *r, const Nest *n) {
  Tally *tally = calloc(n->instr.n + 1, sizeof *tally);
  interpret_level(r, n, 0, tally);
  for (uint32_t i = 0; i < n->instr.n; i++) {
    if (!tally[i].sum) continue;
    void *base = base_of(r, &program->buffers.at[n->instr.at[i].buf]);
    for (size_t p = 0; p < SCRATCH; p++) if (tally[i].seen[p]) real_set(r->w, base, p, tally[i].sum[p]);
    free(tally[i].sum);
    free(tally[i].seen);
  }
  free(tally);
}

static uint64_t extent(const Run *r, Extent x) {
  uint64_t n = x.constant;
  for (uint32_t a = 0; a < AXES; a++) if (x.axes >> a & 1) n *= axis_size(r, a, true);
  return n;
}

static void interpret_call(Run *r, const Call *c) {
  const World *w = r->w;
  ck_assert_int_eq(c->kind, CALL_GEMM);
  uint64_t m = extent(r, c->m), n = extent(r, c->n), k = extent(r, c->k);
  bool first = !r->streamed || r->start == 0;
  bool carried = c->add || c->from == FROM_BEFORE || (c->from == FROM_LANE && !(w->chunk.fresh && first)) ||
                 (c->from == FROM_BLOCK && !first);
  for (uint64_t t = 0; t < extent(r, c->batch); t++) {
    for (uint64_t i = 0; i < m; i++) for (uint64_t j = 0; j < n; j++) {
      double s = 0;
      for (uint64_t l = 0; l < k; l++) {
        uint64_t ai =
            t * extent(r, c->stride_a) + (c->ta ? l * extent(r, c->lda) + i : i * extent(r, c->lda) + l);
        uint64_t bi =
            t * extent(r, c->stride_b) + (c->tb ? j * extent(r, c->ldb) + l : l * extent(r, c->ldb) + j);
        s += real_at(w, base_of(r, &program->buffers.at[c->a]), ai) *
             real_at(w, base_of(r, &program->buffers.at[c->b]), bi);
      }
      uint64_t ci = t * extent(r, c->stride_c) + i * extent(r, c->ldc) + j;
      void *out = base_of(r, &program->buffers.at[c->c]);
      real_set(w, out, ci, carried ? real_at(w, out, ci) + s : s);
    }
  }
}

void interpret(World *w) {
  Run *r = calloc(1, sizeof *r);
  r->w = w;
  r->serial = phase->axis < 0;
  for (uint32_t i = 0; i < phase->steps.n; ) {
    uint32_t end = i;
    while (end < phase->steps.n && phase->steps.at[end].streamed) end++;
    bool streamed = r->streamed = end > i;
    if (!streamed) end++;
    uint64_t all = streamed ? w->call.size[K] : 1;
    for (r->start = 0; r->start < all; r->start += streamed ? r->count : 1) {
      r->count = all - r->start < w->call.block ? all - r->start : w->call.block;
      for (uint32_t k = i; k < end; k++) {
        if (phase->steps.at[k].is_call) interpret_call(r, &phase->steps.at[k].call);
        else interpret_nest(r, &phase->steps.at[k].nest);
      }
    }
    i = end;
  }
  free(r);
}

/* ---- what generated code calls: exported to the shared objects below */
#define GEMM(name, real)                                                                                                     \
  void name(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const real *a, uint64_t lda, const real *b, uint64_t ldb, \
            bool plus, real *c, uint64_t ldc) {                                                                              \
    for (uint64_t i = 0; i < m; i++) for (uint64_t j = 0; j < n; j++) {                                                      \
      double s = plus ? (double)c[i * ldc + j] : 0;                                                                          \
      for (uint64_t l = 0; l < k; l++) s += (double)(ta ? a[l * lda + i] : a[i * lda + l]) * (double)(tb ? b[j * ldb + l] : b[l * ldb + j]); \
      c[i * ldc + j] = (real)s;                                                                                              \
    }                                                                                                                        \
  }
GEMM(svi_gemm_f32, float)
GEMM(svi_gemm_f64, double)
GEMM(svi_gemm_bits_f32, float)
GEMM(svi_gemm_bits_f64, double)
#define TRIANGLE(name, real)                                                                                                 \
  void name(bool of_result, bool bits, int32_t shift, bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const real *a,   \
            uint64_t lda, const real *b, uint64_t ldb, bool plus, real *c, uint64_t ldc) {                                   \
    (void)bits;                                                                                                              \
    for (uint64_t i = 0; i < m; i++) for (uint64_t j = 0; j < n; j++) {                                                      \
      double s = plus ? (double)c[i * ldc + j] : 0;                                                                          \
      for (uint64_t l = 0; l < k; l++) {                                                                                     \
        int64_t row = (int64_t)(of_result ? i : tb ? j : l), column = (int64_t)(of_result ? j : tb ? l : j);                 \
        if (row < column + shift)                                                                                            \
          s += (double)(ta ? a[l * lda + i] : a[i * lda + l]) * (double)(tb ? b[j * ldb + l] : b[l * ldb + j]);              \
      }                                                                                                                      \
      c[i * ldc + j] = (real)s;                                                                                              \
    }                                                                                                                        \
  }
TRIANGLE(svi_gemm_triangle_f32, float)
TRIANGLE(svi_gemm_triangle_f64, double)

Loaded loaded;
void svi_load_rows(const SviCall *call, int32_t column, uint64_t first, uint64_t rows, void *out) {
  loaded.call = call, loaded.column = column, loaded.first = first, loaded.rows = rows, loaded.out = out;
}
Solved solved;
void svi_cholesky_f32(uint64_t batch, uint64_t n, const float *a, float *l) {
  solved.batch = batch, solved.n = n, solved.a = a, solved.c = l;
}
void svi_solve_tri_f32(uint64_t batch, uint64_t n, uint64_t m, bool lower, bool trans, const float *t,
                       const float *b, float *x) {
  solved.batch = batch, solved.n = n, solved.m = m, solved.lower = lower, solved.trans = trans, solved.a = t,
  solved.b = b, solved.c = x;
}
float svi_poisson_f32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, float rate) {
  return (float)(k0 % 97) + (float)(k1 % 89) * 0.5f + (float)c0 * 100 + (float)c1 * 3 + rate;
}
/* Not for the program, but for the shared objects that look here: what the linker takes from the library. */
#ifdef __x86_64__
extern const char svi_gamma_settle_f32x8[], svi_gamma_settle_f32x16[];
const char *const taken[] = {svi_gamma_settle_f32x8, svi_gamma_settle_f32x16};
#endif
unsigned forks;
void svi_fork(const SviCall *call, void (*fn)(const SviCall *, const void *, uint64_t, uint64_t, void *), const void *needs,
              uint64_t turns, uint64_t unit, void *partial, uint64_t stride) {
  forks++;
  for (uint64_t part = 0; part < SVI_PARTS; part++) {
    uint64_t from = turns / unit * part / SVI_PARTS * unit, to = part + 1 == SVI_PARTS ? turns : turns / unit * (part + 1) / SVI_PARTS * unit;
    fn(call, needs, from, to, (char *)partial + part * stride);
  }
}

/* ---- compiling and running */
char folder[] = "/tmp/svic-check-XXXXXX";

const SviModel *model_for(uint32_t real_bytes) {
  SviModel *m = NEW(arena, SviModel);
  SviEntry *e = NEW(arena, SviEntry);
  e->name = "step:test";
  e->nphase = (int32_t)program->phases.n;
  e->phase = arena_alloc(arena, program->phases.n * sizeof(SviPhase));
  m->abi = SVI_ABI;
  m->real_bytes = real_bytes;
  m->name = "test";
  m->path = "test.svm";
  m->nentry = 1;
  m->entry = e;
  return m;
}

Compiled compile_model(const SviModel *m, LoopProgram *const *programs, int level, const char *cpu) {
  static int count;
  LlvmOptions options = {.level = level, .cpu = cpu, .debug_lines = true, .verify = true};
  LlvmModule *module = llvm_build(arena, m, programs, sources, &options);
  char error[256], command[512];
  Compiled c = {0};
  if (getenv("SVIC_CHECK_IR")) ck_assert(llvm_write(module, LLVM_IR_PLAIN, getenv("SVIC_CHECK_IR"), error));
  llvm_optimise(module);
  c.object = arena_printf(arena, "%s/%d.o", folder, count);
  const char *shared = arena_printf(arena, "%s/%d.so", folder, count++);
  if (!llvm_write(module, LLVM_OBJECT, c.object, error)) ck_abort_msg("%s", error);
  llvm_free(module);
  snprintf(command, sizeof command, "cc -shared -o %s %s -lm", shared, c.object);
  ck_assert_int_eq(system(command), 0);
  c.library = dlopen(shared, RTLD_NOW | RTLD_LOCAL);
  if (!c.library) ck_abort_msg("%s", dlerror());
  c.model = dlsym(c.library, "svi_model");
  ck_assert_ptr_nonnull(c.model);
  unlink(shared);
  return c;
}

Compiled compile(int level, const char *cpu) {
  return compile_model(model_for(program->real_bytes), &program, level, cpu);
}
void compiled_free(Compiled *c) {
  unlink(c->object);
  dlclose(c->library);
}

void run_in(const Compiled *c, World *w) {
  c->model->entry[0].phase[0].run(&w->call, phase->axis < 0 ? NULL : &w->chunk);
}

void program_agrees(const World *start, double tolerance) {
  static const int levels[] = {0, 2};
  for (size_t i = 0; i < LEN(levels); i++) {
    Compiled c = compile(levels[i], processor);
    World *got = world_copy(start), *expected = world_copy(start);
    run_in(&c, got);
    interpret(expected);
    worlds_agree(got, expected, tolerance);
    world_free(got);
    world_free(expected);
    compiled_free(&c);
  }
}

double tolerance_of(uint32_t real_bytes) { return real_bytes == 4 ? 2e-5 : 1e-11; }
