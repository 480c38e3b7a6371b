/* Products that all threads share: see note [shared products] in svi.h.
 *
 * In:  products, one call each.  Out: all of them done, when products_run is back.
 *
 * A product is cut into tasks of TASK operations or more, TASKS of them at most, because each reads all of one operand: by rows of
 * its result, where it reads all of B, or by columns, where it reads all of A, whichever is the smaller; evenly, in units of UNIT, for a
 * task of the few columns left over would multiply at a quarter of the rate.  Bits and triangles are made row by row, and cut so.
 * The cut depends on the sizes alone, and no element is summed up in two tasks, so the threads make no difference.  Little work is not
 * worth waking anyone. */
#include <string.h>
#include "trainer.h"

enum { PRODUCTS = 128, UNIT = 16, TASKS = 8, ALONE = 400000 };
static const double TASK = 4e6;

typedef struct {
  int32_t  triangle, shift;
  bool     bits, ta, tb, add;
  uint64_t m, n, k, lda, ldb, ldc;
  const void *a, *b; void *c;
  bool columns;                           /* that is what tasks are cut by */
  uint64_t tasks; unsigned first;         /* how many, and the first */
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

/* The first row or column of a task; they differ by one unit at most. */
static uint64_t begins(const Product *x, uint64_t task) {
  uint64_t all = x->columns ? x->n : x->m, units = (all + UNIT - 1) / UNIT, at = units * task / x->tasks * UNIT;
  return at < all ? at : all;
}

static void product_task(void *context, unsigned task, unsigned thread) {
  (void)thread;
  const Products *p = context;
  unsigned i = p->n - 1;
  while (p->at[i].first > task) i--;
  const Product *x = &p->at[i];
  uint64_t first = begins(x, task - x->first), count = begins(x, task + 1 - x->first) - first;
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
  uint64_t all = x.columns ? x.n : x.m, units = (all + UNIT - 1) / UNIT;
  x.tasks = n < units ? n : units;
  x.first = p->tasks;
  p->tasks += (unsigned)x.tasks;
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
