/* Values of the language while it is checked: numbers and tensors are graph nodes, everything else is known when compiled. */
#ifndef SVIC_VALUE_H
#define SVIC_VALUE_H
#include "types.h"

typedef enum { V_BAD, V_NODE, V_LIST, V_FUNCTION, V_DIST, V_PROGRAM, V_SITES, V_MODULE, V_FAMILY, V_RANGE, V_DURATION, V_SCHEDULE, V_INIT } ValueKind;
typedef struct Value    Value;
typedef struct Scope    Scope;
typedef struct Builtin  Builtin;
typedef struct Function Function;
typedef VEC(Value) Values;
typedef struct { VEC(Key) key; VEC(Value) value; VEC(Span) span; } Family;

struct Function {
  const Builtin *builtin;             /* or */
  const Decl    *decl;                /* net, fun, objective, dist */
  Module        *module;
  int            form;                /* dist reached by a form's name: always -1 here */
  Args           bound;               /* instance or partial application: arguments after the first */
  Scope         *bound_scope;
  Name           path;                /* instance: where its parameters live; NULL: each call has its own */
};
struct Value {
  ValueKind kind;
  uint32_t  row;                      /* V_SITES, V_PROGRAM: 1 + the axis of the row variable m of `q.z[m]`, `q[m]`; 0: none */
  Span      span;                     /* where the expression was */
  union {
    Val       node;
    Values   *list;
    Function *function;
    DistValue *dist;
    Program  *program;
    struct { Program *program; Name base; Key *key; } sites;      /* p.z, p.z[2] */
    Module   *module;
    Family   *family;
    struct { int32_t first, last, by; } range;
    struct { double amount; SviUnit unit; } duration;
    SviSchedule *schedule;
    struct { SviInitKind kind; double a, b; int32_t data; bool glorot, glorot_normal, he; } init;
  } as;
};

typedef struct { Name name; Value value; Span span; bool used; } Binding;
struct Scope { Scope *parent; Module *module; VEC(Binding) bindings; Program *program; const Stmts *body; /* of a program or net: its statements */ };

struct Module {
  Name   name;
  const Ast *ast;
  Scope *scope;                       /* memo of evaluated declarations */
  VEC(Name) busy;                     /* constants being evaluated: cycles */
  Module *parent;                     /* of a generated guide: the model, whose declarations it sees */
};

typedef struct { Name path; uint32_t n; } PathCount;
typedef struct { Program *program; int32_t particles; } Within;
typedef struct Checker {
  Typed   *t;
  Arena   *arena;
  Diag    *diag;
  Graph   *g;                         /* where nodes are built: the template, or an entry's graph */
  Module  *main;
  VEC(Module *) modules;
  const char *const *search; uint32_t nsearch;
  const Define *defines; uint32_t ndefine; bool *define_used;
  Name     path;                      /* of parameters made now: "p.mlp" */
  VEC(PathCount) counts;
  Program *program;                   /* being checked, or NULL */
  AxisSet  plates;                    /* of the statement */
  bool     objective;                 /* inside maximize, minimize, report */
  bool     report;                    /* ... a report */
  bool     alone;                     /* ... in which a density without an expectation was told of */
  VEC(Within) within;   /* enclosing expectations */
  bool     in_prepare;                /* inside a data declaration's right side */
  AxisSet  indices;                   /* index axes of the comprehensions around */
  AxisSet  bound;                     /* ... with row variables; those are not used again inside */
  AxisSet  open;                      /* plates of the reductions around (`sum(each rating) ...`) */
  const Args *named;                  /* of the built-in function being called */
  uint32_t draws_used;
  uint32_t draw;                      /* draw to use for randomness in a dist member */
  const Shape *draw_shape, *draw_each; AxisSet draw_around;   /* of randomness in a dist's sample; each: inside its own [k in K]; index axes around it */
  uint32_t depth, nested;             /* nested: members of distributions being evaluated inside one another */
  uint32_t flows;                     /* transformed distributions so far */
  uint64_t turns, calls;              /* of all loops, of functions and nets so far */
  VEC(const Member *) members;        /* of distributions, being evaluated */
  bool     crowded;                   /* that there are too many axes was told */
  VEC(const Decl *) endless;          /* called themselves without end: not expanded again */
} Checker;

/* ---- expr.c */
Value eval           (Checker *c, Scope *s, const Expr *e);
Val   eval_node      (Checker *c, Scope *s, const Expr *e);                       /* NO_VAL after a message */
bool  want_size      (Checker *c, Scope *s, const Expr *e, uint32_t *out);        /* a whole number >= 0 known when compiled */
bool  want_whole     (Checker *c, Scope *s, const Expr *e, int32_t *out);
bool  want_number    (Checker *c, Scope *s, const Expr *e, double *out);
Val   known_number   (Checker *c, Val v);
Val   value_node     (Checker *c, Value v);                                       /* as a tensor; message if it is not one */
Val   join_op       (Checker *c, OpKind op, Val a, Val b, Span at, Span sa, Span sb);   /* elementwise, shapes checked */
Val   sum_event      (Checker *c, Val v);
Value lookup         (Checker *c, Scope *s, Name name, Span at);
Scope *scope_new     (Checker *c, Scope *parent, Module *module);
void   scope_bind    (Checker *c, Scope *s, Name name, Value v, Span at);
Binding *scope_find  (Scope *s, Name name);
Value  v_node(Val v, Span at);
Value  v_bad (Span at);
const char *shape_text(Checker *c, const Shape *s);
const char *value_kind_text(Value v);
Site *sites_one(Checker *c, Value v);
Name  member_name(Name base, const Key *key);

/* ---- steps.c */
Value eval_step         (Checker *c, Scope *s, const Expr *e);                    /* prev(v, start), next(v, end) */
void  steps_defined     (Checker *c, Scope *s, Name name, Val v, Site *site, Span at);     /* what may be a recurrence has been defined */
bool  site_range_ahead  (Checker *c, Scope *s, const Expr *dist, Range *range);   /* program.c: as its distribution says without its arguments */

/* ---- axes.c */
int   plate_axis        (Checker *c, Name name);              /* -1: no plate of this name */
Value eval_index        (Checker *c, Scope *s, const Expr *e);
Value eval_comprehension(Checker *c, Scope *s, const Expr *e);
Value eval_reduce       (Checker *c, Scope *s, const Expr *e);

/* ---- rows.c */
void  links_declare (Checker *c, const Decl *d, uint32_t plate);              /* of a `plate NAME of (NAME, NAME)` */
void  links_label   (Checker *c, DiagItem *i, AxisSet plates);                  /* where the pairs among these plates are declared */
bool  links_open    (Checker *c, uint32_t plate, Span at);                    /* may it be opened here?  False after a message */
Val   at_open_rows  (Checker *c, Val v);                                      /* values of plates that an open pair points to, read at its row */
int   row_variable  (Checker *c, Scope *s, const Expr *e);                    /* the axis of `m`, or -1 when this is no row variable */
bool  bind_rows     (Checker *c, Scope *inner, const Binder *b, uint32_t plate, uint32_t *axis);
int   rows_plate    (Checker *c, Scope *s, const Expr *e, bool *failed);      /* the plate that `image` or a program names after `in`, or -1 */
Val   row_value     (Checker *c, Val v, uint32_t row, Span where, Span at);   /* v[m] */
DistValue *row_dist (Checker *c, const DistValue *d, uint32_t row, Span where, Span at);
const DistValue *sites_dist(Checker *c, Value v);                             /* of p.z, p.z[2], q.z[m]; NULL after a message */
Value row_density   (Checker *c, Program *p, Site *const *sites, uint32_t n, uint32_t row, Span at);     /* log q[m] */

/* ---- apply.c */
Value apply          (Checker *c, Scope *s, Value callee, Args args, Value *piped, Span at);
Value call_builtin   (Checker *c, const Builtin *b, Values *args, Args names, Span at);
const Builtin *builtin_find(Name name);
const char *builtin_name(size_t i);                                               /* NULL after the last */
Value run_body       (Checker *c, Scope *s, const Stmts *body, bool *returned);   /* statements of nets and programs: program.c */
Name  path_child     (Checker *c, Name parent, Name child);

/* ---- dist.c */
Value dist_apply     (Checker *c, Scope *s, const Function *f, Args args, Value *piped, Span at);
bool  dist_event     (Checker *c, const DistValue *d, Span at, uint32_t *rank, uint32_t *dim);   /* event dims of one draw, copies included */
Range dist_support   (Checker *c, const DistValue *d);
uint32_t dist_own_rank(const DistValue *d);                                               /* axes of one draw of its own, without copies */
bool  dist_discrete  (Checker *c, const DistValue *d);
Value dist_field     (Checker *c, const DistValue *d, Name field, Span at);
Value dist_call      (Checker *c, const DistValue *d, Name name, Value x, Span at);
Val   dist_entropy   (Checker *c, const DistValue *d, Span at);                              /* summed over the event; NO_VAL after a message */
Val   dist_draw      (Checker *c, DistValue *d, Name draw_name, bool once, Span at);  /* `draw D`: in c->g, over c->plates */
void  dist_check_lines(Checker *c, Module *m, const Decl *d);
Val   dist_value_of  (Checker *c, const DistValue *d, Name member, Val x, const Shape *event);   /* a member, as dist_member has it */
uint32_t dist_lead_rank(const DistValue *d, uint32_t k, const Shape *have);                      /* axes of argument k beyond those its type names */
bool  dist_constant_has_form(Checker *c, Val v, Range want);

/* Event dims of parameter k of a form (-1: the header), for a distribution that draws what d draws; and its type as text. */
bool  dist_param_shape(Checker *c, const DistValue *d, int form, uint32_t k, uint32_t *rank, uint32_t *dim, const char **type);
bool  dist_size_argument(Checker *c, const DistValue *d, Name name, double *x);                  /* value of a `size` parameter */

/* ---- autoguide.c */
Program *autoguide(Checker *c, const Decl *d);                                                    /* NULL after a message */

/* ---- compose.c */
Value run_mixture    (Checker *c, const Builtin *b, Values *a, Span at);
Value run_transformed(Checker *c, const Builtin *b, Values *a, Span at);
Val   mixture_member (Checker *c, const DistValue *d, Name name, Val x, const Shape *event);

/* ---- types of data, parameters, arguments: type.c */
typedef struct { Range range; uint32_t rank; uint32_t dim[DIM_MAX]; const char *text; } TypeInfo;
bool  type_eval      (Checker *c, Scope *s, const Type *t, TypeInfo *out);
bool  range_of_type  (Checker *c, Scope *s, const Type *t, Range *range, uint32_t *own_dims);    /* element only */

/* ---- supports: support.c.  u is unconstrained, x lies in the support; axes before those of one element are taken along. */
typedef struct Support Support;                                                               /* a row of support.def */
typedef enum { SUPPORT_TO, SUPPORT_FROM, SUPPORT_LOG_DET } SupportPart;                       /* x of u, u of x, log |det dx/du| at u */
const Support *support_of   (Range r, double end[2]);                                         /* and the ends that its functions take; NULL: discrete */
const Support *support_type (Name word);                                                      /* "simplex"; NULL: no such type */
Range          support_range(const Support *s);
uint32_t       support_own  (const Support *s);                                               /* axes of one element */
const char    *range_word   (Range r);                                                        /* "positive", or the interval */
const char    *support_name (size_t i);                                                       /* of the rows in order; NULL after the last */
Val   support_call(Checker *c, const Support *s, SupportPart part, Val v, const Val *end, Span at);
/* Shape of the unconstrained value of event dims `dim`; false: it is discrete.  A size may be 0: simplex[1] has one value. */
bool  support_unconstrained(Range r, uint32_t rank, const uint32_t *dim, uint32_t *urank, uint32_t *udim);
Val   support_constrain  (Checker *c, Val u, Range r);                                        /* nodes of c->g */
Val   support_unconstrain(Checker *c, Val x, Range r);
Val   support_log_det    (Checker *c, Val u, Range r);                                        /* for each element: of the scalar's shape, or of the axes before the own */
Name  support_text(const char *what, Range r, const char *argument);                          /* "to", (0, 255), "u": `to_interval(u, 0, 255)`; NULL: discrete */
Value support_run(Checker *c, const char *name, Values *args, Span at);                       /* the built-in functions to_simplex, ... */
const char *support_fault(Range r, const Shape *s, const double *x);                          /* what is wrong with x, in words; NULL: it keeps r */

/* ---- told.c: words of messages */
const char *each_text   (Checker *c, AxisSet axes);                                         /* "once", "for each row" */
const char *must_text   (Range want);                                                       /* after "must be" */
const char *but_text    (Range have, Range want);                                           /* after "and this" */
const char *range_text  (Checker *c, Range r);                                              /* "[0, inf)" */
const char *source_words(Checker *c, Span at);
Name        name_meant  (Name wrong, const Name *candidates, size_t n);                     /* an alias of another system, or the nearest */
Span        defined_at  (const Stmts *body, Name name, bool *inside);
void        poison      (Checker *c, Scope *s, const Stmts *body);
void        tell_not_known(Checker *c, DiagItem *i, Val v);
Value       unknown_name(Checker *c, Scope *s, Name name, Span at);                          /* V_BAD, after the message */
void        tell_early  (Checker *c, const Program *p, Name name, Span at);                 /* a site used before it is drawn */
bool        axis_room     (Checker *c, Name index, uint32_t size, Span at);                 /* may another axis be made?  False after a message */
bool        is_known      (Checker *c, Val v);                                              /* needs no option, data or parameter */
bool        reads_variable(Checker *c, Val v, Name name);                                   /* in the template */

/* ---- causal.c */
bool  causal_check(Checker *c, const Site *site, Span at);    /* do an autoregressive site's arguments see earlier coordinates only?  False after a message */

/* ---- program.c, objective.c, check.c */
void  builtin_names(FILE *out);
void  library_names(FILE *out);
AxisSet     plate_with_outer(Checker *c, int axis);
const char *plates_text(Checker *c, AxisSet axes);
const char *library_file(size_t i);                                                      /* name of the i-th, or NULL */
const char *library_text(const char *name, size_t *size);                                /* embedded stdlib: "nn", "dist/Normal" */

Program *program_find(Checker *c, Name name);
void     program_check(Checker *c, Program *p);
Site    *program_site(Program *p, Name name);
bool     program_draws(const Program *p, Name base);      /* has it, by its text, sites of that name? */
bool     program_failed(const Program *p, Name base);     /* was a statement that defines this name wrong, and told of? */
void     program_scan(Checker *c, Program *p, const Stmts *body);
Value    eval_expectation(Checker *c, Scope *s, const Expr *index, const Expr *call);
Value    eval_log_density(Checker *c, Scope *s, const Expr *e);
Value    eval_kl(Checker *c, Scope *s, const Expr *call);
Value    eval_entropy(Checker *c, Scope *s, const Expr *call);
Value    drawn_value(Checker *c, Program *p, Name name, Span at);
const DistValue *dist_at_draws(Checker *c, const DistValue *d, Program *p);  /* of a site of p, in an objective: its arguments at the draws of the expectations around */
Module  *module_add(Checker *c, Name name, const Ast *ast);
Module  *module_load(Checker *c, Name path, Span at, const Source *from);
Value    decl_value(Checker *c, Module *m, const Decl *d, Span at);
const Decl *module_decl(const Module *m, Name name);
const Decl *library_dist(Checker *c, Name name, Module **module);
Module  *library_module(Checker *c, const char *name);                                        /* loaded at its first use */
#endif
