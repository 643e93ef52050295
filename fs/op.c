#include "fs/op.h"

#include "base/lock.h"
#include "fs/waiter.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

enum { OP_TICK_NS = 200000000 }; /* how soon a second signal is heard */

struct op {
    fuse_req_t req;
    pid_t waiter; /* the thread that waits for the answer */
    /* guarded by op_mu: */
    bool registering; /* op_new() has not returned */
    bool answered;
    bool interrupted;
    bool stopped; /* in op_stopped */
    struct op *next, **at;
};

/* One mutex for the `answered` flags of all ops. It is held for a few instructions only (and for a
 * look at /proc while a process is stopped), and it is what makes freeing safe: an interrupt that
 * has set the flag touches its op no more, and op_take() can only see the flag after it let go of
 * the mutex. */
static pthread_mutex_t op_mu = PTHREAD_MUTEX_INITIALIZER;
/* guarded by op_mu: */
static struct op *op_stopped; /* whose one INTERRUPT was spent on a stop */
static bool op_ticks;         /* there is a thread that looks at them */
static bool op_answers;       /* and it answers one */
static pthread_cond_t op_answered = PTHREAD_COND_INITIALIZER;

static void op_leave_locked(struct op *op)
{
    if (!op->stopped)
        return;
    op->stopped = false;
    *op->at = op->next;
    if (op->next)
        op->next->at = op->at;
}

/* One that a signal has reached by now: the caller answers its request. NULL when there is none. */
static fuse_req_t op_signalled_locked(void)
{
    for (struct op *op = op_stopped; op; op = op->next) {
        if (op->registering || !waiter_is_signalled(op->waiter))
            continue;
        op_leave_locked(op);
        op->answered = op->interrupted = true;
        return op->req;
    }
    return NULL;
}

/* The kernel interrupts a request once. Where that was for a stop, later signals are looked for. */
static void *op_tick(void *unused)
{
    static const struct timespec tick = {.tv_nsec = OP_TICK_NS};
    (void)unused;
    (void)pthread_setname_np(pthread_self(), "stopped");
    for (;;) {
        fuse_req_t req = NULL;
        {
            LOCK_SCOPE(&op_mu);
            req = op_signalled_locked();
            op_answers = req;
            op_ticks = op_stopped || req;
            if (!op_ticks)
                return NULL;
        }
        if (!req) {
            (void)nanosleep(&tick, NULL);
            continue;
        }
        fuse_req_interrupt_func(req, NULL, NULL); /* waits for a callback that runs right now */
        (void)fuse_reply_err(req, EINTR);
        LOCK_SCOPE(&op_mu);
        op_answers = false;
        (void)pthread_cond_broadcast(&op_answered);
    }
}

void op_quiesce(void)
{
    LOCK_SCOPE(&op_mu);
    while (op_answers)
        (void)pthread_cond_wait(&op_answered, &op_mu);
}

/* False when nobody would hear a later signal. */
static bool op_wait_on_locked(struct op *op)
{
    pthread_t thread;
    if (!op_ticks && pthread_create(&thread, NULL, op_tick, NULL) != 0)
        return false;
    if (!op_ticks)
        (void)pthread_detach(thread);
    op_ticks = true;
    if (op->stopped)
        return true;
    op->stopped = true;
    op->at = &op_stopped;
    op->next = op_stopped;
    if (op->next)
        op->next->at = &op->next;
    op_stopped = op;
    return true;
}

/* libfuse calls this on another thread with the request pinned; or, for a request that was already
 * interrupted, from within its registration, where a reply would free the request under libfuse's
 * hands: then op_new() answers. */
static void op_interrupt(fuse_req_t req, void *data)
{
    struct op *op = data;
    {
        LOCK_SCOPE(&op_mu);
        if (op->answered)
            return;
        if (!waiter_is_signalled(op->waiter) && op_wait_on_locked(op))
            return;
        op->interrupted = true;
        if (op->registering)
            return;
        op->answered = true;
    }
    (void)fuse_reply_err(req, EINTR);
}

/* Ends the registration; true when an interrupt came meanwhile and is op_new()'s to answer. */
static bool op_registered(struct op *op)
{
    LOCK_SCOPE(&op_mu);
    op->registering = false;
    op->answered = op->interrupted;
    return op->interrupted;
}

struct op *op_new(fuse_req_t req)
{
    struct op *op = op_try(req);
    if (!op)
        (void)fuse_reply_err(req, ENOMEM);
    return op;
}

struct op *op_try(fuse_req_t req)
{
    struct op *op = calloc(1, sizeof(*op));
    if (!op)
        return NULL;
    op->req = req;
    op->waiter = fuse_req_ctx(req)->pid;
    op->registering = true;
    fuse_req_interrupt_func(req, op_interrupt, op);
    if (op_registered(op))
        (void)fuse_reply_err(req, EINTR);
    return op;
}

bool op_take(struct op *op)
{
    {
        LOCK_SCOPE(&op_mu);
        if (op->answered)
            return false;
        op->answered = true;
        op_leave_locked(op);
    }
    /* Waits for a callback that runs right now; afterwards none will start. */
    fuse_req_interrupt_func(op->req, NULL, NULL);
    return true;
}

fuse_req_t op_req(const struct op *op)
{
    return op->req;
}

bool op_interrupted(const struct op *op)
{
    LOCK_SCOPE(&op_mu);
    return op->interrupted;
}

void op_reply_err(struct op *op, int code)
{
    if (op_take(op))
        (void)fuse_reply_err(op->req, code < 0 ? -code : code);
    op_free(op);
}

void op_free(struct op *op)
{
    free(op);
}
