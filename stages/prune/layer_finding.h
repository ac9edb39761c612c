// layer_finding.h - what was found in a layer, as a sealed JSON file: the member "layers" says how many
// layers the model has.
#pragma once
#include "stages/stage.h"

#include <jansson.h>

// Rank 0 commits json and gives its reference up; NULL: memory ran out. Collective; json counts on rank 0.
enum status layer_finding_write(const char *path, json_t *json, const struct stage *stage, struct error *err);
// *layers <- how many layers the model has, by one of the files. Not collective. Fails when it is not there.
enum status layer_finding_layers(size_t *layers, const char *path, struct error *err);
