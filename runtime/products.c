/* Products that all threads share: see note [shared products] in svi.h.
 *
 * In:  products, one call each.  Out: all of them done, when products_run is back.
 *
 * A product is cut into tasks of TASK operations or more, about TASKS of them at most, because each reads all of one operand: by rows of
 * its result, where it reads all of B, or by columns, where it reads all of A, whichever is the smaller.  Bits and triangles are made row by
 * row, and cut so.  The cut depends on the sizes alone, and no element is summed up in two tasks, so the threads make no difference.
 * Little work is not worth waking anyone. */
#include <string.h>
#include "trainer.h"

enum { PRODUCTS = 128, ROWS = 16, COLUMNS = 48, TASKS = 8, ALONE = 400000 };
static const double TASK = 4e6;

typedef struct {
  int32_t  triangle, shift;
  bool     bits, ta, tb, add;
  uint64_t m, n, k, lda, ldb, ldc;
  const void *a, *b; void *c;
  bool columns;                           /* that is what tasks are cut by */
  uint64_t each; unsigned first;          /* rows or columns of a task; its first task */
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
  uint64_t first = (task - x->first) * x->each, all = x->columns ? x->n : x->m, count = all - first < x->each ? all - first : x->each;
  if (p->real_bytes == 8) product_part_f64(x, first, count); else product_part_f32(x, first, count);
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
  double work = 2 * (double)x.m * (double)x.n * (double)x.k, tasks = work / TASK;
  uint64_t n = tasks < 1 ? 1 : tasks < TASKS ? (uint64_t)tasks : TASKS;
  x.columns = x.n > x.m && !x.triangle && !x.bits;
  uint64_t all = x.columns ? x.n : x.m, unit = x.columns ? COLUMNS : ROWS;
  x.each = ((all + n - 1) / n + (x.columns ? unit / 2 : unit - 1)) / unit * unit;
  if (x.each < unit) x.each = unit;
  x.first = p->tasks;
  p->tasks += (unsigned)((all + x.each - 1) / x.each);
  p->work += work;
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
