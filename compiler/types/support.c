/* Supports: what constrains a value, and the map to it from numbers without constraint.
 *
 * In:  a range (of a parameter's type, of a site), and a value.
 * Out: the shape of its unconstrained form; nodes of the value, of its inverse, of log |det Jacobian|.
 *
 * The table is support.def, the mathematics stdlib/support.svm: functions of one element, found by their names.  Axes before
 * those of the element become index axes while they are called, and event axes again after. */
#include "value.h"
#include <math.h>

struct Support {
  const char *name;
  uint32_t own, ends;
  uint64_t (*stored)(uint64_t);       /* NULL: discrete */
  Range range;
};

#define SUPPORT(name, own, ends, size, ...) static uint64_t stored_##name(uint64_t K) { (void)K; return size; }
#define DISCRETE(...)
#include "support.def"
#undef SUPPORT
#undef DISCRETE

static const Support supports[] = {
#define SUPPORT(name, own, ends, size, ...) {#name, own, ends, stored_##name, {__VA_ARGS__}},
#define DISCRETE(name, own, ...) {#name, own, 0, NULL, {__VA_ARGS__}},
#include "support.def"
#undef SUPPORT
#undef DISCRETE
};

const char *support_name(size_t i) { return i < LEN(supports) ? supports[i].name : NULL; }

const Support *support_type(Name word) {
  for (size_t i = 0; i < LEN(supports); i++)
    if (supports[i].ends == 0 && strcmp(supports[i].name, word) == 0) return &supports[i];
  return NULL;
}
Range    support_range(const Support *s) { return s->range; }
uint32_t support_own  (const Support *s) { return s->own; }

/* An end that the table leaves open (NAN) is any finite one. */
static bool same_end(double row, double end) { return isnan(row) ? isfinite(end) : row == end; }

/* The row of a range; NULL when it is discrete. */
const Support *support_of(Range r, double end[2]) {
  uint32_t n = 0;
  for (size_t i = 0; i < LEN(supports); i++) {
    const Support *s = &supports[i];
    Range e = s->range;
    if (!s->stored || r.whole || e.form != r.form) continue;
    if (e.form == FORM_PLAIN && (!same_end(e.lo, r.lo) || !same_end(e.hi, r.hi))) continue;
    if (e.lo == 0 && isinf(e.hi) && e.lo_open != r.lo_open) continue;             /* positive, not nonneg */
    if (isnan(e.lo)) end[n++] = r.lo;
    if (isnan(e.hi)) end[n++] = r.hi;
    return s;
  }
  return NULL;
}

const char *range_word(Range r) {
  for (size_t i = 0; i < LEN(supports); i++) {
    Range e = supports[i].range;
    if (e.lo == r.lo && e.hi == r.hi && e.whole == r.whole && e.form == r.form && (e.lo != 0 || e.lo_open == r.lo_open)) return supports[i].name;
  }
  return name_printf("%s%s%g, %g%s", r.whole ? "whole " : "", r.lo_open ? "(" : "[", r.lo, r.hi, r.hi_open ? ")" : "]");
}

bool support_unconstrained(Range r, uint32_t rank, const uint32_t *dim, uint32_t *urank, uint32_t *udim) {
  double end[2];
  const Support *s = support_of(r, end);
  if (!s) return false;
  *urank = rank;
  memcpy(udim, dim, rank * sizeof *dim);
  if (s->own == 0) return true;
  *urank = rank - s->own + 1;
  udim[*urank - 1] = (uint32_t)s->stored(dim[rank - 1]);
  return true;
}

/* ---- the library's functions */
static Val library_call(Checker *c, const Support *s, const char *what, Val v, const Val *end) {
  Module *m = library_module(c, "support");
  const Decl *d = module_decl(m, name_printf("%s_%s", what, s->name));
  if (!d || d->kind != DE_FUN || d->as.fun.params.n != 1 + s->ends) BUG("stdlib/support.svm has no %s_%s of %u arguments", what, s->name, 1 + s->ends);
  Scope *inner = scope_new(c, NULL, m);
  for (uint32_t i = 0; i < d->as.fun.params.n; i++) scope_bind(c, inner, d->as.fun.params.at[i].name, v_node(i ? end[i - 1] : v, d->span), d->span);
  return eval_node(c, inner, d->as.fun.body);
}

/* The value lies in r by construction, which no rule of ranges could know; the rules may know more of its ends: a simplex made by
 * to_simplex has no 0. */
static Val within(Graph *g, Val v, Range r) {
  Range have = node_of(g, v)->range;
  if (have.lo > r.lo || (have.lo == r.lo && have.lo_open)) r.lo = have.lo, r.lo_open = have.lo_open;
  if (have.hi < r.hi || (have.hi == r.hi && have.hi_open)) r.hi = have.hi, r.hi_open = have.hi_open;
  return graph_assume(g, v, r);
}

Val support_call(Checker *c, const Support *s, SupportPart part, Val v, const Val *end, Span at) {
  static const char *const words[] = {[SUPPORT_TO] = "to", [SUPPORT_FROM] = "from", [SUPPORT_LOG_DET] = "log_det"};
  uint32_t own = part == SUPPORT_FROM ? s->own : s->own > 0, lead = shape_of(c->g, v)->rank - own, axis[DIM_MAX];
  Val first = c->g->node.n;
  if (s->own == 0) lead = 0;                             /* elementwise */
  for (uint32_t i = 0; i < lead; i++) {
    uint32_t size = shape_of(c->g, v)->dim[0];
    if (!axis_room(c, NULL, 0, at)) return NO_VAL;
    axis[i] = graph_axis(c->g, (Axis){.name = name_printf("support_%u", i), .kind = AXIS_INDEX, .size = size, .parent = -1});
    v = graph_to_axis(c->g, v, 0, axis[i]);
  }
  Val y = library_call(c, s, words[part], v, end);
  if (y == NO_VAL) BUG("%s_%s of stdlib/support.svm has no value", words[part], s->name);
  if (part == SUPPORT_TO && s->own) y = within(c->g, y, s->range);
  for (uint32_t i = lead; i-- > 0;) y = graph_to_dim(c->g, y, axis[i], 0);
  c->g->span = at;
  for (Val n = first; n < c->g->node.n; n++) c->g->node.at[n].span = at;      /* a parameter's declaration, a call: not the library */
  return y;
}

static Val call_of_range(Checker *c, SupportPart part, Val v, Range r) {
  double end[2];
  const Support *s = support_of(r, end);
  if (!s) BUG("a discrete value has no unconstrained form");
  Val ends[2] = {NO_VAL, NO_VAL};
  for (uint32_t i = 0; i < s->ends; i++) ends[i] = graph_const(c->g, end[i]);
  return support_call(c, s, part, v, ends, c->g->span);
}
Val support_constrain(Checker *c, Val u, Range r) {
  Val x = call_of_range(c, SUPPORT_TO, u, r);
  return x == NO_VAL ? x : within(c->g, x, r);
}
Val support_unconstrain(Checker *c, Val x, Range r) { return call_of_range(c, SUPPORT_FROM, x, r); }
Val support_log_det(Checker *c, Val u, Range r) { return call_of_range(c, SUPPORT_LOG_DET, u, r); }

Name support_text(const char *what, Range r, const char *argument) {
  double end[2];
  const Support *s = support_of(r, end);
  if (!s) return NULL;
  Name text = name_printf("%s_%s(%s", what, s->name, argument);
  for (uint32_t i = 0; i < s->ends; i++) text = name_printf("%s, %.17g", text, end[i]);
  return name_printf("%s)", text);
}

/* ---- to_simplex(u), from_simplex(x), log_det_simplex(u), called by models */
Value support_run(Checker *c, const char *name, Values *a, Span at) {
  static const struct { const char *prefix; SupportPart part; } parts[] = {{"to_", SUPPORT_TO}, {"from_", SUPPORT_FROM}, {"log_det_", SUPPORT_LOG_DET}};
  size_t p = 0, n;
  while (strncmp(name, parts[p].prefix, n = strlen(parts[p].prefix)) != 0) p++;
  const Support *s = supports;
  while (strcmp(s->name, name + n) != 0) s++;
  Val v = value_node(c, a->at[0]), end[2] = {NO_VAL, NO_VAL};
  if (v == NO_VAL) return v_bad(at);
  for (uint32_t i = 0; i < s->ends; i++) {
    if ((end[i] = value_node(c, a->at[1 + i])) == NO_VAL) return v_bad(at);
    if (shape_of(c->g, end[i])->rank) {
      diag_mark(diag_at(c->diag, E0301, a->at[1 + i].span, "an end of `%s` is one number", name), "%s", shape_text(c, shape_of(c->g, end[i])));
      return v_bad(at);
    }
  }
  const Shape *sh = shape_of(c->g, v);
  uint32_t last = sh->rank ? sh->dim[sh->rank - 1] : 0;
  bool matrix = s->own == 2 && parts[p].part == SUPPORT_FROM, fits = s->own == 0 || sh->rank >= (matrix ? 2u : 1u);
  if (matrix && fits) fits = sh->dim[sh->rank - 2] == last;
  if (fits && s->own && parts[p].part == SUPPORT_FROM) fits = s->stored(last) > 0;          /* a simplex of one number is stored in none */
  if (fits && s->own && parts[p].part != SUPPORT_FROM) {                                     /* is it the size of some K? */
    uint64_t k = 1;
    while (s->stored(k) < last) k++;
    fits = s->stored(k) == last;
  }
  if (!fits) {
    DiagItem *i = diag_at(c->diag, E0301, a->at[0].span, "`%s` takes %s", name, matrix ? "a square matrix" : "a vector");
    diag_mark(i, "%s", shape_text(c, sh));
    if (s->own == 2 && !matrix && sh->rank) diag_note(i, "a `%s` of size 3 is stored in %u numbers", s->name, (unsigned)s->stored(3));
    if (s->own && parts[p].part == SUPPORT_FROM && last == 1) diag_note(i, "of one element there is nothing to store");
    return v_bad(at);
  }
  Val y = support_call(c, s, parts[p].part, v, end, at);
  return y == NO_VAL ? v_bad(at) : v_node(y, at);
}

/* ---- does a value keep its constraint? */
static Name place_text(const Shape *s, uint64_t at, uint32_t rank) {
  Name text = name_of("");
  for (uint32_t i = rank; i-- > 0; at /= s->dim[i]) text = name_printf("%llu%s%s", (unsigned long long)(at % s->dim[i]) + 1, *text ? ", " : "", text);
  return name_printf("[%s]", text);
}
const char *support_fault(Range r, const Shape *s, const double *x) {
  uint64_t n = s->rank ? s->dim[s->rank - 1] : 1, rows = shape_event_size(s) / n;
  bool factor = r.form == FORM_CHOLESKY || r.form == FORM_CORR_CHOLESKY;
  if (factor && s->rank < 2) return "it is not a matrix";
  const double tolerance = 1e-6;                        /* of starts written with six digits */
  for (uint64_t row = 0; row < rows; row++) {
    double sum = 0, squares = 0;
    uint64_t i = factor ? row % s->dim[s->rank - 2] : 0;
    for (uint64_t k = 0; k < n; k++) {
      uint64_t at = row * n + k;
      double v = x[at];
      const char *element = s->rank ? name_printf("element %s", place_text(s, at, s->rank)) : "it";
      sum += v, squares += v * v;
      if (!isfinite(v)) return name_printf("%s is %g", element, v);
      if (r.form == FORM_ORDERED && k && !(v > x[at - 1])) return name_printf("%s is %g, and the one before it %g", element, v, x[at - 1]);
      if (factor && k > i && v != 0) return name_printf("%s, above the diagonal, is %g and not 0", element, v);
      if (factor && k == i && !(v > 0)) return name_printf("%s, on the diagonal, is %g", element, v);
      if (v < r.lo || v > r.hi || (v == r.lo && r.lo_open) || (v == r.hi && r.hi_open) || (r.whole && v != floor(v))) return name_printf("%s is %g", element, v);
    }
    if (r.form == FORM_SIMPLEX && fabs(sum - 1) > tolerance) return name_printf("%s sum to %.9g", s->rank > 1 ? name_printf("the elements of %s", place_text(s, row, s->rank - 1)) : "they", sum);
    if (r.form == FORM_CORR_CHOLESKY && fabs(squares - 1) > tolerance) return name_printf("the squares of row %s sum to %.9g and not to 1", place_text(s, row, s->rank - 1), squares);
  }
  return NULL;
}
