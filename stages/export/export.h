// export.h - a variant as a Hugging Face model directory.
#pragma once
#include "stages/stage.h"
#include <jansson.h>

// The folder of a variant: `output` itself when the job has one variant, else OUTPUT/VARIANT. Not collective.
void export_path(char *path, size_t size, const struct settings *settings, const struct variant *variant);

enum export_state { EXPORT_ABSENT, EXPORT_DONE, EXPORT_FOREIGN, EXPORT_UNKNOWN };
// Whether the output folder does not exist, belongs to this run (its coppice.json says `identity`), or to
// somebody else. EXPORT_UNKNOWN: the system did not let us look; err (may be NULL) says why. Not collective.
enum export_state export_state_of(const char *path, const char *identity, struct error *err);

// Writes the folder: the same shards with the same headers, pruned tensors (and biases that the variant set)
// replaced by weights/VARIANT, all others byte for byte; biases that the checkpoint did not have as new
// tensors after the others (added_bias.h); the files beside them copied (side_files.h);
// README.md = the export's own card (card.h); coppice.json =
// provenance (used on rank 0, stays the caller's) with "identity", "linears" (kept and total weights of
// each), "files" (exported_files.h) and, for a variant with prune.permute, "permutation" (permutation.h)
// added. Such a variant's channels are exported in the order in which its pattern is in neighbours, and so
// are the rows of linears that are not pruned. Shards are committed one by one in a hidden folder next to the
// output (partial.h); a killed export goes on with the next shard. When all other files are there they are
// read back (read_back.h), coppice.json is written, and the folder takes its final name; one whose bytes are
// not those of the store and the source is removed: STATUS_FAILED.
enum status export_variant(const struct stage *stage, const struct variant *variant, const char *identity,
                           json_t *provenance, struct error *err);
