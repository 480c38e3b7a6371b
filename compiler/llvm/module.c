/* llvm: a model's loop programs to a module, optimised, verified and written.
 *
 * In:  the model's tables, a LoopProgram an entry, where the sources are.
 * Out: an LlvmModule; from it IR, assembly or an object.
 *
 * note [pipeline]  Passes are a short list instead of default<O2>: nests come out of nest.c rotated, merged and free of
 * calls, so what pays is SROA (accumulators to registers), cleaning up inlined kernels, hoisting, vectorising, and cleaning
 * up after that.  On forty nests of an autoencoder it took 64 ms where default<O2> took 166 and default<O3> 239, for loops
 * as fast; making the object is twice that, so what counts is how little code there is: see note [tails] in nest.c and
 * note [nests are functions] in outline.c. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include "emit.h"

struct LlvmModule { Emit e; LlvmOptions options; };

/* ---- build */

/* What the vectoriser did not do is no message for the user of a model; errors end up with us anyway. */
static void diagnosed(LLVMDiagnosticInfoRef info, void *context) {
  (void)context;
  if (LLVMGetDiagInfoSeverity(info) != LLVMDSError) return;
  char *text = LLVMGetDiagInfoDescription(info);
  BUG("LLVM says: %s", text);
}

static void open_types(Emit *e) {
  e->void_ = LLVMVoidTypeInContext(e->c);
  e->i1    = LLVMInt1TypeInContext(e->c);
  e->i8    = LLVMInt8TypeInContext(e->c);
  e->i32   = LLVMInt32TypeInContext(e->c);
  e->i64   = LLVMInt64TypeInContext(e->c);
  e->ptr   = LLVMPointerTypeInContext(e->c, 0);
  e->f64   = LLVMDoubleTypeInContext(e->c);
  e->real  = e->real_bytes == 4 ? LLVMFloatTypeInContext(e->c) : e->f64;
  LLVMTypeRef pointers[2] = {e->ptr, e->ptr};
  e->run   = LLVMFunctionType(e->void_, pointers, 2, false);
  e->md_scope   = LLVMGetMDKindIDInContext(e->c, "alias.scope", 11);
  e->md_noalias = LLVMGetMDKindIDInContext(e->c, "noalias", 7);
  e->md_loop    = LLVMGetMDKindIDInContext(e->c, "llvm.loop", 9);
  e->md_align   = LLVMGetMDKindIDInContext(e->c, "align", 5);
}

/* "step:main" and its second phase: step_main_1 */
static const char *phase_name(Emit *e, const char *entry, uint32_t phase) {
  char *name = arena_printf(e->arena, "%s_%u", entry, phase);
  for (char *c = name; *c; c++) {
    bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_';
    if (!plain) *c = '_';
  }
  return name;
}

static void keep_ir(LlvmModule *m, const char *what) {
  const char *folder = getenv("TMPDIR");
  char path[4096], *why = NULL;
  snprintf(path, sizeof path, "%s/svic-XXXXXX.ll", folder && *folder ? folder : "/tmp");
  int fd = mkstemps(path, 3);
  if (fd >= 0) close(fd);
  if (fd < 0 || LLVMPrintModuleToFile(m->e.m, path, &why)) BUG("%s, and the module cannot be kept", what);
  BUG("%s; the module is in %s", what, path);
}

static void must_verify(LlvmModule *m, const char *when) {
  if (llvm_verify(m, stderr)) return;
  char what[128];
  snprintf(what, sizeof what, "the module made %s is wrong", when);
  keep_ir(m, what);
}

LlvmModule *llvm_build(Arena *arena, const SviModel *model, LoopProgram *const *programs,
                       const Sources *sources, const LlvmOptions *options) {
  LlvmModule *m = NEW(arena, LlvmModule);
  Emit *e = &m->e;
  m->options = *options;
  e->arena   = arena;
  e->options = &m->options;
  e->model   = model;
  e->sources = sources;
  e->real_bytes = model->real_bytes;
  e->c = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(e->c, diagnosed, NULL);
  e->m = LLVMModuleCreateWithNameInContext(model->name ? model->name : "model", e->c);
  e->b = LLVMCreateBuilderInContext(e->c);
  target_open(e);
  open_types(e);
  debug_open(e);
  LLVMValueRef **run = arena_alloc(arena, ((size_t)model->nentry + 1) * sizeof *run);
  for (int32_t k = 0; k < model->nentry; k++) {
    const LoopProgram *p = programs[k];
    if (p->real_bytes != e->real_bytes) BUG("entry %s has another width than the model", model->entry[k].name);
    if (p->phases.n != (uint32_t)model->entry[k].nphase)
      BUG("entry %s has %d phases, its program %u", model->entry[k].name, model->entry[k].nphase,
          p->phases.n);
    run[k] = arena_alloc(arena, (p->phases.n + 1) * sizeof **run);
    for (uint32_t i = 0; i < p->phases.n; i++)
      run[k][i] = phase_emit(e, p, i, phase_name(e, model->entry[k].name, i));
  }
  LLVMSetCurrentDebugLocation2(e->b, NULL);
  tables_emit(e, model, run);
  debug_close(e);
  kernels_link(e);
  must_verify(m, "from the loops");
  return m;
}

/* ---- optimise */
static const char *const passes[] = {
    "always-inline",
    "always-inline,globaldce,function(sroa,early-cse,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),instcombine<no-verify-fixpoint>)",
    /* see note [pipeline] */
    ("always-inline,globaldce,function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),loop-"
     "vectorize,"
     "early-cse,instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(licm),early-cse)"),
    "default<O3>",
};

void llvm_optimise(LlvmModule *m) {
  int level = m->options.level < 0 ? 0 : m->options.level > 3 ? 3 : m->options.level;
  const char *own = getenv("SVIC_PASSES"), *list = own ? own : passes[level];      /* for trying others */
  LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
  LLVMErrorRef bad = LLVMRunPasses(m->e.m, list, m->e.machine, o);
  LLVMDisposePassBuilderOptions(o);
  if (bad) {
    char *why = LLVMGetErrorMessage(bad);
    BUG("passes %s: %s", list, why);
  }
  must_verify(m, "by optimisation");
}

bool llvm_verify(LlvmModule *m, FILE *why) {
  char *text = NULL;
  bool good = !LLVMVerifyModule(m->e.m, LLVMReturnStatusAction, &text);
  if (!good && why) fprintf(why, "%s\n", text);
  LLVMDisposeMessage(text);
  return good;
}

size_t llvm_size(const LlvmModule *m) {
  size_t n = 0;
  for (LLVMValueRef f = LLVMGetFirstFunction(m->e.m); f; f = LLVMGetNextFunction(f)) {
    for (LLVMBasicBlockRef b = LLVMGetFirstBasicBlock(f); b; b = LLVMGetNextBasicBlock(b)) {
      for (LLVMValueRef i = LLVMGetFirstInstruction(b); i; i = LLVMGetNextInstruction(i)) n++;
    }
  }
  return n;
}

/* ---- write */
static bool write_bytes(const char *path, const char *from, size_t n, char error[256]) {
  bool out = strcmp(path, "-") == 0;
  FILE *f = out ? stdout : fopen(path, "wb");
  bool good = f && fwrite(from, 1, n, f) == n;
  int code = errno;
  if (f && (out ? fflush(f) : fclose(f)) && good) good = false, code = errno;
  if (!good) snprintf(error, 256, "%.200s cannot be written: %s", path, strerror(code));
  return good;
}

bool llvm_write(LlvmModule *m, LlvmForm form, const char *path, char error[256]) {
  if (form == LLVM_IR || form == LLVM_IR_PLAIN) {
    char *text = LLVMPrintModuleToString(m->e.m);
    bool good = write_bytes(path, text, strlen(text), error);
    LLVMDisposeMessage(text);
    return good;
  }
  /* emitting changes the module (it lowers what is in it), so a copy is emitted */
  LLVMModuleRef copy = LLVMCloneModule(m->e.m);
  LLVMMemoryBufferRef memory = NULL;
  char *why = NULL;
  LLVMCodeGenFileType type = form == LLVM_ASM ? LLVMAssemblyFile : LLVMObjectFile;
  bool good = !LLVMTargetMachineEmitToMemoryBuffer(m->e.machine, copy, type, &why, &memory);
  if (good) {
    good = write_bytes(path, LLVMGetBufferStart(memory), LLVMGetBufferSize(memory), error);
    LLVMDisposeMemoryBuffer(memory);
  } else {
    snprintf(error, 256, "no object: %.200s", why);
    LLVMDisposeMessage(why);
  }
  LLVMDisposeModule(copy);
  return good;
}

void llvm_free(LlvmModule *m) {
  if (!m) return;
  LLVMDisposeBuilder(m->e.b);
  LLVMDisposeModule(m->e.m);
  LLVMContextDispose(m->e.c);
  target_close(&m->e);
}
