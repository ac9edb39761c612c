#include "pipeline/job/job_path.h"

#include "io/model/hub.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Bytes of the job file's folder with its slash. Of what is no file (a pipe: /dev/fd/63) 0, the working
// directory.
static size_t folder_length(const char *job)
{
    static const char *const no_folders[] = {"/dev/fd/", "/dev/std", "/proc/"};
    const char *slash = strrchr(job, '/');

    for (size_t i = 0; i < sizeof no_folders / sizeof *no_folders; i++)
        if (strncmp(job, no_folders[i], strlen(no_folders[i])) == 0)
            return 0;
    if (slash == NULL)
        return 0;
    return (size_t)(slash - job) + 1;
}

static bool is_there(const char *path, enum job_path_kind kind)
{
    char record[PATH_SIZE];
    if (kind == JOB_PATH_MADE)
        return false;
    if (kind == JOB_PATH_RUN)
        run_file_path(record, path, RUN_RECORD);
    return access(kind == JOB_PATH_RUN ? record : path, F_OK) == 0;
}

// Whether `folder` is no model, and yet its name is that of one that the Hub's cache has.
static bool hides_cached_model(const char *id, const char *folder)
{
    struct hub_model model;
    struct stat info;
    char config[PATH_SIZE];

    path_format(config, sizeof config, "%s/config.json", folder);
    return hub_is_id(id) && stat(folder, &info) == 0 && S_ISDIR(info.st_mode) && access(config, F_OK) != 0 &&
           hub_find(&model, id, NULL, NULL) == STATUS_OK;
}

static enum status copy(char **path, const char *text, const char *key, struct error *err)
{
    FORWARD_IF_ERROR(allocate(path, strlen(text) + 1, 1, key, err));
    strcpy(*path, text);
    return STATUS_OK;
}

enum status job_path_take(char **path, const struct job_document *document, const struct job_node *node,
                          enum job_path_kind kind, const char *key, struct error *err)
{
    const char *job = document->source->path;
    const size_t folder = folder_length(job);
    char expanded[PATH_SIZE], joined[PATH_SIZE], shown[200], id[200];
    struct path_fault fault;

    expand_path(expanded, &fault, node->text, &document->source->variables);
    job_printable(node->text, shown, sizeof shown);
    if (fault.kind == PATH_UNSET)
        return job_refuse(document, node->line, key, err, "the variable %s is not set: %s", fault.name,
                          shown);
    if (fault.kind == PATH_BRACE)
        return job_refuse(document, node->line, key, err,
                          "a variable is written $NAME or ${NAME}, and a dollar sign $$: %s", shown);
    const bool is_whole = expanded[0] == '/' || folder == 0;
    path_format(joined, sizeof joined, "%.*s%s", is_whole ? 0 : (int)folder, job, expanded);
    if (kind == JOB_PATH_MODEL && hub_id_of_address(id, sizeof id, expanded) && !is_there(joined, kind))
        return job_refuse(
            document, node->line, key, err,
            "a model is named by a folder, or by its id on the Hub; there is no folder %s, and its "
            "id is %s",
            shown, id);
    if (kind == JOB_PATH_MODEL && hides_cached_model(expanded, joined))
        return job_refuse(
            document, node->line, key, err,
            "the folder of that name has no config.json, and it hides the model %s of the Hugging "
            "Face cache; remove the folder, or rename it",
            shown);
    if (is_whole)
        return copy(path, expanded[0] != '\0' ? expanded : node->text, key, err);
    if (!is_there(joined, kind) && is_there(expanded, kind))
        return job_refuse(
            document, node->line, key, err,
            "%s is there from the working directory, but paths count from the job file's folder, "
            "%.*s",
            shown, (int)folder, job);
    const bool is_id = kind == JOB_PATH_MODEL && hub_is_id(expanded) && !is_there(joined, kind);
    return copy(path, is_id ? expanded : joined, key, err);
}
