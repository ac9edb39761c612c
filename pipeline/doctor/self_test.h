// self_test.h - the whole way of a job, on a tiny model, with outcomes that are known.
#pragma once
#include "pipeline/doctor/findings.h"
#include "stages/team/team.h"

// Collective over the world. Makes a tiny model in the folder `scratch`, prunes it by two methods on all
// ranks, exports and evaluates it, and compares the exported weights and the perplexities with the known
// ones. The outcome is in rank 0's findings.
enum status self_test_run(struct findings *findings, const char *scratch, const struct team *world,
                          struct error *err);
