// Energy compensation. The oracles walk one column or one row with the lines of kernels/METHOD.md §8, in
// plain double; sums down a column run over the rows in order, sums along a row in 64 lanes
// (kernels/lanes.h), so the bits must agree.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/energy.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OUT = 30, MOST_IN = 1100, MOST_BYTES = (MOST_IN + 7) / 8 };

static const struct energy_clamp usual = {.low = 0.1, .high = 10, .epsilon = 1e-8};
static const struct energy_clamp wide = {.low = 0, .high = 1e300, .epsilon = 0};

struct matrix {
    size_t out, in, bytes;
    float weight[MOST_OUT * MOST_IN];
    uint8_t mask[MOST_OUT * MOST_BYTES];
};

struct columns {
    double mean[MOST_IN], gamma[MOST_IN], energy[MOST_IN], pruned[MOST_IN];
};

static void random_matrix(struct matrix *m, size_t out, size_t in, double offset, struct random_state *random)
{
    m->out = out;
    m->in = in;
    m->bytes = (in + 7) / 8;
    random_fill(random, m->weight, out * in, 0.02);
    for (size_t i = 0; i < out * in; i++)
        m->weight[i] += (float)offset;
    memset(m->mask, 0, sizeof m->mask);
    for (size_t i = 0; i < out; i++)
        for (size_t j = 0; j < in; j++)
            if (random_below(random, 2) == 0)
                m->mask[i * m->bytes + j / 8] |= (uint8_t)(1U << j % 8);
}

static bool is_kept(const struct matrix *m, size_t i, size_t j)
{
    return m->mask[i * m->bytes + j / 8] >> j % 8 & 1;
}

static struct linear_view view_of(const struct matrix *m)
{
    return (struct linear_view){m->out, m->in, m->weight, m->weight, m->mask};
}

static double gamma_oracle(double energy, double pruned, const struct energy_clamp *clamp)
{
    return fmin(fmax(sqrt(energy / (pruned + clamp->epsilon)), clamp->low), clamp->high);
}

// ---- columns --------------------------------------------------------------------------------------------

static void columns_oracle(struct columns *c, const struct matrix *m, const struct energy_clamp *clamp)
{
    for (size_t j = 0; j < m->in; j++) {
        double mean = 0, energy = 0, pruned = 0;
        for (size_t i = 0; i < m->out; i++)
            mean += (double)m->weight[i * m->in + j];
        mean /= (double)m->out;
        for (size_t i = 0; i < m->out; i++) {
            const double w = (double)m->weight[i * m->in + j], p = is_kept(m, i, j) ? w : 0;
            energy += (w - mean) * (w - mean);
            pruned += (p - mean) * (p - mean);
        }
        c->mean[j] = mean;
        c->energy[j] = energy;
        c->pruned[j] = pruned;
        c->gamma[j] = gamma_oracle(energy, pruned, clamp);
    }
}

static void columns_of(struct columns *c, const struct matrix *m, size_t first, size_t count,
                       const struct energy_clamp *clamp)
{
    const struct linear_view view = view_of(m);
    energy_columns(&(struct column_energies){.mean = c->mean + first,
                                             .energy = c->energy + first,
                                             .pruned = c->pruned + first,
                                             .gamma = c->gamma + first},
                   &view, first, count, clamp);
}

static void column_energies_are_those_of_the_formula_however_columns_are_split(void **state)
{
    (void)state;
    static struct matrix m;
    static struct columns got, expected;
    struct random_state random = random_seed(20);
    const size_t shapes[][2] = {{1, 1},  {7, 1},   {1, 13},   {4, 8},
                                {5, 63}, {9, 511}, {10, 513}, {MOST_OUT, MOST_IN}};

    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        random_matrix(&m, shapes[s][0], shapes[s][1], 0.003, &random);
        columns_oracle(&expected, &m, &usual);
        for (size_t parts = 1; parts <= 7; parts += parts == 3 ? 4 : 1) {
            memset(&got, 0xee, sizeof got);
            for (size_t part = 0; part < parts; part++) {
                const size_t first = m.in * part / parts;
                columns_of(&got, &m, first, m.in * (part + 1) / parts - first, &usual);
            }
            assert_memory_equal(got.mean, expected.mean, m.in * sizeof *got.mean);
            assert_memory_equal(got.energy, expected.energy, m.in * sizeof *got.mean);
            assert_memory_equal(got.pruned, expected.pruned, m.in * sizeof *got.mean);
            assert_memory_equal(got.gamma, expected.gamma, m.in * sizeof *got.mean);
        }
    }
}

static void nothing_is_written_beyond_the_columns_asked_for(void **state)
{
    (void)state;
    static struct matrix m;
    static struct columns got, untouched;
    struct random_state random = random_seed(21);

    random_matrix(&m, 8, 100, 0, &random);
    memset(&got, 0xee, sizeof got);
    memset(&untouched, 0xee, sizeof untouched);
    columns_of(&got, &m, 13, 5, &usual);
    columns_of(&got, &m, 50, 0, &usual);
    assert_memory_equal(got.gamma, untouched.gamma, 13 * sizeof(double));
    assert_memory_equal(got.gamma + 18, untouched.gamma + 18, (MOST_IN - 18) * sizeof(double));
}

static void without_pruning_gamma_is_one(void **state)
{
    (void)state;
    static struct matrix m;
    static struct columns c;
    static double result[MOST_IN];
    double energies[3];
    struct random_state random = random_seed(22);

    random_matrix(&m, 20, 300, 0.01, &random);
    memset(m.mask, 0xff, sizeof m.mask);
    columns_of(&c, &m, 0, m.in, &wide);
    for (size_t j = 0; j < m.in; j++)
        assert_true(c.gamma[j] == 1 && c.energy[j] == c.pruned[j]);
    const struct linear_view view = view_of(&m);
    const struct row_compensation rows = {.rows = true, .clamp = &wide};
    assert_true(energy_row(result, energies, &view, 0, &rows) == 1);
    assert_true(energies[0] == energies[1]);
    for (size_t j = 0; j < m.in; j++) // mean + (w - mean): one rounding each way
        assert_true(fabs(result[j] - (double)m.weight[j]) <= 4 * 0x1p-53 * 0.1);
}

// sparsegpt moves the weights that stay: those are measured and rescaled, around the original means.
static void what_stays_is_taken_from_the_updated_weight(void **state)
{
    (void)state;
    static struct matrix m, updated;
    static struct columns c;
    static double result[MOST_IN];
    double energies[3];
    struct random_state random = random_seed(23);

    random_matrix(&m, 20, 130, 0.01, &random);
    updated = m;
    for (size_t k = 0; k < m.out * m.in; k++)
        updated.weight[k] += (float)(0.01 * random_normal(&random));
    const struct linear_view view = {m.out, m.in, m.weight, updated.weight, m.mask};
    energy_columns(
        &(struct column_energies){.mean = c.mean, .energy = c.energy, .pruned = c.pruned, .gamma = c.gamma},
        &view, 0, m.in, &usual);
    for (size_t j = 0; j < m.in; j++) {
        double mean = 0, energy = 0, pruned = 0;
        for (size_t i = 0; i < m.out; i++)
            mean += (double)m.weight[i * m.in + j];
        mean /= (double)m.out;
        for (size_t i = 0; i < m.out; i++) {
            const double w = (double)m.weight[i * m.in + j];
            const double u = is_kept(&m, i, j) ? (double)updated.weight[i * m.in + j] : 0;
            energy += (w - mean) * (w - mean);
            pruned += (u - mean) * (u - mean);
        }
        assert_true(c.mean[j] == mean && c.energy[j] == energy && c.pruned[j] == pruned);
        assert_true(c.gamma[j] == gamma_oracle(energy, pruned, &usual));
    }
    energy_row(result, energies, &view, 0, &(struct row_compensation){c.mean, c.gamma, false, &usual});
    for (size_t j = 0; j < m.in; j++)
        assert_true(
            result[j] ==
            (is_kept(&m, 0, j) ? c.mean[j] + c.gamma[j] * ((double)updated.weight[j] - c.mean[j]) : 0));
}

static void gamma_is_clamped_and_defined_where_there_is_no_energy(void **state)
{
    (void)state;
    double mean, gamma, energy, pruned;
    const struct column_energies one = {.mean = &mean, .energy = &energy, .pruned = &pruned, .gamma = &gamma};
    const uint8_t all[4] = {1, 1, 1, 1}, none[4] = {0, 0, 0, 0}, first[4] = {1, 0, 0, 0};
    const float symmetric[4] = {1, -1, 1, -1}, constant[4] = {3, 3, 3, 3}, zeros[4] = {0, 0, 0, 0};
    const struct energy_clamp narrow = {.low = 0.9, .high = 1.1, .epsilon = 0};

    // All of a column without a mean pruned: nothing is left to scale, gamma only must be a number.
    energy_columns(&one, &(struct linear_view){4, 1, symmetric, symmetric, none}, 0, 1, &usual);
    assert_true(energy == 4 && pruned == 0 && gamma == 10);
    energy_columns(&one, &(struct linear_view){4, 1, symmetric, symmetric, none}, 0, 1, &wide); // 4 / 0
    assert_true(gamma == 1e300);
    energy_columns(&one, &(struct linear_view){4, 1, symmetric, symmetric, first}, 0, 1, &wide);
    assert_true(energy == 4 && pruned == 1 && gamma == 2);
    energy_columns(&one, &(struct linear_view){4, 1, symmetric, symmetric, first}, 0, 1, &narrow);
    assert_true(gamma == 1.1);
    // A constant column has no centred energy, but its pruned weight does.
    energy_columns(&one, &(struct linear_view){4, 1, constant, constant, first}, 0, 1, &usual);
    assert_true(mean == 3 && energy == 0 && pruned == 27 && gamma == 0.1);
    energy_columns(&one, &(struct linear_view){4, 1, constant, constant, first}, 0, 1, &narrow);
    assert_true(gamma == 0.9);
    // 0 / 0 without an epsilon: nothing was there and nothing was lost.
    energy_columns(&one, &(struct linear_view){4, 1, zeros, zeros, all}, 0, 1, &wide);
    assert_true(energy == 0 && pruned == 0 && gamma == 1);
    energy_columns(&one, &(struct linear_view){4, 1, zeros, zeros, all}, 0, 1, &usual);
    assert_true(gamma == 0.1);
}

// ---- rows -----------------------------------------------------------------------------------------------

static double lanes_oracle(const double *terms, size_t n)
{
    double partial[64];

    for (size_t lane = 0; lane < 64; lane++) {
        partial[lane] = 0;
        for (size_t j = lane; j < n; j += 64)
            partial[lane] += terms[j];
    }
    for (size_t width = 64; width > 1; width /= 2)
        for (size_t lane = 0; lane < width / 2; lane++)
            partial[lane] = partial[lane] + partial[lane + width / 2];
    return partial[0];
}

static double centred_energy(const double *row, double mean, size_t n)
{
    double terms[MOST_IN];

    for (size_t j = 0; j < n; j++)
        terms[j] = (row[j] - mean) * (row[j] - mean);
    return lanes_oracle(terms, n);
}

static double row_oracle(double *result, double energies[3], const struct matrix *m, size_t i,
                         const struct columns *c, bool rows, const struct energy_clamp *clamp)
{
    double original[MOST_IN], pruned[MOST_IN], gamma = 1;

    for (size_t j = 0; j < m->in; j++) {
        original[j] = (double)m->weight[i * m->in + j];
        pruned[j] = is_kept(m, i, j) ? original[j] : 0;
        result[j] = pruned[j];
        if (c != NULL)
            result[j] = is_kept(m, i, j) ? c->mean[j] + c->gamma[j] * (pruned[j] - c->mean[j]) : 0;
    }
    const double mean = lanes_oracle(original, m->in) / (double)m->in;
    energies[0] = centred_energy(original, mean, m->in);
    energies[1] = centred_energy(pruned, mean, m->in);
    if (rows) {
        gamma = gamma_oracle(energies[0], centred_energy(result, mean, m->in), clamp);
        for (size_t j = 0; j < m->in; j++)
            result[j] = is_kept(m, i, j) ? mean + gamma * (result[j] - mean) : 0;
    }
    energies[2] = centred_energy(result, mean, m->in);
    return gamma;
}

static void rows_are_rescaled_from_the_column_result_as_the_formula_says(void **state)
{
    (void)state;
    static struct matrix m;
    static struct columns c;
    static double got[MOST_IN + 1], expected[MOST_IN];
    double got_energies[3], energies[3];
    struct random_state random = random_seed(23);
    const size_t shapes[][2] = {{1, 1},  {7, 1},  {6, 2},   {3, 8},   {5, 63},
                                {5, 64}, {5, 65}, {4, 127}, {4, 512}, {MOST_OUT, MOST_IN}};

    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        random_matrix(&m, shapes[s][0], shapes[s][1], 0.003, &random);
        columns_of(&c, &m, 0, m.in, &usual);
        const struct linear_view view = view_of(&m);
        for (int directions = 0; directions < 4; directions++)
            for (size_t i = 0; i < m.out; i++) {
                const bool columns = directions & 1, rows = directions & 2;
                memset(got, 0xee, sizeof got);
                got[m.in] = 42;
                const struct row_compensation how = {columns ? c.mean : NULL, columns ? c.gamma : NULL, rows,
                                                     &usual};
                const double got_gamma = energy_row(got, got_energies, &view, i, &how);
                const double gamma = row_oracle(expected, energies, &m, i, columns ? &c : NULL, rows, &usual);
                assert_memory_equal(got, expected, m.in * sizeof *got);
                assert_memory_equal(got_energies, energies, sizeof energies);
                assert_true(got_gamma == gamma);
                assert_true(got[m.in] == 42);
            }
    }
}

static void what_was_pruned_stays_positive_zero(void **state)
{
    (void)state;
    static struct matrix m;
    static struct columns c;
    static double result[MOST_IN];
    double energies[3];
    struct random_state random = random_seed(24);

    random_matrix(&m, 10, 200, -0.5, &random); // a mean far from 0 would show at once
    columns_of(&c, &m, 0, m.in, &usual);
    const struct linear_view view = view_of(&m);
    const struct row_compensation how = {c.mean, c.gamma, true, &usual};
    for (size_t i = 0; i < m.out; i++) {
        energy_row(result, energies, &view, i, &how);
        for (size_t j = 0; j < m.in; j++)
            if (!is_kept(&m, i, j))
                assert_true(result[j] == 0 && signbit(result[j]) == 0);
    }
}

// The purpose of the formula: with no clamp in the way and nothing else, the centred energy of a symmetric
// row comes back.
static void a_row_without_a_mean_gets_its_energy_back(void **state)
{
    (void)state;
    enum { IN = 128 };
    float row[IN];
    uint8_t mask[IN / 8];
    double result[IN], energies[3];
    struct random_state random = random_seed(25);

    random_fill(&random, row, IN / 2, 1);
    for (size_t j = 0; j < IN / 2; j++)
        row[IN / 2 + j] = -row[j]; // the mean is exactly 0
    memset(mask, 0x5a, sizeof mask);
    const struct linear_view view = {1, IN, row, row, mask};
    const struct row_compensation rows = {.rows = true, .clamp = &wide};
    const double gamma = energy_row(result, energies, &view, 0, &rows);
    assert_true(gamma > 1 && energies[1] < energies[0]);
    assert_true(fabs(energies[2] / energies[0] - 1) < 1e-13); // roundings of sums of 128
}

static void a_row_with_everything_pruned_is_all_zero(void **state)
{
    (void)state;
    enum { IN = 70 };
    float row[IN];
    uint8_t mask[(IN + 7) / 8] = {0};
    double result[IN], energies[3];
    struct random_state random = random_seed(26);

    random_fill(&random, row, IN, 1);
    const struct linear_view view = {1, IN, row, row, mask};
    struct row_compensation rows = {.rows = true, .clamp = &usual};
    assert_true(isfinite(energy_row(result, energies, &view, 0, &rows)));
    for (size_t j = 0; j < IN; j++)
        assert_true(result[j] == 0);
    assert_true(energies[1] == energies[2]); // IN times the mean squared
    memset(row, 0, sizeof row);
    rows.clamp = &wide;
    assert_true(energy_row(result, energies, &view, 0, &rows) == 1); // 0 / 0
    assert_true(energies[0] == 0 && energies[1] == 0 && energies[2] == 0);
}

// Double all the way: of a bfloat16 model, compensating and rounding twice (after the columns, after the
// rows) differs.
static void the_result_keeps_double_precision_for_one_rounding_at_the_end(void **state)
{
    (void)state;
    static struct matrix m;
    static struct columns c;
    static double result[MOST_IN];
    double energies[3];
    size_t different = 0;
    struct random_state random = random_seed(27);

    random_matrix(&m, 20, MOST_IN, 0.003, &random);
    columns_of(&c, &m, 0, m.in, &usual);
    const struct linear_view view = view_of(&m);
    const struct row_compensation how = {c.mean, c.gamma, true, &usual};
    for (size_t i = 0; i < m.out; i++) {
        energy_row(result, energies, &view, i, &how);
        for (size_t j = 0; j < m.in; j++)
            different += (double)(float)result[j] != result[j];
    }
    assert_true(different > m.out * m.in / 4); // half are pruned; of the others hardly any is a float32
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(column_energies_are_those_of_the_formula_however_columns_are_split),
        cmocka_unit_test(nothing_is_written_beyond_the_columns_asked_for),
        cmocka_unit_test(without_pruning_gamma_is_one),
        cmocka_unit_test(what_stays_is_taken_from_the_updated_weight),
        cmocka_unit_test(gamma_is_clamped_and_defined_where_there_is_no_energy),
        cmocka_unit_test(rows_are_rescaled_from_the_column_result_as_the_formula_says),
        cmocka_unit_test(what_was_pruned_stays_positive_zero),
        cmocka_unit_test(a_row_without_a_mean_gets_its_energy_back),
        cmocka_unit_test(a_row_with_everything_pruned_is_all_zero),
        cmocka_unit_test(the_result_keeps_double_precision_for_one_rounding_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
