// help.h - what --help prints. For options.c.
#pragma once
#include "pipeline/cli/commands.h"
#include <stdio.h>

// Help of a command; NULL: of the program.
void help_print(FILE *out, const struct command *command);
