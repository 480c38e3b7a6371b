/* inflate: what zlib unpacks, within bounds.
 *
 * In:  bytes of a .gz file or of a deflated .npz member.
 * Out: the unpacked bytes.  Deflate makes at most 1032 bytes of one (zlib's technical notes), so a length
 *      that could not come out of so few bytes is refused before anything is allocated. */
#include "inside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#define MOST_FROM_ONE 1032
#define STEP (1u << 30)                /* zlib counts in 32 bits */

static uInt step_of(size_t left) { return left < STEP ? (uInt)left : STEP; }

static const char *reason(const z_stream *z, int code) {
  if (z->msg) return z->msg;
  return code == Z_MEM_ERROR ? "out of memory" : code == Z_NEED_DICT ? "a preset dictionary"
    : "it ends too early";
}

bool svi_inflate_exact(SviBytes in, uint8_t *out, uint64_t size, uint32_t sum, const char *where,
                       SviError *error) {
  z_stream z = { 0 };
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return svi_fail(error, "%s: out of memory", where);
  size_t eaten = 0, made = 0;
  uint8_t spare;                       /* zlib wants somewhere to write even when nothing is left to come */
  int code = Z_OK;
  while (code == Z_OK) {
    z.next_in = (Bytef *)in.at + eaten;
    z.avail_in = step_of(in.size - eaten);
    z.next_out = made < size ? out + made : &spare;
    z.avail_out = made < size ? step_of(size - made) : 1;
    uInt had_in = z.avail_in, had_out = z.avail_out;
    code = inflate(&z, Z_NO_FLUSH);
    eaten += had_in - z.avail_in;
    made += had_out - z.avail_out;
    if (made > size) break;
    if (had_in == z.avail_in && had_out == z.avail_out && code == Z_OK) code = Z_BUF_ERROR;
  }
  bool ok = code == Z_STREAM_END && made == size;
  if (made > size || (code == Z_STREAM_END && made != size))
    svi_fail(error, "%s: inflates to %s than the %" PRIu64 " bytes its entry promises", where,
             made > size ? "more" : "less", size);
  else if (!ok)
    svi_fail(error, "%s: damaged at compressed byte %zu: %s", where, eaten, reason(&z, code));
  inflateEnd(&z);
  if (!ok) return false;
  uint32_t found = (uint32_t)crc32_z(crc32_z(0, NULL, 0), out, size);
  if (found != sum)
    return svi_fail(error, "%s: damaged: its checksum is %08x, the entry says %08x", where, found, sum);
  return true;
}

size_t svi_inflate_peek(SviBytes in, uint8_t *out, size_t room) {
  z_stream z = { .next_in = (Bytef *)in.at, .avail_in = step_of(in.size), .next_out = out,
                .avail_out = step_of(room) };
  if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) return 0;
  inflate(&z, Z_SYNC_FLUSH);
  size_t n = room - z.avail_out;
  inflateEnd(&z);
  return n;
}

/* Doubles the block up to the most that may come; false with a message when there is no more to be had. */
static bool grow(uint8_t **block, size_t *room, SviBytes in, const char *where, SviError *error) {
  size_t most = in.size > SVI_INFLATE_LIMIT / MOST_FROM_ONE ? SVI_INFLATE_LIMIT : in.size * MOST_FROM_ONE;
  if (*room >= most)
    return svi_fail(error, "%s: inflates to more than %zu bytes, the limit for a file of %zu; store it "
                    "without .gz", where, most, in.size);
  size_t want = *room > most / 2 ? most : *room * 2;
  uint8_t *more = realloc(*block, want);
  if (!more) return svi_fail(error, "%s: out of memory for %zu bytes", where, want);
  *block = more;
  *room = want;
  return true;
}

/* All members into *block, which the caller frees also on failure. */
static bool inflate_members(z_stream *z, SviBytes in, const char *where, uint8_t **block, size_t *made,
                            SviError *error) {
  size_t eaten = 0, room = 4096;
  *block = malloc(room);
  if (!*block) return svi_fail(error, "%s: out of memory", where);
  for (;;) {
    if (*made == room && !grow(block, &room, in, where, error)) return false;
    z->next_in = (Bytef *)in.at + eaten;
    z->avail_in = step_of(in.size - eaten);
    z->next_out = *block + *made;
    z->avail_out = step_of(room - *made);
    uInt had_in = z->avail_in, had_out = z->avail_out;
    int code = inflate(z, Z_NO_FLUSH);
    eaten += had_in - z->avail_in;
    *made += had_out - z->avail_out;
    if (code == Z_STREAM_END) {
      while (eaten < in.size && in.at[eaten] == 0) eaten++;      /* tapes pad with zeros */
      if (eaten == in.size) return true;
      if (inflateReset(z) != Z_OK) return svi_fail(error, "%s: out of memory", where);
      continue;
    }
    if (code == Z_BUF_ERROR && *made == room) continue;
    if (code == Z_OK && (had_in != z->avail_in || had_out != z->avail_out)) continue;
    if (eaten == in.size)
      return svi_fail(error, "%s: truncated: the compressed data does not end in its %zu bytes", where,
                      in.size);
    return svi_fail(error, "%s: damaged at compressed byte %zu: %s", where, eaten, reason(z, code));
  }
}

bool svi_inflate_gz(SviBytes in, const char *where, SviFile *owner, SviBytes *out, SviError *error) {
  z_stream z = { 0 };
  if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) return svi_fail(error, "%s: out of memory", where);
  uint8_t *block = NULL;
  size_t made = 0;
  bool ok = inflate_members(&z, in, where, &block, &made, error);
  inflateEnd(&z);
  if (ok) ok = svi_file_keep(owner, block, made, where, error);
  if (!ok) { free(block); return false; }
  *out = (SviBytes){ block, made };
  return true;
}
