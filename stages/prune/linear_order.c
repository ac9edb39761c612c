#include "stages/prune/linear_order.h"

#include "io/model/free_channels.h"
#include "kernels/pruning/masks/permutation.h"
#include "stages/work.h"

#include <stdlib.h>
#include <string.h>

enum { TILE_ROWS = 16 };   // that a rank turns into columns at a time
enum { MOST_ROWS = 4096 }; // of the linear that are looked at

// What the ranks of a node share; offsets are in bytes.
struct order_layout {
    struct free_columns free;
    size_t sampled;       // rows of the linear that are looked at
    size_t rows, groups;  // of a block: every copy is a row
    size_t thresholds_of; // floats of a block
    uint64_t orders, kept, scores, thresholds, gains, bytes;
};

static uint64_t take(struct order_layout *layout, uint64_t bytes)
{
    const uint64_t begin = layout->bytes;
    layout->bytes += (bytes + 63) / 64 * 64;
    return begin;
}

// False when the order of the columns is not free, or `of` does not divide a block.
static bool lay_out(struct order_layout *layout, const struct layer_tensor *tensor, const struct model *model,
                    size_t of)
{
    *layout = (struct order_layout){.bytes = 0};
    if (!free_columns_of(&layout->free, tensor, &model->config.decoder) || layout->free.channels % of != 0)
        return false;
    const size_t blocks = layout->free.blocks;
    layout->sampled = tensor->out < MOST_ROWS ? tensor->out : MOST_ROWS;
    layout->rows = layout->sampled * layout->free.copies;
    layout->groups = layout->free.channels / of;
    layout->thresholds_of = permutation_thresholds_size(layout->rows, layout->groups);
    layout->orders = take(layout, blocks * layout->free.channels * sizeof(uint32_t));
    layout->kept = take(layout, 2 * blocks * sizeof(double));
    layout->scores = take(layout, (uint64_t)layout->sampled * tensor->in * sizeof(float));
    layout->thresholds = take(layout, (uint64_t)blocks * layout->thresholds_of * sizeof(float));
    layout->gains = take(layout, (uint64_t)blocks * layout->groups * layout->groups * sizeof(float));
    return true;
}

bool linear_has_order(const struct variant *variant, const struct layer_tensor *tensor,
                      const struct model *model)
{
    struct order_layout layout;
    return variant->permute && variant->is_pattern && lay_out(&layout, tensor, model, variant->of);
}

struct order_cost order_cost(const struct layer_tensor *tensor, const struct model *model, size_t of)
{
    const double rounds = (double)(PERMUTATION_SWEEPS * of);
    struct order_layout layout;

    if (!lay_out(&layout, tensor, model, of))
        return (struct order_cost){0};
    const double blocks = (double)layout.free.blocks, groups = (double)layout.groups;
    return (struct order_cost){.bytes = layout.bytes,
                               .gains = rounds * blocks * order_gains_work((double)layout.rows, groups),
                               .exchanges = rounds * blocks * order_exchange_work(groups)};
}

void linear_order_free(struct linear_order *order)
{
    free(order->columns);
    *order = (struct linear_order){0};
}

// ---- the search -------------------------------------------------------------------------------------------

// An order while it is found, on one rank.
struct order_search {
    const struct order_question *question;
    struct order_layout layout;
    struct shared_block memory;
};

static void *shared_at(const struct order_search *search, uint64_t offset)
{
    return (char *)search->memory.data + offset;
}

static struct permuted_scores block_scores(const struct order_search *search, size_t block)
{
    const struct order_layout *layout = &search->layout;
    const size_t floats = layout->free.channels * layout->rows;
    return (struct permuted_scores){.rows = layout->rows,
                                    .channels = layout->free.channels,
                                    .keep = search->question->variant->keep,
                                    .of = search->question->variant->of,
                                    .scores = (float *)shared_at(search, layout->scores) + block * floats};
}

static uint32_t *block_order(const struct order_search *search, size_t block)
{
    return (uint32_t *)shared_at(search, search->layout.orders) + block * search->layout.free.channels;
}

static float *block_thresholds(const struct order_search *search, size_t block)
{
    return (float *)shared_at(search, search->layout.thresholds) + block * search->layout.thresholds_of;
}

static float *block_gains(const struct order_search *search, size_t block)
{
    const size_t groups = search->layout.groups;
    return (float *)shared_at(search, search->layout.gains) + block * groups * groups;
}

// Rows [first, first + count) of the sample, count <= TILE_ROWS, become parts of columns. tile: [count, in].
static void place_rows(const struct order_search *search, float *tile, size_t first, size_t count)
{
    const struct order_layout *layout = &search->layout;
    const struct free_columns *free = &layout->free;
    const struct layer_tensor *tensor = search->question->tensor;
    float *scores = shared_at(search, layout->scores);

    for (size_t k = 0; k < count; k++) // evenly from the first row on
        search->question->row(search->question->context, tile + k * tensor->in,
                              (first + k) * tensor->out / layout->sampled);
    for (size_t column = 0; column < tensor->in; column++) {
        const size_t head = column / free->channels, copy = head % free->copies;
        const size_t channel = head / free->copies * free->channels + column % free->channels;
        for (size_t k = 0; k < count; k++)
            scores[channel * layout->rows + copy * layout->sampled + first + k] =
                tile[k * tensor->in + column];
    }
}

static enum status sample_scores(const struct order_search *search, struct error *err)
{
    const struct team *team = search->question->stage->team;
    const size_t in = search->question->tensor->in;
    size_t first, count;
    float *tile = NULL;

    share_of(search->layout.sampled, (size_t)team->node_rank, (size_t)team->node_size, &first, &count);
    FORWARD_IF_ERROR(allocate(&tile, TILE_ROWS * in, sizeof *tile, "scores of some rows", err));
    for (size_t k = 0; k < count; k += TILE_ROWS)
        place_rows(search, tile, first + k, count - k < TILE_ROWS ? count - k : TILE_ROWS);
    free(tile);
    return STATUS_OK;
}

// Blocks that are handled whole are dealt out to the ranks of the node.
static bool is_mine(const struct order_search *search, size_t block)
{
    const struct team *team = search->question->stage->team;
    return block % (size_t)team->node_size == (size_t)team->node_rank;
}

static enum status deal(const struct order_search *search, struct error *err)
{
    for (size_t block = 0; block < search->layout.free.blocks; block++) {
        const struct permuted_scores scores = block_scores(search, block);
        if (is_mine(search, block))
            FORWARD_IF_ERROR(permutation_deal(block_order(search, block), &scores, err));
    }
    return STATUS_OK;
}

static enum status exchange(const struct order_search *search, size_t place, struct error *err)
{
    const struct team *team = search->question->stage->team;
    struct group_share share;

    share_of(search->layout.groups, (size_t)team->node_rank, (size_t)team->node_size, &share.first,
             &share.count);
    for (size_t block = 0; block < search->layout.free.blocks; block++) {
        const struct permuted_scores scores = block_scores(search, block);
        permutation_thresholds(block_thresholds(search, block), &scores, block_order(search, block), place,
                               share);
    }
    shared_block_sync(&search->memory, team);
    for (size_t block = 0; block < search->layout.free.blocks; block++) {
        const struct permuted_scores scores = block_scores(search, block);
        permutation_gains(block_gains(search, block), &scores, block_order(search, block),
                          block_thresholds(search, block), place, share);
    }
    shared_block_sync(&search->memory, team);
    for (size_t block = 0; block < search->layout.free.blocks; block++) {
        const struct permuted_scores scores = block_scores(search, block);
        if (is_mine(search, block))
            FORWARD_IF_ERROR(permutation_exchange(block_order(search, block), &scores,
                                                  block_gains(search, block), place, err));
    }
    return STATUS_OK;
}

// What is kept with and without the order; a block that gains nothing stays as it was.
static void compare_kept(const struct order_search *search)
{
    double *kept = shared_at(search, search->layout.kept);

    for (size_t block = 0; block < search->layout.free.blocks; block++) {
        const struct permuted_scores scores = block_scores(search, block);
        uint32_t *order = block_order(search, block);
        if (!is_mine(search, block))
            continue;
        kept[2 * block] = permutation_kept(&scores, NULL);
        kept[2 * block + 1] = permutation_kept(&scores, order);
        if (kept[2 * block + 1] > kept[2 * block])
            continue;
        kept[2 * block + 1] = kept[2 * block];
        for (size_t k = 0; k < search->layout.free.channels; k++)
            order[k] = (uint32_t)k;
    }
}

static enum status search_order(const struct order_search *search, struct error *err)
{
    const struct stage *stage = search->question->stage;
    const struct layer_tensor *tensor = search->question->tensor;
    const size_t of = search->question->variant->of, rounds = PERMUTATION_SWEEPS * of;
    const struct order_cost cost = order_cost(tensor, stage->model, of);

    FORWARD_IF_ERROR(team_agree(stage->team, sample_scores(search, err), err));
    shared_block_sync(&search->memory, stage->team);
    FORWARD_IF_ERROR(team_agree(stage->team, deal(search, err), err));
    shared_block_sync(&search->memory, stage->team);
    for (size_t round = 0; round < rounds; round++) {
        FORWARD_IF_ERROR(stage_safe_point(stage, exchange(search, round % of, err), 0, err));
        shared_block_sync(&search->memory, stage->team);
        stage_advance(stage, (cost.gains + cost.exchanges) / (double)rounds);
    }
    compare_kept(search);
    shared_block_sync(&search->memory, stage->team);
    return STATUS_OK;
}

// From the blocks' orders to that of the columns. All ranks take those of rank 0.
static enum status collect(struct linear_order *order, const struct order_search *search, struct error *err)
{
    const struct team *team = search->question->stage->team;
    const struct free_columns *free = &search->layout.free;
    const size_t in = search->question->tensor->in;
    const double *kept = shared_at(search, search->layout.kept);
    double sums[2] = {0};

    for (size_t column = 0; column < in; column++) {
        const size_t head = column / free->channels;
        order->columns[column] =
            (uint32_t)(head * free->channels +
                       block_order(search, head / free->copies)[column % free->channels]);
    }
    for (size_t block = 0; block < free->blocks; block++)
        for (size_t k = 0; k < 2; k++)
            sums[k] += kept[2 * block + k];
    FORWARD_IF_ERROR(team_broadcast(team, order->columns, in * sizeof *order->columns, 0, err));
    FORWARD_IF_ERROR(team_broadcast(team, sums, sizeof sums, 0, err));
    order->kept_before = sums[0];
    order->kept_after = sums[1];
    return STATUS_OK;
}

enum status linear_order_create(struct linear_order *order, const struct order_question *question,
                                struct error *err)
{
    const struct stage *stage = question->stage;
    struct order_search search = {.question = question};
    enum status status;

    *order = (struct linear_order){0};
    if (!linear_has_order(question->variant, question->tensor, stage->model))
        return STATUS_OK;
    lay_out(&search.layout, question->tensor, stage->model, question->variant->of);
    status =
        allocate(&order->columns, question->tensor->in, sizeof *order->columns, "an order of channels", err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    FORWARD_IF_ERROR(shared_block_allocate(&search.memory, stage->team, search.layout.bytes,
                                           "the scores that channels are ordered by", err));
    status = search_order(&search, err);
    if (status == STATUS_OK)
        status = collect(order, &search, err);
    shared_block_free(&search.memory);
    return status;
}

void linear_order_skip(const struct stage *stage, const struct variant *variant,
                       const struct layer_tensor *tensor)
{
    if (!linear_has_order(variant, tensor, stage->model))
        return;
    const struct order_cost cost = order_cost(tensor, stage->model, variant->of);
    stage_advance(stage, cost.gains + cost.exchanges);
}

void linear_orders_tell(const struct stage *stage, const struct variant *variant, const struct layer_map *map)
{
    for (size_t i = 0; i < map->num_tensors && map->layer == 0 && variant->permute; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (tensor->role == ROLE_ATTENTION_OUTPUT && tensor_is_pruned(stage->settings, 0, tensor) &&
            !linear_has_order(variant, tensor, stage->model))
            stage_notice(
                stage,
                "prune.permute: %s: %s keeps its order: %zu does not divide the %zu channels of a head",
                variant->name, tensor->linear, variant->of, value_head_dim(&stage->model->config.decoder));
    }
}

// ---- the file ---------------------------------------------------------------------------------------------

enum status linear_orders_declare(const struct stage *stage, const struct variant *variant,
                                  const struct layer_map *map, struct store_writer *writer, struct error *err)
{
    char name[DATASET_PATH_SIZE];

    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        const struct store_shape shape = {.type = STORE_U32,
                                          .rank = 1,
                                          .dims = {tensor->in},
                                          .meaning = "the column at each position of the exported weight"};
        if (!tensor_is_pruned(stage->settings, map->layer, tensor) ||
            !linear_has_order(variant, tensor, stage->model))
            continue;
        dataset_path(name, tensor->linear, DATASET_ORDER);
        FORWARD_IF_ERROR(store_declare(writer, name, &shape, err));
    }
    return STATUS_OK;
}

enum status linear_order_write(const struct linear_order *order, struct store_writer *writer,
                               const struct team *team, const struct layer_tensor *tensor, struct error *err)
{
    char name[DATASET_PATH_SIZE];

    if (order->columns == NULL)
        return STATUS_OK;
    dataset_path(name, tensor->linear, DATASET_ORDER);
    FORWARD_IF_ERROR(store_attribute_f64(writer, name, "kept_before", order->kept_before, err));
    FORWARD_IF_ERROR(store_attribute_f64(writer, name, "kept_after", order->kept_after, err));
    return store_write(writer, name, 0, team->rank == 0 ? tensor->in : 0, order->columns, err);
}
