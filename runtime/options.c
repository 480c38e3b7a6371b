/* The command line, read by the table in options.def.
 *
 * Long options as --name value or --name=value, short ones as -x value or -xvalue; `--` ends them.  What is unknown is told
 * with the nearest name, or with the command that has it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "trainer.h"

typedef struct { const char *name; char letter; const char *argument; OptionKind kind; const char *fallback, *help; } OptionRow;
static const OptionRow rows[OPT_COUNT] = {
#define OPTION(id, name, letter, argument, kind, fallback, help) [OPT_##id] = { name, letter, argument, kind, fallback, help },
#include "options.def"
#undef OPTION
};

const char *option_name(OptionId id) { return rows[id].name; }

static void text_put(char text[64], const char *s) { snprintf(text, 64, "%s", s ? s : ""); }

void option_fallback(const SviModel *m, OptionId id, char text[64]) {
  text_put(text, rows[id].fallback);
  if (id == OPT_epochs && m->train.epochs > 0) snprintf(text, 64, "%.17g", m->train.epochs);
  if (id == OPT_batch  && m->train.batch  > 0) snprintf(text, 64, "%d", (int)m->train.batch);
  if (id == OPT_batch  && m->train.batch == 0) text_put(text, "all");
  if (id == OPT_lr     && m->train.optimizer.lr.n == 1) snprintf(text, 64, "%g", m->train.optimizer.lr.value[0]);
  if (id == OPT_lr     && m->train.optimizer.lr.n >  1) snprintf(text, 64, "%g ... %g, by schedule", m->train.optimizer.lr.value[0], m->train.optimizer.lr.value[m->train.optimizer.lr.n - 1]);
  if (id == OPT_k) for (int a = 0; a < m->naxis; a++)
    if (m->axis[a].kind == 1 && (text[0] == 0 || m->axis[a].fallback > strtoull(text, NULL, 10))) snprintf(text, 64, "%llu", (unsigned long long)m->axis[a].fallback);
}

void options_help(const SviModel *m, const Command *c, FILE *out) {
  const char *program = strrchr(m->name, '/') ? strrchr(m->name, '/') + 1 : m->name;
  fprintf(out, "%s %s%s%s: %s\n\n", program, c->name, c->takes ? " [options]" : "", c->words ? c->words : "", c->help);
  for (int i = 0; i < OPT_COUNT; i++) {
    if (!(c->takes >> i & 1)) continue;
    char left[64], fallback[64];
    const OptionRow *r = &rows[i];
    const char *gap = r->argument && r->argument[0] != '[' ? " " : "";
    if (r->letter) snprintf(left, sizeof left, "-%c, --%s%s%s", r->letter, r->name, gap, r->argument ? r->argument : "");
    else           snprintf(left, sizeof left, "    --%s%s%s", r->name, gap, r->argument ? r->argument : "");
    option_fallback(m, (OptionId)i, fallback);
    if (i == OPT_count) snprintf(fallback, sizeof fallback, "%u", c->count);
    fprintf(out, "  %-28s %s%s%s%s\n", left, r->help, fallback[0] ? " [" : "", fallback, fallback[0] ? "]" : "");
  }
  if (c->takes & TAKES(set) && m->noption > 0) {
    fputs("\noptions of the model (--set NAME=VALUE):\n", out);
    for (int i = 0; i < m->noption; i++) {
      const SviSchedule *s = &m->option[i].schedule;
      if (s->n == 1) fprintf(out, "  %-28s [%g]\n", m->option[i].name, s->value[0]);
      else if (s->n > 1) fprintf(out, "  %-28s [%g ... %g over %g %s]\n", m->option[i].name, s->value[0], s->value[s->n - 1], s->at[s->n - 1], s->unit == SVI_EPOCHS ? "epochs" : "steps");
    }
  }
}

/* ---- values */
static bool read_count(const char *text, double *out) {
  char *end;
  errno = 0;
  double x = strtod(text, &end);
  if (end == text || errno) return false;
  if (*end == 'k') { x *= 1e3; end++; }
  else if (*end == 'm') { x *= 1e6; end++; }
  *out = x;
  return *end == 0 && x == floor(x) && x >= 0 && x <= 9007199254740992.0;
}

static bool read_every(const char *text, double *out, char *unit) {
  char *end;
  double x = strtod(text, &end);
  if (end == text || !(x > 0) || !isfinite(x)) return false;
  if (strcmp(end, "") == 0 || strcmp(end, "st") == 0) *unit = 'n';
  else if (strcmp(end, "ep") == 0) *unit = 'e';
  else if (strcmp(end, "s")  == 0) *unit = 's';
  else if (strcmp(end, "m")  == 0) { *unit = 's'; x *= 60; }
  else if (strcmp(end, "h")  == 0) { *unit = 's'; x *= 3600; }
  else return false;
  *out = x;
  return true;
}

static int option_take(OptionId id, const char *text, Options *out) {
  OptionValue *v = &out->at[id];
  const OptionRow *r = &rows[id];
  v->given = true;
  v->text  = text;
  switch (r->kind) {
  case TAKES_NOTHING: case TAKES_TEXT: case TAKES_MAYBE: return EXIT_OK;
  case TAKES_MANY:
    if (v->n == OPTION_MANY) { complain("--%s is given more than %d times", r->name, OPTION_MANY); return EXIT_USAGE; }
    v->many[v->n++] = text;
    return EXIT_OK;
  case TAKES_COUNT:
    if (read_count(text, &v->number) && (v->number > 0 || id == OPT_seed || id == OPT_steps || id == OPT_first)) return EXIT_OK;
    complain("--%s needs a whole number%s, not `%s`", r->name, id == OPT_seed || id == OPT_first ? " from 0" : " from 1", text);
    return EXIT_USAGE;
  case TAKES_REAL: {
    char *end;
    v->number = strtod(text, &end);
    if (end != text && *end == 0 && v->number >= 0 && isfinite(v->number)) return EXIT_OK;
    complain("--%s needs a number from 0, not `%s`", r->name, text);
    return EXIT_USAGE;
  }
  case TAKES_EVERY:
    if (read_every(text, &v->number, &v->unit)) return EXIT_OK;
    complain("--%s needs a length such as 500 (steps), 5ep (epochs), 60s or 10m, not `%s`", r->name, text);
    return EXIT_USAGE;
  }
  return EXIT_USAGE;
}

static int option_unknown(const Command *c, const char *dashes, const char *name) {
  const char *names[OPT_COUNT];
  size_t n = 0;
  for (int i = 0; i < OPT_COUNT; i++) {
    if (c->takes >> i & 1) names[n++] = rows[i].name;
    else if (strcmp(rows[i].name, name) == 0) {
      char has[200] = "";
      size_t at = 0;
      for (size_t k = 0; k < ncommands; k++)
        if (commands[k].takes >> i & 1 && at < sizeof has) at += (size_t)snprintf(has + at, sizeof has - at, "%s%s", at ? ", " : "", commands[k].name);
      complain("%s takes no --%s (it is an option of %s)", c->name, name, has);
      return EXIT_USAGE;
    }
  }
  const char *near = text_nearest(name, names, n);
  if (near) complain("%s takes no %s%s; did you mean --%s?", c->name, dashes, name, near);
  else complain("%s takes no %s%s; `%s --help` lists what it takes", c->name, dashes, name, c->name);
  return EXIT_USAGE;
}

static int option_by_name(const Command *c, const char *name, size_t length) {
  for (int i = 0; i < OPT_COUNT; i++)
    if (c->takes >> i & 1 && strlen(rows[i].name) == length && strncmp(rows[i].name, name, length) == 0) return i;
  return -1;
}

static int option_by_letter(const Command *c, char letter) {
  for (int i = 0; i < OPT_COUNT; i++) if (c->takes >> i & 1 && rows[i].letter == letter) return i;
  return -1;
}

int options_read(const SviModel *m, const Command *c, int argc, char **argv, Options *out) {
  (void)m;
  *out = (Options){0};
  bool ended = false;
  for (int i = 0; i < argc; i++) {
    const char *word = argv[i], *value = NULL;
    int id;
    if (ended || word[0] != '-' || word[1] == 0) {
      if (c->words && out->nword < OPTION_MANY) { out->word[out->nword++] = word; continue; }
      complain("%s: what is `%s` for? (a data file is given as --data %s)", c->name, word, word);
      return EXIT_USAGE;
    }
    if (strcmp(word, "--") == 0) { ended = true; continue; }
    if (word[1] == '-') {
      const char *equal = strchr(word, '=');
      size_t length = equal ? (size_t)(equal - word - 2) : strlen(word + 2);
      id = option_by_name(c, word + 2, length);
      char name[64];
      snprintf(name, sizeof name, "%.*s", (int)length, word + 2);
      if (id < 0) return option_unknown(c, "--", name);
      value = equal ? equal + 1 : NULL;
    } else {
      char name[2] = { word[1], 0 };
      id = option_by_letter(c, word[1]);
      if (id < 0) return option_unknown(c, "-", name);
      value = word[2] ? word + 2 : NULL;
    }
    OptionKind kind = rows[id].kind;
    if (kind == TAKES_NOTHING && value) { complain("--%s takes no value", rows[id].name); return EXIT_USAGE; }
    if (kind != TAKES_NOTHING && kind != TAKES_MAYBE && !value) {
      if (i + 1 >= argc) { complain("--%s needs %s", rows[id].name, rows[id].argument); return EXIT_USAGE; }
      value = argv[++i];
    }
    int code = option_take((OptionId)id, value, out);
    if (code != EXIT_OK) return code;
    SviError e;
    if (id == OPT_to && !svi_file_named(value, &e)) { complain("--to %s", e.text); return EXIT_USAGE; }      /* before the work, not after it */
  }
  return EXIT_OK;
}

bool options_set(const SviModel *m, const Options *o, double *value, bool *set, SviError *e) {
  const OptionValue *v = &o->at[OPT_set];
  for (int i = 0; i < v->n; i++) {
    const char *equal = strchr(v->many[i], '=');
    if (!equal) return error_set(e, "--set needs NAME=VALUE, not `%s`", v->many[i]);
    char name[128], *end;
    snprintf(name, sizeof name, "%.*s", (int)(equal - v->many[i]), v->many[i]);
    double x = strtod(equal + 1, &end);
    if (end == equal + 1 || *end || !isfinite(x)) return error_set(e, "--set %s needs a number, not `%s`", name, equal + 1);
    int found = -1;
    const char *names[256];
    size_t n = 0;
    for (int k = 0; k < m->noption; k++) {
      if (strcmp(m->option[k].name, name) == 0) found = k;
      if (n < LENGTH(names)) names[n++] = m->option[k].name;
    }
    if (found < 0) {
      const char *near = text_nearest(name, names, n);
      if (near) return error_set(e, "the model has no option `%s`; did you mean `%s`?", name, near);
      return error_set(e, m->noption ? "the model has no option `%s`; `train --help` lists them" : "the model has no option `%s`; it declares none", name);
    }
    value[found] = x;
    set[found] = true;
  }
  return true;
}
