#include "stages/prune/score.h"

#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "kernels/pruning/select.h"
#include "stages/layer/few_tokens.h"
#include "stages/prune/allocation.h"
#include "stages/prune/auto.h"
#include "stages/prune/sparsegpt.h"

#include <math.h>
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

// ---- what is cut from one linear's scores -----------------------------------------------------------------

bool variants_share_scores(const struct variant *a, const struct variant *b)
{
    return a->method == b->method && a->parameters.alpha == b->parameters.alpha &&
           a->parameters.epsilon == b->parameters.epsilon && a->parameters.exponent == b->parameters.exponent;
}

static enum status declare_mask(const struct layer_tensor *tensor, struct store_writer *writer,
                                struct error *err)
{
    const struct store_shape shape = {.type = STORE_U8,
                                      .rank = 2,
                                      .dims = {tensor->out, mask_row_bytes(tensor->in)},
                                      .meaning = "bit k of byte b of a row is column 8b + k; 1 = kept"};
    char name[DATASET_PATH_SIZE];

    dataset_path(name, tensor->linear, DATASET_MASK);
    FORWARD_IF_ERROR(store_declare(writer, name, &shape, err));
    return store_attribute_u64(writer, name, "columns", tensor->in, err);
}

enum status cuts_open(struct cut *cuts, const struct stage *stage, const struct variant *const *variants,
                      size_t count, const struct layer_map *map, struct error *err)
{
    char path[PATH_SIZE];

    memset(cuts, 0, count * sizeof *cuts);
    for (size_t k = 0; k < count; k++) {
        cuts[k].variant = variants[k];
        FORWARD_IF_ERROR(allocation_target(&cuts[k].target, stage, variants[k], map->layer, err));
        run_layer_path(path, stage->settings->run, RUN_MASKS, variants[k]->name, map->layer);
        FORWARD_IF_ERROR(store_create(&cuts[k].writer, path, stage->team->comm, err));
        for (size_t i = 0; i < map->num_tensors; i++)
            if (tensor_is_pruned(stage->settings, map->layer, &map->tensors[i]))
                FORWARD_IF_ERROR(declare_mask(&map->tensors[i], cuts[k].writer, err));
    }
    return STATUS_OK;
}

static bool is_same_cut(const struct cut *a, const struct cut *b)
{
    const struct variant *x = a->variant, *y = b->variant;
    if (x->is_pattern || y->is_pattern)
        return x->is_pattern && y->is_pattern && x->keep == y->keep && x->of == y->of;
    return a->sparsity == b->sparsity && x->group == y->group;
}

void cuts_begin_linear(struct cut *cuts, size_t count, const struct settings *settings, size_t layer,
                       const char *linear)
{
    for (size_t k = 0; k < count; k++) {
        cuts[k].sparsity = linear_sparsity(settings, cuts[k].target, layer, linear);
        cuts[k].like = 0;
        while (!is_same_cut(&cuts[cuts[k].like], &cuts[k]))
            cuts[k].like++;
    }
}

enum status cuts_finish(struct cut *cuts, size_t count, enum status status, struct error *err)
{
    for (size_t k = 0; k < count; k++) {
        if (status == STATUS_OK)
            status = store_commit(cuts[k].writer, err);
        else
            store_abandon(cuts[k].writer);
        cuts[k].writer = NULL;
    }
    return status;
}

// ---- one linear -------------------------------------------------------------------------------------------

// Everything that scoring one linear needs, on one rank.
struct scorer {
    const struct stage *stage;
    const struct variant *variant; // any of those that share the scores
    struct cut *cuts;              // [num_cuts]
    size_t num_cuts;
    const struct layer_tensor *tensor;
    const float *weight; // [out, in], the whole linear
    size_t first, count; // this rank's rows
    size_t in;
    float *factors;              // [in] c_j
    float *reciprocal;           // [in] a_j, ria only
    float *scores;               // [in] one row
    uint8_t *masks[SCORE_BATCH]; // [count, mask_row_bytes(in)] of every cut that is like no earlier one
    uint64_t tokens;             // that the statistics are of
};

static void scorer_free(struct scorer *scorer)
{
    free(scorer->factors);
    free(scorer->reciprocal);
    free(scorer->scores);
    for (size_t k = 0; k < scorer->num_cuts; k++)
        free(scorer->masks[k]);
}

static enum status scorer_create(struct scorer *scorer, const struct stage *stage, struct cut *cuts,
                                 size_t num_cuts, const struct layer_weights *weights,
                                 const struct layer_tensor *tensor, struct error *err)
{
    const struct variant *variant = cuts[0].variant;

    memset(scorer, 0, sizeof *scorer);
    scorer->stage = stage;
    scorer->variant = variant;
    scorer->cuts = cuts;
    scorer->num_cuts = num_cuts;
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
    for (size_t k = 0; k < num_cuts; k++)
        if (cuts[k].like == k)
            FORWARD_IF_ERROR(
                allocate(&scorer->masks[k], scorer->count, mask_row_bytes(tensor->in), "mask", err));
    return STATUS_OK;
}

static enum status read_statistic(double **values, const struct store_reader *statistics, const char *linear,
                                  enum dataset dataset, size_t in, struct error *err)
{
    char name[DATASET_PATH_SIZE];
    dataset_path(name, linear, dataset);
    FORWARD_IF_ERROR(allocate(values, in, sizeof **values, "statistics", err));
    return store_read(statistics, name, STORE_F64, 0, in, *values, err);
}

// second_moment[in], variance[in]: those of the calibration, or 1 where it saw too little of the linear.
static enum status read_statistics(struct scorer *scorer, double **second_moment, double **variance,
                                   const struct store_reader *statistics, struct error *err)
{
    const struct layer_tensor *tensor = scorer->tensor;
    char name[DATASET_PATH_SIZE];

    dataset_path(name, tensor->linear, DATASET_COUNT);
    FORWARD_IF_ERROR(store_read(statistics, name, STORE_U64, 0, 1, &scorer->tokens, err));
    FORWARD_IF_ERROR(
        read_statistic(second_moment, statistics, tensor->linear, DATASET_SECOND_MOMENT, tensor->in, err));
    FORWARD_IF_ERROR(read_statistic(variance, statistics, tensor->linear, DATASET_VARIANCE, tensor->in, err));
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
    double *column_variance = NULL, *absolute_sum = NULL, *second_moment = NULL, *variance = NULL;
    size_t first, count;
    enum status status = STATUS_OK;

    if (needs & NEEDS_STATISTICS)
        status = read_statistics(scorer, &second_moment, &variance, statistics, err);
    if (status == STATUS_OK && needs & (NEEDS_COLUMN_VARIANCE | NEEDS_ABSOLUTE_SUMS)) {
        share_of(tensor->in, (size_t)team->rank, (size_t)team->size, &first, &count);
        if (needs & NEEDS_COLUMN_VARIANCE)
            status = allocate(&column_variance, tensor->in, sizeof *column_variance, "column sums", err);
        if (status == STATUS_OK && needs & NEEDS_ABSOLUTE_SUMS)
            status = allocate(&absolute_sum, tensor->in, sizeof *absolute_sum, "column sums", err);
        if (status == STATUS_OK)
            column_moments(
                &(struct column_moments){.variance = column_variance != NULL ? column_variance + first : NULL,
                                         .absolute_sum = absolute_sum != NULL ? absolute_sum + first : NULL},
                &(struct matrix_view){scorer->weight + first, tensor->out, count, tensor->in});
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

// Whether the smallest scores are looked for in the whole matrix.
static bool is_by_layer(const struct cut *cut)
{
    return cut->variant->group == GROUP_LAYER && !cut->variant->is_pattern;
}

// All cuts of single rows, in one pass over the scores.
static void select_by_rows(struct scorer *scorer)
{
    const size_t bytes = mask_row_bytes(scorer->in);
    bool any = false;

    for (size_t k = 0; k < scorer->num_cuts; k++)
        any = any || (scorer->cuts[k].like == k && !is_by_layer(&scorer->cuts[k]));
    for (size_t row = 0; row < scorer->count && any; row++) {
        score_row(scorer, row);
        for (size_t k = 0; k < scorer->num_cuts; k++) {
            const struct cut *cut = &scorer->cuts[k];
            if (cut->like != k || is_by_layer(cut))
                continue;
            uint8_t *mask = scorer->masks[k] + row * bytes;
            if (cut->variant->is_pattern)
                select_n_of_m(mask, scorer->scores, scorer->in, cut->variant->keep, cut->variant->of);
            else
                select_row(mask, scorer->scores, scorer->in, prune_count(scorer->in, cut->sparsity));
        }
    }
}

// Cuts of the whole matrix: radix searches with histograms summed over the team, then ties handed out in the
// order of the rows. Every pass over the scores serves all of them.
struct layer_cuts {
    size_t count, cut[SCORE_BATCH]; // which cuts
    struct select_search search[SCORE_BATCH];
    uint64_t ties[SCORE_BATCH];          // of this rank, still to be pruned
    uint64_t (*histograms)[SELECT_BINS]; // [count]
};

static enum status narrow_searches(struct scorer *scorer, struct layer_cuts *cuts, struct error *err)
{
    memset(cuts->histograms, 0, cuts->count * sizeof *cuts->histograms);
    for (size_t row = 0; row < scorer->count; row++) {
        score_row(scorer, row);
        for (size_t k = 0; k < cuts->count; k++)
            select_search_count(&cuts->search[k], cuts->histograms[k], scorer->scores, scorer->in);
    }
    FORWARD_IF_ERROR(team_sum_u64(scorer->stage->team, cuts->histograms[0], cuts->count * SELECT_BINS, err));
    for (size_t k = 0; k < cuts->count; k++)
        select_search_narrow(&cuts->search[k], cuts->histograms[k]);
    return STATUS_OK;
}

// How many scores that equal the threshold this rank has to prune.
static enum status share_ties(struct scorer *scorer, struct layer_cuts *cuts, struct error *err)
{
    uint64_t mine[SCORE_BATCH] = {0}, before;

    for (size_t row = 0; row < scorer->count; row++) {
        score_row(scorer, row);
        for (size_t k = 0; k < cuts->count; k++)
            mine[k] += select_count_ties(&cuts->search[k], scorer->scores, scorer->in);
    }
    for (size_t k = 0; k < cuts->count; k++) {
        FORWARD_IF_ERROR(team_exclusive_sum_u64(scorer->stage->team, mine[k], &before, err));
        cuts->ties[k] = cuts->search[k].ties > before ? cuts->search[k].ties - before : 0;
    }
    return STATUS_OK;
}

static enum status select_by_layer(struct scorer *scorer, struct error *err)
{
    const size_t bytes = mask_row_bytes(scorer->in);
    struct layer_cuts cuts = {.count = 0};
    enum status status;

    for (size_t k = 0; k < scorer->num_cuts; k++) {
        if (scorer->cuts[k].like != k || !is_by_layer(&scorer->cuts[k]))
            continue;
        select_search_begin(&cuts.search[cuts.count],
                            prune_count(scorer->tensor->out * scorer->in, scorer->cuts[k].sparsity));
        cuts.cut[cuts.count++] = k;
    }
    if (cuts.count == 0)
        return STATUS_OK;
    status = allocate(&cuts.histograms, cuts.count, sizeof *cuts.histograms, "histograms of scores", err);
    GOTO_IF_ERROR(team_agree(scorer->stage->team, status, err), done);
    for (int digit = 0; digit < SELECT_DIGITS; digit++)
        GOTO_IF_ERROR(narrow_searches(scorer, &cuts, err), done);
    GOTO_IF_ERROR(share_ties(scorer, &cuts, err), done);
    for (size_t row = 0; row < scorer->count; row++) {
        score_row(scorer, row);
        for (size_t k = 0; k < cuts.count; k++)
            select_threshold_row(scorer->masks[cuts.cut[k]] + row * bytes, scorer->scores, scorer->in,
                                 &cuts.search[k], &cuts.ties[k]);
    }
done:
    free(cuts.histograms);
    return status;
}

enum status mask_write(const struct stage *stage, const struct layer_tensor *tensor, size_t first,
                       size_t count, const uint8_t *mask, struct store_writer *writer, struct error *err)
{
    const size_t bytes = mask_row_bytes(tensor->in);
    uint64_t kept = 0;
    char name[DATASET_PATH_SIZE];

    for (size_t row = 0; row < count; row++)
        kept += mask_count(mask + row * bytes, tensor->in);
    FORWARD_IF_ERROR(team_sum_u64(stage->team, &kept, 1, err));
    dataset_path(name, tensor->linear, DATASET_MASK);
    FORWARD_IF_ERROR(store_attribute_u64(writer, name, "kept", kept, err));
    return store_write(writer, name, first, count, mask, err);
}

static enum status score_linear(const struct stage *stage, struct cut *cuts, size_t count,
                                const struct layer_weights *weights, const struct layer_tensor *tensor,
                                const struct store_reader *statistics, struct error *err)
{
    struct scorer scorer;
    enum status status;

    cuts_begin_linear(cuts, count, stage->settings, weights->map.layer, tensor->linear);
    status = scorer_create(&scorer, stage, cuts, count, weights, tensor, err);
    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    GOTO_IF_ERROR(prepare_factors(&scorer, statistics, err), done);
    select_by_rows(&scorer);
    GOTO_IF_ERROR(select_by_layer(&scorer, err), done);
    for (size_t k = 0; k < count; k++) {
        GOTO_IF_ERROR(mask_write(stage, tensor, scorer.first, scorer.count, scorer.masks[cuts[k].like],
                                 cuts[k].writer, err),
                      done);
        if (statistics != NULL)
            GOTO_IF_ERROR(few_tokens_write(cuts[k].writer, tensor, scorer.tokens, false, err), done);
    }
done:
    scorer_free(&scorer);
    return status;
}

enum status score_rows(uint8_t *mask, uint64_t *tokens, const struct stage *stage, const struct cut *cut,
                       const struct layer_weights *weights, const struct layer_tensor *tensor,
                       const struct store_reader *statistics, struct error *err)
{
    struct cut one = {.variant = cut->variant, .sparsity = cut->sparsity, .like = 0};
    struct scorer scorer;
    enum status status = scorer_create(&scorer, stage, &one, 1, weights, tensor, err);

    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    GOTO_IF_ERROR(prepare_factors(&scorer, statistics, err), done);
    select_by_rows(&scorer);
    GOTO_IF_ERROR(select_by_layer(&scorer, err), done);
    memcpy(mask, scorer.masks[0], scorer.count * mask_row_bytes(tensor->in));
    if (tokens != NULL)
        *tokens = scorer.tokens;
done:
    scorer_free(&scorer);
    return status;
}

enum status score_layer(const struct stage *stage, struct layer_weights *weights,
                        const struct variant *const *variants, size_t count, size_t layer, struct error *err)
{
    const unsigned needs = importance_needs(variants[0]->method, &variants[0]->parameters);
    struct store_reader *statistics = NULL;
    struct cut cuts[SCORE_BATCH] = {{0}};
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    if (needs & NEEDS_HESSIAN)
        return sparsegpt_layer(stage, weights, variants, count, layer, err);
    if (needs & NEEDS_OUTPUTS) {
        for (size_t k = 0; k < count; k++)
            FORWARD_IF_ERROR(choose_layer(stage, weights, variants[k], layer, err));
        return STATUS_OK;
    }
    if (needs & NEEDS_STATISTICS) {
        run_layer_path(path, stage->settings->run, RUN_STATISTICS, stream_name(stage->settings, variants[0]),
                       layer);
        GOTO_IF_ERROR(store_open(&statistics, path, stage->team->comm, err), done);
    }
    GOTO_IF_ERROR(cuts_open(cuts, stage, variants, count, &weights->map, err), done);
    for (size_t i = 0; i < weights->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &weights->map.tensors[i];
        if (!tensor_is_pruned(stage->settings, layer, tensor))
            continue;
        GOTO_IF_ERROR(stage_safe_point(stage, STATUS_OK, (double)i / (double)weights->map.num_tensors, err),
                      done);
        GOTO_IF_ERROR(score_linear(stage, cuts, count, weights, tensor, statistics, err), done);
        stage_advance(stage, 4.0 * (double)count * (double)tensor->out * (double)tensor->in);
    }
done:
    store_close(statistics);
    return cuts_finish(cuts, count, status, err);
}
