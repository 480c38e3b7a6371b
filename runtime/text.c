/* Memory that is there or ends the program, messages, and the little text a trainer needs. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "trainer.h"

enum { HUGE_PAGE = 2 << 20 };
bool notes_off;

void *memory_new(size_t count, size_t size, const char *what) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) bytes = SIZE_MAX / 2;
  bytes = bytes ? (bytes + 63) / 64 * 64 : 64;
  /* Zeroed pages straight from the system when it is much: nothing is touched before it is used.  Huge pages for what
   * fills them: matrices are walked along their columns, too, and each row is on another small page. */
  bool   huge = bytes >= HUGE_PAGE;
  size_t unit = huge ? HUGE_PAGE : 64;
  void *whole = calloc(1, bytes + unit + 64);
  if (!whole) {
    complain("out of memory: %s needs %.1f MB", what, (double)bytes / 1e6);
    exit(EXIT_RUN);
  }
  uintptr_t at = ((uintptr_t)whole + 64 + unit - 1) / unit * unit;      /* at least 64 bytes in: the pointer to free is kept before it */
#ifdef MADV_HUGEPAGE
  if (huge) madvise((void *)at, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
  memcpy((void *)(at - sizeof whole), &whole, sizeof whole);
  return (void *)at;
}

void memory_free(void *p) {
  if (!p) return;
  void *whole;
  memcpy(&whole, (char *)p - sizeof whole, sizeof whole);
  free(whole);
}

char *text_new(const char *format, ...) {
  va_list list;
  char *text = NULL;
  va_start(list, format);
  if (vasprintf(&text, format, list) < 0) { complain("out of memory"); exit(EXIT_RUN); }
  va_end(list);
  return text;
}

bool error_set(SviError *e, const char *format, ...) {
  if (!e) return false;
  va_list list;
  va_start(list, format);
  vsnprintf(e->text, sizeof e->text, format, list);
  va_end(list);
  return false;
}

void note(const char *format, ...) {
  if (notes_off) return;
  va_list list;
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fputc('\n', stderr);
}

void complain(const char *format, ...) {
  va_list list;
  fputs("error: ", stderr);
  va_start(list, format);
  vfprintf(stderr, format, list);
  va_end(list);
  fputc('\n', stderr);
}

/* Edit distance with transpositions, three rows at a time. */
static unsigned text_distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  enum { MOST = 120 };
  if (n > MOST || m > MOST) return MOST;
  unsigned row[3][MOST + 1];
  unsigned *two = row[0], *one = row[1], *now = row[2];
  for (size_t j = 0; j <= m; j++) one[j] = (unsigned)j;
  for (size_t i = 1; i <= n; i++) {
    now[0] = (unsigned)i;
    for (size_t j = 1; j <= m; j++) {
      unsigned d = one[j - 1] + (a[i - 1] != b[j - 1]);
      if (one[j] + 1 < d) d = one[j] + 1;
      if (now[j - 1] + 1 < d) d = now[j - 1] + 1;
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two[j - 2] + 1 < d) d = two[j - 2] + 1;
      now[j] = d;
    }
    unsigned *t = two; two = one; one = now; now = t;
  }
  return one[m];
}

const char *text_nearest(const char *wrong, const char *const *candidates, size_t n) {
  size_t length = strlen(wrong);
  unsigned least = length < 3 ? 1 : length < 6 ? 2 : 3;
  const char *best = NULL;
  for (size_t i = 0; i < n; i++) {
    unsigned d = text_distance(wrong, candidates[i]);
    if (d <= least && d < strlen(candidates[i])) {
      if (best && d == least) continue;
      best = candidates[i];
      least = d;
    } else if (!best && length >= 3 && strncmp(wrong, candidates[i], length) == 0) best = candidates[i];
  }
  return best;
}

double time_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uint64_t hash_mix(uint64_t x) {        /* the finaliser of splitmix64 */
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n) {
  const unsigned char *b = bytes;
  for (; n >= 8; n -= 8, b += 8) {
    uint64_t word;
    memcpy(&word, b, 8);
    h = (h ^ word) * UINT64_C(0x100000001b3);
    h ^= h >> 32;
  }
  uint64_t word = 0;
  memcpy(&word, b, n);
  return hash_mix(h ^ word ^ (uint64_t)n << 56);
}

void json_text(FILE *out, const char *s) {
  fputc('"', out);
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') fprintf(out, "\\%c", c);
    else if (c == '\n') fputs("\\n", out);
    else if (c < 0x20) fprintf(out, "\\u%04x", c);
    else fputc(c, out);
  }
  fputc('"', out);
}

void json_number(FILE *out, double x) {
  if (!isfinite(x)) { fputs("null", out); return; }
  char text[40];
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, x);
    if (strtod(text, NULL) == x) break;
  }
  fputs(text, out);
}

void path_join(char *out, size_t room, const char *folder, const char *name) {
  size_t n = strlen(folder);
  snprintf(out, room, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
}
