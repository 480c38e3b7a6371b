/* The matrix of gradients: every family at every estimator under every objective, against an exact gradient.
 *
 * One latent z of a family, seen through a number g(z):
 *     z ~ FAMILY(a0, b0),  x ~ N(w g(z), 0.9)             the model p, with a parameter w
 *     z ~ FAMILY(s, t) via ESTIMATOR                      the guide, with parameters s, t
 * A family is a row of families.c, an estimator a row of estimators.c, an objective a row of objectives.c; a new row is a
 * new line of the matrix.  Rows hold the text of the model and, written apart from it, the same thing in C: densities,
 * sums and integrals over the support.  Gradients of those by differences are the truth that trainers are held to.
 *
 * Read: families.c, objectives.c, estimators.c, points.c (sums and integrals), check_matrix.c (models, trainers, the table). */
#ifndef MATRIX_H
#define MATRIX_H
#include <stdbool.h>

/* ---- sums and integrals over the support of z */
typedef struct { double z[3], weight; } Point;               /* weight: of the quadrature, 1 in a sum */
enum { POINTS = 4096 };
typedef enum { REAL, POSITIVE, UNIT, CIRCLE, CORRELATION, ENDS, KINKS, COUNT, CLASS, SQUARE, BITS, ONE_HOT, PLANE, TRIANGLE, ONE_POINT } Support;
int points_of(Point *out, Support support, int size, double a, double b, double kink);

/* ---- families */
enum {                                /* what decides which estimators a family can have */
  DISCRETE = 1,                       /* draws jump */
  FINITE   = 2,                       /* ... among few values */
  BIT      = 4,                       /* ... between 0 and 1 */
  GAUSSIAN = 8,                       /* normal */
  MOVES    = 16,                      /* the support depends on the parameters */
  LONE     = 32,                      /* the first parameter is the only one */
  MEAN     = 64,                      /* discrete, and has a mean of the same shape */
  RELAXED  = 128,                     /* has a relaxed draw */
};
typedef struct Family {
  const char *name, *draw;            /* a and b are its parameters */
  const char *value;                  /* g(z): what is observed of it */
  unsigned    traits;
  Support     support;
  int         size;                   /* of CLASS, SQUARE, BITS, COUNT */
  double      start[2], prior[2];     /* a and b of the guide, of the model */
  double    (*log_density)(const double *z, double a, double b);
  double    (*value_of)(const double *z);
  const struct Family *other;         /* of the prior; NULL: the same */
} Family;
extern const Family families[];
extern const int    nfamilies;
static inline const Family *family_prior(const Family *f) { return f->other ? f->other : f; }

/* ---- objectives */
enum { S, T, W, V, PARAMETERS };      /* of the guide (or of the model that draws), of p's likelihood, of the other guide */
enum { ROW_VALUES = 2 };
extern const double row_value[ROW_VALUES];                   /* x, in every other row */
enum {
  PARTICLES = 1,                      /* importance weights of k draws */
  PLUG_IN   = 2,                      /* a smooth function of a mean over rows: right up to 1 / rows */
  CURVED    = 4,                      /* not quadratic in g */
  DRAWS_X   = 8,                      /* x is drawn after z */
  STOPS     = 16,                     /* no gradient through the draws */
};
struct Cell;
typedef double Body(const struct Cell *c, double w);        /* what an objective is the expectation of */
typedef enum { BY_NOTHING, BY_MEAN, BY_HALF } Move;          /* how a biased estimator moves a draw with its parameters */
typedef struct Objective {
  const char *name, *show;            /* for the manual */
  const char *text;                   /* $ is the program that has the site */
  enum { GUIDE, GUIDE_OF_TWO, MODEL } program;               /* which the estimator's site stands in */
  const char *over;                   /* whose parameters: p.w is `p`, r.v is `r` or `c` */
  unsigned    traits;
  bool        minimize;
  double    (*value)(const Family *f, const double *at);     /* at[PARAMETERS] */
  Body       *body;                   /* where it is the plain expectation of that */
} Objective;
extern const Objective objectives[];
extern const int       nobjectives;

void   matrix_start   (const Family *f, double *at);
void   exact_gradient (const Objective *o, const Family *f, double *gradient);
void   moved_gradient (const Objective *o, const Family *f, Move move, double *gradient);      /* of s and t, by the estimator's own definition */
double exact_plug_in  (const Objective *o, const Family *f, int param);       /* scale of what 1 / rows multiplies */
double exact_mass     (const Family *f);                     /* 1, when the points are good enough */

/* ---- estimators */
typedef struct Estimator {
  const char *name, *via;             /* "" or " via ..." */
  bool        built;                  /* false: the compiler is to say E0590 */
  Move        move;
} Estimator;
extern const Estimator estimators[];
extern const int       nestimators;
typedef struct { enum { EXACT, BIASED, REFUSED } is; const char *code; const char *why; } Expected;
Expected expected_of(const Estimator *e, const Family *f, const Objective *o);
#endif
