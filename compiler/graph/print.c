/* The text form of a graph: for reading, for tests, and for the replay of a run.
 *
 * In:  a graph and named roots.
 * Out: one line an axis, a draw, a node the roots need, a root.  Nodes are numbered afresh, without gaps, so
 *      text read back and printed again is the same text.
 *
 *   graph 1
 *   axis 0 plate image
 *   axis 1 index i size 5
 *   axis 2 plate time in 0 ordered
 *   axis 3 plate image.m again 0
 *   draw 0 "q.z" once @120-133
 *   %0 = param "p.W" 3 [784, 200]
 *   %1 = input "x" 0 in whole [0, 1] [784] each image
 *   %2 = dot %1 %0 over dims 0 0 [200] each image "p.h" @45-61
 *   %3 = sum %2 over dim 0 axis image scalar
 *   root "loss" %3
 *
 * An axis is written by its name, or as #number where another has the same.  A node's line ends with its
 * shape, its label if it has one, and its place as offsets into the sources laid end to end. */
#include "../ops/op.h"
#include <math.h>
#include <stdlib.h>

static const char *const axis_kind[] = {[AXIS_PLATE] = "plate", [AXIS_PARTICLE] = "particle",
                                        [AXIS_INDEX] = "index"};

/* 17 digits give a double back; fewer where they do too. */
void print_number(double x, FILE *out) {
  char text[40];
  for (int digits = 6; digits <= 17; digits += digits == 6 ? 9 : 1) {
    snprintf(text, sizeof text, "%.*g", digits, x);
    if (strtod(text, NULL) == x) break;
  }
  fputs(isnan(x) ? "nan" : text, out);
}

void print_name(Name name, FILE *out) {
  fputc('"', out);
  for (const char *p = name; *p; p++) {
    if (*p == '"' || *p == '\\') fputc('\\', out);
    if (*p == '\n') fputs("\\n", out);
    else fputc(*p, out);
  }
  fputc('"', out);
}

/* Words of the text that could follow an axis, or stand in its place. */
static bool is_plain_word(Name name) {
  static const char *const taken[] = {"scalar", "axis", "dim", "dims", "each", "in", "ordered", "size"};
  for (size_t i = 0; i < LEN(taken); i++) if (!strcmp(name, taken[i])) return false;
  return *name && !strpbrk(name, " ,[]()#%@\"\\\n\t");
}

void print_axis(const Graph *g, uint32_t axis, FILE *out) {
  Name name = g->axis.at[axis].name;
  bool alone = is_plain_word(name);
  for (uint32_t i = 0; i < g->axis.n; i++) alone &= i == axis || g->axis.at[i].name != name;
  if (alone) fputs(name, out);
  else fprintf(out, "#%u", axis);
}

static void print_span(Span s, FILE *out) { if (s.end) fprintf(out, " @%u-%u", s.at, s.end); }

static void print_axes(const Graph *g, FILE *out) {
  for (uint32_t i = 0; i < g->axis.n; i++) {
    const Axis *a = &g->axis.at[i];
    fprintf(out, "axis %u %s ", i, axis_kind[a->kind]);
    if (is_plain_word(a->name)) fputs(a->name, out);
    else print_name(a->name, out);
    if (a->size) fprintf(out, " size %u", a->size);
    if (a->parent >= 0 && a->kind == AXIS_PLATE) fprintf(out, " in %d", a->parent);
    if (a->again) fprintf(out, " again %u", a->again - 1);
    fputs(a->ordered ? " ordered\n" : "\n", out);
  }
}

/* The word in the op's place: its name, or for reduce and random the kind. */
static const char *word_of(const Node *n) {
  const char *const *words = op_of(n->op)->words;
  if (!words) return op_name(n->op);
  return words[n->op == OP_reduce ? n->attr.reduce.kind : n->attr.random.kind];
}

static void print_node(const Graph *g, Val v, const Val *number, FILE *out) {
  const Node *n = node_of(g, v);
  fprintf(out, "%%%u = %s", number[v], word_of(n));
  for (uint32_t i = 0; i < n->nargs; i++) fprintf(out, " %%%u", number[n->arg[i]]);
  if (op_of(n->op)->print) op_of(n->op)->print(g, n, out);
  fputc(' ', out);
  shape_print(g, n->shape, out);
  if (n->label) fputc(' ', out), print_name(n->label, out);
  print_span(n->span, out);
  fputc('\n', out);
}

void graph_print(const Graph *g, const Val *roots, const Name *names, uint32_t n, FILE *out) {
  Arena *scratch = arena_new();
  bool *needed = arena_alloc(scratch, g->node.n + 1);
  Val  *number = arena_alloc(scratch, (g->node.n + 1) * sizeof *number), next = 0;
  for (uint32_t i = 0; i < n; i++) needed[roots[i]] = true;
  for (Val v = g->node.n; v-- > 0;) {
    if (!needed[v]) continue;
    for (uint32_t i = 0; i < node_of(g, v)->nargs; i++) needed[arg_of(g, v, i)] = true;
  }
  fputs("graph 1\n", out);
  print_axes(g, out);
  for (uint32_t i = 0; i < g->draws.n; i++) {
    fprintf(out, "draw %u ", i);
    print_name(g->draws.at[i].name, out);
    if (g->draws.at[i].once) fputs(" once", out);
    print_span(g->draws.at[i].span, out);
    fputc('\n', out);
  }
  for (Val v = 0; v < g->node.n; v++) {
    if (!needed[v]) continue;
    number[v] = next++;
    print_node(g, v, number, out);
  }
  for (uint32_t i = 0; i < n; i++) {
    fputs("root ", out);
    print_name(names ? names[i] : name_of(""), out);
    fprintf(out, " %%%u\n", number[roots[i]]);
  }
  arena_free(scratch);
}
