#include "io/tokenizer/template.h"

#include "io/file/limits.h"
#include "io/tokenizer/json.h"
#include <stdlib.h>
#include <string.h>

enum { TEXT = -1 }; // stands in a template where the ids of the text go

struct templates { // each is filled with what the one before gives
    struct ids *items;
    size_t count;
    size_t capacity;
    size_t bound;
};

// ---- reading
// -----------------------------------------------------------------------------------------------

static enum status new_template(struct templates *templates, struct error *err)
{
    // `tokenizers` would fill the second one's template for pairs with the parts of the first.
    RETURN_ERROR_IF(templates->count > 0, err, STATUS_INPUT, "more than one template is not supported");
    FORWARD_IF_ERROR(grow(&templates->items, &templates->capacity, templates->count + 1,
                          sizeof *templates->items, "a template", err));
    templates->items[templates->count++] = (struct ids){0};
    return STATUS_OK;
}

// Appends to the newest template.
static enum status append(struct templates *templates, int32_t id, struct error *err)
{
    struct ids *items = &templates->items[templates->count - 1];
    size_t texts = id == TEXT;

    for (size_t i = 0; i < items->count && id == TEXT; i++)
        texts += items->items[i] == TEXT;
    RETURN_ERROR_IF(texts > LIMIT_TEMPLATE_TEXTS, err, STATUS_INPUT, "has a text more than %d times",
                    LIMIT_TEMPLATE_TEXTS);
    RETURN_ERROR_IF(items->count == LIMIT_TEMPLATE_IDS, err, STATUS_INPUT,
                    "puts more than %d tokens around a text", LIMIT_TEMPLATE_IDS);
    if (id != TEXT && (size_t)id >= templates->bound)
        templates->bound = (size_t)id + 1;
    return ids_append(items, &id, 1, err);
}

static enum status read_special(struct templates *templates, const json_t *special_tokens, struct slice name,
                                struct error *err)
{
    static const char *const known[] = {"id", "ids", "tokens", NULL};
    const json_t *token = json_object_get(special_tokens, name.bytes);
    json_t *ids;

    RETURN_ERROR_IF(token == NULL, err, STATUS_INPUT, "\"%s\" is not in special_tokens", name.bytes);
    if (json_only_members(token, known, err) != STATUS_OK)
        return error_prefix(err, "special_tokens: \"%s\"", name.bytes);
    FORWARD_IF_ERROR(json_array_member(token, "ids", &ids, err));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        int32_t id = 0;
        FORWARD_IF_ERROR(json_id(json_array_get(ids, i), name.bytes, &id, err));
        FORWARD_IF_ERROR(append(templates, id, err));
    }
    return STATUS_OK;
}

static enum status read_piece(struct templates *templates, const json_t *piece, const json_t *special_tokens,
                              struct error *err)
{
    static const char *const kinds[] = {"Sequence", "SpecialToken", NULL};
    static const char *const known[] = {"id", "type_id", NULL};
    const json_t *sequence = json_object_get(piece, "Sequence");
    const json_t *member = sequence != NULL ? sequence : json_object_get(piece, "SpecialToken");
    struct slice name = {0};

    FORWARD_IF_ERROR(json_only_members(piece, kinds, err));
    RETURN_ERROR_IF(json_object_size(piece) != 1, err, STATUS_INPUT,
                    "must have either \"Sequence\" or \"SpecialToken\"");
    FORWARD_IF_ERROR(json_only_members(member, known, err));
    FORWARD_IF_ERROR(json_text_member(member, "id", &name, err));
    if (sequence == NULL)
        return read_special(templates, special_tokens, name, err);
    RETURN_ERROR_IF(!slice_is(name, "A"), err, STATUS_INPUT,
                    "Sequence \"%s\" in the template of a single text must be \"A\"", name.bytes);
    return append(templates, TEXT, err);
}

static enum status read_template(struct templates *templates, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "single", "pair", "special_tokens", NULL};
    const json_t *special_tokens = json_object_get(value, "special_tokens");
    json_t *single;

    FORWARD_IF_ERROR(json_only_members(value, known, err)); // pair is for two texts, never used here
    FORWARD_IF_ERROR(json_array_member(value, "single", &single, err));
    FORWARD_IF_ERROR(new_template(templates, err));
    for (size_t i = 0; i < json_array_size(single); i++)
        if (read_piece(templates, json_array_get(single, i), special_tokens, err) != STATUS_OK)
            return error_prefix(err, "single[%zu]", i);
    return STATUS_OK;
}

// ["</s>", 2]
static enum status read_pair(const json_t *value, const char *key, int32_t *id, struct error *err)
{
    const json_t *pair = json_object_get(value, key);
    RETURN_ERROR_IF(!json_is_array(pair) || json_array_size(pair) != 2, err, STATUS_INPUT,
                    "\"%s\" must be a token and its id", key);
    return json_id(json_array_get(pair, 1), key, id, err);
}

static enum status read_bert(struct templates *templates, const json_t *value, struct error *err)
{
    static const char *const known[] = {"type", "sep", "cls", "trim_offsets", "add_prefix_space", NULL};
    int32_t cls = 0;
    int32_t sep = 0;

    FORWARD_IF_ERROR(json_only_members(value, known, err)); // the last two change offsets alone
    FORWARD_IF_ERROR(read_pair(value, "cls", &cls, err));
    FORWARD_IF_ERROR(read_pair(value, "sep", &sep, err));
    FORWARD_IF_ERROR(new_template(templates, err));
    FORWARD_IF_ERROR(append(templates, cls, err));
    FORWARD_IF_ERROR(append(templates, TEXT, err));
    return append(templates, sep, err);
}

static enum status read_processors(struct templates *templates, const json_t *value, struct error *err)
{
    static const char *const byte_level[] = {"type", "add_prefix_space", "trim_offsets", "use_regex", NULL};
    static const char *const sequence[] = {"type", "processors", NULL};
    const char *type = NULL;
    json_t *members;

    FORWARD_IF_ERROR(json_type_member(value, &type, err));
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(templates, value, err) == STATUS_OK ? STATUS_OK : error_prefix(err, "%s", type);
    if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0)
        return read_bert(templates, value, err) == STATUS_OK ? STATUS_OK : error_prefix(err, "%s", type);
    if (strcmp(type, "ByteLevel") == 0)
        return json_only_members(value, byte_level, err);
    RETURN_ERROR_IF(strcmp(type, "Sequence") != 0, err, STATUS_INPUT, "unknown type \"%s\"", type);
    FORWARD_IF_ERROR(json_only_members(value, sequence, err));
    FORWARD_IF_ERROR(json_array_member(value, "processors", &members, err));
    for (size_t i = 0; i < json_array_size(members); i++)
        if (read_processors(templates, json_array_get(members, i), err) != STATUS_OK)
            return error_prefix(err, "processors[%zu]", i);
    return STATUS_OK;
}

enum status templates_from_json(struct templates **out, const json_t *value, struct error *err)
{
    struct templates *templates;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(allocate(&templates, 1, sizeof *templates, "templates", err));
    if (value != NULL && !json_is_null(value))
        status = read_processors(templates, value, err);
    if (status != STATUS_OK) {
        templates_free(templates);
        return status;
    }
    *out = templates;
    return STATUS_OK;
}

void templates_free(struct templates *templates)
{
    if (templates == NULL)
        return;
    for (size_t i = 0; i < templates->count; i++)
        free(templates->items[i].items);
    free(templates->items);
    free(templates);
}

size_t templates_bound(const struct templates *templates)
{
    return templates->bound;
}

// ---- filling
// -----------------------------------------------------------------------------------------------

// A copy of the text's ids for each place where the template has them.
static enum status fill_copies(const struct ids *template, bool add_special_tokens, struct ids *ids,
                               struct error *err)
{
    struct ids filled = {0};

    for (size_t i = 0; i < template->count; i++) {
        enum status status = STATUS_OK;
        if (template->items[i] == TEXT)
            status = ids_append(&filled, ids->items, ids->count, err);
        else if (add_special_tokens)
            status = ids_append(&filled, &template->items[i], 1, err);
        if (status != STATUS_OK) {
            free(filled.items);
            return status;
        }
    }
    free(ids->items);
    *ids = filled;
    return STATUS_OK;
}

// Around the text's ids, at index `text` of the template, where they are: a long text is not copied.
static enum status fill_around(const struct ids *template, size_t text, struct ids *ids, struct error *err)
{
    const size_t after = template->count - text - 1;

    FORWARD_IF_ERROR(grow(&ids->items, &ids->capacity, ids->count + template->count, sizeof *ids->items,
                          "token ids", err));
    memmove(ids->items + text, ids->items, ids->count * sizeof *ids->items);
    memcpy(ids->items, template->items, text * sizeof *ids->items);
    memcpy(ids->items + text + ids->count, template->items + text + 1, after * sizeof *ids->items);
    ids->count += text + after;
    return STATUS_OK;
}

enum status templates_apply(const struct templates *templates, bool add_special_tokens, struct ids *ids,
                            struct error *err)
{
    for (size_t t = 0; t < templates->count; t++) {
        const struct ids *template = &templates->items[t];
        size_t texts = 0, text = 0;
        for (size_t i = 0; i < template->count; i++)
            if (template->items[i] == TEXT) {
                texts++;
                text = i;
            }
        if (texts == 1 && !add_special_tokens)
            continue;
        FORWARD_IF_ERROR(texts == 1 ? fill_around(template, text, ids, err)
                                    : fill_copies(template, add_special_tokens, ids, err));
    }
    return STATUS_OK;
}
