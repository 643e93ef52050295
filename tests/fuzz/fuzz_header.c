#include "tests/fuzz/fuzz.h"

#include "matrix/header.h"

#include <errno.h>
#include <string.h>

enum { FUZZ_TEXT_MAX = 8 * HEADER_BYTES_MAX }; /* a control character takes 6 bytes when escaped */

/* What was read can be stored, reads back as the same, and is then stored as the same text. */
static void fuzz_header_store(const struct header *h)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FUZZ_TEXT_MAX);
    CLEANUP(buf_fini) struct buf again = BUF_INIT(FUZZ_TEXT_MAX);
    CLEANUP(header_fini) struct header back = {0};
    FUZZ_CHECK(header_store(h, &text) == 0);
    if (text.len > HEADER_BYTES_MAX)
        return;
    FUZZ_CHECK(header_parse(text.data, text.len, &back, NULL) == 0);
    FUZZ_CHECK(header_equal(h, &back));
    FUZZ_CHECK(header_store(&back, &again) == 0);
    FUZZ_CHECK(strcmp(text.data, again.data) == 0);
}

static void fuzz_header_present(const struct header *h)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(FUZZ_TEXT_MAX);
    CLEANUP(header_fini) struct header back = {0};
    FUZZ_CHECK(header_present(h, &text) == 0);
    if (text.len > HEADER_BYTES_MAX)
        return;
    FUZZ_CHECK(header_parse(text.data, text.len, &back, NULL) == 0);
    FUZZ_CHECK(header_equal(h, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(header_fini) struct header h = {0};
    struct err err = {0};
    int r = header_parse((const char *)data, size, &h, &err);
    if (r < 0) {
        FUZZ_CHECK(r == -EBADMSG && err.msg[0]);
        return 0;
    }
    FUZZ_CHECK(grid_check(&h.grid, NULL) == 0);
    fuzz_header_store(&h);
    fuzz_header_present(&h);
    return 0;
}
