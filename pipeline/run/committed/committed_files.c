#include "pipeline/run/committed/committed_files.h"

#include "io/file/run/attempt.h"
#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/text/ending.h"
#include "pipeline/record/results/measures.h"
#include "pipeline/run/committed/committed_file.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>

void committed_files_free(struct committed_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->paths[i]);
    free(files->paths);
    *files = (struct committed_files){0};
}

static enum status add(struct committed_files *files, const char *path, struct error *err)
{
    if (files->count == files->room) {
        const size_t room = files->room > 0 ? 2 * files->room : 64;
        char **paths = realloc(files->paths, room * sizeof *paths);
        RETURN_ERROR_IF(paths == NULL, err, STATUS_MEMORY, "out of memory for a list of %zu files", room);
        files->paths = paths;
        files->room = room;
    }
    files->paths[files->count] = strdup(path);
    RETURN_ERROR_IF(files->paths[files->count] == NULL, err, STATUS_MEMORY, "out of memory for a file name");
    files->count++;
    return STATUS_OK;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

enum status committed_files_list(struct committed_files *files, const char *run, struct error *err)
{
    char root[PATH_SIZE];
    char *const roots[] = {root, NULL};
    FTSENT *entry;
    enum status status = STATUS_OK;

    path_format(root, sizeof root, "%s", run);
    // A run directory, or a folder of it, may be on another disk, behind a link; a file may not.
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    RETURN_ERROR_IF(walk == NULL, err, STATUS_FAILED, "%s: %s", run, strerror(errno));
    while (status == STATUS_OK && (errno = 0, entry = fts_read(walk)) != NULL)
        if (entry->fts_info == FTS_NS && entry->fts_level == 0 && entry->fts_errno == ENOENT)
            continue;
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            status = error_set(err, STATUS_FAILED, "%s: %s", entry->fts_path, strerror(entry->fts_errno));
        else if (entry->fts_info == FTS_F && entry->fts_name[0] != '.' &&
                 (ends_with(entry->fts_name, ".h5") || ends_with(entry->fts_name, ".json")))
            status = add(files, entry->fts_path, err);
    if (status == STATUS_OK && errno != 0)
        status = error_set(err, STATUS_FAILED, "%s: listing its files failed: %s", run, strerror(errno));
    fts_close(walk);
    return status;
}

bool committed_files_exist(const char *run)
{
    struct committed_files files = {0};
    (void)committed_files_list(&files, run, NULL);
    const bool any = files.count > 0;
    committed_files_free(&files);
    return any;
}

// run.json, plan.json and reports are about the run, and say themselves of which job they are. path: in run.
static bool has_origin(const char *path, const char *run)
{
    return strchr(path + strlen(run) + 1, '/') != NULL || ends_with(path, ".h5");
}

static enum status check_one(const struct run_record *record, const char *path, const char *run,
                             struct error *err)
{
    uint64_t made_from = 0;
    struct error why = {0};
    const enum status status = committed_file_made_from(&made_from, path, &why);

    if (status == STATUS_USAGE)
        return error_set(err, status, "%s", why.message);
    // One that cannot be read is refused where it is needed.
    if (status != STATUS_OK || (made_from == 0 && record->has_unmarked_files))
        return STATUS_OK;
    const enum attempt_fit fit = attempt_fit(made_from, (struct file_origin){record->made_from, run}, path);
    RETURN_ERROR_IF(fit == ATTEMPT_OTHER, err, STATUS_USAGE,
                    "%s: is a layer of another attempt of the search, with another sparsity: remove it",
                    path);
    if (fit == ATTEMPT_FITS)
        return STATUS_OK;
    RETURN_ERROR(
        err, STATUS_USAGE,
        "%s: was made from another model, calibration or setting than this job's: %s; use another run "
        "directory",
        path, record->is_first ? "its run.json is gone" : "it is not of this run");
}

// "VARIANT/FILE" of a result; NULL: the path is of something else.
static const char *result_at(const char *path, const char *run)
{
    char folder[PATH_SIZE];

    run_folder_path(folder, run, RUN_RESULTS);
    const size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/' && strchr(path + length + 1, '/') != NULL
               ? path + length + 1
               : NULL;
}

// What this result was to be measured with; 0: it is none of the record's.
static uint64_t expected_measure(const struct run_record *record, const char *result)
{
    char name[PATH_SIZE];
    const char *rest = strchr(result, '/');

    if (strcmp(rest, "/perplexity.json") == 0)
        return measure_of_text(record->json, NULL);
    const bool is_text = strncmp(rest, "/texts/", 7) == 0;
    if (!is_text && strncmp(rest, "/tasks/", 7) != 0)
        return 0;
    path_format(name, sizeof name, "%s", rest + 7);
    name[strlen(name) - strlen(".json")] = '\0';
    return is_text ? measure_of_text(record->json, name) : measure_of_task(record->json, name);
}

// A result of a run that an earlier version began does not say what it was measured with: where run.json is
// there, that says it.
static enum status check_measure(const struct run_record *record, const char *path, const char *run,
                                 struct error *err)
{
    const char *result = result_at(path, run);
    json_t *json = NULL;

    if (result == NULL || sealed_json_read(&json, path, NULL) != STATUS_OK)
        return STATUS_OK;
    const uint64_t expected = expected_measure(record, result);
    const char *text = json_string_value(json_object_get(json, "measured_with"));
    const char *variant = json_string_value(json_object_get(json, "variant"));
    const size_t length = strcspn(result, "/");
    const bool is_its =
        variant == NULL || (strlen(variant) == length && strncmp(variant, result, length) == 0);
    const bool fits =
        expected == 0 || (text != NULL ? strtoull(text, NULL, 16) == expected : !record->is_first);
    json_decref(json);
    RETURN_ERROR_IF(!is_its, err, STATUS_USAGE, "%s: is the result of another variant; remove it", path);
    RETURN_ERROR_IF(!fits, err, STATUS_USAGE,
                    "%s: was measured on another text or task, or with another length or number of examples "
                    "than this job's: %s; remove it, or use another run directory",
                    path, record->is_first ? "its run.json is gone" : "it is not of this run");
    return STATUS_OK;
}

enum status committed_file_check_origin(const struct run_record *record, const char *path, const char *run,
                                        struct error *err)
{
    if (has_origin(path, run))
        FORWARD_IF_ERROR(check_one(record, path, run, err));
    return check_measure(record, path, run, err);
}

enum status committed_files_check_origin(const struct run_record *record, const char *run,
                                         const struct team *world, struct error *err)
{
    struct committed_files files = {0};
    char root[PATH_SIZE];
    enum status status;

    path_format(root, sizeof root, "%s", run);
    for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--)
        root[n - 1] = '\0';
    status = committed_files_list(&files, root, err);
    for (size_t i = (size_t)world->rank; i < files.count && status == STATUS_OK; i += (size_t)world->size)
        status = committed_file_check_origin(record, files.paths[i], root, err);
    committed_files_free(&files);
    return team_agree(world, status, err);
}
