#include "s3/aws_conf.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AWS_CONF_REGION "us-east-1"

const char *aws_conf_getenv(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; env && *env; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return (*env)[len + 1] ? *env + len + 1 : NULL;
    }
    return NULL;
}

/* The first that says something. */
static const char *aws_conf_first(const char *a, const char *b, const char *c, const char *d)
{
    const char *from[] = {a, b, c, d};
    for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
        if (from[i] && *from[i])
            return from[i];
    }
    return NULL;
}

/* NULL stays NULL. */
static int aws_conf_copy(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? -ENOMEM : 0;
}

/* The user's home directory, also where a service manager starts us without HOME. */
static int aws_conf_home(char *const *env, char **ret)
{
    const char *home = aws_conf_getenv(env, "HOME");
    struct passwd pw;
    struct passwd *found = NULL;
    char text[4096];
    if (!home && getpwuid_r(getuid(), &pw, text, sizeof(text), &found) == 0 && found)
        home = found->pw_dir;
    return aws_conf_copy(home ? home : "/", ret);
}

/* The path that a variable names, a leading "~/" being the home directory, or `fallback` there. */
static int aws_conf_path(char *const *env, const char *name, const char *fallback, char **ret)
{
    CLEANUP(freep) char *home = NULL;
    const char *path = aws_conf_getenv(env, name);
    if (path && strncmp(path, "~/", 2) != 0)
        return aws_conf_copy(path, ret);
    int r = aws_conf_home(env, &home);
    if (r == 0 && asprintf(ret, "%s/%s", home, path ? path + 2 : fallback) < 0) {
        *ret = NULL;
        r = -ENOMEM;
    }
    return r;
}

/* True for "KIND NAME" and "KIND "NAME"". */
static bool aws_conf_is_section(const char *section, const char *kind, const char *name)
{
    size_t kind_len = strlen(kind);
    size_t name_len = strlen(name);
    if (strncmp(section, kind, kind_len) != 0)
        return false;
    const char *p = section + kind_len;
    size_t blanks = strspn(p, " \t");
    p += blanks;
    if (blanks == 0)
        return false;
    if (*p == '"' || *p == '\'')
        return strncmp(p + 1, name, name_len) == 0 && p[name_len + 1] == *p && !p[name_len + 2];
    return strcmp(p, name) == 0;
}

static const char *aws_conf_section(const struct ini *ini, const char *kind, const char *name)
{
    for (size_t i = 0; i < ini->items; i++) {
        const char *section = ini->item[i].section;
        if (aws_conf_is_section(section, kind, name))
            return section;
    }
    return NULL;
}

const char *aws_conf_profile(const struct ini *config, const char *profile)
{
    const char *section = aws_conf_section(config, "profile", profile);
    if (!section && strcmp(profile, "default") == 0 && ini_has_section(config, "default"))
        return "default";
    return section;
}

/* Everything that settings are looked up in. */
struct aws_conf_lookup {
    const struct location_conf *asked;
    char *const *env;
    struct ini config;
    const char *section; /* of the profile in `config`; NULL when it is not there */
};

static const char *aws_conf_setting(const struct aws_conf_lookup *l, const char *parent,
                                    const char *name)
{
    return l->section ? ini_get(&l->config, l->section, parent, name) : NULL;
}

static bool aws_conf_is_true(const char *text)
{
    return text && strcasecmp(text, "true") == 0;
}

/* The endpoint of the services section that the profile names. */
static const char *aws_conf_service(const struct aws_conf_lookup *l)
{
    const char *name = aws_conf_setting(l, "", "services");
    const char *section = name ? aws_conf_section(&l->config, "services", name) : NULL;
    return section ? ini_get(&l->config, section, "s3", "endpoint_url") : NULL;
}

static const char *aws_conf_endpoint(const struct aws_conf_lookup *l)
{
    const char *ignore =
        aws_conf_first(aws_conf_getenv(l->env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
                       aws_conf_setting(l, "", "ignore_configured_endpoint_urls"), NULL, NULL);
    const char *asked = aws_conf_first(l->asked->endpoint_url, NULL, NULL, NULL);
    if (asked || aws_conf_is_true(ignore))
        return asked;
    return aws_conf_first(aws_conf_getenv(l->env, "AWS_ENDPOINT_URL_S3"),
                          aws_conf_getenv(l->env, "AWS_ENDPOINT_URL"), aws_conf_service(l),
                          aws_conf_setting(l, "", "endpoint_url"));
}

static int aws_conf_style(const struct aws_conf_lookup *l, enum uri_style *ret, struct err *err)
{
    const char *style = aws_conf_setting(l, "s3", "addressing_style");
    if (!style || !*style || strcmp(style, "auto") == 0)
        *ret = URI_STYLE_AUTO;
    else if (strcmp(style, "path") == 0)
        *ret = URI_STYLE_PATH;
    else if (strcmp(style, "virtual") == 0)
        *ret = URI_STYLE_VIRTUAL;
    else
        return err_set(err, -EINVAL, "addressing_style '%s' is not auto, path or virtual", style);
    return 0;
}

static int aws_conf_fill(const struct aws_conf_lookup *l, struct aws_conf *conf, struct err *err)
{
    const char *region = aws_conf_first(l->asked->region, aws_conf_getenv(l->env, "AWS_REGION"),
                                        aws_conf_getenv(l->env, "AWS_DEFAULT_REGION"),
                                        aws_conf_setting(l, "", "region"));
    const char *ca_bundle =
        aws_conf_first(l->asked->ca_bundle, aws_conf_getenv(l->env, "AWS_CA_BUNDLE"),
                       aws_conf_setting(l, "", "ca_bundle"), NULL);
    int r = aws_conf_copy(region ? region : AWS_CONF_REGION, &conf->region);
    if (r == 0)
        r = aws_conf_copy(ca_bundle, &conf->ca_bundle);
    if (r == 0)
        r = aws_conf_copy(aws_conf_endpoint(l), &conf->endpoint_url);
    if (r == 0)
        r = aws_conf_style(l, &conf->style, err);
    if (r == 0 && conf->ca_bundle && access(conf->ca_bundle, R_OK) < 0)
        r = err_set(err, -EINVAL, "the CA bundle %s cannot be read: %s", conf->ca_bundle,
                    errno_text(errno));
    return r;
}

/* A profile that somebody named must be in one of the two files. */
static int aws_conf_check_profile(const struct aws_conf *conf, const struct aws_conf_lookup *l,
                                  struct err *err)
{
    CLEANUP(ini_fini) struct ini credentials = {0};
    if (!conf->profile_named || l->section)
        return 0;
    int r = ini_load(conf->credentials_path, &credentials, err);
    if (r < 0 || ini_has_section(&credentials, conf->profile))
        return r;
    r = err_set(err, -EINVAL, "there is no profile '%s'", conf->profile);
    err_hint(err, "profiles are looked for in %s and %s", conf->config_path,
             conf->credentials_path);
    return r;
}

static int aws_conf_names(const struct location_conf *asked, char *const *env,
                          struct aws_conf *conf)
{
    const char *profile = aws_conf_first(asked->profile, aws_conf_getenv(env, "AWS_PROFILE"),
                                         aws_conf_getenv(env, "AWS_DEFAULT_PROFILE"), NULL);
    conf->profile_asked = asked->profile && *asked->profile;
    conf->profile_named = profile != NULL;
    int r = aws_conf_copy(profile ? profile : "default", &conf->profile);
    if (r == 0)
        r = aws_conf_path(env, "AWS_CONFIG_FILE", ".aws/config", &conf->config_path);
    if (r == 0)
        r = aws_conf_path(env, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials",
                          &conf->credentials_path);
    return r;
}

int aws_conf_load(const struct location_conf *asked, char *const *env, struct aws_conf *ret,
                  struct err *err)
{
    CLEANUP(aws_conf_fini) struct aws_conf conf = {0};
    struct aws_conf_lookup l = {.asked = asked, .env = env};
    int r = aws_conf_names(asked, env, &conf);
    if (r < 0)
        return r;
    r = ini_load(conf.config_path, &l.config, err);
    if (r == 0) {
        l.section = aws_conf_profile(&l.config, conf.profile);
        r = aws_conf_check_profile(&conf, &l, err);
    }
    if (r == 0)
        r = aws_conf_fill(&l, &conf, err);
    ini_fini(&l.config);
    if (r < 0)
        return r;
    *ret = conf;
    conf = (struct aws_conf){0};
    return 0;
}

void aws_conf_fini(struct aws_conf *conf)
{
    free(conf->profile);
    free(conf->region);
    free(conf->endpoint_url);
    free(conf->ca_bundle);
    free(conf->config_path);
    free(conf->credentials_path);
    *conf = (struct aws_conf){0};
}
