#include "tests/unit/unit.h"

#include "fs/place.h"

#include <errno.h>
#include <string.h>

static const struct header place_matrix = {
    .grid = {.ndim = 2, .shape = {10, 7}, .shard = {4, 3}},
    .dtype = {.kind = 'f', .size = 8, .order = '<'},
};

/* What a name is taken for: a code, or a kind and an object name. */
struct place_row {
    const char *name;
    int read, make; /* codes without and with `make` */
    enum place_kind kind;
    const char *obj;
};

static void place_check_row(const struct header *matrix, const struct place_row *row)
{
    struct place place;
    for (int make = 0; make < 2; make++) {
        int code = make ? row->make : row->read;
        int r = place_find(matrix, row->name, make, &place, NULL);
        if (r != code)
            fail_msg("%s (make %d): %d, not %d", row->name, make, r, code);
        if (r < 0)
            continue;
        if (place.kind != row->kind || strcmp(place.obj, row->obj) != 0)
            fail_msg("%s (make %d): kind %d, object %s", row->name, make, (int)place.kind,
                     place.obj);
    }
}

static void place_finds_names_of_a_matrix(void **state)
{
    (void)state;
    static const struct place_row row[] = {
        {"header.json", 0, 0, PLACE_HEADER, "header"},
        {"block_0_0", 0, 0, PLACE_BLOCK, "0_4_4_0_3_3_"},
        {"block_2_2", 0, 0, PLACE_BLOCK, "8_10_4_6_7_3_"},
        {"block_2_2.npy", 0, 0, PLACE_BLOCK, "8_10_4_6_7_3_"},
        {"block_2_2.raw", 0, 0, PLACE_BLOCK, "8_10_4_6_7_3_"},
        {"block_2_2.F.raw", 0, 0, PLACE_BLOCK, "8_10_4_6_7_3_"},
        /* numpywren itself stores such blocks: they can be read, not made */
        {"block_3_0", 0, -EINVAL, PLACE_BLOCK, "12_10_4_0_3_3_"},
        {"block_-1_0", 0, -EINVAL, PLACE_BLOCK, "-4_0_4_0_3_3_"},
        {"block_4611686018427387904_0", -ENOENT, -EINVAL, PLACE_BLOCK, ""},
        {"block_0", -ENOENT, -EINVAL, PLACE_PLAIN, ""},
        {"block_0_0_0", -ENOENT, -EINVAL, PLACE_PLAIN, ""},
        {"block_00_0", -ENOENT, -EINVAL, PLACE_PLAIN, ""},
        {"block_x", -ENOENT, -EINVAL, PLACE_PLAIN, ""},
        {"header", -ENOENT, -EINVAL, PLACE_PLAIN, ""},
        {"notes.txt", 0, -EINVAL, PLACE_PLAIN, "notes.txt"},
        {"0_4_4_0_3_3_", 0, -EINVAL, PLACE_PLAIN, "0_4_4_0_3_3_"},
        {"block_0_0.tmp", 0, 0, PLACE_SCRATCH, ""},
        {".block_0_0.Ab3xYz", 0, 0, PLACE_SCRATCH, ""},
        {".bm-17-block_0_0", 0, 0, PLACE_SCRATCH, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(row); i++)
        place_check_row(&place_matrix, &row[i]);
}

static void place_finds_names_of_a_plain_directory(void **state)
{
    (void)state;
    static const struct place_row row[] = {
        {"notes.txt", 0, 0, PLACE_PLAIN, "notes.txt"},
        {"notes.tmp", 0, 0, PLACE_PLAIN, "notes.tmp"}, /* no scratch files outside matrices */
        {"4913", 0, 0, PLACE_PLAIN, "4913"},
        {"block_0_0", 0, 0, PLACE_PLAIN, "block_0_0"}, /* it may become a block */
        {".block_0_0.Ab3xYz", 0, 0, PLACE_SCRATCH, ""},
        {".header.json.Ab3xYz", 0, 0, PLACE_SCRATCH, ""},
        {".notes.txt.Ab3xYz", 0, 0, PLACE_PLAIN, ".notes.txt.Ab3xYz"},
        {".block_notes.backup", 0, 0, PLACE_PLAIN, ".block_notes.backup"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(row); i++)
        place_check_row(NULL, &row[i]);
    struct place place;
    assert_int_equal(place_find(NULL, "header.json", false, &place, NULL), 0);
    assert_int_equal(place.kind, PLACE_PLAIN);
    assert_int_equal(place_find(NULL, "header.json", true, &place, NULL), 0);
    assert_int_equal(place.kind, PLACE_HEADER);
    assert_string_equal(place.obj, "header");
}

static void place_tells_views_and_the_grid(void **state)
{
    (void)state;
    struct place place;
    assert_int_equal(place_find(&place_matrix, "block_2_1", false, &place, NULL), 0);
    assert_int_equal(place.view, NAME_OBJECT);
    assert_true(place.inside);
    assert_int_equal(place.ndim, 2);
    assert_int_equal(place.index[0], 2);
    assert_int_equal(place.index[1], 1);
    assert_int_equal(place_find(&place_matrix, "block_2_1.raw", false, &place, NULL), 0);
    assert_int_equal(place.view, NAME_RAW);
    assert_int_equal(place_find(&place_matrix, "block_2_1.F.raw", false, &place, NULL), 0);
    assert_int_equal(place.view, NAME_RAW_F);
    assert_int_equal(place_find(&place_matrix, "block_9_9", false, &place, NULL), 0);
    assert_false(place.inside);
}

static void place_refuses_names_longer_than_a_name(void **state)
{
    (void)state;
    char name[300];
    struct place place;
    struct err err = {0};
    memset(name, 'a', sizeof(name));
    name[255] = '\0';
    assert_int_equal(place_find(NULL, name, true, &place, &err), 0);
    name[255] = 'a';
    name[256] = '\0';
    assert_int_equal(place_find(NULL, name, true, &place, &err), -ENAMETOOLONG);
    assert_int_equal(place_find(&place_matrix, name, false, &place, &err), -ENAMETOOLONG);
    assert_true(err.msg[0] != '\0');
}

static void place_says_what_to_do(void **state)
{
    (void)state;
    struct place place;
    struct err err = {0};
    assert_int_equal(place_find(&place_matrix, "notes", true, &place, &err), -EINVAL);
    assert_true(err.hint[0] != '\0');
}

static void place_knows_temporary_files(void **state)
{
    (void)state;
    static const char *const scratch[] = {
        ".block_0_0.npy.a1B2c3",
        ".a.aaaaaa",
        "sedAb12Cd",
        "4913",
        ".block_0_0.swp",
        ".header.json.swx",
        "block_0_0~",
        ".#header.json",
        "#header.json#",
        "tmpab12cd34",
        "tmp.Ab12Cd34Ef",
        "block_0_0.tmp",
        "block_0_0.part",
        "x.partial",
        "0.0.__lock",
        ".nfs000000000",
        ".bm-1",
        ".header.json.swpx",
    };
    static const char *const other[] = {
        "block_0_0", "header.json", "sedAb12C", "tmpab12cd3", "tmpab12cd345",
        "4914",      ".hidden",     "..aaaaaa", "tmp",        "x.tmpx",
    };
    for (size_t i = 0; i < ARRAY_SIZE(scratch); i++) {
        if (!place_is_scratch(scratch[i]))
            fail_msg("%s is scratch", scratch[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
        if (place_is_scratch(other[i]))
            fail_msg("%s is no scratch", other[i]);
    }
}

static void place_names_objects_as_files(void **state)
{
    (void)state;
    static const struct {
        const char *obj, *file; /* NULL: not shown */
    } row[] = {
        {"0_4_4_0_3_3_", "block_0_0"},
        {"8_10_4_6_7_3_", "block_2_2"},
        {"12_10_4_0_3_3_", "block_3_0"},    /* as numpywren names it */
        {"8_12_4_6_7_3_", "8_12_4_6_7_3_"}, /* not its one true name */
        {"0_4_4_", "0_4_4_"},
        {"1_4_4_0_3_3_", "1_4_4_0_3_3_"},
        {"notes.txt", "notes.txt"},
        {"header", NULL},
        {"header.json", NULL},
        {"block_0_0", NULL},
        {"", NULL},
        {".", NULL},
        {"..", NULL},
    };
    char file[NAME_FILE_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        const char *name = place_file_name(&place_matrix, row[i].obj, file);
        if (!row[i].file)
            assert_null(name);
        else
            assert_string_equal(name, row[i].file);
    }
    assert_string_equal(place_file_name(NULL, "header", file), "header");
    assert_string_equal(place_file_name(NULL, "0_4_4_0_3_3_", file), "0_4_4_0_3_3_");
    assert_null(place_file_name(NULL, "..", file));
    char longer[300];
    memset(longer, 'a', sizeof(longer));
    longer[256] = '\0';
    assert_null(place_file_name(NULL, longer, file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place_finds_names_of_a_matrix),
        cmocka_unit_test(place_finds_names_of_a_plain_directory),
        cmocka_unit_test(place_tells_views_and_the_grid),
        cmocka_unit_test(place_refuses_names_longer_than_a_name),
        cmocka_unit_test(place_says_what_to_do),
        cmocka_unit_test(place_knows_temporary_files),
        cmocka_unit_test(place_names_objects_as_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
