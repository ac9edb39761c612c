#include "stages/layer/sequences.h"

#include "io/text/ending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sequences_path(char path[PATH_SIZE], const struct settings *settings)
{
    run_file_path(path, settings->run, RUN_SEQUENCES);
}

bool sequences_are_given(const struct settings *settings)
{
    return ends_with(settings->corpus, ".h5");
}

uint64_t calibration_bytes(const struct settings *settings)
{
    const uint64_t least = (uint64_t)256 << 20, bytes_of_token = 64;
    const double wanted = (double)settings->sequences * (double)settings->length * (double)bytes_of_token;
    return wanted > (double)least ? wanted < 0x1p62 ? (uint64_t)wanted : (uint64_t)1 << 62 : least;
}

enum status calibration_tokens_load(int32_t **ids, size_t *count, const struct settings *settings,
                                    size_t more, struct error *err)
{
    const size_t fewest = settings->sequences;
    const struct token_request request = {settings->length, fewest, fewest + more};
    return sample_load_tokens(ids, count, settings->corpus, &request, err);
}

enum status calibration_text_load(struct calibration_text *text, const struct settings *settings,
                                  struct error *err)
{
    char path[PATH_SIZE];

    *text = (struct calibration_text){0};
    path_format(path, sizeof path, "%s/tokenizer.json", settings->model);
    FORWARD_IF_ERROR(tokenizer_load(&text->tokenizer, path, err));
    const struct document_field field = {settings->field, "calibration.field"};
    return corpus_load_field(&text->corpus, settings->corpus, &field, calibration_bytes(settings), err);
}

enum status calibration_text_draw(struct sample *sample, const struct calibration_text *text,
                                  const struct settings *settings, size_t sequences, uint64_t seed,
                                  struct error *err)
{
    const struct sample_request request = {sequences, settings->length, seed, settings->pack, 0};
    const enum status status = sample_sequences(sample, text->tokenizer, text->corpus, &request, err);

    if (status == STATUS_INPUT)
        error_prefix(err, "%s", settings->corpus);
    return status;
}

void calibration_text_free(struct calibration_text *text)
{
    corpus_free(text->corpus);
    tokenizer_free(text->tokenizer);
    *text = (struct calibration_text){0};
}

static enum status draw_text(struct sequences_draft *draft, const struct settings *settings,
                             struct error *err)
{
    struct calibration_text text;
    struct sample sample;
    enum status status = calibration_text_load(&text, settings, err);

    if (status == STATUS_OK) {
        draft->corpus_hash = text.corpus->hash;
        status = calibration_text_draw(&sample, &text, settings, settings->sequences, settings->seed, err);
        draft->ids = sample.ids;
        draft->packed = sample.packed;
        draft->longest = sample.longest;
        draft->tokens = sample.tokens;
    }
    calibration_text_free(&text);
    return status;
}

static enum status draw(struct sequences_draft *draft, const struct stage *stage, struct error *err)
{
    const struct settings *settings = stage->settings;
    size_t count;

    if (sequences_are_given(settings))
        FORWARD_IF_ERROR(calibration_tokens_load(&draft->ids, &count, settings, 0, err));
    else
        FORWARD_IF_ERROR(draw_text(draft, settings, err));
    return sample_check(draft->ids, settings->sequences * settings->length, stage->model->config.vocab_size,
                        settings->corpus, err);
}

enum status sequences_draw(struct sequences_draft *draft, const struct stage *stage, bool again,
                           struct error *err)
{
    const bool root = stage->team->rank == 0;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    memset(draft, 0, sizeof *draft);
    sequences_path(path, stage->settings);
    draft->needed = team_any(stage->team, root && (again || !store_exists(path)));
    if (root && draft->needed)
        status = draw(draft, stage, err);
    status = team_agree(stage->team, status, err);
    if (status == STATUS_OK)
        status = team_broadcast(stage->team, &draft->corpus_hash, sizeof draft->corpus_hash, 0, err);
    if (status == STATUS_OK)
        status = team_broadcast(stage->team, &draft->packed, sizeof draft->packed, 0, err);
    if (status != STATUS_OK)
        sequences_draft_free(draft);
    return status;
}

enum status sequences_commit(struct sequences_draft *draft, const struct stage *stage, struct error *err)
{
    const struct settings *settings = stage->settings;
    const struct store_shape shape = {.type = STORE_I32,
                                      .rank = 2,
                                      .dims = {settings->sequences, settings->length},
                                      .unit = "token id",
                                      .meaning = "calibration sequences, [sequences, length]"};
    struct store_writer *writer = NULL;
    char path[PATH_SIZE];
    enum status status;

    if (!draft->needed)
        return STATUS_OK;
    sequences_path(path, settings);
    GOTO_IF_ERROR(store_create(&writer, path, settings_origin(stage->settings), stage->team->comm, err),
                  done);
    GOTO_IF_ERROR(store_declare(writer, TOKENS_DATASET, &shape, err), done);
    GOTO_IF_ERROR(store_attribute_u64(writer, TOKENS_DATASET, "seed", settings->seed, err), done);
    GOTO_IF_ERROR(store_attribute_u64(writer, TOKENS_DATASET, "corpus_xxh3", draft->corpus_hash, err), done);
    if (draft->packed > 0)
        GOTO_IF_ERROR(store_attribute_u64(writer, TOKENS_DATASET, "packed", draft->packed, err), done);
    GOTO_IF_ERROR(
        store_write(writer, TOKENS_DATASET, 0, stage->team->rank == 0 ? shape.dims[0] : 0, draft->ids, err),
        done);
    status = store_commit(writer, err);
    writer = NULL;
done:
    store_abandon(writer);
    return status;
}

void sequences_draft_free(struct sequences_draft *draft)
{
    free(draft->ids);
    memset(draft, 0, sizeof *draft);
}

void sequences_notice(char lines[SEQUENCES_NOTICES][SEQUENCES_NOTICE_SIZE],
                      const struct sequences_draft *draft, const struct settings *settings)
{
    lines[0][0] = lines[1][0] = '\0';
    if (draft->packed > 0 && settings->pack != PACK_TRUE)
        snprintf(lines[0], SEQUENCES_NOTICE_SIZE,
                 "calibration.pack: the longest document has %zu tokens, so %zu documents were joined and "
                 "sequences of %zu cut anywhere",
                 draft->longest, draft->packed, settings->length);
    if (draft->tokens > 0)
        snprintf(lines[1], SEQUENCES_NOTICE_SIZE,
                 "calibration.corpus: has %zu tokens to draw from, fewer than the %zu of %zu sequences of "
                 "%zu: they "
                 "overlap",
                 draft->tokens, settings->sequences * settings->length, settings->sequences,
                 settings->length);
}

enum status sequences_open(struct store_reader **reader, const struct stage *stage, struct error *err)
{
    char path[PATH_SIZE];
    size_t rank;
    uint64_t dims[STORE_MAX_RANK];

    sequences_path(path, stage->settings);
    FORWARD_IF_ERROR(store_open(reader, path, stage->team->comm, err));
    enum status status = store_dims(*reader, TOKENS_DATASET, &rank, dims, err);
    if (status == STATUS_OK &&
        (rank != 2 || dims[0] != stage->settings->sequences || dims[1] != stage->settings->length))
        status = error_set(err, STATUS_DAMAGED, "%s: /tokens does not have the job's shape [%zu, %zu]", path,
                           stage->settings->sequences, stage->settings->length);
    status = team_agree(stage->team, status, err);
    if (status != STATUS_OK) {
        store_close(*reader);
        *reader = NULL;
    }
    return status;
}
