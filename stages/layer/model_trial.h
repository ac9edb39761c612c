// model_trial.h - measures what candidates for some linears of one layer change at the end of the model:
// held-out calibration sequences go through the dense layers before it, through the layer with each candidate
// in place, and through the dense layers after it (kernels/METHOD.md §5).
#pragma once
#include "stages/layer/layer_weights.h"

struct model_trial {
    const struct stage *stage;
    struct layer_weights
        *weights; // loaded with whatever layer is needed; with the trial's when put is called
    struct layer_weights *candidate; // the trial's layer, loaded by try_in_model and changed by put
    size_t layer;
    size_t sequences; // the last so many of the calibration
    // Puts this rank's rows, among the ranks of its node, of a candidate's weights into `candidate`.
    // Collective, with the same status on all ranks. Candidates come in rising order, and may come several
    // times over.
    enum status (*put)(void *context, size_t candidate, struct error *err);
    void *context;
};

// Means over all tokens of all sequences.
struct trial_outcome {
    double divergence; // KL divergence of the next token from the dense model's
    double loss;       // cross-entropy of the next token of the text; the last token of a sequence has none
};

// outcomes[candidates + 1]: those of the candidates, then that of the dense model, whose divergence is 0.
// Sums are added in the order of the sequences: the bits do not depend on the number of ranks. STATUS_INPUT
// when an outcome is not finite.
enum status try_in_model(struct trial_outcome *outcomes, size_t candidates, const struct model_trial *trial,
                         struct error *err);

// Operations of passing: `before` and `after` of one sequence through the layers before the trial's and from
// it on, `head` from its last hidden states to the logits. For the plan.
struct trial_passes_work {
    double before, after, head;
};
double try_in_model_work(const struct trial_passes_work *work, size_t candidates, size_t sequences);

// How the sequences of a rank are grouped: `group` of them at a time, with `batch` candidates each, so that a
// layer which is loaded serves group * batch passes.
struct trial_batches {
    size_t group, batch;
};
struct trial_batches trial_batches_of(const struct model *model, size_t tokens, size_t sequences,
                                      size_t candidates, size_t ranks);
// Floats of memory that a rank needs in addition to a forward pass and the layers.
size_t model_trial_workspace(const struct model *model, size_t tokens, const struct trial_batches *batches);
