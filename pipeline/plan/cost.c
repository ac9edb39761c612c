#include "pipeline/plan/cost.h"

#include "io/model/layer_map.h"
#include "io/store/store.h"
#include "kernels/forward/logits.h"
#include "kernels/pruning/masks/candidates.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/admm.h"
#include "kernels/pruning/solving/least_squares.h"
#include "kernels/pruning/solving/second_order.h"
#include "kernels/threads.h"
#include "stages/budget/held_out.h"
#include "stages/evaluate/perplexity.h"
#include "stages/evaluate/tasks.h"
#include "stages/export/part_slices.h"
#include "stages/layer/gram.h"
#include "stages/layer/gram_batches.h"
#include "stages/layer/hessian.h"
#include "stages/layer/layer_trial.h"
#include "stages/layer/layer_weights.h"
#include "stages/layer/measure.h"
#include "stages/layer/model_trial.h"
#include "stages/prune/auto.h"
#include "stages/prune/curve_file.h"
#include "stages/prune/curve_solver.h"
#include "stages/prune/curves.h"
#include "stages/prune/cuts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Planning does without MPI. Open MPI 4.1 adds 11 to 13 MB to a rank, at 2 as at 16 ranks of a node.
static const uint64_t mpi_bytes = 16000000;
// Of each thread more: the blocks of matrices that it packs (kernels/gemm.h), and a row that it has in hand.
static const uint64_t thread_bytes = 9500000;

// What HDF5 keeps of a dataset while its file is written, by experience.
static const uint64_t dataset_bytes = 7500;

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

// A stage that needs no more than the others has no entry. tests/e2e/memory.sh compares the most with real
// peaks.
struct stage_memory {
    uint64_t of_rank[STAGE_COUNT]; // while it carries the stage out
    uint64_t curves;               // of the equations that curves are solved by, shared by a node
    uint64_t factor;               // of sparsegpt's Hessian, shared by a node
    uint64_t equations;            // of least squares, likewise
    uint64_t solving;              // of a rank while it gathers and solves them
    uint64_t order;                // of an order of channels while it is found, shared by a node
};

static void need(struct stage_memory *memory, enum stage_kind stage, uint64_t bytes)
{
    memory->of_rank[stage] = larger(memory->of_rank[stage], bytes);
}

static uint64_t forward_bytes(const struct model *model, size_t tokens)
{
    const struct decoder_config *config = &model->config.decoder;
    return sizeof(float) * (decoder_workspace_size(config, tokens) + tokens * state_size(config) +
                            tokens * config->rotary_dim +
                            (model->config.alibi != ALIBI_NONE ? tokens * config->num_attention_heads : 0));
}

// Whether any variant is solved for by least squares.
static bool needs_equations(const struct settings *settings)
{
    for (size_t v = 0; v < settings->num_variants; v++)
        if (variant_solves(&settings->variants[v]) || variant_is_joint(&settings->variants[v]))
            return true;
    return false;
}

static bool solves_curves(const struct settings *settings)
{
    for (size_t v = 0; v < settings->num_variants; v++)
        if (curves_are_solved(&settings->variants[v]))
            return true;
    return false;
}

static bool needs_hessian(const struct settings *settings)
{
    for (size_t v = 0; v < settings->num_variants; v++)
        if (method_needs(settings->variants[v].method) & NEEDS_HESSIAN)
            return true;
    return false;
}

// The most masks that are cut from one linear's scores at a time: with pruned propagation each variant has
// its own.
static uint64_t masks_at_once(const struct settings *settings)
{
    uint64_t most = 1;
    for (size_t v = 0; v < settings->num_variants && settings->propagation == PROPAGATION_DENSE; v++) {
        uint64_t masks = 0;
        for (size_t u = 0; u < settings->num_variants; u++)
            masks += variants_share_scores(&settings->variants[v], &settings->variants[u]) ? 1 : 0;
        most = larger(most, masks < SCORE_BATCH ? masks : SCORE_BATCH);
    }
    return most;
}

static size_t divide_up(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

// Orders of channels: what ranks share, and some rows of scores.
static void add_order_memory(struct stage_memory *memory, const struct plan *plan,
                             const struct layer_tensor *tensor)
{
    for (size_t v = 0; v < plan->settings->num_variants; v++) {
        const struct variant *variant = &plan->settings->variants[v];
        const uint64_t bytes = variant->permute ? order_cost(tensor, plan->model, variant->of).bytes : 0;
        memory->order = larger(memory->order, bytes);
        if (bytes > 0)
            need(memory, STAGE_SCORE, 160 * tensor->in);
    }
}

static void add_layer_memory(struct stage_memory *memory, const struct plan *plan,
                             const struct layer_map *map, size_t ranks)
{
    const bool hessian = needs_hessian(plan->settings), solved = solves_curves(plan->settings);
    const uint64_t masks = masks_at_once(plan->settings);
    uint64_t channels = 0, linears = 0;
    for (size_t i = 0; i < map->num_sources; i++)
        channels += map->source_channels[i];
    for (size_t i = 0; i < map->num_tensors; i++)
        linears += map->tensors[i].linear[0] != '\0' ? 1 : 0;
    // A sequence's partial sums, the slice that is summed, the slices received, and the totals; their file.
    need(memory, STAGE_CALIBRATE,
         4 * 3 * channels * sizeof(double) + linears * 5 * dataset_bytes +
             (hessian || solved ? hessian_rank_bytes(plan->settings, plan->model, map, ranks) : 0));
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        const uint64_t rows = divide_up(tensor->out, ranks), in = tensor->in;
        if (!tensor_is_pruned(plan->settings, map->layer, tensor))
            continue;
        need(memory, STAGE_SCORE, masks * rows * mask_row_bytes(in) + 40 * in);
        add_order_memory(memory, plan, tensor);
        need(memory, STAGE_CURVES,
             (tensor->out + rows) * mask_row_bytes(in) + 40 * in +
                 (solved ? curve_solver_rank_bytes(in) : 0));
        if (solved)
            memory->curves = larger(memory->curves, curve_solver_shared_bytes(in));
        need(memory, STAGE_COMPENSATE,
             tensor->out * (mask_row_bytes(in) + 32) + 24 * in +
                 rows * in * (dtype_size(tensor->tensor->dtype) + sizeof(float)));
        if (!hessian)
            continue;
        // Rows in double and what becomes of them, the errors and scores of a block of columns.
        const uint64_t most = divide_up(rows, HESSIAN_ROWS / 2) * (HESSIAN_ROWS / 2);
        need(memory, STAGE_SCORE,
             most * (12 * in + mask_row_bytes(in) + 12 * SECOND_ORDER_COLUMNS) +
                 8 * SECOND_ORDER_COLUMNS * SECOND_ORDER_COLUMNS);
        need(memory, STAGE_COMPENSATE,
             tensor->out * (mask_row_bytes(in) + 32) + 24 * in +
                 rows * in * (dtype_size(tensor->tensor->dtype) + 2 * sizeof(float)));
        memory->factor = larger(memory->factor, in * in * sizeof(double));
    }
}

// Measuring outputs: a forward pass and its products, and of the linears that are measured together masks and
// sums: one sequence's, its slices, those received, and both parts' totals, all twice with energy
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
    need(memory, STAGE_COMPENSATE,
         masks + 2 * 6 * OUTPUT_SUMS * out * sizeof(double) +
             larger(measure_workspace(tokens, in), layer_trial_workspace(model, tokens)) * sizeof(float) +
             forward_bytes(model, tokens));
}

// Least squares adds to that the equations, and a solution of all linears that share an input.
static enum status add_solving_memory(struct stage_memory *memory, const struct layer_map *map,
                                      const struct plan *plan, size_t ranks, struct error *err)
{
    const struct settings *settings = plan->settings;
    const size_t routed = plan->model->config.decoder.num_experts_per_tok;
    uint64_t widest = 0, most = 0, channels = 0;
    const struct layer_tensor **linears = NULL;
    bool inverts = false;

    FORWARD_IF_ERROR(allocate(&linears, map->num_tensors, sizeof *linears, "a layer's linears", err));
    const size_t count = linears_by_depth(linears, settings, map);
    const uint64_t products = gram_batches_bytes(linears, count, map);
    for (size_t i = 0; i < count;
         i++) // a token's inputs of the experts that it is routed to, or of two streams
        channels = larger(channels, (linears[i]->expert ? routed : 2) * linears[i]->in);
    free(linears);

    for (size_t v = 0; v < settings->num_variants; v++)
        inverts = inverts || (method_needs(settings->variants[v].method) & NEEDS_EQUATIONS) != 0;

    for (size_t source = 0; source < map->num_sources; source++) {
        const uint64_t in = map->source_channels[source];
        uint64_t rows = 0;
        for (size_t i = 0; i < map->num_tensors; i++)
            if (map->tensors[i].source == source && tensor_is_pruned(settings, map->layer, &map->tensors[i]))
                rows += map->tensors[i].out;
        widest = rows > 0 ? larger(widest, in) : widest;
        most = larger(most, rows * in);
    }
    uint64_t of_rank = gram_rank_bytes(channels, widest, settings->length, ranks) +
                       sizeof(double) * (least_squares_workspace(widest) + 3 * LEAST_SQUARES_ROWS * widest);
    if (inverts) // the state of this rank's rows
        of_rank += sizeof(float) * (divide_up(most, ranks) + admm_workspace(widest));
    memory->solving = larger(memory->solving, of_rank);
    memory->equations = larger(memory->equations, products + (widest * widest + most) * sizeof(float) +
                                                      (inverts ? widest * widest * sizeof(double) : 0));
    return STATUS_OK;
}

// Choosing masks: those of all candidates, and a forward pass with its inputs and outputs; of experts it
// measures outputs.
static void add_choosing_memory(struct stage_memory *memory, const struct layer_map *map,
                                const struct model *model, size_t tokens)
{
    uint64_t group = 0, experts = 0, expert = 0, in = 0, out = 0;
    size_t candidates;

    importance_candidates(&candidates);
    for (size_t source = 0; source < map->num_sources; source++) {
        uint64_t masks = 0;
        for (size_t i = 0; i < map->num_tensors; i++) {
            const struct layer_tensor *tensor = &map->tensors[i];
            const uint64_t bytes = tensor->out * mask_row_bytes(tensor->in);
            if (tensor->linear[0] == '\0' || tensor->source != source)
                continue;
            if (!tensor->expert) {
                masks += bytes;
                continue;
            }
            experts += bytes;
            expert = larger(expert, bytes);
            in = larger(in, tensor->in);
            out += tensor->out;
        }
        group = larger(group, masks);
    }
    const uint64_t measuring =
        candidates * 6 * OUTPUT_SUMS * out * sizeof(double) + measure_workspace(tokens, in) * sizeof(float);
    need(memory, STAGE_SCORE,
         auto_memory(group, experts, expert) + forward_bytes(model, tokens) +
             larger(layer_trial_workspace(model, tokens) * sizeof(float), experts > 0 ? measuring : 0));
}

static bool allocates(const struct settings *settings)
{
    for (size_t v = 0; v < settings->num_variants; v++)
        if (settings->variants[v].allocation != ALLOCATION_UNIFORM)
            return true;
    return false;
}

// Bytes of the files of a layer.
static void add_layer_disk(struct plan_cost *cost, const struct settings *settings,
                           const struct layer_size *layer)
{
    const bool dense = settings->propagation == PROPAGATION_DENSE;
    const bool solved = solves_curves(settings);
    const uint64_t hessian = needs_hessian(settings) || solved ? (uint64_t)layer->hessian : 0;
    uint64_t streams = dense ? 1 : 0,
             hessians = dense || solved ? 1 : 0; // that have statistics, and Hessians
    uint64_t masks = settings->num_variants, second_order = 0, permuted = 0; // variants
    for (size_t v = 0; v < settings->num_variants; v++) {
        // The best attempt so far, which becomes the variant, and the one in hand.
        const uint64_t copies = variant_is_searched(&settings->variants[v]) ? 2 : 1;
        second_order += method_needs(settings->variants[v].method) & NEEDS_HESSIAN ||
                                variant_is_joint(&settings->variants[v])
                            ? copies
                            : 0;
        permuted += settings->variants[v].permute ? 1 : 0;
        // Weights that are not kept go variant by variant, when its results are there.
        if (weights_are_written(settings, &settings->variants[v]))
            cost->weights_bytes += copies * (uint64_t)weights_file_bytes(layer, &settings->variants[v]);
        masks += copies - 1;
        // What makes masks and weights together takes no statistics of its own.
        streams += dense || variant_is_joint(&settings->variants[v]) ? 0 : copies;
        hessians += !dense && (method_needs(settings->variants[v].method) & NEEDS_HESSIAN) ? 1 : 0;
    }
    streams += allocates(settings) && !dense ? 1 : 0; // the dense model's as well
    // A layer's Hessian goes when its last mask is made: with dense propagation all are there at once.
    // Those that curves take are all made before the first is measured. Where activations are kept, so are
    // they.
    cost->hessians_bytes = settings->keep_activations ? cost->hessians_bytes + hessians * hessian
                           : dense || solved          ? cost->hessians_bytes + hessian
                                                      : larger(cost->hessians_bytes, hessian);
    cost->statistics_bytes += streams * (uint64_t)layer->statistics;
    // Methods that make masks and weights together keep the weights in the file of the mask.
    cost->masks_bytes += masks * (uint64_t)layer->masks + second_order * (uint64_t)layer->updates;
    cost->masks_bytes += permuted * (uint64_t)layer->orders;
}

// Streams of hidden states that went through a variant's own layers.
static uint64_t own_streams(const struct settings *settings)
{
    uint64_t streams = 0;
    for (size_t v = 0; v < settings->num_variants; v++)
        if (stream_owner(settings, &settings->variants[v]) != NULL)
            streams +=
                variant_is_searched(&settings->variants[v]) ? 2 : 1; // the best attempt and the one in hand
    return streams;
}

// Layers whose hidden states of the dense stream are on disk at a time; `files` of a stream that is trimmed.
// Where nothing else reads it, it is calibrated with before allocations.
static uint64_t dense_files(const struct settings *settings, uint64_t files, size_t layers)
{
    if (settings->propagation != PROPAGATION_DENSE && dense_stream_readers(settings) == 0 &&
        !allocates(settings))
        return 0;
    return dense_stream_is_kept(settings) ? layers - 1 : files;
}

// Of windows of text on their way through the model, and their logits.
static uint64_t windows_bytes(const struct model *model, const struct lm_head *head, size_t windows,
                              size_t length, size_t ranks)
{
    const size_t in_memory = perplexity_windows_in_memory(model, windows, length, ranks);
    return forward_bytes(model, length) +
           sizeof(float) * (lm_head_workspace_size(head, length - 1) +
                            in_memory * length * state_size(&model->config.decoder));
}

// Hidden states of the examples in hand, the longest one on its way through a layer, the tokens of all, and
// the largest file with its texts while it is read.
static uint64_t tasks_bytes(const struct plan *plan, const struct lm_head *head)
{
    const struct model *model = plan->model;
    const size_t longest = PLAN_EXAMPLE_TOKENS;
    double tokens = 0, file = 0;

    if (plan->settings->num_tasks == 0)
        return 0;
    for (size_t i = 0; i < plan->settings->num_tasks; i++) {
        tokens += task_file_tokens(&plan->settings->tasks[i]);
        file = fmax(file, task_file_bytes(&plan->settings->tasks[i]));
    }
    return forward_bytes(model, longest) +
           (uint64_t)(5 * file + tokens * (sizeof(int32_t) + 2 * sizeof(uint64_t))) +
           sizeof(float) * (lm_head_workspace_size(head, longest) +
                            task_tokens_in_memory(model, longest) * state_size(&model->config.decoder));
}

// Hidden states of candidates on their way to the end of the model, and their logits.
static uint64_t curves_bytes(const struct plan *plan, const struct variant *variant, size_t ranks)
{
    const size_t length = plan->settings->length, sequences = curve_sequences(plan->settings, variant);
    uint64_t most = 0;

    for (size_t layer = 0; layer < plan->sizes.num_layers; layer++) {
        const size_t candidates = (size_t)plan->sizes.layers[layer].curves * (CURVE_LEVELS - 1);
        const struct trial_batches batches =
            trial_batches_of(plan->model, length, sequences, candidates > 0 ? candidates : 1, ranks);
        const uint64_t sums = 4 * (candidates + 1) * sequences * sizeof(double);
        most = larger(most, sizeof(float) * model_trial_workspace(plan->model, length, &batches) + sums);
    }
    return most + forward_bytes(plan->model, length);
}

uint64_t plan_cost_node(const struct plan_cost *cost, size_t ranks)
{
    return larger(cost->rank_bytes * ranks + cost->node_bytes, cost->idle_bytes * ranks + cost->text_bytes);
}

enum status plan_cost(struct plan_cost *cost, const struct plan *plan, size_t ranks, struct error *err)
{
    const struct model *model = plan->model;
    const struct settings *settings = plan->settings;
    const size_t state = state_size(&model->config.decoder), layers = model->config.num_hidden_layers;
    struct stage_memory memory = {0};
    struct lm_head head;
    const bool solves = needs_equations(settings);
    bool measures = false, chooses = false;
    uint64_t curves = 0;
    size_t floats;

    for (size_t v = 0; v < settings->num_variants; v++) {
        measures =
            measures || variant_measures(&settings->variants[v]) || variant_is_joint(&settings->variants[v]);
        chooses = chooses || variant_chooses(&settings->variants[v]);
        if (settings->variants[v].allocation == ALLOCATION_MEASURED)
            curves = larger(curves, curves_bytes(plan, &settings->variants[v], ranks));
    }
    memset(cost, 0, sizeof *cost);
    FORWARD_IF_ERROR(layer_weights_size(&floats, model, err));
    for (size_t layer = 0; layer < layers; layer++) {
        enum status solving = STATUS_OK;
        struct layer_map map;
        FORWARD_IF_ERROR(layer_map_create(&map, model, layer, err));
        add_layer_memory(&memory, plan, &map, ranks);
        need(&memory, STAGE_EXPORT, part_slices_memory(&map));
        if (measures)
            add_measured_memory(&memory, &map, model, settings->length);
        if (solves)
            solving = add_solving_memory(&memory, &map, plan, ranks, err);
        if (chooses)
            add_choosing_memory(&memory, &map, model, settings->length);
        add_layer_disk(cost, settings, &plan->sizes.layers[layer]);
        layer_map_free(&map);
        FORWARD_IF_ERROR(solving);
    }
    if (solves) { // with masks as without, a layer is measured and solved for
        const uint64_t most = memory.of_rank[STAGE_COMPENSATE] + memory.solving;
        memory.of_rank[STAGE_COMPENSATE] = most;
        memory.of_rank[STAGE_SCORE] = larger(memory.of_rank[STAGE_SCORE], most);
    }
    memory.of_rank[STAGE_CALIBRATE] += forward_bytes(model, settings->length);
    model_lm_head(&head, model);
    if (settings->num_texts > 0)
        memory.of_rank[STAGE_EVALUATE] =
            windows_bytes(model, &head, SIZE_MAX / 2, settings->evaluate_length, ranks);
    if (settings_search(settings))
        memory.of_rank[STAGE_ATTEMPT] =
            windows_bytes(model, &head, BUDGET_SEQUENCES, settings->length, ranks);
    memory.of_rank[STAGE_TASKS] = tasks_bytes(plan, &head);
    memory.of_rank[STAGE_CURVES] += curves;
    // Measuring, choosing and curves keep the pruned layer as well as the dense one; no Hessian is there at
    // the same time.
    cost->node_bytes = (uint64_t)floats * sizeof(float);
    cost->node_bytes += larger((measures || chooses || curves > 0 ? cost->node_bytes : 0) +
                                   larger(memory.equations, memory.curves),
                               memory.factor);
    cost->node_bytes += memory.order;
    for (int stage = 0; stage < STAGE_COUNT; stage++)
        cost->rank_bytes = larger(cost->rank_bytes, memory.of_rank[stage]);
    cost->idle_bytes = resident_bytes() + mpi_bytes;
    cost->rank_bytes += cost->idle_bytes + (threads_count() - 1) * thread_bytes;
    cost->text_bytes = (uint64_t)longest_text_bytes(settings);
    cost->peak_bytes = cost->rank_bytes + cost->node_bytes;

    const uint64_t files = settings->keep_activations ? layers - 1 : layers > 2 ? 2 : layers - 1;
    cost->activations_bytes = (own_streams(settings) * files + dense_files(settings, files, layers)) *
                              settings->sequences * settings->length * state * sizeof(float);
    if (settings->output != NULL)
        cost->output_bytes =
            settings->num_variants * (checkpoint_bytes(model->checkpoint) + plan->sizes.side_files);
    cost->work = plan->work;
    return STATUS_OK;
}
