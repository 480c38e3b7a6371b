/* Lowering: goals to tensor graphs.
 *
 * In:  parts of a goal, each under a path of expectations.
 * Out: an Entry: graph, scalars, row outputs, gradients, state updates.
 *
 * The template's values are copied with every variable replaced by the innermost draw of that name, else by the data.
 * Draws are made in draws.c; what their gradients are is said in estimators.c. */
#include "lower.h"

/* ---- environments */
typedef struct { Name name; Val value; } Prepared;
typedef struct { Program *program; Env *env; } Ran;         /* programs whose sites were drawn or scored: their states are updated */
struct LowerState {
  VEC(Env *) envs;
  VEC(Prepared) prepared;
  VEC(Ran) ran;
  uint32_t copies;                                          /* expectations inside non-linear functions: draws of their own */
};

static Val copy_in(Lower *l, Env *env, Val v);

/* Shapes are interned by graph: the template's, in the entry's graph. */
const Shape *lower_shape(Lower *l, const Shape *s) { return graph_shape(l->g, s->axes, s->rank, s->dim); }

static Val data_value(Lower *l, Name name, Span at) {
  Typed *t = l->p->t;
  for (uint32_t i = 0; i < t->data.n; i++) {
    DataVar *d = &t->data.at[i];
    if (d->name != name) continue;
    if (d->column >= 0) {
      Val v = graph_leaf(l->g, OP_input, name, (uint32_t)d->column, lower_shape(l, d->shape), d->range);
      graph_label(l->g, v, name, d->span);
      return v;
    }
    for (uint32_t k = 0; k < l->s->prepared.n; k++)
      if (l->s->prepared.at[k].name == name) return l->s->prepared.at[k].value;
    Prepared made = {name, copy_in(l, NULL, d->prepared)};
    made.value = graph_label(l->g, graph_stop(l->g, made.value), name, d->span);
    vec_push(t->arena, &l->s->prepared, made);
    return made.value;
  }
  if (l->missing == NULL) l->missing = name, l->missing_at = at;
  return NO_VAL;
}
/* Elements of SVI_NOT_GIVEN are drawn. */
Val lower_given(Lower *l, const Site *site, Val drawn) {
  const Typed *t = l->p->t;
  if (l->given < 0 || site->observed || site->autoregressive || site->shape->axes != (AxisSet)1 << l->given) return drawn;
  uint32_t i = 0, id = 0;
  while (i < l->p->latents.n && l->p->latents.at[i] != site) i++;
  if (i == l->p->latents.n) vec_push(t->arena, &l->p->latents, site);
  for (uint32_t k = 0; k < t->data.n; k++) id += t->data.at[k].column >= 0;
  Val given = graph_leaf(l->g, OP_input, site->name, id + i, lower_shape(l, site->shape), RANGE_REAL);
  Val is_given = op2(l, OP_lt, graph_op1(l->g, OP_abs, given), constant(l, SVI_NOT_GIVEN / 2));
  Val v = graph_op3(l->g, OP_select, is_given, given, drawn);
  return graph_label(l->g, graph_assume(l->g, v, site->range), site->name, site->span);
}

static Val variable_value(Lower *l, Env *env, Name name, Span at) {
  for (Env *e = env; e; e = e->outer) {
    if (e->given == name) return e->given_value;
    for (uint32_t i = 0; i < e->drawn.n; i++)
      if (e->drawn.at[i].site->name == name) return e->drawn.at[i].value;
  }
  const Recurrent *r = recurrent_of(l->p->t, name);
  if (!r) return data_value(l, name, at);
  for (Env *e = env; e && r->site; e = e->outer) {            /* other steps of a site that is there, or will be drawn */
    for (uint32_t i = 0; i < e->drawn.n; i++)
      if (e->drawn.at[i].site->name == r->name) return e->drawn.at[i].value;
    if (e->path && e->path->program == r->program) return steps_value(l, env, r);
  }
  return r->site ? data_value(l, r->name, at) : steps_value(l, env, r);
}

/* `beside`: of a density that `via dreg` scores at its own draw, where that is drawn; see note [dreg]. */
typedef struct { Lower *l; Env *env; bool stopped; const Env *beside; } Replace;
static bool is_held(const Replace *r, Val v) {
  for (const Env *e = r->beside ? r->env : NULL; e; e = e->outer)
    for (uint32_t i = 0; i < e->drawn.n; i++)
      if (e->drawn.at[i].value == v) return e != r->beside || e->drawn.at[i].via != VIA_DREG;
  return false;
}
static Val term_value(Lower *l, Env *env, const Term *term);
static Val replace_leaf(void *context, Graph *to, const Graph *from, Val leaf) {
  Replace *r = context;
  const Node *n = node_of(from, leaf);
  if (n->op == OP_param && r->stopped) return graph_stop(to, graph_leaf(to, OP_param, n->attr.leaf.name, n->attr.leaf.id, lower_shape(r->l, n->shape), n->range));
  if (n->op != OP_input) return NO_VAL;
  Val v;
  if (n->attr.leaf.id == UINT32_MAX) v = graph_const(to, r->l->purpose == FOR_STEP);
  else if (n->attr.leaf.id == 0) v = variable_value(r->l, r->env, n->attr.leaf.name, n->span);
  else v = term_value(r->l, r->env, &r->l->p->t->terms.at[n->attr.leaf.id - 1]);
  if (v != NO_VAL && is_held(r, v)) return graph_stop(to, v);
  return v == NO_VAL ? graph_spread(to, graph_const(to, 0), lower_shape(r->l, n->shape)) : v;      /* a missing value has been noted; lowering goes on to find others */
}
static Val copy_beside(Lower *l, Env *env, Val v, bool stopped, const Env *beside) {
  Replace r = {l, env, stopped, beside};
  Val out;
  Span at = l->g->span;
  graph_copy(l->g, l->p->t->graph, &v, 1, &out, replace_leaf, &r);
  l->g->span = at;
  return out;
}

static Val copy_as(Lower *l, Env *env, Val v, bool stopped) { return copy_beside(l, env, v, stopped, NULL); }
static Val copy_in(Lower *l, Env *env, Val v) { return copy_as(l, env, v, false); }

/* ---- sites in an environment */
static DistValue dist_beside(Lower *l, Env *env, const DistValue *d, bool stopped, const Env *beside) {
  DistValue out = *d;
  for (uint32_t k = 0; k < d->nargs; k++) out.arg[k] = copy_beside(l, env, d->arg[k], stopped, beside);
  if (d->mixture) out.log_weight = copy_beside(l, env, d->log_weight, stopped, beside);
  return out;
}
DistValue lower_dist(Lower *l, Env *env, const DistValue *d, bool stopped) { return dist_beside(l, env, d, stopped, NULL); }
static void note_run(Lower *l, Program *p, Env *env) {
  for (uint32_t i = 0; i < l->s->ran.n; i++)
    if (l->s->ran.at[i].program == p) return;
  Ran r = {p, env};
  vec_push(l->p->t->arena, &l->s->ran, r);
}
/* Is the density of `site` here one of its own draw?  NULL: no. */
static const Drawn *own_draw(const Env *env, const Site *site, Val x, const Env **of) {
  for (; env; env = env->outer)
    for (uint32_t i = 0; i < env->drawn.n; i++)
      if (env->drawn.at[i].site == site && env->drawn.at[i].value == x) { *of = env; return &env->drawn.at[i]; }
  return NULL;
}
static Val density_of(Lower *l, const Site *site, const DistValue *d, Val x) {
  unsigned errors = diag_errors(l->p->t->diag);
  l->g->span = site->span;
  Val v = dist_member(l->p->t, l->g, d, "logpdf", x, NULL, 0);
  if (v == NO_VAL && diag_errors(l->p->t->diag) == errors) {
    DiagItem *item = diag_at(l->p->t->diag, E0503, site->dist.span, "`%s` has no density", site->dist.decl->name);
    diag_label(item, site->dist.decl->name_span, "it says no `logpdf`");
    diag_help(item, "add `logpdf(x) = ...` to it");
  }
  return v == NO_VAL ? graph_const(l->g, 0) : v;
}
/* log p(y) of y = f(x): at a draw from the x it was made of, elsewhere by the inverse. */
static Val transformed_density(Lower *l, Env *env, const Site *site, DistValue *d, Val y, const Drawn *own, bool sticks, const Env *beside) {
  const Flow *flow = d->flow;
  Val x, log_det;
  d->flow = NULL;
  if (own && !sticks && own->base != NO_VAL) {
    Env at = {.outer = env, .given = flow->in_name, .given_value = own->base};
    x = own->base, log_det = graph_op1(l->g, OP_neg, copy_as(l, &at, flow->log_det, false));
  } else if (flow->back != NO_VAL) {
    Env at = {.outer = env, .given = flow->at_name, .given_value = y};
    x = copy_beside(l, &at, flow->back, sticks, beside), log_det = copy_beside(l, &at, flow->back_log_det, sticks, beside);
  } else {
    DiagItem *i = diag_at(l->p->t->diag, E0503, site->dist.span, "the density of `%s` is wanted at a value that it was not drawn as", site->name);
    diag_note(i, "a transform without an inverse is scored only at its own draws, from the value before the transform");
    diag_help(i, "use one that can be inverted (`flow.coupling`), or give it a parameter `inverse: size = 0`");
    return graph_const(l->g, 0);
  }
  return graph_op2(l->g, OP_add, graph_sum_all(l->g, density_of(l, site, d, x)), log_det);
}
/* `via stl`, `via dreg`: at its own draw the density's parameters have no gradient but through draws.  E grad log q = 0, so leaving their own
 * derivative out changes no mean (Roeder, Wu, Duvenaud 2017). */
Val lower_log_density_elements(Lower *l, Env *env, const Site *site, Val x) {
  if (x == NO_VAL) return graph_const(l->g, 0);            /* has been noted as missing */
  note_run(l, site->program, env);
  const Env *of = NULL;
  const Drawn *own = own_draw(env, site, x, &of);
  bool sticks = own && (own->via == VIA_STL || own->via == VIA_DREG);
  const Env *beside = sticks && own->via == VIA_DREG ? of : NULL;
  DistValue d = dist_beside(l, env, &site->dist, sticks, beside);
  return d.flow ? transformed_density(l, env, site, &d, x, own, sticks, beside) : density_of(l, site, &d, x);
}
static Name density_name(const Site *site) { return name_printf("log %s.%s", site->program->name, site->name); }
Val lower_log_density(Lower *l, Env *env, const Site *site, Val x) {
  return graph_label(l->g, graph_sum_all(l->g, lower_log_density_elements(l, env, site, x)), density_name(site), site->span);
}
static Val site_density(Lower *l, Env *env, const Site *site) {
  return lower_log_density(l, env, site, variable_value(l, env, site->name, site->span));
}

/* A member at the site's arguments here, of the site's shape where it is of one element. */
Val lower_member(Lower *l, Env *env, const Site *site, const char *member) {
  DistValue d = lower_dist(l, env, &site->dist, false);
  Val v = dist_member(l->p->t, l->g, &d, member, NO_VAL, NULL, 0);
  if (v == NO_VAL || shape_of(l->g, v)->rank >= site->shape->rank) return v;
  return graph_spread(l->g, v, graph_shape(l->g, shape_of(l->g, v)->axes, site->shape->rank, site->shape->dim));
}
/* The noise of a draw: new for each row and particle, the same along index axes (outcomes, pairs, copies). */
const Shape *lower_noise(Lower *l, Env *env, const Site *site, const DistValue *d) {
  AxisSet axes = site->shape->axes | (env->path->particles >= 0 ? (AxisSet)1 << env->path->particles : 0);
  for (uint32_t k = 0; k < d->nargs; k++) axes |= shape_of(l->g, d->arg[k])->axes;
  if (d->mixture) axes |= shape_of(l->g, d->log_weight)->axes;
  axes = rows_among(l->g, axes);
  return d->flow ? graph_shape(l->g, axes, d->flow->rank, d->flow->dim) : graph_shape(l->g, axes, site->shape->rank, site->shape->dim);
}

/* The environment of a path that parts share. */
static Env *env_of(Lower *l, const Path *path) {
  if (!path) return NULL;
  for (uint32_t i = 0; i < l->s->envs.n; i++)
    if (l->s->envs.at[i]->path == path) return l->s->envs.at[i];
  Env *e = env_new(l, env_of(l, path->outer), path);
  note_run(l, path->program, e);
  vec_push(l->p->t->arena, &l->s->envs, e);
  return e;
}
/* One of its own, inside a non-linear function. */
static Env *env_own(Lower *l, Env *outer, Program *program, int32_t particles, bool detached) {
  Env *e = env_new(l, outer, path_of(l->p, outer ? outer->path : NULL, program, particles, ++l->s->copies, detached));
  note_run(l, program, e);
  return e;
}
Env *lower_env(Lower *l, const Path *path) { return env_of(l, path); }
Val  lower_copy(Lower *l, Env *env, Val v) { return copy_in(l, env, v); }
Val  lower_variable(Lower *l, Env *env, Name name, Span at) { return variable_value(l, env, name, at); }

/* ---- values of terms inside non-linear functions: everything in one piece, so the plates must be one */
static Val same_rows(Lower *l, const Term *term, Val sum, Val v, AxisSet *rows, const Site *site) {
  AxisSet plates = 0;
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if (l->g->axis.at[a].kind == AXIS_PLATE) plates |= (AxisSet)1 << a;
  AxisSet axes = site->shape->axes & plates;
  for (uint32_t a = 0; a < l->g->axis.n; a++)            /* a weight is of a whole sequence: its steps depend on one another */
    if (l->g->axis.at[a].ordered && l->g->axis.at[a].parent >= 0 && (axes >> a & 1)) {
      v = graph_reduce(l->g, REDUCE_SUM, v, (AxisSet)1 << a, 0);
      axes &= ~((AxisSet)1 << a);
    }
  if (sum != NO_VAL && axes != *rows) {
    DiagItem *d = diag_at(l->p->t->diag, E0506, l->objective.end ? l->objective : term->span, "these importance weights would mix plates");
    if (l->objective.end && !(term->span.at >= l->objective.at && term->span.end <= l->objective.end)) diag_label(d, term->span, "densities of both in one non-linear function");
    for (uint32_t i = 0; i < term->sites.n; i++)
      if (term->sites.at[i] == site || (i + 1 < term->sites.n && term->sites.at[i + 1] == site)) diag_label(d, term->sites.at[i]->span, "`%s` exists %s", term->sites.at[i]->name, types_each(l->p->t, term->sites.at[i]->shape->axes & plates));
    diag_note(d, "a weight per row is a ratio of that row's densities; a density that belongs to all rows would enter each of them");
    diag_help(d, "split it: the sites of one plate inside, the others beside it: `E[q, k: 50](log_mean_exp(log p.x + log p.z - log q.z)) - KL(q.w || p.w)`");
    return sum;
  }
  *rows = axes;
  return sum == NO_VAL ? v : graph_op2(l->g, OP_add, sum, v);
}
/* ---- bodies of expectations */
static Val part_elements(Lower *l, Env *env, const void *of);
static Body part_body(const Lower *l, const Part *part) {
  const Shape *s = part->kind == PART_VALUE ? shape_of(l->p->t->graph, part->value) : part->site->shape;
  return (Body){part_elements, part, s->axes, false};
}
static Val copied(Lower *l, Env *env, const void *of) { return copy_in(l, env, *(const Val *)of); }

/* Where a divergence or entropy finds the draws of its program: in an expectation around, or in one of its own. */
static bool has_draws(const Env *env, const Program *p) {
  for (; env; env = env->outer)
    if (env->path->program == p) return true;
  return false;
}
static Val with_draws(Lower *l, Env *env, const Part *part) {
  Program *p = part->site->program;
  if (has_draws(env, p)) return graph_sum_all(l->g, part_elements(l, env, part));
  Env *own = env_own(l, env, p, -1, false);
  return expect(l, own, own, part_body(l, part), NULL);
}
static Val term_value(Lower *l, Env *env, const Term *term) {
  AxisSet rows = 0;
  Val sum = NO_VAL;
  switch (term->kind) {
    case TERM_LOG_DENSITY:
      for (uint32_t i = 0; i < term->sites.n; i++) sum = same_rows(l, term, sum, site_density(l, env, term->sites.at[i]), &rows, term->sites.at[i]);
      return sum;
    case TERM_KL:
      for (uint32_t i = 0; i < term->sites.n; i++) {
        Part part = {.kind = PART_KL, .site = term->sites.at[i], .against = term->against.at[i]};
        part.analytic = kl_is_analytic(l->p->t, env ? env->path : NULL, part.site, part.against);
        sum = same_rows(l, term, sum, with_draws(l, env, &part), &rows, part.site);
      }
      return sum;
    case TERM_ENTROPY:
      for (uint32_t i = 0; i < term->sites.n; i++) {
        Part part = {.kind = PART_ENTROPY, .site = term->sites.at[i]};
        sum = same_rows(l, term, sum, with_draws(l, env, &part), &rows, part.site);
      }
      return sum;
    case TERM_EXPECT: {
      Env *inner = env_own(l, env, term->program, term->particles, term->detached);
      return expect(l, inner, inner, (Body){copied, &term->body, shape_of(l->p->t->graph, term->body)->axes, true}, NULL);
    }
    case TERM_DRAWN:
      for (Env *e = env; e; e = e->outer) {
        if (e->path->program != term->program) continue;
        for (uint32_t i = 0; term->sites.n && i < e->drawn.n; i++)
          if (e->drawn.at[i].site == term->sites.at[0]) return e->drawn.at[i].value;
        return copy_in(l, e, term->body);
      }
      BUG("a drawn value outside its expectation");
  }
  BUG("term of kind %d", term->kind);
}

/* ---- parts: element by element where they have elements */
static Val kl_elements(Lower *l, Env *env, const Part *part) {
  DistValue a = lower_dist(l, env, &part->site->dist, false), b = lower_dist(l, env, &part->against->dist, false);
  l->g->span = part->span.end ? part->span : part->site->span;
  Val v = part->analytic ? dist_kl(l->p->t, l->g, &a, &b, lower_shape(l, part->site->shape)) : NO_VAL;
  if (v != NO_VAL) {
    note_run(l, part->against->program, env);
    return graph_label(l->g, v, name_printf("KL(%s.%s || %s.%s)", part->site->program->name, part->site->name, part->against->program->name, part->against->name), part->span);
  }
  Val x = variable_value(l, env, part->site->name, part->site->span);
  Val p = lower_log_density_elements(l, env, part->site, x), q = lower_log_density_elements(l, env, part->against, x);
  if (shape_of(l->g, p)->rank != shape_of(l->g, q)->rank) p = graph_sum_all(l->g, p), q = graph_sum_all(l->g, q);
  return graph_op2(l->g, OP_sub, p, q);
}
static Val entropy_elements(Lower *l, Env *env, const Part *part) {
  DistValue d = lower_dist(l, env, &part->site->dist, false);
  Val v = dist_member(l->p->t, l->g, &d, "entropy", NO_VAL, NULL, 0);
  if (v == NO_VAL) return graph_op1(l->g, OP_neg, lower_log_density_elements(l, env, part->site, variable_value(l, env, part->site->name, part->site->span)));
  const Shape *event = graph_shape(l->g, shape_of(l->g, v)->axes, part->site->shape->rank, part->site->shape->dim);
  if (shape_of(l->g, v)->rank == 0 && event->rank && !d.decl->as.dist.support->sizes.n) v = graph_spread(l->g, v, event);
  return v;
}
static Val part_elements(Lower *l, Env *env, const void *of) {
  const Part *part = of;
  switch (part->kind) {
    case PART_LOG_DENSITY: {
      Val v = lower_log_density_elements(l, env, part->site, variable_value(l, env, part->site->name, part->site->span));
      return graph_label(l->g, v, density_name(part->site), part->site->span);
    }
    case PART_KL:          return kl_elements(l, env, part);
    case PART_ENTROPY:     return entropy_elements(l, env, part);
    case PART_VALUE:       return copy_in(l, env, part->value);
  }
  BUG("part of kind %d", part->kind);
}
Val lower_part(Lower *l, const Part *part, Signals *signals) {
  Env *env = env_of(l, part->path);
  uint32_t before = signals ? signals->n : 0;
  Val v = expect(l, env, NULL, part_body(l, part), signals), factor = graph_const(l->g, part->sign), inside = graph_const(l->g, 1);
  for (uint32_t i = 0; i < part->scales.n; i++) {          /* factors that vary over a sum around them come before it */
    bool varies = shape_of(l->p->t->graph, part->scales.at[i])->axes & part->under.at[i];
    Val *by = varies ? &inside : &factor;
    *by = graph_op2(l->g, OP_mul, *by, copy_in(l, NULL, part->scales.at[i]));
  }
  v = graph_op2(l->g, OP_mul, v, inside);
  if (part->sums) v = graph_reduce(l->g, REDUCE_SUM, v, part->sums, 0);
  v = graph_op2(l->g, OP_mul, v, factor);
  factor = graph_op2(l->g, OP_mul, inside, factor);
  /* particles that nothing reduced: their mean is the estimate */
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if (l->g->axis.at[a].kind == AXIS_PARTICLE && (shape_of(l->g, v)->axes >> a & 1))
      v = graph_op2(l->g, OP_div, graph_reduce(l->g, REDUCE_SUM, v, (AxisSet)1 << a, 0), graph_count(l->g, a, false));
  for (uint32_t i = before; signals && i < signals->n; i++) signals->at[i].factor = factor;
  return v;
}

/* Values of states after the step, for every program that took part. */
void lower_updates(Lower *l, Entry *entry) {
  Typed *t = l->p->t;
  for (uint32_t i = 0; i < l->s->ran.n; i++)
    for (uint32_t k = 0; k < l->s->ran.at[i].program->updates.n; k++) {
      StateUpdate *u = &l->s->ran.at[i].program->updates.at[k];
      EntryParam out = {u->param, copy_in(l, l->s->ran.at[i].env, u->value)};
      vec_push(t->arena, &entry->updates, out);
    }
}

Lower *lower_new(Prob *p, Purpose purpose) {
  Typed *t = p->t;
  Lower *l = NEW(t->arena, Lower);
  *l = (Lower){.p = p, .g = graph_new(t->arena), .purpose = purpose, .given = -1, .s = NEW(t->arena, struct LowerState)};
  for (uint32_t i = 0; i < t->graph->axis.n; i++) graph_axis(l->g, t->graph->axis.at[i]);
  for (uint32_t i = 0; i < p->draws.n; i++) graph_draw(l->g, p->draws.at[i]);
  return l;
}
void lower_done(Lower *l) {
  for (uint32_t i = l->p->draws.n; i < l->g->draws.n; i++) vec_push(l->p->t->arena, &l->p->draws, l->g->draws.at[i]);
}
