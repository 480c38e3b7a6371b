/* gemm: which dots are matrix products.
 *
 * In:  a dot; its operands through their views.
 * Out: sizes and strides of a (batched) product C = op(A) op(B), or that it is none.
 *
 * Every axis and every (pair of) dims of a dot is a LETTER, with its size and its stride in A, B and C
 * (none: 0).  Letters in A and C make up the rows m, in B and C the columns n, in A and B the sum k, in all
 * three the batch.  Letters that lie one inside the other in both operands they occur in become one: rows
 * and particles, for example.  What is left over of m and n may be looped over as batch; then BLAS wants a
 * stride of 1 in each operand. */
#include "lower.h"

/* ---- extents */
static const Extent one = {1, 0}, none = {0, 0};
static bool equal(Extent a, Extent b) { return a.constant == b.constant && a.axes == b.axes; }
static bool is_one(Extent a) { return equal(a, one); }
static bool absent(Extent a) { return a.constant == 0; }
static Extent times(Extent a, Extent b) {
  if (absent(a) || absent(b)) return none;
  return (Extent){a.constant * b.constant, a.axes | b.axes};
}
static double guess(const Lower *l, Extent a) {
  double n = (double)a.constant;
  for (uint32_t i = 0; i < l->g->axis.n; i++) if (a.axes >> i & 1) n *= axis_guess(l, i);
  return n;
}
static Extent axis_extent(const Lower *l, uint32_t axis) {
  const Axis *a = &l->g->axis.at[axis];
  return a->kind == AXIS_INDEX ? (Extent){a->size, 0} : (Extent){1, AXIS_BIT(axis)};
}

/* ---- strides */
static void plain(const Lower *l, Val v, Strides *s) {
  const Shape *shape = lshape(l, v);
  Extent run = one;
  memset(s, 0, sizeof *s);
  s->base = v;
  for (uint32_t i = shape->rank; i-- > 0;) {
    s->dim[i] = run;
    run.constant *= shape->dim[i];
  }
  for (uint32_t a = l->g->axis.n; a-- > 0;) {
    if (!(shape->axes >> a & 1)) continue;
    s->axis[a] = run;
    run = times(run, axis_extent(l, a));
  }
}

/* Whether the dims lie as those of a value of that shape do. */
static bool dims_plain(const Shape *shape, const Strides *s) {
  uint64_t run = 1;
  for (uint32_t i = shape->rank; i-- > 0;) {
    if (shape->dim[i] != 1 && !equal(s->dim[i], (Extent){run, 0})) return false;
    run *= shape->dim[i];
  }
  return true;
}

void strides_of(const Lower *l, Val v, Strides *out) {
  const Node *n = lnode(l, v);
  if (!is_view(l, v)) {
    plain(l, v, out);
    return;
  }
  Strides in;
  strides_of(l, n->arg[0], &in);
  const Shape *from = lshape(l, n->arg[0]);
  *out = in;
  switch (n->op) {
    case OP_stop: case OP_assume: return;
    case OP_expand:
      for (uint32_t i = 0, j = 0; i < n->shape->rank; i++)
        out->dim[i] = n->attr.expand.added >> i & 1 ? none : in.dim[j++];
      return;
    case OP_permute:
      for (uint32_t i = 0; i < n->shape->rank; i++) out->dim[i] = in.dim[n->attr.permute.order[i]];
      return;
    case OP_to_axis:
      out->axis[n->attr.convert.axis] = in.dim[n->attr.convert.dim];
      for (uint32_t i = 0, j = 0; j < from->rank; j++)
        if (j != n->attr.convert.dim) out->dim[i++] = in.dim[j];
      return;
    case OP_to_dim:
      out->axis[n->attr.convert.axis] = none;
      for (uint32_t i = 0, j = 0; i < n->shape->rank; i++)
        out->dim[i] = i == n->attr.convert.dim ? in.axis[n->attr.convert.axis] : in.dim[j++];
      return;
    case OP_slice:
      if (n->attr.slice.start == 0) return;
      break;
    case OP_reshape:
      if (dims_plain(from, &in)) {
        uint64_t run = 1;
        for (uint32_t i = n->shape->rank; i-- > 0;) {
          out->dim[i] = (Extent){run, 0};
          run *= n->shape->dim[i];
        }
        return;
      }
      break;
    default: break;
  }
  plain(l, v, out);
}

bool strides_plain(const Lower *l, Val v) {
  Strides s, own;
  const Shape *shape = lshape(l, v);
  strides_of(l, v, &s);
  plain(l, v, &own);
  if (lshape(l, s.base)->axes != shape->axes || volume(l, lshape(l, s.base)) != volume(l, shape))
    return false;
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if (shape->axes >> a & 1 && !equal(s.axis[a], own.axis[a])) return false;
  return dims_plain(shape, &s);
}

/* ---- letters */
enum { LETTERS = AXIS_MAX + 2 * DIM_MAX };
typedef struct { Extent size, a, b, c; } Letter;
typedef struct { uint32_t n; Letter at[LETTERS]; } Letters;
typedef enum { IN_A = 1, IN_B = 2, IN_C = 4 } Where;

static void put(Letters *x, Letter y) { if (!is_one(y.size)) x->at[x->n++] = y; }

static void spell(const Lower *l, Val dot, const Strides *a, const Strides *b, Letters *out) {
  const Node *n = lnode(l, dot);
  const Shape *x = lshape(l, n->arg[0]), *y = lshape(l, n->arg[1]);
  uint8_t via[DIM_MAX];
  Strides c;
  plain(l, target_of(l, dot, via), &c);
  out->n = 0;
  for (uint32_t i = 0; i < l->g->axis.n; i++) {
    if (!((x->axes | y->axes) >> i & 1)) continue;
    Extent in_a = x->axes >> i & 1 ? a->axis[i] : none, in_b = y->axes >> i & 1 ? b->axis[i] : none;
    put(out, (Letter){axis_extent(l, i), in_a, in_b, n->attr.dot.axes >> i & 1 ? none : c.axis[i]});
  }
  uint32_t k = 0, gone_x = 0, gone_y = 0;
  for (uint32_t i = 0; i < n->attr.dot.n; i++) {
    uint32_t p = n->attr.dot.da[i], q = n->attr.dot.db[i];
    gone_x |= 1u << p, gone_y |= 1u << q;
    put(out, (Letter){{x->dim[p], 0}, a->dim[p], b->dim[q], none});
  }
  for (uint32_t i = 0; i < x->rank; i++)
    if (!(gone_x >> i & 1)) put(out, (Letter){{x->dim[i], 0}, a->dim[i], none, c.dim[via[k++]]});
  for (uint32_t i = 0; i < y->rank; i++)
    if (!(gone_y >> i & 1)) put(out, (Letter){{y->dim[i], 0}, none, b->dim[i], c.dim[via[k++]]});
}

static bool lies_inside(Extent outer, Extent inner, Extent size) { return equal(outer, times(inner, size)); }

/* Makes one of two letters while any two are one.  Rows are not taken together with what is outside of
 * them: a buffer of the chunk and one of the batch differ there. */
static void merge(Letters *x, AxisSet rows) {
  for (bool more = true; more;) {
    more = false;
    for (uint32_t o = 0; o < x->n && !more; o++) {
      for (uint32_t i = 0; i < x->n && !more; i++) {
        Letter *p = &x->at[o], *q = &x->at[i];
        if (o == i || q->size.axes & rows || !lies_inside(p->a, q->a, q->size) ||
            !lies_inside(p->b, q->b, q->size) || !lies_inside(p->c, q->c, q->size)) continue;
        q->size = times(q->size, p->size);
        *p = x->at[--x->n];
        more = true;
      }
    }
  }
}

/* Leaves the letter best suited for BLAS, moves the others to the batch. */
static void leave_one(const Lower *l, Letters *x, Letters *batch) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < x->n; i++) {
    bool here = is_one(x->at[i].c), there = is_one(x->at[best].c);
    if (here != there ? here : guess(l, x->at[i].size) > guess(l, x->at[best].size)) best = i;
  }
  for (uint32_t i = 0; i < x->n; i++) if (i != best) batch->at[batch->n++] = x->at[i];
  if (x->n) x->at[0] = x->at[best], x->n = 1;
}

static Letter swapped(Letter x) { return (Letter){x.size, x.b, x.a, x.c}; }

/* Products too small for a call, or without a sum or a matrix in them, are loops. */
static bool worth_a_call(const Lower *l, const Letters *m, const Letters *n, const Letters *k,
                         const Letters *batch) {
  if (k->n == 0 || (m->n == 0 && n->n == 0)) return false;
  double size = guess(l, k->at[0].size);
  if (m->n) size *= guess(l, m->at[0].size);
  if (n->n) size *= guess(l, n->at[0].size);
  return size >= (batch->n || m->n == 0 || n->n == 0 ? 4096 : 512);
}

static bool is_bits(const Lower *l, Val v) { return range_within(lnode(l, v)->range, RANGE_BIT); }

static bool match(const Lower *l, Val dot, const Strides *a, const Strides *b, Gemm *out) {
  Letters all, m = {0}, n = {0}, k = {0}, batch = {0};
  spell(l, dot, a, b, &all);
  for (uint32_t i = 0; i < all.n; i++) {
    const Letter *x = &all.at[i];
    switch ((absent(x->a) ? 0 : IN_A) | (absent(x->b) ? 0 : IN_B) | (absent(x->c) ? 0 : IN_C)) {
      case IN_A | IN_C:        put(&m, *x); break;
      case IN_B | IN_C:        put(&n, *x); break;
      case IN_A | IN_B:        put(&k, *x); break;
      case IN_A | IN_B | IN_C: put(&batch, *x); break;
      default: return false;
    }
  }
  AxisSet rows = l->v.at[dot].home >= 0 ? AXIS_BIT(l->v.at[dot].home) : 0;
  merge(&m, rows), merge(&n, rows), merge(&k, rows);
  if (k.n > 1) return false;
  leave_one(l, &m, &batch);
  leave_one(l, &n, &batch);
  merge(&batch, rows);
  if (batch.n > 1 || !worth_a_call(l, &m, &n, &k, &batch)) return false;

  out->a = a->base, out->b = b->base;
  bool a_bits = is_bits(l, lnode(l, dot)->arg[0]), b_bits = is_bits(l, lnode(l, dot)->arg[1]);
  if (n.n && !is_one(n.at[0].c)) {                      /* C transposed: B' A' */
    if (m.n && !is_one(m.at[0].c)) return false;
    Letters t = m;
    m = n, n = t;
    if (m.n) m.at[0] = swapped(m.at[0]);
    if (n.n) n.at[0] = swapped(n.at[0]);
    k.at[0] = swapped(k.at[0]);
    if (batch.n) batch.at[0] = swapped(batch.at[0]);
    out->a = b->base, out->b = a->base;
    a_bits = b_bits;
  }
  Call c = {.kind = CALL_GEMM, .batch = one, .m = one, .n = one, .k = k.at[0].size, .a = NO_BUF, .b = NO_BUF,
            .c = NO_BUF, .bits = a_bits, .triangle = l->v.at[dot].triangle, .shift = l->v.at[dot].shift, .span = lnode(l, dot)->span, .label = lnode(l, dot)->label};
  Extent ma = none, nb = none, ka = k.at[0].a, kb = k.at[0].b;
  if (n.n) c.n = n.at[0].size, nb = n.at[0].b;
  if (m.n) c.m = m.at[0].size, ma = m.at[0].a, c.ldc = m.at[0].c;
  else c.ldc = c.n;
  if (is_one(ka))      c.lda = m.n ? ma : c.k;
  else if (!m.n || is_one(ma)) c.ta = true, c.lda = ka;
  else return false;
  if (!n.n || is_one(nb)) c.ldb = kb;
  else if (is_one(kb)) c.tb = true, c.ldb = nb;
  else return false;
  if (batch.n) {
    c.batch = batch.at[0].size;
    c.stride_a = batch.at[0].a, c.stride_b = batch.at[0].b, c.stride_c = batch.at[0].c;
  }
  out->call = c;
  return true;
}

bool gemm_match(const Lower *l, Val dot, Gemm *out) {
  const Node *n = lnode(l, dot);
  Strides a, b, x, y;
  strides_of(l, n->arg[0], &a);
  strides_of(l, n->arg[1], &b);
  plain(l, n->arg[0], &x);
  plain(l, n->arg[1], &y);
  return match(l, dot, &a, &b, out) || match(l, dot, &x, &b, out) || match(l, dot, &a, &y, out) ||
      match(l, dot, &x, &y, out);
}

/* ---- one step of an ordered plate.  Rows lie in memory by rising axis number, and constants (dims, index axes) inside of them. */
bool call_of_step(const Call *c, uint32_t axis, Call *out, Extent *a, Extent *b, Extent *by_c) {
  Extent size = {1, AXIS_BIT(axis)};
  AxisSet outer = AXIS_BIT(axis) - 1, inner = ~(outer | AXIS_BIT(axis));
  *out = *c;
  *a = *b = *by_c = (Extent){0, 0};
  if (c->kind != CALL_GEMM || (c->n.axes | c->k.axes) >> axis & 1) return false;
  if (c->batch.axes >> axis & 1) {
    if (c->batch.axes & inner || c->batch.constant != 1) return false;
    out->batch.axes &= outer;
    *a = c->stride_a, *b = c->stride_b, *by_c = c->stride_c;
    if (a->constant) out->stride_a = times(c->stride_a, size);
    if (b->constant) out->stride_b = times(c->stride_b, size);
    out->stride_c = times(c->stride_c, size);
    return true;
  }
  if (!(c->m.axes >> axis & 1) || c->ta) return false;
  Extent within = {c->m.constant, c->m.axes & inner}, around = {1, c->m.axes & outer};
  *a = times(c->lda, within), *by_c = times(c->ldc, within);
  if (is_one(within)) {
    out->m = around;
    out->lda = times(c->lda, size), out->ldc = times(c->ldc, size);
    return true;
  }
  if (!is_one(c->batch)) return false;
  out->m = within, out->batch = around;
  out->stride_a = times(*a, size), out->stride_b = (Extent){0, 0}, out->stride_c = times(*by_c, size);
  return true;
}
