// disk_need.h - the disk that what is left of a plan takes at least.
//
// In: a plan, its cost, and what the file system says of its units. Out: bytes. Less than the plan's own
// numbers, which are of everything at once: files that go on the way may be gone before others come.
#pragma once
#include "pipeline/plan/cost.h"

struct disk_need {
    uint64_t run, output; // bytes still to be written below the run directory, and below the output
};

// Counts the units that are not done: statistics and masks of their layers, their weights (where these go
// when the results are there, of the variant that has the most), models to be exported, what an interrupted
// export has written already apart. Files of activations and Hessians that are there are taken off.
void disk_need_least(struct disk_need *need, const struct plan *plan, const struct plan_cost *cost,
                     const struct run_record *record);
