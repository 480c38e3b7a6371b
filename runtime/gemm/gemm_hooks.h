/* What gemm_body.h wants of an instruction set: see there.  In: REAL, NAME, LANES; WIDE for doubles. */
typedef REAL NAME(V) __attribute__((vector_size(LANES * sizeof(REAL))));
typedef REAL NAME(U) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));      /* anywhere in memory */

#if defined __AVX512F__ && defined __AVX512VL__ && defined __AVX512DQ__ && defined __AVX512BW__
#ifdef WIDE
INLINE NAME(V) NAME(part_load)(const REAL *p, uint64_t n) { return (NAME(V))_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
INLINE void NAME(part_store)(REAL *p, uint64_t n, NAME(V) v) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v); }
#else
INLINE NAME(V) NAME(part_load)(const REAL *p, uint64_t n) { return (NAME(V))_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
INLINE void NAME(part_store)(REAL *p, uint64_t n, NAME(V) v) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
#define OWN_HOOKS

static uint64_t NAME(ones)(const REAL *a, uint64_t from, uint64_t end, uint32_t *list) {
  const __m512i sixteen = _mm512_set1_epi32(16);
  __m512i at = _mm512_add_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32((int)from));
  uint64_t count = 0;
  for (uint64_t p = from; p < end; p += 16, at = _mm512_add_epi32(at, sixteen)) {
    __mmask16 in = end - p < 16 ? (__mmask16)((1u << (end - p)) - 1) : (__mmask16)0xffff;
    __mmask16 one = _mm512_mask_cmp_ps_mask(in, _mm512_maskz_loadu_ps(in, a + p), _mm512_setzero_ps(), _CMP_NEQ_UQ);
    _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi32(one, at));
    count += (unsigned)__builtin_popcount(one);
  }
  return count;
}

static void NAME(columns)(const REAL *a, uint64_t lda, uint64_t k, uint64_t columns, uint64_t *mask) {
  __mmask16 in = (__mmask16)((1u << columns) - 1);
  __m512i lo = _mm512_setzero_si512(), hi = lo, bit = _mm512_set1_epi64(1);
  for (uint64_t p = 0; p < k; p++, a += lda, bit = _mm512_add_epi64(bit, bit)) {
    __mmask16 one = _mm512_mask_cmp_ps_mask(in, _mm512_maskz_loadu_ps(in, a), _mm512_setzero_ps(), _CMP_NEQ_UQ);
    lo = _mm512_mask_or_epi64(lo, (__mmask8)one, lo, bit);
    hi = _mm512_mask_or_epi64(hi, (__mmask8)(one >> 8), hi, bit);
  }
  _mm512_storeu_si512(mask, lo);
  _mm512_storeu_si512(mask + 8, hi);
}

/* Sixteen by sixteen in registers: pairs, fours, eights, sixteens change places. */
static void NAME(transpose)(const REAL *b, uint64_t ldb, REAL *out, uint64_t ldo, uint64_t rows, uint64_t columns) {
  for (uint64_t c = 0; c < columns; c += 16) {
    uint64_t nc = columns - c < 16 ? columns - c : 16;
    __mmask16 in = (__mmask16)((1u << nc) - 1);
    for (uint64_t r = 0; r < rows; r += 16) {
      uint64_t nr = rows - r < 16 ? rows - r : 16;
      __m512 x[16], y[16];
      for (uint64_t i = 0; i < 16; i++) x[i] = i < nr ? _mm512_maskz_loadu_ps(in, b + (r + i) * ldb + c) : _mm512_setzero_ps();
      for (int i = 0; i < 16; i += 2) y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]), y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
      for (int i = 0; i < 16; i += 4) {
        x[i]     = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(y[i]),     _mm512_castps_pd(y[i + 2])));
        x[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(y[i]),     _mm512_castps_pd(y[i + 2])));
        x[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(y[i + 1]), _mm512_castps_pd(y[i + 3])));
        x[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(y[i + 1]), _mm512_castps_pd(y[i + 3])));
      }
      for (int i = 0; i < 4; i++) {
        y[i]      = _mm512_shuffle_f32x4(x[i],     x[i + 4],  0x88);
        y[i + 4]  = _mm512_shuffle_f32x4(x[i],     x[i + 4],  0xdd);
        y[i + 8]  = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0x88);
        y[i + 12] = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0xdd);
      }
      for (int i = 0; i < 4; i++) {
        x[i]      = _mm512_shuffle_f32x4(y[i],     y[i + 8],  0x88);
        x[i + 8]  = _mm512_shuffle_f32x4(y[i],     y[i + 8],  0xdd);
        x[i + 4]  = _mm512_shuffle_f32x4(y[i + 4], y[i + 12], 0x88);
        x[i + 12] = _mm512_shuffle_f32x4(y[i + 4], y[i + 12], 0xdd);
      }
      for (uint64_t i = 0; i < nc; i++) _mm512_mask_storeu_ps(out + (c + i) * ldo + r, (__mmask16)((1u << nr) - 1), x[i]);
    }
  }
}
#endif
#elif defined __AVX2__
/* n ones, then zeros: read from the right place of eight of each */
static const int64_t NAME(mask_words)[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
#define PART_MASK(n) _mm256_loadu_si256((const __m256i_u *)((const char *)NAME(mask_words) + 32 - n * sizeof(REAL)))
#ifdef WIDE
INLINE NAME(V) NAME(part_load)(const REAL *p, uint64_t n) { return (NAME(V))_mm256_maskload_pd(p, PART_MASK(n)); }
INLINE void NAME(part_store)(REAL *p, uint64_t n, NAME(V) v) { _mm256_maskstore_pd(p, PART_MASK(n), (__m256d)v); }
#else
INLINE NAME(V) NAME(part_load)(const REAL *p, uint64_t n) { return (NAME(V))_mm256_maskload_ps(p, PART_MASK(n)); }
INLINE void NAME(part_store)(REAL *p, uint64_t n, NAME(V) v) { _mm256_maskstore_ps(p, PART_MASK(n), (__m256)v); }
#endif
#undef PART_MASK
#else
INLINE NAME(V) NAME(part_load)(const REAL *p, uint64_t n) {
  if (n == LANES) return *(const NAME(U) *)p;
  NAME(V) v = {0};
  for (uint64_t i = 0; i < n; i++) v[i] = p[i];
  return v;
}
INLINE void NAME(part_store)(REAL *p, uint64_t n, NAME(V) v) {
  if (n == LANES) *(NAME(U) *)p = v;
  else for (uint64_t i = 0; i < n; i++) p[i] = v[i];
}
#endif

#ifndef OWN_HOOKS
static uint64_t NAME(ones)(const REAL *a, uint64_t from, uint64_t end, uint32_t *list) {
  uint64_t count = 0;
  for (uint64_t p = from; p < end; p++) {
    list[count] = (uint32_t)p;
    count += a[p] != 0;
  }
  return count;
}

static void NAME(columns)(const REAL *a, uint64_t lda, uint64_t k, uint64_t columns, uint64_t *mask) {
  for (uint64_t i = 0; i < columns; i++) mask[i] = 0;
  for (uint64_t p = 0; p < k; p++)
    for (uint64_t i = 0; i < columns; i++) mask[i] |= (uint64_t)(a[p * lda + i] != 0) << p;
}

static void NAME(transpose)(const REAL *b, uint64_t ldb, REAL *out, uint64_t ldo, uint64_t rows, uint64_t columns) {
  enum { SIDE = 8 };
  for (uint64_t r0 = 0; r0 < rows; r0 += SIDE)
    for (uint64_t c = 0; c < columns; c++)
      for (uint64_t r = r0; r < rows && r < r0 + SIDE; r++) out[c * ldo + r] = b[r * ldb + c];
}
#endif
#undef OWN_HOOKS
