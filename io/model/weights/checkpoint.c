#include "io/model/weights/checkpoint.h"
#include "io/file/commit.h"
#include "io/file/json.h"
#include "io/model/conversion.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char single_name[] = "model.safetensors";
static const char index_name[] = CHECKPOINT_INDEX;

struct checkpoint_entry {
    const struct safetensors_tensor *tensor;
    size_t shard;
    bool looked_up; // by checkpoint_find
};

static enum status join(char path[PATH_MAX], const char *directory, const char *name, struct error *err)
{
    const int used = snprintf(path, PATH_MAX, "%s/%s", directory, name);
    RETURN_ERROR_IF(used < 0 || used >= PATH_MAX, err, STATUS_INPUT, "%.200s...: the name is too long",
                    directory);
    return STATUS_OK;
}

// Whether a file of that name is there; a folder that cannot be looked into is an error, not an absence.
static enum status look_for(bool *found, const char *directory, const char *name, struct error *err)
{
    char path[PATH_MAX];
    struct stat info;

    FORWARD_IF_ERROR(join(path, directory, name, err));
    *found = stat(path, &info) == 0;
    RETURN_ERROR_IF(!*found && errno != ENOENT, err, STATUS_FAILED, "%s: %s", path, strerror(errno));
    return STATUS_OK;
}

static int compare_strings(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

// A shard's name is a plain file name: an index from elsewhere must not reach out of the model's folder.
static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strchr(name, '/') == NULL;
}

// Names that other files of a model's folder have, its export's record included. Hidden files are temporary.
static bool is_reserved(const char *name)
{
    static const char *const others[] = {index_name,       "config.json",           "generation_config.json",
                                         "tokenizer.json", "tokenizer_config.json", "coppice.json"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(name, others[i]) == 0)
            return true;
    return name[0] == '.';
}

// Collects the different shard names of weight_map, sorted, into checkpoint->shard_names.
static enum status list_shards(struct checkpoint *checkpoint, json_t *weight_map, const char *path,
                               struct error *err)
{
    const char *tensor;
    json_t *value;
    const char **names;
    size_t count = 0, different = 0;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(allocate(&names, json_object_size(weight_map), sizeof *names, "a list of shards", err));
    json_object_foreach(weight_map, tensor, value)
    {
        char shown_tensor[200], shown_name[200];
        const char *name = json_string_value(value);
        printable(shown_tensor, sizeof shown_tensor, tensor);
        if (name == NULL || !is_plain_name(name)) {
            status = error_set(err, STATUS_INPUT,
                               "%s: the shard of tensor '%s' is %s%s, not a file name in this folder", path,
                               shown_tensor, name != NULL ? "" : "not a string",
                               name != NULL ? printable(shown_name, sizeof shown_name, name) : "");
            goto done;
        }
        if (is_reserved(name)) {
            status = error_set(err, STATUS_INPUT,
                               "%s: the shard of tensor '%s' is %s, a name that no shard may have", path,
                               shown_tensor, printable(shown_name, sizeof shown_name, name));
            goto done;
        }
        names[count++] = name;
    }
    qsort(names, count, sizeof *names, compare_strings);
    for (size_t i = 0; i < count; i++) {
        if (different == 0 || strcmp(names[different - 1], names[i]) != 0)
            names[different++] = names[i];
    }
    GOTO_IF_ERROR(
        allocate(&checkpoint->shard_names, different, sizeof *checkpoint->shard_names, "shards", err), done);
    GOTO_IF_ERROR(allocate(&checkpoint->shards, different, sizeof *checkpoint->shards, "shards", err), done);
    for (; checkpoint->num_shards < different; checkpoint->num_shards++) {
        char *copy = strdup(names[checkpoint->num_shards]);
        if (copy == NULL) {
            status = error_set(err, STATUS_MEMORY, "%s: out of memory for the names of its shards", path);
            goto done;
        }
        checkpoint->shard_names[checkpoint->num_shards] = copy;
    }
done:
    free(names);
    return status;
}

static enum status open_shards(struct checkpoint *checkpoint, const char *listed_in, struct error *err)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < checkpoint->num_shards; i++) {
        FORWARD_IF_ERROR(join(path, checkpoint->directory, checkpoint->shard_names[i], err));
        const enum status status = safetensors_open(&checkpoint->shards[i], path, err);
        bool is_there = true;
        if (status == STATUS_INPUT && listed_in != NULL)
            (void)look_for(&is_there, checkpoint->directory, checkpoint->shard_names[i], NULL);
        RETURN_ERROR_IF(!is_there, err, STATUS_INPUT, "%s: the shard %s is listed but not there", listed_in,
                        checkpoint->shard_names[i]);
        FORWARD_IF_ERROR(status);
    }
    return STATUS_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const struct checkpoint_entry *x = a, *y = b;
    return strcmp(x->tensor->name, y->tensor->name);
}

static int compare_entry_name(const void *key, const void *element)
{
    const struct checkpoint_entry *entry = element;
    return strcmp(key, entry->tensor->name);
}

// One table of all tensors, sorted by name.
enum status checkpoint_list_tensors(struct checkpoint *checkpoint, struct error *err)
{
    size_t total = 0;

    free(checkpoint->entries);
    checkpoint->entries = NULL;
    checkpoint->num_entries = 0;
    for (size_t i = 0; i < checkpoint->num_shards; i++)
        total += checkpoint->shards[i]->count;
    FORWARD_IF_ERROR(
        allocate(&checkpoint->entries, total, sizeof *checkpoint->entries, "a table of tensors", err));
    for (size_t i = 0; i < checkpoint->num_shards; i++) {
        for (size_t j = 0; j < checkpoint->shards[i]->count; j++)
            checkpoint->entries[checkpoint->num_entries++] =
                (struct checkpoint_entry){.tensor = &checkpoint->shards[i]->tensors[j], .shard = i};
    }
    qsort(checkpoint->entries, total, sizeof *checkpoint->entries, compare_entries);
    for (size_t i = 1; i < total; i++) {
        const struct checkpoint_entry *first = &checkpoint->entries[i - 1], *second = &checkpoint->entries[i];
        char shown[200];
        RETURN_ERROR_IF(compare_entries(first, second) == 0, err, STATUS_INPUT,
                        "%s: tensor '%s' is in two shards, %s and %s, and only one of them would be pruned; "
                        "take it out of the other",
                        checkpoint->directory, printable(shown, sizeof shown, first->tensor->name),
                        checkpoint->shard_names[first->shard], checkpoint->shard_names[second->shard]);
    }
    return STATUS_OK;
}

static struct checkpoint_entry *find_entry(const struct checkpoint *checkpoint, const char *name)
{
    return bsearch(name, checkpoint->entries, checkpoint->num_entries, sizeof *checkpoint->entries,
                   compare_entry_name);
}

static enum status count_misplaced(struct checkpoint *checkpoint, json_t *weight_map, struct error *err)
{
    const char *tensor, *first = NULL;
    json_t *value;

    json_object_foreach(weight_map, tensor, value)
    {
        const struct checkpoint_entry *found = find_entry(checkpoint, tensor);
        if (found != NULL && strcmp(checkpoint->shard_names[found->shard], json_string_value(value)) == 0)
            continue;
        checkpoint->num_misplaced++;
        if (first == NULL || strcmp(tensor, first) < 0)
            first = tensor;
    }
    if (first == NULL)
        return STATUS_OK;
    checkpoint->first_misplaced = strdup(first);
    RETURN_ERROR_IF(checkpoint->first_misplaced == NULL, err, STATUS_MEMORY, "out of memory for a name");
    return STATUS_OK;
}

static enum status open_indexed(struct checkpoint *checkpoint, json_t *index, const char *path,
                                struct error *err)
{
    json_t *weight_map = json_object_get(index, "weight_map");

    RETURN_ERROR_IF(!json_is_object(weight_map), err, STATUS_INPUT,
                    "%s: 'weight_map' is missing or not an object", path);
    RETURN_ERROR_IF(json_object_size(weight_map) == 0, err, STATUS_INPUT, "%s: 'weight_map' is empty", path);
    FORWARD_IF_ERROR(list_shards(checkpoint, weight_map, path, err));
    FORWARD_IF_ERROR(open_shards(checkpoint, path, err));
    FORWARD_IF_ERROR(checkpoint_list_tensors(checkpoint, err));
    return count_misplaced(checkpoint, weight_map, err);
}

static enum status open_single(struct checkpoint *checkpoint, struct error *err)
{
    FORWARD_IF_ERROR(allocate(&checkpoint->shard_names, 1, sizeof *checkpoint->shard_names, "shards", err));
    FORWARD_IF_ERROR(allocate(&checkpoint->shards, 1, sizeof *checkpoint->shards, "shards", err));
    checkpoint->shard_names[0] = strdup(single_name);
    RETURN_ERROR_IF(checkpoint->shard_names[0] == NULL, err, STATUS_MEMORY, "out of memory for a file name");
    checkpoint->num_shards = 1;
    FORWARD_IF_ERROR(open_shards(checkpoint, NULL, err));
    return checkpoint_list_tensors(checkpoint, err);
}

static enum status open_any(struct checkpoint *checkpoint, struct error *err)
{
    const char *directory = checkpoint->directory;
    char path[PATH_MAX];
    struct stat info;
    bool found;
    json_t *index;

    const int reason = stat(directory, &info) != 0 ? errno : 0;
    RETURN_ERROR_IF(reason == ENOENT, err, STATUS_INPUT, "%s: no such model folder", directory);
    RETURN_ERROR_IF(reason != 0, err, STATUS_FAILED, "%s: %s", directory, strerror(reason));
    RETURN_ERROR_IF(!S_ISDIR(info.st_mode), err, STATUS_INPUT,
                    "%s: not a folder; a model is a folder with config.json", directory);
    FORWARD_IF_ERROR(look_for(&found, directory, single_name, err));
    if (found)
        return open_single(checkpoint, err);
    FORWARD_IF_ERROR(look_for(&found, directory, index_name, err));
    if (found) {
        checkpoint->has_index = true;
        FORWARD_IF_ERROR(join(path, directory, index_name, err));
        FORWARD_IF_ERROR(json_read(&index, path, err));
        const enum status status = open_indexed(checkpoint, index, path, err);
        json_decref(index);
        return status;
    }
    FORWARD_IF_ERROR(model_folder_refuse(directory, err));
    return error_set(err, STATUS_INPUT, "%s: holds neither %s nor %s", directory, single_name, index_name);
}

enum status checkpoint_open(struct checkpoint **out, const char *directory, struct error *err)
{
    struct checkpoint *checkpoint;

    *out = NULL;
    FORWARD_IF_ERROR(allocate(&checkpoint, 1, sizeof *checkpoint, directory, err));
    checkpoint->directory = strdup(directory);
    const enum status status =
        checkpoint->directory != NULL
            ? open_any(checkpoint, err)
            : error_set(err, STATUS_MEMORY, "%s: out of memory for its name", directory);
    if (status != STATUS_OK) {
        checkpoint_close(checkpoint);
        return status;
    }
    *out = checkpoint;
    return STATUS_OK;
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    for (size_t i = 0; i < checkpoint->num_shards; i++) {
        safetensors_close(checkpoint->shards[i]);
        free(checkpoint->shard_names[i]);
    }
    free(checkpoint->shards);
    free(checkpoint->shard_names);
    free(checkpoint->entries);
    free(checkpoint->first_misplaced);
    free(checkpoint->directory);
    free(checkpoint);
}

const struct safetensors_tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name,
                                                 size_t *shard)
{
    struct checkpoint_entry *entry = find_entry(checkpoint, name);

    if (entry == NULL)
        return NULL;
    entry->looked_up = true;
    if (shard != NULL)
        *shard = entry->shard;
    return entry->tensor;
}

// Buffers that older versions of the reference saved, and that no version reads.
static bool is_buffer(const char *name)
{
    static const char *const ends[] = {".inv_freq", ".masked_bias", ".attention.bias", ".attn.bias"};
    const size_t length = strlen(name);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (length > strlen(ends[i]) && strcmp(name + length - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

size_t checkpoint_unused(const char **first, const struct checkpoint *checkpoint)
{
    size_t count = 0;

    for (size_t i = 0; i < checkpoint->num_entries; i++) {
        const struct checkpoint_entry *entry = &checkpoint->entries[i];
        if (entry->looked_up || is_buffer(entry->tensor->name))
            continue;
        if (count++ == 0)
            *first = entry->tensor->name;
    }
    return count;
}

uint64_t checkpoint_bytes(const struct checkpoint *checkpoint)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < checkpoint->num_shards; i++)
        bytes += checkpoint->shards[i]->exported.data_bytes;
    return bytes;
}
