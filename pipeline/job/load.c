#include "pipeline/job/load.h"

#include "io/file/commit.h"
#include "pipeline/job/job.h"

#include <stdlib.h>

static enum status read_text(char **text, size_t *size, const char *path, struct error *err)
{
    const enum status status = read_file(text, size, path, err);
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

enum status job_load(struct settings **settings, const char *path, const struct team *team, struct error *err)
{
    char *text = NULL;
    size_t size = 0;
    enum status status = STATUS_OK;

    *settings = NULL;
    if (team == NULL || team->rank == 0)
        status = read_text(&text, &size, path, err);
    if (team != NULL)
        status = team_agree(team, status, err);
    if (status == STATUS_OK && team != NULL)
        status = share_text(&text, &size, team, err);
    if (status == STATUS_OK)
        status = job_parse(settings, text, size, path, err);
    free(text);
    return team != NULL ? team_agree(team, status, err) : status;
}
