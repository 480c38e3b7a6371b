/* Prob: the probabilistic program, before tensors.
 *
 * In:  a Typed model: programs with sites, objectives as values whose leaves are log densities, KLs, expectations.
 * Out: goals (steps and reports) as sums of terms, each with its sign, scale, the expectations it stands under and the plates
 *      it varies over.  What needs to know about probability is decided here: which KL is analytic, which estimator a site
 *      gets and why, what is summed over which plate with which scale.
 *
 * lower.c then turns each goal into an Entry: a tensor graph with roots.
 *
 * Read: prob.h, goals.c (objectives to sums), choose.c (which estimator), print.c, lower.c (to graphs), draws.c, estimators.c,
 * pairs.c, baselines.c, entries.c (what a trainer needs). */
#ifndef SVIC_PROB_H
#define SVIC_PROB_H
#include "../types/types.h"
#include "../loops/loops.h"

/* The expectations around a term, outermost last: E[p](E[q](t)) has path q -> p. */
typedef struct Path {
  const struct Path *outer;
  Program *program;
  int32_t  particles;                 /* axis, or -1 */
  uint32_t copy;                      /* 0: shared by all linear uses; else draws of its own */
  bool     detached;                  /* E[stop(q)]: draws without gradient */
} Path;

typedef enum { PART_LOG_DENSITY, PART_KL, PART_ENTROPY, PART_VALUE } PartKind;
typedef struct {
  PartKind    kind;
  double      sign;                   /* +1, -1 */
  VEC(Val)    scales;                 /* factors without random terms (options, constants), in the template */
  VEC(AxisSet) under;                 /* ... of each, the sums around it: `sum(each row) w * t` */
  const Path *path;                   /* NULL: under no expectation */
  AxisSet     sums;                   /* axes summed by the objective itself, inside the path */
  Site       *site, *against;         /* LOG_DENSITY, KL, ENTROPY */
  bool        analytic;               /* KL: closed form known */
  Val         value;                  /* VALUE: any other node of the template */
  Span        span;
} Part;

typedef struct {
  Name  name;                         /* "main", "nll" */
  bool  report, maximize;
  Val   objective;
  VEC(Part) parts;
  VEC(int32_t) params;                /* step: those it trains */
  int   axis;                         /* the batch plate, or -1 */
  Span  span;
} Goal;

typedef struct { Site *site; Via via; const char *why; const char *biased; /* how, or NULL */ } Estimate;

typedef struct Prob {
  Typed *t;
  VEC(Goal)     goals;
  VEC(Estimate) estimates;            /* of every site some expectation draws */
  VEC(const Path *) paths;            /* interned */
  VEC(const Site *) latents;          /* those that `sample` takes as given */
  VEC(Draw)     draws;                /* of all entries: every entry's graph numbers its draws as a prefix of this table */
} Prob;

Prob *prob_build (Typed *t);
void  prob_print (const Prob *p, FILE *out);
bool  prob_verify(const Prob *p, FILE *why);
const Path *path_of(Prob *p, const Path *outer, Program *program, int32_t particles, uint32_t copy, bool detached);
const Estimate *estimate_of(const Prob *p, const Site *site);
Estimate estimate_choose(const Prob *p, Site *site);   /* choose.c; tells what cannot work */
bool outcomes_few(const Site *site);                  /* can all its values be enumerated? */
bool steps_allow(const Typed *t, const Site *site, Via via);   /* may a site of an ordered plate be drawn so? (steps.c) */
bool steps_look_ahead(const Typed *t, const DistValue *d);     /* do its arguments see draws of later steps? */
double outcomes_of(const Site *site, uint32_t *digits, uint32_t *base);
bool  kl_is_analytic(const Typed *t, const Path *path, const Site *a, const Site *b);      /* in closed form, under the expectations of path */
const Term *term_of(const Typed *t, Val v);        /* of a leaf that only an objective has; NULL of any other value */
bool  has_terms(const Typed *t, Val v);            /* does it depend on anything only an objective can say? */

/* ---- to graphs */
typedef struct {
  VEC(Entry *) entries;               /* steps, reports, sample, reconstruct, encode */
  SviModel     model;                 /* tables; entries' phases are added by loops/ */
  SviEntry    *entry;                 /* model.entry, to be filled */
} Lowered;
Lowered *prob_lower(Prob *p);
char    *prob_info (const Prob *p, const Lowered *l, bool json);       /* what `svic info` prints */
#endif
