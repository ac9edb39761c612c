#include "stages/budget/held_out.h"

#include "io/store/store.h"
#include "stages/layer/sequences.h"

#include <stdlib.h>
#include <string.h>

// A run of so many tokens in common is no chance; most candidates of a small corpus may be left out.
enum { COMMON_RUN = 32, CANDIDATES = 4 * BUDGET_SEQUENCES };

// Of the candidates' draw, beside the job's seed.
static const uint64_t other_seed = 0x9e3779b97f4a7c15u;

static void held_out_path(char path[PATH_SIZE], const struct settings *settings)
{
    run_file_path(path, settings->run, RUN_HELD_OUT);
}

// ---- what has not been seen -----------------------------------------------------------------------------

// FNV-1a (Fowler, Noll, Vo), 64 bits. Two runs with one hash cost a candidate, no more.
static uint64_t hash_run(const int32_t *ids, size_t run)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < run; i++)
        hash = (hash ^ (uint32_t)ids[i]) * 0x100000001b3u;
    return hash;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

enum status held_out_keep(uint8_t *kept, const int32_t *candidates, size_t count, const int32_t *seen,
                          size_t num_seen, size_t length, struct error *err)
{
    const size_t half = (length + 1) / 2, run = half < COMMON_RUN ? half : COMMON_RUN;
    const size_t starts = length - run + 1;
    uint64_t *hashes;

    FORWARD_IF_ERROR(allocate(&hashes, num_seen * starts, sizeof *hashes, "held-out text", err));
    for (size_t s = 0; s < num_seen; s++)
        for (size_t t = 0; t < starts; t++)
            hashes[s * starts + t] = hash_run(seen + s * length + t, run);
    qsort(hashes, num_seen * starts, sizeof *hashes, by_value);
    for (size_t c = 0; c < count; c++) {
        kept[c] = 1;
        for (size_t t = 0; t < starts && kept[c]; t++) {
            const uint64_t hash = hash_run(candidates + c * length + t, run);
            kept[c] = bsearch(&hash, hashes, num_seen * starts, sizeof *hashes, by_value) == NULL;
        }
    }
    free(hashes);
    return STATUS_OK;
}

// ---- drawing --------------------------------------------------------------------------------------------

// The calibration's sequences, as they were drawn for it, and candidates.
struct texts {
    int32_t *seen, *candidates;
    size_t count; // of the candidates
};

static enum status sample_texts(struct texts *texts, const struct settings *settings, struct error *err)
{
    struct calibration_text text;
    struct sample sample = {0};
    enum status status = calibration_text_load(&text, settings, err);

    if (status == STATUS_OK)
        status = calibration_text_draw(&sample, &text, settings, settings->sequences, settings->seed, err);
    texts->seen = sample.ids;
    sample.ids = NULL;
    if (status == STATUS_OK)
        status =
            calibration_text_draw(&sample, &text, settings, CANDIDATES, settings->seed ^ other_seed, err);
    texts->candidates = sample.ids;
    texts->count = CANDIDATES;
    calibration_text_free(&text);
    return status;
}

// The rows of a file of token ids that follow those of the calibration, as many as are drawn of a text.
static enum status load_texts(struct texts *texts, const struct settings *settings, struct error *err)
{
    const size_t length = settings->length;
    size_t sequences;

    FORWARD_IF_ERROR(calibration_tokens_load(&texts->seen, &sequences, settings, CANDIDATES, err));
    texts->count = sequences - settings->sequences;
    FORWARD_IF_ERROR(
        allocate(&texts->candidates, texts->count * length, sizeof(int32_t), "held-out text", err));
    memcpy(texts->candidates, texts->seen + settings->sequences * length,
           texts->count * length * sizeof(int32_t));
    return STATUS_OK;
}

static enum status choose(struct held_out_draft *draft, const struct texts *texts,
                          const struct settings *settings, struct error *err)
{
    const size_t length = settings->length;
    uint8_t *kept = NULL;
    enum status status = allocate(&kept, texts->count, 1, "held-out text", err);

    if (status == STATUS_OK)
        status = allocate(&draft->ids, BUDGET_SEQUENCES * length, sizeof *draft->ids, "held-out text", err);
    if (status == STATUS_OK)
        status = held_out_keep(kept, texts->candidates, texts->count, texts->seen, settings->sequences,
                               length, err);
    for (size_t c = 0; c < texts->count && status == STATUS_OK && draft->count < BUDGET_SEQUENCES; c++)
        if (kept[c])
            memcpy(draft->ids + draft->count++ * length, texts->candidates + c * length,
                   length * sizeof *draft->ids);
    free(kept);
    FORWARD_IF_ERROR(status);
    RETURN_ERROR_IF(draft->count == 0, err, STATUS_INPUT,
                    "%s: prune.budget: has no sequence of %zu tokens left beside the %zu of the calibration, "
                    "to judge the pruned model by: give a larger corpus or fewer sequences",
                    settings->corpus, length, settings->sequences);
    return STATUS_OK;
}

static enum status draw(struct held_out_draft *draft, const struct stage *stage, struct error *err)
{
    const struct settings *settings = stage->settings;
    struct texts texts = {0};
    enum status status = sequences_are_given(settings) ? load_texts(&texts, settings, err)
                                                       : sample_texts(&texts, settings, err);

    if (status == STATUS_OK)
        status = choose(draft, &texts, settings, err);
    if (status == STATUS_OK)
        status = sample_check(draft->ids, draft->count * settings->length, stage->model->config.vocab_size,
                              settings->corpus, err);
    free(texts.seen);
    free(texts.candidates);
    return status;
}

enum status held_out_draw(struct held_out_draft *draft, const struct stage *stage, bool again,
                          struct error *err)
{
    const bool root = stage->team->rank == 0;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    *draft = (struct held_out_draft){0};
    if (!settings_search(stage->settings))
        return STATUS_OK;
    held_out_path(path, stage->settings);
    draft->needed = team_any(stage->team, root && (again || !store_exists(path)));
    if (root && draft->needed)
        status = draw(draft, stage, err);
    status = team_agree(stage->team, status, err);
    if (status == STATUS_OK)
        status = team_broadcast(stage->team, &draft->count, sizeof draft->count, 0, err);
    if (status != STATUS_OK)
        held_out_draft_free(draft);
    return status;
}

enum status held_out_commit(struct held_out_draft *draft, const struct stage *stage, struct error *err)
{
    const struct store_shape shape = {.type = STORE_I32,
                                      .rank = 2,
                                      .dims = {draft->count, stage->settings->length},
                                      .unit = "token id",
                                      .meaning = "held-out sequences, [sequences, length]"};
    struct store_writer *writer = NULL;
    char path[PATH_SIZE];
    enum status status;

    if (!draft->needed)
        return STATUS_OK;
    held_out_path(path, stage->settings);
    GOTO_IF_ERROR(store_create(&writer, path, settings_origin(stage->settings), stage->team->comm, err),
                  done);
    GOTO_IF_ERROR(store_declare(writer, TOKENS_DATASET, &shape, err), done);
    GOTO_IF_ERROR(store_attribute_u64(writer, TOKENS_DATASET, "seed", stage->settings->seed, err), done);
    GOTO_IF_ERROR(
        store_write(writer, TOKENS_DATASET, 0, stage->team->rank == 0 ? draft->count : 0, draft->ids, err),
        done);
    status = store_commit(writer, err);
    writer = NULL;
done:
    store_abandon(writer);
    return status;
}

void held_out_draft_free(struct held_out_draft *draft)
{
    free(draft->ids);
    *draft = (struct held_out_draft){0};
}

// ---- reading --------------------------------------------------------------------------------------------

enum status held_out_read(struct evaluation_windows *windows, const struct stage *stage, struct error *err)
{
    const size_t length = stage->settings->length;
    struct store_reader *reader = NULL;
    uint64_t dims[STORE_MAX_RANK];
    char path[PATH_SIZE];
    size_t rank;

    *windows = (struct evaluation_windows){.length = length};
    held_out_path(path, stage->settings);
    FORWARD_IF_ERROR(store_open(&reader, path, stage->team->comm, err));
    enum status status = store_dims(reader, TOKENS_DATASET, &rank, dims, err);
    if (status == STATUS_OK && (rank != 2 || dims[0] < 1 || dims[1] != length))
        status =
            error_set(err, STATUS_DAMAGED, "%s: /tokens does not hold sequences of %zu tokens", path, length);
    if (status == STATUS_OK) {
        windows->count = dims[0];
        status = allocate(&windows->ids, windows->count * length, sizeof *windows->ids, "held-out text", err);
    }
    if (status == STATUS_OK)
        status = store_read(reader, TOKENS_DATASET, STORE_I32, 0, windows->count, windows->ids, err);
    store_close(reader);
    status = team_agree(stage->team, status, err);
    if (status != STATUS_OK)
        evaluation_windows_free(windows);
    return status;
}
