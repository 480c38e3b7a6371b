/* Reading what graph_print wrote (see print.c for the form).
 *
 * Nothing is simplified on the way in: a node is what its line says, so reading and printing give the same
 * text.  Shapes are checked by the ops' own rules, ranges found anew from those of the leaves. */
#include "../ops/op.h"
#include <stdlib.h>

bool text_fail(TextIn *in, const char *format, ...) {
  char what[200];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  if (!in->error[0]) snprintf(in->error, 256, "line %u: %s", in->line, what);
  return false;
}

static void skip_space(TextIn *in) { while (in->p < in->end && *in->p == ' ') in->p++; }

bool text_mark(TextIn *in, char c) {
  skip_space(in);
  if (in->p == in->end || *in->p != c) return false;
  in->p++;
  return true;
}

/* Length of the word that is next: what stands between spaces and marks. */
static size_t word_size(const TextIn *in) {
  size_t n = 0;
  while (in->p + n < in->end && !strchr(" ,[]()@%\"\n", in->p[n])) n++;
  return n;
}

bool text_word(TextIn *in, const char *word) {
  skip_space(in);
  size_t n = word_size(in);
  if (n != strlen(word) || memcmp(in->p, word, n)) return false;
  in->p += n;
  return true;
}

bool text_number(TextIn *in, double *x) {
  char text[64], *stop;
  skip_space(in);
  size_t n = word_size(in);
  if (n == 0 || n >= sizeof text) return false;
  memcpy(text, in->p, n);
  text[n] = 0;
  *x = strtod(text, &stop);
  if (*stop) return false;
  in->p += n;
  return true;
}

bool text_uint(TextIn *in, uint32_t *x) {
  uint64_t v = 0;
  skip_space(in);
  size_t n = word_size(in);
  if (n == 0 || n > 10) return false;
  for (size_t i = 0; i < n; i++) {
    if (in->p[i] < '0' || in->p[i] > '9') return false;
    v = 10 * v + (uint64_t)(in->p[i] - '0');
  }
  if (v > UINT32_MAX) return false;
  *x = (uint32_t)v;
  in->p += n;
  return true;
}

bool text_name(TextIn *in, Name *name) {
  if (!text_mark(in, '"')) return false;
  size_t n = 0, room = (size_t)(in->end - in->p);
  char *text = arena_alloc(in->g->arena, room + 1);
  while (in->p < in->end && *in->p != '"' && *in->p != '\n') {
    bool escaped = *in->p == '\\' && in->p + 1 < in->end;
    if (escaped) in->p++;
    text[n++] = escaped && *in->p == 'n' ? '\n' : *in->p;
    in->p++;
  }
  *name = name_of_n(text, n);
  return text_mark(in, '"') || text_fail(in, "a name has no end");
}

bool text_axis(TextIn *in, uint32_t *axis) {
  skip_space(in);
  size_t n = word_size(in);
  if (n > 1 && *in->p == '#') {
    in->p++;
    return (text_uint(in, axis) && *axis < in->g->axis.n) || text_fail(in, "no such axis");
  }
  for (*axis = 0; *axis < in->g->axis.n; ++*axis) {
    Name name = in->g->axis.at[*axis].name;
    if (strlen(name) != n || memcmp(name, in->p, n)) continue;
    in->p += n;
    return true;
  }
  return text_fail(in, "no axis `%.*s`", (int)n, in->p);
}

static bool read_span(TextIn *in, Span *s) {
  *s = NO_SPAN;
  if (!text_mark(in, '@')) return true;
  char *stop;
  s->at = (uint32_t)strtoul(in->p, &stop, 10);
  if (*stop != '-') return text_fail(in, "a place is two offsets");
  s->end = (uint32_t)strtoul(stop + 1, &stop, 10);
  in->p = stop;
  return true;
}

static bool read_axis(TextIn *in) {
  static const char *const kinds[] = {"plate", "particle", "index"};
  Axis a = {.parent = -1};
  uint32_t number, kind = 0, parent;
  if (!text_uint(in, &number) || number != in->g->axis.n || number >= AXIS_MAX)
    return text_fail(in, "axes are numbered from 0");
  while (kind < LEN(kinds) && !text_word(in, kinds[kind])) kind++;
  if (kind == LEN(kinds)) return text_fail(in, "an axis is a plate, particle or index");
  a.kind = (AxisKind)kind;
  skip_space(in);
  if (in->p < in->end && *in->p == '"') {
    if (!text_name(in, &a.name)) return false;
  } else {
    size_t n = word_size(in);
    a.name = name_of_n(in->p, n);
    in->p += n;
  }
  if (text_word(in, "size") && !text_uint(in, &a.size)) return text_fail(in, "a size is missing");
  if (text_word(in, "in")) {
    if (!text_uint(in, &parent) || parent >= number) return text_fail(in, "the axis it is in is missing");
    a.parent = (int)parent;
  }
  if (text_word(in, "again")) {
    if (!text_uint(in, &a.again) || a.again >= number) return text_fail(in, "the plate it runs over again is missing");
    a.again++;
  }
  a.ordered = text_word(in, "ordered");
  vec_push(in->g->arena, &in->g->axis, a);
  return true;
}

static bool read_draw(TextIn *in) {
  uint32_t number;
  Draw d = {0};
  if (!text_uint(in, &number) || number != in->g->draws.n) return text_fail(in, "draws are numbered from 0");
  if (!text_name(in, &d.name)) return text_fail(in, "a draw needs a name");
  d.once = text_word(in, "once");
  if (!read_span(in, &d.span)) return false;
  vec_push(in->g->arena, &in->g->draws, d);
  return true;
}

static bool read_op(TextIn *in, Node *n) {
  for (int op = 0; op < OP_COUNT; op++) {
    const char *const *words = op_of((OpKind)op)->words;
    n->op = (OpKind)op;
    if (!words && text_word(in, op_name((OpKind)op))) return true;
    for (uint8_t k = 0; words && words[k]; k++) {
      if (!text_word(in, words[k])) continue;
      if (n->op == OP_reduce) n->attr.reduce.kind = k;
      else n->attr.random.kind = k;
      return true;
    }
  }
  return text_fail(in, "no op `%.*s`", (int)word_size(in), in->p);
}

static bool read_value(TextIn *in, const Val *made, uint32_t n, Val *v) {
  uint32_t number;
  if (!text_mark(in, '%')) return false;
  if (!text_uint(in, &number) || number >= n) return text_fail(in, "a value that is not above");
  *v = made[number];
  return true;
}

static bool read_shape(TextIn *in, const Shape **s) {
  uint32_t dim[DIM_MAX], rank = 0, axis;
  AxisSet axes = 0;
  if (!text_word(in, "scalar")) {
    if (!text_mark(in, '[')) return text_fail(in, "a shape is missing");
    do {
      if (rank == DIM_MAX || !text_uint(in, &dim[rank]))
        return text_fail(in, "a shape has up to %d sizes", DIM_MAX);
      rank++;
    } while (text_mark(in, ','));
    if (!text_mark(in, ']')) return text_fail(in, "a shape ends with ]");
  }
  if (text_word(in, "each")) do {
    if (!text_axis(in, &axis)) return false;
    axes |= (AxisSet)1 << axis;
  } while (text_mark(in, ','));
  *s = graph_shape(in->g, axes, rank, dim);
  return true;
}

typedef VEC(Val) Vals;

static bool read_node(TextIn *in, Vals *made) {
  Graph *g = in->g;
  Vals args = {0};
  Node n = {.attr = attr_none()};
  Val v;
  uint32_t number;
  if (!text_uint(in, &number) || number != made->n || !text_mark(in, '='))
    return text_fail(in, "values are numbered from 0");
  if (!read_op(in, &n)) return false;
  while (read_value(in, made->at, made->n, &v)) vec_push(g->arena, &args, v);
  const Op *op = op_of(n.op);
  if (in->error[0] || (op->read && !op->read(in, &n)) || !read_shape(in, &n.shape)) return false;
  if (text_name(in, &n.label), in->error[0] || !read_span(in, &n.span)) return false;
  v = graph_node(g, n.op, args.n, args.at, n.attr, n.shape);
  if (v == NO_VAL || shape_of(g, v) != n.shape)
    return text_fail(in, "`%s` cannot have these arguments and this shape", op_name(n.op));
  Node *node = &g->node.at[v];
  node->label = n.label, node->span = n.span;
  if (n.op == OP_param || n.op == OP_input || n.op == OP_option) node->range = n.range;
  vec_push(g->arena, made, v);
  return true;
}

static bool read_line(TextIn *in, Vals *made, Val *roots, Name *names, uint32_t max, uint32_t *n) {
  Name name;
  Val v;
  if (text_mark(in, '%')) return read_node(in, made);
  if (text_word(in, "axis")) return read_axis(in);
  if (text_word(in, "draw")) return read_draw(in);
  if (!text_word(in, "root")) return text_fail(in, "a line starts with axis, draw, root or a value");
  if (!text_name(in, &name) || !read_value(in, made->at, made->n, &v))
    return text_fail(in, "a root needs a name and a value");
  if (*n == max) return text_fail(in, "more than %u roots", max);
  if (names) names[*n] = name;
  roots[(*n)++] = v;
  return true;
}

bool graph_read(Graph *g, const char *text, size_t size, Val *roots, Name *names, uint32_t max, uint32_t *n,
                char error[256]) {
  TextIn in = {.p = text, .end = text + size, .g = g, .line = 1, .error = error};
  Vals made = {0};
  error[0] = 0;
  *n = 0;
  if (!text_word(&in, "graph") || !text_word(&in, "1"))
    return text_fail(&in, "the text of a graph starts with `graph 1`");
  if (g->node.n || g->axis.n || g->draws.n) return text_fail(&in, "a graph is read into an empty one");
  Span span = g->span;
  g->span = NO_SPAN;
  for (; in.p < in.end; in.line++) {
    skip_space(&in);
    if (in.p < in.end && *in.p != '\n' && !read_line(&in, &made, roots, names, max, n)) break;
    skip_space(&in);
    if (in.p < in.end && *in.p++ != '\n' && !text_fail(&in, "more on the line than it can hold")) break;
  }
  g->span = span;
  return !error[0];
}
