#include "fs/ops.h"

#include "base/log.h"
#include "fs/handle.h"
#include "fs/resolve.h"
#include "fs/virtual.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Listing directories. Positions, as the kernel sees them:
 *
 *   0, 1   "." and ".."
 *   2      header.json of a matrix (skipped elsewhere)
 *   3 + i  entry i of the listing
 *   then   names that only this mount knows: scratch files, directories made here, its own files */

enum { OPS_DIR_HEADER = 2, OPS_DIR_ENTRIES = 3 };

/* One entry on its way to the kernel. */
struct ops_entry {
    const char *name;
    bool is_dir, is_header;
    const struct listing_entry *listed; /* NULL for names that are not in the listing */
    struct writer *scratch;             /* borrowed under fs->mu, or NULL */
};

/* A reply to READDIR or READDIRPLUS being put together. */
struct ops_page {
    fuse_req_t req; /* see fs/op.h */
    struct handle *h;
    bool plus;
    double hold_s; /* how long the kernel may trust what a listing said */
    char *data;
    size_t size, used;
    struct buf nodes; /* nodeids that count a look-up: to be undone if the page is not sent */
};

/* A matrix whose header is known is listed while the pages come in; of anything else one must have
 * seen all names to know what they mean. */
static int ops_opendir_list(struct folder *d, struct listing **ret, struct head **ret_head,
                            struct err *err)
{
    bool matrix;
    int r = 0;
    {
        LOCK_SCOPE(&d->fs->mu);
        matrix = d->kind == FOLDER_MATRIX;
    }
    if (matrix) {
        r = folder_load(d, FS_FRESH_MS, err);
        if (r < 0)
            return r;
        LOCK_SCOPE(&d->fs->mu);
        matrix = d->kind == FOLDER_MATRIX;
    }
    if (!matrix)
        resolve_settle(d, NULL);
    r = matrix ? folder_list(d, ret) : folder_scan(d, ret, err);
    LOCK_SCOPE(&d->fs->mu);
    *ret_head = head_ref(d->head);
    return r;
}

/* Lists a directory, for a new handle. Blocks. */
static int ops_list(struct node *n, struct handle **ret)
{
    struct listing *l = NULL;
    struct head *head = NULL;
    struct err err = {0};
    int r = ops_opendir_list(n->dir, &l, &head, &err);
    if (r == 0) {
        LOCK_SCOPE(&n->fs->mu);
        *ret = handle_new_locked(n, HANDLE_DIR);
        r = *ret ? 0 : -ENOMEM;
    }
    if (r == 0) {
        (*ret)->listing = l;
        (*ret)->head = head;
        (*ret)->read_to = -1;
        return 0;
    }
    listing_unref(l);
    head_unref(head);
    if (r != -ENOENT)
        (void)fs_refuse(r, "list", n->dir->path, &err);
    return r;
}

static void ops_opendir_job(void *arg)
{
    struct ops_job *job = arg;
    struct handle *h = NULL;
    int r = ops_list(job->node, &h);
    if (r < 0) {
        ops_job_err(job, r);
        return;
    }
    struct wire_open open = {.fh = (uint64_t)(uintptr_t)h};
    if (!op_take(job->op) || wire_reply_open(op_req(job->op), &open) < 0)
        handle_free(h);
    ops_job_free(job);
}

void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    ops_submit(&(struct ops_call){
        .req = req, .pool = ops_fs(req)->names, .fn = ops_opendir_job, .ino = ino});
}

/* The names that no listing has: each a letter, the name, a NUL. */
struct ops_extra {
    struct handle *h;
    int code; /* -ENOMEM: one is missing */
};

static void ops_add_extra(struct ops_extra *x, const char *letter, const char *name)
{
    struct buf *to = &x->h->extra;
    int r = buf_reserve(to, strlen(name) + 2);
    if (r == 0)
        r = buf_puts(to, letter);
    if (r == 0)
        r = buf_append(to, name, strlen(name) + 1);
    if (r == -ENOMEM) /* what is too much is left out */
        x->code = r;
}

static void ops_add_local(void *arg, const char *name, struct folder *child)
{
    struct ops_extra *x = arg;
    struct listing_entry e;
    (void)child;
    if (!listing_find(x->h->listing, name, &e) &&
        (x->h->node->dir->path[0] != '\0' || strcmp(name, ".bmfs") != 0))
        ops_add_extra(x, "d", name);
}

/* Gathers them once for a handle. 0 or -ENOMEM. */
static int ops_gather_extra(struct fs *fs, struct handle *h)
{
    LOCK_SCOPE(&fs->mu); /* a read that was interrupted may be at it still */
    if (h->extra_done)
        return 0;
    struct ops_extra x = {.h = h};
    struct folder *d = h->node->dir;
    const char *name = NULL;
    for (size_t i = 0; (name = virtual_name(d->path, i)); i++)
        ops_add_extra(&x, "v", name);
    folder_each_local_locked(d, ops_add_local, &x);
    for (struct writer *w = d->writers; w; w = w->next) {
        if (w->place.kind == PLACE_SCRATCH)
            ops_add_extra(&x, "s", w->name);
    }
    if (x.code < 0)
        buf_clear(&h->extra);
    h->extra_done = x.code == 0;
    return x.code;
}

/* Finds or makes the node of an entry, counts it as looked up, and says how long it holds. */
static bool ops_entry_node_locked(struct folder *d, const struct ops_entry *e, double hold_s,
                                  struct head *head, struct found *ret)
{
    struct node *n = NULL;
    if (e->is_header) {
        n = d->head == head ? node_header_locked(d, head) : NULL;
    } else if (e->is_dir) {
        struct folder *child = folder_get_child_locked(d, e->name);
        n = child ? node_dir_locked(child) : NULL;
        if (child) {
            folder_seen_locked(child);
            folder_unref_locked(child);
        }
    } else if (e->listed) {
        struct store_stat stat = {.size = e->listed->size, .mtime_ns = e->listed->mtime_ns};
        (void)snprintf(stat.etag, sizeof(stat.etag), "%s", e->listed->etag);
        n = node_object_locked(d, e->listed->name, NAME_OBJECT, &stat, stat.size);
    }
    if (!n)
        return false;
    n->lookups++;
    node_stays_locked(n);
    *ret = (struct found){.node = n, .entry_s = hold_s, .attr_s = e->is_dir ? hold_s : 86400};
    return true;
}

/* Whether a listed name still is what the listing says: not changed by this mount since. */
static bool ops_entry_holds_locked(struct folder *d, const struct ops_entry *e)
{
    struct listing_entry now;
    if (!e->listed || !d->listing || d->fs->conf.immutable)
        return true;
    return !listing_done(d->listing) || listing_find(d->listing, e->listed->name, &now);
}

/* The inode number of an entry: that of its node, whether it has one or not. */
static uint64_t ops_entry_ino(struct folder *d, const struct ops_entry *e)
{
    CLEANUP(freep) char *path = NULL;
    if (e->is_header)
        return node_ino(d->fs, d->path, "header", true);
    if (!e->is_dir)
        return node_ino(d->fs, d->path, e->listed ? e->listed->name : e->name, false);
    if (asprintf(&path, "%s%s/", d->path, e->name) < 0)
        return d->ino;
    return node_ino(d->fs, path, "", false);
}

/* Adds one entry; false when the page is full. */
static bool ops_page_add(struct ops_page *p, const struct ops_entry *e, off_t next)
{
    struct fs *fs = p->h->node->fs;
    struct fuse_entry_param param = {0};
    struct found f = {0};
    struct folder *d = p->h->node->dir;
    size_t room = p->size - p->used;
    bool dots = next <= OPS_DIR_HEADER;
    param.attr.st_mode = e->is_dir ? S_IFDIR : S_IFREG;
    param.attr.st_ino = dots ? d->ino : ops_entry_ino(d, e);
    if (!p->plus) {
        size_t n = fuse_add_direntry(p->req, p->data + p->used, room, e->name, &param.attr, next);
        p->used += n <= room ? n : 0;
        return n <= room;
    }
    if (!dots) {
        LOCK_SCOPE(&fs->mu);
        if (ops_entry_holds_locked(d, e) &&
            ops_entry_node_locked(d, e, p->hold_s, p->h->head, &f)) {
            param.ino = node_id(f.node);
            param.entry_timeout = f.entry_s;
            param.attr_timeout = f.attr_s;
            node_stat_locked(f.node, &param.attr);
        }
    }
    if (f.node && buf_reserve(&p->nodes, sizeof(param.ino)) < 0) {
        found_drop(&f); /* the name alone, then: the kernel looks it up */
        f = (struct found){0};
        param.ino = 0;
    }
    size_t n = fuse_add_direntry_plus(p->req, p->data + p->used, room, e->name, &param, next);
    if (n > room) {
        found_drop(&f);
        return false;
    }
    if (f.node)
        (void)buf_append(&p->nodes, &param.ino, sizeof(param.ino));
    p->used += n;
    return true;
}

/* Undoes the look-ups of a page that did not reach the kernel. */
static void ops_page_undo(struct ops_page *p)
{
    fuse_ino_t ino = 0;
    for (size_t i = 0; i + sizeof(ino) <= p->nodes.len; i += sizeof(ino)) {
        memcpy(&ino, p->nodes.data + i, sizeof(ino));
        node_forget(p->h->node->fs, ino, 1);
    }
}

/* Adds the entry at position `at` of the part before the listing. True: go on. */
static bool ops_page_fixed(struct ops_page *p, off_t at)
{
    static const char *const dots[] = {".", ".."};
    struct ops_entry e = {.is_dir = at < OPS_DIR_HEADER};
    if (at < OPS_DIR_HEADER) {
        e.name = dots[at];
        return ops_page_add(p, &e, at + 1);
    }
    if (!p->h->head)
        return true;
    e.name = "header.json";
    e.is_header = true;
    return ops_page_add(p, &e, at + 1);
}

/* The file name of a listed entry, or NULL when it is not shown. */
static const char *ops_entry_name(struct ops_page *p, const struct listing_entry *e,
                                  char file[NAME_FILE_SIZE])
{
    const struct head *head = p->h->head;
    struct listing_entry other;
    if (e->is_dir) {
        bool own = p->h->node->dir->path[0] == '\0' && strcmp(e->name, ".bmfs") == 0;
        return own ? NULL : place_file_name(NULL, e->name, file);
    }
    if (head && strcmp(e->name, "header") == 0)
        return NULL; /* it is there as header.json */
    /* A directory hides an object of the same name. */
    if (listing_find(p->h->listing, e->name, &other) && other.is_dir)
        return NULL;
    return place_file_name(head && !head->bad ? &head->header : NULL, e->name, file);
}

/* Adds names that are in no listing, as many as fit. 0 or -ENOMEM. */
static int ops_page_extra(struct ops_page *p, size_t entries, off_t at)
{
    struct handle *h = p->h;
    int r = ops_gather_extra(h->node->fs, h);
    off_t number = OPS_DIR_ENTRIES + (off_t)entries;
    for (size_t i = 0; r == 0 && i < h->extra.len; i += strlen(h->extra.data + i) + 1, number++) {
        if (number < at)
            continue;
        struct ops_entry e = {.name = h->extra.data + i + 1, .is_dir = h->extra.data[i] == 'd'};
        if (!ops_page_add(p, &e, number + 1))
            break;
    }
    return r;
}

/* Fills a page from position `at` on. 0; -EAGAIN when the first entry has not come yet; -errno. */
static int ops_page_fill(struct ops_page *p, off_t at)
{
    struct listing_entry e;
    char file[NAME_FILE_SIZE];
    for (; at < OPS_DIR_ENTRIES; at++) {
        if (!ops_page_fixed(p, at))
            return 0;
    }
    for (size_t i = (size_t)(at - OPS_DIR_ENTRIES);; i++) {
        int r = listing_at(p->h->listing, i, &e);
        if (r == -EAGAIN)
            return p->used > 0 ? 0 : -EAGAIN;
        if (r < 0)
            return r;
        if (r == 0) {
            r = ops_page_extra(p, listing_count(p->h->listing), at);
            return p->used > 0 ? 0 : r; /* else the next page begins there */
        }
        struct ops_entry entry = {
            .name = ops_entry_name(p, &e, file), .is_dir = e.is_dir, .listed = &e};
        if (entry.name && !ops_page_add(p, &entry, OPS_DIR_ENTRIES + (off_t)i + 1))
            return 0;
    }
}

struct ops_readdir {
    struct op *op;
    struct handle *h; /* a reference: an interrupted one goes on after RELEASEDIR */
    size_t size;
    off_t off;
    bool plus;
    bool first; /* what it reads was not read before */
};

static void ops_readdir_run(void *arg);

static void ops_readdir_free(struct ops_readdir *rd)
{
    handle_free(rd->h);
    op_free(rd->op);
    free(rd);
}

/* Sends a page, or the error that came instead. */
static void ops_readdir_send(struct ops_readdir *rd, struct ops_page *p, int code)
{
    struct fs *fs = rd->h->node->fs;
    if (rd->first) /* who looks at each name does so while he reads the first time */
        listing_note_use(rd->h->listing);
    {
        LOCK_SCOPE(&fs->mu);
        rd->h->node->dir->plus_count += rd->plus;
    }
    bool mine = op_take(rd->op);
    bool sent = mine && code == 0 && fuse_reply_buf(p->req, p->data, p->used) == 0;
    if (mine && code < 0)
        (void)fuse_reply_err(p->req, fs_errno(code));
    if (!sent)
        ops_page_undo(p);
    ops_readdir_free(rd);
}

/* Answers a listing request, or waits for more of the listing. */
static void ops_readdir_run(void *arg)
{
    struct ops_readdir *rd = arg;
    CLEANUP(freep) char *data = malloc(rd->size);
    struct ops_page p = {.req = op_req(rd->op),
                         .h = rd->h,
                         .plus = rd->plus,
                         .hold_s = folder_hold(rd->h->listing),
                         .data = data,
                         .size = rd->size,
                         .nodes = BUF_INIT((size_t)1 << 20)};
    if (op_interrupted(rd->op)) {
        ops_readdir_free(rd);
        return;
    }
    size_t entries = listing_count(rd->h->listing);
    int r = data ? ops_page_fill(&p, rd->off) : -ENOMEM;
    if (r == -EAGAIN)
        r = listing_wait(rd->h->listing, entries, ops_readdir_run, rd);
    else
        r = r < 0 ? r : 1;
    if (r != 0) /* else rd belongs to the callback, which may have run already */
        ops_readdir_send(rd, &p, MIN(r, 0));
    buf_fini(&p.nodes);
}

static void ops_readdir_refuse(struct ops_readdir *rd, int code)
{
    if (op_take(rd->op))
        (void)fuse_reply_err(op_req(rd->op), fs_errno(code));
    ops_readdir_free(rd);
}

/* Lists the directory anew for a handle that is read from its beginning again, and reads that. */
static void ops_readdir_anew(void *arg)
{
    struct ops_readdir *rd = arg;
    struct handle *anew = NULL;
    struct handle *old = rd->h;
    int r = op_interrupted(rd->op) ? -EINTR : ops_list(old->node, &anew);
    if (!anew) {
        ops_readdir_refuse(rd, r);
        return;
    }
    {
        LOCK_SCOPE(&old->node->fs->mu);
        if (!op_interrupted(rd->op)) { /* else somebody may have begun anew since */
            struct handle *again = old->again;
            old->again = anew;
            anew->refs++; /* the one of this read */
            anew->read_to = 0;
            rd->h = anew;
            anew = again;
        }
    }
    handle_free(anew);
    if (rd->h == old) {
        ops_readdir_free(rd);
        return;
    }
    handle_free(old);
    ops_readdir_run(rd);
}

/* Finds what a handle reads now, of which `rd` gets a reference. True: that is from before, and too
 * old to begin with. */
static bool ops_readdir_current(struct ops_readdir *rd, struct handle *h)
{
    LOCK_SCOPE(&h->node->fs->mu);
    struct handle *now = h->again ? h->again : h;
    bool good = h->node->fs->conf.immutable || clock_ms() <= listing_good_until_ms(now->listing);
    bool anew = rd->off == 0 && now->read_to >= 0 && !good;
    rd->first = anew || rd->off > now->read_to;
    rd->h = anew ? h : now;
    rd->h->refs++;
    now->read_to = MAX(now->read_to, rd->off);
    return anew;
}

static void ops_readdir_start(fuse_req_t req, size_t size, off_t off, struct handle *h, bool plus)
{
    struct ops_readdir *rd = malloc(sizeof(*rd));
    if (!rd) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    struct fs *fs = h->node->fs;
    *rd = (struct ops_readdir){.size = size, .off = off, .plus = plus};
    bool anew = ops_readdir_current(rd, h); /* before anything answers: then `h` may go */
    rd->op = op_new(req);
    if (!rd->op) {
        ops_readdir_free(rd);
    } else if (!anew) {
        ops_readdir_run(rd);
    } else {
        int r = pool_submit(fs->names, ops_readdir_anew, rd);
        if (r < 0)
            ops_readdir_refuse(rd, r);
    }
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)ino;
    ops_readdir_start(req, size, off, handle_of(fi), false);
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    (void)ino;
    ops_readdir_start(req, size, off, handle_of(fi), true);
}

void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    handle_free(handle_of(fi));
    (void)fuse_reply_err(req, 0);
}

void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)ino;
    (void)datasync;
    (void)fi;
    (void)fuse_reply_err(req, 0);
}
