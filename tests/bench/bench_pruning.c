// Scores, masks and compensation of one linear of 4096 x 11008 (the largest of a 7B model), beside a memcpy
// of its float32 weight, in processor time.
#include "kernels/dtype.h"
#include "kernels/pruning/energy.h"
#include "kernels/pruning/masks/importance.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/masks/statistics.h"
#include "tests/bench/bench.h"
#include "tests/support/random.h"

enum { OUT = 4096, IN = 11008, TOKENS = 2048 };

struct linear {
    float *weight, *copy;
    uint8_t *mask;
    uint16_t *bf16;
    double *second_moment, *variance; // of the input channels
    double *column[4], *row;
    float *factors, *reciprocal, *scores;
    enum method method;
    bool pattern;
};

static void *memory(size_t count, size_t size)
{
    void *block = calloc(count, size);

    if (block == NULL) {
        perror("calloc");
        exit(1);
    }
    return block;
}

static void copy_weight(void *context)
{
    const struct linear *linear = context;

    memcpy(linear->copy, linear->weight, (size_t)OUT * IN * sizeof(float));
}

// Everything that depends on the weight, from statistics to mask.
static void mask_linear(void *context)
{
    const struct linear *linear = context;
    const struct importance_parameters parameters = importance_defaults(linear->method);
    const unsigned needs = method_needs(linear->method);
    const bool ria = (needs & NEEDS_ABSOLUTE_SUMS) != 0, cvr = (needs & NEEDS_COLUMN_VARIANCE) != 0;

    if (ria || cvr)
        column_moments(&(struct column_moments){.variance = cvr ? linear->column[0] : NULL,
                                                .absolute_sum = ria ? linear->column[1] : NULL},
                       &(struct matrix_view){linear->weight, OUT, IN, IN});
    importance_factors(linear->factors, linear->method, &parameters, linear->second_moment, linear->variance,
                       linear->column[0], IN);
    if (ria)
        reciprocal_sums(linear->reciprocal, linear->column[1], IN);
    for (size_t i = 0; i < OUT; i++) {
        uint8_t *mask = linear->mask + i * mask_row_bytes(IN);
        importance_row(linear->scores, linear->weight + i * IN, linear->factors,
                       ria ? linear->reciprocal : NULL, IN);
        if (linear->pattern)
            select_n_of_m(mask, linear->scores, IN, 2, 4);
        else
            select_row(mask, linear->scores, IN, IN / 2);
    }
}

static void mask_whole_layer(void *context)
{
    const struct linear *linear = context;
    struct select_search search;
    uint64_t ties;

    select_search_begin(&search, prune_count((size_t)OUT * IN, 0.5));
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        uint64_t histogram[SELECT_BINS] = {0};
        for (size_t i = 0; i < OUT; i++) {
            importance_row(linear->scores, linear->weight + i * IN, linear->factors, NULL, IN);
            select_search_count(&search, histogram, linear->scores, IN);
        }
        select_search_narrow(&search, histogram);
    }
    ties = search.ties;
    for (size_t i = 0; i < OUT; i++) {
        importance_row(linear->scores, linear->weight + i * IN, linear->factors, NULL, IN);
        select_threshold_row(linear->mask + i * mask_row_bytes(IN), linear->scores, IN, &search, &ties);
    }
}

static void compensate(void *context)
{
    const struct linear *linear = context;
    const struct energy_clamp clamp = {.low = 0.1, .high = 10, .epsilon = 1e-8};
    double energies[3];

    const struct linear_view view = {OUT, IN, linear->weight, linear->weight, linear->mask};
    const struct column_energies columns = {.mean = linear->column[0],
                                            .gamma = linear->column[1],
                                            .energy = linear->column[2],
                                            .pruned = linear->column[3]};
    const struct row_compensation how = {linear->column[0], linear->column[1], true, &clamp};

    energy_columns(&columns, &view, 0, IN, &clamp);
    for (size_t i = 0; i < OUT; i++) {
        energy_row(linear->row, energies, &view, i, &how);
        dtype_from_f64(linear->bf16 + i * IN, linear->row, DTYPE_BF16, IN);
    }
}

static void gather_statistics(void *context)
{
    const struct linear *linear = context;

    channel_sums(linear->column[0], linear->column[1], linear->column[2], linear->weight, TOKENS, IN);
}

static void copy_activations(void *context)
{
    const struct linear *linear = context;

    memcpy(linear->copy, linear->weight, (size_t)TOKENS * IN * sizeof(float));
}

static void expand_bf16(void *context)
{
    const struct linear *linear = context;

    dtype_to_f32(linear->copy, linear->bf16, DTYPE_BF16, (size_t)OUT * IN);
}

static void report(const struct bench *bench, const char *name, struct linear *linear,
                   void (*run)(void *context), void (*peer)(void *context), double aim)
{
    struct bench_times times[2];

    bench_rounds(times, (struct bench_work[]){{run, linear}, {peer, linear}}, 2, BENCH_REPETITIONS);
    bench_print_times(bench, name, &times[0], &times[1], aim, false);
}

int main(int argc, char **argv)
{
    const struct bench bench = bench_begin(argc, argv);
    struct random_state random = random_seed(1);
    struct linear linear = {
        .weight = memory((size_t)OUT * IN, sizeof(float)),
        .copy = memory((size_t)OUT * IN, sizeof(float)),
        .bf16 = memory((size_t)OUT * IN, sizeof(uint16_t)),
        .mask = memory(OUT, mask_row_bytes(IN)),
        .second_moment = memory(IN, sizeof(double)),
        .variance = memory(IN, sizeof(double)),
        .row = memory(IN, sizeof(double)),
        .factors = memory(IN, sizeof(float)),
        .reciprocal = memory(IN, sizeof(float)),
        .scores = memory(IN, sizeof(float)),
    };
    char name[100];

    for (size_t k = 0; k < 4; k++)
        linear.column[k] = memory(IN, sizeof(double));
    for (size_t j = 0; j < IN; j++) {
        linear.second_moment[j] = exp(random_normal(&random));
        linear.variance[j] = linear.second_moment[j] * random_uniform(&random);
    }
    random_fill(&random, linear.weight, (size_t)OUT * IN, 0.02);

    for (size_t m = 0; m < NUM_METHODS; m++) {
        linear.method = (enum method)m;
        if (!method_has_factors(linear.method))
            continue;
        linear.pattern = false;
        snprintf(name, sizeof name, "%s: scores and 50 %% row mask / memcpy", method_name(linear.method));
        report(&bench, name, &linear, mask_linear, copy_weight, 12);
    }
    linear.method = METHOD_WANDA;
    report(&bench, "wanda: scores and 50 % mask of the whole matrix / memcpy", &linear, mask_whole_layer,
           copy_weight, NAN);
    linear.pattern = true;
    report(&bench, "wanda: scores and 2:4 mask / memcpy", &linear, mask_linear, copy_weight, NAN);
    report(&bench, "energy compensation, columns and rows, to bf16 / memcpy", &linear, compensate,
           copy_weight, NAN);
    report(&bench, "bf16 to float32 / memcpy of the float32", &linear, expand_bf16, copy_weight, NAN);
    report(&bench, "channel sums of 2048 tokens / memcpy of them", &linear, gather_statistics,
           copy_activations, NAN);
    return 0;
}
