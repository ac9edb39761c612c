// commands.h - the table of commands, one row each. pipeline/main.c finds the function of a command by its
// `id`, so that the command line can be parsed and tested without these functions.
#pragma once
#include <stddef.h>

enum command_id {
    COMMAND_PLAN,
    COMMAND_RUN,
    COMMAND_CALIBRATE,
    COMMAND_SCORE,
    COMMAND_COMPENSATE,
    COMMAND_EXPORT,
    COMMAND_EVALUATE,
    COMMAND_STATUS,
    COMMAND_RESULTS,
    COMMAND_REPORT,
    COMMAND_COMPARE,
    COMMAND_DIAGNOSE,
    COMMAND_VERIFY,
    COMMAND_DOCTOR,
    NUM_COMMANDS
};

enum command_argument {
    ARGUMENT_JOB,  // a job file
    ARGUMENT_RUN,  // a run directory
    ARGUMENT_RUNS, // one or more run directories
    ARGUMENT_JOB_OR_RUN,
    ARGUMENT_FOLDER // any folder, or nothing: the current one
};

// The options that a command takes, or-ed. Every command takes --help, --version, --quiet, --verbose and
// --json.
enum command_options {
    TAKES_RANKS = 1,    // --teams, --variant
    TAKES_STOP = 2,     // --stop-signal, --max-time, --margin, --wait
    TAKES_STRICT = 4,   // --strict
    TAKES_PROGRESS = 8, // --progress
    TAKES_THREADS = 32, // --threads
    TAKES_MACHINE = 16, // --nodes, --ranks-per-node, --machine
    TAKES_HTML = 64,    // --html
    TAKES_KERNEL = 128, // --kernel
    TAKES_MODEL = 256,  // --ignore-config-key
    TAKES_SET = 512     // --set
};

struct command {
    enum command_id id;
    const char *name;
    enum command_argument argument;
    unsigned options;     // enum command_options
    const char *summary;  // one line without a full stop
    const char *help;     // paragraphs for `coppice NAME --help`
    const char *examples; // command lines, one a line
};

// All commands, in the order of the help.
const struct command *commands(size_t *count);
const struct command *command_find(const char *name);              // NULL: no such command
const char *command_argument_name(enum command_argument argument); // "JOB", "RUN"

// Help of the program as a whole.
extern const char *const program_summary;
extern const char *const program_examples; // one a line
extern const char *const exit_codes_help;
