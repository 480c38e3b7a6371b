/* svic: command line.  `svic model.svm -o model` compiles; the other words are in commands[] below. */
#include "pipeline.h"
#include "types/value.h"
#include "../runtime/data/data.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct { char letter; const char *name, *argument, *help; } Flag;
static const Flag flags[] = {
  {'o', "output",      "FILE",        "the executable, or what --emit writes (default: the model's name; --emit: standard output)"},
  {'D', NULL,          "NAME=VALUE",  "sets a const of the model: -D K=30, -D 'width=[64, 32]'"},
  {'I', NULL,          "DIR",         "looks for imported modules in DIR too"},
  {'O', NULL,          "LEVEL",       "optimisation, 0 to 3 (default 2)"},
  {0,   "emit",        "STAGE",       "prints the program after a stage instead of linking (stages below)"},
  {0,   "after",       "STAGE",       "prints it after a stage to standard error, and goes on"},
  {0,   "skip",        "STAGE",       "leaves an optional stage out (llvm)"},
  {0,   "trace",       NULL,          "milliseconds and size of each stage"},
  {0,   "precision",   "f32|f64",     "numbers of the trainer (default f32)"},
  {0,   "cpu",         "NAME",        "target processor: native (default), x86-64-v3, ..."},
  {0,   "runtime",     "DIR",         "folder of libsvirt.a and link.txt (default: as built or installed)"},
  {0,   "diagnostics", "text|json",   "form of messages (default text)"},
  {0,   "color",       "auto|always|never", "colour of messages (default auto: on a terminal; NO_COLOR is obeyed)"},
  {0,   "no-verify",   NULL,          "does not check the program between stages"},
  {'h', "help",        NULL,          "this text"},
  {'V', "version",     NULL,          "version"},
};

typedef struct { const char *name; int (*run)(int argc, char **argv); const char *help; } Command;
static int command_compile(int argc, char **argv);
static int command_info   (int argc, char **argv);
static int command_check  (int argc, char **argv);
static int command_explain(int argc, char **argv);
static int command_doc    (int argc, char **argv);
static int command_pack   (int argc, char **argv);
static const Command commands[] = {
  {"info",    command_info,    "info MODEL [--json]: sites, plates, shapes, supports, parameters, estimators, work and memory of a step"},
  {"check",   command_check,   "check MODEL: messages only"},
  {"explain", command_explain, "explain CODE: what a message means (explain E0301)"},
  {"doc",     command_doc,     "doc: built-in functions and the library's distributions"},
  {"pack",    command_pack,    "pack OUT [NAME=]FILE...: one data file, .npz, .csv or .safetensors, out of npy, npz, csv and idx files"},
};

static void print_help(FILE *out) {
  fputs("usage: svic [options] MODEL.svm -o MODEL     compiles a model to a trainer\n"
        "       svic COMMAND ...\n\ncommands\n", out);
  for (size_t i = 0; i < LEN(commands); i++) fprintf(out, "  %s\n", commands[i].help);
  fputs("\noptions\n", out);
  for (size_t i = 0; i < LEN(flags); i++) {
    char left[48] = "";
    size_t n = 0;
    if (flags[i].letter) n += (size_t)snprintf(left + n, sizeof left - n, "-%c", flags[i].letter);
    if (flags[i].name) n += (size_t)snprintf(left + n, sizeof left - n, "%s--%s", n ? ", " : "", flags[i].name);
    if (flags[i].argument) snprintf(left + n, sizeof left - n, " %s", flags[i].argument);
    fprintf(out, "  %-34s %s\n", left, flags[i].help);
  }
  fputs("\nstages, in order (for --emit and --after)\n", out);
  pipeline_table(out);
}

typedef struct { Options o; const char *color; bool json_messages; } Parsed;
static int usage(const char *format, const char *what) {
  fputs("svic: error: ", stderr);
  fprintf(stderr, format, what);
  fputs("\ntry svic --help\n", stderr);
  return 2;
}

/* -1: go on; otherwise the exit status. */
static int parse_options(int argc, char **argv, Parsed *p) {
  Options *o = &p->o;
  for (int i = 1; i < argc; i++) {
    char *a = argv[i];
    if (a[0] != '-' || strcmp(a, "-") == 0) {
      if (o->input) return usage("one model at a time: `%s` is a second", a);
      o->input = a;
      continue;
    }
    const Flag *flag = NULL;
    const char *value = NULL;
    if (a[1] == '-') {
      char *eq = strchr(a, '=');
      size_t n = eq ? (size_t)(eq - a) - 2 : strlen(a) - 2;
      for (size_t k = 0; k < LEN(flags); k++)
        if (flags[k].name && strlen(flags[k].name) == n && strncmp(flags[k].name, a + 2, n) == 0) flag = &flags[k];
      if (!flag && strcmp(a, "--json") == 0) { o->json = true; continue; }
      if (!flag) {
        Name names[LEN(flags)];
        size_t count = 0;
        for (size_t k = 0; k < LEN(flags); k++) if (flags[k].name) names[count++] = name_of(flags[k].name);
        Name near = name_nearest(name_of_n(a + 2, n), names, count);
        return usage(near ? name_printf("there is no option %%s; did you mean --%s?", near) : "there is no option %s", a);
      }
      if (eq) value = eq + 1;
      if (eq && !flag->argument) return usage("%s takes no value", a);
    } else {
      for (size_t k = 0; k < LEN(flags); k++) if (flags[k].letter == a[1]) flag = &flags[k];
      if (!flag) return usage("there is no option %s", a);
      if (a[2]) value = a + 2;
      if (value && !flag->argument) return usage("there is no option %s", a);
    }
    if (flag->argument && !value) {
      if (i + 1 >= argc) return usage("%s needs a value", a);
      value = argv[++i];
    }
    const char *name = flag->name ? flag->name : "";
    if (flag->letter == 'o') o->output = value;
    else if (flag->letter == 'D') {
      const char *eq = strchr(value, '=');
      if (!eq || eq == value) return usage("-D wants NAME=VALUE, not `%s`", value);
      if (o->ndefine == LEN(o->define)) return usage("too many -D: `%s`", value);
      o->define[o->ndefine++] = (Define){name_of_n(value, (size_t)(eq - value)), eq + 1};
    } else if (flag->letter == 'I') {
      if (o->nsearch == LEN(o->search)) return usage("too many -I: `%s`", value);
      o->search[o->nsearch++] = value;
    } else if (flag->letter == 'O') {
      if (strlen(value) != 1 || *value < '0' || *value > '3') return usage("-O wants 0 to 3, not `%s`", value);
      o->llvm.level = *value - '0';
    } else if (strcmp(name, "emit") == 0 || strcmp(name, "after") == 0) {
      if (!pipeline_has_stage(value)) return usage("there is no stage `%s`", value);
      *(strcmp(name, "emit") == 0 ? &o->emit : &o->after) = value;
    } else if (strcmp(name, "skip") == 0) {
      if (strcmp(value, "llvm") != 0) return usage("only llvm may be skipped, not `%s`", value);
      o->skip[0] = value, o->nskip = 1;
    } else if (strcmp(name, "trace") == 0) o->trace = true;
    else if (strcmp(name, "precision") == 0) {
      if (strcmp(value, "f32") != 0 && strcmp(value, "f64") != 0) return usage("--precision wants f32 or f64, not `%s`", value);
      o->f64 = strcmp(value, "f64") == 0;
    } else if (strcmp(name, "cpu") == 0) o->llvm.cpu = strcmp(value, "native") == 0 ? NULL : value;
    else if (strcmp(name, "runtime") == 0) o->runtime_dir = value;
    else if (strcmp(name, "diagnostics") == 0) {
      if (strcmp(value, "text") != 0 && strcmp(value, "json") != 0) return usage("--diagnostics wants text or json, not `%s`", value);
      p->json_messages = strcmp(value, "json") == 0;
    } else if (strcmp(name, "color") == 0) {
      if (strcmp(value, "auto") != 0 && strcmp(value, "always") != 0 && strcmp(value, "never") != 0) return usage("--color wants auto, always or never, not `%s`", value);
      p->color = value;
    } else if (strcmp(name, "no-verify") == 0) o->verify = o->llvm.verify = false;
    else if (flag->letter == 'h') { print_help(stdout); return 0; }
    else if (flag->letter == 'V') { puts("svic " SVIC_VERSION); return 0; }
  }
  if (!o->input) return usage("%s", "no model given");
  return -1;
}

static int compile(Parsed *p) {
  Options *o = &p->o;
  if (!o->runtime_dir) {                       /* beside the compiler as built, or where it was installed */
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
      self[n] = 0;
      *strrchr(self, '/') = 0;
      o->runtime_dir = access(name_printf("%s/libsvirt.a", self), R_OK) == 0 ? name_printf("%s", self) : name_printf("%s/../lib/svic", self);
    }
  }
  if (!o->emit && !o->output && strcmp(o->input, "-") != 0) {
    const char *base = strrchr(o->input, '/') ? strrchr(o->input, '/') + 1 : o->input;
    const char *dot = strrchr(base, '.');
    if (!dot || dot == base) return usage("say where the executable goes: -o FILE (the model is `%s`)", o->input);
    o->output = name_of_n(base, (size_t)(dot - base));
  }
  if (!o->emit && !o->output && !o->info) return usage("%s", "a model from standard input needs -o FILE");
  struct stat at;
  if (o->output && stat(o->output, &at) == 0 && S_ISDIR(at.st_mode)) return usage("the output %s is a folder: say -o FILE", o->output);
  if (o->output && strcmp(o->output, o->input) == 0) return usage("the output would overwrite the model: -o %s", o->output);
  Compile c = {.options = o, .arena = arena_new()};
  c.sources = sources_new(c.arena);
  c.diag = diag_new(c.arena, c.sources);
  bool good = pipeline_run(&c);
  bool colour = strcmp(p->color, "always") == 0 || (strcmp(p->color, "auto") == 0 && isatty(2) && !getenv("NO_COLOR"));
  diag_print(c.diag, stderr, p->json_messages ? DIAG_JSON : DIAG_TEXT, colour);
  if (fflush(stdout) != 0) { perror("svic: error: cannot write"); good = false; }
  if (c.module) llvm_free(c.module);
  arena_free(c.arena);
  return good ? 0 : 1;
}

static Parsed defaults(void) { return (Parsed){.o = {.verify = true, .llvm = {.level = 2, .debug_lines = true, .verify = true}}, .color = "auto"}; }
static int command_compile(int argc, char **argv) {
  Parsed p = defaults();
  int status = parse_options(argc, argv, &p);
  return status >= 0 ? status : compile(&p);
}
static int command_info(int argc, char **argv) {
  Parsed p = defaults();
  p.o.info = true;
  int status = parse_options(argc, argv, &p);
  return status >= 0 ? status : compile(&p);
}
static int command_check(int argc, char **argv) {
  Parsed p = defaults();
  int status = parse_options(argc, argv, &p);
  if (status >= 0) return status;
  p.o.emit = "loops", p.o.output = "/dev/null";
  return compile(&p);
}
static int command_explain(int argc, char **argv) {
  if (argc != 2) return usage("%s", "explain wants one code: svic explain E0301");
  if (diag_explain(argv[1], stdout)) return 0;
  return usage("there is no message %s", argv[1]);
}
static int command_doc(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--check") == 0) {
    Arena *arena = arena_new();
    Sources *sources = sources_new(arena);
    Diag *diag = diag_new(arena, sources);
    uint32_t dists, lines;
    types_check_library(arena, diag, sources, &dists, &lines);
    diag_print(diag, stderr, DIAG_TEXT, false);
    bool good = diag_errors(diag) == 0;
    printf("%u distributions, %u check lines: %s\n", dists, lines, good ? "all hold" : "some do not hold");
    arena_free(arena);
    return good ? 0 : 1;
  }
  puts("built-in functions");
  builtin_names(stdout);
  puts("\nlibrary (import nn; the others are in scope)");
  library_names(stdout);
  return 0;
}
static int command_pack(int argc, char **argv) {
  for (const SviDataCommand *d = svi_data_commands; d->name; d++)
    if (strcmp(d->name, "pack") == 0) return d->run(argc - 1, argv + 1);
  return 2;
}

int main(int argc, char **argv) {
  if (argc == 1) { print_help(stderr); return 2; }
  for (size_t i = 0; i < LEN(commands); i++)
    if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
  return command_compile(argc, argv);
}
