/* See work.h. */
#include "work.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
enum { WORDS = 96, KEEP = 4096 };

void (*work_on_fail)(const char *text);
static char  folder[4096], back[4096];
static void *kept[KEEP];                /* freed by work_end */
static cJSON *kept_json[KEEP];
static int   nkept, nkept_json;

void work_fail(const char *format, ...) {
  static char text[8000];
  va_list v;
  va_start(v, format);
  vsnprintf(text, sizeof text, format, v);
  va_end(v);
  if (work_on_fail) work_on_fail(text);
  fprintf(stderr, "%s\n", text);
  work_end();
  exit(1);
}

static void *keep(void *p) {
  if (!p || nkept == KEEP) work_fail("out of memory, or of places in work.c");
  return kept[nkept++] = p;
}

void work_begin(const char *name) {
  const char *tmp = getenv("TMPDIR");
  if (!getcwd(back, sizeof back)) work_fail("getcwd: %s", strerror(errno));
  snprintf(folder, sizeof folder, "%s/svic-%s-XXXXXX", tmp ? tmp : "/tmp", name);
  if (!mkdtemp(folder) || chdir(folder) != 0) work_fail("%s: %s", folder, strerror(errno));
}

void work_end(void) {
  char command[4200];
  for (int i = 0; i < nkept; i++) free(kept[i]);
  for (int i = 0; i < nkept_json; i++) cJSON_Delete(kept_json[i]);
  nkept = nkept_json = 0;
  if (!folder[0]) return;
  if (chdir(back) != 0) perror(back);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  if (getenv("SVIC_KEEP")) fprintf(stderr, "%s is kept\n", folder);
  else if (system(command)) fprintf(stderr, "%s is left\n", folder);
  folder[0] = 0;
}

static char *slurp(const char *path) {
  FILE *f = fopen(path, "rb");
  size_t room = 1 << 16, n = 0, got;
  char *text = malloc(room + 1);
  while (f && text && (got = fread(text + n, 1, room - n, f)) > 0)
    if ((n += got) == room) text = realloc(text, (room *= 2) + 1);
  if (!text) work_fail("out of memory");
  text[n] = 0;
  if (f) fclose(f);
  return keep(text);
}

static Ran run_line(const char *line) {
  char *text = keep(strdup(line)), *word[WORDS + 1];
  int   n = 0, status;
  for (char *at = text; *at; ) {
    while (*at == ' ') at++;
    if (!*at) break;
    if (n == WORDS) work_fail("too many words: %s", line);
    char end = *at == '\'' ? *at++ : ' ';
    word[n++] = at;
    at = strchr(at, end) ? strchr(at, end) : at + strlen(at);
    if (*at) *at++ = 0;
  }
  word[n] = NULL;
  posix_spawn_file_actions_t a;
  posix_spawn_file_actions_init(&a);
  posix_spawn_file_actions_addopen(&a, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&a, 1, "said.out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&a, 2, "said.err", O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child;
  int error = posix_spawnp(&child, word[0], &a, NULL, word, environ);
  posix_spawn_file_actions_destroy(&a);
  if (error) work_fail("%s: %s", word[0], strerror(error));
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  Ran r = {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
  r.out = slurp("said.out");
  r.err = slurp("said.err");
  return r;
}

Ran work_try(const char *format, ...) {
  char line[8000];
  va_list v;
  va_start(v, format);
  vsnprintf(line, sizeof line, format, v);
  va_end(v);
  return run_line(line);
}

Ran work_run(const char *format, ...) {
  char line[8000];
  va_list v;
  va_start(v, format);
  vsnprintf(line, sizeof line, format, v);
  va_end(v);
  Ran r = run_line(line);
  if (r.code != 0) work_fail("%s: status %d\n%s%s", line, r.code, r.out, r.err);
  return r;
}

void work_compile(const char *name, const char *out, const char *options) {
  work_run("%s %s/%s.svm -o %s %s", SVIC, MODELS, name, out, options);
}

cJSON *work_eval(const char *arguments) {
  Ran r = work_run("%s", arguments);
  cJSON *j = cJSON_Parse(r.out);
  if (!j || nkept_json == KEEP) work_fail("%s: not JSON: %s", arguments, r.out);
  return kept_json[nkept_json++] = j;
}

Report report_of(const cJSON *eval, const char *name) {
  const cJSON *r = cJSON_GetObjectItemCaseSensitive(eval, name);
  const cJSON *value = cJSON_GetObjectItem(r, "value"), *se = cJSON_GetObjectItem(r, "se"), *n = cJSON_GetObjectItem(r, "n");
  if (!cJSON_IsNumber(value)) work_fail("report `%s` has no value", name);
  return (Report){value->valuedouble, cJSON_IsNumber(se) ? se->valuedouble : 0, cJSON_IsNumber(n) ? (uint64_t)n->valuedouble : 0};
}

static const SviArray *find(const char *path, const char *array, SviFile *f) {
  SviError e;
  if (!svi_file_open(path, f, &e)) work_fail("%s", e.text);
  return svi_file_find(f, array);
}

Numbers work_read(const char *path, const char *array) {
  SviFile f;
  const SviArray *a = find(path, array, &f);
  if (!a) work_fail("%s has no array `%s`", path, array);
  Numbers x = {.n = svi_array_count(a)};
  x.at = keep(malloc((x.n + 1) * sizeof *x.at));
  for (uint64_t i = 0; i < x.n; i++) x.at[i] = svi_array_get(a, i);
  svi_file_close(&f);
  return x;
}

bool work_has(const char *path, const char *array) {
  SviFile f;
  bool has = find(path, array, &f) != NULL;
  svi_file_close(&f);
  return has;
}

void data_put(const char *path, const SviArray *a, size_t n) {
  SviError e;
  if (!svi_npz_write(path, a, n, &e)) work_fail("%s", e.text);
}

bool work_has_file(const char *path) { return access(path, R_OK) == 0; }
