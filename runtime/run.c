/* Running an entry: its phases, chunk by chunk, on all threads.
 *
 * In:  an entry, the rows of a batch, parameters, options, the step.
 * Out: its scalars, row outputs, and gradients (in the lanes, the global block or the row outputs).
 *
 * A phase over a plate is cut into chunks of about LINES lines (a line is one row of one particle: what one row of a matrix
 * product is), so that what a chunk computes stays in the cache, and is worth the visit to all parameters that a chunk is, which
 * packs the weights anew; the cut depends on rows and particles alone.  Chunks go to
 * lanes in turn, a lane is done by one thread from its first chunk to its last, and lanes are combined in order: the result
 * does not know how many threads there were.  Where products over all rows come after a phase, chunks run by stretches of about
 * STRETCH lines, but no fewer chunks than lanes, each followed by its share of those products (products.c).  All memory is taken in
 * run_new. */
#include <math.h>
#include <string.h>
#include "trainer.h"

enum { STRETCH = 2048, LINES = 256, WORTH_TWO = 48, BLOCK_LEAST = 160, BLOCK_ABOUT = 128, CAPACITY_UNIT = 16 };

typedef struct {
  uint64_t chunks, each, capacity, block, stretch;      /* stretch: chunks that run before the phase after */
  unsigned lanes;
  size_t   offset[SVI_DOMAINS], bytes;    /* of the domains in a thread's scratch */
} Layout;

struct Run {
  const SviModel *model;
  const SviEntry *entry;
  Pool    *pool;
  struct SviTrainer trainer;
  SviCall  call;
  Layout  *layout;                        /* by phase, of the batch that runs */
  const SviPhase *phase; const Layout *now;           /* while a phase runs: what its tasks read */
  char    *lane; size_t lane_bytes; unsigned lanes;   /* lanes that any phase of this batch uses */
  char    *scratch; size_t scratch_bytes;             /* of one thread */
  uint64_t rows_last;
  uint32_t (*key)[2]; uint64_t *draw_hash;
  uint64_t stretch, count;                            /* of the chunks that run: the first, how many */
  void   **window;                                    /* by kept buffer: where it begins, while call.batch points at where row 0 would be */
  Products *products;
  size_t   bytes;
};

/* note [keys]: the key of a draw of one step; the draw's counters are added by the generated code. */
static void key_of(uint64_t seed, uint64_t draw_hash, uint64_t step, uint32_t key[2]) {
  uint64_t k = hash_mix(hash_mix(seed ^ draw_hash) + step);
  key[0] = (uint32_t)k;
  key[1] = (uint32_t)(k >> 32);
}
static uint64_t draw_hash(const char *name) { return hash_bytes(UINT64_C(0xcbf29ce484222325), name, strlen(name)); }
void svi_key(uint64_t seed, const char *draw, uint64_t step, uint32_t key[2]) { key_of(seed, draw_hash(draw), step, key); }

static uint64_t round_up(uint64_t x, uint64_t unit) { return (x + unit - 1) / unit * unit; }

/* Particles of one pass: k is cut evenly into blocks of about BLOCK_ABOUT. */
static uint64_t block_of(uint64_t k) {
  if (k <= BLOCK_LEAST) return k;
  uint64_t blocks = (k + BLOCK_ABOUT - 1) / BLOCK_ABOUT;
  return round_up((k + blocks - 1) / blocks, CAPACITY_UNIT);
}

static Layout layout_of(const SviModel *m, const SviPhase *p, const uint64_t *size) {
  Layout l = { .chunks = 1, .lanes = 1, .block = 1 };
  if (p->particles >= 0) l.block = p->stream ? block_of(size[p->particles]) : size[p->particles];
  if (p->axis < 0) return l;
  uint64_t rows = size[p->axis], each = (LINES + l.block / 2) / l.block;
  if (each < 1) each = 1;
  l.each = each;
  l.chunks = (rows + each - 1) / each;
  if (rows * l.block >= WORTH_TWO && l.chunks < 2) l.chunks = 2;
  if (l.chunks > 1) l.chunks += l.chunks & 1;
  if (l.chunks > rows) l.chunks = rows;
  l.lanes = l.chunks < LANES ? (unsigned)l.chunks : LANES;
  /* of a full chunk: never less for more rows */
  uint64_t single = (WORTH_TWO + l.block - 1) / l.block, half = (rows + 1) / 2;
  l.stretch = STRETCH / (each * l.block);
  l.stretch = l.stretch > LANES ? l.stretch / LANES * LANES : LANES;      /* all threads have something to do */
  l.capacity = round_up(rows < single ? rows : half < single ? single : half < each ? half : each, CAPACITY_UNIT);
  for (int d = 0; d < p->ndomain; d++) {
    uint64_t lines = l.capacity;
    for (int a = 0; a < m->naxis; a++) {
      if (!(p->domain[d].axes >> a & 1) || a == p->axis) continue;
      lines *= a == p->particles ? l.block : size[a];
    }
    l.offset[d] = l.bytes;
    l.bytes += round_up(p->domain[d].bytes * lines, 64) + 64;
  }
  return l;
}

static uint64_t rows_of(const SviModel *m, const SviRows *r, const uint64_t *size) {
  uint64_t n = 1;
  for (int a = 0; a < m->naxis; a++) if (r->axes >> a & 1) n *= size[a];
  return n;
}

/* The rows of chunks [first, first + chunks), as a chunk. */
static SviChunk chunk_of(const Layout *l, uint64_t rows, uint64_t first, uint64_t chunks) {
  uint64_t end = first + chunks < l->chunks ? first + chunks : l->chunks, at = rows * first / l->chunks;
  return (SviChunk){ .first = at, .rows = rows * end / l->chunks - at, .capacity = l->capacity };
}

/* Rows along the batch plate of the longest stretch that a batch of so many rows, or of fewer, is cut into. */
static uint64_t stretch_rows(const Run *r, uint64_t rows) {
  uint64_t most = 1;
  for (int i = 0; i < r->entry->nphase; i++) {
    const Layout *l = &r->layout[i];
    uint64_t full = r->entry->phase[i].axis < 0 ? 0 : l->each * l->stretch;
    if (full > most) most = full;
  }
  return most < rows ? most : rows;
}

Run *run_new(const SviModel *m, int entry, Pool *pool, const Data *d, const Params *p, uint64_t rows, uint64_t k) {
  Run *r = memory_new(1, sizeof *r, "a run");
  const SviEntry *e = &m->entry[entry];
  r->model = m;
  r->entry = e;
  r->pool  = pool;
  r->products = products_new(pool, m->real_bytes);
  r->trainer = (struct SviTrainer){ m, d, p, pool, r->products };
  r->call.trainer = &r->trainer;
  for (int a = 0; a < m->naxis; a++) {
    bool plate = m->axis[a].kind == 0;
    r->call.total[a] = plate ? d->total[a] : k ? k : m->axis[a].fallback;
    r->call.size[a]  = plate && axis_own(m, a) == e->axis && rows < r->call.total[a] ? rows : r->call.total[a];
    if (plate) r->call.row[a] = d->identity;
    else if (r->call.size[a] == 0) r->call.size[a] = r->call.total[a] = 1;
  }
  r->layout = memory_new((size_t)e->nphase, sizeof *r->layout, e->name);
  unsigned lanes = 1;
  for (int i = 0; i < e->nphase; i++) {
    Layout l = r->layout[i] = layout_of(m, &e->phase[i], r->call.size);
    if (l.bytes > r->scratch_bytes) r->scratch_bytes = l.bytes;
    if (l.lanes > lanes) lanes = l.lanes;
  }
  /* A page apart and not a power of two, so that lanes and threads do not fall into the same cache sets. */
  r->lane_bytes = round_up(e->lane_size * m->real_bytes, 64) + 64;
  r->scratch_bytes += 4096 + 64;
  r->lane    = memory_new(lanes, r->lane_bytes, e->name);
  r->scratch = memory_new(pool_size(pool), r->scratch_bytes, e->name);
  r->call.global = memory_new(e->global_size, m->real_bytes, e->name);
  r->key = memory_new((size_t)m->ndraw, sizeof *r->key, "keys");
  r->draw_hash = memory_new((size_t)m->ndraw, sizeof *r->draw_hash, "keys");
  for (int i = 0; i < m->ndraw; i++) r->draw_hash[i] = draw_hash(m->draw[i].name);
  r->call.key = r->key;
  r->bytes = lanes * r->lane_bytes + pool_size(pool) * r->scratch_bytes + e->global_size * m->real_bytes;
  r->call.batch = memory_new((size_t)e->nbatch, sizeof *r->call.batch, e->name);
  r->window     = memory_new((size_t)e->nbatch, sizeof *r->window, e->name);
  r->call.out   = memory_new((size_t)e->nout,   sizeof *r->call.out,   e->name);
  for (int i = 0; i < e->nbatch; i++) {
    uint64_t n = rows_of(m, &e->batch[i], r->call.size) * e->batch[i].size;
    if (e->batch[i].window) n = n / r->call.size[e->axis] * stretch_rows(r, r->call.size[e->axis]);
    r->call.batch[i] = r->window[i] = memory_new(n, m->real_bytes, e->batch[i].name);
    r->bytes += n * m->real_bytes;
  }
  for (int i = 0; i < e->nout; i++) {
    uint64_t n = rows_of(m, &e->out[i], r->call.size) * e->out[i].size;
    r->call.out[i] = memory_new(n, m->real_bytes, e->out[i].name);
    r->bytes += n * m->real_bytes;
  }
  return r;
}

void run_free(Run *r) {
  if (!r) return;
  for (int i = 0; i < r->entry->nbatch; i++) memory_free(r->window[i]);
  for (int i = 0; i < r->entry->nout; i++)   memory_free(r->call.out[i]);
  memory_free(r->call.batch);
  memory_free(r->window);
  products_free(r->products);
  memory_free(r->call.out);
  memory_free(r->call.global);
  memory_free(r->key);
  memory_free(r->draw_hash);
  memory_free(r->lane);
  memory_free(r->scratch);
  memory_free(r->layout);
  memory_free(r);
}

/* ---- chunks */
static void run_lane_chunks(void *context, unsigned lane, unsigned thread) {
  Run *r = context;
  const SviPhase *p = r->phase;
  const Layout   *l = r->now;
  uint64_t end = r->stretch + r->count < l->chunks ? r->stretch + r->count : l->chunks;
  char    *base = r->scratch + thread * r->scratch_bytes;
  for (uint64_t c = r->stretch + (lane + l->lanes - r->stretch % l->lanes) % l->lanes; c < end; c += l->lanes) {
    SviChunk chunk = chunk_of(l, r->call.size[p->axis], c, 1);
    chunk.lane = r->lane + lane * r->lane_bytes, chunk.fresh = c == lane;
    for (int d = 0; d < p->ndomain; d++) chunk.scratch[d] = base + l->offset[d];
    p->run(&r->call, &chunk);
  }
}

/* ---- stretches: see note [shared products] */
static void run_windows(Run *r, uint64_t first) {
  const SviEntry *e = r->entry;
  for (int i = 0; i < e->nbatch; i++) {
    if (!e->batch[i].window) continue;
    uint64_t row = rows_of(r->model, &e->batch[i], r->call.size) / r->call.size[e->axis] * e->batch[i].size * r->model->real_bytes;
    r->call.batch[i] = (void *)((uintptr_t)r->window[i] - first * row);
  }
}
static void run_shared(Run *r, const SviPhase *after, const Layout *l) {
  SviChunk chunk = chunk_of(l, r->call.size[after->axis], r->stretch, r->count);
  chunk.fresh = r->stretch == 0;
  after->run(&r->call, &chunk);
  products_run(r->products);
}

/* ---- nests of serial phases */
typedef struct {
  const SviCall *call; void (*fn)(const SviCall *, const void *, uint64_t, uint64_t, void *); const void *needs;
  uint64_t turns, unit; char *partial; uint64_t stride;
} Fork;

static uint64_t fork_bound(const Fork *f, unsigned part) {
  return part == SVI_PARTS ? f->turns : f->turns / f->unit * part / SVI_PARTS * f->unit;
}

static void run_part(void *context, unsigned part, unsigned thread) {
  (void)thread;
  const Fork *f = context;
  f->fn(f->call, f->needs, fork_bound(f, part), fork_bound(f, part + 1), f->partial + part * f->stride);
}

void svi_fork(const SviCall *call, void (*fn)(const SviCall *, const void *, uint64_t, uint64_t, void *), const void *needs,
              uint64_t turns, uint64_t unit, void *partial, uint64_t stride) {
  Fork f = { call, fn, needs, turns, unit, partial, stride };
  pool_run(call->trainer->pool, SVI_PARTS, run_part, &f);
}

/* ---- combining lanes */
#define REAL float
#define NAME(x) x##_f32
#include "combine_body.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "combine_body.h"
#undef REAL
#undef NAME

enum { COMBINE = 4096 };       /* elements of a task */
typedef struct { Run *run; const SviReduction *reduction; unsigned lanes; } Combining;

static void combine_part(void *context, unsigned part, unsigned thread) {
  (void)thread;
  const Combining *c = context;
  const SviReduction *d = c->reduction;
  uint64_t first = (uint64_t)part * COMBINE, n = d->size - first < COMBINE ? d->size - first : COMBINE;
  if (c->run->model->real_bytes == 8)
    combine_f64(d->how, c->run->lane, c->run->lane_bytes, c->lanes, d->lane + first, n, (double *)c->run->call.global + d->global + first);
  else
    combine_f32(d->how, c->run->lane, c->run->lane_bytes, c->lanes, d->lane + first, n, (float *)c->run->call.global + d->global + first);
}

/* Phase i, with the products that come after it; the phase that is next. */
static int run_phase(Run *r, int i) {
  const SviPhase *p = r->phase = &r->entry->phase[i], *next = i + 1 < r->entry->nphase ? p + 1 : NULL;
  const Layout   *l = r->now   = &r->layout[i];
  r->call.block = l->block;
  if (p->axis < 0) { p->run(&r->call, NULL); return i + 1; }
  bool alone = p->after, both = !alone && next && next->after && next->axis == p->axis;
  r->count = alone || both ? l->stretch : l->chunks;
  for (r->stretch = 0; r->stretch < l->chunks; r->stretch += r->count) {
    if (both) run_windows(r, chunk_of(l, r->call.size[p->axis], r->stretch, 1).first);
    if (!alone) pool_run(r->pool, l->lanes, run_lane_chunks, r);
    if (alone || both) run_shared(r, both ? next : p, l);
  }
  for (int k = 0; k < p->nreduction; k++) {
    Combining c = { r, &p->reduction[k], l->lanes };
    pool_run(r->pool, (unsigned)((p->reduction[k].size + COMBINE - 1) / COMBINE), combine_part, &c);
  }
  return i + 1 + both;
}

/* Lays the batch out.  A phase with fewer lanes than another leaves the further ones as they are, and the optimiser adds all:
 * they must hold zeros, so they are cleared when the layout changes. */
static void run_layout(Run *r, uint64_t rows) {
  if (rows == r->rows_last) return;
  r->rows_last = rows;
  unsigned least = LANES, most = 0;
  for (int i = 0; i < r->entry->nphase; i++) {
    r->layout[i] = layout_of(r->model, &r->entry->phase[i], r->call.size);
    if (r->entry->phase[i].axis < 0 || r->entry->phase[i].after) continue;
    if (r->layout[i].lanes < least) least = r->layout[i].lanes;
    if (r->layout[i].lanes > most)  most  = r->layout[i].lanes;
  }
  r->lanes = most;
  for (unsigned l = least; l < most; l++) memset(r->lane + l * r->lane_bytes, 0, r->lane_bytes);
}

void run_entry(Run *r, const uint32_t *rows, uint64_t n, uint64_t seed, uint64_t step, const double *option) {
  const SviEntry *e = r->entry;
  if (e->axis >= 0) {
    for (int a = 0; a < r->model->naxis; a++)
      if (r->model->axis[a].kind == 0 && axis_own(r->model, a) == e->axis) r->call.size[a] = n, r->call.row[a] = rows;
  } else n = 1;
  run_layout(r, n);
  for (int i = 0; i < r->model->ndraw; i++) key_of(seed, r->draw_hash[i], r->model->draw[i].once ? 0 : step, r->key[i]);
  r->call.param  = r->trainer.params->value;
  r->call.option = option;
  for (int i = 0; i < e->nphase;) i = run_phase(r, i);
}

double run_scalar(const Run *r, int scalar) { return real_get(r->model->real_bytes, r->call.global, r->entry->scalar[scalar].global); }

const void *run_out(const Run *r, int out, uint64_t *rows) {
  *rows = rows_of(r->model, &r->entry->out[out], r->call.size);
  return r->call.out[out];
}

const SviCall  *run_call (const Run *r) { return &r->call; }
const SviEntry *run_of   (const Run *r) { return r->entry; }
unsigned        run_lanes(const Run *r) { return r->lanes; }
const void     *run_lane (const Run *r, unsigned lane) { return r->lane + lane * r->lane_bytes; }
size_t          run_bytes(const Run *r) { return r->bytes; }

double run_gradient(const Run *r, int param, uint64_t element) {
  const SviEntry *e = r->entry;
  uint32_t width = r->model->real_bytes;
  uint64_t rows;
  double   sum = 0;
  for (int i = 0; i < e->ngrad; i++) {
    if (e->grad[i].param != param) continue;
    switch (e->grad[i].where) {
    case SVI_IN_LANES:  for (unsigned l = 0; l < r->lanes; l++) sum += real_get(width, run_lane(r, l), e->grad[i].offset + element); break;
    case SVI_IN_GLOBAL: sum += real_get(width, r->call.global, e->grad[i].offset + element); break;
    case SVI_IN_OUT: {
      const void *out = run_out(r, (int)e->grad[i].offset, &rows);
      sum += real_get(width, out, element % (r->model->param[param].size * rows));
      break;
    }
    }
  }
  return sum;
}
