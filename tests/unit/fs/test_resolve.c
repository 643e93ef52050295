#include "tests/unit/unit.h"

#include "fs/resolve.h"

#include "fs/commit.h"
#include "fs/writer.h"
#include "s3/fault.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The linker puts this before the real one: time has gone on by so much. */
static int64_t resolve_skip_ms;

int64_t __real_clock_ms(void);
int64_t __wrap_clock_ms(void);
int64_t __wrap_clock_ms(void)
{
    return __real_clock_ms() + resolve_skip_ms;
}

static void resolve_drop(struct found *f)
{
    found_drop(f);
}

#define FOUND(f) CLEANUP(resolve_drop) struct found f = {0}

static int resolve_path(struct lab *lab, const char *dir, const char *name, struct found *ret)
{
    return resolve_ask(lab_folder(lab, dir), name, gettid(), ret, &lab->err);
}

static int resolve_recall(struct lab *lab, const char *dir, const char *name, struct found *ret)
{
    return resolve_known(lab_folder(lab, dir), name, gettid(), ret);
}

static uint64_t resolve_size(const struct found *f)
{
    struct stat st;
    LOCK_SCOPE(&f->node->fs->mu);
    node_stat_locked(f->node, &st);
    return (uint64_t)st.st_size;
}

static void resolve_finds_blocks_headers_files_and_directories(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    struct store_stat block = lab_put_block(&lab, "A/", 0, 0);
    (void)lab_put_text(&lab, "A/notes", "in the matrix");
    (void)lab_put_text(&lab, "d/file", "text");
    static const struct {
        const char *dir, *name;
        enum node_kind kind;
    } row[] = {
        {"", "A", NODE_DIR},
        {"", "d", NODE_DIR},
        {"A/", "header.json", NODE_HEADER},
        {"A/", "block_0_0", NODE_OBJECT},
        {"A/", "block_0_0.raw", NODE_OBJECT},
        {"A/", "block_0_0.npy", NODE_OBJECT},
        {"A/", "notes", NODE_OBJECT},
        {"d/", "file", NODE_OBJECT},
        {"", ".bmfs", NODE_DIR},
        {".bmfs/", "README", NODE_VIRTUAL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        FOUND(f);
        FOUND(again);
        assert_int_equal(resolve_path(&lab, row[i].dir, row[i].name, &f), 0);
        assert_int_equal(f.node->kind, row[i].kind);
        remote_clear(lab.store);
        assert_int_equal(resolve_recall(&lab, row[i].dir, row[i].name, &again), 1);
        assert_ptr_equal(again.node, f.node);
        struct remote_counts n = remote_count(lab.store);
        assert_int_equal(n.gets + n.lists + n.heads, 0);
    }
    FOUND(f);
    FOUND(raw);
    FOUND(fortran);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0", &f), 0);
    assert_string_equal(f.node->etag, block.etag);
    assert_int_equal(resolve_size(&f), block.size);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0.raw", &raw), 0);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0.F.raw", &fortran), 0);
    assert_int_equal(resolve_size(&raw), 96);
    assert_int_not_equal(raw.node->ino, f.node->ino);
    assert_int_not_equal(raw.node->ino, fortran.node->ino);
}

static void resolve_finds_no_more_than_there_is(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_text(&lab, "d/file", "text");
    static const char *const absent[][2] = {
        {"", "no"},          {"A/", "block_0_1"}, {"A/", "block_9_9"}, {"A/", "block_0"},
        {"A/", "header"},    {"A/", "x.tmp"},     {"A/", "other"},     {"d/", "header.json"},
        {"d/", "block_0_0"}, {"d/", "fil"},       {"d/", "filet"},     {".bmfs/", "no"},
        {"no/", "x"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
        FOUND(f);
        int r = resolve_path(&lab, absent[i][0], absent[i][1], &f);
        if (r != -ENOENT)
            fail_msg("%s%s: %d", absent[i][0], absent[i][1], r);
        assert_null(f.node);
    }
    (void)lab_put_text(&lab, "A/0_4_4_3_6_3_", "now it is there");
    FOUND(f);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_1", &f), 0); /* nothing was remembered */
}

static void resolve_asks_once_for_a_name(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_block(&lab, "A/", 0, 0);
    (void)lab_put_text(&lab, "d/file", "text");
    FOUND(matrix);
    FOUND(dir);
    assert_int_equal(resolve_path(&lab, "A/", "header.json", &matrix), 0);
    assert_int_equal(resolve_path(&lab, "", "d", &dir), 0);
    remote_clear(lab.store);
    FOUND(f);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0", &f), 0);
    assert_int_equal(remote_count(lab.store).gets, 1); /* which brought the first bytes along */
    assert_int_equal(remote_count(lab.store).heads + remote_count(lab.store).lists, 0);
    struct folder *d = lab_folder(&lab, "A/");
    {
        LOCK_SCOPE(&lab.fs->mu);
        f.node->checked_ms = 1; /* long ago */
        d->head_ms = clock_ms();
    }
    remote_clear(lab.store);
    FOUND(again);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0", &again), 0);
    assert_ptr_equal(again.node, f.node);
    assert_int_equal(remote_count(lab.store).gets, 1); /* is it still current? */
    assert_int_equal(remote_count(lab.store).bytes, 0);
}

static void resolve_gives_another_node_to_another_version(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/file", "one");
    FOUND(one);
    assert_int_equal(resolve_path(&lab, "d/", "file", &one), 0);
    (void)lab_put_text(&lab, "d/file", "three");
    {
        LOCK_SCOPE(&lab.fs->mu);
        node_unsettle_locked(one.node->dir, "file");
    }
    FOUND(two);
    assert_int_equal(resolve_path(&lab, "d/", "file", &two), 0);
    assert_ptr_not_equal(one.node, two.node);
    assert_int_equal(one.node->ino, two.node->ino);
    assert_int_equal(resolve_size(&one), 3);
    assert_int_equal(resolve_size(&two), 5);
}

static void resolve_answers_from_a_listing(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_block(&lab, "A/", 0, 0);
    (void)lab_put_text(&lab, "A/sub/x", "");
    struct folder *d = lab_folder(&lab, "A/");
    struct listing *l = NULL;
    assert_int_equal(folder_scan(d, &l, &lab.err), 0);
    remote_clear(lab.store);
    static const char *const name[] = {"block_0_0", "header.json", "sub"};
    for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
        FOUND(f);
        assert_int_equal(resolve_known(d, name[i], gettid(), &f), 1);
    }
    FOUND(raw);
    assert_int_equal(resolve_known(d, "block_0_0.raw", gettid(), &raw), 0); /* needs a look */
    assert_int_equal(remote_count(lab.store).gets, 0);
    listing_unref(l);
}

static void resolve_prefers_a_directory_to_an_object_of_its_name(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "");
    (void)lab_put_text(&lab, "both/x", "");
    FOUND(f);
    assert_int_equal(resolve_path(&lab, "", "both", &f), 0);
    assert_int_equal(f.node->kind, NODE_DIR);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_ptr_equal(node_of(lab.fs, FUSE_ROOT_ID)->dir, d);
        assert_int_equal(node_id(node_of(lab.fs, FUSE_ROOT_ID)), FUSE_ROOT_ID);
        assert_ptr_equal(node_of(lab.fs, node_id(f.node)), f.node);
    }
}

static void resolve_reports_what_the_store_says(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_text(&lab, "d/x", "");
    FOUND(f);
    FOUND(dir);
    assert_int_equal(resolve_path(&lab, "A/", "header.json", &f), 0);
    assert_int_equal(resolve_path(&lab, "d/", "x", &dir), 0);
    static const char *const path[][3] = {
        {"A/", "block_0_0", "get:1:broken"},
        {"d/", "y", "list:1:broken"},
        {"e/", "y", "get:1:broken"},
        {"e/", "y", "list:1:broken"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(path); i++) {
        FOUND(g);
        fault_clear(lab.fault);
        assert_int_equal(fault_parse(lab.fault, path[i][2], NULL), 0);
        assert_int_equal(resolve_path(&lab, path[i][0], path[i][1], &g), -EIO);
        assert_int_equal(fault_hits(lab.fault), 1);
    }
}

static void resolve_says_when_a_block_is_damaged(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_text(&lab, "A/0_4_4_0_3_3_", "no npy");
    FOUND(f);
    FOUND(raw);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0", &f), 0); /* shown as it is */
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0.raw", &raw), -EBADMSG);
}

static void resolve_shows_a_bad_header_and_nothing_to_make(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "A/header", "nonsense");
    (void)lab_put_text(&lab, "A/0_4_4_0_3_3_", "x");
    FOUND(header);
    FOUND(object);
    struct place place;
    assert_int_equal(resolve_path(&lab, "A/", "header.json", &header), 0);
    assert_true(header.node->head->bad);
    assert_int_equal(resolve_path(&lab, "A/", "0_4_4_0_3_3_", &object), 0); /* by its own name */
    LOCK_SCOPE(&lab.fs->mu);
    struct folder *d = header.node->dir;
    assert_int_equal(resolve_place_locked(d, "block_0_0", true, &place, &lab.err), -EBADMSG);
    assert_non_null(strstr(lab.err.msg, "makes no sense"));
    assert_int_equal(resolve_place_locked(d, "header.json", true, &place, NULL), 0);
    assert_int_equal(resolve_place_of_locked(object.node, &place, &lab.err), -EBADMSG);
}

static void resolve_place_of_a_node_is_what_is_written(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_block(&lab, "A/", 2, 1);
    (void)lab_put_text(&lab, "A/12_10_4_0_3_3_", "outside");
    (void)lab_put_text(&lab, "A/notes", "other");
    (void)lab_put_text(&lab, "d/file", "text");
    FOUND(block);
    FOUND(outside);
    FOUND(other);
    FOUND(file);
    FOUND(header);
    struct place place;
    assert_int_equal(resolve_path(&lab, "A/", "block_2_1.F.raw", &block), 0);
    assert_int_equal(resolve_path(&lab, "A/", "block_3_0", &outside), 0);
    assert_int_equal(resolve_path(&lab, "A/", "notes", &other), 0);
    assert_int_equal(resolve_path(&lab, "d/", "file", &file), 0);
    assert_int_equal(resolve_path(&lab, "A/", "header.json", &header), 0);
    LOCK_SCOPE(&lab.fs->mu);
    assert_int_equal(resolve_place_of_locked(block.node, &place, &lab.err), 0);
    assert_int_equal(place.kind, PLACE_BLOCK);
    assert_int_equal(place.view, NAME_RAW_F);
    assert_int_equal(place.index[0], 2);
    assert_string_equal(place.obj, "8_10_4_3_6_3_");
    assert_int_equal(resolve_place_of_locked(outside.node, &place, &lab.err), -EPERM);
    assert_int_equal(resolve_place_of_locked(other.node, &place, &lab.err), -EPERM);
    assert_int_equal(resolve_place_of_locked(file.node, &place, &lab.err), 0);
    assert_int_equal(place.kind, PLACE_PLAIN);
    assert_int_equal(resolve_place_of_locked(header.node, &place, &lab.err), 0);
    assert_int_equal(place.kind, PLACE_HEADER);
}

static void resolve_shows_what_is_being_written_to_its_writers(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    (void)lab_put_header(&lab, "A/");
    struct writer *w = lab_create(&lab, "A/", "block_0_0", &code);
    struct writer *scratch = lab_create(&lab, "A/", "x.tmp", &code);
    assert_non_null(scratch);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_note_process_locked(w, getpid());
        writer_note_process_locked(scratch, 1);
    }
    FOUND(mine);
    FOUND(tmp);
    FOUND(npy);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0", &mine), 0);
    assert_int_equal(mine.node->kind, NODE_WRITER);
    assert_ptr_equal(mine.node->writer, w);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0.npy", &npy), 0); /* the same file */
    assert_ptr_equal(npy.node, mine.node);
    assert_int_equal(resolve_path(&lab, "A/", "x.tmp", &tmp), 0); /* scratch is everybody's */
    assert_ptr_equal(tmp.node->writer, scratch);
    {
        LOCK_SCOPE(&lab.fs->mu);
        w->process[0] = 1; /* somebody else's */
    }
    FOUND(other);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0", &other), -ENOENT);
    lab_close(w);
    lab_close(scratch);
}

static void resolve_stores_what_was_just_closed_for_whoever_asks(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    (void)lab_put_text(&lab, "d/other", "x");
    static const char *const name[] = {"asked", "listed", "open"};
    struct writer *w[ARRAY_SIZE(name)];
    for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
        w[i] = lab_create(&lab, "d/", name[i], &code);
        assert_non_null(w[i]);
        stage_set_dirty(w[i]->stage);
        LOCK_SCOPE(&lab.fs->mu);
        writer_note_process_locked(w[i], 1); /* somebody else's */
        w[i]->handles = i == 2;              /* of the closed ones the job has not begun */
    }
    FOUND(asked);
    FOUND(open);
    assert_int_equal(resolve_path(&lab, "d/", "asked", &asked), 0);
    assert_int_equal(asked.node->kind, NODE_OBJECT);
    assert_false(lab_exists(&lab, "d/listed"));
    resolve_settle(lab_folder(&lab, "d/"), NULL);
    assert_true(lab_exists(&lab, "d/listed"));
    assert_int_equal(resolve_path(&lab, "d/", "open", &open), -ENOENT);
    assert_false(lab_exists(&lab, "d/open"));
    for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
        LOCK_SCOPE(&lab.fs->mu);
        writer_unlink_locked(w[i], true);
        writer_unref_locked(w[i]);
    }
}

/* An empty file of somebody else's whose only descriptor was just closed: the flush has come, the
 * release has not. */
static struct writer *resolve_flushed(struct lab *lab, const char *name)
{
    int code = 0;
    struct writer *w = lab_create(lab, "d/", name, &code);
    assert_non_null(w);
    stage_set_dirty(w->stage);
    LOCK_SCOPE(&lab->fs->mu);
    writer_note_process_locked(w, 1);
    w->flushed_ms = clock_ms() + 60000; /* however long this takes, it was a moment ago */
    return w;
}

static void resolve_release_soon(void *arg)
{
    struct writer *w = arg;
    (void)usleep(20000);
    LOCK_SCOPE(&w->fs->mu);
    commit_release_locked(w);
}

static void resolve_waits_for_the_release_after_a_flush(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/other", "x");
    struct writer *w = resolve_flushed(&lab, "closed");
    FOUND(closed);
    assert_int_equal(pool_submit(lab.fs->data, resolve_release_soon, w), 0);
    resolve_skip_ms = 60000; /* that is how long it may wait, too */
    assert_int_equal(resolve_path(&lab, "d/", "closed", &closed), 0);
    resolve_skip_ms = 0;
    assert_int_equal(closed.node->kind, NODE_OBJECT);
    w = resolve_flushed(&lab, "copied"); /* of whose descriptor there is a copy */
    FOUND(copied);
    assert_int_equal(resolve_path(&lab, "d/", "copied", &copied), -ENOENT);
    assert_false(lab_exists(&lab, "d/copied"));
    assert_true(w->copied); /* nobody else waits */
    LOCK_SCOPE(&lab.fs->mu);
    writer_unlink_locked(w, true);
    commit_release_locked(w);
}

static void resolve_token_spares_one_question(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/file", "text");
    FOUND(f);
    pid_t tid = gettid();
    assert_int_equal(resolve_path(&lab, "d/", "file", &f), 0);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_false(node_use_token_locked(f.node, tid + 1));
        assert_true(node_use_token_locked(f.node, tid));
        assert_false(node_use_token_locked(f.node, tid)); /* once */
        node_checked_locked(f.node, tid);
        f.node->dir->plus_count++; /* the kernel may have been told to trust the name */
        assert_false(node_use_token_locked(f.node, tid));
        node_checked_locked(f.node, tid);
        f.node->token_ms -= 2 * FS_FRESH_MS;
        assert_false(node_use_token_locked(f.node, tid));
        node_checked_locked(f.node, tid);
    }
    /* An answer from memory asked nobody: the open must. */
    FOUND(again);
    assert_int_equal(resolve_recall(&lab, "d/", "file", &again), 1);
    LOCK_SCOPE(&lab.fs->mu);
    assert_false(node_use_token_locked(f.node, tid));
}

static void resolve_gives_a_reserved_node_until_it_is_opened(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/file", "text");
    struct folder *d = lab_folder(&lab, "d/");
    struct place place = {.kind = PLACE_PLAIN, .obj = "file"};
    struct store_stat stat = {.size = 9, .etag = "new"};
    pid_t tid = gettid();
    FOUND(old);
    assert_int_equal(resolve_path(&lab, "d/", "file", &old), 0);
    struct node *n = NULL;
    {
        LOCK_SCOPE(&lab.fs->mu);
        n = node_object_locked(d, "file", NAME_OBJECT, &stat, stat.size);
        resolve_reserve_locked(n, &place, tid);
    }
    for (int i = 0; i < 2; i++) { /* the kernel asks twice */
        FOUND(f);
        assert_int_equal(resolve_known(d, "file", tid, &f), 1);
        assert_ptr_equal(f.node, n);
    }
    FOUND(other);
    assert_int_equal(resolve_known(d, "file", tid + 1, &other), 1); /* another thread's */
    assert_ptr_equal(other.node, old.node);
    FOUND(f);
    assert_int_equal(resolve_known(d, "file", tid, &f), 1);
    {
        LOCK_SCOPE(&lab.fs->mu);
        resolve_unreserve_locked(n, tid + 1);
        resolve_unreserve_locked(n, tid);
        assert_int_equal(n->refs, 0);
    }
    FOUND(last);
    assert_int_equal(resolve_known(d, "file", tid, &last), 1);
    assert_ptr_equal(last.node, old.node);
}

static void resolve_takes_all_unknown_threads_for_one(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/file", "text");
    struct folder *d = lab_folder(&lab, "d/");
    struct place place = {.kind = PLACE_PLAIN, .obj = "file"};
    struct store_stat stat = {.size = 9, .etag = "new"};
    FOUND(old);
    FOUND(known);
    FOUND(unknown);
    assert_int_equal(resolve_path(&lab, "d/", "file", &old), 0);
    struct node *n = NULL;
    {
        LOCK_SCOPE(&lab.fs->mu);
        n = node_object_locked(d, "file", NAME_OBJECT, &stat, stat.size);
        resolve_reserve_locked(n, &place, 0);
        node_checked_locked(old.node, 0);
        assert_false(node_use_token_locked(old.node, 0)); /* the store is asked again */
    }
    assert_int_equal(resolve_known(d, "file", gettid(), &known), 1);
    assert_ptr_equal(known.node, old.node);
    assert_int_equal(resolve_known(d, "file", 0, &unknown), 1);
    assert_ptr_equal(unknown.node, n);
    LOCK_SCOPE(&lab.fs->mu);
    resolve_unreserve_locked(n, 0);
}

static void resolve_numbers_inodes_by_key(void **state)
{
    (void)state;
    LAB(lab, 0);
    uint64_t header = node_ino(lab.fs, "A/", "header", true);
    uint64_t block = node_ino(lab.fs, "A/", "0_4_4_0_3_3_", false);
    assert_true(header < block); /* who sorts by number meets the header first */
    assert_int_equal(header, node_ino(lab.fs, "A/", "header", true));
    assert_int_not_equal(header, node_ino(lab.fs, "B/", "header", true));
    assert_true(block < INT64_MAX && header > UINT32_MAX);
}

static void resolve_nodes_live_as_long_as_they_are_counted(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/file", "text");
    struct found f = {0};
    FOUND(again);
    assert_int_equal(resolve_path(&lab, "d/", "file", &f), 0);
    assert_int_equal(resolve_path(&lab, "d/", "file", &again), 0);
    assert_int_equal(f.node->lookups, 2);
    struct fuse_entry_param e;
    found_entry(&f, &e);
    assert_int_equal(e.attr.st_size, 4);
    assert_int_equal(e.attr.st_mode, S_IFREG | 0644);
    assert_int_equal(e.ino, node_id(f.node));
    node_forget(lab.fs, e.ino, 1);
    f.node = NULL;
    found_drop(&f);
    struct folder *d = lab_folder(&lab, "d/");
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_non_null(node_version_locked(d, "file", NAME_OBJECT, NULL));
    }
    node_forget(lab.fs, e.ino, 1000); /* more than it has: none is left */
    again.node = NULL;
    LOCK_SCOPE(&lab.fs->mu);
    assert_null(node_version_locked(d, "file", NAME_OBJECT, NULL));
}

static void resolve_holds_for_ever_what_never_changes(void **state)
{
    (void)state;
    LAB(lab, .immutable = true);
    (void)lab_put_text(&lab, "d/file", "text");
    FOUND(f);
    assert_int_equal(resolve_path(&lab, "d/", "file", &f), 0);
    assert_true(f.entry_s > 3600 && f.attr_s > 3600);
    {
        LOCK_SCOPE(&lab.fs->mu);
        f.node->checked_ms = 1;
    }
    FOUND(again);
    assert_int_equal(resolve_recall(&lab, "d/", "file", &again), 1);
}

static void resolve_finds_a_header_that_is_being_written(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    (void)lab_put_text(&lab, "d/file", "text");
    struct writer *w = lab_create(&lab, "d/", "header.json", &code);
    assert_non_null(w);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_note_process_locked(w, getpid());
    }
    FOUND(f);
    assert_int_equal(resolve_path(&lab, "d/", "header.json", &f), 0);
    assert_int_equal(f.node->kind, NODE_WRITER);
    struct place place;
    {
        LOCK_SCOPE(&lab.fs->mu);
        struct folder *d = w->dir;
        assert_int_equal(resolve_place_locked(d, "header.json", false, &place, NULL), 0);
        assert_ptr_equal(writer_find_locked(d, "header.json", &place), w); /* for unlink, rename */
    }
    lab_close(w);
}

static void resolve_shows_what_others_store_beside_an_unfinished_file(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    (void)lab_put_header(&lab, "A/");
    struct writer *w = lab_create(&lab, "A/", "block_0_0", &code);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_note_process_locked(w, 1); /* not this one, and it died half-way */
    }
    (void)lab_put_block(&lab, "A/", 0, 0); /* another machine */
    FOUND(f);
    assert_int_equal(resolve_path(&lab, "A/", "block_0_0", &f), 0);
    assert_int_equal(f.node->kind, NODE_OBJECT);
    lab_close(w);
}

static void resolve_finds_a_directory_beyond_many_files(void **state)
{
    (void)state;
    LAB(lab, 0);
    char key[32];
    for (int i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof(key), "d/data-%03d", i);
        (void)lab_put_text(&lab, key, "");
    }
    (void)lab_put_text(&lab, "d/data/x", "");
    (void)lab_put_text(&lab, "d/data-100", "text");
    FOUND(dir);
    FOUND(file);
    FOUND(none);
    assert_int_equal(folder_load(lab_folder(&lab, "d/"), 0, &lab.err), 0);
    remote_clear(lab.store);
    assert_int_equal(resolve_path(&lab, "d/", "data", &dir), 0);
    assert_int_equal(dir.node->kind, NODE_DIR);
    assert_int_equal(resolve_path(&lab, "d/", "data-100", &file), 0);
    assert_int_equal(resolve_path(&lab, "d/", "dat", &none), -ENOENT);
    assert_in_range(remote_count(lab.store).entries, 1, 60);
    assert_in_range(remote_count(lab.store).lists, 3, 6);
}

static void resolve_keeps_a_reservation_for_seconds_only(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/file", "text");
    struct folder *d = lab_folder(&lab, "d/");
    struct place place = {.kind = PLACE_PLAIN, .obj = "file"};
    struct store_stat stat = {.size = 9, .etag = "new"};
    FOUND(old);
    assert_int_equal(resolve_path(&lab, "d/", "file", &old), 0);
    {
        LOCK_SCOPE(&lab.fs->mu);
        struct node *n = node_object_locked(d, "file", NAME_OBJECT, &stat, stat.size);
        resolve_reserve_locked(n, &place, gettid());
    }
    resolve_skip_ms = 10000; /* the thread never came back */
    FOUND(f);
    int r = resolve_known(d, "other", gettid() + 1, &f);
    resolve_skip_ms = 0;
    assert_int_equal(r, 0);
    LOCK_SCOPE(&lab.fs->mu);
    assert_null(lab.fs->reservations);
    assert_null(node_version_locked(d, "file", NAME_OBJECT, "new"));
}

static void resolve_finds_stored_objects_with_names_of_scratch_files(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_text(&lab, "A/left.tmp", "by somebody else");
    struct folder *d = lab_folder(&lab, "A/");
    struct listing *l = NULL;
    FOUND(f);
    FOUND(none);
    assert_int_equal(folder_scan(d, &l, &lab.err), 0); /* it is listed, and so it is there */
    listing_unref(l);
    assert_int_equal(resolve_path(&lab, "A/", "left.tmp", &f), 0);
    assert_int_equal(f.node->kind, NODE_OBJECT);
    assert_int_equal(resolve_path(&lab, "A/", "right.tmp", &none), -ENOENT);
    struct place place;
    LOCK_SCOPE(&lab.fs->mu);
    assert_int_equal(resolve_place_locked(d, "left.tmp", false, &place, NULL), 0);
    assert_int_equal(place.kind, PLACE_PLAIN); /* for unlink */
    assert_int_equal(resolve_place_locked(d, "left.tmp", true, &place, NULL), 0);
    assert_int_equal(place.kind, PLACE_SCRATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolve_finds_blocks_headers_files_and_directories),
        cmocka_unit_test(resolve_finds_no_more_than_there_is),
        cmocka_unit_test(resolve_asks_once_for_a_name),
        cmocka_unit_test(resolve_gives_another_node_to_another_version),
        cmocka_unit_test(resolve_answers_from_a_listing),
        cmocka_unit_test(resolve_prefers_a_directory_to_an_object_of_its_name),
        cmocka_unit_test(resolve_reports_what_the_store_says),
        cmocka_unit_test(resolve_says_when_a_block_is_damaged),
        cmocka_unit_test(resolve_shows_a_bad_header_and_nothing_to_make),
        cmocka_unit_test(resolve_place_of_a_node_is_what_is_written),
        cmocka_unit_test(resolve_shows_what_is_being_written_to_its_writers),
        cmocka_unit_test(resolve_stores_what_was_just_closed_for_whoever_asks),
        cmocka_unit_test(resolve_waits_for_the_release_after_a_flush),
        cmocka_unit_test(resolve_token_spares_one_question),
        cmocka_unit_test(resolve_gives_a_reserved_node_until_it_is_opened),
        cmocka_unit_test(resolve_takes_all_unknown_threads_for_one),
        cmocka_unit_test(resolve_numbers_inodes_by_key),
        cmocka_unit_test(resolve_nodes_live_as_long_as_they_are_counted),
        cmocka_unit_test(resolve_holds_for_ever_what_never_changes),
        cmocka_unit_test(resolve_finds_a_header_that_is_being_written),
        cmocka_unit_test(resolve_shows_what_others_store_beside_an_unfinished_file),
        cmocka_unit_test(resolve_finds_a_directory_beyond_many_files),
        cmocka_unit_test(resolve_keeps_a_reservation_for_seconds_only),
        cmocka_unit_test(resolve_finds_stored_objects_with_names_of_scratch_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
