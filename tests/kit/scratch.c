#include "tests/kit/scratch.h"

#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void scratch_must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "scratch: %s: %s\n", what, errno_text(errno));
    abort();
}

void scratch_init(struct scratch *s)
{
    const char *tmp = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/bmfs-test-XXXXXX", tmp ? tmp : "/tmp");
    scratch_must(mkdtemp(path) != NULL, path);
    scratch_must(realpath(path, s->path) != NULL, path);
}

void scratch_fini(const struct scratch *s)
{
    char root[PATH_MAX];
    char *const roots[] = {root, NULL};
    (void)snprintf(root, sizeof(root), "%s", s->path);
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    scratch_must(walk != NULL, s->path);
    const FTSENT *e;
    while ((e = fts_read(walk)) != NULL) {
        if (e->fts_info == FTS_D)
            (void)chmod(e->fts_accpath, 0700); /* what it holds is read after this */
        else
            (void)remove(e->fts_accpath);
    }
    (void)fts_close(walk);
}

const char *scratch_at(const struct scratch *s, const char *name)
{
    static char path[4][2 * PATH_MAX];
    static unsigned turn;
    char *dst = path[turn++ % 4];
    (void)snprintf(dst, sizeof(path[0]), "%s/%s", s->path, name);
    return dst;
}

void scratch_write(const struct scratch *s, const char *name, const char *text)
{
    char path[2 * PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", s->path, name);
    for (char *slash = path + strlen(s->path) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        scratch_must(mkdir(path, 0777) == 0 || errno == EEXIST, path);
        *slash = '/';
    }
    CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    scratch_must(fd >= 0 && write_full(fd, text, strlen(text)) == 0, path);
}
