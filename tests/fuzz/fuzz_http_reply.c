#include "tests/fuzz/fuzz.h"

#include "s3/s3_etag.h"
#include "s3/s3_stat.h"

#include <string.h>

/* The lines of a reply's head, and what they say about an object. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(http_reply_fini) struct http_reply reply = {0};
    struct store_stat stat;
    struct s3_stat_range range;
    char header[S3_ETAG_HEADER_SIZE];
    for (const uint8_t *end = data + size; data < end;) {
        const uint8_t *newline = memchr(data, '\n', (size_t)(end - data));
        size_t len = newline ? (size_t)(newline - data) + 1 : (size_t)(end - data);
        (void)http_reply_line(&reply, (const char *)data, len);
        data += len;
    }
    if (s3_stat_reply(&reply, &stat, &range, NULL) < 0)
        return 0;
    FUZZ_CHECK(range.first <= range.end && range.end <= stat.size);
    FUZZ_CHECK(s3_etag_write(stat.etag, true, header) == 0);
    FUZZ_CHECK(strlen(stat.write_id) == 0 || strlen(stat.write_id) == STORE_WRITE_ID_SIZE - 1);
    return 0;
}
