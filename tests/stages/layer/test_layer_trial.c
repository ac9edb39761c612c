// The effect of candidates on a layer's output, against naive passes through the changed layer.
// ranks: 1 3
#include "stages/layer/layer_trial.h"
#include "tests/support/naive.h"
#include "tests/support/naive_layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Candidate k is up_proj times (1 + k / 4): the first is the dense layer, the last is infinite.
enum { CANDIDATES = 4 };

struct scaled_linear {
    const struct small_model *small;
    struct layer_weights *pruned;
    const struct layer_tensor *tensor;
};

static float factor_of(size_t candidate)
{
    return candidate + 1 < CANDIDATES ? 1 + (float)candidate / 4 : INFINITY;
}

static void put(void *context, size_t candidate)
{
    const struct scaled_linear *linear = context;
    const struct team *team = &linear->small->team;
    const struct layer_tensor *tensor = linear->tensor;
    const float *dense = layer_weights_of(&linear->small->weights, tensor);
    float *target = (float *)linear->pruned->memory.data + tensor->offset;
    size_t first, count;

    share_of(tensor->out, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
    for (size_t k = first * tensor->in; k < (first + count) * tensor->in; k++)
        target[k] = dense[k] * factor_of(candidate);
}

static const struct layer_tensor *tensor_of(const struct layer_weights *weights, const char *linear)
{
    size_t i = 0;
    while (strcmp(weights->map.tensors[i].linear, linear) != 0)
        i++;
    return &weights->map.tensors[i];
}

// errors[candidates] of layer 0, judged by the sequences from `first` on.
static void try_scaled(double *errors, size_t candidates, struct small_model *small, size_t first)
{
    struct layer_weights pruned;
    struct hidden_states states;
    struct error err = {0};

    assert_ok(layer_weights_load(&small->weights, &small->stage, 0, NULL, &err), err);
    assert_ok(layer_weights_create(&pruned, &small->stage, &err), err);
    assert_ok(layer_weights_load(&pruned, &small->stage, 0, NULL, &err), err);
    assert_ok(hidden_states_open(&states, &small->stage, "dense", 0, &err), err);
    struct scaled_linear scaled = {small, &pruned, tensor_of(&small->weights, "mlp.up_proj")};
    const struct layer_trial trial = {.stage = &small->stage,
                                      .dense = &small->weights,
                                      .pruned = &pruned,
                                      .dense_states = &states,
                                      .states = &states,
                                      .put = put,
                                      .context = &scaled};
    assert_ok(try_in_layer(errors, candidates, &trial, first, &err), err);
    hidden_states_close(&states);
    layer_weights_free(&pruned);
}

// sum |d - p|^2 / sum |d - h|^2 over the sequences from `first` on.
static double naive_error(const struct small_model *small, size_t candidate, size_t first)
{
    const size_t values = small->settings.length * small->shape.checkpoint.hidden;
    float *entering = small_hidden_states(small, "dense", 0);
    struct naive_pass dense, pruned;
    double error = 0, change = 0;

    naive_pass_run(&dense, small, "dense", 0);
    naive_pass_run(&pruned, small, "dense", 0);
    struct naive_linear *up = naive_linear_of(&pruned.layer, "mlp.up_proj");
    for (size_t k = 0; k < up->out * up->in; k++)
        up->weight[k] *= (double)factor_of(candidate);
    naive_pass_again(&pruned, small, "dense", 0);
    for (size_t s = first; s < dense.sequences; s++)
        for (size_t k = 0; k < values; k++) {
            const double d = dense.traces[s].hidden[k], p = pruned.traces[s].hidden[k];
            const double h = (double)entering[s * values + k];
            error += (d - p) * (d - p);
            change += (d - h) * (d - h);
        }
    naive_pass_free(&dense);
    naive_pass_free(&pruned);
    free(entering);
    return error / change;
}

static void errors_are_those_of_the_layers_output_relative_to_what_the_layer_does(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    double errors[CANDIDATES];
    (void)state;

    small_model_open(&small, &shape);
    try_scaled(errors, CANDIDATES, &small, 2);
    assert_true(errors[0] == 0); // the dense layer itself: the same bits
    for (size_t k = 1; k + 1 < CANDIDATES; k++) {
        const double expected = naive_error(&small, k, 2);
        // Differences of about 0.1 between float32 outputs of size 1 lose three digits of seven.
        assert_close(errors[k], expected, 1e-4 * expected);
    }
    assert_true(isinf(errors[CANDIDATES - 1])); // one that overflows loses, and the others are judged
    small_model_close(&small);
}

static void errors_have_the_same_bits_from_one_rank_and_from_all(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small, alone;
    double together[CANDIDATES], by_one[CANDIDATES];
    (void)state;

    small_model_open(&small, &shape);
    small_model_open_alone(&alone, &small);
    try_scaled(together, CANDIDATES, &small, 0);
    try_scaled(by_one, CANDIDATES, &alone, 0);
    assert_memory_equal(together, by_one, sizeof together);
    small_model_close(&alone);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(errors_are_those_of_the_layers_output_relative_to_what_the_layer_does),
        mpi_unit_test(errors_have_the_same_bits_from_one_rank_and_from_all),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
