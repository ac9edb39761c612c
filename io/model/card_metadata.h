// card_metadata.h - what a model's card says of it: the metadata in front of README.md.
#pragma once
#include "kernels/error.h"
#include <jansson.h>

// Members of the YAML between "---" lines at the top of FOLDER/README.md that hold for a pruned model as
// well:
// {"license", "license_name", "license_link", "language", "library_name", "pipeline_tag", "datasets",
// "tags"}, each a text or a list of texts. What speaks of that model alone (model-index, base_model, widget,
// ...) is left out, and so is a null; texts are as printable.h makes them. New reference, empty when there is
// no README.md or nothing in front of it. *notice gets a text, to be freed, where the metadata is there and
// is not YAML, is longer than a mebibyte, or has something else where texts belong; else NULL.
enum status card_metadata_read(json_t **metadata, char **notice, const char *folder, struct error *err);
