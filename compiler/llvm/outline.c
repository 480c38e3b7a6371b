/* outline: a nest as a function of its own.
 *
 * In:  a Nest of a phase.
 * Out: a call; the function is built when no equal nest has been met.
 *
 * note [nests are functions]  Layers of one size, the entries of one model (step, reports, encode) and the copies of a model
 * in them bring the same nests again and again.  Compiling is most of svic's time, so a nest is built once: as a function of
 * the bases of its buffers, the options and keys it reads, of the block of particles, and of the step of a plate.  Whatever else shapes its code is
 * written into a key, and equal keys are one function.  With debug lines the places in the source are part of the key, so
 * that a line is never another's.  A nest without loops stays where it is.  One that is to be forked (fork.c) finds what it needs
 * behind a pointer. */
#include <stdlib.h>
#include "emit.h"

/* ---- keys: words, one after the other */
typedef VEC(uint64_t) Words;

static void word(Emit *e, Words *w, uint64_t x) { vec_push(e->arena, w, x); }

static void word_axis(Emit *e, Words *w, uint32_t axis) {
  const Axis *a = &e->p->entry->graph->axis.at[axis];
  word(e, w, axis);
  word(e, w, (uint64_t)a->kind << 32 | a->size);
}

static void word_shape(Emit *e, Words *w, const Shape *s) {
  word(e, w, s->rank);
  for (uint32_t i = 0; i < s->rank; i++) word(e, w, s->dim[i]);
  word(e, w, s->axes);
  for (uint32_t a = 0; a < AXIS_MAX; a++) if (s->axes >> a & 1) word_axis(e, w, a);
}

static void word_access(Emit *e, Words *w, const Access *a) {
  word(e, w, a->n);
  for (uint32_t i = 0; i < a->n; i++) {
    const Index *x = &a->at[i];
    word(e, w, (uint64_t)x->kind << 32 | (x->kind == IX_LOOP ? x->loop : x->kind == IX_VALUE ? x->value : 0));
    word(e, w, (uint64_t)(int64_t)x->plus);
  }
}

static bool has_buffer(const LoopInstr *i) {
  return i->kind == LI_LOAD || i->kind == LI_STORE || i->kind == LI_REDUCE;
}

static uint32_t place_or_new(Emit *e, Ids *v, uint32_t id) {
  for (uint32_t i = 0; i < v->n; i++) if (v->at[i] == id) return i;
  vec_push(e->arena, v, id);
  return v->n - 1;
}

static uint32_t place_of_base(Emit *e, Needs *n, Buf buf) {
  const Buffer *b = &e->p->buffers.at[buf];
  for (uint32_t i = 0; i < n->bases.n; i++) if (same_storage(&e->p->buffers.at[n->bases.at[i]], b)) return i;
  vec_push(e->arena, &n->bases, buf);
  return n->bases.n - 1;
}

static uint64_t bits_of(double x) {
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static void word_instr(Emit *e, Words *w, Needs *needs, const LoopInstr *i) {
  word(e, w,
       (uint64_t)i->kind << 48 | (uint64_t)i->kind2 << 40 | (uint64_t)i->guard << 39 |
           (uint64_t)i->from << 32 | i->depth);
  word(e, w, (uint64_t)i->op << 32 | i->nargs);
  for (uint32_t k = 0; k < i->nargs; k++) word(e, w, i->arg[k]);
  word(e, w, bits_of(i->number));
  word(e, w, (uint64_t)(uint32_t)i->lo << 32 | (uint32_t)i->hi);
  word_access(e, w, &i->at);
  if (i->kind == LI_OPTION) word(e, w, place_or_new(e, &needs->options, i->id));
  if (i->kind == LI_RANDOM) word(e, w, place_or_new(e, &needs->draws, i->id)), word_shape(e, w, i->shape);
  if (i->kind == LI_COUNT)  word_axis(e, w, i->id);
  if (has_buffer(i)) {
    const Buffer *b = &e->p->buffers.at[i->buf];
    word(e, w, (uint64_t)b->kind << 32 | place_of_base(e, needs, i->buf));
    word_shape(e, w, b->shape);
  }
  if (e->di) word(e, w, (uint64_t)i->span.at << 32 | i->span.end);
}

/* Everything the code of a nest depends on but its parameters. */
static Words key_of(Emit *e, const Nest *nest, Needs *needs, bool forked) {
  Words w = {0};
  word(e, &w, (uint64_t)forked << 32 | (uint32_t)e->f.along);
  word(e, &w, (uint64_t)e->f.streamed << 1 | (e->phase->axis >= 0));
  word(e, &w, (uint64_t)(uint32_t)e->phase->axis << 32 | (e->f.streamed ? (uint32_t)e->phase->particles : 0));
  word(e, &w, (uint64_t)nest->nloop << 32 | nest->instr.n);
  for (uint32_t l = 0; l < nest->nloop; l++) {
    const Loop *loop = &nest->loop[l];
    word(e, &w, (uint64_t)loop->kind << 32 | (loop->kind == LOOP_SIZE ? loop->size : 0));
    if (loop->kind == LOOP_AXIS) word_axis(e, &w, loop->axis);
  }
  for (uint32_t i = 0; i < nest->instr.n; i++) word_instr(e, &w, needs, &nest->instr.at[i]);
  /* which of the storages overlap: they share a scope; whole buffers, for one storage may be seen in several shapes */
  for (uint32_t i = 0; i < nest->instr.n; i++) {
    for (uint32_t k = 0; k < i; k++) {
      const LoopInstr *a = &nest->instr.at[i], *b = &nest->instr.at[k];
      if (!has_buffer(a) || !has_buffer(b)) continue;
      if (storage_overlaps(e, &e->p->buffers.at[a->buf], &e->p->buffers.at[b->buf]))
        word(e, &w, (uint64_t)i << 32 | k);
    }
  }
  return w;
}

/* ---- functions */
static LLVMTypeRef type_of(Emit *e, const Needs *needs) {
  uint32_t n = NEST_FIXED + needs->bases.n + needs->options.n + 2 * needs->draws.n, k = 0;
  LLVMTypeRef *t = arena_alloc(e->arena, n * sizeof *t);
  t[k++] = e->ptr, t[k++] = e->ptr, t[k++] = e->i64, t[k++] = e->i64, t[k++] = e->i64;
  for (uint32_t i = 0; i < needs->bases.n; i++) t[k++] = e->ptr;
  for (uint32_t i = 0; i < needs->options.n; i++) t[k++] = e->real;
  for (uint32_t i = 0; i < 2 * needs->draws.n; i++) t[k++] = e->i32;
  return LLVMFunctionType(e->void_, t, n, false);
}

static Span span_of(const Nest *nest) {
  for (uint32_t i = 0; i < nest->instr.n; i++) if (nest->instr.at[i].span.end) return nest->instr.at[i].span;
  return NO_SPAN;
}

static LLVMTypeRef forked_type(Emit *e) {
  LLVMTypeRef t[] = {e->ptr, e->ptr, e->i64, e->i64, e->ptr};
  return LLVMFunctionType(e->void_, t, LEN(t), false);
}

/* The nest's function, in a frame of its own. */
static LLVMValueRef build(Emit *e, const Nest *nest, const Needs *needs, bool forked) {
  LLVMBasicBlockRef at = LLVMGetInsertBlock(e->b);
  LLVMMetadataRef line = e->di ? LLVMGetCurrentDebugLocation2(e->b) : NULL;
  Frame outer = e->f;
  const char *name = arena_printf(e->arena, "%s_nest_%u", LLVMGetValueName(outer.fn), e->outlined.n);
  function_open(e, name, forked ? forked_type(e) : type_of(e, needs), span_of(nest));
  attribute_add(e, e->f.fn, "noinline", 0);
  e->f.needs = needs;
  e->f.streamed = outer.streamed;
  e->f.along = outer.along;
  if (forked) {
    e->f.from = LLVMGetParam(e->f.fn, 2), e->f.to = LLVMGetParam(e->f.fn, 3), e->f.partial = LLVMGetParam(e->f.fn, 4);
  } else {
    e->f.start = LLVMGetParam(e->f.fn, 2);
    e->f.count = LLVMGetParam(e->f.fn, 3);
    e->f.step = LLVMGetParam(e->f.fn, 4);
    LLVMBasicBlockRef body = entry_open(e);
    e->f.first_block = LLVMBuildICmp(e->b, LLVMIntEQ, e->f.start, emit_index(e, 0), "first_block");
    entry_close(e, body);
  }
  for (uint32_t i = 0; i < needs->bases.n; i++) e->f.base[needs->bases.at[i]] = nest_base(e, i);
  nest_emit(e, nest);
  function_close(e);
  LLVMValueRef fn = e->f.fn;
  e->f = outer;
  LLVMPositionBuilderAtEnd(e->b, at);
  if (e->di) LLVMSetCurrentDebugLocation2(e->b, line);
  return fn;
}

static LLVMValueRef find(Emit *e, const Words *key) {
  size_t size = key->n * sizeof *key->at;
  for (uint32_t i = 0; i < e->outlined.n; i++) {
    const NestFunction *f = &e->outlined.at[i];
    if (f->size == size && memcmp(f->key, key->at, size) == 0) return f->fn;
  }
  return NULL;
}

void nest_call(Emit *e, const Nest *nest) {
  if (nest->nloop == 0) {
    nest_emit(e, nest);
    return;
  }
  Needs *needs = NEW(e->arena, Needs);
  bool forked = fork_pays(e, nest);
  Words key = key_of(e, nest, needs, forked);
  LLVMValueRef fn = find(e, &key);
  debug_at(e, span_of(nest));
  if (!fn) {
    fn = build(e, nest, needs, forked);
    NestFunction f = {(const char *)key.at, key.n * sizeof *key.at, fn};
    vec_push(e->arena, &e->outlined, f);
  }
  uint32_t n = NEST_FIXED + needs->bases.n + needs->options.n + 2 * needs->draws.n, k = 0;
  LLVMValueRef *arg = arena_alloc(e->arena, n * sizeof *arg), zero = emit_index(e, 0);
  arg[k++] = e->f.call, arg[k++] = e->f.chunk;
  arg[k++] = e->f.streamed ? e->f.start : zero, arg[k++] = e->f.streamed ? e->f.count : zero;
  arg[k++] = e->f.along ? e->f.step : zero;
  for (uint32_t i = 0; i < needs->bases.n; i++) arg[k++] = buffer_base(e, needs->bases.at[i]);
  for (uint32_t i = 0; i < needs->options.n; i++) arg[k++] = call_option(e, needs->options.at[i]);
  for (uint32_t i = 0; i < needs->draws.n; i++)
    for (unsigned w = 0; w < 2; w++) arg[k++] = call_key(e, needs->draws.at[i], w);
  if (forked) fork_call(e, nest, fn, n - NEST_FIXED, arg + NEST_FIXED);
  else LLVMBuildCall2(e->b, LLVMGlobalGetValueType(fn), fn, arg, n, "");
}
