/* syscalls COMMAND...: how many system calls the command's first thread makes; exit 77 where processes may not be traced. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) _exit(77);
    raise(SIGSTOP);
    execvp(argv[1], argv + 1);
    _exit(127);
  }
  int status;
  unsigned long stops = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)PTRACE_O_TRACESYSGOOD);
  for (int signal = 0;;) {
    if (ptrace(PTRACE_SYSCALL, child, NULL, (void *)(long)signal)) return 77;
    if (waitpid(child, &status, 0) < 0) return 77;
    if (WIFEXITED(status)) break;
    if (WIFSIGNALED(status)) return 1;
    signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) stops++, signal = 0;
    else if (signal == SIGTRAP) signal = 0;
  }
  printf("%lu\n", stops / 2);
  return WEXITSTATUS(status);
}
