#include "stages/compensate/guard.h"

#include "stages/layer/layer_trial.h"

#include <math.h>

enum { PLAIN = 0, ENERGY = 1 };

static const float *rounded_rows(void *context, size_t candidate, size_t first, size_t count, float *buffer)
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
                                    .rows = rounded_rows,
                                    .context = linear};
}

// Factor and shift of one channel, fitted to a candidate's outputs.
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

size_t guard_choices(struct guard_choice choices[GUARD_CHOICES], const struct variant *variant)
{
    const bool asks_energy = variant->energy_columns || variant->energy_rows;
    const bool asks_output = variant_matches(variant);
    size_t count = 0;

    for (int choice = GUARD_CHOICES - 1; choice >= 0; choice--) {
        const bool energy = choice / 2 != 0, output = choice % 2 != 0;
        if ((energy && !asks_energy) || (output && !asks_output))
            continue;
        choices[count++] = (struct guard_choice){energy, output};
        if (!variant->guard)
            break;
    }
    return count;
}

void guard_take(struct pruned_linear *linear, const struct measured_linear *measured,
                const struct guard_choice *choice)
{
    linear->energy = choice->energy;
    linear->output = choice->output;
    for (size_t i = 0; i < linear->tensor->out && linear->output; i++)
        fit(&linear->gamma[i], &linear->shift[i], linear, measured, choice->energy ? ENERGY : PLAIN, i);
}

size_t guard_choose(struct pruned_linear *linear, const struct measured_linear *measured,
                    const struct guard_choice *choices, size_t count)
{
    size_t best = count - 1;
    double least = INFINITY;

    for (size_t k = 0; k < count && measured->tokens[HELD_OUT] > 0; k++) {
        const size_t candidate = choices[k].energy ? ENERGY : PLAIN;
        const double error = relative_error(linear, measured, HELD_OUT, candidate, choices[k].output);
        if (error < least) {
            least = error;
            best = k;
        }
    }
    return best;
}

void guard_report(struct pruned_linear *linear, const struct measured_linear *measured)
{
    const struct settings *settings = linear->stage->settings;
    const enum sequence_part part = measured->tokens[HELD_OUT] > 0 ? HELD_OUT : FITTED;
    const size_t held_out = settings->sequences - first_held_out(settings, linear->variant);

    linear->measured_sequences = 0;
    if (measured->tokens[part] == 0)
        return;
    linear->measured_sequences = part == HELD_OUT ? held_out : settings->sequences - held_out;
    linear->error_pruned = relative_error(linear, measured, part, PLAIN, false);
    linear->error_compensated =
        relative_error(linear, measured, part, linear->energy ? ENERGY : PLAIN, linear->output);
}
