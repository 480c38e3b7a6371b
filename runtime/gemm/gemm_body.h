/* Kernels of matrix products.  Included once for each width by a file that is compiled for one instruction set.
 *
 * In:  REAL, NAME(x), LANES reals a vector, and of that instruction set
 *        ROWS, VECTORS   a tile of C held in registers: so many rows, so many vectors a row
 *        NAME(part_load)(p, n), NAME(part_store)(p, n, v)     0 < n <= LANES reals
 *        NAME(ones)(a, from, end, list)           places of what is not 0 in a[from, end); how many
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

/* Part `part` of `parts` of what is asked for ahead of its use, into the second cache: the next panel of B, which the last cache or the
 * other thread's has.  Worth it where a panel meets few rows of A. */
INLINE void NAME(fetch_ahead)(uint64_t part, uint64_t parts, uint64_t rows, uint64_t columns, const REAL *b, uint64_t ldb) {
  enum { LINE = 64 / sizeof(REAL), SECOND_CACHE = 2 };
  for (uint64_t r = rows * part / parts; r < rows * (part + 1) / parts; r++)
    for (uint64_t j = 0; j < columns; j += LINE) __builtin_prefetch(b + r * ldb + j, 0, SECOND_CACHE);
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
        /* what comes next: the panel to the right, or the first one of the rows below; deep 0: nothing */
        bool     along = s + 1 < panels;
        uint64_t next_p = along ? p : p + kd, next_j = along ? j + nv * LANES : 0;
        uint64_t deep = k - next_p < kd ? k - next_p : kd, across = n - next_j < VECTORS * LANES ? n - next_j : VECTORS * LANES;
        const REAL *ahead = b + next_p * (tb ? 1 : ldb) + next_j * (tb ? ldb : 1);
        for (uint64_t r = 0, i = begin, mr; r < many; r++, i += mr) {
          mr = base + (r < more);
          if (deep && many <= GROUP) NAME(fetch_ahead)(r, many, tb ? across : deep, tb ? deep : across, ahead, ldb);
          if (pack_a) NAME(tiles)[mr - 1][nv - 1](whole, kd, packed_a + (i - begin) * kd, 1, mr, panel, ldp, add || d > 0, c + i * ldc + j, ldc, last);
          else        NAME(tiles)[mr - 1][nv - 1](whole, kd, a + i * si + p * sp, si, sp, panel, ldp, add || d > 0, c + i * ldc + j, ldc, last);
        }
      }
      begin += many * base + (more < many ? more : many);
    }
  }
}

/* ---- rows of B added up
 *
 * Of so many rows of C the places of A's ones are listed first.  Then C is made panel by panel and the rows of B block by block, all listed
 * rows of C with each, so that what they add up lies in the first cache: DEEP rows of BIT_VECTORS vectors. */
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
static NAME(AddRows) *const NAME(adders)[BIT_VECTORS] = {
  NAME(add_rows_1), NAME(add_rows_2), NAME(add_rows_3), NAME(add_rows_4), NAME(add_rows_5), NAME(add_rows_6), NAME(add_rows_7),
};

/* c[n] (+)= the rows of B at these places, n <= BIT_VECTORS * LANES */
static void NAME(add_up)(uint64_t count, const uint32_t *at, uint64_t n, const REAL *b, uint64_t ldb, bool add, REAL *c) {
  uint64_t vectors = (n + LANES - 1) / LANES;
  if (count || !add) NAME(adders)[vectors - 1](count, at, b, ldb, add, c, n - (vectors - 1) * LANES);
}

/* c[n] += x[n] */
static void NAME(add_row)(uint64_t n, const REAL *x, REAL *c) {
  uint64_t j = 0;
  for (; j + LANES <= n; j += LANES) NAME(store)(c + j, NAME(load)(c + j) + NAME(load)(x + j));
  if (j < n) NAME(part_store)(c + j, n - j, NAME(part_load)(c + j, n - j) + NAME(part_load)(x + j, n - j));
}

/* The first column that row r of a triangle has. */
INLINE uint64_t NAME(starts)(uint64_t r, int64_t shift) { return (int64_t)r >= shift ? (uint64_t)((int64_t)r - shift + 1) : 0; }

/* The ones of some rows of C: where each of them lie, and where in its list the blocks of B's rows begin. */
typedef struct { uint32_t at[LISTED][BITS + LANES], begin[LISTED][BITS / DEEP + 2]; } NAME(Lists);

static _Thread_local NAME(Lists) NAME(lists);

/* Lists what stands in `rows` rows of A[.][k], or columns of A[k][.]; how many blocks k is cut into, evenly. */
static uint64_t NAME(list)(bool ta, uint64_t rows, uint64_t k, const REAL *a, uint64_t lda) {
  NAME(Lists) *x = &NAME(lists);
  uint64_t blocks = (k + DEEP - 1) / DEEP, mask[LANES];
  for (uint64_t r = 0; r < rows; r++) x->begin[r][0] = 0;
  for (uint64_t d = 0; d < blocks; d++) {
    uint64_t from = k * d / blocks, end = k * (d + 1) / blocks;
    for (uint64_t r = 0; r < rows; r++) x->begin[r][d + 1] = x->begin[r][d];
    for (uint64_t r = 0; r < rows && !ta; r++) x->begin[r][d + 1] += NAME(ones)(a + r * lda, from, end, x->at[r] + x->begin[r][d]);
    for (uint64_t p = from; p < end && ta; p += 64)
      for (uint64_t r = 0; r < rows; r += LANES) {
        uint64_t some = rows - r < LANES ? rows - r : LANES;
        NAME(columns)(a + p * lda + r, lda, end - p < 64 ? end - p : 64, some, mask);
        for (uint64_t q = 0; q < some; q++) {
          uint32_t *at = x->at[r + q] + x->begin[r + q][d + 1];
          for (uint64_t left = mask[q]; left; left &= left - 1) *at++ = (uint32_t)(p + (uint64_t)__builtin_ctzll(left));
          x->begin[r + q][d + 1] = (uint32_t)(at - x->at[r + q]);
        }
      }
  }
  return blocks;
}

/* Columns [j, end) of a row of C: of B's row at a place, what is right of column place - shift. */
static void NAME(add_triangle)(int64_t shift, uint64_t count, const uint32_t *at, uint64_t j, uint64_t end, const REAL *b, uint64_t ldb, bool add, REAL *c) {
  uint64_t whole = 0, from;
  while (whole < count && NAME(starts)(at[whole], shift) <= j) whole++;
  NAME(add_up)(whole, at, end - j, b + j, ldb, add, c + j);
  for (uint64_t q = whole; q < count && (from = NAME(starts)(at[q], shift)) < end; q++) NAME(add_row)(end - from, b + at[q] * ldb + from, c + from);
}

/* C's rows (+)= those of B that are listed.  Triangles: of B's row p what is right of column p - of_b; of C's row r, right of r - of_c. */
static void NAME(add_lists)(const NAME(Lists) *x, uint64_t blocks, int64_t of_b, int64_t of_c, uint64_t rows, uint64_t n, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  uint64_t vectors = (n + LANES - 1) / LANES, panels = (vectors + BIT_VECTORS - 1) / BIT_VECTORS;
  for (uint64_t s = 0, j = 0, end; s < panels; s++, j = end) {
    end = s + 1 < panels ? vectors * (s + 1) / panels * LANES : n;
    for (uint64_t d = 0; d < blocks; d++)
      for (uint64_t r = 0; r < rows; r++) {
        const uint32_t *at = x->at[r] + x->begin[r][d];
        uint64_t count = x->begin[r][d + 1] - x->begin[r][d], from = NAME(starts)(r, of_c);
        REAL *to = c + r * ldc;
        if (from < j) from = j;
        if (from > end) from = end;
        if (!add && d == 0 && from > j) memset(to + j, 0, (from - j) * sizeof *to);
        if (from == end) continue;
        if (of_b == GEMM_ALL) NAME(add_up)(count, at, end - from, b + from, ldb, add || d > 0, to + from);
        else NAME(add_triangle)(of_b, count, at, j, end, b, ldb, add || d > 0, to);
      }
  }
}

/* The shift of a triangle whose first row is row r of another. */
INLINE int64_t NAME(shifted)(int64_t shift, uint64_t r) { return shift == GEMM_ALL ? shift : shift - (int64_t)r; }

static void NAME(add_bits)(bool ta, int64_t of_b, int64_t of_c, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  for (uint64_t i = 0; i < m && k == 0 && !add; i++) memset(c + i * ldc, 0, n * sizeof *c);
  for (uint64_t i = 0; i < m; i += LISTED)
    for (uint64_t p = 0; p < k; p += BITS) {
      uint64_t rows = m - i < LISTED ? m - i : LISTED;
      uint64_t blocks = NAME(list)(ta, rows, k - p < BITS ? k - p : BITS, ta ? a + p * lda + i : a + i * lda + p, lda);
      NAME(add_lists)(&NAME(lists), blocks, NAME(shifted)(of_b, p), NAME(shifted)(of_c, i), rows, n, b + p * ldb, ldb, add || p > 0, c + i * ldc, ldc);
    }
}
static void NAME(bits)(int64_t shift, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  NAME(add_bits)(false, shift, GEMM_ALL, m, n, k, a, lda, b, ldb, add, c, ldc);
}
static void NAME(bits_transposed)(int64_t shift, uint64_t m, uint64_t n, uint64_t k, const REAL *a, uint64_t lda, const REAL *b, uint64_t ldb, bool add, REAL *c, uint64_t ldc) {
  NAME(add_bits)(true, GEMM_ALL, shift, m, n, k, a, lda, b, ldb, add, c, ldc);
}

#undef VECTOR
#undef TILE_ARGUMENTS
#undef TILE
#undef TILES_OF
#undef TILES_ROW
#undef ADD_ARGUMENTS
#undef ADD_ROWS
