// argument.h - a job file where a command takes a run directory, and the other way round.
#pragma once
#include "pipeline/cli/options.h"

// STATUS_USAGE, with a message that says what the argument is and which command is meant, for one that is of
// the wrong kind. One that is not there is left to whoever opens it.
enum status argument_check(const struct options *options, struct error *err);
