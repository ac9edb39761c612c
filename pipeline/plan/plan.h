// plan.h - what a job comes to: its units in the order of work, and what they cost.
#pragma once
#include "io/model/model.h"
#include "pipeline/plan/unit.h"

// Tokens of a test set of the usual size (WikiText-2: some 300 thousand), where nothing better is known.
#define PLAN_EVALUATION_TOKENS 300000.0
// Tokens of the examples of a task, and of the longest of them, before its file is read: a token for every
// four bytes of the file, if that is known.
double plan_task_tokens(const struct task_settings *task);
double plan_task_bytes(const struct task_settings *task); // of its file; 0 when it is not there
enum { PLAN_EXAMPLE_TOKENS = 1024, PLAN_USUAL_EXAMPLE_TOKENS = 128 };

struct plan {
    const struct settings *settings;
    const struct model *model;
    size_t num_units;
    struct unit *units;
    size_t num_phases;
    double work;
};

enum status plan_create(struct plan *plan, const struct model *model, const struct settings *settings,
                        struct error *err);
void plan_free(struct plan *plan);
// How many chains a phase has: as many teams can work on it side by side.
size_t plan_chains(const struct plan *plan, size_t phase);

// How many ranks of a team the work of a phase can be shared out to: as many as there are sequences to
// calibrate with, or `windows` to evaluate, whichever are more; SIZE_MAX when it is shared out by rows only.
// stages: bit set of enum stage_kind that are carried out.
size_t plan_useful_ranks(const struct plan *plan, size_t phase, unsigned stages, size_t windows);

// Leaves only the units of variants that match one of the patterns (fnmatch); "dense" stands for the units
// without a variant. Drawing the sequences always stays. STATUS_USAGE when a pattern matches nothing.
enum status plan_select(struct plan *plan, const char *const *patterns, size_t count, struct error *err);
// Names of the variants that have units in the plan, "dense" among them; points into the plan. names has room
// for all variants and one more. Returns how many.
size_t plan_names(const struct plan *plan, const char **names);

// How many variants read hidden states of the dense stream when they are scored or compensated.
size_t dense_stream_readers(const struct settings *settings);
// Whether the dense stream's hidden states of all layers are kept until those variants are done: when they
// are made before the variants, or by the first of several.
bool dense_stream_is_kept(const struct settings *settings);

// Memory of one rank and what is shared by the ranks of a node, and bytes on disk, as the program will use
// them.
struct plan_cost {
    uint64_t rank_bytes;     // private to each rank, the program itself included
    uint64_t node_bytes;     // once per node: one layer's weights in float32
    uint64_t peak_bytes;     // resident size of a rank at its peak, with the shared pages that it touches
    uint64_t hessians_bytes; // on disk, for sparsegpt
    uint64_t statistics_bytes, activations_bytes, masks_bytes, weights_bytes, output_bytes; // on disk
    double work; // floating-point operations
};
enum status plan_cost(struct plan_cost *cost, const struct plan *plan, size_t ranks, struct error *err);
