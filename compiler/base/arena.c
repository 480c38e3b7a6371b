/* arena: one owner for all the memory of a compilation, freed at once.
 *
 * Chunks come from calloc, so what is handed out is zero already.  Under the address sanitizer every allocation is a
 * chunk of its own, so that an overrun by one byte is seen. */
#include "base.h"
#include <stdlib.h>

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define CHUNK_SIZE 0
#endif
#endif
#if defined __SANITIZE_ADDRESS__ && !defined CHUNK_SIZE
#define CHUNK_SIZE 0
#endif
#ifndef CHUNK_SIZE
#define CHUNK_SIZE ((size_t)64 << 10)
#endif

typedef struct Chunk { struct Chunk *before; size_t used, size; } Chunk;
struct Arena { Chunk *chunk; size_t bytes; };

enum { ALIGN = 16, HEADER = (sizeof(Chunk) + ALIGN - 1) / ALIGN * ALIGN };

static _Noreturn void out_of_memory(size_t size) {
  fprintf(stderr, "svic: out of memory (%zu more bytes wanted)\n", size);
  exit(70);
}

static void *must_calloc(size_t size) {
  void *p = calloc(1, size);
  if (!p) out_of_memory(size);
  return p;
}

Arena *arena_new(void) { return must_calloc(sizeof(Arena)); }

void arena_free(Arena *a) {
  if (!a) return;
  for (Chunk *c = a->chunk, *before; c; c = before) {
    before = c->before;
    free(c);
  }
  free(a);
}

void *arena_alloc(Arena *a, size_t size) {
  if (size > SIZE_MAX / 2) out_of_memory(size);
  size = size == 0 ? 1 : size;
  size_t start = a->chunk ? (a->chunk->used + ALIGN - 1) / ALIGN * ALIGN : 0;
  if (!a->chunk || start > a->chunk->size || a->chunk->size - start < size) {
    Chunk *c = must_calloc(HEADER + (size > CHUNK_SIZE ? size : CHUNK_SIZE));
    c->size = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    /* a big one goes below the current chunk, whose rest stays in use */
    if (size > CHUNK_SIZE / 2 && a->chunk) {
      c->before = a->chunk->before;
      a->chunk->before = c;
      c->used = size;
      a->bytes += size;
      return (char *)c + HEADER;
    }
    c->before = a->chunk;
    a->chunk = c;
    start = 0;
  }
  a->chunk->used = start + size;
  a->bytes += size;
  return (char *)a->chunk + HEADER + start;
}

char *arena_copy(Arena *a, const char *s, size_t n) {
  char *copy = arena_alloc(a, n + 1);
  if (n) memcpy(copy, s, n);
  return copy;
}

char *arena_printf(Arena *a, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = format ? vsnprintf(NULL, 0, format, args) : -1;
  va_end(args);
  if (n < 0) BUG("no text from a format");
  char *text = arena_alloc(a, (size_t)n + 1);
  vsnprintf(text, (size_t)n + 1, format, again);
  va_end(again);
  return text;
}

size_t arena_bytes(const Arena *a) { return a->bytes; }

void *vec_grow(Arena *a, void *at, uint32_t n, uint32_t *cap, size_t size) {
  if (*cap > UINT32_MAX / 2) out_of_memory(size);
  *cap = *cap == 0 ? 4 : *cap * 2;
  void *more = arena_alloc(a, *cap * size);
  if (n) memcpy(more, at, n * size);
  return more;
}

void internal_error(const char *file, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fflush(stdout);
  fprintf(stderr, "svic: internal error: ");
  vfprintf(stderr, format, args);
  fprintf(stderr, " (%s:%d)\nsvic: this is a fault of the compiler, not of your model; please report it\n", file, line);
  va_end(args);
  exit(70);
}
