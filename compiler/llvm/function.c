/* A phase as a function: void NAME(const SviCall *, const SviChunk *).
 *
 * In:  a LoopPhase.
 * Out: the function.  Its entry block loads the fields of call and chunk that its steps turned out to need; the steps
 *      follow in order; those of a stream stand in a loop over blocks of particles. */
#include <stdlib.h>
#include "emit.h"

LLVMBasicBlockRef entry_open(Emit *e) {
  LLVMBasicBlockRef at = LLVMGetInsertBlock(e->b);
  LLVMPositionBuilderBefore(e->b, LLVMGetBasicBlockTerminator(e->f.entry));
  return at;
}

void entry_close(Emit *e, LLVMBasicBlockRef at) { LLVMPositionBuilderAtEnd(e->b, at); }

LLVMValueRef emit_local(Emit *e, LLVMTypeRef type, const char *name) {
  LLVMBasicBlockRef at = entry_open(e);
  LLVMValueRef v = LLVMBuildAlloca(e->b, type, name);
  entry_close(e, at);
  return v;
}

LLVMValueRef emit_index(Emit *e, uint64_t x) { return LLVMConstInt(e->i64, x, false); }
LLVMValueRef emit_real (Emit *e, double x)   { return LLVMConstReal(e->real, x); }

static bool is_number(LLVMValueRef v, uint64_t x) {
  return LLVMIsAConstantInt(v) && LLVMConstIntGetZExtValue(v) == x;
}

LLVMValueRef emit_add(Emit *e, LLVMValueRef a, LLVMValueRef b) {
  if (!a || is_number(a, 0)) return b;
  if (!b || is_number(b, 0)) return a;
  return LLVMBuildNSWAdd(e->b, a, b, "");
}

LLVMValueRef emit_mul(Emit *e, LLVMValueRef a, LLVMValueRef b) {
  if (is_number(a, 1)) return b;
  if (is_number(b, 1)) return a;
  return LLVMBuildNSWMul(e->b, a, b, "");
}

LLVMValueRef emit_load(Emit *e, LLVMTypeRef type, LLVMValueRef base, uint64_t offset, const char *name) {
  LLVMValueRef at = emit_index(e, offset);
  LLVMValueRef p = offset ? LLVMBuildInBoundsGEP2(e->b, e->i8, base, &at, 1, "") : base;
  return LLVMBuildLoad2(e->b, type, p, name);
}

void emit_if(Emit *e, LLVMValueRef yes, LLVMBasicBlockRef *join) {
  LLVMBasicBlockRef then = LLVMAppendBasicBlockInContext(e->c, e->f.fn, "then");
  *join = LLVMAppendBasicBlockInContext(e->c, e->f.fn, "join");
  LLVMBuildCondBr(e->b, yes, then, *join);
  LLVMPositionBuilderAtEnd(e->b, then);
}

/* Loops have their test at the end, behind a guard where n may be 0: the form the vectoriser wants. */
OpenLoop loop_open(Emit *e, LLVMValueRef n, LLVMValueRef none, const char *name) {
  LLVMBasicBlockRef from = LLVMGetInsertBlock(e->b);
  OpenLoop l = {.body = LLVMAppendBasicBlockInContext(e->c, e->f.fn, name), .n = n};
  l.exit = LLVMAppendBasicBlockInContext(e->c, e->f.fn, "done");
  if (LLVMIsAConstantInt(n) && !is_number(n, 0)) {
    LLVMBuildBr(e->b, l.body);
  } else {
    if (!none) none = LLVMBuildICmp(e->b, LLVMIntEQ, n, emit_index(e, 0), "none");
    LLVMBuildCondBr(e->b, none, l.exit, l.body);
  }
  LLVMPositionBuilderAtEnd(e->b, l.body);
  l.index = LLVMBuildPhi(e->b, e->i64, "i");
  LLVMValueRef zero = emit_index(e, 0);
  LLVMAddIncoming(l.index, &zero, &from, 1);
  return l;
}

/* llvm.loop metadata: a node that names itself first. */
static void hint(Emit *e, LLVMValueRef branch, LoopHint h) {
  LLVMMetadataRef own = LLVMTemporaryMDNode(e->c, NULL, 0), all[3] = {own};
  size_t n = 1;
  if (h.interleave) {
    LLVMMetadataRef pair[2] = {LLVMMDStringInContext2(e->c, "llvm.loop.interleave.count", 26),
                               LLVMValueAsMetadata(LLVMConstInt(e->i32, h.interleave, false))};
    all[n++] = LLVMMDNodeInContext2(e->c, pair, 2);
  }
  if (h.masked) {
    LLVMMetadataRef pair[2] = {LLVMMDStringInContext2(e->c, "llvm.loop.vectorize.predicate.enable", 36),
                               LLVMValueAsMetadata(LLVMConstInt(e->i1, 1, false))};
    all[n++] = LLVMMDNodeInContext2(e->c, pair, 2);
  }
  LLVMMetadataRef node = LLVMMDNodeInContext2(e->c, all, n);
  LLVMMetadataReplaceAllUsesWith(own, node);
  LLVMSetMetadata(branch, e->md_loop, LLVMMetadataAsValue(e->c, node));
}

void loop_close(Emit *e, const OpenLoop *l, LoopHint h) {
  LLVMValueRef next = LLVMBuildNUWAdd(e->b, l->index, emit_index(e, 1), "next");
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
  LLVMValueRef branch =
      LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntEQ, next, l->n, "last"), l->exit, l->body);
  if (h.interleave || h.masked) hint(e, branch, h);
  LLVMAddIncoming(l->index, &next, &latch, 1);
  LLVMMoveBasicBlockAfter(l->exit, latch);
  LLVMPositionBuilderAtEnd(e->b, l->exit);
}

/* ---- fields of the call and the chunk, loaded once */
#define CALL(field)  offsetof(SviCall, field)
#define CHUNK(field) offsetof(SviChunk, field)

static LLVMValueRef field(Emit *e, LLVMValueRef *cache, LLVMTypeRef type, LLVMValueRef base, uint64_t offset,
                          const char *name) {
  if (*cache) return *cache;
  LLVMBasicBlockRef at = entry_open(e);
  *cache = emit_load(e, type, base, offset, name);
  entry_close(e, at);
  return *cache;
}

/* A pointer to an arena, aligned for vectors. */
static LLVMValueRef arena_field(Emit *e, LLVMValueRef *cache, LLVMValueRef base, uint64_t offset,
                                const char *name) {
  bool had = *cache != NULL;
  LLVMValueRef v = field(e, cache, e->ptr, base, offset, name);
  if (had) return v;
  LLVMMetadataRef align = LLVMValueAsMetadata(LLVMConstInt(e->i64, 64, false));
  LLVMSetMetadata(v, e->md_align, LLVMMetadataAsValue(e->c, LLVMMDNodeInContext2(e->c, &align, 1)));
  return v;
}

LLVMValueRef call_size(Emit *e, uint32_t axis) {
  const Axis *a = &e->p->entry->graph->axis.at[axis];
  if (a->kind == AXIS_INDEX) return emit_index(e, a->size);
  return field(e, &e->f.size[axis], e->i64, e->f.call, CALL(size) + 8 * axis, "size");
}

LLVMValueRef call_total(Emit *e, uint32_t axis) {
  const Axis *a = &e->p->entry->graph->axis.at[axis];
  if (a->kind == AXIS_INDEX) return emit_index(e, a->size);
  return field(e, &e->f.total[axis], e->i64, e->f.call, CALL(total) + 8 * axis, "total");
}

LLVMValueRef call_row(Emit *e, uint32_t axis) {
  return field(e, &e->f.row[axis], e->ptr, e->f.call, CALL(row) + sizeof(void *) * axis, "row");
}

/* A forked nest finds its parameters behind a pointer, eight bytes each. */
static LLVMValueRef parameter(Emit *e, uint32_t at, LLVMTypeRef type) {
  if (!e->f.from) return LLVMGetParam(e->f.fn, at);
  LLVMBasicBlockRef here = entry_open(e);
  LLVMValueRef v = emit_load(e, type, e->f.chunk, 8 * (uint64_t)(at - NEST_FIXED), "needed");
  entry_close(e, here);
  return v;
}

/* In a nest's function, options and keys are parameters: see outline.c for their places. */
static uint32_t place_among(const Ids *v, uint32_t id) {
  for (uint32_t i = 0; i < v->n; i++) if (v->at[i] == id) return i;
  BUG("a nest without an option or key it needs");
}

/* Few and scalar: loaded anew at each use, and shared by early-cse. */
LLVMValueRef call_option(Emit *e, uint32_t id) {
  const Needs *needs = e->f.needs;
  if (needs) return parameter(e, NEST_FIXED + needs->bases.n + place_among(&needs->options, id), e->real);
  LLVMValueRef table = field(e, &e->f.option, e->ptr, e->f.call, CALL(option), "options");
  LLVMBasicBlockRef at = entry_open(e);
  LLVMValueRef v = emit_load(e, e->f64, table, 8 * (uint64_t)id, "option");
  if (e->real_bytes == 4) v = LLVMBuildFPTrunc(e->b, v, e->real, "option");
  entry_close(e, at);
  return v;
}

LLVMValueRef call_key(Emit *e, uint32_t draw, unsigned word) {
  const Needs *needs = e->f.needs;
  if (needs)
    return parameter(e, NEST_FIXED + needs->bases.n + needs->options.n +
                            2 * place_among(&needs->draws, draw) + word, e->i32);
  LLVMValueRef table = field(e, &e->f.key, e->ptr, e->f.call, CALL(key), "keys");
  LLVMBasicBlockRef at = entry_open(e);
  LLVMValueRef v = emit_load(e, e->i32, table, 8 * (uint64_t)draw + 4 * word, "key");
  entry_close(e, at);
  return v;
}

LLVMValueRef chunk_first(Emit *e) { return field(e, &e->f.first, e->i64, e->f.chunk, CHUNK(first), "first"); }
LLVMValueRef chunk_rows (Emit *e) { return field(e, &e->f.rows,  e->i64, e->f.chunk, CHUNK(rows),  "rows"); }

LLVMValueRef chunk_fresh(Emit *e) {
  if (e->f.fresh) return e->f.fresh;
  LLVMBasicBlockRef at = entry_open(e);
  LLVMValueRef byte = emit_load(e, e->i8, e->f.chunk, CHUNK(fresh), "fresh");
  e->f.fresh = LLVMBuildICmp(e->b, LLVMIntNE, byte, LLVMConstInt(e->i8, 0, false), "fresh");
  entry_close(e, at);
  return e->f.fresh;
}

/* Elements a domain's arena is laid out for: rows of the largest chunk times its other axes, a block of those streamed. */
static LLVMValueRef domain_size(Emit *e, uint32_t domain) {
  if (e->f.scratch_size[domain]) return e->f.scratch_size[domain];
  AxisSet axes = e->phase->domain[domain].axes;
  LLVMValueRef n = emit_index(e, 1);
  if (e->phase->axis >= 0) n = field(e, &e->f.capacity, e->i64, e->f.chunk, CHUNK(capacity), "capacity");
  for (uint32_t a = 0; a < AXIS_MAX; a++) {
    if (!(axes >> a & 1) || (int32_t)a == e->phase->axis) continue;
    bool block = e->phase->stream && (int32_t)a == e->phase->particles;
    LLVMValueRef s = block ? field(e, &e->f.block, e->i64, e->f.call, CALL(block), "block") : call_size(e, a);
    LLVMBasicBlockRef at = entry_open(e);
    n = emit_mul(e, n, s);
    entry_close(e, at);
  }
  return e->f.scratch_size[domain] = n;
}

/* Where a buffer begins.  Buffers of one storage share the value, so that overlapping ones are seen to be the same. */
static LLVMValueRef find_base(Emit *e, const Buffer *b) {
  uint64_t bytes = b->offset * e->real_bytes, slot = b->offset * sizeof(void *);
  LLVMValueRef base = NULL, offset = NULL;
  switch (b->kind) {
    case BUF_PARAM:  base = arena_field(e, &e->f.param,  e->f.call,  CALL(param),  "params"); break;
    case BUF_GLOBAL: base = arena_field(e, &e->f.global, e->f.call,  CALL(global), "global"); break;
    case BUF_LANE:   base = arena_field(e, &e->f.lane,   e->f.chunk, CHUNK(lane),  "lane");   break;
    case BUF_BATCH: {
      LLVMValueRef table = field(e, &e->f.batch, e->ptr, e->f.call, CALL(batch), "batch"), none = NULL;
      return field(e, &none, e->ptr, table, slot, "kept");
    }
    case BUF_OUT: {
      LLVMValueRef table = field(e, &e->f.out, e->ptr, e->f.call, CALL(out), "out"), none = NULL;
      return field(e, &none, e->ptr, table, slot, "rows_out");
    }
    case BUF_CHUNK:
      base = arena_field(e, &e->f.scratch[b->domain], e->f.chunk, CHUNK(scratch) + sizeof(void *) * b->domain,
                         "arena");
      if (b->offset) offset = domain_size(e, b->domain);
      bytes = b->offset;
      break;
  }
  if (b->offset == 0) return base;
  LLVMBasicBlockRef at = entry_open(e);
  offset = offset ? emit_mul(e, emit_index(e, bytes), offset) : emit_index(e, bytes);
  base = LLVMBuildInBoundsGEP2(e->b, e->i8, base, &offset, 1, "");
  entry_close(e, at);
  return base;
}

bool same_storage(const Buffer *a, const Buffer *b) {
  return a->kind == b->kind && a->offset == b->offset && (a->kind != BUF_CHUNK || a->domain == b->domain);
}

LLVMValueRef nest_base(Emit *e, uint32_t place) { return parameter(e, NEST_FIXED + place, e->ptr); }

LLVMValueRef buffer_base(Emit *e, Buf buf) {
  if (e->f.base[buf]) return e->f.base[buf];
  const Buffer *b = &e->p->buffers.at[buf];
  for (uint32_t i = 0; e->f.needs && i < e->f.needs->bases.n; i++) {
    Buf known = e->f.needs->bases.at[i];
    if (same_storage(&e->p->buffers.at[known], b)) return e->f.base[buf] = e->f.base[known];
  }
  for (Buf other = 0; other < e->p->buffers.n; other++) {
    if (e->f.base[other] && same_storage(&e->p->buffers.at[other], b)) return e->f.base[buf] = e->f.base[other];
  }
  if (e->f.needs) BUG("a nest without a base it needs");
  return e->f.base[buf] = find_base(e, b);
}

LLVMValueRef starts_anew(Emit *e, ReduceFrom from) {
  switch (from) {
    case FROM_IDENTITY: return NULL;
    case FROM_LANE:
      if (!e->f.streamed) return chunk_fresh(e);
      return LLVMBuildAnd(e->b, chunk_fresh(e), e->f.first_block, "anew");
    case FROM_BLOCK:
      if (!e->f.streamed) return NULL;
      return e->f.first_block;
    case FROM_BEFORE: return LLVMConstInt(e->i1, 0, false);
  }
  BUG("reduction from %d", (int)from);
}

/* ---- steps */
static void step_emit(Emit *e, const Step *s) {
  if (s->is_call) call_emit(e, &s->call);
  else nest_call(e, &s->nest);
}

/* Turn after turn, until nothing changes or all turns are done. */
static void repeat_emit(Emit *e, const Step *s, uint32_t n) {
  const Repeat *r = &e->phase->repeats.at[s->repeat - 1];
  LLVMBasicBlockRef from = LLVMGetInsertBlock(e->b);
  LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(e->c, e->f.fn, "turn");
  LLVMBasicBlockRef exit = LLVMAppendBasicBlockInContext(e->c, e->f.fn, "settled");
  LLVMValueRef zero = emit_index(e, 0);
  LLVMBuildBr(e->b, body);
  LLVMPositionBuilderAtEnd(e->b, body);
  LLVMValueRef turn = LLVMBuildPhi(e->b, e->i64, "turn");
  LLVMAddIncoming(turn, &zero, &from, 1);
  for (uint32_t i = 0; i < n; i++) step_emit(e, &s[i]);
  LLVMValueRef next = LLVMBuildNUWAdd(e->b, turn, emit_index(e, 1), "next");
  LLVMValueRef more = LLVMBuildAnd(e->b, settle_emit(e, r), LLVMBuildICmp(e->b, LLVMIntULT, next, repeat_turns(e, r), "left"), "more");
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
  LLVMBuildCondBr(e->b, more, body, exit);
  LLVMAddIncoming(turn, &next, &latch, 1);
  LLVMMoveBasicBlockAfter(exit, latch);
  LLVMPositionBuilderAtEnd(e->b, exit);
}

/* Steps of a repetition that lie behind (or do not), at step `at` of its plate. */
static void one_step_emit(Emit *e, const Repeat *r, const Step *s, uint32_t n, bool behind, LLVMValueRef at) {
  e->f.along = r->along + 1;
  e->f.step = at;
  for (uint32_t i = 0; i < n; i++)
    if (s[i].behind == behind) step_emit(e, &s[i]);
  if (!behind) step_emit_copy(e, r);
  e->f.along = 0;
}

/* Along a plate, one step in each turn. */
static void along_emit(Emit *e, const Step *s, uint32_t n) {
  const Repeat *r = &e->phase->repeats.at[s->repeat - 1];
  LLVMValueRef all = repeat_turns(e, r), one = emit_index(e, 1);
  bool some = false;
  for (uint32_t i = 0; i < n; i++) some |= s[i].behind;
  OpenLoop l = loop_open(e, all, NULL, "turn");
  LLVMValueRef at = l.index;
  if (r->by < 0) at = LLVMBuildNUWSub(e->b, LLVMBuildNUWSub(e->b, all, one, "last"), l.index, "at");
  if (some) {
    LLVMBasicBlockRef join;
    emit_if(e, LLVMBuildICmp(e->b, LLVMIntNE, l.index, emit_index(e, 0), "later"), &join);
    one_step_emit(e, r, s, n, true, r->by < 0 ? LLVMBuildAdd(e->b, at, one, "behind") : LLVMBuildSub(e->b, at, one, "behind"));
    LLVMBuildBr(e->b, join);
    LLVMMoveBasicBlockAfter(join, LLVMGetInsertBlock(e->b));
    LLVMPositionBuilderAtEnd(e->b, join);
  }
  one_step_emit(e, r, s, n, false, at);
  loop_close(e, &l, (LoopHint){0});
}

static void steps_emit(Emit *e, const Step *s, uint32_t n) {
  for (uint32_t i = 0, end; i < n; i = end) {
    for (end = i + 1; s[i].repeat && end < n && s[end].repeat == s[i].repeat;) end++;
    if (s[i].repeat) (e->phase->repeats.at[s[i].repeat - 1].by ? along_emit : repeat_emit)(e, &s[i], end - i);
    else step_emit(e, &s[i]);
  }
}

/* Blocks of particles, as many passes as they take. */
static void stream_emit(Emit *e, const Step *s, uint32_t n) {
  uint32_t axis = (uint32_t)e->phase->particles;
  LLVMValueRef all = call_size(e, axis);
  LLVMValueRef block = field(e, &e->f.block, e->i64, e->f.call, CALL(block), "block");
  LLVMBasicBlockRef from = LLVMGetInsertBlock(e->b);
  LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(e->c, e->f.fn, "stream");
  LLVMBasicBlockRef exit = LLVMAppendBasicBlockInContext(e->c, e->f.fn, "streamed");
  LLVMValueRef zero = emit_index(e, 0);
  LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntEQ, all, zero, "none"), exit, body);
  LLVMPositionBuilderAtEnd(e->b, body);
  e->f.start = LLVMBuildPhi(e->b, e->i64, "start");
  LLVMAddIncoming(e->f.start, &zero, &from, 1);
  LLVMValueRef left = LLVMBuildNUWSub(e->b, all, e->f.start, "left");
  e->f.count = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntULT, left, block, ""), left, block, "count");
  e->f.first_block = LLVMBuildICmp(e->b, LLVMIntEQ, e->f.start, zero, "first_block");
  e->f.streamed = true;
  steps_emit(e, s, n);
  e->f.streamed = false;
  LLVMValueRef next = LLVMBuildNUWAdd(e->b, e->f.start, e->f.count, "next");
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
  LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntULT, next, all, "more"), body, exit);
  LLVMAddIncoming(e->f.start, &next, &latch, 1);
  LLVMMoveBasicBlockAfter(exit, latch);
  LLVMPositionBuilderAtEnd(e->b, exit);
}

static Span span_of_phase(const LoopPhase *phase) {
  for (uint32_t i = 0; i < phase->steps.n; i++) {
    const Step *s = &phase->steps.at[i];
    if (s->is_call && s->call.span.end) return s->call.span;
    if (s->is_call) continue;
    for (uint32_t k = 0; k < s->nest.instr.n; k++) {
      if (s->nest.instr.at[k].span.end) return s->nest.instr.at[k].span;
    }
  }
  return NO_SPAN;
}

void function_open(Emit *e, const char *name, LLVMTypeRef type, Span at) {
  Frame *f = &e->f;
  *f = (Frame){.base = arena_alloc(e->arena, (e->p->buffers.n + 1) * sizeof *f->base)};
  f->fn = LLVMAddFunction(e->m, name, type);
  LLVMSetLinkage(f->fn, LLVMInternalLinkage);
  target_mark(e, f->fn);
  attribute_add(e, f->fn, "uwtable", 2);
  f->call  = LLVMGetParam(f->fn, 0);
  f->chunk = LLVMGetParam(f->fn, 1);
  LLVMSetValueName2(f->call, "call", 4);
  LLVMSetValueName2(f->chunk, "chunk", 5);
  LLVMMetadataRef text = LLVMMDStringInContext2(e->c, name, strlen(name));
  f->scopes = LLVMMDNodeInContext2(e->c, &text, 1);
  LLVMMetadataRef tables[2] = {LLVMMDStringInContext2(e->c, "tables", 6), f->scopes};
  f->tables = LLVMMDNodeInContext2(e->c, tables, 2);

  f->entry = LLVMAppendBasicBlockInContext(e->c, f->fn, "entry");
  LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(e->c, f->fn, "steps");
  LLVMPositionBuilderAtEnd(e->b, f->entry);
  debug_function(e, f->fn, name, at);
  LLVMBuildBr(e->b, body);
  LLVMPositionBuilderAtEnd(e->b, body);
}

void function_close(Emit *e) { LLVMBuildRetVoid(e->b); }

LLVMValueRef phase_emit(Emit *e, const LoopProgram *p, uint32_t phase, const char *name) {
  e->p = p;
  e->phase = &p->phases.at[phase];
  function_open(e, name, e->run, span_of_phase(e->phase));
  attribute_add(e, e->f.fn, "optnone", 0);               /* it calls nests and products, and does little itself: not worth the time */
  attribute_add(e, e->f.fn, "noinline", 0);
  const Step *steps = e->phase->steps.at;
  for (uint32_t i = 0, end, n = e->phase->steps.n; i < n; i = end) {
    for (end = i + 1; end < n && steps[end].streamed == steps[i].streamed;) end++;
    if (steps[i].streamed) stream_emit(e, &steps[i], end - i);
    else steps_emit(e, &steps[i], end - i);
  }
  function_close(e);
  return e->f.fn;
}
