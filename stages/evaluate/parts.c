#include "stages/evaluate/parts.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// Seconds between two files: what a crash may cost.
static const double interval = 60;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void parts_free(struct parts *parts)
{
    free(parts->values);
    free(parts->done);
    free(parts->kept);
    free(parts->folder);
    json_decref(parts->of);
    memset(parts, 0, sizeof *parts);
}

size_t parts_left(const struct parts *parts)
{
    size_t left = 0;
    for (size_t i = 0; i < parts->count; i++)
        left += parts->done[i] == 0;
    return left;
}

// ---- taking over ----------------------------------------------------------------------------------------

// One entry of "items": [index, "value", ...], values in hexadecimal. False when it is none of this
// evaluation.
static bool take_item(struct parts *parts, const json_t *entry)
{
    const json_int_t item = json_integer_value(json_array_get(entry, 0));
    uint64_t values[PARTS_MOST_WIDTH];

    if (json_array_size(entry) != 1 + parts->width || !json_is_integer(json_array_get(entry, 0)) ||
        item < 0 || (size_t)item >= parts->count)
        return false;
    for (size_t v = 0; v < parts->width; v++) {
        const char *text = json_string_value(json_array_get(entry, 1 + v));
        int length = 0;
        if (text == NULL || sscanf(text, "%16" SCNx64 "%n", &values[v], &length) != 1 || text[length] != '\0')
            return false;
    }
    memcpy(parts->values + (size_t)item * parts->width, values, parts->width * sizeof *values);
    parts->done[item] = 1;
    return true;
}

static enum status take_file(struct parts *parts, const char *path, struct error *err)
{
    json_t *json = NULL;
    enum status status;

    FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
    const json_t *items = json_object_get(json, "items");
    if (!json_equal(json_object_get(json, "of"), parts->of))
        status = error_set(err, STATUS_INPUT, "%s: is of another text", path);
    else
        status = json_is_array(items) ? STATUS_OK : error_set(err, STATUS_DAMAGED, "%s: has no items", path);
    for (size_t i = 0; i < json_array_size(items) && status == STATUS_OK; i++)
        if (!take_item(parts, json_array_get(items, i)))
            status = error_set(err, STATUS_DAMAGED, "%s: item %zu is not as it was written", path, i);
    if (status == STATUS_OK)
        memcpy(parts->kept, parts->done, parts->count);
    json_decref(json);
    return status;
}

// Every file of the folder that can be used; the others are removed.
static void take_over(struct parts *parts)
{
    DIR *folder = opendir(parts->folder);
    const struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char path[PATH_SIZE];
        struct error why = {0};
        if (entry->d_name[0] == '.')
            continue;
        path_format(path, sizeof path, "%s/%s", parts->folder, entry->d_name);
        if (take_file(parts, path, &why) == STATUS_OK)
            continue;
        if (why.status == STATUS_DAMAGED)
            stage_notice(parts->stage, "%s; it is measured again", why.message);
        (void)unlink(path);
    }
    if (folder != NULL)
        closedir(folder);
}

static enum status allocate_parts(struct parts *parts, const char *folder, struct error *err)
{
    FORWARD_IF_ERROR(allocate(&parts->values, parts->count * parts->width, sizeof *parts->values,
                              "results of an evaluation", err));
    FORWARD_IF_ERROR(allocate(&parts->done, parts->count, 1, "results of an evaluation", err));
    FORWARD_IF_ERROR(allocate(&parts->kept, parts->count, 1, "results of an evaluation", err));
    if (folder == NULL || parts->stage->team->rank != 0)
        return STATUS_OK;
    parts->folder = strdup(folder);
    return parts->folder != NULL && parts->of != NULL
               ? STATUS_OK
               : error_set(err, STATUS_MEMORY, "out of memory for results of an evaluation");
}

enum status parts_open(struct parts *parts, const struct stage *stage, const char *folder, json_t *of,
                       size_t count, size_t width, struct error *err)
{
    *parts = (struct parts){.stage = stage, .count = count, .width = width, .of = of, .written = seconds()};
    FORWARD_IF_ERROR(team_agree(stage->team, allocate_parts(parts, folder, err), err));
    if (folder == NULL)
        return STATUS_OK;
    if (parts->folder != NULL)
        take_over(parts);
    FORWARD_IF_ERROR(team_broadcast(stage->team, parts->done, count, 0, err));
    return team_broadcast(stage->team, parts->values, count * width * sizeof *parts->values, 0, err);
}

// ---- going on -------------------------------------------------------------------------------------------

enum status parts_finish(struct parts *parts, const size_t *items, size_t count, struct error *err)
{
    const size_t width = parts->width;
    uint64_t *sums = NULL;
    enum status status = allocate(&sums, count * width, sizeof *sums, "results of an evaluation", err);

    GOTO_IF_ERROR(team_agree(parts->stage->team, status, err), done);
    for (size_t i = 0; i < count; i++)
        memcpy(sums + i * width, parts->values + items[i] * width, width * sizeof *sums);
    // Bit patterns beside zeros: the sum moves them exactly.
    GOTO_IF_ERROR(team_sum_u64(parts->stage->team, sums, count * width, err), done);
    for (size_t i = 0; i < count; i++) {
        memcpy(parts->values + items[i] * width, sums + i * width, width * sizeof *sums);
        parts->done[items[i]] = 1;
    }
done:
    free(sums);
    return status;
}

// NULL when memory ran out.
static json_t *item_json(const struct parts *parts, size_t item)
{
    json_t *entry = json_pack("[I]", (json_int_t)item);
    char text[17];

    for (size_t v = 0; v < parts->width && entry != NULL; v++) {
        snprintf(text, sizeof text, "%016" PRIx64, parts->values[item * parts->width + v]);
        if (json_array_append_new(entry, json_string(text)) != 0) {
            json_decref(entry);
            return NULL;
        }
    }
    return entry;
}

// Writes the items that are done and not kept; *first is the first of them, count if there are none.
static enum status write_items(const struct parts *parts, size_t *first, struct error *err)
{
    json_t *items = json_array(), *json = json_pack("{s:O, s:o}", "of", parts->of, "items", items);
    bool complete = json != NULL;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    *first = parts->count;
    for (size_t i = 0; i < parts->count && complete; i++) {
        if (parts->done[i] == 0 || parts->kept[i] != 0)
            continue;
        if (*first == parts->count)
            *first = i;
        complete = json_array_append_new(items, item_json(parts, i)) == 0;
    }
    path_format(path, sizeof path, "%s/%08zu.json", parts->folder, *first);
    if (!complete)
        status = error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    else if (*first < parts->count)
        status = sealed_json_write_from(path, json, settings_origin(parts->stage->settings), err);
    json_decref(json);
    return status;
}

void parts_keep(struct parts *parts, bool now)
{
    struct error why = {0};
    size_t first;

    if (parts->folder == NULL || (!now && seconds() - parts->written < interval))
        return;
    parts->written = seconds();
    if (write_items(parts, &first, &why) != STATUS_OK) {
        stage_notice(parts->stage, "what was measured so far is not kept: %s", why.message);
        return;
    }
    memcpy(parts->kept, parts->done, parts->count);
    if (first < parts->count)
        stage_kept(parts->stage);
}

// Every description of an evaluation says how many items it has.
static double items_of(const json_t *of)
{
    const json_t *windows = json_object_get(of, "windows");
    return (double)json_integer_value(windows != NULL ? windows : json_object_get(of, "options"));
}

double parts_share(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    double share = 0;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char file[PATH_SIZE];
        json_t *json = NULL;
        path_format(file, sizeof file, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || sealed_json_read(&json, file, NULL) != STATUS_OK)
            continue;
        const double all = items_of(json_object_get(json, "of"));
        share += all > 0 ? (double)json_array_size(json_object_get(json, "items")) / all : 0;
        json_decref(json);
    }
    if (folder != NULL)
        closedir(folder);
    return share < 1 ? share : 1;
}

void parts_remove(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        closedir(folder);
    (void)rmdir(path);
}
