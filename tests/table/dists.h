/* A distribution of the library at work: a row of dists.def as graphs, evaluated by the reference evaluator.
 *
 * In:  a row's text.
 * Out: its members as values of a graph whose leaves are the parameters and x, both along one plate of rows, so that one evaluation
 *      serves many points, or many parameters; draws; and a grid on which expectations are sums.
 *
 * note [grids]  The support is mapped to y in R^d: log, logit, log ratios, partial correlations.  With y = middle + scale sinh(sinh(v)),
 * middle and scale from the draws, densities with exponential or power tails in y decay doubly exponentially in v, and the
 * trapezoid rule with equal steps in v is exact to rounding for what is smooth (Takahasi, Mori 1974).  The draws decide only where
 * the grid is fine: the integral of a density is 1 on it whatever they are. */
#ifndef DISTS_H
#define DISTS_H
#include "../../compiler/types/value.h"

typedef struct { const char *text; bool corner, point, circle; } Row;
typedef enum { CONTINUOUS, WHOLE, INDICATOR, POINT } Kind;   /* of draws: INDICATOR is a vector with one 1 */
extern const Row rows[];
extern const uint32_t row_count;

enum { ARGS = 8, FREE = 3 };
enum { LEAF_PARAM, LEAF_OTHER = ARGS, LEAF_X = 2 * ARGS, LEAF_CENTRE, LEAF_SLOPE, LEAF_WEIGHT, LEAVES };
typedef struct { const double *at; bool each; } Leaf;        /* each: a value for each row; otherwise the same for all */

/* A way to change the parameters: element i of argument k grows by a step, and element j (or -1) shrinks by it, where the sum is 1. */
typedef struct { uint32_t k, i; int32_t j; double step; } Direction;     /* step: small, against what the density can tell apart */
enum { DIRECTIONS = 24 };

typedef struct Dist {
  const Row *row;
  Arena     *arena;
  Typed     *typed;
  Site      *site;
  DistValue  value;                   /* with leaves as arguments */
  Graph     *g;
  uint32_t   axis, size;              /* the plate of rows; elements of one draw */
  uint32_t   first_leaf;              /* of its parameters: LEAF_PARAM, or LEAF_OTHER beside another */
  Range      range;
  Kind       kind;
  uint32_t   ndirection;
  Direction  direction[DIRECTIONS];
  double    *theta[ARGS];
  uint32_t   ntheta[ARGS];            /* 0: no leaf, a size */
  Val        param[ARGS], x;
  Val        logpdf, sample, smooth;  /* logpdf is summed over the event; smooth: a function of the draw, see dist_smooth */
  Val        score[ARGS], score_x;    /* gradients of logpdf; NO_VAL */
  uint64_t   draws;
  double    *draw;                    /* [draws][size] */
  double    *centre, *slope, *weight; /* of each element: where most draws are */
  Leaf       leaf[LEAVES];
  uint32_t   coordinates;             /* of y */
  double     middle[FREE], scale[FREE], from[FREE], to[FREE];      /* y = middle + scale sinh(sinh(v)), v in [from, to] */
} Dist;

/* All rows as sites of one model, checked; NULL, and the messages on stderr, when one is wrong. */
Typed  *dists_check (Arena *arena);
Dist   *dist_open   (Typed *t, uint32_t row, uint64_t draws);       /* with draws made */
void    dist_close  (Dist *d);
Dist   *dist_beside (Dist *d, uint32_t row);                        /* another row's parameters as leaves of d's graph; no draws, no grid */
/* `n` values over `count` rows, each [count][elements]; valid until dist_close.  Leaves are what d->leaf says. */
void    dist_eval   (Dist *d, uint64_t count, const Val *v, uint32_t n, double **out, bool single);
double *dist_eval1  (Dist *d, uint64_t count, Val v, bool single);
void    dist_reset  (Dist *d);                                      /* leaves are as in the row again; x the draws */
double  dist_smooth (const Dist *d, const double *x);               /* sum of weight tanh(slope (x - centre) + 0.4); a sine on a circle */
bool    dist_moves  (Dist *d, const Direction *way);                /* does the support move with the parameters? */
void    dist_move   (Dist *d, const Direction *way, double steps, double *theta[ARGS]);   /* a copy of the parameters, moved */
/* A sum over rows, for graph_grad. */
Val     dist_over_rows(Dist *d, Val v);
_Noreturn void dist_fail(const Row *row, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Where expectations are sums: sum of p[i] g(x[i]).  `slack` is what rounding of x[i] next to an end of the support may do to p[i],
 * `missing` how much probability may lie where x cannot be told from the end. */
typedef struct {
  uint64_t n;
  double  *x, *log_weight, *slack;
  double  *log_p, *p;                                               /* density, and its weight in sums */
  uint32_t shape[FREE];                                             /* points along each coordinate; 0 for discrete draws */
  double   missing;
} Grid;
Grid   *grid_new   (Dist *d, double *const theta[ARGS]);            /* NULL: the parameters as they are */
void    dist_coordinates(const Dist *d, const double *x, double *v);            /* the v of a draw */
#endif
