// exit_code.h - the exit codes of the program.
#pragma once
#include "kernels/error.h"

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,   // command line or job file
    EXIT_INPUT = 3,   // model, corpus or tokenizer
    EXIT_STOPPED = 75 // stopped early, what was committed is kept: run again (sysexits.h's EX_TEMPFAIL, which
                      // schedulers know)
};

// OK 0, STOPPED 75, USAGE 2, INPUT 3; DAMAGED, FAILED, MEMORY and anything unknown 1.
int exit_code(enum status status);
