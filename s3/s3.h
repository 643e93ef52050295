#ifndef BMFS_S3_S3_H
#define BMFS_S3_S3_H

/* The store in a bucket of an S3 server: the lowest layer, which never repeats a request by itself
 * (see client.h for the few that are put right and sent again). */

#include "s3/client.h"
#include "s3/store.h"

struct s3_conf {
    struct client_conf client;
    const char *prefix; /* "<prefix>.bmfs/" is where the endpoint's verdict is kept: see probe.h */
    bool read_only;
};

/* Takes *creds as client_new() does. Asks the server nothing. 0, -EINVAL, -ENOMEM, -EOPNOTSUPP. */
int s3_new(const struct s3_conf *conf, struct creds_source **creds, struct store **ret,
           struct err *err);

#endif
