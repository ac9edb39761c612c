#include "io/model/families/windows.h"

#include <stdint.h>
#include <string.h>

enum status read_window(struct window *window, const struct config_reader *reader, json_int_t fallback,
                        struct error *err)
{
    const json_t *value = config_value(reader, "sliding_window");

    *window = (struct window){.is_null = fallback == 0, .tokens = fallback};
    if (value == NULL)
        return STATUS_OK;
    RETURN_ERROR_IF(!json_is_null(value) && !json_is_integer(value), err, STATUS_INPUT,
                    "%s: sliding_window: must be an integer or null", reader->path);
    *window = (struct window){.is_null = json_is_null(value), .tokens = json_integer_value(value)};
    return STATUS_OK;
}

enum status require_window(const struct window *window, const struct config_reader *reader, struct error *err)
{
    RETURN_ERROR_IF(window->is_null, err, STATUS_INPUT, "%s: sliding_window: must not be null", reader->path);
    return STATUS_OK;
}

enum status set_window(struct model_config *config, size_t layer, const struct window *window,
                       const struct config_reader *reader, struct error *err)
{
    RETURN_ERROR_IF(window->is_null, err, STATUS_INPUT,
                    "%s: sliding_window: is null, but layer %zu has sliding attention", reader->path, layer);
    RETURN_ERROR_IF(window->tokens < 1 || window->tokens > INT32_MAX, err, STATUS_INPUT,
                    "%s: sliding_window: must be an integer from 1 to 2147483647", reader->path);
    config->layers[layer].sliding_window = (size_t)window->tokens;
    return STATUS_OK;
}

enum status set_windows(struct model_config *config, const struct window *window,
                        const struct config_reader *reader, struct error *err)
{
    for (size_t i = 0; i < config->num_hidden_layers && !window->is_null; i++)
        FORWARD_IF_ERROR(set_window(config, i, window, reader, err));
    return STATUS_OK;
}

enum status read_layer_types(struct model_config *config, const struct config_reader *reader,
                             const struct window *window, bool *found, struct error *err)
{
    const json_t *types = config_find(reader, "layer_types");

    *found = types != NULL;
    if (types == NULL)
        return STATUS_OK;
    RETURN_ERROR_IF(!json_is_array(types) || json_array_size(types) != config->num_hidden_layers, err,
                    STATUS_INPUT, "%s: layer_types: must be a list of %zu strings, one for each layer",
                    reader->path, config->num_hidden_layers);
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        const bool sliding = type != NULL && strcmp(type, "sliding_attention") == 0;
        RETURN_ERROR_IF(!sliding && (type == NULL || strcmp(type, "full_attention") != 0), err, STATUS_INPUT,
                        "%s: layer_types: element %zu must be \"full_attention\" or \"sliding_attention\"",
                        reader->path, i);
        RETURN_ERROR_IF(
            sliding && window->is_null, err, STATUS_INPUT,
            "%s: layer_types: element %zu is \"sliding_attention\", but there is no sliding_window",
            reader->path, i);
        if (sliding)
            FORWARD_IF_ERROR(set_window(config, i, window, reader, err));
    }
    return STATUS_OK;
}

enum status read_switched_window(struct window *window, bool *use, const struct config_reader *reader,
                                 struct error *err)
{
    *use = false;
    FORWARD_IF_ERROR(config_bool(reader, "use_sliding_window", use, err));
    FORWARD_IF_ERROR(read_window(window, reader, 4096, err));
    if (!*use)
        *window = (struct window){.is_null = true};
    return STATUS_OK;
}
