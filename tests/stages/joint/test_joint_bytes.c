// Masks and weights that are made together: the same bytes from any number of ranks, and numbers that the
// weights' format cannot hold.
// ranks: 1 3
#include "io/model/weights/checkpoint.h"
#include "io/store/store.h"
#include "stages/joint/joint.h"
#include "tests/support/joint_variants.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void the_bytes_do_not_depend_on_the_ranks(void **state)
{
    static const enum method methods[] = {METHOD_WANDA, METHOD_ALPS, METHOD_ADMM};
    struct small_model_shape shape = joint_shape();
    struct small_model small, alone;
    (void)state;

    shape.checkpoint.dtype = DTYPE_BF16;
    shape.checkpoint.intermediate = 300; // two blocks of rows, two tiles of an inverse
    small_model_open(&small, &shape);
    for (size_t k = 0; k < 3; k++) {
        char name[3] = {(char)('a' + k), 'r', '\0'};
        joint_add(&small, name, methods[k])->guard = true;
        name[1] = 'l';
        joint_add(&small, name, methods[k])->group = GROUP_LAYER;
        name[1] = 'p';
        joint_add_pattern(&small, name, methods[k], true);
    }
    small_model_open_alone(&alone, &small);
    for (size_t k = 0; k < small.settings.num_variants; k++) {
        joint_prune(&small, &small.variants[k], 0);
        joint_prune(&alone, &alone.variants[k], 0);
        char *path = small_path(&small, RUN_MASKS, small.variants[k].name, 0);
        char *other = small_path(&alone, RUN_MASKS, small.variants[k].name, 0);
        assert_same_file(path, other);
        free(path);
        free(other);
    }
    small_model_close(&alone);
    small_model_close(&small);
}

// Changes the tensor in its file, [bytes], as all ranks do in the same way: pages of the mapping alone would
// be given back.
static void change(const struct small_model *small, const struct safetensors_tensor *tensor,
                   const void *values, size_t bytes)
{
    const struct safetensors_file *file = small->model->checkpoint->shards[0];
    const int fd = open(file->path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, values, bytes, (off_t)(file->header_bytes + tensor->begin)), bytes);
    close(fd);
    MPI_Barrier(MPI_COMM_WORLD);
}

static const struct safetensors_tensor *tensor_of(const struct small_model *small, const char *linear)
{
    struct layer_map map;
    const struct safetensors_tensor *found = NULL;
    struct error err = {0};

    assert_ok(layer_map_create(&map, small->model, 0, &err), err);
    for (size_t i = 0; i < map.num_tensors; i++)
        if (strcmp(map.tensors[i].linear, linear) == 0)
            found = map.tensors[i].tensor;
    layer_map_free(&map);
    assert_non_null(found);
    return found;
}

// Two channels that are always the same, with weights of 60000 and 59000: who keeps one needs 119000.
static void a_weight_beyond_the_dtype_is_refused(void **state)
{
    struct small_model_shape shape = joint_shape();
    const double large[2] = {60000, 59000};
    struct small_model small;
    struct error err = {0};
    (void)state;

    shape.checkpoint.dtype = DTYPE_F16;
    small_model_open(&small, &shape);
    const size_t hidden = shape.checkpoint.hidden, vocab = shape.checkpoint.vocab;
    uint16_t *embedding = calloc(vocab * hidden, sizeof *embedding), q[2];
    assert_non_null(embedding);
    memcpy(embedding, small.model->embedding->data, vocab * hidden * sizeof *embedding);
    MPI_Barrier(MPI_COMM_WORLD);
    for (size_t t = 0; t < vocab; t++)
        embedding[t * hidden + 1] = embedding[t * hidden];
    change(&small, small.model->embedding, embedding, vocab * hidden * sizeof *embedding);
    free(embedding);
    dtype_from_f64(q, large, DTYPE_F16, 2);
    change(&small, tensor_of(&small, "self_attn.q_proj"), q, sizeof q);
    struct variant *variant = joint_add(&small, "beyond", METHOD_WANDA);
    variant->sparsity = 1 - 1.0 / (double)hidden; // one weight of a row is kept
    assert_int_equal(joint_layer(&small.stage, &small.weights, variant, 0, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "layers.0.self_attn.q_proj: weight [0, ");
    assert_error(err, STATUS_FAILED, "F16 cannot hold: leave the linear dense with prune.skip");
    char *path = small_path(&small, RUN_MASKS, "beyond", 0);
    assert_false(store_exists(path));
    free(path);
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(the_bytes_do_not_depend_on_the_ranks),
        mpi_unit_test(a_weight_beyond_the_dtype_is_refused),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
