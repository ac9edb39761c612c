// unit.h - a unit of work: its files, and whether it is done.
//
// In: the settings of a job and, for exports, the record of the run. Out: names of files, and what the file
// system says of them. No MPI; a checksum only of small files.
#pragma once
#include "io/file/run_paths.h"
#include "pipeline/plan/stages.h"
#include "pipeline/record/run_json/run_record.h"
#include "stages/settings.h"

enum { NO_LAYER = -1 };

// The smallest piece of work that is committed, resumed or redone as a whole. Units of one chain depend on
// those before them in the chain; chains of one phase are independent and may run on different teams; phases
// follow one another.
struct unit {
    enum stage_kind stage;
    const struct variant *variant; // NULL: the dense model, or every variant's
    long layer;                    // NO_LAYER where a unit is not of one layer
    size_t phase, chain;
    double work; // floating-point operations, the common currency of progress
    size_t task; // of a UNIT_OF_TASK: index into settings->tasks; of a UNIT_OF_TEXT: into settings->texts
    double kept; // in a plan of what is left: unit_share, which its time does not take again
};

// "dense" for a unit without a variant.
const char *unit_variant_name(const struct unit *unit);
// The same, but of an attempt that of the variant which it is for: whoever works on that works on this.
const char *unit_owner_name(const struct unit *unit);
// The name of a task, or of a text that has one (text_label). NULL for other units.
const char *unit_task_name(const struct unit *unit, const struct settings *settings);

// The stage that looks at the layers of the dense model for the variant's allocation; STAGE_COUNT: none does.
enum stage_kind allocation_stage(const struct variant *variant);

// Whether the unit's proof is there, or no longer needed: an attempt's after its verdict, and when the search
// has ended before it; a variant's when its search found no model within the budget. record: tells this run's
// exports from others.
bool unit_is_done(const struct unit *unit, const struct settings *settings, const struct run_record *record);
// Whether the unit counts as done and was never made: of an attempt after its search's end, or of a variant
// whose search found no model within the budget.
bool unit_is_not_needed(const struct unit *unit, const struct settings *settings);
// unit_is_done; why takes the reason where the proof may be there and could not be read.
bool unit_look(const struct unit *unit, const struct settings *settings, const struct run_record *record,
               struct error *why);
// The share of the unit's work that is done: 1 when the unit is, less until then; of an evaluation that was
// interrupted, or is at work, what it has kept.
double unit_share(const struct unit *unit, const struct settings *settings, const struct run_record *record);
// The folder of what an evaluation has kept so far. Only for units of a text or a task.
void unit_parts_path(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings);
// The file or folder that proves the unit.
void unit_path(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings);
// Whether a variant of the stream of `variant` (NULL: the dense one) has no mask of the layer yet, and needs
// the Hessian for it.
bool hessian_is_needed(const struct settings *settings, const struct variant *variant, size_t layer);
// Whether everything that the job wants to know of the variant is there, the unit `but` (may be NULL) apart.
bool results_are_done(const struct settings *settings, const struct variant *variant, const struct unit *but);
// Whether the committed file of the variant's pruned layer is there, or no longer needed: weights that are
// not kept go when the variant's results are there.
bool weights_are_done(const struct settings *settings, const struct variant *variant, size_t layer);
