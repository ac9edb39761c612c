// curves.h - where to spend sparsity when its cost is known: the cheapest choice of a sparsity for each unit
// at a given mean (kernels/METHOD.md §5).
#pragma once
#include <stddef.h>

// costs[units, num_levels], of the units of a group, and together[num_levels], of pruning all of them to the
// same level. Where that costs more than the units one by one, each is charged its part of it:
//   costs_ik <- max(costs_ik, 0) * max(1, together_k / sum_i max(costs_ik, 0))
// Where it costs less they keep what they cost alone: a group that has lost all cannot lose more, which says
// nothing of its last weights.
void curves_charge_together(double *costs, const double *together, size_t units, size_t num_levels);

// The cost at sparsity s between levels[0] and levels[num_levels - 1], from costs[num_levels] that do not
// fall. Between two levels it grows by the same factor with every step, costs being about exponential; below
// levels[1], where levels[0] and costs[0] are 0, as a power of s, the one that leads on to levels[2] but at
// least linearly. Where a cost is 0 the line is straight.
double curve_at(double s, const double *levels, const double *costs, size_t num_levels);

// costs[num_levels] of one unit, at rising sparsities: each becomes the largest so far, so that pruning more
// never costs less.
void curve_make_monotone(double *costs, size_t num_levels);

// What it costs to prune units to the levels of a ladder.
struct curve_table {
    size_t units, num_levels;
    const double *levels;  // [num_levels], strictly rising
    const double *costs;   // [units, num_levels], finite, each row rising or level
    const double *weights; // [units], how many weights a unit has; above 0
};

// A piece of the lower convex hull of a unit's curve.
struct curve_segment {
    size_t unit;
    double low, high; // sparsities
    double price;     // what a weight costs that is pruned along it
};

// targets[units] <- the sparsities that minimise the sum of the costs, each curve taken as its lower convex
// hull with straight lines between the corners, so that
//
//   sum_l weights_l targets_l = sparsity sum_l weights_l,   levels[0] <= targets_l <= levels[num_levels - 1]
//
// exactly, where the ladder reaches so far. All pieces of the hulls are taken in the order of their price up
// to that sum: the price where it is reached is the Lagrange multiplier, and at most one unit is left between
// two corners. Of equal prices the lower unit's comes first. Returns the sum of the costs, and puts the
// multiplier into *price (may be NULL). segments: room for units * (num_levels - 1).
double curve_targets(double *targets, const struct curve_table *table, double sparsity,
                     struct curve_segment *segments, double *price);
