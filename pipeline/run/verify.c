#include "pipeline/run/verify.h"

#include "io/file/run_paths.h"
#include "pipeline/run/committed_file.h"
#include "pipeline/text/json_memory.h"

#include <errno.h>
#include <fts.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct file_list {
    char **paths;
    size_t count, room;
};

static void file_list_free(struct file_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
}

static enum status file_list_add(struct file_list *list, const char *path, struct error *err)
{
    if (list->count == list->room) {
        size_t room = list->room > 0 ? 2 * list->room : 64;
        char **paths = realloc(list->paths, room * sizeof *paths);
        RETURN_ERROR_IF(paths == NULL, err, STATUS_MEMORY, "out of memory for a list of %zu files", room);
        list->paths = paths;
        list->room = room;
    }
    list->paths[list->count] = strdup(path);
    RETURN_ERROR_IF(list->paths[list->count] == NULL, err, STATUS_MEMORY, "out of memory for a file name");
    list->count++;
    return STATUS_OK;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return name[0] != '.' && n > m && strcmp(name + n - m, suffix) == 0;
}

// Every committed file of the run: *.h5 and *.json.
static enum status list_files(struct file_list *list, const char *run, struct error *err)
{
    char root[PATH_SIZE];
    char *const roots[] = {root, NULL};
    struct stat info;
    FTSENT *entry;
    enum status status = STATUS_OK;

    run_file_path(root, run, RUN_RECORD);
    RETURN_ERROR_IF(stat(root, &info) != 0, err, STATUS_USAGE,
                    "%s: not a run directory: there is no run.json in it", run);
    path_format(root, sizeof root, "%s", run);
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    RETURN_ERROR_IF(walk == NULL, err, STATUS_FAILED, "%s: %s", run, strerror(errno));
    while (status == STATUS_OK && (errno = 0, entry = fts_read(walk)) != NULL)
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
            status = error_set(err, STATUS_FAILED, "%s: %s", entry->fts_path, strerror(entry->fts_errno));
        else if (entry->fts_info == FTS_F &&
                 (has_suffix(entry->fts_name, ".h5") || has_suffix(entry->fts_name, ".json")))
            status = file_list_add(list, entry->fts_path, err);
    if (status == STATUS_OK && errno != 0)
        status = error_set(err, STATUS_FAILED, "%s: listing its files failed: %s", run, strerror(errno));
    fts_close(walk);
    return status;
}

enum status verify_run(const char *run, const struct team *team, bool json, FILE *out, struct error *err)
{
    struct file_list list = {0};
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
        damaged[i] = committed_file_check(list.paths[i], &why) == STATUS_DAMAGED;
        if (why.status != STATUS_OK && !damaged[i] && unread.status == STATUS_OK)
            unread = why;
    }
    GOTO_IF_ERROR(team_sum_u64(team, damaged, list.count, err), done);

    json_t *names = json_array();
    for (size_t i = 0; i < list.count; i++) {
        struct error why = {0};
        if (damaged[i] == 0)
            continue;
        if (out != NULL && committed_file_check(list.paths[i], &why) != STATUS_OK && !json)
            fprintf(out, "%s\n", why.message);
        json_array_append_new(names, json_string(list.paths[i]));
        if (count++ == 0)
            error_set(err, STATUS_DAMAGED, "%s is damaged; start the job again to make it anew",
                      list.paths[i]);
    }
    if (out != NULL && json) {
        json_t *result = json_pack("{s:I, s:O}", "files", (json_int_t)list.count, "damaged", names);
        status = json_memory_check("the names of the damaged files", err);
        if (status == STATUS_OK) {
            json_dumpf(result, out, JSON_INDENT(2));
            fputc('\n', out);
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
    status = team_agree(team, status, err);
done:
    file_list_free(&list);
    free(damaged);
    return status;
}
