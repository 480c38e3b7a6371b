/* Inside prob/: one goal on its way to a graph. */
#ifndef SVIC_LOWER_H
#define SVIC_LOWER_H
#include "prob.h"

typedef struct Env Env;
typedef struct Lower {
  Prob  *p;
  Graph *g;                           /* the entry's */
  bool   training;
  Name   missing; Span missing_at;    /* a variable without draw or data, first one met */
  Span   objective;                   /* what is lowered, for messages; empty for samples */
  struct LowerState *s;
} Lower;

const Shape *lower_shape(Lower *l, const Shape *s);
Lower    *lower_new        (Prob *p, bool training);
void      lower_done       (Lower *l);            /* its draws go to the model's table */
Env      *lower_env        (Lower *l, const Path *path);
Val       lower_part       (Lower *l, const Part *part);
Val       lower_kl         (Lower *l, Env *env, const Part *part);
Val       lower_entropy    (Lower *l, Env *env, const Part *part);
Val       lower_log_density(Lower *l, Env *env, const Site *site, Val x);
Val       lower_copy       (Lower *l, Env *env, Val v);
Val       lower_variable   (Lower *l, Env *env, Name name, Span at);
DistValue lower_dist       (Lower *l, Env *env, const DistValue *d);
void      lower_updates    (Lower *l, Entry *entry);
#endif
