/* Every object that numpywren itself has stored, read and written again.
 *
 * Usage: test_fixtures FOLDER */
#include "tests/unit/unit.h"

#include "matrix/infer.h"
#include "matrix/json.h"
#include "matrix/name.h"
#include "matrix/pickle.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *fixtures_dir;

enum { FIXTURES_FILE_MAX = 1 << 20 };

static void fixtures_read(const char *path, struct buf *out)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st = {0};
    if (fd < 0 || fstat(fd, &st) < 0)
        fail_msg("%s: %s", path, errno_text(errno));
    *out = BUF_INIT(FIXTURES_FILE_MAX);
    assert_int_equal(buf_reserve(out, (size_t)st.st_size), 0);
    assert_int_equal(pread_full(fd, out->data, (size_t)st.st_size, 0), 0);
    out->len = (size_t)st.st_size;
    out->data[out->len] = '\0';
}

static struct cJSON *fixtures_manifest(const char *run, char path[PATH_MAX])
{
    CLEANUP(buf_fini) struct buf text = {0};
    assert_true(snprintf(path, PATH_MAX, "%s/%s/manifest.json", fixtures_dir, run) < PATH_MAX);
    fixtures_read(path, &text);
    *strrchr(path, '/') = '\0';
    struct cJSON *manifest = NULL;
    assert_int_equal(json_parse(text.data, text.len, &manifest, NULL), 0);
    return manifest;
}

static const char *fixtures_text(const struct cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    assert_non_null(text);
    return text;
}

static void fixtures_object(const char *dir, const struct cJSON *object, struct buf *out)
{
    char path[PATH_MAX];
    assert_true(snprintf(path, sizeof(path), "%s/%s", dir, fixtures_text(object, "file")) <
                PATH_MAX);
    fixtures_read(path, out);
    assert_int_equal(out->len, cJSON_GetNumberValue(cJSON_GetObjectItem(object, "size")));
}

/* The name within the matrix when `key` is one of the object's beside `header_key`. */
static const char *fixtures_block_name(const char *key, const char *header_key)
{
    size_t base = (size_t)(strrchr(header_key, '/') + 1 - header_key);
    const char *name = key + base;
    if (strncmp(key, header_key, base) != 0 || strchr(name, '/') || strcmp(name, "header") == 0)
        return NULL;
    return name;
}

/* Checks the header, and that storing it gives the same text where Python had the scalar type, as
 * bmfs does. */
static void fixtures_check_header(const struct buf *text, struct header *ret)
{
    CLEANUP(buf_fini) struct buf stored = BUF_INIT(HEADER_BYTES_MAX);
    CLEANUP(buf_fini) struct buf presented = BUF_INIT(HEADER_BYTES_MAX);
    CLEANUP(header_fini) struct header back = {0};
    assert_int_equal(header_parse(text->data, text->len, ret, NULL), 0);
    assert_null(ret->extra);
    assert_int_equal(header_store(ret, &stored), 0);
    if (strstr(text->data, "\"gANjbnVtcHkK") && !strstr(text->data, "\"gANjbnVtcHkKZHR5cGUK"))
        assert_string_equal(stored.data, text->data);
    assert_int_equal(header_present(ret, &presented), 0);
    assert_int_equal(header_parse(presented.data, presented.len, &back, NULL), 0);
    assert_true(header_equal(ret, &back));
}

static void fixtures_check_npy(const struct buf *body, struct npy *ret)
{
    CLEANUP(buf_fini) struct buf head = BUF_INIT(NPY_HEAD_MAX);
    assert_int_equal(npy_parse(body->data, body->len, ret, NULL), 0);
    assert_int_equal(ret->data_off + ret->data_len, body->len);
    struct npy again = *ret;
    assert_int_equal(npy_format(&again, &head), 0);
    assert_int_equal(head.len, ret->data_off);
    assert_memory_equal(head.data, body->data, head.len);
}

/* Checks a block against its matrix. Returns 1 when it disagrees with it. */
static int fixtures_check_block(const char *name, const struct buf *body, const struct header *h)
{
    struct npy npy;
    fixtures_check_npy(body, &npy);
    struct name_axis axis[GRID_NDIM_MAX];
    int64_t index[GRID_NDIM_MAX];
    int ndim = 0;
    assert_int_equal(name_object_parse(name, axis, &ndim), 0);
    assert_int_equal(ndim, h->grid.ndim);
    assert_int_equal(name_object_index(axis, ndim, index), 0);
    char again[NAME_OBJECT_SIZE];
    assert_int_equal(name_object(&h->grid, index, again), 0);
    assert_string_equal(again, name);
    struct err err = {0};
    int r = npy_check_block(&npy, body->len, &h->grid, h->dtype, index, &err);
    if (r < 0 && grid_contains(&h->grid, index))
        assert_string_equal(err.msg, "type <f8, where the matrix has <f4"); /* mismatch_dtype */
    return r < 0;
}

/* Infers the matrix whose header this is, and compares when all of its edges are stored. */
static void fixtures_check_infer(const struct infer *in, const struct npy *npy,
                                 const struct header *h)
{
    CLEANUP(header_fini) struct header inferred = {0};
    if (in->names < grid_blocks(&h->grid))
        return;
    assert_int_equal(infer_finish(in, npy, &inferred, NULL), 0);
    assert_true(grid_equal(&inferred.grid, &h->grid));
}

struct fixtures_count {
    int headers, blocks, disagreeing;
};

static void fixtures_check_matrix(const char *dir, const struct cJSON *objects,
                                  const struct cJSON *header, struct fixtures_count *count)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(header_fini) struct header h = {0};
    fixtures_object(dir, header, &text);
    fixtures_check_header(&text, &h);
    count->headers++;
    struct infer in;
    struct npy npy = {0};
    infer_init(&in);
    const struct cJSON *object = NULL;
    cJSON_ArrayForEach(object, objects)
    {
        const char *name =
            fixtures_block_name(fixtures_text(object, "key"), fixtures_text(header, "key"));
        if (!name)
            continue;
        CLEANUP(buf_fini) struct buf body = {0};
        fixtures_object(dir, object, &body);
        count->disagreeing += fixtures_check_block(name, &body, &h);
        count->blocks++;
        (void)infer_add(&in, name);
        assert_int_equal(npy_parse(body.data, body.len, &npy, NULL), 0);
    }
    fixtures_check_infer(&in, &npy, &h);
}

static void fixtures_check_run(const char *run, struct fixtures_count *count)
{
    char dir[PATH_MAX];
    CLEANUP(json_freep) struct cJSON *manifest = fixtures_manifest(run, dir);
    const struct cJSON *objects = cJSON_GetObjectItemCaseSensitive(manifest, "objects");
    const struct cJSON *object = NULL;
    cJSON_ArrayForEach(object, objects)
    {
        const char *key = fixtures_text(object, "key");
        if (strcmp(strrchr(key, '/'), "/header") == 0)
            fixtures_check_matrix(dir, objects, object, count);
    }
    assert_int_equal(count->headers + count->blocks, cJSON_GetArraySize(objects));
}

static void numpywren_objects_are_read_and_written_alike(void **state)
{
    (void)state;
    struct fixtures_count count = {0};
    fixtures_check_run(".", &count);
    assert_int_equal(count.headers, 18);
    assert_int_equal(count.blocks, 46);
    assert_int_equal(count.disagreeing, 1);
}

static void numpywren_cholesky_run_is_read_and_written_alike(void **state)
{
    (void)state;
    struct fixtures_count count = {0};
    fixtures_check_run("programs/cholesky_10_4", &count);
    assert_int_equal(count.headers, 3);
    assert_int_equal(count.disagreeing, 0);
}

static void numpywren_gemm_run_is_read_and_written_alike(void **state)
{
    (void)state;
    struct fixtures_count count = {0};
    fixtures_check_run("programs/gemm_8_8_8_4", &count);
    assert_int_equal(count.headers, 4);
    assert_int_equal(count.disagreeing, 4); /* temporaries outside the grid */
}

static void numpywren_types_are_read_as_newer_pythons_write_them(void **state)
{
    (void)state;
    char path[PATH_MAX];
    CLEANUP(buf_fini) struct buf text = {0};
    assert_true(snprintf(path, sizeof(path), "%s/dtype_pickles_py3.11.json", fixtures_dir) <
                PATH_MAX);
    fixtures_read(path, &text);
    /* json_parse() would refuse the npy headers in there: they hold NULs. */
    CLEANUP(json_freep) struct cJSON *root = cJSON_ParseWithLength(text.data, text.len);
    const struct cJSON *types = cJSON_GetObjectItemCaseSensitive(root, "dtypes");
    assert_int_equal(cJSON_GetArraySize(types), 14);
    const struct cJSON *type = NULL;
    cJSON_ArrayForEach(type, types)
    {
        static const char *const form[] = {"type", "dtype"};
        for (size_t i = 0; i < ARRAY_SIZE(form); i++) {
            struct dtype t;
            char descr[DTYPE_TEXT_SIZE];
            const char *base64 = fixtures_text(type, form[i]);
            assert_int_equal(pickle_read_base64(base64, strlen(base64), &t, NULL), 0);
            assert_string_equal(dtype_descr(t, descr), fixtures_text(type, "descr"));
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    fixtures_dir = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numpywren_objects_are_read_and_written_alike),
        cmocka_unit_test(numpywren_cholesky_run_is_read_and_written_alike),
        cmocka_unit_test(numpywren_gemm_run_is_read_and_written_alike),
        cmocka_unit_test(numpywren_types_are_read_as_newer_pythons_write_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
