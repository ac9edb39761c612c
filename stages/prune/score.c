#include "stages/prune/score.h"

#include "io/file/run_paths.h"
#include "stages/layer/few_tokens.h"
#include "stages/prune/linear_masks.h"
#include "stages/work.h"

static enum status score_linear(const struct score_inputs *inputs, struct cut *cuts, size_t count,
                                const struct layer_tensor *tensor, struct error *err)
{
    const struct stage *stage = inputs->stage;
    struct linear_masks masks;
    enum status status;

    cuts_begin_linear(cuts, count, &inputs->weights->map, tensor);
    GOTO_IF_ERROR(linear_masks_create(&masks, inputs, tensor, cuts, count, err), done);
    for (size_t k = 0; k < count; k++) {
        const struct mask_rows rows = linear_masks_rows(&masks, &cuts[k]);
        GOTO_IF_ERROR(mask_write(cuts[k].writer, stage->team, tensor, &rows, err), done);
        GOTO_IF_ERROR(
            linear_order_write(&masks.orders[cuts[k].like], cuts[k].writer, stage->team, tensor, err), done);
        if (inputs->statistics != NULL)
            GOTO_IF_ERROR(few_tokens_write(cuts[k].writer, tensor, masks.tokens, false, err), done);
    }
done:
    linear_masks_free(&masks);
    return status;
}

enum status score_layer(const struct stage *stage, const struct layer_weights *weights,
                        const struct variant *const *variants, size_t count, size_t layer, struct error *err)
{
    const unsigned needs = importance_needs(variants[0]->method, &variants[0]->parameters);
    struct store_reader *statistics = NULL;
    struct cut cuts[SCORE_BATCH] = {{0}};
    char path[PATH_SIZE];
    enum status status;

    if (needs & NEEDS_STATISTICS) {
        run_layer_path(path, stage->settings->run, RUN_STATISTICS, stream_name(stage->settings, variants[0]),
                       layer);
        GOTO_IF_ERROR(store_open(&statistics, path, stage->team->comm, err), done);
    }
    const struct score_inputs inputs = {.stage = stage, .weights = weights, .statistics = statistics};
    GOTO_IF_ERROR(cuts_open(cuts, stage, variants, count, &weights->map, err), done);
    for (size_t i = 0; i < weights->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &weights->map.tensors[i];
        if (!tensor_is_pruned(stage->settings, layer, tensor))
            continue;
        GOTO_IF_ERROR(stage_safe_point(stage, STATUS_OK, (double)i / (double)weights->map.num_tensors, err),
                      done);
        GOTO_IF_ERROR(score_linear(&inputs, cuts, count, tensor, err), done);
        stage_advance(stage, (double)count * score_work((double)tensor->out * (double)tensor->in));
    }
done:
    store_close(statistics);
    return cuts_finish(cuts, count, status, err);
}
