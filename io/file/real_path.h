// real_path.h - where a path leads, also when its last parts are not there yet.
#pragma once
#include "io/file/run_paths.h"
#include "kernels/error.h"
#include <stdbool.h>

// out <- the absolute path without symbolic links, "." and "..". Parts that do not exist are taken as they
// are written. A path that cannot be looked up, or that is too long, is STATUS_USAGE.
enum status real_path(char out[PATH_SIZE], const char *path, struct error *err);

// Whether the real path `inner` is `outer` or lies in it.
bool path_is_within(const char *inner, const char *outer);
