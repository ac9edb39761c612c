#include "io/model.h"
#include "io/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 256 };

// Finds the tensors that are not in layers.
static enum status find_ends(struct model *model, struct error *err)
{
    const struct family *family = model->family;
    const size_t vocabulary = model->config.vocab_size, hidden = model->config.decoder.hidden_size;
    char name[NAME_SIZE];

    snprintf(name, sizeof name, "%s%s.weight", family->prefix, family->embedding);
    FORWARD_IF_ERROR(model_find_tensor(&model->embedding, model, name, vocabulary, hidden, err));
    snprintf(name, sizeof name, "%s%s.weight", family->prefix, family->final_norm);
    FORWARD_IF_ERROR(model_find_tensor(&model->final_norm, model, name, hidden, 1, err));
    if (model->config.tie_word_embeddings) {
        model->lm_head = model->embedding;
    } else {
        snprintf(name, sizeof name, "%s.weight", family->lm_head);
        FORWARD_IF_ERROR(model_find_tensor(&model->lm_head, model, name, vocabulary, hidden, err));
    }
    FORWARD_IF_ERROR(allocate(&model->final_norm_weight, hidden, sizeof(float), "the final norm", err));
    dtype_to_f32(model->final_norm_weight, model->final_norm->data, model->final_norm->dtype, hidden);
    return STATUS_OK;
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

enum status model_open(struct model **model, const char *directory, struct error *err)
{
    enum status status;

    *model = NULL;
    FORWARD_IF_ERROR(allocate(model, 1, sizeof **model, "the model", err));
    GOTO_IF_ERROR(model_config_read(&(*model)->config, &(*model)->family, directory, err), failed);
    GOTO_IF_ERROR(checkpoint_open(&(*model)->checkpoint, directory, err), failed);
    GOTO_IF_ERROR(find_ends(*model, err), failed);
    GOTO_IF_ERROR(check_layers(*model, err), failed);
    return STATUS_OK;

failed:
    model_close(*model);
    *model = NULL;
    return status;
}

void model_close(struct model *model)
{
    if (model == NULL)
        return;
    checkpoint_close(model->checkpoint);
    free(model->final_norm_weight);
    free(model);
}

enum status model_check_ids(const struct model *model, const int32_t *ids, size_t tokens, struct error *err)
{
    for (size_t t = 0; t < tokens; t++)
        RETURN_ERROR_IF(ids[t] < 0 || (size_t)ids[t] >= model->config.vocab_size, err, STATUS_INPUT,
                        "token %zu has the id %ld, outside the model's vocabulary of %zu", t, (long)ids[t],
                        model->config.vocab_size);
    return STATUS_OK;
}

void model_embed(const struct model *model, float *hidden, const int32_t *ids, size_t tokens)
{
    embed_tokens(hidden, model->embedding->data, model->embedding->dtype, ids, tokens,
                 model->config.decoder.hidden_size);
}

void model_lm_head(struct lm_head *head, const struct model *model)
{
    const struct decoder_config *decoder = &model->config.decoder;

    *head = (struct lm_head){.weight = model->lm_head->data,
                             .dtype = model->lm_head->dtype,
                             .vocab_size = model->config.vocab_size,
                             .hidden_size = decoder->hidden_size,
                             .norm = {.weight = model->final_norm_weight},
                             .norm_kind = decoder->norm,
                             .norm_epsilon = decoder->norm_epsilon};
}

enum status model_rotary_table(struct rotary_table *table, const struct model *model, size_t tokens,
                               struct error *err)
{
    const size_t pairs = model->config.decoder.rotary_dim / 2;
    float *frequencies = NULL, *cosine = NULL, *sine = NULL;
    enum status status;

    *table = (struct rotary_table){.tokens = tokens};
    GOTO_IF_ERROR(allocate(&frequencies, pairs, sizeof(float), "rotary frequencies", err), done);
    GOTO_IF_ERROR(allocate(&cosine, tokens, pairs * sizeof(float), "rotary angles", err), done);
    GOTO_IF_ERROR(allocate(&sine, tokens, pairs * sizeof(float), "rotary angles", err), done);
    rope_frequencies(frequencies, &model->config.rope, model->config.decoder.rotary_dim);
    rotary_angles(cosine, sine, frequencies, pairs, tokens, 1.0F);
    table->cosine = cosine;
    table->sine = sine;
    cosine = sine = NULL;

done:
    free(frequencies);
    free(cosine);
    free(sine);
    return status;
}

void rotary_table_free(struct rotary_table *table)
{
    free((void *)table->cosine);
    free((void *)table->sine);
    *table = (struct rotary_table){0};
}
