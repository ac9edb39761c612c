#include "pipeline/job/reference.h"

#include "pipeline/job/example.h"
#include "pipeline/job/value.h"

#include <string.h>

void key_reference(struct key_reference *reference, const struct job_key_row *row)
{
    const bool is_list = type_is_array(row->type) && !type_is_mapping(row->type) && row->type != TYPE_TEXTS;
    char item[256];

    *reference = (struct key_reference){.required = (row->flags & KEY_REQUIRED) != 0,
                                        .is_swept = job_key_is_swept(row)};
    snprintf(reference->takes, sizeof reference->takes, "%s%.200s", is_list ? "a list, each item " : "",
             job_key_describe(row, item, sizeof item));
    if (row->otherwise != NULL)
        snprintf(reference->otherwise, sizeof reference->otherwise, "%s", row->otherwise);
    else if (!reference->required)
        job_example_standard(row, reference->otherwise, sizeof reference->otherwise);
}

// ---- docs/keys.md ----------------------------------------------------------------------------------------

static const char head[] =
    "# Keys of the job file\n"
    "\n"
    "A job file is YAML. `coppice help KEY` prints the same for one key, `coppice help keys` a job file with "
    "all of them\n"
    "([jobs/example.yaml](../jobs/example.yaml)). A key that is not in the table is refused, with the "
    "nearest "
    "known one.\n"
    "\n"
    "A key marked * takes a list as well: each value makes a variant, and several such lists make their "
    "product\n"
    "([sweeps](sweeps.md)). Values are read as the table says: a number in quotes is a text, and refused.\n"
    "\n"
    "A path counts from the job file's folder. `~` at its beginning is your home folder; `$NAME` and "
    "`${NAME}` are variables of "
    "the\n"
    "environment, and one that is not set is an error. `$$` stands for a dollar sign, and so does a `$` "
    "before anything that is no "
    "name.\n"
    "\n"
    "This page is written from `pipeline/job/key_table.h`.\n";

// A bar ends a cell of a table.
static void print_cell(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void key_reference_print(FILE *out)
{
    const char *section = NULL;
    size_t section_length = 0;

    fputs(head, out);
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        const char *dot = strchr(row->path, '.');
        const size_t length = dot != NULL ? (size_t)(dot - row->path) : 0;
        struct key_reference reference;

        if (section == NULL || length != section_length || strncmp(section, row->path, length) != 0) {
            fprintf(out,
                    length > 0 ? "\n## `%.*s`\n"
                    : i == 0   ? "\n## At the top\n"
                               : "\n## Also at the top\n",
                    (int)length, row->path);
            fputs("\n| key | takes | default | |\n|---|---|---|---|\n", out);
        }
        section = row->path;
        section_length = length;
        key_reference(&reference, row);
        fprintf(out, "| `%s`%s | ", dot != NULL ? dot + 1 : row->path, reference.is_swept ? " *" : "");
        print_cell(out, reference.takes);
        fprintf(out, " | ");
        print_cell(out, reference.required ? "required" : reference.otherwise);
        fprintf(out, " | ");
        print_cell(out, row->help);
        fprintf(out, " |\n");
    }
}
