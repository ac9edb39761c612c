#include "stages/prune/curves.h"

#include "kernels/pruning/masks/select.h"
#include "stages/layer/model_trial.h"
#include "stages/prune/curve_file.h"
#include "stages/prune/curve_solver.h"
#include "stages/prune/layer_scores.h"
#include "stages/prune/linear_masks.h"
#include "stages/work.h"

#include <stdlib.h>
#include <string.h>

// Of each curve all levels but the first, which is the dense model.
enum { CANDIDATES = CURVE_LEVELS - 1 };

// A layer whose curves are measured.
struct measurement {
    const struct stage *stage;
    struct layer_weights *weights;  // the dense layer whenever a candidate is put
    struct layer_weights candidate; // with one curve's linears pruned
    struct layer_map map;           // of the layer; that of `weights` changes with what is loaded
    struct variant scored;          // curve_variant
    struct store_reader *statistics;
    struct curve_solver *solver; // NULL: pruned weights stay as they are
    struct layer_curves curves;
    const struct curve *in_place; // whose linears are pruned in `candidate`; NULL: none yet
};

size_t curve_sequences(const struct settings *settings, const struct variant *variant)
{
    return variant->measured_sequences < settings->sequences ? variant->measured_sequences
                                                             : settings->sequences;
}

// All curves of a layer, that of its linears together last.
static struct curve *curve_of(struct layer_curves *curves, size_t i)
{
    return i < curves->count ? &curves->curves[i] : &curves->together;
}

static bool belongs(const struct measurement *m, const struct curve *curve, const struct layer_tensor *tensor)
{
    return linear_is_allocated(m->stage->settings, m->map.layer, tensor) &&
           (curve == &m->curves.together || layer_curves_find(&m->curves, tensor) == curve);
}

// This rank's rows in its node's copy of the layer <- the dense ones, pruned by mask[out, mask_row_bytes(in)]
// where it is not NULL.
static void put_rows(struct measurement *m, const struct layer_tensor *tensor, const uint8_t *mask)
{
    const struct node_rows rows = node_rows_of(m->candidate.memory.data, m->stage->team, tensor);
    const float *dense = layer_weights_of(m->weights, tensor) + rows.first * rows.width;
    const size_t bytes = mask_row_bytes(tensor->in);

    memcpy(rows.values, dense, rows.count * rows.width * sizeof *dense);
    for (size_t i = 0; i < rows.count && mask != NULL; i++)
        mask_apply(rows.values + i * rows.width, mask + (rows.first + i) * bytes, rows.width);
}

// The linear at this sparsity takes its place. Each rank makes its rows of the mask, then all have all.
// Collective.
static enum status put_pruned(struct measurement *m, const struct layer_tensor *tensor, double sparsity,
                              struct error *err)
{
    const struct score_inputs inputs = {
        .stage = m->stage, .weights = m->weights, .statistics = m->statistics};
    const struct cut cut = {.variant = &m->scored, .sparsity = sparsity};
    const size_t bytes = mask_row_bytes(tensor->in);
    struct linear_masks rows = {0};
    uint8_t *mask = NULL;
    enum status status = allocate(&mask, tensor->out, bytes, "mask of a candidate", err);

    GOTO_IF_ERROR(team_agree(m->stage->team, status, err), done);
    GOTO_IF_ERROR(linear_masks_create(&rows, &inputs, tensor, &cut, 1, err), done);
    memcpy(mask + rows.first * bytes, rows.masks[0], rows.count * bytes);
    GOTO_IF_ERROR(team_allgather(m->stage->team, mask, tensor->out, bytes, err), done);
    put_rows(m, tensor, mask);
    if (m->solver == NULL)
        goto done;
    shared_block_sync(&m->candidate.memory, m->stage->team);
    status = curve_solver_solve(m->solver, (float *)m->candidate.memory.data + tensor->offset, tensor,
                                layer_weights_of(m->weights, tensor), mask, err);
done:
    linear_masks_free(&rows);
    free(mask);
    return status;
}

static enum status put_candidate(void *context, size_t candidate, struct error *err)
{
    struct measurement *m = context;
    const struct curve *curve = curve_of(&m->curves, candidate / CANDIDATES);
    const double sparsity = curve_levels[1 + candidate % CANDIDATES];

    for (size_t i = 0; i < m->map.num_tensors && m->in_place != NULL && m->in_place != curve; i++)
        if (belongs(m, m->in_place, &m->map.tensors[i]))
            put_rows(m, &m->map.tensors[i], NULL);
    m->in_place = curve;
    for (size_t i = 0; i < m->map.num_tensors; i++)
        if (belongs(m, curve, &m->map.tensors[i]))
            FORWARD_IF_ERROR(put_pruned(m, &m->map.tensors[i], sparsity, err));
    return STATUS_OK;
}

static enum status measure(struct measurement *m, struct error *err)
{
    const size_t candidates = (m->curves.count + 1) * CANDIDATES;
    const struct model_trial trial = {.stage = m->stage,
                                      .weights = m->weights,
                                      .candidate = &m->candidate,
                                      .layer = m->map.layer,
                                      .sequences = curve_sequences(m->stage->settings, &m->scored),
                                      .put = put_candidate,
                                      .context = m};
    struct trial_outcome *outcomes = NULL;
    enum status status = allocate(&outcomes, candidates + 1, sizeof *outcomes, "outcomes of trials", err);

    GOTO_IF_ERROR(team_agree(m->stage->team, status, err), done);
    GOTO_IF_ERROR(try_in_model(outcomes, candidates, &trial, err), done);
    for (size_t i = 0; i <= m->curves.count; i++)
        for (size_t k = 0; k < CURVE_LEVELS; k++) {
            const size_t outcome = k == 0 ? candidates : i * CANDIDATES + k - 1;
            curve_of(&m->curves, i)->divergence[k] = outcomes[outcome].divergence;
            curve_of(&m->curves, i)->loss[k] = outcomes[outcome].loss;
        }
    m->curves.sequences = trial.sequences;
    m->curves.tokens = trial.sequences * m->stage->settings->length;
done:
    free(outcomes);
    return status;
}

static enum status prepare(struct measurement *m, size_t layer, struct error *err)
{
    const struct stage *stage = m->stage;
    char path[PATH_SIZE];
    enum status status = layer_map_create(&m->map, stage->model, layer, err);

    if (status == STATUS_OK)
        status = layer_curves_create(&m->curves, stage->settings, &m->map, err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    if (importance_needs(m->scored.method, &m->scored.parameters) & NEEDS_STATISTICS) {
        run_layer_path(path, stage->settings->run, RUN_STATISTICS, DENSE_NAME, layer);
        FORWARD_IF_ERROR(store_open(&m->statistics, path, stage->team->comm, err));
    }
    FORWARD_IF_ERROR(layer_weights_create(&m->candidate, stage, err));
    return curves_are_solved(&m->scored) ? curve_solver_create(&m->solver, stage, &m->map, err) : STATUS_OK;
}

enum status curves_layer(const struct stage *stage, struct layer_weights *weights,
                         const struct variant *variant, size_t layer, struct error *err)
{
    struct measurement m = {.stage = stage, .weights = weights, .scored = curve_variant(variant)};
    enum status status = prepare(&m, layer, err);

    GOTO_IF_ERROR(status, done);
    if (m.curves.count > 0)
        GOTO_IF_ERROR(measure(&m, err), done);
    if (stage->team->rank == 0)
        status = curves_write(&m.curves, stage, variant, layer, err);
    status = team_agree(stage->team, status, err);
done:
    curve_solver_free(m.solver);
    layer_weights_free(&m.candidate);
    store_close(m.statistics);
    layer_curves_free(&m.curves);
    layer_map_free(&m.map);
    return status;
}
