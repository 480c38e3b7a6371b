/* Lanes to global, element by element in lane order.  Included by run.c once for each width. */
static void NAME(combine)(SviCombine how, const char *lane, size_t lane_bytes, unsigned lanes, uint64_t at, uint64_t n, REAL *out) {
  memcpy(out, (const REAL *)(const void *)lane + at, n * sizeof *out);
  if (how == SVI_COMBINE_LOGSUMEXP) {      /* m + log sum exp(x - m), all lanes at once */
    for (uint64_t i = 0; i < n; i++) {
      double most = -INFINITY, sum = 0;
      for (unsigned l = 0; l < lanes; l++) {
        double x = ((const REAL *)(const void *)(lane + l * lane_bytes))[at + i];
        if (x > most || isnan(x)) most = x;
      }
      if (isinf(most) || isnan(most)) { out[i] = (REAL)most; continue; }
      for (unsigned l = 0; l < lanes; l++) sum += exp((double)((const REAL *)(const void *)(lane + l * lane_bytes))[at + i] - most);
      out[i] = (REAL)(most + log(sum));
    }
    return;
  }
  for (unsigned l = 1; l < lanes; l++) {
    const REAL *x = (const REAL *)(const void *)(lane + l * lane_bytes) + at;
    if (how == SVI_COMBINE_SUM) for (uint64_t i = 0; i < n; i++) out[i] += x[i];
    else for (uint64_t i = 0; i < n; i++) out[i] = out[i] > x[i] || isnan(out[i]) ? out[i] : x[i];
  }
}
