#include "io/model/config_unread.h"

#include <stdio.h>
#include <string.h>

// Ended by '*': names that begin so. None of these changes the logits of a text in evaluation.
static const char *const harmless[] = {
    // Where the file comes from, and how it is run.
    "_attn_implementation*", "_commit_hash", "_experts_implementation*", "_flash_attn*", "_fast_init",
    "_from_auto", "_from_model_config", "*name_or_path", "architectures", "attn_implementation", "auto_map",
    "dtype", "experts_implementation", "model_name", "name", "tokenizer_*", "torch_dtype", "torchscript",
    "transformers.js_config", "transformers_version", "unsloth_*", "use_bfloat16", "use_cache",
    "use_flash_attention*",
    // Tokens, generation, and what is put out beside the logits.
    "*_token_id", "*_token_ids", "*_token_index", "bad_words_ids", "begin_suppress_tokens",
    "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "length_penalty", "max_length", "max_sequence_length",
    "max_new_tokens", "min_length", "model_max_length", "no_repeat_ngram_size", "num_beam_groups",
    "num_beams", "num_return_sequences", "output_attentions", "output_hidden_states", "output_router_logits",
    "output_scores", "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate",
    "seq_length", "suppress_tokens", "temperature", "top_k", "top_p", "typical_p",
    "keys_to_ignore_at_inference", "cache_implementation", "bos_token", "eos_token", "pad_token", "prefix",
    "task_specific_params", "problem_type", "id2label", "label2id", "num_labels", "finetuning_task",
    "classifier_dropout", "summary_*", "is_decoder", "chunk_size_feed_forward",
    // Training.
    "*dropout", "*dropout_prob", "*_pdrop", "gradient_checkpointing", "initializer_factor",
    "initializer_range", "init_std", "layerdrop", "neftune_noise_alpha", "pretraining_tp",
    "router_aux_loss_coef", "router_jitter_noise", "router_z_loss_coef", "aux_loss_alpha", "seq_aux",
    "z_loss_coefficient", "ep_size", "tensor_parallel_degree",
    // Copies of what other keys say, which the reference computes itself or stores for its own shards.
    "base_model_tp_plan", "base_model_pp_plan", "base_model_ep_plan", "attribute_map", "sub_configs", NULL};

// Of the keys above those whose types the reference checks when it opens a model, so that nothing is pruned
// that cannot be opened afterwards.
enum {
    OBJECT = 1 << JSON_OBJECT,
    ARRAY = 1 << JSON_ARRAY,
    STRING = 1 << JSON_STRING,
    INTEGER = 1 << JSON_INTEGER,
    REAL = 1 << JSON_REAL,
    NUMBER = INTEGER | REAL,
    BOOLEAN = 1 << JSON_TRUE | 1 << JSON_FALSE,
    NOTHING = 1 << JSON_NULL
};
static const struct type_of_key {
    const char *key;
    int types;
    const char *what;
} typed[] = {
    {"bos_token_id", INTEGER | ARRAY | NOTHING, "an integer, a list or null"},
    {"dtype", STRING | OBJECT | NOTHING, "a string, an object or null"},
    {"eos_token_id", INTEGER | ARRAY | NOTHING, "an integer, a list or null"},
    {"id2label", OBJECT | NOTHING, "an object or null"},
    {"initializer_range", NUMBER | NOTHING, "a number or null"},
    {"pad_token_id", INTEGER | ARRAY | NOTHING, "an integer, a list or null"},
    {"torch_dtype", STRING | OBJECT | NOTHING, "a string, an object or null"},
    {"use_cache", BOOLEAN | NOTHING, "true, false or null"},
};
// Narrower in the object of the language model: what is around it has no such keys of its own.
static const struct type_of_key own_typed[] = {
    {"bos_token_id", INTEGER | NOTHING, "an integer or null"},
    {"init_std", REAL | NOTHING, "a number with a point, as 1.0, or null"},
    {"initializer_range", REAL | NOTHING, "a number with a point, as 1.0, or null"},
    {"router_aux_loss_coef", REAL | NOTHING, "a number with a point, as 1.0, or null"},
    {"router_jitter_noise", REAL | NOTHING, "a number with a point, as 1.0, or null"},
    {"pad_token_id", INTEGER | NOTHING, "an integer or null"},
    {"use_cache", BOOLEAN, "true or false"},
};

// Keys that say that the model is of another kind, in families that do not have it: with them ignored it
// would be another model.
static const struct {
    const char *key, *what;
} other_kinds[] = {
    {"add_cross_attention", "attention to a second input"},
    {"cross_attention_*", "attention to a second input"},
    {"cross_layer_*", "layers that share what is theirs"},
    {"is_encoder_decoder", "an encoder"},
    {"tie_encoder_decoder", "an encoder"},
    {"use_bidirectional_attention", "attention to tokens that come later"},
    {"bidirectional_attention", "attention to tokens that come later"},
    {"pruned_heads", "heads that are taken out when it is opened"},
    {"text_config", "a language model inside another model"},
    {"vision_config", "parts for images"},
    {"audio_config", "parts for sound"},
    {"index_*", "attention to some tokens alone, chosen by an index"},
    {"hc_*", "several residual streams"},
    {"quantization_config", "codes in the place of weights"},
    {"compression_config", "codes in the place of weights"},
};

// What `dtype` may be, as PyTorch calls it.
static const char *const number_formats[] = {"float32", "float16", "bfloat16", "float64", "float",
                                             "half",    "double",  "float8_*", NULL};

static bool fits(const char *name, const char *pattern)
{
    const size_t length = strlen(pattern), size = strlen(name);

    if (pattern[0] == '*')
        return size >= length - 1 && strcmp(name + size - (length - 1), pattern + 1) == 0;
    if (pattern[length - 1] == '*')
        return strncmp(name, pattern, length - 1) == 0;
    return strcmp(name, pattern) == 0;
}

static bool is_in(const char *const *patterns, const char *key)
{
    for (; patterns != NULL && *patterns != NULL; patterns++)
        if (fits(key, *patterns))
            return true;
    return false;
}

static bool is_off(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(value) == 0.0;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    case JSON_TRUE:
        break;
    }
    return false;
}

// `dtype` of an object is one for each part of the model; the reference takes the one without a name for all.
static enum status check_dtype(const char *path, const json_t *value, const char *shown, struct error *err)
{
    const json_t *one = json_is_object(value) ? json_object_get(value, "") : value;
    char text[64];

    if (one == NULL || (one == value && json_is_null(value)))
        return STATUS_OK;
    RETURN_ERROR_IF(!json_is_string(one), err, STATUS_INPUT, "%s: %s: its entry \"\" must be a string", path,
                    shown);
    RETURN_ERROR_IF(!is_in(number_formats, json_string_value(one)), err, STATUS_INPUT,
                    "%s: %s: '%s' is not a number format of weights", path, shown,
                    printable(text, sizeof text, json_string_value(one)));
    return STATUS_OK;
}

static enum status check_in(const struct type_of_key *rows, size_t count, const char *path, const char *key,
                            const json_t *value, const char *shown, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        RETURN_ERROR_IF(strcmp(rows[i].key, key) == 0 && !(rows[i].types & 1 << json_typeof(value)), err,
                        STATUS_INPUT, "%s: %s: must be %s", path, shown, rows[i].what);
    return STATUS_OK;
}

static enum status refuse_unknown(const char *path, const char *key, const char *shown, struct error *err)
{
    for (size_t i = 0; i < sizeof other_kinds / sizeof *other_kinds; i++)
        RETURN_ERROR_IF(fits(key, other_kinds[i].key), err, STATUS_INPUT,
                        "%s: %s: asks for %s, which coppice does not compute in this family", path, shown,
                        other_kinds[i].what);
    // shown is what stands before it, with a dot.
    RETURN_ERROR_IF(key[0] == '\0', err, STATUS_INPUT,
                    "%s: %s\"\": is an empty key, which coppice does not know; remove it", path, shown);
    return error_set(err, STATUS_INPUT,
                     "%s: %s: is not known to coppice and may change what the model computes; if it does "
                     "not, ignore it with --ignore-config-key %s",
                     path, shown, shown);
}

// One walk through the object.
struct walk {
    const char *path; // of the file
    const struct language_model_keys *model;
    const char *const *also;
    const struct ignored_keys *ignored;
    char used[64]; // whether an ignored key was found; those beyond are not checked
};

// The reference's embedding has a row for padding, and PyTorch counts from the end where it is negative.
static enum status check_padding(const struct walk *walk, const json_t *value, const char *shown,
                                 struct error *err)
{
    const json_int_t rows = (json_int_t)walk->model->padded_rows, id = json_integer_value(value);

    RETURN_ERROR_IF(rows != 0 && (id >= rows || id < -rows), err, STATUS_INPUT,
                    "%s: %s: %lld is not one of %lld tokens, and transformers opens no such model of this "
                    "family",
                    walk->path, shown, (long long)id, (long long)rows);
    return STATUS_OK;
}

static enum status check_ends(const struct walk *walk, const json_t *value, const char *shown,
                              struct error *err)
{
    const json_t *id;
    size_t i;

    json_array_foreach(value, i, id) RETURN_ERROR_IF(!json_is_integer(id), err, STATUS_INPUT,
                                                     "%s: %s: must be a list of integers", walk->path, shown);
    return STATUS_OK;
}

static enum status check_value(const struct walk *walk, const json_t *object, const char *key,
                               const json_t *value, const char *shown, struct error *err)
{
    const size_t count = sizeof typed / sizeof *typed, own_count = sizeof own_typed / sizeof *own_typed;

    if (object == walk->model->object) {
        FORWARD_IF_ERROR(check_in(own_typed, own_count, walk->path, key, value, shown, err));
        if (strcmp(key, "pad_token_id") == 0)
            FORWARD_IF_ERROR(check_padding(walk, value, shown, err));
        if (strcmp(key, "eos_token_id") == 0)
            FORWARD_IF_ERROR(check_ends(walk, value, shown, err));
    }
    FORWARD_IF_ERROR(check_in(typed, count, walk->path, key, value, shown, err));
    return strcmp(key, "dtype") == 0 || strcmp(key, "torch_dtype") == 0
               ? check_dtype(walk->path, value, shown, err)
               : STATUS_OK;
}

enum { FULL_NAME_SIZE = 512 };

static bool is_ignored(struct walk *walk, const char *full, const char *key)
{
    bool found = false;

    for (size_t i = 0; walk->ignored != NULL && i < walk->ignored->count; i++) {
        if (strcmp(walk->ignored->names[i], full) != 0 && strcmp(walk->ignored->names[i], key) != 0)
            continue;
        found = true;
        if (i < sizeof walk->used)
            walk->used[i] = 1;
    }
    return found;
}

static enum status check_object(struct walk *walk, const json_t *object, const json_t *seen,
                                const char *prefix, struct error *err)
{
    char full[FULL_NAME_SIZE], shown[200];
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        const json_t *read = json_object_get(seen, key);
        snprintf(full, sizeof full, "%s%s", prefix, key);
        const bool ignored = is_ignored(walk, full, key);
        printable(shown, sizeof shown, full);
        if (json_is_object(read) && json_is_object(value)) {
            snprintf(full, sizeof full, "%s%s.", prefix, key);
            FORWARD_IF_ERROR(check_object(walk, value, read, full, err));
            continue;
        }
        if (!ignored)
            FORWARD_IF_ERROR(check_value(walk, object, key, value, shown, err));
        RETURN_ERROR_IF(ignored && read != NULL, err, STATUS_INPUT,
                        "%s: %s: is a key that coppice knows and follows; it cannot be ignored", walk->path,
                        shown);
        if (read == NULL && !ignored && !is_off(value) && !is_in(harmless, key) &&
            !is_in(walk->model->harmless, key) && !is_in(walk->also, key))
            return refuse_unknown(walk->path, key, shown, err);
    }
    return STATUS_OK;
}

enum status config_refuse_unread(const struct config_reader *reader, const struct language_model_keys *model,
                                 const char *const *also, const struct ignored_keys *ignored,
                                 struct error *err)
{
    struct walk walk = {.path = reader->path, .model = model, .also = also, .ignored = ignored};
    char shown[200];

    FORWARD_IF_ERROR(check_object(&walk, reader->object, reader->seen, reader->prefix, err));
    for (size_t i = 0; ignored != NULL && i < ignored->count && i < sizeof walk.used; i++)
        RETURN_ERROR_IF(!walk.used[i], err, STATUS_INPUT,
                        "%s: %s: is to be ignored, but there is no such key", reader->path,
                        printable(shown, sizeof shown, ignored->names[i]));
    return STATUS_OK;
}
