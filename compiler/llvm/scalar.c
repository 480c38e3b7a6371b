/* One element: elementwise ops as their rows of elementwise.def say, kernels, random draws.
 *
 * note [fast math]  Own arithmetic may contract, drop the sign of zero and multiply by reciprocals; sums of a reduction may
 * be taken in any order too.  Never nnan or ninf: a model's NaN must arrive.  Kernels keep the strict arithmetic they
 * were compiled with. */
#include "emit.h"

LLVMValueRef fast(LLVMValueRef v, unsigned flags) {
  if (LLVMIsAInstruction(v) && LLVMCanValueUseFastMathFlags(v)) LLVMSetFastMathFlags(v, flags);
  return v;
}

LLVMValueRef scalar_bit(Emit *e, LLVMValueRef bit) {
  return LLVMBuildSelect(e->b, bit, emit_real(e, 1), emit_real(e, 0), "");
}

LLVMValueRef scalar_intrinsic(Emit *e, const char *name, uint32_t n, const LLVMValueRef *arg) {
  char full[64];
  snprintf(full, sizeof full, "llvm.%s", name);
  unsigned id = LLVMLookupIntrinsicID(full, strlen(full));
  if (!id) BUG("no intrinsic %s", full);
  LLVMValueRef f = LLVMGetIntrinsicDeclaration(e->m, id, &e->real, 1), a[3] = {NULL};
  memcpy(a, arg, n * sizeof *a);
  return fast(LLVMBuildCall2(e->b, LLVMGlobalGetValueType(f), f, a, n, ""), FAST_PLAIN);
}

/* A function of numbers only; its body may come with kernels_link(). */
static LLVMValueRef pure_function(Emit *e, const char *name, uint32_t n, const LLVMTypeRef *types) {
  LLVMValueRef f = LLVMGetNamedFunction(e->m, name);
  if (f) return f;
  LLVMTypeRef t[8];
  memcpy(t, types, n * sizeof *t);
  f = LLVMAddFunction(e->m, name, LLVMFunctionType(e->real, t, n, false));
  attribute_add(e, f, "memory", 0);
  attribute_add(e, f, "nounwind", 0);
  attribute_add(e, f, "willreturn", 0);
  vec_push(e->arena, &e->kernels, name_of(name));
  return f;
}

LLVMValueRef scalar_kernel(Emit *e, const char *name, uint32_t n, const LLVMValueRef *arg) {
  char full[64];
  snprintf(full, sizeof full, "svi_%s_%s", name, e->real_bytes == 4 ? "f32" : "f64");
  LLVMTypeRef types[3] = {e->real, e->real, e->real};
  LLVMValueRef f = pure_function(e, full, n, types), a[3] = {NULL};
  memcpy(a, arg, n * sizeof *a);
  return LLVMBuildCall2(e->b, LLVMGlobalGetValueType(f), f, a, n, "");
}

LLVMValueRef scalar_random(Emit *e, RandomKind kind, LLVMValueRef k0, LLVMValueRef k1, LLVMValueRef c0,
                           LLVMValueRef c1, LLVMValueRef argument) {
  LLVMValueRef a[5] = {k0, k1, c0, c1, argument};
  const char *name = NULL;
  switch (kind) {
    case RANDOM_UNIFORM: name = "uniform"; break;
    case RANDOM_NORMAL:  name = "normal"; break;
    case RANDOM_GAMMA:   name = "standard_gamma"; break;
    case RANDOM_POISSON: return runtime_call(e, RUNTIME_svi_poisson, 5, a);
    case RANDOM_VONMISES: return runtime_call(e, RUNTIME_svi_vonmises, 5, a);
  }
  char full[64];
  snprintf(full, sizeof full, "svi_%s_%s", name, e->real_bytes == 4 ? "f32" : "f64");
  LLVMTypeRef types[5] = {e->i32, e->i32, e->i32, e->i32, e->real};
  uint32_t n = kind == RANDOM_GAMMA ? 5 : 4;
  LLVMValueRef f = pure_function(e, full, n, types);
  return LLVMBuildCall2(e->b, LLVMGlobalGetValueType(f), f, a, n, "");
}

/* ---- lowering words of elementwise.def */
typedef enum {
  WORD_INSN,
  WORD_INTRINSIC,
  WORD_KERNEL,
  WORD_CMP,
  WORD_SQUARE,
  WORD_RECIP,
  WORD_SIGN,
  WORD_SELECT
} Word;
typedef struct { OpKind op; Word word; uint32_t n; int code; const char *name; } Lowering;

#define INSN(x)      WORD_INSN,      LLVM##x, NULL
#define INTRINSIC(x) WORD_INTRINSIC, 0, #x
#define KERNEL(x)    WORD_KERNEL,    0, #x
#define CMP(x)       WORD_CMP,       LLVMReal##x, NULL
#define SQUARE       WORD_SQUARE,    0, NULL
#define RECIP        WORD_RECIP,     0, NULL
#define SIGN         WORD_SIGN,      0, NULL
#define SELECT       WORD_SELECT,    0, NULL
#define ROW(op, n, ...)  ROW_(op, n, __VA_ARGS__)
#define ROW_(op, n, word, code, name) {op, word, n, code, name},
static const Lowering lowerings[] = {
#define UNARY(name, forward, da, lowering, ...)           ROW(OP_##name, 1, lowering)
#define BINARY(name, forward, da, db, lowering, ...)      ROW(OP_##name, 2, lowering)
#define TERNARY(name, forward, da, db, dc, lowering, ...) ROW(OP_##name, 3, lowering)
#include "../ops/elementwise.def"
#undef UNARY
#undef BINARY
#undef TERNARY
};

static const Lowering *lowering_of(OpKind op) {
  for (size_t i = 0; i < LEN(lowerings); i++) if (lowerings[i].op == op) return &lowerings[i];
  BUG("op %d is not elementwise", (int)op);
}

bool scalar_is_kernel(OpKind op) { return lowering_of(op)->word == WORD_KERNEL; }

LLVMValueRef scalar_op(Emit *e, OpKind op, const LLVMValueRef *arg, const LLVMValueRef *bit,
                       LLVMValueRef *out_bit) {
  const Lowering *l = lowering_of(op);
  LLVMValueRef a = arg[0], zero = emit_real(e, 0);
  *out_bit = NULL;
  switch (l->word) {
    case WORD_INSN:
      if (l->n == 1) return fast(LLVMBuildFNeg(e->b, a, ""), FAST_PLAIN);
      return fast(LLVMBuildBinOp(e->b, (LLVMOpcode)l->code, a, arg[1], ""), FAST_PLAIN);
    case WORD_INTRINSIC: return scalar_intrinsic(e, l->name, l->n, arg);
    case WORD_KERNEL:    return scalar_kernel(e, l->name, l->n, arg);
    case WORD_CMP:
      *out_bit = LLVMBuildFCmp(e->b, (LLVMRealPredicate)l->code, a, arg[1], "");
      return scalar_bit(e, *out_bit);
    case WORD_SQUARE: return fast(LLVMBuildFMul(e->b, a, a, ""), FAST_PLAIN);
    case WORD_RECIP:  return fast(LLVMBuildFDiv(e->b, emit_real(e, 1), a, ""), FAST_PLAIN);
    case WORD_SIGN: {
      LLVMValueRef up = scalar_bit(e, LLVMBuildFCmp(e->b, LLVMRealOGT, a, zero, ""));
      LLVMValueRef down = LLVMBuildFCmp(e->b, LLVMRealOLT, a, zero, "");
      return LLVMBuildSelect(e->b, down, emit_real(e, -1), up, "sign");
    }
    case WORD_SELECT: {
      LLVMValueRef yes = bit[0] ? bit[0] : LLVMBuildFCmp(e->b, LLVMRealUNE, a, zero, "");
      return LLVMBuildSelect(e->b, yes, arg[1], arg[2], "");
    }
  }
  BUG("lowering of kind %d", (int)l->word);
}
