// open.h - opens a model directory.
#pragma once
#include "io/model/config_unread.h"
#include "io/model/model.h"

// Reads config.json, opens the checkpoint, checks that every tensor that the family asks for is there with
// the shape that the config says (STATUS_INPUT names file and tensor). Reads no weights. Freed with
// model_close.
enum status model_open(struct model **model, const char *directory, struct error *err);
// The same where the user said which keys of config.json are to be ignored (config_unread.h).
enum status model_open_ignoring(struct model **model, const char *directory,
                                const struct ignored_keys *ignored, struct error *err);
void model_close(struct model *model); // NULL is fine
