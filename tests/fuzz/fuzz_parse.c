/* Any bytes: they are read without a fault, every message can be shown, and a text without errors prints to a text that
 * reads as the same tree (that is: prints the same again).
 *
 *   clang -fsanitize=fuzzer,address,undefined ...
 *   ./fuzz_parse -dict=tests/fuzz/svm.dict NEW-FOLDER tests/golden tests/errors/syntax stdlib/dist */
#include "../../compiler/ast/ast.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *printed(const Ast *ast, size_t *size) {
  char *text = NULL;
  FILE *f = open_memstream(&text, size);
  ast_print(ast, f);
  fclose(f);
  return text;
}

static void show(const Diag *diag) {
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  diag_print(diag, f, DIAG_TEXT, size % 2);
  diag_print(diag, f, DIAG_JSON, false);
  fclose(f);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Arena *arena = arena_new();
  Sources *sources = sources_new(arena);
  Diag *diag = diag_new(arena, sources);
  const Ast *ast = ast_parse(arena, source_add(sources, "fuzz.svm", (const char *)data, size, false), diag);
  if (!ast_verify(ast, stderr)) abort();
  size_t n = 0, m = 0;
  char *once = printed(ast, &n);
  if (diag_errors(diag) == 0) {
    const Ast *again = ast_parse(arena, source_add(sources, "again.svm", once, n, false), diag);
    char *twice = printed(again, &m);
    bool same = n == m && memcmp(once, twice, n) == 0;
    if (diag_errors(diag) > 0 || !same) {
      diag_print(diag, stderr, DIAG_TEXT, false);
      fprintf(stderr, "printed once:\n%s\nand again:\n%s\n", once, twice);
      abort();
    }
    free(twice);
  }
  show(diag);
  free(once);
  arena_free(arena);
  return 0;
}
