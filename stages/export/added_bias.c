#include "stages/export/added_bias.h"

#include "io/file/run_paths.h"
#include "stages/export/dequantised.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool variant_adds_biases(const struct model *model, const struct variant *variant)
{
    return variant->bias && (model->added_attention_bias || model->added_mlp_bias);
}

void added_biases_free(struct added_biases *biases)
{
    free(biases->items);
    free(biases->header);
    memset(biases, 0, sizeof *biases);
}

// Calls visit for each linear whose bias is added and whose weight lies in the shard (NULL: in any).
static enum status visit_linears(const struct model *model, const struct safetensors_file *shard,
                                 void *context,
                                 enum status (*visit)(void *context, const struct layer_tensor *weight,
                                                      size_t layer, struct error *err),
                                 struct error *err)
{
    for (size_t layer = 0; layer < model->config.num_hidden_layers; layer++) {
        struct layer_map map;
        enum status status = STATUS_OK;
        FORWARD_IF_ERROR(layer_map_create(&map, model, layer, err));
        for (size_t i = 0; i < map.num_tensors && status == STATUS_OK; i++) {
            const struct layer_tensor *weight = &map.tensors[i], *bias = layer_map_bias(weight);
            if (weight->linear[0] == '\0' || bias == NULL || bias->tensor != NULL)
                continue;
            if (shard == NULL ||
                (weight->tensor >= shard->tensors && weight->tensor < shard->tensors + shard->count))
                status = visit(context, weight, layer, err);
        }
        layer_map_free(&map);
        FORWARD_IF_ERROR(status);
    }
    return STATUS_OK;
}

// "model.layers.0.mlp.up_proj.weight" gives "model.layers.0.mlp.up_proj.bias".
static void bias_name(char *name, size_t size, const struct layer_tensor *weight)
{
    const size_t length = strlen(weight->tensor->name) - strlen("weight");
    snprintf(name, size, "%.*sbias", (int)length, weight->tensor->name);
}

// ---- a shard's header -----------------------------------------------------------------------------------

static enum status count_linear(void *context, const struct layer_tensor *weight, size_t layer,
                                struct error *err)
{
    (void)weight;
    (void)layer;
    (void)err;
    ++*(size_t *)context;
    return STATUS_OK;
}

static enum status add_linear(void *context, const struct layer_tensor *weight, size_t layer,
                              struct error *err)
{
    struct added_biases *biases = context;
    struct added_bias *bias = &biases->items[biases->count++];
    (void)err;
    bias_name(bias->name, sizeof bias->name, weight);
    snprintf(bias->linear, sizeof bias->linear, "%s", weight->linear);
    bias->layer = layer;
    bias->out = weight->out;
    bias->dtype = weight->tensor->dtype;
    return STATUS_OK;
}

// The new entries as a JSON object, in its braces, in *text; the caller frees.
static enum status entries_of(char **text, struct added_biases *biases, uint64_t begin,
                              const struct safetensors_file *shard, struct error *err)
{
    json_t *entries = json_object();
    int failed = 0;

    for (size_t i = 0; i < biases->count; i++) {
        struct added_bias *bias = &biases->items[i];
        bias->begin = begin;
        begin += bias->out * dtype_size(bias->dtype);
        failed |= json_object_set_new(entries, bias->name,
                                      json_pack("{s:s, s:[I], s:[I, I]}", "dtype", dtype_name(bias->dtype),
                                                "shape", (json_int_t)bias->out, "data_offsets",
                                                (json_int_t)bias->begin, (json_int_t)begin));
    }
    *text = failed == 0 ? json_dumps(entries, JSON_COMPACT) : NULL;
    json_decref(entries);
    RETURN_ERROR_IF(*text == NULL, err, STATUS_MEMORY, "out of memory for the header of %s", shard->path);
    return STATUS_OK;
}

// The old header's text up to its closing brace, the new entries, and spaces up to a multiple of eight.
static enum status make_header(struct added_biases *biases, const struct safetensors_file *shard,
                               struct error *err)
{
    const char *old = (const char *)shard->exported.header + 8;
    size_t length = (size_t)shard->exported.header_bytes - 8, added, total;
    char *entries = NULL;

    FORWARD_IF_ERROR(entries_of(&entries, biases, shard->exported.data_bytes, shard, err));
    while (length > 0 && old[length - 1] != '}')
        length--;
    added = strlen(entries);
    total = (length + added + 7) / 8 * 8;
    enum status status = allocate(&biases->header, 8 + total, 1, "the header of a shard", err);
    if (status == STATUS_OK) {
        char *text = biases->header + 8;
        for (size_t k = 0; k < 8; k++)
            biases->header[k] = (char)(total >> (8 * k) & 0xff);
        memset(text, ' ', total);
        memcpy(text, old, length - 1);
        text[length - 1] = ','; // a shard with a linear's weight has at least that entry
        memcpy(text + length, entries + 1, added - 1);
        biases->header_bytes = 8 + total;
    }
    free(entries);
    return status;
}

enum status added_biases_create(struct added_biases *biases, const struct stage *stage,
                                const struct variant *variant, size_t index, struct error *err)
{
    const struct safetensors_file *shard = stage->model->checkpoint->shards[index];
    size_t count = 0;

    memset(biases, 0, sizeof *biases);
    if (!variant_adds_biases(stage->model, variant))
        return STATUS_OK;
    FORWARD_IF_ERROR(visit_linears(stage->model, shard, &count, count_linear, err));
    if (count == 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(allocate(&biases->items, count, sizeof *biases->items, "the new biases", err));
    FORWARD_IF_ERROR(visit_linears(stage->model, shard, biases, add_linear, err));
    return make_header(biases, shard, err);
}

// ---- config.json and the index --------------------------------------------------------------------------

static enum status change_config(json_t *json, const struct stage *stage, struct error *err)
{
    const struct model *model = stage->model;
    json_t *text = model->config.wrapper != NULL ? json_object_get(json, "text_config") : NULL;
    json_t *place = text != NULL ? text : json;
    int failed = 0;
    if (model->added_attention_bias)
        failed |= json_object_set_new(place, "attention_bias", json_true());
    if (model->added_mlp_bias)
        failed |= json_object_set_new(place, "mlp_bias", json_true());
    RETURN_ERROR_IF(failed != 0, err, STATUS_MEMORY, "out of memory for config.json");
    return STATUS_OK;
}

struct index_change {
    json_t *weight_map;
    json_int_t bytes, parameters;
};

static enum status list_bias(void *context, const struct layer_tensor *weight, size_t layer,
                             struct error *err)
{
    struct index_change *change = context;
    char name[256];
    json_t *shard = json_object_get(change->weight_map, weight->tensor->name);

    (void)layer;
    bias_name(name, sizeof name, weight);
    RETURN_ERROR_IF(shard == NULL || json_object_set(change->weight_map, name, shard) != 0, err, STATUS_INPUT,
                    "model.safetensors.index.json: %s is not in its weight_map", weight->tensor->name);
    change->parameters += (json_int_t)weight->out;
    change->bytes += (json_int_t)(weight->out * dtype_size(weight->tensor->dtype));
    return STATUS_OK;
}

static void increase(json_t *object, const char *key, json_int_t by)
{
    json_t *number = json_object_get(object, key);
    if (json_is_integer(number))
        json_integer_set(number, json_integer_value(number) + by);
    else if (json_is_real(number))
        json_real_set(number, json_real_value(number) + (double)by);
}

static enum status change_index(json_t *json, const struct stage *stage, struct error *err)
{
    json_t *metadata = json_object_get(json, "metadata");
    struct index_change change = {.weight_map = json_object_get(json, "weight_map")};

    FORWARD_IF_ERROR(visit_linears(stage->model, NULL, &change, list_bias, err));
    increase(metadata, "total_size", change.bytes);
    increase(metadata, "total_parameters", change.parameters);
    return STATUS_OK;
}

enum status added_biases_describe(const struct stage *stage, const struct variant *variant, const char *to,
                                  struct error *err)
{
    char path[PATH_SIZE];

    if (!variant_adds_biases(stage->model, variant))
        return STATUS_OK;
    path_format(path, sizeof path, "%s/config.json", to);
    FORWARD_IF_ERROR(rewrite_json(path, stage, change_config, err));
    if (!stage->model->checkpoint->has_index)
        return STATUS_OK;
    path_format(path, sizeof path, "%s/model.safetensors.index.json", to);
    return rewrite_json(path, stage, change_index, err);
}
