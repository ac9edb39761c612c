// option_table.h - the table of options: name, value and help of each, and the commands that take it. For
// options.c and help.c.
#pragma once
#include "pipeline/cli/commands.h"
#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

enum option_key {
    OPTION_TEAMS = 1000, // above every character: no short form
    OPTION_VARIANT,
    OPTION_THREADS,
    OPTION_KERNEL,
    OPTION_STOP_SIGNAL,
    OPTION_MAX_TIME,
    OPTION_MARGIN,
    OPTION_WAIT,
    OPTION_NODES,
    OPTION_RANKS_PER_NODE,
    OPTION_MACHINE,
    OPTION_HTML,
    OPTION_STRICT,
    OPTION_NO_CHECK,
    OPTION_PROGRESS,
    OPTION_IGNORE_CONFIG_KEY,
    OPTION_SET,
    OPTION_JSON
};

struct option_row {
    struct argp_option argp;
    unsigned taken_by; // one of enum command_options; 0: every command
};

enum { MOST_OPTIONS = 32 };

const struct option_row *option_rows(size_t *count); // MOST_OPTIONS at most
const struct option_row *option_find(int key);       // NULL: no such option
// The option whose name is, or alone begins with, name[length]. *matches counts the candidates.
const struct option_row *option_find_long(const char *name, size_t length, size_t *matches);
bool option_is_taken(const struct option_row *row, const struct command *command);
// The options of a command (NULL: all), ended as argp wants it.
void options_of(struct argp_option chosen[MOST_OPTIONS + 1], const struct command *command);
