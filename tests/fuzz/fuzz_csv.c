/* Any bytes as a table; the first chooses what separates. */
#include "fuzz_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  SviFile f = { 0 };
  SviError error = { "" };
  SviBytes in = { data + 1, size - 1 };
  bool ok = svi_csv_read(in, "x.csv", *data == '\t' ? '\t' : ',', &f, &error) && svi_file_names(&f, "x.csv",
                                                                                                &error);
  return fuzz_done(&f, ok, &error);
}
