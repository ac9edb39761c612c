// The method auto against a forward pass in double with every candidate's naive mask.
// ranks: 1 3
#include "kernels/pruning/masks/candidates.h"
#include "stages/layer/few_tokens.h"
#include "stages/prune/auto.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"
#include "tests/support/naive_masks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CANDIDATES = 15, LAYER = 1 };

// An error is a sum of squared differences of outputs, about a tenth of what the layer adds: where outputs in
// float32 are off by 1e-6 of it, the error is off by 2e-5 of itself.
static const double tolerance = 1e-4;

static struct variant candidate_of(const struct variant *variant, size_t k)
{
    size_t count;
    const struct importance_candidate *candidate = &importance_candidates(&count)[k];
    struct variant result = *variant;

    assert_int_equal(count, CANDIDATES);
    result.method = candidate->method;
    result.parameters = (struct importance_parameters){
        .alpha = candidate->alpha, .epsilon = 1e-8, .exponent = candidate->exponent};
    return result;
}

// The linear's mask by a candidate, [out, in]; the caller frees.
static uint8_t *candidate_mask(const struct small_model *small, const struct variant *variant, size_t k,
                               const char *linear, bool even)
{
    const struct variant candidate = candidate_of(variant, k);
    const struct small_matrix weight = small_dense_weight(small, LAYER, linear);
    double *scores = naive_scores(small, &candidate, LAYER, linear, even);
    uint8_t *mask = naive_mask(scores, &weight, &candidate, variant->sparsity);

    free(scores);
    free(weight.values);
    return mask;
}

// ---- what the file says ----------------------------------------------------------------------------------

struct choice {
    char *method, *measured;
    double exponent, alpha, error, errors[CANDIDATES];
};

static struct store_reader *open_masks(const struct small_model *small, const struct variant *variant)
{
    struct store_reader *reader;
    struct error err = {0};
    char *path = small_path(small, RUN_MASKS, variant->name, LAYER);

    assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
    free(path);
    return reader;
}

static void choice_read(struct choice *choice, const struct small_model *small, const struct variant *variant,
                        const char *linear)
{
    struct store_reader *reader = open_masks(small, variant);
    size_t count;
    const struct importance_candidate *candidates = importance_candidates(&count);
    struct error err = {0};
    char object[80], name[80];

    snprintf(object, sizeof object, "/%s/mask", linear);
    assert_ok(store_read_attribute_string(reader, object, "method", &choice->method, &err), err);
    assert_ok(store_read_attribute_string(reader, object, "measured", &choice->measured, &err), err);
    assert_ok(store_read_attribute_f64(reader, object, "activation_exponent", &choice->exponent, &err), err);
    assert_ok(store_read_attribute_f64(reader, object, "alpha", &choice->alpha, &err), err);
    if (strcmp(choice->measured, "nothing") != 0)
        assert_ok(store_read_attribute_f64(reader, object, "candidate_error", &choice->error, &err), err);
    for (size_t k = 0; k < count && strcmp(choice->measured, "nothing") != 0; k++) {
        snprintf(name, sizeof name, "candidate_error_%s", candidates[k].name);
        assert_ok(store_read_attribute_f64(reader, object, name, &choice->errors[k], &err), err);
    }
    store_close(reader);
}

static void choice_free(struct choice *choice)
{
    free(choice->method);
    free(choice->measured);
}

// Which candidate the file names.
static size_t chosen_of(const struct choice *choice)
{
    size_t count;
    const struct importance_candidate *candidates = importance_candidates(&count);
    for (size_t k = 0; k < count; k++)
        if (strcmp(method_name(candidates[k].method), choice->method) == 0 &&
            candidates[k].exponent == choice->exponent && candidates[k].alpha == choice->alpha)
            return k;
    fail_msg("no candidate %s, %g, %g", choice->method, choice->exponent, choice->alpha);
    return 0;
}

// Its errors are those given, the choice has the least, and the mask is the choice's.
static size_t assert_choice(const struct small_model *small, const struct variant *variant,
                            const char *linear, const char *measured, const double *errors, bool even)
{
    struct choice choice;
    size_t least = 0;

    choice_read(&choice, small, variant, linear);
    const size_t chosen = chosen_of(&choice);
    for (size_t k = 0; k < CANDIDATES; k++) {
        assert_close(choice.errors[k], errors[k], tolerance * errors[k]);
        least = choice.errors[k] < choice.errors[least] ? k : least;
    }
    assert_int_equal(chosen, least); // the first among equals
    assert_true(choice.error == choice.errors[chosen]);
    assert_string_equal(choice.measured, measured);
    uint8_t *expected = candidate_mask(small, variant, chosen, linear, even);
    uint8_t *found = small_mask(small, variant, LAYER, linear);
    const struct small_matrix weight = small_dense_weight(small, LAYER, linear);
    assert_memory_equal(found, expected, weight.out * weight.in);
    free(weight.values);
    free(expected);
    free(found);
    choice_free(&choice);
    return chosen;
}

// ---- the layer's output ----------------------------------------------------------------------------------

static void put_masked(struct naive_layer *layer, const struct naive_layer *dense, const char *linear,
                       const uint8_t *mask)
{
    struct naive_linear *target = naive_linear_of(layer, linear);
    const struct naive_linear *source = naive_linear_of(dense, linear);
    for (size_t k = 0; k < source->out * source->in; k++)
        target->weight[k] = mask[k] ? source->weight[k] : 0;
}

// Squared error of the pruned layer's output over the sequences from `first` on, relative to the squared
// distance between the layer's input and the dense layer's output.
static double layer_error(const struct small_model *small, const struct naive_layer *dense,
                          const struct naive_layer *pruned, size_t first)
{
    const size_t tokens = small->settings.length, values = tokens * small->shape.checkpoint.hidden;
    float *states = small_hidden_states(small, "dense", LAYER);
    double error = 0, added = 0;

    for (size_t s = first; s < small->settings.sequences; s++) {
        struct naive_trace with, without;
        double *hidden = doubles_of(states + s * values, values);
        naive_layer_forward(&without, dense, hidden, tokens);
        naive_layer_forward(&with, pruned, hidden, tokens);
        for (size_t k = 0; k < values; k++) {
            error += pow(without.hidden[k] - with.hidden[k], 2);
            added += pow(without.hidden[k] - hidden[k], 2);
        }
        naive_trace_free(&without, dense);
        naive_trace_free(&with, pruned);
        free(hidden);
    }
    free(states);
    return error / added;
}

// Linears that share an input, "" after the last.
struct input_group {
    const char *linears[4];
};
static const struct input_group groups[] = {
    {{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", ""}},
    {{"self_attn.o_proj", ""}},
    {{"mlp.gate_proj", "mlp.up_proj", ""}},
    {{"mlp.down_proj", ""}}};

static void put_candidate(struct naive_layer *pruned, const struct naive_layer *dense,
                          const struct small_model *small, const struct variant *variant,
                          const struct input_group *group, size_t k)
{
    for (size_t i = 0; group->linears[i][0] != '\0'; i++) {
        uint8_t *mask = candidate_mask(small, variant, k, group->linears[i], false);
        put_masked(pruned, dense, group->linears[i], mask);
        free(mask);
    }
}

// Group after group, those before pruned as chosen. held_out: the sequences that judge, at the end.
static void check_groups(const struct small_model *small, const struct variant *variant, size_t held_out)
{
    struct naive_layer dense, pruned;

    naive_layer_read(&dense, small, LAYER);
    naive_layer_read(&pruned, small, LAYER);
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++) {
        double errors[CANDIDATES];
        size_t chosen = 0;
        for (size_t k = 0; k < CANDIDATES; k++) {
            put_candidate(&pruned, &dense, small, variant, &groups[g], k);
            errors[k] = layer_error(small, &dense, &pruned, small->settings.sequences - held_out);
        }
        for (size_t i = 0; groups[g].linears[i][0] != '\0'; i++)
            chosen = assert_choice(small, variant, groups[g].linears[i], "layer", errors, false);
        put_candidate(&pruned, &dense, small, variant, &groups[g], chosen);
    }
    naive_layer_free(&dense);
    naive_layer_free(&pruned);
}

static void prune_by_choice(struct small_model *small, const struct variant *variant)
{
    struct error err = {0};
    assert_ok(layer_weights_load(&small->weights, &small->stage, LAYER, NULL, &err), err);
    assert_ok(auto_layer(&small->stage, &small->weights, variant, LAYER, &err), err);
}

static void each_group_takes_the_candidate_that_keeps_the_layers_output(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    shape.sequences = 17; // the last two are held out
    small_model_open(&small, &shape);
    const struct variant *rows = small_model_add(&small, "rows", METHOD_AUTO);
    struct variant *pattern = small_model_add(&small, "pattern", METHOD_AUTO);
    small_set_pattern(pattern, 2, 4);
    small_model_calibrate(&small, false);
    prune_by_choice(&small, rows);
    prune_by_choice(&small, pattern);
    check_groups(&small, rows, 2);
    check_groups(&small, pattern, 2);
    small_model_close(&small);
}

static void of_few_sequences_one_is_held_out_and_of_one_none(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    (void)state;

    for (shape.sequences = 1; shape.sequences <= 2; shape.sequences++) {
        small_model_open(&small, &shape);
        const struct variant *variant = small_model_add(&small, "few", METHOD_AUTO);
        small_model_calibrate(&small, false);
        prune_by_choice(&small, variant);
        check_groups(&small, variant, 1);
        small_model_close(&small);
    }
}

static void the_bytes_do_not_depend_on_the_ranks(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    (void)state;

    small_model_open(&small, &shape);
    small_model_add(&small, "auto", METHOD_AUTO)->group = GROUP_LAYER;
    small_model_open_alone(&alone, &small);
    small_model_calibrate(&small, false);
    small_model_calibrate(&alone, false);
    prune_by_choice(&small, &small.variants[0]);
    prune_by_choice(&alone, &alone.variants[0]);
    char *path = small_path(&small, RUN_MASKS, "auto", LAYER),
         *other = small_path(&alone, RUN_MASKS, "auto", LAYER);
    assert_same_file(path, other);
    free(path);
    free(other);
    small_model_close(&alone);
    small_model_close(&small);
}

// ---- a winner that is known beforehand -------------------------------------------------------------------

// Only down_proj is pruned, and its statistics are moments[in], by all ranks.
static void use_statistics(struct small_model *small, const double *moments, size_t in)
{
    static struct skip skip[] = {
        {(char *)"self_attn.*", 0}, {(char *)"mlp.gate_proj", 0}, {(char *)"mlp.up_proj", 0}};
    const struct store_shape moment = {.type = STORE_F64, .rank = 1, .dims = {in}};
    const struct store_shape count = {.type = STORE_U64, .rank = 1, .dims = {1}};
    const uint64_t tokens = 60;
    const bool root = small->team.rank == 0;
    struct store_writer *writer;
    struct error err = {0};
    char *path = small_path(small, RUN_STATISTICS, "dense", LAYER);

    small->settings.skip = skip;
    small->settings.num_skip = 3;
    team_barrier(&small->team); // others may still read what was calibrated
    if (root)
        remove(path);
    assert_ok(store_create(&writer, path, NO_ORIGIN, small->team.comm, &err), err);
    assert_ok(store_declare(writer, "/mlp.down_proj/count", &count, &err), err);
    for (size_t k = 0; k < 4; k++) {
        const char *const names[] = {"/mlp.down_proj/mean", "/mlp.down_proj/max_abs",
                                     "/mlp.down_proj/variance", "/mlp.down_proj/second_moment"};
        assert_ok(store_declare(writer, names[k], &moment, &err), err);
        assert_ok(store_write(writer, names[k], 0, root ? in : 0, moments, &err), err);
    }
    assert_ok(store_write(writer, "/mlp.down_proj/count", 0, root, &tokens, &err), err);
    assert_ok(store_commit(writer, &err), err);
    free(path);
}

// Statistics that call the most active half of the channels idle mislead every candidate that reads them:
// only magnitude keeps weights that matter.
static void magnitude_wins_where_the_statistics_mislead(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_statistics statistics;
    struct small_model small;
    struct choice choice;
    double errors[CANDIDATES];
    double moments[36];
    struct naive_layer dense, pruned;
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *variant = small_model_add(&small, "misled", METHOD_AUTO);
    small_model_calibrate(&small, false);
    small_statistics_read(&statistics, &small, "dense", LAYER, "mlp.down_proj");
    assert_int_equal(statistics.channels, 36);
    for (size_t j = 0; j < 36; j++) {
        size_t larger = 0;
        for (size_t i = 0; i < 36; i++)
            larger += statistics.second_moment[i] > statistics.second_moment[j];
        moments[j] = larger < 18 ? 1e-12 : 1e12;
    }
    use_statistics(&small, moments, 36);
    prune_by_choice(&small, variant);
    naive_layer_read(&dense, &small, LAYER);
    naive_layer_read(&pruned, &small, LAYER);
    for (size_t k = 0; k < CANDIDATES; k++) {
        put_candidate(&pruned, &dense, &small, variant, &groups[3], k);
        errors[k] = layer_error(&small, &dense, &pruned, shape.sequences - 1);
    }
    assert_choice(&small, variant, "mlp.down_proj", "layer", errors, false);
    choice_read(&choice, &small, variant, "mlp.down_proj");
    assert_string_equal(choice.method, "magnitude");
    for (size_t k = 0; k < CANDIDATES - 1; k++)
        assert_true(choice.errors[k] > 2 * choice.error);
    choice_free(&choice);
    small_statistics_free(&statistics);
    naive_layer_free(&dense);
    naive_layer_free(&pruned);
    small_model_close(&small);
}

// With equal statistics wanda, whatever its exponent, and cvr without alpha prune as magnitude does.
static void of_equal_candidates_the_first_is_taken(void **state)
{
    const size_t equals[] = {3, 6, 8, 13, 14}; // to candidate 0
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct choice choice;
    double moments[36];
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *variant = small_model_add(&small, "equal", METHOD_AUTO);
    small_model_calibrate(&small, false);
    for (size_t j = 0; j < 36; j++)
        moments[j] = 1;
    use_statistics(&small, moments, 36);
    prune_by_choice(&small, variant);
    choice_read(&choice, &small, variant, "mlp.down_proj");
    for (size_t k = 0; k < sizeof equals / sizeof equals[0]; k++) {
        assert_true(choice.errors[equals[k]] == choice.errors[0]);
        assert_int_not_equal(chosen_of(&choice), equals[k]);
    }
    choice_free(&choice);
    small_model_close(&small);
}

// ---- experts ---------------------------------------------------------------------------------------------

// The squared error of a masked linear's own outputs over the tokens that reach it, relative to the variance
// of the outputs over these. NaN without tokens.
static double own_error(const struct small_model *small, const struct naive_layer *dense, const char *linear,
                        const uint8_t *mask, size_t first)
{
    const size_t tokens = small->settings.length, values = tokens * small->shape.checkpoint.hidden;
    const size_t at = naive_index_of(dense, linear), in = dense->linears[at].in, out = dense->linears[at].out;
    float *states = small_hidden_states(small, "dense", LAYER);
    double *sum = calloc(out, sizeof *sum), *squares = calloc(out, sizeof *squares), error = 0, variance = 0;
    size_t count = 0;

    assert_true(sum != NULL && squares != NULL);
    for (size_t s = first; s < small->settings.sequences; s++) {
        struct naive_trace trace;
        double *hidden = doubles_of(states + s * values, values);
        naive_layer_forward(&trace, dense, hidden, tokens);
        for (size_t t = 0; t < tokens; t++) {
            count += trace.reached[at][t];
            for (size_t i = 0; i < out && trace.reached[at][t]; i++) {
                double lost = 0;
                for (size_t j = 0; j < in; j++)
                    lost += mask[i * in + j]
                                ? 0
                                : dense->linears[at].weight[i * in + j] * trace.inputs[at][t * in + j];
                error += lost * lost;
                sum[i] += trace.outputs[at][t * out + i];
                squares[i] += pow(trace.outputs[at][t * out + i], 2);
            }
        }
        naive_trace_free(&trace, dense);
        free(hidden);
    }
    for (size_t i = 0; i < out && count > 0; i++)
        variance += squares[i] - sum[i] * sum[i] / (double)count;
    free(states);
    free(sum);
    free(squares);
    return count == 0 ? NAN : error / variance;
}

static void check_expert(const struct small_model *small, const struct variant *variant,
                         const struct naive_layer *dense, const char *linear, size_t kinds[2])
{
    double errors[CANDIDATES];
    struct small_statistics statistics;

    small_statistics_read(&statistics, small, "dense", LAYER, linear);
    const bool even = statistics.count < FEWEST_EXPERT_TOKENS;
    small_statistics_free(&statistics);
    for (size_t k = 0; k < CANDIDATES; k++) {
        uint8_t *mask = candidate_mask(small, variant, k, linear, even);
        errors[k] = own_error(small, dense, linear, mask, small->settings.sequences - 1);
        free(mask);
    }
    kinds[isnan(errors[0])]++;
    if (!isnan(errors[0])) {
        assert_choice(small, variant, linear, "linear", errors, even);
        return;
    }
    struct choice choice;
    choice_read(&choice, small, variant, linear);
    assert_string_equal(choice.measured, "nothing");
    assert_int_equal(chosen_of(&choice), CANDIDATE_DEFAULT);
    uint8_t *expected = candidate_mask(small, variant, CANDIDATE_DEFAULT, linear, even);
    uint8_t *found = small_mask(small, variant, LAYER, linear);
    assert_memory_equal(found, expected, 20 * 36);
    free(expected);
    free(found);
    choice_free(&choice);
}

static void each_expert_takes_the_candidate_that_keeps_its_own_outputs(void **state)
{
    static const char *const names[] = {"w1", "w3", "w2"};
    struct small_model_shape shape = small_model_shape();
    struct naive_layer dense;
    struct small_model small;
    size_t kinds[2] = {0};
    char linear[64];
    (void)state;

    shape.checkpoint.experts = 5; // the last one gets no token
    shape.sequences = 15;         // one is held out; some experts have 128 tokens of the 360, some not
    small_model_open(&small, &shape);
    const struct variant *variant = small_model_add(&small, "experts", METHOD_AUTO);
    small_model_calibrate(&small, false);
    prune_by_choice(&small, variant);
    naive_layer_read(&dense, &small, LAYER);
    for (size_t e = 0; e < shape.checkpoint.experts; e++)
        for (size_t k = 0; k < 3; k++) {
            snprintf(linear, sizeof linear, "block_sparse_moe.experts.%zu.%s", e, names[k]);
            check_expert(&small, variant, &dense, linear, kinds);
        }
    assert_true(kinds[0] > 0 && kinds[1] > 0);
    naive_layer_free(&dense);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(each_group_takes_the_candidate_that_keeps_the_layers_output),
        mpi_unit_test(of_few_sequences_one_is_held_out_and_of_one_none),
        mpi_unit_test(the_bytes_do_not_depend_on_the_ranks),
        mpi_unit_test(magnitude_wins_where_the_statistics_mislead),
        mpi_unit_test(of_equal_candidates_the_first_is_taken),
        mpi_unit_test(each_expert_takes_the_candidate_that_keeps_its_own_outputs),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
