/* The library of the language, embedded: name and text of every file of stdlib/.  library_data.h is made by CMake. */
#include "value.h"

static const struct { const char *name, *text; size_t size; } files[] = {
#include "library_data.h"
};
const char *library_text(const char *name, size_t *size) {
  for (size_t i = 0; i < LEN(files); i++)
    if (strcmp(files[i].name, name) == 0) {
      *size = files[i].size;
      return files[i].text;
    }
  return NULL;
}
const char *library_file(size_t i) { return i < LEN(files) ? files[i].name : NULL; }
void library_names(FILE *out) {
  for (size_t i = 0; i < LEN(files); i++) fprintf(out, "  %s\n", files[i].name);
}
