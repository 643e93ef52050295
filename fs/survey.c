#include "fs/survey.h"

#include "fs/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SURVEY_DIRS_MAX = 1000, SURVEY_MS_MAX = 1500 };

/* The walk: directories are loaded by the pool; each one that turns out to be plain is listed, and
 * what is in it is loaded in its turn. */
struct survey_walk {
    struct fs *fs;
    int64_t until_ms;

    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t idle; /* `pending` fell to 0 */
    int pending;         /* jobs under way */
    int dirs;            /* looked into so far */
    struct survey result;
};

struct survey_job {
    struct survey_walk *walk;
    struct folder *dir; /* a reference */
};

static void survey_add(struct survey_walk *walk, struct folder *parent, const char *name);

/* Whether a listing has nothing but what the mount itself notes. */
static bool survey_is_empty(struct listing *l)
{
    struct listing_entry e;
    for (size_t i = 0; listing_at(l, i, &e) == 1; i++) {
        if (strcmp(e.name, ".bmfs") != 0)
            return false;
    }
    return true;
}

/* Looks into the directories of one listing. */
static void survey_children(struct survey_walk *walk, struct folder *d, struct listing *l)
{
    struct listing_entry e;
    for (size_t i = 0; listing_at(l, i, &e) == 1; i++) {
        if (e.is_dir && e.name[0] != '.')
            survey_add(walk, d, e.name);
    }
}

static void survey_look(struct survey_walk *walk, struct folder *d)
{
    struct listing *l = NULL;
    enum folder_kind kind;
    if (clock_ms() > walk->until_ms || folder_load(d, FS_FRESH_MS, NULL) < 0) {
        LOCK_SCOPE(&walk->mu);
        walk->result.more = true;
        return;
    }
    {
        LOCK_SCOPE(&walk->fs->mu);
        kind = d->kind;
    }
    if (kind == FOLDER_MATRIX || kind == FOLDER_HEADLESS) {
        LOCK_SCOPE(&walk->mu);
        walk->result.matrices++;
    } else if (folder_scan(d, &l, NULL) == 0) {
        survey_children(walk, d, l);
        listing_unref(l);
    }
}

static void survey_job_run(void *arg)
{
    struct survey_job *job = arg;
    struct survey_walk *walk = job->walk;
    survey_look(walk, job->dir);
    folder_unref(job->dir);
    free(job);
    LOCK_SCOPE(&walk->mu);
    if (--walk->pending == 0)
        (void)pthread_cond_signal(&walk->idle);
}

static void survey_add(struct survey_walk *walk, struct folder *parent, const char *name)
{
    struct survey_job *job = calloc(1, sizeof(*job));
    if (job) {
        LOCK_SCOPE(&walk->fs->mu);
        *job = (struct survey_job){.walk = walk, .dir = folder_get_child_locked(parent, name)};
    }
    LOCK_SCOPE(&walk->mu);
    bool go = job && job->dir && walk->dirs < SURVEY_DIRS_MAX && clock_ms() < walk->until_ms;
    if (go && pool_submit(walk->fs->names, survey_job_run, job) == 0) {
        walk->dirs++;
        walk->pending++;
        return;
    }
    walk->result.more = true;
    if (job)
        folder_unref(job->dir);
    free(job);
}

int survey(struct fs *fs, struct survey *ret, struct err *err)
{
    struct survey_walk walk = {.fs = fs, .mu = PTHREAD_MUTEX_INITIALIZER};
    struct listing *l = NULL;
    struct folder *root = NULL;
    {
        LOCK_SCOPE(&fs->mu);
        root = folder_get_locked(fs, "");
    }
    if (!root)
        return -ENOMEM;
    int r = folder_scan(root, &l, err);
    if (r == 0) {
        lock_cond_init(&walk.idle);
        walk.until_ms = clock_ms() + SURVEY_MS_MAX;
        walk.result.matrices = root->kind == FOLDER_MATRIX || root->kind == FOLDER_HEADLESS;
        walk.result.empty = survey_is_empty(l);
        survey_children(&walk, root, l);
        LOCK_SCOPE(&walk.mu);
        while (walk.pending > 0)
            (void)pthread_cond_wait(&walk.idle, &walk.mu);
    }
    listing_unref(l);
    folder_unref(root);
    *ret = walk.result;
    return r;
}
