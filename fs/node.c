#include "fs/node.h"

#include "fs/virtual.h"
#include "fs/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NODE_BUCKETS = 65536 /* a power of two */ };

struct node_table {
    struct node *bucket[NODE_BUCKETS];  /* NODE_OBJECT by directory and object name */
    struct node *root;                  /* nodeid 1 */
    struct node *moved[NODE_MOVED_MAX]; /* with a moved_dir: a ring; borrowed */
    unsigned moved_next;                /* slot of it, modulo its size */
};

/* FNV-1a over several texts, each with its NUL. */
static uint64_t node_hash(uint64_t hash, const char *text)
{
    do {
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
    } while (*text++);
    return hash;
}

uint64_t node_ino(struct fs *fs, const char *dir_path, const char *name, bool lowest)
{
    uint64_t hash = node_hash(0xcbf29ce484222325ULL, store_id(fs->store));
    hash = node_hash(hash, fs->conf.prefix);
    hash = node_hash(node_hash(hash, dir_path), name);
    /* Positive as a signed number, and never one of the small numbers that mean something. */
    hash = (hash >> 3) | 1ULL << 32;
    return lowest ? hash : hash | 1ULL << 61;
}

int node_table_init(struct fs *fs)
{
    fs->nodes = calloc(1, sizeof(*fs->nodes));
    struct folder *dir = fs->nodes ? folder_get_locked(fs, "") : NULL;
    if (!dir)
        return -ENOMEM;
    fs->nodes->root = node_dir_locked(dir);
    folder_unref_locked(dir);
    if (!fs->nodes->root)
        return -ENOMEM;
    fs->nodes->root->refs++;
    return 0;
}

static void node_destroy(struct node *n)
{
    head_unref(n->head);
    free(n->mismatch);
    free(n->moved_name);
    free(n);
}

void node_table_fini(struct fs *fs)
{
    for (size_t i = 0; fs->nodes && i < NODE_BUCKETS; i++) {
        while (fs->nodes->bucket[i]) {
            struct node *n = fs->nodes->bucket[i];
            fs->nodes->bucket[i] = n->next;
            node_destroy(n);
        }
    }
    free(fs->nodes);
}

struct node *node_of(struct fs *fs, fuse_ino_t ino)
{
    /* The kernel only names nodes that it was given and has not forgotten. */
    return ino == FUSE_ROOT_ID ? fs->nodes->root
                               : (struct node *)(uintptr_t)ino; // NOLINT(performance-no-int-to-ptr)
}

fuse_ino_t node_id(const struct node *n)
{
    return n == n->fs->nodes->root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)n;
}

static struct node **node_slot_locked(struct folder *d, const char *obj)
{
    uint64_t hash = node_hash(d->ino, obj);
    return &d->fs->nodes->bucket[(hash ^ hash >> 32) & (NODE_BUCKETS - 1)];
}

static struct node *node_make_locked(struct folder *d, enum node_kind kind, const char *name,
                                     const char *etag)
{
    size_t name_size = strlen(name) + 1;
    size_t etag_size = strlen(etag) + 1;
    struct node *n = calloc(1, sizeof(*n) + name_size + etag_size);
    if (!n)
        return NULL;
    n->fs = d->fs;
    n->kind = kind;
    n->dir = folder_ref_locked(d);
    memcpy(n->text, name, name_size);
    memcpy(n->text + name_size, etag, etag_size);
    n->etag = n->text + name_size;
    struct node **slot = node_slot_locked(d, name);
    n->next = *slot;
    *slot = n;
    return n;
}

struct node *node_dir_locked(struct folder *d)
{
    if (d->node)
        return d->node;
    struct node *n = node_make_locked(d, NODE_DIR, "", "");
    if (!n)
        return NULL;
    n->ino = d->ino;
    d->node = n;
    return n;
}

struct node *node_object_locked(struct folder *d, const char *obj, enum name_view view,
                                const struct store_stat *stat, uint64_t view_size)
{
    static const char *const suffix[] = {
        [NAME_OBJECT] = "", [NAME_RAW] = "/raw", [NAME_RAW_F] = "/F"};
    struct node *n = node_version_locked(d, obj, view, stat->etag);
    if (n)
        return n;
    n = node_make_locked(d, NODE_OBJECT, obj, stat->etag);
    if (!n)
        return NULL;
    char name[NAME_OBJECT_SIZE + 8];
    (void)snprintf(name, sizeof(name), "%s%s", obj, suffix[view]);
    n->ino = node_ino(d->fs, d->path, name, false);
    n->view = view;
    n->size = view_size;
    n->object_size = stat->size;
    n->mtime_ns = stat->mtime_ns;
    return n;
}

struct node *node_header_locked(struct folder *d, struct head *head)
{
    for (struct node *n = *node_slot_locked(d, "header"); n; n = n->next) {
        if (n->kind == NODE_HEADER && n->dir == d && n->head == head)
            return n;
    }
    struct node *n = node_make_locked(d, NODE_HEADER, "header", "");
    if (!n)
        return NULL;
    n->ino = node_ino(d->fs, d->path, "header", true);
    n->head = head_ref(head);
    n->size = head->text.len;
    n->mtime_ns = head->stored ? head->stat.mtime_ns : d->fs->begun_ns;
    return n;
}

struct node *node_writer_locked(struct writer *w)
{
    if (w->node)
        return w->node;
    struct node *n = node_make_locked(w->dir, NODE_WRITER, w->name, "");
    if (!n)
        return NULL;
    n->ino = w->ino;
    n->writer = w;
    writer_ref_locked(w);
    w->node = n;
    return n;
}

struct node *node_virtual_locked(struct folder *d, int virtual_id, const char *name)
{
    for (struct node *n = *node_slot_locked(d, name); n; n = n->next) {
        if (n->kind == NODE_VIRTUAL && n->dir == d && n->virtual_id == virtual_id)
            return n;
    }
    struct node *n = node_make_locked(d, NODE_VIRTUAL, name, "");
    if (!n)
        return NULL;
    n->ino = node_ino(d->fs, d->path, name, false);
    n->virtual_id = virtual_id;
    return n;
}

/* Not one that a rename took to another name: the kernel's entry has gone with it, also where the
 * very same bytes come to the old name again. */
struct node *node_version_locked(struct folder *d, const char *obj, enum name_view view,
                                 const char *etag)
{
    struct node *best = NULL;
    for (struct node *n = *node_slot_locked(d, obj); n; n = n->next) {
        bool here = n->kind == NODE_OBJECT && n->dir == d && n->view == view && !n->moved_dir;
        if (here && strcmp(n->text, obj) == 0 && (!etag || strcmp(n->etag, etag) == 0) &&
            (!best || n->checked_ms > best->checked_ms))
            best = n;
    }
    return best;
}

struct store_stat node_object_stat(const struct node *n)
{
    struct store_stat stat = {.size = n->object_size, .mtime_ns = n->mtime_ns};
    (void)snprintf(stat.etag, sizeof(stat.etag), "%s", n->etag);
    return stat;
}

struct node *node_recent_locked(struct folder *d, const char *obj, enum name_view view,
                                int64_t age_ms)
{
    struct node *n = node_version_locked(d, obj, view, NULL);
    if (!n || n->checked_ms == 0)
        return NULL;
    return d->fs->conf.immutable || clock_ms() - n->checked_ms <= age_ms ? n : NULL;
}

void node_unsettle_locked(struct folder *d, const char *obj)
{
    for (struct node *n = *node_slot_locked(d, obj); n; n = n->next) {
        if (n->dir == d && strcmp(n->text, obj) == 0) {
            n->checked_ms = 0;
            n->token_tid = 0;
        }
    }
}

void node_stays_locked(struct node *n)
{
    if (!n->moved_dir)
        return;
    n->fs->nodes->moved[n->moved_slot] = NULL;
    folder_unref_locked(n->moved_dir);
    n->moved_dir = NULL;
    free(n->moved_name);
    n->moved_name = NULL;
}

/* Without memory nothing is remembered: an open may then be answered with ESTALE once. */
static void node_set_moved_locked(struct node *n, struct folder *to, const char *name)
{
    struct node_table *t = n->fs->nodes;
    node_stays_locked(n);
    n->moved_name = strdup(name);
    if (!n->moved_name)
        return;
    n->moved_dir = folder_ref_locked(to);
    n->moved_slot = t->moved_next++ % NODE_MOVED_MAX;
    if (t->moved[n->moved_slot])
        node_stays_locked(t->moved[n->moved_slot]);
    t->moved[n->moved_slot] = n;
}

void node_moved_locked(const struct node_move *move)
{
    struct folder *d = move->dir;
    for (size_t i = 0; i < NODE_MOVED_MAX; i++) { /* what came here by a rename goes on */
        struct node *n = d->fs->nodes->moved[i];
        if (n && n->moved_dir == d && strcmp(n->moved_name, move->name) == 0)
            node_set_moved_locked(n, move->to_dir, move->to_name);
    }
    for (struct node *n = *node_slot_locked(d, move->obj); n; n = n->next) {
        bool here = n->kind == NODE_OBJECT && n->dir == d && !n->moved_dir;
        if (here && strcmp(n->text, move->obj) == 0)
            node_set_moved_locked(n, move->to_dir, move->to_name);
    }
}

void node_checked_locked(struct node *n, pid_t tid)
{
    n->checked_ms = clock_ms();
    folder_seen_locked(n->dir);
    n->token_tid = tid;
    n->token_ms = n->checked_ms;
    n->token_plus = n->dir->plus_count;
}

bool node_use_token_locked(struct node *n, pid_t tid)
{
    bool good = n->token_tid == tid && tid != 0 && n->token_plus == n->dir->plus_count &&
                clock_ms() - n->token_ms <= FS_FRESH_MS;
    if (n->token_tid == tid)
        n->token_tid = 0;
    return good;
}

void node_drop_locked(struct node *n)
{
    if (n->lookups > 0 || n->refs > 0)
        return;
    struct node **slot = node_slot_locked(n->dir, n->text);
    while (*slot && *slot != n)
        slot = &(*slot)->next;
    if (*slot)
        *slot = n->next;
    if (n->kind == NODE_DIR)
        n->dir->node = n->dir->node == n ? NULL : n->dir->node;
    if (n->kind == NODE_WRITER) {
        n->writer->node = NULL;
        writer_unref_locked(n->writer);
    }
    node_stays_locked(n);
    folder_unref_locked(n->dir);
    node_destroy(n);
}

void node_forget(struct fs *fs, fuse_ino_t ino, uint64_t count)
{
    LOCK_SCOPE(&fs->mu);
    struct node *n = node_of(fs, ino);
    n->lookups -= MIN(n->lookups, count);
    node_drop_locked(n);
}

void node_unref(struct node *n)
{
    LOCK_SCOPE(&n->fs->mu);
    n->refs--;
    node_drop_locked(n);
}

static struct timespec node_time(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

void node_stat_locked(struct node *n, struct stat *st)
{
    const struct fs_conf *conf = &n->fs->conf;
    uint64_t size = n->size;
    int64_t mtime_ns = n->mtime_ns;
    mode_t mode = S_IFREG | 0666;
    if (n->kind == NODE_DIR) {
        mode = S_IFDIR | 0777;
        mtime_ns = n->fs->begun_ns; /* a prefix has no time; one that moved would worry tar */
    } else if (n->kind == NODE_WRITER) {
        size = stage_size(n->writer->stage);
        mtime_ns = stage_mtime_ns(n->writer->stage);
    } else if (n->kind == NODE_VIRTUAL) {
        mode = S_IFREG | 0444;
        size = virtual_size(n->fs, n->virtual_id);
        mtime_ns = n->fs->begun_ns;
    }
    *st = (struct stat){
        .st_ino = n->ino,
        .st_mode = mode & ~conf->umask,
        .st_nlink = 1,
        .st_uid = conf->uid,
        .st_gid = conf->gid,
        .st_size = (off_t)size,
        .st_blksize = 1 << 20,
        .st_blocks = (blkcnt_t)((size + 511) / 512),
        .st_mtim = node_time(mtime_ns),
        .st_ctim = node_time(mtime_ns),
        .st_atim = node_time(mtime_ns),
    };
}
