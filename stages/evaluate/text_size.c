#include "stages/evaluate/text_size.h"

#include "io/corpus/pack.h"
#include "io/file/run_paths.h"
#include "io/model/family.h"
#include "stages/evaluate/task_set.h"
#include "stages/evaluate/windows.h"

#include <stdlib.h>
#include <string.h>

// What is tokenised: enough for the ratio of tokens to bytes, in a fraction of a second.
static const size_t most_bytes = (size_t)1 << 20, most_examples = 200;

static enum status measure_text(struct text_settings *text, size_t length, struct tokenizer *tokenizer,
                                struct error *err)
{
    const struct document_field field = text_document_field(text);
    struct packed_text joined = {0};
    struct corpus *corpus = NULL;
    int32_t *ids = NULL;
    size_t count = 0;
    double share = 1;
    enum status status;

    GOTO_IF_ERROR(corpus_load_beginning(&corpus, &share, text->data, &field, most_bytes, err), done);
    GOTO_IF_ERROR(pack_documents(&joined, corpus, NULL, NULL, err), done);
    GOTO_IF_ERROR(tokenizer_encode(tokenizer, joined.text, joined.size, true, &ids, &count, err), done);
    if (share == 1 && count < length)
        status = error_set(err, STATUS_INPUT, "%s: the text has %zu tokens, less than one window of %zu",
                           text->data, count, length);
    else
        text->tokens = (double)count / share;
done:
    free(ids);
    pack_free(&joined);
    corpus_free(corpus);
    return status;
}

// So many examples, in equal steps over the task: a file may be in an order in which the first ones are
// shorter than others, as the subjects of MMLU are. The text is the task's; freed with free_sample.
static enum status sample_examples(struct task_examples *sample, const struct task_examples *task,
                                   size_t count, struct error *err)
{
    *sample = (struct task_examples){.format = task->format, .num_examples = count, .text = task->text};
    FORWARD_IF_ERROR(allocate(&sample->examples, count, sizeof *sample->examples, "a sample of a task", err));
    for (size_t e = 0; e < count; e++) {
        sample->examples[e] = task->examples[e * task->num_examples / count];
        sample->num_options += sample->examples[e].num_options;
    }
    FORWARD_IF_ERROR(
        allocate(&sample->options, sample->num_options, sizeof *sample->options, "a sample of a task", err));
    for (size_t e = 0, used = 0; e < count; e++) {
        struct task_example *example = &sample->examples[e];
        memcpy(sample->options + used, task->options + example->first_option,
               example->num_options * sizeof *sample->options);
        example->first_option = used;
        used += example->num_options;
    }
    return STATUS_OK;
}

static void free_sample(struct task_examples *sample)
{
    free(sample->examples);
    free(sample->options);
}

static enum status measure_task(struct task_settings *settings, struct task_encoder *encoder,
                                struct error *err)
{
    const struct task_source source = task_source_of(settings);
    struct task_examples *task = NULL;
    struct task_examples sample = {0};
    struct task_tokens tokens = {0};
    double sum = 0;
    enum status status;

    GOTO_IF_ERROR(task_load_source(&task, &source, err), done);
    const size_t count = task->num_examples < most_examples ? task->num_examples : most_examples;
    GOTO_IF_ERROR(sample_examples(&sample, task, count, err), done);
    GOTO_IF_ERROR(task_tokenise(&tokens, &sample, encoder, settings->data, err), done);
    for (size_t e = 0; e < tokens.num_examples; e++)
        sum += (double)tokens.prefix[e];
    for (size_t o = 0; o < tokens.num_options; o++)
        sum += (double)tokens.branch[o] - 1; // the last token is only a target
    settings->tokens = sum * (double)task->num_examples / (double)count;
done:
    task_tokens_free(&tokens);
    free_sample(&sample);
    task_examples_free(task);
    return status;
}

enum status texts_measure(struct settings *settings, const struct model *model, struct error *err)
{
    struct task_encoder encoder = {.model = settings->model,
                                   .special_tokens = model->family->special_tokens_in_tasks,
                                   .max_length = model->config.max_position_embeddings,
                                   .vocab_size = model->config.vocab_size};
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    if (settings->num_texts == 0 && settings->num_tasks == 0)
        return STATUS_OK;
    path_format(path, sizeof path, "%s/tokenizer.json", settings->model);
    FORWARD_IF_ERROR(tokenizer_load(&encoder.tokenizer, path, err));
    for (size_t i = 0; i < settings->num_texts && status == STATUS_OK; i++)
        status = measure_text(&settings->texts[i], settings->evaluate_length, encoder.tokenizer, err);
    for (size_t i = 0; i < settings->num_tasks && status == STATUS_OK; i++)
        status = measure_task(&settings->tasks[i], &encoder, err);
    tokenizer_free(encoder.tokenizer);
    return status;
}

static bool is_same_text(const struct text_settings *a, const struct text_settings *b)
{
    const bool fields = a->field != NULL && b->field != NULL;
    return strcmp(a->data, b->data) == 0 && (fields ? strcmp(a->field, b->field) == 0 : a->field == b->field);
}

void texts_take_over(struct settings *to, const struct settings *from)
{
    for (size_t i = 0; i < to->num_texts; i++)
        for (size_t k = 0; k < from->num_texts; k++)
            if (is_same_text(&to->texts[i], &from->texts[k]))
                to->texts[i].tokens = from->texts[k].tokens;
    for (size_t i = 0; i < to->num_tasks; i++)
        for (size_t k = 0; k < from->num_tasks; k++)
            if (strcmp(to->tasks[i].name, from->tasks[k].name) == 0)
                to->tasks[i].tokens = from->tasks[k].tokens;
}
