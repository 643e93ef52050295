#ifndef BMFS_OPS_MACHINE_H
#define BMFS_OPS_MACHINE_H

/* What this process may use of the machine. */

#include "base/util.h"

/* Processors: the least of what the scheduler's affinity, the cgroup's quota (rounded up) and
 * SLURM_CPUS_PER_TASK allow; at least 1. Of both versions of cgroups. */
int machine_cpus(void);

/* Bytes of memory: the least of what the machine has and what each cgroup on the way up allows. */
uint64_t machine_memory(void);

#endif
