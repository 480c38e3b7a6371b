/* lexer: from text to tokens, and from lines to statements.
 *
 * In:  one source, NUL-terminated.    Out: the tokens of parser.y.
 *
 * scan() is re2c's: one lexeme, knowing nothing of its neighbours.  The rest decides on layout.  A line's end is a
 * token only where a statement may end; a `}` ends the statement before it and the one it closes, so the grammar has
 * one terminator, TOK_NL.  Words that mean something in one place only are names elsewhere: after `.` any word is a
 * name, before `:` any word is TOK_WORD, and the reducers (sum, mean, ...) reduce only before `(`.
 *
 * note [forgotten brackets]  An open ( or [ swallows the lines behind it, and with them all later errors.  Two things
 * cannot stand inside: a `}` that closes an outer block, and a line that starts a statement (`x ~`) or, in its first
 * column, a declaration.  There the lexer says which bracket is open and invents the closing ones; the parser is silent
 * about those.  A line that ends with an operator is ended in the same way, and a header whose block has no `{` gets one.
 *
 * note [dropped braces]  While the parser recovers from an error it drops tokens.  If it dropped a `{` and later saw the
 * `}`, it would close a block too many.  So the parser says when it takes a `{`, before it asks for the next token; of
 * a `{` it does not take, the lexer leaves out the whole block. */
#include "lexer.h"
#include "parser.h"
#include "../compiler/base/utf8.h"
#include <stdlib.h>

static uint32_t offset_of(const Lexer *l, const char *at) {
  return l->build->source->base + (uint32_t)(at - l->build->source->text);
}

static Span span_from(const Lexer *l, const char *from) { return (Span){offset_of(l, from), offset_of(l, l->cursor)}; }

static const char *text_at(const Lexer *l, uint32_t at) { return l->build->source->text + (at - l->build->source->base); }

static bool starts_name(const char *c) {
  return (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' || (unsigned char)*c >= 0x80;
}
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool goes_on(const char *c) { return starts_name(c) || is_digit(*c); }
static const char *past_blanks(const char *c) { return c + strspn(c, " \t\r"); }

/* ---- single lexemes that are wrong, or nearly */

static DiagItem *complain(Lexer *l, Code code, const char *from, const char *message) {
  return diag_at(l->build->diag, code, span_from(l, from), "%s", message);
}

/* Says what to write instead, and goes on as if it had been written. */
static void instead(Lexer *l, const char *from, const char *message, const char *replacement) {
  DiagItem *i = complain(l, E0102, from, message);
  if (*replacement) diag_fix(i, span_from(l, from), replacement, "write `%s`", replacement);
}

static const struct { const char *text, *name, *replacement; int kind; } look_alikes[] = {
  {"−", "a minus sign of typesetting",      "-",  TOK_MINUS},  {"–", "a dash",                       "-",  TOK_MINUS},
  {"×", "a multiplication sign",            "*",  TOK_TIMES},  {"·", "a multiplication dot",         "*",  TOK_TIMES},
  {"⋅", "a multiplication dot",             "*",  TOK_TIMES},  {"÷", "a division sign",              "/",  TOK_SLASH},
  {"≤", "a sign of typesetting",            "<=", TOK_LE},     {"≥", "a sign of typesetting",        ">=", TOK_GE},
  {"≠", "a sign of typesetting",            "!=", TOK_NE},     {"→", "an arrow of typesetting",      "->", TOK_ARROW},
  {"∼", "a tilde of typesetting",           "~",  TOK_TILDE},  {"‖", "a double bar of typesetting",  "||", TOK_BARS},
  {"∥", "a double bar of typesetting",      "||", TOK_BARS},   {"…", "dots of typesetting",          "..", TOK_DOTS},
  {"∈", "a sign of typesetting",            "in", TOK_IN},     {"\u00A0", "a no-break space",        " ",  0},
  {"\u3000", "a wide space",                " ",  0},          {"\u200B", "a space of no width",     "",   0},
  {"\uFEFF", "a byte order mark",           "",   0},
};

/* One letter that starts nothing.  Gives the token it stands for, or 0 when there is none. */
static int stray(Lexer *l, const char *from) {
  size_t size = (size_t)(l->cursor - from);
  for (size_t i = 0; i < LEN(look_alikes); i++) {
    if (strlen(look_alikes[i].text) != size || memcmp(look_alikes[i].text, from, size) != 0) continue;
    DiagItem *item = diag_at(l->build->diag, E0102, span_from(l, from), "this is %s", look_alikes[i].name);
    if (*look_alikes[i].replacement == ' ') diag_fix(item, span_from(l, from), " ", "write an ordinary space");
    else if (*look_alikes[i].replacement) diag_fix(item, span_from(l, from), look_alikes[i].replacement, "write `%s`", look_alikes[i].replacement);
    else diag_fix(item, span_from(l, from), "", "remove it");
    return look_alikes[i].kind;
  }
  uint32_t scalar;
  utf8_decode(from, l->limit, &scalar);
  if (scalar < 0x20 || (scalar >= 0x7F && scalar < 0xA0))
    complain(l, E0102, from, arena_printf(l->build->arena, "a control character (U+%04X) cannot stand here", scalar));
  else {
    DiagItem *i = complain(l, E0102, from, arena_printf(l->build->arena, "`%.*s` has no meaning in the language", (int)size, from));
    if (scalar == 0x201C || scalar == 0x201D || scalar == '\'') diag_help(i, "texts are written in straight double quotes: \"parts/decoder\"");
    if (scalar == 0xB2 || scalar == 0xB3) diag_help(i, "a power is written with `^`");
    if (scalar == '%' || scalar == '$') diag_help(i, "comments start with `#`");
    if (scalar == '|') diag_help(i, "KL takes `||`, and a pipe is `|>`");
  }
  while (l->cursor < l->limit && *l->cursor == *from && size == 1) l->cursor++;     /* a run of it is one slip */
  l->excuse = true;
  return 0;
}

/* The unit that the word here means, or NULL. */
static const char *unit_of(const char *c) {
  static const char *const words[] = {"epochs", "epoch", "steps", "step"};
  for (size_t i = 0; i < LEN(words); i++) {
    size_t size = strlen(words[i]);
    if (strncmp(c, words[i], size) == 0 && !goes_on(c + size)) return words[i / 2 * 2];
  }
  return NULL;
}

static Token number(Lexer *l, const char *from) {
  Token t = {.kind = TOK_NUMBER};
  size_t size = (size_t)(l->cursor - from);
  char near[64], *text = size < sizeof near ? near : arena_alloc(l->build->arena, size + 1);
  memcpy(text, from, size);
  text[size] = 0;
  t.number.value = strtod(text, NULL);
  t.number.whole = strspn(text, "0123456789") == size;
  if (t.number.value > 1.7976931348623157e308) complain(l, E0103, from, "this number is larger than any double");
  else if (t.number.whole && t.number.value > 9007199254740992.0) complain(l, E0103, from, "this whole number is larger than 2^53");
  t.span = span_from(l, from);
  return t;
}

/* `3x`, `1_000`: the digits are the number, what follows is dropped. */
static Token number_in_name(Lexer *l, const char *from) {
  const char *end = l->cursor;
  size_t digits = strspn(from, "0123456789.");
  const char *tail = from + digits;
  DiagItem *i = complain(l, E0103, from, "a number runs into a name");
  if (*tail == '_') diag_help(i, "digits are written without separators");
  else if (unit_of(tail)) diag_help(i, "put a blank before the unit: `%.*s %.*s`", (int)digits, from, (int)(end - tail), tail);
  else diag_help(i, "for a product write `%.*s * %.*s`", (int)digits, from, (int)(end - tail), tail);
  return (Token){.kind = TOK_NUMBER, .span = span_from(l, from), .number = {strtod(from, NULL), false}};
}

static const char *line_end(const Lexer *l, const char *c) {
  const char *end = memchr(c, '\n', (size_t)(l->limit - c));
  return end ? end : l->limit;
}

/* A text in quotes.  One that is not closed on its line is taken to end at the first blank. */
static Token quoted(Lexer *l, const char *from) {
  const char *stop = line_end(l, from), *end = memchr(from + 1, '"', (size_t)(stop - from) - 1);
  const char *close = end ? end : from + strcspn(from, " \t\r\n");
  if (close > stop) close = stop;
  l->cursor = end ? end + 1 : close;
  if (!end) complain(l, E0102, from, "this text has no closing quote");
  return (Token){.kind = TOK_STRING, .span = span_from(l, from), .name = name_of_n(from + 1, (size_t)(close - from) - 1)};
}

static Name name_at(const char *from, size_t size) {
  /* the micro and ohm signs are by their decomposition the Greek letters they look like */
  if (size == 2 && memcmp(from, "\xC2\xB5", 2) == 0) return name_of("\xCE\xBC");
  if (size == 3 && memcmp(from, "\xE2\x84\xA6", 3) == 0) return name_of("\xCE\xA9");
  return name_of_n(from, size);
}

/* ---- scan: one lexeme */

static Token scan(Lexer *l) {
  const char *YYMARKER, *YYCTXMARKER, *from;
  int kind;
  for (;;) {
    from = l->cursor;
/*!include:re2c "unicode_categories.re" */
/*!re2c
    re2c:flags:utf-8 = 1;
    re2c:flags:encoding-policy = fail;
    re2c:define:YYCTYPE = "unsigned char";
    re2c:define:YYCURSOR = "l->cursor";
    re2c:define:YYLIMIT = "l->limit";
    re2c:api:style = free-form;
    re2c:yyfill:enable = 0;
    re2c:eof = 0;

    digit  = [0-9];
    letter = L | "_";
    name   = letter (letter | Mn | Mc | Nd)*;

    $                        { return (Token){.kind = TOK_END, .span = span_from(l, from)}; }
    [ \t]+                   { continue; }
    "#"                      { l->cursor = line_end(l, from); continue; }
    "\r"? "\n"               { return (Token){.kind = TOK_NL, .span = span_from(l, from)}; }

    digit+ ("." digit+)? ([eE] [+-]? digit+)?  { return number(l, from); }
    digit+ ("." digit+)? ([eE] [+-]? digit+)? name  { return number_in_name(l, from); }
    digit+ "." / [^.0-9]     {
      l->cursor = from + strspn(from, "0123456789") + 1;
      complain(l, E0103, from, "a number has digits on both sides of the point");
      Token t = {.kind = TOK_NUMBER, .span = span_from(l, from), .number = {strtod(from, NULL), false}};
      return t;
    }
    "." digit+ ([eE] [+-]? digit+)?  {
      DiagItem *i = complain(l, E0103, from, "a number has digits on both sides of the point");
      diag_fix(i, (Span){offset_of(l, from), offset_of(l, from)}, "0", "write `0%.*s`", (int)(l->cursor - from), from);
      Token t = {.kind = TOK_NUMBER, .span = span_from(l, from), .number = {strtod(from, NULL), false}};
      return t;
    }

    ["]                      { return quoted(l, from); }

    "import"         { kind = TOK_IMPORT;         goto token; }
    "as"             { kind = TOK_AS;             goto token; }
    "const"          { kind = TOK_CONST;          goto token; }
    "option"         { kind = TOK_OPTION;         goto token; }
    "plate"          { kind = TOK_PLATE;          goto token; }
    "data"           { kind = TOK_DATA;           goto token; }
    "param"          { kind = TOK_PARAM;          goto token; }
    "state"          { kind = TOK_STATE;          goto token; }
    "update"         { kind = TOK_UPDATE;         goto token; }
    "net"            { kind = TOK_NET;            goto token; }
    "fun"            { kind = TOK_FUN;            goto token; }
    "dist"           { kind = TOK_DIST;           goto token; }
    "on"             { kind = TOK_ON;             goto token; }
    "also"           { kind = TOK_ALSO;           goto token; }
    "check"          { kind = TOK_CHECK;          goto token; }
    "model"          { kind = TOK_MODEL;          goto token; }
    "guide"          { kind = TOK_GUIDE;          goto token; }
    "objective"      { kind = TOK_OBJECTIVE;      goto token; }
    "maximize"       { kind = TOK_MAXIMIZE;       goto token; }
    "minimize"       { kind = TOK_MINIMIZE;       goto token; }
    "train"          { kind = TOK_TRAIN;          goto token; }
    "step"           { kind = TOK_STEP;           goto token; }
    "over"           { kind = TOK_OVER;           goto token; }
    "report"         { kind = TOK_REPORT;         goto token; }
    "for"            { kind = TOK_FOR;            goto token; }
    "each"           { kind = TOK_EACH;           goto token; }
    "in"             { kind = TOK_IN;             goto token; }
    "by"             { kind = TOK_BY;             goto token; }
    "if"             { kind = TOK_IF;             goto token; }
    "then"           { kind = TOK_THEN;           goto token; }
    "else"           { kind = TOK_ELSE;           goto token; }
    "return"         { kind = TOK_RETURN;         goto token; }
    "draw"           { kind = TOK_DRAW;           goto token; }
    "once"           { kind = TOK_ONCE;           goto token; }
    "via"            { kind = TOK_VIA;            goto token; }
    "autoregressive" { kind = TOK_AUTOREGRESSIVE; goto token; }
    "log"            { kind = TOK_LOG;            goto token; }
    "of"             { kind = TOK_OF;             goto token; }
    "ordered"        { kind = TOK_ORDERED;        goto token; }
    "and"            { kind = TOK_AND;            goto token; }
    "or"             { kind = TOK_OR;             goto token; }
    "not"            { kind = TOK_NOT;            goto token; }
    "true"           { kind = TOK_TRUE;           goto token; }
    "false"          { kind = TOK_FALSE;          goto token; }
    "sum" | "mean" | "prod" | "max" | "min" | "log_sum_exp" | "log_mean_exp" { kind = TOK_REDUCE; goto token; }
    name             { kind = TOK_NAME;           goto token; }

    "("  { kind = TOK_LPAREN;    goto token; }    ")"  { kind = TOK_RPAREN;   goto token; }
    "["  { kind = TOK_LSQUARE;   goto token; }    "]"  { kind = TOK_RSQUARE;  goto token; }
    "{"  { kind = TOK_LBRACE;    goto token; }    "}"  { kind = TOK_RBRACE;   goto token; }
    ","  { kind = TOK_COMMA;     goto token; }    ";"  { kind = TOK_SEMICOLON; goto token; }
    ":"  { kind = TOK_COLON;     goto token; }    "="  { kind = TOK_IS;       goto token; }
    "~"  { kind = TOK_TILDE;     goto token; }    "."  { kind = TOK_DOT;      goto token; }
    ".." { kind = TOK_DOTS;      goto token; }    "->" { kind = TOK_ARROW;    goto token; }
    "|>" { kind = TOK_PIPE;      goto token; }    "||" { kind = TOK_BARS;     goto token; }
    "+"  { kind = TOK_PLUS;      goto token; }    "-"  { kind = TOK_MINUS;    goto token; }
    "*"  { kind = TOK_TIMES;     goto token; }    "/"  { kind = TOK_SLASH; goto token; }
    "@"  { kind = TOK_AT;        goto token; }    "^"  { kind = TOK_HAT;      goto token; }
    "<"  { kind = TOK_LT;        goto token; }    "<=" { kind = TOK_LE;       goto token; }
    ">"  { kind = TOK_GT;        goto token; }    ">=" { kind = TOK_GE;       goto token; }
    "==" { kind = TOK_EQ;        goto token; }    "!=" { kind = TOK_NE;       goto token; }

    "**" { instead(l, from, "a power is written with `^`", "^");             kind = TOK_HAT; goto token; }
    ":=" { instead(l, from, "a definition is written with `=`", "=");        kind = TOK_IS;  goto token; }
    "&&" | "&" { instead(l, from, "a conjunction is written in words", "and"); kind = TOK_AND; goto token; }
    "!"  { instead(l, from, "a negation is written in words", "not ");       kind = TOK_NOT; goto token; }
    "//" [^\n]* { l->cursor = from + 2; instead(l, from, "comments start with `#`", "#"); l->cursor = line_end(l, from); continue; }
    "/*" {
      complain(l, E0102, from, "comments start with `#` and end with the line");
      const char *end = strstr(l->cursor, "*" "/");
      l->cursor = end ? end + 2 : l->cursor + strcspn(l->cursor, "\n");
      continue;
    }

    [^]  { kind = stray(l, from); if (kind) goto token; continue; }
    *    { continue; }                                              /* no UTF-8; said once at the start */
*/
  token:;
    Token t = {.kind = kind, .span = span_from(l, from)};
    if (starts_name(from)) t.name = name_at(from, (size_t)(l->cursor - from));
    return t;
  }
}

/* ---- layout */

/* The line goes on after these. */
static bool leaves_open(int kind) {
  switch (kind) {
    case TOK_PLUS: case TOK_MINUS: case TOK_TIMES: case TOK_SLASH: case TOK_AT: case TOK_HAT: case TOK_LT: case TOK_LE:
    case TOK_GT: case TOK_GE: case TOK_EQ: case TOK_NE: case TOK_AND: case TOK_OR: case TOK_NOT: case TOK_DOTS: case TOK_DOT:
    case TOK_COMMA: case TOK_IS: case TOK_TILDE: case TOK_COLON: case TOK_ARROW: case TOK_PIPE: case TOK_BARS: case TOK_IN:
    case TOK_OVER: case TOK_THEN: case TOK_ELSE: case TOK_BY: case TOK_VIA:
      return true;
    default:
      return false;
  }
}

/* Past blanks, comments and empty lines: what the next line that says something begins with. */
static const char *next_text(const char *c) {
  for (;;) {
    c += strspn(c, " \t\r\n");
    if (*c != '#') return c;
    c += strcspn(c, "\n");
  }
}

static bool is_word(const char *c, const char *word) {
  size_t n = strlen(word);
  return strncmp(c, word, n) == 0 && !goes_on(c + n);
}

/* See note [forgotten brackets]. */
static bool starts_declaration(const char *c) {
  static const char *const words[] = {"import", "const", "option", "plate", "data", "net", "fun", "dist", "model", "guide",
                                      "objective", "maximize", "minimize", "train", "report"};
  for (size_t i = 0; i < LEN(words); i++) {
    if (!is_word(c, words[i])) continue;
    const char *after = past_blanks(c + strlen(words[i]));
    return *after != ':' && *after != '=' && *after != '.' && *after != ',' && *after != ')';
  }
  return false;
}

/* `x ~`, `x[i] =`, `param`: what starts a statement and nothing else.  In brackets `x =` may be a slip for `x: `, so
 * there it counts only where no argument could start. */
static bool starts_statement(const char *c, bool may_be_argument) {
  static const char *const words[] = {"param", "state", "update", "for", "return", "also", "check", "step"};
  if (!starts_name(c)) return false;
  for (size_t i = 0; i < LEN(words); i++)
    if (is_word(c, words[i])) return *past_blanks(c + strlen(words[i])) != ':';
  while (goes_on(c)) c++;
  c = past_blanks(c);
  if (*c == '[') {
    unsigned depth = 0;
    for (; *c && *c != '\n'; c++) {
      depth += *c == '[';
      depth -= *c == ']';
      if (depth == 0) break;
    }
    if (*c != ']') return false;
    c = past_blanks(c + 1);
  }
  return *c == '~' || (*c == '=' && c[1] != '=' && !may_be_argument);
}

static void enqueue(Lexer *l, Token t) {
  t.excused = t.excused || l->excuse;
  l->excuse = false;
  if (l->queue_from == l->queue_to) l->queue_from = l->queue_to = 0;
  if (l->queue_to < MOST_QUEUED) l->queue[l->queue_to++] = t;
}

static int last_queued(const Lexer *l) { return l->queue_from < l->queue_to ? l->queue[l->queue_to - 1].kind : l->last.kind; }

/* Ends the statement, if one is open.  The token stands right behind the last one, so that no span grows over it. */
static void enqueue_line_end(Lexer *l) {
  int last = last_queued(l);
  if (last == TOK_NL || last == TOK_LBRACE || last == 0) return;
  uint32_t end = l->last.span.end;
  if (l->queue_from < l->queue_to) end = l->queue[l->queue_to - 1].span.end;
  enqueue(l, (Token){.kind = TOK_NL, .span = {end, end}});
}

static int closing_of(char open) { return open == '(' ? TOK_RPAREN : open == '[' ? TOK_RSQUARE : TOK_RBRACE; }

/* Closes the innermost bracket in the user's place, and says so. */
static void invent_closing(Lexer *l, DiagItem **item, Span where, const char *because) {
  Open *o = &l->open[--l->depth];
  if (*item) diag_label(*item, o->span, "nor is this `%c`", o->bracket);
  else {
    *item = diag_at(l->build->diag, E0104, o->span, "this `%c` is never closed", o->bracket);
    diag_label(*item, where, "%s", because);
  }
  if (o->bracket == '{') enqueue_line_end(l);
  enqueue(l, (Token){.kind = closing_of(o->bracket), .span = {l->last.span.end, l->last.span.end}, .excused = true});
  if (o->bracket == '{') enqueue_line_end(l);
}

static bool in_round(const Lexer *l) { return l->depth > 0 && l->open[l->depth - 1].bracket != '{'; }

static void opened(Lexer *l, Token t, char bracket) {
  if (l->depth == DEEPEST_BRACKETS) {
    DiagItem *i = diag_at(l->build->diag, E0105, t.span, "brackets nest deeper than %d", DEEPEST_BRACKETS);
    diag_help(i, "name an inner part and use the name");
    l->stopped = true;
    return;
  }
  l->open[l->depth++] = (Open){bracket, t.span};
  enqueue(l, t);
}

/* A closing bracket: closes the ones forgotten inside, or is itself one too many. */
static void closed(Lexer *l, Token t, char bracket) {
  unsigned match = l->depth;
  while (match > 0 && l->open[match - 1].bracket != bracket && (bracket == '{' || l->open[match - 1].bracket != '{')) match--;
  char text = *text_at(l, t.span.at);
  if (match == 0 || l->open[match - 1].bracket != bracket) {
    if (in_round(l)) {                                             /* ( ... ] : the wrong kind, taken for the right one */
      Open *o = &l->open[--l->depth];
      DiagItem *i = diag_at(l->build->diag, E0104, t.span, "`%c` closes a `%c`", text, o->bracket);
      diag_label(i, o->span, "opened here");
      t.kind = closing_of(o->bracket);
      enqueue(l, t);
      return;
    }
    diag_at(l->build->diag, E0104, t.span, "this `%c` closes nothing", text);
    l->excuse = true;
    return;
  }
  DiagItem *item = NULL;
  while (l->depth > match) {
    invent_closing(l, &item, t.span, arena_printf(l->build->arena, "`%c` closes what was opened before it", text));
    t.excused = true;
  }
  if (bracket == '{') enqueue_line_end(l);
  l->depth--;
  enqueue(l, t);
  if (bracket == '{' && !is_word(next_text(l->cursor), "else")) enqueue_line_end(l);
}

static unsigned column_of(const Lexer *l, const char *c) {
  unsigned n = 0;
  while (c > l->build->source->text && c[-1] != '\n') c--, n++;
  return n;
}

/* A header without a block, but with lines below it that stand further in: its `{` was forgotten. */
static bool invented_brace(Lexer *l, const char *next) {
  if (!l->header.kind || l->depth == DEEPEST_BRACKETS || next >= l->limit) return false;
  if (column_of(l, next) <= column_of(l, text_at(l, l->header.span.at)) || *next == '}') return false;
  uint32_t end = l->last.span.end;
  Token t = {.kind = TOK_LBRACE, .span = {end, end}, .excused = true};
  DiagItem *i = diag_at(l->build->diag, E0104, t.span, "this block has no `{`");
  diag_fix(i, t.span, " {", "put it at the end of the line");
  l->open[l->depth++] = (Open){'{', t.span};
  enqueue(l, t);
  return true;
}

/* Which words want a block.  A definition (`net f = ...`) wants none. */
static void watch_header(Lexer *l, Token t) {
  bool starts = l->last.kind == TOK_NL || l->last.kind == TOK_LBRACE || l->last.kind == 0;
  bool program = t.kind == TOK_MODEL || t.kind == TOK_GUIDE || t.kind == TOK_NET || t.kind == TOK_DIST || t.kind == TOK_TRAIN;
  if (starts) l->header = (l->depth == 0 ? program : t.kind == TOK_FOR || t.kind == TOK_IF) ? t : (Token){0};
  else if (t.kind == TOK_LBRACE || (t.kind == TOK_IS && !in_round(l))) l->header = (Token){0};
}

static bool awaits_argument(int kind) { return kind == TOK_COMMA || kind == TOK_LPAREN || kind == TOK_LSQUARE || kind == TOK_COLON; }

static void line_ended(Lexer *l) {
  const char *next = next_text(l->cursor);
  bool declaration = (next == l->build->source->text || next[-1] == '\n') && starts_declaration(next);
  bool statement = l->depth > 0 && starts_statement(next, in_round(l) && awaits_argument(l->last.kind));
  if (l->depth > 0 && (declaration || (statement && in_round(l)))) {
    uint32_t at = offset_of(l, next);
    Span where = {at, at + (uint32_t)strcspn(next, " \t\r\n([{")};
    DiagItem *item = NULL;
    while (declaration ? l->depth > 0 : in_round(l))
      invent_closing(l, &item, where, declaration ? "a declaration starts here" : "a statement starts here");
    enqueue_line_end(l);
    return;
  }
  if (in_round(l)) return;
  if (leaves_open(l->last.kind) && !declaration && !statement) return;
  if (*next == '{') return;                                        /* a block may open on a line of its own, */
  if (invented_brace(l, next)) return;
  if (l->last.kind == TOK_RBRACE && is_word(next, "else")) return; /* and so may its else */
  enqueue_line_end(l);
}

static void file_ended(Lexer *l, Token t) {
  Span end = {l->last.span.end, l->last.span.end};                 /* not the empty line below */
  DiagItem *item = NULL;
  while (l->depth > 0) invent_closing(l, &item, end, "the file ends here");
  enqueue_line_end(l);
  enqueue(l, t);
}

/* A unit stands behind an amount on its line, unless the word is a setting of its own: `batch: 5 epochs: 3`. */
static void see_unit(Lexer *l, Token *t) {
  const char *unit = t->kind == TOK_NAME || t->kind == TOK_STEP ? unit_of(t->name) : NULL;
  bool amount = l->scanned == TOK_NUMBER || l->scanned == TOK_NAME || l->scanned == TOK_RPAREN || l->scanned == TOK_RSQUARE;
  if (unit && amount && *past_blanks(l->cursor) != ':') t->kind = TOK_UNIT, t->name = name_of(unit);
  l->scanned = t->kind;
}

/* Words with a meaning in one place only; see the top. */
static Token word_in_place(const Lexer *l, Token t) {
  if (!t.name || t.kind == TOK_STRING || t.kind == TOK_NAME || t.kind == TOK_UNIT) return t;
  const char *after = past_blanks(l->cursor);
  bool colon = after[0] == ':' && after[1] != '=';
  if (l->last.kind == TOK_DOT) t.kind = TOK_NAME;
  else if (t.kind == TOK_REDUCE) t.kind = *after == '(' ? TOK_REDUCE : TOK_RWORD;
  else if (colon) t.kind = TOK_WORD;
  return t;
}

/* See note [dropped braces]. */
static void leave_out_block(Lexer *l) {
  unsigned braces = 1;
  if (l->depth > 0) l->depth--;
  for (; l->cursor < l->limit; l->cursor++) {
    const char *c = l->cursor;
    if (*c == '#') l->cursor = line_end(l, c) - 1;
    if (*c == '\n' && starts_declaration(c + 1)) break;
    braces += *c == '{';
    braces -= *c == '}';
    if (braces > 0) continue;
    l->cursor++;
    break;
  }
  if (!is_word(next_text(l->cursor), "else")) enqueue_line_end(l);
}

static void fill(Lexer *l) {
  if (l->last.kind == TOK_LBRACE && !l->brace_taken) {
    l->last.kind = TOK_RBRACE;
    leave_out_block(l);
    return;
  }
  Token t = scan(l);
  see_unit(l, &t);
  watch_header(l, t);
  switch (t.kind) {
    case TOK_NL:      line_ended(l); break;
    case TOK_END:     file_ended(l, t); break;
    case TOK_LPAREN:  opened(l, t, '('); break;
    case TOK_LSQUARE: opened(l, t, '['); break;
    case TOK_LBRACE:  opened(l, t, '{'); break;
    case TOK_RPAREN:  closed(l, t, '('); break;
    case TOK_RSQUARE: closed(l, t, '['); break;
    case TOK_RBRACE:  closed(l, t, '{'); break;
    case TOK_SEMICOLON:
      if (in_round(l)) enqueue(l, t);
      else {
        DiagItem *i = diag_at(l->build->diag, E0101, t.span, "a statement ends with its line, without `;`");
        if (strchr("\n#", *past_blanks(l->cursor))) diag_fix(i, t.span, "", "remove it");
        else diag_help(i, "put each statement on a line of its own");
        enqueue_line_end(l);
      }
      break;
    default:
      enqueue(l, word_in_place(l, t));
      break;
  }
}

/* Bytes that are not UTF-8 are one mistake of the file, not one each. */
static void check_encoding(Lexer *l) {
  const char *first = NULL;
  unsigned count = 0;
  for (const char *c = l->cursor; c < l->limit; ) {
    uint32_t scalar;
    unsigned n = utf8_decode(c, l->limit, &scalar);
    if (n == 1 && scalar == UTF8_BAD && count++ == 0) first = c;
    c += n;
  }
  if (!first) return;
  Span at = {offset_of(l, first), offset_of(l, first) + 1};
  DiagItem *i = diag_at(l->build->diag, E0102, at, "the file is not UTF-8: byte 0x%02X", (unsigned char)*first);
  if (count > 1) diag_note(i, "%u more byte%s of the file %s not UTF-8", count - 1, count == 2 ? "" : "s", count == 2 ? "is" : "are");
  diag_help(i, "save the file as UTF-8");
}

void lexer_start(Lexer *l, Build *b) {
  memset(l, 0, sizeof *l);
  l->build = b;
  l->cursor = b->source->text;
  l->limit = b->source->text + b->source->size;
  if (b->source->size >= 3 && memcmp(l->cursor, "\xEF\xBB\xBF", 3) == 0) l->cursor += 3;
  uint32_t start = offset_of(l, l->cursor);
  l->last.span = (Span){start, start};
  check_encoding(l);
}

void lexer_take_brace(Lexer *l) { l->brace_taken = true; }

bool lexer_sees(const Lexer *l, const char *text) {
  const char *c = past_blanks(text_at(l, l->last.span.end));
  return strncmp(c, text, strlen(text)) == 0;
}

int lexer_next(union SVM_STYPE *value, Span *span, Lexer *l) {
  while (l->queue_from == l->queue_to && !l->stopped) fill(l);
  Token t = {.kind = TOK_END, .span = {l->last.span.end, l->last.span.end}};
  if (l->queue_from < l->queue_to && !l->stopped) t = l->queue[l->queue_from++];
  l->before = l->last;
  l->last = t;
  l->brace_taken = false;
  *span = t.span;
  if (t.kind == TOK_NUMBER) value->TOK_NUMBER = t.number;
  else if (t.name) value->TOK_NAME = t.name;
  return t.kind;
}
