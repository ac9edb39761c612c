// sizes.h - how large a job's layers are: counts, bytes of their files, operations. The cost of a unit is
// made of these.
//
// In: the model's headers and the settings. Out: one row for each layer, measured once for a plan.
#pragma once
#include "io/model/layer_map.h"
#include "stages/prune/linear_order.h"
#include "stages/settings.h"

// Floating-point numbers throughout: they are multiplied with one another and with rates.
struct layer_size {
    double channels; // of all inputs that linears read
    double inputs;   // linears that have statistics
    double hessians; // inputs of pruned linears, which have one each
    double linears;  // that are pruned
    double pruned;   // weights in them
    double rows;     // of them
    double curves;   // that are measured for allocation: measured, and
    double curved;   // the weights in their linears
    double columns;
    // Bytes:
    double checkpoint; // of all its tensors
    double expanded;   // of the same in float32
    double packed;     // of the same with bf16 as it is
    double weights;    // of its pruned weights, in the model's dtype
    double masks;      // of the file of its masks
    double updates;    // that sparsegpt adds to it: weights in float32
    double orders;     // that prune.permute adds to it, if every order is free
    double statistics; // of the file of its statistics
    double hessian;    // of the file of its Hessians
    // Operations:
    double forward;    // of one calibration sequence
    double window;     // of one window of the evaluation
    double gathering;  // of its Hessians, from all calibration sequences
    double factoring;  // of its Hessians
    double correcting; // of its weights by sparsegpt
    double equations;  // of least squares, from all calibration sequences of both streams
    double gatherings; // passes over the sequences in which they are gathered
    double solving;    // of its weights by least squares
    double stepping;   // of one step of admm or alps
    double inverting;  // of the equations of its inputs, once
    // Of measuring outputs. Groups are pruned linears that share an input, but no experts. Operations are
    // those of one calibration sequence in one stream: up to the inputs of the groups and of the experts, as
    // they are measured together by least squares, by other compensation and by the method auto; and through
    // the pruned linears, of them the experts, once.
    double groups;
    double solved_batches, compensated_batches; // of experts that are measured in one pass, by both
    double group_passes, solved_passes, compensated_passes, chosen_passes;
    double products, expert_products;
    // Of the orders of channels, in groups of one: of MLPs, and of the values in heads.
    struct order_cost inner_order, value_order;
};

struct sizes {
    const struct settings *settings;
    const struct model *model;
    size_t num_layers;
    struct layer_size *layers; // [num_layers]
    uint64_t side_files;       // bytes beside the weights that an export copies
};

// Freed with sizes_free.
enum status sizes_measure(struct sizes *sizes, const struct model *model, const struct settings *settings,
                          struct error *err);
void sizes_free(struct sizes *sizes);

// Of a layer's orders for a variant: nothing without prune.permute. The bytes are 0 (see order_cost).
struct order_cost ordering_of(const struct sizes *sizes, size_t layer, const struct variant *variant);

// Whether hidden states stay in memory between the layers of a stream (if they fit, which is not known here),
// and whether those of the stream of `owner` (NULL: the dense one) go to the store after every layer all the
// same.
bool states_are_carried(const struct sizes *sizes);
bool states_are_stored(const struct sizes *sizes, const struct variant *owner);
// Bytes of the hidden states of so many calibration sequences.
double hidden_bytes(const struct sizes *sizes, double sequences);
// Bytes of the file of a variant's pruned weights: these, with energies and factors. Everything is taken to
// be kept that the guard may drop.
double weights_file_bytes(const struct layer_size *layer, const struct variant *variant);
double weights_file_datasets(const struct layer_size *layer, const struct variant *variant);

// Bytes of memory for the longest text that is read, unpacked: of the corpus, as far as it is drawn from, and
// of those for perplexity. What is tokenised as a whole, texts for perplexity and a corpus of one document,
// takes several times its size. 0 where none is there. Of compressed ones as much as is usual for text.
double longest_text_bytes(const struct settings *settings);
// Of settings->texts[text], from its tokens as they were measured (stages/evaluate/text_size.h); else by the
// size of its file; where there is none, of a test set of the usual size.
double planned_windows(const struct settings *settings, size_t text);
enum { PLAN_EXAMPLE_TOKENS = 1024, PLAN_USUAL_EXAMPLE_TOKENS = 128 }; // the longest, and the usual example
// Of its texts, with shots; 0 when it is not there.
double task_file_bytes(const struct task_settings *task);
double task_file_tokens(const struct task_settings *task);
