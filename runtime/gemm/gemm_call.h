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
  if (tb || n < FEW_COLUMNS || !NAME(has_few_ones)(ta ? k : m, ta ? m : k, a, lda)) kernels->WIDTH.dense(ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc);
  else if (ta) kernels->WIDTH.bits_transposed(GEMM_ALL, m, n, k, a, lda, b, ldb, add, c, ldc);
  else kernels->WIDTH.bits(GEMM_ALL, m, n, k, a, lda, b, ldb, add, c, ldc);
}

/* d[rows][SQUARE] = the part of w[rows][columns] that is in the triangle; its first element is (row, column) of the triangle's matrix */
static void NAME(cut)(int64_t row, int64_t column, int64_t shift, uint64_t rows, uint64_t columns, const REAL *w, uint64_t ld, REAL *d) {
  for (uint64_t r = 0; r < rows; r++) {
    uint64_t from = (uint64_t)least(most(row + (int64_t)r - shift - column + 1, 0), (int64_t)columns);
    memset(d + r * SQUARE, 0, from * sizeof *d);
    memcpy(d + r * SQUARE + from, w + r * ld + from, (columns - from) * sizeof *d);
  }
}

/* B's columns (its rows, when it is transposed), SQUARE at a time: the rectangle in which all of them are, then the square on the
 * diagonal, cut. */
static void NAME(triangle_operand)(int64_t shift, bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  static _Thread_local REAL square[2 * SQUARE * SQUARE];
  uint64_t step = ta ? lda : 1;
  for (uint64_t j = 0; j < n; j += SQUARE) {
    int64_t first = (int64_t)j, end = least((int64_t)(j + SQUARE), (int64_t)n);
    uint64_t width = (uint64_t)(end - first);
    /* of the sum: [from, to) is whole, [cut, cut_end) is cut */
    int64_t from = tb ? least(most(end - shift, 0), (int64_t)k) : 0, to = tb ? (int64_t)k : least(most(first + shift, 0), (int64_t)k);
    int64_t cut = tb ? least(most(first - shift + 1, 0), from) : to, cut_end = tb ? from : least(most(end - 1 + shift, to), (int64_t)k);
    const REAL *whole = tb ? b + j * ldb + from : b + (uint64_t)from * ldb + j;
    kernels->WIDTH.dense(ta, tb, m, width, (uint64_t)(to - from), a + (uint64_t)from * step, lda, whole, ldb, add, c + j, ldc);
    if (cut == cut_end) continue;
    uint64_t depth = (uint64_t)(cut_end - cut);          /* less than SQUARE */
    if (tb) NAME(cut)(first, cut, shift, width, depth, b + j * ldb + cut, ldb, square);
    else    NAME(cut)(cut, first, shift, depth, width, b + (uint64_t)cut * ldb + j, ldb, square);
    kernels->WIDTH.dense(ta, tb, m, width, depth, a + (uint64_t)cut * step, lda, square, SQUARE, true, c + j, ldc);
  }
}

/* C's rows, SQUARE at a time. */
static void NAME(triangle_result)(int64_t shift, bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  for (uint64_t i = 0; i < m; i += SQUARE) {
    uint64_t end = i + SQUARE < m ? i + SQUARE : m;
    uint64_t from = (uint64_t)least(most((int64_t)i - shift + 1, 0), (int64_t)n);
    kernels->WIDTH.dense(ta, tb, end - i, n - from, k, ta ? a + i : a + i * lda, lda, tb ? b + from * ldb : b + from, ldb, add, c + i * ldc + from, ldc);
    for (uint64_t r = i; r < end; r++) {
      uint64_t starts = (uint64_t)least(most((int64_t)r - shift + 1, 0), (int64_t)n);
      uint64_t zero = add ? from : 0;                    /* what was there left of `from` is zero already */
      for (uint64_t j = zero; j < starts; j++) c[r * ldc + j] = 0;
    }
  }
}

void NAME(svi_gemm_triangle)(bool of_result, bool bits, int32_t shift, bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  bool few = bits && !tb && n >= FEW_COLUMNS && ta == of_result && NAME(has_few_ones)(ta ? k : m, ta ? m : k, a, lda);
  if (few && of_result) kernels->WIDTH.bits_transposed(shift, m, n, k, a, lda, b, ldb, add, c, ldc);
  else if (few) kernels->WIDTH.bits(shift, m, n, k, a, lda, b, ldb, add, c, ldc);
  else if (of_result) NAME(triangle_result)(shift, ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc);
  else NAME(triangle_operand)(shift, ta, tb, m, n, k, a, lda, b, ldb, add, c, ldc);
}
