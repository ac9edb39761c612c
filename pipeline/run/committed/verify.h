// verify.h - `coppice verify RUN`: compares every committed file, and every file of the models that the run
// exported, with its checksum.
#pragma once
#include "stages/team/team.h"
#include <stdio.h>

// Collective: each rank reads a share of the files. Prints each damaged file, and how many there are, to out,
// which is NULL on all ranks but 0. STATUS_DAMAGED, naming the first, when there is any.
enum status verify_run(const char *run, const struct team *team, bool json, FILE *out, struct error *err);
