/* Prob as text (--emit=prob) and what `svic info` says. */
#include "prob.h"
#include <cjson/cJSON.h>
#include <stdlib.h>

static void print_axes(const Prob *p, AxisSet axes, FILE *out) {
  bool first = true;
  for (uint32_t a = 0; a < p->t->graph->axis.n; a++)
    if (axes >> a & 1) { fprintf(out, "%s%s", first ? "" : ", ", p->t->graph->axis.at[a].name); first = false; }
  if (first) fputs("once", out);
}
static void print_path(const Prob *p, const Path *path, FILE *out) {
  if (!path) return;
  print_path(p, path->outer, out);
  fprintf(out, "E[%s", path->program->name);
  if (path->particles >= 0) fprintf(out, ", k: %llu", (unsigned long long)p->t->axes.at[path->particles].fallback);
  fputs("] ", out);
}
/* What the user wrote for a value, on one line. */
static void print_written(const Prob *p, Val v, FILE *out) {
  enum { MOST = 60 };
  Span at = node_of(p->t->graph, v)->span;
  Place place = source_place(p->t->sources, at.at);
  const char *text = place.source ? place.source->text + (at.at - place.source->base) : "";
  uint32_t n = place.source && at.end > at.at ? at.end - at.at : 0, shown = 0;
  bool blank = false;
  if (n == 0) fputs("a value", out);
  for (uint32_t i = 0; i < n && shown < MOST; i++) {
    bool space = text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r';
    if (!(space && blank)) fputc(space ? ' ' : text[i], out), shown++;
    blank = space;
  }
  if (shown == MOST) fputs(" ...", out);
}
/* A factor as a formula: equal values are one node, and its place is that of the first of them. */
static void print_factor(const Prob *p, Val v, FILE *out) {
  const Graph *g = p->t->graph;
  const Node *n = node_of(g, v);
  const char *infix = n->op == OP_add ? " + " : n->op == OP_sub ? " - " : n->op == OP_mul ? " * " : n->op == OP_div ? " / " : NULL;
  if (n->op == OP_const) fprintf(out, "%g", n->attr.number);
  else if (n->op == OP_option || n->op == OP_param || n->op == OP_input) fputs(n->attr.leaf.name, out);
  else if (n->op == OP_count) fprintf(out, "%s(%s)", n->attr.count.total ? "all" : "count", g->axis.at[n->attr.count.axis].name);
  else if (n->op == OP_recip || n->op == OP_neg) { fputs(n->op == OP_neg ? "-" : "1 / ", out); print_factor(p, n->arg[0], out); }
  else if (infix) { fputc('(', out); print_factor(p, n->arg[0], out); fputs(infix, out); print_factor(p, n->arg[1], out); fputc(')', out); }
  else print_written(p, v, out);
}
static void print_part(const Prob *p, const Part *q, bool written, FILE *out) {
  fputs(q->sign < 0 ? "  - " : "  + ", out);
  print_path(p, q->path, out);
  for (uint32_t i = 0; i < q->scales.n; i++) {
    const Graph *g = p->t->graph;
    const Node *n = node_of(g, q->scales.at[i]), *of = n->op == OP_recip ? node_of(g, n->arg[0]) : n;
    if (of->op == OP_count && g->axis.at[of->attr.count.axis].kind == AXIS_PARTICLE) continue;      /* E[q, k: 8] says so */
    print_factor(p, q->scales.at[i], out);
    fputs(" * ", out);
  }
  switch (q->kind) {
    case PART_LOG_DENSITY: fprintf(out, "log %s.%s", q->site->program->name, q->site->name); break;
    case PART_KL:          fprintf(out, "KL(%s.%s || %s.%s) %s", q->site->program->name, q->site->name, q->against->program->name, q->against->name, q->analytic ? "analytic" : "by draws"); break;
    case PART_ENTROPY:     fprintf(out, "H(%s.%s)", q->site->program->name, q->site->name); break;
    case PART_VALUE: {
      Name name = name_of("value");
      if (written) {
        print_written(p, q->value, out);
        fputc('\n', out);
        return;
      }
      graph_print(p->t->graph, &q->value, &name, 1, out);
      return;
    }
  }
  fputs("  for each: ", out);
  print_axes(p, q->site->shape->axes, out);
  fputc('\n', out);
}
void prob_print(const Prob *p, FILE *out) {
  for (uint32_t i = 0; i < p->t->programs.n; i++) {
    const Program *q = p->t->programs.at[i];
    for (uint32_t k = 0; k < q->sites.n; k++) {
      const Site *s = q->sites.at[k];
      const Estimate *e = estimate_of(p, s);
      fprintf(out, "site %s.%s %s ~ %s ", q->name, s->name, s->observed ? "observed" : "latent", dist_title(&s->dist));
      shape_print(p->t->graph, graph_shape(p->t->graph, 0, s->shape->rank, s->shape->dim), out);
      fputs(" for each: ", out);
      print_axes(p, s->shape->axes, out);
      if (e) fprintf(out, "  gradient %s: %s", via_name(e->via), e->why);
      fputc('\n', out);
    }
  }
  for (uint32_t i = 0; i < p->goals.n; i++) {
    const Goal *g = &p->goals.at[i];
    fprintf(out, "%s %s%s, per row of: ", g->report ? "report" : "step", g->name, g->report ? "" : g->maximize ? ", maximize" : ", minimize");
    print_axes(p, g->axis >= 0 ? (AxisSet)1 << g->axis : 0, out);
    fputc('\n', out);
    for (uint32_t k = 0; k < g->parts.n; k++) print_part(p, &g->parts.at[k], false, out);
  }
}

/* ---- svic info */
static char *kept(Arena *a, char *text) {
  char *out = arena_copy(a, text, strlen(text));
  free(text);
  return out;
}
static const char *shape_string(const Prob *p, const Shape *s) {
  char *text = NULL;
  size_t n;
  FILE *f = open_memstream(&text, &n);
  fputc('[', f);
  for (uint32_t i = 0; i < s->rank; i++) fprintf(f, "%s%u", i ? ", " : "", s->dim[i]);
  fputc(']', f);
  fclose(f);
  return kept(p->t->arena, text);
}
static const char *axes_string(const Prob *p, AxisSet axes) {
  char *text = NULL;
  size_t n;
  FILE *f = open_memstream(&text, &n);
  print_axes(p, axes, f);
  fclose(f);
  return kept(p->t->arena, text);
}
static const char *range_string(const Prob *p, Range r) {
  char *text = NULL;
  size_t n;
  FILE *f = open_memstream(&text, &n);
  range_print(r, f);
  fclose(f);
  return kept(p->t->arena, text);
}
static uint64_t phase_bytes(const SviEntry *e) {
  uint64_t most = 0;
  for (int32_t i = 0; i < e->nphase; i++) {
    uint64_t sum = 0;
    for (int32_t k = 0; k < e->phase[i].ndomain; k++) sum += e->phase[i].domain[k].bytes;
    if (sum > most) most = sum;
  }
  return most;
}

static char *info_json(const Prob *p, const Lowered *l) {
  const Typed *t = p->t;
  cJSON *root = cJSON_CreateObject();
  cJSON_AddStringToObject(root, "model", t->source->path);
  cJSON *plates = cJSON_AddArrayToObject(root, "plates"), *data = cJSON_AddArrayToObject(root, "data"), *sites = cJSON_AddArrayToObject(root, "sites"),
        *params = cJSON_AddArrayToObject(root, "parameters"), *entries = cJSON_AddArrayToObject(root, "entries");
  for (uint32_t i = 0; i < t->graph->axis.n; i++)
    if (t->graph->axis.at[i].kind == AXIS_PLATE && !t->graph->axis.at[i].again) cJSON_AddItemToArray(plates, cJSON_CreateString(t->graph->axis.at[i].name));
  for (uint32_t i = 0; i < t->data.n; i++) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", t->data.at[i].name);
    cJSON_AddStringToObject(o, "type", t->data.at[i].type);
    cJSON_AddStringToObject(o, "plate", axes_string(p, t->data.at[i].shape->axes));
    cJSON_AddBoolToObject(o, "prepared", t->data.at[i].prepared != NO_VAL);
    cJSON_AddItemToArray(data, o);
  }
  for (uint32_t i = 0; i < t->programs.n; i++)
    for (uint32_t k = 0; k < t->programs.at[i]->sites.n; k++) {
      const Site *s = t->programs.at[i]->sites.at[k];
      const Estimate *e = estimate_of(p, s);
      cJSON *o = cJSON_CreateObject();
      cJSON_AddStringToObject(o, "program", t->programs.at[i]->name);
      cJSON_AddStringToObject(o, "name", s->name);
      cJSON_AddStringToObject(o, "family", dist_title(&s->dist));
      cJSON_AddStringToObject(o, "shape", shape_string(p, s->shape));
      cJSON_AddStringToObject(o, "plates", axes_string(p, s->shape->axes));
      cJSON_AddStringToObject(o, "support", range_string(p, s->range));
      cJSON_AddStringToObject(o, "role", s->observed ? "observed" : "latent");
      if (e) {
        cJSON_AddStringToObject(o, "estimator", via_name(e->via));
        cJSON_AddStringToObject(o, "because", e->why);
        cJSON_AddBoolToObject(o, "biased", e->biased != NULL);
      }
      cJSON_AddItemToArray(sites, o);
    }
  for (uint32_t i = 0; i < t->params.n; i++) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", t->params.at[i].svi.name);
    cJSON_AddStringToObject(o, "shape", shape_string(p, t->params.at[i].shape));
    cJSON_AddStringToObject(o, "support", t->params.at[i].svi.support);
    cJSON_AddNumberToObject(o, "elements", (double)t->params.at[i].svi.size);
    cJSON_AddItemToArray(params, o);
  }
  for (int32_t i = 0; i < l->model.nentry; i++) {
    const SviEntry *e = &l->entry[i];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", e->name);
    cJSON_AddNumberToObject(o, "phases", e->nphase);
    cJSON_AddNumberToObject(o, "flops_per_row", e->flops_row);
    cJSON_AddNumberToObject(o, "flops_once", e->flops_once);
    cJSON_AddNumberToObject(o, "scratch_bytes_per_row", (double)phase_bytes(e));
    cJSON_AddNumberToObject(o, "lane_bytes", (double)e->lane_size * l->model.real_bytes);
    cJSON_AddNumberToObject(o, "global_bytes", (double)e->global_size * l->model.real_bytes);
    cJSON_AddItemToArray(entries, o);
  }
  char *text = cJSON_Print(root);
  cJSON_Delete(root);
  return kept(t->arena, text);
}

char *prob_info(const Prob *p, const Lowered *l, bool json) {
  if (json) return info_json(p, l);
  const Typed *t = p->t;
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  fprintf(f, "%s\n\n", t->source->path);
  fprintf(f, "%-16s %-14s %-12s %-14s %-14s %-9s %s\n", "site", "family", "shape", "for each", "support", "role", "gradient");
  for (uint32_t i = 0; i < t->programs.n; i++)
    for (uint32_t k = 0; k < t->programs.at[i]->sites.n; k++) {
      const Site *s = t->programs.at[i]->sites.at[k];
      const Estimate *e = estimate_of(p, s);
      fprintf(f, "%-16s %-14s %-12s %-14s %-14s %-9s ", name_printf("%s.%s", t->programs.at[i]->name, s->name), dist_title(&s->dist), shape_string(p, s->shape), axes_string(p, s->shape->axes), range_string(p, s->range), s->observed ? "observed" : "latent");
      if (e) fprintf(f, "%s%s: %s\n", via_name(e->via), e->biased ? " (biased)" : "", e->why);
      else fputs("none: never drawn by an objective\n", f);
    }
  fprintf(f, "\n%-28s %-14s %-18s %10s\n", "parameter", "shape", "support", "stored");
  uint64_t total = 0;
  for (uint32_t i = 0; i < t->params.n; i++) {
    const ParamInfo *q = &t->params.at[i];
    fprintf(f, "%-28s %-14s %-18s %10llu%s\n", q->svi.name, shape_string(p, q->shape), q->svi.support, (unsigned long long)q->svi.size, q->svi.state ? "  state" : "");
    if (!q->svi.state) total += q->svi.size;
  }
  fprintf(f, "%-28s %-14s %-18s %10llu\n", "all", "", "", (unsigned long long)total);
  fprintf(f, "\n%-18s %7s %14s %14s %16s %14s\n", "runs", "phases", "Mflop a row", "Mflop once", "scratch a row", "gradients");
  for (int32_t i = 0; i < l->model.nentry; i++) {
    const SviEntry *e = &l->entry[i];
    fprintf(f, "%-18s %7d %14.3f %14.3f %14.1f K %12.1f K\n", e->name, e->nphase, e->flops_row / 1e6, e->flops_once / 1e6, (double)phase_bytes(e) / 1024, (double)e->lane_size * l->model.real_bytes / 1024);
  }
  fputs("\nobjectives\n", f);
  for (uint32_t i = 0; i < p->goals.n; i++) {
    fprintf(f, "%s %s, per row of: %s\n", p->goals.at[i].report ? "report" : p->goals.at[i].maximize ? "maximize" : "minimize", p->goals.at[i].name, axes_string(p, p->goals.at[i].axis >= 0 ? (AxisSet)1 << p->goals.at[i].axis : 0));
    for (uint32_t k = 0; k < p->goals.at[i].parts.n; k++) print_part(p, &p->goals.at[i].parts.at[k], true, f);
  }
  fclose(f);
  return kept(t->arena, text);
}
