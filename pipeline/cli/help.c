#include "pipeline/cli/help.h"
#include "pipeline/cli/option_table.h"

#include <argp.h>
#include <string.h>

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

void help_print(FILE *out, const struct command *command)
{
    struct argp_option chosen[MOST_OPTIONS + 1];
    char name[64] = "coppice";
    struct argp argp = {.options = chosen};

    options_of(chosen, command);
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
        fprintf(out, "  %-10s  %-7s  %s\n\n", "help", "[WORD]",
                "a command, or a key of the job file; 'help keys': all keys; 'help man', 'help bash', 'help "
                "zsh', 'help fish'");
    }
    fprintf(out, "Options:\n");
    argp_help(&argp, out, ARGP_HELP_LONG, name);
    print_examples(out, command != NULL ? command->examples : program_examples);
    fprintf(out, "\n%s", exit_codes_help);
}
