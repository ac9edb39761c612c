#include "pipeline/cli/options.h"
#include "pipeline/cli/stop.h"
#include "pipeline/text/duration.h"
#include "pipeline/text/number.h"
#include "pipeline/text/suggest.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const double default_margin = 60;

// ---- the options ---------------------------------------------------------------------------------------

enum {
    OPTION_TEAMS = 1000, // above every character: no short form
    OPTION_VARIANT,
    OPTION_THREADS,
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
    OPTION_JSON
};

static const struct option_row {
    struct argp_option argp;
    unsigned taken_by; // one of enum command_options; 0: every command
} rows[] = {
    {{"json", OPTION_JSON, NULL, 0, "Results on standard output as JSON", 1}, 0},
    {{"quiet", 'q', NULL, 0, "Nothing on standard error but errors", 1}, 0},
    {{"verbose", 'v', NULL, 0, "More messages", 1}, 0},
    {{"progress", OPTION_PROGRESS, "HOW", 0,
      "Progress on standard error: bar, lines, none, or auto (a bar on a terminal, lines otherwise)", 1},
     TAKES_PROGRESS},
    {{"variant", OPTION_VARIANT, "PATTERN", 0,
      "Only variants whose name matches (* ? [...]); may be given several times. 'dense' is the dense model "
      "and "
      "what all variants share. Several such programs may work in one run directory",
      2},
     TAKES_RANKS},
    {{"teams", OPTION_TEAMS, "N", 0,
      "Split the ranks into N teams, each with a unit of its own where units are "
      "independent",
      2},
     TAKES_RANKS},
    {{"threads", OPTION_THREADS, "N", 0, "Threads of every rank", 2}, TAKES_THREADS},
    {{"strict", OPTION_STRICT, NULL, 0,
      "Trust nothing: read all inputs again to compare them with the run's, and fail on a damaged file "
      "instead of making it again",
      2},
     TAKES_STRICT},
    {{"no-check", OPTION_NO_CHECK, NULL, 0,
      "Do not read what an earlier start has done to check it; what is used is checked all the same", 2},
     TAKES_STRICT},
    {{"max-time", OPTION_MAX_TIME, "TIME", 0,
      "Stop in time, with exit code 75, when the program may run for TIME: seconds, MM:SS, HH:MM:SS or "
      "D-HH:MM:SS",
      3},
     TAKES_STOP},
    {{"margin", OPTION_MARGIN, "TIME", 0,
      "Stop that long before --max-time (default: 60 seconds, at most a tenth of --max-time)", 3},
     TAKES_STOP},
    {{"stop-signal", OPTION_STOP_SIGNAL, "SIG", 0,
      "A signal that stops the program like TERM and INT do: name or number (default: USR1, which mpirun "
      "passes on)",
      3},
     TAKES_STOP},
    {{"wait", OPTION_WAIT, "TIME", 0,
      "Wait that long for another program that holds the run directory (default: not at all). A minute after "
      "a host died its programs hold nothing any more",
      3},
     TAKES_STOP},
    {{"nodes", OPTION_NODES, "N", 0, "Plan for N nodes (default: 1)", 2}, TAKES_MACHINE},
    {{"ranks-per-node", OPTION_RANKS_PER_NODE, "N", 0,
      "Plan for N ranks on each (default: those that the launcher started)", 2},
     TAKES_MACHINE},
    {{"machine", OPTION_MACHINE, "RATES", 0,
      "Plan with these rates instead of the built-in ones, such as flops=80G,network=25G; --json shows all",
      2},
     TAKES_MACHINE},
    {{"html", OPTION_HTML, "FILE", 0, "Write a page with the table and a plot", 2}, TAKES_HTML},
    {{"help", 'h', NULL, 0, "This help; after a command, the command's", -1}, 0},
    {{"version", 'V', NULL, 0, "Versions of the program and of its libraries", -1}, 0},
};
enum { NUM_OPTIONS = sizeof rows / sizeof rows[0] };

static const struct option_row *find_option(int key)
{
    for (size_t i = 0; i < NUM_OPTIONS; i++)
        if (rows[i].argp.key == key)
            return &rows[i];
    return NULL;
}

// ---- their values --------------------------------------------------------------------------------------

struct parse {
    struct options *options;
    struct error *err;
    const char *command;
    const char *extra; // a word too many
    bool help, version, margin_given;
    int given[NUM_OPTIONS]; // keys, in their order
    size_t num_given;
};

static enum status parse_count(int *count, const char *option, const char *text, struct error *err)
{
    uint64_t value;
    if (!whole_parse(text, &value) || value < 1 || value > INT_MAX)
        RETURN_ERROR(err, STATUS_USAGE, "%s must be a whole number from 1, got '%s'", option, text);
    *count = (int)value;
    return STATUS_OK;
}

static enum status parse_time(double *seconds, const char *option, const char *text, struct error *err)
{
    if (!duration_parse(text, seconds))
        RETURN_ERROR(err, STATUS_USAGE, "%s must be seconds, MM:SS, HH:MM:SS or D-HH:MM:SS, got '%s'", option,
                     text);
    return STATUS_OK;
}

static enum status parse_progress(enum progress_mode *mode, const char *text, struct error *err)
{
    static const char *const words[] = {"auto", "bar", "lines", "none"}; // as enum progress_mode
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(text, words[i]) == 0) {
            *mode = (enum progress_mode)i;
            return STATUS_OK;
        }
    RETURN_ERROR(err, STATUS_USAGE, "--progress must be auto, bar, lines or none, got '%s'", text);
}

static enum status parse_signal(int *signal_number, const char *text, struct error *err)
{
    if (!stop_signal_from_name(text, signal_number))
        RETURN_ERROR(err, STATUS_USAGE, "--stop-signal must be one of %s or its number, got '%s'",
                     stop_signal_list(), text);
    return STATUS_OK;
}

static enum status add_variant(struct options *options, const char *pattern, struct error *err)
{
    const size_t most = sizeof options->variants / sizeof *options->variants;
    RETURN_ERROR_IF(options->num_variants == most, err, STATUS_USAGE, "--variant may be given %zu times",
                    most);
    options->variants[options->num_variants++] = pattern;
    return STATUS_OK;
}

static enum status parse_option(struct parse *parse, int key, const char *argument)
{
    struct options *options = parse->options;

    switch (key) {
    case OPTION_JSON:
        options->json = true;
        break;
    case OPTION_STRICT:
        options->strict = true;
        break;
    case OPTION_VARIANT:
        return add_variant(options, argument, parse->err);
    case OPTION_NO_CHECK:
        options->no_check = true;
        break;
    case OPTION_TEAMS:
        return parse_count(&options->teams, "--teams", argument, parse->err);
    case OPTION_THREADS:
        return parse_count(&options->threads, "--threads", argument, parse->err);
    case OPTION_STOP_SIGNAL:
        return parse_signal(&options->stop_signal, argument, parse->err);
    case OPTION_MAX_TIME:
        return parse_time(&options->max_time, "--max-time", argument, parse->err);
    case OPTION_MARGIN:
        parse->margin_given = true;
        return parse_time(&options->margin, "--margin", argument, parse->err);
    case OPTION_NODES:
        return parse_count(&options->nodes, "--nodes", argument, parse->err);
    case OPTION_RANKS_PER_NODE:
        return parse_count(&options->ranks_per_node, "--ranks-per-node", argument, parse->err);
    case OPTION_MACHINE:
        options->machine = argument;
        return STATUS_OK;
    case OPTION_HTML:
        options->html = argument;
        return STATUS_OK;
    case OPTION_WAIT:
        return parse_time(&options->wait, "--wait", argument, parse->err);
    case OPTION_PROGRESS:
        return parse_progress(&options->progress, argument, parse->err);
    case 'q':
        options->verbosity = VERBOSITY_QUIET;
        break;
    case 'v':
        options->verbosity = VERBOSITY_VERBOSE;
        break;
    case 'h':
        parse->help = true;
        break;
    case 'V':
        parse->version = true;
        break;
    default:
        break;
    }
    return STATUS_OK;
}

static void take_path(struct parse *parse, const char *path)
{
    struct options *options = parse->options;
    const size_t most = sizeof options->paths / sizeof *options->paths;

    if (options->path == NULL)
        options->path = path;
    else if (parse->extra == NULL)
        parse->extra = path;
    if (options->num_paths < most)
        options->paths[options->num_paths] = path;
    options->num_paths++;
}

static error_t take_word(int key, char *argument, struct argp_state *state)
{
    struct parse *parse = state->input;

    if (key == ARGP_KEY_ARG) {
        if (parse->command == NULL)
            parse->command = argument;
        else
            take_path(parse, argument);
        return 0;
    }
    const struct option_row *row = find_option(key);
    if (row == NULL)
        return ARGP_ERR_UNKNOWN;
    // One note an option is enough, however often it is given.
    size_t known = 0;
    while (known < parse->num_given && parse->given[known] != key)
        known++;
    if (known == parse->num_given)
        parse->given[parse->num_given++] = key;
    return parse_option(parse, key, argument) == STATUS_OK ? 0 : EINVAL;
}

// ---- saying no -----------------------------------------------------------------------------------------

// The option whose name is, or alone begins with, name[length]. *matches counts the candidates.
static const struct option_row *find_long_option(const char *name, size_t length, size_t *matches)
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

static enum status refuse_long_option(const char *name, size_t length, struct error *err)
{
    const char *names[NUM_OPTIONS];
    char word[64];

    for (size_t i = 0; i < NUM_OPTIONS; i++)
        names[i] = rows[i].argp.name;
    snprintf(word, sizeof word, "%.*s", length < sizeof word ? (int)length : (int)sizeof word - 1, name);
    const char *near = suggest_nearest(word, names, NUM_OPTIONS);
    if (near != NULL)
        RETURN_ERROR(err, STATUS_USAGE, "unknown option '--%s', did you mean '--%s'?", word, near);
    RETURN_ERROR(err, STATUS_USAGE, "unknown option '--%s'", word);
}

// One word "--name", "--name=value". *takes_next: its value is the next word.
static enum status check_long_option(const char *name, bool has_next, bool *takes_next, struct error *err)
{
    const size_t length = strcspn(name, "=");
    const bool has_value = name[length] == '=';
    size_t matches;
    const struct option_row *row = find_long_option(name, length, &matches);

    *takes_next = false;
    if (matches == 0)
        return refuse_long_option(name, length, err);
    RETURN_ERROR_IF(matches > 1, err, STATUS_USAGE, "option '--%.*s' is ambiguous", (int)length, name);
    RETURN_ERROR_IF(has_value && row->argp.arg == NULL, err, STATUS_USAGE, "option '--%s' takes no value",
                    row->argp.name);
    *takes_next = !has_value && row->argp.arg != NULL;
    RETURN_ERROR_IF(*takes_next && !has_next, err, STATUS_USAGE, "option '--%s' needs a value: --%s %s",
                    row->argp.name, row->argp.name, row->argp.arg);
    return STATUS_OK;
}

// argp only says that some option is wrong. Finds the first word that is.
static enum status explain_wrong_option(int argc, char **argv, struct error *err)
{
    for (int word = 1; word < argc && strcmp(argv[word], "--") != 0; word++) {
        if (strncmp(argv[word], "--", 2) == 0) {
            bool takes_next;
            FORWARD_IF_ERROR(check_long_option(argv[word] + 2, word + 1 < argc, &takes_next, err));
            word += takes_next;
        } else if (argv[word][0] == '-') {
            for (const char *c = argv[word] + 1; *c != '\0'; c++)
                RETURN_ERROR_IF(find_option(*c) == NULL, err, STATUS_USAGE, "unknown option '-%c'", *c);
        }
    }
    RETURN_ERROR(err, STATUS_USAGE, "the options cannot be understood, see coppice --help");
}

static enum status refuse_command(const char *word, struct error *err)
{
    const char *names[COMMAND_VERIFY + 1];
    size_t count;
    const struct command *all = commands(&count);

    for (size_t i = 0; i < count; i++)
        names[i] = all[i].name;
    const char *near = suggest_nearest(word, names, count);
    if (near != NULL)
        RETURN_ERROR(err, STATUS_USAGE, "unknown command '%s', did you mean '%s'?", word, near);
    RETURN_ERROR(err, STATUS_USAGE, "unknown command '%s', see coppice --help", word);
}

static enum status check_words(const struct parse *parse)
{
    const struct options *options = parse->options;
    const struct command *command = options->command;

    RETURN_ERROR_IF(command == NULL, parse->err, STATUS_USAGE, "a command is missing, see coppice --help");
    RETURN_ERROR_IF(options->path == NULL, parse->err, STATUS_USAGE, "%s needs a %s: coppice %s %s",
                    command->name, command->argument == ARGUMENT_JOB ? "job file" : "run directory",
                    command->name, command_argument_name(command->argument));
    const size_t most = sizeof options->paths / sizeof *options->paths;
    RETURN_ERROR_IF(options->num_paths > most, parse->err, STATUS_USAGE,
                    "%s takes %zu run directories at most", command->name, most);
    RETURN_ERROR_IF(parse->extra != NULL && command->argument != ARGUMENT_RUNS, parse->err, STATUS_USAGE,
                    "%s takes one %s, '%s' is too many", command->name,
                    command->argument == ARGUMENT_JOB ? "job file" : "run directory", parse->extra);
    for (size_t i = 0; i < parse->num_given; i++) {
        const struct option_row *row = find_option(parse->given[i]);
        RETURN_ERROR_IF((row->taken_by & ~command->options) != 0, parse->err, STATUS_USAGE,
                        "%s does not take --%s", command->name, row->argp.name);
    }
    return STATUS_OK;
}

static enum status check_times(const struct parse *parse)
{
    struct options *options = parse->options;

    if (!parse->margin_given) {
        options->margin = options->max_time / 10;
        if (options->margin > default_margin)
            options->margin = default_margin;
        return STATUS_OK;
    }
    RETURN_ERROR_IF(options->max_time > 0 && options->margin >= options->max_time, parse->err, STATUS_USAGE,
                    "--margin must be less than --max-time");
    return STATUS_OK;
}

// ---- the whole -----------------------------------------------------------------------------------------

// The options of a command (NULL: all), ended as argp wants it.
static void choose_options(struct argp_option chosen[NUM_OPTIONS + 1], const struct command *command)
{
    size_t count = 0;
    for (size_t i = 0; i < NUM_OPTIONS; i++)
        if (command == NULL || (rows[i].taken_by & ~command->options) == 0)
            chosen[count++] = rows[i].argp;
    chosen[count] = (struct argp_option){0};
}

static void print_commands(FILE *out)
{
    size_t count;
    const struct command *all = commands(&count);

    fprintf(out, "Commands:\n");
    for (size_t i = 0; i < count; i++)
        fprintf(out, "  %-10s  %-7s  %s\n", all[i].name, command_argument_name(all[i].argument),
                all[i].summary);
}

static void print_examples(FILE *out, const char *examples)
{
    fprintf(out, "\nExamples:\n");
    for (const char *line = examples; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        fprintf(out, "  %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

static void print_help(FILE *out, const struct command *command)
{
    struct argp_option chosen[NUM_OPTIONS + 1];
    char name[64] = "coppice";
    struct argp argp = {.options = chosen};

    choose_options(chosen, command);
    if (command != NULL) {
        snprintf(name, sizeof name, "coppice %s", command->name);
        argp.args_doc = command_argument_name(command->argument);
        argp.doc = command->help;
    } else {
        argp.args_doc = "COMMAND JOB|RUN";
        argp.doc = program_summary;
    }
    argp_help(&argp, out, ARGP_HELP_SHORT_USAGE | ARGP_HELP_PRE_DOC, name);
    fprintf(out, "\n");
    if (command == NULL) {
        print_commands(out);
        fprintf(out, "\n");
    }
    fprintf(out, "Options:\n");
    argp_help(&argp, out, ARGP_HELP_LONG, name);
    print_examples(out, command != NULL ? command->examples : program_examples);
    fprintf(out, "\n%s", exit_codes_help);
}

enum status options_parse(struct options *options, int argc, char **argv, FILE *out, struct error *err)
{
    struct argp_option all[NUM_OPTIONS + 1];
    const struct argp argp = {.options = all, .parser = take_word};
    struct parse parse = {.options = options, .err = err};
    struct error own = {.status =
                            STATUS_OK}; // so that what argp says can be told from what an option's value says

    *options = (struct options){.stop_signal = SIGUSR1};
    choose_options(all, NULL);
    parse.err = &own;
    // Errors and help are ours: only one rank may print, and none may leave alone.
    if (argp_parse(&argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &parse) != 0) {
        if (own.status == STATUS_OK)
            return explain_wrong_option(argc, argv, err);
        RETURN_ERROR(err, own.status, "%s", own.message);
    }
    parse.err = err;
    if (parse.command != NULL) {
        options->command = command_find(parse.command);
        if (options->command == NULL)
            return refuse_command(parse.command, err);
    }
    if (parse.help || parse.version) {
        options->done = true;
        if (out != NULL && parse.help)
            print_help(out, options->command);
        else if (out != NULL)
            options_print_version(out);
        return STATUS_OK;
    }
    FORWARD_IF_ERROR(check_words(&parse));
    return check_times(&parse);
}
