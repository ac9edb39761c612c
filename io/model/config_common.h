// config_common.h - the keys of config.json that all families have: sizes, heads, norms, activation,
// positions.
//
// In: a reader of the language model's keys, and the family's row, which says what it calls them and what
// they are when they are absent. Out: the members of struct model_config that they fill.
#pragma once
#include "io/model/config_reader.h"
#include "io/model/family.h"

// config->wrapper is known before; config->layers is allocated. STATUS_INPUT names the file and the key.
enum status config_read_common(struct model_config *config, const struct config_reader *reader,
                               const struct family *family, struct error *err);
