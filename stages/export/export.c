#include "stages/export/export.h"

#include "io/file/commit.h"
#include "io/file/json.h"
#include "io/file/run_directory.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/store/store.h"
#include "stages/export/added_bias.h"
#include "stages/layer/few_tokens.h"
#include "stages/layer/linear_record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t piece_bytes = (size_t)16 << 20; // copied at a time

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

    path_format(name, sizeof name, "%s/coppice.json", path);
    if (lstat(path, &stat_buffer) != 0 || lstat(name, &stat_buffer) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return lstat(path, &stat_buffer) != 0 ? EXPORT_ABSENT : EXPORT_FOREIGN;
        error_set(err, STATUS_FAILED, "%s: %s", name, strerror(errno));
        return EXPORT_UNKNOWN;
    }
    const enum status status = json_read(&json, name, err);
    if (status != STATUS_OK) // what is no JSON is not ours
        return status == STATUS_INPUT ? EXPORT_FOREIGN : EXPORT_UNKNOWN;
    const char *found = json_string_value(json_object_get(json, "identity"));
    if (found != NULL && strcmp(found, identity) == 0)
        state = EXPORT_DONE;
    json_decref(json);
    return state;
}

// The hidden folder in which the export grows: beside the output, so that the last step is one rename.
static void partial_path(char *path, size_t size, const char *output, const char *identity)
{
    char folder[PATH_SIZE], base[PATH_SIZE];
    snprintf(folder, sizeof folder, "%s", output);
    snprintf(base, sizeof base, "%s", output);
    path_format(path, size, "%s/.%s.partial-%s", dirname(folder), basename(base), identity);
}

// One shard on its way: every rank holds the temporary file open, rank 0 made it and commits it.
struct shard {
    const struct stage *stage;
    const struct safetensors_file *source;
    struct commit_file file;
    struct added_biases biases;
    uint64_t header_bytes; // of the new file
};

static enum status shard_begin(struct shard *shard, const char *path, struct error *err)
{
    const struct team *team = shard->stage->team;
    char temporary[PATH_SIZE] = "";
    enum status status = STATUS_OK;

    shard->file.fd = -1;
    if (team->rank == 0) {
        status = commit_begin(&shard->file, path, err);
        if (status == STATUS_OK)
            snprintf(temporary, sizeof temporary, "%s", shard->file.temporary);
    }
    FORWARD_IF_ERROR(team_agree(team, status, err));
    FORWARD_IF_ERROR(team_broadcast(team, temporary, sizeof temporary, 0, err));
    if (team->rank != 0) {
        shard->file.fd = open(temporary, O_WRONLY | O_CLOEXEC);
        shard->file.path = strdup(path);
        if (shard->file.fd < 0 || shard->file.path == NULL)
            status = error_set(err, STATUS_FAILED, "%s: %s", temporary, strerror(errno));
    }
    return team_agree(team, status, err);
}

// All ranks; mine is this rank's outcome of writing.
static enum status shard_end(struct shard *shard, enum status mine, struct error *err)
{
    const struct team *team = shard->stage->team;

    if (mine == STATUS_OK && team->rank != 0 && fsync(shard->file.fd) != 0)
        mine = error_set(err, STATUS_FAILED, "%s: fsync: %s", shard->file.path, strerror(errno));
    mine = team_agree(team, mine, err);
    if (team->rank != 0) {
        if (shard->file.fd >= 0)
            close(shard->file.fd);
        free(shard->file.path);
    } else if (mine == STATUS_OK) {
        mine = commit_end(&shard->file, err);
    } else {
        commit_abandon(&shard->file);
    }
    return team_agree(team, mine, err);
}

// Reads a byte of every page. What cannot be read is met here, and told of as what it is: inside a write it
// would look like the new file's failure.
static void touch_pages(const uint8_t *bytes, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    volatile uint8_t seen;
    for (size_t i = 0; i < size; i += page)
        seen = bytes[i];
    seen = bytes[size - 1];
    (void)seen;
}

static enum status copy_bytes(struct shard *shard, const uint8_t *bytes, uint64_t size, uint64_t offset,
                              struct error *err)
{
    for (uint64_t done = 0; done < size; done += piece_bytes) {
        size_t n = size - done < piece_bytes ? (size_t)(size - done) : piece_bytes;
        touch_pages(bytes + done, n);
        FORWARD_IF_ERROR(commit_write_at(&shard->file, bytes + done, n, offset + done, err));
        safetensors_release(shard->source, bytes + done, n);
    }
    return STATUS_OK;
}

// This rank's rows of a pruned weight or of its bias, from dataset `name` to their place in the shard.
static enum status write_rows(struct shard *shard, const struct layer_tensor *tensor, const char *name,
                              const struct store_reader *weights, struct error *err)
{
    const struct team *team = shard->stage->team;
    const enum dtype dtype = tensor->tensor->dtype;
    const size_t row_bytes = tensor->in * dtype_size(dtype);
    const size_t rows_at_once = row_bytes < piece_bytes ? piece_bytes / row_bytes : 1;
    const uint64_t begin = shard->header_bytes + tensor->tensor->begin;
    void *buffer = NULL;
    size_t first, count;
    enum status status;

    share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &first, &count);
    status = allocate(&buffer, rows_at_once < count ? rows_at_once : count, row_bytes,
                      "rows of a pruned weight", err);
    for (size_t row = first; row < first + count && status == STATUS_OK; row += rows_at_once) {
        size_t n = first + count - row < rows_at_once ? first + count - row : rows_at_once;
        status = store_read(weights, name, dtype == DTYPE_F32 ? STORE_F32 : STORE_U16, row, n, buffer, err);
        if (status == STATUS_OK)
            status = commit_write_at(&shard->file, buffer, n * row_bytes, begin + row * row_bytes, err);
    }
    free(buffer);
    return status;
}

static bool is_in_shard(const struct shard *shard, const struct layer_tensor *tensor)
{
    return tensor != NULL && tensor->tensor != NULL && tensor->tensor >= shard->source->tensors &&
           tensor->tensor < shard->source->tensors + shard->source->count;
}

// Whether the variant changes anything of the layer in this shard.
static bool changes_layer(const struct shard *shard, const struct layer_map *map)
{
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (tensor_is_pruned(shard->stage->settings, map->layer, tensor) &&
            (is_in_shard(shard, tensor) || is_in_shard(shard, layer_map_bias(tensor))))
            return true;
    }
    for (size_t i = 0; i < shard->biases.count; i++)
        if (shard->biases.items[i].layer == map->layer)
            return true;
    return false;
}

// What this shard has of one linear; marks it in `written`.
static enum status write_linear(struct shard *shard, const struct layer_tensor *tensor,
                                const struct store_reader *weights, bool *written, struct error *err)
{
    const struct layer_tensor *bias = layer_map_bias(tensor);
    bool has_bias = false;
    char name[DATASET_PATH_SIZE];

    if (is_in_shard(shard, tensor)) {
        dataset_path(name, tensor->linear, DATASET_WEIGHT);
        FORWARD_IF_ERROR(write_rows(shard, tensor, name, weights, err));
        written[tensor->tensor - shard->source->tensors] = true;
    }
    dataset_path(name, tensor->linear, DATASET_BIAS);
    if (is_in_shard(shard, bias))
        FORWARD_IF_ERROR(store_find(weights, name, &has_bias, err));
    if (has_bias) {
        FORWARD_IF_ERROR(write_rows(shard, bias, name, weights, err));
        written[bias->tensor - shard->source->tensors] = true;
    }
    return STATUS_OK;
}

// A bias that the checkpoint did not have. One of a linear that is not pruned is zero. Rank 0.
static enum status write_added_bias(struct shard *shard, const struct added_bias *bias,
                                    const struct store_reader *weights, struct error *err)
{
    const size_t element = dtype_size(bias->dtype);
    void *values = NULL;
    bool is_set = false;
    char name[DATASET_PATH_SIZE];
    enum status status = allocate(&values, bias->out, element, "a bias", err);

    dataset_path(name, bias->linear, DATASET_BIAS);
    if (status == STATUS_OK)
        status = store_find(weights, name, &is_set, err);
    if (status == STATUS_OK && is_set)
        status = store_read(weights, name, bias->dtype == DTYPE_F32 ? STORE_F32 : STORE_U16, 0, bias->out,
                            values, err);
    if (status == STATUS_OK)
        status = commit_write_at(&shard->file, values, bias->out * element, shard->header_bytes + bias->begin,
                                 err);
    free(values);
    return status;
}

// What the variant changes of one layer in this shard. Collective.
static enum status write_layer(struct shard *shard, const struct variant *variant, size_t layer,
                               bool *written, struct error *err)
{
    const struct settings *settings = shard->stage->settings;
    const struct team *team = shard->stage->team;
    struct store_reader *weights = NULL;
    struct layer_map map;
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(team_agree(team, layer_map_create(&map, shard->stage->model, layer, err), err));
    if (!changes_layer(shard, &map)) {
        layer_map_free(&map);
        return STATUS_OK;
    }
    run_layer_path(path, settings->run, RUN_WEIGHTS, variant->name, layer);
    GOTO_IF_ERROR(store_open(&weights, path, team->comm, err), done);
    for (size_t i = 0; i < map.num_tensors && status == STATUS_OK; i++)
        if (tensor_is_pruned(settings, layer, &map.tensors[i]))
            status = write_linear(shard, &map.tensors[i], weights, written, err);
    for (size_t i = 0; i < shard->biases.count && status == STATUS_OK && team->rank == 0; i++)
        if (shard->biases.items[i].layer == layer)
            status = write_added_bias(shard, &shard->biases.items[i], weights, err);
    status = team_agree(team, status, err);
done:
    store_close(weights);
    layer_map_free(&map);
    return status;
}

// The header as it was: names, order, dtypes, shapes and offsets do not change; what is new comes last.
static enum status write_header(struct shard *shard, struct error *err)
{
    if (shard->biases.count > 0)
        return commit_write_at(&shard->file, shard->biases.header, shard->header_bytes, 0, err);
    return copy_bytes(shard, shard->source->mapping, shard->source->header_bytes, 0, err);
}

static enum status write_shard(const struct stage *stage, const struct variant *variant, size_t index,
                               const char *path, struct error *err)
{
    const struct team *team = stage->team;
    struct shard shard = {.stage = stage, .source = stage->model->checkpoint->shards[index]};
    const struct safetensors_file *source = shard.source;
    bool *written = NULL;
    enum status status = allocate(&written, source->count, sizeof *written, "shard", err);

    if (status == STATUS_OK)
        status = added_biases_create(&shard.biases, stage, variant, index, err);
    shard.header_bytes = shard.biases.count > 0 ? shard.biases.header_bytes : source->header_bytes;
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    GOTO_IF_ERROR(shard_begin(&shard, path, err), end);
    for (size_t layer = 0; layer < stage->model->config.num_hidden_layers; layer++) {
        GOTO_IF_ERROR(stage_safe_point(stage, STATUS_OK, 0, err), end);
        GOTO_IF_ERROR(write_layer(&shard, variant, layer, written, err), end);
    }
    if (team->rank == 0)
        status = write_header(&shard, err);
    for (size_t i = 0; i < source->count && status == STATUS_OK; i++)
        if (!written[i] && i % (size_t)team->size == (size_t)team->rank)
            status =
                copy_bytes(&shard, source->tensors[i].data, source->tensors[i].end - source->tensors[i].begin,
                           shard.header_bytes + source->tensors[i].begin, err);
end:
    status = shard_end(&shard, status, err);
done:
    added_biases_free(&shard.biases);
    free(written);
    return status;
}

// Weights in other formats would be the dense ones: left behind. So is what an earlier coppice wrote.
static bool is_copied(const char *name)
{
    static const char *const weights[] = {".safetensors", ".bin",  ".pt", ".pth", ".gguf",
                                          ".msgpack",     ".onnx", ".h5", ".ot",  ".bin.index.json"};
    const size_t length = strlen(name);
    if (name[0] == '.' || strcmp(name, "coppice.json") == 0)
        return false;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        const size_t n = strlen(weights[i]);
        if (length >= n && strcasecmp(name + length - n, weights[i]) == 0)
            return false;
    }
    return true;
}

static enum status copy_side_files(const char *from, const char *to, struct error *err)
{
    struct dirent *entry;
    enum status status = STATUS_OK;
    DIR *directory = opendir(from);

    RETURN_ERROR_IF(directory == NULL, err, STATUS_INPUT, "%s: %s", from, strerror(errno));
    while (status == STATUS_OK && (errno = 0, entry = readdir(directory)) != NULL) {
        char source[PATH_SIZE], target[PATH_SIZE];
        struct stat stat_buffer;
        char *bytes = NULL;
        size_t size = 0;

        path_format(source, sizeof source, "%s/%s", from, entry->d_name);
        path_format(target, sizeof target, "%s/%s", to, entry->d_name);
        if (!is_copied(entry->d_name))
            continue;
        if (stat(source, &stat_buffer) != 0)
            status = error_set(err, STATUS_INPUT, "%s: %s", source, strerror(errno));
        else if (S_ISREG(stat_buffer.st_mode))
            status = read_file(&bytes, &size, source, err);
        if (status == STATUS_OK && bytes != NULL)
            status = commit_bytes(target, bytes, size, err);
        free(bytes);
    }
    if (status == STATUS_OK && errno != 0)
        status = error_set(err, STATUS_FAILED, "%s: listing the folder failed: %s", from, strerror(errno));
    closedir(directory);
    return status;
}

// {"layers.0.self_attn.q_proj": {"kept": 8192, "total": 16384, "sparsity": 0.5}, ...}, from the masks, and
// what linear_record.h adds.
static enum status describe_linears(json_t **out, const struct stage *stage, const struct variant *variant,
                                    struct error *err)
{
    const struct model *model = stage->model;
    json_t *linears = json_object();
    enum status status =
        linears != NULL ? STATUS_OK : error_set(err, STATUS_MEMORY, "out of memory for coppice.json");

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
                status = error_set(err, STATUS_MEMORY, "out of memory for coppice.json");
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

// Rank 0: the side files, coppice.json, and the final name.
static enum status finish(const struct stage *stage, const struct variant *variant, const char *identity,
                          const json_t *provenance, const char *partial, const char *output,
                          struct error *err)
{
    char path[PATH_SIZE], folder[PATH_SIZE];
    json_t *json = NULL, *linears = NULL;
    enum status status;

    GOTO_IF_ERROR(copy_side_files(stage->settings->model, partial, err), done);
    GOTO_IF_ERROR(added_biases_describe(stage, variant, partial, err), done);
    GOTO_IF_ERROR(describe_linears(&linears, stage, variant, err), done);
    json = json_copy((json_t *)provenance);
    if (json_object_size(json) != json_object_size(provenance) || // it leaves out what it has no memory for
        json_object_set_new(json, "identity", json_string(identity)) != 0 ||
        json_object_set(json, "linears", linears) != 0) {
        status = error_set(err, STATUS_MEMORY, "out of memory for coppice.json");
        goto done;
    }
    path_format(path, sizeof path, "%s/coppice.json", partial);
    GOTO_IF_ERROR(sealed_json_write(path, json, err), done);
    GOTO_IF_ERROR(sync_directory(partial, err), done);
    if (rename(partial, output) != 0) {
        status = error_set(err, STATUS_FAILED, "%s: rename to %s: %s", partial, output, strerror(errno));
        goto done;
    }
    GOTO_IF_ERROR(check_renamed(partial, output, err), done);
    snprintf(folder, sizeof folder, "%s", output);
    status = sync_directory(dirname(folder), err);
done:
    json_decref(linears);
    json_decref(json);
    return status;
}

enum status export_variant(const struct stage *stage, const struct variant *variant, const char *identity,
                           json_t *provenance, struct error *err)
{
    const struct checkpoint *checkpoint = stage->model->checkpoint;
    const bool root = stage->team->rank == 0;
    size_t removed;
    char output[PATH_SIZE], partial[PATH_SIZE], path[PATH_SIZE];
    enum status status = STATUS_OK;

    export_path(output, sizeof output, stage->settings, variant);
    partial_path(partial, sizeof partial, output, identity);
    if (root)
        status = make_directories(partial, err);
    // A killed export may have left its temporary file: it must not travel into the finished folder.
    if (root && status == STATUS_OK)
        status = run_clean_temporaries(partial, &removed, err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    for (size_t i = 0; i < checkpoint->num_shards; i++) {
        path_format(path, sizeof path, "%s/%s", partial, checkpoint->shard_names[i]);
        if (team_any(stage->team, root && access(path, F_OK) != 0))
            FORWARD_IF_ERROR(write_shard(stage, variant, i, path, err));
        stage_advance(stage, (double)checkpoint->shards[i]->file_bytes);
    }
    if (root)
        status = finish(stage, variant, identity, provenance, partial, output, err);
    return team_agree(stage->team, status, err);
}
