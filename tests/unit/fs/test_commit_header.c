#include "tests/unit/unit.h"

#include "fs/commit.h"

#include "fs/folder.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <string.h>

#define COMMIT_HEADER(shape, shard) \
    "{\"shape\": " shape ", \"shard_sizes\": " shard ", \"dtype\": \"<f8\", \"note\": \"hi\"}"

/* Memory runs out once, when a head is made. */
static bool commit_no_head;

int __real_head_new(const struct store_stat *stat, const void *bytes, size_t len,
                    struct head **ret);
int __wrap_head_new(const struct store_stat *stat, const void *bytes, size_t len,
                    struct head **ret);
int __wrap_head_new(const struct store_stat *stat, const void *bytes, size_t len, struct head **ret)
{
    if (!commit_no_head)
        return __real_head_new(stat, bytes, len, ret);
    commit_no_head = false;
    return -ENOMEM;
}

/* A writer of A/header.json: of the one that is there, as ops_open.c opens it, or of a new one. */
static struct writer *commit_open_header(struct lab *lab)
{
    struct folder *d = lab_folder(lab, "A/");
    struct head *head = NULL;
    struct writer *w = NULL;
    int code = 0;
    if (folder_load_head(d, -1, &head, NULL) < 0 || !head)
        return lab_create(lab, "A/", "header.json", &code);
    struct place place = {.kind = PLACE_HEADER, .obj = "header"};
    struct writer_start start = {.dir = d,
                                 .name = "header.json",
                                 .place = &place,
                                 .if_match = head->stored ? head->stat.etag : ""};
    {
        LOCK_SCOPE(&lab->fs->mu);
        assert_int_equal(writer_new_locked(lab->fs, &start, &w), 0);
        w->handles = 1;
    }
    head_unref(head);
    return w;
}

/* Writes it and returns what a flush says. */
static int commit_header(struct lab *lab, const char *text)
{
    struct writer *w = commit_open_header(lab);
    assert_int_equal(lab_write(w, text, strlen(text), 0), 0);
    int code = commit(w, COMMIT_FLUSH, &lab->err);
    {
        LOCK_SCOPE(&lab->fs->mu);
        writer_unlink_locked(w, true);
    }
    lab_close(w);
    return code;
}

static void commit_stores_a_header_as_numpywren_would(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    {
        LOCK_SCOPE(&lab.fs->mu);
        folder_set_local_locked(d, true); /* mkdir */
    }
    assert_int_equal(commit_header(&lab, "no json"), -EINVAL);
    assert_int_equal(commit_header(&lab, "{}"), -EINVAL);
    assert_false(lab_exists(&lab, "A/header"));
    assert_int_equal(commit_header(&lab, COMMIT_HEADER("[10, 7]", "[4, 3]")), 0);
    struct header h;
    const char *text = lab_text(&lab, "A/header");
    assert_null(strstr(text, "<f8")); /* the type is pickled */
    assert_non_null(strstr(text, "\"note\": \"hi\""));
    assert_int_equal(header_parse(text, strlen(text), &h, &lab.err), 0);
    assert_int_equal(h.grid.shape[1], 7);
    header_fini(&h);
    /* The mount knows at once. */
    remote_clear(lab.store);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_int_equal(d->kind, FOLDER_MATRIX);
        assert_non_null(folder_header_locked(d));
    }
    int code = 0;
    CLEANUP(buf_fini) struct buf block = lab_block(0, 0);
    struct writer *w = lab_create(&lab, "A/", "block_0_0", &code);
    assert_non_null(w);
    assert_int_equal(lab_write(w, block.data, block.len, 0), 0);
    lab_close(w);
    assert_true(lab_exists(&lab, "A/0_4_4_0_3_3_"));
}

static void commit_refuses_a_header_that_is_too_long(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    (void)lab_put_text(&lab, "A/x", "");
    struct writer *w = lab_create(&lab, "A/", "header.json", &code);
    assert_non_null(w);
    assert_int_equal(lab_truncate(w, HEADER_BYTES_MAX + 1), 0);
    assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), -EINVAL);
    assert_int_equal(lab_truncate(w, 0), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), COMMIT_WAITS);
    lab_close(w);
}

static void commit_lets_a_header_change_while_there_are_no_blocks(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    assert_int_equal(commit_header(&lab, COMMIT_HEADER("[20, 7]", "[4, 3]")), 0);
    (void)lab_put_block(&lab, "A/", 0, 0);
    assert_int_equal(commit_header(&lab, COMMIT_HEADER("[20, 7]", "[4, 3]")), 0); /* the same */
    assert_int_equal(commit_header(&lab, COMMIT_HEADER("[30, 7]", "[4, 3]")), -EPERM);
    assert_non_null(strstr(lab.err.msg, "fixed"));
    assert_true(lab.err.hint[0] != '\0');
}

static void commit_lets_a_header_come_to_blocks_that_fit(void **state)
{
    (void)state;
    LAB(lab, 0);
    for (int i = 0; i < 3; i++)
        (void)lab_put_block(&lab, "A/", i, 2);
    (void)lab_put_text(&lab, "A/notes", "other objects do not count");
    assert_int_equal(commit_header(&lab, COMMIT_HEADER("[10, 7]", "[5, 3]")), -EPERM);
    assert_non_null(strstr(lab.err.msg, "do not fit"));
    assert_int_equal(commit_header(&lab, COMMIT_HEADER("[10, 7]", "[4, 3]")), 0);
}

static void commit_of_a_header_succeeds_though_memory_runs_out_once_it_is_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct head *head = NULL;
    (void)lab_put_header(&lab, "A/");
    struct folder *d = lab_folder(&lab, "A/");
    struct writer *w = commit_open_header(&lab);
    static const char text[] = COMMIT_HEADER("[20, 7]", "[4, 3]");
    assert_int_equal(lab_write(w, text, sizeof(text) - 1, 0), 0);
    commit_no_head = true;
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    assert_false(commit_no_head);
    lab_close(w);
    assert_int_equal(folder_load_head(d, FS_FRESH_MS, &head, &lab.err), 0); /* asks again */
    assert_int_equal(head->header.grid.shape[0], 20);
    head_unref(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commit_stores_a_header_as_numpywren_would),
        cmocka_unit_test(commit_refuses_a_header_that_is_too_long),
        cmocka_unit_test(commit_lets_a_header_change_while_there_are_no_blocks),
        cmocka_unit_test(commit_of_a_header_succeeds_though_memory_runs_out_once_it_is_stored),
        cmocka_unit_test(commit_lets_a_header_come_to_blocks_that_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
