/* Counts what a program asks of the allocator: to be loaded before libc (LD_PRELOAD).  The count goes to the file $ALLOCATIONS. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
static atomic_ulong count;

void *malloc (size_t n)           { count++; return __libc_malloc(n); }
void *calloc (size_t n, size_t m) { count++; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n)  { count++; return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n)      { count++; return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { count++; return __libc_memalign(a, n); }
int   posix_memalign(void **p, size_t a, size_t n) { count++; *p = __libc_memalign(a, n); return *p ? 0 : 12; }

__attribute__((destructor)) static void tell(void) {
  unsigned long n = count;
  FILE *f = getenv("ALLOCATIONS") ? fopen(getenv("ALLOCATIONS"), "w") : NULL;
  if (!f) return;
  fprintf(f, "%lu\n", n);
  fclose(f);
}
