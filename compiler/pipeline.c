#include "pipeline.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- stages */
static void run_parse(Compile *c) {
  const char *path = c->options->input;
  FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
  if (!f) { fprintf(stderr, "svic: error: cannot open %s: %s\n", path, strerror(errno)); c->failed = true; return; }
  char *text = NULL;
  size_t n = 0, cap = 0, got = 0;
  do {
    n += got;
    if (n == cap) {
      char *more = arena_alloc(c->arena, cap = cap ? 2 * cap : 16384);
      if (text) memcpy(more, text, n);
      text = more;
    }
  } while ((got = fread(text + n, 1, cap - n, f)) > 0);
  bool bad = ferror(f);
  if (f != stdin) fclose(f);
  if (bad) { fprintf(stderr, "svic: error: cannot read %s: %s\n", path, strerror(errno)); c->failed = true; return; }
  const char *kept = arena_copy(c->arena, text, n);
  const Source *source = source_add(c->sources, strcmp(path, "-") == 0 ? "<stdin>" : path, kept, n, false);
  c->ast = ast_parse(c->arena, source, c->diag);
}
static void run_check(Compile *c) {
  c->typed = types_check(c->arena, c->diag, c->sources, c->ast, c->options->search, c->options->nsearch, c->options->define, c->options->ndefine);
}
static void run_prob(Compile *c)  { c->prob = prob_build(c->typed); }
static void run_lower(Compile *c) { c->lowered = prob_lower(c->prob); }
static void run_loops(Compile *c) {
  Lowered *l = c->lowered;
  l->model.real_bytes = c->options->f64 ? 8 : 4;
  c->programs = arena_alloc(c->arena, (l->entries.n + 1) * sizeof *c->programs);
  for (uint32_t i = 0; i < l->entries.n; i++) {
    Entry *e = l->entries.at[i];
    c->programs[i] = loops_lower(c->arena, e, &l->model, l->model.real_bytes, &l->entry[i]);
    l->entry[i].name = e->name;
    l->entry[i].axis = e->axis;
    Val *roots = arena_alloc(c->arena, (e->scalars.n + e->outs.n + e->grads.n + e->updates.n + 1) * sizeof *roots);
    Name *names = arena_alloc(c->arena, (e->scalars.n + e->outs.n + e->grads.n + e->updates.n + 1) * sizeof *names);
    uint32_t n = 0;
    for (uint32_t k = 0; k < e->scalars.n; k++) roots[n] = e->scalars.at[k].value, names[n++] = e->scalars.at[k].name;
    for (uint32_t k = 0; k < e->outs.n; k++) roots[n] = e->outs.at[k].value, names[n++] = e->outs.at[k].name;
    for (uint32_t k = 0; k < e->grads.n; k++) roots[n] = e->grads.at[k].value, names[n++] = name_printf("grad:%s", l->model.param[e->grads.at[k].param].name);
    for (uint32_t k = 0; k < e->updates.n; k++) roots[n] = e->updates.at[k].value, names[n++] = name_printf("update:%s", l->model.param[e->updates.at[k].param].name);
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    graph_print(e->graph, roots, names, n, f);
    fclose(f);
    l->entry[i].graph = arena_copy(c->arena, text, size);
    free(text);
    for (Val v = 0; v < e->graph->node.n; v++) {
      const Node *node = node_of(e->graph, v);
      if (node->op == OP_input && (int32_t)node->attr.leaf.id < l->model.ncolumn) l->entry[i].needs_data = true;
      if (node->op == OP_gather && node->attr.gather.axis != NO_VAL && (int32_t)axis_rows(e->graph, node->attr.gather.axis) == e->axis) l->entry[i].whole = true;
      if (node->op == OP_reduce && e->axis >= 0 && (node->attr.reduce.axes >> e->axis & 1)) l->entry[i].whole = true;
    }
  }
  l->model.info = prob_info(c->prob, l, false);
  const char *base = strrchr(l->model.path, '/') ? strrchr(l->model.path, '/') + 1 : l->model.path;
  const char *dot = strrchr(base, '.');
  l->model.name = arena_copy(c->arena, base, dot ? (size_t)(dot - base) : strlen(base));
  l->model.version = SVIC_VERSION;
}
static void run_llvm(Compile *c) { c->module = llvm_build(c->arena, &c->lowered->model, c->programs, c->sources, &c->options->llvm); }
static void run_opt(Compile *c)  { llvm_optimise(c->module); }

/* ---- printers */
static void print_ast  (Compile *c, FILE *out) { ast_print(c->ast, out); }
static void print_typed(Compile *c, FILE *out) { types_print(c->typed, out); }
static void print_prob (Compile *c, FILE *out) { prob_print(c->prob, out); }
static void print_entries(Compile *c, FILE *out, bool grads) {
  for (uint32_t i = 0; i < c->lowered->entries.n; i++) {
    Entry *e = c->lowered->entries.at[i];
    VEC(Val) roots = {0};
    VEC(Name) names = {0};
    for (uint32_t k = 0; k < e->scalars.n; k++) { vec_push(c->arena, &roots, e->scalars.at[k].value); vec_push(c->arena, &names, e->scalars.at[k].name); }
    for (uint32_t k = 0; k < e->outs.n; k++) { vec_push(c->arena, &roots, e->outs.at[k].value); vec_push(c->arena, &names, e->outs.at[k].name); }
    for (uint32_t k = 0; grads && k < e->grads.n; k++) {
      Name n = name_printf("grad:%s", c->lowered->model.param[e->grads.at[k].param].name);
      vec_push(c->arena, &roots, e->grads.at[k].value);
      vec_push(c->arena, &names, n);
    }
    fprintf(out, "# entry %s\n", e->name);
    if (roots.n) graph_print(e->graph, roots.at, names.at, roots.n, out);
    fputc('\n', out);
  }
}
static void print_graph(Compile *c, FILE *out) { print_entries(c, out, false); }
static void print_grad (Compile *c, FILE *out) { print_entries(c, out, true); }
static void print_loops(Compile *c, FILE *out) {
  for (uint32_t i = 0; i < c->lowered->entries.n; i++) loops_print(c->programs[i], out);
}
static void write_llvm(Compile *c, FILE *out, LlvmForm form) {
  char error[256];
  fflush(out);
  if (!llvm_write(c->module, form, c->options->output ? c->options->output : "-", error)) {
    fprintf(stderr, "svic: error: %s\n", error);
    c->failed = true;
  }
}
static void print_llvm(Compile *c, FILE *out) { write_llvm(c, out, LLVM_IR); }
static void print_asm (Compile *c, FILE *out) { write_llvm(c, out, LLVM_ASM); }
static void print_obj (Compile *c, FILE *out) { write_llvm(c, out, LLVM_OBJECT); }

/* ---- verifiers */
static bool verify_ast  (Compile *c, FILE *why) { return ast_verify(c->ast, why); }
static bool verify_typed(Compile *c, FILE *why) { return types_verify(c->typed, why); }
static bool verify_prob (Compile *c, FILE *why) { return prob_verify(c->prob, why); }
static bool verify_graph(Compile *c, FILE *why) {
  for (uint32_t i = 0; i < c->lowered->entries.n; i++)
    if (!graph_verify(c->lowered->entries.at[i]->graph, why)) return false;
  return true;
}
static bool verify_loops(Compile *c, FILE *why) {
  for (uint32_t i = 0; i < c->lowered->entries.n; i++)
    if (!loops_verify(c->programs[i], why)) return false;
  return true;
}
static bool verify_llvm(Compile *c, FILE *why) { return llvm_verify(c->module, why); }

/* ---- sizes, for --trace */
static size_t size_ast  (Compile *c) { return c->ast->source->size; }
static size_t size_typed(Compile *c) { return c->typed->graph->node.n; }
static size_t size_prob (Compile *c) { size_t n = 0; for (uint32_t i = 0; i < c->prob->goals.n; i++) n += c->prob->goals.at[i].parts.n; return n; }
static size_t size_graph(Compile *c) { size_t n = 0; for (uint32_t i = 0; i < c->lowered->entries.n; i++) n += c->lowered->entries.at[i]->graph->node.n; return n; }
static size_t size_loops(Compile *c) {
  size_t n = 0;
  for (uint32_t i = 0; i < c->lowered->entries.n; i++)
    for (uint32_t k = 0; k < c->programs[i]->phases.n; k++) n += c->programs[i]->phases.at[k].steps.n;
  return n;
}
static size_t size_llvm(Compile *c) { return llvm_size(c->module); }

typedef struct {
  const char *name;
  void   (*run)(Compile *);
  void   (*print)(Compile *, FILE *);
  bool   (*verify)(Compile *, FILE *);
  size_t (*size)(Compile *);
  const char *unit;
  bool    optional;
  const char *help;
} Stage;
/* Several names may print after one run: those have no run of their own. */
static const Stage stages[] = {
  /* --emit   run        print        verify        size        unit              skip   in one line                                          */
  {"ast",     run_parse, print_ast,   verify_ast,   size_ast,   "bytes",          false, "source text to syntax tree"},
  {"typed",   run_check, print_typed, verify_typed, size_typed, "values",         false, "names, shapes, ranges, sites; nets expanded"},
  {"prob",    run_prob,  print_prob,  verify_prob,  size_prob,  "parts",          false, "objectives as sums of parts, estimators"},
  {"graph",   run_lower, print_graph, verify_graph, size_graph, "values",         false, "parts to tensor graphs, one an entry, with adjoints"},
  {"grad",    NULL,      print_grad,  NULL,         size_graph, "values",         false, "the same graphs with every parameter's gradient"},
  {"loops",   run_loops, print_loops, verify_loops, size_loops, "nests and calls", false, "graphs to phases of fused loops and planned memory"},
  {"ir",      run_llvm,  print_llvm,  verify_llvm,  size_llvm,  "instructions",   false, "loops to LLVM IR, before optimisation"},
  {"llvm",    run_opt,   print_llvm,  verify_llvm,  size_llvm,  "instructions",   true,  "optimised LLVM IR"},
  {"asm",     NULL,      print_asm,   NULL,         NULL,       NULL,             false, "assembly"},
  {"obj",     NULL,      print_obj,   NULL,         NULL,       NULL,             false, "object file"},
};

void pipeline_table(FILE *out) {
  for (size_t i = 0; i < LEN(stages); i++) fprintf(out, "  %-7s %s\n", stages[i].name, stages[i].help);
}
bool pipeline_has_stage(const char *name) {
  for (size_t i = 0; i < LEN(stages); i++)
    if (strcmp(stages[i].name, name) == 0) return true;
  return false;
}
static double milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}
static bool same(const char *a, const char *b) { return a && strcmp(a, b) == 0; }
static void verify_stage(Compile *c, const Stage *s) {
  char *why = NULL;
  size_t size;
  FILE *f = open_memstream(&why, &size);
  bool good = s->verify(c, f);
  fclose(f);
  if (!good) BUG("after `%s`: %s", s->name, why);
  free(why);
}
static FILE *open_output(Compile *c) {
  if (!c->options->output || strcmp(c->options->output, "-") == 0) return stdout;
  FILE *f = fopen(c->options->output, "w");
  if (!f) { fprintf(stderr, "svic: error: cannot write %s: %s\n", c->options->output, strerror(errno)); c->failed = true; }
  return f;
}

static bool make_executable(Compile *c) {
  char error[1024], object[] = "/tmp/svic-XXXXXX.o";
  int fd = mkstemps(object, 2);
  if (fd < 0) { fprintf(stderr, "svic: error: cannot make a temporary file: %s\n", strerror(errno)); return false; }
  close(fd);
  double start = milliseconds();
  bool good = llvm_write(c->module, LLVM_OBJECT, object, error);
  double written = milliseconds();
  if (good) good = llvm_link(object, c->options->runtime_dir, c->options->output, error);
  if (c->options->trace) fprintf(stderr, "%-8s %8.2f ms\n%-8s %8.2f ms\n", "codegen", written - start, "link", milliseconds() - written);
  unlink(object);
  if (!good) fprintf(stderr, "svic: error: %s\n", error);
  return good;
}

bool pipeline_run(Compile *c) {
  const Options *o = c->options;
  for (size_t i = 0; i < LEN(stages); i++) {
    const Stage *s = &stages[i];
    bool skipped = false;
    for (uint32_t k = 0; k < o->nskip; k++) skipped |= same(o->skip[k], s->name) && s->optional;
    double start = milliseconds();
    if (s->run && !skipped) s->run(c);
    if (c->failed || diag_errors(c->diag)) return false;
    if (s->run && o->trace) fprintf(stderr, "%-8s %8.2f ms  %8zu %s\n", s->name, milliseconds() - start, s->size ? s->size(c) : 0, s->unit ? s->unit : "");
    if (s->verify && o->verify) verify_stage(c, s);
    if (same(o->after, s->name)) s->print(c, stderr);
    if (c->failed) return false;
    if (same(o->emit, s->name)) {
      FILE *out = open_output(c);
      if (!out) return false;
      s->print(c, out);
      if (out != stdout) fclose(out);
      return !c->failed;
    }
    if (o->info && same("loops", s->name)) {
      fputs(prob_info(c->prob, c->lowered, o->json), stdout);
      if (o->json) putchar('\n');
      return true;
    }
  }
  return make_executable(c);
}
