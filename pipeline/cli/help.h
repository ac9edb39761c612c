// help.h - the text of --help. For options.c.
#pragma once
#include "pipeline/cli/commands.h"
#include <stdio.h>

// Prints the help of a command, or of the program when command is NULL.
void help_print(FILE *out, const struct command *command);
