// Completion for shells: commands, the options that a command takes, values that are known beforehand, job
// files and folders.
#include "kernels/blas_kernel.h"
#include "pipeline/cli/documents.h"
#include "pipeline/cli/option_table.h"
#include "pipeline/cli/options.h"
#include "pipeline/job/keys.h"

#include <stdbool.h>
#include <string.h>

static const char *const documents[] = {"keys", "man", "bash", "zsh", "fish"};
enum { NUM_DOCUMENTS = sizeof documents / sizeof documents[0] };

static const char *key_path(size_t index)
{
    return index < NUM_JOB_KEYS ? job_key_row((enum job_key)index)->path : NULL;
}

// What completes an option's value.
enum values {
    VALUES_UNKNOWN,
    VALUES_WORDS,
    VALUES_NAMES, // words that "=" and more come after
    VALUES_FILES
};

struct completion {
    int option;
    enum values values;
    const char *(*word)(size_t index); // NULL at the end
};

static struct completion completion_of(const struct option_row *row)
{
    static const struct completion known[] = {{OPTION_KERNEL, VALUES_WORDS, blas_kernel_known},
                                              {OPTION_PROGRESS, VALUES_WORDS, progress_mode_known},
                                              {OPTION_SET, VALUES_NAMES, key_path},
                                              {OPTION_HTML, VALUES_FILES, NULL}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].option == row->argp.key)
            return known[i];
    return (struct completion){row->argp.key, VALUES_UNKNOWN, NULL};
}

// The words that an option takes, apart by spaces, each with `end` behind it.
static void print_words(FILE *out, const struct completion *completion, const char *end)
{
    for (size_t i = 0; completion->word(i) != NULL; i++)
        fprintf(out, "%s%s%s", i > 0 ? " " : "", completion->word(i), end);
}

static bool takes_job(const struct command *command)
{
    return command->argument == ARGUMENT_JOB || command->argument == ARGUMENT_JOB_OR_RUN;
}

static void print_command_names(FILE *out, const char *between)
{
    size_t count;
    const struct command *all = commands(&count);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%s", i > 0 ? between : "", all[i].name);
}

// What `coppice help` takes, apart by spaces.
static void print_help_words(FILE *out)
{
    print_command_names(out, " ");
    for (size_t i = 0; i < NUM_DOCUMENTS; i++)
        fprintf(out, " %s", documents[i]);
    for (size_t i = 0; key_path(i) != NULL; i++)
        fprintf(out, " %s", key_path(i));
}

static void print_option_names(FILE *out, const struct command *command)
{
    size_t count;
    const struct option_row *rows = option_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (option_is_taken(&rows[i], command))
            fprintf(out, "%s--%s%s", i > 0 ? " " : "", rows[i].argp.name,
                    rows[i].argp.arg != NULL ? "=" : "");
}

// ---- bash ------------------------------------------------------------------------------------------------

static void print_bash_values(FILE *out)
{
    size_t count;
    const struct option_row *rows = option_rows(&count);

    for (size_t i = 0; i < count; i++) {
        if (rows[i].argp.arg == NULL)
            continue;
        const struct completion completion = completion_of(&rows[i]);
        const bool has_names = completion.values == VALUES_NAMES;
        fprintf(out, "    --%s) ", rows[i].argp.name);
        if (completion.values == VALUES_WORDS || has_names) {
            fprintf(out, "%sCOMPREPLY=($(compgen -W \"", has_names ? "compopt -o nospace 2>/dev/null; " : "");
            print_words(out, &completion, has_names ? "=" : "");
            fputs("\" -- \"$word\")); ", out);
        } else if (completion.values == VALUES_FILES) {
            fputs("compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$word\")); ", out);
        }
        fputs("return ;;\n", out);
    }
}

void bash_completion_print(FILE *out)
{
    size_t count;
    const struct command *all = commands(&count);

    fputs("# Completion of coppice for bash: made by `coppice help bash`.\n"
          "_coppice() {\n"
          "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' i\n"
          "  COMPREPLY=()\n"
          "  # bash takes --kernel=zen for three words.\n"
          "  if [ \"$word\" = = ]; then\n"
          "    word=''\n"
          "  elif [ \"$before\" = = ]; then\n"
          "    before=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "  fi\n"
          "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "    case ${COMP_WORDS[i]} in\n"
          "      ",
          out);
    print_command_names(out, " | ");
    fputs(" | help) command=${COMP_WORDS[i]}; break ;;\n"
          "    esac\n"
          "  done\n"
          "  case $before in\n",
          out);
    print_bash_values(out);
    fputs("  esac\n"
          "  case $command:$word in\n"
          "    help:*) COMPREPLY=($(compgen -W \"",
          out);
    print_help_words(out);
    fputs("\" -- \"$word\")) ;;\n    :-*) COMPREPLY=($(compgen -W \"--help --version\" -- \"$word\")) ;;\n"
          "    :*) COMPREPLY=($(compgen -W \"",
          out);
    print_command_names(out, " ");
    fputs(" help\" -- \"$word\")) ;;\n", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "    %s:-*) COMPREPLY=($(compgen -W \"", all[i].name);
        print_option_names(out, &all[i]);
        fputs("\" -- \"$word\"))\n      [[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null ;;\n",
              out);
    }
    for (size_t i = 0; i < count; i++)
        if (takes_job(&all[i]))
            fprintf(out, "%s%s:*", i > 0 ? " | " : "    ", all[i].name);
    fputs(")\n"
          "      compopt -o filenames 2>/dev/null\n"
          "      COMPREPLY=($(compgen -d -- \"$word\") $(compgen -f -X '!*.yaml' -- \"$word\")\n"
          "        $(compgen -f -X '!*.yml' -- \"$word\") $(compgen -f -X '!*.json' -- \"$word\")) ;;\n"
          "    *) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$word\")) ;;\n"
          "  esac\n"
          "}\n"
          "complete -F _coppice coppice\n",
          out);
}

// ---- zsh -------------------------------------------------------------------------------------------------

// A text inside '...' in brackets of _arguments, or after the colon of _describe.
static void print_zsh_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else if (*text == '[' || *text == ']' || *text == ':' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
}

static void print_zsh_options(FILE *out, const struct command *command)
{
    size_t count;
    const struct option_row *rows = option_rows(&count);

    for (size_t i = 0; i < count; i++) {
        const struct argp_option *option = &rows[i].argp;
        if (!option_is_taken(&rows[i], command))
            continue;
        fprintf(out, "        '%s--%s%s[", option->arg != NULL ? "*" : "", option->name,
                option->arg != NULL ? "=" : "");
        print_zsh_text(out, option->doc);
        fputs("]", out);
        if (option->arg != NULL)
            fprintf(out, ":%s:", option->arg);
        const struct completion completion = completion_of(&rows[i]);
        if (completion.values == VALUES_WORDS || completion.values == VALUES_NAMES) {
            const bool has_names = completion.values == VALUES_NAMES;
            fputs(has_names ? "{compadd -S = -- " : "(", out);
            print_words(out, &completion, "");
            fputs(has_names ? "}" : ")", out);
        } else if (completion.values == VALUES_FILES) {
            fputs("_files", out);
        }
        fputs("' \\\n", out);
    }
}

void zsh_completion_print(FILE *out)
{
    size_t count;
    const struct command *all = commands(&count);

    fputs("#compdef coppice\n"
          "# Completion of coppice for zsh: made by `coppice help zsh`.\n"
          "_coppice() {\n"
          "  local -a known\n"
          "  if ((CURRENT == 2)); then\n"
          "    known=(\n",
          out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "      '%s:", all[i].name);
        print_zsh_text(out, all[i].summary);
        fputs("'\n", out);
    }
    fputs("      'help:a command, or a key of the job file'\n"
          "    )\n"
          "    _describe command known\n"
          "    return\n"
          "  fi\n"
          "  local command=$words[2]\n"
          "  shift words\n"
          "  ((CURRENT--))\n"
          "  case $command in\n"
          "    help)\n"
          "      known=(",
          out);
    print_help_words(out);
    fputs(")\n      _describe word known ;;\n", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "    %s)\n      _arguments \\\n", all[i].name);
        print_zsh_options(out, &all[i]);
        fputs(takes_job(&all[i]) ? "        '*:job file:_files -g \"*.(yaml|yml|json)\"' ;;\n"
                                 : "        '*:run directory:_files -/' ;;\n",
              out);
    }
    fputs("  esac\n"
          "}\n"
          "_coppice \"$@\"\n",
          out);
}

// ---- fish ------------------------------------------------------------------------------------------------

static void print_fish_text(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

static void print_fish_option(FILE *out, const struct option_row *row)
{
    const struct completion completion = completion_of(row);
    size_t count;
    const struct command *all = commands(&count);

    fputs("complete -c coppice -n '__fish_seen_subcommand_from", out);
    for (size_t i = 0; i < count; i++)
        if (option_is_taken(row, &all[i]))
            fprintf(out, " %s", all[i].name);
    fprintf(out, "' -l %s", row->argp.name);
    if (row->argp.key < 128)
        fprintf(out, " -s %c", row->argp.key);
    if (row->argp.arg != NULL)
        fputs(completion.values == VALUES_FILES ? " -rF" : " -x", out);
    if (completion.word != NULL) {
        fputs(" -a '", out);
        print_words(out, &completion, completion.values == VALUES_NAMES ? "=" : "");
        fputs("'", out);
    }
    fputs(" -d ", out);
    print_fish_text(out, row->argp.doc);
    fputc('\n', out);
}

void fish_completion_print(FILE *out)
{
    size_t count;
    const struct command *all = commands(&count);
    const struct option_row *rows;

    fputs("# Completion of coppice for fish: made by `coppice help fish`.\n"
          "complete -c coppice -n __fish_use_subcommand -f\n",
          out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "complete -c coppice -n __fish_use_subcommand -a %s -d ", all[i].name);
        print_fish_text(out, all[i].summary);
        fputc('\n', out);
    }
    fputs("complete -c coppice -n __fish_use_subcommand -a help -d 'a command, or a key of the job file'\n"
          "complete -c coppice -n '__fish_seen_subcommand_from help' -f -a '",
          out);
    print_help_words(out);
    fputs("'\n", out);
    rows = option_rows(&count);
    for (size_t i = 0; i < count; i++)
        print_fish_option(out, &rows[i]);
}
