#include "io/model/model.h"

#include "io/file/json.h"
#include "io/model/family.h"
#include "io/model/weights/coded.h"
#include "kernels/forward/embedding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Of a tensor that is stored as codes.
static void read_codes(float *values, const void *tensor, size_t first, size_t count)
{
    coded_elements(values, tensor, first, 1, count);
}

static struct embedding token_embedding(const struct model *model)
{
    const struct safetensors_tensor *tensor = model->embedding;
    const bool coded = tensor->coding != NULL;

    return (struct embedding){.table = coded ? tensor : tensor->data,
                              .dtype = tensor->dtype,
                              .read = coded ? read_codes : NULL,
                              .hidden_size = model->config.decoder.hidden_size,
                              .scale = model->embedding_scale};
}

struct per_layer_input model_per_layer_input(const struct model *model, size_t layer)
{
    const struct decoder_config *decoder = &model->config.decoder;
    const size_t size = decoder->per_layer_size;
    struct per_layer_input input = {
        .tokens = token_embedding(model), .norm_kind = decoder->norm, .norm_epsilon = decoder->norm_epsilon};

    const struct safetensors_tensor *own = model->per_layer;
    if (own == NULL)
        return input;
    input.own = (struct embedding){.table = own->coding != NULL ? (const void *)own : own->data,
                                   .dtype = own->dtype,
                                   .read = own->coding != NULL ? read_codes : NULL,
                                   .first_value = layer * size,
                                   .hidden_size = size,
                                   .row_size = model->config.num_hidden_layers * size,
                                   .scale = model->per_layer_scale};
    return input;
}

// The token that enters the model for `id`.
static int32_t entering(const struct model *model, int32_t id)
{
    const struct stand_in *stand_in = &model->config.stand_in;

    for (size_t i = 0; i < stand_in->count; i++)
        if (stand_in->ids[i] == id)
            return stand_in->by;
    return id;
}

// Embeds tokens, some of which others stand in for.
static void embed_stand_ins(const struct model *model, float *states, struct embedding embedding,
                            const int32_t *ids, size_t tokens)
{
    enum { PIECE = 256 };
    int32_t piece[PIECE];

    for (size_t first = 0; first < tokens; first += PIECE) {
        const size_t count = tokens - first < PIECE ? tokens - first : PIECE;
        for (size_t t = 0; t < count; t++)
            piece[t] = entering(model, ids[first + t]);
        embedding_forward(states + first * embedding.hidden_size, &embedding, piece, count);
        embedding.first_position += count;
    }
}

// Makes states of hidden states [tokens, hidden_size], in place: the last first, which move farthest.
static void spread_states(float *states, const struct model *model, const int32_t *ids, size_t tokens)
{
    const struct decoder_config *decoder = &model->config.decoder;
    const size_t hidden = decoder->hidden_size, row = state_size(decoder);

    for (size_t t = tokens; t-- > 0;) {
        float *state = states + t * row;
        memmove(state, states + t * hidden, hidden * sizeof *state);
        memset(state + hidden, 0, (row - hidden) * sizeof *state);
        if (decoder->per_layer_size != 0)
            state[hidden] = (float)entering(model, ids[t]);
    }
}

void model_embed(const struct model *model, float *states, const int32_t *ids, size_t tokens)
{
    model_embed_at(model, states, ids, tokens, 0);
}

void model_embed_at(const struct model *model, float *states, const int32_t *ids, size_t tokens,
                    size_t position)
{
    struct embedding embedding = token_embedding(model);

    if (model->positions != NULL) {
        embedding.positions = model->positions->data;
        embedding.positions_dtype = model->positions->dtype;
        embedding.first_position = model->config.first_position + position;
    }
    embed_stand_ins(model, states, embedding, ids, tokens);
    if (model->config.norm_embedding || model->embedding_norm.weight != NULL)
        norm_forward(states, states, tokens, embedding.hidden_size,
                     model->config.norm_embedding ? &(struct norm){.plain = true} : &model->embedding_norm,
                     model->config.decoder.norm, model->config.decoder.norm_epsilon);
    if (model->config.decoder.carried_size != 0)
        spread_states(states, model, ids, tokens);
}

void model_lm_head(struct lm_head *head, const struct model *model)
{
    const struct decoder_config *decoder = &model->config.decoder;
    const struct safetensors_tensor *weight = model->lm_head;

    *head = (struct lm_head){.weight = weight->coding != NULL ? (const void *)weight : weight->data,
                             .dtype = weight->dtype,
                             .compute = model->compute,
                             .read = weight->coding != NULL ? read_codes : NULL,
                             .vocab_size = model->config.vocab_size,
                             .hidden_size = decoder->hidden_size,
                             .state_size = state_size(decoder),
                             .norm = {.weight = model->final_norm_weight,
                                      .bias = model->final_norm_bias,
                                      .plain = model->family->final_norm == NULL},
                             .norm_kind = decoder->norm,
                             .norm_epsilon = decoder->norm_epsilon,
                             .bias = model->lm_head_bias_copy,
                             .logit_scale = model->config.logit_scale,
                             .logit_soft_cap = model->config.final_logit_soft_cap};
}

// Of two matrices of one shape and dtype.
static bool values_are_equal(const struct safetensors_tensor *a, const struct safetensors_tensor *b)
{
    enum { PIECE = 1024 };
    char left[PIECE * sizeof(float)], right[PIECE * sizeof(float)];
    const size_t element = dtype_size(a->dtype), count = (size_t)(a->shape[0] * a->shape[1]);
    bool equal = true;

    if (a->coding == NULL && b->coding == NULL)
        return memcmp(a->data, b->data, count * element) == 0;
    for (size_t first = 0; first < count && equal; first += PIECE) {
        const size_t n = count - first < PIECE ? count - first : PIECE;
        tensor_elements(left, a, first, n);
        tensor_elements(right, b, first, n);
        equal = memcmp(left, right, n * element) == 0;
    }
    return equal;
}

// Whether the head differs from the embedding that it is tied to.
static bool has_denied_head(const struct model *model)
{
    const struct safetensors_tensor *embedding = model->embedding, *head = model->lm_head;

    return model->config.tie_word_embeddings && head != embedding &&
           (head->dtype != embedding->dtype || !values_are_equal(head, embedding));
}

// Whether the blocks at an edge are smaller. The reference (5.24, integrations/finegrained_fp8.py) cuts a
// matrix evenly by the number of its scales, and so otherwise, or not at all.
static bool has_smaller_blocks(const struct coding *coding)
{
    return (coding->scale_rows > 1 && coding->rows % coding->block_rows != 0) ||
           (coding->scale_columns > 1 && coding->columns % coding->block_columns != 0);
}

// How many matrices of codes have such blocks, and the first one's name.
static size_t count_smaller_blocks(const char **first, const struct checkpoint *checkpoint)
{
    size_t count = 0;

    for (size_t s = 0; s < checkpoint->num_shards; s++)
        for (size_t i = 0; i < checkpoint->shards[s]->count; i++) {
            const struct safetensors_tensor *tensor = &checkpoint->shards[s]->tensors[i];
            if (tensor->coding == NULL || !has_smaller_blocks(tensor->coding))
                continue;
            if (count++ == 0)
                *first = tensor->name;
        }
    return count;
}

size_t model_warnings(char lines[MODEL_WARNINGS][MODEL_WARNING_SIZE], const struct model *model)
{
    const char *directory = model->checkpoint->directory;
    const bool one = model->num_unused == 1;
    const char *where =
        model->config.wrapper != NULL ? "outside of the language model" : "that config.json does not ask for";
    const char *smaller = NULL;
    char first[200];
    size_t count = 0;

    if (has_denied_head(model))
        snprintf(
            lines[count++], MODEL_WARNING_SIZE,
            "%s/config.json: tie_word_embeddings is true, but '%s' differs from the embedding and is used",
            directory, model->lm_head->name);
    if (model->num_unused > 0)
        snprintf(lines[count++], MODEL_WARNING_SIZE, "%s: %zu tensor%s %s %s carried over as %s: '%s'%s",
                 directory, model->num_unused, one ? "" : "s", where, one ? "is" : "are",
                 one ? "it is" : "they are", printable(first, sizeof first, model->first_unused),
                 one ? "" : " and others");
    if (model->config.headless[0] != '\0')
        snprintf(
            lines[count++], MODEL_WARNING_SIZE,
            "%s/config.json: a %s has no head of a language model: it is calibrated and measured with %s, "
            "and what it has in place of a head is carried over",
            directory, model->config.headless,
            model->lm_head == model->embedding ? "its embedding as the head" : model->lm_head->name);
    if (model->checkpoint->num_misplaced > 0)
        snprintf(lines[count++], MODEL_WARNING_SIZE,
                 "%s/model.safetensors.index.json: says of %zu tensor%s, '%s'%s, that a shard has %s which "
                 "has not: what the shards hold counts, as in transformers",
                 directory, model->checkpoint->num_misplaced,
                 model->checkpoint->num_misplaced == 1 ? "" : "s",
                 printable(first, sizeof first, model->checkpoint->first_misplaced),
                 model->checkpoint->num_misplaced == 1 ? "" : " and others",
                 model->checkpoint->num_misplaced == 1 ? "it" : "them");
    const bool is_fp8 = model->config.quantisation.kind == QUANTISATION_FP8;
    const size_t uneven = is_fp8 ? count_smaller_blocks(&smaller, model->checkpoint) : 0;
    if (uneven > 0)
        snprintf(lines[count++], MODEL_WARNING_SIZE,
                 "%s/config.json: weight_block_size does not divide '%s'%s: blocks at the edge are taken to "
                 "be smaller, as "
                 "those who quantise mean it; transformers 5.24 takes all blocks to be equal, and computes "
                 "otherwise",
                 directory, printable(first, sizeof first, smaller), uneven > 1 ? " and others" : "");
    return count;
}

static enum status fill_angles(const float **cosine, const float **sine, const struct model_config *config,
                               const struct rope_config *rope, size_t rotary_dim, size_t tokens,
                               struct error *err)
{
    const size_t pairs = rotary_dim / 2;
    float *frequencies = NULL, *c = NULL, *s = NULL;
    enum status status;

    GOTO_IF_ERROR(allocate(&frequencies, pairs, sizeof(float), "rotary frequencies", err), done);
    GOTO_IF_ERROR(allocate(&c, tokens, pairs * sizeof(float), "rotary angles", err), done);
    GOTO_IF_ERROR(allocate(&s, tokens, pairs * sizeof(float), "rotary angles", err), done);
    rope_frequencies(frequencies, rope, rotary_dim, tokens);
    for (size_t i = 0; i < pairs && config->reversed_rotary; i++)
        frequencies[i] = -frequencies[i];
    rotary_angles(c, s, frequencies, pairs, tokens, (float)rope_scale(rope, tokens));
    *cosine = c;
    *sine = s;
    c = s = NULL;

done:
    free(frequencies);
    free(c);
    free(s);
    return status;
}

static enum status fill_query_scale(const float **scale, const struct model_config *config, size_t tokens,
                                    struct error *err)
{
    float *factors;

    FORWARD_IF_ERROR(allocate(&factors, tokens, sizeof *factors, "factors on queries", err));
    for (size_t t = 0; t < tokens; t++)
        factors[t] =
            (float)(1.0 + config->query_scale_beta * log1p(floor(((double)t + config->query_scale_first) /
                                                                 config->query_scale_context)));
    *scale = factors;
    return STATUS_OK;
}

static enum status fill_biases(const float **bias, const struct model_config *config, size_t tokens,
                               struct error *err)
{
    const size_t heads = config->decoder.num_attention_heads;
    float *biases;

    FORWARD_IF_ERROR(allocate(&biases, heads * tokens, sizeof *biases, "biases of positions", err));
    alibi_biases(biases, config->alibi, heads, tokens, config->decoder.attention_scale);
    *bias = biases;
    return STATUS_OK;
}

enum status model_rotary_table(struct rotary_table *table, const struct model *model, size_t tokens,
                               struct error *err)
{
    const struct model_config *config = &model->config;
    const size_t local_dim =
        config->local_rotary_dim != 0 ? config->local_rotary_dim : config->decoder.rotary_dim;
    enum status status;

    *table = (struct rotary_table){.tokens = tokens};
    RETURN_ERROR_IF(
        (model->positions != NULL || config->bounded_positions) && tokens > config->max_position_embeddings,
        err, STATUS_INPUT, "%s: sequences of %zu tokens do not fit: the model has %zu %spositions",
        model->checkpoint->directory, tokens, config->max_position_embeddings,
        model->positions != NULL ? "learned " : "");
    if (config->alibi != ALIBI_NONE)
        GOTO_IF_ERROR(fill_biases(&table->bias, config, tokens, err), failed);
    if (config->decoder.rotary_dim == 0)
        return STATUS_OK;
    GOTO_IF_ERROR(fill_angles(&table->cosine, &table->sine, config, &config->rope, config->decoder.rotary_dim,
                              tokens, err),
                  failed);
    if (config->local_rope.theta != 0.0)
        GOTO_IF_ERROR(fill_angles(&table->local_cosine, &table->local_sine, config, &config->local_rope,
                                  local_dim, tokens, err),
                      failed);
    if (config->query_scale_beta != 0.0)
        GOTO_IF_ERROR(fill_query_scale(&table->query_scale, config, tokens, err), failed);
    return STATUS_OK;

failed:
    rotary_table_free(table);
    return status;
}

void rotary_table_free(struct rotary_table *table)
{
    free((void *)table->cosine);
    free((void *)table->sine);
    free((void *)table->local_cosine);
    free((void *)table->local_sine);
    free((void *)table->query_scale);
    free((void *)table->bias);
    *table = (struct rotary_table){0};
}
