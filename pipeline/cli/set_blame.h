// set_blame.h - whose mistake a value is: the job file's, or that of --set over it.
#pragma once
#include "pipeline/cli/options.h"

// "JOB: KEY: ..." becomes "--set KEY: ..." where the command line sets the key. Other messages stay.
void set_blame(struct error *err, const struct options *options);
