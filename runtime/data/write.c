/* write: arrays to a file of the format that its name says.
 *
 * In:  arrays, a path that ends in one of `writers`.
 * Out: the file, whole, or an error and the file that was there. */
#include "inside.h"

static bool write_npy(const char *path, const SviArray *arrays, size_t n, SviError *error) {
  if (n == 1) return svi_npy_write(path, arrays, error);
  return svi_fail(error, "%s: an .npy file holds one array, and these are %zu: the name must end in .npz, .csv or .safetensors", svi_path_shown(path).text, n);
}
static bool write_tensors(const char *path, const SviArray *arrays, size_t n, SviError *error) {
  return svi_safetensors_write(path, arrays, n, NULL, 0, error);
}
static const struct { const char *end; bool (*write)(const char *path, const SviArray *arrays, size_t n, SviError *error); } writers[] = {
  { ".npz", svi_npz_write }, { ".csv", svi_csv_write }, { ".safetensors", write_tensors }, { ".npy", write_npy },
};

static int writer_of(const char *path) {
  size_t n = strlen(path);
  for (int i = 0; i < (int)(sizeof writers / sizeof *writers); i++) {
    size_t k = strlen(writers[i].end);
    if (n > k && strcmp(path + n - k, writers[i].end) == 0) return i;
  }
  return -1;
}

bool svi_file_named(const char *path, SviError *error) {
  return writer_of(path) >= 0 || svi_fail(error, "%s: the name must end in .npz, .csv or .safetensors, or in .npy for one array", svi_path_shown(path).text);
}
bool svi_file_write(const char *path, const SviArray *arrays, size_t n, SviError *error) {
  return svi_file_named(path, error) && writers[writer_of(path)].write(path, arrays, n, error);
}
