#include "tools/pin.h"

#include "ops/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char pin_variable[] = "OPENBLAS_CORETYPE";
static const char pin_done[] = "BM_CORE_PINNED"; /* ",Haswell,Zen": each is tried once */

static char **pin_argv; /* a copy, ended by NULL; lives as long as the process */

void pin_init(int argc, char **argv)
{
    pin_argv = calloc((size_t)argc + 1, sizeof(*argv));
    if (pin_argv)
        memcpy(pin_argv, argv, (size_t)argc * sizeof(*argv));
}

/* The list with another core; the caller's, or NULL when it has that already. */
static char *pin_list(const char *done, const char *core)
{
    char *list = NULL;
    char *item = NULL;
    if (asprintf(&item, ",%s", core) < 0)
        return NULL;
    const char *at = done ? strstr(done, item) : NULL;
    bool tried = at && (at[strlen(item)] == ',' || !at[strlen(item)]);
    if (!tried && asprintf(&list, "%s%s", done ? done : "", item) < 0)
        list = NULL;
    free(item);
    return list;
}

/* Does not return, unless it cannot be done. */
static void pin_again(const char *core)
{
    /* NOLINTBEGIN(concurrency-mt-unsafe): no thread has been started that looks at them */
    CLEANUP(freep) char *list = pin_list(getenv(pin_done), core);
    if (!pin_argv || !list)
        return;
    if (setenv(pin_variable, core, 1) == 0 && setenv(pin_done, list, 1) == 0)
        (void)execv("/proc/self/exe", pin_argv);
    (void)unsetenv(pin_done);
    /* NOLINTEND(concurrency-mt-unsafe) */
}

void pin_best(void)
{
    const char *chosen = getenv(pin_variable); /* NOLINT(concurrency-mt-unsafe): see above */
    const char *core = chosen ? NULL : kernel_better_core();
    if (core)
        pin_again(core);
}

int pin_core(const char *core, struct err *err)
{
    if (!core || strcmp(core, kernel_core()) == 0)
        return 0;
    if (kernel_can_run(core))
        pin_again(core);
    return err_set(err, -EINVAL, "it was begun on a %s, whose bits this %s cannot give", core,
                   kernel_core());
}
