/* Products that all threads share: see note [shared products] in svi.h.
 *
 * In:  products, one call each.  Out: all of them done, when products_run is back.
 *
 * A product is cut by rows of its result into tasks of TASK operations or more, at most TASKS of them, because each reads all of B.  The
 * cut depends on the sizes alone, and no element is summed up in two tasks, so the threads make no difference.  Little work is not
 * worth waking anyone. */
#include <string.h>
#include "trainer.h"

enum { PRODUCTS = 128, ROWS = 16, TASKS = 8, ALONE = 400000 };
static const double TASK = 4e6;

typedef struct {
  int32_t  triangle, shift;
  bool     bits, ta, tb, add;
  uint64_t m, n, k, lda, ldb, ldc;
  const void *a, *b; void *c;
  uint64_t rows; unsigned first;          /* of a task; its first task */
} Product;

struct Products { Pool *pool; uint32_t real_bytes; unsigned n, tasks; double work; Product at[PRODUCTS]; };

Products *products_new(Pool *pool, uint32_t real_bytes) {
  Products *p = memory_new(1, sizeof *p, "products");
  p->pool = pool, p->real_bytes = real_bytes;
  return p;
}
void products_free(Products *p) { memory_free(p); }

#define REAL float
#define NAME(x) x##_f32
#include "products_body.h"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "products_body.h"

static void product_task(void *context, unsigned task, unsigned thread) {
  (void)thread;
  const Products *p = context;
  unsigned i = p->n - 1;
  while (p->at[i].first > task) i--;
  const Product *x = &p->at[i];
  uint64_t first = (task - x->first) * x->rows, rows = x->m - first < x->rows ? x->m - first : x->rows;
  if (p->real_bytes == 8) product_rows_f64(x, first, rows); else product_rows_f32(x, first, rows);
}

void products_run(Products *p) {
  if (p->work < ALONE) for (unsigned i = 0; i < p->tasks; i++) product_task(p, i, 0);
  else pool_run(p->pool, p->tasks, product_task, p);
  p->n = p->tasks = 0;
  p->work = 0;
}

static void product_add(Products *p, Product x) {
  if (x.m == 0) return;
  if (p->n == PRODUCTS) products_run(p);
  double row = 2 * (double)x.n * (double)x.k, tasks = row * (double)x.m / TASK;
  uint64_t n = tasks < 1 ? 1 : tasks < TASKS ? (uint64_t)tasks : TASKS;
  x.rows = ((x.m + n - 1) / n + ROWS - 1) / ROWS * ROWS;
  x.first = p->tasks;
  p->tasks += (unsigned)((x.m + x.rows - 1) / x.rows);
  p->work += row * (double)x.m;
  p->at[p->n++] = x;
}

#define SHARED(width, real)                                                                                                      \
  void svi_gemm_shared_##width(const SviCall *call, int32_t triangle, bool bits, int32_t shift, bool ta, bool tb, uint64_t m,    \
                               uint64_t n, uint64_t k, const real *a, uint64_t lda, const real *b, uint64_t ldb, bool add,       \
                               real *c, uint64_t ldc) {                                                                          \
    product_add(call->trainer->products, (Product){.triangle = triangle, .shift = shift, .bits = bits, .ta = ta, .tb = tb,       \
      .add = add, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc, .a = a, .b = b, .c = c});                          \
  }
SHARED(f32, float)
SHARED(f64, double)
