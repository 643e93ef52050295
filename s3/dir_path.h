#ifndef BMFS_S3_DIR_PATH_H
#define BMFS_S3_DIR_PATH_H

/* Where the local-directory store keeps an object: key <-> path below the directory, one to one.
 *
 * A key is cut at its slashes; each part is a file name, a directory for all parts but the last.
 * Nearly every key is its own path. What a file name cannot hold is written with an escape:
 *
 *   part                              file name
 *   "" (of "a//b", "a/", "/a")        %00
 *   "." and ".."                      %2E and %2E%2E
 *   one that starts ".bmfs-store"     %2Ebmfs-store...    that name is the store's own
 *   '%' before two hex digits         %25                 any other '%' stays
 *   one longer than 255 as a name     its first 84 bytes with %01 after them, a directory in which
 *                                     the rest follows by the same rules
 *
 * 84 is what always fits: three bytes each at worst, and the mark. A path that no key gives, say
 * "a%41" or a short piece that ends in %01, belongs to no object and is ignored by the listing. */

#include "s3/store.h"

/* The folder in which the store keeps temporary files and locks; also how any other name starts
 * that the store uses for itself. */
#define DIR_PATH_HIDDEN ".bmfs-store"

enum {
    DIR_PATH_NAME_MAX = 255, /* bytes of a file name, without NUL */
    DIR_PATH_PIECE = 84,     /* bytes of a part in each piece of it but the last */
    /* The NUL included. The key that grows most is all slashes: a byte becomes "%00/". */
    DIR_PATH_SIZE = 4 * (STORE_KEY_MAX + 1),
};

/* 0; -EINVAL for an empty key; -ENAMETOOLONG for one beyond STORE_KEY_MAX. */
int dir_path_from_key(const char *key, char ret_path[static DIR_PATH_SIZE]);

/* The directory that holds the keys which start with prefix[0..len): nothing, or STORE_KEY_MAX
 * bytes at most that end in a slash. */
void dir_path_from_prefix(const char *prefix, size_t len, char ret_path[static DIR_PATH_SIZE]);

/* 0, or -EINVAL when no key has this path. */
int dir_path_to_key(const char *path, char ret_key[static STORE_KEY_MAX + 1]);

/* One part of a key (no slash in it) as a relative path of one or more names. Returns its length.
 * `dst` has room for 4 * (len + 1) bytes. */
size_t dir_path_encode(const char *part, size_t len, char *dst);

/* The bytes that one name stands for: their number (DIR_PATH_NAME_MAX at most, no NUL is added), or
 * -EINVAL when no part is stored under this name. *ret_more: the part goes on inside of this
 * directory. */
int dir_path_decode(const char *name, char ret_part[static DIR_PATH_NAME_MAX], bool *ret_more);

#endif
