#include "pipeline/cli/set_blame.h"

#include <stdio.h>
#include <string.h>

// Where the message of one rank begins: after "rank 3: ".
static char *after_rank(char *message)
{
    unsigned rank;
    int length = 0;
    return sscanf(message, "rank %u: %n", &rank, &length) == 1 && length > 0 ? message + length : message;
}

void set_blame(struct error *err, const struct options *options)
{
    const size_t job = options->path != NULL ? strlen(options->path) : 0;
    char *message = after_rank(err->message);

    if (job == 0 || strncmp(message, options->path, job) != 0 || strncmp(message + job, ": ", 2) != 0)
        return;
    for (size_t i = 0; i < options->num_sets; i++) {
        const size_t key = strcspn(options->sets[i], "=");
        char rest[sizeof err->message];
        if (strncmp(message + job + 2, options->sets[i], key) != 0 || message[job + 2 + key] != ':')
            continue;
        snprintf(rest, sizeof rest, "%s", message + job + 2);
        snprintf(message, sizeof err->message - (size_t)(message - err->message), "--set %s", rest);
        return;
    }
}
