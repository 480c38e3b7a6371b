/* Every good model, spoilt in one place: each token left out, said twice, exchanged with the next, or put in another's place.
 * svic must leave with 0 or 1 within ten seconds; its messages (as JSON, one a line) lie inside the file and are under 21 errors.
 *
 *     mutate SVIC STEP MODEL.svm...     every STEPth mutant of each model (1: all)
 */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct { size_t at, end; } Token;
enum { MOST_TOKENS = 20000, MOST_OUTPUT = 1 << 20, SECONDS = 10 };

/* Names and numbers whole, everything else a byte at a time; blanks and comments go between tokens. */
static size_t tokens_of(const char *s, size_t n, Token *out) {
  size_t count = 0;
  for (size_t i = 0; i < n && count < MOST_TOKENS;) {
    unsigned char c = (unsigned char)s[i];
    if (c == '#') { while (i < n && s[i] != '\n') i++; continue; }
    if (c == ' ' || c == '\t' || c == '\r') { i++; continue; }
    size_t end = i + 1;
    if (isalnum(c) || c == '_' || c >= 0x80) while (end < n && (isalnum((unsigned char)s[end]) || s[end] == '_' || s[end] == '.' || (unsigned char)s[end] >= 0x80)) end++;
    out[count++] = (Token){i, end};
    i = end;
  }
  return count;
}

typedef struct { char *text; size_t n, cap; } Text;
static void text_add(Text *t, const char *s, size_t n) {
  if (t->n + n + 1 > t->cap) t->text = realloc(t->text, t->cap = 2 * (t->n + n + 1));
  if (!t->text) abort();
  memcpy(t->text + t->n, s, n);
  t->n += n;
  t->text[t->n] = 0;
}

static const char *wrong_place(const cJSON *place, const char *file, size_t size) {
  const cJSON *path = cJSON_GetObjectItem(place, "file");
  if (!cJSON_IsString(path) || strcmp(path->valuestring, file) != 0) return NULL;      /* a library file's */
  const cJSON *start = cJSON_GetObjectItem(place, "start"), *end = cJSON_GetObjectItem(place, "end");
  const cJSON *from = start ? cJSON_GetObjectItem(start, "byte") : NULL, *to = end ? cJSON_GetObjectItem(end, "byte") : NULL;
  if (!cJSON_IsNumber(from) || !cJSON_IsNumber(to)) return "a place without bytes";
  if (from->valuedouble > to->valuedouble || to->valuedouble > (double)size) return "a place outside the file";
  return NULL;
}
/* NULL when the output is what it should be. */
static const char *check_messages(char *out, int status, const char *file, size_t size) {
  unsigned errors = 0;
  for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n")) {
    cJSON *m = cJSON_Parse(line);
    if (!m) return "a line that is no JSON";
    const char *bad = NULL;
    const cJSON *severity = cJSON_GetObjectItem(m, "severity"), *item;
    errors += cJSON_IsString(severity) && strcmp(severity->valuestring, "error") == 0 && cJSON_GetObjectItem(m, "code");
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(m, "spans")) if (!bad) bad = wrong_place(item, file, size);
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(m, "fixes")) if (!bad) bad = wrong_place(item, file, size);
    cJSON_Delete(m);
    if (bad) return bad;
  }
  if (errors > 20) return "more than 20 errors";
  if (status == 0 && errors) return "errors, and exit status 0";
  if (status == 1 && !errors) return "exit status 1 without an error";
  return NULL;
}

static const char *try_text(const char *svic, const char *folder, const char *file, const Text *text) {
  FILE *f = fopen(file, "w");
  if (!f || fwrite(text->text, 1, text->n, f) != text->n || fclose(f) != 0) { perror(file); exit(2); }
  int ends[2];
  if (pipe(ends) != 0) { perror("pipe"); exit(2); }
  pid_t child = fork();
  if (child < 0) { perror("fork"); exit(2); }
  if (child == 0) {
    dup2(ends[1], 2);
    dup2(ends[1], 1);
    close(ends[0]), close(ends[1]);
    alarm(SECONDS);
    execl(svic, svic, "check", file, "--diagnostics=json", "-I", folder, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  static char out[MOST_OUTPUT];
  size_t n = 0;
  ssize_t got;
  while (n + 1 < sizeof out && (got = read(ends[0], out + n, sizeof out - 1 - n)) > 0) n += (size_t)got;
  close(ends[0]);
  out[n] = 0;
  int status;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGALRM ? "more than ten seconds" : "killed by a signal";
  if (WEXITSTATUS(status) > 1) {
    fprintf(stderr, "%.600s\n", out);
    return WEXITSTATUS(status) == 70 ? "an internal error" : "an exit status above 1";
  }
  return check_messages(out, WEXITSTATUS(status), file, text->n);
}

int main(int argc, char **argv) {
  if (argc < 4) { fputs("usage: mutate SVIC STEP MODEL.svm...\n", stderr); return 2; }
  const char *svic = argv[1];
  unsigned long step = strtoul(argv[2], NULL, 10), tried = 0, failed = 0;
  static Token token[MOST_TOKENS];
  char file[64];
  snprintf(file, sizeof file, "/tmp/svic-mutant-%ld.svm", (long)getpid());
  for (int a = 3; a < argc; a++) {
    FILE *f = fopen(argv[a], "r");
    if (!f) { perror(argv[a]); return 2; }
    Text good = {0};
    char buffer[4096];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, f)) > 0) text_add(&good, buffer, got);
    fclose(f);
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", argv[a]);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = 0;
    else strcpy(folder, ".");
    size_t n = good.n ? tokens_of(good.text, good.n, token) : 0;
    for (size_t i = 0; i < 4 * n; i++) {
      if ((i * 2654435761u >> 8) % (step ? step : 1) != 0) continue;
      Token t = token[i / 4], o = token[i % 4 == 2 ? (i / 4 + 1) % n : (i / 4 * 31 + 17) % n];
      Text m = {0};
      switch (i % 4) {
        case 0: text_add(&m, good.text, t.at); text_add(&m, good.text + t.end, good.n - t.end); break;
        case 1: text_add(&m, good.text, t.end); text_add(&m, " ", 1); text_add(&m, good.text + t.at, good.n - t.at); break;
        case 2:
          if (o.at < t.end) break;
          text_add(&m, good.text, t.at); text_add(&m, good.text + o.at, o.end - o.at); text_add(&m, " ", 1);
          text_add(&m, good.text + t.at, t.end - t.at); text_add(&m, good.text + o.end, good.n - o.end);
          break;
        case 3: text_add(&m, good.text, t.at); text_add(&m, good.text + o.at, o.end - o.at); text_add(&m, " ", 1); text_add(&m, good.text + t.end, good.n - t.end); break;
      }
      if (!m.text) continue;
      tried++;
      const char *bad = try_text(svic, folder, file, &m);
      if (bad) {
        char kept[96];
        snprintf(kept, sizeof kept, "/tmp/svic-mutant-%ld-%lu.svm", (long)getpid(), ++failed);
        if (rename(file, kept) != 0) perror(kept);
        printf("%s: mutant %zu: %s (kept as %s)\n", argv[a], i, bad, kept);
        fflush(stdout);
      }
      free(m.text);
    }
    free(good.text);
  }
  unlink(file);
  printf("%lu mutants, %lu failed\n", tried, failed);
  return failed != 0;
}
