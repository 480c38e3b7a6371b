/* Kernels: the runtime's elementwise C, as bitcode inside this compiler, linked into a module and inlined.
 *
 * In:  a module with declarations of the kernels it uses (svi_exp_f32, ...).
 * Out: their bodies, internal and always inlined, compiled for the module's processor.
 *
 * The bitcode's functions are made linkonce, so that the linker takes only those that are declared here (and what they
 * call); a kernel without a body in the bitcode (standard_gamma_f64, gamma_grad_f64, vonmises_grad) stays a function of the runtime library. */
#include <llvm-c/BitReader.h>
#include <llvm-c/Linker.h>
#include "emit.h"

/* kernels_embed.S */
extern const char svic_kernels_f32[], svic_kernels_f32_end[], svic_kernels_f64[], svic_kernels_f64_end[];

static LLVMModuleRef kernels_parse(Emit *e) {
  const char *from = e->real_bytes == 4 ? svic_kernels_f32 : svic_kernels_f64;
  const char *end  = e->real_bytes == 4 ? svic_kernels_f32_end : svic_kernels_f64_end;
  size_t size = (size_t)(end - from);
  LLVMMemoryBufferRef memory = LLVMCreateMemoryBufferWithMemoryRange(from, size, "kernels", false);
  LLVMModuleRef k;
  if (LLVMParseBitcodeInContext2(e->c, memory, &k)) BUG("the embedded kernels cannot be read");
  LLVMDisposeMemoryBuffer(memory);
  return k;
}

static void drop_text_attributes(LLVMValueRef f) {
  static const char *const names[] = {
    "target-cpu", "target-features", "tune-cpu", "min-legal-vector-width", "no-trapping-math",
    "stack-protector-buffer-size", "frame-pointer",
  };
  for (size_t i = 0; i < LEN(names); i++)
    LLVMRemoveStringAttributeAtIndex(f, LLVMAttributeFunctionIndex, names[i], (unsigned)strlen(names[i]));
}

/* note [vector variants]  A call stops the vectoriser, unless it is told of a function that does a vector of them: by an attribute of
 * the call, where the scalar function touches no memory and the vector one is kept (llvm.compiler.used). */
static void name_vector_variant(Emit *e, const char *scalar) {
  LLVMValueRef f = LLVMGetNamedFunction(e->m, scalar);
  if (!f || e->lanes < 8) return;
  LLVMTypeRef type = LLVMGlobalGetValueType(f), wide[8];
  unsigned n = LLVMCountParamTypes(type);
  LLVMGetParamTypes(type, wide);
  for (unsigned i = 0; i < n; i++) wide[i] = LLVMVectorType(wide[i], e->lanes);
  const char *name = arena_printf(e->arena, "%sx%u", scalar, e->lanes);
  LLVMValueRef v = LLVMAddFunction(e->m, name, LLVMFunctionType(LLVMVectorType(e->real, e->lanes), wide, n, false));
  static const char *const pure[] = {"memory", "nounwind", "willreturn"};
  for (size_t i = 0; i < LEN(pure); i++) attribute_add(e, f, pure[i], 0), attribute_add(e, v, pure[i], 0);
  LLVMValueRef used = LLVMAddGlobal(e->m, LLVMArrayType2(e->ptr, 1), "llvm.compiler.used");
  LLVMSetLinkage(used, LLVMAppendingLinkage);
  LLVMSetSection(used, "llvm.metadata");
  LLVMSetInitializer(used, LLVMConstArray2(e->ptr, &v, 1));
  const char *variant = arena_printf(e->arena, "_ZGV_LLVM_N%u%.*s_%s(%s)", e->lanes, (int)n, "vvvvvvvv", scalar, name);
  LLVMAttributeRef a = LLVMCreateStringAttribute(e->c, "vector-function-abi-variant", 27, variant, (unsigned)strlen(variant));
  for (LLVMUseRef u = LLVMGetFirstUse(f); u; u = LLVMGetNextUse(u)) {
    LLVMValueRef call = LLVMGetUser(u);
    if (LLVMIsACallInst(call)) LLVMAddCallSiteAttribute(call, LLVMAttributeFunctionIndex, a);
  }
}

void kernels_link(Emit *e) {
  if (e->kernels.n == 0) return;
  LLVMModuleRef k = kernels_parse(e);
  LLVMSetTarget(k, LLVMGetTarget(e->m));
  LLVMSetModuleDataLayout(k, e->layout);
  VEC(Name) bodies = {0};
  for (LLVMValueRef f = LLVMGetFirstFunction(k); f; f = LLVMGetNextFunction(f)) {
    if (LLVMIsDeclaration(f)) continue;
    LLVMSetLinkage(f, LLVMLinkOnceODRLinkage);
    drop_text_attributes(f);
    unsigned never = LLVMGetEnumAttributeKindForName("noinline", 8);
    if (!LLVMGetEnumAttributeAtIndex(f, LLVMAttributeFunctionIndex, never)) attribute_add(e, f, "alwaysinline", 0);
    target_mark(e, f);
    size_t n;
    const char *name = LLVMGetValueName2(f, &n);
    vec_push(e->arena, &bodies, name_of_n(name, n));
  }
  if (LLVMLinkModules2(e->m, k)) BUG("the embedded kernels cannot be linked");
  for (uint32_t i = 0; i < bodies.n; i++) {
    LLVMValueRef f = LLVMGetNamedFunction(e->m, bodies.at[i]);
    if (f && !LLVMIsDeclaration(f)) LLVMSetLinkage(f, LLVMInternalLinkage);
  }
  if (e->real_bytes == 4) name_vector_variant(e, "svi_gamma_settle_f32");
}
