#include "kernels/pruning/allocation/budget.h"

#include <math.h>

static const double steps_per_one = 1000;

// An excess grows about with the fourth power of the sparsity, and to 0.15 at one half: where a search
// begins, and how it goes on while one trial is all that it knows.
static const double usual_power = 4, usual_sparsity = 0.5, usual_excess = 0.15;

double budget_enough(double bound)
{
    return bound - fmin(-log(0.995), bound / 10);
}

size_t budget_best(const struct budget_goal *goal, const struct budget_trial *trials, size_t count)
{
    size_t best = count;
    for (size_t i = 0; i < count; i++)
        if (trials[i].excess <= goal->bound && (best == count || trials[i].sparsity > trials[best].sparsity))
            best = i;
    return best;
}

// What the search stands between. NULL: nothing is known on that side.
struct bracket {
    const struct budget_trial *within, *before; // the sparsest within the bound, and the one below it
    const struct budget_trial *above, *after;   // the next one that is not within, and the one above that
};

static struct bracket bracket_of(const struct budget_goal *goal, const struct budget_trial *trials,
                                 size_t count)
{
    const size_t best = budget_best(goal, trials, count);
    struct bracket b = {.within = best < count ? &trials[best] : NULL};

    for (size_t i = 0; i < count; i++) {
        const struct budget_trial *t = &trials[i];
        const double low = b.within != NULL ? b.within->sparsity : 0;
        if (t->sparsity < low && (b.before == NULL || t->sparsity > b.before->sparsity))
            b.before = t;
        if (t->sparsity > low && (b.above == NULL || t->sparsity < b.above->sparsity))
            b.above = t;
    }
    for (size_t i = 0; i < count && b.above != NULL; i++)
        if (trials[i].sparsity > b.above->sparsity &&
            (b.after == NULL || trials[i].sparsity < b.after->sparsity))
            b.after = &trials[i];
    return b;
}

// The power of the sparsity that leads from one excess to the other.
static double power_between(const struct budget_trial *low, const struct budget_trial *high)
{
    if (low == NULL || high == NULL || low->excess <= 0 || high->excess <= low->excess)
        return usual_power;
    return fmin(fmax(log(high->excess / low->excess) / log(high->sparsity / low->sparsity), 1), 30);
}

// Where the curve through a trial, with this power, reaches the excess.
static double reach(const struct budget_trial *from, double power, double excess)
{
    return from->sparsity * pow(excess / from->excess, 1 / power);
}

// Where the parabola through three trials reaches the excess between the first, which is below it, and the
// second, which is above.
static double reach_by_parabola(const struct budget_trial *low, const struct budget_trial *high,
                                const struct budget_trial *third, double excess)
{
    const double slope = (high->excess - low->excess) / (high->sparsity - low->sparsity);
    const double next = (third->excess - high->excess) / (third->sparsity - high->sparsity);
    const double bend = (next - slope) / (third->sparsity - low->sparsity);
    double from = low->sparsity, to = high->sparsity;

    for (int halving = 0; halving < 50; halving++) {
        const double s = (from + to) / 2;
        const double at =
            low->excess + (s - low->sparsity) * slope + (s - low->sparsity) * (s - high->sparsity) * bend;
        *(at <= excess ? &from : &to) = s;
    }
    return (from + to) / 2;
}

// Between two trials: by the parabola through a third one, where there is one. Of two alone by a power; from
// a far smaller excess, which says little of how it grows, not without a fourth of the way.
static double between(const struct bracket *b, const struct budget_trial *third, double aim)
{
    const struct budget_trial *low = b->within, *high = b->above;

    if (third != NULL)
        return reach_by_parabola(low, high, third, aim);
    if (low->excess > 0.3 * aim)
        return reach(low, power_between(low, high), aim);
    return fmax(reach(high, usual_power, aim), low->sparsity + (high->sparsity - low->sparsity) / 4);
}

static double guess(const struct budget_goal *goal, const struct bracket *b,
                    const struct budget_trial *trials, size_t count)
{
    const double aim = (goal->bound + budget_enough(goal->bound)) / 2;
    const struct budget_trial usual = {usual_sparsity, usual_excess}, *third = NULL;

    if (b->within == NULL && b->above == NULL)
        return fmin(reach(&usual, usual_power, aim), 0.7);
    if (b->within == NULL)
        return reach(b->above, power_between(b->above, b->after), aim);
    if (b->above == NULL && b->within->excess <= 0)
        return (b->within->sparsity + goal->highest) / 2;
    if (b->above == NULL && b->before == NULL) // it may grow faster than usual: not further than half the way
        return fmin(reach(b->within, usual_power, aim), (b->within->sparsity + goal->highest) / 2);
    if (b->above == NULL)
        return reach(b->within, power_between(b->before, b->within), aim);
    for (size_t i = 0; i < count; i++)
        if (&trials[i] != b->within && &trials[i] != b->above &&
            (third == NULL || fabs(trials[i].excess - aim) < fabs(third->excess - aim)))
            third = &trials[i];
    return between(b, third, aim);
}

double budget_next(const struct budget_goal *goal, const struct budget_trial *trials, size_t count)
{
    const struct bracket b = bracket_of(goal, trials, count);
    const double step = 1 / steps_per_one;
    const double low = b.within != NULL ? b.within->sparsity + step : BUDGET_LOWEST;
    const double high = b.above != NULL ? b.above->sparsity - step : goal->highest;

    if (count >= BUDGET_ATTEMPTS || (b.within != NULL && b.within->excess >= budget_enough(goal->bound)) ||
        high < low - step / 2)
        return -1;
    // So that it is known whether there is any model within the bound.
    double next = b.within == NULL && count + 1 == BUDGET_ATTEMPTS ? low : guess(goal, &b, trials, count);
    next = fmin(fmax(round(next * steps_per_one), round(low * steps_per_one)),
                floor(high * steps_per_one + 0.5));
    return next / steps_per_one;
}
