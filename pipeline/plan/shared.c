#include "pipeline/plan/shared.h"

#include "io/store/store.h"
#include "pipeline/plan/unit_input.h"
#include "stages/layer/hessian.h"
#include "stages/stage.h"

#include <string.h>

// Whether the unit of the dense model commits this file.
static bool makes(const struct unit *unit, const struct settings *settings, const char *path)
{
    char made[PATH_SIZE];

    unit_path(made, unit, settings);
    if (strcmp(made, path) == 0)
        return true;
    if (unit->stage != STAGE_CALIBRATE)
        return false;
    hessian_path(made, settings, DENSE_NAME, (size_t)unit->layer);
    return strcmp(made, path) == 0;
}

// A layer's unit reads, of what is shared, its own layer's files and those of the whole model.
static size_t add_maker(uint8_t *chosen, const struct plan *plan, unsigned stages, long layer,
                        const char *path)
{
    for (size_t i = 0; i < plan->num_units; i++) {
        const struct unit *unit = &plan->units[i];
        if (chosen[i] != 0 || unit->variant != NULL || (stages & 1U << unit->stage) == 0 ||
            (unit->layer != NO_LAYER && unit->layer != layer) || !makes(unit, plan->settings, path))
            continue;
        chosen[i] = 1;
        return 1;
    }
    return 0;
}

size_t shared_add(uint8_t *chosen, const struct plan *plan, unsigned stages)
{
    const struct run_record nothing = {0};
    const size_t layers = plan->sizes.num_layers;
    size_t added = 0;
    char path[PATH_SIZE];

    for (size_t i = 0; i < plan->num_units; i++) {
        const struct unit *unit = &plan->units[i];
        // An export reads nothing that is shared, and only the record knows whether it is done.
        if (chosen[i] == 0 || unit->variant == NULL || unit->stage == STAGE_EXPORT ||
            unit_is_done(unit, plan->settings, &nothing))
            continue;
        for (size_t k = 0; unit_input(path, unit, plan->settings, layers, k); k++)
            if (!store_exists(path))
                added += add_maker(chosen, plan, stages, unit->layer, path);
    }
    return added;
}
