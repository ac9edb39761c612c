// The man page. Roff reads a line that begins with "." or "'" as a request, "\" as an escape and "-" as a
// hyphen, which is not what a shell takes.
#include "pipeline/cli/documents.h"
#include "pipeline/cli/option_table.h"
#include "pipeline/job/reference.h"
#include "version.h"

#include <string.h>

static void print_text(FILE *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const bool first = i == 0 || text[i - 1] == '\n';
        if (first && (text[i] == '.' || text[i] == '\''))
            fputs("\\&", out);
        if (text[i] == '\\')
            fputs("\\e", out);
        else if (text[i] == '-')
            fputs("\\-", out);
        else
            fputc(text[i], out);
    }
}

static void print_line(FILE *out, const char *text)
{
    print_text(out, text, strlen(text));
    fputc('\n', out);
}

static void print_examples(FILE *out, const char *examples)
{
    fputs(".PP\n.nf\n", out);
    print_text(out, examples, strlen(examples));
    fputs(".fi\n", out);
}

static void print_option_name(FILE *out, const struct argp_option *option)
{
    fputs(".TP\n\\fB", out);
    if (option->key < 128)
        fprintf(out, "\\-%c\\fR, \\fB", option->key);
    fputs("\\-\\-", out);
    print_text(out, option->name, strlen(option->name));
    if (option->arg != NULL) {
        fputs("\\fR=\\fI", out);
        print_text(out, option->arg, strlen(option->arg));
    }
    fputs("\\fR\n", out);
}

// The commands that take an option; nothing for one that all take.
static void print_takers(FILE *out, const struct option_row *row)
{
    size_t count, taken = 0;
    const struct command *all = commands(&count);

    if (row->taken_by == 0)
        return;
    fputs("Taken by ", out);
    for (size_t i = 0; i < count; i++)
        if (option_is_taken(row, &all[i]))
            fprintf(out, "%s\\fB%s\\fR", taken++ > 0 ? ", " : "", all[i].name);
    fputs(".\n", out);
}

static void print_commands(FILE *out)
{
    size_t count;
    const struct command *all = commands(&count);

    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, ".SS \"coppice %s %s\"\n", all[i].name, command_argument_name(all[i].argument));
        print_line(out, all[i].help);
        print_examples(out, all[i].examples);
    }
    fputs(".SS \"coppice help [WORD]\"\n"
          "Help on a command or a key of the job file; \\fBhelp keys\\fR prints a job file with all keys,\n"
          "\\fBhelp bash\\fR, \\fBhelp zsh\\fR and \\fBhelp fish\\fR completion for these shells, "
          "\\fBhelp man\\fR this page.\n",
          out);
}

static void print_options(FILE *out)
{
    size_t count;
    const struct option_row *rows = option_rows(&count);

    fputs(".SH OPTIONS\n", out);
    for (size_t i = 0; i < count; i++) {
        print_option_name(out, &rows[i].argp);
        print_text(out, rows[i].argp.doc, strlen(rows[i].argp.doc));
        fputs(".\n", out);
        print_takers(out, &rows[i]);
    }
}

static void print_keys(FILE *out)
{
    fputs(
        ".SH JOB FILE\n"
        "A job file is YAML; keys with a dot stand in a section. A key marked * takes a list as well, which "
        "makes a sweep.\n",
        out);
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        struct key_reference reference;
        key_reference(&reference, row);
        fprintf(out, ".TP\n\\fB%s\\fR%s\n", row->path, reference.is_swept ? " *" : "");
        print_text(out, row->help, strlen(row->help));
        fputs(";\n", out);
        print_text(out, reference.takes, strlen(reference.takes));
        if (reference.required)
            fputs(";\nrequired", out);
        else if (reference.otherwise[0] != '\0') {
            fputs(";\ndefault: ", out);
            print_text(out, reference.otherwise, strlen(reference.otherwise));
        }
        fputs(".\n", out);
    }
}

void man_print(FILE *out)
{
    fprintf(out,
            ".\\\" Made by `coppice help man`.\n"
            ".TH COPPICE 1 \"\" \"coppice %s\" \"User Commands\"\n"
            ".SH NAME\n"
            "coppice \\- prune large language models on MPI clusters\n"
            ".SH SYNOPSIS\n"
            ".B coppice\n"
            ".I COMMAND\n"
            "[\\fIOPTION\\fR]...\n"
            ".I JOB\n"
            "|\n"
            ".I RUN\n"
            ".SH DESCRIPTION\n",
            COPPICE_VERSION);
    print_line(out, program_summary);
    print_examples(out, program_examples);
    print_commands(out);
    print_options(out);
    print_keys(out);
    fputs(".SH EXIT STATUS\n", out);
    print_line(out, exit_codes_help);
    fputs(".SH FILES\n.TP\n\\fIRUN\\fR\nThe run directory: docs/run\\-directory.md.\n", out);
}
