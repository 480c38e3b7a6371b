/* Declarations: from trees to a Typed model.
 *
 * Order: modules, plates, constants when first named, data, options, then every program, objective, setting and report.
 * Everything is checked even after errors elsewhere, so one run tells several. */
#include "value.h"
#include <math.h>
#include <stdlib.h>

static void check_duplicates(Checker *c, const Module *m);

/* ---- modules */
const Decl *module_decl(const Module *m, Name name) {
  for (uint32_t i = 0; m && i < m->ast->decls.n; i++)
    if (m->ast->decls.at[i]->name == name) return m->ast->decls.at[i];
  return NULL;
}
Module *module_add(Checker *c, Name name, const Ast *ast) {
  Module *m = NEW(c->arena, Module);
  m->name = name, m->ast = ast;
  m->scope = scope_new(c, NULL, m);
  vec_push(c->arena, &c->modules, m);
  return m;
}
static char *read_file(Checker *c, const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  char *text = NULL;
  size_t n = 0, cap = 0;
  for (;;) {
    if (n == cap) {
      char *more = arena_alloc(c->arena, cap = cap ? 2 * cap : 4096);
      if (text) memcpy(more, text, n);
      text = more;
    }
    size_t got = fread(text + n, 1, cap - n, f);
    if (got == 0) break;
    n += got;
  }
  bool failed = ferror(f);
  fclose(f);
  *size = n;
  return failed ? NULL : text;
}
static Module *module_of_source(Checker *c, Name key, const char *path, const char *text, size_t size, bool library) {
  const Source *src = source_add(c->t->sources, path, text, size, library);
  return module_add(c, key, ast_parse(c->arena, src, c->diag));
}
static Module *module_of_path(Checker *c, const char *path) {
  for (uint32_t i = 0; i < c->modules.n; i++)
    if (c->modules.at[i] != c->main && strcmp(c->modules.at[i]->ast->source->path, path) == 0) return c->modules.at[i];
  return NULL;
}
/* A module of the user's holds what can be used from elsewhere, and no model. */
static Module *contents_checked(Checker *c, Module *m, Span at) {
  for (uint32_t i = 0; i < m->ast->decls.n; i++) {
    const Decl *d = m->ast->decls.at[i];
    const char *word = NULL;
    switch (d->kind) {
      case DE_OPTION: word = "option"; break;
      case DE_PLATE:  word = "plate"; break;
      case DE_DATA:   word = "data"; break;
      case DE_PROGRAM: word = d->as.program.guide ? "guide" : "model"; break;
      case DE_AUTOGUIDE: word = "guide"; break;
      case DE_GOAL:   word = d->as.goal.maximize ? "maximize" : "minimize"; break;
      case DE_TRAIN:  word = "train"; break;
      case DE_REPORT: word = "report"; break;
      case DE_IMPORT: case DE_CONST: case DE_NET: case DE_FUN: case DE_DIST: case DE_OBJECTIVE: case DE_INSTANCE: break;
    }
    if (!word) continue;
    DiagItem *item = diag_at(c->diag, E0404, d->name ? d->name_span : d->span, "a module cannot hold `%s`", word);
    diag_label(item, at, "imported here");
    diag_note(item, "a module holds const, net, fun, dist and objective; what belongs to one model stands in the model's file");
    break;
  }
  check_duplicates(c, m);
  return m;
}
Module *module_load(Checker *c, Name path, Span at, const Source *from) {
  Name alias = strrchr(path, '/') ? name_of(strrchr(path, '/') + 1) : path;
  const char *slash = strrchr(from->path, '/');
  Name tried = name_of("");
  size_t size;
  for (int i = -1; i < (int)c->nsearch && !from->library; i++) {
    const char *file = i >= 0 ? name_printf("%s/%s.svm", c->search[i], path)
                     : slash ? name_printf("%.*s/%s.svm", (int)(slash - from->path), from->path, path) : name_printf("%s.svm", path);
    if (strcmp(file, from->path) == 0) continue;           /* a model named like a library module */
    Module *known = module_of_path(c, file);
    if (known) return known;
    char *text = read_file(c, file, &size);
    if (text) return contents_checked(c, module_of_source(c, alias, file, text, size, false), at);
    tried = name_printf("%s%s%s", tried, *tried ? ", " : "", file);
  }
  const char *text = library_text(path, &size), *file = name_printf("<library>/%s.svm", path);
  if (text) {
    Module *known = module_of_path(c, file);
    return known ? known : module_of_source(c, alias, file, text, size, true);
  }
  DiagItem *d = diag_at(c->diag, E0210, at, "there is no module `%s`", path);
  if (*tried) diag_note(d, "looked for %s, and in the library", tried);
  size_t n = strlen(path);
  Name names[64];
  size_t m = 0;
  for (size_t i = 0; m < LEN(names) && library_file(i); i++)
    if (strncmp(library_file(i), "dist/", 5) != 0) names[m++] = name_of(library_file(i));
  Name near = name_nearest(path, names, m);
  if (n > 4 && strcmp(path + n - 4, ".svm") == 0) diag_help(d, "leave the ending out: `import \"%.*s\"`", (int)n - 4, path);
  else if (near) diag_help(d, "did you mean `%s`, of the library?", near);
  else diag_help(d, "put it beside this file, or name its folder: `svic -I FOLDER`");
  return NULL;
}
const Decl *library_dist(Checker *c, Name name, Module **module) {
  Name key = name_printf("dist/%s", name);
  for (uint32_t i = 0; i < c->modules.n; i++)
    if (c->modules.at[i]->name == key) { *module = c->modules.at[i]; return module_decl(c->modules.at[i], name); }
  size_t size;
  const char *text = library_text(key, &size);
  if (!text) return NULL;
  *module = module_of_source(c, key, name_printf("<library>/%s.svm", key), text, size, true);
  return module_decl(*module, name);
}

/* A file of the library that the compiler itself calls, by names that need not be in scope. */
Module *library_module(Checker *c, const char *name) {
  size_t size;
  const char *path = name_printf("<library>/%s.svm", name), *text = library_text(name, &size);
  Module *known = module_of_path(c, path);
  return known ? known : module_of_source(c, name_of(name), path, text, size, true);
}

/* ---- values of declarations */
static Value function_value(Checker *c, Module *m, const Decl *d) {
  Function *f = NEW(c->arena, Function);
  f->decl = d, f->module = m;
  return (Value){.kind = V_FUNCTION, .span = d->name_span, .as.function = f};
}

static bool parse_define(Checker *c, const Define *def, Value *out, Span at) {
  char *end;
  double x = strtod(def->value, &end);
  if (end != def->value && *end == 0) { *out = v_node(graph_const(c->t->graph, x), at); return true; }
  if (*def->value == '[') {                              /* a list of numbers */
    Values *list = NEW(c->arena, Values);
    const char *p = def->value + 1;
    while (*p && *p != ']') {
      x = strtod(p, &end);
      if (end == p) return false;
      Value v = v_node(graph_const(c->t->graph, x), at);
      vec_push(c->arena, list, v);
      p = end;
      while (*p == ',' || *p == ' ') p++;
    }
    *out = (Value){.kind = V_LIST, .span = at, .as.list = list};
    return *p == ']';
  }
  return false;
}

static Value const_value(Checker *c, Module *m, const Decl *d, Span at) {
  Binding *known = scope_find(m->scope, d->name);
  if (known && c->g == c->t->graph) return known->value;
  for (uint32_t i = 0; i < m->busy.n; i++)
    if (m->busy.at[i] == d->name) {
      Name way = name_printf("`%s`", d->name);
      for (uint32_t k = i + 1; k < m->busy.n; k++) way = name_printf("%s needs `%s`, which", way, m->busy.at[k]);
      DiagItem *item = diag_at(c->diag, E0205, d->name_span, "`%s` is defined by itself", d->name);
      diag_label(item, at, "needed here");
      if (m->busy.n > i + 1) diag_note(item, "%s needs `%s`", way, d->name);
      return v_bad(at);
    }
  vec_push(c->arena, &m->busy, d->name);
  Value v = {.kind = V_BAD};
  bool defined = false;
  for (uint32_t i = 0; i < c->ndefine && m == c->main; i++)
    if (c->defines[i].name == d->name) {
      defined = c->define_used[i] = true;
      if (!parse_define(c, &c->defines[i], &v, d->name_span)) {
        diag_help(diag_at(c->diag, E0303, d->name_span, "-D %s=%s: a number, or a list of numbers, is wanted", d->name, c->defines[i].value), "for instance `-D %s=3` or `-D '%s=[3, 2]'`", d->name, d->name);
        v = v_bad(at);
      }
    }
  if (!defined) {
    Name path = c->path;
    c->path = NULL;
    v = eval(c, m->scope, d->as.value.value);
    c->path = path;
    if (v.kind == V_NODE && is_known(c, v.as.node)) v.as.node = known_number(c, v.as.node);
    else if (v.kind == V_NODE) {
      tell_not_known(c, diag_at(c->diag, E0303, d->as.value.value->span, "the value of a `const` must be known when compiled"), v.as.node);
      v = v_bad(at);
    }
  }
  m->busy.n--;
  if (c->g == c->t->graph) scope_bind(c, m->scope, d->name, v, d->name_span);
  return v;
}

static Value option_value(Checker *c, const Decl *d) {
  for (uint32_t i = 0; i < c->t->options.n; i++)
    if (c->t->options.at[i].name == d->name) {
      c->t->options.at[i].used = true;
      return v_node(graph_leaf(c->g, OP_option, d->name, i, graph_shape(c->g, 0, 0, NULL), RANGE_REAL), d->name_span);
    }
  return v_bad(d->name_span);
}

Value decl_value(Checker *c, Module *m, const Decl *d, Span at) {
  switch (d->kind) {
    case DE_CONST:  return const_value(c, m, d, at);
    case DE_OPTION: return option_value(c, d);
    case DE_NET: case DE_FUN: case DE_OBJECTIVE: case DE_DIST: return function_value(c, m, d);
    case DE_IMPORT: {
      Module *target = module_load(c, d->as.import.path, d->span, m->ast->source);
      return target ? (Value){.kind = V_MODULE, .span = at, .as.module = target} : v_bad(at);
    }
    case DE_PROGRAM: case DE_AUTOGUIDE: {
      Program *p = program_find(c, d->name);
      return p ? (Value){.kind = V_PROGRAM, .span = at, .as.program = p} : v_bad(at);
    }
    case DE_INSTANCE: {
      Binding *known = scope_find(m->scope, d->name);
      if (known) return known->value;
      const Expr *e = d->as.value.value;
      const Expr *callee = e->kind == EX_CALL ? e->as.call.callee : e;
      Value f = eval(c, m->scope, callee);
      if (f.kind != V_FUNCTION || !f.as.function->decl || f.as.function->decl->kind != DE_NET) {
        if (f.kind != V_BAD) diag_at(c->diag, E0302, e->span, "an instance is made from a net, and this is %s", value_kind_text(f));
        return v_bad(at);
      }
      Function *made = NEW(c->arena, Function);
      *made = *f.as.function;
      if (e->kind == EX_CALL) made->bound = e->as.call.args, made->bound_scope = m->scope;
      made->path = d->name;
      Value v = {.kind = V_FUNCTION, .span = at, .as.function = made};
      scope_bind(c, m->scope, d->name, v, d->name_span);
      return v;
    }
    case DE_DATA:
      for (uint32_t i = 0; i < c->t->data.n; i++)
        if (c->t->data.at[i].name == d->name && !c->t->data.at[i].points) {
          c->t->data.at[i].used = true;
          if (c->t->data.at[i].failed) return v_bad(at);
          c->g->span = d->name_span;
          Val leaf = graph_leaf(c->g, OP_input, d->name, 0, c->t->data.at[i].shape, c->t->data.at[i].range);
          c->g->span = at;
          return v_node(leaf, at);
        }
      if (c->in_prepare) {
        DiagItem *i = diag_at(c->diag, E0205, at, "`%s` is prepared from this, and is not prepared yet", d->name);
        diag_label(i, d->name_span, "declared here");
        diag_help(i, "prepare data from columns of the file, or from data declared above");
      } else diag_label(diag_at(c->diag, E0303, at, "a value known when compiled is wanted here, and `%s` is data", d->name), d->name_span, "declared here");
      return v_bad(at);
    case DE_PLATE:
      diag_help(diag_at(c->diag, E0302, at, "`%s` is a plate, not a value", d->name), "write `for each %s` or `sum(each %s) ...`", d->name, d->name);
      return v_bad(at);
    case DE_REPORT:
      diag_label(diag_at(c->diag, E0302, at, "`%s` is a report, not a value", d->name), d->name_span, "declared here");
      return v_bad(at);
    case DE_GOAL: case DE_TRAIN: break;
  }
  return v_bad(at);
}

/* ---- plates and data */
static void declare_plates(Checker *c) {
  const Decls *ds = &c->main->ast->decls;
  for (uint32_t i = 0; i < ds->n; i++) {
    const Decl *d = ds->at[i];
    if (d->kind != DE_PLATE) continue;
    int parent = -1;
    for (uint32_t k = 0; k < d->as.plate.of.n; k++) {
      bool found = false;
      for (uint32_t a = 0; a < c->g->axis.n; a++)
        if (c->g->axis.at[a].name == d->as.plate.of.at[k]) { found = true; if (d->as.plate.of.n == 1) parent = (int)a; }
      if (found) continue;
      const Decl *later = module_decl(c->main, d->as.plate.of.at[k]);
      DiagItem *i2 = diag_at(c->diag, E0202, d->as.plate.of_span.at[k], "there is no plate `%s` before this one", d->as.plate.of.at[k]);
      if (later && later->kind == DE_PLATE) diag_help(diag_label(i2, later->name_span, "declared here, later"), "declare the outer plate first");
      else diag_help(i2, "declare it above: `plate %s`", d->as.plate.of.at[k]);
    }
    if (c->g->axis.n >= 16) { diag_at(c->diag, E0304, d->name_span, "a model may have at most 16 plates"); return; }
    graph_axis(c->g, (Axis){.name = d->name, .kind = AXIS_PLATE, .parent = parent, .ordered = d->as.plate.ordered});
    SviAxis a = {.name = d->name, .parent = parent, .ordered = d->as.plate.ordered};
    vec_push(c->arena, &c->t->axes, a);
    if (d->as.plate.of.n > 1) links_declare(c, d, c->g->axis.n - 1);
  }
}

static void declare_data(Checker *c) {
  const Decls *ds = &c->main->ast->decls;
  int32_t columns = (int32_t)c->t->data.n;                /* after the index columns of pairs */
  for (int pass = 0; pass < 2; pass++)                    /* columns of the file first: prepared data reads them */
    for (uint32_t i = 0; i < ds->n; i++) {
      const Decl *d = ds->at[i];
      if (d->kind != DE_DATA || (d->as.data.prepare != NULL) != pass) continue;
      TypeInfo t;
      AxisSet axes = 0;
      unsigned errors = diag_errors(c->diag);
      if (!type_eval(c, c->main->scope, d->as.data.type, &t)) t = (TypeInfo){.range = RANGE_REAL, .text = "real"};
      if (d->as.data.plate) {
        int axis = -1;
        Name names[AXIS_MAX];
        size_t n = 0;
        for (uint32_t a = 0; a < c->g->axis.n; a++) {
          if (c->g->axis.at[a].kind != AXIS_PLATE) continue;
          names[n++] = c->g->axis.at[a].name;
          if (c->g->axis.at[a].name == d->as.data.plate) axis = (int)a;
        }
        if (axis < 0) {
          DiagItem *item = diag_at(c->diag, E0202, d->as.data.plate_span, "there is no plate `%s`", d->as.data.plate);
          Name near = name_meant(d->as.data.plate, names, n);
          if (near) diag_fix(item, d->as.data.plate_span, near, "did you mean `%s`?", near);
          else diag_help(item, "declare it: `plate %s`", d->as.data.plate);
        } else {
          axes = plate_with_outer(c, axis);
        }
      }
      DataVar v = {.name = d->name, .shape = graph_shape(c->g, axes, t.rank, t.dim), .range = t.range, .type = t.text, .prepared = NO_VAL, .column = -1, .span = d->name_span};
      if (!d->as.data.prepare) v.column = columns++;
      else {
        c->in_prepare = true, c->plates = axes;
        Scope *s = scope_new(c, NULL, c->main);
        Val x = eval_node(c, s, d->as.data.prepare);
        c->in_prepare = false, c->plates = 0;
        if (x != NO_VAL) {
          const Shape *sh = shape_of(c->g, x);
          if (sh->rank == 0 && t.rank) x = graph_spread(c->g, x, v.shape), sh = shape_of(c->g, x);
          if (sh->rank != t.rank || memcmp(sh->dim, t.dim, t.rank * sizeof *t.dim) != 0) {
            diag_label(diag_mark(diag_at(c->diag, E0301, d->as.data.prepare->span, "`%s` is prepared with another shape than it says", d->name), "%s", shape_text(c, sh)), d->name_span, "%s", shape_text(c, v.shape));
          } else if (sh->axes & ~axes) {
            DiagItem *item = diag_at(c->diag, E0402, d->as.data.prepare->span, "`%s` exists %s, and this differs %s", d->name, each_text(c, axes), each_text(c, sh->axes & ~axes));
            diag_label(item, d->name_span, "declared %s", each_text(c, axes));
          } else if (!range_within(node_of(c->g, x)->range, t.range)) {
            Range have = node_of(c->g, x)->range;
            DiagItem *item = diag_at(c->diag, E0307, d->as.data.prepare->span, "`%s` must be %s, and this %s", d->name, must_text(t.range), but_text(have, t.range));
            if (have.lo != have.hi) diag_mark(item, "range %s", range_text(c, have));
            diag_label(item, d->name_span, "declared `%s`", t.text);
            if (t.range.whole && t.range.hi == 1 && have.lo >= 0 && have.hi <= 1) diag_help(item, "to draw bits with these probabilities, write `= draw Bernoulli(%s)`", source_words(c, d->as.data.prepare->span));
          } else v.prepared = x;
        }
      }
      v.failed = diag_errors(c->diag) != errors;
      vec_push(c->arena, &c->t->data, v);
    }
}

static void declare_options(Checker *c) {
  const Decls *ds = &c->main->ast->decls;
  for (uint32_t i = 0; i < ds->n; i++) {
    const Decl *d = ds->at[i];
    if (d->kind != DE_OPTION) continue;
    Value v = eval(c, c->main->scope, d->as.value.value);
    OptionInfo o = {.name = d->name, .span = d->name_span};
    if (v.kind == V_SCHEDULE) o.schedule = *v.as.schedule;
    else {
      Val n = value_node(c, v);
      double *x = arena_alloc(c->arena, 2 * sizeof *x);
      if (n != NO_VAL && node_of(c->g, n)->op == OP_const) x[1] = node_of(c->g, n)->attr.number;
      else if (n != NO_VAL) diag_help(diag_at(c->diag, E0602, d->as.value.value->span, "an option is a number or a schedule"), "for instance `1.0` or `warmup(200 epochs)`");
      o.schedule = (SviSchedule){SVI_CURVE_HOLD, SVI_STEPS, 1, x, x + 1, 0};
    }
    vec_push(c->arena, &c->t->options, o);
  }
}

/* ---- names declared twice, predefined names */
static void check_duplicates(Checker *c, const Module *m) {
  static const char *const fixed[] = {"E", "KL", "H", "training", "inf", "pi", "init"};
  for (uint32_t i = 0; i < m->ast->decls.n; i++) {
    const Decl *d = m->ast->decls.at[i];
    if (!d->name) continue;
    for (size_t k = 0; k < LEN(fixed); k++)
      if (strcmp(d->name, fixed[k]) == 0) diag_at(c->diag, E0209, d->name_span, "`%s` is predefined and cannot be redefined", d->name);
    for (uint32_t k = 0; k < i; k++)
      if (m->ast->decls.at[k]->name == d->name) {
        diag_label(diag_at(c->diag, E0209, d->name_span, "`%s` is already defined", d->name), m->ast->decls.at[k]->name_span, "the first");
        break;
      }
  }
}

/* ---- training */
static const SviOptimizer optimizers[] = {
  /* kind         lr  momentum beta1 beta2 eps decay clip average history */
  {SVI_ADAM,    {0}, 0,   0.9, 0.999, 1e-8, 0, 0, 0, 0},
  {SVI_SGD,     {0}, 0,   0,   0,     0,    0, 0, 0, 0},
  {SVI_ADAMAX,  {0}, 0,   0.9, 0.999, 1e-8, 0, 0, 0, 0},
  {SVI_RMSPROP, {0}, 0,   0,   0.9,   1e-8, 0, 0, 0, 0},
  {SVI_ADAGRAD, {0}, 0,   0,   0,     1e-8, 0, 0, 0, 0},
  {SVI_LBFGS,   {0}, 0,   0,   0,     0,    0, 0, 0, 10},
};
static const char *const optimizer_names[] = {"adam", "sgd", "adamax", "rmsprop", "adagrad", "lbfgs"};
/* beside `lr`, which may be a schedule and which all but lbfgs take */
#define OF(kind) (1u << SVI_##kind)
enum { OF_STEPS = OF(ADAM) | OF(SGD) | OF(ADAMAX) | OF(RMSPROP) | OF(ADAGRAD) };
static const struct { const char *name; size_t at; unsigned optimizers; double lo, below; bool whole; } optimizer_settings[] = {
#define SETTING(name) #name, offsetof(SviOptimizer, name)
  /* setting            taken by                                          from  below      whole */
  {SETTING(momentum), OF(SGD) | OF(RMSPROP),                                0, 1,        false},
  {SETTING(beta1),    OF(ADAM) | OF(ADAMAX),                                0, 1,        false},
  {SETTING(beta2),    OF(ADAM) | OF(ADAMAX) | OF(RMSPROP),                  0, 1,        false},
  {SETTING(eps),      OF(ADAM) | OF(ADAMAX) | OF(RMSPROP) | OF(ADAGRAD),    0, INFINITY, false},
  {SETTING(decay),    OF_STEPS,                                             0, INFINITY, false},
  {SETTING(clip),     OF_STEPS,                                             0, INFINITY, false},
  {SETTING(average),  OF_STEPS,                                             0, 1,        false},
  {SETTING(history),  OF(LBFGS),                                            1, 1001,     true},
#undef SETTING
};
#undef OF
static bool optimizer_takes(size_t which, size_t setting) { return optimizer_settings[setting].optimizers >> which & 1; }

/* A name that is not a setting of this optimiser, or the nearest that is one. */
static void optimizer_no_setting(Checker *c, size_t which, const Arg *a) {
  Name words[LEN(optimizer_settings) + 1];
  size_t n = 0;
  char all[200] = "";
  if (which != SVI_LBFGS) words[n++] = name_of("lr");
  for (size_t k = 0; k < LEN(optimizer_settings); k++)
    if (optimizer_takes(which, k)) words[n++] = name_of(optimizer_settings[k].name);
  for (size_t i = 0, at = 0; i < n && at < sizeof all; i++) at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", words[i]);
  Name near = a->name ? name_meant(a->name, words, n) : NULL;
  DiagItem *d = a->name ? diag_at(c->diag, E0601, a->span, "`%s` has no setting `%s`", optimizer_names[which], a->name)
                        : diag_at(c->diag, E0601, a->span, "a setting of `%s` needs its name", optimizer_names[which]);
  if (near) diag_fix(d, (Span){a->span.at, a->span.at + (uint32_t)strlen(a->name)}, near, "did you mean `%s`?", near);
  else diag_note(d, "settings of %s: %s", optimizer_names[which], all);
  if (which == SVI_LBFGS && (!a->name || a->name == name_of("lr"))) diag_note(d, "a line search finds how far each step goes");
}

static SviSchedule schedule_constant(Checker *c, double x) {
  double *at = arena_alloc(c->arena, 2 * sizeof *at);
  at[1] = x;
  return (SviSchedule){SVI_CURVE_HOLD, SVI_STEPS, 1, at, at + 1, 0};
}
static void check_optimizer(Checker *c, const Expr *e) {
  Name word = e->kind == EX_CALL && e->as.call.callee->kind == EX_NAME ? e->as.call.callee->as.name : e->kind == EX_NAME ? e->as.name : NULL;
  Name names[LEN(optimizer_names)];
  size_t which = LEN(optimizer_names);
  for (size_t i = 0; i < LEN(optimizer_names); i++) {
    names[i] = name_of(optimizer_names[i]);
    if (names[i] == word) which = i;
  }
  if (which == LEN(optimizer_names)) {
    Span word_at = e->kind == EX_CALL ? e->as.call.callee->span : e->span;
    DiagItem *d = word ? diag_at(c->diag, E0601, word_at, "there is no optimiser `%s`", word) : diag_at(c->diag, E0601, e->span, "an optimiser is named here");
    Name near = word ? name_meant(word, names, LEN(names)) : NULL;
    if (near) diag_fix(d, word_at, near, "did you mean `%s`?", near);
    else diag_note(d, "optimisers: adam, sgd, adamax, rmsprop, adagrad, lbfgs");
    return;
  }
  SviOptimizer o = optimizers[which];
  o.lr = c->t->optimizer.lr;
  for (uint32_t i = 0; e->kind == EX_CALL && i < e->as.call.args.n; i++) {
    const Arg *a = &e->as.call.args.at[i];
    if (which != SVI_LBFGS && (a->name == name_of("lr") || (!a->name && i == 0))) {
      Value v = eval(c, c->main->scope, a->value);
      if (v.kind == V_SCHEDULE) o.lr = *v.as.schedule;
      else {
        double x;
        if (v.kind == V_BAD) continue;
        if (!want_number(c, c->main->scope, a->value, &x)) continue;
        if (!(x > 0)) { diag_mark(diag_at(c->diag, E0601, a->value->span, "a learning rate must be positive"), "%g", x); continue; }
        o.lr = schedule_constant(c, x);
      }
      continue;
    }
    size_t k;
    for (k = 0; k < LEN(optimizer_settings) && !(a->name && optimizer_takes(which, k) && strcmp(a->name, optimizer_settings[k].name) == 0); k++) {}
    if (k == LEN(optimizer_settings)) { optimizer_no_setting(c, which, a); continue; }
    double x;
    if (!want_number(c, c->main->scope, a->value, &x)) continue;
    double lo = optimizer_settings[k].lo, below = optimizer_settings[k].below;
    bool whole = optimizer_settings[k].whole;
    if (x >= lo && x < below && (!whole || x == floor(x))) { *(double *)((char *)&o + optimizer_settings[k].at) = x; continue; }
    DiagItem *d = diag_mark(diag_at(c->diag, E0601, a->value->span, "`%s` cannot be %g", a->name, x), "%g", x);
    if (whole) diag_note(d, "it is a whole number from %g to %g", lo, below - 1);
    else if (below < INFINITY) diag_note(d, "it is at least %g and below %g", lo, below);
    else diag_note(d, "it is at least %g", lo);
  }
  c->t->optimizer = o;
}

/* L-BFGS compares values of one objective: it sees every row at each step. */
static void check_full_batch(Checker *c, const Decl *train) {
  if (!train || c->t->optimizer.kind != SVI_LBFGS) return;
  const Arg *batch = NULL, *optimizer = NULL;
  for (uint32_t i = 0; i < train->as.train.settings.n; i++) {
    const Arg *a = &train->as.train.settings.at[i];
    if (a->name == name_of("batch")) batch = a;
    if (a->name == name_of("optimizer")) optimizer = a;
  }
  if (batch && c->t->batch > 0) {
    DiagItem *d = diag_at(c->diag, E0601, batch->value->span, "`lbfgs` needs all rows at each step");
    if (optimizer) diag_label(d, optimizer->value->span, "compares values of the objective, which a minibatch changes");
    diag_fix(d, batch->value->span, "all", "write `batch: all`; for minibatches, choose another optimiser");
  }
  c->t->batch = 0;
}

static void check_goal(Checker *c, const StepDecl *step) {
  StepInfo info = {.name = step->name ? step->name : name_of("main"), .maximize = step->maximize, .span = step->span};
  c->objective = true;
  info.objective = eval_node(c, c->main->scope, step->objective);
  c->objective = false;
  if (info.objective != NO_VAL && shape_of(c->g, info.objective)->rank) {
    diag_help(diag_mark(diag_at(c->diag, E0502, step->objective->span, "an objective is one number per row"), "%s", shape_text(c, shape_of(c->g, info.objective))), "reduce it: `sum(...)`");
    info.objective = NO_VAL;
  }
  for (uint32_t i = 0; i < step->over.n; i++) {
    const Expr *e = step->over.at[i];
    Value v = eval(c, c->main->scope, e);
    Name prefix = v.kind == V_PROGRAM ? v.as.program->name : v.kind == V_FUNCTION && v.as.function->path ? v.as.function->path : NULL;
    if (!prefix) {
      if (v.kind != V_BAD) diag_help(diag_at(c->diag, E0603, e->span, "a step trains programs or instances of nets, and this is %s", value_kind_text(v)), "name the programs whose parameters it updates: `over p, q`");
      continue;
    }
    bool any = false;
    for (uint32_t k = 0; k < c->t->params.n; k++) {
      if (name_inside(c->t->params.at[k].svi.name, prefix) && !c->t->params.at[k].svi.state) {
        int32_t id = (int32_t)k;
        vec_push(c->arena, &info.params, id);
        any = true;
      }
    }
    if (!any && diag_errors(c->diag) == 0) {
      DiagItem *d = diag_at(c->diag, E0603, e->span, "`%s` has no parameters to train", prefix);
      if (v.kind == V_PROGRAM) diag_label(d, v.as.program->span, "makes no parameters");
      diag_note(d, "parameters are made by `param` and by calls of nets");
      diag_help(d, "remove it from `over`, or give the program parameters");
    }
  }
  vec_push(c->arena, &c->t->steps, info);
}

/* Without data, guide and training a model is there to be drawn from. */
static bool is_simulator(const Checker *c) {
  const Decls *ds = &c->main->ast->decls;
  bool yes = c->t->programs.n > 0;
  for (uint32_t i = 0; i < ds->n; i++) yes &= ds->at[i]->kind != DE_DATA && ds->at[i]->kind != DE_GOAL && ds->at[i]->kind != DE_TRAIN;
  for (uint32_t i = 0; i < c->t->programs.n; i++) yes &= !c->t->programs.at[i]->guide;
  return yes;
}

static void check_train(Checker *c) {
  const Decls *ds = &c->main->ast->decls;
  const Decl *train = NULL, *goal = NULL;
  for (uint32_t i = 0; i < ds->n; i++) {
    const Decl *d = ds->at[i];
    if (d->kind == DE_TRAIN) {
      if (train) diag_label(diag_at(c->diag, E0604, d->span, "a second `train`"), train->span, "the first");
      else train = d;
    }
    if (d->kind == DE_GOAL) {
      if (goal) diag_help(diag_label(diag_at(c->diag, E0604, d->span, "a second objective"), goal->span, "the first"), "several objectives are steps: `train { step a: maximize ...   step b: maximize ... }`");
      else goal = d;
    }
  }
  c->t->optimizer = optimizers[0];
  c->t->optimizer.lr = schedule_constant(c, 1e-3);
  c->t->batch = 100, c->t->epochs = 10;
  for (uint32_t i = 0; train && i < train->as.train.settings.n; i++) {
    const Arg *a = &train->as.train.settings.at[i];
    double x;
    if (a->name == name_of("optimizer")) check_optimizer(c, a->value);
    else if (a->name == name_of("batch")) {
      uint32_t n;
      if (a->value->kind == EX_NAME && a->value->as.name == name_of("all")) c->t->batch = 0;      /* all rows */
      else if (a->value->kind == EX_NUMBER && a->value->as.number.value < 1) diag_help(diag_at(c->diag, E0601, a->value->span, "a batch has at least one row"), "for the whole data set at each step, write `batch: all`");
      else if (want_size(c, c->main->scope, a->value, &n)) c->t->batch = (int32_t)n;
    } else if (a->name == name_of("epochs")) {
      if (want_number(c, c->main->scope, a->value, &x)) {
        if (x > 0) c->t->epochs = x;
        else diag_mark(diag_at(c->diag, E0601, a->value->span, "`epochs` must be positive"), "%g", x);
      }
    } else {
      Name names[] = {name_of("optimizer"), name_of("batch"), name_of("epochs")};
      DiagItem *d = a->name ? diag_at(c->diag, E0601, a->span, "`train` has no setting `%s`", a->name) : diag_at(c->diag, E0601, a->span, "a setting of `train` needs its name");
      bool moved = a->name == name_of("lr");
      for (size_t k = 0; k < LEN(optimizer_settings) && a->name; k++) moved |= strcmp(a->name, optimizer_settings[k].name) == 0;
      if (moved) { diag_help(d, "it is a setting of the optimiser: `optimizer: adam(%s: ...)`", a->name); continue; }
      Name near = a->name ? name_meant(a->name, names, LEN(names)) : NULL;
      if (near) diag_fix(d, (Span){a->span.at, a->span.at + (uint32_t)strlen(a->name)}, near, "did you mean `%s`?", near);
      else diag_note(d, "settings: optimizer, batch, epochs");
    }
  }
  check_full_batch(c, train);
  if (goal && train && train->as.train.steps.n) diag_label(diag_at(c->diag, E0604, goal->span, "an objective beside steps"), train->as.train.steps.at[0].span, "the steps");
  if (goal) check_goal(c, &goal->as.goal);
  for (uint32_t i = 0; train && i < train->as.train.steps.n; i++) {
    for (uint32_t k = 0; k < i; k++)
      if (train->as.train.steps.at[k].name == train->as.train.steps.at[i].name)
        diag_label(diag_at(c->diag, E0209, train->as.train.steps.at[i].name_span, "step `%s` is already defined", train->as.train.steps.at[i].name), train->as.train.steps.at[k].name_span, "the first");
    check_goal(c, &train->as.train.steps.at[i]);
  }
  if (!goal && !(train && train->as.train.steps.n) && c->t->programs.n && !is_simulator(c)) {
    DiagItem *d = diag_at(c->diag, E0604, c->t->programs.at[c->t->programs.n - 1]->span, "the model has no objective");
    const Program *p = NULL, *q = NULL;
    for (uint32_t i = 0; i < c->t->programs.n; i++) *(c->t->programs.at[i]->guide ? &q : &p) = c->t->programs.at[i];
    diag_help(d, p && q ? "say what to train: `maximize elbo(%s, %s)`" : "say what to train: `maximize ...`", p ? p->name : "p", q ? q->name : "q");
  }
  if (c->t->programs.n == 0 && !goal) {                  /* constants, nets and functions alone are a module, and may be checked */
    const Decl *lost = NULL;
    for (uint32_t i = 0; i < ds->n && !lost; i++)
      if (ds->at[i]->kind == DE_PLATE || ds->at[i]->kind == DE_DATA || ds->at[i]->kind == DE_OPTION || ds->at[i]->kind == DE_TRAIN || ds->at[i]->kind == DE_REPORT) lost = ds->at[i];
    if (lost || ds->n == 0) diag_help(diag_at(c->diag, E0604, lost ? lost->name ? lost->name_span : lost->span : NO_SPAN, "there is no model in this file"), "declare one: `model p { ... }`, and say what to train: `maximize ...`");
  }
}

static void check_reports(Checker *c) {
  const Decls *ds = &c->main->ast->decls;
  for (uint32_t i = 0; i < ds->n; i++) {
    const Decl *d = ds->at[i];
    if (d->kind != DE_REPORT) continue;
    c->objective = c->report = true, c->alone = false;
    Val v = eval_node(c, c->main->scope, d->as.value.value);
    c->objective = c->report = false;
    if (v == NO_VAL) continue;
    if (shape_of(c->g, v)->rank) {
      diag_help(diag_mark(diag_at(c->diag, E0502, d->as.value.value->span, "a report is one number per row"), "%s", shape_text(c, shape_of(c->g, v))), "reduce it: `sum(...)`");
      continue;
    }
    ReportInfo r = {d->name, v, d->span};
    vec_push(c->arena, &c->t->reports, r);
  }
}

/* Plates of sites for which the data file has no column, neither for them nor for a plate inside them. */
static void check_rows(Checker *c) {
  const Decls *ds = &c->main->ast->decls;
  AxisSet known = 0, used = 0;
  for (uint32_t i = 0; i < c->t->data.n; i++)
    if (c->t->data.at[i].column >= 0) known |= c->t->data.at[i].shape->axes;
  for (uint32_t i = ds->n; i-- > 0;)                     /* inner plates come after the outer ones */
    for (uint32_t a = 0; ds->at[i]->kind == DE_PLATE && a < c->g->axis.n; a++)
      for (uint32_t k = 0; c->g->axis.at[a].name == ds->at[i]->name && (known >> a & 1) && k < ds->at[i]->as.plate.of.n; k++)
        for (uint32_t b = 0; b < c->g->axis.n; b++)
          if (c->g->axis.at[b].name == ds->at[i]->as.plate.of.at[k]) known |= (AxisSet)1 << b;
  for (uint32_t i = 0; i < c->t->programs.n; i++)
    for (uint32_t k = 0; k < c->t->programs.at[i]->sites.n; k++) used |= c->t->programs.at[i]->sites.at[k]->shape->axes;
  for (uint32_t i = 0; i < ds->n; i++)
    for (uint32_t a = 0; ds->at[i]->kind == DE_PLATE && a < c->g->axis.n && !is_simulator(c); a++)
      if (c->g->axis.at[a].name == ds->at[i]->name && (used & ~known) >> a & 1) {
        DiagItem *d = diag_at(c->diag, W0107, ds->at[i]->name_span, "the rows of plate `%s` are not known: no data is for each %s", ds->at[i]->name, ds->at[i]->name);
        diag_note(d, "the trainer counts the rows of a plate in the columns of the data file");
        diag_help(d, "declare a column: `data NAME: real for each %s`", ds->at[i]->name);
      }
}

static void check_unused(Checker *c) {
  if (diag_errors(c->diag)) return;
  for (uint32_t i = 0; i < c->t->data.n; i++)
    if (!c->t->data.at[i].used) {
      DiagItem *d = diag_at(c->diag, W0101, c->t->data.at[i].span, "data `%s` is declared and never used", c->t->data.at[i].name);
      Name sites[64];
      size_t n = 0;
      for (uint32_t k = 0; k < c->t->programs.n; k++)
        for (uint32_t m = 0; m < c->t->programs.at[k]->sites.n && n < 64; m++)
          if (!c->t->programs.at[k]->sites.at[m]->observed) sites[n++] = c->t->programs.at[k]->sites.at[m]->name;
      Name near = name_nearest(c->t->data.at[i].name, sites, n);
      if (near) diag_help(d, "a model observes it by a site of the same name: is it the site `%s`?", near);
      else diag_help(d, "a model observes it by a site of the same name; a guide uses it by naming it");
    }
  check_rows(c);
  for (uint32_t i = 0; i < c->t->options.n; i++)
    if (!c->t->options.at[i].used) diag_at(c->diag, W0102, c->t->options.at[i].span, "option `%s` is declared and never used", c->t->options.at[i].name);
}

static Checker *checker_new(Arena *arena, Diag *diag, Sources *sources, const Ast *ast) {
  Typed *t = NEW(arena, Typed);
  Checker *c = NEW(arena, Checker);
  *t = (Typed){.arena = arena, .diag = diag, .sources = sources, .graph = graph_new(arena), .source = ast->source, .check = c};
  *c = (Checker){.t = t, .arena = arena, .diag = diag, .g = t->graph};
  c->main = module_add(c, name_of("model"), ast);
  static const char *const unnamed[] = {"prelude", "objective", "aggregate"};          /* in scope without import */
  for (size_t i = 0; i < LEN(unnamed); i++) {
    size_t size;
    const char *text = library_text(unnamed[i], &size);
    if (text) module_of_source(c, NULL, name_printf("<library>/%s.svm", unnamed[i]), text, size, true);
  }
  return c;
}

void types_check_library(Arena *arena, Diag *diag, Sources *sources, uint32_t *dists, uint32_t *lines) {
  const Source *none = source_add(sources, "<none>", "", 0, false);
  Checker *c = checker_new(arena, diag, sources, ast_parse(arena, none, diag));
  const char *name;
  *dists = *lines = 0;
  for (size_t i = 0; (name = library_file(i)); i++) {
    if (strncmp(name, "dist/", 5) != 0) continue;
    Module *m = NULL;
    const Decl *d = library_dist(c, name_of(name + 5), &m);
    if (!d) { diag_at(diag, E0210, NO_SPAN, "library file %s.svm has no `dist %s`", name, name + 5); continue; }
    dist_check_lines(c, m, d);
    ++*dists, *lines += d->as.dist.checks.n;
  }
}

Typed *types_check(Arena *arena, Diag *diag, Sources *sources, const Ast *ast, const char *const *search, uint32_t nsearch, const Define *defines, uint32_t ndefine) {
  Checker *c = checker_new(arena, diag, sources, ast);
  Typed *t = c->t;
  c->search = search, c->nsearch = nsearch, c->defines = defines, c->ndefine = ndefine;
  c->define_used = arena_alloc(arena, ndefine + 1);
  t->training = graph_leaf(c->g, OP_input, name_of("training"), UINT32_MAX, graph_shape(c->g, 0, 0, NULL), RANGE_BIT);
  check_duplicates(c, c->main);
  declare_plates(c);
  declare_options(c);
  declare_data(c);
  VEC(const Decl *) named = {0};                                            /* guides by name */
  for (uint32_t i = 0; i < ast->decls.n; i++) {
    const Decl *d = ast->decls.at[i];
    if (d->kind == DE_PROGRAM) {
      Program *p = NEW(arena, Program);
      *p = (Program){.name = d->name, .decl = d, .guide = d->as.program.guide, .axis = -1, .span = d->name_span};
      if (d->as.program.plate) {
        for (uint32_t a = 0; a < c->g->axis.n; a++)
          if (c->g->axis.at[a].name == d->as.program.plate) p->axis = (int)a;
        if (p->axis < 0) {
          DiagItem *item = diag_at(diag, E0202, d->as.program.plate_span, "there is no plate `%s`", d->as.program.plate);
          Name names[AXIS_MAX];
          size_t n = 0;
          for (uint32_t a = 0; a < c->g->axis.n; a++) names[n++] = c->g->axis.at[a].name;
          Name near = name_nearest(d->as.program.plate, names, n);
          if (near) diag_fix(item, d->as.program.plate_span, near, "did you mean `%s`?", near);
          else diag_help(item, "declare it: `plate %s`", d->as.program.plate);
        }
      }
      program_scan(c, p, &d->as.program.body);
      vec_push(arena, &t->programs, p);
    } else if (d->kind == DE_AUTOGUIDE) {
      vec_push(arena, &named, d);
    } else if (d->kind == DE_IMPORT) {
      decl_value(c, c->main, d, d->span);
    }
  }
  for (uint32_t i = 0; i < named.n; i++) {                                /* of models that can be checked by now */
    Program *q = autoguide(c, named.at[i]);
    if (q) vec_push(arena, &t->programs, q);
  }
  for (uint32_t i = 0; i < t->programs.n; i++) program_check(c, t->programs.at[i]);
  for (uint32_t i = 0; i < ast->decls.n; i++)                             /* constants and instances nobody named: still checked */
    if (ast->decls.at[i]->kind == DE_CONST) decl_value(c, c->main, ast->decls.at[i], ast->decls.at[i]->span);
  for (uint32_t i = 0; i < ast->decls.n; i++)
    if (ast->decls.at[i]->kind == DE_DIST) dist_check_lines(c, c->main, ast->decls.at[i]);
  check_train(c);
  check_reports(c);
  for (uint32_t i = 0; i < ndefine; i++)
    if (!c->define_used[i]) {
      DiagItem *d = diag_at(diag, E0201, NO_SPAN, "-D %s: the model has no constant of this name", defines[i].name);
      Name names[64];
      size_t n = 0;
      for (uint32_t k = 0; k < ast->decls.n && n < LEN(names); k++)
        if (ast->decls.at[k]->kind == DE_CONST) names[n++] = ast->decls.at[k]->name;
      Name near = name_nearest(defines[i].name, names, n);
      if (near) diag_help(d, "did you mean `%s`?", near);
    }
  check_unused(c);
  return t;
}
