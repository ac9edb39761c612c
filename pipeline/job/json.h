// json.h - a job and its variants as JSON, through the table of keys: run.json, plan --json, coppice.json.
#pragma once
#include "kernels/error.h"
#include "stages/settings.h"
#include <jansson.h>

// {"model", "run", "output" (null: none), "calibration": {"corpus", "sequences", "length", "seed",
// "keep_activations"},
//  "prune": {"propagation", "skip"} and, if there are any, "ratios": [[PATTERN, SPARSITY]...],
//  "keep_weights", "variants": [variant_to_json...], "evaluate": {"perplexity" (or null), "length", "tasks"
//  (when there are some): [{"name", "data", "format", "limit", "delimiter"} (null: default)]}}
// and keys that came later, "SECTION": {"KEY"}, where they do not have their default; "expected":
// [{"variant", "perplexity", "length", "source"}] when there are some.
// New references; NULL when memory ran out or a text is not UTF-8.
json_t *settings_to_json(const struct settings *settings);

// {"name", "method", "sparsity": 0.5 or "pattern": "2:4", "group", "energy": ["columns", "rows"]} and, where
// the method or the compensation uses them or they do not have their default, "alpha", "epsilon",
// "activation_exponent", "allocation": "owl", "owl_threshold", "owl_range", "output": "mixed", "bias": true,
// "guard", "clamp": [low, high] and keys that came later.
json_t *variant_to_json(const struct variant *variant);

// Back again, for commands that are given a run directory. origin (the file's name) begins the messages.
// STATUS_DAMAGED when the JSON is not what settings_to_json writes. Freed with settings_free.
enum status settings_from_json(struct settings **settings, const json_t *json, const char *origin,
                               struct error *err);

// The part of a job's JSON that masks and weights depend on: without paths, variants, and keys that may
// change between two starts. A run directory keeps to it. New reference; NULL when memory ran out.
json_t *settings_identity(const json_t *job);
