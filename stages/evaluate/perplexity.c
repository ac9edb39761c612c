#include "stages/evaluate/perplexity.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "kernels/forward/logits.h"
#include "stages/layer/hidden_states.h"
#include "stages/stage.h"
#include "stages/work.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Bytes of hidden states in memory: with more windows at a time a layer's weights are loaded less often.
static const size_t window_memory = (size_t)16 << 20, fewest_windows = 4;

size_t perplexity_windows_in_memory(const struct model *model, size_t windows, size_t length, size_t ranks)
{
    const size_t bytes = length * model->config.decoder.hidden_size * sizeof(float);
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
    float *hidden;    // [in_memory, length, hidden_size]
    struct lm_head head;
    float *head_workspace;
    double *log_likelihood; // [length - 1]
    double *nll;            // [windows] mean cross-entropy; 0 where another rank computes it
};

static void evaluator_free(struct evaluator *e)
{
    forward_buffers_free(&e->buffers);
    free(e->hidden);
    free(e->head_workspace);
    free(e->log_likelihood);
    free(e->nll);
}

static enum status evaluator_create(struct evaluator *e, const struct stage *stage,
                                    const struct evaluation_windows *windows, struct error *err)
{
    const size_t length = windows->length, hidden_size = stage->model->config.decoder.hidden_size;
    memset(e, 0, sizeof *e);
    e->stage = stage;
    e->windows = windows;
    e->in_memory =
        perplexity_windows_in_memory(stage->model, windows->count, length, (size_t)stage->team->size);
    FORWARD_IF_ERROR(forward_buffers_create(&e->buffers, stage->model, length, err));
    model_lm_head(&e->head, stage->model);
    FORWARD_IF_ERROR(allocate_aligned(&e->hidden, e->in_memory * length * hidden_size, sizeof(float),
                                      "hidden states of the evaluation", err));
    FORWARD_IF_ERROR(allocate_aligned(&e->head_workspace, lm_head_workspace_size(&e->head, length - 1),
                                      sizeof(float), "logits", err));
    FORWARD_IF_ERROR(allocate(&e->log_likelihood, length, sizeof(double), "log-likelihoods", err));
    return allocate(&e->nll, windows->count, sizeof(double), "cross-entropies", err);
}

// The w-th window of this rank in the group that starts at `group`; false when there is none.
static bool window_of(const struct evaluator *e, size_t group, size_t w, size_t *window)
{
    *window = group + w * (size_t)e->stage->team->size + (size_t)e->stage->team->rank;
    return *window < e->windows->count;
}

static enum status evaluate_group(struct evaluator *e, struct layer_weights *weights,
                                  const struct variant *variant, size_t group, struct error *err)
{
    const struct model *model = e->stage->model;
    const size_t length = e->windows->length, layers = model->config.num_hidden_layers;
    const size_t floats = length * model->config.decoder.hidden_size;
    const size_t span = e->in_memory * (size_t)e->stage->team->size;
    const size_t in_group = e->windows->count - group < span ? e->windows->count - group : span;
    size_t window;

    for (size_t w = 0; w < e->in_memory && window_of(e, group, w, &window); w++)
        model_embed(model, e->hidden + w * floats, e->windows->ids + window * length, length);
    for (size_t layer = 0; layer < layers; layer++) {
        FORWARD_IF_ERROR(layer_weights_load(weights, e->stage, layer, variant, err));
        const double work = layer_forward_work(model, &weights->map, length);
        for (size_t w = 0; w < e->in_memory; w++) {
            if (window_of(e, group, w, &window))
                decoder_layer_forward(&model->config.decoder, &weights->layer, &e->buffers.rotary,
                                      e->hidden + w * floats, length, e->buffers.workspace, NULL);
            double fraction = ((double)group + (double)in_group * (double)layer / (double)layers) /
                              (double)e->windows->count;
            FORWARD_IF_ERROR(stage_safe_point(e->stage, STATUS_OK, fraction, err));
        }
        stage_advance(e->stage, work * (double)in_group);
    }
    for (size_t w = 0; w < e->in_memory && window_of(e, group, w, &window); w++) {
        const int32_t *ids = e->windows->ids + window * length;
        double sum = 0;
        lm_head_log_likelihood(e->log_likelihood, NULL, &e->head, e->hidden + w * floats, ids + 1, length - 1,
                               e->head_workspace);
        for (size_t t = 0; t + 1 < length; t++)
            sum += e->log_likelihood[t];
        e->nll[window] = -sum / (double)(length - 1);
    }
    stage_advance(e->stage, lm_head_work(model, (double)in_group * (double)length));
    return STATUS_OK;
}

// Each window's value is on one rank and 0.0 (all bits zero) on the others: adding the bit patterns moves it
// exactly.
static enum status gather_nll(struct evaluator *e, struct error *err)
{
    uint64_t *bits = NULL;
    enum status status = allocate(&bits, e->windows->count, sizeof *bits, "cross-entropies", err);
    GOTO_IF_ERROR(team_agree(e->stage->team, status, err), done);
    memcpy(bits, e->nll, e->windows->count * sizeof *bits);
    GOTO_IF_ERROR(team_sum_u64(e->stage->team, bits, e->windows->count, err), done);
    memcpy(e->nll, bits, e->windows->count * sizeof *bits);
done:
    free(bits);
    return status;
}

enum status evaluate_perplexity(struct perplexity *result, const struct stage *stage,
                                struct layer_weights *weights, const struct evaluation_windows *windows,
                                const struct variant *variant, struct error *err)
{
    struct evaluator e;
    double sum = 0;
    enum status status = evaluator_create(&e, stage, windows, err);

    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    for (size_t group = 0; group < windows->count; group += e.in_memory * (size_t)stage->team->size)
        GOTO_IF_ERROR(evaluate_group(&e, weights, variant, group, err), done);
    GOTO_IF_ERROR(gather_nll(&e, err), done);
    for (size_t window = 0; window < windows->count; window++)
        sum += e.nll[window];
    result->mean_nll = sum / (double)windows->count;
    result->perplexity = exp(result->mean_nll);
    if (!isfinite(result->perplexity)) {
        status = error_set(err, STATUS_INPUT, "the perplexity of %s is not finite: its activations overflow",
                           variant != NULL ? variant->name : "the dense model");
        goto done;
    }
    result->windows = windows->count;
    result->length = windows->length;
    result->tokens = windows->count * windows->length;
done:
    evaluator_free(&e);
    return status;
}

void perplexity_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant)
{
    run_result_path(path, settings->run, variant_name(variant), RESULT_PERPLEXITY);
}

enum status perplexity_write(const struct perplexity *result, const char *path,
                             const struct settings *settings, const struct variant *variant,
                             struct error *err)
{
    json_t *json = json_pack("{s:s, s:f, s:f, s:I, s:I, s:I, s:s}", "variant", variant_name(variant),
                             "perplexity", result->perplexity, "mean_nll", result->mean_nll, "tokens",
                             (json_int_t)result->tokens, "windows", (json_int_t)result->windows, "length",
                             (json_int_t)result->length, "corpus", settings->perplexity);
    enum status status = json != NULL ? sealed_json_write(path, json, err)
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
