/* The commands of a trainer: one table.  Each is run with the model that was compiled in. */
#include <signal.h>
#include <string.h>
#include "trainer.h"

#define USE     (TAKES(params) | TAKES(untrained) | TAKES(out) | TAKES(seed) | TAKES(threads) | TAKES(set) | TAKES(quiet))
#define READ    (USE | TAKES(data) | TAKES(strict) | TAKES(k) | TAKES(batch))
#define PICTURE (TAKES(png) | TAKES(shape) | TAKES(image) | TAKES(to) | TAKES(count))
#define LOOK    (READ | TAKES(rows) | TAKES(count) | TAKES(to) | TAKES(json))
#define TRAIN   (TAKES(data) | TAKES(valid) | TAKES(epochs) | TAKES(steps) | TAKES(batch) | TAKES(k) | TAKES(lr) | TAKES(seed) | TAKES(threads) | \
                 TAKES(out) | TAKES(rows) | TAKES(resume) | TAKES(params) | TAKES(set) | TAKES(save_every) | TAKES(no_save) | TAKES(print_hash) | TAKES(quiet) | TAKES(strict))

const Command commands[] = {
  /* name           run                  takes                                                                    count words bare   in one line */
  { "train",        command_train,       TRAIN,                                                                   0,    NULL, false, "fits the parameters to data" },
  { "time",         command_time,        (TRAIN | TAKES(json)) & ~(TAKES(valid) | TAKES(epochs) | TAKES(out) | TAKES(resume) | TAKES(save_every) | TAKES(no_save) | TAKES(print_hash)),
                                                                                                                  0,    NULL, false, "how long a training step takes" },
  { "eval",         command_eval,        READ | TAKES(json) | TAKES(only) | TAKES(rows) | TAKES(against),         0,    NULL, false, "measures the model's reports on data, with standard errors" },
  { "sample",       command_sample,      USE | PICTURE | TAKES(given) | TAKES(size),                              64,   NULL, false, "draws new rows from the model" },
  { "traverse",     command_traverse,    USE | PICTURE | TAKES(site) | TAKES(size),                               11,   NULL, false, "one latent goes from end to end, all else is drawn once and held" },
  { "reconstruct",  command_reconstruct, READ | PICTURE,                                                          64,   NULL, false, "rows of the data and what the model makes of them" },
  { "encode",       command_encode,      READ | TAKES(to) | TAKES(rows),                                          0,    NULL, false, "the guide's latents for each row of the data" },
  { "score",        command_score,       READ | TAKES(to) | TAKES(only) | TAKES(rows),                            0,    NULL, false, "the reports' values for each row of the data" },
  { "check-data",   command_check_data,  TAKES(data) | TAKES(strict) | TAKES(threads) | TAKES(quiet),             0,    NULL, false, "compares data with what the model declares" },
  { "grad-check",   command_grad_check,  (READ | TAKES(points) | TAKES(rows)) & ~TAKES(batch),                    0,    NULL, false, "compares gradients with finite differences of the objective" },
  { "diagnose",     command_diagnose,    LOOK & ~TAKES(k),                                                        1000, NULL, false, "is the guide good enough? effective sample size, Pareto k-hat, log p(x) of each row" },
  { "gradients",    command_gradients,   LOOK | TAKES(first),                                                     64,   NULL, false, "each step's gradient: mean, standard error, signal to noise over --count draws" },
  { "self-check",   command_self_check,  READ | TAKES(rows),                                                      0,    NULL, false, "compares generated code with the compiler's evaluator, entry by entry" },
  { "info",         command_info,        TAKES(params) | TAKES(threads) | TAKES(quiet) | TAKES(json),             0,    NULL, true,  "what the model is made of; with --params, a fingerprint of them" },
};
const size_t ncommands = LENGTH(commands);

static void main_help(const SviModel *m, FILE *out) {
  fprintf(out, "%s, a model compiled by svic %s\n\n", m->name, m->version ? m->version : "");
  for (size_t i = 0; i < ncommands; i++) fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].help);
  fputs("\nA command alone, or with --help, lists its options.\n", out);
}

static const Command *command_find(const char *name) {
  for (size_t i = 0; i < ncommands; i++) if (strcmp(commands[i].name, name) == 0) return &commands[i];
  return NULL;
}

int trainer_main(const SviModel *m, int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);      /* a full disk and a limit are errors of writing, told with the file's name */
  if (m->abi != SVI_ABI || (m->real_bytes != 4 && m->real_bytes != 8)) {
    complain("the model was compiled for another version of the runtime; compile it again");
    return EXIT_RUN;
  }
  if (argc < 2) { main_help(m, stderr); return EXIT_USAGE; }
  const char *name = argv[1];
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    const Command *c = argc > 2 ? command_find(argv[2]) : NULL;
    if (c) options_help(m, c, stdout); else main_help(m, stdout);
    return EXIT_OK;
  }
  if (strcmp(name, "--version") == 0) { printf("%s (svic %s)\n", m->name, m->version ? m->version : ""); return EXIT_OK; }
  const Command *c = command_find(name);
  if (!c) {
    const char *names[LENGTH(commands)];
    for (size_t i = 0; i < ncommands; i++) names[i] = commands[i].name;
    const char *near = text_nearest(name, names, ncommands);
    if (near) complain("there is no command `%s`; did you mean `%s`?", name, near);
    else complain("there is no command `%s`; %s --help lists them", name, argv[0]);
    return EXIT_USAGE;
  }
  for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) { options_help(m, c, stdout); return EXIT_OK; }
  if (argc == 2 && !c->bare) { options_help(m, c, stderr); return EXIT_USAGE; }
  Options o;
  int code = options_read(m, c, argc - 2, argv + 2, &o);
  if (code != EXIT_OK) return code;
  if (!o.at[OPT_count].given) o.at[OPT_count].number = c->count;
  notes_off = o.at[OPT_quiet].given;
  code = c->run(m, &o);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    complain("cannot write to stdout");
    return code == EXIT_OK ? EXIT_RUN : code;
  }
  return code;
}
