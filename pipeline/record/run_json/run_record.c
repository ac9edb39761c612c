#include "pipeline/record/run_json/run_record.h"

#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "kernels/bf16_unit.h"
#include "kernels/blas.h"
#include "kernels/blas_kernel.h"
#include "kernels/numerics.h"
#include "kernels/simd.h"
#include "pipeline/job/json.h"
#include "pipeline/record/run_json/changed_input.h"
#include "pipeline/record/run_json/fingerprints.h"
#include "pipeline/record/run_json/json_difference.h"
#include "pipeline/record/run_json/outputs.h"
#include "pipeline/record/run_json/task_record.h"
#include "version.h"

#include <errno.h>
#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

enum { RUN_FORMAT = 1 };

json_t *library_versions(enum compute compute)
{
    unsigned major, minor, release;
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING], hdf5[32];
    char blas[BLAS_NAME_SIZE], bf16[BF16_UNIT_NAME_SIZE];
    int length = 0;
    H5get_libversion(&major, &minor, &release);
    snprintf(hdf5, sizeof hdf5, "%u.%u.%u", major, minor, release);
    MPI_Get_library_version(mpi, &length);
    mpi[strcspn(mpi, ",\n")] = '\0';
    blas_name(blas, sizeof blas);
    if (compute == COMPUTE_BF16)
        bf16_unit_name(bf16, sizeof bf16);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s*}", "coppice", COPPICE_VERSION, "mpi", mpi,
                     "hdf5", hdf5, RECORD_BLAS, blas, RECORD_BLAS_KERNEL, blas_kernel_name(), "instructions",
                     simd_instructions(), RECORD_NUMERICS, NUMERICS, RECORD_BF16,
                     compute == COMPUTE_BF16 ? bf16 : NULL);
}

json_t *hub_to_json(const struct settings *settings)
{
    return settings->hub_id != NULL
               ? json_pack("{s:s, s:s}", "id", settings->hub_id, "commit", settings->hub_commit)
               : NULL;
}

// Hashes and settings that results depend on, without paths. Variants are not part of it.
static json_t *identity_of(const json_t *record)
{
    const json_t *prints = json_object_get(record, "fingerprints");
    json_t *identity = settings_identity(json_object_get(record, "job"));
    const char *list;
    json_t *files;

    json_object_foreach((json_t *)prints, list, files)
    {
        size_t i;
        json_t *file;
        if (strcmp(list, "evaluation") == 0 || strcmp(list, "texts") == 0 || strcmp(list, "tasks") == 0)
            continue; // may come later; compared on their own
        json_t *hashes = json_object();
        json_array_foreach(files, i, file)
        {
            const char *name = json_string_value(json_object_get(file, "file"));
            const char *base = strrchr(name, '/');
            json_object_set(hashes, base != NULL ? base + 1 : name, json_object_get(file, "xxh3"));
        }
        json_object_set_new(identity, list, hashes);
    }
    return identity;
}

// 16 hexadecimal digits, a new reference; NULL when memory ran out.
static json_t *identity_hash(const json_t *record)
{
    json_t *identity = identity_of(record);
    char *dump = json_dumps(identity, JSON_SORT_KEYS | JSON_COMPACT);
    json_t *hash =
        dump != NULL ? json_sprintf("%016llx", (unsigned long long)XXH3_64bits(dump, strlen(dump))) : NULL;

    free(dump);
    json_decref(identity);
    return hash;
}

// What the record says of itself. A run that was begun before run.json had an identity has the one that it
// would have now.
static void take_identity(struct run_record *record)
{
    json_t *said = json_incref(json_object_get(record->json, "identity"));
    json_t *identity = said != NULL ? said : identity_hash(record->json);
    const char *text = json_string_value(identity);

    snprintf(record->identity, sizeof record->identity, "%s", text != NULL ? text : "");
    record->made_from = strtoull(record->identity, NULL, 16);
    record->has_unmarked_files =
        said == NULL || json_is_true(json_object_get(record->json, "unmarked_files"));
    json_decref(identity);
}

// A run that was begun when another method was the default is not to go on with today's in silence.
static enum status check_default(const json_t *before, const struct settings *settings, const char *path,
                                 struct error *err)
{
    const json_t *variants = json_object_get(json_object_get(before, "job"), "variants");
    const char *taken = method_name(settings->variants[0].method);
    const json_t *variant;
    size_t i;

    json_array_foreach(variants, i, variant)
    {
        const char *method = json_string_value(json_object_get(variant, "method"));
        if (method != NULL && strcmp(method, taken) == 0)
            return STATUS_OK;
    }
    RETURN_ERROR_IF(
        json_array_size(variants) > 0, err, STATUS_USAGE,
        "%s: the run was begun with %s; the job names no prune.method, for which %s is taken now: "
        "name the methods and the compensation that are wanted",
        path, json_string_value(json_object_get(json_array_get(variants, 0), "name")), taken);
    return STATUS_OK;
}

// Model and corpus are what they were.
static enum status compare_inputs(const json_t *now, const json_t *before, const char *path,
                                  struct error *err)
{
    static const struct {
        const char *list, *key;
    } inputs[] = {{"model", "model"}, {"corpus", "calibration.corpus"}};

    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        const struct input_place place = {path, inputs[i].key, "use another run directory"};
        FORWARD_IF_ERROR(
            inputs_compare(&place, json_object_get(json_object_get(before, "fingerprints"), inputs[i].list),
                           json_object_get(json_object_get(now, "fingerprints"), inputs[i].list), err));
    }
    return STATUS_OK;
}

// Refuses what contradicts the record; what may be added is taken over from it.
static enum status compare(json_t *now, const json_t *before, const char *path, struct error *err)
{
    char difference[512];
    json_t *old = identity_of(before), *new = identity_of(now);
    json_t *variants = json_object_get(json_object_get(now, "job"), "variants");
    json_t *variant;
    size_t i, j;
    const bool differs = json_difference(old, new, difference, sizeof difference);

    json_decref(old);
    json_decref(new);
    FORWARD_IF_ERROR(compare_inputs(now, before, path, err));
    RETURN_ERROR_IF(differs, err, STATUS_USAGE, "%s: contradicts the job: %s; use another run directory",
                    path, difference);

    FORWARD_IF_ERROR(text_record_compare(now, before, path, err));
    FORWARD_IF_ERROR(task_record_compare(now, before, path, err));
    // Variants that an earlier job asked for stay on record.
    json_array_foreach(json_object_get(json_object_get(before, "job"), "variants"), i, variant)
    {
        bool found = false;
        for (j = 0; j < json_array_size(variants) && !found; j++)
            found = json_equal(json_object_get(json_array_get(variants, j), "name"),
                               json_object_get(variant, "name"));
        if (!found)
            json_array_append(variants, variant);
    }
    return STATUS_OK;
}

static json_t *started_now(void)
{
    char text[32];
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_string(text);
}

// Rank 0: settles the new record against the old one.
static enum status settle(struct run_record *record, const json_t *old, const struct settings *settings,
                          const char *path, struct error *err)
{
    record->is_first = old == NULL;
    if (old != NULL) {
        json_object_set(record->json, "xxh3", json_object_get(old, "xxh3"));
        FORWARD_IF_ERROR(compare(record->json, old, path, err));
        if (settings->method_is_default)
            FORWARD_IF_ERROR(check_default(old, settings, path, err));
        json_object_set(record->json, "started", json_object_get(old, "started"));
        json_object_set(record->json, "versions", json_object_get(old, "versions"));
        if (json_object_get(old, RECORD_NUMERICS) != NULL)
            json_object_set(record->json, RECORD_NUMERICS, json_object_get(old, RECORD_NUMERICS));
    } else {
        json_object_set_new(record->json, "started", started_now());
        json_object_set_new(record->json, "versions", library_versions(settings->compute));
    }
    outputs_record(record->json, old, settings);
    if (json_object_get(old, "identity") != NULL) {
        json_object_set(record->json, "identity", json_object_get(old, "identity"));
        if (json_is_true(json_object_get(old, "unmarked_files")))
            json_object_set_new(record->json, "unmarked_files", json_true());
    } else {
        json_object_set_new(record->json, "identity", identity_hash(record->json));
        if (old != NULL)
            json_object_set_new(record->json, "unmarked_files", json_true());
    }
    record->is_changed = old == NULL || !json_equal(old, record->json);
    return STATUS_OK;
}

// Every rank learns what rank 0 settled.
static enum status share_record(struct run_record *record, const struct team *team, struct error *err)
{
    char *text = record->json != NULL ? json_dumps(record->json, JSON_COMPACT) : NULL;
    uint64_t head[3] = {text != NULL ? strlen(text) : 0, record->is_first, record->is_changed};
    enum status status = STATUS_OK;

    if (team->rank == 0 && text == NULL)
        status = error_set(err, STATUS_MEMORY, "out of memory for run.json");
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    GOTO_IF_ERROR(team_broadcast(team, head, sizeof head, 0, err), done);
    if (team->rank != 0)
        status = allocate(&text, head[0] + 1, 1, "run.json", err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    GOTO_IF_ERROR(team_broadcast(team, text, head[0], 0, err), done);
    if (team->rank != 0)
        status = json_parse(&record->json, text, head[0], "run.json", err);
    record->is_first = head[1] != 0;
    record->is_changed = head[2] != 0;
    if (status == STATUS_OK) {
        take_identity(record);
        status = json_memory_check("run.json", err);
    }
    status = team_agree(team, status, err);
done:
    free(text);
    return status;
}

static enum status load(json_t **json, const char *path, struct error *err)
{
    struct stat info;
    *json = NULL;
    if (stat(path, &info) != 0 && errno == ENOENT)
        return STATUS_OK;
    const enum status status = sealed_json_read(json, path, err);
    if (status == STATUS_DAMAGED)
        error_set(err, status, "%s: does not match its checksum; " RUN_RECORD_ADVICE, path);
    FORWARD_IF_ERROR(status);
    if (json_integer_value(json_object_get(*json, "format")) == RUN_FORMAT)
        return STATUS_OK;
    json_decref(*json);
    *json = NULL;
    RETURN_ERROR(err, STATUS_USAGE, "%s: written in a format that this version (%s) does not know", path,
                 COPPICE_VERSION);
}

enum status run_record_open(struct run_record *record, const struct team *team, const struct model *model,
                            const struct settings *settings, enum fingerprint_mode mode, struct error *err)
{
    const bool root = team->rank == 0;
    json_t *old = NULL, *model_list = json_array(), *corpus_list = json_array(),
           *evaluation_list = json_array(), *text_list = json_array(), *task_list = json_array();
    const json_t *old_prints = NULL;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    memset(record, 0, sizeof *record);
    run_file_path(path, settings->run, RUN_RECORD);
    if (root)
        status = load(&old, path, err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    old_prints = json_object_get(old, "fingerprints");
    if (mode == FINGERPRINT_NONE && team_any(team, old != NULL)) // a changed file may be a contradiction
        mode = FINGERPRINT_CHANGED;
    GOTO_IF_ERROR(
        fingerprint_model(model_list, team, model, settings, json_object_get(old_prints, "model"), mode, err),
        done);
    GOTO_IF_ERROR(fingerprint_corpus(corpus_list, team, settings,
                                     json_array_get(json_object_get(old_prints, "corpus"), 0), mode, err),
                  done);
    GOTO_IF_ERROR(fingerprint_evaluation(evaluation_list, team, settings,
                                         json_object_get(old_prints, "evaluation"), mode, err),
                  done);
    GOTO_IF_ERROR(
        fingerprint_texts(text_list, team, settings, json_object_get(old_prints, "texts"), mode, err), done);
    GOTO_IF_ERROR(
        fingerprint_tasks(task_list, team, settings, json_object_get(old_prints, "tasks"), mode, err), done);
    if (root) {
        record->json = json_pack("{s:i, s:o, s:{s:O, s:O, s:O}}", "format", RUN_FORMAT, "job",
                                 settings_to_json(settings), "fingerprints", "model", model_list, "corpus",
                                 corpus_list, "evaluation", evaluation_list);
        // The record of the corpus may be believed where the job's own path leads nowhere.
        json_object_set(json_object_get(json_object_get(record->json, "job"), "calibration"), "corpus",
                        json_object_get(json_array_get(corpus_list, 0), "file"));
        if (json_array_size(text_list) > 0)
            json_object_set(json_object_get(record->json, "fingerprints"), "texts", text_list);
        if (settings->num_tasks > 0)
            json_object_set(json_object_get(record->json, "fingerprints"), "tasks", task_list);
        json_t *hub = hub_to_json(settings);
        if (hub != NULL)
            json_object_set_new(record->json, "hub", hub);
        status = record->json != NULL ? settle(record, old, settings, path, err)
                                      : error_set(err, STATUS_MEMORY, "out of memory for %s", path);
        // What is missing for want of memory is neither put on record nor taken for a contradiction.
        if (json_memory_check(path, err) != STATUS_OK)
            status = STATUS_MEMORY;
    }
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    status = share_record(record, team, err);
done:
    json_decref(old);
    json_decref(model_list);
    json_decref(corpus_list);
    json_decref(evaluation_list);
    json_decref(text_list);
    json_decref(task_list);
    if (status != STATUS_OK)
        run_record_free(record);
    return status;
}

enum status run_record_commit(struct run_record *record, const struct team *team,
                              const struct settings *settings, struct error *err)
{
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    run_file_path(path, settings->run, RUN_RECORD);
    if (record->is_changed && team->rank == 0)
        status = sealed_json_write(path, record->json, err);
    return team_agree(team, status, err);
}

void run_record_free(struct run_record *record)
{
    json_decref(record->json);
    memset(record, 0, sizeof *record);
}

enum status run_record_read(struct run_record *record, const char *run, struct error *err)
{
    char path[PATH_SIZE];
    memset(record, 0, sizeof *record);
    run_file_path(path, run, RUN_RECORD);
    FORWARD_IF_ERROR(load(&record->json, path, err));
    RETURN_ERROR_IF(record->json == NULL, err, STATUS_USAGE,
                    "%s: not a run directory: there is no run.json in it", run);
    take_identity(record);
    return json_memory_check(path, err);
}

void run_record_variant(char *identity, size_t size, const struct run_record *record, const char *variant)
{
    snprintf(identity, size, "%s-%016llx", record->identity,
             (unsigned long long)XXH3_64bits(variant, strlen(variant)));
}

// ---- the arithmetic of its starts -----------------------------------------------------------------------

json_t *run_record_numerics(const struct run_record *record)
{
    json_t *several = json_object_get(record->json, RECORD_NUMERICS);
    const json_t *first = json_object_get(json_object_get(record->json, "versions"), RECORD_NUMERICS);

    if (several != NULL)
        return json_incref(several);
    return json_pack("[I]", first != NULL ? json_integer_value(first) : (json_int_t)1);
}

static bool has_numerics(const json_t *list, long long numerics)
{
    size_t i;
    const json_t *one;

    json_array_foreach(list, i, one) if (json_integer_value(one) == numerics) return true;
    return false;
}

enum status run_record_add_numerics(struct run_record *record, struct error *err)
{
    json_t *before = run_record_numerics(record);
    json_t *list = before != NULL && !has_numerics(before, NUMERICS) ? json_deep_copy(before) : NULL;
    bool failed = before == NULL;

    if (list != NULL) {
        failed = json_array_append_new(list, json_integer(NUMERICS)) != 0 ||
                 json_object_set(record->json, RECORD_NUMERICS, list) != 0;
        record->is_changed = true;
    }
    json_decref(before);
    json_decref(list);
    RETURN_ERROR_IF(failed, err, STATUS_MEMORY, "out of memory for the run's record");
    return STATUS_OK;
}

void run_record_tell_numerics(char *notice, size_t size, const struct run_record *record)
{
    json_t *list = run_record_numerics(record);
    size_t i;
    const json_t *one;

    notice[0] = '\0';
    json_array_foreach(list, i, one) if (json_integer_value(one) != NUMERICS) snprintf(
        notice, size,
        "careful: the run has results of %s version of coppice, with another arithmetic (%lld, now %d): what "
        "is "
        "made from now on differs a little from what that version makes, of alps, admm and sparsegpt "
        "masks, too; only a new run directory has all from one",
        json_integer_value(one) < NUMERICS ? "an earlier" : "a later", json_integer_value(one), NUMERICS);
    json_decref(list);
}
