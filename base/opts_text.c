#include "base/opts.h"

#include "base/version.h"

#include <string.h>

/* How --help and the manual page are laid out from a command's table. */

/* Calls out `text` line by line, each after `indent`. */
static void opts_lines(FILE *out, const char *indent, const char *text)
{
    while (text && *text) {
        int n = (int)strcspn(text, "\n");
        (void)fprintf(out, "%s%.*s\n", n > 0 ? indent : "", n, text);
        text += n;
        text += *text == '\n';
    }
}

static void opts_synopsis(FILE *out, const char *before, const struct opts_command *cmd)
{
    const char *text = cmd->synopsis;
    while (*text) {
        int n = (int)strcspn(text, "\n");
        (void)fprintf(out, "%s%s %.*s\n", before, cmd->name, n, text);
        before = "       ";
        text += n;
        text += *text == '\n';
    }
}

void opts_help(const struct opts_command *cmd, FILE *out)
{
    (void)fprintf(out, "%s - %s\n\n", cmd->name, cmd->summary);
    opts_synopsis(out, "usage: ", cmd);
    if (cmd->examples) {
        (void)fprintf(out, "\nexamples:\n");
        opts_lines(out, "  ", cmd->examples);
    }
    (void)fprintf(out, "\n");
    opts_lines(out, "", cmd->text);
    (void)fprintf(out, "\noptions:\n");
    for (size_t i = 0; i < cmd->items; i++) {
        const struct opts_item *item = &cmd->item[i];
        char left[64];
        char letter[8] = "   ";
        if (!item->help)
            continue;
        if (item->letter)
            (void)snprintf(letter, sizeof(letter), "-%c,", item->letter);
        (void)snprintf(left, sizeof(left), "%s --%s%s%s", letter, item->name,
                       item->value ? " " : "", item->value ? item->value : "");
        (void)fprintf(out, "  %-28s%s%s\n", left, strlen(left) >= 28 ? " " : "", item->help);
    }
    (void)fprintf(out, "  %-28s%s\n", "-h, --help", "print this help");
    (void)fprintf(out, "  %-28s%s\n", "    --version", "print the version");
    if (cmd->exit_status) {
        (void)fprintf(out, "\nexit status:\n");
        opts_lines(out, "  ", cmd->exit_status);
    }
}

/* roff text: backslashes and hyphens escaped, a leading dot or quote protected. */
static void opts_roff(FILE *out, const char *text, int len)
{
    for (int i = 0; i < len; i++) {
        char c = text[i];
        bool line_start = i == 0 || text[i - 1] == '\n';
        if (line_start && (c == '.' || c == '\''))
            (void)fputs("\\&", out);
        if (c == '\\')
            (void)fputs("\\e", out);
        else if (c == '-')
            (void)fputs("\\-", out);
        else
            (void)fputc(c, out);
    }
}

static void opts_man_text(FILE *out, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        int n = (int)(end ? (size_t)(end - text) : strlen(text));
        opts_roff(out, text, n);
        (void)fputs(end ? "\n.PP\n" : "\n", out);
        text += n + (end ? 2 : 0);
    }
}

static void opts_man_verbatim(FILE *out, const char *title, const char *text)
{
    if (!text)
        return;
    (void)fprintf(out, ".SH %s\n.nf\n", title);
    opts_roff(out, text, (int)strlen(text));
    (void)fprintf(out, ".fi\n");
}

void opts_man(const struct opts_command *cmd, FILE *out)
{
    (void)fprintf(out, ".TH %s 1 \"\" \"bmfs %s\" \"bmfs\"\n.SH NAME\n%s \\- %s\n", cmd->name,
                  BMFS_VERSION, cmd->name, cmd->summary);
    (void)fprintf(out, ".SH SYNOPSIS\n.nf\n");
    opts_synopsis(out, "", cmd);
    (void)fprintf(out, ".fi\n.SH DESCRIPTION\n");
    opts_man_text(out, cmd->text);
    (void)fprintf(out, ".SH OPTIONS\n");
    for (size_t i = 0; i < cmd->items; i++) {
        const struct opts_item *item = &cmd->item[i];
        if (!item->help)
            continue;
        (void)fprintf(out, ".TP\n");
        if (item->letter)
            (void)fprintf(out, "\\fB\\-%c\\fR, ", item->letter);
        (void)fprintf(out, "\\fB\\-\\-");
        opts_roff(out, item->name, (int)strlen(item->name));
        (void)fprintf(out, "\\fR%s%s%s\n", item->value ? " \\fI" : "",
                      item->value ? item->value : "", item->value ? "\\fR" : "");
        opts_roff(out, item->help, (int)strlen(item->help));
        (void)fputc('\n', out);
    }
    opts_man_verbatim(out, "EXAMPLES", cmd->examples);
    opts_man_verbatim(out, "EXIT STATUS", cmd->exit_status);
    if (cmd->see_also)
        (void)fprintf(out, ".SH SEE ALSO\n%s\n", cmd->see_also);
}
