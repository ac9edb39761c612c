#include "io/tasks/format.h"

static const char *const names[] = {
    [TASK_BOOLQ] = "boolq",
    [TASK_RTE] = "rte",
    [TASK_HELLASWAG] = "hellaswag",
    [TASK_WINOGRANDE] = "winogrande",
    [TASK_ARC] = "arc",
    [TASK_OPENBOOKQA] = "openbookqa",
    [TASK_PIQA] = "piqa",
    [TASK_MMLU] = "mmlu",
    [TASK_LAMBADA] = "lambada",
    [TASK_MULTIPLE_CHOICE] = "multiple-choice",
    [TASK_CONTEXT_OPTIONS] = "context-options",
    [TASK_CONTINUATION] = "continuation",
};
_Static_assert(sizeof names / sizeof *names == TASK_RECOGNISED, "every format has a name");

const char *const *task_format_names(size_t *count)
{
    *count = TASK_RECOGNISED;
    return names;
}

bool task_has_choices(enum task_format format)
{
    return format != TASK_LAMBADA && format != TASK_CONTINUATION;
}
