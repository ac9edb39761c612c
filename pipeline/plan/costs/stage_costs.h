// stage_costs.h - the cost of a unit of each stage, for unit_cost.c: its work and its time.
#pragma once
#include "pipeline/plan/costs/worker.h"
#include "pipeline/plan/unit.h"

#define COST(kind, name, ...)                                               \
    double work_##name(const struct sizes *sizes, const struct unit *unit); \
    void time_##name(struct worker *w, struct estimate *e, const struct unit *unit);
STAGES(COST)
#undef COST

static inline const struct layer_size *layer_of(const struct sizes *sizes, const struct unit *unit)
{
    return &sizes->layers[unit->layer];
}
