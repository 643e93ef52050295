#ifndef BMFS_S3_S3_GET_H
#define BMFS_S3_S3_GET_H

/* Reading objects, whole or in part, and asking for their versions. */

#include "s3/client.h"

/* As store_get() and store_head(), but for the operation's name in the message. */
int s3_get(struct client *client, const char *key, const struct store_get *get, store_sink_fn *sink,
           void *arg, struct store_stat *ret_stat, struct err *err);
int s3_head(struct client *client, const char *key, struct store_stat *ret_stat, struct err *err);

#endif
