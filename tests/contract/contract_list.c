#include "tests/contract/contract.h"
#include "tests/kit/texts.h"

#include <stdio.h>

enum { CONTRACT_MANY = 2500 };

static void contract_list_put(struct contract *c, const char *const name[], size_t names)
{
    for (size_t i = 0; i < names; i++)
        contract_expect(c, texts_put(c->st, contract_key(c, name[i]), ""), 0);
}

/* Lists below the prefix of the case and compares, with that prefix taken off. */
static void contract_list_expect(struct contract *c, struct store_list list, const char *want)
{
    char prefix[512];
    char start[512];
    (void)snprintf(prefix, sizeof(prefix), "%s%s", c->prefix, list.prefix);
    list.prefix = prefix;
    if (list.start_after) {
        (void)snprintf(start, sizeof(start), "%s%s", c->prefix, list.start_after);
        list.start_after = start;
    }
    contract_expect(c, texts_list(c->st, &list, &c->b, &c->err), 0);
    struct buf got = TEXTS_BUF;
    size_t len = strlen(c->prefix);
    const char *p = buf_text(&c->b);
    for (const char *at; (at = strstr(p, c->prefix)) != NULL; p = at + len)
        assert_int_equal(buf_append(&got, p, (size_t)(at - p)), 0);
    assert_int_equal(buf_puts(&got, p), 0);
    assert_string_equal(buf_text(&got), want);
    buf_fini(&got);
}

static void contract_list_prepare(struct contract *c)
{
    static const char *const name[] = {"b",    "a0",    "a/y/z", "a/x", "a-",       "A", "a/y/a",
                                       "c_d_", "c_d/e", "c_e",   "c-",  "\xc3\xa4", "ab"};
    contract_list_put(c, name, ARRAY_SIZE(name));
}

static void contract_list_is_in_order_of_bytes(struct contract *c)
{
    contract_list_expect(c, (struct store_list){.prefix = ""},
                         "A a- a/x a/y/a a/y/z a0 ab b c- c_d/e c_d_ c_e \xc3\xa4");
}

static void contract_list_folds_at_the_delimiter(struct contract *c)
{
    contract_list_expect(c, (struct store_list){.prefix = "", .delimiter = '/'},
                         "A a- a/ a0 ab b c- c_d/ c_d_ c_e \xc3\xa4");
    contract_list_expect(c, (struct store_list){.prefix = "a/", .delimiter = '/'}, "a/x a/y/");
    contract_list_expect(c, (struct store_list){.prefix = "a/y/", .delimiter = '/'}, "a/y/a a/y/z");
    contract_list_expect(c, (struct store_list){.prefix = "", .delimiter = '_'},
                         "A a- a/x a/y/a a/y/z a0 ab b c- c_ \xc3\xa4");
    contract_list_expect(c, (struct store_list){.prefix = "c_", .delimiter = '_'},
                         "c_d/e c_d_ c_e");
    contract_list_expect(c, (struct store_list){.prefix = "a", .delimiter = 'y'},
                         "a- a/x a/y a0 ab");
}

static void contract_list_prefix_may_end_anywhere(struct contract *c)
{
    contract_list_expect(c, (struct store_list){.prefix = "a"}, "a- a/x a/y/a a/y/z a0 ab");
    contract_list_expect(c, (struct store_list){.prefix = "a/"}, "a/x a/y/a a/y/z");
    contract_list_expect(c, (struct store_list){.prefix = "a/y"}, "a/y/a a/y/z");
    contract_list_expect(c, (struct store_list){.prefix = "a/y", .delimiter = '/'}, "a/y/");
    contract_list_expect(c, (struct store_list){.prefix = "b"}, "b");
    contract_list_expect(c, (struct store_list){.prefix = "b/"}, "");
    contract_list_expect(c, (struct store_list){.prefix = "none"}, "");
    contract_list_expect(c, (struct store_list){.prefix = "none/at/all"}, "");
}

static void contract_list_starts_after(struct contract *c)
{
    contract_list_expect(c, (struct store_list){.prefix = "", .start_after = "a/y/a"},
                         "a/y/z a0 ab b c- c_d/e c_d_ c_e \xc3\xa4");
    contract_list_expect(c, (struct store_list){.prefix = "", .start_after = "a/"},
                         "a/x a/y/a a/y/z a0 ab b c- c_d/e c_d_ c_e \xc3\xa4");
    contract_list_expect(c, (struct store_list){.prefix = "a", .start_after = "a/y/z"}, "a0 ab");
    contract_list_expect(c, (struct store_list){.prefix = "a", .start_after = "A"},
                         "a- a/x a/y/a a/y/z a0 ab");
    contract_list_expect(c, (struct store_list){.prefix = "a", .start_after = "b"}, "");
    contract_list_expect(c, (struct store_list){.prefix = "a", .start_after = "a/none"},
                         "a/x a/y/a a/y/z a0 ab");
}

/* A common prefix is delivered if it is greater itself, whatever is below it: so that a listing can
 * go on after it. */
static void contract_list_starts_after_a_common_prefix(struct contract *c)
{
    static const char *const start[] = {"a/", "a/x", "a/y/z", "a/zzz"};
    for (size_t i = 0; i < ARRAY_SIZE(start); i++)
        contract_list_expect(
            c, (struct store_list){.prefix = "a", .delimiter = '/', .start_after = start[i]},
            "a0 ab");
    contract_list_expect(
        c, (struct store_list){.prefix = "a", .delimiter = '/', .start_after = "a-"}, "a/ a0 ab");
    contract_list_expect(
        c, (struct store_list){.prefix = "a", .delimiter = '/', .start_after = "a"}, "a- a/ a0 ab");
}

struct contract_list_seen {
    struct contract *c;
    int left; /* entries until the listing is ended */
    int code; /* with this */
    int seen;
};

static int contract_list_ends(void *arg, const char *key, const struct store_stat *stat)
{
    struct contract_list_seen *s = arg;
    (void)key;
    (void)stat;
    s->seen++;
    return --s->left == 0 ? s->code : 0;
}

static void contract_list_ends_when_the_caller_wants(struct contract *c)
{
    struct store_list list = {.prefix = c->prefix};
    struct contract_list_seen s = {.left = 3, .code = 7};
    contract_expect(c, store_list(c->st, &list, contract_list_ends, &s, &c->err), 7);
    assert_int_equal(s.seen, 3);
    s = (struct contract_list_seen){.left = 1, .code = -EDOM};
    contract_expect(c, store_list(c->st, &list, contract_list_ends, &s, &c->err), -EDOM);
    assert_int_equal(s.seen, 1);
}

static int contract_list_compares(void *arg, const char *key, const struct store_stat *stat)
{
    struct contract_list_seen *s = arg;
    struct store_stat head;
    s->seen++;
    if (store_head(s->c->st, key, &head, NULL) != 0)
        return -EIO;
    bool same = stat && stat->size == head.size && strcmp(stat->etag, head.etag) == 0 &&
                stat->mtime_ns / 1000000000 == head.mtime_ns / 1000000000;
    return same ? 0 : -EILSEQ;
}

static void contract_list_tells_what_head_tells(struct contract *c)
{
    struct store_list list = {.prefix = c->prefix};
    struct contract_list_seen s = {.c = c};
    contract_expect(c, texts_put(c->st, contract_key(c, "b"), "some text"), 0);
    contract_expect(c, store_list(c->st, &list, contract_list_compares, &s, &c->err), 0);
    assert_int_equal(s.seen, 13);
}

static void contract_list_many_prepare(struct contract *c)
{
    for (int i = 0; i < CONTRACT_MANY; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "m%d/%04d", i / 1000, i);
        contract_expect(c, texts_put(c->st, contract_key(c, name), ""), 0);
    }
}

struct contract_list_many {
    const struct contract *c;
    int next;
};

static int contract_list_counts(void *arg, const char *key, const struct store_stat *stat)
{
    struct contract_list_many *m = arg;
    char want[STORE_KEY_MAX + 1];
    (void)snprintf(want, sizeof(want), "%sm%d/%04d", m->c->prefix, m->next / 1000, m->next);
    m->next++;
    return stat && strcmp(key, want) == 0 ? 0 : -EILSEQ;
}

static void contract_list_of_many_keys_has_them_all(struct contract *c)
{
    static const int page[] = {0, 1000, 999, 640};
    for (size_t i = 0; i < ARRAY_SIZE(page); i++) {
        struct store_list list = {.prefix = c->prefix, .page_max = page[i]};
        struct contract_list_many m = {.c = c};
        contract_expect(c, store_list(c->st, &list, contract_list_counts, &m, &c->err), 0);
        assert_int_equal(m.next, CONTRACT_MANY);
        list.start_after = contract_key(c, "m1/1233");
        m.next = 1234;
        contract_expect(c, store_list(c->st, &list, contract_list_counts, &m, &c->err), 0);
        assert_int_equal(m.next, CONTRACT_MANY);
    }
    contract_list_expect(c, (struct store_list){.prefix = "", .delimiter = '/'}, "m0/ m1/ m2/");
    contract_list_expect(c, (struct store_list){.prefix = "m", .delimiter = '/', .page_max = 1},
                         "m0/ m1/ m2/");
}

const struct contract_case contract_list_cases[] = {
    {.name = "list_is_in_order_of_bytes",
     .prepare = contract_list_prepare,
     .run = contract_list_is_in_order_of_bytes},
    {.name = "list_folds_at_the_delimiter",
     .prepare = contract_list_prepare,
     .run = contract_list_folds_at_the_delimiter},
    {.name = "list_prefix_may_end_anywhere",
     .prepare = contract_list_prepare,
     .run = contract_list_prefix_may_end_anywhere},
    {.name = "list_starts_after",
     .prepare = contract_list_prepare,
     .run = contract_list_starts_after},
    {.name = "list_starts_after_a_common_prefix",
     .prepare = contract_list_prepare,
     .run = contract_list_starts_after_a_common_prefix},
    {.name = "list_ends_when_the_caller_wants",
     .prepare = contract_list_prepare,
     .run = contract_list_ends_when_the_caller_wants},
    {.name = "list_tells_what_head_tells",
     .prepare = contract_list_prepare,
     .run = contract_list_tells_what_head_tells},
    {.name = "list_of_many_keys_has_them_all",
     .prepare = contract_list_many_prepare,
     .run = contract_list_of_many_keys_has_them_all},
    {.name = NULL},
};
