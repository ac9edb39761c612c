#include "io/model/families/sparse_layers.h"

enum status read_sparse_layers(struct model_config *config, const struct config_reader *reader,
                               struct error *err)
{
    const json_t *dense = config_find(reader, "mlp_only_layers");
    size_t step = 1;

    FORWARD_IF_ERROR(config_optional_size(reader, "decoder_sparse_step", &step, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse = (i + 1) % step == 0;
    RETURN_ERROR_IF(dense != NULL && !json_is_array(dense), err, STATUS_INPUT,
                    "%s: mlp_only_layers: must be a list of layer numbers", reader->path);
    for (size_t i = 0; i < json_array_size(dense); i++) {
        const json_t *layer = json_array_get(dense, i);
        RETURN_ERROR_IF(!json_is_integer(layer), err, STATUS_INPUT,
                        "%s: mlp_only_layers: must be a list of integers", reader->path);
        if (json_integer_value(layer) >= 0 && (size_t)json_integer_value(layer) < config->num_hidden_layers)
            config->layers[json_integer_value(layer)].sparse = false;
    }
    return STATUS_OK;
}
