#include "pipeline/plan/measure.h"

#include "io/file/commit.h"
#include "io/file/run_paths.h"
#include "io/model/layer_map.h"
#include "io/model/model.h"
#include "io/model/tensor_rows.h"
#include "kernels/gemm.h"
#include "kernels/threads.h"
#include "pipeline/plan/costs/cores.h"
#include "stages/work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const double longest = 0.7;    // seconds for each of the measurements
static const double most_work = 20e9; // operations of one pass: a fraction of a second
enum { FEWEST_TOKENS = 16, TRIES = 1000, COMMITS = 5 };

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// ---- a layer ----------------------------------------------------------------------------------------------

struct trial {
    const struct model *model;
    struct layer_map map;
    struct decoder_layer layer, float32; // as the job computes; as others do
    struct rotary_table rotary;
    size_t tokens;
    float *block; // in memory that neighbours share, as the ranks of a node do
    float *states, *workspace;
};

static size_t block_bytes(const struct trial *trial)
{
    return trial->map.block_size * sizeof(float);
}

static void expand(void *context)
{
    struct trial *trial = context;
    for (size_t i = 0; i < trial->map.num_tensors; i++) {
        const struct layer_tensor *entry = &trial->map.tensors[i];
        tensor_rows_f32(trial->block + entry->offset, entry, 0, entry->out);
    }
}

// Hidden states that no layer makes overflow.
static void fill(struct trial *trial)
{
    const size_t count = trial->tokens * state_size(&trial->model->config.decoder);
    for (size_t i = 0; i < count; i++)
        trial->states[i] = 0.01F * (float)((i * 2654435761U >> 16) % 201) - 1;
}

static enum status prepare(struct trial *trial, const struct model *model, const struct settings *settings,
                           struct error *err)
{
    const struct decoder_config *config = &model->config.decoder;

    trial->model = model;
    FORWARD_IF_ERROR(layer_map_create(&trial->map, model, 0, err));
    trial->tokens = settings->length;
    while (trial->tokens / 2 >= FEWEST_TOKENS &&
           layer_forward_work(model, &trial->map, trial->tokens) > most_work)
        trial->tokens /= 2;
    FORWARD_IF_ERROR(model_rotary_table(&trial->rotary, model, trial->tokens, err));
    void *block = mmap(NULL, block_bytes(trial), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    RETURN_ERROR_IF(block == MAP_FAILED, err, STATUS_MEMORY,
                    "out of memory: %zu bytes for a layer to measure", block_bytes(trial));
    trial->block = block;
    FORWARD_IF_ERROR(allocate_aligned(&trial->states, trial->tokens * state_size(config), sizeof(float),
                                      "a sequence to measure", err));
    return allocate_aligned(&trial->workspace, decoder_workspace_size(config, trial->tokens), sizeof(float),
                            "a layer to measure", err);
}

static void release(struct trial *trial)
{
    free(trial->workspace);
    free(trial->states);
    if (trial->block != NULL)
        (void)munmap(trial->block, block_bytes(trial));
    rotary_table_free(&trial->rotary);
    layer_map_free(&trial->map);
}

static void pass(void *context)
{
    struct trial *trial = context;
    fill(trial);
    decoder_layer_forward(&trial->model->config.decoder, &trial->layer, &trial->rotary, trial->states,
                          trial->tokens, trial->workspace, NULL);
}

static void pass_in_float32(void *context)
{
    struct trial *trial = context;
    fill(trial);
    decoder_layer_forward(&trial->model->config.decoder, &trial->float32, &trial->rotary, trial->states,
                          trial->tokens, trial->workspace, NULL);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// The middle time of many after a first one that warms up: processors change their speed from one tenth of a
// second to the next. In this thread's own time, which other programs that want the core do not lengthen.
static double time_of(void (*step)(void *), struct trial *trial)
{
    const double begun = seconds_of(CLOCK_MONOTONIC);
    double times[TRIES];
    size_t count = 0;

    step(trial);
    while (count < 1 || (count < TRIES && seconds_of(CLOCK_MONOTONIC) - begun < longest)) {
        const double before = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        step(trial);
        times[count++] = seconds_of(CLOCK_THREAD_CPUTIME_ID) - before;
    }
    qsort(times, count, sizeof *times, compare);
    return times[count / 2];
}

// Cores besides this one that the ranks of a node keep busy, of those that there are here.
static size_t busy_neighbours(const struct machine *machine)
{
    const size_t busy = machine->ranks_per_node * machine->threads, cores = allowed_cores();
    return (busy < cores ? busy : cores) - 1;
}

static enum status measure_layer(struct machine *machine, struct trial *trial, const struct plan *plan,
                                 struct error *err)
{
    const struct model *model = plan->model;
    const double before = machine->flops;
    struct neighbours neighbours;

    threads_set(1); // rates are one core's
    FORWARD_IF_ERROR(prepare(trial, model, plan->settings, err));
    FORWARD_IF_ERROR(gemm_prepare(err));
    expand(trial);
    layer_map_bind(&trial->layer, &trial->map, model, trial->block);
    struct model as_others = *model;
    as_others.compute = COMPUTE_FLOAT32;
    layer_map_bind(&trial->float32, &trial->map, &as_others, trial->block);
    const enum status status = neighbours_start(&neighbours, busy_neighbours(machine), pass, trial, err);
    if (status == STATUS_OK) {
        machine->convert = plan->sizes.layers[0].checkpoint / time_of(expand, trial);
        const double seconds = time_of(pass_in_float32, trial);
        machine->flops = layer_forward_work(model, &trial->map, trial->tokens) / seconds;
        machine->compute =
            model->compute == COMPUTE_FLOAT32 ? machine->compute : seconds / time_of(pass, trial);
    }
    neighbours_stop(&neighbours);
    const double faster = machine->flops / before;
    machine->score *= faster;
    machine->compensate *= faster;
    machine->correct *= faster;
    machine->correct_groups *= faster;
    return status;
}

// ---- a commit ---------------------------------------------------------------------------------------------

// The nearest folder above the run directory that is there.
static void find_folder(char folder[PATH_SIZE], const char *run)
{
    path_format(folder, PATH_SIZE, "%s", run);
    for (char *slash = strrchr(folder, '/'); access(folder, F_OK) != 0 && slash != NULL;
         slash = strrchr(folder, '/'))
        slash[slash == folder ? 1 : 0] = '\0';
    if (access(folder, F_OK) != 0)
        path_format(folder, PATH_SIZE, ".");
}

// Where nothing can be written the rate stays.
static void measure_commit(struct machine *machine, const char *run)
{
    char folder[PATH_SIZE], path[PATH_SIZE];
    double best = INFINITY;

    find_folder(folder, run);
    path_format(path, sizeof path, "%s/.coppice-plan-%ld", folder, (long)getpid());
    for (int i = 0; i < COMMITS; i++) {
        const double before = seconds_of(CLOCK_MONOTONIC);
        if (commit_bytes(path, "measured\n", 9, NULL) != STATUS_OK)
            return;
        best = fmin(best, seconds_of(CLOCK_MONOTONIC) - before);
        (void)unlink(path);
    }
    machine->commit = best;
}

enum status machine_measure(struct machine *machine, const struct plan *plan, struct error *err)
{
    struct trial trial = {0};
    const enum status status = measure_layer(machine, &trial, plan, err);

    release(&trial);
    if (status == STATUS_OK)
        measure_commit(machine, plan->settings->run);
    return status;
}
