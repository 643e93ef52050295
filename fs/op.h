#ifndef BMFS_FS_OP_H
#define BMFS_FS_OP_H

/* A FUSE request whose answer needs time: it waits for the store, or for another request.
 *
 * No thread that reads requests from the kernel ever waits; it hands the request to a pool as an
 * `op`. An op is answered exactly once, by whoever is first: the job that does the work, or the
 * kernel's INTERRUPT (a signal to the waiting process, see fs/waiter.h), which answers EINTR at
 * once while the work goes on for the benefit of the cache.
 *
 * What the kernel keeps alive for a request (nodes, handles) it keeps only until the answer, which
 * an INTERRUPT may give at any moment after op_new(): who goes on with such a thing holds a
 * reference that was taken before. `req` itself is of no use to anybody but who has taken the op.
 *
 * Ownership: an op belongs to the job it was given to. That job calls op_take() before it answers;
 * true means that the request is the job's to answer, and must be answered. */

#define FUSE_USE_VERSION 312

#include "base/util.h"

#include <fuse3/fuse_lowlevel.h>

struct op;

/* Takes over `req`. NULL when memory is short; the request has then been answered with ENOMEM, or
 * by op_try() not at all. */
struct op *op_new(fuse_req_t req);
struct op *op_try(fuse_req_t req);

/* Claims the right to answer. True: answer op_req() with one fuse_reply_ call, then op_free().
 * False: an interrupt has answered; op_free() without a reply. */
bool op_take(struct op *op);

fuse_req_t op_req(const struct op *op);

/* True once an interrupt has answered: the work is no longer waited for. */
bool op_interrupted(const struct op *op);

/* Takes, answers with an errno value (0: success without data) and frees. */
void op_reply_err(struct op *op, int code);

void op_free(struct op *op);

/* Before the session goes, once every op has been freed: waits for answers that are under way. */
void op_quiesce(void);

#endif
