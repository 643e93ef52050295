#include "base/log.h"

#include "base/lock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 2048 };

static _Atomic int log_level = LOG_LEVEL_INFO;
static _Atomic bool log_syslog;

static pthread_mutex_t log_mu = PTHREAD_MUTEX_INITIALIZER;
/* guarded by log_mu: */
static log_hook_fn *log_hook;
static void *log_hook_arg;

void log_set_level(enum log_level level)
{
    log_level = (int)level;
}

bool log_enabled(enum log_level level)
{
    return (int)level <= log_level;
}

void log_to_syslog(const char *program)
{
    openlog(program, LOG_PID, LOG_DAEMON);
    log_syslog = true;
}

void log_set_hook(log_hook_fn *fn, void *arg)
{
    LOCK_SCOPE(&log_mu);
    log_hook = fn;
    log_hook_arg = arg;
}

static void log_call_hook(const char *line)
{
    LOCK_SCOPE(&log_mu);
    if (log_hook)
        log_hook(log_hook_arg, line);
}

void log_line(enum log_level level, const char *layer, const char *fmt, ...)
{
    static const char *const name[] = {"error", "warning", "info", "debug"};
    static const int priority[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    if (!log_enabled(level))
        return;
    char line[LOG_LINE_MAX];
    int n = snprintf(line, sizeof(line), "%s %s: ", name[level], layer);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (m < 0)
        return;
    size_t len = strlen(line);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < ' ')
            line[i] = '?'; /* names come from outside: one event stays one line */
    }
    if (level <= LOG_LEVEL_WARN)
        log_call_hook(line);
    if (log_syslog) {
        syslog(priority[level], "%s", line);
        return;
    }
    line[len] = '\n';
    (void)write_full(STDERR_FILENO, line, len + 1);
}
