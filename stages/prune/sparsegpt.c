#include "stages/prune/sparsegpt.h"

#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "kernels/gemm.h"
#include "kernels/pruning/masks/held_zeros.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/second_order.h"
#include "kernels/threads.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/hessian.h"
#include "stages/prune/hessian_factor.h"
#include "stages/prune/linear_masks.h"
#include "stages/work.h"

#include <stdlib.h>
#include <string.h>

// ---- one linear -----------------------------------------------------------------------------------------

// A layer while its linears are pruned, on one rank.
struct second_order_layer {
    const struct stage *stage;
    const struct layer_weights *weights;
    const struct store_reader *statistics; // that columns are ordered by; NULL: no variant permutes
    struct cut cuts[SCORE_BATCH];
    size_t count; // of cuts
    struct factor factor;
};

// Everything that pruning one linear needs, on one rank.
struct pruner {
    const struct stage *stage;
    const struct variant *variant;
    double sparsity; // of this linear
    const struct layer_tensor *tensor;
    const struct linear_order *order;
    const double *factor; // U [in, in]
    size_t first, count;  // this rank's rows
    size_t in, width;     // columns of a block
    double *weights;      // [count, in] as corrected so far, columns in the order
    double *errors;       // [count, width] of the current block
    double *block;        // [width, width] the block's part of U
    float *scores;        // [count, width]
    uint8_t *keep;        // [threads, width] of one row
    uint8_t *mask;        // [count, mask_row_bytes(in)], columns as they are
    uint8_t *held;        // likewise, the zeros that stay (held_zeros.h)
};

// The column at a position of the order.
static size_t column_at(const struct pruner *p, size_t position)
{
    return p->order->columns != NULL ? p->order->columns[position] : position;
}

// Whether the row's weight at a position of the order may be kept.
static bool is_free(const struct pruner *p, size_t row, size_t position)
{
    const size_t at = column_at(p, position);
    return (p->held[row * mask_row_bytes(p->in) + at / 8] >> at % 8 & 1) == 0;
}

static void pruner_free(struct pruner *p)
{
    free(p->weights);
    free(p->errors);
    free(p->block);
    free(p->scores);
    free(p->keep);
    free(p->mask);
    free(p->held);
}

static enum status pruner_create(struct pruner *p, const struct second_order_layer *layer,
                                 const struct cut *cut, const struct layer_tensor *tensor,
                                 const struct linear_order *order, struct error *err)
{
    const struct stage *stage = layer->stage;
    const struct variant *variant = cut->variant;
    const struct factor *factor = &layer->factor;
    const float *weight = layer_weights_of(layer->weights, tensor);
    const size_t in = tensor->in;

    *p = (struct pruner){
        .stage = stage, .variant = variant, .sparsity = cut->sparsity, .tensor = tensor, .in = in};
    p->order = order;
    p->factor = factor->memory.data;
    p->width = second_order_width(variant->is_pattern ? variant->of : 0);
    share_of(tensor->out, (size_t)stage->team->rank, (size_t)stage->team->size, &p->first, &p->count);
    FORWARD_IF_ERROR(
        allocate_aligned(&p->weights, p->count * in, sizeof(double), "rows of a weight in double", err));
    FORWARD_IF_ERROR(
        allocate_aligned(&p->errors, p->count * p->width, sizeof(double), "pruning errors", err));
    FORWARD_IF_ERROR(allocate_aligned(&p->block, p->width * p->width, sizeof(double), "pruning errors", err));
    FORWARD_IF_ERROR(allocate_aligned(&p->scores, p->count * p->width, sizeof(float), "scores", err));
    FORWARD_IF_ERROR(allocate(&p->keep, threads_count(), p->width, "mask", err));
    FORWARD_IF_ERROR(allocate(&p->mask, p->count, mask_row_bytes(in), "mask", err));
    FORWARD_IF_ERROR(allocate(&p->held, p->count, mask_row_bytes(in), "mask", err));
    for (size_t i = 0; i < p->count && stage_holds_zeros(stage); i++)
        held_zeros_find(p->held + i * mask_row_bytes(in), weight + (p->first + i) * in, in);
    for (size_t i = 0; i < p->count; i++)
        for (size_t j = 0; j < in; j++)
            p->weights[i * in + j] =
                factor->dead[j] ? 0 : (double)weight[(p->first + i) * in + column_at(p, j)];
    return STATUS_OK;
}

// A block of columns, whose rows are shared out to threads.
struct block_rows {
    const struct pruner *pruner;
    size_t column, width;
    const double *diagonal; // [width] of the block's part of U
    const struct select_search *search;
};

static void score_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct block_rows *block = context;
    const struct pruner *p = block->pruner;
    const size_t width = block->width;

    (void)thread;
    for (size_t i = first; i < first + count; i++) {
        second_order_scores(p->scores + i * width, p->weights + i * p->in + block->column, block->diagonal,
                            width);
        for (size_t j = 0; j < width; j++)
            if (!is_free(p, i, block->column + j))
                p->scores[i * width + j] = 0;
    }
}

// Scores the block and finds the largest score that is pruned, by a radix search over the rows of all ranks.
static enum status find_threshold(struct pruner *p, size_t column, size_t width, struct select_search *search,
                                  struct error *err)
{
    const uint64_t all = (uint64_t)p->tensor->out * width;
    const uint64_t at = prune_count(all, p->sparsity); // its index in ascending order
    double diagonal[SECOND_ORDER_COLUMNS] = {0};

    for (size_t j = 0; j < width; j++)
        diagonal[j] = p->block[j * width + j];
    threads_share(p->count, threads_grain(8 * width), score_rows,
                  &(struct block_rows){.pruner = p, .column = column, .width = width, .diagonal = diagonal});
    select_search_begin(search, p->sparsity == 0 ? 0 : at < all ? at + 1 : all);
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        uint64_t histogram[SELECT_BINS] = {0};
        select_search_count(search, histogram, p->scores, p->count * width);
        FORWARD_IF_ERROR(team_sum_u64(p->stage->team, histogram, SELECT_BINS, err));
        select_search_narrow(search, histogram);
    }
    return STATUS_OK;
}

static bool is_above(const struct select_search *search, float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits); // scores are not negative: their bits are in their order
    return search->keep_all || bits > search->threshold;
}

static void prune_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct block_rows *block = context;
    const struct pruner *p = block->pruner;
    const size_t column = block->column, width = block->width;
    const size_t of = p->variant->is_pattern ? p->variant->of : 0;
    uint8_t *keep = p->keep + thread * p->width;

    for (size_t i = first; i < first + count; i++) {
        uint8_t *mask = p->mask + i * mask_row_bytes(p->in);
        for (size_t j = 0; j < width; j++)
            keep[j] =
                is_free(p, i, column + j) && (of != 0 || is_above(block->search, p->scores[i * width + j]));
        second_order_prune(p->weights + i * p->in + column, p->errors + i * width, keep, p->block, width,
                           p->variant->keep, of);
        for (size_t j = 0; j < width; j++) {
            const size_t at = column_at(p, column + j);
            mask[at / 8] |= (uint8_t)(keep[j] << at % 8);
        }
    }
}

static enum status prune_block(struct pruner *p, size_t column, size_t width, struct error *err)
{
    const size_t after = p->in - column - width, of = p->variant->is_pattern ? p->variant->of : 0;
    struct select_search search = {0};

    for (size_t j = 0; j < width; j++)
        memcpy(p->block + j * width, p->factor + (column + j) * p->in + column, width * sizeof *p->block);
    if (of == 0)
        FORWARD_IF_ERROR(find_threshold(p, column, width, &search, err));
    threads_share(p->count, threads_grain(width * width / 2), prune_rows,
                  &(struct block_rows){.pruner = p, .column = column, .width = width, .search = &search});
    // All rows at once: their bits do not depend on how many there are (kernels/gemm.h), and U is packed
    // once.
    if (p->count != 0 && after != 0)
        gemm_subtract_f64(p->weights + column + width, p->in, p->errors, width,
                          p->factor + column * p->in + column + width, p->in, p->count, after, width);
    return STATUS_OK;
}

static enum status write_update(struct pruner *p, const struct factor *factor, struct store_writer *writer,
                                struct error *err)
{
    const struct mask_rows rows = {p->first, p->count, p->mask};
    float *update = NULL;
    char name[DATASET_PATH_SIZE];

    FORWARD_IF_ERROR(mask_write(writer, p->stage->team, p->tensor, &rows, err));
    FORWARD_IF_ERROR(linear_order_write(p->order, writer, p->stage->team, p->tensor, err));
    FORWARD_IF_ERROR(few_tokens_write(writer, p->tensor, factor->tokens, true, err));
    dataset_path(name, p->tensor->linear, DATASET_UPDATE);
    FORWARD_IF_ERROR(store_attribute_f64(writer, name, "damping", factor->damping, err));
    FORWARD_IF_ERROR(store_attribute_u64(writer, name, "dead_channels", factor->num_dead, err));
    enum status status = allocate(&update, p->count * p->in, sizeof *update, "corrected weights", err);
    GOTO_IF_ERROR(team_agree(p->stage->team, status, err), done);
    for (size_t i = 0; i < p->count; i++)
        for (size_t j = 0; j < p->in; j++)
            update[i * p->in + column_at(p, j)] = (float)p->weights[i * p->in + j];
    status = store_write(writer, name, p->first, p->count, update, err);
done:
    free(update);
    return status;
}

// The order of the columns of a cut that permutes: by the scores of wanda, because those of the method itself
// depend on the order.
static enum status find_order(struct linear_order *order, const struct second_order_layer *layer,
                              const struct cut *cut, const struct layer_tensor *tensor, struct error *err)
{
    const struct score_inputs inputs = {
        .stage = layer->stage, .weights = layer->weights, .statistics = layer->statistics};
    struct variant wanda = *cut->variant;

    wanda.method = METHOD_WANDA;
    wanda.parameters = importance_defaults(METHOD_WANDA);
    return linear_order_by_scores(order, &inputs, tensor, &wanda, err);
}

// Prunes a linear for one of the cuts, and writes it for all cuts that are like it.
static enum status prune_linear(struct second_order_layer *layer, size_t which,
                                const struct layer_tensor *tensor, double fraction, struct error *err)
{
    const struct cut *cuts = layer->cuts;
    struct pruner pruner = {0};
    struct linear_order order;
    enum status status = find_order(&order, layer, &cuts[which], tensor, err);

    if (status != STATUS_OK)
        goto done;
    GOTO_IF_ERROR(factor_load(&layer->factor, tensor, &order, err), done);
    status = pruner_create(&pruner, layer, &cuts[which], tensor, &order, err);
    GOTO_IF_ERROR(team_agree(layer->stage->team, status, err), done);
    for (size_t column = 0; column < tensor->in; column += pruner.width) {
        const size_t width = tensor->in - column < pruner.width ? tensor->in - column : pruner.width;
        GOTO_IF_ERROR(stage_safe_point(layer->stage, STATUS_OK, fraction, err), done);
        GOTO_IF_ERROR(prune_block(&pruner, column, width, err), done);
    }
    for (size_t k = which; k < layer->count; k++)
        if (cuts[k].like == which)
            GOTO_IF_ERROR(write_update(&pruner, &layer->factor, cuts[k].writer, err), done);
done:
    pruner_free(&pruner);
    linear_order_free(&order);
    layer->factor.order = NULL;
    return status;
}

// Tensor i of the map, for all cuts.
static enum status prune_tensor(struct second_order_layer *layer, size_t i, struct error *err)
{
    const struct layer_map *map = &layer->weights->map;
    const struct layer_tensor *tensor = &map->tensors[i];
    const double step = 1 / (double)map->num_tensors;

    // A factor is planned for each mask.
    if (layer->factor.source != tensor->source)
        stage_advance(layer->stage, (double)layer->count * factor_work((double)tensor->in));
    cuts_begin_linear(layer->cuts, layer->count, map, tensor);
    for (size_t k = 0; k < layer->count; k++) {
        if (layer->cuts[k].like == k)
            FORWARD_IF_ERROR(
                prune_linear(layer, k, tensor, step * ((double)i + (double)k / (double)layer->count), err));
        else
            linear_order_skip(layer->stage, layer->cuts[k].variant, tensor);
        stage_advance(layer->stage, score_work((double)tensor->out * (double)tensor->in) +
                                        correct_work((double)tensor->out, (double)tensor->in));
    }
    return STATUS_OK;
}

static bool any_permutes(const struct variant *const *variants, size_t count)
{
    for (size_t k = 0; k < count; k++)
        if (variants[k]->permute)
            return true;
    return false;
}

enum status sparsegpt_layer(const struct stage *stage, const struct layer_weights *weights,
                            const struct variant *const *variants, size_t count, size_t layer,
                            struct error *err)
{
    const struct layer_map *map = &weights->map;
    struct second_order_layer pruned = {.stage = stage, .weights = weights, .count = count};
    struct store_reader *hessians = NULL, *statistics = NULL;
    char path[PATH_SIZE];
    enum status status;

    if (any_permutes(variants, count)) {
        run_layer_path(path, stage->settings->run, RUN_STATISTICS, stream_name(stage->settings, variants[0]),
                       layer);
        GOTO_IF_ERROR(store_open(&statistics, path, stage->team->comm, err), done);
        pruned.statistics = statistics;
    }
    hessian_path(path, stage->settings, stream_name(stage->settings, variants[0]), layer);
    GOTO_IF_ERROR(store_open(&hessians, path, stage->team->comm, err), done);
    GOTO_IF_ERROR(factor_create(&pruned.factor, stage, map, hessians, err), done);
    GOTO_IF_ERROR(cuts_open(pruned.cuts, stage, variants, count, map, err), done);
    for (size_t k = 0; k < count; k++)
        GOTO_IF_ERROR(updates_declare(&pruned.cuts[k], stage->settings, map,
                                      "weight after the second-order corrections, 0 where pruned", err),
                      done);
    for (size_t i = 0; i < map->num_tensors; i++)
        if (tensor_is_pruned(stage->settings, layer, &map->tensors[i]))
            GOTO_IF_ERROR(prune_tensor(&pruned, i, err), done);
done:
    store_close(statistics);
    store_close(hessians);
    factor_free(&pruned.factor);
    return cuts_finish(pruned.cuts, count, status, err);
}
