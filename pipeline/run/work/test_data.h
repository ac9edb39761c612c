// test_data.h - the windows of text and the tasks that models are measured on.
#pragma once
#include "pipeline/run/work/context.h"
#include "stages/evaluate/perplexity.h"
#include "stages/evaluate/tasks.h"

struct test_data {
    size_t num_texts;
    struct evaluation_windows *texts; // [num_texts]; no windows where a text is not needed
    struct task_set tasks;            // those that are to be evaluated
};

// Collective over the world. Reads the test data of the measurements that are still to be made; at the first
// start all of it, so that a bad file is refused before any work. Freed with test_data_free, also after an
// error.
enum status test_data_read(struct test_data *data, const struct run_context *context,
                           const struct stage *stage, struct error *err);
// Windows of the longest text.
size_t test_data_windows(const struct test_data *data);
void test_data_free(struct test_data *data); // zeroed is fine
