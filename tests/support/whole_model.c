#include "tests/support/whole_model.h"
#include "io/model/layer_map.h"
#include "io/model/tensor_rows.h"

#include <stdlib.h>

static enum status new_floats(float **floats, size_t count, struct error *err)
{
    void *memory = NULL;
    const enum status status = allocate_aligned(&memory, count, sizeof(float), "a whole model", err);
    *floats = memory;
    return status;
}

static enum status run_layer(const struct model *model, size_t l, const struct rotary_table *rotary,
                             float *hidden, size_t tokens, float *workspace, struct error *err)
{
    struct layer_map map;
    struct decoder_layer layer;
    float *block;

    FORWARD_IF_ERROR(layer_map_create(&map, model, l, err));
    const enum status status = new_floats(&block, map.block_size, err);
    if (status == STATUS_OK) {
        for (size_t i = 0; i < map.num_tensors; i++) {
            const struct layer_tensor *entry = &map.tensors[i];
            tensor_rows_f32(block + entry->offset, entry, 0, entry->out);
        }
        layer_map_bind(&layer, &map, model, block);
        decoder_layer_forward(&model->config.decoder, &layer, rotary, hidden, tokens, workspace, NULL);
        free(block);
    }
    layer_map_free(&map);
    return status;
}

enum status whole_model_hidden(float **hidden, const struct model *model, const int32_t *ids, size_t tokens,
                               struct error *err)
{
    const struct decoder_config *config = &model->config.decoder;
    struct rotary_table rotary;
    float *workspace;

    FORWARD_IF_ERROR(model_rotary_table(&rotary, model, tokens, err));
    enum status status = new_floats(hidden, tokens * state_size(config), err);
    if (status == STATUS_OK)
        status = new_floats(&workspace, decoder_workspace_size(config, tokens), err);
    else
        workspace = NULL;
    if (status == STATUS_OK)
        model_embed(model, *hidden, ids, tokens);
    for (size_t l = 0; l < model->config.num_hidden_layers && status == STATUS_OK; l++)
        status = run_layer(model, l, &rotary, *hidden, tokens, workspace, err);
    rotary_table_free(&rotary);
    free(workspace);
    return status;
}

enum status whole_model_logits(float **logits, const struct model *model, const float *hidden, size_t tokens,
                               struct error *err)
{
    struct lm_head head;
    float *workspace;

    model_lm_head(&head, model);
    FORWARD_IF_ERROR(new_floats(logits, tokens * model->config.vocab_size, err));
    const enum status status = new_floats(&workspace, lm_head_workspace_size(&head, tokens), err);
    if (status == STATUS_OK)
        lm_head_logits(*logits, &head, hidden, tokens, workspace);
    free(workspace);
    return status;
}
