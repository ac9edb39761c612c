// world_fence.h - the fence of io/file/fence.h on all ranks, for the locks that rank 0 holds.
#pragma once
#include "pipeline/run/claim/claim.h"
#include "stages/team/team.h"

// Collective over the world: no rank commits anything once rank 0's claim is lost. claim: of rank 0 only.
enum status world_fence_set(const struct claim *claim, const struct team *world, struct error *err);

// Collective over the world. status and err: as team_agree left them. Whatever went wrong, on any rank: where
// the lock was lost, that is why.
enum status world_fence_blame(enum status status, const struct team *world, struct error *err);
