/* Files in and out: arrays of numbers by name, checkpoints, pictures.
 *
 * An SviArray is a named block of numbers in C order, in this machine's byte order.  An SviFile is what
 * one file (or one folder of files) held: it owns its arrays, their names and their bytes, and gives all
 * back in svi_file_close.  Large data is not copied: an array of an .npy file or of a stored .npz member
 * lies in the mapped file, so `bytes` need not be aligned.  Read it by svi_array_get and
 * svi_array_rows_*, or by memcpy; never through a cast pointer.  A mapped file must not be shortened by
 * somebody else while it is open (replacing it by rename is harmless).
 *
 * Every function that can fail returns bool and writes one sentence into an SviError (which may be NULL):
 * the file, the place, what was found, what was needed.  On failure nothing is left to close or delete.
 * No file content whatsoever makes a reader crash or allocate beyond SVI_INFLATE_LIMIT or a small multiple
 * of the file's length.  There is no global state: threads may use different files, and read one file,
 * at once.
 *
 * Order to read: this header; open.c (which reader reads what); npy.c, npz.c, idx.c, csv.c,
 * safetensors.c, png.c; save.c (how a file is replaced at once or not at all); pack.c. */
#ifndef SVI_DATA_H
#define SVI_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct { char text[512]; } SviError;      /* always ends in a zero byte, has no control characters */

typedef enum { SVI_U8, SVI_I8, SVI_U16, SVI_I16, SVI_I32, SVI_U32, SVI_I64, SVI_U64, SVI_F32, SVI_F64,
               SVI_BOOL } SviType;

#define SVI_MAX_RANK      8
#define SVI_INFLATE_LIMIT (16ull << 30)           /* bytes that one file may inflate to */

typedef struct {
  char       *name;
  SviType     type;
  int         rank;                               /* 0 is a single number */
  uint64_t    dim[SVI_MAX_RANK];
  const void *bytes;                              /* count x svi_type_size, may be unaligned */
} SviArray;

typedef struct SviHold SviHold;                   /* memory or a mapping that a file owns */

typedef struct {
  SviArray *at;                                   /* in the order of the file, names all different */
  size_t    n;
  size_t    room;
  SviHold  *hold;
} SviFile;

/* ---- types and arrays ---- */

size_t      svi_type_size(SviType type);
const char *svi_type_name(SviType type);          /* "u8", "f32", ... */
uint64_t    svi_array_count(const SviArray *a);   /* product of the dimensions */

/* One element as a double; NaN when index is not below the count. */
double svi_array_get(const SviArray *a, uint64_t index);

/* out[nrows][row_size]: row r is elements rows[r]*row_size ... of the array.  Rows are not checked. */
void svi_array_rows_f32(const SviArray *a, const uint32_t *rows, size_t nrows, size_t row_size, float *out);
void svi_array_rows_f64(const SviArray *a, const uint32_t *rows, size_t nrows, size_t row_size, double *out);
/* Adds the elements of these rows, each of row_size, to sum[row_size]. */
void svi_array_sum_rows(const SviArray *a, uint64_t first, uint64_t rows, size_t row_size, double *sum);

/* "u8 [60000,28,28]" into text, cut to fit; returns text. */
char *svi_array_describe(const SviArray *a, char *text, size_t room);

/* ---- reading ---- */

/* Opens .npy, .npz, idx, .csv, .tsv, .safetensors, a .gz of any of them, or a folder of such files; what
 * begins as one of the binary formats is read as that format whatever its name is.  A file of one array
 * names it after itself: the file's name without folder, .gz and suffix. */
bool            svi_file_open(const char *path, SviFile *file, SviError *error);
void            svi_file_close(SviFile *file);    /* harmless on a zeroed or closed file */
const SviArray *svi_file_find(const SviFile *file, const char *name);   /* NULL when there is none */

/* ---- writing: each replaces `path` at once, or leaves it as it was and fails ---- */

bool svi_npy_write(const char *path, const SviArray *array, SviError *error);
bool svi_npz_write(const char *path, const SviArray *arrays, size_t n, SviError *error);

/* Rank 1 gives one column, more the columns name[0], name[1], ... of a row's elements in their order; all of the same length. */
bool svi_csv_write(const char *path, const SviArray *arrays, size_t n, SviError *error);

/* By the end of the path: .npz, .csv, .safetensors, or .npy for one array; and is it one of them? */
bool svi_file_write(const char *path, const SviArray *arrays, size_t n, SviError *error);
bool svi_file_named(const char *path, SviError *error);

/* ---- checkpoints ---- */

typedef struct { const char *key, *value; } SviNote;

typedef struct {
  SviFile  file;                                  /* the tensors */
  SviNote *note;                                  /* the metadata, owned */
  size_t   nnotes;
} SviTensors;

/* Same arguments, same bytes.  Tensors of wide numbers go first so that every tensor is aligned. */
bool svi_safetensors_write(const char *path, const SviArray *tensors, size_t n,
                           const SviNote *notes, size_t nnotes, SviError *error);
bool            svi_safetensors_open (const char *path, SviTensors *t, SviError *error);
const SviArray *svi_safetensors_find (const SviTensors *t, const char *name);      /* or NULL */
const char     *svi_safetensors_note (const SviTensors *t, const char *key);       /* or NULL */
void            svi_safetensors_close(SviTensors *t);

/* ---- pictures ---- */

bool svi_png_write_gray(const char *path, uint32_t width, uint32_t height, const uint8_t *bytes,
                        SviError *error);
bool svi_png_write_rgb(const char *path, uint32_t width, uint32_t height, const uint8_t *bytes,
                       SviError *error);

typedef struct {
  uint32_t columns;                               /* 0: about square */
  uint32_t gutter;                                /* pixels between and around the images */
  uint32_t magnify;                               /* each pixel becomes magnify x magnify; 0 is 1 */
} SviGrid;

/* n grey images [n][h][w], 0 black to 1 white; what is outside is clipped, NaN is black. */
bool svi_png_grid(const char *path, const float *images, size_t n, uint32_t h, uint32_t w, SviGrid grid,
                  SviError *error);

/* ---- converting ---- */

/* One thing to pack: every array of the file at `path` under its own name, or, with a name, the file's only
 * array under that name.  `FILE:ARRAY` as the path takes one array out of several. */
typedef struct { const char *name, *path; } SviPack;

bool svi_convert(const char *out, const SviPack *from, size_t n, SviError *error);

/* The commands, for a driver: run(argc, argv) gets the words after the command's name, prints, and returns
 * an exit status.  The table ends in a row whose name is NULL. */
typedef struct { const char *name, *usage, *purpose; int (*run)(int argc, char **argv); } SviDataCommand;

extern const SviDataCommand svi_data_commands[];

#ifdef __cplusplus
}
#endif
#endif
