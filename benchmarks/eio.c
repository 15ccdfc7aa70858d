/* Preloaded: while the file named by EIO_TRIGGER is there, what is written (or flushed, as its
   text says) beneath its folder fails with EIO, as on a disk that fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int descriptor, const char *operation) {
    const char *trigger = getenv("EIO_TRIGGER");
    char link[64], path[4096], text[16] = "";
    if (!trigger || access(trigger, F_OK)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    size_t folder = strrchr(trigger, '/') - trigger;
    if (strncmp(path, trigger, folder) || !strcmp(path, trigger)) return 0;
    int file = open(trigger, O_RDONLY);
    if (file < 0) return 0;
    size = read(file, text, sizeof text - 1);
    close(file);
    return size > 0 && !strcmp(text, operation);
}

ssize_t write(int descriptor, const void *data, size_t size) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (fails(descriptor, "write")) { errno = EIO; return -1; }
    return real(descriptor, data, size);
}

int fsync(int descriptor) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    if (fails(descriptor, "fsync")) { errno = EIO; return -1; }
    return real(descriptor);
}
