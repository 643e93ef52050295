#include "tests/fuzz/fuzz.h"

#include "s3/uri.h"

#include <string.h>

/* What was encoded decodes to the same, and stays within the alphabet of URLs. */
static void fuzz_uri_encode(const char *text)
{
    CLEANUP(buf_fini) struct buf b = BUF_INIT(1 << 22);
    FUZZ_CHECK(uri_encode(&b, text, "/") == 0);
    FUZZ_CHECK(strspn(buf_text(&b), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789-._~/%") == b.len);
    if (b.len > 0) {
        FUZZ_CHECK(uri_decode(b.data) == 0);
        FUZZ_CHECK(strcmp(b.data, text) == 0);
    }
}

static void fuzz_uri_decode(const char *text)
{
    CLEANUP(freep) char *copy = strdup(text);
    FUZZ_CHECK(copy != NULL);
    if (uri_decode(copy) == 0)
        FUZZ_CHECK(strlen(copy) <= strlen(text));
}

/* An endpoint that is taken reads the same once it is written out again. */
static void fuzz_uri_endpoint(const char *text)
{
    CLEANUP(buf_fini) struct buf b = BUF_INIT(4096);
    struct uri_endpoint ep;
    struct uri_endpoint again;
    if (uri_endpoint_parse(text, &ep, NULL) < 0)
        return;
    FUZZ_CHECK(*ep.host && strpbrk(ep.host, " \r\n/@") == NULL);
    FUZZ_CHECK(strpbrk(ep.path, " \r\n?#") == NULL);
    FUZZ_CHECK(buf_printf(&b, "%s://%s%s", ep.tls ? "https" : "http", ep.host, ep.path) == 0);
    FUZZ_CHECK(uri_endpoint_parse(buf_text(&b), &again, NULL) == 0);
    FUZZ_CHECK(ep.tls == again.tls && strcmp(ep.host, again.host) == 0);
    FUZZ_CHECK(strcmp(ep.path, again.path) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = strndup((const char *)data, size);
    FUZZ_CHECK(text != NULL);
    fuzz_uri_encode(text);
    fuzz_uri_decode(text);
    fuzz_uri_endpoint(text);
    return 0;
}
