/* Application: built-in functions, the language's own functions and nets.
 *
 * A net is expanded at each call: sizes named in its parameters' types are bound by the arguments, its parameters are made
 * under the path of the call.  An instance (`net f(...)`) keeps its path, so that all its calls share parameters. */
#include "value.h"
#include <math.h>
#include <stdlib.h>

/* ---- built-in functions */
struct Builtin {
  const char *name;
  uint32_t least, most;               /* arguments */
  OpKind op;                          /* elementwise: OP_COUNT otherwise */
  Value (*run)(Checker *c, const Builtin *b, Values *args, Span at);
  const char *help;
};

static Val arg_node(Checker *c, Values *a, uint32_t i) { return value_node(c, a->at[i]); }

static Value run_elementwise(Checker *c, const Builtin *b, Values *a, Span at) {
  Val x = arg_node(c, a, 0);
  if (a->n == 1) { c->g->span = at; return x == NO_VAL ? v_bad(at) : v_node(graph_op1(c->g, b->op, x), at); }
  Val y = arg_node(c, a, 1);
  return v_node(join_op(c, b->op, x, y, at, a->at[0].span, a->at[1].span), at);
}
static Value run_relu(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0);
  return x == NO_VAL ? v_bad(at) : v_node(graph_op2(c->g, OP_max, x, graph_const(c->g, 0)), at);
}
static Value run_logit(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0);
  if (x == NO_VAL) return v_bad(at);
  return v_node(graph_op2(c->g, OP_sub, graph_op1(c->g, OP_log, x), graph_op1(c->g, OP_log1p, graph_op1(c->g, OP_neg, x))), at);
}
static Value run_clip(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0), lo = arg_node(c, a, 1), hi = arg_node(c, a, 2);
  x = join_op(c, OP_max, x, lo, at, a->at[0].span, a->at[1].span);
  return v_node(join_op(c, OP_min, x, hi, at, a->at[0].span, a->at[2].span), at);
}
static Value run_select(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val p = arg_node(c, a, 0), x = arg_node(c, a, 1), y = arg_node(c, a, 2);
  if (p == NO_VAL || x == NO_VAL || y == NO_VAL) return v_bad(at);
  const Shape *s = shape_join(c->g, shape_of(c->g, x), shape_of(c->g, y));
  if (!s || !shape_join(c->g, s, shape_of(c->g, p))) {
    DiagItem *i = diag_at(c->diag, E0301, at, "the arguments of `select` have different shapes");
    for (uint32_t k = 0; k < 3; k++) diag_label(i, a->at[k].span, "%s", shape_text(c, shape_of(c->g, k == 0 ? p : k == 1 ? x : y)));
    return v_bad(at);
  }
  return v_node(graph_op3(c->g, OP_select, p, x, y), at);
}
static Value run_dot(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0), y = arg_node(c, a, 1);
  Val p = join_op(c, OP_mul, x, y, at, a->at[0].span, a->at[1].span);
  return p == NO_VAL ? v_bad(at) : v_node(sum_event(c, p), at);
}
static Value run_fill(Checker *c, const Builtin *b, Values *a, Span at) {
  uint32_t dim[DIM_MAX];
  if (a->n > DIM_MAX) { diag_at(c->diag, E0304, at, "a value may have at most %d event axes", DIM_MAX); return v_bad(at); }
  for (uint32_t i = 0; i < a->n; i++) {
    Val v = arg_node(c, a, i);
    if (v == NO_VAL) return v_bad(at);
    const Node *n = node_of(c->g, v);
    if (n->op != OP_const || n->attr.number < 1 || n->attr.number != floor(n->attr.number)) {
      diag_at(c->diag, E0303, a->at[i].span, "a size known when compiled is wanted here");
      return v_bad(at);
    }
    dim[i] = (uint32_t)n->attr.number;
  }
  double x = strcmp(b->name, "ones") == 0;
  if (strcmp(b->name, "identity") == 0) {
    Val row = graph_expand(c->g, graph_iota(c->g, dim[0]), 2, 2, (uint32_t[]){dim[0], dim[0]});
    Val col = graph_expand(c->g, graph_iota(c->g, dim[0]), 1, 2, (uint32_t[]){dim[0], dim[0]});
    return v_node(graph_op2(c->g, OP_eq, row, col), at);
  }
  return v_node(graph_expand(c->g, graph_const(c->g, x), (1u << a->n) - 1, a->n, dim), at);
}
static Value run_one_hot(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val y = arg_node(c, a, 0), k = arg_node(c, a, 1);
  if (y == NO_VAL || k == NO_VAL) return v_bad(at);
  const Node *n = node_of(c->g, k);
  if (n->op != OP_const) { diag_at(c->diag, E0303, a->at[1].span, "the number of classes must be known when compiled"); return v_bad(at); }
  if (shape_of(c->g, y)->rank) { diag_at(c->diag, E0302, a->at[0].span, "one_hot takes a scalar of class type"); return v_bad(at); }
  return v_node(graph_op2(c->g, OP_eq, graph_iota(c->g, (uint32_t)n->attr.number), y), at);
}
static Value run_transpose(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0);
  if (x == NO_VAL) return v_bad(at);
  if (shape_of(c->g, x)->rank != 2) {
    diag_mark(diag_at(c->diag, E0302, a->at[0].span, "transpose takes a matrix"), "%s", shape_text(c, shape_of(c->g, x)));
    return v_bad(at);
  }
  return v_node(graph_permute(c->g, x, (uint8_t[]){1, 0}), at);
}
static Value run_diag(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0);
  if (x == NO_VAL) return v_bad(at);
  const Shape *s = shape_of(c->g, x);
  if (s->rank == 2 && s->dim[0] == s->dim[1]) {         /* the diagonal of a matrix: sum over columns of matrix * identity */
    Val row = graph_expand(c->g, graph_iota(c->g, s->dim[0]), 2, 2, s->dim), col = graph_expand(c->g, graph_iota(c->g, s->dim[0]), 1, 2, s->dim);
    Form_ form = node_of(c->g, x)->range.form;
    Val d = graph_reduce(c->g, REDUCE_SUM, graph_op3(c->g, OP_select, graph_op2(c->g, OP_eq, row, col), x, graph_const(c->g, 0)), 0, 2);
    return v_node(form == FORM_CHOLESKY || form == FORM_CORR_CHOLESKY ? graph_assume(c->g, d, RANGE_POSITIVE) : d, at);
  }
  if (s->rank == 1) {
    uint32_t dim[2] = {s->dim[0], s->dim[0]};
    Val row = graph_expand(c->g, graph_iota(c->g, dim[0]), 2, 2, dim), col = graph_expand(c->g, graph_iota(c->g, dim[0]), 1, 2, dim);
    return v_node(graph_op3(c->g, OP_select, graph_op2(c->g, OP_eq, row, col), graph_expand(c->g, x, 1, 2, dim), graph_const(c->g, 0)), at);
  }
  diag_mark(diag_at(c->diag, E0302, a->at[0].span, "diag takes a vector or a square matrix"), "%s", shape_text(c, s));
  return v_bad(at);
}
static Value run_concat(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val *x = arena_alloc(c->arena, a->n * sizeof *x);
  for (uint32_t i = 0; i < a->n; i++) {
    if ((x[i] = arg_node(c, a, i)) == NO_VAL) return v_bad(at);
    const Shape *s = shape_of(c->g, x[i]);
    if (s->rank == 0) { x[i] = graph_expand(c->g, x[i], 1, 1, (uint32_t[]){1}); s = shape_of(c->g, x[i]); }
    const Shape *first = shape_of(c->g, x[0]);
    bool same = s->rank == first->rank;
    for (uint32_t k = 0; same && k + 1 < s->rank; k++) same = s->dim[k] == first->dim[k];
    if (!same) {
      DiagItem *d = diag_at(c->diag, E0301, at, "concat joins along the last axis; the others must agree");
      diag_label(d, a->at[0].span, "%s", shape_text(c, first));
      diag_label(d, a->at[i].span, "%s", shape_text(c, s));
      return v_bad(at);
    }
  }
  return v_node(a->n == 1 ? x[0] : graph_concat(c->g, x, a->n, shape_of(c->g, x[0])->rank - 1), at);
}
/* reshape(x, n, m, ...): the same elements in row-major order */
static Value run_reshape(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0);
  uint32_t rank = a->n - 1, dim[DIM_MAX];
  double size = 1;
  if (x == NO_VAL) return v_bad(at);
  for (uint32_t i = 0; i < rank; i++) {
    Val v = arg_node(c, a, i + 1);
    if (v == NO_VAL) return v_bad(at);
    const Node *n = node_of(c->g, v);
    if (n->op != OP_const || n->attr.number < 1 || n->attr.number != floor(n->attr.number) || n->attr.number > 2147483647.0) {
      diag_at(c->diag, E0303, a->at[i + 1].span, "a size known when compiled is wanted here");
      return v_bad(at);
    }
    dim[i] = (uint32_t)n->attr.number, size *= dim[i];
  }
  if (size != (double)shape_event_size(shape_of(c->g, x))) {
    diag_mark(diag_at(c->diag, E0301, at, "`reshape` keeps the number of elements, and %g are asked for", size), "%s", shape_text(c, shape_of(c->g, x)));
    return v_bad(at);
  }
  return v_node(graph_reshape(c->g, x, rank, dim), at);
}
static Value run_argmax(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0);
  if (x == NO_VAL) return v_bad(at);
  const Shape *s = shape_of(c->g, x);
  if (s->rank != 1) { diag_mark(diag_at(c->diag, E0302, a->at[0].span, "argmax takes a vector"), "%s", shape_text(c, s)); return v_bad(at); }
  uint32_t n = s->dim[0];
  Val most = graph_reduce(c->g, REDUCE_MAX, x, 0, 1);
  Val which = graph_op3(c->g, OP_select, graph_op2(c->g, OP_le, most, x), graph_iota(c->g, n), graph_const(c->g, n - 1));
  return v_node(graph_assume(c->g, graph_reduce(c->g, REDUCE_MIN, which, 0, 1), (Range){.lo = 0, .hi = n - 1, .whole = true}), at);
}
static Value run_stop(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0);
  return x == NO_VAL ? v_bad(at) : v_node(graph_stop(c->g, x), at);
}
static Value run_cholesky(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0);
  if (x == NO_VAL) return v_bad(at);
  const Shape *s = shape_of(c->g, x);
  if (s->rank != 2 || s->dim[0] != s->dim[1]) {
    diag_mark(diag_at(c->diag, E0302, a->at[0].span, "cholesky takes a square matrix"), "%s", shape_text(c, s));
    return v_bad(at);
  }
  return v_node(graph_assume(c->g, graph_cholesky(c->g, x), (Range){-INFINITY, INFINITY, true, true, false, FORM_CHOLESKY}), at);
}
static Value run_running(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  Val x = arg_node(c, a, 0);
  if (x == NO_VAL) return v_bad(at);
  if (shape_of(c->g, x)->rank == 0) {
    diag_mark(diag_at(c->diag, E0302, a->at[0].span, "`sum_before` takes a vector, or more axes"), "%s", shape_text(c, shape_of(c->g, x)));
    return v_bad(at);
  }
  return v_node(graph_running(c->g, x, false), at);
}
/* solve_lower(L, b): x with L x = b; solve_upper(L, b): x with transpose(L) x = b; L lower triangular, b a vector or matrix. */
static Value run_solve(Checker *c, const Builtin *b, Values *a, Span at) {
  Val l = arg_node(c, a, 0), x = arg_node(c, a, 1);
  if (l == NO_VAL || x == NO_VAL) return v_bad(at);
  const Shape *sl = shape_of(c->g, l), *sx = shape_of(c->g, x);
  if (sl->rank != 2 || sl->dim[0] != sl->dim[1] || sx->rank < 1 || sx->rank > 2 || sx->dim[0] != sl->dim[0]) {
    DiagItem *d = diag_at(c->diag, E0301, at, "`%s` takes a square matrix and a vector or matrix of as many rows", b->name);
    diag_label(d, a->at[0].span, "%s", shape_text(c, sl));
    diag_label(d, a->at[1].span, "%s", shape_text(c, sx));
    return v_bad(at);
  }
  return v_node(graph_solve_tri(c->g, l, x, true, strcmp(b->name, "solve_upper") == 0), at);
}
static Value run_len(Checker *c, const Builtin *b, Values *a, Span at) {
  bool last = strcmp(b->name, "last") == 0;
  if (a->at[0].kind == V_BAD) return v_bad(at);
  if (a->at[0].kind == V_LIST && a->at[0].as.list->n) {
    if (!last) return v_node(graph_const(c->g, a->at[0].as.list->n), at);
    Value v = a->at[0].as.list->at[a->at[0].as.list->n - 1];
    v.span = at;
    return v;
  }
  if (a->at[0].kind == V_LIST && !last) return v_node(graph_const(c->g, 0), at);
  Val v = arg_node(c, a, 0);
  if (v == NO_VAL) return v_bad(at);
  const Shape *s = shape_of(c->g, v);
  if (s->rank == 0) { diag_at(c->diag, E0302, a->at[0].span, "`%s` takes a list or a vector", b->name); return v_bad(at); }
  return v_node(last ? graph_index(c->g, v, 0, s->dim[0] - 1) : graph_const(c->g, s->dim[0]), at);
}
static Value run_plate_size(Checker *c, const Builtin *b, Values *a, Span at) {
  bool total = strcmp(b->name, "plate_size") == 0;
  (void)a;
  for (uint32_t i = 0; i < c->g->axis.n; i++)
    if (c->plates >> i & 1) return v_node(graph_count(c->g, i, total), at);
  diag_help(diag_at(c->diag, E0407, at, "`%s` of which plate? no plate is around this", b->name), "name it: `%s(%s)`", b->name, c->g->axis.n && c->g->axis.at[0].kind == AXIS_PLATE ? c->g->axis.at[0].name : "row");
  return v_bad(at);
}
/* A call by name is eval_step's. */
static Value run_step(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)a;
  diag_help(diag_at(c->diag, E0408, at, "`%s` is called by its name, with a value and its edge", b->name), "write `%s(h, zeros(20))`", b->name);
  return v_bad(at);
}
/* Sources of randomness: in members of distributions only. */
static Value run_random(Checker *c, const Builtin *b, Values *a, Span at) {
  if (!c->draw_shape) {
    DiagItem *i = diag_at(c->diag, E0302, at, "`%s` is for the `sample` of a distribution", b->name);
    diag_help(i, "elsewhere, draw from a distribution: `draw Normal(0, 1)`");
    return v_bad(at);
  }
  RandomKind kind = strcmp(b->name, "standard_uniform") == 0 ? RANDOM_UNIFORM : strcmp(b->name, "standard_normal") == 0 ? RANDOM_NORMAL
                  : strcmp(b->name, "standard_gamma") == 0 ? RANDOM_GAMMA : strcmp(b->name, "poisson_draw") == 0 ? RANDOM_POISSON : RANDOM_VONMISES;
  Val arg = a->n ? arg_node(c, a, 0) : NO_VAL;
  if (a->n && arg == NO_VAL) return v_bad(at);
  const Shape *s = c->indices & ~c->draw_around ? c->draw_each : c->draw_shape;
  if (arg != NO_VAL && shape_of(c->g, arg)->rank > s->rank) s = graph_shape(c->g, s->axes, shape_of(c->g, arg)->rank, shape_of(c->g, arg)->dim);
  if (arg != NO_VAL) s = graph_shape(c->g, s->axes | shape_of(c->g, arg)->axes, s->rank, s->dim);
  if (c->indices) s = graph_shape(c->g, s->axes | c->indices, s->rank, s->dim);      /* inside [k in K]: fresh for each k */
  uint32_t draw = c->draw;
  if (c->draws_used++) {                                /* a further source inside one distribution */
    Draw d = c->g->draws.at[c->draw];
    d.name = name_printf("%s/%u", d.name, c->draws_used);
    draw = graph_draw(c->g, d);
  }
  return v_node(graph_random(c->g, kind, draw, s, arg), at);
}

/* ---- schedules: values of options and of learning rates */
static bool number_of(Checker *c, Value v, double *x) {
  Val n = value_node(c, v);
  if (n == NO_VAL) return false;
  if (node_of(c->g, n)->op != OP_const) { diag_at(c->diag, E0303, v.span, "a number known when compiled is wanted here"); return false; }
  *x = node_of(c->g, n)->attr.number;
  return true;
}
static bool numbers_of(Checker *c, Value v, double **out, uint32_t *n) {
  if (v.kind == V_LIST) {
    *n = v.as.list->n;
    *out = arena_alloc(c->arena, (*n + 1) * sizeof **out);
    for (uint32_t i = 0; i < *n; i++) if (!number_of(c, v.as.list->at[i], &(*out)[i])) return false;
    return *n > 0;
  }
  Val x = value_node(c, v);                              /* a computed vector of constants: [i in 0..7] ... */
  EvalInput in = {0};
  EvalResult result;
  char error[256];
  if (x == NO_VAL) return false;
  if (shape_of(c->g, x)->axes || shape_of(c->g, x)->rank != 1 || !graph_eval(c->arena, c->g, &x, 1, &in, &result, error)) {
    diag_at(c->diag, E0303, v.span, "a list of numbers known when compiled is wanted here");
    return false;
  }
  *n = (uint32_t)result.size[x], *out = result.value[x];
  return true;
}
static bool duration_of(Checker *c, Value v, double *amount, SviUnit *unit) {
  if (v.kind == V_BAD) return false;
  if (v.kind != V_DURATION) {
    DiagItem *i = diag_at(c->diag, E0602, v.span, "a duration is wanted here");
    diag_help(i, "give it a unit: `200 epochs` or `5000 steps`");
    return false;
  }
  *amount = v.as.duration.amount, *unit = v.as.duration.unit;
  return true;
}
static Value schedule(Checker *c, SviCurve curve, SviUnit unit, uint32_t n, const double *at_, const double *value, double period, Span at) {
  SviSchedule *s = NEW(c->arena, SviSchedule);
  double *copy = arena_alloc(c->arena, 2 * n * sizeof *copy);
  memcpy(copy, at_, n * sizeof *copy);
  memcpy(copy + n, value, n * sizeof *copy);
  *s = (SviSchedule){curve, unit, (int32_t)n, copy, copy + n, period};
  return (Value){.kind = V_SCHEDULE, .span = at, .as.schedule = s};
}
/* warmup(200 epochs): 0 to 1; linear(a, b, T), cosine(a, b, T): a to b over T; cyclical(T): 0 to 1 over the first half of each T;
 * stages([v1, v2, ...], [n1, n2, ...] epochs): holds v1 for n1, then v2 for n2, ... */
static Value run_schedule(Checker *c, const Builtin *b, Values *a, Span at) {
  double x = 0, y = 1, t;
  SviUnit unit;
  if (strcmp(b->name, "warmup") == 0) {
    if (!duration_of(c, a->at[0], &t, &unit)) return v_bad(at);
    return schedule(c, SVI_CURVE_LINEAR, unit, 2, (double[]){0, t}, (double[]){0, 1}, 0, at);
  }
  if (strcmp(b->name, "cyclical") == 0) {
    if (!duration_of(c, a->at[0], &t, &unit)) return v_bad(at);
    return schedule(c, SVI_CURVE_LINEAR, unit, 3, (double[]){0, t / 2, t}, (double[]){0, 1, 1}, t, at);
  }
  if (strcmp(b->name, "stages") == 0) {
    Name word = c->named->n ? c->named->at[c->named->n - 1].name : NULL;
    double *value, *length;
    uint32_t n, m;
    if (a->at[0].kind == V_BAD || a->at[1].kind == V_BAD) return v_bad(at);
    if (!word || (strcmp(word, "epochs") != 0 && strcmp(word, "steps") != 0)) {
      DiagItem *i = diag_at(c->diag, E0602, at, "`stages` takes values and how long each lasts");
      diag_help(i, "for instance `stages([1e-3, 1e-4], epochs: [10, 5])`");
      return v_bad(at);
    }
    if (!numbers_of(c, a->at[0], &value, &n) || !numbers_of(c, a->at[1], &length, &m)) return v_bad(at);
    if (n != m) { diag_at(c->diag, E0602, at, "`stages` has %u value%s and %u length%s", n, n == 1 ? "" : "s", m, m == 1 ? "" : "s"); return v_bad(at); }
    double *when = arena_alloc(c->arena, n * sizeof *when);
    for (uint32_t i = 1; i < n; i++) when[i] = when[i - 1] + length[i - 1];
    return schedule(c, SVI_CURVE_HOLD, strcmp(word, "epochs") == 0 ? SVI_EPOCHS : SVI_STEPS, n, when, value, 0, at);
  }
  if (strcmp(b->name, "decay") == 0) {                   /* a, then times r after every T: 200 such steps */
    if (!number_of(c, a->at[0], &x) || !number_of(c, a->at[1], &y) || !duration_of(c, a->at[2], &t, &unit)) return v_bad(at);
    enum { TURNS = 500 };
    double *when = arena_alloc(c->arena, 2 * TURNS * sizeof *when), *value = when + TURNS;
    for (uint32_t i = 0; i < TURNS; i++) when[i] = i * t, value[i] = x * pow(y, i);
    return schedule(c, SVI_CURVE_HOLD, unit, TURNS, when, value, 0, at);
  }
  if (!number_of(c, a->at[0], &x) || !number_of(c, a->at[1], &y) || !duration_of(c, a->at[2], &t, &unit)) return v_bad(at);
  return schedule(c, strcmp(b->name, "cosine") == 0 ? SVI_CURVE_COSINE : SVI_CURVE_LINEAR, unit, 2, (double[]){0, t}, (double[]){x, y}, 0, at);
}

static const Builtin builtins[] = {
  /* name            arguments  op            run              help                                                             */
  {"exp",              1, 1, OP_exp,       run_elementwise, "exp(x)"},
  {"log",              1, 1, OP_log,       run_elementwise, "natural logarithm of a positive value"},
  {"log1p",            1, 1, OP_log1p,     run_elementwise, "log(1 + x)"},
  {"expm1",            1, 1, OP_expm1,     run_elementwise, "exp(x) - 1"},
  {"sqrt",             1, 1, OP_sqrt,      run_elementwise, "square root"},
  {"square",           1, 1, OP_square,    run_elementwise, "x * x"},
  {"abs",              1, 1, OP_abs,       run_elementwise, "absolute value"},
  {"sign",             1, 1, OP_sign,      run_elementwise, "-1, 0 or 1"},
  {"tanh",             1, 1, OP_tanh,      run_elementwise, "hyperbolic tangent"},
  {"sigmoid",          1, 1, OP_sigmoid,   run_elementwise, "1 / (1 + exp(-x))"},
  {"softplus",         1, 1, OP_softplus,  run_elementwise, "log(1 + exp(x))"},
  {"relu",             1, 1, OP_COUNT,     run_relu,        "max(x, 0)"},
  {"logit",            1, 1, OP_COUNT,     run_logit,       "log(x / (1 - x))"},
  {"erf",              1, 1, OP_erf,       run_elementwise, "error function"},
  {"erfinv",           1, 1, OP_erfinv,    run_elementwise, "inverse of the error function"},
  {"sin",              1, 1, OP_sin,       run_elementwise, "sine"},
  {"cos",              1, 1, OP_cos,       run_elementwise, "cosine"},
  {"lgamma",           1, 1, OP_lgamma,    run_elementwise, "log of the gamma function, x > 0"},
  {"digamma",          1, 1, OP_digamma,   run_elementwise, "derivative of lgamma"},
  {"log_i0e",          1, 1, OP_log_i0e,   run_elementwise, "log of exp(-x) I0(x), a Bessel function, x >= 0"},
  {"bessel_gap",       1, 1, OP_bessel_gap, run_elementwise, "1 - I1(x) / I0(x), x >= 0"},
  {"log_ndtr",         1, 1, OP_log_ndtr,  run_elementwise, "log of the normal distribution function"},
  {"log_ndtr_grad",    1, 1, OP_log_ndtr_grad, run_elementwise, "its derivative: the normal density over the distribution function"},
  {"log_ndtri",        1, 1, OP_log_ndtri, run_elementwise, "inverse of log_ndtr: the normal quantile of a probability's log"},
  {"floor",            1, 1, OP_floor,     run_elementwise, "largest whole number not above x"},
  {"min",              2, 2, OP_min,       run_elementwise, "the smaller of two"},
  {"max",              2, 2, OP_max,       run_elementwise, "the larger of two"},
  {"pow",              2, 2, OP_pow,       run_elementwise, "x ^ y"},
  {"xlogy",            2, 2, OP_xlogy,     run_elementwise, "x log y, and 0 where x is 0"},
  {"clip",             3, 3, OP_COUNT,     run_clip,        "clip(x, lo, hi)"},
  {"select",           3, 3, OP_COUNT,     run_select,      "select(c, a, b): a where c is not 0, else b"},
  {"dot",              2, 2, OP_COUNT,     run_dot,         "sum of products of two equal shapes"},
  {"zeros",            1, 6, OP_COUNT,     run_fill,        "zeros(n, ...)"},
  {"ones",             1, 6, OP_COUNT,     run_fill,        "ones(n, ...)"},
  {"identity",         1, 1, OP_COUNT,     run_fill,        "the n x n identity matrix"},
  {"one_hot",          2, 2, OP_COUNT,     run_one_hot,     "one_hot(y, K): a vector with 1 at class y"},
  {"transpose",        1, 1, OP_COUNT,     run_transpose,   "of a matrix"},
  {"diag",             1, 1, OP_COUNT,     run_diag,        "diagonal of a matrix, or the matrix of a diagonal"},
  {"concat",           1, 32, OP_COUNT,    run_concat,      "joins vectors along the last axis"},
  {"reshape",          1, 7, OP_COUNT,     run_reshape,     "reshape(x, n, m, ...): the same elements, row by row; reshape(x) of one element is a scalar"},
  {"argmax",           1, 1, OP_COUNT,     run_argmax,      "class (from 0) of the largest element of a vector"},
  {"stop",             1, 1, OP_COUNT,     run_stop,        "the value without its gradient"},
  {"cholesky",         1, 1, OP_COUNT,     run_cholesky,    "lower Cholesky factor"},
  {"sum_before",       1, 1, OP_COUNT,     run_running,     "sum_before(x)[i] is the sum of x[1..i-1], along the first axis"},
  {"solve_lower",      2, 2, OP_COUNT,     run_solve,       "x with L x = b"},
  {"solve_upper",      2, 2, OP_COUNT,     run_solve,       "x with transpose(L) x = b"},
  {"len",              1, 1, OP_COUNT,     run_len,         "length of a list or vector"},
  {"last",             1, 1, OP_COUNT,     run_len,         "last member of a list or vector"},
  {"prev",             2, 2, OP_COUNT,     run_step,        "prev(v, start): v of the step before, along an ordered plate; start at the first"},
  {"next",             2, 2, OP_COUNT,     run_step,        "next(v, end): v of the step after"},
  {"batch_size",       0, 0, OP_COUNT,     run_plate_size,  "rows in the batch: batch_size(image), or of the plate around"},
  {"plate_size",       0, 0, OP_COUNT,     run_plate_size,  "rows in the data set: plate_size(image), or of the plate around"},
  {"standard_uniform", 0, 0, OP_COUNT,     run_random,      "uniform on (0, 1); in distributions"},
  {"standard_normal",  0, 0, OP_COUNT,     run_random,      "normal; in distributions"},
  {"standard_gamma",   1, 1, OP_COUNT,     run_random,      "gamma of rate 1; in distributions"},
  {"poisson_draw",     1, 1, OP_COUNT,     run_random,      "Poisson; in distributions"},
  {"mixture",          2, 2, OP_COUNT,     run_mixture,     "mixture(weight, D), mixture(logit: l, D): the first axis of D's arguments counts the components"},
  {"transformed",      2, 32, OP_COUNT,    run_transformed, "transformed(D, f, ...): a draw of D taken through functions that return [y, log |det dy/dx|]"},
  {"vonmises_draw",    1, 1, OP_COUNT,     run_random,      "von Mises about 0, of this concentration; in distributions"},
  {"warmup",           1, 1, OP_COUNT,     run_schedule,    "warmup(T): 0 to 1 over T"},
  {"linear",           3, 3, OP_COUNT,     run_schedule,    "linear(a, b, T): a to b over T"},
  {"cosine",           3, 3, OP_COUNT,     run_schedule,    "cosine(a, b, T): a to b over T along a half cosine"},
  {"cyclical",         1, 1, OP_COUNT,     run_schedule,    "cyclical(T): 0 to 1 over the first half of every T"},
  {"stages",           2, 2, OP_COUNT,     run_schedule,    "stages([v, ...], epochs: [n, ...]): holds each value for its time"},
  {"decay",            3, 3, OP_COUNT,     run_schedule,    "decay(a, r, every: T): a, times r after every T"},
};
/* Three for each continuous support. */
static Value run_transform(Checker *c, const Builtin *b, Values *a, Span at) { return support_run(c, b->name, a, at); }
static const Builtin transforms[] = {
#define SUPPORT(name, own, ends, ...) \
  {"to_" #name,      1 + ends, 1 + ends, OP_COUNT, run_transform, "the value in `" #name "` of an unconstrained u"}, \
  {"from_" #name,    1 + ends, 1 + ends, OP_COUNT, run_transform, "the unconstrained u of a value in `" #name "`"}, \
  {"log_det_" #name, 1 + ends, 1 + ends, OP_COUNT, run_transform, "log |det| of the derivative of to_" #name " at u"},
#define DISCRETE(...)
#include "support.def"
#undef SUPPORT
#undef DISCRETE
};
const Builtin *builtin_find(Name name) {
  for (size_t i = 0; i < LEN(builtins); i++)
    if (strcmp(builtins[i].name, name) == 0) return &builtins[i];
  for (size_t i = 0; i < LEN(transforms); i++)
    if (strcmp(transforms[i].name, name) == 0) return &transforms[i];
  return NULL;
}
const char *builtin_name(size_t i) { return i < LEN(builtins) ? builtins[i].name : i < LEN(builtins) + LEN(transforms) ? transforms[i - LEN(builtins)].name : NULL; }
void builtin_names(FILE *out) {
  for (size_t i = 0; i < LEN(builtins); i++) fprintf(out, "  %-17s %s\n", builtins[i].name, builtins[i].help);
}

Value call_builtin(Checker *c, const Builtin *b, Values *args, Args names, Span at) {
  c->named = &names;
  for (uint32_t i = 0; i < names.n; i++)
    if (names.at[i].name && b->run != run_schedule && b->run != run_mixture) { diag_at(c->diag, E0206, names.at[i].span, "`%s` takes no named arguments", b->name); return v_bad(at); }
  if (args->n < b->least || args->n > b->most) {
    uint32_t want = args->n < b->least ? b->least : b->most;
    DiagItem *i = diag_at(c->diag, E0206, at, "`%s` takes %s%u argument%s, and %u %s given", b->name, b->least == b->most ? "" : args->n < b->least ? "at least " : "at most ",
                          want, want == 1 ? "" : "s", args->n, args->n == 1 ? "is" : "are");
    diag_note(i, "`%s`: %s", b->name, b->help);
    return v_bad(at);
  }
  for (uint32_t i = 0; i < args->n; i++)
    if (args->at[i].kind == V_BAD) return v_bad(at);
  if (b->op != OP_COUNT && args->n && args->at[0].kind == V_SITES) {  /* q.z: the value drawn */
    Val drawn = arg_node(c, args, 0);
    if (drawn == NO_VAL) return v_bad(at);
    args->at[0] = v_node(drawn, args->at[0].span);
  }
  if (b->op != OP_COUNT && args->n && args->at[0].kind == V_NODE) {   /* domain of log, lgamma, ... */
    static const struct { OpKind op; double lo; bool open; } domain[] = {{OP_log, 0, false}, {OP_sqrt, 0, false}, {OP_lgamma, 0, false}, {OP_digamma, 0, false}, {OP_log_i0e, 0, false}, {OP_bessel_gap, 0, false}, {OP_log1p, -1, false}};
    Range r = node_of(c->g, args->at[0].as.node)->range;
    for (size_t i = 0; i < LEN(domain); i++)
      if (domain[i].op == b->op && r.lo < domain[i].lo) {
        DiagItem *d = diag_at(c->diag, E0307, args->at[0].span, "the argument of `%s` must be at least %g, and this %s", b->name, domain[i].lo, but_text(r, (Range){.lo = domain[i].lo, .hi = INFINITY}));
        if (r.lo != r.hi) diag_mark(d, "range %s", range_text(c, r));
        const char *words = source_words(c, args->at[0].span);
        if (r.lo != r.hi && domain[i].lo == 0) diag_help(d, "guarantee it: `softplus(%s)`, `exp(%s)`, or `max(%s, 1e-6)`", words, words, words);
        return v_bad(at);
      }
  }
  c->g->span = at;
  return b->run(c, b, args, at);
}

/* ---- paths of parameters */
Name path_child(Checker *c, Name parent, Name child) {
  Name path = child ? parent ? name_printf("%s.%s", parent, child) : child : parent;
  for (uint32_t i = 0; i < c->counts.n; i++)
    if (c->counts.at[i].path == path) return name_printf("%s_%u", path, ++c->counts.at[i].n);
  PathCount p = {path, 1};
  vec_push(c->arena, &c->counts, p);
  return path;
}

/* ---- nets, functions, objectives */
/* Binds parameter `p` to `v`: checks its type, binding the sizes that the type names for the first time. */
static bool bind_param(Checker *c, Scope *s, const Param *p, Value v, const Decl *d) {
  if (v.kind == V_BAD) { scope_bind(c, s, p->name, v, p->span); return false; }
  const Type *t = p->type;
  Name element = t ? t->element : NULL;
  if (t && (element == name_of("size") || element == name_of("sizes") || element == name_of("function") || element == name_of("program"))) {
    bool fits = element == name_of("size") ? v.kind == V_NODE && node_of(c->g, v.as.node)->op == OP_const
              : element == name_of("sizes") ? v.kind == V_LIST
              : element == name_of("function") ? v.kind == V_FUNCTION : v.kind == V_PROGRAM;
    if (!fits) {
      bool size = element == name_of("size");
      if (size && v.kind == V_NODE && !shape_of(c->g, v.as.node)->rank) {
        DiagItem *i = diag_at(c->diag, E0303, v.span, "`%s` of `%s` must be known when compiled", p->name, d->name);
        tell_not_known(c, i, v.as.node);
        return false;
      }
      DiagItem *i = diag_at(c->diag, E0302, v.span, "`%s` of `%s` must be a %s", p->name, d->name, size ? "size" : element == name_of("sizes") ? "list of sizes" : element);
      diag_mark(i, "%s", value_kind_text(v));
      diag_label(i, p->span, "the parameter");
      if (element == name_of("sizes") && v.kind == V_NODE && node_of(c->g, v.as.node)->op == OP_const) diag_help(i, "write a list: `[%s]`", source_words(c, v.span));
      if (size && v.kind == V_LIST) diag_help(i, "name one of its elements");
      return false;
    }
    scope_bind(c, s, p->name, v, p->span);
    return true;
  }
  if (t) {
    Val node = value_node(c, v);
    if (node == NO_VAL) return false;
    const Shape *sh = shape_of(c->g, node);
    uint32_t at = 0, groups = t->sizes.n, want = 0;
    uint32_t own;
    Range range;
    if (!range_of_type(c, s, t, &range, &own)) return false;
    uint32_t of_element = element == name_of("class");   /* class[K]: its first sizes are not the event's */
    for (uint32_t g = of_element; g < groups; g++) want += t->sizes.at[g].n;
    bool square = own == 2 && groups && t->sizes.at[groups - 1].n == 1;      /* cholesky[n] is n by n */
    want += square;
    bool fits = want == sh->rank;
    for (uint32_t g = of_element; fits && g < groups; g++)
      for (uint32_t k = 0; fits && k < t->sizes.at[g].n; k++, at++) {
        const Expr *e = t->sizes.at[g].at[k];
        if (e->kind == EX_NAME && !scope_find(s, e->as.name) && !module_decl(s->module, e->as.name)) {
          scope_bind(c, s, e->as.name, v_node(graph_const(c->g, sh->dim[at]), e->span), e->span);
        } else {
          uint32_t size;
          if (!want_size(c, s, e, &size)) return false;
          fits = size == sh->dim[at];
        }
      }
    if (fits && square) fits = sh->dim[at] == sh->dim[at - 1];
    if (!fits) {
      static const char *const ranks[] = {"a scalar", "a vector", "a matrix"};
      DiagItem *i = want != sh->rank && want < LEN(ranks) ? diag_at(c->diag, E0301, v.span, "`%s` of `%s` must be %s", p->name, d->name, ranks[want])
                                                          : diag_at(c->diag, E0301, v.span, "`%s` of `%s` must have another shape", p->name, d->name);
      diag_mark(i, "%s", shape_text(c, sh));
      diag_label(i, p->span, "declared here");
      if (want == 1 && sh->rank == 0) diag_help(i, "a vector of one element is written `[%s]`", source_words(c, v.span));
      return false;
    }
    Range have = node_of(c->g, node)->range;
    if (!range_within(have, range)) {
      DiagItem *i = diag_at(c->diag, E0307, v.span, "`%s` of `%s` must be %s, and this %s", p->name, d->name, must_text(range), but_text(have, range));
      if (have.lo != have.hi) diag_mark(i, "range %s", range_text(c, have));
      diag_label(i, p->span, "declared here");
      return false;
    }
    v = v_node(node, v.span);
  }
  scope_bind(c, s, p->name, v, p->span);
  return true;
}

static void tell_params(DiagItem *i, Name name, const Params *params) {
  Name text = name_printf("%s(", name);
  for (uint32_t k = 0; k < params->n; k++) text = name_printf("%s%s%s", text, k ? ", " : "", params->at[k].name);
  diag_note(i, "its arguments: `%s)`", text);
}

/* Matches arguments to parameters by position and name.  False after a message. */
static bool bind_params(Checker *c, Scope *inner, const Decl *d, const Params *params, Value *piped, Scope *s, const Args *first, Scope *s2, const Args *second, Span at) {
  const Arg **given = arena_alloc(c->arena, (params->n + 1) * sizeof *given);
  Scope **where = arena_alloc(c->arena, (params->n + 1) * sizeof *where);
  bool *set = arena_alloc(c->arena, params->n + 1);
  uint32_t next = 0;
  if (piped && params->n == 0) { diag_at(c->diag, E0206, at, "`%s` takes no arguments", d->name); return false; }
  if (piped) set[0] = true, next = 1;
  for (int pass = 0; pass < 2; pass++) {
    const Args *args = pass ? second : first;
    if (!args) continue;
    for (uint32_t i = 0; i < args->n; i++) {
      uint32_t k = next;
      if (args->at[i].name) {
        for (k = 0; k < params->n && params->at[k].name != args->at[i].name; k++) {}
        if (k == params->n) {
          DiagItem *it = diag_at(c->diag, E0206, args->at[i].span, "`%s` has no parameter `%s`", d->name, args->at[i].name);
          Name *names = arena_alloc(c->arena, (params->n + 1) * sizeof *names);
          for (uint32_t j = 0; j < params->n; j++) names[j] = params->at[j].name;
          Name near = name_meant(args->at[i].name, names, params->n);
          Span word = {args->at[i].span.at, args->at[i].span.at + (uint32_t)strlen(args->at[i].name)};
          if (near) diag_fix(it, word, near, "did you mean `%s`?", near);
          else tell_params(it, d->name, params);
          diag_label(it, d->name_span, "declared here");
          return false;
        }
      } else {
        while (next < params->n && set[next]) next++;
        k = next;
        if (k == params->n) {
          DiagItem *it = diag_at(c->diag, E0206, args->at[i].span, "an argument too many: `%s` takes %u", d->name, params->n);
          diag_label(it, d->name_span, "declared here");
          tell_params(it, d->name, params);
          return false;
        }
      }
      if (set[k]) { diag_at(c->diag, E0206, args->at[i].span, "`%s` is given twice", params->at[k].name); return false; }
      set[k] = true, given[k] = &args->at[i], where[k] = pass ? s2 : s;
    }
  }
  bool ok = true;
  for (uint32_t k = 0; k < params->n; k++) {
    const Param *p = &params->at[k];
    Value v;
    if (k == 0 && piped) v = *piped;
    else if (given[k]) v = eval(c, where[k], given[k]->value);
    else if (p->fallback) v = eval(c, inner, p->fallback);
    else {
      DiagItem *it = diag_at(c->diag, E0206, at, "`%s` needs its argument `%s`", d->name, p->name);
      diag_label(it, p->span, "this one is not given");
      tell_params(it, d->name, params);
      ok = false;
      v = v_bad(at);
    }
    ok &= bind_param(c, inner, p, v, d);
  }
  return ok;
}

static bool is_endless(const Checker *c, const Decl *d) {
  for (uint32_t i = 0; i < c->endless.n; i++)
    if (c->endless.at[i] == d) return true;
  return false;
}
static void calls_itself(Checker *c, const Decl *d, Span at) {
  vec_push(c->arena, &c->endless, d);
  DiagItem *i = diag_at(c->diag, E0205, at, "`%s` calls itself without end", d->name);
  diag_label(i, d->name_span, "defined here");
  diag_note(i, "calls are expanded when compiled, so a definition cannot need itself");
  diag_help(i, "to repeat a layer, write `for l in 1..L { h[l] = ... h[l-1] ... }`");
}

enum { MOST_CALLS = 200000 };
static void calls_too_much(Checker *c, const Decl *d, Span at) {
  vec_push(c->arena, &c->endless, d);
  DiagItem *i = diag_at(c->diag, E0205, at, "this model expands to more than %d calls", MOST_CALLS);
  diag_label(i, d->name_span, "`%s` was being called", d->name);
  diag_note(i, "calls are expanded when compiled; a function that calls itself twice doubles with each level");
}

static Value call_net(Checker *c, Scope *s, const Function *f, Args args, Value *piped, Span at) {
  const Decl *d = f->decl;
  if (is_endless(c, d)) return v_bad(at);
  if (!c->path && !f->path) {
    DiagItem *i = diag_at(c->diag, E0404, at, "a net cannot be called here: parameters of `%s` would belong to no program", d->name);
    diag_label(i, d->name_span, "a net");
    diag_help(i, "call it in a program; for one set of parameters used in many places, declare an instance: `net f = %s(...)`; what has no parameters can be a `fun`", d->name);
    return v_bad(at);
  }
  Scope *inner = scope_new(c, NULL, f->module);
  /* an instance was given what follows the value; the value comes first at each call */
  Args first = args;
  Value head;
  if (f->path && f->bound.n && !piped && args.n) {
    head = eval(c, s, args.at[0].value);
    piped = &head;
    first.at = args.at + 1, first.n = args.n - 1;
  }
  if (!bind_params(c, inner, d, &d->as.net.params, piped, s, &first, f->bound_scope, f->path ? &f->bound : NULL, at)) return v_bad(at);
  Name outer = c->path;
  Name own = f->path ? f->path : path_child(c, outer, d->name);
  c->path = own;
  uint32_t counts = c->counts.n;
  PathCount *saved = NULL;
  if (f->path) {                       /* each call of an instance names its inner nets alike */
    saved = arena_alloc(c->arena, (counts + 1) * sizeof *saved);
    if (counts) memcpy(saved, c->counts.at, counts * sizeof *saved);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->counts.n; i++)
      if (!name_inside(c->counts.at[i].path, own)) c->counts.at[kept++] = c->counts.at[i];
    c->counts.n = kept;
  }
  bool returned = false;
  Program *program = c->program;
  inner->program = NULL;
  if (++c->calls > MOST_CALLS) { calls_too_much(c, d, at); c->path = outer; return v_bad(at); }
  if (++c->depth > 200) {
    c->depth--;
    calls_itself(c, d, at);
    c->path = outer;
    return v_bad(at);
  }
  unsigned errors = diag_errors(c->diag);
  uint32_t told = diag_count(c->diag);
  inner->body = &d->as.net.body;
  Value v = run_body(c, inner, &d->as.net.body, &returned);
  c->depth--;
  diag_called(c->diag, told, at, d->span);
  c->program = program;
  c->path = outer;
  if (!returned) v = v_bad(at);
  if (!returned && diag_errors(c->diag) == errors) {
    DiagItem *i = diag_at(c->diag, E0208, d->name_span, "net `%s` does not return a value", d->name);
    diag_label(i, at, "called here");
    diag_help(i, "end its body with `return ...`");
    return v_bad(at);
  }
  if (d->as.net.result && v.kind == V_NODE) {
    TypeInfo t;
    if (!type_eval(c, inner, d->as.net.result, &t)) return v_bad(at);
    const Shape *sh = shape_of(c->g, v.as.node);
    if (sh->rank != t.rank || memcmp(sh->dim, t.dim, t.rank * sizeof *t.dim) != 0) {
      DiagItem *i = diag_at(c->diag, E0301, d->as.net.result->span, "net `%s` returns another shape than it says", d->name);
      diag_mark(i, "%s", shape_text(c, graph_shape(c->g, 0, t.rank, t.dim)));
      diag_label(i, v.span, "%s", shape_text(c, sh));
      diag_label(i, at, "in this call");
      return v_bad(at);
    }
  }
  v.span = at;
  return v;
}

static Value call_fun(Checker *c, Scope *s, const Function *f, Args args, Value *piped, Span at) {
  Scope *inner = scope_new(c, NULL, f->module);
  if (is_endless(c, f->decl)) return v_bad(at);
  if (!bind_params(c, inner, f->decl, &f->decl->as.fun.params, piped, s, &args, NULL, NULL, at)) return v_bad(at);
  uint32_t told = diag_count(c->diag);
  if (++c->calls > MOST_CALLS) { calls_too_much(c, f->decl, at); return v_bad(at); }
  if (++c->depth > 200) { c->depth--; calls_itself(c, f->decl, at); return v_bad(at); }
  Value v = eval(c, inner, f->decl->as.fun.body);
  c->depth--;
  diag_called(c->diag, told, at, f->decl->span);
  v.span = at;
  return v;
}

Value apply(Checker *c, Scope *s, Value callee, Args args, Value *piped, Span at) {
  if (callee.kind == V_BAD || (piped && piped->kind == V_BAD)) return v_bad(at);
  if (callee.kind != V_FUNCTION) {
    DiagItem *i = diag_at(c->diag, E0302, callee.span, "%s cannot be called", value_kind_text(callee));
    if (callee.kind == V_NODE || callee.kind == V_LIST || callee.kind == V_FAMILY) diag_help(i, "an element is written with square brackets: `%s[1]`; a product with `*`", source_words(c, callee.span));
    return v_bad(at);
  }
  const Function *f = callee.as.function;
  if (f->builtin) {
    Values *values = NEW(c->arena, Values);
    if (piped) vec_push(c->arena, values, *piped);
    for (uint32_t i = 0; i < args.n; i++) {
      Value v = eval(c, s, args.at[i].value);
      vec_push(c->arena, values, v);
    }
    return call_builtin(c, f->builtin, values, args, at);
  }
  switch (f->decl->kind) {
    case DE_NET:       return call_net(c, s, f, args, piped, at);
    case DE_FUN:
    case DE_OBJECTIVE: return call_fun(c, s, f, args, piped, at);
    case DE_DIST:      return dist_apply(c, s, f, args, piped, at);
    case DE_IMPORT: case DE_CONST: case DE_OPTION: case DE_PLATE: case DE_DATA: case DE_INSTANCE: case DE_PROGRAM: case DE_AUTOGUIDE:
    case DE_GOAL: case DE_TRAIN: case DE_REPORT: break;
  }
  BUG("applying a declaration of kind %d", f->decl->kind);
}
