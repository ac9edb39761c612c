#include "pipeline/run/states.h"

#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "stages/layer/calibrate.h"
#include "stages/layer/hessian.h"

#include <unistd.h>

// A file too many is no harm: whether an unlink succeeds does not matter here.

void states_path(char path[PATH_SIZE], const struct runner *runner, const char *stream, size_t layer)
{
    run_layer_path(path, runner->settings->run, RUN_ACTIVATIONS, stream, layer);
}

void states_trim(const struct runner *runner, const struct variant *owner, size_t newest)
{
    const char *stream = owner != NULL ? owner->name : "dense";
    char path[PATH_SIZE];
    if (runner->settings->keep_activations || newest < 3 || runner->team->rank != 0 ||
        (owner == NULL && dense_stream_is_kept(runner->settings)))
        return;
    states_path(path, runner, stream, newest - 2);
    (void)unlink(path);
}

void states_trim_hessian(const struct runner *runner, const struct unit *unit)
{
    char path[PATH_SIZE];
    if (runner->settings->keep_activations || runner->team->rank != 0 ||
        !(method_needs(unit->variant->method) & NEEDS_HESSIAN) ||
        hessian_is_needed(runner->settings, unit->variant, (size_t)unit->layer))
        return;
    hessian_path(path, runner->settings, stream_name(runner->settings, unit->variant), (size_t)unit->layer);
    (void)unlink(path);
}

enum status states_ensure(struct runner *runner, const struct variant *owner, size_t layer, struct error *err)
{
    const char *stream = owner != NULL ? owner->name : "dense";
    char path[PATH_SIZE];
    uint64_t from = layer;

    if (runner->team->rank == 0)
        for (; from > 0; from--) {
            states_path(path, runner, stream, from);
            if (store_exists(path))
                break;
        }
    FORWARD_IF_ERROR(team_broadcast(runner->team, &from, sizeof from, 0, err));
    for (size_t l = from; l < layer; l++) {
        FORWARD_IF_ERROR(propagate_layer(&runner->stage, &runner->weights, stream, l, owner, err));
        states_trim(runner, owner, l + 1);
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

void states_drop_dense(const struct runner *runner)
{
    const struct settings *settings = runner->settings;
    const size_t layers = runner->model->config.num_hidden_layers;
    char path[PATH_SIZE];

    if (runner->world->rank != 0 || settings->keep_activations || !dense_stream_is_kept(settings))
        return;
    for (size_t v = 0; v < settings->num_variants; v++)
        for (size_t layer = 0; layer < layers; layer++)
            if (still_reads_states(settings, &settings->variants[v], layer))
                return;
    for (size_t layer = 1; layer + 2 < layers; layer++) {
        states_path(path, runner, "dense", layer);
        (void)unlink(path);
    }
}

void states_trim_behind(const struct runner *runner, const struct variant *owner, size_t layer)
{
    const char *stream = owner != NULL ? owner->name : "dense";
    char path[PATH_SIZE];

    for (size_t l = layer; l > 0; l--) {
        states_path(path, runner, stream, l + 2);
        if (runner->team->rank == 0 && store_exists(path))
            states_trim(runner, owner, l + 2);
    }
}
