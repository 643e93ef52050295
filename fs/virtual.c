#include "fs/virtual.h"

#include "base/log.h"
#include "base/version.h"
#include "fs/writer.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VIRTUAL_LINES = 256 };

static const struct {
    enum virtual_id id;
    const char *name;
} virtual_file[] = {
    {VIRTUAL_README, "README"},
    {VIRTUAL_ERRORS, "errors"},
    {VIRTUAL_STATS, "stats.json"},
};

static const char virtual_readme[] =
    "This is a bmfs mount: each directory with a header.json is a matrix.\n"
    "\n"
    "In a matrix's directory, listed:\n"
    "  header.json      shape, shard_sizes and dtype; writing it makes the matrix\n"
    "  block_I_J        one block, the stored object byte for byte (npy)\n"
    "not listed, but there:\n"
    "  block_I_J.npy    the same\n"
    "  block_I_J.raw    its elements only, last index fastest (C order)\n"
    "  block_I_J.F.raw  its elements only, first index fastest (Fortran, R, Julia, MATLAB)\n"
    "\n"
    "Here, in a folder that is not listed:\n"
    "  .bmfs/errors      the latest warnings and errors, with their reasons\n"
    "  .bmfs/stats.json  what this mount has asked of the store, and keeps\n";

static pthread_mutex_t virtual_mu = PTHREAD_MUTEX_INITIALIZER;
/* guarded by virtual_mu: */
static char *virtual_line[VIRTUAL_LINES]; /* a ring of log lines */
static size_t virtual_next;

enum virtual_id virtual_find(const char *dir_path, const char *name)
{
    if (strcmp(dir_path, ".bmfs/") != 0)
        return VIRTUAL_NONE;
    for (size_t i = 0; i < ARRAY_SIZE(virtual_file); i++) {
        if (strcmp(virtual_file[i].name, name) == 0)
            return virtual_file[i].id;
    }
    return VIRTUAL_NONE;
}

const char *virtual_name(const char *dir_path, size_t i)
{
    bool here = strcmp(dir_path, ".bmfs/") == 0;
    return here && i < ARRAY_SIZE(virtual_file) ? virtual_file[i].name : NULL;
}

static void virtual_log_hook(void *arg, const char *line)
{
    char stamp[32] = "";
    char *text = NULL;
    struct tm tm;
    time_t now = time(NULL);
    (void)arg;
    if (gmtime_r(&now, &tm))
        (void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (asprintf(&text, "%s %s\n", stamp, line) < 0)
        return;
    LOCK_SCOPE(&virtual_mu);
    free(virtual_line[virtual_next]);
    virtual_line[virtual_next] = text;
    virtual_next = (virtual_next + 1) % VIRTUAL_LINES;
}

void virtual_watch_log(bool on)
{
    log_set_hook(on ? virtual_log_hook : NULL, NULL);
    LOCK_SCOPE(&virtual_mu);
    for (size_t i = 0; !on && i < VIRTUAL_LINES; i++) {
        free(virtual_line[i]);
        virtual_line[i] = NULL;
    }
}

static int virtual_errors(struct buf *out)
{
    LOCK_SCOPE(&virtual_mu);
    for (size_t i = 0; i < VIRTUAL_LINES; i++) {
        const char *line = virtual_line[(virtual_next + i) % VIRTUAL_LINES];
        int r = line ? buf_puts(out, line) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int virtual_stats(struct fs *fs, struct buf *out)
{
    struct store_counters c;
    store_count(fs->store, &c);
    struct mallinfo2 heap = mallinfo2();
    return buf_printf(
        out,
        "{\n"
        "  \"version\": \"%s\",\n"
        "  \"store\": \"%s\",\n"
        "  \"requests\": {\"get\": %llu, \"put\": %llu, \"head\": %llu, "
        "\"delete\": %llu, \"list\": %llu},\n"
        "  \"bytes_in\": %llu,\n"
        "  \"bytes_out\": %llu,\n"
        "  \"retries\": %llu,\n"
        "  \"failures\": %llu,\n"
        "  \"cache_bytes\": %llu,\n"
        "  \"cache_bytes_max\": %llu,\n"
        "  \"heap_bytes\": %zu,\n"
        "  \"heap_bytes_held\": %zu\n"
        "}\n",
        BMFS_VERSION, store_id(fs->store), (unsigned long long)c.gets, (unsigned long long)c.puts,
        (unsigned long long)c.heads, (unsigned long long)c.dels, (unsigned long long)c.lists,
        (unsigned long long)c.bytes_in, (unsigned long long)c.bytes_out,
        (unsigned long long)c.retries, (unsigned long long)c.failures,
        (unsigned long long)cache_usage(fs->cache), (unsigned long long)cache_size_max(fs->cache),
        heap.uordblks + heap.hblkhd, heap.arena + heap.hblkhd);
}

int virtual_render(struct fs *fs, enum virtual_id id, struct buf *out)
{
    switch (id) {
    case VIRTUAL_README:
        return buf_puts(out, virtual_readme);
    case VIRTUAL_ERRORS:
        return virtual_errors(out);
    case VIRTUAL_STATS:
        return virtual_stats(fs, out);
    case VIRTUAL_NONE:
        break;
    }
    return -ENOENT;
}

uint64_t virtual_size(struct fs *fs, int id)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)1 << 20);
    return virtual_render(fs, (enum virtual_id)id, &text) < 0 ? 0 : text.len;
}
