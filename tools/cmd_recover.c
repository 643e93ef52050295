#include "tools/cmd.h"
#include "tools/text.h"

#include "fs/cache.h"
#include "fs/recover.h"
#include "fs/salvage.h"
#include "s3/location.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* bm-recover: the recovery folder of a cache. */

enum { CMD_RECOVER_COPY = 1 << 20 };

struct cmd_recover_conf {
    struct cmd_common common;
    const char *cache_dir;
    bool force;
    struct location_conf store;
};

#define CMD_RECOVER(field) offsetof(struct cmd_recover_conf, field)

static const struct opts_item cmd_recover_item[] = {
    {"cache-dir", 0, OPTS_STRING, CMD_RECOVER(cache_dir), "DIR",
     "the cache folder of the mount (default: as bmfs chooses it)"},
    {"force", 'f', OPTS_FLAG, CMD_RECOVER(force), NULL,
     "retry: overwrite whatever is there; export: overwrite FILE"},
    {"profile", 0, OPTS_STRING, CMD_RECOVER(store.profile), "NAME",
     "use this profile of the AWS configuration"},
    {"region", 0, OPTS_STRING, CMD_RECOVER(store.region), "NAME", "the bucket's region"},
    {"endpoint-url", 0, OPTS_STRING, CMD_RECOVER(store.endpoint_url), "URL",
     "ask this server instead of AWS"},
    {"ca-bundle", 0, OPTS_STRING, CMD_RECOVER(store.ca_bundle), "FILE",
     "trust these certificate authorities"},
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_recover_opts = {
    .name = "bm-recover",
    .summary = "bring back what a mount could not store",
    .synopsis = "[OPTION]... list\n"
                "[OPTION]... retry ID...\n"
                "[OPTION]... export ID FILE\n"
                "[OPTION]... drop ID...\n",
    .text =
        "What was written through a mount and could not be stored is kept in the recovery folder,\n"
        "DIR/lost of the cache folder: after a conflict with another writer, an error of the store,\n"
        "an unmount that waited too long, or the death of bmfs.\n"
        "\n"
        "list shows what is there: ID, time, bytes, whether it is whole, key and reason. Files of\n"
        "mounts that died are moved there first.\n"
        "\n"
        "retry stores each ID under its key, if the store still has what it was written over; with\n"
        "--force whatever it has. What is stored is removed from the folder. Incomplete files are\n"
        "never stored.\n"
        "\n"
        "export writes the bytes of ID to FILE, which must not exist; drop removes ID for good.\n"
        "\n"
        "The folder takes some thousands of files and then no more. Nothing is thrown away when it\n"
        "is full: what a mount cannot bring there stays in its own folder and is moved later.",
    .item = cmd_recover_item,
    .items = ARRAY_SIZE(cmd_recover_item),
    .operands_min = 1,
    .operands_max = -1,
    .examples = "bm-recover list\n"
                "bm-recover retry 1760000000-0123456789ab\n"
                "bm-recover export 1760000000-0123456789ab block.npy\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bmfs(1)",
};

/* --- list --- */

struct cmd_recover_list {
    struct cJSON *list; /* owned; with --json */
    bool failed;
};

static const char *cmd_recover_time(int64_t time_s, char *dst, size_t size)
{
    struct tm tm;
    time_t t = (time_t)time_s;
    if (!gmtime_r(&t, &tm) || strftime(dst, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)snprintf(dst, size, "?");
    return dst;
}

static void cmd_recover_report(struct cmd_recover_list *l, const struct lost_entry *e,
                               const char *when)
{
    struct report item = {.root = cJSON_CreateObject()};
    report_text(&item, "id", e->name);
    report_text(&item, "time", when);
    report_int(&item, "bytes", (int64_t)e->size);
    report_bool(&item, "complete", !e->incomplete);
    report_text(&item, "store", e->store_id);
    report_text(&item, "key", e->key);
    report_text(&item, "if_match", e->if_match);
    report_text(&item, "reason", e->reason);
    if (!item.root || !cJSON_AddItemToArray(l->list, item.root)) {
        cJSON_Delete(item.root);
        l->failed = true;
    }
}

static int cmd_recover_show(void *arg, const struct lost_entry *e)
{
    struct cmd_recover_list *l = arg;
    char when[32];
    char key[TEXT_NAME_SIZE];
    char reason[TEXT_NAME_SIZE];
    (void)cmd_recover_time(e->time_s, when, sizeof(when));
    if (l->list)
        cmd_recover_report(l, e, when);
    else
        (void)printf("%s  %s  %12llu  %-10s  %s/%s: %s\n", e->name, when,
                     (unsigned long long)e->size, e->incomplete ? "incomplete" : "complete",
                     e->store_id, text_name(e->key, key), text_name(e->reason, reason));
    return l->failed ? -ENOMEM : 0;
}

static int cmd_recover_list(struct cmd_call *call, int cache_fd, struct err *err)
{
    const struct cmd_common *common = call->conf;
    struct cmd_recover_list l = {.list = common->json ? cJSON_CreateArray() : NULL};
    int r = lost_each(cache_fd, cmd_recover_show, &l);
    if (common->json)
        report_item(&call->report, "files", l.list);
    return r < 0 ? err_errno(err, r, "cannot list the recovery folder") : 0;
}

/* --- retry, drop --- */

/* Why an ID leads to nothing. */
static int cmd_recover_no_id(const char *id, int code, struct err *err)
{
    (void)err_errno(err, code, "%s", id);
    if (code == -ENOENT || code == -EINVAL) {
        (void)err_set(err, code, "%s: no such ID", id);
        err_hint(err, "list shows them");
    }
    return code;
}

/* The store that an entry was written to: the last part of its id is the bucket. */
static int cmd_recover_store(const struct cmd_recover_conf *conf, const char *id,
                             struct store **ret, struct err *err)
{
    bool is_dir = strncmp(id, "file://", 7) == 0;
    const char *slash = strrchr(id, '/');
    CLEANUP(location_fini)
    struct location loc = {.is_dir = is_dir,
                           .bucket = strdup(is_dir  ? id + 7
                                            : slash ? slash + 1
                                                    : id),
                           .prefix = strdup("")};
    if (!loc.bucket || !loc.prefix)
        return -ENOMEM;
    return location_open(&loc, &conf->store, ret, err);
}

static int cmd_recover_retry_one(struct cmd_call *call, int cache_fd, const char *id,
                                 struct err *err)
{
    const struct cmd_recover_conf *conf = call->conf;
    CLEANUP(store_freep) struct store *st = NULL;
    CLEANUP(lost_entry_fini) struct lost_entry e = {0};
    CLEANUP(closep) int fd = lost_open(cache_fd, id, &e);
    if (fd < 0)
        return cmd_recover_no_id(id, fd, err);
    int r = cmd_recover_store(conf, e.store_id, &st, err);
    if (r == 0)
        r = recover_retry(st, cache_fd, id, conf->force, err);
    if (r == 0)
        cmd_say(call, "%s: stored as %s/%s", id, e.store_id, e.key);
    return r == -ESTALE ? -EEXIST : r;
}

static int cmd_recover_drop_one(struct cmd_call *call, int cache_fd, const char *id,
                                struct err *err)
{
    int r = lost_drop(cache_fd, id);
    if (r < 0)
        return cmd_recover_no_id(id, r, err);
    cmd_say(call, "%s: dropped", id);
    return 0;
}

typedef int cmd_recover_fn(struct cmd_call *call, int cache_fd, const char *id, struct err *err);

/* Each ID; one that fails does not keep the others. The last error is told by the caller. */
static int cmd_recover_each(struct cmd_call *call, int cache_fd, cmd_recover_fn *fn,
                            struct err *err)
{
    int r = 0;
    int64_t done = 0;
    if (call->operands < 2)
        return err_set(err, -EINVAL, "%s: which ID? list shows them", call->operand[0]);
    for (int i = 1; i < call->operands; i++) {
        struct err one = {0};
        int code = fn(call, cache_fd, call->operand[i], &one);
        done += code == 0;
        if (code == 0)
            continue;
        if (r < 0)
            cmd_say_error(call->cmd->opts->name, err);
        r = code;
        *err = one;
    }
    report_int(&call->report, "files_done", done);
    return r;
}

/* --- export --- */

static int cmd_recover_copy(int from, int to, struct err *err)
{
    CLEANUP(freep) char *step = malloc(CMD_RECOVER_COPY);
    if (!step)
        return err_set(err, -ENOMEM, "out of memory");
    for (;;) {
        ssize_t n = read(from, step, CMD_RECOVER_COPY);
        if (n == 0)
            return fsync(to) < 0 && errno != EINVAL ? -errno : 0; /* a pipe knows no fsync */
        int r = n < 0 ? -errno : write_full(to, step, (size_t)n);
        if (r < 0)
            return r;
    }
}

static int cmd_recover_export(struct cmd_call *call, int cache_fd, struct err *err)
{
    const struct cmd_recover_conf *conf = call->conf;
    CLEANUP(lost_entry_fini) struct lost_entry e = {0};
    if (call->operands != 3)
        return err_set(err, -EINVAL, "export: an ID and a FILE, please");
    const char *id = call->operand[1];
    const char *path = call->operand[2];
    CLEANUP(closep) int from = lost_open(cache_fd, id, &e);
    if (from < 0)
        return cmd_recover_no_id(id, from, err);
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (conf->force ? O_TRUNC : O_EXCL);
    CLEANUP(closep) int to = open(path, flags, 0666);
    if (to < 0)
        return err_errno(err, -errno, "%s", path);
    int r = cmd_recover_copy(from, to, err);
    if (r == 0 && close(TAKE_FD(to)) < 0)
        r = -errno;
    if (r < 0)
        return err_errno(err, r, "%s", path);
    cmd_say(call, "%s: %llu bytes in %s%s", id, (unsigned long long)e.size, path,
            e.incomplete ? ", not a whole file" : "");
    return 0;
}

/* --- the command --- */

static int cmd_recover_verb(struct cmd_call *call, int cache_fd, struct err *err)
{
    const char *verb = call->operand[0];
    if (strcmp(verb, "list") == 0 && call->operands == 1)
        return cmd_recover_list(call, cache_fd, err);
    if (strcmp(verb, "retry") == 0)
        return cmd_recover_each(call, cache_fd, cmd_recover_retry_one, err);
    if (strcmp(verb, "drop") == 0)
        return cmd_recover_each(call, cache_fd, cmd_recover_drop_one, err);
    if (strcmp(verb, "export") == 0)
        return cmd_recover_export(call, cache_fd, err);
    (void)err_set(err, -EINVAL, "'%s': list, retry ID..., export ID FILE, or drop ID...", verb);
    return -EINVAL;
}

static int cmd_recover_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_recover_conf *conf = call->conf;
    struct salvage salvage = {0};
    CLEANUP(freep) char *dir = conf->cache_dir ? strdup(conf->cache_dir) : cache_default_dir();
    if (!dir)
        return err_set(err, -ENOMEM, "out of memory");
    CLEANUP(closep) int fd = -1;
    int r = cache_open_folder(dir, &fd, err);
    if (r == -ENOENT && !conf->cache_dir)
        return cmd_recover_verb(call, -1, err); /* no mount has ever been here */
    if (r < 0)
        return r;
    r = salvage_all(fd, &salvage);
    if (r < 0)
        return err_errno(err, r, "cache folder %s", dir);
    if (salvage.left > 0)
        cmd_say(call, "%d files of a mount that died stay in %s/mounts: %s", salvage.left, dir,
                salvage.err.msg);
    return cmd_recover_verb(call, fd, err);
}

const struct cmd cmd_recover = {
    .opts = &cmd_recover_opts,
    .conf_size = sizeof(struct cmd_recover_conf),
    .run = cmd_recover_main,
};
