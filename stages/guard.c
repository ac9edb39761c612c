#include "stages/guard.h"

#include <math.h>

enum { PLAIN = 0, ENERGY = 1 };

size_t first_held_out(const struct settings *settings, const struct variant *variant)
{
    const size_t eighth = settings->sequences / 8;
    if (!variant->guard || settings->sequences < 2)
        return settings->sequences;
    return settings->sequences - (eighth > 0 ? eighth : 1);
}

static const float *candidate_rows(void *context, size_t candidate, size_t first, size_t count, float *buffer)
{
    struct pruned_linear *linear = context;
    for (size_t i = 0; i < count; i++)
        pruned_linear_rounded(linear, first + i, candidate == ENERGY, buffer + i * linear->tensor->in);
    return buffer;
}

struct measured_linear guard_candidates(struct pruned_linear *linear)
{
    return (struct measured_linear){.tensor = linear->tensor,
                                    .candidates = linear->energy ? 2 : 1,
                                    .rows = candidate_rows,
                                    .context = linear};
}

// Of one channel: what matching makes of it.
static void fit(double *gamma, double *shift, const struct pruned_linear *linear,
                const struct measured_linear *measured, size_t candidate, size_t i)
{
    struct output_moments moments;
    measured_moments(&moments, measured, FITTED, candidate, i);
    *gamma = matching_factor(linear->variant->output, &moments, &linear->variant->clamp);
    *shift = linear->variant->bias && linear->bias != NULL ? matching_shift(&moments, *gamma) : 0;
}

// Squared error over all output channels, relative to their variance.
static double relative_error(const struct pruned_linear *linear, const struct measured_linear *measured,
                             enum sequence_part part, size_t candidate, bool match)
{
    double error = 0, variance = 0, gamma = 1, shift = 0;

    for (size_t i = 0; i < linear->tensor->out; i++) {
        struct output_moments moments;
        measured_moments(&moments, measured, part, candidate, i);
        if (match)
            fit(&gamma, &shift, linear, measured, candidate, i);
        error += output_error(&moments, gamma, shift);
        variance += moments.variance_y;
    }
    return error == 0 ? 0 : error / variance;
}

void guard_decide(struct pruned_linear *linear, const struct measured_linear *measured)
{
    const struct variant *variant = linear->variant;
    const struct settings *settings = linear->stage->settings;
    const bool asks_energy = linear->energy, asks_output = variant_matches(variant);
    const enum sequence_part part = measured->tokens[HELD_OUT] > 0 ? HELD_OUT : FITTED;
    const size_t held_out = settings->sequences - first_held_out(settings, variant);
    double error, least = INFINITY;

    linear->energy = asks_energy && !variant->guard;
    linear->output = asks_output && !variant->guard;
    linear->measured_sequences = part == HELD_OUT ? held_out : settings->sequences - held_out;
    if (measured->tokens[part] == 0) {
        linear->measured_sequences = 0;
        return;
    }
    // From the most compensated to the least, so that it stays among equals.
    for (int choice = 3; choice >= 0 && variant->guard; choice--) {
        const bool energy = choice / 2 != 0, output = choice % 2 != 0;
        if ((energy && !asks_energy) || (output && !asks_output))
            continue;
        error = relative_error(linear, measured, part, energy ? ENERGY : PLAIN, output);
        if (error < least) {
            least = error;
            linear->energy = energy;
            linear->output = output;
        }
    }
    const size_t candidate = linear->energy ? ENERGY : PLAIN;
    linear->error_pruned = relative_error(linear, measured, part, PLAIN, false);
    linear->error_compensated = relative_error(linear, measured, part, candidate, linear->output);
    for (size_t i = 0; i < linear->tensor->out && linear->output; i++)
        fit(&linear->gamma[i], &linear->shift[i], linear, measured, candidate, i);
}
