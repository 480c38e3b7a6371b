/* open: a path becomes arrays.
 *
 * In:  the path of a file or a folder.
 * Out: an SviFile.  The file is mapped; what it begins with says which reader reads it, its suffix only
 *      where the format has no beginning of its own (text) or to say what is wrong.  A .gz is unpacked
 *      into memory first and then treated as the file without .gz. */
#include "inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- messages ---- */

/* Length of the UTF-8 character at p, 0 when it is none. */
static size_t utf8_length(const char *s) {
  const unsigned char *p = (const unsigned char *)s;
  if (p[0] < 0x80) return 1;
  size_t n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
  for (size_t i = 1; i < n; i++) if ((p[i] & 0xc0) != 0x80) return 0;
  return n;
}

bool svi_text_is_utf8(const char *text) {
  for (size_t n; *text; text += n) if (!(n = utf8_length(text))) return false;
  return true;
}

bool svi_fail(SviError *error, const char *format, ...) {
  if (!error) return false;
  va_list args;
  va_start(args, format);
  vsnprintf(error->text, sizeof error->text, format, args);
  va_end(args);
  /* Names come from files: nothing of them may steer the terminal that shows the message. */
  for (char *p = error->text; *p; ) {
    size_t n = utf8_length(p);
    bool control = (n == 1 && ((unsigned char)*p < 0x20 || *p == 0x7f))
      || (n == 2 && (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] < 0xa0);
    if (n == 0 || control) *p = '?', n = 1;
    p += n;
  }
  return false;
}

SviShown svi_path_shown(const char *path) {
  SviShown shown;
  size_t n = strlen(path), most = 160;
  const char *from = n > most ? path + n - most : path;
  while (((unsigned char)*from & 0xc0) == 0x80) from++;
  snprintf(shown.text, sizeof shown.text, "%s%.170s", from == path ? "" : "...", from);
  return shown;
}

/* ---- what a file owns ---- */

struct SviHold {
  SviHold *next;
  void    *at;
  size_t   size;
  bool     mapped;
};

static bool hold(SviFile *file, void *at, size_t size, bool mapped, const char *where, SviError *error) {
  SviHold *h = malloc(sizeof *h);
  if (!h) return svi_fail(error, "%s: out of memory", where);
  *h = (SviHold){ file->hold, at, size, mapped };
  file->hold = h;
  return true;
}

bool svi_file_keep(SviFile *file, void *block, size_t size, const char *where, SviError *error) {
  return hold(file, block, size, false, where, error);
}

void *svi_file_alloc(SviFile *file, size_t size, const char *where, SviError *error) {
  void *at = calloc(size ? size : 1, 1);
  if (!at) { svi_fail(error, "%s: out of memory for %zu bytes", where, size); return NULL; }
  if (hold(file, at, size, false, where, error)) return at;
  free(at);
  return NULL;
}

SviArray *svi_file_add(SviFile *file, const char *name, size_t length, const char *where, SviError *error) {
  if (file->n == file->room) {
    size_t room = file->room ? 2 * file->room : 8;
    SviArray *at = realloc(file->at, room * sizeof *at);
    if (!at) { svi_fail(error, "%s: out of memory", where); return NULL; }
    file->at = at;
    file->room = room;
  }
  char *copy = malloc(length + 1);
  if (!copy) { svi_fail(error, "%s: out of memory", where); return NULL; }
  memcpy(copy, name, length);
  copy[length] = 0;
  SviArray *a = &file->at[file->n++];
  *a = (SviArray){ .name = copy, .bytes = "" };
  return a;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

bool svi_file_names(const SviFile *file, const char *where, SviError *error) {
  if (file->n < 2) return true;
  char **name = malloc(file->n * sizeof *name);
  if (!name) return svi_fail(error, "%s: out of memory", where);
  for (size_t i = 0; i < file->n; i++) name[i] = file->at[i].name;
  qsort(name, file->n, sizeof *name, by_name);
  bool ok = true;
  for (size_t i = 1; ok && i < file->n; i++)
    if (!strcmp(name[i - 1], name[i]))
      ok = svi_fail(error, "%s: two arrays are called `%.100s`", where, name[i]);
  free(name);
  return ok;
}

void svi_file_close(SviFile *file) {
  for (size_t i = 0; i < file->n; i++) free(file->at[i].name);
  free(file->at);
  for (SviHold *h = file->hold, *next; h; h = next) {
    next = h->next;
    if (h->mapped) munmap(h->at, h->size);
    else free(h->at);
    free(h);
  }
  *file = (SviFile){ 0 };
}

const SviArray *svi_file_find(const SviFile *file, const char *name) {
  for (size_t i = 0; i < file->n; i++) if (!strcmp(file->at[i].name, name)) return &file->at[i];
  return NULL;
}

/* ---- mapping ---- */

static bool map_fd(int fd, const char *where, SviFile *owner, SviBytes *bytes, SviError *error) {
  struct stat st;
  if (fstat(fd, &st)) return svi_fail(error, "%s: cannot read: %m", where);
  if (!S_ISREG(st.st_mode)) return svi_fail(error, "%s: a device or a pipe, needed a file", where);
  if (st.st_size == 0) return svi_fail(error, "%s: the file is empty", where);
  size_t size = (size_t)st.st_size;
  void *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (at == MAP_FAILED) return svi_fail(error, "%s: cannot map the file: %m", where);
  *bytes = (SviBytes){ at, size };
  if (hold(owner, at, size, true, where, error)) return true;
  munmap(at, size);
  return false;
}

bool svi_file_map(const char *path, const char *where, SviFile *owner, SviBytes *bytes, SviError *error) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);      /* a pipe must not make us wait */
  if (fd < 0 && errno == ENOENT) return svi_fail(error, "%s: no such file", where);
  if (fd < 0) return svi_fail(error, "%s: cannot open: %m", where);
  bool ok = map_fd(fd, where, owner, bytes, error);
  close(fd);
  return ok;
}

/* ---- which reader ---- */

bool svi_is_npy(SviBytes in) { return in.size >= 6 && !memcmp(in.at, "\x93NUMPY", 6); }
bool svi_is_gz (SviBytes in) { return in.size >= 3 && !memcmp(in.at, "\x1f\x8b\x08", 3); }
bool svi_is_zip(SviBytes in) {
  if (in.size < 4) return false;
  return !memcmp(in.at, "PK\3\4", 4) || !memcmp(in.at, "PK\5\6", 4) || !memcmp(in.at, "PK\6\6", 4);
}
bool svi_is_idx(SviBytes in) {
  return in.size >= 4 && in.at[0] == 0 && in.at[1] == 0 && in.at[2] >= 8 && in.at[2] <= 14 && in.at[2] != 10
    && in.at[3] >= 1;
}

typedef enum { KIND_NONE, KIND_NPY, KIND_NPZ, KIND_IDX, KIND_CSV, KIND_TSV, KIND_TENSORS, KIND_GZ } Kind;

static bool ends_in(const char *name, size_t length, const char *suffix) {
  size_t n = strlen(suffix);
  if (length <= n) return false;
  for (size_t i = 0; i < n; i++) if ((name[length - n + i] | 32) != (suffix[i] | 32)) return false;
  return true;
}

static bool says_idx(const char *name, size_t length) {
  for (size_t i = 0; i + 4 <= length; i++)
    if (!memcmp(name + i, "idx", 3) && (i == 0 || name[i - 1] == '.' || name[i - 1] == '-')) return true;
  return ends_in(name, length, ".idx");
}

static Kind kind_by_name(const char *name, size_t length) {
  if (ends_in(name, length, ".npy")) return KIND_NPY;
  if (ends_in(name, length, ".npz")) return KIND_NPZ;
  if (ends_in(name, length, ".csv")) return KIND_CSV;
  if (ends_in(name, length, ".tsv")) return KIND_TSV;
  if (ends_in(name, length, ".safetensors")) return KIND_TENSORS;
  if (says_idx(name, length)) return KIND_IDX;
  return KIND_NONE;
}

static Kind kind_by_content(SviBytes in) {
  if (svi_is_npy(in)) return KIND_NPY;
  if (svi_is_zip(in)) return KIND_NPZ;
  if (svi_is_idx(in)) return KIND_IDX;
  if (svi_is_gz(in))  return KIND_GZ;
  return KIND_NONE;
}

/* A name in parts: where the last folder ends, and how long it is without .gz. */
typedef struct { const char *name; size_t length; } Base;

static Base base_of(const char *path) {
  const char *slash = strrchr(path, '/');
  Base b = { slash ? slash + 1 : path, 0 };
  b.length = strlen(b.name);
  if (ends_in(b.name, b.length, ".gz")) b.length -= 3;
  return b;
}

/* A suffix of a text format names its reader, unless the content is clearly another's: the first bytes of a
 * safetensors file are a length, which could look like anything. */
static Kind kind_of(Base base, SviBytes in) {
  Kind named = kind_by_name(base.name, base.length);
  if (named == KIND_TENSORS) return named;
  Kind found = kind_by_content(in);
  return found == KIND_NONE ? named : found;
}

static bool fail_unknown(SviBytes in, const char *where, SviError *error) {
  char hex[3 * 8 + 1] = "";
  for (size_t i = 0; i < 8 && i < in.size; i++) snprintf(hex + 3 * i, sizeof hex - 3 * i, " %02x", in.at[i]);
  return svi_fail(error, "%s: not a data file: it begins%s, and its name says nothing; needed .npy, .npz, "
                  "idx, .csv, .tsv, or a .gz of one", where, hex);
}

static bool read_bytes(SviBytes in, Base base, const char *where, SviFile *file, SviError *error) {
  size_t stem = base.length;
  for (size_t i = base.length; i-- > 1; ) if (base.name[i] == '.') { stem = i; break; }
  char *name = strndup(base.name, stem);
  if (!name) return svi_fail(error, "%s: out of memory", where);
  bool ok = false;
  SviTensors t = { 0 };
  switch (kind_of(base, in)) {
  case KIND_NPY:  ok = svi_npy_read(in, where, name, stem, file, error); break;
  case KIND_NPZ:  ok = svi_npz_read(in, where, file, error);             break;
  case KIND_IDX:  ok = svi_idx_read(in, where, name, file, error);       break;
  case KIND_CSV:  ok = svi_csv_read(in, where, ',', file, error);        break;
  case KIND_TSV:  ok = svi_csv_read(in, where, '\t', file, error);       break;
  case KIND_GZ:   ok = svi_fail(error, "%s: a .gz inside a .gz; unpack it once", where); break;
  case KIND_NONE: ok = fail_unknown(in, where, error);                   break;
  case KIND_TENSORS:
    t.file = *file;
    *file = (SviFile){ 0 };
    ok = svi_safetensors_read(in, where, &t, error);
    *file = t.file;
    t.file = (SviFile){ 0 };
    svi_safetensors_close(&t);
    break;
  }
  free(name);
  return ok;
}

static bool open_one(const char *path, const char *where, SviFile *file, SviError *error) {
  SviBytes in;
  if (!svi_file_map(path, where, file, &in, error)) return false;
  Base base = base_of(path);
  if (svi_is_gz(in)) {
    SviFile inner = { 0 };
    if (!svi_inflate_gz(in, where, &inner, &in, error)) return false;
    svi_file_close(file);                          /* the mapping has served */
    *file = inner;
    if (in.size == 0) return svi_fail(error, "%s: the file is empty inside the .gz", where);
  } else if (base.name[base.length]) {
    return svi_fail(error, "%s: not a .gz file: it begins %02x, needed 1f 8b", where, in.at[0]);
  }
  return read_bytes(in, base, where, file, error);
}

/* ---- folders ---- */

/* Is this a file that one of the readers would take?  A file that cannot be read is one: the reader will
 * say why.  Beside x, an x.gz is the same file once more. */
static bool is_data(const char *folder, const char *name) {
  char path[4096];
  if (name[0] == '.' || snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return false;
  struct stat st;
  if (stat(path, &st) || !S_ISREG(st.st_mode) || st.st_size == 0) return false;
  Base base = base_of(name);
  SviFile file = { 0 };
  SviBytes in;
  if (!svi_file_map(path, name, &file, &in, NULL)) return kind_by_name(base.name, base.length) != KIND_NONE;
  uint8_t first[64];
  if (svi_is_gz(in)) in = (SviBytes){ first, svi_inflate_peek(in, first, sizeof first) };
  Kind kind = kind_of(base, in);
  svi_file_close(&file);
  if (kind == KIND_NONE || kind == KIND_GZ) return false;
  if (!base.name[base.length]) return true;
  snprintf(path, sizeof path, "%s/%.*s", folder, (int)base.length, name);
  return stat(path, &st) != 0;
}

static void move_all(SviFile *to, SviFile *from, const char *where, SviError *error, bool *ok) {
  for (size_t i = 0; *ok && i < from->n; i++) {
    SviArray *a = svi_file_add(to, from->at[i].name, strlen(from->at[i].name), where, error);
    *ok = a != NULL;
    if (!a) break;
    char *name = a->name;
    *a = from->at[i];
    a->name = name;
  }
  SviHold **end = &from->hold;
  while (*end) end = &(*end)->next;
  *end = to->hold;
  to->hold = from->hold;
  from->hold = NULL;
  svi_file_close(from);
}

static bool open_entries(const char *path, const char *where, struct dirent **entry, int n, SviFile *file,
                         SviError *error) {
  for (int i = 0; i < n; i++) {
    if (!is_data(path, entry[i]->d_name)) continue;
    char full[4096];
    snprintf(full, sizeof full, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", entry[i]->d_name);
    SviFile one = { 0 };
    SviShown shown = svi_path_shown(full);
    bool ok = open_one(full, shown.text, &one, error);
    if (ok) move_all(file, &one, where, error, &ok);
    svi_file_close(&one);
    if (!ok) return false;
  }
  if (file->n == 0)
    return svi_fail(error, "%s: no data file in this folder; needed .npy, .npz, idx, .csv, .tsv, or a .gz "
                    "of one", where);
  return true;
}

/* By bytes: alphasort would ask the locale. */
static int by_file_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static bool open_folder(const char *path, const char *where, SviFile *file, SviError *error) {
  struct dirent **entry = NULL;
  int n = scandir(path, &entry, NULL, by_file_name);
  if (n < 0) return svi_fail(error, "%s: cannot read the folder: %m", where);
  bool ok = open_entries(path, where, entry, n, file, error);
  for (int i = 0; i < n; i++) free(entry[i]);
  free(entry);
  return ok;
}

bool svi_file_open(const char *path, SviFile *file, SviError *error) {
  *file = (SviFile){ 0 };
  SviShown shown = svi_path_shown(path);
  struct stat st;
  bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
  bool ok = (folder ? open_folder : open_one)(path, shown.text, file, error)
    && svi_file_names(file, shown.text, error);
  if (!ok) svi_file_close(file);
  return ok;
}
