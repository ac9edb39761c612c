#include "kernels/forward/layer.h"

size_t qkv_row(const struct decoder_config *config, enum qkv_part part, size_t head)
{
    const size_t dim = config->head_dim, heads = config->num_attention_heads;
    const bool per_head = config->qkv_layout == QKV_PER_HEAD, blocks = config->qkv_layout == QKV_BLOCKS;
    const size_t groups = per_head ? heads : blocks ? 1 : config->qkv_groups;
    const size_t queries = heads / groups, keys = config->num_key_value_heads / groups; // of a group
    const size_t own = part == QKV_QUERY ? queries : keys;
    const enum qkv_part second = config->qkv_layout == QKV_GROUPS_VALUE_FIRST ? QKV_VALUE : QKV_KEY;
    const size_t before = part == QKV_QUERY ? 0 : part == second ? queries : queries + keys;

    return (head / own * (queries + 2 * keys) + before + head % own) * dim;
}
