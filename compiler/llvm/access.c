/* Addresses.  A buffer is laid out axes first, by rising number, then dims, row-major, so an access is a sum of
 * index times step over its coordinates; steps are products of a constant and sizes known when run.
 *
 * Buffers of a chunk count rows and particles from the chunk and block; all others from the batch.
 *
 * note [scopes]  Each buffer of a nest has an alias scope, except that buffers whose storage overlaps (the plan writes in
 * place) share one.  Scopes are of one nest: across nests storage is used again, and nothing is promised.  The tables of
 * rows are a scope of their own, which no buffer touches. */
#include "emit.h"

/* ---- sizes */
bool amount_mul(Amount a, Amount b, Amount *out) {
  *out = (Amount){a.constant * b.constant, a.here | b.here, a.whole | b.whole};
  return !((a.here | a.whole) & (b.here | b.whole));
}

Amount amount_of_axis(const Emit *e, uint32_t axis, bool here) {
  const Axis *a = &e->p->entry->graph->axis.at[axis];
  if (a->kind == AXIS_INDEX) return (Amount){a->size, 0, 0};
  AxisSet bit = (AxisSet)1 << axis;
  bool local =
      here && ((int32_t)axis == e->phase->axis || (e->f.streamed && (int32_t)axis == e->phase->particles));
  return local ? (Amount){1, bit, 0} : (Amount){1, 0, bit};
}

Amount amount_of_loop(const Emit *e, const Loop *l) {
  switch (l->kind) {
    case LOOP_ROWS:
      if (e->phase->axis < 0) BUG("a loop over a chunk's rows in a serial phase");
      return (Amount){1, (AxisSet)1 << e->phase->axis, 0};
    case LOOP_AXIS: return amount_of_axis(e, l->axis, e->f.streamed && (int32_t)l->axis == e->phase->particles);
    case LOOP_SIZE: return (Amount){l->size, 0, 0};
  }
  BUG("loop of kind %d", (int)l->kind);
}

static LLVMValueRef size_here(Emit *e, uint32_t axis) {
  return (int32_t)axis == e->phase->axis ? chunk_rows(e) : e->f.count;
}

LLVMValueRef amount_emit(Emit *e, Amount a) {
  LLVMValueRef v = emit_index(e, a.constant);
  for (uint32_t axis = 0; axis < AXIS_MAX; axis++) {
    if (a.here  >> axis & 1) v = emit_mul(e, v, size_here(e, axis));
    if (a.whole >> axis & 1) v = emit_mul(e, v, call_size(e, axis));
  }
  return v;
}

/* ---- layout */
bool buffer_is_chunked(const Emit *e, Buf buf) { return e->p->buffers.at[buf].kind == BUF_CHUNK; }

static uint32_t shape_layout(const Emit *e, const Shape *s, bool here, Amount *size, Amount *step,
                             int32_t *axis) {
  uint32_t n = 0;
  for (uint32_t a = 0; a < AXIS_MAX; a++) {
    if (!(s->axes >> a & 1)) continue;
    axis[n] = (int32_t)a;
    size[n++] = amount_of_axis(e, a, here);
  }
  for (uint32_t d = 0; d < s->rank; d++) {
    axis[n] = -1;
    size[n++] = (Amount){s->dim[d], 0, 0};
  }
  Amount run = ONE_OF_IT;
  for (uint32_t i = n; i-- > 0; ) {
    step[i] = run;
    if (!amount_mul(run, size[i], &run)) BUG("an axis twice in a buffer");
  }
  return n;
}

uint32_t buffer_layout(const Emit *e, Buf buf, Amount *size, Amount *step, int32_t *axis) {
  return shape_layout(e, e->p->buffers.at[buf].shape, buffer_is_chunked(e, buf), size, step, axis);
}

enum { COORDINATES = AXIS_MAX + DIM_MAX };
typedef struct { uint32_t n; Amount size[COORDINATES], step[COORDINATES]; int32_t axis[COORDINATES]; } Layout;

static void layout_of(const Emit *e, const LoopInstr *i, Layout *l) {
  if (i->kind == LI_RANDOM) l->n = shape_layout(e, i->shape, false, l->size, l->step, l->axis);
  else l->n = buffer_layout(e, i->buf, l->size, l->step, l->axis);
  if (l->n != i->at.n) BUG("an access of %u coordinates to a buffer of %u", i->at.n, l->n);
}

/* The row a draw belongs to is its place along its first plate; that coordinate goes to counter 0, the others to
 * counter 1: see note [counter keys] in svi.h. */
static uint32_t row_coordinate(const Emit *e, Layout *l) {
  uint32_t row = UINT32_MAX;
  for (uint32_t k = 0; k < l->n && row == UINT32_MAX; k++) {
    if (l->axis[k] >= 0 && e->p->entry->graph->axis.at[l->axis[k]].kind == AXIS_PLATE) row = k;
  }
  Amount run = ONE_OF_IT;
  for (uint32_t k = l->n; k-- > 0; ) {
    if (k == row) continue;
    l->step[k] = run;
    amount_mul(run, l->size[k], &run);
  }
  return row;
}

/* ---- how an instruction's access moves with the loops */
static bool may_leave(const Emit *e, const Nest *nest, const Index *ix, Amount size) {
  if (ix->kind == IX_VALUE || ix->plus < 0) return true;
  if (ix->kind == IX_CONST) return !size.here && !size.whole && (uint64_t)ix->plus >= size.constant;
  Amount n = amount_of_loop(e, &nest->loop[ix->loop]);
  if (n.here || n.whole || size.here || size.whole)
    return ix->plus != 0; /* a run-time axis and its own loop */
  return n.constant + (uint64_t)ix->plus > size.constant;
}

void steps_of_instr(const Emit *e, const Nest *nest, const LoopInstr *i, Steps *out) {
  *out = (Steps){.nloop = nest->nloop};
  for (uint32_t l = 0; l < LOOP_DEPTH_MAX; l++) out->step[l] = (Amount){0, 0, 0};
  switch (i->kind) {
    case LI_IOTA: case LI_INSIDE:
      if (i->at.n && i->at.at[0].kind == IX_LOOP)
        out->uses[i->at.at[0].loop] = out->alone[i->at.at[0].loop] = true;
      return;
    case LI_CONST: case LI_OPTION: case LI_COUNT: case LI_OP: return;
    case LI_LOAD: case LI_RANDOM: case LI_STORE: case LI_REDUCE: break;
  }
  Layout l;
  layout_of(e, i, &l);
  uint32_t row = i->kind == LI_RANDOM ? row_coordinate(e, &l) : UINT32_MAX;
  for (uint32_t k = 0; k < l.n; k++) {
    const Index *ix = &i->at.at[k];
    if (ix->kind != IX_LOOP) continue;
    if (out->uses[ix->loop] || k == row) out->alone[ix->loop] = true;          /* a diagonal; a draw's row */
    if (i->guard && may_leave(e, nest, ix, l.size[k])) out->alone[ix->loop] = true;
    out->uses[ix->loop] = true;
    out->step[ix->loop] = l.step[k];
  }
}

/* ---- addresses */

/* Adds the term of a coordinate that is not a step of a merged loop.  Computed indices are kept inside: of loads, which are
 * guarded then, and of scatters, which must not write elsewhere whatever the data say. */
static LLVMValueRef add_coordinate(Emit *e, const NestPlan *p, const LoopInstr *i, const Layout *l,
                                   uint32_t k, bool local, LLVMValueRef sum) {
  const Index *ix = &i->at.at[k];
  LLVMValueRef v = nest_index(e, p, ix, local);
  if (ix->kind == IX_VALUE && (i->guard || i->kind == LI_REDUCE)) {
    LLVMValueRef zero = emit_index(e, 0);
    LLVMValueRef top = LLVMBuildNSWSub(e->b, amount_emit(e, l->size[k]), emit_index(e, 1), "top");
    v = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSGT, v, top, ""), top, v, "");
    v = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, v, zero, ""), zero, v, "clamped");
  }
  return emit_add(e, sum, emit_mul(e, v, amount_emit(e, l->step[k])));
}

/* Element offset: what does not move first, then the loops from outermost in, so that each prefix can be hoisted. */
static LLVMValueRef access_offset(Emit *e, const NestPlan *p, uint32_t instr, const Layout *l, uint32_t row,
                                  bool local) {
  const LoopInstr *i = &p->nest->instr.at[instr];
  const Steps *s = &p->steps[instr];
  LLVMValueRef sum = NULL;
  bool apart[COORDINATES] = {false};                       /* coordinates with a term of their own */
  for (uint32_t k = 0; k < l->n; k++) {
    const Index *ix = &i->at.at[k];
    apart[k] = ix->kind != IX_LOOP || s->alone[ix->loop];
    if (k == row) continue;
    if (ix->kind == IX_CONST) sum = add_coordinate(e, p, i, l, k, local, sum);
    if (apart[k]) continue;
    Index still = {.kind = IX_LOOP, .loop = ix->loop, .plus = ix->plus};      /* where the loop begins */
    LLVMValueRef from = NULL;
    const Loop *loop = &p->nest->loop[ix->loop];
    if (!local && loop->kind == LOOP_ROWS) from = chunk_first(e);
    if (!local && loop->kind == LOOP_AXIS && e->f.streamed && (int32_t)loop->axis == e->phase->particles)
      from = e->f.start;
    if (loop_is_step(e, loop)) from = e->f.step;
    if (still.plus)
      from = from ? emit_add(e, from, emit_index(e, (uint64_t)(int64_t)still.plus))
                  : emit_index(e, (uint64_t)(int64_t)still.plus);
    if (from) sum = emit_add(e, sum, emit_mul(e, from, amount_emit(e, l->step[k])));
  }
  for (uint32_t level = 0; level < p->level[instr]; level++) {
    uint32_t loop = p->last[level];
    if (!s->uses[loop]) continue;
    if (!s->alone[loop]) {
      sum = emit_add(e, sum, emit_mul(e, p->index[level], amount_emit(e, s->step[loop])));
      continue;
    }
    for (uint32_t k = 0; k < l->n; k++) {
      if (k != row && i->at.at[k].kind == IX_LOOP && i->at.at[k].loop == loop)
        sum = add_coordinate(e, p, i, l, k, local, sum);
    }
  }
  for (uint32_t k = 0; k < l->n; k++) {
    const Index *ix = &i->at.at[k];
    bool fixed =
        ix->kind == IX_LOOP && apart[k] && p->at[ix->loop] == NO_LEVEL; /* a loop of one turn, wanted alone */
    if (k != row && (ix->kind == IX_VALUE || fixed)) sum = add_coordinate(e, p, i, l, k, local, sum);
  }
  return sum ? sum : emit_index(e, 0);
}

LLVMValueRef access_address(Emit *e, const NestPlan *p, uint32_t instr) {
  const LoopInstr *i = &p->nest->instr.at[instr];
  Layout l;
  layout_of(e, i, &l);
  LLVMValueRef base = buffer_base(e, i->buf);
  LLVMValueRef at = access_offset(e, p, instr, &l, UINT32_MAX, buffer_is_chunked(e, i->buf));
  return LLVMBuildInBoundsGEP2(e->b, e->real, base, &at, 1, "");
}

/* Whether the loops' indices are inside the buffer (i1): NULL when they always are. */
static LLVMValueRef access_inside(Emit *e, const NestPlan *p, uint32_t instr) {
  const LoopInstr *i = &p->nest->instr.at[instr];
  LLVMValueRef all = NULL;
  Layout l;
  layout_of(e, i, &l);
  for (uint32_t k = 0; k < l.n; k++) {
    const Index *ix = &i->at.at[k];
    if (ix->kind == IX_VALUE || !may_leave(e, p->nest, ix, l.size[k])) continue;
    LLVMValueRef at = nest_index(e, p, ix, buffer_is_chunked(e, i->buf));
    LLVMValueRef in = LLVMBuildICmp(e->b, LLVMIntULT, at, amount_emit(e, l.size[k]), "inside");
    all = all ? LLVMBuildAnd(e->b, all, in, "") : in;
  }
  return all;
}

/* The row of the data set at a place among the rows present. */
LLVMValueRef row_load(Emit *e, uint32_t axis, LLVMValueRef place) {
  LLVMValueRef where = LLVMBuildInBoundsGEP2(e->b, e->i32, call_row(e, axis), &place, 1, "");
  LLVMValueRef row = LLVMBuildLoad2(e->b, e->i32, where, "row");
  LLVMSetMetadata(row, e->md_scope, LLVMMetadataAsValue(e->c, LLVMMDNodeInContext2(e->c, &e->f.tables, 1)));
  return row;
}

LLVMValueRef random_counter(Emit *e, const NestPlan *p, uint32_t instr, LLVMValueRef *row) {
  const LoopInstr *i = &p->nest->instr.at[instr];
  Layout l;
  layout_of(e, i, &l);
  uint32_t at = row_coordinate(e, &l);
  *row = LLVMConstInt(e->i32, 0, false);
  if (at != UINT32_MAX) {
    *row = row_load(e, (uint32_t)l.axis[at], nest_index(e, p, &i->at.at[at], false));
  }
  LLVMValueRef c1 = access_offset(e, p, instr, &l, at, false);
  return LLVMBuildTrunc(e->b, c1, e->i32, "counter");
}

/* ---- memory */
static void mark(Emit *e, LLVMValueRef v, const Aliases *a) {
  LLVMSetAlignment(v, e->real_bytes);
  if (!a->scope) return;
  LLVMSetMetadata(v, e->md_scope, LLVMMetadataAsValue(e->c, a->scope));
  LLVMSetMetadata(v, e->md_noalias, LLVMMetadataAsValue(e->c, a->others));
}

LLVMValueRef access_load(Emit *e, const NestPlan *p, uint32_t instr, LLVMValueRef address) {
  LLVMValueRef v = LLVMBuildLoad2(e->b, e->real, address, "");
  mark(e, v, &p->aliases[instr]);
  return v;
}

/* A branch around the load, which the vectoriser makes a masked one. */
LLVMValueRef access_load_guarded(Emit *e, const NestPlan *p, uint32_t instr) {
  LLVMValueRef inside = p->nest->instr.at[instr].guard ? access_inside(e, p, instr) : NULL;
  if (!inside) return access_load(e, p, instr, access_address(e, p, instr));
  LLVMBasicBlockRef join, from[2] = {LLVMGetInsertBlock(e->b)};
  emit_if(e, inside, &join);
  LLVMValueRef v[2] = {emit_real(e, 0), access_load(e, p, instr, access_address(e, p, instr))};
  from[1] = LLVMGetInsertBlock(e->b);
  LLVMBuildBr(e->b, join);
  LLVMPositionBuilderAtEnd(e->b, join);
  LLVMValueRef phi = LLVMBuildPhi(e->b, e->real, "guarded");
  LLVMAddIncoming(phi, v, from, 2);
  return phi;
}

void access_store(Emit *e, const NestPlan *p, uint32_t instr, LLVMValueRef value, LLVMValueRef address) {
  mark(e, LLVMBuildStore(e->b, value, address), &p->aliases[instr]);
}

/* Bytes of a buffer in its storage: of one element of the domain for a chunk's arena. */
static void storage_of(const Emit *e, const Buffer *b, uint64_t *at, uint64_t *end) {
  uint64_t size = shape_event_size(b->shape) * e->real_bytes;
  for (uint32_t a = 0; a < AXIS_MAX; a++) {
    const Axis *axis = b->shape->axes >> a & 1 ? &e->p->entry->graph->axis.at[a] : NULL;
    if (axis && axis->kind == AXIS_INDEX) size *= axis->size;
  }
  *at = b->kind == BUF_CHUNK ? b->offset : b->offset * e->real_bytes;
  *end = *at + size;
  if (b->kind == BUF_BATCH || b->kind == BUF_OUT) *end = *at + 1;
}

bool storage_overlaps(const Emit *e, const Buffer *a, const Buffer *b) {
  if (a->kind != b->kind || (a->kind == BUF_CHUNK && a->domain != b->domain)) return false;
  uint64_t a0, a1, b0, b1;
  storage_of(e, a, &a0, &a1);
  storage_of(e, b, &b0, &b1);
  return a0 < b1 && b0 < a1;
}

/* see note [scopes] */
void aliases_find(Emit *e, NestPlan *p) {
  uint32_t n = p->nest->instr.n, count = 0;
  Buf *buf = arena_alloc(e->arena, (n + 1) * sizeof *buf);
  uint32_t *group = arena_alloc(e->arena, (n + 1) * sizeof *group);
  uint32_t *of = arena_alloc(e->arena, (n + 1) * sizeof *of);
  for (uint32_t i = 0; i < n; i++) {
    const LoopInstr *in = &p->nest->instr.at[i];
    of[i] = UINT32_MAX;
    if (in->kind != LI_LOAD && in->kind != LI_STORE && in->kind != LI_REDUCE) continue;
    uint32_t k = 0;
    while (k < count && buf[k] != in->buf) k++;
    of[i] = k;
    if (k < count) continue;
    buf[count] = in->buf;
    group[count] = count;
    for (uint32_t o = 0; o < count; o++) {
      if (!storage_overlaps(e, &e->p->buffers.at[buf[o]], &e->p->buffers.at[in->buf])) continue;
      uint32_t from = group[count], to = group[o];
      for (uint32_t x = 0; x <= count; x++) if (group[x] == from) group[x] = to;
    }
    count++;
  }
  LLVMMetadataRef *scope = arena_alloc(e->arena, (count + 1) * sizeof *scope),
                  *list = arena_alloc(e->arena, (count + 2) * sizeof *list);
  for (uint32_t k = 0; k < count; k++) {
    if (group[k] != k) continue;
    const char *name =
        arena_printf(e->arena, "%s nest %u buffer %u", LLVMGetValueName(e->f.fn), e->f.nests, buf[k]);
    LLVMMetadataRef two[2] = {LLVMMDStringInContext2(e->c, name, strlen(name)), e->f.scopes};
    scope[k] = LLVMMDNodeInContext2(e->c, two, 2);
  }
  Aliases *known = arena_alloc(e->arena, (count + 1) * sizeof *known);
  for (uint32_t k = 0; k < count; k++) {
    if (group[k] != k) continue;
    uint32_t others = 0;
    list[others++] = e->f.tables;
    for (uint32_t o = 0; o < count; o++) if (scope[o] && o != k) list[others++] = scope[o];
    known[k].scope = LLVMMDNodeInContext2(e->c, &scope[k], 1);
    known[k].others = LLVMMDNodeInContext2(e->c, list, others);
  }
  for (uint32_t i = 0; i < n; i++) {
    if (of[i] != UINT32_MAX) p->aliases[i] = known[group[of[i]]];
  }
}
