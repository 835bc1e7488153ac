/* Fails the FAULT_AT-th call that writes below FAULT_DIR with FAULT_ERRNO; without FAULT_AT it only counts, into FAULT_COUNT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int calls;

static int below(const char *path) {
    const char *dir = getenv("FAULT_DIR");
    return dir && path && strncmp(path, dir, strlen(dir)) == 0;
}

static int fd_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return below(path);
}

static int fault(void) {
    int call = __sync_add_and_fetch(&calls, 1);
    const char *at = getenv("FAULT_AT"), *count = getenv("FAULT_COUNT");
    if (at && atoi(at) == call) {
        errno = atoi(getenv("FAULT_ERRNO"));
        return 1;
    }
    if (count) {
        FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");
        FILE *f = real(count, "w");
        if (f) { fprintf(f, "%d", call); fclose(f); }
    }
    return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *b, size_t n) { return fd_below(fd) && fault() ? -1 : REAL(write)(fd, b, n); }
ssize_t writev(int fd, const struct iovec *v, int n) { return fd_below(fd) && fault() ? -1 : REAL(writev)(fd, v, n); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { return fd_below(fd) && fault() ? -1 : REAL(pwrite64)(fd, b, n, o); }
ssize_t copy_file_range(int i, off64_t *io, int o, off64_t *oo, size_t n, unsigned f) { return fd_below(o) && fault() ? -1 : REAL(copy_file_range)(i, io, o, oo, n, f); }
int fsync(int fd) { return fd_below(fd) && fault() ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fd_below(fd) && fault() ? -1 : REAL(fdatasync)(fd); }
int syncfs(int fd) { return fd_below(fd) && fault() ? -1 : REAL(syncfs)(fd); }
int ftruncate64(int fd, off64_t n) { return fd_below(fd) && fault() ? -1 : REAL(ftruncate64)(fd, n); }
int rename(const char *a, const char *b) { return below(b) && fault() ? -1 : REAL(rename)(a, b); }
int renameat2(int d, const char *a, int e, const char *b, unsigned f) { return below(b) && fault() ? -1 : REAL(renameat2)(d, a, e, b, f); }
int link(const char *a, const char *b) { return below(b) && fault() ? -1 : REAL(link)(a, b); }
int linkat(int d, const char *a, int e, const char *b, int f) { return below(b) && fault() ? -1 : REAL(linkat)(d, a, e, b, f); }
int mkdir(const char *p, mode_t m) { return below(p) && fault() ? -1 : REAL(mkdir)(p, m); }
int open64(const char *p, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    return (flags & O_CREAT) && below(p) && fault() ? -1 : REAL(open64)(p, flags, mode);
}
