#include "stages/export/exported_files.h"

#include "io/file/hash_file.h"
#include "io/file/run_paths.h"
#include "io/tokenizer/text.h"
#include "stages/export/card.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Names of files, each with its NUL, one after the other.
struct names {
    char *bytes;
    uint64_t size;
    size_t count;
};

static int only_shown(const struct dirent *entry)
{
    size_t offset;
    return entry->d_name[0] != '.' && utf8_check(entry->d_name, strlen(entry->d_name), &offset);
}

static int only_recorded(const struct dirent *entry)
{
    const char *name = entry->d_name;
    return only_shown(entry) && strcmp(name, EXPORT_RECORD) != 0 && strcmp(name, "README.md") != 0 &&
           strcmp(name, SOURCE_CARD) != 0;
}

static enum status append(struct names *names, const char *before, const char *name, struct error *err)
{
    const size_t size = strlen(before) + strlen(name) + 1;
    char *bytes = realloc(names->bytes, names->size + size);

    RETURN_ERROR_IF(bytes == NULL, err, STATUS_MEMORY, "out of memory for the names of exported files");
    stpcpy(stpcpy(bytes + names->size, before), name);
    names->bytes = bytes;
    names->size += size;
    names->count++;
    return STATUS_OK;
}

// before: put in front of the names: "", or that of the folder with its slash.
static enum status list_folder(struct names *names, const char *folder, const char *before, struct error *err)
{
    enum status status = STATUS_OK;
    struct dirent **entries;
    const bool is_top = before[0] == '\0';
    char path[PATH_SIZE];

    path_format(path, sizeof path, "%s%s%s", folder, is_top ? "" : "/", before);
    const int count = scandir(path, &entries, is_top ? only_recorded : only_shown, alphasort);
    RETURN_ERROR_IF(count < 0, err, STATUS_FAILED, "%s: listing the folder failed: %s", path,
                    strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (status == STATUS_OK)
            status = is_top && strcmp(name, EXPORT_TEMPLATES) == 0
                         ? list_folder(names, folder, EXPORT_TEMPLATES "/", err)
                         : append(names, before, name, err);
        free(entries[i]);
    }
    free(entries);
    return status;
}

// All ranks have rank 0's list: a network file system may show each another one for a while.
static enum status share_names(struct names *names, const struct team *team, const char *folder,
                               struct error *err)
{
    uint64_t sizes[2] = {0};
    enum status status = STATUS_OK;

    if (team->rank == 0)
        status = list_folder(names, folder, "", err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    sizes[0] = names->size;
    sizes[1] = names->count;
    FORWARD_IF_ERROR(team_broadcast(team, sizes, sizeof sizes, 0, err));
    names->size = sizes[0];
    names->count = sizes[1];
    if (team->rank != 0)
        status = allocate(&names->bytes, names->size, 1, "the names of exported files", err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    return team_broadcast(team, names->bytes, names->size, 0, err);
}

static json_t *describe(const struct names *names, uint64_t (*values)[2])
{
    json_t *files = json_object();
    const char *name = names->bytes;

    for (size_t i = 0; i < names->count; i++, name += strlen(name) + 1) {
        char text[17];
        snprintf(text, sizeof text, "%016llx", (unsigned long long)values[i][1]);
        json_object_set_new(files, name,
                            json_pack("{s:I, s:s}", "bytes", (json_int_t)values[i][0], "xxh3", text));
    }
    return files;
}

static bool is_stopped(void *context)
{
    const struct stage *const *stage = context;
    return stage_is_stopped(*stage, 0);
}

enum status exported_files_describe(json_t **files, const struct stage *stage, const char *folder,
                                    struct error *err)
{
    const struct stage *asked = stage;
    const struct team *team = stage->team;
    struct names names = {0};
    uint64_t(*values)[2] = NULL; // [names.count] bytes and hash
    enum status status;

    *files = NULL;
    GOTO_IF_ERROR(share_names(&names, team, folder, err), done);
    status = allocate(&values, names.count, sizeof *values, "the hashes of exported files", err);
    const char *name = names.bytes;
    for (size_t i = 0; i < names.count && status == STATUS_OK; i++, name += strlen(name) + 1) {
        char path[PATH_SIZE];
        path_format(path, sizeof path, "%s/%s", folder, name);
        if (i % (size_t)team->size == (size_t)team->rank)
            status = hash_file(&values[i][1], &values[i][0], path, is_stopped, &asked, err);
    }
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    GOTO_IF_ERROR(team_sum_u64(team, values[0], 2 * names.count, err), done);
    if (team->rank == 0) {
        *files = describe(&names, values);
        if (json_object_size(*files) != names.count)
            status = error_set(err, STATUS_MEMORY, "out of memory for " EXPORT_RECORD);
    }
    status = team_agree(team, status, err);
done:
    free(names.bytes);
    free(values);
    return status;
}

enum status exported_file_check(const char *folder, const char *name, const json_t *entry, bool with_hash,
                                struct error *err)
{
    const json_int_t bytes = json_integer_value(json_object_get(entry, "bytes"));
    const char *text = json_string_value(json_object_get(entry, "xxh3"));
    char path[PATH_SIZE];
    struct stat info;
    uint64_t hash;

    path_format(path, sizeof path, "%s/%s", folder, name);
    if (stat(path, &info) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? error_set(err, STATUS_DAMAGED, "%s: is gone", path)
                   : error_set(err, STATUS_FAILED, "%s: %s", path, strerror(errno));
    RETURN_ERROR_IF(!S_ISREG(info.st_mode), err, STATUS_DAMAGED, "%s: not a regular file", path);
    RETURN_ERROR_IF(info.st_size != bytes, err, STATUS_DAMAGED,
                    "%s: has %lld bytes, and was exported with %lld", path, (long long)info.st_size,
                    (long long)bytes);
    if (!with_hash)
        return STATUS_OK;
    const enum status status = hash_file(&hash, NULL, path, NULL, NULL, err);
    if (status == STATUS_INPUT)
        return err != NULL ? (err->status = STATUS_FAILED) : STATUS_FAILED;
    FORWARD_IF_ERROR(status);
    RETURN_ERROR_IF(text == NULL || strtoull(text, NULL, 16) != hash, err, STATUS_DAMAGED,
                    "%s: does not match its checksum", path);
    return STATUS_OK;
}

enum status exported_files_check(const json_t *record, const char *folder, struct error *err)
{
    const char *name;
    json_t *entry;

    json_object_foreach(json_object_get(record, "files"), name, entry)
    {
        struct error why = {0};
        const enum status status = exported_file_check(folder, name, entry, false, &why);
        RETURN_ERROR_IF(status == STATUS_DAMAGED, err, status,
                        "%s; remove %s and start the job again: it is exported anew", why.message, folder);
        if (status != STATUS_OK)
            return error_set(err, status, "%s", why.message);
    }
    return STATUS_OK;
}
