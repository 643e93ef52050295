#include "tools/progress.h"

#include "base/buf.h"
#include "matrix/json.h"
#include "ops/publish.h"
#include "tools/output.h"
#include "tools/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    PROGRESS_LOOK_MS = 200,
    PROGRESS_LINE_MAX = 512,
    PROGRESS_RATES_MAX = 128,
    PROGRESS_BAR_WIDTH = 24,
    PROGRESS_COLUMNS = 80, /* of a terminal that does not say */
};

static const int64_t progress_delay_ns = 1000000000; /* auto shows nothing before */
static const int64_t progress_least_ns = 5000000000; /* between two lines of a log */
static const int64_t progress_most_ns = 30000000000;
static const int progress_signal[PROGRESS_SIGNALS] = {SIGINT, SIGTERM, SIGUSR1};

static int progress_wake_fd = -1; /* written before the handlers are there */

/* --- what is shown --- */

/* The watch at one moment. */
struct progress_view {
    int64_t done, total;
    double seconds; /* since the start */
    double rate_read, rate_written, gflops;
    int64_t left_s; /* -1: unknown */
};

static struct progress_view progress_look(const struct progress *p)
{
    const struct watch *w = p->watch;
    struct progress_view v = {.done = w->steps_done, .total = w->steps, .left_s = -1};
    v.seconds = (double)(clock_ns() - p->start_ns) * 1e-9;
    v.done = MIN(v.done, v.total);
    if (v.seconds > 0) {
        v.rate_read = (double)w->bytes_read / v.seconds;
        v.rate_written = (double)w->bytes_written / v.seconds;
        v.gflops = (double)w->flops / v.seconds * 1e-9;
    }
    if (v.done > 0)
        v.left_s = (int64_t)(v.seconds * (double)(v.total - v.done) / (double)v.done);
    return v;
}

/* Rounded down: 100 means all. */
static int progress_percent(const struct progress_view *v)
{
    return v->total > 0 ? (int)((double)v->done / (double)v->total * 100) : 0;
}

/* " 183 GFLOP/s  in 2.1 GB/s  out 0.4 GB/s", without what is 0. */
static void progress_rates(const struct progress_view *v, char *dst, size_t size)
{
    char in[TEXT_BYTES_SIZE];
    char out[TEXT_BYTES_SIZE];
    int n = 0;
    dst[0] = '\0';
    if (v->gflops > 0)
        n += snprintf(dst, size, "  %.1f GFLOP/s", v->gflops);
    if (v->rate_read > 0)
        n += snprintf(dst + n, size - (size_t)n, "  in %s/s", text_bytes(v->rate_read, in));
    if (v->rate_written > 0)
        (void)snprintf(dst + n, size - (size_t)n, "  out %s/s", text_bytes(v->rate_written, out));
}

static void progress_bar(const struct progress *p, const struct progress_view *v)
{
    char line[PROGRESS_LINE_MAX];
    char rates[PROGRESS_RATES_MAX];
    char bar[(size_t)PROGRESS_BAR_WIDTH + 1];
    char eta[TEXT_TIME_SIZE];
    struct winsize window;
    int columns = PROGRESS_COLUMNS;
    int full = v->total > 0 ? (int)(PROGRESS_BAR_WIDTH * ((double)v->done / (double)v->total)) : 0;
    memset(bar, '-', PROGRESS_BAR_WIDTH);
    memset(bar, '#', (size_t)full);
    bar[PROGRESS_BAR_WIDTH] = '\0';
    progress_rates(v, rates, sizeof(rates));
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
        columns = window.ws_col;
    (void)snprintf(line, sizeof(line), "%s  [%s]  %lld/%lld %s  %d%%%s  ETA %s", p->conf.label, bar,
                   (long long)v->done, (long long)v->total, p->conf.unit, progress_percent(v),
                   rates, text_time(v->left_s, eta));
    (void)fprintf(stderr, "\r%.*s\x1b[K", columns - 1, line);
}

static void progress_now(char *dst, size_t size)
{
    struct tm tm;
    time_t now = time(NULL);
    dst[0] = '\0';
    if (gmtime_r(&now, &tm))
        (void)strftime(dst, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void progress_log(const struct progress *p, const struct progress_view *v)
{
    char rates[PROGRESS_RATES_MAX];
    char stamp[32];
    char eta[TEXT_TIME_SIZE];
    progress_now(stamp, sizeof(stamp));
    progress_rates(v, rates, sizeof(rates));
    (void)fprintf(stderr, "%s %s  %lld/%lld %s  %d%%%s  ETA %s\n", stamp, p->conf.label,
                  (long long)v->done, (long long)v->total, p->conf.unit, progress_percent(v), rates,
                  text_time(v->left_s, eta));
}

static void progress_json(const struct progress *p, const struct progress_view *v)
{
    CLEANUP(buf_fini) struct buf label = BUF_INIT(PROGRESS_LINE_MAX);
    char stamp[32];
    progress_now(stamp, sizeof(stamp));
    if (json_print_string(p->conf.label, &label) < 0)
        return;
    (void)fprintf(stderr,
                  "{\"time\": \"%s\", \"label\": %s, \"unit\": \"%s\", \"done\": %lld, "
                  "\"total\": %lld, \"seconds\": %.3f, \"bytes_read\": %llu, "
                  "\"bytes_written\": %llu, \"gflops\": %.3f}\n",
                  stamp, buf_text(&label), p->conf.unit, (long long)v->done, (long long)v->total,
                  v->seconds, (unsigned long long)p->watch->bytes_read,
                  (unsigned long long)p->watch->bytes_written, v->gflops);
}

static void progress_show(struct progress *p, enum progress_mode mode)
{
    struct progress_view v = progress_look(p);
    if (mode == PROGRESS_BAR)
        progress_bar(p, &v);
    else if (mode == PROGRESS_JSON)
        progress_json(p, &v);
    else
        progress_log(p, &v);
    (void)fflush(stderr);
    p->shown = true;
    p->shown_ns = clock_ns();
    p->shown_tenth = progress_percent(&v) / 10;
}

/* Leaves the line of a bar, so that something else can be printed. */
static void progress_clear(struct progress *p)
{
    if (p->mode == PROGRESS_BAR && p->shown)
        (void)fputs("\r\x1b[K", stderr);
}

/* --- when --- */

static bool progress_is_due(const struct progress *p, const struct progress_view *v)
{
    if (p->mode == PROGRESS_NONE || v->total == 0 || clock_ns() < p->quiet_until_ns)
        return false;
    if (p->mode == PROGRESS_BAR)
        return true;
    int64_t pause_ns = clock_ns() - p->shown_ns;
    return pause_ns >= progress_most_ns ||
           (pause_ns >= progress_least_ns && progress_percent(v) / 10 > p->shown_tenth);
}

/* What became of the output, and how to go on: "" when there is none. */
static void progress_hint(const struct progress *p, char *dst, size_t size)
{
    char header[PATH_MAX];
    char stored[OUTPUT_STORED_SIZE];
    const char *path = p->conf.output;
    dst[0] = '\0';
    if (!path || snprintf(header, sizeof(header), "%s/header.json", path) >= PATH_MAX ||
        access(header, F_OK) < 0)
        return; /* it had not come to be */
    (void)snprintf(dst, size, "%s is incomplete%s: %s", path,
                   p->conf.resumable ? output_stored(path, stored) : "",
                   p->conf.resumable ? "the same command with --resume goes on"
                                     : "remove it, or start again with --force");
}

static void progress_end_process(struct progress *p, int signo)
{
    for (size_t i = 0; i < PROGRESS_SIGNALS; i++)
        (void)signal(progress_signal[i], SIG_DFL); /* a second one need not be waited for */
    progress_clear(p);
    struct progress_view v = progress_look(p);
    const char *what = signo == SIGINT ? "interrupted" : "terminated";
    char hint[PATH_MAX + OUTPUT_STORED_SIZE + 100];
    (void)fprintf(stderr, "%s: %s at %lld/%lld %s\n", p->conf.tool, what, (long long)v.done,
                  (long long)v.total, p->conf.unit);
    progress_hint(p, hint, sizeof(hint));
    if (hint[0])
        (void)fprintf(stderr, "  hint: %s\n", hint);
    publish_end();
    p->conf.interrupted(p->conf.arg, what, hint);
    (void)fflush(NULL);
    _exit(128 + signo);
}

static void progress_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    for (size_t i = 0; i < PROGRESS_SIGNALS; i++)
        (void)sigaddset(set, progress_signal[i]);
}

static void *progress_thread(void *arg)
{
    struct progress *p = arg;
    sigset_t set;
    (void)pthread_setname_np(pthread_self(), "progress");
    progress_signals(&set);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (;;) {
        struct pollfd fd = {.fd = p->wake[0], .events = POLLIN};
        char byte = 0;
        if (poll(&fd, 1, PROGRESS_LOOK_MS) > 0 && read(p->wake[0], &byte, 1) == 1) {
            if (byte == 0)
                return NULL;
            if (byte != SIGUSR1)
                progress_end_process(p, byte);
            progress_clear(p);
            progress_show(p, p->mode == PROGRESS_JSON ? PROGRESS_JSON : PROGRESS_LOG);
        }
        struct progress_view v = progress_look(p);
        if (progress_is_due(p, &v))
            progress_show(p, p->mode);
    }
}

/* --- start and stop --- */

static void progress_handle(int signo)
{
    int saved = errno;
    char byte = (char)signo;
    ssize_t n = write(progress_wake_fd, &byte, 1);
    (void)n; /* a full pipe holds enough signals already */
    errno = saved;
}

/* The mode, and whether it is for the first second too. */
static int progress_choose(struct progress *p, struct err *err)
{
    static const struct {
        const char *name;
        enum progress_mode mode;
    } modes[] = {{"none", PROGRESS_NONE},
                 {"bar", PROGRESS_BAR},
                 {"log", PROGRESS_LOG},
                 {"json", PROGRESS_JSON}};
    const char *how = p->conf.how ? p->conf.how : p->conf.quiet ? "none" : "auto";
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (strcmp(how, modes[i].name) == 0) {
            p->mode = modes[i].mode;
            return 0;
        }
    }
    if (strcmp(how, "auto") != 0) {
        (void)err_set(err, -EINVAL, "--progress: '%s' is no way to show progress", how);
        err_hint(err, "one of auto, bar, log, json, none");
        return -EINVAL;
    }
    const char *term = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    bool ci = getenv("CI") != NULL;    /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    bool can = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    p->mode = can && !ci ? PROGRESS_BAR : PROGRESS_LOG;
    p->quiet_until_ns = p->start_ns + progress_delay_ns;
    return 0;
}

/* Who started us with a signal ignored, as nohup and shells do for jobs in the background, wants
 * that kept. SIGUSR1 is ignored by ourselves until there is something to say. */
static void progress_catch(struct progress *p)
{
    const struct sigaction action = {.sa_handler = progress_handle, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < PROGRESS_SIGNALS; i++) {
        int signo = progress_signal[i];
        (void)sigaction(signo, NULL, &p->before[i]);
        if (p->before[i].sa_handler != SIG_IGN || signo == SIGUSR1)
            (void)sigaction(signo, &action, NULL);
    }
}

/* Signals do again what they did before. */
static void progress_release(struct progress *p)
{
    sigset_t set;
    for (size_t i = 0; i < PROGRESS_SIGNALS; i++)
        (void)sigaction(progress_signal[i], &p->before[i], NULL);
    progress_signals(&set);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int progress_start(struct progress *p, const struct progress_conf *conf, struct watch *watch,
                   struct err *err)
{
    sigset_t set;
    *p = (struct progress){.conf = *conf, .watch = watch, .start_ns = clock_ns(), .wake = {-1, -1}};
    p->shown_ns = p->start_ns;
    int r = progress_choose(p, err);
    if (r < 0)
        return r;
    if (pipe2(p->wake, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_errno(err, -errno, "cannot make a pipe");
    progress_wake_fd = p->wake[1];
    progress_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    progress_catch(p);
    p->started = pthread_create(&p->thread, NULL, progress_thread, p) == 0;
    if (!p->started)
        progress_release(p); /* then nothing is shown, and signals end the process as ever */
    return 0;
}

void progress_stop(struct progress *p, bool done)
{
    if (!p->started)
        return;
    p->started = false;
    while (write_full(p->wake[1], "", 1) == -EAGAIN)
        (void)poll(NULL, 0, 1); /* full of signals, which the thread takes out */
    (void)pthread_join(p->thread, NULL);
    progress_release(p);
    closep(&p->wake[0]);
    closep(&p->wake[1]);
    if (p->mode == PROGRESS_BAR)
        progress_clear(p);
    else if (done && p->watch->steps > 0 && p->mode != PROGRESS_NONE && p->shown_tenth < 10 &&
             (p->shown || p->quiet_until_ns == 0))
        progress_show(p, p->mode);
}
