#ifndef BMFS_FS_RESOLVE_H
#define BMFS_FS_RESOLVE_H

/* From a name in a directory to the node that the kernel is given for it.
 *
 * First from memory: what is being written, what was seen within the last second, what a listing
 * said. Else from the store, with as few requests as will do; that blocks and belongs on the pool
 * `names`. */

#include "fs/node.h"
#include "fs/place.h"

struct found {
    struct node *node; /* with one look-up counted: give it to the kernel or found_drop() it */
    double entry_s;    /* how long the kernel may trust the name */
    double attr_s;     /* and the attributes */
};

/* From memory: 1 with *ret; 0 when the store must be asked; -ENOENT when the name cannot be; or
 * another error. `tid` is the thread that asks. */
int resolve_known(struct folder *d, const char *name, pid_t tid, struct found *ret);

/* From the store. Blocks. 0 with *ret; -ENOENT; or an error of the store. */
int resolve_ask(struct folder *d, const char *name, pid_t tid, struct found *ret, struct err *err);

/* The place of a name in a directory as it is known now. As place_find(). */
int resolve_place_locked(struct folder *d, const char *name, bool make, struct place *ret,
                         struct err *err);

/* Makes sure that names in the directory can be understood: that its header is known, if it has
 * one. Blocks. 0 or -errno. */
int resolve_prepare(struct folder *d, const char *name, struct err *err);

/* What close itself does not store, as a file without a byte, is stored a moment after the last
 * one: this stores the file of this name, or (NULL) all in the directory, so that whoever asks next
 * finds it. Blocks. */
void resolve_settle(struct folder *d, const char *name);

void found_drop(struct found *f);
void found_entry(const struct found *f, struct fuse_entry_param *ret);

/* The place of an object that has a node: what is to be written when that is opened for writing.
 * 0; -EPERM for objects in a matrix's directory that are no blocks of it; -EBADMSG. */
int resolve_place_of_locked(const struct node *n, struct place *ret, struct err *err);

/* Holds the first bytes of a block against the header of its matrix, once for a version, and notes
 * how they differ. `o` is the node's block, opened. Blocks if they are not there. */
void resolve_look(struct node *n, struct object *o);

/* Sets aside a node for the look-ups that follow an ESTALE: those of this place by this thread get
 * it (the kernel asks twice: to find that the old node is gone, and for the new one) until the
 * thread opens it. Holds a reference for a few seconds at most. resolve_unreserve_locked(): ends
 * that; whether there was any. */
void resolve_reserve_locked(struct node *n, const struct place *place, pid_t tid);
bool resolve_unreserve_locked(struct node *n, pid_t tid);

/* Frees what is left of reservations. */
void resolve_fini(struct fs *fs);

#endif
