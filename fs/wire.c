#include "fs/wire.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
enum {
    WIRE_INIT2_DIRECT_IO_ALLOW_MMAP = 1 << 4, /* bit 36 of the flags */
    WIRE_INIT2_PASSTHROUGH = 1 << 5,          /* bit 37 */
    WIRE_FOPEN_PASSTHROUGH = 1 << 7,
    WIRE_STACK_DEPTH = 2, /* 1 would refuse a cache on overlayfs, that is in most containers */
};

struct wire_init_out { /* struct fuse_init_out since protocol 7.40 */
    uint32_t major, minor;
    uint32_t max_readahead;
    uint32_t flags;
    uint16_t max_background, congestion_threshold;
    uint32_t max_write;
    uint32_t time_gran;
    uint16_t max_pages, map_alignment;
    uint32_t flags2;
    uint32_t max_stack_depth;
    uint32_t unused[6];
};

static struct wire *wire_of(void *userdata)
{
    return *(struct wire **)userdata;
}

/* Remembers what the kernel offers. */
static void wire_see_init(struct wire *w, const void *request, size_t len)
{
    struct fuse_in_header head;
    struct fuse_init_in init = {0};
    if (len < sizeof(head))
        return;
    memcpy(&head, request, sizeof(head));
    if (head.opcode != FUSE_INIT)
        return;
    memcpy(&init, (const char *)request + sizeof(head), MIN(len - sizeof(head), sizeof(init)));
    w->init_unique = head.unique;
    w->offered = init.flags;
    w->offered2 = init.flags & FUSE_INIT_EXT ? init.flags2 : 0;
}

static ssize_t wire_read(int fd, void *buf, size_t len, void *userdata)
{
    ssize_t n = read(fd, buf, len);
    struct wire *w = wire_of(userdata);
    if (n > 0 && !w->features.parallel_dirops && w->init_unique == 0)
        wire_see_init(w, buf, (size_t)n);
    return n;
}

/* Adds what libfuse does not ask for to its answer. */
static void wire_amend_init(struct wire *w, struct wire_init_out *out)
{
    if (w->offered & FUSE_PARALLEL_DIROPS) {
        out->flags |= FUSE_PARALLEL_DIROPS;
        w->features.parallel_dirops = true;
    }
    if ((w->offered2 & WIRE_INIT2_DIRECT_IO_ALLOW_MMAP) && w->want_direct_io_mmap) {
        out->flags2 |= WIRE_INIT2_DIRECT_IO_ALLOW_MMAP;
        w->features.direct_io_mmap = true;
    }
    if ((w->offered2 & WIRE_INIT2_PASSTHROUGH) && w->want_passthrough) {
        out->flags2 |= WIRE_INIT2_PASSTHROUGH;
        out->max_stack_depth = WIRE_STACK_DEPTH;
        w->features.passthrough = true;
    }
    if (out->flags2)
        out->flags |= FUSE_INIT_EXT;
}

static ssize_t wire_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct wire *w = wire_of(userdata);
    struct fuse_out_header head;
    struct wire_init_out init;
    if (w->init_unique == 0 || count != 2 || iov[0].iov_len != sizeof(head))
        return writev(fd, iov, count);
    memcpy(&head, iov[0].iov_base, sizeof(head));
    if (head.unique != w->init_unique || head.error != 0 || iov[1].iov_len < sizeof(init))
        return writev(fd, iov, count);
    memcpy(&init, iov[1].iov_base, sizeof(init));
    wire_amend_init(w, &init);
    w->init_unique = 0;
    struct iovec amended[2] = {iov[0], {&init, sizeof(init)}};
    head.len = (uint32_t)(sizeof(head) + sizeof(init));
    amended[0].iov_base = &head;
    return writev(fd, amended, 2);
}

int wire_attach(struct wire *w, struct fuse_session *se, struct err *err)
{
    static const struct fuse_custom_io io = {.writev = wire_writev, .read = wire_read};
    w->fd = fuse_session_fd(se);
    int r = fuse_session_custom_io(se, &io, w->fd);
    return r < 0 ? err_errno(err, r, "cannot use the FUSE connection") : 0;
}

static struct fuse_open_out wire_open_out(const struct wire_open *open)
{
    struct fuse_open_out out = {.fh = open->fh};
    if (open->direct_io)
        out.open_flags |= FOPEN_DIRECT_IO;
    if (open->keep_cache)
        out.open_flags |= FOPEN_KEEP_CACHE;
    if (open->parallel_writes)
        out.open_flags |= FOPEN_PARALLEL_DIRECT_WRITES;
    if (open->backing > 0) {
        out.open_flags |= WIRE_FOPEN_PASSTHROUGH;
        memcpy(&out.padding, &open->backing, sizeof(out.padding)); /* named backing_id since 7.40 */
    }
    return out;
}

int wire_reply_open(fuse_req_t req, const struct wire_open *open)
{
    struct fuse_open_out out = wire_open_out(open);
    return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

static void wire_time(struct timespec ts, uint64_t *sec, uint32_t *nsec)
{
    *sec = (uint64_t)ts.tv_sec;
    *nsec = (uint32_t)ts.tv_nsec;
}

/* A time in seconds as the protocol splits it. */
static void wire_timeout(double seconds, uint64_t *sec, uint32_t *nsec)
{
    seconds = MIN(MAX(seconds, 0.0), 1e9);
    *sec = (uint64_t)seconds;
    *nsec = (uint32_t)((seconds - (double)*sec) * 1e9);
}

static struct fuse_entry_out wire_entry_out(const struct fuse_entry_param *entry)
{
    const struct stat *st = &entry->attr;
    struct fuse_entry_out out = {.nodeid = entry->ino, .generation = entry->generation};
    wire_timeout(entry->entry_timeout, &out.entry_valid, &out.entry_valid_nsec);
    wire_timeout(entry->attr_timeout, &out.attr_valid, &out.attr_valid_nsec);
    out.attr.ino = st->st_ino;
    out.attr.size = (uint64_t)st->st_size;
    out.attr.blocks = (uint64_t)st->st_blocks;
    wire_time(st->st_atim, &out.attr.atime, &out.attr.atimensec);
    wire_time(st->st_mtim, &out.attr.mtime, &out.attr.mtimensec);
    wire_time(st->st_ctim, &out.attr.ctime, &out.attr.ctimensec);
    out.attr.mode = st->st_mode;
    out.attr.nlink = (uint32_t)st->st_nlink;
    out.attr.uid = st->st_uid;
    out.attr.gid = st->st_gid;
    out.attr.blksize = (uint32_t)st->st_blksize;
    return out;
}

int wire_reply_create(fuse_req_t req, const struct fuse_entry_param *entry,
                      const struct wire_open *open)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out = {wire_entry_out(entry), wire_open_out(open)};
    return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}
