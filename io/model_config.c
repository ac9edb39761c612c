#include "io/family.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static enum status read_activation(enum activation *activation, const struct config_reader *reader,
                                   const char *key, struct error *err)
{
    static const struct {
        const char *name;
        enum activation activation;
    } names[] = {{"silu", ACTIVATION_SILU},
                 {"swish", ACTIVATION_SILU},
                 {"gelu", ACTIVATION_GELU},
                 {"gelu_new", ACTIVATION_GELU_TANH},
                 {"gelu_fast", ACTIVATION_GELU_TANH},
                 {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
                 {"relu", ACTIVATION_RELU}};
    const char *name = "silu";

    FORWARD_IF_ERROR(config_string(reader, key, &name, err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].name, name) == 0) {
            *activation = names[i].activation;
            return STATUS_OK;
        }
    }
    char text[64];
    return error_set(
        err, STATUS_INPUT,
        "%s: %s: '%s' is not supported (silu, swish, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu)",
        reader->path, key, printable(text, sizeof text, name));
}

static enum status read_heads(struct decoder_config *decoder, const struct config_reader *reader,
                              struct error *err)
{
    const size_t hidden = decoder->hidden_size;

    FORWARD_IF_ERROR(config_size(reader, "num_attention_heads", &decoder->num_attention_heads, err));
    decoder->num_key_value_heads = decoder->num_attention_heads;
    FORWARD_IF_ERROR(config_optional_size(reader, "num_key_value_heads", &decoder->num_key_value_heads, err));
    RETURN_ERROR_IF(decoder->num_attention_heads % decoder->num_key_value_heads != 0, err, STATUS_INPUT,
                    "%s: num_attention_heads: %zu is not a multiple of num_key_value_heads %zu", reader->path,
                    decoder->num_attention_heads, decoder->num_key_value_heads);

    RETURN_ERROR_IF(config_find(reader, "head_dim") == NULL && hidden % decoder->num_attention_heads != 0,
                    err, STATUS_INPUT, "%s: hidden_size: %zu is not a multiple of num_attention_heads %zu",
                    reader->path, hidden, decoder->num_attention_heads);
    decoder->head_dim = hidden / decoder->num_attention_heads;
    FORWARD_IF_ERROR(config_optional_size(reader, "head_dim", &decoder->head_dim, err));
    decoder->rotary_dim = decoder->head_dim;
    RETURN_ERROR_IF(decoder->rotary_dim % 2 != 0, err, STATUS_INPUT,
                    "%s: head_dim: %zu is odd, and rotary embedding pairs channels", reader->path,
                    decoder->head_dim);
    decoder->attention_scale = (float)(1.0 / sqrt((double)decoder->head_dim));
    return STATUS_OK;
}

// What all families call by the same name.
static enum status read_common(struct model_config *config, const struct config_reader *reader,
                               struct error *err)
{
    struct decoder_config *decoder = &config->decoder;
    double epsilon = 1e-6;

    FORWARD_IF_ERROR(config_size(reader, "num_hidden_layers", &config->num_hidden_layers, err));
    FORWARD_IF_ERROR(config_size(reader, "vocab_size", &config->vocab_size, err));
    FORWARD_IF_ERROR(config_size(reader, "hidden_size", &decoder->hidden_size, err));
    FORWARD_IF_ERROR(config_size(reader, "intermediate_size", &decoder->intermediate_size, err));
    config->max_position_embeddings = 2048;
    FORWARD_IF_ERROR(
        config_optional_size(reader, "max_position_embeddings", &config->max_position_embeddings, err));
    FORWARD_IF_ERROR(read_heads(decoder, reader, err));

    FORWARD_IF_ERROR(config_number(reader, "rms_norm_eps", 0.0, 1.0, &epsilon, err));
    decoder->norm = NORM_RMS;
    decoder->norm_epsilon = (float)epsilon;
    FORWARD_IF_ERROR(read_activation(&decoder->activation, reader, "hidden_act", err));
    FORWARD_IF_ERROR(config_bool(reader, "tie_word_embeddings", &config->tie_word_embeddings, err));
    FORWARD_IF_ERROR(config_bool(reader, "attention_bias", &config->attention_bias, err));
    FORWARD_IF_ERROR(config_bool(reader, "mlp_bias", &config->mlp_bias, err));
    config->rope.theta = 10000.0;
    return rope_config_read(&config->rope, reader, config->max_position_embeddings, err);
}

static enum status find_family(const struct family **family, const struct config_reader *reader,
                               struct error *err)
{
    const char *model_type = NULL;
    char type[64], supported[512];

    FORWARD_IF_ERROR(config_string(reader, "model_type", &model_type, err));
    RETURN_ERROR_IF(model_type == NULL, err, STATUS_INPUT, "%s: model_type: is missing; supported: %s",
                    reader->path, family_list(supported, sizeof supported));
    *family = family_find(model_type);
    RETURN_ERROR_IF(*family == NULL, err, STATUS_INPUT, "%s: model_type: '%s' %s; supported: %s",
                    reader->path, printable(type, sizeof type, model_type),
                    config_find(reader, "auto_map") != NULL
                        ? "runs on code of its own (auto_map), which coppice does not execute"
                        : "is not supported",
                    family_list(supported, sizeof supported));
    RETURN_ERROR_IF(
        config_find(reader, "quantization_config") != NULL, err, STATUS_INPUT,
        "%s: quantization_config: quantised checkpoints are not supported; use the float32, float16 or "
        "bfloat16 original",
        reader->path);
    return STATUS_OK;
}

static enum status read_config(struct model_config *config, const struct family **family,
                               const struct config_reader *reader, struct error *err)
{
    RETURN_ERROR_IF(!json_is_object(reader->object), err, STATUS_INPUT, "%s: must be a JSON object",
                    reader->path);
    FORWARD_IF_ERROR(find_family(family, reader, err));
    snprintf(config->model_type, sizeof config->model_type, "%s", (*family)->model_type);
    FORWARD_IF_ERROR(read_common(config, reader, err));
    return (*family)->configure != NULL ? (*family)->configure(config, reader, err) : STATUS_OK;
}

enum status model_config_read(struct model_config *config, const struct family **family,
                              const char *directory, struct error *err)
{
    char path[PATH_MAX];
    json_t *json;

    *config = (struct model_config){0};
    *family = NULL;
    RETURN_ERROR_IF(snprintf(path, sizeof path, "%s/config.json", directory) >= (int)sizeof path, err,
                    STATUS_INPUT, "%s: path is too long", directory);
    FORWARD_IF_ERROR(json_read(&json, path, err));
    const struct config_reader reader = {.object = json, .path = path, .prefix = ""};
    const enum status status = read_config(config, family, &reader, err);
    json_decref(json);
    return status;
}
