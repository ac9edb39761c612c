#include "stages/evaluate/task_set.h"

#include "io/file/run_paths.h"
#include "io/model/family.h"
#include "io/tasks/task.h"

#include <stdlib.h>
#include <string.h>

// Rank 0 tells the others these numbers of a task before its arrays.
enum { EXAMPLES, OPTIONS, IDS, TRUNCATED, FORMAT, HASH, SPECIAL_TOKENS, HEAD_SIZE };

struct task_source task_source_of(const struct task_settings *task)
{
    return (struct task_source){.path = task->data,
                                .format = task->format,
                                .limit = task->limit,
                                .delimiter = task->delimiter,
                                .shots = task->shots,
                                .shots_from = task->shots_from};
}

// Rank 0.
static enum status read_task(struct task_tokens *tokens, uint64_t head[HEAD_SIZE],
                             struct task_encoder *encoder, const struct task_settings *settings,
                             struct error *err)
{
    struct task_examples *task = NULL;
    const struct task_source source = task_source_of(settings);
    enum status status = task_load_source(&task, &source, err);

    if (status == STATUS_OK)
        status = task_tokenise(tokens, task, encoder, settings->data, err);
    if (status == STATUS_OK) {
        head[EXAMPLES] = tokens->num_examples;
        head[OPTIONS] = tokens->num_options;
        head[IDS] = tokens->num_ids;
        head[TRUNCATED] = tokens->truncated;
        head[FORMAT] = task->format;
        head[HASH] = task->hash;
        head[SPECIAL_TOKENS] = encoder->special_tokens;
    }
    task_examples_free(task);
    return status;
}

static enum status share_task(struct task_set *set, size_t index, const struct team *team,
                              struct task_encoder *encoder, const struct task_settings *settings,
                              struct error *err)
{
    struct task_tokens *tokens = &set->tokens[index];
    uint64_t head[HEAD_SIZE] = {0};
    enum status status = team->rank == 0 ? read_task(tokens, head, encoder, settings, err) : STATUS_OK;

    FORWARD_IF_ERROR(team_agree(team, status, err));
    FORWARD_IF_ERROR(team_broadcast(team, head, sizeof head, 0, err));
    set->formats[index] = (enum task_format)head[FORMAT];
    set->hashes[index] = head[HASH];
    set->special_tokens[index] = head[SPECIAL_TOKENS];
    if (team->rank != 0) {
        *tokens = (struct task_tokens){.num_examples = head[EXAMPLES],
                                       .num_options = head[OPTIONS],
                                       .num_ids = head[IDS],
                                       .truncated = head[TRUNCATED]};
        status = task_tokens_allocate(tokens, err);
    }
    FORWARD_IF_ERROR(team_agree(team, status, err));
    FORWARD_IF_ERROR(
        team_broadcast(team, tokens->numbers, tokens->num_numbers * sizeof *tokens->numbers, 0, err));
    return team_broadcast(team, tokens->ids, tokens->num_ids * sizeof *tokens->ids, 0, err);
}

static enum status allocate_set(struct task_set *set, size_t count, struct error *err)
{
    set->count = count;
    FORWARD_IF_ERROR(allocate(&set->tokens, count, sizeof *set->tokens, "the tasks", err));
    FORWARD_IF_ERROR(allocate(&set->formats, count, sizeof *set->formats, "the tasks", err));
    FORWARD_IF_ERROR(allocate(&set->hashes, count, sizeof *set->hashes, "the tasks", err));
    return allocate(&set->special_tokens, count, sizeof *set->special_tokens, "the tasks", err);
}

enum status task_set_create(struct task_set *set, const struct stage *stage, const bool *wanted,
                            struct error *err)
{
    const struct settings *settings = stage->settings;
    struct task_encoder encoder = {.model = settings->model,
                                   .special_tokens = stage->model->family->special_tokens_in_tasks,
                                   .max_length = stage->model->config.max_position_embeddings,
                                   .vocab_size = stage->model->config.vocab_size};
    char path[PATH_SIZE];
    enum status status;

    memset(set, 0, sizeof *set);
    status = allocate_set(set, settings->num_tasks, err);
    if (status == STATUS_OK && stage->team->rank == 0) {
        path_format(path, sizeof path, "%s/tokenizer.json", settings->model);
        status = tokenizer_load(&encoder.tokenizer, path, err);
    }
    status = team_agree(stage->team, status, err);
    for (size_t i = 0; i < settings->num_tasks && status == STATUS_OK; i++)
        if (wanted[i])
            status = share_task(set, i, stage->team, &encoder, &settings->tasks[i], err);
    tokenizer_free(encoder.tokenizer);
    if (status != STATUS_OK)
        task_set_free(set);
    return status;
}

void task_set_free(struct task_set *set)
{
    for (size_t i = 0; i < set->count && set->tokens != NULL; i++)
        task_tokens_free(&set->tokens[i]);
    free(set->tokens);
    free(set->formats);
    free(set->hashes);
    free(set->special_tokens);
    memset(set, 0, sizeof *set);
}
