/* Any bytes as an .npz file. */
#include "fuzz_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  SviFile f = { 0 };
  SviError error = { "" };
  bool ok = svi_npz_read((SviBytes){ data, size }, "x.npz", &f, &error) && svi_file_names(&f, "x.npz",
                                                                                          &error);
  return fuzz_done(&f, ok, &error);
}
