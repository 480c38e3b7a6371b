/* What the files of this folder share: failing, owning memory, reading little pieces, replacing a file.
 *
 * A reader gets its bytes in memory (a mapping, or what a .gz inflated to), the name to show in messages
 * (`where`), and a file to add its arrays to.  Its arrays may point into those bytes: whoever called it
 * holds them as long as the file.  On failure the caller closes the file. */
#ifndef SVI_DATA_INSIDE_H
#define SVI_DATA_INSIDE_H

#include "data.h"

#include <string.h>

_Static_assert(sizeof(size_t) == 8, "offsets of 64 bits are kept in size_t");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "writers copy numbers as they lie in memory");

/* ---- open.c ---- */

/* Formats the message and returns false.  %m is the text of errno. */
bool svi_fail(SviError *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool svi_text_is_utf8(const char *text);

typedef struct { const uint8_t *at; size_t size; } SviBytes;

/* Zeroed memory, or NULL. */
void *svi_file_alloc(SviFile *file, size_t size, const char *where, SviError *error);

/* Takes over a block of malloc. */
bool svi_file_keep(SviFile *file, void *block, size_t size, const char *where, SviError *error);

SviArray *svi_file_add  (SviFile *file, const char *name, size_t length, const char *where, SviError *error);
bool      svi_file_names(const SviFile *file, const char *where, SviError *error);  /* are all different? */
bool      svi_file_map  (const char *path, const char *where, SviFile *owner, SviBytes *bytes,
                         SviError *error);

/* The path for messages: its last 160 bytes at most. */
typedef struct { char text[200]; } SviShown;
SviShown svi_path_shown(const char *path);

/* count x size of the element, or false when that overflows; zeros do not hide an overflow. */
bool svi_dims_size(const uint64_t *dim, int rank, size_t each, uint64_t *bytes);

/* Numbers of the other byte order, in place. */
void svi_bytes_swap(void *at, uint64_t count, size_t each);

/* ---- readers ---- */

bool svi_npy_read(SviBytes in, const char *where, const char *name, size_t length, SviFile *f,
                  SviError *error);
bool svi_npz_read(SviBytes in, const char *where, SviFile *f, SviError *error);
bool svi_idx_read(SviBytes in, const char *where, const char *name, SviFile *f, SviError *error);
bool svi_csv_read(SviBytes in, const char *where, char delimiter, SviFile *f, SviError *error);
bool svi_safetensors_read(SviBytes in, const char *where, SviTensors *t, SviError *error);

bool svi_is_npy(SviBytes in);
bool svi_is_zip(SviBytes in);
bool svi_is_gz (SviBytes in);
bool svi_is_idx(SviBytes in);

/* ---- inflate.c ---- */

/* Raw deflate of a known length and sum, into a block of that length. */
bool svi_inflate_exact(SviBytes in, uint8_t *out, uint64_t size, uint32_t sum, const char *where,
                       SviError *error);

/* A whole .gz, all its members, into memory of the file's. */
bool svi_inflate_gz(SviBytes in, const char *where, SviFile *owner, SviBytes *out, SviError *error);

/* The first bytes of a .gz, to see what is in it; returns how many. */
size_t svi_inflate_peek(SviBytes in, uint8_t *out, size_t room);

/* ---- npy.c: shared with npz.c ---- */

/* The .npy header of an array, a multiple of 64 bytes; returns its length. */
#define SVI_NPY_HEADER_ROOM 512
size_t svi_npy_header(const SviArray *a, char *text);

/* ---- save.c ---- */

/* A file being written.  Bytes go to a new file beside the target, which takes the target's name in
 * svi_save_done.  After the first failure the rest is ignored and svi_save_done fails. */
typedef struct {
  int       fd;
  bool      failed;
  bool      direct;             /* the target is a device or a pipe: written as it is */
  char     *path, *temp;
  uint8_t  *buffer;
  size_t    used;
  SviError *error;
} SviSave;

bool svi_save_open (SviSave *s, const char *path, SviError *error);
bool svi_save_bytes(SviSave *s, const void *bytes, size_t size);
bool svi_save_zeros(SviSave *s, size_t size);
bool svi_save_done (SviSave *s);
void svi_save_drop (SviSave *s);

/* Is the array one that can be written?  Its size in bytes comes back. */
bool svi_save_check(const char *path, const SviArray *a, uint64_t *bytes, SviError *error);

/* ---- pieces of bytes, the lowest first (le) or the highest first (be) ---- */

static inline uint16_t svi_le16(const uint8_t *p) { uint16_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint32_t svi_le32(const uint8_t *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint64_t svi_le64(const uint8_t *p) { uint64_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint32_t svi_be32(const uint8_t *p) { return __builtin_bswap32(svi_le32(p)); }

#endif
