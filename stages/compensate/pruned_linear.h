// pruned_linear.h - one linear on its way from the mask to its pruned, compensated weight, on one rank
// (kernels/METHOD.md §8, §9).
#pragma once
#include "io/store/store.h"
#include "stages/layer/layer_weights.h"

struct pruned_linear {
    const struct stage *stage;
    const struct variant *variant;
    const struct layer_tensor *tensor;
    const float *weight;                // [out, in], the dense linear
    const float *updated;               // [out, in], what stays is taken from here: weight, or `update`
    float *update;                      // [out, in] of sparsegpt, else NULL
    const float *bias;                  // [out] of the dense linear, or NULL: it has none
    uint8_t *mask;                      // [out, mask_row_bytes(in)]
    double *column_mean, *column_gamma; // [in], NULL when columns are off
    double *row;                        // [in], scratch
    void *rounded;                      // [in] in the model's dtype, scratch
    // What is kept of the compensation that was asked for.
    bool energy, output;
    double *gamma,
        *shift; // [out]: with `output`, the factor of a row, and what its output mean lacks; or NULL
    // Squared error of the outputs relative to their variance, as pruned and in the end; over this many
    // sequences (0: not measured).
    double error_pruned, error_compensated;
    size_t measured_sequences;
    // The same of the layer's output beside what the layer adds, as the linears that share this one's input
    // were pruned and in the end; NAN: not measured.
    double layer_error_pruned, layer_error_compensated;
};

// Reads the mask from the variant's mask file; energy says that energy compensation, as the variant asks for
// it, is kept. Not collective. Freed with pruned_linear_free, also after an error.
enum status pruned_linear_create(struct pruned_linear *linear, const struct stage *stage,
                                 const struct variant *variant, const struct layer_weights *weights,
                                 const struct layer_tensor *tensor, const struct store_reader *masks,
                                 struct error *err);
void pruned_linear_free(struct pruned_linear *linear);

// Means and factors of the columns, if the variant compensates them. Collective.
enum status pruned_linear_columns(struct pruned_linear *linear, struct error *err);

// linear->row <- row i, pruned, with energy compensation if asked for, not yet scaled by gamma nor rounded.
// energies[3]: see energy_row (kernels/pruning/energy.h). Returns the energy compensation's factor of the
// row.
double pruned_linear_row(struct pruned_linear *linear, size_t i, bool energy, double energies[3]);
// The same rounded to the model's dtype, as float32 in target[in].
void pruned_linear_rounded(struct pruned_linear *linear, size_t i, bool energy, float *target);
// linear->rounded <- row i as everything that is kept makes it, in the model's dtype.
double pruned_linear_final(struct pruned_linear *linear, size_t i, double energies[3]);
// The same as float32 in target[in].
void pruned_linear_final_f32(struct pruned_linear *linear, size_t i, float *target);
// target[out] <- the final bias, in bias_dtype. For a linear that has one.
void pruned_linear_bias(const struct pruned_linear *linear, void *target);
// The same as float32.
void pruned_linear_bias_f32(const struct pruned_linear *linear, float *target);
