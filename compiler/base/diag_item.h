/* What a message consists of.  Private to diag.c (which collects) and diag_print.c (which shows). */
#ifndef SVIC_DIAG_ITEM_H
#define SVIC_DIAG_ITEM_H
#include "base.h"

typedef struct { Span at; const char *text; } Label;
typedef enum { FOOT_NOTE, FOOT_HELP, FOOT_FIX } FootKind;
typedef struct { FootKind kind; const char *text; Span at; const char *replacement; } Foot;   /* the last two: a fix only */

struct DiagItem {
  Arena      *arena;
  Code        code;
  Span        at;
  const char *message, *mark;       /* mark may be NULL */
  VEC(Label)  labels;
  VEC(Foot)   feet;
  uint32_t    order;                /* of arrival; decides between messages of one place */
};

struct Diag {
  Arena   *arena;
  Sources *sources;
  VEC(DiagItem *) items;
  DiagItem *unkept;                 /* takes what hangs on a message that is not kept */
  unsigned errors, kept, warnings;  /* errors: all that differ; kept: those in items */
  struct { uint64_t place; uint32_t code; } *seen;      /* an open table of what was said already */
  uint32_t seen_n, seen_cap;
};

typedef struct { const char *code, *name, *title, *text; } CodeRow;
extern const CodeRow diag_rows[CODE_COUNT];
#endif
