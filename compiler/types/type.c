/* Types as written: element, range and sizes; and how a parameter with a range is stored (unconstrained). */
#include "value.h"
#include <math.h>
#include <stdlib.h>

static const struct { const char *word; Range range; uint32_t own; bool whole_vector; } elements[] = {
  /* word            range                                             own dims */
  {"real",          {-INFINITY, INFINITY, true, true, false, FORM_PLAIN},  0, false},
  {"positive",      {0, INFINITY, true, true, false, FORM_PLAIN},          0, false},
  {"nonneg",        {0, INFINITY, false, true, false, FORM_PLAIN},         0, false},
  {"unit",          {0, 1, false, false, false, FORM_PLAIN},               0, false},
  {"bit",           {0, 1, false, false, true, FORM_PLAIN},                0, false},
  {"count",         {0, INFINITY, false, true, true, FORM_PLAIN},          0, false},
  {"simplex",       {0, 1, false, false, false, FORM_SIMPLEX},             1, true},
  {"one_hot",       {0, 1, false, false, true, FORM_SIMPLEX},              1, true},
  {"ordered",       {-INFINITY, INFINITY, true, true, false, FORM_ORDERED}, 1, true},
  {"cholesky",      {-INFINITY, INFINITY, true, true, false, FORM_CHOLESKY}, 2, true},
  {"corr_cholesky", {-1, 1, false, false, false, FORM_CORR_CHOLESKY},      2, true},
};

const char *range_word(Range r) {
  for (size_t i = 0; i < LEN(elements); i++) {
    Range e = elements[i].range;
    if (e.lo == r.lo && e.hi == r.hi && e.whole == r.whole && e.form == r.form && (e.lo != 0 || e.lo_open == r.lo_open)) return elements[i].word;
  }
  return name_printf("%s%s%g, %g%s", r.whole ? "whole " : "", r.lo_open ? "(" : "[", r.lo, r.hi, r.hi_open ? ")" : "]");
}

/* The element's range; `own` is how many of the following sizes belong to the element itself (class[K]: none of the event). */
bool range_of_type(Checker *c, Scope *s, const Type *t, Range *range, uint32_t *own) {
  *own = 0;
  if (t->element == name_of("class")) {
    uint32_t k;
    if (t->sizes.n == 0 || t->sizes.at[0].n != 1) {
      diag_help(diag_at(c->diag, E0207, t->span, "`class` needs its number of classes"), "write `class[10]`");
      return false;
    }
    const Expr *e = t->sizes.at[0].at[0];
    if (e->kind == EX_NAME && !scope_find(s, e->as.name) && !(s->module && module_decl(s->module, e->as.name))) { *range = RANGE_COUNT; return true; }
    if (!want_size(c, s, e, &k)) return false;
    *range = (Range){.lo = 0, .hi = k - 1, .whole = true};
    return true;
  }
  if (t->element == name_of("interval")) {
    double lo, hi;
    if (t->params.n != 2) {
      diag_help(diag_at(c->diag, E0207, t->span, "`interval` needs two ends"), "write `interval(0, 255)`");
      return false;
    }
    if (!want_number(c, s, t->params.at[0], &lo) || !want_number(c, s, t->params.at[1], &hi)) return false;
    if (!(lo < hi)) { diag_at(c->diag, E0207, t->span, "this interval is empty"); return false; }
    *range = (Range){.lo = lo, .hi = hi};
    return true;
  }
  for (size_t i = 0; i < LEN(elements); i++)
    if (strcmp(elements[i].word, t->element) == 0) {
      *range = elements[i].range, *own = elements[i].own;
      return true;
    }
  DiagItem *item = diag_at(c->diag, E0207, t->element_span, "there is no type `%s`", t->element);
  Name names[LEN(elements) + 2] = {name_of("class"), name_of("interval")};
  for (size_t i = 0; i < LEN(elements); i++) names[i + 2] = name_of(elements[i].word);
  Name near = name_meant(t->element, names, LEN(names));
  if (near) diag_fix(item, t->element_span, near, "did you mean `%s`?", near);
  else diag_note(item, "types: real positive nonneg unit bit count class[K] interval(a, b) simplex[K] one_hot[K] ordered[K] cholesky[K] corr_cholesky[K]");
  return false;
}

bool type_eval(Checker *c, Scope *s, const Type *t, TypeInfo *out) {
  uint32_t own;
  *out = (TypeInfo){0};
  if (!range_of_type(c, s, t, &out->range, &own)) return false;
  bool class = t->element == name_of("class");
  for (uint32_t g = class; g < t->sizes.n; g++)
    for (uint32_t k = 0; k < t->sizes.at[g].n; k++) {
      if (out->rank == DIM_MAX) { diag_at(c->diag, E0304, t->span, "a value may have at most %d event axes", DIM_MAX); return false; }
      if (!want_size(c, s, t->sizes.at[g].at[k], &out->dim[out->rank++])) return false;
    }
  double elements_in = 1;
  for (uint32_t i = 0; i < out->rank; i++) elements_in *= out->dim[i];
  if (elements_in > 2147483647.0) { diag_mark(diag_at(c->diag, E0304, t->span, "a value may have at most 2147483647 elements"), "%.0f", elements_in); return false; }
  if (own == 2 && out->rank == 1) out->dim[out->rank++] = out->dim[0];          /* cholesky[K] is K by K */
  if (out->rank < own) {
    diag_help(diag_at(c->diag, E0207, t->span, "`%s` needs its size", t->element), "write `%s[3]`", t->element);
    return false;
  }
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  fputs(t->element, f);
  if (class) fprintf(f, "[%g]", out->range.hi + 1);
  if (t->element == name_of("interval")) fprintf(f, "(%g, %g)", out->range.lo, out->range.hi);
  for (uint32_t i = 0; i < out->rank; i++) fprintf(f, "%s%u%s", i ? ", " : "[", out->dim[i], i + 1 == out->rank ? "]" : "");
  fclose(f);
  out->text = arena_copy(c->arena, text, size);
  free(text);
  return true;
}

/* note [stored parameters]  Optimisers move real numbers, so a parameter with a range is stored without it and mapped:
 *   above lo         lo + softplus(u)          below hi      hi - softplus(u)
 *   between          lo + (hi - lo) sigmoid(u)
 *   simplex          softmax(u) over the last axis */
Val unconstrain_leaf(Checker *c, Val u, Range r) {
  Graph *g = c->g;
  if (r.form == FORM_SIMPLEX) {
    uint32_t last = shape_of(g, u)->rank - 1, dims = 1u << last;
    Val lse = graph_reduce(g, REDUCE_LOGSUMEXP, u, 0, dims);
    Val p = graph_op1(g, OP_exp, graph_op2(g, OP_sub, u, graph_expand(g, lse, dims, last + 1, shape_of(g, u)->dim)));
    return graph_assume(g, p, (Range){.lo = 0, .hi = 1, .form = FORM_SIMPLEX});
  }
  bool lo = r.lo > -INFINITY, hi = r.hi < INFINITY;
  if (lo && hi) {
    Val s = graph_op1(g, OP_sigmoid, u);
    return graph_op2(g, OP_add, graph_op2(g, OP_mul, s, graph_const(g, r.hi - r.lo)), graph_const(g, r.lo));
  }
  if (lo) return graph_op2(g, OP_add, graph_op1(g, OP_softplus, u), graph_const(g, r.lo));
  if (hi) return graph_op2(g, OP_sub, graph_const(g, r.hi), graph_op1(g, OP_softplus, u));
  return u;
}
double constrain_inverse(double x, Range r) {
  bool lo = r.lo > -INFINITY, hi = r.hi < INFINITY;
  if (r.form == FORM_SIMPLEX) return log(x);
  if (lo && hi) { double s = (x - r.lo) / (r.hi - r.lo); return log(s) - log1p(-s); }
  if (lo) { double y = x - r.lo; return y > 30 ? y : log(expm1(y)); }
  if (hi) { double y = r.hi - x; return y > 30 ? y : log(expm1(y)); }
  return x;
}
