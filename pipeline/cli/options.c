#include "pipeline/cli/options.h"
#include "pipeline/cli/documents.h"
#include "pipeline/cli/help.h"
#include "pipeline/cli/option_table.h"
#include "pipeline/cli/stop.h"
#include "pipeline/job/example.h"
#include "pipeline/job/keys.h"
#include "pipeline/job/peers.h"
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

// ---- values of options ---------------------------------------------------------------------------------

struct parse {
    struct options *options;
    struct error *err;
    const char *command;
    const char *extra; // a word too many
    bool help, version, margin_given;
    int given[MOST_OPTIONS]; // keys, in their order
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
        RETURN_ERROR(err, STATUS_USAGE,
                     "%s must be seconds, 30m, 4h, 1h30m, MM:SS, HH:MM:SS or D-HH:MM:SS, got '%s'", option,
                     text);
    return STATUS_OK;
}

// "0:00" is what squeue says in a job's last second, and would mean the contrary of no limit.
static enum status parse_max_time(double *seconds, const char *text, struct error *err)
{
    FORWARD_IF_ERROR(parse_time(seconds, "--max-time", text, err));
    RETURN_ERROR_IF(*seconds == 0 && strpbrk(text, ":-dhmsDHMS") != NULL && strpbrk(text, "uU") == NULL, err,
                    STATUS_USAGE, "--max-time %s leaves no time to run; without a limit it is 0 or UNLIMITED",
                    text);
    return STATUS_OK;
}

// As enum progress_mode.
static const char *const progress_words[] = {"auto", "bar", "lines", "none"};

const char *progress_mode_known(size_t index)
{
    return index < sizeof progress_words / sizeof progress_words[0] ? progress_words[index] : NULL;
}

static enum status parse_progress(enum progress_mode *mode, const char *text, struct error *err)
{
    const size_t count = sizeof progress_words / sizeof progress_words[0];
    const size_t index = find_word(text, progress_words, count);
    RETURN_ERROR_IF(index == count, err, STATUS_USAGE,
                    "--progress must be auto, bar, lines or none, got '%s'", text);
    *mode = (enum progress_mode)index;
    return STATUS_OK;
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

static enum status add_ignored_key(struct options *options, const char *key, struct error *err)
{
    const size_t most = sizeof options->ignored_keys / sizeof *options->ignored_keys;
    RETURN_ERROR_IF(key[0] == '\0', err, STATUS_USAGE,
                    "--ignore-config-key must be a key of config.json, got ''");
    RETURN_ERROR_IF(options->num_ignored_keys == most, err, STATUS_USAGE,
                    "--ignore-config-key may be given %zu times", most);
    options->ignored_keys[options->num_ignored_keys++] = key;
    return STATUS_OK;
}

// What stands in it is looked at where the job file is read.
static enum status add_set(struct options *options, const char *text, struct error *err)
{
    const size_t most = sizeof options->sets / sizeof *options->sets;
    RETURN_ERROR_IF(options->num_sets == most, err, STATUS_USAGE, "--set may be given %zu times", most);
    options->sets[options->num_sets++] = text;
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
    case OPTION_IGNORE_CONFIG_KEY:
        return add_ignored_key(options, argument, parse->err);
    case OPTION_SET:
        return add_set(options, argument, parse->err);
    case OPTION_NO_CHECK:
        options->no_check = true;
        break;
    case OPTION_TEAMS:
        return parse_count(&options->teams, "--teams", argument, parse->err);
    case OPTION_THREADS:
        return parse_count(&options->threads, "--threads", argument, parse->err);
    case OPTION_KERNEL:
        RETURN_ERROR_IF(argument[0] == '\0', parse->err, STATUS_USAGE, "--kernel must be a name, got ''");
        options->kernel = argument;
        return STATUS_OK;
    case OPTION_STOP_SIGNAL:
        return parse_signal(&options->stop_signal, argument, parse->err);
    case OPTION_MAX_TIME:
        return parse_max_time(&options->max_time, argument, parse->err);
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
        RETURN_ERROR_IF(argument[0] == '\0', parse->err, STATUS_USAGE, "--html must be a file, got ''");
        RETURN_ERROR_IF(strcmp(argument, "-") == 0, parse->err, STATUS_USAGE,
                        "--html must be a file, got '-'; a file of that name is ./-");
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
    const struct option_row *row = option_find(key);
    if (row == NULL)
        return ARGP_ERR_UNKNOWN;
    // An option is noted once, however often it is given.
    size_t known = 0;
    while (known < parse->num_given && parse->given[known] != key)
        known++;
    if (known == parse->num_given)
        parse->given[parse->num_given++] = key;
    return parse_option(parse, key, argument) == STATUS_OK ? 0 : EINVAL;
}

// ---- messages ------------------------------------------------------------------------------------------

// A key of the job file, or what another program calls one.
static enum status refuse_job_key(const char *word, struct error *err)
{
    const struct peer_word *peer = peer_word_find(word);
    enum job_key key = job_key_named(word);
    char answer[256];

    if (key == NUM_JOB_KEYS)
        key = job_key_of_word(word);
    RETURN_ERROR_IF(key != NUM_JOB_KEYS, err, STATUS_USAGE,
                    "unknown option '--%s': %s is a key of the job file; over it, --set %s=VALUE", word,
                    job_key_row(key)->path, job_key_row(key)->path);
    RETURN_ERROR_IF(peer != NULL, err, STATUS_USAGE, "unknown option '--%s': %s%s", word,
                    peer_word_answer(peer, answer, sizeof answer),
                    peer->ours != NULL ? "; keys of the job file are set by --set KEY=VALUE" : "");
    return STATUS_OK;
}

static enum status refuse_long_option(const char *name, size_t length, struct error *err)
{
    const char *names[MOST_OPTIONS];
    char word[64];
    size_t count;
    const struct option_row *rows = option_rows(&count);

    snprintf(word, sizeof word, "%.*s", length < sizeof word ? (int)length : (int)sizeof word - 1, name);
    FORWARD_IF_ERROR(refuse_job_key(word, err));
    for (size_t i = 0; i < count; i++)
        names[i] = rows[i].argp.name;
    const char *near = suggest_nearest(word, names, count);
    if (near != NULL)
        RETURN_ERROR(err, STATUS_USAGE, "unknown option '--%s', did you mean '--%s'?", word, near);
    RETURN_ERROR(err, STATUS_USAGE, "unknown option '--%s'", word);
}

// Checks one word, "--name" or "--name=value". Sets *takes_next when the value is the next word.
static enum status check_long_option(const char *name, bool has_next, bool *takes_next, struct error *err)
{
    const size_t length = strcspn(name, "=");
    const bool has_value = name[length] == '=';
    size_t matches;
    const struct option_row *row = option_find_long(name, length, &matches);

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

// argp only says that some option is wrong. This finds the first wrong word.
static enum status explain_wrong_option(int argc, char **argv, struct error *err)
{
    for (int word = 1; word < argc && strcmp(argv[word], "--") != 0; word++) {
        if (strncmp(argv[word], "--", 2) == 0) {
            bool takes_next;
            FORWARD_IF_ERROR(check_long_option(argv[word] + 2, word + 1 < argc, &takes_next, err));
            word += takes_next;
        } else if (argv[word][0] == '-') {
            for (const char *c = argv[word] + 1; *c != '\0'; c++)
                RETURN_ERROR_IF(option_find(*c) == NULL, err, STATUS_USAGE, "unknown option '-%c'", *c);
        }
    }
    RETURN_ERROR(err, STATUS_USAGE, "the options cannot be understood, see coppice --help");
}

static enum status refuse_command(const char *word, struct error *err)
{
    const char *names[NUM_COMMANDS];
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
    RETURN_ERROR_IF(options->path == NULL && command->argument != ARGUMENT_FOLDER, parse->err, STATUS_USAGE,
                    "%s needs a %s: coppice %s %s", command->name,
                    command->argument == ARGUMENT_JOB ? "job file" : "run directory", command->name,
                    command_argument_name(command->argument));
    const size_t most = sizeof options->paths / sizeof *options->paths;
    RETURN_ERROR_IF(options->num_paths > most, parse->err, STATUS_USAGE,
                    "%s takes %zu run directories at most", command->name, most);
    RETURN_ERROR_IF(parse->extra != NULL && command->argument != ARGUMENT_RUNS, parse->err, STATUS_USAGE,
                    "%s takes one %s, '%s' is too many", command->name,
                    command->argument == ARGUMENT_JOB ? "job file" : "run directory", parse->extra);
    for (size_t i = 0; i < parse->num_given; i++) {
        const struct option_row *row = option_find(parse->given[i]);
        RETURN_ERROR_IF(!option_is_taken(row, command), parse->err, STATUS_USAGE, "%s does not take --%s",
                        command->name, row->argp.name);
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

// ---- coppice help --------------------------------------------------------------------------------------

// After a command those keys of the job file that have the same name, or are in a section of that name.
static void print_keys_called(FILE *out, const char *topic)
{
    char *keys = NULL;
    size_t size;
    FILE *text = open_memstream(&keys, &size);

    if (text == NULL)
        return;
    const size_t count = job_example_print(text, topic);
    if (fclose(text) == 0 && count > 0)
        fprintf(out, "\nKeys of the job file:\n\n%s", keys);
    free(keys);
}

// A word of another program: what it is called here, and the help for that.
static void print_peer(FILE *out, const struct peer_word *peer)
{
    char answer[256];

    fprintf(out, "%s\n", peer_word_answer(peer, answer, sizeof answer));
    if (peer->ours == NULL)
        return;
    fprintf(out, "\n");
    job_example_print(out, peer->ours);
}

static enum status refuse_topic(const char *topic, struct error *err)
{
    char section[32] = "prune";
    const char *dot = strchr(topic, '.');

    if (dot != NULL)
        snprintf(section, sizeof section, "%.*s", (int)(dot - topic), topic);
    const char *near = job_key_suggest(section, dot != NULL ? dot + 1 : topic);
    if (near != NULL)
        RETURN_ERROR(err, STATUS_USAGE,
                     "'%s' is neither a command nor a key of the job file, did you mean '%s'?", topic, near);
    RETURN_ERROR(err, STATUS_USAGE,
                 "'%s' is neither a command nor a key of the job file; 'coppice help keys' has all keys",
                 topic);
}

// `coppice help [COMMAND|KEY]`: a command, or keys of the job file; "keys" is all of them.
static enum status answer_help(const struct parse *parse, FILE *out, struct error *err)
{
    const char *topic = parse->options->path;
    const struct command *command = topic != NULL ? command_find(topic) : NULL;
    FILE *nowhere = NULL;
    size_t keys = 1;

    RETURN_ERROR_IF(parse->extra != NULL, err, STATUS_USAGE, "help takes one word, '%s' is too many",
                    parse->extra);
    parse->options->done = true;
    if (topic == NULL || command != NULL) {
        if (out != NULL)
            help_print(out, command);
        if (out != NULL && command != NULL)
            print_keys_called(out, topic);
        return STATUS_OK;
    }
    if (document_print(out, topic))
        return STATUS_OK;
    if (out == NULL && (nowhere = fopen("/dev/null", "w")) != NULL)
        out = nowhere;
    if (out != NULL)
        keys = job_example_print(out, strcmp(topic, "keys") == 0 ? NULL : topic);
    if (nowhere != NULL) {
        fclose(nowhere);
        out = NULL;
    }
    if (keys > 0)
        return STATUS_OK;
    const char *dot = strrchr(topic, '.');
    const struct peer_word *peer = peer_word_find(dot != NULL ? dot + 1 : topic);
    if (peer == NULL)
        return refuse_topic(topic, err);
    if (out != NULL)
        print_peer(out, peer);
    return STATUS_OK;
}

// ---- the command line ----------------------------------------------------------------------------------

enum status options_parse(struct options *options, int argc, char **argv, FILE *out, struct error *err)
{
    struct argp_option all[MOST_OPTIONS + 1];
    const struct argp argp = {.options = all, .parser = take_word};
    struct parse parse = {.options = options, .err = err};
    struct error own = {.status =
                            STATUS_OK}; // so that what argp says can be told from what an option's value says

    *options = (struct options){.stop_signal = SIGUSR1};
    options_of(all, NULL);
    parse.err = &own;
    // argp must neither print nor exit: only one rank prints, and all ranks leave together.
    if (argp_parse(&argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &parse) != 0) {
        if (own.status == STATUS_OK)
            return explain_wrong_option(argc, argv, err);
        RETURN_ERROR(err, own.status, "%s", own.message);
    }
    parse.err = err;
    if (parse.command != NULL && strcmp(parse.command, "help") == 0 && !parse.version)
        return answer_help(&parse, out, err);
    if (parse.command != NULL) {
        options->command = command_find(parse.command);
        if (options->command == NULL)
            return refuse_command(parse.command, err);
    }
    if (parse.help || parse.version) {
        options->done = true;
        if (out != NULL && parse.help)
            help_print(out, options->command);
        else if (out != NULL)
            options_print_version(out);
        return STATUS_OK;
    }
    FORWARD_IF_ERROR(check_words(&parse));
    return check_times(&parse);
}
