#include "stages/layer/hidden_states.h"

#include "io/file/run_paths.h"
#include "stages/layer/sequences.h"
#include "stages/team/waves.h"

#include <stdlib.h>
#include <string.h>

enum status hidden_states_open(struct hidden_states *states, const struct stage *stage, const char *stream,
                               size_t layer, struct error *err)
{
    const struct settings *settings = stage->settings;
    const uint64_t state = state_size(&stage->model->config.decoder);
    char path[PATH_SIZE];
    size_t rank;
    uint64_t dims[STORE_MAX_RANK];

    memset(states, 0, sizeof *states);
    states->layer = layer;
    if (layer == 0)
        return sequences_open(&states->reader, stage, err);
    states->carried = carried_find(stage->carried, stream, layer);
    if (states->carried != NULL)
        return STATUS_OK;

    run_layer_path(path, settings->run, RUN_ACTIVATIONS, stream, layer);
    FORWARD_IF_ERROR(store_open(&states->reader, path, stage->team->comm, err));
    enum status status = store_dims(states->reader, HIDDEN_STATES_DATASET, &rank, dims, err);
    if (status == STATUS_OK &&
        (rank != 3 || dims[0] != settings->sequences || dims[1] != settings->length || dims[2] != state))
        status = error_set(err, STATUS_DAMAGED, "%s: %s does not have the job's shape [%zu, %zu, %zu]", path,
                           HIDDEN_STATES_DATASET, settings->sequences, settings->length, (size_t)state);
    status = team_agree(stage->team, status, err);
    if (status != STATUS_OK)
        hidden_states_close(states);
    return status;
}

void hidden_states_close(struct hidden_states *states)
{
    store_close(states->reader);
    memset(states, 0, sizeof *states);
}

enum status hidden_states_read(const struct hidden_states *states, const struct stage *stage, size_t sequence,
                               float *hidden, struct error *err)
{
    const size_t length = stage->settings->length;
    int32_t *ids = NULL;

    if (states->carried != NULL) {
        memcpy(hidden, carried_sequence(states->carried, stage, sequence),
               length * state_size(&stage->model->config.decoder) * sizeof *hidden);
        return STATUS_OK;
    }
    if (states->layer > 0)
        return store_read(states->reader, HIDDEN_STATES_DATASET, STORE_F32, sequence, 1, hidden, err);
    FORWARD_IF_ERROR(allocate(&ids, length, sizeof *ids, "token ids of one sequence", err));
    enum status status = store_read(states->reader, TOKENS_DATASET, STORE_I32, sequence, 1, ids, err);
    if (status == STATUS_OK)
        model_embed(stage->model, hidden, ids, length);
    free(ids);
    return status;
}

static enum status create_file(struct store_writer **writer, const struct stage *stage, const char *stream,
                               size_t layer, struct error *err)
{
    const struct settings *settings = stage->settings;
    const struct store_shape shape = {
        .type = STORE_F32,
        .rank = 3,
        .dims = {settings->sequences, settings->length, state_size(&stage->model->config.decoder)},
        .meaning = "hidden states entering the layer, [sequences, length, hidden_size]"};
    char path[PATH_SIZE];

    run_layer_path(path, settings->run, RUN_ACTIVATIONS, stream, layer);
    FORWARD_IF_ERROR(store_create(writer, path, settings_origin(stage->settings), stage->team->comm, err));
    enum status status = store_declare(*writer, HIDDEN_STATES_DATASET, &shape, err);
    if (status != STATUS_OK) {
        store_abandon(*writer);
        *writer = NULL;
    }
    return status;
}

enum status hidden_states_create(struct hidden_output *output, const struct stage *stage, const char *stream,
                                 size_t layer, struct error *err)
{
    bool due = true;

    *output = (struct hidden_output){.stage = stage, .layer = layer};
    if (stage->carried != NULL)
        FORWARD_IF_ERROR(carried_take(&output->carried, &due, stage, stream, err));
    return due ? create_file(&output->writer, stage, stream, layer, err) : STATUS_OK;
}

enum status hidden_states_write(struct hidden_output *output, size_t sequence, size_t count,
                                const float *hidden, struct error *err)
{
    const struct stage *stage = output->stage;
    const size_t floats = stage->settings->length * state_size(&stage->model->config.decoder);

    if (output->carried != NULL && count > 0)
        memcpy(carried_sequence(output->carried, stage, sequence), hidden, floats * sizeof *hidden);
    return output->writer == NULL
               ? STATUS_OK
               : store_write(output->writer, HIDDEN_STATES_DATASET, sequence, count, hidden, err);
}

enum status hidden_states_commit(struct hidden_output *output, struct error *err)
{
    const bool stored = output->writer != NULL;

    if (stored) {
        struct store_writer *writer = output->writer;
        output->writer = NULL;
        FORWARD_IF_ERROR(store_commit(writer, err));
    }
    if (output->carried != NULL)
        carried_keep(output->carried, output->layer, stored);
    return STATUS_OK;
}

void hidden_states_abandon(struct hidden_output *output)
{
    store_abandon(output->writer);
    *output = (struct hidden_output){0};
}

static enum status store_stream(const struct stage *stage, struct carried_stream *carried, struct error *err)
{
    const struct team *team = stage->team;
    const size_t sequences = stage->settings->sequences;
    struct hidden_output output = {.stage = stage, .layer = carried->layer};
    enum status status;

    FORWARD_IF_ERROR(create_file(&output.writer, stage, carried->name, carried->layer, err));
    for (size_t wave = 0; wave < sequences; wave += (size_t)team->size) {
        size_t sequence;
        const bool mine = wave_sequence(&sequence, team, wave, 0, sequences);
        GOTO_IF_ERROR(hidden_states_write(&output, mine ? sequence : 0, mine ? 1 : 0,
                                          carried_sequence(carried, stage, mine ? sequence : 0), err),
                      done);
    }
    GOTO_IF_ERROR(hidden_states_commit(&output, err), done);
    carried_keep(carried, carried->layer, true);
done:
    hidden_states_abandon(&output);
    return status;
}

enum status hidden_states_store(const struct stage *stage, struct error *err)
{
    for (size_t i = 0; stage->carried != NULL && i < stage->carried->count; i++)
        if (stage->carried->streams[i].layer > 0 && !stage->carried->streams[i].stored)
            FORWARD_IF_ERROR(store_stream(stage, &stage->carried->streams[i], err));
    return STATUS_OK;
}

enum status forward_buffers_create(struct forward_buffers *buffers, const struct model *model, size_t tokens,
                                   struct error *err)
{
    const struct decoder_config *config = &model->config.decoder;
    memset(buffers, 0, sizeof *buffers);
    FORWARD_IF_ERROR(model_rotary_table(&buffers->rotary, model, tokens, err));
    FORWARD_IF_ERROR(
        allocate_aligned(&buffers->hidden, tokens * state_size(config), sizeof(float), "hidden states", err));
    return allocate_aligned(&buffers->workspace, decoder_workspace_size(config, tokens), sizeof(float),
                            "the forward pass of one sequence", err);
}

void forward_buffers_free(struct forward_buffers *buffers)
{
    rotary_table_free(&buffers->rotary);
    free(buffers->hidden);
    free(buffers->workspace);
    memset(buffers, 0, sizeof *buffers);
}
