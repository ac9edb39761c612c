// config.h - reads a model's config.json.
#pragma once
#include "io/model/model_config.h"

struct family;

// Fills config from directory/config.json; freed with model_config_free, whatever the outcome. *family is the
// row of its model_type.
enum status model_config_read(struct model_config *config, const struct family **family,
                              const char *directory, struct error *err);
void model_config_free(struct model_config *config);
