// settings.h - a job as the stages see it, after it was parsed and checked (pipeline/job/job.h).
#pragma once
#include "io/corpus/pack.h"
#include "io/file/origin.h"
#include "io/tasks/format.h"
#include "kernels/compute.h"
#include "kernels/pruning/energy.h"
#include "kernels/pruning/masks/importance.h"
#include "kernels/pruning/matching.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum group { GROUP_ROW = 0, GROUP_LAYER = 1 };
enum allocation { ALLOCATION_UNIFORM = 0, ALLOCATION_OWL = 1, ALLOCATION_DLP = 2, ALLOCATION_MEASURED = 3 };
enum drift { DRIFT_IGNORED = 0, DRIFT_CORRECTED = 1 };
// Of a quantised model: the weights that its codes stand for, or the codes, pruned ones zero.
enum output_format { OUTPUT_DEQUANTISED = 0, OUTPUT_SOURCE = 1 };
enum propagation { PROPAGATION_PRUNED = 0, PROPAGATION_DENSE = 1 };

// One combination of method, sparsity or pattern, parameters and compensation: one pruned model.
struct variant {
    char name[128]; // also its folder (pipeline/job/variant.c)
    enum method method;
    struct importance_parameters parameters;
    bool is_pattern;
    size_t keep, of; // N:M when is_pattern: `keep` of every `of` neighbours
    bool permute;    // with a pattern: neighbours in an order that keeps more, which the export writes
    double sparsity; // otherwise; of a budget it is found by a search (stages/budget/trials.h)
    // The bound of that search: how many times the dense model's perplexity; 0: the sparsity is given.
    double budget;
    const struct variant *base; // of an attempt of the search: the variant that it is for; otherwise NULL
    size_t attempt;             // its number, from 1 on
    enum group group;
    enum allocation allocation; // of the sparsity over the layers
    // With ALLOCATION_OWL: how many times the mean score makes an outlier, and how far targets go.
    double owl_threshold, owl_range;
    size_t measured_sequences; // with ALLOCATION_MEASURED: that its curves are of, at most
    double dlp_alpha;          // with ALLOCATION_DLP: targets of the layers span twice as much
    bool energy_columns, energy_rows;
    enum matching output;
    bool bias;  // mean outputs are matched as well; with MATCHING_OFF only they are
    bool guard; // compensation must not make the measured output error grow
    struct energy_clamp clamp;
    enum drift
        drift; // which weights are scored: the dense ones, or those that make good what the inputs lost
};

// The linears that a pattern fits stay dense.
struct skip {
    char *pattern; // a shell pattern (fnmatch) of their names: "mlp.down_proj", "layers.0.*"
    size_t line;   // of the job file, for messages
};

// The linears that a pattern fits have a sparsity of their own.
struct ratio {
    char *pattern; // as those of `skip`
    double sparsity;
    size_t line; // of the job file, for messages
};

// A text whose perplexity is measured.
struct text_settings {
    char *name; // also its result's file; NULL: a file alone whose name gives none
    char *data;
    char *field; // of a JSON text's objects that is a document; NULL: "text"
    // A file alone, and the first of the job: its result is where that of the only text has always been.
    bool is_plain;
    // As measured before the work (stages/evaluate/text_size.h); 0: not known.
    double tokens;
    uint64_t measured_with; // as run.json has it, for the results (pipeline/record/results/measures.h); 0:
                            // not known
};

// One task of the evaluation.
struct task_settings {
    char *name; // also its result's file
    char *data;
    enum task_format format;
    size_t limit;     // examples; 0: all
    char *delimiter;  // between prompt and continuation; NULL: a space
    size_t shots;     // examples before each question (io/tasks/shots.h)
    char *shots_from; // the file that they are drawn from; NULL: the training examples next to the data
    // As measured before the work (stages/evaluate/text_size.h), 0: not known. Tokens that go through the
    // model.
    double tokens;
    uint64_t measured_with; // as that of a text
};

// A perplexity that was published, to be shown beside the measured one.
struct expected {
    char *variant; // its name, or "dense"
    double perplexity;
    size_t length; // tokens of the windows that it was measured on
    char *source;
    size_t line; // of the job file, for messages
};

struct settings {
    uint64_t
        made_from; // a hash of all that follows and of the files behind it: of run.json, for every file made
    char *model, *run, *output; // directories; output NULL: no export
    enum output_format output_format;
    enum compute compute;
    // Where the job names a model by its id on the Hub: the id as it stands there, and the commit; then model
    // is the folder of the snapshot. NULL: the job names a folder.
    char *hub_id, *hub_commit;
    size_t num_ignored_keys;
    struct skip *ignored_keys; // keys of the model's config.json that are not looked at; names, not patterns
    char *corpus;
    char *field; // of the corpus's JSON objects that is a document; NULL: "text"
    size_t sequences, length;
    uint64_t seed;
    enum pack pack;
    bool keep_activations;
    size_t states_every; // seconds; hidden states go to the store no more often; 0: after every layer
    enum propagation propagation;
    size_t num_skip;
    struct skip *skip;
    size_t num_ratios;
    struct ratio *ratios;   // where several fit, the last one counts
    bool keep_weights;      // weights/VARIANT stays when the variant's results are there
    bool method_is_default; // the job names none
    size_t num_variants;
    struct variant *variants;
    size_t num_attempts;
    struct variant *attempts; // of the variants with a budget, in their order, BUDGET_ATTEMPTS for each
    size_t num_texts;
    struct text_settings *texts; // for perplexity, in the job's order; their names differ
    size_t evaluate_length;
    size_t num_tasks;
    struct task_settings *tasks; // in the job's order; their names differ
    size_t num_expected;
    struct expected *expected; // in the job's order; at most one of each variant
};

// What files of the job say of themselves.
static inline struct file_origin settings_origin(const struct settings *settings)
{
    return (struct file_origin){settings->made_from, settings->run};
}
