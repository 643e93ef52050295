#include "tests/unit/unit.h"

#include "s3/dir.h"
#include "s3/dir_path.h"
#include "tests/kit/scratch.h"
#include "tests/kit/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static const char DIR_ID[] = "0123456789abcdef0123456789ABCDEF";

/* A store in a folder of its own. */
struct dir_case {
    struct scratch s;
    struct store *st;
    struct buf b;
    struct err err;
};

static void dir_case_init(struct dir_case *c)
{
    *c = (struct dir_case){.b = TEXTS_BUF};
    scratch_init(&c->s);
    assert_int_equal(dir_new(c->s.path, false, &c->st, &c->err), 0);
}

static void dir_case_fini(struct dir_case *c)
{
    store_free(c->st);
    buf_fini(&c->b);
    scratch_fini(&c->s);
}

#define DIR_CASE(c)                                 \
    CLEANUP(dir_case_fini) struct dir_case c = {0}; \
    dir_case_init(&(c))

static bool dir_exists(const struct dir_case *c, const char *name)
{
    struct stat st;
    return lstat(scratch_at(&c->s, name), &st) == 0;
}

/* Writes into a file in place. */
static void dir_overwrite(const struct dir_case *c, const char *name, const char *text, int flags)
{
    CLEANUP(closep) int fd = open(scratch_at(&c->s, name), O_WRONLY | O_CLOEXEC | flags);
    assert_true(fd >= 0);
    assert_int_equal(write_full(fd, text, strlen(text)), 0);
}

static void dir_names_itself_by_its_real_path(void **state)
{
    (void)state;
    DIR_CASE(c);
    scratch_write(&c.s, "sub/x", "");
    assert_int_equal(symlink("sub", scratch_at(&c.s, "link")), 0);
    CLEANUP(store_freep) struct store *st = NULL;
    assert_int_equal(dir_new(scratch_at(&c.s, "link/../link//"), true, &st, NULL), 0);
    assert_string_equal(store_id(st) + strlen("file://"), scratch_at(&c.s, "sub"));
    assert_int_equal(strncmp(store_id(st), "file:///", 8), 0);
}

static void dir_must_be_there(void **state)
{
    (void)state;
    DIR_CASE(c);
    struct store *st = NULL;
    scratch_write(&c.s, "file", "");
    assert_int_equal(dir_new(scratch_at(&c.s, "none"), false, &st, &c.err), -ENXIO);
    assert_non_null(strstr(c.err.msg, "none: "));
    assert_int_equal(dir_new(scratch_at(&c.s, "file"), false, &st, &c.err), -ENXIO);
    assert_null(st);
}

static void dir_that_goes_away_is_no_missing_key(void **state)
{
    (void)state;
    DIR_CASE(c);
    CLEANUP(store_freep) struct store *st = NULL;
    scratch_write(&c.s, "sub/x", "");
    assert_int_equal(dir_new(scratch_at(&c.s, "sub"), false, &st, NULL), 0);
    assert_int_equal(unlink(scratch_at(&c.s, "sub/x")), 0);
    assert_int_equal(rmdir(scratch_at(&c.s, "sub")), 0);
    struct store_stat stat;
    assert_int_equal(store_head(st, "x", &stat, NULL), -ENXIO);
    assert_int_equal(texts_put(st, "x", "text"), -ENXIO);
    assert_int_equal(texts_put_if(st, "x", "text", "etag", NULL, NULL), -ENXIO);
    assert_int_equal(texts_put_if(st, "a/x", "text", STORE_ABSENT, NULL, NULL), -ENXIO);
    assert_int_equal(store_del(st, "x", NULL, NULL), -ENXIO);
    struct store_list list = {.prefix = ""};
    assert_int_equal(texts_list(st, &list, &c.b, NULL), -ENXIO);
}

static void dir_keeps_an_object_as_a_plain_file(void **state)
{
    (void)state;
    DIR_CASE(c);
    assert_false(dir_exists(&c, DIR_PATH_HIDDEN));
    assert_int_equal(texts_put(c.st, "a b/c%2F", "text"), 0);
    struct stat st;
    assert_int_equal(stat(scratch_at(&c.s, "a b/c%252F"), &st), 0);
    assert_int_equal(st.st_size, 4);
    mode_t mask = umask(0);
    (void)umask(mask);
    assert_int_equal(st.st_mode & 0777, 0666 & ~mask);
}

static void dir_takes_files_of_other_programs_for_objects(void **state)
{
    (void)state;
    DIR_CASE(c);
    struct store_stat stat;
    struct store_stat later;
    scratch_write(&c.s, "a/b", "dropped");
    assert_int_equal(texts_get(c.st, "a/b", &c.b), 0);
    assert_string_equal(buf_text(&c.b), "dropped");
    assert_int_equal(store_head(c.st, "a/b", &stat, NULL), 0);
    assert_int_equal(stat.size, 7);
    assert_false(stat.has_crc32c);
    assert_string_equal(stat.write_id, "");
    dir_overwrite(&c, "a/b", "CHANGED", 0);
    /* The kernel's clock for files may not have ticked since. */
    assert_int_equal(utimensat(AT_FDCWD, scratch_at(&c.s, "a/b"), NULL, 0), 0);
    while (store_head(c.st, "a/b", &later, NULL) == 0 && later.mtime_ns == stat.mtime_ns)
        assert_int_equal(utimensat(AT_FDCWD, scratch_at(&c.s, "a/b"), NULL, 0), 0);
    assert_string_not_equal(later.etag, stat.etag);
    assert_int_equal(texts_put_if(c.st, "a/b", "x", stat.etag, NULL, NULL), -ESTALE);
    assert_int_equal(texts_put_if(c.st, "a/b", "x", later.etag, NULL, NULL), 0);
}

static void dir_version_outlives_hard_links_and_renames_of_the_directory(void **state)
{
    (void)state;
    DIR_CASE(c);
    struct store_stat put;
    struct store_stat now;
    assert_int_equal(texts_put_if(c.st, "a/b", "text", NULL, &put, NULL), 0);
    assert_int_equal(link(scratch_at(&c.s, "a/b"), scratch_at(&c.s, "a/c")), 0);
    assert_int_equal(chmod(scratch_at(&c.s, "a/b"), 0444), 0);
    assert_int_equal(store_head(c.st, "a/b", &now, NULL), 0);
    assert_string_equal(now.etag, put.etag);
    assert_int_equal(rename(scratch_at(&c.s, "a"), scratch_at(&c.s, "z")), 0);
    assert_int_equal(store_head(c.st, "z/b", &now, NULL), 0);
    assert_string_equal(now.etag, put.etag);
}

static void dir_versions_of_quick_puts_all_differ(void **state)
{
    (void)state;
    DIR_CASE(c);
    enum { DIR_PUTS = 200 };
    static char etag[DIR_PUTS][STORE_ETAG_SIZE];
    for (int i = 0; i < DIR_PUTS; i++) {
        struct store_stat stat;
        assert_int_equal(texts_put_if(c.st, "k", "same", NULL, &stat, NULL), 0);
        memcpy(etag[i], stat.etag, sizeof(etag[i]));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(etag[k], etag[i]);
    }
}

static int dir_put_marked(struct dir_case *c, const char *key, const char *text)
{
    struct store_body body = {.head = text, .head_len = strlen(text), .fd = -1};
    struct store_put put = {.write_id = DIR_ID, .has_crc32c = true, .crc32c = 0x0123beef};
    return store_put(c->st, key, &body, &put, NULL, &c->err);
}

static void dir_drops_checksum_and_write_id_when_the_file_is_changed(void **state)
{
    (void)state;
    DIR_CASE(c);
    struct store_stat stat;
    assert_int_equal(dir_put_marked(&c, "k", "text"), 0);
    assert_int_equal(store_head(c.st, "k", &stat, NULL), 0);
    assert_true(stat.has_crc32c);
    assert_int_equal(stat.crc32c, 0x0123beef);
    assert_string_equal(stat.write_id, DIR_ID);
    dir_overwrite(&c, "k", "more", O_APPEND);
    assert_int_equal(store_head(c.st, "k", &stat, NULL), 0);
    assert_int_equal(stat.size, 8);
    assert_false(stat.has_crc32c);
    assert_string_equal(stat.write_id, "");
}

static void dir_ignores_attributes_that_make_no_sense(void **state)
{
    (void)state;
    DIR_CASE(c);
    char good[128];
    const char *path = scratch_at(&c.s, "k");
    assert_int_equal(dir_put_marked(&c, "k", "text"), 0);
    ssize_t len = getxattr(path, "user.bmfs.put", good, sizeof(good) - 1);
    assert_true(len > 0);
    good[len] = '\0';
    size_t stamp = (size_t)(strstr(good, "0123beef") - good);
    static const char *const bad[] = {"",
                                      "-",
                                      "- -",
                                      "0123bee -",
                                      "0123beefa -",
                                      "0123beeg -",
                                      "- 0123",
                                      "x x",
                                      "- 0123456789abcdef0123456789abcdeg",
                                      "- 0123456789abcdef0123456789abcdef0"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char text[256];
        struct store_stat stat;
        int n = snprintf(text, sizeof(text), "%.*s%s", (int)stamp, good, bad[i]);
        assert_int_equal(setxattr(path, "user.bmfs.put", text, (size_t)n, 0), 0);
        assert_int_equal(store_head(c.st, "k", &stat, NULL), 0);
        assert_false(stat.has_crc32c);
        assert_string_equal(stat.write_id, "");
    }
}

static void dir_refuses_what_is_no_write_id(void **state)
{
    (void)state;
    DIR_CASE(c);
    struct store_body body = {.fd = -1};
    static const char *const bad[] = {"", "0123", "0123456789abcdef0123456789abcdeg",
                                      "0123456789abcdef0123456789abcdef0"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct store_put put = {.write_id = bad[i]};
        assert_int_equal(store_put(c.st, "k", &body, &put, NULL, &c.err), -EINVAL);
    }
    assert_false(dir_exists(&c, "k"));
}

static void dir_puts_a_body_of_memory_and_a_range_of_a_file(void **state)
{
    (void)state;
    DIR_CASE(c);
    enum { DIR_SIZE = 20 << 20 };
    CLEANUP(buf_fini) struct buf big = TEXTS_BUF;
    while (big.len < DIR_SIZE)
        assert_int_equal(buf_printf(&big, "%zu,", big.len), 0);
    scratch_write(&c.s, "source", big.data);
    CLEANUP(closep) int fd = open(scratch_at(&c.s, "source"), O_RDONLY | O_CLOEXEC);
    struct store_body body = {.head = "head:", .head_len = 5, .fd = fd, .off = 1000};
    body.len = big.len - 2000;
    struct store_stat stat;
    assert_int_equal(store_put(c.st, "k", &body, &(struct store_put){0}, &stat, &c.err), 0);
    assert_int_equal(stat.size, 5 + body.len);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
    assert_int_equal(texts_get(c.st, "k", &c.b), 0);
    assert_int_equal(c.b.len, stat.size);
    assert_memory_equal(c.b.data, "head:", 5);
    assert_memory_equal(c.b.data + 5, big.data + 1000, body.len);
}

static void dir_refuses_a_body_that_ends_early(void **state)
{
    (void)state;
    DIR_CASE(c);
    scratch_write(&c.s, "source", "short");
    CLEANUP(closep) int fd = open(scratch_at(&c.s, "source"), O_RDONLY | O_CLOEXEC);
    struct store_body body = {.fd = fd, .len = 6};
    assert_int_equal(store_put(c.st, "k", &body, &(struct store_put){0}, NULL, &c.err), -EIO);
    assert_false(dir_exists(&c, "k"));
    assert_int_equal(rmdir(scratch_at(&c.s, DIR_PATH_HIDDEN "/tmp")), 0); /* nothing is in it */
}

static void dir_says_when_a_key_needs_a_file_where_a_directory_is(void **state)
{
    (void)state;
    DIR_CASE(c);
    assert_int_equal(texts_put(c.st, "a/b", "text"), 0);
    assert_int_equal(texts_put(c.st, "a", "text"), -EISDIR);
    assert_int_equal(texts_put_if(c.st, "a", "text", STORE_ABSENT, NULL, &c.err), -EISDIR);
    assert_string_equal(c.err.msg, "put a: rename: Is a directory");
    assert_int_equal(texts_put_if(c.st, "a", "text", "etag", NULL, NULL), -ESTALE);
    assert_int_equal(texts_put(c.st, "a/b/c", "text"), -ENOTDIR);
    assert_int_equal(texts_get(c.st, "a/b/c", &c.b), -ENOENT);
    assert_int_equal(texts_get(c.st, "a", &c.b), -ENOENT);
    assert_int_equal(store_del(c.st, "a", NULL, NULL), 0);
    assert_int_equal(store_del(c.st, "a/b/c", NULL, NULL), 0);
    assert_int_equal(texts_get(c.st, "a/b", &c.b), 0);
}

static void dir_puts_an_object_where_an_empty_directory_was(void **state)
{
    (void)state;
    DIR_CASE(c);
    assert_int_equal(mkdir(scratch_at(&c.s, "a"), 0777), 0);
    assert_int_equal(mkdir(scratch_at(&c.s, "b"), 0777), 0);
    assert_int_equal(texts_put(c.st, "a", "text"), 0);
    assert_int_equal(texts_put_if(c.st, "b", "text", STORE_ABSENT, NULL, NULL), 0);
    assert_int_equal(texts_get(c.st, "b", &c.b), 0);
}

static void dir_removes_directories_with_their_last_object(void **state)
{
    (void)state;
    DIR_CASE(c);
    assert_int_equal(texts_put(c.st, "a/b/c/d", "text"), 0);
    assert_int_equal(texts_put(c.st, "a/x", "text"), 0);
    assert_int_equal(store_del(c.st, "a/b/c/d", NULL, NULL), 0);
    assert_false(dir_exists(&c, "a/b"));
    assert_true(dir_exists(&c, "a"));
    assert_int_equal(store_del(c.st, "a/x", NULL, NULL), 0);
    assert_false(dir_exists(&c, "a"));
    assert_int_equal(store_del(c.st, "a/x", NULL, NULL), 0);
}

static void dir_leaves_special_files_alone(void **state)
{
    (void)state;
    DIR_CASE(c);
    struct store_stat stat;
    assert_int_equal(mkfifo(scratch_at(&c.s, "fifo"), 0666), 0);
    assert_int_equal(texts_get(c.st, "fifo", &c.b), -ENOENT); /* opening it would wait for ever */
    assert_int_equal(store_head(c.st, "fifo", &stat, NULL), -ENOENT);
    assert_int_equal(store_del(c.st, "fifo", NULL, NULL), 0);
    assert_int_equal(store_del(c.st, "fifo", "etag", NULL), -ESTALE);
    assert_true(dir_exists(&c, "fifo"));
    assert_int_equal(texts_put_if(c.st, "fifo", "text", STORE_ABSENT, NULL, NULL), -EEXIST);
}

static void dir_follows_links_to_files(void **state)
{
    (void)state;
    DIR_CASE(c);
    CLEANUP(scratch_fini) struct scratch outside = {0};
    scratch_init(&outside);
    scratch_write(&outside, "data", "linked");
    assert_int_equal(symlink(scratch_at(&outside, "data"), scratch_at(&c.s, "k")), 0);
    struct store_stat stat;
    assert_int_equal(store_head(c.st, "k", &stat, NULL), 0);
    assert_int_equal(stat.size, 6);
    assert_int_equal(texts_get(c.st, "k", &c.b), 0);
    assert_string_equal(buf_text(&c.b), "linked");
    CLEANUP(closep) int fd = store_open_local(c.st, "k", &stat, NULL);
    assert_true(fd >= 0);
    assert_int_equal(texts_put_if(c.st, "k", "own", stat.etag, NULL, NULL), 0);
    assert_int_equal(texts_get(c.st, "k", &c.b), 0);
    assert_string_equal(buf_text(&c.b), "own");
    assert_int_equal(access(scratch_at(&outside, "data"), F_OK), 0);
    assert_int_equal(symlink(scratch_at(&outside, "data"), scratch_at(&c.s, "l")), 0);
    assert_int_equal(store_del(c.st, "l", NULL, NULL), 0);
    assert_false(dir_exists(&c, "l"));
    assert_int_equal(access(scratch_at(&outside, "data"), F_OK), 0);
}

static void dir_does_not_follow_links_out_of_the_directory(void **state)
{
    (void)state;
    DIR_CASE(c);
    CLEANUP(scratch_fini) struct scratch outside = {0};
    scratch_init(&outside);
    scratch_write(&outside, "data", "secret");
    assert_int_equal(symlink(outside.path, scratch_at(&c.s, "link")), 0);
    assert_int_equal(symlink("nowhere", scratch_at(&c.s, "dangling")), 0);
    assert_int_equal(symlink("loop", scratch_at(&c.s, "loop")), 0);
    assert_int_equal(symlink("/dev/zero", scratch_at(&c.s, "device")), 0);
    static const char *const key[] = {"link/data", "link", "dangling", "loop", "loop/x", "device"};
    for (size_t i = 0; i < ARRAY_SIZE(key); i++)
        assert_int_equal(texts_get(c.st, key[i], &c.b), -ENOENT);
    assert_int_equal(texts_put(c.st, "link/data", "text"), -ENOTDIR);
    assert_int_equal(store_del(c.st, "link/data", NULL, NULL), 0);
    assert_int_equal(access(scratch_at(&outside, "data"), F_OK), 0);
    struct store_list list = {.prefix = ""};
    assert_int_equal(texts_list(c.st, &list, &c.b, NULL), 0);
    assert_string_equal(buf_text(&c.b), "");
    list.prefix = "link/";
    assert_int_equal(texts_list(c.st, &list, &c.b, NULL), 0);
    assert_string_equal(buf_text(&c.b), "");
}

static void dir_does_not_follow_links_of_other_users(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can make one */
    DIR_CASE(c);
    scratch_write(&c.s, "data", "text");
    assert_int_equal(symlink("data", scratch_at(&c.s, "link")), 0);
    assert_int_equal(texts_get(c.st, "link", &c.b), 0);
    assert_int_equal(lchown(scratch_at(&c.s, "link"), 65534, 65534), 0);
    assert_int_equal(texts_get(c.st, "link", &c.b), -ENOENT);
}

static void dir_opens_an_object_that_stays_its_version(void **state)
{
    (void)state;
    DIR_CASE(c);
    struct store_stat put;
    struct store_stat stat;
    char text[8] = "";
    assert_int_equal(texts_put_if(c.st, "k", "one", NULL, &put, NULL), 0);
    CLEANUP(closep) int fd = store_open_local(c.st, "k", &stat, NULL);
    assert_true(fd >= 0);
    assert_string_equal(stat.etag, put.etag);
    assert_int_equal(texts_put(c.st, "k", "two"), 0);
    assert_int_equal(pread_full(fd, text, 3, 0), 0);
    assert_string_equal(text, "one");
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(store_open_local(c.st, "none", &stat, &c.err), -ENOENT);
    assert_string_equal(c.err.msg, "open none: no such key");
}

static void dir_read_only_writes_nothing(void **state)
{
    (void)state;
    DIR_CASE(c);
    CLEANUP(store_freep) struct store *st = NULL;
    scratch_write(&c.s, "k", "text");
    assert_int_equal(dir_new(c.s.path, true, &st, NULL), 0);
    assert_int_equal(texts_put(st, "x", "text"), -EROFS);
    assert_int_equal(store_del(st, "k", NULL, NULL), -EROFS);
    assert_int_equal(texts_get(st, "k", &c.b), 0);
    assert_false(dir_exists(&c, DIR_PATH_HIDDEN));
}

static void dir_gives_its_folder_the_rights_of_the_directory(void **state)
{
    (void)state;
    DIR_CASE(c);
    struct stat st;
    assert_int_equal(chmod(c.s.path, 02770), 0);
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    assert_int_equal(stat(scratch_at(&c.s, DIR_PATH_HIDDEN "/tmp"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770);
}

/* Makes a file look as if it was left two hours ago. */
static void dir_make_old(const struct dir_case *c, const char *name)
{
    struct timespec t[2] = {{.tv_sec = time(NULL) - 7200}, {.tv_sec = time(NULL) - 7200}};
    assert_int_equal(utimensat(AT_FDCWD, scratch_at(&c->s, name), t, 0), 0);
}

static void dir_sweeps_what_dead_processes_left(void **state)
{
    (void)state;
    DIR_CASE(c);
    static const char dead[] = DIR_PATH_HIDDEN "/tmp/" DIR_PATH_HIDDEN "-dead";
    static const char held[] = DIR_PATH_HIDDEN "/tmp/" DIR_PATH_HIDDEN "-held";
    static const char young[] = DIR_PATH_HIDDEN "/tmp/" DIR_PATH_HIDDEN "-young";
    static const char foreign[] = DIR_PATH_HIDDEN "/tmp/foreign";
    scratch_write(&c.s, dead, "x");
    scratch_write(&c.s, held, "x");
    scratch_write(&c.s, young, "x");
    scratch_write(&c.s, foreign, "x");
    dir_make_old(&c, dead);
    dir_make_old(&c, held);
    dir_make_old(&c, foreign);
    CLEANUP(closep) int fd = open(scratch_at(&c.s, held), O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    struct store *st = NULL;
    assert_int_equal(dir_new(c.s.path, true, &st, NULL), 0);
    store_free(st);
    assert_true(dir_exists(&c, dead));
    assert_int_equal(dir_new(c.s.path, false, &st, NULL), 0);
    store_free(st);
    assert_false(dir_exists(&c, dead));
    assert_true(dir_exists(&c, held));
    assert_true(dir_exists(&c, young));
    assert_true(dir_exists(&c, foreign));
}

struct dir_cutter {
    struct dir_case *c;
    const char *text; /* what to write into the file */
    int flags;
};

static int dir_sink_changes_the_file(void *arg, const struct store_stat *stat, uint64_t off,
                                     const void *data, size_t len)
{
    const struct dir_cutter *cutter = arg;
    (void)stat;
    (void)data;
    (void)len;
    if (off == 0)
        dir_overwrite(cutter->c, "k", cutter->text, cutter->flags);
    return 0;
}

static void dir_get_notices_a_file_that_changes_under_it(void **state)
{
    (void)state;
    DIR_CASE(c);
    CLEANUP(buf_fini) struct buf big = TEXTS_BUF;
    while (big.len < 3 << 20)
        assert_int_equal(buf_puts(&big, "0123456789"), 0);
    struct dir_cutter cutter = {.c = &c, .text = "cut", .flags = O_TRUNC};
    assert_int_equal(texts_put(c.st, "k", big.data), 0);
    struct store_get get = {0};
    assert_int_equal(store_get(c.st, "k", &get, dir_sink_changes_the_file, &cutter, NULL, &c.err),
                     -ESTALE);
    cutter = (struct dir_cutter){.c = &c, .text = "changed", .flags = 0};
    assert_int_equal(texts_put(c.st, "k", big.data), 0);
    assert_int_equal(store_get(c.st, "k", &get, dir_sink_changes_the_file, &cutter, NULL, &c.err),
                     -ESTALE);
    assert_string_equal(c.err.msg, "get k: the file was changed while it was read");
}

static int dir_sink_shuts_down(void *arg, const struct store_stat *stat, uint64_t off,
                               const void *data, size_t len)
{
    (void)stat;
    (void)off;
    (void)data;
    (void)len;
    store_shutdown(arg);
    return 0;
}

static void dir_get_ends_at_shutdown(void **state)
{
    (void)state;
    DIR_CASE(c);
    CLEANUP(buf_fini) struct buf big = TEXTS_BUF;
    while (big.len < 3 << 20)
        assert_int_equal(buf_puts(&big, "0123456789"), 0);
    assert_int_equal(texts_put(c.st, "k", big.data), 0);
    struct store_get get = {0};
    assert_int_equal(store_get(c.st, "k", &get, dir_sink_shuts_down, c.st, NULL, NULL), -ECANCELED);
    struct store_list list = {.prefix = ""};
    assert_int_equal(texts_put(c.st, "k", "x"), -ECANCELED);
    assert_int_equal(texts_list(c.st, &list, &c.b, NULL), -ECANCELED);
}

static int dir_sink_fails(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                          size_t len)
{
    (void)arg;
    (void)stat;
    (void)off;
    (void)data;
    (void)len;
    return -EDOM;
}

static void dir_get_returns_what_the_sink_says(void **state)
{
    (void)state;
    DIR_CASE(c);
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    struct store_get get = {0};
    assert_int_equal(store_get(c.st, "k", &get, dir_sink_fails, NULL, NULL, NULL), -EDOM);
}

static void dir_counts_what_it_was_asked(void **state)
{
    (void)state;
    DIR_CASE(c);
    struct store_stat stat;
    struct store_list list = {.prefix = ""};
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    assert_int_equal(texts_get(c.st, "k", &c.b), 0);
    assert_int_equal(texts_get(c.st, "none", &c.b), -ENOENT);
    assert_int_equal(store_head(c.st, "k", &stat, NULL), 0);
    assert_int_equal(texts_list(c.st, &list, &c.b, NULL), 0);
    assert_int_equal(store_del(c.st, "k", NULL, NULL), 0);
    struct store_counters n;
    store_count(c.st, &n);
    assert_int_equal(n.puts, 1);
    assert_int_equal(n.gets, 2);
    assert_int_equal(n.heads, 1);
    assert_int_equal(n.lists, 1);
    assert_int_equal(n.dels, 1);
    assert_int_equal(n.bytes_in, 4);
    assert_int_equal(n.bytes_out, 4);
}

static void dir_refuses_without_rights(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* needs a second user */
    DIR_CASE(c);
    assert_int_equal(texts_put(c.st, "a/k", "text"), 0);
    assert_int_equal(texts_put(c.st, "secret/k", "text"), 0);
    assert_int_equal(chmod(scratch_at(&c.s, "a/k"), 0600), 0);
    assert_int_equal(chmod(scratch_at(&c.s, "secret"), 0700), 0);
    assert_int_equal(chmod(c.s.path, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    struct store_stat stat;
    int get = texts_get(c.st, "a/k", &c.b);
    int head = store_head(c.st, "secret/k", &stat, NULL);
    int put = texts_put(c.st, "a/x", "text");
    int put_new = texts_put(c.st, "b/x", "text");
    int del = store_del(c.st, "a/k", NULL, NULL);
    struct store_list list = {.prefix = ""};
    int walk = texts_list(c.st, &list, &c.b, NULL);
    list.delimiter = '/';
    int fold = texts_list(c.st, &list, &c.b, NULL);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(get, -EACCES);
    assert_int_equal(head, -EACCES);
    assert_int_equal(put, -EACCES);
    assert_int_equal(put_new, -EACCES);
    assert_int_equal(del, -EACCES);
    assert_int_equal(walk, -EACCES); /* a listing with a hole would be a lie */
    assert_int_equal(fold, 0);
    assert_string_equal(buf_text(&c.b), "a/ secret/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dir_names_itself_by_its_real_path),
        cmocka_unit_test(dir_must_be_there),
        cmocka_unit_test(dir_that_goes_away_is_no_missing_key),
        cmocka_unit_test(dir_keeps_an_object_as_a_plain_file),
        cmocka_unit_test(dir_takes_files_of_other_programs_for_objects),
        cmocka_unit_test(dir_version_outlives_hard_links_and_renames_of_the_directory),
        cmocka_unit_test(dir_versions_of_quick_puts_all_differ),
        cmocka_unit_test(dir_drops_checksum_and_write_id_when_the_file_is_changed),
        cmocka_unit_test(dir_ignores_attributes_that_make_no_sense),
        cmocka_unit_test(dir_refuses_what_is_no_write_id),
        cmocka_unit_test(dir_puts_a_body_of_memory_and_a_range_of_a_file),
        cmocka_unit_test(dir_refuses_a_body_that_ends_early),
        cmocka_unit_test(dir_says_when_a_key_needs_a_file_where_a_directory_is),
        cmocka_unit_test(dir_puts_an_object_where_an_empty_directory_was),
        cmocka_unit_test(dir_removes_directories_with_their_last_object),
        cmocka_unit_test(dir_leaves_special_files_alone),
        cmocka_unit_test(dir_follows_links_to_files),
        cmocka_unit_test(dir_does_not_follow_links_out_of_the_directory),
        cmocka_unit_test(dir_does_not_follow_links_of_other_users),
        cmocka_unit_test(dir_opens_an_object_that_stays_its_version),
        cmocka_unit_test(dir_read_only_writes_nothing),
        cmocka_unit_test(dir_gives_its_folder_the_rights_of_the_directory),
        cmocka_unit_test(dir_sweeps_what_dead_processes_left),
        cmocka_unit_test(dir_get_notices_a_file_that_changes_under_it),
        cmocka_unit_test(dir_get_ends_at_shutdown),
        cmocka_unit_test(dir_get_returns_what_the_sink_says),
        cmocka_unit_test(dir_counts_what_it_was_asked),
        cmocka_unit_test(dir_refuses_without_rights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
