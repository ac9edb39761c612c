// small_model.h - a small random LLaMA or Mixtral on disk, a job on it and a stage over all ranks, so that a
// test calls the functions of stages/ directly, and readers of what they write.
//
//     static void a_mask_keeps_half_of_every_row(void **state)
//     {
//         struct small_model_shape shape = small_model_shape(); // change what matters to the test
//         struct small_model small;
//         struct error err = {0};
//         (void)state;
//         small_model_open(&small, &shape);
//         struct variant *half = small_model_add(&small, "half", METHOD_WANDA);
//         small_model_calibrate(&small, false);
//         const struct variant *variants[] = {half};
//         assert_ok(prune_layer(&small.stage, &small.weights, variants, 1, 0, &err), err);
//         uint8_t *mask = small_mask(&small, half, 0, "self_attn.q_proj");
//         ...
//         free(mask);
//         small_model_close(&small);
//     }
//
// For tests made with mpi_unit_test (mpi_test.h): everything lies in the test's own directory. What is called
// "collective" here is called by every rank; readers are called by any rank that wants to. All failures end
// the running test.
#pragma once
#include "io/file/run_paths.h"
#include "stages/layer/layer_weights.h"
#include "tests/support/mpi_test.h"
#include "tests/support/random_checkpoint.h"
#include "tests/support/temporary_folder.h" // assert_ok, assert_error

struct small_model_shape {
    struct random_checkpoint checkpoint;
    size_t sequences, length; // of the calibration
};
// BF16 LLaMA of 2 layers, hidden size 20 (a mask row has padding bits), 2 heads over 1 key-value head,
// intermediate size 36, 258 tokens; 5 sequences of 12 tokens: more than ranks, and not a multiple of them.
struct small_model_shape small_model_shape(void);

enum { SMALL_MODEL_VARIANTS = 24 };

// Members point to one another: do not copy. All are the test's to change between calls.
struct small_model {
    struct small_model_shape shape;
    struct settings settings; // dense propagation; sequences, folders and variants filled in, the rest zero
    struct variant variants[SMALL_MODEL_VARIANTS]; // settings.variants; pointers to them stay valid
    struct model *model;
    struct team team;
    struct stage stage; // hooks.notice counts below; the other hooks are NULL
    struct layer_weights weights;
    int32_t *ids; // [sequences, length] of the calibration
    size_t num_notices;
    char notice[400]; // the last one
};

// Collective. Writes the checkpoint to "model" in the test's directory, opens it, makes the stage over
// MPI_COMM_WORLD and draws the calibration's token ids uniformly into "run/sequences.h5".
void small_model_open(struct small_model *small, const struct small_model_shape *shape);
// Collective. The same model, token ids, settings and variants, in a run directory of this rank's own and on
// a team of this rank alone: what it writes must be the same bytes as what all ranks write together.
void small_model_open_alone(struct small_model *alone, const struct small_model *small);
void small_model_close(struct small_model *small); // collective

// Collective. The team as if its ranks were on several nodes: those with the same color share one. The caller
// frees `node` of it with MPI_Comm_free.
struct team small_team_on_nodes(const struct small_model *small, int color);

// A new variant: the method with its own parameters, sparsity 0.5 of every row, no compensation; clamp
// [0.1, 10], epsilon 1e-8. On every rank alike.
struct variant *small_model_add(struct small_model *small, const char *name, enum method method);
// It keeps `keep` of every `of` neighbours.
void small_set_pattern(struct variant *variant, size_t keep, size_t of);
// Collective. Writes other token ids [sequences, length] (copied) in place of those drawn.
void small_model_set_ids(struct small_model *small, const int32_t *ids);
// Collective. Calibrates all layers one after the other in the stream "dense".
void small_model_calibrate(struct small_model *small, bool hessian);
// Collective. Scores and compensates all layers for the variant, so that its weights are written too. With
// biases or output matching its hidden states go through the layers that it pruned.
void small_model_prune(struct small_model *small, const struct variant *variant);

// ---- readers ---------------------------------------------------------------------------------------------

// RUN/KIND/STREAM/layer-l.h5; kind as in run_layer_path. The caller frees.
char *small_path(const struct small_model *small, enum run_folder folder, const char *stream, size_t layer);

// A linear's weight, values[out, in]; the caller frees values.
struct small_matrix {
    float *values;
    size_t out, in;
};
// From the checkpoint.
struct small_matrix small_dense_weight(const struct small_model *small, size_t layer, const char *linear);
// From weights/VARIANT/layer-l.h5.
struct small_matrix small_pruned_weight(const struct small_model *small, const struct variant *variant,
                                        size_t layer, const char *linear);
// From masks/VARIANT/layer-l.h5: the weights of a method that changes them.
struct small_matrix small_update(const struct small_model *small, const struct variant *variant, size_t layer,
                                 const char *linear);
// From masks/VARIANT/layer-l.h5: [out, in], one byte for each weight, 1 = kept. Padding bits must be 0. The
// caller frees.
uint8_t *small_mask(const struct small_model *small, const struct variant *variant, size_t layer,
                    const char *linear);

// From masks/VARIANT/layer-l.h5: the order in which a pattern takes a linear's neighbours, and what it keeps
// of the scores.
struct small_order {
    uint32_t *columns; // [in]; NULL: there is none. The caller frees.
    double kept_before, kept_after;
};
struct small_order small_order(const struct small_model *small, const struct variant *variant, size_t layer,
                               const char *linear, size_t in);

// From statistics/STREAM/layer-l.h5, [channels] each.
struct small_statistics {
    uint64_t count;
    size_t channels;
    double *mean, *variance, *second_moment, *max_abs;
};
void small_statistics_read(struct small_statistics *statistics, const struct small_model *small,
                           const char *stream, size_t layer, const char *linear);
void small_statistics_free(struct small_statistics *statistics);
// From hessians/STREAM/layer-l.h5: [in, in], zeros below the diagonal. linear is the first that reads the
// source. The caller frees.
double *small_hessian(const struct small_model *small, const char *stream, size_t layer, const char *linear);

// Hidden states that enter a layer, [sequences, length, hidden]: from activations/STREAM/layer-l.h5, for
// layer 0 the rows of the embedding. The caller frees.
float *small_hidden_states(const struct small_model *small, const char *stream, size_t layer);

// How many lines of RUN/log.jsonl contain `part`.
size_t small_log_lines(const struct small_model *small, const char *part);

// The two files have the same bytes.
void assert_same_file(const char *path, const char *other);
