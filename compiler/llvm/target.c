/* The processor code is made for: this machine's, or one named by -mcpu's words. */
#include <stdlib.h>
#include "emit.h"

/* The feature list has "-avx512fp16" before "+avx512f": look for the word with its sign. */
static bool has_feature(const Emit *e, const char *word) {
  for (const char *f = e->features; (f = strstr(f, word)); f++) {
    char after = f[strlen(word)];
    if (after == ',' || after == '\0') return true;
  }
  return false;
}

/* Bytes of the widest vector register worth filling. */
static uint32_t vector_bytes(const Emit *e) {
  if (has_feature(e, "+avx512f") || strcmp(e->cpu, "x86-64-v4") == 0) return 64;
  if (has_feature(e, "+avx2") || strcmp(e->cpu, "x86-64-v3") == 0) return 32;
  return 16;
}

void target_open(Emit *e) {
  LLVMInitializeNativeTarget();
  LLVMInitializeNativeAsmPrinter();
  LLVMInitializeNativeAsmParser();
  char *triple = LLVMGetDefaultTargetTriple(), *why = NULL;
  const char *wanted = e->options->cpu && strcmp(e->options->cpu, "native") ? e->options->cpu : NULL;
  e->cpu      = wanted ? strdup(wanted) : LLVMGetHostCPUName();
  e->features = wanted ? strdup("") : LLVMGetHostCPUFeatures();
  LLVMTargetRef target;
  if (LLVMGetTargetFromTriple(triple, &target, &why)) BUG("LLVM has no target %s: %s", triple, why);
  /* code generation has its own level: 2 is as fast as 3 for loops that are vectorised already */
  LLVMCodeGenOptLevel level = e->options->level == 0   ? LLVMCodeGenLevelNone
                              : e->options->level == 1 ? LLVMCodeGenLevelLess
                                                       : LLVMCodeGenLevelDefault;
  e->machine =
      LLVMCreateTargetMachine(target, triple, e->cpu, e->features, level, LLVMRelocPIC, LLVMCodeModelDefault);
  e->layout = LLVMCreateTargetDataLayout(e->machine);
  /* without masks there is nothing to win over the vectoriser's own tails: see note [tails] in nest.c */
  e->lanes = e->options->level >= 2 && vector_bytes(e) > 16 ? vector_bytes(e) / e->real_bytes : 1;
  LLVMSetTarget(e->m, triple);
  LLVMSetModuleDataLayout(e->m, e->layout);
  LLVMDisposeMessage(triple);
}

void target_close(Emit *e) {
  if (e->layout) LLVMDisposeTargetData(e->layout);
  if (e->machine) LLVMDisposeTargetMachine(e->machine);
  free(e->cpu);
  free(e->features);
}

void attribute_add(Emit *e, LLVMValueRef fn, const char *name, uint64_t value) {
  unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
  if (!kind) BUG("no attribute %s", name);
  LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex, LLVMCreateEnumAttribute(e->c, kind, value));
}

static void text_attribute(Emit *e, LLVMValueRef fn, const char *name, const char *value) {
  LLVMAddAttributeAtIndex(fn, LLVMAttributeFunctionIndex,
                          LLVMCreateStringAttribute(e->c, name, (unsigned)strlen(name), value,
                                                    (unsigned)strlen(value)));
}

void target_mark(Emit *e, LLVMValueRef fn) {
  text_attribute(e, fn, "target-cpu", e->cpu);
  if (*e->features) text_attribute(e, fn, "target-features", e->features);
  if (vector_bytes(e) == 64) text_attribute(e, fn, "prefer-vector-width", "512");
  attribute_add(e, fn, "nounwind", 0);
}
