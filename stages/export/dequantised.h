// dequantised.h - what an export of a quantised checkpoint says about itself: its weights are those that the
// codes stand for, in 16 or 32 bits (io/model/weights/coded.h), and no file may say otherwise.
#pragma once
#include "stages/stage.h"
#include <jansson.h>

// In folder `to`, which has the side files: config.json without the keys of quantisation, and
// model.safetensors.index.json (if the checkpoint has one) with the tensors that there are. Nothing where the
// checkpoint has no codes. Rank 0.
enum status dequantised_describe(const struct stage *stage, const char *to, struct error *err);
// One line about it. Called on every rank.
void dequantised_notice(const struct stage *stage);
// What coppice.json says of it, {"from": "fp8", "to": "BF16"}; NULL: nothing, or out of memory.
json_t *dequantised_record(const struct model *model);

// Reads the file, lets change edit it, and writes it again. STATUS_INPUT when it is not a JSON object.
enum status rewrite_json(const char *path, const struct stage *stage,
                         enum status (*change)(json_t *json, const struct stage *stage, struct error *err),
                         struct error *err);
