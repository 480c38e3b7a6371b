/* Included by products.c once for each width: REAL, NAME. */
static void NAME(product_part)(const Product *x, uint64_t first, uint64_t count) {
  const REAL *a = x->a, *b = x->b;
  REAL *c = x->c;
  uint64_t m = x->columns ? x->m : count, n = x->columns ? count : x->n;
  if (x->columns) b += first * (x->tb ? x->ldb : 1), c += first;
  else            a += first * (x->ta ? 1 : x->lda), c += first * x->ldc;
  bool of_result = x->triangle == 2;
  if (x->triangle)  NAME(svi_gemm_triangle)(of_result, x->bits, x->shift - (of_result ? (int32_t)first : 0), x->ta, x->tb, m, n, x->k, a, x->lda, b, x->ldb, x->add, c, x->ldc);
  else if (x->bits) NAME(svi_gemm_bits)(x->ta, x->tb, m, n, x->k, a, x->lda, b, x->ldb, x->add, c, x->ldc);
  else              NAME(svi_gemm)(x->ta, x->tb, m, n, x->k, a, x->lda, b, x->ldb, x->add, c, x->ldc);
}
