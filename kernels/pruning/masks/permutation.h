// permutation.h - an order of input channels in which N of M neighbours keep more (kernels/METHOD.md §18).
//
// The channels whose order is free are dealt out to groups of M so that the kept sum, over all rows and
// groups the N largest scores, grows: first in turns from the largest channel to the smallest, then by linear
// assignments that exchange one channel of every group (Zhang et al., "Plug-and-play", ICLR 2024, the method
// ria's second half).
//
// All is computed a share at a time, by callers that see the same memory. The bits do not depend on the
// shares:
//
//     permutation_deal(order, &scores, &err);
//     for (sweep = 0; sweep < PERMUTATION_SWEEPS; sweep++)
//         for (place = 0; place < scores.of; place++) {
//             permutation_thresholds(thresholds, &scores, order, place, ...);   // each a share of the groups
//             permutation_gains(gains, &scores, order, thresholds, place, ...); // each a share of the groups
//             permutation_exchange(order, &scores, gains, place, &err);         // one for all
//         }
#pragma once
#include "kernels/error.h"
#include <stddef.h>
#include <stdint.h>

// What an order is sought for. channels is a multiple of `of`; keep <= of <= 32. Scores as in select.h: other
// ones give an order that means nothing, but is one.
struct permuted_scores {
    size_t rows, channels;
    size_t keep, of;
    const float *scores; // [channels, rows]: those of a channel are neighbours
};

// The first sweep finds nearly all (§18).
enum { PERMUTATION_SWEEPS = 2 };

// order[channels] <- the channel at each position: by falling sums of their scores, dealt out to the groups
// forth and back. Allocates some vectors: STATUS_MEMORY.
enum status permutation_deal(uint32_t *order, const struct permuted_scores *scores, struct error *err);

// A round takes the channel at `place` out of every group: groups and channels are then as many, and each
// channel may come to any group.

// Floats of thresholds for so many rows and groups.
size_t permutation_thresholds_size(size_t rows, size_t groups);
// What a score must exceed in each row of the groups [first, first + count) to be kept there.
struct group_share {
    size_t first, count;
};
void permutation_thresholds(float *thresholds, const struct permuted_scores *scores, const uint32_t *order,
                            size_t place, struct group_share share);
// gains[groups, groups], rows of the groups in `share`: by how much the kept sum grows when the channel that
// was taken out of the group i comes to the group k: sum_rows max(0, score - threshold). All thresholds are
// there.
void permutation_gains(float *gains, const struct permuted_scores *scores, const uint32_t *order,
                       const float *thresholds, size_t place, struct group_share share);
// Gives every group the channel of the assignment with the largest sum of gains. STATUS_MEMORY.
enum status permutation_exchange(uint32_t *order, const struct permuted_scores *scores, const float *gains,
                                 size_t place, struct error *err);

// The kept sum in an order, in double, group after group; order NULL: as the channels are.
double permutation_kept(const struct permuted_scores *scores, const uint32_t *order);
