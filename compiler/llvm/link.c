/* An executable from an object, by the system's C compiler.
 *
 * In:  the model's object; the runtime's folder with libsvirt.a and link.txt (what else is linked: words apart by blanks).
 * Out: the executable.  What the compiler driver says on failure goes into the message. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "llvm.h"

extern char **environ;
enum { WORDS_MAX = 128 };

static bool fail(char error[1024], const char *format, const char *a, const char *b) {
  snprintf(error, 1024, format, a, b);
  return false;
}

static char *read_all(int fd, size_t *size) {
  size_t room = 4096, n = 0;
  char *text = malloc(room + 1);
  if (!text) return NULL;
  for (;;) {
    ssize_t got = read(fd, text + n, room - n);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    n += (size_t)got;
    if (n < room) continue;
    char *more = realloc(text, 2 * room + 1);
    if (!more) break;
    text = more;
    room *= 2;
  }
  text[n] = '\0';
  if (size) *size = n;
  return text;
}

/* Runs a command, its standard error in `said`. */
static bool run(char **word, char **said, int *status, int *spawn_error) {
  int pipes[2];
  if (pipe(pipes)) { *spawn_error = errno; return false; }
  fcntl(pipes[0], F_SETFD, FD_CLOEXEC);
  fcntl(pipes[1], F_SETFD, FD_CLOEXEC);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
  pid_t child;
  *spawn_error = posix_spawnp(&child, word[0], &actions, NULL, word, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pipes[1]);
  if (*spawn_error == 0) {
    *said = read_all(pipes[0], NULL);
    while (waitpid(child, status, 0) < 0 && errno == EINTR) continue;
  }
  close(pipes[0]);
  return *spawn_error == 0;
}

bool llvm_link(const char *object, const char *runtime_dir, const char *output, char error[1024]) {
  char library[4096], flags_path[4096];
  snprintf(library, sizeof library, "%s/libsvirt.a", runtime_dir);
  snprintf(flags_path, sizeof flags_path, "%s/link.txt", runtime_dir);
  if (access(library, R_OK))
    return fail(error, "the runtime library %.800s cannot be read: %.100s", library, strerror(errno));
  int fd = open(flags_path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(error, "the link line %.800s cannot be read: %.100s", flags_path, strerror(errno));
  char *flags = read_all(fd, NULL);
  close(fd);
  if (!flags) return fail(error, "out of memory%s%s", "", "");

  const char *cc = getenv("CC") && *getenv("CC") ? getenv("CC") : "cc";
  char *word[WORDS_MAX + 8], *place = NULL;
  int n = 0;
  word[n++] = (char *)cc;
  word[n++] = (char *)object;
  word[n++] = library;
  for (char *w = strtok_r(flags, " \t\n", &place); w && n < WORDS_MAX; w = strtok_r(NULL, " \t\n", &place))
    word[n++] = w;
  word[n++] = "-o";
  word[n++] = (char *)output;
  word[n] = NULL;

  char *said = NULL;
  int status = 0, spawn_error = 0;
  bool done = run(word, &said, &status, &spawn_error);
  /* some systems tell a missing program only by the child's status, 127 */
  bool missing =
      !done ? spawn_error == ENOENT : WIFEXITED(status) && WEXITSTATUS(status) == 127 && (!said || !*said);
  bool good = done && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (missing)
    fail(error, "`%s` was not found: linking needs a C compiler (set CC, or install gcc or clang)%s", cc, "");
  else if (!done) fail(error, "`%s` cannot be run: %s", cc, strerror(spawn_error));
  else if (!good) fail(error, "linking with `%s` failed:\n%.900s", cc, said ? said : "");
  free(said);
  free(flags);
  return good;
}
