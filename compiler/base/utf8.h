/* One scalar of UTF-8 at a time, for columns, carets and distances.  Private to base/ and the lexer. */
#ifndef SVIC_UTF8_H
#define SVIC_UTF8_H
#include <stdint.h>

enum { UTF8_BAD = 0xFFFD };

/* Reads a scalar at s (s < end) and gives the bytes it takes.  A byte that starts no well-formed sequence is UTF8_BAD
 * of length one: overlong forms, surrogates and values past U+10FFFF are ill-formed (Unicode, table 3-7). */
static inline unsigned utf8_decode(const char *text, const char *end, uint32_t *scalar) {
  const unsigned char *s = (const unsigned char *)text;
  unsigned n = s[0] < 0x80 ? 1 : s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 0;
  *scalar = UTF8_BAD;
  if (n == 0 || (size_t)(end - text) < n) return 1;
  uint32_t c = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
  for (unsigned i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80) return 1;
    c = c << 6 | (s[i] & 0x3F);
  }
  if ((n == 3 && (c < 0x800 || (c >= 0xD800 && c <= 0xDFFF))) || (n == 4 && (c < 0x10000 || c > 0x10FFFF))) return 1;
  *scalar = c;
  return n;
}
#endif
