#ifndef BMFS_BASE_LOG_H
#define BMFS_BASE_LOG_H

/* One line an event: `level layer: message key=value`.
 *
 * Only fs/ and tools/ log above debug; libraries fill a `struct err`. Lines go to standard error,
 * or to syslog once the daemon has left its terminal. Thread-safe; a line is written whole.
 * Never log a secret: keys, tokens and signatures do not belong in any message. */

#include "base/util.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above `level` are dropped. Default: LOG_LEVEL_INFO to standard error. */
void log_set_level(enum log_level level);

/* True when lines of `level` are wanted: to skip building an expensive message. */
bool log_enabled(enum log_level level);

/* From now on lines go to syslog as `program`[pid]. */
void log_to_syslog(const char *program);

/* Called with each line that is written at LOG_LEVEL_WARN or worse, so that the mount can show its
 * latest errors as a file. One hook; NULL removes it. `fn` must not log. */
typedef void log_hook_fn(void *arg, const char *line);
void log_set_hook(log_hook_fn *fn, void *arg);

void log_line(enum log_level level, const char *layer, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_error(layer, ...) log_line(LOG_LEVEL_ERROR, layer, __VA_ARGS__)
#define log_warn(layer, ...)  log_line(LOG_LEVEL_WARN, layer, __VA_ARGS__)
#define log_info(layer, ...)  log_line(LOG_LEVEL_INFO, layer, __VA_ARGS__)
#define log_debug(layer, ...)                              \
    do {                                                   \
        if (log_enabled(LOG_LEVEL_DEBUG))                  \
            log_line(LOG_LEVEL_DEBUG, layer, __VA_ARGS__); \
    } while (0)

#endif
