#include "tests/unit/unit.h"

#include "s3/dir_path.h"

#include "base/buf.h"
#include "tests/kit/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void dir_path_assert(const char *key, const char *path)
{
    char got_path[DIR_PATH_SIZE];
    char got_key[STORE_KEY_MAX + 1];
    assert_int_equal(dir_path_from_key(key, got_path), 0);
    assert_string_equal(got_path, path);
    assert_int_equal(dir_path_to_key(path, got_key), 0);
    assert_string_equal(got_key, key);
}

static void dir_path_of_an_ordinary_key_is_the_key(void **state)
{
    (void)state;
    dir_path_assert("a", "a");
    dir_path_assert("numpywren.objects/A/0_512_512_0_512_512_",
                    "numpywren.objects/A/0_512_512_0_512_512_");
    dir_path_assert("a b/(c),d+e;f'\"\n/\xc3\xa4\xff", "a b/(c),d+e;f'\"\n/\xc3\xa4\xff");
    dir_path_assert("100%/%/%4/%g1/...", "100%/%/%4/%g1/...");
}

static void dir_path_escapes_what_a_name_cannot_hold(void **state)
{
    (void)state;
    dir_path_assert("/", "%00/%00");
    dir_path_assert("a//b", "a/%00/b");
    dir_path_assert("a/", "a/%00");
    dir_path_assert("./../x/..", "%2E/%2E%2E/x/%2E%2E");
    dir_path_assert("%2F", "%252F");
    dir_path_assert("%%41%ab", "%%2541%25ab");
    dir_path_assert("%00", "%2500");
    dir_path_assert(".bmfs-store", "%2Ebmfs-store");
    dir_path_assert("a/.bmfs-store-x", "a/%2Ebmfs-store-x");
    dir_path_assert(".bmfs-stor", ".bmfs-stor");
    dir_path_assert("x.bmfs-store", "x.bmfs-store");
}

/* "x<84>%01/y" is 84 times x, then "%01/y". Lives until the second next call. */
static const char *dir_path_text(const char *text)
{
    static char both[2][DIR_PATH_SIZE];
    static int turn;
    char *dst = both[turn++ % 2];
    size_t n = 0;
    for (; *text; text++) {
        if (*text != '<') {
            dst[n++] = *text;
            continue;
        }
        char *end = NULL;
        size_t times = strtoul(text + 1, &end, 10);
        memset(dst + n, dst[n - 1], times - 1);
        n += times - 1;
        text = end; /* at '>' */
    }
    dst[n] = '\0';
    return dst;
}

static void dir_path_cuts_a_long_part_into_pieces(void **state)
{
    (void)state;
    dir_path_assert(dir_path_text("x<255>"), dir_path_text("x<255>"));
    dir_path_assert(dir_path_text("x<256>"), dir_path_text("x<84>%01/x<172>"));
    dir_path_assert(dir_path_text("a/x<300>/b"), dir_path_text("a/x<84>%01/x<216>/b"));
    dir_path_assert(dir_path_text("x<1024>"),
                    dir_path_text("x<84>%01/x<84>%01/x<84>%01/x<84>%01/x<84>%01/x<84>%01/x<84>%01/"
                                  "x<84>%01/x<84>%01/x<84>%01/x<184>"));
    /* It is the length of the name that counts, and a piece obeys the rules of a whole part. */
    dir_path_assert(dir_path_text("%41x<252>"), dir_path_text("%2541x<81>%01/x<171>"));
    dir_path_assert(dir_path_text("x<84>%41y<168>"), dir_path_text("x<84>%01/%2541y<168>"));
    dir_path_assert(dir_path_text("x<84>.bmfs-store<172>"),
                    dir_path_text("x<84>%01/%2Ebmfs-store<172>"));
    /* A cut within what looks like an escape leaves nothing that looks like one. */
    dir_path_assert(dir_path_text("x<83>%41<200>"), dir_path_text("x<83>%%01/41<200>"));
    dir_path_assert(dir_path_text("x<82>%41<200>"), dir_path_text("x<82>%4%01/1<200>"));
}

static void dir_path_never_needs_more_than_its_size(void **state)
{
    (void)state;
    static const char *const unit[] = {"/", "./", "../", "%41", "%41/", "x", ".bmfs-store/", "%"};
    for (size_t i = 0; i < ARRAY_SIZE(unit); i++) {
        char key[STORE_KEY_MAX + 1];
        char path[DIR_PATH_SIZE];
        char again[STORE_KEY_MAX + 1];
        for (size_t k = 0; k < STORE_KEY_MAX; k++)
            key[k] = unit[i][k % strlen(unit[i])];
        key[STORE_KEY_MAX] = '\0';
        assert_int_equal(dir_path_from_key(key, path), 0);
        assert_true(strlen(path) < sizeof(path));
        assert_int_equal(dir_path_to_key(path, again), 0);
        assert_string_equal(again, key);
    }
}

static void dir_path_refuses_keys_that_are_none(void **state)
{
    (void)state;
    char path[DIR_PATH_SIZE];
    assert_int_equal(dir_path_from_key("", path), -EINVAL);
    assert_int_equal(dir_path_from_key(dir_path_text("x<1025>"), path), -ENAMETOOLONG);
}

static void dir_path_knows_names_that_no_key_gives(void **state)
{
    (void)state;
    static const char *const foreign[] = {
        "a%41",
        "a%2e",
        "%2e",
        "a%2E",
        "a/%2E%2e",
        ".",
        "..",
        "a/./b",
        "a/",
        "/a",
        "",
        "a//b",
        "%01",
        "a%01",
        "a%01/b",
        "a%00",
        "%00%00",
        "%25",
        "a%25",

        ".bmfs-store",
        ".bmfs-store/tmp/x",
        "a/.bmfs-store-1",
        "%2Ebmfs",
        "x<84>%01/y",
        "x<84>%01",
        "x<83>%01/x<200>",
        "x<256>",
    };
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
        char key[STORE_KEY_MAX + 1] = "untouched";
        char path[DIR_PATH_SIZE];
        const char *text = dir_path_text(foreign[i]);
        if (dir_path_to_key(text, key) == 0) {
            (void)dir_path_from_key(key, path);
            fail_msg("%s was taken for the key %s, whose path is %s", text, key, path);
        }
        assert_string_equal(key, "untouched");
    }
    char path[DIR_PATH_SIZE];
    char key[STORE_KEY_MAX + 1];
    for (size_t i = 0; i < STORE_KEY_MAX + 1; i++)
        path[i] = i % 2 == 0 ? 'x' : '/';
    path[STORE_KEY_MAX + 1] = '\0';
    assert_int_equal(dir_path_to_key(path, key), -EINVAL); /* the key would be too long */
}

static void dir_path_of_a_prefix_is_the_directory_of_its_keys(void **state)
{
    (void)state;
    char path[DIR_PATH_SIZE];
    dir_path_from_prefix("", 0, path);
    assert_string_equal(path, "");
    dir_path_from_prefix("a/b", 2, path);
    assert_string_equal(path, "a");
    dir_path_from_prefix("/", 1, path);
    assert_string_equal(path, "%00");
    dir_path_from_prefix("a//", 3, path);
    assert_string_equal(path, "a/%00");
}

/* Text made of what matters to the mapping. */
static void dir_path_random(struct rng *rng, struct buf *text)
{
    static const char *const bit[] = {
        "/",  ".",  "..",  "%",   "%2E",         "%25",
        "a",  "B",  "%2e", "x",   "\xff",        " ",
        "2E", "41", "%00", "%01", ".bmfs-store", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    size_t want = rng_below(rng, STORE_KEY_MAX);
    buf_clear(text);
    do
        assert_int_equal(buf_puts(text, bit[rng_below(rng, ARRAY_SIZE(bit))]), 0);
    while (text->len < want);
}

static void dir_path_and_key_are_one_to_one_on_random_text(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng);
    CLEANUP(buf_fini) struct buf text = BUF_INIT((size_t)2 * STORE_KEY_MAX);
    for (int i = 0; i < 20000; i++) {
        char path[DIR_PATH_SIZE];
        char key[STORE_KEY_MAX + 1];
        char again[DIR_PATH_SIZE];
        dir_path_random(&rng, &text);
        if (dir_path_from_key(text.data, path) == 0) {
            assert_int_equal(dir_path_to_key(path, key), 0);
            assert_string_equal(key, text.data);
        }
        if (dir_path_to_key(text.data, key) == 0) {
            assert_int_equal(dir_path_from_key(key, again), 0);
            assert_string_equal(again, text.data);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dir_path_of_an_ordinary_key_is_the_key),
        cmocka_unit_test(dir_path_escapes_what_a_name_cannot_hold),
        cmocka_unit_test(dir_path_cuts_a_long_part_into_pieces),
        cmocka_unit_test(dir_path_never_needs_more_than_its_size),
        cmocka_unit_test(dir_path_refuses_keys_that_are_none),
        cmocka_unit_test(dir_path_knows_names_that_no_key_gives),
        cmocka_unit_test(dir_path_of_a_prefix_is_the_directory_of_its_keys),
        cmocka_unit_test(dir_path_and_key_are_one_to_one_on_random_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
