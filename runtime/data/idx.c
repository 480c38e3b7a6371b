/* idx: the format of the MNIST files.
 *
 * In:  two zero bytes, a type, a rank, the dimensions and the numbers, the highest byte first.
 * Out: one array; bytes are used where they lie, wider numbers are copied into this machine's order.
 *
 * The format: "THE IDX FILE FORMAT" at http://yann.lecun.com/exdb/mnist/ */
#include "inside.h"

#include <inttypes.h>
#include <stdio.h>

static bool type_of(uint8_t code, SviType *type) {
  switch (code) {
  case 0x08: *type = SVI_U8;  return true;
  case 0x09: *type = SVI_I8;  return true;
  case 0x0b: *type = SVI_I16; return true;
  case 0x0c: *type = SVI_I32; return true;
  case 0x0d: *type = SVI_F32; return true;
  case 0x0e: *type = SVI_F64; return true;
  }
  return false;
}

bool svi_idx_read(SviBytes in, const char *where, const char *name, SviFile *f, SviError *error) {
  SviType type;
  if (in.size < 4) return svi_fail(error, "%s: truncated: %zu bytes, an idx header has more", where, in.size);
  if (!svi_is_idx(in) || !type_of(in.at[2], &type))
    return svi_fail(error, "%s: not an idx file: it begins %02x %02x %02x %02x, needed 00 00, a type and a "
                    "rank", where, in.at[0], in.at[1], in.at[2], in.at[3]);
  int rank = in.at[3];
  if (rank > SVI_MAX_RANK)
    return svi_fail(error, "%s: an idx file of rank %d, the most that is read is %d", where, rank,
                    SVI_MAX_RANK);
  size_t begin = 4 + 4 * (size_t)rank;
  if (in.size < begin)
    return svi_fail(error, "%s: truncated: an idx header of %zu bytes, the file holds %zu", where, begin,
                    in.size);
  uint64_t dim[SVI_MAX_RANK] = { 0 }, bytes, held = in.size - begin;
  for (int i = 0; i < rank; i++) dim[i] = svi_be32(in.at + 4 + 4 * i);
  size_t each = svi_type_size(type);
  if (!svi_dims_size(dim, rank, each, &bytes))
    return svi_fail(error, "%s: the header's shape has more elements than any file", where);
  if (bytes > held)
    return svi_fail(error, "%s: truncated: the header promises %" PRIu64 " bytes, the file holds %" PRIu64,
                    where, bytes, held);
  if (bytes < held)
    return svi_fail(error, "%s: %" PRIu64 " bytes follow the %" PRIu64 " that the header promises", where,
                    held - bytes, bytes);
  SviArray *a = svi_file_add(f, name, strlen(name), where, error);
  if (!a) return false;
  a->type = type;
  a->rank = rank;
  memcpy(a->dim, dim, sizeof dim);
  a->bytes = in.at + begin;
  if (each == 1) return true;
  void *copy = svi_file_alloc(f, bytes, where, error);
  if (!copy) return false;
  if (bytes) memcpy(copy, in.at + begin, bytes);
  svi_bytes_swap(copy, bytes / each, each);
  a->bytes = copy;
  return true;
}
