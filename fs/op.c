#include "fs/op.h"

#include "base/lock.h"
#include "fs/waiter.h"

#include <errno.h>
#include <stdlib.h>

/* One mutex for the `answered` flags of all ops. It is held for a few instructions only, and it is
 * what makes freeing safe: an interrupt callback that has set the flag touches its op no more, and
 * op_take() can only see the flag after the callback let go of the mutex. */
static pthread_mutex_t op_mu = PTHREAD_MUTEX_INITIALIZER;

struct op {
    fuse_req_t req;
    /* guarded by op_mu: */
    bool registering; /* op_new() has not returned */
    bool answered;
    bool interrupted;
};

/* libfuse calls this on another thread with the request pinned; or, for a request that was already
 * interrupted, from within its registration, where a reply would free the request under libfuse's
 * hands: then op_new() answers. */
static void op_interrupt(fuse_req_t req, void *data)
{
    struct op *op = data;
    if (!waiter_is_signalled(fuse_req_ctx(req)->pid))
        return;
    {
        LOCK_SCOPE(&op_mu);
        if (op->answered)
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
    struct op *op = calloc(1, sizeof(*op));
    if (!op) {
        (void)fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    op->req = req;
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
