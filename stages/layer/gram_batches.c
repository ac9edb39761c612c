#include "stages/layer/gram_batches.h"

#include "stages/layer/gram.h"
#include "stages/layer/linear_groups.h"

static const uint64_t most_bytes = 1073741824; // 2^30

// An expert has two sources, one after the other (kernels/forward/experts.h): of gate and up, and of down.
static bool is_down(const struct layer_map *map, const struct layer_tensor *tensor)
{
    size_t first = tensor->source;

    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].expert && map->tensors[i].source < first)
            first = map->tensors[i].source;
    return tensor->expert && (tensor->source - first) % 2 != 0;
}

size_t linears_by_depth(const struct layer_tensor **linears, const struct settings *settings,
                        const struct layer_map *map)
{
    size_t count = 0;

    for (int down = 0; down < 2; down++)
        for (size_t source = 0; source < map->num_sources; source++)
            for (size_t i = 0; i < map->num_tensors; i++) {
                const struct layer_tensor *tensor = &map->tensors[i];
                if (tensor->source == source && tensor_is_pruned(settings, map->layer, tensor) &&
                    is_down(map, tensor) == (down != 0))
                    linears[count++] = tensor;
            }
    return count;
}

static uint64_t bytes_of(const struct layer_tensor *tensor)
{
    return gram_shared_bytes(tensor->in, !tensor->expert);
}

uint64_t gram_limit(const struct layer_map *map)
{
    uint64_t limit = most_bytes;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].linear[0] != '\0' && bytes_of(&map->tensors[i]) > limit)
            limit = bytes_of(&map->tensors[i]);
    return limit;
}

size_t gram_batch(const struct layer_tensor *const *linears, size_t count, const struct layer_map *map,
                  uint64_t limit)
{
    uint64_t bytes = bytes_of(linears[0]);
    size_t n = linears_of_source(linears, count);

    while (n < count && linears[0]->expert && linears[n]->expert &&
           is_down(map, linears[n]) == is_down(map, linears[0]) && bytes + bytes_of(linears[n]) <= limit) {
        bytes += bytes_of(linears[n]);
        n += linears_of_source(linears + n, count - n);
    }
    return n;
}

uint64_t gram_batches_bytes(const struct layer_tensor *const *linears, size_t count,
                            const struct layer_map *map)
{
    const uint64_t limit = gram_limit(map);
    uint64_t most = 0;

    for (size_t i = 0, batch; i < count; i += batch) {
        uint64_t bytes = 0;
        batch = gram_batch(linears + i, count - i, map, limit);
        for (size_t k = i; k < i + batch; k += linears_of_source(linears + k, i + batch - k))
            bytes += bytes_of(linears[k]);
        most = bytes > most ? bytes : most;
    }
    return most;
}
