#include "io/model/config.h"

#include "io/model/config_common.h"
#include "io/model/config_unread.h"
#include "io/model/families/table.h"
#include "io/model/families/wrappers.h"
#include "io/text/ending.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// *text reads the keys of the language model inside a wrapper, with messages that begin with path[PATH_MAX].
static enum status find_text(struct config_reader *text, char *path, const struct wrapper *wrapper,
                             const struct config_reader *root, struct error *err)
{
    static const char key[] = "text_config";

    *text = *root;
    if (wrapper->flat && config_find(root, key) == NULL)
        return STATUS_OK;
    RETURN_ERROR_IF(config_find(root, key) == NULL, err, STATUS_INPUT, "%s: %s: is missing", root->path, key);
    FORWARD_IF_ERROR(config_object(root, key, "", text, err));
    snprintf(path, PATH_MAX, "%s: %s", root->path, key);
    text->path = path;
    return STATUS_OK;
}

// The family of the language model inside a wrapper.
static enum status find_text_family(const struct family **family, const struct wrapper *wrapper,
                                    const struct config_reader *text, struct error *err)
{
    const char *model_type = wrapper->default_text;
    bool known = false;
    char type[64];

    FORWARD_IF_ERROR(config_string(text, "model_type", &model_type, err));
    // At the root; and inside a wrapper that has one class of language models the reference does not look at
    // it.
    if (strcmp(model_type, wrapper->model_type) == 0 && wrapper->texts[1] == NULL)
        model_type = wrapper->default_text;
    for (size_t i = 0; wrapper->texts[i] != NULL; i++)
        known |= strcmp(wrapper->texts[i], model_type) == 0;
    *family = family_find(model_type);
    RETURN_ERROR_IF(!known || *family == NULL, err, STATUS_INPUT,
                    "%s: model_type: '%s' is not supported as the language model inside '%s'", text->path,
                    printable(type, sizeof type, model_type), wrapper->model_type);
    return STATUS_OK;
}

static enum status find_family(const struct family **family, const struct config_reader *reader,
                               struct error *err)
{
    const char *model_type = NULL;
    char type[64], supported[2048];

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
    return STATUS_OK;
}

static bool has_gate(const struct family *family)
{
    for (size_t i = 0; i < family->num_members; i++)
        if (family->members[i].member == offsetof(struct decoder_layer, gate) ||
            family->members[i].member == offsetof(struct decoder_layer, gate_up))
            return true;
    return false;
}

// The reference makes one tensor of all experts' weights when it opens a model, but not through a compressor.
static enum status check_left_over(const struct model_config *config, const struct config_reader *root,
                                   struct error *err)
{
    RETURN_ERROR_IF(config->quantisation.left_over && config->decoder.num_experts != 0, err, STATUS_INPUT,
                    "%s: quantization_config: says that nothing is quantised, but transformers does not open "
                    "a model with experts that has it; remove the key",
                    root->path);
    return STATUS_OK;
}

static enum status read_model(struct model_config *config, const struct family *family,
                              const struct config_reader *reader, struct error *err)
{
    struct config_reader named = *reader;

    named.aliases = family->aliases;
    snprintf(config->model_type, sizeof config->model_type, "%s", family->model_type);
    FORWARD_IF_ERROR(config_read_common(config, &named, family, err));
    config->decoder.mlp_without_gate = !has_gate(family);
    return family->configure != NULL ? family->configure(config, &named, err) : STATUS_OK;
}

// Tokens that the wrapper replaces by the one that fills up its batches.
static enum status read_placeholders(struct model_config *config, const struct config_reader *root,
                                     const struct config_reader *text, struct error *err)
{
    static const char pad_key[] = "pad_token_id";
    const struct wrapper_placeholder *one = config->wrapper->placeholders;
    struct stand_in *stand_in = &config->stand_in;
    const json_t *pad = config_value(text, pad_key);

    for (; one->key != NULL; one++) {
        const json_t *value = config_value(root, one->key);
        RETURN_ERROR_IF(value != NULL && !json_is_null(value) && !json_is_integer(value), err, STATUS_INPUT,
                        "%s: %s: must be an integer", root->path, one->key);
        if (json_is_null(value)) // there is no such token
            continue;
        const json_int_t id = value != NULL ? json_integer_value(value) : one->id;
        if (id >= 0 && (size_t)id < config->vocab_size)
            stand_in->ids[stand_in->count++] = (int32_t)id;
    }
    RETURN_ERROR_IF(pad != NULL && (!json_is_integer(pad) || json_integer_value(pad) < 0 ||
                                    (size_t)json_integer_value(pad) >= config->vocab_size),
                    err, STATUS_INPUT, "%s: %s: must be the id of a token, which stands for images",
                    text->path, pad_key);
    stand_in->by = (int32_t)json_integer_value(pad);
    return STATUS_OK;
}

static enum status check_tokens(const struct wrapper *wrapper, const struct config_reader *root,
                                struct error *err)
{
    for (const char *const *key = wrapper->tokens; key != NULL && *key != NULL; key++) {
        const json_t *value = config_value(root, *key);
        const bool is_list = ends_with(*key, "_ids");
        RETURN_ERROR_IF(value != NULL && !(is_list ? json_is_array(value) : json_is_integer(value)), err,
                        STATUS_INPUT, "%s: %s: must be %s", root->path, *key,
                        is_list ? "a list of integers" : "an integer");
    }
    return STATUS_OK;
}

// Where parts outside of the language model take its width from.
static enum status check_hidden(const struct model_config *config, const struct config_reader *root,
                                struct error *err)
{
    size_t hidden = config->wrapper->default_hidden;

    FORWARD_IF_ERROR(config_optional_size(root, "hidden_size", &hidden, err));
    RETURN_ERROR_IF(hidden != config->decoder.hidden_size, err, STATUS_INPUT,
                    "%s: hidden_size: %zu contradicts text_config.hidden_size, %zu", root->path, hidden,
                    config->decoder.hidden_size);
    return STATUS_OK;
}

// What the wrapper says itself, and what of the language model's own class it leaves out.
static enum status read_wrapper(struct model_config *config, const struct config_reader *root,
                                const struct config_reader *text, struct error *err)
{
    const struct wrapper *wrapper = config->wrapper;
    bool tie = wrapper->default_tie;

    FORWARD_IF_ERROR(check_tokens(wrapper, root, err));
    if (wrapper->placeholders != NULL)
        FORWARD_IF_ERROR(read_placeholders(config, root, text, err));
    if (wrapper->default_hidden != 0)
        FORWARD_IF_ERROR(check_hidden(config, root, err));
    FORWARD_IF_ERROR(config_bool(root, "tie_word_embeddings", &tie, err));
    if (wrapper->tie == TIE_OF_ROOT)
        config->tie_word_embeddings = tie;
    else if (wrapper->tie == TIE_OF_EITHER)
        config->tie_word_embeddings |= tie;
    config->logit_scale = 0.0F;
    if (!wrapper->caps_logits)
        config->final_logit_soft_cap = 0.0F;
    return STATUS_OK;
}

// What the file was saved from. It changes nothing here: the reference, too, opens it as a language model.
static void read_architecture(struct model_config *config, const struct config_reader *root)
{
    static const char *const ends[] = {"ForSequenceClassification",
                                       "ForTokenClassification",
                                       "ForQuestionAnswering",
                                       "ForMultipleChoice",
                                       "ForRewardModel",
                                       "ForRewardModeling",
                                       "RewardModel",
                                       "Model"};
    const char *name = json_string_value(json_array_get(json_object_get(root->object, "architectures"), 0));

    for (size_t i = 0; name != NULL && i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i])) {
            printable(config->headless, sizeof config->headless, name);
            return;
        }
}

// What the root says counts, else what is said inside; the weights are dequantised to the root's dtype.
static enum status read_quantisation(struct quantisation *quantisation, const struct config_reader *root,
                                     const struct config_reader *text, struct error *err)
{
    static const char key[] = "quantization_config";
    const bool inside = config_find(root, key) == NULL && text->object != root->object;

    config_pass(text, key);
    FORWARD_IF_ERROR(quantisation_read(quantisation, root, root, err));
    return inside ? quantisation_read(quantisation, text, root, err) : STATUS_OK;
}

static enum status read_config(struct model_config *config, const struct family **family,
                               const struct config_reader *root, struct error *err)
{
    const char *model_type;
    struct config_reader text;
    char path[PATH_MAX];

    RETURN_ERROR_IF(!json_is_object(root->object), err, STATUS_INPUT, "%s: must be a JSON object",
                    root->path);
    model_type = json_string_value(config_find(root, "model_type"));
    read_architecture(config, root);
    config->wrapper = model_type != NULL ? wrapper_find(model_type) : NULL;
    if (config->wrapper == NULL) {
        FORWARD_IF_ERROR(find_family(family, root, err));
        FORWARD_IF_ERROR(quantisation_read(&config->quantisation, root, root, err));
        FORWARD_IF_ERROR(read_model(config, *family, root, err));
        return check_left_over(config, root, err);
    }
    FORWARD_IF_ERROR(find_text(&text, path, config->wrapper, root, err));
    FORWARD_IF_ERROR(read_quantisation(&config->quantisation, root, &text, err));
    FORWARD_IF_ERROR(find_text_family(family, config->wrapper, &text, err));
    FORWARD_IF_ERROR(read_model(config, *family, &text, err));
    FORWARD_IF_ERROR(check_left_over(config, root, err));
    return read_wrapper(config, root, &text, err);
}

static enum status refuse_unread(const struct model_config *config, const struct family *family,
                                 const struct config_reader *root, const struct ignored_keys *ignored,
                                 struct error *err)
{
    const json_t *inside = config->wrapper != NULL ? json_object_get(root->object, "text_config") : NULL;
    const struct language_model_keys keys = {.object = inside != NULL ? inside : root->object,
                                             .harmless = family->harmless,
                                             .padded_rows = family->free_pad_token ? 0 : config->vocab_size};

    return config_refuse_unread(root, &keys, config->wrapper != NULL ? config->wrapper->harmless : NULL,
                                ignored, err);
}

enum status model_config_read(struct model_config *config, const struct family **family,
                              const char *directory, const struct ignored_keys *ignored, struct error *err)
{
    char path[PATH_MAX];
    json_t *json, *seen = NULL;
    bool lost = false;
    enum status status;

    *config = (struct model_config){0};
    *family = NULL;
    RETURN_ERROR_IF(snprintf(path, sizeof path, "%s/config.json", directory) >= (int)sizeof path, err,
                    STATUS_INPUT, "%s: path is too long", directory);
    FORWARD_IF_ERROR(json_read(&json, path, err));
    seen = json_object();
    const struct config_reader reader = {
        .object = json, .seen = seen, .lost = &lost, .path = path, .prefix = ""};
    status = seen != NULL ? read_config(config, family, &reader, err) : STATUS_OK;
    if (status == STATUS_OK &&
        (seen == NULL || lost)) // a key that was read and not written down is not unknown
        status = error_set(err, STATUS_MEMORY, "%s: out of memory for its keys", path);
    if (status == STATUS_OK)
        status = refuse_unread(config, *family, &reader, ignored, err);
    json_decref(seen);
    json_decref(json);
    return status;
}

void model_config_free(struct model_config *config)
{
    rope_config_free(&config->rope);
    rope_config_free(&config->local_rope);
    free(config->layers);
    config->layers = NULL;
}

size_t model_config_positions(const struct model_config *config)
{
    const struct rope_config *rope = &config->rope;
    double positions = (double)config->max_position_embeddings;

    if (config->alibi != ALIBI_NONE && !config->bounded_positions)
        return 0;
    if (rope->type == ROPE_LINEAR || rope->type == ROPE_DYNAMIC)
        positions *= fmax(1, rope->factor);
    else if (rope->type == ROPE_YARN)
        positions = fmax(positions, rope->original_max_position_embeddings * rope->factor);
    return positions < 0x1p53 ? (size_t)positions : 0;
}
