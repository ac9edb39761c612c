#include "io/file/run/attempt.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "kernels/pruning/allocation/budget.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { NO_ATTEMPT = 0, ANY_ATTEMPT = -1 };

// That of the search's verdict.
static long chosen_attempt(const char *run, const char *variant)
{
    char path[PATH_SIZE];
    json_t *json = NULL;

    run_budget_path(path, run, variant, 0);
    if (access(path, F_OK) != 0 || sealed_json_read(&json, path, NULL) != STATUS_OK)
        return ANY_ATTEMPT;
    const long attempt = (long)json_integer_value(json_object_get(json, "attempt"));
    json_decref(json);
    return attempt;
}

// ANY_ATTEMPT: the layer is a variant's that has no search, or one that has not ended.
static long attempt_of(const char *run, const char *path)
{
    char variant[ORIGIN_NAME_SIZE];
    bool is_attempts = false;

    path = run_path_inside(run, path);
    if (path == NULL)
        return NO_ATTEMPT;
    size_t length = strcspn(path, "/");
    for (size_t f = 0; f < RUN_ATTEMPT_FOLDERS && !is_attempts; f++) {
        const char *folder = run_folder_name(run_attempt_folders[f]);
        is_attempts = strlen(folder) == length && strncmp(path, folder, length) == 0;
    }
    path += length + strspn(path + length, "/");
    length = strcspn(path, "/");
    if (!is_attempts || path[length] == '\0' || length >= sizeof variant)
        return NO_ATTEMPT;
    const size_t base = run_name_without_attempt(path, length);
    if (base < length)
        return strtol(path + base + 1, NULL, 10);
    memcpy(variant, path, length);
    variant[length] = '\0';
    return chosen_attempt(run, variant);
}

static uint64_t with_attempt(uint64_t made_from, long attempt)
{
    return attempt > 0 && made_from != 0
               ? XXH3_64bits_withSeed(&made_from, sizeof made_from, (uint64_t)attempt)
               : made_from;
}

uint64_t attempt_made_from(struct file_origin origin, const char *path)
{
    return with_attempt(origin.made_from, attempt_of(origin.run, path));
}

enum attempt_fit attempt_fit(uint64_t made_from, struct file_origin origin, const char *path)
{
    const long attempt = attempt_of(origin.run, path);

    if (made_from == origin.made_from || made_from == with_attempt(origin.made_from, attempt))
        return ATTEMPT_FITS;
    for (long any = 1; any <= BUDGET_ATTEMPTS; any++)
        if (made_from == with_attempt(origin.made_from, any))
            return attempt == ANY_ATTEMPT ? ATTEMPT_FITS : ATTEMPT_OTHER;
    return ATTEMPT_FOREIGN;
}
