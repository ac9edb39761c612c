#include "stages/layer/linear_groups.h"

#include "kernels/pruning/masks/select.h"

size_t linears_by_source(const struct layer_tensor **linears, const struct settings *settings,
                         const struct layer_map *map)
{
    size_t count = 0;

    for (size_t source = 0; source < map->num_sources; source++)
        for (size_t i = 0; i < map->num_tensors; i++)
            if (map->tensors[i].source == source && tensor_is_pruned(settings, map->layer, &map->tensors[i]))
                linears[count++] = &map->tensors[i];
    return count;
}

static uint64_t mask_bytes(const struct layer_tensor *tensor)
{
    return (uint64_t)tensor->out * mask_row_bytes(tensor->in);
}

size_t linears_of_source(const struct layer_tensor *const *linears, size_t count)
{
    size_t n = 1;
    while (n < count && linears[n]->source == linears[0]->source)
        n++;
    return n;
}

size_t linears_together(const struct layer_tensor *const *linears, size_t count, size_t masks, uint64_t most)
{
    uint64_t bytes = masks * mask_bytes(linears[0]);
    size_t n = 1;

    for (; n < count; n++) {
        bytes += masks * mask_bytes(linears[n]);
        if (linears[0]->expert ? !linears[n]->expert || bytes > most
                               : linears[n]->source != linears[0]->source)
            break;
    }
    return n;
}
