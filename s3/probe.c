#include "s3/probe.h"

#include "base/lock.h"
#include "s3/s3_etag.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROBE_AGE_MAX_S = 7 * 24 * 3600, PROBE_RANDOM_SIZE = 17 };

/* An ETag that no object has: the MD5 of something else. */
#define PROBE_WRONG "0123456789abcdef0123456789abcdef"

struct probe {
    struct client *client; /* borrowed */
    char *verdict_key;     /* "<prefix>.bmfs/endpoint" */
    char *trial_key;       /* "<prefix>.bmfs/probe-<random>" */
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t asked; /* `asking` has become false */
    bool asking;          /* one thread is with the server, without mu */
    bool known;
    struct probe_verdict verdict;
};

int probe_new(struct client *client, const char *prefix, struct probe **ret)
{
    char hex[PROBE_RANDOM_SIZE];
    if (strlen(prefix) + sizeof(".bmfs/probe-") + sizeof(hex) > STORE_KEY_MAX)
        return -ENAMETOOLONG;
    int r = random_hex(hex, sizeof(hex));
    if (r < 0)
        return r;
    struct probe *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    (void)pthread_mutex_init(&p->mu, NULL);
    lock_cond_init(&p->asked);
    p->client = client;
    if (asprintf(&p->verdict_key, "%s.bmfs/endpoint", prefix) < 0)
        p->verdict_key = NULL;
    if (asprintf(&p->trial_key, "%s.bmfs/probe-%s", prefix, hex) < 0)
        p->trial_key = NULL;
    if (!p->verdict_key || !p->trial_key) {
        probe_free(p);
        return -ENOMEM;
    }
    *ret = p;
    return 0;
}

void probe_free(struct probe *p)
{
    if (!p)
        return;
    free(p->verdict_key);
    free(p->trial_key);
    (void)pthread_cond_destroy(&p->asked);
    (void)pthread_mutex_destroy(&p->mu);
    free(p);
}

static const char *const probe_match_text[] = {
    [PROBE_IGNORED] = "ignored",
    [PROBE_QUOTED] = "quoted",
    [PROBE_UNQUOTED] = "unquoted",
};

int probe_write(const struct probe_verdict *v, const char *id, int64_t now_s, struct buf *ret)
{
    return buf_printf(ret,
                      "bmfs-endpoint 1\n"
                      "id %s\n"
                      "time %" PRId64 "\n"
                      "put-if-none-match %s\n"
                      "put-if-match %s\n"
                      "delete-if-match %s\n",
                      id, now_s, v->absent ? "honoured" : "ignored", probe_match_text[v->put],
                      probe_match_text[v->remove]);
}

static bool probe_match_read(const char *text, enum probe_match *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(probe_match_text); i++) {
        if (strcmp(text, probe_match_text[i]) == 0) {
            *ret = (enum probe_match)i;
            return true;
        }
    }
    return false;
}

/* Takes the value of the next line of *text, which must be "name value". */
static bool probe_line(const char **text, const char *name, char *ret, size_t size)
{
    size_t name_len = strlen(name);
    size_t len = strcspn(*text, "\n");
    if (len <= name_len || strncmp(*text, name, name_len) != 0 || (*text)[name_len] != ' ' ||
        (*text)[len] != '\n' || len - name_len > size)
        return false;
    memcpy(ret, *text + name_len + 1, len - name_len - 1);
    ret[len - name_len - 1] = '\0';
    *text += len + 1;
    return true;
}

int probe_read(const char *text, const char *id, int64_t now_s, struct probe_verdict *ret)
{
    struct probe_verdict v = {0};
    char line[PROBE_TEXT_MAX];
    if (!probe_line(&text, "bmfs-endpoint", line, sizeof(line)) || strcmp(line, "1") != 0)
        return -ENOENT;
    if (!probe_line(&text, "id", line, sizeof(line)) || strcmp(line, id) != 0)
        return -ENOENT;
    if (!probe_line(&text, "time", line, sizeof(line)))
        return -ENOENT;
    int64_t when_s = strtoll(line, NULL, 10); /* saturates, and so is too old or too new */
    if (when_s < now_s - PROBE_AGE_MAX_S || when_s > now_s + PROBE_AGE_MAX_S)
        return -ENOENT;
    if (!probe_line(&text, "put-if-none-match", line, sizeof(line)))
        return -ENOENT;
    v.absent = strcmp(line, "honoured") == 0;
    if (!probe_line(&text, "put-if-match", line, sizeof(line)) || !probe_match_read(line, &v.put))
        return -ENOENT;
    if (!probe_line(&text, "delete-if-match", line, sizeof(line)) ||
        !probe_match_read(line, &v.remove))
        return -ENOENT;
    *ret = v;
    return 0;
}

static int probe_load(struct probe *p, struct probe_verdict *ret, struct err *err)
{
    const struct request req = {
        .method = "GET",
        .key = p->verdict_key,
        .body_max = PROBE_TEXT_MAX,
    };
    struct http_reply reply = {0};
    int r = client_call(p->client, &req, &reply, err);
    if (r == 0)
        r = probe_read(buf_text(&reply.body), client_id(p->client), time(NULL), ret);
    http_reply_fini(&reply);
    return r == -EBADMSG ? -ENOENT : r;
}

/* Writes the verdict down for later mounts. That they ask again if it fails is no harm. */
static void probe_save(struct probe *p, const struct probe_verdict *v)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(PROBE_TEXT_MAX);
    if (probe_write(v, client_id(p->client), time(NULL), &text) < 0)
        return;
    const struct store_body body = {.head = text.data, .head_len = text.len, .fd = -1};
    const struct request req = {
        .method = "PUT",
        .key = p->verdict_key,
        .body = &body,
        .body_max = HTTP_ERROR_MAX,
    };
    struct http_reply reply = {0};
    (void)client_call(p->client, &req, &reply, NULL);
    http_reply_fini(&reply);
}

/* Sends a trial PUT or DELETE under a condition. 1: it was done, or refused by a server that does
 * not know the condition at all; 0: refused because the condition does not hold; < 0: no answer to
 * the question. `etag`, of STORE_ETAG_SIZE bytes, becomes that of the object put. */
static int probe_try(struct probe *p, const char *method, const char *name, const char *value,
                     char *etag, struct err *err)
{
    static _Atomic unsigned serial; /* each body is another, so that each ETag is */
    char text[32];
    (void)snprintf(text, sizeof(text), "bmfs probe %u\n", ++serial);
    const struct store_body body = {.head = text, .head_len = strlen(text), .fd = -1};
    const struct request req = {
        .method = method,
        .key = p->trial_key,
        .header = {{name, value}},
        .headers = name ? 1 : 0,
        .body = strcmp(method, "PUT") == 0 ? &body : NULL,
        .body_max = HTTP_ERROR_MAX,
    };
    struct http_reply reply = {0};
    int r = client_call(p->client, &req, &reply, err);
    const char *fresh = http_reply_header(&reply, "etag");
    int status = reply.status;
    if (r == 0 && etag && (!fresh || s3_etag_read(fresh, etag) < 0))
        r = err_set(err, -EBADMSG, "the reply to a PUT has no ETag");
    http_reply_fini(&reply);
    if (status == 412 || status == 304)
        return 0;
    return r < 0 && status != 501 ? r : 1;
}

/* The same, for an If-Match of an ETag written in one of the two ways. */
static int probe_try_match(struct probe *p, const char *method, enum probe_match how,
                           const char *expect, char *etag, struct err *err)
{
    char value[S3_ETAG_HEADER_SIZE];
    int r = s3_etag_write(expect, how == PROBE_QUOTED, value);
    return r < 0 ? r : probe_try(p, method, "if-match", value, etag, err);
}

/* A method honours one way of writing If-Match when a wrong ETag is refused and the right one is
 * not. `etag`: of the trial object; a PUT keeps it up to date. 1, 0 or < 0. */
static int probe_honours(struct probe *p, const char *method, enum probe_match how, char *etag,
                         struct err *err)
{
    char right[STORE_ETAG_SIZE];
    char *fresh = strcmp(method, "PUT") == 0 ? etag : NULL;
    int r = probe_try_match(p, method, how, PROBE_WRONG, fresh, err);
    if (r != 0)
        return r < 0 ? r : 0;
    memcpy(right, etag, sizeof(right));
    return probe_try_match(p, method, how, right, fresh, err);
}

/* `etag`: of the trial object, which exists. */
static int probe_ask_put(struct probe *p, char *etag, struct probe_verdict *ret, struct err *err)
{
    int r = probe_try(p, "PUT", "if-none-match", "*", etag, err);
    if (r < 0)
        return r;
    ret->absent = r == 0;
    r = probe_honours(p, "PUT", PROBE_QUOTED, etag, err);
    if (r == 1)
        ret->put = PROBE_QUOTED;
    if (r != 0)
        return MIN(r, 0);
    r = probe_honours(p, "PUT", PROBE_UNQUOTED, etag, err);
    if (r == 1)
        ret->put = PROBE_UNQUOTED;
    return MIN(r, 0);
}

/* Whether a DELETE looks at the condition, in the way that a PUT wants it. Somebody who may not
 * delete need not know. */
static int probe_ask_remove(struct probe *p, char *etag, struct probe_verdict *ret, struct err *err)
{
    enum probe_match how = ret->put == PROBE_UNQUOTED ? PROBE_UNQUOTED : PROBE_QUOTED;
    int r = probe_honours(p, "DELETE", how, etag, err);
    if (r == 1)
        ret->remove = how;
    return r == -EACCES ? 0 : MIN(r, 0);
}

static int probe_ask(struct probe *p, struct probe_verdict *ret, struct err *err)
{
    struct probe_verdict v = {0};
    char etag[STORE_ETAG_SIZE];
    int r = probe_try(p, "PUT", NULL, NULL, etag, err);
    if (r < 0)
        return r;
    r = probe_ask_put(p, etag, &v, err);
    if (r == 0)
        r = probe_ask_remove(p, etag, &v, err);
    (void)probe_try(p, "DELETE", NULL, NULL, NULL, NULL); /* if it stays, it is in nobody's way */
    if (r < 0)
        return r;
    *ret = v;
    probe_save(p, &v);
    return 0;
}

/* For a user who may write matrices, but not the keys of bmfs: what AWS documents, elsewhere the
 * most careful verdict, which is right everywhere. */
static struct probe_verdict probe_guess(const struct probe *p)
{
    if (!client_is_aws(p->client))
        return (struct probe_verdict){0};
    return (struct probe_verdict){.absent = true, .put = PROBE_QUOTED, .remove = PROBE_QUOTED};
}

static int probe_find(struct probe *p, struct probe_verdict *ret, struct err *err)
{
    int r = probe_load(p, ret, err);
    if (r == -ENOENT || r == -EACCES)
        r = probe_ask(p, ret, err);
    if (r == -EACCES) {
        *ret = probe_guess(p);
        r = 0;
    }
    if (r < 0)
        return err_prefix(err, r, "find out how the endpoint takes conditional writes");
    err_clear(err); /* what was refused on the way was an answer */
    return 0;
}

int probe_get(struct probe *p, struct probe_verdict *ret, struct err *err)
{
    struct probe_verdict found = {0};
    {
        LOCK_SCOPE(&p->mu);
        while (p->asking)
            (void)pthread_cond_wait(&p->asked, &p->mu); /* for calls to the client: bounded */
        if (p->known) {
            *ret = p->verdict;
            return 0;
        }
        p->asking = true;
    }
    int r = probe_find(p, &found, err);
    LOCK_SCOPE(&p->mu);
    p->asking = false;
    if (r == 0) {
        p->known = true;
        p->verdict = found;
        *ret = found;
    }
    (void)pthread_cond_broadcast(&p->asked);
    return r;
}

bool probe_known(struct probe *p, struct probe_verdict *ret)
{
    LOCK_SCOPE(&p->mu);
    if (p->known)
        *ret = p->verdict;
    return p->known;
}
