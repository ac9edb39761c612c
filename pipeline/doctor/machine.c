#include "pipeline/doctor/machine.h"

#include "io/launched.h"
#include "kernels/amount.h"
#include "kernels/blas_kernel.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"
#include "pipeline/plan/costs/cores.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

// A rank that computes at less than this share of the quickest one holds up every wave of sequences.
static const double slow_share = 0.7;
// What MPI, HDF5 and a model of a hundred shards have open at once.
static const uint64_t enough_open_files = 256;
// Where the ranks of a node share a layer. A layer of 7 billion parameters' model takes 0.8 GB.
static const double enough_shared_memory = 1e9;

// What one rank says of itself.
struct rank_facts {
    char node[64], kernel[BLAS_KERNEL_NAME_SIZE];
    double rate; // operations a second in float32, all ranks at once
    uint64_t cores, memory, free_memory, shared_memory, address_limit, file_limit, open_files;
    uint64_t node_ranks, is_node_first;
};

static uint64_t limit_of(int resource)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return (uint64_t)limit.rlim_cur;
}

static void tell_of_self(struct rank_facts *facts, const struct team *world)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct blas_kernel_rate rate = {0};
    struct statvfs shared;

    gethostname(facts->node, sizeof facts->node - 1);
    snprintf(facts->kernel, sizeof facts->kernel, "%s", blas_kernel_name());
    if (blas_kernel_measure(&rate, NULL) == STATUS_OK)
        facts->rate = rate.f32;
    facts->cores = allowed_cores();
    facts->memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * page;
    facts->free_memory = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * page;
    facts->shared_memory =
        statvfs("/dev/shm", &shared) == 0 ? (uint64_t)shared.f_bavail * shared.f_frsize : 0;
    facts->address_limit = limit_of(RLIMIT_AS);
    facts->file_limit = limit_of(RLIMIT_FSIZE);
    facts->open_files = limit_of(RLIMIT_NOFILE);
    facts->node_ranks = (uint64_t)world->node_size;
    facts->is_node_first = world->node_rank == 0;
}

// ---- what follows from it, on rank 0 ---------------------------------------------------------------------

static void judge_ranks(struct findings *findings, const struct rank_facts *facts, size_t ranks)
{
    size_t nodes = 0;
    for (size_t r = 0; r < ranks; r++)
        nodes += facts[r].is_node_first != 0;
    findings_add(findings, "ranks", VERDICT_FACT, "%zu on %zu node%s", ranks, nodes, nodes == 1 ? "" : "s");
    if (ranks == 1)
        findings_add(findings, "ranks", VERDICT_FACT,
                     "started alone: mpirun or srun with the ranks of a job tells more");
}

static void judge_products(struct findings *findings, const struct rank_facts *facts, size_t ranks)
{
    size_t slowest = 0, quickest = 0;
    char least[32], most[32];

    for (size_t r = 1; r < ranks; r++) {
        slowest = facts[r].rate < facts[slowest].rate ? r : slowest;
        quickest = facts[r].rate > facts[quickest].rate ? r : quickest;
    }
    amount_format(facts[slowest].rate, "flop/s", least, sizeof least);
    amount_format(facts[quickest].rate, "flop/s", most, sizeof most);
    findings_add(findings, "products", VERDICT_FACT,
                 "kernels %s, processor has %s; a thread in float32, all ranks at once: %s%s%s",
                 facts[0].kernel, simd_instructions(), least, slowest == quickest ? "" : " to ",
                 slowest == quickest ? "" : most);
    if (strcmp(facts[0].kernel, BLAS_KERNEL_PORTABLE) == 0)
        findings_add(findings, "products", VERDICT_CAREFUL,
                     "portable kernels, which use no vector instructions: coppice help run, --kernel");
    if (facts[slowest].rate < slow_share * facts[quickest].rate)
        findings_add(
            findings, "products", VERDICT_CAREFUL,
            "rank %zu on %s is the slowest, and the others wait for it: something else runs there, or "
            "ranks share a core",
            slowest, facts[slowest].node);
}

static void judge_cores(struct findings *findings, const struct rank_facts *facts, size_t ranks, int threads)
{
    const uint64_t wanted = threads > 0 ? (uint64_t)threads : 1;

    findings_add(findings, "cores", VERDICT_FACT, "a rank may use %llu", (unsigned long long)facts[0].cores);
    for (size_t r = 0; r < ranks; r++) {
        const uint64_t together = facts[r].node_ranks * wanted;
        const long online = sysconf(_SC_NPROCESSORS_ONLN);
        if (facts[r].cores < wanted) {
            findings_add(findings, "cores", VERDICT_CAREFUL,
                         "rank %zu on %s may use %llu core%s for its %llu threads: with Open MPI, mpirun "
                         "--bind-to none",
                         r, facts[r].node, (unsigned long long)facts[r].cores, facts[r].cores == 1 ? "" : "s",
                         (unsigned long long)wanted);
            return;
        }
        if (r == 0 && online > 0 && together > (uint64_t)online) {
            findings_add(findings, "cores", VERDICT_CAREFUL,
                         "%llu ranks of %llu thread%s share the %ld cores of %s",
                         (unsigned long long)facts[r].node_ranks, (unsigned long long)wanted,
                         wanted == 1 ? "" : "s", online, facts[r].node);
            return;
        }
    }
}

static void judge_memory(struct findings *findings, const struct rank_facts *facts, size_t ranks)
{
    char all[32], unused[32], shared[32];

    for (size_t r = 0; r < ranks; r++) {
        if (facts[r].is_node_first == 0)
            continue;
        const double room = (double)facts[r].shared_memory;
        amount_format((double)facts[r].memory, "B", all, sizeof all);
        amount_format((double)facts[r].free_memory, "B", unused, sizeof unused);
        amount_format(room, "B", shared, sizeof shared);
        if (r == 0)
            findings_add(findings, "memory", VERDICT_FACT, "%s: %s, %s unused; /dev/shm has room for %s",
                         facts[r].node, all, unused, shared);
        if (room < enough_shared_memory)
            findings_add(findings, "memory", VERDICT_CAREFUL,
                         "/dev/shm of %s has room for %s; the ranks of a node keep a layer there",
                         facts[r].node, shared);
    }
}

static void judge_limits(struct findings *findings, const struct rank_facts *facts, size_t ranks)
{
    char text[32];

    for (size_t r = 0; r < ranks; r++) {
        if (facts[r].is_node_first == 0)
            continue;
        if (facts[r].address_limit != UINT64_MAX)
            findings_add(findings, "limits", VERDICT_CAREFUL,
                         "%s: a process may have %s of addresses (ulimit -v)", facts[r].node,
                         amount_format((double)facts[r].address_limit, "B", text, sizeof text));
        if (facts[r].file_limit != UINT64_MAX)
            findings_add(findings, "limits", VERDICT_CAREFUL, "%s: a file may have %s (ulimit -f)",
                         facts[r].node, amount_format((double)facts[r].file_limit, "B", text, sizeof text));
        if (facts[r].open_files < enough_open_files)
            findings_add(
                findings, "limits", VERDICT_CAREFUL,
                "%s: a process may have %llu files open (ulimit -n); a model of many shards needs more",
                facts[r].node, (unsigned long long)facts[r].open_files);
    }
}

static bool is_on_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[4096];

    while (path != NULL && *path != '\0') {
        const size_t length = strcspn(path, ":");
        if (snprintf(file, sizeof file, "%.*s/%s", (int)length, path, program) < (int)sizeof file &&
            access(file, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

static void look_at_scheduler(struct findings *findings)
{
    const char *job = launched_in_job();

    if (job != NULL)
        findings_add(findings, "Slurm", VERDICT_FACT, "this is job %s", job);
    else
        findings_add(findings, "Slurm", VERDICT_FACT, "%s",
                     is_on_path("sbatch") ? "sbatch is here; this is no job of it"
                                          : "there is no sbatch here");
}

enum status machine_look(struct findings *findings, int threads, const struct team *world, struct error *err)
{
    const size_t ranks = (size_t)world->size;
    struct rank_facts *facts = NULL;
    enum status status = allocate(&facts, ranks, sizeof *facts, "what the ranks say", err);

    GOTO_IF_ERROR(team_agree(world, status, err), done);
    team_barrier(world); // products are measured beside those of the others, as in a job
    tell_of_self(&facts[world->rank], world);
    GOTO_IF_ERROR(team_allgather(world, facts, ranks, sizeof *facts, err), done);
    if (world->rank != 0)
        goto done;
    judge_ranks(findings, facts, ranks);
    judge_products(findings, facts, ranks);
    judge_cores(findings, facts, ranks, threads);
    judge_memory(findings, facts, ranks);
    judge_limits(findings, facts, ranks);
    look_at_scheduler(findings);
done:
    free(facts);
    return status;
}
