#include "pipeline/record/results/text_results.h"

#include "stages/evaluate/perplexity.h"

#include <math.h>
#include <unistd.h>

const char *text_title(const struct text_settings *text)
{
    return text->name != NULL ? text->name : text->data;
}

static bool read_one(struct perplexity *result, const struct settings *settings, size_t text,
                     const struct variant *variant, json_t *missing)
{
    char path[PATH_SIZE];
    struct error why = {0};

    perplexity_path(path, settings, text, variant);
    if (access(path, F_OK) != 0)
        return false;
    if (perplexity_read(result, path, &why) == STATUS_OK)
        return true;
    if (missing != NULL)
        json_array_append_new(missing, json_string(why.message));
    return false;
}

json_t *text_results_to_json(const struct settings *settings, const struct variant *variant, json_t *missing)
{
    json_t *texts;

    if (settings->num_texts == 0 || (settings->num_texts == 1 && settings->texts[0].is_plain))
        return NULL;
    texts = json_object();
    for (size_t i = 0; i < settings->num_texts; i++) {
        struct perplexity result, dense;
        if (!read_one(&result, settings, i, variant, i > 0 ? missing : NULL))
            continue;
        // JSON has no infinities: a perplexity that overflowed is null.
        json_t *row = json_pack("{s:o, s:I, s:I, s:I}", "perplexity",
                                isfinite(result.perplexity) ? json_real(result.perplexity) : json_null(),
                                "tokens", (json_int_t)result.tokens, "windows", (json_int_t)result.windows,
                                "length", (json_int_t)result.length);
        if (read_one(&dense, settings, i, NULL, NULL) && isfinite(result.perplexity / dense.perplexity))
            json_object_set_new(row, "ratio", json_real(result.perplexity / dense.perplexity));
        json_object_set_new(texts, text_title(&settings->texts[i]), row);
    }
    return texts;
}
