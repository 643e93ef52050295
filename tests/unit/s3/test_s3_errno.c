#include "tests/unit/unit.h"

#include "s3/s3_errno.h"
#include "s3/store.h"

#include <curl/curl.h>
#include <errno.h>

static void errno_of_replies(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *s3_code;
        int code;
        enum s3_errno_fix fix;
    } reply[] = {
        {404, "NoSuchKey", -ENOENT, S3_ERRNO_FIX_NONE},
        {404, "NoSuchBucket", -ENXIO, S3_ERRNO_FIX_NONE},
        {404, "", -EBADMSG, S3_ERRNO_FIX_NONE}, /* never a guess */
        {403, "AccessDenied", -EACCES, S3_ERRNO_FIX_NONE},
        {403, "SomethingNew", -EACCES, S3_ERRNO_FIX_NONE},
        {403, "InvalidAccessKeyId", -EACCES, S3_ERRNO_FIX_CREDS},
        {400, "ExpiredToken", -EACCES, S3_ERRNO_FIX_CREDS},
        {403, "RequestTimeTooSkewed", -EACCES, S3_ERRNO_FIX_CLOCK},
        {400, "AuthorizationHeaderMalformed", -EACCES, S3_ERRNO_FIX_REGION},
        {301, "PermanentRedirect", -EIO, S3_ERRNO_FIX_REGION},
        {307, "TemporaryRedirect", -EAGAIN, S3_ERRNO_FIX_REGION},
        {301, "", -EIO, S3_ERRNO_FIX_REGION},
        {304, "", STORE_SAME, S3_ERRNO_FIX_NONE},
        {412, "PreconditionFailed", -ESTALE, S3_ERRNO_FIX_NONE},
        {412, "", -ESTALE, S3_ERRNO_FIX_NONE},
        {409, "ConditionalRequestConflict", -EAGAIN, S3_ERRNO_FIX_NONE},
        {409, "OperationAborted", -EAGAIN, S3_ERRNO_FIX_NONE},
        {416, "InvalidRange", -ERANGE, S3_ERRNO_FIX_NONE},
        {400, "EntityTooLarge", -EFBIG, S3_ERRNO_FIX_NONE},
        {403, "QuotaExceeded", -ENOSPC, S3_ERRNO_FIX_NONE},
        {507, "", -ENOSPC, S3_ERRNO_FIX_NONE},
        {400, "KeyTooLongError", -ENAMETOOLONG, S3_ERRNO_FIX_NONE},
        /* a file system takes EINVAL for a verdict of its own on the bytes */
        {400, "InvalidURI", -EIO, S3_ERRNO_FIX_NONE},
        {400, "InvalidObjectName", -EIO, S3_ERRNO_FIX_NONE},
        {400, "XMinioInvalidObjectName", -EIO, S3_ERRNO_FIX_NONE},
        {400, "RequestTimeout", -EAGAIN, S3_ERRNO_FIX_NONE},
        {403, "SlowDown", -EAGAIN, S3_ERRNO_FIX_NONE}, /* some servers throttle with 403 */
        {400, "BadDigest", -EAGAIN, S3_ERRNO_FIX_NONE},
        {408, "", -EAGAIN, S3_ERRNO_FIX_NONE},
        {429, "", -EAGAIN, S3_ERRNO_FIX_NONE},
        {500, "", -EAGAIN, S3_ERRNO_FIX_NONE},
        {502, "", -EAGAIN, S3_ERRNO_FIX_NONE},
        {503, "", -EAGAIN, S3_ERRNO_FIX_NONE},
        {504, "", -EAGAIN, S3_ERRNO_FIX_NONE},
        {501, "NotImplemented", -EIO, S3_ERRNO_FIX_NONE},
        {400, "", -EIO, S3_ERRNO_FIX_NONE},
        {999, "", -EIO, S3_ERRNO_FIX_NONE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
        struct s3_errno got = s3_errno_reply(reply[i].status, reply[i].s3_code);
        if (got.code != reply[i].code || got.fix != reply[i].fix)
            fail_msg("HTTP %d %s: %d %d", reply[i].status, reply[i].s3_code, got.code,
                     (int)got.fix);
    }
}

static void errno_of_curl_codes(void **state)
{
    (void)state;
    static const struct {
        CURLcode curl_code;
        int code;
    } curl[] = {
        {CURLE_OK, 0},
        {CURLE_COULDNT_RESOLVE_HOST, -EAGAIN},
        {CURLE_COULDNT_CONNECT, -EAGAIN},
        {CURLE_OPERATION_TIMEDOUT, -EAGAIN},
        {CURLE_GOT_NOTHING, -EAGAIN},
        {CURLE_RECV_ERROR, -EAGAIN},
        {CURLE_PARTIAL_FILE, -EAGAIN},
        {CURLE_SEND_FAIL_REWIND, -EAGAIN},
        {CURLE_WEIRD_SERVER_REPLY, -EAGAIN},
        {CURLE_PEER_FAILED_VERIFICATION, -EIO},
        {CURLE_URL_MALFORMAT, -EIO},
        {CURLE_OUT_OF_MEMORY, -ENOMEM},
        {CURLE_TOO_MANY_REDIRECTS, -EIO},
    };
    for (size_t i = 0; i < ARRAY_SIZE(curl); i++)
        assert_int_equal(s3_errno_curl((int)curl[i].curl_code), curl[i].code);
    assert_non_null(s3_errno_curl_hint(CURLE_PEER_FAILED_VERIFICATION));
    assert_null(s3_errno_curl_hint(CURLE_RECV_ERROR));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errno_of_replies),
        cmocka_unit_test(errno_of_curl_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
