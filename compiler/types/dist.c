/* Distributions: from `dist` declarations to values, and their members to nodes.
 *
 * A distribution of scalars applies to arguments with event axes element by element.  One of vectors (Categorical(logit: real[K]))
 * applied to arguments with further leading axes is evaluated with those axes as index axes, so the member's text sees the rank it
 * was written for.  Axes of a draw, outermost first: copies [n], leading axes of the arguments, axes of the support itself. */
#include "value.h"
#include <math.h>
#include <stdlib.h>

static const Params *form_params(const Decl *d, int form) { return form < 0 ? &d->as.dist.params : &d->as.dist.forms.at[form].params; }
static uint32_t type_rank(const Type *t) {
  uint32_t rank = 0;
  if (!t) return 0;
  for (uint32_t g = t->element == name_of("class"); g < t->sizes.n; g++) rank += t->sizes.at[g].n;
  if ((t->element == name_of("cholesky") || t->element == name_of("corr_cholesky")) && rank == 1) rank = 2;
  return rank;
}

uint32_t dist_own_rank(const DistValue *d) { return type_rank(d->decl->as.dist.support); }

/* ---- which form do these arguments choose? */
static bool form_takes(const Params *p, const Args *args, bool piped) {
  uint32_t positional = piped;
  for (uint32_t i = 0; i < args->n; i++) positional += args->at[i].name == NULL;
  if (positional > p->n) return false;
  uint32_t given = positional;
  for (uint32_t i = 0; i < args->n; i++) {
    if (!args->at[i].name) continue;
    uint32_t k;
    for (k = positional; k < p->n && p->at[k].name != args->at[i].name; k++) {}
    if (k == p->n) return false;
    given++;
  }
  uint32_t needed = 0;
  for (uint32_t k = 0; k < p->n; k++) needed += p->at[k].fallback == NULL;
  return given >= needed && given <= p->n;
}

static void print_forms(const Decl *d, DiagItem *item) {
  Name text = NULL;
  for (int f = -1; f < (int)d->as.dist.forms.n; f++) {
    const Params *p = form_params(d, f);
    text = text ? name_printf("%s or `%s(", text, d->name) : name_printf("`%s(", d->name);
    for (uint32_t k = 0; k < p->n; k++) text = name_printf("%s%s%s", text, k ? ", " : "", p->at[k].name);
    text = name_printf("%s)`", text);
  }
  diag_note(item, "it is written %s", text);
}

/* No form takes these arguments: says which one is in the way. */
static void tell_arguments(Checker *c, const Decl *d, const Args *args, bool piped, Span at) {
  VEC(Name) names = {0};
  uint32_t most = 0, positional = piped;
  for (int f = -1; f < (int)d->as.dist.forms.n; f++) {
    const Params *p = form_params(d, f);
    if (p->n > most) most = p->n;
    for (uint32_t k = 0; k < p->n; k++) vec_push(c->arena, &names, p->at[k].name);
  }
  DiagItem *item = NULL;
  for (uint32_t i = 0; i < args->n && !item; i++) {
    const Arg *a = &args->at[i];
    if (!a->name) {
      if (++positional > most) item = diag_at(c->diag, E0206, a->span, "an argument too many: `%s` takes %u", d->name, most);
      continue;
    }
    bool known = false;
    for (uint32_t k = 0; k < names.n; k++) known |= names.at[k] == a->name;
    for (uint32_t k = 0; k < i; k++)
      if (args->at[k].name == a->name) item = diag_at(c->diag, E0206, a->span, "`%s` is given twice", a->name);
    if (known || item) continue;
    item = diag_at(c->diag, E0206, a->span, "`%s` has no parameter `%s`", d->name, a->name);
    Name near = name_meant(a->name, names.at, names.n);
    if (near) diag_fix(item, (Span){a->span.at, a->span.at + (uint32_t)strlen(a->name)}, near, "did you mean `%s`?", near);
  }
  for (int f = -1; f < (int)d->as.dist.forms.n && !item; f++) {      /* which argument of the form meant is missing or doubled? */
    const Params *p = form_params(d, f);
    Name missing = NULL;
    bool fits = positional <= p->n;
    for (uint32_t k = 0; k < p->n && !missing; k++) {
      bool given = k < positional;
      for (uint32_t i = 0; i < args->n; i++) given |= args->at[i].name == p->at[k].name;
      if (!given && !p->at[k].fallback) missing = p->at[k].name;
    }
    for (uint32_t i = 0; i < args->n && fits; i++) {
      bool known = !args->at[i].name;
      for (uint32_t k = 0; k < p->n; k++) {
        known |= args->at[i].name == p->at[k].name;
        if (k < positional && args->at[i].name == p->at[k].name && !item) item = diag_at(c->diag, E0206, args->at[i].span, "`%s` is given twice", p->at[k].name);
      }
      fits = known;
    }
    if (fits && missing && !item) item = diag_at(c->diag, E0206, at, "`%s` needs its argument `%s`", d->name, missing);
  }
  if (!item) item = diag_at(c->diag, E0206, at, "`%s` cannot be given these arguments together", d->name);
  print_forms(d, item);
}

static bool is_constant(const Graph *g, Val v) {
  const Node *n = node_of(g, v);
  if (n->op == OP_input || n->op == OP_param || n->op == OP_option || n->op == OP_count || op_is_random(n->op)) return false;
  for (uint32_t i = 0; i < n->nargs; i++)
    if (!is_constant(g, n->arg[i])) return false;
  return true;
}

/* Is this a constant that is a simplex, ordered, a Cholesky factor, or an entry of a table of them? */
bool dist_constant_has_form(Checker *c, Val v, Range want) {
  for (const Node *n = node_of(c->g, v); n->op == OP_gather && n->attr.gather.axis == NO_VAL && n->attr.gather.dim + 1u < shape_of(c->g, n->arg[0])->rank; n = node_of(c->g, v)) v = n->arg[0];
  const Shape *s = shape_of(c->g, v);
  EvalInput in = {0};
  EvalResult out;
  char error[256];
  if (s->axes || s->rank == 0 || !is_constant(c->g, v) || !graph_eval(c->arena, c->g, &v, 1, &in, &out, error)) return false;
  return support_fault(want, s, out.value[v]) == NULL;
}

Value dist_apply(Checker *c, Scope *s, const Function *f, Args args, Value *piped, Span at) {
  const Decl *d = f->decl;
  DistValue *dv = NEW(c->arena, DistValue);
  *dv = (DistValue){.decl = d, .module = f->module, .form = -2, .span = at};
  for (int form = -1; form < (int)d->as.dist.forms.n && dv->form == -2; form++)
    if (form_takes(form_params(d, form), &args, piped != NULL)) dv->form = form;
  if (dv->form == -2) {
    tell_arguments(c, d, &args, piped != NULL, at);
    return v_bad(at);
  }
  const Params *p = form_params(d, dv->form);
  if (p->n > LEN(dv->arg)) {
    diag_label(diag_at(c->diag, E0206, at, "a distribution may have at most %zu parameters", LEN(dv->arg)), d->name_span, "`%s` has %u", d->name, p->n);
    return v_bad(at);
  }
  dv->nargs = p->n;
  uint32_t next = 0;
  for (uint32_t k = 0; k < p->n; k++) dv->arg[k] = NO_VAL;
  bool ok = true;
  for (uint32_t i = 0; i < args.n + (piped != NULL); i++) {
    Value v;
    uint32_t k;
    if (piped && i == 0) v = *piped, k = next++;
    else {
      const Arg *a = &args.at[i - (piped != NULL)];
      v = eval(c, s, a->value);
      if (a->name) for (k = 0; p->at[k].name != a->name; k++) {}
      else k = next++;
    }
    if (dv->arg[k] != NO_VAL) { diag_at(c->diag, E0206, v.span, "`%s` is given twice", p->at[k].name); return v_bad(at); }
    dv->arg[k] = value_node(c, v);
    dv->where[k] = v.span;
    if (dv->arg[k] == NO_VAL) { ok = false; dv->arg[k] = graph_const(c->g, 1); continue; }
    /* the constraint of the argument */
    const Type *t = p->at[k].type;
    Range want;
    uint32_t own;
    Scope *inner = scope_new(c, NULL, f->module);
    if (t && t->element == name_of("size")) {
      const Node *n = node_of(c->g, dv->arg[k]);
      if (n->op == OP_const && n->attr.number >= 1 && n->attr.number == floor(n->attr.number)) continue;
      diag_at(c->diag, E0303, v.span, "the %s of `%s` is a whole number known when compiled, at least 1", p->at[k].name, d->name);
      ok = false;
      continue;
    }
    if (t && range_of_type(c, inner, t, &want, &own) && want.form != FORM_PLAIN && dist_constant_has_form(c, dv->arg[k], want))
      dv->arg[k] = graph_assume(c->g, dv->arg[k], want);
    if (!t || !range_of_type(c, inner, t, &want, &own)) continue;
    Range have = node_of(c->g, dv->arg[k])->range;
    if (!range_within(have, want)) {
      bool zero = want.lo == 0 && want.lo_open && have.lo == 0, constant = have.lo == have.hi;
      const char *role = p->at[k].name, *words = source_words(c, v.span);
      DiagItem *item = want.form == FORM_PLAIN
        ? diag_at(c->diag, E0307, v.span, "the %s of `%s` must be %s, and this %s", role, d->name, must_text(want), but_text(have, want))
        : diag_at(c->diag, E0307, v.span, "the %s of `%s` must be %s, and nothing says that this is", role, d->name, must_text(want));
      if (want.form == FORM_PLAIN && !constant) diag_mark(item, "range %s", range_text(c, have));
      const Node *n = node_of(c->g, dv->arg[k]);
      if (n->span.end && (n->op == OP_input || n->op == OP_param) && !(n->span.at < v.span.end && v.span.at < n->span.end)) diag_label(item, n->span, "declared here");
      bool logit = false;
      for (uint32_t j = 0; j < d->as.dist.forms.n; j++) logit |= d->as.dist.forms.at[j].params.n == 1 && d->as.dist.forms.at[j].params.at[0].name == name_of("logit");
      if (constant) {}                                   /* a number: nothing to wrap */
      else if (want.form == FORM_SIMPLEX) diag_help(item, "wrap it: `softmax(%s)`%s", words, logit ? name_printf(", or give it as it is: `%s(logit: %s)`", d->name, words) : "");
      else if (want.form == FORM_PLAIN && want.lo == 0 && want.hi == INFINITY && !want.whole)
        diag_help(item, zero ? "add a small number: `%s + 1e-6`" : "wrap it: `softplus(%s)` or `exp(%s)`", words, words);
      else if (want.form == FORM_PLAIN && want.lo == 0 && want.hi == 1 && !want.whole)
        diag_help(item, "wrap it: `sigmoid(%s)`%s", words, logit ? name_printf(", or give it as it is: `%s(logit: %s)`", d->name, words) : "");
      ok = false;
    }
  }
  for (uint32_t k = 0; k < p->n; k++)
    if (dv->arg[k] == NO_VAL && p->at[k].fallback) {
      Scope *inner = scope_new(c, NULL, f->module);
      dv->arg[k] = eval_node(c, inner, p->at[k].fallback);
    }
  if (!ok) return v_bad(at);
  uint32_t rank, dim[DIM_MAX];
  if (!dist_event(c, dv, at, &rank, dim)) return v_bad(at);
  return (Value){.kind = V_DIST, .span = at, .as.dist = dv};
}

/* ---- shapes */
/* Leading axes common to the arguments (beyond the rank their types name); sizes named in types go to `s`. */
static bool leading_dims(Checker *c, const DistValue *d, Scope *s, Span at, uint32_t *rank, uint32_t *dim) {
  const Params *p = form_params(d->decl, d->form);
  *rank = 0;
  uint32_t who = 0;                                     /* the argument that gave the axes */
  for (uint32_t k = 0; k < d->nargs; k++) {
    const Shape *sh = shape_of(c->g, d->arg[k]);
    uint32_t own = type_rank(p->at[k].type);
    if (sh->rank < own) {
      Span place = d->where[k].end ? d->where[k] : at;
      DiagItem *i = own < 3 ? diag_at(c->diag, E0301, place, "the %s of `%s` must be a %s", p->at[k].name, d->decl->name, own == 1 ? "vector" : "matrix")
                            : diag_at(c->diag, E0301, place, "the %s of `%s` must have %u axes", p->at[k].name, d->decl->name, own);
      diag_mark(i, "%s", shape_text(c, sh));
      return false;
    }
    uint32_t lead = sh->rank - own;
    if (lead) {
      if (*rank && (*rank != lead || memcmp(dim, sh->dim, lead * sizeof *dim) != 0)) {
        DiagItem *i = diag_at(c->diag, E0301, d->where[k].end ? d->where[k] : at, "the %s and the %s of `%s` do not match", p->at[who].name, p->at[k].name, d->decl->name);
        diag_mark(i, "%s", shape_text(c, sh));
        if (d->where[who].end) diag_label(i, d->where[who], "%s", shape_text(c, shape_of(c->g, d->arg[who])));
        diag_note(i, "arguments combine element by element when their shapes are equal or one is a scalar; nothing is broadcast");
        return false;
      }
      *rank = lead, who = k;
      memcpy(dim, sh->dim, lead * sizeof *dim);
    }
    const Type *t = p->at[k].type;
    uint32_t place = lead;
    if (!t) continue;
    for (uint32_t g = t->element == name_of("class"); g < t->sizes.n; g++)
      for (uint32_t q = 0; q < t->sizes.at[g].n; q++, place++) {
        const Expr *e = t->sizes.at[g].at[q];
        if (e->kind != EX_NAME) continue;
        Binding *b = scope_find(s, e->as.name);
        if (!b) scope_bind(c, s, e->as.name, v_node(graph_const(c->g, sh->dim[place]), e->span), e->span);
        else if (node_of(c->g, b->value.as.node)->attr.number != sh->dim[place]) {
          DiagItem *i = diag_at(c->diag, E0301, d->where[k].end ? d->where[k] : at, "the arguments of `%s` do not match in size: %g and %u", d->decl->name, node_of(c->g, b->value.as.node)->attr.number, sh->dim[place]);
          diag_mark(i, "%s", shape_text(c, sh));
          for (uint32_t j = 0; j < k; j++)
            if (d->where[j].end && type_rank(p->at[j].type)) diag_label(i, d->where[j], "%s", shape_text(c, shape_of(c->g, d->arg[j])));
          return false;
        }
      }
  }
  return true;
}
/* Dims of the support itself; its range may need the parameters (interval(low, high)) and is dist_support's. */
static uint32_t support_dims(Checker *c, const DistValue *d, Scope *s, uint32_t *dim) {
  const Type *t = d->decl->as.dist.support;
  uint32_t rank = 0;
  for (uint32_t g = t->element == name_of("class"); g < t->sizes.n; g++)
    for (uint32_t k = 0; k < t->sizes.at[g].n && rank < DIM_MAX; k++)
      if (!want_size(c, s, t->sizes.at[g].at[k], &dim[rank++])) return 0;
  if ((t->element == name_of("cholesky") || t->element == name_of("corr_cholesky")) && rank == 1) dim[1] = dim[0], rank = 2;
  return rank;
}
uint32_t dist_lead_rank(const DistValue *d, uint32_t k, const Shape *have) { return have->rank - type_rank(form_params(d->decl, d->form)->at[k].type); }

bool dist_event(Checker *c, const DistValue *d, Span at, uint32_t *rank, uint32_t *dim) {
  if (d->flow) {
    *rank = d->flow->out_rank;
    memcpy(dim, d->flow->out_dim, sizeof d->flow->out_dim);
    return true;
  }
  Scope *s = scope_new(c, NULL, d->module);
  uint32_t lead, lead_dim[DIM_MAX], own, own_dim[DIM_MAX];
  if (!leading_dims(c, d, s, at, &lead, lead_dim)) return false;
  const Params *p = form_params(d->decl, d->form);
  for (uint32_t k = 0; k < d->nargs; k++)
    if (p->at[k].type && p->at[k].type->element == name_of("size")) scope_bind(c, s, p->at[k].name, v_node(d->arg[k], at), at);
  own = support_dims(c, d, s, own_dim);
  if (d->copies_rank + lead + own > DIM_MAX) { diag_at(c->diag, E0304, at, "a value may have at most %d event axes", DIM_MAX); return false; }
  *rank = 0;
  for (uint32_t i = 0; i < d->copies_rank; i++) dim[(*rank)++] = d->copies[i];
  for (uint32_t i = d->mixture && lead; i < lead; i++) dim[(*rank)++] = lead_dim[i];
  for (uint32_t i = 0; i < own; i++) dim[(*rank)++] = own_dim[i];
  double elements = 1;
  for (uint32_t i = 0; i < *rank; i++) elements *= dim[i];
  if (elements > 2147483647.0) { diag_mark(diag_at(c->diag, E0304, at, "a value may have at most 2147483647 elements"), "%.0f", elements); return false; }
  return true;
}
/* note [support]  An end of `interval(low, high)` counts with its range: Uniform(0, e) with a positive e is on [0, inf).  `interval(v, v)`
 * is the range of v itself, as a continuous one. */
Range dist_support(Checker *c, const DistValue *d) {
  if (d->flow) return d->flow->range;
  Scope *s = scope_new(c, NULL, d->module);
  uint32_t lead, dim[DIM_MAX];
  Range r = RANGE_REAL;
  uint32_t own;
  if (leading_dims(c, d, s, d->span, &lead, dim)) {
    const Params *p = form_params(d->decl, d->form);      /* supports may be written with the parameters: interval(low, high) */
    for (uint32_t k = 0; k < d->nargs; k++) scope_bind(c, s, p->at[k].name, v_node(d->arg[k], d->span), d->span);
    if (d->decl->as.dist.support->element == name_of("interval")) {
      Range end[2];
      Val v[2];
      for (int i = 0; i < 2; i++) {
        v[i] = eval_node(c, s, d->decl->as.dist.support->params.at[i]);
        if (v[i] == NO_VAL) return RANGE_REAL;
        end[i] = node_of(c->g, v[i])->range;
      }
      Range one = end[0];
      one.whole = false;
      if (v[0] == v[1]) return one;
      return (Range){.lo = end[0].lo, .hi = end[1].hi, .lo_open = end[0].lo_open || isinf(end[0].lo), .hi_open = end[1].hi_open || isinf(end[1].hi)};
    }
    range_of_type(c, s, d->decl->as.dist.support, &r, &own);
  }
  return r;
}
bool dist_discrete(Checker *c, const DistValue *d) { return dist_support(c, d).whole; }

bool dist_size_argument(Checker *c, const DistValue *d, Name name, double *x) {
  const Params *p = form_params(d->decl, d->form);
  for (uint32_t k = 0; k < d->nargs; k++)
    if (p->at[k].name == name && node_of(c->g, d->arg[k])->op == OP_const) { *x = node_of(c->g, d->arg[k])->attr.number; return true; }
  return false;
}
bool dist_param_shape(Checker *c, const DistValue *d, int form, uint32_t k, uint32_t *rank, uint32_t *dim, const char **type) {
  Scope *s = scope_new(c, NULL, d->module);
  uint32_t lead, lead_dim[DIM_MAX], event, event_dim[DIM_MAX], own;
  const Param *p = &form_params(d->decl, form)->at[k];
  Range r;
  if (!leading_dims(c, d, s, d->span, &lead, lead_dim) || !dist_event(c, d, d->span, &event, event_dim)) return false;
  if (!p->type || !range_of_type(c, s, p->type, &r, &own)) return false;
  uint32_t before = event - type_rank(d->decl->as.dist.support);
  for (*rank = 0; *rank < before; ++*rank) dim[*rank] = event_dim[*rank];
  for (uint32_t g = p->type->element == name_of("class"); g < p->type->sizes.n; g++)
    for (uint32_t q = 0; q < p->type->sizes.at[g].n; q++)
      if (*rank == DIM_MAX || !want_size(c, s, p->type->sizes.at[g].at[q], &dim[(*rank)++])) return false;
  *type = range_word(r);
  return true;
}

/* ---- members */
static const Member *member_find(const Members *m, Name name) {
  for (uint32_t i = 0; i < m->n; i++)
    if (m->at[i].name == name && m->at[i].params.n == 0) return &m->at[i];
  return NULL;
}
static const Member *function_find(const Members *m, Name name) {
  for (uint32_t i = 0; i < m->n; i++)
    if (m->at[i].name == name && m->at[i].params.n > 0) return &m->at[i];
  return NULL;
}

/* The scope of a member: parameters of the form, then of the header (as the form defines them), then the other members by name. */
typedef struct { Scope *scope; uint32_t lead, dim[DIM_MAX]; AxisSet axes; uint32_t axis[DIM_MAX]; } MemberScope;

static bool bind_canonical(Checker *c, Scope *s, const DistValue *d) {
  if (d->form < 0) return true;
  const Form *form = &d->decl->as.dist.forms.at[d->form];
  const Expr *e = form->canonical;
  if (!e || e->kind != EX_CALL) return true;
  const Params *p = &d->decl->as.dist.params;
  uint32_t next = 0;
  for (uint32_t i = 0; i < e->as.call.args.n; i++) {
    const Arg *a = &e->as.call.args.at[i];
    uint32_t k = next;
    if (a->name) for (k = 0; k < p->n && p->at[k].name != a->name; k++) {}
    else next++;
    if (k >= p->n) { diag_at(c->diag, E0206, a->span, "`%s` has no such parameter", d->decl->name); return false; }
    if (form_params(d->decl, d->form)->n && scope_find(s, p->at[k].name)) continue;   /* the form keeps this parameter as it is */
    Val v = eval_node(c, s, a->value);
    if (v == NO_VAL) return false;
    scope_bind(c, s, p->at[k].name, v_node(v, a->span), a->span);
  }
  return true;
}

/* The member's scope; when the distribution is of vectors, leading axes have become index axes. */
static bool member_scope(Checker *c, const DistValue *d, bool vector, MemberScope *m) {
  *m = (MemberScope){.scope = scope_new(c, NULL, d->module)};
  if (!leading_dims(c, d, m->scope, d->span, &m->lead, m->dim)) return false;
  const Params *p = form_params(d->decl, d->form);
  if (vector)
    for (uint32_t i = 0; i < d->copies_rank + m->lead; i++) {
      uint32_t size = i < d->copies_rank ? d->copies[i] : m->dim[i - d->copies_rank];
      if (!axis_room(c, NULL, 0, d->span)) return false;
      m->axis[i] = graph_axis(c->g, (Axis){.name = c->nested ? name_printf("element_%u_%u", i, c->nested) : name_printf("element_%u", i), .kind = AXIS_INDEX, .size = size, .parent = -1});
      m->axes |= (AxisSet)1 << m->axis[i];
    }
  for (uint32_t k = 0; k < d->nargs; k++) {
    Val v = d->arg[k];
    uint32_t lead = shape_of(c->g, v)->rank - type_rank(p->at[k].type);
    if (vector) for (uint32_t i = 0; i < lead; i++) v = graph_to_axis(c->g, v, 0, m->axis[d->copies_rank + i]);
    else if (lead && d->copies_rank) {                  /* Normal(m, s)[n] with vectors m, s: repeat them */
      uint32_t dim[DIM_MAX], rank = 0;
      for (uint32_t i = 0; i < d->copies_rank; i++) dim[rank++] = d->copies[i];
      for (uint32_t i = 0; i < lead; i++) dim[rank++] = m->dim[i];
      v = graph_expand(c->g, v, (1u << d->copies_rank) - 1, rank, dim);
    }
    scope_bind(c, m->scope, p->at[k].name, v_node(v, d->span), d->span);
  }
  return bind_canonical(c, m->scope, d);
}
static bool is_vector(const DistValue *d) {
  const Params *p = form_params(d->decl, d->form);
  if (type_rank(d->decl->as.dist.support)) return true;
  for (uint32_t k = 0; k < p->n; k++)
    if (type_rank(p->at[k].type)) return true;
  return false;
}

/* Binds the plain members that `e` names (mean, entropy, helpers), in dependency order by recursion. */
static void bind_members(Checker *c, Scope *s, const DistValue *d, const Expr *e, uint32_t depth);
static const Member *member_of(const DistValue *d, Name name) {
  const Member *m = d->form >= 0 ? member_find(&d->decl->as.dist.forms.at[d->form].members, name) : NULL;
  return m ? m : member_find(&d->decl->as.dist.members, name);
}
static void bind_member(Checker *c, Scope *s, const DistValue *d, Name name, uint32_t depth) {
  const Member *m = member_of(d, name);
  if (!m) return;
  if (scope_find(s, name)) {
    for (uint32_t i = 0; i < c->members.n; i++)
      if (c->members.at[i] == m && scope_find(s, name)->value.kind == V_BAD) diag_at(c->diag, E0205, m->name_span, "`%s` of `%s` is defined by itself", name, d->decl->name);
    return;
  }
  scope_bind(c, s, name, v_bad(m->span), m->span);           /* until it is known; whoever needs it before goes in a circle */
  vec_push(c->arena, &c->members, m);
  bind_members(c, s, d, m->body, depth + 1);
  Value v = eval(c, s, m->body);
  c->members.n--;
  scope_find(s, name)->value = v;
}
static void bind_args(Checker *c, Scope *s, const DistValue *d, const Args *a, uint32_t depth) {
  for (uint32_t i = 0; i < a->n; i++) bind_members(c, s, d, a->at[i].value, depth);
}
static void bind_members(Checker *c, Scope *s, const DistValue *d, const Expr *e, uint32_t depth) {
  if (!e) return;
  switch (e->kind) {
    case EX_NAME:  bind_member(c, s, d, e->as.name, depth); return;
    case EX_FIELD: bind_members(c, s, d, e->as.field.base, depth); return;
    case EX_CALL:  if (e->as.call.callee->kind != EX_NAME) bind_members(c, s, d, e->as.call.callee, depth); bind_args(c, s, d, &e->as.call.args, depth); return;
    case EX_INDEX: bind_members(c, s, d, e->as.index.base, depth); bind_args(c, s, d, &e->as.index.args, depth); return;
    case EX_LIST:  for (uint32_t i = 0; i < e->as.list.n; i++) bind_members(c, s, d, e->as.list.at[i], depth); return;
    case EX_OP:    bind_members(c, s, d, e->as.op.a, depth); bind_members(c, s, d, e->as.op.b, depth); return;
    case EX_COMPREHENSION: bind_members(c, s, d, e->as.comprehension.body, depth); return;
    case EX_REDUCE: bind_members(c, s, d, e->as.reduce.body, depth); return;
    case EX_CHOICE: bind_members(c, s, d, e->as.choice.condition, depth); bind_members(c, s, d, e->as.choice.yes, depth); bind_members(c, s, d, e->as.choice.no, depth); return;
    case EX_NUMBER: case EX_DURATION: case EX_STRING: case EX_RANGE: case EX_LOG_DENSITY: case EX_DRAW: case EX_INSTANCE: case EX_BAD: return;
  }
}

static Val from_axes(Checker *c, const DistValue *d, const MemberScope *m, Val v) {
  for (uint32_t i = d->copies_rank + m->lead; i-- > 0;) v = graph_to_dim(c->g, v, m->axis[i], 0);
  return v;
}

static Val member_value(Checker *c, const DistValue *d, Name name, Val x, const Shape *event) {
  if (d->flow) return NO_VAL;                              /* its base is asked */
  if (d->mixture) return mixture_member(c, d, name, x, event);
  bool vector = is_vector(d);
  MemberScope m;
  if (!member_scope(c, d, vector, &m)) return NO_VAL;
  const Member *member;
  if (x != NO_VAL) {
    member = d->form >= 0 ? function_find(&d->decl->as.dist.forms.at[d->form].members, name) : NULL;
    if (!member) member = function_find(&d->decl->as.dist.members, name);
  } else {
    member = member_of(d, name);
  }
  if (!member) return NO_VAL;
  if (x != NO_VAL) {
    if (vector) for (uint32_t i = 0; i < d->copies_rank + m.lead; i++) x = graph_to_axis(c->g, x, 0, m.axis[i]);
    scope_bind(c, m.scope, member->params.at[0]->as.name, v_node(x, member->span), member->span);
  }
  const Shape *saved = c->draw_shape, *saved_each = c->draw_each;
  AxisSet saved_around = c->draw_around;
  if (event) {
    c->draw_around = c->indices;
    uint32_t n = vector ? d->copies_rank + m.lead : 0;
    c->draw_shape = graph_shape(c->g, event->axes | m.axes, event->rank - n, event->dim + n);
    c->draw_each = vector ? graph_shape(c->g, event->axes | m.axes, 0, NULL) : c->draw_shape;     /* k goes over a vector's own elements */
  }
  c->nested++;
  bind_members(c, m.scope, d, member->body, 0);
  Val v = eval_node(c, m.scope, member->body);
  c->nested--;
  c->draw_shape = saved, c->draw_each = saved_each, c->draw_around = saved_around;
  if (v == NO_VAL) return NO_VAL;
  /* a density that does not name x (a uniform's) still counts for each of its elements */
  if (!vector && x != NO_VAL && shape_of(c->g, v)->rank == 0 && shape_of(c->g, x)->rank > 0) v = graph_spread(c->g, v, shape_of(c->g, x));
  return vector ? from_axes(c, d, &m, v) : v;
}

/* ---- its parts */
uint32_t dist_values(const DistValue *d, Val *out) {
  const Val more[] = {d->mixture ? d->log_weight : NO_VAL, d->flow ? d->flow->out : NO_VAL, d->flow ? d->flow->log_det : NO_VAL,
                      d->flow ? d->flow->back : NO_VAL, d->flow ? d->flow->back_log_det : NO_VAL};
  uint32_t n = 0;
  for (uint32_t k = 0; k < d->nargs; k++) out[n++] = d->arg[k];
  for (uint32_t k = 0; k < LEN(more); k++) if (more[k] != NO_VAL) out[n++] = more[k];
  return n;
}
Span dist_value_span(const DistValue *d, uint32_t k) { return k < d->nargs && d->where[k].end ? d->where[k] : d->span; }

/* ---- ends of a support */
static bool mentions(const Expr *e, Name name) {
  if (e->kind == EX_NAME) return e->as.name == name;
  if (e->kind == EX_OP) return mentions(e->as.op.a, name) || (e->as.op.b && mentions(e->as.op.b, name));
  return e->kind != EX_NUMBER;                              /* of anything else: it may */
}
bool dist_is_end(const DistValue *d, uint32_t k) {
  const Exprs *ends = &d->decl->as.dist.support->params;
  for (uint32_t i = 0; i < ends->n; i++)
    if (d->form >= 0 || mentions(ends->at[i], d->decl->as.dist.params.at[k].name)) return true;
  return false;
}

Val dist_value_of(Checker *c, const DistValue *d, Name member, Val x, const Shape *event) { return member_value(c, d, member, x, event); }
Val dist_member(Typed *t, Graph *g, const DistValue *d, const char *member, Val x, const Shape *event, uint32_t draw) {
  Checker *c = t->check;
  Graph *saved = c->g;
  uint32_t saved_draw = c->draw, used = c->draws_used;
  c->g = g, c->draw = draw, c->draws_used = 0;
  Span at = g->span;
  Val v = member_value(c, d, name_of(member), x, event);
  g->span = at;
  c->g = saved, c->draw = saved_draw, c->draws_used = used;
  return v;
}

/* note [kl]  KL(a || b) is a's `kl(B(p, q)) = ...`: p, q name b's canonical parameters, `kl(B(logit: p))` those of b's own form.  A member
 * written for a's form goes before one of the header.  Against a distribution of scalars, a vector's `kl` sees the vector of
 * parameters, or one for all elements. */
static bool kl_takes(const Member *m, const DistValue *b) {
  if (m->name != name_of("kl") || m->params.n != 1) return false;
  const Expr *e = m->params.at[0];
  if (e->kind != EX_CALL || e->as.call.callee->kind != EX_NAME || e->as.call.callee->as.name != b->decl->name) return false;
  for (uint32_t i = 0; i < e->as.call.args.n; i++) {
    Name word = e->as.call.args.at[i].name;
    bool found = !word;
    for (uint32_t k = 0; word && k < b->nargs; k++) found |= form_params(b->decl, b->form)->at[k].name == word;
    if (!found) return false;
  }
  return true;
}
static const Member *kl_member(const DistValue *a, const DistValue *b) {
  if (a->flow || b->flow || a->mixture || b->mixture) return NULL;
  if (is_vector(b) && !is_vector(a)) return NULL;
  for (int own = a->form >= 0; own >= 0; own--) {
    const Members *ms = own ? &a->decl->as.dist.forms.at[a->form].members : &a->decl->as.dist.members;
    for (uint32_t i = 0; i < ms->n; i++)
      if (kl_takes(&ms->at[i], b)) return &ms->at[i];
  }
  return NULL;
}
bool dist_has_kl(const DistValue *a, const DistValue *b) { return kl_member(a, b) != NULL; }

Val dist_kl(Typed *t, Graph *g, const DistValue *a, const DistValue *b, const Shape *event) {
  const Member *m = kl_member(a, b);
  if (!m) return NO_VAL;
  Checker *c = t->check;
  Graph *saved = c->g;
  c->g = g;
  MemberScope ma, mb;
  bool vector = is_vector(a), mixed = vector && !is_vector(b);
  Val v = NO_VAL;
  if (member_scope(c, a, vector, &ma) && member_scope(c, b, vector && !mixed, &mb)) {
    const Args *names = &m->params.at[0]->as.call.args;
    Scope *s = scope_new(c, ma.scope, a->module);
    uint32_t next = 0;
    for (uint32_t i = 0; i < names->n; i++) {
      Name word = names->at[i].name ? names->at[i].name : next < b->decl->as.dist.params.n ? b->decl->as.dist.params.at[next++].name : NULL;
      Binding *param = word ? scope_find(mb.scope, word) : NULL;
      if (!param || names->at[i].value->kind != EX_NAME) continue;
      Value value = param->value;
      if (mixed && value.kind == V_NODE && shape_of(g, value.as.node)->rank)       /* leading axes as those of a */
        for (uint32_t k = 0; k < a->copies_rank + ma.lead && shape_of(g, value.as.node)->rank; k++) value.as.node = graph_to_axis(g, value.as.node, 0, ma.axis[k]);
      scope_bind(c, s, names->at[i].value->as.name, value, m->span);
    }
    c->nested++;
    bind_members(c, s, a, m->body, 0);
    v = eval_node(c, s, m->body);
    c->nested--;
    if (v != NO_VAL && vector) v = from_axes(c, a, &ma, v);
    /* parameters that are the same for all elements: the sum over elements is still wanted */
    if (v != NO_VAL && shape_of(g, v)->rank < event->rank && !vector) v = graph_spread(g, v, event);
  }
  c->g = saved;
  return v;
}

/* ---- members called by the user */
bool dist_has_function(const DistValue *d, Name name) {
  if (d->flow) return false;
  if (name == name_of("kl")) return true;
  return (d->form >= 0 && function_find(&d->decl->as.dist.forms.at[d->form].members, name)) || function_find(&d->decl->as.dist.members, name);
}
static const Shape *event_of(Checker *c, const DistValue *d, Span at) {
  uint32_t rank, dim[DIM_MAX];
  AxisSet axes = 0;
  for (uint32_t k = 0; k < d->nargs; k++) axes |= shape_of(c->g, d->arg[k])->axes;
  return dist_event(c, d, at, &rank, dim) ? graph_shape(c->g, axes, rank, dim) : NULL;
}
Value dist_call(Checker *c, const DistValue *d, Name name, Value x, Span at) {
  if (x.kind == V_BAD) return x;
  const Shape *event = event_of(c, d, at);
  if (!event) return v_bad(at);
  if (name == name_of("kl")) {
    const DistValue *other = x.kind == V_DIST ? x.as.dist : NULL;
    if (x.kind == V_SITES) {
      other = sites_dist(c, x);
      if (!other) return v_bad(at);
    }
    if (!other) {
      diag_at(c->diag, E0302, x.span, "`kl` compares with a distribution, and this is %s", value_kind_text(x));
      return v_bad(at);
    }
    const Shape *theirs = event_of(c, other, at);
    if (!theirs) return v_bad(at);
    if (event->rank && theirs->rank && (event->rank != theirs->rank || memcmp(event->dim, theirs->dim, event->rank * sizeof *event->dim) != 0)) {
      diag_at(c->diag, E0301, at, "the two distributions have different shapes: %s and %s", shape_text(c, event), shape_text(c, theirs));
      return v_bad(at);
    }
    Val v = dist_kl(c->t, c->g, d, other, event->rank >= theirs->rank ? event : theirs);
    if (v == NO_VAL)
      diag_help(diag_at(c->diag, E0203, at, "the library knows no divergence of `%s` from `%s`", d->decl->name, other->decl->name), "in an objective, `KL(q.z || p.z)` estimates it from draws");
    return v_node(v, at);
  }
  Val v = value_node(c, x);
  if (v == NO_VAL) return v_bad(at);
  const Shape *have = shape_of(c->g, v);
  if (!(have->rank == event->rank && memcmp(have->dim, event->dim, have->rank * sizeof *have->dim) == 0) && !(!is_vector(d) && (have->rank == 0 || event->rank == 0))) {
    diag_mark(diag_at(c->diag, E0301, x.span, "`%s` is of values of shape %s", d->decl->name, shape_text(c, event)), "%s", shape_text(c, have));
    return v_bad(at);
  }
  c->g->span = at;
  return v_node(member_value(c, d, name, v, NULL), at);
}
Val dist_entropy(Checker *c, const DistValue *d, Span at) {
  const Shape *event = event_of(c, d, at);
  if (!event) return NO_VAL;
  Val v = member_value(c, d, name_of("entropy"), NO_VAL, NULL);
  if (v == NO_VAL) {
    diag_help(diag_at(c->diag, E0203, at, "the library gives `%s` no entropy", d->decl->name), "of a site, `H(q.z)` is estimated from draws");
    return NO_VAL;
  }
  if (!is_vector(d) && shape_of(c->g, v)->rank < event->rank) v = graph_spread(c->g, v, event);
  return sum_event(c, v);
}

/* ---- check lines */
/* `check logpdf(2.0; shape: 3, rate: 1) = -1.3`: within 1e-9 of what is written, relatively, or 1e-15 where it is next to 0. */
void dist_check_lines(Checker *c, Module *m, const Decl *d) {
  Scope *s = scope_new(c, NULL, m);
  Function *f = NEW(c->arena, Function);
  f->decl = d, f->module = m;
  for (uint32_t i = 0; i < d->as.dist.checks.n; i++) {
    const Check *k = &d->as.dist.checks.at[i];
    Value of = dist_apply(c, s, f, k->args, NULL, k->span);
    if (of.kind != V_DIST) continue;
    Value v;
    if (k->at.n) v = dist_call(c, of.as.dist, k->member, eval(c, s, k->at.at[0].value), k->span);
    else v = dist_field(c, of.as.dist, k->member, k->span);
    Val pair[2] = {v.kind == V_BAD ? NO_VAL : value_node(c, v), eval_node(c, s, k->value)};
    if (pair[0] == NO_VAL || pair[1] == NO_VAL) continue;
    EvalInput in = {0};
    EvalResult out;
    char error[256];
    if (!is_constant(c->g, pair[0]) || !is_constant(c->g, pair[1])) { diag_at(c->diag, E0303, k->span, "a check is of numbers known when compiled"); continue; }
    if (!graph_eval(c->arena, c->g, pair, 2, &in, &out, error)) { diag_at(c->diag, E0308, k->span, "this check cannot be evaluated: %s", error); continue; }
    uint64_t na = out.size[pair[0]], nb = out.size[pair[1]];
    double sum = 0, want = out.value[pair[1]][0];
    bool good = nb == 1 || na == nb;
    for (uint64_t e = 0; good && nb > 1 && e < na; e++) {
      double x = out.value[pair[0]][e], y = out.value[pair[1]][e];
      good = x == y || fabs(x - y) <= 1e-9 * fabs(y) + 1e-15;
    }
    for (uint64_t e = 0; nb == 1 && e < na; e++) sum += out.value[pair[0]][e];    /* one number: of all elements together */
    if (nb == 1) good = sum == want || fabs(sum - want) <= 1e-9 * fabs(want) + 1e-15;
    if (!good) diag_mark(diag_at(c->diag, E0308, k->span, "`%s` of `%s` is not what this check says", k->member, d->name), "it is %.16g", nb == 1 ? sum : out.value[pair[0]][0]);
  }
}

/* d.mean, d.scale: an argument, a canonical parameter, or a member without arguments. */
Value dist_field(Checker *c, const DistValue *d, Name field, Span at) {
  if (d->flow || d->mixture) {
    Val mean = d->mixture && field == name_of("mean") ? mixture_member(c, d, field, NO_VAL, NULL) : NO_VAL;
    if (mean != NO_VAL) return v_node(mean, at);
    diag_help(diag_at(c->diag, E0203, at, "a %s distribution has no `%s`", d->flow ? "transformed" : "mixture", field), d->flow ? "name the base's arguments instead" : "name the components' arguments instead");
    return v_bad(at);
  }
  MemberScope m;
  bool vector = is_vector(d);
  if (!member_scope(c, d, vector, &m)) return v_bad(at);
  Binding *b = scope_find(m.scope, field);
  if (!b) {
    bind_member(c, m.scope, d, field, 0);
    b = scope_find(m.scope, field);
  }
  if (!b) {
    DiagItem *i = diag_at(c->diag, E0203, at, "`%s` has no `%s`", d->decl->name, field);
    VEC(Name) names = {0};
    for (uint32_t k = 0; k < m.scope->bindings.n; k++) vec_push(c->arena, &names, m.scope->bindings.at[k].name);
    for (uint32_t k = 0; k < d->decl->as.dist.members.n; k++)
      if (d->decl->as.dist.members.at[k].params.n == 0) vec_push(c->arena, &names, d->decl->as.dist.members.at[k].name);
    Name near = name_meant(field, names.at, names.n);
    if (near) diag_fix(i, at, near, "did you mean `%s`?", near);
    else print_forms(d->decl, i);
    return v_bad(at);
  }
  if (b->value.kind != V_NODE || !vector) return b->value;
  return v_node(from_axes(c, d, &m, b->value.as.node), at);
}

Val dist_draw(Checker *c, DistValue *d, Name name, bool once, Span at) {
  uint32_t rank, dim[DIM_MAX];
  if (!dist_event(c, d, at, &rank, dim)) return NO_VAL;
  AxisSet axes = c->plates;
  for (uint32_t k = 0; k < d->nargs; k++) axes |= shape_of(c->g, d->arg[k])->axes;
  const Shape *event = graph_shape(c->g, axes, rank, dim);
  uint32_t draw = graph_draw(c->g, (Draw){name, at, once});
  Val v = dist_member(c->t, c->g, d, "sample", NO_VAL, event, draw);
  if (v == NO_VAL) {
    diag_label(diag_at(c->diag, E0503, at, "`%s` cannot be drawn from", d->decl->name), d->decl->name_span, "it says no `sample`");
    return NO_VAL;
  }
  c->g->span = at;
  if (shape_of(c->g, v)->rank < rank) v = graph_spread(c->g, v, event);
  return graph_assume(c->g, v, dist_support(c, d));
}
