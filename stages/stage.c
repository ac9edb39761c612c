#include "stages/stage.h"

#include "io/file/run_paths.h"

#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>

const char *setting_place(char text[SETTING_PLACE_SIZE], const char *job, size_t line)
{
    snprintf(text, SETTING_PLACE_SIZE, line > 0 ? "%.350s:%zu: " : "--set ", job, line);
    return text;
}

const char *text_label(const struct settings *settings, size_t text)
{
    return text < settings->num_texts && !settings->texts[text].is_plain ? settings->texts[text].name : NULL;
}

const char *variant_name(const struct variant *variant)
{
    return variant != NULL ? variant->name : DENSE_NAME;
}

const struct variant *variant_base(const struct variant *variant)
{
    return variant != NULL && variant->base != NULL ? variant->base : variant;
}

bool variant_is_searched(const struct variant *variant)
{
    return variant != NULL && variant->budget > 0;
}

bool settings_search(const struct settings *settings)
{
    return settings->num_attempts > 0;
}

const char *stream_name(const struct settings *settings, const struct variant *variant)
{
    return variant_name(settings->propagation == PROPAGATION_PRUNED ? variant : NULL);
}

bool variant_matches(const struct variant *variant)
{
    // A joint variant's weights are solved for by the time it is compensated.
    return (variant->output != MATCHING_OFF && !(variant_is_joint(variant) && variant_solves(variant))) ||
           variant->bias;
}

bool variant_follows_dense(const struct variant *variant)
{
    return variant_matches(variant) || variant_is_joint(variant);
}

bool variant_solves(const struct variant *variant)
{
    return variant->output == MATCHING_LEAST_SQUARES;
}

bool curves_are_solved(const struct variant *variant)
{
    return variant->allocation == ALLOCATION_MEASURED &&
           (variant_solves(variant) || (method_needs(variant->method) & NEEDS_EQUATIONS) != 0);
}

bool variant_is_joint(const struct variant *variant)
{
    return variant->drift == DRIFT_CORRECTED || (method_needs(variant->method) & NEEDS_EQUATIONS) != 0;
}

bool variant_compensates(const struct variant *variant)
{
    return variant->energy_columns || variant->energy_rows || variant_matches(variant);
}

bool variant_can_be_guarded(const struct variant *variant)
{
    return variant_compensates(variant) || variant_is_joint(variant);
}

bool weights_are_written(const struct settings *settings, const struct variant *variant)
{
    return settings->keep_weights || variant_compensates(variant);
}

bool variant_measures(const struct variant *variant)
{
    return variant_matches(variant) || (variant->guard && variant_compensates(variant));
}

bool variant_chooses(const struct variant *variant)
{
    return (method_needs(variant->method) & NEEDS_OUTPUTS) != 0;
}

bool variant_reads_states(const struct variant *variant)
{
    return variant_chooses(variant) || variant_is_joint(variant) || variant_measures(variant);
}

const struct variant *stream_owner(const struct settings *settings, const struct variant *variant)
{
    if (variant == NULL || settings->propagation == PROPAGATION_PRUNED)
        return variant;
    return variant_matches(variant) && !variant_solves(variant) ? variant : NULL;
}

size_t dense_stream_readers(const struct settings *settings)
{
    const bool dense = settings->propagation == PROPAGATION_DENSE;
    size_t readers = 0;
    for (size_t v = 0; v < settings->num_variants + settings->num_attempts; v++) {
        const struct variant *variant = v < settings->num_variants
                                            ? &settings->variants[v]
                                            : &settings->attempts[v - settings->num_variants];
        readers += dense ? variant_reads_states(variant) : variant_follows_dense(variant);
    }
    return readers;
}

bool dense_stream_is_kept(const struct settings *settings)
{
    return dense_stream_readers(settings) > (settings->propagation == PROPAGATION_DENSE ? 0 : 1);
}

const char *hidden_stream(const struct settings *settings, const struct variant *variant)
{
    return variant_name(stream_owner(settings, variant));
}

bool stage_is_stopped(const struct stage *stage, double fraction)
{
    const struct stage_hooks *hooks = &stage->hooks;
    return hooks->should_stop != NULL && hooks->should_stop(hooks->context, fraction);
}

enum status stage_safe_point(const struct stage *stage, enum status mine, double fraction, struct error *err)
{
    if (mine == STATUS_OK && stage_is_stopped(stage, fraction))
        mine = error_set(err, STATUS_STOPPED, "told to stop");
    return team_agree(stage->team, mine, err);
}

void stage_advance(const struct stage *stage, double work)
{
    if (stage->hooks.advance != NULL)
        stage->hooks.advance(stage->hooks.context, work);
}

void stage_skip(const struct stage *stage, double work)
{
    if (stage->hooks.skip != NULL)
        stage->hooks.skip(stage->hooks.context, work);
}

void stage_kept(const struct stage *stage)
{
    if (stage->hooks.kept != NULL)
        stage->hooks.kept(stage->hooks.context);
}

void stage_notice(const struct stage *stage, const char *format, ...)
{
    char text[400];
    va_list arguments;

    if (stage->hooks.notice == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    stage->hooks.notice(stage->hooks.context, text);
}

static bool fits(const char *pattern, size_t layer, const char *linear)
{
    char qualified[160];
    snprintf(qualified, sizeof qualified, "layers.%zu.%s", layer, linear);
    return fnmatch(pattern, linear, 0) == 0 || fnmatch(pattern, qualified, 0) == 0;
}

bool linear_is_skipped(const struct settings *settings, size_t layer, const char *linear)
{
    for (size_t i = 0; i < settings->num_skip; i++)
        if (fits(settings->skip[i].pattern, layer, linear))
            return true;
    return false;
}

const struct ratio *linear_ratio(const struct settings *settings, size_t layer, const char *linear)
{
    for (size_t i = settings->num_ratios; i-- > 0;)
        if (fits(settings->ratios[i].pattern, layer, linear))
            return &settings->ratios[i];
    return NULL;
}

bool tensor_is_pruned(const struct settings *settings, size_t layer, const struct layer_tensor *tensor)
{
    return tensor->linear[0] != '\0' && !linear_is_skipped(settings, layer, tensor->linear);
}

bool stage_holds_zeros(const struct stage *stage)
{
    return stage->model->config.quantisation.kind == QUANTISATION_NONE;
}
