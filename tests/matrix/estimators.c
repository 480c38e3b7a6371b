/* The estimators of the matrix, and what is expected of each cell.
 *
 * An estimator that the compiler does not have yet is a row with `built` false: its cells are to say E0590. */
#include "matrix.h"
#include <stddef.h>
#include <string.h>

const Estimator estimators[] = {
  /* column            text                                built  biased: how draws move */
  {"default",          "",                                 true,  BY_NOTHING},
  {"pathwise",         " via pathwise",                    true,  BY_NOTHING},
  {"stl",              " via stl",                         true,  BY_NOTHING},
  {"dreg",             " via dreg",                        true,  BY_NOTHING},
  {"price",            " via price",                       true,  BY_NOTHING},
  {"score",            " via score",                       true,  BY_NOTHING},
  {"score(baseline)",  " via score(baseline: 0.4 * x - 1)", true,  BY_NOTHING},
  {"reinforce",        " via reinforce",                   true,  BY_NOTHING},
  {"vimco",            " via vimco",                       true,  BY_NOTHING},
  {"muprop",           " via muprop",                      true,  BY_NOTHING},
  {"disarm",           " via disarm",                      true,  BY_NOTHING},
  {"enumerate",        " via enumerate",                   true,  BY_NOTHING},
  {"darn",             " via darn",                        true,  BY_HALF},
  {"straight_through", " via straight_through",            true,  BY_MEAN},
  {"concrete",         " via concrete(temperature: 0.5)",  true,  BY_NOTHING},
};
const int nestimators = sizeof estimators / sizeof *estimators;

/* The first row that fits decides; what none fits is exact.  A row fits a family that has all of `has` and none of `lacks`,
 * under an objective that has all of `under` and none of `beyond`. */
#define MOVING {REFUSED, "E0511", "it holds the support still, and the parameters move it"}
static const struct { const char *estimator; unsigned has, lacks, under, beyond; Expected expected; } rules[] = {
  {"pathwise",         DISCRETE, 0, 0, 0,                 {REFUSED, "E0511", "a discrete draw has no derivative"}},
  {"stl",              MOVES, 0, 0, 0,                    MOVING},
  {"dreg",             MOVES, 0, 0, 0,                    MOVING},
  {"score",            MOVES, 0, 0, 0,                    MOVING},
  {"score(baseline)",  MOVES, 0, 0, 0,                    MOVING},
  {"reinforce",        MOVES, 0, 0, 0,                    MOVING},
  {"vimco",            MOVES, 0, 0, 0,                    MOVING},
  {"score(baseline)",  0, 0, DRAWS_X, 0,                  {REFUSED, "E0511", "the baseline reads what is drawn after the site"}},
  {"stl",              DISCRETE, 0, 0, 0,                 {REFUSED, "E0511", "a discrete draw has no derivative"}},
  {"stl",              0, 0, PARTICLES, 0,                {REFUSED, "E0511", "biased under a log mean of weights: `dreg` is not"}},
  {"dreg",             DISCRETE, 0, 0, 0,                 {REFUSED, "E0511", "a discrete draw has no derivative"}},
  {"price",            0, GAUSSIAN, 0, 0,                 {REFUSED, "E0511", "of normal draws only"}},
  {"price",            0, 0, PARTICLES, STOPS,              {REFUSED, "E0511", "not a sum over the draws"}},
  {"vimco",            0, 0, 0, PARTICLES,                {REFUSED, "E0511", "no other particles"}},
  {"muprop",           0, DISCRETE, 0, 0,                 {REFUSED, "E0511", "of discrete draws only"}},
  {"muprop",           0, MEAN, 0, 0,                     {REFUSED, "E0511", "the draw has no mean"}},
  {"disarm",           0, BIT, 0, 0,                      {REFUSED, "E0511", "of bits only"}},
  {"enumerate",        0, FINITE, 0, 0,                   {REFUSED, "E0511", "not a few outcomes"}},
  {"enumerate",        0, 0, PARTICLES, STOPS,            {REFUSED, "E0511", "not under several particles"}},
  {"darn",             0, BIT, 0, 0,                      {REFUSED, "E0511", "of bits only"}},
  {"darn",             0, 0, CURVED, 0,                   {BIASED,  NULL,    "the cost is not quadratic in each bit"}},
  {"straight_through", 0, DISCRETE, 0, 0,                 {REFUSED, "E0511", "of discrete draws only"}},
  {"straight_through", 0, MEAN, 0, 0,                     {REFUSED, "E0511", "the draw has no mean"}},
  {"straight_through", 0, 0, 0, STOPS,                    {BIASED,  NULL,    "the draw is taken to move as its mean does"}},
  {"concrete",         0, RELAXED, 0, 0,                  {REFUSED, "E0511", "of `Bernoulli` and `OneHot`"}},
  {"concrete",         0, 0, 0, STOPS,                    {BIASED,  NULL,    "the draw is taken to move as its relaxation does"}},
};

Expected expected_of(const Estimator *e, const Family *f, const Objective *o) {
  if (!e->built) return (Expected){REFUSED, "E0590", "not built yet"};
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (strcmp(rules[i].estimator, e->name) == 0 && (f->traits & rules[i].has) == rules[i].has && (!rules[i].lacks || !(f->traits & rules[i].lacks)) &&
        (o->traits & rules[i].under) == rules[i].under && !(o->traits & rules[i].beyond))
      return rules[i].expected;
  return (Expected){EXACT, NULL, NULL};
}
