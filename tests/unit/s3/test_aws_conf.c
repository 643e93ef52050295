#include "tests/unit/unit.h"

#include "s3/aws_creds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A home directory for the files of AWS tools, made once for all tests. */
static char conf_home[] = "/tmp/bmfs-aws-XXXXXX";

static void conf_write(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", conf_home, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int conf_set_up(void **state)
{
    (void)state;
    char path[128];
    assert_non_null(mkdtemp(conf_home));
    (void)snprintf(path, sizeof(path), "%s/.aws", conf_home);
    assert_int_equal(mkdir(path, 0700), 0);
    conf_write(".aws/config", "[default]\n"
                              "region = default-region\n"
                              "aws_access_key_id = config-default\n"
                              "aws_secret_access_key = s\n"
                              "[profile lab]\n"
                              "region = lab-region\n"
                              "endpoint_url = http://profile:1\n"
                              "services = labsvc\n"
                              "ca_bundle = /dev/null\n"
                              "s3 =\n"
                              "  addressing_style = virtual\n"
                              "[services labsvc]\n"
                              "ec2 =\n"
                              "  endpoint_url = http://ec2:1\n"
                              "s3 =\n"
                              "  endpoint_url = http://services:1\n"
                              "[profile \"two words\"]\n"
                              "region = words-region\n"
                              "ignore_configured_endpoint_urls = TRUE\n"
                              "endpoint_url = http://profile:1\n"
                              "[profile plain]\n"
                              "endpoint_url = http://profile:2\n"
                              "aws_access_key_id = config-plain\n"
                              "aws_secret_access_key = s\n"
                              "aws_session_token = token-plain\n"
                              "[profile badstyle]\n"
                              "s3 =\n"
                              "  addressing_style = diagonal\n"
                              "[profile role]\n"
                              "role_arn = arn:aws:iam::1:role/x\n"
                              "source_profile = plain\n"
                              "aws_access_key_id = config-role\n"
                              "aws_secret_access_key = s\n"
                              "[profile process]\n"
                              "credential_process = /bin/keys\n"
                              "[profile half]\n"
                              "aws_access_key_id = config-half\n");
    conf_write(".aws/credentials", "[default]\n"
                                   "aws_access_key_id = file-default\n"
                                   "aws_secret_access_key = s\n"
                                   "[lab]\n"
                                   "aws_access_key_id = file-lab\n"
                                   "aws_secret_access_key = s\n"
                                   "aws_session_token = token-lab\n"
                                   "[only]\n"
                                   "aws_access_key_id = file-only\n"
                                   "aws_secret_access_key = s\n");
    conf_write("other", "[default]\nregion = other-region\n[profile x]\nregion = x-region\n");
    return 0;
}

static int conf_tear_down(void **state)
{
    (void)state;
    static const char *const name[] = {".aws/config", ".aws/credentials", ".aws", "other", ""};
    for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", conf_home, name[i]);
        (void)remove(path);
    }
    return 0;
}

enum { ENV_MAX = 8 };

/* Builds an environment from "NAME=VALUE" texts, with HOME before them. */
static void conf_env(const char *const *var, char home[static 64], char **ret)
{
    size_t n = 0;
    (void)snprintf(home, 64, "HOME=%s", conf_home);
    ret[n++] = home;
    for (; *var; var++)
        ret[n++] = strdup(*var);
    ret[n] = NULL;
}

static void conf_env_free(char **env)
{
    for (env++; *env; env++)
        free(*env);
}

static const struct {
    const char *name;
    const char *env[ENV_MAX - 2];
    struct location_conf asked;
    const char *region, *endpoint_url; /* "": AWS's own */
    enum uri_style style;
} conf_case[] = {
    {"nothing is said", {NULL}, {0}, "default-region", "", URI_STYLE_AUTO},
    {"no files", {"AWS_CONFIG_FILE=/dev/null", NULL}, {0}, "us-east-1", "", URI_STYLE_AUTO},
    {"the profile's services section before its endpoint",
     {"AWS_PROFILE=lab", NULL},
     {0},
     "lab-region",
     "http://services:1",
     URI_STYLE_VIRTUAL},
    {"the older name of AWS_PROFILE",
     {"AWS_DEFAULT_PROFILE=lab", NULL},
     {0},
     "lab-region",
     "http://services:1",
     URI_STYLE_VIRTUAL},
    {"AWS_PROFILE before the older name",
     {"AWS_DEFAULT_PROFILE=lab", "AWS_PROFILE=plain", NULL},
     {0},
     "us-east-1",
     "http://profile:2",
     URI_STYLE_AUTO},
    {"the option before AWS_PROFILE",
     {"AWS_PROFILE=lab", NULL},
     {.profile = "plain"},
     "us-east-1",
     "http://profile:2",
     URI_STYLE_AUTO},
    {"AWS_DEFAULT_REGION before the profile",
     {"AWS_DEFAULT_REGION=env-default", NULL},
     {0},
     "env-default",
     "",
     URI_STYLE_AUTO},
    {"AWS_REGION before AWS_DEFAULT_REGION",
     {"AWS_DEFAULT_REGION=env-default", "AWS_REGION=env", NULL},
     {0},
     "env",
     "",
     URI_STYLE_AUTO},
    {"the option before AWS_REGION",
     {"AWS_REGION=env", NULL},
     {.region = "asked"},
     "asked",
     "",
     URI_STYLE_AUTO},
    {"AWS_ENDPOINT_URL before the files",
     {"AWS_PROFILE=lab", "AWS_ENDPOINT_URL=http://env:1", NULL},
     {0},
     "lab-region",
     "http://env:1",
     URI_STYLE_VIRTUAL},
    {"AWS_ENDPOINT_URL_S3 before AWS_ENDPOINT_URL",
     {"AWS_ENDPOINT_URL=http://env:1", "AWS_ENDPOINT_URL_S3=http://env-s3:1", NULL},
     {0},
     "default-region",
     "http://env-s3:1",
     URI_STYLE_AUTO},
    {"the option before AWS_ENDPOINT_URL_S3",
     {"AWS_ENDPOINT_URL_S3=http://env-s3:1", NULL},
     {.endpoint_url = "http://asked:1"},
     "default-region",
     "http://asked:1",
     URI_STYLE_AUTO},
    {"configured endpoints are ignored by the environment",
     {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", "AWS_ENDPOINT_URL=http://env:1", NULL},
     {.profile = "plain"},
     "us-east-1",
     "",
     URI_STYLE_AUTO},
    {"but not what the option says",
     {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", NULL},
     {.endpoint_url = "http://asked:1"},
     "default-region",
     "http://asked:1",
     URI_STYLE_AUTO},
    {"configured endpoints are ignored by the profile",
     {NULL},
     {.profile = "two words"},
     "words-region",
     "",
     URI_STYLE_AUTO},
    {"the environment's false before the profile's true",
     {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false", NULL},
     {.profile = "two words"},
     "words-region",
     "http://profile:1",
     URI_STYLE_AUTO},
    {"empty variables are none",
     {"AWS_PROFILE=", "AWS_REGION=", "AWS_ENDPOINT_URL=", NULL},
     {.region = ""},
     "default-region",
     "",
     URI_STYLE_AUTO},
    {"another config file, in the home directory",
     {"AWS_CONFIG_FILE=~/other", "AWS_PROFILE=x", NULL},
     {0},
     "x-region",
     "",
     URI_STYLE_AUTO},
    {"a profile that is in the credentials file alone",
     {"AWS_PROFILE=only", NULL},
     {0},
     "us-east-1",
     "",
     URI_STYLE_AUTO},
};

static void aws_conf_ranks_what_it_finds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(conf_case); i++) {
        char *env[ENV_MAX];
        char home[64];
        struct err err = {0};
        CLEANUP(aws_conf_fini) struct aws_conf conf = {0};
        conf_env(conf_case[i].env, home, env);
        if (aws_conf_load(&conf_case[i].asked, env, &conf, &err) < 0)
            fail_msg("%s: %s", conf_case[i].name, err.msg);
        const char *url = conf.endpoint_url ? conf.endpoint_url : "";
        if (strcmp(conf.region, conf_case[i].region) != 0 ||
            strcmp(url, conf_case[i].endpoint_url) != 0 || conf.style != conf_case[i].style)
            fail_msg("%s: region %s endpoint %s style %d", conf_case[i].name, conf.region, url,
                     (int)conf.style);
        conf_env_free(env);
    }
}

static void aws_conf_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const struct {
        struct location_conf asked;
        const char *msg;
    } bad[] = {
        {{.profile = "nobody"}, "there is no profile 'nobody'"},
        {{.profile = "badstyle"}, "addressing_style 'diagonal' is not auto, path or virtual"},
        {{.ca_bundle = "/nowhere.pem"},
         "the CA bundle /nowhere.pem cannot be read: No such file or directory"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char *env[ENV_MAX];
        char home[64];
        struct err err = {0};
        struct aws_conf conf = {0};
        conf_env((const char *const[]){NULL}, home, env);
        assert_int_equal(aws_conf_load(&bad[i].asked, env, &conf, &err), -EINVAL);
        assert_string_equal(err.msg, bad[i].msg);
        conf_env_free(env);
    }
}

static const struct {
    const char *name;
    const char *env[ENV_MAX - 2];
    const char *profile;
    const char *access_key, *token; /* access_key NULL: -EACCES with `token` as the message */
} keys_case[] = {
    {"the credentials file before the config file", {NULL}, NULL, "file-default", NULL},
    {"with a session token", {"AWS_PROFILE=lab", NULL}, NULL, "file-lab", "token-lab"},
    {"the config file where the credentials file has none",
     {"AWS_PROFILE=plain", NULL},
     NULL,
     "config-plain",
     "token-plain"},
    {"the environment before AWS_PROFILE",
     {"AWS_PROFILE=lab", "AWS_ACCESS_KEY_ID=env", "AWS_SECRET_ACCESS_KEY=s", NULL},
     NULL,
     "env",
     NULL},
    {"the environment's session token",
     {"AWS_ACCESS_KEY_ID=env", "AWS_SECRET_ACCESS_KEY=s", "AWS_SESSION_TOKEN=t", NULL},
     NULL,
     "env",
     "t"},
    {"--profile before the environment",
     {"AWS_ACCESS_KEY_ID=env", "AWS_SECRET_ACCESS_KEY=s", NULL},
     "lab",
     "file-lab",
     "token-lab"},
    {"half a pair in the environment",
     {"AWS_ACCESS_KEY_ID=env", NULL},
     NULL,
     NULL,
     "the environment has one of the two keys, but not the secret key"},
    {"a role", {NULL}, "role", NULL, "profile 'role' has a role_arn, which bmfs does not follow"},
    {"a process",
     {NULL},
     "process",
     NULL,
     "profile 'process' has a credential_process, which bmfs does not follow"},
    {"nothing at all",
     {"AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_CONFIG_FILE=/dev/null", NULL},
     NULL,
     NULL,
     "no credentials found"},
    {"keys that no header can hold",
     {"AWS_ACCESS_KEY_ID=a b", "AWS_SECRET_ACCESS_KEY=hunter2", NULL},
     NULL,
     NULL,
     "the environment holds keys that cannot be used: Invalid argument"},
};

/* Fetches keys as a store would. */
static int keys_fetch(const struct aws_conf *conf, char *const *env, struct creds **ret,
                      struct err *err)
{
    struct creds_provider *provider = NULL;
    assert_int_equal(aws_creds_new(conf, env, &provider), 0);
    int r = provider->ops->fetch(provider, ret, err);
    provider->ops->free(provider);
    return r;
}

static void aws_creds_ranks_what_it_finds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(keys_case); i++) {
        char *env[ENV_MAX];
        char home[64];
        struct err err = {0};
        CLEANUP(aws_conf_fini) struct aws_conf conf = {0};
        CLEANUP(creds_unrefp) struct creds *creds = NULL;
        conf_env(keys_case[i].env, home, env);
        const struct location_conf asked = {.profile = keys_case[i].profile};
        assert_int_equal(aws_conf_load(&asked, env, &conf, &err), 0);
        int r = keys_fetch(&conf, env, &creds, &err);
        if (r < 0 && keys_case[i].access_key)
            fail_msg("%s: %s", keys_case[i].name, err.msg);
        if (r < 0) {
            assert_string_equal(err.msg, keys_case[i].token);
        } else {
            assert_string_equal(creds->access_key,
                                keys_case[i].access_key ? keys_case[i].access_key : "(none)");
            assert_string_equal(creds->session_token ? creds->session_token : "",
                                keys_case[i].token ? keys_case[i].token : "");
        }
        conf_env_free(env);
    }
}

static void aws_creds_none_gives_no_key(void **state)
{
    (void)state;
    struct creds_provider *provider = NULL;
    struct creds *creds = NULL;
    assert_int_equal(aws_creds_new_none(&provider), 0);
    assert_int_equal(provider->ops->fetch(provider, &creds, NULL), 0);
    assert_null(creds->access_key);
    creds_unref(creds);
    provider->ops->free(provider);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aws_conf_ranks_what_it_finds),
        cmocka_unit_test(aws_conf_refuses_what_makes_no_sense),
        cmocka_unit_test(aws_creds_ranks_what_it_finds),
        cmocka_unit_test(aws_creds_none_gives_no_key),
    };
    return cmocka_run_group_tests(tests, conf_set_up, conf_tear_down);
}
