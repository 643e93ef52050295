/* Runs a fuzz target over the files of a folder: what fuzzing has found stays found.
 *
 * Usage: replay_TARGET FOLDER. Each input lies in memory of exactly its size. */
#include "tests/fuzz/fuzz.h"

#include "base/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { REPLAY_BYTES_MAX = 4 << 20 };

static int replay_file(int dir, const char *name)
{
    CLEANUP(closep) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size > REPLAY_BYTES_MAX)
        return -EINVAL;
    size_t size = (size_t)st.st_size;
    CLEANUP(freep) uint8_t *data = malloc(MAX(size, (size_t)1));
    if (!data)
        return -ENOMEM;
    int r = pread_full(fd, data, size, 0);
    if (r < 0)
        return r;
    (void)LLVMFuzzerTestOneInput(data, size);
    return 0;
}

static int replay_is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    struct dirent **entry = NULL;
    CLEANUP(closep) int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int n = dir < 0 ? -1 : scandirat(dir, ".", &entry, replay_is_input, alphasort);
    int failed = n <= 0;
    for (int i = 0; i < n; i++) {
        int r = replay_file(dir, entry[i]->d_name);
        if (r < 0) {
            (void)fprintf(stderr, "%s: %s\n", entry[i]->d_name, errno_text(r));
            failed = 1;
        }
        free(entry[i]);
    }
    free((void *)entry);
    (void)printf("%d inputs\n", n);
    return failed;
}
