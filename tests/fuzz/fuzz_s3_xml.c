#include "tests/fuzz/fuzz.h"

#include "s3/s3_etag.h"
#include "s3/s3_xml.h"

#include <string.h>

/* An entry can be asked for: its key is a key, its ETag fits a header. */
static void fuzz_s3_xml_entry(const struct s3_xml_entry *entry)
{
    char header[S3_ETAG_HEADER_SIZE];
    size_t len = strlen(entry->key);
    FUZZ_CHECK(len > 0 && len <= STORE_KEY_MAX);
    FUZZ_CHECK(entry->is_prefix || s3_etag_write(entry->stat.etag, true, header) == 0);
    FUZZ_CHECK(entry->stat.mtime_ns >= 0 && entry->stat.size <= INT64_MAX);
}

static void fuzz_s3_xml_list(const uint8_t *data, size_t size)
{
    struct s3_xml_page page = {0};
    if (s3_xml_list(data, size, &page, NULL) < 0) {
        FUZZ_CHECK(page.entries == 0 && !page.entry && !page.next_token);
        return;
    }
    for (size_t i = 0; i < page.entries; i++)
        fuzz_s3_xml_entry(&page.entry[i]);
    s3_xml_page_fini(&page);
}

static void fuzz_s3_xml_error(const uint8_t *data, size_t size)
{
    struct s3_xml_error e;
    s3_xml_error(data, size, &e);
    FUZZ_CHECK(strnlen(e.code, sizeof(e.code)) < sizeof(e.code));
    FUZZ_CHECK(strnlen(e.message, sizeof(e.message)) < sizeof(e.message));
    FUZZ_CHECK(strnlen(e.region, sizeof(e.region)) < sizeof(e.region));
    FUZZ_CHECK(strnlen(e.request_id, sizeof(e.request_id)) < sizeof(e.request_id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_s3_xml_list(data, size);
    fuzz_s3_xml_error(data, size);
    return 0;
}
