#include "tests/fuzz/fuzz.h"

#include "s3/probe.h"

#include <string.h>

static const char id[] = "s3://h/lab";

/* A verdict that is read is one that could have been written. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = strndup((const char *)data, size);
    CLEANUP(buf_fini) struct buf b = BUF_INIT(PROBE_TEXT_MAX);
    struct probe_verdict v;
    struct probe_verdict again;
    FUZZ_CHECK(text != NULL);
    if (probe_read(text, id, 1700000000, &v) < 0)
        return 0;
    FUZZ_CHECK(probe_write(&v, id, 1700000000, &b) == 0);
    FUZZ_CHECK(probe_read(buf_text(&b), id, 1700000000, &again) == 0);
    FUZZ_CHECK(v.absent == again.absent && v.put == again.put && v.remove == again.remove);
    return 0;
}
