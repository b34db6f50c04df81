/*
 * A disk with faults, for LD_PRELOAD: files below $SHIM_DATA are written through it. It keeps in $SHIM_DISK what a
 * power loss would leave of them (files/: the pages as of the last fsync; marks/: one byte for each page, 0: on disk),
 * and does what the control file $SHIM_CONTROL says. After an fsync that it fails, the pages count as clean although
 * they are not on disk, as in Linux.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, MARKS = 1 << 20, FDS = 1 << 16, PATH = 4096 };
enum { NONE, EIO_WRITE, ENOSPC_WRITE, SHORT_WRITE, KILL_WRITE, EIO_SYNC, KILL_BEFORE_SYNC, KILL_AFTER_SYNC };

/* The layout of the control file; test/kit/faults/shim.ts writes it. */
struct control {
  uint32_t fault;
  int32_t skip, left;
  uint32_t delay_us, hits, unused[3];
  char match[64];
};

struct file {
  char path[PATH]; /* below SHIM_DATA */
  uint8_t *marks;
};

static struct control *control;
static const char *data, *disk;
static size_t data_length;
static struct file *files[FDS];
static pthread_mutex_t copying = PTHREAD_MUTEX_INITIALIZER;

/* The function of this name in libc. */
#define REAL(name) ({ \
  static __typeof__(&name) found; \
  if (found == NULL) found = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
  found; \
})

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SHIM_CONTROL");
  disk = getenv("SHIM_DISK");
  if (path == NULL || disk == NULL) return;
  int fd = REAL(open)(path, O_RDWR);
  if (fd < 0) return;
  void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REAL(close)(fd);
  if (map == MAP_FAILED) return;
  control = map;
  data = getenv("SHIM_DATA");
  data_length = data == NULL ? 0 : strlen(data);
}

/* Whether a path leads to a file that counts: SQLite's shared memory is no part of the disk. */
static int is_ours(const char *path) {
  size_t length = strlen(path);
  if (data == NULL || strncmp(path, data, data_length) != 0 || path[data_length] != '/') return 0;
  return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

static void place(char *to, const char *kind, const char *path) { snprintf(to, PATH, "%s/%s/%s", disk, kind, path); }

/* Opens the file on the "disk", with the folders that lead to it. */
static int open_on_disk(const char *kind, const char *path) {
  char to[PATH];
  place(to, kind, path);
  for (char *slash = to + strlen(disk) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
    *slash = 0;
    mkdir(to, 0700);
  }
  return REAL(open)(to, O_RDWR | O_CREAT, 0600);
}

static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_ours(path) && strstr(path, " (deleted)") == NULL;
}

static int opened(int fd) {
  char path[PATH];
  struct stat about;
  if (control == NULL || fd < 0 || fd >= FDS || !path_of(fd, path)) return fd;
  if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return fd;
  struct file *file = calloc(1, sizeof *file);
  strcpy(file->path, path + data_length + 1);
  int marks = open_on_disk("marks", file->path);
  if (marks < 0 || ftruncate(marks, MARKS) != 0) abort();
  file->marks = mmap(NULL, MARKS, PROT_READ | PROT_WRITE, MAP_SHARED, marks, 0);
  REAL(close)(marks);
  if (file->marks == MAP_FAILED) abort();
  files[fd] = file;
  return fd;
}

static struct file *file_of(int fd) { return fd >= 0 && fd < FDS ? files[fd] : NULL; }

#define MODE(flags) \
  va_list more; \
  va_start(more, flags); \
  mode_t mode = (flags) & O_CREAT ? va_arg(more, mode_t) : 0; \
  va_end(more)
int open(const char *path, int flags, ...) { MODE(flags); return opened(REAL(open)(path, flags, mode)); }
int open64(const char *path, int flags, ...) { MODE(flags); return opened(REAL(open64)(path, flags, mode)); }
int openat(int at, const char *path, int flags, ...) { MODE(flags); return opened(REAL(openat)(at, path, flags, mode)); }

int close(int fd) {
  struct file *file = file_of(fd);
  if (file != NULL) {
    files[fd] = NULL;
    munmap(file->marks, MARKS);
    free(file);
  }
  return REAL(close)(fd);
}

static void mark(struct file *file, off_t from, off_t until) {
  for (off_t page = from / PAGE; page * PAGE < until; page++) {
    if (page >= MARKS) abort();
    __atomic_store_n(&file->marks[page], 1, __ATOMIC_SEQ_CST);
  }
}

/* Whether a call is one that the control file wants to fail, of the kinds from `first` to `last`. */
static uint32_t fault_of(const struct file *file, uint32_t first, uint32_t last) {
  uint32_t fault = control->fault;
  if (fault < first || fault > last || strstr(file->path, control->match) == NULL) return NONE;
  if (__atomic_fetch_sub(&control->skip, 1, __ATOMIC_SEQ_CST) > 0) return NONE;
  if (__atomic_fetch_sub(&control->left, 1, __ATOMIC_SEQ_CST) <= 0) return NONE;
  __atomic_fetch_add(&control->hits, 1, __ATOMIC_SEQ_CST);
  return fault;
}

static void die(void) { for (;;) kill(getpid(), SIGKILL); }

static ssize_t write_at(struct file *file, int fd, const void *bytes, size_t length, off_t at, int placed) {
  uint32_t fault = fault_of(file, EIO_WRITE, KILL_WRITE);
  if (fault == EIO_WRITE || fault == ENOSPC_WRITE) {
    errno = fault == EIO_WRITE ? EIO : ENOSPC;
    return -1;
  }
  if (fault != NONE && length > 1) length /= 2;
  /* Before, for an end in between; after, for an fsync that began in between. */
  mark(file, at, at + length);
  ssize_t done = placed ? REAL(pwrite)(fd, bytes, length, at) : REAL(write)(fd, bytes, length);
  if (fault == KILL_WRITE) die();
  mark(file, at, at + length);
  return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
  struct file *file = file_of(fd);
  return file == NULL ? REAL(pwrite)(fd, bytes, length, at) : write_at(file, fd, bytes, length, at, 1);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return pwrite(fd, bytes, length, at); }

static off_t place_of(int fd) {
  struct stat about;
  if ((fcntl(fd, F_GETFL) & O_APPEND) && fstat(fd, &about) == 0) return about.st_size;
  return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  struct file *file = file_of(fd);
  return file == NULL ? REAL(write)(fd, bytes, length) : write_at(file, fd, bytes, length, place_of(fd), 0);
}

static off_t length_of(const struct iovec *parts, int count) {
  off_t length = 0;
  for (int i = 0; i < count; i++) length += parts[i].iov_len;
  return length;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  struct file *file = file_of(fd);
  if (file == NULL) return REAL(writev)(fd, parts, count);
  off_t at = place_of(fd), until = at + length_of(parts, count);
  mark(file, at, until);
  ssize_t done = REAL(writev)(fd, parts, count);
  mark(file, at, until);
  return done;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  struct file *file = file_of(fd);
  if (file != NULL) mark(file, at, at + length_of(parts, count));
  ssize_t done = REAL(pwritev)(fd, parts, count, at);
  if (file != NULL) mark(file, at, at + length_of(parts, count));
  return done;
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return pwritev(fd, parts, count, at); }

int ftruncate(int fd, off_t length) {
  struct stat about;
  struct file *file = control == NULL ? NULL : file_of(fd);
  if (file != NULL && fstat(fd, &about) == 0) mark(file, length, about.st_size);
  return REAL(ftruncate)(fd, length);
}
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

/* Copies the pages that an fsync covered. A page that was written since is still marked. */
static void keep(struct file *file, int fd) {
  char path[PATH], page[PAGE];
  struct stat about;
  if (!path_of(fd, path) || fstat(fd, &about) != 0) return;
  int to = open_on_disk("files", path + data_length + 1);
  if (to < 0) abort();
  /* The descriptor of a caller may be open for writing only. */
  int from = REAL(open)(path, O_RDONLY);
  for (off_t at = 0; from >= 0 && at < about.st_size; at += PAGE) {
    uint8_t *page_mark = &file->marks[at / PAGE], covered = 2;
    if (__atomic_load_n(page_mark, __ATOMIC_SEQ_CST) == 0) continue;
    ssize_t length = pread(from, page, PAGE, at);
    if (length > 0 && REAL(pwrite)(to, page, length, at) != length) abort();
    __atomic_compare_exchange_n(page_mark, &covered, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  }
  if (REAL(ftruncate)(to, about.st_size) != 0) abort();
  if (from >= 0) REAL(close)(from);
  REAL(close)(to);
}

static int sync_of(int fd, int (*sync)(int)) {
  struct file *file = file_of(fd);
  if (file == NULL) return sync(fd);
  if (control->delay_us > 0) usleep(control->delay_us);
  uint32_t fault = fault_of(file, EIO_SYNC, KILL_AFTER_SYNC);
  if (fault == KILL_BEFORE_SYNC) die();
  if (fault == EIO_SYNC) {
    memset(file->marks, 0, MARKS);
    errno = EIO;
    return -1;
  }
  struct stat about;
  off_t size = fstat(fd, &about) == 0 ? about.st_size : 0;
  for (off_t page = 0; page * PAGE < size; page++) {
    uint8_t dirty = 1;
    __atomic_compare_exchange_n(&file->marks[page], &dirty, 2, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  }
  int failed = sync(fd);
  if (failed != 0) return failed;
  pthread_mutex_lock(&copying);
  keep(file, fd);
  pthread_mutex_unlock(&copying);
  if (fault == KILL_AFTER_SYNC) die();
  return 0;
}
int fsync(int fd) { return sync_of(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_of(fd, REAL(fdatasync)); }

/* Names change on the "disk" at once, whether or not what they stand for is there. */
int rename(const char *from, const char *to) {
  int failed = REAL(rename)(from, to);
  if (failed != 0 || control == NULL || !is_ours(from) || !is_ours(to)) return failed;
  static const char *const kinds[] = {"files", "marks"};
  for (int i = 0; i < 2; i++) {
    char old[PATH], new[PATH];
    place(old, kinds[i], from + data_length + 1);
    place(new, kinds[i], to + data_length + 1);
    REAL(rename)(old, new);
  }
  return 0;
}

int unlink(const char *path) {
  int failed = REAL(unlink)(path);
  if (failed != 0 || control == NULL || !is_ours(path)) return failed;
  char gone[PATH];
  place(gone, "files", path + data_length + 1);
  REAL(unlink)(gone);
  place(gone, "marks", path + data_length + 1);
  REAL(unlink)(gone);
  return 0;
}
