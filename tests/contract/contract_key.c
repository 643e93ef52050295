#include "tests/contract/contract.h"
#include "tests/kit/texts.h"

#include <stdio.h>

/* Keys that some store, server or file system handles wrongly. Each comes after a prefix of its
 * own, for in a directory "a" and "a/b" cannot both be. */
static const char *const contract_odd[] = {
    "numpywren.objects/A(1, 2)/0_512_512_0_512_512_",
    " leading and trailing ",
    "a  b",
    "comma, (parentheses) [brackets] {braces}",
    "plus+minus-star*tilde~",
    "100%",
    "%2F",
    "%2f%41%zz%",
    "%%25",
    "a%00b",
    "a=b&c=d?e#f;g:h@i!j$k",
    "'single' \"double\" `back`",
    "<xml>&amp;</xml>",
    "back\\slash|pipe^caret",
    "\xc3\xa4\xc3\xb6\xc3\xbc/\xe2\x98\x83/\xf0\x9f\x98\x80",
    "e\xcc\x81 and \xc3\xa9", /* one letter, two spellings */
    "a//b",
    "a/",
    "a//",
    "/a",
    "//",
    "./x",
    "../x",
    "x/./y/../z",
    "...",
    "..a",
    "x/.",
    "x/..",
    ".bmfs-store/tmp/x",
    ".bmfs-store-temp",
    "-rf",
    "~",
    "CON",
    "a.",
    "a:b",
    "tab\tnewline\nreturn\r",
    "\x01\x1f\x7f",
};

/* One key through everything that takes one. */
static void contract_key_round_trip(struct contract *c, const char *key)
{
    struct store_stat put;
    struct store_stat stat;
    struct store_get get = {0};
    struct store_list list = {.prefix = key};
    contract_expect(c, texts_put_if(c->st, key, key, STORE_ABSENT, &put, &c->err), 0);
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, &stat, &c->err), 0);
    assert_string_equal(buf_text(&c->b), key);
    contract_expect(c, store_head(c->st, key, &stat, &c->err), 0);
    assert_string_equal(stat.etag, put.etag);
    contract_expect(c, texts_list(c->st, &list, &c->b, &c->err), 0);
    assert_string_equal(buf_text(&c->b), key);
    contract_expect(c, store_del(c->st, key, put.etag, &c->err), 0);
    contract_expect(c, texts_list(c->st, &list, &c->b, &c->err), 0);
    assert_string_equal(buf_text(&c->b), "");
}

static void contract_odd_keys_are_keys(struct contract *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(contract_odd); i++) {
        char name[256];
        (void)snprintf(name, sizeof(name), "%02zu/%s", i, contract_odd[i]);
        contract_key_round_trip(c, contract_key(c, name));
    }
}

static void contract_odd_keys_come_out_of_a_listing(struct contract *c)
{
    CLEANUP(buf_fini) struct buf want = TEXTS_BUF;
    for (size_t i = 0; i < ARRAY_SIZE(contract_odd); i++) {
        char name[256];
        (void)snprintf(name, sizeof(name), "%02zu/%s", i, contract_odd[i]);
        const char *key = contract_key(c, name);
        contract_expect(c, texts_put(c->st, key, ""), 0);
        assert_int_equal(buf_printf(&want, "%s%s", i > 0 ? " " : "", key), 0);
    }
    struct store_list list = {.prefix = c->prefix};
    contract_expect(c, texts_list(c->st, &list, &c->b, &c->err), 0);
    assert_string_equal(buf_text(&c->b), want.data);
}

/* Fills the key up to `len` bytes. */
static void contract_key_pad(char *key, size_t len, char with)
{
    size_t have = strlen(key);
    memset(key + have, with, len - have);
    key[len] = '\0';
}

static void contract_long_keys_are_keys(struct contract *c)
{
    static const char with[] = "x%./ ";
    for (size_t i = 0; with[i]; i++) {
        char key[STORE_KEY_MAX + 1];
        (void)snprintf(key, sizeof(key), "%s", contract_key(c, "long/"));
        contract_key_pad(key, 1000, with[i]);
        key[999] = 'z';
        contract_key_round_trip(c, key);
    }
    char key[STORE_KEY_MAX + 1];
    (void)snprintf(key, sizeof(key), "%s", contract_key(c, ""));
    contract_key_pad(key, strlen(key) + 300, 'p');
    contract_key_pad(key, strlen(key) + 1, '/');
    contract_key_pad(key, strlen(key) + 300, 'q');
    contract_key_round_trip(c, key);
}

static void contract_what_is_no_key_is_refused(struct contract *c)
{
    char key[STORE_KEY_MAX + 2];
    struct store_stat stat;
    (void)snprintf(key, sizeof(key), "%s", c->prefix);
    contract_key_pad(key, STORE_KEY_MAX + 1, 'x');
    contract_expect(c, texts_put_if(c->st, key, "", NULL, NULL, &c->err), -ENAMETOOLONG);
    contract_expect(c, store_head(c->st, key, &stat, &c->err), -ENAMETOOLONG);
    contract_expect(c, store_del(c->st, key, NULL, &c->err), -ENAMETOOLONG);
    contract_expect(c, texts_put_if(c->st, "", "", NULL, NULL, &c->err), -EINVAL);
    contract_expect(c, texts_get(c->st, "", &c->b), -EINVAL);
}

const struct contract_case contract_key_cases[] = {
    {.name = "odd_keys_are_keys", .run = contract_odd_keys_are_keys, .once = true},
    {.name = "odd_keys_come_out_of_a_listing",
     .run = contract_odd_keys_come_out_of_a_listing,
     .once = true},
    {.name = "long_keys_are_keys", .run = contract_long_keys_are_keys, .once = true},
    {.name = "what_is_no_key_is_refused", .run = contract_what_is_no_key_is_refused},
    {.name = NULL},
};
