// sparse_layers.h - which layers have experts, in the form that the Qwen families have for it.
#pragma once
#include "io/model/config_reader.h"
#include "io/model/model_config.h"

// Every decoder_sparse_step-th layer has experts, except those that mlp_only_layers lists.
enum status read_sparse_layers(struct model_config *config, const struct config_reader *reader,
                               struct error *err);
