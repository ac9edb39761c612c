#include "io/tasks/files.h"

#include "io/tasks/labels.h"
#include "io/tasks/mmlu.h"
#include "io/tasks/shots.h"
#include "io/tasks/task.h"

#include <stdlib.h>
#include <string.h>

static void add(struct task_files *files, const char *path)
{
    snprintf(files->paths[files->count++], PATH_SIZE, "%s", path);
}

// A file with its labels, or a folder's tables of a split.
static void add_source(struct task_files *files, const char *path, const char *split)
{
    char other[PATH_SIZE];

    if (!task_is_folder(path)) {
        add(files, path);
        if (task_labels_path(other, sizeof other, path))
            add(files, other);
        return;
    }
    for (size_t subject = 0; subject < MMLU_SUBJECTS; subject++)
        if (mmlu_table_path(other, sizeof other, path, split, subject))
            add(files, other);
}

// The format by the first example, on which it depends where shots come from.
static enum status settle(struct task_source *settled, const struct task_source *source, struct error *err)
{
    struct task_examples *first = NULL;

    *settled = *source;
    if (source->shots_from != NULL || source->format != TASK_RECOGNISED)
        return STATUS_OK;
    FORWARD_IF_ERROR(task_load(&first, source->path, source->format, 1, source->delimiter, err));
    settled->format = first->format;
    task_examples_free(first);
    return STATUS_OK;
}

static enum status list(struct task_files *files, const struct task_source *source, struct error *err)
{
    struct task_source settled;
    char path[PATH_SIZE];

    add_source(files, source->path, "test");
    if (source->shots == 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(settle(&settled, source, err));
    FORWARD_IF_ERROR(task_shots_path(path, sizeof path, &settled, err));
    if (task_is_folder(path) || strcmp(path, source->path) != 0)
        add_source(files, path, "dev");
    return STATUS_OK;
}

enum status task_files_list(struct task_files *files, const struct task_source *source, struct error *err)
{
    *files = (struct task_files){0};
    FORWARD_IF_ERROR(
        allocate(&files->paths, 2 * MMLU_SUBJECTS + 4, sizeof *files->paths, "a task's files", err));
    const enum status status = list(files, source, err);
    if (status != STATUS_OK)
        task_files_free(files);
    return status;
}

void task_files_free(struct task_files *files)
{
    free(files->paths);
    *files = (struct task_files){0};
}
