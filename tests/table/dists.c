/* Rows of dists.def at work; see dists.h. */
#include "dists.h"
#include <math.h>
#include <stdlib.h>
#include <check.h>

const Row rows[] = {
#define DIST(...) {.text = __VA_ARGS__},
#include "dists.def"
#undef DIST
};
const uint32_t row_count = LEN(rows);

static Diag *messages;                                    /* of the checker: why a member cannot be built */
_Noreturn void dist_fail(const Row *row, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char text[600];
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (messages) diag_print(messages, stderr, DIAG_TEXT, false);
  ck_abort_msg("%s: %s", row->text, text);
  abort();                                               /* it does not return, but does not say so */
}

Typed *dists_check(Arena *arena) {
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  fputs("model p {\n", f);
  for (uint32_t i = 0; i < row_count; i++) fprintf(f, "  x%u ~ %s\n", i, rows[i].text);
  fputs("}\nmaximize E[p](log p)\n", f);
  fclose(f);
  Sources *sources = sources_new(arena);
  Diag *diag = messages = diag_new(arena, sources);
  const Source *source = source_add(sources, "dists.def", arena_copy(arena, text, size), size, false);
  free(text);
  Typed *t = types_check(arena, diag, sources, ast_parse(arena, source, diag), NULL, 0, NULL, 0);
  if (!diag_errors(diag)) return t;
  diag_print(diag, stderr, DIAG_TEXT, false);
  return NULL;
}

/* ---- evaluation */
static bool give_leaf(void *context, const Graph *g, Val v, double *out, uint64_t n) {
  const Dist *d = context;
  const Leaf *leaf = &d->leaf[node_of(g, v)->attr.leaf.id];
  uint64_t one = shape_event_size(shape_of(g, v));
  if (!leaf->at) return false;
  for (uint64_t i = 0; i < n; i++) out[i] = leaf->at[leaf->each ? i : i % one];
  return true;
}
static void give_key(void *context, const Graph *g, uint32_t draw, uint32_t key[2]) {
  const Dist *d = context;
  (void)g;
  uint64_t h = 14695981039346656037u + draw;             /* every row and every source has its own draws (FNV-1a) */
  for (const char *s = d->row->text; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
  h = (h ^ draw) * 1099511628211u;
  key[0] = (uint32_t)h, key[1] = (uint32_t)(h >> 32);
}

void dist_eval(Dist *d, uint64_t count, const Val *v, uint32_t n, double **out, bool single) {
  Arena *scratch = arena_new();
  EvalInput in = {.leaf = give_leaf, .key = give_key, .single = single, .context = d};
  in.size[d->axis] = in.total[d->axis] = count;
  EvalResult result;
  char error[256];
  if (!graph_eval(scratch, d->g, v, n, &in, &result, error)) dist_fail(d->row, "cannot be evaluated: %s", error);
  for (uint32_t i = 0; i < n; i++) {
    const Shape *s = shape_of(d->g, v[i]);
    if (s->axes & ~((AxisSet)1 << d->axis)) dist_fail(d->row, "a value has index axes left");
    uint64_t event = shape_event_size(s);
    out[i] = arena_alloc(d->arena, (count * event + 1) * sizeof(double));
    for (uint64_t k = 0; k < count * event; k++) out[i][k] = result.value[v[i]][s->axes ? k : k % event];
  }
  arena_free(scratch);
}
double *dist_eval1(Dist *d, uint64_t count, Val v, bool single) {
  double *out;
  dist_eval(d, count, &v, 1, &out, single);
  return out;
}
Val dist_over_rows(Dist *d, Val v) { return graph_reduce(d->g, REDUCE_SUM, v, (AxisSet)1 << d->axis, 0); }

void dist_reset(Dist *d) {
  for (uint32_t k = 0; k < ARGS; k++) d->leaf[LEAF_PARAM + k] = (Leaf){d->theta[k], false};
  d->leaf[LEAF_X] = (Leaf){d->draw, true};
  d->leaf[LEAF_CENTRE] = (Leaf){d->centre, false};
  d->leaf[LEAF_SLOPE] = (Leaf){d->slope, false};
  d->leaf[LEAF_WEIGHT] = (Leaf){d->weight, false};
}
void dist_move(Dist *d, const Direction *way, double steps, double *theta[ARGS]) {
  for (uint32_t k = 0; k < ARGS; k++) {
    theta[k] = arena_alloc(d->arena, (d->ntheta[k] + 1) * sizeof(double));
    if (d->ntheta[k]) memcpy(theta[k], d->theta[k], d->ntheta[k] * sizeof(double));
  }
  theta[way->k][way->i] += steps * way->step;
  if (way->j >= 0) theta[way->k][way->j] -= steps * way->step;
}
double dist_smooth(const Dist *d, const double *x) {
  double sum = 0;
  for (uint32_t e = 0; e < d->size; e++) {
    double at = d->slope[e] * (x[e] - d->centre[e]) + 0.4;
    sum += d->weight[e] * (d->row->circle ? sin(at) : tanh(at));
  }
  return sum;
}

/* ---- supports: y in R^d, and back */
static uint32_t coordinates_of(const Dist *d) {
  const Shape *s = d->site->shape;
  switch (d->range.form) {
    case FORM_PLAIN:         return d->size;
    case FORM_SIMPLEX:       return s->rank == 1 ? d->size - 1 : FREE + 1;
    case FORM_CORR_CHOLESKY: return s->rank == 2 ? s->dim[0] * (s->dim[0] - 1) / 2 : FREE + 1;
    case FORM_ORDERED: case FORM_CHOLESKY: return FREE + 1;
  }
  return FREE + 1;
}
static double log_cosh(double y) { return fabs(y) + log1p(exp(-2 * fabs(y))) - M_LN2; }
static double log_sigmoid(double y) { return y > 0 ? -log1p(exp(-y)) : y - log1p(exp(y)); }

/* x of y: log |dx / dy|; how much of p(x) the rounding of x next to an end may take is added to *slack.  NAN: x is an end. */
static double value_of(const Dist *d, Range r, const double *y, double *x, double *slack) {
  double log_jacobian = 0;
  switch (r.form) {
    case FORM_PLAIN:
      for (uint32_t e = 0; e < d->size; e++) {
        bool lo = isfinite(r.lo), hi = isfinite(r.hi);
        double below = INFINITY, above = INFINITY;       /* distance to the ends, unrounded */
        x[e] = y[e];
        if (lo && hi) {
          log_jacobian += log(r.hi - r.lo) + log_sigmoid(y[e]) + log_sigmoid(-y[e]);
          below = (r.hi - r.lo) * exp(log_sigmoid(y[e])), above = (r.hi - r.lo) * exp(log_sigmoid(-y[e]));
          x[e] = y[e] < 0 ? r.lo + below : r.hi - above;
        } else if (lo) log_jacobian += y[e], below = exp(y[e]), x[e] = r.lo + below;
        else if (hi) log_jacobian -= y[e], above = exp(-y[e]), x[e] = r.hi - above;
        if (!isfinite(x[e]) || (lo && x[e] <= r.lo) || (hi && x[e] >= r.hi)) return NAN;
        double ulp = 2.3e-16 * fabs(x[e]) + 5e-324;
        *slack += fmin(1, ulp / below) + fmin(1, ulp / above);
      }
      return log_jacobian;
    case FORM_SIMPLEX: {                                 /* log ratios to the last element: |dx / dy| is the product of x */
      double top = 0, sum = 0;
      for (uint32_t e = 0; e + 1 < d->size; e++) top = fmax(top, y[e]);
      for (uint32_t e = 0; e < d->size; e++) sum += exp((e + 1 < d->size ? y[e] : 0) - top);
      for (uint32_t e = 0; e < d->size; e++) {
        double log_x = (e + 1 < d->size ? y[e] : 0) - top - log(sum);
        log_jacobian += log_x, x[e] = exp(log_x);
        if (x[e] == 0) return NAN;
      }
      return log_jacobian;
    }
    case FORM_CORR_CHOLESKY: {                           /* partial correlations tanh(y); the density is that of the elements below the diagonal */
      uint32_t n = d->site->shape->dim[0], next = 0;
      for (uint32_t i = 0; i < n; i++) {
        double rest = 1;
        for (uint32_t j = 0; j < n; j++) x[i * n + j] = 0;
        for (uint32_t j = 0; j < i; j++, next++) {
          double z = tanh(y[next]);
          log_jacobian += 0.5 * log(rest) - 2 * log_cosh(y[next]);
          x[i * n + j] = z * sqrt(rest);
          rest *= exp(-2 * log_cosh(y[next]));
          *slack += fmin(1, 2.3e-16 / exp(-2 * log_cosh(y[next])));
        }
        x[i * n + i] = sqrt(rest);
        if (x[i * n + i] == 0) return NAN;
      }
      return log_jacobian;
    }
    case FORM_ORDERED: case FORM_CHOLESKY: break;
  }
  return NAN;
}
static void free_of(const Dist *d, const double *x, double *y) {
  Range r = d->range;
  switch (r.form) {
    case FORM_PLAIN:
      for (uint32_t e = 0; e < d->size; e++) {
        bool lo = isfinite(r.lo), hi = isfinite(r.hi);
        y[e] = lo && hi ? log(x[e] - r.lo) - log(r.hi - x[e]) : lo ? log(x[e] - r.lo) : hi ? -log(r.hi - x[e]) : x[e];
      }
      return;
    case FORM_SIMPLEX:
      for (uint32_t e = 0; e + 1 < d->size; e++) y[e] = log(x[e]) - log(x[d->size - 1]);
      return;
    case FORM_CORR_CHOLESKY: {
      uint32_t n = d->site->shape->dim[0], next = 0;
      for (uint32_t i = 0; i < n; i++) {
        double rest = 1;
        for (uint32_t j = 0; j < i; j++, next++) {
          y[next] = atanh(fmax(-1, fmin(1, x[i * n + j] / sqrt(rest))));
          rest -= x[i * n + j] * x[i * n + j];
        }
      }
      return;
    }
    case FORM_ORDERED: case FORM_CHOLESKY: return;
  }
}
void dist_coordinates(const Dist *d, const double *x, double *v) {
  free_of(d, x, v);
  for (uint32_t k = 0; k < d->coordinates; k++) v[k] = asinh(asinh((v[k] - d->middle[k]) / d->scale[k]));
}

/* The support may be written with the parameters: interval(low, high). */
static Range range_at(Dist *d, double *const theta[ARGS]) {
  if (!theta || d->value.decl->as.dist.support->element != name_of("interval")) return d->range;
  Checker *c = d->typed->check;
  Graph *saved = c->g;
  DistValue moved = d->value;
  c->g = d->g;
  for (uint32_t k = 0; k < moved.nargs; k++)
    if (d->ntheta[k] == 1) moved.arg[k] = graph_const(d->g, theta[k][0]);
  Range r = dist_support(c, &moved);
  c->g = saved;
  return r;
}

bool dist_moves(Dist *d, const Direction *way) {
  double *theta[ARGS];
  dist_move(d, way, 1, theta);
  Range r = range_at(d, theta);
  return r.lo != d->range.lo || r.hi != d->range.hi;
}

/* ---- grids */
static void densities(Dist *d, Grid *grid, double *const theta[ARGS]) {
  dist_reset(d);
  for (uint32_t k = 0; theta && k < ARGS; k++) d->leaf[LEAF_PARAM + k].at = theta[k];
  d->leaf[LEAF_X] = (Leaf){grid->x, true};
  grid->log_p = dist_eval1(d, grid->n, d->logpdf, false);
  grid->p = arena_alloc(d->arena, (grid->n + 1) * sizeof(double));
  for (uint64_t i = 0; i < grid->n; i++) grid->p[i] = isnan(grid->log_weight[i]) ? 0 : exp(grid->log_p[i] + grid->log_weight[i]);
  dist_reset(d);
}

static Grid *grid_make(Dist *d, uint64_t n) {
  Grid *g = NEW(d->arena, Grid);
  *g = (Grid){.n = n};
  g->x = arena_alloc(d->arena, (n * d->size + 1) * sizeof(double));
  g->log_weight = arena_alloc(d->arena, (n + 1) * sizeof(double));
  g->slack = arena_alloc(d->arena, (n + 1) * sizeof(double));
  return g;
}

/* Equal steps in v, from[k] to to[k]. */
static Grid *grid_box(Dist *d, Range r, const double *from, const double *to, uint32_t points) {
  uint64_t n = 1;
  for (uint32_t k = 0; k < d->coordinates; k++) n *= points;
  Grid *g = grid_make(d, n);
  for (uint32_t k = 0; k < d->coordinates; k++) g->shape[k] = points;
  for (uint64_t i = 0; i < n; i++) {
    double y[FREE], log_weight = 0;
    uint64_t rest = i;
    for (uint32_t k = d->coordinates; k-- > 0; rest /= points) {
      double h = (to[k] - from[k]) / (points - 1), v = from[k] + h * (double)(rest % points);
      y[k] = d->middle[k] + d->scale[k] * sinh(sinh(v));
      log_weight += log(h * d->scale[k]) + log_cosh(sinh(v)) + log_cosh(v);
    }
    g->log_weight[i] = log_weight + value_of(d, r, y, &g->x[i * d->size], &g->slack[i]);
    if (!isnan(g->log_weight[i])) continue;
    for (uint32_t e = 0; e < d->size; e++) g->x[i * d->size + e] = d->draw[e];        /* any value: its weight is none */
  }
  return g;
}

/* The box outside which there is nothing to see. */
static void find_box(Dist *d) {
  static const struct { uint32_t points; double reach, depth; } how[FREE] = {{6001, 6, 300}, {101, 4, 50}, {31, 3.5, 45}};
  uint32_t points = how[d->coordinates - 1].points;
  double reach = how[d->coordinates - 1].reach, top = -INFINITY;
  for (uint32_t k = 0; k < d->coordinates; k++) d->from[k] = -reach, d->to[k] = reach;
  Grid *g = grid_box(d, d->range, d->from, d->to, points);
  densities(d, g, NULL);
  for (uint64_t i = 0; i < g->n; i++) if (isfinite(g->log_p[i]) && g->p[i] > 0) top = fmax(top, g->log_p[i] + g->log_weight[i]);
  double h = 2 * reach / (points - 1);
  for (uint32_t k = 0; k < d->coordinates; k++) d->from[k] = INFINITY, d->to[k] = -INFINITY;
  for (uint64_t i = 0; i < g->n; i++) {
    if (!(g->log_p[i] + g->log_weight[i] > top - how[d->coordinates - 1].depth)) continue;
    uint64_t rest = i;
    for (uint32_t k = d->coordinates; k-- > 0; rest /= points) {
      double v = -reach + h * (double)(rest % points);
      d->from[k] = fmin(d->from[k], v - h), d->to[k] = fmax(d->to[k], v + h);
    }
  }
  if (!isfinite(d->from[0])) dist_fail(d->row, "its density is nowhere finite and positive on the support");
}

static Grid *whole_numbers(Dist *d, double *const theta[ARGS]) {
  double lo = d->range.lo, hi = d->range.hi, most = 0;
  for (uint64_t i = 0; i < d->draws; i++) most = fmax(most, d->draw[i]);
  for (uint64_t n = isfinite(hi) ? (uint64_t)(hi - lo) + 1 : 2 * (uint64_t)(most - lo) + 64;; n *= 2) {
    Grid *g = grid_make(d, n);
    for (uint64_t i = 0; i < n; i++) g->x[i] = lo + (double)i;
    densities(d, g, theta);
    if (isfinite(hi) || n > 2000000 || (g->p[n - 1] < 1e-17 && g->p[n - 1] <= g->p[n - 2])) return g;
  }
}

Grid *grid_new(Dist *d, double *const theta[ARGS]) {
  Grid *g = NULL;
  switch (d->kind) {
    case POINT:
      g = grid_make(d, 1);
      g->x[0] = theta ? theta[0][0] : d->theta[0][0];
      break;
    case INDICATOR:
      g = grid_make(d, d->size);
      for (uint32_t i = 0; i < d->size; i++) g->x[i * d->size + i] = 1;
      break;
    case WHOLE: return whole_numbers(d, theta);
    case CONTINUOUS: {
      static const uint32_t points[FREE] = {8001, 121, 37};
      g = grid_box(d, range_at(d, theta), d->from, d->to, points[d->coordinates - 1]);
    }
  }
  densities(d, g, theta);
  if (d->kind != CONTINUOUS) return g;
  for (uint64_t i = 0; i < g->n; i++)                    /* a density may be infinite where x cannot be told from an end */
    if (!isfinite(g->p[i]) && g->slack[i] > 0.1) g->p[i] = 0, g->log_weight[i] = NAN;
  if (d->coordinates == 1) {
    uint64_t first = 0, last = g->n - 1;
    while (first + 1 < g->n && !(g->p[first] > 0)) first++;
    while (last > 1 && !(g->p[last] > 0)) last--;
    const double end[2][2] = {{g->p[first], g->p[first + 1]}, {g->p[last], g->p[last - 1]}};
    for (int i = 0; i < 2; i++) g->missing += end[i][0] * (end[i][0] < end[i][1] ? 1 / (1 - end[i][0] / end[i][1]) : 1e4);
  }
  return g;
}

/* ---- opening a row */
static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
/* Median and distance between quartiles of every `step`-th number from `at`. */
static void quartiles(const double *at, uint64_t n, uint32_t step, double *median, double *spread) {
  double *sorted = malloc(n * sizeof *sorted);
  uint64_t m = 0;
  for (uint64_t i = 0; i < n; i++) if (isfinite(at[i * step])) sorted[m++] = at[i * step];
  qsort(sorted, m, sizeof *sorted, by_size);
  *median = m ? sorted[m / 2] : 0;
  *spread = m ? sorted[3 * m / 4] - sorted[m / 4] : 0;
  if (*spread == 0 && m) *spread = (sorted[m - 1] - sorted[0]) / 4;
  if (*spread == 0) *spread = 1;
  free(sorted);
}

static Val keep_leaf(void *context, Graph *to, const Graph *from, Val leaf) {
  (void)context, (void)to, (void)from, (void)leaf;
  return NO_VAL;
}
static void find_parameters(Dist *d) {
  if (d->value.mixture) {                                /* its weights stay as they are */
    Val weight = d->value.log_weight;
    graph_copy(d->g, d->typed->graph, &weight, 1, &d->value.log_weight, keep_leaf, NULL);
  }
  const Decl *decl = d->value.decl;
  const Params *p = d->value.form < 0 ? &decl->as.dist.params : &decl->as.dist.forms.at[d->value.form].params;
  Checker *c = d->typed->check;
  for (uint32_t k = 0; k < d->value.nargs; k++) {
    Val v = d->site->dist.arg[k];
    const Type *type = p->at[k].type;
    Arena *scratch = arena_new();
    EvalInput in = {0};
    EvalResult result;
    char error[256];
    if (!graph_eval(scratch, d->typed->graph, &v, 1, &in, &result, error)) dist_fail(d->row, "its arguments must be numbers: %s", error);
    const Shape *s = shape_of(d->typed->graph, v);
    if (type && type->element == name_of("size")) {
      d->value.arg[k] = graph_const(d->g, result.value[v][0]);
      arena_free(scratch);
      continue;
    }
    d->ntheta[k] = (uint32_t)result.size[v];
    d->theta[k] = arena_alloc(d->arena, (d->ntheta[k] + 1) * sizeof(double));
    memcpy(d->theta[k], result.value[v], d->ntheta[k] * sizeof(double));
    arena_free(scratch);
    Range r = RANGE_REAL;
    uint32_t own;
    if (type) range_of_type(c, scope_new(c, NULL, d->value.module), type, &r, &own);
    d->param[k] = graph_leaf(d->g, OP_param, p->at[k].name, d->first_leaf + k, graph_shape(d->g, (AxisSet)1 << d->axis, s->rank, s->dim), r);
    d->value.arg[k] = d->param[k];
    uint32_t n = s->rank ? s->dim[s->rank - 1] : 1;
    for (uint32_t i = 0; i < d->ntheta[k] && d->ndirection < DIRECTIONS; i++) {
      Direction way = {.k = k, .i = i, .j = -1};
      double room = fmin(d->theta[k][i] - r.lo, r.hi - d->theta[k][i]);
      if (r.form == FORM_SIMPLEX) {
        if (i % n == n - 1) continue;
        way.j = (int32_t)(i - i % n + n - 1);
        room = fmin(room, d->theta[k][way.j]);
      }
      if (r.form == FORM_CORR_CHOLESKY || (r.form == FORM_CHOLESKY && i % n > i / n)) continue;
      if (!(room > 0) || !isfinite(d->theta[k][i])) continue;      /* at an end */
      way.step = fmin(0.02 * room, 0.02 * fmax(1, fabs(d->theta[k][i])));
      d->direction[d->ndirection++] = way;
    }
  }
}

static double *steps_of[LEN(rows)];                      /* for dist_beside; live until exit */

/* Steps a fiftieth of what one draw can tell apart: the parameters' scale, whatever they mean. */
static void find_steps(Dist *d) {
  enum { SOME = 1000 };
  uint64_t n = d->draws < SOME ? d->draws : SOME;
  for (uint32_t i = 0; i < d->ndirection; i++) {
    Direction *way = &d->direction[i];
    if (d->score[way->k] == NO_VAL) { way->step = fmin(way->step, 0.02); continue; }
    double *s = dist_eval1(d, n, d->score[way->k], false), squares = 0;
    for (uint64_t row = 0; row < n; row++) {
      const double *at = &s[row * d->ntheta[way->k]];
      double slope = at[way->i] - (way->j >= 0 ? at[way->j] : 0);
      if (isfinite(slope)) squares += slope * slope / (double)n;
    }
    way->step = fmin(way->step, squares > 0 ? 0.02 / sqrt(squares) : 0.02);
  }
}
static void keep_steps(const Dist *d) {
  double **steps = &steps_of[d->row - rows];
  static Arena *arena;
  if (*steps) return;
  if (!arena) arena = arena_new();
  *steps = arena_alloc(arena, DIRECTIONS * sizeof(double));
  for (uint32_t i = 0; i < d->ndirection; i++) (*steps)[i] = d->direction[i].step;
}

static Dist *open_row(Typed *t, uint32_t row, uint64_t draws) {
  Arena *arena = arena_new();
  Dist *d = NEW(arena, Dist);
  *d = (Dist){.row = &rows[row], .arena = arena, .typed = t, .site = t->programs.at[0]->sites.at[row], .g = graph_new(arena), .draws = draws};
  d->value = d->site->dist, d->range = d->site->range;
  d->kind = d->row->point ? POINT : !d->range.whole ? CONTINUOUS : d->range.form == FORM_SIMPLEX ? INDICATOR : WHOLE;
  d->axis = graph_axis(d->g, (Axis){.name = name_of("row"), .kind = AXIS_PLATE, .parent = -1});
  find_parameters(d);
  const Shape *s = d->site->shape;
  const Shape *event = graph_shape(d->g, (AxisSet)1 << d->axis, s->rank, s->dim), *alone = graph_shape(d->g, 0, s->rank, s->dim);
  d->size = (uint32_t)shape_event_size(s);
  d->x = graph_leaf(d->g, OP_input, name_of("x"), LEAF_X, event, d->range);
  d->logpdf = dist_member(t, d->g, &d->value, "logpdf", d->x, NULL, 0);
  if (d->logpdf == NO_VAL) dist_fail(d->row, "it has no logpdf");
  d->logpdf = graph_sum_all(d->g, d->logpdf);
  d->sample = dist_member(t, d->g, &d->value, "sample", NO_VAL, event, graph_draw(d->g, (Draw){.name = name_of("x")}));
  if (d->sample == NO_VAL) dist_fail(d->row, "it has no sample");
  d->sample = graph_expand_axes(d->g, d->sample, (AxisSet)1 << d->axis & ~shape_of(d->g, d->sample)->axes);
  if (shape_of(d->g, d->sample)->rank < s->rank) d->sample = graph_spread(d->g, d->sample, event);
  if (shape_of(d->g, d->sample) != event) dist_fail(d->row, "a draw has another shape than the support");

  Val centre = graph_leaf(d->g, OP_input, name_of("centre"), LEAF_CENTRE, alone, RANGE_REAL);
  Val slope = graph_leaf(d->g, OP_input, name_of("slope"), LEAF_SLOPE, alone, RANGE_REAL);
  Val weight = graph_leaf(d->g, OP_input, name_of("weight"), LEAF_WEIGHT, alone, RANGE_REAL);
  Val at = graph_op2(d->g, OP_mul, slope, graph_op2(d->g, OP_sub, d->sample, centre));
  at = graph_op1(d->g, d->row->circle ? OP_sin : OP_tanh, graph_op2(d->g, OP_add, at, graph_const(d->g, 0.4)));
  d->smooth = graph_sum_all(d->g, graph_op2(d->g, OP_mul, weight, at));

  Val wrt[ARGS + 1], grad[ARGS + 1];
  uint32_t n = 0;
  for (uint32_t k = 0; k < ARGS; k++) {
    d->score[k] = NO_VAL;
    if (d->ntheta[k]) wrt[n++] = d->param[k];
  }
  wrt[n++] = d->x;
  graph_grad(d->g, dist_over_rows(d, d->logpdf), wrt, n, grad);
  d->score_x = grad[n - 1], n = 0;
  for (uint32_t k = 0; k < ARGS; k++) if (d->ntheta[k]) d->score[k] = grad[n++];

  d->centre = arena_alloc(arena, d->size * sizeof(double));
  d->slope = arena_alloc(arena, d->size * sizeof(double));
  d->weight = arena_alloc(arena, d->size * sizeof(double));
  dist_reset(d);
  d->draw = dist_eval1(d, draws, d->sample, false);
  for (uint32_t e = 0; e < d->size; e++) {
    double spread;
    quartiles(d->draw + e, draws, d->size, &d->centre[e], &spread);
    d->slope[e] = d->row->circle ? 1 : 1 / spread, d->weight[e] = 1 + 0.5 * e;
  }
  dist_reset(d);
  find_steps(d);
  keep_steps(d);
  return d;
}
Dist *dist_open(Typed *t, uint32_t row, uint64_t draws) {
  Dist *d = open_row(t, row, draws);
  if (d->kind != CONTINUOUS) return d;
  d->coordinates = coordinates_of(d);
  if (d->coordinates < 1 || d->coordinates > FREE) dist_fail(d->row, "there is no grid for a support like this; write one in dists.c, value_of and free_of, or a smaller row");
  double *y = arena_alloc(d->arena, draws * d->coordinates * sizeof *y);
  for (uint64_t i = 0; i < draws; i++) free_of(d, d->draw + i * d->size, y + i * d->coordinates);
  for (uint32_t k = 0; k < d->coordinates; k++) quartiles(y + k, draws, d->coordinates, &d->middle[k], &d->scale[k]);
  find_box(d);
  return d;
}
Dist *dist_beside(Dist *d, uint32_t row) {
  if (!steps_of[row]) dist_close(open_row(d->typed, row, 1000));
  Dist *other = NEW(d->arena, Dist);
  *other = (Dist){.row = &rows[row], .arena = d->arena, .typed = d->typed, .site = d->typed->programs.at[0]->sites.at[row], .g = d->g, .axis = d->axis, .size = d->size, .first_leaf = LEAF_OTHER};
  other->value = other->site->dist, other->range = other->site->range;
  find_parameters(other);
  for (uint32_t i = 0; i < other->ndirection; i++) other->direction[i].step = steps_of[row][i];
  for (uint32_t k = 0; k < ARGS; k++) d->leaf[LEAF_OTHER + k] = (Leaf){other->theta[k], false};
  return other;
}
void dist_close(Dist *d) { arena_free(d->arena); }
