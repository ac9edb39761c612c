#include "stages/layer/layer_shares.h"

#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <stdlib.h>
#include <string.h>

struct node_rows node_rows_of(float *block, const struct team *team, const struct layer_tensor *tensor)
{
    struct node_rows rows = {.width = tensor->in};
    share_of(tensor->out, (size_t)team->node_rank, (size_t)team->node_size, &rows.first, &rows.count);
    rows.values = block + tensor->offset + rows.first * rows.width;
    return rows;
}

// The first of a tensor's rows that begins at float `place` of the block or behind it; `out` if none does.
static size_t row_at(const struct layer_tensor *tensor, size_t place)
{
    const size_t row = place > tensor->offset ? (place - tensor->offset + tensor->in - 1) / tensor->in : 0;
    return row < tensor->out ? row : tensor->out;
}

// Node `node` reads what lies in the layer's block from here to where the next one begins: whole rows.
static size_t share_begin(const struct layer_shares *shares, size_t node)
{
    const struct layer_map *map = shares->map;
    size_t place, count, begin = map->block_size;

    if (node == 0)
        return 0;
    share_of(map->block_size, node, shares->nodes->count, &place, &count);
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        const size_t row = tensor->offset + row_at(tensor, place) * tensor->in;
        if (row >= place && row < begin)
            begin = row;
    }
    return begin;
}

static size_t share_end(const struct layer_shares *shares, size_t node)
{
    return node + 1 == shares->nodes->count ? shares->map->block_size : share_begin(shares, node + 1);
}

struct node_rows rows_to_read(const struct layer_shares *shares, const struct team *team,
                              const struct layer_tensor *tensor)
{
    const size_t first = row_at(tensor, shares->from);
    struct node_rows rows = {.width = tensor->in};

    share_of(row_at(tensor, shares->to) - first, (size_t)team->node_rank, (size_t)team->node_size,
             &rows.first, &rows.count);
    rows.first += first;
    rows.values = (float *)shares->memory->data + tensor->offset + rows.first * rows.width;
    return rows;
}

// What lies between two tensors is sent with them.
static void clear_padding(const struct layer_shares *shares)
{
    for (size_t i = 0; i < shares->map->num_tensors; i++) {
        const struct layer_tensor *tensor = &shares->map->tensors[i];
        const size_t size = tensor->out * tensor->in;
        float *end = (float *)shares->memory->data + tensor->offset + size;
        memset(end, 0, (cache_lines(size) - size) * sizeof *end);
    }
}

void layer_shares_begin(struct layer_shares *shares, const struct team *team)
{
    const size_t node = (size_t)shares->nodes->of[team->rank];
    shares->from = share_begin(shares, node);
    shares->to = share_end(shares, node);
}

// ---- sending --------------------------------------------------------------------------------------------

// Floats that are packed at a time.
enum { PACKED = 1 << 22 };

// What one node read: values[count], in the memory of this one.
struct node_share {
    size_t node;
    bool is_own;
    float *values;
    size_t count;
};

// Sends it to the other nodes as bf16, which it is. packed: room for PACKED.
static enum status send_packed(const struct layer_shares *shares, const struct node_share *share,
                               uint16_t *packed, struct error *err)
{
    const size_t count = share->count;

    for (size_t done = 0; done < count; done += PACKED) {
        const size_t n = count - done < PACKED ? count - done : PACKED;
        if (share->is_own)
            dtype_from_f32(packed, share->values + done, DTYPE_BF16, n);
        FORWARD_IF_ERROR(nodes_send_bytes(shares->nodes, packed, n * sizeof *packed, share->node, err));
        if (!share->is_own)
            dtype_to_f32(share->values + done, packed, DTYPE_BF16, n);
    }
    return STATUS_OK;
}

bool layer_is_packed(size_t threads)
{
    // One rank of a node unpacks for all of them: with fewer threads that takes longer than it saves.
    enum { LEAST_THREADS = 4 };
    return threads >= LEAST_THREADS;
}

// By the first rank of each node. The node that sends says whether it packs.
static enum status send_share(const struct layer_shares *shares, const struct node_share *share,
                              uint16_t *packed, struct error *err)
{
    const uint64_t bytes = (uint64_t)share->count * sizeof *share->values;
    uint8_t packs = 0;

    if (share->is_own)
        packs = layer_is_packed(threads_count()) && floats_are_bf16(share->values, share->count);
    FORWARD_IF_ERROR(nodes_send_bytes(shares->nodes, &packs, sizeof packs, share->node, err));
    if (packs != 0)
        return send_packed(shares, share, packed, err);
    return nodes_send_bytes(shares->nodes, share->values, bytes, share->node, err);
}

enum status layer_exchange(const struct layer_shares *shares, const struct stage *stage, struct error *err)
{
    const bool leads = stage->team->node_rank == 0;
    uint16_t *packed = NULL;

    if (leads)
        clear_padding(shares);
    shared_block_sync(shares->memory, stage->team);
    if (shares->nodes->count == 1)
        return STATUS_OK;
    enum status status =
        allocate_aligned(&packed, leads ? PACKED : 0, sizeof *packed, "weights to be sent", err);
    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    for (size_t node = 0; leads && node < shares->nodes->count && status == STATUS_OK; node++) {
        const size_t from = share_begin(shares, node);
        const struct node_share share = {node, node == (size_t)shares->nodes->of[stage->team->rank],
                                         (float *)shares->memory->data + from,
                                         share_end(shares, node) - from};
        status = send_share(shares, &share, packed, err);
    }
    status = team_agree(stage->team, status, err);
    shared_block_sync(shares->memory, stage->team);
done:
    free(packed);
    return status;
}
