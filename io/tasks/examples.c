#include "io/tasks/examples.h"

#include <stdlib.h>

void task_examples_free(struct task_examples *examples)
{
    if (examples == NULL)
        return;
    free(examples->examples);
    free(examples->options);
    free(examples->text);
    free(examples);
}
