// stages.h - the table of stages, the one place that lists them.
//
// In: nothing. Out: what the rest of the program knows of a stage without knowing the stage: its name, what
// there is a unit of it for, the file that proves it, how ranks share it, the command that carries it out.
// Plan, estimate, progress, status, claims and commands go through this table, and so does slurm/submit.sh,
// by `coppice plan --json`.
//
// Each row has functions of its name elsewhere; a table that is made from STAGES does not compile before they
// are there: path_NAME, input_NAME (unit.c), work_NAME, time_NAME (*_cost.c), carry_out_NAME
// (pipeline/run/work/unit_work.c). The order of the stages is that of the units in plan.c.
#pragma once
#include "io/file/run_paths.h"
#include <stdbool.h>
#include <stddef.h>

// There is one unit for:
enum unit_of {
    UNIT_OF_RUN,   // the whole run
    UNIT_OF_LAYER, // each layer of a variant, or of the dense model
    UNIT_OF_MODEL, // each variant and the dense model
    UNIT_OF_TEXT,  // each text for perplexity of each of these models
    UNIT_OF_TASK   // each task of each of these models
};

// The file that says that a unit is done.
enum proof {
    PROOF_STORE, // HDF5, with checksums of its own
    PROOF_JSON,  // sealed JSON: small, and read whenever it is looked for
    PROOF_FOLDER // a model directory, outside of the run directory
};

// How the ranks of a team divide a unit among themselves. By sequences, windows and examples each rank passes
// whole ones through the layers; by rows and bytes there is work for any number of ranks.
enum shared_by {
    SHARED_BY_NOTHING,
    SHARED_BY_SEQUENCES, // of the calibration
    SHARED_BY_HELD_OUT,  // of these sequences those that judge
    SHARED_BY_BUDGET,    // sequences of the text that a budget is judged by
    SHARED_BY_WINDOWS,   // of the text for the perplexity
    SHARED_BY_EXAMPLES,  // of a task
    SHARED_BY_ROWS,      // of the weights
    SHARED_BY_BYTES      // of the checkpoint; its work is counted in bytes, not in operations
};

// Rows in the order in which a layer goes through them. `command` carries the stage out, as does `run`, which
// carries out all; commands wait for one another in the order in which they first occur. `folders` hold a
// variant's files of the stage: RUN/FOLDER/VARIANT.
// clang-format off
#define STAGES(ROW) \
    /*  kind        name        a unit of      proof         shared by            command       folders */ \
    ROW(SEQUENCES,  sequences,  UNIT_OF_RUN,   PROOF_STORE,  SHARED_BY_NOTHING,   "calibrate",  0) \
    ROW(HELD_OUT,   held_out,   UNIT_OF_RUN,   PROOF_STORE,  SHARED_BY_NOTHING,   "calibrate",  0) \
    ROW(CALIBRATE,  calibrate,  UNIT_OF_LAYER, PROOF_STORE,  SHARED_BY_SEQUENCES, "calibrate",  FOLDER(STATISTICS) | FOLDER(HESSIANS) | FOLDER(ACTIVATIONS)) \
    ROW(OUTLIERS,   outliers,   UNIT_OF_LAYER, PROOF_JSON,   SHARED_BY_ROWS,      "score",      0) \
    ROW(MEDIANS,    medians,    UNIT_OF_LAYER, PROOF_JSON,   SHARED_BY_ROWS,      "score",      0) \
    ROW(CURVES,     curves,     UNIT_OF_LAYER, PROOF_JSON,   SHARED_BY_HELD_OUT,  "score",      0) \
    ROW(SCORE,      score,      UNIT_OF_LAYER, PROOF_STORE,  SHARED_BY_ROWS,      "score",      FOLDER(MASKS)) \
    ROW(COMPENSATE, compensate, UNIT_OF_LAYER, PROOF_STORE,  SHARED_BY_ROWS,      "compensate", FOLDER(WEIGHTS)) \
    ROW(PROPAGATE,  propagate,  UNIT_OF_LAYER, PROOF_STORE,  SHARED_BY_SEQUENCES, "calibrate",  FOLDER(ACTIVATIONS)) \
    ROW(ATTEMPT,    attempt,    UNIT_OF_MODEL, PROOF_JSON,   SHARED_BY_BUDGET,    "evaluate",   FOLDER(BUDGET)) \
    ROW(EVALUATE,   evaluate,   UNIT_OF_TEXT,  PROOF_JSON,   SHARED_BY_WINDOWS,   "evaluate",   FOLDER(RESULTS)) \
    ROW(TASKS,      tasks,      UNIT_OF_TASK,  PROOF_JSON,   SHARED_BY_EXAMPLES,  "evaluate",   FOLDER(RESULTS)) \
    ROW(EXPORT,     export,     UNIT_OF_MODEL, PROOF_FOLDER, SHARED_BY_BYTES,     "export",     0)
// clang-format on

#define STAGE_KIND(kind, ...) STAGE_##kind,
enum stage_kind { STAGES(STAGE_KIND) STAGE_COUNT };
#undef STAGE_KIND

struct stage_row {
    const char *name;
    enum unit_of unit_of;
    enum proof proof;
    enum shared_by shared_by;
    const char *command;
    unsigned folders; // bit set of 1U << enum run_folder
};

const struct stage_row *stage_row(enum stage_kind stage);
const char *stage_name(enum stage_kind stage);
// False: no stage has that name.
bool stage_find(enum stage_kind *stage, const char *name);
// Whether it passes token sequences through layers, so that their speeds are alike.
bool stage_is_forward(enum stage_kind stage);

// Bit set (1U << stage) of what `coppice COMMAND` carries out: all for "run".
unsigned stages_of_command(const char *command);
// The commands but `run` that carry out stages, in the order in which they wait for one another. commands has
// room for STAGE_COUNT. Returns how many.
size_t stage_commands(const char **commands);
