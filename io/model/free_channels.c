#include "io/model/free_channels.h"

bool free_columns_of(struct free_columns *columns, const struct layer_tensor *tensor,
                     const struct decoder_config *model)
{
    const struct decoder_config own = with_heads(model, &tensor->heads), *config = &own;

    if (tensor->role == ROLE_DOWN)
        *columns = (struct free_columns){1, 1, tensor->in};
    else if (tensor->role == ROLE_ATTENTION_OUTPUT)
        *columns = (struct free_columns){config->num_key_value_heads,
                                         config->num_attention_heads / config->num_key_value_heads,
                                         value_head_dim(config)};
    else
        return false;
    return true;
}

const struct layer_tensor *free_rows_reader(const struct layer_map *map, const struct layer_tensor *tensor)
{
    enum channel_role reader = ROLE_NONE;

    if (tensor->role == ROLE_INNER || tensor->role == ROLE_INNER_TWICE)
        reader = ROLE_DOWN;
    if (tensor->role == ROLE_VALUE || tensor->role == ROLE_QUERY_KEY_VALUE ||
        tensor->role == ROLE_QUERY_GATE || tensor->role == ROLE_KEY_VALUE)
        reader = ROLE_ATTENTION_OUTPUT;
    // An MLP's writers stand before its reader, and no other MLP's between them.
    for (const struct layer_tensor *next = tensor + 1;
         reader != ROLE_NONE && next < map->tensors + map->num_tensors; next++)
        if (next->role == reader)
            return next;
    return NULL;
}

// Where the rows of a head's values begin.
static size_t first_value_row(enum channel_role role, size_t head, const struct decoder_config *config)
{
    if (role == ROLE_KEY_VALUE)
        return head * (config->latent.plain_dim + config->latent.value_dim) + config->latent.plain_dim;
    if (role == ROLE_VALUE)
        return head * config->head_dim;
    return qkv_row(config, QKV_VALUE, head);
}

// Each query head has its gate behind its query, and the gate's channels are those of the head's output.
static void order_gates(uint32_t *rows, const uint32_t *columns, const struct decoder_config *config)
{
    for (size_t head = 0; head < config->num_attention_heads; head++) {
        const size_t row = (2 * head + 1) * config->head_dim, column = head * config->head_dim;
        for (size_t k = 0; k < config->head_dim; k++)
            rows[row + k] = (uint32_t)(row + columns[column + k] - column);
    }
}

void free_rows_order(uint32_t *rows, const struct layer_tensor *tensor, const uint32_t *columns,
                     const struct decoder_config *model)
{
    const struct decoder_config own = with_heads(model, &tensor->heads), *config = &own;
    const bool is_inner = tensor->role == ROLE_INNER || tensor->role == ROLE_INNER_TWICE;
    const size_t parts = tensor->role == ROLE_INNER_TWICE ? 2 : 1, inner = tensor->out / parts;
    const size_t copies = config->num_attention_heads / config->num_key_value_heads;
    const size_t channels = value_head_dim(config);

    for (size_t i = 0; i < tensor->out; i++)
        rows[i] = (uint32_t)i;
    if (tensor->role == ROLE_QUERY_GATE) {
        order_gates(rows, columns, config);
        return;
    }
    for (size_t part = 0; part < parts && is_inner; part++)
        for (size_t k = 0; k < inner; k++)
            rows[part * inner + k] = (uint32_t)(part * inner) + columns[k];
    for (size_t head = 0; head < config->num_key_value_heads && !is_inner; head++) {
        const size_t row = first_value_row(tensor->role, head, config);
        const size_t column = head * copies * channels;
        for (size_t k = 0; k < channels; k++)
            rows[row + k] = (uint32_t)(row + columns[column + k] - column);
    }
}
