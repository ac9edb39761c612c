// curve_file.h - RUN/curves/METHOD/layer-l.json: what pruning one linear of the layer alone costs the model
// (stages/prune/curves.h), at each level of a ladder of sparsities.
#pragma once
#include "io/file/run_paths.h"
#include "stages/stage.h"

// The ladder. Level 0 is the dense model, which costs nothing.
enum { CURVE_LEVELS = 8 };
extern const double curve_levels[CURVE_LEVELS];

// A linear, or those of one name of all experts of the layer together, with one sparsity.
struct curve {
    char linear[LINEAR_NAME_SIZE]; // "self_attn.q_proj", "mlp.experts.*.up_proj"
    uint64_t weights;              // that are pruned with it
    // At each level, means over the tokens: KL divergence of the next token from the dense model's, and
    // cross-entropy of the next token of the text.
    double divergence[CURVE_LEVELS], loss[CURVE_LEVELS];
};
struct layer_curves {
    size_t count;
    struct curve *curves;  // [count], in the order of the layer's linears
    struct curve together; // all of them pruned to the same level: "*"
    uint64_t sequences, tokens;
};
// The curves of a layer with their names and weights: of the linears that are pruned and have no ratio of
// their own. Not collective. Freed with layer_curves_free, also after an error.
enum status layer_curves_create(struct layer_curves *curves, const struct settings *settings,
                                const struct layer_map *map, struct error *err);
void layer_curves_free(struct layer_curves *curves);
// The curve that a linear belongs to; NULL: it has none.
struct curve *layer_curves_find(const struct layer_curves *curves, const struct layer_tensor *tensor);

// What stands for the variant while curves are measured: a method that scores weights by themselves is taken
// as it is; wanda stands for sparsegpt and auto, and with least squares for admm and alps.
struct variant curve_variant(const struct variant *variant);
// The file of a layer; variants whose curve_variant differs in nothing that matters share it.
void curves_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant,
                 size_t layer);
enum status curves_write(const struct layer_curves *curves, const struct stage *stage,
                         const struct variant *variant, size_t layer, struct error *err);
// Not collective. STATUS_DAMAGED names a file that curves_write cannot have written. Freed with
// layer_curves_free, also after an error. layers (may be NULL): how many the model has.
enum status curves_read(struct layer_curves *curves, size_t *layers, const struct settings *settings,
                        const struct variant *variant, size_t layer, struct error *err);
