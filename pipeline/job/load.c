#include "pipeline/job/load.h"

#include "io/file/commit.h"
#include "io/file/limits.h"
#include "pipeline/job/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum status read_text(char **text, size_t *size, const char *path, struct error *err)
{
    const enum status status = read_file_up_to(text, size, LIMIT_JOB_BYTES, path, err);
    if (status == STATUS_OK || status == STATUS_MEMORY)
        return status;
    // To the shell a job file that is not there is a slip on the command line.
    if (err != NULL)
        err->status = STATUS_USAGE;
    return STATUS_USAGE;
}

// The text of the team's rank 0, on all ranks.
static enum status share_text(char **text, size_t *size, const struct team *team, struct error *err)
{
    uint64_t length = *size;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(team_broadcast(team, &length, sizeof length, 0, err));
    if (team->rank != 0)
        status = allocate(text, length + 1, 1, "the job file", err);
    FORWARD_IF_ERROR(team_agree(team, status, err));
    *size = length;
    return team_broadcast(team, *text, length, 0, err);
}

// ---- variables -----------------------------------------------------------------------------------------

// The variables of rank 0 that the job may name, "NAME=VALUE" one after the other, each ended by NUL. A
// launcher does not pass all of them on.
struct variables {
    char *packed;
    size_t size;
};

// Whether any text of the job has the name in it.
static bool is_named(const char *name, const char *text, const struct job_sets *sets)
{
    bool found = strcmp(name, "HOME") == 0 || strstr(text, name) != NULL;
    for (size_t i = 0; i < sets->count && !found; i++)
        found = strstr(sets->texts[i], name) != NULL;
    return found;
}

static enum status pack_variables(struct variables *variables, const char *text, const struct job_sets *sets,
                                  struct error *err)
{
    for (char **entry = environ; *entry != NULL; entry++) {
        char name[VARIABLE_NAME_SIZE];
        const size_t length = strcspn(*entry, "="), added = strlen(*entry) + 1;
        if (length == 0 || length >= sizeof name || (*entry)[length] == '\0')
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length, *entry);
        if (!is_named(name, text, sets))
            continue;
        char *longer = realloc(variables->packed, variables->size + added);
        RETURN_ERROR_IF(longer == NULL, err, STATUS_MEMORY,
                        "out of memory for the variables of the job file");
        memcpy(longer + variables->size, *entry, added);
        variables->packed = longer;
        variables->size += added;
    }
    return STATUS_OK;
}

static const char *packed_value(const void *context, const char *name)
{
    const struct variables *variables = context;
    const size_t length = strlen(name);

    for (size_t at = 0; at < variables->size; at += strlen(variables->packed + at) + 1)
        if (strncmp(variables->packed + at, name, length) == 0 && variables->packed[at + length] == '=')
            return variables->packed + at + length + 1;
    return NULL;
}

// ---- the job -------------------------------------------------------------------------------------------

enum status job_load(struct settings **settings, const char *path, const struct job_sets *sets,
                     const struct team *team, struct error *err)
{
    static const struct job_sets none = {0};
    char *text = NULL;
    size_t size = 0;
    struct variables variables = {0};
    const struct job_source source = {
        .path = path, .variables = {packed_value, &variables}, .sets = sets != NULL ? *sets : none};
    enum status status = STATUS_OK;

    *settings = NULL;
    if (team == NULL || team->rank == 0) {
        status = read_text(&text, &size, path, err);
        if (status == STATUS_OK)
            status = pack_variables(&variables, text, &source.sets, err);
    }
    if (team != NULL)
        status = team_agree(team, status, err);
    if (status == STATUS_OK && team != NULL)
        status = share_text(&text, &size, team, err);
    if (status == STATUS_OK && team != NULL)
        status = share_text(&variables.packed, &variables.size, team, err);
    if (status == STATUS_OK)
        status = job_parse_source(settings, text, size, &source, err);
    free(text);
    free(variables.packed);
    return team != NULL ? team_agree(team, status, err) : status;
}
