// json.h - what was seen of a run directory, as one JSON object.
#pragma once
#include "pipeline/status/look.h"
#include <stdio.h>

// Writes nothing when memory runs out.
enum status status_print_json(const struct look *look, FILE *out, struct error *err);
