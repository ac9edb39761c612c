// Quantised checkpoints: those of tests/golden/quantised, whose tensors transformers dequantised
// (tests/golden/make_quantised_golden.py), and hand-made ones for what does not fit.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/file/json.h"
#include "io/model/open.h"
#include "io/model/tensor_rows.h"
#include "io/model/weights/coded.h"
#include "io/model/weights/decode.h"
#include "tests/support/golden.h"
#include "tests/support/made_tensors.h"
#include "tests/support/source_path.h"
#include "tests/support/temporary_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = temporary_folder_create();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    temporary_folder_remove(folder);
    return 0;
}

// ---- against transformers --------------------------------------------------------------------------------

static json_t *read_golden(const char *name, const char *file)
{
    char relative[128];
    snprintf(relative, sizeof relative, "tests/golden/quantised/%s/%s", name, file);
    char *path = source_path(relative);
    json_t *json = json_load_file(path, 0, NULL);
    if (json == NULL)
        fail_msg("%s", path);
    free(path);
    return json;
}

static enum status read_quantisation(struct quantisation *q, const json_t *config, struct error *err)
{
    const struct config_reader reader = {.object = config, .path = "config.json", .prefix = ""};
    return quantisation_read(q, &reader, &reader, err);
}

static struct checkpoint *open_golden(const char *name, struct quantisation *q)
{
    json_t *config = read_golden(name, "config.json");
    struct checkpoint *checkpoint;
    struct error err = {0};
    char relative[128];

    assert_ok(read_quantisation(q, config, &err), err);
    json_decref(config);
    snprintf(relative, sizeof relative, "tests/golden/quantised/%s", name);
    char *path = source_path(relative);
    assert_ok(checkpoint_open(&checkpoint, path, &err), err);
    free(path);
    assert_ok(checkpoint_decode(checkpoint, q, &err), err);
    return checkpoint;
}

static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static uint64_t elements_of(const struct safetensors_tensor *tensor)
{
    return (tensor->end - tensor->begin) / dtype_size(tensor->dtype);
}

// All tensors are there, with the bytes that transformers has; returns how many were codes.
static size_t compare_golden(const struct checkpoint *checkpoint, const char *name)
{
    json_t *expected = read_golden(name, "expected.json"), *entry;
    const char *key;
    size_t coded = 0;

    assert_int_equal(checkpoint->shards[0]->count, json_object_size(expected));
    json_object_foreach(expected, key, entry)
    {
        const struct safetensors_tensor *tensor = checkpoint_find(checkpoint, key, NULL);
        if (tensor == NULL)
            fail_msg("%s: no %s", name, key);
        assert_string_equal(tensor->dtype_name, "BF16");
        assert_string_equal(json_string_value(json_object_get(entry, "dtype")), "bfloat16");
        const uint64_t n = elements_of(tensor);
        uint8_t *bytes = malloc(2 * n);
        assert_non_null(bytes);
        tensor_elements(bytes, tensor, 0, n);
        if (crc32_of(bytes, 2 * n) != (uint32_t)json_integer_value(json_object_get(entry, "crc32")))
            fail_msg("%s: %s differs", name, key);
        // The same in pieces that begin anywhere.
        uint8_t *pieces = malloc(2 * n);
        assert_non_null(pieces);
        for (uint64_t done = 0; done < n; done += 1003)
            tensor_elements(pieces + 2 * done, tensor, done, n - done < 1003 ? n - done : 1003);
        assert_memory_equal(pieces, bytes, 2 * n);
        coded += tensor->coding != NULL;
        free(pieces);
        free(bytes);
    }
    json_decref(expected);
    return coded;
}

static void quantised_checkpoints_are_dequantised_as_transformers_does(void **state)
{
    static const struct {
        const char *name;
        enum quantisation_kind kind;
        size_t coded;
    } cases[] = {{"fp8-block", QUANTISATION_FP8, 6},
                 {"fp8-e8m0", QUANTISATION_FP8, 6},
                 {"fp8-outer", QUANTISATION_FP8, 8},
                 {"fp8-tensor", QUANTISATION_FP8, 6},
                 {"compressed-channel", QUANTISATION_COMPRESSED_FP8, 6},
                 {"compressed-tensor", QUANTISATION_COMPRESSED_FP8, 6},
                 {"compressed-block", QUANTISATION_COMPRESSED_FP8, 6},
                 {"mxfp4", QUANTISATION_MXFP4, 2}};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct quantisation q;
        struct checkpoint *checkpoint = open_golden(cases[i].name, &q);
        assert_int_equal(q.kind, cases[i].kind);
        assert_true(checkpoint_is_coded(checkpoint));
        assert_int_equal(compare_golden(checkpoint, cases[i].name), cases[i].coded);
        checkpoint_close(checkpoint);
    }
}

// The whole model, as transformers computes it from the weights that it dequantised.
static void logits_are_those_of_the_dequantised_model(void **state)
{
    static const char *const names[] = {
        "fp8-block",          "fp8-e8m0",          "fp8-outer",        "fp8-tensor",
        "compressed-channel", "compressed-tensor", "compressed-block", "mxfp4"};
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct golden_result result;
        char relative[128];
        snprintf(relative, sizeof relative, "tests/golden/quantised/%s", names[i]);
        char *folder_path = source_path(relative);
        snprintf(relative, sizeof relative, "tests/golden/quantised/%s/golden.json", names[i]);
        char *golden = source_path(relative);
        golden_compare(&result, folder_path, golden);
        print_message("%-20s relative logit error %.2g\n", names[i], result.logit_error);
        assert_true(result.logit_error < 1e-4);
        free(golden);
        free(folder_path);
    }
}

// The layout that is exported is a valid file: written out it opens, and its tensors are where it says.
static void what_is_exported_is_laid_out_without_scales(void **state)
{
    struct quantisation q;
    struct checkpoint *checkpoint = open_golden("mxfp4", &q);
    const struct safetensors_file *file = checkpoint->shards[0];
    struct safetensors_file *written;
    struct error err = {0};
    char path[256];
    (void)state;

    uint8_t *data = malloc(file->exported.data_bytes);
    assert_non_null(data);
    for (size_t i = 0; i < file->count; i++)
        tensor_elements(data + file->tensors[i].begin, &file->tensors[i], 0, elements_of(&file->tensors[i]));
    snprintf(path, sizeof path, "%s/written.safetensors", folder);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fwrite(file->exported.header, 1, file->exported.header_bytes, out);
    fwrite(data, 1, file->exported.data_bytes, out);
    assert_int_equal(fclose(out), 0);
    assert_ok(safetensors_open(&written, path, &err), err);
    assert_int_equal(written->count, file->count);
    assert_int_equal(written->count, file->stored_count - 2);
    for (size_t i = 0; i < written->count; i++) {
        assert_string_equal(written->tensors[i].name, file->tensors[i].name);
        assert_int_equal(written->tensors[i].begin, file->tensors[i].begin);
        assert_int_equal(written->tensors[i].rank, file->tensors[i].rank);
        assert_memory_equal(written->tensors[i].shape, file->tensors[i].shape,
                            file->tensors[i].rank * sizeof(uint64_t));
        assert_null(strstr(written->tensors[i].name, "_blocks"));
        assert_null(strstr(written->tensors[i].name, "_scales"));
    }
    assert_string_equal(written->metadata, file->metadata);
    safetensors_close(written);
    free(data);
    checkpoint_close(checkpoint);
}

// Rows that lie apart in the dequantised tensor are those that its elements say.
static void parts_of_quantised_experts_are_read_in_place(void **state)
{
    struct quantisation q;
    struct checkpoint *checkpoint = open_golden("mxfp4", &q);
    const struct safetensors_tensor *tensor =
        checkpoint_find(checkpoint, "model.layers.0.mlp.experts.gate_up_proj", NULL);
    enum { IN = 64, OUT = 32 }; // hidden and inner size
    float expected[2 * IN * 2 * OUT], rows[5 * IN];
    uint16_t bytes[2 * IN * 2 * OUT], read[5 * IN];
    (void)state;

    tensor_elements(bytes, tensor, 0, 2 * IN * 2 * OUT);
    dtype_to_f32(expected, bytes, DTYPE_BF16, 2 * IN * 2 * OUT);
    // up of expert 1: [hidden, 2 inner], gate and up in turn
    const struct layer_tensor up = {.tensor = tensor,
                                    .is_part = true,
                                    .view = {.start = IN * 2 * OUT + 1, .row = 2, .column = 2 * OUT},
                                    .out = OUT,
                                    .in = IN};
    tensor_rows_f32(rows, &up, 7, 5);
    tensor_rows_read(read, &up, 7, 5);
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < IN; j++) {
            const size_t k = IN * 2 * OUT + j * 2 * OUT + 2 * (7 + i) + 1;
            assert_true(rows[i * IN + j] == expected[k]);
            assert_int_equal(read[i * IN + j], bytes[k]);
        }
    checkpoint_close(checkpoint);
}

// ---- hand-made files -------------------------------------------------------------------------------------

struct made {
    const char *name, *dtype;
    size_t rank;
    uint64_t shape[4];
    size_t bytes;
    const void *data; // NULL: zeros
};

static void write_made(const struct made *tensors, size_t count)
{
    struct made_tensors *made = made_tensors_create();

    for (size_t i = 0; i < count; i++)
        made_tensors_add(made, tensors[i].name, tensors[i].dtype, tensors[i].rank, tensors[i].shape,
                         tensors[i].data, tensors[i].bytes);
    made_tensors_write(made, path_in(folder, "model.safetensors"));
}

static enum status decode_made(struct checkpoint **checkpoint, const char *config, const struct made *tensors,
                               size_t count, struct error *err)
{
    json_t *json = json_loads(config, 0, NULL);
    struct quantisation q;

    assert_non_null(json);
    *checkpoint = NULL;
    write_made(tensors, count);
    enum status status = read_quantisation(&q, json, err);
    json_decref(json);
    assert_int_equal(status, STATUS_OK);
    assert_ok(checkpoint_open(checkpoint, folder, err), *err);
    return checkpoint_decode(*checkpoint, &q, err);
}

static const char *const fp8_config =
    "{\"quantization_config\": {\"quant_method\": \"fp8\", \"weight_block_size\": [4, 8]}}";

// The last block of a row and of a column is smaller: 10 x 20 codes in blocks of 4 x 8, by definition.
static void blocks_at_the_edges_are_smaller(void **state)
{
    enum { ROWS = 10, COLUMNS = 20 };
    uint8_t codes[2 * ROWS * COLUMNS];
    float scales[2 * 3 * 3];
    struct checkpoint *checkpoint;
    struct error err = {0};
    uint16_t found[2 * ROWS * COLUMNS];
    (void)state;

    for (size_t k = 0; k < sizeof codes; k++)
        codes[k] = (uint8_t)(0x30 + k % 16); // 0.5 to 1.875
    for (size_t k = 0; k < 18; k++)
        scales[k] = (float)(k + 1);
    // Two matrices, as of stacked experts.
    const struct made tensors[] = {{"x.weight", "F8_E4M3", 3, {2, ROWS, COLUMNS}, sizeof codes, codes},
                                   {"x.weight_scale_inv", "F32", 3, {2, 3, 3}, sizeof scales, scales}};
    assert_ok(decode_made(&checkpoint, fp8_config, tensors, 2, &err), err);
    const struct safetensors_tensor *tensor = checkpoint_find(checkpoint, "x.weight", NULL);
    assert_null(checkpoint_find(checkpoint, "x.weight_scale_inv", NULL));
    tensor_elements(found, tensor, 0, 2 * ROWS * COLUMNS);
    for (size_t e = 0; e < 2; e++)
        for (size_t i = 0; i < ROWS; i++)
            for (size_t j = 0; j < COLUMNS; j++) {
                const uint8_t code = codes[(e * ROWS + i) * COLUMNS + j];
                const double value =
                    ldexp(8 + (code & 7), (code >> 3) - 7 - 3) * (double)scales[e * 9 + i / 4 * 3 + j / 8];
                float stored;
                dtype_to_f32(&stored, &found[(e * ROWS + i) * COLUMNS + j], DTYPE_BF16, 1);
                assert_true((double)stored == value); // few bits: bfloat16 has them all
            }
    checkpoint_close(checkpoint);
}

// A product in float16 that bfloat16 would round otherwise; and one scale of that format in FP8 proper.
static void products_are_rounded_as_each_method_does(void **state)
{
    static const char *const config =
        "{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": "
        "\"float-quantized\", "
        "\"config_groups\": {\"g\": {\"weights\": {\"num_bits\": 8, \"type\": \"float\", \"strategy\": "
        "\"tensor\"}}}}, \"dtype\": \"float32\"}";
    const uint8_t code[1] = {0x39};     // 1.125
    const uint16_t scale[1] = {0x3c01}; // 1 + 2^-10 in float16
    struct checkpoint *checkpoint;
    struct error err = {0};
    float found;
    (void)state;

    const struct made tensors[] = {{"x.weight", "F8_E4M3", 2, {1, 1}, 1, code},
                                   {"x.weight_scale", "F16", 1, {1}, 2, scale},
                                   {"x.input_scale", "F32", 1, {1}, 4, NULL}};
    assert_ok(decode_made(&checkpoint, config, tensors, 3, &err), err);
    assert_null(checkpoint_find(checkpoint, "x.input_scale", NULL));
    tensor_elements(&found, checkpoint_find(checkpoint, "x.weight", NULL), 0, 1);
    assert_true(found == 1.125F + 0x1p-10F); // 1.125 + 1.125 * 2^-10, rounded to ten bits
    checkpoint_close(checkpoint);

    const struct made plain[] = {{"x.weight", "F8_E4M3", 2, {1, 1}, 1, code},
                                 {"x.weight_scale_inv", "F16", 0, {0}, 2, scale}};
    assert_ok(decode_made(&checkpoint,
                          "{\"quantization_config\": {\"quant_method\": \"fp8\"}, \"dtype\": \"float32\"}",
                          plain, 2, &err),
              err);
    tensor_elements(&found, checkpoint_find(checkpoint, "x.weight", NULL), 0, 1);
    assert_true(found == 1.125F + 1.125F * 0x1p-10F);
    checkpoint_close(checkpoint);
}

static void what_does_not_fit_names_its_tensor(void **state)
{
    static const char *const mxfp4 = "{\"quantization_config\": {\"quant_method\": \"mxfp4\"}}";
    static const char *const compressed =
        "{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": "
        "\"float-quantized\", "
        "\"config_groups\": {\"g\": {\"weights\": {\"num_bits\": 8, \"type\": \"float\", \"strategy\": "
        "\"channel\"}}}}}";
    static const char *const two_blocks =
        "{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": "
        "\"float-quantized\", \"config_groups\": {"
        "\"g\": {\"weights\": {\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"block\", "
        "\"block_structure\": [4, 4]}}, "
        "\"h\": {\"weights\": {\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"block\", "
        "\"block_structure\": [4, 5]}}}}}";
    static const struct {
        const char *config, *words;
        struct made tensors[3];
        size_t count;
    } cases[] = {
        {NULL,
         "'x.weight' has codes (F8_E4M3) and no scale, 'x.weight_scale_inv'",
         {{"x.weight", "F8_E4M3", 2, {4, 8}, 32, NULL}},
         1},
        {NULL,
         "'x.weight_scale_inv' is a scale without its weight",
         {{"x.weight_scale_inv", "F32", 2, {1, 1}, 4, NULL}, {"y", "F8_E4M3", 2, {4, 8}, 32, NULL}},
         2},
        {NULL,
         "'x.weight_scale_inv' is the scale of 'x.weight', which is BF16",
         {{"x.weight", "BF16", 2, {4, 8}, 64, NULL},
          {"x.weight_scale_inv", "F32", 2, {1, 1}, 4, NULL},
          {"z", "F8_E4M3", 2, {1, 1}, 1, NULL}},
         3},
        {NULL,
         "'x.weight_scale_inv' has 3 x 1 scales, which fit 8 x 8 codes in none of config.json's blocks",
         {{"x.weight", "F8_E4M3", 2, {8, 8}, 64, NULL}, {"x.weight_scale_inv", "F32", 2, {3, 1}, 12, NULL}},
         2},
        {NULL,
         "'x.weight_scale_inv' has 1 dimensions",
         {{"x.weight", "F8_E4M3", 2, {8, 8}, 64, NULL}, {"x.weight_scale_inv", "F32", 1, {8}, 32, NULL}},
         2},
        {NULL,
         "'x.weight_scale_inv' is a scale and I8",
         {{"x.weight", "F8_E4M3", 2, {4, 8}, 32, NULL}, {"x.weight_scale_inv", "I8", 2, {1, 1}, 1, NULL}},
         2},
        {NULL,
         "'x.bias' is F8_E4M3 with 1 dimensions",
         {{"x.bias", "F8_E4M3", 1, {4}, 4, NULL}, {"x.bias_scale_inv", "F32", 1, {1}, 4, NULL}},
         2},
        {compressed,
         "'x.weight_zero_point' is a zero point",
         {{"x.weight", "F8_E4M3", 2, {4, 8}, 32, NULL},
          {"x.weight_scale", "BF16", 2, {4, 1}, 8, NULL},
          {"x.weight_zero_point", "I8", 2, {4, 1}, 4, NULL}},
         3},
        {two_blocks,
         "'x.weight_scale' has 2 x 2 scales, which fit 8 x 8 codes in none of config.json's blocks, or in "
         "more than one",
         {{"x.weight", "F8_E4M3", 2, {8, 8}, 64, NULL}, {"x.weight_scale", "F32", 2, {2, 2}, 16, NULL}},
         2},
        {mxfp4,
         "'w_blocks' has codes (U8) and no scale, 'w_scales'",
         {{"w_blocks", "U8", 4, {1, 2, 1, 16}, 32, NULL}},
         1},
        {mxfp4,
         "'w_scales' is of scales without their blocks",
         {{"w_scales", "U8", 3, {1, 2, 1}, 2, NULL}, {"v_blocks", "U8", 4, {1, 1, 1, 16}, 16, NULL}},
         2},
        {mxfp4,
         "'w_blocks' is not U8 [experts, out, in / 32, 16]",
         {{"w_blocks", "U8", 4, {1, 2, 1, 8}, 16, NULL}, {"w_scales", "U8", 3, {1, 2, 1}, 2, NULL}},
         2},
        {mxfp4,
         "'w_scales' is not U8 [1, 2, 1]",
         {{"w_blocks", "U8", 4, {1, 2, 1, 16}, 32, NULL}, {"w_scales", "U8", 3, {1, 1, 2}, 2, NULL}},
         2},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct checkpoint *checkpoint;
        struct error err = {0};
        const enum status status =
            decode_made(&checkpoint, cases[i].config != NULL ? cases[i].config : fp8_config, cases[i].tensors,
                        cases[i].count, &err);
        if (status != STATUS_INPUT || strstr(err.message, cases[i].words) == NULL)
            fail_msg("case %zu: expected '%s' in: %s", i, cases[i].words,
                     status == STATUS_OK ? "nothing" : err.message);
        checkpoint_close(checkpoint);
    }
}

// A model that was saved dequantised, and still says how it was quantised.
static void a_leftover_of_quantisation_means_nothing(void **state)
{
    const struct made tensors[] = {{"x.weight", "BF16", 2, {4, 8}, 64, NULL}};
    struct checkpoint *checkpoint;
    struct error err = {0};
    (void)state;

    assert_ok(decode_made(&checkpoint, fp8_config, tensors, 1, &err), err);
    assert_false(checkpoint_is_coded(checkpoint));
    assert_ptr_equal(checkpoint->shards[0]->exported.header, checkpoint->shards[0]->mapping);
    checkpoint_close(checkpoint);
}

static void what_is_not_read_is_refused_by_name(void **state)
{
    static const struct {
        const char *config, *words;
    } cases[] = {
        {"{\"quant_method\": \"gptq\", \"bits\": 4}",
         "quantised (gptq) checkpoints are not supported; use the"},
        {"{\"quant_method\": \"awq\"}", "quantised (awq)"},
        {"{\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true}", "quantised (bitsandbytes)"},
        {"{\"quant_method\": \"gguf\"}", "quantised (gguf)"},
        {"{\"quant_method\": \"modelopt\", \"quant_algo\": \"FP8\"}", "quantised (modelopt)"},
        {"{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", \"config_groups\": "
         "{\"g\": {}}}",
         "with format pack-quantized"},
        {"{\"quant_method\": \"compressed-tensors\", \"format\": \"int-quantized\", \"config_groups\": "
         "{\"g\": {}}}",
         "with format int-quantized"},
        {"{\"quant_method\": \"compressed-tensors\", \"format\": \"marlin-24\", \"config_groups\": {\"g\": "
         "{}}}",
         "with format marlin-24"},
        {"{\"quant_method\": \"compressed-tensors\", \"format\": \"dense\", \"sparsity_config\": "
         "{\"format\": "
         "\"sparse-24-bitmask\"}}",
         "with sparsity_config sparse-24-bitmask"},
        {"{\"quant_method\": \"compressed-tensors\", \"format\": \"float-quantized\", \"kv_cache_scheme\": "
         "{\"num_bits\": 8}}",
         "with a kv_cache_scheme"},
        {"{\"quant_method\": \"compressed-tensors\", \"format\": \"float-quantized\", \"config_groups\": "
         "{\"g\": "
         "{\"weights\": {\"num_bits\": 8, \"type\": \"int\", \"strategy\": \"channel\"}}}}",
         "with weights other than float of 8 bits"},
        {"{\"quant_method\": \"compressed-tensors\", \"format\": \"float-quantized\", \"config_groups\": "
         "{\"g\": "
         "{\"weights\": {\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"channel\", \"symmetric\": "
         "false}}}}",
         "with zero points"},
        {"{\"quant_method\": \"fp8\", \"expert_dtype\": \"fp4\"}", "with expert_dtype fp4"},
        {"{\"quant_method\": \"fp8\", \"weight_block_size\": [0, 128]}", "weight_block_size"},
        {"{\"quant_method\": \"fp8\", \"weight_block_size\": [128]}", "weight_block_size"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *config = json_object();
        struct quantisation q;
        struct error err = {0};
        json_object_set_new(config, "quantization_config", json_loads(cases[i].config, 0, NULL));
        const enum status status = read_quantisation(&q, config, &err);
        if (status != STATUS_INPUT || strstr(err.message, cases[i].words) == NULL ||
            strstr(err.message, "config.json: quantization_config: ") == NULL)
            fail_msg("expected '%s' in: %s", cases[i].words, status == STATUS_OK ? "nothing" : err.message);
        json_decref(config);
    }
}

// The golden model whose embedding and head have codes, tied by its configuration; the head is the
// embedding's codes and scales, or its own. Returns how many warnings it brings.
static size_t warnings_of_tied_codes(bool same)
{
    struct made_tensors *made = made_tensors_create();
    char *path = source_path("tests/golden/quantised/fp8-outer/model.safetensors");
    json_t *config = read_golden("fp8-outer", "config.json");
    char lines[MODEL_WARNINGS][MODEL_WARNING_SIZE];
    const char *const head = "lm_head.weight", *const embedding = "model.embed_tokens.weight";
    struct safetensors_file *file;
    struct model *model;
    struct error err = {0};

    json_object_set_new(config, "tie_word_embeddings", json_true());
    assert_ok(safetensors_open(&file, path, &err), err);
    for (size_t i = 0; i < file->count; i++) {
        const struct safetensors_tensor *tensor = &file->tensors[i], *source = tensor;
        const bool of_head = strncmp(tensor->name, head, strlen(head)) == 0;
        for (size_t j = 0; of_head && same && j < file->count; j++)
            if (strncmp(file->tensors[j].name, embedding, strlen(embedding)) == 0 &&
                strcmp(file->tensors[j].name + strlen(embedding), tensor->name + strlen(head)) == 0)
                source = &file->tensors[j];
        made_tensors_add(made, tensor->name, tensor->dtype_name, tensor->rank, tensor->shape, source->data,
                         (size_t)(tensor->end - tensor->begin));
    }
    made_tensors_write(made, path_in(folder, "model.safetensors"));
    assert_int_equal(json_dump_file(config, path_in(folder, "config.json"), 0), 0);
    assert_ok(model_open(&model, folder, &err), err);
    const size_t count = model_warnings(lines, model);
    model_close(model);
    json_decref(config);
    safetensors_close(file);
    free(path);
    return count;
}

// 48, 32 and 16 codes have as many scales in blocks of 20 as in those of 16 in which they were made.
static void blocks_that_do_not_divide_are_told_of(void **state)
{
    char lines[MODEL_WARNINGS][MODEL_WARNING_SIZE];
    char *weights = source_path("tests/golden/quantised/fp8-block/model.safetensors");
    json_t *config = read_golden("fp8-block", "config.json");
    struct error err = {0};
    struct model *model;
    (void)state;

    (void)unlink(path_in(folder, "model.safetensors"));
    assert_int_equal(symlink(weights, path_in(folder, "model.safetensors")), 0);
    for (int size = 16; size <= 20; size += 4) {
        json_object_set_new(json_object_get(config, "quantization_config"), "weight_block_size",
                            json_pack("[i, i]", size, size));
        assert_int_equal(json_dump_file(config, path_in(folder, "config.json"), 0), 0);
        assert_ok(model_open(&model, folder, &err), err);
        assert_int_equal(model_warnings(lines, model), size == 20);
        model_close(model);
    }
    assert_non_null(strstr(
        lines[0], "weight_block_size does not divide 'model.layers.0.mlp.down_proj.weight' and others"));
    assert_int_equal(unlink(path_in(folder, "model.safetensors")), 0);
    json_decref(config);
    free(weights);
}

static void a_head_of_codes_is_compared_with_the_embedding_by_value(void **state)
{
    (void)state;
    assert_int_equal(warnings_of_tied_codes(true), 0);
    assert_int_equal(warnings_of_tied_codes(false), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantised_checkpoints_are_dequantised_as_transformers_does),
        cmocka_unit_test(logits_are_those_of_the_dequantised_model),
        cmocka_unit_test(what_is_exported_is_laid_out_without_scales),
        cmocka_unit_test(parts_of_quantised_experts_are_read_in_place),
        cmocka_unit_test(blocks_at_the_edges_are_smaller),
        cmocka_unit_test(products_are_rounded_as_each_method_does),
        cmocka_unit_test(what_does_not_fit_names_its_tensor),
        cmocka_unit_test(a_leftover_of_quantisation_means_nothing),
        cmocka_unit_test(what_is_not_read_is_refused_by_name),
        cmocka_unit_test(blocks_that_do_not_divide_are_told_of),
        cmocka_unit_test(a_head_of_codes_is_compared_with_the_embedding_by_value),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
