#include "stages/layer/wave_inputs.h"

#include <stdlib.h>
#include <string.h>

enum status wave_inputs_create(struct wave_inputs *inputs, const struct team *team,
                               const struct layer_map *map, struct error *err)
{
    *inputs = (struct wave_inputs){.team = team, .map = map};
    FORWARD_IF_ERROR(
        allocate(&inputs->list, map->num_sources, sizeof *inputs->list, "a list of inputs", err));
    return allocate(&inputs->received, map->num_sources, sizeof *inputs->received, "a list of inputs", err);
}

void wave_inputs_free(struct wave_inputs *inputs)
{
    free(inputs->own);
    free(inputs->list);
    free(inputs->received);
    free(inputs->other);
    *inputs = (struct wave_inputs){.team = NULL};
}

enum status wave_inputs_reserve(struct wave_inputs *inputs, size_t floats, struct error *err)
{
    if (floats <= inputs->room)
        return STATUS_OK;
    free(inputs->own);
    inputs->own = NULL;
    inputs->room = 0;
    FORWARD_IF_ERROR(allocate_aligned(&inputs->own, floats, sizeof *inputs->own,
                                      "the inputs of a layer's linears in one sequence", err));
    inputs->room = floats;
    return STATUS_OK;
}

// Makes room for `floats` in a buffer and keeps the first `used`.
static enum status grow(float **buffer, size_t *room, size_t used, size_t floats, struct error *err)
{
    float *larger = NULL;

    if (floats <= *room)
        return STATUS_OK;
    const size_t wanted = floats + floats / 4; // experts see a little more or less each time
    FORWARD_IF_ERROR(allocate_aligned(&larger, wanted, sizeof *larger,
                                      "the inputs of a layer's linears in one sequence", err));
    if (used != 0)
        memcpy(larger, *buffer, used * sizeof *larger);
    free(*buffer);
    *buffer = larger;
    *room = wanted;
    return STATUS_OK;
}

void wave_inputs_keep(struct wave_inputs *inputs, size_t source, const float *x, size_t tokens)
{
    const size_t floats = tokens * inputs->map->source_channels[source];
    struct wave_input *last = inputs->count != 0 ? &inputs->list[inputs->count - 1] : NULL;

    if (inputs->failure.status != STATUS_OK ||
        grow(&inputs->own, &inputs->room, inputs->used, inputs->used + floats, &inputs->failure) != STATUS_OK)
        return;
    memcpy(inputs->own + inputs->used, x, floats * sizeof *x);
    inputs->used += floats;
    if (last != NULL && last->source == source)
        last->streams++;
    else
        inputs->list[inputs->count++] = (struct wave_input){source, tokens, 1};
}

// The sequence of rank `root`: each of its inputs is sent to all ranks.
static enum status visit_sequence(struct wave_inputs *inputs, int root,
                                  void (*add)(void *context, const struct wave_input *input, const float *x),
                                  void *context, struct error *err)
{
    const struct team *team = inputs->team;
    const bool mine = team->rank == root;
    struct wave_input *list = mine ? inputs->list : inputs->received;
    uint64_t count = inputs->count;
    size_t offset = 0;

    FORWARD_IF_ERROR(team_broadcast(team, &count, sizeof count, root, err));
    FORWARD_IF_ERROR(team_broadcast(team, list, count * sizeof *list, root, err));
    for (size_t i = 0; i < count; i++) {
        const size_t floats = list[i].streams * list[i].tokens * inputs->map->source_channels[list[i].source];
        enum status status = STATUS_OK;
        if (!mine)
            status = grow(&inputs->other, &inputs->other_room, 0, floats, err);
        if (team->size > 1)
            FORWARD_IF_ERROR(team_agree(team, status, err));
        float *x = mine ? inputs->own + offset : inputs->other;
        FORWARD_IF_ERROR(team_broadcast(team, x, floats * sizeof *x, root, err));
        add(context, &list[i], x);
        offset += floats;
    }
    return STATUS_OK;
}

enum status wave_inputs_visit(struct wave_inputs *inputs,
                              void (*add)(void *context, const struct wave_input *input, const float *x),
                              void *context, struct error *err)
{
    const struct team *team = inputs->team;

    if (inputs->failure.status != STATUS_OK && err != NULL)
        *err = inputs->failure;
    FORWARD_IF_ERROR(team_agree(team, inputs->failure.status, err));
    for (int root = 0; root < team->size; root++)
        FORWARD_IF_ERROR(visit_sequence(inputs, root, add, context, err));
    inputs->used = inputs->count = 0;
    return STATUS_OK;
}
