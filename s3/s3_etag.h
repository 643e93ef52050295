#ifndef BMFS_S3_S3_ETAG_H
#define BMFS_S3_S3_ETAG_H

/* ETags: one text for a version wherever it came from, and the ways in which servers want it back.
 * Pure. */

#include "s3/store.h"

enum { S3_ETAG_HEADER_SIZE = STORE_ETAG_SIZE + 2 };

/* Takes an ETag from a header or a listing, without its quotes: the text by which versions are
 * compared. `ret`: STORE_ETAG_SIZE bytes. -EBADMSG when it is empty, too long, or holds bytes that
 * could not go back in a header. */
int s3_etag_read(const char *text, char *ret);

/* Writes it as the value of a condition, in quotes or bare. `ret`: S3_ETAG_HEADER_SIZE bytes.
 * -EINVAL when it is not a text that s3_etag_read() gives. */
int s3_etag_write(const char *etag, bool quoted, char *ret);

#endif
