#ifndef BMFS_S3_DIR_H
#define BMFS_S3_DIR_H

/* An object store in a local directory: the whole contract of s3/store.h without a server.
 *
 * Objects are plain files at their key's path (s3/dir_path.h), so that `cp` and `ls` work on them;
 * files that other programs put there are objects too.
 *
 * Version. The ETag is made of inode number, size and time of change in nanoseconds, which a put
 * sets itself to the nanosecond. A program that writes into a file in place can fool it only within
 * one tick of the kernel's clock, or on a file system that keeps whole seconds.
 *
 * Put. The body goes to a file in `.bmfs-store/tmp`, is synced, and takes the key's name in one
 * step; directories are made and synced as needed. It has the group and the access list that a file
 * in that folder gets, whose mode is that of the store's directory. Where that folder and the
 * target are on different file systems, the file is `.bmfs-store-*` beside its target; if the
 * machine stops just then, that one file stays behind. The others are removed at a later dir_new(),
 * when nobody holds them and they are an hour old.
 *
 * Conditions. What replaces or deletes a key holds a lock of `.bmfs-store/lock` (64 of them, by
 * hash of the key) for the compare and the change, across processes and, where the file system has
 * shared locks, across machines. A program that does not come through here is not held off. The
 * folder must not be removed while the store is in use.
 *
 * Checksum and write id live in the extended attribute `user.bmfs.put` together with the size and
 * the time that they belong to; a later change in place makes them void. A file system without such
 * attributes drops them silently.
 *
 * Links. A symbolic link to a regular file is an object with the content and version of its target,
 * if the link belongs to this user or to the owner of the directory; put and del replace and remove
 * the link. Links to directories are not followed, so that no key leaves the directory and no
 * listing runs in circles. Other kinds of files are never opened and are no objects.
 *
 * List. A directory is a common prefix if an object is below it. The search for one ends after
 * 1,000 names or 16 levels, and then says yes. */

#include "s3/store.h"

/* Opens `path`, an existing directory. With `read_only` nothing is ever written below it; without,
 * nothing until the first put or del, but temporary files of dead processes are removed. 0; -ENXIO
 * when there is no such directory; -EACCES; -ENOMEM; -EIO. */
int dir_new(const char *path, bool read_only, struct store **ret, struct err *err);

#endif
