/* Any bytes as a checkpoint. */
#include "fuzz_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  SviTensors t = { 0 };
  SviError error = { "" };
  if (svi_safetensors_read((SviBytes){ data, size }, "x.safetensors", &t, &error)) {
    fuzz_arrays(&t.file);
    for (size_t i = 0; i < t.nnotes; i++) fuzz_expect(svi_safetensors_note(&t, t.note[i].key) != NULL);
  } else {
    fuzz_text(error.text);
  }
  svi_safetensors_close(&t);
  return 0;
}
