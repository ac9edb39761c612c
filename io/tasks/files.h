// files.h - the files that a task is read from: its data, the list of labels next to it, and the same of what
// shots are drawn from; of MMLU's folder its tables.
#pragma once
#include "io/file/run_paths.h"
#include "io/tasks/source.h"
#include "kernels/error.h"

struct task_files {
    size_t count;
    char (*paths)[PATH_SIZE];
};

// Those that are there. STATUS_INPUT as task_load_source has it, where the data must be looked at to know the
// format, or there is nothing to draw shots from. Freed with task_files_free.
enum status task_files_list(struct task_files *files, const struct task_source *source, struct error *err);
void task_files_free(struct task_files *files); // a zeroed one is fine
