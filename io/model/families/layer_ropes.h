// layer_ropes.h - a rotary embedding for layers with full attention, and another for those with a window.
#pragma once
#include "io/model/config_reader.h"
#include "io/model/model_config.h"

// In `rope_parameters` both are nested; before it came, `rope_theta` and `rope_scaling` were those of the
// layers with full attention.
struct layer_ropes {
    double default_theta, default_local_theta;
    const char *local_theta_key; // root's key of the local theta; NULL: there is none
};
// Reads config->rope and config->local_rope; decoder.rotary_dim must be known.
enum status read_layer_ropes(struct model_config *config, const struct config_reader *reader,
                             const struct layer_ropes *ropes, struct error *err);
