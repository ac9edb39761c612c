// The float32 copy of a layer: the checkpoint's bits, and over them what a variant pruned.
// ranks: 1 3
#include "kernels/threads.h"
#include "stages/compensate/compensate.h"
#include "stages/layer/weight_check.h"
#include "stages/prune/prune.h"
#include "tests/support/small_model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const linears[] = {"self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj",
                                      "mlp.up_proj", "mlp.down_proj"};
enum { LINEARS = sizeof linears / sizeof linears[0] };

static const float *loaded(const struct layer_weights *weights, const char *linear)
{
    size_t i = 0;
    while (strcmp(weights->map.tensors[i].linear, linear) != 0)
        i++;
    return layer_weights_of(weights, &weights->map.tensors[i]);
}

// The layer holds these bits; mask NULL: all of them, else 0 where it is 0.
static void check_linear(const struct layer_weights *weights, const char *linear,
                         const struct small_matrix *expected, const uint8_t *mask)
{
    const float *found = loaded(weights, linear);
    for (size_t k = 0; k < expected->out * expected->in; k++) {
        const float value = mask == NULL || mask[k] != 0 ? expected->values[k] : 0;
        assert_memory_equal(&found[k], &value, sizeof value);
    }
}

static void check_dense(const struct small_model *small, size_t layer)
{
    for (size_t i = 0; i < LINEARS; i++) {
        const struct small_matrix dense = small_dense_weight(small, layer, linears[i]);
        check_linear(&small->weights, linears[i], &dense, NULL);
        free(dense.values);
    }
}

static void a_dense_layer_has_the_checkpoints_weights(void **state)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    struct small_model_shape shape = small_model_shape();
    struct error err = {0};
    (void)state;

    shape.checkpoint.shards = 4;
    for (size_t d = 0; d < 3; d++) {
        struct small_model small;
        shape.checkpoint.dtype = dtypes[d];
        small_model_open(&small, &shape);
        for (size_t layer = 0; layer < 2; layer++) {
            assert_ok(layer_weights_load(&small.weights, &small.stage, layer, NULL, &err), err);
            check_dense(&small, layer);
        }
        small_model_close(&small);
    }
}

static void score(struct small_model *small, const struct variant *variant, size_t layer)
{
    struct error err = {0};
    assert_ok(prune_layer(&small->stage, &small->weights, &variant, 1, layer, &err), err);
}

static void a_variant_without_compensation_is_its_masks_over_the_dense_weights(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct skip skip[] = {{(char *)"layers.1.mlp.up_proj", 0}};
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    const struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    score(&small, variant, 1);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 0, NULL, &err), err); // other weights before
    assert_ok(layer_weights_load(&small.weights, &small.stage, 1, variant, &err), err);
    for (size_t i = 0; i < LINEARS; i++) {
        const struct small_matrix dense = small_dense_weight(&small, 1, linears[i]);
        uint8_t *mask =
            strcmp(linears[i], "mlp.up_proj") != 0 ? small_mask(&small, variant, 1, linears[i]) : NULL;
        check_linear(&small.weights, linears[i], &dense, mask);
        free(mask);
        free(dense.values);
    }
    // And back: the dense layer is loaded again, not taken for what is there.
    assert_ok(layer_weights_load(&small.weights, &small.stage, 1, NULL, &err), err);
    check_dense(&small, 1);
    small_model_close(&small);
}

static void a_compensated_variant_is_its_file_of_weights(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    variant->energy_columns = variant->energy_rows = true;
    score(&small, variant, 0);
    assert_ok(compensate_layer(&small.stage, &small.weights, variant, 0, &err), err);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 0, variant, &err), err);
    for (size_t i = 0; i < LINEARS; i++) {
        const struct small_matrix pruned = small_pruned_weight(&small, variant, 0, linears[i]);
        const struct small_matrix dense = small_dense_weight(&small, 0, linears[i]);
        check_linear(&small.weights, linears[i], &pruned, NULL);
        assert_memory_not_equal(pruned.values, dense.values, dense.out * dense.in * sizeof(float));
        free(pruned.values);
        free(dense.values);
    }
    small_model_close(&small);
}

static void mask_and_written_weights_give_the_same_layer(void **state)
{
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    small_model_open(&small, &shape);
    const struct variant *variant = small_model_add(&small, "half", METHOD_MAGNITUDE);
    score(&small, variant, 0);
    assert_ok(compensate_layer(&small.stage, &small.weights, variant, 0, &err), err);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 0, variant, &err), err); // from the masks
    for (size_t i = 0; i < LINEARS; i++) {
        const struct small_matrix pruned = small_pruned_weight(&small, variant, 0, linears[i]);
        check_linear(&small.weights, linears[i], &pruned, NULL);
        free(pruned.values);
    }
    small_model_close(&small);
}

// ---- several nodes --------------------------------------------------------------------------------------

// As much for each node as whole rows allow, and every float once.
static void assert_shares(const struct layer_weights *weights)
{
    size_t widest = 0;
    double mean = (double)weights->map.block_size / (double)weights->nodes.count;
    long floats = (long)(weights->shares.to - weights->shares.from), sum = floats;

    for (size_t i = 0; i < weights->map.num_tensors; i++)
        if (weights->map.tensors[i].in > widest)
            widest = weights->map.tensors[i].in;
    assert_true((double)floats > mean - (double)widest - 64 && (double)floats < mean + (double)widest + 64);
    if (weights->nodes.leaders != MPI_COMM_NULL) {
        MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_LONG, MPI_SUM, weights->nodes.leaders);
        assert_int_equal(sum, weights->map.block_size);
    }
}

static void assert_same_layer(const struct layer_weights *weights, const struct layer_weights *expected)
{
    for (size_t i = 0; i < expected->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &expected->map.tensors[i];
        assert_memory_equal(layer_weights_of(weights, tensor), layer_weights_of(expected, tensor),
                            tensor->out * tensor->in * sizeof(float));
    }
}

static void nodes_read_a_part_each_and_have_the_same_bits(void **state)
{
    const int rank = mpi_rank();
    const int colors[] = {rank > 0, rank % 2, -rank + mpi_size()}; // the last: a node for each, backwards
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    struct error err = {0};
    (void)state;

    shape.checkpoint.experts = 3;
    small_model_open(&small, &shape);
    const struct variant *masked = small_model_add(&small, "masked", METHOD_MAGNITUDE);
    struct variant *written = small_model_add(&small, "written", METHOD_MAGNITUDE);
    written->energy_columns = written->energy_rows = true;
    score(&small, masked, 1);
    score(&small, written, 1);
    assert_ok(compensate_layer(&small.stage, &small.weights, written, 1, &err), err);
    const struct variant *const variants[] = {NULL, masked, written};
    for (size_t c = 0; c < sizeof colors / sizeof *colors; c++) {
        struct team team = small_team_on_nodes(&small, colors[c]);
        struct stage stage = small.stage;
        struct layer_weights weights;
        stage.team = &team;
        assert_ok(layer_weights_create(&weights, &stage, &err), err);
        for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
            assert_ok(layer_weights_load(&small.weights, &small.stage, 1, variants[v], &err), err);
            for (size_t threads = 1; threads <= 4; threads += 3) { // sent in float32, and as bf16
                assert_int_equal(layer_is_packed(threads), threads == 4);
                assert_ok(layer_weights_load(&weights, &stage, 0, NULL, &err), err); // other bits before
                threads_set(threads);
                assert_ok(layer_weights_load(&weights, &stage, 1, variants[v], &err), err);
                threads_set(1);
                assert_true(floats_are_bf16(weights.memory.data, weights.map.block_size)); // with gaps
                assert_shares(&weights);
                assert_same_layer(&weights, &small.weights);
            }
        }
        layer_weights_free(&weights);
        MPI_Comm_free(&team.node);
    }
    small_model_close(&small);
}

// Overwrites one element of a BF16 tensor in the checkpoint's file, which every rank has mapped.
static void poke(const struct small_model *small, const struct safetensors_tensor *tensor, size_t element,
                 uint16_t bits)
{
    const struct safetensors_file *shard = small->model->checkpoint->shards[0];
    const off_t offset = (const char *)tensor->data - (const char *)shard->mapping + (off_t)(2 * element);

    MPI_Barrier(MPI_COMM_WORLD);
    if (mpi_rank() == 0) {
        const int file = open(shard->path, O_WRONLY);
        assert_true(file >= 0);
        assert_int_equal(pwrite(file, &bits, sizeof bits, offset), sizeof bits);
        close(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

enum { BF16_NAN = 0x7fc0, BF16_INFINITY = 0x7f80 };

static void a_weight_that_is_not_finite_is_named(void **state)
{
    struct small_model_shape shape = small_model_shape();
    struct small_model small;
    size_t shard;
    struct error err = {0};
    (void)state;

    shape.checkpoint.intermediate = 6000; // more than is expanded at a time
    small_model_open(&small, &shape);
    poke(&small, checkpoint_find(small.model->checkpoint, "model.layers.1.mlp.down_proj.weight", &shard),
         19 * 6000 + 5, BF16_NAN);
    assert_ok(layer_weights_load(&small.weights, &small.stage, 0, NULL, &err), err);
    check_dense(&small, 0);
    assert_int_equal(layer_weights_load(&small.weights, &small.stage, 1, NULL, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT,
                 "model.safetensors: tensor model.layers.1.mlp.down_proj.weight: weight [19, 5] is NaN");
    small_model_close(&small);
}

static void what_lies_outside_the_layers_is_looked_at_too(void **state)
{
    static const char *const names[] = {"model.embed_tokens.weight", "lm_head.weight"};
    const struct small_model_shape shape = small_model_shape();
    struct small_model small;
    size_t shard;
    struct error err = {0};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        char expected[100];
        small_model_open(&small, &shape);
        assert_ok(check_weights(&small.stage, false, &err), err);
        poke(&small, checkpoint_find(small.model->checkpoint, names[i], &shard), 257 * 20 + 19,
             BF16_INFINITY); // the very last element
        assert_int_equal(check_weights(&small.stage, false, &err), STATUS_INPUT);
        snprintf(expected, sizeof expected, "tensor %s: weight [257, 19] is infinite", names[i]);
        assert_error(err, STATUS_INPUT, expected);
        err = (struct error){0};
        small_model_close(&small);
    }
}

// Wherever it lies, whoever's share it is in: the first, a middle and the last element of tensors of all
// shapes.
static void all_layers_are_looked_at_before_the_work(void **state)
{
    static const struct {
        const char *name;
        size_t element, last; // of the tensor
        const char *says;
    } cases[] = {
        {"model.layers.1.mlp.down_proj.weight", 0, 0, "mlp.down_proj.weight: weight [0, 0] is NaN"},
        {"model.layers.0.mlp.down_proj.weight", 19 * 36 + 5, 0, "down_proj.weight: weight [19, 5] is NaN"},
        {"model.layers.1.self_attn.q_proj.weight", 0, 1, "model.layers.1.self_attn.q_proj.weight: weight ["},
        {"model.layers.1.input_layernorm.weight", 7, 0, "input_layernorm.weight: weight [7] is NaN"}};
    const struct small_model_shape shape = small_model_shape();
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct small_model small;
        struct error err = {0};
        size_t shard;
        small_model_open(&small, &shape);
        const struct safetensors_tensor *tensor =
            checkpoint_find(small.model->checkpoint, cases[i].name, &shard);
        assert_non_null(tensor);
        assert_ok(check_weights(&small.stage, true, &err), err);
        poke(&small, tensor, cases[i].last ? (size_t)safetensors_elements(tensor) - 1 : cases[i].element,
             BF16_NAN);
        assert_ok(check_weights(&small.stage, false, &err), err);
        assert_int_equal(check_weights(&small.stage, true, &err), STATUS_INPUT);
        assert_error(err, STATUS_INPUT, cases[i].says);
        small_model_close(&small);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(a_dense_layer_has_the_checkpoints_weights),
        mpi_unit_test(a_variant_without_compensation_is_its_masks_over_the_dense_weights),
        mpi_unit_test(a_compensated_variant_is_its_file_of_weights),
        mpi_unit_test(mask_and_written_weights_give_the_same_layer),
        mpi_unit_test(nodes_read_a_part_each_and_have_the_same_bits),
        mpi_unit_test(a_weight_that_is_not_finite_is_named),
        mpi_unit_test(what_lies_outside_the_layers_is_looked_at_too),
        mpi_unit_test(all_layers_are_looked_at_before_the_work),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
