#include "s3/http_reply.h"

#include <curl/curl.h>
#include <string.h>

const char *http_reply_header(const struct http_reply *reply, const char *name)
{
    const char *p = buf_text(&reply->head);
    for (const char *end = p + reply->head.len; p < end;) {
        const char *value = p + strlen(p) + 1;
        if (strcmp(p, name) == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

void http_reply_fini(struct http_reply *reply)
{
    buf_fini(&reply->head);
    buf_fini(&reply->body);
}

/* "HTTP/1.1 206 Partial Content" */
static void http_reply_status(struct http_reply *reply, const char *line, size_t len)
{
    const char *end = line + len;
    const char *p = memchr(line, ' ', len);
    int status = 0;
    for (p = p ? p + 1 : end; p < end && *p >= '0' && *p <= '9' && status < 1000; p++)
        status = status * 10 + (*p - '0');
    reply->status = status;
    reply->head.max = HTTP_HEAD_MAX;
    buf_clear(&reply->head);
}

static void http_reply_lower(char *text)
{
    for (; *text; text++) {
        if (*text >= 'A' && *text <= 'Z')
            *text |= 0x20;
    }
}

static bool http_reply_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int http_reply_line(struct http_reply *reply, const char *line, size_t len)
{
    struct buf *head = &reply->head;
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        http_reply_status(reply, line, len);
        return 0;
    }
    const char *colon = memchr(line, ':', len);
    if (!colon || memchr(line, '\0', len))
        return 0; /* the empty line at the end, or nothing that anybody would look for */
    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && http_reply_is_blank(*value))
        value++;
    while (end > value && http_reply_is_blank(end[-1]))
        end--;
    size_t name_len = (size_t)(colon - line);
    size_t value_len = (size_t)(end - value);
    int r = buf_reserve(head, name_len + value_len + 2); /* all of it or nothing */
    if (r < 0)
        return r;
    char *name = head->data + head->len;
    (void)buf_append(head, line, name_len);
    (void)buf_append(head, "", 1);
    http_reply_lower(name);
    (void)buf_append(head, value, value_len);
    (void)buf_append(head, "", 1);
    return 0;
}

bool http_reply_date(const char *text, int64_t *ret_s)
{
    time_t when = curl_getdate(text, NULL);
    if (when < 0)
        return false;
    *ret_s = when;
    return true;
}
