/* The lexer: from text to the tokens of parser.y, with the layout of lines already decided.
 *
 * lexer_next gives one token at a time; every statement and declaration ends with a TOK_NL, written or not, and every
 * bracket the parser sees is closed, by the lexer where the user forgot.  Private to grammar/. */
#ifndef SVIC_LEXER_H
#define SVIC_LEXER_H
#include "../compiler/ast/build.h"

enum { DEEPEST_BRACKETS = 200, MOST_QUEUED = 2 * DEEPEST_BRACKETS + 4 };

union SVM_STYPE;

typedef struct { int kind; Span span; Name name; Number number; bool excused; } Token;   /* excused: what is wrong with it was said */
typedef struct { char bracket; Span span; } Open;

typedef struct {
  Build      *build;
  const char *cursor, *limit;                    /* re2c's */
  Token       last, before;                      /* handed out last, and the one before it */
  int         scanned;                           /* kind of what was read last */
  Token       queue[MOST_QUEUED];                /* decided on, not handed out yet */
  unsigned    queue_from, queue_to;
  Open        open[DEEPEST_BRACKETS];
  unsigned    depth;
  Token       header;                            /* the word whose block is still to come, on this line */
  bool        brace_taken;                       /* the parser's answer to a `{`; see note [dropped braces] */
  bool        excuse;                            /* something was dropped: do not complain of the next token */
  bool        stopped;                           /* said why already: no more tokens, no more messages */
} Lexer;

void lexer_start(Lexer *l, Build *b);
int  lexer_next (union SVM_STYPE *value, Span *span, Lexer *l);

/* The parser has taken the `{` handed out last; see note [dropped braces]. */
void lexer_take_brace(Lexer *l);

/* For messages: is the next thing on the line after the last token this text? */
bool lexer_sees(const Lexer *l, const char *text);
#endif
