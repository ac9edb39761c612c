#include "io/rope.h"
#include "io/config_reader.h"

#include <math.h>
#include <string.h>

static const double two_pi = 6.283185307179586476925;

static enum status read_type(struct rope_config *rope, const struct config_reader *reader, struct error *err)
{
    static const struct {
        const char *name;
        enum rope_type type;
    } types[] = {{"default", ROPE_DEFAULT}, {"linear", ROPE_LINEAR}, {"llama3", ROPE_LLAMA3}};
    const char *name = "default";

    FORWARD_IF_ERROR(config_string(reader, "type", &name, err)); // the name before `rope_type` came
    FORWARD_IF_ERROR(config_string(reader, "rope_type", &name, err));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0) {
            rope->type = types[i].type;
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_INPUT, "%s: %srope_type: '%s' is not supported (default, linear, llama3)",
                     reader->path, reader->prefix, name);
}

static enum status read_scaling(struct rope_config *rope, const struct config_reader *reader,
                                struct error *err)
{
    FORWARD_IF_ERROR(read_type(rope, reader, err));
    FORWARD_IF_ERROR(config_number(reader, "rope_theta", 1.0, 1e30, &rope->theta, err));
    if (rope->type != ROPE_DEFAULT) {
        RETURN_ERROR_IF(config_find(reader, "factor") == NULL, err, STATUS_INPUT, "%s: %sfactor: is missing",
                        reader->path, reader->prefix);
        FORWARD_IF_ERROR(config_number(reader, "factor", 1e-6, 1e6, &rope->factor, err));
    }
    if (rope->type == ROPE_LLAMA3) {
        FORWARD_IF_ERROR(config_number(reader, "low_freq_factor", 1e-6, 1e6, &rope->low_freq_factor, err));
        FORWARD_IF_ERROR(config_number(reader, "high_freq_factor", 1e-6, 1e6, &rope->high_freq_factor, err));
        FORWARD_IF_ERROR(config_number(reader, "original_max_position_embeddings", 1, 1e12,
                                       &rope->original_max_position_embeddings, err));
        RETURN_ERROR_IF(rope->high_freq_factor <= rope->low_freq_factor, err, STATUS_INPUT,
                        "%s: %shigh_freq_factor: must be above low_freq_factor", reader->path,
                        reader->prefix);
    }
    return STATUS_OK;
}

enum status rope_config_read(struct rope_config *rope, const struct config_reader *reader,
                             size_t max_position_embeddings, struct error *err)
{
    struct config_reader scaling;

    rope->type = ROPE_DEFAULT;
    rope->factor = rope->low_freq_factor = 1.0;
    rope->high_freq_factor = 4.0;
    rope->original_max_position_embeddings = (double)max_position_embeddings;
    FORWARD_IF_ERROR(config_number(reader, "rope_theta", 1.0, 1e30, &rope->theta, err));
    FORWARD_IF_ERROR(config_object(reader, "rope_parameters", "rope_parameters.", &scaling, err));
    if (scaling.object == NULL)
        FORWARD_IF_ERROR(config_object(reader, "rope_scaling", "rope_scaling.", &scaling, err));
    return scaling.object != NULL ? read_scaling(rope, &scaling, err) : STATUS_OK;
}

// Llama 3.1: wavelengths that fit often into the original context keep their frequency, those that hardly fit
// are divided by factor, those between are interpolated.
static double llama3_frequency(const struct rope_config *rope, double frequency)
{
    const double rotations =
        rope->original_max_position_embeddings * frequency / two_pi; // in the original context
    const double smooth =
        (rotations - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);

    if (smooth <= 0.0)
        return frequency / rope->factor;
    if (smooth >= 1.0)
        return frequency;
    return (1.0 - smooth) * frequency / rope->factor + smooth * frequency;
}

void rope_frequencies(float *frequencies, const struct rope_config *rope, size_t rotary_dim)
{
    for (size_t i = 0; i < rotary_dim / 2; i++) {
        double frequency = pow(rope->theta, -(double)(2 * i) / (double)rotary_dim);
        if (rope->type == ROPE_LINEAR)
            frequency /= rope->factor;
        else if (rope->type == ROPE_LLAMA3)
            frequency = llama3_frequency(rope, frequency);
        frequencies[i] = (float)frequency;
    }
}
