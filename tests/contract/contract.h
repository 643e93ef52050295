#ifndef BMFS_TESTS_CONTRACT_CONTRACT_H
#define BMFS_TESTS_CONTRACT_CONTRACT_H

/* What s3/store.h promises, as cases that run over every implementation and stack of layers.
 *
 *     contract [LOCATION [STACK [CASE]]]
 *
 * LOCATION: as in s3/location.h; "-" or nothing: a temporary directory. STACK: "plain", the store
 * as it is opened; "retry", below the retry layer; "sweep", the same with a fault layer in between
 * that fails the 1st, 2nd, 3rd... call of each case in each way, until a run passes without a hit:
 * a case must not notice. CASE: only those that this pattern (* and ?) matches. Keys are made under
 * a prefix of this run's own and removed at the end. */

#include "tests/unit/unit.h"

#include "base/buf.h"
#include "s3/store.h"

#include <errno.h>
#include <string.h>

struct contract {
    const char *location;
    const char *program; /* of this process, to be run again */
    struct store *st;    /* the whole stack */
    struct store *fault; /* a layer of it, borrowed; NULL if there is none */
    bool sweep;
    bool keeps_metadata; /* false: a directory on a file system without extended attributes */
    char prefix[128];    /* of this run of the case; ends in '/' */
    struct buf b;        /* for the case */
    struct err err;      /* the same */
};

struct contract_case {
    const char *name;
    void (*prepare)(struct contract *c); /* NULL, or once, before any fault; then all runs of the
                                            case have one prefix */
    void (*run)(struct contract *c);
    bool once; /* never swept: it is about threads or processes, or makes too many calls */
};

/* Ends with a case whose name is NULL. */
extern const struct contract_case contract_object_cases[];
extern const struct contract_case contract_key_cases[];
extern const struct contract_case contract_list_cases[];
extern const struct contract_case contract_race_cases[];

/* The prefix of the run, then `name`. Lives until the eighth next call. Not from other threads. */
const char *contract_key(const struct contract *c, const char *name);

/* Fails the case, with c->err, unless `r` is `want`. */
#define contract_expect(c, r, want) contract_expect_at(c, r, want, #r, __FILE__, __LINE__)
void contract_expect_at(const struct contract *c, int r, int want, const char *text,
                        const char *file, int line);

/* Opens the store of a location: 0 or a code with a message. `ret_prefix` is what keys there start
 * with. */
int contract_open(const char *location, struct store **ret, char *ret_prefix, size_t size,
                  struct err *err);

/* What a child process of a race does; the exit status. */
int contract_race_child(const char *location, char **argv);

#endif
