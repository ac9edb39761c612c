#include "stages/evaluate/perplexity.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "kernels/forward/logits.h"
#include "stages/evaluate/parts.h"
#include "stages/layer/hidden_states.h"
#include "stages/stage.h"
#include "stages/work.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Bytes of hidden states in memory: with more windows at a time a layer's weights are loaded less often.
static const size_t window_memory = (size_t)16 << 20, fewest_windows = 4;

size_t perplexity_windows_in_memory(const struct model *model, size_t windows, size_t length, size_t ranks)
{
    const size_t bytes = length * state_size(&model->config.decoder) * sizeof(float);
    const size_t share = (windows + ranks - 1) / ranks;
    size_t fit = window_memory / bytes;
    if (fit < fewest_windows)
        fit = fewest_windows;
    return fit < share ? fit : share;
}

// One rank's share of the work on a group of windows.
struct evaluator {
    const struct stage *stage;
    const struct evaluation_windows *windows;
    struct forward_buffers buffers;
    size_t in_memory; // windows per rank and group
    float *hidden;    // [in_memory, length, state_size]
    struct lm_head head;
    float *head_workspace;
    double *log_likelihood; // [length - 1]
    struct parts parts;     // of each window: its mean cross-entropy
    size_t *todo;           // [left]: the windows that are not measured yet
    size_t left, skipped;   // skipped: measured by an earlier start, and not yet counted as such
};

static void evaluator_free(struct evaluator *e)
{
    forward_buffers_free(&e->buffers);
    parts_free(&e->parts);
    free(e->hidden);
    free(e->head_workspace);
    free(e->log_likelihood);
    free(e->todo);
}

static enum status allocate_evaluator(struct evaluator *e, struct error *err)
{
    const struct model *model = e->stage->model;
    const size_t length = e->windows->length, state = state_size(&model->config.decoder);

    e->in_memory =
        perplexity_windows_in_memory(model, e->windows->count, length, (size_t)e->stage->team->size);
    FORWARD_IF_ERROR(forward_buffers_create(&e->buffers, model, length, err));
    model_lm_head(&e->head, model);
    FORWARD_IF_ERROR(allocate_aligned(&e->hidden, e->in_memory * length * state, sizeof(float),
                                      "hidden states of the evaluation", err));
    FORWARD_IF_ERROR(allocate_aligned(&e->head_workspace, lm_head_workspace_size(&e->head, length - 1),
                                      sizeof(float), "logits", err));
    FORWARD_IF_ERROR(allocate(&e->log_likelihood, length, sizeof(double), "log-likelihoods", err));
    return allocate(&e->todo, e->windows->count, sizeof *e->todo, "the windows of the evaluation", err);
}

static enum status evaluator_create(struct evaluator *e, const struct stage *stage,
                                    const struct evaluation_windows *windows, const struct variant *variant,
                                    struct error *err)
{
    char folder[PATH_SIZE], hash[17];

    memset(e, 0, sizeof *e);
    e->stage = stage;
    e->windows = windows;
    FORWARD_IF_ERROR(team_agree(stage->team, allocate_evaluator(e, err), err));
    run_parts_path(folder, stage->settings->run, variant_name(variant), "text-", windows->text);
    snprintf(hash, sizeof hash, "%016" PRIx64, windows->corpus_hash);
    FORWARD_IF_ERROR(parts_open(&e->parts, stage, windows->keep_parts ? folder : NULL,
                                json_pack("{s:s, s:I, s:I}", "corpus_xxh3", hash, "windows",
                                          (json_int_t)windows->count, "length", (json_int_t)windows->length),
                                windows->count, 1, err));
    for (size_t window = 0; window < windows->count; window++)
        if (e->parts.done[window] == 0)
            e->todo[e->left++] = window;
    e->skipped = windows->count - e->left;
    return STATUS_OK;
}

// The w-th window of this rank in the group that starts at `group` of todo; false when there is none.
static bool window_of(const struct evaluator *e, size_t group, size_t w, size_t *window)
{
    const size_t at = group + w * (size_t)e->stage->team->size + (size_t)e->stage->team->rank;
    if (at >= e->left)
        return false;
    *window = e->todo[at];
    return true;
}

// The head is large: a rank that is told to stop leaves it between two chunks of the vocabulary.
static enum status score_window(struct evaluator *e, const float *hidden, size_t window, double fraction,
                                struct error *err)
{
    const size_t length = e->windows->length;
    struct lm_pass pass = {.head = &e->head,
                           .hidden = hidden,
                           .targets = e->windows->ids + window * length + 1,
                           .tokens = length - 1,
                           .log_likelihood = e->log_likelihood,
                           .workspace = e->head_workspace};
    double sum = 0;

    while (lm_pass_step(&pass))
        RETURN_ERROR_IF(stage_is_stopped(e->stage, fraction), err, STATUS_STOPPED, "told to stop");
    for (size_t t = 0; t + 1 < length; t++)
        sum += e->log_likelihood[t];
    sum = -sum / (double)(length - 1);
    memcpy(&e->parts.values[window], &sum, sizeof sum);
    return STATUS_OK;
}

// The wave of windows, one for each rank, that begins at `first` of todo is scored.
static enum status finish_wave(struct evaluator *e, size_t first, struct error *err)
{
    const size_t ranks = (size_t)e->stage->team->size, left = e->left > first ? e->left - first : 0;
    const size_t count = left < ranks ? left : ranks;

    FORWARD_IF_ERROR(parts_finish(&e->parts, e->todo + first, count, err));
    parts_keep(&e->parts, false);
    stage_advance(e->stage, lm_head_work(e->stage->model, (double)count * (double)e->windows->length));
    return STATUS_OK;
}

static enum status evaluate_group(struct evaluator *e, struct layer_weights *weights,
                                  const struct variant *variant, size_t group, struct error *err)
{
    const struct model *model = e->stage->model;
    const size_t length = e->windows->length, layers = model->config.num_hidden_layers;
    const size_t floats = length * state_size(&model->config.decoder);
    const size_t span = e->in_memory * (size_t)e->stage->team->size;
    const size_t in_group = e->left - group < span ? e->left - group : span;
    double fraction = (double)group / (double)e->left;
    enum status status = STATUS_OK;
    size_t window;

    for (size_t w = 0; w < e->in_memory && window_of(e, group, w, &window); w++)
        model_embed(model, e->hidden + w * floats, e->windows->ids + window * length, length);
    for (size_t layer = 0; layer < layers; layer++) {
        FORWARD_IF_ERROR(layer_weights_load(weights, e->stage, layer, variant, err));
        layer_weights_expect(weights, e->stage, layer + 1, variant);
        const double work = layer_forward_work(model, &weights->map, length);
        for (size_t w = 0; w < e->in_memory; w++) {
            if (window_of(e, group, w, &window))
                decoder_layer_forward(&model->config.decoder, &weights->layer, &e->buffers.rotary,
                                      e->hidden + w * floats, length, e->buffers.workspace, NULL);
            fraction = ((double)group + (double)in_group * (double)layer / (double)layers) / (double)e->left;
            FORWARD_IF_ERROR(stage_safe_point(e->stage, STATUS_OK, fraction, err));
        }
        stage_advance(e->stage, work * (double)in_group);
        stage_skip(e->stage, work * (double)e->skipped);
    }
    stage_skip(e->stage, lm_head_work(model, (double)e->skipped * (double)length));
    e->skipped = 0;
    for (size_t w = 0; w < e->in_memory; w++) {
        if (window_of(e, group, w, &window))
            status = score_window(e, e->hidden + w * floats, window, fraction, err);
        FORWARD_IF_ERROR(stage_safe_point(e->stage, status, fraction, err));
        FORWARD_IF_ERROR(finish_wave(e, group + w * (size_t)e->stage->team->size, err));
    }
    return STATUS_OK;
}

static enum status summarise(struct perplexity *result, const struct evaluator *e,
                             const struct variant *variant, struct error *err)
{
    const struct evaluation_windows *windows = e->windows;
    double sum = 0;

    for (size_t window = 0; window < windows->count; window++) {
        double nll;
        memcpy(&nll, &e->parts.values[window], sizeof nll);
        sum += nll;
        if (windows->nll != NULL)
            windows->nll[window] = nll;
    }
    *result = (struct perplexity){.mean_nll = sum / (double)windows->count,
                                  .tokens = windows->count * windows->length,
                                  .windows = windows->count,
                                  .length = windows->length};
    result->perplexity = exp(result->mean_nll);
    RETURN_ERROR_IF(!isfinite(result->perplexity), err, STATUS_INPUT,
                    "the perplexity of %s is not finite: its activations overflow",
                    variant != NULL ? variant->name : "the dense model");
    return STATUS_OK;
}

enum status evaluate_perplexity(struct perplexity *result, const struct stage *stage,
                                struct layer_weights *weights, const struct evaluation_windows *windows,
                                const struct variant *variant, struct error *err)
{
    struct evaluator e;
    enum status status = evaluator_create(&e, stage, windows, variant, err);

    GOTO_IF_ERROR(status, done);
    for (size_t group = 0; group < e.left; group += e.in_memory * (size_t)stage->team->size)
        GOTO_IF_ERROR(evaluate_group(&e, weights, variant, group, err), done);
    status = summarise(result, &e, variant, err);
done:
    if (status == STATUS_STOPPED)
        parts_keep(&e.parts, true);
    evaluator_free(&e);
    return status;
}

void perplexity_path(char path[PATH_SIZE], const struct settings *settings, size_t text,
                     const struct variant *variant)
{
    if (text_label(settings, text) != NULL)
        run_text_result_path(path, settings->run, variant_name(variant), settings->texts[text].name);
    else
        run_result_path(path, settings->run, variant_name(variant), RESULT_PERPLEXITY);
}

// Each window's mean cross-entropy, so that two models' can be compared window by window.
static json_t *window_nll_to_json(const double *window_nll, size_t count)
{
    json_t *list = json_array();
    for (size_t window = 0; window < count; window++)
        json_array_append_new(list, json_real(window_nll[window]));
    if (json_array_size(list) == count)
        return list;
    json_decref(list);
    return NULL;
}

enum status perplexity_write(const struct perplexity *result, const double *window_nll, const char *path,
                             const struct settings *settings, size_t text, const struct variant *variant,
                             struct error *err)
{
    json_t *json = json_pack("{s:s, s:f, s:f, s:I, s:I, s:I, s:s, s:o*}", "variant", variant_name(variant),
                             "perplexity", result->perplexity, "mean_nll", result->mean_nll, "tokens",
                             (json_int_t)result->tokens, "windows", (json_int_t)result->windows, "length",
                             (json_int_t)result->length, "corpus", settings->texts[text].data, "window_nll",
                             window_nll != NULL ? window_nll_to_json(window_nll, result->windows) : NULL);
    if (text_label(settings, text) != NULL)
        json_object_set_new(json, "text", json_string(settings->texts[text].name));
    if (settings->texts[text].measured_with != 0)
        json_object_set_new(json, "measured_with",
                            json_sprintf("%016" PRIx64, settings->texts[text].measured_with));
    enum status status = json != NULL ? sealed_json_write_from(path, json, settings_origin(settings), err)
                                      : error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    json_decref(json);
    return status;
}

enum status perplexity_read(struct perplexity *result, const char *path, struct error *err)
{
    json_error_t where;
    json_int_t tokens, windows, length;
    json_t *json = NULL;

    FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
    int bad = json_unpack_ex(json, &where, 0, "{s:F, s:F, s:I, s:I, s:I}", "perplexity", &result->perplexity,
                             "mean_nll", &result->mean_nll, "tokens", &tokens, "windows", &windows, "length",
                             &length);
    json_decref(json);
    RETURN_ERROR_IF(bad != 0, err, STATUS_DAMAGED, "%s: %s", path, where.text);
    result->tokens = (uint64_t)tokens;
    result->windows = (uint64_t)windows;
    result->length = (uint64_t)length;
    return STATUS_OK;
}
