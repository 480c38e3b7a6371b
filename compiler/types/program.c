/* Statements of programs and nets: values, sites, parameters, loops.
 *
 * Loops are unrolled, `for each` adds its plate to the statements inside.  Sites, families and the names defined in `for each`
 * belong to the whole body; a plain name defined in a `for` belongs to one turn of it. */
#include "value.h"
#include <math.h>
#include <stdlib.h>

enum { MOST_TURNS = 10000, MOST_START = 4000000 };

static Scope *body_scope(Scope *s) {
  while (s->parent) s = s->parent;
  return s;
}

static bool eval_target(Checker *c, Scope *s, const Target *t, Key *key, Name *name) {
  *key = (Key){.n = t->index.n};
  *name = t->name;
  if (t->index.n == 0) return true;
  if (t->index.n > 4) { diag_at(c->diag, E0204, t->span, "a family has at most 4 indices"); return false; }
  for (uint32_t i = 0; i < t->index.n; i++)
    if (!want_whole(c, s, t->index.at[i], &key->at[i])) return false;
  *name = member_name(t->name, key);
  return true;
}

/* Binds a name or family member; a second definition is an error. */
static void define(Checker *c, Scope *s, const Target *t, const Key *key, Value v) {
  if (key->n == 0) {
    for (uint32_t i = 0; i < s->bindings.n; i++)
      if (s->bindings.at[i].name == t->name) {
        if (s->bindings.at[i].value.kind == V_BAD) return;
        diag_label(diag_at(c->diag, E0209, t->span, "`%s` is already defined", t->name), s->bindings.at[i].span, "here");
        return;
      }
    scope_bind(c, s, t->name, v, t->span);
    return;
  }
  Binding *b = scope_find(s, t->name);
  if (!b) {
    Value family = {.kind = V_FAMILY, .span = t->span, .as.family = NEW(c->arena, Family)};
    scope_bind(c, body_scope(s), t->name, family, t->span);
    b = scope_find(s, t->name);
  }
  if (b->value.kind == V_BAD) return;
  if (b->value.kind != V_FAMILY) {
    diag_label(diag_at(c->diag, E0209, t->span, "`%s` is one value, not a family", t->name), b->span, "defined here");
    return;
  }
  Family *f = b->value.as.family;
  for (uint32_t i = 0; i < f->key.n; i++)
    if (f->key.at[i].n == key->n && memcmp(f->key.at[i].at, key->at, key->n * sizeof *key->at) == 0) {
      diag_label(diag_at(c->diag, E0209, t->span, "`%s` is already defined", member_name(t->name, key)), f->span.at[i], "here");
      return;
    }
  vec_push(c->arena, &f->key, *key);
  vec_push(c->arena, &f->value, v);
  vec_push(c->arena, &f->span, t->span);
}

/* `known`, when it is a family, and one more member: what an autoregressive member sees of its family. */
static Value family_and(Checker *c, const Binding *known, const Key *key, Value member, Span at) {
  Family *f = NEW(c->arena, Family);
  if (known && known->value.kind == V_FAMILY) {
    const Family *old = known->value.as.family;
    for (uint32_t i = 0; i < old->key.n; i++) {
      vec_push(c->arena, &f->key, old->key.at[i]);
      vec_push(c->arena, &f->value, old->value.at[i]);
      vec_push(c->arena, &f->span, old->span.at[i]);
    }
  }
  vec_push(c->arena, &f->key, *key);
  vec_push(c->arena, &f->value, member);
  vec_push(c->arena, &f->span, at);
  return (Value){.kind = V_FAMILY, .span = at, .as.family = f};
}

static int plate_find(Checker *c, Name name, Span at) {
  Name names[AXIS_MAX];
  size_t n = 0;
  for (uint32_t i = 0; i < c->g->axis.n; i++)
    if (c->g->axis.at[i].kind == AXIS_PLATE) {
      if (c->g->axis.at[i].name == name) return (int)i;
      names[n++] = c->g->axis.at[i].name;
    }
  DiagItem *i = diag_at(c->diag, E0202, at, "there is no plate `%s`", name);
  Name near = name_meant(name, names, n);
  if (near) diag_fix(i, at, near, "did you mean `%s`?", near);
  else diag_help(i, "declare it: `plate %s`", name);
  return -1;
}

/* A plate and those it lies in: what data and parameters for each of it vary over. */
AxisSet plate_with_outer(Checker *c, int axis) {
  AxisSet axes = 0;
  for (; axis >= 0; axis = c->g->axis.at[axis].parent) axes |= (AxisSet)1 << axis;
  return axes;
}

const char *plates_text(Checker *c, AxisSet axes) {
  Name text = name_of("");
  for (uint32_t i = 0; i < c->g->axis.n; i++)
    if (axes >> i & 1) text = name_printf("%s%s%s", text, *text ? ", " : "", c->g->axis.at[i].name);
  return *text ? text : "none";
}

/* ---- sites */
static Via via_of(Checker *c, const Expr *e) {
  if (!e) return VIA_AUTO;
  Name word = e->kind == EX_NAME ? e->as.name : e->kind == EX_CALL && e->as.call.callee->kind == EX_NAME ? e->as.call.callee->as.name : NULL;
  static const char *const words[] = {
#define VIA(kind, name, text) name,
#include "via.def"
#undef VIA
  };
  Name names[VIA_COUNT];
  for (int i = 0; i < VIA_COUNT; i++) {
    names[i] = name_of(words[i]);
    if (word == names[i]) return (Via)i;
  }
  DiagItem *i = word ? diag_at(c->diag, E0505, e->span, "there is no gradient estimator `%s`", word) : diag_at(c->diag, E0505, e->span, "after `via` stands the name of a gradient estimator");
  Name near = word ? name_meant(word, names, VIA_COUNT) : NULL;
  if (near && e->kind == EX_NAME) diag_fix(i, e->span, near, "did you mean `%s`?", near);
  else if (near) diag_help(i, "did you mean `%s`?", near);
  else {
    Name all = name_of("");
    for (int k = VIA_AUTO + 1; k < VIA_COUNT; k++) all = name_printf("%s%s%s", all, k > VIA_AUTO + 1 ? ", " : "", names[k]);
    diag_note(i, "estimators: %s", all);
  }
  return VIA_AUTO;
}
/* via score(baseline: b), via concrete(temperature: t) */
static void via_arguments(Checker *c, Scope *s, const Expr *e, Site *site) {
  site->baseline = NO_VAL, site->temperature = graph_const(c->g, 0.5);
  if (!e) return;
  site->via_span = e->span;
  if (e->kind != EX_CALL) return;
  Name word = site->via == VIA_SCORE ? name_of("baseline") : site->via == VIA_CONCRETE ? name_of("temperature") : NULL;
  const Args *args = &e->as.call.args;
  if (!word || args->n != 1 || args->at[0].name != word) {
    DiagItem *i = diag_at(c->diag, E0505, e->span, "`via %s` is not written so", via_name(site->via));
    if (word) diag_help(i, "its one argument is named: `via %s(%s: %s)`", via_name(site->via), word, site->via == VIA_SCORE ? "nn.dense(x, 1)[1]" : "0.5");
    else diag_help(i, "it takes no arguments: `via %s`", via_name(site->via));
    return;
  }
  Name path = c->path;
  c->path = path_child(c, c->path, name_printf("baseline_%s", site->base));
  Val v = eval_node(c, s, args->at[0].value);
  c->path = path;
  if (v == NO_VAL) return;
  const Shape *have = shape_of(c->g, v);
  if (have->rank) {
    diag_mark(diag_at(c->diag, E0301, args->at[0].span, "the %s is one number", word), "%s", shape_text(c, have));
    return;
  }
  if (have->axes & ~c->plates) {
    diag_label(diag_at(c->diag, E0402, args->at[0].span, "`%s` is drawn %s, and its %s differs %s", site->name, each_text(c, c->plates), word, each_text(c, have->axes & ~c->plates)), site->span, "this site");
    return;
  }
  if (site->via == VIA_SCORE) site->baseline = v;
  else if (range_within(node_of(c->g, v)->range, RANGE_POSITIVE)) site->temperature = v;
  else diag_help(diag_at(c->diag, E0307, args->at[0].span, "the temperature must be positive"), "write a number above 0, or an option");
}
const char *via_name(Via v) {
  switch (v) {
#define VIA(kind, name, text) case kind: return name;
#include "via.def"
#undef VIA
    case VIA_COUNT: break;
  }
  return "?";
}

static const DataVar *observed_data(Checker *c, Name name) {
  for (uint32_t i = 0; i < c->t->data.n; i++)
    if (c->t->data.at[i].name == name && !c->t->data.at[i].points) return &c->t->data.at[i];
  return NULL;
}

static void check_observed(Checker *c, Site *site, const DataVar *d) {
  ((DataVar *)d)->used = true;
  const Shape *a = site->shape, *b = d->shape;
  if (d->failed) return;
  if (a->axes != b->axes) {
    DiagItem *i = diag_at(c->diag, E0402, site->span, "`%s` is drawn %s, and its data exists %s", site->name, each_text(c, a->axes), each_text(c, b->axes));
    diag_mark(i, "drawn %s", each_text(c, a->axes));
    diag_label(i, d->span, "declared %s", each_text(c, b->axes));
    if (b->axes & ~a->axes) diag_help(i, "draw it inside `%s { ... }`", each_text(c, b->axes & ~a->axes));
    return;
  }
  if (a != b) {
    DiagItem *i = diag_at(c->diag, E0301, site->span, "these two shapes of `%s` do not match: %s drawn, %s in the data", site->name, shape_text(c, a), shape_text(c, b));
    diag_mark(i, "%s", shape_text(c, a));
    diag_label(i, d->span, "%s", shape_text(c, b));
    if (a->rank == 0) diag_help(i, "for independent elements, say how many: `%s ~ %s%s`", site->name, source_words(c, site->dist.span), shape_text(c, b));
    return;
  }
  if (!range_within(d->range, site->range)) {
    DiagItem *i = diag_at(c->diag, E0405, site->dist.span, "`%s` does not reach all the data of `%s`", site->dist.decl->name, site->name);
    diag_mark(i, "gives values that are %s", must_text(site->range));
    diag_label(i, d->span, "declared `%s`: %s", d->type, must_text(d->range));
    diag_note(i, "data outside a distribution's support has log density -inf");
    if (site->range.whole && !d->range.whole && site->range.hi == 1) diag_help(i, "to make bits of it, declare `data NAME: bit... = draw Bernoulli(%s)`", site->name);
    else if (site->range.lo == 0 && d->range.lo < 0) diag_help(i, "if the data is never negative, declare it `positive`, `nonneg` or `count`; else use a family on the real line");
    else if (site->range.lo == 0 && site->range.lo_open && d->range.lo == 0) diag_help(i, "if the data is never 0, declare it `positive`");
  }
}

bool site_range_ahead(Checker *c, Scope *s, const Expr *e, Range *range) {
  *range = RANGE_REAL;
  if (e->kind == EX_INDEX) e = e->as.index.base;
  if (e->kind != EX_CALL) return true;
  Value f = eval(c, s, e->as.call.callee);
  if (f.kind == V_FUNCTION && f.as.function->decl && f.as.function->decl->kind == DE_DIST) {
    const Support *support = support_type(f.as.function->decl->as.dist.support->element);
    if (support) *range = support_range(support);
  }
  return f.kind != V_BAD;
}

/* The values of an autoregressive site, needed before its arguments are known: those of its data, or what the distribution's support
 * says without them.  False: a message was given. */
static bool range_ahead(Checker *c, Scope *s, const Expr *e, const DataVar *data, Range *range) {
  if (!data) return site_range_ahead(c, s, e, range);
  *range = data->range;
  return true;
}

static void run_site(Checker *c, Scope *s, const Stmt *st) {
  Key key;
  Name name;
  const Target *target = &st->as.site.target;
  if (!c->program || s->program != c->program) {
    diag_help(diag_at(c->diag, E0404, st->span, "a net cannot draw a site"), "draw it in the program that calls the net, or use `%s = draw %s` for noise that is never scored",
              target->name, source_words(c, st->as.site.dist->span));
    if (!scope_find(s, target->name)) scope_bind(c, s, target->name, v_bad(target->span), target->span);
    return;
  }
  if (!eval_target(c, s, target, &key, &name)) return;
  Site *site = NEW(c->arena, Site);
  site->name = name, site->base = target->name, site->program = c->program, site->span = target->span;
  site->autoregressive = st->as.site.autoregressive;
  site->via = via_of(c, st->as.site.via);
  via_arguments(c, s, st->as.site.via, site);
  const DataVar *data = observed_data(c, name);
  Scope *inner = s;
  uint32_t before = c->g->node.n;
  Val inside = NO_VAL;
  if (site->autoregressive) {                            /* h may be named in its own arguments: its shape comes from [n] or the data */
    inner = scope_new(c, s, NULL);
    const Expr *e = st->as.site.dist;
    uint32_t rank = 0, dim[DIM_MAX];
    if (e->kind == EX_INDEX) for (uint32_t i = 0; i < e->as.index.args.n && i < DIM_MAX; i++) { if (!want_size(c, s, e->as.index.args.at[i].value, &dim[rank++])) return; }
    else if (data) rank = data->shape->rank, memcpy(dim, data->shape->dim, sizeof dim);
    else {
      DiagItem *i = diag_at(c->diag, E0406, st->span, "the size of the autoregressive `%s` is not known", name);
      diag_note(i, "`%s` is named in its own arguments, so its shape must be known before them", name);
      diag_help(i, "write it after the distribution: `%s[500]`", source_words(c, e->span));
      return;
    }
    const Shape *shape = graph_shape(c->g, c->plates, rank, dim);
    Range range;
    if (!range_ahead(c, s, e, data, &range)) { define(c, body_scope(s), target, &key, v_bad(target->span)); return; }
    Value own = v_node(inside = graph_leaf(c->g, OP_input, name, 0, shape, range), target->span);
    if (key.n) own = family_and(c, scope_find(s, target->name), &key, own, target->span);
    scope_bind(c, inner, target->name, own, target->span);
  }
  const Expr *de = st->as.site.dist;
  if (site->autoregressive && de->kind == EX_INDEX) de = de->as.index.base;
  Value v = eval(c, inner, de);
  if (v.kind == V_SITES) {                               /* z ~ p.z: the model's conditional itself */
    const DistValue *from = sites_dist(c, v);
    if (!from) return;
    v = (Value){.kind = V_DIST, .span = v.span, .as.dist = (DistValue *)from};
  }
  if (v.kind != V_DIST) {
    if (v.kind != V_BAD) {
      DiagItem *i = diag_at(c->diag, E0302, st->as.site.dist->span, "`~` needs a distribution, and this is %s", value_kind_text(v));
      if (v.kind == V_FUNCTION) diag_help(i, "give it its arguments: `%s ~ %s(...)`", name, source_words(c, st->as.site.dist->span));
      else diag_help(i, "to name a value, write `%s = %s`; for noise around it, `%s ~ Normal(%s, 1)`", name, source_words(c, st->as.site.dist->span), name, source_words(c, st->as.site.dist->span));
    }
    define(c, body_scope(s), target, &key, v_bad(target->span));
    return;
  }
  site->dist = *v.as.dist;
  uint32_t rank, dim[DIM_MAX];
  if (!dist_event(c, &site->dist, v.span, &rank, dim)) return;
  Val part[DIST_VALUES];
  uint32_t parts = dist_values(&site->dist, part);
  for (uint32_t k = 0; k < parts; k++) {
    AxisSet more = shape_of(c->g, part[k])->axes & ~c->plates;
    if (!more) continue;
    DiagItem *i = diag_at(c->diag, E0402, dist_value_span(&site->dist, k), "`%s` is drawn %s, and this differs %s", name, each_text(c, c->plates), each_text(c, more));
    diag_label(i, target->span, "drawn %s", each_text(c, c->plates));
    links_label(c, i, c->plates);
    for (uint32_t a = 0; a < c->g->axis.n; a++)
      if (more >> a & 1) { diag_help(i, "draw it inside `for each %s { ... }`, or reduce the argument: `mean(each %s) ...`", c->g->axis.at[a].name, c->g->axis.at[a].name); break; }
    return;
  }
  if (site->autoregressive) {
    const Shape *said = shape_of(c->g, inside);
    if (said->rank != rank || memcmp(said->dim, dim, rank * sizeof *dim) != 0) {
      DiagItem *i = diag_at(c->diag, E0406, v.span, "the autoregressive `%s` is said to be %s, and is drawn as %s", name, shape_text(c, said), shape_text(c, graph_shape(c->g, 0, rank, dim)));
      if (data) diag_label(i, data->span, "the data");
      return;
    }
  } else {
    for (uint32_t k = 0; k < parts; k++)
      if (reads_variable(c, part[k], name)) {
        DiagItem *i = diag_at(c->diag, E0406, dist_value_span(&site->dist, k), "`%s` needs its own value", name);
        diag_label(i, target->span, "this site");
        diag_note(i, "a density of `%s` given `%s` itself is no model of it", name, name);
        if (rank) diag_help(i, "if each coordinate depends on the earlier ones only, write `%s ~ autoregressive %s`", name, source_words(c, v.span));
        return;
      }
  }
  site->shape = graph_shape(c->g, c->plates, rank, dim);
  if (site->autoregressive && !causal_check(c, site, v.span)) {
    define(c, body_scope(s), target, &key, v_bad(target->span));
    return;
  }
  site->range = dist_support(c, &site->dist);
  c->g->span = target->span;
  site->discrete = site->range.whole;
  Value var = v_node(graph_leaf(c->g, OP_input, name, 0, site->shape, site->range), target->span);
  if (site->autoregressive && !data && var.as.node >= before) c->g->node.at[var.as.node].range = site->range;   /* now all of it is known */
  site->var = var.as.node;
  site->observed = !c->program->guide && data;
  if (site->observed) check_observed(c, site, data);
  if (site->discrete && (site->via == VIA_PATHWISE || site->via == VIA_PRICE)) {
    DiagItem *i = diag_at(c->diag, E0511, st->as.site.via->span, "`%s` is discrete and has no %s gradient", name, via_name(site->via));
    diag_label(i, v.span, "%s takes whole values: a small change of its parameters does not move a draw a little, but sometimes by a jump", site->dist.decl->name);
    diag_help(i, "`via score`: unbiased, for any distribution");
  }
  if (program_site(c->program, name)) { diag_label(diag_at(c->diag, E0209, target->span, "site `%s` is already drawn", name), program_site(c->program, name)->span, "here"); return; }
  vec_push(c->arena, &c->program->sites, site);
  steps_defined(c, s, name, site->var, site, target->span);
  define(c, body_scope(s), target, &key, var);
}

void program_scan(Checker *c, Program *p, const Stmts *body) {
  for (uint32_t i = 0; i < body->n; i++) {
    const Stmt *st = body->at[i];
    switch (st->kind) {
      case ST_SITE: if (!program_draws(p, st->as.site.target.name)) vec_push(c->arena, &p->draws, st->as.site.target.name); break;
      case ST_FOR:  program_scan(c, p, &st->as.loop.body); break;
      case ST_EACH: program_scan(c, p, &st->as.each.body); break;
      case ST_IF:   program_scan(c, p, &st->as.branch.yes); program_scan(c, p, &st->as.branch.no); break;
      case ST_LET: case ST_PARAM: case ST_STATE: case ST_PRIOR: case ST_UPDATE: case ST_RETURN: break;
    }
  }
}
static bool has_name(const Name *names, uint32_t n, Name name) {
  for (uint32_t i = 0; i < n; i++)
    if (names[i] == name) return true;
  return false;
}
bool program_draws (const Program *p, Name base) { return has_name(p->draws.at, p->draws.n, base); }
bool program_failed(const Program *p, Name base) { return has_name(p->failed.at, p->failed.n, base); }

Site *program_site(Program *p, Name name) {
  for (uint32_t i = 0; i < p->sites.n; i++)
    if (p->sites.at[i]->name == name) return p->sites.at[i];
  return NULL;
}

/* ---- parameters */
static bool graph_number(Checker *c, Val v, double **out) {
  EvalInput in = {0};
  EvalResult result;
  char error[256];
  if (!is_known(c, v) || !graph_eval(c->arena, c->g, &v, 1, &in, &result, error)) return false;
  *out = result.value[v];
  return true;
}

/* A start that is known when compiled: the stored form of it, by the inverse of the support's transform.  A state is stored as it is. */
static bool start_value(Checker *c, Val n, const Expr *e, const TypeInfo *t, Span at, SviParam *p) {
  const Shape *s = shape_of(c->g, n), *whole = graph_shape(c->g, 0, t->rank, t->dim);
  double end[2], *x;
  bool vector = !p->state && support_own(support_of(t->range, end));
  if (node_of(c->g, n)->op == OP_const && vector) n = graph_spread(c->g, n, whole), s = whole;
  if (shape_event_size(s) > MOST_START) {
    diag_help(diag_at(c->diag, E0303, e->span, "an initial value computed when compiled has at most %d elements", MOST_START), "draw it: `init.normal(0.1)`");
    return false;
  }
  if ((node_of(c->g, n)->op != OP_const && s != whole) || !graph_number(c, n, &x)) {
    DiagItem *d = diag_at(c->diag, E0303, e->span, "an initial value must be known when compiled, and of the parameter's shape");
    if (!is_known(c, n)) tell_not_known(c, d, n);
    else if (s != whole) diag_label(diag_mark(d, "%s", shape_text(c, s)), at, "%s", shape_text(c, whole));
    diag_note(d, "it is a number, an expression of constants of the parameter's shape, or an initialiser such as `init.normal(0.1)`");
    return false;
  }
  const char *fault = support_fault(t->range, s, x);
  if (fault) {
    DiagItem *d = diag_at(c->diag, E0307, e->span, "the initial value must be %s, and %s", must_text(t->range), s->rank ? "this is not" : name_printf("this is %g", *x));
    if (s->rank) diag_mark(d, "%s", fault);
    switch (t->range.form) {
      case FORM_PLAIN:         if (t->range.lo == 0 && t->range.lo_open) diag_help(d, "start at a small number: `0.01`"); break;
      case FORM_SIMPLEX:       diag_help(d, "the uniform one is `1 / %u`", t->dim[t->rank - 1]); break;
      case FORM_ORDERED:       diag_help(d, "write them in rising order; for numbers in any order, declare `real`"); break;
      case FORM_CHOLESKY: case FORM_CORR_CHOLESKY: diag_help(d, t->rank == 2 ? "without a start it begins near `identity(%u)`" : "without a start they begin near `identity(%u)`", t->dim[t->rank - 1]); break;
    }
    return false;
  }
  Val u = p->state ? n : support_unconstrain(c, n, t->range);
  if (u == NO_VAL || !graph_number(c, u, &x)) BUG("a start without its stored form");
  p->init.kind = SVI_INIT_VALUES, p->init.nvalue = (int32_t)shape_event_size(shape_of(c->g, u)), p->init.value = x;
  for (int32_t i = 0; i < p->init.nvalue; i++)
    if (!isfinite(x[i])) {
      DiagItem *d = diag_at(c->diag, E0307, e->span, "an initial value may not lie at the end of its range");
      diag_note(d, "a parameter that is %s is stored as numbers that a smooth function maps there; it comes near the ends and never reaches them", must_text(t->range));
      if (t->range.form == FORM_SIMPLEX) diag_help(d, "give every element a small share, such as 0.001");
      else if (t->range.lo == 0) diag_help(d, "start inside: `0.001`");
      return false;
    }
  return true;
}

static bool init_value(Checker *c, Scope *s, const Expr *e, const TypeInfo *t, Span at, SviParam *p) {
  if (!e) {
    if (t->rank == 0) p->init.kind = SVI_INIT_VALUES;
    else p->init.kind = SVI_INIT_NORMAL, p->init.b = 0.1;
    return true;
  }
  Value v = eval(c, s, e);
  double fan_in = t->rank >= 1 ? t->dim[0] : 1, fan_out = t->rank >= 2 ? t->dim[t->rank - 1] : fan_in;
  switch (v.kind) {
    case V_BAD: return false;
    case V_INIT:
      p->init.kind = v.as.init.kind, p->init.a = v.as.init.a, p->init.b = v.as.init.b, p->init.column = v.as.init.data;
      if (v.as.init.glorot) { double r = sqrt(6 / (fan_in + fan_out)); p->init.kind = SVI_INIT_UNIFORM, p->init.a = -r, p->init.b = r; }
      if (v.as.init.glorot_normal) p->init.kind = SVI_INIT_NORMAL, p->init.b = sqrt(2 / (fan_in + fan_out));
      if (v.as.init.he) p->init.kind = SVI_INIT_NORMAL, p->init.b = sqrt(2 / fan_in);
      if (p->init.kind == SVI_INIT_LOGIT_MEAN && c->t->data.at[v.as.init.data].column < 0) {
        /* the file's column that the prepared data is drawn from: its mean, scaled to [0, 1] */
        diag_at(c->diag, E0303, e->span, "`init.logit_mean` reads a column of the data file; `%s` is prepared from one", c->t->data.at[v.as.init.data].name);
        return false;
      }
      if (p->init.kind == SVI_INIT_LOGIT_MEAN) {
        const DataVar *d = &c->t->data.at[v.as.init.data];
        p->init.column = d->column, p->init.a = d->range.lo, p->init.b = d->range.hi;
        if (!isfinite(d->range.lo) || !isfinite(d->range.hi) || shape_event_size(d->shape) != p->size) {
          diag_at(c->diag, E0303, e->span, "`init.logit_mean` needs data of the parameter's size in a bounded interval");
          return false;
        }
      }
      return true;
    case V_NODE: case V_LIST: {
      Val n = value_node(c, v);
      return n != NO_VAL && start_value(c, n, e, t, at, p);
    }
    case V_FUNCTION: case V_DIST: case V_PROGRAM: case V_SITES: case V_MODULE: case V_FAMILY: case V_RANGE: case V_DURATION: case V_SCHEDULE: break;
  }
  diag_help(diag_at(c->diag, E0302, e->span, "an initial value is a number or an initialiser, and this is %s", value_kind_text(v)), "for instance `0.1` or `init.normal(0.1)`; a prior is written `~ ...`");
  return false;
}

/* The log density of a parameter's value under its prior; NO_VAL after a message. */
static Val prior_density(Checker *c, const DistValue *prior, Val value, Range range, const Shape *shape, Name name, Span at, Span where) {
  uint32_t rank, dim[DIM_MAX];
  DistValue d = *prior;
  if (!dist_event(c, &d, at, &rank, dim)) return NO_VAL;
  if (rank && graph_shape(c->g, shape->axes, rank, dim) != shape) {
    diag_label(diag_mark(diag_at(c->diag, E0301, at, "the prior of `%s` has another shape", name), "%s", shape_text(c, graph_shape(c->g, 0, rank, dim))), where, "%s", shape_text(c, shape));
    return NO_VAL;
  }
  if (!range_within(range, dist_support(c, &d))) {
    DiagItem *i = diag_at(c->diag, E0405, at, "the prior of `%s` does not reach all its values", name);
    diag_mark(i, "of values that are %s", must_text(dist_support(c, &d)));
    diag_label(i, where, "may be any %s", range_word(range));
    if (dist_support(c, &d).lo == 0) diag_help(i, "declare it `%s`", range_word(dist_support(c, &d)));
    return NO_VAL;
  }
  Val lp = dist_member(c->t, c->g, &d, "logpdf", value, NULL, 0);
  return lp == NO_VAL ? NO_VAL : sum_event(c, lp);
}

static void run_param(Checker *c, Scope *s, const Stmt *st, bool state) {
  TypeInfo t;
  Name name = st->as.param.name;
  Target target = {.name = name, .span = st->as.param.name_span};
  Key none = {0};
  if (!c->path) {
    diag_at(c->diag, E0404, st->span, "a parameter belongs to a net or a program");
    return;
  }
  if (!type_eval(c, s, st->as.param.type, &t)) { define(c, s, &target, &none, v_bad(st->span)); return; }
  uint32_t rank = t.rank, stored[DIM_MAX];
  memcpy(stored, t.dim, sizeof stored);
  if (!state && !support_unconstrained(t.range, t.rank, t.dim, &rank, stored)) {
    DiagItem *d = diag_at(c->diag, E0309, st->as.param.type->span, "a parameter cannot be %s", must_text(t.range));
    diag_note(d, "parameters move by small steps along a gradient, and between whole numbers there is none");
    diag_help(d, "make it a latent variable: draw it in the model, and in the guide from a distribution with parameters");
    define(c, s, &target, &none, v_bad(st->span));
    return;
  }
  if (rank && stored[rank - 1] == 0) {                    /* simplex[1], corr_cholesky[1]: one value, nothing to learn */
    define(c, s, &target, &none, v_node(graph_assume(c->g, graph_spread(c->g, graph_const(c->g, 1), graph_shape(c->g, 0, t.rank, t.dim)), t.range), st->as.param.name_span));
    return;
  }
  ParamInfo info = {.span = st->as.param.name_span, .prior = NO_VAL};
  AxisSet axes = 0;
  info.svi.axis = -1;
  if (st->as.param.plate) {
    int axis = plate_find(c, st->as.param.plate, st->as.param.plate_span);
    if (axis < 0) { define(c, s, &target, &none, v_bad(st->span)); return; }
    axes = plate_with_outer(c, axis);
    info.svi.axis = axis;
  }
  info.shape = graph_shape(c->g, axes, t.rank, t.dim);
  info.svi.name = path_child(c, c->path, name);
  uint32_t id = c->t->params.n;
  for (uint32_t i = 0; i < c->t->params.n; i++)           /* a further call of an instance: the same parameter */
    if (strcmp(c->t->params.at[i].svi.name, info.svi.name) == 0) {
      if (c->t->params.at[i].shape != info.shape) {
        DiagItem *d = diag_at(c->diag, E0301, st->span, "`%s` is shared, and its calls need different shapes: %s and %s", info.svi.name, shape_text(c, c->t->params.at[i].shape), shape_text(c, info.shape));
        diag_help(d, "call an instance with arguments of one shape, or make two instances");
        define(c, s, &target, &none, v_bad(st->span));
        return;
      }
      id = i;
    }
  if (id == c->t->params.n) {
    info.svi.rank = (int32_t)rank;
    uint32_t *dim = arena_alloc(c->arena, (rank + 1) * sizeof *dim);
    memcpy(dim, stored, rank * sizeof *dim);
    info.svi.dim = dim;
    info.svi.size = shape_event_size(graph_shape(c->g, 0, rank, stored));
    info.svi.state = state;
    info.svi.support = t.range.form == FORM_PLAIN ? range_word(t.range) : t.text;      /* a vector's: its shape is not the stored one */
    if (!init_value(c, s, st->as.param.init, &t, info.span, &info.svi)) { define(c, s, &target, &none, v_bad(st->span)); return; }
    c->g->span = st->as.param.name_span;
    info.leaf = graph_leaf(c->g, OP_param, name_of(info.svi.name), id, graph_shape(c->g, axes, rank, stored), RANGE_REAL);
    graph_label(c->g, info.leaf, name_of(info.svi.name), st->as.param.name_span);
    vec_push(c->arena, &c->t->params, info);
  }
  c->g->span = st->as.param.name_span;
  Val value = state ? c->t->params.at[id].leaf : support_constrain(c, c->t->params.at[id].leaf, t.range);
  if (state && (t.range.lo > -INFINITY || t.range.hi < INFINITY)) value = graph_assume(c->g, value, t.range);
  ParamInfo *made = &c->t->params.at[id];
  if (st->as.param.prior) {
    Value d = eval(c, s, st->as.param.prior);
    if (d.kind == V_DIST) made->prior = prior_density(c, d.as.dist, value, t.range, info.shape, name, d.span, st->as.param.name_span);
    else if (d.kind != V_BAD) diag_help(diag_at(c->diag, E0302, d.span, "a prior is a distribution, and this is %s", value_kind_text(d)), "an initial value is written `= %s`", source_words(c, d.span));
  } else if (c->program && c->program->prior && !state && made->prior == NO_VAL && name_inside(made->svi.name, c->program->name)) {
    made->prior = prior_density(c, c->program->prior, value, t.range, info.shape, name_of(made->svi.name), c->program->prior_span, st->as.param.name_span);
  }
  define(c, s, &target, &none, v_node(value, st->as.param.name_span));
}

/* param ~ D: the prior of every parameter that the program makes from here on and that has none of its own. */
static void run_prior(Checker *c, Scope *s, const Stmt *st) {
  if (!c->program || s->program != c->program) {
    diag_help(diag_at(c->diag, E0404, st->span, "`param ~ D` belongs to a program"), "in a net, write the prior at the parameter: `param W: real[n, m] ~ D`");
    return;
  }
  if (c->program->prior) { diag_label(diag_at(c->diag, E0209, st->span, "a second prior for all parameters of `%s`", c->program->name), c->program->prior_span, "the first"); return; }
  for (uint32_t i = 0; i < c->t->params.n; i++)
    if (name_inside(c->t->params.at[i].svi.name, c->program->name) && !c->t->params.at[i].svi.state) {
      diag_help(diag_label(diag_at(c->diag, E0404, st->span, "the prior of all parameters comes after a parameter"), c->t->params.at[i].span, "this one would be without it"), "write `param ~ ...` first in the program");
      return;
    }
  Value d = eval(c, s, st->as.ret.value);
  if (d.kind == V_BAD) return;
  uint32_t rank, dim[DIM_MAX];
  if (d.kind != V_DIST) { diag_at(c->diag, E0302, st->as.ret.value->span, "a prior is a distribution, and this is %s", value_kind_text(d)); return; }
  if (!dist_event(c, d.as.dist, d.span, &rank, dim)) return;
  if (rank) { diag_mark(diag_at(c->diag, E0301, d.span, "a prior for all parameters is of one number"), "%s", shape_text(c, graph_shape(c->g, 0, rank, dim))); return; }
  c->program->prior = d.as.dist, c->program->prior_span = st->span;
}

static void run_update(Checker *c, Scope *s, const Stmt *st) {
  Val v = eval_node(c, s, st->as.update.value);
  if (v == NO_VAL) return;
  Name path = name_printf("%s.%s", c->path ? c->path : "", st->as.update.name);
  for (uint32_t i = 0; i < c->t->params.n; i++)
    if (name_of(c->t->params.at[i].svi.name) == path && c->t->params.at[i].svi.state) {
      const Shape *sh = shape_of(c->g, v);
      if (sh->rank != c->t->params.at[i].shape->rank || memcmp(sh->dim, c->t->params.at[i].shape->dim, sh->rank * sizeof *sh->dim) != 0) {
        diag_label(diag_at(c->diag, E0301, st->as.update.value->span, "the new value of `%s` has another shape", st->as.update.name), c->t->params.at[i].span, "%s", shape_text(c, c->t->params.at[i].shape));
        return;
      }
      if (sh->axes) {
        DiagItem *d = diag_at(c->diag, E0402, st->as.update.value->span, "a state exists once, and this value differs %s", each_text(c, sh->axes));
        diag_label(d, c->t->params.at[i].span, "the state");
        diag_help(d, "reduce it: `mean(each plate) %s`", source_words(c, st->as.update.value->span));
        return;
      }
      StateUpdate u = {(int32_t)i, v, st->span};
      if (c->program) vec_push(c->arena, &c->program->updates, u);
      return;
    }
  DiagItem *d = diag_at(c->diag, E0201, st->as.update.name_span, "there is no state `%s` here", st->as.update.name);
  Binding *b = scope_find(s, st->as.update.name);
  if (b) diag_label(d, b->span, "this is not a state");
  diag_help(d, "declare it in the same body: `state %s: real = 0`", st->as.update.name);
}

/* ---- bodies */
/* A site or value with an error in its statement: what names it later says nothing more. */
static void note_failed(Checker *c, Scope *s, const Stmt *st, unsigned errors) {
  const Target *target = st->kind == ST_SITE ? &st->as.site.target : st->kind == ST_LET ? &st->as.let.target : NULL;
  bool made = diag_errors(c->diag) == errors;
  if (made && st->kind == ST_SITE && c->program) {          /* without an error of its own: its distribution was bad already */
    made = false;
    for (uint32_t i = 0; i < c->program->sites.n; i++) made |= c->program->sites.at[i]->base == target->name;
  }
  if (target && c->program && s->program == c->program && !made && !program_failed(c->program, target->name)) vec_push(c->arena, &c->program->failed, target->name);
}
static Value run_stmt(Checker *c, Scope *s, const Stmt *st, bool *returned) {
  Value none = {.kind = V_BAD};
  switch (st->kind) {
    case ST_LET: {
      Key key;
      Name name;
      if (!eval_target(c, s, &st->as.let.target, &key, &name)) return none;
      Value v = eval(c, s, st->as.let.value);
      if (v.kind == V_NODE) steps_defined(c, s, name, v.as.node, NULL, st->as.let.target.span);
      if (v.kind == V_NODE && c->path) graph_label(c->g, v.as.node, name_printf("%s.%s", c->path, name), st->as.let.target.span);
      define(c, s, &st->as.let.target, &key, v);
      const DataVar *hidden = key.n == 0 && c->program && s->program == c->program ? observed_data(c, name) : NULL;
      if (hidden && !program_draws(c->program, name)) {
        DiagItem *d = diag_at(c->diag, W0104, st->as.let.target.span, "`%s` hides the data of the same name", name);
        ((DataVar *)hidden)->used = true;                  /* told once */
        diag_label(d, hidden->span, "the data");
        diag_help(d, c->program->guide ? "rename the value" : "to observe the data, draw it: `%s ~ ...`; else rename the value", name);
      }
      if (c->program && s->program == c->program && v.kind == V_NODE) {
        Local l = {name, v.as.node, st->as.let.target.span, st->as.let.target.name, key};
        vec_push(c->arena, &c->program->locals, l);
      }
      return none;
    }
    case ST_SITE: run_site(c, s, st); return none;
    case ST_PRIOR: run_prior(c, s, st); return none;
    case ST_FOR: {
      Value r = eval(c, s, st->as.loop.range);
      const Expr *re = st->as.loop.range;
      if (r.kind == V_NODE && node_of(c->g, r.as.node)->op == OP_const) {
        double last = node_of(c->g, r.as.node)->attr.number;
        if (last == floor(last) && fabs(last) < 1e9) r = (Value){.kind = V_RANGE, .as.range = {1, (int32_t)last, 1}};
      }
      if (r.kind != V_RANGE) {
        if (r.kind != V_BAD) {
          DiagItem *i = diag_at(c->diag, E0303, re->span, "`for` runs over whole numbers known when compiled");
          if (r.kind == V_LIST) diag_help(i, "count through the list: `for %s in 1..len(%s)`, and name its elements `%s[%s]`", st->as.loop.name, source_words(c, re->span), source_words(c, re->span), st->as.loop.name);
          else diag_help(i, "write `for %s in 1..L`", st->as.loop.name);
          if (r.kind == V_NODE) tell_not_known(c, i, r.as.node);
        }
        poison(c, body_scope(s), &st->as.loop.body);
        return none;
      }
      int64_t by = r.as.range.by, first = r.as.range.first, last = r.as.range.last;
      int64_t turns = (by > 0 ? last - first : first - last) < 0 ? 0 : (last - first) / by + 1;
      if (re->kind == EX_RANGE && !re->as.range.by && re->as.range.last->kind == EX_NUMBER && r.as.range.first > r.as.range.last) {
        /* 2..L may well be empty; L-1..1 was meant to count down */
        DiagItem *i = diag_at(c->diag, E0303, re->span, "this loop has no turns: %d..%d is empty", r.as.range.first, r.as.range.last);
        diag_fix(i, (Span){re->span.end, re->span.end}, " by -1", "to count down, write `by -1`");
        poison(c, body_scope(s), &st->as.loop.body);
        return none;
      }
      c->turns += (uint64_t)turns;
      if (turns > MOST_TURNS || c->turns > MOST_TURNS) {
        diag_help(diag_at(c->diag, E0303, re->span, turns > MOST_TURNS ? "this loop has more than %d turns" : "loops of this model have more than %d turns together", MOST_TURNS),
                  "loops are unrolled when compiled; for many alike, use a plate or `D(...)[n]`");
        poison(c, body_scope(s), &st->as.loop.body);
        return none;
      }
      for (int64_t i = first; by > 0 ? i <= last : i >= last; i += by) {
        Scope *inner = scope_new(c, s, NULL);
        scope_bind(c, inner, st->as.loop.name, v_node(graph_const(c->g, (double)i), st->as.loop.name_span), st->as.loop.name_span);
        unsigned errors = diag_errors(c->diag);
        Value v = run_body(c, inner, &st->as.loop.body, returned);
        if (*returned) return v;
        if (diag_errors(c->diag) != errors) { poison(c, body_scope(s), &st->as.loop.body); return none; }
      }
      return none;
    }
    case ST_EACH: {
      int axis = plate_find(c, st->as.each.plate, st->as.each.plate_span);
      if (axis < 0) { poison(c, body_scope(s), &st->as.each.body); return none; }
      AxisSet outer = c->plates;
      if (!links_open(c, (uint32_t)axis, st->as.each.plate_span)) { poison(c, body_scope(s), &st->as.each.body); return none; }
      if (outer >> axis & 1) {
        DiagItem *i = diag_at(c->diag, E0407, st->as.each.plate_span, "this is already inside `for each %s`", st->as.each.plate);
        if (c->program && c->program->axis == axis) diag_label(i, c->program->decl->as.program.plate_span, "the whole program is");
        diag_help(i, "write the statements without this `for each`");
        poison(c, body_scope(s), &st->as.each.body);
        return none;
      }
      c->plates |= (AxisSet)1 << axis;
      Value v = run_body(c, s, &st->as.each.body, returned);
      c->plates = outer;
      return v;
    }
    case ST_IF: {
      Val cond = eval_node(c, s, st->as.branch.condition);
      if (cond == NO_VAL || node_of(c->g, cond)->op != OP_const) {
        if (cond != NO_VAL) {
          DiagItem *i = diag_at(c->diag, E0303, st->as.branch.condition->span, "the condition of an `if` statement must be known when compiled");
          tell_not_known(c, i, cond);
          diag_help(i, "to choose between two values row by row, write `a = select(%s, yes, no)`", source_words(c, st->as.branch.condition->span));
        }
        poison(c, body_scope(s), &st->as.branch.yes);
        poison(c, body_scope(s), &st->as.branch.no);
        return none;
      }
      return run_body(c, s, node_of(c->g, cond)->attr.number != 0 ? &st->as.branch.yes : &st->as.branch.no, returned);
    }
    case ST_PARAM:  run_param(c, s, st, false); return none;
    case ST_STATE:  run_param(c, s, st, true); return none;
    case ST_UPDATE: run_update(c, s, st); return none;
    case ST_RETURN: {
      if (s->program) {
        diag_help(diag_at(c->diag, E0404, st->span, "a program does not return a value"), "name it, `h = %s`; others read it as `%s.h`", source_words(c, st->as.ret.value->span), s->program->name);
        return none;
      }
      *returned = true;
      Value v = eval(c, s, st->as.ret.value);
      return v;
    }
  }
  return none;
}
Value run_body(Checker *c, Scope *s, const Stmts *body, bool *returned) {
  Value v = {.kind = V_BAD};
  for (uint32_t i = 0; i < body->n && !*returned; i++) {
    unsigned errors = diag_errors(c->diag);
    v = run_stmt(c, s, body->at[i], returned);
    note_failed(c, s, body->at[i], errors);
    if (*returned && i + 1 < body->n) diag_at(c->diag, E0208, body->at[i + 1]->span, "nothing may follow `return`");
  }
  return v;
}

void program_check(Checker *c, Program *p) {
  if (p->state != PROGRAM_NEW) return;
  p->state = PROGRAM_BUSY;
  /* programs are checked on demand from inside others: save what belongs to the one being checked */
  Name path = c->path;
  Program *outer = c->program;
  AxisSet plates = c->plates;
  bool objective = c->objective;
  const Shape *draw_shape = c->draw_shape;
  AxisSet open = c->open, bound = c->bound, indices = c->indices;
  Graph *g = c->g;
  c->g = c->t->graph, c->path = p->name, c->program = p, c->objective = false, c->draw_shape = NULL;
  c->plates = p->axis >= 0 ? plate_with_outer(c, p->axis) : 0;
  c->open = c->bound = c->indices = 0;
  Scope *s = scope_new(c, NULL, p->module ? p->module : c->main);
  s->program = p;
  bool returned = false;
  if (p->decl->kind == DE_PROGRAM) s->body = &p->decl->as.program.body;
  if (p->decl->kind == DE_PROGRAM) run_body(c, s, &p->decl->as.program.body, &returned);
  c->path = path, c->program = outer, c->plates = plates, c->objective = objective, c->draw_shape = draw_shape, c->g = g;
  c->open = open, c->bound = bound, c->indices = indices;
  p->state = PROGRAM_DONE;
}
Program *program_find(Checker *c, Name name) {
  for (uint32_t i = 0; i < c->t->programs.n; i++)
    if (c->t->programs.at[i]->name == name) return c->t->programs.at[i];
  return NULL;
}
