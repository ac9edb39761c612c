// warnings.h - lines for the user, said before a job runs: a list that grows.
#pragma once
#include <stddef.h>

enum { WARNINGS_MAX = 24 };

struct warnings {
    size_t count;
    char *lines[WARNINGS_MAX];
};

// A line more; what there is no room for is left out.
void warnings_add(struct warnings *warnings, const char *format, ...) __attribute__((format(printf, 2, 3)));
void warnings_free(struct warnings *warnings); // zeroed is fine
