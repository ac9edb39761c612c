// tasks.h - measured accuracy on multiple-choice and continuation tasks, of the dense model and of every
// variant.
#pragma once
#include "stages/evaluate/parts.h"
#include "stages/evaluate/task_result.h"
#include "stages/evaluate/task_set.h"
#include "stages/layer/layer_weights.h"

// The summed log-likelihood (natural) of each option's continuation, and whether each of its tokens is the
// most probable one: two values of parts, opened for num_options items (bits of a double; 0 or 1). The
// beginning that the options of an example share is computed once. Examples are split over the team; those
// that parts have are not computed again. variant NULL: the dense model. Public for tests.
enum status task_log_likelihoods(struct parts *parts, const struct stage *stage,
                                 struct layer_weights *weights, const struct task_tokens *tokens,
                                 const struct variant *variant, struct error *err);

// The result of task `index` of the set.
enum status evaluate_task(struct task_result *result, const struct stage *stage,
                          struct layer_weights *weights, const struct task_set *set, size_t index,
                          const struct variant *variant, struct error *err);

// Tokens that a rank keeps hidden states of at a time, when examples have `longest` at most. Not collective.
size_t task_tokens_in_memory(const struct model *model, size_t longest);
