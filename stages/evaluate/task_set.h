// task_set.h - the tasks of a job (io/tasks/format.h) as token ids that every rank has.
#pragma once
#include "io/tasks/task.h"
#include "io/tasks/tokens.h"
#include "stages/stage.h"

struct task_set {
    size_t count;               // of settings->tasks
    struct task_tokens *tokens; // [count]; without examples where the task is not wanted
    enum task_format *formats;  // [count] as recognised
    uint64_t *hashes;           // [count] of the files
    uint64_t *special_tokens;   // [count] whether texts have them around
};

// What a task of the job is read from; texts stay the job's.
struct task_source task_source_of(const struct task_settings *task);

// Rank 0 reads and tokenises those of settings->tasks that are wanted[]; afterwards every rank has them.
// Collective. Freed with task_set_free.
enum status task_set_create(struct task_set *set, const struct stage *stage, const bool *wanted,
                            struct error *err);
void task_set_free(struct task_set *set); // a zeroed one is fine
