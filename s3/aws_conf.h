#ifndef BMFS_S3_AWS_CONF_H
#define BMFS_S3_AWS_CONF_H

/* What the environment and the files of AWS tools say, found and ranked as those tools do: options
 * before the environment before the files, whose places the environment may change.
 *
 *   profile    --profile, AWS_PROFILE, AWS_DEFAULT_PROFILE, "default"
 *   region     --region, AWS_REGION, AWS_DEFAULT_REGION, the profile's region, us-east-1
 *   endpoint   --endpoint-url, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's services
 *              section, its endpoint_url, AWS's own; all but the option are off when
 *              AWS_IGNORE_CONFIGURED_ENDPOINT_URLS (or the profile) says true
 *   CA bundle  --ca-bundle, AWS_CA_BUNDLE, the profile's ca_bundle
 *   style      the profile's s3 addressing_style
 *   keys       AWS_ACCESS_KEY_ID and its kin (not with --profile), the credentials file, the
 *              config file */

#include "s3/ini.h"
#include "s3/location.h"
#include "s3/uri.h"

struct aws_conf {
    char *profile;
    bool profile_asked; /* by an option: then keys in the environment do not count */
    bool profile_named; /* by the option or the environment: then it must exist */
    char *region;       /* never NULL */
    char *endpoint_url; /* NULL: AWS's own */
    char *ca_bundle;    /* NULL: the system's */
    enum uri_style style;
    char *config_path, *credentials_path;
};

/* `env`: as `environ`; NULL is an empty one. 0; -EINVAL for a profile that is not there or a
 * setting that makes no sense; -EACCES for a file that may not be read; -ENOMEM; ... */
int aws_conf_load(const struct location_conf *asked, char *const *env, struct aws_conf *ret,
                  struct err *err);

/* A zeroed one is fine; fits CLEANUP. */
void aws_conf_fini(struct aws_conf *conf);

/* A variable of the environment; NULL when it is not there or empty. Borrowed. */
const char *aws_conf_getenv(char *const *env, const char *name);

/* The section of a profile in the config file, as its text stands there, or NULL. Borrowed. */
const char *aws_conf_profile(const struct ini *config, const char *profile);

#endif
