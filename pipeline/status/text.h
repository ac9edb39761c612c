// text.h - what was seen of a run directory, for people: a line for each variant, each program, and what is
// left.
#pragma once
#include "pipeline/status/look.h"
#include <stdio.h>

void status_print_text(const struct look *look, FILE *out);
