#include "fs/proof.h"

#include "base/crc32c.h"
#include "base/log.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROOF_UNKNOWN, PROOF_MD5, PROOF_OTHER }; /* what ETags are */

enum { PROOF_STEP = 1 << 20, PROOF_MD5_SIZE = 33 };

/* --- sums --- */

static bool proof_wants_md5(const struct proof_etags *etags, const struct store_stat *stat)
{
    return stat->md5_etag && !stat->has_crc32c && atomic_load(&etags->kind) != PROOF_OTHER;
}

/* 0 with NULL where the sum is not to be had: a library that keeps to FIPS 140 has no MD5. 0 or
 * -ENOMEM. */
static int proof_md5_new(EVP_MD_CTX **ret)
{
    *ret = EVP_MD_CTX_new();
    if (!*ret)
        return -ENOMEM;
    if (EVP_DigestInit_ex(*ret, EVP_md5(), NULL) != 1)
        EVP_MD_CTX_free(TAKE(*ret));
    return 0;
}

/* Hex digits, as an ETag has them; "" when there is no sum. Ends it. */
static void proof_md5_text(EVP_MD_CTX *md5, char ret[PROOF_MD5_SIZE])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    ret[0] = '\0';
    if (!md5 || EVP_DigestFinal_ex(md5, sum, NULL) != 1)
        return;
    for (size_t i = 0; i < PROOF_MD5_SIZE / 2; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", sum[i]);
}

static void proof_add(struct proof *p, const void *data, size_t len)
{
    p->crc = crc32c(p->crc, data, len);
    if (p->md5 && EVP_DigestUpdate(p->md5, data, len) != 1)
        p->error = -EIO;
    p->done += len;
}

static void proof_begin(struct proof *p, const struct proof_etags *etags,
                        const struct store_stat *stat)
{
    EVP_MD_CTX *md5 = NULL;
    if (p->done > 0 || p->md5 || !proof_wants_md5(etags, stat))
        return;
    p->error = proof_md5_new(&md5);
    p->md5 = md5;
}

void proof_feed(struct proof *p, const struct proof_etags *etags, const struct store_stat *stat,
                int fd, uint64_t to)
{
    CLEANUP(freep) void *step = malloc(PROOF_STEP);
    proof_begin(p, etags, stat);
    if (!step)
        p->error = -ENOMEM;
    while (p->error == 0 && p->done < to) {
        size_t len = (size_t)MIN(to - p->done, (uint64_t)PROOF_STEP);
        p->error = pread_full(fd, step, len, p->done);
        if (p->error == 0)
            proof_add(p, step, len);
    }
}

void proof_fini(struct proof *p)
{
    EVP_MD_CTX_free(p->md5);
    *p = (struct proof){0};
}

/* --- a second look --- */

static int proof_again_sink(void *arg, const struct store_stat *stat, uint64_t off,
                            const void *data, size_t len)
{
    (void)stat;
    (void)off;
    return EVP_DigestUpdate(arg, data, len) == 1 ? 0 : -EIO;
}

/* The MD5 sum of the same version, fetched once more. */
static int proof_again(struct store *store, const char *key, const char *etag,
                       char ret[PROOF_MD5_SIZE], struct err *err)
{
    EVP_MD_CTX *md5 = NULL;
    struct store_get get = {.if_match = etag};
    int r = proof_md5_new(&md5);
    if (r == 0 && !md5)
        r = -ENOMEM; /* there was one a moment ago */
    if (r == 0)
        r = store_get(store, key, &get, proof_again_sink, md5, NULL, err);
    if (r == 0)
        proof_md5_text(md5, ret);
    EVP_MD_CTX_free(md5);
    return r;
}

/* Settles what ETags are, unless that is settled already. */
static void proof_learn(struct proof_etags *etags, int kind)
{
    int unknown = PROOF_UNKNOWN;
    (void)atomic_compare_exchange_strong(&etags->kind, &unknown, kind);
}

/* An object that came the same twice and has another ETag: the second one settles what they are. */
static void proof_doubt(struct proof_etags *etags, const char *key, const char *etag)
{
    uint64_t first = 0;
    uint64_t hash = (uint64_t)crc32c(0, key, strlen(key)) << 1 | 1;
    if (!atomic_compare_exchange_strong(&etags->doubt, &first, hash) && first != hash)
        proof_learn(etags, PROOF_OTHER);
    log_warn("read", "%s: its ETag %s is no MD5 sum of it; it came the same twice and is taken",
             key, etag);
}

/* The sum is not the ETag. */
static int proof_differs(struct proof_etags *etags, struct store *store, const char *key,
                         const char *etag, const char *sum, struct err *err)
{
    char again[PROOF_MD5_SIZE] = "";
    if (atomic_load(&etags->kind) == PROOF_UNKNOWN) {
        int r = proof_again(store, key, etag, again, err);
        if (r < 0)
            return r;
        if (strcmp(again, sum) == 0 && atomic_load(&etags->kind) == PROOF_UNKNOWN) {
            proof_doubt(etags, key, etag);
            return 0;
        }
    }
    if (atomic_load(&etags->kind) == PROOF_OTHER)
        return 0;
    return err_set(err, -EBADMSG, "its MD5 sum is %s, its ETag %s", sum, etag);
}

/* --- the verdict --- */

int proof_judge(struct proof *p, struct proof_etags *etags, struct store *store, const char *key,
                const struct store_stat *stat, struct err *err)
{
    char sum[PROOF_MD5_SIZE];
    if (p->error < 0)
        return err_set(err, -EIO, "it cannot be read back: %s", errno_text(p->error));
    if (stat->has_crc32c)
        return p->crc == stat->crc32c
                   ? 0
                   : err_set(err, -EBADMSG, "its CRC-32C is %08x, its writer stored %08x", p->crc,
                             stat->crc32c);
    proof_md5_text(p->md5, sum);
    if (!sum[0])
        return 0;
    if (strcmp(sum, stat->etag) != 0)
        return proof_differs(etags, store, key, stat->etag, sum, err);
    proof_learn(etags, PROOF_MD5);
    return 0;
}

int proof_bytes(struct proof_etags *etags, struct store *store, const char *key,
                const struct store_stat *stat, const struct buf *bytes, struct err *err)
{
    CLEANUP(proof_fini) struct proof p = {0};
    proof_begin(&p, etags, stat);
    if (p.error == 0)
        proof_add(&p, bytes->data, bytes->len);
    return proof_judge(&p, etags, store, key, stat, err);
}
