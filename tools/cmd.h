#ifndef BMFS_TOOLS_CMD_H
#define BMFS_TOOLS_CMD_H

/* What the commands of bm have in common: from arguments to an exit status. */

#include "base/opts.h"
#include "ops/matdir.h"
#include "tools/progress.h"
#include "tools/report.h"

/* Exit statuses, the same for all commands. */
enum cmd_exit {
    CMD_OK = 0,
    CMD_NO = 1, /* a negative answer */
    CMD_USAGE = 2,
    CMD_NUMERICAL = 3,
    CMD_INCOMPLETE = 4,
    CMD_STORAGE = 5,
    CMD_MISSING = 6,
    CMD_REFUSED = 7,
};

/* The table of them, for help and manual pages. */
extern const char cmd_exit_text[];

/* The first member of every command's options. */
struct cmd_common {
    bool json;
    bool quiet;
    const char *progress; /* NULL: auto */
};

#define CMD_JSON                                                       \
    {                                                                  \
        "json", 0, OPTS_FLAG, offsetof(struct cmd_common, json), NULL, \
            "print the result, or the error, as one JSON object"       \
    }
#define CMD_QUIET                                                          \
    {                                                                      \
        "quiet", 'q', OPTS_FLAG, offsetof(struct cmd_common, quiet), NULL, \
            "say nothing but errors"                                       \
    }
#define CMD_PROGRESS                                                              \
    {                                                                             \
        "progress", 0, OPTS_STRING, offsetof(struct cmd_common, progress), "HOW", \
            "show progress: auto, bar, log, json or none (default: auto)"         \
    }

/* One run of a command. */
struct cmd_call {
    const struct cmd *cmd;
    char **operand;
    int operands;
    void *conf; /* starts with a struct cmd_common */
    struct watch watch;
    struct progress progress;
    struct report report;
    const char *output; /* the matrix that is being made, or NULL; set before the progress starts */
    void (*end)(void);  /* called when a signal ends the process, or NULL */
};

struct cmd {
    const struct opts_command *opts;
    size_t conf_size;
    const void *conf; /* defaults; NULL: zeros */
    /* Returns an exit status of 0 or 1, or -errno with a message; see ops/matdir.h for the codes.
     */
    int (*run)(struct cmd_call *call, struct err *err);
};

/* Parses, runs, prints errors and reports; returns the exit status. */
int cmd_main(const struct cmd *cmd, int argc, char **argv);

/* The exit status that stands for an error. */
int cmd_exit_of(int code);

/* Returns `status`, or that of an error when standard output could not be written: results that did
 * not arrive are no results. */
int cmd_flush(const char *tool, int status);

/* "bm-gemm: A: what" and the hint, on standard error. */
void cmd_say_error(const char *tool, const struct err *err);

/* "bm-gemm: ..." on standard error, unless --quiet. */
void cmd_say(const struct cmd_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Starts showing progress, when --progress wants it. `label` and `unit` are borrowed. */
int cmd_progress(struct cmd_call *call, const char *label, const char *unit, struct err *err);

/* The same, for a command that has --resume. */
int cmd_progress_resumable(struct cmd_call *call, const char *label, const char *unit,
                           struct err *err);

extern const struct cmd cmd_add, cmd_chol, cmd_create, cmd_diff, cmd_export, cmd_free, cmd_fsck,
    cmd_gemm, cmd_import, cmd_info, cmd_logdet, cmd_ls, cmd_map, cmd_norm, cmd_reblock, cmd_recover,
    cmd_rm, cmd_scale, cmd_solve, cmd_syrk, cmd_trace, cmd_transpose, cmd_trsm;

#endif
