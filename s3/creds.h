#ifndef BMFS_S3_CREDS_H
#define BMFS_S3_CREDS_H

/* Who we are to the store, and how long that holds.
 *
 * A `struct creds` is one immutable set of keys, shared by reference. A source keeps the current
 * set and asks its provider for a new one when it runs out or when the store says it has. Providers
 * stand behind one table, so that keys that are fetched from a service fit beside those that stand
 * in the environment or in a file. Thread-safe. Secrets are wiped when their set is freed. */

#include "base/err.h"

enum { CREDS_TEXT_MAX = 64 * 1024 }; /* bytes of each text below; session tokens are long */

struct creds {
    _Atomic int refs;
    uint64_t serial;     /* different for every set that was ever made */
    int64_t expires_s;   /* since 1970; 0: never */
    char *access_key;    /* NULL: requests are not signed */
    char *secret_key;    /* NULL with access_key */
    char *session_token; /* NULL for keys that do not expire */
};

/* Copies the texts. 0, -EINVAL when one is too long or holds bytes that a header cannot, -ENOMEM.
 * The caller holds the only reference. */
int creds_new(const char *access_key, const char *secret_key, const char *session_token,
              int64_t expires_s, struct creds **ret);

struct creds *creds_ref(struct creds *c);

/* Drops a reference; the last one wipes and frees. NULL is fine; fits CLEANUP(creds_unrefp). */
void creds_unref(struct creds *c);
void creds_unrefp(struct creds *const *c);

/* First member of each provider's struct. */
struct creds_provider {
    const struct creds_provider_ops *ops;
};

struct creds_provider_ops {
    const char *name; /* "environment": where the keys come from, for messages */
    /* Finds the keys as they are now. One call at a time; may block, bounded. 0 and a reference,
     * -EACCES when there are none, or another -errno. */
    int (*fetch)(struct creds_provider *provider, struct creds **ret, struct err *err);
    void (*free)(struct creds_provider *provider);
};

struct creds_source;

/* Takes *provider. 0 or -ENOMEM (the caller still owns it then). */
int creds_source_new(struct creds_provider **provider, struct creds_source **ret);

/* A reference to the current set; asks the provider first when there is none or it is about to
 * expire. A set that still holds is returned even when that failed. */
int creds_source_get(struct creds_source *source, struct creds **ret, struct err *err);

/* The store refused `stale`. Asks the provider again, unless somebody did since: 1 when there is
 * another set now, 0 when it is the same, or -errno. */
int creds_source_refresh(struct creds_source *source, const struct creds *stale, struct err *err);

void creds_source_free(struct creds_source *source);
void creds_source_freep(struct creds_source *const *source);

#endif
