// format.h - the formats of tasks: what a model is asked, and which texts are scored.
//
// Prompts are those of EleutherAI's lm-evaluation-harness 0.4.9 (lm_eval/tasks); examples before the question
// are io/tasks/shots.h's. Below, | stands between the context and the continuation that is scored; each line
// of a file is an example, in JSON unless it says otherwise; one JSON array of the examples is read as well.
// Files are read as io/file/text/stream.h says: decompressed where they are compressed.
//
//   boolq            BoolQ (SuperGLUE's val.jsonl with "label", or the original dev.jsonl with "answer")
//                      PASSAGE\nQuestion: QUESTION?\nAnswer:| no, | yes
//   rte              RTE (SuperGLUE's val.jsonl, or with the ending .tsv GLUE's dev.tsv)
//                      PREMISE\nQuestion: HYPOTHESIS True or False?\nAnswer:| True, | False
//   hellaswag        HellaSwag (hellaswag_val.jsonl)
//                      ACTIVITY: CTX_A Ctx_b| ENDING, the marks of WikiHow taken out
//   winogrande       WinoGrande (dev.jsonl; "answer" there or in dev-labels.lst next to it)
//                      SENTENCE up to the gap, with an OPTION in it| rest of the sentence
//   arc              ARC-Easy and ARC-Challenge (ARC-Easy-Test.jsonl)
//                      Question: STEM\nAnswer:| CHOICE
//   openbookqa       OpenBookQA (test.jsonl)
//                      STEM| CHOICE
//   piqa             PIQA (valid.jsonl; "label" there or in valid-labels.lst next to it)
//                      Question: GOAL\nAnswer:| SOL1, | SOL2
//   mmlu             MMLU (a folder with test/SUBJECT_test.csv and dev/SUBJECT_dev.csv, or lines of JSON)
//                      QUESTION\nA. TEXT\nB. TEXT\nC. TEXT\nD. TEXT\nAnswer:| A, | B, | C, | D
//   lambada          LAMBADA ("text" a line, or with the ending .txt the text itself)
//                      all words but the last| LAST
//   multiple-choice  {"query", "choices", "gold"}                     QUERY| CHOICE
//   context-options  {"context_options", "continuation", "gold"}      CONTEXT_OPTION| CONTINUATION
//   continuation     {"context", "continuation"}                      CONTEXT| CONTINUATION
//
// In the last three the texts are prompts already: a delimiter (one space unless told) goes between, up to
// its blanks at the end as a part of the context. lambada and continuation have nothing to choose from: there
// the model is to write the continuation.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum task_format {
    TASK_BOOLQ,
    TASK_RTE,
    TASK_HELLASWAG,
    TASK_WINOGRANDE,
    TASK_ARC,
    TASK_OPENBOOKQA,
    TASK_PIQA,
    TASK_MMLU,
    TASK_LAMBADA,
    TASK_READY, // this and the following are ready prompts
    TASK_MULTIPLE_CHOICE = TASK_READY,
    TASK_CONTEXT_OPTIONS,
    TASK_CONTINUATION,
    TASK_RECOGNISED, // by the first example's members
};
// The names above, in this order; "recognised" is not among them.
const char *const *task_format_names(size_t *count);

// Whether the options are alternatives. Without them there is one an example.
bool task_has_choices(enum task_format format);
