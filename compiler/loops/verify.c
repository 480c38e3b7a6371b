/* verify: whether a loop program can be right.
 *
 * Instructions use earlier ones, and stand at least as deep as what they use; accesses have their buffer's
 * rank and, where sizes are known, stay within it; what is read has been written before (by an earlier
 * step, instruction or phase); no two buffers of a chunk that live at the same time overlap; sinks of a
 * serial phase are not lanes or chunks. */
#include "loops.h"

typedef struct { const LoopProgram *p; FILE *why; bool ok; uint32_t phase, step; bool *written; } Check;

static void wrong(Check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void wrong(Check *c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  c->ok = false;
  if (c->why) {
    fprintf(c->why, "%s, phase %u, step %u: ", c->p->entry->name, c->phase, c->step);
    vfprintf(c->why, format, args);
    fputc('\n', c->why);
  }
  va_end(args);
}

static const Buffer *buffer(const Check *c, Buf b) { return &c->p->buffers.at[b]; }

/* Two shapes of one storage. */
static bool same_storage(const Buffer *a, const Buffer *b) {
  if (a->kind != b->kind || a->offset != b->offset) return false;
  if (a->kind == BUF_CHUNK && (a->domain != b->domain || a->shape->axes != b->shape->axes)) return false;
  return shape_event_size(a->shape) == shape_event_size(b->shape);
}

static void mark_written(Check *c, Buf b) {
  for (Buf o = 0; o < c->p->buffers.n; o++)
    if (o == b || same_storage(buffer(c, o), buffer(c, b))) c->written[o] = true;
}

static void check_buffer(Check *c, Buf b, bool write) {
  const LoopPhase *phase = &c->p->phases.at[c->phase];
  if (b >= c->p->buffers.n) {
    wrong(c, "no buffer %u", b);
    return;
  }
  const Buffer *x = buffer(c, b);
  if (phase->axis < 0 && (x->kind == BUF_LANE || x->kind == BUF_CHUNK))
    wrong(c, "b%u belongs to chunks, in a serial phase", b);
  if (x->kind == BUF_CHUNK && x->domain >= phase->ndomain)
    wrong(c, "b%u is in domain %u of %u", b, x->domain, phase->ndomain);
  if (write && x->kind == BUF_PARAM) wrong(c, "b%u is a parameter and written", b);
  if (!write && x->kind == BUF_LANE) wrong(c, "b%u is a lane's and read", b);
  if (!write && x->kind != BUF_PARAM && !c->written[b]) wrong(c, "b%u is read before it is written", b);
}

static uint64_t axis_limit(const Check *c, uint32_t axis) { return c->p->entry->graph->axis.at[axis].size; }

static void check_access(Check *c, const Nest *n, uint32_t number) {
  const LoopInstr *i = &n->instr.at[number];
  const Shape *s = i->kind == LI_RANDOM ? i->shape : buffer(c, i->buf)->shape;
  uint32_t rank = (uint32_t)__builtin_popcountll(s->axes) + s->rank, k = 0;
  if (i->at.n != rank) {
    wrong(c, "%%%u: %u coordinates for a buffer of %u", number, i->at.n, rank);
    return;
  }
  for (uint32_t a = 0; a < AXIS_MAX + s->rank; a++) {
    if (a < AXIS_MAX && !(s->axes >> a & 1)) continue;
    const Index *ix = &i->at.at[k++];
    uint64_t size = a < AXIS_MAX ? axis_limit(c, a) : s->dim[a - AXIS_MAX];
    if (ix->kind == IX_VALUE && i->kind == LI_LOAD && !i->guard)
      wrong(c, "%%%u: a computed index without a guard", number);
    if (ix->kind == IX_VALUE && i->kind == LI_STORE) wrong(c, "%%%u: a store at a computed index", number);
    if (ix->kind == IX_VALUE && i->kind == LI_REDUCE && i->from != FROM_BEFORE)
      wrong(c, "%%%u: a scatter that begins anew", number);
    if (ix->kind == IX_CONST && !i->guard && size && (ix->plus < 0 || (uint64_t)ix->plus >= size))
      wrong(c, "%%%u: index %d of %llu", number, ix->plus, (unsigned long long)size);
    if (ix->kind != IX_LOOP || i->guard || i->kind == LI_RANDOM) continue;
    const Loop *l = &n->loop[ix->loop];
    if (size == 0) {
      /* rows of one plate may be read at the rows of another axis over them, where they lie in memory as a whole */
      bool own = l->axis == a || (axis_rows(c->p->entry->graph, l->axis) == axis_rows(c->p->entry->graph, a) && i->kind == LI_LOAD && buffer(c, i->buf)->kind != BUF_CHUNK);
      if (l->kind == LOOP_SIZE || !own || ix->plus)
        wrong(c, "%%%u: axis %u is not walked by its own loop", number, a);
    } else if (l->kind != LOOP_SIZE || ix->plus < 0 || l->size + (uint64_t)ix->plus > size) {
      wrong(c, "%%%u: loop %u leaves a size of %llu", number, ix->loop, (unsigned long long)size);
    }
  }
}

static void check_nest(Check *c, const Nest *n) {
  const LoopPhase *phase = &c->p->phases.at[c->phase];
  for (uint32_t l = 0; l < n->nloop; l++) {
    if (n->loop[l].kind == LOOP_ROWS && (int32_t)n->loop[l].axis != phase->axis)
      wrong(c, "loop %u is over rows of another plate", l);
    if (n->loop[l].kind == LOOP_AXIS && (int32_t)n->loop[l].axis == phase->axis)
      wrong(c, "loop %u is over all rows of the chunked plate", l);
  }
  for (uint32_t k = 0; k < n->instr.n; k++) {
    const LoopInstr *i = &n->instr.at[k];
    uint32_t depth = 0;
    for (uint32_t a = 0; a < i->nargs; a++) {
      if (i->arg[a] >= k) wrong(c, "%%%u uses a later instruction", k);
      else if (n->instr.at[i->arg[a]].depth > depth) depth = n->instr.at[i->arg[a]].depth;
    }
    for (uint32_t a = 0; a < i->at.n; a++) {
      const Index *ix = &i->at.at[a];
      if (ix->kind == IX_VALUE && ix->value >= k) wrong(c, "%%%u is indexed by a later instruction", k);
      uint32_t d = ix->kind == IX_LOOP ? ix->loop + 1 : 0;
      if (ix->kind == IX_VALUE && ix->value < k) d = n->instr.at[ix->value].depth;
      if (d > depth) depth = d;
    }
    if (i->depth < depth || i->depth > n->nloop)
      wrong(c, "%%%u stands at depth %u of %u, and uses depth %u", k, i->depth, n->nloop, depth);
    switch (i->kind) {
      case LI_LOAD:   check_buffer(c, i->buf, false); break;
      case LI_STORE:  case LI_REDUCE: check_buffer(c, i->buf, true); break;
      case LI_CONST: case LI_OPTION: case LI_COUNT: case LI_IOTA: case LI_OP: case LI_INSIDE: continue;
      case LI_RANDOM: break;
    }
    if (i->kind == LI_RANDOM || i->buf < c->p->buffers.n) check_access(c, n, k);
  }
  for (uint32_t k = 0; k < n->instr.n; k++) {
    const LoopInstr *i = &n->instr.at[k];
    if ((i->kind == LI_STORE || i->kind == LI_REDUCE) && i->buf < c->p->buffers.n) mark_written(c, i->buf);
  }
}

static void check_call(Check *c, const Call *call) {
  if (call->kind != CALL_LOAD_ROWS) check_buffer(c, call->a, false);
  if (call->kind == CALL_GEMM || call->kind == CALL_SOLVE_TRI) check_buffer(c, call->b, false);
  check_buffer(c, call->c, true);
  if (call->c < c->p->buffers.n) mark_written(c, call->c);
}

/* ---- overlaps */
typedef struct { bool used, written; uint32_t first, last; } Life;

static void live(const Check *c, Life *s, Buf b, bool write, uint32_t step, uint32_t from, uint32_t to) {
  if (b >= c->p->buffers.n || buffer(c, b)->kind != BUF_CHUNK) return;
  if (!s[b].used) s[b] = (Life){true, write, step, step};
  s[b].written |= write;
  if (step > s[b].last) s[b].last = step;
  /* read again by the next block */
  if (step >= from && step < to && s[b].first < from) s[b].last = to - 1;
  if (step >= to && s[b].first > from && s[b].first < to) s[b].first = from;
}

static void check_overlap(Check *c, const LoopPhase *phase) {
  Arena *scratch = arena_new();
  Life *s = arena_alloc(scratch, (c->p->buffers.n + 1) * sizeof *s);
  uint32_t from = 0, to;
  while (from < phase->steps.n && !phase->steps.at[from].streamed) from++;
  for (to = from; to < phase->steps.n && phase->steps.at[to].streamed;) to++;
  for (uint32_t i = 0; i < phase->steps.n; i++) {
    const Step *step = &phase->steps.at[i];
    if (step->is_call) {
      live(c, s, step->call.a, false, i, from, to);
      live(c, s, step->call.b, false, i, from, to);
      live(c, s, step->call.c, true, i, from, to);
    }
    for (uint32_t k = 0; !step->is_call && k < step->nest.instr.n; k++) {
      const LoopInstr *in = &step->nest.instr.at[k];
      if (in->kind == LI_LOAD || in->kind == LI_STORE || in->kind == LI_REDUCE)
        live(c, s, in->buf, in->kind != LI_LOAD, i, from, to);
    }
    if (step->streamed && (i < from || i >= to)) wrong(c, "streamed steps are not together");
  }
  for (uint32_t r = 0, a, b; r < phase->repeats.n; r++) {
    for (a = 0; a < phase->steps.n && phase->steps.at[a].repeat != r + 1;) a++;
    for (b = a; b < phase->steps.n && phase->steps.at[b].repeat == r + 1;) b++;
    for (uint32_t i = b; i < phase->steps.n; i++) if (phase->steps.at[i].repeat == r + 1) wrong(c, "steps of a repetition are not together");
    if (a == b) { wrong(c, "a repetition without steps"); continue; }
    const Repeat *x = &phase->repeats.at[r];
    live(c, s, x->next, false, b - 1, from, to);
    live(c, s, x->guess, true, b - 1, from, to);
    if (x->next == x->guess || !c->written[x->next] || !c->written[x->guess]) wrong(c, "a repetition from b%u to b%u", x->next, x->guess);
    if (x->by && s[x->next].used && s[x->next].first > a) s[x->next].first = a;
    for (Buf o = 0; o < c->p->buffers.n; o++)
      if (s[o].used && s[o].first < a && s[o].last >= a && s[o].last < b) s[o].last = b - 1;
  }
  for (Buf a = 0; a < c->p->buffers.n; a++) {
    for (Buf b = 0; b < a; b++) {
      const Buffer *x = buffer(c, a), *y = buffer(c, b);
      if (!s[a].used || !s[b].used || x->domain != y->domain) continue;
      if (same_storage(x, y) && (!s[a].written || !s[b].written)) continue;      /* one under two shapes */
      if (s[a].last < s[b].first || s[b].last < s[a].first) continue;
      uint64_t p = shape_event_size(x->shape), q = shape_event_size(y->shape);
      for (uint32_t axis = 0; axis < c->p->entry->graph->axis.n; axis++) {
        if (x->shape->axes >> axis & 1 && axis_limit(c, axis)) p *= axis_limit(c, axis);
        if (y->shape->axes >> axis & 1 && axis_limit(c, axis)) q *= axis_limit(c, axis);
      }
      if (x->offset < y->offset + q * c->p->real_bytes && y->offset < x->offset + p * c->p->real_bytes)
        wrong(c, "b%u and b%u overlap while both are in use", b, a);
    }
  }
  arena_free(scratch);
}

bool loops_verify(const LoopProgram *p, FILE *why) {
  Arena *scratch = arena_new();
  Check c = {.p = p, .why = why, .ok = true};
  c.written = arena_alloc(scratch, p->buffers.n + 1);
  for (; c.phase < p->phases.n; c.phase++) {
    const LoopPhase *phase = &p->phases.at[c.phase];
    for (c.step = 0; c.step < phase->steps.n; c.step++) {
      const Step *s = &phase->steps.at[c.step];
      if (s->is_call) check_call(&c, &s->call);
      else check_nest(&c, &s->nest);
    }
    check_overlap(&c, phase);
    /* when the phase ends lanes are joined into globals, and the chunks' arenas are void */
    for (Buf b = 0; b < p->buffers.n; b++) {
      if (p->buffers.at[b].kind == BUF_CHUNK) c.written[b] = false;
      if (p->buffers.at[b].kind != BUF_LANE || !c.written[b]) continue;
      for (Buf o = 0; o < p->buffers.n; o++)
        if (p->buffers.at[o].kind == BUF_GLOBAL && p->buffers.at[o].value == p->buffers.at[b].value)
          mark_written(&c, o);
    }
  }
  arena_free(scratch);
  return c.ok;
}
