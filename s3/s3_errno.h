#ifndef BMFS_S3_S3_ERRNO_H
#define BMFS_S3_S3_ERRNO_H

/* The one place where what HTTP, S3 and curl say becomes an errno of store.h. Pure. */

/* What can be changed about a request so that it may succeed at once, beyond repeating it. */
enum s3_errno_fix {
    S3_ERRNO_FIX_NONE = 0,
    S3_ERRNO_FIX_REGION = 1, /* sign for another region, or ask its endpoint */
    S3_ERRNO_FIX_CLOCK = 2,  /* sign for the server's time */
    S3_ERRNO_FIX_CREDS = 4,  /* ask for new credentials */
};

struct s3_errno {
    int code; /* -errno; STORE_SAME for 304 */
    enum s3_errno_fix fix;
    const char *hint; /* what the user can do, or NULL */
};

/* A reply that is not 2xx: its HTTP status, and the code in its body ("NoSuchKey") or "" when there
 * was none that could be read. A missing thing is -ENOENT or -ENXIO only where the code says so. */
struct s3_errno s3_errno_reply(int status, const char *s3_code);

/* No reply: a CURLcode. */
int s3_errno_curl(int curl_code);
const char *s3_errno_curl_hint(int curl_code); /* or NULL */

#endif
