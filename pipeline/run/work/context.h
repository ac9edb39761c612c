// context.h - the job, plan, options and ranks of a command. Nothing here changes while it works.
#pragma once
#include "pipeline/cli/options.h"
#include "pipeline/cli/stop.h"
#include "pipeline/plan/plan.h"
#include "stages/team/team.h"

struct run_context {
    const struct options *options;
    const struct settings *settings;
    const struct model *model;
    const char *model_notice; // what a person should hear of the model's folder; empty: nothing
    const struct plan *plan;
    const struct run_record *record;
    const struct stop *stop;
    const struct team *world; // all ranks as one team
    unsigned stages;          // bit set of enum stage_kind: what the command asks for
};
