// alps.h - the schedule of `alps` (kernels/METHOD.md §17): steps of admm.h under a penalty that grows until
// the support stays as it is.
//
//     admm_begin for all rows; select their masks; keep a copy of the masks
//     alps_begin(&schedule)
//     for (enum alps_next next = ALPS_CONTINUE; next != ALPS_DONE;) {
//         (if schedule.penalty is new: normal_equations_wide with rho = schedule.penalty; inverse.h)
//         admm_step(rows, equations, inverse, &(struct admm_penalty){schedule.penalty, schedule.dual}, ...)
//         select the masks
//         if (alps_counts(&schedule))
//             changed = mask_difference to the copy, which is then replaced; summed over all ranks
//         next = alps_next(&schedule, changed, kept)
//         (ALPS_RESTART: admm_begin, select and copy again, as at first)
//     }
//     admm_result, then least_squares_rows
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { ALPS_STEPS = 300 };

struct alps_schedule {
    double penalty, dual; // of the next step (admm_step)
    double wanted;        // the penalty that the schedule asks for: `penalty` is on a ladder below it
    int step;             // how many are done
    bool grew;            // the support has changed by much, so that the penalty was not too large at first
};

enum alps_next { ALPS_CONTINUE, ALPS_RESTART, ALPS_DONE };

void alps_begin(struct alps_schedule *schedule);
// Whether alps_next wants to know, after the step that is being done, by how much the support changed since
// it last asked.
bool alps_counts(const struct alps_schedule *schedule);
// After each step. changed: columns whose mask differs; kept: columns that are kept; of all rows that have a
// schedule in common. Both count only if alps_counts.
enum alps_next alps_next(struct alps_schedule *schedule, uint64_t changed, uint64_t kept);
