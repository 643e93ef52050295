#ifndef BMFS_S3_S3_LIST_H
#define BMFS_S3_S3_LIST_H

/* Listing a bucket, page by page. */

#include "s3/client.h"

/* As store_list(); at `fn` no lock is held and no connection is in use. Some servers know only the
 * older way of paging: *v1 says so from one call to the next. */
int s3_list(struct client *client, const struct store_list *list, _Atomic bool *v1,
            store_list_fn *fn, void *arg, struct err *err);

#endif
