#include "base/entries.h"

#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int entries_each(int dir_fd, entries_fn *fn, void *arg)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    int r = 0;
    if (!d) {
        r = -errno;
        closep(&fd);
        return r;
    }
    while (r == 0) {
        errno = 0;
        const struct dirent *e = readdir(d); // NOLINT(concurrency-mt-unsafe): d is our own
        if (!e) {
            r = -errno;
            break;
        }
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = fn(arg, e);
    }
    (void)closedir(d);
    return r;
}
