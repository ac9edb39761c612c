// card.h - README.md of an exported model: the model card that the Hub and readers look for.
#pragma once
#include "stages/stage.h"
#include <jansson.h>

// The file that the source's README.md is kept as: it speaks of another model.
#define SOURCE_CARD "README-source.md"

// Writes FOLDER/README.md: metadata (base_model, tags, and the source's license and language) in front, then
// what was pruned, how, from what, what was measured, and how to load it. record: what coppice.json says, of
// which "variant", "linears", "perplexity" and "tasks" are looked at where they are there. No date and no
// path: the same bytes from every run of the same job. The file is read back and compared. Not collective.
enum status card_write(const struct stage *stage, const struct variant *variant, const json_t *record,
                       const char *folder, struct error *err);
