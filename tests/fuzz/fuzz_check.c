/* Any bytes: read, then checked, whatever the syntax errors were; what has none is taken on to tensor graphs.  No fault, no
 * state that cannot be, and every message lies in one of the texts and can be shown.
 *
 *   clang -fsanitize=fuzzer,address,undefined ...
 *   ./fuzz_check -dict=tests/fuzz/svm.dict NEW-FOLDER tests/errors/models tests/golden examples/vae */
#include "../../compiler/prob/lower.h"
#include "../../compiler/base/diag_item.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need_place(const Sources *sources, Span at) {
  if (at.end == 0) return;
  Place from = source_place(sources, at.at);
  if (at.end < at.at || !from.source || at.end > from.source->base + from.source->size) {
    fprintf(stderr, "a message from %u to %u lies in no text\n", at.at, at.end);
    abort();
  }
}

static void show(const Diag *diag, bool colour) {
  unsigned errors = 0;
  for (uint32_t i = 0; i < diag->items.n; i++) {
    const DiagItem *it = diag->items.at[i];
    errors += diag_is_error(it->code);
    need_place(diag->sources, it->at);
    for (uint32_t k = 0; k < it->labels.n; k++) need_place(diag->sources, it->labels.at[k].at);
    for (uint32_t k = 0; k < it->feet.n; k++) need_place(diag->sources, it->feet.at[k].at);
  }
  if (errors > 20) abort();
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  diag_print(diag, f, DIAG_TEXT, colour);
  diag_print(diag, f, DIAG_JSON, false);
  fclose(f);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 20000) return 0;
  Arena *arena = arena_new();
  Sources *sources = sources_new(arena);
  Diag *diag = diag_new(arena, sources);
  const Ast *ast = ast_parse(arena, source_add(sources, "fuzz.svm", (const char *)data, size, false), diag);
  static const Define defines[] = {{"K", "3"}, {"width", "[2, 3]"}};
  Define named[LEN(defines)];
  for (size_t i = 0; i < LEN(defines); i++) named[i] = (Define){name_of(defines[i].name), defines[i].value};
  Typed *typed = types_check(arena, diag, sources, ast, NULL, 0, named, size % 3 ? 0 : LEN(defines));
  if (diag_errors(diag) == 0) {
    if (!types_verify(typed, stderr)) abort();
    Prob *prob = prob_build(typed);
    if (diag_errors(diag) == 0) {
      if (!prob_verify(prob, stderr)) abort();
      Lowered *lowered = prob_lower(prob);
      for (uint32_t i = 0; i < lowered->entries.n && diag_errors(diag) == 0; i++)
        if (!graph_verify(lowered->entries.at[i]->graph, stderr)) abort();
    }
  }
  show(diag, size % 2);
  arena_free(arena);
  return 0;
}
