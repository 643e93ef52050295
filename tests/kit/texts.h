#ifndef BMFS_TESTS_KIT_TEXTS_H
#define BMFS_TESTS_KIT_TEXTS_H

/* A store of short texts, so that a test says in one line what it puts and expects. `err` may be
 * NULL everywhere. */

#include "base/buf.h"
#include "s3/store.h"

enum { TEXTS_MAX = 64 << 20 };

#define TEXTS_BUF BUF_INIT(TEXTS_MAX)

/* Whatever is there, or with a condition. */
int texts_put(struct store *st, const char *key, const char *text);
int texts_put_if(struct store *st, const char *key, const char *text, const char *if_match,
                 struct store_stat *ret_stat, struct err *err);

/* The whole object into `b`, which is emptied first; checks the order of the bytes on the way. */
int texts_get(struct store *st, const char *key, struct buf *b);
int texts_get_range(struct store *st, const char *key, const struct store_get *get, struct buf *b,
                    struct store_stat *ret_stat, struct err *err);

/* Entries as "a b/ c", common prefixes as they are; -EILSEQ when they do not ascend. */
int texts_list(struct store *st, const struct store_list *list, struct buf *b, struct err *err);

/* Deletes every key under a prefix. */
int texts_clear(struct store *st, const char *prefix);

#endif
