#include "pipeline/record/run_json/fingerprints.h"

#include "io/corpus/text_kind.h"
#include "io/file/hash_file.h"
#include "io/file/interrupt.h"
#include "io/file/run_paths.h"
#include "io/file/text/file_set.h"
#include "io/tasks/files.h"
#include "io/tokenizer/missing.h"
#include "pipeline/record/run_json/task_record.h"
#include "stages/evaluate/task_set.h"
#include "stages/layer/sequences.h"
#include "stages/stage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

static const char tokenizer_file[] = "tokenizer.json";

// What a run is made from: a shard, a plain file, or a text, which may be several files
// (io/file/text/file_set.h).
struct input {
    const char *path;
    const struct safetensors_file *shard; // NULL: no shard
    bool is_text;
    uint64_t enough; // of a text: bytes that are read of several files
};

static uint64_t time_of(const struct stat *info)
{
    return (uint64_t)info->st_mtim.tv_sec * 1000000000 + (uint64_t)info->st_mtim.tv_nsec;
}

// {"file", "bytes", "modified"} as the file system has it now; of several files, whose number is in "files",
// the sum and the latest.
static enum status file_stamp(json_t **stamp, const struct input *input, const struct file_set *set,
                              struct error *err)
{
    struct stat info;
    uint64_t modified = 0;

    for (size_t i = 0; i < set->count; i++) {
        RETURN_ERROR_IF(stat(set->paths[i], &info) != 0, err, STATUS_INPUT, "%s: %s", set->paths[i],
                        strerror(errno));
        modified = time_of(&info) > modified ? time_of(&info) : modified;
    }
    *stamp = json_pack("{s:s, s:I, s:I}", "file", input->path, "bytes", (json_int_t)set->total, "modified",
                       (json_int_t)modified);
    if (strcmp(set->paths[0], input->path) != 0)
        json_object_set_new(*stamp, "files", json_integer((json_int_t)set->count));
    return STATUS_OK;
}

// Notes in the stamp how a text is read, where an earlier version read it otherwise. A run that such a
// version began would be of two texts.
static enum status stamp_reading(json_t *stamp, const struct file_set *set, const json_t *recorded,
                                 struct error *err)
{
    struct text_kind kind;

    FORWARD_IF_ERROR(text_kind_find(&kind, set->paths[0], err));
    const char *reading = text_kind_change(&kind, set->paths[0]);
    if (reading[0] == '\0')
        return STATUS_OK;
    json_object_set_new(stamp, "reading", json_string(reading));
    const char *before = json_string_value(json_object_get(recorded, "reading"));
    RETURN_ERROR_IF(json_equal(json_object_get(recorded, "file"), json_object_get(stamp, "file")) &&
                        (before == NULL || strcmp(before, reading) != 0),
                    err, STATUS_USAGE,
                    "%s: is read %s now, and was not when the run was begun: use another run directory",
                    set->paths[0], reading);
    return STATUS_OK;
}

// The recorded hash of a file that has not been touched since, else NULL.
static const char *known_hash(const json_t *recorded, const json_t *stamp)
{
    static const char *const keys[] = {"file", "bytes", "modified", "files"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *old = json_object_get(recorded, keys[i]), *new = json_object_get(stamp, keys[i]);
        if (old != new && !json_equal(old, new)) // both may be missing
            return NULL;
    }
    return json_string_value(json_object_get(recorded, "xxh3"));
}

// Rank 0: as corpus_load has it (io/corpus/corpus.h).
static enum status hash_set(uint64_t *hash, const struct file_set *set, struct error *err)
{
    uint64_t *hashes;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(allocate(&hashes, set->count, sizeof *hashes, "fingerprint", err));
    for (size_t i = 0; i < set->count && status == STATUS_OK; i++)
        status = hash_file(&hashes[i], NULL, set->paths[i], NULL, NULL, err);
    *hash = set->count == 1 ? hashes[0] : XXH3_64bits(hashes, set->count * sizeof *hashes);
    free(hashes);
    return status;
}

// All ranks together: the hash of a shard is that of its header and its tensors' hashes, in order.
static enum status hash_shard(uint64_t *hash, const struct team *team, const struct safetensors_file *shard,
                              struct error *err)
{
    uint64_t *hashes = NULL;
    enum status status = allocate(&hashes, shard->stored_count + 1, sizeof *hashes, "fingerprint", err);

    FORWARD_IF_ERROR(team_agree(team, status, err));
    for (size_t i = 0; i < shard->stored_count && status == STATUS_OK; i++) {
        const struct safetensors_tensor *tensor = &shard->stored[i];
        status = interrupt_check(err);
        if (i % (size_t)team->size != (size_t)team->rank)
            continue;
        hashes[i] = XXH3_64bits(tensor->data, tensor->end - tensor->begin);
        safetensors_release(shard, tensor->data, tensor->end - tensor->begin);
    }
    if (team->rank == 0)
        hashes[shard->stored_count] = XXH3_64bits(shard->mapping, shard->header_bytes);
    status = team_agree(team, status, err);
    if (status == STATUS_OK)
        status = team_sum_u64(team, hashes, shard->stored_count + 1, err);
    *hash = XXH3_64bits(hashes, (shard->stored_count + 1) * sizeof *hashes);
    free(hashes);
    return status;
}

// Rank 0: the stamp of an input, and the recorded hash where it was not touched.
static enum status look(json_t **stamp, const char **known, struct file_set *set, const struct input *input,
                        const json_t *recorded, enum fingerprint_mode mode, struct error *err)
{
    FORWARD_IF_ERROR(file_set_find(set, input->path, input->is_text ? input->enough : UINT64_MAX, err));
    FORWARD_IF_ERROR(file_stamp(stamp, input, set, err));
    if (input->is_text)
        FORWARD_IF_ERROR(stamp_reading(*stamp, set, recorded, err));
    if (mode == FINGERPRINT_CHANGED)
        *known = known_hash(recorded, *stamp);
    return STATUS_OK;
}

// One input: its stamp with the hash, taken from the record where the file was not touched. Collective; only
// rank 0 appends to `list`.
static enum status fingerprint(json_t *list, const struct team *team, const struct input *input,
                               const json_t *recorded, enum fingerprint_mode mode, struct error *err)
{
    const bool root = team->rank == 0;
    struct file_set set = {0};
    json_t *stamp = NULL;
    const char *known = NULL;
    char text[17]; // hexadecimal
    uint64_t hash = 0;
    enum status status = STATUS_OK;

    if (root)
        status = look(&stamp, &known, &set, input, recorded, mode, err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    if (mode != FINGERPRINT_NONE && team_any(team, root && known == NULL)) {
        if (input->shard != NULL)
            status = hash_shard(&hash, team, input->shard, err);
        else if (root)
            status = hash_set(&hash, &set, err);
        GOTO_IF_ERROR(team_agree(team, status, err), done);
        snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
        known = text;
    }
    if (root) {
        if (known != NULL)
            json_object_set_new(stamp, "xxh3", json_string(known));
        json_array_append(list, stamp);
    }
done:
    file_set_free(&set);
    json_decref(stamp);
    return status;
}

// A plain file.
static enum status fingerprint_file(json_t *list, const struct team *team, const char *path,
                                    const json_t *recorded, enum fingerprint_mode mode, struct error *err)
{
    const struct input input = {.path = path};
    return fingerprint(list, team, &input, recorded, mode, err);
}

// One of the model's side files.
static enum status fingerprint_side_file(json_t *list, const struct team *team,
                                         const struct settings *settings, const char *name, const json_t *old,
                                         enum fingerprint_mode mode, struct error *err)
{
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    path_format(path, sizeof path, "%s/%s", settings->model, name);
    if (team->rank == 0 && strcmp(name, tokenizer_file) == 0)
        status = tokenizer_check(path, err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    return fingerprint_file(list, team, path, old, mode, err);
}

enum status fingerprint_model(json_t *list, const struct team *team, const struct model *model,
                              const struct settings *settings, const json_t *old, enum fingerprint_mode mode,
                              struct error *err)
{
    static const char *const names[] = {"config.json", tokenizer_file};
    const size_t count = sequences_are_given(settings) ? 1 : 2;
    size_t index = 0;

    for (size_t i = 0; i < count; i++, index++)
        FORWARD_IF_ERROR(
            fingerprint_side_file(list, team, settings, names[i], json_array_get(old, index), mode, err));
    for (size_t i = 0; i < model->checkpoint->num_shards; i++) {
        const struct safetensors_file *shard = model->checkpoint->shards[i];
        const struct input input = {.path = shard->path, .shard = shard};
        FORWARD_IF_ERROR(fingerprint(list, team, &input, json_array_get(old, index++), mode, err));
    }
    return STATUS_OK;
}

// A text for perplexity: all of it.
static struct input input_text(const char *path)
{
    return (struct input){.path = path, .is_text = true, .enough = UINT64_MAX};
}

enum status fingerprint_evaluation(json_t *list, const struct team *team, const struct settings *settings,
                                   const json_t *old, enum fingerprint_mode mode, struct error *err)
{
    if (settings->num_texts == 0 || text_label(settings, 0) != NULL)
        return STATUS_OK;
    const struct input text = input_text(settings->texts[0].data);
    FORWARD_IF_ERROR(fingerprint(list, team, &text, json_array_get(old, 0), mode, err));
    if (!sequences_are_given(settings))
        return STATUS_OK;
    return fingerprint_side_file(list, team, settings, tokenizer_file, json_array_get(old, 1), mode, err);
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

// Rank 0: whether the corpus is gone, and the record is to be believed. One of another name is no corpus of
// this run, whatever was in it.
static enum status look_for_corpus(bool *is_gone, const char *path, const json_t *old,
                                   enum fingerprint_mode mode, struct error *err)
{
    const char *recorded = json_string_value(json_object_get(old, "file"));
    struct file_set set = {0};
    struct error why = {0};

    *is_gone = file_set_find(&set, path, 0, &why) != STATUS_OK;
    file_set_free(&set);
    if (!*is_gone)
        return STATUS_OK;
    RETURN_ERROR_IF(mode == FINGERPRINT_ALL, err, STATUS_USAGE,
                    "calibration.corpus: %s; without --strict the stored sequences would be used",
                    why.message);
    RETURN_ERROR_IF(recorded == NULL || strcmp(base_of(recorded), base_of(path)) != 0, err, STATUS_USAGE,
                    "calibration.corpus: %s; the run's sequences were drawn from %s", why.message,
                    recorded != NULL ? recorded : "another corpus");
    return STATUS_OK;
}

enum status fingerprint_corpus(json_t *list, const struct team *team, const struct settings *settings,
                               const json_t *old, enum fingerprint_mode mode, struct error *err)
{
    const struct input corpus = {.path = settings->corpus,
                                 .is_text = !sequences_are_given(settings),
                                 .enough = calibration_bytes(settings)};
    bool is_gone = false;
    enum status status = STATUS_OK;

    if (team->rank == 0 && old != NULL)
        status = look_for_corpus(&is_gone, corpus.path, old, mode, err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    if (team_any(team, is_gone)) {
        if (team->rank == 0)
            json_array_append(list, (json_t *)old);
        return STATUS_OK;
    }
    return fingerprint(list, team, &corpus, old, mode, err);
}

enum status fingerprint_texts(json_t *list, const struct team *team, const struct settings *settings,
                              const json_t *old, enum fingerprint_mode mode, struct error *err)
{
    char tokenizer[PATH_SIZE];

    path_format(tokenizer, sizeof tokenizer, "%s/tokenizer.json", settings->model);
    for (size_t i = 0; i < settings->num_texts; i++) {
        const char *data = settings->texts[i].data, *name = text_label(settings, i);
        if (name == NULL)
            continue;
        const struct input text = input_text(data);
        FORWARD_IF_ERROR(fingerprint(list, team, &text, task_record_find(old, data), mode, err));
        task_record_name(list, "text", name);
        if (sequences_are_given(settings)) {
            FORWARD_IF_ERROR(
                fingerprint_file(list, team, tokenizer, task_record_find(old, tokenizer), mode, err));
            task_record_name(list, "text", name);
        }
    }
    return STATUS_OK;
}

static enum status fingerprint_task(json_t *list, const struct team *team, const struct settings *settings,
                                    size_t task, const json_t *old, enum fingerprint_mode mode,
                                    struct error *err)
{
    const struct task_source source = task_source_of(&settings->tasks[task]);
    const char *name = settings->tasks[task].name;
    struct task_files files = {0};
    char tokenizer[PATH_SIZE];
    enum status status = team->rank == 0 ? task_files_list(&files, &source, err) : STATUS_OK;
    uint64_t count;

    GOTO_IF_ERROR(team_agree(team, status, err), done);
    count = files.count;
    GOTO_IF_ERROR(team_broadcast(team, &count, sizeof count, 0, err), done);
    for (size_t i = 0; i < count; i++) { // only rank 0 reads them
        const char *path = team->rank == 0 ? files.paths[i] : "";
        GOTO_IF_ERROR(fingerprint_file(list, team, path, task_record_find(old, path), mode, err), done);
        task_record_name(list, "task", name);
    }
    if (sequences_are_given(settings)) {
        path_format(tokenizer, sizeof tokenizer, "%s/tokenizer.json", settings->model);
        GOTO_IF_ERROR(fingerprint_file(list, team, tokenizer, task_record_find(old, tokenizer), mode, err),
                      done);
        task_record_name(list, "task", name);
    }
done:
    task_files_free(&files);
    return status;
}

enum status fingerprint_tasks(json_t *list, const struct team *team, const struct settings *settings,
                              const json_t *old, enum fingerprint_mode mode, struct error *err)
{
    for (size_t i = 0; i < settings->num_tasks; i++)
        FORWARD_IF_ERROR(fingerprint_task(list, team, settings, i, old, mode, err));
    return STATUS_OK;
}
