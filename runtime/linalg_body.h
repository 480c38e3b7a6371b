/* Included by linalg.c once for each width: REAL, NAME, BLAS, POTRF. */

void NAME(svi_cholesky)(uint64_t batch, uint64_t n, const REAL *a, REAL *l) {
  int order = (int)n, info;
  for (uint64_t i = 0; i < batch; i++, a += n * n, l += n * n) {
    memmove(l, a, n * n * sizeof *l);
    POTRF("U", &order, l, &order, &info);
    for (uint64_t r = 0; r < n; r++)
      for (uint64_t c = 0; c < n; c++) if (info != 0) l[r * n + c] = NAN; else if (c > r) l[r * n + c] = 0;
  }
}

/* x = op(t)^-1 b with t[n, n], b and x [n, m]. */
void NAME(svi_solve_tri)(uint64_t batch, uint64_t n, uint64_t m, bool lower, bool trans, const REAL *t, const REAL *b, REAL *x) {
  for (uint64_t i = 0; i < batch; i++, t += n * n, b += n * m, x += n * m) {
    memmove(x, b, n * m * sizeof *x);
    BLAS(trsm)(CblasRowMajor, CblasLeft, lower ? CblasLower : CblasUpper, trans ? CblasTrans : CblasNoTrans, CblasNonUnit,
               (int)n, (int)m, 1, t, (int)n, x, (int)m);
  }
}
