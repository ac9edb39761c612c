#include "pipeline/job/expected.h"

#include "pipeline/job/tasks.h"
#include "pipeline/text/suggest.h"
#include "stages/stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHORTEST = 2, LONGEST = 10000000 }; // as evaluate.length

enum member { MEMBER_PERPLEXITY, MEMBER_LENGTH, MEMBER_SOURCE, MEMBERS };
static const char *const member_names[MEMBERS] = {"perplexity", "length", "source"};

const char *const *expected_member_names(size_t *count)
{
    *count = MEMBERS;
    return member_names;
}

// ---- from the job file ---------------------------------------------------------------------------------

// Refuses what belongs to a variant: "FILE:LINE: expected.VARIANT: ...".
static enum status refuse(const struct job_document *document, const struct job_node *node,
                          const char *variant, const char *requirement, struct error *err)
{
    char key[128], shown[80], got[80];
    snprintf(key, sizeof key, "expected.%s", job_printable(variant, shown, sizeof shown));
    return job_refuse(document, node->line, key, err, "%s, got %s", requirement,
                      job_node_describe(node, got, sizeof got));
}

static enum status read_member(struct expected *expected, enum member member,
                               const struct job_document *document, const struct job_node *node,
                               struct error *err)
{
    const bool is_text = node->kind == NODE_SCALAR && !node->is_null && node->text[0] != '\0';
    uint64_t length;

    switch (member) {
    case MEMBER_PERPLEXITY:
        if (job_node_number(node, &expected->perplexity) && isfinite(expected->perplexity) &&
            expected->perplexity >= 1)
            return STATUS_OK;
        return refuse(document, node, expected->variant, "perplexity must be a number, 1 or more", err);
    case MEMBER_LENGTH:
        if (!job_node_whole(node, &length) || length < SHORTEST || length > LONGEST)
            return refuse(document, node, expected->variant,
                          "length must be a whole number from 2 to 10000000", err);
        expected->length = (size_t)length;
        return STATUS_OK;
    default:
        if (!is_text)
            return refuse(document, node, expected->variant, "source must be a text", err);
        return job_node_copy(&expected->source, node, "expected", err);
    }
}

static enum status read_section(struct expected *expected, const struct job_document *document,
                                const struct job_node *node, struct error *err)
{
    size_t lines[MEMBERS] = {0};

    for (size_t i = 0; i < node->count; i++) {
        struct job_node name, value;
        job_mapping_pair(document, node, i, &name, &value);
        const size_t member =
            name.kind == NODE_SCALAR ? find_word(name.text, member_names, MEMBERS) : (size_t)MEMBERS;
        if (member == MEMBERS)
            return refuse(document, &name, expected->variant, "has perplexity, length and source only", err);
        if (lines[member] != 0)
            return refuse(document, &name, expected->variant, "has each member once", err);
        lines[member] = name.line;
        FORWARD_IF_ERROR(read_member(expected, (enum member)member, document, &value, err));
    }
    for (size_t member = 0; member < MEMBERS; member++)
        if (lines[member] == 0) {
            char key[128], shown[80];
            snprintf(key, sizeof key, "expected.%s", job_printable(expected->variant, shown, sizeof shown));
            return job_refuse(document, node->line, key, err, "%s is missing", member_names[member]);
        }
    return STATUS_OK;
}

enum status expected_read(struct expected *expected, const struct job_document *document,
                          const struct job_node *mapping, size_t index, struct error *err)
{
    struct job_node name, value, earlier, unused;
    char got[80];

    job_mapping_pair(document, mapping, index, &name, &value);
    if (name.kind != NODE_SCALAR || name.is_null || name.size == 0)
        return job_refuse(document, name.line, "expected", err, "a variant must be given by its name, got %s",
                          job_node_describe(&name, got, sizeof got));
    for (size_t i = 0; i < index; i++) {
        job_mapping_pair(document, mapping, i, &earlier, &unused);
        if (strcmp(name.text, earlier.text) == 0)
            return job_refuse(document, name.line, "expected", err, "'%s' is given twice, first on line %zu",
                              job_printable(name.text, got, sizeof got), earlier.line);
    }
    expected->line = job_setting_line(document, &name);
    FORWARD_IF_ERROR(job_node_copy(&expected->variant, &name, "expected", err));
    if (value.kind != NODE_MAPPING)
        return refuse(document, &value, expected->variant, "must be {perplexity, length, source}", err);
    return read_section(expected, document, &value, err);
}

// ---- the variants --------------------------------------------------------------------------------------

static bool is_of(const struct expected *expected, const struct variant *variant)
{
    return strcmp(expected->variant, variant_name(variant)) == 0;
}

static enum status refuse_unknown(const struct settings *settings, const struct expected *expected,
                                  const char *path, struct error *err)
{
    const char **names;
    char shown[160], place[SETTING_PLACE_SIZE];

    FORWARD_IF_ERROR(allocate(&names, settings->num_variants + 1, sizeof *names, "names of variants", err));
    names[0] = variant_name(NULL);
    for (size_t v = 0; v < settings->num_variants; v++)
        names[v + 1] = settings->variants[v].name;
    const char *near = suggest_nearest(expected->variant, names, settings->num_variants + 1);
    error_set(err, STATUS_USAGE, "%sexpected: '%s' is no variant of this job%s%s%s",
              setting_place(place, path, expected->line),
              job_printable(expected->variant, shown, sizeof shown),
              near != NULL ? ", did you mean " : "; without this line coppice plan lists them",
              near != NULL ? near : "", near != NULL ? "?" : "");
    free(names);
    return STATUS_USAGE;
}

enum status expected_check(const struct settings *settings, const char *path, struct error *err)
{
    for (size_t i = 0; i < settings->num_expected; i++) {
        const struct expected *expected = &settings->expected[i];
        bool known = is_of(expected, NULL);
        for (size_t v = 0; v < settings->num_variants && !known; v++)
            known = is_of(expected, &settings->variants[v]);
        if (!known)
            return refuse_unknown(settings, expected, path, err);
    }
    return STATUS_OK;
}

const struct expected *expected_find(const struct settings *settings, const struct variant *variant)
{
    for (size_t i = 0; i < settings->num_expected; i++)
        if (is_of(&settings->expected[i], variant))
            return &settings->expected[i];
    return NULL;
}

// ---- JSON ----------------------------------------------------------------------------------------------

json_t *expected_to_json(const struct expected *expected)
{
    return json_pack("{s:s, s:f, s:I, s:s}", "variant", expected->variant, "perplexity", expected->perplexity,
                     "length", (json_int_t)expected->length, "source", expected->source);
}

enum status expected_from_json(struct expected *expected, const json_t *json, struct error *err)
{
    const json_t *perplexity = json_object_get(json, "perplexity"), *length = json_object_get(json, "length");

    expected->perplexity = json_number_value(perplexity);
    if (!json_is_number(perplexity) || expected->perplexity < 1)
        return STATUS_DAMAGED;
    if (!json_is_integer(length) || json_integer_value(length) < SHORTEST ||
        json_integer_value(length) > LONGEST)
        return STATUS_DAMAGED;
    expected->length = (size_t)json_integer_value(length);
    FORWARD_IF_ERROR(text_from_json(&expected->variant, json_object_get(json, "variant"), err));
    return text_from_json(&expected->source, json_object_get(json, "source"), err);
}

void expected_free(struct expected *expected)
{
    free(expected->variant);
    free(expected->source);
}
