#include "stages/score.h"

#include "io/run_directory.h"
#include "io/store.h"
#include "kernels/select.h"
#include "stages/few_tokens.h"
#include "stages/sparsegpt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status score_check(const struct model *model, const struct settings *settings, struct error *err)
{
    for (size_t layer = 0; layer < model->config.num_hidden_layers; layer++) {
        struct layer_map map;
        FORWARD_IF_ERROR(layer_map_create(&map, model, layer, err));
        for (size_t i = 0; i < map.num_tensors; i++)
            for (size_t v = 0;
                 v < settings->num_variants && tensor_is_pruned(settings, layer, &map.tensors[i]); v++) {
                const struct variant *variant = &settings->variants[v];
                if (!variant->is_pattern || map.tensors[i].in % variant->of == 0)
                    continue;
                error_set(err, STATUS_USAGE,
                          "pattern %zu:%zu: layers.%zu.%s has %zu columns, which %zu does not divide",
                          variant->keep, variant->of, layer, map.tensors[i].linear, map.tensors[i].in,
                          variant->of);
                layer_map_free(&map);
                return STATUS_USAGE;
            }
        layer_map_free(&map);
    }
    return STATUS_OK;
}

// Everything that scoring one linear needs, on one rank.
struct scorer {
    const struct stage *stage;
    const struct variant *variant;
    const struct layer_tensor *tensor;
    const float *weight; // [out, in], the whole linear
    size_t first, count; // this rank's rows
    size_t in;
    float *factors;    // [in] c_j
    float *reciprocal; // [in] a_j, ria only
    float *scores;     // [in] one row
    uint8_t *mask;     // [count, mask_row_bytes(in)]
    uint64_t tokens;   // that the statistics are of
};

static void scorer_free(struct scorer *scorer)
{
    free(scorer->factors);
    free(scorer->reciprocal);
    free(scorer->scores);
    free(scorer->mask);
}

static enum status scorer_create(struct scorer *scorer, const struct stage *stage,
                                 const struct variant *variant, const struct layer_weights *weights,
                                 const struct layer_tensor *tensor, struct error *err)
{
    memset(scorer, 0, sizeof *scorer);
    scorer->stage = stage;
    scorer->variant = variant;
    scorer->tensor = tensor;
    scorer->weight = layer_weights_of(weights, tensor);
    scorer->in = tensor->in;
    share_of(tensor->out, (size_t)stage->team->rank, (size_t)stage->team->size, &scorer->first,
             &scorer->count);
    FORWARD_IF_ERROR(
        allocate_aligned(&scorer->factors, tensor->in, sizeof(float), "importance factors", err));
    FORWARD_IF_ERROR(allocate_aligned(&scorer->scores, tensor->in, sizeof(float), "scores of one row", err));
    if (importance_needs(variant->method, &variant->parameters) & NEEDS_ABSOLUTE_SUMS)
        FORWARD_IF_ERROR(
            allocate_aligned(&scorer->reciprocal, tensor->in, sizeof(float), "importance factors", err));
    return allocate(&scorer->mask, scorer->count, mask_row_bytes(tensor->in), "mask", err);
}

static enum status read_statistic(double **values, const struct store_reader *statistics, const char *linear,
                                  const char *what, size_t in, struct error *err)
{
    char name[160];
    snprintf(name, sizeof name, "/%s/%s", linear, what);
    FORWARD_IF_ERROR(allocate(values, in, sizeof **values, "statistics", err));
    return store_read(statistics, name, STORE_F64, 0, in, *values, err);
}

// second_moment[in], variance[in]: those of the calibration, or 1 where it saw too little of the linear.
static enum status read_statistics(struct scorer *scorer, double **second_moment, double **variance,
                                   const struct store_reader *statistics, struct error *err)
{
    const struct layer_tensor *tensor = scorer->tensor;
    char name[160];

    snprintf(name, sizeof name, "/%s/count", tensor->linear);
    FORWARD_IF_ERROR(store_read(statistics, name, STORE_U64, 0, 1, &scorer->tokens, err));
    FORWARD_IF_ERROR(
        read_statistic(second_moment, statistics, tensor->linear, "second_moment", tensor->in, err));
    FORWARD_IF_ERROR(read_statistic(variance, statistics, tensor->linear, "variance", tensor->in, err));
    const bool alone = few_tokens_of(tensor, scorer->tokens, false) == TOKENS_FOR_NOTHING;
    for (size_t j = 0; j < tensor->in && alone; j++)
        (*second_moment)[j] = (*variance)[j] = 1;
    return STATUS_OK;
}

// The per-channel factors. Column sums of the weight run over all rows, so each rank takes a share of the
// columns.
static enum status prepare_factors(struct scorer *scorer, const struct store_reader *statistics,
                                   struct error *err)
{
    const struct team *team = scorer->stage->team;
    const struct layer_tensor *tensor = scorer->tensor;
    const unsigned needs = importance_needs(scorer->variant->method, &scorer->variant->parameters);
    double *mean = NULL, *column_variance = NULL, *absolute_sum = NULL, *second_moment = NULL,
           *variance = NULL;
    size_t first, count;
    enum status status = STATUS_OK;

    if (needs & NEEDS_STATISTICS)
        status = read_statistics(scorer, &second_moment, &variance, statistics, err);
    if (status == STATUS_OK && needs & (NEEDS_COLUMN_VARIANCE | NEEDS_ABSOLUTE_SUMS)) {
        share_of(tensor->in, (size_t)team->rank, (size_t)team->size, &first, &count);
        status = allocate(&mean, count, sizeof *mean, "column sums", err);
        if (status == STATUS_OK && needs & NEEDS_COLUMN_VARIANCE)
            status = allocate(&column_variance, tensor->in, sizeof *column_variance, "column sums", err);
        if (status == STATUS_OK && needs & NEEDS_ABSOLUTE_SUMS)
            status = allocate(&absolute_sum, tensor->in, sizeof *absolute_sum, "column sums", err);
        if (status == STATUS_OK)
            column_moments(mean, column_variance != NULL ? column_variance + first : NULL,
                           absolute_sum != NULL ? absolute_sum + first : NULL, scorer->weight, tensor->out,
                           tensor->in, first, count);
    }
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    if (column_variance != NULL)
        GOTO_IF_ERROR(team_allgather(team, column_variance, tensor->in, sizeof *column_variance, err), done);
    if (absolute_sum != NULL)
        GOTO_IF_ERROR(team_allgather(team, absolute_sum, tensor->in, sizeof *absolute_sum, err), done);

    importance_factors(scorer->factors, scorer->variant->method, &scorer->variant->parameters, second_moment,
                       variance, column_variance, tensor->in);
    if (needs & NEEDS_ABSOLUTE_SUMS)
        reciprocal_sums(scorer->reciprocal, absolute_sum, tensor->in);
done:
    free(mean);
    free(column_variance);
    free(absolute_sum);
    free(second_moment);
    free(variance);
    return status;
}

static void score_row(struct scorer *scorer, size_t row)
{
    importance_row(scorer->scores, scorer->weight + (scorer->first + row) * scorer->in, scorer->factors,
                   scorer->reciprocal, scorer->in);
}

static void select_by_rows(struct scorer *scorer)
{
    const struct variant *variant = scorer->variant;
    const size_t bytes = mask_row_bytes(scorer->in);
    for (size_t row = 0; row < scorer->count; row++) {
        score_row(scorer, row);
        if (variant->is_pattern)
            select_n_of_m(scorer->mask + row * bytes, scorer->scores, scorer->in, variant->keep, variant->of);
        else
            select_row(scorer->mask + row * bytes, scorer->scores, scorer->in,
                       prune_count(scorer->in, variant->sparsity));
    }
}

// The smallest of the whole matrix: a radix search with histograms summed over the team, then ties handed out
// in the order of the rows.
static enum status select_by_layer(struct scorer *scorer, struct error *err)
{
    const struct team *team = scorer->stage->team;
    const size_t bytes = mask_row_bytes(scorer->in);
    struct select_search search;
    uint64_t mine = 0, before = 0, ties;

    select_search_begin(&search, prune_count(scorer->tensor->out * scorer->in, scorer->variant->sparsity));
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        uint64_t histogram[SELECT_BINS] = {0};
        for (size_t row = 0; row < scorer->count; row++) {
            score_row(scorer, row);
            select_search_count(&search, histogram, scorer->scores, scorer->in);
        }
        FORWARD_IF_ERROR(team_sum_u64(team, histogram, SELECT_BINS, err));
        select_search_narrow(&search, histogram);
    }
    for (size_t row = 0; row < scorer->count; row++) {
        score_row(scorer, row);
        mine += select_count_ties(&search, scorer->scores, scorer->in);
    }
    FORWARD_IF_ERROR(team_exclusive_sum_u64(team, mine, &before, err));
    ties = search.ties > before ? search.ties - before : 0;
    for (size_t row = 0; row < scorer->count; row++) {
        score_row(scorer, row);
        select_threshold_row(scorer->mask + row * bytes, scorer->scores, scorer->in, &search, &ties);
    }
    return STATUS_OK;
}

enum status mask_write(const struct stage *stage, const struct layer_tensor *tensor, size_t first,
                       size_t count, const uint8_t *mask, struct store_writer *writer, struct error *err)
{
    const size_t bytes = mask_row_bytes(tensor->in);
    const uint64_t dims[2] = {tensor->out, bytes};
    uint64_t kept = 0;
    char name[160];

    for (size_t row = 0; row < count; row++)
        kept += mask_count(mask + row * bytes, tensor->in);
    FORWARD_IF_ERROR(team_sum_u64(stage->team, &kept, 1, err));
    snprintf(name, sizeof name, "/%s/mask", tensor->linear);
    FORWARD_IF_ERROR(store_declare(writer, name, STORE_U8, 2, dims, NULL,
                                   "bit k of byte b of a row is column 8b + k; 1 = kept", err));
    FORWARD_IF_ERROR(store_attribute_u64(writer, name, "columns", tensor->in, err));
    FORWARD_IF_ERROR(store_attribute_u64(writer, name, "kept", kept, err));
    return store_write(writer, name, first, count, mask, err);
}

static enum status score_linear(const struct stage *stage, const struct variant *variant,
                                const struct layer_weights *weights, const struct layer_tensor *tensor,
                                const struct store_reader *statistics, struct store_writer *writer,
                                struct error *err)
{
    struct scorer scorer;
    enum status status = scorer_create(&scorer, stage, variant, weights, tensor, err);

    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    GOTO_IF_ERROR(prepare_factors(&scorer, statistics, err), done);
    if (variant->group == GROUP_LAYER && !variant->is_pattern)
        GOTO_IF_ERROR(select_by_layer(&scorer, err), done);
    else
        select_by_rows(&scorer);
    status = mask_write(stage, tensor, scorer.first, scorer.count, scorer.mask, writer, err);
    if (status == STATUS_OK && statistics != NULL)
        status = few_tokens_write(writer, tensor, scorer.tokens, false, err);
done:
    scorer_free(&scorer);
    return status;
}

enum status score_layer(const struct stage *stage, struct layer_weights *weights,
                        const struct variant *variant, size_t layer, struct error *err)
{
    struct store_reader *statistics = NULL;
    struct store_writer *writer = NULL;
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    if (importance_needs(variant->method, &variant->parameters) & NEEDS_HESSIAN)
        return sparsegpt_layer(stage, weights, variant, layer, err);
    if (importance_needs(variant->method, &variant->parameters) & NEEDS_STATISTICS) {
        run_layer_path(path, sizeof path, stage->settings->run, "statistics",
                       stream_name(stage->settings, variant), layer);
        GOTO_IF_ERROR(store_open(&statistics, path, stage->team->comm, err), done);
    }
    run_layer_path(path, sizeof path, stage->settings->run, "masks", variant->name, layer);
    GOTO_IF_ERROR(store_create(&writer, path, stage->team->comm, err), done);
    for (size_t i = 0; i < weights->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &weights->map.tensors[i];
        if (!tensor_is_pruned(stage->settings, layer, tensor))
            continue;
        GOTO_IF_ERROR(stage_safe_point(stage, STATUS_OK, (double)i / (double)weights->map.num_tensors, err),
                      done);
        GOTO_IF_ERROR(score_linear(stage, variant, weights, tensor, statistics, writer, err), done);
        stage_advance(stage, 4.0 * (double)tensor->out * (double)tensor->in);
    }
    status = store_commit(writer, err);
    writer = NULL;
done:
    store_abandon(writer);
    store_close(statistics);
    return status;
}
