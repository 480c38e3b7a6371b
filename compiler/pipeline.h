/* The pipeline: every stage of a compilation, as one table.  --emit, --after, --skip, --trace, the verifier calls between
 * stages and the list in HACKING.md come from it. */
#ifndef SVIC_PIPELINE_H
#define SVIC_PIPELINE_H
#include "prob/prob.h"
#include "llvm/llvm.h"

typedef struct {
  const char *input;                    /* "-" for standard input */
  const char *output;                   /* executable, or what --emit writes; NULL: default */
  const char *emit, *after;             /* names of stages, NULL: compile to an executable */
  const char *skip[8]; uint32_t nskip;
  const char *search[16]; uint32_t nsearch;
  Define define[32]; uint32_t ndefine;
  const char *runtime_dir;
  bool trace, verify, info, json, f64;
  LlvmOptions llvm;
} Options;

typedef struct {
  const Options *options;
  Arena   *arena;
  Sources *sources;
  Diag    *diag;
  Ast     *ast;
  Typed   *typed;
  Prob    *prob;
  Lowered *lowered;
  LoopProgram **programs;               /* by entry */
  LlvmModule *module;
  bool     failed;                      /* told already, outside diag */
} Compile;

bool pipeline_run  (Compile *c);        /* false: stopped with messages */
void pipeline_table(FILE *out);         /* the stages, for --help */
bool pipeline_has_stage(const char *name);
#endif
