// compare_show.h - a comparison, as compare.c gathers it, for people. For compare.c.
#pragma once
#include "kernels/error.h"
#include <jansson.h>
#include <stdio.h>

// Tables of perplexities and of the accuracies on each task.
void compare_print(const json_t *comparison, FILE *out);
// A page with the same and a plot of the perplexities, committed to path.
enum status compare_write_page(const json_t *comparison, const char *path, struct error *err);
