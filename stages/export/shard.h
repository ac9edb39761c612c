// shard.h - one shard of the checkpoint, as a variant changes it.
#pragma once
#include "stages/stage.h"

// Commits the shard `index` of the checkpoint as `path`: the same header and bytes, but for the weights and
// biases that weights/VARIANT has, and for the biases that the variant adds (added_bias.h). The rows of a
// pruned weight are split over the team, the other tensors are dealt out whole. Collective. A failure leaves
// no file.
enum status export_shard(const struct stage *stage, const struct variant *variant, size_t index,
                         const char *path, struct error *err);
