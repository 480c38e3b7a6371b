/* print: a loop program as text, for dumps, golden tests and bug reports.
 *
 *   entry step:main over image
 *   # phase 0: chunks of image, loops: 2, calls: 1, buffers: 3, bytes per row: 1200
 *     buffer b0: param 0 [784, 200]  q.mlp.dense_1.W
 *   phase 0, chunks of image
 *     b4 = column 0
 *     b5 = b4 @ b0    m image, n 200, k 784
 *     for image rows, 200 {
 *           %0 = b5[i0, i1]
 *           ...
 *           b5[i0, i1] = %3
 *     }
 *
 * Instructions are indented by their depth.  The lines that begin with # are for tests of structure: they
 * survive changes of detail.  Buffers counted are those of the chunk; bytes per row are the sum over its
 * domains. */
#include "loops.h"

static const char *const kinds[] = {[BUF_PARAM] = "param", [BUF_GLOBAL] = "global", [BUF_LANE] = "lane",
                                    [BUF_CHUNK] = "chunk", [BUF_BATCH] = "batch", [BUF_OUT] = "out"};
static const char *const reductions[] = {[REDUCE_SUM] = "sum", [REDUCE_PROD] = "prod", [REDUCE_MAX] = "max",
                                         [REDUCE_MIN] = "min", [REDUCE_LOGSUMEXP] = "logsumexp"};
static const char *const froms[] = {[FROM_IDENTITY] = "", [FROM_LANE] = " of the lane",
                                    [FROM_BLOCK] = " of the stream", [FROM_BEFORE] = " on top"};
static const char *const randoms[] = {[RANDOM_UNIFORM] = "uniform", [RANDOM_NORMAL] = "normal",
                                      [RANDOM_GAMMA] = "gamma", [RANDOM_POISSON] = "poisson",
                                      [RANDOM_VONMISES] = "vonmises"};

static Name axis_name(const LoopProgram *p, uint32_t a) { return p->entry->graph->axis.at[a].name; }

static void print_axes(const LoopProgram *p, AxisSet axes, const char *between, FILE *out) {
  bool more = false;
  for (uint32_t a = 0; a < p->entry->graph->axis.n; a++) {
    if (!(axes >> a & 1)) continue;
    fprintf(out, "%s%s", more ? between : "", axis_name(p, a));
    more = true;
  }
}

static void print_extent(const LoopProgram *p, Extent e, FILE *out) {
  if (e.constant != 1 || e.axes == 0)
    fprintf(out, "%llu%s", (unsigned long long)e.constant, e.axes ? "*" : "");
  print_axes(p, e.axes, "*", out);
}

static void print_index(const Index *ix, FILE *out) {
  switch (ix->kind) {
    case IX_LOOP:  fprintf(out, "i%u", ix->loop); break;
    case IX_CONST: fprintf(out, "%d", ix->plus); return;
    case IX_VALUE: fprintf(out, "%%%u", ix->value); break;
  }
  if (ix->plus) fprintf(out, "%+d", ix->plus);
}

static void print_access(const Access *at, FILE *out) {
  if (at->n == 0) return;
  for (uint32_t i = 0; i < at->n; i++) {
    fputs(i ? ", " : "[", out);
    print_index(&at->at[i], out);
  }
  fputc(']', out);
}

static void print_buffer(const LoopProgram *p, Buf b, FILE *out) {
  const Buffer *x = &p->buffers.at[b];
  fprintf(out, "  buffer b%u: %s %llu ", b, kinds[x->kind], (unsigned long long)x->offset);
  if (x->kind == BUF_CHUNK) fprintf(out, "in domain %u ", x->domain);
  shape_print(p->entry->graph, x->shape, out);
  Name label = x->value < p->entry->graph->node.n ? node_of(p->entry->graph, x->value)->label : NULL;
  if (label) fprintf(out, "  %s", label);
  fputc('\n', out);
}

static void print_instr(const LoopProgram *p, const LoopInstr *i, uint32_t number, FILE *out) {
  if (i->kind != LI_STORE && i->kind != LI_REDUCE) fprintf(out, "%%%u = ", number);
  switch (i->kind) {
    case LI_CONST:  fprintf(out, "%.9g", i->number); break;
    case LI_OPTION: fprintf(out, "option %u", i->id); break;
    case LI_COUNT:  fprintf(out, "count %s%s", i->kind2 ? "all " : "", axis_name(p, i->id)); break;
    case LI_IOTA:   fputs(i->kind2 ? "row " : "index ", out), print_index(&i->at.at[0], out); break;
    case LI_INSIDE: fprintf(out, "%d <= ", i->lo), print_index(&i->at.at[0], out),
        fprintf(out, " < %d", i->hi); break;
    case LI_LOAD:   fprintf(out, "b%u", i->buf), print_access(&i->at, out),
        fputs(i->guard ? " guarded" : "", out); break;
    case LI_OP:
      fputs(op_name(i->op), out);
      for (uint32_t k = 0; k < i->nargs; k++) fprintf(out, " %%%u", i->arg[k]);
      break;
    case LI_RANDOM:
      fprintf(out, "%s draw %u", randoms[i->kind2], i->id), print_access(&i->at, out);
      if (i->nargs) fprintf(out, " %%%u", i->arg[0]);
      break;
    case LI_STORE:  fprintf(out, "b%u", i->buf), print_access(&i->at, out),
        fprintf(out, " = %%%u", i->arg[0]); break;
    case LI_REDUCE: fprintf(out, "b%u", i->buf), print_access(&i->at, out),
        fprintf(out, " %s= %%%u%s", reductions[i->kind2], i->arg[0], froms[i->from]); break;
  }
  fputc('\n', out);
}

static void print_nest(const LoopProgram *p, const Nest *n, FILE *out) {
  fputs("  for ", out);
  for (uint32_t i = 0; i < n->nloop; i++) {
    const Loop *l = &n->loop[i];
    if (i) fputs(", ", out);
    switch (l->kind) {
      case LOOP_ROWS: fprintf(out, "%s rows", axis_name(p, l->axis)); break;
      case LOOP_AXIS: fputs(axis_name(p, l->axis), out); break;
      case LOOP_SIZE: fprintf(out, "%u", l->size); break;
    }
  }
  fputs(n->nloop ? " {\n" : "once {\n", out);
  for (uint32_t i = 0; i < n->instr.n; i++) {
    fprintf(out, "    %*s", (int)(2 * n->instr.at[i].depth), "");
    print_instr(p, &n->instr.at[i], i, out);
  }
  fputs("  }\n", out);
}

static const char *const triangles[] = {"", " (triangle)", " (triangle of the result)"};
static void print_call(const LoopProgram *p, const Call *c, FILE *out) {
  fprintf(out, "  b%u ", c->c);
  switch (c->kind) {
    case CALL_GEMM:
      fprintf(out, "%s b%u%s%s @ b%u%s%s%s    m ", c->add ? "+=" : "=", c->a, c->ta ? "'" : "", c->bits ? " (bits)" : "", c->b,
              c->tb ? "'" : "", triangles[c->triangle], c->add ? "" : froms[c->from]);
      print_extent(p, c->m, out);
      fputs(", n ", out), print_extent(p, c->n, out);
      fputs(", k ", out), print_extent(p, c->k, out);
      break;
    case CALL_LOAD_ROWS:
      if (c->column >= 0) fprintf(out, "= column %d", c->column);
      else fprintf(out, "= rows of parameter %d", -1 - c->column);
      break;
    case CALL_CHOLESKY:  fprintf(out, "= cholesky b%u", c->a); break;
    case CALL_RUNNING:   fprintf(out, "= sums %s b%u", c->trans ? "after" : "before", c->a); break;
    case CALL_SOLVE_TRI:
      fprintf(out, "= solve b%u%s b%u, %s", c->a, c->trans ? "'" : "", c->b, c->lower ? "lower" : "upper");
      break;
  }
  if (c->batch.constant != 1 || c->batch.axes) fputs(", each of ", out), print_extent(p, c->batch, out);
  fputc('\n', out);
}

typedef struct { uint32_t loops, calls, buffers; uint64_t bytes; } Summary;

static bool step_uses(const Step *s, Buf b) {
  if (s->is_call) return s->call.a == b || s->call.b == b || s->call.c == b;
  for (uint32_t k = 0; k < s->nest.instr.n; k++) {
    const LoopInstr *in = &s->nest.instr.at[k];
    if ((in->kind == LI_LOAD || in->kind == LI_STORE || in->kind == LI_REDUCE) && in->buf == b) return true;
  }
  return false;
}

static Summary summarise(const LoopProgram *p, const LoopPhase *phase) {
  Summary s = {0};
  for (uint32_t i = 0; i < phase->steps.n; i++) *(phase->steps.at[i].is_call ? &s.calls : &s.loops) += 1;
  for (Buf b = 0; b < p->buffers.n; b++) {
    bool used = false;
    for (uint32_t i = 0; i < phase->steps.n && !used; i++) used = step_uses(&phase->steps.at[i], b);
    s.buffers += used && p->buffers.at[b].kind == BUF_CHUNK;
  }
  for (uint32_t i = 0; i < phase->ndomain; i++) s.bytes += phase->domain[i].bytes;
  return s;
}

static void print_plate(const LoopProgram *p, const LoopPhase *phase, FILE *out) {
  if (phase->axis < 0) fputs("serial", out);
  else fprintf(out, "%s of %s", phase->after ? "products over rows" : "chunks", axis_name(p, (uint32_t)phase->axis));
}

void loops_print(const LoopProgram *p, FILE *out) {
  fprintf(out, "entry %s", p->entry->name);
  if (p->entry->axis >= 0) fprintf(out, " over %s", axis_name(p, (uint32_t)p->entry->axis));
  fputc('\n', out);
  for (uint32_t i = 0; i < p->phases.n; i++) {
    const LoopPhase *phase = &p->phases.at[i];
    Summary s = summarise(p, phase);
    fprintf(out, "# phase %u: ", i), print_plate(p, phase, out);
    fputs(phase->stream ? ", streamed" : "", out);
    fprintf(out, ", loops: %u, calls: %u, buffers: %u, bytes per row: %llu\n",
            s.loops, s.calls, s.buffers, (unsigned long long)s.bytes);
  }
  for (Buf b = 0; b < p->buffers.n; b++) print_buffer(p, b, out);
  for (uint32_t i = 0; i < p->phases.n; i++) {
    const LoopPhase *phase = &p->phases.at[i];
    fprintf(out, "phase %u, ", i), print_plate(p, phase, out), fputc('\n', out);
    for (uint32_t d = 0; d < phase->ndomain; d++) {
      fprintf(out, "  domain %u: ", d);
      print_axes(p, phase->domain[d].axes, ", ", out);
      fprintf(out, ", %llu bytes\n", (unsigned long long)phase->domain[d].bytes);
    }
    bool stream = false;
    uint32_t repeat = 0;
    for (uint32_t s = 0; s < phase->steps.n; s++) {
      bool turn = phase->steps.at[s].repeat != repeat;
      if (turn && repeat) fputs("  end of repetition\n", out);
      if (phase->steps.at[s].streamed != stream) fputs(stream ? "  end of stream\n" : "  stream\n", out);
      stream = phase->steps.at[s].streamed;
      repeat = phase->steps.at[s].repeat;
      const Repeat *r = turn && repeat ? &phase->repeats.at[repeat - 1] : NULL;
      if (r) {
        fprintf(out, "  repeat until b%u = b%u, at most ", r->next, r->guess);
        print_extent(p, r->turns, out);
        fputs(r->by ? " times, step by step" : " times", out);
        fputs(r->by < 0 ? " from the last\n" : "\n", out);
      }
      if (phase->steps.at[s].is_call) print_call(p, &phase->steps.at[s].call, out);
      else print_nest(p, &phase->steps.at[s].nest, out);
    }
    if (repeat) fputs("  end of repetition\n", out);
    if (stream) fputs("  end of stream\n", out);
  }
}
