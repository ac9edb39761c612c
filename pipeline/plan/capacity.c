#include "pipeline/plan/capacity.h"

#include "io/file/run_paths.h"
#include "kernels/amount.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/quota.h>
#include <sys/syscall.h>
#endif

enum { QUOTA_BLOCK = 1024 }; // the unit of a quota's limits

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// The number in a file, UINT64_MAX where there is none: "max", or no such file.
static uint64_t read_limit(const char *path)
{
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%" SCNu64, &limit) != 1)
            limit = UINT64_MAX;
        fclose(file);
    }
    return limit;
}

// Linux: the lowest limit on the way from this process's control group (version 2) to the root.
static uint64_t control_group_limit(void)
{
    char line[PATH_SIZE], path[2 * PATH_SIZE];
    uint64_t limit = read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes"); // version 1
    FILE *file = fopen("/proc/self/cgroup", "re");

    if (file == NULL)
        return limit;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        char *group = line + 3;
        group[strcspn(group, "\n")] = '\0';
        for (char *slash = group + strlen(group); slash != NULL; slash = strrchr(group, '/')) {
            *slash = '\0';
            path_format(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
            limit = smaller(limit, read_limit(path));
        }
    }
    fclose(file);
    return limit;
}

// Bytes of addresses that this process has and that are no memory: what libraries map and nobody touched.
static uint64_t only_mapped(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &size, &resident) != 2)
            size = resident;
        fclose(file);
    }
    return (size - resident) * (uint64_t)sysconf(_SC_PAGESIZE);
}

#if defined __linux__ && defined SYS_quotactl_fd

// Bytes that the quota of a user or a group leaves on the file system of an open folder.
static uint64_t quota_left(int folder, int kind, unsigned id)
{
    const unsigned command =
        (unsigned)Q_GETQUOTA << SUBCMDSHIFT | ((unsigned)kind & SUBCMDMASK); // QCMD shifts an int
    struct dqblk quota = {0};

    if (syscall(SYS_quotactl_fd, folder, command, id, &quota) != 0)
        return UINT64_MAX;
    const uint64_t limit = quota.dqb_bhardlimit != 0 ? quota.dqb_bhardlimit : quota.dqb_bsoftlimit;
    if (limit == 0)
        return UINT64_MAX;
    return limit * QUOTA_BLOCK > quota.dqb_curspace ? limit * QUOTA_BLOCK - quota.dqb_curspace : 0;
}

// Of the file systems of this machine's kernel; servers of NFS, Lustre and the like have ways of their own to
// tell, or count quotas as free space.
static uint64_t free_by_quota(const char *path)
{
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t left = UINT64_MAX;

    if (folder < 0)
        return left;
    left = smaller(quota_left(folder, USRQUOTA, geteuid()), quota_left(folder, GRPQUOTA, getegid()));
    close(folder);
    return left;
}

#else

static uint64_t free_by_quota(const char *path)
{
    (void)path;
    return UINT64_MAX;
}

#endif

// The file system of the nearest folder on the way up that is there.
static uint64_t free_space(const char *path, dev_t *device)
{
    char folder[PATH_SIZE];
    struct statvfs space;
    struct stat info;

    path_format(folder, sizeof folder, "%s", path);
    while (stat(folder, &info) != 0) {
        if (strcmp(folder, "/") == 0 || strcmp(folder, ".") == 0)
            return UINT64_MAX;
        char *up = dirname(folder);
        memmove(folder, up, strlen(up) + 1);
    }
    *device = info.st_dev;
    const uint64_t there =
        statvfs(folder, &space) == 0 ? (uint64_t)space.f_bavail * space.f_frsize : UINT64_MAX;
    return smaller(there, free_by_quota(folder));
}

void capacity_measure(struct capacity *capacity, const char *run, const char *output)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    dev_t run_device = 0, output_device = 0;
    struct rlimit limit;

    *capacity = (struct capacity){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, false};
    if (pages > 0 && page > 0)
        capacity->memory = (uint64_t)pages * (uint64_t)page;
    capacity->memory = smaller(capacity->memory, control_group_limit());
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        capacity->address_space = (uint64_t)limit.rlim_cur - smaller((uint64_t)limit.rlim_cur, only_mapped());
    capacity->run_free = free_space(run, &run_device);
    if (output != NULL)
        capacity->output_free = free_space(output, &output_device);
    capacity->output_shares_the_run = output != NULL && run_device == output_device;
}

// A line with two amounts of bytes at its end but for `last`.
static void warn(char *line, const char *what, uint64_t needed, const char *but, uint64_t has,
                 const char *last)
{
    char is_needed[32], is_there[32];
    snprintf(line, CAPACITY_WARNING_SIZE, "%s %s%s %s%s", what,
             amount_format((double)needed, "B", is_needed, sizeof is_needed), but,
             amount_format((double)has, "B", is_there, sizeof is_there), last);
}

size_t capacity_warn(char warnings[CAPACITY_WARNINGS][CAPACITY_WARNING_SIZE], const struct capacity *capacity,
                     const struct plan_cost *cost, size_t ranks_per_node, bool is_started)
{
    const uint64_t node = plan_cost_node(cost, ranks_per_node);
    const uint64_t process = cost->rank_bytes + cost->node_bytes;
    const bool together = capacity->output_shares_the_run;
    const uint64_t run = cost->statistics_bytes + cost->hessians_bytes + cost->activations_bytes +
                         cost->masks_bytes + cost->weights_bytes + (together ? cost->output_bytes : 0);
    size_t count = 0;

    if (node > capacity->memory) {
        char what[64];
        snprintf(what, sizeof what, "%zu ranks need, on each node,", ranks_per_node);
        warn(warnings[count++], what, node, " of memory, this machine has", capacity->memory,
             ": fewer ranks on a node need less");
    }
    if (process > capacity->address_space)
        warn(warnings[count++], "a rank needs", process, " of memory, a process may have",
             capacity->address_space, " here (ulimit -v)");
    if (!is_started && run > capacity->run_free)
        warn(warnings[count++],
             together ? "the run directory and the output need" : "the run directory needs", run, " of disk,",
             capacity->run_free, " are free there");
    if (!is_started && !together && cost->output_bytes > capacity->output_free)
        warn(warnings[count++], "the output needs", cost->output_bytes, " of disk,", capacity->output_free,
             " are free there");
    return count;
}
