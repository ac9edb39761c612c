#include "pipeline/report/data/text_models.h"

#include "pipeline/record/results/text_results.h"
#include "pipeline/report/data/members.h"
#include "pipeline/report/data/uncertainty.h"

// What a model has of its first text, and of each under "texts".
static const char *const members[] = {"perplexity", "perplexity_stderr", "ratio", "ratio_stderr",
                                      "tokens",     "windows",           "length"};

void text_errors_add(json_t *texts, const struct settings *settings, const struct variant *variant)
{
    for (size_t i = 0; i < settings->num_texts; i++) {
        json_t *row = json_object_get(texts, text_title(&settings->texts[i]));
        if (row != NULL)
            perplexity_errors_add(row, settings, i, variant);
    }
}

json_t *measured_names(const json_t *models, const char *kind)
{
    json_t *names = json_object(), *model, *result;
    const char *name;
    size_t i;

    json_array_foreach(models, i, model)
    {
        json_object_foreach(json_object_get(model, kind), name, result)
        {
            json_object_set_new(names, name, json_true());
        }
    }
    return names;
}

json_t *text_models(const json_t *models, const char *name)
{
    json_t *view = json_array(), *model;
    size_t i;

    json_array_foreach(models, i, model)
    {
        json_t *one = json_copy(model);
        const json_t *result = json_object_get(json_object_get(model, "texts"), name);
        for (size_t k = 0; k < sizeof members / sizeof *members; k++) {
            json_t *value = json_object_get(result, members[k]);
            json_object_del(one, members[k]);
            if (value != NULL)
                json_object_set(one, members[k], value);
        }
        json_array_append_new(view, one);
    }
    return view;
}
