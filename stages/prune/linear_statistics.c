#include "stages/prune/linear_statistics.h"

#include "io/file/run_paths.h"
#include "stages/layer/few_tokens.h"

#include <stdlib.h>

static enum status read_channels(double **values, const struct store_reader *reader,
                                 const struct layer_tensor *tensor, enum dataset dataset, struct error *err)
{
    char name[DATASET_PATH_SIZE];
    dataset_path(name, tensor->linear, dataset);
    FORWARD_IF_ERROR(allocate(values, tensor->in, sizeof **values, "statistics", err));
    return store_read(reader, name, STORE_F64, 0, tensor->in, *values, err);
}

enum status linear_statistics_read(struct linear_statistics *statistics, const struct store_reader *reader,
                                   const struct layer_tensor *tensor, struct error *err)
{
    char name[DATASET_PATH_SIZE];

    *statistics = (struct linear_statistics){0};
    dataset_path(name, tensor->linear, DATASET_COUNT);
    FORWARD_IF_ERROR(store_read(reader, name, STORE_U64, 0, 1, &statistics->tokens, err));
    statistics->suffice = few_tokens_of(tensor, statistics->tokens, false) != TOKENS_FOR_NOTHING;
    FORWARD_IF_ERROR(read_channels(&statistics->second_moment, reader, tensor, DATASET_SECOND_MOMENT, err));
    return read_channels(&statistics->variance, reader, tensor, DATASET_VARIANCE, err);
}

void linear_statistics_free(struct linear_statistics *statistics)
{
    free(statistics->second_moment);
    free(statistics->variance);
    *statistics = (struct linear_statistics){0};
}
