/* diag_print: shows the messages of a run, sorted by place.
 *
 * In:  the items of a Diag.    Out: text for people, or JSON, one object a line.
 *
 * The text form shows each source line with its marks below it.  A mark is a stretch of the line, underlined with ^
 * (the primary place) or - (others), and words.  The words of the rightmost mark stand behind it; those of the others
 * hang below on bars:
 *
 *     3 |     x ~ Normal(mu, W @ h)
 *       |                --  ^^^^^ [500]
 *       |                |
 *       |                [784]
 *
 * Columns here are cells of a terminal: a tab goes to the next multiple of four, a wide letter takes two, a combining
 * one none.  Places in `file:line:column` count Unicode scalars, as editors do. */
#include "diag_item.h"
#include "utf8.h"
#include <stdlib.h>

enum { TAB = 4, WIDEST = 160, CROP_BEFORE = 40 };       /* longer lines are shown in part */

typedef struct { FILE *f; bool colour; unsigned gutter; const Sources *sources; } Out;
typedef struct { uint32_t line; const Source *source; uint32_t from, to; bool primary; const char *text; } Mark;  /* from, to: offsets in the map, on one line */
typedef VEC(Mark) Marks;

#define RED    "\033[1;31m"
#define YELLOW "\033[1;33m"
#define BLUE   "\033[1;34m"
#define GREEN  "\033[1;32m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

static void paint(Out *o, const char *colour) { if (o->colour) fputs(colour, o->f); }

/* ---- cells */

/* Unicode 15: combining marks and other letters of no width; East Asian wide and emoji. */
static const struct { uint32_t from, to; unsigned char width; } cell_widths[] = {
  {0x0300, 0x036F, 0}, {0x0483, 0x0489, 0}, {0x0591, 0x05BD, 0}, {0x0610, 0x061A, 0}, {0x064B, 0x065F, 0},
  {0x06D6, 0x06DC, 0}, {0x0900, 0x0902, 0}, {0x093C, 0x093C, 0}, {0x0941, 0x0948, 0}, {0x094D, 0x094D, 0},
  {0x0E31, 0x0E31, 0}, {0x0E34, 0x0E3A, 0}, {0x0E47, 0x0E4E, 0}, {0x1100, 0x115F, 2}, {0x1160, 0x11FF, 0},
  {0x1AB0, 0x1AFF, 0}, {0x1DC0, 0x1DFF, 0}, {0x200B, 0x200F, 0}, {0x202A, 0x202E, 0}, {0x2060, 0x206F, 0},
  {0x20D0, 0x20FF, 0}, {0x231A, 0x231B, 2}, {0x23E9, 0x23EC, 2}, {0x25FD, 0x25FE, 2}, {0x2614, 0x2615, 2},
  {0x2648, 0x2653, 2}, {0x26A1, 0x26A1, 2}, {0x2705, 0x2705, 2}, {0x274C, 0x274C, 2}, {0x2753, 0x2757, 2},
  {0x2795, 0x2797, 2}, {0x2B1B, 0x2B1C, 2}, {0x2B50, 0x2B50, 2}, {0x2E80, 0x303E, 2}, {0x3041, 0x33FF, 2},
  {0x3400, 0x4DBF, 2}, {0x4E00, 0xA4CF, 2}, {0xA960, 0xA97F, 2}, {0xAC00, 0xD7A3, 2}, {0xF900, 0xFAFF, 2},
  {0xFE00, 0xFE0F, 0}, {0xFE20, 0xFE2F, 0}, {0xFE30, 0xFE6F, 2}, {0xFEFF, 0xFEFF, 0}, {0xFF00, 0xFF60, 2},
  {0xFFE0, 0xFFE6, 2}, {0x1F300, 0x1F64F, 2}, {0x1F680, 0x1F6FF, 2}, {0x1F900, 0x1F9FF, 2}, {0x20000, 0x3FFFD, 2},
  {0xE0100, 0xE01EF, 0},
};

static unsigned cell_width(uint32_t scalar, unsigned column) {
  if (scalar == '\t') return TAB - column % TAB;
  if (scalar < 0x300) return 1;
  for (size_t i = 0; i < LEN(cell_widths) && cell_widths[i].from <= scalar; i++)
    if (scalar <= cell_widths[i].to) return cell_widths[i].width;
  return 1;
}

/* Puts one scalar so that a terminal stays sane: tabs as blanks, control letters and direction overrides as U+FFFD. */
static void put_scalar(FILE *f, const char *at, unsigned n, uint32_t scalar, unsigned width) {
  bool control = scalar < 0x20 || (scalar >= 0x7F && scalar < 0xA0) || (scalar >= 0x202A && scalar <= 0x202E) ||
                 (scalar >= 0x2066 && scalar <= 0x2069) || (scalar == UTF8_BAD && n == 1);
  if (scalar == '\t') fprintf(f, "%*s", (int)width, "");
  else if (control) fputs("\xEF\xBF\xBD", f);
  else fwrite(at, 1, n, f);
}

/* Message text, which may quote any bytes of a source. */
static void put_text(FILE *f, const char *text) {
  for (const char *end = text + strlen(text); text < end; ) {
    uint32_t scalar;
    unsigned n = utf8_decode(text, end, &scalar);
    put_scalar(f, text, n, scalar, 1);
    text += n;
  }
}

/* ---- lines */

typedef struct { const char *text; uint32_t at, size; } Line;     /* without its end; at: offset in the map */

static Line line_at(const Source *s, uint32_t at) {
  uint32_t from = at - s->base, to = from;
  while (from > 0 && s->text[from - 1] != '\n') from--;
  while (to < s->size && s->text[to] != '\n') to++;
  if (to > from && s->text[to - 1] == '\r') to--;
  if (from == 0 && s->size >= 3 && memcmp(s->text, "\xEF\xBB\xBF", 3) == 0) from = 3;
  return (Line){s->text + from, s->base + from, to > from ? to - from : 0};
}

/* The cell at which the letter of this offset starts. */
static unsigned cell_of(Line line, uint32_t at) {
  unsigned column = 0;
  const char *stop = line.text + (at < line.at ? 0 : at - line.at < line.size ? at - line.at : line.size);
  for (const char *c = line.text, *end = line.text + line.size; c < stop; ) {
    uint32_t scalar;
    c += utf8_decode(c, end, &scalar);
    column += cell_width(scalar, column);
  }
  return column;
}

static void put_gutter(Out *o, uint32_t number, const char *bar) {
  paint(o, BLUE);
  if (number) fprintf(o->f, "%*u %s", (int)o->gutter, number, bar);
  else fprintf(o->f, "%*s %s", (int)o->gutter, "", bar);
  paint(o, PLAIN);
}

/* The cells [from, to) of a line. */
static void put_line(Out *o, Line line, unsigned from, unsigned to) {
  unsigned column = 0, blanks = 0;
  if (from > 0) fputs("...", o->f);
  for (const char *c = line.text, *end = line.text + line.size; c < end && column < to; ) {
    uint32_t scalar;
    unsigned n = utf8_decode(c, end, &scalar), width = cell_width(scalar, column);
    if (column >= from) {
      if (scalar == ' ' || scalar == '\t') blanks += width;       /* kept back: no blanks at a line's end */
      else {
        fprintf(o->f, "%*s", (int)blanks, "");
        blanks = 0;
        put_scalar(o->f, c, n, scalar, width);
      }
    }
    column += width;
    c += n;
  }
  if (cell_of(line, line.at + line.size) > to) fputs("...", o->f);
  fputc('\n', o->f);
}

/* ---- marks */

typedef struct { unsigned from, to; bool primary, inlined; const char *text; } Under;

static int by_column_down(const void *a, const void *b) {
  const Under *x = a, *y = b;
  if (x->from != y->from) return x->from < y->from ? 1 : -1;
  if (x->to != y->to) return x->to < y->to ? 1 : -1;
  return x->primary - y->primary;
}

static const char *mark_colour(const Under *u, const char *severity) { return u->primary ? severity : BLUE; }

static void put_marked_line(Out *o, const Mark *mark, uint32_t n, const char *severity) {
  Line line = line_at(mark->source, mark->from);
  unsigned width = cell_of(line, line.at + line.size), crop = 0;
  Under *u = calloc(n, sizeof *u);
  if (!u) BUG("out of memory");
  for (uint32_t i = 0; i < n; i++) {
    u[i] = (Under){cell_of(line, mark[i].from), cell_of(line, mark[i].to), mark[i].primary, false, mark[i].text};
    if (u[i].to <= u[i].from) u[i].to = u[i].from + 1;
  }
  qsort(u, n, sizeof *u, by_column_down);
  unsigned shift = 0, most = width;
  if (width > WIDEST) {
    unsigned first = u[n - 1].from;
    crop = first > CROP_BEFORE ? first - CROP_BEFORE : 0;
    most = crop + WIDEST - CROP_BEFORE;
    shift = crop > 0 ? crop - 3 : 0;                               /* the dots take three cells */
    for (uint32_t i = 0; i < n; i++) {
      if (u[i].from > most) u[i].from = most;
      if (u[i].to > most) u[i].to = most;
      if (u[i].to <= u[i].from) u[i].to = u[i].from + 1;
    }
  }
  put_gutter(o, mark->line, "|");
  if (width > 0) fputc(' ', o->f);
  put_line(o, line, crop, most);

  /* the underlines: the primary one wins where two overlap, then the shorter */
  unsigned end = 0;
  for (uint32_t i = 0; i < n; i++) end = u[i].to > end ? u[i].to : end;
  put_gutter(o, 0, "| ");
  const Under *last = NULL;
  for (unsigned c = shift; c < end; c++) {
    const Under *here = NULL;
    for (uint32_t i = 0; i < n; i++) {
      if (u[i].from > c || u[i].to <= c) continue;
      if (!here || (u[i].primary && !here->primary) ||
          (u[i].primary == here->primary && u[i].to - u[i].from < here->to - here->from)) here = &u[i];
    }
    if (here != last && o->colour) fputs(here ? mark_colour(here, severity) : PLAIN, o->f);
    fputc(here ? here->primary ? '^' : '-' : ' ', o->f);
    last = here;
  }
  if (last) paint(o, PLAIN);

  /* the rightmost words stand behind, when nothing is underlined behind them */
  uint32_t hanging = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (i == 0 && u[0].text && u[0].to == end) {
      u[0].inlined = true;
      fputc(' ', o->f);
      paint(o, mark_colour(&u[0], severity));
      put_text(o->f, u[0].text);
      paint(o, PLAIN);
    } else hanging += u[i].text != NULL;
  }
  fputc('\n', o->f);

  /* the others hang: first a row of bars, then the words from right to left */
  for (uint32_t row = 0; hanging > 0 && row <= n; row++) {
    const Under *word = row == 0 ? NULL : &u[row - 1];
    if (word && (word->inlined || !word->text)) continue;
    put_gutter(o, 0, "| ");
    unsigned c = shift;
    for (uint32_t i = n; i-- > row; ) {
      if (u[i].inlined || !u[i].text || u[i].from < c) continue;
      if (word && u[i].from >= word->from) continue;
      fprintf(o->f, "%*s", (int)(u[i].from - c), "");
      paint(o, mark_colour(&u[i], severity));
      fputc('|', o->f);
      paint(o, PLAIN);
      c = u[i].from + 1;
    }
    if (word) {
      fprintf(o->f, "%*s", (int)(word->from - c), "");
      paint(o, mark_colour(word, severity));
      put_text(o->f, word->text);
      paint(o, PLAIN);
    }
    fputc('\n', o->f);
  }
  free(u);
}

/* Several lines are underlined to the end of the first, and the words say how far it goes on. */
static void add_mark(Arena *scratch, const Out *o, Marks *marks, Span at, const char *text, bool primary) {
  Place from = source_place(o->sources, at.at);
  if (!from.source) return;
  uint32_t file_end = from.source->base + from.source->size, end = at.end > file_end ? file_end : at.end;
  Line line = line_at(from.source, at.at);
  Place to = source_place(o->sources, end > at.at ? end - 1 : at.at);
  if (to.line > from.line) {
    end = line.at + line.size;
    text = text ? arena_printf(scratch, "%s (goes on to line %u)", text, to.line) : arena_printf(scratch, "goes on to line %u", to.line);
  }
  Mark m = {from.line, from.source, at.at, end, primary, text};
  vec_push(scratch, marks, m);
}

static int by_line(const void *a, const void *b) {
  const Mark *x = a, *y = b;
  return x->line != y->line ? x->line < y->line ? -1 : 1 : x->from != y->from ? x->from < y->from ? -1 : 1 : 0;
}

static void put_place(Out *o, const char *arrow, const Source *source, uint32_t at) {
  Place p = source_place(o->sources, at);
  paint(o, BLUE);
  fprintf(o->f, "%*s%s ", (int)o->gutter, "", arrow);
  paint(o, PLAIN);
  fprintf(o->f, "%s:%u:%u\n", source->path, p.line, p.column);
}

/* All marks in one file, in the order of its lines. */
static void put_snippet(Out *o, Arena *scratch, const Marks *all, const Source *source, const char *severity) {
  Marks here = {0};
  for (uint32_t i = 0; i < all->n; i++)
    if (all->at[i].source == source) vec_push(scratch, &here, all->at[i]);
  qsort(here.at, here.n, sizeof *here.at, by_line);
  put_gutter(o, 0, "|\n");
  for (uint32_t i = 0, j; i < here.n; i = j) {
    for (j = i + 1; j < here.n && here.at[j].line == here.at[i].line; ) j++;
    if (i > 0 && here.at[i].line == here.at[i-1].line + 2) {
      /* one line between is shown, more are dots */
      Line before = line_at(source, here.at[i].from);
      Line line = line_at(source, before.at - 1);
      unsigned width = cell_of(line, line.at + line.size);
      put_gutter(o, here.at[i].line - 1, "|");
      if (width > 0) fputc(' ', o->f);
      put_line(o, line, 0, width > WIDEST ? WIDEST : width);
    } else if (i > 0 && here.at[i].line > here.at[i-1].line + 1) {
      paint(o, BLUE);
      fputs("...\n", o->f);
      paint(o, PLAIN);
    }
    put_marked_line(o, &here.at[i], j - i, severity);
  }
}

static unsigned digits(uint32_t n) { return n < 10 ? 1 : 1 + digits(n / 10); }

static void put_foot(Out *o, const char *kind, const char *text) {
  paint(o, BLUE);
  fprintf(o->f, "%*s = ", (int)o->gutter, "");
  paint(o, BOLD);
  fputs(kind, o->f);
  paint(o, PLAIN);
  fputs(": ", o->f);
  put_text(o->f, text);
  fputc('\n', o->f);
}

/* The line as it is after the edit.  Edits that span lines are told by their words alone. */
static void put_edit(Out *o, Arena *scratch, const Foot *fix) {
  Place p = source_place(o->sources, fix->at.at), q = source_place(o->sources, fix->at.end);
  if (!p.source || p.source != q.source || p.line != q.line || strchr(fix->replacement, '\n')) return;
  Line line = line_at(p.source, fix->at.at);
  if (line.size > WIDEST || fix->at.at < line.at || fix->at.end > line.at + line.size) return;
  const char *text = arena_printf(scratch, "%.*s%s%.*s", (int)(fix->at.at - line.at), line.text, fix->replacement,
                                  (int)(line.at + line.size - fix->at.end), line.text + (fix->at.end - line.at));
  Line edited = {text, 0, (uint32_t)strlen(text)};
  put_gutter(o, p.line, "");
  paint(o, GREEN);
  fputs("+ ", o->f);
  paint(o, PLAIN);
  put_line(o, edited, 0, 2 * WIDEST);
}

static void print_text(Out *o, const DiagItem *i) {
  Arena *scratch = arena_new();
  const char *severity = diag_is_error(i->code) ? RED : YELLOW;
  paint(o, severity);
  fprintf(o->f, "%s[%s]", diag_is_error(i->code) ? "error" : "warning", diag_rows[i->code].code);
  paint(o, PLAIN);
  paint(o, BOLD);
  fputs(": ", o->f);
  put_text(o->f, i->message);
  paint(o, PLAIN);
  fputc('\n', o->f);

  Marks marks = {0};
  add_mark(scratch, o, &marks, i->at, i->mark, true);
  for (uint32_t k = 0; k < i->labels.n; k++) add_mark(scratch, o, &marks, i->labels.at[k].at, i->labels.at[k].text, false);
  uint32_t last = 1;
  for (uint32_t k = 0; k < marks.n; k++) last = marks.at[k].line > last ? marks.at[k].line : last;
  o->gutter = digits(last);
  for (uint32_t k = 0; k < marks.n; k++) {
    uint32_t first = 0;
    while (marks.at[first].source != marks.at[k].source) first++;
    if (first < k) continue;                                     /* the file is shown already */
    put_place(o, k == 0 ? "-->" : ":::", marks.at[k].source, marks.at[k].from);
    put_snippet(o, scratch, &marks, marks.at[k].source, severity);
  }
  for (uint32_t k = 0; k < i->labels.n; k++)
    if (!source_place(o->sources, i->labels.at[k].at.at).source) put_foot(o, "note", i->labels.at[k].text);
  if (marks.n && i->feet.n) put_gutter(o, 0, "|\n");
  for (uint32_t k = 0; k < i->feet.n; k++) {
    put_foot(o, i->feet.at[k].kind == FOOT_NOTE ? "note" : "help", i->feet.at[k].text);
    if (i->feet.at[k].kind == FOOT_FIX) put_edit(o, scratch, &i->feet.at[k]);
  }
  fputc('\n', o->f);
  arena_free(scratch);
}

/* ---- JSON */

static void put_string(FILE *f, const char *text) {
  fputc('"', f);
  for (const char *end = text + strlen(text); text < end; ) {
    uint32_t scalar;
    unsigned n = utf8_decode(text, end, &scalar);
    if (scalar == '"' || scalar == '\\') fprintf(f, "\\%c", (int)scalar);
    else if (scalar == '\n') fputs("\\n", f);
    else if (scalar < 0x20 || scalar == 0x7F) fprintf(f, "\\u%04x", scalar);
    else if (scalar == UTF8_BAD && n == 1) fputs("\\ufffd", f);
    else fwrite(text, 1, n, f);
    text += n;
  }
  fputc('"', f);
}

/* line and column count from 1, column in scalars; byte counts from the file's start, utf16 from the line's (as the
 * language server protocol wants it); both from 0. */
static void put_position(const Sources *s, FILE *f, const Source *source, uint32_t at) {
  Place p = source_place(s, at);
  uint32_t offset = at - source->base, from = offset, utf16 = 0;
  while (from > 0 && source->text[from - 1] != '\n') from--;
  for (const char *c = source->text + from, *stop = source->text + offset, *end = source->text + source->size; c < stop; ) {
    uint32_t scalar;
    c += utf8_decode(c, end, &scalar);
    utf16 += scalar > 0xFFFF ? 2 : 1;
  }
  fprintf(f, "{\"line\":%u,\"column\":%u,\"byte\":%u,\"utf16\":%u}", p.line, p.column, offset, utf16);
}

static void put_json_range(const Sources *s, FILE *f, Span at) {
  const Source *source = source_place(s, at.at).source;
  if (!source) {
    fputs("\"file\":null", f);
    return;
  }
  uint32_t file_end = source->base + source->size;
  fputs("\"file\":", f);
  put_string(f, source->path);
  fputs(",\"start\":", f);
  put_position(s, f, source, at.at);
  fputs(",\"end\":", f);
  put_position(s, f, source, at.end > file_end ? file_end : at.end < at.at ? at.at : at.end);
}

static void put_json_span(const Sources *s, FILE *f, Span at, bool primary, const char *label) {
  fprintf(f, "{\"primary\":%s,", primary ? "true" : "false");
  put_json_range(s, f, at);
  fputs(",\"label\":", f);
  if (label) put_string(f, label);
  else fputs("null", f);
  fputc('}', f);
}

static void put_json_feet(FILE *f, const DiagItem *i, FootKind kind) {
  bool more = false;
  for (uint32_t k = 0; k < i->feet.n; k++) {
    if (i->feet.at[k].kind != kind) continue;
    if (more) fputc(',', f);
    put_string(f, i->feet.at[k].text);
    more = true;
  }
}

static void print_json(const Sources *s, FILE *f, const DiagItem *i) {
  const Source *source = source_place(s, i->at.at).source;
  fprintf(f, "{\"schema\":1,\"code\":\"%s\",\"name\":", diag_rows[i->code].code);
  put_string(f, diag_rows[i->code].name);
  fprintf(f, ",\"severity\":\"%s\",\"message\":", diag_is_error(i->code) ? "error" : "warning");
  put_string(f, i->message);
  fputs(",\"file\":", f);
  if (source) put_string(f, source->path);
  else fputs("null", f);
  fputs(",\"spans\":[", f);
  put_json_span(s, f, i->at, true, i->mark);
  for (uint32_t k = 0; k < i->labels.n; k++) {
    fputc(',', f);
    put_json_span(s, f, i->labels.at[k].at, false, i->labels.at[k].text);
  }
  fputs("],\"notes\":[", f);
  put_json_feet(f, i, FOOT_NOTE);
  fputs("],\"helps\":[", f);
  put_json_feet(f, i, FOOT_HELP);
  fputs("],\"fixes\":[", f);
  bool more = false;
  for (uint32_t k = 0; k < i->feet.n; k++) {
    const Foot *foot = &i->feet.at[k];
    if (foot->kind != FOOT_FIX) continue;
    fputs(more ? ",{\"text\":" : "{\"text\":", f);
    put_string(f, foot->text);
    fputc(',', f);
    put_json_range(s, f, foot->at);
    fputs(",\"replacement\":", f);
    put_string(f, foot->replacement);
    fputc('}', f);
    more = true;
  }
  fputs("]}\n", f);
}

/* ---- all of them */

static int by_place(const void *a, const void *b) {
  const DiagItem *x = *(DiagItem *const *)a, *y = *(DiagItem *const *)b;
  if (x->at.at != y->at.at) return x->at.at < y->at.at ? -1 : 1;
  return x->order < y->order ? -1 : x->order > y->order;
}

void diag_print(const Diag *d, FILE *out, DiagFormat format, bool colour) {
  Out o = {out, colour, 1, d->sources};
  if (d->items.n == 0) return;
  DiagItem **sorted = malloc(d->items.n * sizeof *sorted);
  if (!sorted) BUG("out of memory");
  memcpy(sorted, d->items.at, d->items.n * sizeof *sorted);
  qsort(sorted, d->items.n, sizeof *sorted, by_place);
  for (uint32_t i = 0; i < d->items.n; i++) {
    if (format == DIAG_JSON) print_json(d->sources, out, sorted[i]);
    else print_text(&o, sorted[i]);
  }
  free(sorted);
  unsigned more = d->errors - d->kept;
  if (more == 0) return;
  if (format == DIAG_JSON) fprintf(out, "{\"schema\":1,\"severity\":\"error\",\"message\":\"%u more errors\",\"more\":%u}\n", more, more);
  else fprintf(out, "%u more error%s\n", more, more == 1 ? "" : "s");
}
