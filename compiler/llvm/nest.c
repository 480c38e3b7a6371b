/* A loop nest.
 *
 * In:  a Nest: loops, and instructions that say how many loops they stand inside.
 * Out: LLVM loops at the builder's place.
 *
 * Adjacent loops become one (a LEVEL) when every instruction inside treats them as one: it names neither, or it steps along
 * the outer exactly as far as the inner runs, and none stands between them or asks for an index by itself.  So rows x
 * particles x dims of like-shaped values is one long loop.  Loops of one turn vanish.
 *
 * An instruction stands before the loops inside its level; reductions in registers begin before and end after their loops.
 *
 * note [tails]  An innermost loop is cut into whole vectors and a rest, and the rest is asked to be one masked vector: both
 * vectorise without the scalar copy LLVM would keep for the last few turns, which is slow where a turn is long (a normal draw
 * costs as much alone as sixteen of them) and is half of the code to compile.  Where a turn is long, masks cost little, and all of
 * the loop is masked vectors: half of the code again.  A few turns (two-dimensional latents) are
 * written out, so that the loop around them is the innermost one, unless that makes much code. */
#include "emit.h"

enum { FEW = 4, WRITTEN_OUT = 700 };       /* turns; instructions, about (and twice, with the tail) */

/* ---- merging */
static bool steps_join(const Steps *s, uint32_t outer, uint32_t inner, Amount turns) {
  if (s->alone[outer] || s->alone[inner] || s->uses[outer] != s->uses[inner]) return false;
  if (!s->uses[inner]) return true;
  Amount run;
  return amount_mul(s->step[inner], turns, &run) && amount_equal(run, s->step[outer]);
}

/* Whether the loop `inner` may be merged with `outer`, the next one out of more than one turn. */
static bool loops_join(const Emit *e, const NestPlan *p, uint32_t outer, uint32_t inner) {
  Amount turns = amount_of_loop(e, &p->nest->loop[inner]);
  for (uint32_t i = 0; i < p->nest->instr.n; i++) {
    uint32_t depth = p->nest->instr.at[i].depth;
    if (depth <= outer) continue;
    if (depth <= inner || !steps_join(&p->steps[i], outer, inner, turns)) return false;
  }
  return true;
}

static bool turns_once(const Emit *e, const Loop *l) { return (l->kind == LOOP_SIZE && l->size == 1) || loop_is_step(e, l); }

static void find_levels(const Emit *e, NestPlan *p) {
  uint32_t outer = UINT32_MAX;
  for (uint32_t l = 0; l < p->nest->nloop; l++) {
    p->at[l] = NO_LEVEL;
    if (turns_once(e, &p->nest->loop[l])) continue;
    if (outer == UINT32_MAX || !loops_join(e, p, outer, l)) p->nlevel++;
    p->at[l] = p->nlevel - 1;
    p->last[p->nlevel - 1] = outer = l;
  }
  for (uint32_t i = 0; i < p->nest->instr.n; i++) {
    for (uint32_t l = 0; l < p->nest->instr.at[i].depth; l++) {
      if (p->at[l] != NO_LEVEL) p->level[i] = p->at[l] + 1;
    }
  }
}

/* ---- indices */
LLVMValueRef nest_index(Emit *e, const NestPlan *p, const Index *ix, bool local) {
  LLVMValueRef plus = ix->plus ? emit_index(e, (uint64_t)(int64_t)ix->plus) : NULL, v = NULL;
  switch (ix->kind) {
    case IX_CONST: break;
    case IX_VALUE: {
      /* NaN and what does not fit have an index too (0, the ends): a guard can then do its work */
      LLVMTypeRef types[2] = {e->i32, e->real};
      unsigned id = LLVMLookupIntrinsicID("llvm.fptosi.sat", strlen("llvm.fptosi.sat"));
      LLVMValueRef f = LLVMGetIntrinsicDeclaration(e->m, id, types, 2), arg = p->value[ix->value];
      v = LLVMBuildCall2(e->b, LLVMGlobalGetValueType(f), f, &arg, 1, "");
      v = LLVMBuildSExt(e->b, v, e->i64, "at");
      break;
    }
    case IX_LOOP: {
      const Loop *loop = &p->nest->loop[ix->loop];
      if (p->at[ix->loop] != NO_LEVEL) v = p->index[p->at[ix->loop]];
      else if (loop_is_step(e, loop)) v = e->f.step;
      if (!local && loop->kind == LOOP_ROWS) v = emit_add(e, chunk_first(e), v);
      if (!local && loop->kind == LOOP_AXIS && e->f.streamed && (int32_t)loop->axis == e->phase->particles)
        v = emit_add(e, e->f.start, v);
      break;
    }
  }
  v = emit_add(e, v, plus);
  return v ? v : emit_index(e, 0);
}

/* An index as a number.  Counts stay below 2^31, and 32 bits convert twice as fast. */
static LLVMValueRef emit_iota(Emit *e, const NestPlan *p, const LoopInstr *i) {
  LLVMValueRef v = nest_index(e, p, &i->at.at[0], false);
  if (i->kind2 && i->at.at[0].plus) {                        /* behind a shift, and perhaps outside: any row will do there */
    LLVMValueRef top = LLVMBuildNSWSub(e->b, call_size(e, i->id), emit_index(e, 1), "top");
    v = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntUGT, v, top, ""), top, v, "clamped");
  }
  if (i->kind2) return LLVMBuildUIToFP(e->b, row_load(e, i->id, v), e->real, "row");
  return LLVMBuildSIToFP(e->b, LLVMBuildTrunc(e->b, v, e->i32, ""), e->real, "iota");
}

static LLVMValueRef emit_inside(Emit *e, const NestPlan *p, uint32_t instr) {
  const LoopInstr *i = &p->nest->instr.at[instr];
  LLVMValueRef v = LLVMBuildTrunc(e->b, nest_index(e, p, &i->at.at[0], false), e->i32, "");
  LLVMValueRef from = LLVMBuildSub(e->b, v, LLVMConstInt(e->i32, (uint64_t)(int64_t)i->lo, true), "");
  uint64_t width = i->hi > i->lo ? (uint64_t)(i->hi - i->lo) : 0;
  p->bit[instr] = LLVMBuildICmp(e->b, LLVMIntULT, from, LLVMConstInt(e->i32, width, false), "inside");
  return scalar_bit(e, p->bit[instr]);
}

static LLVMValueRef emit_count(Emit *e, const LoopInstr *i) {
  LLVMValueRef n = i->kind2 ? call_total(e, i->id) : call_size(e, i->id);
  return LLVMBuildUIToFP(e->b, n, e->real, "count");
}

/* ---- instructions */
static void emit_instr(Emit *e, NestPlan *p, uint32_t instr) {
  const LoopInstr *i = &p->nest->instr.at[instr];
  LLVMValueRef arg[3] = {NULL}, bit[3] = {NULL};
  for (uint32_t k = 0; k < i->nargs; k++) {
    if (i->arg[k] >= instr) BUG("an instruction uses a later one");
    arg[k] = p->value[i->arg[k]];
    bit[k] = p->bit[i->arg[k]];
  }
  debug_at(e, i->span);
  switch (i->kind) {
    case LI_CONST:  p->value[instr] = emit_real(e, i->number); return;
    case LI_OPTION: p->value[instr] = call_option(e, i->id); return;
    case LI_COUNT:  p->value[instr] = emit_count(e, i); return;
    case LI_IOTA:   p->value[instr] = emit_iota(e, p, i); return;
    case LI_INSIDE: p->value[instr] = emit_inside(e, p, instr); return;
    case LI_OP:     p->value[instr] = scalar_op(e, i->op, arg, bit, &p->bit[instr]); return;
    case LI_LOAD:   p->value[instr] = access_load_guarded(e, p, instr); return;
    case LI_STORE:  if (!p->for_top) access_store(e, p, instr, arg[0], access_address(e, p, instr)); return;
    case LI_REDUCE: reduce_step(e, p, instr); return;
    case LI_RANDOM: {
      LLVMValueRef row, counter = random_counter(e, p, instr, &row);
      LLVMValueRef k0 = call_key(e, i->id, 0), k1 = call_key(e, i->id, 1);
      p->value[instr] = scalar_random(e, (RandomKind)i->kind2, k0, k1, row, counter, arg[0]);
      return;
    }
  }
  BUG("instruction of kind %d", (int)i->kind);
}

static bool deeper(const NestPlan *p, uint32_t level) {
  for (uint32_t i = 0; i < p->nest->instr.n; i++) if (p->level[i] > level) return true;
  return false;
}

/* The turns of a level: those of its loops together. */
static LLVMValueRef emit_turns(Emit *e, const NestPlan *p, uint32_t level) {
  LLVMValueRef n = emit_index(e, 1);
  for (uint32_t l = 0; l < p->nest->nloop; l++) {
    if (p->at[l] == level) n = emit_mul(e, n, amount_emit(e, amount_of_loop(e, &p->nest->loop[l])));
  }
  return n;
}

static void emit_level(Emit *e, NestPlan *p, uint32_t level);

static void emit_loop(Emit *e, NestPlan *p, uint32_t level, LLVMValueRef from, LLVMValueRef n,
                      LLVMValueRef none, LoopHint hint) {
  if (level == 0 && e->f.from) from = emit_add(e, e->f.from, from);
  OpenLoop l = loop_open(e, n, none, "loop");
  p->index[level] = emit_add(e, from, l.index);
  emit_level(e, p, level + 1);
  loop_close(e, &l, hint);
}

static void emit_turn(Emit *e, NestPlan *p, uint32_t level, uint64_t at) {
  p->index[level] = emit_index(e, at);
  emit_level(e, p, level + 1);
}

/* Whether a turn of the innermost loop is long enough to hide its latencies by itself. */
static bool is_heavy(const NestPlan *p, uint32_t level) {
  for (uint32_t i = 0; i < p->nest->instr.n; i++) {
    const LoopInstr *in = &p->nest->instr.at[i];
    if (p->level[i] <= level) continue;
    if (in->kind == LI_RANDOM || (in->kind == LI_REDUCE && in->kind2 == REDUCE_LOGSUMEXP)) return true;
    if (in->kind == LI_OP && scalar_is_kernel(in->op)) return true;
  }
  return false;
}

/* About how many of LLVM's instructions a turn is. */
static uint32_t turn_size(const NestPlan *p, uint32_t level) {
  uint32_t size = 0;
  for (uint32_t i = 0; i < p->nest->instr.n; i++) {
    const LoopInstr *in = &p->nest->instr.at[i];
    if (p->level[i] > level) size += in->kind == LI_RANDOM ? 100 : in->kind == LI_OP && scalar_is_kernel(in->op) ? 40 : 2;
  }
  return size;
}

/* see note [tails] */
static void emit_innermost(Emit *e, NestPlan *p, uint32_t level, LLVMValueRef turns) {
  bool heavy = is_heavy(p, level), constant = LLVMIsAConstantInt(turns);
  uint32_t unit = e->lanes;
  if (heavy && !(constant && LLVMConstIntGetZExtValue(turns) % unit == 0)) {
    emit_loop(e, p, level, NULL, turns, NULL, (LoopHint){1, true});
    return;
  }
  if (!constant) {
    LLVMValueRef mask = emit_index(e, unit - 1);
    LLVMValueRef rest = LLVMBuildAnd(e->b, turns, mask, "rest"),
                 whole = LLVMBuildAnd(e->b, turns, LLVMBuildNot(e->b, mask, ""), "whole");
    /* asked as the vectoriser will ask: the scalar loop it keeps for too few turns is then seen to be dead */
    LLVMValueRef none = LLVMBuildICmp(e->b, LLVMIntULT, turns, emit_index(e, unit), "none");
    emit_loop(e, p, level, NULL, whole, none, (LoopHint){1, false});
    emit_loop(e, p, level, whole, rest, NULL, (LoopHint){1, true});
    return;
  }
  uint64_t n = LLVMConstIntGetZExtValue(turns), rest = n % unit;
  if (rest < n) emit_loop(e, p, level, NULL, emit_index(e, n - rest), NULL, (LoopHint){1, false});
  if (rest <= 1) {
    if (rest) emit_turn(e, p, level, n - 1);
    return;
  }
  emit_loop(e, p, level, emit_index(e, n - rest), emit_index(e, rest), NULL,
            (LoopHint){1, rest % e->lanes != 0});
}

static void emit_pass(Emit *e, NestPlan *p, uint32_t level, LLVMValueRef turns) {
  bool innermost = !deeper(p, level + 1);
  if (innermost && LLVMIsAConstantInt(turns) && LLVMConstIntGetZExtValue(turns) <= FEW &&
      LLVMConstIntGetZExtValue(turns) * turn_size(p, level) <= WRITTEN_OUT) {
    for (uint64_t i = 0, n = LLVMConstIntGetZExtValue(turns); i < n; i++) emit_turn(e, p, level, i);
  } else if (innermost && e->lanes > 1) {
    emit_innermost(e, p, level, turns);
  } else {
    emit_loop(e, p, level, NULL, turns, NULL, (LoopHint){0});
  }
}

static void emit_level(Emit *e, NestPlan *p, uint32_t level) {
  for (uint32_t i = 0; i < p->nest->instr.n; i++) {
    if (p->level[i] == level) emit_instr(e, p, i);
  }
  if (!deeper(p, level)) return;
  LLVMValueRef turns = level == 0 && e->f.from ? LLVMBuildNUWSub(e->b, e->f.to, e->f.from, "turns") : emit_turns(e, p, level);
  reduce_enter(e, p, level);
  if (!p->for_top && reduce_wants_top(p, level)) {
    p->for_top = true;
    emit_pass(e, p, level, turns);
    p->for_top = false;
    reduce_top(e, p, level);
  }
  emit_pass(e, p, level, turns);
  reduce_leave(e, p, level);
}

static NestPlan *plan_new(Emit *e, const Nest *nest) {
  uint32_t n = nest->instr.n;
  if (nest->nloop > LOOP_DEPTH_MAX) BUG("a nest of %u loops", nest->nloop);
  NestPlan *p = NEW(e->arena, NestPlan);
  p->nest = nest;
  p->steps       = arena_alloc(e->arena, (n + 1) * sizeof *p->steps);
  p->value       = arena_alloc(e->arena, (n + 1) * sizeof *p->value);
  p->bit         = arena_alloc(e->arena, (n + 1) * sizeof *p->bit);
  p->aliases     = arena_alloc(e->arena, (n + 1) * sizeof *p->aliases);
  p->accumulator = arena_alloc(e->arena, (n + 1) * sizeof *p->accumulator);
  p->top         = arena_alloc(e->arena, (n + 1) * sizeof *p->top);
  p->level       = arena_alloc(e->arena, (n + 1) * sizeof *p->level);
  for (uint32_t i = 0; i < n; i++) steps_of_instr(e, nest, &nest->instr.at[i], &p->steps[i]);
  find_levels(e, p);
  return p;
}

LLVMValueRef nest_turns(Emit *e, const Nest *nest, bool *innermost) {
  const NestPlan *p = plan_new(e, nest);
  *innermost = p->nlevel == 1;
  return emit_turns(e, p, 0);
}

void nest_emit(Emit *e, const Nest *nest) {
  reduce_prepare(e, nest);
  NestPlan *p = plan_new(e, nest);
  aliases_find(e, p);
  e->f.nests++;
  emit_level(e, p, 0);
}
