#include "pipeline/run/work/states.h"

#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "pipeline/plan/plan.h"
#include "stages/layer/calibrate.h"
#include "stages/layer/carried_states.h"
#include "stages/layer/hessian.h"
#include "stages/stage.h"

#include <unistd.h>

// A file too many is no harm: whether an unlink succeeds does not matter here.

void states_path(char path[PATH_SIZE], const struct settings *settings, const char *stream, size_t layer)
{
    run_layer_path(path, settings->run, RUN_ACTIVATIONS, stream, layer);
}

// Where states are written now and then only: all but the two newest files.
static void trim_scattered(const struct stage *stage, const struct variant *owner, size_t newest)
{
    char path[PATH_SIZE];
    size_t kept = 0;

    for (size_t layer = newest; layer > 0; layer--) {
        states_path(path, stage->settings, variant_name(owner), layer);
        if (store_exists(path) && ++kept > 2)
            (void)unlink(path);
    }
}

void states_trim(const struct stage *stage, const struct variant *owner, size_t newest)
{
    char path[PATH_SIZE];
    if (stage->settings->keep_activations || newest < 3 || stage->team->rank != 0 ||
        (owner == NULL && dense_stream_is_kept(stage->settings)))
        return;
    if (stage->carried != NULL) {
        trim_scattered(stage, owner, newest);
        return;
    }
    states_path(path, stage->settings, variant_name(owner), newest - 2);
    (void)unlink(path);
}

void states_trim_passed(const struct stage *stage, const struct variant *owner, size_t layer)
{
    char path[PATH_SIZE];
    for (size_t l = layer; l > 0; l--) {
        states_path(path, stage->settings, variant_name(owner), l + 2);
        if (stage->team->rank == 0 && store_exists(path))
            states_trim(stage, owner, l + 2);
    }
}

void states_trim_hessian(const struct stage *stage, const struct variant *variant, size_t layer)
{
    const struct settings *settings = stage->settings;
    char path[PATH_SIZE];
    if (settings->keep_activations || stage->team->rank != 0 ||
        !(method_needs(variant->method) & NEEDS_HESSIAN) || hessian_is_needed(settings, variant, layer))
        return;
    hessian_path(path, settings, stream_name(settings, variant), layer);
    (void)unlink(path);
}

void states_trim_curves_hessian(const struct stage *stage, const struct variant *variant, size_t layer)
{
    char path[PATH_SIZE];
    if (stage->settings->keep_activations || stage->team->rank != 0 || !curves_are_solved(variant) ||
        hessian_is_needed(stage->settings, NULL, layer))
        return;
    hessian_path(path, stage->settings, DENSE_NAME, layer);
    (void)unlink(path);
}

enum status states_ensure(const struct stage *stage, struct layer_weights *weights,
                          const struct variant *owner, size_t layer, struct error *err)
{
    const char *stream = variant_name(owner);
    char path[PATH_SIZE];
    uint64_t from = layer;

    if (stage->team->rank == 0)
        for (; from > 0; from--) {
            states_path(path, stage->settings, stream, from);
            if (carried_find(stage->carried, stream, from) != NULL || store_exists(path))
                break;
        }
    FORWARD_IF_ERROR(team_broadcast(stage->team, &from, sizeof from, 0, err));
    for (size_t l = from; l < layer; l++) {
        FORWARD_IF_ERROR(propagate_layer(stage, weights, stream, l, owner, err));
        states_trim(stage, owner, l + 1);
    }
    return STATUS_OK;
}

// Whether a variant has still to be scored or compensated with hidden states of the layer.
static bool still_reads_states(const struct settings *settings, const struct variant *variant, size_t layer)
{
    char path[PATH_SIZE];
    if (!variant_reads_states(variant) || weights_are_done(settings, variant, layer))
        return false;
    run_layer_path(path, settings->run, RUN_MASKS, variant->name, layer);
    return variant_measures(variant) || !store_exists(path);
}

void states_drop_dense(const struct stage *stage)
{
    const struct settings *settings = stage->settings;
    const size_t layers = stage->model->config.num_hidden_layers;
    char path[PATH_SIZE];

    if (stage->team->rank != 0 || settings->keep_activations || !dense_stream_is_kept(settings))
        return;
    for (size_t v = 0; v < settings->num_variants; v++)
        for (size_t layer = 0; layer < layers; layer++)
            if (still_reads_states(settings, &settings->variants[v], layer))
                return;
    for (size_t layer = 1; layer + 2 < layers; layer++) {
        states_path(path, settings, DENSE_NAME, layer);
        (void)unlink(path);
    }
}

static void sweep_stream(const struct stage *stage, const struct variant *owner, size_t layers)
{
    char path[PATH_SIZE];
    size_t newest = layers + 1;

    do
        states_path(path, stage->settings, variant_name(owner), --newest);
    while (newest > 0 && access(path, F_OK) != 0);
    for (; newest >= 3; newest--)
        states_trim(stage, owner, newest);
    for (size_t layer = 0; layer < layers; layer++) {
        hessian_path(path, stage->settings, stream_name(stage->settings, owner), layer);
        if (access(path, F_OK) != 0)
            continue;
        if (owner != NULL)
            states_trim_hessian(stage, owner, layer);
        for (size_t v = 0; v < stage->settings->num_variants; v++)
            if (owner == NULL)
                states_trim_curves_hessian(stage, &stage->settings->variants[v], layer);
    }
}

void states_sweep(const struct stage *stage)
{
    const size_t layers = stage->model->config.num_hidden_layers;

    if (stage->team->rank != 0 || stage->settings->keep_activations)
        return;
    states_drop_dense(stage);
    sweep_stream(stage, NULL, layers);
    for (size_t v = 0; v < stage->settings->num_variants; v++)
        sweep_stream(stage, &stage->settings->variants[v], layers);
}
