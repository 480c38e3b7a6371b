/* The loops of the optimisers.  Included by optim.c once for each width: REAL, FLAG, NAME, FABS, SQRT, MOST.
 *
 * All loops are elementwise with the order of operations written out; built without contraction of a * b + c, every clone
 * gives the same bits. */

/* g[n] += x[n] */
CLONES static void NAME(sum_add)(REAL *restrict g, const REAL *restrict x, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) g[i] += x[i];
}

/* Where the sum is: in g, or where it was when there is but one. */
static const REAL *NAME(sum_lanes)(const Optim *o, const Segment *s, uint64_t first, uint64_t n, REAL *g) {
  unsigned lanes = run_lanes(o->run);
  if (s->nsource == 1 && s->source[0].where == SVI_IN_GLOBAL) return (const REAL *)run_call(o->run)->global + s->source[0].offset + first;
  if (s->nsource == 1 && lanes == 1) return (const REAL *)run_lane(o->run, 0) + s->source[0].offset + first;
  bool fresh = true;
  for (int i = 0; i < s->nsource; i++) {
    bool global = s->source[i].where == SVI_IN_GLOBAL;
    for (unsigned l = 0; l < (global ? 1 : lanes); l++) {
      const REAL *x = (const REAL *)(global ? run_call(o->run)->global : run_lane(o->run, l)) + s->source[i].offset + first;
      if (fresh) memcpy(g, x, n * sizeof *g); else NAME(sum_add)(g, x, n);
      fresh = false;
    }
  }
  return g;
}

/* x <- x - lr direction(m, v, g) after m, v <- moments(m, v, g); undo: only x <- x + lr direction(m, v, g).  g is from, times scale, and 0
 * where it is not finite; returns whether that was so anywhere.  The product is taken in any case, and the flag is as wide as a real, so
 * that these loops are vectors. */
CLONES static bool NAME(update)(const Rule *r, uint64_t n, REAL *restrict x, REAL *restrict m, REAL *restrict v, const REAL *restrict from) {
  const REAL b1 = (REAL)r->beta1, b2 = (REAL)r->beta2, a1 = (REAL)(1 - r->beta1), a2 = (REAL)(1 - r->beta2), eps = (REAL)r->eps;
  const REAL mu = (REAL)r->momentum, lr = (REAL)(r->undo ? -r->lr : r->lr), lr1 = (REAL)((r->undo ? -r->lr : r->lr) * r->correct1);
  const REAL c2 = (REAL)r->correct2, shrink = (REAL)(1 - r->lr * r->decay), scale = (REAL)r->scale;
  const bool move = !r->undo;
  FLAG bad = 0;
  if (r->decay != 0 && move) for (uint64_t i = 0; i < n; i++) x[i] *= shrink;
#define EACH for (uint64_t i = 0; i < n; i++)
#define G    const REAL product = from[i] * scale; const bool fine = FABS(from[i]) <= MOST; const REAL g = fine ? product : (REAL)0; bad |= !fine
  switch (r->kind) {
  case SVI_ADAM:       /* Kingma and Ba 2015 */
    if (move) EACH {
      G;
      REAL mi = m[i] = b1 * m[i] + a1 * g, vi = v[i] = b2 * v[i] + a2 * (g * g);
      x[i] -= lr1 * mi / (SQRT(vi * c2) + eps);
    } else EACH x[i] -= lr1 * m[i] / (SQRT(v[i] * c2) + eps);
    break;
  case SVI_ADAMAX:     /* the same, section 7.1 */
    EACH {
      G;
      if (move) {
        m[i] = b1 * m[i] + a1 * g;
        REAL old = b2 * v[i], now = FABS(g);
        v[i] = old > now ? old : now;
      }
      x[i] -= lr1 * m[i] / (v[i] + eps);
    }
    break;
  case SVI_SGD:
    EACH {
      G;
      if (move) m[i] = mu * m[i] + g;
      x[i] -= lr * m[i];
    }
    break;
  case SVI_RMSPROP:    /* m is the momentum of the scaled gradient */
    EACH {
      G;
      if (move) {
        v[i] = b2 * v[i] + a2 * (g * g);
        m[i] = mu * m[i] + g / (SQRT(v[i]) + eps);
      }
      x[i] -= lr * m[i];
    }
    break;
  case SVI_ADAGRAD:
    EACH {
      G;
      if (move) v[i] += g * g;
      x[i] -= lr * g / (SQRT(v[i]) + eps);
    }
    break;
  case SVI_LBFGS: break;      /* not elementwise: lbfgs.c */
  }
#undef EACH
#undef G
  if (r->decay != 0 && !move) for (uint64_t i = 0; i < n; i++) x[i] /= shrink;
  return bad;
}

CLONES static void NAME(average)(REAL keep, uint64_t n, REAL *restrict average, const REAL *restrict x) {
  for (uint64_t i = 0; i < n; i++) average[i] += ((REAL)1 - keep) * (x[i] - average[i]);
}

static bool NAME(optim_stretch)(Optim *o, const Segment *s, uint64_t first, uint64_t end) {
  REAL g[SUM];
  REAL *x = (REAL *)o->params->value + s->param, *m = (REAL *)o->state->m.value + s->param, *v = (REAL *)o->state->v.value + s->param;
  bool bad = false;
  for (uint64_t i = first; i < end; i += SUM) {
    uint64_t n = end - i < SUM ? end - i : SUM;
    bad |= NAME(update)(&o->rule, n, x + i, m + i, v + i, NAME(sum_lanes)(o, s, i, n, g));
    if (o->state->averaging && !o->rule.undo) NAME(average)((REAL)o->rule.keep, n, (REAL *)o->state->average.value + s->param + i, x + i);
  }
  return bad;
}

static void NAME(optim_range)(Optim *o, const Task *t) {
  const Segment *s = t->segment;
  bool bad = false;
  if (!s->columns) bad = NAME(optim_stretch)(o, s, t->first, t->first + t->n);
  else for (uint64_t i = t->first; i < t->first + t->n; i += s->columns) {
    int64_t from = (int64_t)(i / s->columns) - s->shift + 1;
    if (from < (int64_t)s->columns) bad |= NAME(optim_stretch)(o, s, i + (uint64_t)(from < 0 ? 0 : from), i + s->columns);
  }
  if (bad) atomic_store(&o->bad, true);
}

static bool NAME(is_zero)(const REAL *g, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) if (g[i] != 0) return false;
  return true;
}

static void NAME(optim_rows)(Optim *o, RowParam q, uint64_t first, uint64_t rows) {
  uint64_t size = o->model->param[q.param].size, all;
  const REAL *grad = run_out(o->run, q.out, &all);
  bool bad = false;
  for (uint64_t r = first; r < first + rows; r++) {
    if (q.all_rows && NAME(is_zero)(grad + r * size, size)) continue;
    uint64_t at = row_index(o, q.param, r);
    uint32_t *count = &o->state->count[q.param][at];
    Rule rule = o->rule;
    if (!rule.undo && *count < UINT32_MAX) ++*count;
    rule_correct(&rule, *count);
    REAL *x = (REAL *)o->params->row[q.param] + at * size;
    bad |= NAME(update)(&rule, size, x, (REAL *)o->state->m.row[q.param] + at * size, (REAL *)o->state->v.row[q.param] + at * size, grad + r * size);
    if (o->state->averaging && !rule.undo) NAME(average)((REAL)rule.keep, size, (REAL *)o->state->average.row[q.param] + at * size, x);
  }
  if (bad) atomic_store(&o->bad, true);
}

static void NAME(optim_part)(Optim *o, unsigned index) {
  if (index < o->ntask) { NAME(optim_range)(o, &o->task[index]); return; }
  RowParam q;
  uint64_t first, n;
  if (optim_row_task(o, index, &q, &first, &n)) NAME(optim_rows)(o, q, first, n);
}

/* Sum of squares of a task's gradient. */
static double NAME(optim_square)(Optim *o, unsigned index) {
  double sum[8] = {0};
  if (index < o->ntask) {
    REAL g[SUM];
    const Task *t = &o->task[index];
    for (uint64_t i = t->first; i < t->first + t->n; i += SUM) {
      uint64_t n = t->first + t->n - i < SUM ? t->first + t->n - i : SUM;
      const REAL *x = NAME(sum_lanes)(o, t->segment, i, n, g);
      for (uint64_t k = 0; k < n; k++) sum[k % 8] += (double)x[k] * (double)x[k];
    }
  } else {
    RowParam q;
    uint64_t first, n, all;
    if (!optim_row_task(o, index, &q, &first, &n)) return 0;
    uint64_t size = o->model->param[q.param].size;
    const REAL *g = (const REAL *)run_out(o->run, q.out, &all) + first * size;
    for (uint64_t k = 0; k < n * size; k++) sum[k % 8] += (double)g[k] * (double)g[k];
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}
