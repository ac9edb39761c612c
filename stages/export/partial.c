#include "stages/export/partial.h"

#include "io/file/commit.h"
#include "io/file/fence.h"
#include "io/file/run/run_directory.h"
#include "io/file/run_paths.h"
#include "stages/export/exported_files.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void folder_of(char folder[PATH_SIZE], const char *output)
{
    char copy[PATH_SIZE];
    snprintf(copy, sizeof copy, "%s", output);
    path_format(folder, PATH_SIZE, "%s", dirname(copy));
}

// The name without a token.
static void name_of(char name[PATH_SIZE], const char *output, const char *identity)
{
    char copy[PATH_SIZE];
    snprintf(copy, sizeof copy, "%s", output);
    path_format(name, PATH_SIZE, ".%s.partial-%s", basename(copy), identity);
}

void partial_path(char *path, size_t size, const char *output, const char *identity)
{
    char folder[PATH_SIZE], name[PATH_SIZE], token[17];

    folder_of(folder, output);
    name_of(name, output, identity);
    fence_token(token);
    path_format(path, size, "%s/%s%s%s", folder, name, token[0] != '\0' ? "-" : "", token);
}

void partial_find(char *path, size_t size, const char *output, const char *identity)
{
    char folder[PATH_SIZE], name[PATH_SIZE];
    const struct dirent *entry;

    path[0] = '\0';
    folder_of(folder, output);
    name_of(name, output, identity);
    const size_t length = strlen(name);
    DIR *directory = opendir(folder);
    while (path[0] == '\0' && directory != NULL && (entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, name, length) == 0 &&
            (entry->d_name[length] == '\0' || entry->d_name[length] == '-'))
            path_format(path, size, "%s/%s", folder, entry->d_name);
    if (directory != NULL)
        closedir(directory);
}

enum status partial_begin(const char *output, const char *identity, struct error *err)
{
    char found[PATH_SIZE], partial[PATH_SIZE];
    size_t removed;

    partial_path(partial, sizeof partial, output, identity);
    partial_find(found, sizeof found, output, identity);
    FORWARD_IF_ERROR(fence_check(err));
    if (found[0] != '\0' && strcmp(found, partial) != 0)
        FORWARD_IF_ERROR(fence_rename(found, partial, err));
    FORWARD_IF_ERROR(make_directories(partial, err));
    // A killed export may have left a temporary file, which must not end up in the finished folder.
    return run_clean_temporaries(partial, &removed, err);
}

enum status partial_publish(const char *partial, const char *output, struct error *err)
{
    char folder[PATH_SIZE];

    FORWARD_IF_ERROR(sync_directory(partial, err));
    FORWARD_IF_ERROR(fence_rename(partial, output, err));
    folder_of(folder, output);
    return sync_directory(folder, err);
}

static void remove_folder(const char *path)
{
    struct dirent *entry;
    DIR *directory = opendir(path);

    while (directory != NULL && (entry = readdir(directory)) != NULL)
        (void)unlinkat(dirfd(directory), entry->d_name, 0); // "." and ".." stay
    if (directory != NULL)
        closedir(directory);
    (void)rmdir(path);
}

void partial_remove(const char *partial)
{
    char templates[PATH_SIZE];

    path_format(templates, sizeof templates, "%s/" EXPORT_TEMPLATES, partial);
    remove_folder(templates);
    remove_folder(partial);
}
