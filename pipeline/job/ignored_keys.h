// ignored_keys.h - the keys of config.json that the user wants ignored, of the job file and of the command
// line.
#pragma once
#include "io/model/model.h"
#include "stages/settings.h"

// Adds names[count] to those that the job ignores, each once. Copies them.
enum status settings_ignore_keys(struct settings *settings, const char *const *names, size_t count,
                                 struct error *err);
// model_open on the job's model, but for those keys. Freed with model_close.
enum status settings_open_model(struct model **model, const struct settings *settings, struct error *err);
