/* Entries: what a trainer runs.
 *
 * In:  goals.
 * Out: an Entry for each step and report, and for `sample`, `reconstruct`, `encode` and `weight`; the model's tables.
 *
 * note [scale]  What a step optimises and prints is the objective per row of the data set: a part with the batch plate is
 * averaged over the batch's rows (an unbiased estimate of the average over all).  A density, divergence or entropy without it
 * belongs to the whole data set and is divided by its number of rows; a mean over the rows, of densities or of other things, and any
 * other value without it (a discrepancy of distributions) counts as it is.  Where no part has the batch plate, nothing is divided.  Other plates
 * are summed in full. */
#include "lower.h"

static AxisSet plates_in(const Graph *g, AxisSet axes) {
  AxisSet out = 0;
  for (uint32_t a = 0; a < g->axis.n; a++)
    if ((axes >> a & 1) && g->axis.at[a].kind == AXIS_PLATE) out |= (AxisSet)1 << a;
  return out;
}

/* Plates that a part varies over.  Its value need not: a divergence of two distributions that are the same for each row counts
 * for each row all the same. */
static AxisSet plates_of(const Lower *l, const Part *part, Val v) {
  AxisSet axes = part->kind == PART_VALUE ? shape_of(l->p->t->graph, part->value)->axes : part->site->shape->axes;
  return plates_in(l->g, (axes & ~part->sums) | shape_of(l->g, v)->axes);
}

/* Did the objective itself average the part over the batch plate: `mean(each row) KL(q.z || p.z)`? */
static bool is_mean_of_rows(const Lower *l, const Goal *goal, const Part *part) {
  const Graph *g = l->p->t->graph;
  if (goal->axis < 0 || !(part->sums >> goal->axis & 1)) return false;
  for (uint32_t i = 0; i < part->scales.n; i++) {
    const Node *scale = node_of(g, part->scales.at[i]), *of = scale->op == OP_recip ? node_of(g, scale->arg[0]) : NULL;
    if (of && of->op == OP_count && of->attr.count.axis == (uint32_t)goal->axis && !of->attr.count.total) return true;
  }
  return false;
}

/* A value that counts once for each element of `plates`, as an average per row; with `keep_rows` the batch plate stays; `whole`:
 * what has no batch plate counts as it is. */
static Val per_row(Lower *l, const Goal *goal, Val v, AxisSet plates, bool keep_rows, bool whole) {
  Graph *g = l->g;
  AxisSet batch = goal->axis >= 0 ? (AxisSet)1 << goal->axis : 0;
  if (plates & ~batch) v = graph_reduce(g, REDUCE_SUM, v, plates & ~batch, 0);
  if (!batch) return v;
  if (plates & batch) {
    if (keep_rows || !(shape_of(g, v)->axes & batch)) return v;
    return graph_op2(g, OP_div, graph_reduce(g, REDUCE_SUM, v, batch, 0), graph_count(g, (uint32_t)goal->axis, false));
  }
  return whole ? v : graph_op2(g, OP_div, v, graph_count(g, (uint32_t)goal->axis, true));
}

static void missing_value(Lower *l, Span at) {
  if (!l->missing) return;
  DiagItem *d = diag_at(l->p->t->diag, E0504, at, "`%s` has no value here: it is neither drawn nor data", l->missing);
  if (l->missing_at.end) diag_label(d, l->missing_at, "`%s`", l->missing);
  diag_note(d, "what the objective needs must be data, or drawn by one of the expectations around it, before it is needed");
}

/* Gradients have been taken: without stops, what was computed once with and once without a gradient is one value again. */
static void forward_only(Lower *l, Entry *e) {
  Graph *g = graph_new(l->p->t->arena);
  g->forward = true;
  for (uint32_t i = 0; i < l->g->axis.n; i++) graph_axis(g, l->g->axis.at[i]);
  for (uint32_t i = 0; i < l->g->draws.n; i++) graph_draw(g, l->g->draws.at[i]);
  VEC(Val *) at = {0};
  VEC(Val) from = {0};
  for (uint32_t i = 0; i < e->scalars.n; i++) vec_push(l->p->t->arena, &at, &e->scalars.at[i].value);
  for (uint32_t i = 0; i < e->grads.n; i++)   vec_push(l->p->t->arena, &at, &e->grads.at[i].value);
  for (uint32_t i = 0; i < e->updates.n; i++) vec_push(l->p->t->arena, &at, &e->updates.at[i].value);
  for (uint32_t i = 0; i < at.n; i++) vec_push(l->p->t->arena, &from, *at.at[i]);
  Val *to = arena_alloc(l->p->t->arena, (from.n + 1) * sizeof *to);
  graph_copy(g, l->g, from.at, from.n, to, NULL, NULL);
  for (uint32_t i = 0; i < at.n; i++) *at.at[i] = to[i];
  e->graph = g;
}

/* A line search compares values at the same draws, so the gradient must be that of the values: a score-function or another
 * estimate of it is so only on average. */
static bool trains(const Prob *p, const Goal *goal, const Program *q) {
  bool any = goal->params.n == 0;
  for (uint32_t i = 0; i < goal->params.n; i++) any |= name_inside(p->t->params.at[goal->params.at[i]].svi.name, q->name);
  return any;
}
static void check_fixed_draws(Prob *p, const Goal *goal) {
  if (p->t->optimizer.kind != SVI_LBFGS || goal->report) return;
  for (uint32_t i = 0; i < goal->parts.n; i++)
    for (const Path *path = goal->parts.at[i].path; path; path = path->outer)
      for (uint32_t k = 0; k < path->program->sites.n && trains(p, goal, path->program); k++) {
        const Site *site = path->program->sites.at[k];
        const Estimate *e = estimate_of(p, site);
        if (!e || (!path->detached && (e->via == VIA_PATHWISE || e->via == VIA_ENUMERATE))) continue;
        const char *how = path->detached ? "stop" : via_name(e->via);
        DiagItem *d = diag_at(p->t->diag, E0511, site->span, "`lbfgs` cannot train `%s.%s`, whose gradient is estimated by `%s`", path->program->name, site->name, how);
        diag_note(d, "its line search compares values of the objective at the same draws; this gradient is theirs only on average");
        diag_help(d, "choose another optimiser: `optimizer: adam(lr: 1e-3)`");
        return;
      }
}

static Entry *goal_entry(Prob *p, const Goal *goal) {
  Typed *t = p->t;
  Lower *l = lower_new(p, goal->report ? FOR_REPORT : FOR_STEP);
  l->objective = goal->span;
  Entry *e = NEW(t->arena, Entry);
  *e = (Entry){.name = name_printf("%s:%s", goal->report ? "report" : "step", goal->name), .graph = l->g, .axis = goal->axis};
  Val total = NO_VAL;
  bool rows = false, shown = false;                        /* a part has the batch plate; its value differs from row to row */
  Val *parts = arena_alloc(t->arena, (goal->parts.n + 1) * sizeof *parts);
  Signals signals = {0};
  ScaledPart *scaled = arena_alloc(t->arena, (goal->parts.n + 1) * sizeof *scaled);
  for (uint32_t i = 0; i < goal->parts.n; i++) {
    uint32_t before = signals.n;
    parts[i] = lower_part(l, &goal->parts.at[i], goal->report ? NULL : &signals);
    for (uint32_t k = before; k < signals.n; k++) signals.at[k].part = i;
    rows  |= goal->axis >= 0 && (plates_of(l, &goal->parts.at[i], parts[i]) >> goal->axis & 1);
    shown |= goal->axis >= 0 && (shape_of(l->g, parts[i])->axes >> goal->axis & 1);
  }
  for (uint32_t i = 0; i < goal->parts.n; i++) {
    const Part *part = &goal->parts.at[i];
    scaled[i] = (ScaledPart){plates_of(l, part, parts[i]), !rows || part->kind == PART_VALUE || is_mean_of_rows(l, goal, part)};
    Val v = per_row(l, goal, parts[i], scaled[i].plates, goal->report && shown, scaled[i].whole);
    total = total == NO_VAL ? v : graph_op2(l->g, OP_add, total, v);
  }
  if (total == NO_VAL) total = graph_const(l->g, 0);
  missing_value(l, goal->span);
  if (goal->report) {
    EntryRoot root = {goal->name, total};
    if (shown) vec_push(t->arena, &e->outs, root);
    else vec_push(t->arena, &e->scalars, root);
    lower_done(l);
    return e;
  }
  /* parameters with priors: their log density enters once, for the data set */
  Val objective = total;
  for (uint32_t i = 0; i < t->params.n; i++) {
    if (t->params.at[i].prior == NO_VAL) continue;
    bool trained = goal->params.n == 0;
    for (uint32_t k = 0; k < goal->params.n; k++) trained |= goal->params.at[k] == (int32_t)i;
    if (!trained) continue;
    Val prior = lower_copy(l, NULL, t->params.at[i].prior);
    prior = per_row(l, goal, prior, plates_in(l->g, shape_of(l->g, prior)->axes), false, !rows);
    objective = graph_op2(l->g, goal->maximize ? OP_add : OP_sub, objective, prior);
  }
  EntryRoot root = {goal->name, objective};
  vec_push(t->arena, &e->scalars, root);
  Val baselines = lower_baselines(l, e, goal, &signals, scaled);
  Val with = baselines == NO_VAL ? objective : graph_op2(l->g, OP_add, objective, baselines);
  Val loss = goal->maximize ? graph_op1(l->g, OP_neg, with) : with;
  VEC(Val) wrt = {0};
  VEC(int32_t) ids = {0};
  for (uint32_t i = 0; i < t->params.n; i++) {
    if (t->params.at[i].svi.state) continue;
    bool trained = goal->params.n == 0;
    for (uint32_t k = 0; k < goal->params.n; k++) trained |= goal->params.at[k] == (int32_t)i;
    if (!trained) continue;
    const ParamInfo *info = &t->params.at[i];
    Val leaf = graph_leaf(l->g, OP_param, name_of(info->svi.name), i, lower_shape(l, shape_of(t->graph, info->leaf)), RANGE_REAL);
    graph_label(l->g, leaf, name_of(info->svi.name), info->span);
    int32_t id = (int32_t)i;
    vec_push(t->arena, &wrt, leaf);
    vec_push(t->arena, &ids, id);
  }
  if (wrt.n) {
    Val *out = arena_alloc(t->arena, wrt.n * sizeof *out);
    graph_grad(l->g, loss, wrt.at, wrt.n, out);
    for (uint32_t i = 0; i < wrt.n; i++) {
      if (out[i] == NO_VAL) continue;
      EntryParam grad = {ids.at[i], out[i]};
      vec_push(t->arena, &e->grads, grad);
      t->params.at[ids.at[i]].used = true;
    }
  }
  lower_updates(l, e);
  lower_done(l);
  forward_only(l, e);
  return e;
}

/* ---- sample, reconstruct, encode */
static bool program_has(const Program *q, Name site) {
  for (uint32_t i = 0; i < q->sites.n; i++)
    if (q->sites.at[i]->name == site) return true;
  return false;
}
/* The batch plate and those that lie in it. */
static AxisSet axes_shown(const Lower *l, const Entry *e) {
  AxisSet axes = 0;
  for (uint32_t a = 0; a < l->g->axis.n && e->axis >= 0; a++)
    for (int up = (int)a; up >= 0; up = l->g->axis.at[up].parent)
      if (up == e->axis && l->g->axis.at[a].kind == AXIS_PLATE) axes |= (AxisSet)1 << a;
  return axes;
}
/* `plates`: of the site, for each of whose rows it is said, also where it is the same. */
static void add_out(Lower *l, Entry *e, Name name, Val v, AxisSet plates) {
  AxisSet batch = e->axis >= 0 ? (AxisSet)1 << e->axis : 0;
  const Shape *s = shape_of(l->g, v);
  if (!batch || s->axes & ~axes_shown(l, e)) return;
  v = graph_expand_axes(l->g, v, (batch | plates) & ~s->axes);
  EntryRoot root = {name, v};
  vec_push(l->p->t->arena, &e->outs, root);
}
static void add_site(Lower *l, Entry *e, Env *env, const Site *site, bool draw) {
  if (site->shape->axes & ~axes_shown(l, e)) return;        /* rows of another plate */
  if (draw) add_out(l, e, site->name, lower_variable(l, env, site->name, site->span), site->shape->axes);
  DistValue d = lower_dist(l, env, &site->dist, false);
  Val mean = dist_member(l->p->t, l->g, &d, "mean", NO_VAL, NULL, 0);
  if (mean == NO_VAL) return;
  if (shape_of(l->g, mean)->rank < site->shape->rank) mean = graph_spread(l->g, mean, graph_shape(l->g, shape_of(l->g, mean)->axes, site->shape->rank, site->shape->dim));
  add_out(l, e, name_printf("%s.mean", site->name), mean, site->shape->axes);
}
/* The mean of an autoregressive site is of a draw: each coordinate's, given those drawn before it. */
static Env *drawn_within(Lower *l, Env *env, Site *site) {
  Env *own = NEW(l->p->t->arena, Env);
  *own = (Env){.outer = env, .path = env->path};
  uint32_t draw = graph_draw(l->g, (Draw){name_printf("%s.%s", site->program->name, site->name), site->span, false});
  Drawn made = autoregressive_draw(l, own, site, draw, VIA_COUNT);
  vec_push(l->p->t->arena, &own->drawn, made);
  return own;
}
static Entry *show_entry(Prob *p, const char *name, const Program *draws, const Program *shows, bool observed_only) {
  Lower *l = lower_new(p, FOR_SHOW);
  Entry *e = NEW(p->t->arena, Entry);
  int axis = draws->axis;
  for (uint32_t i = 0; i < shows->sites.n && axis < 0; i++)
    for (uint32_t a = 0; a < l->g->axis.n; a++)
      if (shows->sites.at[i]->shape->axes >> a & 1 && l->g->axis.at[a].parent < 0 && (!observed_only || shows->sites.at[i]->observed)) axis = (int)a;
  *e = (Entry){.name = name_of(name), .graph = l->g, .axis = axis};
  if (draws == shows && !draws->guide) l->given = axis;
  Env *env = lower_env(l, path_of(p, NULL, (Program *)draws, -1, 0, false));
  for (uint32_t i = 0; i < shows->sites.n; i++) {
    const Site *site = shows->sites.at[i];
    if (observed_only && !site->observed) continue;
    add_site(l, e, site->autoregressive && draws != shows ? drawn_within(l, env, shows->sites.at[i]) : env, site, draws == shows);
    if (observed_only && draws != shows) add_out(l, e, site->name, lower_variable(l, env, site->name, site->span), site->shape->axes);
  }
  lower_done(l);
  if (l->missing) return NULL;                             /* needs something that only an objective provides */
  return e->outs.n ? e : NULL;
}

/* ---- weight: log p - log q of each row at one draw of the guide, what `diagnose` looks at */
/* Adds the row's log density of each site of `q`; why there is none, or NULL. */
static const char *row_density(Lower *l, const Entry *e, Env *env, const Program *q, double sign, Val *sum) {
  AxisSet batch = (AxisSet)1 << e->axis;
  for (uint32_t i = 0; i < q->sites.n; i++) {
    const Site *site = q->sites.at[i];
    AxisSet plates = plates_in(l->g, site->shape->axes);
    if (!plates) return name_printf("`%s.%s` exists once for all rows, so no row has a weight of its own", q->name, site->name);
    for (uint32_t a = 0; a < l->g->axis.n; a++) {
      int root = (int)a;
      while (l->g->axis.at[root].parent >= 0) root = l->g->axis.at[root].parent;
      if ((plates >> a & 1) && root != e->axis) return name_printf("`%s.%s` exists for each %s, which is not inside %s", q->name, site->name, l->g->axis.at[a].name, l->g->axis.at[e->axis].name);
    }
    if (!(plates & batch)) return name_printf("`%s.%s` does not exist for each %s", q->name, site->name, l->g->axis.at[e->axis].name);
    Val x = lower_variable(l, env, site->name, site->span);
    DistValue d = site->dist;
    if (d.flow && d.flow->back == NO_VAL && sign > 0) return name_printf("`%s.%s` is transformed by what has no inverse", q->name, site->name);
    d.flow = NULL;
    if (x == NO_VAL || !dist_has_function(&d, name_of("logpdf"))) return name_printf("`%s.%s` has no density", q->name, site->name);
    Val v = lower_log_density(l, env, site, x);
    v = graph_expand_axes(l->g, v, plates & ~shape_of(l->g, v)->axes);
    if (plates & ~batch) v = graph_reduce(l->g, REDUCE_SUM, v, plates & ~batch, 0);
    if (shape_of(l->g, v)->axes & ~batch) return name_printf("the density of `%s.%s` varies over more than the rows", q->name, site->name);
    *sum = *sum == NO_VAL ? v : graph_op2(l->g, sign < 0 ? OP_sub : OP_add, *sum, v);
  }
  return NULL;
}
static Entry *weight_entry(Prob *p, const Program *model, const Program *guide, const char **why) {
  if (!model) return *why = "the file has no model", NULL;
  bool latent = false;
  for (uint32_t i = 0; i < model->sites.n; i++) latent |= !model->sites.at[i]->observed;
  if (!latent) return *why = name_printf("`%s` has no latents", model->name), NULL;
  if (!guide) return *why = name_printf("no guide draws every latent of `%s`", model->name), NULL;
  for (uint32_t i = 0; i < guide->sites.n; i++)
    if (!program_has(model, guide->sites.at[i]->name)) return *why = name_printf("`%s` draws `%s`, which `%s` does not have", guide->name, guide->sites.at[i]->name, model->name), NULL;
  Lower *l = lower_new(p, FOR_SHOW);
  Entry *e = NEW(p->t->arena, Entry);
  *e = (Entry){.name = name_of("weight"), .graph = l->g, .axis = -1};
  for (uint32_t i = 0; i < model->sites.n && e->axis < 0; i++)
    for (uint32_t a = 0; a < l->g->axis.n && e->axis < 0; a++)
      if (model->sites.at[i]->observed && l->g->axis.at[a].kind == AXIS_PLATE && l->g->axis.at[a].parent < 0 && (model->sites.at[i]->shape->axes >> a & 1)) e->axis = (int)a;
  if (e->axis < 0) return *why = name_printf("`%s` has no plate of rows", model->name), NULL;
  for (uint32_t i = 0; i < guide->sites.n; i++)
    if (guide->sites.at[i]->autoregressive) return *why = name_printf("`%s.%s` cannot be drawn yet", guide->name, guide->sites.at[i]->name), NULL;
  Env *env = lower_env(l, path_of(p, NULL, (Program *)guide, -1, 0, false));
  EntryRoot root = {e->name, NO_VAL};
  *why = row_density(l, e, env, model, 1, &root.value);
  if (!*why) *why = row_density(l, e, env, guide, -1, &root.value);
  lower_done(l);
  if (l->missing) *why = name_printf("`%s` has a value only inside an objective", l->missing);
  if (*why) return NULL;
  vec_push(p->t->arena, &e->outs, root);
  return e;
}

/* ---- tables */
static SviPlace place_of(const Typed *t, Span at) {
  if (!at.end) return (SviPlace){0};
  Place p = source_place(t->sources, at.at);
  if (p.source != t->source) return (SviPlace){0};
  return (SviPlace){p.line, p.column};
}
static uint64_t hash_text(const char *s) {
  uint64_t h = 1469598103934665603u;
  for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
  return h;
}

static void build_tables(Prob *p, Lowered *out) {
  Typed *t = p->t;
  SviModel *m = &out->model;
  SviAxis *axes = arena_alloc(t->arena, (t->graph->axis.n + 1) * sizeof *axes);
  for (uint32_t i = 0; i < t->graph->axis.n; i++) {
    const Axis *a = &t->graph->axis.at[i];
    axes[i] = (SviAxis){.name = a->name, .parent = a->parent, .ordered = a->ordered, .kind = (uint8_t)a->kind, .fallback = a->size, .again = (int32_t)a->again};
    if (a->kind == AXIS_PARTICLE && i < t->axes.n) axes[i].fallback = t->axes.at[i].fallback;
  }
  m->naxis = (int32_t)t->graph->axis.n, m->axis = axes;
  int32_t n = 0;
  SviColumn *columns = arena_alloc(t->arena, (t->data.n + 1) * sizeof *columns);
  for (uint32_t i = 0; i < t->data.n; i++) {
    const DataVar *d = &t->data.at[i];
    if (d->column < 0) continue;
    SviColumn c = {.name = d->name, .type = d->type, .axis = -1, .rank = (int32_t)d->shape->rank, .dim = d->shape->dim, .size = shape_event_size(d->shape),
                   .range = {d->range.lo, d->range.hi, d->range.lo_open, d->range.hi_open, d->range.whole}, .place = place_of(t, d->span), .points = d->points};
    for (uint32_t a = 0; a < t->graph->axis.n; a++)
      if (d->shape->axes >> a & 1) c.axis = (int32_t)a;
    columns[d->column] = c;
    n++;
  }
  m->ncolumn = n, m->column = columns;
  SviColumn *latents = arena_alloc(t->arena, (p->latents.n + 1) * sizeof *latents);
  for (uint32_t i = 0; i < p->latents.n; i++) {
    const Site *s = p->latents.at[i];
    int32_t axis = -1;
    for (uint32_t a = 0; a < t->graph->axis.n; a++)
      if (s->shape->axes >> a & 1) axis = (int32_t)a;
    latents[i] = (SviColumn){.name = s->name, .type = "latent", .axis = axis, .rank = (int32_t)s->shape->rank, .dim = s->shape->dim, .size = shape_event_size(s->shape),
                             .range = {s->range.lo, s->range.hi, s->range.lo_open, s->range.hi_open, s->range.whole}, .place = place_of(t, s->span)};
  }
  m->nlatent = (int32_t)p->latents.n, m->latent = latents;
  SviParam *params = arena_alloc(t->arena, (t->params.n + 1) * sizeof *params);
  for (uint32_t i = 0; i < t->params.n; i++) {
    SviParam *s = &t->params.at[i].svi;
    s->place = place_of(t, t->params.at[i].span);
    if (s->axis < 0) {
      s->offset = m->param_size;
      m->param_size += (s->size + 15) / 16 * 16;
    }
    if (s->init.kind == SVI_INIT_VALUES && s->init.nvalue == 0) {
      static const double zero = 0;
      s->init.nvalue = 1, s->init.value = &zero;
    }
    params[i] = *s;
  }
  m->nparam = (int32_t)t->params.n, m->param = params;
  SviOption *options = arena_alloc(t->arena, (t->options.n + 1) * sizeof *options);
  for (uint32_t i = 0; i < t->options.n; i++) options[i] = (SviOption){t->options.at[i].name, t->options.at[i].schedule, place_of(t, t->options.at[i].span)};
  m->noption = (int32_t)t->options.n, m->option = options;

  SviDraw *draws = arena_alloc(t->arena, (p->draws.n + 1) * sizeof *draws);
  for (uint32_t i = 0; i < p->draws.n; i++) draws[i] = (SviDraw){p->draws.at[i].name, p->draws.at[i].once, place_of(t, p->draws.at[i].span)};
  m->ndraw = (int32_t)p->draws.n, m->draw = draws;

  SviEntry *entries = arena_alloc(t->arena, (out->entries.n + 1) * sizeof *entries);
  out->entry = entries;
  m->nentry = (int32_t)out->entries.n, m->entry = entries;
  SviReport *reports = arena_alloc(t->arena, (p->goals.n + 1) * sizeof *reports);
  SviStep *steps = arena_alloc(t->arena, (p->goals.n + 1) * sizeof *steps);
  int32_t nreport = 0, nstep = 0;
  for (uint32_t i = 0; i < p->goals.n; i++) {                /* entries begin with the goals, in order */
    const Goal *g = &p->goals.at[i];
    if (g->report) { reports[nreport++] = (SviReport){g->name, (int32_t)i}; continue; }
    Entry *e = out->entries.at[i];
    int32_t *ids = arena_alloc(t->arena, (e->grads.n + 1) * sizeof *ids);
    for (uint32_t k = 0; k < e->grads.n; k++) ids[k] = e->grads.at[k].param;
    steps[nstep++] = (SviStep){g->name, (int32_t)i, g->maximize, (int32_t)e->grads.n, ids};
  }
  m->nreport = nreport, m->report = reports;
  m->train = (SviTrain){.optimizer = t->optimizer, .batch = t->batch, .epochs = t->epochs, .nstep = nstep, .step = steps};
  m->abi = SVI_ABI;
  m->real_bytes = 4;
  m->path = t->source->path, m->source = t->source->text;
  m->hash = name_printf("%016llx", (unsigned long long)hash_text(t->source->text));
}

Lowered *prob_lower(Prob *p) {
  Typed *t = p->t;
  Lowered *out = NEW(t->arena, Lowered);
  for (uint32_t i = 0; i < p->goals.n; i++) {
    check_fixed_draws(p, &p->goals.at[i]);
    Entry *e = goal_entry(p, &p->goals.at[i]);
    vec_push(t->arena, &out->entries, e);
  }
  if (diag_errors(t->diag)) return out;
  Program *model = NULL, *guide = NULL;
  for (uint32_t i = 0; i < t->programs.n; i++) {
    Program *q = t->programs.at[i];
    if (!q->guide && !model) model = q;
  }
  for (uint32_t i = 0; i < t->programs.n; i++) {    /* the guide that draws the model's latents; without a model, the first */
    Program *q = t->programs.at[i];
    if (!q->guide || guide) continue;
    bool covers = true;
    for (uint32_t k = 0; model && k < model->sites.n; k++) covers &= model->sites.at[k]->observed || program_has(q, model->sites.at[k]->name);
    if (covers) guide = q;
  }
  const char *no_weight = NULL;
  Entry *shows[4] = {
    model ? show_entry(p, "sample", model, model, false) : NULL,
    guide ? show_entry(p, "encode", guide, guide, false) : NULL,
    guide && model ? show_entry(p, "reconstruct", guide, model, true) : NULL,
    weight_entry(p, model, guide, &no_weight),
  };
  for (int i = 0; i < 4; i++)
    if (shows[i]) vec_push(t->arena, &out->entries, shows[i]);
  for (uint32_t i = 0; i < t->params.n; i++)
    if (!t->params.at[i].used && !t->params.at[i].svi.state && p->goals.n) {
      DiagItem *d = diag_at(t->diag, W0103, t->params.at[i].span, "parameter `%s` is never trained", t->params.at[i].svi.name);
      bool listed = false;
      for (uint32_t k = 0; k < p->goals.n; k++) {
        const Goal *g = &p->goals.at[k];
        listed |= !g->report && g->params.n == 0;
        for (uint32_t m = 0; m < g->params.n && !g->report; m++) listed |= g->params.at[m] == (int32_t)i;
      }
      if (listed) {
        diag_note(d, "no objective depends on it, so it keeps its initial value");
        diag_help(d, "use it, or remove it");
      } else {
        const char *path = t->params.at[i].svi.name;
        diag_note(d, "no step lists what it belongs to, so it keeps its initial value");
        diag_help(d, "add `%.*s` to the `over` of a step", (int)strcspn(path, "."), path);
      }
    }
  build_tables(p, out);
  out->model.no_weight = no_weight;
  return out;
}
