#include "pipeline/run/verify.h"

#include "io/file/json.h"
#include "io/file/run_paths.h"
#include "pipeline/run/committed_files.h"
#include "pipeline/run/verified_file.h"
#include "pipeline/text/json_memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static enum status list_files(struct verified_files *list, const char *run, struct error *err)
{
    char record[PATH_SIZE];
    struct stat info;

    run_file_path(record, run, RUN_RECORD);
    RETURN_ERROR_IF(stat(record, &info) != 0, err, STATUS_USAGE,
                    "%s: not a run directory: there is no run.json in it", run);
    return verified_files_list(list, run, err);
}

// Sound files of another run are no result of this one.
static enum status check_origin(const char *run, const struct team *team, struct error *err)
{
    struct run_record record = {0};
    enum status status = run_record_read(&record, run, err);

    if (status == STATUS_OK)
        status = committed_files_check_origin(&record, run, team, err);
    run_record_free(&record);
    return status;
}

static bool is_record(const char *path, const char *run)
{
    char record[PATH_SIZE];
    run_file_path(record, run, RUN_RECORD);
    return strcmp(path, record) == 0;
}

// What makes a damaged file anew.
static void advise(const struct verified_file *file, const char *run, struct error *err)
{
    const char *path = file->path;
    char report[PATH_SIZE];

    path_format(report, sizeof report, "%s/report.json", run);
    if (file->is_exported)
        error_set(err, STATUS_DAMAGED,
                  "%s is damaged or gone; remove %.*s and start the job again: it is exported anew", path,
                  (int)(strrchr(path, '/') - path), path);
    else if (is_record(path, run))
        error_set(err, STATUS_DAMAGED, "%s is damaged; " RUN_RECORD_ADVICE, path);
    else if (strcmp(path, report) == 0)
        error_set(err, STATUS_DAMAGED, "%s is damaged; coppice report %s writes it anew", path, run);
    else
        error_set(err, STATUS_DAMAGED, "%s is damaged; start the job again to make it anew", path);
}

enum status verify_run(const char *run, const struct team *team, bool json, FILE *out, struct error *err)
{
    struct verified_files list = {0};
    struct error unread = {0};
    uint64_t *damaged = NULL, count = 0;
    enum status status = list_files(&list, run, err);

    if (status == STATUS_OK)
        status = allocate(&damaged, list.count, sizeof *damaged, "the list of files", err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    // A file that cannot be read, because memory ran out or a disk fails, is reported after all the others
    // were looked at.
    for (size_t i = (size_t)team->rank; i < list.count; i += (size_t)team->size) {
        struct error why = {0};
        damaged[i] = verified_file_check(&list.files[i], &why) == STATUS_DAMAGED;
        if (why.status != STATUS_OK && !damaged[i] && unread.status == STATUS_OK)
            unread = why;
    }
    GOTO_IF_ERROR(team_sum_u64(team, damaged, list.count, err), done);

    json_t *names = json_array();
    for (size_t i = 0; i < list.count; i++) {
        struct error why = {0};
        if (damaged[i] == 0)
            continue;
        if (out != NULL && verified_file_check(&list.files[i], &why) != STATUS_OK && !json)
            fprintf(out, "%s\n", why.message);
        json_array_append_new(names, json_string(list.files[i].path));
        // The job starts only where run.json is sound.
        if (count++ == 0 || is_record(list.files[i].path, run))
            advise(&list.files[i], run, err);
    }
    if (out != NULL && json) {
        json_t *result = json_pack("{s:I, s:O}", "files", (json_int_t)list.count, "damaged", names);
        status = json_memory_check("the names of the damaged files", err);
        if (status == STATUS_OK) {
            json_print(result, out);
        }
        json_decref(result);
    } else if (out != NULL) {
        fprintf(out, "%zu files, %llu damaged\n", list.count, (unsigned long long)count);
    }
    json_decref(names);
    if (status == STATUS_OK && count > 0)
        status = STATUS_DAMAGED;
    if (unread.status != STATUS_OK) {
        *err = unread;
        status = unread.status;
    }
    if (status == STATUS_OK)
        status = check_origin(run, team, err);
    status = team_agree(team, status, err);
done:
    verified_files_free(&list);
    free(damaged);
    return status;
}
