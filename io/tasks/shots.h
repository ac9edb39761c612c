// shots.h - examples with their answers before the question (few-shot).
//
// They are drawn and written as by EleutherAI's lm-evaluation-harness 0.4.9 (ContextSampler.get_context) with
// its default seed: for example after example Python's Random(1234).sample of the examples to draw from, one
// more than asked for in tasks that have no test split there; what equals the question is left out; each is
// its context, delimiter and right answer, then an empty line. MMLU takes the first ones of the subject.
#pragma once
#include "io/tasks/builder.h"
#include "io/tasks/source.h"

// Where the shots of `source` are drawn from: shots_from if it is given, else the training examples that
// stand next to its data ("train" instead of "test" or "valid" in the name; for MMLU "dev"). STATUS_INPUT:
// there are none.
enum status task_shots_path(char *path, size_t size, const struct task_source *source, struct error *err);

// Puts source->shots examples of the pool before each of the task's, and MMLU's description before these.
// same_file: the pool was read from the same file.
enum status task_add_shots(struct task_builder *builder, const struct task_source *source,
                           const struct task_examples *pool, bool same_file, struct error *err);
