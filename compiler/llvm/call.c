/* Calls of the runtime: matrix products, columns of data, factorisations, samplers.
 *
 * In:  a Call: operands as buffers, sizes and strides as extents.
 * Out: the call, inside a loop where it is batched. */
#include "emit.h"

/* ---- runtime functions: runtime.def */
typedef struct { const char *name; bool wide; const char *result, *arguments; bool pure; } RuntimeRow;
static const RuntimeRow rows[] = {
#define RUNTIME(name, wide, result, arguments, pure) {#name, wide, result, arguments, pure},
#include "runtime.def"
#undef RUNTIME
};

/* A bool is passed as a word of 0 or 1, which every calling convention in use takes for one. */
static LLVMTypeRef type_of(const Emit *e, char c) {
  switch (c) {
    case 'v': return e->void_;
    case 'b': case 'i': case 'k': return e->i32;
    case 'u': return e->i64;
    case 'r': return e->real;
    case 'p': return e->ptr;
  }
  BUG("no type '%c'", c);
}

LLVMValueRef runtime_call(Emit *e, RuntimeKind k, uint32_t n, LLVMValueRef *arg) {
  const RuntimeRow *r = &rows[k];
  if (strlen(r->arguments) != n) BUG("%s takes %zu arguments", r->name, strlen(r->arguments));
  if (!e->runtime[k]) {
    const char *width = !r->wide ? "" : e->real_bytes == 4 ? "_f32" : "_f64";
    const char *name = arena_printf(e->arena, "%s%s", r->name, width);
    LLVMTypeRef types[20];
    for (uint32_t i = 0; i < n; i++) types[i] = type_of(e, r->arguments[i]);
    LLVMValueRef f = LLVMAddFunction(e->m, name, LLVMFunctionType(type_of(e, r->result[0]), types, n, false));
    attribute_add(e, f, "nounwind", 0);
    if (r->pure) attribute_add(e, f, "memory", 0), attribute_add(e, f, "willreturn", 0);
    e->runtime[k] = f;
  }
  return LLVMBuildCall2(e->b, LLVMGlobalGetValueType(e->runtime[k]), e->runtime[k], arg, n, "");
}

/* ---- operands */
static LLVMValueRef flag(Emit *e, bool x) { return LLVMConstInt(e->i32, x, false); }

/* A step of a stream reckons with the block's particles, a chunked phase with the chunk's rows. */
static Amount amount_of(const Emit *e, Extent x, bool here) {
  Amount a = {x.constant, 0, 0};
  for (uint32_t axis = 0; axis < AXIS_MAX; axis++) {
    if (x.axes >> axis & 1 && !amount_mul(a, amount_of_axis(e, axis, here), &a))
      BUG("an axis twice in an extent");
  }
  return a;
}

static LLVMValueRef extent(Emit *e, Extent x) { return amount_emit(e, amount_of(e, x, true)); }

/* A stride is of the buffer, which may be one of the batch. */
static LLVMValueRef stride(Emit *e, Extent x, Buf buf) {
  return amount_emit(e, amount_of(e, x, buffer_is_chunked(e, buf)));
}

/* The first element of the chunk's rows and the block's particles. */
static LLVMValueRef operand(Emit *e, Buf buf) {
  LLVMValueRef base = buffer_base(e, buf), at = NULL;
  if (buffer_is_chunked(e, buf)) return base;
  Amount size[AXIS_MAX + DIM_MAX], step[AXIS_MAX + DIM_MAX];
  int32_t axis[AXIS_MAX + DIM_MAX];
  uint32_t n = buffer_layout(e, buf, size, step, axis);
  for (uint32_t k = 0; k < n; k++) {
    if (axis[k] < 0) continue;
    if (axis[k] == e->phase->axis) at = emit_add(e, at, emit_mul(e, chunk_first(e), amount_emit(e, step[k])));
    else if (e->f.streamed && axis[k] == e->phase->particles)
      at = emit_add(e, at, emit_mul(e, e->f.start, amount_emit(e, step[k])));
  }
  return at ? LLVMBuildInBoundsGEP2(e->b, e->real, base, &at, 1, "") : base;
}

/* ... of the step at hand, `by` times which it lies further on. */
static LLVMValueRef at_step(Emit *e, LLVMValueRef base, Extent by, Buf buf) {
  if (!e->f.along || by.constant == 0) return base;
  LLVMValueRef at = emit_mul(e, e->f.step, stride(e, by, buf));
  return LLVMBuildInBoundsGEP2(e->b, e->real, base, &at, 1, "");
}

static LLVMValueRef moved(Emit *e, LLVMValueRef base, LLVMValueRef turn, Extent by, Buf buf) {
  if (!turn || by.constant == 0) return base;
  LLVMValueRef at = emit_mul(e, turn, stride(e, by, buf));
  return LLVMBuildInBoundsGEP2(e->b, e->real, base, &at, 1, "");
}

/* ---- kinds */
static void emit_gemm(Emit *e, const Call *whole) {
  Call cut;
  const Call *c = whole;
  Extent step_a = {0, 0}, step_b = {0, 0}, step_c = {0, 0};
  if (e->f.along) {
    if (!call_of_step(whole, (uint32_t)e->f.along - 1, &cut, &step_a, &step_b, &step_c)) BUG("a product that cannot be cut along a plate");
    c = &cut;
  }
  LLVMValueRef m = extent(e, c->m), n = extent(e, c->n), k = extent(e, c->k);
  LLVMValueRef lda = stride(e, c->lda, c->a), ldb = stride(e, c->ldb, c->b), ldc = stride(e, c->ldc, c->c);
  LLVMValueRef a = at_step(e, operand(e, c->a), step_a, c->a), b = at_step(e, operand(e, c->b), step_b, c->b);
  LLVMValueRef out = at_step(e, operand(e, c->c), step_c, c->c), add = flag(e, c->add);
  LLVMValueRef anew = c->add ? NULL : starts_anew(e, c->from);
  if (anew) add = LLVMBuildZExt(e->b, LLVMBuildNot(e->b, anew, ""), e->i32, "add");
  Amount times = amount_of(e, c->batch, true);
  bool once = amount_equal(times, ONE_OF_IT);
  OpenLoop l = {0};
  if (!once) l = loop_open(e, amount_emit(e, times), NULL, "batch");
  a   = moved(e, a,   l.index, c->stride_a, c->a);
  b   = moved(e, b,   l.index, c->stride_b, c->b);
  out = moved(e, out, l.index, c->stride_c, c->c);
  LLVMValueRef shift = LLVMConstInt(e->i32, (uint64_t)(int64_t)c->shift, true);
  if (e->phase->after) {
    LLVMValueRef arg[] = {e->f.call, LLVMConstInt(e->i32, c->triangle, false), flag(e, c->bits), shift, flag(e, c->ta), flag(e, c->tb),
                          m, n, k, a, lda, b, ldb, add, out, ldc};
    runtime_call(e, RUNTIME_svi_gemm_shared, LEN(arg), arg);
  } else {
    LLVMValueRef arg[] = {flag(e, c->triangle == TRIANGLE_RESULT), flag(e, c->bits), shift, flag(e, c->ta), flag(e, c->tb), m, n, k, a, lda, b, ldb, add, out, ldc};
    uint32_t own = c->triangle ? 0 : 3;                  /* only triangles have the first three */
    runtime_call(e, c->triangle ? RUNTIME_svi_gemm_triangle : c->bits ? RUNTIME_svi_gemm_bits : RUNTIME_svi_gemm, LEN(arg) - own, arg + own);
  }
  if (!once) loop_close(e, &l, (LoopHint){0});
}

/* Rows of the chunk when the call's rows are along the chunked plate, otherwise all that are present. */
static void emit_load_rows(Emit *e, const Call *c) {
  bool chunked = e->phase->axis >= 0 && c->m.axes >> e->phase->axis & 1;
  LLVMValueRef first = chunked ? chunk_first(e) : emit_index(e, 0);
  LLVMValueRef column = LLVMConstInt(e->i32, (uint64_t)(int64_t)c->column, true);
  LLVMValueRef arg[] = {e->f.call, column, first, extent(e, c->m), operand(e, c->c)};
  runtime_call(e, RUNTIME_svi_load_rows, LEN(arg), arg);
}

/* Both lie rows outside, then steps, then what a step is made of. */
void step_emit_copy(Emit *e, const Repeat *r) {
  AxisSet bit = (AxisSet)1 << r->along, outside = bit - 1;
  Extent around = {1, r->size.axes & outside}, within = {r->size.constant, r->size.axes & ~(outside | bit)}, apart = within;
  apart.axes |= bit;
  LLVMValueRef next = at_step(e, operand(e, r->next), within, r->next), guess = at_step(e, operand(e, r->guess), within, r->guess);
  LLVMValueRef arg[] = {extent(e, around), stride(e, apart, r->next), extent(e, within), next, guess};
  runtime_call(e, RUNTIME_svi_copy_step, LEN(arg), arg);
}

LLVMValueRef repeat_turns(Emit *e, const Repeat *r) { return extent(e, r->turns); }
LLVMValueRef settle_emit(Emit *e, const Repeat *r) {
  LLVMValueRef arg[] = {extent(e, r->size), operand(e, r->next), operand(e, r->guess)};
  LLVMValueRef changed = runtime_call(e, RUNTIME_svi_settle, LEN(arg), arg);
  return LLVMBuildICmp(e->b, LLVMIntNE, changed, LLVMConstInt(e->i32, 0, false), "changed");
}

void call_emit(Emit *e, const Call *c) {
  debug_at(e, c->span);
  switch (c->kind) {
    case CALL_GEMM:      emit_gemm(e, c); return;
    case CALL_LOAD_ROWS: emit_load_rows(e, c); return;
    case CALL_CHOLESKY: {
      LLVMValueRef arg[] = {extent(e, c->batch), extent(e, c->n), operand(e, c->a), operand(e, c->c)};
      runtime_call(e, RUNTIME_svi_cholesky, LEN(arg), arg);
      return;
    }
    case CALL_RUNNING: {
      LLVMValueRef arg[] = {extent(e, c->batch), extent(e, c->n), extent(e, c->m), flag(e, c->trans), operand(e, c->a), operand(e, c->c)};
      runtime_call(e, RUNTIME_svi_running, LEN(arg), arg);
      return;
    }
    case CALL_SOLVE_TRI: {
      LLVMValueRef arg[] = {extent(e, c->batch), extent(e, c->n),  extent(e, c->m),  flag(e, c->lower),
                            flag(e, c->trans),   operand(e, c->a), operand(e, c->b), operand(e, c->c)};
      runtime_call(e, RUNTIME_svi_solve_tri, LEN(arg), arg);
      return;
    }
  }
  BUG("call of kind %d", (int)c->kind);
}
