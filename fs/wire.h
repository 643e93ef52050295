#ifndef BMFS_FS_WIRE_H
#define BMFS_FS_WIRE_H

/* The parts of the kernel's FUSE protocol that libfuse 3.14 does not know.
 *
 * Three things matter to bmfs and came to libfuse later than to the kernel: parallel lookups in one
 * directory (asked for since 3.17), shared mappings of direct_io files (3.17), passthrough of reads
 * to a file of the cache (3.17). They are single bits of the INIT reply and of the replies to OPEN
 * and CREATE, so the session's reads and writes go through this file, which adds the bits that the
 * kernel offered; replies with those flags are built here. Source: the kernel's
 * include/uapi/linux/fuse.h, protocol 7.40. */

#define FUSE_USE_VERSION 312

#include "base/err.h"

#include <fuse3/fuse_lowlevel.h>

/* What the kernel and this process may use together, known once INIT was answered. */
struct wire_features {
    bool direct_io_mmap;  /* direct_io files can be mapped shared (kernel 6.6) */
    bool passthrough;     /* reads can go straight to a local file (kernel 6.9, CAP_SYS_ADMIN) */
    bool parallel_dirops; /* lookups and listings of one directory run in parallel */
};

struct wire {
    int fd; /* of /dev/fuse; borrowed from the session */
    /* set before the session starts: */
    bool want_passthrough, want_direct_io_mmap;
    struct wire_features features;
    uint64_t init_unique; /* of the INIT request under way; 0 before and after */
    uint32_t offered, offered2;
};

/* How a file is opened: the FOPEN_ flags of the protocol, and the backing file for passthrough. */
struct wire_open {
    uint64_t fh;
    bool direct_io;
    bool keep_cache;
    bool parallel_writes; /* writes beyond the end or beside each other need not wait */
    int32_t backing;      /* > 0: passthrough to this backing id; 0: none */
};

/* Routes a mounted session's traffic through `w`, which must outlive it. The session's user data
 * must start with a pointer to `w`. 0 or -errno. */
int wire_attach(struct wire *w, struct fuse_session *se, struct err *err);

/* Answers OPEN, and CREATE with its entry. Like fuse_reply_open: 0 or -errno (-ENOENT: the request
 * was interrupted, so that no RELEASE will come). */
int wire_reply_open(fuse_req_t req, const struct wire_open *open);
int wire_reply_create(fuse_req_t req, const struct fuse_entry_param *entry,
                      const struct wire_open *open);

#endif
