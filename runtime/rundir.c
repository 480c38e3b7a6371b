/* The run directory: what was asked (config.json), where it ran (env.json), the model's text, and a line of metrics.jsonl for
 * every progress line.  Checkpoints are beside them, see checkpoint.c. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "trainer.h"

static bool folder_make(const char *path, SviError *e) {
  char part[3000];
  snprintf(part, sizeof part, "%s", path);
  for (char *s = part + 1; ; s++) {
    if (*s != '/' && *s) continue;
    char keep = *s;
    *s = 0;
    struct stat st;
    if (mkdir(part, 0777) != 0 && !(errno == EEXIST && stat(part, &st) == 0 && S_ISDIR(st.st_mode)))
      return error_set(e, "cannot make the run directory %s: %s (--out DIR for another, --no-save for none)", part, strerror(errno == EEXIST ? ENOTDIR : errno));
    *s = keep;
    if (!keep) return true;
  }
}

/* Removes what killed processes left: .svi-PID-NUMBER.tmp whose process is gone. */
static void folder_tidy(const char *folder) {
  DIR *d = opendir(folder);
  if (!d) return;
  for (struct dirent *f; (f = readdir(d)); ) {
    long pid;
    int  end = 0;
    if (sscanf(f->d_name, ".svi-%ld-%*d.tmp%n", &pid, &end) != 1 || end == 0 || f->d_name[end]) continue;
    if (kill((pid_t)pid, 0) == 0 || errno != ESRCH) continue;
    char path[4096];
    path_join(path, sizeof path, folder, f->d_name);
    unlink(path);
  }
  closedir(d);
}

/* Opens a small file of the folder; it is closed by file_close, which says whether everything was written. */
static FILE *file_open(RunDir *r, const char *name, char path[4096], SviError *e) {
  path_join(path, 4096, r->folder, name);
  FILE *f = fopen(path, "w");
  if (!f) error_set(e, "cannot write %s: %s", path, strerror(errno));
  return f;
}

static bool file_close(FILE *f, const char *path, SviError *e) {
  bool bad = ferror(f) != 0;
  int  code = errno;
  if (fclose(f) != 0) { bad = true; code = errno; }
  return !bad || error_set(e, "cannot write %s: %s", path, strerror(code));
}

static void env_write(FILE *f, const SviModel *m, unsigned threads) {
  struct utsname u;
  char line[300], cpu[200] = "";
  FILE *info = fopen("/proc/cpuinfo", "r");
  while (info && fgets(line, sizeof line, info)) {
    char *at = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
    if (!at) continue;
    snprintf(cpu, sizeof cpu, "%s", at + 2);
    cpu[strcspn(cpu, "\n")] = 0;
    break;
  }
  if (info) fclose(info);
  fputs("{\"svic\": ", f);
  json_text(f, m->version ? m->version : "");
  fputs(", \"system\": ", f);
  char *system = uname(&u) == 0 ? text_new("%s %s %s", u.sysname, u.release, u.machine) : text_new("?");
  json_text(f, system);
  free(system);
  fputs(", \"cpu\": ", f);
  json_text(f, cpu);
  fprintf(f, ", \"processors\": %ld, \"threads\": %u, \"real_bytes\": %u}\n", sysconf(_SC_NPROCESSORS_ONLN), threads, m->real_bytes);
}

bool rundir_open(RunDir *r, const SviModel *m, const char *folder, bool resume, uint64_t step, SviError *e) {
  char path[4096];
  *r = (RunDir){0};
  if (strlen(folder) >= sizeof r->folder) return error_set(e, "the name of the run directory is too long");
  snprintf(r->folder, sizeof r->folder, "%s", folder[0] ? folder : ".");
  if (!folder_make(r->folder, e)) return false;
  if (access(r->folder, W_OK | X_OK) != 0) return error_set(e, "cannot write into the run directory %s: %s (--out DIR for another, --no-save for none)", r->folder, strerror(errno));
  folder_tidy(r->folder);
  FILE *f = file_open(r, "model.svm", path, e);
  if (!f) return false;
  if (m->source) fputs(m->source, f);
  if (!file_close(f, path, e)) return false;
  /* A resumed run goes on in the same metrics: lines after the checkpoint's step are of steps that will be done again. */
  path_join(path, sizeof path, r->folder, "metrics.jsonl");
  if (resume) {
    FILE *old = fopen(path, "r+");
    char *line = NULL;
    size_t room = 0;
    off_t  keep = 0;
    while (old && getline(&line, &room, old) > 0) {
      char *at = strstr(line, "\"step\": ");
      if (!at || strtoull(at + 8, NULL, 10) > step) break;
      keep = ftello(old);
    }
    free(line);
    if (old && (fflush(old) != 0 || ftruncate(fileno(old), keep) != 0)) note("note: cannot shorten %s", path);
    if (old) fclose(old);
  }
  r->metrics = fopen(path, resume ? "a" : "w");
  if (!r->metrics) return error_set(e, "cannot write %s: %s", path, strerror(errno));
  return true;
}

static const char *value_source(const SviModel *m, const Options *o, OptionId id, char text[64]) {
  option_fallback(m, id, text);
  if (o->at[id].given) return "flag";
  bool model = (id == OPT_epochs && m->train.epochs > 0) || (id == OPT_batch && m->train.batch > 0) || id == OPT_lr || id == OPT_k;
  return model && text[0] ? "model" : "default";
}

bool rundir_config(RunDir *r, const SviModel *m, const Command *c, const Options *o, const State *s, unsigned threads, SviError *e) {
  char path[4096], text[64];
  FILE *f = file_open(r, "config.json", path, e);
  if (!f) return false;
  fputs("{\n  \"v\": 1,\n  \"model\": ", f);
  json_text(f, m->name);
  fputs(",\n  \"hash\": ", f);
  json_text(f, m->hash ? m->hash : "");
  fprintf(f, ",\n  \"command\": \"%s\",\n  \"options\": {", c->name);
  bool first = true;
  for (int i = 0; i < OPT_COUNT; i++) {
    if (!(c->takes >> i & 1) || i == OPT_set) continue;
    const OptionValue *v = &o->at[i];
    const char *source = value_source(m, o, (OptionId)i, text);
    fprintf(f, "%s\n    \"%s\": {\"value\": ", first ? "" : ",", option_name((OptionId)i));
    first = false;
    bool kept = s->step > 0 && !v->given && (i == OPT_batch || i == OPT_seed);       /* of the checkpoint that is resumed */
    if (i == OPT_batch)     fprintf(f, "%llu", (unsigned long long)s->batch);
    else if (i == OPT_seed) fprintf(f, "%llu", (unsigned long long)s->seed);
    else if (v->n > 0) {
      for (int k = 0; k < v->n; k++) { fputs(k ? ", " : "[", f); json_text(f, v->many[k]); }
      fputc(']', f);
    } else if (v->given && v->text) json_text(f, v->text);
    else if (v->given) fputs("true", f);
    else if (text[0]) json_text(f, text);
    else fputs("null", f);
    fprintf(f, ", \"source\": \"%s\"}", kept ? "checkpoint" : source);
  }
  fputs("\n  },\n  \"set\": {", f);
  for (int i = 0; i < m->noption; i++) {
    const SviSchedule *q = &m->option[i].schedule;
    fputs(i ? ",\n    " : "\n    ", f);
    json_text(f, m->option[i].name);
    fputs(": {\"value\": ", f);
    if (s->set[i]) json_number(f, s->option[i]);
    else if (q->n == 1) json_number(f, q->value[0]);
    else fputs("\"schedule\"", f);
    fprintf(f, ", \"source\": \"%s\"}", s->set[i] ? "flag" : "model");
  }
  fputs(m->noption ? "\n  }\n}\n" : "}\n}\n", f);
  if (!file_close(f, path, e)) return false;
  f = file_open(r, "env.json", path, e);
  if (!f) return false;
  env_write(f, m, threads);
  return file_close(f, path, e);
}

void rundir_line(RunDir *r, const char *json) {
  if (!r->metrics || r->broken) return;
  if (fprintf(r->metrics, "%s\n", json) >= 0 && fflush(r->metrics) == 0) return;
  r->broken = true;
  note("warning: cannot write %s/metrics.jsonl: %s; training goes on without it", r->folder, strerror(errno));
}

void rundir_close(RunDir *r) {
  if (r->metrics) fclose(r->metrics);
  r->metrics = NULL;
}
