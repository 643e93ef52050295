#ifndef BMFS_FS_PROOF_H
#define BMFS_FS_PROOF_H

/* Whether the bytes that came of a version are those that were stored.
 *
 * An object that bmfs wrote carries the CRC-32C of its body. Of one that others wrote in one piece
 * most servers tell the MD5 sum: it is the ETag (Amazon S3 API Reference, "Object"), unless keys of
 * the user's encrypt it. No server says that it is one of these, so it is learnt. The first ETag
 * that is the sum of its object shows that they are. Until then an object whose ETag is not its sum
 * is fetched once more: bytes that come the same twice are what is stored. A second such object
 * shows that the ETags are something else. What was learnt stays. */

#include "base/buf.h"
#include "base/err.h"
#include "s3/store.h"

/* What is known of a store's ETags; shared by all threads. Starts as zeros. */
struct proof_etags {
    _Atomic int kind;
    _Atomic uint64_t doubt; /* a hash of the first object whose ETag is not its sum; 0: none yet */
};

/* Sums of bytes, fed in order. Starts as zeros; one thread at a time. */
struct proof {
    uint64_t done; /* bytes so far */
    uint32_t crc;  /* their CRC-32C */
    void *md5;     /* owned; NULL: not summed */
    int error;     /* what went wrong while summing */
};

/* Sums the bytes of a file up to `to`. A failure is kept for proof_judge(). */
void proof_feed(struct proof *p, const struct proof_etags *etags, const struct store_stat *stat,
                int fd, uint64_t to);

/* Once all is summed. 0; -EBADMSG, saying what differs; -EIO when the file did not give back what
 * was put there; or what the store answered when it was asked again. May wait for it. */
int proof_judge(struct proof *p, struct proof_etags *etags, struct store *store, const char *key,
                const struct store_stat *stat, struct err *err);

/* The same for all bytes of an object in memory. */
int proof_bytes(struct proof_etags *etags, struct store *store, const char *key,
                const struct store_stat *stat, const struct buf *bytes, struct err *err);

/* Fits CLEANUP. */
void proof_fini(struct proof *p);

#endif
