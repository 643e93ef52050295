#include "tests/fuzz/fuzz.h"

#include "fs/lost.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FUZZ_ENTRY "lost/1-a"

static char fuzz_path[] = "/tmp/bmfs-fuzz.XXXXXX"; /* a cache folder with one entry */
static int fuzz_folder = -1;

static void fuzz_remove(void)
{
    (void)unlinkat(fuzz_folder, FUZZ_ENTRY ".json", 0);
    (void)unlinkat(fuzz_folder, FUZZ_ENTRY ".data", 0);
    (void)unlinkat(fuzz_folder, "lost", AT_REMOVEDIR);
    (void)rmdir(fuzz_path);
}

static void fuzz_write(const char *name, const void *data, size_t len)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
    CLEANUP(closep) int fd = openat(fuzz_folder, name, flags, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
}

static void fuzz_make(void)
{
    FUZZ_CHECK(mkdtemp(fuzz_path) != NULL);
    fuzz_folder = open(fuzz_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_CHECK(fuzz_folder >= 0 && mkdirat(fuzz_folder, "lost", 0700) == 0);
    FUZZ_CHECK(atexit(fuzz_remove) == 0);
    fuzz_write(FUZZ_ENTRY ".data", "bytes", 5);
}

/* An entry whose note can be read has all its texts; any other is none. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lost_entry e;
    if (fuzz_folder < 0)
        fuzz_make();
    fuzz_write(FUZZ_ENTRY ".json", data, size);
    CLEANUP(closep) int fd = lost_open(fuzz_folder, "1-a", &e);
    if (fd < 0)
        return 0;
    FUZZ_CHECK(e.store_id && e.key && e.reason && e.write_id && e.size == 5 && e.time_s == 1);
    lost_entry_fini(&e);
    return 0;
}
