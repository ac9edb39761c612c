#include "stages/layer/few_tokens.h"

#include "io/file/run_paths.h"
#include "stages/layer/linear_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED = 8 }; // experts in a notice

enum few_tokens few_tokens_of(const struct layer_tensor *tensor, uint64_t tokens, bool hessian)
{
    if (!tensor->expert)
        return TOKENS_SUFFICE;
    if (tokens < FEWEST_EXPERT_TOKENS)
        return TOKENS_FOR_NOTHING;
    return hessian && tokens / 2 < tensor->in ? TOKENS_FOR_DIAGONAL : TOKENS_SUFFICE;
}

// Length of "mlp.experts.3" in "mlp.experts.3.up_proj".
static size_t expert_length(const struct layer_tensor *tensor)
{
    const char *dot = strrchr(tensor->linear, '.');
    return dot != NULL ? (size_t)(dot - tensor->linear) : strlen(tensor->linear);
}

static bool same_expert(const struct layer_tensor *a, const struct layer_tensor *b)
{
    const size_t length = expert_length(a);
    return length == expert_length(b) && strncmp(a->linear, b->linear, length) == 0;
}

// Gives notice of the experts whose worst linear is at `kind`.
static void notice_kind(const struct stage *stage, const struct layer_map *map, const uint64_t *tokens,
                        bool hessian, enum few_tokens kind, const char *consequence)
{
    const struct layer_tensor *last = NULL; // a linear of the previous expert
    enum few_tokens worst = TOKENS_SUFFICE;
    size_t few = 0, experts = 0, used = 0;
    char names[1024] = "";

    for (size_t i = 0; i <= map->num_tensors; i++) {
        const struct layer_tensor *tensor = i < map->num_tensors ? &map->tensors[i] : NULL;
        if (tensor != NULL && (!tensor->expert || !tensor_is_pruned(stage->settings, map->layer, tensor)))
            continue;
        if (last != NULL && (tensor == NULL || !same_expert(tensor, last))) { // that was its last linear
            experts++;
            if (worst == kind && ++few <= NAMED) {
                const int n = snprintf(names + used, sizeof names - used, "%s%.*s: %llu", few > 1 ? ", " : "",
                                       (int)expert_length(last), last->linear,
                                       (unsigned long long)tokens[last->source]);
                used += n > 0 && (size_t)n < sizeof names - used ? (size_t)n : 0;
            }
            worst = TOKENS_SUFFICE;
        }
        last = tensor;
        if (tensor != NULL && few_tokens_of(tensor, tokens[tensor->source], hessian) > worst)
            worst = few_tokens_of(tensor, tokens[tensor->source], hessian);
    }
    if (few > 0)
        stage_notice(stage, "layers.%zu: %zu of %zu experts %s (calibration tokens: %s%s)", map->layer, few,
                     experts, consequence, names, few > NAMED ? ", ..." : "");
}

void few_tokens_notice(const struct stage *stage, const struct layer_map *map, const uint64_t *tokens,
                       bool hessian)
{
    char consequence[128];
    snprintf(consequence, sizeof consequence,
             "saw fewer than %d tokens and are pruned by their weights alone", (int)FEWEST_EXPERT_TOKENS);
    notice_kind(stage, map, tokens, hessian, TOKENS_FOR_NOTHING, consequence);
    notice_kind(stage, map, tokens, hessian, TOKENS_FOR_DIAGONAL,
                "saw fewer tokens than twice their width: sparsegpt takes their inputs as independent");
}

enum status few_tokens_write(struct store_writer *masks, const struct layer_tensor *tensor, uint64_t tokens,
                             bool hessian, struct error *err)
{
    static const char *const fallbacks[] = {
        [TOKENS_SUFFICE] = "none", [TOKENS_FOR_DIAGONAL] = "diagonal", [TOKENS_FOR_NOTHING] = "weights"};
    char name[DATASET_PATH_SIZE];

    if (!tensor->expert)
        return STATUS_OK;
    dataset_path(name, tensor->linear, DATASET_MASK);
    FORWARD_IF_ERROR(store_attribute_u64(masks, name, "tokens", tokens, err));
    return store_attribute_string(masks, name, "fallback", fallbacks[few_tokens_of(tensor, tokens, hessian)],
                                  err);
}

enum status few_tokens_describe(json_t *row, const struct store_reader *masks, const char *linear,
                                struct error *err)
{
    char name[DATASET_PATH_SIZE];
    struct attribute_copy copy = {row, masks, name, STATUS_OK, err};

    dataset_path(name, linear, DATASET_MASK);
    attribute_copy_count(&copy, "tokens", "tokens");
    attribute_copy_text(&copy, "fallback", "fallback");
    return copy.status;
}
