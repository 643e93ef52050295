#include "tests/unit/unit.h"

#include "ops/record.h"
#include "tests/kit/matrices.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

/* A matrix of 2 x 2 blocks that a run has made, and what it is known to have been. */
struct record_place {
    struct scratch s;
    struct matdir m;
};

static void record_fini_place(struct record_place *p)
{
    matdir_close(&p->m);
    scratch_fini(&p->s);
}

/* The header's made_by says `crc32c`, or nothing of the kind; or there is none. */
static void record_init_place(struct record_place *p, bool made, const char *crc32c)
{
    struct matrices_spec spec = {.name = "M", .dtype = "f8", .shape = {4, 4}, .shard = {2, 2}};
    struct cJSON *job = cJSON_CreateObject();
    scratch_init(&p->s);
    p->m = matrices_random(&p->s, &spec, 1);
    if (crc32c)
        (void)cJSON_AddStringToObject(job, "crc32c", crc32c);
    if (made) {
        assert_int_equal(header_set_extra(&p->m.header, "made_by", &job), 0);
        assert_int_equal(matdir_replace_header(&p->m, &p->m.header, NULL), 0);
    }
    cJSON_Delete(job);
}

/* What the header on the disk says now; lives as long as *ret. */
static const char *record_saved(const struct record_place *p, struct matdir *ret)
{
    assert_int_equal(matdir_open(p->m.path, ret, NULL), 0);
    return cJSON_GetStringValue(
        cJSON_GetObjectItem(header_extra(&ret->header, "made_by"), "crc32c"));
}

static const int64_t record_at[][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};

static void record_knows_what_the_header_says(void **state)
{
    CLEANUP(record_fini_place) struct record_place p;
    CLEANUP(record_fini) struct record r = {0};
    struct err err = {0};
    (void)state;
    record_init_place(&p, true, "0000000a--------ffffffff12345678");
    assert_int_equal(record_init(&p.m, &r, NULL), 0);
    assert_int_equal(record_check(&r, &p.m, record_at[0], 0xa, NULL), 0);
    assert_int_equal(record_check(&r, &p.m, record_at[1], 7, NULL), 0);
    assert_int_equal(record_check(&r, &p.m, record_at[2], 0xffffffff, NULL), 0);
    assert_int_equal(r.lost, 0);
    assert_int_equal(record_check(&r, &p.m, record_at[3], 0x12345679, &err), -EBADMSG);
    assert_int_equal(r.lost, 4);
    assert_non_null(strstr(err.msg, "/M/block_1_1: made again, it is not the block that was lost "
                                    "(CRC-32C 12345679, was 12345678)"));
}

static void record_believes_nothing_malformed(void **state)
{
    static const char *const bad[] = {
        NULL,                                /* not there */
        "",                                  /* too short */
        "0000000a0000000b0000000c0000000",   /* by one digit */
        "0000000a0000000b0000000c0000000dd", /* too long */
        "0000000A+0000001 0000002zzzzzzzz",  /* no digits of ours */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(record_fini_place) struct record_place p;
        CLEANUP(record_fini) struct record r = {0};
        record_init_place(&p, true, bad[i]);
        assert_int_equal(record_init(&p.m, &r, NULL), 0);
        for (uint32_t at = 0; at < 4; at++)
            assert_int_equal(record_check(&r, &p.m, record_at[at], 0xabc + at, NULL), 0);
    }
}

static void record_of_a_matrix_that_no_run_made_is_none(void **state)
{
    CLEANUP(record_fini_place) struct record_place p;
    CLEANUP(record_fini) struct record r = {0};
    CLEANUP(matdir_close) struct matdir now = MATDIR_NONE;
    (void)state;
    record_init_place(&p, false, NULL);
    assert_int_equal(record_init(&p.m, &r, NULL), 0);
    assert_null(r.of);
    record_set(&r, &p.m, record_at[1], 7);
    assert_int_equal(record_check(&r, &p.m, record_at[1], 8, NULL), 0);
    record_save(&r, &p.m);
    assert_null(record_saved(&p, &now));
}

static void record_adds_to_what_others_have_saved(void **state)
{
    CLEANUP(record_fini_place) struct record_place p;
    CLEANUP(record_fini) struct record r = {0};
    CLEANUP(record_fini) struct record other = {0};
    CLEANUP(matdir_close) struct matdir now = MATDIR_NONE;
    (void)state;
    record_init_place(&p, true, NULL);
    assert_int_equal(record_init(&p.m, &r, NULL), 0);
    assert_int_equal(record_init(&p.m, &other, NULL), 0);
    record_set(&r, &p.m, record_at[0], 1);
    record_set(&other, &p.m, record_at[3], 0xfedcba98);
    record_save(&other, &p.m);
    record_save(&r, &p.m);
    assert_string_equal(record_saved(&p, &now), "00000001----------------fedcba98");
}

static void record_is_not_saved_in_another_matrix(void **state)
{
    CLEANUP(record_fini_place) struct record_place p;
    CLEANUP(record_fini) struct record r = {0};
    CLEANUP(matdir_close) struct matdir now = MATDIR_NONE;
    (void)state;
    record_init_place(&p, true, NULL);
    assert_int_equal(record_init(&p.m, &r, NULL), 0);
    record_set(&r, &p.m, record_at[0], 1);
    p.m.header.grid.shape[0] = 3; /* what is at the path now has another shape */
    record_save(&r, &p.m);
    assert_null(record_saved(&p, &now));
}

/* On a mount the directory is the same when its matrix has been begun anew. */
static void record_is_not_saved_for_another_job(void **state)
{
    CLEANUP(record_fini_place) struct record_place p;
    CLEANUP(record_fini) struct record r = {0};
    CLEANUP(matdir_close) struct matdir now = MATDIR_NONE;
    struct cJSON *job = cJSON_CreateObject();
    (void)state;
    record_init_place(&p, true, NULL);
    assert_int_equal(record_init(&p.m, &r, NULL), 0);
    record_set(&r, &p.m, record_at[0], 1);
    (void)cJSON_AddNumberToObject(job, "alpha", 2);
    assert_int_equal(header_set_extra(&p.m.header, "made_by", &job), 0);
    record_save(&r, &p.m);
    assert_null(record_saved(&p, &now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_knows_what_the_header_says),
        cmocka_unit_test(record_believes_nothing_malformed),
        cmocka_unit_test(record_of_a_matrix_that_no_run_made_is_none),
        cmocka_unit_test(record_adds_to_what_others_have_saved),
        cmocka_unit_test(record_is_not_saved_in_another_matrix),
        cmocka_unit_test(record_is_not_saved_for_another_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
