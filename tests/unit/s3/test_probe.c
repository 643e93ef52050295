#include "tests/unit/unit.h"

#include "s3/probe.h"

#include <errno.h>
#include <string.h>

static const char id[] = "s3://127.0.0.1:8000/lab";
static const int64_t now_s = 1700000000;
static const int64_t week_s = 604800;

static void probe_reads_what_it_wrote(void **state)
{
    (void)state;
    static const struct probe_verdict verdict[] = {
        {true, PROBE_QUOTED, PROBE_QUOTED},
        {true, PROBE_UNQUOTED, PROBE_IGNORED},
        {false, PROBE_IGNORED, PROBE_IGNORED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(verdict); i++) {
        CLEANUP(buf_fini) struct buf text = BUF_INIT(PROBE_TEXT_MAX);
        struct probe_verdict got;
        assert_int_equal(probe_write(&verdict[i], id, now_s, &text), 0);
        assert_int_equal(probe_read(buf_text(&text), id, now_s + week_s, &got), 0);
        assert_int_equal(got.absent, verdict[i].absent);
        assert_int_equal(got.put, verdict[i].put);
        assert_int_equal(got.remove, verdict[i].remove);
        assert_int_equal(probe_read(buf_text(&text), "s3://other/lab", now_s, &got), -ENOENT);
        assert_int_equal(probe_read(buf_text(&text), id, now_s + week_s + 1, &got), -ENOENT);
        assert_int_equal(probe_read(buf_text(&text), id, now_s - week_s - 1, &got), -ENOENT);
        for (size_t len = 0; len < text.len; len++) { /* cut anywhere */
            char cut[PROBE_TEXT_MAX];
            memcpy(cut, text.data, len);
            cut[len] = '\0';
            assert_int_equal(probe_read(cut, id, now_s, &got), -ENOENT);
        }
    }
}

static void probe_refuses_what_it_would_not_write(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "bmfs-endpoint 2\nid s3://127.0.0.1:8000/lab\ntime 1700000000\nput-if-none-match honoured\n"
        "put-if-match quoted\ndelete-if-match quoted\n",
        "bmfs-endpoint 1\nid s3://127.0.0.1:8000/lab\ntime 99999999999999999999999\n"
        "put-if-none-match honoured\nput-if-match quoted\ndelete-if-match quoted\n",
        "bmfs-endpoint 1\nid s3://127.0.0.1:8000/lab\ntime 1700000000\nput-if-none-match honoured\n"
        "put-if-match sometimes\ndelete-if-match quoted\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct probe_verdict got;
        assert_int_equal(probe_read(bad[i], id, now_s, &got), -ENOENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_reads_what_it_wrote),
        cmocka_unit_test(probe_refuses_what_it_would_not_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
