/* floor: the time of a step's matrix products alone, by one BLAS.
 *
 *   floor LIBRARY THREADS own|split  < products
 *
 * A line of products is  ta tb m n k count:  C[m][n] = op(A) op(B), row-major, ta and tb say what is transposed.  `own`: the library's
 * threads (set its environment variable).  `split`: the library is told to use one thread, and each of ours takes a part of the
 * rows of C.  A library with dnnl_sgemm is called by that, others by sgemm_.  Answers a number on a line of stdin after the
 * products' empty line (seconds to measure for) with the median over blocks of milliseconds a pass. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { int ta, tb, m, n, k, count; float *a, *b, *c; } Product;
typedef void Sgemm(const char *, const char *, const int *, const int *, const int *, const float *, const float *, const int *,
                   const float *, const int *, const float *, float *, const int *);
typedef int Dnnl(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t, float, float *, int64_t);

enum { PRODUCTS = 256 };
static Product product[PRODUCTS];
static int     products, threads = 1, split;
static Sgemm  *sgemm;
static Dnnl   *dnnl;

/* rows r .. r + m - 1 of C */
static void multiply(const Product *p, int r, int m) {
  int lda = p->ta ? p->m : p->k, ldb = p->tb ? p->k : p->n;
  const float *a = p->a + (size_t)r * (size_t)(p->ta ? 1 : p->k);
  float *c = p->c + (size_t)r * (size_t)p->n, one = 1, zero = 0;
  if (dnnl) dnnl(p->ta ? 'T' : 'N', p->tb ? 'T' : 'N', m, p->n, p->k, 1, a, lda, p->b, ldb, 0, c, p->n);
  else sgemm(p->tb ? "T" : "N", p->ta ? "T" : "N", &p->n, &m, &p->k, &one, p->b, &ldb, a, &lda, &zero, c, &p->n);
}

/* ---- split: all threads do every product, and wait for each other after each by spinning */
static atomic_int waiting, turn;
static void barrier(void) {
  int now = atomic_load(&turn);
  if (atomic_fetch_add(&waiting, 1) == threads - 1) { atomic_store(&waiting, 0); atomic_store(&turn, now + 1); return; }
  while (atomic_load(&turn) == now) __builtin_ia32_pause();
}
static void pass(int me) {
  for (int i = 0; i < products; i++)
    for (int j = 0; j < product[i].count; j++) {
      const Product *p = &product[i];
      if (!split) { multiply(p, 0, p->m); continue; }
      int from = p->m * me / threads, to = p->m * (me + 1) / threads;
      if (to > from) multiply(p, from, to - from);
      barrier();
    }
}
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  called = PTHREAD_COND_INITIALIZER;
static int calls, passes;                                /* work number `calls` is so many passes */
static void *helper(void *me) {
  for (int done = 0;; done++) {
    pthread_mutex_lock(&lock);
    while (calls == done) pthread_cond_wait(&called, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0, n = passes; i < n; i++) pass((int)(intptr_t)me);
    barrier();
  }
  return NULL;
}
static void work(int n) {
  if (split) { pthread_mutex_lock(&lock); calls++; passes = n; pthread_cond_broadcast(&called); pthread_mutex_unlock(&lock); }
  for (int i = 0; i < n; i++) pass(0);
  if (split) barrier();
}

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec; }
static double timed(int n) { double t = now(); work(n); return now() - t; }
static int by_size(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }
static float *some(size_t n) {
  float *v = aligned_alloc(64, (n * sizeof *v + 63) / 64 * 64);
  for (size_t i = 0; i < n; i++) v[i] = (float)((i * 2654435761u >> 7) % 1024) / 1024 - 0.5f;
  return v;
}

int main(int argc, char **argv) {
  if (argc != 4) { fprintf(stderr, "usage: floor LIBRARY THREADS own|split < products\n"); return 2; }
  void *lib = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!lib) { fprintf(stderr, "%s\n", dlerror()); return 1; }
  dnnl  = (Dnnl *)dlsym(lib, "dnnl_sgemm");
  sgemm = (Sgemm *)dlsym(lib, "sgemm_");
  if (!dnnl && !sgemm) { fprintf(stderr, "%s has neither dnnl_sgemm nor sgemm_\n", argv[1]); return 1; }
  threads = atoi(argv[2]);
  split   = !strcmp(argv[3], "split") && threads > 1;
  char line[256];
  while (fgets(line, sizeof line, stdin) && *line != '\n') {
    if (products == PRODUCTS) { fprintf(stderr, "more than %d products\n", PRODUCTS); return 1; }
    Product *p = &product[products];
    if (sscanf(line, "%d %d %d %d %d %d", &p->ta, &p->tb, &p->m, &p->n, &p->k, &p->count) != 6) { fprintf(stderr, "no product: %s", line); return 1; }
    p->a = some((size_t)p->m * (size_t)p->k);
    p->b = some((size_t)p->k * (size_t)p->n);
    p->c = some((size_t)p->m * (size_t)p->n);
    products++;
  }
  for (int i = 1; split && i < threads; i++) { pthread_t t; pthread_create(&t, NULL, helper, (void *)(intptr_t)i); }
  work(3);
  while (fgets(line, sizeof line, stdin)) {
    enum { BLOCKS = 9 };
    double seconds = atof(line), ms[BLOCKS];
    work(2);
    int n = (int)(seconds / BLOCKS / (timed(2) / 2 + 1e-9)) + 1;
    for (int i = 0; i < BLOCKS; i++) ms[i] = timed(n) / n * 1e3;
    qsort(ms, BLOCKS, sizeof *ms, by_size);
    printf("%.5f %.5f %.5f\n", ms[BLOCKS / 2], ms[0], ms[BLOCKS - 1]);
    fflush(stdout);
  }
  return 0;
}
