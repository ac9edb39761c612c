// prepare.h - the first files of a run, once it is admitted.
#pragma once
#include "pipeline/run/admit/admission.h"

// Collective over the world, after admission_check. Checks the model's tensors outside the layers, then
// commits run.json, plan.json, sequences.h5 and held-out.h5: a start that is refused leaves nothing behind.
// Programs that share a run directory must not do this at the same time. numerics: a line for the user where
// this start computes with another arithmetic than results that are there, which run.json then has on record;
// notices: others; on rank 0, or "".
enum { NUMERICS_NOTICE_SIZE = 400 };
enum status run_prepare(struct admission *admission, char numerics[NUMERICS_NOTICE_SIZE],
                        char notices[SEQUENCES_NOTICES][SEQUENCES_NOTICE_SIZE],
                        const struct run_context *context, struct error *err);
