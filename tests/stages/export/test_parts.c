// Experts whose weights lie in one tensor: every layout that published models have, against the same experts
// with a tensor each. Both lie in one checkpoint, so that the same run prunes either.
// ranks: 1 3
#include "io/model/family.h"
#include "io/model/open.h"
#include "io/store/store.h"
#include "stages/export/export.h"
#include "stages/export/read_back.h"
#include "tests/support/exported.h"
#include "tests/support/made_tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXPERTS = 3, HIDDEN = 20, INNER = 36, LAYERS = 2, TENSORS_OF_LAYOUT = 4 };

// ---- the layouts -----------------------------------------------------------------------------------------

enum linear_kind { GATE, UP, DOWN };
static const char *const linear_names[] = {"w1", "w3", "w2"};

// A tensor that holds parts of all experts, by what it is made of.
struct stacked {
    const char *name; // within the layer; NULL: the layout has no more
    bool is_bias;
    size_t rank;
    uint64_t shape[3];
    // The index, in the tensor of one expert, of the element (row, column) of a linear; column 0 of a bias.
    size_t (*index)(enum linear_kind linear, size_t row, size_t column);
};

// [2 inner, hidden], gate first; [hidden, inner]
static size_t blocks(enum linear_kind linear, size_t row, size_t column)
{
    if (linear == DOWN)
        return row * INNER + column;
    return (linear == UP ? INNER + row : row) * HIDDEN + column;
}

// [hidden, 2 inner], gate first; [inner, hidden]
static size_t transposed(enum linear_kind linear, size_t row, size_t column)
{
    if (linear == DOWN)
        return column * HIDDEN + row;
    return column * 2 * INNER + (linear == UP ? INNER + row : row);
}

// [hidden, 2 inner], gate and up in turn; [inner, hidden]
static size_t interleaved(enum linear_kind linear, size_t row, size_t column)
{
    if (linear == DOWN)
        return column * HIDDEN + row;
    return column * 2 * INNER + 2 * row + (linear == UP ? 1 : 0);
}

// [2 inner], gate and up in turn; [hidden]
static size_t interleaved_bias(enum linear_kind linear, size_t row, size_t column)
{
    (void)column;
    return linear == DOWN ? row : 2 * row + (linear == UP ? 1 : 0);
}

struct layout {
    const char *name;
    struct stacked tensors[TENSORS_OF_LAYOUT]; // those of gate and up, and of down, by turns
    struct member_storage gate, up, down;
    bool biases;
};

static const struct layout layouts[] = {
    {"blocks",
     {{"moe.input_linear.weight", false, 3, {EXPERTS, 2 * INNER, HIDDEN}, blocks},
      {"moe.output_linear.weight", false, 3, {EXPERTS, HIDDEN, INNER}, blocks}},
     {.weight = "moe.input_linear.weight", .parts = 2},
     {.weight = "moe.input_linear.weight", .parts = 2, .part = 1},
     {.weight = "moe.output_linear.weight"},
     false},
    {"transposed",
     {{"mlp.experts.gate_up_proj", false, 3, {EXPERTS, HIDDEN, 2 * INNER}, transposed},
      {"mlp.experts.down_proj", false, 3, {EXPERTS, INNER, HIDDEN}, transposed}},
     {.weight = "mlp.experts.gate_up_proj", .transposed = true, .parts = 2},
     {.weight = "mlp.experts.gate_up_proj", .transposed = true, .parts = 2, .part = 1},
     {.weight = "mlp.experts.down_proj", .transposed = true},
     false},
    {"interleaved",
     {{"oss.gate_up_proj", false, 3, {EXPERTS, HIDDEN, 2 * INNER}, interleaved},
      {"oss.down_proj", false, 3, {EXPERTS, INNER, HIDDEN}, interleaved},
      {"oss.gate_up_proj_bias", true, 2, {EXPERTS, 2 * INNER}, interleaved_bias},
      {"oss.down_proj_bias", true, 2, {EXPERTS, HIDDEN}, interleaved_bias}},
     {.weight = "oss.gate_up_proj",
      .bias = "oss.gate_up_proj_bias",
      .transposed = true,
      .parts = 2,
      .interleaved = true},
     {.weight = "oss.gate_up_proj",
      .bias = "oss.gate_up_proj_bias",
      .transposed = true,
      .parts = 2,
      .part = 1,
      .interleaved = true},
     {.weight = "oss.down_proj", .bias = "oss.down_proj_bias", .transposed = true},
     true},
};
enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

static const struct stacked *stacked_of(const struct layout *layout, enum linear_kind linear, bool bias)
{
    return &layout->tensors[(bias ? 2 : 0) + (linear == DOWN ? 1 : 0)];
}

static size_t elements_of(const struct stacked *stacked)
{
    return stacked->shape[0] * stacked->shape[1] * (stacked->rank > 2 ? stacked->shape[2] : 1);
}

static size_t rows_of(enum linear_kind linear)
{
    return linear == DOWN ? HIDDEN : INNER;
}

static size_t columns_of(enum linear_kind linear)
{
    return linear == DOWN ? INNER : HIDDEN;
}

// The element of an expert's linear in the bytes of a stacked tensor.
static char *element_at(const struct stacked *stacked, const void *data, size_t expert,
                        enum linear_kind linear, size_t row, size_t column, size_t size)
{
    const size_t index = expert * (elements_of(stacked) / EXPERTS) + stacked->index(linear, row, column);
    return (char *)data + index * size;
}

// ---- the checkpoint --------------------------------------------------------------------------------------

static void name_of(char name[128], size_t layer, const char *member)
{
    snprintf(name, 128, "model.layers.%zu.%s", layer, member);
}

static const struct safetensors_tensor *expert_weight(const struct checkpoint *checkpoint, size_t layer,
                                                      size_t expert, enum linear_kind linear)
{
    char member[64], name[128];
    snprintf(member, sizeof member, "block_sparse_moe.experts.%zu.%s.weight", expert, linear_names[linear]);
    name_of(name, layer, member);
    const struct safetensors_tensor *tensor = checkpoint_find(checkpoint, name, NULL);
    assert_non_null(tensor);
    return tensor;
}

static float bias_value(size_t expert, enum linear_kind linear, size_t row)
{
    return (float)(expert * 8 + linear * 2 + row % 2) / 64;
}

// bytes <- the tensor of a layer, element by element.
static void make_stacked(char *bytes, const struct stacked *stacked, bool is_down, size_t layer,
                         const struct checkpoint *checkpoint, enum dtype dtype, bool zero_biases)
{
    const size_t size = dtype_size(dtype);

    for (size_t e = 0; e < EXPERTS; e++) {
        for (enum linear_kind linear = is_down ? DOWN : GATE; linear <= (is_down ? DOWN : UP); linear++) {
            const char *weight = expert_weight(checkpoint, layer, e, linear)->data;
            const size_t columns = stacked->is_bias ? 1 : columns_of(linear);
            for (size_t i = 0; i < rows_of(linear); i++) {
                for (size_t j = 0; j < columns; j++) {
                    char *to = element_at(stacked, bytes, e, linear, i, j, size);
                    const float bias = zero_biases ? 0 : bias_value(e, linear, i);
                    if (stacked->is_bias)
                        dtype_from_f32(to, &bias, dtype, 1);
                    else
                        memcpy(to, weight + (i * columns + j) * size, size);
                }
            }
        }
    }
}

// Rank 0: the model's file again, with the stacked tensors of all layouts behind the others.
static void add_stacked(const struct checkpoint *checkpoint, enum dtype dtype, bool zero_biases)
{
    const struct safetensors_file *file = checkpoint->shards[0];
    struct made_tensors *made = made_tensors_create();
    char name[128];

    assert_int_equal(checkpoint->num_shards, 1);
    for (size_t i = 0; i < file->count; i++) {
        const struct safetensors_tensor *tensor = &file->tensors[i];
        made_tensors_add(made, tensor->name, tensor->dtype_name, tensor->rank, tensor->shape, tensor->data,
                         tensor->end - tensor->begin);
    }
    for (size_t layer = 0; layer < LAYERS; layer++) {
        for (size_t t = 0; t < LAYOUTS * TENSORS_OF_LAYOUT; t++) {
            const struct stacked *stacked = &layouts[t / TENSORS_OF_LAYOUT].tensors[t % TENSORS_OF_LAYOUT];
            if (stacked->name == NULL)
                continue;
            const size_t size = elements_of(stacked) * dtype_size(dtype);
            char *bytes = malloc(size);
            assert_non_null(bytes);
            make_stacked(bytes, stacked, t % 2 == 1, layer, checkpoint, dtype, zero_biases);
            name_of(name, layer, stacked->name);
            made_tensors_add(made, name, dtype_name(dtype), stacked->rank, stacked->shape, bytes, size);
            free(bytes);
        }
    }
    made_tensors_write(made, file->path);
}

// ---- families --------------------------------------------------------------------------------------------

enum { MOST_MEMBERS = 32 };
struct stacked_family {
    struct family family;
    struct family_member members[MOST_MEMBERS];
};

// Mixtral, with its experts where the layout has them.
static void make_family(struct stacked_family *made, const struct family *mixtral,
                        const struct layout *layout)
{
    made->family = *mixtral;
    assert_true(mixtral->num_members <= MOST_MEMBERS);
    memcpy(made->members, mixtral->members, mixtral->num_members * sizeof *made->members);
    made->family.members = made->members;
    for (size_t i = 0; i < mixtral->num_members; i++) {
        struct family_member *member = &made->members[i];
        if (member->part != EXPERT)
            continue;
        member->storage = strcmp(member->name, "w1") == 0   ? layout->gate
                          : strcmp(member->name, "w3") == 0 ? layout->up
                                                            : layout->down;
        member->bias = layout->biases ? ALWAYS : NEVER;
    }
}

static void open_model(struct small_model *small, enum dtype dtype, bool zero_biases)
{
    struct small_model_shape shape = small_model_shape();
    struct error err = {0};

    shape.checkpoint.dtype = dtype;
    shape.checkpoint.experts = EXPERTS;
    small_model_open(small, &shape);
    if (mpi_rank() == 0)
        add_stacked(small->model->checkpoint, dtype, zero_biases);
    MPI_Barrier(MPI_COMM_WORLD);
    model_close(small->model);
    assert_ok(model_open(&small->model, small->settings.model, &err), err);
    small->stage.model = small->model;
}

// From here on the model has this family, in a run directory of its own.
static void use_family(struct small_model *small, const struct family *family, const char *name)
{
    struct error err = {0};
    char run[64], output[64];

    snprintf(run, sizeof run, "run-%s", name);
    snprintf(output, sizeof output, "output-%s", name);
    free(small->settings.run);
    free(small->settings.output);
    small->settings.run = strdup(in_directory(run));
    small->settings.output = strdup(in_directory(output));
    small->model->family = family;
    layer_weights_free(&small->weights);
    assert_ok(layer_weights_create(&small->weights, &small->stage, &err), err);
    small_model_set_ids(small, small->ids);
}

// ---- loading ---------------------------------------------------------------------------------------------

static const struct layer_tensor *entry_of(const struct layer_map *map, size_t expert,
                                           enum linear_kind linear)
{
    char name[64];
    snprintf(name, sizeof name, "block_sparse_moe.experts.%zu.%s", expert, linear_names[linear]);
    for (size_t i = 0; i < map->num_tensors; i++)
        if (strcmp(map->tensors[i].linear, name) == 0)
            return &map->tensors[i];
    fail_msg("no linear %s", name);
    return NULL;
}

static void check_loaded(const struct small_model *small, size_t layer, bool biases)
{
    const struct checkpoint *checkpoint = small->model->checkpoint;

    for (size_t e = 0; e < EXPERTS; e++) {
        for (enum linear_kind linear = GATE; linear <= DOWN; linear++) {
            const struct safetensors_tensor *dense = expert_weight(checkpoint, layer, e, linear);
            const struct layer_tensor *entry = entry_of(&small->weights.map, e, linear);
            const struct layer_tensor *bias = layer_map_bias(entry);
            float expected[HIDDEN * INNER];
            dtype_to_f32(expected, dense->data, dense->dtype, HIDDEN * INNER);
            assert_memory_equal(layer_weights_of(&small->weights, entry), expected, sizeof expected);
            assert_true((bias != NULL) == biases);
            for (size_t i = 0; biases && i < rows_of(linear); i++)
                assert_true(layer_weights_of(&small->weights, bias)[i] == bias_value(e, linear, i));
        }
    }
}

static void a_layer_is_the_same_wherever_its_experts_lie(void **state)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16};
    struct error err = {0};
    (void)state;

    for (size_t d = 0; d < 2; d++) {
        struct small_model small;
        open_model(&small, dtypes[d], false);
        const struct family *mixtral = small.model->family;
        for (size_t l = 0; l < LAYOUTS; l++) {
            struct stacked_family family;
            make_family(&family, mixtral, &layouts[l]);
            use_family(&small, &family.family, layouts[l].name);
            for (size_t layer = 0; layer < LAYERS; layer++) {
                assert_ok(layer_weights_load(&small.weights, &small.stage, layer, NULL, &err), err);
                check_loaded(&small, layer, layouts[l].biases);
                const struct decoder_layer *bound = &small.weights.layer;
                assert_true((bound->expert_gate.bias != NULL) == layouts[l].biases);
                const struct layer_tensor *first = entry_of(&small.weights.map, 0, UP),
                                          *second = entry_of(&small.weights.map, 1, UP);
                assert_int_equal(bound->expert_stride, second->offset - first->offset);
            }
        }
        small_model_close(&small);
    }
}

// Quantised checkpoints of such families have the experts one by one.
static void experts_may_have_tensors_of_their_own_all_the_same(void **state)
{
    struct stacked_family family;
    struct small_model small;
    struct error err = {0};
    (void)state;

    open_model(&small, DTYPE_BF16, true);
    make_family(&family, small.model->family, &layouts[0]);
    for (size_t i = 0; i < family.family.num_members; i++)
        if (family.members[i].storage.weight != NULL)
            family.members[i].storage.weight = "not.there";
    use_family(&small, &family.family, "separate");
    assert_ok(layer_weights_load(&small.weights, &small.stage, 1, NULL, &err), err);
    check_loaded(&small, 1, false);
    assert_false(entry_of(&small.weights.map, 1, UP)->is_part);
    small_model_close(&small);
}

// ---- pruning and export ----------------------------------------------------------------------------------

static void add_variant(struct small_model *small, bool ordered)
{
    struct variant *variant = small_model_add(small, "half", METHOD_WANDA);
    variant->energy_rows = true;
    if (!ordered)
        return;
    small_set_pattern(variant, 2, 4);
    variant->permute = true;
}

// The stacked tensors of one export have what the experts' own tensors have in the other.
static void compare_exports(const struct checkpoint *stacked, const struct checkpoint *separate,
                            const struct checkpoint *source, const struct layout *layout)
{
    char name[128];

    for (size_t layer = 0; layer < LAYERS; layer++) {
        for (enum linear_kind linear = GATE; linear <= DOWN; linear++) {
            const struct stacked *part = stacked_of(layout, linear, false);
            name_of(name, layer, part->name);
            const struct safetensors_tensor *found = checkpoint_find(stacked, name, NULL);
            const size_t size = dtype_size(found->dtype);
            size_t changed = 0;
            for (size_t e = 0; e < EXPERTS; e++) {
                const char *expected = expert_weight(separate, layer, e, linear)->data;
                const char *dense = expert_weight(source, layer, e, linear)->data;
                for (size_t i = 0; i < rows_of(linear); i++) {
                    for (size_t j = 0; j < columns_of(linear); j++) {
                        const size_t k = (i * columns_of(linear) + j) * size;
                        assert_memory_equal(element_at(part, found->data, e, linear, i, j, size),
                                            expected + k, size);
                        changed += memcmp(expected + k, dense + k, size) != 0;
                    }
                }
            }
            assert_true(changed >= HIDDEN * INNER); // of three experts half or more
        }
    }
    // What the family does not name is carried over.
    for (size_t i = 0; i < source->shards[0]->count; i++) {
        const struct safetensors_tensor *from = &source->shards[0]->tensors[i];
        const struct safetensors_tensor *to = checkpoint_find(stacked, from->name, NULL);
        if (strstr(from->name, "experts.") != NULL && strstr(from->name, "proj") == NULL)
            assert_memory_equal(to->data, from->data, from->end - from->begin);
    }
}

static void an_export_is_the_same_wherever_its_experts_lie(void **state)
{
    static const struct {
        enum dtype dtype;
        size_t first; // of the layouts; where rows are apart is enough in F32, with channels in another order
    } cases[] = {{DTYPE_BF16, 0}, {DTYPE_F32, LAYOUTS - 1}};
    struct skip skip[] = {{(char *)"layers.1.block_sparse_moe.experts.1.w3", 0}};
    (void)state;
    mpi_test_limit(60);

    for (size_t d = 0; d < 2; d++) {
        struct small_model small;
        open_model(&small, cases[d].dtype, true);
        small.settings.skip = skip;
        small.settings.num_skip = 1;
        add_variant(&small, d == 1);
        const struct family *mixtral = small.model->family;
        char separate[32], name[64];
        snprintf(separate, sizeof separate, "separate-%zu", d);
        use_family(&small, mixtral, separate);
        export_all(&small);
        for (size_t l = cases[d].first; l < LAYOUTS; l++) {
            struct stacked_family family;
            snprintf(name, sizeof name, "%s-%zu", layouts[l].name, d);
            make_family(&family, mixtral, &layouts[l]);
            use_family(&small, &family.family, name);
            export_all(&small);
            struct checkpoint *found = open_export(name), *expected = open_export(separate);
            compare_exports(found, expected, small.model->checkpoint, &layouts[l]);
            checkpoint_close(found);
            checkpoint_close(expected);
        }
        small_model_close(&small);
    }
}

// The exported shard is what it must be, and no longer when a number of layer 1's tensor is another, the
// first after this byte that is not zero.
static void assert_reads_back(const struct small_model *small, const struct variant *variant,
                              const char *member, size_t byte)
{
    const struct safetensors_file *shard = small->model->checkpoint->shards[0];
    struct error err = {0};
    char path[PATH_SIZE], name[128];
    bool differs;

    name_of(name, 1, member);
    const struct safetensors_tensor *tensor = checkpoint_find(small->model->checkpoint, name, NULL);
    path_format(path, sizeof path, "%s/%s", small->settings.output, small->model->checkpoint->shard_names[0]);
    struct safetensors_file *exported;
    assert_ok(safetensors_open(&exported, path, &err), err);
    const char *data = (const char *)exported->mapping + exported->header_bytes + tensor->begin;
    while (data[byte] == 0)
        byte++;
    safetensors_close(exported);
    const long at = (long)(shard->exported.header_bytes + tensor->begin + byte);
    assert_ok(export_read_back(&small->stage, variant, 0, path, &differs, &err), err);
    assert_false(differs);
    for (int turn = 0; turn < 2; turn++) { // there and back
        MPI_Barrier(MPI_COMM_WORLD);
        if (mpi_rank() == 0) {
            FILE *file = fopen(path, "r+b");
            assert_non_null(file);
            assert_int_equal(fseek(file, at, SEEK_SET), 0);
            const int was = fgetc(file);
            assert_int_equal(fseek(file, at, SEEK_SET), 0);
            fputc(was ^ 1, file);
            assert_int_equal(fclose(file), 0);
        }
        MPI_Barrier(MPI_COMM_WORLD);
        const enum status status = export_read_back(&small->stage, variant, 0, path, &differs, &err);
        assert_int_equal(status, turn == 0 ? STATUS_FAILED : STATUS_OK);
        assert_true(differs == (turn == 0));
        // A shard that differs is removed by export_variant, not here.
        if (turn == 0)
            assert_true(strstr(err.message, name) != NULL && strstr(err.message, "not the pruned ones"));
    }
}

// ---- biases ----------------------------------------------------------------------------------------------

static void biases_of_experts_are_exported_in_their_places(void **state)
{
    const struct layout *layout = &layouts[LAYOUTS - 1];
    struct skip skip[] = {{(char *)"layers.0.block_sparse_moe.experts.2.w2", 0}};
    struct stacked_family family;
    struct small_model small;
    size_t changed = 0;
    (void)state;

    // Given experts with biases, and a variant that sets them
    open_model(&small, DTYPE_BF16, false);
    struct variant *variant = small_model_add(&small, "shifted", METHOD_MAGNITUDE);
    variant->bias = true;
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    make_family(&family, small.model->family, layout);
    use_family(&small, &family.family, "shifted");
    export_all(&small);

    // Then it reads back as it was written, unless a byte of expert 2's up is another
    assert_reads_back(&small, variant, "oss.gate_up_proj", 2 * (HIDDEN * 2 * INNER * 2 + 1));

    // and every bias of the export is the store's, or the source's where the linear is not pruned
    struct checkpoint *found;
    struct error err = {0};
    assert_ok(checkpoint_open(&found, small.settings.output, &err), err);
    for (size_t layer = 0; layer < LAYERS; layer++) {
        char *path = small_path(&small, RUN_WEIGHTS, "shifted", layer), name[160];
        struct store_reader *reader;
        assert_ok(store_open(&reader, path, MPI_COMM_SELF, &err), err);
        for (size_t e = 0; e < EXPERTS; e++) {
            for (enum linear_kind linear = GATE; linear <= DOWN; linear++) {
                const struct stacked *part = stacked_of(layout, linear, true);
                uint16_t values[INNER];
                bool is_set;
                for (size_t i = 0; i < rows_of(linear); i++) {
                    const float dense = bias_value(e, linear, i);
                    dtype_from_f32(&values[i], &dense, DTYPE_BF16, 1);
                }
                snprintf(name, sizeof name, "/block_sparse_moe.experts.%zu.%s/bias", e, linear_names[linear]);
                assert_ok(store_find(reader, name, &is_set, &err), err);
                if (is_set)
                    assert_ok(store_read(reader, name, STORE_U16, 0, rows_of(linear), values, &err), err);
                name_of(name, layer, part->name);
                const struct safetensors_tensor *tensor = checkpoint_find(found, name, NULL);
                for (size_t i = 0; i < rows_of(linear); i++) {
                    const float dense = bias_value(e, linear, i);
                    uint16_t before;
                    dtype_from_f32(&before, &dense, DTYPE_BF16, 1);
                    assert_memory_equal(element_at(part, tensor->data, e, linear, i, 0, 2), &values[i], 2);
                    changed += before != values[i];
                }
            }
        }
        store_close(reader);
        free(path);
    }
    assert_true(changed > 0);
    checkpoint_close(found);
    small_model_close(&small);
}

// ---- what is refused -------------------------------------------------------------------------------------

static void a_stacked_tensor_of_another_shape_or_with_nan_is_named(void **state)
{
    struct stacked_family family;
    struct small_model small;
    struct layer_map map;
    struct error err = {0};
    (void)state;

    open_model(&small, DTYPE_F32, true);
    const struct family *mixtral = small.model->family;

    // Given a family that takes the transposed tensor for one that is not
    make_family(&family, mixtral, &layouts[1]);
    for (size_t i = 0; i < family.family.num_members; i++)
        family.members[i].storage.transposed = false;
    small.model->family = &family.family;
    // Then the tensor and the shape that it must have are named
    assert_int_equal(layer_map_create(&map, small.model, 0, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "model.layers.0.mlp.experts.gate_up_proj"));
    assert_non_null(strstr(err.message, "[3, 72, 20]"));

    // Given a NaN in expert 1's up, row 4, column 7
    make_family(&family, mixtral, &layouts[2]);
    use_family(&small, &family.family, "nan");
    assert_ok(layer_map_create(&map, small.model, 0, &err), err);
    const struct layer_tensor *up = entry_of(&map, 1, UP);
    const struct stacked *part = stacked_of(&layouts[2], UP, false);
    const long at = (long)(small.model->checkpoint->shards[0]->header_bytes + up->tensor->begin) +
                    (long)(element_at(part, NULL, 1, UP, 4, 7, 4) - (char *)NULL);
    layer_map_free(&map);
    if (mpi_rank() == 0) {
        const float nan = __builtin_nanf("");
        FILE *file = fopen(small.model->checkpoint->shards[0]->path, "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_int_equal(fwrite(&nan, sizeof nan, 1, file), 1);
        assert_int_equal(fclose(file), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    // Then its place in the tensor [experts, hidden, 2 inner] is named
    assert_int_equal(layer_weights_load(&small.weights, &small.stage, 0, NULL, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "oss.gate_up_proj: weight [1, 7, 9] is NaN"));
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(a_layer_is_the_same_wherever_its_experts_lie),
        mpi_unit_test(experts_may_have_tensors_of_their_own_all_the_same),
        mpi_unit_test(an_export_is_the_same_wherever_its_experts_lie),
        mpi_unit_test(biases_of_experts_are_exported_in_their_places),
        mpi_unit_test(a_stacked_tensor_of_another_shape_or_with_nan_is_named),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
