#include "s3/fault.h"

#include "base/lock.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FAULT_DELAY_MS_MAX = 600000 }; /* ten minutes: "each call is bounded" */

/* One in place. */
struct fault_due {
    struct fault fault;
    uint64_t left; /* calls until it strikes; 0: it did, and was for once */
};

struct fault_layer {
    struct store base;
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t changed; /* `down` was set */
    bool down;
    struct fault_due due[FAULTS_MAX];
    size_t dues;
    uint64_t hits;
};

/* A call under way. */
struct fault_call {
    bool struck;
    struct fault fault; /* if struck */
    store_sink_fn *sink;
    store_list_fn *fn;
    void *arg;
    uint64_t left; /* bytes or entries until the cut */
    int code;      /* what the caller's function ended the call with; 0: it did not */
};

static struct fault_layer *fault_of(struct store *st)
{
    return (struct fault_layer *)st; /* `base` comes first */
}

/* Counts a call. True, with the fault, when one strikes. */
static bool fault_strikes(struct fault_layer *f, enum fault_op op, struct fault *ret)
{
    LOCK_SCOPE(&f->mu);
    bool struck = false;
    for (size_t i = 0; i < f->dues; i++) {
        struct fault_due *due = &f->due[i];
        if ((due->fault.op != op && due->fault.op != FAULT_ANY) || due->left == 0)
            continue;
        if (due->left > 1) {
            due->left--;
        } else if (!struck) {
            struck = true;
            *ret = due->fault;
            due->left = due->fault.for_ever ? 1 : 0;
            f->hits++;
        }
    }
    return struck;
}

static int fault_delay(struct fault_layer *f, uint64_t ms, struct err *err)
{
    int64_t until_ms = clock_ms() + (int64_t)MIN(ms, (uint64_t)FAULT_DELAY_MS_MAX);
    LOCK_SCOPE(&f->mu);
    while (!f->down) {
        if (!lock_cond_wait_until(&f->changed, &f->mu, until_ms))
            return 0;
    }
    return err_set(err, -ECANCELED, "the store is shut down");
}

/* The fault's part before the call: 0 to carry it out, else what the call returns. */
static int fault_begin(struct store *st, enum fault_op op, struct fault_call *ret, struct err *err)
{
    struct fault_layer *f = fault_of(st);
    *ret = (struct fault_call){0};
    ret->struck = fault_strikes(f, op, &ret->fault);
    ret->left = ret->struck && ret->fault.kind == FAULT_CUT ? ret->fault.amount : UINT64_MAX;
    if (!ret->struck)
        return 0;
    if (ret->fault.kind == FAULT_REFUSED)
        return err_set(err, -EAGAIN, "fault: refused");
    if (ret->fault.kind == FAULT_BROKEN)
        return err_set(err, -EIO, "fault: broken");
    if (ret->fault.kind == FAULT_DELAY)
        return fault_delay(f, ret->fault.amount, err);
    return 0;
}

/* The fault's part after the call, which returned `r`. */
static int fault_end(const struct fault_call *call, int r, struct err *err)
{
    if (call->code != 0)
        return call->code;
    if (!call->struck || call->fault.kind == FAULT_DELAY)
        return r;
    return err_set(err, -EAGAIN, "fault: the reply was lost");
}

static int fault_get_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                          size_t len)
{
    struct fault_call *call = arg;
    size_t n = (size_t)MIN((uint64_t)len, call->left);
    if (n > 0) {
        int r = call->sink(call->arg, stat, off, data, n);
        if (r < 0) {
            call->code = r;
            return r;
        }
    }
    call->left -= n;
    return n < len ? -EAGAIN : 0;
}

static int fault_get(struct store *st, const char *key, const struct store_get *get,
                     store_sink_fn *sink, void *arg, struct store_stat *ret_stat, struct err *err)
{
    struct fault_call call;
    struct store_stat stat;
    int r = fault_begin(st, FAULT_GET, &call, err);
    if (r < 0)
        return r;
    call.sink = sink;
    call.arg = arg;
    r = fault_end(&call, store_get(st->below, key, get, fault_get_sink, &call, &stat, err), err);
    if (r == 0 && ret_stat)
        *ret_stat = stat;
    return r;
}

static int fault_put(struct store *st, const char *key, const struct store_body *body,
                     const struct store_put *put, struct store_stat *ret_stat, struct err *err)
{
    struct fault_call call;
    struct store_stat stat;
    int r = fault_begin(st, FAULT_PUT, &call, err);
    if (r < 0)
        return r;
    r = fault_end(&call, store_put(st->below, key, body, put, &stat, err), err);
    if (r == 0 && ret_stat)
        *ret_stat = stat;
    return r;
}

static int fault_head(struct store *st, const char *key, struct store_stat *ret_stat,
                      struct err *err)
{
    struct fault_call call;
    struct store_stat stat;
    int r = fault_begin(st, FAULT_HEAD, &call, err);
    if (r < 0)
        return r;
    r = fault_end(&call, store_head(st->below, key, &stat, err), err);
    if (r == 0 && ret_stat)
        *ret_stat = stat;
    return r;
}

static int fault_del(struct store *st, const char *key, const char *if_match, struct err *err)
{
    struct fault_call call;
    int r = fault_begin(st, FAULT_DEL, &call, err);
    if (r < 0)
        return r;
    return fault_end(&call, store_del(st->below, key, if_match, err), err);
}

static int fault_list_entry(void *arg, const char *key, const struct store_stat *stat)
{
    struct fault_call *call = arg;
    if (call->left == 0)
        return -EAGAIN;
    call->left--;
    call->code = call->fn(call->arg, key, stat);
    return call->code;
}

static int fault_list(struct store *st, const struct store_list *list, store_list_fn *fn, void *arg,
                      struct err *err)
{
    struct fault_call call;
    int r = fault_begin(st, FAULT_LIST, &call, err);
    if (r < 0)
        return r;
    call.fn = fn;
    call.arg = arg;
    return fault_end(&call, store_list(st->below, list, fault_list_entry, &call, err), err);
}

static void fault_shutdown(struct store *st)
{
    struct fault_layer *f = fault_of(st);
    LOCK_SCOPE(&f->mu);
    f->down = true;
    (void)pthread_cond_broadcast(&f->changed);
}

static void fault_free(struct store *st)
{
    struct fault_layer *f = fault_of(st);
    (void)pthread_cond_destroy(&f->changed);
    (void)pthread_mutex_destroy(&f->mu);
    free(f);
}

static const struct store_ops fault_ops = {
    .name = "fault",
    .get = fault_get,
    .put = fault_put,
    .head = fault_head,
    .del = fault_del,
    .list = fault_list,
    .shutdown = fault_shutdown,
    .free = fault_free,
};

int fault_new(struct store **below, struct store **ret)
{
    struct fault_layer *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->base = (struct store){.ops = &fault_ops, .below = TAKE(*below)};
    (void)pthread_mutex_init(&f->mu, NULL);
    lock_cond_init(&f->changed);
    *ret = &f->base;
    return 0;
}

/* All of them or none. */
static int fault_add_all(struct store *st, const struct fault *fault, size_t faults)
{
    struct fault_layer *f = fault_of(st);
    LOCK_SCOPE(&f->mu);
    if (faults > FAULTS_MAX - f->dues)
        return -ENOSPC;
    for (size_t i = 0; i < faults; i++)
        f->due[f->dues++] = (struct fault_due){.fault = fault[i], .left = fault[i].nth};
    return 0;
}

int fault_add(struct store *st, const struct fault *fault)
{
    return fault_add_all(st, fault, 1);
}

void fault_clear(struct store *st)
{
    struct fault_layer *f = fault_of(st);
    LOCK_SCOPE(&f->mu);
    f->dues = 0;
    f->hits = 0;
}

uint64_t fault_hits(struct store *st)
{
    struct fault_layer *f = fault_of(st);
    LOCK_SCOPE(&f->mu);
    return f->hits;
}

/* The index of the word that `*text` starts with, which goes on with one of `ends`; moves *text to
 * there. -1 if there is no such word. */
static int fault_parse_word(const char **text, const char *const word[], size_t words,
                            const char *ends)
{
    size_t len = strcspn(*text, ends);
    for (size_t i = 0; i < words; i++) {
        if (strlen(word[i]) == len && strncmp(*text, word[i], len) == 0) {
            *text += len;
            return (int)i;
        }
    }
    return -1;
}

static bool fault_parse_number(const char **text, uint64_t *ret)
{
    char *end = NULL;
    if (!isdigit((unsigned char)**text))
        return false;
    errno = 0;
    *ret = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
}

/* Reads one fault and moves *text behind it. */
static bool fault_parse_one(const char **text, struct fault *ret)
{
    static const char *const op[] = {"get", "put", "head", "del", "list", "any"};
    static const char *const kind[] = {"refused", "lost", "cut", "broken", "delay"};
    *ret = (struct fault){0};
    int which = fault_parse_word(text, op, ARRAY_SIZE(op), ":");
    if (which < 0 || *(*text)++ != ':')
        return false;
    ret->op = (enum fault_op)which;
    if (!fault_parse_number(text, &ret->nth) || ret->nth == 0)
        return false;
    ret->for_ever = **text == '+';
    *text += ret->for_ever;
    if (*(*text)++ != ':')
        return false;
    which = fault_parse_word(text, kind, ARRAY_SIZE(kind), "=,");
    if (which < 0)
        return false;
    ret->kind = (enum fault_kind)which;
    if (**text != '=')
        return true;
    (*text)++;
    return fault_parse_number(text, &ret->amount);
}

int fault_parse(struct store *st, const char *text, struct err *err)
{
    struct fault fault[FAULTS_MAX];
    size_t faults = 0;
    const char *at = text;
    do {
        if (faults == FAULTS_MAX)
            return err_set(err, -ENOSPC, "more than %d faults", FAULTS_MAX);
        if (!fault_parse_one(&at, &fault[faults]) || (*at && *at != ','))
            return err_set(err, -EINVAL, "fault \"%s\": must be OP:N[+]:KIND[=AMOUNT]", text);
        faults++;
    } while (*at++ == ',');
    if (fault_add_all(st, fault, faults) < 0)
        return err_set(err, -ENOSPC, "more than %d faults", FAULTS_MAX);
    return 0;
}
