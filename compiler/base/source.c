/* source: all files laid end to end in one map of offsets.
 *
 * Offset 0 belongs to no file.  A file owns [base, base + size], the last one being its end of file. */
#include "base.h"
#include "utf8.h"

typedef VEC(uint32_t) Starts;
typedef struct { Source source; Starts line; } File;     /* where each line starts, within the file */
struct Sources { Arena *arena; VEC(File *) files; };

Sources *sources_new(Arena *a) {
  Sources *s = NEW(a, Sources);
  s->arena = a;
  return s;
}

const Source *source_add(Sources *s, const char *path, const char *text, size_t size, bool library) {
  uint32_t base = 1;
  if (s->files.n) {
    const Source *last = &s->files.at[s->files.n - 1]->source;
    base = last->base + last->size + 1;
  }
  if (size >= UINT32_MAX - base) return NULL;
  File *f = NEW(s->arena, File);
  f->source = (Source){arena_copy(s->arena, path, strlen(path)), arena_copy(s->arena, text, size), base, (uint32_t)size, library};
  vec_push(s->arena, &f->line, 0);
  for (uint32_t i = 0; i < size; i++)
    if (text[i] == '\n') vec_push(s->arena, &f->line, i + 1);
  vec_push(s->arena, &s->files, f);
  return &f->source;
}

static const File *file_at(const Sources *s, uint32_t at) {
  uint32_t low = 0, high = s->files.n;
  if (at == 0) return NULL;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    *(s->files.at[middle]->source.base <= at ? &low : &high) = middle;
  }
  return high == 0 || at - s->files.at[low]->source.base > s->files.at[low]->source.size ? NULL : s->files.at[low];
}

Place source_place(const Sources *s, uint32_t at) {
  const File *f = file_at(s, at);
  if (!f) return (Place){0};
  uint32_t offset = at - f->source.base, low = 0, high = f->line.n;
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    *(f->line.at[middle] <= offset ? &low : &high) = middle;
  }
  Place p = {&f->source, low + 1, 1};
  const char *c = f->source.text + f->line.at[low], *stop = f->source.text + offset, *end = f->source.text + f->source.size;
  for (uint32_t scalar; c < stop; ) {
    c += utf8_decode(c, end, &scalar);
    p.column += scalar != 0xFEFF || low > 0 || p.column > 1;     /* a byte order mark is no column */
  }
  return p;
}
