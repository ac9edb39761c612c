#include "stages/compensate/guard.h"

#include "stages/layer/layer_trial.h"

#include <math.h>

// The second candidate is the weight with energy compensation, or the least-squares solution.
enum { PLAIN = 0, CHANGED = 1 };

static enum kept_weights changed_weights(const struct variant *variant, const struct compensation_kind *kind)
{
    if (kind->solves)
        return KEPT_SOLVED;
    return variant->energy_columns || variant->energy_rows ? KEPT_ENERGY : KEPT_PLAIN;
}

// Experts that saw too few tokens have none.
static bool solution_is_there(const struct pruned_linear *linear)
{
    return linear->solution.memory.data != NULL;
}

static const float *rounded_rows(void *context, size_t candidate, size_t first, size_t count, float *buffer)
{
    struct pruned_linear *linear = context;
    enum kept_weights kept =
        candidate == PLAIN ? KEPT_PLAIN : changed_weights(linear->variant, &linear->kind);
    if (kept == KEPT_SOLVED && !solution_is_there(linear))
        kept = KEPT_PLAIN;
    pruned_linear_rounded(linear, first, count, kept, buffer);
    return buffer;
}

struct measured_linear guard_candidates(struct pruned_linear *linear)
{
    return (struct measured_linear){.tensor = linear->tensor,
                                    .candidates =
                                        changed_weights(linear->variant, &linear->kind) != KEPT_PLAIN ? 2 : 1,
                                    .rows = rounded_rows,
                                    .context = linear};
}

// How the factors of a choice are fitted. A solution needs none: at most its means are matched.
static enum matching matching_of(const struct pruned_linear *linear, const struct guard_choice *choice)
{
    const enum matching output = linear->variant->output;
    if (!linear->kind.solves)
        return output == MATCHING_LEAST_SQUARES ? MATCHING_OFF : output;
    return choice->kept == KEPT_SOLVED ? MATCHING_OFF : MATCHING_MIXED;
}

static size_t candidate_of(const struct guard_choice *choice)
{
    return choice->kept == KEPT_PLAIN ? PLAIN : CHANGED;
}

// Factor and shift of one channel, fitted to a candidate's outputs.
static void fit(double *gamma, double *shift, const struct pruned_linear *linear,
                const struct measured_linear *measured, const struct guard_choice *choice, size_t i)
{
    struct output_moments moments;
    measured_moments(&moments, measured, FITTED, candidate_of(choice), i);
    *gamma = matching_factor(matching_of(linear, choice), &moments, &linear->variant->clamp);
    *shift = linear->kind.shifts && linear->bias != NULL ? matching_shift(&moments, *gamma) : 0;
}

// Squared error over all output channels, relative to their variance.
static double relative_error(const struct pruned_linear *linear, const struct measured_linear *measured,
                             enum sequence_part part, const struct guard_choice *choice)
{
    double error = 0, variance = 0, gamma = 1, shift = 0;

    for (size_t i = 0; i < linear->tensor->out; i++) {
        struct output_moments moments;
        measured_moments(&moments, measured, part, candidate_of(choice), i);
        if (choice->output)
            fit(&gamma, &shift, linear, measured, choice, i);
        error += output_error(&moments, gamma, shift);
        variance += moments.variance_y;
    }
    return error == 0 ? 0 : error / variance;
}

size_t guard_choices(struct guard_choice choices[GUARD_CHOICES], const struct variant *variant,
                     const struct compensation_kind *kind)
{
    const enum kept_weights changed = changed_weights(variant, kind);
    size_t count = 0;

    if (kind->solves) {
        // Energy compensation has no part in it; factors are for where the solution fails.
        choices[count++] = (struct guard_choice){KEPT_SOLVED, kind->shifts};
        choices[count++] = (struct guard_choice){KEPT_PLAIN, true};
        choices[count++] = (struct guard_choice){KEPT_PLAIN, false};
        return variant->guard ? count : 1;
    }
    for (int choice = GUARD_CHOICES - 1; choice >= 0; choice--) {
        const bool energy = choice / 2 != 0, output = choice % 2 != 0;
        if ((energy && changed == KEPT_PLAIN) || (output && !kind->matches))
            continue;
        choices[count++] = (struct guard_choice){energy ? changed : KEPT_PLAIN, output};
        if (!variant->guard)
            break;
    }
    return count;
}

void guard_take(struct pruned_linear *linear, const struct measured_linear *measured,
                const struct guard_choice *choice)
{
    linear->kept = choice->kept == KEPT_SOLVED && !solution_is_there(linear) ? KEPT_PLAIN : choice->kept;
    linear->output = choice->output;
    for (size_t i = 0; i < linear->tensor->out && linear->output; i++)
        fit(&linear->gamma[i], &linear->shift[i], linear, measured, choice, i);
}

size_t guard_choose(struct pruned_linear *linear, const struct measured_linear *measured,
                    const struct guard_choice *choices, size_t count)
{
    size_t best = count - 1;
    double least = INFINITY;

    for (size_t k = 0; k < count && measured->tokens[HELD_OUT] > 0; k++) {
        const double error = relative_error(linear, measured, HELD_OUT, &choices[k]);
        if (error < least) {
            least = error;
            best = k;
        }
    }
    return best;
}

void guard_report(struct pruned_linear *linear, const struct measured_linear *measured, size_t first)
{
    const struct settings *settings = linear->stage->settings;
    const enum sequence_part part = measured->tokens[HELD_OUT] > 0 ? HELD_OUT : FITTED;
    const size_t held_out = first_held_out(settings, linear->variant);
    const struct guard_choice plain = {KEPT_PLAIN, false}, kept = {linear->kept, linear->output};

    linear->measured_sequences = 0;
    if (measured->tokens[part] == 0)
        return;
    linear->measured_sequences = part == HELD_OUT ? settings->sequences - held_out : held_out - first;
    linear->error_pruned = relative_error(linear, measured, part, &plain);
    linear->error_compensated = relative_error(linear, measured, part, &kept);
}
