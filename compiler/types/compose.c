/* Distributions made of others: mixture(weight, D), transformed(D, f, ...).
 *
 * A mixture is a DistValue of its component's family whose arguments have a further axis in front, one entry a component.
 *
 * A transformed distribution draws x from its base and is y = f(x): its density is the base's at x, less log |det dy/dx|.  A
 * function returns both, [y, log_det]; given `inverse: 1` it returns [x, log |det dx/dy|].  Both ways are evaluated here, in the
 * template, from a variable that stands for x or y; lowering gives those their values, and where it knows the x that a draw was made
 * from it needs no inverse. */
#include "value.h"

Name dist_title(const DistValue *d) {
  return d->mixture ? name_printf("mixture of %s", d->decl->name) : d->flow ? name_printf("transformed %s", d->decl->name) : d->decl->name;
}

/* ---- mixtures */
Value run_mixture(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  bool logit = c->named->n && c->named->at[0].name == name_of("logit");
  for (uint32_t i = 0; i < c->named->n; i++)
    if (c->named->at[i].name && !(i == 0 && logit)) {
      diag_help(diag_at(c->diag, E0206, c->named->at[i].span, "`mixture` has no parameter `%s`", c->named->at[i].name), "it is written `mixture(weight, D)` or `mixture(logit: l, D)`");
      return v_bad(at);
    }
  Val weight = value_node(c, a->at[0]);
  if (weight == NO_VAL) return v_bad(at);
  const Shape *ws = shape_of(c->g, weight);
  if (ws->rank != 1) {
    diag_mark(diag_at(c->diag, E0301, a->at[0].span, "the weights of a mixture are a vector, one number a component"), "%s", shape_text(c, ws));
    return v_bad(at);
  }
  if (!logit && node_of(c->g, weight)->range.form != FORM_SIMPLEX && !dist_constant_has_form(c, weight, support_range(support_type(name_of("simplex"))))) {
    DiagItem *i = diag_at(c->diag, E0307, a->at[0].span, "the weights of a mixture must be a simplex, and nothing says that these are");
    diag_help(i, "wrap them, `softmax(%s)`, or give them as they are: `mixture(logit: %s, ...)`", source_words(c, a->at[0].span), source_words(c, a->at[0].span));
    return v_bad(at);
  }
  if (a->at[1].kind != V_DIST) {
    diag_help(diag_at(c->diag, E0302, a->at[1].span, "a mixture is of a distribution, and this is %s", value_kind_text(a->at[1])), "for instance `mixture(w, Normal(m, s))` with m, s of one row a component");
    return v_bad(at);
  }
  DistValue *d = NEW(c->arena, DistValue);
  *d = *a->at[1].as.dist;
  uint32_t rank, dim[DIM_MAX];
  if (d->mixture || d->flow) { diag_at(c->diag, E0302, a->at[1].span, "a mixture is of plain distributions"); return v_bad(at); }
  if (!dist_event(c, d, a->at[1].span, &rank, dim)) return v_bad(at);
  if (rank == 0 || dim[0] != ws->dim[0]) {
    DiagItem *i = diag_at(c->diag, E0301, at, "the weights say %u components, and the distribution %s", ws->dim[0], rank ? name_printf("%u", dim[0]) : "one");
    diag_label(i, a->at[0].span, "%s", shape_text(c, ws));
    diag_label(i, a->at[1].span, "%s", shape_text(c, graph_shape(c->g, 0, rank, dim)));
    diag_note(i, "the first axis of the arguments counts the components");
    return v_bad(at);
  }
  if (d->copies_rank) d->copies_rank--, memmove(d->copies, d->copies + 1, d->copies_rank * sizeof *d->copies);      /* every component is alike */
  Val log_weight = logit ? graph_op2(c->g, OP_sub, weight, graph_spread(c->g, graph_reduce(c->g, REDUCE_LOGSUMEXP, weight, 0, 1), ws)) : graph_op1(c->g, OP_log, weight);
  d->mixture = true, d->log_weight = log_weight, d->span = at;
  return (Value){.kind = V_DIST, .span = at, .as.dist = d};
}

/* The component that index axis `axis` counts (or, with `which`, the one drawn): arguments without their first axis. */
static DistValue component(Checker *c, const DistValue *d, int32_t axis, Val which) {
  DistValue out = *d;
  out.mixture = false;
  for (uint32_t k = 0; k < d->nargs; k++)
    if (dist_lead_rank(d, k, shape_of(c->g, d->arg[k]))) out.arg[k] = axis >= 0 ? graph_to_axis(c->g, d->arg[k], 0, (uint32_t)axis) : graph_gather(c->g, d->arg[k], which, 0, NO_VAL);
  return out;
}
static uint32_t part_axis(Checker *c, const DistValue *d, const char *what) {
  uint32_t n = shape_of(c->g, d->log_weight)->dim[0];
  return graph_axis(c->g, (Axis){.name = name_printf("%s_%u", what, n), .kind = AXIS_INDEX, .size = n, .parent = -1});
}
Val mixture_member(Checker *c, const DistValue *d, Name name, Val x, const Shape *event) {
  Graph *g = c->g;
  if (name == name_of("logpdf")) {
    uint32_t axis = part_axis(c, d, "component");
    DistValue e = component(c, d, (int32_t)axis, NO_VAL);
    Val v = dist_value_of(c, &e, name, x, NULL);
    if (v == NO_VAL) return NO_VAL;
    v = graph_op2(g, OP_add, sum_event(c, v), graph_to_axis(g, d->log_weight, 0, axis));
    return graph_reduce(g, REDUCE_LOGSUMEXP, v, (AxisSet)1 << axis, 0);
  }
  if (name == name_of("mean")) {
    uint32_t axis = part_axis(c, d, "component");
    DistValue e = component(c, d, (int32_t)axis, NO_VAL);
    Val v = dist_value_of(c, &e, name, NO_VAL, NULL);
    if (v == NO_VAL) return NO_VAL;
    return graph_reduce(g, REDUCE_SUM, graph_op2(g, OP_mul, v, graph_op1(g, OP_exp, graph_to_axis(g, d->log_weight, 0, axis))), (AxisSet)1 << axis, 0);
  }
  if (name != name_of("sample") || !event) return NO_VAL;
  uint32_t axis = part_axis(c, d, "component"), n = shape_of(g, d->log_weight)->dim[0];
  Draw noise = g->draws.at[c->draw];
  noise.name = name_printf("%s/component", noise.name);
  Val u = graph_random(g, RANDOM_UNIFORM, graph_draw(g, noise), graph_shape(g, event->axes | (AxisSet)1 << axis, 0, NULL), NO_VAL);
  Val gumbel = graph_op1(g, OP_neg, graph_op1(g, OP_log, graph_op1(g, OP_neg, graph_op1(g, OP_log, u))));
  Val score = graph_to_dim(g, graph_op2(g, OP_add, gumbel, graph_to_axis(g, d->log_weight, 0, axis)), axis, 0);
  Val most = graph_expand(g, graph_reduce(g, REDUCE_MAX, score, 0, 1), 1, 1, &n);
  Val which = graph_reduce(g, REDUCE_MIN, graph_op3(g, OP_select, graph_op2(g, OP_le, most, score), graph_iota(g, n), graph_expand(g, graph_const(g, n - 1), 1, 1, &n)), 0, 1);
  which = graph_assume(g, which, (Range){.lo = 0, .hi = n - 1, .whole = true});
  DistValue e = component(c, d, -1, which);
  return dist_value_of(c, &e, name, NO_VAL, event);
}

/* ---- transformed */
static const Param *inverse_param(const Function *f) {
  const Params *p = f->builtin ? NULL : f->decl->kind == DE_NET ? &f->decl->as.net.params : f->decl->kind == DE_FUN ? &f->decl->as.fun.params : NULL;
  for (uint32_t i = 0; p && i < p->n; i++)
    if (p->at[i].name == name_of("inverse")) return &p->at[i];
  return NULL;
}
/* [y, log_det] = f(x), or its inverse. */
static bool pair_of(Checker *c, Scope *s, const Value *f, bool inverse, Val x, Val *y, Val *log_det, Span at) {
  Value in = v_node(x, at);
  Args args = {0};
  if (inverse) {
    Expr *one = NEW(c->arena, Expr);
    *one = (Expr){.kind = EX_NUMBER, .span = f->span};
    one->as.number.value = 1;
    Arg a = {name_of("inverse"), one, f->span};
    vec_push(c->arena, &args, a);
  }
  Value v = apply(c, s, *f, args, &in, f->span);
  if (v.kind == V_BAD) return false;
  Val out[2] = {NO_VAL, NO_VAL};
  for (uint32_t i = 0; v.kind == V_LIST && v.as.list->n == 2 && i < 2; i++) out[i] = value_node(c, v.as.list->at[i]);
  if (out[0] == NO_VAL || out[1] == NO_VAL) {
    DiagItem *i = diag_at(c->diag, E0302, f->span, "a transform returns two values, `[y, log_det]`");
    diag_mark(i, "%s", value_kind_text(v));
    diag_help(i, "end it with `return [y, log_det]`, log_det the log of |det dy/dx|; `import flow` has some");
    return false;
  }
  *y = out[0];
  Val d = sum_event(c, out[1]);
  *log_det = *log_det == NO_VAL ? d : graph_op2(c->g, OP_add, *log_det, d);
  return true;
}

Value run_transformed(Checker *c, const Builtin *b, Values *a, Span at) {
  (void)b;
  if (c->g != c->t->graph) { diag_at(c->diag, E0302, at, "`transformed` stands in a program, after `~`"); return v_bad(at); }
  if (a->at[0].kind != V_DIST || a->at[0].as.dist->flow || a->at[0].as.dist->mixture) {
    diag_help(diag_at(c->diag, E0302, a->at[0].span, "what is transformed is a plain distribution, and this is %s", a->at[0].kind == V_DIST ? "made of others" : value_kind_text(a->at[0])), "write `transformed(Normal(m, s), f, g)`");
    return v_bad(at);
  }
  DistValue *d = NEW(c->arena, DistValue);
  *d = *a->at[0].as.dist;
  uint32_t rank, dim[DIM_MAX];
  if (!dist_event(c, d, at, &rank, dim)) return v_bad(at);
  AxisSet axes = c->plates;
  for (uint32_t k = 0; k < d->nargs; k++) axes |= shape_of(c->g, d->arg[k])->axes;
  const Shape *event = graph_shape(c->g, axes, rank, dim);
  Flow *flow = NEW(c->arena, Flow);
  *flow = (Flow){.in_name = name_printf("base of transformed %u", ++c->flows), .at_name = name_printf("value of transformed %u", c->flows), .log_det = NO_VAL, .back = NO_VAL, .back_log_det = NO_VAL};
  c->g->span = at;
  Val x = graph_leaf(c->g, OP_input, flow->in_name, 0, event, dist_support(c, d));
  Scope *s = scope_new(c, NULL, c->main);
  bool invertible = true;
  Value *f = arena_alloc(c->arena, a->n * sizeof *f);
  for (uint32_t i = 1; i < a->n; i++) {
    f[i] = a->at[i];
    if (f[i].kind != V_FUNCTION) { diag_at(c->diag, E0302, f[i].span, "a transform is a function or net, and this is %s", value_kind_text(f[i])); return v_bad(at); }
    if (f[i].as.function->decl && f[i].as.function->decl->kind == DE_NET && !f[i].as.function->path) {      /* both ways with the same parameters */
      Function *made = NEW(c->arena, Function);
      *made = *f[i].as.function;
      made->path = path_child(c, c->path, made->decl->name);
      f[i].as.function = made;
    }
    invertible &= inverse_param(f[i].as.function) != NULL;
    if (!pair_of(c, s, &f[i], false, x, &x, &flow->log_det, at)) return v_bad(at);
  }
  flow->out = x;
  const Shape *to = shape_of(c->g, x);
  flow->rank = rank, flow->out_rank = to->rank;
  memcpy(flow->dim, dim, sizeof dim), memcpy(flow->out_dim, to->dim, sizeof to->dim);
  flow->range = node_of(c->g, x)->range;
  if (invertible) {
    Val y = graph_leaf(c->g, OP_input, flow->at_name, 0, graph_shape(c->g, axes, to->rank, to->dim), flow->range);
    for (uint32_t i = a->n; i-- > 1;)
      if (!pair_of(c, s, &f[i], true, y, &y, &flow->back_log_det, at)) return v_bad(at);
    const Shape *from = shape_of(c->g, y);
    if (from->rank != rank || memcmp(from->dim, dim, rank * sizeof *dim) != 0) {
      diag_mark(diag_at(c->diag, E0301, at, "the inverse gives another shape than the base has, %s", shape_text(c, graph_shape(c->g, 0, rank, dim))), "%s", shape_text(c, from));
      return v_bad(at);
    }
    Range base = dist_support(c, d);
    flow->back = range_within(node_of(c->g, y)->range, base) ? y : graph_assume(c->g, y, base);
  }
  d->flow = flow, d->span = at;
  return (Value){.kind = V_DIST, .span = at, .as.dist = d};
}
