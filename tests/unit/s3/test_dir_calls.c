#include "tests/unit/unit.h"

#include "s3/dir.h"
#include "s3/dir_path.h"
#include "tests/kit/scratch.h"
#include "tests/kit/texts.h"
#include "tests/unit/s3/calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char DIR_ID[] = "0123456789abcdef0123456789abcdef";

struct dir_case {
    struct scratch s;
    struct store *st;
    struct buf b;
    struct err err;
    int source; /* a file with "body" at 1 */
    struct store_stat stat;
};

static void dir_case_init(struct dir_case *c)
{
    *c = (struct dir_case){.b = TEXTS_BUF};
    scratch_init(&c->s);
    scratch_write(&c->s, ".bmfs-store-source", "-body-");
    c->source = open(scratch_at(&c->s, ".bmfs-store-source"), O_RDONLY | O_CLOEXEC);
    assert_true(c->source >= 0);
    assert_int_equal(dir_new(c->s.path, false, &c->st, &c->err), 0);
    assert_int_equal(texts_put_if(c->st, "a/old", "old:body", NULL, &c->stat, NULL), 0);
}

static void dir_case_fini(struct dir_case *c)
{
    store_free(c->st);
    buf_fini(&c->b);
    closep(&c->source);
    scratch_fini(&c->s);
}

#define DIR_CASE(c)                                 \
    CLEANUP(dir_case_fini) struct dir_case c = {0}; \
    dir_case_init(&(c))

/* Names in a folder, "." and ".." not counted; -1 if it is not there. */
static int dir_names(const char *path)
{
    struct dirent **e = NULL;
    int n = scandir(path, &e, NULL, NULL);
    for (int i = 0; i < n; i++)
        free(e[i]);
    free(e);
    return n < 0 ? n : n - 2;
}

static int dir_put_body(struct dir_case *c, const char *key, const char *if_match)
{
    struct store_body body = {.head = "new:", .head_len = 4, .fd = c->source, .off = 1, .len = 4};
    struct store_put put = {
        .if_match = if_match, .write_id = DIR_ID, .has_crc32c = true, .crc32c = 1};
    return store_put(c->st, key, &body, &put, NULL, &c->err);
}

static int dir_op_put_new(struct dir_case *c)
{
    return dir_put_body(c, "b/c/new", NULL);
}

static int dir_op_put_absent(struct dir_case *c)
{
    return dir_put_body(c, "b/c/new", STORE_ABSENT);
}

/* As on NFS. */
static int dir_op_put_link(struct dir_case *c)
{
    calls_besides("renameat2", 0, EINVAL);
    int r = dir_op_put_absent(c);
    calls_besides(NULL, 0, 0);
    return r;
}

static int dir_op_put_beside(struct dir_case *c)
{
    calls_besides("renameat", 1, EXDEV);
    int r = dir_op_put_new(c);
    calls_besides(NULL, 0, 0);
    return r;
}

static int dir_op_put_slow(struct dir_case *c)
{
    calls_besides("copy_file_range", 0, EXDEV);
    int r = dir_op_put_new(c);
    calls_besides(NULL, 0, 0);
    return r;
}

static int dir_op_put_over(struct dir_case *c)
{
    return dir_put_body(c, "a/old", NULL);
}

static int dir_op_put_match(struct dir_case *c)
{
    return dir_put_body(c, "a/old", c->stat.etag);
}

static int dir_op_get(struct dir_case *c)
{
    return texts_get(c->st, "a/old", &c->b);
}

static int dir_op_get_link(struct dir_case *c)
{
    (void)symlink("a/old", scratch_at(&c->s, "link"));
    return texts_get(c->st, "link", &c->b);
}

static int dir_op_head(struct dir_case *c)
{
    struct store_stat stat;
    return store_head(c->st, "a/old", &stat, &c->err);
}

static int dir_op_open(struct dir_case *c)
{
    struct store_stat stat;
    int fd = store_open_local(c->st, "a/old", &stat, &c->err);
    closep(&fd);
    return fd < 0 ? fd : 0;
}

static int dir_op_del(struct dir_case *c)
{
    return store_del(c->st, "a/old", NULL, &c->err);
}

static int dir_op_del_match(struct dir_case *c)
{
    return store_del(c->st, "a/old", c->stat.etag, &c->err);
}

static int dir_op_list(struct dir_case *c)
{
    struct store_list list = {.prefix = ""};
    return texts_list(c->st, &list, &c->b, &c->err);
}

static int dir_op_list_fold(struct dir_case *c)
{
    struct store_list list = {.prefix = "", .delimiter = '/'};
    return texts_list(c->st, &list, &c->b, &c->err);
}

static int dir_op_list_typeless(struct dir_case *c)
{
    calls_hide_types(true);
    int r = dir_op_list_fold(c);
    calls_hide_types(false);
    return r;
}

static int dir_op_new(struct dir_case *c)
{
    struct store *st = NULL;
    int r = dir_new(c->s.path, false, &st, &c->err);
    store_free(st);
    return r;
}

static bool dir_is_contract_code(int r)
{
    static const int code[] = {0,      -EIO,    -EAGAIN, -EACCES, -ENOSPC,  -ENXIO,       -ENOENT,
                               -EROFS, -ESTALE, -EEXIST, -EISDIR, -ENOTDIR, -ENAMETOOLONG};
    for (size_t i = 0; i < ARRAY_SIZE(code); i++) {
        if (r == code[i])
            return true;
    }
    return false;
}

/* An object is one version, whole; the old one may only miss after a delete. */
static void dir_check_objects(struct dir_case *c)
{
    struct buf b = TEXTS_BUF;
    int r = texts_get(c->st, "a/old", &b);
    if (r == 0)
        assert_true(strcmp(buf_text(&b), "old:body") == 0 || strcmp(b.data, "new:body") == 0);
    else
        assert_int_equal(r, -ENOENT);
    r = texts_get(c->st, "b/c/new", &b);
    if (r == 0)
        assert_string_equal(buf_text(&b), "new:body");
    else
        assert_int_equal(r, -ENOENT);
    buf_fini(&b);
}

typedef int dir_op_fn(struct dir_case *c);

/* Fails the nth system call of an operation. False when it does not make so many. */
static bool dir_sweep_one(dir_op_fn *op, int nth, int code)
{
    DIR_CASE(c);
    c.err = (struct err){0};
    int fds = dir_names("/proc/self/fd");
    calls_fail(NULL, nth, code);
    int r = op(&c);
    bool struck = calls_end() > 0;
    /* Memory of the sink's buffer, or for the store itself. */
    bool memory = r == -ENOMEM && (strcmp(calls_struck(), "realloc") == 0 || op == dir_op_new);
    if (!dir_is_contract_code(r) && !memory)
        fail_msg("errno %d of %s became %d", code, calls_struck(), r);
    assert_int_equal(dir_names("/proc/self/fd"), fds);
    if (strcmp(calls_struck(), "unlinkat") != 0) {
        assert_int_equal(dir_names(scratch_at(&c.s, DIR_PATH_HIDDEN "/tmp")), 0);
        assert_true(dir_names(scratch_at(&c.s, "b/c")) < 2);
    }
    if (r == 0 && op == dir_op_list)
        assert_string_equal(buf_text(&c.b), "a/old");
    if (r == 0 && (op == dir_op_list_fold || op == dir_op_list_typeless))
        assert_string_equal(buf_text(&c.b), "a/");
    dir_check_objects(&c);
    assert_int_equal(texts_put(c.st, "after", "text"), 0);
    return struck;
}

static void dir_survives_the_failure_of_any_system_call(void **state)
{
    (void)state;
    static dir_op_fn *const op[] = {
        dir_op_put_new,    dir_op_put_link, dir_op_put_beside, dir_op_put_slow,
        dir_op_put_absent, dir_op_put_over, dir_op_put_match,  dir_op_get,
        dir_op_get_link,   dir_op_head,     dir_op_open,       dir_op_del,
        dir_op_del_match,  dir_op_list,     dir_op_list_fold,  dir_op_list_typeless,
        dir_op_new,
    };
    static const int code[] = {EIO, ENOSPC, ENOMEM, EACCES};
    int runs = 0;
    for (size_t i = 0; i < ARRAY_SIZE(op); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(code); k++) {
            int nth = 1;
            while (dir_sweep_one(op[i], nth, code[k]))
                nth++;
            assert_true(nth > 3 && nth < 200);
            runs += nth;
        }
    }
    print_message("%d runs\n", runs);
}

static void dir_maps_what_the_kernel_says(void **state)
{
    (void)state;
    DIR_CASE(c);
    static const int map[][2] = {
        {EDQUOT, -ENOSPC}, {EPERM, -EACCES},     {EROFS, -EROFS},   {EFBIG, -EFBIG},
        {EINTR, -EAGAIN},  {ESTALE, -EAGAIN},    {EMFILE, -EAGAIN}, {EBADF, -EIO},
        {EBUSY, -EAGAIN},  {ETIMEDOUT, -EAGAIN}, {ENOSPC, -ENOSPC},
    };
    for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
        calls_fail("fsync", 1, map[i][0]);
        int r = dir_op_put_over(&c);
        assert_int_equal(calls_end(), 1);
        assert_int_equal(r, map[i][1]);
    }
    assert_string_equal(c.err.msg, "put a/old: sync: No space left on device");
}

static void dir_put_is_durable_before_it_has_its_name(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_fail("nothing", 1, 0);
    int r = dir_op_put_new(&c);
    (void)calls_end();
    assert_int_equal(r, 0);
    /* The directories b and b/c, then the file and its directory around the rename. */
    assert_int_equal(calls_count("fsync"), 4);
    assert_int_equal(calls_count("mkdirat"), 2);
    assert_true(calls_position("pwrite64", 1) < calls_position("fsync", 1));
    assert_true(calls_position("fsetxattr", 1) < calls_position("fsync", 1));
    assert_true(calls_position("futimens", 1) > 0);
    assert_true(calls_position("futimens", 1) < calls_position("fsync", 1));
    assert_true(calls_position("mkdirat", 1) < calls_position("fsync", 2));
    assert_true(calls_position("mkdirat", 2) < calls_position("fsync", 3));
    assert_true(calls_position("fsync", 3) < calls_position("renameat", 1));
    assert_true(calls_position("renameat", 1) < calls_position("fsync", 4));
}

static void dir_does_without_extended_attributes(void **state)
{
    (void)state;
    DIR_CASE(c);
    static const int code[] = {ENOTSUP, EPERM, E2BIG, ERANGE, ENOSYS};
    struct store_stat stat;
    for (size_t i = 0; i < ARRAY_SIZE(code); i++) {
        calls_fail("fsetxattr", 0, code[i]);
        assert_int_equal(dir_op_put_new(&c), 0);
        assert_int_equal(calls_end(), 1);
        assert_int_equal(store_head(c.st, "b/c/new", &stat, NULL), 0);
        assert_false(stat.has_crc32c);
        assert_string_equal(stat.write_id, "");
    }
    calls_fail("fsetxattr", 0, ENOSPC);
    assert_int_equal(dir_op_put_new(&c), -ENOSPC);
    assert_int_equal(calls_end(), 1);
}

static void dir_copies_where_the_kernel_will_not(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_fail("copy_file_range", 0, EXDEV);
    assert_int_equal(dir_op_put_new(&c), 0);
    assert_int_equal(calls_end(), 1);
    assert_int_equal(texts_get(c.st, "b/c/new", &c.b), 0);
    assert_string_equal(buf_text(&c.b), "new:body");
}

static void dir_links_where_it_cannot_rename_exclusively(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_fail("renameat2", 0, EINVAL);
    assert_int_equal(dir_op_put_absent(&c), 0);
    assert_int_equal(calls_count("linkat"), 1);
    /* Between the look and the link, someone else was faster. */
    for (int way = 0; way < 2; way++) {
        calls_besides(way ? "renameat2" : NULL, 0, EINVAL);
        calls_fail("fstatat64", 1, ENOENT);
        assert_int_equal(dir_op_put_absent(&c), -EEXIST);
        assert_int_equal(calls_count("renameat2"), 1);
        assert_int_equal(calls_count("linkat"), way);
        (void)calls_end();
    }
    calls_besides(NULL, 0, 0);
    assert_int_equal(dir_names(scratch_at(&c.s, DIR_PATH_HIDDEN "/tmp")), 0);
}

static void dir_puts_beside_the_target_on_another_file_system(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_fail("renameat", 1, EXDEV);
    assert_int_equal(dir_op_put_new(&c), 0);
    assert_int_equal(calls_end(), 1);
    assert_int_equal(texts_get(c.st, "b/c/new", &c.b), 0);
    assert_string_equal(buf_text(&c.b), "new:body");
    assert_int_equal(dir_names(scratch_at(&c.s, "b/c")), 1);
    calls_fail("renameat", 0, EXDEV);
    assert_int_equal(dir_op_put_new(&c), -EIO);
    assert_int_equal(calls_end(), 2);
    assert_int_equal(dir_names(scratch_at(&c.s, "b/c")), 1);
    assert_int_equal(dir_names(scratch_at(&c.s, DIR_PATH_HIDDEN "/tmp")), 0);
}

static void dir_sync_of_a_directory_may_be_unknown(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_fail("fsync", 2, EINVAL);
    assert_int_equal(dir_op_put_over(&c), 0);
    assert_int_equal(calls_end(), 1);
}

static void dir_takes_a_lock_file_that_it_may_only_read(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_fail("nothing", 1, 0);
    assert_int_equal(dir_op_put_over(&c), 0);
    int opens = calls_count("openat64");
    (void)calls_end();
    int locked = 0;
    for (int nth = 1; nth <= opens; nth++) {
        calls_fail("openat64", nth, EACCES);
        locked += dir_op_put_over(&c) == 0;
        assert_int_equal(calls_end(), 1);
    }
    assert_int_equal(locked, 1);
    calls_fail("flock", 2, EINTR); /* the first one is of the temporary file */
    assert_int_equal(dir_op_put_over(&c), 0);
    assert_int_equal(calls_end(), 1);
}

static void dir_removes_the_directory(void *arg)
{
    const struct dir_case *c = arg;
    (void)rmdir(scratch_at(&c->s, "b/c"));
    (void)rmdir(scratch_at(&c->s, "b"));
}

static void dir_put_makes_a_directory_again_that_a_del_removed(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_before("renameat", 1, dir_removes_the_directory, &c);
    assert_int_equal(dir_op_put_new(&c), 0);
    assert_int_equal(calls_end(), 1);
    assert_int_equal(store_del(c.st, "b/c/new", NULL, NULL), 0);
    calls_before("mkdirat", 2, dir_removes_the_directory, &c);
    assert_int_equal(dir_op_put_new(&c), 0);
    assert_int_equal(calls_end(), 1);
    assert_int_equal(store_del(c.st, "b/c/new", NULL, NULL), 0);
    calls_before("renameat", 0, dir_removes_the_directory, &c);
    assert_int_equal(dir_op_put_new(&c), -EAGAIN);
    assert_int_equal(calls_end(), 100);
    assert_string_equal(c.err.msg, "put b/c/new: its directory was removed 100 times");
}

static void dir_makes_the_directory_first(void *arg)
{
    const struct dir_case *c = arg;
    (void)mkdir(scratch_at(&c->s, "b"), 0777);
    (void)mkdir(scratch_at(&c->s, "b/c"), 0777);
    (void)mkdir(scratch_at(&c->s, DIR_PATH_HIDDEN), 0777);
    (void)mkdir(scratch_at(&c->s, DIR_PATH_HIDDEN "/tmp"), 0777);
}

static void dir_put_shares_directories_that_others_make(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_before("mkdirat", 1, dir_makes_the_directory_first, &c);
    assert_int_equal(dir_op_put_new(&c), 0);
    assert_int_equal(calls_end(), 1);
    CLEANUP(store_freep) struct store *st = NULL;
    scratch_write(&c.s, "sub/x", "");
    assert_int_equal(dir_new(scratch_at(&c.s, "sub"), false, &st, NULL), 0);
    calls_fail("mkdirat", 1, EEXIST); /* and then it is not there after all */
    assert_int_equal(texts_put(st, "k", "text"), -EAGAIN);
    (void)calls_end();
    assert_int_equal(texts_put(st, "k", "text"), 0);
}

static void dir_becomes_a_fifo(void *arg)
{
    const struct dir_case *c = arg;
    (void)unlink(scratch_at(&c->s, "a/old"));
    (void)mkfifo(scratch_at(&c->s, "a/old"), 0666);
}

static void dir_becomes_a_link(void *arg)
{
    const struct dir_case *c = arg;
    (void)unlink(scratch_at(&c->s, "a/old"));
    (void)symlink("/etc/passwd", scratch_at(&c->s, "a/old"));
}

static void dir_opens_nothing_that_it_did_not_look_at(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_fail("nothing", 1, 0);
    assert_int_equal(dir_op_get(&c), 0);
    int opens = calls_count("openat64");
    (void)calls_end();
    calls_before("openat64", opens, dir_becomes_a_fifo, &c); /* whose opening would wait */
    assert_int_equal(dir_op_get(&c), -ENOENT);
    assert_int_equal(calls_end(), 1);
    assert_int_equal(unlink(scratch_at(&c.s, "a/old")), 0);
    scratch_write(&c.s, "a/old", "text");
    calls_before("openat64", opens, dir_becomes_a_link, &c);
    assert_int_equal(dir_op_get(&c), -ENOENT);
    assert_int_equal(calls_end(), 1);
}

static void dir_changes_before_the_lock(void *arg)
{
    struct dir_case *c = arg;
    (void)unlink(scratch_at(&c->s, "a/old"));
    scratch_write(&c->s, "a/old", "someone else's");
}

static void dir_compares_under_the_lock(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_before("flock", 2, dir_changes_before_the_lock, &c);
    assert_int_equal(dir_op_put_match(&c), -ESTALE);
    assert_int_equal(calls_end(), 1);
    assert_int_equal(texts_get(c.st, "a/old", &c.b), 0);
    assert_string_equal(buf_text(&c.b), "someone else's");
    assert_int_equal(store_head(c.st, "a/old", &c.stat, NULL), 0);
    calls_before("flock", 1, dir_changes_before_the_lock, &c);
    assert_int_equal(dir_op_del_match(&c), -ESTALE);
    assert_int_equal(calls_end(), 1);
}

/* Takes every lock of the store, as another process would. */
static void dir_lock_all(const struct dir_case *c, int fd[static 64])
{
    for (int i = 0; i < 64; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), DIR_PATH_HIDDEN "/lock/%02x", i);
        scratch_write(&c->s, name, "");
        fd[i] = open(scratch_at(&c->s, name), O_RDWR | O_CLOEXEC);
        assert_int_equal(flock(fd[i], LOCK_EX), 0);
    }
}

static void dir_half_a_minute_passes(void *arg)
{
    (void)arg;
    calls_clock_add(31000);
}

static void dir_shuts_down(void *arg)
{
    const struct dir_case *c = arg;
    store_shutdown(c->st);
}

static void dir_unlocks_all(void *arg)
{
    int *fd = arg;
    for (int i = 0; i < 64; i++)
        assert_int_equal(flock(fd[i], LOCK_UN), 0);
}

static void dir_waits_for_the_lock_of_another_process(void **state)
{
    (void)state;
    DIR_CASE(c);
    int fd[64];
    dir_lock_all(&c, fd);
    calls_before("flock", 3, dir_unlocks_all, fd);
    assert_int_equal(dir_op_put_over(&c), 0);
    assert_int_equal(calls_end(), 1);
    for (int i = 0; i < 64; i++)
        closep(&fd[i]);
}

static void dir_does_not_wait_for_a_lock_for_ever(void **state)
{
    (void)state;
    DIR_CASE(c);
    int fd[64];
    dir_lock_all(&c, fd);
    calls_before("flock", 3, dir_half_a_minute_passes, &c);
    assert_int_equal(dir_op_put_over(&c), -EAGAIN);
    assert_int_equal(calls_end(), 1);
    assert_string_equal(c.err.msg, "put a/old: another process holds the lock of this key");
    calls_before("flock", 3, dir_shuts_down, &c);
    assert_int_equal(dir_op_put_over(&c), -ECANCELED);
    assert_int_equal(calls_end(), 1);
    for (int i = 0; i < 64; i++)
        closep(&fd[i]);
}

static void dir_copy_ends_at_shutdown(void **state)
{
    (void)state;
    DIR_CASE(c);
    calls_besides("copy_file_range", 0, EXDEV);
    calls_before("pwrite64", 1, dir_shuts_down, &c);
    assert_int_equal(dir_op_put_over(&c), -ECANCELED);
    assert_int_equal(calls_end(), 1);
    calls_besides(NULL, 0, 0);
    assert_int_equal(dir_names(scratch_at(&c.s, DIR_PATH_HIDDEN "/tmp")), 0);
}

static void dir_removes_all(void *arg)
{
    const struct dir_case *c = arg;
    (void)unlink(scratch_at(&c->s, "p/z"));
    (void)unlink(scratch_at(&c->s, "p/q/x"));
    (void)rmdir(scratch_at(&c->s, "p/q"));
    (void)rmdir(scratch_at(&c->s, "p"));
    (void)unlink(scratch_at(&c->s, "a/old"));
    (void)rmdir(scratch_at(&c->s, "a"));
}

static void dir_list_passes_over_what_goes_meanwhile(void **state)
{
    (void)state;
    for (int fold = 0; fold < 2; fold++) {
        int opens = 1;
        int stats = 1;
        for (int nth = 1; nth <= MAX(opens, stats); nth++) {
            DIR_CASE(c);
            scratch_write(&c.s, "p/q/x", "");
            scratch_write(&c.s, "p/z", "");
            calls_before("openat64", nth, dir_removes_all, &c);
            assert_int_equal(fold ? dir_op_list_fold(&c) : dir_op_list(&c), 0);
            opens = calls_count("openat64");
            scratch_write(&c.s, "a/old", "");
            scratch_write(&c.s, "p/q/x", "");
            scratch_write(&c.s, "p/z", "");
            calls_before("fstatat64", nth, dir_removes_all, &c);
            assert_int_equal(fold ? dir_op_list_fold(&c) : dir_op_list(&c), 0);
            stats = calls_count("fstatat64");
            (void)calls_end();
        }
        assert_true(opens > 1);
    }
}

static void dir_list_asks_where_readdir_does_not_tell(void **state)
{
    (void)state;
    DIR_CASE(c);
    (void)mkfifo(scratch_at(&c.s, "fifo"), 0666);
    assert_int_equal(symlink("a/old", scratch_at(&c.s, "link")), 0);
    calls_hide_types(true);
    assert_int_equal(dir_op_list(&c), 0);
    assert_string_equal(buf_text(&c.b), "a/old link");
    assert_int_equal(dir_op_list_fold(&c), 0);
    assert_string_equal(buf_text(&c.b), "a/ link");
    calls_hide_types(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dir_survives_the_failure_of_any_system_call),
        cmocka_unit_test(dir_maps_what_the_kernel_says),
        cmocka_unit_test(dir_put_is_durable_before_it_has_its_name),
        cmocka_unit_test(dir_does_without_extended_attributes),
        cmocka_unit_test(dir_copies_where_the_kernel_will_not),
        cmocka_unit_test(dir_links_where_it_cannot_rename_exclusively),
        cmocka_unit_test(dir_puts_beside_the_target_on_another_file_system),
        cmocka_unit_test(dir_sync_of_a_directory_may_be_unknown),
        cmocka_unit_test(dir_takes_a_lock_file_that_it_may_only_read),
        cmocka_unit_test(dir_put_makes_a_directory_again_that_a_del_removed),
        cmocka_unit_test(dir_put_shares_directories_that_others_make),
        cmocka_unit_test(dir_opens_nothing_that_it_did_not_look_at),
        cmocka_unit_test(dir_compares_under_the_lock),
        cmocka_unit_test(dir_waits_for_the_lock_of_another_process),
        cmocka_unit_test(dir_does_not_wait_for_a_lock_for_ever),
        cmocka_unit_test(dir_copy_ends_at_shutdown),
        cmocka_unit_test(dir_list_passes_over_what_goes_meanwhile),
        cmocka_unit_test(dir_list_asks_where_readdir_does_not_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
