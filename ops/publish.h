#ifndef BMFS_OPS_PUBLISH_H
#define BMFS_OPS_PUBLISH_H

/* A file that gets its name when it is complete, and not before.
 *
 * The bytes go to a scratch file ".bm-<random>" in the same directory, are synced, and only then
 * linked to their name: link(2) is atomic and never replaces, on local disks, NFS, Lustre and bmfs
 * alike. Whoever finds the name finds the whole file; of several writers the first one wins.
 *
 *     CLEANUP(publish_drop) struct publish p = PUBLISH_NONE;
 *     r = publish_begin(dir_fd, &p, err);
 *     ... write_full(p.fd, ...) ...
 *     r = publish_link(&p, "block_0_0", err);
 *
 * Thread-safe, each publish used by one thread. */

#include "base/err.h"

enum { PUBLISH_NAME_SIZE = 32 };

struct publish {
    int dir; /* borrowed */
    int fd;  /* of the scratch file, for writing and reading back; -1 when there is none */
    char name[PUBLISH_NAME_SIZE];
    bool synced;          /* all of it is on the disk */
    struct publish *next; /* among those under way in this process */
};

#define PUBLISH_NONE ((struct publish){.fd = -1})

/* Makes the scratch file. 0, or -errno with a message that names no file. */
int publish_begin(int dir, struct publish *p, struct err *err);

/* Makes what was written durable, ahead of publish_link(). 0 or -errno. */
int publish_sync(struct publish *p, struct err *err);

/* Gives the file its name and lets go of the scratch file. 0; -EEXIST when the name is taken, and
 * the scratch file is then still there; or -errno. */
int publish_link(struct publish *p, const char *name, struct err *err);

/* The same, replacing what has the name. */
int publish_replace(struct publish *p, const char *name, struct err *err);

/* Removes the scratch file, if it is still there. */
void publish_drop(struct publish *p);

/* True for the names of scratch files, whoever left them. */
bool publish_is_scratch(const char *name);

/* Removes the scratch files of all threads, for a process that must end at once; no further one is
 * made and no file gets a name after this. The caller ends the process. */
void publish_end(void);

#endif
