/* pack: files of any readable format become one, an .npz for instance.
 *
 * In:  [NAME=]FILE[:ARRAY] ...
 * Out: a file of the format that its name says, whose members are the arrays as they were: an idx of u8 [60000,28,28] stays that.  Nothing is
 *      copied on the way but what a reader had to unpack.
 *
 * And the commands that people reach this by: pack, show. */
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The file at the path, and the name of the one array that is wanted of it or NULL.  A path that exists is
 * a path, whatever colons it has. */
static bool open_source(const char *path, SviFile *file, const char **array, SviError *error) {
  const char *colon = strrchr(path, ':');
  *array = NULL;
  if (!colon || access(path, F_OK) == 0) return svi_file_open(path, file, error);
  char *front = strndup(path, (size_t)(colon - path));
  if (!front) return svi_fail(error, "%s: out of memory", svi_path_shown(path).text);
  *array = colon + 1;
  bool ok = svi_file_open(front, file, error);
  free(front);
  return ok;
}

static bool fail_several(const SviPack *from, const SviFile *file, SviError *error) {
  char names[200] = "";
  size_t used = 0;
  for (size_t i = 0; i < file->n && used < sizeof names - 1; i++)
    used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", file->at[i].name);
  return svi_fail(error, "%s: it has %zu arrays (%s), `%.60s` can name one; choose by %.60s=FILE:ARRAY",
                  svi_path_shown(from->path).text, file->n, names, from->name, from->name);
}

/* Which arrays of the file are wanted, under which names; they go to the end of `all`, which borrows. */
static bool pick(const SviPack *from, const SviFile *file, const char *array, SviFile *all, SviError *error) {
  SviShown shown = svi_path_shown(from->path);
  size_t first = 0, end = file->n;
  if (array) {
    const SviArray *a = svi_file_find(file, array);
    if (!a) return svi_fail(error, "%s: no array `%.100s` in that file", shown.text, array);
    first = (size_t)(a - file->at);
    end = first + 1;
  }
  if (from->name && end - first > 1) return fail_several(from, file, error);
  for (size_t i = first; i < end; i++) {
    const char *name = from->name ? from->name : file->at[i].name;
    SviArray *a = svi_file_add(all, name, strlen(name), shown.text, error);
    if (!a) return false;
    char *own = a->name;
    *a = file->at[i];
    a->name = own;
  }
  return true;
}

static bool gather(const SviPack *from, size_t n, SviFile *files, SviFile *all, SviError *error) {
  for (size_t i = 0; i < n; i++) {
    const char *array;
    if (!open_source(from[i].path, &files[i], &array, error)) return false;
    if (!pick(&from[i], &files[i], array, all, error)) return false;
  }
  return true;
}

static void print_arrays(const SviFile *file) {
  char text[256];
  int width = 0;
  for (size_t i = 0; i < file->n; i++) {
    int n = (int)strlen(file->at[i].name);
    if (n > width && n <= 40) width = n;
  }
  for (size_t i = 0; i < file->n; i++) {
    SviError name;                               /* without control characters */
    svi_fail(&name, "%s", file->at[i].name);
    printf("%-*s  %s\n", width, name.text, svi_array_describe(&file->at[i], text, sizeof text));
  }
}

static bool convert(const char *out, const SviPack *from, size_t n, bool tell, SviError *error) {
  SviFile all = { 0 }, *files = calloc(n + 1, sizeof *files);
  if (!files) return svi_fail(error, "%s: out of memory", svi_path_shown(out).text);
  bool ok = svi_file_named(out, error) && gather(from, n, files, &all, error) && svi_file_write(out, all.at, all.n, error);
  if (ok && tell) print_arrays(&all);
  svi_file_close(&all);
  for (size_t i = 0; i < n; i++) svi_file_close(&files[i]);
  free(files);
  return ok;
}

bool svi_convert(const char *out, const SviPack *from, size_t n, SviError *error) {
  return convert(out, from, n, false, error);
}

/* ---- the commands ---- */

/* NAME=FILE, when what is before the first = looks like a name and not like a path. */
static bool split(char *word, SviPack *from) {
  char *equals = strchr(word, '=');
  if (!equals || equals == word || memchr(word, '/', (size_t)(equals - word)) || access(word, F_OK) == 0) {
    from->path = word;
    return true;
  }
  *equals = 0;
  *from = (SviPack){ word, equals + 1 };
  return *from->path != 0;
}

static int usage(const char *text) {
  fprintf(stderr, "usage: %s\n", text);
  return 2;
}

static int fail(const SviError *error) {
  fprintf(stderr, "error: %s\n", error->text);
  return 1;
}

static int run_pack(int argc, char **argv) {
  const char *how = svi_data_commands[0].usage;
  if (argc < 2 || argv[0][0] == '-') return usage(how);
  SviPack *from = calloc((size_t)argc, sizeof *from);
  SviError error = { "out of memory" };
  bool ok = from != NULL;
  for (int i = 1; ok && i < argc; i++)
    if (!split(argv[i], &from[i - 1])) { free(from); return usage(how); }
  ok = ok && convert(argv[0], from, (size_t)argc - 1, true, &error);
  free(from);
  return ok ? 0 : fail(&error);
}

static int run_show(int argc, char **argv) {
  if (argc != 1 || argv[0][0] == '-') return usage(svi_data_commands[1].usage);
  SviFile file;
  SviError error;
  if (!svi_file_open(argv[0], &file, &error)) return fail(&error);
  print_arrays(&file);
  svi_file_close(&file);
  return 0;
}

const SviDataCommand svi_data_commands[] = {
  /* name   usage                                    purpose                                    run */
  { "pack", "pack OUT [NAME=]FILE[:ARRAY] ...",      "put arrays of any files into one: .npz, .csv or .safetensors",  run_pack },
  { "show", "show FILE",                             "list a file's arrays: name, type, shape", run_show },
  { NULL,   NULL,                                    NULL,                                      NULL },
};
