// held_zeros.h - zeros of a model that was sparse before it is pruned: they stay zero (kernels/METHOD.md §4).
//
// A weight of a row that has many zeros is no weight that happens to be small. A mask that kept it would
// count as kept what is not there, and a method that solves for the weights would bring it back.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A row counts as sparse if at least one weight in 20 is zero. A trained row has none, or a few that
// underflowed.
enum { HELD_ZEROS_ONE_IN = 20 };

// held[mask_row_bytes(in)] <- bits as in select.h, 1 where row[in] is zero and stays so; all 0, and false, in
// a row with fewer zeros.
bool held_zeros_find(uint8_t *held, const float *row, size_t in);
// scores[in] <- 0 where held, so that these are pruned first.
void held_zeros_score(float *scores, const uint8_t *held, size_t in);
// mask[mask_row_bytes(in)] <- 0 where held.
void held_zeros_mask(uint8_t *mask, const uint8_t *held, size_t in);
