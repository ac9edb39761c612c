// claim_wait.h - the right to write in the run directory, waited for as long as --wait says, and for what all
// variants share as long as another program makes it.
#pragma once
#include "pipeline/run/claim/claim.h"
#include "pipeline/run/work/context.h"

// Rank 0. Claims the variants of the chosen units of the plan, the whole job without --variant, and removes
// what a killed program left. Adds to chosen[num_units] what they need of what all variants share, and claims
// that, too; while another program has it in hand it waits until that is made, or free. Says on standard
// error what it waits for and what it takes over. Freed with claim_release, also after an error.
enum status claim_wait(struct claim **claim, uint8_t *chosen, const struct run_context *context,
                       struct error *err);
