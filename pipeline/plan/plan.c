#include "pipeline/plan/plan.h"

#include "io/model/layer_map.h"
#include "kernels/pruning/candidates.h"
#include "stages/compensate/guard.h"
#include "stages/layer/hessian.h"
#include "stages/layer/layer_trial.h"
#include "stages/prune/allocation.h"
#include "stages/stage.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_unit(struct plan *plan, enum stage_kind stage, const struct variant *variant, long layer,
                     size_t phase, size_t chain, double work)
{
    plan->units[plan->num_units++] = (struct unit){stage, variant, layer, phase, chain, work, 0};
    plan->work += work;
    if (phase + 1 > plan->num_phases)
        plan->num_phases = phase + 1;
}

// Per-layer amounts that units' costs are made of.
struct layer_cost {
    double forward;      // of all calibration sequences
    double weights;      // weights in pruned linears
    double second_order; // operations of sparsegpt: factors of the Hessians, corrections of the weights
    double hessian;      // operations that gather the Hessians of all calibration sequences
};

static void add_linear_cost(struct layer_cost *cost, const struct layer_tensor *tensor)
{
    const double weights = (double)tensor->out * (double)tensor->in;
    cost->weights += weights;
    cost->second_order += weights * (double)tensor->in;
}

static void add_source_cost(struct layer_cost *cost, const struct plan *plan, const struct layer_map *map,
                            size_t source)
{
    const double channels = (double)map->source_channels[source];
    double tokens = (double)plan->settings->sequences * (double)plan->settings->length;

    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].expert && map->tensors[i].source == source) {
            tokens *= routed_share(&plan->model->config.decoder);
            break;
        }
    cost->second_order += 2.0 / 3 * channels * channels * channels;
    cost->hessian += tokens * channels * channels; // the upper triangle, a product and a sum each
}

static enum status measure_layers(struct layer_cost *costs, const struct plan *plan, struct error *err)
{
    for (size_t layer = 0; layer < plan->model->config.num_hidden_layers; layer++) {
        struct layer_map map;
        FORWARD_IF_ERROR(layer_map_create(&map, plan->model, layer, err));
        costs[layer].forward =
            (double)plan->settings->sequences * layer_forward_work(plan->model, &map, plan->settings->length);
        for (size_t i = 0; i < map.num_tensors; i++)
            if (tensor_is_pruned(plan->settings, layer, &map.tensors[i]))
                add_linear_cost(&costs[layer], &map.tensors[i]);
        for (size_t i = 0; i < map.num_sources; i++)
            add_source_cost(&costs[layer], plan, &map, i);
        layer_map_free(&map);
    }
    return STATUS_OK;
}

// A guess before the corpus is read: a test set of the usual size. Progress is corrected when the truth is
// known.
static double evaluation_work(const struct plan *plan, const struct layer_cost *costs)
{
    double work = 0;
    for (size_t layer = 0; layer < plan->model->config.num_hidden_layers; layer++)
        work += costs[layer].forward / (double)plan->settings->sequences / (double)plan->settings->length;
    return PLAN_EVALUATION_TOKENS * work;
}

double plan_task_bytes(const struct task_settings *task)
{
    struct stat info;
    return stat(task->data, &info) == 0 ? (double)info.st_size : 0;
}

double plan_task_tokens(const struct task_settings *task)
{
    const double limited = (double)task->limit * PLAN_USUAL_EXAMPLE_TOKENS;
    const double all = plan_task_bytes(task) / 4;
    return task->limit > 0 && limited < all ? limited : all;
}

// Units of all tasks; `forward` is the work of PLAN_EVALUATION_TOKENS.
static void add_tasks(struct plan *plan, const struct variant *variant, size_t phase, size_t chain,
                      double forward)
{
    for (size_t i = 0; i < plan->settings->num_tasks; i++) {
        const double tokens = plan_task_tokens(&plan->settings->tasks[i]);
        add_unit(plan, STAGE_TASKS, variant, NO_LAYER, phase, chain,
                 forward * tokens / PLAN_EVALUATION_TOKENS);
        plan->units[plan->num_units - 1].task = i;
    }
}

static void add_score(struct plan *plan, const struct variant *variant, size_t layer, size_t phase,
                      size_t chain, const struct layer_cost *costs)
{
    const bool second_order = (method_needs(variant->method) & NEEDS_HESSIAN) != 0;
    double work = 4 * costs[layer].weights + (second_order ? costs[layer].second_order : 0);
    size_t candidates;
    if (variant_chooses(variant)) {
        // For each of the layer's four inputs an eighth of the sequences, through the dense layer and through
        // that with each candidate.
        importance_candidates(&candidates);
        work += 4 * (double)candidates * costs[layer].weights;
        work += 4 * (double)(1 + candidates) / HELD_OUT_DIVISOR * costs[layer].forward;
    }
    add_unit(plan, STAGE_SCORE, variant, (long)layer, phase, chain, work);
}

// owner NULL: the dense model's statistics.
static void add_calibrate(struct plan *plan, const struct variant *owner, size_t layer, size_t phase,
                          size_t chain, const struct layer_cost *costs)
{
    const bool hessian = stream_needs_hessian(plan->settings, owner);
    add_unit(plan, STAGE_CALIBRATE, owner, (long)layer, phase, chain,
             costs[layer].forward + (hessian ? costs[layer].hessian : 0));
}

static bool uses_outliers(const struct settings *settings)
{
    for (size_t v = 0; v < settings->num_variants; v++)
        if (settings->variants[v].allocation == ALLOCATION_OWL)
            return true;
    return false;
}

// The outlier counts of all variants that ask for them, a chain per layer. Variants of one threshold share a
// file: it is work for the first of them only.
static void add_outliers(struct plan *plan, size_t phase, const struct layer_cost *costs)
{
    const struct settings *settings = plan->settings;
    for (size_t layer = 0; layer < plan->model->config.num_hidden_layers; layer++)
        for (size_t v = 0; v < settings->num_variants; v++) {
            const struct variant *variant = &settings->variants[v];
            bool first = true;
            for (size_t u = 0; u < v; u++)
                first = first && !(settings->variants[u].allocation == ALLOCATION_OWL &&
                                   settings->variants[u].owl_threshold == variant->owl_threshold);
            if (variant->allocation == ALLOCATION_OWL)
                add_unit(plan, STAGE_OUTLIERS, variant, (long)layer, phase, layer,
                         first ? 4 * costs[layer].weights : 0);
        }
}

// Matching passes the sequences of both streams through part of the layer for each of its sources, in all
// about three times through a layer, and multiplies them with the dense and the pruned weights; a guard alone
// does that once with an eighth of one stream. The guard passes that eighth through the layer with each of
// its choices, for each source.
static void add_compensate(struct plan *plan, const struct variant *variant, size_t layer, size_t phase,
                           size_t chain, const struct layer_cost *costs)
{
    const double products = variant->energy_columns || variant->energy_rows ? 3 : 2;
    struct guard_choice choices[GUARD_CHOICES];
    const size_t count = guard_choices(choices, variant);
    double work = 16 * costs[layer].weights;

    if (!weights_are_written(plan->settings, variant))
        return;
    if (variant_matches(variant))
        work += (3 + products) * costs[layer].forward;
    else if (variant_measures(variant))
        work += (3 + products) / HELD_OUT_DIVISOR * costs[layer].forward;
    if (variant_measures(variant) && count > 1)
        work += 4 * (double)(1 + count) / HELD_OUT_DIVISOR * costs[layer].forward;
    add_unit(plan, STAGE_COMPENSATE, variant, (long)layer, phase, chain, work);
}

// The outputs of a layer that others read: the variant's, or with NULL the dense model's.
static void add_propagate(struct plan *plan, const struct variant *variant, size_t layer, size_t phase,
                          size_t chain, const struct layer_cost *costs)
{
    if (layer + 1 < plan->model->config.num_hidden_layers)
        add_unit(plan, STAGE_PROPAGATE, variant, (long)layer, phase, chain, costs[layer].forward);
}

size_t dense_stream_readers(const struct settings *settings)
{
    const bool dense = settings->propagation == PROPAGATION_DENSE;
    size_t readers = 0;
    for (size_t v = 0; v < settings->num_variants; v++)
        readers +=
            dense ? variant_reads_states(&settings->variants[v]) : variant_matches(&settings->variants[v]);
    return readers;
}

bool dense_stream_is_kept(const struct settings *settings)
{
    return dense_stream_readers(settings) > (settings->propagation == PROPAGATION_DENSE ? 0 : 1);
}

static void add_results(struct plan *plan, const struct variant *variant, size_t phase, size_t chain,
                        double evaluation)
{
    if (plan->settings->perplexity != NULL)
        add_unit(plan, STAGE_EVALUATE, variant, NO_LAYER, phase, chain, evaluation);
    add_tasks(plan, variant, phase, chain, evaluation);
    if (plan->settings->output != NULL)
        add_unit(plan, STAGE_EXPORT, variant, NO_LAYER, phase, chain,
                 (double)checkpoint_bytes(plan->model->checkpoint));
}

// Statistics of the dense model for all, then masks and weights of every layer and variant independently;
// where outputs are matched, weights layer by layer.
static void add_dense(struct plan *plan, const struct layer_cost *costs, double evaluation)
{
    const struct settings *settings = plan->settings;
    const size_t layers = plan->model->config.num_hidden_layers;

    size_t phase = 1;

    for (size_t layer = 0; layer < layers; layer++)
        add_calibrate(plan, NULL, layer, 0, 0, costs);
    if (uses_outliers(settings))
        add_outliers(plan, phase++, costs);
    for (size_t layer = 0; layer < layers; layer++)
        for (size_t v = 0; v < settings->num_variants; v++) {
            add_score(plan, &settings->variants[v], layer, phase, layer, costs);
            if (!variant_matches(&settings->variants[v]))
                add_compensate(plan, &settings->variants[v], layer, phase, layer, costs);
        }
    phase++;
    for (size_t v = 0; v < settings->num_variants; v++) {
        const struct variant *variant = &settings->variants[v];
        for (size_t layer = 0; layer < layers && variant_matches(variant); layer++) {
            add_compensate(plan, variant, layer, phase, v, costs);
            add_propagate(plan, variant, layer, phase, v, costs);
        }
        add_results(plan, variant, phase, v, evaluation);
    }
}

// Everything layer by layer, the variants side by side; outliers are those of the dense model, and known
// before the first layer is pruned.
static void add_pruned(struct plan *plan, const struct layer_cost *costs, double evaluation)
{
    const struct settings *settings = plan->settings;
    const size_t layers = plan->model->config.num_hidden_layers, readers = dense_stream_readers(settings);
    size_t phase = 1;

    for (size_t layer = 0; layer < layers && uses_outliers(settings); layer++)
        add_calibrate(plan, NULL, layer, 0, 0, costs);
    if (uses_outliers(settings))
        add_outliers(plan, phase++, costs);
    for (size_t layer = 0; layer < layers && readers > 1; layer++)
        add_propagate(plan, NULL, layer, 0, 0, costs);
    for (size_t v = 0; v < settings->num_variants; v++) {
        const struct variant *variant = &settings->variants[v];
        for (size_t layer = 0; layer < layers; layer++) {
            add_calibrate(plan, variant, layer, phase, v, costs);
            add_score(plan, variant, layer, phase, v, costs);
            add_compensate(plan, variant, layer, phase, v, costs);
            add_propagate(plan, variant, layer, phase, v, costs);
            if (readers == 1 && variant_matches(variant))
                add_propagate(plan, NULL, layer, phase, v, costs);
        }
        add_results(plan, variant, phase, v, evaluation);
    }
}

static void add_units(struct plan *plan, const struct layer_cost *costs)
{
    const double evaluation = evaluation_work(plan, costs);

    add_unit(plan, STAGE_SEQUENCES, NULL, NO_LAYER, 0, 0, 0);
    if (plan->settings->perplexity != NULL)
        add_unit(plan, STAGE_EVALUATE, NULL, NO_LAYER, 0, 0, evaluation);
    add_tasks(plan, NULL, 0, 0, evaluation);
    if (plan->settings->propagation == PROPAGATION_DENSE)
        add_dense(plan, costs, evaluation);
    else
        add_pruned(plan, costs, evaluation);
}

enum status plan_create(struct plan *plan, const struct model *model, const struct settings *settings,
                        struct error *err)
{
    const size_t layers = model->config.num_hidden_layers;
    struct layer_cost *costs = NULL;
    enum status status;

    memset(plan, 0, sizeof *plan);
    plan->model = model;
    plan->settings = settings;
    FORWARD_IF_ERROR(allocate(&plan->units,
                              2 + 2 * layers + settings->num_variants * (6 * layers + 2) +
                                  settings->num_tasks * (settings->num_variants + 1),
                              sizeof *plan->units, "the plan", err));
    status = allocate(&costs, layers, sizeof *costs, "the plan", err);
    if (status == STATUS_OK)
        status = measure_layers(costs, plan, err);
    if (status == STATUS_OK)
        add_units(plan, costs);
    else
        plan_free(plan);
    free(costs);
    return status;
}

size_t plan_chains(const struct plan *plan, size_t phase)
{
    size_t chains = 0;
    for (size_t i = 0; i < plan->num_units; i++)
        if (plan->units[i].phase == phase && plan->units[i].chain + 1 > chains)
            chains = plan->units[i].chain + 1;
    return chains;
}

size_t plan_useful_ranks(const struct plan *plan, size_t phase, unsigned stages, size_t windows)
{
    size_t useful = 0;
    for (size_t i = 0; i < plan->num_units; i++) {
        const enum stage_kind stage = plan->units[i].stage;
        size_t parts = 0;
        if (plan->units[i].phase != phase || (stages & 1U << stage) == 0)
            continue;
        switch (stage_row(stage)->shared_by) {
        case SHARED_BY_SEQUENCES:
            parts = plan->settings->sequences;
            break;
        case SHARED_BY_WINDOWS:
            parts = windows;
            break;
        case SHARED_BY_EXAMPLES:
            return SIZE_MAX; // there are many
        case SHARED_BY_NOTHING:
        case SHARED_BY_ROWS:
        case SHARED_BY_BYTES:
            break;
        }
        useful = parts > useful ? parts : useful;
    }
    return useful > 0 ? useful : SIZE_MAX;
}

void plan_free(struct plan *plan)
{
    free(plan->units);
    memset(plan, 0, sizeof *plan);
}

enum status plan_select(struct plan *plan, const char *const *patterns, size_t count, struct error *err)
{
    size_t kept = 0;

    for (size_t p = 0; p < count; p++) {
        bool any = false;
        for (size_t i = 0; i < plan->num_units && !any; i++)
            any = fnmatch(patterns[p], unit_variant_name(&plan->units[i]), 0) == 0;
        RETURN_ERROR_IF(!any, err, STATUS_USAGE, "--variant: the job has no variant '%s'", patterns[p]);
    }
    plan->work = 0;
    for (size_t i = 0; i < plan->num_units; i++) {
        bool wanted = stage_row(plan->units[i].stage)->unit_of == UNIT_OF_RUN;
        for (size_t p = 0; p < count && !wanted; p++)
            wanted = fnmatch(patterns[p], unit_variant_name(&plan->units[i]), 0) == 0;
        if (!wanted)
            continue;
        plan->units[kept++] = plan->units[i];
        plan->work += plan->units[kept - 1].work;
    }
    plan->num_units = kept;
    return STATUS_OK;
}

size_t plan_names(const struct plan *plan, const char **names)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->num_units; i++) {
        size_t n = 0;
        if (stage_row(plan->units[i].stage)->unit_of == UNIT_OF_RUN)
            continue;
        while (n < count && strcmp(names[n], unit_variant_name(&plan->units[i])) != 0)
            n++;
        if (n == count)
            names[count++] = unit_variant_name(&plan->units[i]);
    }
    return count;
}
