#include "io/model/families/no_rope_layers.h"

enum status read_no_rope_layers(struct model_config *config, const struct config_reader *reader,
                                const json_t *list, struct error *err)
{
    const size_t layers = config->num_hidden_layers;
    size_t interval = 4;

    FORWARD_IF_ERROR(config_optional_size(reader, "no_rope_layer_interval", &interval, err));
    RETURN_ERROR_IF(list != NULL && (!json_is_array(list) || json_array_size(list) < layers), err,
                    STATUS_INPUT, "%s: no_rope_layers: must be a list of %zu integers, one for each layer",
                    reader->path, layers);
    for (size_t i = 0; i < layers; i++) {
        const json_t *rotates = json_array_get(list, i);
        RETURN_ERROR_IF(list != NULL && !json_is_integer(rotates), err, STATUS_INPUT,
                        "%s: no_rope_layers: element %zu must be an integer", reader->path, i);
        config->layers[i].no_rotary =
            list != NULL ? json_integer_value(rotates) == 0 : (i + 1) % interval == 0;
    }
    return STATUS_OK;
}
