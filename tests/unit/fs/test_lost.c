#include "tests/unit/unit.h"

#include "fs/lost.h"

#include "base/buf.h"
#include "fs/cache_dir.h"
#include "tests/unit/fs/lab.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A private file with a text. */
static struct cache_file lost_file(struct lab *lab, const char *text)
{
    struct cache_file f = {.fd = -1};
    assert_int_equal(cache_file_new(lab->cache, &f, NULL), 0);
    assert_int_equal(pwrite_full(f.fd, text, strlen(text), 0), 0);
    return f;
}

static const struct lost_note lost_note = {.store_id = "s3://host/lab",
                                           .key = "A/0_4_4_0_3_3_",
                                           .if_match = "e1",
                                           .write_id = "0123456789abcdef0123456789abcdef",
                                           .reason = "the \"store\" is down"};

/* The bytes of DIR/lost/<name><suffix>, to be freed; NULL when there is no such file. */
static char *lost_read(struct lab *lab, const char *name, const char *suffix)
{
    char path[256];
    struct stat st;
    (void)snprintf(path, sizeof(path), "cache/lost/%s%s", name, suffix);
    CLEANUP(closep) int fd = open(scratch_at(&lab->dir, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    assert_int_equal(st.st_mode & 0777, 0600);
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_int_equal(pread_full(fd, text, (size_t)st.st_size, 0), 0);
    return text;
}

static int lost_count(struct lab *lab)
{
    int n = 0;
    DIR *d = opendir(scratch_at(&lab->dir, "cache/lost"));
    if (!d)
        return 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) // NOLINT(concurrency-mt-unsafe)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

static const char *lost_field(const cJSON *json, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
}

static void lost_keeps_the_bytes_and_says_what_they_are(void **state)
{
    (void)state;
    LAB(lab, 0);
    char name[64];
    struct cache_file f = lost_file(&lab, "precious");
    assert_int_equal(lost_keep(lab.cache, &f, &lost_note, name, sizeof(name), &lab.err), 0);
    assert_string_equal(f.name, ""); /* it is no private file any more */
    cache_file_drop(lab.cache, &f);
    CLEANUP(freep) char *data = lost_read(&lab, name, ".data");
    CLEANUP(freep) char *note = lost_read(&lab, name, ".json");
    assert_string_equal(data, "precious");
    cJSON *json = cJSON_Parse(note);
    assert_string_equal(lost_field(json, "store"), lost_note.store_id);
    assert_string_equal(lost_field(json, "key"), lost_note.key);
    assert_string_equal(lost_field(json, "if_match"), lost_note.if_match);
    assert_string_equal(lost_field(json, "write_id"), lost_note.write_id);
    assert_string_equal(lost_field(json, "reason"), lost_note.reason);
    cJSON_Delete(json);
    assert_int_equal(lost_count(&lab), 2);
}

static void lost_puts_a_head_before_the_bytes(void **state)
{
    (void)state;
    LAB(lab, 0);
    char name[64];
    struct lost_note note = lost_note;
    struct cache_file f = lost_file(&lab, "elements");
    note.head = "npy header, ";
    note.head_len = strlen(note.head);
    note.if_match = NULL;
    assert_int_equal(lost_keep(lab.cache, &f, &note, name, sizeof(name), &lab.err), 0);
    cache_file_drop(lab.cache, &f);
    CLEANUP(freep) char *data = lost_read(&lab, name, ".data");
    assert_string_equal(data, "npy header, elements");
    CLEANUP(freep) char *text = lost_read(&lab, name, ".json");
    assert_null(strstr(text, "if_match"));
}

static void lost_outlives_the_mount(void **state)
{
    (void)state;
    LAB(lab, 0);
    char name[64];
    struct cache_file f = lost_file(&lab, "precious");
    assert_int_equal(lost_keep(lab.cache, &f, &lost_note, name, sizeof(name), NULL), 0);
    cache_file_drop(lab.cache, &f);
    lab_restart(&lab);
    CLEANUP(freep) char *data = lost_read(&lab, name, ".data");
    assert_string_equal(data, "precious");
}

static void lost_has_a_limit(void **state)
{
    (void)state;
    LAB(lab, 0);
    char path[64];
    assert_int_equal(mkdir(scratch_at(&lab.dir, "cache/lost"), 0700), 0);
    for (int i = 0; i < LOST_FILES_MAX; i++) {
        (void)snprintf(path, sizeof(path), "cache/lost/%d", i);
        assert_int_equal(mknod(scratch_at(&lab.dir, path), S_IFREG | 0600, 0), 0);
    }
    struct cache_file f = lost_file(&lab, "precious");
    assert_int_equal(lost_keep(lab.cache, &f, &lost_note, NULL, 0, &lab.err), -EDQUOT);
    assert_non_null(strstr(lab.err.msg, "full"));
    assert_true(f.name[0] != '\0');
    cache_file_drop(lab.cache, &f);
}

static int lost_see_entry(void *arg, const struct lost_entry *e)
{
    int *n = arg;
    (void)e;
    return ++*n, 0;
}

/* Puts a file into the recovery folder. */
static void lost_put(struct lab *lab, const char *name, const char *text)
{
    char path[100];
    (void)snprintf(path, sizeof(path), "cache/lost/%s", name);
    CLEANUP(closep)
    int fd = open(scratch_at(&lab->dir, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write_full(fd, text, strlen(text)), 0);
}

static void lost_passes_over_what_is_no_entry(void **state)
{
    (void)state;
    LAB(lab, 0);
    static const char *const note[] = {
        "",
        "no json",
        "{}",
        "{\"store\": \"s\", \"key\": 7, \"reason\": \"r\", \"write_id\": \"\"}",
        "{\"store\": \"s\", \"key\": \"k\", \"reason\": \"r\"}",
    };
    static const char *const stray[] = {"1-a.dat",  "x-a.data", "1a.data", "1-.data",
                                        "1-A.data", "-a.data",  ".data",   "1-a.data.json"};
    char name[LOST_NAME_SIZE];
    struct lost_entry e;
    int count = 0;
    struct cache_file f = lost_file(&lab, "bytes");
    assert_int_equal(lost_keep(lab.cache, &f, &lost_note, name, sizeof(name), &lab.err), 0);
    cache_file_drop(lab.cache, &f);
    for (size_t i = 0; i < ARRAY_SIZE(stray); i++)
        lost_put(&lab, stray[i], "x");
    lost_put(&lab, "2-b.data", "x"); /* without a note */
    for (size_t i = 0; i < ARRAY_SIZE(note); i++) {
        lost_put(&lab, "2-c.data", "x");
        lost_put(&lab, "2-c.json", note[i]);
        assert_true(lost_open(cache_dir_fd(lab.cache), "2-c", &e) < 0);
    }
    CLEANUP(buf_fini) struct buf tail = BUF_INIT(1 << 20);
    for (int i = 0; i < 70000; i++)
        assert_int_equal(buf_append(&tail, " ", 1), 0);
    lost_put(&lab, "2-d.data", "x");
    lost_put(&lab, "2-d.json", buf_text(&tail));
    assert_int_equal(lost_open(cache_dir_fd(lab.cache), "2-d", &e), -EBADMSG);
    assert_int_equal(lost_open(cache_dir_fd(lab.cache), "../1-a", &e), -EINVAL);
    assert_int_equal(lost_drop(cache_dir_fd(lab.cache), "../1-a"), -EINVAL);
    assert_int_equal(lost_drop(cache_dir_fd(lab.cache), "9-9"), -ENOENT);
    assert_int_equal(lost_each(cache_dir_fd(lab.cache), lost_see_entry, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(lost_drop(cache_dir_fd(lab.cache), name), 0);
    assert_int_equal(lost_each(-1, lost_see_entry, &count), 0);
}

static void lost_says_when_there_is_no_folder(void **state)
{
    (void)state;
    LAB(lab, 0);
    scratch_write(&lab.dir, "cache/lost", "in the way");
    struct cache_file f = lost_file(&lab, "precious");
    assert_int_equal(lost_keep(lab.cache, &f, &lost_note, NULL, 0, &lab.err), -ENOTDIR);
    assert_non_null(strstr(lab.err.msg, "cannot keep"));
    assert_true(f.name[0] != '\0');
    cache_file_drop(lab.cache, &f);
}

static void lost_copies_what_is_nobodys_private_file(void **state)
{
    (void)state;
    LAB(lab, 0);
    char id[CACHE_ID_SIZE];
    char name[64];
    uint32_t crc = 0;
    struct cache_file f = lost_file(&lab, "published");
    assert_int_equal(cache_id("s", "k", "e", id), 0);
    assert_int_equal(cache_file_publish(lab.cache, &f, id, 0), 0);
    assert_int_equal(lost_keep(lab.cache, &f, &lost_note, name, sizeof(name), &lab.err), 0);
    CLEANUP(freep) char *data = lost_read(&lab, name, ".data");
    assert_string_equal(data, "published");
    CLEANUP(closep) int fd = cache_get(lab.cache, id, 9, &crc, NULL);
    assert_true(fd >= 0);
    cache_file_drop(lab.cache, &f);
    struct cache_file g = {.fd = -1};
    assert_int_equal(cache_file_new(lab.cache, &g, NULL), 0); /* the private folder is in place */
    cache_file_drop(lab.cache, &g);
}

static void lost_leaves_the_file_where_it_was_on_a_full_disk(void **state)
{
    (void)state;
    if (!lab_may_mount())
        skip();
    LAB(lab, 0);
    fs_free(TAKE(lab.fs));
    cache_close(TAKE(lab.cache));
    lab_mount_small(scratch_at(&lab.dir, "cache"), 256);
    lab_restart(&lab);
    int code[2] = {0};
    int left[2] = {0};
    struct lost_note note = lost_note;
    struct cache_file f = lost_file(&lab, "precious");
    char block[4096] = {0};
    CLEANUP(closep)
    int filler = open(scratch_at(&lab.dir, "cache/filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(filler, block, sizeof(block)) > 0)
        ;
    for (int copy = 0; copy < 2; copy++) { /* there is no room for the note; then, for a copy */
        note.head = copy ? block : NULL;
        note.head_len = copy ? sizeof(block) : 0;
        if (copy)
            assert_int_equal(ftruncate(filler, 100000), 0);
        for (int i = 0; copy && i < 64; i++)
            (void)pwrite_full(f.fd, block, sizeof(block), 4096 * (uint64_t)i);
        code[copy] = lost_keep(lab.cache, &f, &note, NULL, 0, &lab.err);
        left[copy] = lost_count(&lab);
    }
    bool named = f.name[0] != '\0';
    cache_file_drop(lab.cache, &f);
    fs_free(TAKE(lab.fs));
    cache_close(TAKE(lab.cache));
    lab_unmount(scratch_at(&lab.dir, "cache"));
    for (int copy = 0; copy < 2; copy++) {
        assert_int_equal(code[copy], -ENOSPC);
        assert_int_equal(left[copy], 0); /* no halves */
    }
    assert_true(named);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_keeps_the_bytes_and_says_what_they_are),
        cmocka_unit_test(lost_puts_a_head_before_the_bytes),
        cmocka_unit_test(lost_outlives_the_mount),
        cmocka_unit_test(lost_has_a_limit),
        cmocka_unit_test(lost_copies_what_is_nobodys_private_file),
        cmocka_unit_test(lost_leaves_the_file_where_it_was_on_a_full_disk),
        cmocka_unit_test(lost_passes_over_what_is_no_entry),
        cmocka_unit_test(lost_says_when_there_is_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
