#include "stages/layer/carried_states.h"

#include "io/file/run_paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static size_t sequence_floats(const struct model *model, const struct settings *settings)
{
    return settings->length * state_size(&model->config.decoder);
}

// Those of a stream on the first rank, which has the most sequences.
static size_t own_floats(const struct model *model, const struct settings *settings, size_t ranks)
{
    return (settings->sequences + ranks - 1) / ranks * sequence_floats(model, settings);
}

size_t carried_streams(const struct settings *settings)
{
    for (size_t v = 0; v < settings->num_variants + settings->num_attempts; v++) {
        const struct variant *variant = v < settings->num_variants
                                            ? &settings->variants[v]
                                            : &settings->attempts[v - settings->num_variants];
        if (variant_follows_dense(variant) && stream_owner(settings, variant) != NULL)
            return CARRIED_STREAMS;
    }
    return 1;
}

uint64_t carried_bytes(const struct model *model, const struct settings *settings, size_t ranks)
{
    return (uint64_t)carried_streams(settings) * own_floats(model, settings, ranks) * sizeof(float);
}

void carried_free(struct carried_states *carried)
{
    for (size_t i = 0; i < CARRIED_STREAMS; i++)
        free(carried->streams[i].values);
    memset(carried, 0, sizeof *carried);
}

struct carried_stream *carried_find(struct carried_states *carried, const char *name, size_t layer)
{
    for (size_t i = 0; carried != NULL && layer > 0 && i < CARRIED_STREAMS; i++)
        if (carried->streams[i].layer == layer && strcmp(carried->streams[i].name, name) == 0)
            return &carried->streams[i];
    return NULL;
}

// The one that has the name, or the one that is longest out of use.
static struct carried_stream *stream_of(struct carried_states *carried, const char *name)
{
    struct carried_stream *oldest = &carried->streams[0];

    for (size_t i = 0; i < carried->count; i++) {
        if (strcmp(carried->streams[i].name, name) == 0)
            return &carried->streams[i];
        if (carried->streams[i].taken < oldest->taken)
            oldest = &carried->streams[i];
    }
    snprintf(oldest->name, sizeof oldest->name, "%s", name);
    oldest->written = seconds();
    return oldest;
}

enum status carried_take(struct carried_stream **stream, bool *due, const struct stage *stage,
                         const char *name, struct error *err)
{
    const struct settings *settings = stage->settings;
    struct carried_states *carried = stage->carried;
    struct carried_stream *taken = stream_of(carried, name);
    enum status status = STATUS_OK;

    taken->layer = 0;
    taken->taken = ++carried->taken;
    uint8_t is_due = settings->keep_activations || (carried->stores_dense && strcmp(name, DENSE_NAME) == 0) ||
                     seconds() - taken->written >= (double)settings->states_every;
    FORWARD_IF_ERROR(team_broadcast(stage->team, &is_due, 1, 0, err));
    if (taken->values == NULL)
        status =
            allocate_aligned(&taken->values, own_floats(stage->model, settings, (size_t)stage->team->size),
                             sizeof *taken->values, "hidden states that stay in memory", err);
    *due = is_due != 0;
    *stream = taken;
    return team_agree(stage->team, status, err);
}

void carried_keep(struct carried_stream *stream, size_t layer, bool stored)
{
    stream->layer = layer;
    stream->stored = stored;
    if (stored)
        stream->written = seconds();
}

float *carried_sequence(const struct carried_stream *stream, const struct stage *stage, size_t sequence)
{
    return stream->values +
           sequence / (size_t)stage->team->size * sequence_floats(stage->model, stage->settings);
}
