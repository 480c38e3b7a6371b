/* name: interned strings and the nearest one to a misspelling.
 *
 * The table and its text live until exit, because messages and every tree point into them. */
#include "base.h"
#include "utf8.h"
#include <stdlib.h>

typedef struct { const char *text; uint32_t size, hash; } Slot;

static struct { Arena *arena; Slot *slot; size_t n, cap; } names;

/* FNV-1a, 32 bits (Fowler, Noll, Vo) */
static uint32_t hash_of(const char *text, size_t n) {
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 16777619u;
  return h;
}

static void table_grow(void) {
  size_t cap = names.cap ? names.cap * 2 : 1024;
  Slot *slot = calloc(cap, sizeof *slot);
  if (!slot) BUG("out of memory");
  for (size_t i = 0; i < names.cap; i++) {
    if (!names.slot[i].text) continue;
    size_t j = names.slot[i].hash & (cap - 1);
    while (slot[j].text) j = (j + 1) & (cap - 1);
    slot[j] = names.slot[i];
  }
  free(names.slot);
  names.slot = slot;
  names.cap = cap;
}

Name name_of_n(const char *text, size_t n) {
  if (names.n * 2 >= names.cap) table_grow();
  if (!names.arena) names.arena = arena_new();
  uint32_t h = hash_of(text, n);
  size_t i = h & (names.cap - 1);
  for (; names.slot[i].text; i = (i + 1) & (names.cap - 1))
    if (names.slot[i].hash == h && names.slot[i].size == n && memcmp(names.slot[i].text, text, n) == 0) return names.slot[i].text;
  names.slot[i] = (Slot){arena_copy(names.arena, text, n), (uint32_t)n, h};
  names.n++;
  return names.slot[i].text;
}

Name name_of(const char *text) { return name_of_n(text, strlen(text)); }

bool name_inside(const char *path, const char *outer) {
  size_t n = strlen(outer);
  return strncmp(path, outer, n) == 0 && path[n] == '.';
}

Name name_printf(const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (n < 0) BUG("no text from a format");
  char near[256], *text = (size_t)n < sizeof near ? near : malloc((size_t)n + 1);
  if (!text) BUG("out of memory");
  vsnprintf(text, (size_t)n + 1, format, again);
  va_end(again);
  Name name = name_of_n(text, (size_t)n);
  if (text != near) free(text);
  return name;
}

/* ---- the nearest name */

enum { LONGEST = 64, STEP = 2 };     /* costs are in halves, so that a change of case can cost less than one */

static uint32_t scalars_of(Name name, uint32_t *out) {
  uint32_t n = 0;
  for (const char *s = name, *end = name + strlen(name); s < end; n++) {
    uint32_t c;
    s += utf8_decode(s, end, &c);
    if (n == LONGEST) return LONGEST + 1;
    out[n] = c;
  }
  return n;
}

static uint32_t lower(uint32_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }
static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* Damerau-Levenshtein, restricted: no substring is edited twice (optimal string alignment). */
static unsigned distance(const uint32_t *a, uint32_t n, const uint32_t *b, uint32_t m) {
  unsigned rows[3][LONGEST + 1], *before = rows[0], *above = rows[1], *row = rows[2];
  memset(rows, 0, sizeof rows);
  for (uint32_t j = 0; j <= m; j++) above[j] = j * STEP;
  for (uint32_t i = 1; i <= n; i++) {
    row[0] = i * STEP;
    for (uint32_t j = 1; j <= m; j++) {
      unsigned change = a[i-1] == b[j-1] ? 0 : lower(a[i-1]) == lower(b[j-1]) ? 1 : STEP;
      row[j] = least(above[j-1] + change, least(above[j], row[j-1]) + STEP);
      if (i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1]) row[j] = least(row[j], before[j-2] + STEP);
    }
    unsigned *spare = before;
    before = above;
    above = row;
    row = spare;
  }
  return above[m];
}

Name name_nearest(Name wrong, const Name *candidates, size_t count) {
  uint32_t a[LONGEST], b[LONGEST], n = scalars_of(wrong, a);
  if (n > LONGEST) return NULL;
  /* a third of the length; and something must be left of the name, or every x would be offered for every z */
  unsigned limit = STEP * (n < 3 ? 3 : n) / 3;
  Name best = NULL;
  for (size_t i = 0; i < count; i++) {
    if (!candidates[i] || candidates[i] == wrong) continue;
    uint32_t m = scalars_of(candidates[i], b);
    if (m > LONGEST) continue;
    unsigned d = distance(a, n, b, m);
    if (d > limit || d >= STEP * (n > m ? n : m) || (best && d == limit)) continue;
    best = candidates[i];
    limit = d;
  }
  return best;
}
