// plan.h - the units of a job, in the order of work.
//
// In: the settings and the model's headers. Out: units, with their work. Chains of a phase may go on side by
// side. The order of the stages is decided here and nowhere else.
#pragma once
#include "pipeline/plan/costs/sizes.h"
#include "pipeline/plan/unit.h"

struct plan {
    const struct settings *settings;
    const struct model *model; // NULL for a plan that was read from a file, which has no sizes either
    struct sizes sizes;
    size_t num_units;
    struct unit *units;
    size_t num_phases;
    double work; // of all units
};

// Freed with plan_free.
enum status plan_create(struct plan *plan, const struct model *model, const struct settings *settings,
                        struct error *err);
void plan_free(struct plan *plan);
// How many chains a phase has: as many teams can work on it side by side.
size_t plan_chains(const struct plan *plan, size_t phase);

// How many ranks of a team the work of a phase can be shared out to: as many as there are sequences to
// calibrate with, or `windows` to evaluate, whichever are more; SIZE_MAX when it is shared out by rows only.
// stages: bit set of enum stage_kind that are carried out.
size_t plan_useful_ranks(const struct plan *plan, size_t phase, unsigned stages, size_t windows);

// chosen[num_units] <- 1 for units of variants that match one of the patterns (fnmatch), all without
// patterns; "dense" stands for the units without a variant. Drawing the sequences is always chosen.
// STATUS_USAGE when a pattern matches nothing.
enum status plan_choose(uint8_t *chosen, const struct plan *plan, const char *const *patterns, size_t count,
                        struct error *err);
// Leaves only the chosen units.
void plan_keep(struct plan *plan, const uint8_t *chosen);
// Names of the variants that have chosen units in the plan, "dense" among them; points into the plan. names
// has room for all variants and one more. Returns how many.
size_t plan_names(const struct plan *plan, const uint8_t *chosen, const char **names);
