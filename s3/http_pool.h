#ifndef BMFS_S3_HTTP_POOL_H
#define BMFS_S3_HTTP_POOL_H

/* The curl handles behind http.h: at most so many, each with the connection it keeps. They share
 * what they learnt about names and TLS sessions. The one that rested for the shortest time is
 * handed out first, so that few connections are kept busy and the others may age. */

#include "s3/http.h"

#include <curl/curl.h>

struct http_pool;

struct http_slot {
    CURL *easy;   /* reset at each use */
    CURLM *multi; /* runs `easy` and keeps the connections; can be woken by other threads */
};

/* 0 or -ENOMEM. */
int http_pool_new(int slots_max, struct http_pool **ret);

/* Hands out a slot to this thread. Waits while all are in use and bytes still move in any of them
 * (see http_pool_moved()), or did within `wait_ms`. 0; -EAGAIN; -ECANCELED after http_pool_stop();
 * -ENOMEM. */
int http_pool_take(struct http_pool *pool, int64_t wait_ms, struct http_slot **ret);
void http_pool_give(struct http_pool *pool, struct http_slot *slot);

/* Says that bytes moved in some slot. Any thread; cheap. */
void http_pool_moved(struct http_pool *pool);

/* Wakes all who wait, in http_pool_take() or in a slot's multi handle. */
void http_pool_stop(struct http_pool *pool);
bool http_pool_stopped(const struct http_pool *pool);

/* No slot may be in use. NULL is fine. */
void http_pool_free(struct http_pool *pool);

#endif
