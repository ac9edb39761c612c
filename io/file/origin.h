// origin.h - what a committed file of a run says of itself: what it was made from, and which file it is, so
// that one that came from another run, or under the name of another variant or layer, is not taken for it.
#pragma once
#include "kernels/error.h"
#include <stdint.h>

struct file_origin {
    uint64_t made_from; // a hash of what the contents are computed from; 0: not said
    const char *run;    // the run directory; NULL: the file says no name
};

// For a file that says nothing.
#define NO_ORIGIN ((struct file_origin){0, NULL})

enum { ORIGIN_NAME_SIZE = 400 };
// name <- the path from the run directory on, "masks/wanda-0.5/layer-007.h5"; "" where the file is not in it,
// or there is no room. A folder "VARIANT~3", of an attempt, is called "VARIANT": a search takes it over, and
// its files are those that the variant itself would make.
void origin_name(char name[ORIGIN_NAME_SIZE], struct file_origin origin, const char *path);

// STATUS_USAGE when the file at `path` says that it is another one; one that says nothing ("") is believed.
enum status origin_check(const char *path, const char *name, struct error *err);
