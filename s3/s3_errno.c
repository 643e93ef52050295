#include "s3/s3_errno.h"

#include "base/util.h"
#include "s3/store.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

static const struct {
    const char *s3_code;
    struct s3_errno means;
} s3_errno_by_code[] = {
    {"NoSuchKey", {-ENOENT, S3_ERRNO_FIX_NONE, NULL}},
    {"NoSuchBucket", {-ENXIO, S3_ERRNO_FIX_NONE, "check the bucket's name and the endpoint"}},
    {"InvalidBucketName", {-ENXIO, S3_ERRNO_FIX_NONE, "check the bucket's name"}},
    {"AccessDenied", {-EACCES, S3_ERRNO_FIX_NONE, "these credentials lack a right on the bucket"}},
    {"SignatureDoesNotMatch", {-EACCES, S3_ERRNO_FIX_NONE, "check the secret access key"}},
    {"InvalidAccessKeyId",
     {-EACCES, S3_ERRNO_FIX_CREDS, "this endpoint does not know the access key"}},
    {"ExpiredToken", {-EACCES, S3_ERRNO_FIX_CREDS, "the credentials have expired: renew them"}},
    {"TokenRefreshRequired",
     {-EACCES, S3_ERRNO_FIX_CREDS, "the credentials have expired: renew them"}},
    {"InvalidToken", {-EACCES, S3_ERRNO_FIX_CREDS, "check the session token"}},
    {"RequestTimeTooSkewed", {-EACCES, S3_ERRNO_FIX_CLOCK, NULL}},
    {"RequestExpired", {-EACCES, S3_ERRNO_FIX_CLOCK, NULL}},
    {"AuthorizationHeaderMalformed", {-EACCES, S3_ERRNO_FIX_REGION, "set the bucket's region"}},
    {"PermanentRedirect", {-EIO, S3_ERRNO_FIX_REGION, "set the bucket's region or endpoint"}},
    {"TemporaryRedirect", {-EAGAIN, S3_ERRNO_FIX_REGION, "set the bucket's region or endpoint"}},
    {"IllegalLocationConstraintException",
     {-EIO, S3_ERRNO_FIX_REGION, "set the bucket's region or endpoint"}},
    {"PreconditionFailed", {-ESTALE, S3_ERRNO_FIX_NONE, NULL}},
    {"InvalidRange", {-ERANGE, S3_ERRNO_FIX_NONE, NULL}},
    {"EntityTooLarge", {-EFBIG, S3_ERRNO_FIX_NONE, NULL}},
    {"QuotaExceeded", {-ENOSPC, S3_ERRNO_FIX_NONE, NULL}},
    {"XMinioStorageFull", {-ENOSPC, S3_ERRNO_FIX_NONE, NULL}},
    {"KeyTooLongError", {-ENAMETOOLONG, S3_ERRNO_FIX_NONE, NULL}},
    {"InvalidURI", {-EIO, S3_ERRNO_FIX_NONE, NULL}},
    {"InvalidObjectName", {-EIO, S3_ERRNO_FIX_NONE, NULL}},
    {"XMinioInvalidObjectName", {-EIO, S3_ERRNO_FIX_NONE, NULL}},
    {"InvalidObjectState",
     {-EIO, S3_ERRNO_FIX_NONE, "the object is in an archive: have it restored"}},
    /* the body was damaged or cut on its way: the same call may work */
    {"BadDigest", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"IncompleteBody", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"XAmzContentSHA256Mismatch", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    /* the server is busy, whatever the HTTP status */
    {"RequestTimeout", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"SlowDown", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"Throttling", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"ThrottlingException", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"RequestLimitExceeded", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"BandwidthLimitExceeded", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"InternalError", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"ServiceUnavailable", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"OperationAborted", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {"ConditionalRequestConflict", {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
};

/* For codes that are not listed, and replies without one. */
static const struct {
    int status;
    struct s3_errno means;
} s3_errno_by_status[] = {
    {304, {STORE_SAME, S3_ERRNO_FIX_NONE, NULL}},
    {301, {-EIO, S3_ERRNO_FIX_REGION, "set the bucket's region or endpoint"}},
    {302, {-EIO, S3_ERRNO_FIX_REGION, "set the bucket's region or endpoint"}},
    {307, {-EAGAIN, S3_ERRNO_FIX_REGION, "set the bucket's region or endpoint"}},
    {308, {-EIO, S3_ERRNO_FIX_REGION, "set the bucket's region or endpoint"}},
    {401, {-EACCES, S3_ERRNO_FIX_NONE, NULL}},
    {403, {-EACCES, S3_ERRNO_FIX_NONE, NULL}},
    {404, {-EBADMSG, S3_ERRNO_FIX_NONE, "check that the endpoint is that of an S3 server"}},
    {408, {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {409, {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {412, {-ESTALE, S3_ERRNO_FIX_NONE, NULL}},
    {413, {-EFBIG, S3_ERRNO_FIX_NONE, NULL}},
    {416, {-ERANGE, S3_ERRNO_FIX_NONE, NULL}},
    {429, {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {500, {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {502, {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {503, {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {504, {-EAGAIN, S3_ERRNO_FIX_NONE, NULL}},
    {507, {-ENOSPC, S3_ERRNO_FIX_NONE, NULL}},
};

struct s3_errno s3_errno_reply(int status, const char *s3_code)
{
    for (size_t i = 0; i < ARRAY_SIZE(s3_errno_by_code); i++) {
        if (strcmp(s3_code, s3_errno_by_code[i].s3_code) == 0)
            return s3_errno_by_code[i].means;
    }
    for (size_t i = 0; i < ARRAY_SIZE(s3_errno_by_status); i++) {
        if (status == s3_errno_by_status[i].status)
            return s3_errno_by_status[i].means;
    }
    return (struct s3_errno){.code = -EIO};
}

int s3_errno_curl(int curl_code)
{
    switch ((CURLcode)curl_code) {
    case CURLE_OK:
        return 0;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_AGAIN:
    case CURLE_WEIRD_SERVER_REPLY: /* what came was damaged; what was asked may have been done */
        return -EAGAIN;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, for example */
    case CURLE_BAD_CONTENT_ENCODING:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

const char *s3_errno_curl_hint(int curl_code)
{
    switch ((CURLcode)curl_code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return "name the authority that signed the server's certificate: --ca-bundle FILE";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return "check the endpoint";
    default:
        return NULL;
    }
}
