// sections.h - positions of three kinds, for models of images whose language model GLM's is.
#pragma once
#include "io/model/model_config.h"

// Checks `mrope_section` against the rotary channels.
enum status read_position_sections(struct model_config *config, const struct rope_source *source,
                                   struct error *err);
