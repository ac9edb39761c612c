#include "kernels/pruning/masks/select.h"
#include "kernels/float_bits.h"
#include "kernels/mask_bits.h"

#include <math.h>
#include <string.h>

// The bits of floats that are not negative are ordered like the floats themselves.
SIMD_INLINE int32_t score_bits(float score)
{
    return (int32_t)float_bits(score);
}

// ---- a threshold and its ties to a mask -----------------------------------------------------------------

enum { BLOCK = 512 }; // scores that are turned into bytes, and these into bits, at a time

SIMD_CLONES
static void keep_at_least(uint8_t *restrict mask, const float *restrict scores, size_t in, int32_t threshold)
{
    for (size_t start = 0; start < in; start += BLOCK) {
        const size_t count = in - start < BLOCK ? in - start : BLOCK;
        uint8_t keep[BLOCK];

        for (size_t j = 0; j < count; j++)
            keep[j] = score_bits(scores[start + j]) >= threshold;
        for (size_t j = count; j % 8 != 0; j++)
            keep[j] = 0;
        for (size_t b = 0; 8 * b < count; b++)
            mask[start / 8 + b] = mask_pack8(keep + 8 * b);
    }
}

// Prunes the first `ties` of the scores that equal threshold; returns how many there were, at most `ties`.
static uint64_t prune_ties(uint8_t *mask, const float *scores, size_t in, int32_t threshold, uint64_t ties)
{
    uint64_t pruned = 0;

    for (size_t j = 0; j < in && pruned < ties; j++)
        if (score_bits(scores[j]) == threshold) {
            mask[j / 8] = (uint8_t)(mask[j / 8] & ~(1U << j % 8));
            pruned++;
        }
    return pruned;
}

static void keep_all_or_none(uint8_t *mask, size_t in, int keep)
{
    memset(mask, keep ? 0xff : 0, mask_row_bytes(in));
    if (keep && in % 8 != 0)
        mask[in / 8] = (uint8_t)((1U << in % 8) - 1);
}

size_t mask_row_bytes(size_t in)
{
    return in / 8 + (in % 8 != 0);
}

size_t prune_count(size_t count, double sparsity)
{
    const double prune = floor((double)count * sparsity);

    if (!(prune > 0))
        return 0;
    return prune < (double)count ? (size_t)prune : count;
}

// ---- one row --------------------------------------------------------------------------------------------

SIMD_CLONES
static size_t count_below(const float *scores, size_t n, int32_t threshold)
{
    const size_t limit = 1 << 20; // a 32-bit count does not overflow, and vectorises best
    size_t total = 0;

    for (size_t start = 0; start < n; start += limit) {
        const size_t end = n - start < limit ? n : start + limit;
        uint32_t count = 0;
        for (size_t j = start; j < end; j++)
            count += score_bits(scores[j]) < threshold;
        total += count;
    }
    return total;
}

// A search for the place between the scores where `prune` of them lie below: fewer lie below `low`, more
// below `high`. One step is one counting pass, which costs so little that a handful of them is faster than
// any partition or histogram.
struct row_search {
    const float *scores;
    size_t n, prune;
    int32_t low, high;
    size_t below_low, below_high;
};

// Moves low or high to guess, which lies between them. When exactly `prune` scores are below it, low = high =
// guess.
static void row_search_step(struct row_search *search, int32_t guess)
{
    const size_t below = count_below(search->scores, search->n, guess);

    if (below <= search->prune) {
        search->low = guess;
        search->below_low = below;
    }
    if (below >= search->prune) {
        search->high = guess;
        search->below_high = below;
    }
}

static int32_t row_search_interpolate(const struct row_search *search)
{
    const double share =
        (double)(search->prune - search->below_low) / (double)(search->below_high - search->below_low);
    const int32_t distance = search->high - search->low;
    const int32_t step = (int32_t)(share * distance);

    return search->low + (step < 1 ? 1 : step >= distance ? distance - 1 : step);
}

// Afterwards all scores below `low` are to be pruned, and prune - below_low of those equal to it.
// Interpolation finds the place in a few steps; halving at every third bounds them by 3 x 31 whatever the
// scores are.
static void row_search_run(struct row_search *search)
{
    for (unsigned steps = 1; search->high - search->low > 1; steps++)
        row_search_step(search, steps % 3 == 0 ? search->low + (search->high - search->low) / 2
                                               : row_search_interpolate(search));
}

// A sample of the scores says where to start: the places just below and just above the wanted share of it.
static void row_search_bracket(struct row_search *search)
{
    enum { SAMPLE = 256, MARGIN = 16 }; // two standard deviations of the count of a sample's lower half
    float sample[SAMPLE];
    const size_t stride = search->n / SAMPLE;
    const size_t rank = (size_t)((double)search->prune / (double)search->n * (double)SAMPLE);
    const size_t ranks[2] = {rank > MARGIN ? rank - MARGIN : 0, rank + MARGIN};

    if (search->n < 8 * SAMPLE)
        return;
    for (size_t i = 0; i < SAMPLE; i++)
        sample[i] = search->scores[i * stride];
    for (size_t i = 0; i < 2; i++) {
        if (ranks[i] == 0 || ranks[i] >= SAMPLE)
            continue;
        struct row_search guess = {sample, SAMPLE, ranks[i], 0, INT32_MAX, 0, SAMPLE};
        row_search_run(&guess);
        if (guess.low > search->low && guess.low < search->high)
            row_search_step(search, guess.low);
    }
}

void select_row(uint8_t *mask, const float *scores, size_t in, size_t prune)
{
    if (prune == 0 || prune >= in) {
        keep_all_or_none(mask, in, prune == 0);
        return;
    }
    struct row_search search = {scores, in, prune, 0, INT32_MAX, 0, in};
    row_search_bracket(&search);
    row_search_run(&search);
    keep_at_least(mask, scores, in, search.low);
    prune_ties(mask, scores, in, search.low, prune - search.below_low);
}

// ---- a whole matrix -------------------------------------------------------------------------------------

// The bits of a score are three digits: 10 (the sign is 0), 11 and 10 bits. SELECT_BINS has room for each.
static const struct {
    int shift, bits;
} digits[SELECT_DIGITS] = {{21, 10}, {10, 11}, {0, 10}};

void select_search_begin(struct select_search *search, uint64_t prune)
{
    *search = (struct select_search){.remaining = prune, .keep_all = prune == 0};
}

// Neighbouring scores mostly fall into the same few bins: four tables in turn keep one increment from waiting
// for the one before.
static void count_first_digit(uint64_t *histogram, const float *scores, size_t n)
{
    enum { TABLES = 4, BINS = 1 << 10 };
    const int shift = digits[0].shift;

    if (n < TABLES * BINS) { // not worth the tables
        for (size_t j = 0; j < n; j++)
            histogram[(uint32_t)score_bits(scores[j]) >> shift & (BINS - 1)]++;
        return;
    }
    uint32_t tables[TABLES][BINS] = {{0}};
    for (size_t j = 0; j + TABLES <= n; j += TABLES)
        for (size_t table = 0; table < TABLES; table++)
            tables[table][(uint32_t)score_bits(scores[j + table]) >> shift & (BINS - 1)]++;
    for (size_t j = n - n % TABLES; j < n; j++)
        tables[0][(uint32_t)score_bits(scores[j]) >> shift & (BINS - 1)]++;
    for (size_t bin = 0; bin < BINS; bin++)
        for (size_t table = 0; table < TABLES; table++)
            histogram[bin] += tables[table][bin];
}

void select_search_count(const struct select_search *search, uint64_t *histogram, const float *scores,
                         size_t n)
{
    const int digit = search->digit, shift = digits[digit].shift, bits = digits[digit].bits;
    const uint32_t bin = (1U << bits) - 1;

    if (digit == 0) {
        const size_t limit = 1 << 30; // of the tables' 32-bit counts
        for (size_t start = 0; start < n; start += limit)
            count_first_digit(histogram, scores + start, n - start < limit ? n - start : limit);
        return;
    }
    // Those that match the prefix are gathered first, without a branch that could be mispredicted.
    for (size_t start = 0; start < n; start += BLOCK) {
        const size_t end = n - start < BLOCK ? n : start + BLOCK;
        uint32_t matching[BLOCK];
        size_t count = 0;

        for (size_t j = start; j < end; j++) {
            const uint32_t score = (uint32_t)score_bits(scores[j]);
            matching[count] = score;
            count += score >> (shift + bits) == search->prefix;
        }
        for (size_t k = 0; k < count; k++)
            histogram[matching[k] >> shift & bin]++;
    }
}

void select_search_narrow(struct select_search *search, const uint64_t *histogram)
{
    const uint32_t last = (1U << digits[search->digit].bits) - 1;
    uint32_t bin = 0;

    // The bin in which the last score to be pruned lies; prune beyond the number of scores ends in the last
    // bins, above all scores.
    while (bin < last && search->remaining > histogram[bin])
        search->remaining -= histogram[bin++];
    search->prefix = search->prefix << digits[search->digit].bits | bin;
    search->digit++;
    search->threshold = search->prefix;
    search->ties = search->remaining;
}

SIMD_CLONES
static size_t count_equal(const float *scores, size_t n, int32_t threshold)
{
    const size_t limit = 1 << 20; // as in count_below
    size_t total = 0;

    for (size_t start = 0; start < n; start += limit) {
        const size_t end = n - start < limit ? n : start + limit;
        uint32_t count = 0;
        for (size_t j = start; j < end; j++)
            count += score_bits(scores[j]) == threshold;
        total += count;
    }
    return total;
}

uint64_t select_count_ties(const struct select_search *search, const float *scores, size_t n)
{
    return search->keep_all ? 0 : count_equal(scores, n, (int32_t)search->threshold);
}

void select_threshold_row(uint8_t *mask, const float *scores, size_t in, const struct select_search *search,
                          uint64_t *ties)
{
    if (search->keep_all) {
        keep_all_or_none(mask, in, 1);
        return;
    }
    keep_at_least(mask, scores, in, (int32_t)search->threshold);
    *ties -= prune_ties(mask, scores, in, (int32_t)search->threshold, *ties);
}

// ---- n of m ---------------------------------------------------------------------------------------------

enum { MAX_OF = 32, GROUPS = 64 }; // groups are compared side by side

// words[groups] <- bit a of a group's word: its score a is among the n largest. Every pair of scores is
// compared once; a score is kept when fewer than n beat it. Of equals the higher column beats the lower.
SIMD_INLINE void keep_largest(uint32_t *restrict words, const float *restrict scores, size_t groups,
                              uint32_t n, size_t m)
{
    int32_t column[MAX_OF][GROUPS];
    uint32_t beaten[MAX_OF][GROUPS];

    for (size_t a = 0; a < m; a++) {
        for (size_t g = 0; g < groups; g++)
            column[a][g] = score_bits(scores[g * m + a]);
        for (size_t g = groups; g < GROUPS; g++)
            column[a][g] = 0;
        for (size_t g = 0; g < GROUPS; g++)
            beaten[a][g] = 0;
    }
    for (size_t a = 0; a + 1 < m; a++)
        for (size_t b = a + 1; b < m; b++)
            for (size_t g = 0; g < GROUPS; g++) {
                const uint32_t greater = column[a][g] > column[b][g];
                beaten[a][g] += 1 - greater;
                beaten[b][g] += greater;
            }
    for (size_t g = 0; g < GROUPS; g++)
        words[g] = 0;
    for (size_t a = 0; a < m; a++)
        for (size_t g = 0; g < GROUPS; g++)
            words[g] |= (uint32_t)(beaten[a][g] < n) << a;
}

// A constant m lets the compiler unroll the patterns that hardware knows.
SIMD_CLONES
static void keep_largest_of(uint32_t *words, const float *scores, size_t groups, uint32_t n, size_t m)
{
    if (m == 4)
        keep_largest(words, scores, groups, n, 4);
    else if (m == 8)
        keep_largest(words, scores, groups, n, 8);
    else
        keep_largest(words, scores, groups, n, m);
}

void select_n_of_m(uint8_t *mask, const float *scores, size_t in, size_t n, size_t m)
{
    uint64_t bits = 0; // of a byte that is not full yet
    size_t used = 0;

    for (size_t start = 0; start < in / m; start += GROUPS) {
        const size_t groups = in / m - start < GROUPS ? in / m - start : GROUPS;
        uint32_t words[GROUPS];

        keep_largest_of(words, scores + start * m, groups, (uint32_t)n, m);
        for (size_t g = 0; g < groups; g++) {
            bits |= (uint64_t)words[g] << used;
            for (used += m; used >= 8; used -= 8, bits >>= 8)
                *mask++ = (uint8_t)bits;
        }
    }
    if (used > 0)
        *mask = (uint8_t)bits;
}

void select_n_of_m_in_order(uint8_t *mask, const float *scores, size_t in, size_t n, size_t m,
                            const uint32_t *order)
{
    memset(mask, 0, mask_row_bytes(in));
    for (size_t start = 0; start < in; start += GROUPS * m) {
        const size_t count = in - start < GROUPS * m ? in - start : GROUPS * m;
        float moved[GROUPS * MAX_OF];
        uint8_t kept[GROUPS * MAX_OF / 8];

        for (size_t k = 0; k < count; k++)
            moved[k] = scores[order[start + k]];
        select_n_of_m(kept, moved, count, n, m);
        for (size_t k = 0; k < count; k++) {
            const uint32_t column = order[start + k];
            mask[column / 8] |= (uint8_t)((kept[k / 8] >> k % 8 & 1) << column % 8);
        }
    }
}

// ---- masks ----------------------------------------------------------------------------------------------

size_t mask_count(const uint8_t *mask, size_t in)
{
    size_t count = 0;

    for (size_t b = 0; b < in / 8; b++) {
        // Sums of 1, 2, then 4 neighbouring bits.
        const unsigned pairs = mask[b] - (mask[b] >> 1 & 0x55U);
        const unsigned fours = (pairs & 0x33) + (pairs >> 2 & 0x33);
        count += (fours + (fours >> 4)) & 0x0f;
    }
    for (size_t j = in - in % 8; j < in; j++)
        count += mask[j / 8] >> j % 8 & 1;
    return count;
}

SIMD_CLONES
static void zero_pruned(float *weight, const uint8_t *mask, size_t in)
{
    for (size_t start = 0; start < in; start += BLOCK) {
        const size_t count = in - start < BLOCK ? in - start : BLOCK;
        uint8_t keep[BLOCK];

        mask_unpack(keep, mask, start, count);
        for (size_t j = 0; j < count; j++)
            weight[start + j] = kept_f32(weight[start + j], keep[j]);
    }
}

void mask_apply(float *weight, const uint8_t *mask, size_t in)
{
    zero_pruned(weight, mask, in);
}
