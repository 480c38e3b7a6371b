/* triangle: products with matrices of which a mask leaves a triangle.
 *
 * In:  values; dots whose second operand is [i, j] (i < j) * W[i, j] (what nn.causal makes), gradients that are a product times
 *      such a mask.
 * Out: the dots take W itself, gradients are the product itself, and both know their triangle; masks and masked matrices are
 *      wanted by nobody any more.
 *
 * note [triangles]  A triangle is what is strictly above the diagonal moved up by `shift`: i < j + shift.  The product leaves out the rest, half
 * of the work, and where it makes a triangle it writes zeros there.  Only calls know triangles, so dots that would be loops are
 * left as they are. */
#include "lower.h"

enum { ROW = 0, COLUMN = 1, LEAST = 4096 };

/* Which index of the matrix each dim and axis of a value stands for; -1: none. */
typedef struct { int8_t dim[DIM_MAX], axis[AXIS_MAX]; } Stands;

/* Below views that rename indices. */
static Val descend(const Lower *l, Val v, Stands *p) {
  for (;;) {
    const Node *n = lnode(l, v);
    Stands in = *p;
    if (l->v.at[v].copy) return v;
    switch (n->op) {
      case OP_stop: case OP_assume: break;
      case OP_permute:
        for (uint32_t i = 0; i < n->shape->rank; i++) in.dim[n->attr.permute.order[i]] = p->dim[i];
        break;
      case OP_to_dim:
        in.axis[n->attr.convert.axis] = p->dim[n->attr.convert.dim];
        for (uint32_t i = 0, j = 0; i < n->shape->rank; i++) if (i != n->attr.convert.dim) in.dim[j++] = p->dim[i];
        break;
      case OP_to_axis:
        for (uint32_t i = 0, j = 0; i < lshape(l, n->arg[0])->rank; i++)
          in.dim[i] = i == n->attr.convert.dim ? p->axis[n->attr.convert.axis] : p->dim[j++];
        break;
      default: return v;
    }
    *p = in;
    v = n->arg[0];
  }
}

/* An index of the matrix plus a constant. */
static bool index_of(const Lower *l, Val v, Stands p, int *which, double *plus) {
  v = descend(l, v, &p);
  const Node *n = lnode(l, v);
  if (n->op == OP_add && lnode(l, n->arg[1])->op == OP_const) {
    if (!index_of(l, n->arg[0], p, which, plus)) return false;
    *plus += lnode(l, n->arg[1])->attr.number;
    return true;
  }
  if (n->op != OP_iota) return false;
  *plus = 0;
  *which = n->attr.along.axis >= 0 ? p.axis[n->attr.along.axis] : n->attr.along.dim >= 0 ? p.dim[n->attr.along.dim] : -1;
  return true;
}

static bool mask_of(const Lower *l, Val v, Stands p, int32_t *shift) {
  v = descend(l, v, &p);
  const Node *n = lnode(l, v);
  int a, b;
  double below, above;
  if (n->op != OP_lt && n->op != OP_le) return false;
  if (!index_of(l, n->arg[0], p, &a, &below) || !index_of(l, n->arg[1], p, &b, &above) || a != ROW || b != COLUMN) return false;
  *shift = (int32_t)(above - below) + (n->op == OP_le);
  return true;
}

/* v[i, j] = (i < j + shift) * base[i, j] */
static bool masked(const Lower *l, Val v, Val *base, int32_t *shift) {
  const Shape *s = lshape(l, v);
  if (s->rank != 2 || s->axes || volume(l, s) < LEAST) return false;
  Stands p;
  memset(&p, -1, sizeof p);
  p.dim[0] = ROW, p.dim[1] = COLUMN;
  v = descend(l, v, &p);
  const Node *n = lnode(l, v);
  for (uint32_t side = 0; n->op == OP_mul && side < 2; side++) {
    Stands q = p;
    if (!mask_of(l, n->arg[side], p, shift)) continue;
    *base = descend(l, n->arg[1 - side], &q);
    return lshape(l, *base) == s && q.dim[0] == ROW && q.dim[1] == COLUMN;
  }
  return false;
}

/* The second operand of a product. */
static void take_operand(Lower *l, Val dot) {
  Value *x = &l->v.at[dot];
  const Val *was = x->node.arg;
  Val *arg = arena_alloc(l->arena, 2 * sizeof *arg), base;
  int32_t shift;
  Gemm g;
  if (!masked(l, was[1], &base, &shift) || lnode(l, base)->op != OP_param) return;
  arg[0] = was[0], arg[1] = base;
  x->node.arg = arg;
  if (gemm_match(l, dot, &g) && g.b == base && g.a != base && g.call.batch.constant == 1 && !g.call.batch.axes) x->triangle = TRIANGLE_OPERAND, x->shift = shift;
  else x->node.arg = was;
}

/* A gradient that is a masked product of nobody else's. */
static void take_result(Lower *l, Root *r) {
  Val base;
  int32_t shift;
  Gemm g;
  if (r->kind != ROOT_GRAD || !masked(l, r->value, &base, &shift)) return;
  Value *x = &l->v.at[base];
  if (x->node.op != OP_dot || x->uses != 1 || x->triangle || !gemm_match(l, base, &g)) return;
  x->triangle = TRIANGLE_RESULT, x->shift = shift;
  r->value = base;
}

void triangles_find(Lower *l) {
  for (uint32_t i = 0; i < l->roots.n; i++) take_result(l, &l->roots.at[i]);
  for (uint32_t k = 0; k < l->order.n; k++)
    if (lnode(l, l->order.at[k])->op == OP_dot && !l->v.at[l->order.at[k]].triangle) take_operand(l, l->order.at[k]);
}
