// read_back.h - an exported shard compared with what it was made from, before anybody can take it for the
// model.
#pragma once
#include "stages/stage.h"
#include <stdbool.h>

// Reads the shard at `path`, an export of the checkpoint's shard `index`. Pruned weights must have the
// store's bytes, and zeros wherever the mask prunes; biases that the variant sets must have the store's
// bytes; the header and all other tensors must have the source's. A difference is STATUS_FAILED and names the
// tensor; *differs tells it from a file that could not be read. Collective: rows and tensors are split over
// the team.
enum status export_read_back(const struct stage *stage, const struct variant *variant, size_t index,
                             const char *path, bool *differs, struct error *err);
