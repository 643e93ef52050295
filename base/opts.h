#ifndef BMFS_BASE_OPTS_H
#define BMFS_BASE_OPTS_H

/* One table per command feeds its option parser, its --help and its manual page.
 *
 * Every command understands `--name value`, `--name=value`, unambiguous abbreviations of long
 * names, grouped letters and `--`; options and operands may be mixed. `-h`/`--help`, `--version`
 * and `--man` (the manual page as roff, for the build) come with every command. */

#include "base/err.h"

#include <stdio.h>

enum opts_kind {
    OPTS_FLAG,    /* bool; takes no value */
    OPTS_STRING,  /* const char *, borrowed from the arguments */
    OPTS_SIZE,    /* uint64_t bytes: 4096, 4Ki, 1.5GiB, 20G (K, M, G, T are powers of 1000) */
    OPTS_INT,     /* int64_t */
    OPTS_DOUBLE,  /* double */
    OPTS_SECONDS, /* int64_t milliseconds: 30, 90s, 500ms, 2m, 2h */
};

struct opts_item {
    const char *name; /* "cache-dir"; a name without letter or help is accepted but not shown */
    char letter;      /* 'f', or 0 */
    enum opts_kind kind;
    size_t offset;     /* of the field in the caller's struct */
    const char *value; /* what the value is called in the help: "DIR"; NULL for a flag */
    const char *help;  /* one sentence without a full stop */
};

struct opts_command {
    const char *name;     /* "bm-gemm" */
    const char *summary;  /* "multiply two matrices", as in the NAME line of a manual page */
    const char *synopsis; /* one line a form, without the program's name: "[OPTION]... A B C\n" */
    const char *text;     /* what the operands are and what happens; paragraphs split by "\n\n" */
    const struct opts_item *item;
    size_t items;
    int operands_min, operands_max; /* -1: any number */
    const char *examples;           /* "bm-gemm /mnt/bm/A /mnt/bm/B /mnt/bm/C\n..." */
    const char *exit_status;        /* "0  done\n2  ...\n" */
    const char *see_also;           /* "bm(1), bmfs(1)" or NULL */
};

/* What a command is asked to do. */
enum opts_result {
    OPTS_RUN,  /* go on with the operands */
    OPTS_DONE, /* help, version or manual page was printed: exit 0 */
};

/* Parses argv[1..], fills the fields of `conf` and moves the operands, in order, to the front of
 * argv from argv[1] on. Returns an opts_result, or -EINVAL with the reason and a hint. Not
 * thread-safe. */
int opts_parse(const struct opts_command *cmd, int argc, char **argv, void *conf, int *ret_operands,
               struct err *err);

/* Handles one word of a mount option list (`-o`): "cache_dir=/x" sets the long option "cache-dir".
 * `word` is writable and must outlive `conf`. 0; -ENOENT when no option has that name; -EINVAL. */
int opts_mount_word(const struct opts_command *cmd, char *word, void *conf, struct err *err);

/* Cuts the first word off a comma-separated list in place ("\," is a comma within a word) and
 * advances *list; NULL at the end. */
char *opts_mount_next(char **list);

/* "4Ki", "1.5GiB", "90s" to numbers: 0, or -EINVAL with the reason. */
int opts_size(const char *text, uint64_t *ret, struct err *err);
int opts_seconds(const char *text, int64_t *ret_ms, struct err *err);
int opts_int(const char *text, int64_t *ret, struct err *err);
int opts_double(const char *text, double *ret, struct err *err);

/* For suggestions: true when `name` is what `word` was probably meant to be, and nearer than every
 * name before it. *least starts as SIZE_MAX. */
bool opts_is_near(const char *word, const char *name, size_t *least);

void opts_help(const struct opts_command *cmd, FILE *out);
void opts_man(const struct opts_command *cmd, FILE *out);

#endif
