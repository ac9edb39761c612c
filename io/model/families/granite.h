// granite.h - the factors of IBM's Granite models, with and without experts.
#pragma once
#include "io/model/config_reader.h"
#include "io/model/model_config.h"

// `embedding_multiplier`, `residual_multiplier`, `attention_multiplier` (in place of 1 / sqrt(head_dim)) and
// `logits_scaling`, a divisor; all 1 when absent.
enum status configure_granite(struct model_config *config, const struct config_reader *reader,
                              struct error *err);
