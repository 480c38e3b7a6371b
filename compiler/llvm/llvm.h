/* LLVM: loop programs and the model's tables to an object file.  Only this folder includes LLVM's headers.
 *
 * In:  the model as the runtime will see it (SviModel, its entries' phases without functions) and one LoopProgram an entry.
 * Out: IR, assembly or an object with the constant `svi_model` and a function a phase; then, by the system's `cc`, an executable. */
#ifndef SVIC_LLVM_H
#define SVIC_LLVM_H
#include "../loops/loops.h"

typedef struct {
  int  level;                 /* -O0 .. -O3 */
  const char *cpu;            /* NULL: this machine's; "generic", "x86-64-v3", ... */
  bool debug_lines;
  bool verify;
} LlvmOptions;
typedef enum { LLVM_IR, LLVM_IR_PLAIN /* before optimisation */, LLVM_ASM, LLVM_OBJECT } LlvmForm;
typedef struct LlvmModule LlvmModule;

LlvmModule *llvm_build   (Arena *arena, const SviModel *model, LoopProgram *const *programs, const Sources *sources, const LlvmOptions *options);
void        llvm_optimise(LlvmModule *m);
bool        llvm_verify  (LlvmModule *m, FILE *why);
bool        llvm_write   (LlvmModule *m, LlvmForm form, const char *path /* or "-" */, char error[256]);
size_t      llvm_size    (const LlvmModule *m);      /* instructions */
void        llvm_free    (LlvmModule *m);
/* cc object + runtime library -> executable; `runtime_dir` holds libsvirt.a and its link line. */
bool        llvm_link    (const char *object, const char *runtime_dir, const char *output, char error[1024]);
#endif
