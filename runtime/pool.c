/* The threads.
 *
 * In:  a task and a number of indices.  Out: the task was called once with each index.
 *
 * All there is to agree on is one word, the ticket: (job number, how many indices were taken from the back, and from the front).
 * Threads of even number take from the front, others from the back, so that the same thread is given the same part of the
 * work in every step, and finds it in its cache.  A thread takes an index by moving the ticket
 * on with a compare-and-swap; that it succeeds proves that the job it read (task, context, n) is still the open one, because
 * those change only after every index of the job has been done.  So nobody waits for a worker that is late to wake up: the
 * caller does the work itself.  Waiting threads spin for some tens of microseconds, the distance between two phases of a
 * step, and then sleep on a futex. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "trainer.h"

#define INDEX_BITS 24
#define INDEX_MASK ((UINT64_C(1) << INDEX_BITS) - 1)
#define FRONT(ticket) ((uint32_t)((ticket) & INDEX_MASK))
#define BACK(ticket)  ((uint32_t)((ticket) >> INDEX_BITS & INDEX_MASK))
#define JOB(ticket)   ((ticket) >> 2 * INDEX_BITS)
enum { SPINS = 10000, THREADS_MAX = 256 };

typedef struct { Pool *pool; unsigned thread; pthread_t handle; } Worker;
struct Pool {
  _Alignas(64) _Atomic uint64_t ticket;      /* job, back, front; front INDEX_MASK: closed */
  _Alignas(64) _Atomic uint32_t done;
  _Alignas(64) _Atomic uint32_t bell;        /* workers sleep on it */
  _Atomic uint32_t sleepers, caller_sleeps;
  _Atomic uint32_t n;
  _Atomic(PoolTask) task;
  _Atomic(void *)   context;
  atomic_bool ending;
  unsigned size, spins;
  Worker  *worker;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) { syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0); }
static void futex_wake(_Atomic uint32_t *word, int threads)   { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads, NULL, NULL, 0); }

static inline void spin_pause(void) {
#if defined __x86_64__ || defined __i386__
  __builtin_ia32_pause();
#elif defined __aarch64__
  __asm__ volatile("yield");
#endif
}

/* Does one index of the open job; false when there is none left. */
static bool pool_take(Pool *p, unsigned thread) {
  uint64_t ticket = atomic_load(&p->ticket);
  PoolTask task; void *context; uint32_t n, index;
  bool back = thread % 2;
  do {
    n       = atomic_load(&p->n);
    task    = atomic_load(&p->task);
    context = atomic_load(&p->context);
    if (FRONT(ticket) + BACK(ticket) >= n) return false;
    index = back ? n - 1 - BACK(ticket) : FRONT(ticket);
  } while (!atomic_compare_exchange_weak(&p->ticket, &ticket, ticket + (back ? UINT64_C(1) << INDEX_BITS : 1)));
  task(context, index, thread);
  if (atomic_fetch_add(&p->done, 1) + 1 == n && atomic_load(&p->caller_sleeps)) futex_wake(&p->done, 1);
  return true;
}

static bool pool_has_work(Pool *p) {
  uint64_t ticket = atomic_load(&p->ticket);
  return FRONT(ticket) + BACK(ticket) < atomic_load(&p->n) || atomic_load(&p->ending);
}

/* note [denormals]  Numbers too small for full precision count as zero.  Weights of particles, and what they are multiplied with, reach
 * such numbers soon, and arithmetic with them takes a hundred times as long. */
static void flush_denormals(void) {
#if defined __x86_64__
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined __aarch64__
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("msr fpcr, %0" : : "r"(control | UINT64_C(1) << 24));
#endif
}

static void *worker_main(void *argument) {
  Worker *w = argument;
  Pool   *p = w->pool;
  flush_denormals();
  while (!atomic_load(&p->ending)) {
    if (pool_take(p, w->thread)) continue;
    bool found = false;
    for (unsigned i = 0; i < p->spins && !found; i++) { spin_pause(); found = pool_has_work(p); }
    if (found) continue;
    uint32_t bell = atomic_load(&p->bell);
    atomic_fetch_add(&p->sleepers, 1);       /* before looking again: either we see the job or its caller sees us */
    if (!pool_has_work(p)) futex_wait(&p->bell, bell);
    atomic_fetch_sub(&p->sleepers, 1);
  }
  return NULL;
}

static void pool_ring(Pool *p, unsigned threads) {
  if (atomic_load(&p->sleepers) == 0) return;
  atomic_fetch_add(&p->bell, 1);
  futex_wake(&p->bell, (int)threads);
}

unsigned pool_threads_wanted(const Options *o) {
  if (o && o->at[OPT_threads].given) return (unsigned)o->at[OPT_threads].number;
  const char *set = getenv("SVIC_THREADS");
  if (set && atoi(set) > 0) return (unsigned)atoi(set) < THREADS_MAX ? (unsigned)atoi(set) : THREADS_MAX;
  cpu_set_t cpus;
  int n = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : (int)sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1 : n < LANES ? (unsigned)n : LANES;       /* more than LANES threads find little to do */
}

Pool *pool_new(unsigned threads) {
  if (threads < 1) threads = 1;
  if (threads > THREADS_MAX) threads = THREADS_MAX;
  flush_denormals();                                        /* of the caller, who works too */
  Pool *p = memory_new(1, sizeof *p, "the thread pool");
  p->worker = memory_new(threads, sizeof *p->worker, "the thread pool");
  p->size = 1;
  atomic_store(&p->ticket, INDEX_MASK);
  cpu_set_t cpus;
  int processors = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
  p->spins = threads <= (unsigned)processors ? SPINS : 0;   /* spinning takes the processor from whom we wait for */
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);                 /* signals are for the caller */
  for (unsigned i = 1; i < threads; i++) {
    Worker *w = &p->worker[i];
    *w = (Worker){ .pool = p, .thread = i };
    if (pthread_create(&w->handle, NULL, worker_main, w) != 0) {
      note("only %u of %u threads could be started", i, threads);
      break;
    }
    p->size = i + 1;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return p;
}

void pool_free(Pool *p) {
  if (!p) return;
  atomic_store(&p->ending, true);
  atomic_fetch_add(&p->bell, 1);
  futex_wake(&p->bell, INT_MAX);
  for (unsigned i = 1; i < p->size; i++) pthread_join(p->worker[i].handle, NULL);
  memory_free(p->worker);
  memory_free(p);
}

unsigned pool_size(const Pool *p) { return p->size; }

void pool_run(Pool *p, unsigned n, PoolTask task, void *context) {
  if (n == 0) return;
  if (n == 1 || p->size == 1) {
    for (unsigned i = 0; i < n; i++) task(context, i, 0);
    return;
  }
  uint64_t job = (JOB(atomic_load(&p->ticket)) + 1) << 2 * INDEX_BITS;
  atomic_store(&p->ticket, job | INDEX_MASK);
  atomic_store(&p->n, n);
  atomic_store(&p->task, task);
  atomic_store(&p->context, context);
  atomic_store(&p->done, 0);
  atomic_store(&p->ticket, job);
  pool_ring(p, n - 1);
  while (pool_take(p, 0)) {}
  for (unsigned i = 0; i < p->spins && atomic_load(&p->done) != n; i++) spin_pause();
  atomic_store(&p->caller_sleeps, 1);
  for (uint32_t seen; (seen = atomic_load(&p->done)) != n; ) futex_wait(&p->done, seen);
  atomic_store(&p->caller_sleeps, 0);
}
