/* The syntax tree: what the user wrote, nothing resolved.  Built by the grammar (one call an action), read by types/.
 * Nodes live in the compilation's arena; lists are arrays; spans cover the whole construct. */
#ifndef SVIC_AST_H
#define SVIC_AST_H
#include "../base/base.h"

typedef struct Expr Expr;
typedef struct Stmt Stmt;
typedef struct Decl Decl;

typedef struct { Name name; Expr *value; Span span; } Arg;         /* name is NULL when positional */
typedef VEC(Arg)    Args;
typedef VEC(Expr *) Exprs;
typedef VEC(Stmt *) Stmts;
typedef VEC(Decl *) Decls;
typedef struct { Name name; Span name_span; Expr *range; bool each; Span span; } Binder;   /* `i in M`, or `each doc` */
typedef VEC(Binder) Binders;

typedef enum {
#define EXPR(kind, name) kind,
#include "ast.def"
#undef EXPR
} ExprKind;

typedef enum {
  OP_NEG, OP_NOT,
  OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MATMUL, OP_POW,
  OP_LT, OP_LE, OP_GT, OP_GE, OP_EQ, OP_NE, OP_AND, OP_OR,
  OP_PIPE,      /* a |> f(b) */
  OP_BARS       /* a || b, between the arguments of KL */
} AstOp;
const char *ast_op_text(AstOp op);

struct Expr {
  ExprKind kind;
  Span     span;
  union {
    struct { double value; bool whole; } number;                    /* whole: written without . or e */
    struct { Expr *amount; Name unit; } duration;                   /* 20 epochs; unit: epochs or steps */
    struct { Name text; } string;
    Name     name;
    struct { Expr *base; Name member; Span member_span; } field;
    struct { Expr *callee; Args args; } call;
    struct { Expr *base; Args args; } index;                       /* E[q, k: K] has a named one */
    Exprs    list;
    struct { AstOp op; Expr *a, *b; Span op_span; } op;             /* b is NULL for unary */
    struct { Expr *first, *last, *by; } range;                      /* by may be NULL */
    struct { Binders binders; Expr *body; } comprehension;
    struct { Name reducer; Binders binders; Expr *body; } reduce;   /* no binders: sum(x) */
    struct { Expr *target; } log_density;                           /* log p.x */
    struct { Expr *dist; bool once; } draw;
    struct { Expr *callee; Args args; } instance;                   /* net f(args) */
    struct { Expr *condition, *yes, *no; } choice;                  /* if c then a else b */
  } as;
};

typedef struct { Name name; Exprs index; Span span; } Target;       /* z, z[l], z[l, m] */

/* `real[n, m]`, `class[10][5]`, `interval(a, b)[n]`: element name, its own arguments, each bracket group in order */
typedef struct { Name element; Span element_span; Exprs params; VEC(Exprs) sizes; Span span; } Type;

typedef struct { Name name; Type *type; Expr *fallback; Span span; } Param;   /* type, fallback may be NULL */
typedef VEC(Param) Params;

typedef enum {
#define STMT(kind, name) kind,
#include "ast.def"
#undef STMT
} StmtKind;

struct Stmt {
  StmtKind kind;
  Span     span;
  union {
    struct { Target target; Expr *value; } let;
    struct { Target target; Expr *dist; bool autoregressive; Expr *via; Span tilde; } site;
    struct { Name name; Span name_span; Expr *range; Stmts body; } loop;
    struct { Name plate; Span plate_span; Stmts body; } each;
    struct { Expr *condition; Stmts yes, no; } branch;
    struct { Name name; Span name_span; Type *type; Expr *init, *prior; Name plate; Span plate_span; } param;  /* also state */
    struct { Name name; Span name_span; Expr *value; } update;
    struct { Expr *value; } ret;                                     /* also prior: param ~ D */
  } as;
};

/* A member of a dist: `mean = e`, `logpdf(x) = e`, `kl(Gamma(a, b)) = e`, or a check line. */
typedef struct { Name name; Span name_span; Exprs params; Expr *body; Span span; } Member;
typedef VEC(Member) Members;
typedef struct { Name member; Args at; Args args; Expr *value; Span span; } Check;   /* check logpdf(2.0; shape: 3, rate: 1) = v */
typedef struct { Name name; Span name_span; Params params; Expr *canonical; Members members; Span span; } Form; /* also D(...) = D(...) { members } */
typedef struct { Name name; Span name_span; bool maximize; Expr *objective; Exprs over; Span span; } StepDecl;  /* name NULL for the only one */

typedef enum {
#define DECL(kind, name) kind,
#include "ast.def"
#undef DECL
} DeclKind;

struct Decl {
  DeclKind kind;
  Span     span;
  Name     name;            /* what it declares; NULL for maximize, minimize, train */
  Span     name_span;
  union {
    struct { Name path; bool quoted; Name alias; } import;          /* quoted: a file; alias is also Decl.name */
    struct { Expr *value; } value;                                  /* const, option, report, net instance, guide q = e */
    struct { VEC(Name) of; VEC(Span) of_span; bool ordered; } plate;
    struct { Type *type; Name plate; Span plate_span; Expr *prepare; } data;
    struct { Params params; Type *result; Stmts body; } net;
    struct { Params params; Expr *body; } fun;                      /* fun, objective */
    struct { bool guide; Name plate; Span plate_span; Stmts body; } program;
    struct { Params params; Type *support; VEC(Form) forms; Members members; VEC(Check) checks; } dist;
    StepDecl     goal;                                                  /* maximize, minimize at top level */
    struct { Args settings; VEC(StepDecl) steps; } train;
  } as;
};

typedef struct { const Source *source; Decls decls; } Ast;

/* Prints the tree in a fixed text form (--emit=ast): canonical source, fully parenthesised where it matters,
 * which parses back to an equal tree. */
void ast_print(const Ast *ast, FILE *out);
void ast_print_expr(const Expr *e, FILE *out);
bool ast_verify(const Ast *ast, FILE *why);    /* every pointer that must be set is; spans lie in the source */

/* grammar/: reads one file.  Syntax errors go to diag (several a run); the tree holds what could be read. */
Ast *ast_parse(Arena *arena, const Source *source, Diag *diag);
#endif
