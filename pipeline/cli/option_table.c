#include "pipeline/cli/option_table.h"

#include <string.h>

static const struct option_row rows[] = {
    {{"json", OPTION_JSON, NULL, 0, "Results on standard output as JSON", 1}, 0},
    {{"quiet", 'q', NULL, 0, "Print nothing but errors on standard error", 1}, 0},
    {{"verbose", 'v', NULL, 0, "More messages", 1}, 0},
    {{"progress", OPTION_PROGRESS, "HOW", 0,
      "Progress on standard error: bar, lines, none, or auto (a bar on a terminal, lines otherwise)", 1},
     TAKES_PROGRESS},
    {{"set", OPTION_SET, "KEY=VALUE", 0,
      "Use this value instead of the job file's, written as there: prune.sparsity=0.6, "
      "prune.method=[wanda,ria], evaluate.perplexity=null for none; may be given several times",
      1},
     TAKES_SET},
    {{"variant", OPTION_VARIANT, "PATTERN", 0,
      "Only variants whose name matches (* ? [...]); may be given several times. 'dense' is the dense model "
      "and what all variants share. Several such programs may work in one run directory",
      2},
     TAKES_RANKS},
    {{"teams", OPTION_TEAMS, "N", 0,
      "Split the ranks into N teams, which work on independent units side by side", 2},
     TAKES_RANKS},
    {{"threads", OPTION_THREADS, "N", 0, "Threads of every rank", 2}, TAKES_THREADS},
    {{"kernel", OPTION_KERNEL, "NAME", 0,
      "Use these kernels of BLIS for matrix products: skx, haswell, zen3, zen2, zen or generic (default: "
      "those that the run began with, at first the fastest); results may differ in their last bits",
      2},
     TAKES_KERNEL},
    {{"strict", OPTION_STRICT, NULL, 0,
      "Trust nothing: read all inputs again to compare them with the run's, and fail on a damaged file "
      "instead of making it again",
      2},
     TAKES_STRICT},
    {{"no-check", OPTION_NO_CHECK, NULL, 0,
      "Skip the checks of free disk space and of the files of earlier starts; a file is still checked when "
      "it is used. A plan then does not read corpora and texts either",
      2},
     TAKES_STRICT},
    {{"max-time", OPTION_MAX_TIME, "TIME", 0,
      "The program may run for TIME: seconds, 4h, 1h30m, MM:SS, HH:MM:SS or D-HH:MM:SS. It stops before "
      "that, with exit code 75. 0 or UNLIMITED: no limit",
      3},
     TAKES_STOP},
    {{"margin", OPTION_MARGIN, "TIME", 0,
      "Stop this long before --max-time (default: 60 seconds, at most a tenth of --max-time)", 3},
     TAKES_STOP},
    {{"stop-signal", OPTION_STOP_SIGNAL, "SIG", 0,
      "A signal that stops the program like TERM and INT do: name or number (default: USR1, which mpirun "
      "passes on)",
      3},
     TAKES_STOP},
    {{"wait", OPTION_WAIT, "TIME", 0,
      "Wait this long for another program that holds the run directory (default: not at all). What ran on a "
      "host that has died holds it for one more minute",
      3},
     TAKES_STOP},
    {{"ignore-config-key", OPTION_IGNORE_CONFIG_KEY, "KEY", 0,
      "Ignore this key of the model's config.json, which coppice does not know; may be given several times",
      2},
     TAKES_MODEL},
    {{"nodes", OPTION_NODES, "N", 0, "Plan for N nodes (default: 1)", 2}, TAKES_MACHINE},
    {{"ranks-per-node", OPTION_RANKS_PER_NODE, "N", 0,
      "Plan for N ranks on each (default: those that the launcher started)", 2},
     TAKES_MACHINE},
    {{"machine", OPTION_MACHINE, "RATES", 0,
      "Plan with these rates instead of the built-in ones, such as flops=80G,network=25G; 'measured' "
      "measures "
      "this machine's with the model, for a second or two; --json shows all",
      2},
     TAKES_MACHINE},
    {{"html", OPTION_HTML, "FILE", 0,
      "Write the page to FILE; a file that is already there is replaced only if it is such a page", 2},
     TAKES_HTML},
    {{"help", 'h', NULL, 0, "This help; after a command, the command's", -1}, 0},
    {{"version", 'V', NULL, 0, "Versions of the program and of its libraries", -1}, 0},
};
enum { NUM_OPTIONS = sizeof rows / sizeof rows[0] };
_Static_assert(sizeof rows / sizeof rows[0] <= MOST_OPTIONS, "a larger MOST_OPTIONS");

const struct option_row *option_rows(size_t *count)
{
    *count = NUM_OPTIONS;
    return rows;
}

const struct option_row *option_find(int key)
{
    for (size_t i = 0; i < NUM_OPTIONS; i++)
        if (rows[i].argp.key == key)
            return &rows[i];
    return NULL;
}

const struct option_row *option_find_long(const char *name, size_t length, size_t *matches)
{
    const struct option_row *found = NULL;

    *matches = 0;
    for (size_t i = 0; i < NUM_OPTIONS; i++) {
        if (strncmp(name, rows[i].argp.name, length) != 0)
            continue;
        found = &rows[i];
        if (rows[i].argp.name[length] == '\0') {
            *matches = 1;
            break;
        }
        (*matches)++;
    }
    return found;
}

bool option_is_taken(const struct option_row *row, const struct command *command)
{
    return command == NULL || (row->taken_by & ~command->options) == 0;
}

void options_of(struct argp_option chosen[MOST_OPTIONS + 1], const struct command *command)
{
    size_t count = 0;
    for (size_t i = 0; i < NUM_OPTIONS; i++)
        if (option_is_taken(&rows[i], command))
            chosen[count++] = rows[i].argp;
    chosen[count] = (struct argp_option){0};
}
