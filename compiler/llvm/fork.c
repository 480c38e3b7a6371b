/* fork: a large nest of a serial phase on all threads.
 *
 * In:  the function of a nest, made for some turns [from, to) of its outermost loop.
 * Out: a call of svi_fork, which has it done in parts, and the joining of what the parts have reduced.
 *
 * Serial phases compute what exists once: mostly a few numbers, but the draws, densities and gradients of global latents may be
 * a million.  Parts are the same for any number of threads, and their sums are joined in order.
 *
 * A nest can be cut when its turns do not meet: everything it stores, or reduces for some index, names its outermost loop; what it
 * reduces over all loops has a slot for each part. */
#include "emit.h"

enum { MUCH = 60000, UNKNOWN_TURNS = 100, UNIT = 64 };

static bool turns_once(const Loop *l) { return l->kind == LOOP_SIZE && l->size == 1; }

static uint32_t outermost(const Nest *nest) {
  uint32_t l = 0;
  while (l < nest->nloop && turns_once(&nest->loop[l])) l++;
  return l;
}

static bool names(const Access *a, uint32_t loop) {
  for (uint32_t k = 0; k < a->n; k++) if (a->at[k].kind == IX_LOOP && a->at[k].loop == loop) return true;
  return false;
}

/* About how many simple operations an instruction is worth. */
static double weight(const LoopInstr *i) {
  if (i->kind == LI_RANDOM) return 40;
  return i->kind == LI_OP && scalar_is_kernel(i->op) ? 10 : 1;
}

bool fork_pays(const Emit *e, const Nest *nest) {
  if (e->phase->axis >= 0 || e->f.along) return false;
  uint32_t outer = outermost(nest);
  double work = 0;
  for (uint32_t k = 0; k < nest->instr.n; k++) {
    const LoopInstr *i = &nest->instr.at[k];
    double turns = 1;
    for (uint32_t l = 0; l < i->depth; l++) turns *= nest->loop[l].kind == LOOP_SIZE ? nest->loop[l].size : UNKNOWN_TURNS;
    work += turns * weight(i);
    if (i->kind != LI_STORE && i->kind != LI_REDUCE) continue;
    if (i->depth <= outer || (i->kind == LI_REDUCE && reduce_needs_memory(nest, i))) return false;
    if (!names(&i->at, outer) && !reduce_is_whole(nest, i)) return false;
  }
  return work >= MUCH;
}

void fork_call(Emit *e, const Nest *nest, LLVMValueRef fn, uint32_t n, LLVMValueRef *needs) {
  uint32_t slots = 0, slot = 0;
  for (uint32_t k = 0; k < nest->instr.n; k++) slots += reduce_is_whole(nest, &nest->instr.at[k]);
  LLVMTypeRef table = LLVMArrayType2(e->i64, n ? n : 1), room = LLVMArrayType2(e->real, slots ? (uint64_t)slots * SVI_PARTS : 1);
  LLVMValueRef behind = emit_local(e, table, "needs"), partial = emit_local(e, room, "partial");
  for (uint32_t i = 0; i < n; i++) {
    LLVMValueRef at = emit_index(e, i);
    LLVMBuildStore(e->b, needs[i], LLVMBuildInBoundsGEP2(e->b, e->i64, behind, &at, 1, ""));
  }
  bool innermost;
  LLVMValueRef turns = nest_turns(e, nest, &innermost);
  LLVMValueRef arg[] = {e->f.call, fn, behind, turns, emit_index(e, innermost ? UNIT : 1), partial, emit_index(e, (uint64_t)slots * e->real_bytes)};
  runtime_call(e, RUNTIME_svi_fork, LEN(arg), arg);
  for (uint32_t k = 0; k < nest->instr.n; k++) {
    if (!reduce_is_whole(nest, &nest->instr.at[k])) continue;
    LLVMValueRef at = emit_index(e, slot++);
    reduce_join(e, &nest->instr.at[k], LLVMBuildInBoundsGEP2(e->b, e->real, partial, &at, 1, ""), slots);
  }
}
