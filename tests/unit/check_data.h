/* What the tests of the data readers and writers share: their folders, helpers that fail the test when
 * something is not so, and a set of arrays of every type. */
#ifndef CHECK_DATA_H
#define CHECK_DATA_H

#include "../../runtime/data/inside.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

extern char tests[4096];                 /* the folder of the tests */
extern char place[4096];                 /* the folder that this run may fill; the tests run in it */
extern SviError error;

#define LENGTH(a) (sizeof (a) / sizeof (a)[0])
#define ALL_TYPES (SVI_BOOL + 1)
#define EVERY (ALL_TYPES + 2)

/* ---- helpers ---- */

static inline char *path_in(const char *folder, const char *name) {
  static char text[4][9000];
  static int next;
  char *t = text[next++ % 4];
  snprintf(t, sizeof text[0], "%s/%s/%s", tests, folder, name);
  return t;
}

static inline void write_file(const char *path, const void *bytes, size_t size) {
  FILE *f = fopen(path, "wb");
  ck_assert_msg(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0, "cannot write %s", path);
}

static inline void write_text(const char *path, const char *text) { write_file(path, text, strlen(text)); }

static inline uint8_t *read_whole(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  ck_assert_msg(f != NULL, "cannot read %s", path);
  uint8_t *bytes = malloc(1 << 20);
  *size = fread(bytes, 1, 1 << 20, f);
  fclose(f);
  return bytes;
}

static inline void write_gz(const char *path, const void *bytes, size_t size) {
  gzFile f = gzopen(path, "wb");
  ck_assert(f && gzwrite(f, bytes, (unsigned)size) == (int)size && gzclose(f) == Z_OK);
}

static inline SviFile opened(const char *path) {
  SviFile f;
  ck_assert_msg(svi_file_open(path, &f, &error), "%s", error.text);
  return f;
}

static inline void fails(const char *path, const char *text) {
  SviFile f;
  strcpy(error.text, "");
  ck_assert_msg(!svi_file_open(path, &f, &error), "%s: opened", path);
  ck_assert_str_eq(error.text, text);
  ck_assert(f.at == NULL && f.hold == NULL && f.n == 0);
}

static inline const SviArray *named(const SviFile *f, const char *name) {
  const SviArray *a = svi_file_find(f, name);
  ck_assert_msg(a != NULL, "no array `%s`", name);
  return a;
}

static inline void has_shape(const SviArray *a, const char *shape) {
  char text[300];
  ck_assert_str_eq(svi_array_describe(a, text, sizeof text), shape);
}

static inline void has_values(const SviArray *a, const double *v, size_t n) {
  ck_assert_uint_eq(svi_array_count(a), n);
  for (size_t i = 0; i < n; i++) {
    double got = svi_array_get(a, i);
    ck_assert_msg(got == v[i] || (isnan(got) && isnan(v[i])), "%s[%zu] is %g, needed %g", a->name, i, got,
                  v[i]);
  }
}
#define LIST(...) ((const double[]){ __VA_ARGS__ })
#define VALUES(a, ...) has_values(a, LIST(__VA_ARGS__), LENGTH(LIST(__VA_ARGS__)))

static inline bool same_array(const SviArray *a, const SviArray *b) {
  return !strcmp(a->name, b->name) && a->type == b->type && a->rank == b->rank
    && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0])
    && !memcmp(a->bytes, b->bytes, svi_array_count(a) * svi_type_size(a->type));
}

/* Counter-based bits, so that a failing case can be had again. */
static inline uint64_t bits(uint64_t n) {
  n = (n + 1) * 0x9e3779b97f4a7c15u;
  n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
  n = (n ^ n >> 27) * 0x94d049bb133111ebu;
  return n ^ n >> 31;
}

static inline size_t files_here(void) {
  size_t n = 0;
  DIR *d = opendir(".");
  for (struct dirent *e; (e = readdir(d)); ) n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
  closedir(d);
  return n;
}

/* Each type once, numbers of all bits (bool: 0 and 1), with shapes of rank 0 to 8; then two empty arrays. */
extern SviArray every[EVERY];

typedef struct { const char *tcase; const TTest *test; } Row;

static inline void add_rows(Suite *suite, const Row *row, size_t n, void (*enter)(void)) {
  TCase *tcase = NULL;
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || strcmp(row[i].tcase, row[i - 1].tcase)) {
      tcase = tcase_create(row[i].tcase);
      tcase_add_checked_fixture(tcase, enter, NULL);
      tcase_set_timeout(tcase, 120);
      suite_add_tcase(suite, tcase);
    }
    tcase_add_test(tcase, row[i].test);
  }
}

/* The second file's tests; each is run in an empty folder by the fixture. */
void add_wrong(Suite *suite, void (*enter)(void));

#endif
