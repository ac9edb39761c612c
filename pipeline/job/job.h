// job.h - the job file (YAML): parsed, checked against its schema, expanded into variants.
//
//   key                           value                               default
//   model, run                    directory                           required
//   output                        directory                           none: nothing is exported
//   calibration.corpus            file                                required
//   calibration.sequences         1 to 1e9                            128
//   calibration.length            tokens, 2 to 1e7                    2048
//   calibration.seed              0 to 2^63 - 1                       0
//   calibration.keep_activations  true, false                         false
//   prune.method            *     magnitude, wanda, ria, cvr,         auto
//                                 sparsegpt, auto
//   prune.alpha             *     0 to 8                              cvr 0.25, others 0
//   prune.epsilon           *     above 0, to 1                       1e-8
//   prune.activation_exponent *   0 to 8                              magnitude 0, wanda 0.5, ria
//                                                                     and cvr 0.25
//   prune.sparsity          *     0 to 1                              one of the two is required
//   prune.pattern           *     N:M, 1 <= N <= M <= 32, N are kept
//   prune.group             *     row, layer                          row
//   prune.allocation        *     uniform, owl                        uniform
//   prune.owl_threshold     *     above 0, to 1e6                     5
//   prune.owl_range         *     0 to 1                              0.08
//   prune.ratios                  mapping of patterns to 0 to 1       {}
//   prune.propagation             pruned, dense                       pruned
//   prune.skip                    list of shell patterns              []
//   compensate.energy       *     list of columns, rows               []: none
//   compensate.output       *     off, moment, regression, mixed      off; mixed when neither the method nor
//                                                                     compensate.energy is given
//   compensate.bias         *     true, false                         false
//   compensate.guard        *     true, false                         true
//   compensate.clamp              [low, high], above 0                [0.1, 10]
//   compensate.keep_weights       true, false                         false for a sweep that is measured and
//                                                                     not exported, else true
//   evaluate.perplexity           file                                none: nothing is evaluated
//   evaluate.length               tokens, 2 to 1e7                    calibration.length
//   evaluate.tasks                list of files, or of sections       []
//                                 {data: file, name, format, limit, delimiter}: see io/tasks/format.h
//
// * A list makes a sweep (for energy: a list of lists): the cartesian product, the first of these keys
// changing slowest. sparsity and pattern are one dimension, the union: each sparsity, then each pattern. A
// value that a method does not use (epsilon without alpha, group with a pattern, any of them with sparsegpt;
// parameters with auto; owl_threshold without owl; guard without compensation) does not multiply the
// variants. Relative paths count from the working directory of the program.
#pragma once
#include "kernels/error.h"
#include "stages/settings.h"

// Defaults of kernels/METHOD.md §3, §5 and §8.
#define DEFAULT_EPSILON \
    1e-8 // beside the weight variance, and under the square root of the energy compensation, where it is
         // fixed
#define DEFAULT_CLAMP_LOW 0.1
#define DEFAULT_CLAMP_HIGH 10.0
#define DEFAULT_OWL_THRESHOLD 5.0
#define DEFAULT_OWL_RANGE 0.08

// Reads and checks text[size], which need not end in NUL; path is for messages. An unknown key, a wrong type,
// a missing key or a value out of range is STATUS_USAGE: "FILE:LINE: prune.sparsity: must be a number from 0
// to 1, got 1.5". Whether the model and the corpora exist is not checked. Freed with settings_free. Of a
// file: load.h.
enum status job_parse(struct settings **settings, const char *text, size_t size, const char *path,
                      struct error *err);

void settings_free(struct settings *settings); // NULL is fine

// Sets what the variant's choices make meaningless to its default, so that equal variants have equal
// contents: the parameters of sparsegpt and auto, epsilon without alpha, group and allocation of a pattern,
// owl's parameters without it, clamp where no factor is clamped, guard without compensation.
void variant_normalise(struct variant *variant);

// A variant's name from its contents, the same for the same contents:
// METHOD[-alphaA][-epsilonE]-{SPARSITY|NofM}[-layer][-owl][-thresholdM][-rangeR][-columns][-rows]
// [-output-MATCHING][-bias][-clampLOW-HIGH][-unguarded], alpha where the method uses it, epsilon, clamp and
// owl's parameters when they are not the defaults, unguarded where compensation is not guarded: "wanda-0.5",
// "cvr-alpha0.25-2of4-columns-rows", "ria-0.5-layer-rows". Safe as a folder's name. A name that does not fit
// ends in a hash of the whole.
void variant_name(struct variant *variant);
