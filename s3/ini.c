#include "s3/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where a parser stands. */
struct ini_state {
    struct ini *ini;
    size_t capacity;     /* of ini->item */
    const char *section; /* "" before the first one */
    const char *parent;  /* the latest setting that is not nested */
    size_t indent;       /* blanks before it: what stands further right is nested in it */
};

static bool ini_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* Cuts blanks off both ends, in place. */
static char *ini_trim(char *text)
{
    char *end = text + strlen(text);
    while (end > text && ini_is_blank(end[-1]))
        end--;
    *end = '\0';
    while (ini_is_blank(*text))
        text++;
    return text;
}

/* Cuts a comment that follows a blank off the end of a value. */
static void ini_cut_comment(char *value)
{
    for (char *p = value; *p; p++) {
        if ((*p == '#' || *p == ';') && (p == value || ini_is_blank(p[-1]))) {
            *p = '\0';
            return;
        }
    }
}

static int ini_push(struct ini_state *s, const struct ini_item *item)
{
    struct ini *ini = s->ini;
    if (ini->items == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 32;
        struct ini_item *longer = reallocarray(ini->item, capacity, sizeof(*longer));
        if (!longer)
            return -ENOMEM;
        ini->item = longer;
        s->capacity = capacity;
    }
    ini->item[ini->items++] = *item;
    return 0;
}

/* "[name]": an item without a name stands for the section, so that an empty one is known. */
static int ini_section(struct ini_state *s, char *line)
{
    char *end = strchr(line, ']');
    if (!end)
        return 0;
    *end = '\0';
    s->section = ini_trim(line + 1);
    s->parent = "";
    return ini_push(s, &(struct ini_item){s->section, "", "", ""});
}

static void ini_lower(char *text)
{
    for (; *text; text++) {
        if (*text >= 'A' && *text <= 'Z')
            *text |= 0x20;
    }
}

static int ini_setting(struct ini_state *s, char *line, size_t indent)
{
    bool nested = *s->parent && indent > s->indent;
    char *equals = strpbrk(line, "=:");
    if (!equals)
        return 0;
    *equals = '\0';
    ini_cut_comment(equals + 1);
    char *name = ini_trim(line);
    const char *value = ini_trim(equals + 1);
    ini_lower(name);
    if (!*name || !*s->section)
        return 0;
    if (!nested) {
        s->parent = name;
        s->indent = indent;
    }
    return ini_push(s, &(struct ini_item){s->section, nested ? s->parent : "", name, value});
}

static int ini_line(struct ini_state *s, char *line)
{
    char *text = line;
    while (ini_is_blank(*text))
        text++;
    if (!*text || *text == '#' || *text == ';')
        return 0;
    if (*text == '[')
        return ini_section(s, text);
    return ini_setting(s, text, (size_t)(text - line));
}

static int ini_lines(struct ini *ini)
{
    struct ini_state s = {.ini = ini, .section = "", .parent = ""};
    char *line = ini->text;
    if (strncmp(line, "\xef\xbb\xbf", 3) == 0)
        line += 3; /* the mark that some editors put first */
    while (line) {
        char *end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        int r = ini_line(&s, line);
        if (r < 0)
            return r;
        line = end;
    }
    return 0;
}

int ini_parse(const void *text, size_t len, struct ini *ret)
{
    if (len > INI_FILE_MAX || (len > 0 && memchr(text, '\0', len)))
        return -EINVAL;
    CLEANUP(ini_fini) struct ini ini = {.text = calloc(1, len + 1), .len = len};
    if (!ini.text)
        return -ENOMEM;
    if (len > 0)
        memcpy(ini.text, text, len);
    int r = ini_lines(&ini);
    if (r < 0)
        return r;
    *ret = ini;
    ini = (struct ini){0};
    return 0;
}

/* Reads and parses an open file. The copy that was read is wiped as well. */
static int ini_read(int fd, struct ini *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISCHR(st.st_mode))
        return 0; /* /dev/null is how one says "no file" */
    if (!S_ISREG(st.st_mode) || st.st_size > INI_FILE_MAX)
        return -EINVAL;
    size_t len = (size_t)st.st_size;
    char *text = malloc(len + 1);
    int r = text ? pread_full(fd, text, len, 0) : -ENOMEM;
    if (r == 0)
        r = ini_parse(text, len, ret);
    if (text)
        OPENSSL_cleanse(text, len);
    free(text);
    return r == -ENODATA ? -EAGAIN : r; /* cut short under our hands */
}

int ini_load(const char *path, struct ini *ret, struct err *err)
{
    *ret = (struct ini){0};
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    int r = fd < 0 ? -errno : ini_read(fd, ret);
    return r < 0 ? err_errno(err, r, "read %s", path) : 0;
}

const char *ini_get(const struct ini *ini, const char *section, const char *parent,
                    const char *name)
{
    for (size_t i = ini->items; i > 0; i--) {
        const struct ini_item *item = &ini->item[i - 1];
        if (strcmp(item->name, name) == 0 && strcmp(item->section, section) == 0 &&
            strcmp(item->parent, parent) == 0)
            return item->value;
    }
    return NULL;
}

bool ini_has_section(const struct ini *ini, const char *section)
{
    return ini_get(ini, section, "", "") != NULL;
}

void ini_fini(struct ini *ini)
{
    if (ini->text)
        OPENSSL_cleanse(ini->text, ini->len);
    free(ini->text);
    free(ini->item);
    *ini = (struct ini){0};
}
