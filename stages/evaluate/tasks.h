// tasks.h - measured accuracy on multiple-choice and continuation tasks, of the dense model and of every
// variant.
#pragma once
#include "stages/evaluate/task_result.h"
#include "stages/evaluate/task_set.h"
#include "stages/layer/layer_weights.h"

// The summed log-likelihood (natural) of each option's continuation, log_likelihood[num_options], and whether
// each of its tokens is the most probable one, greedy[num_options]. The beginning that the options of an
// example share is computed once. Examples are split over the team; variant NULL: the dense model. Public for
// tests.
enum status task_log_likelihoods(double *log_likelihood, uint8_t *greedy, const struct stage *stage,
                                 struct layer_weights *weights, const struct task_tokens *tokens,
                                 const struct variant *variant, struct error *err);

// The result of task `index` of the set.
enum status evaluate_task(struct task_result *result, const struct stage *stage,
                          struct layer_weights *weights, const struct task_set *set, size_t index,
                          const struct variant *variant, struct error *err);

// Tokens that a rank keeps hidden states of at a time, when examples have `longest` at most. Not collective.
size_t task_tokens_in_memory(const struct model *model, size_t longest);
