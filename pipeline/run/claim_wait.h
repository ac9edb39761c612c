// claim_wait.h - the right to write in the run directory, waited for as long as --wait says.
#pragma once
#include "pipeline/run/claim.h"
#include "pipeline/run/context.h"

// Rank 0. Claims the variants of the plan, the whole job without --variant, and removes what a killed program
// left. Says on standard error what it waits for and what it takes over. Freed with claim_release, also after
// an error.
enum status claim_wait(struct claim **claim, const struct run_context *context, struct error *err);
