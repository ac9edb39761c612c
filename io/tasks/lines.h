// lines.h - examples that are not JSON: rows of GLUE's tables, lines of plain text.
#pragma once
#include "io/tasks/builder.h"

// The table's first line, which names the columns, and a line after it. Both change the line.
enum status task_begin_table(struct task_builder *builder, char *line, struct error *err);
enum status task_add_row(struct task_builder *builder, char *line, struct error *err);
// A line of plain text: the model is to write its last word (LAMBADA).
enum status task_add_text(struct task_builder *builder, const char *text, struct error *err);
// An example of RTE, which comes in a table or as JSON.
enum status task_add_entailment(struct task_builder *builder, const char *premise, const char *hypothesis,
                                const char *label, struct error *err);
