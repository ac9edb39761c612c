#include "stages/prune/curve_file.h"

#include "io/file/sealed_json.h"
#include "stages/prune/layer_scores.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const double curve_levels[CURVE_LEVELS] = {0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};

// ---- which linears share a curve
// ----------------------------------------------------------------------------

// "mlp.experts.3.up_proj" becomes "mlp.experts.*.up_proj".
static void curve_name(char name[LINEAR_NAME_SIZE], const struct layer_tensor *tensor)
{
    static const char before[] = "experts.";
    const char *found = tensor->expert ? strstr(tensor->linear, before) : NULL;

    if (found == NULL) {
        snprintf(name, LINEAR_NAME_SIZE, "%s", tensor->linear);
        return;
    }
    const char *number = found + strlen(before), *rest = number + strspn(number, "0123456789");
    snprintf(name, LINEAR_NAME_SIZE, "%.*s*%s", (int)(number - tensor->linear), tensor->linear, rest);
}

struct curve *layer_curves_find(const struct layer_curves *curves, const struct layer_tensor *tensor)
{
    char name[LINEAR_NAME_SIZE];

    curve_name(name, tensor);
    for (size_t i = 0; i < curves->count; i++)
        if (strcmp(curves->curves[i].linear, name) == 0)
            return &curves->curves[i];
    return NULL;
}

enum status layer_curves_create(struct layer_curves *curves, const struct settings *settings,
                                const struct layer_map *map, struct error *err)
{
    *curves = (struct layer_curves){0};
    FORWARD_IF_ERROR(
        allocate(&curves->curves, map->num_tensors, sizeof *curves->curves, "curves of a layer", err));
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (!linear_is_allocated(settings, map->layer, tensor))
            continue;
        struct curve *curve = layer_curves_find(curves, tensor);
        if (curve == NULL) {
            curve = &curves->curves[curves->count++];
            curve_name(curve->linear, tensor);
        }
        curve->weights += (uint64_t)tensor->out * tensor->in;
        curves->together.weights += (uint64_t)tensor->out * tensor->in;
    }
    strcpy(curves->together.linear, "*");
    return STATUS_OK;
}

void layer_curves_free(struct layer_curves *curves)
{
    free(curves->curves);
    *curves = (struct layer_curves){0};
}

// ---- the file
// -----------------------------------------------------------------------------------------------

struct variant curve_variant(const struct variant *variant)
{
    struct variant scored = *variant;
    if (method_needs(variant->method) & NEEDS_EQUATIONS)
        scored.output = MATCHING_LEAST_SQUARES; // what admm and alps end with
    if (!method_has_factors(variant->method)) {
        scored.method = METHOD_WANDA;
        scored.parameters = importance_defaults(METHOD_WANDA);
        scored.group = GROUP_ROW;
    }
    return scored;
}

void curves_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant,
                 size_t layer)
{
    const struct variant scored = curve_variant(variant);
    const struct importance_parameters *p = &scored.parameters, own = importance_defaults(scored.method);
    char name[200];
    int used = snprintf(name, sizeof name, "%s", method_name(scored.method));

    if (p->exponent != own.exponent || p->alpha != own.alpha || p->epsilon != own.epsilon)
        used += snprintf(name + used, sizeof name - (size_t)used, "-exponent%.17g-alpha%.17g-epsilon%.17g",
                         p->exponent, p->alpha, p->epsilon);
    if (scored.group == GROUP_LAYER)
        used += snprintf(name + used, sizeof name - (size_t)used, "-layer");
    if (curves_are_solved(&scored))
        used += snprintf(name + used, sizeof name - (size_t)used, "-least_squares");
    snprintf(name + used, sizeof name - (size_t)used, "-%zu", scored.measured_sequences);
    run_curves_path(path, settings->run, name, layer);
}

static json_t *numbers(const double *values, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_real(values[i]));
    return array;
}

enum status curves_write(const struct layer_curves *curves, const struct stage *stage,
                         const struct variant *variant, size_t layer, struct error *err)
{
    char path[PATH_SIZE];
    json_t *linears = json_array();
    json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:o, s:O}", "layer", (json_int_t)layer, "layers",
                             (json_int_t)stage->model->config.num_hidden_layers, "sequences",
                             (json_int_t)curves->sequences, "tokens", (json_int_t)curves->tokens, "levels",
                             numbers(curve_levels, CURVE_LEVELS), "linears", linears);

    for (size_t i = 0; i <= curves->count && curves->count > 0; i++) {
        const struct curve *curve = i < curves->count ? &curves->curves[i] : &curves->together;
        json_array_append_new(linears, json_pack("{s:s, s:I, s:o, s:o}", "linear", curve->linear, "weights",
                                                 (json_int_t)curve->weights, "divergence",
                                                 numbers(curve->divergence, CURVE_LEVELS), "loss",
                                                 numbers(curve->loss, CURVE_LEVELS)));
    }
    json_decref(linears);
    curves_path(path, stage->settings, variant, layer);
    const enum status status = json != NULL
                                   ? sealed_json_write_from(path, json, settings_origin(stage->settings), err)
                                   : error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    json_decref(json);
    return status;
}

static bool read_numbers(double values[CURVE_LEVELS], const json_t *array)
{
    for (size_t k = 0; k < CURVE_LEVELS; k++) {
        values[k] = json_number_value(json_array_get(array, k));
        if (!json_is_number(json_array_get(array, k)) || !isfinite(values[k]))
            return false;
    }
    return json_array_size(array) == CURVE_LEVELS;
}

static bool read_curve(struct curve *curve, const json_t *json)
{
    const char *linear = json_string_value(json_object_get(json, "linear"));
    const json_int_t weights = json_integer_value(json_object_get(json, "weights"));

    if (linear == NULL || strlen(linear) >= sizeof curve->linear || weights < 1)
        return false;
    strcpy(curve->linear, linear);
    curve->weights = (uint64_t)weights;
    return read_numbers(curve->divergence, json_object_get(json, "divergence")) &&
           read_numbers(curve->loss, json_object_get(json, "loss"));
}

static bool read_all(struct layer_curves *curves, const json_t *json)
{
    const json_t *linears = json_object_get(json, "linears");
    double levels[CURVE_LEVELS];
    bool good = read_numbers(levels, json_object_get(json, "levels")) &&
                memcmp(levels, curve_levels, sizeof levels) == 0 && json_is_array(linears);

    curves->sequences = (uint64_t)json_integer_value(json_object_get(json, "sequences"));
    curves->tokens = (uint64_t)json_integer_value(json_object_get(json, "tokens"));
    for (size_t i = 0; i + 1 < json_array_size(linears) && good; i++)
        good = read_curve(&curves->curves[curves->count++], json_array_get(linears, i));
    if (good && curves->count > 0)
        good = read_curve(&curves->together, json_array_get(linears, curves->count));
    return good;
}

enum status curves_read(struct layer_curves *curves, size_t *layers, const struct settings *settings,
                        const struct variant *variant, size_t layer, struct error *err)
{
    char path[PATH_SIZE];
    json_t *json = NULL;

    *curves = (struct layer_curves){0};
    curves_path(path, settings, variant, layer);
    FORWARD_IF_ERROR(sealed_json_read(&json, path, err));
    const json_int_t count = json_integer_value(json_object_get(json, "layers"));
    enum status status = allocate(&curves->curves, json_array_size(json_object_get(json, "linears")),
                                  sizeof *curves->curves, "curves of a layer", err);
    if (status == STATUS_OK && (!read_all(curves, json) || count < 1))
        status = error_set(err, STATUS_DAMAGED, "%s: is not what pruning single linears costs", path);
    if (layers != NULL)
        *layers = (size_t)count;
    json_decref(json);
    return status;
}
