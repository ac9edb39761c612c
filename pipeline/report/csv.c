#include "pipeline/report/report.h"

#include <inttypes.h>
#include <string.h>

// Columns that identify a value, filled from an object's own members.
static const char *const keys[] = {"variant", "stream", "process", "rank", "layer", "linear"};
enum { NUM_KEYS = sizeof keys / sizeof *keys };

static void write_text(FILE *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void write_value(FILE *out, const json_t *value)
{
    if (json_is_string(value))
        write_text(out, json_string_value(value));
    else if (json_is_integer(value))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        fprintf(out, "%.17g", json_real_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "true" : "false", out);
}

static bool is_key(const char *name)
{
    for (size_t k = 0; k < NUM_KEYS; k++)
        if (strcmp(keys[k], name) == 0)
            return true;
    return false;
}

// Every value below `value`, its path joined with dots.
static void write_values(FILE *out, const char *table, const json_t *owner, const char *path, json_t *value)
{
    const char *name;
    json_t *member;
    size_t i;
    char longer[512];

    json_object_foreach(value, name, member)
    {
        if (path[0] == '\0' && is_key(name))
            continue;
        snprintf(longer, sizeof longer, "%s%s%s", path, path[0] != '\0' ? "." : "", name);
        write_values(out, table, owner, longer, member);
    }
    json_array_foreach(value, i, member)
    {
        snprintf(longer, sizeof longer, "%s.%zu", path, i);
        write_values(out, table, owner, longer, member);
    }
    if (json_is_object(value) || json_is_array(value) || json_is_null(value))
        return;
    fputs(table, out);
    for (size_t k = 0; k < NUM_KEYS; k++) {
        fputc(',', out);
        write_value(out, json_object_get(owner, keys[k]));
    }
    fputc(',', out);
    write_text(out, path);
    fputc(',', out);
    write_value(out, value);
    fputc('\n', out);
}

void report_write_csv(const json_t *report, FILE *out)
{
    const char *table;
    json_t *content, *row;
    size_t i;

    fputs("table", out);
    for (size_t k = 0; k < NUM_KEYS; k++)
        fprintf(out, ",%s", keys[k]);
    fputs(",quantity,value\n", out);
    json_object_foreach((json_t *)report, table, content)
    {
        if (!json_is_array(content)) {
            write_values(out, table, NULL, "", content);
            continue;
        }
        json_array_foreach(content, i, row)
        {
            write_values(out, table, row, "", row);
        }
    }
}
