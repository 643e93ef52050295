/* bm: matrices as directories. One program under many names: `bm gemm A B C` is `bm-gemm A B C`. */

#include "base/version.h"
#include "ops/kernel.h"
#include "tools/cmd.h"
#include "tools/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct cmd *const bm_cmd[] = {
    &cmd_ls,      &cmd_info,      &cmd_create, &cmd_import, &cmd_export,  &cmd_diff,
    &cmd_reblock, &cmd_transpose, &cmd_add,    &cmd_scale,  &cmd_gemm,    &cmd_syrk,
    &cmd_chol,    &cmd_solve,     &cmd_trsm,   &cmd_logdet, &cmd_norm,    &cmd_trace,
    &cmd_map,     &cmd_free,      &cmd_rm,     &cmd_fsck,   &cmd_recover,
};

static const char bm_prefix[] = "bm-";

/* For --help and the manual page; its commands are parsed by themselves. */
static const struct opts_command bm_opts = {
    .name = "bm",
    .summary = "work on matrices that are kept as blocks",
    .synopsis = "COMMAND [OPTION]... [OPERAND]...\n"
                "help [COMMAND | exit-codes]\n"
                "--version\n",
    .text =
        "Operands are matrices: directories with a header.json and files block_I_J, on a mount of\n"
        "bmfs(1) or anywhere else. Each command is a program of its own name too: bm gemm is\n"
        "bm-gemm.\n"
        "\n"
        "Results go to standard output, everything else to standard error. A long command prints\n"
        "how far it is when it gets SIGUSR1. One that is interrupted leaves only complete blocks.",
    .operands_max = -1,
    .examples = "bm create /mnt/bm/A --shape 8000x6000 --block 2000 --rand normal\n"
                "bm gemm --transa t /mnt/bm/A /mnt/bm/A /mnt/bm/C\n"
                "bm info /mnt/bm/C\n",
    .exit_status = cmd_exit_text,
    .see_also =
        "bmfs(1), bm-ls(1), bm-info(1), bm-create(1), bm-import(1), bm-export(1), "
        "bm-diff(1), bm-reblock(1), bm-transpose(1), bm-add(1), bm-scale(1), bm-gemm(1), bm-syrk(1), "
        "bm-chol(1), bm-solve(1), bm-trsm(1), bm-logdet(1), "
        "bm-norm(1), bm-trace(1), bm-map(1), bm-free(1), bm-rm(1), bm-fsck(1), bm-recover(1)",
};

static const char *bm_word(const struct cmd *cmd)
{
    return cmd->opts->name + sizeof(bm_prefix) - 1;
}

static const struct cmd *bm_find(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(bm_cmd); i++) {
        if (strcmp(bm_word(bm_cmd[i]), word) == 0)
            return bm_cmd[i];
    }
    return NULL;
}

static int bm_unknown(const char *word)
{
    struct err err = {0};
    size_t least = SIZE_MAX;
    const char *near = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(bm_cmd); i++) {
        if (opts_is_near(word, bm_word(bm_cmd[i]), &least))
            near = bm_word(bm_cmd[i]);
    }
    (void)err_set(&err, -EINVAL, "there is no command '%s'", word);
    if (near)
        err_hint(&err, "did you mean bm %s?", near);
    else
        err_hint(&err, "bm help lists the commands");
    cmd_say_error("bm", &err);
    return CMD_USAGE;
}

static void bm_list(FILE *out)
{
    (void)fprintf(out, "usage: bm COMMAND [OPTION]... [OPERAND]...\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(bm_cmd); i++)
        (void)fprintf(out, "  %-10s %s\n", bm_word(bm_cmd[i]), bm_cmd[i]->opts->summary);
    (void)fprintf(out,
                  "\nbm help COMMAND says more, bm help exit-codes what exit statuses mean.\n");
}

static void bm_version(void)
{
    char library[256];
    pin_best(); /* what commands compute with */
    kernel_library(library, sizeof(library));
    (void)printf("bm %s\n%s\n", BMFS_VERSION, library);
}

static int bm_help(const char *word)
{
    const struct cmd *cmd = word ? bm_find(word) : NULL;
    if (!word)
        bm_list(stdout);
    else if (strcmp(word, "exit-codes") == 0)
        (void)fputs(cmd_exit_text, stdout);
    else if (cmd)
        opts_help(cmd->opts, stdout);
    else
        return bm_unknown(word);
    return CMD_OK;
}

/* bm itself: argv[1] says what to do. */
static int bm_main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        bm_list(stderr);
        return CMD_USAGE;
    }
    const struct cmd *cmd = bm_find(word);
    if (cmd)
        return cmd_main(cmd, argc - 1, argv + 1);
    if (strcmp(word, "--version") == 0)
        bm_version();
    else if (strcmp(word, "--man") == 0)
        opts_man(&bm_opts, stdout);
    else if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return bm_help(argc > 2 ? argv[2] : NULL);
    else
        return bm_unknown(word);
    return CMD_OK;
}

/* Whoever closed one of the standard streams must not get a block's file under its number: what is
 * printed would go there. */
static void bm_keep_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) /* the lowest number that is free: this one */
            (void)open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    }
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "bm";
    bool named = strncmp(name, bm_prefix, sizeof(bm_prefix) - 1) == 0;
    const struct cmd *cmd = named ? bm_find(name + sizeof(bm_prefix) - 1) : NULL;
    (void)signal(SIGUSR1, SIG_IGN); /* until a command has something to say */
    bm_keep_standard();
    kernel_init();
    pin_init(argc, argv);
    return cmd ? cmd_main(cmd, argc, argv) : cmd_flush("bm", bm_main(argc, argv));
}
