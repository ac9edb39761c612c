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

// What is wrong with a path: a variable that is not set, or "${" that does not begin "${NAME}".
enum path_fault_kind { PATH_IS_GOOD = 0, PATH_UNSET, PATH_BRACE };
struct path_fault {
    enum path_fault_kind kind;
    char name[VARIABLE_NAME_SIZE]; // PATH_UNSET: the variable's, the first such one
};

// out <- path with a leading "~" or "~/" replaced by HOME (without one, the user's home folder), and $NAME
// and
// ${NAME} by their values. "$$" is one dollar sign, and "$" before anything else stands for itself. A path
// that does not fit becomes "". With a fault, out means nothing. fault NULL: as Python's os.path.expandvars,
// for which "$$" is nothing special, and what is no variable that is set stays as it is written.
void expand_path(char out[PATH_SIZE], struct path_fault *fault, const char *path,
                 const struct path_variables *variables);
