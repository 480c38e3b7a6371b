/* Kernels of matrix products.  Included once for each width by a file that is compiled for one instruction set.
 *
 * In:  REAL, NAME(x), LANES reals a vector, and of that instruction set
 *        ROWS, VECTORS   a tile of C held in registers: so many rows, so many vectors a row
 *        BIT_VECTORS     vectors of one row of C when rows of B are added up
 *        NAME(part_load)(p, n), NAME(part_store)(p, n, v)     0 < n <= LANES reals
 *        NAME(ones)(a, k, list)                   places of what is not 0 among k <= BITS reals; how many
 *        NAME(columns)(a, lda, k, n, mask)        bit p of mask[i]: a[p * lda + i] is not 0; i < n <= LANES, p < k <= 64
 *        NAME(transpose)(b, ldb, out, ldo, rows, columns)    out[c * ldo + r] = b[r * ldb + c]
 *
 * dense: C is made tile by tile; for each of the DEPTH rows of B that lie in the first cache, a row of B is loaded, an element
 * of each row of A is spread over a vector, and all are multiplied and added.  Packed are a transposed B, whose columns would not be
 * vectors otherwise; a transposed A, of which a tile would use a few elements of each cache line; and any B that many rows of A meet,
 * since its rows are often a multiple of half a page apart, where they drive one another out of the first cache.
 *
 * bits: what a product by zeros and ones does is to add up some rows of B.  Of a binarised digit one pixel in eight is 1, so
 * that is an eighth of the additions, and no multiplications.
 *
 * The order of sums depends on the sizes and on A alone. */
#define VECTOR NAME(V)

INLINE VECTOR NAME(load)(const REAL *p) { return *(const NAME(U) *)p; }
INLINE void   NAME(store)(REAL *p, VECTOR v) { *(NAME(U) *)p = v; }

/* ---- a tile: mr rows, nv vectors, the last of them of `last` columns; of B it can be loaded `whole`, what lies behind is not stored */
#define TILE_ARGUMENTS uint64_t k, const REAL *a, uint64_t si, uint64_t sp, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc, uint64_t last
INLINE void NAME(tile)(const unsigned mr, const unsigned nv, const bool whole, TILE_ARGUMENTS) {
  VECTOR acc[ROWS][VECTORS];
  UNROLLED for (unsigned i = 0; i < mr; i++)
    UNROLLED for (unsigned j = 0; j < nv; j++)
      acc[i][j] = !add ? (VECTOR){0} : j + 1 < nv ? NAME(load)(c + i * ldc + j * LANES) : NAME(part_load)(c + i * ldc + j * LANES, last);
  for (uint64_t p = 0; p < k; p++, a += sp, b += ldb) {
    VECTOR y[VECTORS];
    UNROLLED for (unsigned j = 0; j + 1 < nv; j++) y[j] = NAME(load)(b + j * LANES);
    y[nv - 1] = whole ? NAME(load)(b + (nv - 1) * LANES) : NAME(part_load)(b + (nv - 1) * LANES, last);
    UNROLLED for (unsigned i = 0; i < mr; i++)
      UNROLLED for (unsigned j = 0; j < nv; j++) acc[i][j] += a[i * si] * y[j];
  }
  UNROLLED for (unsigned i = 0; i < mr; i++) {
    UNROLLED for (unsigned j = 0; j + 1 < nv; j++) NAME(store)(c + i * ldc + j * LANES, acc[i][j]);
    NAME(part_store)(c + i * ldc + (nv - 1) * LANES, last, acc[i][nv - 1]);
  }
}

typedef void NAME(Tile)(bool whole, TILE_ARGUMENTS);
#define TILE(mr, nv)                                                                                  \
  static void NAME(tile_##mr##_##nv)(bool whole, TILE_ARGUMENTS) {                                    \
    if (whole) NAME(tile)(mr, nv, true, k, a, si, sp, b, ldb, add, c, ldc, last);                     \
    else       NAME(tile)(mr, nv, false, k, a, si, sp, b, ldb, add, c, ldc, last);                    \
  }
#define TILES_OF(mr) TILE(mr, 1) TILE(mr, 2) TILE(mr, 3)
#define TILES_ROW(mr) {NAME(tile_##mr##_1), NAME(tile_##mr##_2), NAME(tile_##mr##_3)}
TILES_OF(1) TILES_OF(2) TILES_OF(3) TILES_OF(4)
#if ROWS == 8
TILES_OF(5) TILES_OF(6) TILES_OF(7) TILES_OF(8)
#endif
static NAME(Tile) *const NAME(tiles)[ROWS][VECTORS] = {
  TILES_ROW(1), TILES_ROW(2), TILES_ROW(3), TILES_ROW(4),
#if ROWS == 8
  TILES_ROW(5), TILES_ROW(6), TILES_ROW(7), TILES_ROW(8),
#endif
};

/* Blocks of columns of a[kd][lda], `wide` of base + 1, then of base: each as out[p][its columns], one behind the other. */
static void NAME(pack_blocks)(uint64_t blocks, uint64_t wide, uint64_t base, uint64_t kd, const REAL *a, uint64_t lda, REAL *out) {
  enum { TOGETHER = 8 };                                  /* rows, so that lines of what is written are full */
  for (uint64_t p0 = 0; p0 < kd; p0 += TOGETHER) {
    uint64_t p1 = p0 + TOGETHER < kd ? p0 + TOGETHER : kd, i = 0;
    for (uint64_t r = 0; r < blocks; r++) {
      uint64_t mr = base + (r < wide);
      REAL *to = out + i * kd;
      if (mr == ROWS) for (uint64_t p = p0; p < p1; p++) memcpy(to + p * ROWS, a + p * lda + i, ROWS * sizeof *a);
      else for (uint64_t p = p0; p < p1; p++) for (uint64_t q = 0; q < mr; q++) to[p * mr + q] = a[p * lda + i + q];
      i += mr;
    }
  }
}

/* out[p][VECTORS * LANES] = the panel b[kd][nv vectors, the last of `last` columns] */
static void NAME(pack_panel)(uint64_t kd, uint64_t nv, uint64_t last, const REAL *b, uint64_t ldb, REAL *out) {
  for (uint64_t p = 0; p < kd; p++, b += ldb, out += VECTORS * LANES) {
    for (uint64_t j = 0; j + 1 < nv; j++) NAME(store)(out + j * LANES, NAME(load)(b + j * LANES));
    NAME(store)(out + (nv - 1) * LANES, NAME(part_load)(b + (nv - 1) * LANES, last));
  }
}

/* Rows and vectors are cut evenly, into blocks and panels that differ by one at most: narrow tiles wait for their loads. */
static void NAME(dense)(bool ta, bool tb, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  static _Thread_local REAL packed[DEPTH * VECTORS * LANES] __attribute__((aligned(64))), packed_a[DEPTH * GROUP * ROWS] __attribute__((aligned(64)));
  if (k == 0 && !add) for (uint64_t i = 0; i < m; i++) memset(c + i * ldc, 0, n * sizeof *c);
  if (m == 0 || n == 0) return;
  uint64_t depths = (k + DEPTH - 1) / DEPTH, blocks = (m + ROWS - 1) / ROWS, base = m / blocks, wide = m - base * blocks;
  uint64_t vectors = (n + LANES - 1) / LANES, panels = (vectors + VECTORS - 1) / VECTORS, thin = vectors / panels, thick = vectors - thin * panels;
  bool pack_a = ta && panels >= MANY_PANELS;
  uint64_t group = pack_a && blocks > GROUP ? GROUP : blocks, si = ta ? 1 : lda, sp = ta ? lda : 1;
  for (uint64_t d = 0, p = 0, kd; d < depths; d++, p += kd) {
    kd = k * (d + 1) / depths - p;
    for (uint64_t g = 0, begin = 0; g < blocks; g += group) {
      uint64_t many = g + group < blocks ? group : blocks - g, more = wide > g ? wide - g : 0;
      bool pack_b = tb || many >= MANY_BLOCKS;
      if (pack_a) NAME(pack_blocks)(many, more, base, kd, a + p * lda + begin, lda, packed_a);
      for (uint64_t s = 0, j = 0, nv; s < panels; s++, j += nv * LANES) {
        nv = thin + (s < thick);
        uint64_t columns = j + nv * LANES < n ? nv * LANES : n - j, last = columns - (nv - 1) * LANES;
        const REAL *panel = pack_b ? packed : b + p * ldb + j;
        uint64_t ldp = pack_b ? VECTORS * LANES : ldb;
        bool whole = pack_b || last == LANES;
        if (tb) NAME(transpose)(b + j * ldb + p, ldb, packed, VECTORS * LANES, columns, kd);
        else if (pack_b) NAME(pack_panel)(kd, nv, last, b + p * ldb + j, ldb, packed);
        for (uint64_t r = 0, i = begin, mr; r < many; r++, i += mr) {
          mr = base + (r < more);
          if (pack_a) NAME(tiles)[mr - 1][nv - 1](whole, kd, packed_a + (i - begin) * kd, 1, mr, panel, ldp, add || d > 0, c + i * ldc + j, ldc, last);
          else        NAME(tiles)[mr - 1][nv - 1](whole, kd, a + i * si + p * sp, si, sp, panel, ldp, add || d > 0, c + i * ldc + j, ldc, last);
        }
      }
      begin += many * base + (more < many ? more : many);
    }
  }
}

/* ---- rows of B added up */
#define ADD_ARGUMENTS uint64_t count, const uint32_t *at, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t last
INLINE void NAME(add_rows)(const unsigned nv, ADD_ARGUMENTS) {
  VECTOR acc[BIT_VECTORS];
  UNROLLED for (unsigned j = 0; j < nv; j++) acc[j] = !add ? (VECTOR){0} : j + 1 < nv ? NAME(load)(c + j * LANES) : NAME(part_load)(c + j * LANES, last);
  for (uint64_t q = 0; q < count; q++) {
    const REAL *y = b + at[q] * ldb;
    UNROLLED for (unsigned j = 0; j + 1 < nv; j++) acc[j] += NAME(load)(y + j * LANES);
    acc[nv - 1] += NAME(part_load)(y + (nv - 1) * LANES, last);
  }
  UNROLLED for (unsigned j = 0; j + 1 < nv; j++) NAME(store)(c + j * LANES, acc[j]);
  NAME(part_store)(c + (nv - 1) * LANES, last, acc[nv - 1]);
}
typedef void NAME(AddRows)(ADD_ARGUMENTS);
#define ADD_ROWS(nv) static void NAME(add_rows_##nv)(ADD_ARGUMENTS) { NAME(add_rows)(nv, count, at, b, ldb, add, c, last); }
ADD_ROWS(1) ADD_ROWS(2) ADD_ROWS(3) ADD_ROWS(4) ADD_ROWS(5) ADD_ROWS(6) ADD_ROWS(7)
#if BIT_VECTORS == 14
ADD_ROWS(8) ADD_ROWS(9) ADD_ROWS(10) ADD_ROWS(11) ADD_ROWS(12) ADD_ROWS(13) ADD_ROWS(14)
#endif
static NAME(AddRows) *const NAME(adders)[BIT_VECTORS] = {
  NAME(add_rows_1), NAME(add_rows_2), NAME(add_rows_3), NAME(add_rows_4), NAME(add_rows_5), NAME(add_rows_6), NAME(add_rows_7),
#if BIT_VECTORS == 14
  NAME(add_rows_8), NAME(add_rows_9), NAME(add_rows_10), NAME(add_rows_11), NAME(add_rows_12), NAME(add_rows_13), NAME(add_rows_14),
#endif
};

/* c[n] (+)= the rows of B at these places */
static void NAME(add_up)(uint64_t count, const uint32_t *at, uint64_t n, const REAL *b, uint64_t ldb, bool add, REAL *c) {
  if (count == 0 && add) return;
  uint64_t vectors = (n + LANES - 1) / LANES, panels = (vectors + BIT_VECTORS - 1) / BIT_VECTORS;
  for (uint64_t s = 0; s < panels; s++) {
    uint64_t v = vectors * s / panels, nv = vectors * (s + 1) / panels - v, j = v * LANES;
    uint64_t last = v + nv == vectors ? n - (vectors - 1) * LANES : LANES;
    NAME(adders)[nv - 1](count, at, b + j, ldb, add, c + j, last);
  }
}

/* c[n] += x[n] */
static void NAME(add_row)(uint64_t n, const REAL *x, REAL *c) {
  uint64_t j = 0;
  for (; j + LANES <= n; j += LANES) NAME(store)(c + j, NAME(load)(c + j) + NAME(load)(x + j));
  if (j < n) NAME(part_store)(c + j, n - j, NAME(part_load)(c + j, n - j) + NAME(part_load)(x + j, n - j));
}

/* The first column that row r of a triangle has. */
INLINE uint64_t NAME(starts)(uint64_t r, int64_t shift) { return (int64_t)r >= shift ? (uint64_t)((int64_t)r - shift + 1) : 0; }

static void NAME(bits)(int64_t shift, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  enum { SPAN = BIT_VECTORS * LANES };                    /* of a triangle, so many columns: rows that reach all of them, then the others one by one */
  uint32_t list[BITS + LANES];
  uint64_t wide = shift == GEMM_ALL ? n : SPAN;
  for (uint64_t i = 0; i < m; i++) {
    if (k == 0 && !add) memset(c + i * ldc, 0, n * sizeof *c);
    for (uint64_t p = 0; p < k; p += BITS) {
      uint64_t count = NAME(ones)(a + i * lda + p, k - p < BITS ? k - p : BITS, list), whole = 0;
      for (uint64_t j = 0; j < n; j += wide) {
        uint64_t end = j + wide < n ? j + wide : n, q;
        while (whole < count && NAME(starts)(p + list[whole], shift) <= j) whole++;
        NAME(add_up)(whole, list, end - j, b + p * ldb + j, ldb, add || p > 0, c + i * ldc + j);
        for (q = whole; q < count; q++) {
          uint64_t from = NAME(starts)(p + list[q], shift);
          if (from >= end) break;
          NAME(add_row)(end - from, b + (p + list[q]) * ldb + from, c + i * ldc + from);
        }
      }
    }
  }
}

static void NAME(bits_transposed)(int64_t shift, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  uint32_t list[64];
  uint64_t mask[LANES];
  if (k == 0 && !add) for (uint64_t i = 0; i < m; i++) memset(c + i * ldc, 0, n * sizeof *c);
  for (uint64_t p = 0; p < k; p += 64) {
    uint64_t kd = k - p < 64 ? k - p : 64;
    for (uint64_t i = 0; i < m; i += LANES) {
      uint64_t mr = m - i < LANES ? m - i : LANES;
      NAME(columns)(a + p * lda + i, lda, kd, mr, mask);
      for (uint64_t r = 0; r < mr; r++) {
        uint64_t count = 0, from = NAME(starts)(i + r, shift);
        if (from > n) from = n;
        if (p == 0 && !add) memset(c + (i + r) * ldc, 0, from * sizeof *c);
        for (uint64_t left = mask[r]; left; left &= left - 1) list[count++] = (uint32_t)__builtin_ctzll(left);
        NAME(add_up)(count, list, n - from, b + p * ldb + from, ldb, add || p > 0, c + (i + r) * ldc + from);
      }
    }
  }
}

#undef VECTOR
#undef TILE_ARGUMENTS
#undef TILE
#undef TILES_OF
#undef TILES_ROW
#undef ADD_ARGUMENTS
#undef ADD_ROWS
