// The guard's choices and its decision, from outputs whose errors are counted one by one.
#include "stages/compensate/guard.h"
#include "stages/layer/layer_trial.h"
#include "tests/support/mpi_test.h"
#include "tests/support/naive.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- what may be chosen ----------------------------------------------------------------------------------

static void assert_choices(const struct variant *variant, const struct guard_choice *expected, size_t count)
{
    const struct compensation_kind kind = compensation_kind_of(variant);
    struct guard_choice choices[GUARD_CHOICES];
    assert_int_equal(guard_choices(choices, variant, &kind), count);
    for (size_t k = 0; k < count; k++) {
        assert_int_equal(choices[k].kept, expected[k].kept);
        assert_int_equal(choices[k].output, expected[k].output);
    }
}

static void choices_go_from_everything_asked_for_to_nothing(void **state)
{
    const struct guard_choice all[] = {
        {KEPT_ENERGY, true}, {KEPT_ENERGY, false}, {KEPT_PLAIN, true}, {KEPT_PLAIN, false}};
    const struct guard_choice energy[] = {{KEPT_ENERGY, false}, {KEPT_PLAIN, false}};
    const struct guard_choice output[] = {{KEPT_PLAIN, true}, {KEPT_PLAIN, false}};
    const struct guard_choice solved[] = {{KEPT_SOLVED, false}, {KEPT_PLAIN, true}, {KEPT_PLAIN, false}};
    (void)state;

    assert_choices(&(struct variant){.guard = true, .energy_rows = true, .output = MATCHING_MIXED}, all, 4);
    assert_choices(&(struct variant){.guard = true, .energy_columns = true, .bias = true}, all, 4);
    assert_choices(&(struct variant){.guard = true, .energy_columns = true}, energy, 2);
    assert_choices(&(struct variant){.guard = true, .bias = true}, output, 2);
    assert_choices(&(struct variant){.guard = true}, energy + 1, 1);
    assert_choices(&(struct variant){.guard = true, .output = MATCHING_LEAST_SQUARES}, solved, 3);
}

static void without_the_guard_everything_asked_for_is_kept(void **state)
{
    (void)state;
    assert_choices(&(struct variant){.energy_rows = true, .output = MATCHING_MIXED},
                   &(struct guard_choice){KEPT_ENERGY, true}, 1);
    assert_choices(&(struct variant){.energy_columns = true}, &(struct guard_choice){KEPT_ENERGY, false}, 1);
    assert_choices(&(struct variant){.bias = true}, &(struct guard_choice){KEPT_PLAIN, true}, 1);
}

static void an_eighth_of_the_sequences_judges_but_at_least_one_of_two(void **state)
{
    const size_t expected[][2] = {{1, 0}, {2, 1}, {7, 1}, {8, 1}, {15, 1}, {16, 2}, {128, 16}};
    (void)state;

    for (size_t k = 0; k < sizeof expected / sizeof expected[0]; k++) {
        const struct settings settings = {.sequences = expected[k][0]};
        assert_int_equal(held_out_sequences(&settings), expected[k][1]);
        assert_int_equal(first_held_out(&settings, &(struct variant){.guard = true}),
                         expected[k][0] - expected[k][1]);
        assert_int_equal(first_held_out(&settings, &(struct variant){.guard = false}), expected[k][0]);
    }
}

// ---- what is chosen --------------------------------------------------------------------------------------

enum { OUT = 3, TOKENS = 40, PLAIN = 0, ENERGY = 1 };

// A linear of three channels whose outputs over both parts of the sequences are known: y dense, z[candidate].
struct known {
    struct settings settings;
    struct stage stage;
    struct variant variant;
    struct layer_tensor tensor;
    float bias[OUT];
    double gamma[OUT], shift[OUT];
    struct pruned_linear linear;
    struct measured_linear measured;
    double y[SEQUENCE_PARTS][TOKENS][OUT], z[SEQUENCE_PARTS][2][TOKENS][OUT];
};

static void known_open(struct known *known)
{
    memset(known, 0, sizeof *known);
    known->settings.sequences = 24; // three are held out
    known->stage.settings = &known->settings;
    known->variant = (struct variant){.guard = true,
                                      .energy_rows = true,
                                      .output = MATCHING_REGRESSION,
                                      .clamp = {.low = 0.01, .high = 100}};
    known->tensor.out = OUT;
    known->linear = (struct pruned_linear){.stage = &known->stage,
                                           .variant = &known->variant,
                                           .kind = {.matches = true, .measures = true},
                                           .tensor = &known->tensor,
                                           .bias = known->bias,
                                           .gamma = known->gamma,
                                           .shift = known->shift};
    known->measured = (struct measured_linear){.tensor = &known->tensor, .candidates = 2};
}

// Every channel's y is random, and z = scale * y + noise in each part and candidate.
static void put_out(struct known *known, enum sequence_part part, size_t candidate, double scale,
                    double noise)
{
    struct random_state random = random_seed(7 + part); // the same y for both candidates
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t i = 0; i < OUT; i++) {
            known->y[part][t][i] = random_normal(&random) + 0.5;
            known->z[part][candidate][t][i] = scale * known->y[part][t][i] + noise * random_normal(&random);
        }
}

// The sums that the measurement hands over (kernels/pruning/matching.h).
static void measure(struct known *known)
{
    for (int part = 0; part < SEQUENCE_PARTS; part++) {
        double *sums = calloc(2 * OUTPUT_SUMS * OUT, sizeof *sums);
        assert_non_null(sums);
        for (size_t c = 0; c < 2; c++)
            for (size_t t = 0; t < TOKENS; t++)
                for (size_t i = 0; i < OUT; i++) {
                    const double y = known->y[part][t][i], z = known->z[part][c][t][i];
                    const double terms[OUTPUT_SUMS] = {y, z, y * y, z * z, y * z};
                    for (size_t k = 0; k < OUTPUT_SUMS; k++)
                        sums[(c * OUTPUT_SUMS + k) * OUT + i] += terms[k];
                }
        known->measured.sums[part] = sums;
        known->measured.tokens[part] = TOKENS;
    }
}

static size_t choose(struct known *known, struct guard_choice choices[GUARD_CHOICES])
{
    const size_t count = guard_choices(choices, &known->variant, &known->linear.kind);
    measure(known);
    return guard_choose(&known->linear, &known->measured, choices, count);
}

// sum |y - gamma z - shift|^2 / sum |y - mean y|^2 over one part.
static double error_of(const struct known *known, enum sequence_part part, size_t candidate,
                       const double *gamma, const double *shift)
{
    double error = 0, variance = 0;
    for (size_t i = 0; i < OUT; i++) {
        double mean = 0;
        for (size_t t = 0; t < TOKENS; t++)
            mean += known->y[part][t][i] / TOKENS;
        for (size_t t = 0; t < TOKENS; t++) {
            error += pow(known->y[part][t][i] - gamma[i] * known->z[part][candidate][t][i] - shift[i], 2);
            variance += pow(known->y[part][t][i] - mean, 2);
        }
    }
    return error / variance;
}

static void what_lowers_the_held_out_error_is_kept(void **state)
{
    struct guard_choice choices[GUARD_CHOICES];
    struct known known;
    (void)state;

    // Pruned outputs are half as large as the dense ones, in both parts: matching mends that.
    known_open(&known);
    for (int part = 0; part < SEQUENCE_PARTS; part++) {
        put_out(&known, (enum sequence_part)part, PLAIN, 0.5, 0.1);
        put_out(&known, (enum sequence_part)part, ENERGY, 0.5, 1.0);
    }
    size_t best = choose(&known, choices);
    assert_false(choices[best].kept == KEPT_ENERGY);
    assert_true(choices[best].output);
    measured_linear_free(&known.measured);

    // Energy compensation brings the size back without noise, and leaves nothing to match.
    known_open(&known);
    known.variant.output = MATCHING_OFF;
    for (int part = 0; part < SEQUENCE_PARTS; part++) {
        put_out(&known, (enum sequence_part)part, PLAIN, 0.5, 0.1);
        put_out(&known, (enum sequence_part)part, ENERGY, 1, 0.1);
    }
    best = choose(&known, choices);
    assert_true(choices[best].kept == KEPT_ENERGY);
    measured_linear_free(&known.measured);
}

static void what_raises_the_held_out_error_is_dropped(void **state)
{
    struct guard_choice choices[GUARD_CHOICES];
    struct known known;
    (void)state;

    // Factors fitted to outputs half as large are wrong for held-out outputs of the right size.
    known_open(&known);
    put_out(&known, FITTED, PLAIN, 0.5, 0.1);
    put_out(&known, FITTED, ENERGY, 0.5, 0.1);
    put_out(&known, HELD_OUT, PLAIN, 1, 0.1);
    put_out(&known, HELD_OUT, ENERGY, 2, 0.1);
    const size_t best = choose(&known, choices);
    assert_false(choices[best].kept == KEPT_ENERGY);
    assert_false(choices[best].output);
    measured_linear_free(&known.measured);
}

static void of_equal_errors_the_most_compensated_is_kept(void **state)
{
    struct guard_choice choices[GUARD_CHOICES];
    struct known known;
    (void)state;

    known_open(&known);
    known.variant.output = MATCHING_OFF;
    for (int part = 0; part < SEQUENCE_PARTS; part++)
        for (size_t candidate = 0; candidate < 2; candidate++)
            put_out(&known, (enum sequence_part)part, candidate, 0.7, 0.2);
    assert_true(choices[choose(&known, choices)].kept == KEPT_ENERGY);
    measured_linear_free(&known.measured);
}

static void nothing_is_kept_where_no_held_out_token_arrived(void **state)
{
    struct guard_choice choices[GUARD_CHOICES];
    struct known known;
    (void)state;

    known_open(&known);
    const size_t count = guard_choices(choices, &known.variant, &known.linear.kind);
    const size_t best = guard_choose(&known.linear, &known.measured, choices, count);
    assert_false(choices[best].kept == KEPT_ENERGY || choices[best].output);
    guard_take(&known.linear, &known.measured, &choices[best]);
    guard_report(&known.linear, &known.measured, 0);
    assert_int_equal(known.linear.measured_sequences, 0);
}

static void factors_are_fitted_to_one_part_and_judged_on_the_other(void **state)
{
    const struct guard_choice both = {KEPT_ENERGY, true};
    struct known known;
    const double ones[OUT] = {1, 1, 1}, zeros[OUT] = {0, 0, 0};
    (void)state;

    known_open(&known);
    known.variant.bias = true;
    known.linear.kind.shifts = true;
    put_out(&known, FITTED, PLAIN, 0.5, 0.1);
    put_out(&known, FITTED, ENERGY, 0.8, 0.1);
    put_out(&known, HELD_OUT, PLAIN, 0.6, 0.1);
    put_out(&known, HELD_OUT, ENERGY, 0.7, 0.1);
    measure(&known);
    guard_take(&known.linear, &known.measured, &both);
    for (size_t i = 0; i < OUT; i++) {
        double y = 0, z = 0, yz = 0, zz = 0;
        for (size_t t = 0; t < TOKENS; t++) {
            y += known.y[FITTED][t][i] / TOKENS;
            z += known.z[FITTED][ENERGY][t][i] / TOKENS;
        }
        for (size_t t = 0; t < TOKENS; t++) {
            yz += (known.y[FITTED][t][i] - y) * (known.z[FITTED][ENERGY][t][i] - z);
            zz += pow(known.z[FITTED][ENERGY][t][i] - z, 2);
        }
        // Variances from sums of squares: 40 terms of about 1, in double.
        assert_close(known.linear.gamma[i], yz / zz, 1e-12);
        assert_close(known.linear.shift[i], y - yz / zz * z, 1e-12);
    }
    guard_report(&known.linear, &known.measured, 0);
    assert_int_equal(known.linear.measured_sequences, 3);
    assert_close(known.linear.error_pruned, error_of(&known, HELD_OUT, PLAIN, ones, zeros), 1e-12);
    // The error is that of the factors fitted, with the held-out outputs.
    assert_close(known.linear.error_compensated,
                 error_of(&known, HELD_OUT, ENERGY, known.linear.gamma, known.linear.shift), 1e-12);
    measured_linear_free(&known.measured);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices_go_from_everything_asked_for_to_nothing),
        cmocka_unit_test(without_the_guard_everything_asked_for_is_kept),
        cmocka_unit_test(an_eighth_of_the_sequences_judges_but_at_least_one_of_two),
        cmocka_unit_test(what_lowers_the_held_out_error_is_kept),
        cmocka_unit_test(what_raises_the_held_out_error_is_dropped),
        cmocka_unit_test(of_equal_errors_the_most_compensated_is_kept),
        cmocka_unit_test(nothing_is_kept_where_no_held_out_token_arrived),
        cmocka_unit_test(factors_are_fitted_to_one_part_and_judged_on_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
