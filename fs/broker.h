#ifndef BMFS_FS_BROKER_H
#define BMFS_FS_BROKER_H

/* A small process that keeps the one privilege a mount goes on needing.
 *
 * Passthrough and unmounting want CAP_SYS_ADMIN. The daemon reads what servers send, so it should
 * not have it: before it starts its threads it forks the broker and gives up every capability but
 * those for reaching files. The broker does three things on request over a socket and knows nothing
 * else; it ends when the daemon does. Without the privilege (a mount by an ordinary user) there is
 * no broker, and no passthrough.
 *
 * Threads: broker_start() before there are any; the rest from any thread. */

#include "base/err.h"

struct broker;

/* Forks the broker. 0; -EPERM when this process has not got the privilege itself (*ret is NULL);
 * -errno. */
int broker_start(struct broker **ret, struct err *err);

/* Hands over the descriptor of the FUSE connection, once it is mounted, and drops this thread's
 * capabilities (those of threads started later follow). 0 or -errno. */
int broker_take_over(struct broker *b, int fuse_fd, const char *mountpoint, struct err *err);

/* Registers a file for passthrough: > 0 is its backing id; -errno. */
int broker_backing_open(struct broker *b, int fd);
void broker_backing_close(struct broker *b, int backing);

/* Detaches the mount. 0 or -errno. */
int broker_unmount(struct broker *b);

/* Lets the broker go. NULL is fine. */
void broker_stop(struct broker *b);

#endif
