/* Ground floor of the compiler: memory, names, sources, messages.  Includes nothing of svic.
 *
 * Arena    all memory of a compilation; freed at once.  Never freed piecemeal.
 * Name     an interned string: equal text is the same pointer, compare with ==.
 * VEC(T)   a growable array in an arena.
 * Span     a stretch of source text, eight bytes, on every node of every IR.
 * Diag     the messages of a run: collected, sorted by place, printed once. */
#ifndef SVIC_BASE_H
#define SVIC_BASE_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LEN(a) (sizeof(a) / sizeof *(a))

/* ---- arena */
typedef struct Arena Arena;
Arena *arena_new   (void);
void   arena_free  (Arena *a);
void  *arena_alloc (Arena *a, size_t size) __attribute__((returns_nonnull));   /* zeroed, 16-byte aligned; aborts when out of memory */
char  *arena_copy  (Arena *a, const char *s, size_t n) __attribute__((returns_nonnull));   /* NUL-terminated */
char  *arena_printf(Arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t arena_bytes (const Arena *a);
#define NEW(arena, T) ((T *)arena_alloc(arena, sizeof(T)))

/* ---- growable arrays: VEC(int) v = {0}; vec_push(arena, &v, 3); v.at[0]; v.n */
#define VEC(T) struct { T *at; uint32_t n, cap; }
#define vec_push(arena, v, x) \
  ((v)->n == (v)->cap ? ((v)->at = vec_grow(arena, (v)->at, (v)->n, &(v)->cap, sizeof *(v)->at)) : (v)->at, (void)((v)->at[(v)->n++] = (x)))
void *vec_grow(Arena *a, void *at, uint32_t n, uint32_t *cap, size_t size);

/* ---- names: live until exit */
typedef const char *Name;
Name name_of (const char *text);
Name name_of_n(const char *text, size_t n);
Name name_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The candidate closest to `wrong` by edit distance, or NULL when none is near enough to suggest. */
bool name_inside(const char *path, const char *outer);                            /* is path outer.something? */
Name name_nearest(Name wrong, const Name *candidates, size_t n);

/* ---- sources: all files laid end to end in one map of offsets */
typedef struct { uint32_t at, end; } Span;
#define NO_SPAN ((Span){0, 0})
typedef struct { const char *path, *text; uint32_t base, size; bool library; } Source;
typedef struct { const Source *source; uint32_t line, column; } Place;   /* from 1; columns in Unicode scalars */
typedef struct Sources Sources;
Sources      *sources_new (Arena *a);
const Source *source_add  (Sources *s, const char *path, const char *text, size_t size, bool library);
Place         source_place(const Sources *s, uint32_t at);
static inline Span span_join(Span a, Span b) { return a.end == 0 ? b : b.end == 0 ? a : (Span){a.at < b.at ? a.at : b.at, a.end > b.end ? a.end : b.end}; }

/* ---- messages.  Codes are rows of diag.def: E = error, W = warning, with title and explanation. */
typedef enum {
#define CODE(code, name, title, text) code,
#include "diag.def"
#undef CODE
  CODE_COUNT
} Code;
typedef struct Diag     Diag;
typedef struct DiagItem DiagItem;
Diag     *diag_new  (Arena *a, Sources *s);
/* The primary message: one sentence, lower case, no full stop, names as the user wrote them.
 * All return the item, to hang further places on (never NULL).  At most 20 errors are kept, the rest counted. */
DiagItem *diag_at   (Diag *d, Code code, Span at, const char *format, ...) __attribute__((format(printf, 4, 5)));
DiagItem *diag_mark (DiagItem *i, const char *format, ...) __attribute__((format(printf, 2, 3)));            /* words under the primary caret */
DiagItem *diag_label(DiagItem *i, Span at, const char *format, ...) __attribute__((format(printf, 3, 4)));   /* second place */
DiagItem *diag_note (DiagItem *i, const char *format, ...) __attribute__((format(printf, 2, 3)));            /* why, in one line */
DiagItem *diag_help (DiagItem *i, const char *format, ...) __attribute__((format(printf, 2, 3)));            /* what to do */
DiagItem *diag_fix  (DiagItem *i, Span at, const char *text, const char *format, ...) __attribute__((format(printf, 4, 5)));  /* help with a sure edit: replace `at` by text */
unsigned  diag_errors(const Diag *d);
uint32_t  diag_count (const Diag *d);                                                /* messages kept so far */
/* The messages from `first` on arose in what the call at `call` expanded, `body`: one that lies in the library is told at the
 * call instead, one in the user's own text says which call it was. */
void      diag_called(Diag *d, uint32_t first, Span call, Span body);
typedef enum { DIAG_TEXT, DIAG_JSON } DiagFormat;
void      diag_print(const Diag *d, FILE *out, DiagFormat format, bool colour);      /* sorted by place, same cause once */
bool      diag_explain(const char *code, FILE *out);                                 /* svic explain E0401 */
bool      diag_is_error(Code c);

/* An impossible state: prints what, where in the compiler, and exits with 70. */
_Noreturn void internal_error(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define BUG(...) internal_error(__FILE__, __LINE__, __VA_ARGS__)
#endif
