#ifndef BMFS_S3_AWS_CREDS_H
#define BMFS_S3_AWS_CREDS_H

/* Where credentials come from: the environment and the files of AWS tools, or nowhere. */

#include "s3/aws_conf.h"
#include "s3/creds.h"

/* Keys from the environment (unless the profile was asked for by an option), else those of the
 * profile in the credentials file, else in the config file. The files are read again at each
 * fetch, for other tools renew them. Copies what it needs of `conf`; borrows `env`. 0 or -ENOMEM.
 */
int aws_creds_new(const struct aws_conf *conf, char *const *env, struct creds_provider **ret);

/* No keys: requests are not signed. 0 or -ENOMEM. */
int aws_creds_new_none(struct creds_provider **ret);

#endif
