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

/* Our cgroup below the mount of version 2: "/user.slice/job". */
static bool machine_group(char group[MACHINE_TEXT_MAX])
{
    char text[MACHINE_TEXT_MAX];
    if (!machine_read("/proc/self/cgroup", text))
        return false;
    const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return false;
    line = strchr(line, '/');
    (void)snprintf(group, MACHINE_TEXT_MAX, "%.*s", line ? (int)strcspn(line, "\n") : 0,
                   line ? line : "");
    return true;
}

/* Calls fn with a file's text in our cgroup and in each one above it. */
static void machine_each(const char *file, void (*fn)(const char *text, void *arg), void *arg)
{
    char group[MACHINE_TEXT_MAX];
    char path[MACHINE_PATH_MAX + MACHINE_TEXT_MAX];
    char text[MACHINE_TEXT_MAX];
    if (!machine_group(group))
        return;
    for (int depth = 0; depth < MACHINE_DEPTH_MAX; depth++) {
        (void)snprintf(path, sizeof(path), "%s%s/%s", machine_cgroups, group, file);
        if (machine_read(path, text))
            fn(text, arg);
        char *slash = strrchr(group, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

/* "200000 100000": microseconds of processor time in each period; "max" for any. */
static void machine_quota(const char *text, void *arg)
{
    int *cpus = arg;
    char *end = NULL;
    intmax_t quota = strtoimax(text, &end, 10);
    intmax_t period = end != text ? strtoimax(end, NULL, 10) : 0;
    if (quota > 0 && period > 0)
        *cpus = (int)MIN((intmax_t)*cpus, MAX((quota + period - 1) / period, (intmax_t)1));
}

static void machine_bytes(const char *text, void *arg)
{
    uint64_t *bytes = arg;
    char *end = NULL;
    uintmax_t limit = strtoumax(text, &end, 10);
    if (end != text && limit > 0)
        *bytes = MIN(*bytes, (uint64_t)limit);
}

int machine_cpus(void)
{
    cpu_set_t set;
    const char *slurm = getenv("SLURM_CPUS_PER_TASK"); /* NOLINT(concurrency-mt-unsafe): not set */
    intmax_t given = slurm ? strtoimax(slurm, NULL, 10) : 0;
    int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        cpus = CPU_COUNT(&set);
    machine_each("cpu.max", machine_quota, &cpus);
    if (given > 0)
        cpus = (int)MIN((intmax_t)cpus, given);
    return MAX(cpus, 1);
}

uint64_t machine_memory(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    machine_each("memory.max", machine_bytes, &bytes);
    return bytes;
}
