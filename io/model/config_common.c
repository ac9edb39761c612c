#include "io/model/config_common.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// The reference's names (ACT2FN). Of those that it computes with a constant of fewer or more digits, or step
// by step, the results are the same to float32's rounding.
static const struct {
    const char *name;
    enum activation activation;
} activation_names[] = {{"silu", ACTIVATION_SILU},
                        {"swish", ACTIVATION_SILU},
                        {"gelu", ACTIVATION_GELU},
                        {"gelu_python", ACTIVATION_GELU},
                        {"gelu_new", ACTIVATION_GELU_TANH},
                        {"gelu_fast", ACTIVATION_GELU_TANH},
                        {"gelu_accurate", ACTIVATION_GELU_TANH},
                        {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
                        {"gelu_python_tanh", ACTIVATION_GELU_TANH},
                        {"quick_gelu", ACTIVATION_QUICK_GELU},
                        {"relu", ACTIVATION_RELU},
                        {"relu2", ACTIVATION_RELU_SQUARED},
                        {"relu6", ACTIVATION_RELU6},
                        {"leaky_relu", ACTIVATION_LEAKY_RELU},
                        {"sigmoid", ACTIVATION_SIGMOID},
                        {"tanh", ACTIVATION_TANH},
                        {"hardswish", ACTIVATION_HARDSWISH},
                        {"mish", ACTIVATION_MISH},
                        {"linear", ACTIVATION_LINEAR},
                        {"xielu", ACTIVATION_XIELU}};
enum { NUM_ACTIVATIONS = sizeof activation_names / sizeof *activation_names };

// xIELU has learned numbers, which its family has and no other.
static bool is_possible(enum activation activation, bool learned)
{
    return (activation == ACTIVATION_XIELU) == learned;
}

static enum status refuse_activation(const struct config_reader *reader, const char *key, const char *name,
                                     bool learned, struct error *err)
{
    char list[256], text[64];
    size_t used = 0;

    for (size_t i = 0; i < NUM_ACTIVATIONS; i++)
        if (is_possible(activation_names[i].activation, learned) && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "",
                                     activation_names[i].name);
    return error_set(err, STATUS_INPUT, "%s: %s: '%s' is not supported (%s)", reader->path, key,
                     printable(text, sizeof text, name), list);
}

static enum status read_activation(enum activation *activation, const struct config_reader *reader,
                                   const struct family *family, struct error *err)
{
    const bool learned = strcmp(family->default_activation, "xielu") == 0; // then nothing else
    const char *name = family->default_activation;

    if (family->activation_key != NULL)
        FORWARD_IF_ERROR(config_string(reader, family->activation_key, &name, err));
    for (size_t i = 0; i < NUM_ACTIVATIONS; i++) {
        if (strcmp(activation_names[i].name, name) == 0 &&
            is_possible(activation_names[i].activation, learned)) {
            *activation = activation_names[i].activation;
            return STATUS_OK;
        }
    }
    return refuse_activation(reader, family->activation_key, name, learned, err);
}

// Channels of a head that are rotated, as a fraction; it counts where no fraction is given.
static enum status read_older_fraction(double *fraction, const struct decoder_config *decoder,
                                       const struct config_reader *reader, const char *key, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double channels = *fraction * (double)decoder->head_dim;

    FORWARD_IF_ERROR(config_number(&nullable, key, 0.0, (double)decoder->head_dim, &channels, err));
    *fraction = channels / (double)decoder->head_dim;
    return STATUS_OK;
}

// The channels of a head that are rotated. rope NULL: the family reads its rotary embeddings itself.
static enum status read_rotary_dim(struct decoder_config *decoder, const struct config_reader *reader,
                                   const struct rope_source *rope, const struct family *family,
                                   struct error *err)
{
    double fraction = 1.0;

    if (family->default_theta == 0.0) // no rotary embedding at all
        return STATUS_OK;
    if (family->rotary_fraction_key != NULL) {
        const bool here = rope != NULL && config_has(&rope->parameters, "partial_rotary_factor");
        const struct config_reader *place = here ? &rope->parameters : reader;
        const char *key = here ? "partial_rotary_factor" : family->rotary_fraction_key;
        fraction = family->default_rotary_fraction;
        if (family->rotary_dim_key != NULL)
            FORWARD_IF_ERROR(read_older_fraction(&fraction, decoder, reader, family->rotary_dim_key, err));
        config_pass(reader, family->rotary_fraction_key);
        if (!here && family->null_rotary_fraction && json_is_null(config_value(reader, key)))
            fraction = 1.0;
        else
            FORWARD_IF_ERROR(config_number(place, key, 0.0, 1.0, &fraction, err));
    }
    decoder->rotary_dim = (size_t)((double)decoder->head_dim * fraction);
    if (decoder->latent.key_value_rank != 0)
        decoder->rotary_dim = decoder->latent.rotary_dim;
    RETURN_ERROR_IF(decoder->rotary_dim % 2 != 0, err, STATUS_INPUT,
                    "%s: head_dim: %zu rotary channels are odd, and rotary embedding pairs channels",
                    reader->path, decoder->rotary_dim);
    return STATUS_OK;
}

// One rotary embedding for all layers; families with several, or none, have no theta_key.
static enum status read_rope(struct model_config *config, const struct config_reader *reader,
                             const struct family *family, struct error *err)
{
    struct rope_source source;
    json_t *fallback = NULL;
    enum status status;

    config->rope.theta = family->default_theta;
    config->rope.max_position_embeddings = config->local_rope.max_position_embeddings =
        (double)config->max_position_embeddings;
    config->rope.original_max_position_embeddings = (double)family->default_original_positions;
    if (family->theta_key == NULL)
        return read_rotary_dim(&config->decoder, reader, NULL, family, err);
    FORWARD_IF_ERROR(rope_source_find(&source, reader, family->theta_key, err));
    source.whole_heads = family->rotary_fraction_key == NULL;
    source.proportional = source.whole_heads;
    source.mrope = family->mrope;
    source.phi3 = family->default_original_positions != 0;
    if (source.parameters.object == NULL && family->default_rope != NULL) {
        fallback = json_loads(family->default_rope, 0, NULL);
        RETURN_ERROR_IF(fallback == NULL, err, STATUS_FAILED, "out of memory for config.json");
        source.parameters.object = fallback;
    }
    GOTO_IF_ERROR(read_rotary_dim(&config->decoder, reader, &source, family, err), done);
    GOTO_IF_ERROR(rope_config_read(&config->rope, &source, config->decoder.rotary_dim, err), done);
    if (family->configure_rope != NULL)
        status = family->configure_rope(config, &source, err);
done:
    json_decref(fallback);
    return status;
}

// *size is the default, 0: the key must be there.
static enum status read_size(size_t *size, const struct config_reader *reader, const char *key,
                             struct error *err)
{
    return *size != 0 ? config_optional_size(reader, key, size, err) : config_size(reader, key, size, err);
}

// The same for a size that has a name of the family's own (NULL: it has none) and the name that it has in
// most families, which the reference takes as well.
static enum status read_named_size(size_t *size, const struct config_reader *reader, const char *own,
                                   const char *common, struct error *err)
{
    size_t other;

    if (own != NULL)
        FORWARD_IF_ERROR(config_not_null(reader, own, err));
    if (own == NULL || !config_has(reader, own))
        return read_size(size, reader, common, err);
    FORWARD_IF_ERROR(read_size(size, reader, own, err));
    other = *size;
    FORWARD_IF_ERROR(config_optional_size(reader, common, &other, err));
    RETURN_ERROR_IF(other != *size, err, STATUS_INPUT, "%s: %s: %zu contradicts %s, %zu", reader->path, own,
                    *size, common, other);
    return STATUS_OK;
}

static enum status read_intermediate(struct decoder_config *decoder, const struct config_reader *reader,
                                     const struct family *family, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    size_t *size = &decoder->intermediate_size;

    if (family->default_intermediate == 0)
        return family->intermediate_key == NULL ? STATUS_OK
                                                : read_size(size, reader, family->intermediate_key, err);
    *size = family->default_intermediate * decoder->hidden_size;
    if (family->intermediate_key == NULL)
        return STATUS_OK;
    return config_optional_size(&nullable, family->intermediate_key, size, err);
}

// The reference writes what is inside another model without the keys that have their defaults.
static void use_default_sizes(struct model_config *config, const struct family *family)
{
    config->vocab_size = family->default_sizes.vocabulary;
    config->num_hidden_layers = family->default_sizes.layers;
    config->decoder.hidden_size = family->default_sizes.hidden;
    config->decoder.intermediate_size = family->default_sizes.intermediate;
    config->decoder.num_attention_heads = family->default_sizes.heads;
}

static enum status read_heads(struct decoder_config *decoder, const struct config_reader *reader,
                              const struct family *family, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    const size_t hidden = decoder->hidden_size;
    const bool null_heads = json_is_null(config_value(reader, "num_key_value_heads"));

    if (family->read_heads != NULL)
        return family->read_heads(decoder, reader, err);
    FORWARD_IF_ERROR(read_named_size(&decoder->num_attention_heads, reader, family->heads_key,
                                     "num_attention_heads", err));
    decoder->num_key_value_heads = family->default_key_value_heads;
    if (null_heads || decoder->num_key_value_heads == 0)
        decoder->num_key_value_heads = decoder->num_attention_heads;
    if (!family->multi_head)
        FORWARD_IF_ERROR(
            config_optional_size(&nullable, "num_key_value_heads", &decoder->num_key_value_heads, err));
    RETURN_ERROR_IF(decoder->num_attention_heads % decoder->num_key_value_heads != 0, err, STATUS_INPUT,
                    "%s: num_attention_heads: %zu is not a multiple of num_key_value_heads %zu", reader->path,
                    decoder->num_attention_heads, decoder->num_key_value_heads);

    decoder->head_dim = family->default_head_dim;
    if (family->null_head_dim && json_is_null(config_value(reader, "head_dim")))
        decoder->head_dim = 0;
    if (!family->multi_head)
        FORWARD_IF_ERROR(config_optional_size(&nullable, "head_dim", &decoder->head_dim, err));
    RETURN_ERROR_IF((decoder->head_dim == 0 || family->divided_hidden) &&
                        hidden % decoder->num_attention_heads != 0,
                    err, STATUS_INPUT, "%s: hidden_size: %zu is not a multiple of num_attention_heads %zu",
                    reader->path, hidden, decoder->num_attention_heads);
    if (decoder->head_dim == 0)
        decoder->head_dim = hidden / decoder->num_attention_heads;
    decoder->attention_scale = (float)(1.0 / sqrt((double)decoder->head_dim));
    return STATUS_OK;
}

static enum status read_sizes(struct model_config *config, const struct config_reader *reader,
                              const struct family *family, struct error *err)
{
    struct decoder_config *decoder = &config->decoder;

    if (config->wrapper != NULL)
        use_default_sizes(config, family);
    FORWARD_IF_ERROR(
        read_named_size(&config->num_hidden_layers, reader, family->layers_key, "num_hidden_layers", err));
    RETURN_ERROR_IF(config->num_hidden_layers > 65536, err, STATUS_INPUT,
                    "%s: num_hidden_layers: must be at most 65536", reader->path);
    FORWARD_IF_ERROR(allocate(&config->layers, config->num_hidden_layers, sizeof *config->layers,
                              "the list of layers", err));
    FORWARD_IF_ERROR(read_size(&config->vocab_size, reader, "vocab_size", err));
    FORWARD_IF_ERROR(read_named_size(&decoder->hidden_size, reader, family->hidden_key, "hidden_size", err));
    FORWARD_IF_ERROR(read_intermediate(decoder, reader, family, err));
    config->max_position_embeddings = family->default_max_positions;
    FORWARD_IF_ERROR(read_named_size(&config->max_position_embeddings, reader, family->positions_key,
                                     "max_position_embeddings", err));
    return read_heads(decoder, reader, family, err);
}

enum status config_read_common(struct model_config *config, const struct config_reader *reader,
                               const struct family *family, struct error *err)
{
    struct decoder_config *decoder = &config->decoder;
    double epsilon = family->default_epsilon;
    bool causal = true;

    FORWARD_IF_ERROR(config_bool(reader, "is_causal", &causal, err));
    RETURN_ERROR_IF(!causal, err, STATUS_INPUT, "%s: is_causal: only causal language models can be pruned",
                    reader->path);
    FORWARD_IF_ERROR(read_sizes(config, reader, family, err));
    if (family->epsilon_key != NULL)
        FORWARD_IF_ERROR(config_real(reader, family->epsilon_key, 0.0, 1.0, &epsilon, err));
    decoder->norm = family->norm;
    decoder->norm_epsilon = (float)epsilon;
    FORWARD_IF_ERROR(read_activation(&decoder->activation, reader, family, err));
    config->tie_word_embeddings = family->default_tie;
    config->attention_bias = family->default_attention_bias;
    FORWARD_IF_ERROR(config_bool(reader, "tie_word_embeddings", &config->tie_word_embeddings, err));
    FORWARD_IF_ERROR(config_bool(reader, "attention_bias", &config->attention_bias, err));
    FORWARD_IF_ERROR(config_bool(reader, "mlp_bias", &config->mlp_bias, err));

    return read_rope(config, reader, family, err);
}
