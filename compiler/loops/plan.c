/* plan: where buffers lie.
 *
 * In:  phases of steps over buffers without place.
 * Out: the same, with values written in place of such as die there, and an offset for every buffer.
 *
 * What is read in a repetition and written before lives to its end.  The result of one that goes step by step along a plate lives from its
 * start, for its first turn makes the first part of it.
 *
 * A buffer of a chunk lives from the first step that writes it to the last that reads it; with a stream,
 * what is read in it and written before lives to its end, and what is read behind it from its start.
 *
 * In place: a nest that stores a value of the same shape as one of the chunk that it is the last to read, and reads it only
 * at the very element it stores, may use its buffer (stores stand after all loads of a nest).  Both are
 * then one Buf.  Where what is stored is kept for the batch, that is its buffer: then what it was made of (logits, what an activation
 * is taken of) needs no memory of the chunk's own, and the cache holds one where it held two.
 *
 * note [arena]   A domain's arena is laid out for a number n of elements (rows of the largest chunk, times
 * particles), a buffer in it being n * bytes large and beginning at n * offset.  Its bytes are a multiple
 * of 4 in either width, so every buffer begins at a multiple of 64 bytes when n is a multiple of 16.
 * Buffers are placed by falling size, each in the smallest gap among those that live at the same time. */
#include "lower.h"
#include <math.h>

typedef struct { bool used; int32_t begins, phase; uint32_t first, last; uint64_t bytes; bool shared; } Life;      /* first: step of phase `begins`; last: of `phase` */
typedef struct { Lower *l; Life *life; uint32_t n; } Plan;

static Buf storage(const Lower *l, Buf b) {
  while (l->alias.at[b] != NO_BUF) b = l->alias.at[b];
  return b;
}

static Buf *call_operand(Call *c, uint32_t i) { return i == 0 ? &c->a : i == 1 ? &c->b : &c->c; }

static bool has_buffer(const LoopInstr *i) {
  return i->kind == LI_LOAD || i->kind == LI_STORE || i->kind == LI_REDUCE;
}

static void use(Plan *p, Buf b, int32_t phase, uint32_t step) {
  Life *x = &p->life[storage(p->l, b)];
  if (b != storage(p->l, b)) x->shared = true;
  if (!x->used) x->first = step, x->begins = phase;
  x->used = true;
  x->phase = phase;
  x->last = step;
}

/* The steps of a repeat: [first, end). */
static void repeat_steps(const LoopPhase *phase, uint32_t number, uint32_t *first, uint32_t *end) {
  for (*first = 0; phase->steps.at[*first].repeat != number + 1;) ++*first;
  for (*end = *first; *end < phase->steps.n && phase->steps.at[*end].repeat == number + 1;) ++*end;
}

static void find_lives(Plan *p) {
  const LoopProgram *prog = p->l->p;
  memset(p->life, 0, p->n * sizeof *p->life);
  for (uint32_t k = 0; k < prog->phases.n; k++) {
    const LoopPhase *phase = &prog->phases.at[k];
    for (uint32_t s = 0; s < phase->steps.n; s++) {
      Step *step = &phase->steps.at[s];
      if (step->is_call) {
        for (uint32_t i = 0; i < 3; i++)
          if (*call_operand(&step->call, i) != NO_BUF) use(p, *call_operand(&step->call, i), (int32_t)k, s);
        continue;
      }
      for (uint32_t i = 0; i < step->nest.instr.n; i++) {
        const LoopInstr *in = &step->nest.instr.at[i];
        if (has_buffer(in)) use(p, in->buf, (int32_t)k, s);
      }
      if (step->repeat && (s + 1 == phase->steps.n || phase->steps.at[s + 1].repeat != step->repeat)) {
        use(p, phase->repeats.at[step->repeat - 1].next, (int32_t)k, s);
        use(p, phase->repeats.at[step->repeat - 1].guess, (int32_t)k, s);
      }
    }
  }
}

/* ---- writing in place */
static bool same_access(const Access *a, const Access *b) {
  if (a->n != b->n) return false;
  for (uint32_t i = 0; i < a->n; i++) {
    if (a->at[i].kind != IX_LOOP || b->at[i].kind != IX_LOOP || a->at[i].loop != b->at[i].loop ||
        a->at[i].plus != b->at[i].plus) return false;
  }
  return true;
}

/* Whether an instruction runs once for each element it names. */
static bool once_each(const LoopInstr *i) {
  uint32_t loops = 0;
  for (uint32_t k = 0; k < i->at.n; k++) if (i->at.at[k].kind == IX_LOOP) loops |= 1u << i->at.at[k].loop;
  return loops == (1u << i->depth) - 1;
}

static bool dies_at(const Plan *p, const LoopPhase *phase, int32_t number, const LoopInstr *store, Buf u, uint32_t s) {
  const Buffer *x = &p->l->p->buffers.at[store->buf], *y = &p->l->p->buffers.at[u];
  const Life *old = &p->life[u], *fresh = &p->life[store->buf];
  const Nest *nest = &phase->steps.at[s].nest;
  if (u == store->buf || y->kind != BUF_CHUNK || y->shape != x->shape || p->l->alias.at[u] != NO_BUF ||
      old->shared || fresh->shared) return false;
  if (old->first >= s || old->last != s || fresh->begins != number || fresh->first != s || !once_each(store)) return false;
  if (phase->steps.at[s].streamed && !phase->steps.at[old->first].streamed) return false;
  if (phase->steps.at[s].repeat && phase->steps.at[old->first].repeat != phase->steps.at[s].repeat) return false;
  for (uint32_t i = 0; i < nest->instr.n; i++) {
    const LoopInstr *in = &nest->instr.at[i];
    if (!has_buffer(in)) continue;
    if (in->buf == store->buf && in != store) return false;
    if (in->buf == u && (in->kind != LI_LOAD || in->guard || !same_access(&in->at, &store->at))) return false;
  }
  return true;
}

static void rename_buffer(LoopPhase *phase, Buf from, Buf to, uint32_t first, uint32_t last) {
  for (uint32_t i = 0; i < phase->repeats.n; i++) {
    Repeat *r = &phase->repeats.at[i];
    if (r->next == from) r->next = to;
    if (r->guess == from) r->guess = to;
  }
  for (uint32_t s = first; s <= last; s++) {
    Step *step = &phase->steps.at[s];
    for (uint32_t i = 0; step->is_call && i < 3; i++)
      if (*call_operand(&step->call, i) == from) *call_operand(&step->call, i) = to;
    for (uint32_t i = 0; !step->is_call && i < step->nest.instr.n; i++)
      if (has_buffer(&step->nest.instr.at[i]) && step->nest.instr.at[i].buf == from)
        step->nest.instr.at[i].buf = to;
  }
}

static void write_in_place(Plan *p, LoopPhase *phase, int32_t number) {
  for (uint32_t s = 0; s < phase->steps.n; s++) {
    if (phase->steps.at[s].is_call) continue;
    const Nest *nest = &phase->steps.at[s].nest;
    for (uint32_t i = 0; i < nest->instr.n; i++) {
      const LoopInstr *store = &nest->instr.at[i];
      if (store->kind != LI_STORE || p->l->alias.at[store->buf] != NO_BUF) continue;
      BufKind kind = p->l->p->buffers.at[store->buf].kind;
      if (kind != BUF_CHUNK && kind != BUF_BATCH) continue;
      for (uint32_t j = 0; j < nest->instr.n; j++) {
        Buf u = nest->instr.at[j].buf, x = store->buf;
        if (nest->instr.at[j].kind != LI_LOAD || !dies_at(p, phase, number, store, u, s)) continue;
        Buf stays = kind == BUF_BATCH ? x : u, goes = stays == x ? u : x;
        rename_buffer(phase, goes, stays, p->life[goes].first, p->life[goes].last);
        p->life[stays].first = p->life[u].first, p->life[stays].last = p->life[x].last;
        p->life[goes].used = false;
        break;
      }
    }
  }
}

/* ---- arenas */
static void extend_over_stream(Plan *p, const LoopPhase *phase, int32_t number) {
  uint32_t a = 0, b = 0;
  while (a < phase->steps.n && !phase->steps.at[a].streamed) a++;
  for (b = a; b < phase->steps.n && phase->steps.at[b].streamed;) b++;
  if (a == b) return;
  for (Buf x = 0; x < p->n; x++) {
    Life *life = &p->life[x];
    if (!life->used || life->phase != number || p->l->p->buffers.at[x].kind != BUF_CHUNK) continue;
    if (life->first < a && life->last >= a && life->last < b) life->last = b - 1;
    if (life->last >= b && life->first > a && life->first < b) life->first = a;
  }
}

static void extend_over_repeats(Plan *p, const LoopPhase *phase, int32_t number) {
  for (uint32_t i = 0, a, b; i < phase->repeats.n; i++) {
    repeat_steps(phase, i, &a, &b);
    Life *next = &p->life[storage(p->l, phase->repeats.at[i].next)];
    if (phase->repeats.at[i].by && next->first > a) next->first = a;
    for (Buf x = 0; x < p->n; x++) {
      Life *life = &p->life[x];
      if (!life->used || life->phase != number || p->l->p->buffers.at[x].kind != BUF_CHUNK) continue;
      if (life->first < a && life->last >= a && life->last < b) life->last = b - 1;
    }
  }
}

static uint64_t elements(const Lower *l, const Shape *s) {
  uint64_t n = shape_event_size(s);
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if (s->axes >> a & 1 && l->g->axis.at[a].kind == AXIS_INDEX) n *= l->g->axis.at[a].size;
  return n;
}

static uint32_t domain_of(LoopPhase *phase, AxisSet axes) {
  for (uint32_t i = 0; i < phase->ndomain; i++) if (phase->domain[i].axes == axes) return i;
  if (phase->ndomain == SVI_DOMAINS) BUG("more than %d domains in a phase", SVI_DOMAINS);
  phase->domain[phase->ndomain].axes = axes;
  return phase->ndomain++;
}

/* The smallest gap that holds x between those of its domain that live when it does; `placed` is by rising
 * offset. */
static uint64_t best_gap(const Plan *p, Buf x, const Buf *placed, uint32_t n) {
  const Buffer *buffers = p->l->p->buffers.at;
  const Life *life = &p->life[x];
  uint64_t best = 0, least = UINT64_MAX, top = 0;
  for (uint32_t k = 0; k < n; k++) {
    const Life *o = &p->life[placed[k]];
    uint64_t start = buffers[placed[k]].offset;
    if (buffers[placed[k]].domain != buffers[x].domain || o->last < life->first || o->first > life->last)
      continue;
    if (start >= top + life->bytes && start - top < least) best = top, least = start - top;
    if (start + o->bytes > top) top = start + o->bytes;
  }
  return least < UINT64_MAX ? best : top;
}

static void place_chunks(Plan *p, LoopPhase *phase, int32_t number) {
  Lower *l = p->l;
  Buf *todo = arena_alloc(l->arena, (p->n + 1) * sizeof *todo),
      *placed = arena_alloc(l->arena, (p->n + 1) * sizeof *placed);
  uint32_t n = 0;
  for (Buf x = 0; x < p->n; x++) {
    Buffer *b = &l->p->buffers.at[x];
    Life *life = &p->life[x];
    if (b->kind != BUF_CHUNK || !life->used || life->phase != number || l->alias.at[x] != NO_BUF) continue;
    b->domain = domain_of(phase, run_axes(l, b->shape->axes));
    life->bytes = elements(l, b->shape) * l->real_bytes;
    uint32_t k = n++;                                   /* by falling size, then number */
    for (; k > 0 && p->life[todo[k - 1]].bytes < life->bytes; k--) todo[k] = todo[k - 1];
    todo[k] = x;
  }
  for (uint32_t i = 0; i < n; i++) {
    Buffer *b = &l->p->buffers.at[todo[i]];
    b->offset = best_gap(p, todo[i], placed, i);
    Domain *d = &phase->domain[b->domain];
    if (b->offset + p->life[todo[i]].bytes > d->bytes) d->bytes = b->offset + p->life[todo[i]].bytes;
    uint32_t k = i;
    for (; k > 0 && l->p->buffers.at[placed[k - 1]].offset > b->offset; k--) placed[k] = placed[k - 1];
    placed[k] = todo[i];
  }
}

/* ---- buffers that live longer than a phase */
static uint64_t take(uint64_t *top, uint64_t size) {
  uint64_t at = *top;
  *top = (at + size + 15) / 16 * 16;
  return at;
}

/* Gradients first, by their parameters' place, so that the optimiser streams over them. */
static void place_gradients(Lower *l, bool *placed, uint64_t *top) {
  for (;;) {
    Buf best = NO_BUF;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < l->roots.n; i++) {
      const Root *r = &l->roots.at[i];
      Buf b = l->v.at[r->value].lane_buf;
      if (r->kind != ROOT_GRAD || b == NO_BUF || placed[b]) continue;
      uint64_t at = l->model->param[l->entry->grads.at[r->index].param].offset;
      if (at < least) least = at, best = b;
    }
    if (best == NO_BUF) return;
    placed[best] = true;
    l->p->buffers.at[best].offset = take(top, elements(l, l->p->buffers.at[best].shape));
  }
}

/* Buffers kept for the batch: one may have the place of others over the same rows that no phase reads any more.  A place is as large
 * as the largest that has it. */
static void see_phase(const Plan *p, Buf b, uint32_t phase, uint32_t *first, uint32_t *last) {
  Buf s = storage(p->l, b);
  if (first[s] > phase) first[s] = phase;
  last[s] = phase;
}

/* Written by the chunks of a phase, read by the products after it, and by nothing else. */
static bool is_window(const LoopProgram *prog, uint32_t first, uint32_t last) {
  return first + 1 == last && last < prog->phases.n && prog->phases.at[last].after && !prog->phases.at[first].after &&
         prog->phases.at[first].axis == prog->phases.at[last].axis;
}

static void place_batch(Plan *p) {
  const LoopProgram *prog = p->l->p;
  uint32_t *first = arena_alloc(p->l->arena, (p->n + 1) * sizeof *first), *last = arena_alloc(p->l->arena, (p->n + 1) * sizeof *last);
  typedef struct { Buf holds; uint64_t size; } Held;       /* the last buffer that has the place */
  Held *place = arena_alloc(p->l->arena, (p->n + 1) * sizeof *place);
  uint32_t places = 0;
  for (Buf b = 0; b < p->n; b++) first[b] = UINT32_MAX;
  for (uint32_t k = 0; k < prog->phases.n; k++) {
    const LoopPhase *phase = &prog->phases.at[k];
    for (uint32_t s = 0; s < phase->steps.n; s++) {
      Step *step = &phase->steps.at[s];
      for (uint32_t i = 0; step->is_call && i < 3; i++)
        if (*call_operand(&step->call, i) != NO_BUF) see_phase(p, *call_operand(&step->call, i), k, first, last);
      for (uint32_t i = 0; !step->is_call && i < step->nest.instr.n; i++)
        if (has_buffer(&step->nest.instr.at[i])) see_phase(p, step->nest.instr.at[i].buf, k, first, last);
    }
    for (uint32_t i = 0; i < phase->repeats.n; i++)
      see_phase(p, phase->repeats.at[i].next, k, first, last), see_phase(p, phase->repeats.at[i].guess, k, first, last);
  }
  for (uint32_t k = 0; k <= prog->phases.n; k++) {         /* by the phase that writes it; at last those of no phase */
    for (Buf b = 0; b < p->n; b++) {
      Buffer *x = &p->l->p->buffers.at[b];
      if (x->kind != BUF_BATCH || p->l->alias.at[b] != NO_BUF || first[b] != (k < prog->phases.n ? k : UINT32_MAX)) continue;
      x->window = is_window(prog, first[b], last[b]);
      uint64_t size = elements(p->l, x->shape), least = size;
      uint32_t best = places;                              /* what has to grow least, then the smallest */
      for (uint32_t s = 0; s < places; s++) {
        const Buffer *y = &p->l->p->buffers.at[place[s].holds];
        if (run_axes(p->l, y->shape->axes) != run_axes(p->l, x->shape->axes) || y->window != x->window || last[place[s].holds] >= first[b]) continue;
        uint64_t more = size > place[s].size ? size - place[s].size : 0;
        if (more < least || (more == least && best < places && place[s].size < place[best].size)) best = s, least = more;
      }
      if (best == places) place[places++].size = 0;
      if (size > place[best].size) place[best].size = size;
      place[best].holds = b;
      x->offset = best;
    }
  }
}

static void drop_unused(Plan *p) {
  Lower *l = p->l;
  Buf *now = arena_alloc(l->arena, (p->n + 1) * sizeof *now);
  bool *keep = arena_alloc(l->arena, p->n + 1);
  for (Buf b = 0; b < p->n; b++)
    keep[b] = l->p->buffers.at[b].kind != BUF_CHUNK || p->life[storage(l, b)].used;
  uint32_t n = 0;
  for (Buf b = 0; b < p->n; b++) {
    now[b] = n;
    if (keep[b]) l->p->buffers.at[n++] = l->p->buffers.at[b];
  }
  l->p->buffers.n = n;
  for (uint32_t k = 0; k < l->p->phases.n; k++) {
    LoopPhase *phase = &l->p->phases.at[k];
    for (uint32_t s = 0; s < phase->steps.n; s++) {
      Step *step = &phase->steps.at[s];
      for (uint32_t i = 0; step->is_call && i < 3; i++) {
        Buf *b = call_operand(&step->call, i);
        if (*b != NO_BUF) *b = now[*b];
      }
      for (uint32_t i = 0; !step->is_call && i < step->nest.instr.n; i++)
        if (has_buffer(&step->nest.instr.at[i])) step->nest.instr.at[i].buf = now[step->nest.instr.at[i].buf];
    }
    for (uint32_t i = 0; i < phase->repeats.n; i++)
      phase->repeats.at[i].next = now[phase->repeats.at[i].next], phase->repeats.at[i].guess = now[phase->repeats.at[i].guess];
  }
  for (Val v = 0; v < l->v.n; v++) {
    if (l->v.at[v].buf != NO_BUF) l->v.at[v].buf = now[l->v.at[v].buf];
    if (l->v.at[v].lane_buf != NO_BUF) l->v.at[v].lane_buf = now[l->v.at[v].lane_buf];
  }
}

void plan_buffers(Lower *l, SviEntry *out) {
  Plan p = {.l = l, .n = l->p->buffers.n};
  p.life = arena_alloc(l->arena, (p.n + 1) * sizeof *p.life);
  find_lives(&p);
  for (uint32_t k = 0; k < l->p->phases.n; k++)
    if (l->p->phases.at[k].axis >= 0) write_in_place(&p, &l->p->phases.at[k], (int32_t)k);
  find_lives(&p);
  for (uint32_t k = 0; k < l->p->phases.n; k++) {
    extend_over_repeats(&p, &l->p->phases.at[k], (int32_t)k);
    extend_over_stream(&p, &l->p->phases.at[k], (int32_t)k);
    place_chunks(&p, &l->p->phases.at[k], (int32_t)k);
  }
  bool *placed = arena_alloc(l->arena, p.n + 1);
  uint64_t lane = 0, global = 0;
  place_batch(&p);
  place_gradients(l, placed, &lane);
  for (Buf b = 0; b < p.n; b++) {
    Buffer *x = &l->p->buffers.at[b];
    if (placed[b] || l->alias.at[b] != NO_BUF) continue;
    switch (x->kind) {
      case BUF_LANE:   x->offset = take(&lane, elements(l, x->shape)); break;
      case BUF_GLOBAL: x->offset = take(&global, elements(l, x->shape)); break;
      case BUF_PARAM: case BUF_CHUNK: case BUF_OUT: case BUF_BATCH: break;
    }
  }
  for (Buf b = 0; b < p.n; b++) {
    if (l->alias.at[b] == NO_BUF) continue;
    const Buffer *of = &l->p->buffers.at[storage(l, b)];
    Buffer *x = &l->p->buffers.at[b];
    x->kind = of->kind, x->offset = of->offset, x->domain = of->domain, x->window = of->window;
  }
  out->lane_size = lane, out->global_size = global;
  drop_unused(&p);
}
