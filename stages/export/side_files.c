#include "stages/export/side_files.h"

#include "io/file/copy.h"
#include "io/file/run_paths.h"
#include "io/text/ending.h"
#include "io/text/file_name.h"
#include "stages/export/card.h"
#include "stages/export/exported_files.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_copied(const struct checkpoint *checkpoint, const char *name)
{
    if (name[0] == '.' || strcmp(name, EXPORT_RECORD) == 0 || strcmp(name, SOURCE_CARD) == 0)
        return false;
    for (size_t i = 0; i < checkpoint->num_shards; i++)
        if (strcmp(name, checkpoint->shard_names[i]) == 0)
            return false;
    return !is_name_of_weights(name) && !ends_in_any_case(name, strlen(name), ".bin.index.json");
}

// Calls see for every file of the model's folder that is copied: `path`, and its name there.
static enum status visit(const struct checkpoint *checkpoint, const char *from, const void *context,
                         enum status (*see)(const void *context, const char *path, const char *name,
                                            struct error *err),
                         struct error *err)
{
    struct dirent *entry;
    enum status status = STATUS_OK;
    DIR *directory = opendir(from);

    RETURN_ERROR_IF(directory == NULL, err, STATUS_INPUT, "%s: %s", from, strerror(errno));
    while (status == STATUS_OK && (errno = 0, entry = readdir(directory)) != NULL) {
        char source[PATH_SIZE];
        struct stat stat_buffer;

        path_format(source, sizeof source, "%s/%s", from, entry->d_name);
        if (!is_copied(checkpoint, entry->d_name))
            continue;
        const bool is_there = stat(source, &stat_buffer) == 0;
        if (!is_there && errno == ENOENT && is_name_of_prose(entry->d_name))
            continue; // a link of the Hub's cache to what was not fetched
        if (!is_there)
            status = error_set(err, STATUS_INPUT, "%s: %s", source, strerror(errno));
        else if (S_ISREG(stat_buffer.st_mode))
            status = see(context, source, entry->d_name, err);
        else if (!S_ISDIR(stat_buffer.st_mode) || strcmp(entry->d_name, "README.md") == 0)
            status = error_set(err, STATUS_INPUT, "%s: not a regular file", source);
    }
    if (status == STATUS_OK && errno != 0)
        status = error_set(err, STATUS_FAILED, "%s: listing the folder failed: %s", from, strerror(errno));
    closedir(directory);
    return status;
}

static enum status check_one(const void *context, const char *path, const char *name, struct error *err)
{
    (void)context;
    (void)name;
    RETURN_ERROR_IF(access(path, R_OK) != 0, err, STATUS_INPUT, "%s: %s", path, strerror(errno));
    return STATUS_OK;
}

enum status side_files_check(const struct model *model, const char *folder, struct error *err)
{
    return visit(model->checkpoint, folder, NULL, check_one, err);
}

// context: a uint64_t, the sum.
static enum status add_one(const void *context, const char *path, const char *name, struct error *err)
{
    uint64_t *const *sum = context;
    struct stat info;
    (void)name;
    (void)err;
    if (stat(path, &info) == 0)
        **sum += copied_bytes(&info);
    return STATUS_OK;
}

uint64_t side_files_bytes(const struct model *model, const char *folder)
{
    uint64_t sum = 0, *context = &sum;
    (void)visit(model->checkpoint, folder, &context, add_one, NULL);
    return sum;
}

struct copying {
    const struct stage *stage;
    const char *target;
};

static bool is_stopped(void *context)
{
    const struct copying *copying = context;
    return stage_is_stopped(copying->stage, 0);
}

static enum status copy_one(const void *context, const char *path, const char *name, struct error *err)
{
    struct copying copying = *(const struct copying *)context;
    char target[PATH_SIZE];

    // The card speaks of the source: this model has one of its own.
    path_format(target, sizeof target, "%s/%s", copying.target,
                strcmp(name, "README.md") == 0 ? SOURCE_CARD : name);
    return copy_file(path, target, is_stopped, &copying, err);
}

enum status side_files_copy(const struct stage *stage, const char *target, struct error *err)
{
    const struct copying copying = {stage, target};
    return visit(stage->model->checkpoint, stage->settings->model, &copying, copy_one, err);
}
