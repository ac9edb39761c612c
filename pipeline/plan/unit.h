// unit.h - the smallest piece of work that is committed, resumed or redone as a whole: its files, and whether
// it is done.
#pragma once
#include "pipeline/record/run_record.h"
#include "stages/settings.h"

enum stage_kind {
    STAGE_SEQUENCES,  // draw the calibration sequences
    STAGE_CALIBRATE,  // statistics of a layer (dense propagation: and its outputs)
    STAGE_OUTLIERS,   // how much sparsity a layer can bear (owl)
    STAGE_SCORE,      // mask of a layer
    STAGE_COMPENSATE, // pruned weights of a layer
    STAGE_PROPAGATE,  // outputs of the pruned layer
    STAGE_EVALUATE,   // perplexity of a model
    STAGE_TASKS,      // accuracy of a model on one task
    STAGE_EXPORT      // Hugging Face folder of a variant
};
enum { STAGE_COUNT = 9, NO_LAYER = -1 };

const char *stage_name(enum stage_kind stage);

// The smallest piece of work that is committed, resumed or redone as a whole. Units of one chain depend on
// those before them in the chain; chains of one phase are independent and may run on different teams; phases
// follow one another.
struct unit {
    enum stage_kind stage;
    const struct variant *variant; // NULL: the dense model, or every variant's
    long layer;                    // NO_LAYER where a unit is not of one layer
    size_t phase, chain;
    double work; // floating-point operations, the common currency of progress
    size_t task; // of STAGE_TASKS: index into settings->tasks
};

// Whether the unit's committed file is there. record: tells this run's exports from others. No MPI, no
// checksum.
bool unit_is_done(const struct unit *unit, const struct settings *settings, const struct run_record *record);
// The file that proves the unit, "" for one without. path: size 4200.
void unit_path(char *path, size_t size, const struct unit *unit, const struct settings *settings);
// Whether a variant of the stream of `variant` (NULL: the dense one) has no mask of the layer yet, and needs
// the Hessian for it.
bool hessian_is_needed(const struct settings *settings, const struct variant *variant, size_t layer);
// The committed files that the unit reads, one at a time: index 0, 1, ... until false; layers: the model's.
// path: size 4200.
bool unit_input(char *path, size_t size, const struct unit *unit, const struct settings *settings,
                size_t layers, size_t index);
// Whether everything that the job wants to know of the variant is there, the unit `but` (may be NULL) apart.
bool results_are_done(const struct settings *settings, const struct variant *variant, const struct unit *but);
// Whether the committed file of the variant's pruned layer is there, or no longer needed: weights that are
// not kept go when the variant's results are there.
bool weights_are_done(const struct settings *settings, const struct variant *variant, size_t layer);
