// select.h - from scores to masks (kernels/METHOD.md §4). A mask row is bit-packed: bit k of byte b is column
// 8b + k, 1 = kept; padding bits of the last byte are 0. Of equal scores the lower column is pruned first.
// Scores must be finite and not negative, never -0: the mask of others means nothing, but no memory is harmed
// (find_non_finite of kernels/dtype.h tells). All selection is linear in the number of scores, whatever they
// are.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Bytes of one mask row: ceil(in / 8).
size_t mask_row_bytes(size_t in);

// floor(count * sparsity), computed as the field does in double; 0 <= sparsity <= 1.
size_t prune_count(size_t count, double sparsity);

// Prunes the `prune` smallest of scores[in]. prune == 0 keeps all, prune >= in keeps none.
void select_row(uint8_t *mask, const float *scores, size_t in, size_t prune);

// Keeps the n largest of every m neighbours; in % m == 0, n <= m <= 32.
void select_n_of_m(uint8_t *mask, const float *scores, size_t in, size_t n, size_t m);
// The same of neighbours in an order: order[in], the column at each position. mask and scores are those of
// the columns as they are; of equal scores the lower position is pruned first.
void select_n_of_m_in_order(uint8_t *mask, const float *scores, size_t in, size_t n, size_t m,
                            const uint32_t *order);

// Selection over a whole matrix whose rows lie on different ranks: a radix search over the bits of the float,
// SELECT_DIGITS passes of histograms that the caller sums over the ranks (integers: exact in any order).
//   struct select_search search; select_search_begin(&search, prune);
//   for (int digit = 0; digit < SELECT_DIGITS; digit++) {
//       uint64_t histogram[SELECT_BINS] = {0};
//       for each row: select_search_count(&search, histogram, scores, in);
//       (all-reduce histogram)
//       select_search_narrow(&search, histogram);
//   }
// Afterwards `threshold` is the bits of the largest pruned score and `ties` how many scores equal to it are
// pruned, in row-major order: select_threshold_row consumes them.
enum { SELECT_DIGITS = 3, SELECT_BINS = 2048 };
struct select_search {
    uint64_t remaining; // still to be pruned among those that match the prefix
    uint32_t prefix;    // bits found so far
    int digit;
    uint32_t threshold;
    uint64_t ties;
    int keep_all; // prune was 0
};
void select_search_begin(struct select_search *search, uint64_t prune);
void select_search_count(const struct select_search *search, uint64_t *histogram, const float *scores,
                         size_t n);
void select_search_narrow(struct select_search *search, const uint64_t *histogram);
// How many of scores[n] equal the threshold (for the exclusive scan over ranks that hands out the ties).
uint64_t select_count_ties(const struct select_search *search, const float *scores, size_t n);
// Mask of one row; *ties is how many equal scores are still to be pruned and is lowered by those used.
void select_threshold_row(uint8_t *mask, const float *scores, size_t in, const struct select_search *search,
                          uint64_t *ties);

// Kept bits in mask[in].
size_t mask_count(const uint8_t *mask, size_t in);
// weight[in] <- 0 where the mask is 0.
void mask_apply(float *weight, const uint8_t *mask, size_t in);
