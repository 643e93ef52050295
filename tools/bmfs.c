/* bmfs: mounts a bucket of matrices. */

#include "base/buf.h"
#include "base/log.h"
#include "base/opts.h"
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BMFS_EXIT_USAGE = 2, BMFS_EXIT_MOUNT = 32 };

struct bmfs_conf {
    struct mount_conf mount;
    bool foreground;
    bool debug;
    const char *umask_text;
    const char *options; /* -o */
    char *option_words;  /* the same, cut into words that the rest points to; owned */
};

#define BMFS_FIELD(field) offsetof(struct bmfs_conf, field)

static const struct opts_item bmfs_item[] = {
    {"foreground", 'f', OPTS_FLAG, BMFS_FIELD(foreground), NULL,
     "stay in the foreground and log to standard error"},
    {"cache-dir", 0, OPTS_STRING, BMFS_FIELD(mount.cache_dir), "DIR",
     "keep blocks in DIR (default: below $SLURM_TMPDIR, $TMPDIR or /var/tmp)"},
    {"cache-size", 0, OPTS_SIZE, BMFS_FIELD(mount.cache_size), "N",
     "keep at most N bytes there (default: 20GiB or half of what is free)"},
    {"timeout", 0, OPTS_SECONDS, BMFS_FIELD(mount.store.call_time_ms), "TIME",
     "give up on a store that is silent for so long (default: 60s)"},
    {"memory", 0, OPTS_SIZE, BMFS_FIELD(mount.memory), "N",
     "use about N bytes of memory for what grows with use (default: 256MiB)"},
    {"ro", 0, OPTS_FLAG, BMFS_FIELD(mount.read_only), NULL, "mount read-only"},
    {"no-delete", 0, OPTS_FLAG, BMFS_FIELD(mount.no_delete), NULL,
     "refuse to delete or replace-by-rename anything in the store"},
    {"immutable", 0, OPTS_FLAG, BMFS_FIELD(mount.immutable), NULL,
     "never ask again for what was seen once: nobody changes the bucket"},
    {"profile", 0, OPTS_STRING, BMFS_FIELD(mount.store.profile), "NAME",
     "use this profile of the AWS configuration"},
    {"region", 0, OPTS_STRING, BMFS_FIELD(mount.store.region), "NAME", "the bucket's region"},
    {"endpoint-url", 0, OPTS_STRING, BMFS_FIELD(mount.store.endpoint_url), "URL",
     "ask this server instead of AWS"},
    {"ca-bundle", 0, OPTS_STRING, BMFS_FIELD(mount.store.ca_bundle), "FILE",
     "trust these certificate authorities"},
    {"no-sign-request", 0, OPTS_FLAG, BMFS_FIELD(mount.store.no_sign_request), NULL,
     "send no credentials: for public buckets"},
    {"allow-other", 0, OPTS_FLAG, BMFS_FIELD(mount.allow_other), NULL,
     "let other users in (users need user_allow_other in /etc/fuse.conf)"},
    {"uid", 0, OPTS_INT, BMFS_FIELD(mount.uid), "N", "owner of all files (default: who mounts)"},
    {"gid", 0, OPTS_INT, BMFS_FIELD(mount.gid), "N", "group of all files (default: who mounts)"},
    {"umask", 0, OPTS_STRING, BMFS_FIELD(umask_text), "MODE",
     "permission bits to take away, octal (default: 022)"},
    {"unmount-timeout", 0, OPTS_SECONDS, BMFS_FIELD(mount.unmount_ms), "TIME",
     "wait so long for unsaved data when the mount ends, then keep it for bm-recover(1) (default: "
     "120s)"},
    {"options", 'o', OPTS_STRING, BMFS_FIELD(options), "OPT,...",
     "mount options: each long option above with _ for -, and FUSE's own"},
    {"debug", 'd', OPTS_FLAG, BMFS_FIELD(debug), NULL, "log more; implies -f"},
};

static const struct opts_command bmfs_command = {
    .name = "bmfs",
    .summary = "mount a bucket of matrices",
    .synopsis = "[OPTION]... [s3://]BUCKET[/PREFIX/] DIR\n"
                "[OPTION]... file:///DIRECTORY DIR\n",
    .text =
        "Mounts a bucket of numpywren matrices on DIR: each matrix is a directory with a header.json\n"
        "and files block_I_J, read through a cache on the local disk.\n"
        "\n"
        "BUCKET alone means its prefix numpywren.objects/, BUCKET/PREFIX/ that prefix, BUCKET/ all of\n"
        "it; the same for file:///DIRECTORY, which keeps objects in a local directory. Credentials,\n"
        "region and endpoint are found as every AWS tool finds them.\n"
        "\n"
        "Returns when the mount answers. Unmount with: fusermount3 -u DIR",
    .item = bmfs_item,
    .items = ARRAY_SIZE(bmfs_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bmfs lab /mnt/bm\n"
                "bmfs --ro --endpoint-url http://127.0.0.1:9000 s3://lab/thesis/ /mnt/bm\n"
                "bmfs file:///data/lab /mnt/bm\n",
    .exit_status = "0   mounted, or in the foreground: unmounted\n"
                   "2   wrong usage\n"
                   "32  not mounted; the line on standard error says why\n",
    .see_also = "bm(1), bm-recover(1), fusermount3(1)",
};

static void bmfs_say(const struct err *err)
{
    (void)fprintf(stderr, "bmfs: %s\n", err->msg);
    if (err->hint[0])
        (void)fprintf(stderr, "  hint: %s\n", err->hint);
}

/* Mount options that fstab and mount(8) pass along and that mean nothing here. */
static bool bmfs_is_ignored(const char *word)
{
    static const char *const ignored[] = {"rw",       "auto",  "noauto", "user",
                                          "nouser",   "users", "nofail", "_netdev",
                                          "defaults", "exec",  "async"};
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        if (strcmp(word, ignored[i]) == 0)
            return true;
    }
    return strncmp(word, "x-", 2) == 0;
}

/* Sorts the words of -o: ours, FUSE's (kept in *fuse), nobody's. */
static int bmfs_mount_options(struct bmfs_conf *conf, char *list, struct buf *fuse, struct err *err)
{
    for (char *word = opts_mount_next(&list); word; word = opts_mount_next(&list)) {
        int r = *word ? opts_mount_word(&bmfs_command, word, conf, err) : 0;
        if (r == -ENOENT && !bmfs_is_ignored(word))
            r = buf_printf(fuse, "%s%s", fuse->len > 0 ? "," : "", word);
        else if (r == -ENOENT)
            r = 0;
        if (r < 0)
            return r;
    }
    if (fuse->len > 0)
        conf->mount.fuse_options = fuse->data;
    return 0;
}

/* What a parent waits for: a byte when the mount answers, else the child's exit status. */
static int bmfs_wait(pid_t child, int fd, const char *mountpoint)
{
    char byte = 0;
    ssize_t n = 0;
    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1) {
        struct statfs fs;
        (void)statfs(mountpoint, &fs); /* returns when the kernel has its first answer */
        return EXIT_SUCCESS;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : BMFS_EXIT_MOUNT;
}

struct bmfs_ready {
    int fd; /* to the parent, or -1 in the foreground */
};

/* The mount answers: say so, and leave the terminal. */
static void bmfs_is_ready(void *arg, const char *message)
{
    struct bmfs_ready *ready = arg;
    (void)fprintf(stderr, "bmfs: %s\n", message);
    if (ready->fd < 0)
        return;
    log_to_syslog("bmfs");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        (void)dup2(null, fd);
    closep(&null);
    (void)write_full(ready->fd, "", 1);
    closep(&ready->fd);
    ready->fd = -1;
}

static int bmfs_run(const struct bmfs_conf *conf, int ready_fd)
{
    struct bmfs_ready ready = {.fd = ready_fd};
    struct err err = {0};
    int r = mount_run(&conf->mount, bmfs_is_ready, &ready, &err);
    if (r < 0 && !err.msg[0])
        (void)err_set(&err, r, "%s", errno_text(r));
    if (r < 0)
        bmfs_say(&err);
    return r < 0 ? BMFS_EXIT_MOUNT : EXIT_SUCCESS;
}

static int bmfs_in_background(const struct bmfs_conf *conf)
{
    int fd[2];
    if (pipe2(fd, O_CLOEXEC) < 0) {
        (void)fprintf(stderr, "bmfs: %s\n", errno_text(errno));
        return BMFS_EXIT_MOUNT;
    }
    pid_t child = fork();
    if (child < 0) {
        (void)fprintf(stderr, "bmfs: %s\n", errno_text(errno));
        return BMFS_EXIT_MOUNT;
    }
    if (child > 0) {
        (void)close(fd[1]);
        return bmfs_wait(child, fd[0], conf->mount.mountpoint);
    }
    (void)close(fd[0]);
    (void)setsid();
    return bmfs_run(conf, fd[1]);
}

/* A core file or a debugger of the same user would show the keys. The sanitizers need the right
 * that this takes away. */
static void bmfs_hide_secrets(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(BMFS_SANITIZED)
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

static int bmfs_parse(int argc, char **argv, struct bmfs_conf *conf, struct buf *fuse,
                      struct err *err)
{
    int operands = 0;
    int r = opts_parse(&bmfs_command, argc, argv, conf, &operands, err);
    if (r != OPTS_RUN)
        return r;
    if (conf->options) {
        conf->option_words = strdup(conf->options);
        int k =
            conf->option_words ? bmfs_mount_options(conf, conf->option_words, fuse, err) : -ENOMEM;
        if (k < 0)
            return k;
    }
    if (conf->umask_text) {
        char *end = NULL;
        long bits = strtol(conf->umask_text, &end, 8);
        if (*end || end == conf->umask_text || bits < 0 || bits > 0777)
            return err_set(err, -EINVAL, "--umask: '%s' is not an octal mode", conf->umask_text);
        conf->mount.umask = bits;
    }
    conf->mount.location = argv[1];
    return OPTS_RUN;
}

static int bmfs_main(int argc, char **argv, struct bmfs_conf *conf, struct buf *fuse)
{
    struct err err = {0};
    int r = bmfs_parse(argc, argv, conf, fuse, &err);
    if (r == OPTS_DONE)
        return EXIT_SUCCESS;
    if (r < 0) {
        bmfs_say(&err);
        return BMFS_EXIT_USAGE;
    }
    CLEANUP(freep) char *mountpoint = realpath(argv[2], NULL);
    conf->mount.mountpoint = mountpoint ? mountpoint : argv[2]; /* a dead mount has no real path */
    conf->foreground |= conf->debug;
    if (conf->debug)
        log_set_level(LOG_LEVEL_DEBUG);
    bmfs_hide_secrets();
    /* Else each thread may keep an arena of its own. No other thread runs yet. */
    (void)mallopt(M_ARENA_MAX, 4); // NOLINT(concurrency-mt-unsafe)
    (void)signal(SIGPIPE, SIG_IGN);
    return conf->foreground ? bmfs_run(conf, -1) : bmfs_in_background(conf);
}

int main(int argc, char **argv)
{
    struct bmfs_conf conf = {.mount = {.uid = -1, .gid = -1, .umask = -1}};
    CLEANUP(buf_fini) struct buf fuse = BUF_INIT(4096);
    int status = bmfs_main(argc, argv, &conf, &fuse);
    free(conf.option_words);
    return status;
}
