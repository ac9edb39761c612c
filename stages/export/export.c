#include "stages/export/export.h"

#include "io/file/commit.h"
#include "io/file/json.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/store/store.h"
#include "stages/export/added_bias.h"
#include "stages/export/card.h"
#include "stages/export/dequantised.h"
#include "stages/export/exported_files.h"
#include "stages/export/partial.h"
#include "stages/export/permutation.h"
#include "stages/export/read_back.h"
#include "stages/export/shard.h"
#include "stages/export/side_files.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/linear_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void export_path(char *path, size_t size, const struct settings *settings, const struct variant *variant)
{
    if (settings->num_variants == 1)
        path_format(path, size, "%s", settings->output);
    else
        path_format(path, size, "%s/%s", settings->output, variant->name);
}

enum export_state export_state_of(const char *path, const char *identity, struct error *err)
{
    char name[PATH_SIZE];
    struct stat stat_buffer;
    enum export_state state = EXPORT_FOREIGN;
    json_t *json;

    path_format(name, sizeof name, "%s/" EXPORT_RECORD, path);
    if (lstat(path, &stat_buffer) != 0 || lstat(name, &stat_buffer) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return lstat(path, &stat_buffer) != 0 ? EXPORT_ABSENT : EXPORT_FOREIGN;
        error_set(err, STATUS_FAILED, "%s: %s", name, strerror(errno));
        return EXPORT_UNKNOWN;
    }
    const enum status status = json_read(&json, name, err);
    if (status != STATUS_OK) // a file that is not JSON is not ours
        return status == STATUS_INPUT ? EXPORT_FOREIGN : EXPORT_UNKNOWN;
    const char *found = json_string_value(json_object_get(json, "identity"));
    if (found != NULL && strcmp(found, identity) == 0)
        state = EXPORT_DONE;
    json_decref(json);
    return state;
}

// {"layers.0.self_attn.q_proj": {"kept": 8192, "total": 16384, "sparsity": 0.5}, ...}, from the masks, and
// what stages/layer/linear_record.h adds.
static enum status describe_linears(json_t **out, const struct stage *stage, const struct variant *variant,
                                    struct error *err)
{
    const struct model *model = stage->model;
    json_t *linears = json_object();
    enum status status =
        linears != NULL ? STATUS_OK : error_set(err, STATUS_MEMORY, "out of memory for " EXPORT_RECORD);

    for (size_t layer = 0; layer < model->config.num_hidden_layers && status == STATUS_OK; layer++) {
        struct store_reader *masks = NULL, *weights = NULL;
        struct layer_map map;
        char path[PATH_SIZE], name[DATASET_PATH_SIZE];

        GOTO_IF_ERROR(layer_map_create(&map, model, layer, err), failed);
        run_layer_path(path, stage->settings->run, RUN_MASKS, variant->name, layer);
        status = store_open(&masks, path, MPI_COMM_SELF, err);
        run_layer_path(path, stage->settings->run, RUN_WEIGHTS, variant->name, layer);
        if (status == STATUS_OK)
            status = store_open(&weights, path, MPI_COMM_SELF, err);
        for (size_t i = 0; i < map.num_tensors && status == STATUS_OK; i++) {
            const double total = (double)map.tensors[i].out * (double)map.tensors[i].in;
            uint64_t kept;
            if (!tensor_is_pruned(stage->settings, layer, &map.tensors[i]))
                continue;
            dataset_path(name, map.tensors[i].linear, DATASET_MASK);
            status = store_read_attribute_u64(masks, name, "kept", &kept, err);
            snprintf(name, sizeof name, "layers.%zu.%s", layer, map.tensors[i].linear);
            json_t *row = json_pack("{s:I, s:I, s:f}", "kept", (json_int_t)kept, "total", (json_int_t)total,
                                    "sparsity", 1 - (double)kept / total);
            if (status == STATUS_OK)
                status = few_tokens_describe(row, masks, map.tensors[i].linear, err);
            if (status == STATUS_OK)
                status = linear_record_add(row, masks, weights, map.tensors[i].linear, err);
            if (json_object_set_new(linears, name, row) != 0 && status == STATUS_OK)
                status = error_set(err, STATUS_MEMORY, "out of memory for " EXPORT_RECORD);
        }
        store_close(masks);
        store_close(weights);
        layer_map_free(&map);
    }
    if (status == STATUS_OK) {
        *out = linears;
        return STATUS_OK;
    }
failed:
    json_decref(linears);
    return status;
}

// Reads all shards back. What differs cannot be gone on with: the next start begins anew. Collective.
static enum status read_back(const struct stage *stage, const struct variant *variant, const char *partial,
                             struct error *err)
{
    const struct checkpoint *checkpoint = stage->model->checkpoint;
    enum status status = STATUS_OK;
    bool differs = false;

    for (size_t i = 0; i < checkpoint->num_shards && status == STATUS_OK; i++) {
        char path[PATH_SIZE];
        path_format(path, sizeof path, "%s/%s", partial, checkpoint->shard_names[i]);
        status = export_read_back(stage, variant, i, path, &differs, err);
    }
    if (differs && stage->team->rank == 0)
        partial_remove(partial);
    return status;
}

// Rank 0: the side files, and the card. record <- a new object, what coppice.json says but of the files.
static enum status complete(json_t **record, const struct stage *stage, const struct variant *variant,
                            const char *identity, const json_t *provenance, const char *partial,
                            struct error *err)
{
    json_t *json = NULL, *linears = NULL, *permutation = NULL, *dequantised = NULL;
    enum status status;

    GOTO_IF_ERROR(side_files_copy(stage, partial, err), done);
    GOTO_IF_ERROR(dequantised_describe(stage, partial, err), done);
    GOTO_IF_ERROR(added_biases_describe(stage, variant, partial, err), done);
    GOTO_IF_ERROR(describe_linears(&linears, stage, variant, err), done);
    GOTO_IF_ERROR(permutation_describe(&permutation, stage, variant, err), done);
    dequantised = dequantised_record(stage->model);
    json = json_copy((json_t *)provenance);
    // json_copy leaves out members when memory runs out.
    if (json_object_size(json) != json_object_size(provenance) ||
        json_object_set_new(json, "identity", json_string(identity)) != 0 ||
        json_object_set(json, "linears", linears) != 0 ||
        (permutation != NULL && json_object_set(json, "permutation", permutation) != 0) ||
        (dequantised != NULL && json_object_set(json, "dequantised", dequantised) != 0)) {
        status = error_set(err, STATUS_MEMORY, "out of memory for " EXPORT_RECORD);
        goto done;
    }
    status = card_write(stage, variant, json, partial, err);
done:
    json_decref(linears);
    json_decref(permutation);
    json_decref(dequantised);
    if (status == STATUS_OK)
        *record = json;
    else
        json_decref(json);
    return status;
}

// Collective; record is rank 0's.
static enum status write_record(json_t *record, const struct stage *stage, const char *partial,
                                struct error *err)
{
    char path[PATH_SIZE];
    enum status status = STATUS_OK;
    json_t *files;

    FORWARD_IF_ERROR(exported_files_describe(&files, stage, partial, err));
    if (stage->team->rank == 0) {
        path_format(path, sizeof path, "%s/" EXPORT_RECORD, partial);
        status = json_object_set_new(record, "files", files) == 0
                     ? sealed_json_write(path, record, err)
                     : error_set(err, STATUS_MEMORY, "out of memory for " EXPORT_RECORD);
    }
    return team_agree(stage->team, status, err);
}

enum status export_variant(const struct stage *stage, const struct variant *variant, const char *identity,
                           json_t *provenance, struct error *err)
{
    const struct checkpoint *checkpoint = stage->model->checkpoint;
    const bool root = stage->team->rank == 0;
    char output[PATH_SIZE], partial[PATH_SIZE], path[PATH_SIZE];
    json_t *record = NULL;
    enum status status = STATUS_OK;

    export_path(output, sizeof output, stage->settings, variant);
    partial_path(partial, sizeof partial, output, identity);
    dequantised_notice(stage);
    if (root)
        status = partial_begin(output, identity, err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    for (size_t i = 0; i < checkpoint->num_shards; i++) {
        path_format(path, sizeof path, "%s/%s", partial, checkpoint->shard_names[i]);
        if (team_any(stage->team, root && access(path, F_OK) != 0))
            FORWARD_IF_ERROR(export_shard(stage, variant, i, path, err));
        const struct safetensors_layout *exported = &checkpoint->shards[i]->exported;
        stage_advance(stage, (double)(exported->header_bytes + exported->data_bytes));
    }
    if (root)
        status = complete(&record, stage, variant, identity, provenance, partial, err);
    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    // After all that could write over a shard.
    GOTO_IF_ERROR(read_back(stage, variant, partial, err), done);
    GOTO_IF_ERROR(write_record(record, stage, partial, err), done);
    if (root)
        status = partial_publish(partial, output, err);
    status = team_agree(stage->team, status, err);
done:
    json_decref(record);
    return status;
}
