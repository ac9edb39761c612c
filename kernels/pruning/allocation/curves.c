#include "kernels/pruning/allocation/curves.h"

#include <math.h>
#include <stdlib.h>

static double not_negative(double cost)
{
    return cost > 0 ? cost : 0;
}

void curves_charge_together(double *costs, const double *together, size_t units, size_t num_levels)
{
    for (size_t k = 0; k < num_levels; k++) {
        double sum = 0;
        for (size_t i = 0; i < units; i++)
            sum += not_negative(costs[i * num_levels + k]);
        const double factor = together[k] > sum && sum > 0 ? together[k] / sum : 1;
        for (size_t i = 0; i < units; i++)
            costs[i * num_levels + k] = not_negative(costs[i * num_levels + k]) * factor;
    }
}

// Powers are rounded from long double: the last bit of `pow` differs between processors.
static double power(double base, double exponent)
{
    return (double)powl((long double)base, (long double)exponent);
}

// Below the second level, from nothing at 0.
static double near_zero(double s, const double *levels, const double *costs, size_t num_levels)
{
    double exponent = 1;
    if (num_levels > 2 && costs[1] > 0 && costs[2] > costs[1])
        exponent =
            (double)(logl((long double)(costs[2] / costs[1])) / logl((long double)(levels[2] / levels[1])));
    return costs[1] * power(s / levels[1], exponent > 1 ? exponent : 1);
}

double curve_at(double s, const double *levels, const double *costs, size_t num_levels)
{
    size_t k = 0;
    while (k + 2 < num_levels && levels[k + 1] <= s)
        k++;
    const double part = (s - levels[k]) / (levels[k + 1] - levels[k]);
    if (part <= 0 || part >= 1)
        return costs[part <= 0 ? k : k + 1];
    if (k == 0 && levels[0] == 0 && costs[0] == 0)
        return near_zero(s, levels, costs, num_levels);
    if (costs[k] > 0)
        return costs[k] * power(costs[k + 1] / costs[k], part);
    return costs[k] + part * (costs[k + 1] - costs[k]);
}

void curve_make_monotone(double *costs, size_t num_levels)
{
    for (size_t k = 1; k < num_levels; k++)
        if (costs[k] < costs[k - 1])
            costs[k] = costs[k - 1];
}

// The next corner of the lower convex hull after level `from`: that of the smallest slope, the furthest of
// equals.
static size_t next_corner(const double *levels, const double *costs, size_t num_levels, size_t from)
{
    size_t best = from + 1;
    double least = (costs[best] - costs[from]) / (levels[best] - levels[from]);
    for (size_t k = from + 2; k < num_levels; k++) {
        const double slope = (costs[k] - costs[from]) / (levels[k] - levels[from]);
        if (slope <= least) {
            least = slope;
            best = k;
        }
    }
    return best;
}

static size_t add_segments(struct curve_segment *segments, const struct curve_table *table, size_t unit)
{
    const double *costs = table->costs + unit * table->num_levels;
    double price = 0;
    size_t count = 0;

    for (size_t from = 0; from + 1 < table->num_levels;) {
        const size_t to = next_corner(table->levels, costs, table->num_levels, from);
        const double low = table->levels[from], high = table->levels[to];
        const double own = (costs[to] - costs[from]) / ((high - low) * table->weights[unit]);
        price = own > price ? own : price; // prices of a hull rise, but for rounding
        segments[count++] = (struct curve_segment){unit, low, high, price};
        from = to;
    }
    return count;
}

// A unit's own pieces stay in their order.
static int compare_segments(const void *a, const void *b)
{
    const struct curve_segment *x = a, *y = b;
    if (x->price != y->price)
        return x->price < y->price ? -1 : 1;
    if (x->unit != y->unit)
        return x->unit < y->unit ? -1 : 1;
    return x->low < y->low ? -1 : 1;
}

double curve_targets(double *targets, const struct curve_table *table, double sparsity,
                     struct curve_segment *segments, double *price)
{
    const double lowest = table->levels[0];
    double left = 0, cost = 0, last = 0;
    size_t count = 0;

    for (size_t unit = 0; unit < table->units; unit++) {
        targets[unit] = lowest;
        cost += table->costs[unit * table->num_levels];
        left += (sparsity - lowest) * table->weights[unit];
        count += add_segments(segments + count, table, unit);
    }
    qsort(segments, count, sizeof *segments, compare_segments);
    for (size_t s = 0; s < count && left > 0; s++) {
        const struct curve_segment *segment = &segments[s];
        const double weights = table->weights[segment->unit];
        const double whole = weights * (segment->high - segment->low);
        const double taken = whole < left ? whole : left;
        targets[segment->unit] = whole <= left ? segment->high : segment->low + left / weights;
        cost += taken * segment->price;
        last = segment->price;
        left -= taken;
    }
    if (price != NULL)
        *price = last;
    return cost;
}
