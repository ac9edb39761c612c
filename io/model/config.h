// config.h - reads a model's config.json.
#pragma once
#include "io/model/model_config.h"

struct family;
struct ignored_keys; // config_unread.h

// Fills config from directory/config.json; freed with model_config_free, whatever the outcome. *family is the
// row of its model_type. Keys that nobody read are refused (config_unread.h); ignored may be NULL.
enum status model_config_read(struct model_config *config, const struct family **family,
                              const char *directory, const struct ignored_keys *ignored, struct error *err);
void model_config_free(struct model_config *config);
