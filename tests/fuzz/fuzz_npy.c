#include "tests/fuzz/fuzz.h"

#include "matrix/npy.h"

#include <errno.h>
#include <string.h>

/* What was read can be written, and reads back as the same. */
static void fuzz_npy_again(const struct npy *npy)
{
    struct npy again = *npy;
    struct npy back;
    CLEANUP(buf_fini) struct buf head = BUF_INIT(NPY_HEAD_MAX);
    FUZZ_CHECK(npy_format(&again, &head) == 0);
    FUZZ_CHECK(npy_parse(head.data, head.len, &back, NULL) == 0);
    FUZZ_CHECK(back.data_off == head.len && head.len % 64 == 0);
    FUZZ_CHECK(back.data_len == npy->data_len);
    FUZZ_CHECK(dtype_equal(back.dtype, npy->dtype));
    FUZZ_CHECK(back.ndim == npy->ndim && memcmp(back.shape, npy->shape, sizeof(npy->shape)) == 0);
    FUZZ_CHECK(back.fortran == again.fortran);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct npy npy;
    struct err err = {0};
    int r = npy_parse(data, size, &npy, &err);
    if (r < 0) {
        FUZZ_CHECK(err.msg[0]);
        FUZZ_CHECK(r == -EBADMSG || (r == -ENODATA && size < NPY_HEAD_MAX));
        return 0;
    }
    FUZZ_CHECK(npy.data_off <= size && npy.data_len <= INT64_MAX);
    fuzz_npy_again(&npy);
    return 0;
}
