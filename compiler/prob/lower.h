/* Inside prob/: one goal on its way to a graph. */
#ifndef SVIC_LOWER_H
#define SVIC_LOWER_H
#include "prob.h"

/* A site at its draw, in an entry's graph. */
typedef struct {
  Site    *site;
  Via      via;                       /* how its gradient is found here; VIA_COUNT: it has none to be found */
  uint32_t draw;                      /* Graph.draws: the noise */
  Val      value;                     /* what the densities see */
  Val      log_q;                     /* its log density, element by element; NO_VAL: not wanted yet */
  int32_t  axis;                      /* enumerate: of the outcomes; disarm: of the pair */
  Val      base;                      /* of a transformed distribution: the draw before */
} Drawn;

/* A path at work: the draws of its program. */
typedef struct Env Env;
struct Env {
  Env *outer;
  const Path *path;
  VEC(Drawn) drawn;
  Name given; Val given_value;        /* one more variable, while a transformed distribution is scored at a value, or of a turn */
  bool inside;                        /* of one turn of a recurrence: steps.c */
  const uint32_t *draw;               /* Graph.draws of the program's sites, in order; NULL: it draws none */
};

typedef struct { const Env *env; const Recurrent *of; Val value; } Found;

typedef enum { FOR_STEP, FOR_REPORT, FOR_SHOW } Purpose;      /* gradients; expectations; draws alone */
typedef struct Lower {
  Prob  *p;
  Graph *g;                           /* the entry's */
  Purpose purpose;
  int    given;                       /* `sample`: the plate whose latents may be given instead of drawn; else -1 */
  Name   missing; Span missing_at;    /* a variable without draw or data, first one met */
  VEC(Found) found;                   /* recurrences, by where they were wanted */
  Span   objective;                   /* what is lowered, for messages; empty for samples */
  struct LowerState *s;
} Lower;

static inline Val constant(Lower *l, double x)                   { return graph_const(l->g, x); }
static inline Val op2     (Lower *l, OpKind op, Val a, Val b)    { return graph_op2(l->g, op, a, b); }
static inline Val stop    (Lower *l, Val v)                      { return graph_stop(l->g, v); }
static inline Val zero_of (Lower *l, Val v)                      { return op2(l, OP_sub, v, stop(l, v)); }      /* 0 with v's gradient */

const Shape *lower_shape(Lower *l, const Shape *s);
Lower    *lower_new        (Prob *p, Purpose purpose);
void      lower_done       (Lower *l);            /* its draws go to the model's table */
Env      *lower_env        (Lower *l, const Path *path);
Val       lower_log_density(Lower *l, Env *env, const Site *site, Val x);       /* summed over the event */
Val       lower_log_density_elements(Lower *l, Env *env, const Site *site, Val x);
Val       lower_copy       (Lower *l, Env *env, Val v);
Val       lower_variable   (Lower *l, Env *env, Name name, Span at);
Val       lower_given      (Lower *l, const Site *site, Val drawn);             /* what is given of a latent, and else what is drawn */
DistValue lower_dist       (Lower *l, Env *env, const DistValue *d, bool stopped);   /* stopped: parameters without gradient */
Val       lower_member     (Lower *l, Env *env, const Site *site, const char *member);
const Shape *lower_noise   (Lower *l, Env *env, const Site *site, const DistValue *d);   /* shape of a draw's noise */
void      lower_updates    (Lower *l, Entry *entry);

/* ---- draws.c: sites to draws, as their estimators want them */
Env      *env_new   (Lower *l, Env *outer, const Path *path);               /* draws all sites of the path's program, in order */
Env      *env_replay(Lower *l, Env *leaf, Env *at, uint32_t i, Val value);   /* the same noise, with draw i of `at` (leaf, or around it) at another value */
Env      *env_hooked(Lower *l, Env *leaf);                                   /* `via dreg` draws behind hooks */
bool      env_has   (const Env *env, Via via);
Drawn     draw_site (Lower *l, Env *e, Site *site, uint32_t draw, Via via);   /* its arguments as e has them */

Via       draw_via  (const Lower *l, const Env *e, const Site *site);         /* how its gradient is found here */
bool      draw_moves(Via via);                                               /* does the draw move with its parameters? */

/* ---- a turn: what is computed from a guess (autoregressive.c, steps.c) */
AxisSet   rows_among(const Graph *g, AxisSet axes);                          /* plates and particles */
bool     *seeing    (Lower *l, Val guess, Val last);                         /* of guess .. last: who sees the guess? */
bool      takes_rows_together(const Graph *g, const Node *n);

/* ---- steps.c */
const Recurrent *recurrent_of(const Typed *t, Name variable);               /* NULL: it is none */
Val       steps_value(Lower *l, Env *env, const Recurrent *want);

/* ---- autoregressive.c */
double    start_of(const Site *site);                                       /* a value inside the support, so that arguments are finite */
Drawn     autoregressive_draw(Lower *l, Env *e, Site *site, uint32_t draw, Via via);

/* ---- estimators.c: expectations over draws */
/* What stands under the expectations: can be made again in another environment. */
typedef struct {
  Val (*make)(Lower *l, Env *env, const void *of);
  const void *of;
  AxisSet rows;                       /* plates it has a value for each row of */
  bool vector;                        /* not to be summed over its event */
} Body;
/* What a score-function draw is multiplied by: see note [baselines]. */
typedef struct { Env *env; uint32_t draw; Val value, factor; uint32_t part; Val index; uint32_t axis; /* value's rows see row `index` of this plate of the draw; NO_VAL: its own */ } Signal;
typedef VEC(Signal) Signals;
/* The body's elements summed over the event, with the expectation over all draws from `env` out to `last` taken so that its
 * gradient is estimated as the sites ask. */
Val       expect(Lower *l, Env *env, const Env *last, Body body, Signals *signals);
bool      lower_depends(Lower *l, Val v, Val on);                           /* does v, for its value? */
Val       lower_part(Lower *l, const Part *part, Signals *signals);

/* ---- pairs.c */
/* log_q at the rows of a draw that t sees: of a rating its user's.  `index` is which, along the plate `axis`, or NO_VAL. */
Val       score_at_rows(Lower *l, Val t, Val draw, Val log_q, Val *index, uint32_t *axis);
bool      sees_rows_by_index(Lower *l, Val v, Val draw, uint32_t plate);          /* does v see rows of the draw by an index along its plate? */

/* ---- baselines.c */
typedef struct { AxisSet plates; bool whole; } ScaledPart;                  /* of entries.c, note [scale] */
Val       lower_baselines(Lower *l, Entry *e, const Goal *goal, const Signals *signals, const ScaledPart *part);      /* NO_VAL: there are none */
#endif
