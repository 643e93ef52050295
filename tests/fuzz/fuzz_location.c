#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "s3/location.h"

#include <string.h>

/* Keys under a location's prefix are keys, and its bucket can stand in a URL as it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = strndup((const char *)data, size);
    CLEANUP(location_fini) struct location loc = {0};
    struct err err = {0};
    FUZZ_CHECK(text != NULL);
    if (location_parse(text, &loc, &err) < 0) {
        FUZZ_CHECK(err.msg[0] && !loc.bucket && !loc.prefix);
        return 0;
    }
    size_t len = strlen(loc.prefix);
    FUZZ_CHECK(len < STORE_KEY_MAX && (len == 0 || loc.prefix[len - 1] == '/'));
    if (loc.is_dir)
        FUZZ_CHECK(loc.bucket[0] == '/');
    else
        FUZZ_CHECK(*loc.bucket && strpbrk(loc.bucket, "/?#%@: \r\n") == NULL);
    return 0;
}
