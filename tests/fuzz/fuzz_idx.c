/* Any bytes as an idx file, or as a .gz of one. */
#include "fuzz_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  SviFile f = { 0 };
  SviError error = { "" };
  SviBytes in = { data, size };
  bool ok = (!svi_is_gz(in) || svi_inflate_gz(in, "x.gz", &f, &in, &error)) && svi_idx_read(in, "x", "x", &f,
                                                                                            &error);
  return fuzz_done(&f, ok, &error);
}
