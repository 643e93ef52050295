#include "s3/aws_creds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct aws_creds {
    struct creds_provider base;
    char *const *env; /* borrowed; NULL when it does not count */
    char *profile;
    char *config_path, *credentials_path;
};

/* Makes a set of keys that were found in one place; half a set is an error, not a reason to go on
 * looking. 0 with *ret left NULL: there is nothing here. */
static int aws_creds_make(const char *where, const char *access_key, const char *secret_key,
                          const char *token, struct creds **ret, struct err *err)
{
    bool access = access_key && *access_key;
    bool secret = secret_key && *secret_key;
    if (!access && !secret)
        return 0;
    if (!access || !secret)
        return err_set(err, -EACCES, "%s has one of the two keys, but not the %s key", where,
                       access ? "secret" : "access");
    int r = creds_new(access_key, secret_key, token && *token ? token : NULL, 0, ret);
    return r < 0 ? err_errno(err, r, "%s holds keys that cannot be used", where) : 0;
}

static int aws_creds_from_env(const struct aws_creds *a, struct creds **ret, struct err *err)
{
    return aws_creds_make("the environment", aws_conf_getenv(a->env, "AWS_ACCESS_KEY_ID"),
                          aws_conf_getenv(a->env, "AWS_SECRET_ACCESS_KEY"),
                          aws_conf_getenv(a->env, "AWS_SESSION_TOKEN"), ret, err);
}

static int aws_creds_from_section(const char *path, const struct ini *ini, const char *section,
                                  struct creds **ret, struct err *err)
{
    return aws_creds_make(path, ini_get(ini, section, "", "aws_access_key_id"),
                          ini_get(ini, section, "", "aws_secret_access_key"),
                          ini_get(ini, section, "", "aws_session_token"), ret, err);
}

/* Other identities that a profile can ask for. Its plain keys would be the wrong ones then, so that
 * such a profile is refused rather than misread. */
static int aws_creds_refuse(const struct aws_creds *a, const struct ini *config,
                            const char *section, struct err *err)
{
    static const char *const setting[] = {"role_arn", "sso_session", "sso_start_url",
                                          "credential_process"};
    for (size_t i = 0; i < ARRAY_SIZE(setting); i++) {
        if (!ini_get(config, section, "", setting[i]))
            continue;
        int r = err_set(err, -EACCES, "profile '%s' has a %s, which bmfs does not follow",
                        a->profile, setting[i]);
        err_hint(err,
                 "eval \"$(aws configure export-credentials --profile %s --format env)\" "
                 "puts its keys into the environment",
                 a->profile);
        return r;
    }
    return 0;
}

static int aws_creds_from_files(const struct aws_creds *a, struct creds **ret, struct err *err)
{
    CLEANUP(ini_fini) struct ini config = {0};
    CLEANUP(ini_fini) struct ini credentials = {0};
    int r = ini_load(a->config_path, &config, err);
    if (r < 0)
        return r;
    const char *section = aws_conf_profile(&config, a->profile);
    bool role = section && ini_get(&config, section, "", "role_arn");
    if (role)
        return aws_creds_refuse(a, &config, section, err);
    r = ini_load(a->credentials_path, &credentials, err);
    if (r == 0)
        r = aws_creds_from_section(a->credentials_path, &credentials, a->profile, ret, err);
    if (r == 0 && !*ret && section)
        r = aws_creds_from_section(a->config_path, &config, section, ret, err);
    if (r == 0 && !*ret && section)
        r = aws_creds_refuse(a, &config, section, err);
    return r;
}

static int aws_creds_fetch(struct creds_provider *provider, struct creds **ret, struct err *err)
{
    const struct aws_creds *a = (const struct aws_creds *)provider;
    struct creds *found = NULL;
    int r = a->env ? aws_creds_from_env(a, &found, err) : 0;
    if (r == 0 && !found)
        r = aws_creds_from_files(a, &found, err);
    if (r < 0)
        return r;
    if (found) {
        *ret = found;
        return 0;
    }
    r = err_set(err, -EACCES, "no credentials found");
    err_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with "
                  "--profile, or use --no-sign-request for a public bucket");
    return r;
}

static void aws_creds_free(struct creds_provider *provider)
{
    struct aws_creds *a = (struct aws_creds *)provider;
    free(a->profile);
    free(a->config_path);
    free(a->credentials_path);
    free(a);
}

static const struct creds_provider_ops aws_creds_ops = {
    .name = "environment and files",
    .fetch = aws_creds_fetch,
    .free = aws_creds_free,
};

int aws_creds_new(const struct aws_conf *conf, char *const *env, struct creds_provider **ret)
{
    struct aws_creds *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->base.ops = &aws_creds_ops;
    a->env = conf->profile_asked ? NULL : env;
    a->profile = strdup(conf->profile);
    a->config_path = strdup(conf->config_path);
    a->credentials_path = strdup(conf->credentials_path);
    if (!a->profile || !a->config_path || !a->credentials_path) {
        aws_creds_free(&a->base);
        return -ENOMEM;
    }
    *ret = &a->base;
    return 0;
}

static int aws_creds_none_fetch(struct creds_provider *provider, struct creds **ret,
                                struct err *err)
{
    (void)provider;
    int r = creds_new(NULL, NULL, NULL, 0, ret);
    return r < 0 ? err_errno(err, r, "credentials") : 0;
}

static void aws_creds_none_free(struct creds_provider *provider)
{
    free(provider);
}

int aws_creds_new_none(struct creds_provider **ret)
{
    static const struct creds_provider_ops ops = {
        .name = "none",
        .fetch = aws_creds_none_fetch,
        .free = aws_creds_none_free,
    };
    struct creds_provider *provider = calloc(1, sizeof(*provider));
    if (!provider)
        return -ENOMEM;
    provider->ops = &ops;
    *ret = provider;
    return 0;
}
