/* Words of messages: how ranges, plates and source text are told, what a wrong name was meant to be, and what is known of a
 * name that is not defined where it stands.  Nothing here decides whether something is wrong. */
#include "value.h"
#include <stdlib.h>

/* "once", "for each row", "for each user and item" */
const char *each_text(Checker *c, AxisSet axes) {
  Name text = NULL;
  for (uint32_t i = 0; i < c->g->axis.n; i++)
    if (axes >> i & 1) text = text ? name_printf("%s and %s", text, c->g->axis.at[i].name) : name_printf("for each %s", c->g->axis.at[i].name);
  return text ? text : "once";
}

const char *types_each(const Typed *t, AxisSet axes) { return each_text(t->check, axes); }

/* What follows "must be": "positive", "within [0, 1]", "a whole number from 0 to 9". */
const char *must_text(Range r) {
  switch (r.form) {
    case FORM_PLAIN:         break;
    case FORM_SIMPLEX:       return r.whole ? "one-hot (one 1 among zeros)" : "a simplex (numbers from 0 that sum to 1)";
    case FORM_ORDERED:       return "ordered";
    case FORM_CHOLESKY:      return "a Cholesky factor";
    case FORM_CORR_CHOLESKY: return "a Cholesky factor of correlations";
  }
  bool lo = r.lo > RANGE_REAL.lo, hi = r.hi < RANGE_REAL.hi;
  if (r.whole && r.lo == 0 && r.hi == 1) return "0 or 1";
  if (r.whole && lo && hi) return name_printf("a whole number from %g to %g", r.lo, r.hi);
  if (r.whole) return lo ? name_printf("a whole number from %g", r.lo) : "a whole number";
  if (lo && hi) return name_printf("within %s%g, %g%s", r.lo_open ? "(" : "[", r.lo, r.hi, r.hi_open ? ")" : "]");
  if (lo && r.lo == 0) return r.lo_open ? "positive" : "at least 0";
  if (lo) return name_printf("%s %g", r.lo_open ? "above" : "at least", r.lo);
  if (hi) return name_printf("%s %g", r.hi_open ? "below" : "at most", r.hi);
  return "real";
}
/* What follows "and this": "is -1", "may be 0", "may be negative". */
const char *but_text(Range have, Range want) {
  if (have.lo == have.hi) return name_printf("is %g", have.lo);
  if (have.lo < want.lo) return want.lo == 0 ? "may be negative" : name_printf("may be below %g", want.lo);
  if (have.lo == want.lo && want.lo_open && !have.lo_open) return name_printf("may be %g", want.lo);
  if (have.hi > want.hi) return name_printf("may be above %g", want.hi);
  if (have.hi == want.hi && want.hi_open && !have.hi_open) return name_printf("may be %g", want.hi);
  if (want.whole && !have.whole) return "may be a fraction";
  return "may not be";
}

const char *range_text(Checker *c, Range r) {
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  range_print(r, f);
  fclose(f);
  const char *kept = arena_copy(c->arena, text, size);
  free(text);
  return kept;
}

/* The text as written, or "..." when it is long or goes over a line's end. */
const char *source_words(Checker *c, Span at) {
  const Source *s = at.end > at.at ? source_place(c->t->sources, at.at).source : NULL;
  if (!s || at.end - at.at > 40 || at.end > s->base + s->size) return "...";
  const char *text = s->text + (at.at - s->base);
  for (uint32_t i = 0; i < at.end - at.at; i++)
    if (text[i] == '\n' || text[i] == '#' || text[i] == '\r') return "...";
  return name_of_n(text, at.end - at.at);
}

/* Words of other systems, and what they are called here. */
static const struct { const char *theirs, *ours; } aliases[] = {
  {"loc", "mean"}, {"mu", "mean"}, {"std", "scale"}, {"sd", "scale"}, {"sigma", "scale"}, {"stddev", "scale"}, {"var", "variance"},
  {"probs", "prob"}, {"p", "prob"}, {"logits", "logit"}, {"concentration", "shape"}, {"alpha", "shape"}, {"lambda", "rate"}, {"lam", "rate"},
  {"gaussian", "Normal"}, {"Gaussian", "Normal"}, {"norm", "Normal"}, {"Dirac", "Delta"}, {"OneHotCategorical", "OneHot"}, {"ContinuousBernoulli", "RelaxedBernoulli"},
  {"GumbelSoftmax", "Concrete"}, {"RelaxedOneHotCategorical", "Concrete"}, {"MultivariateNormalTriL", "MultivariateNormal"},
  {"ln", "log"}, {"reduce_sum", "sum"}, {"reduce_mean", "mean"}, {"logsumexp", "log_sum_exp"}, {"matmul", "@"}, {"concatenate", "concat"}, {"detach", "stop"},
  {"stop_gradient", "stop"}, {"clamp", "clip"}, {"where", "select"}, {"linear", "dense"}, {"Linear", "dense"}, {"Dense", "dense"},
  {"reinforce", "score"}, {"reparam", "pathwise"}, {"reparameterize", "pathwise"}, {"gumbel_softmax", "concrete"}, {"st", "straight_through"},
  {"xavier", "glorot"}, {"xavier_uniform", "glorot"}, {"xavier_normal", "glorot_normal"}, {"kaiming", "he"},
  {"float", "real"}, {"double", "real"}, {"vector", "real"}, {"matrix", "real"}, {"int", "count"}, {"bool", "bit"}, {"binary", "bit"}, {"categorical", "class"},
  {"nonnegative", "nonneg"}, {"probability", "unit"},
  {"learning_rate", "lr"}, {"batch_size", "batch"}, {"batchsize", "batch"}, {"num_epochs", "epochs"}, {"optim", "optimizer"}, {"optimiser", "optimizer"}, {"adamw", "adam"},
};
Name name_meant(Name wrong, const Name *candidates, size_t n) {
  for (size_t i = 0; i < LEN(aliases); i++) {
    if (strcmp(aliases[i].theirs, wrong) != 0) continue;
    Name ours = name_of(aliases[i].ours);
    for (size_t k = 0; k < n; k++)
      if (candidates[k] == ours) return ours;
  }
  return name_nearest(wrong, candidates, n);
}

/* Where the statements define `name`, if they do; `inside`: in a `for`, whose names belong to one turn. */
Span defined_at(const Stmts *body, Name name, bool *inside) {
  for (uint32_t i = 0; i < body->n; i++) {
    const Stmt *st = body->at[i];
    Span at = NO_SPAN;
    bool turn = false;
    switch (st->kind) {
      case ST_LET:  if (st->as.let.target.name == name) at = st->as.let.target.span; break;
      case ST_SITE: if (st->as.site.target.name == name) at = st->as.site.target.span; break;
      case ST_PARAM: case ST_STATE: if (st->as.param.name == name) at = st->as.param.name_span; break;
      case ST_FOR:  at = defined_at(&st->as.loop.body, name, &turn); if (at.end) turn = true; break;
      case ST_EACH: at = defined_at(&st->as.each.body, name, &turn); break;
      case ST_IF:
        at = defined_at(&st->as.branch.yes, name, &turn);
        if (!at.end) at = defined_at(&st->as.branch.no, name, &turn);
        break;
      case ST_UPDATE: case ST_RETURN: case ST_PRIOR: break;
    }
    if (at.end) { *inside = turn; return at; }
  }
  return NO_SPAN;
}

/* Everything the statements would have defined is bad from here on: told once, by what stopped them. */
void poison(Checker *c, Scope *s, const Stmts *body) {
  for (uint32_t i = 0; i < body->n; i++) {
    const Stmt *st = body->at[i];
    Name name = NULL;
    switch (st->kind) {
      case ST_LET:    name = st->as.let.target.name; break;
      case ST_SITE:   name = st->as.site.target.name; break;
      case ST_PARAM: case ST_STATE: name = st->as.param.name; break;
      case ST_FOR:    poison(c, s, &st->as.loop.body); break;
      case ST_EACH:   poison(c, s, &st->as.each.body); break;
      case ST_IF:     poison(c, s, &st->as.branch.yes); poison(c, s, &st->as.branch.no); break;
      case ST_UPDATE: case ST_RETURN: case ST_PRIOR: break;
    }
    if (!name) continue;
    Binding *b = scope_find(s, name);
    if (!b) scope_bind(c, s, name, v_bad(st->span), st->span);
    else if (b->value.kind == V_FAMILY) b->value = v_bad(b->span);
    if (c->program && s->program == c->program && !program_failed(c->program, name)) vec_push(c->arena, &c->program->failed, name);
  }
}

/* Axes are bits of a set.  Some are kept for the elements of distributions, which lowering makes. */
bool axis_room(Checker *c, Name index, uint32_t size, Span at) {
  uint32_t most = c->g == c->t->graph ? AXIS_MAX - 12 : AXIS_MAX;
  if (c->g->axis.n < most) return true;
  for (uint32_t i = 0; index && i < c->g->axis.n; i++)
    if (c->g->axis.at[i].kind == AXIS_INDEX && c->g->axis.at[i].name == index && c->g->axis.at[i].size == size) return true;
  if (c->crowded) return false;
  c->crowded = true;
  DiagItem *d = diag_at(c->diag, E0304, at, "too many plates, particles and index variables: a model may have %d in all", AXIS_MAX - 12);
  diag_help(d, "index variables of one name and range count once: use the same few names");
  return false;
}

/* Does this value of the template need the variable `name`? */
static bool reads(const Graph *g, Val v, Name name, uint8_t *seen) {
  const Node *n = node_of(g, v);
  if (n->op == OP_input && n->attr.leaf.id == 0 && n->attr.leaf.name == name) return true;
  if (seen[v]) return false;
  seen[v] = 1;
  for (uint32_t i = 0; i < n->nargs; i++)
    if (reads(g, n->arg[i], name, seen)) return true;
  return false;
}
bool reads_variable(Checker *c, Val v, Name name) {
  uint8_t *seen = calloc(c->t->graph->node.n, 1);
  if (!seen) BUG("out of memory");
  bool yes = reads(c->t->graph, v, name, seen);
  free(seen);
  return yes;
}

/* Why a value is not known when compiled: the first option, data or parameter it needs. */
static Val not_known(const Graph *g, Val v, uint8_t *seen) {
  const Node *n = node_of(g, v);
  if (n->op == OP_option || n->op == OP_input || n->op == OP_param) return v;
  if (seen[v]) return NO_VAL;
  seen[v] = 1;
  for (uint32_t i = 0; i < n->nargs; i++) {
    Val found = not_known(g, n->arg[i], seen);
    if (found != NO_VAL) return found;
  }
  return NO_VAL;
}
bool is_known(Checker *c, Val v) { return not_known(c->g, v, arena_alloc(c->arena, c->g->node.n + 1)) == NO_VAL; }
void tell_not_known(Checker *c, DiagItem *i, Val v) {
  uint8_t *seen = arena_alloc(c->arena, c->g->node.n + 1);
  Val why = not_known(c->g, v, seen);
  if (why == NO_VAL) return;
  const Node *n = node_of(c->g, why);
  if (n->op == OP_option) {
    diag_mark(i, "`%s` is an option: its value is given when the trainer runs", n->attr.leaf.name);
    diag_help(i, "make it a constant, `const %s = ...`, which `svic -D %s=...` sets", n->attr.leaf.name, n->attr.leaf.name);
  } else if (n->op == OP_param) diag_mark(i, "this depends on the parameter `%s`", n->attr.leaf.name);
  else if (n->attr.leaf.id == 0) diag_mark(i, "this depends on `%s`", n->attr.leaf.name);
  else if (n->attr.leaf.id == UINT32_MAX) diag_mark(i, "this depends on `training`");
}

/* ---- names that are not defined */
typedef VEC(Name) Names;
static void names_in_reach(Checker *c, Scope *s, Names *names) {
  for (Scope *p = s; p; p = p->parent)
    for (uint32_t i = 0; i < p->bindings.n; i++) vec_push(c->arena, names, p->bindings.at[i].name);
  const Module *modules[] = {s ? s->module : NULL, c->main};
  for (size_t m = 0; m < LEN(modules); m++)
    if (modules[m])
      for (uint32_t i = 0; i < modules[m]->ast->decls.n; i++)
        if (modules[m]->ast->decls.at[i]->name) vec_push(c->arena, names, modules[m]->ast->decls.at[i]->name);
  for (uint32_t i = 0; i < c->t->programs.n; i++)
    for (uint32_t k = 0; k < c->t->programs.at[i]->sites.n; k++) vec_push(c->arena, names, c->t->programs.at[i]->sites.at[k]->base);
  for (uint32_t i = 1; i < c->modules.n; i++)
    for (uint32_t k = 0; c->modules.at[i]->name == NULL && k < c->modules.at[i]->ast->decls.n; k++)
      if (c->modules.at[i]->ast->decls.at[k]->name) vec_push(c->arena, names, c->modules.at[i]->ast->decls.at[k]->name);
  Names known = {0};                                    /* built-in functions and the library's distributions */
  const char *word;
  for (size_t i = 0; (word = builtin_name(i)) || (word = library_file(i)); i++) {
    if ((word = builtin_name(i))) { Name n = name_of(word); vec_push(c->arena, &known, n); }
    if ((word = library_file(i)) && strncmp(word, "dist/", 5) == 0) { Name n = name_of(word + 5); vec_push(c->arena, &known, n); }
  }
  for (uint32_t i = 0; i < known.n; i++) vec_push(c->arena, names, known.at[i]);
}

/* What else is known of a name that is not defined: it comes later, belongs to a loop's turn, to another program or a module. */
static bool tell_where(Checker *c, Scope *s, DiagItem *item, Name name, Span at) {
  for (uint32_t m = 0; m < c->modules.n; m++)
    for (uint32_t i = 0; i < c->modules.at[m]->ast->decls.n; i++) {
      const Decl *d = c->modules.at[m]->ast->decls.at[i];
      if (!(d->span.at <= at.at && at.end <= d->span.end) || (d->kind != DE_PROGRAM && d->kind != DE_NET)) continue;
      bool inside = false;
      Span there = defined_at(d->kind == DE_NET ? &d->as.net.body : &d->as.program.body, name, &inside);
      if (!there.end) continue;
      diag_label(item, there, inside ? "defined here, in one turn of a loop" : "defined here, later");
      diag_help(item, inside ? "to keep a value from a loop, give it an index: `%s[l] = ...`" : "statements run in the order written: move `%s` up", name);
      return true;
    }
  for (uint32_t i = 0; s && s->program && i < c->t->programs.n; i++) {
    const Program *p = c->t->programs.at[i];
    for (uint32_t k = 0; p != s->program && k < p->locals.n; k++)
      if (p->locals.at[k].name == name) {
        diag_label(item, p->locals.at[k].span, "a value of `%s`", p->name);
        diag_fix(item, at, name_printf("%s.%s", p->name, name), "to read it, name its program: `%s.%s`", p->name, name);
        return true;
      }
  }
  const char *const libraries[] = {"nn"};
  for (size_t i = 0; i < LEN(libraries); i++) {
    size_t size;
    Name library = name_of(libraries[i]);
    bool imported = module_decl(c->main, library) != NULL;
    if (name == library && !imported && library_text(library, &size)) { diag_help(item, "it is a module of the library: write `import %s`", name); return true; }
    if (!library_text(library, &size)) continue;
    Module *m = module_load(c, library, at, c->main->ast->source);
    Name there = !m ? NULL : module_decl(m, name) ? name : name_meant(name, &(Name){name_of("dense")}, 1);
    if (!there || !module_decl(m, there) || (there != name && name_nearest(name, &there, 1))) continue;
    if (imported) diag_fix(item, at, name_printf("%s.%s", library, there), "it is in the module `%s`: write `%s.%s`", library, library, there);
    else diag_help(item, "it is in a module of the library: write `import %s`, and `%s.%s` here", library, library, there);
    return true;
  }
  return false;
}

Value unknown_name(Checker *c, Scope *s, Name name, Span at) {
  Names names = {0};
  names_in_reach(c, s, &names);
  DiagItem *i = diag_at(c->diag, E0201, at, "`%s` is not defined", name);
  if (tell_where(c, s, i, name, at)) return v_bad(at);
  Name near = name_meant(name, names.at, names.n);
  if (near) diag_fix(i, at, near, "did you mean `%s`?", near);
  return v_bad(at);
}
void tell_early(Checker *c, const Program *p, Name name, Span at) {
  bool inside = false;
  Span there = defined_at(&p->decl->as.program.body, name, &inside);
  DiagItem *i = diag_at(c->diag, E0201, at, "`%s` is used before it is drawn", name);
  if (there.end && !(there.at <= at.at && at.end <= there.end)) diag_label(i, there, "drawn here");
  if (inside) diag_help(i, "the turns of a loop run in the order written; where one needs the next, count down: `for l in L..1 by -1`");
  else diag_help(i, "statements run in the order written: move `%s ~ ...` up", name);
}
