// Masks. The oracle for "the smallest are pruned, of equals the lower column first" is a stable sort of
// (score, position); masks must agree with it bit for bit, padding included.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/masks/select.h"
#include "tests/support/random.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 20000 };

struct entry {
    float score;
    size_t position;
};

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;

    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return a->position < b->position ? -1 : a->position > b->position;
}

// ranks[n]: the place of every score in the stable ascending order; the `prune` smallest are those with rank
// < prune.
static void rank_oracle(size_t *ranks, const float *scores, size_t n)
{
    struct entry *entries = malloc((n + 1) * sizeof *entries);

    for (size_t i = 0; i < n; i++)
        entries[i] = (struct entry){scores[i], i};
    qsort(entries, n, sizeof *entries, compare_entries);
    for (size_t i = 0; i < n; i++)
        ranks[entries[i].position] = i;
    free(entries);
}

// The mask row keeps the columns whose rank is at least prune, and its padding is 0.
static void assert_mask(const uint8_t *mask, const size_t *ranks, size_t prune, size_t in)
{
    static uint8_t expected[MOST / 8 + 2];

    memset(expected, 0, sizeof expected);
    for (size_t j = 0; j < in; j++)
        if (ranks[j] >= prune)
            expected[j / 8] |= (uint8_t)(1U << j % 8);
    assert_memory_equal(mask, expected, (in + 7) / 8);
}

static uint8_t *fresh_mask(void)
{
    static uint8_t mask[MOST / 8 + 2];
    memset(mask, 0xee, sizeof mask);
    return mask;
}

// ---- scores of many kinds -------------------------------------------------------------------------------

enum kind {
    NORMAL,
    QUANTISED,
    ALL_EQUAL,
    ALL_ZERO,
    EXTREMES,
    DENORMAL,
    ASCENDING,
    DESCENDING,
    TWO_SCALES,
    MOSTLY_ZERO,
    KINDS
};

static void fill_scores(float *scores, size_t n, enum kind kind, struct random_state *random)
{
    const float extremes[] = {0, 0x1p-149F, FLT_MIN, 1, 1 + FLT_EPSILON, FLT_MAX, 0x1p-140F, 1e30F};

    for (size_t i = 0; i < n; i++) {
        const float normal = (float)fabs(random_normal(random));
        switch (kind) {
        case NORMAL:
            scores[i] = normal;
            break;
        case QUANTISED: // ties everywhere
            scores[i] = floorf(4 * normal) / 4;
            break;
        case ALL_EQUAL:
            scores[i] = 0.7F;
            break;
        case ALL_ZERO:
            scores[i] = 0;
            break;
        case EXTREMES:
            scores[i] = extremes[random_below(random, 8)];
            break;
        case DENORMAL:
            scores[i] = (float)random_below(random, 100000) * 0x1p-149F;
            break;
        case ASCENDING:
            scores[i] = (float)i;
            break;
        case DESCENDING:
            scores[i] = (float)(n - i);
            break;
        case TWO_SCALES: // interpolation is misled
            scores[i] = random_below(random, 2) ? normal * 1e30F : normal * 1e-30F;
            break;
        default:
            scores[i] = random_below(random, 10) == 0 ? normal : 0;
            break;
        }
    }
}

static void the_smallest_of_a_row_are_pruned_and_of_equals_the_lower_columns(void **state)
{
    (void)state;
    struct random_state random = random_seed(6);
    static float scores[MOST];
    static size_t ranks[MOST];
    const size_t sizes[] = {1,  2,   3,   7,   8,   9,   15,   16,   31,   63,   64,
                            65, 255, 257, 511, 512, 513, 2047, 2048, 2049, 4099, MOST};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (enum kind kind = 0; kind < KINDS; kind++) {
            const size_t n = sizes[s];
            const size_t prunes[] = {0,    1, n / 4, n / 2, (n * 7) / 10, n - 1, n, random_below(&random, n),
                                     n + 1};
            fill_scores(scores, n, kind, &random);
            rank_oracle(ranks, scores, n);
            for (size_t p = 0; p < sizeof prunes / sizeof *prunes; p++) {
                uint8_t *mask = fresh_mask();
                select_row(mask, scores, n, prunes[p]);
                assert_mask(mask, ranks, prunes[p], n);
                assert_int_equal(mask[(n + 7) / 8], 0xee); // nothing beyond the row
                assert_int_equal(mask_count(mask, n), n - (prunes[p] < n ? prunes[p] : n));
            }
        }
}

static void every_count_of_a_short_row_is_pruned_exactly(void **state)
{
    (void)state;
    struct random_state random = random_seed(7);
    float scores[70];
    size_t ranks[70];

    for (size_t n = 1; n <= 70; n++)
        for (enum kind kind = NORMAL; kind <= QUANTISED; kind++) {
            fill_scores(scores, n, kind, &random);
            rank_oracle(ranks, scores, n);
            for (size_t prune = 0; prune <= n; prune++) {
                uint8_t *mask = fresh_mask();
                select_row(mask, scores, n, prune);
                assert_mask(mask, ranks, prune, n);
            }
        }
}

// One huge score and a sample that says nothing of the rest: the search may be slow, never wrong.
static void a_sample_that_misleads_changes_nothing(void **state)
{
    (void)state;
    struct random_state random = random_seed(8);
    static float scores[MOST];
    static size_t ranks[MOST];

    for (size_t i = 0; i < MOST; i++)
        scores[i] =
            i % (MOST / 256) == 0 ? 1e20F * (float)random_uniform(&random) : (float)random_uniform(&random);
    rank_oracle(ranks, scores, MOST);
    for (size_t prune = 1; prune < MOST; prune = prune * 3 + 1) {
        uint8_t *mask = fresh_mask();
        select_row(mask, scores, MOST, prune);
        assert_mask(mask, ranks, prune, MOST);
    }
}

// Promised for scores that are finite only; what is not must be found by the caller, but does no harm here.
static void nan_and_infinity_among_the_scores_do_no_harm(void **state)
{
    (void)state;
    struct random_state random = random_seed(9);
    static float scores[4096];
    const float bad[] = {NAN, -NAN, INFINITY, -1};

    for (size_t rounds = 0; rounds < 20; rounds++) {
        fill_scores(scores, 4096, NORMAL, &random);
        for (size_t i = 0; i < 4096; i += 1 + random_below(&random, 100))
            scores[i] = bad[random_below(&random, 4)];
        uint8_t *mask = fresh_mask();
        select_row(mask, scores, 4095, 2000);
        assert_int_equal(mask[512], 0xee);
        select_n_of_m(mask, scores, 4096, 2, 4);
        assert_int_equal(mask_count(mask, 4096), 2048);
        struct select_search search;
        uint64_t ties;
        select_search_begin(&search, 2000);
        for (int digit = 0; digit < SELECT_DIGITS; digit++) {
            uint64_t histogram[SELECT_BINS] = {0};
            select_search_count(&search, histogram, scores, 4096);
            select_search_narrow(&search, histogram);
        }
        ties = search.ties;
        select_threshold_row(mask, scores, 4096, &search, &ties);
        assert_int_equal(mask[512], 0xee);
    }
}

static void the_number_to_prune_is_the_floor_of_the_product_in_double(void **state)
{
    (void)state;
    assert_int_equal(prune_count(11008, 0.5), 5504);
    assert_int_equal(prune_count(7, 0.5), 3);
    assert_int_equal(prune_count(1, 0.999), 0);
    assert_int_equal(prune_count(100, 0), 0);
    assert_int_equal(prune_count(100, 1), 100);
    assert_int_equal(prune_count(0, 0.5), 0);
    assert_int_equal(prune_count(100, 0.29), 28);  // 100 * 0.29 is 28.999999999999996, as in Python
    assert_int_equal(prune_count(1000, 0.07), 70); // 70.00000000000001
    assert_int_equal(prune_count(SIZE_MAX, 1), SIZE_MAX);
}

// ---- n of m ---------------------------------------------------------------------------------------------

static void of_every_m_neighbours_the_n_largest_are_kept(void **state)
{
    (void)state;
    struct random_state random = random_seed(10);
    static float scores[32 * 200];
    static size_t ranks[32 * 200];
    const size_t group_counts[] = {0, 1, 2, 3, 5, 8, 63, 64, 65, 130, 200};

    for (size_t m = 1; m <= 32; m++)
        for (size_t n = 0; n <= m; n += m > 8 ? 3 : 1)
            for (size_t c = 0; c < sizeof group_counts / sizeof *group_counts; c++) {
                const size_t in = m * group_counts[c];
                uint8_t *mask = fresh_mask();
                fill_scores(scores, in, (enum kind)((c + n) % KINDS), &random);
                for (size_t g = 0; g < group_counts[c]; g++)
                    rank_oracle(ranks + g * m, scores + g * m, m);
                select_n_of_m(mask, scores, in, n, m);
                assert_mask(mask, ranks, m - n, in);
                assert_int_equal(mask[(in + 7) / 8], 0xee);
            }
}

static void two_of_four_keeps_the_two_largest_and_of_equals_the_higher_columns(void **state)
{
    (void)state;
    const float scores[16] = {4, 1, 3, 2, /**/ 5, 5, 5, 5, /**/ 0, 7, 0, 0, /**/ 1, 2, 2, 2};
    const uint8_t expected[2] = {0xc5, 0xca}; // 1010 0011, 0101 0011, lowest column first
    uint8_t mask[2];

    select_n_of_m(mask, scores, 16, 2, 4);
    assert_memory_equal(mask, expected, 2);
}

static void neighbours_in_an_order_are_those_of_the_reordered_scores(void **state)
{
    (void)state;
    struct random_state random = random_seed(12);
    static float scores[5 * 130], moved[5 * 130];
    static size_t ranks[5 * 130];
    static uint32_t order[5 * 130];
    const struct {
        size_t in, n, m;
    } shapes[] = {{0, 2, 4}, {4, 2, 4}, {520, 2, 4}, {650, 3, 5}, {512, 4, 8}, {96, 9, 32}, {7, 0, 7}};

    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t in = shapes[s].in, n = shapes[s].n, m = shapes[s].m;
        uint8_t *mask = fresh_mask();
        fill_scores(scores, in, (enum kind)(s % 2), &random);
        for (size_t k = 0; k < in; k++) {
            const size_t other = random_below(&random, k + 1);
            order[k] = order[other];
            order[other] = (uint32_t)k;
        }
        for (size_t k = 0; k < in; k++)
            moved[k] = scores[order[k]];
        for (size_t first = 0; first < in; first += m)
            rank_oracle(ranks + first, moved + first, m);
        select_n_of_m_in_order(mask, scores, in, n, m, order);
        for (size_t k = 0; k < in; k++)
            assert_int_equal(mask[order[k] / 8] >> order[k] % 8 & 1, ranks[k] >= m - n);
        for (size_t k = in; k % 8 != 0; k++)
            assert_int_equal(mask[k / 8] >> k % 8 & 1, 0);
        assert_int_equal(mask[(in + 7) / 8], 0xee);
    }
}

// ---- a whole matrix -------------------------------------------------------------------------------------

// Masks of rows[out, in], whose rows are split over `parts` as over ranks: histograms summed, ties handed out
// in order.
static void select_matrix(uint8_t *masks, const float *scores, size_t out, size_t in, size_t prune,
                          size_t parts)
{
    struct select_search search;
    const size_t bytes = mask_row_bytes(in);
    uint64_t ties_before = 0;

    select_search_begin(&search, prune);
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        uint64_t total[SELECT_BINS] = {0};
        for (size_t part = 0; part < parts; part++) {
            uint64_t histogram[SELECT_BINS] = {0};
            for (size_t i = out * part / parts; i < out * (part + 1) / parts; i++)
                select_search_count(&search, histogram, scores + i * in, in);
            for (size_t bin = 0; bin < SELECT_BINS; bin++)
                total[bin] += histogram[bin];
        }
        select_search_narrow(&search, total);
    }
    for (size_t part = 0; part < parts; part++) {
        const size_t first = out * part / parts, end = out * (part + 1) / parts;
        uint64_t ties = search.ties > ties_before ? search.ties - ties_before : 0;
        for (size_t i = first; i < end; i++)
            select_threshold_row(masks + i * bytes, scores + i * in, in, &search, &ties);
        for (size_t i = first; i < end; i++)
            ties_before += select_count_ties(&search, scores + i * in, in);
    }
}

static void the_smallest_of_a_matrix_are_pruned_however_its_rows_are_split(void **state)
{
    (void)state;
    struct random_state random = random_seed(11);
    static float scores[MOST];
    static size_t ranks[MOST];
    static uint8_t masks[MOST], again[MOST];
    const size_t shapes[][2] = {{1, 1}, {1, 9}, {9, 1}, {3, 8}, {7, 13}, {16, 64}, {40, 500}};

    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (enum kind kind = 0; kind < KINDS; kind++) {
            const size_t out = shapes[s][0], in = shapes[s][1], n = out * in, bytes = mask_row_bytes(in);
            const size_t prunes[] = {0, 1 < n ? 1 : n, n / 2, n - 1, n, random_below(&random, n), n + 5};
            fill_scores(scores, n, kind, &random);
            rank_oracle(ranks, scores, n);
            for (size_t p = 0; p < sizeof prunes / sizeof *prunes; p++) {
                memset(masks, 0xee, sizeof masks);
                select_matrix(masks, scores, out, in, prunes[p], 1);
                size_t count = 0;
                for (size_t i = 0; i < out; i++) {
                    assert_mask(masks + i * bytes, ranks + i * in, prunes[p], in);
                    count += mask_count(masks + i * bytes, in);
                }
                assert_int_equal(count, n - (prunes[p] < n ? prunes[p] : n));
                for (size_t parts = 2; parts <= 7; parts += parts == 3 ? 4 : 1) {
                    memset(again, 0xee, sizeof again);
                    select_matrix(again, scores, out, in, prunes[p], parts);
                    assert_memory_equal(again, masks, sizeof masks);
                }
            }
        }
}

static void the_threshold_is_the_largest_pruned_score_and_ties_how_many_of_its_equals_are_pruned(void **state)
{
    (void)state;
    const float scores[8] = {5, 3, 3, 1, 3, 9, 0x1p-149F, 3};
    const struct {
        size_t prune;
        float threshold;
        uint64_t ties;
    } expected[] = {{1, 0x1p-149F, 1}, {2, 1, 1}, {3, 3, 1}, {5, 3, 3}, {6, 3, 4}, {7, 5, 1}, {8, 9, 1}};

    for (size_t e = 0; e < sizeof expected / sizeof *expected; e++) {
        struct select_search search;
        uint32_t bits;
        memcpy(&bits, &expected[e].threshold, sizeof bits);
        select_search_begin(&search, expected[e].prune);
        for (int digit = 0; digit < SELECT_DIGITS; digit++) {
            uint64_t histogram[SELECT_BINS] = {0};
            select_search_count(&search, histogram, scores, 8);
            select_search_narrow(&search, histogram);
        }
        assert_int_equal(search.threshold, bits);
        assert_int_equal(search.ties, expected[e].ties);
        assert_int_equal(select_count_ties(&search, scores, 8), expected[e].threshold == 3 ? 4 : 1);
    }
}

static void a_single_row_is_selected_the_same_as_a_row_and_as_a_matrix(void **state)
{
    (void)state;
    struct random_state random = random_seed(12);
    static float scores[9001];
    static uint8_t mask[1200];

    for (enum kind kind = 0; kind < KINDS; kind++) {
        uint8_t *row = fresh_mask();
        fill_scores(scores, 9001, kind, &random);
        select_row(row, scores, 9001, 4321);
        select_matrix(mask, scores, 1, 9001, 4321, 1);
        assert_memory_equal(row, mask, mask_row_bytes(9001));
    }
}

// ---- masks ----------------------------------------------------------------------------------------------

static void kept_bits_are_counted_without_padding(void **state)
{
    (void)state;
    struct random_state random = random_seed(13);
    uint8_t mask[40];

    for (size_t in = 0; in <= 320; in++) {
        size_t expected = 0;
        for (size_t b = 0; b < 40; b++)
            mask[b] = (uint8_t)random_u64(&random); // also where padding would be
        for (size_t j = 0; j < in; j++)
            expected += mask[j / 8] >> j % 8 & 1;
        assert_int_equal(mask_count(mask, in), expected);
        assert_int_equal(mask_row_bytes(in), (in + 7) / 8);
    }
    memset(mask, 0xff, sizeof mask);
    assert_int_equal(mask_count(mask, 320), 320);
}

static void a_mask_leaves_kept_weights_alone_and_sets_the_others_to_positive_zero(void **state)
{
    (void)state;
    struct random_state random = random_seed(14);
    float weight[1030], before[1030];
    uint8_t mask[129];

    for (size_t in = 0; in <= 1030; in = in < 30 ? in + 1 : in + 500) {
        random_fill(&random, weight, 1030, 1);
        if (in > 5) {
            weight[3] = -INFINITY;
            weight[4] = NAN;
        }
        memcpy(before, weight, sizeof weight);
        for (size_t b = 0; b < sizeof mask; b++)
            mask[b] = (uint8_t)random_u64(&random);
        mask_apply(weight, mask, in);
        for (size_t j = 0; j < 1030; j++)
            if (j >= in || (mask[j / 8] >> j % 8 & 1)) {
                assert_memory_equal(&weight[j], &before[j], sizeof *weight);
            } else {
                assert_true(weight[j] == 0 && !signbit(weight[j]));
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_of_a_row_are_pruned_and_of_equals_the_lower_columns),
        cmocka_unit_test(every_count_of_a_short_row_is_pruned_exactly),
        cmocka_unit_test(a_sample_that_misleads_changes_nothing),
        cmocka_unit_test(nan_and_infinity_among_the_scores_do_no_harm),
        cmocka_unit_test(the_number_to_prune_is_the_floor_of_the_product_in_double),
        cmocka_unit_test(of_every_m_neighbours_the_n_largest_are_kept),
        cmocka_unit_test(two_of_four_keeps_the_two_largest_and_of_equals_the_higher_columns),
        cmocka_unit_test(neighbours_in_an_order_are_those_of_the_reordered_scores),
        cmocka_unit_test(the_smallest_of_a_matrix_are_pruned_however_its_rows_are_split),
        cmocka_unit_test(
            the_threshold_is_the_largest_pruned_score_and_ties_how_many_of_its_equals_are_pruned),
        cmocka_unit_test(a_single_row_is_selected_the_same_as_a_row_and_as_a_matrix),
        cmocka_unit_test(kept_bits_are_counted_without_padding),
        cmocka_unit_test(a_mask_leaves_kept_weights_alone_and_sets_the_others_to_positive_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
