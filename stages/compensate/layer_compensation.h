// layer_compensation.h - a layer while its linears are compensated, one group with a common input after the
// other: what is finished lies in a copy of the layer, so that later groups see its outputs.
#pragma once
#include "stages/compensate/guard.h"
#include "stages/compensate/solve.h"
#include "stages/layer/hidden_states.h"

struct layer_compensation {
    const struct stage *stage;
    const struct variant *variant;
    const struct layer_weights *dense;
    struct compensation_kind kind;
    const char *stream; // the hidden states that enter the pruned layer
    // The rest where outputs are measured or solved for.
    struct layer_weights pruned;               // the layer so far, dense where nothing is pruned yet
    struct hidden_states dense_states, states; // what enters the layer: dense stream, variant's stream
    struct pruned_linear *linears;             // [count] that are compensated together
    struct measured_linear *measured;          // [count]
    size_t count;
    struct guard_choice choices[GUARD_CHOICES]; // what may be kept, from the most compensated to the least
    size_t num_choices;
    struct guard_choice tried[GUARD_CHOICES]; // those of them that are measured against each other
    size_t num_tried;
    struct solver solver;
};

// Opens the streams that enter the layer that is loaded in `dense`, and makes what compensation needs of
// memory. All before `pruned` is set. Collective. Closed with
// layer_compensation_close, also after an error.
enum status layer_compensation_open(struct layer_compensation *c, struct error *err);
void layer_compensation_close(struct layer_compensation *c); // collective

// The sequences and streams that the equations of the tensor's source are gathered from. Of an expert one
// stream: the two models route other tokens to it.
struct gram_input layer_compensation_input(const struct layer_compensation *c,
                                           const struct layer_tensor *tensor);
// Solves for the weights of linears[count], which share their source, for their masks. Collective.
enum status layer_compensation_solve(struct layer_compensation *c, struct error *err);
// Measures linears[count], decides what is kept of their compensation, and puts them into the layer so far.
// Collective.
enum status layer_compensation_decide(struct layer_compensation *c, struct error *err);
// Frees linears[count]. Collective.
void layer_compensation_drop(struct layer_compensation *c);
