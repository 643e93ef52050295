#include "tests/unit/unit.h"

#include "fs/commit.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "fs/folder.h"
#include "fs/resolve.h"
#include "matrix/npy.h"
#include "s3/fault.h"
#include "tests/kit/texts.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first block of the matrix and its object. */
#define COMMIT_BLOCK "block_0_0"
#define COMMIT_KEY   "A/0_4_4_0_3_3_"

static struct writer *commit_create(struct lab *lab, const char *dir, const char *name)
{
    int code = 0;
    struct writer *w = lab_create(lab, dir, name, &code);
    if (!w)
        fail_msg("create %s: %s", name, lab->err.msg);
    return w;
}

/* A lab with the matrix A, and a writer of its first block. */
static struct writer *commit_start(struct lab *lab)
{
    (void)lab_put_header(lab, "A/");
    struct writer *w = commit_create(lab, "A/", COMMIT_BLOCK);
    remote_clear(lab->store);
    return w;
}

static bool commit_stored(struct lab *lab, const char *key, const struct buf *bytes)
{
    CLEANUP(buf_fini) struct buf b = TEXTS_BUF;
    return texts_get(lab->fault, key, &b) == 0 && b.len == bytes->len &&
           memcmp(b.data, bytes->data, b.len) == 0;
}

/* What is written, as the table of commit.h has it. */
enum commit_bytes {
    COMMIT_ALL,      /* every byte of the file */
    COMMIT_SPARSE,   /* right size, some never written */
    COMMIT_NOTHING,  /* nothing */
    COMMIT_NPY_PART, /* not even the npy header */
    COMMIT_NPY_HEAD, /* only the npy header */
    COMMIT_SHORT,    /* anything else ... */
    COMMIT_LONG,
    COMMIT_OTHER_SHAPE,
    COMMIT_OTHER_TYPE,
    COMMIT_GARBAGE,
    COMMIT_EMPTIED,
};

static void commit_write(struct writer *w, enum commit_bytes what)
{
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    CLEANUP(buf_fini) struct buf other = lab_block(2, 2);
    int r = 0;
    switch (what) {
    case COMMIT_ALL:
        r = lab_write(w, b.data, b.len, 0);
        break;
    case COMMIT_SPARSE:
        r = lab_write(w, b.data, 128, 0) < 0 ? -EIO : lab_truncate(w, b.len);
        break;
    case COMMIT_NOTHING:
        stage_set_dirty(w->stage);
        break;
    case COMMIT_NPY_PART:
        r = lab_write(w, b.data, 100, 0);
        break;
    case COMMIT_NPY_HEAD:
        r = lab_write(w, b.data, 128, 0);
        break;
    case COMMIT_SHORT:
        r = lab_write(w, b.data, b.len - 1, 0);
        break;
    case COMMIT_LONG:
        r = lab_write(w, b.data, b.len, 0) < 0 ? -EIO : lab_write(w, "x", 1, b.len);
        break;
    case COMMIT_OTHER_SHAPE:
        r = lab_write(w, other.data, other.len, 0);
        break;
    case COMMIT_OTHER_TYPE:
        *strstr(b.data + 10, "<f8") = '>';
        r = lab_write(w, b.data, b.len, 0);
        break;
    case COMMIT_GARBAGE:
        r = lab_write(w, "this is no npy file at all", 26, 0);
        break;
    case COMMIT_EMPTIED:
        r = lab_write(w, b.data, b.len, 0) < 0 ? -EIO : lab_truncate(w, 0);
        break;
    }
    assert_int_equal(r, 0);
}

/* A line of the table: what flush, sync and close return. */
struct commit_row {
    enum commit_bytes what;
    int flush, sync, close;
};

static const struct commit_row commit_table[] = {
    {COMMIT_ALL, 0, 0, 0},
    {COMMIT_SPARSE, COMMIT_WAITS, 0, 0},
    {COMMIT_NOTHING, COMMIT_WAITS, -EINVAL, COMMIT_WAITS},
    {COMMIT_NPY_PART, COMMIT_WAITS, -EINVAL, COMMIT_WAITS},
    {COMMIT_NPY_HEAD, COMMIT_WAITS, -EINVAL, COMMIT_WAITS},
    {COMMIT_SHORT, -EINVAL, -EINVAL, -EINVAL},
    {COMMIT_LONG, -EINVAL, -EINVAL, -EINVAL},
    {COMMIT_OTHER_SHAPE, -EINVAL, -EINVAL, -EINVAL},
    {COMMIT_OTHER_TYPE, -EINVAL, -EINVAL, -EINVAL},
    {COMMIT_GARBAGE, -EINVAL, -EINVAL, -EINVAL},
    {COMMIT_EMPTIED, -EINVAL, -EINVAL, -EINVAL},
};

static void commit_stores_what_the_table_says(void **state)
{
    (void)state;
    LAB(lab, 0);
    for (size_t i = 0; i < ARRAY_SIZE(commit_table); i++) {
        const struct commit_row *row = &commit_table[i];
        const int code[] = {row->flush, row->sync, row->close};
        for (int cause = COMMIT_FLUSH; cause <= COMMIT_CLOSE; cause++) {
            struct writer *w = commit_start(&lab);
            commit_write(w, row->what);
            w->handles = cause != COMMIT_CLOSE;
            int r = commit(w, (enum commit_cause)cause, &lab.err);
            if (r != code[cause])
                fail_msg("line %zu, cause %d: %d, not %d: %s", i, cause, r, code[cause],
                         lab.err.msg);
            assert_int_equal(lab_exists(&lab, COMMIT_KEY), r == 0);
            assert_int_equal(stage_is_dirty(w->stage), r != 0);
            assert_int_equal(remote_count(lab.store).puts, r == 0);
            {
                LOCK_SCOPE(&lab.fs->mu);
                writer_unlink_locked(w, true);
                writer_unref_locked(w);
            }
            assert_int_equal(store_del(lab.fault, COMMIT_KEY, NULL, NULL), 0);
        }
    }
}

static void commit_puts_the_bytes_as_they_were_written(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    commit_write(w, COMMIT_ALL);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    assert_true(commit_stored(&lab, COMMIT_KEY, &b));
    assert_false(stage_is_dirty(w->stage));
    struct store_stat stat = lab_head(&lab, COMMIT_KEY);
    assert_true(stat.has_crc32c);
    assert_int_equal(stat.crc32c, crc32c(0, b.data, b.len));
    assert_int_equal(strlen(stat.write_id), STORE_WRITE_ID_SIZE - 1);
    assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), 0); /* nothing new */
    struct remote_counts n = remote_count(lab.store);
    assert_int_equal(n.puts, 1);
    assert_int_equal(n.gets + n.heads + n.lists, 0);
    lab_close(w);
}

static void commit_puts_zeros_where_nothing_was_written(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    commit_write(w, COMMIT_SPARSE);
    lab_close(w);
    memset(b.data + 128, 0, b.len - 128);
    assert_true(commit_stored(&lab, COMMIT_KEY, &b));
}

static void commit_writes_again_over_its_own_version(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    commit_write(w, COMMIT_ALL);
    assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), 0);
    struct store_stat first = lab_head(&lab, COMMIT_KEY);
    assert_int_equal(lab_write(w, "changed!", 8, 128), 0);
    memcpy(b.data + 128, "changed!", 8);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    assert_true(commit_stored(&lab, COMMIT_KEY, &b));
    /* What was stored first is in the cache as it was. */
    struct object *o = NULL;
    char old[8];
    remote_clear(lab.store);
    assert_int_equal(objects_open(lab.fs->objects, COMMIT_KEY, &first, &o, &lab.err), 0);
    assert_int_equal(object_pread(o, old, 8, 128), 8);
    assert_memory_not_equal(old, "changed!", 8);
    assert_int_equal(remote_count(lab.store).gets, 0);
    object_unref(o);
    lab_close(w);
}

static void commit_leaves_what_it_stored_in_the_cache(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    commit_write(w, COMMIT_ALL);
    lab_close(w);
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    struct store_stat stat = lab_head(&lab, COMMIT_KEY);
    struct object *o = NULL;
    CLEANUP(freep) char *data = malloc(b.len);
    assert_int_equal(objects_open(lab.fs->objects, COMMIT_KEY, &stat, &o, &lab.err), 0);
    assert_int_equal(object_pread(o, data, b.len, 0), b.len);
    assert_memory_equal(data, b.data, b.len);
    assert_int_equal(remote_count(lab.store).gets, 0);
    object_unref(o);
}

static void commit_keeps_no_copy_of_what_is_local(void **state)
{
    (void)state;
    LAB(lab, .local = true);
    struct writer *w = commit_start(&lab);
    commit_write(w, COMMIT_ALL);
    lab_close(w);
    assert_true(lab_exists(&lab, COMMIT_KEY));
    assert_int_equal(cache_usage(lab.cache), 0);
}

static void commit_puts_an_npy_header_before_bare_elements(void **state)
{
    (void)state;
    LAB(lab, 0);
    static const struct {
        const char *name;
        bool fortran;
    } row[] = {{"block_0_0.raw", false}, {"block_0_0.F.raw", true}};
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        (void)lab_put_header(&lab, "A/");
        CLEANUP(buf_fini) struct buf all = TEXTS_BUF;
        struct writer *w = commit_create(&lab, "A/", row[i].name);
        assert_int_equal(lab_write(w, b.data + 128, b.len - 129, 0), 0);
        assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -EINVAL); /* a byte is missing */
        assert_non_null(strstr(lab.err.msg, "96"));
        assert_int_equal(lab_write(w, b.data + b.len - 1, 1, b.len - 129), 0);
        assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
        lab_close(w);
        struct npy npy;
        assert_int_equal(texts_get(lab.fault, COMMIT_KEY, &all), 0);
        assert_int_equal(npy_parse(all.data, all.len, &npy, &lab.err), 0);
        assert_int_equal(npy.fortran, row[i].fortran);
        assert_int_equal(all.len, b.len);
        assert_memory_equal(all.data + npy.data_off, b.data + 128, b.len - 128);
        struct store_stat stat = lab_head(&lab, COMMIT_KEY);
        assert_int_equal(stat.crc32c, crc32c(0, all.data, all.len));
        assert_int_equal(store_del(lab.fault, COMMIT_KEY, NULL, NULL), 0);
    }
}

static void commit_takes_an_ordinary_file_as_it_is(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/other", "x");
    struct writer *w = commit_create(&lab, "d/", "notes");
    stage_set_dirty(w->stage);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), COMMIT_WAITS); /* a shell's first one */
    assert_false(lab_exists(&lab, "d/notes"));
    assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), 0);
    assert_true(lab_exists(&lab, "d/notes"));
    assert_int_equal(lab_write(w, "text", 4, 2), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0); /* holes and all */
    assert_int_equal(lab_head(&lab, "d/notes").size, 6);
    assert_int_equal(lab_truncate(w, 0), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    assert_int_equal(lab_head(&lab, "d/notes").size, 0);
    lab_close(w);
    w = commit_create(&lab, "d/", "empty");
    stage_set_dirty(w->stage);
    lab_close(w);
    assert_true(lab_exists(&lab, "d/empty"));
}

static void commit_stores_nothing_of_scratch_or_dropped_files(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    struct writer *scratch = commit_create(&lab, "A/", "block_0_0.tmp");
    struct writer *dropped = commit_create(&lab, "A/", "block_0_1");
    commit_write(scratch, COMMIT_ALL);
    commit_write(dropped, COMMIT_ALL);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_unlink_locked(dropped, true);
    }
    remote_clear(lab.store);
    assert_int_equal(commit(scratch, COMMIT_SYNC, &lab.err), 0);
    assert_int_equal(commit(dropped, COMMIT_SYNC, &lab.err), 0);
    lab_close(dropped);
    lab_close(scratch);
    assert_int_equal(remote_count(lab.store).puts, 0);
    assert_int_equal(lab_lost(&lab), 0);
}

static void commit_says_when_the_matrix_has_no_header_any_more(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    struct folder *d = lab_folder(&lab, "A/");
    commit_write(w, COMMIT_ALL);
    folder_set_head(d, NULL);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -EBADMSG);
    assert_non_null(strstr(lab.err.msg, "no header"));
    (void)lab_put_text(&lab, "A/header", "nonsense");
    assert_int_equal(folder_load(d, -1, &lab.err), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -EBADMSG);
    assert_non_null(strstr(lab.err.msg, "no readable header"));
    lab_close(w); /* see salvage_keeps_a_block_without_a_header */
    assert_int_equal(lab_lost(&lab), 0);
}

static void commit_that_loses_a_race_is_an_error_for_good(void **state)
{
    (void)state;
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        LAB(lab, 0);
        struct writer *w = commit_start(&lab);
        {
            LOCK_SCOPE(&lab.fs->mu);
            w->exclusive = exclusive;
        }
        commit_write(w, COMMIT_ALL);
        (void)lab_put_text(&lab, COMMIT_KEY, "somebody else's");
        int code = exclusive ? -EEXIST : -ESTALE;
        assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), code);
        assert_non_null(strstr(lab.err.msg, "somebody else"));
        assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), code);
        assert_int_equal(remote_count(lab.store).puts, 1); /* no retry can mend it */
        assert_true(stage_is_dirty(w->stage));
        lab_close(w);
        assert_string_equal(lab_text(&lab, COMMIT_KEY), "somebody else's");
        assert_int_equal(lab_lost(&lab), 1); /* the bytes are not gone */
        struct place place;
        LOCK_SCOPE(&lab.fs->mu);
        struct folder *d = folder_get_locked(lab.fs, "A/");
        assert_int_equal(resolve_place_locked(d, COMMIT_BLOCK, false, &place, NULL), 0);
        assert_null(writer_find_locked(d, COMMIT_BLOCK, &place));
    }
}

static void commit_that_fails_may_be_tried_again(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    commit_write(w, COMMIT_ALL);
    assert_int_equal(fault_parse(lab.fault, "put:1:broken", NULL), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -EIO);
    assert_true(stage_is_dirty(w->stage));
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    lab_close(w);
    assert_true(lab_exists(&lab, COMMIT_KEY));
    assert_int_equal(lab_lost(&lab), 0);
}

static void commit_finish_keeps_what_the_store_does_not_take(void **state)
{
    (void)state;
    LAB(lab, 0);
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    (void)lab_put_header(&lab, "A/");
    static const char *const name[] = {"block_0_0", "block_0_0.raw"};
    for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
        struct writer *w = commit_create(&lab, "A/", name[i]);
        assert_int_equal(lab_write(w, b.data + (i ? 128 : 0), b.len - (i ? 128 : 0), 0), 0);
        assert_int_equal(fault_parse(lab.fault, "put:1:broken", NULL), 0);
        lab_close(w);
        assert_int_equal(lab_lost(&lab), i + 1); /* whole blocks both times */
        assert_false(lab_exists(&lab, COMMIT_KEY));
    }
    assert_int_equal(cache_usage(lab.cache), 0); /* no longer in this mount's account */
}

static void commit_count_line(void *arg, const char *line)
{
    int *lines = arg;
    assert_non_null(strstr(line, "A/" COMMIT_BLOCK ":"));
    ++*lines;
}

static void commit_says_once_why_by_the_name_of_the_file(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct err err = {0};
    struct writer *w = commit_start(&lab);
    int lines = 0;
    log_set_hook(commit_count_line, &lines);
    assert_int_equal(lab_write(w, "no block at all", 15, 0), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(commit(w, COMMIT_FLUSH, &err), -EINVAL);
    assert_int_equal(lines, 1);
    lab_close(w);
    assert_int_equal(lines, 1);
    log_set_hook(NULL, NULL);
    assert_int_equal(lab_lost(&lab), 0);
}

static void commit_finish_lets_incomplete_bytes_wait(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    commit_write(w, COMMIT_NPY_HEAD);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_ref_locked(w);
    }
    lab_close(w);
    struct place place;
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_true(w->lingers);
        assert_true(w->linked);
        struct folder *d = folder_get_locked(lab.fs, "A/");
        assert_int_equal(resolve_place_locked(d, COMMIT_BLOCK, false, &place, NULL), 0);
        assert_ptr_equal(writer_find_locked(d, COMMIT_BLOCK, &place), w);
        w->handles++; /* somebody comes back for it */
    }
    assert_int_equal(lab_write(w, b.data + 128, b.len - 128, 128), 0);
    commit_finish(w, false); /* not the last handle: too early */
    assert_false(lab_exists(&lab, COMMIT_KEY));
    lab_close(w);
    assert_true(commit_stored(&lab, COMMIT_KEY, &b));
    assert_int_equal(cache_usage(lab.cache), b.len); /* the version of the cache */
}

static void commit_finish_keeps_scratch_files_until_the_end(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    struct writer *w = commit_create(&lab, "A/", "block_0_0.tmp");
    commit_write(w, COMMIT_ALL);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_ref_locked(w);
    }
    lab_close(w);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_true(w->lingers && w->linked);
    }
    commit_finish(w, true);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_true(!w->lingers && !w->linked && w->dropped);
    }
    writer_unref(w);
    assert_int_equal(lab_lost(&lab), 0);
    assert_int_equal(cache_usage(lab.cache), 0);
}

static void commit_finish_at_the_end_gives_up_what_is_incomplete(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    commit_write(w, COMMIT_NPY_HEAD);
    {
        LOCK_SCOPE(&lab.fs->mu);
        w->handles = 0;
    }
    commit_finish(w, true);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_true(w->dropped && !w->linked && !w->lingers);
    }
    writer_unref(w);
    assert_false(lab_exists(&lab, COMMIT_KEY));
}

static int commit_as(struct lab *lab, struct writer *w, struct folder *d, const struct place *place,
                     const char *if_match, struct store_stat *ret_stat)
{
    struct commit_target to = {.dir = d, .name = place->obj, .place = place, .if_match = if_match};
    return commit_to(w, &to, ret_stat, &lab->err);
}

static void commit_to_gives_finished_bytes_another_name(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    struct writer *w = commit_create(&lab, "A/", ".bm-1-block_0_0");
    struct folder *d = lab_folder(&lab, "A/");
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    struct place place;
    struct store_stat stat;
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_int_equal(resolve_place_locked(d, COMMIT_BLOCK, true, &place, NULL), 0);
    }
    commit_write(w, COMMIT_NPY_HEAD);
    assert_int_equal(commit_as(&lab, w, d, &place, NULL, &stat), -EINVAL); /* not whole */
    commit_write(w, COMMIT_ALL);
    assert_int_equal(commit_as(&lab, w, d, &place, STORE_ABSENT, &stat), 0);
    assert_true(commit_stored(&lab, COMMIT_KEY, &b));
    assert_string_equal(stat.etag, lab_head(&lab, COMMIT_KEY).etag);
    assert_int_equal(commit_as(&lab, w, d, &place, STORE_ABSENT, &stat), -EEXIST);
    assert_int_equal(commit_as(&lab, w, d, &place, "other", &stat), -ESTALE);
    assert_int_equal(commit_as(&lab, w, d, &place, stat.etag, &stat), 0);
    (void)lab_put_text(&lab, COMMIT_KEY, "somebody else's");
    assert_int_equal(commit_as(&lab, w, d, &place, NULL, &stat), 0); /* whatever is there */
    assert_true(commit_stored(&lab, COMMIT_KEY, &b));
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_int_equal(w->place.kind, PLACE_SCRATCH);
        assert_string_equal(w->name, ".bm-1-block_0_0");
        assert_int_equal(w->error, 0);
    }
    lab_close(w);
}

static void commit_move_takes_the_writer_along(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    struct writer *w = commit_create(&lab, "A/", ".bm-1-block_0_0");
    struct writer *old = commit_create(&lab, "A/", COMMIT_BLOCK);
    struct folder *d = lab_folder(&lab, "A/");
    struct place place;
    struct store_stat stat;
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_int_equal(resolve_place_locked(d, COMMIT_BLOCK, true, &place, NULL), 0);
    }
    struct commit_target to = {
        .dir = d, .name = COMMIT_BLOCK, .place = &place, .if_match = STORE_ABSENT};
    commit_write(old, COMMIT_NPY_HEAD);
    lab_close(old); /* waits for somebody to complete it */
    commit_write(w, COMMIT_ALL);
    assert_int_equal(commit_move(w, &to, &stat, &lab.err), 0);
    assert_false(stage_is_dirty(w->stage));
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_ptr_equal(writer_find_locked(d, COMMIT_BLOCK, &place), w);
        assert_int_equal(d->writer_count, 1); /* the other one is gone */
        assert_string_equal(w->name, COMMIT_BLOCK);
        assert_string_equal(w->if_match, stat.etag);
        assert_false(w->unseen);
    }
    /* An open descriptor goes on writing the file of the new name. */
    assert_int_equal(lab_write(w, "changed!", 8, 128), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    memcpy(b.data + 128, "changed!", 8);
    assert_true(commit_stored(&lab, COMMIT_KEY, &b));
    lab_close(w);
}

static void commit_to_reports_what_fails(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    struct writer *w = commit_create(&lab, "A/", ".bm-1-block_0_0");
    struct folder *d = lab_folder(&lab, "A/");
    struct place place = {.kind = PLACE_PLAIN, .obj = "p"};
    struct store_stat stat;
    commit_write(w, COMMIT_ALL);
    assert_int_equal(fault_parse(lab.fault, "put:1:broken", NULL), 0);
    assert_int_equal(commit_as(&lab, w, d, &place, NULL, &stat), -EIO);
    assert_int_equal(commit_as(&lab, w, d, &place, NULL, &stat), 0);
    lab_close(w);
}

static void commit_to_stores_nothing_after_a_write_that_failed(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    struct writer *w = commit_create(&lab, "A/", ".bm-1-block_0_0");
    struct folder *d = lab_folder(&lab, "A/");
    struct place place = {.kind = PLACE_PLAIN, .obj = "p"};
    struct store_stat stat;
    commit_write(w, COMMIT_ALL);
    assert_int_equal(lab_write(w, "x", 1, INT64_MAX), -EFBIG);
    assert_int_equal(commit_as(&lab, w, d, &place, NULL, &stat), -EFBIG);
    assert_false(lab_exists(&lab, "p"));
    assert_int_equal(lab_truncate(w, 0), 0); /* begun anew */
    commit_write(w, COMMIT_ALL);
    assert_int_equal(commit_as(&lab, w, d, &place, NULL, &stat), 0);
    lab_close(w);
}

/* A commit on a thread of its own. */
struct commit_thread {
    struct writer *w;
    int code;
    uint64_t size;
    _Atomic pid_t tid;
    pthread_t thread;
};

static void *commit_thread_run(void *arg)
{
    struct commit_thread *t = arg;
    struct err err = {0};
    t->tid = gettid();
    t->code = commit(t->w, COMMIT_SYNC, &err);
    return NULL;
}

static void *commit_thread_link(void *arg)
{
    struct commit_thread *t = arg;
    struct err err = {0};
    struct store_stat stat;
    struct place place = {.kind = PLACE_PLAIN, .obj = "p"};
    struct commit_target to = {
        .dir = t->w->dir, .name = "p", .place = &place, .ret_size = &t->size};
    t->code = commit_to(t->w, &to, &stat, &err);
    return NULL;
}

/* The file is cut while its bytes are on their way to another name. */
static void commit_to_tells_the_size_of_what_was_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    struct commit_thread t = {.w = commit_create(&lab, "A/", ".bm-1-block_0_0")};
    LAB_ANSWER(cut);
    commit_write(t.w, COMMIT_ALL);
    uint64_t size = stage_size(t.w->stage);
    remote_shut(lab.store, REMOTE_PUT);
    assert_int_equal(pthread_create(&t.thread, NULL, commit_thread_link, &t), 0);
    assert_true(remote_wait(lab.store, 1));
    stage_truncate(t.w->stage, 0, lab_answer_change, &cut);
    remote_open(lab.store);
    (void)pthread_join(t.thread, NULL);
    assert_int_equal(t.code, 0);
    assert_int_equal(t.size, size);
    assert_int_equal(lab_wait(&cut), 0);
    lab_close(t.w);
}

static void commit_thread_start(struct commit_thread *t, struct writer *w)
{
    *t = (struct commit_thread){.w = w};
    assert_int_equal(pthread_create(&t->thread, NULL, commit_thread_run, t), 0);
}

/* Waits until the thread sleeps, for a lock or for somebody else's commit. */
static void commit_thread_wait(const struct commit_thread *t)
{
    int64_t until_ms = clock_ms() + 10000;
    char path[64];
    char text[512] = "";
    const char *state = NULL;
    do {
        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)t->tid);
        CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
            state = strrchr(text, ')');
        assert_true(clock_ms() < until_ms);
    } while (t->tid == 0 || !state || state[2] != 'S');
}

static void commit_knows_what_another_one_has_just_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    struct commit_thread a;
    struct commit_thread b;
    LAB_ANSWER(late);
    commit_write(w, COMMIT_ALL);
    remote_shut(lab.store, REMOTE_PUT);
    commit_thread_start(&a, w);
    assert_true(remote_wait(lab.store, 1));
    commit_thread_start(&b, w); /* waits for the first, and begins with what that one left */
    commit_thread_wait(&b);
    stage_write(w->stage, "changed!", 8, 128, false, lab_answer_change, &late);
    remote_open(lab.store);
    (void)pthread_join(a.thread, NULL);
    (void)pthread_join(b.thread, NULL);
    assert_int_equal(lab_wait(&late), 0);
    assert_int_equal(a.code, 0);
    assert_int_equal(b.code, 0);
    assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), 0);
    CLEANUP(buf_fini) struct buf bytes = lab_block(0, 0);
    memcpy(bytes.data + 128, "changed!", 8);
    assert_true(commit_stored(&lab, COMMIT_KEY, &bytes));
    lab_close(w);
    assert_int_equal(lab_lost(&lab), 0);
}

static void commit_to_another_name_leaves_the_first_to_be_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/other", "x");
    struct writer *w = commit_create(&lab, "d/", "first");
    struct folder *d = lab_folder(&lab, "d/");
    struct place place = {.kind = PLACE_PLAIN, .obj = "second"};
    struct store_stat stat;
    assert_int_equal(lab_write(w, "text", 4, 0), 0);
    assert_int_equal(commit_as(&lab, w, d, &place, STORE_ABSENT, &stat), 0);
    assert_string_equal(lab_text(&lab, "d/second"), "text");
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    assert_string_equal(lab_text(&lab, "d/first"), "text");
    lab_close(w);
}

static void commit_finish_does_not_let_kept_bytes_be_written_over(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    commit_write(w, COMMIT_ALL);
    (void)lab_put_text(&lab, COMMIT_KEY, "somebody else's");
    commit_finish(w, true); /* though it is open */
    assert_int_equal(lab_lost(&lab), 1);
    assert_int_equal(lab_write(w, "changed!", 8, 128), 0);
    CLEANUP(buf_fini) struct buf kept = lab_read_lost(&lab);
    CLEANUP(buf_fini) struct buf bytes = lab_block(0, 0);
    assert_int_equal(kept.len, bytes.len);
    assert_memory_equal(kept.data, bytes.data, bytes.len);
    lab_close(w);
    assert_int_equal(lab_lost(&lab), 2); /* the rest, too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commit_stores_what_the_table_says),
        cmocka_unit_test(commit_puts_the_bytes_as_they_were_written),
        cmocka_unit_test(commit_puts_zeros_where_nothing_was_written),
        cmocka_unit_test(commit_writes_again_over_its_own_version),
        cmocka_unit_test(commit_leaves_what_it_stored_in_the_cache),
        cmocka_unit_test(commit_keeps_no_copy_of_what_is_local),
        cmocka_unit_test(commit_puts_an_npy_header_before_bare_elements),
        cmocka_unit_test(commit_takes_an_ordinary_file_as_it_is),
        cmocka_unit_test(commit_stores_nothing_of_scratch_or_dropped_files),
        cmocka_unit_test(commit_says_when_the_matrix_has_no_header_any_more),
        cmocka_unit_test(commit_that_loses_a_race_is_an_error_for_good),
        cmocka_unit_test(commit_that_fails_may_be_tried_again),
        cmocka_unit_test(commit_finish_keeps_what_the_store_does_not_take),
        cmocka_unit_test(commit_says_once_why_by_the_name_of_the_file),
        cmocka_unit_test(commit_finish_lets_incomplete_bytes_wait),
        cmocka_unit_test(commit_finish_keeps_scratch_files_until_the_end),
        cmocka_unit_test(commit_finish_at_the_end_gives_up_what_is_incomplete),
        cmocka_unit_test(commit_knows_what_another_one_has_just_stored),
        cmocka_unit_test(commit_to_another_name_leaves_the_first_to_be_stored),
        cmocka_unit_test(commit_finish_does_not_let_kept_bytes_be_written_over),
        cmocka_unit_test(commit_to_gives_finished_bytes_another_name),
        cmocka_unit_test(commit_move_takes_the_writer_along),
        cmocka_unit_test(commit_to_reports_what_fails),
        cmocka_unit_test(commit_to_tells_the_size_of_what_was_stored),
        cmocka_unit_test(commit_to_stores_nothing_after_a_write_that_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
