/* Parameter values: memory, first values, a fingerprint.
 *
 * First values are a pure function of (seed, name, element), so a model that gains a parameter keeps the others'.  They are
 * given in the unconstrained space that is trained. */
#include <math.h>
#include <string.h>
#include "trainer.h"

void params_new(Params *p, const SviModel *m, const uint64_t *total) {
  *p = (Params){ .model = m };
  p->value = memory_new(m->param_size, m->real_bytes, "the parameters");
  p->row   = memory_new((size_t)m->nparam, sizeof *p->row,  "the parameters");
  p->rows  = memory_new((size_t)m->nparam, sizeof *p->rows, "the parameters");
  for (int i = 0; i < m->nparam; i++) {
    int axis = m->param[i].axis;
    if (axis < 0) continue;
    p->rows[i] = total[axis_root(m, axis)] * axis_inner(m, total, axis);
    p->row[i]  = memory_new(p->rows[i] * m->param[i].size, m->real_bytes, m->param[i].name);
  }
}

void params_free(Params *p) {
  if (!p->model) return;
  for (int i = 0; i < p->model->nparam; i++) memory_free(p->row[i]);
  memory_free(p->value);
  memory_free(p->row);
  memory_free(p->rows);
  *p = (Params){0};
}

void *params_at(const Params *p, int param, uint64_t *count) {
  const SviParam *q = &p->model->param[param];
  *count = q->axis < 0 ? q->size : q->size * p->rows[param];
  return q->axis < 0 ? (char *)p->value + q->offset * p->model->real_bytes : p->row[param];
}

void params_copy(Params *to, const Params *from) {
  const SviModel *m = from->model;
  memcpy(to->value, from->value, m->param_size * m->real_bytes);
  for (int i = 0; i < m->nparam; i++)
    if (from->row[i]) memcpy(to->row[i], from->row[i], from->rows[i] * m->param[i].size * m->real_bytes);
}

uint64_t params_hash(const Params *p) {
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (int i = 0; i < p->model->nparam; i++) {
    uint64_t count;
    const void *at = params_at(p, i, &count);
    h = hash_bytes(h, at, count * p->model->real_bytes);
  }
  return h;
}

/* ---- first values */
typedef struct { const SviParam *param; uint32_t width; char *out; uint64_t count, key; } Fill;
enum { FILL = 4096 };          /* elements of a task; even, so that normal pairs stay together */

static double unit_open(uint64_t random) { return ((double)(random >> 11) + 0.5) * 0x1p-53; }

static void fill_part(void *context, unsigned part, unsigned thread) {
  (void)thread;
  const Fill *f = context;
  const SviParam *p = f->param;
  uint64_t end = (uint64_t)(part + 1) * FILL < f->count ? (uint64_t)(part + 1) * FILL : f->count;
  for (uint64_t i = (uint64_t)part * FILL; i < end; i++) switch (p->init.kind) {
  case SVI_INIT_VALUES:
    real_set(f->width, f->out, i, p->init.nvalue == 0 ? 0 : p->init.value[p->init.nvalue == 1 ? 0 : i % p->size]);
    break;
  case SVI_INIT_UNIFORM:
    real_set(f->width, f->out, i, p->init.a + (p->init.b - p->init.a) * unit_open(hash_mix(f->key + i)));
    break;
  case SVI_INIT_NORMAL: {      /* Box and Muller, two at a time; parts are even */
    double r = sqrt(-2 * log(unit_open(hash_mix(f->key + i)))), t = 6.283185307179586 * unit_open(hash_mix(f->key + i + 1));
    real_set(f->width, f->out, i, p->init.a + p->init.b * r * cos(t));
    if (++i < end) real_set(f->width, f->out, i, p->init.a + p->init.b * r * sin(t));
    break;
  }
  case SVI_INIT_LOGIT_MEAN: break;
  }
}

/* Means of a column's elements over its rows.  Parts are a function of the rows alone and are added in order. */
enum { MEAN_PARTS = 16 };
typedef struct { const SviArray *array; uint64_t rows, size; double *sum; } Mean;

static void mean_part(void *context, unsigned part, unsigned thread) {
  (void)thread;
  const Mean *f = context;
  uint64_t first = f->rows * part / MEAN_PARTS, end = f->rows * (part + 1) / MEAN_PARTS;
  svi_array_sum_rows(f->array, first, end - first, f->size, f->sum + part * f->size);
}

static bool fill_logit_mean(const Fill *f, const Data *d, Pool *pool, SviError *e) {
  const SviParam *p = f->param;
  const SviArray *a = p->init.column >= 0 && p->init.column < d->model->ncolumn ? d->column[p->init.column] : NULL;
  if (!a) return error_set(e, "parameter `%s` starts at the mean of a column, but there is no data", p->name);
  uint64_t size = d->model->column[p->init.column].size, all = svi_array_count(a), rows = size ? all / size : 0;
  int plate = d->model->column[p->init.column].axis;
  if (plate >= 0 && d->total[axis_root(d->model, plate)] > 0) {                                                       /* --rows */
    uint64_t used = d->total[axis_root(d->model, plate)] * axis_inner(d->model, d->total, plate);
    if (used < rows) rows = used;
  }
  if (rows == 0 || (p->size != size && p->size != 1)) return error_set(e, "parameter `%s` has %llu elements, the column whose mean it starts at %llu", p->name, (unsigned long long)p->size, (unsigned long long)size);
  Mean f2 = { a, rows, size, memory_new(MEAN_PARTS * size, sizeof(double), "means of a column") };
  pool_run(pool, MEAN_PARTS, mean_part, &f2);
  double low = p->init.a, high = p->init.b > low ? p->init.b : low + 1, together = 0;      /* the column's interval */
  for (uint64_t i = 0; i < size; i++) {
    for (unsigned part = 1; part < MEAN_PARTS; part++) f2.sum[i] += f2.sum[part * size + i];
    f2.sum[i] = (f2.sum[i] / (double)rows - low) / (high - low);
    together += f2.sum[i] / (double)size;
  }
  for (uint64_t i = 0; i < f->count; i++) {
    double mean = p->size == size ? f2.sum[i % size] : together;
    mean = mean < 0.001 ? 0.001 : mean > 0.999 ? 0.999 : mean;      /* Burda et al. 2016 */
    real_set(f->width, f->out, i, log(mean / (1 - mean)));
  }
  memory_free(f2.sum);
  return true;
}

bool params_init(Params *p, const Data *d, Pool *pool, uint64_t seed, SviError *e) {
  const SviModel *m = p->model;
  for (int i = 0; i < m->nparam; i++) {
    Fill f = { .param = &m->param[i], .width = m->real_bytes };
    f.out = params_at(p, i, &f.count);
    f.key = hash_mix(hash_bytes(hash_mix(seed), m->param[i].name, strlen(m->param[i].name)));
    if (m->param[i].init.kind == SVI_INIT_LOGIT_MEAN) {
      if (!fill_logit_mean(&f, d, pool, e)) return false;
    } else pool_run(pool, (unsigned)((f.count + FILL - 1) / FILL), fill_part, &f);
  }
  return true;
}
