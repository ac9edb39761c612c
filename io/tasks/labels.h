// labels.h - the list of labels that some formats publish in a second file.
#pragma once
#include "io/tasks/builder.h"

// "dev-labels.lst" for "dev.jsonl". False when there is none, or its name does not fit.
bool task_labels_path(char *labels, size_t size, const char *path);

// Looks for the list and reads it, at the first call. builder->labels stays NULL when there is none.
enum status task_find_labels(struct task_builder *builder, struct error *err);
