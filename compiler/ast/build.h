/* Constructors of the syntax tree, one for each action of the grammar.  Private to grammar/ and build.c.
 *
 * Lists are built by value: list = exprs_add(b, list, e).  Expressions are counted in depth as they grow, so that no
 * text, however hostile, makes a tree that a recursive pass could not walk. */
#ifndef SVIC_BUILD_H
#define SVIC_BUILD_H
#include "ast.h"

typedef struct {
  Arena        *arena;
  const Source *source;
  Diag         *diag;
  Ast          *ast;
} Build;

enum { DEEPEST_EXPR = 1000 };

typedef struct { double value; bool whole; } Number;
typedef struct { Name name; Span span; } Word;
typedef struct { Word *at; uint32_t n, cap; } Words;
typedef struct { Name plate; Span span; } EachOf;                        /* `for each image`, or nothing */
typedef struct { Words of; bool ordered; } PlateOf;
typedef struct { Expr *objective; Exprs over; bool maximize; } Goal;
typedef struct { Args settings; struct { StepDecl *at; uint32_t n, cap; } steps; } TrainItems;
typedef struct { struct { Form *at; uint32_t n, cap; } forms; Members members; struct { Check *at; uint32_t n, cap; } checks; } DistItems;

Exprs   exprs_add  (Build *b, Exprs list, Expr *e);
Args    args_add   (Build *b, Args list, Arg arg);
Params  params_add (Build *b, Params list, Param param);
Binders binders_add(Build *b, Binders list, Binder binder);
Stmts   stmts_add  (Build *b, Stmts list, Stmt *s);                      /* s may be NULL: a statement that was not read */
Words   words_add  (Build *b, Words list, Name name, Span at);
Members members_add(Build *b, Members list, Member m);
void    decls_add  (Build *b, Decl *d);                                  /* to the tree; d may be NULL */

Arg    build_arg       (Name name, Expr *value, Span at);
Arg    build_arg_slip  (Build *b, Name name, Expr *value, Span at, Span equals);       /* `name = value` */
Arg    build_arg_bars  (Build *b, Expr *x, Expr *y, Span at, Span bars);
Param  build_param     (Name name, Type *type, Expr *fallback, Span at);
Binder build_binder    (Name name, Span name_span, Expr *range, Span at);
Binder build_binder_each(Name plate, Span plate_span, Span at);
Target build_target    (Name name, Exprs index, Span at);

Expr *build_bad       (Build *b, Span at);
Expr *build_number    (Build *b, Number n, Span at);
Expr *build_duration  (Build *b, Expr *amount, Name unit, Span at);
Expr *build_string    (Build *b, Name text, Span at);
Expr *build_name      (Build *b, Name name, Span at);
Expr *build_field     (Build *b, Expr *base, Name member, Span member_span, Span at);
Expr *build_call      (Build *b, Expr *callee, Args args, Span at);      /* sum(x) becomes a reduction */
Expr *build_call_named(Build *b, Name name, Span name_span, Args args, Span at);
Expr *build_index     (Build *b, Expr *base, Args args, Span at);
Expr *build_list      (Build *b, Exprs list, Span at);
Expr *build_unary     (Build *b, AstOp op, Expr *x, Span at, Span op_span);
Expr *build_op        (Build *b, AstOp op, Expr *x, Expr *y, Span at, Span op_span);
Expr *build_range     (Build *b, Expr *first, Expr *last, Expr *by, Span at);
Expr *build_comprehension(Build *b, Binders binders, Expr *body, Span at);
Expr *build_reduce    (Build *b, Name reducer, Binders binders, Expr *body, Span at);
Expr *build_log_density(Build *b, Expr *target, Span at);
Expr *build_draw      (Build *b, bool once, Expr *dist, Span at);
Expr *build_instance  (Build *b, Expr *callee, Args args, Span at);
Expr *build_choice    (Build *b, Expr *condition, Expr *yes, Expr *no, Span at);
Expr *build_group     (Expr *inner, Span at);                            /* ( e ): the span grows over the brackets */

Type *build_type      (Build *b, Name element, Span element_span, Exprs params, Span at);
Type *build_type_sized(Build *b, Type *type, Exprs sizes, Span at);

Stmt *build_let    (Build *b, Target target, Expr *value, Span at);
Stmt *build_site   (Build *b, Target target, bool autoregressive, Expr *dist, Expr *via, Span tilde, Span at);
Stmt *build_loop   (Build *b, Word name, Expr *range, Stmts body, Span at);
Stmt *build_each   (Build *b, Word plate, Stmts body, Span at);
Stmt *build_each_slip(Build *b, Word plate, Stmts body, Span at);                      /* `for doc {` */
Stmt *build_each_in_slip(Build *b, Word name, Expr *range, Stmts body, Span at, Span header);  /* `for each d in doc {` */
Stmt *build_branch (Build *b, Expr *condition, Stmts yes, Stmts no, Span at);
Stmt *build_param_stmt(Build *b, bool state, Word name, Type *type, EachOf each, Expr *init, Expr *prior, Span at);
Stmt *build_prior  (Build *b, Expr *dist, Span at);                                    /* `param ~ D` */
Stmt *build_update (Build *b, Word name, Expr *value, Span at);
Stmt *build_return (Build *b, Expr *value, Span at);

EachOf build_each_of     (Name plate, Span at);
EachOf build_each_of_slip(Build *b, Word plate, Span at);                              /* `for image`, `for i in image` */

Decl *build_import   (Build *b, Name path, Span path_span, bool quoted, Word alias, Span at);
Decl *build_value    (Build *b, DeclKind kind, Word name, Expr *value, Span at);
Decl *build_plate    (Build *b, Word name, PlateOf of, Span at);
Decl *build_data     (Build *b, Word name, Type *type, EachOf each, Expr *prepare, Span at);
Decl *build_net      (Build *b, Word name, Params params, Type *result, Stmts body, Span at);
Decl *build_fun      (Build *b, DeclKind kind, Word name, Params params, Expr *body, Span at);
Decl *build_program  (Build *b, bool guide, Word name, EachOf each, Stmts body, Span at);
Decl *build_dist     (Build *b, Word name, Params params, Type *support, DistItems items, Span at);
Decl *build_goal     (Build *b, Goal goal, Span at);
Decl *build_train    (Build *b, TrainItems items, Span at);

Goal       build_goal_of (bool maximize, Expr *objective, Exprs over);
StepDecl       build_step    (Word name, Goal goal, Span at);
TrainItems train_add     (Build *b, TrainItems items, Arg setting);
TrainItems train_add_step(Build *b, TrainItems items, StepDecl step);
Member     build_member  (Word name, Exprs params, Expr *body, Span at);
Form       build_form    (Word name, Params params, Expr *canonical, Members members, Span at);
Check      build_check   (Name member, Args at_args, Args args, Expr *value, Span at);
DistItems  dist_add      (Build *b, DistItems items, Member m);
DistItems  dist_add_form (Build *b, DistItems items, Form f);
DistItems  dist_add_check(Build *b, DistItems items, Check c);

bool ast_is_reducer(Name name);      /* sum mean prod max min log_sum_exp log_mean_exp */
#endif
