#include "stages/evaluate/tasks.h"
#include "stages/work.h"

#include "io/file/run_paths.h"
#include "kernels/forward/logits.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

// Bytes of hidden states in memory: with more examples at a time a layer's weights are loaded less often. The
// same as for perplexity (perplexity.c) with windows of 2048.
static const size_t example_memory = (size_t)16 << 20, fewest_tokens = 4 * 2048;
// Examples are short: the ranks need not agree after each.
static const size_t safe_point_tokens = 2048;

size_t task_tokens_in_memory(const struct model *model, size_t longest)
{
    size_t fit = example_memory / (state_size(&model->config.decoder) * sizeof(float));
    if (fit < fewest_tokens)
        fit = fewest_tokens;
    return fit > longest ? fit : longest;
}

// ---- the shape of an example ----------------------------------------------------------------------------

struct example_shape {
    size_t index;
    size_t tokens; // that go through the layers: every option's but its last
    size_t depth;  // of the longest option
    size_t scored;
    size_t options;
};

static struct example_shape shape_of(const struct task_tokens *tokens, size_t example)
{
    struct example_shape shape = {.index = example, .tokens = tokens->prefix[example]};
    size_t longest = 0;

    for (size_t o = tokens->first_option[example]; o < tokens->first_option[example + 1]; o++) {
        const size_t own = tokens->branch[o] - 1;
        shape.tokens += own;
        shape.scored += tokens->scored[o];
        shape.options++;
        longest = own > longest ? own : longest;
    }
    shape.depth = tokens->prefix[example] + longest;
    return shape;
}

// The longest first, so that the ranks' examples of a wave are of about the same length.
static int by_length(const void *a, const void *b)
{
    const struct example_shape *x = a, *y = b;
    if (x->tokens != y->tokens)
        return x->tokens < y->tokens ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

// ---- one rank's share -----------------------------------------------------------------------------------

struct task_scorer {
    const struct stage *stage;
    const struct task_tokens *tokens;
    struct example_shape *order;         // [left], the longest first; then [skipped]
    struct example_shape most;           // the largest of each member
    struct rotary_table rotary, shorter; // shorter: see rotary_of
    size_t capacity;                     // tokens of hidden states
    float *hidden;                       // [capacity, state_size]
    float *workspace;
    size_t *branches; // [most.options]
    struct lm_head head;
    float *rows; // [most.scored, state_size]
    int32_t *targets, *greedy;
    double *log_likelihood;
    float *head_workspace;
    struct parts *parts; // of each option: bits of its sum, and whether it is greedy
    // Examples that are not scored yet; that an earlier start scored, and that are not yet counted as such.
    size_t left, skipped;
};

static void scorer_free(struct task_scorer *s)
{
    free(s->order);
    rotary_table_free(&s->rotary);
    rotary_table_free(&s->shorter);
    free(s->hidden);
    free(s->workspace);
    free(s->branches);
    free(s->rows);
    free(s->targets);
    free(s->greedy);
    free(s->log_likelihood);
    free(s->head_workspace);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static enum status order_examples(struct task_scorer *s, struct error *err)
{
    const size_t examples = s->tokens->num_examples;

    FORWARD_IF_ERROR(allocate(&s->order, examples, sizeof *s->order, "a task's examples", err));
    for (size_t e = 0; e < examples; e++) {
        const struct example_shape shape = shape_of(s->tokens, e);
        if (s->parts->done[s->tokens->first_option[e]] != 0)
            s->order[examples - ++s->skipped] = shape;
        else
            s->order[s->left++] = shape;
        s->most.tokens = larger(s->most.tokens, shape.tokens);
        s->most.depth = larger(s->most.depth, shape.depth);
        s->most.scored = larger(s->most.scored, shape.scored);
        s->most.options = larger(s->most.options, shape.options);
    }
    qsort(s->order, s->left, sizeof *s->order, by_length);
    return STATUS_OK;
}

// longrope turns by other angles in sequences beyond the original context. All other angles are those of the
// longest sequence; none is longer than the model's positions, so that the dynamic ones do not grow.
static size_t short_context(const struct model *model, size_t depth)
{
    const struct rope_config *rope = &model->config.rope;
    const bool two = rope->type == ROPE_LONGROPE && (double)depth > rope->original_max_position_embeddings;
    return two ? (size_t)rope->original_max_position_embeddings : 0;
}

static const struct rotary_table *rotary_of(const struct task_scorer *s, size_t depth)
{
    return depth <= s->shorter.tokens ? &s->shorter : &s->rotary;
}

static enum status scorer_create(struct task_scorer *s, struct parts *parts, const struct stage *stage,
                                 const struct task_tokens *tokens, struct error *err)
{
    const struct model *model = stage->model;
    const size_t state = state_size(&model->config.decoder);

    memset(s, 0, sizeof *s);
    s->parts = parts;
    s->stage = stage;
    s->tokens = tokens;
    FORWARD_IF_ERROR(order_examples(s, err));
    FORWARD_IF_ERROR(model_rotary_table(&s->rotary, model, s->most.depth, err));
    if (short_context(model, s->most.depth) != 0)
        FORWARD_IF_ERROR(model_rotary_table(&s->shorter, model, short_context(model, s->most.depth), err));
    s->capacity = task_tokens_in_memory(model, s->most.tokens);
    FORWARD_IF_ERROR(
        allocate_aligned(&s->hidden, s->capacity * state, sizeof(float), "hidden states of a task", err));
    FORWARD_IF_ERROR(allocate_aligned(&s->workspace,
                                      decoder_workspace_size(&model->config.decoder, s->most.tokens),
                                      sizeof(float), "the forward pass of an example", err));
    FORWARD_IF_ERROR(
        allocate(&s->branches, s->most.options, sizeof *s->branches, "the options of an example", err));
    model_lm_head(&s->head, model);
    FORWARD_IF_ERROR(allocate_aligned(&s->rows, s->most.scored * state, sizeof(float),
                                      "hidden states before the scored tokens", err));
    FORWARD_IF_ERROR(allocate(&s->targets, s->most.scored, sizeof *s->targets, "scored tokens", err));
    FORWARD_IF_ERROR(allocate(&s->greedy, s->most.scored, sizeof *s->greedy, "scored tokens", err));
    FORWARD_IF_ERROR(
        allocate(&s->log_likelihood, s->most.scored, sizeof *s->log_likelihood, "log-likelihoods", err));
    return allocate_aligned(&s->head_workspace, lm_head_workspace_size(&s->head, s->most.scored),
                            sizeof(float), "logits", err);
}

static void embed(const struct task_scorer *s, const struct example_shape *shape, float *hidden)
{
    const struct task_tokens *tokens = s->tokens;
    const struct model *model = s->stage->model;
    const size_t state = state_size(&model->config.decoder), prefix = tokens->prefix[shape->index];
    const int32_t *ids = tokens->ids + tokens->first_id[shape->index];

    model_embed(model, hidden, ids, prefix);
    ids += prefix;
    hidden += prefix * state;
    for (size_t o = tokens->first_option[shape->index]; o < tokens->first_option[shape->index + 1]; o++) {
        const size_t own = tokens->branch[o] - 1;
        model_embed_at(model, hidden, ids, own, prefix);
        ids += own + 1;
        hidden += own * state;
    }
}

static void forward(struct task_scorer *s, const struct layer_weights *weights,
                    const struct example_shape *shape, float *hidden)
{
    const struct task_tokens *tokens = s->tokens;
    const size_t first = tokens->first_option[shape->index];

    for (size_t b = 0; b < shape->options; b++)
        s->branches[b] = tokens->branch[first + b] - 1;
    const struct token_tree tree = {tokens->prefix[shape->index], shape->options, s->branches};
    decoder_layer_forward_tree(&s->stage->model->config.decoder, &weights->layer, rotary_of(s, shape->depth),
                               hidden, &tree, s->workspace);
}

// rows and targets <- for each scored token of each option, the hidden state that it follows and its id.
static void gather_rows(struct task_scorer *s, const struct example_shape *shape, const float *hidden)
{
    const struct task_tokens *tokens = s->tokens;
    const size_t state = state_size(&s->stage->model->config.decoder);
    const size_t prefix = tokens->prefix[shape->index];
    const int32_t *shared = tokens->ids + tokens->first_id[shape->index], *own = shared + prefix;
    size_t row = 0, branch_row = prefix;

    for (size_t o = tokens->first_option[shape->index]; o < tokens->first_option[shape->index + 1]; o++) {
        const size_t end = prefix + tokens->branch[o];
        for (size_t t = end - tokens->scored[o]; t < end; t++, row++) {
            const size_t before = t - 1 < prefix ? t - 1 : branch_row + (t - 1 - prefix);
            s->targets[row] = t < prefix ? shared[t] : own[t - prefix];
            memcpy(s->rows + row * state, hidden + before * state, state * sizeof *hidden);
        }
        own += tokens->branch[o];
        branch_row += tokens->branch[o] - 1;
    }
}

static enum status score_example(struct task_scorer *s, const struct example_shape *shape,
                                 const float *hidden, double fraction, struct error *err)
{
    const struct task_tokens *tokens = s->tokens;
    struct lm_pass pass = {.head = &s->head,
                           .hidden = s->rows,
                           .targets = s->targets,
                           .tokens = shape->scored,
                           .log_likelihood = s->log_likelihood,
                           .greedy = s->greedy,
                           .workspace = s->head_workspace};
    size_t row = 0;

    gather_rows(s, shape, hidden);
    while (lm_pass_step(&pass))
        RETURN_ERROR_IF(stage_is_stopped(s->stage, fraction), err, STATUS_STOPPED, "told to stop");
    for (size_t o = tokens->first_option[shape->index]; o < tokens->first_option[shape->index + 1]; o++) {
        double sum = 0;
        bool greedy = true;
        for (size_t t = 0; t < tokens->scored[o]; t++, row++) {
            sum += s->log_likelihood[row];
            greedy = greedy && s->greedy[row] == s->targets[row];
        }
        memcpy(&s->parts->values[2 * o], &sum, sizeof sum);
        s->parts->values[2 * o + 1] = greedy;
    }
    return STATUS_OK;
}

// ---- groups of examples ---------------------------------------------------------------------------------

// Waves of one example per rank, whose hidden states are in memory together. The ranks' bounds are those of
// the longest example of each wave, so that all agree on them.
struct example_group {
    size_t begin, end; // in the order
    size_t waves;
};

static struct example_group next_group(const struct task_scorer *s, size_t begin)
{
    const size_t ranks = (size_t)s->stage->team->size, examples = s->left;
    struct example_group group = {.begin = begin, .end = begin};
    size_t tokens = 0;

    while (group.end < examples && tokens + s->order[group.end].tokens <= s->capacity) {
        tokens += s->order[group.end].tokens;
        group.end = examples - group.end < ranks ? examples : group.end + ranks;
        group.waves++;
    }
    return group;
}

// This rank's example of a wave; NULL when it has none.
static const struct example_shape *example_of(const struct task_scorer *s, const struct example_group *group,
                                              size_t wave)
{
    const size_t at = group->begin + wave * (size_t)s->stage->team->size + (size_t)s->stage->team->rank;
    return at < group->end ? &s->order[at] : NULL;
}

static double examples_work(const struct stage *stage, const struct example_shape *examples, size_t count,
                            const struct layer_map *map)
{
    double work = 0;
    for (size_t i = 0; i < count; i++)
        work += layer_forward_work(stage->model, map, examples[i].tokens);
    return work;
}

// The head's share of what an earlier start scored counts as done.
static void skip_scored(struct task_scorer *s)
{
    double scored = 0;
    for (size_t i = 0; i < s->skipped; i++)
        scored += (double)s->order[s->left + i].scored;
    stage_skip(s->stage, lm_head_work(s->stage->model, scored));
    s->skipped = 0;
}

// All waves through one layer.
static enum status forward_group(struct task_scorer *s, const struct layer_weights *weights,
                                 const struct example_group *group, double fraction, struct error *err)
{
    const size_t state = state_size(&s->stage->model->config.decoder);
    const size_t ranks = (size_t)s->stage->team->size;
    const struct example_shape *shape;
    float *hidden = s->hidden;
    size_t tokens = 0; // of one rank since the last safe point

    for (size_t w = 0; w < group->waves; w++) {
        if ((shape = example_of(s, group, w)) != NULL) {
            forward(s, weights, shape, hidden);
            hidden += shape->tokens * state;
        }
        tokens += s->order[group->begin + w * ranks].tokens;
        if (tokens < safe_point_tokens && w + 1 < group->waves)
            continue;
        FORWARD_IF_ERROR(stage_safe_point(s->stage, STATUS_OK, fraction, err));
        tokens = 0;
    }
    return STATUS_OK;
}

// The group's log-likelihoods are known to all ranks, and kept.
static enum status finish_group(struct task_scorer *s, const struct example_group *group, struct error *err)
{
    const struct task_tokens *tokens = s->tokens;
    size_t *options = NULL, count = 0;
    double scored = 0;
    enum status status = allocate(&options, tokens->num_options, sizeof *options, "a task's options", err);

    GOTO_IF_ERROR(team_agree(s->stage->team, status, err), done);
    for (size_t i = group->begin; i < group->end; i++) {
        const size_t example = s->order[i].index;
        for (size_t o = tokens->first_option[example]; o < tokens->first_option[example + 1]; o++)
            options[count++] = o;
        scored += (double)s->order[i].scored;
    }
    GOTO_IF_ERROR(parts_finish(s->parts, options, count, err), done);
    parts_keep(s->parts, false);
    stage_advance(s->stage, lm_head_work(s->stage->model, scored));
done:
    free(options);
    return status;
}

static enum status score_group(struct task_scorer *s, struct layer_weights *weights,
                               const struct variant *variant, const struct example_group *group,
                               struct error *err)
{
    const struct model *model = s->stage->model;
    const size_t state = state_size(&model->config.decoder), layers = model->config.num_hidden_layers;
    const double all = (double)s->left, in_group = (double)(group->end - group->begin);
    const struct example_shape *shape;
    float *hidden = s->hidden;
    double fraction = (double)group->begin / all;
    enum status status = STATUS_OK;

    for (size_t w = 0; w < group->waves && (shape = example_of(s, group, w)) != NULL; w++) {
        embed(s, shape, hidden);
        hidden += shape->tokens * state;
    }
    for (size_t layer = 0; layer < layers; layer++) {
        fraction = ((double)group->begin + in_group * (double)layer / (double)layers) / all;
        FORWARD_IF_ERROR(layer_weights_load(weights, s->stage, layer, variant, err));
        layer_weights_expect(weights, s->stage, layer + 1, variant);
        FORWARD_IF_ERROR(forward_group(s, weights, group, fraction, err));
        stage_advance(s->stage, examples_work(s->stage, s->order + group->begin, group->end - group->begin,
                                              &weights->map));
        stage_skip(s->stage, examples_work(s->stage, s->order + s->left, s->skipped, &weights->map));
    }
    skip_scored(s);
    hidden = s->hidden;
    for (size_t w = 0; w < group->waves && (shape = example_of(s, group, w)) != NULL && status == STATUS_OK;
         w++) {
        status = score_example(s, shape, hidden, fraction, err);
        hidden += shape->tokens * state;
    }
    FORWARD_IF_ERROR(stage_safe_point(s->stage, status, fraction, err));
    return finish_group(s, group, err);
}

enum status task_log_likelihoods(struct parts *parts, const struct stage *stage,
                                 struct layer_weights *weights, const struct task_tokens *tokens,
                                 const struct variant *variant, struct error *err)
{
    struct task_scorer s;
    enum status status = scorer_create(&s, parts, stage, tokens, err);

    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    for (struct example_group group = next_group(&s, 0); group.waves > 0; group = next_group(&s, group.end))
        GOTO_IF_ERROR(score_group(&s, weights, variant, &group, err), done);
done:
    if (status == STATUS_STOPPED)
        parts_keep(parts, true);
    scorer_free(&s);
    return status;
}

// Opens the parts of task `index`: two values for each option.
static enum status open_task_parts(struct parts *parts, const struct stage *stage, const struct task_set *set,
                                   size_t index, const struct variant *variant, struct error *err)
{
    const struct task_tokens *tokens = &set->tokens[index];
    char folder[PATH_SIZE], data[17], ids[17];

    run_parts_path(folder, stage->settings->run, variant_name(variant), "task-",
                   stage->settings->tasks[index].name);
    snprintf(data, sizeof data, "%016" PRIx64, set->hashes[index]);
    snprintf(ids, sizeof ids, "%016llx",
             (unsigned long long)XXH3_64bits(tokens->ids, tokens->num_ids * sizeof *tokens->ids));
    return parts_open(parts, stage, folder,
                      json_pack("{s:s, s:s, s:I}", "data_xxh3", data, "ids_xxh3", ids, "options",
                                (json_int_t)tokens->num_options),
                      tokens->num_options, 2, err);
}

static enum status score_task(struct task_result *result, const struct stage *stage,
                              const struct parts *parts, const struct task_set *set, size_t index,
                              const struct variant *variant, struct error *err)
{
    const struct task_tokens *tokens = &set->tokens[index];
    double *log_likelihood = NULL;
    uint8_t *greedy = NULL;
    enum status status =
        allocate(&log_likelihood, tokens->num_options, sizeof *log_likelihood, "log-likelihoods", err);

    if (status == STATUS_OK)
        status = allocate(&greedy, tokens->num_options, 1, "log-likelihoods", err);
    for (size_t o = 0; o < tokens->num_options && status == STATUS_OK; o++) {
        memcpy(&log_likelihood[o], &parts->values[2 * o], sizeof *log_likelihood);
        greedy[o] = parts->values[2 * o + 1] != 0;
        if (!isfinite(log_likelihood[o]))
            status = error_set(
                err, STATUS_INPUT, "a log-likelihood of %s in %s is not finite: its activations overflow",
                variant != NULL ? variant->name : "the dense model", stage->settings->tasks[index].name);
    }
    if (status == STATUS_OK) {
        task_score(result, tokens, set->formats[index], log_likelihood, greedy);
        result->hash = set->hashes[index];
        result->special_tokens = set->special_tokens[index] != 0;
    }
    free(log_likelihood);
    free(greedy);
    return team_agree(stage->team, status, err);
}

enum status evaluate_task(struct task_result *result, const struct stage *stage,
                          struct layer_weights *weights, const struct task_set *set, size_t index,
                          const struct variant *variant, struct error *err)
{
    struct parts parts;
    enum status status = open_task_parts(&parts, stage, set, index, variant, err);

    GOTO_IF_ERROR(status, done);
    GOTO_IF_ERROR(task_log_likelihoods(&parts, stage, weights, &set->tokens[index], variant, err), done);
    status = score_task(result, stage, &parts, set, index, variant, err);
done:
    parts_free(&parts);
    return status;
}
