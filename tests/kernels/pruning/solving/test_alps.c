// ALPS and ADMM pruning, beside tests/golden/alps.json, which make_alps_golden.py computed from the papers'
// formulas in double; and one step beside plain loops.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/admm.h"
#include "kernels/pruning/solving/alps.h"
#include "kernels/pruning/solving/inverse.h"
#include "kernels/pruning/solving/least_squares.h"
#include "tests/support/random.h"
#include "tests/support/source_path.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Of make_alps_golden.py.
enum { ROWS = 24, IN = 48, TOKENS = 130, SEED = 11, MASK = IN / 8 };

static struct {
    double g[IN * IN], c[IN * IN], scale[IN], target[ROWS * IN], wide[LEAST_SQUARES_ROWS * IN];
    float scaled[IN * IN], dense[ROWS * IN], plus[ROWS * IN], state[ROWS * IN], start[ROWS * IN];
    uint8_t mask[ROWS * MASK], checked[ROWS * MASK];
    struct normal_equations equations;
    struct admm_rows rows;
    double *workspace, *inverse, *tile;
} p;

static int problem_create(void **state)
{
    (void)state;
    struct random_state random = random_seed(SEED);
    static double x[TOKENS][IN], y[TOKENS][IN];

    for (size_t t = 0; t < TOKENS; t++)
        for (size_t j = 0; j < IN; j++)
            x[t][j] = random_normal(&random) * (j % 17 == 3 ? 8 : 1);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t j = 0; j < IN; j++)
            x[t][j] += j > 0 ? 0.8 * x[t][j - 1] : 0;
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t j = 0; j < IN; j++)
            y[t][j] = x[t][j] + 0.1 * random_normal(&random);
    random_fill(&random, p.dense, (size_t)ROWS * IN, 0.05);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t j = 0; j < IN; j++)
            for (size_t k = 0; k < IN; k++) {
                p.g[j * IN + k] += x[t][j] * x[t][k];
                p.c[j * IN + k] += x[t][j] * y[t][k];
            }
    p.equations = (struct normal_equations){.in = IN,
                                            .lambda = normal_equations_lambda(p.g, IN, 0.01),
                                            .g = p.g,
                                            .c = p.c,
                                            .scale = p.scale,
                                            .scaled = p.scaled};
    normal_equations_scale(&p.equations);
    normal_equations_fill(&p.equations, 0, IN);
    least_squares_target(p.target, &p.equations, p.dense, ROWS, p.wide);
    p.workspace = aligned_alloc(64, least_squares_workspace(IN) * sizeof(double));
    p.inverse = aligned_alloc(64, sizeof(double) * IN * IN);
    p.tile = aligned_alloc(64, TILE_WORKSPACE * sizeof(double));
    assert_true(p.workspace != NULL && p.inverse != NULL && p.tile != NULL);
    normal_equations_wide(p.inverse, &p.equations, 0, 0, IN);
    assert_true(inverse_alone(p.inverse, IN, p.tile));
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < IN; j++) {
            double w = 0;
            for (size_t k = 0; k < IN; k++)
                w += p.inverse[j * IN + k] * p.target[i * IN + k] / p.scale[k];
            p.plus[i * IN + j] = (float)(w / p.scale[j]);
        }
    assert_true(admm_workspace(IN) * sizeof(float) <= least_squares_workspace(IN) * sizeof(double));
    p.rows = (struct admm_rows){ROWS, p.plus, p.state, p.mask, NULL};
    return 0;
}

static int problem_free(void **state)
{
    (void)state;
    free(p.workspace);
    free(p.inverse);
    free(p.tile);
    return 0;
}

// The rows [first, first + count).
static struct admm_rows part(size_t first, size_t count)
{
    return (struct admm_rows){count, p.plus + first * IN, p.state + first * IN, p.mask + first * MASK, NULL};
}

// ---- whole runs beside the golden file ------------------------------------------------------------------

struct choice {
    double sparsity;
    const char *group;
};

// Selects the masks of all rows as a caller does; `share`: the sparsity of this step.
static void select_masks(const struct choice *choice, double share)
{
    static float scores[ROWS * IN];

    if (strcmp(choice->group, "layer") == 0) {
        struct select_search search;
        admm_scores(scores, p.state, (size_t)ROWS * IN);
        select_search_begin(&search, prune_count((size_t)ROWS * IN, share));
        for (int digit = 0; digit < SELECT_DIGITS; digit++) {
            uint64_t histogram[SELECT_BINS] = {0};
            select_search_count(&search, histogram, scores, (size_t)ROWS * IN);
            select_search_narrow(&search, histogram);
        }
        uint64_t ties = search.ties;
        for (size_t i = 0; i < ROWS; i++)
            select_threshold_row(p.mask + i * MASK, scores + i * IN, IN, &search, &ties);
        return;
    }
    struct admm_selection selection = {.prune = prune_count(IN, share)};
    if (strcmp(choice->group, "row") != 0) {
        selection.n = 2, selection.of = 4;
        if (share == choice->sparsity)
            selection.prune = SIZE_MAX;
    }
    const struct admm_rows first = part(0, 5), second = part(5, ROWS - 5);
    admm_select(&first, IN, &selection, scores);
    admm_select(&second, IN, &selection, scores);
}

// In two blocks of rows.
static void step(double penalty, double dual)
{
    const struct admm_rows first = part(0, 17), second = part(17, ROWS - 17);
    const struct admm_penalty weights = {penalty, dual};

    admm_step(&first, &p.equations, (float *)p.inverse, &weights, (float *)p.workspace);
    admm_step(&second, &p.equations, (float *)p.inverse, &weights, (float *)p.workspace);
}

static void invert(double rho)
{
    normal_equations_wide(p.inverse, &p.equations, rho, 0, IN);
    assert_true(inverse_alone(p.inverse, IN, p.tile));
    inverse_narrow(p.inverse, IN, 0, IN);
}

static void restart(const struct choice *choice)
{
    admm_begin(&p.rows, &p.equations);
    select_masks(choice, choice->sparsity);
    memcpy(p.checked, p.mask, sizeof p.mask);
}

// Returns the number of steps.
static int run_alps(const struct choice *choice)
{
    struct alps_schedule schedule;
    double inverted = 0;

    restart(choice);
    alps_begin(&schedule);
    for (enum alps_next next = ALPS_CONTINUE; next != ALPS_DONE;) {
        uint64_t changed = 0;
        if (inverted != schedule.penalty)
            invert(inverted = schedule.penalty);
        step(schedule.penalty, schedule.dual);
        select_masks(choice, choice->sparsity);
        if (alps_counts(&schedule)) {
            changed = mask_difference(p.mask, p.checked, sizeof p.mask);
            memcpy(p.checked, p.mask, sizeof p.mask);
        }
        next = alps_next(&schedule, changed, mask_count(p.mask, 8 * sizeof p.mask));
        if (next == ALPS_RESTART)
            restart(choice);
    }
    return schedule.step;
}

static int run_admm(const struct choice *choice)
{
    admm_begin(&p.rows, &p.equations);
    invert(ADMM_PENALTY + ADMM_DAMPING);
    for (int t = 0; t < ADMM_STEPS; t++) {
        if (t < ADMM_GROWTH)
            select_masks(choice, admm_sparsity(choice->sparsity, t));
        step(ADMM_PENALTY, ADMM_PENALTY);
    }
    return ADMM_STEPS;
}

// sum |X^ (w - w+)|^2 + lambda |w - w+|^2 over that of w = 0.
static double relative_error(const float *weights)
{
    double error = 0, all = 0;

    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < IN; j++)
            for (size_t k = 0; k < IN; k++) {
                const double a = p.g[j * IN + k] + (j == k ? p.equations.lambda : 0);
                const float *plus = p.plus + i * IN, *w = weights + i * IN;
                error += a * ((double)w[j] - (double)plus[j]) * ((double)w[k] - (double)plus[k]);
                all += a * (double)plus[j] * (double)plus[k];
            }
    return error / all;
}

static void read_mask(uint8_t *mask, const char *hexadecimal)
{
    assert_int_equal(strlen(hexadecimal), 2 * ROWS * MASK);
    for (size_t k = 0; k < ROWS * MASK; k++) {
        const char digits[3] = {hexadecimal[2 * k], hexadecimal[2 * k + 1], '\0'};
        mask[k] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

static void check_case(const json_t *golden)
{
    const struct choice choice = {json_number_value(json_object_get(golden, "sparsity")),
                                  json_string_value(json_object_get(golden, "group"))};
    const double error = json_number_value(json_object_get(golden, "error"));
    const bool alps = strcmp(json_string_value(json_object_get(golden, "method")), "alps") == 0;
    const struct least_squares_limits limits = {.steps = 1000};
    const struct least_squares_rows rows = {ROWS, p.target, p.mask, p.start};
    struct least_squares_outcome outcomes[ROWS];
    uint8_t expected[ROWS * MASK];

    assert_int_equal(alps ? run_alps(&choice) : run_admm(&choice),
                     json_integer_value(json_object_get(golden, "steps")));
    read_mask(expected, json_string_value(json_object_get(golden, "mask")));
    assert_int_equal(mask_count(p.mask, 8 * sizeof p.mask), mask_count(expected, 8 * sizeof expected));
    // In float32 a score may pass another that is nearly its equal.
    assert_true(mask_difference(p.mask, expected, sizeof expected) <= 4);
    admm_result(p.start, &p.rows, &p.equations);
    least_squares_rows(p.start, outcomes, &p.equations, &rows, &limits, p.workspace);
    assert_true(fabs(relative_error(p.start) - error) <= 1e-3 * error);
}

static void runs_select_what_the_papers_formulas_select(void **state)
{
    (void)state;
    char *path = source_path("tests/golden/alps.json");
    json_t *golden = json_load_file(path, 0, NULL), *one;
    double norm = 0;
    size_t index;

    assert_non_null(golden);
    for (size_t k = 0; k < ROWS * IN; k++)
        norm += pow((double)p.plus[k] * p.scale[k % IN], 2);
    const double expected = json_number_value(json_object_get(golden, "plus_norm"));
    assert_true(fabs(norm - expected) < 1e-6 * expected); // the same problem
    assert_int_equal(json_array_size(json_object_get(golden, "cases")), 8);
    json_array_foreach(json_object_get(golden, "cases"), index, one) check_case(one);
    json_decref(golden);
    free(path);
}

// ---- the parts ------------------------------------------------------------------------------------------

static void a_step_is_that_of_the_formula(void **state)
{
    (void)state;
    const struct choice choice = {0.5, "row"};
    const double penalty = 0.26, dual = 0.2;
    static double side[IN], w[IN];
    static float before[ROWS * IN];

    restart(&choice);
    invert(penalty);
    for (size_t k = 0; k < ROWS * IN; k++) // any state
        before[k] = p.state[k] += 0.01F * (float)(k % 7);
    step(penalty, dual);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < IN; j++) {
            // (A + penalty) B = W' A - V + penalty D, and what that is for B less W'
            const bool keep = (p.mask[i * MASK + j / 8] >> j % 8 & 1) != 0;
            const double t = (double)before[i * IN + j];
            w[j] = (double)p.plus[i * IN + j] * p.scale[j];
            side[j] = penalty * (keep ? t : 0) - dual * (keep ? 0 : t) - penalty * w[j];
        }
        for (size_t j = 0; j < IN; j++) {
            const bool keep = (p.mask[i * MASK + j / 8] >> j % 8 & 1) != 0;
            double b = w[j];
            for (size_t k = 0; k < IN; k++)
                b += (double)((float *)p.inverse)[2 * IN * j + k] * side[k];
            b += keep ? 0 : dual * (double)before[i * IN + j] / penalty;
            assert_true(fabs((double)p.state[i * IN + j] - b) < 1e-5);
        }
    }
}

static void patterns_grow_from_what_is_safe(void **state)
{
    (void)state;
    float values[8] = {4, -3, 2, 1, 0.5F, 0.25F, -8, 7}, scores[8];
    uint8_t mask = 0;
    const struct admm_rows rows = {1, NULL, values, &mask, NULL};

    admm_select(&rows, 8, &(struct admm_selection){.prune = SIZE_MAX, .n = 2, .of = 4}, scores);
    assert_int_equal(mask, 0xc3);
    admm_select(&rows, 8, &(struct admm_selection){.prune = 0, .n = 2, .of = 4}, scores);
    assert_int_equal(mask, 0xff);
    admm_select(&rows, 8, &(struct admm_selection){.prune = 3, .n = 2, .of = 4}, scores);
    assert_int_equal(mask, 0xc7); // 0.25, 0.5 and 1
    admm_select(&rows, 8, &(struct admm_selection){.prune = 4}, scores);
    assert_int_equal(mask, 0xc3);
    assert_int_equal(mask_difference((uint8_t[]){0xff, 1}, (uint8_t[]){0x0f, 3}, 2), 5);
}

static void a_channel_without_an_equation_goes_first_or_stays_as_it_is(void **state)
{
    (void)state;
    double g[4] = {4, 0, 0, 0}, scale[2], wide[4];
    float dense[2] = {0.5F, 100}, values[2];
    uint8_t mask = 3;
    struct normal_equations equations = {.in = 2, .g = g, .scale = scale};
    const struct admm_rows rows = {1, dense, values, &mask, NULL};

    normal_equations_scale(&equations);
    admm_begin(&rows, &equations);
    assert_true(values[0] == 1 && values[1] == 0);
    normal_equations_wide(wide, &equations, 0.1, 0, 2);
    assert_true(inverse_alone(wide, 2, p.tile));
    inverse_narrow(wide, 2, 0, 2);
    admm_step(&rows, &equations, (float *)wide, &(struct admm_penalty){0.1, 0}, (float *)p.workspace);
    assert_true(fabsf(values[0] - 1) < 1e-6F && values[1] == 0);
    admm_result(values, &rows, &equations);
    assert_true(fabsf(values[0] - 0.5F) < 1e-6F && values[1] == 100);
}

static void sparsity_grows_to_the_end_and_stays(void **state)
{
    (void)state;
    assert_true(fabs(admm_sparsity(0.5, 0) - 0.5 * (1 - pow(14.0 / 15, 3))) < 1e-15);
    for (int t = 1; t < ADMM_STEPS; t++)
        assert_true(t < 15 ? admm_sparsity(0.3, t) > admm_sparsity(0.3, t - 1)
                           : admm_sparsity(0.3, t) == 0.3);
    assert_true(admm_sparsity(0.3, 14) == 0.3);
}

// One look at the support: three steps.
static enum alps_next look(struct alps_schedule *schedule, uint64_t changed)
{
    enum alps_next next = ALPS_CONTINUE;
    for (int t = 0; t < 3 && next == ALPS_CONTINUE; t++) {
        assert_int_equal(alps_counts(schedule), t == 2);
        const double penalty = schedule->penalty;
        next = alps_next(schedule, t == 2 ? changed : 999, 1000);
        assert_true(next != ALPS_CONTINUE || schedule->dual == penalty);
        assert_true(t == 2 || schedule->penalty == penalty);
    }
    return next;
}

static void the_penalty_grows_with_the_changes_on_a_ladder(void **state)
{
    (void)state;
    struct alps_schedule schedule;

    alps_begin(&schedule);
    assert_true(schedule.penalty == 0.1 && schedule.dual == 0);
    assert_int_equal(look(&schedule, 101), ALPS_CONTINUE);
    assert_true(fabs(schedule.penalty - 0.13) < 1e-12 && fabs(schedule.wanted - 0.13) < 1e-12);
    assert_int_equal(look(&schedule, 100), ALPS_CONTINUE); // no more than a tenth
    assert_true(fabs(schedule.penalty - 0.13) < 1e-12 && fabs(schedule.wanted - 0.156) < 1e-12);
    assert_int_equal(look(&schedule, 5), ALPS_CONTINUE); // no more than 0.5 %
    assert_true(fabs(schedule.penalty - 0.169) < 1e-12 && fabs(schedule.wanted - 0.1716) < 1e-12);
    assert_int_equal(look(&schedule, 0), ALPS_DONE);
    assert_int_equal(schedule.step, 12);
}

static void few_changes_end_it_after_thirty_steps_and_nothing_lasts_forever(void **state)
{
    (void)state;
    struct alps_schedule schedule;

    alps_begin(&schedule);
    for (int t = 3; t <= 30; t += 3)
        assert_int_equal(
            alps_next(&(struct alps_schedule){.penalty = 1, .wanted = 1, .step = t - 1, .grew = true}, 1,
                      10000),
            ALPS_CONTINUE);
    assert_int_equal(
        alps_next(&(struct alps_schedule){.penalty = 1, .wanted = 1, .step = 32, .grew = true}, 3, 10000),
        ALPS_CONTINUE);
    assert_int_equal(
        alps_next(&(struct alps_schedule){.penalty = 1, .wanted = 1, .step = 32, .grew = true}, 2, 10000),
        ALPS_DONE);
    for (int t = 0; t < 99; t++)
        assert_int_equal(look(&schedule, 500), ALPS_CONTINUE);
    assert_int_equal(look(&schedule, 500), ALPS_DONE);
    assert_int_equal(schedule.step, ALPS_STEPS);
}

static void a_support_that_is_frozen_at_first_gets_a_smaller_penalty(void **state)
{
    (void)state;
    struct alps_schedule schedule;

    alps_begin(&schedule);
    assert_int_equal(look(&schedule, 5), ALPS_RESTART);
    assert_true(schedule.penalty <= 0.02 && schedule.penalty > 0.02 / 1.3 && schedule.dual == 0);
    assert_int_equal(look(&schedule, 0), ALPS_RESTART);
    assert_int_equal(look(&schedule, 0), ALPS_DONE); // as with nothing to prune
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_select_what_the_papers_formulas_select),
        cmocka_unit_test(a_step_is_that_of_the_formula),
        cmocka_unit_test(patterns_grow_from_what_is_safe),
        cmocka_unit_test(a_channel_without_an_equation_goes_first_or_stays_as_it_is),
        cmocka_unit_test(sparsity_grows_to_the_end_and_stays),
        cmocka_unit_test(the_penalty_grows_with_the_changes_on_a_ladder),
        cmocka_unit_test(few_changes_end_it_after_thirty_steps_and_nothing_lasts_forever),
        cmocka_unit_test(a_support_that_is_frozen_at_first_gets_a_smaller_penalty),
    };
    return cmocka_run_group_tests(tests, problem_create, problem_free);
}
