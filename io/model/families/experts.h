// experts.h - how many experts there are, and how many of them a token takes.
#pragma once
#include "io/model/config_reader.h"
#include "kernels/forward/decoder.h"

// Number of experts, by either of its two names, and how many a token takes.
enum status read_experts(struct decoder_config *decoder, const struct config_reader *reader, size_t experts,
                         size_t per_token, struct error *err);
