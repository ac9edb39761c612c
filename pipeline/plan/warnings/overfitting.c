#include "pipeline/plan/warnings/overfitting.h"

#include "stages/layer/layer_trial.h"
#include "stages/layer/linear_groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED = 6 }; // linears in the warning

// The fewest tokens that a variant is fitted to; UINT64_MAX: none is.
static uint64_t fewest_tokens(const struct settings *settings)
{
    uint64_t fewest = UINT64_MAX;

    for (size_t v = 0; v < settings->num_variants; v++) {
        const struct variant *variant = &settings->variants[v];
        const uint64_t tokens = (uint64_t)first_held_out(settings, variant) * settings->length;
        if ((variant_solves(variant) || variant_is_joint(variant)) && tokens < fewest)
            fewest = tokens;
    }
    return fewest;
}

// Names of linears, the first of those that read the same input, each once with each width.
struct few_list {
    char text[OVERFITTING_WARNING_SIZE / 2];
    size_t count;
};

static void add_linear(struct few_list *list, const struct layer_tensor *tensor)
{
    char entry[LINEAR_NAME_SIZE + 32];
    const size_t used = strlen(list->text);

    snprintf(entry, sizeof entry, "%s (%zu)", tensor->linear, tensor->in);
    if (strstr(list->text, entry) != NULL)
        return;
    if (list->count < NAMED)
        snprintf(list->text + used, sizeof list->text - used, "%s%s", list->count > 0 ? ", " : "", entry);
    list->count++;
}

static void add_layer(struct few_list *list, const struct settings *settings, const struct layer_map *map,
                      uint64_t tokens)
{
    const struct layer_tensor **linears = calloc(map->num_tensors, sizeof *linears);
    size_t count = linears != NULL ? linears_by_source(linears, settings, map) : 0;

    for (size_t i = 0; i < count; i += linears_of_source(linears + i, count - i))
        if (!linears[i]->expert && tokens / FITTED_TOKENS_PER_CHANNEL < linears[i]->in)
            add_linear(list, linears[i]);
    free(linears);
}

bool overfitting_warning(char *text, const struct plan *plan)
{
    const struct settings *settings = plan->settings;
    const uint64_t tokens = fewest_tokens(settings);
    struct few_list list = {"", 0};

    for (size_t layer = 0; layer < plan->model->config.num_hidden_layers && tokens < UINT64_MAX; layer++) {
        struct layer_map map;
        if (layer_map_create(&map, plan->model, layer, NULL) != STATUS_OK)
            continue; // out of memory, which is said elsewhere
        add_layer(&list, settings, &map, tokens);
        layer_map_free(&map);
    }
    if (list.count == 0)
        return false;
    snprintf(text, OVERFITTING_WARNING_SIZE,
             "weights are fitted to %" PRIu64
             " tokens, fewer than %d for each input channel of %s%s: they may "
             "fit these tokens alone; more calibration.sequences help",
             tokens, FITTED_TOKENS_PER_CHANNEL, list.text, list.count > NAMED ? ", ..." : "");
    return true;
}
