/* diag: collects the messages of a run, and explains codes.
 *
 * One cause is said once: a code at a span that has it already is dropped.  Past the first twenty errors only the
 * count goes on; what a pass hangs on those goes to an item nobody prints, so no caller has to ask. */
#include "diag_item.h"
#include <ctype.h>

enum { MOST_ERRORS = 20, MOST_WARNINGS = 100 };

const CodeRow diag_rows[CODE_COUNT] = {
#define CODE(code, name, title, text) {#code, name, title, text},
#include "diag.def"
#undef CODE
};

bool diag_is_error(Code c) { return diag_rows[c].code[0] == 'E'; }

Diag *diag_new(Arena *a, Sources *s) {
  Diag *d = NEW(a, Diag);
  d->arena = a;
  d->sources = s;
  d->unkept = NEW(a, DiagItem);
  return d;
}

unsigned diag_errors(const Diag *d) { return d->errors; }

static uint32_t slot_of(const Diag *d, uint64_t place, uint32_t code) {
  uint64_t h = (place ^ code * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xFF51AFD7ED558CCD);
  uint32_t i = (uint32_t)(h >> 32) & (d->seen_cap - 1);
  while (d->seen[i].code && (d->seen[i].place != place || d->seen[i].code != code)) i = (i + 1) & (d->seen_cap - 1);
  return i;
}

/* Was this said?  From now on it was. */
static bool was_said(Diag *d, Code code, Span at) {
  if (d->seen_n * 2 >= d->seen_cap) {
    void *old = d->seen;
    uint32_t n = d->seen_cap;
    d->seen_cap = n ? n * 2 : 64;
    d->seen = arena_alloc(d->arena, d->seen_cap * sizeof *d->seen);
    __typeof__(d->seen) was = old;
    for (uint32_t i = 0; i < n; i++)
      if (was[i].code) d->seen[slot_of(d, was[i].place, was[i].code)] = was[i];
  }
  uint64_t place = (uint64_t)at.at << 32 | at.end;
  uint32_t i = slot_of(d, place, (uint32_t)code + 1);
  if (d->seen[i].code) return true;
  d->seen[i].place = place;
  d->seen[i].code = (uint32_t)code + 1;
  d->seen_n++;
  return false;
}

static const char *text_of(Arena *a, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int n = format ? vsnprintf(NULL, 0, format, again) : -1;
  va_end(again);
  if (n < 0) BUG("no text from a format");
  char *text = arena_alloc(a, (size_t)n + 1);
  vsnprintf(text, (size_t)n + 1, format, args);
  return text;
}

DiagItem *diag_at(Diag *d, Code code, Span at, const char *format, ...) {
  if (was_said(d, code, at)) return d->unkept;
  if (diag_is_error(code)) {
    d->errors++;
    if (d->kept == MOST_ERRORS) return d->unkept;
    d->kept++;
  } else if (d->warnings++ >= MOST_WARNINGS) return d->unkept;
  DiagItem *i = NEW(d->arena, DiagItem);
  i->arena = d->arena;
  i->code = code;
  i->at = at;
  i->order = d->items.n;
  va_list args;
  va_start(args, format);
  i->message = text_of(d->arena, format, args);
  va_end(args);
  vec_push(d->arena, &d->items, i);
  return i;
}

DiagItem *diag_mark(DiagItem *i, const char *format, ...) {
  if (!i->arena) return i;
  va_list args;
  va_start(args, format);
  i->mark = text_of(i->arena, format, args);
  va_end(args);
  return i;
}

DiagItem *diag_label(DiagItem *i, Span at, const char *format, ...) {
  if (!i->arena) return i;
  va_list args;
  va_start(args, format);
  Label label = {at, text_of(i->arena, format, args)};
  va_end(args);
  for (uint32_t k = 0; k < i->labels.n; k++)               /* x @ x: both operands were declared there */
    if (i->labels.at[k].at.at == at.at && i->labels.at[k].at.end == at.end && strcmp(i->labels.at[k].text, label.text) == 0) return i;
  vec_push(i->arena, &i->labels, label);
  return i;
}

DiagItem *diag_note(DiagItem *i, const char *format, ...) {
  if (!i->arena) return i;
  va_list args;
  va_start(args, format);
  Foot foot = {FOOT_NOTE, text_of(i->arena, format, args), NO_SPAN, NULL};
  va_end(args);
  vec_push(i->arena, &i->feet, foot);
  return i;
}

DiagItem *diag_help(DiagItem *i, const char *format, ...) {
  if (!i->arena) return i;
  va_list args;
  va_start(args, format);
  Foot foot = {FOOT_HELP, text_of(i->arena, format, args), NO_SPAN, NULL};
  va_end(args);
  vec_push(i->arena, &i->feet, foot);
  return i;
}

DiagItem *diag_fix(DiagItem *i, Span at, const char *text, const char *format, ...) {
  if (!i->arena) return i;
  va_list args;
  va_start(args, format);
  Foot foot = {FOOT_FIX, text_of(i->arena, format, args), at, arena_copy(i->arena, text, strlen(text))};
  va_end(args);
  vec_push(i->arena, &i->feet, foot);
  return i;
}

uint32_t diag_count(const Diag *d) { return d->items.n; }

void diag_called(Diag *d, uint32_t first, Span call, Span body) {
  if (call.end == 0 || source_place(d->sources, call.at).source->library) return;   /* a further call is around this one */
  for (uint32_t i = first; i < d->items.n; i++) {
    DiagItem *it = d->items.at[i];
    if (it->at.end == 0) continue;
    bool told = it->at.at == call.at && it->at.end == call.end;
    for (uint32_t k = 0; k < it->labels.n; k++) told |= it->labels.at[k].at.at == call.at && it->labels.at[k].at.end == call.end;
    if (told) continue;
    if (source_place(d->sources, it->at.at).source->library) {
      diag_label(it, it->at, "%s", it->mark ? it->mark : "here");
      it->at = call, it->mark = "in this call";
      for (uint32_t k = 0; k < i; k++)                      /* one call, one mistake: what else the expansion met is its consequence */
        if (d->items.at[k]->code == it->code && d->items.at[k]->at.at == call.at && d->items.at[k]->at.end == call.end) {
          memmove(d->items.at + i, d->items.at + i + 1, (d->items.n - i - 1) * sizeof *d->items.at);
          d->items.n--, i--;
          if (diag_is_error(it->code)) d->errors--, d->kept--;
          break;
        }
    } else if (it->at.at >= body.at && it->at.end <= body.end && !(call.at >= body.at && call.end <= body.end)) {
      diag_label(it, call, "in this call");
    }
  }
}

/* ---- svic explain */

static bool same_code(const char *a, const char *b) {
  while (*a && toupper((unsigned char)*a) == toupper((unsigned char)*b)) a++, b++;
  return *a == 0 && *b == 0;
}

/* Fills lines of 80; a line break in the text starts a new paragraph. */
static void print_wrapped(const char *text, FILE *out) {
  size_t column = 0;
  while (*text) {
    if (*text == '\n') {
      fputc('\n', out);
      column = 0;
      text++;
      continue;
    }
    size_t spaces = strspn(text, " "), word = strcspn(text + spaces, " \n");
    if (column > 0 && column + spaces + word > 80) {
      fputc('\n', out);
      column = spaces = 0;
      text += strspn(text, " ");
    }
    fwrite(text, 1, spaces + word, out);
    column += spaces + word;
    text += spaces + word;
  }
  fputc('\n', out);
}

bool diag_explain(const char *code, FILE *out) {
  for (size_t i = 0; i < CODE_COUNT; i++) {
    const CodeRow *row = &diag_rows[i];
    if (!same_code(code, row->code) && !same_code(code, row->name)) continue;
    fprintf(out, "%s (%s): %s\n\n", row->code, row->name, row->title);
    print_wrapped(row->text, out);
    return true;
  }
  return false;
}
