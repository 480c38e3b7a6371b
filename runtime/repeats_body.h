/* Included by repeats.c once for each width: REAL, NAME. */

void NAME(svi_running)(uint64_t batch, uint64_t n, uint64_t m, bool after, const REAL *restrict a, REAL *restrict y) {
  for (uint64_t b = 0; b < batch; b++, a += n * m, y += n * m) {
    if (n) memset(y + (after ? (n - 1) * m : 0), 0, m * sizeof *y);
    for (uint64_t k = 1; k < n; k++) {
      uint64_t to = after ? n - 1 - k : k, from = after ? to + 1 : to - 1;
      for (uint64_t c = 0; c < m; c++) y[to * m + c] = y[from * m + c] + a[from * m + c];
    }
  }
}

void NAME(svi_copy_step)(uint64_t rows, uint64_t apart, uint64_t n, const REAL *next, REAL *guess) {
  for (uint64_t r = 0; r < rows; r++) memcpy(guess + r * apart, next + r * apart, n * sizeof *guess);
}

int32_t NAME(svi_settle)(uint64_t n, const REAL *next, REAL *guess) {
  if (memcmp(next, guess, n * sizeof *next) == 0) return 0;
  for (uint64_t i = 0; i < n; i++) if (isfinite(next[i])) guess[i] = next[i];
  return 1;
}
