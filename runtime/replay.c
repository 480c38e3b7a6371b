/* After a step that was not finite: who was first, and a file to look again.
 *
 * The step is evaluated again by the reference evaluator of the compiler (replay_graph.c) from the graph's text that the
 * entry carries, at the same parameters, rows and draws; the first value that is not finite though its arguments are is the
 * culprit.  Before that, the plain causes: a parameter that already is not finite. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

static bool replay_params(const Run *r, FILE *out) {
  const SviCall  *c = run_call(r);
  const Params   *p = c->trainer->params;
  const SviModel *m = c->trainer->model;
  for (int i = 0; i < m->nparam; i++) {
    uint64_t count;
    const void *at = params_at(p, i, &count);
    for (uint64_t k = 0; k < count; k++) {
      double x = real_get(m->real_bytes, at, k);
      if (isfinite(x)) continue;
      fprintf(out, "  parameter `%s` is %g already (element %" PRIu64 "): the step before made it so\n", m->param[i].name, x, k);
      return true;
    }
  }
  return false;
}

void replay_explain(const Run *r, uint64_t seed, uint64_t step, FILE *out) {
  if (replay_params(r, out)) return;
  if (run_of(r)->graph && replay_graph(r, seed, step, out)) return;
  fprintf(out, "  it could not be traced to an operation: in double precision the same step is finite, or this entry has no graph\n");
}

/* Parameters, the rows of the batch, and what the draws are keyed by. */
bool replay_save(const Run *r, const State *s, uint64_t step, const char *path, SviError *e) {
  const SviCall  *c = run_call(r);
  const SviModel *m = c->trainer->model;
  size_t    n = 0;
  int       axis = run_of(r)->axis;
  SviArray *a = memory_new((size_t)m->nparam + 1, sizeof *a, "a replay");
  for (int i = 0; i < m->nparam; i++) {
    const SviParam *p = &m->param[i];
    uint64_t count;
    a[n] = (SviArray){ .name = (char *)(uintptr_t)p->name, .type = m->real_bytes == 8 ? SVI_F64 : SVI_F32, .bytes = params_at(&s->params, i, &count) };
    if (p->axis >= 0) a[n].dim[a[n].rank++] = s->params.rows[i];
    for (int k = 0; k < p->rank; k++) a[n].dim[a[n].rank++] = p->dim[k];
    n++;
  }
  if (axis >= 0) a[n++] = (SviArray){ .name = (char *)(uintptr_t)"rows:", .type = SVI_U32, .rank = 1, .dim = { c->size[axis] }, .bytes = c->row[axis] };
  char *at = text_new("%" PRIu64, step - 1), *seed = text_new("%" PRIu64, s->seed);
  SviNote notes[] = {
    { "format", "svic checkpoint 1" }, { "model", m->name }, { "hash", m->hash ? m->hash : "" }, { "step", at }, { "seed", seed }, { "entry", run_of(r)->name },
  };
  bool ok = svi_safetensors_write(path, a, n, notes, LENGTH(notes), e);
  free(at);
  free(seed);
  memory_free(a);
  return ok;
}
