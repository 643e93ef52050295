#include "tests/unit/unit.h"

#include "fs/proof.h"

#include "base/crc32c.h"
#include "s3/fault.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is summed, and its MD5 sum. */
static const char proof_text[] = "123456789";
static const char proof_sum[] = "25f9e794323b453885f5181f1b624d0b";

static struct buf proof_buf(const char *text)
{
    struct buf b = BUF_INIT(1024);
    assert_int_equal(buf_puts(&b, text), 0);
    return b;
}

static struct store_stat proof_stat(const char *etag)
{
    struct store_stat stat = {.size = strlen(proof_text), .md5_etag = true};
    (void)snprintf(stat.etag, sizeof(stat.etag), "%s", etag);
    return stat;
}

/* No store is asked unless one is given. */
static int proof_of_key(struct proof_etags *etags, struct store *store, const char *key,
                        const struct store_stat *stat, const char *text, struct err *err)
{
    CLEANUP(buf_fini) struct buf b = proof_buf(text);
    return proof_bytes(etags, store, key, stat, &b, err);
}

static int proof_of(struct proof_etags *etags, struct store *store, const struct store_stat *stat,
                    const char *text, struct err *err)
{
    return proof_of_key(etags, store, "k", stat, text, err);
}

static void proof_holds_bytes_against_the_crc_of_their_writer(void **state)
{
    (void)state;
    struct err err = {0};
    struct proof_etags etags = {0};
    struct store_stat stat = proof_stat("00000000000000000000000000000000");
    stat.has_crc32c = true;
    stat.crc32c = 0xe3069283;
    assert_int_equal(proof_of(&etags, NULL, &stat, proof_text, &err), 0);
    assert_int_equal(proof_of(&etags, NULL, &stat, "123456780", &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "its writer stored e3069283"));
}

static void proof_takes_what_has_no_sum(void **state)
{
    (void)state;
    struct proof_etags etags = {0};
    struct store_stat stat = proof_stat("0123");
    stat.md5_etag = false;
    assert_int_equal(proof_of(&etags, NULL, &stat, proof_text, NULL), 0);
    assert_int_equal(proof_of(&etags, NULL, &stat, "123456780", NULL), 0);
}

static void proof_believes_etags_once_one_was_right(void **state)
{
    (void)state;
    struct err err = {0};
    struct proof_etags etags = {0};
    struct store_stat stat = proof_stat(proof_sum);
    assert_int_equal(proof_of(&etags, NULL, &stat, proof_text, &err), 0);
    assert_int_equal(proof_of(&etags, NULL, &stat, "123456780", &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "its ETag 25f9e794323b453885f5181f1b624d0b"));
    assert_int_equal(proof_of(&etags, NULL, &stat, proof_text, &err), 0);
}

/* The store has the bytes under an ETag that is not their sum, twice. */
static void proof_asks_again_when_the_first_etag_is_wrong(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct err err = {0};
    struct proof_etags etags = {0};
    struct store_stat stored = lab_put_text(&lab, "k", proof_text);
    struct store_stat stat = proof_stat(stored.etag);
    remote_clear(lab.store);
    assert_int_equal(fault_parse(lab.fault, "get:1:broken", NULL), 0);
    assert_int_equal(proof_of(&etags, lab.store, &stat, proof_text, &err), -EIO);
    assert_int_equal(proof_of(&etags, lab.store, &stat, "123456780", &err), -EBADMSG);
    assert_int_equal(proof_of(&etags, lab.store, &stat, proof_text, &err), 0); /* the same twice */
    assert_int_equal(proof_of(&etags, lab.store, &stat, proof_text, &err), 0);
    assert_int_equal(proof_of(&etags, lab.store, &stat, "123456780", &err), -EBADMSG);
    assert_int_equal(remote_count(lab.store).gets, 5);
    stored = lab_put_text(&lab, "other", proof_text);
    stat = proof_stat(stored.etag);
    assert_int_equal(proof_of_key(&etags, lab.store, "other", &stat, proof_text, &err), 0);
    assert_int_equal(remote_count(lab.store).gets, 6);
    assert_int_equal(proof_of(&etags, NULL, &stat, "123456780", &err), 0); /* never again */
    stat = proof_stat(proof_sum);
    assert_int_equal(proof_of(&etags, NULL, &stat, "123456780", &err), 0);
}

/* An object that came damaged the same twice, as from a wrong disk behind a server, shows nothing.
 */
static void proof_believes_a_right_etag_after_a_wrong_one(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct err err = {0};
    struct proof_etags etags = {0};
    struct store_stat stored = lab_put_text(&lab, "k", proof_text);
    struct store_stat stat = proof_stat(stored.etag);
    assert_int_equal(proof_of(&etags, lab.store, &stat, proof_text, &err), 0);
    struct store_stat right = proof_stat(proof_sum);
    assert_int_equal(proof_of_key(&etags, NULL, "right", &right, proof_text, &err), 0);
    assert_int_equal(proof_of(&etags, NULL, &stat, proof_text, &err), -EBADMSG);
}

/* While an object is fetched again, another one shows what ETags are. */
static void proof_keeps_what_others_have_learnt(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct err err = {0};
    struct store_stat stored = lab_put_text(&lab, "k", proof_text);
    struct store_stat wrong = proof_stat(stored.etag);
    struct store_stat right = proof_stat(proof_sum);
    struct proof_etags etags = {0};
    assert_int_equal(proof_of(&etags, lab.store, &wrong, proof_text, &err), 0);
    assert_int_equal(proof_of_key(&etags, NULL, "right", &right, proof_text, &err), 0);
    stored = lab_put_text(&lab, "other", proof_text);
    wrong = proof_stat(stored.etag);
    assert_int_equal(proof_of_key(&etags, lab.store, "other", &wrong, proof_text, &err), -EBADMSG);
    assert_int_equal(proof_of(&etags, NULL, &right, "123456780", &err), -EBADMSG);
}

static void proof_sums_a_file_in_pieces(void **state)
{
    (void)state;
    CLEANUP(scratch_fini) struct scratch dir = {0};
    scratch_init(&dir);
    scratch_write(&dir, "f", proof_text);
    struct proof_etags etags = {0};
    struct store_stat stat = proof_stat(proof_sum);
    CLEANUP(closep) int fd = open(scratch_at(&dir, "f"), O_RDONLY | O_CLOEXEC);
    {
        CLEANUP(proof_fini) struct proof p = {0};
        proof_feed(&p, &etags, &stat, fd, 4);
        assert_int_equal(p.done, 4);
        proof_feed(&p, &etags, &stat, fd, 4);
        proof_feed(&p, &etags, &stat, fd, 9);
        assert_int_equal(p.crc, 0xe3069283);
        assert_int_equal(proof_judge(&p, &etags, NULL, "k", &stat, NULL), 0);
    }
    CLEANUP(proof_fini) struct proof p = {0};
    proof_feed(&p, &etags, &stat, fd, 10); /* there are only nine */
    assert_int_equal(p.error, -ENODATA);
    assert_int_equal(proof_judge(&p, &etags, NULL, "k", &stat, NULL), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proof_holds_bytes_against_the_crc_of_their_writer),
        cmocka_unit_test(proof_takes_what_has_no_sum),
        cmocka_unit_test(proof_believes_etags_once_one_was_right),
        cmocka_unit_test(proof_asks_again_when_the_first_etag_is_wrong),
        cmocka_unit_test(proof_believes_a_right_etag_after_a_wrong_one),
        cmocka_unit_test(proof_keeps_what_others_have_learnt),
        cmocka_unit_test(proof_sums_a_file_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
