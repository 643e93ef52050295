#include "ops/machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MACHINE_PATH_MAX = 4096, MACHINE_TEXT_MAX = 4096, MACHINE_DEPTH_MAX = 64 };

static const char machine_cgroups[] = "/sys/fs/cgroup";

/* A small file as text; false when it cannot be read. */
static bool machine_read(const char *path, char text[MACHINE_TEXT_MAX])
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, MACHINE_TEXT_MAX - 1) : -1;
    text[MAX(n, (ssize_t)0)] = '\0';
    return n > 0;
}

/* A file of a cgroup. */
static bool machine_read_in(const char *dir, const char *file, char text[MACHINE_TEXT_MAX])
{
    char path[2 * MACHINE_PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    return machine_read(path, text);
}

/* Whether a list as "cpu,cpuacct" has an entry; version 2 has an empty list. */
static bool machine_lists(const char *list, size_t len, const char *name)
{
    size_t n = strlen(name);
    for (size_t at = 0; n > 0 && at + n <= len; at++) {
        bool begins = at == 0 || list[at - 1] == ',';
        bool ends = at + n == len || list[at + n] == ',';
        if (begins && ends && strncmp(list + at, name, n) == 0)
            return true;
    }
    return n == 0 && len == 0;
}

/* Our cgroup for a controller of version 1, or for "" the one of version 2: its directory, as
 * "/sys/fs/cgroup/memory/job", and how much of that is the mount. False when there is none. */
static bool machine_group(const char *controller, char dir[MACHINE_PATH_MAX], size_t *ret_mount)
{
    char text[MACHINE_TEXT_MAX];
    if (!machine_read("/proc/self/cgroup", text))
        return false;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t end = strcspn(line, "\n");
        const char *list = memchr(line, ':', end);
        const char *path = list ? memchr(list + 1, ':', end - (size_t)(list + 1 - line)) : NULL;
        int len = path ? (int)(path - list) - 1 : 0;
        if (!path || !machine_lists(list + 1, (size_t)len, controller))
            continue;
        int mount = snprintf(dir, MACHINE_PATH_MAX, "%s%s%.*s", machine_cgroups, len > 0 ? "/" : "",
                             len, list + 1);
        *ret_mount = (size_t)mount;
        (void)snprintf(dir + mount, MACHINE_PATH_MAX - (size_t)mount, "%.*s",
                       (int)(line + end - path) - 1, path + 1);
        return true;
    }
    return false;
}

/* Calls fn with our cgroup's directory and that of each one above it. */
static void machine_each(const char *controller, void (*fn)(const char *dir, void *arg), void *arg)
{
    size_t mount = 0;
    char dir[MACHINE_PATH_MAX];
    if (!machine_group(controller, dir, &mount))
        return;
    for (int depth = 0; depth < MACHINE_DEPTH_MAX; depth++) {
        fn(dir, arg);
        char *slash = strrchr(dir + mount, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

static void machine_share(int *cpus, intmax_t quota, intmax_t period)
{
    if (quota > 0 && period > 0)
        *cpus = (int)MIN((intmax_t)*cpus, MAX((quota + period - 1) / period, (intmax_t)1));
}

/* Microseconds of processor time in each period: "200000 100000", or "max" or -1 for any. */
static void machine_quota(const char *dir, void *arg)
{
    char text[MACHINE_TEXT_MAX];
    char period[MACHINE_TEXT_MAX];
    char *end = NULL;
    if (machine_read_in(dir, "cpu.max", text)) {
        intmax_t quota = strtoimax(text, &end, 10);
        machine_share(arg, quota, end != text ? strtoimax(end, NULL, 10) : 0);
    }
    if (machine_read_in(dir, "cpu.cfs_quota_us", text) &&
        machine_read_in(dir, "cpu.cfs_period_us", period))
        machine_share(arg, strtoimax(text, NULL, 10), strtoimax(period, NULL, 10));
}

static void machine_limit(const char *dir, void *arg)
{
    static const char *const file[] = {"memory.max", "memory.limit_in_bytes"};
    for (size_t i = 0; i < ARRAY_SIZE(file); i++) {
        uint64_t *bytes = arg;
        char text[MACHINE_TEXT_MAX];
        char *end = text;
        uintmax_t limit = machine_read_in(dir, file[i], text) ? strtoumax(text, &end, 10) : 0;
        if (end != text && limit > 0)
            *bytes = MIN(*bytes, (uint64_t)limit);
    }
}

int machine_cpus(void)
{
    cpu_set_t set;
    const char *slurm = getenv("SLURM_CPUS_PER_TASK"); /* NOLINT(concurrency-mt-unsafe): not set */
    intmax_t given = slurm ? strtoimax(slurm, NULL, 10) : 0;
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        cpus = CPU_COUNT(&set);
    machine_each("", machine_quota, &cpus);
    machine_each("cpu", machine_quota, &cpus);
    if (given > 0)
        cpus = (int)MIN((intmax_t)cpus, given);
    return MAX(cpus, 1);
}

uint64_t machine_memory(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    machine_each("", machine_limit, &bytes);
    machine_each("memory", machine_limit, &bytes);
    return bytes;
}
