// The command line. Help is pinned by golden files in tests/pipeline/cli/golden; to write them anew after a
// change that was meant: COPPICE_UPDATE_GOLDEN=1 ctest --preset release -R cli.options, and read the
// difference.
#include "pipeline/cli/options.h"
#include "pipeline/job/peers.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { MOST_WORDS = 32 };

// Parses "coppice" and the words of line, which is cut at its blanks. Words that must hold a blank are not
// needed here.
static enum status parse(struct options *options, char *line, FILE *out, struct error *err)
{
    char *argv[MOST_WORDS + 1] = {"coppice"};
    int argc = 1;
    for (char *word = strtok(line, " "); word != NULL && argc < MOST_WORDS; word = strtok(NULL, " "))
        argv[argc++] = word;
    return options_parse(options, argc, argv, out, err);
}

static struct options parse_good(char *line)
{
    struct options options;
    struct error err = {0};
    if (parse(&options, line, NULL, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    return options;
}

static void without_options_there_are_defaults(void **state)
{
    char line[] = "run job.yaml";
    const struct options options = parse_good(line);
    (void)state;
    assert_int_equal(options.command->id, COMMAND_RUN);
    assert_string_equal(options.path, "job.yaml");
    assert_false(options.done);
    assert_false(options.json);
    assert_false(options.strict);
    assert_int_equal(options.verbosity, VERBOSITY_NORMAL);
    assert_int_equal(options.progress, PROGRESS_AUTO);
    assert_int_equal(options.teams, 0);
    assert_int_equal(options.threads, 0);
    assert_int_equal(options.stop_signal, SIGUSR1);
    assert_true(options.max_time == 0);
}

static void every_option_arrives(void **state)
{
    char line[] =
        "run --json --verbose --strict --teams 3 --threads=4 --stop-signal TERM --max-time 1-02:03:04 "
        "--margin 2:00 --wait 90 --progress bar job.yaml";
    const struct options options = parse_good(line);
    (void)state;
    assert_true(options.json);
    assert_true(options.strict);
    assert_int_equal(options.verbosity, VERBOSITY_VERBOSE);
    assert_int_equal(options.teams, 3);
    assert_int_equal(options.threads, 4);
    assert_int_equal(options.stop_signal, SIGTERM);
    assert_true(options.max_time == 93784);
    assert_true(options.margin == 120);
    assert_true(options.wait == 90);
    assert_int_equal(options.progress, PROGRESS_BAR);
    assert_string_equal(options.path, "job.yaml");
}

static void options_may_stand_anywhere(void **state)
{
    char before[] = "--json -q run job.yaml", between[] = "run --json -q job.yaml",
         after[] = "run job.yaml --json -q";
    char *const lines[] = {before, between, after};
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        const struct options options = parse_good(lines[i]);
        assert_true(options.json);
        assert_int_equal(options.verbosity, VERBOSITY_QUIET);
        assert_string_equal(options.command->name, "run");
        assert_string_equal(options.path, "job.yaml");
    }
}

static void after_two_dashes_words_are_no_options(void **state)
{
    char line[] = "run -- --json";
    const struct options options = parse_good(line);
    (void)state;
    assert_string_equal(options.path, "--json");
    assert_false(options.json);
}

static void the_margin_fits_the_time(void **state)
{
    static const struct {
        const char *line;
        double margin;
    } cases[] = {{"run --max-time 36000 j", 60},
                 {"run --max-time 600 j", 60},
                 {"run --max-time 100 j", 10},
                 {"run --max-time 0 j", 0},
                 {"run --max-time UNLIMITED j", 0},
                 {"run --max-time 100 --margin 0 j", 0},
                 {"run --max-time 100 --margin 99 j", 99}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char line[128];
        snprintf(line, sizeof line, "%s", cases[i].line);
        assert_true(parse_good(line).margin == cases[i].margin);
    }
}

static void stop_signals_have_names_and_numbers(void **state)
{
    static const char *const words[] = {"USR2", "SIGUSR2", "usr2", "sigusr2"};
    char line[64];
    (void)state;
    for (size_t i = 0; i < COUNT(words); i++) {
        snprintf(line, sizeof line, "run --stop-signal %s j", words[i]);
        assert_int_equal(parse_good(line).stop_signal, SIGUSR2);
    }
    snprintf(line, sizeof line, "run --stop-signal %d j", SIGUSR2);
    assert_int_equal(parse_good(line).stop_signal, SIGUSR2);
}

// argp and getopt must print nothing themselves: every rank would print it.
static enum status parse_in_silence(struct options *options, char *line, struct error *err)
{
    FILE *errors = tmpfile();
    const int standard_error = dup(STDERR_FILENO);
    dup2(fileno(errors), STDERR_FILENO);
    const enum status status = parse(options, line, NULL, err);
    dup2(standard_error, STDERR_FILENO);
    close(standard_error);
    assert_int_equal(lseek(fileno(errors), 0, SEEK_END), 0);
    fclose(errors);
    return status;
}

static void wrong_command_lines_are_refused_with_one_line(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"", "a command is missing, see coppice --help"},
        {"--json", "a command is missing, see coppice --help"},
        {"rnu job.yaml", "unknown command 'rnu', did you mean 'run'?"},
        {"calibarte", "unknown command 'calibarte', did you mean 'calibrate'?"},
        {"prune job.yaml", "unknown command 'prune', see coppice --help"},
        {"rnu --help", "unknown command 'rnu', did you mean 'run'?"},
        {"run", "run needs a job file: coppice run JOB"},
        {"status", "status needs a run directory: coppice status RUN"},
        {"run a b", "run takes one job file, 'b' is too many"},
        {"verify a b c", "verify takes one run directory, 'b' is too many"},
        {"run --tems 3 j", "unknown option '--tems', did you mean '--teams'?"},
        {"run --frobnicate j", "unknown option '--frobnicate'"},
        {"run --frobnicate=1 j", "unknown option '--frobnicate'"},
        {"run --sparsity 0.6 j",
         "unknown option '--sparsity': prune.sparsity is a key of the job file; over it, --set "
         "prune.sparsity=VALUE"},
        {"run --prune.skip=[a] j", "unknown option '--prune.skip': prune.skip is a key of the job file; over "
                                   "it, --set prune.skip=VALUE"},
        {"plan --nsamples 128 j",
         "unknown option '--nsamples': nsamples (Wanda and SparseGPT) is "
         "calibration.sequences in coppice; keys of the job file are set by --set KEY=VALUE"},
        {"run --save-model d j",
         "unknown option '--save-model': save_model (Wanda) is output in coppice; keys of "
         "the job file are set by --set KEY=VALUE"},
        {"run --wbits=4 j", "unknown option '--wbits': wbits (SparseGPT) has no counterpart in coppice: "
                            "there is no quantisation"},
        {"run j --set", "option '--set' needs a value: --set KEY=VALUE"},
        {"status --set a=b r", "status does not take --set"},
        {"run -z j", "unknown option '-z'"},
        {"run -qz j", "unknown option '-z'"},
        {"run --t 3 j", "option '--t' is ambiguous"},
        {"run --json=yes j", "option '--json' takes no value"},
        {"run j --teams", "option '--teams' needs a value: --teams N"},
        {"run --teams 0 j", "--teams must be a whole number from 1, got '0'"},
        {"run --teams -1 j", "--teams must be a whole number from 1, got '-1'"},
        {"run --teams 2x j", "--teams must be a whole number from 1, got '2x'"},
        {"run --teams= j", "--teams must be a whole number from 1, got ''"},
        {"report --html= r", "--html must be a file, got ''"},
        {"report --html - r", "--html must be a file, got '-'; a file of that name is ./-"},
        {"run --kernel= j", "--kernel must be a name, got ''"},
        {"run --threads 99999999999 j", "--threads must be a whole number from 1, got '99999999999'"},
        {"run --max-time 1w j",
         "--max-time must be seconds, 30m, 4h, 1h30m, MM:SS, HH:MM:SS or D-HH:MM:SS, got '1w'"},
        {"run --max-time 1:90 j",
         "--max-time must be seconds, 30m, 4h, 1h30m, MM:SS, HH:MM:SS or D-HH:MM:SS, got '1:90'"},
        {"run --margin -1 j",
         "--margin must be seconds, 30m, 4h, 1h30m, MM:SS, HH:MM:SS or D-HH:MM:SS, got '-1'"},
        {"run --max-time 0:00 j",
         "--max-time 0:00 leaves no time to run; without a limit it is 0 or UNLIMITED"},
        {"run --max-time 0-0 j",
         "--max-time 0-0 leaves no time to run; without a limit it is 0 or UNLIMITED"},
        {"run --max-time 0s j", "--max-time 0s leaves no time to run; without a limit it is 0 or UNLIMITED"},
        {"run --max-time 10 --margin 10 j", "--margin must be less than --max-time"},
        {"run --stop-signal KILL j", "--stop-signal must be one of HUP, INT, QUIT, TERM, USR1, USR2, ALRM, "
                                     "XCPU, CONT or its number, got 'KILL'"},
        {"run --stop-signal 9 j", "--stop-signal must be one of HUP, INT, QUIT, TERM, USR1, USR2, ALRM, "
                                  "XCPU, CONT or its number, got '9'"},
        {"run --progress dots j", "--progress must be auto, bar, lines or none, got 'dots'"},
        {"help plan run", "help takes one word, 'run' is too many"},
        {"help sparsty",
         "'sparsty' is neither a command nor a key of the job file, did you mean 'prune.sparsity'?"},
        {"help prune.methd",
         "'prune.methd' is neither a command nor a key of the job file, did you mean 'prune.method'?"},
        {"help qwertz",
         "'qwertz' is neither a command nor a key of the job file; 'coppice help keys' has all keys"},
        {"status --teams 2 r", "status does not take --teams"},
        {"status --max-time 10 r", "status does not take --max-time"},
        {"plan --teams 2 j", "plan does not take --teams"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct options options;
        struct error err = {0};
        char line[256];
        snprintf(line, sizeof line, "%s", cases[i].line);
        const enum status status = parse_in_silence(&options, line, &err);
        if (status == STATUS_OK)
            fail_msg("taken: coppice %s", cases[i].line);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(status, STATUS_USAGE);
        assert_int_equal(err.status, STATUS_USAGE);
    }
}

static void beginnings_of_options_are_enough(void **state)
{
    char line[] = "run --prog lines --teams 2 job.yaml";
    (void)state;
    assert_int_equal(parse_good(line).progress, PROGRESS_LINES);
}

// ---- help ----------------------------------------------------------------------------------------------

static char *output_of(const char *words)
{
    char line[128], *text = NULL;
    size_t size;
    struct options options;
    struct error err = {0};
    FILE *out = open_memstream(&text, &size);
    snprintf(line, sizeof line, "%s", words);
    assert_int_equal(parse(&options, line, out, &err), STATUS_OK);
    assert_true(options.done);
    fclose(out);
    return text;
}

static void golden_path(char *path, size_t size, const char *name)
{
    const char *const here = __FILE__;
    snprintf(path, size, "%.*sgolden/%s", (int)(strrchr(here, '/') + 1 - here), here, name);
}

static void assert_golden(const char *name, const char *text)
{
    char path[4096], expected[16384];
    golden_path(path, sizeof path, name);
    if (getenv("COPPICE_UPDATE_GOLDEN") != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
        return;
    }
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s is missing", path);
    const size_t size = fread(expected, 1, sizeof expected - 1, file);
    fclose(file);
    expected[size] = '\0';
    assert_string_equal(text, expected);
}

static void help_of_the_program_and_of_each_command_is_as_agreed(void **state)
{
    size_t count;
    const struct command *all = commands(&count);
    char *text = output_of("--help");
    (void)state;
    assert_golden("help.txt", text);
    free(text);
    for (size_t i = 0; i < count; i++) {
        char words[64], name[64];
        snprintf(words, sizeof words, "%s --help", all[i].name);
        snprintf(name, sizeof name, "help-%s.txt", all[i].name);
        text = output_of(words);
        assert_golden(name, text);
        free(text);
    }
}

static void help_needs_no_argument_and_wins(void **state)
{
    static const char *const lines[] = {"-h", "run -h job.yaml", "--help run", "status --help --version"};
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        char *text = output_of(lines[i]);
        assert_memory_equal(text, "Usage: coppice", 14);
        free(text);
    }
}

static void help_is_also_a_word(void **state)
{
    char *plan = output_of("plan --help"), *same = output_of("help plan"), *all = output_of("--help");
    char *key = output_of("help prune.method"), *word = output_of("help"), *keys = output_of("help keys");
    (void)state;

    assert_string_equal(same, plan); // no key is called so
    assert_string_equal(word, all);
    assert_non_null(strstr(key, "prune:\n  method: alps"));
    assert_null(strstr(key, "sparsity"));
    assert_non_null(strstr(keys, "calibration:\n"));
    char *evaluate = output_of("evaluate --help"), *both = output_of("help evaluate");
    assert_memory_equal(both, evaluate, strlen(evaluate));
    assert_non_null(strstr(both + strlen(evaluate), "Keys of the job file:\n\nevaluate:\n  perplexity: "));
    free(evaluate);
    free(both);
    free(plan);
    free(same);
    free(all);
    free(key);
    free(word);
    free(keys);
}

// Keys of the same name, wherever they are, also in what a key takes.
static void help_finds_a_key_by_its_last_word(void **state)
{
    static const struct {
        const char *line, *found[4];
        const char *other;
    } cases[] = {{"help field", {"calibration:\n  field:", "evaluate:\n  perplexity:"}, "tasks:"},
                 {"help evaluate.perplexity.field", {"evaluate:\n  perplexity:"}, "calibration:\n"},
                 {"help shots", {"evaluate:\n  tasks:"}, "perplexity:"},
                 {"help perplexity", {"budget:", "evaluate:\n  perplexity:", "\nexpected:"}, "tasks:"},
                 {"help length", {"calibration:\n  length:", "evaluate:\n  length:", "expected:"}, "seed:"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = output_of(cases[i].line);
        for (size_t k = 0; k < COUNT(cases[i].found) && cases[i].found[k] != NULL; k++)
            if (strstr(text, cases[i].found[k]) == NULL)
                fail_msg("%s: no '%s' in: %s", cases[i].line, cases[i].found[k], text);
        assert_null(strstr(text, cases[i].other));
        free(text);
    }
}

static void the_version_names_the_libraries(void **state)
{
    char *text = output_of("--version");
    (void)state;
    assert_memory_equal(text, "coppice ", 8);
    assert_non_null(strstr(text, "\nMPI "));
    assert_non_null(strstr(text, "\nHDF5 1."));
    assert_non_null(strstr(text, "\nBLIS "));
    free(text);
}

static void other_ranks_come_to_the_same_result_in_silence(void **state)
{
    char line[] = "--help";
    struct options options;
    struct error err = {0};
    (void)state;
    assert_int_equal(parse(&options, line, NULL, &err), STATUS_OK);
    assert_true(options.done);
}

static void every_command_is_in_its_place(void **state)
{
    size_t count;
    const struct command *all = commands(&count);
    (void)state;
    assert_int_equal(count, NUM_COMMANDS);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(all[i].id, i);
        assert_ptr_equal(command_find(all[i].name), &all[i]);
    }
    assert_null(command_find("reports"));
    assert_null(command_find(""));
}

// What job files say of a word of another program, and then the help of our key.
static void help_knows_the_words_of_other_programs(void **state)
{
    size_t count;
    const struct peer_word *words = peer_words(&count);
    char line[128], answer[256];
    (void)state;
    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof line, "help %s", words[i].word);
        char *help = output_of(line), *ours = NULL;
        peer_word_answer(&words[i], answer, sizeof answer);
        assert_memory_equal(help, answer, strlen(answer));
        if (words[i].ours != NULL) {
            snprintf(line, sizeof line, "help %s", words[i].ours);
            ours = output_of(line);
            assert_non_null(strstr(help, ours));
        } else {
            assert_string_equal(help + strlen(answer), "\n");
        }
        free(help);
        free(ours);
    }
    char *help = output_of("help prune.sparsity-ratio");
    assert_non_null(strstr(help, "sparsity_ratio (Wanda) is prune.sparsity in coppice"));
    free(help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_options_there_are_defaults),
        cmocka_unit_test(every_option_arrives),
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(after_two_dashes_words_are_no_options),
        cmocka_unit_test(the_margin_fits_the_time),
        cmocka_unit_test(stop_signals_have_names_and_numbers),
        cmocka_unit_test(wrong_command_lines_are_refused_with_one_line),
        cmocka_unit_test(beginnings_of_options_are_enough),
        cmocka_unit_test(help_of_the_program_and_of_each_command_is_as_agreed),
        cmocka_unit_test(help_needs_no_argument_and_wins),
        cmocka_unit_test(help_is_also_a_word),
        cmocka_unit_test(help_knows_the_words_of_other_programs),
        cmocka_unit_test(help_finds_a_key_by_its_last_word),
        cmocka_unit_test(the_version_names_the_libraries),
        cmocka_unit_test(other_ranks_come_to_the_same_result_in_silence),
        cmocka_unit_test(every_command_is_in_its_place),
    };
    unsetenv("ARGP_HELP_FMT"); // the user's taste in help is not what is tested
    unsetenv("POSIXLY_CORRECT");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
