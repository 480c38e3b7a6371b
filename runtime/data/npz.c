/* npz: a zip archive of .npy files.
 *
 * Reading.  In: the archive in memory.  Out: an array for each member called NAME.npy; others are passed
 * over.  The central directory at the end says where everything is; of the local headers only the lengths
 * of their variable parts are used.  A stored member's array lies in the archive itself; a deflated one is
 * unpacked into memory, and its sum checked.  Members together may not claim more compressed bytes than
 * the archive has, so an archive that lists one member many times unpacks no more than an honest one.
 *
 * Writing.  Stored members, every array at a multiple of 64 in the file, always with the 64-bit records:
 * one way of writing for all sizes.
 *
 * The format: PKWARE's APPNOTE.TXT 6.3.9, sections 4.3 and 4.5.3. */
#include "inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#define SIGN_LOCAL   0x04034b50u
#define SIGN_CENTRAL 0x02014b50u
#define SIGN_END     0x06054b50u
#define SIGN_END64   0x06064b50u
#define SIGN_PLACE64 0x07064b50u
#define SIZE_LOCAL   30
#define SIZE_CENTRAL 46
#define SIZE_END     22
#define SIZE_END64   56
#define SIZE_PLACE64 20
#define EXTRA_ZIP64  1
#define EXTRA_PAD    0xd935      /* what Android's zipalign uses to align members */
#define ALIGN        64
#define ONE_MORE_32  0xffffffffu /* "see the 64-bit record" */

/* ---- reading ---- */

typedef struct { uint64_t count, size, at; } Directory;

typedef struct {
  const char *name;
  size_t      length;
  unsigned    flags, method;
  uint32_t    sum;
  uint64_t    packed, size, local;
} Member;

/* The end record lies before a comment of at most 65535 bytes. */
static bool find_end(SviBytes in, const char *where, size_t *end, SviError *error) {
  for (size_t back = SIZE_END; back <= in.size && back <= SIZE_END + 65535; back++) {
    const uint8_t *p = in.at + in.size - back;
    if (svi_le32(p) != SIGN_END || svi_le16(p + 20) != back - SIZE_END) continue;
    *end = in.size - back;
    return true;
  }
  return svi_fail(error, "%s: truncated: a zip file of %zu bytes without its end record", where, in.size);
}

static bool find_directory64(SviBytes in, size_t end, const char *where, Directory *d, SviError *error) {
  if (end < SIZE_PLACE64 || svi_le32(in.at + end - SIZE_PLACE64) != SIGN_PLACE64) return true;
  uint64_t at = svi_le64(in.at + end - SIZE_PLACE64 + 8);
  if (end - SIZE_PLACE64 < SIZE_END64 || at > end - SIZE_PLACE64 - SIZE_END64
      || svi_le32(in.at + at) != SIGN_END64)
    return svi_fail(error, "%s: damaged: no 64-bit zip record at byte %" PRIu64 ", where its locator points",
                    where, at);
  const uint8_t *p = in.at + at;
  if (svi_le32(p + 16) != 0 || svi_le32(p + 20) != 0)
    return svi_fail(error, "%s: one part of a divided zip file, needed a whole one", where);
  *d = (Directory){ svi_le64(p + 32), svi_le64(p + 40), svi_le64(p + 48) };
  return true;
}

static bool find_directory(SviBytes in, const char *where, Directory *d, SviError *error) {
  size_t end = 0;
  if (!find_end(in, where, &end, error)) return false;
  const uint8_t *p = in.at + end;
  *d = (Directory){ svi_le16(p + 10), svi_le32(p + 12), svi_le32(p + 16) };
  if (!find_directory64(in, end, where, d, error)) return false;
  if (d->at > end || d->size > end - d->at)
    return svi_fail(error, "%s: damaged: a zip directory of %" PRIu64 " bytes at byte %" PRIu64 ", the file "
                    "holds %zu", where, d->size, d->at, in.size);
  if (d->count > d->size / SIZE_CENTRAL)
    return svi_fail(error, "%s: damaged: a zip directory of %" PRIu64 " bytes cannot have %" PRIu64 " "
                    "members", where, d->size, d->count);
  return true;
}

/* Puts in the values that did not fit into 32 bits; false when one is missing. */
static bool read_extra(const uint8_t *p, size_t size, Member *m) {
  uint64_t *field[3], *last[] = { &m->size, &m->packed, &m->local };
  int wanted = 0;
  for (int i = 0; i < 3; i++) if (*last[i] == ONE_MORE_32) field[wanted++] = last[i];
  while (size >= 4) {
    size_t id = svi_le16(p), length = svi_le16(p + 2);
    if (length > size - 4) return wanted == 0;
    if (id == EXTRA_ZIP64) {
      for (int i = 0; i < wanted; i++) {
        if (length < 8 * (size_t)(i + 1)) return false;
        *field[i] = svi_le64(p + 4 + 8 * i);
      }
      return true;
    }
    p += 4 + length;
    size -= 4 + length;
  }
  return wanted == 0;
}

/* One entry of the directory at *at, which moves on. */
static bool read_entry(SviBytes in, uint64_t *at, uint64_t end, const char *where, Member *m,
                       SviError *error) {
  const uint8_t *p = in.at + *at;
  if (end - *at < SIZE_CENTRAL || svi_le32(p) != SIGN_CENTRAL)
    return svi_fail(error, "%s: damaged: no zip directory entry at byte %" PRIu64, where, *at);
  size_t name = svi_le16(p + 28), extra = svi_le16(p + 30), comment = svi_le16(p + 32);
  if (name + extra + comment > end - *at - SIZE_CENTRAL)
    return svi_fail(error, "%s: damaged: the zip directory entry at byte %" PRIu64 " passes the directory's "
                    "end", where, *at);
  *m = (Member){ .name = (const char *)p + SIZE_CENTRAL, .length = name, .flags = svi_le16(p + 8),
                 .method = svi_le16(p + 10), .sum = svi_le32(p + 16), .packed = svi_le32(p + 20),
                 .size = svi_le32(p + 24), .local = svi_le32(p + 42) };
  if (!read_extra(p + SIZE_CENTRAL + name, extra, m))
    return svi_fail(error, "%s: damaged: the zip directory entry at byte %" PRIu64 " lacks its 64-bit sizes",
                    where, *at);
  *at += SIZE_CENTRAL + name + extra + comment;
  return true;
}

static bool find_packed(SviBytes in, const Member *m, const char *where, SviBytes *packed, SviError *error) {
  if (m->local > in.size || in.size - m->local < SIZE_LOCAL || svi_le32(in.at + m->local) != SIGN_LOCAL)
    return svi_fail(error, "%s: damaged: no zip member at byte %" PRIu64 ", where the directory points",
                    where, m->local);
  const uint8_t *p = in.at + m->local;
  uint64_t begin = m->local + SIZE_LOCAL + svi_le16(p + 26) + svi_le16(p + 28);
  if (begin > in.size || m->packed > in.size - begin)
    return svi_fail(error, "%s: truncated: %" PRIu64 " bytes at byte %" PRIu64 ", the file ends at %zu",
                    where, m->packed, begin, in.size);
  *packed = (SviBytes){ in.at + begin, m->packed };
  return true;
}

static const char *method_name(unsigned method) {
  switch (method) {
  case 9:  return " (deflate64)";
  case 12: return " (bzip2)";
  case 14: return " (lzma)";
  case 93: return " (zstd)";
  case 95: return " (xz)";
  }
  return "";
}

static bool read_member(SviBytes in, const Member *m, const char *where, uint64_t *total, SviFile *f,
                        SviError *error) {
  size_t length = m->length - 4;                 /* without .npy */
  if (length == 0 || memchr(m->name, 0, length))
    return svi_fail(error, "%s: a member without a usable name", where);
  if (m->flags & 1) return svi_fail(error, "%s: encrypted; save it without a password", where);
  if (m->method != 0 && m->method != 8)
    return svi_fail(error, "%s: compressed by method %u%s, needed stored or deflate; save it with np.savez "
                    "or np.savez_compressed", where, m->method, method_name(m->method));
  SviBytes packed;
  if (!find_packed(in, m, where, &packed, error)) return false;
  if (m->method == 0) {
    if (m->size != m->packed)
      return svi_fail(error, "%s: damaged: a stored member of %" PRIu64 " bytes in %" PRIu64, where, m->size,
                      m->packed);
    return svi_npy_read(packed, where, m->name, length, f, error);
  }
  if (m->size / 1032 > m->packed)                /* see inflate.c */
    return svi_fail(error, "%s: damaged: %" PRIu64 " bytes cannot inflate to %" PRIu64, where, m->packed,
                    m->size);
  *total += m->size;
  if (*total > SVI_INFLATE_LIMIT || m->size > SVI_INFLATE_LIMIT)
    return svi_fail(error, "%s: the archive inflates to more than %llu bytes, the limit; save it "
                    "uncompressed with np.savez", where, SVI_INFLATE_LIMIT);
  uint8_t *out = svi_file_alloc(f, m->size, where, error);
  if (!out || !svi_inflate_exact(packed, out, m->size, m->sum, where, error)) return false;
  return svi_npy_read((SviBytes){ out, m->size }, where, m->name, length, f, error);
}

bool svi_npz_read(SviBytes in, const char *where, SviFile *f, SviError *error) {
  if (!svi_is_zip(in)) return svi_fail(error, "%s: not a zip file: it does not begin with PK", where);
  Directory d;
  if (!find_directory(in, where, &d, error)) return false;
  uint64_t at = d.at, inflated = 0, claimed = 0;
  for (uint64_t i = 0; i < d.count; i++) {
    Member m;
    if (!read_entry(in, &at, d.at + d.size, where, &m, error)) return false;
    if (m.length < 4 || memcmp(m.name + m.length - 4, ".npy", 4)) continue;
    if (__builtin_add_overflow(claimed, m.packed, &claimed) || claimed > in.size)
      return svi_fail(error, "%s: damaged: its members claim more bytes than the %zu of the file", where,
                      in.size);
    char inner[400];
    snprintf(inner, sizeof inner, "%s: %.*s", where, m.length > 120 ? 120 : (int)m.length, m.name);
    if (!read_member(in, &m, inner, &inflated, f, error)) return false;
  }
  if (f->n == 0)
    return svi_fail(error, "%s: a zip file without arrays; needed members called NAME.npy", where);
  return true;
}

/* ---- writing ---- */

typedef struct {
  uint64_t local, bytes;         /* where its local header is; header and numbers together */
  uint32_t sum;
  size_t   header_size, name_size;
  char     header[SVI_NPY_HEADER_ROOM];
} Part;

static uint8_t *put(uint8_t *p, uint64_t v, int size) {
  memcpy(p, &v, (size_t)size);
  return p + size;
}

/* What local and central headers have in common: flags, method, time, sum, sizes, name length.  The time is
 * the first that zip knows, 1 January 1980, so that equal arrays make equal files. */
static uint8_t *put_common(uint8_t *p, const Part *part) {
  p = put(p, 1 << 11, 2);        /* the name is UTF-8 */
  p = put(p, 0, 2);
  p = put(p, 0, 2);
  p = put(p, 1 << 5 | 1, 2);
  p = put(p, part->sum, 4);
  p = put(p, ONE_MORE_32, 4);
  p = put(p, ONE_MORE_32, 4);
  return put(p, part->name_size + 4, 2);
}

static void write_local(SviSave *s, const SviArray *a, Part *part, uint64_t *at) {
  uint8_t head[SIZE_LOCAL], extra[24], *p = head;
  size_t before = SIZE_LOCAL + part->name_size + 4 + sizeof extra;
  size_t pad = (ALIGN - (*at + before) % ALIGN) % ALIGN;
  part->local = *at;
  p = put(p, SIGN_LOCAL, 4);
  p = put(p, 45, 2);
  p = put_common(p, part);
  put(p, sizeof extra + pad, 2);
  p = put(extra, EXTRA_ZIP64, 2);
  p = put(p, 16, 2);
  p = put(p, part->bytes, 8);
  p = put(p, part->bytes, 8);
  p = put(p, EXTRA_PAD, 2);
  put(p, pad, 2);
  svi_save_bytes(s, head, sizeof head);
  svi_save_bytes(s, a->name, part->name_size);
  svi_save_bytes(s, ".npy", 4);
  svi_save_bytes(s, extra, sizeof extra);
  svi_save_zeros(s, pad);
  svi_save_bytes(s, part->header, part->header_size);
  svi_save_bytes(s, a->bytes, part->bytes - part->header_size);
  *at += before + pad + part->bytes;
}

static void write_central(SviSave *s, const SviArray *a, const Part *part, uint64_t *at) {
  uint8_t head[SIZE_CENTRAL], extra[28], *p = head;
  p = put(p, SIGN_CENTRAL, 4);
  p = put(p, 3 << 8 | 45, 2);    /* made on Unix */
  p = put(p, 45, 2);
  p = put_common(p, part);
  p = put(p, sizeof extra, 2);
  p = put(p, 0, 2);              /* comment */
  p = put(p, 0, 2);              /* disk */
  p = put(p, 0, 2);
  p = put(p, (uint64_t)0100644 << 16, 4);
  put(p, ONE_MORE_32, 4);
  p = put(extra, EXTRA_ZIP64, 2);
  p = put(p, 24, 2);
  p = put(p, part->bytes, 8);
  p = put(p, part->bytes, 8);
  put(p, part->local, 8);
  svi_save_bytes(s, head, sizeof head);
  svi_save_bytes(s, a->name, part->name_size);
  svi_save_bytes(s, ".npy", 4);
  svi_save_bytes(s, extra, sizeof extra);
  *at += SIZE_CENTRAL + part->name_size + 4 + sizeof extra;
}

static void write_end(SviSave *s, size_t n, uint64_t begin, uint64_t end) {
  uint8_t tail[SIZE_END64 + SIZE_PLACE64 + SIZE_END], *p = tail;
  p = put(p, SIGN_END64, 4);
  p = put(p, SIZE_END64 - 12, 8);
  p = put(p, 3 << 8 | 45, 2);
  p = put(p, 45, 2);
  p = put(p, 0, 8);              /* disks */
  p = put(p, n, 8);
  p = put(p, n, 8);
  p = put(p, end - begin, 8);
  p = put(p, begin, 8);
  p = put(p, SIGN_PLACE64, 4);
  p = put(p, 0, 4);
  p = put(p, end, 8);
  p = put(p, 1, 4);
  p = put(p, SIGN_END, 4);
  p = put(p, 0, 4);
  p = put(p, 0xffff, 2);
  p = put(p, 0xffff, 2);
  p = put(p, ONE_MORE_32, 4);
  p = put(p, ONE_MORE_32, 4);
  put(p, 0, 2);
  svi_save_bytes(s, tail, sizeof tail);
}

static bool prepare(const char *path, const SviArray *a, Part *part, SviError *error) {
  uint64_t bytes;
  if (!svi_save_check(path, a, &bytes, error)) return false;
  part->name_size = strlen(a->name);
  if (part->name_size > 60000) return svi_fail(error, "%s: an array's name has %zu bytes, the most is 60000",
                                               svi_path_shown(path).text, part->name_size);
  part->header_size = svi_npy_header(a, part->header);
  part->bytes = part->header_size + bytes;
  uLong sum = crc32_z(0, (const Bytef *)part->header, part->header_size);
  part->sum = (uint32_t)(bytes ? crc32_z(sum, a->bytes, bytes) : sum);
  return true;
}

static bool write_all(const char *path, const SviArray *arrays, size_t n, Part *part, SviError *error) {
  for (size_t i = 0; i < n; i++) if (!prepare(path, &arrays[i], &part[i], error)) return false;
  SviSave s;
  if (!svi_save_open(&s, path, error)) return false;
  uint64_t at = 0, begin;
  for (size_t i = 0; i < n; i++) write_local(&s, &arrays[i], &part[i], &at);
  begin = at;
  for (size_t i = 0; i < n; i++) write_central(&s, &arrays[i], &part[i], &at);
  write_end(&s, n, begin, at);
  return svi_save_done(&s);
}

bool svi_npz_write(const char *path, const SviArray *arrays, size_t n, SviError *error) {
  SviShown shown = svi_path_shown(path);
  if (n == 0) return svi_fail(error, "%s: no arrays to write", shown.text);
  SviFile all = { .at = (SviArray *)arrays, .n = n };
  if (!svi_file_names(&all, shown.text, error)) return false;
  Part *part = calloc(n, sizeof *part);
  if (!part) return svi_fail(error, "%s: out of memory", shown.text);
  bool ok = write_all(path, arrays, n, part, error);
  free(part);
  return ok;
}
