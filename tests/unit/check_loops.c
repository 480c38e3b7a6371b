/* Loop programs: that they compute what the graph says, and that they have the form that makes them fast.
 *
 * The first is the more important: every graph here, and a few thousand random ones with their gradients,
 * is lowered, verified, run by the interpreter in chunks, lanes and blocks of several sizes, and compared
 * with graph_eval. */
#include "loops_interp.h"
#include "../table/random_graph.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

static Arena *arena;
static Graph *g;

/* ---- a small world: leaves with values made from their name and element */
enum { ROWS = 11, PARTICLES = 5 };
static uint32_t image, k_axis;
static SviParam param[128];
static SviModel model;
static uint32_t nparam;
static uint64_t param_top;
static Entry entry;
static SviEntry described;
static LoopProgram *program;

static double noise(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9e3779b97f4a7c15u + b * 0xc2b2ae3d27d4eb4fu + 1;
  for (int i = 0; i < 3; i++) x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9u;
  return (double)(x >> 11) * 0x1p-53;
}

static bool give_leaf(void *context, const Graph *graph, Val v, double *out, uint64_t n) {
  (void)context;
  const Node *node = node_of(graph, v);
  for (uint64_t i = 0; i < n; i++) {
    double u = noise(node->attr.leaf.id + 100 * (uint64_t)node->op, i);
    out[i] = node->range.whole ? floor(u * (node->range.hi + 1)) : node->op == OP_option ? .5 + u
        : .6 * (u - .5);
  }
  return true;
}
static void give_key(void *context, const Graph *graph, uint32_t draw, uint32_t key[2]) {
  (void)context, (void)graph;
  key[0] = 77 + draw, key[1] = 99;
}

static void start(void) {
  arena = arena_new();
  g = graph_new(arena);
  image = graph_axis(g, (Axis){.name = name_of("image"), .kind = AXIS_PLATE, .parent = -1});
  k_axis = graph_axis(g, (Axis){.name = name_of("k"), .kind = AXIS_PARTICLE, .parent = -1});
  nparam = 0, param_top = 0;
  entry = (Entry){.name = name_of("step:main"), .graph = g, .axis = (int32_t)image};
}
static void finish(void) { arena_free(arena); }

static AxisSet bit(uint32_t a) { return (AxisSet)1 << a; }
static const Shape *shape(AxisSet axes, uint32_t rank, uint32_t d0,
                          uint32_t d1) { return graph_shape(g, axes, rank, (uint32_t[]){d0, d1}); }
static Val parameter(const char *name, AxisSet axes, uint32_t rank, uint32_t d0, uint32_t d1) {
  const Shape *s = shape(axes, rank, d0, d1);
  param[nparam] = (SviParam){.name = name, .axis = -1, .size = shape_event_size(s), .offset = param_top};
  param_top = (param_top + shape_event_size(s) + 15) / 16 * 16;
  return graph_label(g, graph_leaf(g, OP_param, name_of(name), nparam++, s, RANGE_REAL), name_of(name),
                     NO_SPAN);
}
static Val column(uint32_t id, AxisSet axes, uint32_t rank, uint32_t d0,
                  Range r) { return graph_leaf(g, OP_input, name_printf("x%u", id), id,
                                               shape(axes, rank, d0, 0), r); }
static Val lit(double x) { return graph_const(g, x); }
#define op1(op, x)     graph_op1(g, OP_##op, x)
#define op2(op, x, y)  graph_op2(g, OP_##op, x, y)

static Val dense(const char *name, Val x, uint32_t m) {
  uint32_t n = shape_of(g, x)->dim[0];
  Val w = parameter(arena_printf(arena, "%s.W", name), 0, 2, n, m),
      b = parameter(arena_printf(arena, "%s.b", name), 0, 1, m, 0);
  return op2(add, graph_matmul(g, x, w), b);
}
static Val normal(const char *name, AxisSet axes, uint32_t n) {
  return graph_random(g, RANDOM_NORMAL, graph_draw(g, (Draw){.name = name_of(name)}), shape(axes, 1, n, 0),
                      NO_VAL);
}
static Val sum_rows(Val v) { return graph_reduce(g, REDUCE_SUM, v, bit(image), 0); }

/* ---- entries */
static void add_scalar(Val v) { EntryRoot r = {name_of("objective"), v}; vec_push(arena, &entry.scalars, r); }
static void add_out(const char *name, Val v) { EntryRoot r = {name_of(name), v}; vec_push(arena, &entry.outs,
    r); }
static void add_update(int32_t p, Val v) { EntryParam r = {p, v}; vec_push(arena, &entry.updates, r); }
static void add_grads(Val root) {
  Val wrt[128] = {0}, out[128];
  uint32_t n = 0;
  for (uint32_t p = 0; p < nparam; p++)
    for (Val v = 0; v < g->node.n; v++)
      if (node_of(g, v)->op == OP_param && node_of(g, v)->attr.leaf.id == p) { wrt[n++] = v; break; }
  graph_grad(g, root, wrt, n, out);
  for (uint32_t i = 0; i < n; i++) {
    EntryParam r = {(int32_t)node_of(g, wrt[i])->attr.leaf.id, out[i]};
    if (out[i] != NO_VAL) vec_push(arena, &entry.grads, r);
  }
}

static void lower(void) {
  model = (SviModel){.param = param, .nparam = (int32_t)nparam, .real_bytes = 4};
  described = (SviEntry){.name = entry.name};
  program = loops_lower(arena, &entry, &model, 4, &described);
  if (getenv("LOOPS_PRINT")) loops_print(program, stdout);
  ck_assert(loops_verify(program, stderr));
}

/* ---- comparison with the graph */
static void near(double got, double want, const char *what, uint32_t i, uint64_t element) {
  double scale = 1 + fabs(want);
  if (fabs(got - want) <= 1e-9 * scale || (isnan(got) && isnan(want))) return;
  if (!getenv("LOOPS_PRINT")) loops_print(program, stderr);
  ck_abort_msg("%s %u, element %llu: %.12g, and by the graph %.12g", what, i, (unsigned long long)element,
               got, want);
}

static uint32_t entry_roots(Val *roots) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < entry.scalars.n; i++) roots[n++] = entry.scalars.at[i].value;
  for (uint32_t i = 0; i < entry.outs.n; i++) roots[n++] = entry.outs.at[i].value;
  for (uint32_t i = 0; i < entry.grads.n; i++) roots[n++] = entry.grads.at[i].value;
  for (uint32_t i = 0; i < entry.updates.n; i++) roots[n++] = entry.updates.at[i].value;
  return n;
}

static void compare(Interp *r, const EvalResult *want) {
  uint64_t n;
  ck_assert_int_eq(described.nscalar, entry.scalars.n);
  ck_assert_int_eq(described.ngrad, entry.grads.n);
  ck_assert_int_eq(described.nupdate, entry.updates.n);
  for (uint32_t i = 0; i < entry.scalars.n; i++)
    near(interp_scalar(r, i), want->value[entry.scalars.at[i].value][0], "scalar", i, 0);
  for (uint32_t i = 0; i < entry.outs.n; i++) {
    const double *got = interp_out(r, i, &n);
    ck_assert_uint_eq(n, want->size[entry.outs.at[i].value]);
    for (uint64_t j = 0; j < n; j++) near(got[j], want->value[entry.outs.at[i].value][j], "output", i, j);
  }
  for (uint32_t i = 0; i < entry.grads.n; i++) {
    const double *got = interp_grad(r, i, &n);
    uint32_t of = 0;
    while (entry.grads.at[of].param != described.grad[i].param) of++;
    for (uint64_t j = 0; j < n; j++) near(got[j], want->value[entry.grads.at[of].value][j], "gradient", i, j);
  }
  for (uint32_t i = 0; i < entry.updates.n; i++) {
    const double *got = interp_update(r, i, &n);
    for (uint64_t j = 0; j < n; j++) near(got[j], want->value[entry.updates.at[i].value][j], "update", i, j);
  }
}

static void agrees_with(const EvalInput *in) {
  Val roots[256];
  EvalResult want;
  char error[256];
  uint32_t n = entry_roots(roots);
  ck_assert_msg(graph_eval(arena, g, roots, n, in, &want, error), "%s", error);
  /* chunk, lanes, block */
  static const uint64_t settings[][3] = {{4, 3, 2}, {1, 2, 1}, {100, 1, 100}, {3, 8, 3}};
  for (size_t s = 0; s < LEN(settings); s++) {
    InterpInput x = {program, &described, in, settings[s][0], settings[s][1], settings[s][2]};
    compare(interp_run(arena, &x), &want);
  }
}

static void agrees(void) {
  EvalInput in = {.leaf = give_leaf, .key = give_key};
  for (uint32_t a = 0; a < g->axis.n; a++)
    in.size[a] = g->axis.at[a].kind == AXIS_PARTICLE ? PARTICLES : ROWS, in.total[a] = 60;
  lower();
  agrees_with(&in);
}

/* ---- structure */
typedef struct { uint32_t nests, calls, gemms; uint64_t bytes; } Form;
static Form form(uint32_t phase) {
  ck_assert_uint_lt(phase, program->phases.n);
  const LoopPhase *p = &program->phases.at[phase];
  Form f = {0};
  for (uint32_t i = 0; i < p->steps.n; i++) {
    const Step *s = &p->steps.at[i];
    f.nests += !s->is_call, f.calls += s->is_call;
    f.gemms += s->is_call && s->call.kind == CALL_GEMM;
  }
  for (uint32_t d = 0; d < p->ndomain; d++) f.bytes += p->domain[d].bytes;
  return f;
}
static uint32_t grads_in(SviWhere where) {
  uint32_t n = 0;
  for (int32_t i = 0; i < described.ngrad; i++) n += described.grad[i].where == where;
  return n;
}
static uint32_t nests_over(uint32_t phase, uint32_t last) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < program->phases.at[phase].steps.n; i++) {
    const Step *s = &program->phases.at[phase].steps.at[i];
    n += !s->is_call && s->nest.nloop && s->nest.loop[s->nest.nloop - 1].kind == LOOP_SIZE &&
        s->nest.loop[s->nest.nloop - 1].size == last;
  }
  return n;
}

/* ---- models */
typedef struct { Val x, z, ll, kl; } Vae;

/* 784-200-200-50 and back; log likelihood and KL by row (and particle) */
static Vae vae(AxisSet particles, uint32_t pixels, uint32_t hidden, uint32_t latent) {
  Vae v;
  v.x = column(0, bit(image), 1, pixels, RANGE_BIT);
  Val h = op1(tanh, dense("q.1", v.x, hidden));
  Val mu = dense("q.mu", h, latent), s = dense("q.s", h, latent), sd = op1(exp, s);
  Val eps = normal("z", bit(image) | particles, latent);
  v.z = op2(add, mu, op2(mul, sd, eps));
  Val h2 = op1(tanh, dense("p.1", v.z, hidden));
  Val logit = dense("p.2", h2, pixels);
  v.ll = graph_sum_all(g, op2(sub, op2(mul, v.x, logit), op1(softplus, logit)));
  if (particles) {          /* log p(z) - log q(z), by the draw */
    v.kl = graph_sum_all(g, op2(mul, op2(sub, op2(sub, op1(square, v.z), op1(square, eps)),
                                         op2(mul, s, lit(2))), lit(.5)));
  } else {
    v.kl = graph_sum_all(g, op2(mul, op2(sub, op2(add, op1(square, mu), op1(square, sd)),
                                         op2(add, op2(mul, s, lit(2)), lit(1))), lit(.5)));
  }
  return v;
}
static Val per_row(Val rows) { return op2(div, sum_rows(rows), graph_count(g, image, false)); }

static uint32_t windows(void) {
  uint32_t n = 0;
  for (int32_t i = 0; i < described.nbatch; i++) n += described.batch[i].window;
  return n;
}

START_TEST(a_step_of_the_vae) {
  Vae v = vae(0, 784, 200, 50);
  Val elbo = per_row(op2(sub, v.ll, v.kl));
  add_scalar(elbo);
  add_grads(op1(neg, elbo));
  lower();
  ck_assert_uint_eq(program->phases.n, 3);              /* the chunks; products to weights; the mean */
  Form f = form(0);
  ck_assert_uint_eq(f.gemms, 5 + 4);                    /* forward, to activations */
  ck_assert(program->phases.at[1].after);
  ck_assert_uint_eq(form(1).gemms, 5);
  ck_assert_uint_eq(form(1).calls + form(1).nests, 5);
  ck_assert_uint_eq(f.calls, f.gemms + 1);              /* and the data */
  ck_assert_uint_eq(nests_over(0, 784), 1);             /* likelihood and its adjoint in one pass */
  ck_assert_uint_eq(nests_over(0, 200), 4);
  ck_assert_uint_eq(nests_over(0, 50), 2);
  ck_assert_uint_le(f.nests, 9);
  ck_assert_uint_eq(grads_in(SVI_IN_LANES), 5);         /* of the biases */
  ck_assert_uint_eq(grads_in(SVI_IN_GLOBAL), 5);
  ck_assert_uint_eq(windows(), 9);                      /* kept for those products: the data and three layers, what comes back to five */
  ck_assert_uint_le(f.bytes, 4 * (2 * 784 + 3 * 200 + 8 * 50 + 3));
}
END_TEST

START_TEST(the_vae_is_right) {
  Vae v = vae(0, 20, 16, 6);
  Val elbo = per_row(op2(sub, v.ll, op2(mul, v.kl, graph_leaf(g, OP_option, name_of("beta"), 0,
                                                              shape(0, 0, 0, 0), RANGE_REAL))));
  add_scalar(elbo);
  add_out("ll", v.ll);
  add_out("z", v.z);
  add_grads(op1(neg, elbo));
  agrees();
}
END_TEST

static Val iwae(Vae v) {
  Val bound = op2(sub, graph_reduce(g, REDUCE_LOGSUMEXP, op2(sub, v.ll, v.kl), bit(k_axis), 0),
                  op1(log, graph_count(g, k_axis, false)));
  return bound;
}

START_TEST(a_step_of_the_iwae) {
  Val bound = per_row(iwae(vae(bit(k_axis), 784, 200, 50)));
  add_scalar(bound);
  add_grads(op1(neg, bound));
  lower();
  ck_assert_uint_eq(program->phases.n, 3);
  ck_assert(!program->phases.at[0].stream);
  ck_assert_uint_eq(nests_over(0, 784), 2);             /* likelihood; adjoint, when the weights are known */
  ck_assert_uint_eq(form(0).gemms, 9);
  ck_assert_uint_eq(form(1).gemms, 5);
  ck_assert_uint_eq(grads_in(SVI_IN_GLOBAL), 5);
}
END_TEST

/* Weights large enough for products of their own, batches of several stretches. */
START_TEST(shared_products_are_right) {
  Vae v = vae(0, 80, 64, 6);
  Val elbo = per_row(op2(sub, v.ll, v.kl));
  add_scalar(elbo);
  add_grads(op1(neg, elbo));
  agrees();
  ck_assert_uint_eq(grads_in(SVI_IN_GLOBAL), 2);
}
END_TEST
START_TEST(shared_products_of_particles_are_right) {
  Vae v = vae(bit(k_axis), 80, 64, 6);
  Val bound = per_row(iwae(v));
  add_scalar(bound);
  add_grads(op1(neg, bound));
  agrees();
  ck_assert_uint_eq(grads_in(SVI_IN_GLOBAL), 2);
}
END_TEST

START_TEST(the_iwae_is_right) {
  Vae v = vae(bit(k_axis), 20, 16, 6);
  Val bound = per_row(iwae(v));
  add_scalar(bound);
  add_grads(op1(neg, bound));
  agrees();
}
END_TEST

START_TEST(evaluation_streams_over_particles) {
  Vae v = vae(bit(k_axis), 20, 16, 6);
  Val rows = iwae(v);
  add_out("nll", op1(neg, rows));
  add_scalar(per_row(rows));
  agrees();
  ck_assert_uint_eq(program->phases.n, 2);
  const LoopPhase *p = &program->phases.at[0];
  ck_assert(p->stream);
  bool before = false, inside = false, after = false;
  for (uint32_t i = 0; i < p->steps.n; i++) {
    if (p->steps.at[i].streamed) inside = true;
    else if (inside) after = true;
    else before = true;
  }
  ck_assert(before && inside && after);
}
END_TEST

START_TEST(a_mean_over_particles_and_rows_streams) {
  Vae v = vae(bit(k_axis), 20, 16, 6);
  Val all = graph_reduce(g, REDUCE_SUM, op2(sub, v.ll, v.kl), bit(image) | bit(k_axis), 0);
  add_scalar(op2(div, all, graph_count(g, image, false)));
  agrees();
  ck_assert(program->phases.at[0].stream);
}
END_TEST

/* ---- batch normalisation: statistics of one phase, used by the next */
static Val batch_norm(Val h, Val *mean_out) {
  Val n = graph_count(g, image, false);
  Val mean = op2(div, sum_rows(h), n), centred = op2(sub, h, mean);
  Val var = op2(div, sum_rows(op1(square, centred)), n);
  *mean_out = mean;
  return op2(div, centred, op1(sqrt, op2(add, var, lit(1e-3))));
}

START_TEST(batch_statistics_end_phases) {
  Val x = column(0, bit(image), 1, 12, RANGE_REAL), mean;
  Val state = parameter("mean", 0, 1, 24, 0);
  Val h = op1(tanh, batch_norm(dense("a", x, 24), &mean));
  Val y = column(1, bit(image), 1, 5, RANGE_REAL);
  Val loss = per_row(graph_sum_all(g, op1(square, op2(sub, dense("b", h, 5), y))));
  add_scalar(loss);
  add_update(0, op2(add, op2(mul, state, lit(.9)), op2(mul, mean, lit(.1))));
  add_grads(loss);
  agrees();
  uint32_t chunked = 0;
  for (uint32_t i = 0; i < program->phases.n; i++) chunked += program->phases.at[i].axis >= 0;
  ck_assert_uint_le(chunked, 5);
  ck_assert_int_le(described.nbatch, 4);
}
END_TEST

/* ---- a global latent: drawn once, with particles */
START_TEST(a_global_latent) {
  Val x = column(0, bit(image), 1, 4, RANGE_REAL), y = column(1, bit(image), 0, 0, RANGE_REAL);
  Val mu = parameter("mu", 0, 1, 4, 0), s = parameter("s", 0, 1, 4, 0);
  Val eps = normal("w", bit(k_axis), 4), w = op2(add, mu, op2(mul, op1(exp, s), eps));
  Val fit = graph_dot(g, x, w, 0, 1, (uint8_t[]){0}, (uint8_t[]){0});
  Val ll = op2(mul, op1(square, op2(sub, y, fit)), lit(-.5));
  Val joint = op2(sub, graph_reduce(g, REDUCE_SUM, ll, bit(image), 0),
                  op2(mul, graph_sum_all(g, op2(sub, op1(square, w), op1(square, eps))), lit(.5)));
  Val bound = graph_reduce(g, REDUCE_LOGSUMEXP, op2(add, joint, graph_sum_all(g, s)), bit(k_axis), 0);
  add_scalar(bound);
  add_grads(op1(neg, bound));
  agrees();
}
END_TEST

START_TEST(serial_values_only) {
  Val w = parameter("w", 0, 2, 8, 3), r = column(0, 0, 0, 0, RANGE_REAL);
  entry.axis = -1;
  Val loss = op2(mul, graph_sum_all(g, op1(square, op1(exp, w))), r);
  add_scalar(loss);
  add_grads(loss);
  agrees();
  ck_assert_uint_eq(program->phases.n, 1);
  ck_assert_int_eq(program->phases.at[0].axis, -1);
}
END_TEST

START_TEST(a_shared_net_adds_up_in_one_lane) {
  Val x = column(0, bit(image), 1, 40, RANGE_REAL), w = parameter("w", 0, 2, 40, 40);
  Val loss = per_row(graph_sum_all(g, op1(square, graph_matmul(g, op1(tanh, graph_matmul(g, x, w)), w))));
  add_scalar(loss);
  add_grads(loss);
  agrees();
  ck_assert_uint_eq(grads_in(SVI_IN_LANES), 1);
  ck_assert_uint_eq(described.lane_size, 1600 + 16);
}
END_TEST

START_TEST(parameters_by_row_have_row_gradients) {
  const Shape *s = shape(bit(image), 1, 3, 0);
  param[nparam] = (SviParam){.name = "z", .axis = (int32_t)image, .size = 3};
  Val z = graph_leaf(g, OP_param, name_of("z"), nparam++, s, RANGE_REAL);
  Val x = column(0, bit(image), 1, 20, RANGE_REAL);
  Val loss = per_row(graph_sum_all(g, op1(square, op2(sub, dense("p", z, 20), x))));
  add_scalar(loss);
  add_grads(loss);
  agrees();
  ck_assert_uint_eq(grads_in(SVI_IN_OUT), 1);
  ck_assert_uint_eq(grads_in(SVI_IN_LANES), 2);
}
END_TEST

START_TEST(a_class_embedding) {
  Val y = column(0, bit(image), 0, 0, (Range){.lo = 0, .hi = 9, .whole = true}),
      table = parameter("table", 0, 2, 10, 6);
  Val e = graph_gather(g, table, y, 0, NO_VAL);
  Val loss = per_row(graph_sum_all(g, op1(square, op2(sub, op1(exp, e), lit(2)))));
  add_scalar(loss);
  add_grads(loss);
  agrees();
  ck_assert_uint_eq(grads_in(SVI_IN_LANES), 1);
}
END_TEST

START_TEST(one_layer_for_mean_and_scale) {
  Val x = column(0, bit(image), 1, 30, RANGE_REAL);
  Val both = dense("q", op1(tanh, dense("h", x, 32)), 24);
  Val mu = graph_slice(g, both, 0, 0, 12), sd = op1(exp, graph_slice(g, both, 0, 12, 12));
  Val z = op2(add, mu, op2(mul, sd, normal("z", bit(image), 12)));
  Val loss = per_row(graph_sum_all(g, op1(square, op2(sub, dense("p", z, 30), x))));
  add_scalar(loss);
  add_grads(loss);
  agrees();
  /* the adjoint of the slices is written part by part: no loop over 24 but the sum for the bias */
  ck_assert_uint_eq(nests_over(0, 24), 1);
  for (uint32_t i = 0; i < program->phases.at[0].steps.n; i++) {
    const Step *s = &program->phases.at[0].steps.at[i];
    for (uint32_t k = 0; !s->is_call && k < s->nest.instr.n; k++) ck_assert(!s->nest.instr.at[k].guard);
  }
}
END_TEST

START_TEST(a_recurrent_net) {
  Val x = column(0, bit(image), 1, 20, RANGE_REAL);
  Val w = parameter("w", 0, 2, 20 + 16, 4 * 16), wo = parameter("wo", 0, 2, 16, 20);
  Val h = graph_spread(g, lit(0), shape(bit(image), 1, 16, 0)), c = h,
      canvas = graph_spread(g, lit(0), shape(bit(image), 1, 20, 0));
  for (int t = 0; t < 4; t++) {
    Val gates = graph_matmul(g, graph_concat(g, (Val[]){op2(sub, x, op1(sigmoid, canvas)), h}, 2, 0), w),
        part[4];
    for (uint32_t i = 0; i < 4; i++) part[i] = graph_slice(g, gates, 0, 16 * i, 16);
    c = op2(add, op2(mul, op1(sigmoid, part[0]), c), op2(mul, op1(sigmoid, part[1]), op1(tanh, part[2])));
    h = op2(mul, op1(sigmoid, part[3]), op1(tanh, c));
    canvas = op2(add, canvas, graph_matmul(g, h, wo));
  }
  Val loss = per_row(graph_sum_all(g, op2(sub, op1(softplus, canvas), op2(mul, x, canvas))));
  add_scalar(loss);
  add_grads(loss);
  agrees();
  ck_assert_uint_eq(grads_in(SVI_IN_LANES), 2);
  ck_assert_uint_le(form(0).nests, 4 * 6 + 2);
}
END_TEST

/* ---- repetitions: h = base + noise + 0.7 tanh(h) W, W strictly upper triangular */
static Val repeated(const char *name, AxisSet axes, Val base) {
  uint32_t n = shape_of(g, base)->dim[0], dim[] = {n, n};
  Val i = graph_expand(g, graph_iota(g, n), 2, 2, dim), j = graph_expand(g, graph_iota(g, n), 1, 2, dim);
  Val w = op2(mul, op2(lt, i, j), parameter(name, 0, 2, n, n));
  Val guess = graph_guess(g, graph_expand_axes(g, graph_spread(g, lit(0), shape(0, 1, n, 0)), axes), name_of(name));
  Val next = op2(add, op2(add, graph_matmul(g, op1(tanh, guess), w), base), normal(name, axes, n));
  return graph_settle(g, next, guess, n);
}
static uint32_t repeats(void) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < program->phases.n; i++) n += program->phases.at[i].repeats.n;
  return n;
}

START_TEST(repetitions_in_chunks) {
  Val x = column(0, bit(image), 1, 12, RANGE_REAL);
  Val a = repeated("one", bit(image), dense("in", x, 9));
  Val mean = op2(div, sum_rows(a), graph_count(g, image, false));      /* a phase between the two */
  Val b = repeated("two", bit(image), op2(add, dense("mid", op2(sub, a, mean), 7), op2(mul, dense("more", x, 7), lit(.5))));
  Val loss = per_row(op2(add, graph_sum_all(g, op1(square, dense("out", b, 5))), graph_sum_all(g, op1(square, a))));
  add_scalar(loss);
  add_out("a", a);
  add_out("b", b);
  add_grads(loss);
  agrees();
  ck_assert_uint_eq(repeats(), 2);
}
END_TEST

START_TEST(repetitions_stream_over_particles) {
  Val x = column(0, bit(image), 1, 12, RANGE_REAL);
  Val a = repeated("one", bit(image) | bit(k_axis), dense("in", x, 9));
  Val b = repeated("two", bit(image) | bit(k_axis), dense("mid", a, 7));
  Val rows = graph_reduce(g, REDUCE_LOGSUMEXP, graph_sum_all(g, op1(square, b)), bit(k_axis), 0);
  Val c = repeated("three", bit(image), op2(mul, graph_spread(g, rows, shape(0, 1, 4, 0)), lit(.01)));
  add_out("rows", rows);
  add_out("c", c);
  add_scalar(per_row(graph_sum_all(g, c)));
  agrees();
  bool stream = false;
  for (uint32_t i = 0; i < program->phases.n; i++) stream |= program->phases.at[i].stream;
  ck_assert(stream);
  ck_assert_uint_eq(repeats(), 3);
}
END_TEST

START_TEST(repetitions_once) {
  Val x = column(0, bit(image), 1, 6, RANGE_REAL);
  Val a = repeated("one", 0, parameter("base", 0, 1, 6, 0)), b = repeated("two", bit(k_axis), a);
  Val loss = op2(add, per_row(graph_sum_all(g, op1(square, op2(sub, x, a)))), graph_reduce(g, REDUCE_SUM, graph_sum_all(g, op1(tanh, b)), bit(k_axis), 0));
  add_scalar(loss);
  agrees();
  ck_assert_uint_eq(repeats(), 2);
}
END_TEST

START_TEST(running_sums) {
  Val x = column(0, bit(image), 1, 6, RANGE_REAL), w = parameter("w", 0, 2, 6, 5);
  uint32_t dim[] = {6, 5};
  Val a = graph_running(g, op2(mul, graph_expand(g, x, 2, 2, dim), w), false);
  Val b = graph_running(g, op1(tanh, a), true);
  Val loss = per_row(graph_sum_all(g, op1(square, op2(add, a, b))));
  add_scalar(loss);
  add_grads(loss);
  agrees();
}
END_TEST

START_TEST(widths_of_eight_bytes) {
  Vae v = vae(bit(k_axis), 20, 16, 6);
  Val bound = per_row(iwae(v));
  add_scalar(bound);
  add_grads(op1(neg, bound));
  model = (SviModel){.param = param, .nparam = (int32_t)nparam, .real_bytes = 8};
  SviEntry single = {0}, twice = {0};
  uint64_t bytes[2] = {0};
  LoopProgram *p[] = {loops_lower(arena, &entry, &model, 4, &single),
                      loops_lower(arena, &entry, &model, 8, &twice)};
  for (int i = 0; i < 2; i++) {
    ck_assert(loops_verify(p[i], stderr));
    for (uint32_t d = 0; d < p[i]->phases.at[0].ndomain; d++) bytes[i] += p[i]->phases.at[0].domain[d].bytes;
  }
  ck_assert_uint_eq(2 * bytes[0], bytes[1]);
}
END_TEST

/* ---- the verifier sees what is wrong, the printer what there is */
static void small_step(void) {
  Vae v = vae(0, 20, 16, 6);
  Val elbo = per_row(op2(sub, v.ll, v.kl));
  add_scalar(elbo);
  add_grads(op1(neg, elbo));
  lower();
}
static Nest *first_nest(void) {
  for (uint32_t i = 0;; i++) if (!program->phases.at[0].steps.at[i].is_call)
    return &program->phases.at[0].steps.at[i].nest;
}
static LoopInstr *first_instr(LoopInstrKind kind) {
  Nest *n = first_nest();
  for (uint32_t i = 0;; i++) if (n->instr.at[i].kind == kind) return &n->instr.at[i];
}

static void rejected(void) { ck_assert(!loops_verify(program, NULL)); }

START_TEST(the_verifier_sees_what_is_wrong) {
  small_step();
  LoopInstr *load = first_instr(LI_LOAD), *store = first_instr(LI_STORE), *op = first_instr(LI_OP);
  LoopInstr l = *load, s = *store, o = *op;
  op->arg[0] = 1000;
  rejected(), *op = o;
  op->depth = 0;
  rejected(), *op = o;
  load->at.n++;
  rejected(), *load = l;
  load->at.at[0].plus = 1;
  rejected(), *load = l;
  store->at.at[1] = (Index){.kind = IX_CONST, .plus = 16};
  rejected(), *store = s;
  store->buf = load->buf;                               /* a parameter */
  rejected(), *store = s;
  Step *steps = program->phases.at[0].steps.at, first = steps[0];
  steps[0] = steps[1];                                  /* the data are not there */
  rejected(), steps[0] = first;
  ck_assert(loops_verify(program, stderr));
  bool seen = false;                                    /* two buffers moved to one place */
  for (Buf a = 0; a < program->buffers.n && !seen; a++) {
    Buffer *b = &program->buffers.at[a], was = *b;
    if (b->kind != BUF_CHUNK || b->offset == 0) continue;
    b->offset = 0;
    seen = !loops_verify(program, NULL);
    *b = was;
  }
  ck_assert(seen);
}
END_TEST

START_TEST(the_printer_begins_with_a_summary) {
  small_step();
  char *text;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  loops_print(program, out);
  fclose(out);
  char want[200];
  Form f = form(0);
  const char *first = "entry step:main over image\n"
                      "# phase 0: chunks of image, loops: %u, calls: %u, buffers: ";
  snprintf(want, sizeof want, first, f.nests, f.calls);
  ck_assert_msg(!strncmp(text, want, strlen(want)), "%.300s", text);
  ck_assert_ptr_nonnull(strstr(text, "  buffer "));
  ck_assert_ptr_nonnull(strstr(text, " @ "));
  ck_assert_ptr_nonnull(strstr(text, " sum= "));
  free(text);
}
END_TEST

/* ---- random graphs */
static bool within_rows(const RandomGraph *r, Val v) {
  const Shape *s = shape_of(r->g, v);
  return !(s->axes & ~bit(r->row)) && node_of(r->g, v)->op != OP_input;
}

static void random_case(uint64_t seed, bool grads) {
  arena = arena_new();
  RandomGraph r = random_graph(arena, seed, grads ? GRAPH_SMOOTH : 0);
  g = r.g;
  entry = (Entry){.name = name_printf("random %llu", (unsigned long long)seed), .graph = g,
                  .axis = (int32_t)r.row};
  nparam = 0, param_top = 0;
  for (uint32_t i = 0; i < r.nleaf; i++) {
    const Shape *s = shape_of(g, r.leaf[i]);
    param[i] = (SviParam){.name = "leaf", .axis = s->axes >> r.item & 1 ? (int32_t)r.item : -1,
                          .size = shape_event_size(s), .offset = 64 * i};
  }
  nparam = r.nleaf;
  add_scalar(r.root);
  if (grads) {
    Val out[RANDOM_LEAVES];
    graph_grad(g, r.root, r.param, r.nparam, out);
    for (uint32_t i = 0; i < r.nparam; i++) {
      EntryParam e = {(int32_t)node_of(g, r.param[i])->attr.leaf.id, out[i]};
      if (out[i] != NO_VAL) vec_push(arena, &entry.grads, e);
    }
  } else {
    uint32_t found = 0;
    for (Val v = g->node.n; v-- > 0 && found < 3;) {
      if (!within_rows(&r, v)) continue;
      add_out("row", v);
      found++;
    }
  }
  RandomShift shift = {.r = &r};
  EvalInput in = random_graph_input(&r, &shift);
  lower();
  agrees_with(&in);
  arena_free(arena);
}

START_TEST(random_graphs) { for (uint64_t s = 0; s < 20; s++) random_case((uint64_t)_i * 20 + s, false); }
END_TEST
START_TEST(random_gradients) { for (uint64_t s = 0; s < 20; s++) random_case(100000 + (uint64_t)_i * 20 + s,
    true); }
END_TEST

/* One random graph by its number:  LOOPS_SEED=100007 LOOPS_PRINT=1 CK_FORK=no check_loops */
START_TEST(one_random_graph) {
  uint64_t seed = strtoull(getenv("LOOPS_SEED"), NULL, 10);
  random_case(seed, seed >= 100000);
}
END_TEST

int main(void) {
  Suite *s = suite_create("loops");
  if (getenv("LOOPS_SEED")) {
    TCase *one = tcase_create("one");
    tcase_add_test(one, one_random_graph);
    suite_add_tcase(s, one);
    SRunner *alone = srunner_create(s);
    srunner_run_all(alone, CK_ENV);
    return srunner_ntests_failed(alone) != 0;
  }
  TCase *c = tcase_create("models");
  tcase_add_checked_fixture(c, start, finish);
  tcase_set_timeout(c, 60);
  tcase_add_test(c, a_step_of_the_vae);
  tcase_add_test(c, the_vae_is_right);
  tcase_add_test(c, a_step_of_the_iwae);
  tcase_add_test(c, the_iwae_is_right);
  tcase_add_test(c, shared_products_are_right);
  tcase_add_test(c, shared_products_of_particles_are_right);
  tcase_add_test(c, evaluation_streams_over_particles);
  tcase_add_test(c, a_mean_over_particles_and_rows_streams);
  tcase_add_test(c, batch_statistics_end_phases);
  tcase_add_test(c, a_global_latent);
  tcase_add_test(c, serial_values_only);
  tcase_add_test(c, a_shared_net_adds_up_in_one_lane);
  tcase_add_test(c, parameters_by_row_have_row_gradients);
  tcase_add_test(c, a_class_embedding);
  tcase_add_test(c, one_layer_for_mean_and_scale);
  tcase_add_test(c, a_recurrent_net);
  tcase_add_test(c, repetitions_in_chunks);
  tcase_add_test(c, repetitions_stream_over_particles);
  tcase_add_test(c, repetitions_once);
  tcase_add_test(c, running_sums);
  tcase_add_test(c, widths_of_eight_bytes);
  tcase_add_test(c, the_verifier_sees_what_is_wrong);
  tcase_add_test(c, the_printer_begins_with_a_summary);
  suite_add_tcase(s, c);
  TCase *random = tcase_create("random");
  tcase_set_timeout(random, 300);
  tcase_add_loop_test(random, random_graphs, 0, 50);
  tcase_add_loop_test(random, random_gradients, 0, 50);
  suite_add_tcase(s, random);
  SRunner *r = srunner_create(s);
  srunner_run_all(r, CK_ENV);
  int failed = srunner_ntests_failed(r);
  srunner_free(r);
  return failed != 0;
}
