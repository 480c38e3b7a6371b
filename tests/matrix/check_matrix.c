/* Holds trainers to the matrix of gradients (matrix.h), prints it, and compares the tables of the manual with it.
 *
 *     check_matrix [--cells] [--family NAME] [--seed N] [--write] [FILE]
 *
 * In:  the rows of families.c, estimators.c, objectives.c.
 * Out: a line for each family with the largest |z| under each estimator; what disagrees; exit status 1 if anything does.  FILE is
 *      to hold the tables as they are made here; --write puts them there.
 *
 * All cells of a family are one model, each with a program and a step of its own.  What the compiler refuses it says at a line
 * of a cell: that cell is taken out, and the rest compiled.  `MODEL gradients` then gives each mean over ROWS * DRAWS draws with
 * its standard error.  A cell agrees when every parameter is within four standard errors of the exact gradient, and its
 * standard errors together are below a share RESOLUTION of that gradient.  The seed is fixed.  Most cells need fewer draws: those
 * that FEW of them show within three standard errors, together below half that share, are not drawn again. */
#include "matrix.h"
#include "../run_models/work.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 500, FEW = 60, DRAWS = 300, STEPS = 20, FAMILIES = 64, ESTIMATORS = 24, OBJECTIVES = 24, CELLS = ESTIMATORS * OBJECTIVES };
#define RESOLUTION 0.1
#define ROUNDING   2e-6        /* of the quadrature and its differences */

typedef struct {
  enum { NOT_RUN, AGREES, IS_BIASED, IS_REFUSED, WRONG } is;
  char   code[8], text[400];
  double z, resolution;
} Result;
static Result (*results)[ESTIMATORS][OBJECTIVES];         /* of each family; shared with the processes that fill it in */

static int seed = 1;
static const char *const parameter_of[PARAMETERS] = {"s", "t", "w", "v"};

/* ---- the model of a family */
typedef struct { FILE *f; int line; } Writer;
__attribute__((format(printf, 2, 3))) static void put(Writer *w, const char *format, ...) {
  va_list v;
  va_start(v, format);
  vfprintf(w->f, format, v);
  va_end(v);
  fputc('\n', w->f);
  w->line++;
}
typedef struct { bool in; int first, last, step; } Place;      /* lines of a cell's program, and of its step */

static void put_text(FILE *f, const char *text, const char *program) {
  for (; *text; text++)
    if (*text == '$') fputs(program, f);
    else fputc(*text, f);
}
static void put_site(Writer *w, const Family *f, const char *via) {
  put(w, "  z ~ %s%s", f->draw, via);
  put(w, "  g = %s", f->value);
}
static void put_parameters(Writer *w, const Family *f, const char *shift) {
  put(w, "  param s: real = %g", f->start[0]);
  if (!(f->traits & LONE)) put(w, "  param t: real = %g", f->start[1]);
  if (*shift) put(w, "  u ~ Normal(0.1, 0.8)");
  put(w, "  a = s%s", shift);
  if (!(f->traits & LONE)) put(w, "  b = t");
}
static void put_cell(Writer *w, const Family *f, const Estimator *e, const Objective *o, const char *name) {
  switch (o->program) {
    case GUIDE:        put(w, "guide %s for each row {", name); put_parameters(w, f, ""); break;
    case GUIDE_OF_TWO: put(w, "guide %s for each row {", name); put_parameters(w, f, " + 0.3 * tanh(u)"); break;
    case MODEL:        put(w, "model %s for each row {", name); put(w, "  param w: real = 0.8"); put_parameters(w, f, ""); break;
  }
  put_site(w, f, e->via);
  if (o->program == MODEL) put(w, "  x ~ Normal(w * g, 0.9)");
  put(w, "}");
}
static void write_model(const char *path, const Family *f, Place place[ESTIMATORS][OBJECTIVES]) {
  Writer w = {fopen(path, "w"), 1};
  if (!w.f) work_fail("cannot write %s", path);
  const Family *p = family_prior(f);
  put(&w, "plate row");
  put(&w, "data x: real for each row");
  put(&w, "model p for each row {");
  put(&w, "  param w: real = 0.8");
  put(&w, "  a = %g", f->prior[0]);
  put(&w, "  b = %g", f->prior[1]);
  put_site(&w, &(Family){.draw = p->draw, .value = f->value}, "");
  put(&w, "  x ~ Normal(w * g, 0.9)");
  put(&w, "}");
  put(&w, "guide r for each row {");
  put(&w, "  param v: real = 0.3");
  put(&w, "  g = %s", f->value);
  put(&w, "  u ~ Normal(v * g, 1)");
  put(&w, "}");
  put(&w, "guide c for each row {");
  put(&w, "  param v: real = 0.3");
  put(&w, "  a = v + 0.2 * tanh(x)");
  put(&w, "  b = %g", f->prior[1]);
  put(&w, "  z ~ %s", p->draw);
  put(&w, "}");
  for (int e = 0; e < nestimators; e++)
    for (int o = 0; o < nobjectives; o++) {
      if (!place[e][o].in) continue;
      char name[24];
      snprintf(name, sizeof name, "q%d_%d", e, o);
      place[e][o].first = w.line;
      put_cell(&w, f, &estimators[e], &objectives[o], name);
      place[e][o].last = w.line - 1;
    }
  put(&w, "train { optimizer: sgd(lr: 1e-200), batch: all");           /* steps change states only: running means */
  for (int e = 0; e < nestimators; e++)
    for (int o = 0; o < nobjectives; o++) {
      if (!place[e][o].in) continue;
      char name[24];
      snprintf(name, sizeof name, "q%d_%d", e, o);
      place[e][o].step = w.line++;
      fprintf(w.f, "  step c%d_%d: %s ", e, o, objectives[o].minimize ? "minimize" : "maximize");
      put_text(w.f, objectives[o].text, name);
      fputs(" over ", w.f);
      put_text(w.f, objectives[o].over, name);
      fputc('\n', w.f);
    }
  put(&w, "}");
  fclose(w.f);
}

/* ---- what the compiler refuses */
static Place *place_at(Place place[ESTIMATORS][OBJECTIVES], int line) {
  for (int e = 0; e < nestimators; e++)
    for (int o = 0; o < nobjectives; o++) {
      Place *p = &place[e][o];
      if (p->in && ((line >= p->first && line <= p->last) || line == p->step)) return p;
    }
  return NULL;
}
static const char *string_in(const cJSON *item, const char *name) {
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(item, name));
  return text ? text : "";
}
/* One message: the cell of the first of its spans that is a cell's. */
static bool take_message(const char *line, Place place[ESTIMATORS][OBJECTIVES], Result result[ESTIMATORS][OBJECTIVES]) {
  cJSON *item = cJSON_Parse(line);
  if (!item) work_fail("not a message: %s", line);
  bool taken = false;
  if (strcmp(string_in(item, "severity"), "error") == 0) {
    const cJSON *span;
    cJSON_ArrayForEach(span, cJSON_GetObjectItem(item, "spans")) {
      const cJSON *start = cJSON_GetObjectItem(cJSON_GetObjectItem(span, "start"), "line");
      Place *p = cJSON_IsNumber(start) && strcmp(string_in(span, "file"), "m.svm") == 0 ? place_at(place, (int)start->valuedouble) : NULL;
      if (!p) continue;
      Result *r = &result[0][0] + (p - &place[0][0]);
      if (r->is == NOT_RUN) {
        r->is = IS_REFUSED;
        snprintf(r->code, sizeof r->code, "%s", string_in(item, "code"));
        snprintf(r->text, sizeof r->text, "%s", string_in(item, "message"));
      }
      taken = true;
      break;
    }
  }
  cJSON_Delete(item);
  return taken;
}
static int cells_in(Place place[ESTIMATORS][OBJECTIVES]) {
  int n = 0;
  for (int e = 0; e < nestimators; e++)
    for (int o = 0; o < nobjectives; o++) n += place[e][o].in;
  return n;
}
/* Compiles the cells that are in, and takes those out that are refused. */
static void compile(const Family *f, const char *options, Place place[ESTIMATORS][OBJECTIVES], Result result[ESTIMATORS][OBJECTIVES]) {
  while (cells_in(place)) {                                 /* the compiler tells some at a time */
    write_model("m.svm", f, place);
    Ran ran = work_try("%s m.svm %s --diagnostics json", SVIC, options);
    if (ran.code == 0) return;
    char *said = strdup(ran.err);
    bool  any = false;
    for (char *at = strtok(ran.err, "\n"); at; at = strtok(NULL, "\n"))
      if (*at == '{') any |= take_message(at, place, result);
    if (!any) work_fail("%s: the compiler refuses what is no cell's: status %d\n%s", f->name, ran.code, said);
    free(said);
    for (int e = 0; e < nestimators; e++)
      for (int o = 0; o < nobjectives; o++) place[e][o].in &= result[e][o].is == NOT_RUN;
  }
}

/* ---- what the trainer estimates */
static const SviArray *gradient_find(const SviFile *file, int e, int o, int param, const char *suffix) {
  char own[24], name[96];
  snprintf(own, sizeof own, "q%d_%d", e, o);
  const char *const owner[] = {own, "p", "r", "c"};
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "c%d_%d:%s.%s%s", e, o, owner[i], parameter_of[param], suffix);
    const SviArray *a = svi_file_find(file, name);
    if (!a) a = svi_file_find(file, strchr(name, ':') + 1);      /* of the only step */
    if (a) return a;
  }
  return NULL;
}
static bool has_parameter(const Family *f, const Objective *o, int param) {
  switch (param) {
    case S: return strchr(o->over, '$');
    case T: return strchr(o->over, '$') && !(f->traits & LONE);
    case W: return o->program == MODEL || strchr(o->over, 'p');
    case V: return strchr(o->over, 'r') || strchr(o->over, 'c');
  }
  return false;
}
/* `exact` and `slack` of each parameter: its gradient, and how far a plug-in estimate may be from it. */
static void compare(const SviFile *file, const Family *f, int e, int o, const double *exact, const double *slack, Result *r) {
  double norm = 0, noise = 0;
  bool   biased = expected_of(&estimators[e], f, &objectives[o]).is == BIASED;
  bool   moved = biased && objectives[o].body && estimators[e].move != BY_NOTHING;      /* held to its own definition */
  double by_definition[2];
  if (moved) moved_gradient(&objectives[o], f, estimators[e].move, by_definition);
  r->is = biased ? IS_BIASED : AGREES;
  for (int i = 0; i < PARAMETERS; i++) {
    bool draws = biased && (i == S || i == T);              /* a biased draw is still drawn from q: the others are exact */
    if (!has_parameter(f, &objectives[o], i) || (draws && !moved)) continue;
    double want = draws ? by_definition[i] : exact[i];
    const SviArray *mean = gradient_find(file, e, o, i, ""), *se = gradient_find(file, e, o, i, ".se");
    double got = mean ? svi_array_get(mean, 0) : 0, error = se ? svi_array_get(se, 0) : 0, far = fabs(got - want);      /* none: no term has it */
    double allowed = ROUNDING * (1 + fabs(want)) + slack[i];
    double z = far <= allowed ? 0 : (far - allowed) / error;
    norm += want * want, noise += error * error;
    if (!(z < 4) && r->is != WRONG) {
      r->is = WRONG;
      snprintf(r->text, sizeof r->text, "the gradient of %s is %.6g +- %.2g and should be %.6g", parameter_of[i], got, error, want);
    }
    if (!(z <= r->z)) r->z = z;
  }
  r->resolution = noise > 0 ? sqrt(noise) / fmax(sqrt(norm), ROUNDING) : 0;
  if (r->is == AGREES && !(r->resolution < RESOLUTION)) {
    r->is = WRONG;
    snprintf(r->text, sizeof r->text, "the standard error is %.2g of the gradient: too large to see a mistake", r->resolution);
  }
}
static void compare_all(const SviFile *file, const Family *f, Place place[ESTIMATORS][OBJECTIVES], Result result[ESTIMATORS][OBJECTIVES]) {
  for (int o = 0; o < nobjectives; o++) {
    double exact[PARAMETERS], slack[PARAMETERS];
    bool   known = false;
    for (int e = 0; e < nestimators; e++) {
      if (!place[e][o].in) continue;
      if (!known) exact_gradient(&objectives[o], f, exact);
      for (int i = 0; i < PARAMETERS && !known; i++) slack[i] = exact_plug_in(&objectives[o], f, i) / ROWS;
      known = true;
      compare(file, f, e, o, exact, slack, &result[e][o]);
    }
  }
}

static const char accepted_options[] = "-o m -O0 --precision f64";
static void run_family(int index) {
  const Family *f = &families[index];
  Place  place[ESTIMATORS][OBJECTIVES] = {0};
  Result (*result)[OBJECTIVES] = results[index];
  double x[ROWS];
  for (int i = 0; i < ROWS; i++) x[i] = row_value[i % ROW_VALUES];
  if (fabs(exact_mass(f) - 1) > 1e-7) work_fail("%s: its points hold %.12g of the probability", f->name, exact_mass(f));
  work_begin("matrix");
  data_put("d.npz", &(SviArray){.name = (char *)(uintptr_t)"x", .type = SVI_F64, .rank = 1, .dim = {ROWS}, .bytes = x}, 1);
  for (int accepted = 0; accepted < 2; accepted++) {        /* those to be refused in models of their own: these are quick */
    for (int e = 0; e < nestimators; e++)
      for (int o = 0; o < nobjectives; o++) place[e][o].in = (expected_of(&estimators[e], f, &objectives[o]).is != REFUSED) == accepted;
    compile(f, accepted ? accepted_options : "--emit grad -o /dev/null", place, result);
    for (int e = 0; e < nestimators && !accepted; e++)
      for (int o = 0; o < nobjectives; o++)
        if (place[e][o].in) result[e][o].is = WRONG;
  }
  for (int again = 0; cells_in(place) && again < 2; again++) {
    SviFile  file;
    SviError error;
    if (again) compile(f, accepted_options, place, result);
    work_run("./m train --data d.npz --quiet --steps %d --threads 1 --out r%d", STEPS, again);
    work_run("./m gradients --data d.npz --quiet --count %d --seed %d --threads 1 --out r%d --to g.npz", again ? DRAWS : FEW, seed, again);
    if (!svi_file_open("g.npz", &file, &error)) work_fail("%s", error.text);
    compare_all(&file, f, place, result);
    svi_file_close(&file);
    for (int e = 0; e < nestimators && !again; e++)
      for (int o = 0; o < nobjectives; o++) {
        Result *r = &result[e][o];
        if (!place[e][o].in) continue;
        if (r->is != WRONG && r->z < 3 && r->resolution < RESOLUTION / 2) place[e][o].in = false;
        else *r = (Result){0};
      }
  }
  work_end();
}

/* ---- what was expected */
static const char *complaint(Result *r, Expected want) {
  if (r->is == NOT_RUN) return "was not run";
  switch (want.is) {
    case EXACT:
      return r->is == IS_REFUSED ? "is refused, and should be accepted" : r->is == WRONG ? "is wrong" : NULL;
    case BIASED:
      return r->is == IS_REFUSED ? "is refused, and should be accepted" : r->is == WRONG ? "is wrong" : NULL;
    case REFUSED:
      return r->is != IS_REFUSED ? "is accepted, and should be refused" : strcmp(r->code, want.code) != 0 ? "is refused with another code" : NULL;
  }
  return NULL;
}
static int judge(int family, FILE *out) {
  int wrong = 0;
  for (int e = 0; e < nestimators; e++) {
    const char *last = NULL, *text = NULL;
    for (int o = 0; o < nobjectives; o++) {
      Result  *r = &results[family][e][o];
      Expected want = expected_of(&estimators[e], &families[family], &objectives[o]);
      const char *says = complaint(r, want);
      if (!says) continue;
      wrong++;
      if (says != last || strcmp(r->text, text) != 0) {       /* alike ones in one line */
        if (says != last) fprintf(out, "%s%s, %s: %s%s%s", last ? "\n" : "", families[family].name, estimators[e].name, says, want.is == REFUSED ? ": " : "", want.is == REFUSED ? want.why : "");
        fprintf(out, "\n    %s%s%s: %s", r->code, *r->code ? " " : "", r->text, objectives[o].name);
      } else fprintf(out, "; %s", objectives[o].name);
      last = says, text = r->text;
    }
    if (last) fputc('\n', out);
  }
  return wrong;
}

/* ---- tables */
static void print_cells(int family) {
  for (int e = 0; e < nestimators; e++)
    for (int o = 0; o < nobjectives; o++) {
      const Result *r = &results[family][e][o];
      printf("  %-18s %-10s ", estimators[e].name, objectives[o].name);
      if (r->is == IS_REFUSED) printf("%s %s\n", r->code, r->text);
      else printf("|z| %5.2f  resolution %.4f%s\n", r->z, r->resolution, r->is == IS_BIASED ? "  biased" : r->is == WRONG ? "  WRONG" : "");
    }
}
typedef struct { int n[5]; double z; char code[8]; } Tally;      /* of each Result.is */
static void tally(Tally *t, const Result *r) {
  t->n[r->is]++;
  if (r->is == AGREES) t->z = fmax(t->z, r->z);
  if (r->is == IS_REFUSED) snprintf(t->code, sizeof t->code, "%s", r->code);
}
static void print_family(int family) {
  printf("%-24s", families[family].name);
  for (int e = 0; e < nestimators; e++) {
    Tally t = {0};
    char  text[40] = "";
    for (int o = 0; o < nobjectives; o++) tally(&t, &results[family][e][o]);
    if (t.n[WRONG]) snprintf(text, sizeof text, "WRONG %d", t.n[WRONG]);
    else if (t.n[AGREES]) snprintf(text, sizeof text, "%.2f%s%s", t.z, t.n[IS_REFUSED] ? " r" : "", t.n[IS_BIASED] ? " b" : "");
    else if (t.n[IS_BIASED]) snprintf(text, sizeof text, "biased%s", t.n[IS_REFUSED] ? " r" : "");
    else if (t.n[IS_REFUSED]) snprintf(text, sizeof text, "%s", strcmp(t.code, "E0590") == 0 ? "-" : t.code);
    printf(" %9.9s", text);
  }
  printf("\n");
}

/* ---- the manual's tables */
static void put_head(FILE *out, const char *corner) {
  fprintf(out, "| %s |", corner);
  for (int e = 0; e < nestimators; e++) fprintf(out, " %s |", estimators[e].name);
  fprintf(out, "\n|---|");
  for (int e = 0; e < nestimators; e++) fputs("---|", out);
}
static const char *tally_words(const Tally *t) {
  if (t->n[WRONG] || t->n[NOT_RUN]) return "wrong";
  if (t->n[IS_BIASED]) return "b";
  return !t->n[AGREES] ? "" : t->n[IS_REFUSED] ? "some" : "all";
}
static void put_tables(FILE *out) {
  put_head(out, "family");
  for (int i = 0; i < nfamilies; i++) {
    fprintf(out, "\n| %s |", families[i].name);
    for (int e = 0; e < nestimators; e++) {
      Tally t = {0};
      for (int o = 0; o < nobjectives; o++) tally(&t, &results[i][e][o]);
      fprintf(out, " %s |", tally_words(&t));
    }
  }
  fputs("\n\n", out);
  put_head(out, "objective");
  for (int o = 0; o < nobjectives; o++) {
    fprintf(out, "\n| `%s` |", objectives[o].show);
    for (int e = 0; e < nestimators; e++) {
      Tally t = {0};
      for (int i = 0; i < nfamilies; i++) tally(&t, &results[i][e][o]);
      fprintf(out, " %s |", t.n[AGREES] || t.n[IS_BIASED] ? t.n[IS_BIASED] ? t.n[AGREES] ? "yes, b" : "b" : "yes" : "");
    }
  }
  Tally all = {0};
  for (int i = 0; i < nfamilies; i++)
    for (int e = 0; e < nestimators; e++)
      for (int o = 0; o < nobjectives; o++) tally(&all, &results[i][e][o]);
  fprintf(out, "\n\n%d cells: %d exact, %d biased, %d refused.\n", nfamilies * nestimators * nobjectives, all.n[AGREES], all.n[IS_BIASED], all.n[IS_REFUSED]);
}
static const char opens[] = "<!-- matrix: made by check_matrix -->\n", closes[] = "<!-- end -->\n";
static char *file_text(const char *path) {
  FILE  *f = fopen(path, "r");
  size_t room = 1 << 20;
  char  *text = malloc(room);
  if (!f || !text) work_fail("cannot read %s", path);
  text[fread(text, 1, room - 1, f)] = 0;
  fclose(f);
  return text;
}
/* Does `path` hold the tables between its marks?  `write`: makes it so. */
static bool manual_holds(const char *path, bool write) {
  char  *made = NULL, *text = file_text(path);
  size_t size;
  FILE  *out = open_memstream(&made, &size);
  put_tables(out);
  fclose(out);
  char *from = strstr(text, opens), *to = from ? strstr(from, closes) : NULL;
  if (!to) work_fail("%s has no place for the tables", path);
  from += strlen(opens);
  bool same = (size_t)(to - from) == size && memcmp(from, made, size) == 0;
  if (!same && write) {
    FILE *f = fopen(path, "w");
    if (!f) work_fail("cannot write %s", path);
    fprintf(f, "%.*s%s%s", (int)(from - text), text, made, to);
    fclose(f);
    printf("%s is written\n", path);
  } else if (!same) {
    fprintf(stderr, "the tables of %s are not those of this run: see --write\n", path);
  }
  free(text);
  free(made);
  return same || write;
}

int main(int argc, char **argv) {
  const char *only = NULL, *manual = NULL;
  bool  cells = false, write = false;
  int   wrong = 0;
  Tally all = {0};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--cells") == 0) cells = true;
    else if (strcmp(argv[i], "--family") == 0 && i + 1 < argc) only = argv[++i];
    else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) seed = atoi(argv[++i]);
    else if (strcmp(argv[i], "--write") == 0) write = true;
    else manual = argv[i];
  }
  size_t bytes = sizeof *results * FAMILIES;
  results = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (results == MAP_FAILED || nfamilies > FAMILIES || nestimators > ESTIMATORS || nobjectives > OBJECTIVES) work_fail("no room for the matrix");
  long workers = sysconf(_SC_NPROCESSORS_ONLN), busy = 0;
  fflush(NULL);
  for (int i = 0; i < nfamilies || busy; ) {                /* a process for each family */
    int status;
    if (i < nfamilies && only && strcmp(families[i].name, only) != 0) i++;
    else if (i < nfamilies && (busy < workers || busy == 0)) {
      if (fork() == 0) {
        run_family(i);
        _exit(0);
      }
      i++, busy++;
    } else if (wait(&status) > 0) busy--, wrong += status != 0;
    else break;
  }
  printf("%-24s", "family");
  for (int e = 0; e < nestimators; e++) printf(" %9.9s", estimators[e].name);
  printf("\n");
  for (int i = 0; i < nfamilies; i++) {
    if (only && strcmp(families[i].name, only) != 0) continue;
    wrong += judge(i, stderr);
    for (int e = 0; e < nestimators; e++)
      for (int o = 0; o < nobjectives; o++) tally(&all, &results[i][e][o]);
    print_family(i);
    if (cells) print_cells(i);
  }
  printf("%d cells agree, %d are biased, %d are refused, %d are wrong, %d were not run\n", all.n[AGREES], all.n[IS_BIASED], all.n[IS_REFUSED], all.n[WRONG], all.n[NOT_RUN]);
  if (manual && !only && !manual_holds(manual, write)) wrong++;
  return wrong != 0;
}
