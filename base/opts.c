#include "base/opts.h"

#include "base/version.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPTS_ITEM_MAX = 64,
    OPTS_NEAR = 3,         /* edits from which on nobody meant the other word */
    OPTS_CODE_LONG = 1000, /* getopt codes of table entries start here */
    OPTS_CODE_HELP = 'h',
    OPTS_CODE_VERSION = 1,
    OPTS_CODE_MAN = 2,
};

/* A number and the text that follows it. */
static int opts_number(const char *text, double *ret, const char **ret_end)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || errno != 0 || !isfinite(value) || isspace((unsigned char)text[0]))
        return -EINVAL;
    *ret = value;
    *ret_end = end;
    return 0;
}

/* What the unit at *end multiplies by; advances *end past it. */
static double opts_size_unit(const char **end)
{
    static const char letter[] = "KMGT";
    double factor = 1;
    const char *at = **end ? strchr(letter, toupper((unsigned char)**end)) : NULL;
    if (at) {
        bool binary = (*end)[1] == 'i';
        factor = pow(binary ? 1024 : 1000, (double)(at - letter + 1));
        *end += binary ? 2 : 1;
    }
    if (**end == 'B')
        ++*end;
    return factor;
}

int opts_size(const char *text, uint64_t *ret, struct err *err)
{
    double value = 0;
    const char *end = NULL;
    if (opts_number(text, &value, &end) == 0 && value >= 0) {
        value *= opts_size_unit(&end);
        if (*end == '\0' && value < 0x1p63) {
            *ret = (uint64_t)value;
            return 0;
        }
    }
    (void)err_set(err, -EINVAL, "'%s' is not a size", text);
    err_hint(err, "write a size as 4096, 512MiB or 1.5GiB");
    return -EINVAL;
}

int opts_seconds(const char *text, int64_t *ret_ms, struct err *err)
{
    static const struct {
        const char *unit;
        double ms;
    } unit[] = {{"", 1e3},    {"s", 1e3},   {"ms", 1},    {"m", 6e4},
                {"min", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}};
    double value = 0;
    const char *end = NULL;
    if (opts_number(text, &value, &end) == 0 && value >= 0) {
        for (size_t i = 0; i < ARRAY_SIZE(unit); i++) {
            if (strcmp(end, unit[i].unit) == 0 && value * unit[i].ms < 0x1p53) {
                *ret_ms = (int64_t)(value * unit[i].ms);
                return 0;
            }
        }
    }
    (void)err_set(err, -EINVAL, "'%s' is not a time", text);
    err_hint(err, "write a time as 30, 90s, 500ms or 2h");
    return -EINVAL;
}

int opts_int(const char *text, int64_t *ret, struct err *err)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || isspace((unsigned char)text[0]))
        return err_set(err, -EINVAL, "'%s' is not a whole number", text);
    *ret = value;
    return 0;
}

int opts_double(const char *text, double *ret, struct err *err)
{
    const char *end = NULL;
    if (opts_number(text, ret, &end) < 0 || *end != '\0')
        return err_set(err, -EINVAL, "'%s' is not a number", text);
    return 0;
}

static int opts_set(const struct opts_item *item, const char *value, void *conf, struct err *err)
{
    char *field = (char *)conf + item->offset;
    switch (item->kind) {
    case OPTS_FLAG:
        *(bool *)(void *)field = true;
        return 0;
    case OPTS_STRING:
        memcpy(field, &value, sizeof(value));
        return 0;
    case OPTS_SIZE:
        return opts_size(value, (uint64_t *)(void *)field, err);
    case OPTS_INT:
        return opts_int(value, (int64_t *)(void *)field, err);
    case OPTS_DOUBLE:
        return opts_double(value, (double *)(void *)field, err);
    case OPTS_SECONDS:
        return opts_seconds(value, (int64_t *)(void *)field, err);
    }
    return -EINVAL;
}

/* Edit distance, as far as it matters for a suggestion. */
static size_t opts_distance(const char *a, const char *b)
{
    size_t row[48];
    size_t n = strlen(b);
    if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
        return ARRAY_SIZE(row);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            size_t shift = MIN(row[j], row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = MIN(change, shift);
        }
    }
    return row[n];
}

bool opts_is_near(const char *word, const char *name, size_t *least)
{
    size_t d = opts_distance(word, name);
    if (d >= MIN(*least, (size_t)OPTS_NEAR))
        return false;
    *least = d;
    return true;
}

static int opts_unknown(const struct opts_command *cmd, const char *name, struct err *err)
{
    char word[48];
    (void)snprintf(word, sizeof(word), "%s", name);
    word[strcspn(word, "=")] = '\0';
    const char *near = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < cmd->items; i++) {
        if (opts_is_near(word, cmd->item[i].name, &least))
            near = cmd->item[i].name;
    }
    (void)err_set(err, -EINVAL, "unknown or ambiguous option '--%s'", word);
    if (near)
        err_hint(err, "did you mean --%s?", near);
    else
        err_hint(err, "see %s --help", cmd->name);
    return -EINVAL;
}

/* The option table as getopt wants it. */
static void opts_getopt_tables(const struct opts_command *cmd, struct option *longs, char *shorts)
{
    size_t n = 0;
    *shorts++ = ':'; /* report a missing value as ':' */
    for (size_t i = 0; i < cmd->items; i++) {
        const struct opts_item *item = &cmd->item[i];
        int has_value = item->kind == OPTS_FLAG ? no_argument : required_argument;
        longs[n++] = (struct option){item->name, has_value, NULL, OPTS_CODE_LONG + (int)i};
        if (item->letter) {
            *shorts++ = item->letter;
            if (has_value)
                *shorts++ = ':';
        }
    }
    *shorts++ = 'h';
    *shorts = '\0';
    longs[n++] = (struct option){"help", no_argument, NULL, OPTS_CODE_HELP};
    longs[n++] = (struct option){"version", no_argument, NULL, OPTS_CODE_VERSION};
    longs[n++] = (struct option){"man", no_argument, NULL, OPTS_CODE_MAN};
    longs[n] = (struct option){0};
}

static const struct opts_item *opts_by_code(const struct opts_command *cmd, int code)
{
    if (code >= OPTS_CODE_LONG)
        return &cmd->item[code - OPTS_CODE_LONG];
    for (size_t i = 0; i < cmd->items; i++) {
        if (cmd->item[i].letter == code)
            return &cmd->item[i];
    }
    return NULL;
}

static int opts_bad(const struct opts_command *cmd, int code, const char *word, struct err *err)
{
    if (code == ':') {
        (void)err_set(err, -EINVAL, "option '%s' needs a value", word);
    } else if (strncmp(word, "--", 2) == 0) {
        return opts_unknown(cmd, word + 2, err);
    } else {
        (void)err_set(err, -EINVAL, "unknown option '-%c'", optopt);
    }
    err_hint(err, "see %s --help", cmd->name);
    return -EINVAL;
}

static int opts_check_operands(const struct opts_command *cmd, int n, struct err *err)
{
    if (n >= cmd->operands_min && (cmd->operands_max < 0 || n <= cmd->operands_max))
        return 0;
    (void)err_set(err, -EINVAL, "%s operand%s: got %d, usage: %s %.*s",
                  n < cmd->operands_min ? "missing" : "extra", n == 1 ? "" : "s", n, cmd->name,
                  (int)strcspn(cmd->synopsis, "\n"), cmd->synopsis);
    err_hint(err, "see %s --help", cmd->name);
    return -EINVAL;
}

/* A negative number is an operand or a value, never a group of letters. getopt has no such notion,
 * so `--alpha -1` relies on getopt taking the next word as the value whatever it looks like. */
int opts_parse(const struct opts_command *cmd, int argc, char **argv, void *conf, int *ret_operands,
               struct err *err)
{
    struct option longs[OPTS_ITEM_MAX + 4];
    char shorts[2 * OPTS_ITEM_MAX + 4];
    if (cmd->items > OPTS_ITEM_MAX)
        abort();
    opts_getopt_tables(cmd, longs, shorts);
    opterr = 0;
    optind = 0;
    for (;;) {
        const char *word = optind > 0 && optind < argc ? argv[optind] : argv[argc > 1 ? 1 : 0];
        int code = getopt_long(argc, argv, shorts, longs, NULL); // NOLINT(concurrency-mt-unsafe)
        if (code == -1)
            break;
        switch (code) {
        case OPTS_CODE_HELP:
            opts_help(cmd, stdout);
            return OPTS_DONE;
        case OPTS_CODE_VERSION:
            (void)printf("%s %s\n", cmd->name, BMFS_VERSION);
            return OPTS_DONE;
        case OPTS_CODE_MAN:
            opts_man(cmd, stdout);
            return OPTS_DONE;
        case '?':
        case ':':
            return opts_bad(cmd, code, optind > 0 ? argv[optind - 1] : word, err);
        default:
            break;
        }
        const struct opts_item *item = opts_by_code(cmd, code);
        if (!item)
            return opts_bad(cmd, '?', word, err);
        int r = opts_set(item, optarg, conf, err);
        if (r < 0)
            return err_prefix(err, r, "--%s", item->name);
    }
    int n = argc - optind;
    for (int i = 0; i < n; i++)
        argv[1 + i] = argv[optind + i];
    *ret_operands = n;
    int r = opts_check_operands(cmd, n, err);
    return r < 0 ? r : OPTS_RUN;
}

char *opts_mount_next(char **list)
{
    char *word = *list;
    if (!word || !*word)
        return NULL;
    char *to = word;
    char *from = word;
    while (*from && *from != ',') {
        if (from[0] == '\\' && from[1] == ',')
            from++;
        *to++ = *from++;
    }
    *list = *from ? from + 1 : from;
    *to = '\0';
    return word;
}

int opts_mount_word(const struct opts_command *cmd, char *word, void *conf, struct err *err)
{
    size_t len = strcspn(word, "=");
    for (size_t i = 0; i < cmd->items; i++) {
        const struct opts_item *item = &cmd->item[i];
        size_t k = 0;
        while (k < len && item->name[k] && item->name[k] == (word[k] == '_' ? '-' : word[k]))
            k++;
        if (k != len || item->name[k] != '\0')
            continue;
        if ((item->kind == OPTS_FLAG) == (word[len] == '='))
            return err_set(err, -EINVAL, "-o %s: %s", word,
                           item->kind == OPTS_FLAG ? "takes no value" : "needs a value");
        int r = opts_set(item, word[len] ? word + len + 1 : NULL, conf, err);
        return r < 0 ? err_prefix(err, r, "-o %s", item->name) : 0;
    }
    return -ENOENT;
}
