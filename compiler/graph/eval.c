/* Reference evaluation: plain loops in double precision, the oracle of generated code.
 *
 * In:  a graph, its roots, the sizes of its axes, a way to get leaves and keys.
 * Out: the whole value of every node the roots need, axes first, by rising axis number, then dims, row-major.
 *
 * Ops evaluate themselves (../ops); here are the order, the memory, and the loop nest they share.  With
 * `single` every value is rounded to float after it is computed, and draws are those of the float generators. */
#include "../ops/op.h"
#include <math.h>
#include <stdlib.h>

bool eval_fail(Eval *e, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(e->error, 256, format, args);
  va_end(args);
  return false;
}

uint64_t eval_axis_size(const Eval *e, uint32_t axis) {
  const Axis *a = &e->g->axis.at[axis];
  return a->kind == AXIS_INDEX ? a->size : e->in->size[axis];
}

uint64_t eval_row(const Eval *e, uint32_t axis, uint64_t i) {
  return e->in->row[axis] ? e->in->row[axis][i] : i;
}

uint64_t eval_size(const Eval *e, const Shape *s) {
  uint64_t n = shape_event_size(s);
  for (uint32_t i = 0; i < e->g->axis.n; i++) if (s->axes >> i & 1) n *= eval_axis_size(e, i);
  return n;
}

uint64_t axis_step(const Eval *e, const Shape *s, uint32_t axis) {
  if (!(s->axes >> axis & 1)) return 0;
  uint64_t n = shape_event_size(s);
  for (uint32_t i = axis + 1; i < e->g->axis.n; i++) if (s->axes >> i & 1) n *= eval_axis_size(e, i);
  return n;
}

uint64_t dim_step(const Eval *e, const Shape *s, uint32_t dim) {
  uint64_t n = 1;
  (void)e;
  for (uint32_t i = dim + 1; i < s->rank; i++) n *= s->dim[i];
  return n;
}

/* ---- loop nests */
void loop_dim(Loop *l, uint64_t size, uint64_t s0, uint64_t s1, uint64_t s2, uint64_t s3) {
  const uint64_t step[LOOP_ARRAYS] = {s0, s1, s2, s3};
  l->size[l->n] = size;
  memcpy(l->step[l->n++], step, sizeof step);
}

void loop_axes(Loop *l, const Eval *e, AxisSet axes, const Shape *s0, const Shape *s1, const Shape *s2,
               const Shape *s3) {
  const Shape *s[LOOP_ARRAYS] = {s0, s1, s2, s3};
  for (uint32_t i = 0; i < e->g->axis.n; i++) {
    uint64_t step[LOOP_ARRAYS] = {0};
    if (!(axes >> i & 1)) continue;
    for (int j = 0; j < LOOP_ARRAYS; j++) if (s[j]) step[j] = axis_step(e, s[j], i);
    loop_dim(l, eval_axis_size(e, i), step[0], step[1], step[2], step[3]);
  }
}

void loop_start(Loop *l) {
  l->more = true;
  memset(l->at, 0, sizeof l->at);
  for (uint32_t i = 0; i < l->n; i++) {
    l->index[i] = 0;
    if (l->size[i] == 0) l->more = false;
  }
}

void loop_next(Loop *l) {
  for (uint32_t i = l->n; i-- > 0;) {
    for (int j = 0; j < LOOP_ARRAYS; j++) l->at[j] += l->step[i][j];
    if (++l->index[i] < l->size[i]) return;
    for (int j = 0; j < LOOP_ARRAYS; j++) l->at[j] -= l->step[i][j] * l->size[i];
    l->index[i] = 0;
  }
  l->more = false;
}

/* ---- evaluation */
static bool *find_needed(const Graph *g, Arena *arena, const Val *roots, uint32_t n) {
  bool *needed = arena_alloc(arena, g->node.n + 1);
  for (uint32_t i = 0; i < n; i++) needed[roots[i]] = true;
  for (Val v = g->node.n; v-- > 0;) {
    if (!needed[v]) continue;
    for (uint32_t i = 0; i < node_of(g, v)->nargs; i++) needed[arg_of(g, v, i)] = true;
  }
  return needed;
}

static bool eval_one(Eval *e, Val v) {
  if (!op_of(node_of(e->g, v)->op)->eval(e, v)) return false;
  double *x = e->out->value[v];
  for (uint64_t i = 0; e->in->single && i < e->out->size[v]; i++) x[i] = (double)(float)x[i];
  return true;
}

bool eval_body(Eval *e, Val guess, Val settle) {
  bool *inside = calloc(settle - guess, sizeof *inside), ok = true;
  if (!inside) BUG("out of memory");
  inside[0] = true;
  for (Val v = guess + 1; v < settle && ok; v++) {
    const Node *n = node_of(e->g, v);
    for (uint32_t i = 0; i < n->nargs; i++) inside[v - guess] |= n->arg[i] >= guess && inside[n->arg[i] - guess];
    if (!inside[v - guess] || !e->out->value[v]) continue;
    memset(e->out->value[v], 0, e->out->size[v] * sizeof(double));      /* sums add to what is there */
    ok = eval_one(e, v);
  }
  free(inside);
  return ok;
}

bool graph_eval(Arena *arena, const Graph *g, const Val *roots, uint32_t n, const EvalInput *in,
                EvalResult *out, char error[256]) {
  Eval e = {.arena = arena, .g = g, .in = in, .out = out, .error = error};
  bool *needed = find_needed(g, arena, roots, n);
  out->value = arena_alloc(arena, (g->node.n + 1) * sizeof *out->value);
  out->size = arena_alloc(arena, (g->node.n + 1) * sizeof *out->size);
  for (Val v = 0; v < g->node.n; v++) {
    if (!needed[v]) continue;
    out->size[v] = eval_size(&e, shape_of(g, v));
    out->value[v] = arena_alloc(arena, (out->size[v] + 1) * sizeof(double));
    if (!eval_one(&e, v)) return false;
  }
  return true;
}

static bool all_finite(const EvalResult *r, Val v) {
  for (uint64_t i = 0; i < r->size[v]; i++) if (!isfinite(r->value[v][i])) return false;
  return true;
}

/* A constant may be infinite: somebody wrote that. */
Val graph_first_nonfinite(const Graph *g, const EvalResult *r, const Val *roots, uint32_t n,
                          uint64_t *element) {
  Arena *scratch = arena_new();
  bool *needed = find_needed(g, scratch, roots, n);
  Val found = NO_VAL;
  for (Val v = 0; v < g->node.n && found == NO_VAL; v++) {
    const Node *node = node_of(g, v);
    if (!needed[v] || !r->value[v] || node->op == OP_const || all_finite(r, v)) continue;
    bool clean = true;
    for (uint32_t i = 0; i < node->nargs; i++) clean = clean && all_finite(r, node->arg[i]);
    if (clean) found = v;
  }
  if (found != NO_VAL) for (*element = 0; isfinite(r->value[found][*element]);) ++*element;
  arena_free(scratch);
  return found;
}
