// expand_path.h - a home folder and variables in a path, as people write them.
#pragma once
#include "io/file/run_paths.h"

enum { VARIABLE_NAME_SIZE = 128 };

// Where the value of a variable comes from; NULL: it is not set.
struct path_variables {
    const char *(*value)(const void *context, const char *name);
    const void *context;
};

// Those of this process.
extern const struct path_variables environment_variables;

// out <- path with a leading "~" or "~/" replaced by HOME (without one, the user's home folder), and $NAME
// and ${NAME} by their values. A variable that is not set stays as it is written; unset, if not NULL, gets
// the name of the first such one, or "". A path that does not fit becomes "".
void expand_path(char out[PATH_SIZE], char unset[VARIABLE_NAME_SIZE], const char *path,
                 const struct path_variables *variables);
