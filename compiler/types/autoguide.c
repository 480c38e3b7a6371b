/* Guides by name: `guide q = meanfield(p)`, `guide q = fullrank(p)`.
 *
 * In:  a checked model.
 * Out: the text of a guide for its latents, in this language, read and checked like any other (`svic --emit=typed` shows its sites).
 *
 *   meanfield  each latent has the family of its prior with free parameters, one set an element and row.  Where the family's support
 *              moves with its parameters (Uniform), or the prior is itself made of others, a normal is carried to the support
 *   fullrank   the latents of a plate, without their constraints, are one normal vector with all its covariances: site by site,
 *              each given the standardised noise of those before, x_i = m_i + sum_j<i A_ij e_j + L_ii e_i */
#include "value.h"
#include <stdlib.h>

typedef struct { Checker *c; Name guide; FILE *out, *functions; } Writer;      /* statements of the guide; functions beside it */

/* z[2,1] as part of a name */
static Name word_of(Name site) {
  char *text = strdup(site), *end = text;
  for (const char *p = site; *p; p++)
    if (*p != ']') *end++ = *p == '[' || *p == ',' || *p == ' ' ? '_' : *p;
  Name word = name_of_n(text, (size_t)(end - text));
  free(text);
  return word;
}
static void write_dims(FILE *out, uint32_t rank, const uint32_t *dim) {
  for (uint32_t i = 0; i < rank; i++) fprintf(out, "%s%u%s", i ? ", " : "[", dim[i], i + 1 == rank ? "]" : "");
}
static int32_t innermost(const Checker *c, AxisSet plates) {         /* -1: there are no plates */
  int32_t last = -1;
  for (uint32_t a = 0; a < c->g->axis.n; a++)
    if (plates >> a & 1) last = (int32_t)a;
  return last;
}
/* A parameter is for each row of one plate, and so of those around it. */
static bool has_parameters(const Checker *c, const Site *site) {
  AxisSet plates = site->shape->axes;
  for (int32_t a = innermost(c, plates); a >= 0; a = c->g->axis.at[a].parent) plates &= ~((AxisSet)1 << a);
  if (!plates) return true;
  const char *a = c->g->axis.at[innermost(c, site->shape->axes)].name, *b = c->g->axis.at[innermost(c, plates)].name;
  DiagItem *i = diag_at(c->diag, E0511, site->span, "no guide can be made for `%s`: plate `%s` is not inside plate `%s`", site->name, a, b);
  diag_note(i, "a guide by name has parameters for each row of one plate, and `%s` is drawn for each `%s` and `%s`", site->name, b, a);
  diag_help(i, "write the guide out, with a net for the parameters of `%s`; or declare `plate %s of %s` where it is inside", site->name, a, b);
  return false;
}
static uint32_t open_plates(Writer *w, AxisSet plates) {
  uint32_t n = 0;
  for (uint32_t a = 0; a < w->c->g->axis.n; a++)
    if (plates >> a & 1) fprintf(w->out, "%sfor each %s {\n", n++ ? "" : "  ", w->c->g->axis.at[a].name);
  return n;
}
static void close_plates(Writer *w, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) fputs("  }\n", w->out);
}
static void write_param(Writer *w, const Site *site, Name name, const char *type, uint32_t rank, const uint32_t *dim, const char *start) {
  int32_t plate = innermost(w->c, site->shape->axes);
  fprintf(w->out, "  param %s: %s", name, type);
  write_dims(w->out, rank, dim);
  if (plate >= 0) fprintf(w->out, " for each %s", w->c->g->axis.at[plate].name);
  if (start) fprintf(w->out, " = %s", start);
  fputc('\n', w->out);
}

/* ---- mean field */
/* The form whose parameters a guide should have: the last that takes no sizes (Gamma by shape and mean, Bernoulli by log odds); for
 * Normal the header's. */
static int form_for_guide(const DistValue *d) {
  return d->decl->name == name_of("Normal") ? -1 : (int)d->decl->as.dist.forms.n - 1;
}
/* fun q_onto_z(u, inverse = 0): from a vector (or the unconstrained shape) onto the site's support, and back. */
static Name write_onto(Writer *w, const Site *site, bool flat) {
  uint32_t rank, dim[DIM_MAX], size = 1;
  Name name = name_printf("%s_onto_%s", w->guide, word_of(site->name));
  support_unconstrained(site->range, site->shape->rank, site->shape->dim, &rank, dim);
  for (uint32_t i = 0; i < rank; i++) size *= dim[i];
  Name u = name_of("u"), back = support_text("from", site->range, "u");
  if (flat && rank != 1) {
    u = name_of("reshape(u");
    for (uint32_t i = 0; i < rank; i++) u = name_printf("%s, %u", u, dim[i]);
    u = name_printf("%s)", u), back = name_printf("reshape(%s, %u)", back, size);
  }
  fprintf(w->functions, "fun %s(u, inverse = 0) = if inverse == 1 then [%s, -sum(%s)] else [%s, sum(%s)]\n", name, back,
          support_text("log_det", site->range, support_text("from", site->range, "u")), support_text("to", site->range, u), support_text("log_det", site->range, u));
  return name;
}
static void write_normal(Writer *w, const Site *site) {
  uint32_t rank, dim[DIM_MAX];
  Name word = word_of(site->name);
  support_unconstrained(site->range, site->shape->rank, site->shape->dim, &rank, dim);
  write_param(w, site, name_printf("%s_location", word), "real", rank, dim, NULL);
  write_param(w, site, name_printf("%s_scale", word), "positive", rank, dim, "0.5");
  fprintf(w->out, "  %s ~ transformed(Normal(%s_location, %s_scale), %s)\n", site->name, word, word, write_onto(w, site, false));
}
static bool parameters_move_support(const DistValue *d) {
  for (uint32_t k = 0; k < d->nargs; k++)
    if (dist_is_end(d, k)) return true;
  return false;
}
static bool write_family(Writer *w, const Site *site) {
  const DistValue *d = &site->dist;
  int form = form_for_guide(d);
  const Params *p = form < 0 ? &d->decl->as.dist.params : &d->decl->as.dist.forms.at[form].params;
  Name word = word_of(site->name), call = name_printf("%s(", d->decl->name);
  for (uint32_t k = 0; k < p->n; k++) {
    uint32_t rank, dim[DIM_MAX];
    const char *type;
    Name own = p->at[k].name, made = name_printf("%s_%s", word, own);
    if (!p->at[k].type) return false;
    if (p->at[k].type->element == name_of("size")) {        /* as in the model */
      double x;
      if (!dist_size_argument(w->c, d, own, &x)) return false;
      call = name_printf("%s%s%s: %.0f", call, k ? ", " : "", own, x);
      continue;
    }
    if (!dist_param_shape(w->c, d, form, k, &rank, dim, &type)) return false;
    write_param(w, site, made, type, rank, dim, NULL);
    call = name_printf("%s%s%s: %s", call, k ? ", " : "", own, made);
  }
  fprintf(w->out, "  %s ~ %s)\n", site->name, call);
  return true;
}

/* ---- full rank */
static void write_correlated(Writer *w, Site **group, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    const Site *site = group[i];
    uint32_t rank, dim[DIM_MAX], size = 1;
    Name word = word_of(site->name);
    support_unconstrained(site->range, site->shape->rank, site->shape->dim, &rank, dim);
    for (uint32_t k = 0; k < rank; k++) size *= dim[k];
    write_param(w, site, name_printf("%s_location", word), "real", 1, &size, NULL);
    write_param(w, site, name_printf("%s_factor", word), "cholesky", 1, &size, name_printf("0.5 * identity(%u)", size));
    Name mean = name_printf("%s_location", word);
    for (uint32_t j = 0; j < i; j++) {
      uint32_t before = 1, r, db[DIM_MAX];
      Name other = word_of(group[j]->name);
      support_unconstrained(group[j]->range, group[j]->shape->rank, group[j]->shape->dim, &r, db);
      for (uint32_t k = 0; k < r; k++) before *= db[k];
      write_param(w, site, name_printf("%s_from_%s", word, other), "real", 2, (uint32_t[]){before, size}, "0");
      mean = name_printf("%s + %s_noise @ %s_from_%s", mean, other, word, other);
    }
    fprintf(w->out, "  %s_centre = %s\n", word, mean);
    fprintf(w->out, "  %s ~ transformed(MultivariateNormal(%s_centre, %s_factor), %s)\n", site->name, word, word, write_onto(w, site, true));
    if (i + 1 == n) continue;
    Name back = support_text("from", site->range, site->name);
    if (rank != 1) back = name_printf("reshape(%s, %u)", back, size);
    fprintf(w->out, "  %s_noise = solve_lower(%s_factor, %s - %s_centre)\n", word, word, back, word);
  }
}

/* ---- the whole */
static bool is_continuous(Checker *c, const Site *site, const char *what) {
  if (!site->range.whole) return true;
  DiagItem *i = diag_at(c->diag, E0511, site->span, "`%s` takes whole values, and `%s` is normal without constraints", site->name, what);
  diag_help(i, "use `meanfield`, or write the guide out");
  return false;
}
static bool write_guide(Writer *w, const Program *model, bool correlated) {
  Checker *c = w->c;
  for (uint32_t i = 0; i < model->sites.n; i++) {
    const Site *site = model->sites.at[i];
    if (site->observed) continue;
    if (!has_parameters(c, site)) return false;
    if (correlated && !is_continuous(c, site, "fullrank")) return false;
    if (correlated) {                                       /* all of the same plates, at the first of them */
      VEC(Site *) group = {0};
      bool first = true;
      for (uint32_t k = 0; k < model->sites.n; k++) {
        if (model->sites.at[k]->observed || model->sites.at[k]->shape->axes != site->shape->axes) continue;
        first &= k >= i;
        vec_push(c->arena, &group, model->sites.at[k]);
      }
      if (!first) continue;
      uint32_t n = open_plates(w, site->shape->axes);
      write_correlated(w, group.at, group.n);
      close_plates(w, n);
      continue;
    }
    uint32_t n = open_plates(w, site->shape->axes);
    bool own = !site->dist.flow && !site->dist.mixture && !site->autoregressive && !parameters_move_support(&site->dist);
    if (site->range.whole && !own) {
      diag_help(diag_at(c->diag, E0511, site->span, "`meanfield` has no family for `%s`", site->name), "write the guide out");
      return false;
    }
    if (!own || !write_family(w, site)) write_normal(w, site);
    close_plates(w, n);
  }
  return true;
}

static char *text_of(Checker *c, char *text, size_t size) {
  char *kept = arena_copy(c->arena, text, size);
  free(text);
  return kept;
}

Program *autoguide(Checker *c, const Decl *d) {
  const Expr *e = d->as.value.value;
  Name word = e->kind == EX_CALL && e->as.call.callee->kind == EX_NAME ? e->as.call.callee->as.name : NULL;
  bool correlated = word == name_of("fullrank");
  if (!correlated && word != name_of("meanfield")) {
    Name names[2] = {name_of("meanfield"), name_of("fullrank")}, near = word ? name_meant(word, names, 2) : NULL;
    DiagItem *i = diag_at(c->diag, E0203, e->span, "there is no guide of this name");
    if (near) diag_fix(i, e->as.call.callee->span, near, "did you mean `%s`?", near);
    else diag_help(i, "`meanfield(p)`, `fullrank(p)`; or write the guide out: `guide %s { ... }`", d->name);
    return NULL;
  }
  Value p = e->as.call.args.n == 1 ? eval(c, c->main->scope, e->as.call.args.at[0].value) : v_bad(e->span);
  if (p.kind != V_PROGRAM) {
    if (p.kind != V_BAD || e->as.call.args.n != 1) diag_help(diag_at(c->diag, E0501, e->span, "`%s` is of a model", word), "for instance `guide %s = %s(p)`", d->name, word);
    return NULL;
  }
  program_check(c, p.as.program);
  if (p.as.program->failed.n) return NULL;
  char *body = NULL, *functions = NULL, *whole = NULL;
  size_t nb, nf, n;
  Writer w = {c, d->name, open_memstream(&body, &nb), open_memstream(&functions, &nf)};
  bool ok = write_guide(&w, p.as.program, correlated);
  fclose(w.out), fclose(w.functions);
  if (ok) {
    FILE *f = open_memstream(&whole, &n);
    fprintf(f, "%sguide %s {\n%s}\n", functions, d->name, body);
    fclose(f);
  }
  free(body), free(functions);
  if (!ok) return NULL;
  const Source *source = source_add(c->t->sources, name_printf("<%s(%s)>", word, p.as.program->name), text_of(c, whole, n), n, true);
  Module *m = module_add(c, name_of(source->path), ast_parse(c->arena, source, c->diag));
  m->parent = c->main;
  const Decl *made = module_decl(m, d->name);
  if (!made) BUG("the text of guide `%s` has no guide", d->name);
  Program *q = NEW(c->arena, Program);
  *q = (Program){.name = d->name, .decl = made, .module = m, .guide = true, .axis = -1, .span = d->name_span};
  program_scan(c, q, &made->as.program.body);
  return q;
}
