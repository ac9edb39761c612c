#include "pipeline/run/committed/verify.h"

#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "pipeline/run/committed/committed_files.h"
#include "pipeline/run/committed/verified_file.h"

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

// Whether it is run.json itself.
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
                  (int)file->folder - 1, path);
    else if (is_record(path, run))
        error_set(err, STATUS_DAMAGED, "%s is damaged; " RUN_RECORD_ADVICE, path);
    else if (strcmp(path, report) == 0)
        error_set(err, STATUS_DAMAGED, "%s is damaged; coppice report %s writes it anew", path, run);
    else
        error_set(err, STATUS_DAMAGED, "%s is damaged; start the job again to make it anew", path);
}

// What was found out about the files, the same on all ranks.
struct findings {
    uint64_t *damaged, *misplaced; // [files] 0 or 1; misplaced: sound, but no file of this run in its place
};

// STATUS_DAMAGED; STATUS_USAGE: misplaced; or why it cannot be told. record: NULL where run.json is no help.
static enum status check_file(const struct verified_file *file, const struct run_record *record,
                              const char *run, struct error *err)
{
    FORWARD_IF_ERROR(verified_file_check(file, err));
    if (record == NULL || file->is_exported)
        return STATUS_OK;
    return committed_file_check_origin(record, file->path, run, err);
}

// A file that cannot be read, because memory ran out or a disk fails, is an error after all the others were
// looked at. Collective.
static enum status look(struct findings *findings, const struct verified_files *list,
                        const struct run_record *record, const char *run, const struct team *team,
                        struct error *err)
{
    enum status unread = STATUS_OK;

    for (size_t i = (size_t)team->rank; i < list->count; i += (size_t)team->size) {
        struct error why = {0};
        const enum status status = check_file(&list->files[i], record, run, &why);
        findings->damaged[i] = status == STATUS_DAMAGED;
        findings->misplaced[i] = status == STATUS_USAGE;
        if (status != STATUS_OK && findings->damaged[i] + findings->misplaced[i] == 0 && unread == STATUS_OK)
            unread = error_set(err, status, "%s", why.message);
    }
    FORWARD_IF_ERROR(team_sum_u64(team, findings->damaged, list->count, err));
    FORWARD_IF_ERROR(team_sum_u64(team, findings->misplaced, list->count, err));
    return unread;
}

static json_t *names_of(const struct verified_files *list, const uint64_t *marked)
{
    json_t *names = json_array();
    for (size_t i = 0; i < list->count; i++)
        if (marked[i] != 0)
            json_array_append_new(names, json_string(list->files[i].path));
    return names;
}

static enum status print_json(const struct verified_files *list, const struct findings *findings, FILE *out,
                              struct error *err)
{
    json_t *result = json_pack("{s:I, s:o, s:o, s:O}", "files", (json_int_t)list->count, "damaged",
                               names_of(list, findings->damaged), "misplaced",
                               names_of(list, findings->misplaced), "absent", list->absent);
    const enum status status = json_memory_check("the names of the damaged files", err);
    if (status == STATUS_OK)
        json_print(result, out);
    json_decref(result);
    return status;
}

// Rank 0: prints the files that are not as they are to be. err says of the first what to do, of damaged ones
// before others.
static enum status judge(const struct findings *findings, const struct verified_files *list,
                         const struct run_record *record, const char *run, bool json, FILE *out,
                         struct error *err)
{
    size_t damaged = 0, misplaced = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct verified_file *file = &list->files[i];
        struct error why = {0};
        if (findings->damaged[i] + findings->misplaced[i] == 0)
            continue;
        if (check_file(file, record, run, &why) != STATUS_OK && !json)
            fprintf(out, "%s\n", why.message);
        if (findings->misplaced[i] != 0 && misplaced++ == 0 && damaged == 0)
            error_set(err, STATUS_USAGE, "%s", why.message);
        // The job starts only where run.json is sound.
        if (findings->damaged[i] != 0 && (damaged++ == 0 || is_record(file->path, run)))
            advise(file, run, err);
    }
    for (size_t i = 0; i < json_array_size(list->absent) && !json; i++)
        fprintf(out, "%s is not there: moved or removed, or not written there yet\n",
                json_string_value(json_array_get(list->absent, i)));
    if (json)
        FORWARD_IF_ERROR(print_json(list, findings, out, err));
    else if (misplaced == 0)
        fprintf(out, "%zu files, %zu damaged\n", list->count, damaged);
    else
        fprintf(out, "%zu files, %zu damaged, %zu of another run or in the place of another\n", list->count,
                damaged, misplaced);
    return damaged > 0 ? STATUS_DAMAGED : misplaced > 0 ? STATUS_USAGE : STATUS_OK;
}

enum status verify_run(const char *run, const struct team *team, bool json, FILE *out, struct error *err)
{
    struct verified_files list = {0};
    struct findings findings = {0};
    struct run_record record = {0};
    struct error unread = {0};
    char root[PATH_SIZE];

    path_format(root, sizeof root, "%s", run);
    for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--)
        root[n - 1] = '\0';
    enum status status = list_files(&list, root, err);
    if (status == STATUS_OK)
        status = allocate(&findings.damaged, list.count, sizeof *findings.damaged, "the list of files", err);
    if (status == STATUS_OK)
        status =
            allocate(&findings.misplaced, list.count, sizeof *findings.misplaced, "the list of files", err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    const enum status read = run_record_read(&record, root, &unread);
    const struct run_record *known = read == STATUS_OK ? &record : NULL;
    status = look(&findings, &list, known, root, team, err);
    if (team->rank == 0) {
        struct error why = {0};
        const enum status judged = judge(&findings, &list, known, root, json, out, &why);
        if (status == STATUS_OK && judged != STATUS_OK)
            status = error_set(err, judged, "%s", why.message);
    }
    if (status == STATUS_OK && read != STATUS_OK)
        status = error_set(err, read, "%s", unread.message);
    status = team_agree(team, status, err);
done:
    run_record_free(&record);
    verified_files_free(&list);
    free(findings.damaged);
    free(findings.misplaced);
    return status;
}
