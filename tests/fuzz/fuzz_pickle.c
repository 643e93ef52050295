#include "tests/fuzz/fuzz.h"

#include "matrix/pickle.h"

/* What was read can be written, and reads back as the same. */
static void fuzz_pickle_again(struct dtype t)
{
    struct dtype back;
    CLEANUP(buf_fini) struct buf text = BUF_INIT(PICKLE_BASE64_MAX);
    FUZZ_CHECK(pickle_write_base64(t, &text) == 0);
    FUZZ_CHECK(pickle_read_base64(text.data, text.len, &back, NULL) == 0);
    FUZZ_CHECK(dtype_equal(t, back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dtype t;
    struct err err = {0};
    if (pickle_read(data, size, &t, &err) == 0)
        fuzz_pickle_again(t);
    else
        FUZZ_CHECK(err.msg[0]);
    if (pickle_read_base64((const char *)data, size, &t, &err) == 0)
        fuzz_pickle_again(t);
    return 0;
}
