#include "io/model/open.h"

#include "io/model/config.h"
#include "io/model/conversion.h"
#include "io/model/family.h"
#include "io/model/layer_map.h"
#include "io/model/tensors.h"
#include "io/model/weights/coded.h"
#include "io/model/weights/decode.h"
#include "io/model/wrapper.h"
#include "io/text/file_name.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { NAME_SIZE = 256 };

// Writes the name of the head's tensor into name[NAME_SIZE]; returns whether the checkpoint has it.
static bool name_lm_head(char *name, const struct model *model)
{
    const struct family *family = model->family;
    const struct wrapper *wrapper = model->config.wrapper;

    for (size_t i = 0; wrapper != NULL && wrapper->heads[i] != NULL; i++) {
        snprintf(name, NAME_SIZE, "%s.weight", wrapper->heads[i]);
        if (checkpoint_find(model->checkpoint, name, NULL) != NULL)
            return true;
    }
    snprintf(name, NAME_SIZE, "%s.weight", family->lm_head);
    if (wrapper != NULL)
        return false;
    if (family->lm_head_elsewhere != NULL && checkpoint_find(model->checkpoint, name, NULL) == NULL)
        snprintf(name, NAME_SIZE, "%s.weight", family->lm_head_elsewhere);
    return checkpoint_find(model->checkpoint, name, NULL) != NULL;
}

// Whether the model's tensors have this prefix. A tied embedding may be stored as the head alone.
static bool has_prefix(const struct model *model, const char *prefix)
{
    const char *const parts[] = {model->family->embedding, model->family->final_norm};
    char name[NAME_SIZE];

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(name, sizeof name, "%s%s.weight", prefix, parts[i]);
        if (checkpoint_find(model->checkpoint, name, NULL) != NULL)
            return true;
    }
    return false;
}

// Checkpoints that were saved from the model without its head leave out the prefix.
static void choose_prefix(struct model *model)
{
    const struct wrapper *wrapper = model->config.wrapper;
    char name[NAME_SIZE];

    if (wrapper != NULL) {
        const char *const *prefix = wrapper->prefixes;
        while (*prefix != NULL && !has_prefix(model, *prefix))
            prefix++;
        model->prefix = *prefix != NULL ? *prefix : wrapper->prefixes[0];
        return;
    }
    const struct family *family = model->family;
    snprintf(name, sizeof name, "%s.weight", family->embedding);
    if (checkpoint_find(model->checkpoint, name, NULL) != NULL)
        model->prefix = "";
    else if (family->other_prefix != NULL && !has_prefix(model, family->prefix) &&
             has_prefix(model, family->other_prefix))
        model->prefix = family->other_prefix;
    else
        model->prefix = family->prefix;
}

// A factor as the reference has it, in the number format of the embeddings that it multiplies.
static float rounded_scale(double scale, enum dtype dtype)
{
    unsigned char rounded[sizeof(double)];
    float out;

    dtype_from_f64(rounded, &scale, dtype, 1);
    dtype_to_f32(&out, rounded, dtype, 1);
    return out;
}

static enum status find_embedding(struct model *model, struct error *err)
{
    const struct family *family = model->family;
    const struct model_config *config = &model->config;
    const size_t hidden = config->decoder.hidden_size;
    char name[NAME_SIZE], head[NAME_SIZE];

    snprintf(name, sizeof name, "%s%s.weight", model->prefix, family->embedding);
    // Of two tied tensors a checkpoint needs only one, and it may be the head.
    if (config->tie_word_embeddings && checkpoint_find(model->checkpoint, name, NULL) == NULL &&
        name_lm_head(head, model))
        snprintf(name, sizeof name, "%s", head);
    FORWARD_IF_ERROR(model_find_matrix(&model->embedding, model, name, config->vocab_size, hidden, err));
    model->embedding_scale = config->embedding_scale != 0.0 ? (float)config->embedding_scale : 1.0F;
    if (config->rounded_embedding_scale)
        model->embedding_scale = rounded_scale(config->embedding_scale, model->embedding->dtype);
    if (family->positions == NULL)
        return STATUS_OK;
    snprintf(name, sizeof name, "%s%s.weight", model->prefix, family->positions);
    return model_find_matrix(&model->positions, model, name,
                             config->first_position + config->max_position_embeddings, hidden, err);
}

static enum status find_per_layer_embedding(struct model *model, struct error *err)
{
    const struct decoder_config *decoder = &model->config.decoder;
    char name[NAME_SIZE];

    if (decoder->per_layer_size == 0)
        return STATUS_OK;
    snprintf(name, sizeof name, "%s%s.weight", model->prefix, model->family->per_layer_embedding);
    FORWARD_IF_ERROR(model_find_matrix(&model->per_layer, model, name, model->config.per_layer_vocab_size,
                                       model->config.num_hidden_layers * decoder->per_layer_size, err));
    model->per_layer_scale = rounded_scale(sqrt((double)decoder->per_layer_size), model->per_layer->dtype);
    return STATUS_OK;
}

// A head in the checkpoint is used even if `tie_word_embeddings` says that there is none: that is what the
// reference does when the two differ, and when they are the same it makes no difference.
static enum status find_lm_head(struct model *model, struct error *err)
{
    char name[NAME_SIZE];

    const bool is_there = name_lm_head(name, model);

    model->lm_head = model->embedding;
    if (!is_there && model->config.tie_word_embeddings)
        return STATUS_OK;
    RETURN_ERROR_IF(
        !is_there && model->config.headless[0] != '\0', err, STATUS_INPUT,
        "%s: tensor '%s' is missing: this is a %s (config.json: architectures), which has no head "
        "of a language model; prune the language model that it was made from",
        model->checkpoint->directory, name, model->config.headless);
    return model_find_matrix(&model->lm_head, model, name, model->config.vocab_size,
                             model->config.decoder.hidden_size, err);
}

// *copy <- tensor[size] in float32.
static enum status copy_vector(float **copy, const struct safetensors_tensor *tensor, size_t size,
                               const char *what, struct error *err)
{
    FORWARD_IF_ERROR(allocate(copy, size, sizeof **copy, what, err));
    dtype_to_f32(*copy, tensor->data, tensor->dtype, size);
    return STATUS_OK;
}

// A bias of the head is not tied to anything.
static enum status find_lm_head_bias(struct model *model, struct error *err)
{
    const size_t vocabulary = model->config.vocab_size;
    char name[NAME_SIZE];

    if (!model->family->lm_head_bias && !model->config.lm_head_bias)
        return STATUS_OK;
    snprintf(name, sizeof name, "%s.bias", model->family->lm_head);
    FORWARD_IF_ERROR(model_find_vector(&model->lm_head_bias, model, name, vocabulary, err));
    return copy_vector(&model->lm_head_bias_copy, model->lm_head_bias, vocabulary, "the head's bias", err);
}

static enum status find_embedding_norm(struct model *model, struct error *err)
{
    static const char *const suffixes[] = {"weight", "bias"};
    const size_t hidden = model->config.decoder.hidden_size;
    const float **const places[] = {&model->embedding_norm.weight, &model->embedding_norm.bias};

    for (size_t i = 0; i < 2 && model->family->embedding_norm != NULL; i++) {
        const struct safetensors_tensor *tensor;
        char name[NAME_SIZE];
        float *copy;
        snprintf(name, sizeof name, "%s%s.%s", model->prefix, model->family->embedding_norm, suffixes[i]);
        FORWARD_IF_ERROR(model_find_vector(&tensor, model, name, hidden, err));
        FORWARD_IF_ERROR(copy_vector(&copy, tensor, hidden, "the norm of embeddings", err));
        *places[i] = copy;
    }
    return STATUS_OK;
}

// *copy is the float32 copy of "<prefix><final_norm>.<suffix>", *tensor that tensor.
static enum status copy_final_norm(float **copy, const struct safetensors_tensor **tensor,
                                   const struct model *model, const char *suffix, struct error *err)
{
    const size_t hidden = model->config.decoder.hidden_size;
    char name[NAME_SIZE];

    snprintf(name, sizeof name, "%s%s.%s", model->prefix, model->family->final_norm, suffix);
    FORWARD_IF_ERROR(model_find_vector(tensor, model, name, hidden, err));
    return copy_vector(copy, *tensor, hidden, "the final norm", err);
}

static enum status find_final_norm(struct model *model, struct error *err)
{
    const struct safetensors_tensor *bias;

    if (model->config.no_final_norm || model->family->final_norm == NULL)
        return STATUS_OK;
    FORWARD_IF_ERROR(copy_final_norm(&model->final_norm_weight, &model->final_norm, model, "weight", err));
    const bool layer_norm =
        model->config.decoder.norm == NORM_LAYER || model->config.decoder.norm == NORM_LAYER_ONE_PLUS;
    if (!layer_norm || model->family->norm_without_bias)
        return STATUS_OK;
    return copy_final_norm(&model->final_norm_bias, &bias, model, "bias", err);
}

static enum status check_layers(const struct model *model, struct error *err)
{
    for (size_t layer = 0; layer < model->config.num_hidden_layers; layer++) {
        struct layer_map map;
        FORWARD_IF_ERROR(layer_map_create(&map, model, layer, err));
        layer_map_free(&map);
    }
    return STATUS_OK;
}

// Positions are read as they lie in the file.
static enum status check_outer_codes(const struct model *model, struct error *err)
{
    const struct safetensors_tensor *positions = model->positions;

    RETURN_ERROR_IF(positions != NULL && positions->coding != NULL, err, STATUS_INPUT,
                    "%s: tensor '%s' is quantised (%s), which positions may not be",
                    model->checkpoint->directory, positions->name, positions->coding->codes.dtype_name);
    return STATUS_OK;
}

enum status model_open_ignoring(struct model **model, const char *directory,
                                const struct ignored_keys *ignored, struct error *err)
{
    enum status status;
    struct stat info;

    *model = NULL;
    const bool is_there = stat(directory, &info) == 0;
    RETURN_ERROR_IF(!is_there && (errno == ENOENT || errno == ENOTDIR), err, STATUS_INPUT, "%s: no such %s",
                    directory, is_name_of_weights(directory) ? "file" : "model folder");
    if (is_there && S_ISREG(info.st_mode))
        return model_file_refuse(directory, err);
    FORWARD_IF_ERROR(model_folder_refuse(directory, err)); // some have no config.json either
    FORWARD_IF_ERROR(allocate(model, 1, sizeof **model, "the model", err));
    GOTO_IF_ERROR(model_config_read(&(*model)->config, &(*model)->family, directory, ignored, err), failed);
    GOTO_IF_ERROR(checkpoint_open(&(*model)->checkpoint, directory, err), failed);
    GOTO_IF_ERROR(checkpoint_decode((*model)->checkpoint, &(*model)->config.quantisation, err), failed);
    choose_prefix(*model);
    GOTO_IF_ERROR(find_embedding(*model, err), failed);
    GOTO_IF_ERROR(find_embedding_norm(*model, err), failed);
    GOTO_IF_ERROR(find_per_layer_embedding(*model, err), failed);
    GOTO_IF_ERROR(find_lm_head(*model, err), failed);
    GOTO_IF_ERROR(find_lm_head_bias(*model, err), failed);
    GOTO_IF_ERROR(find_final_norm(*model, err), failed);
    GOTO_IF_ERROR(check_outer_codes(*model, err), failed);
    GOTO_IF_ERROR(check_layers(*model, err), failed);
    (*model)->num_unused = checkpoint_unused(&(*model)->first_unused, (*model)->checkpoint);
    return STATUS_OK;

failed:
    model_close(*model);
    *model = NULL;
    return status;
}

enum status model_open(struct model **model, const char *directory, struct error *err)
{
    return model_open_ignoring(model, directory, NULL, err);
}

void model_close(struct model *model)
{
    if (model == NULL)
        return;
    checkpoint_close(model->checkpoint);
    model_config_free(&model->config);
    free(model->final_norm_weight);
    free(model->final_norm_bias);
    free(model->lm_head_bias_copy);
    free((void *)model->embedding_norm.weight);
    free((void *)model->embedding_norm.bias);
    free(model);
}
