// Outputs of linears, dense and pruned, against sums in double over a naive forward pass.
// ranks: 1 3
#include "stages/layer/measure.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Inputs of size 1 that are off by 1.2e-5 (test_calibrate.c), in sums of up to 36 products with weights of
// 1/6: outputs are off by at most 36 / 6 times that.
static const double tolerance = 7e-5;

enum { CANDIDATES = 2 };

// Candidates for a linear: its own weight with every other row, or every other column, at 0.
struct candidates {
    size_t in;
    float *weights[CANDIDATES];
};

static void candidates_create(struct candidates *candidates, const struct small_model *small, size_t layer,
                              const char *linear)
{
    for (size_t c = 0; c < CANDIDATES; c++) {
        const struct small_matrix dense = small_dense_weight(small, layer, linear);
        for (size_t i = 0; i < dense.out; i++)
            for (size_t j = 0; j < dense.in; j++)
                if ((c == 0 ? i : j) % 2 == 0)
                    dense.values[i * dense.in + j] = 0;
        candidates->weights[c] = dense.values;
        candidates->in = dense.in;
    }
}

static void candidates_free(struct candidates *candidates)
{
    for (size_t c = 0; c < CANDIDATES; c++)
        free(candidates->weights[c]);
}

// One candidate is found in place, the other is copied.
static const float *rows_of(void *context, size_t candidate, size_t first, size_t count, float *buffer)
{
    const struct candidates *candidates = context;
    const float *rows = candidates->weights[candidate] + first * candidates->in;
    return candidate == 0 ? rows : memcpy(buffer, rows, count * candidates->in * sizeof *rows);
}

static const struct layer_tensor *tensor_of(const struct layer_weights *weights, const char *linear)
{
    size_t i = 0;
    while (strcmp(weights->map.tensors[i].linear, linear) != 0)
        i++;
    return &weights->map.tensors[i];
}

static struct measured_linear measured_of(const struct small_model *small, const char *linear,
                                          struct candidates *candidates)
{
    return (struct measured_linear){.tensor = tensor_of(&small->weights, linear),
                                    .candidates = CANDIDATES,
                                    .rows = rows_of,
                                    .context = candidates};
}

static double product(const double *x, const float *weight, size_t n)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += x[j] * (double)weight[j];
    return sum;
}

// The moments of one output channel over the sequences [first, end): y is the dense linear's output in the
// trace `dense`, z a row of weights times its inputs in `pruned`.
static struct output_moments naive_moments(const struct naive_pass *dense, const struct naive_pass *pruned,
                                           const char *linear, size_t channel, const float *row, size_t first,
                                           size_t end)
{
    const size_t at = naive_index_of(&dense->layer, linear);
    const size_t in = dense->layer.linears[at].in, out = dense->layer.linears[at].out;
    struct output_moments m = {.mean_y = 0};
    double tokens = 0;

    for (int step = 0; step < 2; step++)
        for (size_t s = first; s < end; s++)
            for (size_t t = 0; t < dense->traces[s].tokens; t++) {
                const double y = dense->traces[s].outputs[at][t * out + channel];
                const double z = product(pruned->traces[s].inputs[at] + t * in, row, in);
                if (!dense->traces[s].reached[at][t])
                    continue;
                if (step == 0) {
                    tokens++;
                    m.mean_y += (y - m.mean_y) / tokens;
                    m.mean_z += (z - m.mean_z) / tokens;
                } else {
                    m.variance_y += (y - m.mean_y) * (y - m.mean_y) / tokens;
                    m.variance_z += (z - m.mean_z) * (z - m.mean_z) / tokens;
                    m.covariance += (y - m.mean_y) * (z - m.mean_z) / tokens;
                }
            }
    return m;
}

struct part_bounds {
    enum sequence_part part;
    size_t first, end;
};

static void check_part(const struct measured_linear *measured, const struct candidates *candidates,
                       const struct naive_pass *dense, const struct naive_pass *pruned,
                       const struct part_bounds *bounds)
{
    const struct layer_tensor *tensor = measured->tensor;

    for (size_t c = 0; c < CANDIDATES; c++)
        for (size_t i = 0; i < tensor->out; i++) {
            const struct output_moments expected =
                naive_moments(dense, pruned, tensor->linear, i, candidates->weights[c] + i * tensor->in,
                              bounds->first, bounds->end);
            struct output_moments found;
            measured_moments(&found, measured, bounds->part, c, i);
            assert_close(found.mean_y, expected.mean_y, tolerance);
            assert_close(found.mean_z, expected.mean_z, tolerance);
            // Products of two outputs, up to 6 each.
            assert_close(found.variance_y, expected.variance_y, 12 * tolerance);
            assert_close(found.variance_z, expected.variance_z, 12 * tolerance);
            assert_close(found.covariance, expected.covariance, 12 * tolerance);
        }
}

static void moments_are_those_of_the_outputs_fitted_and_held_out(void **state)
{
    static const char *const linears[] = {"self_attn.k_proj", "mlp.up_proj", "mlp.down_proj"};
    const struct small_model_shape shape = small_model_shape();
    const struct part_bounds bounds[] = {{FITTED, 1, 3}, {HELD_OUT, 3, 5}}; // the first is left out
    struct small_model small;
    struct measured_linear measured[3];
    struct candidates candidates[3];
    struct hidden_states states;
    struct naive_pass pass;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 1, NULL, &err), err);
    assert_ok(hidden_states_open(&states, &small.stage, "dense", 1, &err), err);
    for (size_t i = 0; i < 3; i++) {
        candidates_create(&candidates[i], &small, 1, linears[i]);
        measured[i] = measured_of(&small, linears[i], &candidates[i]);
    }
    const struct measured_streams streams = {.dense = &small.weights, .dense_states = &states};
    assert_ok(measure_outputs(measured, 3, &small.stage, &streams, 1, 3, &err), err);

    naive_pass_run(&pass, &small, "dense", 1);
    for (size_t i = 0; i < 3; i++) {
        for (size_t part = 0; part < 2; part++) {
            assert_int_equal(measured[i].tokens[part], 2 * shape.length);
            check_part(&measured[i], &candidates[i], &pass, &pass, &bounds[part]);
        }
        measured_linear_free(&measured[i]);
        candidates_free(&candidates[i]);
    }
    naive_pass_free(&pass);
    hidden_states_close(&states);
    small_model_close(&small);
}

static void an_expert_is_measured_over_its_own_tokens(void **state)
{
    static const char *const linear = "block_sparse_moe.experts.1.w2";
    struct small_model_shape shape = small_model_shape();
    const struct part_bounds bounds[] = {{FITTED, 0, 2}, {HELD_OUT, 2, 5}};
    struct small_model small;
    struct candidates candidates;
    struct hidden_states states;
    struct naive_pass pass;
    struct error err = {0};
    (void)state;

    shape.checkpoint.experts = 4;
    small_model_open(&small, &shape);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 0, NULL, &err), err);
    assert_ok(hidden_states_open(&states, &small.stage, "dense", 0, &err), err);
    candidates_create(&candidates, &small, 0, linear);
    struct measured_linear measured = measured_of(&small, linear, &candidates);
    const struct measured_streams streams = {.dense = &small.weights, .dense_states = &states};
    assert_ok(measure_outputs(&measured, 1, &small.stage, &streams, 0, 2, &err), err);

    naive_pass_run(&pass, &small, "dense", 0);
    for (size_t part = 0; part < 2; part++) {
        size_t tokens = 0;
        for (size_t s = bounds[part].first; s < bounds[part].end; s++)
            for (size_t t = 0; t < shape.length; t++)
                tokens += pass.traces[s].reached[naive_index_of(&pass.layer, linear)][t];
        assert_int_equal(measured.tokens[part], tokens);
        assert_in_range(tokens, 1, (bounds[part].end - bounds[part].first) * shape.length - 1);
        check_part(&measured, &candidates, &pass, &pass, &bounds[part]);
    }
    naive_pass_free(&pass);
    measured_linear_free(&measured);
    candidates_free(&candidates);
    hidden_states_close(&states);
    small_model_close(&small);
}

// activations/other/layer-001.h5: the dense stream's states, halved.
static void write_other_stream(const struct small_model *small)
{
    const size_t values = small->settings.length * small->shape.checkpoint.hidden;
    const size_t sequences = small->settings.sequences, ranks = (size_t)small->team.size;
    float *states = small_hidden_states(small, "dense", 1);
    struct hidden_output output;
    struct error err = {0};

    for (size_t k = 0; k < sequences * values; k++)
        states[k] /= 2;
    assert_ok(hidden_states_create(&output, &small->stage, "other", 1, &err), err);
    for (size_t wave = 0; wave < sequences; wave += ranks) {
        const size_t s = wave + (size_t)small->team.rank;
        const bool mine = s < sequences;
        assert_ok(hidden_states_write(&output, mine ? s : 0, mine, states + (mine ? s : 0) * values, &err),
                  err);
    }
    assert_ok(hidden_states_commit(&output, &err), err);
    free(states);
}

static void with_two_streams_each_output_comes_from_its_own(void **state)
{
    static const char *const linear = "mlp.down_proj";
    const struct small_model_shape shape = small_model_shape();
    const struct part_bounds bounds = {FITTED, 0, 5};
    struct small_model small;
    struct layer_weights pruned;
    struct candidates candidates;
    struct hidden_states dense_states, other_states;
    struct naive_pass dense_pass, pruned_pass;
    struct error err = {0};
    (void)state;

    // Given a layer whose up_proj is pruned already, and states that other pruned layers left
    small_model_open(&small, &shape);
    small_model_calibrate(&small, false);
    write_other_stream(&small);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 1, NULL, &err), err);
    assert_ok(layer_weights_create(&pruned, &small.stage, &err), err);
    assert_ok(layer_weights_load(&pruned, &small.stage, 1, NULL, &err), err);
    candidates_create(&candidates, &small, 1, "mlp.up_proj");
    const struct layer_tensor *up = tensor_of(&pruned, "mlp.up_proj");
    if (small.team.node_rank == 0)
        memcpy((float *)pruned.memory.data + up->offset, candidates.weights[0],
               up->out * up->in * sizeof(float));
    shared_block_sync(&pruned.memory, &small.team);
    naive_pass_run(&dense_pass, &small, "dense", 1);
    naive_pass_run(&pruned_pass, &small, "other", 1);
    naive_layer_put(&pruned_pass.layer, "mlp.up_proj", candidates.weights[0]);
    naive_pass_again(&pruned_pass, &small, "other", 1);
    candidates_free(&candidates);

    // When down_proj is measured in both
    assert_ok(hidden_states_open(&dense_states, &small.stage, "dense", 1, &err), err);
    assert_ok(hidden_states_open(&other_states, &small.stage, "other", 1, &err), err);
    candidates_create(&candidates, &small, 1, linear);
    struct measured_linear measured = measured_of(&small, linear, &candidates);
    const struct measured_streams streams = {.dense = &small.weights,
                                             .dense_states = &dense_states,
                                             .pruned = &pruned.layer,
                                             .pruned_states = &other_states};
    assert_ok(measure_outputs(&measured, 1, &small.stage, &streams, 0, 5, &err), err);

    // Then y is the dense stream's and z the pruned one's
    check_part(&measured, &candidates, &dense_pass, &pruned_pass, &bounds);
    assert_int_equal(measured.tokens[HELD_OUT], 0);
    naive_pass_free(&dense_pass);
    naive_pass_free(&pruned_pass);
    measured_linear_free(&measured);
    candidates_free(&candidates);
    hidden_states_close(&dense_states);
    hidden_states_close(&other_states);
    layer_weights_free(&pruned);
    small_model_close(&small);
}

// The fitted sums of down_proj in layer 0; the caller frees.
static double *measured_sums(struct small_model *small, size_t *count)
{
    struct candidates candidates;
    struct hidden_states states;
    struct error err = {0};

    assert_ok(layer_weights_load(&small->weights, &small->stage, 0, NULL, &err), err);
    assert_ok(hidden_states_open(&states, &small->stage, "dense", 0, &err), err);
    candidates_create(&candidates, small, 0, "mlp.down_proj");
    struct measured_linear measured = measured_of(small, "mlp.down_proj", &candidates);
    const struct measured_streams streams = {.dense = &small->weights, .dense_states = &states};
    assert_ok(measure_outputs(&measured, 1, &small->stage, &streams, 0, 5, &err), err);
    double *sums = measured.sums[FITTED];
    *count = CANDIDATES * OUTPUT_SUMS * measured.tensor->out;
    measured.sums[FITTED] = NULL;
    measured_linear_free(&measured);
    candidates_free(&candidates);
    hidden_states_close(&states);
    return sums;
}

static void sums_have_the_same_bits_from_one_rank_and_from_all(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    size_t count;
    (void)state;

    small_model_open(&small, &shape);
    small_model_open_alone(&alone, &small);
    double *together = measured_sums(&small, &count), *by_one = measured_sums(&alone, &count);
    assert_memory_equal(together, by_one, count * sizeof *together);
    free(together);
    free(by_one);
    small_model_close(&alone);
    small_model_close(&small);
}

static void outputs_that_overflow_are_refused(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct candidates candidates;
    struct hidden_states states;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 0, NULL, &err), err);
    assert_ok(hidden_states_open(&states, &small.stage, "dense", 0, &err), err);
    candidates_create(&candidates, &small, 0, "self_attn.q_proj");
    for (size_t j = 0; j < candidates.in; j++)
        candidates.weights[0][7 * candidates.in + j] = 3e38F;
    struct measured_linear measured = measured_of(&small, "self_attn.q_proj", &candidates);
    const struct measured_streams streams = {.dense = &small.weights, .dense_states = &states};
    assert_int_equal(measure_outputs(&measured, 1, &small.stage, &streams, 0, 5, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "layers.0.self_attn.q_proj: output channel 7 is not finite");
    measured_linear_free(&measured);
    candidates_free(&candidates);
    hidden_states_close(&states);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(moments_are_those_of_the_outputs_fitted_and_held_out),
        mpi_unit_test(an_expert_is_measured_over_its_own_tokens),
        mpi_unit_test(with_two_streams_each_output_comes_from_its_own),
        mpi_unit_test(sums_have_the_same_bits_from_one_rank_and_from_all),
        mpi_unit_test(outputs_that_overflow_are_refused),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
