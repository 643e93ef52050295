#ifndef BMFS_TESTS_UNIT_S3_CALLS_H
#define BMFS_TESTS_UNIT_S3_CALLS_H

/* System calls that fail, or run something first, when told: the linker puts these wrappers before
 * those of libc (meson.build has the list). Only the thread that armed them is struck. */

#include "base/util.h"

/* The nth call from now on, of `name` or of any wrapped function when that is NULL, fails with
 * `code` (an errno value). nth = 0: all of them. */
void calls_fail(const char *name, int nth, int code);

/* The same, but runs `fn` and then the call. */
typedef void calls_fn(void *arg);
void calls_before(const char *name, int nth, calls_fn *fn, void *arg);

/* Besides, and until it is called with NULL, while armed: the first `times` calls of `name` (0:
 * all) fail with `code`. They are not hits. */
void calls_besides(const char *name, int times, int code);

/* Moves clock_ms() on. */
void calls_clock_add(int64_t ms);

/* Lets everything through again. Returns how often it struck since it was armed. */
int calls_end(void);

/* The function that was struck last, "" if none. */
const char *calls_struck(void);

/* Calls of `name` since it was armed; what was armed need not strike. */
int calls_count(const char *name);

/* The order of calls since it was armed: the position of the nth call of `name`, from 1; 0 when
 * there were not so many. */
int calls_position(const char *name, int nth);

/* Directory entries come without their type, as on some file systems. */
void calls_hide_types(bool hide);

#endif
