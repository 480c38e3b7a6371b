/* Any bytes as an .npy file. */
#include "fuzz_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  SviFile f = { 0 };
  SviError error = { "" };
  bool ok = svi_npy_read((SviBytes){ data, size }, "x.npy", "x", 1, &f, &error);
  return fuzz_done(&f, ok, &error);
}
