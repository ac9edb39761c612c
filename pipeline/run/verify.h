// verify.h - `coppice verify RUN`: every committed file against its checksums.
#pragma once
#include "stages/team/team.h"
#include <stdio.h>

// Collective: files are dealt out over the ranks. Prints each damaged file and a count on rank 0;
// STATUS_DAMAGED, naming the first, when there is any.
enum status verify_run(const char *run, const struct team *team, bool json, FILE *out, struct error *err);
