/* save: a file is replaced whole, or not at all.
 *
 * In:  bytes, in pieces.
 * Out: a new file under the old name.  The bytes go to a file beside it (.svi-PID-NUMBER.tmp), which is
 *      brought to the disk by fsync and then renamed; the folder is synced after.  Whatever fails, a full
 *      disk or a limit, the old file stays and the new one is removed.  A device or a pipe (/dev/full,
 *      /dev/stdout) is written directly: nothing may be renamed over it.
 *
 * A process that meets its limit of file size gets SIGXFSZ unless it ignores it; that is the program's
 * choice, not ours. */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER (1u << 16)

/* The folder of a path, with its slash. */
static size_t folder_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Opens a file of a new name in the target's folder; the name stays in s->temp. */
static bool open_temp(SviSave *s, mode_t mode) {
  size_t folder = folder_length(s->path), room = folder + 64;
  s->temp = malloc(room);
  if (!s->temp) { errno = ENOMEM; return false; }
  for (int i = 0; i < 1000; i++) {
    snprintf(s->temp, room, "%.*s.svi-%ld-%d.tmp", (int)folder, s->path, (long)getpid(), i);
    s->fd = open(s->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (s->fd >= 0 || errno != EEXIST) break;
  }
  int code = errno;
  if (s->fd < 0) { free(s->temp); s->temp = NULL; }
  errno = code;
  return s->fd >= 0;
}

static void release(SviSave *s) {
  if (s->fd >= 0) close(s->fd);
  if (s->temp) unlink(s->temp);
  free(s->temp);
  free(s->path);
  free(s->buffer);
  *s = (SviSave){ .fd = -1, .failed = true };
}

static bool fail(SviSave *s, int code) {
  SviShown shown = svi_path_shown(s->path);
  errno = code;
  if (!s->failed) svi_fail(s->error, "%s: cannot write: %m%s", shown.text,
                           s->direct || access(s->path, F_OK) ? "" : "; the old file is kept");
  s->failed = true;
  return false;
}

bool svi_save_open(SviSave *s, const char *path, SviError *error) {
  SviShown shown = svi_path_shown(path);
  *s = (SviSave){ .fd = -1, .error = error, .path = strdup(path), .buffer = malloc(BUFFER) };
  if (!s->path || !s->buffer) { release(s); return svi_fail(error, "%s: out of memory", shown.text); }
  struct stat st;
  bool exists = stat(path, &st) == 0;
  if (exists && S_ISDIR(st.st_mode)) {
    release(s);
    return svi_fail(error, "%s: cannot write: it is a folder; give a file's name", shown.text);
  }
  s->direct = exists && !S_ISREG(st.st_mode);
  if (s->direct) s->fd = open(path, O_WRONLY | O_CLOEXEC);
  else open_temp(s, 0666);
  if (s->fd < 0) {
    int code = errno;
    release(s);
    errno = code;
    if (code == ENOENT) return svi_fail(error, "%s: cannot write: no such folder", shown.text);
    return svi_fail(error, "%s: cannot write: %m", shown.text);
  }
  if (exists && !s->direct && fchmod(s->fd, st.st_mode & 0777)) { }    /* kept where the system lets us */
  return true;
}

static bool write_out(SviSave *s, const uint8_t *p, size_t size) {
  while (size) {
    ssize_t n = write(s->fd, p, size < 1u << 30 ? size : 1u << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(s, n < 0 ? errno : ENOSPC);
    p += n;
    size -= (size_t)n;
  }
  return true;
}

bool svi_save_bytes(SviSave *s, const void *bytes, size_t size) {
  if (s->failed) return false;
  if (size == 0) return true;
  if (size > BUFFER - s->used) {
    if (!write_out(s, s->buffer, s->used)) return false;
    s->used = 0;
    if (size >= BUFFER) return write_out(s, bytes, size);
  }
  memcpy(s->buffer + s->used, bytes, size);
  s->used += size;
  return true;
}

bool svi_save_zeros(SviSave *s, size_t size) {
  static const uint8_t zeros[64];
  for (; size > sizeof zeros; size -= sizeof zeros) svi_save_bytes(s, zeros, sizeof zeros);
  return svi_save_bytes(s, zeros, size);
}

/* A name is on the disk when its folder is.  Systems that cannot sync a folder are let be. */
static void sync_folder(const char *path) {
  size_t n = folder_length(path);
  char *folder = n ? strndup(path, n) : strdup(".");
  int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (fd >= 0) { fsync(fd); close(fd); }
  free(folder);
}

bool svi_save_done(SviSave *s) {
  if (!s->failed && write_out(s, s->buffer, s->used) && !s->direct && fsync(s->fd)) fail(s, errno);
  int fd = s->fd;
  s->fd = -1;
  if (fd >= 0 && close(fd) && !s->failed) fail(s, errno);
  if (!s->failed && s->temp && rename(s->temp, s->path)) fail(s, errno);
  bool ok = !s->failed;
  if (ok && s->temp) {
    sync_folder(s->path);
    free(s->temp);
    s->temp = NULL;
  }
  release(s);
  return ok;
}

void svi_save_drop(SviSave *s) { release(s); }

bool svi_save_check(const char *path, const SviArray *a, uint64_t *bytes, SviError *error) {
  SviShown shown = svi_path_shown(path);
  if (!a->name || !*a->name) return svi_fail(error, "%s: an array without a name", shown.text);
  if (a->rank < 0 || a->rank > SVI_MAX_RANK)
    return svi_fail(error, "%s: `%.100s` has rank %d, the most is %d", shown.text, a->name, a->rank,
                    SVI_MAX_RANK);
  if (!svi_dims_size(a->dim, a->rank, svi_type_size(a->type), bytes))
    return svi_fail(error, "%s: the shape of `%.100s` is too large", shown.text, a->name);
  return true;
}
