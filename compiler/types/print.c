/* Typed models as text (--emit=typed), and their verifier. */
#include "value.h"

static void print_value_shape(const Typed *t, const Shape *s, Range r, FILE *out) {
  fputs(range_word(r), out);
  if (s->rank || s->axes) { fputc(' ', out); shape_print(t->graph, s, out); }
}
static void print_arg(const Typed *t, Val v, FILE *out) {
  const Node *n = node_of(t->graph, v);
  if (n->op == OP_const) fprintf(out, "%.10g", n->attr.number);
  else if (n->label) fputs(n->label, out);
  else if (n->op == OP_input || n->op == OP_option || n->op == OP_param) fputs(n->attr.leaf.name, out);
  else fprintf(out, "%%%u", v);
}
static void print_dist(const Typed *t, const DistValue *d, FILE *out) {
  const Params *p = d->form < 0 ? &d->decl->as.dist.params : &d->decl->as.dist.forms.at[d->form].params;
  fprintf(out, "%s(", dist_title(d));
  for (uint32_t i = 0; i < d->nargs; i++) {
    fprintf(out, "%s%s: ", i ? ", " : "", p->at[i].name);
    print_arg(t, d->arg[i], out);
  }
  fputc(')', out);
  for (uint32_t i = 0; i < d->copies_rank; i++) fprintf(out, "%s%u%s", i ? ", " : "[", d->copies[i], i + 1 == d->copies_rank ? "]" : "");
}

void types_print(const Typed *t, FILE *out) {
  for (uint32_t i = 0; i < t->graph->axis.n; i++) {
    const Axis *a = &t->graph->axis.at[i];
    if (a->kind == AXIS_PLATE) fprintf(out, "plate %s%s%s%s\n", a->name, a->parent >= 0 ? " of " : "", a->parent >= 0 ? t->graph->axis.at[a->parent].name : "", a->ordered ? ", ordered" : "");
  }
  for (uint32_t i = 0; i < t->data.n; i++) {
    const DataVar *d = &t->data.at[i];
    fprintf(out, "data %s: %s", d->name, d->type);
    if (d->shape->axes) fprintf(out, " for each %s", plates_text(t->check, d->shape->axes));
    if (d->prepared != NO_VAL) { fputs(" = ", out); print_arg(t, d->prepared, out); }
    fputc('\n', out);
  }
  for (uint32_t i = 0; i < t->options.n; i++) fprintf(out, "option %s = %g\n", t->options.at[i].name, t->options.at[i].schedule.value[0]);
  for (uint32_t i = 0; i < t->params.n; i++) {
    const ParamInfo *p = &t->params.at[i];
    fprintf(out, "%s %s: %s ", p->svi.state ? "state" : "param", p->svi.name, p->svi.support);
    shape_print(t->graph, p->shape, out);
    fprintf(out, "%s\n", p->prior != NO_VAL ? "  with a prior" : "");
  }
  for (uint32_t i = 0; i < t->programs.n; i++) {
    const Program *p = t->programs.at[i];
    fprintf(out, "%s %s%s%s {\n", p->guide ? "guide" : "model", p->name, p->axis >= 0 ? " for each " : "", p->axis >= 0 ? t->graph->axis.at[p->axis].name : "");
    for (uint32_t k = 0; k < p->locals.n; k++) {
      fprintf(out, "  %s: ", p->locals.at[k].name);
      print_value_shape(t, shape_of(t->graph, p->locals.at[k].value), node_of(t->graph, p->locals.at[k].value)->range, out);
      fputc('\n', out);
    }
    for (uint32_t k = 0; k < p->sites.n; k++) {
      const Site *s = p->sites.at[k];
      fprintf(out, "  %s ~ %s", s->name, s->autoregressive ? "autoregressive " : "");
      print_dist(t, &s->dist, out);
      fputs(" : ", out);
      print_value_shape(t, s->shape, s->range, out);
      if (s->observed) fputs("  observed", out);
      if (s->via != VIA_AUTO) fprintf(out, "  via %s", via_name(s->via));
      fputc('\n', out);
    }
    fputs("}\n", out);
  }
  VEC(Val) roots = {0};
  VEC(Name) names = {0};
  for (uint32_t i = 0; i < t->steps.n; i++) {
    if (t->steps.at[i].objective == NO_VAL) continue;
    Name n = name_printf("%s:%s", t->steps.at[i].maximize ? "maximize" : "minimize", t->steps.at[i].name);
    vec_push(t->arena, &roots, t->steps.at[i].objective);
    vec_push(t->arena, &names, n);
  }
  for (uint32_t i = 0; i < t->reports.n; i++) {
    Name n = name_printf("report:%s", t->reports.at[i].name);
    vec_push(t->arena, &roots, t->reports.at[i].value);
    vec_push(t->arena, &names, n);
  }
  for (uint32_t i = 0; i < t->terms.n; i++)
    if (t->terms.at[i].kind == TERM_EXPECT) {
      Name n = name_printf("body:%s:%u", node_of(t->graph, t->terms.at[i].leaf)->attr.leaf.name, i + 1);
      vec_push(t->arena, &roots, t->terms.at[i].body);
      vec_push(t->arena, &names, n);
    }
  if (roots.n) graph_print(t->graph, roots.at, names.at, roots.n, out);
}

bool types_verify(const Typed *t, FILE *why) {
  if (!graph_verify(t->graph, why)) return false;
  for (uint32_t i = 0; i < t->programs.n; i++) {
    const Program *p = t->programs.at[i];
    if (p->state != PROGRAM_DONE) { fprintf(why, "program %s was not checked", p->name); return false; }
    for (uint32_t k = 0; k < p->sites.n; k++) {
      const Site *s = p->sites.at[k];
      if (!s->shape || s->var == NO_VAL) { fprintf(why, "site %s.%s has no shape", p->name, s->name); return false; }
      for (uint32_t a = 0; a < s->dist.nargs; a++)
        if (s->dist.arg[a] >= t->graph->node.n) { fprintf(why, "site %s.%s: argument %u is no value", p->name, s->name, a); return false; }
    }
  }
  return true;
}
