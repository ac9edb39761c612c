#include "stages/evaluate/text_size.h"

#include "io/corpus/pack.h"
#include "io/file/run_paths.h"
#include "io/model/family.h"
#include "stages/evaluate/task_set.h"

#include <stdlib.h>
#include <string.h>

// What is tokenised: enough for the ratio of tokens to bytes, in a fraction of a second.
static const size_t most_bytes = (size_t)1 << 20, most_examples = 200;

static enum status measure_text(struct text_settings *text, size_t length, struct tokenizer *tokenizer,
                                struct error *err)
{
    struct packed_text joined = {0};
    struct corpus *corpus = NULL;
    int32_t *ids = NULL;
    size_t count = 0;
    double share = 1;
    enum status status;

    GOTO_IF_ERROR(corpus_load_beginning(&corpus, &share, text->data, most_bytes, err), done);
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

static enum status measure_task(struct task_settings *settings, struct task_encoder *encoder,
                                struct error *err)
{
    const struct task_source source = task_source_of(settings);
    struct task_examples *task = NULL;
    struct task_tokens tokens = {0};
    double sum = 0;
    enum status status;

    GOTO_IF_ERROR(task_load_source(&task, &source, err), done);
    struct task_examples beginning = *task;
    if (beginning.num_examples > most_examples) {
        const struct task_example *last = &beginning.examples[most_examples - 1];
        beginning.num_examples = most_examples;
        beginning.num_options = last->first_option + last->num_options;
    }
    GOTO_IF_ERROR(task_tokenise(&tokens, &beginning, encoder, settings->data, err), done);
    for (size_t e = 0; e < tokens.num_examples; e++)
        sum += (double)tokens.prefix[e];
    for (size_t o = 0; o < tokens.num_options; o++)
        sum += (double)tokens.branch[o] - 1; // the last token is only a target
    settings->tokens = sum * (double)task->num_examples / (double)beginning.num_examples;
done:
    task_tokens_free(&tokens);
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

void texts_take_over(struct settings *to, const struct settings *from)
{
    for (size_t i = 0; i < to->num_texts; i++)
        for (size_t k = 0; k < from->num_texts; k++)
            if (strcmp(to->texts[i].data, from->texts[k].data) == 0)
                to->texts[i].tokens = from->texts[k].tokens;
    for (size_t i = 0; i < to->num_tasks; i++)
        for (size_t k = 0; k < from->num_tasks; k++)
            if (strcmp(to->tasks[i].name, from->tasks[k].name) == 0)
                to->tasks[i].tokens = from->tasks[k].tokens;
}
