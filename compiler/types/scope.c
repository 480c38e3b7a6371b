/* Scopes and names: what a name means where it stands.
 *
 * Order: bindings of the body, sites and data (in programs), declarations of the module and of the model, built-in functions,
 * the library.  Also the words that messages use for values and shapes. */
#include "value.h"
#include <math.h>
#include <stdlib.h>

const char *value_kind_text(Value v) {
  switch (v.kind) {
    case V_BAD:      return "nothing";
    case V_NODE:     return "a value";
    case V_LIST:     return "a list";
    case V_FUNCTION: return "a function";
    case V_DIST:     return "a distribution";
    case V_PROGRAM:  return "a program";
    case V_SITES:    return "a program's site";
    case V_MODULE:   return "a module";
    case V_FAMILY:   return "a family of values";
    case V_RANGE:    return "a range";
    case V_DURATION: return "a duration";
    case V_SCHEDULE: return "a schedule";
    case V_INIT:     return "an initialiser";
  }
  return "?";
}

const char *shape_text(Checker *c, const Shape *s) {
  char *text = NULL;
  size_t size;
  FILE *f = open_memstream(&text, &size);
  if (s->rank == 0) fputs("scalar", f);
  else {
    fputc('[', f);
    for (uint32_t i = 0; i < s->rank; i++) fprintf(f, "%s%u", i ? ", " : "", s->dim[i]);
    fputc(']', f);
  }
  fclose(f);
  const char *kept = arena_copy(c->arena, text, size);
  free(text);
  return kept;
}

/* ---- scopes */
Scope *scope_new(Checker *c, Scope *parent, Module *module) {
  Scope *s = NEW(c->arena, Scope);
  s->parent = parent, s->module = module ? module : parent ? parent->module : NULL;
  s->program = parent ? parent->program : NULL;
  return s;
}
Binding *scope_find(Scope *s, Name name) {
  for (; s; s = s->parent)
    for (uint32_t i = s->bindings.n; i-- > 0;)
      if (s->bindings.at[i].name == name) return &s->bindings.at[i];
  return NULL;
}
void scope_bind(Checker *c, Scope *s, Name name, Value v, Span at) {
  Binding b = {name, v, at, false};
  vec_push(c->arena, &s->bindings, b);
}

/* A variable leaf: the value of a site or data column by that name, whatever its source will be. */
static Value variable(Checker *c, Name name, const Shape *shape, Range range, Span declared, Span at) {
  c->g->span = declared;
  Val v = graph_leaf(c->g, OP_input, name, 0, shape, range);
  c->g->span = at;
  return v_node(v, at);
}
static DataVar *data_find(Checker *c, Name name) {
  for (uint32_t i = 0; i < c->t->data.n; i++)
    if (c->t->data.at[i].name == name && !c->t->data.at[i].points) return &c->t->data.at[i];
  return NULL;
}
/* A site of that name in another program: what a guide of r(lambda | z) means by `z`. */
static Site *site_elsewhere(Checker *c, Name name, Family **family) {
  Site *found = NULL;
  *family = NULL;
  for (int guides = 0; guides < 2 && !found && !*family; guides++)
    for (uint32_t i = 0; i < c->t->programs.n && !found; i++) {
      Program *p = c->t->programs.at[i];
      if (p == c->program || p->guide != (bool)guides || p->state == PROGRAM_BUSY || !program_draws(p, name)) continue;
      program_check(c, p);
      for (uint32_t k = 0; k < p->sites.n; k++) {
        Site *site = p->sites.at[k];
        if (site->name == name) { found = site; break; }
        if (site->base != name) continue;
        if (!*family) *family = NEW(c->arena, Family);
        Key key = {0};
        for (const char *q = strchr(site->name, '['); q && key.n < 4; q = strchr(q + 1, ',')) key.at[key.n++] = atoi(q + 1);
        vec_push(c->arena, &(*family)->key, key);
        Value v = v_node(site->var, site->span);
        vec_push(c->arena, &(*family)->value, v);
        vec_push(c->arena, &(*family)->span, site->span);
      }
    }
  return found;
}

/* prelude.svm, objective.svm, aggregate.svm: in scope without an import. */
static Module *unnamed_module(Checker *c, Name name, const Decl **d) {
  for (uint32_t i = 1; i < c->modules.n; i++)
    if (c->modules.at[i]->name == NULL && (*d = module_decl(c->modules.at[i], name))) return c->modules.at[i];
  return NULL;
}

Value lookup(Checker *c, Scope *s, Name name, Span at) {
  if (++c->depth > 400) { c->depth--; diag_at(c->diag, E0205, at, "this expands without end"); return v_bad(at); }
  Value v = v_bad(at);
  Binding *b = scope_find(s, name);
  const Decl *d;
  Module *m = s ? s->module : c->main;
  Family *family;
  DataVar *data;
  Site *site;
  const Builtin *builtin;
  if (b) {
    b->used = true;
    v = b->value;
  } else if (s && s->program && (data = data_find(c, name))) {
    data->used = true;
    if (data->failed) { c->depth--; return v_bad(at); }
    v = variable(c, name, data->shape, data->range, data->span, at);
  } else if (s && s->program && program_draws(s->program, name)) {
    c->depth--;
    if (!program_failed(s->program, name))
      tell_early(c, s->program, name, at);
    return v_bad(at);
  } else if (s && s->program && (site = site_elsewhere(c, name, &family))) {
    v = variable(c, name, site->shape, site->range, site->span, at);
  } else if (s && s->program && family) {
    v = (Value){.kind = V_FAMILY, .as.family = family};
  } else if ((d = module_decl(m, name)) && d->kind != DE_REPORT) {
    v = decl_value(c, m, d, at);
  } else if (m && m->parent && (d = module_decl(m->parent, name)) && d->kind != DE_REPORT) {
    v = decl_value(c, m->parent, d, at);
  } else if ((builtin = builtin_find(name))) {
    Function *f = NEW(c->arena, Function);
    f->builtin = builtin;
    v = (Value){.kind = V_FUNCTION, .as.function = f};
  } else if ((d = library_dist(c, name, &m))) {
    v = decl_value(c, m, d, at);
  } else if (name == name_of("inf") || name == name_of("pi")) {
    v = v_node(graph_const(c->g, name == name_of("pi") ? M_PI : INFINITY), at);
  } else if (name == name_of("training")) {
    v = v_node(c->t->training, at);
  } else if ((m = unnamed_module(c, name, &d))) {
    v = decl_value(c, m, d, at);
  } else {
    c->depth--;
    for (uint32_t i = 0; s && s->program && i < c->t->programs.n; i++)
      if (program_failed(c->t->programs.at[i], name)) return v_bad(at);      /* its statement failed and was told of */
    if ((d = module_decl(s ? s->module : c->main, name))) return decl_value(c, c->main, d, at);   /* a report: not a value */
    return unknown_name(c, s, name, at);
  }
  c->depth--;
  v.span = at;
  return v;
}

/* The one site that `p.z` or `p.z[2]` names; NULL after a message. */
Site *sites_one(Checker *c, Value v) {
  Program *p = v.as.sites.program;
  Name name = v.as.sites.key ? member_name(v.as.sites.base, v.as.sites.key) : v.as.sites.base;
  Site *site = program_site(p, name);
  if (site) return site;
  if (program_failed(p, v.as.sites.base)) return NULL;
  DiagItem *i = v.as.sites.key ? diag_at(c->diag, E0204, v.span, "`%s` has no site `%s`", p->name, name)
                               : diag_at(c->diag, E0302, v.span, "`%s.%s` is a family of sites, not one value", p->name, name);
  if (!v.as.sites.key) diag_help(i, "index it: `%s.%s[1]`", p->name, name);
  return NULL;
}
/* "z[2]", "z[1,3]": the name of a family's member */
Name member_name(Name base, const Key *key) {
  Name name = name_printf("%s[%d", base, key->at[0]);
  for (uint32_t i = 1; i < key->n; i++) name = name_printf("%s,%d", name, key->at[i]);
  return name_printf("%s]", name);
}
