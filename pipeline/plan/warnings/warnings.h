// warnings.h - lines for the user, said before a job runs: a list that grows.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

struct warnings {
    size_t count, room;
    char **lines;
    bool is_cut; // memory ran out, and a line was lost
};

// A line more.
void warnings_add(struct warnings *warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));
// STATUS_MEMORY where a line was lost.
enum status warnings_check(const struct warnings *warnings, struct error *err);
void warnings_free(struct warnings *warnings); // zeroed is fine
