/* Ranges: what is known of a value's elements, as intervals with open and closed ends.
 *
 * Ends are those of real arithmetic; a rounded result may fall on an open end (exp(-1000) is 0).  A closed
 * end at infinity says that infinity itself may occur, as in log of a value that may be 0; an open one that
 * it does not. */
#include "../ops/op.h"
#include <math.h>

const Range RANGE_REAL     = {-INFINITY, INFINITY, true, true, false, FORM_PLAIN};
const Range RANGE_POSITIVE = {0, INFINITY, true, true, false, FORM_PLAIN};
const Range RANGE_NONNEG   = {0, INFINITY, false, true, false, FORM_PLAIN};
const Range RANGE_UNIT     = {0, 1, false, false, false, FORM_PLAIN};
const Range RANGE_BIT      = {0, 1, false, false, true, FORM_PLAIN};
const Range RANGE_COUNT    = {0, INFINITY, false, true, true, FORM_PLAIN};

static const char *const form_word[] = {
  [FORM_SIMPLEX] = "simplex", [FORM_ORDERED] = "ordered", [FORM_CHOLESKY] = "cholesky",
      [FORM_CORR_CHOLESKY] = "corr_cholesky",
};

/* An end that could not be computed (log of a negative) is no bound at all: the function may go to infinity
 * before. */
Range range_make(double lo, double hi, bool lo_open, bool hi_open, bool whole) {
  if (isnan(lo)) lo = -INFINITY, lo_open = false;
  if (isnan(hi)) hi = INFINITY, hi_open = false;
  return (Range){lo, hi, lo_open, hi_open, whole, FORM_PLAIN};
}

Range range_of_const(double x) {
  if (isnan(x)) return RANGE_REAL;
  return range_make(x, x, false, false, isfinite(x) && x == floor(x));
}

Range range_plain(Range r) {
  r.form = FORM_PLAIN;
  return r;
}

Range range_union(Range a, Range b) {
  Range r = a;
  if (b.lo < a.lo || (b.lo == a.lo && a.lo_open)) r.lo = b.lo, r.lo_open = b.lo_open;
  if (b.hi > a.hi || (b.hi == a.hi && a.hi_open)) r.hi = b.hi, r.hi_open = b.hi_open;
  r.whole = a.whole && b.whole;
  r.form = a.form == b.form ? a.form : FORM_PLAIN;
  return r;
}

/* ---- arithmetic, an end at a time */
typedef struct { double x; bool open; } End;

static End end_add(End a, End b) {
  if (isinf(a.x) || isinf(b.x))
    return (End){a.x + b.x, !((isinf(a.x) && !a.open) || (isinf(b.x) && !b.open))};
  return (End){a.x + b.x, a.open || b.open};
}

/* 0 * inf is 0: the ends of a product are limits of products of finite numbers, and the other corner gives
 * the rest. */
static End end_mul(End a, End b) {
  if (a.x == 0 || b.x == 0) return (End){0, !((a.x == 0 && !a.open) || (b.x == 0 && !b.open))};
  if (isinf(a.x) || isinf(b.x))
    return (End){a.x * b.x, !((isinf(a.x) && !a.open) || (isinf(b.x) && !b.open))};
  return (End){a.x * b.x, a.open || b.open};
}

static End end_least(End a, End b) {
  if (a.x == b.x) return (End){a.x, a.open && b.open};
  return a.x < b.x ? a : b;
}

static End end_most(End a, End b) {
  if (a.x == b.x) return (End){a.x, a.open && b.open};
  return a.x > b.x ? a : b;
}

Range range_add(Range a, Range b) {
  End lo = end_add((End){a.lo, a.lo_open}, (End){b.lo, b.lo_open});
  End hi = end_add((End){a.hi, a.hi_open}, (End){b.hi, b.hi_open});
  return range_make(lo.x, hi.x, lo.open, hi.open, a.whole && b.whole);
}

Range range_mul(Range a, Range b) {
  End al = {a.lo, a.lo_open}, ah = {a.hi, a.hi_open}, bl = {b.lo, b.lo_open}, bh = {b.hi, b.hi_open};
  End p = end_mul(al, bl), q = end_mul(al, bh), r = end_mul(ah, bl), s = end_mul(ah, bh);
  End lo = end_least(end_least(p, q), end_least(r, s)), hi = end_most(end_most(p, q), end_most(r, s));
  return range_make(lo.x, hi.x, lo.open, hi.open, a.whole && b.whole);
}

Range range_scale(Range r, double least, double most) {
  Range s = range_plain(r);
  if (r.lo != 0) s.lo = r.lo * (r.lo < 0 ? most : least);
  if (r.hi != 0) s.hi = r.hi * (r.hi > 0 ? most : least);
  if (isinf(most) && isfinite(r.lo) && r.lo < 0) s.lo_open = true;      /* many, but finitely many */
  if (isinf(most) && isfinite(r.hi) && r.hi > 0) s.hi_open = true;
  return s;
}

bool range_within(Range in, Range out) {
  if (!(in.lo > out.lo || (in.lo == out.lo && (!out.lo_open || in.lo_open || isinf(in.lo))))) return false;
  if (!(in.hi < out.hi || (in.hi == out.hi && (!out.hi_open || in.hi_open || isinf(in.hi))))) return false;
  if (out.whole && !in.whole) return false;
  if (out.form == FORM_PLAIN || out.form == in.form) return true;
  return out.form == FORM_CHOLESKY && in.form == FORM_CORR_CHOLESKY;
}

void range_print(Range r, FILE *out) {
  if (r.whole) fputs("whole ", out);
  if (r.form != FORM_PLAIN) fprintf(out, "%s ", form_word[r.form]);
  fputc(r.lo_open ? '(' : '[', out);
  print_number(r.lo, out);
  fputs(", ", out);
  print_number(r.hi, out);
  fputc(r.hi_open ? ')' : ']', out);
}

bool text_range(TextIn *in, Range *r) {
  *r = RANGE_REAL;
  r->whole = text_word(in, "whole");
  for (size_t f = 1; f < LEN(form_word); f++) if (text_word(in, form_word[f])) r->form = (Form_)f;
  r->lo_open = text_mark(in, '(');
  if (!r->lo_open && !text_mark(in, '[')) return text_fail(in, "a range such as [0, inf) is missing");
  if (!text_number(in, &r->lo) || !text_mark(in, ',') || !text_number(in, &r->hi))
    return text_fail(in, "a range needs two numbers");
  r->hi_open = text_mark(in, ')');
  return r->hi_open || text_mark(in, ']') || text_fail(in, "a range ends with ) or ]");
}
