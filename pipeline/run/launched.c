#include "pipeline/run/launched.h"

#include "pipeline/text/number.h"

#include <stdlib.h>
#include <string.h>

bool launched_as_first(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *rank = getenv(names[i]);
        if (rank != NULL)
            return strcmp(rank, "0") == 0;
    }
    return true;
}

size_t launched_ranks(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "PMI_SIZE"};
    uint64_t ranks;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *size = getenv(names[i]);
        if (size != NULL && whole_parse(size, &ranks) && ranks > 0)
            return (size_t)ranks;
    }
    return 1;
}
