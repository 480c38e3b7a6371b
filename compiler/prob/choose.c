/* Which estimator a site gets, and why; or why it cannot have the one it asks for.
 *
 * In:  a site that some expectation draws.
 * Out: an Estimate.
 *
 * Without `via`: a draw that is a differentiable function of its parameters is differentiated through.  One that takes whole
 * values, or whose draw meets a step on its way to the objective, gets the score function; under a log mean of weights with
 * leave-one-out baselines. */
#include "prob.h"

static bool has_member(const Site *s, const char *member) {
  if (s->dist.flow || (s->dist.mixture && strcmp(member, "mean") != 0)) return false;
  const Members *lists[2] = {&s->dist.decl->as.dist.members, s->dist.form >= 0 ? &s->dist.decl->as.dist.forms.at[s->dist.form].members : NULL};
  for (int k = 0; k < 2; k++)
    for (uint32_t i = 0; lists[k] && i < lists[k]->n; i++)
      if (lists[k]->at[i].name == name_of(member)) return true;
  return false;
}
static bool is_bits(const Site *s) { return s->range.whole && s->range.lo == 0 && s->range.hi == 1 && s->range.form == FORM_PLAIN; }

/* Do parameters move the ends of the support, as in Uniform(0, t)?  E log q' = 0 is for supports that stay where they are.  Draws before
 * this one may carry parameters, too. */
static bool support_moves(const Prob *p, const Site *s) {
  const Graph *g = p->t->graph;
  if (s->dist.flow || s->dist.decl->as.dist.support->element != name_of("interval")) return false;
  Arena *scratch = arena_new();
  uint8_t *reached = arena_alloc(scratch, g->node.n);
  for (uint32_t k = 0; k < s->dist.nargs; k++) reached[s->dist.arg[k]] |= dist_is_end(&s->dist, k);
  bool moves = false;
  for (Val v = g->node.n; v-- > 0 && !moves;) {
    if (!reached[v]) continue;
    const Node *n = node_of(g, v);
    for (uint32_t i = 0; i < n->nargs; i++) reached[n->arg[i]] = 1;
    moves = n->op == OP_param;
    for (uint32_t i = 0; n->op == OP_input && n->attr.leaf.id == 0 && i < s->program->sites.n; i++) moves |= s->program->sites.at[i]->name == n->attr.leaf.name;
  }
  arena_free(scratch);
  return moves;
}

static const char *ways_out(const Site *s) {
  if (!s->discrete) return s->dist.mixture ? "`via score` is unbiased for any distribution" : "leave `via` out: the compiler picks one";
  return is_bits(s) ? "for bits: `via score`, `via disarm`, `via muprop`, `via enumerate` when they are few" : "`via score` is unbiased for any distribution";
}
static void refuse(const Prob *p, const Site *s, const char *why, const char *mark) {
  DiagItem *i = diag_at(p->t->diag, E0511, s->via_span, "`via %s` cannot be used for `%s`", via_name(s->via), s->name);
  diag_label(i, s->dist.span.end ? s->dist.span : s->span, "%s", mark);
  diag_note(i, "%s", why);
  diag_help(i, "%s", ways_out(s));
}

/* Does a step's objective take several particles of the site's program? */
static bool expects_particles(const Prob *p, Val v, const Program *q, uint8_t *seen) {
  if (seen[v]) return false;
  seen[v] = 1;
  const Term *term = term_of(p->t, v);
  if (term && term->kind == TERM_EXPECT && ((term->program == q && term->particles >= 0) || expects_particles(p, term->body, q, seen))) return true;
  const Node *n = node_of(p->t->graph, v);
  for (uint32_t i = 0; i < n->nargs; i++)
    if (expects_particles(p, n->arg[i], q, seen)) return true;
  return false;
}
static bool under_particles(const Prob *p, const Site *s) {
  Arena *scratch = arena_new();
  uint8_t *seen = arena_alloc(scratch, p->t->graph->node.n + 1);
  bool yes = false;
  for (uint32_t i = 0; i < p->t->steps.n && !yes; i++) yes = p->t->steps.at[i].objective != NO_VAL && expects_particles(p, p->t->steps.at[i].objective, s->program, seen);
  arena_free(scratch);
  return yes;
}

/* Does a draw jump with one of its distribution's parameters?  Then it is no differentiable function of them: a mixture's component. */
static bool draw_jumps(const Prob *p, const Site *s) {
  Typed *t = p->t;
  Graph *g = graph_new(t->arena);
  DistValue d = s->dist;
  for (uint32_t i = 0; i < t->graph->axis.n; i++) graph_axis(g, t->graph->axis.at[i]);
  for (uint32_t k = 0; k < d.nargs + d.mixture; k++) {
    Val *arg = k < d.nargs ? &d.arg[k] : &d.log_weight;
    const Node *n = node_of(t->graph, *arg);
    if (n->op == OP_const) { *arg = graph_const(g, n->attr.number); continue; }
    *arg = graph_leaf(g, OP_input, name_printf("argument %u", k), 0, graph_shape(g, n->shape->axes, n->shape->rank, n->shape->dim), n->range);
  }
  d.flow = NULL;
  uint32_t draw = graph_draw(g, (Draw){s->name, s->span, false});
  Val v = dist_member(t, g, &d, "sample", NO_VAL, graph_shape(g, s->shape->axes, s->shape->rank, s->shape->dim), draw);
  bool jumps = false;
  for (uint32_t k = 0; v != NO_VAL && k < d.nargs + d.mixture; k++) jumps |= graph_only_steps(g, v, k < d.nargs ? d.arg[k] : d.log_weight);
  return jumps;
}
/* The site or objective that sees the draw only by comparison or as an index: the span of it; empty: none does. */
static Span step_met(const Prob *p, const Site *s) {
  const Typed *t = p->t;
  for (uint32_t i = 0; i < t->programs.n; i++)
    for (uint32_t k = 0; k < t->programs.at[i]->sites.n; k++) {
      const Site *other = t->programs.at[i]->sites.at[k];
      Val part[DIST_VALUES];
      for (uint32_t a = 0, n = dist_values(&other->dist, part); a < n; a++)
        if (graph_only_steps(t->graph, part[a], s->var)) return dist_value_span(&other->dist, a);
    }
  for (uint32_t i = 0; i < t->terms.n; i++) {
    const Term *term = &t->terms.at[i];
    if (term->kind != TERM_DRAWN || term->sites.n == 0 || term->sites.at[0] != s) continue;
    for (uint32_t k = 0; k < t->terms.n; k++)
      if (t->terms.at[k].kind == TERM_EXPECT && !t->terms.at[k].of_report && graph_only_steps(t->graph, t->terms.at[k].body, term->leaf)) return t->terms.at[k].span;
  }
  return NO_SPAN;
}

static void warn_step(const Prob *p, const Site *s) {
  Span at = step_met(p, s);
  if (!at.end) return;
  DiagItem *i = diag_at(p->t->diag, W0108, s->via_span, "`via %s` misses what `%s` does through a step", via_name(s->via), s->name);
  diag_label(i, at, "sees it only by comparison or as an index");
  diag_note(i, "a step's derivative is 0 wherever it exists, so this part of the gradient is left out");
  diag_help(i, "`via score` has it; or leave `via` out");
}

Estimate estimate_choose(const Prob *p, Site *s) {
  Estimate e = {.site = s, .via = s->via, .why = "asked for"};
  if (s->autoregressive && (s->via == VIA_MUPROP || s->via == VIA_DISARM || s->via == VIA_PRICE)) {
    refuse(p, s, "each coordinate moves those after it, which this estimator knows nothing of", "drawn coordinate by coordinate");
    return e;
  }
  bool holds = s->via == VIA_SCORE || s->via == VIA_REINFORCE || s->via == VIA_VIMCO || s->via == VIA_STL || s->via == VIA_DREG;
  if (holds && support_moves(p, s)) refuse(p, s, "it holds the support still, and the gradient has a part from its moving ends", name_printf("the ends of %s depend on parameters", s->dist.decl->name));
  switch (s->via) {
    case VIA_AUTO:
      e.why = s->discrete ? "the draw takes whole values" : draw_jumps(p, s) ? "the draw jumps with its parameters" : step_met(p, s).end ? "what follows sees the draw only by a step" : NULL;
      e.via = !e.why ? VIA_PATHWISE : under_particles(p, s) ? VIA_VIMCO : VIA_SCORE;
      if (!e.why) e.why = "the draw is a differentiable function of its parameters";
      else if (e.via == VIA_VIMCO) e.why = name_printf("%s; several particles give one another baselines", e.why);
      break;
    case VIA_PATHWISE:
      if (!s->discrete && draw_jumps(p, s)) refuse(p, s, "its derivative by those parameters would be 0 wherever it exists", "a draw jumps with its parameters");
      else if (!s->discrete) warn_step(p, s);
      break;
    case VIA_SCORE: case VIA_REINFORCE: break;
    case VIA_STL: case VIA_DREG:
      if (!s->discrete && draw_jumps(p, s)) { refuse(p, s, "its derivative by those parameters would be 0 wherever it exists", "a draw jumps with its parameters"); break; }
      if (!s->discrete) warn_step(p, s);
      if (s->via == VIA_STL && under_particles(p, s) && !s->discrete) {
        DiagItem *i = diag_at(p->t->diag, E0511, s->via_span, "`via stl` would be biased for `%s`: its draws are weighted particles", s->name);
        diag_note(i, "in a log mean of weights the score of the guide's density has no mean of zero (Tucker et al. 2019)");
        diag_fix(i, s->via_span, "dreg", "the doubly reparameterised gradient is the unbiased one: `via dreg`");
      }
      if (s->dist.flow && s->dist.flow->back == NO_VAL) refuse(p, s, "it scores the draw as a value, which needs the transform's inverse", "one of these transforms has no inverse");
      if (s->discrete) refuse(p, s, "it differentiates through the draw, and a draw of whole values has no derivative", name_printf("%s takes whole values", dist_title(&s->dist)));
      break;
    case VIA_PRICE:
      if (!(s->dist.decl->name == name_of("Normal") && has_member(s, "variance")) && !has_member(s, "covariance")) refuse(p, s, "the theorems of Bonnet and Price are about normal distributions", name_printf("%s is not normal", dist_title(&s->dist)));
      break;
    case VIA_ENUMERATE:
      if (!outcomes_few(s)) refuse(p, s, "at most 4096 outcomes of a site are summed over: 12 bits, 5 of 5 classes", s->discrete ? "more outcomes than can be summed over" : "not a finite number of outcomes");
      break;
    case VIA_DISARM:
      if (!is_bits(s) || !has_member(s, "log_odds")) refuse(p, s, "antithetic pairs are of bits", name_printf("%s is not a distribution of bits", dist_title(&s->dist)));
      break;
    case VIA_DARN:
      if (!is_bits(s) || s->dist.mixture) refuse(p, s, "this estimator is of independent bits (Gregor et al. 2014)", name_printf("%s is not a distribution of independent bits", dist_title(&s->dist)));
      e.biased = "unless the cost is at most quadratic in each bit";
      break;
    case VIA_MUPROP: case VIA_STRAIGHT_THROUGH:
      if (!has_member(s, "mean") || !s->discrete) refuse(p, s, s->discrete ? "it needs the mean of the draw" : "it is for draws of whole values", s->discrete ? name_printf("%s has no mean", dist_title(&s->dist)) : "continuous");
      if (s->via == VIA_STRAIGHT_THROUGH) e.biased = "the draw is taken to move as its mean does";
      break;
    case VIA_CONCRETE:
      if (!has_member(s, "relaxed")) refuse(p, s, "the library knows relaxed draws of Bernoulli and OneHot", name_printf("%s gives no `relaxed` draw", dist_title(&s->dist)));
      e.biased = "the draw is taken to move as its relaxation does";
      break;
    case VIA_VIMCO:
      if (!under_particles(p, s)) refuse(p, s, "its baselines are the other particles' weights: `E[q, k: K](log_mean_exp(...))`", "drawn once for each row");
      break;
    case VIA_COUNT: break;
  }
  if (!steps_allow(p->t, s, e.via)) {
    DiagItem *i = diag_at(p->t->diag, E0590, s->via_span.end ? s->via_span : s->span, "`via %s` for `%s`, whose steps are seen by others: not built yet", via_name(e.via), s->name);
    diag_note(i, "the score of a step would have to count the terms of all later steps");
    diag_help(i, s->discrete ? "`via straight_through`, or `via concrete` for bits, with their bias; or leave `ordered`, `prev` and `next` out" : "`via pathwise`");
  }
  return e;
}
