/* The data readers and writers where something is wrong: what is said of wrong files, hostile bytes, very
 * large archives, full disks.
 *
 * Wrong files and what is said of them are in tests/errors/data; it has a make.py.  See note [hostile bytes]
 * for truncation and flips. */
#define _GNU_SOURCE 1
#include "check_data.h"

#include <signal.h>
#include <sys/resource.h>

/* ---- messages ---- */

static void check_said(const char *file, const char *text) {
  SviFile f;
  ck_assert_msg(!svi_file_open(file, &f, &error), "%s: opened", file);
  ck_assert_str_eq(error.text, text);
}

START_TEST(wrong_files_are_described_exactly) {
  size_t lines = 0, files = 0;
  char line[1024], *gap;
  ck_assert_int_eq(chdir(path_in("errors", "data")), 0);
  FILE *f = fopen("expected.txt", "r");
  ck_assert_ptr_nonnull(f);
  for (; fgets(line, sizeof line, f); lines++) {
    line[strcspn(line, "\n")] = 0;
    gap = strstr(line, " => ");
    ck_assert_msg(gap != NULL, "expected.txt: %s", line);
    *gap = 0;
    check_said(line, gap + 4);
  }
  fclose(f);
  DIR *d = opendir(".");
  for (struct dirent *e; (e = readdir(d)); )
    files += e->d_name[0] != '.' && strcmp(e->d_name, "make.py") && strcmp(e->d_name, "expected.txt");
  closedir(d);
  ck_assert_uint_ge(files, 60);
  ck_assert_uint_eq(lines, files);
}
END_TEST

START_TEST(a_message_cannot_steer_a_terminal) {
  svi_fail(&error, "a\x1b[2Jb\r\n\x7f \xc2\x9b \xff\xce\xb8\xe2\x82");
  ck_assert_str_eq(error.text, "a?[2Jb??? ?? ?\xce\xb8??");
}
END_TEST

/* ---- hostile bytes ----
 *
 * note [hostile bytes]: each good file is cut at every length, and has bytes changed at random.  The reader
 * gets exactly the bytes that are left, in memory of exactly that size, so the address sanitizer sees a read
 * too far.  It must either fail with a message, or give arrays of which all can be read. */

typedef bool (*Reader)(SviBytes in, SviFile *f);

static bool read_npy(SviBytes in, SviFile *f) { return svi_npy_read(in, "x", "x", 1, f, &error); }
static bool read_npz(SviBytes in, SviFile *f) { return svi_npz_read(in, "x", f, &error); }
static bool read_idx(SviBytes in, SviFile *f) { return svi_idx_read(in, "x", "x", f, &error); }
static bool read_csv(SviBytes in, SviFile *f) { return svi_csv_read(in, "x", ',', f, &error); }

static bool read_gz(SviBytes in, SviFile *f) {
  return svi_inflate_gz(in, "x", f, &in, &error) && svi_csv_read(in, "x", ',', f, &error);
}

static bool read_tensors(SviBytes in, SviFile *f) {
  SviTensors t = { 0 };
  bool ok = svi_safetensors_read(in, "x", &t, &error);
  *f = t.file;
  t.file = (SviFile){ 0 };
  svi_safetensors_close(&t);
  return ok;
}

static bool survives(Reader reader, const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  memcpy(copy, bytes, size);
  SviFile f = { 0 };
  error.text[0] = 0;
  bool ok = reader((SviBytes){ copy, size }, &f);
  if (!ok) ck_assert_msg(error.text[0] == 'x' && svi_text_is_utf8(error.text), "message: %s", error.text);
  volatile double sum = 0;
  for (size_t i = 0; ok && i < f.n; i++)
    for (uint64_t k = 0; k < svi_array_count(&f.at[i]); k++) sum = sum + svi_array_get(&f.at[i], k);
  svi_file_close(&f);
  free(copy);
  return ok;
}

static void check_hostile(const char *path, Reader reader, bool all_cuts_fail) {
  size_t size, failed = 0;
  uint8_t *bytes = read_whole(path, &size);
  ck_assert_msg(survives(reader, bytes, size), "%s: %s", path, error.text);
  for (size_t n = 0; n < size; n++) {
    bool ok = survives(reader, bytes, n);
    ck_assert_msg(!ok || !all_cuts_fail, "%s: read although cut at %zu of %zu", path, n, size);
  }
  for (uint64_t i = 0; i < 20000; i++) {
    uint8_t *copy = malloc(size);
    memcpy(copy, bytes, size);
    for (uint64_t k = 0; k <= i % 4; k++) copy[bits(10 * i + k) % size] = (uint8_t)bits(10 * i + k + 5);
    failed += !survives(reader, copy, size);
    free(copy);
  }
  ck_assert_msg(failed > 0, "%s: 20000 damaged copies were all read", path);
  free(bytes);
}

START_TEST(hostile_npy) {
  check_hostile(path_in("data/arrays", "big-f2-F.npy"), read_npy, true);
  check_hostile(path_in("data/arrays", "version3.npy"), read_npy, true);
  check_hostile(path_in("data/arrays", "scalar.npy"), read_npy, true);
}
END_TEST

START_TEST(hostile_npz) {
  ck_assert(svi_npz_write("own.npz", every, 4, &error));
  check_hostile(path_in("data/arrays", "stored.zip"), read_npz, true);
  check_hostile(path_in("data/arrays", "deflated.zip"), read_npz, true);
  check_hostile("own.npz", read_npz, true);
}
END_TEST

START_TEST(hostile_idx) {
  write_file("i", "\0\0\x8\3\0\0\0\2\0\0\0\2\0\0\0\2" "12345678", 24);
  write_file("d", "\0\0\x0e\1\0\0\0\2" "12345678abcdefgh", 24);
  check_hostile("i", read_idx, true);
  check_hostile("d", read_idx, true);
}
END_TEST

START_TEST(hostile_csv) {
  write_text("h.csv", "\"a \"\"b\"\"\",px[0],px[1],w.0,w.1\n"
             "1,2.5,-3e4,nan,1234567890123456789012\n5,6,7,8,9\n");
  check_hostile("h.csv", read_csv, false);
}
END_TEST

START_TEST(hostile_gz) {
  write_gz("h.gz", "a,b\n1,2\n3,4\n5,6\n7,8\n9,10\n", 25);
  check_hostile("h.gz", read_gz, true);
}
END_TEST

START_TEST(hostile_safetensors) {
  const SviNote note = { "step", "500" };
  ck_assert(svi_safetensors_write("h.safetensors", every, 5, &note, 1, &error));
  check_hostile(path_in("data/arrays", "library.safetensors"), read_tensors, true);
  check_hostile("h.safetensors", read_tensors, true);
}
END_TEST

/* Many entries that all point at one well deflated member ask for more memory than the file could fill. */
START_TEST(a_member_listed_many_times_is_refused) {
  size_t size;
  uint8_t *bytes = read_whole(path_in("data/arrays", "deflated.zip"), &size);
  uint8_t *end = memmem(bytes, size, "PK\5\6", 4), *entry = memmem(bytes, size, "PK\1\2", 4);
  size_t front = (size_t)(entry - bytes), length = 46 + svi_le16(entry + 28) + svi_le16(entry + 30);
  uint8_t *bomb = malloc(front + 1000 * length + 22), *p = bomb + front;
  memcpy(bomb, bytes, front);
  for (int i = 0; i < 1000; i++, p += length) memcpy(p, entry, length);
  memcpy(p, end, 22);
  uint16_t count = 1000;
  uint32_t directory = (uint32_t)(1000 * length);
  memcpy(p + 8, &count, 2);
  memcpy(p + 10, &count, 2);
  memcpy(p + 12, &directory, 4);
  SviFile f = { 0 };
  ck_assert(!svi_npz_read((SviBytes){ bomb, front + 1000 * length + 22 }, "x", &f, &error));
  char want[200];
  snprintf(want, sizeof want, "x: damaged: its members claim more bytes than the %zu of the file",
           front + 1000 * length + 22);
  ck_assert_str_eq(error.text, want);
  svi_file_close(&f);
  free(bomb);
  free(bytes);
}
END_TEST

/* ---- zip64 ---- */

START_TEST(more_members_than_16_bits_count) {
  enum { MANY = 66000 };
  SviArray *arrays = calloc(MANY, sizeof *arrays);
  static char names[MANY][8];
  uint8_t byte = 42;
  for (int i = 0; i < MANY; i++) {
    snprintf(names[i], sizeof names[i], "a%d", i);
    arrays[i] = (SviArray){ .name = names[i], .type = SVI_U8, .bytes = &byte };
  }
  ck_assert_msg(svi_npz_write("many.npz", arrays, MANY, &error), "%s", error.text);
  free(arrays);
  SviFile f = opened("many.npz");
  ck_assert_uint_eq(f.n, MANY);
  ck_assert_str_eq(f.at[MANY - 1].name, "a65999");
  ck_assert_double_eq(svi_array_get(&f.at[MANY - 1], 0), 42);
  svi_file_close(&f);
  unlink("many.npz");
}
END_TEST

/* A file of holes: its last array begins past 4 GiB, so that its offset needs 64 bits. */
START_TEST(offsets_past_32_bits_are_read) {
  size_t size;
  const uint64_t shift = 5ull << 30;
  SviArray a = { .name = "far", .type = SVI_F64, .rank = 1, .dim = { 3 }, .bytes = (const double[]){ 1, 2,
                                                                                                    3 } };
  ck_assert(svi_npz_write("near.npz", &a, 1, &error));
  uint8_t *bytes = read_whole("near.npz", &size);
  uint8_t *entry = memmem(bytes, size, "PK\1\2", 4), *end = memmem(bytes, size, "PK\6\6", 4);
  uint8_t *local = entry + 46 + svi_le16(entry + 28) + 4 + 16;
  uint64_t at = svi_le64(end + 48) + shift;
  ck_assert_uint_eq(svi_le64(local), 0);
  memcpy(local, &shift, 8);
  memcpy(end + 48, &at, 8);
  at = (uint64_t)(end - bytes) + shift;
  memcpy(end + 56 + 8, &at, 8);
  FILE *f = fopen("far.npz", "wb");
  ck_assert(f && fwrite("PK\3\4", 1, 4, f) == 4 && fseeko(f, (off_t)shift, SEEK_SET) == 0);
  ck_assert(fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
  free(bytes);
  SviFile file = opened("far.npz");
  VALUES(named(&file, "far"), 1, 2, 3);
  svi_file_close(&file);
  unlink("far.npz");
}
END_TEST

/* ---- full disks ---- */

static bool write_each(int which, const char *path) {
  static uint8_t picture[300 * 300];
  for (size_t i = 0; i < sizeof picture; i++) picture[i] = (uint8_t)bits(i);       /* does not compress */
  static double many[20000];
  for (size_t i = 0; i < LENGTH(many); i++) many[i] = (double)bits(i);
  const SviArray a = { .name = "many", .type = SVI_F64, .rank = 1, .dim = { LENGTH(many) }, .bytes = many };
  switch (which) {
  case 0: return svi_npy_write(path, &a, &error);
  case 1: return svi_npz_write(path, &a, 1, &error);
  case 2: return svi_csv_write(path, &a, 1, &error);
  case 3: return svi_safetensors_write(path, &a, 1, NULL, 0, &error);
  case 4: return svi_png_write_gray(path, 300, 300, picture, &error);
  case 5: return svi_png_write_rgb(path, 300, 100, picture, &error);
  }
  return false;
}

START_TEST(a_full_device_is_an_error) {
  for (int i = 0; i < 6; i++) {
    ck_assert(!write_each(i, "/dev/full"));
    ck_assert_str_eq(error.text, "/dev/full: cannot write: No space left on device");
    struct stat st;
    ck_assert(stat("/dev/full", &st) == 0 && S_ISCHR(st.st_mode));
  }
}
END_TEST

START_TEST(a_device_is_written_directly) {
  for (int i = 0; i < 6; i++) ck_assert_msg(write_each(i, "/dev/null"), "%s", error.text);
  struct stat st;
  ck_assert(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
}
END_TEST

START_TEST(a_write_that_fails_keeps_the_old_file) {
  signal(SIGXFSZ, SIG_IGN);
  write_text("old", "the old file");
  size_t before = files_here();
  for (int i = 0; i < 6; i++) {
    for (rlim_t most = 0; most < 70000; most += 23333) {
      ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ most, RLIM_INFINITY }), 0);
      bool ok = write_each(i, "old");
      ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }), 0);
      ck_assert_msg(!ok, "writer %d wrote past %lu bytes", i, (unsigned long)most);
      ck_assert_str_eq(error.text, "old: cannot write: File too large; the old file is kept");
      size_t n;
      uint8_t *bytes = read_whole("old", &n);
      ck_assert(n == 12 && !memcmp(bytes, "the old file", n));
      free(bytes);
      ck_assert_uint_eq(files_here(), before);
    }
  }
  for (int i = 0; i < 6; i++) ck_assert_msg(write_each(i, "old"), "%s", error.text);
  ck_assert_uint_eq(files_here(), before);
}
END_TEST

START_TEST(where_nothing_can_be_written_is_said) {
  mkdir("folder", 0777);
  for (int i = 0; i < 6; i++) {
    ck_assert(!write_each(i, "no/such/file"));
    ck_assert_str_eq(error.text, "no/such/file: cannot write: no such folder");
    ck_assert(!write_each(i, "folder"));
    ck_assert_str_eq(error.text, "folder: cannot write: it is a folder; give a file's name");
  }
}
END_TEST

START_TEST(a_reader_keeps_the_file_that_was_replaced) {
  const double one[] = { 1, 2 }, two[] = { 3, 4 };
  SviArray a = { .name = "r", .type = SVI_F64, .rank = 1, .dim = { 2 }, .bytes = one };
  ck_assert(svi_npy_write("r.npy", &a, &error));
  ck_assert_int_eq(chmod("r.npy", 0640), 0);
  SviFile f = opened("r.npy");
  a.bytes = two;
  ck_assert(svi_npy_write("r.npy", &a, &error));
  VALUES(&f.at[0], 1, 2);
  svi_file_close(&f);
  f = opened("r.npy");
  VALUES(&f.at[0], 3, 4);
  svi_file_close(&f);
  struct stat st;
  ck_assert(stat("r.npy", &st) == 0 && (st.st_mode & 0777) == 0640);
}
END_TEST

/* ---- the suite ---- */

void add_wrong(Suite *suite, void (*enter)(void)) {
  const Row table[] = {
    { "message", wrong_files_are_described_exactly },
    { "message", a_message_cannot_steer_a_terminal },
    { "hostile", hostile_npy },
    { "hostile", hostile_npz },
    { "hostile", hostile_idx },
    { "hostile", hostile_csv },
    { "hostile", hostile_gz },
    { "hostile", hostile_safetensors },
    { "hostile", a_member_listed_many_times_is_refused },
    { "zip64",   more_members_than_16_bits_count },
    { "zip64",   offsets_past_32_bits_are_read },
    { "save",    a_full_device_is_an_error },
    { "save",    a_device_is_written_directly },
    { "save",    a_write_that_fails_keeps_the_old_file },
    { "save",    where_nothing_can_be_written_is_said },
    { "save",    a_reader_keeps_the_file_that_was_replaced },
  };
  add_rows(suite, table, LENGTH(table), enter);
}
