#include "io/model/hub.h"

#include "io/file/expand_path.h"
#include "io/file/json.h"
#include "io/file/regular.h"
#include "io/text/ending.h"
#include "io/text/file_name.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { REPOSITORY_SIZE = 200, REVISION_SIZE = 200 };

// ---- names ----------------------------------------------------------------------------------------------

struct name {
    char repository[REPOSITORY_SIZE]; // "Qwen/Qwen3-0.6B"
    char revision[REVISION_SIZE];     // empty: none was given
};

static bool is_part(const char *part, size_t size)
{
    if (size == 0 || size > 96)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)part[i]) && (strchr("-_.", part[i]) == NULL || part[i] == '\0'))
            return false;
    return strchr("-.", part[0]) == NULL && strchr("-.", part[size - 1]) == NULL;
}

// A revision is looked for as a file below refs, so that it must not lead out of there.
static bool is_revision(const char *text)
{
    const size_t size = strlen(text);

    if (size == 0 || size >= REVISION_SIZE || text[0] == '/' || strstr(text, "..") != NULL)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("-_./+", text[i]) == NULL)
            return false;
    return true;
}

static bool parse(struct name *name, const char *text)
{
    const char *at = strchr(text, '@'), *slash;
    const size_t size = at != NULL ? (size_t)(at - text) : strlen(text);

    if (size >= sizeof name->repository || (at != NULL && !is_revision(at + 1)))
        return false;
    snprintf(name->repository, sizeof name->repository, "%.*s", (int)size, text);
    snprintf(name->revision, sizeof name->revision, "%s", at != NULL ? at + 1 : "");
    slash = strchr(name->repository, '/');
    // Two of them stand for a slash in the cache.
    if (strstr(name->repository, "--") != NULL || strstr(name->repository, "..") != NULL)
        return false;
    if (slash == NULL)
        return is_part(name->repository, size);
    return is_part(name->repository, (size_t)(slash - name->repository)) &&
           is_part(slash + 1, strlen(slash + 1));
}

bool hub_is_id(const char *text)
{
    struct name name;
    return parse(&name, text) && !is_name_of_weights(text);
}

static const char *after(const char *text, const char *start)
{
    const size_t size = strlen(start);
    return strncmp(text, start, size) == 0 ? text + size : NULL;
}

bool hub_id_of_address(char *id, size_t size, const char *text)
{
    static const char *const starts[] = {"https://", "http://", "hf://", "www.", "huggingface.co/", "hf.co/"};
    static const char *const views[] = {"/tree/", "/blob/", "/resolve/"}; // of a revision
    const char *rest = text, *revision = NULL;
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        rest = after(rest, starts[i]) != NULL ? after(rest, starts[i]) : rest;
    path_format(path, sizeof path, "%s", rest);
    for (size_t i = 0; i < sizeof views / sizeof *views && revision == NULL; i++) {
        char *view = strstr(path, views[i]);
        if (view == NULL)
            continue;
        revision = view + strlen(views[i]);
        *view = '\0';
        path[(size_t)(revision - path) + strcspn(revision, "/")] = '\0';
    }
    for (size_t end = strlen(path); end > 0 && path[end - 1] == '/'; end--)
        path[end - 1] = '\0';
    const bool named = revision != NULL && revision[0] != '\0' && strcmp(revision, "main") != 0;
    const int used = snprintf(id, size, "%s%s%s", path, named ? "@" : "", named ? revision : "");
    return used > 0 && (size_t)used < size && strcmp(id, text) != 0 && hub_is_id(id);
}

// ---- the cache ------------------------------------------------------------------------------------------

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void find_cache(char cache[PATH_SIZE])
{
    const char *hub = variable("HF_HUB_CACHE"), *root = variable("HF_HOME"),
               *xdg = variable("XDG_CACHE_HOME");
    char path[PATH_SIZE];

    if (hub == NULL)
        hub = variable("HUGGINGFACE_HUB_CACHE");
    if (hub != NULL)
        path_format(path, sizeof path, "%s", hub);
    else if (root != NULL)
        path_format(path, sizeof path, "%s/hub", root);
    else if (xdg != NULL)
        path_format(path, sizeof path, "%s/huggingface/hub", xdg);
    else
        path_format(path, sizeof path, "~/.cache/huggingface/hub");
    // A variable that is not set stays as it is written, as with `huggingface_hub`.
    expand_path(cache, NULL, path, &environment_variables);
}

// The folder of a repository is "models--" and its name, in which "--" stands for the slash.
static const char mark[] = "models--", slash_mark[] = "--";

static void find_repository(char path[PATH_SIZE], const char *cache, const struct name *name)
{
    const char *slash = strchr(name->repository, '/');
    const int owner = slash != NULL ? (int)(slash - name->repository) : 0;

    path_format(path, PATH_SIZE, "%s/%s%.*s%s%s", cache, mark, owner, name->repository,
                slash != NULL ? slash_mark : "", slash != NULL ? slash + 1 : name->repository);
}

bool hub_id_of_path(char *id, size_t size, const char *path)
{
    const char *found = NULL;

    for (const char *c = strstr(path, mark); c != NULL; c = strstr(c + 1, mark))
        if (c == path || c[-1] == '/')
            found = c + strlen(mark);
    if (found == NULL)
        return false;
    const size_t length = strcspn(found, "/");
    const char *dashes = memmem(found, length, slash_mark, strlen(slash_mark));
    const size_t owner = dashes != NULL ? (size_t)(dashes - found) : 0;
    const char *name = dashes != NULL ? dashes + strlen(slash_mark) : found;
    const int used = snprintf(id, size, "%.*s%s%.*s", (int)owner, found, dashes != NULL ? "/" : "",
                              (int)(length - (size_t)(name - found)), name);
    return used > 0 && (size_t)used < size && hub_is_id(id);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

// The commit that refs/REVISION names, or the revision itself where it is that of a snapshot; false: neither.
static bool find_commit(char *commit, size_t size, const char *repository, const char *revision)
{
    char path[PATH_SIZE];

    path_format(path, sizeof path, "%s/refs/%s", repository, revision);
    commit[regular_read_beginning(commit, size - 1, path)] = '\0';
    if (commit[0] != '\0') {
        commit[strcspn(commit, " \r\n\t")] = '\0';
    } else if (strlen(revision) < size && strchr(revision, '/') == NULL) {
        memcpy(commit, revision, strlen(revision) + 1);
        path_format(path, sizeof path, "%s/snapshots/%s", repository, commit);
        return is_folder(path);
    }
    return is_part(commit, strlen(commit));
}

// ---- what is missing ------------------------------------------------------------------------------------

static bool is_there(const char *folder, const char *name)
{
    char path[PATH_SIZE];
    struct stat info;
    path_format(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &info) == 0;
}

// Weights in other formats.
struct others {
    bool any, gguf; // which holds a configuration as well
};

// Whether a link of that name has to lead somewhere. Which shards there are says the index.
static bool is_needed(const char *name)
{
    return !is_name_of_prose(name) && (!is_name_of_weights(name) || strncmp(name, "model", 5) == 0);
}

// A link of the folder that leads nowhere, or "".
static void look_at_links(char *missing, size_t size, struct others *found, const char *folder)
{
    static const char *const others[] = {".bin", ".pt", ".pth", ".gguf", ".msgpack", ".h5"};
    const struct dirent *entry;
    DIR *directory = opendir(folder);

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (!is_there(folder, entry->d_name) && is_needed(entry->d_name))
            snprintf(missing, size, "%s", entry->d_name);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            found->any = found->any || ends_with(entry->d_name, others[i]);
        found->gguf = found->gguf || ends_with(entry->d_name, ".gguf");
    }
    if (directory != NULL)
        closedir(directory);
}

// The first shard of the index that is not there, or "". A file that is no index is left to who opens the
// model.
static void look_at_shards(char *missing, size_t size, const char *folder)
{
    char path[PATH_SIZE];
    const char *tensor;
    json_t *index, *shard;

    path_format(path, sizeof path, "%s/model.safetensors.index.json", folder);
    if (json_read(&index, path, NULL) != STATUS_OK)
        return;
    json_object_foreach(json_object_get(index, "weight_map"), tensor, shard)
    {
        const char *name = json_string_value(shard);
        if (name != NULL && !is_there(folder, name) &&
            (missing[0] == '\0' || strncmp(name, missing, size - 1) < 0))
            snprintf(missing, size, "%s", name);
    }
    json_decref(index);
}

// A file that the model needs and that is not there, or "": also where the folder holds another format, which
// is left to who opens the model, and says how it is converted.
static void find_missing(char *missing, size_t size, const char *folder)
{
    struct others others = {false, false};

    missing[0] = '\0';
    look_at_links(missing, size, &others, folder);
    if (missing[0] != '\0' || (others.gguf && !is_there(folder, "config.json")))
        return;
    if (!is_there(folder, "config.json"))
        snprintf(missing, size, "config.json");
    else if (is_there(folder, "model.safetensors.index.json"))
        look_at_shards(missing, size, folder);
    else if (!is_there(folder, "model.safetensors") && !others.any)
        snprintf(missing, size, "model.safetensors");
}

// Whether a blob of the repository is not all here.
static bool has_unfinished(const char *repository)
{
    char path[PATH_SIZE];
    const struct dirent *entry;
    bool found = false;

    path_format(path, sizeof path, "%s/blobs", repository);
    DIR *directory = opendir(path);
    while (directory != NULL && !found && (entry = readdir(directory)) != NULL)
        found = ends_with(entry->d_name, ".incomplete");
    if (directory != NULL)
        closedir(directory);
    return found;
}

// ---- finding --------------------------------------------------------------------------------------------

// "hf download Qwen/Qwen3-0.6B --revision v1"
static void command(char *text, size_t size, const struct name *name, const char *revision)
{
    const bool given = revision != NULL && revision[0] != '\0';
    snprintf(text, size, "hf download %s%s%s", name->repository, given ? " --revision " : "",
             given ? revision : "");
}

enum status hub_find(struct hub_model *model, const char *text, const char *commit, struct error *err)
{
    char cache[PATH_SIZE], repository[PATH_SIZE], missing[256], fetch[REPOSITORY_SIZE + REVISION_SIZE + 40];
    struct name name;

    *model = (struct hub_model){0};
    RETURN_ERROR_IF(!parse(&name, text) || (commit != NULL && !is_part(commit, strlen(commit))), err,
                    STATUS_USAGE, "%s: not the name of a model on the Hub", text);
    find_cache(cache);
    find_repository(repository, cache, &name);
    command(fetch, sizeof fetch, &name, commit != NULL ? commit : name.revision);
    RETURN_ERROR_IF(
        !is_folder(repository), err, STATUS_USAGE,
        "%s: there is no such folder, and none in the Hugging Face cache, %s; this fetches it: %s", text,
        cache, fetch);
    if (commit != NULL) {
        snprintf(model->commit, sizeof model->commit, "%s", commit);
    } else {
        const char *revision = name.revision[0] != '\0' ? name.revision : "main";
        RETURN_ERROR_IF(!find_commit(model->commit, sizeof model->commit, repository, revision), err,
                        STATUS_USAGE,
                        "%s: the Hugging Face cache, %s, has not its revision %s; this fetches it: %s", text,
                        cache, revision, fetch);
    }
    path_format(model->path, sizeof model->path, "%s/snapshots/%s", repository, model->commit);
    RETURN_ERROR_IF(!is_folder(model->path), err, STATUS_USAGE,
                    "%s: the Hugging Face cache, %s, has not its commit %s; this fetches it: %s", text, cache,
                    model->commit, fetch);
    const bool unfinished = has_unfinished(repository);
    find_missing(missing, sizeof missing, model->path);
    RETURN_ERROR_IF(missing[0] != '\0', err, STATUS_INPUT,
                    "%s: its download is not complete: %s is missing in %s%s; this completes it: %s", text,
                    missing, model->path,
                    unfinished ? ", and blobs holds unfinished (.incomplete) files" : "", fetch);
    if (unfinished)
        snprintf(model->notice, sizeof model->notice,
                 "%s: the model is complete in the Hugging Face cache, but some download of it is not "
                 "(.incomplete); this completes it: %s",
                 text, fetch);
    return STATUS_OK;
}
