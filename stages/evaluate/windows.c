#include "stages/evaluate/windows.h"

#include "io/corpus/sample.h"
#include "io/file/run_paths.h"

#include <stdlib.h>
#include <string.h>

struct document_field text_document_field(const struct text_settings *text)
{
    return (struct document_field){text->field, "evaluate.perplexity: {data: FILE, field: NAME}"};
}

static enum status tokenise(struct evaluation_windows *windows, const struct stage *stage,
                            const struct text_settings *text, struct error *err)
{
    const char *data = text->data;
    const struct settings *settings = stage->settings;
    const struct document_field field = text_document_field(text);
    struct tokenizer *tokenizer = NULL;
    struct corpus *corpus = NULL;
    char path[PATH_SIZE];
    enum status status;

    path_format(path, sizeof path, "%s/tokenizer.json", settings->model);
    GOTO_IF_ERROR(tokenizer_load(&tokenizer, path, err), done);
    GOTO_IF_ERROR(corpus_load_field(&corpus, data, &field, UINT64_MAX, err), done);
    windows->corpus_hash = corpus->hash;
    status = sample_windows(&windows->ids, &windows->count, tokenizer, corpus, windows->length, err);
    if (status == STATUS_INPUT)
        error_prefix(err, "%s", data);
    if (status != STATUS_OK)
        goto done;
    status = sample_check(windows->ids, windows->count * windows->length, stage->model->config.vocab_size,
                          data, err);
done:
    corpus_free(corpus);
    tokenizer_free(tokenizer);
    return status;
}

enum status evaluation_windows_create(struct evaluation_windows *windows, const struct stage *stage,
                                      size_t text, struct error *err)
{
    const struct team *team = stage->team;
    uint64_t shape[2] = {0, 0};
    enum status status = STATUS_OK;

    memset(windows, 0, sizeof *windows);
    windows->length = stage->settings->evaluate_length;
    windows->text = text_label(stage->settings, text);
    windows->keep_parts = true;
    if (team->rank == 0)
        status = tokenise(windows, stage, &stage->settings->texts[text], err);
    GOTO_IF_ERROR(team_agree(team, status, err), failed);
    shape[0] = windows->count;
    shape[1] = windows->corpus_hash;
    GOTO_IF_ERROR(team_broadcast(team, shape, sizeof shape, 0, err), failed);
    windows->count = shape[0];
    windows->corpus_hash = shape[1];
    if (team->rank != 0)
        status = allocate(&windows->ids, windows->count * windows->length, sizeof(int32_t),
                          "evaluation windows", err);
    if (status == STATUS_OK)
        status = allocate(&windows->nll, windows->count, sizeof *windows->nll, "evaluation windows", err);
    GOTO_IF_ERROR(team_agree(team, status, err), failed);
    status = team_broadcast(team, windows->ids, windows->count * windows->length * sizeof(int32_t), 0, err);
    if (status == STATUS_OK)
        return STATUS_OK;
failed:
    evaluation_windows_free(windows);
    return status;
}

void evaluation_windows_free(struct evaluation_windows *windows)
{
    free(windows->ids);
    free(windows->nll);
    memset(windows, 0, sizeof *windows);
}
