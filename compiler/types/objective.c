/* What only an objective can say: E[q](f), log p, log p.x, KL(a || b), H(p.z), and values of programs at their draws.
 *
 * Each becomes a leaf of the template graph and a Term.  The shape of a leaf says over what it varies: the plates of its sites
 * and the particles of the expectations around it. */
#include "value.h"

static AxisSet particle_axes(Checker *c) {
  AxisSet axes = 0;
  for (uint32_t i = 0; i < c->within.n; i++)
    if (c->within.at[i].particles >= 0) axes |= (AxisSet)1 << c->within.at[i].particles;
  return axes;
}
/* What a site's density, divergence or entropy varies over: its plates, without the steps of a sequence, which depend on one another and
 * are summed. */
static AxisSet term_axes(Checker *c, const Site *site) {
  AxisSet axes = site->shape->axes;
  for (uint32_t a = 0; a < c->g->axis.n; a++)
    if (c->g->axis.at[a].ordered && c->g->axis.at[a].parent >= 0) axes &= ~((AxisSet)1 << a);
  return axes;
}
static Value term_leaf(Checker *c, Term t, Name label, const Shape *shape, Range r, Span at) {
  uint32_t id = c->t->terms.n + 1;
  c->g->span = at;
  t.leaf = graph_leaf(c->g, OP_input, label, id, shape, r);
  t.span = at, t.of_report = c->report;
  vec_push(c->arena, &c->t->terms, t);
  return v_node(t.leaf, at);
}
static bool in_objective(Checker *c, Span at, const char *what) {
  if (c->objective) return true;
  diag_help(diag_at(c->diag, E0501, at, "%s belongs in an objective", what), "write it after `maximize`, `minimize` or `report`, or in an `objective` definition");
  return false;
}
static const Within *within_of(Checker *c, const Program *p) {
  for (uint32_t i = c->within.n; i-- > 0;)
    if (c->within.at[i].program == p) return &c->within.at[i];
  return NULL;
}

/* "`z`, `w`" */
static Name names_text(const Name *names, size_t n) {
  Name text = n ? name_printf("`%s`", names[0]) : "nothing";
  for (size_t i = 1; i < n && i < 4; i++) text = name_printf("%s, `%s`", text, names[i]);
  return n > 4 ? name_printf("%s, ...", text) : text;
}

/* p.observed of a program none of whose sites has data. */
static void tell_unobserved(Checker *c, Program *p, Span at) {
  p->unobserved = true;
  Name sites[64], data[64];
  size_t n = 0, m = 0;
  for (uint32_t i = 0; i < p->sites.n && n < 64; i++) sites[n++] = p->sites.at[i]->name;
  for (uint32_t i = 0; i < c->t->data.n && m < 64; i++)
    if (!c->t->data.at[i].failed) data[m++] = c->t->data.at[i].name;
  DiagItem *d = diag_at(c->diag, E0203, at, "`%s` observes nothing", p->name);
  diag_label(d, p->span, p->guide ? "a guide" : "draws %s", names_text(sites, n));
  if (p->guide) {
    diag_note(d, "a model's site is observed when there is data of its name; a guide only draws");
    diag_help(d, "the model comes first: `elbo(p, %s)`", p->name);
    return;
  }
  diag_note(d, "a model's site is observed when there is data of its name; data: %s", names_text(data, m));
  for (size_t i = 0; i < m; i++)
    if (name_nearest(data[i], sites, n)) { diag_help(d, "name the data and the site alike: `%s` or `%s`", data[i], name_nearest(data[i], sites, n)); return; }
  diag_help(d, "declare data of the name of a site, or name the site like the data");
}

/* The sites an expression names: a program's all, a family's all, or one.  False after a message. */
typedef VEC(Site *) SiteList;
static bool sites_of_value(Checker *c, Value v, const Expr *e, Program **program, SiteList *out, bool *whole) {
  *whole = false;
  if (v.row) {
    DiagItem *i = diag_at(c->diag, E0501, v.span, "`%s` is of one row: only its log density and its fields are known", source_words(c, v.span));
    diag_help(i, "write `log %s`, or a field such as `q.z[m].mean`", source_words(c, v.span));
    return false;
  }
  if (v.kind == V_PROGRAM) {
    *program = v.as.program, *whole = true;
    program_check(c, *program);
    for (uint32_t i = 0; i < (*program)->sites.n; i++) vec_push(c->arena, out, (*program)->sites.at[i]);
    if (out->n == 0 && diag_errors(c->diag) == 0) diag_at(c->diag, E0501, e->span, "program `%s` draws nothing", (*program)->name);
    return out->n > 0;
  }
  if (v.kind == V_SITES) {
    *program = v.as.sites.program;
    if (v.as.sites.key) {
      Site *one = sites_one(c, v);
      if (one) vec_push(c->arena, out, one);
      return one != NULL;
    }
    bool observed = v.as.sites.base == name_of("observed"), latent = v.as.sites.base == name_of("latent");
    for (uint32_t i = 0; i < (*program)->sites.n; i++)
      if ((*program)->sites.at[i]->base == v.as.sites.base || (observed && (*program)->sites.at[i]->observed) || (latent && !(*program)->sites.at[i]->observed)) vec_push(c->arena, out, (*program)->sites.at[i]);
    if (out->n == 0 && (*program)->failed.n == 0 && observed) tell_unobserved(c, *program, e->span);
    else if (out->n == 0 && (*program)->failed.n == 0) diag_label(diag_at(c->diag, E0203, e->span, "`%s` has no latent sites: all have data", (*program)->name), (*program)->span, "this program");
    return out->n > 0;
  }
  if (v.kind != V_BAD) {
    DiagItem *i = diag_at(c->diag, E0501, v.span, "a program or its site is wanted here, and this is %s", value_kind_text(v));
    if (v.kind == V_NODE) diag_help(i, "the logarithm of a value is written with brackets: `log(%s)`", source_words(c, v.span));
  }
  return false;
}

static bool sites_of(Checker *c, Scope *s, const Expr *e, Program **program, SiteList *out, bool *whole) {
  return sites_of_value(c, eval(c, s, e), e, program, out, whole);
}

/* ---- what two programs may disagree on.  Told at the drawing site, so that one cause met twice is told once. */
/* Shape, plates and support of a draw against those of the site it is the value of.  False after a message. */
static bool fits_site(Checker *c, const Site *drawn, const Site *site) {
  const Program *q = drawn->program, *p = site->program;
  if (drawn->shape->axes != site->shape->axes) {
    DiagItem *d = diag_at(c->diag, E0402, drawn->span, "`%s` is drawn %s in `%s` and %s in `%s`", site->name, each_text(c, drawn->shape->axes), q->name, each_text(c, site->shape->axes), p->name);
    diag_mark(d, "%s", each_text(c, drawn->shape->axes));
    diag_label(d, site->span, "%s", each_text(c, site->shape->axes));
    AxisSet more = drawn->shape->axes & ~site->shape->axes;
    if (more) diag_note(d, "a value drawn anew %s is not the one value of `%s`", each_text(c, more), p->name);
    else diag_note(d, "one value cannot stand for those of every row");
    if (more) diag_help(d, "draw it outside `for each`; what it is computed from may be reduced: `mean(each plate) ...`");
    else diag_help(d, "draw it %s in `%s` too", each_text(c, site->shape->axes), q->name);
    return false;
  }
  if (drawn->shape != site->shape) {
    const char *sd = shape_text(c, drawn->shape), *ss = shape_text(c, site->shape);
    DiagItem *d = diag_at(c->diag, E0301, drawn->span, "these two shapes of `%s` do not match: %s in `%s`, %s in `%s`", site->name, sd, q->name, ss, p->name);
    diag_mark(d, "%s", sd);
    diag_label(d, site->span, "%s", ss);
    if (drawn->shape->rank == 0) diag_help(d, "for independent elements, say how many: `%s ~ %s%s`", drawn->name, source_words(c, drawn->dist.span), ss);
    return false;
  }
  if (q != p && !site->observed && !range_within(drawn->range, site->range)) {
    DiagItem *d = diag_at(c->diag, E0405, drawn->span, "`%s` may be drawn where `%s` has no density", drawn->name, p->name);
    diag_mark(d, "%s: %s", drawn->dist.decl->name, must_text(drawn->range));
    diag_label(d, site->span, "%s: %s", site->dist.decl->name, must_text(site->range));
    diag_note(d, "outside the support of `%s` its log density is -inf, and so is the bound", p->name);
    if (site->range.form == FORM_SIMPLEX) diag_help(d, "draw it from a family of simplexes, for instance `Dirichlet`");
    else if (site->range.whole) diag_help(d, "draw it from a discrete family: `%s`", site->dist.decl->name);
    else if (site->range.lo == 0 && site->range.hi == 1) diag_help(d, "draw it from a family on the same support, for instance `Beta` or `Kumaraswamy`");
    else if (site->range.lo == 0) diag_help(d, "draw it from a family on the same support, for instance `LogNormal` or `Gamma`");
    else diag_help(d, "draw it from a family on the same support, for instance `%s`", site->dist.decl->name);
    return false;
  }
  return true;
}
/* `site` of a scored program has no draw in `q`. */
static void tell_not_drawn(Checker *c, const Site *site, const Program *q) {
  const Program *p = site->program;
  if (program_failed(q, site->base) || program_failed(p, site->base) || p->unobserved || q->unobserved) return;
  Name all[64], spare[64];
  size_t n = 0, m = 0;
  for (uint32_t k = 0; k < q->sites.n && n < LEN(all); k++) {
    all[n++] = q->sites.at[k]->name;
    if (!program_site((Program *)p, q->sites.at[k]->name)) spare[m++] = q->sites.at[k]->name;      /* drawn for nothing: perhaps misspelt */
  }
  DiagItem *d = diag_at(c->diag, E0401, site->span, "site `%s` of `%s` is not drawn by `%s`", site->name, p->name, q->name);
  diag_mark(d, "latent, scored by the objective");
  bool inside = false;
  Span let = q->decl->kind == DE_PROGRAM ? defined_at(&q->decl->as.program.body, site->base, &inside) : NO_SPAN;
  Name near = name_nearest(site->name, spare, m);
  if (let.end && !program_draws(q, site->base)) {
    diag_label(d, let, "only named here, by `=`");
    diag_note(d, "every latent of a scored program needs a draw; otherwise there is no value to score it at");
    diag_help(d, "draw it: `%s ~ ...`", site->name);
    return;
  }
  diag_label(d, q->span, "draws %s", names_text(all, n));
  diag_note(d, "every latent of a scored program needs a draw; otherwise there is no value to score it at");
  if (near) {
    Site *other = program_site((Program *)q, near);
    other->told = true;
    diag_fix(d, other->span, site->name, "a similar site exists there: rename `%s` to `%s`", near, site->name);
  } else diag_help(d, "add `%s ~ ...` to `%s`", site->name, q->name);
}
/* `q` draws and scores a site that `p` does not have. */
static void tell_extra(Checker *c, const Site *site, const Program *p) {
  const Program *q = site->program;
  if (site->told || program_failed(p, site->base) || p->unobserved || q->unobserved) return;
  Name spare[64];
  size_t m = 0;
  for (uint32_t k = 0; k < p->sites.n && m < LEN(spare); k++)
    if (!p->sites.at[k]->observed && !program_site((Program *)q, p->sites.at[k]->name)) spare[m++] = p->sites.at[k]->name;
  Site *unscored = program_site((Program *)p, site->name);
  if (unscored) {
    DiagItem *d = diag_at(c->diag, E0403, site->span, "site `%s` is scored by `%s` and not by `%s`", site->name, q->name, p->name);
    diag_mark(d, "in log %s", q->name);
    diag_label(d, unscored->span, "left out of the objective");
    diag_note(d, "with log %s in it and no density of `%s` against it, the objective bounds nothing", q->name, site->name);
    diag_help(d, "score both: `log %s - log %s`", p->name, q->name);
    return;
  }
  DiagItem *d = diag_at(c->diag, E0403, site->span, "site `%s` of `%s` has no counterpart in `%s`", site->name, q->name, p->name);
  diag_mark(d, site->observed ? "observed" : "drawn and scored here only");
  diag_label(d, p->span, "has no `%s`", site->name);
  Name near = name_nearest(site->name, spare, m);
  if (site->observed) {
    diag_note(d, "a divergence compares what both programs draw, and `%s` is data", site->name);
    diag_help(d, "the guide comes first: `KL(%s || %s)`, `elbo(%s, %s)`", p->name, q->name, q->name, p->name);
    return;
  }
  diag_note(d, "with log %s in it and no density of `%s` against it, the objective bounds nothing", q->name, site->name);
  if (near) diag_fix(d, site->span, near, "did you mean `%s`?", near);
  else diag_help(d, "remove it; or, if it is an auxiliary variable, score it by a reverse program r: `E[%s](log %s + log r - log %s)`", q->name, p->name, q->name);
}

/* A latent of `site`'s program must have a value: drawn by an expectation around, or data. */
static void must_be_drawn(Checker *c, const Site *site, Span at) {
  if (site->observed && !within_of(c, site->program)) return;
  const Program *last = NULL;
  for (uint32_t i = c->within.n; i-- > 0;) {
    Program *q = c->within.at[i].program;
    last = last ? last : q;
    Site *drawn = program_site(q, site->name);
    if (!drawn) continue;
    if (drawn != site) fits_site(c, drawn, site);
    return;
  }
  if (last) { tell_not_drawn(c, site, last); return; }
  if (c->alone) return;
  c->alone = true;
  DiagItem *d = diag_at(c->diag, E0504, at, "`%s` has no value here: no expectation is around this density", site->name);
  diag_label(d, site->span, "a latent");
  const Program *q = NULL;
  for (uint32_t i = 0; i < c->t->programs.n && !q; i++)
    if (c->t->programs.at[i]->guide && program_site(c->t->programs.at[i], site->name)) q = c->t->programs.at[i];
  if (q) diag_help(d, "write `E[%s](...)` around the whole: `%s` draws `%s`", q->name, q->name, site->name);
  else diag_help(d, "write `E[q](...)` around the whole, with q the program that draws `%s`", site->name);
}

static bool needs_site(Checker *c, const Site *site, const Site *other) {
  if (other == site) return false;
  Val part[DIST_VALUES];
  for (uint32_t i = 0, n = dist_values(&site->dist, part); i < n; i++)
    if (reads_variable(c, part[i], other->name)) return true;
  return false;
}

Value eval_log_density(Checker *c, Scope *s, const Expr *e) {
  Term t = {.kind = TERM_LOG_DENSITY};
  bool whole;
  SiteList sites = {0};
  if (!c->objective) {
    Value v = eval(c, s, e->as.log_density.target);
    if (v.kind == V_NODE) {
      DiagItem *i = diag_at(c->diag, E0501, e->span, "`log` without brackets is the log density of a program, and this is a value");
      diag_fix(i, e->span, name_printf("log(%s)", source_words(c, v.span)), "the logarithm of a value is written with brackets");
    } else if (v.kind != V_BAD) in_objective(c, e->span, "a log density");
    return v_bad(e->span);
  }
  Value of = eval(c, s, e->as.log_density.target);
  uint32_t row = of.row;
  of.row = 0;
  if (!sites_of_value(c, of, e->as.log_density.target, &t.program, &sites, &whole)) return v_bad(e->span);
  if (row) return row_density(c, t.program, sites.at, sites.n, row - 1, e->span);
  AxisSet axes = particle_axes(c);
  unsigned errors = diag_errors(c->diag);
  for (uint32_t i = 0; i < sites.n; i++) {
    must_be_drawn(c, sites.at[i], e->span);
    for (uint32_t k = 0; k < t.program->sites.n; k++)      /* what its arguments need */
      if (needs_site(c, sites.at[i], t.program->sites.at[k])) must_be_drawn(c, t.program->sites.at[k], e->span);
    axes |= term_axes(c, sites.at[i]);
    vec_push(c->arena, &t.sites, sites.at[i]);
  }
  if (diag_errors(c->diag) != errors) return v_bad(e->span);
  Name label = whole ? name_printf("log %s", t.program->name)
             : name_printf("log %s.%s", t.program->name, sites.n == 1 ? sites.at[0]->name : sites.at[0]->base);
  return term_leaf(c, t, label, graph_shape(c->g, axes, 0, NULL), RANGE_REAL, e->span);
}

Value eval_kl(Checker *c, Scope *s, const Expr *e) {
  if (!in_objective(c, e->span, "KL")) return v_bad(e->span);
  if (e->as.call.args.n != 1 || e->as.call.args.at[0].value->kind != EX_OP || e->as.call.args.at[0].value->as.op.op != OP_BARS) {
    DiagItem *i = diag_at(c->diag, E0501, e->span, "KL compares two programs or sites, with `||` between them");
    if (e->as.call.args.n == 2) diag_help(i, "write `KL(%s || %s)`", source_words(c, e->as.call.args.at[0].span), source_words(c, e->as.call.args.at[1].span));
    else diag_help(i, "write `KL(q.z || p.z)` or `KL(q || p)`");
    return v_bad(e->span);
  }
  const Expr *both = e->as.call.args.at[0].value;
  Term t = {.kind = TERM_KL};
  Program *pb;
  SiteList a = {0}, b = {0};
  bool whole_a, whole_b;
  if (!sites_of(c, s, both->as.op.a, &t.program, &a, &whole_a) || !sites_of(c, s, both->as.op.b, &pb, &b, &whole_b)) return v_bad(e->span);
  AxisSet axes = particle_axes(c);
  bool ok = true, pair = a.n == 1 && b.n == 1 && !whole_a && !whole_b;      /* KL(q.u || p.v): compared whatever their names */
  for (uint32_t k = 0; k < b.n && (whole_b || b.n > 1); k++) {
    bool found = pair || (whole_b && b.at[k]->observed);
    for (uint32_t i = 0; i < a.n; i++) found |= a.at[i]->name == b.at[k]->name;
    if (!found) {
      tell_not_drawn(c, b.at[k], t.program);
      ok = false;
    }
  }
  for (uint32_t i = 0; i < a.n; i++) {
    Site *other = NULL;
    for (uint32_t k = 0; k < b.n; k++)
      if (b.at[k]->name == a.at[i]->name || pair) other = b.at[k];
    if (!other) tell_extra(c, a.at[i], pb);
    if (!other || !fits_site(c, a.at[i], other)) {
      ok = false;
      continue;
    }
    axes |= term_axes(c, a.at[i]);
    vec_push(c->arena, &t.sites, a.at[i]);
    vec_push(c->arena, &t.against, other);
  }
  if (!ok) return v_bad(e->span);
  Name label = name_printf("KL(%s.%s || %s.%s)", t.program->name, whole_a ? "*" : a.at[0]->base, pb->name, whole_b ? "*" : b.at[0]->base);
  return term_leaf(c, t, label, graph_shape(c->g, axes, 0, NULL), (Range){.lo = 0, .hi = RANGE_POSITIVE.hi, .hi_open = true}, e->span);
}

Value eval_entropy(Checker *c, Scope *s, const Expr *e) {
  Term t = {.kind = TERM_ENTROPY};
  SiteList sites = {0};
  bool whole;
  if (e->as.call.args.n != 1) { diag_at(c->diag, E0501, e->span, "H takes one program, site or distribution: `H(q.z)`"); return v_bad(e->span); }
  Value of = eval(c, s, e->as.call.args.at[0].value);
  if (of.kind == V_DIST) return v_node(dist_entropy(c, of.as.dist, e->span), e->span);
  if (!in_objective(c, e->span, "the entropy of a site")) return v_bad(e->span);
  if (!sites_of_value(c, of, e->as.call.args.at[0].value, &t.program, &sites, &whole)) return v_bad(e->span);
  AxisSet axes = particle_axes(c);
  for (uint32_t i = 0; i < sites.n; i++) {
    axes |= term_axes(c, sites.at[i]);
    vec_push(c->arena, &t.sites, sites.at[i]);
  }
  return term_leaf(c, t, name_printf("H(%s.%s)", t.program->name, whole ? "*" : sites.at[0]->base), graph_shape(c->g, axes, 0, NULL), RANGE_REAL, e->span);
}

/* Inside an objective: the value that the enclosing expectation drew.  Inside a program: the value at the draws so far. */
Value drawn_value(Checker *c, Program *p, Name name, Span at) {
  program_check(c, p);
  Site *site = program_site(p, name);
  const Local *local = NULL;
  for (uint32_t i = 0; i < p->locals.n && !site; i++)
    if (p->locals.at[i].name == name) local = &p->locals.at[i];
  if (!site && !local && p->state == PROGRAM_BUSY && program_draws(p, name)) {
    DiagItem *d = diag_at(c->diag, E0205, at, "`%s.%s` is needed before it is drawn", p->name, name);
    diag_label(d, p->span, "this program needs one that needs it");
    diag_help(d, "programs may read one another in one direction only");
    return v_bad(at);
  }
  if (!site && !local) {
    if (program_failed(p, name) || (p->failed.n && !program_draws(p, name))) return v_bad(at);
    uint32_t length = (uint32_t)strlen(name);
    if (at.end - at.at < length) length = at.end - at.at;
    DiagItem *d = diag_at(c->diag, E0203, (Span){at.end - length, at.end}, "program `%s` has no `%s`", p->name, name);
    Name names[128];
    size_t n = 0;
    for (uint32_t i = 0; i < p->sites.n && n < LEN(names); i++) names[n++] = p->sites.at[i]->name;
    for (uint32_t i = 0; i < p->locals.n && n < LEN(names); i++) names[n++] = p->locals.at[i].name;
    Name near = name_nearest(name, names, n);
    if (near) diag_fix(d, (Span){at.end - length, at.end}, near, "did you mean `%s`?", near);
    else if (n) diag_note(d, "it has %s", names_text(names, n));
    return v_bad(at);
  }
  if (!c->objective) return v_node(site ? site->var : local->value, at);
  if (!within_of(c, p)) {
    DiagItem *d = diag_at(c->diag, E0504, at, "`%s.%s` has no value here", p->name, name);
    diag_note(d, "the values a program draws exist inside its expectation");
    if (site && site->observed) diag_help(d, "the log density of the data is `log %s.%s`", p->name, name);
    else diag_help(d, "write `E[%s](...)` around it", p->name);
    return v_bad(at);
  }
  Val v = site ? site->var : local->value;
  Term t = {.kind = TERM_DRAWN, .program = p, .body = v};
  if (site) vec_push(c->arena, &t.sites, site);
  const Shape *sh = shape_of(c->g, v);
  return term_leaf(c, t, name_printf("%s.%s", p->name, name), graph_shape(c->g, sh->axes | particle_axes(c), sh->rank, sh->dim), node_of(c->g, v)->range, at);
}

static bool reads_draws(Checker *c, Val v) {
  for (uint32_t i = 0; i < c->within.n; i++) {
    const Program *q = c->within.at[i].program;
    for (uint32_t k = 0; k < q->sites.n; k++)
      if (reads_variable(c, v, q->sites.at[k]->name)) return true;
    for (uint32_t k = 0; k < q->recurrents.n; k++)        /* other steps of its own */
      if (reads_variable(c, v, q->recurrents.at[k]->variable)) return true;
  }
  return false;
}
static Val at_draws(Checker *c, Program *p, Val v) {
  if (v == NO_VAL || !reads_draws(c, v)) return v;
  const Shape *sh = shape_of(c->g, v);
  Term t = {.kind = TERM_DRAWN, .program = c->within.at[c->within.n - 1].program, .body = v};
  return term_leaf(c, t, name_printf("of %s", p->name), graph_shape(c->g, sh->axes | particle_axes(c), sh->rank, sh->dim), node_of(c->g, v)->range, node_of(c->g, v)->span).as.node;
}
const DistValue *dist_at_draws(Checker *c, const DistValue *d, Program *p) {
  if (!c->objective || !c->within.n || d->flow) return d;
  DistValue *out = NEW(c->arena, DistValue);
  *out = *d;
  for (uint32_t k = 0; k < d->nargs; k++) out->arg[k] = at_draws(c, p, d->arg[k]);
  if (d->mixture) out->log_weight = at_draws(c, p, d->log_weight);
  return out;
}

/* Sites that a guide draws and scores must be scored by something else too. */
static void check_superfluous(Checker *c, Program *q, uint32_t first_term) {
  for (uint32_t i = first_term; i < c->t->terms.n; i++) {
    const Term *t = &c->t->terms.at[i];
    if (t->kind != TERM_LOG_DENSITY || t->program != q) continue;
    for (uint32_t k = 0; k < t->sites.n; k++) {
      const Site *site = t->sites.at[k];
      bool scored = false;
      const Program *model = NULL;
      for (uint32_t j = first_term; j < c->t->terms.n; j++) {
        const Term *u = &c->t->terms.at[j];
        if (u->kind == TERM_EXPECT || u->program == q) continue;
        model = u->program;
        for (uint32_t m = 0; m < u->sites.n; m++) scored |= u->sites.at[m]->name == site->name;
      }
      if (!scored && model) tell_extra(c, site, model);
    }
  }
}

Value eval_expectation(Checker *c, Scope *s, const Expr *index, const Expr *call) {
  Span at = call->span;
  if (!in_objective(c, at, "an expectation")) return v_bad(at);
  const Args *args = &index->as.index.args;
  Term t = {.kind = TERM_EXPECT, .particles = -1};
  const Expr *program = NULL;
  Val k = NO_VAL;
  for (uint32_t i = 0; i < args->n; i++) {
    if (!args->at[i].name && !program) program = args->at[i].value;
    else if (args->at[i].name == name_of("k")) {
      k = eval_node(c, s, args->at[i].value);
      if (k == NO_VAL) return v_bad(at);
      const Node *n = node_of(c->g, k);
      if (n->op != OP_const || n->attr.number < 1 || n->attr.number != (double)(uint32_t)n->attr.number) {
        diag_help(diag_at(c->diag, E0303, args->at[i].span, "the number of particles is a whole number known when compiled, at least 1"), "it is only the default: `./model ... --k 50` changes it when run");
        return v_bad(at);
      }
    } else {
      diag_help(diag_at(c->diag, E0501, args->at[i].span, "an expectation takes a program and `k:`"), "write `E[q](...)` or `E[q, k: 50](...)`");
      return v_bad(at);
    }
  }
  if (!program || call->as.call.args.n != 1 || call->as.call.args.at[0].name) {
    diag_at(c->diag, E0501, at, "an expectation has one program and one body: `E[q](...)`");
    return v_bad(at);
  }
  if (program->kind == EX_CALL && program->as.call.callee->kind == EX_NAME && program->as.call.callee->as.name == name_of("stop") && program->as.call.args.n == 1)
    t.detached = true, program = program->as.call.args.at[0].value;
  Value q = eval(c, s, program);
  if (q.row) { diag_help(diag_at(c->diag, E0501, q.span, "an expectation is over the draws of all rows, and this is of one"), "write `E[q](...)`, and index what it drew: `q.z[m]`"); return v_bad(at); }
  if (q.kind != V_PROGRAM) {
    if (q.kind != V_BAD) diag_help(diag_at(c->diag, E0501, q.span, "an expectation is under a program, and this is %s", value_kind_text(q)), "name the program whose draws are averaged over: a `guide` or a `model`");
    return v_bad(at);
  }
  t.program = q.as.program;
  program_check(c, t.program);
  for (uint32_t i = 0; t.program->guide && i < t.program->sites.n; i++)
    for (uint32_t m = 0; m < c->t->data.n; m++) {
      const Site *site = t.program->sites.at[i];
      if (c->t->data.at[m].name != site->name) continue;
      DiagItem *d = diag_at(c->diag, W0105, site->span, "guide `%s` draws `%s`, which is data", t.program->name, site->name);
      diag_label(d, c->t->data.at[m].span, "the data");
      diag_note(d, "inside E[%s](...) densities are scored at this draw, and the data is not looked at", t.program->name);
      diag_help(d, "remove the site, or rename it");
    }
  if (k != NO_VAL) {
    uint32_t n = (uint32_t)node_of(c->g, k)->attr.number;
    Name name = name_printf("particle%s%s", c->within.n ? "_" : "", c->within.n ? t.program->name : "");
    name = name_printf("%s_%u", name, n);
    int32_t axis = -1;
    for (uint32_t i = 0; i < c->g->axis.n; i++)
      if (c->g->axis.at[i].kind == AXIS_PARTICLE && c->g->axis.at[i].name == name) axis = (int32_t)i;
    for (uint32_t i = 0; i < c->within.n && axis >= 0; i++)
      if (c->within.at[i].particles == axis) { name = name_printf("%s_inner", name); axis = -1; }
    if (axis < 0) {
      if (!axis_room(c, NULL, 0, at)) return v_bad(at);
      axis = (int32_t)graph_axis(c->g, (Axis){.name = name, .kind = AXIS_PARTICLE, .parent = -1});
      SviAxis a = {.name = name, .parent = -1, .kind = 1, .fallback = n};
      while (c->t->axes.n < (uint32_t)axis) { SviAxis filler = {.name = c->g->axis.at[c->t->axes.n].name, .parent = -1, .kind = 2, .fallback = c->g->axis.at[c->t->axes.n].size}; vec_push(c->arena, &c->t->axes, filler); }
      vec_push(c->arena, &c->t->axes, a);
    }
    t.particles = axis;
  }
  Within w = {t.program, t.particles};
  vec_push(c->arena, &c->within, w);
  uint32_t first = c->t->terms.n;
  Val body = eval_node(c, s, call->as.call.args.at[0].value);
  c->within.n--;
  if (body == NO_VAL) return v_bad(at);
  check_superfluous(c, t.program, first);
  const Shape *sh = shape_of(c->g, body);
  if (t.particles >= 0 && (sh->axes >> t.particles & 1)) {
    c->g->span = at;
    body = graph_op2(c->g, OP_div, graph_reduce(c->g, REDUCE_SUM, body, (AxisSet)1 << t.particles, 0), graph_count(c->g, (uint32_t)t.particles, false));
  }
  t.body = body;
  sh = shape_of(c->g, body);
  Name label = t.particles >= 0 ? name_printf("E[%s, k: %g]", t.program->name, node_of(c->g, k)->attr.number) : name_printf("E[%s]", t.program->name);
  return term_leaf(c, t, label, sh, node_of(c->g, body)->range, at);
}
