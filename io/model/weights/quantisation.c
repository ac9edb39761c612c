#include "io/model/weights/quantisation.h"

#include "io/file/json.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static bool is_empty(const json_t *value)
{
    return value == NULL || json_is_null(value) || json_is_false(value) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

// Whether an object that a compressor left in config.json says that nothing is compressed: what is known to
// change how weights are stored is absent, null, empty or "dense", and all the rest only describes.
static bool is_dense(const json_t *compression)
{
    static const char *const descriptions[] = {"quant_method",
                                               "version",
                                               "quantization_status",
                                               "global_compression_ratio",
                                               "global_sparsity",
                                               "sparsity_structure",
                                               "registry_requires_subclass",
                                               "ignore",
                                               "targets"};
    const char *key;
    json_t *value;

    if (!json_is_object(compression))
        return false;
    json_object_foreach((json_t *)compression, key, value)
    {
        bool dense = is_empty(value);
        if (strcmp(key, "format") == 0)
            dense |= json_is_string(value) && strcmp(json_string_value(value), "dense") == 0;
        else if (strcmp(key, "sparsity_config") == 0 || strcmp(key, "quantization_config") == 0)
            dense |= is_dense(value);
        for (size_t i = 0; i < sizeof descriptions / sizeof *descriptions; i++)
            dense |= strcmp(key, descriptions[i]) == 0;
        if (!dense)
            return false;
    }
    return true;
}

// What is being read: one of the two keys.
struct place {
    const struct config_reader *reader;
    const char *key;
    const json_t *object;
};

static enum status refuse(const struct place *place, const char *what, struct error *err)
{
    char shown[96];
    const char *method = text_of(place->object, "quant_method");

    return error_set(err, STATUS_INPUT,
                     "%s: %s: quantised%s%s%s checkpoints%s%s are not supported; use the float32, float16 or "
                     "bfloat16 original",
                     place->reader->path, place->key, method[0] != '\0' ? " (" : "",
                     printable(shown, sizeof shown, method), method[0] != '\0' ? ")" : "",
                     what[0] != '\0' ? " with " : "", what);
}

static enum status read_block(struct quantisation *q, const struct place *place, const char *key,
                              const json_t *block, struct error *err)
{
    const json_int_t rows = json_integer_value(json_array_get(block, 0));
    const json_int_t columns = json_integer_value(json_array_get(block, 1));

    RETURN_ERROR_IF(json_array_size(block) != 2 || rows < 1 || columns < 1, err, STATUS_INPUT,
                    "%s: %s: %s must be two whole numbers from 1", place->reader->path, place->key, key);
    RETURN_ERROR_IF(q->num_blocks == QUANTISATION_MOST_BLOCKS, err, STATUS_INPUT,
                    "%s: %s: more than %d sizes of blocks", place->reader->path, place->key,
                    QUANTISATION_MOST_BLOCKS);
    q->blocks[q->num_blocks].rows = (size_t)rows;
    q->blocks[q->num_blocks++].columns = (size_t)columns;
    return STATUS_OK;
}

static enum status read_fp8(struct quantisation *q, const struct place *place, struct error *err)
{
    // Absent it is 128 x 128; null: one scale for each tensor.
    const json_t *block = json_object_get(place->object, "weight_block_size");

    q->kind = QUANTISATION_FP8;
    if (strcmp(text_of(place->object, "expert_dtype"), "fp4") == 0)
        return refuse(place, "expert_dtype fp4", err);
    if (block == NULL) {
        q->blocks[0].rows = q->blocks[0].columns = 128;
        q->num_blocks = 1;
        return STATUS_OK;
    }
    return json_is_null(block) ? STATUS_OK : read_block(q, place, "weight_block_size", block, err);
}

// One of compressed-tensors' config_groups.
static enum status read_group(struct quantisation *q, const struct place *place, const json_t *group,
                              struct error *err)
{
    const json_t *weights = json_object_get(group, "weights");
    const char *strategy = text_of(weights, "strategy"), *format = text_of(group, "format");
    const json_int_t size = json_integer_value(json_object_get(weights, "group_size"));

    if (format[0] != '\0' && strcmp(format, "float-quantized") != 0 && strcmp(format, "naive-quantized") != 0)
        return refuse(place, "groups of another format than float-quantized", err);
    if (strcmp(text_of(weights, "type"), "float") != 0 ||
        json_integer_value(json_object_get(weights, "num_bits")) != 8)
        return refuse(place, "weights other than float of 8 bits", err);
    if (json_is_false(json_object_get(weights, "symmetric")))
        return refuse(place, "zero points", err);
    if (strcmp(strategy, "block") == 0)
        return read_block(q, place, "block_structure", json_object_get(weights, "block_structure"), err);
    if (strcmp(strategy, "group") != 0)
        return strcmp(strategy, "tensor") == 0 || strcmp(strategy, "channel") == 0
                   ? STATUS_OK
                   : refuse(place, "another strategy than tensor, channel, group and block", err);
    if (size < 1 || q->num_blocks == QUANTISATION_MOST_BLOCKS)
        return refuse(place, "such a group_size", err);
    q->blocks[q->num_blocks].rows = 1;
    q->blocks[q->num_blocks++].columns = (size_t)size;
    return STATUS_OK;
}

static enum status read_compressed(struct quantisation *q, const struct place *place, struct error *err)
{
    const json_t *groups = json_object_get(place->object, "config_groups");
    const json_t *sparsity = json_object_get(place->object, "sparsity_config");
    const char *format = text_of(place->object, "format"), *key;
    char what[80];
    json_t *group;

    q->kind = QUANTISATION_COMPRESSED_FP8;
    if (!is_empty(sparsity) && !is_dense(sparsity)) {
        snprintf(what, sizeof what, "sparsity_config %.60s", text_of(sparsity, "format"));
        return refuse(place, what, err);
    }
    if (!is_empty(json_object_get(place->object, "kv_cache_scheme")))
        return refuse(place, "a kv_cache_scheme", err);
    if (!is_empty(json_object_get(place->object, "transform_config")))
        return refuse(place, "a transform_config", err);
    if (strcmp(format, "float-quantized") != 0 && strcmp(format, "naive-quantized") != 0) {
        snprintf(what, sizeof what, "format %.60s", format);
        return refuse(place, what, err);
    }
    if (!json_is_object(groups) || json_object_size(groups) == 0)
        return refuse(place, "no config_groups", err);
    json_object_foreach((json_t *)groups, key, group) FORWARD_IF_ERROR(read_group(q, place, group, err));
    return STATUS_OK;
}

// The dtype that the reference dequantises to. Of one for each part of the model (an object) it takes the one
// without a name for all of them, and float32 where there is none.
static enum dtype dtype_of(const struct config_reader *reader)
{
    const json_t *value = json_object_get(reader->object, "dtype");
    const char *name;

    if (value == NULL || json_is_null(value))
        value = json_object_get(reader->object, "torch_dtype");
    if (json_is_object(value))
        name = json_object_get(value, "") != NULL ? text_of(value, "") : "float32";
    else
        name = json_is_string(value) ? json_string_value(value) : "";
    return strcmp(name, "float32") == 0 ? DTYPE_F32 : strcmp(name, "float16") == 0 ? DTYPE_F16 : DTYPE_BF16;
}

enum status quantisation_read(struct quantisation *q, const struct config_reader *reader,
                              const struct config_reader *root, struct error *err)
{
    const struct place place = {reader, "quantization_config", config_find(reader, "quantization_config")};
    const struct place older = {reader, "compression_config", config_find(reader, "compression_config")};
    const char *method = text_of(place.object, "quant_method"),
               *other = text_of(older.object, "quant_method");
    const bool is_compressed = strcmp(method, "compressed-tensors") == 0;

    *q = (struct quantisation){.kind = QUANTISATION_NONE};
    // The reference does not look at the older key; what it says has to agree.
    if (older.object != NULL &&
        (!is_dense(older.object) || (other[0] != '\0' && strcmp(other, "compressed-tensors") != 0)))
        return refuse(&older, "", err);
    q->left_over = is_compressed && is_dense(place.object);
    if (place.object == NULL || q->left_over)
        return STATUS_OK;
    q->dtype = dtype_of(root);
    if (strcmp(method, "fp8") == 0)
        return read_fp8(q, &place, err);
    if (strcmp(method, "mxfp4") == 0) {
        q->kind = QUANTISATION_MXFP4;
        return STATUS_OK;
    }
    return is_compressed ? read_compressed(q, &place, err) : refuse(&place, "", err);
}
