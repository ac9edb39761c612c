// pruned_linear.h - one linear on its way from the mask to its pruned, compensated weight, on one rank
// (kernels/METHOD.md §8, §9).
#pragma once
#include "io/store/store.h"
#include "stages/layer/layer_weights.h"

// The weights that least squares found for a mask, in memory that the ranks of a node share (solve.h).
struct solution {
    struct shared_block memory; // float32 [out, in], 0 where pruned; empty: there is none
    uint64_t tokens;            // that the equations were gathered from
    double steps;               // the most that a row took
    double residual;            // the largest of a row, relative to its target
};

// What a linear's kept weights are.
enum kept_weights {
    KEPT_PLAIN,  // the dense ones, or those of `update`
    KEPT_ENERGY, // the same, energy-compensated as the variant asks
    KEPT_SOLVED  // the least-squares solution
};

// What is done to linears in one pass over a layer.
struct compensation_kind {
    bool solves;   // weights are solved for
    bool matches;  // outputs are compared with the dense model's
    bool measures; // outputs are measured, for that or for the guard
    bool shifts;   // biases get what the means of the outputs lack
    bool inverts;  // masks are made with inverses of the equations
};

// What compensate_layer does for a variant.
struct compensation_kind compensation_kind_of(const struct variant *variant);

struct pruned_linear {
    const struct stage *stage;
    const struct variant *variant;
    struct compensation_kind kind;
    const struct layer_tensor *tensor;
    const float *weight;                // [out, in], the dense linear
    const float *updated;               // [out, in], where kept weights come from: weight, or `update`
    float *update;                      // [out, in] of sparsegpt, else NULL
    const float *bias;                  // [out] of the dense linear; NULL: it has none
    uint8_t *mask;                      // [out, mask_row_bytes(in)]
    double *column_mean, *column_gamma; // [in], NULL when columns are off
    double *row;                        // [threads, in], scratch
    float *rounded;                     // [threads, in] in the model's dtype, scratch
    struct solution solution;           // where the variant solves for the weights
    enum kept_weights kept;             // what the weights become
    bool output;                        // whether gamma and shift are used
    double *gamma;                      // [out] with output matching: the factor of a row; else NULL
    double *shift;                      // [out] likewise: what is added to the bias
    // Squared error of the outputs relative to their variance, as pruned and in the end, over
    // `measured_sequences` sequences (0: not measured).
    double error_pruned, error_compensated;
    size_t measured_sequences;
    // Squared error of the layer's output relative to what the layer adds, with the linears that share this
    // one's input as pruned and in the end; NAN: not measured.
    double layer_error_pruned, layer_error_compensated;
};

// What the weights are before anything was measured or solved for.
enum kept_weights kept_at_first(const struct variant *variant);
// A linear of `weights`, the dense layer, with room for a mask. Energy compensation is kept if the variant
// asks for it. Not collective. Freed with pruned_linear_free, also after an error, which is collective.
enum status pruned_linear_create(struct pruned_linear *linear, const struct stage *stage,
                                 const struct variant *variant, const struct compensation_kind *kind,
                                 const struct layer_weights *weights, const struct layer_tensor *tensor,
                                 struct error *err);
// Its mask, and the `update` that is there of it, from the variant's mask file. Not collective.
enum status pruned_linear_read(struct pruned_linear *linear, const struct store_reader *masks,
                               struct error *err);
void pruned_linear_free(struct pruned_linear *linear);

// Means and factors of the columns, if the variant compensates them. Collective.
enum status pruned_linear_columns(struct pruned_linear *linear, struct error *err);

// target[count, in] <- the rows from `first` on, pruned, with these weights kept; not scaled by gamma;
// rounded to the model's dtype, as float32.
void pruned_linear_rounded(const struct pruned_linear *linear, size_t first, size_t count,
                           enum kept_weights kept, float *target);
// target[count, in] <- the rows from `first` on with all compensation that is kept, rounded to the model's
// dtype, as float32.
void pruned_linear_final_f32(const struct pruned_linear *linear, size_t first, size_t count, float *target);

// What becomes of rows; [count] but for the weights.
struct final_rows {
    void *rows;        // [count, in] in the model's dtype
    double *energy[3]; // of each row: see energy_row (kernels/pruning/energy.h)
    double *gamma;     // energy compensation's factor of each row
};
// Fills the result with the rows from `first` on, with all compensation that is kept.
void pruned_linear_final(const struct final_rows *result, const struct pruned_linear *linear, size_t first,
                         size_t count);
// STATUS_FAILED, as the model's dtype cannot hold element (i, j) of `layer`'s linear, which the final rows
// have as infinite or NaN: names layer, linear, row and column.
enum status pruned_linear_refuse(const struct pruned_linear *linear, size_t layer, size_t i, size_t j,
                                 struct error *err);
// target[out] <- the final bias, in bias_dtype. For a linear that has one.
void pruned_linear_bias(const struct pruned_linear *linear, void *target);
// The same as float32.
void pruned_linear_bias_f32(const struct pruned_linear *linear, float *target);
