// Orders of channels, against plain loops over the definition of the kept sum, and against all orders of tiny
// cases.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/masks/permutation.h"
#include "tests/support/random.h"
#include "tests/support/temporary_folder.h" // assert_ok

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int rising(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

// The `keep` largest of values[count], added.
static double largest_sum(const double *values, size_t count, size_t keep)
{
    double sorted[40], sum = 0;
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, rising);
    for (size_t k = count - (keep < count ? keep : count); k < count; k++)
        sum += sorted[k];
    return sum;
}

// Of the channels members[count] as a group.
static double naive_group(const struct permuted_scores *s, const uint32_t *members, size_t count)
{
    double sum = 0;
    for (size_t r = 0; r < s->rows; r++) {
        double values[40];
        for (size_t k = 0; k < count; k++)
            values[k] = (double)s->scores[members[k] * s->rows + r];
        sum += largest_sum(values, count, s->keep);
    }
    return sum;
}

static double naive_kept(const struct permuted_scores *s, const uint32_t *order)
{
    double sum = 0;
    for (size_t first = 0; first < s->channels; first += s->of)
        sum += naive_group(s, order + first, s->of);
    return sum;
}

// Heavy-tailed scores; some channels are all zero.
static float *random_scores(size_t channels, size_t rows, uint64_t seed)
{
    struct random_state random = random_seed(seed);
    float *scores = malloc(channels * rows * sizeof *scores);
    assert_non_null(scores);
    for (size_t j = 0; j < channels; j++) {
        const double scale = j % 17 == 5 ? 0 : exp(random_normal(&random));
        for (size_t r = 0; r < rows; r++)
            scores[j * rows + r] = (float)(scale * fabs(random_normal(&random)));
    }
    return scores;
}

static void assert_order(const uint32_t *order, size_t channels)
{
    bool *seen = calloc(channels, 1);
    assert_non_null(seen);
    for (size_t k = 0; k < channels; k++) {
        assert_true(order[k] < channels);
        assert_false(seen[order[k]]);
        seen[order[k]] = true;
    }
    free(seen);
}

struct room {
    float *thresholds, *gains;
};

static struct room make_room(const struct permuted_scores *s)
{
    const size_t groups = s->channels / s->of;
    const struct room room = {malloc(permutation_thresholds_size(s->rows, groups) * sizeof(float)),
                              malloc(groups * groups * sizeof(float))};
    assert_non_null(room.thresholds);
    assert_non_null(room.gains);
    return room;
}

static void free_room(const struct room *room)
{
    free(room->thresholds);
    free(room->gains);
}

// Thresholds and gains, in `parts` shares.
static void make_gains(const struct permuted_scores *s, const struct room *room, const uint32_t *order,
                       size_t place, size_t parts)
{
    const size_t groups = s->channels / s->of;
    for (int step = 0; step < 2; step++)
        for (size_t part = 0; part < parts; part++) {
            const size_t first = part * groups / parts;
            const struct group_share share = {first, (part + 1) * groups / parts - first};
            if (step == 0)
                permutation_thresholds(room->thresholds, s, order, place, share);
            else
                permutation_gains(room->gains, s, order, room->thresholds, place, share);
        }
}

static const struct {
    size_t channels, rows, keep, of;
} shapes[] = {{8, 5, 2, 4},  {64, 33, 2, 4},  {264, 300, 4, 8}, {12, 7, 1, 3}, {6, 4, 3, 3},
              {30, 9, 2, 2}, {64, 70, 5, 32}, {40, 600, 1, 2},  {4, 3, 2, 4}};
enum { NUM_SHAPES = sizeof shapes / sizeof *shapes };

static struct permuted_scores shape_scores(size_t i)
{
    return (struct permuted_scores){.rows = shapes[i].rows,
                                    .channels = shapes[i].channels,
                                    .keep = shapes[i].keep,
                                    .of = shapes[i].of,
                                    .scores = random_scores(shapes[i].channels, shapes[i].rows, 10 + i)};
}

static void channels_are_dealt_forth_and_back_by_falling_sums(void **state)
{
    // Sums 1 ... 8; the two with sum 4 in the order of their numbers.
    const float scores[8] = {4, 8, 1, 7, 4, 2, 6, 5};
    const struct permuted_scores s = {1, 8, 2, 4, scores};
    const uint32_t expected[8] = {1, 7, 0, 2, 3, 6, 4, 5};
    uint32_t order[8];
    struct error err = {0};
    (void)state;

    assert_ok(permutation_deal(order, &s, &err), err);
    assert_memory_equal(order, expected, sizeof expected);
}

static void the_kept_sum_is_that_of_the_definition(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_SHAPES; i++) {
        const struct permuted_scores s = shape_scores(i);
        uint32_t order[300];
        struct error err = {0};
        for (size_t k = 0; k < s.channels; k++)
            order[k] = (uint32_t)k;
        assert_true(fabs(permutation_kept(&s, NULL) / naive_kept(&s, order) - 1) < 1e-12);
        assert_ok(permutation_deal(order, &s, &err), err);
        assert_true(fabs(permutation_kept(&s, order) / naive_kept(&s, order) - 1) < 1e-12);
        free((void *)s.scores);
    }
}

// What a channel adds to the others of a group.
static double naive_gain(const struct permuted_scores *s, const uint32_t *order, size_t from, size_t to,
                         size_t place)
{
    uint32_t members[40];
    size_t count = 0;
    for (size_t k = 0; k < s->of; k++)
        if (k != place)
            members[count++] = order[to * s->of + k];
    const double without = naive_group(s, members, count);
    members[count++] = order[from * s->of + place];
    return naive_group(s, members, count) - without;
}

static void gains_are_what_a_channel_adds_in_any_shares(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_SHAPES; i++) {
        const struct permuted_scores s = shape_scores(i);
        const size_t groups = s.channels / s.of, place = i % s.of;
        const struct room room = make_room(&s), again = make_room(&s);
        uint32_t order[300];
        struct error err = {0};
        assert_ok(permutation_deal(order, &s, &err), err);
        make_gains(&s, &room, order, place, 1);
        make_gains(&s, &again, order, place, 3);
        assert_memory_equal(room.gains, again.gains, groups * groups * sizeof(float));
        for (size_t a = 0; a < groups; a++)
            for (size_t b = 0; b < groups; b++) {
                const double expected = naive_gain(&s, order, a, b, place);
                // Sums of up to 600 float32 numbers that are not negative.
                assert_true(fabs((double)room.gains[a * groups + b] - expected) <=
                            1e-4 * expected + 1e-6 * naive_group(&s, order, 1));
            }
        free_room(&room);
        free_room(&again);
        free((void *)s.scores);
    }
}

static double search(const struct permuted_scores *s, uint32_t *order)
{
    const struct room room = make_room(s);
    struct error err = {0};
    double kept;

    assert_ok(permutation_deal(order, s, &err), err);
    kept = naive_kept(s, order);
    for (size_t sweep = 0; sweep < PERMUTATION_SWEEPS; sweep++)
        for (size_t place = 0; place < s->of; place++) {
            make_gains(s, &room, order, place, 2);
            assert_ok(permutation_exchange(order, s, room.gains, place, &err), err);
            assert_order(order, s->channels);
            const double after = naive_kept(s, order);
            assert_true(after >= kept * (1 - 1e-6)); // gains are sums of float32
            kept = after;
        }
    free_room(&room);
    return kept;
}

static void no_exchange_keeps_less(void **state)
{
    (void)state;
    for (size_t i = 0; i < NUM_SHAPES; i++) {
        const struct permuted_scores s = shape_scores(i);
        uint32_t order[300];
        search(&s, order);
        free((void *)s.scores);
    }
}

// Over all orders of order[first ...], whose groups matter alone.
static double best_order(const struct permuted_scores *s, uint32_t *order, size_t first)
{
    double best = first == s->channels ? naive_kept(s, order) : -INFINITY;
    for (size_t k = first; k < s->channels; k++) {
        // Members of a group rise, so that every set is looked at once.
        const bool rises = first % s->of == 0 || order[k] > order[first - 1];
        const uint32_t chosen = order[k];
        if (!rises)
            continue;
        order[k] = order[first];
        order[first] = chosen;
        const double kept = best_order(s, order, first + 1);
        best = kept > best ? kept : best;
        order[first] = order[k];
        order[k] = chosen;
    }
    return best;
}

// Exchanges of one channel of every group cannot reach each order: of tiny cases most of what there is to
// gain.
static void tiny_cases_gain_most_of_what_the_best_order_gains(void **state)
{
    double gained = 0, possible = 0;
    (void)state;

    for (uint64_t seed = 0; seed < 40; seed++) {
        const struct permuted_scores s = {6, 8, 2, 4, random_scores(8, 6, 100 + seed)};
        uint32_t order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
        const double before = naive_kept(&s, order), best = best_order(&s, order, 0);
        const double found = search(&s, order);
        assert_true(found <= best * (1 + 1e-6));
        gained += found - before;
        possible += best - before;
        free((void *)s.scores);
    }
    assert_true(gained > 0.9 * possible);
}

static void scores_that_are_not_finite_end_in_an_order(void **state)
{
    const struct permuted_scores s = {5, 12, 2, 4, random_scores(12, 5, 3)};
    uint32_t order[12];
    struct error err = {0};
    const struct room room = make_room(&s);
    (void)state;

    ((float *)s.scores)[7] = INFINITY;
    ((float *)s.scores)[20] = NAN;
    ((float *)s.scores)[41] = INFINITY;
    assert_ok(permutation_deal(order, &s, &err), err);
    for (size_t place = 0; place < 4; place++) {
        make_gains(&s, &room, order, place, 1);
        assert_ok(permutation_exchange(order, &s, room.gains, place, &err), err);
        assert_order(order, 12);
    }
    free_room(&room);
    free((void *)s.scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_are_dealt_forth_and_back_by_falling_sums),
        cmocka_unit_test(the_kept_sum_is_that_of_the_definition),
        cmocka_unit_test(gains_are_what_a_channel_adds_in_any_shares),
        cmocka_unit_test(no_exchange_keeps_less),
        cmocka_unit_test(tiny_cases_gain_most_of_what_the_best_order_gains),
        cmocka_unit_test(scores_that_are_not_finite_end_in_an_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
