/* Debug lines: which line of the model an instruction came from.
 *
 * One compile unit (the model's file), one subprogram a phase, and a location an instruction.  Code that came from a
 * library file stands in a lexical block of that file.  Instructions without a place of their own have line 0. */
#include <stdlib.h>
#include "emit.h"

static LLVMMetadataRef file_of(Emit *e, const char *path) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  const char *folder = slash ? arena_copy(e->arena, path, (size_t)(slash - path)) : ".";
  return LLVMDIBuilderCreateFile(e->di, name, strlen(name), folder, strlen(folder));
}

static LLVMMetadataRef file_of_source(Emit *e, const Source *s) {
  for (uint32_t i = 0; i < e->di_files.n; i++)
    if (e->di_files.at[i].source == s) return e->di_files.at[i].scope;
  BlockFile f = {file_of(e, s ? s->path : "model.svm"), s};
  vec_push(e->arena, &e->di_files, f);
  return f.scope;
}

static Place place_of(const Emit *e, Span at) {
  return at.end && e->sources ? source_place(e->sources, at.at) : (Place){0};
}

static void add_flag(Emit *e, const char *name, unsigned value) {
  LLVMMetadataRef v = LLVMValueAsMetadata(LLVMConstInt(e->i32, value, false));
  LLVMAddModuleFlag(e->m, LLVMModuleFlagBehaviorWarning, name, strlen(name), v);
}

void debug_open(Emit *e) {
  if (!e->options->debug_lines) return;
  e->di = LLVMCreateDIBuilder(e->m);
  add_flag(e, "Debug Info Version", LLVMDebugMetadataVersion());
  add_flag(e, "Dwarf Version", 4);
  LLVMMetadataRef file = file_of(e, e->model->path ? e->model->path : "model.svm");
  const char *who = "svic";
  e->di_unit = LLVMDIBuilderCreateCompileUnit(e->di, LLVMDWARFSourceLanguageC99, file, who, strlen(who),
                                              e->options->level > 0, "", 0, 0, "", 0, LLVMDWARFEmissionFull,
                                              0, false, false, "", 0, "", 0);
  e->di_type = LLVMDIBuilderCreateSubroutineType(e->di, file, NULL, 0, LLVMDIFlagZero);
}

void debug_function(Emit *e, LLVMValueRef fn, const char *name, Span at) {
  LLVMSetCurrentDebugLocation2(e->b, NULL);
  if (!e->di) return;
  Place p = place_of(e, at);
  LLVMMetadataRef file =
      p.source ? file_of_source(e, p.source) : file_of(e, e->model->path ? e->model->path : "model.svm");
  e->f.di_function =
      LLVMDIBuilderCreateFunction(e->di, file, name, strlen(name), name, strlen(name), file, p.line,
                                  e->di_type, true, true, p.line, LLVMDIFlagZero, e->options->level > 0);
  LLVMSetSubprogram(fn, e->f.di_function);
  e->f.di_blocks.n = 0;
  BlockFile own = {e->f.di_function, p.source};
  vec_push(e->arena, &e->f.di_blocks, own);
  debug_at(e, NO_SPAN);
}

static LLVMMetadataRef scope_of(Emit *e, const Source *s) {
  if (!s) return e->f.di_function;
  for (uint32_t i = 0; i < e->f.di_blocks.n; i++)
    if (e->f.di_blocks.at[i].source == s) return e->f.di_blocks.at[i].scope;
  BlockFile b = {LLVMDIBuilderCreateLexicalBlockFile(e->di, e->f.di_function, file_of_source(e, s), 0), s};
  vec_push(e->arena, &e->f.di_blocks, b);
  return b.scope;
}

void debug_at(Emit *e, Span at) {
  if (!e->di) return;
  Place p = place_of(e, at);
  LLVMMetadataRef scope = scope_of(e, p.source);
  LLVMSetCurrentDebugLocation2(e->b, LLVMDIBuilderCreateDebugLocation(e->c, p.line, p.column, scope, NULL));
}

void debug_close(Emit *e) {
  if (!e->di) return;
  LLVMDIBuilderFinalize(e->di);
  LLVMDisposeDIBuilder(e->di);
  e->di = NULL;
}
