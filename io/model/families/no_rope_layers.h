// no_rope_layers.h - which layers have no rotary embedding: the keys of SmolLM3 and Llama 4.
#pragma once
#include "io/model/config_reader.h"
#include "io/model/model_config.h"

// list: the value of `no_rope_layers`, which holds for each layer 1 if it has (!) a rotary embedding; one
// that is longer than the model is cut. NULL: every `no_rope_layer_interval`-th layer (4) has none.
enum status read_no_rope_layers(struct model_config *config, const struct config_reader *reader,
                                const json_t *list, struct error *err);
