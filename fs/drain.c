#include "fs/drain.h"

#include "base/log.h"
#include "base/pool.h"
#include "fs/commit.h"

#include <stdlib.h>

struct drain {
    struct fs *fs;
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t fewer;
    int files;
    uint64_t bytes;
};

struct drain_job {
    struct drain *drain;
    struct writer *w; /* a reference */
    uint64_t bytes;   /* that it holds and the store does not */
};

static void drain_job(void *arg)
{
    struct drain_job *job = arg;
    struct drain *d = job->drain;
    commit_finish(job->w, true);
    writer_unref(job->w);
    LOCK_SCOPE(&d->mu);
    d->files--;
    d->bytes -= job->bytes;
    (void)pthread_cond_signal(&d->fewer);
    free(job);
}

static void drain_writer(struct writer *w, void *arg)
{
    struct drain *d = arg;
    struct drain_job *job = malloc(sizeof(*job));
    if (!job) {
        commit_finish(w, true);
        return;
    }
    *job = (struct drain_job){.drain = d, .w = w};
    {
        LOCK_SCOPE(&w->fs->mu);
        writer_ref_locked(w);
        if (w->place.kind != PLACE_SCRATCH && !w->dropped && stage_is_dirty(w->stage))
            job->bytes = stage_size(w->stage);
    }
    {
        LOCK_SCOPE(&d->mu);
        d->files++;
        d->bytes += job->bytes;
    }
    if (pool_submit(w->fs->work, drain_job, job) < 0)
        drain_job(job);
}

static void drain_say(struct drain *d, int64_t until_ms)
{
    if (d->bytes > 0)
        log_info("unmount", "%d files with %llu bytes are still to be stored; waiting %lld s",
                 d->files, (unsigned long long)d->bytes, (long long)(until_ms - clock_ms()) / 1000);
}

/* Waits until nothing is left or the time is over. */
static bool drain_wait_locked(struct drain *d, int64_t until_ms)
{
    int64_t say_ms = clock_ms();
    while (d->files > 0 && clock_ms() < until_ms) {
        if (clock_ms() >= say_ms) {
            drain_say(d, until_ms);
            say_ms = clock_ms() + DRAIN_SAY_MS;
        }
        (void)lock_cond_wait_until(&d->fewer, &d->mu, MIN(say_ms, until_ms));
    }
    return d->files == 0;
}

void drain(struct fs *fs, int64_t timeout_ms)
{
    struct drain d = {.fs = fs, .mu = PTHREAD_MUTEX_INITIALIZER};
    lock_cond_init(&d.fewer);
    writer_each(fs, drain_writer, &d);
    (void)pthread_mutex_lock(&d.mu);
    if (!drain_wait_locked(&d, clock_ms() + (timeout_ms > 0 ? timeout_ms : DRAIN_TIMEOUT_MS))) {
        log_error("unmount", "the store did not take %llu bytes in time: they are kept for later",
                  (unsigned long long)d.bytes);
        store_shutdown(fs->store);
        while (d.files > 0) /* soon: nothing waits for the store any more */
            (void)pthread_cond_wait(&d.fewer, &d.mu);
    }
    (void)pthread_mutex_unlock(&d.mu);
    store_shutdown(fs->store); /* look-ups and reads that nobody waits for */
    (void)pthread_cond_destroy(&d.fewer);
    (void)pthread_mutex_destroy(&d.mu);
}
