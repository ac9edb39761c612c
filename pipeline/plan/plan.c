#include "pipeline/plan/plan.h"

#include "pipeline/plan/costs/unit_cost.h"
#include "stages/budget/held_out.h"
#include "stages/prune/curves.h"
#include "stages/stage.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

// The phase and chain that the next units are added to.
struct place {
    size_t phase, chain;
};

static void add(struct plan *plan, struct unit unit, struct place place)
{
    unit.phase = place.phase;
    unit.chain = place.chain;
    unit.work = unit_work(&plan->sizes, &unit);
    plan->units[plan->num_units++] = unit;
    plan->work += unit.work;
    if (unit.phase + 1 > plan->num_phases)
        plan->num_phases = unit.phase + 1;
}

// variant NULL: of the dense model.
static void add_of_layer(struct plan *plan, enum stage_kind stage, const struct variant *variant,
                         size_t layer, struct place place)
{
    add(plan, (struct unit){.stage = stage, .variant = variant, .layer = (long)layer}, place);
}

static void add_of_model(struct plan *plan, enum stage_kind stage, const struct variant *variant,
                         struct place place)
{
    add(plan, (struct unit){.stage = stage, .variant = variant, .layer = NO_LAYER}, place);
}

static void add_compensate(struct plan *plan, const struct variant *variant, size_t layer, struct place place)
{
    if (weights_are_written(plan->settings, variant))
        add_of_layer(plan, STAGE_COMPENSATE, variant, layer, place);
}

// The outputs of a layer that others read: the variant's, or with NULL the dense model's.
static void add_propagate(struct plan *plan, const struct variant *variant, size_t layer, struct place place)
{
    if (layer + 1 < plan->sizes.num_layers)
        add_of_layer(plan, STAGE_PROPAGATE, variant, layer, place);
}

static bool allocates(const struct settings *settings)
{
    for (size_t v = 0; v < settings->num_variants; v++)
        if (allocation_stage(&settings->variants[v]) != STAGE_COUNT)
            return true;
    return false;
}

// What the variants' allocations look at, a chain per layer.
static void add_allocations(struct plan *plan, size_t phase)
{
    for (size_t layer = 0; layer < plan->sizes.num_layers; layer++)
        for (size_t v = 0; v < plan->settings->num_variants; v++) {
            const struct variant *variant = &plan->settings->variants[v];
            if (allocation_stage(variant) != STAGE_COUNT)
                add_of_layer(plan, allocation_stage(variant), variant, layer, (struct place){phase, layer});
        }
}

// The units that measure one model: the dense one, or a variant.
static void add_evaluation(struct plan *plan, const struct variant *variant, struct place place)
{
    for (size_t text = 0; text < plan->settings->num_texts; text++)
        add(plan, (struct unit){.stage = STAGE_EVALUATE, .variant = variant, .layer = NO_LAYER, .task = text},
            place);
    for (size_t task = 0; task < plan->settings->num_tasks; task++)
        add(plan, (struct unit){.stage = STAGE_TASKS, .variant = variant, .layer = NO_LAYER, .task = task},
            place);
}

static void add_results(struct plan *plan, const struct variant *variant, struct place place)
{
    add_evaluation(plan, variant, place);
    if (plan->settings->output != NULL)
        add_of_model(plan, STAGE_EXPORT, variant, place);
}

// With dense propagation: all layers of a searched variant, or of an attempt, after what decides its
// sparsity.
static void add_searched_layers(struct plan *plan, const struct variant *variant, struct place place)
{
    for (size_t layer = 0; layer < plan->sizes.num_layers; layer++) {
        add_of_layer(plan, STAGE_SCORE, variant, layer, place);
        add_compensate(plan, variant, layer, place);
        if (stream_owner(plan->settings, variant) != NULL)
            add_propagate(plan, variant, layer, place);
    }
}

// With pruned propagation: all layers of a variant or of an attempt.
static void add_pruned_layers(struct plan *plan, const struct variant *variant, struct place place)
{
    const size_t readers = dense_stream_readers(plan->settings);
    for (size_t layer = 0; layer < plan->sizes.num_layers; layer++) {
        if (!variant_is_joint(variant)) // it takes no statistics
            add_of_layer(plan, STAGE_CALIBRATE, variant, layer, place);
        add_of_layer(plan, STAGE_SCORE, variant, layer, place);
        add_compensate(plan, variant, layer, place);
        add_propagate(plan, variant, layer, place);
        if (readers == 1 && variant_follows_dense(variant))
            add_propagate(plan, NULL, layer, place);
    }
}

// The attempts of a searched variant, one after the other, and the end of the search.
static void add_search(struct plan *plan, const struct variant *variant, struct place place)
{
    const struct settings *settings = plan->settings;
    for (size_t a = 0; a < settings->num_attempts; a++) {
        if (settings->attempts[a].base != variant)
            continue;
        if (settings->propagation == PROPAGATION_DENSE)
            add_searched_layers(plan, &settings->attempts[a], place);
        else
            add_pruned_layers(plan, &settings->attempts[a], place);
        add_of_model(plan, STAGE_ATTEMPT, &settings->attempts[a], place);
    }
    if (variant_is_searched(variant))
        add_of_model(plan, STAGE_ATTEMPT, variant, place);
}

// Statistics of the dense model for all, then masks and weights of every layer and variant independently;
// where outputs are matched by factors, weights layer by layer.
static void add_dense(struct plan *plan)
{
    const struct settings *settings = plan->settings;
    const size_t layers = plan->sizes.num_layers;
    size_t phase = 1;

    for (size_t layer = 0; layer < layers; layer++)
        add_of_layer(plan, STAGE_CALIBRATE, NULL, layer, (struct place){0, 0});
    if (allocates(settings))
        add_allocations(plan, phase++);
    for (size_t layer = 0; layer < layers; layer++)
        for (size_t v = 0; v < settings->num_variants; v++) {
            const struct place place = {phase, layer};
            if (variant_is_searched(&settings->variants[v]))
                continue;
            add_of_layer(plan, STAGE_SCORE, &settings->variants[v], layer, place);
            if (stream_owner(settings, &settings->variants[v]) == NULL)
                add_compensate(plan, &settings->variants[v], layer, place);
        }
    phase++;
    for (size_t v = 0; v < settings->num_variants; v++) {
        const struct variant *variant = &settings->variants[v];
        const struct place place = {phase, v};
        add_search(plan, variant, place);
        if (variant_is_searched(variant))
            add_searched_layers(plan, variant, place);
        for (size_t layer = 0;
             layer < layers && !variant_is_searched(variant) && stream_owner(settings, variant) != NULL;
             layer++) {
            add_compensate(plan, variant, layer, place);
            add_propagate(plan, variant, layer, place);
        }
        add_results(plan, variant, place);
    }
}

// Everything layer by layer, the variants side by side; allocations look at the dense model, before the
// first layer is pruned.
static void add_pruned(struct plan *plan)
{
    const struct settings *settings = plan->settings;
    const size_t layers = plan->sizes.num_layers, readers = dense_stream_readers(settings);
    size_t phase = 1;

    for (size_t layer = 0; layer < layers && allocates(settings); layer++)
        add_of_layer(plan, STAGE_CALIBRATE, NULL, layer, (struct place){0, 0});
    if (allocates(settings))
        add_allocations(plan, phase++);
    for (size_t layer = 0; layer < layers && readers > 1; layer++)
        add_propagate(plan, NULL, layer, (struct place){0, 0});
    for (size_t v = 0; v < settings->num_variants; v++) {
        const struct variant *variant = &settings->variants[v];
        const struct place place = {phase, v};
        add_search(plan, variant, place);
        add_pruned_layers(plan, variant, place);
        add_results(plan, variant, place);
    }
}

static void add_units(struct plan *plan)
{
    const struct place first = {0, 0};
    add_of_model(plan, STAGE_SEQUENCES, NULL, first);
    if (settings_search(plan->settings)) {
        add_of_model(plan, STAGE_HELD_OUT, NULL, first);
        add_of_model(plan, STAGE_ATTEMPT, NULL, first);
    }
    add_evaluation(plan, NULL, first);
    if (plan->settings->propagation == PROPAGATION_DENSE)
        add_dense(plan);
    else
        add_pruned(plan);
}

// Room for a unit of every stage, of each layer, variant and task.
static size_t most_units(const struct settings *settings, size_t layers)
{
    const size_t variants = settings->num_variants + settings->num_attempts;
    size_t units = 0;
    for (int s = 0; s < STAGE_COUNT; s++)
        switch (stage_row((enum stage_kind)s)->unit_of) {
        case UNIT_OF_RUN:
            units += 1;
            break;
        case UNIT_OF_LAYER:
            // A variant that the dense stream is made for has its propagation as well.
            units += layers * (2 * variants + 1);
            break;
        case UNIT_OF_MODEL:
            units += variants + 1;
            break;
        case UNIT_OF_TEXT:
            units += settings->num_texts * (settings->num_variants + 1);
            break;
        case UNIT_OF_TASK:
            units += settings->num_tasks * (settings->num_variants + 1);
            break;
        }
    return units;
}

enum status plan_create(struct plan *plan, const struct model *model, const struct settings *settings,
                        struct error *err)
{
    enum status status;

    *plan = (struct plan){.settings = settings, .model = model};
    FORWARD_IF_ERROR(sizes_measure(&plan->sizes, model, settings, err));
    status = allocate(&plan->units, most_units(settings, plan->sizes.num_layers), sizeof *plan->units,
                      "the plan", err);
    if (status == STATUS_OK)
        add_units(plan);
    else
        plan_free(plan);
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
        case SHARED_BY_HELD_OUT:
            parts = curve_sequences(plan->settings, plan->units[i].variant);
            break;
        case SHARED_BY_BUDGET:
            parts = BUDGET_SEQUENCES;
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
    sizes_free(&plan->sizes);
    free(plan->units);
    memset(plan, 0, sizeof *plan);
}

enum status plan_choose(uint8_t *chosen, const struct plan *plan, const char *const *patterns, size_t count,
                        struct error *err)
{
    for (size_t p = 0; p < count; p++) {
        bool any = false;
        for (size_t i = 0; i < plan->num_units && !any; i++)
            any = fnmatch(patterns[p], unit_owner_name(&plan->units[i]), 0) == 0;
        RETURN_ERROR_IF(!any, err, STATUS_USAGE, "--variant: the job has no variant '%s'", patterns[p]);
    }
    for (size_t i = 0; i < plan->num_units; i++) {
        bool wanted = count == 0 || stage_row(plan->units[i].stage)->unit_of == UNIT_OF_RUN;
        for (size_t p = 0; p < count && !wanted; p++)
            wanted = fnmatch(patterns[p], unit_owner_name(&plan->units[i]), 0) == 0;
        chosen[i] = wanted;
    }
    return STATUS_OK;
}

void plan_keep(struct plan *plan, const uint8_t *chosen)
{
    size_t kept = 0;

    plan->work = 0;
    for (size_t i = 0; i < plan->num_units; i++) {
        if (chosen[i] == 0)
            continue;
        plan->units[kept++] = plan->units[i];
        plan->work += plan->units[kept - 1].work;
    }
    plan->num_units = kept;
}

size_t plan_names(const struct plan *plan, const uint8_t *chosen, const char **names)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->num_units; i++) {
        size_t n = 0;
        if (chosen[i] == 0 || stage_row(plan->units[i].stage)->unit_of == UNIT_OF_RUN)
            continue;
        while (n < count && strcmp(names[n], unit_owner_name(&plan->units[i])) != 0)
            n++;
        if (n == count)
            names[count++] = unit_owner_name(&plan->units[i]);
    }
    return count;
}
