#include "io/model/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double two_pi = 6.283185307179586476925;

static const struct {
    const char *name;
    enum rope_type type;
} rope_types[] = {{"default", ROPE_DEFAULT},
                  {"linear", ROPE_LINEAR},
                  {"dynamic", ROPE_DYNAMIC},
                  {"yarn", ROPE_YARN},
                  {"llama3", ROPE_LLAMA3},
                  {"longrope", ROPE_LONGROPE},
                  {"proportional", ROPE_PROPORTIONAL},
                  {"su", ROPE_LONGROPE} /* its first name, in Phi-3 */};

static enum status read_type(struct rope_config *rope, const struct rope_source *source, struct error *err)
{
    const struct config_reader *reader = &source->parameters;
    const char *name = "default";
    char text[64];

    FORWARD_IF_ERROR(config_not_null(reader, config_has(reader, "rope_type") ? "rope_type" : "type", err));
    FORWARD_IF_ERROR(config_string(reader, "type", &name, err)); // the key's name before `rope_type` came
    FORWARD_IF_ERROR(config_string(reader, "rope_type", &name, err));
    if (source->mrope && strcmp(name, "mrope") == 0)
        name = "default";
    for (size_t i = 0; i < sizeof rope_types / sizeof rope_types[0]; i++) {
        if (strcmp(rope_types[i].name, name) == 0) {
            rope->type = rope_types[i].type;
            return STATUS_OK;
        }
    }
    return error_set(
        err, STATUS_INPUT,
        "%s: %srope_type: '%s' is not supported (default, linear, dynamic, yarn, llama3, longrope, "
        "proportional)",
        reader->path, reader->prefix, printable(text, sizeof text, name));
}

static enum status require(const struct config_reader *reader, const char *key, struct error *err)
{
    RETURN_ERROR_IF(config_find(reader, key) == NULL, err, STATUS_INPUT, "%s: %s%s: is missing", reader->path,
                    reader->prefix, key);
    return STATUS_OK;
}

static enum status read_factors(float **factors, const struct config_reader *reader, const char *key,
                                size_t count, struct error *err)
{
    const json_t *list = config_find(reader, key);

    FORWARD_IF_ERROR(require(reader, key, err));
    RETURN_ERROR_IF(!json_is_array(list) || json_array_size(list) != count, err, STATUS_INPUT,
                    "%s: %s%s: must be a list of %zu numbers, half the rotary channels", reader->path,
                    reader->prefix, key, count);
    FORWARD_IF_ERROR(allocate(factors, count, sizeof **factors, "rotary factors", err));
    for (size_t i = 0; i < count; i++) {
        const float factor = (float)json_number_value(json_array_get(list, i));
        // As with a small theta: smaller ones leave float32 no digits for the angles.
        RETURN_ERROR_IF(!(factor >= 0.1F), err, STATUS_INPUT,
                        "%s: %s%s: element %zu must be a number from 0.1", reader->path, reader->prefix, key,
                        i);
        (*factors)[i] = factor;
    }
    return STATUS_OK;
}

static enum status read_llama3(struct rope_config *rope, const struct config_reader *reader,
                               struct error *err)
{
    FORWARD_IF_ERROR(require(reader, "low_freq_factor", err));
    FORWARD_IF_ERROR(require(reader, "high_freq_factor", err));
    FORWARD_IF_ERROR(config_number(reader, "low_freq_factor", 1e-6, 1e6, &rope->low_freq_factor, err));
    return config_number(reader, "high_freq_factor", 1e-6, 1e6, &rope->high_freq_factor, err);
}

double rope_yarn_scale(double factor, double multiplier)
{
    return factor <= 1.0 ? 1.0 : 0.1 * multiplier * log(factor) + 1.0;
}

static enum status read_yarn(struct rope_config *rope, const struct config_reader *reader, struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double mscale = 0.0, mscale_all_dim = 0.0;

    rope->beta_fast = 32.0;
    rope->beta_slow = 1.0;
    rope->truncate = !json_is_null(config_value(reader, "truncate"));
    FORWARD_IF_ERROR(config_number(&nullable, "beta_fast", 0.0, 1e6, &rope->beta_fast, err));
    FORWARD_IF_ERROR(config_number(&nullable, "beta_slow", 0.0, 1e6, &rope->beta_slow, err));
    if (rope->beta_fast == 0.0) // the reference takes 0 for "not given"
        rope->beta_fast = 32.0;
    if (rope->beta_slow == 0.0)
        rope->beta_slow = 1.0;
    RETURN_ERROR_IF(rope->theta == 1.0, err, STATUS_INPUT,
                    "%s: %srope_type: yarn needs frequencies that differ, but rope_theta is 1", reader->path,
                    reader->prefix);
    FORWARD_IF_ERROR(config_bool(&nullable, "truncate", &rope->truncate, err));
    FORWARD_IF_ERROR(config_number(&nullable, "mscale", 0.0, 1e6, &mscale, err));
    FORWARD_IF_ERROR(config_number(&nullable, "mscale_all_dim", 0.0, 1e6, &mscale_all_dim, err));
    rope->attention_factor =
        mscale != 0.0 && mscale_all_dim != 0.0
            ? rope_yarn_scale(rope->factor, mscale) / rope_yarn_scale(rope->factor, mscale_all_dim)
            : rope_yarn_scale(rope->factor, 1.0);
    return STATUS_OK;
}

static enum status read_longrope(struct rope_config *rope, const struct config_reader *reader,
                                 size_t rotary_dim, struct error *err)
{
    FORWARD_IF_ERROR(read_factors(&rope->short_factor, reader, "short_factor", rotary_dim / 2, err));
    FORWARD_IF_ERROR(read_factors(&rope->long_factor, reader, "long_factor", rotary_dim / 2, err));
    rope->attention_factor =
        rope->factor <= 1.0 ? 1.0
                            : sqrt(1.0 + log(rope->factor) / log(rope->original_max_position_embeddings));
    return STATUS_OK;
}

// The context before scaling; the value at the root comes first.
static enum status read_original_context(struct rope_config *rope, const struct rope_source *source,
                                         struct error *err)
{
    static const char key[] = "original_max_position_embeddings";
    double *context = &rope->original_max_position_embeddings;

    FORWARD_IF_ERROR(config_not_null(&source->parameters, key, err));
    if (!source->phi3)
        FORWARD_IF_ERROR(config_number(&source->parameters, key, 2, 1e12, context, err));
    if (source->ignore_root_context)
        return STATUS_OK;
    return config_number(source->root, key, 2, 1e12, context, err);
}

static enum status read_factor(struct rope_config *rope, const struct rope_source *source, struct error *err)
{
    const struct config_reader *reader = &source->parameters, nullable = config_nullable(reader);

    if (rope->type == ROPE_YARN || rope->type == ROPE_LLAMA3 || rope->type == ROPE_LONGROPE)
        FORWARD_IF_ERROR(read_original_context(rope, source, err));
    rope->factor = rope->max_position_embeddings / rope->original_max_position_embeddings;
    // YaRN takes that ratio for null, LongRoPE also without the key.
    if (rope->type != ROPE_LONGROPE && !(rope->type == ROPE_YARN && config_has(reader, "factor")))
        FORWARD_IF_ERROR(require(reader, "factor", err));
    return config_number(&nullable, "factor", 1e-6, 1e6, &rope->factor, err);
}

static enum status read_theta(struct rope_config *rope, const struct rope_source *source, struct error *err)
{
    const bool here = config_has(&source->parameters, "rope_theta");
    const struct config_reader *reader = here ? &source->parameters : source->root;
    const char *key = here ? "rope_theta" : source->theta_key;

    if (key == NULL)
        return STATUS_OK;

    // Angles of a smaller theta are so large that float32 has no digits left for them.
    return config_number(reader, key, 0.1, 1e30, &rope->theta, err);
}

// Where heads are rotated as a whole the reference ignores `partial_rotary_factor` without scaling, and fails
// with it.
static enum status refuse_partial(const struct rope_source *source, struct error *err)
{
    static const char key[] = "partial_rotary_factor";
    const struct config_reader *reader =
        config_has(&source->parameters, key) ? &source->parameters : source->root;
    const struct config_reader place = reader == source->root ? config_nullable(reader) : *reader;
    double fraction = 1.0;

    FORWARD_IF_ERROR(config_number(&place, key, 0.0, 1.0, &fraction, err));
    RETURN_ERROR_IF(fraction != 1.0, err, STATUS_INPUT,
                    "%s: %s%s: models of this type rotate all channels of a head", reader->path,
                    reader->prefix, key);
    return STATUS_OK;
}

void rope_pass_keys(const struct config_reader *parameters)
{
    static const char *const keys[] = {"rope_type", "type", "rope_theta", "partial_rotary_factor", "factor",
                                       "original_max_position_embeddings", "attention_factor", "beta_fast",
                                       "beta_slow", "truncate", "mscale", "mscale_all_dim", "low_freq_factor",
                                       "high_freq_factor", "short_factor", "long_factor", "finetuned",
                                       // Three positions for each token, which are one in a text: then
                                       // frequencies are the same whichever of them they take.
                                       "mrope_section", "mrope_interleaved"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        config_pass(parameters, keys[i]);
}

// A key that counts for another type, or in another place, the reference leaves alone.
static void pass_keys(const struct rope_source *source)
{
    rope_pass_keys(&source->parameters);
    if (source->theta_key != NULL)
        config_pass(source->root, source->theta_key);
    config_pass(source->root, "original_max_position_embeddings");
    if (source->whole_heads)
        config_pass(source->root, "partial_rotary_factor");
}

enum status rope_config_read(struct rope_config *rope, const struct rope_source *source, size_t rotary_dim,
                             struct error *err)
{
    const struct config_reader *parameters = &source->parameters, nullable = config_nullable(parameters);

    pass_keys(source);
    rope->type = ROPE_DEFAULT;
    rope->factor = rope->attention_factor = 1.0;
    if (rope->original_max_position_embeddings == 0.0)
        rope->original_max_position_embeddings = rope->max_position_embeddings;
    FORWARD_IF_ERROR(read_theta(rope, source, err));
    FORWARD_IF_ERROR(read_type(rope, source, err));
    if (source->phi3 && rope->type == ROPE_YARN)
        rope->type = ROPE_LONGROPE;
    RETURN_ERROR_IF(source->phi3 && rope->type != ROPE_DEFAULT && rope->type != ROPE_LONGROPE, err,
                    STATUS_INPUT, "%s: %srope_type: phi3 has only \"longrope\"", parameters->path,
                    parameters->prefix);
    RETURN_ERROR_IF(rope->type == ROPE_PROPORTIONAL && !source->proportional, err, STATUS_INPUT,
                    "%s: %srope_type: models of this type have no \"proportional\" one", parameters->path,
                    parameters->prefix);
    if (rope->type == ROPE_DEFAULT)
        return STATUS_OK;
    if (rope->type == ROPE_PROPORTIONAL) {
        const bool at_root =
            !source->ignore_root_context && config_find(source->root, "partial_rotary_factor") != NULL;
        RETURN_ERROR_IF(at_root, err, STATUS_INPUT,
                        "%s: partial_rotary_factor: must stand beside the rope_type \"proportional\"",
                        source->root->path);
        rope->proportion = 1.0;
        FORWARD_IF_ERROR(
            config_number(parameters, "partial_rotary_factor", 0.0, 1.0, &rope->proportion, err));
        return config_number(parameters, "factor", 1e-6, 1e6, &rope->factor, err);
    }
    if (source->whole_heads)
        FORWARD_IF_ERROR(refuse_partial(source, err));
    FORWARD_IF_ERROR(read_factor(rope, source, err));
    if (rope->type == ROPE_LLAMA3)
        FORWARD_IF_ERROR(read_llama3(rope, parameters, err));
    else if (rope->type == ROPE_YARN)
        FORWARD_IF_ERROR(read_yarn(rope, parameters, err));
    else if (rope->type == ROPE_LONGROPE)
        FORWARD_IF_ERROR(read_longrope(rope, parameters, rotary_dim, err));
    if (rope->type == ROPE_YARN || rope->type == ROPE_LONGROPE)
        FORWARD_IF_ERROR(
            config_number(&nullable, "attention_factor", 0.0, 1e6, &rope->attention_factor, err));
    return STATUS_OK;
}

enum status rope_source_find(struct rope_source *source, const struct config_reader *root,
                             const char *theta_key, struct error *err)
{
    static const char *const nested[] = {"full_attention", "sliding_attention"};
    struct config_reader *parameters = &source->parameters;

    *source = (struct rope_source){.root = root, .theta_key = theta_key};
    FORWARD_IF_ERROR(config_object(root, "rope_scaling", "rope_scaling.", parameters, err));
    config_pass(root, "rope_parameters"); // which do not count beside a `rope_scaling`
    if (json_object_size(parameters->object) == 0)
        FORWARD_IF_ERROR(config_object(root, "rope_parameters", "rope_parameters.", parameters, err));
    for (size_t i = 0; i < sizeof nested / sizeof *nested; i++)
        RETURN_ERROR_IF(config_find(parameters, nested[i]) != NULL, err, STATUS_INPUT,
                        "%s: %s%s: models of this type have one rotary embedding for all layers", root->path,
                        parameters->prefix, nested[i]);
    return STATUS_OK;
}

void rope_config_free(struct rope_config *rope)
{
    free(rope->short_factor);
    free(rope->long_factor);
    rope->short_factor = rope->long_factor = NULL;
}

// Llama 3.1: wavelengths that fit often into the original context keep their frequency, those that hardly fit
// are divided by factor, those between are interpolated.
static double llama3_frequency(const struct rope_config *rope, double frequency)
{
    const double rotations =
        rope->original_max_position_embeddings * frequency / two_pi; // in the original context

    if (rotations <= rope->low_freq_factor)
        return frequency / rope->factor;
    if (rotations >=
        rope->high_freq_factor) // which is no larger than the other in Llama 4 Scout: none are between
        return frequency;
    const double smooth =
        (rotations - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
    return (1.0 - smooth) * frequency / rope->factor + smooth * frequency;
}

// Returns the place on the axis of frequencies (index i of rotary_dim / 2) where a given number of rotations
// fills the original context.
static double yarn_index(const struct rope_config *rope, double rotations, double rotary_dim)
{
    return rotary_dim * log(rope->original_max_position_embeddings / (rotations * two_pi)) /
           (2.0 * log(rope->theta));
}

// YaRN: frequencies below the ramp keep their value, those above are divided by factor.
static double yarn_frequency(const struct rope_config *rope, double frequency, size_t i, size_t rotary_dim)
{
    double low = yarn_index(rope, rope->beta_fast, (double)rotary_dim);
    double high = yarn_index(rope, rope->beta_slow, (double)rotary_dim);

    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, (double)rotary_dim - 1.0);
    if (low == high)
        high += 0.001; // the reference's way out of a division by zero
    const double ramp = fmin(fmax(((double)i - low) / (high - low), 0.0), 1.0);
    return frequency / rope->factor * ramp + frequency * (1.0 - ramp);
}

static double dynamic_theta(const struct rope_config *rope, size_t rotary_dim, size_t tokens)
{
    const double d = (double)rotary_dim, length = fmax((double)tokens, rope->max_position_embeddings);
    const double stretch = rope->factor * length / rope->max_position_embeddings - (rope->factor - 1.0);
    return rope->theta * pow(stretch, d / (d - 2.0));
}

double rope_scale(const struct rope_config *rope, size_t tokens)
{
    if (rope->short_scale == 0.0)
        return rope->attention_factor;
    return (double)tokens > rope->scaled_from ? rope->long_scale : rope->short_scale;
}

void rope_frequencies(float *frequencies, const struct rope_config *rope, size_t rotary_dim, size_t tokens)
{
    const double theta = rope->type == ROPE_DYNAMIC ? dynamic_theta(rope, rotary_dim, tokens) : rope->theta;
    const bool is_long = (double)tokens > rope->original_max_position_embeddings;

    for (size_t i = 0; i < rotary_dim / 2; i++) {
        double frequency = pow(theta, -(double)(2 * i) / (double)rotary_dim);
        if (rope->type == ROPE_LINEAR)
            frequency /= rope->factor;
        else if (rope->type == ROPE_PROPORTIONAL)
            frequency *=
                (double)i < floor(rope->proportion * (double)rotary_dim / 2) ? 1.0 / rope->factor : 0.0;
        else if (rope->type == ROPE_LLAMA3)
            frequency = llama3_frequency(rope, frequency);
        else if (rope->type == ROPE_YARN)
            frequency = yarn_frequency(rope, frequency, i, rotary_dim);
        else if (rope->type == ROPE_LONGROPE)
            frequency /= (double)(is_long ? rope->long_factor[i] : rope->short_factor[i]);
        frequencies[i] = (float)frequency;
    }
}
