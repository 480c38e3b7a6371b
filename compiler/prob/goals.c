/* Goals: an objective as a sum of parts.
 *
 * In:  an objective's value in the template graph.
 * Out: parts.  Sums, differences, factors without random terms and expectations are linear, so they are taken apart:
 *      each density, KL and entropy stands alone with its own plates and is summed over just those.  What is not linear
 *      (log_mean_exp of weights, abs of an expectation) stays one PART_VALUE. */
#include "prob.h"
#include <stdlib.h>

const Path *path_of(Prob *p, const Path *outer, Program *program, int32_t particles, uint32_t copy, bool detached) {
  for (uint32_t i = 0; i < p->paths.n; i++) {
    const Path *q = p->paths.at[i];
    if (q->outer == outer && q->program == program && q->particles == particles && q->copy == copy && q->detached == detached) return q;
  }
  Path *q = NEW(p->t->arena, Path);
  *q = (Path){outer, program, particles, copy, detached};
  const Path *made = q;
  vec_push(p->t->arena, &p->paths, made);
  return made;
}

const Term *term_of(const Typed *t, Val v) {
  const Node *n = node_of(t->graph, v);
  if (n->op != OP_input || n->attr.leaf.id == 0 || n->attr.leaf.id == UINT32_MAX) return NULL;
  return &t->terms.at[n->attr.leaf.id - 1];
}
static bool reaches_term(const Typed *t, Val v, uint8_t *seen) {      /* values share arguments: each is looked at once */
  if (seen[v]) return false;
  seen[v] = 1;
  if (term_of(t, v)) return true;
  const Node *n = node_of(t->graph, v);
  for (uint32_t i = 0; i < n->nargs; i++)
    if (reaches_term(t, n->arg[i], seen)) return true;
  return false;
}
bool has_terms(const Typed *t, Val v) {
  uint8_t *seen = calloc(v + 1, 1);                         /* arguments come before their users */
  if (!seen) BUG("out of memory");
  bool yes = reaches_term(t, v, seen);
  free(seen);
  return yes;
}

/* Does a value, or a distribution's arguments, see one of these variables? */
typedef VEC(Name) Names;
static bool sees(const Graph *g, Val v, const Names *names, uint8_t *seen) {
  if (seen[v]) return false;
  seen[v] = 1;
  const Node *n = node_of(g, v);
  if (n->op == OP_input && n->attr.leaf.id == 0)
    for (uint32_t i = 0; i < names->n; i++)
      if (names->at[i] == n->attr.leaf.name) return true;
  for (uint32_t i = 0; i < n->nargs; i++)
    if (sees(g, n->arg[i], names, seen)) return true;
  return false;
}
static bool dist_sees(const Graph *g, const DistValue *d, const Names *names) {
  Arena *scratch = arena_new();
  uint8_t *seen = arena_alloc(scratch, g->node.n + 1);
  Val part[DIST_VALUES];
  bool yes = false;
  for (uint32_t i = 0, n = dist_values(d, part); i < n; i++) yes |= sees(g, part[i], names, seen);
  arena_free(scratch);
  return yes;
}
/* Is b's distribution the same whatever is drawn for a?  Not when the guide draws upwards and the model downwards: with z[1], then
 * z[2] given z[1] drawn, p.z[1] has z[2] among its arguments, and z[1] given z[2] is not distributed as q.z[1] says. */
static bool holds_while_drawn(const Typed *t, const Path *path, const Site *a, const Site *b) {
  Names moved = {0};
  vec_push(t->arena, &moved, a->name);
  for (const Path *inner = path;; inner = inner->outer) {   /* what is drawn from a's draw, and from that; those outside a's program come before */
    const Program *program = inner ? inner->program : a->program;
    for (bool more = true; more;) {
      more = false;
      for (uint32_t i = 0; i < program->sites.n; i++) {
        const Site *s = program->sites.at[i];
        bool known = s == a;
        for (uint32_t k = 0; k < moved.n; k++) known |= moved.at[k] == s->name;
        if (known || !dist_sees(t->graph, &s->dist, &moved)) continue;
        vec_push(t->arena, &moved, s->name);
        more = true;
      }
    }
    if (program == a->program || !inner) break;
  }
  return !dist_sees(t->graph, &b->dist, &moved);
}

bool kl_is_analytic(const Typed *t, const Path *path, const Site *a, const Site *b) {
  bool sampled = a->via == VIA_STL || a->via == VIA_DREG;   /* asked for draws of the density itself */
  return dist_has_kl(&a->dist, &b->dist) && !a->autoregressive && !b->autoregressive && !sampled && holds_while_drawn(t, path, a, b) &&
         !steps_look_ahead(t, &a->dist) && !steps_look_ahead(t, &b->dist);
}

typedef struct { Prob *p; Goal *goal; } Walk;
static void push_part(Walk *w, Part part) { vec_push(w->p->t->arena, &w->goal->parts, part); }

static bool path_has(const Path *path, const Program *program) {
  for (; path; path = path->outer)
    if (path->program == program) return true;
  return false;
}

static Part with_scale(Walk *w, Part base, Val scale) {
  Part out = base;
  out.scales.at = NULL, out.scales.n = out.scales.cap = 0;
  out.under.at = NULL, out.under.n = out.under.cap = 0;
  for (uint32_t i = 0; i < base.scales.n; i++) {
    vec_push(w->p->t->arena, &out.scales, base.scales.at[i]);
    vec_push(w->p->t->arena, &out.under, base.under.at[i]);
  }
  vec_push(w->p->t->arena, &out.scales, scale);
  vec_push(w->p->t->arena, &out.under, base.sums);
  return out;
}

/* A factor between two sums that varies over an axis of the inner one: `sum(each a) w * sum(each b) t` with w for each a and b. */
static bool sums_clash(const Graph *g, const Part *base, AxisSet axes) {
  for (uint32_t i = 0; i < base->scales.n; i++) {
    AxisSet varies = shape_of(g, base->scales.at[i])->axes;
    if ((varies & axes) && (varies & base->under.at[i])) return true;
  }
  return false;
}

/* `each plate` says of itself what `each row` spells out: a mean divides by how many there are, a sum scales a minibatch up. */
static Part with_rows(Walk *w, Part base, const Node *n) {
  Graph *g = w->p->t->graph;
  for (uint32_t a = 0; a < g->axis.n; a++) {
    if (!(n->attr.reduce.axes >> a & 1)) continue;
    Val count = graph_count(g, a, false);
    if (n->attr.reduce.mean) base = with_scale(w, base, graph_op1(g, OP_recip, count));
    else if (g->axis.at[a].kind == AXIS_PLATE) base = with_scale(w, base, graph_op2(g, OP_div, graph_count(g, a, true), count));
  }
  return base;
}

/* log_mean_exp over rows: the log of how many there are belongs to each value, of which an inner plate may have many. */
static bool is_log_mean_of_rows(const Graph *g, const Node *n) {
  bool first = node_of(g, n->arg[1])->op == OP_log;         /* the log sum; else what is taken from the log of the count */
  const Node *sum = node_of(g, n->arg[!first]);
  if (node_of(g, n->arg[first])->op != OP_log || sum->op != OP_reduce || sum->attr.reduce.kind != REDUCE_LOGSUMEXP) return false;
  for (uint32_t a = 0; a < g->axis.n; a++)
    if ((sum->attr.reduce.axes >> a & 1) && g->axis.at[a].kind == AXIS_PLATE) return true;
  return false;
}

static void walk(Walk *w, Val v, Part base) {
  Typed *t = w->p->t;
  Graph *g = t->graph;
  const Node n = *node_of(g, v);
  if (n.span.end) base.span = n.span;
  const Term *term = term_of(t, v);
  if (term) {
    switch (term->kind) {
      case TERM_LOG_DENSITY:
        for (uint32_t i = 0; i < term->sites.n; i++) {
          Part part = base;
          part.kind = PART_LOG_DENSITY, part.site = term->sites.at[i];
          push_part(w, part);
        }
        return;
      case TERM_KL:
        for (uint32_t i = 0; i < term->sites.n; i++) {
          Part part = base;
          part.site = term->sites.at[i], part.against = term->against.at[i];
          if (!path_has(part.path, term->program)) part.path = path_of(w->p, part.path, term->program, -1, 0, false);
          part.analytic = kl_is_analytic(t, part.path, part.site, part.against);
          part.kind = PART_KL;
          push_part(w, part);
        }
        return;
      case TERM_ENTROPY:
        for (uint32_t i = 0; i < term->sites.n; i++) {
          Part part = base;
          part.site = term->sites.at[i], part.kind = PART_ENTROPY;
          if (!path_has(part.path, term->program)) part.path = path_of(w->p, part.path, term->program, -1, 0, false);
          push_part(w, part);
        }
        return;
      case TERM_EXPECT:
        base.path = path_of(w->p, base.path, term->program, term->particles, 0, term->detached);
        walk(w, term->body, base);
        return;
      case TERM_DRAWN: break;
    }
  }
  Part negative = base;
  negative.sign = -base.sign;
  switch (n.op) {
    case OP_add: walk(w, n.arg[0], base); walk(w, n.arg[1], base); return;
    case OP_sub:
      if (is_log_mean_of_rows(g, &n)) break;
      walk(w, n.arg[0], base);
      walk(w, n.arg[1], negative);
      return;
    case OP_neg: walk(w, n.arg[0], negative); return;
    case OP_mul:
      if (!has_terms(t, n.arg[0]) && has_terms(t, n.arg[1])) { walk(w, n.arg[1], with_scale(w, base, n.arg[0])); return; }
      if (!has_terms(t, n.arg[1]) && has_terms(t, n.arg[0])) { walk(w, n.arg[0], with_scale(w, base, n.arg[1])); return; }
      break;
    case OP_div:
      if (!has_terms(t, n.arg[1]) && has_terms(t, n.arg[0])) { walk(w, n.arg[0], with_scale(w, base, graph_op1(g, OP_recip, n.arg[1]))); return; }
      break;
    case OP_reduce:
      if (n.attr.reduce.kind == REDUCE_SUM && n.attr.reduce.dims == 0 && !sums_clash(g, &base, n.attr.reduce.axes)) {
        if (n.attr.reduce.rows) base = with_rows(w, base, &n);
        base.sums |= n.attr.reduce.axes;
        walk(w, n.arg[0], base);
        return;
      }
      break;
    default: break;                    /* anything else is not linear */
  }
  base.kind = PART_VALUE, base.value = v;
  push_part(w, base);
}

/* ---- the batch plate: where the data of the goal's programs lives */
static void plates_of_value(const Prob *p, Val v, AxisSet *axes, AxisSet *observed, uint8_t *seen) {
  const Typed *t = p->t;
  if (seen[v]) return;
  seen[v] = 1;
  const Node *n = node_of(t->graph, v);
  *axes |= n->shape->axes;
  const Term *term = term_of(t, v);
  if (term) {
    for (uint32_t i = 0; i < term->sites.n; i++) {
      *axes |= term->sites.at[i]->shape->axes;
      if (term->sites.at[i]->observed) *observed |= term->sites.at[i]->shape->axes;
    }
    if (term->kind == TERM_EXPECT || term->kind == TERM_DRAWN) plates_of_value(p, term->body, axes, observed, seen);
    if (term->program && term->program->axis >= 0) *axes |= (AxisSet)1 << term->program->axis;
  }
  for (uint32_t i = 0; i < n->nargs; i++) plates_of_value(p, n->arg[i], axes, observed, seen);
}
static int batch_plate(const Prob *p, Val objective) {
  AxisSet axes = 0, observed = 0;
  plates_of_value(p, objective, &axes, &observed, arena_alloc(p->t->arena, p->t->graph->node.n + 1));
  for (int pass = 0; pass < 2; pass++) {
    AxisSet from = pass ? axes : observed;
    for (int i = (int)p->t->graph->axis.n - 1; i >= 0; i--)
      if ((from >> i & 1) && p->t->graph->axis.at[i].kind == AXIS_PLATE && p->t->graph->axis.at[i].parent < 0 && !p->t->graph->axis.at[i].again) return i;
  }
  return -1;
}

/* ---- estimators */
const Estimate *estimate_of(const Prob *p, const Site *site) {
  for (uint32_t i = 0; i < p->estimates.n; i++)
    if (p->estimates.at[i].site == site) return &p->estimates.at[i];
  return NULL;
}

static void add_goal(Prob *p, Name name, bool report, bool maximize, Val objective, Span span) {
  if (objective == NO_VAL) return;
  Goal goal = {.name = name, .report = report, .maximize = maximize, .objective = objective, .axis = batch_plate(p, objective), .span = span};
  Walk w = {p, &goal};
  walk(&w, objective, (Part){.sign = 1, .span = span});
  for (uint32_t i = 0; i < goal.parts.n; i++) {
    const Part *part = &goal.parts.at[i];
    AxisSet axes = part->kind == PART_VALUE ? 0 : part->site->shape->axes;
    for (uint32_t k = 0; k < part->scales.n; k++) axes |= shape_of(p->t->graph, part->scales.at[k])->axes;
    if (!types_pairs_apart(p->t, part->kind == PART_VALUE ? part->value : NO_VAL, axes, part->span.end ? part->span : span)) break;
  }
  for (uint32_t i = 0; i < goal.parts.n && !report; i++) {      /* away from the data? */
    const Part *part = &goal.parts.at[i];
    if (part->kind != PART_LOG_DENSITY || !part->site->observed || part->scales.n || (part->sign > 0) == maximize) continue;
    DiagItem *d = diag_at(p->t->diag, W0106, span, "this %s the log density of `%s`", maximize ? "maximises the negative of" : "minimises", part->site->name);
    diag_label(d, part->site->span, "the data's density");
    diag_note(d, "it has no lower end: the model is driven away from the data");
    diag_help(d, maximize ? "exchange the sign, or write `minimize`" : "write `maximize`");
    break;
  }
  vec_push(p->t->arena, &p->goals, goal);
}

Prob *prob_build(Typed *t) {
  Prob *p = NEW(t->arena, Prob);
  p->t = t;
  for (uint32_t i = 0; i < t->steps.n; i++) {
    add_goal(p, t->steps.at[i].name, false, t->steps.at[i].maximize, t->steps.at[i].objective, t->steps.at[i].span);
    if (p->goals.n)
      for (uint32_t k = 0; k < t->steps.at[i].params.n; k++) vec_push(t->arena, &p->goals.at[p->goals.n - 1].params, t->steps.at[i].params.at[k]);
  }
  for (uint32_t i = 0; i < t->reports.n; i++) add_goal(p, t->reports.at[i].name, true, true, t->reports.at[i].value, t->reports.at[i].span);
  for (uint32_t i = 0; i < t->terms.n; i++) {
    const Term *term = &t->terms.at[i];
    if (term->kind != TERM_EXPECT && term->kind != TERM_KL && term->kind != TERM_ENTROPY) continue;
    for (uint32_t k = 0; k < term->program->sites.n; k++) {
      Site *site = term->program->sites.at[k];
      if (estimate_of(p, site)) continue;
      Estimate e = estimate_choose(p, site);
      vec_push(t->arena, &p->estimates, e);
    }
  }
  return p;
}
bool prob_verify(const Prob *p, FILE *why) {
  for (uint32_t i = 0; i < p->goals.n; i++) {
    const Goal *g = &p->goals.at[i];
    for (uint32_t k = 0; k < g->parts.n; k++) {
      const Part *q = &g->parts.at[k];
      if (q->kind != PART_VALUE && !q->site) { fprintf(why, "goal %s: part %u has no site", g->name, k); return false; }
      if (q->kind == PART_KL && !q->against) { fprintf(why, "goal %s: part %u compares with nothing", g->name, k); return false; }
      if (q->sign != 1 && q->sign != -1) { fprintf(why, "goal %s: part %u has sign %g", g->name, k, q->sign); return false; }
    }
  }
  return true;
}
