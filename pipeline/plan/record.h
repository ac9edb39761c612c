// record.h - RUN/plan.json: how much work each unit of the run is, so that `coppice status` can say how long
// is left without the model.
//
// In: a plan. Out: the file, and from the file a plan again.
//
// {"format": 1, "layers": L, "work": {STAGE: {VARIANT: W or [W of layer 0, ...] or {TASK: W}}}}, W in
// floating-point operations, VARIANT "dense" for units that are not of one variant. These are the units of
// the last job. Where earlier ones asked for more: "earlier", like "work", has the others, and "asked" how
// many of the variants, texts and tasks in run.json are the last job's, {"variants", "first_text", "texts",
// "tasks"}: the first ones, of texts those from first_text on.
#pragma once
#include "pipeline/plan/plan.h"

// New reference; NULL when memory ran out.
json_t *plan_to_json(const struct plan *plan);
// The units again (stage, variant, layer, work; phases and chains are not recorded), with pointers to the
// variants of `settings`. STATUS_DAMAGED when it is not what plan_to_json writes or names other variants.
// plan->model is NULL. Freed with plan_free.
enum status plan_from_json(struct plan *plan, const struct settings *settings, const json_t *json,
                           const char *origin, struct error *err);

// Rank 0 alone: writes RUN/plan.json for the job, and for what else the record knows, unless it says the same
// already.
enum status plan_record_write(const struct run_record *record, const struct model *model,
                              const struct settings *settings, struct error *err);

// The contents of a run directory, for commands that only look: no MPI, no checksum of large files.
struct run_view {
    struct run_record record;
    struct settings *settings; // the job on record, with the run directory as it is called now
    struct settings asked;     // of it what the last job asked for; owns nothing
    struct plan plan;          // of `asked`
    struct plan earlier;       // of `settings`: the units that only earlier jobs asked for
    struct model *model;       // only when there was no plan.json
};
// STATUS_USAGE when run is no run directory. The view must not be moved. Freed with run_view_close.
enum status run_view_open(struct run_view *view, const char *run, struct error *err);
void run_view_close(struct run_view *view);
