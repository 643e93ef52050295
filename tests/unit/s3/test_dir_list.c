#include "tests/unit/unit.h"

#include "s3/dir.h"
#include "s3/dir_path.h"
#include "tests/kit/rng.h"
#include "tests/kit/scratch.h"
#include "tests/kit/texts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dir_list_case {
    struct scratch s;
    struct store *st;
    struct buf b;
};

static void dir_list_case_init(struct dir_list_case *c)
{
    *c = (struct dir_list_case){.b = TEXTS_BUF};
    scratch_init(&c->s);
    assert_int_equal(dir_new(c->s.path, false, &c->st, NULL), 0);
}

static void dir_list_case_fini(struct dir_list_case *c)
{
    store_free(c->st);
    buf_fini(&c->b);
    scratch_fini(&c->s);
}

#define DIR_LIST_CASE(c)                                      \
    CLEANUP(dir_list_case_fini) struct dir_list_case c = {0}; \
    dir_list_case_init(&(c))

/* `fold`: with '/' as the delimiter. */
static const char *dir_list_text(struct dir_list_case *c, const char *prefix, bool fold)
{
    struct store_list list = {.prefix = prefix, .delimiter = fold ? '/' : 0};
    assert_int_equal(texts_list(c->st, &list, &c->b, NULL), 0);
    return buf_text(&c->b);
}

static void dir_list_passes_over_what_is_no_object(void **state)
{
    (void)state;
    DIR_LIST_CASE(c);
    assert_int_equal(texts_put(c.st, "a/k", "text"), 0);
    static const char *const foreign[] = {
        "a%41", "%2e", "a/.bmfs-store-temp", ".bmfs-storefile", "x%01/y", "z%2E/k", "%00"};
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
        scratch_write(&c.s, foreign[i], "");
    assert_int_equal(mkfifo(scratch_at(&c.s, "a/fifo"), 0666), 0);
    assert_string_equal(dir_list_text(&c, "", false), "a/k");
    assert_string_equal(dir_list_text(&c, "", true), "a/");
    assert_string_equal(dir_list_text(&c, ".bmfs", false), "");
}

static void dir_list_shows_keys_named_like_its_own_folder(void **state)
{
    (void)state;
    DIR_LIST_CASE(c);
    assert_int_equal(texts_put(c.st, ".bmfs-store/tmp/x", "text"), 0);
    assert_int_equal(texts_put(c.st, ".bmfs-store2", "text"), 0);
    assert_string_equal(dir_list_text(&c, "", false), ".bmfs-store/tmp/x .bmfs-store2");
    assert_string_equal(dir_list_text(&c, ".bmfs-store/", true), ".bmfs-store/tmp/");
    assert_int_equal(texts_clear(c.st, ""), 0);
    assert_string_equal(dir_list_text(&c, "", false), "");
}

static void dir_list_gives_directories_without_objects_no_prefix(void **state)
{
    (void)state;
    DIR_LIST_CASE(c);
    assert_int_equal(mkdir(scratch_at(&c.s, "empty"), 0777), 0);
    scratch_write(&c.s, "foreign/sub/a%41", "");
    scratch_write(&c.s, "full/sub/k", "");
    assert_int_equal(mkdir(scratch_at(&c.s, "links"), 0777), 0);
    assert_int_equal(symlink("nowhere", scratch_at(&c.s, "links/l")), 0);
    assert_string_equal(dir_list_text(&c, "", true), "full/");
    assert_int_equal(unlink(scratch_at(&c.s, "links/l")), 0);
    assert_int_equal(symlink("../full/sub/k", scratch_at(&c.s, "links/l")), 0);
    assert_string_equal(dir_list_text(&c, "", true), "full/ links/");
}

static void dir_list_looks_for_objects_only_so_far(void **state)
{
    (void)state;
    DIR_LIST_CASE(c);
    for (int i = 0; i < 1001; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "many/%d%%41", i);
        scratch_write(&c.s, name, "");
    }
    scratch_write(&c.s, "deep/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/a%41", "");
    scratch_write(&c.s, "flat/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/a%41", "");
    assert_string_equal(dir_list_text(&c, "", true), "deep/ many/");
    assert_string_equal(dir_list_text(&c, "", false), "");
}

static void dir_list_orders_long_names_with_the_others(void **state)
{
    (void)state;
    DIR_LIST_CASE(c);
    char piece[85];
    char rest[201];
    char key[4][512];
    memset(piece, 'x', sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = '\0';
    memset(rest, 'y', sizeof(rest) - 1);
    rest[sizeof(rest) - 1] = '\0';
    (void)snprintf(key[0], sizeof(key[0]), "%sa%s", piece, rest);
    (void)snprintf(key[1], sizeof(key[1]), "%sm", piece);
    (void)snprintf(key[2], sizeof(key[2]), "%sm%s/%s", piece, rest, rest);
    (void)snprintf(key[3], sizeof(key[3]), "%sz%s", piece, rest);
    for (int i = 3; i >= 0; i--)
        assert_int_equal(texts_put(c.st, key[i], "text"), 0);
    CLEANUP(buf_fini) struct buf want = TEXTS_BUF;
    assert_int_equal(buf_printf(&want, "%s %s %s %s", key[0], key[1], key[2], key[3]), 0);
    assert_string_equal(dir_list_text(&c, "", false), want.data);
    buf_clear(&want);
    assert_int_equal(buf_printf(&want, "%s %s %sm%s/ %s", key[0], key[1], piece, rest, key[3]), 0);
    assert_string_equal(dir_list_text(&c, "", true), want.data);
    assert_string_equal(dir_list_text(&c, key[3], false), key[3]);
    key[2][strlen(key[2]) - 1] = '\0';
    assert_string_not_equal(dir_list_text(&c, key[2], false), "");
}

static void dir_list_goes_as_deep_as_a_key_can(void **state)
{
    (void)state;
    DIR_LIST_CASE(c);
    char key[STORE_KEY_MAX + 1];
    memset(key, '/', STORE_KEY_MAX);
    key[STORE_KEY_MAX] = '\0';
    assert_int_equal(texts_put(c.st, key, "text"), 0);
    assert_string_equal(dir_list_text(&c, "", false), key);
    assert_string_equal(dir_list_text(&c, "", true), "/");
    assert_int_equal(store_del(c.st, key, NULL, NULL), 0);
    assert_string_equal(dir_list_text(&c, "", true), "");
    assert_int_equal(access(scratch_at(&c.s, "%00"), F_OK), -1);
}

static void dir_list_ignores_names_longer_than_a_key(void **state)
{
    (void)state;
    DIR_LIST_CASE(c);
    CLEANUP(buf_fini) struct buf path = TEXTS_BUF;
    char piece[85];
    memset(piece, 'x', sizeof(piece) - 1);
    piece[sizeof(piece) - 1] = '\0';
    for (int i = 0; i < 12; i++)
        assert_int_equal(buf_printf(&path, "%s%%01/", piece), 0);
    size_t len = path.len;
    assert_int_equal(buf_printf(&path, "%s", piece), 0); /* 1,092 bytes in one part */
    scratch_write(&c.s, path.data, "");
    path.data[len] = '\0';
    path.len = len;
    assert_int_equal(buf_printf(&path, "%s%%01/z", piece), 0);
    scratch_write(&c.s, path.data, "");
    for (int i = 0; i < 2; i++)
        assert_string_equal(dir_list_text(&c, "", i > 0), "");
    char prefix[STORE_KEY_MAX + 2];
    memset(prefix, 'x', sizeof(prefix) - 1);
    prefix[sizeof(prefix) - 1] = '\0';
    assert_string_equal(dir_list_text(&c, prefix, false), "");
}

/* The listing as it is defined, over all keys in order. */
struct dir_list_model {
    const struct store_list *list;
    struct buf b;
    char last[STORE_KEY_MAX + 1];
};

static void dir_list_model_add(struct dir_list_model *m, const char *key)
{
    char entry[STORE_KEY_MAX + 1];
    size_t prefix = strlen(m->list->prefix);
    if (strncmp(key, m->list->prefix, prefix) != 0)
        return;
    (void)snprintf(entry, sizeof(entry), "%s", key);
    char *fold = m->list->delimiter ? strchr(entry + prefix, m->list->delimiter) : NULL;
    if (fold)
        fold[1] = '\0';
    if ((m->list->start_after && strcmp(entry, m->list->start_after) <= 0) ||
        (m->b.len > 0 && strcmp(entry, m->last) == 0))
        return;
    memcpy(m->last, entry, strlen(entry) + 1);
    assert_int_equal(buf_printf(&m->b, "%s%s", m->b.len > 0 ? " " : "", entry), 0);
}

static void dir_list_random_key(struct rng *rng, char *dst, size_t len_max)
{
    static const char byte[] = "aab-0/_.\xc3";
    size_t len = 1 + rng_below(rng, len_max);
    for (size_t i = 0; i < len; i++)
        dst[i] = byte[rng_below(rng, sizeof(byte) - 1)];
    dst[len] = '\0';
}

static int dir_list_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

enum { DIR_LIST_KEYS = 60, DIR_LIST_KEY = 16 };

/* Puts random keys as far as files and directories allow, and returns those, sorted. */
static size_t dir_list_random_keys(struct dir_list_case *c, struct rng *rng,
                                   char key[DIR_LIST_KEYS][DIR_LIST_KEY])
{
    size_t n = 0;
    for (int i = 0; i < DIR_LIST_KEYS; i++) {
        struct store_put put = {.if_match = STORE_ABSENT};
        struct store_body body = {.fd = -1};
        dir_list_random_key(rng, key[n], 7);
        if (store_put(c->st, key[n], &body, &put, NULL, NULL) == 0)
            n++;
    }
    qsort(key, n, DIR_LIST_KEY, dir_list_compare);
    return n;
}

static void dir_list_agrees_with_its_definition_on_random_keys(void **state)
{
    (void)state;
    static const char delimiter[] = {0, '/', 'a', '-'};
    struct rng rng;
    rng_init(&rng);
    for (int round = 0; round < 20; round++) {
        DIR_LIST_CASE(c);
        char key[DIR_LIST_KEYS][DIR_LIST_KEY];
        size_t keys = dir_list_random_keys(&c, &rng, key);
        for (int i = 0; i < 50; i++) {
            char prefix[DIR_LIST_KEY] = "";
            char start[DIR_LIST_KEY];
            if (i % 3 > 0)
                dir_list_random_key(&rng, prefix, 3);
            dir_list_random_key(&rng, start, 5);
            struct store_list list = {.prefix = prefix, .start_after = i % 2 ? start : NULL};
            list.delimiter = delimiter[rng_below(&rng, ARRAY_SIZE(delimiter))];
            struct dir_list_model m = {.list = &list, .b = TEXTS_BUF};
            for (size_t k = 0; k < keys; k++)
                dir_list_model_add(&m, key[k]);
            assert_int_equal(texts_list(c.st, &list, &c.b, NULL), 0);
            assert_string_equal(buf_text(&c.b), buf_text(&m.b));
            buf_fini(&m.b);
        }
    }
}

static int dir_list_ends(void *arg, const char *key, const struct store_stat *stat)
{
    const int *code = arg;
    (void)key;
    (void)stat;
    return *code;
}

static void dir_list_ends_when_the_caller_wants(void **state)
{
    (void)state;
    DIR_LIST_CASE(c);
    assert_int_equal(texts_put(c.st, "a/b/c", "text"), 0);
    assert_int_equal(texts_put(c.st, "a/d", "text"), 0);
    struct store_list list = {.prefix = ""};
    int code = 7;
    assert_int_equal(store_list(c.st, &list, dir_list_ends, &code, NULL), 7);
    code = -EDOM;
    assert_int_equal(store_list(c.st, &list, dir_list_ends, &code, NULL), -EDOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dir_list_passes_over_what_is_no_object),
        cmocka_unit_test(dir_list_shows_keys_named_like_its_own_folder),
        cmocka_unit_test(dir_list_gives_directories_without_objects_no_prefix),
        cmocka_unit_test(dir_list_looks_for_objects_only_so_far),
        cmocka_unit_test(dir_list_orders_long_names_with_the_others),
        cmocka_unit_test(dir_list_goes_as_deep_as_a_key_can),
        cmocka_unit_test(dir_list_ignores_names_longer_than_a_key),
        cmocka_unit_test(dir_list_agrees_with_its_definition_on_random_keys),
        cmocka_unit_test(dir_list_ends_when_the_caller_wants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
