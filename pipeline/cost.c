// What a plan costs in memory, on disk and in arithmetic, from shapes alone.
#include "io/store.h"
#include "kernels/logits.h"
#include "kernels/select.h"
#include "pipeline/plan.h"
#include "stages/evaluate.h"
#include "stages/layer_weights.h"
#include "stages/measure.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Planning does without MPI. Open MPI 4.1 adds 11 to 13 MB to a rank, at 2 as at 16 ranks of a node.
static const uint64_t mpi_bytes = 16000000;

// Resident bytes of this process as it stands: the program and its libraries.
static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &size, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

struct stage_memory {
    uint64_t calibrate, score, compensate, evaluate;
};

static uint64_t forward_bytes(const struct model *model, size_t tokens)
{
    const struct decoder_config *config = &model->config.decoder;
    return sizeof(float) * (decoder_workspace_size(config, tokens) + tokens * config->hidden_size +
                            tokens * config->rotary_dim);
}

static void add_layer_memory(struct stage_memory *memory, const struct layer_map *map, size_t ranks)
{
    uint64_t channels = 0;
    for (size_t i = 0; i < map->num_sources; i++)
        channels += map->source_channels[i];
    // A sequence's partial sums, the slice that is summed, what is received, and the totals.
    memory->calibrate = larger(memory->calibrate, 4 * 3 * channels * sizeof(double));
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        const uint64_t rows = (tensor->out + ranks - 1) / ranks;
        if (tensor->linear[0] == '\0')
            continue;
        memory->score = larger(memory->score, rows * mask_row_bytes(tensor->in) + 40 * tensor->in);
        memory->compensate = larger(
            memory->compensate, tensor->out * (mask_row_bytes(tensor->in) + 32) + 24 * tensor->in +
                                    rows * tensor->in * (dtype_size(tensor->tensor->dtype) + sizeof(float)));
    }
}

// Measuring outputs: a forward pass and its products, and of the linears that are measured together masks and
// sums: one sequence's, its slices, what is received, and both parts' totals, all twice with energy
// compensation.
static void add_measured_memory(struct stage_memory *memory, const struct layer_map *map,
                                const struct model *model, size_t tokens)
{
    uint64_t masks = 0, out = 0, in = 0;
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (tensor->linear[0] == '\0')
            continue;
        masks += tensor->out * mask_row_bytes(tensor->in);
        out += tensor->out;
        in = larger(in, tensor->in);
    }
    memory->compensate = larger(memory->compensate, masks + 2 * 6 * OUTPUT_SUMS * out * sizeof(double) +
                                                        measure_workspace(tokens, in) * sizeof(float) +
                                                        forward_bytes(model, tokens));
}

static void add_layer_disk(struct plan_cost *cost, const struct plan *plan, const struct layer_map *map)
{
    const struct settings *settings = plan->settings;
    const uint64_t streams = settings->propagation == PROPAGATION_DENSE ? 1 : settings->num_variants;
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (tensor->linear[0] == '\0')
            continue;
        cost->statistics_bytes += streams * (4 * tensor->in + 1) * sizeof(double);
        cost->masks_bytes += settings->num_variants * tensor->out * mask_row_bytes(tensor->in);
        cost->weights_bytes +=
            settings->num_variants *
            (tensor->out * tensor->in * dtype_size(tensor->tensor->dtype) + 4 * tensor->out * sizeof(double));
    }
}

// Streams of hidden states that went through a variant's own layers.
static uint64_t own_streams(const struct settings *settings)
{
    uint64_t streams = 0;
    for (size_t v = 0; v < settings->num_variants; v++)
        streams += stream_owner(settings, &settings->variants[v]) != NULL;
    return streams;
}

// Layers whose hidden states of the dense stream are on disk at a time; `files` of a stream that is trimmed.
static uint64_t dense_files(const struct settings *settings, uint64_t files, size_t layers)
{
    if (settings->propagation != PROPAGATION_DENSE && dense_stream_readers(settings) == 0)
        return 0;
    return dense_stream_is_kept(settings) ? layers - 1 : files;
}

enum status plan_cost(struct plan_cost *cost, const struct plan *plan, size_t ranks, struct error *err)
{
    const struct model *model = plan->model;
    const struct settings *settings = plan->settings;
    const size_t hidden_size = model->config.decoder.hidden_size, layers = model->config.num_hidden_layers;
    struct stage_memory memory = {0};
    struct lm_head head;
    bool measures = false, matches = false;
    size_t floats;

    for (size_t v = 0; v < settings->num_variants; v++) {
        measures = measures || variant_measures(&settings->variants[v]);
        matches = matches || variant_matches(&settings->variants[v]);
    }
    memset(cost, 0, sizeof *cost);
    FORWARD_IF_ERROR(layer_weights_size(&floats, model, err));
    for (size_t layer = 0; layer < layers; layer++) {
        struct layer_map map;
        FORWARD_IF_ERROR(layer_map_create(&map, model, layer, err));
        add_layer_memory(&memory, &map, ranks);
        if (measures)
            add_measured_memory(&memory, &map, model, settings->length);
        add_layer_disk(cost, plan, &map);
        layer_map_free(&map);
    }
    memory.calibrate += forward_bytes(model, settings->length);
    model_lm_head(&head, model);
    if (settings->perplexity != NULL) {
        const size_t length = settings->evaluate_length;
        const size_t windows = evaluation_windows_in_memory(model, SIZE_MAX / 2, length, ranks);
        memory.evaluate =
            forward_bytes(model, length) +
            sizeof(float) * (lm_head_workspace_size(&head, length - 1) + windows * length * hidden_size);
    }
    // Matching keeps the pruned layer beside the dense one.
    cost->node_bytes = (uint64_t)floats * sizeof(float) * (matches ? 2 : 1);
    cost->rank_bytes =
        resident_bytes() + mpi_bytes +
        larger(larger(memory.calibrate, memory.evaluate), larger(memory.score, memory.compensate));
    cost->peak_bytes = cost->rank_bytes + cost->node_bytes;

    const uint64_t files = settings->keep_activations ? layers - 1 : layers > 2 ? 2 : layers - 1;
    cost->activations_bytes = (own_streams(settings) * files + dense_files(settings, files, layers)) *
                              settings->sequences * settings->length * hidden_size * sizeof(float);
    cost->output_bytes =
        settings->output != NULL ? settings->num_variants * checkpoint_bytes(model->checkpoint) : 0;
    cost->work = plan->work;
    return STATUS_OK;
}
