#include "pipeline/run/claim/world_fence.h"

#include "io/file/fence.h"

#include <stdlib.h>

enum status world_fence_set(const struct claim *claim, const struct team *world, struct error *err)
{
    struct fence_lock *locks = NULL;
    uint64_t count = 0;
    size_t held = 0;
    enum status status = STATUS_OK;

    if (world->rank == 0)
        status = claim_locks(&locks, &held, claim, err);
    GOTO_IF_ERROR(team_agree(world, status, err), done);
    count = held;
    GOTO_IF_ERROR(team_broadcast(world, &count, sizeof count, 0, err), done);
    if (world->rank != 0)
        status = allocate(&locks, count, sizeof *locks, "the locks", err);
    GOTO_IF_ERROR(team_agree(world, status, err), done);
    GOTO_IF_ERROR(team_broadcast(world, locks, count * sizeof *locks, 0, err), done);
    status = team_agree(world, fence_set(locks, count, err), err);
done:
    free(locks);
    return status;
}

enum status world_fence_blame(enum status status, const struct team *world, struct error *err)
{
    struct error why = {0};

    if (status != STATUS_OK && world->rank == 0)
        (void)fence_check(&why);
    if (!team_any(world, world->rank == 0 && fence_is_lost()))
        return status;
    *err = why;
    return team_agree(world, why.status, err);
}
