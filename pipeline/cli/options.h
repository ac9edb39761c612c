// options.h - the command line: coppice COMMAND [options] JOB|RUN.
//
// Every rank parses the same words with the same result, so that all ranks exit with the same code. Only the
// rank that is given a stream prints.
#pragma once
#include "kernels/error.h"
#include "pipeline/cli/commands.h"
#include "pipeline/cli/progress.h"
#include <stdbool.h>
#include <stdio.h>

enum verbosity { VERBOSITY_QUIET = -1, VERBOSITY_NORMAL = 0, VERBOSITY_VERBOSE = 1 };

struct options {
    const struct command *command; // NULL only when done
    const char *path;              // JOB or RUN as written; points into argv
    const char *paths[64];         // all of them, where a command takes several
    size_t num_paths;
    const char *html; // --html: a page to write; NULL: none
    bool done;        // --help or --version was answered: leave with exit code 0
    bool json;        // results on standard output as JSON
    bool no_check;    // do not read what is done already to check it
    bool strict;      // compare all inputs again, and do not repair damaged files
    enum verbosity verbosity;
    enum progress_mode progress;
    int teams;                // 0: not given, the program chooses
    int threads;              // of every rank; 0: not given, leave it to the environment (OMP_NUM_THREADS,
                              // BLIS_NUM_THREADS)
    const char *kernel;       // of BLIS (kernels/blas_kernel.h); NULL: not given, the program chooses
    int stop_signal;          // default SIGUSR1, which mpirun forwards to its ranks
    double max_time;          // seconds from the start of the program; 0: no limit
    const char *variants[64]; // --variant: patterns of variant names; point into argv
    size_t num_variants;      // 0: all
    const char *sets[64];     // --set: "KEY=VALUE", in their order; point into argv
    size_t num_sets;
    const char *ignored_keys[64]; // --ignore-config-key: keys of the model's config.json; point into argv
    size_t num_ignored_keys;
    double margin; // seconds before max_time at which to stop; default 60, at most a tenth of max_time
    int nodes, ranks_per_node; // to plan for; 0: not given
    const char *machine;       // rates to plan with, for machine_parse; NULL: not given
    double wait;               // seconds to wait for another program that holds the run directory; 0: none
};

// Parses argv (its words may be reordered). Help and version go to out, which is NULL on ranks that must not
// print. STATUS_USAGE with one line, without the program's name in front, when the command line is wrong:
// "unknown command 'rnu', did you mean 'run'?".
enum status options_parse(struct options *options, int argc, char **argv, FILE *out, struct error *err);

// The words of --progress, in the order of enum progress_mode; NULL after the last.
const char *progress_mode_known(size_t index);

// Prints a line "name version" each for coppice, MPI, HDF5 and BLIS. May be called before MPI_Init.
void options_print_version(FILE *out);
