#include "tools/cmd.h"
#include "tools/text.h"

#include "ops/export.h"
#include "ops/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cmd_export_conf {
    struct cmd_common common;
    const char *format, *fill;
    uint64_t memory;
    bool force;
};

#define CMD_EXPORT(field) offsetof(struct cmd_export_conf, field)

static const struct cmd_export_conf cmd_export_defaults = {.memory = (uint64_t)1 << 30};

static const struct opts_item cmd_export_item[] = {
    {"format", 0, OPTS_STRING, CMD_EXPORT(format), "F",
     "npy or raw (default: raw for names that end in .raw or .bin)"},
    {"fill", 0, OPTS_STRING, CMD_EXPORT(fill), "V", "put V where a block is missing"},
    {"memory", 0, OPTS_SIZE, CMD_EXPORT(memory), "N",
     "bytes for the rows that are put together at a time (default: 1GiB)"},
    {"force", 'f', OPTS_FLAG, CMD_EXPORT(force), NULL, "replace the file that is there"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_export_opts = {
    .name = "bm-export",
    .summary = "write a matrix as one file",
    .synopsis = "[OPTION]... A FILE\n"
                "[OPTION]... A -\n",
    .text =
        "Writes the whole matrix A, last index fastest (C order), little-endian: as numpy.save\n"
        "does, or with --format raw nothing but the elements. - is standard output.\n"
        "\n"
        "FILE appears when it is complete. A missing block is an error, unless --fill or a\n"
        "fill_value in the header stands for it.",
    .item = cmd_export_item,
    .items = ARRAY_SIZE(cmd_export_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bm-export /mnt/bm/A a.npy\n"
                "bm-export --format raw /mnt/bm/A - | xz > a.raw.xz\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-import(1)",
};

/* Where the file goes. */
struct cmd_export_file {
    char *path;       /* owned */
    const char *name; /* its last part */
    int dir;
};

static void cmd_export_file_fini(struct cmd_export_file *f)
{
    free(f->path);
    closep(&f->dir);
}

/* Opens the directory that a path leads to. */
static int cmd_export_open_dir(struct cmd_export_file *f)
{
    const char *slash = strrchr(f->path, '/');
    size_t len = slash ? (size_t)(slash - f->path) + 1 : 0;
    CLEANUP(freep) char *dir = strndup(f->path, len);
    if (!dir)
        return -ENOMEM;
    f->name = f->path + len;
    f->dir = open(len > 0 ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir < 0)
        return errno == ENOENT ? -EINVAL : -errno;
    return 0;
}

/* A link leads to the file that is meant; what is there and no file is not replaced by one. */
static int cmd_export_find(const char *path, bool force, struct cmd_export_file *f, struct err *err)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && !S_ISREG(st.st_mode)) {
        (void)err_set(err, -EINVAL, "%s: it is there and no regular file", path);
        err_hint(err, "write to standard output with -");
        return -EINVAL;
    }
    if (there && !force) {
        (void)err_set(err, -EEXIST, "%s: it exists already", path);
        err_hint(err, "--force replaces it");
        return -EEXIST;
    }
    f->path = there ? realpath(path, NULL) : strdup(path);
    int r = f->path ? cmd_export_open_dir(f) : -ENOMEM;
    if (r == -EINVAL)
        return err_set(err, r, "%s: the directory around it does not exist", path);
    return r < 0 ? err_errno(err, r, "%s", path) : 0;
}

static int cmd_export_to_file(const struct matdir *m, const char *path, enum export_format format,
                              const struct cmd_export_conf *conf, struct err *err)
{
    CLEANUP(cmd_export_file_fini) struct cmd_export_file f = {.dir = -1};
    CLEANUP(publish_drop) struct publish p = PUBLISH_NONE;
    int r = cmd_export_find(path, conf->force, &f, err);
    if (r < 0)
        return r;
    r = publish_begin(f.dir, &p, err);
    if (r < 0)
        return err_prefix(err, r, "%s", path);
    r = export_run(m, p.fd, format, conf->memory, err);
    if (r < 0)
        return r;
    r = conf->force ? publish_replace(&p, f.name, err) : publish_link(&p, f.name, err);
    return r < 0 ? err_prefix(err, r, "%s", path) : 0;
}

static int cmd_export_format(const struct cmd_export_conf *conf, const char *path,
                             enum export_format *ret, struct err *err)
{
    const char *dot = strrchr(path, '.');
    bool raw = dot && (strcmp(dot, ".raw") == 0 || strcmp(dot, ".bin") == 0);
    const char *format = conf->format ? conf->format : raw ? "raw" : "npy";
    *ret = strcmp(format, "raw") == 0 ? EXPORT_RAW : EXPORT_NPY;
    if (*ret == EXPORT_NPY && strcmp(format, "npy") != 0)
        return err_set(err, -EINVAL, "--format: '%s' is neither npy nor raw", format);
    return 0;
}

static int cmd_export_open(const struct cmd_export_conf *conf, const char *path, struct matdir *m,
                           struct err *err)
{
    struct number fill;
    int r = matdir_open(path, m, err);
    if (r < 0 || !conf->fill)
        return r;
    r = element_parse(conf->fill, &fill, err);
    if (r == 0)
        r = matdir_set_fill(m, fill, err);
    return r < 0 ? err_prefix(err, r, "--fill") : 0;
}

static int cmd_export_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_export_conf *conf = call->conf;
    const char *to = call->operand[1];
    bool standard = strcmp(to, "-") == 0;
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    enum export_format format = EXPORT_NPY;
    char bytes[TEXT_BYTES_SIZE];
    report_input(&call->report, call->operand[0]);
    if (standard && conf->common.json)
        return err_set(err, -EINVAL, "--json and the matrix cannot both go to standard output");
    int r = cmd_export_format(conf, to, &format, err);
    if (r == 0)
        r = cmd_export_open(conf, call->operand[0], &m, err);
    if (r == 0)
        r = cmd_progress(call, "export", "rows", err);
    if (r < 0)
        return r;
    m.watch = &call->watch;
    report_text(&call->report, "output", to);
    report_header(&call->report, &m.header);
    r = standard ? export_run(&m, STDOUT_FILENO, format, conf->memory, err)
                 : cmd_export_to_file(&m, to, format, conf, err);
    progress_stop(&call->progress, r == 0);
    report_int(&call->report, "bytes_read", (int64_t)call->watch.bytes_read);
    report_int(&call->report, "bytes_written", (int64_t)call->watch.bytes_written);
    if (r == 0 && !standard)
        cmd_say(call, "%s: %s", to, text_bytes((double)call->watch.bytes_written, bytes));
    return r;
}

const struct cmd cmd_export = {
    .opts = &cmd_export_opts,
    .conf_size = sizeof(struct cmd_export_conf),
    .conf = &cmd_export_defaults,
    .run = cmd_export_main,
};
