// stage.h - the team, the model and the job that every stage works with, and how it reports progress.
//
// All functions of stages/ are collective over the team unless they say otherwise: every rank calls them, and
// every rank returns the same status and message.
#pragma once
#include "io/model/layer_map.h"
#include "stages/settings.h"
#include "stages/team/team.h"

// How the program above listens in. All may be NULL.
struct stage_hooks {
    void *context;
    // True: drop the current unit now (`fraction` of it is done). Asked on every rank at safe points; one
    // rank that says yes is enough.
    bool (*should_stop)(void *context, double fraction);
    // `work` more floating-point operations of the team are done.
    void (*advance)(void *context, double work);
    // `work` is done already, by an earlier start.
    void (*skip)(void *context, double work);
    // A line that the user should see, although the work goes on. Called on every rank.
    void (*notice)(void *context, const char *text);
    // Some of a long unit was committed and will not be done again. Called on one rank of the team.
    void (*kept)(void *context);
};

struct carried_states;

struct stage {
    const struct team *team;
    const struct model *model;
    const struct settings *settings;
    struct stage_hooks hooks;
    struct carried_states
        *carried; // hidden states in memory (layer/carried_states.h); NULL: the store has all
};

enum { SETTING_PLACE_SIZE = 400 };
// Where a setting stands, to begin a message with: "FILE:LINE: ", or "--set " for line 0, which means the
// command line. Returns text.
const char *setting_place(char text[SETTING_PLACE_SIZE], const char *job, size_t line);

// The variant's name; DENSE_NAME for NULL, the dense model.
const char *variant_name(const struct variant *variant);
// The name of settings->texts[text] in results and files; NULL for a text without one (struct text_settings)
// and where there are no texts.
const char *text_label(const struct settings *settings, size_t text);
// The variant of the job that it is an attempt of, or itself (NULL stays NULL).
const struct variant *variant_base(const struct variant *variant);
// Whether the sparsity of the variant, or of the one that it is an attempt for, is found by a search.
bool variant_is_searched(const struct variant *variant);
// Whether the job has a variant of that kind.
bool settings_search(const struct settings *settings);
// The stream that a variant's statistics come from: "dense", or with pruned propagation the variant's name.
const char *stream_name(const struct settings *settings, const struct variant *variant);

// Whether the variant's outputs are matched to the dense model's when it is compensated.
bool variant_matches(const struct variant *variant);
// Whether it is pruned or compensated towards the dense model's outputs. Two streams of hidden states then
// run side by side: the dense model's own, and the variant's.
bool variant_follows_dense(const struct variant *variant);
// Whether the weights that its masks keep are solved for by least squares (stages/compensate/solve.h).
bool variant_solves(const struct variant *variant);
// Whether its masks are made together with its weights, from the inputs that both models give a linear: one
// group of linears after the other, when the layer is scored (stages/joint/joint.h).
bool variant_is_joint(const struct variant *variant);
// Whether anything but the mask and the method itself changes the weights.
bool variant_compensates(const struct variant *variant);
// Whether there is something for the guard to decide.
bool variant_can_be_guarded(const struct variant *variant);
// Whether the pruned weights get files of their own, weights/VARIANT/layer-l.h5. Where they do not, they are
// the mask over the dense weights (sparsegpt: over `update`, which is stored next to the mask), and are
// made from these whenever a layer is loaded.
bool weights_are_written(const struct settings *settings, const struct variant *variant);
// Whether its outputs are measured, to match them or to guard its compensation.
bool variant_measures(const struct variant *variant);
// Whether its method is chosen for each linear by the outputs of candidates.
bool variant_chooses(const struct variant *variant);
// Whether its allocation measures curves of linears whose kept weights are solved for.
bool curves_are_solved(const struct variant *variant);
// Whether it reads hidden states when it is scored or compensated.
bool variant_reads_states(const struct variant *variant);
// `variant` (NULL: the dense model) works with hidden states that went through the layers of the variant that
// is returned, or of the dense model: NULL. They are its own with pruned propagation, and with outputs that
// are matched by factors; with dense propagation, least squares starts every layer from the dense model's.
const struct variant *stream_owner(const struct settings *settings, const struct variant *variant);
// How many variants read hidden states of the dense stream when they are scored or compensated.
size_t dense_stream_readers(const struct settings *settings);
// Whether the dense stream's hidden states of all layers are kept until those variants are done: when they
// are made before the variants, or by the first of several.
bool dense_stream_is_kept(const struct settings *settings);
// The folder of those hidden states: "dense" or the owner's name.
const char *hidden_stream(const struct settings *settings, const struct variant *variant);

// One safe point: all ranks learn whether any of them failed (its status and message win) or was told to stop
// (STATUS_STOPPED). mine and err are this rank's own outcome so far.
enum status stage_safe_point(const struct stage *stage, enum status mine, double fraction, struct error *err);
void stage_advance(const struct stage *stage, double work);
void stage_skip(const struct stage *stage, double work);
// Whether this rank was told to stop. Not collective: between safe points that are far apart, a rank that is
// gives up what it is computing and goes to the next one with STATUS_STOPPED.
bool stage_is_stopped(const struct stage *stage, double fraction);
void stage_kept(const struct stage *stage);
void stage_notice(const struct stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));

// True when a pattern of `prune.skip` matches "NAME" or "layers.LAYER.NAME". Public for tests.
bool linear_is_skipped(const struct settings *settings, size_t layer, const char *linear);
// True when tensor is the weight of a linear that this job prunes.
bool tensor_is_pruned(const struct settings *settings, size_t layer, const struct layer_tensor *tensor);
// Whether zeros of rows that have many stay (kernels/pruning/masks/held_zeros.h). Not where weights are made
// from codes: there many are zero because codes are few.
bool stage_holds_zeros(const struct stage *stage);

// The last ratio of `prune.ratios` that fits the linear as a pattern of `skip` does, or NULL.
const struct ratio *linear_ratio(const struct settings *settings, size_t layer, const char *linear);
