/* Reductions.
 *
 * Where the loops reduced over are the innermost ones, a reduction runs in a register: it begins before the first of them
 * and its result goes to memory behind it.  Otherwise (a sum over rows that keeps the last dim) the buffer itself holds the
 * accumulators: reduce_prepare() sets it before the nest, and the innermost loop adds to it, a vector at a time.  In
 * between, where other loops are kept inside and the innermost ones are reduced, registers are added to memory.
 *
 * log-sum-exp takes two passes over its loops, the first for the maximum m alone, then sum exp(x - m): what its argument
 * is made of is computed twice, but both passes are vectors, and a running maximum and sum would be a chain of scalars
 * (3.4 against 0.4 ns an element).  Two results are joined as m + log1p(exp(-|a - b|)). */
#include <math.h>
#include "emit.h"

static double identity_of(ReduceKind k) {
  switch (k) {
    case REDUCE_SUM:       return 0;
    case REDUCE_PROD:      return 1;
    case REDUCE_MAX:       return -INFINITY;
    case REDUCE_MIN:       return INFINITY;
    case REDUCE_LOGSUMEXP: return -INFINITY;
  }
  BUG("reduction of kind %d", (int)k);
}

static LLVMValueRef larger(Emit *e, LLVMValueRef a, LLVMValueRef b) {
  return scalar_intrinsic(e, "maximum", 2, (LLVMValueRef[]){a, b});
}

/* exp(-|a - b|), 1 where they are equal (infinities too) */
static LLVMValueRef nearness(Emit *e, LLVMValueRef a, LLVMValueRef b) {
  LLVMValueRef gap = LLVMBuildFSub(e->b, a, b, ""), zero = emit_real(e, 0);
  gap = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOEQ, a, b, ""), zero, gap, "gap");
  gap = scalar_intrinsic(e, "fabs", 1, &gap);
  gap = LLVMBuildFNeg(e->b, gap, "");
  return scalar_kernel(e, "exp", 1, &gap);
}

static LLVMValueRef combine(Emit *e, ReduceKind k, LLVMValueRef a, LLVMValueRef b) {
  switch (k) {
    case REDUCE_SUM:  return fast(LLVMBuildFAdd(e->b, a, b, "sum"), FAST_SUM);
    case REDUCE_PROD: return fast(LLVMBuildFMul(e->b, a, b, "product"), FAST_SUM);
    case REDUCE_MAX:  return larger(e, a, b);
    case REDUCE_MIN:  return scalar_intrinsic(e, "minimum", 2, (LLVMValueRef[]){a, b});
    case REDUCE_LOGSUMEXP: {
      LLVMValueRef near = nearness(e, a, b);
      return LLVMBuildFAdd(e->b, larger(e, a, b), scalar_kernel(e, "log1p", 1, &near), "logaddexp");
    }
  }
  BUG("reduction of kind %d", (int)k);
}

/* The level from which all loops around the reduction are reduced over. */
static uint32_t reduced_from(const NestPlan *p, uint32_t instr) {
  uint32_t from = p->level[instr];
  while (from > 0 && !p->steps[instr].uses[p->last[from - 1]]) from--;
  return from;
}

static bool indexed_by_value(const Access *a) {
  for (uint32_t k = 0; k < a->n; k++) if (a->at[k].kind == IX_VALUE) return true;
  return false;
}

/* Whether the reduction ends in a register: nothing outside the innermost reduced loops is reduced over. */
static bool in_register(const NestPlan *p, uint32_t instr) {
  if (indexed_by_value(&p->nest->instr.at[instr].at)) return false;
  for (uint32_t level = 0, from = reduced_from(p, instr); level < from; level++) {
    if (!p->steps[instr].uses[p->last[level]]) return false;
  }
  return true;
}

/* The same question before there is a plan, by loops. */
bool reduce_needs_memory(const Nest *nest, const LoopInstr *i) {
  bool uses[LOOP_DEPTH_MAX] = {false}, reduced = false;
  for (uint32_t k = 0; k < i->at.n; k++) {
    if (i->at.at[k].kind == IX_VALUE) return true;
    if (i->at.at[k].kind == IX_LOOP) uses[i->at.at[k].loop] = true;
  }
  for (uint32_t l = 0; l < i->depth; l++) {
    if (nest->loop[l].kind == LOOP_SIZE && nest->loop[l].size == 1) continue;
    if (reduced && uses[l]) return true;
    reduced |= !uses[l];
  }
  return false;
}

/* ---- memory */

/* A nest that sets what the reduction will write to its identity. */
static void fill(Emit *e, const Nest *nest, const LoopInstr *i) {
  Nest set = {0};
  LoopInstr value = {.kind = LI_CONST, .number = identity_of((ReduceKind)i->kind2), .span = i->span};
  LoopInstr store = {.kind = LI_STORE, .nargs = 1, .arg = {0}, .buf = i->buf, .at = i->at, .span = i->span};
  uint32_t now[LOOP_DEPTH_MAX];
  for (uint32_t l = 0; l < LOOP_DEPTH_MAX; l++) now[l] = UINT32_MAX;
  Amount size[AXIS_MAX + DIM_MAX], step[AXIS_MAX + DIM_MAX];
  int32_t axis[AXIS_MAX + DIM_MAX];
  buffer_layout(e, i->buf, size, step, axis);
  for (uint32_t k = 0; k < i->at.n; k++) {
    Index *ix = &store.at.at[k];
    Loop loop = {LOOP_SIZE, 0, 0};
    switch (ix->kind) {
      case IX_CONST: continue;
      case IX_LOOP:
        if (now[ix->loop] != UINT32_MAX) { ix->loop = now[ix->loop]; continue; }
        loop = nest->loop[ix->loop];
        break;
      case IX_VALUE:
        if (axis[k] < 0) loop.size = (uint32_t)size[k].constant;
        else if (axis[k] == e->phase->axis) loop.kind = LOOP_ROWS;
        else loop.kind = LOOP_AXIS, loop.axis = (uint32_t)axis[k];
        break;
    }
    if (set.nloop == LOOP_DEPTH_MAX) BUG("a reduction over too many loops");
    if (ix->kind == IX_LOOP) now[ix->loop] = set.nloop;
    else ix->plus = 0;
    ix->kind = IX_LOOP;
    ix->loop = set.nloop;
    set.loop[set.nloop++] = loop;
  }
  store.depth = set.nloop;
  vec_push(e->arena, &set.instr, value);
  vec_push(e->arena, &set.instr, store);
  nest_emit(e, &set);
}

void reduce_prepare(Emit *e, const Nest *nest) {
  for (uint32_t k = 0; k < nest->instr.n; k++) {
    const LoopInstr *i = &nest->instr.at[k];
    if (i->kind != LI_REDUCE || i->from == FROM_BEFORE || !reduce_needs_memory(nest, i)) continue;
    debug_at(e, i->span);
    LLVMValueRef anew = starts_anew(e, i->from);
    if (!anew) {
      fill(e, nest, i);
      continue;
    }
    LLVMBasicBlockRef join;
    emit_if(e, anew, &join);
    fill(e, nest, i);
    LLVMBuildBr(e->b, join);
    LLVMPositionBuilderAtEnd(e->b, join);
  }
}

/* ---- registers */
static LLVMValueRef get(Emit *e, LLVMValueRef local) { return LLVMBuildLoad2(e->b, e->real, local, ""); }

static LLVMValueRef new_local(Emit *e, double start, const char *name) {
  LLVMValueRef local = emit_local(e, e->real, name);
  LLVMBuildStore(e->b, emit_real(e, start), local);
  return local;
}

/* Whether the instruction is a reduction whose register begins and ends at this level. */
static bool starts_at(const NestPlan *p, uint32_t instr, uint32_t level) {
  const LoopInstr *i = &p->nest->instr.at[instr];
  return i->kind == LI_REDUCE && p->level[instr] > level && reduced_from(p, instr) == level &&
         !indexed_by_value(&i->at);
}

static bool is_logsumexp(const NestPlan *p, uint32_t instr) {
  return p->nest->instr.at[instr].kind2 == REDUCE_LOGSUMEXP;
}

bool reduce_wants_top(const NestPlan *p, uint32_t level) {
  for (uint32_t k = 0; k < p->nest->instr.n; k++) if (starts_at(p, k, level) && is_logsumexp(p, k)) return true;
  return false;
}

void reduce_enter(Emit *e, NestPlan *p, uint32_t level) {
  if (p->for_top) return;
  for (uint32_t k = 0; k < p->nest->instr.n; k++) {
    if (!starts_at(p, k, level)) continue;
    p->accumulator[k] = new_local(e, identity_of((ReduceKind)p->nest->instr.at[k].kind2), "accumulator");
    p->top[k] = NULL;
  }
}

/* The maximum becomes what exponents are relative to; 0 in its place where it is infinite: then inf - inf is never taken. */
void reduce_top(Emit *e, NestPlan *p, uint32_t level) {
  for (uint32_t k = 0; k < p->nest->instr.n; k++) {
    if (!starts_at(p, k, level) || !is_logsumexp(p, k)) continue;
    LLVMValueRef m = get(e, p->accumulator[k]), size = scalar_intrinsic(e, "fabs", 1, &m),
                 zero = emit_real(e, 0);
    LLVMValueRef endless = LLVMBuildFCmp(e->b, LLVMRealOEQ, size, emit_real(e, INFINITY), "endless");
    p->top[k] = LLVMBuildSelect(e->b, endless, zero, m, "top");
    LLVMBuildStore(e->b, zero, p->accumulator[k]);
  }
}

/* The reduction's value into its buffer, joined with what is there where it is carried or shared. */
static void settle(Emit *e, NestPlan *p, uint32_t instr, LLVMValueRef v) {
  const LoopInstr *i = &p->nest->instr.at[instr];
  LLVMValueRef at = access_address(e, p, instr);
  LLVMValueRef anew = in_register(p, instr) ? starts_anew(e, i->from) : LLVMConstInt(e->i1, 0, false);
  if (anew) {
    LLVMValueRef both = combine(e, (ReduceKind)i->kind2, access_load(e, p, instr, at), v);
    v = LLVMBuildSelect(e->b, anew, v, both, "carried");
  }
  access_store(e, p, instr, v, at);
}

void reduce_step(Emit *e, NestPlan *p, uint32_t instr) {
  const LoopInstr *i = &p->nest->instr.at[instr];
  ReduceKind kind = (ReduceKind)i->kind2;
  LLVMValueRef x = p->value[i->arg[0]], local = p->accumulator[instr];
  if (p->for_top && (!local || p->top[instr] || kind != REDUCE_LOGSUMEXP)) return;
  if (!local) {
    settle(e, p, instr, x);
    return;
  }
  if (kind == REDUCE_LOGSUMEXP && p->for_top) kind = REDUCE_MAX;
  if (kind == REDUCE_LOGSUMEXP) {
    x = LLVMBuildFSub(e->b, x, p->top[instr], "");
    x = scalar_kernel(e, "exp", 1, &x);
    kind = REDUCE_SUM;
  }
  LLVMBuildStore(e->b, combine(e, kind, get(e, local), x), local);
}

void reduce_leave(Emit *e, NestPlan *p, uint32_t level) {
  uint32_t slot = 0;
  if (p->for_top) return;
  for (uint32_t k = 0; k < p->nest->instr.n; k++) {
    if (!starts_at(p, k, level)) continue;
    debug_at(e, p->nest->instr.at[k].span);
    LLVMValueRef v = get(e, p->accumulator[k]);
    if (p->top[k])
      v = LLVMBuildFAdd(e->b, p->top[k], scalar_kernel(e, "log", 1, &v), "logsumexp"); /* of nothing: -inf */
    p->accumulator[k] = NULL;
    if (level == 0 && e->f.partial) {
      LLVMValueRef at = emit_index(e, slot++);
      LLVMBuildStore(e->b, v, LLVMBuildInBoundsGEP2(e->b, e->real, e->f.partial, &at, 1, ""));
    } else {
      settle(e, p, k, v);
    }
  }
}

/* ---- forked nests: see fork.c.  Whole reductions have a slot each, in the order of their instructions. */
bool reduce_is_whole(const Nest *nest, const LoopInstr *i) {
  if (i->kind != LI_REDUCE || indexed_by_value(&i->at)) return false;
  for (uint32_t k = 0; k < i->at.n; k++) {
    const Loop *l = i->at.at[k].kind == IX_LOOP ? &nest->loop[i->at.at[k].loop] : NULL;
    if (l && !(l->kind == LOOP_SIZE && l->size == 1)) return false;
  }
  return true;
}

void reduce_join(Emit *e, const LoopInstr *i, LLVMValueRef partial, uint32_t stride) {
  ReduceKind kind = (ReduceKind)i->kind2;
  LLVMValueRef v = NULL, offset = NULL;
  for (uint32_t part = 0; part < SVI_PARTS; part++) {
    LLVMValueRef at = emit_index(e, (uint64_t)part * stride);
    LLVMValueRef x = LLVMBuildLoad2(e->b, e->real, LLVMBuildInBoundsGEP2(e->b, e->real, partial, &at, 1, ""), "partial");
    v = v ? combine(e, kind, v, x) : x;
  }
  Amount size[AXIS_MAX + DIM_MAX], step[AXIS_MAX + DIM_MAX];
  int32_t axis[AXIS_MAX + DIM_MAX];
  buffer_layout(e, i->buf, size, step, axis);
  for (uint32_t k = 0; k < i->at.n; k++)
    if (i->at.at[k].plus) offset = emit_add(e, offset, emit_mul(e, emit_index(e, (uint64_t)i->at.at[k].plus), amount_emit(e, step[k])));
  LLVMValueRef to = buffer_base(e, i->buf);
  if (offset) to = LLVMBuildInBoundsGEP2(e->b, e->real, to, &offset, 1, "");
  if (starts_anew(e, i->from)) v = combine(e, kind, LLVMBuildLoad2(e->b, e->real, to, "before"), v);      /* in a serial phase: always, or never */
  LLVMBuildStore(e->b, v, to);
}
