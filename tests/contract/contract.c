#include "tests/contract/contract.h"

#include "s3/fault.h"
#include "s3/location.h"
#include "s3/retry.h"
#include "tests/kit/scratch.h"
#include "tests/kit/texts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

enum {
    CONTRACT_CASES_MAX = 64,
    CONTRACT_CALLS_MAX = 1000, /* that a sweep expects of one case */
};

static struct contract contract;
static char contract_base[64]; /* prefix of all cases of this process */
static int contract_runs;

const char *contract_key(const struct contract *c, const char *name)
{
    static char key[8][STORE_KEY_MAX + 1];
    static unsigned turn;
    char *dst = key[turn++ % 8];
    int n = snprintf(dst, sizeof(key[0]), "%s%s", c->prefix, name);
    assert_in_range(n, 1, STORE_KEY_MAX);
    return dst;
}

void contract_expect_at(const struct contract *c, int r, int want, const char *text,
                        const char *file, int line)
{
    if (r == want)
        return;
    print_error("%s: %d, not %d: %s\n", text, r, want, c->err.msg);
    _fail(file, line);
}

int contract_open(const char *location, struct store **ret, char *ret_prefix, size_t size,
                  struct err *err)
{
    CLEANUP(location_fini) struct location loc = {0};
    int r = location_parse(location, &loc, err);
    if (r < 0)
        return r;
    (void)snprintf(ret_prefix, size, "%s", loc.is_dir ? "" : loc.prefix);
    return location_open_base(&loc, &(struct location_conf){0}, ret, err);
}

/* Gives the case a prefix that nothing was put under. */
static void contract_fresh(struct contract *c)
{
    (void)snprintf(c->prefix, sizeof(c->prefix), "%s%d/", contract_base, contract_runs++);
}

static void contract_clear(struct contract *c)
{
    if (c->fault)
        fault_clear(c->fault);
    contract_expect(c, texts_clear(c->st, c->prefix), 0);
}

/* Runs the case with the nth call failing. False when it made fewer calls. */
static bool contract_sweep_one(struct contract *c, const struct contract_case *k,
                               struct fault fault)
{
    if (!k->prepare)
        contract_fresh(c);
    fault_clear(c->fault);
    assert_int_equal(fault_add(c->fault, &fault), 0);
    k->run(c);
    bool hit = fault_hits(c->fault) > 0;
    fault_clear(c->fault);
    if (!k->prepare)
        contract_clear(c);
    return hit;
}

static void contract_sweep(struct contract *c, const struct contract_case *k)
{
    static const struct fault kind[] = {
        {.op = FAULT_ANY, .kind = FAULT_REFUSED},
        {.op = FAULT_ANY, .kind = FAULT_LOST},
        {.op = FAULT_ANY, .kind = FAULT_CUT, .amount = 0},
        {.op = FAULT_ANY, .kind = FAULT_CUT, .amount = 3},
    };
    for (size_t i = 0; i < ARRAY_SIZE(kind); i++) {
        struct fault fault = kind[i];
        fault.nth = 1;
        while (contract_sweep_one(c, k, fault)) {
            fault.nth++;
            assert_true(fault.nth < CONTRACT_CALLS_MAX);
        }
        assert_true(fault.nth > 1); /* some call was there to fail */
    }
}

static void contract_run(void **state)
{
    const struct contract_case *k = *state;
    struct contract *c = &contract;
    contract_fresh(c);
    if (k->prepare)
        k->prepare(c);
    k->run(c);
    if (c->sweep && !k->once)
        contract_sweep(c, k);
    contract_clear(c);
}

/* Puts the layers of the stack above the store. */
static int contract_stack(struct contract *c, const char *stack, struct store *st)
{
    static const struct retry_conf conf = {.tries_max = 5, .pause_ms_min = 1, .pause_ms_max = 1};
    c->st = st;
    c->sweep = strcmp(stack, "sweep") == 0;
    if (strcmp(stack, "plain") == 0)
        return 0;
    if (!c->sweep && strcmp(stack, "retry") != 0)
        return -EINVAL;
    if (c->sweep) {
        int r = fault_new(&st, &c->fault);
        if (r < 0)
            return r;
        st = c->fault;
    }
    return retry_new(&st, &conf, &c->st);
}

/* Opens what the arguments name. */
static int contract_start(struct contract *c, const char *location, const char *stack)
{
    unsigned char id[8];
    char hex[2 * sizeof(id) + 1];
    char prefix[32];
    struct store *st = NULL;
    c->location = location;
    int r = contract_open(location, &st, prefix, sizeof(prefix), &c->err);
    if (r < 0)
        return r;
    if (contract_stack(c, stack, st) < 0)
        return err_set(&c->err, -EINVAL, "no stack is called %s", stack);
    if (random_bytes(id, sizeof(id)) < 0)
        return err_set(&c->err, -EIO, "no random bytes");
    hex_encode(hex, id, sizeof(id));
    (void)snprintf(contract_base, sizeof(contract_base), "%scontract-%s/", prefix, hex);
    return 0;
}

static int contract_run_all(void)
{
    static const struct contract_case *const list[] = {
        contract_object_cases,
        contract_key_cases,
        contract_list_cases,
        contract_race_cases,
    };
    static struct CMUnitTest tests[CONTRACT_CASES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
        for (const struct contract_case *k = list[i]; k->name; k++) {
            assert(n < CONTRACT_CASES_MAX);
            tests[n] = (struct CMUnitTest){.name = k->name, .test_func = contract_run};
            /* It lacks the const. */
            memcpy(&tests[n++].initial_state, &k, sizeof(tests[0].initial_state));
        }
    }
    return _cmocka_run_group_tests("contract", tests, n, NULL, NULL);
}

/* True when files there can have extended attributes. */
static bool contract_has_xattr(const char *path)
{
    return setxattr(path, "user.bmfs.test", "", 0, 0) == 0 &&
           removexattr(path, "user.bmfs.test") == 0;
}

int main(int argc, char **argv)
{
    struct contract *c = &contract;
    struct scratch scratch;
    char own[PATH_MAX + 8];
    if (argc > 2 && strcmp(argv[1], "--child") == 0)
        return contract_race_child(argv[2], argv + 3);
    scratch_init(&scratch);
    (void)snprintf(own, sizeof(own), "file://%s", scratch.path);
    c->b = TEXTS_BUF;
    c->program = "/proc/self/exe";
    const char *location = argc > 1 && strcmp(argv[1], "-") != 0 ? argv[1] : own;
    if (argc > 3)
        cmocka_set_test_filter(argv[3]);
    c->keeps_metadata =
        strncmp(location, "file://", 7) != 0 || contract_has_xattr(location + strlen("file://"));
    int r = contract_start(c, location, argc > 2 ? argv[2] : "plain");
    if (r < 0)
        (void)fprintf(stderr, "contract: %s\n", c->err.msg);
    else
        r = contract_run_all();
    store_free(c->st);
    buf_fini(&c->b);
    scratch_fini(&scratch);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
