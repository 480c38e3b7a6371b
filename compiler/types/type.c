/* Types as written: element, range and sizes. */
#include "value.h"
#include <math.h>
#include <stdlib.h>

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
  const Support *support = support_type(t->element);
  if (support) {
    *range = support_range(support), *own = support_own(support);
    return true;
  }
  DiagItem *item = diag_at(c->diag, E0207, t->element_span, "there is no type `%s`", t->element);
  VEC(Name) names = {0};
  vec_push(c->arena, &names, name_of("class"));
  vec_push(c->arena, &names, name_of("interval"));
  for (size_t i = 0; support_name(i); i++) if (support_type(support_name(i))) vec_push(c->arena, &names, name_of(support_name(i)));
  Name near = name_meant(t->element, names.at, names.n);
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
  uint32_t written = out->rank;
  if (own == 2 && out->rank && t->sizes.at[t->sizes.n - 1].n == 1) {           /* cholesky[K] is K by K */
    if (out->rank == DIM_MAX) { diag_at(c->diag, E0304, t->span, "a value may have at most %d event axes", DIM_MAX); return false; }
    out->dim[out->rank] = out->dim[out->rank - 1], out->rank++;
  }
  if (out->rank < own) {
    diag_help(diag_at(c->diag, E0207, t->span, "`%s` needs its size", t->element), "write `%s[3]`", t->element);
    return false;
  }
  if (own == 2 && out->dim[out->rank - 2] != out->dim[out->rank - 1]) {
    diag_help(diag_at(c->diag, E0207, t->span, "a `%s` is a square matrix, and this is %u by %u", t->element, out->dim[out->rank - 2], out->dim[out->rank - 1]),
              "`%s[%u][%u]` is %u of them", t->element, out->dim[out->rank - 2], out->dim[out->rank - 1], out->dim[out->rank - 2]);
    return false;
  }
  double elements_in = 1;
  for (uint32_t i = 0; i < out->rank; i++) elements_in *= out->dim[i];
  if (elements_in > 2147483647.0) { diag_mark(diag_at(c->diag, E0304, t->span, "a value may have at most 2147483647 elements"), "%.0f", elements_in); return false; }
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  fputs(t->element, f);
  if (class) fprintf(f, "[%g]", out->range.hi + 1);
  if (t->element == name_of("interval")) fprintf(f, "(%g, %g)", out->range.lo, out->range.hi);
  uint32_t split = own && written > 1 ? out->rank - own : 0;                   /* simplex[10][5]: ten of them */
  for (uint32_t i = 0; i < written; i++) fprintf(f, "%s%u%s", i == 0 ? "[" : i == split ? "][" : ", ", out->dim[i], i + 1 == written ? "]" : "");
  fclose(f);
  out->text = arena_copy(c->arena, text, size);
  free(text);
  return true;
}
