/* Included by check_gemm.c once for each width: REAL, NAME, WIDTH. */
static REAL *NAME(filled)(uint64_t rows, uint64_t columns, uint64_t ld, bool bits, uint32_t *seed) {
  uint64_t n = rows ? (rows - 1) * ld + columns : 0;
  REAL *x = malloc((n ? n : 1) * sizeof *x);
  for (uint64_t i = 0; i < n; i++) x[i] = (REAL)(bits ? next_number(seed) % 4 == 0 : next_number(seed) % 9 - 4);
  return x;
}

static void NAME(try)(const GemmKernels *kernels, How how, bool ta, bool tb, bool add, uint64_t m, uint64_t n, uint64_t k, uint32_t *seed) {
  uint64_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
  REAL *a = NAME(filled)(ta ? k : m, ta ? m : k, lda, how != DENSE, seed), *b = NAME(filled)(tb ? n : k, tb ? k : n, ldb, false, seed);
  REAL *c = malloc((m * ldc + 1) * sizeof *c);
  for (uint64_t i = 0; i < m * ldc; i++) c[i] = MARK;
  switch (how) {
    case DENSE:           kernels->WIDTH.dense(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc); break;
    case BITS:            kernels->WIDTH.bits(GEMM_ALL, m, n, k, a, lda, b, ldb, add, c, ldc); break;
    case BITS_TRANSPOSED: kernels->WIDTH.bits_transposed(GEMM_ALL, m, n, k, a, lda, b, ldb, add, c, ldc); break;
  }
  for (uint64_t i = 0; i < m; i++)
    for (uint64_t j = 0; j < ldc; j++) {
      double sum = j >= n || add ? MARK : 0;
      for (uint64_t p = 0; p < k && j < n; p++) sum += (double)(ta ? a[p * lda + i] : a[i * lda + p]) * (double)(tb ? b[j * ldb + p] : b[p * ldb + j]);
      if ((double)c[i * ldc + j] != sum) ck_abort_msg("%s: %d x %d x %d, transposed %d %d, way %d: element %d, %d is %g, not %g", kernels->name, (int)m, (int)n, (int)k,
                                                      ta, tb, (int)how, (int)i, (int)j, (double)c[i * ldc + j], sum);
    }
  free(a), free(b), free(c);
}

/* svi_gemm_triangle against the definition. */
static void NAME(try_triangle)(bool of_result, bool bits, int32_t shift, bool ta, bool tb, bool add, uint64_t m, uint64_t n, uint64_t k, uint32_t *seed) {
  uint64_t lda = (ta ? m : k) + 1, ldb = (tb ? k : n) + 2, ldc = n + 1;
  REAL *a = NAME(filled)(ta ? k : m, ta ? m : k, lda, bits, seed), *b = NAME(filled)(tb ? n : k, tb ? k : n, ldb, false, seed);
  REAL *c = malloc((m * ldc + 1) * sizeof *c);
  for (uint64_t i = 0; i < m; i++)
    for (uint64_t j = 0; j < ldc; j++) c[i * ldc + j] = of_result && add && j < n && (int64_t)i >= (int64_t)j + shift ? 0 : MARK;      /* zero where it was left out before */
  NAME(svi_gemm_triangle)(of_result, bits, shift, ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc);
  for (uint64_t i = 0; i < m; i++)
    for (uint64_t j = 0; j < ldc; j++) {
      bool inside = !of_result || (int64_t)i < (int64_t)j + shift;
      double sum = j >= n || (add && inside) ? MARK : 0;
      for (uint64_t p = 0; p < k && j < n && inside; p++) {
        int64_t row = (int64_t)(tb ? j : p), column = (int64_t)(tb ? p : j);
        if (!of_result && row >= column + shift) continue;
        sum += (double)(ta ? a[p * lda + i] : a[i * lda + p]) * (double)(tb ? b[j * ldb + p] : b[p * ldb + j]);
      }
      if ((double)c[i * ldc + j] != sum) ck_abort_msg("%s of %d x %d x %d, transposed %d %d, bits %d, shift %d, add %d: element %d, %d is %g, not %g", of_result ? "triangle" : "product with a triangle",
                                                      (int)m, (int)n, (int)k, ta, tb, bits, (int)shift, add, (int)i, (int)j, (double)c[i * ldc + j], sum);
    }
  free(a), free(b), free(c);
}
