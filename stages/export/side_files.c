#include "stages/export/side_files.h"

#include "io/file/commit.h"
#include "io/file/copy.h"
#include "io/file/run_paths.h"
#include "io/text/file_name.h"
#include "io/text/printable.h"
#include "stages/export/card.h"
#include "stages/export/exported_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
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
    if (is_name_of_weights_index(name))
        return checkpoint->has_index && strcmp(name, CHECKPOINT_INDEX) == 0;
    return !is_name_of_weights(name);
}

// One walk through the model's folder.
struct visit {
    const struct checkpoint *checkpoint;
    const char *from; // the folder
    const void *context;
    // Called for every file that is copied: its path, and its name below `from`.
    enum status (*see)(const void *context, const char *path, const char *name, struct error *err);
    // May be NULL. Called for every folder that is not copied, with its name below `from`.
    void (*leave)(const void *context, const char *name);
};

static enum status visit_folder(const struct visit *visit, const char *below, struct error *err);

static enum status visit_one(const struct visit *visit, const char *below, const char *entry,
                             struct error *err)
{
    char source[PATH_SIZE], name[PATH_SIZE];
    struct stat info;

    if (!is_copied(visit->checkpoint, entry))
        return STATUS_OK;
    path_format(name, sizeof name, "%s%s%s", below, below[0] != '\0' ? "/" : "", entry);
    path_format(source, sizeof source, "%s/%s", visit->from, name);
    if (stat(source, &info) != 0) {
        if (errno == ENOENT && is_name_of_prose(entry))
            return STATUS_OK; // a link of the Hub's cache to what was not fetched
        return error_set(err, STATUS_INPUT, "%s: %s", source, strerror(errno));
    }
    if (S_ISREG(info.st_mode))
        return visit->see(visit->context, source, name, err);
    RETURN_ERROR_IF(!S_ISDIR(info.st_mode) || strcmp(name, "README.md") == 0, err, STATUS_INPUT,
                    "%s: not a regular file", source);
    if (strcmp(name, EXPORT_TEMPLATES) == 0)
        return visit_folder(visit, name, err);
    if (visit->leave != NULL)
        visit->leave(visit->context, name);
    return STATUS_OK;
}

// below: the name of the folder in the model's; "": that itself.
static enum status visit_folder(const struct visit *visit, const char *below, struct error *err)
{
    const struct dirent *entry;
    enum status status = STATUS_OK;
    char folder[PATH_SIZE];

    path_format(folder, sizeof folder, "%s%s%s", visit->from, below[0] != '\0' ? "/" : "", below);
    DIR *directory = opendir(folder);
    RETURN_ERROR_IF(directory == NULL, err, STATUS_INPUT, "%s: %s", folder, strerror(errno));
    while (status == STATUS_OK && (errno = 0, entry = readdir(directory)) != NULL)
        status = visit_one(visit, below, entry->d_name, err);
    if (status == STATUS_OK && errno != 0)
        status = error_set(err, STATUS_FAILED, "%s: listing the folder failed: %s", folder, strerror(errno));
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
    const struct visit visit = {.checkpoint = model->checkpoint, .from = folder, .see = check_one};
    return visit_folder(&visit, "", err);
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
    const struct visit visit = {
        .checkpoint = model->checkpoint, .from = folder, .context = &context, .see = add_one};
    (void)visit_folder(&visit, "", NULL);
    return sum;
}

static enum status see_nothing(const void *context, const char *path, const char *name, struct error *err)
{
    (void)context;
    (void)path;
    (void)name;
    (void)err;
    return STATUS_OK;
}

// context: a char *, the list so far, of SIDE_FOLDERS_SIZE.
static void list_one(const void *context, const char *name)
{
    char *const *text = context;
    char shown[64];
    const size_t used = strlen(*text);

    printable(shown, sizeof shown, name);
    if (used + strlen(shown) + sizeof ", ..." < SIDE_FOLDERS_SIZE)
        snprintf(*text + used, SIDE_FOLDERS_SIZE - used, "%s%s/", used > 0 ? ", " : "", shown);
    else if (strcmp(*text + used - 3, "...") != 0)
        snprintf(*text + used, SIDE_FOLDERS_SIZE - used, ", ...");
}

const char *side_folders_left_out(char text[SIDE_FOLDERS_SIZE], const struct model *model, const char *folder)
{
    const struct visit visit = {.checkpoint = model->checkpoint,
                                .from = folder,
                                .context = &text,
                                .see = see_nothing,
                                .leave = list_one};
    text[0] = '\0';
    (void)visit_folder(&visit, "", NULL);
    return text;
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
    if (strncmp(name, EXPORT_TEMPLATES "/", sizeof EXPORT_TEMPLATES) == 0) {
        char folder[PATH_SIZE];
        path_format(folder, sizeof folder, "%s/" EXPORT_TEMPLATES, copying.target);
        FORWARD_IF_ERROR(make_directories(folder, err));
    }
    return copy_file(path, target, is_stopped, &copying, err);
}

enum status side_files_copy(const struct stage *stage, const char *target, struct error *err)
{
    const struct copying copying = {stage, target};
    const struct visit visit = {.checkpoint = stage->model->checkpoint,
                                .from = stage->settings->model,
                                .context = &copying,
                                .see = copy_one};
    return visit_folder(&visit, "", err);
}
