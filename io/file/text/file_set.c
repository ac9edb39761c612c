#include "io/file/text/file_set.h"

#include "io/text/ending.h"
#include "io/text/file_name.h"
#include "io/text/parquet.h"

#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Of the paths that glob found those that are texts, where the path is a folder: *parquet is one that is not.
static enum status take_paths(struct file_set *set, const glob_t *found, bool is_folder, const char **parquet,
                              struct error *err)
{
    FORWARD_IF_ERROR(allocate(&set->paths, found->gl_pathc, sizeof *set->paths, "a list of files", err));
    for (size_t i = 0; i < found->gl_pathc; i++) {
        const char *path = found->gl_pathv[i];
        if (is_folder && ends_in_any_case(path, strlen(path), ".parquet"))
            *parquet = path;
        if (is_folder && text_name_of(path) == TEXT_NAME_OTHER)
            continue;
        set->paths[set->count] = strdup(path);
        RETURN_ERROR_IF(set->paths[set->count] == NULL, err, STATUS_MEMORY,
                        "out of memory for a list of files");
        set->count++;
    }
    qsort(set->paths, set->count, sizeof *set->paths, by_bytes);
    return STATUS_OK;
}

// A folder's name as a pattern that fits what is in it: its own special characters stand for themselves.
static enum status pattern_of(char **pattern, const char *folder, struct error *err)
{
    char *to;

    FORWARD_IF_ERROR(allocate(pattern, 2 * strlen(folder) + 3, 1, "a list of files", err));
    to = *pattern;
    for (const char *from = folder; *from != '\0'; *to++ = *from++)
        if (strchr("*?[\\", *from) != NULL)
            *to++ = '\\';
    memcpy(to, "/*", 3);
    return STATUS_OK;
}

static enum status refuse_nothing(const char *path, bool is_folder, bool has_parquet, struct error *err)
{
    char advice[PARQUET_ADVICE_SIZE], endings[TEXT_ENDINGS_SIZE];

    RETURN_ERROR_IF(has_parquet, err, STATUS_INPUT, "%s: a folder of Parquet files: %s", path,
                    parquet_advice(advice, path, true));
    RETURN_ERROR_IF(is_folder, err, STATUS_INPUT,
                    "%s: no texts in this folder: their names end in %s, perhaps with .gz or .zst behind",
                    path, text_name_endings(endings));
    RETURN_ERROR(err, STATUS_INPUT, "%s: no file of such a name", path);
}

// Texts and Parquet files in one folder: what is read must not be only some of what is meant.
static enum status refuse_both(const struct file_set *set, const char *path, const char *parquet,
                               struct error *err)
{
    char advice[PARQUET_ADVICE_SIZE];
    const char *text = set->paths[0];
    size_t dot = unpacked_name_size(text);

    while (dot > 0 && text[dot - 1] != '.')
        dot--;
    RETURN_ERROR(err, STATUS_INPUT,
                 "%s: a folder of texts and of Parquet files, such as %s, which would be left out: name the "
                 "texts alone, as '%s/*%s', or convert the others and name the file that comes of it: %s",
                 path, strrchr(parquet, '/') + 1, path, text + dot - 1,
                 strchr(parquet_advice(advice, path, true), ':') + 2);
}

static enum status list(struct file_set *set, const char *path, bool is_folder, struct error *err)
{
    char *pattern = NULL;
    const char *parquet = NULL;
    glob_t found = {0};
    enum status status = STATUS_OK;

    if (is_folder)
        FORWARD_IF_ERROR(pattern_of(&pattern, path, err));
    const int result = glob(is_folder ? pattern : path, GLOB_NOSORT, NULL, &found);
    if (result == GLOB_NOSPACE)
        status = error_set(err, STATUS_MEMORY, "out of memory for the files of %s", path);
    else if (result != 0 && result != GLOB_NOMATCH)
        status = error_set(err, STATUS_INPUT, "%s: cannot be listed: %s", path, strerror(errno));
    if (status == STATUS_OK)
        status = take_paths(set, &found, is_folder, &parquet, err);
    if (status == STATUS_OK && set->count == 0)
        status = refuse_nothing(path, is_folder, parquet != NULL, err);
    else if (status == STATUS_OK && parquet != NULL)
        status = refuse_both(set, path, parquet, err);
    globfree(&found);
    free(pattern);
    return status;
}

static enum status measure(struct file_set *set, uint64_t enough, struct error *err)
{
    size_t kept = 0;

    FORWARD_IF_ERROR(allocate(&set->bytes, set->count, sizeof *set->bytes, "a list of files", err));
    for (; kept < set->count && (kept == 0 || set->total < enough); kept++) {
        struct stat info;
        RETURN_ERROR_IF(stat(set->paths[kept], &info) != 0, err, STATUS_INPUT, "%s: %s", set->paths[kept],
                        strerror(errno));
        RETURN_ERROR_IF(!S_ISREG(info.st_mode), err, STATUS_INPUT, "%s: not a regular file",
                        set->paths[kept]);
        set->bytes[kept] = (uint64_t)info.st_size;
        set->total += set->bytes[kept];
    }
    set->found = set->count;
    for (size_t i = kept; i < set->count; i++)
        free(set->paths[i]);
    set->count = kept;
    return STATUS_OK;
}

enum status file_set_find(struct file_set *set, const char *path, uint64_t enough, struct error *err)
{
    struct stat info;
    const bool exists = stat(path, &info) == 0;
    const int reason = errno;

    *set = (struct file_set){0};
    if (exists && S_ISDIR(info.st_mode)) {
        FORWARD_IF_ERROR(list(set, path, true, err));
    } else if (!exists && strpbrk(path, "*?[") != NULL) {
        FORWARD_IF_ERROR(list(set, path, false, err));
    } else {
        RETURN_ERROR_IF(!exists, err, STATUS_INPUT, "%s: %s", path, strerror(reason));
        FORWARD_IF_ERROR(allocate(&set->paths, 1, sizeof *set->paths, "a list of files", err));
        set->paths[0] = strdup(path);
        RETURN_ERROR_IF(set->paths[0] == NULL, err, STATUS_MEMORY, "out of memory for a list of files");
        set->count = 1;
    }
    return measure(set, enough, err);
}

void file_set_free(struct file_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->paths[i]);
    free(set->paths);
    free(set->bytes);
    *set = (struct file_set){0};
}
