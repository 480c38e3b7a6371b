/* Types: the syntax tree checked and made concrete.
 *
 * In:  the trees of the model and of the library files it needs.
 * Out: a Typed model.  Names are bound, nets expanded call by call, sizes known, ranges checked.  Values are nodes of one
 *      template graph, whose leaves are parameters, options and variables: OP_input leaves named after the site or data column
 *      they stand for ("x", "z[2]").  A variable has no fixed source: a guide's `x` is the data or a model's draw, as the
 *      objective says; lowering (prob/) copies the template with variables replaced.
 *
 * An objective is a value of the template graph too: what only an objective can say (log p.x, KL, E[q](f), a drawn value)
 * is a leaf with a row in Typed.terms.
 *
 * Read: types.h, value.h, check.c (declarations), program.c, scope.c (names), expr.c, axes.c, rows.c, steps.c, apply.c (nets, functions), dist.c, objective.c. */
#ifndef SVIC_TYPES_H
#define SVIC_TYPES_H
#include "../ast/ast.h"
#include "../graph/graph.h"
#include "../../runtime/svi.h"

typedef struct Program Program;
typedef struct Module  Module;

/* What stands between a base and the transformed distribution: values of the template, see compose.c. */
typedef struct {
  Name  in_name, at_name;             /* the variables x (drawn from the base) and y */
  Val   out, log_det;                 /* y and log |det dy/dx|, of x */
  Val   back, back_log_det;           /* x and log |det dx/dy|, of y; NO_VAL: the inverse is not known */
  uint32_t rank, dim[DIM_MAX];        /* of x */
  uint32_t out_rank, out_dim[DIM_MAX];
  Range range;                        /* of y */
} Flow;

/* A distribution with its arguments: a value of the language. */
typedef struct {
  const Decl *decl;
  Module  *module;                    /* where decl was written: its names resolve there */
  int      form;                      /* -1: the header's parameters; else which `also` */
  uint32_t nargs;
  Val      arg[8];                    /* of that form */
  Span     where[8];                  /* as written; empty where a default stands */
  uint32_t copies_rank, copies[DIM_MAX];   /* D(...)[n]: independent copies */
  bool     mixture;                   /* the first axis of the arguments counts components ... */
  Val      log_weight;                /* ... of these weights */
  const Flow *flow;                   /* transformed: the rest of this is the base; or NULL */
  Span     span;
} DistValue;

typedef enum {
#define VIA(kind, name, text) kind,
#include "via.def"
#undef VIA
  VIA_COUNT
} Via;
const char *via_name(Via v);

typedef struct {
  Name         name;                  /* "z", "z[2]" */
  Name         base;                  /* "z" */
  Program     *program;
  DistValue    dist;                  /* arguments in the template graph */
  const Shape *shape;                 /* axes: its plates; dims: its event */
  Range        range;                 /* support */
  Val          var;                   /* the variable leaf */
  bool         discrete, autoregressive, observed;   /* observed: a model's site with data of that name */
  Via          via;
  Span         via_span;
  Val          baseline;              /* via score(baseline: b): in the template; NO_VAL: a running mean */
  Val          temperature;           /* via concrete(temperature: t) */
  bool         told;                  /* a message has asked what it was meant to be */
  Span         span;
} Site;

typedef struct { uint32_t n; int32_t at[4]; } Key;               /* index of a family member */
typedef struct { Name name; Val value; Span span; Name base; Key key; } Local;       /* h = ... : what p.h means; of g[2], g and 2 */
typedef struct { int32_t param; Val value; Span span; } StateUpdate;
/* A value of an ordered plate that is defined by its own earlier (later) steps: see steps.c. */
typedef struct {
  Name          name;                 /* "h", "z[2]" */
  Name          variable;             /* what its other steps are called in the template */
  Val           leaf, value;          /* that variable; and what the name was defined as, NO_VAL: not yet */
  Site         *site;                 /* ... as a site, or NULL */
  const struct Scope *scope;          /* of the body that defines it */
  struct Program *program;
  uint32_t      axis;
  int           by;                   /* 1: steps before, -1: after */
  Span          span;
} Recurrent;
struct Program {
  Name  name;
  const Decl *decl;
  Module *module;                     /* where it was written, if not in the model's file */
  bool  guide;
  int   axis;                         /* its own plate, or -1 */
  VEC(Site *)      sites;
  VEC(Local)       locals;
  VEC(StateUpdate) updates;
  VEC(Recurrent *) recurrents;
  VEC(Name)        draws;             /* base names of the sites its text draws, before it is checked */
  VEC(Name)        failed;            /* names of sites and values with errors: not asked for again */
  bool             unobserved;        /* was told to observe nothing: not compared with others any more */
  const DistValue *prior;             /* `param ~ D`, or NULL */
  Span             prior_span;
  Span  span;
  enum { PROGRAM_NEW, PROGRAM_BUSY, PROGRAM_DONE } state;
};

typedef struct {
  Name         name;
  const Shape *shape;
  Range        range;
  const char  *type;                  /* as written: "bit[784]" */
  Val          prepared;              /* in the template graph; NO_VAL when it is a column of the file */
  int32_t      column;                /* its number in the file's columns, -1 when prepared */
  int32_t      points;                /* 1 + the plate whose rows it numbers (`plate rating of (user, item)`), 0: none; such data has no name in the language */
  bool         used;
  bool         failed;                /* its declaration has errors: nothing is checked against it */
  Span         span;
} DataVar;
typedef struct { SviParam svi; Val leaf, prior; Span span; bool used; const Shape *shape; } ParamInfo;
typedef struct { Name name; SviSchedule schedule; Span span; bool used; } OptionInfo;

/* What only an objective can say: a leaf of the template graph and its row here. */
typedef enum {
  TERM_LOG_DENSITY,                   /* sum of the sites' log densities */
  TERM_KL,                            /* sum over pairs (sites of a, sites of b) */
  TERM_ENTROPY,                       /* sum over the sites */
  TERM_EXPECT,                        /* body under the draws of program */
  TERM_DRAWN                          /* a program's site or local, at the draws of the enclosing expectation */
} TermKind;
typedef struct {
  TermKind kind;
  Val      leaf;
  Program *program;                   /* EXPECT: who draws; DRAWN: whose */
  VEC(Site *) sites, against;         /* KL: pairs sites[i] || against[i] */
  Val      body;                      /* EXPECT, DRAWN local */
  int32_t  particles;                 /* EXPECT: its particle axis, -1 for one draw */
  bool     detached;                  /* EXPECT: of stop(program) */
  bool     of_report;                 /* stands in a report: has no gradient */
  Span     span;
} Term;

typedef struct { Name name; bool maximize; Val objective; VEC(int32_t) params; Span span; } StepInfo;
typedef struct { Name name; Val value; Span span; } ReportInfo;

/* A plate of pairs: each of its rows belongs to a row of `of`, which `index` tells (from 0). */
typedef struct { uint32_t plate, of; Val index; Span span; } PlateLink;

typedef struct {
  Arena   *arena;
  Diag    *diag;
  Sources *sources;
  Graph   *graph;                     /* the template */
  const Source *source;               /* the model's own file */
  VEC(Program *)  programs;
  VEC(DataVar)    data;
  VEC(ParamInfo)  params;
  VEC(OptionInfo) options;
  VEC(Term)       terms;
  VEC(StepInfo)   steps;
  VEC(ReportInfo) reports;
  VEC(PlateLink)  links;
  VEC(SviAxis)    axes;               /* parallel to graph->axis while those are plates and particles */
  SviOptimizer    optimizer;
  int32_t         batch;
  double          epochs;
  Val             training;           /* leaf: 1 while training, 0 in reports */
  struct Checker *check;              /* for evaluating members of distributions later */
} Typed;

typedef struct { Name name; const char *value; } Define;          /* -D K=30 */
Typed *types_check (Arena *arena, Diag *diag, Sources *sources, const Ast *ast, const char *const *search, uint32_t nsearch, const Define *defines, uint32_t ndefine);
/* Evaluates every `check` line of the library's distributions; what does not hold goes to diag. */
void   types_check_library(Arena *arena, Diag *diag, Sources *sources, uint32_t *dists, uint32_t *lines);
const char *types_each(const Typed *t, AxisSet axes);            /* "once", "for each row", "for each user and item" */
void   types_print (const Typed *t, FILE *out);
bool   types_verify(const Typed *t, FILE *why);
/* False, after a message, where in v (or of a value over `beside`) a value of a pair meets one of a plate it points to, and nothing
 * says of which row. */
bool   types_pairs_apart(const Typed *t, Val v, AxisSet beside, Span at);

/* For lowering: the value of a member of a distribution ("logpdf" at x, "sample", "mean", "entropy"), with arguments that are
 * nodes of `g`, in `g`.  `rows` are the axes the value must have (plates and particles of the draw).  NO_VAL: it has no such member. */
Val  dist_member(Typed *t, Graph *g, const DistValue *d, const char *member, Val x, const Shape *event, uint32_t draw);
Val  dist_kl    (Typed *t, Graph *g, const DistValue *a, const DistValue *b, const Shape *event);   /* NO_VAL: no closed form known */
/* What a distribution is made of: its arguments, a mixture's weight, what transforms make of x and of y. */
enum { DIST_VALUES = 8 + 1 + 4 };
uint32_t dist_values(const DistValue *d, Val *out);
Span dist_value_span(const DistValue *d, uint32_t k);
bool dist_is_end(const DistValue *d, uint32_t k);  /* does argument k set an end of the support, as in Uniform(lo, hi)? */
bool dist_has_kl(const DistValue *a, const DistValue *b);
bool dist_has_function(const DistValue *d, Name name);   /* logpdf, kl, ...: members with an argument; what is transformed has none */
Name dist_title (const DistValue *d);              /* "Normal", "mixture of Normal" */
#endif
