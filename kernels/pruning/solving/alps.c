#include "kernels/pruning/solving/alps.h"

// Every penalty that is used costs an inverse: they are taken from a ladder. Rungs a third apart give
// the error of the exact schedule within half a percent (kernels/METHOD.md §17).
static const double first_penalty = 0.1, rung = 1.3;
enum { EVERY = 3, LONG_ENOUGH = 30 }; // steps between two looks at the support; before few changes suffice
// A penalty that is too large at first freezes the support. Below this it is not the reason.
static const double least_penalty = 1e-3;

// The largest rung up to `wanted`, found by multiplications, so that every machine finds the same.
static double ladder(double wanted)
{
    const double limit = wanted * (1 + 1e-9);
    double penalty = first_penalty;

    while (penalty * rung <= limit)
        penalty *= rung;
    while (penalty > limit)
        penalty /= rung;
    return penalty;
}

void alps_begin(struct alps_schedule *schedule)
{
    *schedule = (struct alps_schedule){.penalty = first_penalty, .dual = 0, .wanted = first_penalty};
}

bool alps_counts(const struct alps_schedule *schedule)
{
    return (schedule->step + 1) % EVERY == 0;
}

enum alps_next alps_next(struct alps_schedule *schedule, uint64_t changed, uint64_t kept)
{
    const double share = changed == 0 ? 0 : (double)changed / (double)kept;
    const bool look = alps_counts(schedule);
    enum alps_next next = ALPS_CONTINUE;

    schedule->step++;
    schedule->dual = schedule->penalty;
    if (look && share > 0.005) {
        schedule->grew = true;
        schedule->wanted *= share > 0.1 ? 1.3 : 1.2;
    } else if (look && !schedule->grew) {
        schedule->wanted /= 5;
        if (schedule->wanted < least_penalty)
            return ALPS_DONE;
        next = ALPS_RESTART;
    } else if (look) {
        schedule->wanted *= 1.1;
        if (changed == 0 || (schedule->step > LONG_ENOUGH && share < 0.0003))
            return ALPS_DONE;
    }
    if (schedule->step >= ALPS_STEPS)
        return ALPS_DONE;
    schedule->penalty = ladder(schedule->wanted);
    if (next == ALPS_RESTART)
        schedule->dual = 0;
    return next;
}
