/* Lowering: goals to tensor graphs.
 *
 * In:  parts of a goal, each under a path of expectations.
 * Out: an Entry: graph, scalars, row outputs, gradients, state updates.
 *
 * An Env is a path at work: the draws of its programs in the entry's graph.  The template's values are copied with every
 * variable replaced by the innermost draw of that name, else by the data.
 *
 * note [surrogate]  Where a site is not pathwise, each part t that depends on its draw s becomes
 *     t + sum_s stop(t - b) * (log q(s) - stop(log q(s)))
 * whose value is t and whose gradient is the score-function estimate with only the terms that depend on the draw (static
 * Rao-Blackwellisation; Ranganath et al. 2014; Schulman et al. 2015).  It is made inside the expectation, so functions of
 * expectations are differentiated through it by the chain rule (Foerster et al. 2018).  b = 0 here; baselines: later. */
#include "lower.h"

/* ---- environments */
typedef struct { Site *site; Val value, log_q; bool score; } Drawn;
typedef struct { Name name; Val value; } Prepared;
typedef struct { Program *program; Env *env; } Ran;         /* programs whose sites were drawn or scored: their states are updated */
struct Env {
  Env *outer;
  const Path *path;
  VEC(Drawn) drawn;
};
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
static Val variable_value(Lower *l, Env *env, Name name, Span at) {
  for (Env *e = env; e; e = e->outer)
    for (uint32_t i = 0; i < e->drawn.n; i++)
      if (e->drawn.at[i].site->name == name) return e->drawn.at[i].value;
  return data_value(l, name, at);
}

typedef struct { Lower *l; Env *env; } Replace;
static Val term_value(Lower *l, Env *env, const Term *term);
static Val replace_leaf(void *context, Graph *to, const Graph *from, Val leaf) {
  Replace *r = context;
  const Node *n = node_of(from, leaf);
  if (n->op != OP_input) return NO_VAL;
  Val v;
  if (n->attr.leaf.id == UINT32_MAX) v = graph_const(to, r->l->training);
  else if (n->attr.leaf.id == 0) v = variable_value(r->l, r->env, n->attr.leaf.name, n->span);
  else v = term_value(r->l, r->env, &r->l->p->t->terms.at[n->attr.leaf.id - 1]);
  return v == NO_VAL ? graph_const(to, 0) : v;              /* a missing value has been noted; lowering goes on to find others */
}
static Val copy_in(Lower *l, Env *env, Val v) {
  Replace r = {l, env};
  Val out;
  Span at = l->g->span;
  graph_copy(l->g, l->p->t->graph, &v, 1, &out, replace_leaf, &r);
  l->g->span = at;
  return out;
}

/* ---- sites in an environment */
static DistValue dist_in(Lower *l, Env *env, const DistValue *d) {
  DistValue out = *d;
  for (uint32_t k = 0; k < d->nargs; k++) out.arg[k] = copy_in(l, env, d->arg[k]);
  return out;
}
static void note_run(Lower *l, Program *p, Env *env) {
  for (uint32_t i = 0; i < l->s->ran.n; i++)
    if (l->s->ran.at[i].program == p) return;
  Ran r = {p, env};
  vec_push(l->p->t->arena, &l->s->ran, r);
}
Val lower_log_density(Lower *l, Env *env, const Site *site, Val x) {
  note_run(l, site->program, env);
  DistValue d = dist_in(l, env, &site->dist);
  l->g->span = site->span;
  unsigned errors = diag_errors(l->p->t->diag);
  Val v = dist_member(l->p->t, l->g, &d, "logpdf", x, NULL, 0);
  if (v == NO_VAL && diag_errors(l->p->t->diag) != errors) return graph_const(l->g, 0);
  if (v == NO_VAL) {
    DiagItem *item = diag_at(l->p->t->diag, E0503, site->dist.span, "`%s` has no density", site->dist.decl->name);
    diag_label(item, site->dist.decl->name_span, "it says no `logpdf`");
    diag_help(item, "add `logpdf(x) = ...` to it");
    return graph_const(l->g, 0);
  }
  v = graph_label(l->g, graph_sum_all(l->g, v), name_printf("log %s.%s", site->program->name, site->name), site->span);
  return v;
}
static Val site_density(Lower *l, Env *env, const Site *site) {
  return lower_log_density(l, env, site, variable_value(l, env, site->name, site->span));
}

/* Draws all sites of the path's program, in order; each may use the draws before it. */
static Env *env_of(Lower *l, const Path *path) {
  if (!path) return NULL;
  for (uint32_t i = 0; i < l->s->envs.n; i++)
    if (l->s->envs.at[i]->path == path) return l->s->envs.at[i];
  Typed *t = l->p->t;
  Env *e = NEW(t->arena, Env);
  e->outer = env_of(l, path->outer), e->path = path;
  vec_push(t->arena, &l->s->envs, e);
  Program *p = path->program;
  note_run(l, p, e);
  AxisSet particles = path->particles >= 0 ? (AxisSet)1 << path->particles : 0;
  for (uint32_t i = 0; i < p->sites.n; i++) {
    Site *site = p->sites.at[i];
    if (site->autoregressive) {
      diag_at(t->diag, E0590, site->span, "drawing the autoregressive `%s` is not built yet", site->name);
      continue;
    }
    DistValue d = dist_in(l, e, &site->dist);
    AxisSet axes = site->shape->axes | particles;
    for (uint32_t k = 0; k < d.nargs; k++) axes |= shape_of(l->g, d.arg[k])->axes & ~site->shape->axes;
    for (uint32_t a = 0; a < l->g->axis.n; a++)
      if (l->g->axis.at[a].kind == AXIS_INDEX) axes &= ~((AxisSet)1 << a);
    const Shape *event = graph_shape(l->g, axes, site->shape->rank, site->shape->dim);
    Name name = name_printf("%s.%s", p->name, site->name);
    if (path->copy) name = name_printf("%s#%u", name, path->copy);
    l->g->span = site->span;
    uint32_t draw = graph_draw(l->g, (Draw){name, site->span, false});
    unsigned errors = diag_errors(t->diag);
    Val v = dist_member(t, l->g, &d, "sample", NO_VAL, event, draw);
    if (v == NO_VAL && diag_errors(t->diag) != errors) v = graph_const(l->g, 0);
    if (v == NO_VAL) {
      DiagItem *item = diag_at(t->diag, E0503, site->dist.span, "`%s` cannot be drawn from", site->dist.decl->name);
      diag_label(item, site->dist.decl->name_span, "it says no `sample`");
      diag_help(item, "add `sample = ...` to it, from standard_uniform(), standard_normal(), standard_gamma(a) or poisson_draw(rate)");
      v = graph_const(l->g, 0);
    }
    if (shape_of(l->g, v)->rank < event->rank) v = graph_spread(l->g, v, event);
    v = graph_assume(l->g, v, site->range);
    const Estimate *estimate = estimate_of(l->p, site);
    bool score = estimate && estimate->via == VIA_SCORE;
    if (score) v = graph_stop(l->g, v);
    v = graph_label(l->g, v, name, site->span);
    Drawn drawn = {site, v, NO_VAL, score};
    vec_push(t->arena, &e->drawn, drawn);
  }
  return e;
}
Env *lower_env(Lower *l, const Path *path) { return env_of(l, path); }
Val  lower_copy(Lower *l, Env *env, Val v) { return copy_in(l, env, v); }
Val  lower_variable(Lower *l, Env *env, Name name, Span at) { return variable_value(l, env, name, at); }
DistValue lower_dist(Lower *l, Env *env, const DistValue *d) { return dist_in(l, env, d); }

/* ---- score-function surrogate */
static bool depends_on(const Graph *g, Val v, Val on, uint8_t *seen) {
  if (v == on) return true;
  if (v < on) return false;                                /* arguments come first */
  if (seen[v]) return seen[v] == 2;
  seen[v] = 1;
  const Node *n = node_of(g, v);
  for (uint32_t i = 0; i < n->nargs; i++)
    if (depends_on(g, n->arg[i], on, seen)) { seen[v] = 2; return true; }
  return false;
}
static Val with_score(Lower *l, Env *env, Val t) {
  for (Env *e = env; e; e = e->outer)
    for (uint32_t i = 0; i < e->drawn.n; i++) {
      if (!e->drawn.at[i].score) continue;
      uint8_t *seen = arena_alloc(l->p->t->arena, l->g->node.n + 1);
      if (!depends_on(l->g, t, e->drawn.at[i].value, seen)) continue;
      if (e->drawn.at[i].log_q == NO_VAL) {
        Val lq = lower_log_density(l, e, e->drawn.at[i].site, e->drawn.at[i].value);
        e->drawn.at[i].log_q = lq;
      }
      Val lq = e->drawn.at[i].log_q;
      AxisSet extra = shape_of(l->g, lq)->axes & ~shape_of(l->g, t)->axes;
      if (extra) lq = graph_reduce(l->g, REDUCE_SUM, lq, extra, 0);
      Val score = graph_op2(l->g, OP_sub, lq, graph_stop(l->g, lq));
      t = graph_op2(l->g, OP_add, t, graph_op2(l->g, OP_mul, graph_stop(l->g, t), score));
    }
  return t;
}

/* ---- values of terms inside non-linear functions: everything in one piece, so the plates must be one */
static Val same_rows(Lower *l, const Term *term, Val sum, Val v, AxisSet *rows, const Site *site) {
  AxisSet plates = 0;
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if (l->g->axis.at[a].kind == AXIS_PLATE) plates |= (AxisSet)1 << a;
  AxisSet axes = site->shape->axes & plates;
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
/* Where a divergence or entropy finds the draws of its program: in an expectation around, or in one of its own. */
static bool has_draws(const Env *env, const Program *p) {
  for (; env; env = env->outer)
    if (env->path->program == p) return true;
  return false;
}
static Val with_draws(Lower *l, Env *env, const Part *part, Val (*lower)(Lower *, Env *, const Part *)) {
  Program *p = part->site->program;
  if (has_draws(env, p)) return lower(l, env, part);
  Env *own = env_of(l, path_of(l->p, env ? env->path : NULL, p, -1, ++l->s->copies));
  return with_score(l, own, lower(l, own, part));
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
        part.analytic = kl_is_analytic(part.site, part.against);
        sum = same_rows(l, term, sum, with_draws(l, env, &part, lower_kl), &rows, part.site);
      }
      return sum;
    case TERM_ENTROPY:
      for (uint32_t i = 0; i < term->sites.n; i++) {
        Part part = {.kind = PART_ENTROPY, .site = term->sites.at[i]};
        sum = same_rows(l, term, sum, with_draws(l, env, &part, lower_entropy), &rows, part.site);
      }
      return sum;
    case TERM_EXPECT: {
      Env *inner = env_of(l, path_of(l->p, env ? env->path : NULL, term->program, term->particles, ++l->s->copies));
      return with_score(l, inner, copy_in(l, inner, term->body));
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

/* ---- parts */
Val lower_kl(Lower *l, Env *env, const Part *part) {
  DistValue a = dist_in(l, env, &part->site->dist), b = dist_in(l, env, &part->against->dist);
  l->g->span = part->span.end ? part->span : part->site->span;
  Val v = part->analytic ? dist_kl(l->p->t, l->g, &a, &b, lower_shape(l, part->site->shape)) : NO_VAL;
  if (v != NO_VAL) {
    note_run(l, part->against->program, env);
    return graph_label(l->g, graph_sum_all(l->g, v), name_printf("KL(%s.%s || %s.%s)", part->site->program->name, part->site->name, part->against->program->name, part->against->name), part->span);
  }
  Val x = variable_value(l, env, part->site->name, part->site->span);
  return graph_op2(l->g, OP_sub, lower_log_density(l, env, part->site, x), lower_log_density(l, env, part->against, x));
}
Val lower_entropy(Lower *l, Env *env, const Part *part) {
  DistValue d = dist_in(l, env, &part->site->dist);
  Val v = dist_member(l->p->t, l->g, &d, "entropy", NO_VAL, NULL, 0);
  if (v == NO_VAL) return graph_op1(l->g, OP_neg, site_density(l, env, part->site));
  const Shape *event = graph_shape(l->g, shape_of(l->g, v)->axes, part->site->shape->rank, part->site->shape->dim);
  if (shape_of(l->g, v)->rank == 0 && event->rank && !d.decl->as.dist.support->sizes.n) v = graph_spread(l->g, v, event);
  return graph_sum_all(l->g, v);
}
Val lower_part(Lower *l, const Part *part) {
  Env *env = env_of(l, part->path);
  Val v = NO_VAL;
  switch (part->kind) {
    case PART_LOG_DENSITY: v = site_density(l, env, part->site); break;
    case PART_KL:          v = lower_kl(l, env, part); break;
    case PART_ENTROPY:     v = lower_entropy(l, env, part); break;
    case PART_VALUE:       v = copy_in(l, env, part->value); break;
  }
  v = with_score(l, env, v);
  if (part->sums) v = graph_reduce(l->g, REDUCE_SUM, v, part->sums, 0);
  for (uint32_t i = 0; i < part->scales.n; i++) v = graph_op2(l->g, OP_mul, v, copy_in(l, NULL, part->scales.at[i]));
  /* particles that nothing reduced: their mean is the estimate */
  for (uint32_t a = 0; a < l->g->axis.n; a++)
    if (l->g->axis.at[a].kind == AXIS_PARTICLE && (shape_of(l->g, v)->axes >> a & 1))
      v = graph_op2(l->g, OP_div, graph_reduce(l->g, REDUCE_SUM, v, (AxisSet)1 << a, 0), graph_count(l->g, a, false));
  return part->sign < 0 ? graph_op1(l->g, OP_neg, v) : v;
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

Lower *lower_new(Prob *p, bool training) {
  Typed *t = p->t;
  Lower *l = NEW(t->arena, Lower);
  *l = (Lower){.p = p, .g = graph_new(t->arena), .training = training, .s = NEW(t->arena, struct LowerState)};
  for (uint32_t i = 0; i < t->graph->axis.n; i++) graph_axis(l->g, t->graph->axis.at[i]);
  for (uint32_t i = 0; i < p->draws.n; i++) graph_draw(l->g, p->draws.at[i]);
  return l;
}
void lower_done(Lower *l) {
  for (uint32_t i = l->p->draws.n; i < l->g->draws.n; i++) vec_push(l->p->t->arena, &l->p->draws, l->g->draws.at[i]);
}
