/* Runs a fuzz target over files without a fuzzer, so that every corpus is part of `meson test`.
 * Arguments: files, and directories whose files are taken (not those below them). */

#include "base/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REPLAY_BYTES_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs one file. The buffer is exactly as long as the input, so that a sanitizer sees a read past
 * its end. */
static int replay_file(int at, const char *name)
{
    struct stat st;
    CLEANUP(closep) int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > REPLAY_BYTES_MAX) {
        (void)fprintf(stderr, "replay: cannot use %s\n", name);
        return -EINVAL;
    }
    size_t len = (size_t)st.st_size;
    CLEANUP(freep) uint8_t *data = malloc(len > 0 ? len : 1);
    if (!data || pread_full(fd, data, len, 0) < 0)
        return -EIO;
    (void)LLVMFuzzerTestOneInput(data, len);
    return 0;
}

/* Runs the files of a directory; the number of them, or -errno. */
static int replay_dir(const char *path)
{
    struct dirent **entry = NULL;
    CLEANUP(closep) int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int entries = at < 0 ? -1 : scandirat(at, ".", &entry, NULL, alphasort);
    if (entries < 0)
        return -errno;
    int runs = 0;
    for (int i = 0; i < entries; i++) {
        struct stat st;
        if (runs >= 0 && fstatat(at, entry[i]->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            runs = replay_file(at, entry[i]->d_name) < 0 ? -EIO : runs + 1;
        free(entry[i]);
    }
    free(entry);
    return runs;
}

int main(int argc, char **argv)
{
    int runs = 0;
    for (int i = 1; i < argc; i++) {
        int r = replay_dir(argv[i]);
        if (r == -ENOTDIR)
            r = replay_file(AT_FDCWD, argv[i]) < 0 ? -EIO : 1;
        if (r < 0)
            return EXIT_FAILURE;
        runs += r;
    }
    (void)printf("%d inputs\n", runs);
    return runs > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
