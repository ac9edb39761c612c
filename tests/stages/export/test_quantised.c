// A quantised model is pruned and exported as the model that it was made from: a twin in bfloat16, whose
// weights are the codes times the scales by definition, gives the same tensors.
// ranks: 3
#include "io/file/json.h"
#include "io/model/family.h"
#include "io/model/open.h"
#include "io/model/weights/coded.h"
#include "io/model/weights/decode.h"
#include "stages/export/export.h"
#include "tests/support/exported.h"
#include "tests/support/made_tensors.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 3, BLOCK_ROWS = 8, BLOCK_COLUMNS = 16, EXPERTS = 3, FP4_HIDDEN = 32, FP4_INNER = 64 };

// ---- a model and its quantised twin ----------------------------------------------------------------------

static bool is_quantised(const struct safetensors_tensor *tensor)
{
    return strstr(tensor->name, "_proj.weight") != NULL && strstr(tensor->name, "o_proj") == NULL;
}

static double e4m3_value(uint8_t code)
{
    const int exponent = code >> 3 & 15, fraction = code & 7;
    const double value = exponent == 0 ? ldexp(fraction, -9) : ldexp(8 + fraction, exponent - 10);
    return code & 0x80 ? -value : value;
}

// Codes of a matrix, its scales, and the weights in bfloat16 that they stand for.
struct quantised {
    size_t rows, columns, scale_rows, scale_columns;
    uint8_t *codes;
    float *scales;
    uint16_t *weights;
};

static struct quantised quantise(const struct safetensors_tensor *tensor, size_t seed)
{
    struct random_state random = random_seed(seed);
    struct quantised q = {.rows = tensor->shape[0], .columns = tensor->shape[1]};

    q.scale_rows = (q.rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
    q.scale_columns = (q.columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
    q.codes = malloc(q.rows * q.columns);
    q.scales = malloc(q.scale_rows * q.scale_columns * sizeof *q.scales);
    q.weights = malloc(q.rows * q.columns * sizeof *q.weights);
    assert_true(q.codes != NULL && q.scales != NULL && q.weights != NULL);
    for (size_t k = 0; k < q.scale_rows * q.scale_columns; k++)
        q.scales[k] = (float)(1 + random_below(&random, 1000)) * 1e-5F;
    for (size_t i = 0; i < q.rows; i++)
        for (size_t j = 0; j < q.columns; j++) {
            const uint8_t code = (uint8_t)random_below(&random, 256);
            const size_t k = i * q.columns + j;
            q.codes[k] = (code & 0x7f) == 0x7f ? 0x40 : code;
            const float scale = q.scales[i / BLOCK_ROWS * q.scale_columns + j / BLOCK_COLUMNS];
            const float product = (float)(e4m3_value(q.codes[k]) * (double)scale); // rounded once
            dtype_from_f32(&q.weights[k], &product, DTYPE_BF16, 1);
        }
    return q;
}

static void free_quantised(struct quantised *q)
{
    free(q->codes);
    free(q->scales);
    free(q->weights);
}

// ---- experts of four bits --------------------------------------------------------------------------------

static double e2m1_value(unsigned code)
{
    const unsigned exponent = code >> 1 & 3, fraction = code & 1;
    const double value = exponent == 0 ? fraction * 0.5 : ldexp(2 + fraction, (int)exponent - 2);
    return code & 8 ? -value : value;
}

// Adds the weights of all experts of a layer: "<name>_blocks" and, to the shard of scales, "<name>_scales",
// and what they stand for: [experts, in, out] in bfloat16.
static void add_experts(struct made_tensors *coded, struct made_tensors *scales, struct made_tensors *plain,
                        const char *name, size_t out, size_t in)
{
    const uint64_t shape[] = {EXPERTS, out, in / 32, 16}, plain_shape[] = {EXPERTS, in, out};
    const size_t blocks = EXPERTS * out * in / 32;
    struct random_state random = random_seed(blocks);
    uint8_t *codes = malloc(blocks * 16), *exponents = malloc(blocks);
    uint16_t *weights = malloc(blocks * 32 * sizeof *weights);
    char text[256];

    assert_true(codes != NULL && exponents != NULL && weights != NULL);
    // A plain row with many zeros is one of a sparse model, whose zeros stay: here few are.
    for (size_t k = 0; k < blocks * 16; k++) {
        codes[k] = (uint8_t)random_below(&random, 256);
        if (k % 64 > 0)
            codes[k] |= ((codes[k] & 0x07) == 0 ? 0x01 : 0) | ((codes[k] & 0x70) == 0 ? 0x10 : 0);
    }
    for (size_t k = 0; k < blocks; k++)
        exponents[k] = (uint8_t)(118 + random_below(&random, 6));
    for (size_t e = 0; e < EXPERTS; e++)
        for (size_t i = 0; i < out; i++)
            for (size_t j = 0; j < in; j++) {
                const size_t block = (e * out + i) * (in / 32) + j / 32;
                const unsigned code = codes[block * 16 + j % 32 / 2] >> (j % 2 * 4) & 15;
                const float value = (float)ldexp(e2m1_value(code), exponents[block] - 127);
                dtype_from_f32(&weights[(e * in + j) * out + i], &value, DTYPE_BF16, 1);
            }
    snprintf(text, sizeof text, "%.200s_blocks", name);
    made_tensors_add(coded, text, "U8", 4, shape, codes, blocks * 16);
    snprintf(text, sizeof text, "%.200s_scales", name);
    made_tensors_add(scales, text, "U8", 3, shape, exponents, blocks);
    made_tensors_add(plain, name, "BF16", 3, plain_shape, weights, blocks * 64);
    free(codes);
    free(exponents);
    free(weights);
}

// Mixtral, with its experts in these tensors as gpt-oss has them.
struct stacked_family {
    struct family family;
    struct family_member members[32];
};

static void make_family(struct stacked_family *made, const struct family *mixtral)
{
    made->family = *mixtral;
    assert_true(mixtral->num_members <= 32);
    memcpy(made->members, mixtral->members, mixtral->num_members * sizeof *made->members);
    made->family.members = made->members;
    for (size_t i = 0; i < mixtral->num_members; i++) {
        struct family_member *member = &made->members[i];
        const bool is_down = strcmp(member->name, "w2") == 0;
        if (member->part != EXPERT)
            continue;
        member->storage = (struct member_storage){.weight = is_down ? "experts.down" : "experts.gate_up",
                                                  .transposed = true,
                                                  .parts = is_down ? 1 : 2,
                                                  .part = strcmp(member->name, "w3") == 0 ? 1 : 0,
                                                  .interleaved = true};
    }
}

// Writes FOLDER/config.json: the model's with this member more.
static void write_config(const char *folder, const char *model, bool fp4)
{
    char path[PATH_SIZE];
    struct error err = {0};
    json_t *config;

    path_format(path, sizeof path, "%s/config.json", model);
    assert_ok(json_read(&config, path, &err), err);
    if (fp4)
        json_object_set_new(config, "quantization_config", json_pack("{s:s}", "quant_method", "mxfp4"));
    else
        json_object_set_new(config, "quantization_config",
                            json_pack("{s:s, s:[i, i], s:s}", "quant_method", "fp8", "weight_block_size",
                                      BLOCK_ROWS, BLOCK_COLUMNS, "activation_scheme", "dynamic"));
    path_format(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(json_dump_file(config, path, JSON_INDENT(2)), 0);
    json_decref(config);
}

// Writes the model's shards again with the twin's weights, and FOLDER with codes. The scales of a shard's
// weights are in the next shard. fp4: the codes are those of experts. Rank 0.
static void write_twins(const struct checkpoint *checkpoint, const char *folder, bool fp4)
{
    struct made_tensors *coded[SHARDS], *plain[SHARDS];
    json_t *map = json_object(), *index;
    char path[PATH_SIZE], name[256];
    size_t seed = 1;

    assert_int_equal(checkpoint->num_shards, SHARDS);
    for (size_t s = 0; s < SHARDS; s++) {
        coded[s] = made_tensors_create();
        plain[s] = made_tensors_create();
    }
    for (size_t s = 0; s < SHARDS; s++) {
        for (size_t i = 0; i < checkpoint->shards[s]->count; i++) {
            const struct safetensors_tensor *tensor = &checkpoint->shards[s]->tensors[i];
            const size_t bytes = (size_t)(tensor->end - tensor->begin), next = (s + 1) % SHARDS;
            json_object_set_new(map, tensor->name, json_string(checkpoint->shard_names[s]));
            if (fp4 || !is_quantised(tensor)) {
                made_tensors_add(coded[s], tensor->name, "BF16", tensor->rank, tensor->shape, tensor->data,
                                 bytes);
                made_tensors_add(plain[s], tensor->name, "BF16", tensor->rank, tensor->shape, tensor->data,
                                 bytes);
                continue;
            }
            struct quantised q = quantise(tensor, seed++);
            const uint64_t scale_shape[] = {q.scale_rows, q.scale_columns};
            made_tensors_add(plain[s], tensor->name, "BF16", 2, tensor->shape, q.weights, bytes);
            made_tensors_add(coded[s], tensor->name, "F8_E4M3", 2, tensor->shape, q.codes, bytes / 2);
            snprintf(name, sizeof name, "%s_scale_inv", tensor->name);
            made_tensors_add(coded[next], name, "F32", 2, scale_shape, q.scales,
                             q.scale_rows * q.scale_columns * sizeof *q.scales);
            json_object_set_new(map, name, json_string(checkpoint->shard_names[next]));
            free_quantised(&q);
        }
    }
    for (size_t layer = 0; fp4 && layer < 2; layer++) {
        const char *const listed[] = {"gate_up_blocks", "down_blocks", "gate_up_scales", "down_scales"};
        snprintf(name, sizeof name, "model.layers.%zu.experts.gate_up", layer);
        add_experts(coded[layer], coded[layer + 1], plain[layer], name, 2 * FP4_INNER, FP4_HIDDEN);
        snprintf(name, sizeof name, "model.layers.%zu.experts.down", layer);
        add_experts(coded[layer], coded[layer + 1], plain[layer], name, FP4_HIDDEN, FP4_INNER);
        for (size_t k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "model.layers.%zu.experts.%s", layer, listed[k]);
            json_object_set_new(map, name, json_string(checkpoint->shard_names[layer + k / 2]));
        }
    }
    for (size_t s = 0; s < SHARDS; s++) {
        path_format(path, sizeof path, "%s/%s", folder, checkpoint->shard_names[s]);
        made_tensors_write(coded[s], path);
        made_tensors_write(plain[s], checkpoint->shards[s]->path);
    }
    index = json_pack("{s:{s:i, s:i}, s:o}", "metadata", "total_size", 1, "total_parameters", 1, "weight_map",
                      map);
    path_format(path, sizeof path, "%s/model.safetensors.index.json", folder);
    assert_int_equal(json_dump_file(index, path, 0), 0);
    json_decref(index);
    write_config(folder, checkpoint->directory, fp4);
}

// ---- runs ------------------------------------------------------------------------------------------------

static void open_twins(struct small_model *small, bool fp4)
{
    struct small_model_shape shape = small_model_shape();

    if (fp4) {
        shape.checkpoint.hidden = FP4_HIDDEN;
        shape.checkpoint.intermediate = FP4_INNER;
        shape.checkpoint.experts = EXPERTS;
    }

    shape.checkpoint.shards = SHARDS;
    small_model_open(small, &shape);
    if (mpi_rank() == 0) {
        char command[PATH_SIZE];
        path_format(command, sizeof command, "mkdir -p '%s'", in_directory("coded"));
        assert_int_equal(system(command), 0);
        write_twins(small->model->checkpoint, in_directory("coded"), fp4);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

// From here on it is the model in that folder, with a run directory of its own.
static void use_model(struct small_model *small, const char *model, const char *name)
{
    struct error err = {0};
    char run[64], output[64];

    snprintf(run, sizeof run, "run-%s", name);
    snprintf(output, sizeof output, "output-%s", name);
    free(small->settings.model);
    free(small->settings.run);
    free(small->settings.output);
    small->settings.model = strdup(in_directory(model));
    small->settings.run = strdup(in_directory(run));
    small->settings.output = strdup(in_directory(output));
    model_close(small->model);
    assert_ok(model_open(&small->model, small->settings.model, &err), err);
    small->stage.model = small->model;
    layer_weights_free(&small->weights);
    assert_ok(layer_weights_create(&small->weights, &small->stage, &err), err);
    small_model_set_ids(small, small->ids);
}

static json_t *read_exported(const struct checkpoint *checkpoint, const char *file)
{
    char path[PATH_SIZE];
    struct error err = {0};
    json_t *json;

    path_format(path, sizeof path, "%s/%s", checkpoint->directory, file);
    assert_ok(json_read(&json, path, &err), err);
    return json;
}

static void check_index(const struct checkpoint *found)
{
    json_t *index = read_exported(found, "model.safetensors.index.json");
    const json_t *metadata = json_object_get(index, "metadata");
    uint64_t parameters = 0, bytes = 0;

    assert_int_equal(json_object_size(json_object_get(index, "weight_map")), found->num_entries);
    for (size_t s = 0; s < found->num_shards; s++) {
        bytes += found->shards[s]->file_bytes - found->shards[s]->header_bytes;
        for (size_t i = 0; i < found->shards[s]->count; i++)
            parameters += (found->shards[s]->tensors[i].end - found->shards[s]->tensors[i].begin) / 2;
    }
    assert_int_equal(json_integer_value(json_object_get(metadata, "total_size")), bytes);
    assert_int_equal(json_integer_value(json_object_get(metadata, "total_parameters")), parameters);
    json_decref(index);
}

// The same tensors in shards of the same names, and nothing that says that they were quantised.
static void compare_exports(const struct checkpoint *found, const struct checkpoint *expected,
                            const char *method)
{
    assert_int_equal(found->num_entries, expected->num_entries);
    for (size_t s = 0; s < SHARDS; s++) {
        assert_string_equal(found->shard_names[s], expected->shard_names[s]);
        assert_int_equal(found->shards[s]->count, expected->shards[s]->count);
        for (size_t i = 0; i < found->shards[s]->count; i++) {
            const struct safetensors_tensor *a = &found->shards[s]->tensors[i];
            const struct safetensors_tensor *b = checkpoint_find(expected, a->name, NULL);
            assert_non_null(b);
            assert_string_equal(a->dtype_name, b->dtype_name);
            assert_int_equal(a->end - a->begin, b->end - b->begin);
            if (memcmp(a->data, b->data, a->end - a->begin) != 0)
                fail_msg("%s differs", a->name);
        }
    }
    json_t *config = read_exported(found, "config.json"), *other = read_exported(expected, "config.json");
    assert_true(json_equal(config, other));
    json_decref(config);
    json_decref(other);
    json_t *record = read_exported(found, "coppice.json");
    const json_t *dequantised = json_object_get(record, "dequantised");
    assert_string_equal(json_string_value(json_object_get(dequantised, "from")), method);
    assert_string_equal(json_string_value(json_object_get(dequantised, "to")), "BF16");
    json_decref(record);
    check_index(found);
}

static void a_quantised_model_is_exported_like_its_twin(void **state)
{
    struct skip skip[] = {{(char *)"layers.1.mlp.up_proj", 0}, {(char *)"layers.0.self_attn.k_proj", 0}};
    struct small_model small;
    (void)state;

    // Given a model and its quantised twin, and a variant that rescales rows and orders channels
    open_twins(&small, false);
    small.settings.skip = skip;
    small.settings.num_skip = 2;
    struct variant *ordered = small_model_add(&small, "ordered", METHOD_WANDA);
    ordered->is_pattern = ordered->permute = ordered->energy_rows = true;
    ordered->keep = 2;
    ordered->of = 4;

    // When both are pruned and exported
    use_model(&small, "model", "plain");
    export_all(&small);
    use_model(&small, "coded", "coded");
    small.num_notices = 0;
    export_all(&small);

    // Then that is said, and the tensors are the same
    assert_non_null(strstr(small.notice, "the fp8 weights are written as BF16"));
    struct checkpoint *found = open_export("coded"), *expected = open_export("plain");
    compare_exports(found, expected, "fp8");
    checkpoint_close(found);
    checkpoint_close(expected);
    small_model_close(&small);
}

static void quantised_experts_are_exported_like_their_twins(void **state)
{
    struct skip skip[] = {{(char *)"layers.1.block_sparse_moe.experts.1.w3", 0}};
    struct stacked_family family;
    struct small_model small;
    (void)state;

    open_twins(&small, true);
    small.settings.skip = skip;
    small.settings.num_skip = 1;
    struct variant *ordered = small_model_add(&small, "ordered", METHOD_WANDA);
    ordered->is_pattern = ordered->permute = ordered->energy_rows = true;
    ordered->keep = 2;
    ordered->of = 4;
    use_model(&small, "model", "plain");
    make_family(&family, small.model->family);
    small.model->family = &family.family;
    export_all(&small);
    use_model(&small, "coded", "coded");
    small.model->family = &family.family;
    export_all(&small);
    struct checkpoint *found = open_export("coded"), *expected = open_export("plain");
    compare_exports(found, expected, "mxfp4");
    checkpoint_close(found);
    checkpoint_close(expected);
    small_model_close(&small);
}

// ---- in the source's format ------------------------------------------------------------------------------

// The same files but for codes, which stand for the numbers of the twin's export.
static void check_codes(const struct small_model *small, const struct model *found,
                        const struct checkpoint *expected)
{
    const struct checkpoint *source = small->model->checkpoint;
    size_t zeros = 0;

    for (size_t s = 0; s < SHARDS; s++) {
        const struct safetensors_file *from = source->shards[s], *to = found->checkpoint->shards[s];
        assert_int_equal(to->file_bytes, from->file_bytes);
        assert_memory_equal(to->mapping, from->mapping, from->header_bytes);
        for (size_t i = 0; i < from->stored_count; i++)
            if (from->is_left_out[i]) // a scale
                assert_memory_equal(to->stored[i].data, from->stored[i].data,
                                    from->stored[i].end - from->stored[i].begin);
        for (size_t i = 0; i < to->count; i++) {
            const struct safetensors_tensor *tensor = &to->tensors[i];
            const struct safetensors_tensor *twin = checkpoint_find(expected, tensor->name, NULL);
            const size_t n = safetensors_elements(tensor);
            uint16_t *values = malloc(n * sizeof *values);
            assert_non_null(values);
            tensor_elements(values, tensor, 0, n);
            for (size_t k = 0; k < n; k++)
                zeros += tensor->coding != NULL && values[k] == 0;
            if (memcmp(values, twin->data, n * sizeof *values) != 0)
                fail_msg("%s differs", tensor->name);
            free(values);
        }
    }
    assert_true(zeros > 1000);
}

static void check_source_format(bool fp4)
{
    struct skip skip[] = {{(char *)"layers.1.*.w3", 0}, {(char *)"layers.0.self_attn.k_proj", 0}};
    struct stacked_family family;
    struct small_model small;
    struct model *found;
    struct error err = {0};

    open_twins(&small, fp4);
    small.settings.skip = skip;
    small.settings.num_skip = 2;
    small_model_add(&small, "half", METHOD_WANDA);
    use_model(&small, "model", "plain");
    make_family(&family, small.model->family);
    if (fp4)
        small.model->family = &family.family;
    export_all(&small);
    struct checkpoint *expected;
    assert_ok(checkpoint_open(&expected, small.settings.output, &err), err);
    use_model(&small, "coded", "coded");
    if (fp4)
        small.model->family = &family.family;
    checkpoint_keep_codes(small.model->checkpoint);
    export_all(&small);
    assert_null(strstr(small.notice, "written as"));

    assert_ok(model_open(&found, small.settings.output, &err), err);
    check_codes(&small, found, expected);
    json_t *config = read_exported(found->checkpoint, "config.json");
    assert_true(json_is_object(json_object_get(config, "quantization_config")));
    json_decref(config);
    model_close(found);
    checkpoint_close(expected);
    small_model_close(&small);
}

static void codes_of_eight_bits_are_kept_where_the_job_says_so(void **state)
{
    (void)state;
    check_source_format(false);
}

static void codes_of_four_bits_are_kept_where_the_job_says_so(void **state)
{
    (void)state;
    check_source_format(true);
}

static void a_code_that_is_no_number_is_named(void **state)
{
    struct small_model small;
    struct error err = {0};
    (void)state;

    open_twins(&small, false);
    use_model(&small, "coded", "nan");
    const struct safetensors_tensor *tensor =
        checkpoint_find(small.model->checkpoint, "model.layers.0.mlp.up_proj.weight", NULL);
    size_t shard = 0;
    checkpoint_find(small.model->checkpoint, tensor->name, &shard);
    const struct safetensors_file *file = small.model->checkpoint->shards[shard];
    size_t stored = 0;
    while (strcmp(file->stored[stored].name, tensor->name) != 0)
        stored++;
    if (mpi_rank() == 0) {
        FILE *out = fopen(file->path, "r+b");
        assert_non_null(out);
        assert_int_equal(
            fseek(out, (long)(file->header_bytes + file->stored[stored].begin) + 3 * 20 + 7, SEEK_SET), 0);
        assert_int_equal(fputc(0xff, out), 0xff); // row 3, column 7
        assert_int_equal(fclose(out), 0);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    assert_int_equal(layer_weights_load(&small.weights, &small.stage, 0, NULL, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "model.layers.0.mlp.up_proj.weight: weight [3, 7] is NaN"));
    small_model_close(&small);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(a_quantised_model_is_exported_like_its_twin),
        mpi_unit_test(quantised_experts_are_exported_like_their_twins),
        mpi_unit_test(codes_of_eight_bits_are_kept_where_the_job_says_so),
        mpi_unit_test(codes_of_four_bits_are_kept_where_the_job_says_so),
        mpi_unit_test(a_code_that_is_no_number_is_named),
    };
    return mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
