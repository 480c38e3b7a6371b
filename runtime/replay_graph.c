/* The first value of a step that is not finite, found by evaluating the entry's graph once more.
 *
 * In:  a run as its step left it: parameters, rows, options, and the keys of its draws.
 * Out: a few lines: the operation and what it is part of, the data row, the particle, the element, its arguments there, and
 *      the line of the model.
 *
 * The evaluator keeps every value, so a large batch is looked at some rows at a time; what is summed over the batch is then
 * other than in the run, but what is not finite for one row stays so.  The model's text is the first source of the compiler:
 * a span of the graph is an offset into it, from 1. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../compiler/graph/graph.h"
#include "trainer.h"

enum { ROOTS = 4096 };
static const double memory_most = 4e8;      /* bytes of values at once */

typedef struct { const Run *run; const SviModel *model; uint64_t seed, step, first, rows; int axis_of[AXIS_MAX]; } Replay;

static int find_param (const SviModel *m, Name name) { for (int i = 0; i < m->nparam;  i++) if (strcmp(m->param[i].name,  name) == 0) return i; return -1; }
static int find_column(const SviModel *m, Name name) { for (int i = 0; i < m->ncolumn + m->nlatent; i++) if (strcmp(column_of(m, i)->name, name) == 0) return i; return -1; }
static int find_option(const SviModel *m, Name name) { for (int i = 0; i < m->noption; i++) if (strcmp(m->option[i].name, name) == 0) return i; return -1; }

/* A leaf that has rows: of a column (from 0) or of a parameter (-1 - parameter), loaded as generated code loads it. */
static bool leaf_rows(const Replay *r, int32_t column, int axis, double *out, uint64_t n) {
  const SviModel *m = r->model;
  const SviCall  *c = run_call(r->run);
  int      root  = axis < 0 ? -1 : axis_root(m, axis);
  bool     sliced = root >= 0 && root == run_of(r->run)->axis;
  uint64_t first = sliced ? r->first : 0, rows = root < 0 ? 1 : sliced ? r->rows : c->size[root];
  void    *real  = memory_new(n, m->real_bytes, "a replay");
  svi_load_rows(c, column, first, rows, real);
  for (uint64_t i = 0; i < n; i++) out[i] = real_get(m->real_bytes, real, i);
  memory_free(real);
  return true;
}

static bool replay_leaf(void *context, const Graph *g, Val v, double *out, uint64_t n) {
  const Replay   *r = context;
  const SviModel *m = r->model;
  const Node     *node = node_of(g, v);
  int i;
  if (node->op == OP_option) {
    if ((i = find_option(m, node->attr.leaf.name)) < 0) return false;
    for (uint64_t k = 0; k < n; k++) out[k] = run_call(r->run)->option[i];
    return true;
  }
  if (node->op == OP_input) return (i = find_column(m, node->attr.leaf.name)) >= 0 && leaf_rows(r, i, column_of(m, i)->axis, out, n);
  if ((i = find_param(m, node->attr.leaf.name)) < 0) return false;
  if (m->param[i].axis >= 0) return leaf_rows(r, -1 - i, m->param[i].axis, out, n);
  uint64_t count;
  const void *at = params_at(run_call(r->run)->trainer->params, i, &count);
  for (uint64_t k = 0; k < n; k++) out[k] = k < count ? real_get(m->real_bytes, at, k) : NAN;
  return true;
}

static void replay_key(void *context, const Graph *g, uint32_t draw, uint32_t key[2]) {
  const Replay *r = context;
  svi_key(r->seed, g->draws.at[draw].name, g->draws.at[draw].once ? 0 : r->step, key);
}

/* Sizes of the graph's axes, for a slice of the batch. */
static EvalInput replay_input(Replay *r, const Graph *g) {
  const SviCall *c = run_call(r->run);
  EvalInput in = { .leaf = replay_leaf, .key = replay_key, .context = r };
  int batch = run_of(r->run)->axis;
  for (uint32_t i = 0; i < g->axis.n; i++) {
    int a = r->axis_of[i];
    if (a < 0) continue;
    bool sliced = r->model->axis[a].kind == 0 && axis_own(r->model, a) == batch;
    in.size[i]  = sliced ? r->rows : c->size[a];
    in.total[i] = c->total[a];
    in.row[i]   = c->row[a] && r->model->axis[a].kind == 0 ? c->row[a] + (sliced ? r->first : 0) : NULL;
  }
  return in;
}

static double replay_bytes(const Graph *g, const EvalInput *in) {
  double bytes = 0;
  for (Val v = 0; v < g->node.n; v++) {
    double n = (double)shape_event_size(shape_of(g, v));
    for (uint32_t i = 0; i < g->axis.n; i++)
      if (shape_of(g, v)->axes >> i & 1) n *= g->axis.at[i].kind == AXIS_INDEX ? (double)g->axis.at[i].size : (double)in->size[i];
    bytes += n * sizeof(double);
  }
  return bytes;
}

/* ---- telling */
/* The element of `v` that stands where element `e` of `at` stands, when v varies over no more than `at` does. */
static bool element_of(const Graph *g, const EvalInput *in, Val at, uint64_t e, Val v, uint64_t *out) {
  const Shape *a = shape_of(g, at), *b = shape_of(g, v);
  uint64_t index[AXIS_MAX] = {0}, dims = shape_event_size(a), d = e % dims;
  e /= dims;
  if (b->axes & ~a->axes || (shape_event_size(b) != 1 && b != a && (b->rank != a->rank || memcmp(a->dim, b->dim, a->rank * sizeof *a->dim)))) return false;
  for (uint32_t i = g->axis.n; i-- > 0; ) {
    if (!(a->axes >> i & 1)) continue;
    uint64_t size = g->axis.at[i].kind == AXIS_INDEX ? g->axis.at[i].size : in->size[i];
    index[i] = e % size;
    e /= size;
  }
  *out = 0;
  for (uint32_t i = 0; i < g->axis.n; i++)
    if (b->axes >> i & 1) *out = *out * (g->axis.at[i].kind == AXIS_INDEX ? g->axis.at[i].size : in->size[i]) + index[i];
  *out = *out * shape_event_size(b) + (shape_event_size(b) == 1 ? 0 : d);
  return true;
}

static void tell_where(const Graph *g, const EvalInput *in, Val v, uint64_t e, FILE *out) {
  const Shape *s = shape_of(g, v);
  uint64_t dims = shape_event_size(s), d = e % dims, index[AXIS_MAX];
  e /= dims;
  for (uint32_t i = g->axis.n; i-- > 0; ) {
    if (!(s->axes >> i & 1)) continue;
    uint64_t size = g->axis.at[i].kind == AXIS_INDEX ? g->axis.at[i].size : in->size[i];
    index[i] = e % size;
    e /= size;
  }
  for (uint32_t i = 0; i < g->axis.n; i++) {
    if (!(s->axes >> i & 1)) continue;
    switch (g->axis.at[i].kind) {
    case AXIS_PLATE:    fprintf(out, ", row %llu of %s", (unsigned long long)(in->row[i] ? in->row[i][index[i]] : index[i]), g->axis.at[i].name); break;
    case AXIS_PARTICLE: fprintf(out, ", particle %llu", (unsigned long long)index[i]); break;
    case AXIS_INDEX:    fprintf(out, ", %s = %llu", g->axis.at[i].name, (unsigned long long)index[i]); break;
    }
  }
  if (s->rank == 0) return;
  uint64_t at[DIM_MAX];
  for (uint32_t i = s->rank; i-- > 0; d /= s->dim[i]) at[i] = d % s->dim[i];
  for (uint32_t i = 0; i < s->rank; i++) fprintf(out, "%s%llu", i ? ", " : ", element [", (unsigned long long)at[i]);
  fputc(']', out);
}

static void tell_line(const SviModel *m, Span span, FILE *out) {
  size_t size = m->source ? strlen(m->source) : 0;
  if (span.at == 0 || span.at > size) return;
  size_t at = span.at - 1, start = at, line = 1, end = at;
  while (start > 0 && m->source[start - 1] != '\n') start--;
  while (end < size && m->source[end] != '\n') end++;
  for (size_t i = 0; i < start; i++) line += m->source[i] == '\n';
  fprintf(out, "  %s:%zu:%zu\n  %4zu | %.*s\n       | ", m->path ? m->path : m->name, line, at - start + 1, line, (int)(end - start), m->source + start);
  for (size_t i = start; i < at; i++) fputc(m->source[i] == '\t' ? '\t' : ' ', out);
  size_t stop = span.end > span.at && span.end - 1 < end ? span.end - 1 : span.end > span.at ? end : at + 1;
  for (size_t i = at; i < stop; i++) fputc('^', out);
  fputc('\n', out);
}

/* The nearest place in the model: the value's own, or that of the first value made from it that has one. */
static Span span_near(const SviModel *m, const Graph *g, Val v, Name *label) {
  size_t size = m->source ? strlen(m->source) : 0;
  Arena *scratch = arena_new();
  bool  *from = arena_alloc(scratch, g->node.n);
  Span   span = NO_SPAN;
  from[v] = true;
  *label = NULL;
  for (Val u = v; u < g->node.n; u++) {
    const Node *n = node_of(g, u);
    for (uint32_t i = 0; i < n->nargs; i++) from[u] |= from[n->arg[i]];
    if (!from[u]) continue;
    if (!*label) *label = n->label;
    if (span.at == 0 && n->span.at > 0 && n->span.at <= size) span = n->span;
  }
  arena_free(scratch);
  return span;
}

static void tell(const Replay *r, const Graph *g, const EvalInput *in, const EvalResult *result, Val v, uint64_t e, FILE *out) {
  const Node *n = node_of(g, v);
  Name label;
  Span span = span_near(r->model, g, v, &label);
  fprintf(out, "  first: `%s`", op_name(n->op));
  if (n->op == OP_param || n->op == OP_input || n->op == OP_option) fprintf(out, " `%s`", n->attr.leaf.name);
  if (op_is_random(n->op)) fprintf(out, " `%s`", g->draws.at[n->attr.random.draw].name);
  else if (label) fprintf(out, " in `%s`", label);
  fprintf(out, " is %g", result->value[v][e]);
  tell_where(g, in, v, e, out);
  fputc('\n', out);
  for (uint32_t i = 0; i < n->nargs; i++) {
    uint64_t at;
    Val a = n->arg[i];
    if (!result->value[a] || !element_of(g, in, v, e, a, &at)) continue;
    fprintf(out, "    of %s%s%s = %.9g\n", node_of(g, a)->label ? "`" : "", node_of(g, a)->label ? node_of(g, a)->label : op_name(node_of(g, a)->op),
            node_of(g, a)->label ? "`" : "", result->value[a][at]);
  }
  tell_line(r->model, span, out);
}

/* ---- looking */
static bool replay_slice(Replay *r, const Graph *g, const Val *roots, uint32_t n, bool single, FILE *out) {
  char       error[256] = "";
  EvalResult result;
  EvalInput  in = replay_input(r, g);
  Arena     *arena = arena_new();
  uint64_t   element = 0;
  Val        v = NO_VAL;
  in.single = single;
  if (graph_eval(arena, g, roots, n, &in, &result, error)) v = graph_first_nonfinite(g, &result, roots, n, &element);
  else fprintf(out, "  the step cannot be replayed: %s\n", error);
  if (v != NO_VAL) tell(r, g, &in, &result, v, element, out);
  arena_free(arena);
  return v != NO_VAL;
}

/* The entry's graph, and which of the model's axes each of its own is. */
static Graph *replay_read(Replay *r, Arena *arena, Val **roots, Name **names, uint32_t *n, char error[256]) {
  Graph *g = graph_new(arena);
  const char *text = run_of(r->run)->graph;
  *roots = arena_alloc(arena, ROOTS * sizeof **roots);
  *names = arena_alloc(arena, ROOTS * sizeof **names);
  if (!graph_read(g, text, strlen(text), *roots, *names, ROOTS, n, error)) return NULL;
  for (uint32_t i = 0; i < g->axis.n; i++) {
    r->axis_of[i] = -1;
    for (int a = 0; a < r->model->naxis; a++) if (strcmp(r->model->axis[a].name, g->axis.at[i].name) == 0 && g->axis.at[i].kind != AXIS_INDEX) r->axis_of[i] = a;
  }
  return g;
}

bool replay_roots(const Run *run, uint64_t seed, uint64_t step, bool single, ReplayRoots *out, char error[256]) {
  const SviEntry *e = run_of(run);
  Replay r = { .run = run, .model = run_call(run)->trainer->model, .seed = seed, .step = step, .rows = e->axis < 0 ? 1 : run_call(run)->size[e->axis] };
  Arena *arena = arena_new();
  Val   *roots;
  EvalResult result;
  *out = (ReplayRoots){ .memory = arena };
  Graph *g = replay_read(&r, arena, &roots, &out->name, &out->n, error);
  if (!g) return false;
  EvalInput in = replay_input(&r, g);
  in.single = single;
  if (!graph_eval(arena, g, roots, out->n, &in, &result, error)) return false;
  out->value = arena_alloc(arena, (out->n + 1) * sizeof *out->value);
  out->size  = arena_alloc(arena, (out->n + 1) * sizeof *out->size);
  for (uint32_t i = 0; i < out->n; i++) out->value[i] = result.value[roots[i]], out->size[i] = result.size[roots[i]];
  return true;
}
double replay_bytes_of(const Run *run) {
  Replay r = { .run = run, .model = run_call(run)->trainer->model, .rows = run_of(run)->axis < 0 ? 1 : run_call(run)->size[run_of(run)->axis] };
  Arena *arena = arena_new();
  Val   *roots;
  Name  *names;
  uint32_t n;
  char   error[256];
  Graph *g = replay_read(&r, arena, &roots, &names, &n, error);
  EvalInput in = g ? replay_input(&r, g) : (EvalInput){0};
  double bytes = g ? replay_bytes(g, &in) : 0;
  arena_free(arena);
  return bytes;
}

void replay_roots_free(ReplayRoots *r) { arena_free(r->memory); }

bool replay_graph(const Run *run, uint64_t seed, uint64_t step, FILE *out) {
  const SviCall  *c = run_call(run);
  const SviEntry *e = run_of(run);
  Replay r = { .run = run, .model = c->trainer->model, .seed = seed, .step = step };
  char   error[256] = "";
  Arena *arena = arena_new();
  Val   *roots;
  Name  *names;
  uint32_t n = 0;
  bool   found = false;
  Graph *g = replay_read(&r, arena, &roots, &names, &n, error);
  if (!g) {
    fprintf(out, "  the graph of %s cannot be read: %s\n", e->name, error);
    arena_free(arena);
    return true;
  }
  uint64_t all = e->axis < 0 ? 1 : c->size[e->axis], slice = all;
  r.rows = all;
  EvalInput in = replay_input(&r, g);
  double bytes = replay_bytes(g, &in);
  if (bytes > memory_most) slice = (uint64_t)((double)all * memory_most / bytes) + 1;
  /* As the generated code rounds; then, when that finds nothing, without. */
  for (int single = r.model->real_bytes == 4; single >= 0 && !found; single--)
    for (r.first = 0; r.first < all && !found; r.first += slice) {
      r.rows = all - r.first < slice ? all - r.first : slice;
      found  = replay_slice(&r, g, roots, n, single, out);
    }
  arena_free(arena);
  return found;
}
