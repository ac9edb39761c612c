// mmlu.h - MMLU (Hendrycks et al., Measuring Massive Multitask Language Understanding, 2021): its subjects,
// and its distribution as tables.
//
// The distribution is a folder with dev/SUBJECT_dev.csv and test/SUBJECT_test.csv: RFC 4180 without a head,
// QUESTION,A,B,C,D,LETTER. The same as lines of JSON: {"question", "subject", "choices", "answer": 0 to 3}.
#pragma once
#include "io/tasks/builder.h"
#include <jansson.h>

enum { MMLU_SUBJECTS = 57, MMLU_CATEGORIES = 4 };

// "abstract_algebra", and the reference's category of it (lm_eval/tasks/mmlu/default): an index below
// MMLU_CATEGORIES.
const char *mmlu_subject(size_t subject);
size_t mmlu_category(size_t subject);
const char *mmlu_category_name(size_t category); // "stem"

// Adds an example of JSON, unless its subject has builder->limit already.
enum status mmlu_add_json(struct task_builder *builder, const json_t *object, struct error *err);
// Adds the first builder->limit examples (0: all) of every subject that has a table in the folder, split:
// "dev" or "test". The hash of the task is of all these files. STATUS_INPUT names file and line.
enum status mmlu_add_folder(struct task_builder *builder, const char *folder, const char *split,
                            struct error *err);
// The table of a subject. False: it is not there.
bool mmlu_table_path(char *path, size_t size, const char *folder, const char *split, size_t subject);
// What stands before all examples of a subject. Returns text.
const char *mmlu_description(size_t subject, char *text, size_t size);
