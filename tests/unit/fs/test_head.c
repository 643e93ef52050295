#include "tests/unit/unit.h"

#include "fs/head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char head_text[] = "{\"shape\": [10, 7], \"shard_sizes\": [4, 3], \"dtype\": \"<f8\"}";

static struct head *head_of(const char *text)
{
    struct head *h = NULL;
    struct store_stat stat = {.size = strlen(text), .etag = "e1"};
    assert_int_equal(head_new(&stat, text, strlen(text), &h), 0);
    return h;
}

static void head_holds_what_is_stored(void **state)
{
    (void)state;
    struct head *h = head_of(head_text);
    assert_false(h->bad);
    assert_true(h->stored);
    assert_string_equal(h->stat.etag, "e1");
    assert_int_equal(h->header.grid.shape[0], 10);
    assert_non_null(strstr(buf_text(&h->text), "\"dtype\": \"<f8\""));
    assert_ptr_equal(head_ref(h), h);
    head_unref(h);
    head_unref(h);
    assert_null(head_ref(NULL));
    head_unref(NULL);
}

static void head_of_nonsense_says_why(void **state)
{
    (void)state;
    static const char *const text[] = {"", "nonsense", "{\"shape\": [10, 7]}", "\xff"};
    for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
        struct head *h = head_of(text[i]);
        assert_true(h->bad);
        assert_true(h->stored);
        assert_true(h->why[0] != '\0');
        assert_string_equal(buf_text(&h->text), text[i]); /* as it is, for whoever repairs it */
        head_unref(h);
    }
}

static void head_that_is_too_long_to_show_is_a_bad_one(void **state)
{
    (void)state;
    /* Each of these numbers takes four bytes, and more than twice as many when it is shown. */
    CLEANUP(buf_fini) struct buf text = BUF_INIT(HEADER_BYTES_MAX);
    assert_int_equal(buf_puts(&text, "{\"shape\": [1], \"shard_sizes\": [1], \"dtype\": \"<f8\", "
                                     "\"note\": [1"),
                     0);
    while (text.len < HEADER_BYTES_MAX - 10)
        assert_int_equal(buf_puts(&text, ",9e9"), 0);
    assert_int_equal(buf_puts(&text, "]}"), 0);
    struct head *h = head_of(buf_text(&text));
    assert_true(h->bad);
    assert_non_null(strstr(h->why, "too long"));
    assert_int_equal(h->text.len, text.len);
    head_unref(h);
}

static struct head *head_inferred(int64_t rows)
{
    struct head *h = NULL;
    struct header header = {.grid = {.ndim = 2, .shape = {rows, 7}, .shard = {4, 3}},
                            .dtype = {.kind = 'f', .size = 8, .order = '<'},
                            .inferred = true};
    assert_int_equal(head_new_inferred(&header, &h), 0);
    return h;
}

static void head_inferred_has_a_version_that_follows_from_its_content(void **state)
{
    (void)state;
    struct head *a = head_inferred(10);
    struct head *b = head_inferred(10);
    struct head *c = head_inferred(11);
    assert_false(a->stored);
    assert_string_equal(a->stat.etag, b->stat.etag);
    assert_string_not_equal(a->stat.etag, c->stat.etag);
    assert_non_null(strstr(buf_text(&a->text), "\"inferred\": true"));
    head_unref(a);
    head_unref(b);
    head_unref(c);
}

static void head_same_grid_compares_what_both_can_say(void **state)
{
    (void)state;
    struct head *a = head_of(head_text);
    struct head *b = head_inferred(10);
    struct head *c = head_inferred(11);
    struct head *bad = head_of("x");
    assert_true(head_same_grid(a, b));
    assert_false(head_same_grid(a, c));
    assert_false(head_same_grid(a, bad));
    assert_false(head_same_grid(bad, bad));
    assert_false(head_same_grid(a, NULL));
    assert_false(head_same_grid(NULL, a));
    head_unref(a);
    head_unref(b);
    head_unref(c);
    head_unref(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_holds_what_is_stored),
        cmocka_unit_test(head_of_nonsense_says_why),
        cmocka_unit_test(head_that_is_too_long_to_show_is_a_bad_one),
        cmocka_unit_test(head_inferred_has_a_version_that_follows_from_its_content),
        cmocka_unit_test(head_same_grid_compares_what_both_can_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
