/* random: draws as pure functions of (key, counter); see note [counter keys] in runtime/svi.h.
 *
 * counter 0 = data-set row along the value's first plate (0 without one); counter 1 = row-major index over
 * its other axes and event dims.  Uniform and normal draws have no argument; gamma takes its shape, poisson
 * its rate, vonmises its concentration. */
#include "op.h"
#include "../../runtime/kernels/random.h"
#include <math.h>

static const char *const words[] = {"uniform", "normal", "gamma", "poisson", "vonmises", NULL};

static bool takes_argument(RandomKind k) {
  switch (k) {
    case RANDOM_UNIFORM:
    case RANDOM_NORMAL:  return false;
    case RANDOM_GAMMA:
    case RANDOM_POISSON:
    case RANDOM_VONMISES: return true;
  }
  return false;
}

Val graph_random(Graph *g, RandomKind k, uint32_t draw, const Shape *s, Val argument) {
  if (takes_argument(k) != (argument != NO_VAL)) BUG("random %s: wrong number of arguments", words[k]);
  Attr at = attr_none();
  at.random.kind = (uint8_t)k;
  at.random.draw = draw;
  if (argument == NO_VAL) return graph_add(g, OP_random, 0, NULL, at, s);
  const Shape *joined = shape_join(g, s, shape_of(g, argument));
  return graph_add(g, OP_random, 1, &argument, at, joined);
}

static const Shape *random_shape(Graph *g, const Node *n) {
  if (!n->shape || n->attr.random.kind > RANDOM_VONMISES || n->attr.random.draw >= g->draws.n) return NULL;
  if (n->nargs != takes_argument((RandomKind)n->attr.random.kind)) return NULL;
  return n->nargs == 0 || shape_join(g, n->shape, shape_of_arg(g, n, 0)) == n->shape ? n->shape : NULL;
}

static Range random_range(const Graph *g, const Node *n) {
  (void)g;
  switch ((RandomKind)n->attr.random.kind) {
    case RANDOM_UNIFORM: return range_make(0, 1, true, true, false);
    case RANDOM_NORMAL:  return RANGE_REAL;
    case RANDOM_GAMMA:   return RANGE_POSITIVE;
    case RANDOM_POISSON: return RANGE_COUNT;
    case RANDOM_VONMISES: return range_make(-3.1415926535897932, 3.1415926535897932, false, false, false);
  }
  return RANGE_REAL;
}

static Val random_copy(Graph *to, const Graph *from, const Node *n, const Val *arg) {
  uint32_t draw = graph_draw(to, from->draws.at[n->attr.random.draw]);
  const Shape *s = graph_shape(to, n->shape->axes, n->shape->rank, n->shape->dim);
  return graph_random(to, (RandomKind)n->attr.random.kind, draw, s, n->nargs ? arg[0] : NO_VAL);
}

/* A gamma draw has a derivative by its shape, a von Mises draw by its concentration: implicit reparameterisation
 * (Figurnov, Mohamed, Mnih 2018). */
static void random_grad(Graph *g, Val y, Val dy, Val *d) {
  Node n = *node_of(g, y);
  OpKind rule = n.attr.random.kind == RANDOM_GAMMA ? OP_gamma_grad : OP_vonmises_grad;
  d[0] = graph_op2(g, OP_mul, dy, graph_op2(g, rule, n.arg[0], y));
}

static const char *random_obstacle(const Node *n, uint32_t i) {
  (void)i;
  return n->attr.random.kind != RANDOM_POISSON ? NULL : "a Poisson draw has no derivative by its rate";
}

static double draw_double(RandomKind k, const uint32_t key[2], uint32_t c0, uint32_t c1, double x) {
  switch (k) {
    case RANDOM_UNIFORM: return svi_uniform_f64(key[0], key[1], c0, c1);
    case RANDOM_NORMAL:  return svi_normal_f64(key[0], key[1], c0, c1);
    case RANDOM_GAMMA:   return svi_standard_gamma_f64(key[0], key[1], c0, c1, x);
    case RANDOM_POISSON: return svi_poisson_f64(key[0], key[1], c0, c1, x);
    case RANDOM_VONMISES: return svi_vonmises_f64(key[0], key[1], c0, c1, x);
  }
  return NAN;
}
static double draw_single(RandomKind k, const uint32_t key[2], uint32_t c0, uint32_t c1, double x) {
  switch (k) {
    case RANDOM_UNIFORM: return (double)svi_uniform_f32(key[0], key[1], c0, c1);
    case RANDOM_NORMAL:  return (double)svi_normal_f32(key[0], key[1], c0, c1);
    case RANDOM_GAMMA:   return (double)svi_standard_gamma_f32(key[0], key[1], c0, c1, (float)x);
    case RANDOM_POISSON: return (double)svi_poisson_f32(key[0], key[1], c0, c1, (float)x);
    case RANDOM_VONMISES: return (double)svi_vonmises_f32(key[0], key[1], c0, c1, (float)x);
  }
  return NAN;
}

static bool random_eval(Eval *e, Val y) {
  const Node *n = node_of(e->g, y);
  const Shape *s = n->shape, *a = n->nargs ? shape_of_arg(e->g, n, 0) : s;
  const double *x = n->nargs ? eval_value(e, n->arg[0]) : NULL;
  double *out = eval_value(e, y);
  if (!e->in->key) return eval_fail(e, "no keys for random draws");
  uint32_t key[2], first = NO_VAL;
  e->in->key(e->in->context, e->g, n->attr.random.draw, key);
  for (uint32_t i = e->g->axis.n; i-- > 0;)
    if (s->axes >> i & 1 && e->g->axis.at[i].kind == AXIS_PLATE) first = i;
  /* arrays: 0 the value, 1 the argument, 2 position along the first plate, 3 index over the rest */
  AxisSet rest = first == NO_VAL ? s->axes : s->axes & ~((AxisSet)1 << first);
  uint64_t step = shape_event_size(s), event = step;
  Loop l = {0};
  for (uint32_t i = 0; i < e->g->axis.n; i++) if (rest >> i & 1) step *= eval_axis_size(e, i);
  for (uint32_t i = 0; i < e->g->axis.n; i++) {
    if (!(s->axes >> i & 1)) continue;
    if (i != first) step /= eval_axis_size(e, i);
    loop_dim(&l, eval_axis_size(e, i), axis_step(e, s, i), n->nargs ? axis_step(e, a, i) : 0, i == first,
             i == first ? 0 : step);
  }
  for (uint32_t i = 0; i < s->rank; i++) {
    event /= s->dim[i];
    loop_dim(&l, s->dim[i], dim_step(e, s, i), n->nargs && a->rank ? dim_step(e, a, i) : 0, 0, event);
  }
  RandomKind k = (RandomKind)n->attr.random.kind;
  for (loop_start(&l); l.more; loop_next(&l)) {
    uint32_t c0 = first == NO_VAL ? 0 : (uint32_t)eval_row(e, first, l.at[2]), c1 = (uint32_t)l.at[3];
    double argument = x ? x[l.at[1]] : 0;
    out[l.at[0]] = e->in->single ? draw_single(k, key, c0, c1, argument)
        : draw_double(k, key, c0, c1, argument);
  }
  return true;
}

static void random_print(const Graph *g, const Node *n, FILE *out) {
  (void)g;
  fprintf(out, " draw %u", n->attr.random.draw);
}
static bool random_read(TextIn *in, Node *n) {
  return (text_word(in, "draw") && text_uint(in, &n->attr.random.draw)) ||
      text_fail(in, "the number of a draw is missing");
}

const Op op_random = {
  .name = "random", .nargs = -2, .words = words, .joins_axes = true, .shape = random_shape,
      .range = random_range,
  .copy = random_copy, .grad = random_grad, .obstacle = random_obstacle, .eval = random_eval,
      .print = random_print, .read = random_read };
