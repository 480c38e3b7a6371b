/* Included by products.c once for each width: REAL, NAME. */
static void NAME(product_rows)(const Product *x, uint64_t first, uint64_t rows) {
  const REAL *a = (const REAL *)x->a + first * (x->ta ? 1 : x->lda), *b = x->b;
  REAL *c = (REAL *)x->c + first * x->ldc;
  bool of_result = x->triangle == 2;
  if (x->triangle)  NAME(svi_gemm_triangle)(of_result, x->bits, x->shift - (of_result ? (int32_t)first : 0), x->ta, x->tb, rows, x->n, x->k, a, x->lda, b, x->ldb, x->add, c, x->ldc);
  else if (x->bits) NAME(svi_gemm_bits)(x->ta, x->tb, rows, x->n, x->k, a, x->lda, b, x->ldb, x->add, c, x->ldc);
  else              NAME(svi_gemm)(x->ta, x->tb, rows, x->n, x->k, a, x->lda, b, x->ldb, x->add, c, x->ldc);
}
