#ifndef BMFS_FS_CONTENT_H
#define BMFS_FS_CONTENT_H

/* What the bytes of a file are that is to be stored: how complete they are, and what goes before
 * them. Looks at the bytes and at what the caller knows of the matrix; asks nobody. */

#include "fs/head.h"
#include "fs/place.h"
#include "fs/stage.h"

enum content_state {
    CONTENT_EMPTY,
    CONTENT_PARTIAL, /* no more than an npy header yet */
    CONTENT_HOLES,   /* the right size, but some bytes were never written */
    CONTENT_WHOLE,
    CONTENT_WRONG, /* can never be stored there, or not known for an error */
};

struct content {
    enum content_state state;
    struct buf prefix;    /* what goes before the file's bytes: an npy header, or a stored header */
    bool prefix_only;     /* the file's own bytes are not sent */
    struct header header; /* of a header.json, once it was read */
};

void content_init(struct content *c);
void content_fini(struct content *c);

/* Looks at held bytes that are to have this place in a matrix with this head (NULL: without one).
 * Sets `c` up anew. 0; with the state CONTENT_WRONG -EINVAL, -EBADMSG (there is no usable
 * head), -EIO or -ENOMEM. */
int content_look(struct content *c, const struct stage_view *view, const struct place *place,
                 const struct head *head, struct err *err);

#endif
