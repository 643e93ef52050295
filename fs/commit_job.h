#ifndef BMFS_FS_COMMIT_JOB_H
#define BMFS_FS_COMMIT_JOB_H

/* One attempt to store the held bytes of a writer: the requests of it, for fs/commit.c, which
 * decides when they are made and what becomes of a failure. All functions block. */

#include "fs/content.h"
#include "fs/early.h"
#include "fs/writer.h"

struct commit_job {
    struct writer *w;
    struct folder *dir; /* where to; a reference */
    struct place place; /* where to */
    struct head *head;  /* of the matrix, a reference, or NULL */
    struct stage_view view;
    struct content content;
    char *key;
    char if_match[STORE_ETAG_SIZE];
    bool if_any; /* whatever is there */
    char write_id[STORE_WRITE_ID_SIZE];
    bool incomplete;            /* what was kept is not a whole file */
    bool own;                   /* stores under the writer's own name */
    int early;                  /* blocks that came before this header */
    char note[EARLY_NOTE_SIZE]; /* of them; "" */
    bool stays;                 /* the bytes are still to be stored under the writer's own name */
    bool or_same;               /* the same bytes may be there already */
};

/* Finds out what the held bytes are: -errno when they are nothing that may be stored. */
int commit_look(struct commit_job *job, struct err *err);

/* Whether they are a whole file, then. */
bool commit_is_whole(const struct commit_job *job);

/* Whether a header may be stored; 0, or -errno. */
int commit_check_header(struct commit_job *job, struct err *err);

/* Tells the journal of the put that is about to be made: should this process die before it knows
 * what became of it, the write id tells. */
int commit_sign(struct commit_job *job);

/* Stores the held bytes where the job says, and tells the cache and the directory. On success
 * *ret_stat is the new version. */
int commit_put(struct commit_job *job, struct store_stat *ret_stat, struct err *err);

#endif
