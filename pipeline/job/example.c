#include "pipeline/job/example.h"

#include "pipeline/job/item.h"
#include "pipeline/job/value.h"
#include "pipeline/text/number.h"
#include "pipeline/text/suggest.h"

#include <string.h>

enum { COMMENT_COLUMN = 40, LAST_COLUMN = 118 };

static const char header[] =
    "# A job file with every key. `coppice plan FILE` says what would run.\n"
    "# Each value is the default, or an example where the comment names another default or says "
    "\"required\".\n"
    "# A key marked * takes a list as well, which makes a sweep. A key that is commented out means nothing\n"
    "# together with the other values shown here. Paths count from the folder of this file; ~, $NAME and "
    "${NAME}\n"
    "# in them are replaced. `--set KEY=VALUE` on the command line stands over what is here.\n"
    "# The table of keys, pipeline/job/key_table.h, is the source of this file.\n";

// ---- the text ------------------------------------------------------------------------------------------

// A variant with the defaults, of which sparsity and pattern have none.
static struct variant default_variant(void)
{
    struct variant variant = {.name = ""};
    for (size_t i = 0; i < NUM_JOB_KEYS; i++)
        if (job_key_row((enum job_key)i)->home == HOME_VARIANT)
            member_reset(job_key_row((enum job_key)i), &variant);
    return variant;
}

void job_example_standard(const struct job_key_row *row, char *text, size_t size)
{
    const struct variant variant = default_variant();
    char low[32], high[32];
    size_t count;

    switch (row->type) {
    case TYPE_WHOLE:
        snprintf(text, size, "%llu", (unsigned long long)member_standard(row, &variant).whole);
        break;
    case TYPE_NUMBER:
        number_format(member_standard(row, &variant).number, text, size);
        break;
    case TYPE_FLAG:
        snprintf(text, size, "%s", row->standard[0] != 0 ? "true" : "false");
        break;
    case TYPE_CHOICE:
        snprintf(text, size, "%s", row->choices(&count)[(size_t)row->standard[0]]);
        break;
    case TYPE_PAIR:
        snprintf(text, size, "[%s, %s]", number_format(row->standard[0], low, sizeof low),
                 number_format(row->standard[1], high, sizeof high));
        break;
    case TYPE_RATIOS:
    case TYPE_EXPECTED:
        snprintf(text, size, "{}");
        break;
    case TYPE_DIRECTIONS:
    case TYPE_SKIP:
    case TYPE_TEXTS:
    case TYPE_TASKS:
        snprintf(text, size, "[]");
        break;
    case TYPE_TEXT: // these have none
    case TYPE_BUDGET:
    case TYPE_PATTERN:
        text[0] = '\0';
        break;
    }
}

static void value_text(const struct job_key_row *row, char *text, size_t size)
{
    if (row->example != NULL)
        snprintf(text, size, "%s", row->example);
    else
        job_example_standard(row, text, size);
}

static void comment_text(const struct job_key_row *row, char *text, size_t size)
{
    // The value shown says what kind of value texts, flags and mappings take.
    const bool is_plain = row->type == TYPE_TEXT || row->type == TYPE_SKIP || row->type == TYPE_FLAG ||
                          type_is_mapping(row->type);
    char takes[256];
    snprintf(text, size, "%s%s%s%s%s%s%s", job_key_is_swept(row) ? "* " : "", row->help, is_plain ? "" : "; ",
             is_plain ? "" : job_key_describe(row, takes, sizeof takes),
             row->otherwise != NULL ? "; default: " : "", row->otherwise != NULL ? row->otherwise : "",
             row->flags & KEY_REQUIRED ? "; required" : "");
}

// Puts the comment after the `used` columns of the line, on as many lines as it needs.
static void print_comment(FILE *out, size_t used, const char *comment)
{
    bool first = true;
    while (*comment != '\0') {
        const size_t column = first && used >= COMMENT_COLUMN ? used + 1 : COMMENT_COLUMN;
        size_t length = strlen(comment);
        if (column + 2 + length > LAST_COLUMN) {
            length = LAST_COLUMN - column - 2;
            while (comment[length] != ' ')
                length--;
        }
        fprintf(out, "%*s# %.*s\n", (int)(first ? column - used : column), "", (int)length, comment);
        comment += length + (comment[length] == ' ');
        first = false;
    }
}

bool job_example_leaves_out(const struct job_key_row *row)
{
    const struct variant variant = default_variant();
    return row->applies != NULL && !row->applies(&variant);
}

// Whether the topic names the key: "prune.method", or "method".
static bool is_one(const struct job_key_row *row, const char *topic)
{
    const char *dot = strchr(row->path, '.');
    return strcmp(row->path, topic) == 0 || (dot != NULL && strcmp(dot + 1, topic) == 0);
}

// Whether the topic is a key in the sections that the key takes: "field" of evaluate.perplexity, or
// "evaluate.perplexity.field".
static bool is_inside(const struct job_key_row *row, const char *topic)
{
    const char *dot = strrchr(topic, '.');
    char path[64];
    size_t count;

    const char *const *members = item_member_names(row, &count);
    snprintf(path, sizeof path, "%.*s", dot != NULL ? (int)(dot - topic) : 0, topic);
    return find_word(dot != NULL ? dot + 1 : topic, members, count) < count &&
           (dot == NULL || is_one(row, path));
}

static bool is_about(const struct job_key_row *row, const char *topic)
{
    const char *dot = strchr(row->path, '.');
    const size_t section = dot != NULL ? (size_t)(dot - row->path) : 0;

    return topic == NULL || is_one(row, topic) || is_inside(row, topic) ||
           (section > 0 && strlen(topic) == section && strncmp(row->path, topic, section) == 0);
}

// What each word means that the key takes, if the table says it.
static void print_meanings(FILE *out, const struct job_key_row *row)
{
    size_t count;
    int column = 0;

    if (row->meaning == NULL)
        return;
    const char *const *words = row->choices(&count);
    for (size_t i = 0; i < count; i++)
        if (column < (int)strlen(words[i]))
            column = (int)strlen(words[i]);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "    # %-*s  %s\n", column, words[i], row->meaning(i));
}

size_t job_example_print(FILE *out, const char *topic)
{
    char value[256], comment[1024];
    const char *section = "";
    size_t section_length = 0, printed = 0;

    if (topic == NULL)
        fprintf(out, "%s", header);
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        const char *dot = strchr(row->path, '.'), *name = dot != NULL ? dot + 1 : row->path;
        const size_t length = dot != NULL ? (size_t)(dot - row->path) : 0;
        if (!is_about(row, topic))
            continue;
        if (length > 0 && (length != section_length || strncmp(section, row->path, length) != 0))
            fprintf(out, "%.*s:\n", (int)length, row->path);
        section = row->path;
        section_length = length;
        value_text(row, value, sizeof value);
        comment_text(row, comment, sizeof comment);
        const int used = fprintf(out, "%s%s%s: %s", dot != NULL ? "  " : "",
                                 job_example_leaves_out(row) ? "# " : "", name, value);
        print_comment(out, (size_t)used, comment);
        if (topic != NULL && is_one(row, topic))
            print_meanings(out, row);
        printed++;
    }
    return printed;
}
