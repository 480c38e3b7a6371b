/* The data readers and writers: every format there and back, and what others wrote.
 *
 * Files of others' making are in tests/data/arrays; it has a make.py.  The rest is written into a new folder
 * under TMPDIR.  The tests' folder is found beside this source, or by the environment variable SVI_TESTS.
 * Wrong files, hostile bytes and full disks: check_data_wrong.c, linked into the same program. */
#define _GNU_SOURCE 1
#include "check_data.h"

#include <locale.h>
#include <png.h>
#include <pthread.h>

char tests[4096], place[4096];
SviError error;

static uint64_t store[EVERY][24];
SviArray every[EVERY];

static void make_every(void) {
  static const struct { SviType type; int rank; uint64_t dim[SVI_MAX_RANK]; } row[EVERY] = {
    { SVI_U8,   0, { 0 } },
    { SVI_I8,   1, { 7 } },
    { SVI_U16,  2, { 3, 4 } },
    { SVI_I16,  3, { 2, 3, 4 } },
    { SVI_I32,  4, { 1, 2, 1, 5 } },
    { SVI_U32,  5, { 2, 1, 2, 1, 2 } },
    { SVI_I64,  6, { 1, 1, 1, 1, 1, 6 } },
    { SVI_U64,  7, { 2, 2, 2, 1, 1, 1, 1 } },
    { SVI_F32,  8, { 1, 2, 1, 2, 1, 2, 1, 2 } },
    { SVI_F64,  2, { 4, 6 } },
    { SVI_BOOL, 1, { 24 } },
    { SVI_F32,  1, { 0 } },
    { SVI_I64,  3, { 4, 0, 2 } },
  };
  static char name[EVERY][16];
  for (size_t k = 0; k < EVERY; k++) {
    for (size_t i = 0; i < LENGTH(store[k]); i++) store[k][i] = bits(k * 100 + i);
    if (row[k].type == SVI_BOOL)
      for (size_t i = 0; i < LENGTH(store[k]); i++) store[k][i] &= 0x0101010101010101u;
    snprintf(name[k], sizeof name[k], "%s%zu", svi_type_name(row[k].type), k);
    every[k] = (SviArray){ .name = name[k], .type = row[k].type, .rank = row[k].rank, .bytes = store[k] };
    memcpy(every[k].dim, row[k].dim, sizeof every[k].dim);
  }
}

/* ---- files that others wrote ---- */

START_TEST(numpy_arrays_are_read) {
  static const struct { const char *name; double modulo; } row[] = {
    { "i1-C", 0 }, { "i1-F", 0 }, { "little-i2-C", 0 }, { "little-i2-F", 0 }, { "big-i2-C", 0 },
      { "big-i2-F", 0 },
    { "big-u4-C", 4294967296.0 }, { "big-u4-F", 4294967296.0 }, { "little-i8-C", 0 }, { "little-i8-F", 0 },
    { "big-i8-C", 0 }, { "big-i8-F", 0 }, { "little-f2-C", 0 }, { "little-f2-F", 0 }, { "big-f2-C", 0 },
    { "big-f2-F", 0 }, { "little-f4-C", 0 }, { "little-f4-F", 0 }, { "big-f4-C", 0 }, { "big-f4-F", 0 },
    { "little-f8-C", 0 }, { "little-f8-F", 0 }, { "big-f8-C", 0 }, { "big-f8-F", 0 }, { "version2", 0 },
    { "version3", 0 } };
  for (size_t r = 0; r < LENGTH(row); r++) {
    char name[64];
    snprintf(name, sizeof name, "%s.npy", row[r].name);
    SviFile f = opened(path_in("data/arrays", name));
    ck_assert_uint_eq(f.n, 1);
    const SviArray *a = named(&f, row[r].name);
    ck_assert_int_eq(a->rank, 3);
    ck_assert(a->dim[0] == 2 && a->dim[1] == 3 && a->dim[2] == 4);
    for (int i = 0; i < 24; i++) ck_assert_double_eq(svi_array_get(a, (uint64_t)i),
                                                     i - 3 + (i < 3) * row[r].modulo);
    svi_file_close(&f);
  }
}
END_TEST

START_TEST(numpy_scalars_bools_and_empty_arrays_are_read) {
  SviFile f = opened(path_in("data/arrays", "scalar.npy"));
  has_shape(&f.at[0], "f32 []");
  VALUES(&f.at[0], -3);
  svi_file_close(&f);
  f = opened(path_in("data/arrays", "none.npy"));
  has_shape(&f.at[0], "f32 [0,5]");
  ck_assert(isnan(svi_array_get(&f.at[0], 0)));
  svi_file_close(&f);
  f = opened(path_in("data/arrays", "b1.npy"));
  has_shape(&f.at[0], "bool [2,3,4]");
  for (uint64_t i = 0; i < 24; i++) ck_assert_double_eq(svi_array_get(&f.at[0], i), i > 3);
  svi_file_close(&f);
}
END_TEST

START_TEST(numpy_archives_are_read_stored_and_deflated) {
  static const char *const archive[] = { "stored.zip", "deflated.zip" };
  for (int k = 0; k < 2; k++) {
    SviFile f = opened(path_in("data/arrays", archive[k]));
    ck_assert_uint_eq(f.n, 3);
    has_shape(named(&f, "x"), "i8 [2,3,4]");
    has_shape(named(&f, "f"), "f32 [2,3,4]");
    VALUES(named(&f, "w"), 0, 10, 20, 30, 40);
    for (int i = 0; i < 24; i++) {
      ck_assert_double_eq(svi_array_get(named(&f, "x"), (uint64_t)i), i - 3);
      ck_assert_double_eq(svi_array_get(named(&f, "f"), (uint64_t)i), i - 3);
    }
    svi_file_close(&f);
  }
}
END_TEST

START_TEST(half_precision_becomes_f32) {
  static const uint16_t half[] = { 0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00, 0xfc00, 0x7e00, 0x3555 };
  uint8_t bytes[200];
  SviArray a = { .name = "h", .type = SVI_I16, .rank = 1, .dim = { LENGTH(half) }, .bytes = half };
  ck_assert(svi_npy_write("h.npy", &a, &error));
  size_t size;
  uint8_t *file = read_whole("h.npy", &size);
  memcpy(bytes, file, size);
  free(file);
  memcpy(memmem(bytes, size, "<i2", 3), "<f2", 3);
  write_file("h.npy", bytes, size);
  SviFile f = opened("h.npy");
  has_shape(&f.at[0], "f32 [9]");
  VALUES(&f.at[0], 1, -2, 65504, 0x1p-24, 0, INFINITY, -INFINITY, NAN, 0x1.554p-2);
  svi_file_close(&f);
}
END_TEST

START_TEST(a_checkpoint_of_the_format_s_own_library_is_read) {
  SviTensors t;
  ck_assert_msg(svi_safetensors_open(path_in("data/arrays", "library.safetensors"), &t, &error), "%s",
                error.text);
  ck_assert_uint_eq(t.file.n, 3);
  has_shape(svi_safetensors_find(&t, "x"), "f32 [2,3,4]");
  has_shape(svi_safetensors_find(&t, "i"), "i64 [2,3,4]");
  for (int i = 0; i < 24; i++) {
    ck_assert_double_eq(svi_array_get(svi_safetensors_find(&t, "x"), (uint64_t)i), i - 3);
    ck_assert_double_eq(svi_array_get(svi_safetensors_find(&t, "i"), (uint64_t)i), i - 3);
    ck_assert_double_eq(svi_array_get(svi_safetensors_find(&t, "b"), (uint64_t)i), i - 3);
  }
  ck_assert_str_eq(svi_safetensors_note(&t, "step"), "500");
  ck_assert_str_eq(svi_safetensors_note(&t, "note"), "\"q\" \xc3\xa9");
  ck_assert_ptr_null(svi_safetensors_find(&t, "y"));
  ck_assert_ptr_null(svi_safetensors_note(&t, "y"));
  svi_safetensors_close(&t);
}
END_TEST

/* ---- there and back ---- */

START_TEST(npy_keeps_every_type) {
  for (int t = 0; t < EVERY; t++) {
    char path[32];
    snprintf(path, sizeof path, "%s.npy", every[t].name);
    ck_assert_msg(svi_npy_write(path, &every[t], &error), "%s", error.text);
    SviFile f = opened(path);
    ck_assert_uint_eq(f.n, 1);
    ck_assert(same_array(&f.at[0], &every[t]));
    svi_file_close(&f);
  }
}
END_TEST

START_TEST(npz_keeps_every_type_and_aligns_it) {
  ck_assert_msg(svi_npz_write("all.npz", every, EVERY, &error), "%s", error.text);
  SviFile f = opened("all.npz");
  ck_assert_uint_eq(f.n, EVERY);
  for (int t = 0; t < EVERY; t++) {
    ck_assert(same_array(&f.at[t], &every[t]));
    ck_assert_uint_eq((uintptr_t)f.at[t].bytes % 64, 0);
  }
  svi_file_close(&f);
}
END_TEST

START_TEST(safetensors_keeps_every_type_aligns_it_and_keeps_the_metadata) {
  const SviNote notes[] = { { "step", "500" }, { "q\"\\\n\x01", "\xce\xb8 \"\\\t" }, { "", "" } };
  ck_assert_msg(svi_safetensors_write("c.safetensors", every, EVERY, notes, 3, &error), "%s", error.text);
  SviTensors t;
  ck_assert_msg(svi_safetensors_open("c.safetensors", &t, &error), "%s", error.text);
  ck_assert_uint_eq(t.file.n, EVERY);
  for (int i = 0; i < EVERY; i++) {
    const SviArray *a = svi_safetensors_find(&t, every[i].name);
    ck_assert(a && same_array(a, &every[i]));
    ck_assert_uint_eq((uintptr_t)a->bytes % svi_type_size(a->type), 0);
  }
  ck_assert_uint_eq(t.nnotes, 3);
  for (int i = 0; i < 3; i++) ck_assert_str_eq(svi_safetensors_note(&t, notes[i].key), notes[i].value);
  svi_safetensors_close(&t);
  SviFile f = opened("c.safetensors");
  ck_assert_uint_eq(f.n, EVERY);
  svi_file_close(&f);
}
END_TEST

START_TEST(equal_tensors_make_equal_files) {
  const SviNote note = { "step", "500" };
  size_t n, m;
  ck_assert(svi_safetensors_write("1.safetensors", every, EVERY, &note, 1, &error));
  ck_assert(svi_npz_write("1.npz", every, EVERY, &error));
  sleep(1);                              /* so that a time in a file would show */
  ck_assert(svi_safetensors_write("2.safetensors", every, EVERY, &note, 1, &error));
  ck_assert(svi_npz_write("2.npz", every, EVERY, &error));
  for (int k = 0; k < 2; k++) {
    uint8_t *a = read_whole(k ? "1.npz" : "1.safetensors", &n), *b = read_whole(k ? "2.npz"
                                                                                : "2.safetensors", &m);
    ck_assert(n == m && n > 500 && !memcmp(a, b, n));
    free(a);
    free(b);
  }
}
END_TEST

/* Whatever the header's length is. */
START_TEST(a_checkpoint_is_aligned_after_any_header) {
  char value[10] = "";
  for (int i = 0; i < 9; i++, strcat(value, "x")) {
    const SviNote note = { "note", value };
    SviTensors t;
    ck_assert(svi_safetensors_write("n.safetensors", every, EVERY, &note, 1, &error));
    ck_assert_msg(svi_safetensors_open("n.safetensors", &t, &error), "%s", error.text);
    for (size_t k = 0; k < t.file.n; k++)
      ck_assert_uint_eq((uintptr_t)t.file.at[k].bytes % svi_type_size(t.file.at[k].type), 0);
    svi_safetensors_close(&t);
  }
}
END_TEST

START_TEST(an_empty_checkpoint_is_one) {
  SviTensors t;
  ck_assert(svi_safetensors_write("e.safetensors", NULL, 0, NULL, 0, &error));
  ck_assert_msg(svi_safetensors_open("e.safetensors", &t, &error), "%s", error.text);
  ck_assert_uint_eq(t.file.n + t.nnotes, 0);
  svi_safetensors_close(&t);
}
END_TEST

START_TEST(csv_keeps_every_number) {
  enum { ROWS = 200 };
  static double d[ROWS];
  static float s[ROWS][3];
  static int64_t w[ROWS];
  for (uint64_t i = 0; i < ROWS; i++) {
    uint64_t u = bits(i);
    memcpy(&d[i], &u, 8);
    for (uint64_t k = 0; k < 3; k++) { u = bits(1000 + 3 * i + k); memcpy(&s[i][k], &u, 4); }
    w[i] = (int64_t)bits(9000 + i) >> 12;
  }
  d[0] = NAN, d[1] = INFINITY, d[2] = -INFINITY, d[3] = -0.0, d[4] = 0x1p-1074, d[5] = 0.1;
  const SviArray arrays[] = {
    { .name = "d", .type = SVI_F64, .rank = 1, .dim = { ROWS }, .bytes = d },
    { .name = "s, \"3\"", .type = SVI_F32, .rank = 2, .dim = { ROWS, 3 }, .bytes = s },
    { .name = "w", .type = SVI_I64, .rank = 1, .dim = { ROWS }, .bytes = w } };
  ck_assert_msg(svi_csv_write("t.csv", arrays, 3, &error), "%s", error.text);
  SviFile f = opened("t.csv");
  ck_assert_uint_eq(f.n, 3);
  has_shape(named(&f, "d"), "f64 [200]");
  has_shape(named(&f, "s, \"3\""), "f64 [200,3]");
  has_values(named(&f, "d"), d, ROWS);
  for (uint64_t i = 0; i < ROWS; i++) {
    ck_assert_double_eq(svi_array_get(named(&f, "w"), i), (double)w[i]);
    for (uint64_t k = 0; k < 3; k++) {
      float got = (float)svi_array_get(named(&f, "s, \"3\""), 3 * i + k);
      ck_assert_msg(got == s[i][k] || (isnan(got) && isnan(s[i][k])), "%a is %a", (double)s[i][k],
                    (double)got);
    }
  }
  svi_file_close(&f);
}
END_TEST

START_TEST(csv_writes_short_numbers_and_a_header) {
  const float v[] = { 0.1f, 1, -2.5f, 1e30f };
  const uint8_t b[] = { 0, 255 };
  const SviArray arrays[] = { { .name = "v", .type = SVI_F32, .rank = 2, .dim = { 2, 2 }, .bytes = v },
                              { .name = "b", .type = SVI_U8, .rank = 1, .dim = { 2 }, .bytes = b } };
  size_t n;
  ck_assert(svi_csv_write("v.csv", arrays, 2, &error));
  uint8_t *text = read_whole("v.csv", &n);
  ck_assert_str_eq((text[n] = 0, (char *)text), "v[0],v[1],b\n0.1,1,0\n-2.5,1e+30,255\n");
  free(text);
  const SviArray deep = { .name = "d", .type = SVI_F32, .rank = 3, .dim = { 1, 2, 2 }, .bytes = v };
  ck_assert(svi_csv_write("v.csv", &deep, 1, &error));
  text = read_whole("v.csv", &n);
  ck_assert_str_eq((text[n] = 0, (char *)text), "d[0],d[1],d[2],d[3]\n0.1,1,-2.5,1e+30\n");
  free(text);
}
END_TEST

START_TEST(writers_refuse_what_cannot_be_written) {
  const double v[4] = { 0 };
  const SviArray a = { .name = "a", .type = SVI_F64, .rank = 1, .dim = { 4 }, .bytes = v };
  const SviArray two[] = { a, a };
  SviArray flat = { .name = "flat", .type = SVI_F64, .rank = 0, .bytes = v };
  SviArray other[] = { a, { .name = "b", .type = SVI_F64, .rank = 1, .dim = { 3 }, .bytes = v } };
  SviArray number = { .name = "12", .type = SVI_F64, .rank = 1, .dim = { 4 }, .bytes = v };
  SviArray latin = { .name = "\xe9t\xe9", .type = SVI_F64, .rank = 1, .dim = { 4 }, .bytes = v };
  SviArray nine = { .name = "nine", .type = SVI_F64, .rank = 9, .bytes = v };
  SviArray huge = { .name = "huge", .type = SVI_F64, .rank = 2, .dim = { 1ull << 40, 1ull << 40 },
                   .bytes = v };
  SviArray blank = { .name = "", .type = SVI_F64, .rank = 1, .dim = { 4 }, .bytes = v };
  ck_assert(!svi_npz_write("x", two, 2, &error));
  ck_assert_str_eq(error.text, "x: two arrays are called `a`");
  ck_assert(!svi_npz_write("x", NULL, 0, &error));
  ck_assert_str_eq(error.text, "x: no arrays to write");
  ck_assert(!svi_safetensors_write("x", two, 2, NULL, 0, &error));
  ck_assert_str_eq(error.text, "x: two arrays are called `a`");
  ck_assert(!svi_safetensors_write("x", &latin, 1, NULL, 0, &error));
  ck_assert_str_eq(error.text, "x: the name `?t?` is not UTF-8");
  ck_assert(!svi_csv_write("x", &flat, 1, &error));
  ck_assert_str_eq(error.text, "x: `flat` has no rows, and a table is made of rows; write an .npz");
  ck_assert(!svi_csv_write("x", other, 2, &error));
  ck_assert_str_eq(error.text, "x: `b` has 3 rows, `a` has 4");
  ck_assert(!svi_csv_write("x", &number, 1, &error));
  ck_assert_str_eq(error.text, "x: all names are numbers, they would be read as a row");
  ck_assert(!svi_npy_write("x", &nine, &error));
  ck_assert_str_eq(error.text, "x: `nine` has rank 9, the most is 8");
  ck_assert(!svi_npy_write("x", &huge, &error));
  ck_assert_str_eq(error.text, "x: the shape of `huge` is too large");
  ck_assert(!svi_npy_write("x", &blank, &error));
  ck_assert_str_eq(error.text, "x: an array without a name");
  ck_assert_int_ne(access("x", F_OK), 0);
}
END_TEST

/* ---- idx, .gz, folders ---- */

static const uint8_t idx_images[] = { 0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7,
                                     255 };
static const uint8_t idx_labels[] = { 0, 0, 8, 1, 0, 0, 0, 2, 7, 9 };

START_TEST(idx_reads_every_type) {
  static const struct { uint8_t bytes[16]; size_t size; double first, second; const char *shape; } row[] = {
    { { 0, 0, 0x08, 1, 0, 0, 0, 2, 1, 200 },           10, 1, 200,     "u8 [2]" },
    { { 0, 0, 0x09, 1, 0, 0, 0, 2, 1, 0xfe },          10, 1, -2,      "i8 [2]" },
    { { 0, 0, 0x0b, 1, 0, 0, 0, 2, 1, 0, 0xff, 0xfe }, 12, 256, -2,    "i16 [2]" },
    { { 0, 0, 0x0c, 1, 0, 0, 0, 1, 0xff, 0, 0, 0 },    12, -0x1p24, NAN, "i32 [1]" },
    { { 0, 0, 0x0d, 1, 0, 0, 0, 1, 0xbf, 0x80, 0, 0 }, 12, -1, NAN,    "f32 [1]" },
    { { 0, 0, 0x0e, 1, 0, 0, 0, 1, 0x3f, 0xe0 },       16, 0.5, NAN,   "f64 [1]" } };
  for (size_t i = 0; i < LENGTH(row); i++) {
    write_file("some.idx", row[i].bytes, row[i].size);
    SviFile f = opened("some.idx");
    has_shape(named(&f, "some"), row[i].shape);
    ck_assert_double_eq(svi_array_get(&f.at[0], 0), row[i].first);
    if (f.at[0].dim[0] == 2) ck_assert_double_eq(svi_array_get(&f.at[0], 1), row[i].second);
    svi_file_close(&f);
  }
}
END_TEST

START_TEST(content_decides_before_the_name_does) {
  write_file("odd.csv", idx_labels, sizeof idx_labels);
  SviFile f = opened("odd.csv");
  VALUES(named(&f, "odd"), 7, 9);
  svi_file_close(&f);
}
END_TEST

START_TEST(gz_of_every_format_is_read) {
  size_t n;
  write_gz("labels-idx1-ubyte.gz", idx_labels, sizeof idx_labels);
  write_gz("t.CSV.GZ", "a,b\n1,2\n", 8);
  ck_assert(svi_npz_write("z.npz", every, EVERY, &error));
  uint8_t *bytes = read_whole("z.npz", &n);
  write_gz("z.npz.gz", bytes, n);
  free(bytes);
  ck_assert(svi_npy_write("y.npy", &every[SVI_I16], &error));
  bytes = read_whole("y.npy", &n);
  write_gz("y.npy.gz", bytes, n);
  free(bytes);
  SviFile f = opened("labels-idx1-ubyte.gz");
  VALUES(named(&f, "labels-idx1-ubyte"), 7, 9);
  svi_file_close(&f);
  f = opened("t.CSV.GZ");
  VALUES(named(&f, "b"), 2);
  svi_file_close(&f);
  f = opened("z.npz.gz");
  ck_assert_uint_eq(f.n, EVERY);
  ck_assert(same_array(&f.at[3], &every[3]));
  svi_file_close(&f);
  f = opened("y.npy.gz");
  ck_assert_str_eq(f.at[0].name, "y");
  svi_file_close(&f);
}
END_TEST

START_TEST(gz_members_are_joined_and_padding_is_not_data) {
  uint8_t all[400] = { 0 };
  size_t n, m;
  write_gz("1.gz", "a\n1\n", 4);
  write_gz("2.gz", "2\n3\n", 4);
  uint8_t *one = read_whole("1.gz", &n), *two = read_whole("2.gz", &m);
  memcpy(all, one, n);
  memcpy(all + n, two, m);
  write_file("both.csv.gz", all, n + m + 20);
  free(one);
  free(two);
  SviFile f = opened("both.csv.gz");
  VALUES(named(&f, "a"), 1, 2, 3);
  svi_file_close(&f);
}
END_TEST

START_TEST(much_deflated_data_comes_back) {
  size_t n = 3000000;
  uint8_t *zeros = calloc(n + 12, 1);
  memcpy(zeros, (uint8_t[]){ 0, 0, 8, 1, 0, 0x2d, 0xc6, 0xc0 }, 8);      /* 3000000 */
  write_gz("zeros-idx1-ubyte.gz", zeros, n + 8);
  free(zeros);
  SviFile f = opened("zeros-idx1-ubyte.gz");
  ck_assert_uint_eq(f.at[0].dim[0], n);
  svi_file_close(&f);
}
END_TEST

START_TEST(a_folder_is_its_data_files) {
  mkdir("mnist", 0777);
  mkdir("mnist/inner", 0777);
  write_text("mnist/inner/a.csv", "inner\n1\n");
  write_text("mnist/README.md", "not data");
  write_text("mnist/.hidden.csv", "hidden\n1\n");
  write_gz("mnist/notes.gz", "not data", 8);
  write_file("mnist/train-images-idx3-ubyte", idx_images, sizeof idx_images);
  write_gz("mnist/train-images-idx3-ubyte.gz", idx_images, sizeof idx_images);
  write_gz("mnist/train-labels-idx1-ubyte.gz", idx_labels, sizeof idx_labels);
  write_text("mnist/more.csv", "x,y\n1,2\n");
  for (int slash = 0; slash < 2; slash++) {
    SviFile f = opened(slash ? "mnist/" : "mnist");
    ck_assert_uint_eq(f.n, 4);
    has_shape(named(&f, "train-images-idx3-ubyte"), "u8 [2,2,2]");
    VALUES(named(&f, "train-labels-idx1-ubyte"), 7, 9);
    VALUES(named(&f, "y"), 2);
    svi_file_close(&f);
  }
  write_text("mnist/other.csv", "x\n5\n");
  fails("mnist", "mnist: two arrays are called `x`");
  write_text("mnist/other.csv", "z\nfive\n");
  fails("mnist", "mnist/other.csv:2: column 1 (z): \"five\" is not a number");
}
END_TEST

START_TEST(what_is_no_file_is_said) {
  mkdir("nothing", 0777);
  mkfifo("pipe", 0666);
  fails("mnist.npz", "mnist.npz: no such file");
  fails("nothing", "nothing: no data file in this folder; needed .npy, .npz, idx, .csv, .tsv, or a .gz of "
        "one");
  fails("pipe", "pipe: a device or a pipe, needed a file");
  fails("/dev/null", "/dev/null: a device or a pipe, needed a file");
  SviTensors t;
  ck_assert(!svi_safetensors_open("none.safetensors", &t, &error));
  ck_assert_str_eq(error.text, "none.safetensors: no such file");
  if (geteuid() != 0) {
    write_text("closed.csv", "a\n1\n");
    chmod("closed.csv", 0);
    fails("closed.csv", "closed.csv: cannot open: Permission denied");
  }
}
END_TEST

START_TEST(a_long_path_leaves_room_for_the_message) {
  char path[1200] = "";
  for (int i = 0; i < 100; i++) strcat(path, "folder\xce\xb8/");
  strcat(path, "x.csv");
  SviFile f;
  ck_assert(!svi_file_open(path, &f, &error));
  ck_assert(!strncmp(error.text, "...", 3) && strstr(error.text, "x.csv: no such file"));
  ck_assert(svi_text_is_utf8(error.text));
}
END_TEST

START_TEST(an_error_needs_no_room) {
  SviFile f;
  ck_assert(!svi_file_open("mnist.npz", &f, NULL));
}
END_TEST

/* ---- tables ---- */

START_TEST(csv_understands_marks_quotes_spaces_and_line_ends) {
  write_text("t.csv", "\xef\xbb\xbf\"a \"\"b\"\"\" , c\r\n \"1.5\" ,\t2\r\n-3e-2,+.5\r\n\r\n  \n\n");
  SviFile f = opened("t.csv");
  ck_assert_uint_eq(f.n, 2);
  VALUES(named(&f, "a \"b\""), 1.5, -0.03);
  VALUES(named(&f, "c"), 2, 0.5);
  svi_file_close(&f);
}
END_TEST

START_TEST(csv_without_a_header_counts_columns) {
  write_text("t.csv", "1,2,nan\n4,5,-inf");
  SviFile f = opened("t.csv");
  ck_assert_uint_eq(f.n, 3);
  VALUES(named(&f, "c1"), 1, 4);
  VALUES(named(&f, "c3"), NAN, -INFINITY);
  svi_file_close(&f);
}
END_TEST

START_TEST(tsv_separates_by_tabs) {
  write_text("t.tsv", "a, b\tc\n1\t2\n 3 \t4\n");
  SviFile f = opened("t.tsv");
  VALUES(named(&f, "a, b"), 1, 3);
  VALUES(named(&f, "c"), 2, 4);
  svi_file_close(&f);
}
END_TEST

START_TEST(csv_joins_numbered_columns) {
  write_text("t.csv", "y,px[1],px[0],w.0,w.1,z.1,z.2,q.0,v[01]\n"
             "1,2,3,4,5,6,7,8,9\n"
             "10,20,30,40,50,60,70,80,90\n");
  SviFile f = opened("t.csv");
  ck_assert_uint_eq(f.n, 7);
  ck_assert_str_eq(f.at[0].name, "y");
  ck_assert_str_eq(f.at[1].name, "px");
  has_shape(named(&f, "px"), "f64 [2,2]");
  VALUES(named(&f, "px"), 3, 2, 30, 20);
  VALUES(named(&f, "w"), 4, 5, 40, 50);
  VALUES(named(&f, "z.1"), 6, 60);
  VALUES(named(&f, "z.2"), 7, 70);
  has_shape(named(&f, "q"), "f64 [2,1]");
  VALUES(named(&f, "v[01]"), 9, 90);
  svi_file_close(&f);
}
END_TEST

START_TEST(csv_with_one_bare_column_is_read) {
  write_text("t.csv", "7");
  SviFile f = opened("t.csv");
  VALUES(named(&f, "c1"), 7);
  svi_file_close(&f);
}
END_TEST

/* The reader's own way from text to double against the C library's. */
START_TEST(csv_numbers_are_rounded_as_strtod_does) {
  enum { ROWS = 20000 };
  static char text[ROWS * 50 + 10];
  static double want[ROWS];
  size_t n = (size_t)sprintf(text, "x\n");
  for (uint64_t i = 0; i < ROWS; i++) {
    char number[64];
    uint64_t m = bits(3 * i) >> bits(3 * i + 1) % 64;
    int point = (int)(bits(3 * i + 2) % 20), e = (int)(bits(3 * i + 2) >> 8 & 63) - 32;
    int digits = sprintf(number, "%s%" PRIu64, i % 2 ? "-" : "", m);
    if (point < digits - 1 && point > 1) {
      memmove(number + point + 1, number + point, (size_t)(digits - point + 1));
      number[point] = '.';
    }
    if (i % 3 == 0) sprintf(number + strlen(number), "%c%d", i % 2 ? 'e' : 'E', e);
    want[i] = strtod(number, NULL);
    n += (size_t)sprintf(text + n, "%s\n", number);
  }
  write_text("n.csv", text);
  SviFile f = opened("n.csv");
  has_values(named(&f, "x"), want, ROWS);
  svi_file_close(&f);
}
END_TEST

START_TEST(a_decimal_comma_of_the_program_changes_nothing) {
  static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8" };
  for (size_t i = 0; i < LENGTH(names); i++) if (setlocale(LC_ALL, names[i])) break;
  const double v[] = { 0.1, 123456789.123456789 };
  const SviArray a = { .name = "a", .type = SVI_F64, .rank = 1, .dim = { 2 }, .bytes = v };
  ck_assert(svi_csv_write("l.csv", &a, 1, &error));
  SviFile f = opened("l.csv");
  has_values(named(&f, "a"), v, 2);
  svi_file_close(&f);
}
END_TEST

/* ---- elements and rows ---- */

START_TEST(rows_are_gathered_as_floats_and_doubles) {
  enum { ROWS = 50, WIDTH = 37 };
  static uint8_t bytes[ROWS * WIDTH * 8 + 1];
  const uint32_t rows[] = { 49, 0, 7, 7, 23 };
  float f[LENGTH(rows) * WIDTH];
  double d[LENGTH(rows) * WIDTH];
  for (int t = 0; t < ALL_TYPES; t++) {
    for (int shift = 0; shift < 2; shift++) {            /* aligned and not */
      for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)bits(i + 77);
      for (size_t i = 0; t == SVI_F64 && i < ROWS * WIDTH; i++)
        memcpy(bytes + shift + 8 * i, &(double){ (double)(int64_t)bits(i) * 1e-10 }, 8);
      SviArray a = { .name = "a", .type = (SviType)t, .rank = 2, .dim = { ROWS, WIDTH },
                    .bytes = bytes + shift };
      svi_array_rows_f32(&a, rows, LENGTH(rows), WIDTH, f);
      svi_array_rows_f64(&a, rows, LENGTH(rows), WIDTH, d);
      for (size_t i = 0; i < LENGTH(f); i++) {
        double want = svi_array_get(&a, rows[i / WIDTH] * (uint64_t)WIDTH + i % WIDTH);
        ck_assert(d[i] == want || (isnan(d[i]) && isnan(want)));
        ck_assert(fabs((double)f[i] - want) <= 6e-8 * fabs(want) || (isnan(f[i]) && isnan(want)));
      }
    }
  }
}
END_TEST

/* Enough rows of bytes that sums of 16 bits are emptied more than once, and wider than a block of them. */
START_TEST(rows_are_summed) {
  enum { ROWS = 700, WIDTH = 530, FIRST = 3 };
  static uint8_t bytes[ROWS * WIDTH * 8];
  static double  sum[WIDTH];
  for (int t = 0; t < ALL_TYPES; t++) {
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = t == SVI_F32 || t == SVI_F64 ? 0 : t == SVI_U8 ? 255 : (uint8_t)bits(i);
    for (size_t i = 0; i < WIDTH; i++) sum[i] = (double)i;
    SviArray a = { .name = "a", .type = (SviType)t, .rank = 2, .dim = { ROWS, WIDTH }, .bytes = bytes };
    svi_array_sum_rows(&a, FIRST, ROWS - FIRST, WIDTH, sum);
    for (size_t i = 0; i < WIDTH; i += 13) {
      double want = (double)i;
      for (uint64_t r = FIRST; r < ROWS; r++) want += svi_array_get(&a, r * WIDTH + i);
      ck_assert_double_eq(sum[i], want);
    }
  }
}
END_TEST

START_TEST(shapes_that_overflow_are_seen) {
  uint64_t n;
  ck_assert(svi_dims_size((uint64_t[]){ 60000, 28, 28 }, 3, 4, &n) && n == 188160000);
  ck_assert(svi_dims_size((uint64_t[]){ 5, 0, 7 }, 3, 8, &n) && n == 0);
  ck_assert(!svi_dims_size((uint64_t[]){ 1ull << 32, 1ull << 32, 0 }, 3, 1, &n));
  ck_assert(!svi_dims_size((uint64_t[]){ 1ull << 63 }, 1, 1, &n));
  ck_assert(svi_dims_size(NULL, 0, 8, &n) && n == 8);
}
END_TEST

/* ---- pictures ---- */

static uint8_t *read_png(const char *path, png_uint_32 format, unsigned *width, unsigned *height) {
  png_image image = { .version = PNG_IMAGE_VERSION };
  ck_assert_msg(png_image_begin_read_from_file(&image, path), "%s: %s", path, image.message);
  ck_assert_uint_eq(image.format & PNG_FORMAT_FLAG_COLOR, format & PNG_FORMAT_FLAG_COLOR);
  image.format = format;
  uint8_t *bytes = malloc(PNG_IMAGE_SIZE(image));
  ck_assert_msg(png_image_finish_read(&image, NULL, bytes, 0, NULL), "%s: %s", path, image.message);
  *width = image.width;
  *height = image.height;
  return bytes;
}

START_TEST(pictures_come_back) {
  uint8_t in[7 * 5 * 3];
  unsigned w, h;
  for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)bits(i);
  ck_assert_msg(svi_png_write_gray("g.png", 7, 5, in, &error), "%s", error.text);
  uint8_t *out = read_png("g.png", PNG_FORMAT_GRAY, &w, &h);
  ck_assert(w == 7 && h == 5 && !memcmp(in, out, 35));
  free(out);
  ck_assert_msg(svi_png_write_rgb("c.png", 7, 5, in, &error), "%s", error.text);
  out = read_png("c.png", PNG_FORMAT_RGB, &w, &h);
  ck_assert(w == 7 && h == 5 && !memcmp(in, out, 105));
  free(out);
  ck_assert(!svi_png_write_gray("n.png", 0, 5, in, &error));
  ck_assert_str_eq(error.text, "n.png: a picture of 0 x 5 pixels, needed 1 to 1000000 each way");
}
END_TEST

START_TEST(a_grid_has_gutters_and_clips) {
  const float images[3][1][2] = { { { 0, 1 } }, { { -5, 7 } }, { { NAN, 0.5f } } };
  unsigned w, h;
  SviGrid grid = { .columns = 2, .gutter = 1, .magnify = 2 };
  ck_assert_msg(svi_png_grid("grid.png", &images[0][0][0], 3, 1, 2, grid, &error), "%s", error.text);
  uint8_t *out = read_png("grid.png", PNG_FORMAT_GRAY, &w, &h);
  ck_assert(w == 11 && h == 7);
  static const uint8_t want[7][11] = {
    { 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128 },
    { 128,   0,   0, 255, 255, 128,   0,   0, 255, 255, 128 },
    { 128,   0,   0, 255, 255, 128,   0,   0, 255, 255, 128 },
    { 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128 },
    { 128,   0,   0, 128, 128, 128, 128, 128, 128, 128, 128 },
    { 128,   0,   0, 128, 128, 128, 128, 128, 128, 128, 128 },
    { 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128 } };
  for (int i = 0; i < 77; i++) ck_assert_uint_eq(out[i], want[i / 11][i % 11]);
  free(out);
  ck_assert(svi_png_grid("square.png", &images[0][0][0], 3, 1, 1, (SviGrid){ 0 }, &error));
  out = read_png("square.png", PNG_FORMAT_GRAY, &w, &h);
  ck_assert(w == 2 && h == 2);
  free(out);
  ck_assert(!svi_png_grid("x.png", NULL, 0, 28, 28, grid, &error));
  ck_assert_str_eq(error.text, "x.png: 0 images of 28 x 28 pixels make no picture");
  ck_assert(!svi_png_grid("x.png", NULL, 1u << 30, 28, 28, grid, &error));
  ck_assert_str_eq(error.text, "x.png: a grid of 2 x 536870912 images is too large for a picture; show fewer "
                   "or magnify less");
}
END_TEST

/* ---- packing ---- */

START_TEST(files_are_packed_under_new_names) {
  write_gz("train-images-idx3-ubyte.gz", idx_images, sizeof idx_images);
  write_file("train-labels-idx1-ubyte", idx_labels, sizeof idx_labels);
  write_text("more.csv", "x,y\n1,2\n");
  const SviPack from[] = { { "image", "train-images-idx3-ubyte.gz" }, { "label", "train-labels-idx1-ubyte" },
                           { NULL, "more.csv" }, { "again", "more.csv:y" } };
  ck_assert_msg(svi_convert("mnist.npz", from, 4, &error), "%s", error.text);
  SviFile f = opened("mnist.npz");
  ck_assert_uint_eq(f.n, 5);
  has_shape(named(&f, "image"), "u8 [2,2,2]");
  VALUES(named(&f, "image"), 1, 2, 3, 4, 5, 6, 7, 255);
  VALUES(named(&f, "label"), 7, 9);
  VALUES(named(&f, "x"), 1);
  VALUES(named(&f, "again"), 2);
  svi_file_close(&f);
}
END_TEST

START_TEST(packing_says_what_is_wrong) {
  write_text("more.csv", "x,y\n1,2\n");
  ck_assert(!svi_convert("o.npz", &(SviPack){ "a", "more.csv" }, 1, &error));
  ck_assert_str_eq(error.text, "more.csv: it has 2 arrays (x, y), `a` can name one; choose by a=FILE:ARRAY");
  ck_assert(!svi_convert("o.npz", &(SviPack){ "a", "more.csv:z" }, 1, &error));
  ck_assert_str_eq(error.text, "more.csv:z: no array `z` in that file");
  ck_assert(!svi_convert("o.npz", &(SviPack){ "a", "none.csv" }, 1, &error));
  ck_assert_str_eq(error.text, "none.csv: no such file");
  const SviPack twice[] = { { NULL, "more.csv" }, { NULL, "more.csv" } };
  ck_assert(!svi_convert("o.npz", twice, 2, &error));
  ck_assert_str_eq(error.text, "o.npz: two arrays are called `x`");
  ck_assert_int_ne(access("o.npz", F_OK), 0);
}
END_TEST

START_TEST(an_archive_can_be_packed_into_itself) {
  ck_assert(svi_npz_write("self.npz", every, 3, &error));
  write_text("more.csv", "x\n1\n");
  const SviPack from[] = { { NULL, "self.npz" }, { NULL, "more.csv" } };
  ck_assert_msg(svi_convert("self.npz", from, 2, &error), "%s", error.text);
  SviFile f = opened("self.npz");
  ck_assert_uint_eq(f.n, 4);
  for (int i = 0; i < 3; i++) ck_assert(same_array(&f.at[i], &every[i]));
  svi_file_close(&f);
}
END_TEST

static int run_command(const char *name, int argc, char **argv) {
  fflush(NULL);
  ck_assert(freopen("said.txt", "w", stdout) && freopen("cried.txt", "w", stderr));
  int code = -1;
  for (const SviDataCommand *c = svi_data_commands; c->name; c++) if (!strcmp(c->name,
                                                                              name)) code = c->run(argc,
                                                                                                   argv);
  fflush(NULL);
  return code;
}

static void file_says(const char *path, const char *text) {
  size_t n;
  uint8_t *bytes = read_whole(path, &n);
  bytes[n] = 0;
  ck_assert_str_eq((char *)bytes, text);
  free(bytes);
}

START_TEST(the_commands_work_and_fail) {
  write_file("train-labels-idx1-ubyte", idx_labels, sizeof idx_labels);
  char out[] = "o.npz", label[] = "label=train-labels-idx1-ubyte", none[] = "x=none.npy";
  ck_assert_int_eq(run_command("pack", 2, (char *[]){ out, label }), 0);
  file_says("said.txt", "label  u8 [2]\n");
  ck_assert_int_eq(run_command("show", 1, (char *[]){ out }), 0);
  file_says("said.txt", "label  u8 [2]\n");
  ck_assert_int_eq(run_command("pack", 2, (char *[]){ out, none }), 1);
  file_says("cried.txt", "error: none.npy: no such file\n");
  char table[] = "o.csv", other[] = "o.txt", again[] = "label=train-labels-idx1-ubyte", once_more[] = "train-labels-idx1-ubyte";
  ck_assert_int_eq(run_command("pack", 2, (char *[]){ table, again }), 0);
  SviFile f;
  SviError e;
  ck_assert(svi_file_open("o.csv", &f, &e) && f.n == 1 && strcmp(f.at[0].name, "label") == 0 && f.at[0].dim[0] == 2);
  svi_file_close(&f);
  ck_assert_int_eq(run_command("pack", 2, (char *[]){ other, once_more }), 1);
  file_says("cried.txt", "error: o.txt: the name must end in .npz, .csv or .safetensors, or in .npy for one array\n");
  ck_assert_int_eq(run_command("pack", 1, (char *[]){ out }), 2);
  file_says("cried.txt", "usage: pack OUT [NAME=]FILE[:ARRAY] ...\n");
}
END_TEST

/* ---- threads ---- */

static void *open_often(void *unused) {
  (void)unused;
  SviError own;
  for (int i = 0; i < 200; i++) {
    SviFile f;
    if (!svi_file_open("shared.csv", &f, &own) || svi_array_get(&f.at[0], 1) != 2.5) return "wrong";
    svi_file_close(&f);
    char name[32];
    snprintf(name, sizeof name, "thread-%d.npz", i % 3);           /* several threads, one file */
    if (!svi_npz_write(name, every, 2, &own)) return "not written";
  }
  return NULL;
}

START_TEST(threads_do_not_disturb_each_other) {
  write_text("shared.csv", "a\n1\n2.5\n");
  pthread_t thread[4];
  for (int i = 0; i < 4; i++) ck_assert_int_eq(pthread_create(&thread[i], NULL, open_often, NULL), 0);
  for (int i = 0; i < 4; i++) {
    void *wrong = NULL;
    pthread_join(thread[i], &wrong);
    ck_assert_msg(!wrong, "%s", (char *)wrong);
  }
  SviFile f = opened("thread-0.npz");
  ck_assert_uint_eq(f.n, 2);
  svi_file_close(&f);
}
END_TEST

/* ---- the suite ---- */

/* Each test runs in a process of its own, in an empty folder of its own. */
static void enter(void) {
  static char folder[4200];
  snprintf(folder, sizeof folder, "%s/XXXXXX", place);
  ck_assert_msg(mkdtemp(folder) && chdir(folder) == 0, "no folder %s", folder);
  make_every();
}

static Suite *make_suite(void) {
  const Row table[] = {
    { "numpy",   numpy_arrays_are_read },
    { "numpy",   numpy_scalars_bools_and_empty_arrays_are_read },
    { "numpy",   numpy_archives_are_read_stored_and_deflated },
    { "numpy",   half_precision_becomes_f32 },
    { "numpy",   a_checkpoint_of_the_format_s_own_library_is_read },
    { "back",    npy_keeps_every_type },
    { "back",    npz_keeps_every_type_and_aligns_it },
    { "back",    safetensors_keeps_every_type_aligns_it_and_keeps_the_metadata },
    { "back",    equal_tensors_make_equal_files },
    { "back",    a_checkpoint_is_aligned_after_any_header },
    { "back",    an_empty_checkpoint_is_one },
    { "back",    csv_keeps_every_number },
    { "back",    csv_writes_short_numbers_and_a_header },
    { "back",    writers_refuse_what_cannot_be_written },
    { "idx",     idx_reads_every_type },
    { "idx",     content_decides_before_the_name_does },
    { "gz",      gz_of_every_format_is_read },
    { "gz",      gz_members_are_joined_and_padding_is_not_data },
    { "gz",      much_deflated_data_comes_back },
    { "folder",  a_folder_is_its_data_files },
    { "folder",  what_is_no_file_is_said },
    { "folder",  a_long_path_leaves_room_for_the_message },
    { "folder",  an_error_needs_no_room },
    { "csv",     csv_understands_marks_quotes_spaces_and_line_ends },
    { "csv",     csv_without_a_header_counts_columns },
    { "csv",     tsv_separates_by_tabs },
    { "csv",     csv_joins_numbered_columns },
    { "csv",     csv_with_one_bare_column_is_read },
    { "csv",     csv_numbers_are_rounded_as_strtod_does },
    { "csv",     a_decimal_comma_of_the_program_changes_nothing },
    { "rows",    rows_are_gathered_as_floats_and_doubles },
    { "rows",    rows_are_summed },
    { "rows",    shapes_that_overflow_are_seen },
    { "png",     pictures_come_back },
    { "png",     a_grid_has_gutters_and_clips },
    { "pack",    files_are_packed_under_new_names },
    { "pack",    packing_says_what_is_wrong },
    { "pack",    an_archive_can_be_packed_into_itself },
    { "pack",    the_commands_work_and_fail },
    { "threads", threads_do_not_disturb_each_other },
  };
  Suite *suite = suite_create("data");
  add_rows(suite, table, LENGTH(table), enter);
  add_wrong(suite, enter);
  return suite;
}

static bool find_tests(void) {
  const char *given = getenv("SVI_TESTS");
  char here[4096];
  snprintf(here, sizeof here, "%s", __FILE__);
  for (int up = 0; up < 2; up++) {
    char *slash = strrchr(here, '/');
    if (!slash) break;
    *slash = 0;
  }
  return realpath(given ? given : here, tests) && access(path_in("errors/data", "expected.txt"), R_OK) == 0;
}

int main(void) {
  const char *folder = getenv("TMPDIR");
  snprintf(place, sizeof place, "%s/svi-check-data-XXXXXX", folder ? folder : "/tmp");
  if (!find_tests()) { fprintf(stderr, "the tests' folder is not found; set SVI_TESTS to it\n"); return 2; }
  if (!mkdtemp(place)) { perror(place); return 2; }
  SRunner *runner = srunner_create(make_suite());
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  char command[4200];
  snprintf(command, sizeof command, "rm -rf '%s'", place);
  if (system(command)) fprintf(stderr, "%s is left\n", place);
  return failed != 0;
}
