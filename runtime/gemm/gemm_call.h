/* Included by gemm.c once for each width: REAL, NAME, WIDTH. */
void NAME(svi_gemm)(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  kernels->WIDTH.dense(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc);
}

/* The share of ones, by a few rows. */
static bool NAME(has_few_ones)(uint64_t rows, uint64_t columns, const REAL *a, uint64_t lda) {
  uint64_t count = 0, looked = rows < ROWS_LOOKED_AT ? rows : ROWS_LOOKED_AT;
  for (uint64_t r = 0; r < looked; r++) {
    const REAL *x = a + rows * r / looked * lda;
    for (uint64_t i = 0; i < columns; i++) count += x[i] != 0;
  }
  return (double)count < FEW_ONES * (double)(looked * columns);
}

void NAME(svi_gemm_bits)(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  if (tb || !NAME(has_few_ones)(ta ? k : m, ta ? m : k, a, lda)) kernels->WIDTH.dense(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc);
  else if (ta) kernels->WIDTH.bits_transposed(m, n, k, a, lda, b, ldb, add, c, ldc);
  else kernels->WIDTH.bits(m, n, k, a, lda, b, ldb, add, c, ldc);
}
